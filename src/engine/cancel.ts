/** Waiting no longer than one wants to. */
import type { Cancel } from "../ports/cancel.js";
import type { Clock } from "../ports/clock.js";

/** A {@link Cancel} that its owner fires. */
export class Canceller implements Cancel {
  #aborted = false;
  readonly #listeners = new Set<() => void>();

  get aborted(): boolean {
    return this.#aborted;
  }

  onAbort(listener: () => void): () => void {
    if (this.#aborted) {
      listener();
      return () => undefined;
    }
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  cancel(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }
}

/**
 * Runs `work` with a {@link Cancel} that fires after `ms` milliseconds or when `outer` does. The clock's timer
 * is taken back when the work is done.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  outer: Cancel | undefined,
  work: (cancel: Cancel) => Promise<T>,
): Promise<T> {
  const inner = new Canceller();
  const timer = new Canceller();
  const release = outer?.onAbort(() => {
    inner.cancel();
  });
  void clock.sleep(ms, timer).then(() => {
    inner.cancel();
  });
  try {
    return await work(inner);
  } finally {
    release?.();
    timer.cancel();
  }
}
