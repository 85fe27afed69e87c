/** The promises of a clock. */
import type { Awaitable } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";
import { expectEqual, expectTrue, portCheck, stateOf, testCancel, unkept } from "./check.js";
import type { PortCheck } from "./check.js";

/** A clock, and how its time passes where it does not pass by itself. */
export interface TestedClock {
  readonly clock: Clock;
  /** Lets time pass. Absent for a clock of the real time, which the checks then wait for: less than a second. */
  readonly advance?: (ms: number) => Awaitable<void>;
}

/** How the checks get at clocks. */
export interface ClockHost {
  readonly create: () => Awaitable<TestedClock>;
}

/** Timers of platforms may end a little early. */
const TOLERANCE = 2;
const HOUR = 3_600_000;

/** Waits for a promise, but not for ever. */
async function expectSoon({ clock, advance }: TestedClock, promise: Promise<void>, what: string): Promise<void> {
  if (advance !== undefined) {
    expectEqual(await stateOf(promise), "resolved", what);
    return;
  }
  const timeout = testCancel();
  const late = clock.sleep(1000, timeout).then(() => "late");
  const first = await Promise.race([promise.then(() => "in time"), late]);
  timeout.fire();
  expectEqual(first, "in time", what);
}

/** The checks of a clock. */
export function clockSuite(host: ClockHost): readonly PortCheck[] {
  const check = (name: string, body: (tested: TestedClock) => Promise<void>): PortCheck =>
    portCheck(name, async () => body(await host.create()));

  return [
    check("the time is whole milliseconds", ({ clock }) => {
      const now = clock.now();
      // It becomes the `origin_server_ts` of events, and canonical JSON has no fractions.
      expectTrue(Number.isSafeInteger(now), `now() is ${now}, not an integer`);
      return Promise.resolve();
    }),
    check("a sleep ends after its time, not before it", async (tested) => {
      const { clock, advance } = tested;
      const start = clock.now();
      const sleep = clock.sleep(40);
      expectEqual(await stateOf(sleep), "waiting", "a sleep that has just begun");
      if (advance === undefined) {
        await sleep;
        const slept = clock.now() - start;
        expectTrue(slept >= 40 - TOLERANCE, `a sleep of 40 ms took ${slept} ms`);
        return;
      }
      await advance(39);
      expectEqual(await stateOf(sleep), "waiting", "a sleep of 40 ms after 39 ms");
      await advance(1);
      expectEqual(await stateOf(sleep), "resolved", "a sleep of 40 ms after 40 ms");
      expectEqual(clock.now(), start + 40, "the time after 40 ms");
    }),
    check("sleeps at the same time end in the order of their ends", async ({ clock, advance }) => {
      const ended: number[] = [];
      const sleeps = [90, 10, 50].map(async (ms) => {
        await clock.sleep(ms);
        ended.push(ms);
      });
      await advance?.(1000);
      await Promise.all(sleeps);
      expectEqual(ended, [10, 50, 90], "the order in which sleeps ended");
    }),
    check("a sleep of no time, or less, ends", async (tested) => {
      for (const ms of [0, -1, -HOUR]) await expectSoon(tested, tested.clock.sleep(ms), `a sleep of ${ms} ms`);
    }),
    check("a cancelled sleep ends at once and does not reject", async (tested) => {
      const cancel = testCancel();
      const sleep = tested.clock.sleep(HOUR, cancel);
      const otherCancel = testCancel();
      const other = tested.clock.sleep(HOUR, otherCancel);
      expectEqual(await stateOf(sleep), "waiting", "a sleep that is not cancelled yet");
      cancel.fire();
      await expectSoon(tested, sleep, "a sleep after its cancellation");
      if ((await stateOf(other)) !== "waiting") unkept("the cancellation of one sleep ended another");
      otherCancel.fire();
      await expectSoon(tested, other, "the other sleep after its own cancellation");
    }),
    check("a sleep that is cancelled before it begins ends at once", async (tested) => {
      const cancel = testCancel();
      cancel.fire();
      await expectSoon(tested, tested.clock.sleep(HOUR, cancel), "a sleep that was cancelled before");
    }),
    check("a sleep that is over no longer listens for its cancellation", async (tested) => {
      const { clock, advance } = tested;
      const [through, cut] = [testCancel(), testCancel()];
      const sleeps = [clock.sleep(5, through), clock.sleep(HOUR, cut)];
      await advance?.(5);
      cut.fire();
      await Promise.all(sleeps);
      await stateOf(Promise.resolve());
      expectEqual(through.listeners(), 0, "listeners left after a sleep ended");
      expectEqual(cut.listeners(), 0, "listeners left after a sleep was cancelled");
      through.fire();
    }),
  ];
}
