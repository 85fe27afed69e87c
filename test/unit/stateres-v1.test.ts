/** Named scenarios of state resolution v1, room version 1. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { factsUnknown } from "../../src/auth/index.js";
import { v1 } from "../../src/versions/index.js";
import { Scenario } from "../support/scenario.js";

const base = ["create", "ima", "ipower", "ijr"];
const sha1 = (name: string): string => createHash("sha1").update(`$${name}`).digest("hex");
/** Two names, the one with the smaller SHA-1 first. */
const byHash = (...names: readonly string[]): readonly string[] =>
  [...names].sort((a, b) => (sha1(a) < sha1(b) ? -1 : 1));

const room = (): Scenario => {
  const scenario = new Scenario(v1).start("@alice:hs", { "@alice:hs": 100, "@bob:hs": 50 });
  return scenario.member("bob", "@bob:hs", "join", { auth: scenario.cite("ipower", "ijr") });
};

describe("state resolution v1 [cap:resolution-v1 v:1]", () => {
  it("resolves nothing to nothing, and one state to itself", () => {
    expect(room().resolve([])).toEqual([]);
    expect(room().resolve([base])).toEqual([...base].sort());
  });

  it("does not take a key that one state lacks as a conflict, even one that no rule allows", () => {
    const scenario = room().add("stray", "m.room.topic", "", "@eve:hs", {});
    expect(scenario.resolve([base, [...base, "stray"]])).toContain("stray");
    expect(scenario.resolve([[...base, "stray"], base, base])).toContain("stray");
  });

  it("takes the deepest ordinary event that passes, then the smaller SHA-1", () => {
    const [small, large] = byHash("ta", "tb");
    const scenario = room();
    for (const name of ["ta", "tb"]) scenario.add(name, "m.room.topic", "", "@alice:hs", {}, { depth: 10 });
    scenario.add("deep", "m.room.topic", "", "@eve:hs", {}, { depth: 99 });
    scenario.add("shallow", "m.room.topic", "", "@alice:hs", {}, { depth: 3 });
    const states = ["ta", "tb", "deep", "shallow"].map((name) => [...base, name]);
    expect(scenario.resolve(states)).toEqual([...base, small ?? ""].sort());
    const trace = scenario.trace(states);
    expect(trace.algorithm).toBe("v1");
    expect(trace.checks.map(({ eventId, verdict, phase }) => [eventId.slice(1), verdict, phase])).toEqual([
      ["deep", "refused", "rest"],
      [small, "allowed", "rest"],
    ]);
    const topic = trace.outcomes[0];
    expect(topic).toMatchObject({ type: "m.room.topic", winner: `$${small ?? ""}`, kind: "rollback" });
    expect(topic?.lost.find(({ eventId }) => eventId === `$${large ?? ""}`)?.because).toEqual({
      why: "not-reached",
      by: `$${small ?? ""}`,
    });
    expect(topic?.lost.find(({ eventId }) => eventId === "$deep")?.because).toMatchObject({
      why: "refused",
      refusal: { rule: "v1 rule 6" },
    });
    expect(trace.unconflictedKeys).toBe(4);
  });

  it("keeps the last one tried where none passes", () => {
    const scenario = room();
    scenario.add("t1", "m.room.topic", "", "@eve:hs", {}, { depth: 10 });
    scenario.add("t2", "m.room.topic", "", "@eve:hs", {}, { depth: 20 });
    expect(
      scenario.resolve([
        [...base, "t1"],
        [...base, "t2"],
      ]),
    ).toContain("t1");
  });

  it("walks auth events from the shallowest, unchecked, to the first failure", () => {
    const scenario = room();
    const levels = (alice: number, bob: number): { readonly users: Record<string, number> } => ({
      users: { "@alice:hs": alice, "@bob:hs": bob },
    });
    // The first is allowed to nobody, and is taken; the second is judged with the first in place.
    scenario.add("p1", "m.room.power_levels", "", "@eve:hs", levels(100, 100), { depth: 5 });
    scenario.add("p2", "m.room.power_levels", "", "@bob:hs", levels(100, 90), { depth: 6 });
    scenario.add("p3", "m.room.power_levels", "", "@eve:hs", levels(100, 80), { depth: 7 });
    scenario.add("p4", "m.room.power_levels", "", "@alice:hs", levels(100, 70), { depth: 8 });
    const common = ["create", "ima", "ijr", "bob"];
    const states = ["p1", "p2", "p3", "p4"].map((name) => [...common, name]);
    expect(scenario.resolve(states)).toEqual([...common, "p2"].sort());
    expect(scenario.trace(states).checks.map(({ eventId, verdict }) => [eventId, verdict])).toEqual([
      ["$p1", "unchecked"],
      ["$p2", "allowed"],
      ["$p3", "refused"],
    ]);
  });

  it("orders auth events of one depth by descending SHA-1", () => {
    const [small, large] = byHash("ja", "jb");
    const scenario = room();
    for (const name of ["ja", "jb"])
      scenario.add(name, "m.room.join_rules", "", "@alice:hs", { join_rule: "public" }, { depth: 7 });
    const common = ["create", "ima", "ipower"];
    const trace = scenario.trace([
      [...common, "ja"],
      [...common, "jb"],
    ]);
    expect(trace.checks.map(({ eventId }) => eventId)).toEqual([`$${large ?? ""}`, `$${small ?? ""}`]);
    expect(trace.outcomes[0]?.winner).toBe(`$${small ?? ""}`);
  });

  it("resolves power levels before join rules, those before members, those before the rest", () => {
    const scenario = room();
    scenario.add("p2", "m.room.power_levels", "", "@alice:hs", { users: { "@alice:hs": 100 } }, { depth: 20 });
    scenario.add("j2", "m.room.join_rules", "", "@bob:hs", { join_rule: "invite" }, { depth: 21 });
    scenario.member("bob2", "@bob:hs", "ban", { by: "@alice:hs", depth: 22 });
    scenario.add("t1", "m.room.topic", "", "@alice:hs", {}, { depth: 1 });
    scenario.add("t2", "m.room.topic", "", "@bob:hs", {}, { depth: 23 });
    const states = [
      ["create", "ima", "ipower", "ijr", "bob", "t1"],
      ["create", "ima", "p2", "j2", "bob2", "t2"],
    ];
    expect(scenario.resolve(states)).toEqual(["bob2", "create", "ijr", "ima", "p2", "t1"]);
    expect(scenario.trace(states).checks.map(({ phase }) => phase)).toEqual([
      ...["power-levels", "power-levels", "join-rules", "join-rules", "members", "members", "rest", "rest"],
    ]);
  });

  it("does not show conflicted members to each other", () => {
    const scenario = room();
    scenario.member("carol", "@carol:hs", "join", { depth: 5 });
    // Bob was banned in one branch and bans Carol in the other: while members are resolved he is not in the state.
    scenario.member("banBob", "@bob:hs", "ban", { by: "@alice:hs", depth: 10 });
    scenario.member("banCarol", "@carol:hs", "ban", { by: "@bob:hs", depth: 11 });
    const result = scenario.resolve([
      [...base, "banBob", "carol"],
      [...base, "bob", "banCarol"],
    ]);
    expect(result).toEqual([...base, "banBob", "carol"].sort());
  });

  it("takes join rules of any state key in their pass, and power levels of the empty key only", () => {
    const scenario = room();
    for (const name of ["jx1", "jx2"]) scenario.add(name, "m.room.join_rules", "x", "@alice:hs", {}, {});
    for (const name of ["px1", "px2"]) scenario.add(name, "m.room.power_levels", "x", "@alice:hs", {}, {});
    const trace = scenario.trace([
      [...base, "jx1", "px1"],
      [...base, "jx2", "px2"],
    ]);
    const phases = Object.fromEntries(trace.checks.map(({ type, phase }) => [type, phase]));
    expect(phases).toEqual({ "m.room.join_rules": "join-rules", "m.room.power_levels": "rest" });
  });

  it("refuses events of two rooms", () => {
    const scenario = room();
    scenario
      .add("t1", "m.room.topic", "", "@alice:hs", {})
      .add("t2", "m.room.topic", "", "@alice:hs", {}, { roomId: "!other:hs" });
    expect(
      scenario.run([
        [...base, "t1"],
        [...base, "t2"],
      ]),
    ).toMatchObject({ verdict: "refused", refusal: { code: "wrong_room", events: ["$create", "$t2"] } });
  });

  it("asks for facts that are not settled", () => {
    const scenario = room();
    const signed = { mxid: "@x:hs", token: "tok", signatures: { id: { "ed25519:0": "A".repeat(86) } } };
    scenario.add("offer", "m.room.third_party_invite", "tok", "@alice:hs", { public_key: "A".repeat(43) });
    scenario.member("x0", "@x:hs", "leave", { by: "@alice:hs", depth: 5 });
    scenario.add(
      "x1",
      "m.room.member",
      "@x:hs",
      "@alice:hs",
      { membership: "invite", third_party_invite: { signed } },
      { depth: 9 },
    );
    const states = [
      [...base, "offer", "x0"],
      [...base, "offer", "x1"],
    ];
    expect(scenario.run(states, { facts: factsUnknown })).toMatchObject({
      verdict: "needs",
      facts: [{ fact: "signature" }],
    });
    expect(scenario.resolve(states)).toContain("x0");
  });
});
