/** Cancelling by what platforms have. */
import type { Cancel } from "../../ports/cancel.js";

/** The part of an `AbortSignal` that is needed. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** An `AbortSignal` as a {@link Cancel}. */
export function cancelFrom(signal: AbortSignalLike): Cancel {
  return Object.freeze({
    get aborted(): boolean {
      return signal.aborted;
    },
    onAbort: (listener: () => void): (() => void) => {
      if (signal.aborted) {
        listener();
        return () => undefined;
      }
      // A function of this call alone: a platform counts the same listener once.
      const heard = (): void => {
        signal.removeEventListener("abort", heard);
        listener();
      };
      signal.addEventListener("abort", heard);
      return () => signal.removeEventListener("abort", heard);
    },
  });
}
