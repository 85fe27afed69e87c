import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBase64, encodeUnpadded, verify } from "../../src/crypto/index.js";
import { UsageError } from "../../src/errors.js";
import {
  buildEvent,
  checkSignatures,
  contentHashMatches,
  cosignEvent,
  depthAfter,
  eventSignedBytes,
  parsePdu,
  redact,
  referenceHash,
  signedBytes,
  signEvent,
  signJson,
  stripState,
  type EventDraft,
  type Pdu,
} from "../../src/event/index.js";
import { encodeCanonical } from "../../src/json/index.js";
import { get, isObject, type JsonObject, type JsonValue } from "../../src/json/value.js";
import {
  ALL,
  basePdu,
  codeOf,
  frozen,
  hash43,
  keyOf,
  lookup,
  PAIRS,
  publicKey,
  roomEvent,
  roomOf,
  rulesOf,
  valueOf,
} from "../support/event.js";

const alice = keyOf("a.example", 1);
const bob = keyOf("b.example", 2, "ed25519:b_2");

function signatureOf(event: JsonObject, server: string, keyId: string): JsonValue | undefined {
  const all = get(event, "signatures");
  const ofServer = isObject(all) ? get(all, server) : undefined;
  return isObject(ofServer) ? get(ofServer, keyId) : undefined;
}

for (const id of ALL) {
  const rules = rulesOf(id);
  const mine = frozen(
    basePdu(id, {
      signatures: { "a.example": { "ed25519:old": "b2xk" }, "c.example": { x: "y" } },
      unsigned: { a: 1 },
    }),
  );

  describe(`signing in version ${id} [cap:signing v:${id}]`, () => {
    it("adds one signature and the content hash, and keeps everything else", () => {
      const signed = signEvent(rules, mine, alice);
      const signature = signatureOf(signed, "a.example", "ed25519:1");
      expect(signed).toEqual({
        ...mine,
        hashes: { sha256: get(signed["hashes"] as JsonObject, "sha256") },
        signatures: { "a.example": { "ed25519:old": "b2xk", "ed25519:1": signature }, "c.example": { x: "y" } },
      });
      expect(contentHashMatches(signed)).toBe(true);
      const bytes = typeof signature === "string" ? decodeBase64(signature) : undefined;
      expect(verify(bytes ?? new Uint8Array(64), eventSignedBytes(rules, signed), publicKey(alice))).toBe(true);
      expect(eventSignedBytes(rules, signed)).toEqual(signedBytes(redact(rules, signed)));
    });
    it("replaces a signature by the same key", () => {
      const twice = signEvent(rules, signEvent(rules, mine, alice), alice);
      expect(twice).toEqual(signEvent(rules, mine, alice));
    });
    it("co-signs without touching the hashes, even wrong ones", () => {
      const signed = frozen(signEvent(rules, mine, alice));
      const cosigned = cosignEvent(rules, signed, bob);
      expect(cosigned).toEqual({
        ...signed,
        signatures: {
          ...(signed["signatures"] as JsonObject),
          "b.example": { "ed25519:b_2": signatureOf(cosigned, "b.example", "ed25519:b_2") },
        },
      });
      expect(cosignEvent(rules, mine, bob)["hashes"]).toEqual({ sha256: hash43("A") });
      // Neither signature spoils the other.
      const event = valueOf(parsePdu(rules, cosigned));
      expect(checkSignatures(rules, event, lookup(alice)).status).toBe("verified");
      expect(
        checkSignatures(rules, { ...event, sender: "@x:b.example", eventId: "$x:b.example" }, lookup(bob)).status,
      ).toBe("verified");
    });
    it("makes room where there were no signatures, or none that were objects", () => {
      for (const signatures of [undefined, null, [], "x", { "a.example": null }]) {
        const signed = signEvent(rules, basePdu(id, { signatures }), alice);
        expect(Object.keys(signed["signatures"] as JsonObject)).toEqual(["a.example"]);
        expect(signatureOf(signed, "a.example", "ed25519:1")).toMatch(/^[A-Za-z0-9+/]{86}$/);
      }
    });
  });
}

describe("signing JSON [cap:signing]", () => {
  it("covers all but `signatures` and `unsigned`", () => {
    expect(new TextDecoder().decode(signedBytes({ b: 1, a: "é", unsigned: { x: 1 }, signatures: 1 }))).toBe(
      '{"a":"é","b":1}',
    );
  });
  it("keeps `__proto__` as data, in what is signed and around it", () => {
    const object = JSON.parse('{"__proto__":{"x":1},"a":1}') as JsonObject;
    const signed = signJson(object, { ...alice, server: "__proto__" });
    expect(Object.keys(signed)).toEqual(["__proto__", "a", "signatures"]);
    expect(Object.hasOwn(signed["signatures"] as JsonObject, "__proto__")).toBe(true);
    expect(new TextDecoder().decode(signedBytes(object))).toBe('{"__proto__":{"x":1},"a":1}');
  });
  it("takes a key without a value as absent", () => {
    const loose = Object.assign({ a: 1 }, { b: undefined }) as unknown as JsonObject;
    expect(Object.keys(signJson(loose, alice))).toEqual(["a", "signatures"]);
    expect(signJson(loose, alice)).toEqual(signJson({ a: 1 }, alice));
  });
  it("is deterministic, verifies, and leaves its input as it was", () => {
    const object = fc.dictionary(fc.string({ unit: "binary" }), fc.oneof(fc.integer(), fc.string({ unit: "binary" })));
    fc.assert(
      fc.property(object, (json) => {
        const before = encodeCanonical(frozen(json));
        const signed = signJson(json, alice);
        expect(encodeCanonical(json)).toBe(before);
        expect(signJson(json, alice)).toEqual(signed);
        const text = signatureOf(signed, "a.example", "ed25519:1");
        const signature = typeof text === "string" ? decodeBase64(text) : undefined;
        expect(verify(signature ?? new Uint8Array(64), signedBytes(json), publicKey(alice))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });
});

const draftOf = (id: string, changes: Partial<EventDraft> = {}): EventDraft => ({
  roomId: roomOf(id),
  type: "m.room.message",
  sender: "@alice:a.example",
  content: { body: "hi" },
  originServerTs: 1000,
  ...(PAIRS.includes(id) ? { eventId: "$built:a.example" } : {}),
  ...changes,
});

for (const id of ALL) {
  const rules = rulesOf(id);
  const none = { prevEvents: [], authEvents: [] };
  const parent = (name: string, depth: number): Pdu => {
    const changes = { depth, ...(PAIRS.includes(id) ? { event_id: `$${name}:a.example` } : {}) };
    return valueOf(parsePdu(rules, signEvent(rules, basePdu(id, changes), alice)));
  };

  describe(`building an event in version ${id} [cap:event-builder v:${id}]`, () => {
    it("makes one that any server accepts", () => {
      const [p, q, a] = [parent("p", 7), parent("q", 9), parent("a", 2)];
      const draft = frozen(draftOf(id, { stateKey: "" }));
      const built = valueOf(buildEvent(rules, draft, { prevEvents: [p, q], authEvents: [a] }, alice));
      expect(built).toMatchObject({
        depth: 10,
        originServerTs: 1000,
        sender: "@alice:a.example",
        stateKey: "",
        content: { body: "hi" },
        roomId: roomOf(id),
        prevEvents: [p.eventId, q.eventId],
        authEvents: [a.eventId],
      });
      expect(valueOf(parsePdu(rules, built.json))).toEqual(built);
      expect(contentHashMatches(built.json)).toBe(true);
      expect(checkSignatures(rules, built, lookup(alice)).status).toBe("verified");
      expect(Object.hasOwn(built.json, "event_id")).toBe(PAIRS.includes(id));
      const refs = (events: readonly Pdu[]): JsonValue =>
        events.map((event) =>
          PAIRS.includes(id)
            ? [event.eventId, { sha256: encodeUnpadded(referenceHash(rules, event.json)) }]
            : event.eventId,
        );
      expect(built.json["prev_events"]).toEqual(refs([p, q]));
      expect(built.json["auth_events"]).toEqual(refs([a]));
    });
    it("makes no state event without a state key", () => {
      const built = valueOf(buildEvent(rules, draftOf(id), none, alice));
      expect(Object.hasOwn(built.json, "state_key")).toBe(false);
      expect(built.depth).toBe(1);
    });
    it("puts `redacts` where the version wants it", () => {
      const draft = draftOf(id, {
        type: "m.room.redaction",
        redacts: "$target",
        content: { reason: "spam", constructor: 1 },
      });
      const built = valueOf(buildEvent(rules, draft, none, alice));
      const inContent = id === "11" || id === "12";
      expect(built.redacts).toBe("$target");
      expect(built.json["redacts"]).toBe(inContent ? undefined : "$target");
      expect(built.content).toEqual({ reason: "spam", constructor: 1, ...(inContent ? { redacts: "$target" } : {}) });
      expect(draft.content).toEqual({ reason: "spam", constructor: 1 });
    });
    it("names the room in a create event only where it has a name", () => {
      const draft = draftOf(id, { type: "m.room.create", stateKey: "", content: { room_version: id } });
      const built = valueOf(buildEvent(rules, draft, none, alice));
      expect(built.hasRoomId).toBe(id !== "12");
      expect(built.roomId).toBe(id === "12" ? `!${built.eventId.slice(1)}` : roomOf(id));
      const { roomId: _r, ...roomless } = draft;
      if (id === "12") expect(valueOf(buildEvent(rules, roomless, none, alice))).toEqual(built);
      else expect(() => buildEvent(rules, roomless, none, alice)).toThrow(UsageError);
      expect(() => buildEvent(rules, { ...roomless, type: "m.room.name" }, none, alice)).toThrow(UsageError);
    });
    it("demands an id exactly where none is computed", () => {
      const { eventId: _e, ...anonymous } = draftOf(id);
      if (PAIRS.includes(id)) expect(() => buildEvent(rules, anonymous, none, alice)).toThrow(UsageError);
      else {
        const built = valueOf(buildEvent(rules, { ...anonymous, eventId: "$ignored:a.example" }, none, alice));
        expect(built).toEqual(valueOf(buildEvent(rules, anonymous, none, alice)));
      }
    });
    it("refuses a draft that peers would drop", () => {
      const refused = (changes: Partial<EventDraft>) => codeOf(buildEvent(rules, draftOf(id, changes), none, alice));
      expect(refused({ content: { body: "x".repeat(66_000) } })).toBe("too_large");
      expect(refused({ type: "x".repeat(256) })).toBe("too_large");
      expect(refused({ sender: "alice" })).toBe("bad_identifier");
      expect(refused({ content: { n: 1.5 } })).toBe("bad_json");
      expect(refused({ content: { n: "\ud800" } })).toBe("bad_json");
      expect(refused({ originServerTs: 1.5 })).toBe("bad_json");
      expect(refused({ content: { n: 2n ** 60n } })).toBe(Number(id) <= 5 ? undefined : "bad_json");
      const many = Array.from({ length: 21 }, () => parent("p", 1));
      expect(codeOf(buildEvent(rules, draftOf(id), { prevEvents: many, authEvents: [] }, alice))).toBe("too_large");
    });
  });
}

describe("depth [cap:depth]", () => {
  it("is one more than the deepest parent, 1 without any, and clamped", () => {
    expect(depthAfter([])).toBe(1);
    expect(depthAfter([{ depth: 0 }])).toBe(1);
    expect(depthAfter([{ depth: 3 }, { depth: 9 }, { depth: 4 }])).toBe(10);
    expect(depthAfter([{ depth: Number.MAX_SAFE_INTEGER - 1 }])).toBe(Number.MAX_SAFE_INTEGER);
    expect(depthAfter([{ depth: 1 }, { depth: Number.MAX_SAFE_INTEGER }])).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe("stripped state [cap:stripped-state]", () => {
  it("has four keys", () => {
    for (const id of ALL) {
      const event = valueOf(
        parsePdu(
          rulesOf(id),
          basePdu(id, { type: "m.room.name", state_key: "", content: { name: "x" }, unsigned: { age: 1 } }),
        ),
      );
      expect(stripState(event)).toEqual({
        type: "m.room.name",
        state_key: "",
        sender: "@alice:a.example",
        content: { name: "x" },
      });
    }
  });
  it("does not exist of a message", () => {
    expect(() => stripState(roomEvent("$x"))).toThrow(UsageError);
  });
});
