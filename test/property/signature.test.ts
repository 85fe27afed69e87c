import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentHashMatches } from "../../src/event/hashes.js";
import { readPdu } from "../../src/event/format.js";
import { redact } from "../../src/event/redact.js";
import { cosignEvent, signEvent } from "../../src/event/sign.js";
import { checkSignatures, requiredSigners } from "../../src/event/signatures.js";
import { encodeCanonical } from "../../src/json/canonical.js";
import type { JsonObject } from "../../src/json/value.js";
import { withKeys } from "../../src/testing/forge.js";
import { arbEvent, arbRoom, TEST_KEY_ID, testKeyLookup, testKeyOf } from "../../src/testing/index.js";
import { roomVersions } from "../../src/versions/index.js";
import type { RoomVersionRules } from "../../src/versions/index.js";
import { runs, seed } from "./laws-support.js";

const versions = roomVersions.ids().map((id): [string, RoomVersionRules] => {
  const found = roomVersions.get(id);
  if (!found.ok) throw new Error(found.error.reason);
  return [id, found.value.rules];
});
const keys = testKeyLookup();
const how = { seed, numRuns: runs(4) };

const statusOf = (rules: RoomVersionRules, json: JsonObject): string => {
  const event = readPdu(rules, json);
  return event.ok ? checkSignatures(rules, event.value, keys).status : event.error.code;
};

describe.each(versions)("in room version %s", (id, rules) => {
  it("every event of a signed room verifies, whole and redacted", () => {
    fc.assert(
      fc.property(arbRoom(id, { sign: true, maxSteps: 4 }), fc.nat(), ({ events }, at) => {
        const { pdu } = events[at % events.length]!;
        expect(contentHashMatches(pdu)).toBe(true);
        expect(statusOf(rules, pdu)).toBe("verified");
        const redacted = redact(rules, pdu);
        expect(encodeCanonical(redacted["signatures"]!)).toBe(encodeCanonical(pdu["signatures"]!));
        // Room version 8 takes the authorising user away, and with it the second required signature.
        expect(statusOf(rules, redacted)).toBe("verified");
      }),
      how,
    );
  });

  it("an event verifies if every server that has to sign can, and redaction keeps that", () => {
    fc.assert(
      fc.property(arbEvent(id, { sign: true }), (json) => {
        const event = readPdu(rules, json);
        if (!event.ok) throw new Error(event.error.reason);
        const possible = requiredSigners(rules, event.value).every(({ server }) => server !== undefined);
        expect(statusOf(rules, json)).toBe(possible ? "verified" : "refused");
        if (possible) expect(statusOf(rules, redact(rules, json))).toBe("verified");
      }),
      how,
    );
  });

  it("changing what redaction protects breaks the signature, and changing the rest does not", () => {
    fc.assert(
      fc.property(arbEvent(id, { sign: true }), fc.constantFrom("depth", "origin_server_ts", "hashes"), (json, key) => {
        if (statusOf(rules, json) !== "verified") return;
        const event = readPdu(rules, json);
        if (event.ok && requiredSigners(rules, event.value).length === 0) return;
        const changed = withKeys(json, { [key]: key === "hashes" ? { sha256: "" } : Number(json[key]) ^ 1 });
        expect(statusOf(rules, changed)).toBe("refused");
        expect(statusOf(rules, withKeys(json, { "x.unprotected": 1, unsigned: { age: 1 } }))).toBe("verified");
      }),
      how,
    );
  });

  it("signing adds one signature, keeps the others, and does not touch what it was given", () => {
    fc.assert(
      fc.property(arbEvent(id, { sign: true }), fc.constantFrom("other.example", "__proto__"), (json, server) => {
        const before = encodeCanonical(json);
        const signed = cosignEvent(rules, json, testKeyOf(server));
        const signatures = signed["signatures"] as Record<string, Record<string, string>>;
        expect(encodeCanonical(json)).toBe(before);
        expect(Object.keys(signatures).sort()).toEqual(
          [...new Set([...Object.keys(json["signatures"] as JsonObject), server])].sort(),
        );
        expect(Object.getOwnPropertyDescriptor(signatures, server)?.value).toHaveProperty([TEST_KEY_ID]);
        expect(signEvent(rules, json, testKeyOf(server))).toEqual(signed);
      }),
      how,
    );
  });
});

it("knows the test key of every server and no other key", () => {
  expect(keys("a.example", TEST_KEY_ID)?.key).toEqual(testKeyLookup()("a.example", TEST_KEY_ID)?.key);
  expect(keys("a.example", TEST_KEY_ID)?.key).not.toEqual(keys("b.example", TEST_KEY_ID)?.key);
  expect(keys("a.example", "ed25519:other")).toBeUndefined();
});
