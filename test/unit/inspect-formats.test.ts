/** What people have: every format with an example, and what is no format at all. */
import { describe, expect, it } from "vitest";
import { version } from "../../src/index.js";
import { checkRoom, parseJson5, readDump, softFailures } from "../../src/inspect/index.js";
import type { RoomReport } from "../../src/inspect/index.js";
import { JsonFloat } from "../../src/json/index.js";
import { tardis } from "../support/tardis.js";

function reportOf(text: string, roomVersion?: string): RoomReport {
  const dump = readDump(text, roomVersion === undefined ? {} : { roomVersion });
  if (!dump.ok) throw new Error(dump.error.reason);
  const report = checkRoom(dump.value);
  if (!report.ok) throw new Error(report.error.reason);
  return report.value;
}

describe("events with placeholders for ids", () => {
  it("a scenario of tardis gets ids, hashes, depths and times, and the state that it fixes is compared", () => {
    const dump = readDump(tardis);
    if (!dump.ok) throw new Error(dump.error.reason);
    const { events, names, states, roomId, roomVersion } = dump.value;
    expect({ roomId, roomVersion }).toEqual({ roomId: "!quickstart:tardis", roomVersion: "10" });
    expect(events.map(({ givenId }) => names?.get(givenId ?? ""))).toEqual(
      ["CREATE", "JOIN", "FORK1", "FORK2", "MERGE", "AFTER"].map((name) => `$${name}`),
    );
    for (const { json, givenId } of events) expect(version("10").eventId(json as never)).toBe(givenId);
    const times = events.map(({ json }) => (json as { origin_server_ts: number }).origin_server_ts);
    expect(times).toEqual([1704067200000, 1704067201000, 1704067281337, 1704067282337, 1704067283337, 1704067284337]);
    expect(states).toHaveLength(1);
    const report = reportOf(tardis);
    expect([...report.counts]).toEqual([["accepted", 6]]);
    expect(report.comparisons.map(({ outcome }) => outcome.outcome)).toEqual(["agrees"]);
    expect(report.disagreements).toEqual([]);
  });

  it("every room version can be made of it", () => {
    for (const id of ["1", "3", "6", "11", "12"]) {
      const text = id === "12" ? tardis.replaceAll(/auth_events: \["\$CREATE"(?:, )?/g, "auth_events: [") : tardis;
      const report = reportOf(text, id);
      expect([id, [...report.counts]]).toEqual([id, [["accepted", 6]]]);
      expect(report.forks).toHaveLength(1);
    }
  });

  it("an array as ruma writes its test cases, in any order", () => {
    const events = [
      { event_id: "$B", room_id: "!r:x", sender: "@a:x", type: "m.room.member", state_key: "@a:x" },
      { event_id: "$A", room_id: "!r:x", sender: "@a:x", type: "m.room.create", state_key: "" },
    ].map((event) => ({
      ...event,
      origin_server_ts: 1,
      content: event.state_key === "" ? { creator: "@a:x", room_version: "6" } : { membership: "join" },
      prev_events: event.state_key === "" ? [] : ["$A"],
      auth_events: event.state_key === "" ? [] : ["$A"],
    }));
    const report = reportOf(JSON.stringify(events));
    expect(report.roomVersion).toBe("6");
    expect([...report.counts]).toEqual([["accepted", 2]]);
  });

  it.each([
    [
      "twice the same name",
      [
        ["$A", []],
        ["$A", []],
      ],
      "bad_format",
      /two events \$A/,
    ],
    [
      "a circle",
      [
        ["$A", ["$B"]],
        ["$B", ["$A"]],
      ],
      "cycle",
      /refers to itself/,
    ],
    ["itself", [["$A", ["$A"]]], "cycle", /\$A refers to itself/],
  ] as const)("%s is refused", (_what, list, code, reason) => {
    const events = list.map(([name, prev]) => ({
      event_id: name,
      type: "m.room.create",
      state_key: "",
      sender: "@a:x",
      content: { room_version: "10" },
      prev_events: prev,
      auth_events: [],
    }));
    const dump = readDump(JSON.stringify(events));
    expect(dump).toMatchObject({ ok: false, error: { code, reason: expect.stringMatching(reason) as string } });
  });

  it("without a room version they cannot be worked out", () => {
    const event = { event_id: "$A", type: "x", sender: "@a:x", content: {}, prev_events: [], auth_events: [] };
    const dump = readDump(JSON.stringify([event]));
    expect(dump).toMatchObject({ ok: false, error: { code: "unknown_room_version" } });
  });
});

describe("Synapse", () => {
  it("an answer of the admin API's fetch_event, with an id and an age", () => {
    const event = {
      type: "m.room.create",
      state_key: "",
      sender: "@a:x",
      room_id: "!r:x",
      depth: 1,
      origin_server_ts: 1,
    };
    const full = { ...event, content: { creator: "@a:x", room_version: "10" }, auth_events: [], prev_events: [] };
    const signed = version("10").sign(full, { server: "x", keyId: "ed25519:1", seed: new Uint8Array(32) });
    const event_id = version("10").eventId(signed);
    const report = reportOf(JSON.stringify({ event: { ...signed, event_id, unsigned: { age_ts: 5 } } }));
    expect(report.events.map((one) => [one.eventId, one.verdict.verdict])).toEqual([[event_id, "accepted"]]);
  });

  it("rows that join event_json with the columns of events", () => {
    const dump = readDump(
      JSON.stringify([{ event_id: "$x", json: "{}", outlier: true, rejection_reason: "auth_error" }]),
    );
    expect(dump.ok && dump.value.events[0]?.recorded).toEqual({ outlier: true, rejected: true });
  });
});

describe("client-server API", () => {
  const event = { type: "m.room.message", sender: "@a:x", content: {}, event_id: "$x", origin_server_ts: 1 };

  it.each([
    ["an answer to /messages", { chunk: [event], start: "a", end: "b" }],
    ["an answer to /sync", { next_batch: "s", rooms: { join: {} } }],
    ["an export", { room_name: "x", messages: [event] }],
    ["the admin API's state of a room", { state: [event] }],
    ["events alone", [event]],
  ])("%s is refused with what it cannot show", (_what, value) => {
    const dump = readDump(JSON.stringify(value));
    expect(dump).toMatchObject({ ok: false, error: { code: "bad_format" } });
    const reason = dump.ok ? "" : dump.error.reason;
    for (const absent of ["prev_events", "auth_events", "hashes", "signatures"]) expect(reason).toContain(absent);
    expect(reason).toMatch(/Export federation PDUs instead/);
  });
});

describe("JSON5", () => {
  it.each([
    ["{a: 1, 'b': \"c\", $d_: [1, 2,],}", { a: 1, b: "c", $d_: [1, 2] }],
    [
      "// x\n[/* y */ +1, -0x10, .5, 5., 1e3,]",
      [1, -16, new JsonFloat(0.5, "0.5"), new JsonFloat(5, "5.0"), new JsonFloat(1000, "1e3")],
    ],
    ["'it\\'s \\x41\\u0042\\\nc\\v'", "it's ABc\v"],
    ["9007199254740993", 9007199254740993n],
    ["[null, true, false]", [null, true, false]],
    ["{__proto__: 1}", Object.fromEntries([["__proto__", 1]])],
  ])("%s", (text, value) => {
    expect(parseJson5(text)).toEqual({ ok: true, value });
  });

  it.each([
    ["", /line 1: a value is expected/],
    ["{a 1}", /line 1: a colon is expected/],
    ["[1 2]", /a comma or the end of the array/],
    ["{a: 1 b: 2}", /a comma or the end of the object/],
    ["{\n1: 2}", /line 2: a key is expected/],
    ["'a", /a string does not end/],
    ["'\\8'", undefined],
    ["'\\ud800'", /half of a surrogate pair/],
    ["/* x", /a comment does not end/],
    ["[NaN]", /a value is expected/],
    ["[Infinity]", /a value is expected/],
    ["1 2", /something follows/],
    ["1e999", /too large/],
    ["[01]", undefined],
    ["[".repeat(100_000), /nested deeper/],
    [`[${"9".repeat(5000)}]`, /4300 digits/],
  ])("refuses %.20s", (text, reason) => {
    const parsed = parseJson5(text);
    if (reason !== undefined)
      expect(parsed).toMatchObject({ ok: false, error: { reason: expect.stringMatching(reason) as string } });
    else expect(typeof parsed.ok).toBe("boolean");
  });
});

describe("hostile files", () => {
  it.each([
    ["100,000 lines of garbage", "garbage {\n".repeat(100_000)],
    ["100,000 lines of half a scenario", `alice creates\n${"bob joins after x\n".repeat(100_000)}`],
    ["a scenario that fails late", `alice creates\n${"# nothing\n".repeat(10_000)}bob flies`],
    ["a million brackets", "[".repeat(1_000_000)],
    ["a million braces", '{"a":'.repeat(1_000_000)],
    ["deep JSON5", "{a:".repeat(100_000)],
    ["deep JSON in a scenario", `alice creates\nalice sends x ${'{"a":'.repeat(50_000)}`],
    ["a megabyte of quotes", `alice creates ${'"'.repeat(1_000_000)}`],
    ["a megabyte of spaces", `{${" ".repeat(1_000_000)}`],
    ["a megabyte of comments", `{${"/**/".repeat(250_000)}`],
    ["nothing", ""],
  ])("%s: a refusal, in no time", (_what, text) => {
    const started = performance.now();
    expect(readDump(text).ok).toBe(false);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it("a scenario that goes deep in JSON is read, and so is an event of it", () => {
    const deep = `${'{"a":'.repeat(500)}1${"}".repeat(500)}`;
    const report = reportOf(`alice creates\nalice joins\nalice sends x ${deep}`);
    expect([...report.counts]).toEqual([["accepted", 3]]);
    expect(softFailures(report).size).toBe(0);
  });
});
