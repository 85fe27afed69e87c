/** What resolution must not look at, what it must ask for, and what its trace says, case by case. */
import { describe, expect, it } from "vitest";
import type { AuthFacts } from "../../src/auth/index.js";
import { v1, v10, v11, v12, v2, v9 } from "../../src/versions/index.js";
import type { RoomVersion } from "../../src/versions/index.js";
import { Scenario } from "../support/scenario.js";

const base = ["create", "ima", "ipower", "ijr"] as const;
const both = [["10", v10] as const, ["12", v12] as const];

const room = (version: RoomVersion): Scenario => new Scenario(version).start("@alice:hs", { "@alice:hs": 100 });

describe.each(both)("what is none of its business, room version %s [cap:resolution-v2 v:10]", (_id, version) => {
  it("leaves alone events that no state and no chain reaches", () => {
    const scenario = room(version);
    const cite = scenario.cite("ima", "ipower");
    scenario.add("t1", "m.room.topic", "", "@alice:hs", {}, { auth: cite, ts: 1 });
    scenario.add("t2", "m.room.topic", "", "@alice:hs", {}, { auth: cite, ts: 2 });
    // Known to the host from elsewhere, allowed, and later than both.
    scenario.add("elsewhere", "m.room.topic", "", "@alice:hs", {}, { auth: cite, ts: 3 });
    scenario.add("other", "m.room.name", "", "@alice:hs", {}, { auth: cite, ts: 3 });
    const states = [
      [...base, "t1"],
      [...base, "t2"],
    ];
    expect(scenario.trace(states).fullConflictedSet).toEqual(["$t1", "$t2"]);
    expect(scenario.resolve(states)).toEqual([...base, "t2"].sort());
  });

  it("puts no message into the state, though an event cites one as authority", () => {
    const scenario = room(version);
    const cite = scenario.cite("ima", "ipower");
    scenario.add("message", "m.room.message", undefined, "@alice:hs", {}, { auth: cite });
    scenario.add("topic", "m.room.topic", "", "@alice:hs", {}, { auth: [...cite, "message"] });
    const states = [base, [...base, "topic"]];
    expect(scenario.resolve(states)).toEqual([...base, "topic"].sort());
    expect(scenario.trace(states).fullConflictedSet).toEqual(["$topic"]);
  });

  it("asks for an absent event that a power event cites, even where no check needs it", () => {
    const scenario = room(version);
    const cite = scenario.cite("ima", "ipower");
    scenario.member("bob", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr", "old") });
    scenario.member("ban", "@bob:hs", "ban", { by: "@alice:hs", auth: scenario.cite("ima", "old", "bob") });
    scenario.add("old", "m.room.power_levels", "", "@alice:hs", {}, { auth: cite });
    const index = scenario.index({ without: ["old"] });
    const states = [
      [...base, "bob"],
      [...base, "ban"],
    ];
    expect(scenario.run(states, {}, index)).toEqual({ verdict: "needs", events: ["$old"], facts: [] });
  });

  it("asks for an absent event that may be on the mainline, even where no check needs it", () => {
    const scenario = room(version);
    const low = { users: version === v12 ? {} : { "@alice:hs": 100 } };
    scenario.member("bob", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr", "old") });
    scenario.add("p2", "m.room.power_levels", "", "@alice:hs", low, { auth: scenario.cite("ima", "ipower") });
    scenario.add("topic", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "old", "p2") });
    scenario.add("old", "m.room.power_levels", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower") });
    const index = scenario.index({ without: ["old"] });
    const common = ["create", "ima", "ijr", "bob"];
    const states = [
      [...common, "p2"],
      [...common, "p2", "topic"],
    ];
    expect(scenario.run(states, {}, index)).toMatchObject({ verdict: "needs", events: ["$old"] });
  });

  it("lists everything that is missing at once, in order", () => {
    const scenario = room(version);
    const cite = scenario.cite("ima", "ipower");
    for (const name of ["zz", "mm", "aa"]) {
      scenario.member(name, `@${name}:hs`, "join", { auth: scenario.cite("ipower", "ijr") });
      scenario.add(`by-${name}`, "m.room.topic", name, `@${name}:hs`, {}, { auth: [...cite, name] });
    }
    const index = scenario.index({ without: ["zz", "mm", "aa"] });
    const state = [...base, "by-zz", "by-mm", "by-aa"];
    expect(scenario.run([base, state], {}, index)).toMatchObject({ verdict: "needs", events: ["$aa", "$mm", "$zz"] });
  });

  it("refuses events of two rooms where the first state is empty", () => {
    const scenario = room(version);
    scenario.add("here", "m.room.topic", "", "@alice:hs", {}, { roomId: "!one:hs" });
    scenario.add("there", "m.room.topic", "", "@alice:hs", {}, { roomId: "!two:hs" });
    expect(scenario.run([[], ["here"], ["there"]])).toMatchObject({
      verdict: "refused",
      refusal: { code: "wrong_room", events: ["$here", "$there"] },
    });
    expect(scenario.run([[], ["here"]]).verdict).toBe(version === v12 ? "needs" : "resolved");
  });
});

describe("create events in conflict [cap:resolution-v2 v:2,9,10,11]", () => {
  it.each([v2, v9, v10, v11].map((version) => [version.id, version] as const))(
    "count as power events, room version %s",
    (_id, version) => {
      const scenario = room(version);
      const content = { room_version: version.id, creator: "@mallory:hs" };
      scenario.add("create2", "m.room.create", "", "@mallory:hs", content, { ts: 0 });
      const states = [base, ["create2", "ima", "ipower", "ijr"]];
      const trace = scenario.trace(states);
      expect(trace.checks.map(({ eventId, phase }) => [eventId, phase])).toEqual([
        ["$create2", "power"],
        ["$create", "power"],
      ]);
      expect(scenario.resolve(states)).toContain("create");
    },
  );

  it("rejects what cites no create event where the state has none, instead of asking for one", () => {
    const scenario = new Scenario(v10);
    scenario.add("topic", "m.room.topic", "", "@alice:hs", {});
    const resolution = scenario.run([[], ["topic"]], { trace: true });
    expect(resolution).toMatchObject({ verdict: "resolved", state: { size: 0 } });
    expect(resolution.verdict === "resolved" && resolution.trace?.checks[0]?.refusal?.rule).toBe("v10 rule 2.4");
  });
});

describe("the create event that a v12 room id implies [cap:resolution-v2.1 v:12]", () => {
  it("answers for itself only, not for state that is not there", () => {
    const scenario = new Scenario(v12);
    const key = "A".repeat(43);
    scenario.add("create", "m.room.create", "", "@alice:hs", { room_version: "12", public_key: key });
    scenario.member("ima", "@alice:hs", "join", { prev: ["create"] });
    const signed = { mxid: "@x:hs", token: "", signatures: { id: { "ed25519:0": "A".repeat(86) } } };
    const content = { membership: "invite", third_party_invite: { signed } };
    scenario.add("invite", "m.room.member", "@x:hs", "@alice:hs", content, { auth: ["ima"] });
    const trusting: AuthFacts = { signedBy: () => true, verifies: () => true };
    const states = [
      ["create", "ima"],
      ["create", "ima", "invite"],
    ];
    const resolution = scenario.run(states, { facts: trusting, trace: true });
    expect(resolution.verdict === "resolved" && resolution.trace?.checks[0]?.refusal?.rule).toBe("v12 rule 5.4.1.5");
  });
});

describe("the trace [cap:resolution-v1 v:1] [cap:resolution-v2 v:10] [cap:resolution-v2.1 v:12]", () => {
  it.each([["v1", v1] as const, ["v2", v10] as const, ["v2.1", v12] as const])(
    "of %s without conflict is empty and names the algorithm",
    (algorithm, version) => {
      expect(room(version).trace([base, base])).toEqual({
        algorithm,
        unconflictedKeys: 4,
        outcomes: [],
        authDifference: [],
        conflictedSubgraph: [],
        fullConflictedSet: [],
        mainline: [],
        checks: [],
      });
    },
  );

  it("is absent unless asked for", () => {
    for (const version of [v1, v10, v12]) {
      const scenario = room(version);
      scenario.add("topic", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower") });
      const states = [base, [...base, "topic"]];
      for (const options of [{}, { trace: false }]) expect(scenario.run(states, options)).not.toHaveProperty("trace");
      expect(scenario.trace(states).algorithm).toBe(version.rules.stateResolution);
    }
  });

  it("counts the keys that every state agrees on, wherever the conflict is", () => {
    for (const version of [v10, v12]) {
      const scenario = room(version);
      for (const name of ["t1", "t2"]) {
        scenario.add(name, "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower") });
      }
      expect(
        scenario.trace([
          [...base, "t1"],
          [...base, "t2"],
        ]).unconflictedKeys,
      ).toBe(4);
      expect(scenario.trace([[...base, "t1"], base]).unconflictedKeys).toBe(4);
      expect(scenario.trace([base, [...base, "t1"]]).unconflictedKeys).toBe(4);
    }
  });

  it("calls it a reset when an event that was no candidate takes the place of an allowed one", () => {
    const scenario = room(v10);
    scenario.member("bob1", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr"), ts: 5 });
    scenario.member("bob2", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr"), ts: 9 });
    scenario.add("nick", "org.example.nick", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower", "bob2") });
    const trace = scenario.trace([base, [...base, "bob1", "nick"]]);
    expect(trace.outcomes.find(({ stateKey }) => stateKey === "@bob:hs")).toEqual({
      type: "m.room.member",
      stateKey: "@bob:hs",
      candidates: ["$bob1"],
      winner: "$bob2",
      lost: [{ eventId: "$bob1", because: { why: "overwritten", by: "$bob2" } }],
      kind: "reset",
    });
  });

  it("calls it merged when the only candidate stands, and names no loser", () => {
    const scenario = room(v10);
    scenario.add("topic", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower") });
    expect(scenario.trace([base, [...base, "topic"]]).outcomes).toEqual([
      { type: "m.room.topic", stateKey: "", candidates: ["$topic"], winner: "$topic", lost: [], kind: "merged" },
    ]);
  });

  it("writes a level beyond every safe integer as its digits", () => {
    const scenario = new Scenario(v9).start("@alice:hs", { "@alice:hs": "9007199254740993", "@bob:hs": "100" });
    scenario.add(
      "jr2",
      "m.room.join_rules",
      "",
      "@alice:hs",
      { join_rule: "invite" },
      { auth: scenario.cite("ima", "ipower") },
    );
    const trace = scenario.trace([base, ["create", "ima", "ipower", "jr2"]]);
    expect(trace.checks.map(({ senderLevel }) => senderLevel)).toEqual(["9007199254740993", "9007199254740993"]);
  });

  it("lists candidates and sets by id, whatever the order of arrival", () => {
    for (const version of [v1, v10, v12]) {
      const scenario = room(version);
      for (const name of ["zz", "mm", "aa"]) {
        scenario.add(name, "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower"), ts: 7 });
      }
      const trace = scenario.trace(["mm", "zz", "aa"].map((name) => [...base, name]));
      expect(trace.outcomes[0]?.candidates).toEqual(["$aa", "$mm", "$zz"]);
      expect(trace.outcomes[0]?.lost.map(({ eventId }) => eventId)).toHaveLength(2);
      expect(trace.fullConflictedSet).toEqual(["$aa", "$mm", "$zz"]);
      if (version === v1) expect(trace).toMatchObject({ authDifference: [], conflictedSubgraph: [], mainline: [] });
      else expect(trace.authDifference).toEqual(["$aa", "$mm", "$zz"]);
    }
  });

  it("does not depend on which events and keys came first", () => {
    for (const version of [v1, v10, v12]) {
      const scenario = room(version);
      const cite = scenario.cite("ima", "ipower");
      for (const key of ["z", "\u{1f600}", "\uffff", "a"]) {
        for (const side of ["left", "right"])
          scenario.add(`${side}${key}`, "x", key, "@alice:hs", {}, { auth: cite, ts: 7 });
        scenario.add(`n${key}`, "a", key, "@alice:hs", {}, { auth: cite });
        scenario.add(`m${key}`, "a", key, "@alice:hs", {}, { auth: cite });
      }
      const state = (side: string, letter: string): readonly string[] =>
        ["z", "\u{1f600}", "\uffff", "a"].flatMap((key) => [`${side}${key}`, `${letter}${key}`]);
      const states = [
        [...base, ...state("left", "n")],
        [...base, ...state("right", "m")],
      ];
      const trace = scenario.trace(states);
      expect(trace.outcomes.map(({ type, stateKey }) => [type, stateKey])).toEqual(
        ["a", "x"].flatMap((type) => ["a", "z", "\uffff", "\u{1f600}"].map((key) => [type, key])),
      );
      const reversed = scenario.run([...states].reverse(), { trace: true }, scenario.index({ order: "reversed" }));
      expect(reversed.verdict === "resolved" && reversed.trace).toEqual(trace);
    }
  });

  it("of v1 leaves out keys that one state lacks", () => {
    const scenario = room(v1).add("topic", "m.room.topic", "", "@alice:hs", {});
    const trace = scenario.trace([base, [...base, "topic"]]);
    expect(trace).toMatchObject({ outcomes: [], checks: [], unconflictedKeys: 5, fullConflictedSet: [] });
  });
});
