/** Named scenarios of state resolution v2 and v2.1, among them what published implementations got wrong. */
import { describe, expect, it } from "vitest";
import { factsUnknown } from "../../src/auth/index.js";
import type { KeyOutcome, ResolutionTrace } from "../../src/stateres/index.js";
import { i1, v10, v11, v12, v2, v6 } from "../../src/versions/index.js";
import type { RoomVersion } from "../../src/versions/index.js";
import { Scenario } from "../support/scenario.js";

const base = ["create", "ima", "ipower", "ijr"] as const;
const v2s: readonly RoomVersion[] = [v2, v6, v10, v11, i1];
const everyV2 = [...v2s, v12];

const order = (trace: ResolutionTrace, phase: string): readonly string[] =>
  trace.checks.filter((check) => check.phase === phase).map((check) => check.eventId.slice(1));

function outcome(trace: ResolutionTrace, type: string, stateKey = ""): KeyOutcome {
  const found = trace.outcomes.find((entry) => entry.type === type && entry.stateKey === stateKey);
  if (found === undefined) throw new Error(`${type} ${stateKey} is not in conflict`);
  return found;
}

describe.each(everyV2.map((version) => [version.id, version] as const))(
  "state resolution v2 family, room version %s [cap:resolution-v2 v:2,6,10,11,I.1] [cap:resolution-v2.1 v:12]",
  (_id, version) => {
    const room = (users?: Record<string, number>): Scenario =>
      new Scenario(version).start("@alice:hs", { "@alice:hs": 100, "@bob:hs": 50, ...users });
    const withBob = (users?: Record<string, number>): Scenario => {
      const scenario = room(users);
      return scenario.member("bob", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr") });
    };

    it("resolves nothing to nothing, and one state to itself", () => {
      const scenario = room();
      expect(scenario.resolve([])).toEqual([]);
      expect(scenario.resolve([base])).toEqual([...base].sort());
      expect(scenario.resolve([base, base])).toEqual([...base].sort());
    });

    it("takes a key that one state lacks as a conflict", () => {
      const scenario = room();
      // Allowed nowhere: its sender never joined. Counted as unconflicted it would stay.
      scenario.add("stray", "m.room.topic", "", "@eve:hs", {}, { auth: scenario.cite("ipower") });
      expect(scenario.resolve([base, [...base, "stray"]])).toEqual([...base].sort());
    });

    it("applies a ban before what the banned one did meanwhile", () => {
      const scenario = withBob();
      scenario.member("ban", "@bob:hs", "ban", {
        by: "@alice:hs",
        auth: scenario.cite("ima", "ipower", "bob"),
        ts: 900,
      });
      scenario.add("topic", "m.room.topic", "", "@bob:hs", {}, { auth: scenario.cite("ipower", "bob"), ts: 100 });
      const states = [
        [...base, "ban"],
        [...base, "bob", "topic"],
      ];
      expect(scenario.resolve(states)).toEqual([...base, "ban"].sort());
      const trace = scenario.trace(states);
      expect(order(trace, "power")).toEqual(["bob", "ban"]);
      expect(outcome(trace, "m.room.topic")).toMatchObject({
        winner: undefined,
        kind: "rollback",
        lost: [{ eventId: "$topic" }],
      });
      expect(outcome(trace, "m.room.topic").lost[0]?.because).toMatchObject({
        why: "refused",
        refusal: { code: "auth_rejected", rule: expect.stringMatching(/rule [56]$/) as unknown },
      });
    });

    it("applies a demotion before what the demoted one did meanwhile", () => {
      const scenario = withBob();
      scenario.add(
        "demote",
        "m.room.power_levels",
        "",
        "@alice:hs",
        { users: version === v12 ? {} : { "@alice:hs": 100 } },
        { auth: scenario.cite("ima", "ipower"), ts: 500 },
      );
      scenario.add("topic", "m.room.topic", "", "@bob:hs", {}, { auth: scenario.cite("ipower", "bob"), ts: 1 });
      const common = ["create", "ima", "ijr", "bob"];
      expect(
        scenario.resolve([
          [...common, "demote"],
          [...common, "ipower", "topic"],
        ]),
      ).toEqual([...common, "demote"].sort());
    });

    it("orders power events by level, then time, then id by code point", () => {
      const scenario = room({ "@bob:hs": 60, "@carol:hs": 60 });
      const cite = scenario.cite("ipower", "ijr");
      scenario.member("bob", "@bob:hs", "join", { auth: cite }).member("carol", "@carol:hs", "join", { auth: cite });
      scenario.member("x", "@x:hs", "join", { auth: cite });
      const ban = (name: string, by: string, member: string, ts: number): void => {
        scenario.member(name, "@x:hs", "ban", { by, auth: scenario.cite("ipower", member, "x"), ts });
      };
      ban("late", "@alice:hs", "ima", 90);
      ban("b2", "@bob:hs", "bob", 20);
      ban("c1", "@carol:hs", "carol", 10);
      // U+FFFF sorts before U+1F600 by code point and after it by UTF-16 unit.
      ban("s\u{1f600}", "@bob:hs", "bob", 20);
      ban("s\uffff", "@carol:hs", "carol", 20);
      const common = [...base, "bob", "carol"];
      const trace = scenario.trace(["late", "b2", "c1", "s\u{1f600}", "s\uffff"].map((name) => [...common, name]));
      expect(order(trace, "power")).toEqual(["late", "c1", "b2", "s\uffff", "s\u{1f600}"]);
    });

    it("takes the lexicographically smallest order from the oldest end", () => {
      // Run from the newest end, Kahn's algorithm would put the free, late event `z` first or last by mistake:
      // it waits for nothing and is smaller than the child of `a`.
      const scenario = room({ "@bob:hs": 60 });
      const cite = scenario.cite("ipower", "ijr");
      scenario.member("bob", "@bob:hs", "join", { auth: cite });
      scenario.add(
        "a",
        "m.room.join_rules",
        "",
        "@bob:hs",
        { join_rule: "invite" },
        { auth: scenario.cite("ipower", "bob"), ts: 50 },
      );
      scenario.add(
        "z",
        "m.room.join_rules",
        "",
        "@alice:hs",
        { join_rule: "public" },
        { auth: scenario.cite("ipower", "ima"), ts: 99 },
      );
      scenario.add(
        "p",
        "m.room.power_levels",
        "",
        "@bob:hs",
        { users: version === v12 ? { "@bob:hs": 60 } : { "@alice:hs": 100, "@bob:hs": 60 }, ban: 7 },
        { auth: scenario.cite("ipower", "bob"), ts: 10 },
      );
      const common = ["create", "ima", "bob"];
      const trace = scenario.trace([
        [...common, "ipower", "a"],
        [...common, "ipower", "z"],
        [...common, "p", "ijr"],
      ]);
      const events = order(trace, "power").filter((name) => ["a", "z", "p"].includes(name));
      expect(events).toEqual(["z", "p", "a"]);
    });

    it("ranks a power-levels event by its auth events, not by its own content", () => {
      const scenario = withBob();
      // Bob grants himself 100 in `grab`; by its auth events he has 50 and comes after Alice.
      scenario.add(
        "grab",
        "m.room.power_levels",
        "",
        "@bob:hs",
        { users: { "@bob:hs": 1000 } },
        { auth: scenario.cite("ipower", "bob"), ts: 1 },
      );
      scenario.add(
        "keep",
        "m.room.power_levels",
        "",
        "@alice:hs",
        { users: version === v12 ? { "@bob:hs": 50 } : { "@alice:hs": 100, "@bob:hs": 50 }, ban: 60 },
        { auth: scenario.cite("ipower", "ima"), ts: 99 },
      );
      const common = ["create", "ima", "ijr", "bob"];
      const trace = scenario.trace([
        [...common, "grab"],
        [...common, "keep"],
      ]);
      const checks = trace.checks.filter((check) => check.eventId !== "$ipower");
      expect(checks.map((check) => check.eventId)).toEqual(["$keep", "$grab"]);
      expect(checks.map((check) => check.senderLevel)).toEqual([version === v12 ? "creator" : 100, 50]);
      expect(outcome(trace, "m.room.power_levels").winner).toBe("$keep");
    });

    it("counts the creator at 100, or above all, where there is no power-levels event", () => {
      const scenario = new Scenario(version);
      scenario.add("create", "m.room.create", "", "@alice:hs", { room_version: version.id, creator: "@alice:hs" });
      scenario.member("ima", "@alice:hs", "join", { auth: scenario.cite(), prev: ["create"] });
      scenario.member("bob", "@bob:hs", "join", { auth: scenario.cite("bobinvite") });
      scenario.member("bobinvite", "@bob:hs", "invite", { by: "@alice:hs", auth: scenario.cite("ima") });
      scenario.add(
        "byAlice",
        "m.room.join_rules",
        "",
        "@alice:hs",
        { join_rule: "public" },
        { auth: scenario.cite("ima"), ts: 99 },
      );
      scenario.add(
        "byBob",
        "m.room.join_rules",
        "",
        "@bob:hs",
        { join_rule: "invite" },
        { auth: scenario.cite("bob"), ts: 1 },
      );
      const common = ["create", "ima", "bob"];
      const trace = scenario.trace([
        [...common, "byAlice"],
        [...common, "byBob"],
      ]);
      expect(trace.checks.map((check) => [check.eventId, check.senderLevel])).toEqual([
        ["$byAlice", version === v12 ? "creator" : 100],
        ["$byBob", 0],
      ]);
      expect(outcome(trace, "m.room.join_rules").winner).toBe("$byAlice");
    });

    it("puts events without a mainline ancestor before those on the oldest power levels", () => {
      const scenario = withBob();
      scenario.add(
        "new",
        "m.room.power_levels",
        "",
        "@alice:hs",
        { users: version === v12 ? { "@bob:hs": 50 } : { "@alice:hs": 100, "@bob:hs": 50 }, kick: 40 },
        { auth: scenario.cite("ipower", "ima") },
      );
      scenario.add("none", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima"), ts: 900 });
      scenario.add("oldest", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower"), ts: 500 });
      scenario.add("newest", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "new"), ts: 1 });
      const common = ["create", "ima", "ijr", "bob"];
      const trace = scenario.trace([
        [...common, "ipower", "none"],
        [...common, "ipower", "oldest"],
        [...common, "new", "newest"],
      ]);
      expect(order(trace, "mainline")).toEqual(["none", "oldest", "newest"]);
      expect(trace.checks.filter((check) => check.phase === "mainline").map((check) => check.mainlinePosition)).toEqual(
        [null, 1, 0],
      );
      expect(trace.mainline).toEqual(["$new", "$ipower"]);
      expect(outcome(trace, "m.room.topic")).toMatchObject({ winner: "$newest", kind: "merged" });
      expect(outcome(trace, "m.room.topic").lost.map(({ because }) => because)).toEqual([
        { why: "overwritten", by: "$newest" },
        { why: "overwritten", by: "$newest" },
      ]);
    });

    it("orders equal mainline positions by time, then by id in code-point order", () => {
      const scenario = room();
      const cite = scenario.cite("ima", "ipower");
      scenario.add("s\u{1f600}", "m.room.topic", "", "@alice:hs", {}, { auth: cite, ts: 7 });
      scenario.add("s\uffff", "m.room.topic", "", "@alice:hs", {}, { auth: cite, ts: 7 });
      scenario.add("z", "m.room.topic", "", "@alice:hs", {}, { auth: cite, ts: 6 });
      const trace = scenario.trace(["s\u{1f600}", "s\uffff", "z"].map((name) => [...base, name]));
      expect(order(trace, "mainline")).toEqual(["z", "s\uffff", "s\u{1f600}"]);
    });

    it("answers a key that the state lacks from the event's own auth events, unless those were rejected", () => {
      const build = (rejected: boolean): Scenario => {
        const scenario = room();
        scenario.member("dora", "@dora:hs", "join", { auth: scenario.cite("ipower", "ijr"), rejected });
        scenario.add("nick", "org.example.nick", "@dora:hs", "@dora:hs", {}, { auth: scenario.cite("low", "dora") });
        scenario.add(
          "low",
          "m.room.power_levels",
          "",
          "@alice:hs",
          { users: version === v12 ? {} : { "@alice:hs": 100 }, state_default: 0 },
          { auth: scenario.cite("ipower", "ima") },
        );
        return scenario;
      };
      const common = ["create", "ima", "ijr", "low"];
      const states = [common, [...common, "nick"]];
      // `dora` is in no state, only in the auth difference: with another fallback, or none, `nick` falls.
      expect(build(false).resolve(states)).toContain("nick");
      expect(build(true).resolve(states)).not.toContain("nick");
    });

    it("does not count power levels and join rules under another state key as power events", () => {
      const scenario = room();
      const cite = scenario.cite("ima", "ipower");
      scenario.add("pl-x", "m.room.power_levels", "x", "@alice:hs", { users: {} }, { auth: cite });
      scenario.add("jr-x", "m.room.join_rules", "x", "@alice:hs", { join_rule: "public" }, { auth: cite });
      const trace = scenario.trace([base, [...base, "pl-x", "jr-x"]]);
      expect(order(trace, "power")).toEqual([]);
      expect([...order(trace, "mainline")].sort()).toEqual(["jr-x", "pl-x"]);
    });

    it("takes own leaves as ordinary and kicks as power events", () => {
      const scenario = withBob();
      scenario.member("gone", "@bob:hs", "leave", { auth: scenario.cite("ipower", "bob") });
      scenario.member("kick", "@bob:hs", "leave", { by: "@alice:hs", auth: scenario.cite("ipower", "ima", "bob") });
      const trace = scenario.trace([
        [...base, "gone"],
        [...base, "kick"],
      ]);
      expect(order(trace, "power")).toContain("kick");
      expect(order(trace, "mainline")).toContain("gone");
    });

    it("keeps keys apart that would collide as joined strings", () => {
      const scenario = room();
      const cite = scenario.cite("ima", "ipower");
      scenario.add("one", "a:b", "c", "@alice:hs", {}, { auth: cite });
      scenario.add("two", "a", "b:c", "@alice:hs", {}, { auth: cite });
      expect(
        scenario.resolve([
          [...base, "one"],
          [...base, "two"],
        ]),
      ).toEqual([...base, "one", "two"].sort());
    });

    it("does not depend on the order of states and events, nor on duplicates, nor on depth", () => {
      const scenario = withBob();
      scenario.member("ban", "@bob:hs", "ban", {
        by: "@alice:hs",
        auth: scenario.cite("ima", "ipower", "bob"),
        depth: 1,
      });
      scenario.add(
        "t1",
        "m.room.topic",
        "",
        "@alice:hs",
        {},
        { auth: scenario.cite("ima", "ipower"), depth: 900, ts: 5 },
      );
      scenario.add(
        "t2",
        "m.room.topic",
        "",
        "@alice:hs",
        {},
        { auth: scenario.cite("ima", "ipower"), depth: 1, ts: 5 },
      );
      const states = [
        [...base, "ban", "t1"],
        [...base, "bob", "t2"],
      ];
      const expected = scenario.resolve(states);
      expect(expected).toContain("t2");
      expect(scenario.resolve([...states].reverse())).toEqual(expected);
      expect(scenario.resolve([...states, ...states].map((names) => [...names].reverse()))).toEqual(expected);
      expect(scenario.resolve(states, scenario.index({ order: "reversed" }))).toEqual(expected);
    });

    it("asks for events that are missing, never guesses", () => {
      const scenario = withBob();
      scenario.add("topic", "m.room.topic", "", "@bob:hs", {}, { auth: scenario.cite("ipower", "bob") });
      const index = scenario.index({ without: ["bob"] });
      const resolution = scenario.run([base, [...base, "topic"]], {}, index);
      expect(resolution).toEqual({ verdict: "needs", events: ["$bob"], facts: [] });
    });

    it("asks for a fact of a third-party invite that is not settled", () => {
      const scenario = room();
      const key = "A".repeat(43);
      scenario.add(
        "offer",
        "m.room.third_party_invite",
        "tok",
        "@alice:hs",
        { public_key: key },
        { auth: scenario.cite("ima", "ipower") },
      );
      const signed = { mxid: "@x:hs", token: "tok", signatures: { id: { "ed25519:0": "A".repeat(86) } } };
      scenario.add(
        "invite",
        "m.room.member",
        "@x:hs",
        "@alice:hs",
        { membership: "invite", third_party_invite: { signed } },
        {
          auth: scenario.cite("ima", "ipower", "ijr", "offer"),
        },
      );
      const states = [
        [...base, "offer"],
        [...base, "offer", "invite"],
      ];
      expect(scenario.run(states, { facts: factsUnknown })).toMatchObject({
        verdict: "needs",
        events: [],
        facts: [{ fact: "signature" }],
      });
      expect(scenario.resolve(states)).not.toContain("invite");
      const trusting = scenario.run(states, { facts: { signedBy: () => true, verifies: () => true } });
      expect(trusting.verdict === "resolved" && trusting.state.size).toBe(6);
    });

    it("refuses events of two rooms", () => {
      const scenario = room();
      scenario.add("foreign", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima"), roomId: "!other:hs" });
      expect(scenario.run([base, [...base, "foreign"]])).toMatchObject({
        verdict: "refused",
        refusal: { code: "wrong_room" },
      });
    });

    it("refuses a cycle of auth events", () => {
      const scenario = room();
      scenario.add("egg", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("hen") });
      scenario.add("hen", "m.room.name", "", "@alice:hs", {}, { auth: scenario.cite("egg") });
      expect(scenario.run([base, [...base, "egg", "hen"]])).toMatchObject({
        verdict: "refused",
        refusal: { code: "cycle" },
      });
    });

    it("refuses an event that cites itself", () => {
      const scenario = room();
      scenario.add("self", "m.room.power_levels", "", "@alice:hs", {}, { auth: scenario.cite("ima", "self") });
      const common = ["create", "ima", "ijr"];
      expect(
        scenario.run([
          [...common, "ipower"],
          [...common, "self"],
        ]),
      ).toMatchObject({ verdict: "refused", refusal: { code: "cycle" } });
    });

    it("tells more states apart than fit one sweep", () => {
      const scenario = room();
      const names = Array.from({ length: 70 }, (_, n) => `t${String(n).padStart(2, "0")}`);
      for (const name of names)
        scenario.add(name, "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower"), ts: 3 });
      const trace = scenario.trace(names.map((name) => [...base, name]));
      expect(outcome(trace, "m.room.topic").winner).toBe("$t69");
      expect(trace.authDifference).toEqual(names.map((name) => `$${name}`));
    });

    it("walks a chain of power levels that doubles its paths at every step once", () => {
      const scenario = room();
      let [left, right] = ["ipower", "ima"];
      for (let n = 0; n < 60; n++) {
        scenario.add(
          `p${String(n)}`,
          "m.room.power_levels",
          "",
          "@alice:hs",
          { users: version === v12 ? {} : { "@alice:hs": 100 } },
          { auth: scenario.cite("ima", left) },
        );
        scenario.member(`m${String(n)}`, "@alice:hs", "join", { auth: scenario.cite(`p${String(n)}`, right, left) });
        [left, right] = [`p${String(n)}`, `m${String(n)}`];
      }
      scenario.add("topic", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite(left, right) });
      expect(scenario.resolve([base, ["create", left, right, "ijr", "topic"]])).toContain("topic");
    });
  },
);

describe("where v2 and v2.1 part [cap:resolution-v2 v:10] [cap:resolution-v2.1 v:12]", () => {
  /** MSC4297 problem A: an outdated join rule conflicts after the admin has left. */
  function problemA(version: RoomVersion): readonly string[] {
    const scenario = new Scenario(version).start();
    scenario.member("bob", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr") });
    scenario.add(
      "closed",
      "m.room.join_rules",
      "",
      "@alice:hs",
      { join_rule: "invite" },
      { auth: scenario.cite("ima", "ipower") },
    );
    scenario.member("left", "@alice:hs", "leave", { auth: scenario.cite("ima", "ipower") });
    const common = ["create", "ipower", "left", "bob"];
    return scenario.resolve([
      [...common, "closed"],
      [...common, "ijr"],
    ]);
  }

  it("starts from nothing in v2.1, so that an admin who left does not undo what she had set", () => {
    expect(problemA(v10)).toEqual(["bob", "create", "ipower", "left"]);
    expect(problemA(v12)).toEqual(["bob", "closed", "create", "ipower", "left"]);
  });

  /** MSC4297 problem B: Alice promotes Bob, Bob promotes Carol; one state has outdated power levels. */
  function problemB(version: RoomVersion): Scenario {
    const alice = version === v12 ? {} : { "@alice:hs": 100 };
    const scenario = new Scenario(version).start("@alice:hs", alice);
    scenario.member("bob", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr") });
    scenario.add(
      "p2",
      "m.room.power_levels",
      "",
      "@alice:hs",
      { users: { ...alice, "@bob:hs": 60 } },
      { auth: scenario.cite("ima", "ipower") },
    );
    scenario.add(
      "p3",
      "m.room.power_levels",
      "",
      "@bob:hs",
      { users: { ...alice, "@bob:hs": 60, "@carol:hs": 50 } },
      { auth: scenario.cite("bob", "p2") },
    );
    scenario.member("eve", "@eve:hs", "join", { auth: scenario.cite("p3", "ijr") });
    return scenario;
  }

  it("replays what lies between conflicted events in v2.1, so that a promotion does not vanish", () => {
    const common = ["create", "ima", "ijr", "bob", "eve"];
    const states = [
      [...common, "p3"],
      [...common, "ipower"],
    ];
    expect(problemB(v10).resolve(states)).toContain("ipower");
    const trace = problemB(v12).trace(states);
    expect(outcome(trace, "m.room.power_levels").winner).toBe("$p3");
    expect(trace.conflictedSubgraph).toEqual(["$bob", "$ijr", "$ipower", "$p2", "$p3"]);
    expect(trace.authDifference).toEqual([]);
    expect(outcome(problemB(v10).trace(states), "m.room.power_levels")).toMatchObject({
      winner: "$ipower",
      kind: "rollback",
    });
  });

  it("reads the mainline of v2.1 from what was resolved, not from unconflicted power levels", () => {
    const run = (version: RoomVersion): ResolutionTrace => {
      const scenario = new Scenario(version).start();
      const cite = scenario.cite("ima", "ipower");
      scenario.add("late", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima"), ts: 9 });
      scenario.add("early", "m.room.topic", "", "@alice:hs", {}, { auth: cite, ts: 1 });
      return scenario.trace([
        [...base, "late"],
        [...base, "early"],
      ]);
    };
    expect(run(v10).mainline).toEqual(["$ipower"]);
    expect(outcome(run(v10), "m.room.topic").winner).toBe("$early");
    expect(run(v12).mainline).toEqual([]);
    expect(outcome(run(v12), "m.room.topic").winner).toBe("$late");
  });

  it("asks for the create event that a v12 room id names", () => {
    const scenario = new Scenario(v12).start();
    scenario.add("topic", "m.room.topic", "", "@alice:hs", {}, { auth: ["ima", "ipower"] });
    const index = scenario.index({ without: ["create"] });
    const known = ["ima", "ipower", "ijr"];
    expect(scenario.run([known, [...known, "topic"]], {}, index)).toMatchObject({
      verdict: "needs",
      events: ["$create"],
    });
  });

  it("ranks an additional creator above every level in v12", () => {
    const scenario = new Scenario(v12);
    scenario.add("create", "m.room.create", "", "@alice:hs", { room_version: "12", additional_creators: ["@dan:hs"] });
    scenario.member("ima", "@alice:hs", "join", { prev: ["create"] });
    scenario.add("ijr", "m.room.join_rules", "", "@alice:hs", { join_rule: "public" }, { auth: ["ima"] });
    scenario.add(
      "ipower",
      "m.room.power_levels",
      "",
      "@alice:hs",
      { users: { "@bob:hs": 9007199254740991 } },
      { auth: ["ima"] },
    );
    scenario
      .member("dan", "@dan:hs", "join", { auth: ["ipower", "ijr"] })
      .member("bob", "@bob:hs", "join", { auth: ["ipower", "ijr"] });
    scenario.member("byDan", "@bob:hs", "ban", { by: "@dan:hs", auth: ["ipower", "dan", "bob"], ts: 99 });
    scenario.member("byBob", "@dan:hs", "ban", { by: "@bob:hs", auth: ["ipower", "dan", "bob"], ts: 1 });
    const common = ["create", "ima", "ijr", "ipower"];
    const trace = scenario.trace([
      [...common, "byDan", "dan"],
      [...common, "byBob", "bob"],
    ]);
    expect(outcome(trace, "m.room.member", "@bob:hs").winner).toBe("$byDan");
    expect(outcome(trace, "m.room.member", "@dan:hs").winner).toBe("$dan");
  });
});

describe("the reading of the auth difference [cap:resolution-v2 v:10] [cap:auth-chain v:10]", () => {
  it("counts state events into their own chains: an event that all states reach is not replayed", () => {
    // `p2` is state in one branch and cited in the other. Its own chain does not hold it, its state does.
    const scenario = new Scenario(v10).start("@alice:hs", { "@alice:hs": 100 });
    scenario.add(
      "p2",
      "m.room.power_levels",
      "",
      "@alice:hs",
      { users: { "@alice:hs": 100 }, kick: 60 },
      { auth: scenario.cite("ima", "ipower") },
    );
    scenario.add("t1", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "p2") });
    scenario.add("t2", "m.room.name", "", "@alice:hs", {}, { auth: scenario.cite("ima", "p2") });
    const common = ["create", "ima", "ijr", "p2"];
    const trace = scenario.trace([
      [...common, "t1"],
      [...common, "t2"],
    ]);
    expect(trace.authDifference).toEqual(["$t1", "$t2"]);
    expect(trace.fullConflictedSet).toEqual(["$t1", "$t2"]);
    expect(trace.unconflictedKeys).toBe(4);
  });

  it("enlarges the power events only through the full conflicted set", () => {
    const scenario = new Scenario(v10).start("@alice:hs", { "@alice:hs": 100, "@bob:hs": 50 });
    scenario.member("bob", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr") });
    scenario.member("bob2", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr", "bob") });
    scenario.member("x", "@x:hs", "join", { auth: scenario.cite("ipower", "ijr") });
    scenario.member("kick", "@x:hs", "leave", { by: "@bob:hs", auth: scenario.cite("ipower", "bob2", "x") });
    const common = [...base, "x"];
    // `bob` is reached by both states, so the walk from `kick` stops at `bob2`.
    const trace = scenario.trace([
      [...common, "bob"],
      [...base, "bob2", "kick"],
    ]);
    expect(trace.fullConflictedSet).toEqual(["$bob", "$bob2", "$kick", "$x"]);
    expect(order(trace, "power")).toEqual(["bob", "bob2", "x", "kick"]);
  });

  it("brings in events of the auth difference that are in no state", () => {
    const scenario = new Scenario(v10).start("@alice:hs", { "@alice:hs": 100 });
    scenario.add(
      "offer",
      "m.room.third_party_invite",
      "tok",
      "@alice:hs",
      {},
      { auth: scenario.cite("ima", "ipower") },
    );
    scenario.add("topic", "m.room.topic", "", "@alice:hs", {}, { auth: scenario.cite("ima", "ipower", "offer") });
    expect(scenario.resolve([base, [...base, "topic"]])).toEqual([...base, "offer", "topic"].sort());
  });

  it("lets what the states agree on stand, whatever the checks made of it", () => {
    // `ijr` is unconflicted; a conflicting older join rule reached only through a chain is allowed and then overruled.
    const scenario = new Scenario(v10).start("@alice:hs", { "@alice:hs": 100 });
    scenario.add(
      "jr0",
      "m.room.join_rules",
      "",
      "@alice:hs",
      { join_rule: "invite" },
      { auth: scenario.cite("ima", "ipower") },
    );
    scenario.member("bob", "@bob:hs", "invite", { by: "@alice:hs", auth: scenario.cite("ima", "ipower", "jr0") });
    const trace = scenario.trace([base, [...base, "bob"]]);
    expect(trace.checks.find((check) => check.eventId === "$jr0")?.verdict).toBe("allowed");
    expect(scenario.resolve([base, [...base, "bob"]])).toEqual([...base, "bob"].sort());
  });
});

describe("a rename that a kick undoes [cap:resolution-v2 v:10] [cap:resolution-v2.1 v:12]", () => {
  // A moderator renames the room and is kicked later; an old fork that knows neither arrives. Today's
  // outcome erases the rename, which is a rollback and not a reset: a rule refuses it.
  it.each([["10", v10] as const, ["12", v12] as const])("room version %s", (_id, version) => {
    const scenario = new Scenario(version).start("@alice:hs", { "@alice:hs": 100, "@mod:hs": 50 });
    scenario.member("mod", "@mod:hs", "join", { auth: scenario.cite("ipower", "ijr") });
    scenario.add("name0", "m.room.name", "", "@alice:hs", { name: "old" }, { auth: scenario.cite("ima", "ipower") });
    scenario.add("name1", "m.room.name", "", "@mod:hs", { name: "new" }, { auth: scenario.cite("mod", "ipower") });
    scenario.member("kick", "@mod:hs", "leave", { by: "@alice:hs", auth: scenario.cite("ima", "ipower", "mod") });
    const trace = scenario.trace([
      [...base, "kick", "name1"],
      [...base, "mod", "name0"],
    ]);
    const rename = outcome(trace, "m.room.name");
    expect(rename).toMatchObject({ winner: "$name0", kind: "rollback", candidates: ["$name0", "$name1"] });
    expect(rename.lost[0]?.because).toMatchObject({ why: "refused", refusal: { events: ["$name1", "$kick"] } });
    expect(outcome(trace, "m.room.member", "@mod:hs")).toMatchObject({ winner: "$kick", kind: "merged" });
  });
});
