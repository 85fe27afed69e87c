/**
 * Checks of values that were parsed elsewhere. They see what `JSON.parse` left, not the source: text
 * should go to the parsers of this module instead, since `1.0` and `1` are one number by then.
 */

import { ok, refuse } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import { loneSurrogateAt } from "../ids/text.js";
import { DEFAULT_MAX_DEPTH } from "./parse.js";
import { isPlainObject, JsonFloat } from "./value.js";
import type { JsonValue } from "./value.js";

/** How far a value is followed. */
export interface CheckOptions {
  /** How many objects and arrays may be nested in each other. Default 1,000,000. */
  readonly maxDepth?: number;
  /** How many values there may be in all, counted at each place where they are. Default 10,000,000. */
  readonly maxValues?: number;
}

const DEFAULT_MAX_VALUES = 10_000_000;

/**
 * Whether `value` is plain JSON data with safe integers only (room versions 6 and later): literals'
 * objects and arrays with own enumerable data properties, and nothing that changes when it is read.
 *
 * @returns `value` itself, or a refusal `bad_json` (`too_large` beyond a limit, as for a cycle).
 */
export function checkStrict(value: unknown, options: CheckOptions = {}): Result<JsonValue> {
  return check(value, false, options);
}

/**
 * {@link checkStrict} for room versions 1 to 5: `bigint` and {@link JsonFloat} pass as well. A number with a
 * fraction does not, nor does -0, since what its sender wrote and signed is lost.
 */
export function checkLax(value: unknown, options: CheckOptions = {}): Result<JsonValue> {
  return check(value, true, options);
}

/** Of a stack that is higher than that, nothing is kept for the next check. */
const USUAL_STACK = 64;

/** From the last check, grown to what events need. A check that a proxy's traps make within another finds none. */
let spare: Checker | undefined;

function check(value: unknown, lax: boolean, options: CheckOptions): Result<JsonValue> {
  const checker = spare ?? new Checker();
  spare = undefined;
  let problem: Problem | undefined;
  try {
    problem = checker.run(value, lax, options);
  } catch {
    // Only a proxy's traps can throw here.
    problem = "an object that cannot be read";
  }
  if (problem === undefined) {
    if (checker.reached <= USUAL_STACK) spare = checker;
    return ok(value as JsonValue);
  }
  const rule = lax ? "RFC 8259" : "Canonical JSON";
  const { code = "bad_json", what } = typeof problem === "string" ? { what: problem } : problem;
  return refuse(code, `the value holds ${what}`, { rule });
}

/** What is wrong, with `bad_json` understood. */
type Problem = string | { readonly code: Refusal["code"]; readonly what: string };

class Checker {
  private lax = false;
  private maxDepth = 0;
  private left = 0;
  private height = 0;
  /** What is still to be looked at, and how deep each of it is. Not shortened where something is taken from it. */
  private readonly containers: (object | undefined)[] = [];
  private readonly depths: number[] = [];

  /** How high its stack ever was. */
  get reached(): number {
    return this.depths.length;
  }

  run(root: unknown, lax: boolean, options: CheckOptions): Problem | undefined {
    const { containers, depths } = this;
    this.lax = lax;
    this.maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
    this.left = options.maxValues ?? DEFAULT_MAX_VALUES;
    let problem = this.visit(root, 1);
    while (problem === undefined) {
      if (this.height === 0) return undefined;
      const container = containers[--this.height] ?? [];
      const depth = depths[this.height] ?? 0;
      containers[this.height] = undefined;
      problem = Array.isArray(container) ? this.array(container, depth) : this.object(container, depth);
    }
    return problem;
  }

  private visit(value: unknown, depth: number): Problem | undefined {
    if (this.left-- <= 0) return { code: "too_large", what: "too many values" };
    if (typeof value === "string") return textProblem(value);
    if (typeof value === "number") return numberProblem(value);
    if (value === null || typeof value === "boolean") return undefined;
    if (this.lax && (typeof value === "bigint" || value instanceof JsonFloat)) return losslessProblem(value);
    if (typeof value === "bigint") return "an integer beyond 2^53 - 1";
    if (value instanceof JsonFloat) return "a number with a fraction or an exponent";
    if (typeof value !== "object") return `a value of type ${typeof value}`;
    if (depth > this.maxDepth) return { code: "too_large", what: "too many objects and arrays nested in each other" };
    this.containers[this.height] = value;
    this.depths[this.height++] = depth;
    return undefined;
  }

  private array(array: readonly unknown[], depth: number): Problem | undefined {
    if (!isPlainArray(array)) return "an array that is not plain data";
    if (array.length > this.left) return { code: "too_large", what: "too many values" };
    // Its indices and `length`: holes make it fewer, other properties more.
    if (Reflect.ownKeys(array).length !== array.length + 1) return "an array with a hole or with further properties";
    for (let i = 0; i < array.length; i++) {
      const problem = this.property(array, i, depth);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  private object(object: object, depth: number): Problem | undefined {
    if (!isPlainObject(object)) return "an object that is not plain data";
    // Asked apart, because engines have the names of plain objects ready: `Reflect.ownKeys` takes four times as long.
    if (Object.getOwnPropertySymbols(object).length > 0) return "a symbol as a key";
    for (const key of Object.getOwnPropertyNames(object)) {
      const problem = textProblem(key) ?? this.property(object, key, depth);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  private property(container: object, key: string | number, depth: number): Problem | undefined {
    const property = Object.getOwnPropertyDescriptor(container, key);
    if (property === undefined) return "a hole in an array";
    if (!("value" in property)) return "a getter or setter";
    if (property.enumerable !== true) return "a hidden property";
    return this.visit(property.value, depth + 1);
  }
}

function textProblem(text: string): Problem | undefined {
  return loneSurrogateAt(text) === -1 ? undefined : "text with a lone surrogate, which UTF-8 cannot hold";
}

function numberProblem(value: number): Problem | undefined {
  if (Object.is(value, -0)) return "negative zero";
  return Number.isSafeInteger(value) ? undefined : "a number that is not an integer within 2^53 - 1";
}

function losslessProblem(value: bigint | JsonFloat): Problem | undefined {
  if (typeof value === "bigint" || Number.isFinite(value.value)) return undefined;
  return "a float that is not finite";
}

/** Of `Array` itself, in whichever realm: its prototype is the second from the end of the chain. */
function isPlainArray(array: readonly unknown[]): boolean {
  const prototype: unknown = Object.getPrototypeOf(array);
  return Array.isArray(prototype) && isPlainObject(prototype);
}
