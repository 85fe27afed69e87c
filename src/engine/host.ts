/** What a host injects, made complete. */
import { UsageError } from "../errors.js";
import { isServerName } from "../ids/grammar.js";
import type { Cancel } from "../ports/cancel.js";
import type { Clock } from "../ports/clock.js";
import type { Identity } from "../ports/identity.js";
import type { Keys } from "../ports/keys.js";
import type { Observer } from "../ports/observer.js";
import type { OperationName, OperationRequest, OperationResult } from "../ports/operations.js";
import type { Policy } from "../ports/policy.js";
import type { Random } from "../ports/random.js";
import type { Storage } from "../ports/storage.js";
import type { Transport } from "../ports/transport.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import { withDeadline } from "./cancel.js";
import { limitsOf } from "./limits.js";
import type { Limits } from "./limits.js";

/** The ports of a server. */
export interface HostOptions {
  /** This server's name. */
  readonly server: string;
  readonly storage: Storage;
  readonly transport: Transport;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: Random;
  readonly policy?: Policy;
  readonly identity?: Identity;
  readonly observer?: Observer;
  /** Room versions that this server takes part in; by default every one of the spec, and I.1. */
  readonly versions?: RoomVersionRegistry;
  readonly limits?: Partial<Limits>;
}

export interface Host {
  readonly server: string;
  readonly storage: Storage;
  readonly transport: Transport;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: Random;
  readonly policy: Policy;
  readonly identity: Identity | undefined;
  readonly observer: Observer;
  readonly versions: RoomVersionRegistry;
  readonly limits: Limits;
}

/** @throws UsageError for a name that no server can have. */
export function hostOf(options: HostOptions): Host {
  if (!isServerName(options.server)) throw new UsageError(`${options.server} is no server name`);
  const limits = limitsOf(options.limits);
  return Object.freeze({
    server: options.server,
    storage: options.storage,
    transport: bounded(options.transport, options.clock, limits.requestTime),
    keys: options.keys,
    clock: options.clock,
    random: options.random,
    policy: options.policy ?? {},
    identity: options.identity,
    observer: guarded(options.observer ?? {}),
    versions: options.versions ?? roomVersions,
    limits,
  });
}

/** Every request has a deadline, whether or not the transport heeds it. */
function bounded(transport: Transport, clock: Clock, ms: number): Transport {
  return {
    listen: (receiver) => transport.listen(receiver),
    request: <N extends OperationName>(
      destination: string,
      name: N,
      request: OperationRequest<N>,
      cancel?: Cancel,
    ): Promise<OperationResult<N>> =>
      withDeadline(clock, ms, cancel, (inner) => {
        const given = new Promise<OperationResult<N>>((resolve) => {
          inner.onAbort(() => {
            const cancelled = cancel?.aborted === true;
            const reason = cancelled ? "cancelled by the caller" : `no answer within ${ms} ms`;
            resolve({ ok: false, error: { code: cancelled ? "cancelled" : "timeout", reason } });
          });
        });
        return Promise.race([transport.request(destination, name, request, inner), given]).then(wellFormed);
      }),
  };
}

/** An answer is an object; what it holds is looked at where it is used. */
function wellFormed<N extends OperationName>(result: OperationResult<N>): OperationResult<N> {
  const value: unknown = result.ok ? result.value : {};
  if (typeof value === "object" && value !== null) return result;
  return { ok: false, error: { code: "internal", reason: "the answer is no object" } };
}

/** An observer that throws is told so, and nothing else happens. */
function guarded(observer: Observer): Observer {
  const onFault: NonNullable<Observer["onFault"]> = (fault) => {
    try {
      observer.onFault?.(fault);
    } catch {
      // Nobody is left to be told.
    }
  };
  const guard = (where: string, call: () => void): void => {
    try {
      call();
    } catch (error) {
      onFault({ where: `observer ${where}`, error });
    }
  };
  return {
    ...(observer.onReceipt === undefined
      ? {}
      : {
          onReceipt: (receipt, context) => {
            guard("onReceipt", () => observer.onReceipt?.(receipt, context));
          },
        }),
    ...(observer.onStateChange === undefined
      ? {}
      : {
          onStateChange: (change) => {
            guard("onStateChange", () => observer.onStateChange?.(change));
          },
        }),
    onMetric: (metric) => {
      guard("onMetric", () => observer.onMetric?.(metric));
    },
    onFault,
  };
}
