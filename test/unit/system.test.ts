import { spawnSync } from "node:child_process";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createSystemClock, createSystemRandom } from "../../src/adapters/system/index.js";
import { UsageError } from "../../src/errors.js";
import { clockSuite, randomSuite } from "../../src/testing/index.js";
import { testCancel } from "../../src/testing/suites/check.js";
import { bundle } from "../../scripts/bundle.mjs";

describe("the system's clock", () => {
  for (const check of clockSuite({ create: () => ({ clock: createSystemClock() }) })) it(check.name, check.run);
});
describe("the system's clock that lets the process end", () => {
  for (const check of clockSuite({ create: () => ({ clock: createSystemClock({ unref: true }) }) })) {
    it(check.name, check.run);
  }
});
describe("the system's randomness", () => {
  for (const check of randomSuite({ create: createSystemRandom })) it(check.name, check.run);
});

describe("long sleeps", () => {
  afterEach(() => vi.useRealTimers());
  const FORTY_DAYS = 40 * 24 * 3_600_000;

  it("last as long as they should, beyond what a timer can count", async () => {
    vi.useFakeTimers();
    let over = false;
    const sleep = createSystemClock()
      .sleep(FORTY_DAYS)
      .then(() => (over = true));
    await vi.advanceTimersByTimeAsync(FORTY_DAYS - 1);
    expect(over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await sleep;
    expect(over).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("never end by themselves when they are for ever, and leave no timer when cancelled", async () => {
    vi.useFakeTimers();
    const cancel = testCancel();
    let over = false;
    const sleep = createSystemClock()
      .sleep(Number.POSITIVE_INFINITY, cancel)
      .then(() => (over = true));
    await vi.advanceTimersByTimeAsync(3 * FORTY_DAYS);
    expect(over).toBe(false);
    cancel.fire();
    await sleep;
    expect(vi.getTimerCount()).toBe(0);
  });

  it("end at once when their time is no number", async () => {
    vi.useFakeTimers();
    const sleep = createSystemClock().sleep(Number.NaN);
    await vi.advanceTimersByTimeAsync(0);
    await sleep;
  });
});

it("a sleep keeps a process only if it is to", async () => {
  const outfile = await bundle("system-clock", "src/adapters/system/index.ts");
  const time = (options: string): number => {
    const script = `
      import { createSystemClock } from ${JSON.stringify(outfile)};
      createSystemClock(${options}).sleep(2500);`;
    const began = Date.now();
    const { status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script]);
    expect(status).toBe(0);
    return Date.now() - began;
  };
  expect(time("{ unref: true }")).toBeLessThan(2500);
  expect(time("")).toBeGreaterThanOrEqual(2500);
});

it("a process does not end while somebody only lets others have their turn", async () => {
  const outfile = await bundle("system-clock", "src/adapters/system/index.ts");
  const script = `
    import { createSystemClock } from ${JSON.stringify(outfile)};
    await createSystemClock({ unref: true }).sleep(0);
    console.log("went on");`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", script]);
  expect(stdout.toString()).toBe("went on\n");
});

describe("a platform without randomness", () => {
  afterEach(() => vi.unstubAllGlobals());
  it.each([undefined, {}])("is refused at the start (%o)", (crypto) => {
    vi.stubGlobal("crypto", crypto);
    expect(() => createSystemRandom()).toThrow(UsageError);
  });
});
