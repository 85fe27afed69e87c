/** The rows of rooms: what is read of them, and the commit. Lists are one parameter and one statement each. */
import type {
  Batch,
  CommitResult,
  OpenedRoom,
  StateEntry,
  StateGroup,
  Storage,
  StoredEvent,
} from "../../ports/storage.js";
import { checkBatch } from "../sql/batch.js";
import { eventColumns, eventOf, eventValues, replacesEvent } from "../sql/event.js";
import { decodeDelta, encodeDelta, readDelta } from "../sql/group.js";
import type { StateKey } from "../sql/group.js";
import { bounded, integerOf, lastOfEach, nameOf, optionalInteger, textOf } from "../sql/row.js";
import { escapeName } from "../sql/text.js";
import { pendingEvents, records, waitingRows } from "../sql/whole.js";
import type { Sql, Statements } from "./client.js";
import { writeIntents, writeOutbox, writeOutside } from "./others.js";
import type { OtherStatements } from "./others.js";

/** Rows of one statement: many in one message, and none of a size that a server refuses. */
const AT_ONCE = 5_000;

/**
 * Seconds that a writer who lost a race has for itself. Without them, whoever won and goes on writing would be first
 * again, since the other has to read what changed and decide anew; with them, writers take turns.
 */
const TURN = 0.25;
const PAUSE = 0.003;

/** Whether nobody else has the turn. */
const freeFor = (holder: string): string => `(turn IS NULL OR turn = ${holder} OR turn_until < clock_timestamp())`;

/** The statements over one schema. */
export function roomStatements(schema: string) {
  const room = `(SELECT id FROM ${schema}.rooms WHERE room_id = $1)`;
  const events = `SELECT ${eventColumns} FROM ${schema}.events WHERE room = ${room}`;
  return {
    roomIds: `SELECT room_id FROM ${schema}.rooms`,
    record: `SELECT row FROM ${schema}.rooms WHERE room_id = $1`,
    pending: `SELECT row FROM ${schema}.pending WHERE room = ${room}`,
    waiting: `SELECT row FROM ${schema}.waiting WHERE room = ${room}`,
    changed: `${events} AND put_at > $2`,
    events: `${events} AND event_id = ANY ($2::text[]) AND put_at IS NOT NULL`,
    roomsWith:
      `SELECT room_id FROM ${schema}.events JOIN ${schema}.rooms ON rooms.id = events.room` +
      " WHERE event_id = $1 AND put_at IS NOT NULL",
    forwards: `${events} AND standing < 2 AND position >= $2 ORDER BY position LIMIT $3`,
    backwards: `${events} AND standing < 2 AND position <= $2 ORDER BY position DESC LIMIT $3`,
    groups:
      `WITH RECURSIVE asked (room, number) AS (SELECT ${room}, listed FROM unnest($2::bigint[]) AS listed` +
      ` UNION SELECT asked.room, base FROM asked JOIN ${schema}.state_groups USING (room, number)` +
      " WHERE base IS NOT NULL)" +
      ` SELECT number, base, place, delta FROM asked JOIN ${schema}.state_groups USING (room, number)`,
    eventNames: `SELECT id, event_id FROM ${schema}.events WHERE id = ANY ($1::bigint[])`,
    keyNames: `SELECT id, type, state_key FROM ${schema}.state_keys WHERE id = ANY ($1::bigint[])`,
    create:
      `INSERT INTO ${schema}.rooms (room_id, revision, row) VALUES ($1, $2, $3)` +
      " ON CONFLICT DO NOTHING RETURNING id",
    advance:
      `UPDATE ${schema}.rooms SET revision = $2, row = $3, turn = NULL, turn_until = NULL` +
      ` WHERE room_id = $1 AND revision = $4 AND ${freeFor("$5")} RETURNING id`,
    // What is written of a turn may be lost.
    revisionNow:
      "SELECT revision, set_config('synchronous_commit', 'off', true)" + ` FROM ${schema}.rooms WHERE room_id = $1`,
    takeTurn:
      `UPDATE ${schema}.rooms SET turn = $2, turn_until = clock_timestamp() + make_interval(secs => $3)` +
      ` WHERE room_id = $1 AND ${freeFor("$2")}`,
    pause: "SELECT pg_sleep($1)",
    putEvents:
      `INSERT INTO ${schema}.events (room, put_at, ${eventColumns}) SELECT $1::bigint, $2::bigint, *` +
      " FROM unnest($3::text[], $4::smallint[], $5::text[], $6::smallint[], $7::bigint[], $8::bigint[], $9::bigint[]," +
      " $10::text[], $11::text[])" +
      ` ${replacesEvent} RETURNING id, event_id`,
    eventNumbers: `SELECT id, event_id FROM ${schema}.events WHERE room = $1 AND event_id = ANY ($2::text[])`,
    nameEvents:
      `INSERT INTO ${schema}.events (room, event_id) SELECT $1::bigint, unnest($2::text[])` + " RETURNING id, event_id",
    keyNumbers:
      `SELECT id, type, state_key FROM ${schema}.state_keys` +
      " JOIN unnest($2::text[], $3::text[]) AS listed (type, state_key) USING (type, state_key) WHERE room = $1",
    nameKeys:
      `INSERT INTO ${schema}.state_keys (room, type, state_key) SELECT $1::bigint, *` +
      " FROM unnest($2::text[], $3::text[]) RETURNING id, type, state_key",
    putGroups:
      `INSERT INTO ${schema}.state_groups (room, number, base, place, delta)` +
      " SELECT $1::bigint, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[])" +
      " ON CONFLICT (room, number) DO UPDATE SET base = excluded.base, place = excluded.place, delta = excluded.delta",
    removePending: `DELETE FROM ${schema}.pending WHERE room = $1 AND event_id = ANY ($2::text[])`,
    putPending:
      `INSERT INTO ${schema}.pending (room, event_id, row) SELECT $1::bigint, * FROM unnest($2::text[], $3::text[])` +
      " ON CONFLICT (room, event_id) DO UPDATE SET row = excluded.row",
    removeWaiting:
      `DELETE FROM ${schema}.waiting USING unnest($2::text[], $3::text[]) AS gone (kind, event_id)` +
      " WHERE room = $1 AND waiting.kind = gone.kind AND waiting.event_id = gone.event_id",
    putWaiting:
      `INSERT INTO ${schema}.waiting (room, kind, event_id, row)` +
      " SELECT $1::bigint, * FROM unnest($2::text[], $3::text[], $4::text[])" +
      " ON CONFLICT (room, kind, event_id) DO UPDATE SET row = excluded.row",
  } as const;
}

export type RoomStatements = ReturnType<typeof roomStatements>;

/** The part of a storage that rooms are read and written by. */
export type RoomCalls = Pick<
  Storage,
  "roomIds" | "openRoom" | "readEvents" | "roomsWith" | "readTimeline" | "readStateGroups" | "changesSince" | "commit"
>;

/** @param holder who takes turns, unlike any other's */
export function roomCalls(sql: Sql, on: RoomStatements, others: OtherStatements, holder: string): RoomCalls {
  async function opened({ get, all }: Statements, room: string): Promise<OpenedRoom | undefined> {
    const row = await get(on.record, room);
    if (row === undefined) return undefined;
    return {
      record: records.read(row),
      pending: (await all(on.pending, room)).map(pendingEvents.read),
      waiting: (await all(on.waiting, room)).map(waitingRows.read),
    };
  }

  return {
    roomIds: async () => (await sql.all(on.roomIds)).map((row) => nameOf(row, "room_id")),
    openRoom: (roomId) => sql.reading((statements) => opened(statements, escapeName(roomId))),
    readEvents: async (roomId, eventIds) => {
      const wanted = [...new Set(eventIds)].map(escapeName);
      return wanted.length === 0 ? [] : (await sql.all(on.events, escapeName(roomId), wanted)).map(eventOf);
    },
    roomsWith: async (eventId) =>
      (await sql.all(on.roomsWith, escapeName(eventId))).map((row) => nameOf(row, "room_id")),
    readTimeline: async (roomId, { from, direction, limit }) => {
      const range = [bounded(from), bounded(Math.max(0, limit))];
      return (await sql.all(on[direction], escapeName(roomId), ...range)).map(eventOf);
    },
    readStateGroups: (roomId, groups) => groupsOf(sql, on, escapeName(roomId), groups),
    changesSince: (roomId, revision) =>
      sql.reading(async (statements) => {
        const room = await opened(statements, escapeName(roomId));
        if (room === undefined) return undefined;
        const rows = await statements.all(on.changed, escapeName(roomId), bounded(revision));
        return { ...room, events: rows.map(eventOf) };
      }),
    commit: async (batch) => {
      checkBatch(batch);
      for (;;) {
        const result = await sql.writing((statements) => write(statements, on, others, holder, batch));
        if (result !== "not our turn") return result;
        await sql.get(on.pause, PAUSE);
      }
    },
  };
}

/** Names are given once and never changed, so these need not be of one moment with the groups. */
async function groupsOf(
  { all }: Statements,
  on: RoomStatements,
  room: string,
  groups: readonly number[],
): Promise<readonly StateGroup[]> {
  if (groups.length === 0) return [];
  const rows = await all(on.groups, room, groups);
  const pairs = rows.flatMap((row) => readDelta(textOf(row, "delta")));
  const keys = [...new Set(pairs.map(([key]) => key))];
  const named = [...new Set(pairs.flatMap(([, event]) => event ?? []))];
  const keyNames = new Map<number, StateKey>();
  for (const row of keys.length === 0 ? [] : await all(on.keyNames, keys)) {
    keyNames.set(integerOf(row, "id"), { type: nameOf(row, "type"), stateKey: nameOf(row, "state_key") });
  }
  const eventNames = new Map<number, string>();
  for (const row of named.length === 0 ? [] : await all(on.eventNames, named)) {
    eventNames.set(integerOf(row, "id"), nameOf(row, "event_id"));
  }
  return rows.map((row) => ({
    group: integerOf(row, "number"),
    base: optionalInteger(row, "base"),
    place: integerOf(row, "place"),
    delta: decodeDelta(textOf(row, "delta"), keyNames, eventNames),
  }));
}

async function write(
  statements: Statements,
  on: RoomStatements,
  others: OtherStatements,
  holder: string,
  batch: Batch,
): Promise<CommitResult | "not our turn"> {
  const { get, run } = statements;
  const { expected, record } = batch;
  const roomId = escapeName(batch.roomId);
  const given = [roomId, record.revision, records.write(record)] as const;
  // Writes the room's row, so that another writer waits here and finds another revision then.
  const written =
    expected === undefined ? await get(on.create, ...given) : await get(on.advance, ...given, expected, holder);
  if (written === undefined) {
    const found = await get(on.revisionNow, roomId);
    const revision = found && integerOf(found, "revision");
    if (expected === undefined || revision === undefined) return { committed: false, revision };
    if (revision === expected) return "not our turn";
    await run(on.takeTurn, roomId, holder, TURN);
    return { committed: false, revision };
  }
  const room = integerOf(written, "id");
  const numbers = await writeEvents(statements, on, room, record.revision, batch.events);
  await writeGroups(statements, on, room, batch.groups, numbers);
  await writeHeld(statements, on, room, batch);
  await writeOutbox(statements, others, batch.outbox);
  await writeOutside(statements, others, batch.outside);
  await writeIntents(statements, others, batch.intents);
  return { committed: true };
}

/** Gives the number of each event, by its escaped id. */
async function writeEvents(
  { all }: Statements,
  on: RoomStatements,
  room: number,
  revision: number,
  events: readonly StoredEvent[],
): Promise<Map<string, number>> {
  const numbers = new Map<string, number>();
  const last = lastOfEach(events, ({ eventId }) => eventId);
  for (let at = 0; at < last.length; at += AT_ONCE) {
    const rows = last.slice(at, at + AT_ONCE).map(eventValues);
    const written = await all(
      on.putEvents,
      room,
      revision,
      rows.map(({ eventId }) => eventId),
      rows.map(({ standing }) => standing),
      rows.map(({ verdict }) => verdict),
      rows.map(({ mismatch }) => mismatch),
      rows.map(({ position }) => position),
      rows.map(({ before }) => before),
      rows.map(({ after }) => after),
      rows.map(({ redactedBy }) => redactedBy),
      rows.map(({ json }) => json),
    );
    for (const row of written) numbers.set(textOf(row, "event_id"), integerOf(row, "id"));
  }
  return numbers;
}

async function writeGroups(
  statements: Statements,
  on: RoomStatements,
  room: number,
  groups: readonly StateGroup[],
  events: Map<string, number>,
): Promise<void> {
  if (groups.length === 0) return;
  const last = lastOfEach(groups, ({ group }) => group);
  const entries = last.flatMap(({ delta }) => delta);
  await nameEvents(statements, on, room, entries, events);
  const keys = await nameKeys(statements, on, room, entries);
  const keyNumber = (type: string, stateKey: string): number => keys.get(keyName(type, stateKey)) ?? unnamed();
  const eventNumber = (eventId: string): number => events.get(escapeName(eventId)) ?? unnamed();
  await statements.run(
    on.putGroups,
    room,
    last.map(({ group }) => group),
    last.map(({ base }) => base ?? null),
    last.map(({ place }) => place),
    last.map(({ delta }) => encodeDelta(delta, keyNumber, eventNumber)),
  );
}

function unnamed(): never {
  throw new Error("PostgreSQL did not answer with the rows that it wrote");
}

/** Adds the numbers of the events that these entries name. */
async function nameEvents(
  { all }: Statements,
  on: RoomStatements,
  room: number,
  entries: readonly StateEntry[],
  numbers: Map<string, number>,
): Promise<void> {
  const named = new Set(entries.flatMap(([, , eventId]) => (eventId === undefined ? [] : escapeName(eventId))));
  for (const statement of [on.eventNumbers, on.nameEvents]) {
    const missing = [...named].filter((eventId) => !numbers.has(eventId));
    if (missing.length === 0) return;
    for (const row of await all(statement, room, missing)) {
      numbers.set(textOf(row, "event_id"), integerOf(row, "id"));
    }
  }
}

/** The numbers of the keys of these entries. */
async function nameKeys(
  { all }: Statements,
  on: RoomStatements,
  room: number,
  entries: readonly StateEntry[],
): Promise<ReadonlyMap<string, number>> {
  const named = new Map(entries.map(([type, stateKey]) => [keyName(type, stateKey), [type, stateKey] as const]));
  const numbers = new Map<string, number>();
  for (const statement of [on.keyNumbers, on.nameKeys]) {
    const missing = [...named].flatMap(([name, key]) => (numbers.has(name) ? [] : [key]));
    if (missing.length === 0) break;
    const types = missing.map(([type]) => escapeName(type));
    const stateKeys = missing.map(([, stateKey]) => escapeName(stateKey));
    for (const row of await all(statement, room, types, stateKeys)) {
      numbers.set(keyName(nameOf(row, "type"), nameOf(row, "state_key")), integerOf(row, "id"));
    }
  }
  return numbers;
}

function keyName(type: string, stateKey: string): string {
  return JSON.stringify([type, stateKey]);
}

/** Events that are not decided yet, and who waits for which. */
async function writeHeld({ run }: Statements, on: RoomStatements, room: number, batch: Batch): Promise<void> {
  const { put, remove } = batch.pending;
  if (remove.length > 0) await run(on.removePending, room, remove.map(escapeName));
  const held = lastOfEach(put, ({ eventId }) => eventId);
  if (held.length > 0) {
    const ids = held.map(({ eventId }) => escapeName(eventId));
    await run(on.putPending, room, ids, held.map(pendingEvents.write));
  }
  const waiting = lastOfEach(batch.waiting, ({ kind, eventId }) => `${kind} ${eventId}`);
  const gone = waiting.filter(({ by }) => by.length === 0);
  const kept = waiting.filter(({ by }) => by.length > 0);
  const kinds = (rows: typeof waiting): readonly string[] => rows.map(({ kind }) => kind);
  const ids = (rows: typeof waiting): readonly string[] => rows.map(({ eventId }) => escapeName(eventId));
  if (gone.length > 0) await run(on.removeWaiting, room, kinds(gone), ids(gone));
  if (kept.length > 0) await run(on.putWaiting, room, kinds(kept), ids(kept), kept.map(waitingRows.write));
}
