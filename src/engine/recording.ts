/** What is stored of a room as one JSON value, which `roomdag/inspect` reads. */
import { compareCodePoints } from "../json/compare.js";
import { get, isArray, isInteger } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { StateGroup, Storage, StoredEvent } from "../ports/storage.js";

/**
 * Reads a room as it is at one revision: events in the order of the timeline with their standing, those that wait, the
 * states at the edges of what is known, and the current state. Nothing is written, and other processes may go on.
 *
 * `readRecording` of `roomdag/inspect` takes it, and so does `readDump` once it is written as text. Signatures were
 * verified when the events came, and the keys are not part of it: say `signatures: "assumed"` to what checks it.
 *
 * @returns `undefined` where the room is not stored.
 */
export async function recordingOf(storage: Storage, roomId: string, cancel?: Cancel): Promise<JsonObject | undefined> {
  const stored = await storage.changesSince(roomId, 0, cancel);
  if (stored === undefined) return undefined;
  const { record, events, pending } = stored;
  const edges = edgesOf(events);
  const numbers = new Set([record.stateGroup, ...edges.map(({ group }) => group)]);
  // Groups are never changed: those of the moment above are the same now.
  const groups = new Map<number, StateGroup>();
  for (const row of await storage.readStateGroups(roomId, [...numbers], cancel)) groups.set(row.group, row);
  const partial = record.partial === undefined ? {} : { members_omitted: true };
  return {
    room_id: roomId,
    room_version: record.roomVersion,
    timeline: [
      ...[...events].sort(byArrival).map(entryOf),
      ...pending.map(({ eventId, json }) => ({ event_id: eventId, pdu: json })),
    ],
    states: [
      ...edges.map(({ eventId, group }) => ({ before: eventId, state_ids: membersOf(groups, group), ...partial })),
      { after: record.forwardExtremities, state_ids: membersOf(groups, record.stateGroup), ...partial },
    ],
  };
}

interface Edge {
  readonly eventId: string;
  readonly group: number;
}

/** Events whose state before them is known, and not from their previous events: those are not stored. */
function edgesOf(events: readonly StoredEvent[]): readonly Edge[] {
  const known = new Set(events.flatMap(({ eventId, stateAfter }) => (stateAfter === undefined ? [] : [eventId])));
  return events.flatMap(({ eventId, json, stateBefore }) =>
    stateBefore === undefined || previousOf(json).every((id) => known.has(id)) ? [] : [{ eventId, group: stateBefore }],
  );
}

/** Versions 1 and 2 have pairs of an id and hashes. */
function previousOf(json: JsonObject): readonly string[] {
  const list = get(json, "prev_events");
  if (!isArray(list)) return [];
  return list.map((entry) => (isArray(entry) ? entry[0] : entry)).filter((id) => typeof id === "string");
}

/** What came as part of a state first, then older history, then what was received live. */
function byArrival(a: StoredEvent, b: StoredEvent): number {
  const [one, other] = [a.position ?? -Infinity, b.position ?? -Infinity];
  if (one !== other) return one < other ? -1 : 1;
  return depthOf(a) - depthOf(b) || compareCodePoints(a.eventId, b.eventId);
}

function depthOf({ json }: StoredEvent): number {
  const depth = get(json, "depth");
  return isInteger(depth) ? Number(depth) : 0;
}

function entryOf({ eventId, json, verdict, stateBefore }: StoredEvent): JsonObject {
  return {
    event_id: eventId,
    pdu: json,
    rejected: verdict.standing === "rejected",
    ...(verdict.standing === "soft-failed" ? { soft_failed: true } : {}),
    ...(stateBefore === undefined ? { outlier: true } : {}),
  };
}

/** The ids in a state, over the groups that it builds on. */
function membersOf(groups: ReadonlyMap<number, StateGroup>, number: number): readonly string[] {
  const chain: StateGroup[] = [];
  for (let row = groups.get(number); row !== undefined; row = groups.get(row.base ?? 0)) chain.push(row);
  const state = new Map<string, string | undefined>();
  for (const { delta } of chain.reverse()) {
    for (const [type, stateKey, eventId] of delta) state.set(JSON.stringify([type, stateKey]), eventId);
  }
  return [...state.values()].filter((id) => id !== undefined);
}
