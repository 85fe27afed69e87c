/** Create events (rule 1), what an event cites (rule 2, in room version 12 rules 2 and 3), and m.federate. */
import { describe, expect, it } from "vitest";
import { checkStateDependent, checkStateIndependent, ruleLabel } from "../../src/auth/index.js";
import type { AuthVerdict, EventLookup, KnownEvent } from "../../src/auth/index.js";
import type { RoomEvent } from "../../src/event/index.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import {
  alice,
  at,
  bob,
  carol,
  createContent,
  creator,
  eventOf,
  everyVersion,
  expectAllowed,
  expectRejected,
  isOneOf,
  label,
  member,
  room,
  rulesOf,
  versions,
} from "../support/auth.js";
import type { Draft, Room } from "../support/auth.js";

const unreachable: EventLookup = (id) => {
  throw new Error(`a create event is judged alone, yet ${id} was asked for`);
};

function create(version: string, content: JsonObject, more: Partial<Draft> = {}): AuthVerdict {
  const roomId = version === "12" ? "!event" : "!room:here.example";
  const draft: Draft = {
    type: "m.room.create",
    stateKey: "",
    sender: creator,
    prevEvents: [],
    roomId,
    content,
    ...more,
  };
  return checkStateIndependent(rulesOf(version), eventOf(version, draft), unreachable);
}

/** The number of the last line of rule 1. */
const allowedAt = (version: string): string => (version === "11" ? "1.4" : "1.5");

describe.each(everyVersion)("create events [cap:auth-create v:%s]", (version) => {
  const good = createContent(version);

  it("are allowed, and again in the state-dependent part, which does not look at the state", () => {
    expectAllowed(create(version, good), version, allowedAt(version));
    const here = room(version);
    const verdict = checkStateDependent(here.rules, here.create, () => {
      throw new Error("no state is needed");
    });
    expectAllowed(verdict, version, allowedAt(version));
  });

  it("may not have previous events, whatever their state key is", () => {
    expectRejected(create(version, good, { prevEvents: ["$other"] }), version, "1.1");
    expectRejected(create(version, good, { prevEvents: ["$other"], stateKey: "x" }), version, "1.1");
  });

  it("are allowed before their auth events are looked at, and with any state key", () => {
    expectAllowed(create(version, good, { authEvents: ["$unknown", "$unknown"] }), version, allowedAt(version));
    expectAllowed(create(version, good, { stateKey: "x" }), version, allowedAt(version));
  });

  it("name a recognised room version", () => {
    for (const named of ["", "0", "13", "01", "1.0", "i.1", "org.example.x", 1, null, true, [version], {}]) {
      expectRejected(create(version, { ...good, room_version: named }), version, "1.3");
    }
    const recognised: readonly JsonValue[] = version === "I.1" ? ["I.1"] : versions("1-12");
    for (const named of recognised) {
      expectAllowed(create(version, { ...good, room_version: named }), version, allowedAt(version));
    }
    const foreign: readonly JsonValue[] = version === "I.1" ? versions("1-12") : ["I.1"];
    for (const named of foreign) expectRejected(create(version, { ...good, room_version: named }), version, "1.3");
  });

  it(version === "I.1" ? "must say I.1" : "may leave the room version out", () => {
    const verdict = create(version, { creator });
    if (version === "I.1") expectRejected(verdict, version, "1.3");
    else expectAllowed(verdict, version, allowedAt(version));
  });

  it(`${isOneOf(version, "1-10,I.1") ? "need" : "do not need"} a creator, of any type`, () => {
    const verdict = create(version, { room_version: version });
    if (isOneOf(version, "1-10,I.1")) expectRejected(verdict, version, "1.4");
    else expectAllowed(verdict, version, allowedAt(version));
    for (const named of [null, 7, alice]) {
      expectAllowed(create(version, { ...good, creator: named }), version, allowedAt(version));
    }
  });

  it("are judged in the order of the page", () => {
    const bad = { room_version: "13", additional_creators: 1 };
    const foreign = version === "12" ? { hasRoomId: true } : { roomId: "!room:victim.example" };
    expectRejected(create(version, bad, { ...foreign, prevEvents: ["$x"] }), version, "1.1");
    expectRejected(create(version, bad, foreign), version, "1.2");
    expectRejected(create(version, bad), version, "1.3");
  });
});

describe.each(versions("1-11,I.1"))("the room id of a create event [cap:auth-create v:%s]", (version) => {
  it.each([
    ["!room:victim.example", "@u:other.example"],
    // The domain follows the first colon, not the last.
    ["!r:victim:8448", "@u:other:8448"],
    ["!r:victim:8448", "@u:victim"],
    ["!r:victim", "@u:victim:8448"],
    ["!r:here.EXAMPLE", "@u:here.example"],
    ["!room", "@u:here.example"],
    ["!a:b:here.example", "@u:here.example"],
  ])("%s is not one that %s can make", (roomId, sender) => {
    expectRejected(create(version, createContent(version), { roomId, sender }), version, "1.2");
  });

  it.each([
    ["!r:victim:8448", "@u:victim:8448"],
    ["!r:[::1]:8448", "@u:[::1]:8448"],
  ])("%s is one that %s can make", (roomId, sender) => {
    expectAllowed(create(version, createContent(version), { roomId, sender }), version, allowedAt(version));
  });

  it("says nothing about additional creators", () => {
    const content = createContent(version, { additional_creators: "not a list" });
    expectAllowed(create(version, content), version, allowedAt(version));
  });
});

describe("create events of room version 12 [cap:auth-create v:12] [cap:creators v:12]", () => {
  it("may not have a room id, though another version's shape would fit", () => {
    expectRejected(create("12", createContent("12"), { hasRoomId: true, roomId: "!room:here.example" }), "12", "1.2");
  });

  it.each<readonly [JsonValue]>([
    [null],
    [""],
    [alice],
    [{}],
    [{ 0: alice }],
    [[alice, null]],
    [[7]],
    [[[alice]]],
    [["alice"]],
    [["@alice"]],
    [["alice:here.example"]],
    [["@alice:"]],
    [["@alice:here_example"]],
    [["@alice:here.example:port"]],
    [[alice, "@alice:exa mple"]],
    [[`@${"a".repeat(255)}:here.example`]],
  ])("may not have the additional creators %j", (additional) => {
    expectRejected(create("12", createContent("12", { additional_creators: additional })), "12", "1.4");
  });

  it.each<readonly [JsonValue]>([
    [[]],
    [[alice]],
    [[alice, bob, alice]],
    [[creator]],
    [["@Historical user!:[::1]:8448", "@:x"]],
  ])("may have the additional creators %j", (additional) => {
    expectAllowed(create("12", createContent("12", { additional_creators: additional })), "12", "1.5");
  });
});

/** What the host holds: the room's create event, power levels, join rules and members, and a few strangers. */
function host(here: Room, others: readonly KnownEvent[] = []): EventLookup {
  const events = [here.create, here.levels, here.joinRules, here.member(alice), here.member(bob)];
  const known = events.filter((event) => event !== undefined).map((event) => ({ event, rejected: false }));
  // A test's own events come first, so that they can stand in for one of the room's.
  return (id) => [...others, ...known].find(({ event }) => event.eventId === id);
}

const memberOf = (user: string): string => `$member-of-${user}`;

describe.each(everyVersion)("auth events [cap:rejection v:%s]", (version) => {
  const here = room(version, {
    levels: { users: { [alice]: 50 } },
    joinRule: "public",
    members: { [alice]: "join", [bob]: "invite" },
  });
  const considered = version === "12" ? "3" : "2";
  const cite = (...ids: readonly string[]): readonly string[] => (version === "12" ? ids : ["$create", ...ids]);
  const check = (
    authEvents: readonly string[],
    others: readonly KnownEvent[] = [],
    more: Partial<Draft> = {},
  ): AuthVerdict => {
    const event = here.event({ type: "m.room.message", sender: alice, authEvents, ...more });
    return checkStateIndependent(here.rules, event, host(here, others));
  };
  const stranger = (draft: Draft, rejected = false): KnownEvent => ({ event: here.event(draft), rejected });

  it("that follow the selection are allowed", () => {
    expectAllowed(check(cite("$levels", memberOf(alice))), version, at(version, "otherwise"));
    expectAllowed(check(cite()), version, at(version, "otherwise"));
    const knock = member(bob, "invite", alice);
    expectAllowed(
      check(cite("$levels", "$rules", memberOf(alice), memberOf(bob)), [], knock),
      version,
      at(version, "otherwise"),
    );
  });

  it("may not be two of one type and state key", () => {
    const twin = stranger({ ...member(alice, "join"), eventId: "$twin" });
    const verdict = check(cite(memberOf(alice), "$twin"), [twin]);
    expectRejected(verdict, version, `${considered}.1`, [here.member(alice), twin.event]);
    const same = check(cite("$levels", memberOf(alice), "$levels"));
    expectRejected(same, version, `${considered}.1`, [here.levels, here.levels]);
  });

  it("may be of one type with two state keys, or of two types with one state key", () => {
    const verdict = check(cite("$levels", memberOf(alice), memberOf(bob)), [], member(bob, "leave", alice));
    expectAllowed(verdict, version, at(version, "otherwise"));
  });

  it("may not be outside the selection", () => {
    expectRejected(check(cite("$rules")), version, `${considered}.2`, [here.joinRules]);
    expectRejected(check(cite(memberOf(bob))), version, `${considered}.2`, [here.member(bob)]);
    const message = stranger({ type: "m.room.member", eventId: "$message", sender: alice });
    expectRejected(check(cite("$message"), [message]), version, `${considered}.2`, [message.event]);
    const other = stranger({ type: "m.room.power_levels", stateKey: "x", eventId: "$other" });
    expectRejected(check(cite("$other"), [other]), version, `${considered}.2`, [other.event]);
    const topic = stranger({ type: "m.room.topic", stateKey: "", eventId: "$topic" });
    expectRejected(check(cite("$topic"), [topic]), version, `${considered}.2`, [topic.event]);
  });

  it("may not have been rejected themselves", () => {
    const rejected = stranger({ ...member(alice, "join"), eventId: "$rejected" }, true);
    expectRejected(check(cite("$rejected"), [rejected]), version, `${considered}.3`, [rejected.event]);
  });

  it("may not be of another room", () => {
    const elsewhere = stranger({ ...member(alice, "join"), eventId: "$elsewhere", roomId: "!elsewhere:here.example" });
    expectRejected(check(cite("$elsewhere"), [elsewhere]), version, `${considered}.5`, [elsewhere.event]);
  });

  it("are asked for, every one that is missing, before anything is rejected", () => {
    const rejected = stranger({ ...member(alice, "join"), eventId: "$rejected" }, true);
    const verdict = check(["$missing-1", "$rejected", "$missing-2", "$rules", "$rules"], [rejected]);
    expect(verdict).toEqual({ verdict: "needs", events: ["$missing-1", "$missing-2"], facts: [] });
  });
});

describe.each(versions("1-11,I.1"))("the cited create event [cap:rejection v:%s]", (version) => {
  const here = room(version, { members: { [alice]: "join" } });
  const check = (authEvents: readonly string[], lookup: EventLookup): AuthVerdict =>
    checkStateIndependent(here.rules, here.event({ type: "m.room.message", sender: alice, authEvents }), lookup);

  it("must be there", () => {
    expectRejected(check([memberOf(alice)], host(here)), version, "2.4");
    expectRejected(check([], host(here)), version, "2.4");
  });

  it("is not taken from the room id, even if that names one", () => {
    const event = here.event({ type: "m.room.message", roomId: "!create" });
    expectRejected(checkStateIndependent(here.rules, event, host(here)), version, "2.4");
  });

  it("is not looked up unless it is cited", () => {
    const asked: string[] = [];
    const recording: EventLookup = (id) => {
      asked.push(id);
      return host(here)(id);
    };
    check(["$create", memberOf(alice)], recording);
    expect(asked).toEqual(["$create", memberOf(alice)]);
  });

  it("counts as missing from a state without it", () => {
    const verdict = checkStateDependent(here.rules, here.event({ type: "m.room.message" }), () => undefined);
    expectRejected(verdict, version, "2.4");
  });
});

describe("the room id of room version 12 [cap:rejection v:12]", () => {
  const here = room("12", { members: { [alice]: "join" } });
  const check = (draft: Partial<Draft>, others: readonly KnownEvent[] = []): AuthVerdict => {
    const event = here.event({ type: "m.room.message", sender: alice, ...draft });
    return checkStateIndependent(here.rules, event, host(here, others));
  };

  it("names the accepted create event, which nobody may cite", () => {
    expectAllowed(check({ authEvents: [memberOf(alice)] }), "12", "11");
    expectRejected(check({ authEvents: ["$create"] }), "12", "3.2", [here.create]);
  });

  it("may not name another event", () => {
    const topic = here.event({ type: "m.room.topic", stateKey: "", eventId: "$topic", roomId: "!topic" });
    expectRejected(check({ roomId: "!topic" }, [{ event: topic, rejected: false }]), "12", "2", [topic]);
  });

  it("may not name a rejected create event", () => {
    expectRejected(check({}, [{ event: here.create, rejected: true }]), "12", "2", [here.create]);
  });

  it("asks for the create event together with the auth events that are missing", () => {
    const verdict = check({ roomId: "!unknown", authEvents: ["$missing", memberOf(alice)] });
    expect(verdict).toEqual({ verdict: "needs", events: ["$unknown", "$missing"], facts: [] });
    expect(check({ roomId: "!unknown" })).toEqual({ verdict: "needs", events: ["$unknown"], facts: [] });
  });

  it("is checked before the auth events", () => {
    const create: KnownEvent = { event: here.create, rejected: true };
    expectRejected(check({ authEvents: ["$create", "$create"] }, [create]), "12", "2", [here.create]);
  });

  it("is at fault where the state has no create event", () => {
    const verdict = checkStateDependent(here.rules, here.event({ type: "m.room.message" }), () => undefined);
    expectRejected(verdict, "12", "2");
  });
});

describe.each(everyVersion)("m.federate [cap:auth-create v:%s]", (version) => {
  const judge = (federate: JsonValue, sender: string): [AuthVerdict, RoomEvent] => {
    const members = { [sender]: "join", [carol]: "join" };
    const here = room(version, { create: { "m.federate": federate }, members });
    return [here.judge({ type: "m.room.message", sender }), here.create];
  };

  it.each<readonly [JsonValue]>([[false], ["true"], ["false"], [0], [1], [{}], [[]], [""]])(
    "%j closes the room to other servers, and to no user of its own",
    (federate) => {
      const [verdict, create] = judge(federate, carol);
      expectRejected(verdict, version, at(version, "federate"), [create]);
      expectAllowed(judge(federate, alice)[0], version, at(version, "otherwise"));
    },
  );

  it.each<readonly [JsonValue]>([[true], [null]])("%j leaves it open", (federate) => {
    expectAllowed(judge(federate, carol)[0], version, at(version, "otherwise"));
  });

  it("leaves it open where it is absent", () => {
    const here = room(version, { members: { [carol]: "join" } });
    expectAllowed(here.judge({ type: "m.room.message", sender: carol }), version, at(version, "otherwise"));
  });

  it("compares senders, by what follows the first colon; a target may be anybody", () => {
    const here = room(version, {
      create: { "m.federate": false },
      members: { "@u:there.example:8448": "join", [creator]: "join" },
    });
    const remote = here.judge({ type: "m.room.message", sender: "@u:x:here.example" });
    expectRejected(remote, version, at(version, "federate"), [here.create]);
    expectAllowed(here.judge(member(carol, "invite", creator)), version, `${at(version, "invite")}.4`);
  });

  it("comes before the membership rule", () => {
    const here = room(version, { create: { "m.federate": false }, joinRule: "public" });
    expectRejected(here.judge(member(carol, "join")), version, at(version, "federate"), [here.create]);
  });
});

it("a rule that a version's page does not number is named in words", () => {
  expect(ruleLabel(rulesOf("12"), "create.creator")).toBe("v12 rule create.creator");
  expect(ruleLabel(rulesOf("I.1"), "allow")).toBe(label("I.1", "10"));
  expect(ruleLabel(rulesOf("10"), "allow")).toBe(label("10", "10"));
  expect(ruleLabel({ ...rulesOf("10"), id: "org.example.10" }, "federate")).toBe("org.example.10 rule 3");
});
