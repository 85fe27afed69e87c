/** Opening a database of SQLite as a storage. */
import { UsageError } from "../../errors.js";
import type { Storage } from "../../ports/storage.js";
import { textOf } from "../sql/row.js";
import { takenBounds } from "../sql/stores.js";
import type { ServerKeyStore, TakenMessages, TakenMessageStore } from "../sql/stores.js";
import { rollBack, sqlOver } from "./handle.js";
import type { Sql, SqliteHandle } from "./handle.js";
import { keyStore, otherCalls, takenStore } from "./others.js";
import { roomCalls } from "./room.js";
import { migrate } from "./schema.js";

export interface SqliteOptions {
  /** Milliseconds that a call waits for another process that writes, and the whole process with it. Default 5,000. */
  readonly busyTimeout?: number;
  /** How long messages to devices are remembered. */
  readonly taken?: TakenMessages;
}

/** A database with all that a server keeps. Whoever opened the handle closes it. */
export interface SqliteStorage {
  readonly storage: Storage;
  /** A `KeyStore` for `createKeyRing`. */
  readonly keys: ServerKeyStore;
  /** A `ToDeviceStore` for `createEdus`. */
  readonly toDevice: TakenMessageStore;
}

/** `unixepoch` came with it, and what came before is used as well. */
const OLDEST = [3, 38] as const;
/** What a large commit leaves of the log on the disk. */
const LOG_BYTES = 64 * 1024 * 1024;

/**
 * Keeps rooms in a database of SQLite: sets it up where it is new, brings its tables to this release's version where
 * they are older. The handle is the storage's as long as that is used; a host that has tables of its own there ends
 * each of its transactions before it waits for anything.
 *
 * @throws UsageError where the database cannot keep what a storage promises, with what to do.
 */
export function openSqliteStorage(handle: SqliteHandle, options: SqliteOptions = {}): SqliteStorage {
  const { busyTimeout = 5_000 } = options;
  if (!(Number.isSafeInteger(busyTimeout) && busyTimeout >= 0)) {
    throw new UsageError("`busyTimeout` is a number of milliseconds");
  }
  const bounds = takenBounds(options.taken);
  handle.exec(`PRAGMA busy_timeout = ${busyTimeout}`);
  const sql = sqlOver(handle);
  checkDatabase(sql);
  writeAhead(handle, sql);
  // A commit is on the disk when it is answered, not only in the log's file as the system has it.
  handle.exec("PRAGMA synchronous = FULL");
  handle.exec(`PRAGMA journal_size_limit = ${LOG_BYTES}`);
  migrate(handle);
  return Object.freeze({
    storage: Object.freeze({ ...roomCalls(sql), ...otherCalls(sql) }),
    keys: Object.freeze(keyStore(sql)),
    toDevice: Object.freeze(takenStore(sql, bounds)),
  });
}

function checkDatabase(sql: Sql): void {
  const version = setting(sql, "SELECT sqlite_version() AS version", "version");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw new UsageError(`SQLite ${version} is too old: take a driver with SQLite ${OLDEST.join(".")} or later`);
  }
  const encoding = setting(sql, "PRAGMA encoding", "encoding");
  if (encoding !== "UTF-8") {
    throw new UsageError(`the database keeps text in ${encoding}: give a new file, or one that was made with UTF-8`);
  }
}

/** The mode is the file's. While another process sets it too, SQLite answers that it is busy without waiting. */
function writeAhead(handle: SqliteHandle, sql: Sql): void {
  for (let attempt = 1; ; attempt++) {
    try {
      const mode = setting(sql, "PRAGMA journal_mode = WAL", "journal_mode");
      // A database in memory is nobody else's.
      if (mode === "wal" || mode === "memory") return;
      throw new UsageError(
        `the database's journal mode is ${mode} and stays so: it needs a file on a local disk that can be written to`,
      );
    } catch (error) {
      if (error instanceof UsageError || attempt === 20) throw error;
      waitForWriter(handle);
    }
  }
}

/** Waits for the lock as long as a call may. */
function waitForWriter(handle: SqliteHandle): void {
  handle.exec("BEGIN IMMEDIATE");
  rollBack(handle);
}

function setting(sql: Sql, text: string, column: string): string {
  const row = sql.get(text);
  if (row === undefined) throw new Error(`SQLite answers nothing to ${text}`);
  return textOf(row, column);
}
