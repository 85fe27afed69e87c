/** Tests of suites: each finds what is wrong with an implementation. */
import { describe, expect, it } from "vitest";
import { PortViolation } from "../../src/testing/index.js";
import type { PortCheck } from "../../src/testing/index.js";

/** An implementation that is right but for one thing, and the check that has to notice. */
export type Broken<T> = readonly [what: string, check: string, make: T];

/** For each implementation a test that its check fails, and one that every check of the suite is failed by some. */
export function suiteNotices<T>(
  title: string,
  suiteOf: (make: T) => readonly PortCheck[],
  broken: readonly Broken<T>[],
): void {
  describe(title, () => {
    for (const [what, name, make] of broken) {
      it(`notices one that ${what}`, async () => {
        const found = suiteOf(make).filter((check) => check.name.includes(name));
        expect(found.map((check) => check.name)).toHaveLength(1);
        const error = await found[0]!.run().then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        expect(error).toBeInstanceOf(PortViolation);
        expect((error as PortViolation).check).toBe(found[0]!.name);
      });
    }

    it("has no check that nothing fails", () => {
      const checks = suiteOf(broken[0]![2]).map(({ name }) => name);
      expect(checks.filter((name) => !broken.some(([, fragment]) => name.includes(fragment)))).toEqual([]);
    });
  });
}
