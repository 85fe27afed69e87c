/** Opening a schema of a PostgreSQL database as a storage. */
import { UsageError } from "../../errors.js";
import type { Storage } from "../../ports/storage.js";
import { textOf } from "../sql/row.js";
import { takenBounds } from "../sql/stores.js";
import type { ServerKeyStore, TakenMessages, TakenMessageStore } from "../sql/stores.js";
import { sqlOver } from "./client.js";
import type { PgPool, Sql } from "./client.js";
import { keyStore, otherCalls, otherStatements, takenStore } from "./others.js";
import { roomCalls, roomStatements } from "./room.js";
import { migrate } from "./schema.js";

export interface PostgresOptions {
  /** The schema that the tables are in, which is made where it is not there. Default `roomdag`. */
  readonly schema?: string;
  /**
   * Whether statements are prepared, each once on each connection. Default `true`; `false` where something between
   * here and the database gives each transaction another connection.
   */
  readonly prepare?: boolean;
  /** How long messages to devices are remembered. */
  readonly taken?: TakenMessages;
}

/** A schema with all that a server keeps. Whoever made the pool ends it. */
export interface PostgresStorage {
  readonly storage: Storage;
  /** A `KeyStore` for `createKeyRing`. */
  readonly keys: ServerKeyStore;
  /** A `ToDeviceStore` for `createEdus`. */
  readonly toDevice: TakenMessageStore;
}

/**
 * Keeps rooms in PostgreSQL, for any number of processes at once: sets the schema up where it is new, brings its tables
 * to this release's version where they are older. A call that meets a lost connection rejects, and the next one takes
 * another connection of the pool.
 *
 * @throws UsageError where the database cannot keep what a storage promises, with what to do.
 */
export async function openPostgresStorage(pool: PgPool, options: PostgresOptions = {}): Promise<PostgresStorage> {
  const { schema = "roomdag", prepare = true } = options;
  if (schema === "" || schema.includes("\0")) throw new UsageError("a schema has a name, without U+0000");
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  const bounds = takenBounds(options.taken);
  await checkDatabase(sqlOver(pool, { prepare: false }));
  await migrate(sqlOver(pool, { prepare: false }), quoted);
  const sql = sqlOver(pool, { prepare });
  const holder = await settingOf(sql, "SELECT gen_random_uuid() AS value");
  const others = otherStatements(quoted);
  return Object.freeze({
    storage: Object.freeze({ ...roomCalls(sql, roomStatements(quoted), others, holder), ...otherCalls(sql, others) }),
    keys: Object.freeze(keyStore(sql, others)),
    toDevice: Object.freeze(takenStore(sql, others, bounds)),
  });
}

async function checkDatabase(sql: Sql): Promise<void> {
  const setting = (name: string): Promise<string> => settingOf(sql, "SELECT current_setting($1) AS value", name);
  const encoding = await setting("server_encoding");
  if (encoding !== "UTF8") {
    throw new UsageError(`the database keeps text in ${encoding}: create one with ENCODING 'UTF8'`);
  }
  if ((await setting("synchronous_commit")) === "off") {
    throw new UsageError(
      "synchronous_commit is off, so what was committed may be lost: set it to on for this role or database",
    );
  }
}

async function settingOf(sql: Sql, text: string, ...values: readonly string[]): Promise<string> {
  const row = await sql.get(text, ...values);
  if (row === undefined) throw new Error(`PostgreSQL answers nothing to ${text}`);
  return textOf(row, "value");
}
