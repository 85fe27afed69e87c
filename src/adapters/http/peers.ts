/** Which servers could not be reached, and how long they are left alone. */
import { backOff } from "../../federation/back-off.js";

interface Peer {
  /** In a row. */
  readonly failures: number;
  readonly until: number;
}

/** How a server stood when a request to it began. */
export interface Standing {
  readonly server: string;
  readonly failures: number;
  /** Counts what was heard from servers that had failed, of all of them. */
  readonly heard: number;
}

export interface PeerLimits {
  readonly retryFirst: number;
  readonly retryLongest: number;
  readonly servers: number;
}

/**
 * Servers that could not be reached are left alone for a pause that doubles. Then one request at a time finds out
 * whether they are back. Only they are remembered, those that failed last.
 */
export class Peers {
  readonly #limits: PeerLimits;
  readonly #failing = new Map<string, Peer>();
  /** When somebody was heard from last, by requests that are under way: how often so far, of each server. */
  readonly #heard = new Map<string, { count: number; users: number }>();

  constructor(limits: PeerLimits) {
    this.#limits = limits;
  }

  isFailing(server: string): boolean {
    return this.#failing.has(server);
  }

  /** Milliseconds for which a server is still left alone. A clock may have been set back: no pause is that long. */
  pauseOf(server: string, now: number): number {
    const left = (this.#failing.get(server)?.until ?? now) - now;
    return left > 0 && left <= this.#limits.retryLongest ? left : 0;
  }

  /** A request begins; {@link end} takes what it returns. */
  begin(server: string): Standing {
    const heard = this.#heard.get(server) ?? { count: 0, users: 0 };
    heard.users++;
    this.#heard.set(server, heard);
    return { server, failures: this.#failing.get(server)?.failures ?? 0, heard: heard.count };
  }

  end({ server }: Standing): void {
    const heard = this.#heard.get(server);
    if (heard !== undefined && --heard.users === 0) this.#heard.delete(server);
  }

  answered({ server }: Standing): void {
    this.#failing.delete(server);
    const heard = this.#heard.get(server);
    if (heard !== undefined) heard.count++;
  }

  /**
   * Nobody answered a request. That says nothing where another request was answered since it began; and where others
   * failed with it, it is the same failure. Returns whether the server is left alone because of it.
   */
  failed({ server, failures, heard }: Standing, now: number): boolean {
    if ((this.#heard.get(server)?.count ?? 0) !== heard) return false;
    const before = this.#failing.get(server);
    if ((before?.failures ?? 0) !== failures) return false;
    const pause = backOff(this.#limits, failures + 1);
    this.#failing.delete(server);
    this.#failing.set(server, { failures: failures + 1, until: now + pause });
    const [oldest] = this.#failing.keys();
    if (this.#failing.size > this.#limits.servers && oldest !== undefined) this.#failing.delete(oldest);
    return true;
  }

  /** A server that asks something itself may be reached again: it is asked at once, by one request as after a pause. */
  heardFrom(server: string): void {
    const peer = this.#failing.get(server);
    if (peer !== undefined) this.#failing.set(server, { failures: peer.failures, until: Number.NEGATIVE_INFINITY });
  }
}
