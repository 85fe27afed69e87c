/** What a request of the local API may say, field by field. Whatever is not asked for is refused by name. */
import { isEventId, isRoomAlias, isRoomId, isServerName, isUserId } from "../../../ids/grammar.js";
import { get, isArray, isObject } from "../../../json/value.js";
import type { JsonObject, JsonValue } from "../../../json/value.js";
import { ApiError } from "./errors.js";

/** One field: what it is called in docs/serve.md, and how it is read. */
export interface Field<T> {
  readonly kind: string;
  readonly required: boolean;
  /** `undefined`: the value is none of this kind. */
  read(value: JsonValue): T | undefined;
  /** The value where the field is absent. */
  readonly absent: T;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** What fields are read to. */
export type Input<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

type Reader<T> = readonly [kind: string, read: (value: JsonValue) => T | undefined];

function isText(value: JsonValue): value is string {
  return typeof value === "string";
}

/** In a query everything is text. */
function integer(least: number, most: number): Reader<number> {
  return [
    most === Number.MAX_SAFE_INTEGER ? "integer" : `integer from ${least} to ${most}`,
    (value) => {
      const number = isText(value) && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
      if (typeof number !== "number" || !Number.isSafeInteger(number)) return undefined;
      return number >= least && number <= most ? number : undefined;
    },
  ];
}

function oneOf<const T extends string>(...words: readonly T[]): Reader<T> {
  return [words.map((word) => `\`${word}\``).join(", "), (value) => words.find((word) => word === value)];
}

function identifier(kind: string, is: (value: string) => boolean): Reader<string> {
  return [kind, (value) => (isText(value) && is(value) ? value : undefined)];
}

function list<T>([kind, read]: Reader<T>): Reader<readonly T[]> {
  return [
    `list of ${kind}`,
    (value) => {
      // In a query, what is repeated is a list, and what stands once is a list of one.
      const values = isArray(value) ? value : [value];
      const found = values.flatMap((one) => read(one) ?? []);
      return found.length === values.length ? found : undefined;
    },
  ];
}

const text: Reader<string> = ["text", (value) => (isText(value) ? value : undefined)];
const boolean: Reader<boolean> = ["boolean", (value) => (typeof value === "boolean" ? value : undefined)];
const object: Reader<JsonObject> = ["object", (value) => (isObject(value) ? value : undefined)];

/** A state event that a new room begins with. */
interface StateGiven {
  readonly type: string;
  readonly stateKey: string;
  readonly content: JsonObject;
}

const stateGiven: Reader<StateGiven> = [
  "`{type, stateKey, content}`",
  (value) => {
    if (!isObject(value) || Object.keys(value).some((key) => !["type", "stateKey", "content"].includes(key))) {
      return undefined;
    }
    const [type, stateKey, content] = [get(value, "type"), get(value, "stateKey") ?? "", get(value, "content")];
    return isText(type ?? null) && typeof type === "string" && typeof stateKey === "string" && isObject(content)
      ? { type, stateKey, content }
      : undefined;
  },
];

/** The kinds of value that there are. */
export const read = Object.freeze({
  text,
  boolean,
  object,
  stateGiven,
  integer,
  oneOf,
  list,
  user: identifier("user id", (value) => isUserId(value)),
  room: identifier("room id", (value) => isRoomId(value)),
  roomOrAlias: identifier("room id or alias", (value) => isRoomId(value) || isRoomAlias(value)),
  event: identifier("event id", (value) => isEventId(value)),
  server: identifier("server name", (value) => isServerName(value)),
});

/** A field that must be there. */
export function needed<T>([kind, reads]: Reader<T>): Field<T> {
  // Never looked at: a request without it is refused.
  return { kind, required: true, read: reads, absent: undefined as never };
}

/** A field that may be left out. */
export function may<T>([kind, reads]: Reader<T>): Field<T | undefined> {
  return { kind, required: false, read: reads, absent: undefined };
}

/** A field that is taken to say `absent` where it is left out. */
export function or<T>([kind, reads]: Reader<T>, absent: T): Field<T> {
  return { kind, required: false, read: reads, absent };
}

/** @throws ApiError that names what is wrong. */
export function readInput<F extends Fields>(fields: F, given: JsonObject): Input<F> {
  const names = Object.keys(fields);
  const unknown = Object.keys(given).filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    const known = names.length === 0 ? "there are none" : `they are ${names.join(", ")}`;
    throw new ApiError(400, "bad_request", `no field ${unknown.join(", ")} is known here: ${known}`);
  }
  const entries = names.map((name) => [name, readField(name, fields[name], get(given, name))]);
  // Each field is read by its own reader, under its own name.
  return Object.fromEntries(entries) as Input<F>;
}

function readField(name: string, field: Field<unknown> | undefined, value: JsonValue | undefined): unknown {
  if (field === undefined) return undefined;
  if (value === undefined) {
    if (!field.required) return field.absent;
    throw new ApiError(400, "bad_request", `${name} is missing: ${field.kind}`);
  }
  const found = field.read(value);
  if (found === undefined) throw new ApiError(400, "bad_request", `${name} must be this: ${field.kind}`);
  return found;
}
