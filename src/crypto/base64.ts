/** Unpadded base64 (appendices, "Unpadded Base64"), without leaning on a platform's decoder. */

/** `+/`, or `-_` as in event ids from room version 4. */
export type Base64Alphabet = "standard" | "url-safe";

const COMMON = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const INVALID = 255;
const PADDING = 61;

/** The 6-bit value of each ASCII character in either alphabet. */
const VALUES: Uint8Array = /* @__PURE__ */ valueTable();

function valueTable(): Uint8Array {
  const table = new Uint8Array(128).fill(INVALID);
  for (const alphabet of [`${COMMON}+/`, `${COMMON}-_`]) {
    for (let value = 0; value < 64; value++) table[alphabet.charCodeAt(value)] = value;
  }
  return table;
}

const CODES: Readonly<Record<Base64Alphabet, Uint8Array>> = /* @__PURE__ */ Object.freeze({
  standard: codeTable("+/"),
  "url-safe": codeTable("-_"),
});

function codeTable(last: string): Uint8Array {
  return Uint8Array.from(`${COMMON}${last}`, (character) => character.charCodeAt(0));
}

/** How many characters are made of their codes at once: engines bound the arguments of a call. */
const AT_ONCE = 4096;

/** Encodes bytes without `=`, in the standard alphabet unless told otherwise. */
export function encodeUnpadded(bytes: Uint8Array, alphabet: Base64Alphabet = "standard"): string {
  return encodeAfter("", bytes, alphabet);
}

/**
 * The same after a sigil. Of codes, because text that grows by pieces stays a tree of them in V8: making ids so took
 * six times as long, and finding them in a map up to three times (docs/performance.md).
 */
export function encodeAfter(sigil: string, bytes: Uint8Array, alphabet: Base64Alphabet): string {
  const codeOf = CODES[alphabet];
  const { length } = bytes;
  let text = "";
  let count = 0;
  for (; count < sigil.length; count++) codes[count] = sigil.charCodeAt(count);
  for (let at = 0; at < length; at += 3) {
    const group = (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);
    codes[count++] = codeOf[group >> 18] ?? 0;
    codes[count++] = codeOf[(group >> 12) & 63] ?? 0;
    if (at + 1 < length) codes[count++] = codeOf[(group >> 6) & 63] ?? 0;
    if (at + 2 < length) codes[count++] = codeOf[group & 63] ?? 0;
    if (count < AT_ONCE) continue;
    text += textOf(count);
    count = 0;
  }
  return text + textOf(count);
}

/** Reused: the codes of an id in an array of their own took as much memory as all else of making it. */
const codes: number[] = [];

/** The text of the first `count` codes. */
function textOf(count: number): string {
  codes.length = count;
  return String.fromCharCode(...codes);
}

/** Whether text is {@link encodeUnpadded} of the bytes, of which nothing is made to find out. */
export function isUnpadded(text: string, bytes: Uint8Array): boolean {
  const codeOf = CODES.standard;
  const { length } = bytes;
  if (text.length !== Math.ceil((length * 4) / 3)) return false;
  let count = 0;
  for (let at = 0; at < length; at += 3) {
    const group = (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);
    if (text.charCodeAt(count++) !== codeOf[group >> 18]) return false;
    if (text.charCodeAt(count++) !== codeOf[(group >> 12) & 63]) return false;
    if (at + 1 < length && text.charCodeAt(count++) !== codeOf[(group >> 6) & 63]) return false;
    if (at + 2 < length && text.charCodeAt(count++) !== codeOf[group & 63]) return false;
  }
  return true;
}

/**
 * Decodes either alphabet, even mixed, with none, some or all of its padding: keys and signatures
 * arrive in all these forms and other servers take them. Non-zero trailing bits are ignored, because
 * the spec's own signing seed has them; so compare decoded bytes, never texts. Anything else
 * (white space, other characters, an impossible length, surplus `=`) is `undefined`.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  const length = unpaddedLength(text);
  if (length === undefined) return undefined;
  const bytes = new Uint8Array(Math.floor((length * 3) / 4));
  let written = 0;
  let held = 0;
  let heldBits = 0;
  for (let at = 0; at < length; at++) {
    const value = VALUES[text.charCodeAt(at)] ?? INVALID;
    if (value === INVALID) return undefined;
    held = ((held << 6) | value) & 0xffff;
    heldBits += 6;
    if (heldBits < 8) continue;
    heldBits -= 8;
    bytes[written++] = held >> heldBits;
  }
  return bytes;
}

/** How many characters carry data, or `undefined` where no base64 text has that length and padding. */
function unpaddedLength(text: string): number | undefined {
  let length = text.length;
  while (length > 0 && text.length - length < 2 && text.charCodeAt(length - 1) === PADDING) length--;
  const rest = length % 4;
  const wanted = rest === 0 ? 0 : 4 - rest;
  return rest === 1 || text.length - length > wanted ? undefined : length;
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
