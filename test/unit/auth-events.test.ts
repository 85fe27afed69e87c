/** What every other event must pass: aliases (v1-5), a joined sender, its level, `@` state keys, redactions (v1-2). */
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/json/value.js";
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
  room,
  versions,
} from "../support/auth.js";
import type { Draft } from "../support/auth.js";

describe.each(everyVersion)("the sender of an event [cap:auth-membership v:%s]", (version) => {
  it("must have joined", () => {
    for (const membership of ["leave", "invite", "knock", "ban"]) {
      const here = room(version, { members: { [alice]: membership, [bob]: "join" } });
      const verdict = here.judge({ type: "m.room.message", sender: alice });
      expectRejected(verdict, version, at(version, "joined"), [here.member(alice)]);
    }
    const here = room(version, { members: { [bob]: "join" } });
    expectRejected(here.judge({ type: "m.room.message", sender: alice }), version, at(version, "joined"));
    expectAllowed(here.judge({ type: "m.room.message", sender: bob }), version, at(version, "otherwise"));
  });

  it("must have joined before its level counts, even as the creator", () => {
    const here = room(version, { levels: { events_default: 200 } });
    expectRejected(here.judge({ type: "m.room.message", sender: creator }), version, at(version, "joined"));
  });
});

describe.each(everyVersion)("the required level [cap:power-levels v:%s]", (version) => {
  const judge = (level: number, levels: JsonObject, draft: Draft): string => {
    const here = room(version, { levels: { ...levels, users: { [alice]: level } }, members: { [alice]: "join" } });
    const verdict = here.judge({ sender: alice, ...draft });
    if (verdict.verdict === "allowed") expectAllowed(verdict, version, at(version, "otherwise"));
    else expectRejected(verdict, version, at(version, "required"), [here.levels]);
    return verdict.verdict;
  };
  const message = { type: "m.room.message" };
  const topic = { type: "m.room.topic", stateKey: "" };

  it("is that of the type in events, to the level exactly", () => {
    const levels = { events: { "m.room.message": 30, "m.room.topic": 20 }, events_default: 90, state_default: 90 };
    expect(judge(30, levels, message)).toBe("allowed");
    expect(judge(29, levels, message)).toBe("rejected");
    expect(judge(20, levels, topic)).toBe("allowed");
    expect(judge(19, levels, topic)).toBe("rejected");
    // Zero is a level, not an absence.
    expect(judge(0, { events: { "m.room.message": 0 }, events_default: 90 }, message)).toBe("allowed");
  });

  it("is else events_default for messages and state_default for state, told apart by the state key alone", () => {
    const levels = { events_default: 30, state_default: 40 };
    expect(judge(30, levels, message)).toBe("allowed");
    expect(judge(29, levels, message)).toBe("rejected");
    expect(judge(40, levels, topic)).toBe("allowed");
    expect(judge(39, levels, topic)).toBe("rejected");
    expect(judge(30, levels, { type: "m.room.topic" })).toBe("allowed");
    expect(judge(39, levels, { type: "m.room.message", stateKey: "" })).toBe("rejected");
  });

  it("is else 0 for messages and 50 for state", () => {
    expect(judge(0, {}, message)).toBe("allowed");
    expect(judge(-1, {}, message)).toBe("rejected");
    expect(judge(50, {}, topic)).toBe("allowed");
    expect(judge(49, {}, topic)).toBe("rejected");
  });

  it("is 0 and 50 where there is no power-levels event at all", () => {
    const here = room(version, { members: { [alice]: "join", [creator]: "join" } });
    expectAllowed(here.judge({ ...message, sender: alice }), version, at(version, "otherwise"));
    expectRejected(here.judge({ ...topic, sender: alice }), version, at(version, "required"));
    expectAllowed(here.judge({ ...topic, sender: creator }), version, at(version, "otherwise"));
  });

  it("reads events as data: names that objects inherit are no entries", () => {
    for (const type of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
      expect(judge(0, { events: {} }, { type })).toBe("allowed");
      expect(judge(49, { events: {} }, { type, stateKey: "" })).toBe("rejected");
    }
    const own = JSON.parse('{"__proto__":60,"constructor":60}') as JsonObject;
    for (const type of ["constructor", "__proto__"]) {
      expect(judge(59, { events: own }, { type })).toBe("rejected");
      expect(judge(60, { events: own }, { type })).toBe("allowed");
    }
  });

  it("matches types and keys by case", () => {
    expect(judge(0, { events: { "M.ROOM.MESSAGE": 90 }, Events_Default: 90 }, message)).toBe("allowed");
  });
});

describe.each(everyVersion)("a state key that is a user [cap:auth-membership v:%s]", (version) => {
  const levels = { state_default: 0 };
  const here = room(version, { levels, members: { [alice]: "join" } });
  const judge = (stateKey: string): ReturnType<typeof here.judge> =>
    here.judge({ type: "org.example.status", sender: alice, stateKey });

  it("is the sender's own", () => {
    expectAllowed(judge(alice), version, at(version, "otherwise"));
    for (const key of [bob, "@", "@alice:here.example2", "@ALICE:here.example", `${alice} `]) {
      expectRejected(judge(key), version, at(version, "state-key"));
    }
  });

  it("is one that starts with @", () => {
    for (const key of ["", "alice", " @alice:here.example", "_@bob:here.example"]) {
      expectAllowed(judge(key), version, at(version, "otherwise"));
    }
    expectAllowed(here.judge({ type: "org.example.status", sender: alice }), version, at(version, "otherwise"));
  });

  it("comes after the required level, and holds for power levels too", () => {
    const strict = room(version, { members: { [alice]: "join" } });
    const status = { type: "org.example.status", sender: alice, stateKey: bob };
    expectRejected(strict.judge(status), version, at(version, "required"));
    const edit = { type: "m.room.power_levels", sender: alice, stateKey: bob, content: { users: 1 } };
    expectRejected(here.judge(edit), version, at(version, "state-key"));
  });
});

describe.each(everyVersion)("m.room.aliases [cap:auth-membership v:%s]", (version) => {
  const aliases = (stateKey?: string, sender = carol): Draft => ({
    type: "m.room.aliases",
    sender,
    ...(stateKey === undefined ? {} : { stateKey }),
  });

  if (isOneOf(version, "1-5")) {
    it("are a server's own, its users joined or not, at any level", () => {
      const here = room(version, { levels: { events: { "m.room.aliases": 100 } }, members: { [carol]: "ban" } });
      expectAllowed(here.judge(aliases("there.example:8448")), version, "4.3");
      expectRejected(here.judge(aliases()), version, "4.1");
      for (const key of ["", "there.example", "8448", "here.example", "There.example:8448"]) {
        expectRejected(here.judge(aliases(key)), version, "4.2");
      }
    });

    it("come after m.federate", () => {
      const closed = room(version, { create: { "m.federate": false } });
      expectRejected(closed.judge(aliases("there.example:8448")), version, "3", [closed.create]);
    });
  } else {
    it("are events like any other", () => {
      const here = room(version, { levels: { users: { [carol]: 50 } }, members: { [carol]: "join" } });
      expectAllowed(here.judge(aliases("anything.example")), version, at(version, "otherwise"));
      expectAllowed(here.judge(aliases()), version, at(version, "otherwise"));
      expectRejected(room(version).judge(aliases("there.example:8448")), version, at(version, "joined"));
    });
  }
});

describe.each(versions("1-2"))("redactions as a rule [cap:redaction-apply v:%s]", (version) => {
  const redaction = (redacts: string | undefined, eventId = "$event:here.example", sender = alice): Draft => ({
    type: "m.room.redaction",
    sender,
    eventId,
    ...(redacts === undefined ? {} : { redacts }),
  });
  const judge = (level: number, draft: Draft, levels: JsonObject = {}): string => {
    const here = room(version, { levels: { users: { [alice]: level }, ...levels }, members: { [alice]: "join" } });
    const verdict = here.judge(draft);
    if (verdict.verdict === "allowed") return verdict.rule;
    expect(verdict).toMatchObject({ verdict: "rejected", refusal: { events: [draft.eventId, "$levels"] } });
    return verdict.verdict === "rejected" ? (verdict.refusal.rule ?? "") : "needs";
  };

  it("need the redact level, 50 by default", () => {
    expect(judge(50, redaction("$x:elsewhere.example"))).toBe(`v${version} rule 11.1`);
    expect(judge(49, redaction("$x:elsewhere.example"))).toBe(`v${version} rule 11.3`);
    expect(judge(30, redaction("$x:elsewhere.example"), { redact: 30 })).toBe(`v${version} rule 11.1`);
    expect(judge(29, redaction("$x:elsewhere.example"), { redact: 30 })).toBe(`v${version} rule 11.3`);
  });

  it("or an event id of the same domain, which is neither the sender's nor the last part of the id", () => {
    expect(judge(0, redaction("$x:here.example"))).toBe(`v${version} rule 11.2`);
    expect(judge(0, redaction("$x:there.example", "$event:there.example"))).toBe(`v${version} rule 11.2`);
    expect(judge(0, redaction("$x:here.example", "$event:there.example"))).toBe(`v${version} rule 11.3`);
    expect(judge(0, redaction("$x:a:8448", "$event:b:8448"))).toBe(`v${version} rule 11.3`);
    expect(judge(0, redaction("$x:here.example:8448"))).toBe(`v${version} rule 11.3`);
  });

  it("are refused where the level that decides cannot be read, whatever the domains", () => {
    expect(judge(100, redaction("$x:here.example"), { redact: "x" })).toBe(`v${version} rule 11.1`);
    expect(judge(0, redaction("$x:here.example"), { redact: "x" })).toBe(`v${version} rule 11.1`);
  });

  it("name an event, and one with a domain: two ids without one have none in common", () => {
    expect(judge(0, redaction(undefined))).toBe(`v${version} rule 11.3`);
    expect(judge(0, redaction("$x", "$event"))).toBe(`v${version} rule 11.3`);
    expect(judge(50, redaction(undefined))).toBe(`v${version} rule 11.1`);
  });

  it("also pass the rules before", () => {
    expect(judge(9, redaction("$x:here.example"), { events: { "m.room.redaction": 10 } })).toBe(`v${version} rule 8`);
  });
});

describe.each(versions("3-12,I.1"))("redactions as events [cap:redaction-apply v:%s]", (version) => {
  it("do not need the redact level to be sent", () => {
    const here = room(version, { levels: { redact: 100 }, members: { [alice]: "join" } });
    expectAllowed(
      here.judge({ type: "m.room.redaction", sender: alice, redacts: "$x" }),
      version,
      at(version, "otherwise"),
    );
    const strict = room(version, { levels: { events: { "m.room.redaction": 1 } }, members: { [alice]: "join" } });
    const verdict = strict.judge({ type: "m.room.redaction", sender: alice, redacts: "$x" });
    expectRejected(verdict, version, at(version, "required"), [strict.levels]);
  });
});
