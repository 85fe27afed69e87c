/** The tables, and how a database comes to have them. */
import { lackingSteps } from "../sql/migrations.js";
import type { Sql } from "./client.js";

/** A name that comes back as it was put, compared by its bytes. */
const NAME = 'text COLLATE "C" NOT NULL';
const NUMBER = "bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY";

/**
 * The statements that bring a schema to version 1, 2 and so on. What was released is not changed: what is new is
 * appended. Rooms, events and keys of states have numbers, which stand for them in other tables. JSON is text: `jsonb`
 * loses long numbers and refuses U+0000.
 */
export function postgresMigrations(schema: string): readonly (readonly string[])[] {
  const table = (name: string, ...parts: readonly string[]): string =>
    `CREATE TABLE ${schema}.${name} (${parts.join(", ")})`;
  const index = (name: string, on: string): string => `CREATE INDEX ${name} ON ${schema}.${on}`;
  return [
    [
      // Until `turn_until`, nobody but `turn` commits: see `commit`.
      table(
        "rooms",
        `id ${NUMBER}`,
        `room_id ${NAME} UNIQUE`,
        "revision bigint NOT NULL",
        "row text NOT NULL",
        "turn uuid",
        "turn_until timestamptz",
      ),
      // An event that is only named by a state has no `pdu` and no `put_at`, which is the revision that put it last.
      table(
        "events",
        `id ${NUMBER}`,
        "room bigint NOT NULL",
        "put_at bigint",
        "position bigint",
        "state_before bigint",
        "state_after bigint",
        "standing smallint",
        "mismatch smallint",
        `event_id ${NAME}`,
        'redacted_by text COLLATE "C"',
        "verdict text",
        "pdu text",
        "UNIQUE (event_id, room)",
      ),
      index("events_by_revision", "events (room, put_at) WHERE put_at IS NOT NULL"),
      index("events_by_position", "events (room, position) WHERE standing < 2 AND position IS NOT NULL"),
      table(
        "state_keys",
        `id ${NUMBER}`,
        "room bigint NOT NULL",
        `type ${NAME}`,
        `state_key ${NAME}`,
        "UNIQUE (room, type, state_key)",
      ),
      table(
        "state_groups",
        "room bigint NOT NULL",
        "number bigint NOT NULL",
        "base bigint",
        "place bigint NOT NULL",
        "delta text NOT NULL",
        "PRIMARY KEY (room, number)",
      ),
      table("pending", "room bigint NOT NULL", `event_id ${NAME}`, "row text NOT NULL", "PRIMARY KEY (room, event_id)"),
      table(
        "waiting",
        "room bigint NOT NULL",
        `kind ${NAME}`,
        `event_id ${NAME}`,
        "row text NOT NULL",
        "PRIMARY KEY (room, kind, event_id)",
      ),
      // Never emptied: that is why no sequence is used twice.
      table("queues", `destination ${NAME} PRIMARY KEY`, "last bigint NOT NULL"),
      table(
        "outbox",
        `destination ${NAME}`,
        "sequence bigint NOT NULL",
        `room_id ${NAME}`,
        'event_id text COLLATE "C"',
        "PRIMARY KEY (destination, sequence)",
      ),
      table("leases", `destination ${NAME} PRIMARY KEY`, `holder ${NAME}`, "until bigint NOT NULL"),
      table(
        "transactions",
        `origin ${NAME}`,
        `transaction_id ${NAME}`,
        "answered_at bigint NOT NULL",
        "row text NOT NULL",
        "PRIMARY KEY (origin, transaction_id)",
      ),
      index("transactions_by_time", "transactions (answered_at)"),
      table("outside", `user_id ${NAME}`, `room_id ${NAME}`, "row text NOT NULL", "PRIMARY KEY (user_id, room_id)"),
      table("intents", `id ${NAME} PRIMARY KEY`, `kind ${NAME}`, "row text NOT NULL"),
      index("intents_by_kind", "intents (kind)"),
      table("server_keys", `server ${NAME} PRIMARY KEY`, "row text NOT NULL"),
      table("taken_counts", `server ${NAME} PRIMARY KEY`, "last bigint NOT NULL"),
      table(
        "taken",
        `sender ${NAME}`,
        `message_id ${NAME}`,
        `server ${NAME}`,
        "number bigint NOT NULL",
        "taken_at timestamptz NOT NULL DEFAULT now()",
        "PRIMARY KEY (sender, message_id)",
      ),
      index("taken_by_number", "taken (server, number)"),
      index("taken_by_time", "taken (taken_at)"),
    ],
  ];
}

/** Whoever brings a schema of roomdag to another version holds this lock. */
const LOCK = 7_262_466_241;

/** Brings the schema to the last version; of processes that start at once, one does. */
export async function migrate(sql: Sql, schema: string): Promise<void> {
  const migrations = postgresMigrations(schema);
  await sql.writing(async ({ get, run }) => {
    await run("SELECT pg_advisory_xact_lock($1)", LOCK);
    await run(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await run(`CREATE TABLE IF NOT EXISTS ${schema}.schema_version (version integer NOT NULL)`);
    const row = await get(`SELECT version FROM ${schema}.schema_version`);
    const steps = lackingSteps(row, migrations);
    if (steps === undefined) return;
    for (const statement of steps) await run(statement);
    await run(`DELETE FROM ${schema}.schema_version`);
    await run(`INSERT INTO ${schema}.schema_version VALUES ($1)`, migrations.length);
  });
}
