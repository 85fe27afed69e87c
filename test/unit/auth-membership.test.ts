/**
 * Membership (v1-5 rule 5, v6-11 rule 4, v12 rule 5). The grid runs every change of membership against an
 * oracle that restates the pages of the spec as ordered tables; the rest is what the grid cannot show.
 */
import { describe, expect, it } from "vitest";
import { checkStateDependent } from "../../src/auth/index.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import {
  alice,
  at,
  bob,
  carol,
  creator,
  everyVersion,
  expectAllowed,
  expectRejected,
  isOneOf,
  label,
  member,
  outcome,
  room,
} from "../support/auth.js";

/** One change of membership, in the words of the spec. */
interface Change {
  readonly to: string;
  readonly self: boolean;
  /** Current memberships; `leave` where there is none. */
  readonly target: string;
  readonly sender: string;
  readonly senderLevel: number;
  readonly targetLevel: number;
  readonly joinRule: string;
}

const inviteLevel = 20;
const kickLevel = 50;
const banLevel = 60;

type Line = readonly [applies: boolean, verdict: "allowed" | "rejected", number: string];

/** The page of a room version as ordered lines: the first that applies gives verdict and number. */
function page(version: string, c: Change): readonly Line[] {
  const knocking = isOneOf(version, "7-12,I.1");
  const restricting = isOneOf(version, "8-12,I.1");
  const knockRestricting = isOneOf(version, "10-12,I.1");
  const invited = c.target === "invite" || c.target === "join";
  const restricted =
    (restricting && c.joinRule === "restricted") || (knockRestricting && c.joinRule === "knock_restricted");
  const byInvite = c.joinRule === "invite" || (knocking && c.joinRule === "knock");
  const n = restricting ? 1 : 0;
  const outranks = c.targetLevel < c.senderLevel;
  switch (c.to) {
    case "join":
      return [
        [!c.self, "rejected", "2"],
        [c.target === "ban", "rejected", "3"],
        [byInvite && invited, "allowed", "4"],
        [restricted && invited, "allowed", "5.1"],
        // Nobody in the grid brings an authoriser.
        [restricted, "rejected", "5.2"],
        [c.joinRule === "public", "allowed", String(5 + n)],
        [true, "rejected", String(6 + n)],
      ];
    case "invite":
      return [
        [c.sender !== "join", "rejected", "2"],
        [c.target === "join" || c.target === "ban", "rejected", "3"],
        [c.senderLevel >= inviteLevel, "allowed", "4"],
        [true, "rejected", "5"],
      ];
    case "leave":
      return [
        [c.self && (invited || (knocking && c.target === "knock")), "allowed", "1"],
        [c.self, "rejected", "1"],
        [c.sender !== "join", "rejected", "2"],
        [c.target === "ban" && c.senderLevel < banLevel, "rejected", "3"],
        [c.senderLevel >= kickLevel && outranks, "allowed", "4"],
        [true, "rejected", "5"],
      ];
    case "ban":
      return [
        [c.sender !== "join", "rejected", "1"],
        [c.senderLevel >= banLevel && outranks, "allowed", "2"],
        [true, "rejected", "3"],
      ];
    case "knock":
      return [
        [c.joinRule !== "knock" && !(knockRestricting && c.joinRule === "knock_restricted"), "rejected", "1"],
        [!c.self, "rejected", "2"],
        [c.target !== "ban" && !invited, "allowed", "3"],
        [true, "rejected", "4"],
      ];
    default:
      return [[true, "rejected", ""]];
  }
}

function oracle(version: string, change: Change): string {
  const known = ["join", "invite", "leave", "ban", ...(isOneOf(version, "7-12,I.1") ? ["knock"] : [])];
  if (!known.includes(change.to)) return `rejected ${label(version, at(version, "unknown"))}`;
  const [, verdict, number] = page(version, change).find(([applies]) => applies) ?? [false, "no line applies", ""];
  const heading = at(version, change.to as "join" | "invite" | "leave" | "ban" | "knock");
  return `${verdict} ${label(version, `${heading}.${number}`)}`;
}

/** `none` is a room without the event; it counts as a membership of `leave` and a join rule of `invite`. */
const memberships = ["none", "leave", "invite", "join", "ban", "knock"];
const joinRules = ["none", "empty", "invite", "public", "knock", "restricted", "knock_restricted", "private"];
const targets = ["join", "invite", "leave", "ban", "knock", "dance"];

function judged(version: string, change: Change): string {
  const sender = change.self ? bob : alice;
  const rule = change.joinRule;
  const members: Record<string, string> = {};
  if (change.target !== "none") members[bob] = change.target;
  if (!change.self && change.sender !== "none") members[alice] = change.sender;
  const here = room(version, {
    levels: {
      users: { [alice]: change.senderLevel, [bob]: change.targetLevel },
      invite: inviteLevel,
      kick: kickLevel,
      ban: banLevel,
    },
    members,
    ...(rule === "none" ? {} : { joinRule: rule === "empty" ? {} : rule }),
  });
  return outcome(here.judge(member(bob, change.to, sender)));
}

function differences(version: string, changes: readonly Change[]): readonly string[] {
  const found: string[] = [];
  for (const change of changes) {
    const defaulted: Change = {
      ...change,
      target: change.target === "none" ? "leave" : change.target,
      sender: change.sender === "none" ? "leave" : change.sender,
      joinRule: ["none", "empty"].includes(change.joinRule) ? "invite" : change.joinRule,
    };
    const got = judged(version, change);
    const wanted = oracle(version, defaulted);
    if (got !== wanted) found.push(`${JSON.stringify(change)}: ${got}, not ${wanted}`);
  }
  return found;
}

/** Every change from `from` to `to`: by oneself and by others of each membership and rank. */
function* changes(from: string, to: string): Generator<Change> {
  const byRule = to === "join" || to === "knock";
  const levels = [inviteLevel - 1, inviteLevel, kickLevel - 1, kickLevel, banLevel - 1, banLevel];
  for (const joinRule of byRule ? joinRules : ["public"]) {
    for (const level of byRule ? [banLevel] : levels) {
      yield { to, self: true, target: from, sender: from, senderLevel: level, targetLevel: level, joinRule };
      for (const sender of byRule ? ["none", "join"] : memberships) {
        for (const targetLevel of [0, level - 1, level, level + 1]) {
          yield { to, self: false, target: from, sender, senderLevel: level, targetLevel, joinRule };
        }
      }
    }
  }
}

describe.each(everyVersion)("every change of membership [cap:auth-membership v:%s]", (version) => {
  describe.each(memberships)("from %s", (from) => {
    it.each(targets)("to %s", (to) => {
      const all = [...changes(from, to)];
      expect(all.length).toBeGreaterThan(70);
      expect(differences(version, all)).toEqual([]);
    });
  });
});

describe.each(everyVersion)("the shape of a membership event [cap:auth-membership v:%s]", (version) => {
  const here = room(version, { joinRule: "public" });
  const shape = `${at(version, "member")}.1`;

  it("has a state key that is a user id", () => {
    expectRejected(
      here.judge({ type: "m.room.member", sender: alice, content: { membership: "join" } }),
      version,
      shape,
    );
    for (const key of ["", "alice", "@alice", "alice:here.example", "!alice:here.example", "@alice:", "@a:b c"]) {
      expectRejected(here.judge(member(key, "join", alice)), version, shape);
    }
  });

  it("may be of a user with a historical id", () => {
    for (const user of ["@:here.example", "@Alice Smith!:here.example", "@ü:here.example:8448"]) {
      expectAllowed(
        here.judge(member(user, "join")),
        version,
        `${at(version, "join")}.${isOneOf(version, "1-7") ? 5 : 6}`,
      );
    }
  });

  it.each<readonly [JsonObject]>([
    [{}],
    [{ membership: null }],
    [{ membership: ["join"] }],
    [{ membership: { join: true } }],
    [{ membership: true }],
    [{ membership: 1 }],
    [{ Membership: "join" }],
  ])("has a membership that is a string, unlike %j", (content) => {
    expectRejected(here.judge({ type: "m.room.member", stateKey: alice, sender: alice, content }), version, shape);
  });

  it("has a membership that the version knows, spelt as it is", () => {
    for (const membership of ["", "Join", "JOIN", " join", "joined", "__proto__", "constructor", "left"]) {
      expectRejected(here.judge(member(alice, membership)), version, at(version, "unknown"));
    }
    if (!isOneOf(version, "1-6")) return;
    const knocking = room(version, { joinRule: "knock" });
    expectRejected(knocking.judge(member(alice, "knock")), version, at(version, "unknown"));
  });

  it("quotes no more than 64 characters of an unknown membership", () => {
    const verdict = here.judge(member(alice, "x".repeat(60_000)));
    const refusal = verdict.verdict === "rejected" ? verdict.refusal : undefined;
    expect(refusal?.reason).toContain(`"${"x".repeat(64)}"`);
    expect(refusal?.reason).not.toContain("x".repeat(65));
  });

  it("reads a current membership that is no string as leave", () => {
    const more = [
      { type: "m.room.member", stateKey: alice, sender: alice, content: { membership: 1 }, eventId: "$odd" },
    ];
    const odd = room(version, { joinRule: "invite", more });
    const rule = `${at(version, "join")}.${isOneOf(version, "1-7") ? 6 : 7}`;
    expectRejected(odd.judge(member(alice, "join")), version, rule, [odd.joinRules]);
  });
});

describe.each(everyVersion)("the first join [cap:auth-membership v:%s]", (version) => {
  const first = `${at(version, "join")}.1`;
  const uninvited = `${at(version, "join")}.${isOneOf(version, "1-7") ? 6 : 7}`;
  const join = (
    user: string,
    prevEvents: readonly string[] = ["$create"],
    sender = user,
  ): ReturnType<typeof member> => ({
    ...member(user, "join", sender),
    prevEvents,
  });

  it("is the creator's, right after the create event", () => {
    expectAllowed(room(version).judge(join(creator)), version, first);
  });

  it("comes before every other test of a join", () => {
    const banned = room(version, { joinRule: "private", members: { [creator]: "ban" } });
    expectAllowed(banned.judge(join(creator)), version, first);
    expectAllowed(banned.judge(join(creator, ["$create"], alice)), version, first);
  });

  it("is nobody else's", () => {
    expectRejected(room(version).judge(join(alice)), version, uninvited);
    expectRejected(room(version, { create: { additional_creators: [alice] } }).judge(join(alice)), version, uninvited);
  });

  it("has the create event for its only previous event", () => {
    for (const prevEvents of [[], ["$other"], ["$create", "$create"], ["$create", "$other"], ["$other", "$create"]]) {
      expectRejected(room(version).judge(join(creator, prevEvents)), version, uninvited);
    }
  });

  it("goes by the creator as the version defines it", () => {
    const lent = room(version, { create: { creator: alice } });
    const bySender = isOneOf(version, "11-12");
    expect(outcome(lent.judge(join(alice)))).toBe(
      bySender ? `rejected ${label(version, uninvited)}` : `allowed ${label(version, first)}`,
    );
    expect(outcome(lent.judge(join(creator)))).toBe(
      bySender ? `allowed ${label(version, first)}` : `rejected ${label(version, uninvited)}`,
    );
  });

  it("is a join and nothing else", () => {
    const leave = { ...member(creator, "leave"), prevEvents: ["$create"] };
    expectRejected(room(version).judge(leave), version, `${at(version, "leave")}.1`);
  });
});

/** What the refusals of the grid name beside the judged event. */
describe.each(everyVersion)("refusals of membership [cap:auth-membership v:%s]", (version) => {
  const joinOtherwise = isOneOf(version, "1-7") ? "6" : "7";
  const here = room(version, {
    levels: { users: { [alice]: 50, [bob]: 50 }, invite: 60 },
    joinRule: "invite",
    members: { [alice]: "join", [bob]: "ban", [carol]: "leave" },
  });

  it("name the ban, the join rules or the memberships that stand against a join", () => {
    expectRejected(here.judge(member(bob, "join")), version, `${at(version, "join")}.3`, [here.member(bob)]);
    expectRejected(here.judge(member(carol, "join")), version, `${at(version, "join")}.${joinOtherwise}`, [
      here.joinRules,
    ]);
    expectRejected(here.judge(member(carol, "join", alice)), version, `${at(version, "join")}.2`);
  });

  it("name what stands against an invite", () => {
    const invite = at(version, "invite");
    expectRejected(here.judge(member("@x:y", "invite", carol)), version, `${invite}.2`, [here.member(carol)]);
    expectRejected(here.judge(member(bob, "invite", alice)), version, `${invite}.3`, [here.member(bob)]);
    expectRejected(here.judge(member(carol, "invite", alice)), version, `${invite}.5`, [here.levels]);
  });

  it("name what stands against a leave", () => {
    const leave = at(version, "leave");
    expectRejected(here.judge(member(carol, "leave")), version, `${leave}.1`, [here.member(carol)]);
    expectRejected(here.judge(member(bob, "leave", carol)), version, `${leave}.2`, [here.member(carol)]);
    expectRejected(here.judge(member(bob, "leave", alice)), version, `${leave}.5`, [here.levels]);
    const weak = room(version, {
      levels: { users: { [alice]: 49 } },
      members: { [alice]: "join", [bob]: "ban" },
    });
    expectRejected(weak.judge(member(bob, "leave", alice)), version, `${leave}.3`, [weak.member(bob), weak.levels]);
  });

  it("name what stands against a ban", () => {
    const ban = at(version, "ban");
    expectRejected(here.judge(member(carol, "ban", bob)), version, `${ban}.1`, [here.member(bob)]);
    expectRejected(here.judge(member(bob, "ban", alice)), version, `${ban}.3`, [here.levels]);
  });

  it("say what the membership is: leave, where there is none or none that can be read", () => {
    const more = [{ type: "m.room.member", stateKey: bob, sender: bob, content: { membership: 1 }, eventId: "$odd" }];
    const odd = room(version, { more });
    for (const user of [alice, bob]) {
      const verdict = odd.judge(member(user, "leave"));
      expect(verdict.verdict === "rejected" && verdict.refusal.reason).toBe(`the membership of ${user} is leave`);
    }
  });

  it("name nothing that the state does not have", () => {
    const empty = room(version);
    expectRejected(empty.judge(member(carol, "leave")), version, `${at(version, "leave")}.1`);
    expectRejected(empty.judge(member(carol, "ban", alice)), version, `${at(version, "ban")}.1`);
    expectRejected(empty.judge(member(carol, "invite", alice)), version, `${at(version, "invite")}.2`);
    expectRejected(empty.judge(member(carol, "join")), version, `${at(version, "join")}.${joinOtherwise}`);
  });
});

describe.each(everyVersion)("an unban [cap:auth-membership v:%s]", (version) => {
  const unban = (senderLevel: number, targetLevel: number, levels: JsonObject): string => {
    const here = room(version, {
      levels: { users: { [alice]: senderLevel, [bob]: targetLevel }, ...levels },
      members: { [alice]: "join", [bob]: "ban" },
    });
    return outcome(here.judge(member(bob, "leave", alice)));
  };
  const leave = at(version, "leave");

  it("needs the ban level, the kick level and a lower target", () => {
    expect(unban(50, 49, { ban: 50, kick: 50 })).toBe(`allowed ${label(version, `${leave}.4`)}`);
    expect(unban(50, 49, { ban: 51, kick: 50 })).toBe(`rejected ${label(version, `${leave}.3`)}`);
    expect(unban(50, 49, { ban: 50, kick: 51 })).toBe(`rejected ${label(version, `${leave}.5`)}`);
    expect(unban(50, 50, { ban: 50, kick: 50 })).toBe(`rejected ${label(version, `${leave}.5`)}`);
  });
});

describe.each(everyVersion)("join rules that are not as expected [cap:auth-membership v:%s]", (version) => {
  const otherwise = `${at(version, "join")}.${isOneOf(version, "1-7") ? 6 : 7}`;

  it.each<readonly [JsonValue]>([[null], [1], [["public"]], [{ public: true }], [""], ["Public"], ["constructor"]])(
    "%j lets nobody in, not even who was invited",
    (joinRule) => {
      const members = { [alice]: "invite", [bob]: "join" };
      const here = room(version, { joinRule: { join_rule: joinRule }, members });
      for (const user of [alice, bob, carol]) {
        expectRejected(here.judge(member(user, "join")), version, otherwise, [here.joinRules]);
      }
    },
  );

  it("a key in another case is another key, and so the default, invite, stands", () => {
    const here = room(version, { joinRule: { JOIN_RULE: "public" }, members: { [alice]: "invite" } });
    expectAllowed(here.judge(member(alice, "join")), version, `${at(version, "join")}.4`);
    expectRejected(here.judge(member(carol, "join")), version, otherwise, [here.joinRules]);
  });

  it("are only those with an empty state key", () => {
    const more = [{ type: "m.room.join_rules", stateKey: "x", content: { join_rule: "public" }, eventId: "$x" }];
    const here = room(version, { more });
    expectRejected(here.judge(member(carol, "join")), version, otherwise);
  });
});

it("a judged event keeps its state as it was", () => {
  const here = room("10", { joinRule: "public", members: { [alice]: "leave" } });
  const before = JSON.stringify([here.create, here.joinRules, here.member(alice)]);
  checkStateDependent(here.rules, here.event(member(alice, "join")), here.state);
  expect(JSON.stringify([here.create, here.joinRules, here.member(alice)])).toBe(before);
});
