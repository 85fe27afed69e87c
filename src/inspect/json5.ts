/**
 * A strict reader of JSON5 (spec.json5.org), for scenarios that people write by hand: comments, trailing commas,
 * keys without quotes, single quotes, hexadecimal numbers. `Infinity` and `NaN` are refused, because rooms hold none.
 */
import { refuse, ok } from "../errors.js";
import type { RefusalCode, Result } from "../errors.js";
import { loneSurrogateAt } from "../ids/text.js";
import { JsonFloat, setOwn } from "../json/value.js";
import type { JsonValue } from "../json/value.js";

/** How deep objects and arrays may be nested: people write these files, and the reader recurses. */
const MAX_DEPTH = 256;

const SPACE = /[\t\n\v\f\r \u00a0\u2028\u2029\ufeff\p{Zs}]+|\/\/[^\n\r\u2028\u2029]*/uy;
const IDENTIFIER = /[\p{ID_Start}$_][\p{ID_Continue}$_\u200c\u200d]*/uy;
const NUMBER = /[+-]?(?:0[xX][0-9a-fA-F]+|(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)/y;
const INTEGER = /^[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)$/;
/** A longer integer is in no event that a server signed. */
const MAX_DIGITS = 4300;

const escapes: ReadonlyMap<string, string> = new Map([
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
  ["0", "\0"],
  ["\n", ""],
  ["\r\n", ""],
  ["\r", ""],
  ["\u2028", ""],
  ["\u2029", ""],
]);
const ESCAPE = /\\(?:\r\n|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|0(?![0-9])|[^xu0-9])/uy;
const PLAIN = { '"': /[^"\\\n\r]+/uy, "'": /[^'\\\n\r]+/uy };

/** What ends a text that is not JSON5. */
class Stop extends Error {
  readonly code: RefusalCode;
  constructor(reason: string, code: RefusalCode = "bad_json") {
    super(reason);
    this.code = code;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): JsonValue {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) throw this.#stop("something follows the value");
    return value;
  }

  #stop(reason: string, code?: RefusalCode): Stop {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    return new Stop(`line ${line}: ${reason}`, code);
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text) ?? undefined;
    if (found !== undefined) this.#at = pattern.lastIndex;
    return found;
  }

  #space(): void {
    for (;;) {
      if (this.#match(SPACE) !== undefined) continue;
      if (!this.#text.startsWith("/*", this.#at)) return;
      const end = this.#text.indexOf("*/", this.#at + 2);
      if (end < 0) throw this.#stop("a comment does not end");
      this.#at = end + 2;
    }
  }

  /** Whether `char` comes next; if so it is passed. */
  #take(char: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) throw this.#stop(`nested deeper than ${MAX_DEPTH}`, "too_large");
    if (this.#take("{")) return this.#object(depth);
    if (this.#take("[")) return this.#array(depth);
    const quote = this.#text[this.#at];
    if (quote === '"' || quote === "'") return this.#string(quote);
    const number = this.#match(NUMBER);
    if (number !== undefined) return this.#number(number[0]);
    const word = this.#match(IDENTIFIER)?.[0];
    if (word === "null") return null;
    if (word === "true" || word === "false") return word === "true";
    throw this.#stop("a value is expected");
  }

  #object(depth: number): JsonValue {
    const object: Record<string, JsonValue> = {};
    while (!this.#take("}")) {
      const key = this.#key();
      if (!this.#take(":")) throw this.#stop("a colon is expected after the key");
      setOwn(object, key, this.#value(depth + 1));
      if (this.#take(",")) continue;
      if (this.#take("}")) break;
      throw this.#stop("a comma or the end of the object is expected");
    }
    return object;
  }

  #key(): string {
    this.#space();
    const quote = this.#text[this.#at];
    if (quote === '"' || quote === "'") return this.#string(quote);
    const name = this.#match(IDENTIFIER)?.[0];
    if (name === undefined) throw this.#stop("a key is expected");
    return name;
  }

  #array(depth: number): JsonValue {
    const list: JsonValue[] = [];
    while (!this.#take("]")) {
      list.push(this.#value(depth + 1));
      if (this.#take(",")) continue;
      if (this.#take("]")) break;
      throw this.#stop("a comma or the end of the array is expected");
    }
    return list;
  }

  #string(quote: '"' | "'"): string {
    this.#at++;
    let value = "";
    for (;;) {
      value += this.#match(PLAIN[quote])?.[0] ?? "";
      if (this.#text[this.#at] === quote) break;
      const found = this.#match(ESCAPE);
      if (found === undefined) throw this.#stop("a string does not end, or has an escape that JSON5 has not");
      const [whole, byte, unit] = found;
      const code = byte ?? unit;
      const named = whole.slice(1);
      value += code === undefined ? (escapes.get(named) ?? named) : String.fromCharCode(Number.parseInt(code, 16));
    }
    this.#at++;
    if (loneSurrogateAt(value) >= 0) throw this.#stop("a string has half of a surrogate pair");
    return value;
  }

  /** The value that the lossless parser has for the same number. */
  #number(source: string): JsonValue {
    // A word right behind it would be a second value.
    if (this.#match(IDENTIFIER) !== undefined) throw this.#stop("this is no number");
    const digits = source.startsWith("+") ? source.slice(1) : source;
    if (!INTEGER.test(source)) {
      const value = Number(digits);
      if (!Number.isFinite(value)) throw this.#stop("a number is too large");
      return new JsonFloat(value, digits.replace(/^(-?)\./, "$10.").replace(/\.(?![0-9])/, ".0"));
    }
    if (digits.length > MAX_DIGITS) throw this.#stop(`an integer has more than ${MAX_DIGITS} digits`, "too_large");
    const exact = digits.startsWith("-") ? -BigInt(digits.slice(1)) : BigInt(digits);
    const number = Number(exact);
    return Number.isSafeInteger(number) ? number : exact;
  }
}

/**
 * Reads JSON5 text. Numbers come out as the lossless JSON parser has them.
 *
 * @returns the value, or a refusal `bad_json` (`too_large` for deep nesting and huge numbers) that names the line.
 */
export function parseJson5(text: string): Result<JsonValue> {
  try {
    return ok(new Reader(text).whole());
  } catch (error) {
    if (error instanceof Stop) return refuse(error.code, error.message);
    throw error;
  }
}
