import { describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { reportOf, roomJson, rooms, timelineOf, versionIn } from "./support.js";
import type { RoomReport } from "../../src/inspect/index.js";

// The check of the recorded rooms is worth something only if it can fail, and fails where it should.

const forks = rooms.filter((name) => /^fork-v\d+-a/.test(name));

interface Changed {
  readonly report: RoomReport;
  /** Ids whose verdict, hash or signature is not what it was. */
  readonly changed: readonly string[];
}

const untouched = new Map<string, RoomReport>();

function withChange(name: string, at: number, change: (pdu: JsonObject) => JsonObject): Changed {
  const timeline = timelineOf(name);
  const keys = roomJson(name)["verify_keys"] as JsonObject;
  const pdus = timeline.map(({ pdu }) => pdu);
  const options = { keys: [keys], roomVersion: versionIn(name) };
  const before = untouched.get(name) ?? reportOf(write(pdus), options);
  untouched.set(name, before);
  const report = reportOf(write(pdus.map((pdu, index) => (index === at ? change(pdu) : pdu))), options);
  const describeEvent = ({ verdict, hash, signature }: RoomReport["events"][number]): string =>
    `${verdict.verdict} ${hash} ${signature}`;
  const old = new Map(before.events.map((event) => [event.eventId, describeEvent(event)]));
  expect(new Set(old.values())).toEqual(new Set(["accepted matches verified"]));
  const changed = report.events.filter((event) => old.get(event.eventId) !== describeEvent(event));
  return { report, changed: changed.map(({ eventId }) => eventId) };
}

function write(value: readonly JsonValue[]): string {
  return JSON.stringify(value);
}

describe.each(forks)("%s", (name) => {
  const v = versionIn(name);
  const timeline = timelineOf(name);
  const last = timeline.length - 1;

  it(`[cap:hash-mismatch v:${v}] judges an event with changed content, and no other, as redacted`, () => {
    timeline.forEach(({ event_id, pdu }, at) => {
      // From v11 on all content of a create event is protected, and so part of its id.
      if (pdu["type"] === "m.room.create") return;
      const { report, changed } = withChange(name, at, (event) => ({
        ...event,
        content: { ...(event["content"] as JsonObject), "org.example.added": "x" },
      }));
      expect(changed).toEqual([event_id]);
      expect(report.disagreements.map(({ kind, events }) => [kind, events])).toEqual([["hash", [event_id]]]);
    });
  });

  it(`[cap:signature-check v:${v}] drops an event with a changed byte of signature, and no other`, () => {
    const id = timeline[last]!.event_id;
    const { report, changed } = withChange(name, last, (event) => {
      return { ...event, signatures: flipped(event["signatures"]) };
    });
    expect(changed).toEqual([id]);
    expect(report.events.find(({ eventId }) => eventId === id)!.verdict.verdict).toBe("bad-signature");
    expect(report.disagreements.map(({ kind, events }) => [kind, events])).toEqual([["signature", [id]]]);
  });

  it(`[cap:receipt v:${v}] leaves everything after a lost event undecided and rejects nothing`, () => {
    const lost = 9;
    const left = timeline.filter((_, at) => at !== lost).map(({ pdu }) => pdu);
    const report = reportOf(write(left), { roomVersion: v, keys: [roomJson(name)["verify_keys"] as JsonObject] });
    expect(report.disagreements).toEqual([]);
    expect(new Set(report.events.map(({ verdict }) => verdict.verdict))).toEqual(new Set(["accepted", "undecided"]));
    for (const { eventId, verdict } of report.events) {
      const parents: readonly string[] = report.replay.pdu(eventId)!.prevEvents;
      const descends = parents.includes(timeline[lost]!.event_id);
      if (descends) expect(verdict.verdict).toBe("undecided");
    }
  });

  it(`[cap:receipt v:${v}] does not depend on the order of the file`, () => {
    const keys = [roomJson(name)["verify_keys"] as JsonObject];
    const facts = (entries: typeof timeline): unknown => {
      const { events, state, tips } = reportOf(write(entries.map(({ pdu }) => pdu)), { roomVersion: v, keys });
      return { events: events.map(({ eventId, verdict }) => [eventId, verdict]), state, tips };
    };
    expect(facts(timeline.toReversed())).toEqual(facts(timeline));
  });
});

/** Another character in the middle of every signature. */
function flipped(signatures: JsonValue | undefined): JsonValue {
  return JSON.parse(
    JSON.stringify(signatures).replace(/:"([A-Za-z0-9+/]{40})(.)/g, (_, head: string, char: string) => {
      return `:"${head}${char === "A" ? "B" : "A"}`;
    }),
  ) as JsonValue;
}
