/** What asynchronous calls share: a value that may be at hand, and a way to stop waiting. */

/** A value, now or later. A port may be synchronous. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Asks a call to stop. `cancelFrom` of roomdag/adapters/memory makes one of an `AbortSignal`.
 */
export interface Cancel {
  readonly aborted: boolean;
  /** Calls `listener` once when cancelled, at once if that has happened. Returns what takes the listener back. */
  onAbort(listener: () => void): () => void;
}
