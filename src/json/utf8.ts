/** UTF-8 without `TextEncoder`, which is not part of the language and which replaces what it cannot encode. */

import { UsageError } from "../errors.js";
import { utf8Length } from "../ids/text.js";

export { codePointLength, loneSurrogateAt, utf8Length } from "../ids/text.js";

/**
 * The UTF-8 bytes of `text`.
 *
 * @throws UsageError for a lone surrogate: two encoders that each "repair" it differently hash differently.
 */
export function utf8Encode(text: string): Uint8Array {
  const { length } = text;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return encodeWide(text);
    bytes[i] = unit;
  }
  return bytes;
}

function encodeWide(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) {
      bytes[at++] = unit;
    } else if (unit < 0x800) {
      bytes[at++] = 0xc0 | (unit >> 6);
      bytes[at++] = 0x80 | (unit & 0x3f);
    } else if (unit < 0xd800 || unit > 0xdfff) {
      bytes[at++] = 0xe0 | (unit >> 12);
      bytes[at++] = 0x80 | ((unit >> 6) & 0x3f);
      bytes[at++] = 0x80 | (unit & 0x3f);
    } else {
      const point = pairAt(text, i++);
      bytes[at++] = 0xf0 | (point >> 18);
      bytes[at++] = 0x80 | ((point >> 12) & 0x3f);
      bytes[at++] = 0x80 | ((point >> 6) & 0x3f);
      bytes[at++] = 0x80 | (point & 0x3f);
    }
  }
  return bytes;
}

function pairAt(text: string, index: number): number {
  const point = text.codePointAt(index) ?? 0;
  if (point < 0x10000) throw new UsageError(`text has a lone surrogate at ${index}, which UTF-8 cannot hold`);
  return point;
}

/** The text that `bytes` hold, or `undefined` where they are not well-formed UTF-8. A byte order mark is kept. */
export function utf8Decode(bytes: Uint8Array): string | undefined {
  const units = new Uint16Array(bytes.length);
  let length = 0;
  for (let i = 0; i < bytes.length;) {
    const lead = bytes[i] ?? 0;
    if (lead < 0x80) {
      units[length++] = lead;
      i++;
      continue;
    }
    const point = sequenceAt(bytes, i);
    if (point < 0) return undefined;
    if (point < 0x10000) {
      units[length++] = point;
      i += point < 0x800 ? 2 : 3;
    } else {
      units[length++] = 0xd7c0 + (point >> 10);
      units[length++] = 0xdc00 | (point & 0x3ff);
      i += 4;
    }
  }
  return fromUnits(units, length);
}

/** The code point of the multi-byte sequence at `index`, or -1: overlong forms and surrogates are not UTF-8. */
function sequenceAt(bytes: Uint8Array, index: number): number {
  const lead = bytes[index] ?? 0;
  const size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return -1;
  let point = lead & (0x7f >> size);
  for (let i = 1; i < size; i++) {
    const next = bytes[index + i] ?? 0;
    if ((next & 0xc0) !== 0x80) return -1;
    point = (point << 6) | (next & 0x3f);
  }
  if (size === 3 && (point < 0x800 || (point >= 0xd800 && point <= 0xdfff))) return -1;
  if (size === 4 && (point < 0x10000 || point > 0x10ffff)) return -1;
  return point;
}

/** Argument lists have a limit of their own, so long text is put together from pieces. */
const PIECE = 8192;

function fromUnits(units: Uint16Array, length: number): string {
  let text = "";
  for (let i = 0; i < length; i += PIECE) {
    text += String.fromCharCode(...units.subarray(i, Math.min(i + PIECE, length)));
  }
  return text;
}
