/**
 * Ed25519 with libsodium's verdicts, which are the network's (Synapse asks libsodium). Servers that
 * disagree on one signature disagree on an event and split the room, so the check is cofactorless:
 * the bytes of R are compared. noble's own check multiplies by the cofactor and accepts more.
 */
import { hashes, Point, getPublicKey as nobleGetPublicKey, sign as nobleSign } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { UsageError } from "../errors.js";
import { multiply, type MultiplyByScalar } from "./ed25519-multiply.js";

const SIGNATURE_LENGTH = 64;
const KEY_LENGTH = 32;
const SEED_LENGTH = 32;

/** The order L of the prime-order subgroup. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const ORDER_BYTES: readonly number[] = [
  0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/** The y coordinates of the two pairs of order-8 points; orders 1, 2 and 4 have y = 1, -1 and 0. */
const ORDER_8_Y: readonly (readonly number[])[] = [
  [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac,
    0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
  ],
  [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53,
    0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
  ],
];

/**
 * The public key, 32 bytes, of a 32-byte signing seed.
 * @throws UsageError if the seed is not 32 bytes long.
 */
export function publicKeyFromSeed(seed: Uint8Array): Uint8Array {
  checkSeed(seed);
  return withSha512(() => nobleGetPublicKey(seed));
}

/**
 * Signs deterministically (RFC 8032): 64 bytes.
 * @throws UsageError if the seed is not 32 bytes long.
 */
export function sign(message: Uint8Array, seed: Uint8Array): Uint8Array {
  checkSeed(seed);
  return withSha512(() => nobleSign(message, seed));
}

/** Whether a signature holds. Bytes of any length are judged, never thrown at. */
export function verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (screen(signature, publicKey) === "refuse") return false;
  const point = decodePoint(publicKey);
  if (point === undefined) return false;
  return equationHolds(signature, message, publicKey, (scalar) => multiply(point, scalar));
}

/**
 * What libsodium refuses before it looks at the message, and platforms such as node:crypto let
 * through in part: wrong lengths, S of L or more, a public key or R that is not canonical or has
 * small order. `ok` says nothing about the signature itself.
 */
export function screen(signature: Uint8Array, publicKey: Uint8Array): "ok" | "refuse" {
  if (signature.length !== SIGNATURE_LENGTH || publicKey.length !== KEY_LENGTH) return "refuse";
  if (!isBelow(signature, 32, ORDER_BYTES)) return "refuse";
  return isUsableEncoding(publicKey) && isUsableEncoding(signature) ? "ok" : "refuse";
}

/** The point that canonical bytes stand for, or `undefined` when there is none on the curve. */
export function decodePoint(bytes: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(bytes);
  } catch {
    return undefined;
  }
}

/** Whether R is, byte for byte, the encoding of [S]B - [k]A. The caller has screened the input. */
export function equationHolds(
  signature: Uint8Array,
  message: Uint8Array,
  publicKey: Uint8Array,
  multiplyKey: MultiplyByScalar,
): boolean {
  const r = signature.subarray(0, 32);
  const digest = sha512.create().update(r).update(publicKey).update(message).digest();
  const keyPart = multiplyKey(fromLittleEndian(digest) % ORDER);
  const basePart = Point.BASE.multiplyUnsafe(fromLittleEndian(signature.subarray(32)));
  const expected = basePart.subtract(keyPart).toBytes();
  return r.every((byte, index) => byte === expected[index]);
}

/**
 * noble's synchronous calls read SHA-512 from a slot that all its users in the process share. It is
 * filled for the call only: importing this module has no effect, and a host's own slot stays.
 */
function withSha512<T>(run: () => T): T {
  const before = hashes.sha512;
  hashes.sha512 = sha512;
  try {
    return run();
  } finally {
    hashes.sha512 = before;
  }
}

function checkSeed(seed: Uint8Array): void {
  if (seed.length === SEED_LENGTH) return;
  throw new UsageError(`An Ed25519 seed has 32 bytes, not ${seed.length}: pass the decoded seed alone.`);
}

/** Of the first 32 bytes. */
function isUsableEncoding(bytes: Uint8Array): boolean {
  if (!isCanonical(bytes)) return false;
  const first = bytes[0] ?? 0;
  if (first <= 1 && middleIs(bytes, 0) && lowTop(bytes) === 0) return false;
  if (first === 0xec && middleIs(bytes, 0xff) && lowTop(bytes) === 0x7f) return false;
  const top = lowTop(bytes);
  for (const y of ORDER_8_Y) if (top === y[31] && sameUpTo31(bytes, y)) return false;
  return true;
}

/** Whether y, without the sign bit, is below p = 2^255 - 19. */
function isCanonical(bytes: Uint8Array): boolean {
  return lowTop(bytes) !== 0x7f || (bytes[0] ?? 0) < 0xed || !middleIs(bytes, 0xff);
}

/** The last byte without the sign bit of x. */
function lowTop(bytes: Uint8Array): number {
  return (bytes[31] ?? 0) & 0x7f;
}

function middleIs(bytes: Uint8Array, value: number): boolean {
  for (let index = 1; index < 31; index++) if (bytes[index] !== value) return false;
  return true;
}

function sameUpTo31(bytes: Uint8Array, other: readonly number[]): boolean {
  for (let index = 0; index < 31; index++) if (bytes[index] !== other[index]) return false;
  return true;
}

function isBelow(bytes: Uint8Array, from: number, bound: readonly number[]): boolean {
  for (let index = 31; index >= 0; index--) {
    const difference = (bytes[from + index] ?? 0) - (bound[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  let hex = "0x";
  for (let index = bytes.length - 1; index >= 0; index--) hex += (bytes[index] ?? 0).toString(16).padStart(2, "0");
  return BigInt(hex);
}
