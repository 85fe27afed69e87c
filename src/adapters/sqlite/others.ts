/** What is not a room's: queues and leases, answers to transactions, memberships elsewhere, intents, and the stores. */
import type { Batch, OutboxEntry } from "../../ports/storage.js";
import { countsOf, numbered } from "../sql/batch.js";
import type { OtherCalls } from "../sql/calls.js";
import { bounded, integerOf, nameOf } from "../sql/row.js";
import { serverOf } from "../sql/stores.js";
import type { ServerKeyStore, TakenBounds, TakenMessageStore } from "../sql/stores.js";
import { escapeName, unescapeName } from "../sql/text.js";
import { answers, intentRows, memberships, serverKeys } from "../sql/whole.js";
import type { Sql } from "./handle.js";

export const otherStatements = {
  // Each step finds the next destination in the index, so that long queues are not read.
  destinations:
    "WITH RECURSIVE found (name) AS (SELECT min(destination) FROM outbox" +
    " UNION ALL SELECT (SELECT min(destination) FROM outbox WHERE destination > found.name)" +
    " FROM found WHERE found.name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL",
  outbox: "SELECT sequence, room_id, event_id FROM outbox WHERE destination = ? ORDER BY sequence LIMIT ?",
  settle: "DELETE FROM outbox WHERE destination = ? AND sequence <= ?",
  take:
    "INSERT INTO queues (destination, last) VALUES (?, ?)" +
    " ON CONFLICT (destination) DO UPDATE SET last = last + excluded.last RETURNING last",
  append: "INSERT INTO outbox (destination, sequence, room_id, event_id) VALUES (?, ?, ?, ?)",
  lease:
    "INSERT INTO leases (destination, holder, until) VALUES (?, ?, ?)" +
    " ON CONFLICT (destination) DO UPDATE SET holder = excluded.holder, until = excluded.until" +
    " WHERE holder = excluded.holder OR until <= ? OR (? < excluded.until AND until > ?)",
  transaction: "SELECT row FROM transactions WHERE origin = ? AND transaction_id = ?",
  recordAnswer: "REPLACE INTO transactions (origin, transaction_id, answered_at, row) VALUES (?, ?, ?, ?)",
  forget: "DELETE FROM transactions WHERE answered_at < ?",
  outside: "SELECT row FROM outside",
  outsideOf: "SELECT row FROM outside WHERE user_id = ?",
  putOutside: "REPLACE INTO outside (user_id, room_id, row) VALUES (?, ?, ?)",
  removeOutside: "DELETE FROM outside WHERE user_id = ? AND room_id = ?",
  intents: "SELECT row FROM intents",
  intentsOf: "SELECT row FROM intents WHERE kind = ?",
  putIntent: "REPLACE INTO intents (id, kind, row) VALUES (?, ?, ?)",
  removeIntent: "DELETE FROM intents WHERE id = ?",
  keys: "SELECT row FROM server_keys WHERE server = ?",
  putKeys: "REPLACE INTO server_keys (server, row) VALUES (?, ?)",
  taken: "SELECT 1 FROM taken WHERE sender = ? AND message_id = ?",
  count:
    "INSERT INTO taken_counts (server, last) VALUES (?, 1)" +
    " ON CONFLICT (server) DO UPDATE SET last = last + 1 RETURNING last",
  take1: "INSERT INTO taken (sender, message_id, server, number, taken_at) VALUES (?, ?, ?, ?, unixepoch())",
  forgetMany: "DELETE FROM taken WHERE server = ? AND number <= ?",
  forgetOld: "DELETE FROM taken WHERE taken_at < unixepoch() - ?",
} as const;

const on = otherStatements;

export function otherCalls(sql: Sql): OtherCalls {
  return {
    outboxDestinations: () => sql.all(on.destinations).map((row) => nameOf(row, "name")),
    readOutbox: (destination, limit) =>
      sql.all(on.outbox, escapeName(destination), bounded(Math.max(0, limit))).map((row) => {
        const eventId = row["event_id"];
        return {
          destination,
          roomId: nameOf(row, "room_id"),
          ...(typeof eventId === "string" ? { eventId: unescapeName(eventId) } : {}),
          sequence: integerOf(row, "sequence"),
        };
      }),
    settleOutbox: (destination, through, replacement) =>
      sql.writing(() => {
        sql.run(on.settle, escapeName(destination), bounded(through));
        writeOutbox(sql, replacement);
      }),
    lease: (destination, holder, now, until) =>
      sql.run(
        on.lease,
        ...[escapeName(destination), escapeName(holder), bounded(until)],
        ...[bounded(now), bounded(now), bounded(now + 2 * (until - now))],
      ) > 0,

    readTransaction: (origin, transactionId) => {
      const row = sql.get(on.transaction, escapeName(origin), escapeName(transactionId));
      return row && answers.read(row);
    },
    recordTransaction: (answer, forgetBefore) =>
      sql.writing(() => {
        const { origin, transactionId, answeredAt } = answer;
        sql.run(
          on.recordAnswer,
          escapeName(origin),
          escapeName(transactionId),
          bounded(answeredAt),
          answers.write(answer),
        );
        sql.run(on.forget, bounded(forgetBefore));
      }),

    readOutside: (userId) =>
      (userId === undefined ? sql.all(on.outside) : sql.all(on.outsideOf, escapeName(userId))).map(memberships.read),
    putOutside: (membership) => sql.writing(() => writeOutside(sql, { put: [membership], remove: [] })),
    removeOutside: (roomId, userId) => sql.writing(() => writeOutside(sql, { put: [], remove: [{ roomId, userId }] })),

    readIntents: (kind) =>
      (kind === undefined ? sql.all(on.intents) : sql.all(on.intentsOf, escapeName(kind))).map(intentRows.read),
    putIntent: (intent) => sql.writing(() => writeIntents(sql, { put: [intent], remove: [] })),
    removeIntents: (ids) => {
      if (ids.length > 0) sql.writing(() => writeIntents(sql, { put: [], remove: ids }));
    },
  };
}

/** Inside a transaction, like all that begins with `write`. */
export function writeOutbox(sql: Sql, entries: readonly OutboxEntry[]): void {
  const last = new Map<string, number>();
  for (const [destination, count] of countsOf(entries)) {
    const row = sql.get(on.take, escapeName(destination), count);
    if (row !== undefined) last.set(destination, integerOf(row, "last"));
  }
  for (const [{ destination, roomId, eventId }, sequence] of numbered(entries, last)) {
    const named = eventId === undefined ? null : escapeName(eventId);
    sql.run(on.append, escapeName(destination), sequence, escapeName(roomId), named);
  }
}

export function writeOutside(sql: Sql, { put, remove }: Batch["outside"]): void {
  for (const { roomId, userId } of remove) sql.run(on.removeOutside, escapeName(userId), escapeName(roomId));
  for (const membership of put) {
    sql.run(on.putOutside, escapeName(membership.userId), escapeName(membership.roomId), memberships.write(membership));
  }
}

export function writeIntents(sql: Sql, { put, remove }: Batch["intents"]): void {
  for (const id of remove) sql.run(on.removeIntent, escapeName(id));
  for (const intent of put)
    sql.run(on.putIntent, escapeName(intent.id), escapeName(intent.kind), intentRows.write(intent));
}

export function keyStore(sql: Sql): ServerKeyStore {
  return {
    get: (server) => {
      const row = sql.get(on.keys, escapeName(server));
      return row && serverKeys.read(row);
    },
    put: (keys) => void sql.run(on.putKeys, escapeName(keys.server), serverKeys.write(keys)),
  };
}

export function takenStore(sql: Sql, { perServer, seconds }: TakenBounds): TakenMessageStore {
  const has = (sender: string, messageId: string): boolean =>
    sql.get(on.taken, escapeName(sender), escapeName(messageId)) !== undefined;
  return {
    has,
    add: (sender, messageId) =>
      sql.writing(() => {
        if (has(sender, messageId)) return;
        const server = escapeName(serverOf(sender));
        const row = sql.get(on.count, server);
        const number = row === undefined ? 0 : integerOf(row, "last");
        sql.run(on.take1, escapeName(sender), escapeName(messageId), server, number);
        sql.run(on.forgetMany, server, number - perServer);
        sql.run(on.forgetOld, seconds);
      }),
  };
}
