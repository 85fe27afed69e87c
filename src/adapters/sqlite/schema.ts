/** The tables, and how a database comes to have them. */
import { lackingSteps } from "../sql/migrations.js";
import { sqlOver } from "./handle.js";
import type { SqliteHandle } from "./handle.js";

/**
 * The statements that bring a database to version 1, 2 and so on. What was released is not changed: what is new is
 * appended. Rooms, events and keys of states have numbers, which stand for them in other tables.
 */
export const sqliteMigrations: readonly (readonly string[])[] = [
  [
    "CREATE TABLE rooms (id INTEGER PRIMARY KEY, room_id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL," +
      " row TEXT NOT NULL) STRICT",
    // An event that is only named by a state has no `pdu` and no `put_at`, which is the revision that put it last.
    "CREATE TABLE events (id INTEGER PRIMARY KEY, room INTEGER NOT NULL, event_id TEXT NOT NULL, put_at INTEGER," +
      " standing INTEGER, mismatch INTEGER, position INTEGER, state_before INTEGER, state_after INTEGER," +
      " redacted_by TEXT, verdict TEXT, pdu TEXT) STRICT",
    "CREATE UNIQUE INDEX events_by_name ON events (event_id, room)",
    "CREATE INDEX events_by_revision ON events (room, put_at) WHERE put_at IS NOT NULL",
    "CREATE INDEX events_by_position ON events (room, position) WHERE standing < 2 AND position IS NOT NULL",
    "CREATE TABLE state_keys (id INTEGER PRIMARY KEY, room INTEGER NOT NULL, type TEXT NOT NULL," +
      " state_key TEXT NOT NULL, UNIQUE (room, type, state_key)) STRICT",
    "CREATE TABLE state_groups (room INTEGER NOT NULL, number INTEGER NOT NULL, base INTEGER," +
      " place INTEGER NOT NULL, delta TEXT NOT NULL, PRIMARY KEY (room, number)) STRICT, WITHOUT ROWID",
    "CREATE TABLE pending (room INTEGER NOT NULL, event_id TEXT NOT NULL, row TEXT NOT NULL," +
      " PRIMARY KEY (room, event_id)) STRICT",
    "CREATE TABLE waiting (room INTEGER NOT NULL, kind TEXT NOT NULL, event_id TEXT NOT NULL, row TEXT NOT NULL," +
      " PRIMARY KEY (room, kind, event_id)) STRICT, WITHOUT ROWID",
    // Never emptied: that is why no sequence is used twice.
    "CREATE TABLE queues (destination TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE outbox (destination TEXT NOT NULL, sequence INTEGER NOT NULL, room_id TEXT NOT NULL," +
      " event_id TEXT, PRIMARY KEY (destination, sequence)) STRICT, WITHOUT ROWID",
    "CREATE TABLE leases (destination TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL)" +
      " STRICT, WITHOUT ROWID",
    "CREATE TABLE transactions (origin TEXT NOT NULL, transaction_id TEXT NOT NULL, answered_at INTEGER NOT NULL," +
      " row TEXT NOT NULL, PRIMARY KEY (origin, transaction_id)) STRICT",
    "CREATE INDEX transactions_by_time ON transactions (answered_at)",
    "CREATE TABLE outside (user_id TEXT NOT NULL, room_id TEXT NOT NULL, row TEXT NOT NULL," +
      " PRIMARY KEY (user_id, room_id)) STRICT",
    "CREATE TABLE intents (id TEXT PRIMARY KEY, kind TEXT NOT NULL, row TEXT NOT NULL) STRICT",
    "CREATE INDEX intents_by_kind ON intents (kind)",
    "CREATE TABLE server_keys (server TEXT PRIMARY KEY, row TEXT NOT NULL) STRICT",
    "CREATE TABLE taken_counts (server TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE taken (sender TEXT NOT NULL, message_id TEXT NOT NULL, server TEXT NOT NULL," +
      " number INTEGER NOT NULL, taken_at INTEGER NOT NULL, PRIMARY KEY (sender, message_id)) STRICT, WITHOUT ROWID",
    "CREATE INDEX taken_by_number ON taken (server, number)",
    "CREATE INDEX taken_by_time ON taken (taken_at)",
  ],
];

/** Brings the database to the last version; of processes that start at once, one does. */
export function migrate(handle: SqliteHandle, migrations: readonly (readonly string[])[] = sqliteMigrations): void {
  const { get, run, writing } = sqlOver(handle);
  writing(() => {
    handle.exec("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT");
    const row = get("SELECT version FROM schema_version");
    const steps = lackingSteps(row, migrations);
    if (steps === undefined) return;
    for (const statement of steps) handle.exec(statement);
    run("DELETE FROM schema_version");
    run("INSERT INTO schema_version VALUES (?)", migrations.length);
  });
}
