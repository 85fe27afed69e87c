/** Asking a notary: one query at a time, in which everybody who waits has a place. */
import { Canceller } from "../../engine/cancel.js";
import type { Cancel } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";
import type { Keys } from "../../ports/keys.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import { afterFailure, isPausing } from "./asking.js";
import type { Pause } from "./asking.js";
import { checkServerKeys } from "./check.js";
import type { ServerKeys } from "./check.js";
import type { KeyLimits } from "./limits.js";

/** A server that is trusted to tell others' keys. It could make them up: choose it like a certificate authority. */
export interface Notary {
  readonly server: string;
  /** Its public keys by key id, where the host has them from elsewhere. Without, the notary is asked for them. */
  readonly keys?: Readonly<Record<string, Uint8Array>>;
}

/** By key id, until when it should be valid. */
export type Wants = ReadonlyMap<string, number>;

export interface NotaryPorts {
  readonly clock: Clock;
  readonly verify: Keys["verify"];
  readonly limits: KeyLimits;
  readonly ask: (request: OperationRequest<"query_keys">, cancel: Cancel) => Promise<OperationResult<"query_keys">>;
  readonly onFault: (error: unknown) => void;
  /** The notary's keys that are valid now; fetched anew when those before did not do. */
  readonly keys: (renewed: boolean, cancel: Cancel) => Promise<ReadonlyMap<string, Uint8Array>>;
}

interface Wish {
  readonly wants: Wants;
  readonly settle: (answers: readonly ServerKeys[]) => void;
}

/** Answers for each server that a query may hold: keys of different times come in several. */
const ANSWERS_PER_SERVER = 4;

export class NotaryLine {
  readonly #server: string;
  readonly #ports: NotaryPorts;
  readonly #line = new Map<string, Wish>();
  #isAsking = false;
  #pause: Pause | undefined;

  constructor(server: string, ports: NotaryPorts) {
    this.#server = server;
    this.#ports = ports;
  }

  /** What the notary says of a server, checked; nothing when it cannot be asked now or `cancel` fires. */
  ask(server: string, wants: Wants, cancel: Cancel): Promise<readonly ServerKeys[]> {
    const { clock, limits } = this.#ports;
    if (cancel.aborted || isPausing(this.#pause, clock.now(), limits)) return Promise.resolve([]);
    return new Promise((resolve) => {
      let stop = (): void => undefined;
      const wish: Wish = {
        wants,
        settle: (answers) => {
          stop();
          if (this.#line.get(server) === wish) this.#line.delete(server);
          this.#leave(wish);
          resolve(answers);
        },
      };
      this.#line.get(server)?.settle([]);
      this.#line.set(server, wish);
      stop = cancel.onAbort(() => wish.settle([]));
      if (!this.#isAsking) void this.#work();
    });
  }

  /** Those whom the query on its way is for, and what cancels it. */
  #batch = new Map<string, Wish>();
  #canceller = new Canceller();

  #leave(wish: Wish): void {
    for (const [server, one] of this.#batch) if (one === wish) this.#batch.delete(server);
    if (this.#batch.size === 0) this.#canceller.cancel();
  }

  async #work(): Promise<void> {
    this.#isAsking = true;
    // Whoever asks on this turn has a place in the first query.
    await Promise.resolve();
    while (this.#line.size > 0) {
      this.#canceller = new Canceller();
      this.#batch = new Map([...this.#line].slice(0, this.#ports.limits.queryServers));
      const asked = new Map(this.#batch);
      for (const server of asked.keys()) this.#line.delete(server);
      const answers = await this.#answers(asked, this.#canceller);
      for (const [server, wish] of asked) wish.settle(answers.filter((one) => one.server === server));
    }
    this.#isAsking = false;
  }

  /** Nobody waits for ever because a port failed. */
  async #answers(asked: ReadonlyMap<string, Wish>, cancel: Cancel): Promise<readonly ServerKeys[]> {
    try {
      return await this.#query(asked, cancel);
    } catch (error) {
      this.#ports.onFault(error);
      this.#pause = afterFailure(this.#pause, this.#ports.clock.now(), this.#ports.limits);
      return [];
    }
  }

  async #query(asked: ReadonlyMap<string, Wish>, cancel: Cancel): Promise<readonly ServerKeys[]> {
    const { clock, limits, ask, keys } = this.#ports;
    const known = await keys(false, cancel);
    const result =
      known.size === 0 ? undefined : await ask({ serverKeys: queryOf(asked, limits.queryServers) }, cancel);
    if (cancel.aborted) return [];
    const listed: unknown = result?.ok === true ? result.value.serverKeys : undefined;
    if (!Array.isArray(listed)) {
      this.#pause = afterFailure(this.#pause, clock.now(), limits);
      return [];
    }
    this.#pause = undefined;
    const entries: readonly unknown[] = listed.slice(0, asked.size * ANSWERS_PER_SERVER);
    const { good, unsigned } = await this.#check(entries, asked, known);
    if (unsigned.length === 0) return good;
    const renewed = await keys(true, cancel);
    return [...good, ...(await this.#check(unsigned, asked, renewed)).good];
  }

  async #check(
    entries: readonly unknown[],
    asked: ReadonlyMap<string, Wish>,
    keys: ReadonlyMap<string, Uint8Array>,
  ): Promise<{ readonly good: readonly ServerKeys[]; readonly unsigned: readonly unknown[] }> {
    const { clock, verify, limits } = this.#ports;
    const good: ServerKeys[] = [];
    const unsigned: unknown[] = [];
    for (const entry of entries) {
      const server = nameIn(entry);
      if (server === undefined || !asked.has(server)) continue;
      const notary = { server: this.#server, keys };
      const checked = await checkServerKeys(entry, { server, fetchedTs: clock.now(), verify, notary, limits });
      if (checked.ok) good.push(checked.value);
      else if (checked.error.code === "bad_signature") unsigned.push(entry);
    }
    return { good, unsigned };
  }
}

/** Whose keys an unchecked answer says that it holds. */
function nameIn(entry: unknown): string | undefined {
  if (typeof entry !== "object" || entry === null || !("server_name" in entry)) return undefined;
  return typeof entry.server_name === "string" ? entry.server_name : undefined;
}

function queryOf(asked: ReadonlyMap<string, Wish>, maxKeys: number): OperationRequest<"query_keys">["serverKeys"] {
  return Object.fromEntries(
    [...asked].map(([server, { wants }]) => {
      const keys = [...wants].slice(0, maxKeys);
      // "Servers MUST set `minimum_valid_until_ts`" (v5 Signing key validity period).
      return [server, Object.fromEntries(keys.map(([keyId, at]) => [keyId, { minimumValidUntilTs: wholeTime(at) }]))];
    }),
  );
}

function wholeTime(at: number): number {
  return Number.isFinite(at) ? Math.min(Math.max(0, Math.ceil(at)), Number.MAX_SAFE_INTEGER) : 0;
}
