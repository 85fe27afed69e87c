/** Scenarios: what a line says, what is made of it, and what is wrong with it. */
import { describe, expect, it } from "vitest";
import { version } from "../../src/index.js";
import {
  checkRoom,
  formatScenario,
  isScenario,
  publishedKeyOf,
  readDump,
  readScenario,
} from "../../src/inspect/index.js";
import type { Scenario, ScenarioOptions } from "../../src/inspect/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { testKeyOf } from "../../src/testing/index.js";
import { roomVersions } from "../../src/versions/index.js";

function read(text: string, options: ScenarioOptions = {}): Scenario {
  const scenario = readScenario(text, options);
  if (!scenario.ok) throw new Error(scenario.error.reason);
  return scenario.value;
}

/** The event of that name. */
function event(scenario: Scenario, name: string): JsonObject {
  const found = scenario.dump.events.find(({ givenId }) => givenId === scenario.ids.get(name));
  return found?.json as JsonObject;
}

const start = `create: alice creates\nalice: alice joins\nlevels: alice power alice=100\nopen: alice rules public\n`;
const e = (line: string, options: ScenarioOptions = {}): JsonObject => event(read(`${start}e: ${line}`, options), "e");

describe("a line", () => {
  it.each([
    ["bob joins", "m.room.member", "@bob:example.org", { membership: "join" }],
    ['bob joins {"displayname":"B"}', "m.room.member", "@bob:example.org", { membership: "join", displayname: "B" }],
    [
      "bob:b.example joins via alice",
      "m.room.member",
      "@bob:b.example",
      { membership: "join", join_authorised_via_users_server: "@alice:example.org" },
    ],
    ["alice leaves", "m.room.member", "@alice:example.org", { membership: "leave" }],
    ["@bob:b.example:8448 knocks", "m.room.member", "@bob:b.example:8448", { membership: "knock" }],
    ["alice invites bob", "m.room.member", "@bob:example.org", { membership: "invite" }],
    ['alice kicks bob {"reason":"x"}', "m.room.member", "@bob:example.org", { membership: "leave", reason: "x" }],
    ["alice bans bob", "m.room.member", "@bob:example.org", { membership: "ban" }],
    ["alice unbans bob", "m.room.member", "@bob:example.org", { membership: "leave" }],
    ['alice says "a # b"', "m.room.message", undefined, { msgtype: "m.text", body: "a # b" }],
    ['alice names "N"', "m.room.name", "", { name: "N" }],
    ["alice topics t", "m.room.topic", "", { topic: "t" }],
    ['alice rules restricted {"allow":[]}', "m.room.join_rules", "", { join_rule: "restricted", allow: [] }],
    ['alice sends org.x {"a":{"b":[1]}}', "org.x", undefined, { a: { b: [1] } }],
    ["alice sets org.x", "org.x", "", {}],
    ['alice sets org.x "a key" {"a":1}', "org.x", "a key", { a: 1 }],
    ["alice sets org.x @alice {}", "org.x", "@alice:example.org", {}],
    [
      "alice power bob=50 kick=60 events.m.room.name=1 notifications.room=20",
      "m.room.power_levels",
      "",
      {
        users: { "@alice:example.org": 100, "@bob:example.org": 50 },
        kick: 60,
        events: { "m.room.name": 1 },
        notifications: { room: 20 },
      },
    ],
    ["alice power alice=none", "m.room.power_levels", "", { users: {} }],
    ['{"type":"x","sender":"alice","content":{"a":1}}', "x", undefined, { a: 1 }],
    ['{"type":"x","state_key":"k","sender":"@bob:c.example"}', "x", "k", {}],
  ])("%s", (line, type, stateKey, content) => {
    const json = e(line);
    expect([json["type"], json["state_key"], json["content"]]).toEqual([type, stateKey, content]);
  });

  it("comes after the one before it, a second later, cites what it has to and has the next depth", () => {
    const scenario = read(`${start}e: bob joins`);
    const ids = ["create", "levels", "open"].map((name) => scenario.ids.get(name));
    expect(event(scenario, "e")).toMatchObject({
      prev_events: [scenario.ids.get("open")],
      auth_events: ids,
      depth: 5,
      origin_server_ts: 1_700_000_005_000,
      room_id: "!room:example.org",
      signatures: {},
    });
  });

  it("says otherwise where it wants to", () => {
    const scenario = read(`${start}e: bob joins after alice, levels cites create,open at -1.5 depth 7 soft-failed`);
    expect(event(scenario, "e")).toMatchObject({
      prev_events: ["alice", "levels"].map((name) => scenario.ids.get(name)),
      auth_events: ["create", "open"].map((name) => scenario.ids.get(name)),
      depth: 7,
      origin_server_ts: 1_699_999_998_500,
    });
    expect(scenario.dump.events.at(-1)?.recorded).toEqual({ softFailed: true });
    const placed = `"prev_events":["levels"],"auth_events":[],"depth":1,"origin_server_ts":5`;
    const written = event(read(`${start}e: {"type":"x","sender":"alice",${placed}}`), "e");
    expect(written).toMatchObject({ auth_events: [], depth: 1, origin_server_ts: 5 });
    expect(written["prev_events"]).toHaveLength(1);
  });

  it("redacts by name, wherever the version puts it", () => {
    for (const roomVersion of ["10", "11"]) {
      const scenario = read(`${start}t: alice topics "x"\ne: alice redacts t {"reason":"y"}`, { roomVersion });
      const json = event(scenario, "e");
      const content = json["content"] as JsonObject;
      expect(roomVersion === "10" ? json["redacts"] : content["redacts"]).toBe(scenario.ids.get("t"));
      expect(content["reason"]).toBe("y");
    }
  });

  it("cites by the resolved state where branches meet, and not what was rejected", () => {
    const text = `${start}bob: bob joins
bad: bob power bob=100
one: alice power bob=50 after bob
two: alice says "x" after bob
e: bob topics "t" after one, two`;
    const scenario = read(text);
    expect(event(scenario, "e")["auth_events"]).toEqual(["create", "one", "bob"].map((name) => scenario.ids.get(name)));
    expect(event(scenario, "two")["auth_events"]).toContain(scenario.ids.get("levels"));
  });
});

describe("a text", () => {
  it("is the same room whenever it is read, with true ids, in every version", () => {
    for (const roomVersion of roomVersions.ids()) {
      const scenario = read(`${start}bob joins\nbob says "x"`, { roomVersion });
      expect(read(`${start}bob joins\nbob says "x"`, { roomVersion }).dump).toEqual(scenario.dump);
      const report = checkRoom(scenario.dump);
      expect(report.ok && [...report.value.counts]).toEqual([["accepted", 6]]);
      expect(report.ok && report.value.disagreements).toEqual([]);
      if (["1", "2"].includes(roomVersion)) continue;
      for (const { json, givenId } of scenario.dump.events) {
        expect(version(roomVersion).eventId(json as JsonObject)).toBe(givenId);
      }
    }
  });

  it("signed, its signatures verify by the keys that come with it, which are those of roomdag/testing", () => {
    for (const roomVersion of ["1", "10", "12"]) {
      const { dump } = read(`signed\n${start}bob:b.example joins`, { roomVersion });
      expect(dump.signatures).toBeUndefined();
      const report = checkRoom(dump);
      expect(report.ok && report.value.signatures).toEqual({ verified: 5, unknownKey: 0, refused: 0 });
    }
    expect(publishedKeyOf("b.example")).toEqual(testKeyOf("b.example"));
  });

  it("has headers wherever they stand", () => {
    const headers = "# a remark\ntitle A title\nversion 6\nserver s.example\nroom !mine:s.example";
    const text = `${headers}\n${start}lesson One.\nlesson Two.\nsource The spec.
expect 6, 11: m.room.join_rules = open\nexpect 6: m.room.member bob = nothing\nexpect 6: accepted open`;
    const scenario = read(text);
    const { title, roomVersion, lesson, source } = scenario;
    expect([title, roomVersion, lesson, source]).toEqual(["A title", "6", ["One.", "Two."], ["The spec."]]);
    expect(scenario.dump.roomId).toBe("!mine:s.example");
    expect(scenario.lines).toEqual([6, 7, 8, 9]);
    expect(scenario.expectations).toEqual([
      { expects: "state", line: 13, versions: ["6", "11"], type: "m.room.join_rules", stateKey: "", name: "open" },
      {
        expects: "state",
        line: 14,
        versions: ["6"],
        type: "m.room.member",
        stateKey: "@bob:s.example",
        name: undefined,
      },
      { expects: "accepted", line: 15, versions: ["6"], name: "open" },
    ]);
    const dump = readDump(text);
    expect(dump.ok && dump.value.events).toEqual(scenario.dump.events);
  });

  it("is known by its first line that says something", () => {
    expect(isScenario("# x\n\n a: alice creates")).toBe(true);
    expect(isScenario("version 12\nalice creates")).toBe(true);
    for (const text of ["", "[]", '{"a":"b creates"}', "# only", "alice joins", '"x creates"']) {
      expect([text, isScenario(text)]).toEqual([text, false]);
    }
  });
});

describe("what is wrong", () => {
  it.each([
    ["alice flies", /^line 5: nobody flies: it is joins, leaves/],
    ["al!ice", /^line 5: al!ice does nothing$/],
    ['"x" joins', /begins with a user/],
    ["alice bans", /bans takes a user/],
    ["alice joins bob", /it is joins, or joins via USER/],
    ["alice leaves bob", /leaves takes nothing/],
    ["alice power bob", /power takes levels/],
    ["alice power @:=5", /has no power level/],
    ["alice says a b", /says takes one word/],
    ['alice says {"a":1} x', /comes last/],
    ["alice says x after gone", /no event before this one is called gone/],
    ["alice says x after", /a list of names ends too early/],
    ["alice says x at noon", /`at` takes seconds/],
    ["alice says x depth -1", /`depth` takes a number/],
    ["alice says x after open open", /"open" is out of place/],
    ["open: alice says x", /open is the name of another event/],
    ["nothing: alice says x", /is not called nothing/],
    ["alice says x after ?gap", /the state before it is not known/],
    ["alice power bob=5 after ?gap", /the state before it is not known/],
    ["alice says x after ?gap given create, nobody", /is called nobody/],
    ['alice says {"a":', /a JSON object does not end/],
    ['alice says "x', /a string does not end/],
    ['{"type":"x"}', /an event has a `type` and a `sender`/],
    ['{"type":"x","sender":"alice","hashes":{}}', /`hashes` is nothing that can be said/],
    ['{"type":"x","sender":"alice","content":1}', /`content` is an object/],
    ['{"type":"x","sender":"alice","prev_events":[1]}', /`prev_events` is a list of names/],
    ['alice sends x {"n":1.5}', /^line 5: /],
    ["alice says LONG", /^line 5: .*65536/],
    ["expect 11 m.room.name = x", /it is `expect VERSIONS: …`/],
    ["expect 11: m.room.name = nobody", /there is no event nobody/],
    ["expect 11: m.room.name is open", /`TYPE = NAME`/],
    ["expect 11: reset nobody", /there is no event nobody/],
    ["title", /^line 5: `title` says nothing/],
    ["server no_server!", /is no server/],
  ])("%s", (line, reason) => {
    const scenario = readScenario(start + line.replace("LONG", "x".repeat(66_000)));
    expect(scenario).toMatchObject({ ok: false, error: { reason: expect.stringMatching(reason) as string } });
  });

  it("a text without events, one with too many lines, and a version that nobody knows", () => {
    expect(readScenario("title x").ok).toBe(false);
    expect(readScenario(`alice creates\n${"#\n".repeat(20_001)}`)).toMatchObject({ error: { code: "too_large" } });
    expect(readScenario("version 99\nalice creates")).toMatchObject({ error: { code: "unknown_room_version" } });
    expect(readScenario("alice says x", { roomVersion: "12" })).toMatchObject({ ok: false });
  });
});

describe("a room written as a scenario", () => {
  it("is as short as it can be said", () => {
    const text = `version 11
server example.org
room !room:example.org
create: alice creates
e1: alice joins
levels: alice power kick=60 alice=100 bob:b.example=50
e2: alice rules public
bob: bob:b.example joins {"displayname":"B"}
ban: alice bans carol after e2
name: bob:b.example names "A name" after bob at 3.25
last: alice says x after ban, name depth 40 soft-failed
gap: alice says x after $gone given create, e1, levels, e2
gone: alice redacts name {"reason":"y"}
odd: alice sets org.x "k" {"a":[1]}
`;
    expect(formatScenario(read(text).dump)).toEqual({ ok: true, value: text });
  });

  it("is refused where it is too large", () => {
    const { dump } = read(start);
    const events = Array.from({ length: 2_001 }, () => dump.events[0]!);
    expect(formatScenario({ ...dump, events })).toMatchObject({ ok: false, error: { code: "too_large" } });
  });
});
