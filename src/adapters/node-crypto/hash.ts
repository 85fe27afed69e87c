/** SHA-256 by OpenSSL. */
import * as crypto from "node:crypto";
import type { Sha256 } from "../../crypto/hash.js";

type HashOnce = (algorithm: string, data: Uint8Array | string, encoding: "buffer") => Uint8Array;

/** Hashing in one call is new in Node 20.12, and not everywhere where `node:crypto` is. */
const { hash: hashOnce } = crypto as { readonly hash?: HashOnce };

/**
 * SHA-256 for `useSha256` of `roomdag/crypto`, which tries it before it takes it.
 */
export const nodeSha256: Sha256 =
  hashOnce === undefined
    ? (data) => crypto.createHash("sha256").update(data).digest()
    : (data) => hashOnce("sha256", data, "buffer");
