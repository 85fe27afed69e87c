/** Rooms replayed as other versions: what is rewritten, and what then differs. */
import { describe, expect, it } from "vitest";
import { checkRoom, formatReplay, plainReplay, readDump, readScenario, replayAs } from "../../src/inspect/index.js";
import type { Replayed, Scenario } from "../../src/inspect/index.js";
import { version } from "../../src/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { roomVersions } from "../../src/versions/index.js";

function scenarioOf(text: string, roomVersion: string): Scenario {
  const scenario = readScenario(text, { roomVersion });
  if (!scenario.ok) throw new Error(scenario.error.reason);
  return scenario.value;
}

function replayed(scenario: Scenario, to: string): Replayed {
  const result = replayAs(scenario.dump, to);
  if (!result.ok) throw new Error(result.error.reason);
  return result.value;
}

/** The rewritten event of that name. */
function rewritten(scenario: Scenario, to: string, name: string): JsonObject {
  const { ids, replay } = replayed(scenario, to);
  const pdu = replay.pdu(ids.get(scenario.ids.get(name) ?? "") ?? "");
  if (pdu === undefined) throw new Error(`${name} is not there`);
  return pdu.json;
}

const room = `
create: alice creates
alice: alice joins
levels: alice power alice=100 bob=50
open: alice rules public
bob: bob joins
topic: bob topics "x"
gone: alice redacts topic
`;

describe("what is rewritten", () => {
  it("from any version to any other a healthy room stays the same, with ids that are right there", () => {
    for (const from of ["1", "3", "6", "10", "11", "12", "I.1"]) {
      const scenario = scenarioOf(room, from);
      for (const to of roomVersions.ids()) {
        const { same, ids, replay } = replayed(scenario, to);
        expect([from, to, same]).toEqual([from, to, true]);
        for (const id of ids.values()) {
          const json = replay.pdu(id)?.json ?? {};
          if (to !== "1" && to !== "2") expect(version(to).eventId(json)).toBe(id);
          expect(version(to).parse(json).ok).toBe(true);
        }
      }
    }
  });

  it("the room's id, the create event's content, and whether it is cited", () => {
    const eleven = scenarioOf(room, "11");
    expect(rewritten(eleven, "12", "create")).not.toHaveProperty("room_id");
    expect(rewritten(eleven, "12", "create")["content"]).toEqual({ room_version: "12" });
    expect(rewritten(eleven, "12", "alice")["auth_events"]).toEqual([]);
    const { ids } = replayed(eleven, "12");
    const create = ids.get(eleven.ids.get("create") ?? "") ?? "";
    expect(rewritten(eleven, "12", "bob")["room_id"]).toBe(`!${create.slice(1)}`);
    const twelve = scenarioOf(room, "12");
    expect(rewritten(twelve, "10", "create")["content"]).toEqual({ room_version: "10", creator: "@alice:example.org" });
    expect(rewritten(twelve, "10", "create")["room_id"]).toMatch(/^!.{43}:example\.org$/);
    expect(rewritten(twelve, "10", "alice")["auth_events"]).toHaveLength(1);
  });

  it("creators' levels, and where a redaction names its event", () => {
    const users = (json: JsonObject): unknown => (json["content"] as JsonObject)["users"];
    expect(users(rewritten(scenarioOf(room, "11"), "12", "levels"))).toEqual({ "@bob:example.org": 50 });
    expect(users(rewritten(scenarioOf(room, "12"), "11", "levels"))).toEqual({
      "@alice:example.org": 100,
      "@bob:example.org": 50,
    });
    const high = scenarioOf(`${room}\nmore: alice power events.m.room.tombstone=150`, "12");
    expect(users(rewritten(high, "11", "more"))).toMatchObject({ "@alice:example.org": 150 });
    const ten = scenarioOf(room, "10");
    const there = replayed(ten, "11").ids.get(ten.ids.get("topic") ?? "");
    expect(rewritten(ten, "11", "gone")).not.toHaveProperty("redacts");
    expect(rewritten(ten, "11", "gone")["content"]).toEqual({ redacts: there });
    const back = rewritten(scenarioOf(room, "11"), "10", "gone");
    expect(back["content"]).toEqual({});
    expect(back["redacts"]).toMatch(/^\$/);
  });

  it("pairs and chosen ids in versions 1 and 2, and back", () => {
    const json = rewritten(scenarioOf(room, "11"), "1", "bob");
    expect(json["event_id"]).toMatch(/^\$.{43}:example\.org$/);
    expect(json["prev_events"]).toEqual([[expect.stringMatching(/^\$/), { sha256: expect.any(String) as string }]]);
    expect(rewritten(scenarioOf(room, "1"), "4", "bob")["prev_events"]).toEqual([expect.stringMatching(/^\$.{43}$/)]);
  });
});

describe("what differs", () => {
  it("a restricted join is refused where it is unknown, and what rests on it too", () => {
    const text = `
alice creates
alice joins
levels: alice power alice=100
rule: alice rules restricted {"allow":[]}
bob: bob joins via alice
says: bob says "hello"`;
    const scenario = scenarioOf(text, "10");
    expect(replayed(scenario, "8").same).toBe(true);
    const { verdicts, states, adaptations, same } = replayed(scenario, "7");
    expect(same).toBe(false);
    expect(adaptations).toEqual(["create-content", "selection"]);
    expect(verdicts.map(({ after, rule, reason }) => [after.verdict, rule, reason])).toEqual([
      [
        "rejected-by-auth-events",
        "v7 rule 4.2.6",
        `the join rule "restricted" does not let @bob:example.org in (${scenario.ids.get("rule") ?? ""})`,
      ],
      ["rejected-by-auth-events", "v7 rule 2.3", `an auth event was rejected (${scenario.ids.get("bob") ?? ""})`],
    ]);
    expect(states).toMatchObject([
      { type: "m.room.member", stateKey: "@bob:example.org", after: undefined, at: undefined },
    ]);
    expect(states[0]?.reason).toBe(`follows from the verdict on ${scenario.ids.get("bob") ?? ""}`);
  });

  it("levels that are strings, from version 10 on", () => {
    const text = `${room}\nodd: alice sets m.room.power_levels "" {"users":{"@alice:example.org":"100"}}`;
    const { verdicts } = replayed(scenarioOf(text, "9"), "10");
    expect(verdicts.map(({ rule, before, after }) => [rule, before.verdict, after.verdict])).toEqual([
      ["v10 rule 9.3", "accepted", "rejected-by-auth-events"],
    ]);
  });

  it("a number that a strict version has no form for", () => {
    const text = `${room}\nodd: alice sends x {"n":1.5}`;
    const { verdicts, ids } = replayed(scenarioOf(text, "5"), "6");
    expect(verdicts).toMatchObject([{ there: undefined, after: { verdict: "malformed" } }]);
    expect(ids.size).toBe(7);
  });

  it("a resolution, with what both made of it", () => {
    const text = `
create: alice creates
alice: alice joins
levels: alice power alice=100 bob=100
public: alice rules public
bob: bob joins
shut: bob rules invite
open: alice rules knock after bob
merge: bob says "x" after shut, open`;
    const scenario = scenarioOf(text, "11");
    const { states, verdicts } = replayed(scenario, "12");
    expect(verdicts).toEqual([]);
    expect(states).toMatchObject([
      {
        at: scenario.ids.get("merge"),
        type: "m.room.join_rules",
        before: scenario.ids.get("open"),
        after: scenario.ids.get("shut"),
        resolvedBefore: { kind: "merged" },
        resolvedAfter: { kind: "merged" },
      },
    ]);
    expect(states[0]?.reason).toMatch(/^resolution v2 of version 11: .*; resolution v2\.1 of version 12: /);
  });

  it("told by name and as plain data", () => {
    const scenario = scenarioOf(`${room}\nodd: alice sends x {"n":1.5}`, "5");
    const result = replayed(scenario, "6");
    const text = formatReplay("room", result, { names: scenario.dump.names ?? new Map() });
    expect(text).toContain("room: 8 events of room version 5 as 6");
    expect(text).toContain("  odd x: accepted here, malformed there");
    expect(text).toMatch(/1 verdict and 0 entries of states differ$/);
    const plain = JSON.parse(JSON.stringify(plainReplay(result))) as { verdicts: JsonObject[]; same: boolean };
    expect(plain).toMatchObject({ from: "5", to: "6", same: false, verdicts: [{ there: null, after: "malformed" }] });
  });
});

describe("what is refused", () => {
  it("a version that nobody knows, and a room whose version nothing tells", () => {
    expect(replayAs(scenarioOf(room, "11").dump, "99")).toMatchObject({
      ok: false,
      error: { code: "unknown_room_version" },
    });
    const event = { type: "x", sender: "@a:x", content: {}, room_id: "!r:x", prev_events: [], hashes: {} };
    const dump = readDump(JSON.stringify([event]));
    expect(dump.ok && replayAs(dump.value, "11").ok).toBe(false);
    expect(dump.ok && checkRoom(dump.value).ok).toBe(false);
  });
});
