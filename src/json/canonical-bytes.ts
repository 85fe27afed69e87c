/**
 * Canonical JSON straight into bytes, for events on their way in: what `encodeCanonical` gives, in UTF-8, which a
 * property test holds it to. Text that is put together and encoded after that takes a third longer up to the hashes,
 * and was a fifth of a join's garbage (docs/performance.md).
 */
import { encodeCanonical } from "./canonical.js";
import { compareCodePoints } from "./compare.js";
import { utf8Encode } from "./utf8.js";
import { isArray, isPlainObject } from "./value.js";
import type { JsonArray, JsonObject, JsonValue } from "./value.js";

/** Stretches lie side by side in memory of this size: a few dozen events. */
const CHUNK = 65_536;
/** Real events are nested about five deep. */
const MAX_DEPTH = 32;

const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const [OPEN_ARRAY, CLOSE_ARRAY] = [0x5b, 0x5d];
const [OPEN_OBJECT, CLOSE_OBJECT] = [0x7b, 0x7d];

/** Usual values are shorter. Parts of a value that refer to each other may be larger, written out, than any memory. */
const USUAL = 65_536;

/** The writer of all values. It is taken only where an object runs code when it is read, and that writes another. */
let spare: BytesWriter | undefined;

/**
 * Has one stretch written.
 * @param most how many bytes it may have; more is not written
 */
export function writeBytes<T>(most: number, write: (writer: BytesWriter) => T): T {
  const writer = spare ?? new BytesWriter();
  spare = undefined;
  try {
    writer.begin(most);
    return write(writer);
  } finally {
    spare = writer;
  }
}

/** {@link encodeCanonical} in UTF-8. */
export function encodeCanonicalBytes(value: JsonValue): Uint8Array {
  const bytes = writeBytes(USUAL, (writer) => {
    writer.value(value);
    return writer.take();
  });
  return bytes ?? utf8Encode(encodeCanonical(value));
}

/** Writes one stretch of bytes after the other. */
export class BytesWriter {
  #most = 0;
  #bytes: Uint8Array = new Uint8Array(CHUNK);
  #start = 0;
  #at = 0;
  #isFull = false;

  /**
   * Begins a stretch. Those before it stay as they are.
   * @param most how many bytes it may have; more is not written
   */
  begin(most: number): void {
    this.#most = most;
    this.#start = this.#at;
    this.#isFull = false;
  }

  /** Bytes in this stretch. */
  get length(): number {
    return this.#at - this.#start;
  }

  /** Whether something was left out of this stretch. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Cuts this stretch down to its first `length` bytes. */
  cut(length: number): void {
    this.#at = this.#start + length;
  }

  /** This stretch as a part of the memory that it is written to, with others around it. */
  view(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#at);
  }

  /** This stretch as an array of its own, and nothing of it left here. `undefined` where it is full. */
  take(): Uint8Array | undefined {
    const bytes = this.#isFull ? undefined : this.view().slice();
    this.cut(0);
    return bytes;
  }

  /**
   * Members of an object, each with a comma before it, become the object's beginning where they are the first of the
   * stretch.
   * @param at where they begin in it
   */
  join(at: number): void {
    if (at < this.length) this.#bytes[this.#start + at] = at === 0 ? OPEN_OBJECT : COMMA;
  }

  /** Ends the object of which all that was written are the members. */
  close(): void {
    if (this.#at === this.#start) this.#code(OPEN_OBJECT);
    this.#code(CLOSE_OBJECT);
  }

  /** @param name with its quotes and its colon, and what stands before it */
  member(name: Uint8Array, value: JsonValue | undefined): void {
    const { length } = name;
    if (!this.#hasRoom(length)) return;
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < length; i++) bytes[at++] = name[i] ?? 0;
    this.#at = at;
    this.#value(value, 1);
  }

  value(value: JsonValue): void {
    this.#value(value, 0);
  }

  /** Bytes of a stretch, from `begin` to before `end`. */
  copy(stretch: Uint8Array, begin: number, end: number): void {
    if (!this.#hasRoom(end - begin)) return;
    const { buffer, byteOffset } = stretch;
    if (buffer === this.#bytes.buffer) this.#bytes.copyWithin(this.#at, byteOffset + begin, byteOffset + end);
    else this.#bytes.set(stretch.subarray(begin, end), this.#at);
    this.#at += end - begin;
  }

  #value(value: JsonValue | undefined, depth: number): void {
    if (typeof value === "string") this.#text(value);
    else if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) this.#count(value);
    else if (depth === MAX_DEPTH || typeof value !== "object" || value === null) this.#other(value);
    else if (isArray(value)) this.#array(value, depth + 1);
    else if (isPlainObject(value)) this.#object(value as JsonObject, depth + 1);
    else this.#other(value);
  }

  #array(array: JsonArray, depth: number): void {
    this.#code(OPEN_ARRAY);
    for (let i = 0; i < array.length && !this.#isFull; i++) {
      if (i > 0) this.#code(COMMA);
      this.#value(array[i], depth);
    }
    this.#code(CLOSE_ARRAY);
  }

  #object(object: JsonObject, depth: number): void {
    const keys = Object.keys(object);
    if (keys.length > 1) sort(keys);
    this.#code(OPEN_OBJECT);
    for (let i = 0; i < keys.length && !this.#isFull; i++) {
      const key = keys[i] ?? "";
      if (i > 0) this.#code(COMMA);
      this.#text(key);
      this.#code(COLON);
      this.#value(object[key], depth);
    }
    this.#code(CLOSE_OBJECT);
  }

  #text(text: string): void {
    if (!this.#plain(text)) this.#other(text);
  }

  /** Writes text, unless something in it has an escape or has to be looked at closer. */
  #plain(text: string): boolean {
    const { length } = text;
    if (!this.#hasRoom(length + 2, 3 * length + 2)) return true;
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = QUOTE;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit < 0x80) {
        // Nearly all are above the quote.
        if (unit <= QUOTE ? unit < 0x20 || unit === QUOTE : unit === BACKSLASH) return false;
        bytes[at++] = unit;
      } else if (unit < 0x800) {
        bytes[at++] = 0xc0 | (unit >> 6);
        bytes[at++] = 0x80 | (unit & 0x3f);
      } else if (unit < 0xd800) {
        bytes[at++] = 0xe0 | (unit >> 12);
        bytes[at++] = 0x80 | ((unit >> 6) & 0x3f);
        bytes[at++] = 0x80 | (unit & 0x3f);
      } else return false;
    }
    bytes[at++] = QUOTE;
    if (at - this.#start > this.#most) this.#isFull = true;
    else this.#at = at;
    return true;
  }

  /** A safe integer that is not negative: making text of a time and reading that takes three times as long. */
  #count(value: number): void {
    const head = Math.floor(value / 1e8);
    const [before, after] = head > 0 ? [digitsOf(head), 8] : [0, digitsOf(value)];
    if (!this.#hasRoom(before + after)) return;
    this.#digits(head, before);
    this.#digits(value - head * 1e8, after);
  }

  /** @param value below 2^31 */
  #digits(value: number, count: number): void {
    let left = value | 0;
    for (let at = this.#at + count - 1; at >= this.#at; at--) {
      const tens = (left / 10) | 0;
      this.#bytes[at] = ZERO + left - tens * 10;
      left = tens;
    }
    this.#at += count;
  }

  /** What is rare, and what is no JSON: that throws. */
  #other(value: JsonValue | undefined): void {
    const bytes = utf8Encode(encodeCanonical(value as JsonValue));
    if (!this.#hasRoom(bytes.length)) return;
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #code(code: number): void {
    if (this.#hasRoom(1)) this.#bytes[this.#at++] = code;
  }

  /** Makes room for at least so many bytes, and perhaps as many as `most`. `false` where the stretch is full. */
  #hasRoom(least: number, most: number = least): boolean {
    if (this.#at - this.#start + least > this.#most) this.#isFull = true;
    if (this.#isFull) return false;
    if (this.#at + most > this.#bytes.length) this.#renew(most);
    return true;
  }

  /** Goes on in new memory. */
  #renew(most: number): void {
    const { length } = this;
    const bytes = new Uint8Array(Math.max(CHUNK, 2 * (length + most)));
    bytes.set(this.view());
    this.#bytes = bytes;
    this.#start = 0;
    this.#at = length;
  }
}

/** Most objects have two or three usual keys; the engine's own way of sorting makes two arrays for those. */
function sort(keys: string[]): void {
  const areWide = keys.some(isWide);
  if (areWide || keys.length > 8) {
    keys.sort(areWide ? compareCodePoints : undefined);
    return;
  }
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i] ?? "";
    let at = i;
    for (; at > 0 && (keys[at - 1] ?? "") > key; at--) keys[at] = keys[at - 1] ?? "";
    keys[at] = key;
  }
}

/** Whether a key has a unit from where the order of UTF-16 units and of code points part. */
function isWide(key: string): boolean {
  for (let i = 0; i < key.length; i++) if (key.charCodeAt(i) >= 0xd800) return true;
  return false;
}

function digitsOf(value: number): number {
  let count = 1;
  for (let power = 10; power <= value; power *= 10) count++;
  return count;
}
