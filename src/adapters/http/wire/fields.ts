/** The names that fields have on the wire. */
import { get, isObject } from "../../../json/value.js";
import type { JsonObject, JsonValue } from "../../../json/value.js";

/** The name of each field on the wire; none can be left out. */
export type Names<T> = { readonly [K in keyof T & string]-?: string };

/** Fields of which nothing is known but that they are JSON. */
type Unlooked<T> = { readonly [K in keyof T]?: JsonValue | undefined };

/**
 * Fields as whoever reads them declares them, without a look at what they hold. The one place that says of something
 * from the network what nobody knows: receivers and callers read each field as if it could be anything (see
 * `Receiver`). What is absent stays absent.
 */
export function unlooked<T extends object>(fields: NoInfer<Unlooked<T>>): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

/** The named fields that an object has, by our names; `undefined` where it is no object. */
export function fieldsOf(from: JsonValue | undefined, names: Readonly<Record<string, string>>): JsonObject | undefined {
  if (!isObject(from)) return undefined;
  const found: Record<string, JsonValue> = {};
  for (const [field, name] of Object.entries(names)) {
    const value = get(from, name);
    if (value !== undefined) found[field] = value;
  }
  return found;
}

/** {@link fieldsOf} as whoever reads them declares them. */
export function readFields<T extends object>(from: JsonValue | undefined, names: Names<T>): T | undefined {
  if (!isObject(from)) return undefined;
  const found: { [K in keyof T]?: JsonValue | undefined } = {};
  for (const field of Object.keys(names) as (keyof T & string)[]) found[field] = get(from, names[field]);
  return unlooked<T>(found);
}

/** Fields by their names on the wire. */
export function writeFields<T extends object>(value: T & Unlooked<T>, names: Names<T>): JsonObject {
  const written: Record<string, JsonValue> = {};
  for (const field of Object.keys(names) as (keyof T & string)[]) {
    const one: JsonValue | undefined = value[field];
    if (one !== undefined) written[names[field]] = one;
  }
  return written;
}

/** A number in a path or a query: an integer that JavaScript can hold, else the text, which is no number to anybody. */
export function numberOf(text: string | undefined): number | string | undefined {
  if (text === undefined || !/^-?\d{1,16}$/.test(text)) return text;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}

/** A boolean in a query; other text is none to anybody. */
export function booleanOf(text: string | undefined): boolean | string | undefined {
  return text === "true" ? true : text === "false" ? false : text;
}

/** The name with the value, or nothing where there is none. */
export function optional(
  name: string,
  value: string | number | boolean | undefined,
): readonly (readonly [name: string, value: string])[] {
  return value === undefined ? [] : [[name, String(value)]];
}
