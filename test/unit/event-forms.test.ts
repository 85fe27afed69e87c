import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { contentHash, eventSignedBytes, referenceHash } from "../../src/event/index.js";
import { EventForms } from "../../src/event/forms.js";
import { encodeCanonical, encodeMembers } from "../../src/json/canonical.js";
import type { JsonObject } from "../../src/json/index.js";
import { roomVersions } from "../../src/versions/index.js";

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.constantFrom('a"b', "\\", "\u0001", "\ue000", "\u{1f600}", "__proto__", ""),
);
const leaf = fc.oneof(text, fc.maxSafeInteger(), fc.boolean(), fc.constant(null));
const value = fc.oneof(leaf, fc.array(leaf, { maxLength: 3 }), fc.dictionary(text, leaf, { maxKeys: 4 }));
const known = [
  "auth_events",
  "depth",
  "event_id",
  "hashes",
  "membership",
  "origin",
  "origin_server_ts",
  "prev_events",
  "prev_state",
  "redacts",
  "room_id",
  "sender",
  "signatures",
  "state_key",
  "unsigned",
];
const types = [
  "m.room.member",
  "m.room.create",
  "m.room.join_rules",
  "m.room.power_levels",
  "m.room.aliases",
  "m.room.history_visibility",
  "m.room.redaction",
  "m.room.message",
];
const contentKeys = ["membership", "creator", "users", "ban", "invite", "allow", "third_party_invite", "redacts"];
const content = fc.dictionary(fc.oneof(text, fc.constantFrom(...contentKeys)), value, { maxKeys: 6 });
const event: fc.Arbitrary<JsonObject> = fc
  .tuple(
    fc.dictionary(fc.oneof(text, fc.constantFrom(...known)), value, { maxKeys: 12 }),
    fc.option(fc.constantFrom(...types), { nil: undefined }),
    fc.option(fc.oneof(content, leaf), { nil: undefined }),
  )
  .map(([rest, type, inside]) => ({
    ...rest,
    ...(type === undefined ? {} : { type }),
    ...(inside === undefined ? {} : { content: inside }),
  }));

describe("the forms of an event that are put together from parts", () => {
  test.prop([event])("say what the functions over the whole event say, in every room version", (json) => {
    for (const id of roomVersions.ids()) {
      const version = roomVersions.get(id);
      if (!version.ok) throw new Error(version.error.reason);
      const { rules } = version.value;
      const forms = new EventForms(rules, json);
      expect(forms.whole()).toBe(encodeCanonical(json));
      expect(forms.length).toBe(encodeCanonical(json).length);
      expect(forms.contentHash()).toEqual(contentHash(json));
      expect(forms.signedBytes()).toEqual(eventSignedBytes(rules, json));
      expect(forms.referenceHash()).toEqual(referenceHash(rules, json));
    }
  });

  test.prop([event])("have members that make the canonical object", (json) => {
    const { keys, members } = encodeMembers(json);
    expect(`{${members.join(",")}}`).toBe(encodeCanonical(json));
    expect([...keys].sort()).toEqual(Object.keys(json).sort());
  });

  test("refuse what canonical JSON cannot hold, as the whole event does", () => {
    const odd: unknown = { a: undefined };
    expect(() => encodeMembers(odd as JsonObject)).toThrow("undefined");
  });
});
