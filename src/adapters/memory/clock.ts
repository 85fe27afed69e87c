/** Time that stands still until somebody moves it. */
import { UsageError } from "../../errors.js";
import type { Cancel } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";
import { insertInOrder, removeInOrder } from "./sorted.js";

/** A clock for tests and simulations. */
export interface ManualClock extends Clock {
  /** Lets `ms` milliseconds pass: sleeps that end within them resolve, in the order in which they end. */
  advance(ms: number): void;
  /** Sets the time forwards or back without letting any pass: no sleep ends sooner or later by that. */
  jump(ms: number): void;
  /** Milliseconds that have to pass until a sleep ends; `undefined` when nobody sleeps. */
  untilNext(): number | undefined;
}

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

/** @param start what the clock shows at first, in milliseconds since 1970. */
export function createManualClock(start: number = 0): ManualClock {
  let shown = start;
  let passed = 0;
  const sleepers: Sleeper[] = [];
  const due = (sleeper: Sleeper): number => sleeper.due;

  function sleep(ms: number, cancel?: Cancel): Promise<void> {
    if (ms <= 0 || cancel?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      let forget = (): void => undefined;
      const sleeper: Sleeper = {
        due: passed + ms,
        wake: () => {
          forget();
          resolve();
        },
      };
      insertInOrder(sleepers, due, sleeper);
      if (cancel === undefined) return;
      forget = cancel.onAbort(() => {
        removeInOrder(sleepers, due, sleeper);
        sleeper.wake();
      });
    });
  }

  return Object.freeze({
    now: () => shown,
    sleep,
    advance: (ms: number): void => {
      if (!(ms >= 0)) throw new UsageError("time passes in one direction: `jump` sets a clock back");
      passed += ms;
      shown += ms;
      for (let next = sleepers[0]; next !== undefined && next.due <= passed; next = sleepers[0]) {
        sleepers.shift();
        next.wake();
      }
    },
    jump: (ms: number): void => {
      shown += ms;
    },
    untilNext: () => {
      const next = sleepers[0];
      return next && next.due - passed;
    },
  });
}
