import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentHashMatches, eventIdOf, referenceHash } from "../../src/event/hashes.js";
import { readPdu } from "../../src/event/format.js";
import { redact } from "../../src/event/redact.js";
import { encodeCanonical } from "../../src/json/canonical.js";
import { textAt, withKeys } from "../../src/testing/forge.js";
import { arbEvent } from "../../src/testing/index.js";
import { roomVersions } from "../../src/versions/index.js";
import type { RoomVersionRules } from "../../src/versions/index.js";
import { runs, seed } from "./laws-support.js";

const versions = roomVersions.ids().map((id): [string, RoomVersionRules] => {
  const found = roomVersions.get(id);
  if (!found.ok) throw new Error(found.error.reason);
  return [id, found.value.rules];
});
const how = { seed, numRuns: runs(120) };

describe.each(versions)("in room version %s", (id, rules) => {
  const events = arbEvent(id);

  it("generated events have the right format and a true content hash", () => {
    fc.assert(
      fc.property(events, (event) => {
        expect(readPdu(rules, event)).toMatchObject({ ok: true, value: { rejectedForSize: undefined } });
        expect(contentHashMatches(event)).toBe(true);
      }),
      how,
    );
  });

  it("redaction is idempotent, keeps the id and the reference hash, and adds nothing", () => {
    fc.assert(
      fc.property(events, (event) => {
        const before = encodeCanonical(event);
        const once = redact(rules, event);
        expect(encodeCanonical(redact(rules, once))).toBe(encodeCanonical(once));
        expect(eventIdOf(rules, once)).toBe(eventIdOf(rules, event));
        expect(referenceHash(rules, once)).toEqual(referenceHash(rules, event));
        for (const [key, value] of Object.entries(once)) {
          if (key !== "content") expect(encodeCanonical(value)).toBe(encodeCanonical(event[key]!));
        }
        expect(Object.keys(event)).toEqual(expect.arrayContaining(Object.keys(once)));
        expect(encodeCanonical(event)).toBe(before);
      }),
      how,
    );
  });

  it("a redacted copy has the right format, and its id does not depend on what redaction takes", () => {
    fc.assert(
      fc.property(events, fc.string(), (event, extra) => {
        const redacted = redact(rules, event);
        expect(readPdu(rules, redacted).ok).toBe(true);
        const more = withKeys(event, { unsigned: { extra }, "x.unprotected": extra });
        expect(eventIdOf(rules, more)).toBe(eventIdOf(rules, event));
        expect(encodeCanonical(redact(rules, more))).toBe(encodeCanonical(redacted));
        expect(contentHashMatches(more)).toBe(false);
      }),
      how,
    );
  });

  it("what redaction protects is in the id", () => {
    if (rules.format.eventIds === "in-pdu") return;
    fc.assert(
      fc.property(events, fc.constantFrom("type", "sender", "depth", "origin_server_ts"), (event, key) => {
        const value = event[key];
        const changed = withKeys(event, { [key]: typeof value === "number" ? value ^ 1 : `${textAt(event, key)}x` });
        expect(eventIdOf(rules, changed)).not.toBe(eventIdOf(rules, event));
      }),
      how,
    );
  });
});
