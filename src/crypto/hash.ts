import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { UsageError } from "../errors.js";
import { utf8Encode } from "../json/utf8.js";

/**
 * SHA-256 of bytes, which may be a part of a larger buffer, or of text in UTF-8. Text is well formed. 32 bytes, in an
 * array of their own.
 */
export type Sha256 = (data: Uint8Array | string) => Uint8Array;

const own: Sha256 = (data) => nobleSha256(typeof data === "string" ? utf8Encode(data) : data);

let current: Sha256 = own;

/**
 * SHA-256, 32 bytes: content hashes and reference hashes of every room version. In plain JavaScript, unless
 * {@link useSha256} was called.
 */
export function sha256(data: Uint8Array | string): Uint8Array {
  return current(data);
}

/** Every length of padding within two blocks, and text of one to four bytes a character. */
const probes: readonly (Uint8Array | string)[] = [
  ...Array.from({ length: 129 }, (_, length) => new Uint8Array(length).fill(length)),
  // A part of a buffer.
  new Uint8Array(100).fill(7).subarray(20, 60),
  "",
  "a".repeat(1000),
  "aé€😀",
];

/**
 * Lets the platform compute hashes, for the whole process: in Node
 * `useSha256((data) => createHash("sha256").update(data).digest())`, five times as fast as JavaScript. `undefined` goes
 * back to the library's own.
 *
 * @throws UsageError where it gives another hash than it should: an event would get another id than everywhere else.
 */
export function useSha256(platform: Sha256 | undefined): void {
  for (const probe of platform === undefined ? [] : probes) {
    const [given, expected] = [platform?.(probe), own(probe)];
    if (!(given instanceof Uint8Array) || given.length !== 32 || expected.some((byte, at) => given[at] !== byte)) {
      throw new UsageError("this is not SHA-256 of the bytes, or of the UTF-8 of the text, that it is given");
    }
  }
  current = platform ?? own;
}
