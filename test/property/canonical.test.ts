import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePdu, parsePduText } from "../../src/event/format.js";
import { encodeCanonicalBytes } from "../../src/json/canonical-bytes.js";
import { encodeCanonical } from "../../src/json/canonical.js";
import { compareCodePoints } from "../../src/json/compare.js";
import { parseLax, parseStrict } from "../../src/json/parse.js";
import { arbEvent, arbHostileEvent } from "../../src/testing/index.js";
import { canonicalText } from "../../src/testing/canonical-text.js";
import { roomVersions } from "../../src/versions/index.js";
import type { RoomVersionRules } from "../../src/versions/index.js";
import { runs, seed } from "./laws-support.js";

const versions = roomVersions.ids().map((id): [string, RoomVersionRules] => {
  const found = roomVersions.get(id);
  if (!found.ok) throw new Error(found.error.reason);
  return [id, found.value.rules];
});

it("code points have the order of UTF-8 bytes", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(compareCodePoints(a, b)).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { seed, numRuns: runs(1000) },
  );
});

describe.each(versions)("events of room version %s", (id, rules) => {
  it("survive canonical JSON and both parsers", () => {
    fc.assert(
      fc.property(arbEvent(id), (event) => {
        const text = encodeCanonical(event);
        expect(text).toBe(canonicalText(event));
        expect(Buffer.from(encodeCanonicalBytes(event)).toString()).toBe(text);
        for (const parsed of [parseStrict(text), parseLax(text)])
          expect(parsed.ok && encodeCanonical(parsed.value)).toBe(text);
        const [fromText, fromValue] = [parsePduText(rules, text), parsePdu(rules, JSON.parse(text))];
        expect(fromText.ok && fromText.value.eventId).toBe(fromValue.ok && fromValue.value.eventId);
      }),
      { seed, numRuns: runs(60) },
    );
  });

  it("that are hostile are answered, and what is taken is written and read again", () => {
    const refused = new Set<string>();
    fc.assert(
      fc.property(arbHostileEvent(id), (hostile) => {
        const parsed = hostile.form === "text" ? parsePduText(rules, hostile.text) : parsePdu(rules, hostile.value);
        if (!parsed.ok) {
          expect(["bad_json", "bad_format", "bad_identifier", "too_large"]).toContain(parsed.error.code);
          refused.add(hostile.hostility);
          return;
        }
        const again = parsePduText(rules, encodeCanonical(parsed.value.json));
        expect(again.ok && again.value.eventId).toBe(parsed.value.eventId);
        expect(Object.getPrototypeOf(parsed.value.content)).toBeOneOf([Object.prototype, null]);
        expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
      }),
      { seed, numRuns: runs(100) },
    );
    expect(refused.size).toBeGreaterThan(15);
  });
});
