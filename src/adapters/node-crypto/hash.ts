/** SHA-256 by OpenSSL. */
import * as crypto from "node:crypto";
import type { Sha256 } from "../../crypto/hash.js";

type HashOnce = (algorithm: string, data: Uint8Array | string, encoding: "binary") => string;

/** Hashing in one call is new in Node 20.12, and not everywhere where `node:crypto` is. */
const { hash: hashOnce } = crypto as { readonly hash?: HashOnce };

/**
 * SHA-256 for `useSha256` of `roomdag/crypto`, which tries it before it takes it.
 */
export const nodeSha256: Sha256 =
  hashOnce === undefined
    ? (data) => crypto.createHash("sha256").update(data).digest()
    : (data) => bytesOf(hashOnce("sha256", data, "binary"));

/** A `Buffer` has memory of its own outside of the heap: making and sweeping one costs as much as the hash. */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
