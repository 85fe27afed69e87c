/** Signing by OpenSSL. */
import { createPrivateKey, createPublicKey, KeyObject, sign as opensslSign } from "node:crypto";
import { decodeBase64, encodeUnpadded } from "../../crypto/base64.js";
import { publicKeyFromSeed, sign, verify } from "../../crypto/ed25519.js";
import { UsageError } from "../../errors.js";

/** An own key of this server, as `createKeyRing` of `roomdag/federation` takes it. */
export interface NodeSigner {
  /** `ed25519:` and a version. */
  readonly keyId: string;
  /** The public half: 32 bytes. */
  readonly key: Uint8Array;
  /** Signs bytes: 64 bytes. It needs no `this`, so it serves as `signPolicy` too. */
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** What a signer signs with. */
export type NodeSigningKey =
  | {
      readonly keyId: string;
      /** 32 bytes. */
      readonly seed: Uint8Array;
    }
  | {
      readonly keyId: string;
      /** A private Ed25519 `KeyObject` of `node:crypto`. */
      readonly privateKey: object;
    };

/**
 * An own key whose secret half is held by OpenSSL. Where OpenSSL is without Ed25519, a seed signs by the core.
 * @throws UsageError for a seed that is not 32 bytes long, and for what is no private Ed25519 key.
 */
export function createNodeSigner(from: NodeSigningKey): NodeSigner {
  if ("privateKey" in from) return signerOf(from.keyId, keyObjectFrom(from.privateKey));
  const seed = from.seed.slice();
  const key = publicKeyFromSeed(seed);
  try {
    return signerOf(from.keyId, seedObject(seed, key), key);
  } catch {
    return Object.freeze({ keyId: from.keyId, key, sign: (message: Uint8Array) => sign(message, seed) });
  }
}

function signerOf(keyId: string, privateKey: KeyObject, key: Uint8Array = publicHalf(privateKey)): NodeSigner {
  const signBy = (message: Uint8Array): Uint8Array => new Uint8Array(opensslSign(null, message, privateKey));
  const probe = Uint8Array.of(1, 2, 3);
  if (!verify(signBy(probe), probe, key)) throw new Error("what OpenSSL signs does not verify");
  return Object.freeze({ keyId, key, sign: signBy });
}

function keyObjectFrom(given: object): KeyObject {
  if (given instanceof KeyObject && given.type === "private" && given.asymmetricKeyType === "ed25519") return given;
  throw new UsageError("`privateKey` must be a private Ed25519 KeyObject of node:crypto, or pass the `seed`");
}

function seedObject(seed: Uint8Array, publicKey: Uint8Array): KeyObject {
  const [d, x] = [encodeUnpadded(seed, "url-safe"), encodeUnpadded(publicKey, "url-safe")];
  return createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d, x }, format: "jwk" });
}

function publicHalf(privateKey: KeyObject): Uint8Array {
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return decodeBase64(x) ?? new Uint8Array(0);
}
