/** Letting a platform verify, without letting it change a verdict. */
import type { Point } from "@noble/ed25519";
import { decodeBase64, encodeUnpadded } from "./base64.js";
import { UsageError } from "../errors.js";
import { prepare, multiply, type MultiplyByScalar } from "./ed25519-multiply.js";
import { decodePoint, equationHolds, screen, verify } from "./ed25519.js";

/** Something that verifies Ed25519 signatures: 64 bytes over a message by a 32-byte key. */
export interface Ed25519Provider {
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
}

/** An input on which Ed25519 implementations differ, with libsodium's verdict. */
export interface EdgeVector {
  readonly name: string;
  readonly signature: Uint8Array;
  readonly message: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly valid: boolean;
}

/** The core's own verification as a provider. It keeps nothing between calls. */
export const coreProvider: Ed25519Provider = /* @__PURE__ */ Object.freeze({ verify });

/**
 * A provider that calls `platform` only for input that passes {@link screen}. Use it where the
 * platform passes {@link selfTest}; {@link chooseProvider} does both.
 */
export function screened(platform: Ed25519Provider): Ed25519Provider {
  return Object.freeze({
    verify: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean =>
      screen(signature, publicKey) === "ok" && platform.verify(signature, message, publicKey),
  });
}

/** Whether a provider gives libsodium's verdict on every edge vector. One that throws does not. */
export function selfTest(provider: Ed25519Provider): boolean {
  try {
    return edgeVectors().every((v) => provider.verify(v.signature, v.message, v.publicKey) === v.valid);
  } catch {
    return false;
  }
}

/** `platform` behind the screen if it then passes {@link selfTest}, or else the core's own. */
export function chooseProvider(platform: Ed25519Provider): Ed25519Provider {
  const candidate = screened(platform);
  return selfTest(candidate) ? candidate : coreProvider;
}

/** Uses of a key before its table is worth making: an attacker's one-off keys never get one. */
const USES_BEFORE_TABLE = 3;

interface KnownKey {
  readonly point: Point;
  uses: number;
  multiplyKey: MultiplyByScalar;
}

/**
 * The core's verification with a memory for public keys: same verdicts, about three times the speed
 * for keys that sign many events. The caller owns it.
 * @param maxKeys how many keys are remembered, the least recently used leaving first; a key in
 * steady use holds on the order of 150 kB.
 * @throws UsageError if `maxKeys` is not a positive integer.
 */
export function rememberingProvider(maxKeys: number = 64): Ed25519Provider {
  if (!Number.isSafeInteger(maxKeys) || maxKeys < 1) {
    throw new UsageError("maxKeys is the number of public keys to remember: pass an integer of at least 1.");
  }
  const keys = new Map<string, KnownKey>();
  return Object.freeze({
    verify: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean => {
      if (screen(signature, publicKey) === "refuse") return false;
      const key = recall(keys, maxKeys, publicKey);
      return key !== undefined && equationHolds(signature, message, publicKey, key.multiplyKey);
    },
  });
}

function recall(keys: Map<string, KnownKey>, maxKeys: number, publicKey: Uint8Array): KnownKey | undefined {
  const name = encodeUnpadded(publicKey);
  const key = keys.get(name) ?? newKey(publicKey);
  if (key === undefined) return undefined;
  key.uses++;
  if (key.uses === USES_BEFORE_TABLE) key.multiplyKey = prepare(key.point);
  keys.delete(name);
  keys.set(name, key);
  if (keys.size > maxKeys) {
    for (const oldest of keys.keys()) {
      keys.delete(oldest);
      break;
    }
  }
  return key;
}

function newKey(publicKey: Uint8Array): KnownKey | undefined {
  const point = decodePoint(publicKey);
  return point && { point, uses: 0, multiplyKey: (scalar): Point => multiply(point, scalar) };
}

/** `[name, valid, public key, message, signature]`; mixed order means a part of order 2, 4 or 8. */
type Row = readonly [name: string, valid: boolean, publicKey: string, message: string, signature: string];

const ROWS: readonly Row[] = [
  [
    "a plain signature",
    true,
    "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
    "cm9vbWRhZw",
    "t0RGHs12xhRuUV7glT67n21Qf8lum4Ef0NLGayESvB9Xe7UCQE0U5BYtM1FWYh/jrH/17M9cIxS3nZNoN7OeCQ",
  ],
  [
    "another message",
    false,
    "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
    "cm9vbWRhRw",
    "t0RGHs12xhRuUV7glT67n21Qf8lum4Ef0NLGayESvB9Xe7UCQE0U5BYtM1FWYh/jrH/17M9cIxS3nZNoN7OeCQ",
  ],
  [
    "S + L",
    false,
    "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
    "cm9vbWRhZw",
    "t0RGHs12xhRuUV7glT67n21Qf8lum4Ef0NLGayESvB9ET6tfWrAmPO3JKvQ0XP73rH/17M9cIxS3nZNoN7OeGQ",
  ],
  [
    "S + 8L",
    false,
    "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
    "cm9vbWRhZw",
    "t0RGHs12xhRuUV7glT67n21Qf8lum4Ef0NLGayESvB+/GmTqEmanpMkT8GhLMReKrX/17M9cIxS3nZNoN7OeiQ",
  ],
  [
    "the identity as public key",
    false,
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "c21hbGwgQSAw",
    "xMLzCTtHSN+MF2k+ZYnh8+43WsnWysChvAu/oo+lxZdUkzaUXjNykSWyjUUHr3qgGhfs5X/V9en3xJGzArxyDA",
  ],
  [
    "a public key of order 8",
    false,
    "xxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA3o",
    "c21hbGwgQSAy",
    "VmBBRMILZOIisJiDES5aybo0i+xhsXO10CRCT/RBTh/07UC3jt9LykrTXKJvN5Dd3fYjk6qpXgbzjduquvKBBQ",
  ],
  [
    "a non-canonical public key of order 4",
    false,
    "7f///////////////////////////////////////38",
    "c21hbGwgQSAz",
    "YP8hFL+pZTYh2Y//DnA+bKtu/+dDzeAJOKkaD00E4o30apY5BOXuPvN6Wuc9eEAbPtLod3rGzbi12CMHDf8YDQ",
  ],
  [
    "R of small order under a mixed key",
    false,
    "sjBIc7UvkGRygXOvHIHMIr/71Yf6CiBroEDMnfi6Q5c",
    "c21hbGwgUiBtaXhlZCBBIDA",
    "xxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA/rILvZQXyFBdOTV6jZ/vYJZX7qZE2BQ50YO3VJjmwO2Dw",
  ],
  [
    "mixed key and R, every equation holds",
    true,
    "nqPxH1vTTwzXFH/QpDbAiPYkxhAMHfalPAop4F1gzqA",
    "bWl4ZWQgMTE",
    "2G8woMWLj1IUIrB2yGlUpj/81kL/qO6JvCjLGRJpYFc8DUqa97sSErsgGZyTV1see9mIJLkpfga2IvcEKiw/CQ",
  ],
  [
    "mixed key, prime-order R, every equation holds",
    true,
    "nqPxH1vTTwzXFH/QpDbAiPYkxhAMHfalPAop4F1gzqA",
    "bWl4ZWQgOQ",
    "DqP71AaH5A4/PD1NrQCndgjD3kF5L7QAiW396hL0pwphquypzwE9JV3geMhH6Ehqcl7AiXfuaK23BEGFd5A/BQ",
  ],
  [
    "mixed key, only the cofactored equation holds",
    false,
    "nqPxH1vTTwzXFH/QpDbAiPYkxhAMHfalPAop4F1gzqA",
    "bWl4ZWQgMA",
    "4QyJHfxsFieJ3VmHLZEUKWHsTWVnPw/kH7CcTs5B8wJjs46P12IMuY8ovpSm2Zrd7CSy3AHIQ3EZtBYF7AM2DQ",
  ],
  [
    "mixed R, only the cofactored equation holds",
    false,
    "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
    "bWl4ZWQgMA",
    "r1FfJutRHGLdppi+IVMyXehQmIv1n4cYHns3MLlpH8kZ1O2BBzk47yWHf0ukvczuEbvuHR9iW2Z/oc9KLIHWBQ",
  ],
  [
    "R off the curve",
    false,
    "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w",
    "cm9vbWRhZw",
    "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABXe7UCQE0U5BYtM1FWYh/jrH/17M9cIxS3nZNoN7OeCQ",
  ],
];

/** The vectors of {@link selfTest}, for providers that answer later than at once. */
export function edgeVectors(): readonly EdgeVector[] {
  return ROWS.map(([name, valid, publicKey, message, signature]) => ({
    name,
    valid,
    publicKey: bytesOf(publicKey),
    message: bytesOf(message),
    signature: bytesOf(signature),
  }));
}

function bytesOf(text: string): Uint8Array {
  return decodeBase64(text) ?? new Uint8Array(0);
}
