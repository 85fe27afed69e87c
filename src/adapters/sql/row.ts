/** Reading what a driver answers, and values that are kept whole as text. */
import { encodeCanonical } from "../../json/canonical.js";
import { parseLax } from "../../json/parse.js";
import { isObject } from "../../json/value.js";
import type { JsonObject } from "../../json/value.js";
import { unescapeName } from "./text.js";

/** A row as drivers give it: an object by the names of its columns. */
export type SqlRow = Readonly<Record<string, unknown>>;

export function textOf(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw damaged(`the column ${column} holds no text`);
  return value;
}

/** The name that a column holds escaped. */
export function nameOf(row: SqlRow, column: string): string {
  return unescapeName(textOf(row, column));
}

/** Drivers give integers as numbers, as `bigint`, or as text, by how they are set. */
export function integerOf(row: SqlRow, column: string): number {
  const value = Number(row[column] ?? Number.NaN);
  if (!Number.isSafeInteger(value)) throw damaged(`the column ${column} holds no integer that a number can hold`);
  return value;
}

export function optionalInteger(row: SqlRow, column: string): number | undefined {
  return row[column] === null ? undefined : integerOf(row, column);
}

/** An integer that a statement may be given, for one that may be infinite. */
export function bounded(value: number): number {
  return Math.trunc(Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER));
}

/** Rows of the port that are kept as one text. */
export interface Whole<T> {
  readonly write: (row: T) => string;
  /** What `write` wrote, which nobody else writes to. */
  readonly read: (row: SqlRow) => T;
}

/** Canonical JSON keeps every key, character and number, and has no control character in it. */
export function wholeOf<T extends object>(): Whole<T> {
  return {
    // Rows of the port are plain data that consists of JSON.
    write: (row) => encodeCanonical(row as T & JsonObject),
    read: (row) => readObject(textOf(row, "row")) as JsonObject & T,
  };
}

export function readObject(text: string): JsonObject {
  const parsed = parseLax(text);
  if (!parsed.ok) throw damaged(parsed.error.reason);
  if (!isObject(parsed.value)) throw damaged("a row is no JSON object");
  return parsed.value;
}

export function damaged(what: string): Error {
  return new Error(`the database is damaged, or something else wrote to it: ${what}`);
}

/** Of rows with the same key, the last one: one statement may not write a row twice. */
export function lastOfEach<T>(rows: readonly T[], keyOf: (row: T) => string | number): readonly T[] {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  return byKey.size === rows.length ? rows : [...byKey.values()];
}
