import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eventIdOf, redact, referenceHash } from "../../src/event/index.js";
import { encodeCanonical } from "../../src/json/index.js";
import { setOwn, type JsonObject, type JsonValue } from "../../src/json/value.js";
import { ALL, basePdu, changed, frozen, PAIRS, rulesOf } from "../support/event.js";

/** The spec's tables, transcribed: each cell says in which versions a key survives. */
const everywhere = ALL;
const to10 = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "I.1"];
const to5 = ["1", "2", "3", "4", "5"];
const from8 = ["8", "9", "10", "11", "12", "I.1"];
const from9 = ["9", "10", "11", "12", "I.1"];
const from11 = ["11", "12"];

const keptTopLevel: Readonly<Record<string, readonly string[]>> = {
  event_id: everywhere,
  type: everywhere,
  room_id: everywhere,
  sender: everywhere,
  state_key: everywhere,
  content: everywhere,
  hashes: everywhere,
  signatures: everywhere,
  depth: everywhere,
  prev_events: everywhere,
  auth_events: everywhere,
  origin_server_ts: everywhere,
  prev_state: to10,
  origin: to10,
  membership: to10,
};
const neverTopLevel = ["unsigned", "redacts", "age_ts", "outlier", "destinations", "__proto__", "constructor", "x"];

const keptContent: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  "m.room.member": { membership: everywhere, join_authorised_via_users_server: from9 },
  "m.room.create": { creator: everywhere },
  "m.room.join_rules": { join_rule: everywhere, allow: from8 },
  "m.room.power_levels": {
    ban: everywhere,
    events: everywhere,
    events_default: everywhere,
    kick: everywhere,
    redact: everywhere,
    state_default: everywhere,
    users: everywhere,
    users_default: everywhere,
    invite: from11,
  },
  "m.room.aliases": { aliases: to5 },
  "m.room.history_visibility": { history_visibility: everywhere },
  "m.room.redaction": { redacts: from11 },
};
const otherTypes = [
  "m.room.message",
  "m.room.name",
  "m.room.topic",
  "m.room.third_party_invite",
  "m.room.server_acl",
  "m.room.tombstone",
  "m.room.encryption",
  "m.message",
  "constructor",
  "__proto__",
  "toString",
  "",
];
const types = [...Object.keys(keptContent), ...otherTypes];

/** Every content key that is protected somewhere, and names that a lookup could stumble over. */
const contentKeys = [
  ...new Set(Object.values(keptContent).flatMap((keys) => Object.keys(keys))),
  "notifications",
  "third_party_invite",
  "room_version",
  "m.federate",
  "additional_creators",
  "displayname",
  "reason",
  "body",
  "m.text",
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "toJSON",
  "ALLOW",
  "Membership",
];

function full(type: string, stateKey: string | undefined): JsonObject {
  const content: Record<string, JsonValue> = {};
  for (const key of contentKeys) setOwn(content, key, { kept: [key] });
  const event: Record<string, JsonValue> = {};
  for (const key of [...Object.keys(keptTopLevel), ...neverTopLevel]) setOwn(event, key, `value of ${key}`);
  return changed(event, { type, content, state_key: stateKey });
}

for (const id of ALL) {
  const rules = rulesOf(id);

  describe(`redaction in version ${id} [cap:redaction v:${id}]`, () => {
    it("keeps exactly the protected keys of the event", () => {
      const event = full("m.room.message", "");
      const expected = Object.entries(keptTopLevel).flatMap(([key, where]) => (where.includes(id) ? [key] : []));
      const redacted = redact(rules, event);
      expect(Reflect.ownKeys(redacted).sort()).toEqual(expected.sort());
      for (const key of expected) if (key !== "content") expect(redacted[key]).toEqual(event[key]);
      expect(Object.getPrototypeOf(redacted)).toBe(Object.prototype);
    });

    it.each(types)("keeps exactly the protected content of %j", (type) => {
      for (const stateKey of ["", "@alice:a.example", undefined]) {
        const event = full(type, stateKey);
        const table = Object.hasOwn(keptContent, type) ? keptContent[type] : undefined;
        const expected = Object.entries(table ?? {}).flatMap(([key, where]) => (where.includes(id) ? [key] : []));
        if (type === "m.room.member" && from11.includes(id)) expected.push("third_party_invite");
        const content = redact(rules, event)["content"] as JsonObject;
        if (type === "m.room.create" && from11.includes(id)) {
          expect(content).toBe(event["content"]);
          continue;
        }
        expect(Reflect.ownKeys(content).sort()).toEqual(expected.sort());
        for (const key of expected) {
          expect(content[key]).toEqual(key === "third_party_invite" ? {} : { kept: [key] });
        }
      }
    });

    it("reduces a third-party invite to what was signed, or removes it", () => {
      const kept = from11.includes(id);
      const redacted = (invite: JsonValue, type = "m.room.member"): JsonValue | undefined => {
        const content = { membership: "invite", third_party_invite: invite };
        return redact(rules, basePdu(id, { type, content }))["content"];
      };
      const signed = { mxid: "@a:b", token: "t", signatures: {} };
      const invite = { display_name: "Bob", signed, __proto__: { signed: 1 } };
      expect(redacted(invite)).toEqual(
        kept ? { membership: "invite", third_party_invite: { signed } } : { membership: "invite" },
      );
      expect(redacted({ signed: null, x: 1 })).toEqual(
        kept ? { membership: "invite", third_party_invite: { signed: null } } : { membership: "invite" },
      );
      expect(redacted({ display_name: "Bob" })).toEqual(
        kept ? { membership: "invite", third_party_invite: {} } : { membership: "invite" },
      );
      // No object: the key goes, the event stays (Synapse).
      for (const odd of [null, true, 1, "x", [], [signed]]) expect(redacted(odd)).toEqual({ membership: "invite" });
      expect(redacted(invite, "m.room.name")).toEqual({});
    });

    it("keeps the value of a protected key whatever it is", () => {
      for (const value of [null, 0, "", [], {}, { __proto__: null, deep: [1] }]) {
        const event = basePdu(id, {
          type: "m.room.join_rules",
          content: { join_rule: value },
          origin_server_ts: value,
        });
        expect(redact(rules, event)).toMatchObject({ content: { join_rule: value }, origin_server_ts: value });
      }
    });

    it("survives events that no server would accept", () => {
      expect(redact(rules, {})).toEqual({});
      expect(redact(rules, { type: "m.room.create" })).toEqual({ type: "m.room.create" });
      for (const content of [null, [], "x", 1]) expect(redact(rules, { content })).toEqual({ content });
      for (const type of [null, 1, ["m.room.member"]]) {
        expect(redact(rules, { type, content: { membership: "join" } })).toEqual({ type, content: {} });
      }
      expect(redact(rules, { content: { creator: "@a:b" } })).toEqual({ content: {} });
    });

    it("does not touch its input, and what it returns is its own", () => {
      const event = frozen(full("m.room.power_levels", ""));
      const before = encodeCanonical(event);
      const redacted = redact(rules, event);
      expect(encodeCanonical(event)).toBe(before);
      expect(redacted).not.toBe(event);
      expect(redacted["content"]).not.toBe(event["content"]);
    });

    it("is idempotent and never changes the event id or the reference hash", () => {
      const key = fc.constantFrom(...contentKeys);
      const scalar = fc.oneof(fc.constant(null), fc.boolean(), fc.integer(), fc.string());
      const value: fc.Arbitrary<JsonValue> = fc.oneof(scalar, fc.array(scalar), fc.dictionary(fc.string(), scalar));
      const event = fc
        .tuple(
          fc.constantFrom(...types),
          fc.dictionary(key, value),
          fc.dictionary(fc.constantFrom("origin", "x"), value),
        )
        .map(([type, content, extra]) => basePdu(id, { ...extra, type, content, unsigned: { age: 1 } }));
      fc.assert(
        fc.property(event, (json) => {
          const once = redact(rules, json);
          expect(redact(rules, once)).toEqual(once);
          expect(referenceHash(rules, once)).toEqual(referenceHash(rules, json));
          expect(eventIdOf(rules, once)).toBe(eventIdOf(rules, json));
        }),
        { numRuns: 50 },
      );
    });

    it(PAIRS.includes(id) ? "keeps `event_id`" : "would let a stray `event_id` change the hash", () => {
      const plain = changed(basePdu(id), { event_id: undefined });
      const stray = changed(plain, { event_id: "$x:a.example" });
      expect(referenceHash(rules, stray)).not.toEqual(referenceHash(rules, plain));
    });
  });
}

describe("redacted events, case by case", () => {
  it("v8 forgets who authorised a restricted join, v9 does not [cap:redaction v:8,9]", () => {
    const content = { membership: "join", join_authorised_via_users_server: "@mod:a.example" };
    const redacted = (id: string) => redact(rulesOf(id), basePdu(id, { type: "m.room.member", content }))["content"];
    expect(redacted("8")).toEqual({ membership: "join" });
    expect(redacted("9")).toEqual(content);
  });
  it("a redacted ACL has no rules left [cap:redaction v:1-12,I.1]", () => {
    for (const id of ALL) {
      const acl = basePdu(id, { type: "m.room.server_acl", state_key: "", content: { allow: ["*"], deny: [] } });
      expect(redact(rulesOf(id), acl)["content"]).toEqual({});
    }
  });
  it("content blocks do not survive [cap:redaction v:I.1]", () => {
    const message = basePdu("I.1", { type: "m.message", content: { "m.text": [{ body: "hello" }] } });
    expect(redact(rulesOf("I.1"), message)["content"]).toEqual({});
  });
});
