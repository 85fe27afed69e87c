import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { nodeProvider } from "../../src/cli/ed25519.js";
import { encodeUnpadded } from "../../src/crypto/index.js";
import type { Room } from "../../src/engine/index.js";
import type { Pdu } from "../../src/event/index.js";
import { checkRoom, readDump } from "../../src/inspect/index.js";
import type { RoomReport } from "../../src/inspect/index.js";
import { readKeys } from "../../src/inspect/oracle.js";
import { get } from "../../src/json/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { parseLax } from "../../src/json/index.js";
import type { Keys, Receipt } from "../../src/ports/index.js";
import { causalShuffle, classOf, factsOf, roomOf, seeded, shuffled, testServer, versionOf } from "../support/engine.js";
import type { Facts } from "../support/engine.js";

// Rooms that a real Synapse made, received by the engine event by event: in the order in which Synapse
// stored them, in other orders in which events come after what they rest on, and in any order at all.

const ORDERS = 5;
const PEER = "peer.example";

const provider = nodeProvider();
/** The same few signatures are checked in every order. */
const checked = new Map<string, boolean>();

interface Recording {
  readonly name: string;
  readonly v: string;
  readonly room: Readonly<Record<string, JsonValue>>;
  readonly report: RoomReport;
  /** In the order in which Synapse stored them, as far as that is recorded; else in causal order. */
  readonly events: readonly Pdu[];
  readonly softFailed: ReadonlySet<string>;
  readonly rejected: ReadonlySet<string>;
  readonly keys: Keys;
}

function recordingsIn(folder: string): readonly Recording[] {
  const url = new URL(`../../fixtures/${folder}/`, import.meta.url);
  const names = readdirSync(url).filter((name) => name.endsWith(".json"));
  return names.sort().flatMap((name) => recordingOf(name, readFileSync(new URL(name, url), "utf8")) ?? []);
}

function recordingOf(name: string, text: string): Recording | undefined {
  const parsed = parseLax(text);
  const dump = readDump(text);
  if (!parsed.ok || !dump.ok) throw new Error(`${name} cannot be read`);
  const room = parsed.value as Record<string, JsonValue>;
  const timeline = room["timeline"] as unknown as readonly Entry[] | undefined;
  if (timeline === undefined) return undefined;
  const report = checkRoom(dump.value, { provider });
  if (!report.ok) throw new Error(report.error.reason);
  const { replay, roomVersion } = report.value;
  // Entries of whole rooms are wrapped; a timeline of bare PDUs is one part of its room.
  const stored = timeline.flatMap(({ event_id, pdu }) => (pdu === undefined ? [] : (event_id ?? [])));
  const ids = new Set([...stored, ...replay.order]);
  const events = [...ids].flatMap((id) => replay.pdu(id) ?? []);
  const marked = (key: "rejected" | "soft_failed"): ReadonlySet<string> =>
    new Set(timeline.flatMap((entry) => (entry[key] === true ? (entry.event_id ?? []) : [])));
  return {
    name,
    v: roomVersion,
    room,
    report: report.value,
    events,
    softFailed: marked("soft_failed"),
    rejected: marked("rejected"),
    keys: keysOf(room["verify_keys"] as JsonObject),
  };
}

interface Entry {
  readonly pdu?: JsonObject;
  readonly event_id?: string;
  readonly rejected?: boolean;
  readonly soft_failed?: boolean;
}

function keysOf(published: JsonObject): Keys {
  const lookup = readKeys(published);
  return {
    sign: () => {
      throw new Error("nothing is sent here");
    },
    lookup: (requests) => requests.map(({ server, keyId }) => lookup(server, keyId)),
    verify: (requests) =>
      requests.map(({ key, message, signature }) => {
        const name = `${encodeUnpadded(signature)} ${encodeUnpadded(key)} ${encodeUnpadded(message)}`;
        const known = checked.get(name) ?? provider.verify(signature, message, key);
        checked.set(name, known);
        return known;
      }),
  };
}

interface Received {
  readonly room: Room;
  readonly receipts: ReadonlyMap<string, Receipt>;
  readonly facts: Facts;
}

/** A new server receives the events one at a time. */
async function receive({ v, keys, events: all }: Recording, events: readonly Pdu[]): Promise<Received> {
  const server = testServer({ keys });
  const [first] = all;
  const room = await roomOf(server, { roomId: first?.roomId ?? "", version: versionOf(v) });
  const receipts = new Map<string, Receipt>();
  for (const { eventId, json } of events) {
    const [receipt] = await room.receive([json], { origin: PEER });
    if (receipt !== undefined) receipts.set(eventId, receipt);
  }
  return {
    room,
    receipts,
    facts: await factsOf(
      room,
      events.map(({ eventId }) => eventId),
    ),
  };
}

const recordings = [...recordingsIn("rooms"), ...recordingsIn("rooms-i1")];

it("there are 51 recorded rooms with their full history, of every version", () => {
  expect(recordings).toHaveLength(51);
  expect(new Set(recordings.map(({ v }) => v)).size).toBe(13);
  for (const { events, name } of recordings) {
    const known = new Set<string>(events.map(({ eventId }) => eventId));
    const cited = events.flatMap(({ prevEvents, authEvents }) => [...prevEvents, ...authEvents]);
    expect(
      cited.filter((id) => !known.has(id)),
      name,
    ).toEqual([]);
  }
});

describe.each(recordings.map((recording) => [recording.name, recording] as const))("%s", (_, recording) => {
  const { v, room: recorded, report, events } = recording;
  const resolution = v === "1" ? "resolution-v1" : v === "12" ? "resolution-v2.1" : "resolution-v2";
  const stored = receive(recording, events);

  // No server made the rooms of version I.1, so that nothing is recorded of soft failures there.
  const made = v === "I.1" ? `[cap:receipt v:${v}]` : `[cap:receipt v:${v}] [cap:soft-fail v:${v}]`;
  it(`${made} has the verdicts that were recorded, in the order of storage`, async () => {
    const { receipts, facts } = await stored;
    const flags = ({ eventId }: Pdu): string => {
      if (recording.rejected.has(eventId)) return "rejected";
      return recording.softFailed.has(eventId) ? "soft-failed" : "accepted";
    };
    for (const event of events) {
      const { verdict } = receipts.get(event.eventId)?.verdict ?? {};
      if (v !== "I.1") expect(verdict, event.eventId).toBe(flags(event));
      expect(facts.events[event.eventId]?.verdict).toBe(flags(event) === "rejected" ? "rejected" : "allowed");
    }
  });

  it(`[cap:state-before-after v:${v}] [cap:${resolution} v:${v}] has the states that were recorded`, async () => {
    const { facts, room } = await stored;
    for (const { eventId } of events) {
      const state = report.replay.stateBefore(eventId);
      expect(facts.events[eventId]?.before).toEqual(state && [...report.replay.index.idsOf(state)].sort());
    }
    const merge = recorded["merge_event_id"];
    if (typeof merge === "string") {
      expect(facts.events[merge]?.before).toEqual([...(recorded["synapse_state_ids"] as string[])].sort());
    }
    const last = recorded["last_event_id"];
    if (typeof last === "string") {
      const ids = get(recorded["state_ids_at_last"] as JsonObject, "pdu_ids") as string[];
      expect(facts.events[last]?.before).toEqual([...ids].sort());
    }
    const followed = new Set<string>(events.flatMap(({ prevEvents }) => prevEvents));
    const ends = events.filter(({ eventId }) => !followed.has(eventId)).map(({ eventId }) => eventId);
    expect(room.control.forwardExtremities).toEqual(ends.sort());
    expect(facts.current).toEqual(report.state?.map(({ eventId }) => eventId).sort());
    expect(room.pending).toEqual([]);
    expect(room.gaps).toEqual([]);
  });

  it(`[cap:graph v:${v}] [cap:partition-merge v:${v}] comes to the same in ${ORDERS} other causal orders`, async () => {
    const { facts } = await stored;
    const byId = new Map<string, Pdu>(events.map((event) => [event.eventId, event]));
    const restsOn = ({ prevEvents, authEvents }: Pdu): readonly Pdu[] =>
      [...prevEvents, ...authEvents].flatMap((id) => byId.get(id) ?? []);
    for (let seed = 1; seed <= ORDERS; seed++) {
      const { receipts, facts: other } = await receive(recording, causalShuffle(events, restsOn, seeded(seed)));
      expect(other, `seed ${seed}`).toEqual(facts);
      for (const receipt of receipts.values()) expect(classOf(receipt.verdict)).not.toBe("pending");
    }
  });

  it(`[cap:topological-order v:${v}] comes to the same in ${ORDERS} orders that are not causal`, async () => {
    const { facts } = await stored;
    let waited = 0;
    for (let seed = 1; seed <= ORDERS; seed++) {
      const { room, receipts, facts: other } = await receive(recording, shuffled(events, seeded(seed)));
      expect(other, `seed ${seed}`).toEqual(facts);
      expect(room.pending).toEqual([]);
      for (const { verdict } of receipts.values()) if (verdict.verdict === "pending") waited++;
    }
    expect(waited).toBeGreaterThan(0);
  });
});
