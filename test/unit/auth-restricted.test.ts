/** Restricted joins (room versions 8 and later), knocking (7 and later), and both at once (10 and later). */
import { describe, expect, it } from "vitest";
import { factsUnknown, signaturesChecked } from "../../src/auth/index.js";
import type { AuthFacts } from "../../src/auth/index.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import {
  alice,
  at,
  bob,
  carol,
  everyVersion,
  expectAllowed,
  expectRejected,
  isOneOf,
  member,
  room,
  versions,
} from "../support/auth.js";
import type { RoomSketch } from "../support/auth.js";

const unsigned: AuthFacts = { ...signaturesChecked, signedBy: () => false };

/** Facts that record whom they were asked about. */
function asking(answer: boolean | undefined): { readonly facts: AuthFacts; readonly asked: string[] } {
  const asked: string[] = [];
  const signedBy = (server: string): boolean | undefined => {
    asked.push(server);
    return answer;
  };
  return { facts: { ...signaturesChecked, signedBy }, asked };
}

const by = (authoriser: JsonValue): JsonObject => ({ join_authorised_via_users_server: authoriser });
const join = (user: string, content: JsonObject = {}): ReturnType<typeof member> => member(user, "join", user, content);

/** alice may invite, bob is one short of it, and carol is not in the room. */
const sketch: RoomSketch = {
  levels: { users: { [alice]: 20, [bob]: 19 }, invite: 20 },
  joinRule: "restricted",
  members: { [alice]: "join", [bob]: "join" },
};

const restrictedRules: readonly (readonly [string, string])[] = [
  ...versions("8-12,I.1").map((version) => [version, "restricted"] as const),
  ...versions("10-12,I.1").map((version) => [version, "knock_restricted"] as const),
];

describe.each(restrictedRules)("[cap:auth-restricted v:%s] joins under the rule %s", (version, joinRule) => {
  const here = room(version, { ...sketch, joinRule });
  const authoriserRule = `${at(version, "join")}.5.2`;

  it("are allowed to who was invited or is in the room, without an authoriser", () => {
    for (const membership of ["invite", "join"]) {
      const known = room(version, { ...sketch, joinRule, members: { [carol]: membership } });
      expectAllowed(known.judge(join(carol)), version, `${at(version, "join")}.5.1`);
      expectAllowed(known.judge(join(carol, by("@nobody:here.example"))), version, `${at(version, "join")}.5.1`);
    }
  });

  it("are allowed with an authoriser who is joined and may invite", () => {
    expectAllowed(here.judge(join(carol, by(alice))), version, `${at(version, "join")}.5.3`);
    for (const membership of ["leave", "knock"]) {
      const known = room(version, { ...sketch, joinRule, members: { ...sketch.members, [carol]: membership } });
      expectAllowed(known.judge(join(carol, by(alice))), version, `${at(version, "join")}.5.3`);
    }
  });

  it("need an authoriser", () => {
    expectRejected(here.judge(join(carol)), version, authoriserRule);
  });

  it("need an authoriser who may invite", () => {
    expectRejected(here.judge(join(carol, by(bob))), version, authoriserRule, [here.member(bob), here.levels]);
  });

  it("need an authoriser who is joined", () => {
    expectRejected(here.judge(join(carol, by("@nobody:here.example"))), version, authoriserRule);
    expectRejected(here.judge(join(carol, by(carol))), version, authoriserRule);
    for (const membership of ["leave", "invite", "knock", "ban"]) {
      const gone = room(version, { ...sketch, joinRule, members: { [alice]: membership } });
      expectRejected(gone.judge(join(carol, by(alice))), version, authoriserRule, [gone.member(alice)]);
    }
  });

  it("are not allowed to the banned, nor in somebody else's name", () => {
    const banned = room(version, { ...sketch, joinRule, members: { ...sketch.members, [carol]: "ban" } });
    expectRejected(banned.judge(join(carol, by(alice))), version, `${at(version, "join")}.3`, [banned.member(carol)]);
    expectRejected(here.judge(member(carol, "join", alice, by(alice))), version, `${at(version, "join")}.2`);
  });
});

describe.each(versions("8-12,I.1"))("join_authorised_via_users_server [cap:auth-restricted v:%s]", (version) => {
  const here = room(version, sketch);
  const signature = `${at(version, "member")}.2.1`;

  it("asks for the signature of the authoriser's server", () => {
    const unsettled = asking(undefined);
    expect(here.judge(join(carol, by("@x:auth.example:8448")), unsettled.facts)).toEqual({
      verdict: "needs",
      events: [],
      facts: [{ fact: "signed-by", server: "auth.example:8448" }],
    });
    expect(unsettled.asked).toEqual(["auth.example:8448"]);
    expect(here.judge(join(carol, by(alice)), factsUnknown)).toEqual({
      verdict: "needs",
      events: [],
      facts: [{ fact: "signed-by", server: "here.example" }],
    });
  });

  it("is taken as signed where signatures were checked on receipt", () => {
    expectAllowed(here.judge(join(carol, by(alice)), signaturesChecked), version, `${at(version, "join")}.5.3`);
    expectAllowed(here.judge(join(carol, by(alice)), asking(true).facts), version, `${at(version, "join")}.5.3`);
  });

  it("without that signature rejects the event", () => {
    expectRejected(here.judge(join(carol, by(alice)), unsigned), version, signature);
  });

  it.each(["join", "invite", "leave", "ban", "knock", "dance"])("is looked at on %s as well", (membership) => {
    expectRejected(here.judge(member(carol, membership, alice, by(alice)), unsigned), version, signature);
    expect(here.judge(member(carol, membership, alice, by(alice)), factsUnknown).verdict).toBe("needs");
  });

  it("is looked at under every join rule, and before the first join", () => {
    const open = room(version, { ...sketch, joinRule: "public" });
    expectRejected(open.judge(join(carol, by(alice)), unsigned), version, signature);
    const first = { ...join(here.create.sender, by(alice)), prevEvents: ["$create"] };
    expectRejected(here.judge(first, unsigned), version, signature);
  });

  it("is not looked at before the shape of the event", () => {
    const content = { membership: "join", ...by(alice) };
    expectRejected(here.judge({ type: "m.room.member", content }, unsigned), version, `${at(version, "member")}.1`);
  });

  it.each<readonly [JsonValue]>([
    [null],
    [7],
    [true],
    [[alice]],
    [{}],
    [""],
    ["alice"],
    ["@alice"],
    ["alice:here.example"],
    ["@alice:"],
    ["@alice:here_example"],
    ["@alice:here.example:port"],
  ])("that is %j is no user id, and nobody is asked", (authoriser) => {
    const { facts, asked } = asking(true);
    expectRejected(here.judge(join(carol, by(authoriser)), facts), version, signature);
    expectRejected(here.judge(member(carol, "leave", carol, by(authoriser)), facts), version, signature);
    expect(asked).toEqual([]);
  });

  it("may name a user whose server name is historical", () => {
    const { facts, asked } = asking(undefined);
    expect(here.judge(join(carol, by("@x:256.1.1.1")), facts).verdict).toBe("needs");
    expect(asked).toEqual(["256.1.1.1"]);
  });

  it("means nothing on other types", () => {
    const message = { type: "m.room.message", sender: alice, content: by(7) };
    expectAllowed(here.judge(message, unsigned), version, at(version, "otherwise"));
  });
});

describe.each(versions("1-7"))("before room version 8 [cap:auth-membership v:%s]", (version) => {
  it("restricted is an unknown join rule, and an authoriser is not looked at", () => {
    const here = room(version, sketch);
    const { facts, asked } = asking(false);
    expectRejected(here.judge(join(carol, by(alice)), facts), version, `${at(version, "join")}.6`, [here.joinRules]);
    const open = room(version, { ...sketch, joinRule: "public" });
    expectAllowed(open.judge(join(carol, by(7)), facts), version, `${at(version, "join")}.5`);
    expect(asked).toEqual([]);
  });
});

describe.each(versions("1-9"))("before room version 10 [cap:auth-membership v:%s]", (version) => {
  it("knock_restricted is an unknown join rule, even to the invited", () => {
    const number = `${at(version, "join")}.${isOneOf(version, "1-7") ? 6 : 7}`;
    const members = { ...sketch.members, [carol]: "invite" };
    const here = room(version, { ...sketch, joinRule: "knock_restricted", members });
    expectRejected(here.judge(join(carol, by(alice))), version, number, [here.joinRules]);
  });
});

describe.each(versions("1-6"))("before room version 7 [cap:auth-membership v:%s]", (version) => {
  it("there is no knocking: no membership, no join rule, no way to take one back", () => {
    const members = { [alice]: "invite", [bob]: "join", [carol]: "knock" };
    const here = room(version, { joinRule: "knock", members });
    expectRejected(here.judge(member("@new:here.example", "knock")), version, at(version, "unknown"));
    expectRejected(here.judge(join(alice)), version, `${at(version, "join")}.6`, [here.joinRules]);
    expectRejected(here.judge(member(carol, "leave")), version, `${at(version, "leave")}.1`, [here.member(carol)]);
  });
});

const knockRules: readonly (readonly [string, string])[] = [
  ...versions("7-12,I.1").map((version) => [version, "knock"] as const),
  ...versions("10-12,I.1").map((version) => [version, "knock_restricted"] as const),
];

describe.each(knockRules)("[cap:auth-knock v:%s] knocks under the rule %s", (version, joinRule) => {
  const judge = (membership: string | undefined, sender = carol): ReturnType<ReturnType<typeof room>["judge"]> => {
    const members = membership === undefined ? {} : { [carol]: membership };
    return room(version, { joinRule, members }).judge(member(carol, "knock", sender));
  };
  const knock = at(version, "knock");

  it("are allowed to strangers, to those who left, and again to those who knock", () => {
    for (const membership of [undefined, "leave", "knock"]) expectAllowed(judge(membership), version, `${knock}.3`);
  });

  it("are not allowed to the banned, the invited and the joined", () => {
    for (const membership of ["ban", "invite", "join"]) {
      const here = room(version, { joinRule, members: { [carol]: membership } });
      expectRejected(here.judge(member(carol, "knock")), version, `${knock}.4`, [here.member(carol)]);
    }
  });

  it("are one's own", () => {
    expectRejected(judge(undefined, alice), version, `${knock}.2`);
  });

  it("can be taken back, answered with an invite, and refused by who may kick", () => {
    const members = { [alice]: "join", [carol]: "knock" };
    const here = room(version, { joinRule, levels: { users: { [alice]: 50 } }, members });
    expectAllowed(here.judge(member(carol, "leave")), version, `${at(version, "leave")}.1`);
    expectAllowed(here.judge(member(carol, "invite", alice)), version, `${at(version, "invite")}.4`);
    expectAllowed(here.judge(member(carol, "leave", alice)), version, `${at(version, "leave")}.4`);
  });

  it("do not let anybody in: a join still takes an invite", () => {
    const here = room(version, { joinRule, members: { [carol]: "knock", [alice]: "invite" } });
    const refusal = joinRule === "knock" ? "7" : "5.2";
    const number = isOneOf(version, "7") ? "6" : refusal;
    const against = joinRule === "knock" ? [here.joinRules] : [];
    expectRejected(here.judge(join(carol)), version, `${at(version, "join")}.${number}`, against);
    expectAllowed(here.judge(join(alice)), version, `${at(version, "join")}.${joinRule === "knock" ? "4" : "5.1"}`);
  });
});

describe.each(versions("7-12,I.1"))("knocks elsewhere [cap:auth-knock v:%s]", (version) => {
  const closed = [
    "invite",
    "public",
    "private",
    "restricted",
    ...(isOneOf(version, "7-9") ? ["knock_restricted"] : []),
  ];

  it.each(closed)("are rejected under the rule %s", (joinRule) => {
    const here = room(version, { joinRule });
    expectRejected(here.judge(member(carol, "knock")), version, `${at(version, "knock")}.1`, [here.joinRules]);
    expectRejected(here.judge(member(carol, "knock", alice)), version, `${at(version, "knock")}.1`, [here.joinRules]);
  });

  it("are rejected without join rules", () => {
    expectRejected(room(version).judge(member(carol, "knock")), version, `${at(version, "knock")}.1`);
  });
});

it("every room version is in one of the tables above", () => {
  expect(new Set([...versions("1-6"), ...versions("7-12,I.1")])).toEqual(new Set(everyVersion));
});
