/** Waiting in line for one of so many places, of which each server has a share. */

/** What came of waiting. */
export type Turn =
  | "entered"
  /** Too many wait already. */
  | "full"
  /** `signal` ended it. */
  | "aborted"
  /** The server cannot be reached: those who wait for it are sent away. */
  | "dismissed";

export interface LineLimits {
  readonly places: number;
  readonly waiting: number;
  readonly waitingPerServer: number;
  /** The places that a server may have now. */
  readonly placesOf: (server: string) => number;
}

interface Queue {
  active: number;
  readonly waiting: Set<(turn: Turn) => void>;
}

/** Servers take turns: one for which many wait does not keep the others waiting. */
export class Line {
  readonly #limits: LineLimits;
  readonly #queues = new Map<string, Queue>();
  /** Servers for which somebody waits and which have a place left, in their order. */
  readonly #ready = new Set<string>();
  #active = 0;
  #waiting = 0;

  constructor(limits: LineLimits) {
    this.#limits = limits;
  }

  /** Requests with a place, and those that wait for one. */
  get size(): { readonly active: number; readonly waiting: number } {
    return { active: this.#active, waiting: this.#waiting };
  }

  /** Whoever entered leaves by {@link leave}. */
  async enter(server: string, signal: AbortSignal): Promise<Turn> {
    if (signal.aborted) return "aborted";
    const queue = this.#queues.get(server) ?? { active: 0, waiting: new Set() };
    const { places, waiting, waitingPerServer, placesOf } = this.#limits;
    if (this.#active < places && queue.active < placesOf(server) && queue.waiting.size === 0) {
      this.#queues.set(server, queue);
      queue.active++;
      this.#active++;
      return "entered";
    }
    if (this.#waiting >= waiting || queue.waiting.size >= waitingPerServer) return "full";
    this.#queues.set(server, queue);
    return new Promise((resolve) => {
      const settle = (turn: Turn): void => {
        if (!queue.waiting.delete(settle)) return;
        this.#waiting--;
        signal.removeEventListener("abort", abort);
        if (turn === "entered") {
          queue.active++;
          this.#active++;
        }
        this.#tidy(server, queue);
        resolve(turn);
      };
      const abort = (): void => settle("aborted");
      signal.addEventListener("abort", abort);
      queue.waiting.add(settle);
      this.#waiting++;
      this.#tidy(server, queue);
    });
  }

  leave(server: string): void {
    const queue = this.#queues.get(server);
    if (queue === undefined) return;
    queue.active--;
    this.#active--;
    this.#tidy(server, queue);
    this.#admit();
  }

  /** Sends away who waits for a server. */
  dismiss(server: string): void {
    for (const settle of [...(this.#queues.get(server)?.waiting ?? [])]) settle("dismissed");
  }

  #admit(): void {
    while (this.#active < this.#limits.places) {
      const [server] = this.#ready;
      if (server === undefined) return;
      // To the end of the order, if it stays in it.
      this.#ready.delete(server);
      const [settle] = this.#queues.get(server)?.waiting ?? [];
      settle?.("entered");
    }
  }

  #tidy(server: string, queue: Queue): void {
    if (queue.waiting.size > 0 && queue.active < this.#limits.placesOf(server)) this.#ready.add(server);
    else this.#ready.delete(server);
    if (queue.waiting.size === 0 && queue.active === 0) this.#queues.delete(server);
  }
}
