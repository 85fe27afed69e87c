import { describe, expect, it } from "vitest";
import { encodeUnpadded } from "../../src/crypto/index.js";
import { UsageError } from "../../src/errors.js";
import { contentHash, eventIdOf, redact, signEvent, type KeyLookup } from "../../src/event/index.js";
import * as root from "../../src/index.js";
import { version } from "../../src/index.js";
import { encodeCanonical } from "../../src/json/index.js";
import { JsonFloat, type JsonObject, type JsonValue } from "../../src/json/value.js";
import { createRegistry, defineRoomVersion, deriveRules, roomVersions } from "../../src/versions/index.js";
import { resolveV2 } from "../../src/stateres/index.js";
import {
  ALL,
  basePdu,
  changed,
  codeOf,
  frozen,
  keyOf,
  LAX,
  lookup,
  PAIRS,
  roomOf,
  rulesOf,
  valueOf,
} from "../support/event.js";

const key = keyOf("a.example", 1);

describe("the root export", () => {
  it("has the short way in, and no more", () => {
    expect(Object.keys(root).sort()).toEqual(["UsageError", "createRegistry", "roomVersions", "version"]);
    expect(root.version("10").id).toBe("10");
    expect(root.roomVersions).toBe(roomVersions);
    expect(root.createRegistry).toBe(createRegistry);
    expect(root.UsageError).toBe(UsageError);
  });
});

describe("version()", () => {
  it("throws for a version that the registry does not have, and says what it has", () => {
    expect(() => version("13")).toThrow(UsageError);
    expect(() => version("13")).toThrow(/"13" is not registered.*use one of 1, 2/);
    const [ten] = [valueOf(roomVersions.get("10"))];
    expect(() => version("9", createRegistry([ten]))).toThrow(/use one of 10$/);
    expect(version("10", createRegistry([ten])).rules).toBe(ten.rules);
  });
  it("serves versions of one's own", () => {
    const own = defineRoomVersion(
      deriveRules(rulesOf("10"), "org.example.x", { format: { eventIds: "hash-standard" } }),
      resolveV2,
    );
    const api = version("org.example.x", roomVersions.with(own));
    expect(api.eventId(basePdu("10"))).toMatch(/^\$[A-Za-z0-9+/]{43}$/);
    expect(Object.isFrozen(api)).toBe(true);
  });
});

for (const id of ALL) {
  const api = version(id);
  const rules = rulesOf(id);
  describe(`plain JSON in, plain JSON out, version ${id}`, () => {
    const event = frozen(basePdu(id));

    it("does what the layers below do", () => {
      expect([api.id, api.rules]).toEqual([id, rules]);
      expect(api.redact(event)).toEqual(redact(rules, event));
      expect(api.contentHash(event)).toBe(encodeUnpadded(contentHash(event)));
      expect(api.eventId(event)).toBe(eventIdOf(rules, event));
      expect(api.sign(event, key)).toEqual(signEvent(rules, event, key));
      expect(valueOf(api.parse(event)).eventId).toBe(eventIdOf(rules, event));
      expect(valueOf(api.parse(encodeCanonical(event))).json).toEqual(event);
      expect(codeOf(api.parse("{"))).toBe("bad_json");
      expect(codeOf(api.parse(undefined))).toBe("bad_json");
    });
    it("passes the options of the parser on, for text and for values", () => {
      const refs = (event["prev_events"] as readonly JsonValue[])[0] ?? null;
      const many = changed(event, { prev_events: Array.from({ length: 21 }, () => refs) });
      for (const pdu of [many, encodeCanonical(many)]) {
        expect(codeOf(api.parse(pdu))).toBe("too_large");
        expect(codeOf(api.parse(pdu, { counts: "tolerated" }))).toBeUndefined();
      }
    });
    it("honours a given id, which is no part of the event from version 3 on", () => {
      const named = changed(event, { event_id: "$named" });
      const bare = changed(event, { event_id: PAIRS.includes(id) ? "$named" : undefined });
      expect(api.redact(named)).toEqual(redact(rules, bare));
      expect(api.contentHash(named)).toBe(encodeUnpadded(contentHash(bare)));
      expect(api.eventId(named)).toBe(eventIdOf(rules, bare));
      expect(api.sign(named, key)).toEqual(signEvent(rules, bare, key));
    });
    it("reports signatures and the content hash together", () => {
      const signed = api.sign(event, key);
      expect(api.verify(signed, lookup(key))).toEqual({
        status: "verified",
        contentHash: true,
        servers: new Map([["a.example", { status: "verified" }]]),
      });
      const altered = changed(signed, { content: {} });
      expect(api.verify(altered, lookup(key))).toMatchObject({ status: "verified", contentHash: false });
      expect(api.verify(changed(signed, { depth: 9 }), lookup(key))).toMatchObject({
        status: "refused",
        contentHash: false,
      });
      expect(api.verify(signed, lookup()).status).toBe("needs-key");
    });
    it("throws for what is no event", () => {
      const calls: readonly ((pdu: unknown) => unknown)[] = [
        (pdu) => api.redact(pdu),
        (pdu) => api.contentHash(pdu),
        (pdu) => api.eventId(pdu),
        (pdu) => api.sign(pdu, key),
        (pdu) => api.verify(pdu, lookup()),
        (pdu) => api.authTypes(pdu),
        (pdu) => api.authorize(pdu, { authEvents: [] }),
      ];
      for (const call of calls) {
        for (const pdu of [undefined, null, 1, "{}", [], new Date(0), { x: NaN }, { x: 1.5 }]) {
          expect(() => call(pdu)).toThrow(UsageError);
        }
      }
      expect(() => api.authTypes({ type: "x" })).toThrow(/this is no event of room version/);
      expect(() => api.authorize(event, { authEvents: [null] })).toThrow(UsageError);
      expect(() => api.resolve({ stateSets: [], events: [{}] })).toThrow(UsageError);
    });
    it("holds numbers to the version's rules", () => {
      for (const big of [2n ** 60n, new JsonFloat(1.5, "1.5")]) {
        const odd = changed(event, { content: { big } });
        if (LAX.includes(id)) expect(api.contentHash(odd)).toBe(encodeUnpadded(contentHash(odd)));
        else expect(() => api.contentHash(odd)).toThrow(UsageError);
      }
    });
  });
}

const createIdOf = (id: string): string => (id === "12" ? `$${"r".repeat(43)}` : "$create:a.example");

/** A room with a moderator and a member, as its versions hold it; ids are given, so that the graph is easy to read. */
function roomWith(id: string) {
  const create: JsonObject = {
    event_id: createIdOf(id),
    type: "m.room.create",
    state_key: "",
    sender: "@alice:a.example",
    content: { creator: "@alice:a.example", room_version: id },
    auth_events: [],
    prev_events: [],
    origin_server_ts: 1,
    ...(id === "12" ? {} : { room_id: roomOf(id) }),
  };
  const cite = (...names: string[]): JsonValue =>
    names
      .filter((name) => id !== "12" || name !== "create")
      .map((name) => (PAIRS.includes(id) ? [`$${name}:a.example`, {}] : `$${name}:a.example`));
  const event = (name: string, parts: JsonObject): JsonObject => ({
    event_id: `$${name}:a.example`,
    room_id: roomOf(id),
    sender: "@alice:a.example",
    origin_server_ts: 2,
    depth: 2,
    prev_events: cite("create"),
    auth_events: cite("create", "join"),
    ...parts,
  });
  const join = event("join", {
    type: "m.room.member",
    state_key: "@alice:a.example",
    content: { membership: "join" },
    auth_events: cite("create"),
  });
  const name = (title: string, parts: JsonObject = {}): JsonObject =>
    event(title, { type: "m.room.name", state_key: "", content: { name: title }, ...parts });
  return { create, join, event, name, cite };
}

for (const id of ALL) {
  const api = version(id);
  const { create, join, event, name, cite } = roomWith(id);
  const prefix = /^\d/.test(id) ? `v${id}` : id;
  const given = { authEvents: id === "12" ? [join] : [create, join], ...(id === "12" ? { create } : {}) };

  describe(`authorize in version ${id}`, () => {
    it("allows, and names the line that allowed", () => {
      expect(api.authorize(create, { authEvents: [] })).toEqual({
        verdict: "allowed",
        rule: expect.stringMatching(new RegExp(`^${prefix} rule 1\\.`)) as string,
      });
      expect(api.authorize(name("n"), given)).toMatchObject({ verdict: "allowed" });
      expect(api.authTypes(name("n"))).toEqual([
        ...(id === "12" ? [] : [["m.room.create", ""]]),
        ["m.room.power_levels", ""],
        ["m.room.member", "@alice:a.example"],
      ]);
    });
    it("rejects with the rule, the reason and the events", () => {
      const stranger = name("n", { sender: "@eve:a.example", auth_events: cite("create") });
      const verdict = api.authorize(stranger, { ...given, authEvents: id === "12" ? [] : [create] });
      expect(verdict).toMatchObject({
        verdict: "rejected",
        refusal: { code: "auth_rejected", events: ["$n:a.example"] },
      });
      if (verdict.verdict === "rejected") expect(verdict.refusal.rule).toMatch(new RegExp(`^${prefix} rule [56]$`));
    });
    it("rejects what cites a rejected event", () => {
      const verdict = api.authorize(name("n"), { ...given, rejected: ["$join:a.example"] });
      expect(verdict).toMatchObject({ verdict: "rejected", refusal: { events: ["$n:a.example", "$join:a.example"] } });
      expect(api.authorize(name("n"), { ...given, rejected: ["$other:a.example"] }).verdict).toBe("allowed");
    });
    it("asks for what is missing instead of rejecting", () => {
      const verdict = api.authorize(name("n"), {
        authEvents: id === "12" ? [] : [create],
        ...(id === "12" ? { create } : {}),
      });
      expect(verdict).toEqual({ verdict: "needs", events: ["$join:a.example"], facts: [] });
      if (id === "12") {
        const needs = api.authorize(name("n"), { authEvents: [join] });
        expect(needs).toEqual({ verdict: "needs", events: [`$${"r".repeat(43)}`], facts: [] });
      }
    });
    it("judges against the state where one is given, message events in it aside", () => {
      const left = event("left", {
        type: "m.room.member",
        state_key: "@alice:a.example",
        content: { membership: "leave" },
      });
      const message = event("m", { type: "m.room.member", content: {} });
      expect(api.authorize(name("n"), { ...given, state: [create, join, message] }).verdict).toBe("allowed");
      expect(api.authorize(name("n"), { ...given, state: [create, left, message] }).verdict).toBe("rejected");
      expect(api.authorize(name("n"), { ...given, state: [create, left, join] }).verdict).toBe("allowed");
      expect(api.authorize(name("n"), { ...given, state: [create] }).verdict).toBe("rejected");
      expect(() => api.authorize(name("n"), { ...given, state: ["x"] })).toThrow(UsageError);
    });
  });

  describe(`resolve in version ${id}`, () => {
    const [x, y] = [name("x", { origin_server_ts: 3, depth: 3 }), name("y", { origin_server_ts: 4, depth: 4 })];
    const createId = createIdOf(id);
    const states = [
      [createId, "$join:a.example", "$x:a.example"],
      [createId, "$join:a.example", "$y:a.example"],
    ];
    const input = { stateSets: states, events: [create, join, x, y] };

    it("gives sorted ids, whatever the order of states and events", () => {
      const resolved = api.resolve(input);
      expect(resolved).toEqual({ verdict: "resolved", state: [createId, "$join:a.example", "$y:a.example"].sort() });
      expect(api.resolve({ stateSets: [...states].reverse(), events: [y, x, join, create, y] })).toEqual(resolved);
      expect(api.resolve({ ...input, trace: false })).toEqual(resolved);
    });
    it("explains itself when asked", () => {
      const resolved = api.resolve({ ...input, trace: true });
      expect(resolved).toMatchObject({
        verdict: "resolved",
        trace: { algorithm: id === "1" ? "v1" : id === "12" ? "v2.1" : "v2" },
      });
      if (resolved.verdict === "resolved")
        expect(resolved.trace?.outcomes.map(({ winner }) => winner)).toEqual(["$y:a.example"]);
    });
    it("names the events that it lacks", () => {
      expect(api.resolve({ ...input, events: [create, join] })).toEqual({
        verdict: "needs",
        events: ["$x:a.example", "$y:a.example"],
        facts: [],
      });
      expect(api.resolve({ stateSets: [["$z"], ["$\u{1f600}", "$\uffff", "$z"]], events: [] })).toEqual({
        verdict: "needs",
        events: ["$z", "$\uffff", "$\u{1f600}"],
        facts: [],
      });
    });
    it("refuses events of two rooms and cycles", () => {
      const foreign = changed(y, { room_id: id === "12" ? `!${"s".repeat(43)}` : "!other:a.example" });
      expect(api.resolve({ ...input, events: [create, join, x, foreign] })).toMatchObject({
        verdict: "refused",
        refusal: { code: "wrong_room" },
      });
      const [a, b] = [
        changed(x, { auth_events: cite("create", "y") }),
        changed(y, { auth_events: cite("create", "x") }),
      ];
      if (id !== "1")
        expect(api.resolve({ ...input, events: [create, join, a, b] })).toMatchObject({
          verdict: "refused",
          refusal: { code: "cycle" },
        });
    });
    it("throws for a message in a state", () => {
      const message = event("m", { type: "m.room.message", content: {} });
      expect(() => api.resolve({ stateSets: [["$m:a.example"]], events: [message] })).toThrow(UsageError);
    });
    it("does not lean on rejected auth events", () => {
      // Neither state holds the join that both candidates cite.
      const bare = {
        ...input,
        stateSets: [
          [createId, "$x:a.example"],
          [createId, "$y:a.example"],
        ],
      };
      const winner = api.resolve(bare);
      // Version 1 looks at the given states only; where nobody passes, the last in its order stays (SR1).
      const stands = id === "1" ? "$x:a.example" : "$y:a.example";
      expect(winner).toEqual({ verdict: "resolved", state: [createId, stands].sort() });
      const lost = api.resolve({ ...bare, rejected: ["$join:a.example"] });
      expect(lost).toEqual(id === "1" ? winner : { verdict: "resolved", state: [createId] });
      expect(api.resolve({ ...bare, rejected: ["$elsewhere"] })).toEqual(winner);
    });
  });
}

describe("signature facts", () => {
  const api = version("10");
  const { create, event, cite } = roomWith("10");
  const rules = event("rules", { type: "m.room.join_rules", state_key: "", content: { join_rule: "restricted" } });
  const { join } = roomWith("10");
  const restricted = event("bob", {
    type: "m.room.member",
    state_key: "@bob:b.example",
    sender: "@bob:b.example",
    content: { membership: "join", join_authorised_via_users_server: "@alice:a.example" },
    auth_events: cite("create", "rules", "join"),
  });
  const authEvents = [create, rules, join];
  const verifies = (): boolean => true;

  it("count as settled unless the caller knows better [cap:auth-restricted v:10]", () => {
    expect(api.authorize(restricted, { authEvents })).toMatchObject({ verdict: "allowed", rule: "v10 rule 4.3.5.3" });
    expect(api.authorize(restricted, { authEvents, facts: { signedBy: () => false, verifies } })).toMatchObject({
      verdict: "rejected",
      refusal: { rule: "v10 rule 4.2.1" },
    });
    expect(api.authorize(restricted, { authEvents, facts: { signedBy: () => undefined, verifies } })).toEqual({
      verdict: "needs",
      events: [],
      facts: [{ fact: "signed-by", server: "a.example" }],
    });
  });
  it("a key lookup that throws is the caller's fault", () => {
    const broken: KeyLookup = () => {
      throw new Error("no store");
    };
    expect(() => api.verify(signEvent(rulesOf("10"), basePdu("10"), key), broken)).toThrow("no store");
  });
});
