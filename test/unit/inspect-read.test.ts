import { describe, expect, it } from "vitest";
import { version } from "../../src/index.js";
import { readDump } from "../../src/inspect/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { dumpOf, keys, smallRoom } from "./inspect-support.js";

const { create, join, rules, message } = smallRoom();
const events = [create, join, rules, message];
const ids = events.map((event) => version("10").eventId(event));
const [createId = "", joinId = "", rulesId = "", messageId = ""] = ids;

/** What the shapes have in common: the events as they were, from these places. */
function read(value: unknown): { readonly events: readonly unknown[]; readonly where: readonly string[] } {
  const dump = dumpOf(value, { roomVersion: "10" });
  return { events: dump.events.map(({ json }) => json), where: dump.events.map((event) => event.where) };
}

describe("shapes that hold events", () => {
  it("an array of PDUs", () => {
    expect(read(events)).toEqual({ events, where: ["[0]", "[1]", "[2]", "[3]"] });
  });

  it("one PDU", () => {
    expect(read(create)).toEqual({ events: [create], where: ["the document"] });
  });

  it("a PDU a line, blank lines, carriage returns and all", () => {
    const text = `${events.map((event) => JSON.stringify(event)).join("\r\n\n")}\n`;
    const dump = readDump(text);
    expect(dump.ok && dump.value.events.map(({ json }) => json)).toEqual(events);
    expect(dump.ok && dump.value.events.map(({ where }) => where)).toEqual(["line 1", "line 3", "line 5", "line 7"]);
  });

  it("takes ids from event_id and _event_id, and the latter out of the event", () => {
    const dump = dumpOf([{ ...create, event_id: createId }, { ...join, _event_id: joinId }, rules]);
    expect(dump.events.map(({ givenId }) => givenId)).toEqual([createId, joinId, undefined]);
    expect(dump.events[1]?.json).toEqual(join);
  });

  it("a transaction, and an answer to backfill or get_missing_events", () => {
    expect(read({ origin: "a.example", origin_server_ts: 1, pdus: [message], edus: [] }).where).toEqual(["pdus[0]"]);
    expect(read({ events: [rules, message] }).where).toEqual(["events[0]", "events[1]"]);
  });

  it("an answer to send_join in both API versions, its state being the state before the event", () => {
    const body = { state: [create, join], auth_chain: [create], event: rules, event_id: rulesId };
    for (const value of [body, [200, body]]) {
      const dump = dumpOf(value);
      expect(dump.events.map(({ role }) => role)).toEqual(["state", "state", "auth-chain", "timeline"]);
      expect(dump.events[3]?.givenId).toBe(rulesId);
      expect(dump.states).toMatchObject([{ before: 3, members: [0, 1], partial: false }]);
    }
    expect(dumpOf({ ...body, members_omitted: true }).states[0]?.partial).toBe(true);
  });

  it("an answer to /state, which does not say what it is the state before", () => {
    const dump = dumpOf({ pdus: [create, join], auth_chain: [] });
    expect(dump.events.map(({ role }) => role)).toEqual(["state", "state"]);
    expect(dump.states).toEqual([{ name: "pdus", before: undefined, members: [0, 1], partial: false }]);
  });

  it("rows of event_json, with text or JSON columns", () => {
    const dump = dumpOf([
      { event_id: createId, internal_metadata: '{"outlier":true}', json: JSON.stringify(create), format_version: 3 },
      { event_id: joinId, internal_metadata: { soft_failed: true }, json: join },
      { event_id: rulesId, json: rules, rejection_reason: "auth_error" },
      { event_id: messageId, json: "no json" },
    ]);
    expect(dump.events.map(({ json }) => json)).toEqual([create, join, rules, null]);
    expect(dump.events.map(({ givenId }) => givenId)).toEqual(ids);
    expect(dump.events.map(({ recorded }) => recorded)).toEqual([
      { outlier: true },
      { softFailed: true },
      { rejected: true },
      {},
    ]);
  });

  it("recordings, with the keys and the states in them", () => {
    const dump = dumpOf({
      room_version: "10",
      verify_keys: keys,
      timeline: [{ event_id: createId, pdu: create, rejected: false, outlier: false }, join, message],
      last_event_id: messageId,
      state_at_last: { pdus: [create], auth_chain: [] },
      state_ids_at_last: { pdu_ids: [createId], auth_chain_ids: [] },
      merge_event_id: messageId,
      synapse_state_ids: [createId, joinId],
      lax_json: [
        ["note", null, "no JSON"],
        ["floats", "$x", JSON.stringify({ pdus: [rules] })],
      ],
    });
    expect(dump.keys).toEqual([keys]);
    expect(dump.states.map(({ name, before }) => [name, before])).toEqual([
      ["state_ids_at_last", messageId],
      ["synapse_state_ids", messageId],
      ["state_at_last", messageId],
    ]);
    expect(dump.events.map(({ givenId }) => givenId)).toEqual([createId, undefined, undefined, "$x", undefined]);
    expect(dump.notes).toEqual(["lax_json[0] holds no event but a note: no JSON"]);
  });

  it("a make_join template is no event, but tells the room version", () => {
    const { signatures: _s, hashes: _h, ...template } = join;
    const dump = dumpOf({ make_join: { event: template, room_version: "10" }, timeline: [message] });
    expect(dump.roomVersion).toBe("10");
    expect(dump.events).toHaveLength(1);
    expect(readDump(JSON.stringify({ event: template, room_version: "10" }))).toMatchObject({ ok: false });
  });

  it("a resolve request, alone and in a recording", () => {
    const request = { op: "resolve", room_version: "10", state_sets: [[createId]], events: [create], rejected: ["$r"] };
    const expected = { stateSets: [[createId]], events: [create], rejected: ["$r"], expected: undefined };
    expect(dumpOf(request)).toMatchObject({ events: [], roomVersion: "10", request: expected });
    const recorded = dumpOf({ request, synapse_state_ids: [createId] });
    expect(recorded.request).toEqual({ ...expected, expected: [createId] });
  });

  it("keeps what is no event in a list of events, to be reported", () => {
    expect(read({ pdus: [create, 7, "x"] }).events).toEqual([create, 7, "x"]);
  });

  it("follows nesting without recursion", () => {
    const text = `${'{"response":'.repeat(50_000)}[]${"}".repeat(50_000)}`;
    expect(readDump(text)).toMatchObject({ ok: false, error: { code: "bad_format" } });
  });
});

describe("numbers", () => {
  it("are read without loss", () => {
    const text = JSON.stringify({ ...message, content: { n: 1 } }).replace('"n":1', '"n":9007199254740993,"f":1.0');
    const dump = readDump(text);
    const content = dump.ok ? (dump.value.events[0]?.json as JsonObject)["content"] : undefined;
    expect(content).toMatchObject({ n: 9007199254740993n, f: { value: 1, source: "1.0" } });
  });
});

describe("dumps of the client-server API", () => {
  const client = { type: "m.room.message", event_id: "$x", sender: "@a:b", content: {}, origin_server_ts: 1 };

  it.each([
    ["an array", [client]],
    ["one event", client],
    ["/messages", { chunk: [client], start: "a", end: "b" }],
    ["/sync", { next_batch: "x", rooms: { join: {} } }],
    ["/context", { event: client, events_before: [], events_after: [], state: [] }],
    ["an exported timeline", { messages: [client] }],
    ["a timeline of /sync", { timeline: { events: [client] } }],
    ["one among PDUs", [create, client]],
  ])("%s is refused with what to export instead", (_, value) => {
    const dump = readDump(JSON.stringify(value));
    expect(dump).toMatchObject({ ok: false, error: { code: "bad_format" } });
    expect(!dump.ok && dump.error.reason).toMatch(/client-server API.*prev_events.*Export federation PDUs/);
  });
});

describe("what cannot be read", () => {
  it.each([
    ["no JSON", "hello"],
    ["empty text", ""],
    ["a broken line", `${JSON.stringify(create)}\n{"type":`],
  ])("%s is refused", (_, text) => {
    expect(readDump(text)).toMatchObject({ ok: false, error: { code: "bad_json" } });
  });

  it("names the broken line", () => {
    const dump = readDump(`${JSON.stringify(create)}\n{"type":`);
    expect(!dump.ok && dump.error.reason).toContain("line 2");
  });

  it.each([["{}"], ["[]"], ['{"versions":["v1.1"]}']])("%s holds no events", (text) => {
    expect(readDump(text)).toMatchObject({ ok: false, error: { code: "bad_format" } });
  });
});

describe("the room version", () => {
  it("is that of the create event, and 1 when it names none", () => {
    expect(dumpOf([create]).roomVersion).toBe("10");
    expect(dumpOf([{ ...create, content: { creator: "@a:b" } }]).roomVersion).toBe("1");
  });

  it("is unknown without a create event or a note", () => {
    expect(dumpOf([message]).roomVersion).toBeUndefined();
    expect(dumpOf({ room_version: "11", pdus: [message] }).roomVersion).toBe("11");
  });

  it("is refused when two are named, unless one is chosen", () => {
    const text = JSON.stringify({ room_version: "9", pdus: [create] });
    expect(readDump(text)).toMatchObject({ ok: false, error: { code: "unknown_room_version" } });
    expect(readDump(text, { roomVersion: "10" })).toMatchObject({ ok: true, value: { roomVersion: "10" } });
  });
});

describe("several rooms", () => {
  const other = { ...message, room_id: "!other:a.example" };

  it("are refused, unless one is chosen", () => {
    const text = JSON.stringify([other, create, join]);
    expect(readDump(text)).toMatchObject({ ok: false, error: { code: "wrong_room" } });
    const chosen = readDump(text, { roomId: "!room:a.example" });
    expect(chosen.ok && chosen.value.events.map(({ json }) => json)).toEqual([create, join]);
    expect(chosen.ok && chosen.value.notes).toEqual(["1 events of other rooms were left out"]);
  });

  it("a room that is not there is refused", () => {
    const dump = readDump(JSON.stringify([create]), { roomId: "!none:a.example" });
    expect(dump).toMatchObject({ ok: false, error: { code: "wrong_room" } });
  });

  it("keeps recorded states at their events when others are left out", () => {
    const body = { state: [other, create], auth_chain: [], event: join };
    const dump = dumpOf(body, { roomId: "!room:a.example" });
    expect(dump.states).toMatchObject([{ before: 1, members: ["", 0] }]);
  });
});
