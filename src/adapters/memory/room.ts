/** The rows of one room. */
import type {
  Batch,
  OpenedRoom,
  PendingEvent,
  RoomChanges,
  RoomRecord,
  StateGroup,
  StoredEvent,
  TimelineRange,
  Waiting,
} from "../../ports/storage.js";
import { lowerBound } from "./sorted.js";
import { createTimeline } from "./timeline.js";
import type { Placed, Timeline } from "./timeline.js";

/** An event, the revision that put it last, and its place in the stream. */
interface Row {
  readonly event: StoredEvent;
  readonly revision: number;
  readonly placed: Placed | undefined;
}

export interface Room {
  record: RoomRecord;
  /** What was put, in order of revision. A row counts while it is still the event's. */
  changes: Row[];
  readonly rows: Map<string, Row>;
  readonly timeline: Timeline;
  readonly groups: Map<number, StateGroup>;
  readonly pending: Map<string, PendingEvent>;
  readonly waiting: { readonly history: Map<string, Waiting>; readonly redaction: Map<string, Waiting> };
}

export function newRoom(record: RoomRecord): Room {
  return {
    record,
    changes: [],
    rows: new Map(),
    timeline: createTimeline(),
    groups: new Map(),
    pending: new Map(),
    waiting: { history: new Map(), redaction: new Map() },
  };
}

export function openedRoom(room: Room): OpenedRoom {
  const { record, pending, waiting } = room;
  return {
    record,
    pending: [...pending.values()],
    waiting: [...waiting.history.values(), ...waiting.redaction.values()],
  };
}

/** The room's part of a batch. */
export function applyToRoom(room: Room, batch: Batch): void {
  const { record } = batch;
  room.record = record;
  for (const event of batch.events) putEvent(room, event, record.revision);
  for (const group of batch.groups) room.groups.set(group.group, group);
  for (const eventId of batch.pending.remove) room.pending.delete(eventId);
  for (const pending of batch.pending.put) room.pending.set(pending.eventId, pending);
  for (const waiting of batch.waiting) {
    const rows = room.waiting[waiting.kind];
    if (waiting.by.length === 0) rows.delete(waiting.eventId);
    else rows.set(waiting.eventId, waiting);
  }
  compactChanges(room);
}

function putEvent(room: Room, event: StoredEvent, revision: number): void {
  const before = room.rows.get(event.eventId)?.placed;
  const position = event.verdict.standing === "accepted" ? event.position : undefined;
  let placed = before;
  if (before?.position !== position) {
    if (before !== undefined) room.timeline.remove(before);
    placed = position === undefined ? undefined : { position, eventId: event.eventId };
    if (placed !== undefined) room.timeline.add(placed);
  }
  const row: Row = { event, revision, placed };
  room.rows.set(event.eventId, row);
  room.changes.push(row);
}

/** Entries of rows that were replaced since are dropped once they outnumber the others: constant work per put. */
function compactChanges(room: Room): void {
  if (room.changes.length <= 2 * room.rows.size + 64) return;
  room.changes = room.changes.filter((row) => room.rows.get(row.event.eventId) === row);
}

export function changesOf(room: Room, revision: number): RoomChanges {
  const events: StoredEvent[] = [];
  const first = lowerBound(room.changes, (row) => row.revision, revision + 1);
  for (let at = first; at < room.changes.length; at++) {
    const row = room.changes[at];
    if (row !== undefined && room.rows.get(row.event.eventId) === row) events.push(row.event);
  }
  return { ...openedRoom(room), events };
}

export function eventsOf(room: Room, eventIds: Iterable<string>): readonly StoredEvent[] {
  const events: StoredEvent[] = [];
  for (const eventId of eventIds) {
    const row = room.rows.get(eventId);
    if (row !== undefined) events.push(row.event);
  }
  return events;
}

export function timelineOf(room: Room, range: TimelineRange): readonly StoredEvent[] {
  return eventsOf(room, room.timeline.read(range));
}

export function groupsOf(room: Room, groups: readonly number[]): readonly StateGroup[] {
  const found = new Map<number, StateGroup>();
  for (const wanted of groups) {
    let group = room.groups.get(wanted);
    while (group !== undefined && !found.has(group.group)) {
      found.set(group.group, group);
      group = group.base === undefined ? undefined : room.groups.get(group.base);
    }
  }
  return [...found.values()];
}
