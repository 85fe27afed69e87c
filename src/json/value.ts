/**
 * JSON as rooms hold it. Strict room versions (v6 and later, I.1) have only safe integers, so every
 * number is a JavaScript number. Room versions 1 to 5 do not enforce canonical JSON: integers beyond
 * 2^53 arrive as `bigint`, and anything that Python would read as a float as a {@link JsonFloat}.
 */
export type JsonValue = null | boolean | number | bigint | string | JsonFloat | JsonArray | JsonObject;

export type JsonArray = readonly JsonValue[];

/**
 * A plain object with own enumerable keys only. Keys such as `__proto__`, `constructor` and `toJSON`
 * are data: read them with {@link get}, never with a bare index.
 */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/**
 * A number of a lax room version whose source has a fraction or an exponent (`1.0`, `1e2`, `-0.0`).
 * Servers signed what Python's `repr` writes for it, so that is what is hashed; the source token is
 * kept for serving only.
 */
export class JsonFloat {
  readonly value: number;
  readonly source: string;
  constructor(value: number, source: string) {
    this.value = value;
    this.source = source;
    Object.freeze(this);
  }
}

/** The own property `key` of `object`; inherited names such as `constructor` are absent. */
export function get(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Whether a value is a JSON object: not `null`, not an array, not a {@link JsonFloat}. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof JsonFloat);
}

/** Whether a value is a JSON array. */
export function isArray(value: JsonValue | undefined): value is JsonArray {
  return Array.isArray(value);
}

/** Whether a value is an integer: a safe-integer number or a `bigint`; never a float or a boolean. */
export function isInteger(value: JsonValue | undefined): value is number | bigint {
  return typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value));
}

/** Sets an own data property even for `__proto__`, which assignment would hand to a setter. */
export function setOwn(target: Record<string, JsonValue>, key: string, value: JsonValue): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[key] = value;
  }
}

/**
 * Whether an object is made by a literal or a parser rather than by a class. Asks for a prototype that
 * has none itself instead of this realm's `Object.prototype`: a host may call from another realm.
 */
export function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || (typeof prototype === "object" && Object.getPrototypeOf(prototype) === null);
}
