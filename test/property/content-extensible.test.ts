import fc from "fast-check";
import { expect, it } from "vitest";
import { plainText, readMessage, readText, renderable } from "../../src/event/content.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";

const json = fc.jsonValue().map((value) => value as JsonValue);
const valid = fc.record({ body: fc.string() }).map((r): JsonValue => r);
const content: fc.Arbitrary<JsonObject> = fc.record({
  "m.text": fc.oneof(json, fc.array(fc.oneof(json, valid))),
  body: json,
});

it("reads any content as an ordered selection of its entries, and agrees with itself", () => {
  fc.assert(
    fc.property(content, fc.string(), (value, type) => {
      const text = readText(value);
      const entries = value["m.text"];
      expect(text === undefined).toBe(!Array.isArray(entries));
      expect(readMessage(value).ok).toBe(text !== undefined);
      expect(renderable({ type, stateKey: "", content: value })).toEqual({ kind: "state" });
      if (text === undefined) expect(plainText(value)).toBeUndefined();
      expect(text?.length ?? 0).toBeLessThanOrEqual(Array.isArray(entries) ? entries.length : 0);
    }),
  );
});

it("invalid entries around valid ones change nothing", () => {
  const bad: fc.Arbitrary<JsonValue> = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.constant({}));
  fc.assert(
    fc.property(fc.array(fc.tuple(bad, valid)), (pairs) => {
      const noisy = { "m.text": pairs.flat() };
      const clean = { "m.text": pairs.map(([, entry]) => entry) };
      expect(readText(noisy)).toEqual(readText(clean));
      expect(readText(noisy)?.length).toBe(pairs.length);
    }),
  );
});
