/** The machine's time. */
import type { Cancel } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";

export interface SystemClockOptions {
  /**
   * Whether a process may end while somebody sleeps, where timers have `unref` (Node, Deno, Bun). Not by default. A
   * sleep of no time keeps it in any case.
   */
  readonly unref?: boolean;
}

/** Platforms count a timer's milliseconds in 31 bits, and fire at once what is longer. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The clock of the platform: `Date` and `setTimeout`. */
export function createSystemClock({ unref = false }: SystemClockOptions = {}): Clock {
  const sleep = (ms: number, cancel?: Cancel): Promise<void> =>
    new Promise((resolve) => {
      if (cancel?.aborted === true) {
        resolve();
        return;
      }
      let left = ms > 0 ? ms : 0;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = (): void => {
        clearTimeout(timer);
        stop?.();
        resolve();
      };
      const next = (): void => {
        if (left <= 0) {
          end();
          return;
        }
        wait();
      };
      const wait = (): void => {
        const part = Math.min(left, LONGEST_TIMER);
        left -= part;
        timer = setTimeout(next, part);
        // Who sleeps for no time has work to go on with, and only lets others have their turn.
        if (unref && ms > 0) letGo(timer);
      };
      const stop = cancel?.onAbort(end);
      wait();
    });
  return Object.freeze({ now: () => Date.now(), sleep });
}

/** Timers are numbers on some platforms. */
function letGo(timer: { readonly unref?: () => unknown } | number): void {
  if (typeof timer === "object") timer.unref?.();
}
