/** The part of a driver that is used, and statements over it. */
import { UsageError } from "../../errors.js";
import type { SqlRow } from "../sql/row.js";

/** What is bound to a `?`. */
export type SqliteValue = string | number | null;

/** A prepared statement of better-sqlite3 or of node:sqlite. */
export interface SqliteStatement {
  run(...values: SqliteValue[]): { readonly changes: number | bigint };
  get(...values: SqliteValue[]): unknown;
  all(...values: SqliteValue[]): unknown;
}

/** A database of better-sqlite3 (`new Database(file)`) or of node:sqlite (`new DatabaseSync(file)`), opened. */
export interface SqliteHandle {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

/** Statements by their text, each prepared once, and transactions. Nothing here waits, so nothing comes between. */
export interface Sql {
  /** How many rows were changed. */
  readonly run: (text: string, ...values: SqliteValue[]) => number;
  readonly get: (text: string, ...values: SqliteValue[]) => SqlRow | undefined;
  readonly all: (text: string, ...values: SqliteValue[]) => readonly SqlRow[];
  /** All reads of `body` see one moment, whatever other processes write. */
  readonly reading: <T>(body: () => T) => T;
  /** Everything that `body` writes is durable when this returns, or nothing was written and it throws. */
  readonly writing: <T>(body: () => T) => T;
}

export function sqlOver(handle: SqliteHandle): Sql {
  const prepared = new Map<string, SqliteStatement>();

  function statement(text: string): SqliteStatement {
    let found = prepared.get(text);
    if (found === undefined) prepared.set(text, (found = handle.prepare(text)));
    return found;
  }

  function transaction<T>(begin: string, body: () => T): T {
    handle.exec(begin);
    try {
      const result = body();
      if (result instanceof Promise) throw new UsageError("a transaction of SQLite waits for nothing");
      handle.exec("COMMIT");
      return result;
    } catch (error) {
      rollBack(handle);
      throw error;
    }
  }

  return {
    run: (text, ...values) => Number(statement(text).run(...values).changes),
    get: (text, ...values) => rowOf(statement(text).get(...values)),
    all: (text, ...values) => rowsOf(statement(text).all(...values)),
    reading: (body) => transaction("BEGIN", body),
    // Taken at once, so that a writer waits here and not with a half that was read before another wrote.
    writing: (body) => transaction("BEGIN IMMEDIATE", body),
  };
}

/** A full disk and the like end a transaction by themselves; then there is none to roll back. */
export function rollBack(handle: SqliteHandle): void {
  try {
    handle.exec("ROLLBACK");
  } catch {
    // What went wrong before says more.
  }
}

function rowOf(row: unknown): SqlRow | undefined {
  return typeof row === "object" && row !== null ? (row as SqlRow) : undefined;
}

function rowsOf(rows: unknown): readonly SqlRow[] {
  return Array.isArray(rows) ? (rows as readonly SqlRow[]) : [];
}
