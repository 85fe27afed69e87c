/** Taking an object of the network apart: every field has its form, or the first that has not is told. */
import { domainOf, isRoomId, isUserId } from "../../ids/grammar.js";
import { codePointLength } from "../../ids/text.js";
import { get, isArray, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { EduRefusal } from "./edu.js";

/** Code points of ids and types for which the spec has no bound, and of text for people. */
const MAX_NAME = 255;
const MAX_TEXT = 10_000;

/** What was read, or why it does not hold. */
export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: EduRefusal };

export function wrong(code: EduRefusal["code"], reason: string): { readonly ok: false; readonly error: EduRefusal } {
  return { ok: false, error: Object.freeze({ code, reason }) };
}

/**
 * An object's fields. A field that does not hold reads as something empty of its type and leaves a `refusal`, so
 * look at that before using any. Where a field may be absent, `null` counts as absence.
 */
export class Fields {
  readonly #object: JsonObject;
  readonly #origin: string;
  refusal: EduRefusal | undefined;

  /** @param origin the server that every user has to belong to. */
  constructor(value: JsonValue | undefined, what: string, origin: string) {
    this.#origin = origin;
    this.#object = isObject(value) ? value : {};
    if (!isObject(value)) this.refuse("bad_format", `${what} must be an object`);
  }

  /** The first counts. */
  refuse(code: EduRefusal["code"], reason: string): void {
    this.refusal ??= Object.freeze({ code, reason });
  }

  settle<T extends object>(value: T): Read<T> {
    return this.refusal === undefined ? { ok: true, value: Object.freeze(value) } : { ok: false, error: this.refusal };
  }

  has(key: string): boolean {
    return (get(this.#object, key) ?? null) !== null;
  }

  #string(key: string, fits: (text: string) => boolean, form: string): string {
    const value = get(this.#object, key);
    if (typeof value === "string" && fits(value)) return value;
    this.refuse("bad_format", `\`${key}\` must be ${form}`);
    return "";
  }

  name(key: string, longest: number = MAX_NAME): string {
    const fits = (text: string): boolean => isName(text, longest);
    return this.#string(key, fits, `a string of 1 to ${longest} characters`);
  }

  optionalText(key: string): string | undefined {
    if (!this.has(key)) return undefined;
    return this.#string(key, (text) => isShort(text, MAX_TEXT), `a string of at most ${MAX_TEXT} characters`);
  }

  optionalName(key: string): string | undefined {
    return this.has(key) ? this.name(key) : undefined;
  }

  oneOf<T extends string>(key: string, ...values: readonly [T, ...T[]]): T {
    const value = get(this.#object, key);
    const found = values.find((one) => one === value);
    if (found === undefined) this.refuse("bad_format", `\`${key}\` must be one of ${values.join(", ")}`);
    return found ?? values[0];
  }

  /** A user of the server that sent this. */
  user(key: string): string {
    const userId = this.#string(key, (text) => isUserId(text), "a user id");
    this.owned(userId);
    return userId;
  }

  owned(userId: string): void {
    if (domainOf(userId) !== this.#origin) this.refuse("foreign_user", `${userId} is not of ${this.#origin}`);
  }

  room(key: string): string {
    return this.#string(key, (text) => isRoomId(text), "a room id");
  }

  integer(key: string, least: number = Number.MIN_SAFE_INTEGER): number {
    const value = get(this.#object, key);
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
    this.refuse("bad_format", `\`${key}\` must be an integer`);
    return 0;
  }

  boolean(key: string): boolean {
    const value = get(this.#object, key);
    if (typeof value !== "boolean") this.refuse("bad_format", `\`${key}\` must be true or false`);
    return value === true;
  }

  optionalBoolean(key: string): boolean {
    return this.has(key) && this.boolean(key);
  }

  list(key: string, longest: number): readonly JsonValue[] {
    const value = get(this.#object, key);
    if (!isArray(value)) this.refuse("bad_format", `\`${key}\` must be a list`);
    else if (value.length <= longest) return value;
    else this.refuse("too_large", `\`${key}\` has more than ${longest} entries`);
    return [];
  }

  optionalList(key: string, longest: number): readonly JsonValue[] {
    return this.has(key) ? this.list(key, longest) : [];
  }

  object(key: string): JsonObject {
    const value = get(this.#object, key);
    if (isObject(value)) return value;
    this.refuse("bad_format", `\`${key}\` must be an object`);
    return {};
  }

  optionalObject(key: string): JsonObject | undefined {
    return this.has(key) ? this.object(key) : undefined;
  }
}

export function isName(text: string, longest: number = MAX_NAME): boolean {
  return text !== "" && isShort(text, longest);
}

/** No text is measured that cannot be short: a code point is at most two units. */
function isShort(text: string, longest: number): boolean {
  return text.length <= 2 * longest && codePointLength(text) <= longest;
}
