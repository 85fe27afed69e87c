/** Asking others no more than needed: one request at a time for the same thing, so many at once, with pauses. */
import { Canceller } from "../../engine/cancel.js";
import type { Cancel } from "../../ports/cancel.js";

interface Running<T> {
  readonly promise: Promise<T>;
  readonly canceller: Canceller;
  waiting: number;
}

/** Work that several callers want is done once, and cancelled when none of them waits any more. */
export class Coalescer<T> {
  readonly #running = new Map<string, Running<T>>();

  /** The outcome of the work that goes by `name`; `undefined` when `cancel` fires first. */
  async run(name: string, cancel: Cancel | undefined, work: (cancel: Cancel) => Promise<T>): Promise<T | undefined> {
    if (cancel?.aborted === true) return undefined;
    const running = this.#running.get(name) ?? this.#start(name, work);
    running.waiting++;
    return orCancelled(running.promise, cancel, () => {
      if (--running.waiting > 0) return;
      this.#forget(name, running);
      running.canceller.cancel();
    });
  }

  #start(name: string, work: (cancel: Cancel) => Promise<T>): Running<T> {
    const canceller = new Canceller();
    const running: Running<T> = { promise: work(canceller), canceller, waiting: 0 };
    this.#running.set(name, running);
    const forget = (): void => this.#forget(name, running);
    running.promise.then(forget, forget);
    return running;
  }

  #forget(name: string, running: Running<T>): void {
    if (this.#running.get(name) === running) this.#running.delete(name);
  }
}

/** The outcome of `promise`, or `undefined` as soon as `cancel` fires, of which `left` is told. */
export function orCancelled<T>(
  promise: Promise<T>,
  cancel: Cancel | undefined,
  left: () => void = () => undefined,
): Promise<T | undefined> {
  if (cancel === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop = cancel.onAbort(() => {
      left();
      resolve(undefined);
    });
    promise.then(resolve, reject).finally(() => stop());
  });
}

/** So many at once; the others wait in line. */
export class Gate {
  #free: number;
  readonly #waiting: number;
  readonly #line = new Set<() => void>();

  /** @param waiting how long the line may be. */
  constructor(places: number, waiting: number = Number.POSITIVE_INFINITY) {
    this.#free = places;
    this.#waiting = waiting;
  }

  /** What `work` answers; `undefined` when the line is too long, or when `cancel` fires before its turn. */
  async pass<T>(cancel: Cancel, work: () => Promise<T>): Promise<T | undefined> {
    if (cancel.aborted || !(await this.#turn(cancel))) return undefined;
    try {
      return await work();
    } finally {
      const [next] = this.#line;
      if (next === undefined) this.#free++;
      else next();
    }
  }

  async #turn(cancel: Cancel): Promise<boolean> {
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    if (this.#line.size >= this.#waiting) return false;
    return new Promise((resolve) => {
      let stop = (): void => undefined;
      const settle = (turn: boolean) => (): void => {
        this.#line.delete(enter);
        stop();
        resolve(turn);
      };
      const enter = settle(true);
      this.#line.add(enter);
      stop = cancel.onAbort(settle(false));
    });
  }
}

/** When somebody may be asked again. */
export interface Pause {
  readonly until: number;
  /** In a row. */
  readonly failures: number;
}

export interface PauseLimits {
  readonly refreshPause: number;
  readonly retryFirst: number;
  readonly retryLongest: number;
}

/** The pause after an answer: short, and the same whether it held what was wanted or not. */
export function afterAnswer(now: number, limits: PauseLimits): Pause {
  return { until: now + limits.refreshPause, failures: 0 };
}

/** The pause after a failure: twice as long each time. */
export function afterFailure(before: Pause | undefined, now: number, limits: PauseLimits): Pause {
  const failures = (before?.failures ?? 0) + 1;
  const length = Math.min(limits.retryFirst * 2 ** Math.min(failures - 1, 40), limits.retryLongest);
  return { until: now + length, failures };
}

/** A clock may have been set back since: no pause is longer than pauses are. */
export function isPausing(pause: Pause | undefined, now: number, limits: PauseLimits): boolean {
  if (pause === undefined) return false;
  return now < pause.until && pause.until - now <= Math.max(limits.refreshPause, limits.retryLongest);
}
