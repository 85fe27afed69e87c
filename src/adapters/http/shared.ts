/** Work that several want is done once, work that has a time limit; and memories that do not grow. */
import type { Clock } from "../../ports/clock.js";
import { cancelFrom } from "../memory/cancel.js";

interface Running<T> {
  readonly promise: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

/** Work by name: who comes while it is under way waits for it. When nobody waits any more, it is ended. */
export class Shared<T> {
  readonly #running = new Map<string, Running<T>>();

  /** The outcome of the work; `undefined` as soon as `signal` fires. */
  async run(name: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    if (signal.aborted) return undefined;
    const running = this.#running.get(name) ?? this.#start(name, work);
    running.waiting++;
    return orAborted(running.promise, signal).finally(() => {
      if (--running.waiting > 0) return;
      this.#forget(name, running);
      running.stop.abort();
    });
  }

  #start(name: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const stop = new AbortController();
    const running: Running<T> = { promise: work(stop.signal), stop, waiting: 0 };
    this.#running.set(name, running);
    const forget = (): void => this.#forget(name, running);
    running.promise.then(forget, forget);
    return running;
  }

  #forget(name: string, running: Running<T>): void {
    if (this.#running.get(name) === running) this.#running.delete(name);
  }
}

/** The outcome of `promise`, or `undefined` as soon as `signal` fires; how it ends then does not matter. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const abort = (): void => resolve(undefined);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** The outcome of work, which is told to end when `signal` fires or after `ms`; `undefined` if that came first. */
export async function withTime<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  const inner = new AbortController();
  const timer = new AbortController();
  const stop = (): void => inner.abort();
  signal.addEventListener("abort", stop);
  void clock.sleep(ms, cancelFrom(timer.signal)).then(() => {
    if (!timer.signal.aborted) stop();
  });
  try {
    return await orAborted(work(inner.signal), inner.signal);
  } finally {
    signal.removeEventListener("abort", stop);
    timer.abort();
  }
}

/** What was put last; the oldest goes. */
export class Remembered<T> {
  readonly #values = new Map<string, T>();
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  put(key: string, value: T): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    const [oldest] = this.#values.keys();
    if (this.#values.size > this.#size && oldest !== undefined) this.#values.delete(oldest);
  }

  forget(key: string): void {
    this.#values.delete(key);
  }
}
