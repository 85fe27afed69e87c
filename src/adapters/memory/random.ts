/** Bytes that look random and are the same each time: for tests and simulations only. */
import { sha256 } from "../../crypto/hash.js";
import { UsageError } from "../../errors.js";
import { utf8Encode } from "../../json/utf8.js";
import type { Random } from "../../ports/random.js";

const BLOCK = 32;

/** The SHA-256 of the seed's hash and a counter. Whoever knows the seed knows every byte. */
export function createSeededRandom(seed: string | number): Random {
  const input = new Uint8Array(BLOCK + 8);
  input.set(sha256(utf8Encode(String(seed))));
  const counter = new DataView(input.buffer, BLOCK);
  let count = 0n;
  return Object.freeze({
    bytes: (length: number): Uint8Array => {
      if (!Number.isSafeInteger(length) || length < 0) {
        throw new UsageError("`length` is a number of bytes: pass an integer of at least 0");
      }
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at += BLOCK) {
        counter.setBigUint64(0, count++);
        bytes.set(sha256(input).subarray(0, length - at), at);
      }
      return bytes;
    },
  });
}
