/** A network in memory: servers that call each other as if over a wire. */
import type { Cancel } from "../../ports/cancel.js";
import type { OperationErrorCode, OperationName, OperationRequest, OperationResult } from "../../ports/operations.js";
import type { Receiver, Transport } from "../../ports/transport.js";
import { copyData } from "./copy.js";

/** The servers of one process and the wires between them. */
export interface MemoryNetwork {
  /** The transport of a server; whoever holds it speaks as that server. */
  transport(server: string): Transport;
  /** Takes a server off the network: nothing reaches it, nothing that it sends arrives. */
  disconnect(server: string): void;
  connect(server: string): void;
  /**
   * Loses what goes from one server to another, answers too. A request the other way is still carried out,
   * and its sender does not learn of it.
   */
  block(from: string, to: string): void;
  unblock(from: string, to: string): void;
}

type Failure = { readonly ok: false; readonly error: { readonly code: OperationErrorCode; readonly reason: string } };

/** A network without servers. Everything that travels is copied, so nobody can change what another holds. */
export function createMemoryNetwork(): MemoryNetwork {
  const receivers = new Map<string, Receiver>();
  const disconnected = new Set<string>();
  const blocked = new Set<string>();
  const wire = (from: string, to: string): string => JSON.stringify([from, to]);
  const carries = (from: string, to: string): boolean =>
    !disconnected.has(from) && !disconnected.has(to) && !blocked.has(wire(from, to));

  async function carry<N extends OperationName>(
    origin: string,
    destination: string,
    name: N,
    request: OperationRequest<N>,
    cancel: Cancel | undefined,
  ): Promise<OperationResult<N>> {
    // The other side never runs on the caller's stack.
    await Promise.resolve();
    const receiver = receivers.get(destination);
    if (receiver === undefined) return fail("unreachable", `${destination} does not listen`);
    if (!carries(origin, destination)) return fail("unreachable", `nothing gets from ${origin} to ${destination}`);
    const result = copyData(await answerOf(receiver, origin, name, request, cancel));
    return carries(destination, origin)
      ? result
      : fail("unreachable", `the answer of ${destination} did not get to ${origin}`);
  }

  return Object.freeze({
    transport: (server: string): Transport =>
      Object.freeze({
        request: <N extends OperationName>(
          destination: string,
          name: N,
          request: OperationRequest<N>,
          cancel?: Cancel,
        ): Promise<OperationResult<N>> => {
          if (cancel?.aborted === true) return Promise.resolve(cancelled());
          return orCancelled(carry(server, destination, name, copyData(request), cancel), cancel);
        },
        listen: (receiver: Receiver): (() => void) => {
          receivers.set(server, receiver);
          return () => {
            if (receivers.get(server) === receiver) receivers.delete(server);
          };
        },
      }),
    disconnect: (server: string): void => void disconnected.add(server),
    connect: (server: string): void => void disconnected.delete(server),
    block: (from: string, to: string): void => void blocked.add(wire(from, to)),
    unblock: (from: string, to: string): void => void blocked.delete(wire(from, to)),
  });
}

async function answerOf<N extends OperationName>(
  receiver: Receiver,
  origin: string,
  name: N,
  request: OperationRequest<N>,
  cancel: Cancel | undefined,
): Promise<OperationResult<N>> {
  try {
    return await receiver(origin, name, request, cancel);
  } catch {
    // What a server threw is its own business: the other side learns that it failed.
    return fail("internal", "the other server failed");
  }
}

function orCancelled<T>(result: Promise<T>, cancel: Cancel | undefined): Promise<T | Failure> {
  if (cancel === undefined) return result;
  return new Promise((resolve, reject) => {
    const stop = cancel.onAbort(() => resolve(cancelled()));
    result.then(resolve, reject).finally(() => stop());
  });
}

function cancelled(): Failure {
  return fail("cancelled", "the request was cancelled");
}

function fail(code: OperationErrorCode, reason: string): Failure {
  return { ok: false, error: { code, reason } };
}
