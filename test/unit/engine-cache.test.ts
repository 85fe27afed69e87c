/** The cache against a map that forgets nothing. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { Marks } from "../../src/dag/integers.js";
import { Cache } from "../../src/engine/cache.js";

type Act =
  | { readonly kind: "set" | "get" | "delete"; readonly key: number }
  | { readonly kind: "all"; readonly keys: readonly number[] };

const key = fc.nat(40);
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ kind: fc.constantFrom("set" as const, "get" as const, "delete" as const), key }),
  fc.record({ kind: fc.constant("all" as const), keys: fc.uniqueArray(key, { maxLength: 30 }) }),
);

describe("a cache", () => {
  test.prop([fc.integer({ min: 1, max: 6 }), fc.array(act, { maxLength: 40 })])(
    "gives the latest value or none, and holds what was set last",
    (capacity, acts) => {
      const cache = new Cache<number, number>(capacity);
      const model = new Map<number, number>();
      for (const [at, one] of acts.entries()) {
        if (one.kind === "all") {
          const entries = new Map(one.keys.map((name) => [name, at]));
          cache.setAll(entries);
          for (const [name, value] of entries) model.set(name, value);
          for (const name of one.keys.slice(-capacity)) expect(cache.get(name)).toBe(at);
        } else if (one.kind === "set") {
          cache.set(one.key, at);
          model.set(one.key, at);
          expect(cache.get(one.key)).toBe(at);
        } else if (one.kind === "delete") {
          cache.delete(one.key);
          model.delete(one.key);
        }
        for (const name of one.kind === "get" ? [one.key] : Array.from({ length: 41 }, (_, each) => each)) {
          expect([undefined, model.get(name)]).toContain(cache.get(name));
        }
      }
    },
  );
});

describe("marks", () => {
  test.prop([fc.array(fc.tuple(fc.boolean(), fc.oneof(fc.constant(-1), fc.nat(300))), { maxLength: 60 })])(
    "are a set of numbers",
    (acts) => {
      const [marks, set] = [new Marks(), new Set<number>()];
      for (const [adds, number] of acts) {
        if (adds && number >= 0) {
          marks.add(number);
          set.add(number);
        } else {
          marks.delete(number);
          set.delete(number);
        }
        for (let each = -1; each < 310; each++) expect(marks.has(each)).toBe(set.has(each));
      }
    },
  );
});
