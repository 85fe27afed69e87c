import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { sha256 } from "../../src/crypto/index.js";
import { contentHash, eventSignedBytes, redact, referenceHash } from "../../src/event/index.js";
import { omit } from "../../src/event/hashes.js";
import { encodeCanonical, utf8Encode } from "../../src/json/index.js";
import { EventForms } from "../../src/event/forms.js";
import { UsageError } from "../../src/errors.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { RoomVersionRules } from "../../src/rules/model.js";
import { roomVersions } from "../../src/versions/index.js";
import { rulesOf } from "../support/auth.js";

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

const RULES = rulesOf("10");

function formsOf(rules: RoomVersionRules, json: JsonObject): EventForms {
  const forms = EventForms.of(rules, json);
  if (forms === undefined) throw new Error("too large");
  return forms;
}

function message(body: JsonValue): JsonObject {
  return { type: "m.room.message", content: { body }, hashes: { sha256: "" }, room_id: "!a:b", sender: "@a:b" };
}

/** An object that calls back when its members are asked for. */
function watched(json: JsonObject, onRead: () => void): JsonObject {
  return new Proxy(json, {
    ownKeys: (target) => {
      onRead();
      return Reflect.ownKeys(target);
    },
  });
}

describe("the forms of an event that are put together from parts", () => {
  test.prop([event])("say what the functions over the whole event say, in every room version", (json) => {
    for (const id of roomVersions.ids()) {
      const rules = rulesOf(id);
      const forms = formsOf(rules, json);
      const content = sha256(encodeCanonical(omit(json, ["hashes", "signatures", "unsigned"])));
      const signed = encodeCanonical(omit(redact(rules, json), ["signatures", "unsigned"]));
      for (const hash of [forms.contentHash(), contentHash(json)]) expect(hash).toEqual(content);
      for (const bytes of [forms.signedBytes(), eventSignedBytes(rules, json)])
        expect(bytes).toEqual(utf8Encode(signed));
      for (const hash of [forms.referenceHash(), referenceHash(rules, json)]) expect(hash).toEqual(sha256(signed));
    }
  });

  test("are hashed where an object is larger than any event, as well", () => {
    const json = message("x".repeat(100_000));
    expect(contentHash(json)).toEqual(sha256(encodeCanonical(omit(json, ["hashes"]))));
    expect(referenceHash(RULES, json)).toEqual(referenceHash(RULES, { ...json, content: {} }));
    expect(referenceHash(RULES, { ...json, type: "m.room.aliases", sender: "x".repeat(100_000) })).toEqual(
      sha256(encodeCanonical(redact(RULES, { ...json, type: "m.room.aliases", sender: "x".repeat(100_000) }))),
    );
  });

  test.prop([fc.array(event, { minLength: 1, maxLength: 12 }), fc.nat(2_000)])(
    "stay as they are while others are written",
    (events, times) => {
      // More than what is written to one piece of memory.
      const filler = formsOf(RULES, message("x".repeat(times)));
      const all = events.map((json) => ({ json, forms: formsOf(RULES, json) }));
      const signed = all.map(({ forms }) => forms.signedBytes());
      for (let at = 0; at < 60; at++) formsOf(RULES, message("y".repeat(times))).signedBytes();
      all.forEach(({ json, forms }, at) => {
        expect(forms.contentHash()).toEqual(contentHash(json));
        expect(signed[at]).toEqual(eventSignedBytes(RULES, json));
      });
      expect(filler.signedBytes()).toEqual(eventSignedBytes(RULES, message("x".repeat(times))));
    },
  );

  test("are right for events that fill more than one piece of memory", () => {
    for (const length of [21_000, 32_000, 43_000, 60_000]) {
      for (const body of ["x".repeat(length), "é".repeat(length / 2), Array.from("z".repeat(length / 10))]) {
        for (const json of [message(body), { ...message(body), type: "m.room.create" }]) {
          const forms = formsOf(RULES, json);
          expect(forms.contentHash()).toEqual(contentHash(json));
          expect(forms.signedBytes()).toEqual(eventSignedBytes(RULES, json));
        }
      }
    }
  });

  test("are not those of an event that is read while another one is", () => {
    const inner = message("inner");
    let signed: Uint8Array | undefined;
    const content = watched({ body: "outer", more: 1 }, () => {
      signed = formsOf(RULES, inner).signedBytes();
    });
    const json = { ...message(""), content };
    const forms = formsOf(RULES, json);
    expect(signed).toEqual(eventSignedBytes(RULES, inner));
    expect(forms.contentHash()).toEqual(contentHash({ ...message(""), content: { body: "outer", more: 1 } }));
    expect(formsOf(RULES, inner).signedBytes()).toEqual(signed);
  });

  test("are none of an event that is too large, however large it would be", () => {
    const text = "x".repeat(60_000);
    const shared = Array.from({ length: 1_000 }, () => text);
    const values = [text.repeat(2), shared, Array.from({ length: 1_000 }, () => shared), { a: shared, b: shared }];
    for (const value of values) {
      expect(EventForms.of(RULES, message(value))).toBeUndefined();
      expect(EventForms.of(RULES, { ...message(""), unsigned: { value } })).toBeUndefined();
    }
    expect(formsOf(RULES, message("x")).signedBytes()).toEqual(eventSignedBytes(RULES, message("x")));
  });

  test("take no longer where the last key of each object has to be escaped, or stands elsewhere by code points", () => {
    for (const last of ["\\", "\uffff", "\u{1f600}"]) {
      let nested: JsonValue = 1;
      // Twice as long for each level would be an hour.
      for (let depth = 0; depth < 31; depth++) nested = { A: nested, [last]: 1 };
      const json = message(nested);
      const forms = formsOf(RULES, json);
      expect(forms.contentHash()).toEqual(sha256(encodeCanonical(omit(json, ["hashes"]))));
      expect(contentHash(json)).toEqual(forms.contentHash());
    }
  });

  test("are not asked of an event that grew meanwhile", () => {
    const content = { membership: "join" };
    const forms = formsOf(RULES, { ...message(""), type: "m.room.member", content });
    content.membership = "x".repeat(70_000);
    expect(() => forms.signedBytes()).toThrow(UsageError);
  });

  test("do without the keys that redaction drops, whatever they are", () => {
    const json = { ...message("x"), "\ud800": 1 };
    expect(referenceHash(RULES, json)).toEqual(referenceHash(RULES, message("x")));
  });

  test("refuse what canonical JSON cannot hold, as the whole event does, and go on after that", () => {
    for (const odd of [undefined, Number.NaN, 0.5, new Date(0), "\ud800"]) {
      const json = message(odd as JsonValue);
      expect(() => EventForms.of(RULES, json)).toThrow(UsageError);
      expect(() => contentHash(json)).toThrow(UsageError);
      expect(formsOf(RULES, message("x")).contentHash()).toEqual(contentHash(message("x")));
    }
  });
});
