/**
 * JSON parsers that see the source. After `JSON.parse`, `1.0`, `1e2` and `-0` are integers like any
 * other and 9007199254740993 has become another number; rooms need to know. No recursion: how deep a
 * text is nested is up to whoever sent it.
 */

import { refuse, ok } from "../errors.js";
import type { RefusalCode, Result } from "../errors.js";
import { loneSurrogateAt } from "../ids/text.js";
import { JsonFloat, setOwn } from "./value.js";
import type { JsonObject, JsonValue } from "./value.js";

/** How many objects and arrays may be nested in each other unless the caller says otherwise. */
export const DEFAULT_MAX_DEPTH = 1_000_000;

/** Python reads no integer with more digits, so no peer holds an event with one. */
const MAX_INTEGER_DIGITS = 4300;

/** How a text is read. */
export interface ParseOptions {
  /**
   * A key that occurs twice in an object: the `last` one wins, as for peers, or the text is refused,
   * which is for input that is made here. Default `last`.
   */
  readonly duplicates?: "last" | "refuse";
  /** How many objects and arrays may be nested in each other. Default {@link DEFAULT_MAX_DEPTH}. */
  readonly maxDepth?: number;
}

/**
 * Parses text by the rules of canonical JSON's values (room versions 6 and later): integers within
 * 2^53 - 1 only, without fraction, exponent or `-0`, and no lone surrogates. Whitespace, key order
 * and escapes are free.
 *
 * @returns the value, or a refusal `bad_json` (`too_large` above `maxDepth`) that names the offset in UTF-16 units.
 */
export function parseStrict(text: string, options: ParseOptions = {}): Result<JsonValue> {
  return parseUsual(text, options) ?? new Parser(text, false, options).run();
}

/**
 * Parses text as room versions 1 to 5 hold it, without loss: integers of any size (`bigint` beyond
 * 2^53 - 1), and a {@link JsonFloat} where there is a fraction or an exponent. The integer `-0` is 0,
 * as Python reads it. A float beyond the double range is refused.
 *
 * @returns the value, or a refusal `bad_json` (`too_large` above `maxDepth` or 4300 digits) that names the offset.
 */
export function parseLax(text: string, options: ParseOptions = {}): Result<JsonValue> {
  return parseUsual(text, options) ?? new Parser(text, true, options).run();
}

/**
 * A number in an object or an array that `JSON.parse` may read as another one: with a fraction or an exponent, with
 * 16 digits or more, or `-0`. Where a string has the same characters after a colon, a comma or a bracket, nothing is
 * lost but time. Each stretch of digits or space is looked at once.
 */
const UNUSUAL_NUMBER = /[:,[]\s*(?:-0|-?\d+[.eE]|-?\d{16})/;
const SURROGATE_ESCAPE = /\\u[dD]/;
const LONE_SURROGATE = /[\ud800-\udfff]/u;

/**
 * What nearly all events are, by the platform's own parser, which takes half the time (docs/performance.md): text of
 * which that reads the same value as {@link Parser}. `undefined` where it might not, or where there is something to
 * refuse: the parser says what. The platform's does not recurse either.
 */
function parseUsual(
  text: string,
  { duplicates, maxDepth = DEFAULT_MAX_DEPTH }: ParseOptions,
): Result<JsonValue> | undefined {
  const first = text.charCodeAt(0);
  if (duplicates === "refuse" || text.length > maxDepth || (first !== OPEN_OBJECT && first !== OPEN_ARRAY))
    return undefined;
  if (UNUSUAL_NUMBER.test(text) || LONE_SURROGATE.test(text)) return undefined;
  if (text.includes("\\") && (SURROGATE_ESCAPE.test(text) || !readsEscapedKeys())) return undefined;
  try {
    return ok(JSON.parse(text) as JsonValue);
  } catch {
    return undefined;
  }
}

let escapedKeysAreRead: boolean | undefined;

/**
 * V8 15.0 (Deno 2.9.6), once it has read a lone backslash as a key, takes the next key in such a place that begins with
 * an escape for a backslash, too: one event would change how others are read, and their hashes. Such a parser is used
 * for texts without escapes only.
 */
function readsEscapedKeys(): boolean {
  if (escapedKeysAreRead === undefined) {
    JSON.parse('{"a":0,"\\\\":0}');
    const after = JSON.parse('{"a":0,"\\n":0}') as JsonObject;
    escapedKeysAreRead = Object.hasOwn(after, "\n");
  }
  return escapedKeysAreRead;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const LOWER_U = 0x75;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const LITERALS: ReadonlyMap<number, readonly [text: string, value: JsonValue]> = new Map([
  [0x66, ["false", false]],
  [0x6e, ["null", null]],
  [0x74, ["true", true]],
]);

const ESCAPES: Readonly<Record<string, string>> = Object.freeze({
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
});

const HEX = /^[0-9A-Fa-f]{4}$/;

/** The fraction and the exponent of a number, both optional. */
const FRACTION = /(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/** An object or array whose end has not been read. */
interface Frame {
  readonly parent: Frame | undefined;
  /** Exactly one of the two is there. */
  readonly array: JsonValue[] | undefined;
  readonly object: Record<string, JsonValue> | undefined;
  /** In an object, the key whose value is being read. */
  key: string;
}

interface Problem {
  readonly code: RefusalCode;
  readonly what: string;
  readonly at: number;
}

class Parser {
  private position = 0;
  private depth = 0;
  private frame: Frame | undefined;
  private problem: Problem | undefined;
  private readonly refuseDuplicates: boolean;
  private readonly maxDepth: number;

  constructor(
    private readonly text: string,
    private readonly lax: boolean,
    options: ParseOptions,
  ) {
    this.refuseDuplicates = options.duplicates === "refuse";
    this.maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
  }

  run(): Result<JsonValue> {
    for (;;) {
      const value = this.begin();
      const root = value === undefined ? undefined : this.settle(value);
      if (this.problem !== undefined) return this.refusal(this.problem);
      if (root === undefined) continue;
      if (this.skipSpace() === this.text.length) return ok(root);
      return this.refusal({ code: "bad_json", what: "text after the end of the value", at: this.position });
    }
  }

  /** Reads where a value starts: the whole of it, or `undefined` when it opened a container or failed. */
  private begin(): JsonValue | undefined {
    const at = this.skipSpace();
    const unit = this.text.charCodeAt(at);
    if (unit === QUOTE) return this.string();
    if (unit === OPEN_OBJECT) return this.openObject();
    if (unit === OPEN_ARRAY) return this.openArray();
    if (unit === MINUS || (unit >= ZERO && unit <= NINE)) return this.number();
    const literal = LITERALS.get(unit);
    if (literal === undefined || !this.text.startsWith(literal[0], at)) {
      return this.fail(at === this.text.length ? "the text ends where a value should be" : "no JSON value starts here");
    }
    this.position = at + literal[0].length;
    return literal[1];
  }

  /** Puts a finished value where it belongs and closes what ends after it; the root once all is closed. */
  private settle(finished: JsonValue): JsonValue | undefined {
    let value = finished;
    for (;;) {
      const { frame } = this;
      if (frame === undefined) return value;
      const { array, object } = frame;
      if (array !== undefined) array.push(value);
      else if (object !== undefined) setOwn(object, frame.key, value);
      const unit = this.text.charCodeAt(this.skipSpace());
      if (unit === COMMA) {
        this.position++;
        if (object !== undefined) this.key(frame, object);
        return undefined;
      }
      if (unit !== (object === undefined ? CLOSE_ARRAY : CLOSE_OBJECT)) {
        return this.fail(`neither a comma nor the end of the ${object === undefined ? "array" : "object"}`);
      }
      this.position++;
      this.depth--;
      this.frame = frame.parent;
      value = array ?? object ?? null;
    }
  }

  private openArray(): JsonValue | undefined {
    if (!this.enter()) return undefined;
    const array: JsonValue[] = [];
    if (this.text.charCodeAt(this.skipSpace()) === CLOSE_ARRAY) return this.leaveEmpty(array);
    this.frame = { parent: this.frame, array, object: undefined, key: "" };
    return undefined;
  }

  private openObject(): JsonValue | undefined {
    if (!this.enter()) return undefined;
    const object: Record<string, JsonValue> = {};
    if (this.text.charCodeAt(this.skipSpace()) === CLOSE_OBJECT) return this.leaveEmpty(object);
    this.frame = { parent: this.frame, array: undefined, object, key: "" };
    this.key(this.frame, object);
    return undefined;
  }

  private enter(): boolean {
    if (this.depth >= this.maxDepth) {
      this.fail(`more than ${this.maxDepth} objects and arrays nested in each other`, this.position, "too_large");
      return false;
    }
    this.depth++;
    this.position++;
    return true;
  }

  private leaveEmpty(container: JsonValue): JsonValue {
    this.depth--;
    this.position++;
    return container;
  }

  /** Reads a key and its colon into `frame`. */
  private key(frame: Frame, object: Record<string, JsonValue>): void {
    const at = this.skipSpace();
    if (this.text.charCodeAt(at) !== QUOTE) {
      this.fail("no key in quotes");
      return;
    }
    const key = this.string();
    if (key === undefined) return;
    if (this.refuseDuplicates && Object.hasOwn(object, key)) {
      this.fail("a key that the object already has", at);
      return;
    }
    frame.key = key;
    if (this.text.charCodeAt(this.skipSpace()) === COLON) this.position++;
    else this.fail("no colon after the key");
  }

  /** Reads a string from its opening quote. */
  private string(): string | undefined {
    const { text } = this;
    const start = this.position + 1;
    for (let i = start; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit === QUOTE) {
        this.position = i + 1;
        return text.slice(start, i);
      }
      if (unit === BACKSLASH) return this.escapedString(start, i);
      if (unit < 0x20) return this.fail("a control character in a string", i);
      if (unit >= 0xd800 && unit <= 0xdfff && !this.isPair(i++)) return this.loneSurrogate(i - 1);
    }
    return this.fail("the text ends inside a string", text.length);
  }

  /** Goes on from the first escape, at `escape`, of the string whose content starts at `start`. */
  private escapedString(start: number, escape: number): string | undefined {
    const { text } = this;
    let result = text.slice(start, escape);
    let pending = escape;
    for (let i = escape; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit === QUOTE) {
        result += text.slice(pending, i);
        this.position = i + 1;
        return loneSurrogateAt(result) === -1 ? result : this.loneSurrogate(start - 1);
      }
      if (unit === BACKSLASH) {
        const char = this.escape(i);
        if (char === undefined) return this.fail("no such escape", i);
        result += text.slice(pending, i) + char;
        i += text.charCodeAt(i + 1) === LOWER_U ? 5 : 1;
        pending = i + 1;
      } else if (unit < 0x20) return this.fail("a control character in a string", i);
      else if (unit >= 0xd800 && unit <= 0xdfff && !this.isPair(i++)) return this.loneSurrogate(i - 1);
    }
    return this.fail("the text ends inside a string", text.length);
  }

  /** The UTF-16 unit that the escape at `index` stands for. */
  private escape(index: number): string | undefined {
    const name = this.text.charAt(index + 1);
    if (name !== "u") return Object.hasOwn(ESCAPES, name) ? ESCAPES[name] : undefined;
    const digits = this.text.slice(index + 2, index + 6);
    return HEX.test(digits) ? String.fromCharCode(Number.parseInt(digits, 16)) : undefined;
  }

  private isPair(index: number): boolean {
    return (this.text.codePointAt(index) ?? 0) > 0xffff;
  }

  private loneSurrogate(at: number): string | undefined {
    return this.fail("a string with a lone surrogate, which UTF-8 cannot hold", at);
  }

  private number(): JsonValue | undefined {
    const { text } = this;
    const negative = text.charCodeAt(this.position) === MINUS;
    const first = negative ? this.position + 1 : this.position;
    let end = first;
    let magnitude = 0;
    for (let unit = text.charCodeAt(end); unit >= ZERO && unit <= NINE; unit = text.charCodeAt(++end)) {
      magnitude = magnitude * 10 + (unit - ZERO);
    }
    if (end === first) return this.fail("a minus sign without a digit");
    if (end - first > 1 && text.charCodeAt(first) === ZERO) return this.fail("a number with a leading zero");
    FRACTION.lastIndex = end;
    if (isFractionStart(text.charCodeAt(end)) && FRACTION.test(text) && FRACTION.lastIndex > end) {
      return this.float(FRACTION.lastIndex);
    }
    // Up to 15 digits the sum above is exact.
    if (end - first > 15) return this.longInteger(first, end);
    if (negative && magnitude === 0 && !this.lax) return this.fail("negative zero");
    this.position = end;
    return negative && magnitude !== 0 ? -magnitude : magnitude;
  }

  private float(end: number): JsonValue | undefined {
    if (!this.lax) return this.fail("a number with a fraction or an exponent");
    const source = this.text.slice(this.position, end);
    const value = Number(source);
    if (!Number.isFinite(value)) return this.fail("a number beyond the range of doubles");
    this.position = end;
    return new JsonFloat(value, source);
  }

  private longInteger(first: number, end: number): JsonValue | undefined {
    if (this.lax && end - first > MAX_INTEGER_DIGITS) {
      return this.fail(`an integer of more than ${MAX_INTEGER_DIGITS} digits`, this.position, "too_large");
    }
    const source = this.text.slice(this.position, end);
    const value = Number(source);
    // A token beyond 2^53 - 1 never rounds to a safe integer, so this judges the token itself.
    if (!Number.isSafeInteger(value) && !this.lax) return this.fail("an integer beyond 2^53 - 1");
    this.position = end;
    return Number.isSafeInteger(value) ? value : BigInt(source);
  }

  /** Moves to the next unit that is not JSON whitespace, and answers its index. */
  private skipSpace(): number {
    const { text } = this;
    let i = this.position;
    for (let unit = text.charCodeAt(i); isSpace(unit); unit = text.charCodeAt(++i));
    this.position = i;
    return i;
  }

  /** Notes what is wrong, and answers `undefined` in a type that every reader may return. */
  private fail(what: string, at: number = this.position, code: RefusalCode = "bad_json"): string | undefined {
    this.problem ??= { what, at, code };
    return undefined;
  }

  private refusal(problem: Problem): Result<never> {
    const rule = this.lax ? "RFC 8259" : "Canonical JSON";
    return refuse(problem.code, `${problem.what}, at offset ${problem.at}`, { rule });
  }
}

/** The four of RFC 8259; a byte order mark or a no-break space is none. */
function isSpace(unit: number): boolean {
  return unit <= 0x20 && (unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09);
}

/** `.`, `e` or `E`. */
function isFractionStart(unit: number): boolean {
  return unit === 0x2e || unit === 0x65 || unit === 0x45;
}
