import { describe, expect, it } from "vitest";
import { version } from "../../src/index.js";
import { readKeys } from "../../src/inspect/oracle.js";
import { get } from "../../src/json/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { reportOf, roomJson, roomText, rooms, timelineOf, versionIn } from "./support.js";

const forks = rooms.filter((name) => name.startsWith("fork-"));
const histories = rooms.filter((name) => /^synapse-v\d+\.json$/.test(name));
const restricted = rooms.filter((name) => name.includes("restricted"));

const claims = (names: readonly string[], v: string): string => names.map((name) => `[cap:${name} v:${v}]`).join(" ");

/** The algorithm that a version resolves by, as a capability. */
function resolutionOf(v: string): string {
  if (v === "1") return "resolution-v1";
  return v === "12" ? "resolution-v2.1" : "resolution-v2";
}

it("there are 51 recorded rooms, at least three of every version of the spec", () => {
  expect(rooms).toHaveLength(51);
  expect([forks.length, histories.length, restricted.length]).toEqual([34, 12, 5]);
  const versions = rooms.map(versionIn);
  for (let v = 1; v <= 12; v++) {
    expect(versions.filter((found) => found === String(v)).length).toBeGreaterThanOrEqual(3);
  }
});

describe("every recorded room", () => {
  it.each(rooms)("%s agrees with its server in every respect", (name) => {
    const report = reportOf(roomText(name));
    expect(report.disagreements).toEqual([]);
    expect(report.roomVersion).toBe(versionIn(name));
    expect([...report.counts]).toEqual([["accepted", report.events.length]]);
    expect(report.signatures).toMatchObject({ unknownKey: 0, refused: 0 });
    expect(report.signatures.verified).toBeGreaterThanOrEqual(report.events.length);
    expect(new Set(report.comparisons.map(({ outcome }) => outcome.outcome))).toEqual(new Set(["agrees"]));
  });
});

describe.each(forks)("%s", (name) => {
  const v = versionIn(name);
  const report = reportOf(roomText(name));
  const room = roomJson(name);

  it(`${claims(["event-id", "content-hash", "pdu-format"], v)} computes ids and hashes as recorded`, () => {
    const api = version(v);
    for (const { event_id, pdu } of timelineOf(name)) {
      expect(api.eventId(pdu)).toBe(event_id);
      expect(api.contentHash(pdu)).toBe(get(pdu["hashes"] as JsonObject, "sha256"));
      expect(api.parse(pdu).ok).toBe(true);
    }
  });

  it(`${claims(["signature-check", "required-signers"], v)} verifies every signature with the recorded keys`, () => {
    const keys = readKeys(room["verify_keys"] as JsonObject);
    for (const { pdu } of timelineOf(name)) {
      const verified = version(v).verify(pdu, keys);
      expect(verified.status).toBe("verified");
      expect(verified.contentHash).toBe(true);
    }
  });

  it(`${claims(["receipt", "rejection"], v)} rejects what the server rejected and nothing else`, () => {
    const verdicts = new Map(report.events.map(({ eventId, verdict }) => [eventId, verdict.verdict]));
    for (const { event_id, rejected } of timelineOf(name)) {
      expect(verdicts.get(event_id) === "accepted").toBe(!rejected);
    }
    expect(verdicts.size).toBe(timelineOf(name).length);
  });

  it(`${claims(["state-before-after", "partition-merge", resolutionOf(v)], v)} replays to the merged state`, () => {
    const merge = room["merge_event_id"] as string;
    const state = report.replay.stateBefore(merge)!;
    expect(report.replay.isComputed(merge)).toBe(true);
    expect(report.replay.index.idsOf(state).sort()).toEqual([...(room["synapse_state_ids"] as string[])].sort());
    expect(report.forks.some(({ before }) => before === merge)).toBe(true);
  });

  it(`${claims([resolutionOf(v), "auth-chain"], v)} resolves the recorded request to the same state`, () => {
    const request = room["request"] as { state_sets: string[][]; events: JsonValue[] };
    const resolved = version(v).resolve({ stateSets: request.state_sets, events: request.events });
    expect(resolved).toEqual({ verdict: "resolved", state: [...(room["synapse_state_ids"] as string[])].sort() });
    expect(report.request).toMatchObject({ outcome: "resolved", agreement: { outcome: "agrees" } });
  });
});

describe.each(histories)("%s", (name) => {
  const v = versionIn(name);
  const report = reportOf(roomText(name));
  const room = roomJson(name);
  const known = new Set(report.events.map(({ eventId }) => eventId));

  it(`${claims(["event-id", "graph", "topological-order"], v)} computes every id that is cited`, () => {
    for (const { eventId } of report.events) {
      const pdu = report.replay.pdu(eventId)!;
      for (const cited of [...pdu.prevEvents, ...pdu.authEvents]) expect(known).toContain(cited);
    }
    for (const id of Object.values(room["ids"] as Record<string, string>)) expect(known).toContain(id);
    const place = new Map(report.events.map(({ eventId }, at) => [eventId, at]));
    for (const { eventId } of report.events) {
      for (const parent of report.replay.pdu(eventId)!.prevEvents) {
        expect(place.get(parent)!).toBeLessThan(place.get(eventId)!);
      }
    }
  });

  it(`${claims(["state-before-after", "auth-membership", "auth-third-party"], v)} has the state at last`, () => {
    const last = room["last_event_id"] as string;
    const ids = get(room["state_ids_at_last"] as JsonObject, "pdu_ids") as string[];
    expect(report.replay.index.idsOf(report.replay.stateBefore(last)!).sort()).toEqual([...ids].sort());
    const compared = report.comparisons.filter(({ outcome }) => outcome.outcome === "agrees").map((c) => c.name);
    expect(compared.sort()).toEqual(["send_join.state", "state_at_last", "state_ids_at_last"]);
  });

  it(`${claims(["hash-mismatch", "redaction"], v)} keeps the redacted event, its id and its signature`, () => {
    const api = version(v);
    const redacted = room["redacted_event_now"] as JsonObject;
    expect(api.eventId(redacted)).toBe(room["redacted_event_id"]);
    expect(api.verify(redacted, readKeys(room["verify_keys"] as JsonObject))).toMatchObject({
      status: "verified",
      contentHash: false,
    });
    const event = report.events.find(({ eventId }) => eventId === room["redacted_event_id"])!;
    expect(event.where).toContain("redacted_event_now");
    expect(event.verdict).toMatchObject({ verdict: "accepted", basis: "state-before" });
  });
});

describe.each(histories.filter((name) => Number(versionIn(name)) <= 5))("%s", (name) => {
  const v = versionIn(name);
  const lax = roomJson(name)["lax_json"] as [string, string | null, string][];
  const events = lax.filter(([, id]) => id !== null);

  it(`${claims(["lenient-json", "content-hash", "signature-check"], v)} hashes all numbers as signed`, () => {
    const report = reportOf(roomText(name));
    expect(events.map(([kind]) => kind)).toEqual(["floats", "int53+"]);
    for (const [, id] of events) {
      const event = report.events.find(({ eventId }) => eventId === id)!;
      expect(event).toMatchObject({ hash: "matches", signature: "verified", verdict: { verdict: "accepted" } });
    }
    const notes = report.notes.filter((note) => note.includes("holds no event but a note"));
    expect(notes).toHaveLength(lax.length - events.length);
  });

  it("would not, had its numbers gone through JSON.parse", () => {
    for (const [, , text] of events) {
      const rounded = JSON.parse(text) as JsonValue;
      const report = reportOf(JSON.stringify(rounded), { roomVersion: v });
      expect(report.events.map(({ hash }) => hash)).toEqual(["mismatch"]);
    }
  });
});

describe.each(restricted)("%s", (name) => {
  const v = versionIn(name);
  const room = roomJson(name);
  const join = get(room["send_join"] as JsonObject, "event") as JsonObject;
  const joinId = get(room["send_join"] as JsonObject, "event_id") as string;

  it(`${claims(["auth-restricted", "required-signers"], v)} accepts the join that both servers signed`, () => {
    const report = reportOf(roomText(name));
    const event = report.events.find(({ eventId }) => eventId === joinId)!;
    expect(event.verdict).toMatchObject({ verdict: "accepted", basis: "state-before" });
    expect(report.received.events.get(joinId)!.copies[0].signatures.servers.size).toBe(2);
  });

  it("drops it without the signature of the authorising server", () => {
    const { [Object.keys(room["verify_keys"] as JsonObject)[0]!]: _gone, ...left } = join["signatures"] as JsonObject;
    const body = { ...(room["send_join"] as JsonObject), event: { ...join, signatures: left } };
    const report = reportOf(JSON.stringify({ ...room, send_join: body }));
    expect(report.events.find(({ eventId }) => eventId === joinId)!.verdict.verdict).toBe("bad-signature");
    expect(report.disagreements.map(({ kind }) => kind)).toEqual(["signature"]);
  });

  it("leaves it undecided while the key of the authorising server is unknown", () => {
    const keys = room["verify_keys"] as JsonObject;
    const [server = ""] = Object.keys(keys);
    const { [server]: _gone, ...left } = keys;
    const report = reportOf(JSON.stringify({ ...room, verify_keys: left }));
    const verdict = report.events.find(({ eventId }) => eventId === joinId)!.verdict;
    expect(verdict).toMatchObject({ verdict: "undecided", keys: [{ server }] });
    expect(report.disagreements).toEqual([]);
  });
});
