/** Auth events selection (spec server-server-api, "Auth events selection"; digest AU2). */
import { describe, expect, it } from "vitest";
import { selectAuthEvents, stateOfAuthEvents } from "../../src/auth/index.js";
import type { JsonObject } from "../../src/json/value.js";
import { alice, bob, carol, eventOf, everyVersion, isOneOf, member, room, rulesOf, versions } from "../support/auth.js";
import type { Draft } from "../support/auth.js";

const named: Readonly<Record<string, readonly [string, string]>> = {
  create: ["m.room.create", ""],
  levels: ["m.room.power_levels", ""],
  rules: ["m.room.join_rules", ""],
  alice: ["m.room.member", alice],
  bob: ["m.room.member", bob],
  carol: ["m.room.member", carol],
  invite: ["m.room.third_party_invite", "token"],
};

/** The selection in words, sorted: its order carries no meaning. */
function selected(version: string, draft: Draft): readonly string[] {
  const keys = selectAuthEvents(rulesOf(version), eventOf(version, draft));
  const words = keys.map(([type, key]) => {
    const found = Object.entries(named).find(([, [t, k]]) => t === type && k === key);
    return found?.[0] ?? `${type} ${key}`;
  });
  return words.sort();
}

function expected(version: string, ...words: readonly string[]): readonly string[] {
  const create = version === "12" ? [] : ["create"];
  return [...create, "levels", ...words].sort();
}

const signed = { third_party_invite: { signed: { token: "token", mxid: bob } } };
const authorised = { join_authorised_via_users_server: carol };

describe.each(everyVersion)("auth events selection [cap:auth-selection v:%s]", (version) => {
  const restricted = isOneOf(version, "8-12,I.1");

  it("is empty for a create event, whatever it holds", () => {
    expect(selected(version, { type: "m.room.create", stateKey: "", sender: alice })).toEqual([]);
  });

  it("is create, power levels and the sender's membership for anything but membership", () => {
    const types = ["m.room.message", "m.room.power_levels", "m.room.join_rules", "m.room.third_party_invite"];
    for (const type of types) {
      expect(selected(version, { type, sender: alice })).toEqual(expected(version, "alice"));
      expect(selected(version, { type, sender: alice, stateKey: "" })).toEqual(expected(version, "alice"));
    }
    // A state key that is a user, and membership keys, mean nothing on other types.
    const lookalike = {
      type: "org.example.x",
      sender: alice,
      stateKey: bob,
      content: { membership: "invite", ...signed },
    };
    expect(selected(version, lookalike)).toEqual(expected(version, "alice"));
  });

  it.each([
    ["join", ["rules"]],
    ["invite", ["rules"]],
    ["knock", ["rules"]],
    ["leave", []],
    ["ban", []],
    ["dance", []],
  ] as const)("for membership %s takes the join rules: %j", (membership, extra) => {
    expect(selected(version, member(alice, membership))).toEqual(expected(version, "alice", ...extra));
    expect(selected(version, member(bob, membership, alice))).toEqual(expected(version, "alice", "bob", ...extra));
  });

  it("adds the third-party invite of the token, for invites alone", () => {
    expect(selected(version, member(bob, "invite", alice, signed))).toEqual(
      expected(version, "alice", "bob", "rules", "invite"),
    );
    for (const membership of ["join", "knock"]) {
      expect(selected(version, member(bob, membership, alice, signed))).toEqual(
        expected(version, "alice", "bob", "rules"),
      );
    }
    expect(selected(version, member(bob, "leave", alice, signed))).toEqual(expected(version, "alice", "bob"));
  });

  it.each<JsonObject>([
    { third_party_invite: null },
    { third_party_invite: "token" },
    { third_party_invite: {} },
    { third_party_invite: { signed: "token" } },
    { third_party_invite: { signed: {} } },
    { third_party_invite: { signed: { token: 1 } } },
    { third_party_invite: { token: "token" } },
    { signed: { token: "token" } },
  ])("finds no token in %j", (content) => {
    expect(selected(version, member(bob, "invite", alice, content))).toEqual(
      expected(version, "alice", "bob", "rules"),
    );
  });

  it(`${restricted ? "adds" : "does not add"} the authoriser's membership to joins`, () => {
    const extra = restricted ? ["carol"] : [];
    expect(selected(version, member(alice, "join", alice, authorised))).toEqual(
      expected(version, "alice", "rules", ...extra),
    );
    for (const membership of ["invite", "knock"]) {
      expect(selected(version, member(alice, membership, alice, authorised))).toEqual(
        expected(version, "alice", "rules"),
      );
    }
    expect(selected(version, member(alice, "leave", alice, authorised))).toEqual(expected(version, "alice"));
  });

  it("lists nobody twice: an authoriser who is the sender or the target adds nothing", () => {
    for (const authoriser of [alice, bob]) {
      const join = member(bob, "join", alice, { join_authorised_via_users_server: authoriser });
      expect(selected(version, join)).toEqual(expected(version, "alice", "bob", "rules"));
    }
    const nobody = member(alice, "join", alice, { join_authorised_via_users_server: 7 });
    expect(selected(version, nobody)).toEqual(expected(version, "alice", "rules"));
  });

  it("takes a membership event without a state key for its sender's", () => {
    const content = { membership: "join", ...authorised };
    expect(selected(version, { type: "m.room.member", sender: alice, content })).toEqual(expected(version, "alice"));
  });
});

describe.each(everyVersion)("the state of an event's auth events [cap:auth-selection v:%s]", (version) => {
  const here = room(version, { joinRule: "public", members: { [alice]: "join", [bob]: "join" } });
  const known = [here.create, here.joinRules, here.member(alice)].filter((event) => event !== undefined);
  const lookup = (id: string): (typeof known)[number] | undefined => known.find((event) => event.eventId === id);

  it("answers with the cited events and, in room version 12 only, with the create event that is not cited", () => {
    const authEvents = ["$rules", `$member-of-${alice}`, `$member-of-${bob}`];
    const state = stateOfAuthEvents(here.rules, here.event({ type: "m.room.message", authEvents }), lookup);
    expect(state("m.room.join_rules", "")).toBe(here.joinRules);
    expect(state("m.room.member", alice)).toBe(here.member(alice));
    // Cited, but the host does not have it.
    expect(state("m.room.member", bob)).toBeUndefined();
    expect(state("m.room.member", "")).toBeUndefined();
    expect(state("m.room.create", "")).toBe(version === "12" ? here.create : undefined);
  });

  it("answers with a cited create event", () => {
    const event = here.event({ type: "m.room.message", authEvents: ["$create"] });
    expect(stateOfAuthEvents(here.rules, event, lookup)("m.room.create", "")).toBe(here.create);
  });

  it("has no create event where the host has none", () => {
    const event = here.event({ type: "m.room.message", roomId: "!unknown" });
    expect(stateOfAuthEvents(here.rules, event, lookup)("m.room.create", "")).toBeUndefined();
  });
});

describe.each(versions("1-11,I.1"))(
  "the state of auth events before room version 12 [cap:auth-selection v:%s]",
  (version) => {
    it("takes no create event from the room id", () => {
      const here = room(version);
      const event = here.event({ type: "m.room.message", roomId: "!create" });
      const state = stateOfAuthEvents(here.rules, event, (id) => (id === "$create" ? here.create : undefined));
      expect(state("m.room.create", "")).toBeUndefined();
    });
  },
);
