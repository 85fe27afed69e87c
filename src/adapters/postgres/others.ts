/** What is not a room's: queues and leases, answers to transactions, memberships elsewhere, intents, and the stores. */
import type { Batch, OutboxEntry } from "../../ports/storage.js";
import { countsOf, numbered } from "../sql/batch.js";
import type { OtherCalls } from "../sql/calls.js";
import { bounded, integerOf, lastOfEach, nameOf } from "../sql/row.js";
import { serverOf } from "../sql/stores.js";
import type { ServerKeyStore, TakenBounds, TakenMessageStore } from "../sql/stores.js";
import { escapeName, unescapeName } from "../sql/text.js";
import { answers, intentRows, memberships, serverKeys } from "../sql/whole.js";
import type { Sql, Statements } from "./client.js";

/** The statements over one schema. */
export function otherStatements(schema: string) {
  return {
    // Each step finds the next destination in the index, so that long queues are not read.
    destinations:
      "WITH RECURSIVE found (name) AS" +
      ` ((SELECT destination FROM ${schema}.outbox ORDER BY destination LIMIT 1)` +
      ` UNION ALL SELECT (SELECT destination FROM ${schema}.outbox WHERE destination > found.name` +
      " ORDER BY destination LIMIT 1) FROM found WHERE found.name IS NOT NULL)" +
      " SELECT name FROM found WHERE name IS NOT NULL",
    outbox:
      `SELECT sequence, room_id, event_id FROM ${schema}.outbox WHERE destination = $1` + " ORDER BY sequence LIMIT $2",
    settle: `DELETE FROM ${schema}.outbox WHERE destination = $1 AND sequence <= $2`,
    // Who takes numbers holds the queues' rows until the rows with these numbers can be read. In this order, so that
    // writers do not wait for each other in a circle.
    take:
      `INSERT INTO ${schema}.queues (destination, last) SELECT * FROM unnest($1::text[], $2::bigint[])` +
      " AS wanted (destination, count) ORDER BY 1 ON CONFLICT (destination)" +
      " DO UPDATE SET last = queues.last + excluded.last RETURNING destination, last",
    append:
      `INSERT INTO ${schema}.outbox (destination, sequence, room_id, event_id)` +
      " SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[])",
    lease:
      `INSERT INTO ${schema}.leases (destination, holder, until) VALUES ($1, $2, $3)` +
      " ON CONFLICT (destination) DO UPDATE SET holder = excluded.holder, until = excluded.until" +
      " WHERE leases.holder = excluded.holder OR leases.until <= $4" +
      " OR ($4 < excluded.until AND leases.until > $5)",
    transaction: `SELECT row FROM ${schema}.transactions WHERE origin = $1 AND transaction_id = $2`,
    recordAnswer:
      `WITH forgotten AS (DELETE FROM ${schema}.transactions WHERE answered_at < $5` +
      " AND NOT (origin = $1 AND transaction_id = $2))" +
      ` INSERT INTO ${schema}.transactions (origin, transaction_id, answered_at, row) VALUES ($1, $2, $3, $4)` +
      " ON CONFLICT (origin, transaction_id) DO UPDATE SET answered_at = excluded.answered_at, row = excluded.row",
    outside: `SELECT row FROM ${schema}.outside`,
    outsideOf: `SELECT row FROM ${schema}.outside WHERE user_id = $1`,
    putOutside:
      `INSERT INTO ${schema}.outside (user_id, room_id, row)` +
      " SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS put (user_id, room_id, row) ORDER BY 1, 2" +
      " ON CONFLICT (user_id, room_id) DO UPDATE SET row = excluded.row",
    removeOutside:
      `DELETE FROM ${schema}.outside USING unnest($1::text[], $2::text[]) AS gone (user_id, room_id)` +
      " WHERE outside.user_id = gone.user_id AND outside.room_id = gone.room_id",
    intents: `SELECT row FROM ${schema}.intents`,
    intentsOf: `SELECT row FROM ${schema}.intents WHERE kind = $1`,
    putIntents:
      `INSERT INTO ${schema}.intents (id, kind, row)` +
      " SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS put (id, kind, row) ORDER BY 1" +
      " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, row = excluded.row",
    removeIntents: `DELETE FROM ${schema}.intents WHERE id = ANY ($1::text[])`,
    keys: `SELECT row FROM ${schema}.server_keys WHERE server = $1`,
    putKeys:
      `INSERT INTO ${schema}.server_keys (server, row) VALUES ($1, $2)` +
      " ON CONFLICT (server) DO UPDATE SET row = excluded.row",
    taken: `SELECT 1 FROM ${schema}.taken WHERE sender = $1 AND message_id = $2`,
    count:
      `INSERT INTO ${schema}.taken_counts (server, last) VALUES ($1, 1)` +
      " ON CONFLICT (server) DO UPDATE SET last = taken_counts.last + 1 RETURNING last",
    addTaken:
      `INSERT INTO ${schema}.taken (sender, message_id, server, number) VALUES ($1, $2, $3, $4)` +
      " ON CONFLICT DO NOTHING",
    forgetTaken:
      `DELETE FROM ${schema}.taken WHERE (server = $1 AND number <= $2)` +
      " OR taken_at < now() - make_interval(secs => $3)",
  } as const;
}

export type OtherStatements = ReturnType<typeof otherStatements>;

export function otherCalls(sql: Sql, on: OtherStatements): OtherCalls {
  return {
    outboxDestinations: async () => (await sql.all(on.destinations)).map((row) => nameOf(row, "name")),
    readOutbox: async (destination, limit) => {
      const rows = await sql.all(on.outbox, escapeName(destination), bounded(Math.max(0, limit)));
      return rows.map((row) => {
        const eventId = row["event_id"];
        return {
          destination,
          roomId: nameOf(row, "room_id"),
          ...(typeof eventId === "string" ? { eventId: unescapeName(eventId) } : {}),
          sequence: integerOf(row, "sequence"),
        };
      });
    },
    settleOutbox: (destination, through, replacement) =>
      sql.writing(async (statements) => {
        await statements.run(on.settle, escapeName(destination), bounded(through));
        await writeOutbox(statements, on, replacement);
      }),
    lease: async (destination, holder, now, until) => {
      const latest = bounded(now + 2 * (until - now));
      const names = [escapeName(destination), escapeName(holder)];
      return (await sql.run(on.lease, ...names, bounded(until), bounded(now), latest)) > 0;
    },

    readTransaction: async (origin, transactionId) => {
      const row = await sql.get(on.transaction, escapeName(origin), escapeName(transactionId));
      return row && answers.read(row);
    },
    recordTransaction: async (answer, forgetBefore) => {
      const { origin, transactionId, answeredAt } = answer;
      const key = [escapeName(origin), escapeName(transactionId)];
      await sql.run(on.recordAnswer, ...key, bounded(answeredAt), answers.write(answer), bounded(forgetBefore));
    },

    readOutside: async (userId) => {
      const rows = userId === undefined ? sql.all(on.outside) : sql.all(on.outsideOf, escapeName(userId));
      return (await rows).map(memberships.read);
    },
    putOutside: (membership) => writeOutside(sql, on, { put: [membership], remove: [] }),
    removeOutside: (roomId, userId) => writeOutside(sql, on, { put: [], remove: [{ roomId, userId }] }),

    readIntents: async (kind) => {
      const rows = kind === undefined ? sql.all(on.intents) : sql.all(on.intentsOf, escapeName(kind));
      return (await rows).map(intentRows.read);
    },
    putIntent: (intent) => writeIntents(sql, on, { put: [intent], remove: [] }),
    removeIntents: (ids) => writeIntents(sql, on, { put: [], remove: ids }),
  };
}

export async function writeOutbox(
  { all, run }: Statements,
  on: OtherStatements,
  entries: readonly OutboxEntry[],
): Promise<void> {
  if (entries.length === 0) return;
  const escaped = entries.map(({ destination, roomId, eventId }) => ({
    destination: escapeName(destination),
    roomId: escapeName(roomId),
    eventId: eventId === undefined ? null : escapeName(eventId),
  }));
  const counts = countsOf(escaped);
  const names = counts.map(([destination]) => destination);
  const taken = await all(
    on.take,
    names,
    counts.map(([, count]) => count),
  );
  const last = new Map(taken.map((row) => [String(row["destination"]), integerOf(row, "last")]));
  const rows = numbered(escaped, last);
  await run(
    on.append,
    rows.map(([{ destination }]) => destination),
    rows.map(([, sequence]) => sequence),
    rows.map(([{ roomId }]) => roomId),
    rows.map(([{ eventId }]) => eventId),
  );
}

export async function writeOutside(
  { run }: Pick<Statements, "run">,
  on: OtherStatements,
  { put, remove }: Batch["outside"],
): Promise<void> {
  if (remove.length > 0) {
    const users = remove.map(({ userId }) => escapeName(userId));
    await run(
      on.removeOutside,
      users,
      remove.map(({ roomId }) => escapeName(roomId)),
    );
  }
  const rows = lastOfEach(put, ({ userId, roomId }) => JSON.stringify([userId, roomId]));
  if (rows.length === 0) return;
  const users = rows.map(({ userId }) => escapeName(userId));
  const rooms = rows.map(({ roomId }) => escapeName(roomId));
  await run(on.putOutside, users, rooms, rows.map(memberships.write));
}

export async function writeIntents(
  { run }: Pick<Statements, "run">,
  on: OtherStatements,
  { put, remove }: Batch["intents"],
): Promise<void> {
  if (remove.length > 0) await run(on.removeIntents, remove.map(escapeName));
  const rows = lastOfEach(put, ({ id }) => id);
  if (rows.length === 0) return;
  const ids = rows.map(({ id }) => escapeName(id));
  const kinds = rows.map(({ kind }) => escapeName(kind));
  await run(on.putIntents, ids, kinds, rows.map(intentRows.write));
}

export function keyStore(sql: Sql, on: OtherStatements): ServerKeyStore {
  return {
    get: async (server) => {
      const row = await sql.get(on.keys, escapeName(server));
      return row && serverKeys.read(row);
    },
    put: async (keys) => {
      await sql.run(on.putKeys, escapeName(keys.server), serverKeys.write(keys));
    },
  };
}

export function takenStore(sql: Sql, on: OtherStatements, { perServer, seconds }: TakenBounds): TakenMessageStore {
  return {
    has: async (sender, messageId) =>
      (await sql.get(on.taken, escapeName(sender), escapeName(messageId))) !== undefined,
    add: (sender, messageId) =>
      sql.writing(async ({ get, run }) => {
        const key = [escapeName(sender), escapeName(messageId)];
        if ((await get(on.taken, ...key)) !== undefined) return;
        const server = escapeName(serverOf(sender));
        const row = await get(on.count, server);
        const number = row === undefined ? 0 : integerOf(row, "last");
        await run(on.addTaken, ...key, server, number);
        await run(on.forgetTaken, server, number - perServer, seconds);
      }),
  };
}
