/** What asynchronous calls share: a value that may be at hand, and a way to stop waiting. */

/** A value, now or later. A port may be synchronous. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Asks a call to stop. An `AbortSignal` becomes one in a line:
 * `{ get aborted() { return s.aborted; }, onAbort(f) { s.addEventListener("abort", f); return () => s.removeEventListener("abort", f); } }`.
 */
export interface Cancel {
  readonly aborted: boolean;
  /** Calls `listener` once when cancelled, at once if that has happened. Returns what takes the listener back. */
  onAbort(listener: () => void): () => void;
}
