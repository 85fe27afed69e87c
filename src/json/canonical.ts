/**
 * Canonical JSON (spec: appendices, "Canonical JSON"): keys in code-point order, no insignificant
 * space, the shortest escapes. Hashes and signatures are over these bytes.
 *
 * Three writers, from the usual case to the rarest: one pass for shallow values whose text needs no
 * escape, the package for the other shallow ones, and a loop for what it cannot write.
 */

import stringify from "fast-json-stable-stringify";
import { UsageError } from "../errors.js";
import { loneSurrogateAt } from "../ids/text.js";
import { compareCodePoints } from "./compare.js";
import { pythonFloat } from "./float.js";
import { DEFAULT_MAX_DEPTH } from "./parse.js";
import { utf8Encode } from "./utf8.js";
import { isArray, isPlainObject, JsonFloat } from "./value.js";
import type { JsonArray, JsonObject, JsonValue } from "./value.js";

/** The package recurses and looks for cycles in a list of all ancestors: both are fine up to here. */
const MAX_PACKAGE_DEPTH = 500;

/** Real events are nested about five deep. */
const MAX_PLAIN_DEPTH = 32;

/** A value whose parts refer to each other may be larger, written out, than any memory. */
const MAX_VALUES = 10_000_000;

/**
 * Writes `value` as canonical JSON. Floats, which only room versions 1 to 5 have, are written as
 * Python's `repr` does. The number -0 is written as 0, as in the spec's sample.
 *
 * @throws UsageError where `value` is no JSON value: a number that is not a safe integer, `undefined`, a
 * function, a class instance, a lone surrogate, or an object that contains itself. What the parsers and
 * checks of this module accepted never throws.
 */
export function encodeCanonical(value: JsonValue): string {
  const plain = writePlain("", value, 0);
  if (plain !== undefined) return plain;
  const found = survey(value);
  if (found.depth > MAX_PACKAGE_DEPTH || found.unfit) return new Writer().write(value);
  return found.wideKeys ? stableStringify(value, byCodePoint) : stableStringify(value);
}

/** The keys of an object that was written, as they came and in canonical order. */
export interface Order {
  readonly given: readonly string[];
  readonly keys: readonly string[];
  /** Each with its quotes and colon, after a comma. */
  readonly names: readonly Uint8Array[];
}

/** More keys, or longer ones, than events have are not remembered. */
const MAX_REMEMBERED = 32;

/**
 * The last order for each number of keys. Events come with the same keys in the same order: sorting those took a
 * twentieth of an event id (docs/performance.md).
 */
const orders: (Order | undefined)[] = [];

/** Keys of an object in canonical order. */
export function orderOf(given: readonly string[]): Order {
  const last = orders[given.length];
  if (last !== undefined && isSame(given, last.given)) return last;
  const keys = [...given].sort();
  if (keys.some((key) => WIDE.test(key))) keys.sort(compareCodePoints);
  const names = keys.map((key) => utf8Encode(`,${encodeCanonical(key)}:`));
  const order = { given, keys, names };
  const isUsual = keys.length <= MAX_REMEMBERED && keys.every(({ length }) => length <= MAX_REMEMBERED);
  if (isUsual) orders[keys.length] = order;
  return order;
}

function isSame(given: readonly string[], known: readonly string[]): boolean {
  for (let at = 0; at < given.length; at++) if (given[at] !== known[at]) return false;
  return true;
}

/**
 * Text that has to be escaped or looked at: quotes, controls, and all from the surrogates on, where the
 * order of UTF-16 units and of code points part.
 */
const UNUSUAL = /["\\\u0000-\u001f\ud800-\uffff]/;

/**
 * Adds a shallow value with usual text to what is written so far, or gives up with `undefined` for the
 * writers that look closer. One growing string is faster than one for each container.
 */
function writePlain(before: string, value: JsonValue | undefined, depth: number): string | undefined {
  if (typeof value === "string") return UNUSUAL.test(value) ? undefined : before + '"' + value + '"';
  if (typeof value === "number") return Number.isSafeInteger(value) ? before + String(value) : undefined;
  if (value === null) return before + "null";
  if (typeof value === "boolean") return before + (value ? "true" : "false");
  if (typeof value !== "object" || depth === MAX_PLAIN_DEPTH) return undefined;
  if (isArray(value)) return writePlainArray(before, value, depth + 1);
  return isPlainObject(value) ? writePlainObject(before, value as JsonObject, depth + 1) : undefined;
}

function writePlainArray(before: string, array: JsonArray, depth: number): string | undefined {
  let text: string | undefined = before + "[";
  for (let i = 0; i < array.length; i++) {
    text = writePlain(i === 0 ? text : text + ",", array[i], depth);
    if (text === undefined) return undefined;
  }
  return text + "]";
}

function writePlainObject(before: string, object: JsonObject, depth: number): string | undefined {
  let text: string | undefined = before + "{";
  let separator = '"';
  for (const key of Object.keys(object).sort()) {
    if (UNUSUAL.test(key)) return undefined;
    text = writePlain(text + separator + key + '":', object[key], depth);
    if (text === undefined) return undefined;
    separator = ',"';
  }
  return text + "}";
}

interface PackageOptions {
  readonly cmp: (a: { readonly key: string }, b: { readonly key: string }) => number;
}

/** The package's own types leave its options out. */
const stableStringify: (value: JsonValue, options?: PackageOptions) => string = stringify;

/** By itself the package compares UTF-16 units. */
const byCodePoint: PackageOptions = { cmp: (a, b) => compareCodePoints(a.key, b.key) };

/** What decides who writes a value. */
interface Survey {
  depth: number;
  /** What the package cannot write: a `bigint`, a {@link JsonFloat}, an array with a `toJSON` that it would call. */
  unfit: boolean;
  /** A key with units in or above the surrogates. */
  wideKeys: boolean;
}

const WIDE = /[\ud800-\uffff]/;

/** Refuses what cannot be written, and looks for what the package does not do right. */
function survey(root: JsonValue): Survey {
  const found: Survey = { depth: 0, unfit: false, wideKeys: false };
  const containers: (JsonArray | JsonObject)[] = [];
  const depths: number[] = [];
  let count = 0;
  const visit = (value: JsonValue | undefined, depth: number): void => {
    if (++count > MAX_VALUES || depth > DEFAULT_MAX_DEPTH) throw notJson("a value that is too large or holds itself");
    if (typeof value === "object" && value !== null && !(value instanceof JsonFloat)) {
      containers.push(value);
      depths.push(depth);
    } else if (inspectScalar(value)) found.unfit = true;
  };
  visit(root, 0);
  for (let next = containers.pop(); next !== undefined; next = containers.pop()) {
    const depth = (depths.pop() ?? 0) + 1;
    found.depth = Math.max(found.depth, depth);
    if (isArray(next)) {
      found.unfit ||= Reflect.get(next, "toJSON") !== undefined;
      for (const value of next) visit(value, depth);
    } else {
      if (!isPlainObject(next)) throw notJson("an object that is not plain data");
      for (const key of Object.keys(next)) {
        inspectText(key);
        found.wideKeys ||= WIDE.test(key);
        visit(next[key], depth);
      }
    }
  }
  return found;
}

/** Refuses a scalar that is none; answers whether it is a lossless number. */
function inspectScalar(value: JsonValue | undefined): boolean {
  if (typeof value === "string") inspectText(value);
  else if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw notJson(`the number ${value}, which is no safe integer`);
  } else if (value instanceof JsonFloat) {
    if (!Number.isFinite(value.value)) throw notJson("a float that is not finite");
    return true;
  } else if (typeof value !== "boolean" && typeof value !== "bigint" && value !== null) {
    throw notJson(`a value of type ${typeof value}`);
  }
  return typeof value === "bigint";
}

function inspectText(text: string): void {
  if (loneSurrogateAt(text) !== -1) throw notJson("text with a lone surrogate");
}

function notJson(what: string): UsageError {
  return new UsageError(`canonical JSON cannot hold ${what}`);
}

/** An array or object that is being written; an array has no keys. */
interface Frame {
  readonly array: JsonArray | undefined;
  readonly object: JsonObject | undefined;
  readonly keys: readonly string[];
  next: number;
}

const NO_KEYS: readonly string[] = [];

/** Writes what {@link survey} passed, of any depth. */
class Writer {
  private text = "";
  private readonly frames: Frame[] = [];

  write(root: JsonValue): string {
    this.start(root);
    for (let frame = this.frames.at(-1); frame !== undefined; frame = this.frames.at(-1)) {
      const index = frame.next++;
      if (frame.array !== undefined) this.element(frame.array, index);
      else if (frame.object !== undefined) this.member(frame.object, frame.keys[index], index);
    }
    return this.text;
  }

  private element(array: JsonArray, index: number): void {
    const value = array[index];
    if (value === undefined) this.end("]");
    else {
      if (index > 0) this.text += ",";
      this.start(value);
    }
  }

  private member(object: JsonObject, key: string | undefined, index: number): void {
    const value = key === undefined ? undefined : object[key];
    if (value === undefined) this.end("}");
    else {
      this.text += `${index === 0 ? "" : ","}${JSON.stringify(key)}:`;
      this.start(value);
    }
  }

  private start(value: JsonValue): void {
    if (value === null || typeof value !== "object") this.text += writeScalar(value);
    else if (value instanceof JsonFloat) this.text += pythonFloat(value.value);
    else if (isArray(value)) {
      this.text += "[";
      this.frames.push({ array: value, object: undefined, keys: NO_KEYS, next: 0 });
    } else {
      this.text += "{";
      this.frames.push({ array: undefined, object: value, keys: Object.keys(value).sort(compareCodePoints), next: 0 });
    }
  }

  private end(bracket: string): void {
    this.text += bracket;
    this.frames.pop();
  }
}

function writeScalar(value: null | boolean | number | bigint | string): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value === 0 ? 0 : value);
}
