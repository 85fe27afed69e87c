/** The rows of rooms: what is read of them, and the commit. */
import type {
  Batch,
  CommitResult,
  OpenedRoom,
  RoomChanges,
  StateGroup,
  StoredEvent,
  TimelineRange,
} from "../../ports/storage.js";
import { checkBatch } from "../sql/batch.js";
import { eventColumns, eventOf, eventValues, replacesEvent } from "../sql/event.js";
import { decodeDelta, encodeDelta, readDelta } from "../sql/group.js";
import type { StateKey } from "../sql/group.js";
import { bounded, integerOf, lastOfEach, nameOf, optionalInteger, textOf } from "../sql/row.js";
import type { SqlRow } from "../sql/row.js";
import { escapeName } from "../sql/text.js";
import { pendingEvents, records, waitingRows } from "../sql/whole.js";
import type { Sql, SqliteValue } from "./handle.js";
import { writeIntents, writeOutbox, writeOutside } from "./others.js";

/** The number of the room whose id is bound. */
const ROOM = "(SELECT id FROM rooms WHERE room_id = ?)";
const EVENTS = `SELECT ${eventColumns} FROM events`;
/** A list of any length is one parameter. `CROSS JOIN` keeps the order of the join: the list first, then the index. */
const LISTED = "FROM json_each(?) AS listed CROSS JOIN";

export const roomStatements = {
  roomIds: "SELECT room_id FROM rooms",
  record: "SELECT row FROM rooms WHERE room_id = ?",
  revision: "SELECT revision FROM rooms WHERE room_id = ?",
  pending: `SELECT row FROM pending WHERE room = ${ROOM}`,
  waiting: `SELECT row FROM waiting WHERE room = ${ROOM}`,
  changed: `${EVENTS} WHERE room = ${ROOM} AND put_at > ?`,
  events:
    `SELECT ${eventColumns} ${LISTED} events ON room = ${ROOM} AND event_id = listed.value` +
    " WHERE put_at IS NOT NULL",
  roomsWith:
    "SELECT room_id FROM events CROSS JOIN rooms ON rooms.id = events.room" +
    " WHERE event_id = ? AND put_at IS NOT NULL",
  forwards: `${EVENTS} WHERE room = ${ROOM} AND standing < 2 AND position >= ? ORDER BY position LIMIT ?`,
  backwards: `${EVENTS} WHERE room = ${ROOM} AND standing < 2 AND position <= ? ORDER BY position DESC LIMIT ?`,
  groups:
    "WITH RECURSIVE asked (room, number) AS" +
    ` (SELECT ${ROOM}, value FROM json_each(?)` +
    " UNION SELECT asked.room, base FROM asked CROSS JOIN state_groups AS of_group" +
    " ON of_group.room = asked.room AND of_group.number = asked.number WHERE base IS NOT NULL)" +
    " SELECT of_group.number, base, place, delta FROM asked CROSS JOIN state_groups AS of_group" +
    " ON of_group.room = asked.room AND of_group.number = asked.number",
  eventNames: `SELECT events.id, event_id ${LISTED} events ON events.id = listed.value`,
  keyNames: `SELECT state_keys.id, state_keys.type, state_key ${LISTED} state_keys ON state_keys.id = listed.value`,
  create: "INSERT INTO rooms (room_id, revision, row) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
  advance: "UPDATE rooms SET revision = ?, row = ? WHERE room_id = ? AND revision = ? RETURNING id",
  putEvent:
    `INSERT INTO events (room, put_at, ${eventColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)` +
    ` ${replacesEvent} RETURNING id`,
  eventNumber: "SELECT id FROM events WHERE room = ? AND event_id = ?",
  nameEvent: "INSERT INTO events (room, event_id) VALUES (?, ?) RETURNING id",
  keyNumber: "SELECT id FROM state_keys WHERE room = ? AND type = ? AND state_key = ?",
  nameKey: "INSERT INTO state_keys (room, type, state_key) VALUES (?, ?, ?) RETURNING id",
  putGroup: "REPLACE INTO state_groups (room, number, base, place, delta) VALUES (?, ?, ?, ?, ?)",
  removePending: "DELETE FROM pending WHERE room = ? AND event_id = ?",
  putPending: "REPLACE INTO pending (room, event_id, row) VALUES (?, ?, ?)",
  removeWaiting: "DELETE FROM waiting WHERE room = ? AND kind = ? AND event_id = ?",
  putWaiting: "REPLACE INTO waiting (room, kind, event_id, row) VALUES (?, ?, ?, ?)",
} as const;

const {
  roomIds,
  record: ofRecord,
  revision: ofRevision,
  pending,
  waiting,
  changed,
  events,
  forwards,
  backwards,
} = roomStatements;

/** The part of a storage that rooms are read and written by. */
export interface RoomCalls {
  roomIds(): readonly string[];
  openRoom(roomId: string): OpenedRoom | undefined;
  readEvents(roomId: string, eventIds: readonly string[]): readonly StoredEvent[];
  roomsWith(eventId: string): readonly string[];
  readTimeline(roomId: string, range: TimelineRange): readonly StoredEvent[];
  readStateGroups(roomId: string, groups: readonly number[]): readonly StateGroup[];
  changesSince(roomId: string, revision: number): RoomChanges | undefined;
  commit(batch: Batch): CommitResult;
}

export function roomCalls(sql: Sql): RoomCalls {
  const eventsBy = (text: string, ...values: SqliteValue[]): readonly StoredEvent[] =>
    sql.all(text, ...values).map(eventOf);

  function opened(room: string): OpenedRoom | undefined {
    const row = sql.get(ofRecord, room);
    if (row === undefined) return undefined;
    return {
      record: records.read(row),
      pending: sql.all(pending, room).map(pendingEvents.read),
      waiting: sql.all(waiting, room).map(waitingRows.read),
    };
  }

  return {
    roomIds: () => sql.all(roomIds).map((row) => nameOf(row, "room_id")),
    openRoom: (roomId) => sql.reading(() => opened(escapeName(roomId))),
    readEvents: (roomId, eventIds) =>
      eventsBy(events, JSON.stringify([...new Set(eventIds)].map(escapeName)), escapeName(roomId)),
    roomsWith: (eventId) => sql.all(roomStatements.roomsWith, escapeName(eventId)).map((row) => nameOf(row, "room_id")),
    readTimeline: (roomId, { from, direction, limit }) =>
      eventsBy(
        direction === "forwards" ? forwards : backwards,
        escapeName(roomId),
        bounded(from),
        // SQLite takes a negative limit for none.
        bounded(Math.max(0, limit)),
      ),
    readStateGroups: (roomId, groups) => sql.reading(() => groupsOf(sql, escapeName(roomId), groups)),
    changesSince: (roomId, revision) =>
      sql.reading(() => {
        const room = opened(escapeName(roomId));
        return room && { ...room, events: eventsBy(changed, escapeName(roomId), bounded(revision)) };
      }),
    commit: (batch) => {
      checkBatch(batch);
      return sql.writing(() => write(sql, batch));
    },
  };
}

function groupsOf(sql: Sql, room: string, groups: readonly number[]): readonly StateGroup[] {
  const rows = sql.all(roomStatements.groups, room, JSON.stringify(groups));
  const keys = new Set<number>();
  const named = new Set<number>();
  for (const row of rows) {
    for (const [key, event] of readDelta(textOf(row, "delta"))) {
      keys.add(key);
      if (event !== undefined) named.add(event);
    }
  }
  const number = (row: SqlRow): number => integerOf(row, "id");
  const keyNames = new Map(
    sql
      .all(roomStatements.keyNames, JSON.stringify([...keys]))
      .map((row): [number, StateKey] => [
        number(row),
        { type: nameOf(row, "type"), stateKey: nameOf(row, "state_key") },
      ]),
  );
  const eventNames = new Map(
    sql
      .all(roomStatements.eventNames, JSON.stringify([...named]))
      .map((row): [number, string] => [number(row), nameOf(row, "event_id")]),
  );
  return rows.map((row) => ({
    group: integerOf(row, "number"),
    base: optionalInteger(row, "base"),
    place: integerOf(row, "place"),
    delta: decodeDelta(textOf(row, "delta"), keyNames, eventNames),
  }));
}

function write(sql: Sql, batch: Batch): CommitResult {
  const { expected, record } = batch;
  const roomId = escapeName(batch.roomId);
  const row = records.write(record);
  const written =
    expected === undefined
      ? sql.get(roomStatements.create, roomId, record.revision, row)
      : sql.get(roomStatements.advance, record.revision, row, roomId, expected);
  if (written === undefined) {
    const found = sql.get(ofRevision, roomId);
    return { committed: false, revision: found && integerOf(found, "revision") };
  }
  const room = integerOf(written, "id");
  writeGroups(sql, room, batch.groups, writeEvents(sql, room, record.revision, batch.events));
  writeHeld(sql, room, batch);
  writeOutbox(sql, batch.outbox);
  writeOutside(sql, batch.outside);
  writeIntents(sql, batch.intents);
  return { committed: true };
}

/** Gives the number of each event. */
function writeEvents(
  sql: Sql,
  room: number,
  revision: number,
  written: readonly StoredEvent[],
): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const event of lastOfEach(written, ({ eventId }) => eventId)) {
    const { eventId, standing, verdict, mismatch, position, before, after, redactedBy, json } = eventValues(event);
    const values = [eventId, standing, verdict, mismatch, position, before, after, redactedBy, json];
    const row = sql.get(roomStatements.putEvent, room, revision, ...values);
    if (row !== undefined) numbers.set(event.eventId, integerOf(row, "id"));
  }
  return numbers;
}

function writeGroups(
  sql: Sql,
  room: number,
  groups: readonly StateGroup[],
  written: ReadonlyMap<string, number>,
): void {
  const numberBy = (found: string, added: string, ...names: readonly string[]): number => {
    const escaped = names.map(escapeName);
    const row = sql.get(found, room, ...escaped) ?? sql.get(added, room, ...escaped);
    if (row === undefined) throw new Error("SQLite did not answer with the row that it wrote");
    return integerOf(row, "id");
  };
  const keyNumber = (type: string, stateKey: string): number =>
    numberBy(roomStatements.keyNumber, roomStatements.nameKey, type, stateKey);
  const eventNumber = (eventId: string): number =>
    written.get(eventId) ?? numberBy(roomStatements.eventNumber, roomStatements.nameEvent, eventId);
  for (const { group, base, place, delta } of groups) {
    const text = encodeDelta(delta, keyNumber, eventNumber);
    sql.run(roomStatements.putGroup, room, group, base ?? null, place, text);
  }
}

/** Events that are not decided yet, and who waits for which. */
function writeHeld(sql: Sql, room: number, batch: Batch): void {
  for (const eventId of batch.pending.remove) sql.run(roomStatements.removePending, room, escapeName(eventId));
  for (const event of batch.pending.put) {
    sql.run(roomStatements.putPending, room, escapeName(event.eventId), pendingEvents.write(event));
  }
  for (const each of batch.waiting) {
    const eventId = escapeName(each.eventId);
    if (each.by.length === 0) sql.run(roomStatements.removeWaiting, room, each.kind, eventId);
    else sql.run(roomStatements.putWaiting, room, each.kind, eventId, waitingRows.write(each));
  }
}
