/** Signing by WebCrypto. */
import { publicKeyFromSeed, sign, verify } from "../../crypto/ed25519.js";
import { UsageError } from "../../errors.js";
import { ED25519, platformSubtle } from "./subtle.js";
import type { SubtleLike } from "./subtle.js";

/** An own key of this server, as `createKeyRing` of `roomdag/federation` takes it. */
export interface WebCryptoSigner {
  /** `ed25519:` and a version. */
  readonly keyId: string;
  /** The public half: 32 bytes. */
  readonly key: Uint8Array;
  /** Signs bytes: 64 bytes. It needs no `this`, so it serves as `signPolicy` too. */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
}

/** What a signer signs with. */
export type WebCryptoSigningKey =
  | {
      readonly keyId: string;
      /** 32 bytes. */
      readonly seed: Uint8Array;
    }
  | {
      readonly keyId: string;
      /** A private `CryptoKey` for Ed25519, which need not be extractable. */
      readonly privateKey: object;
      /** Its public half: 32 bytes. */
      readonly key: Uint8Array;
    };

/** RFC 8410: what stands before the seed in a private key. */
const PKCS8_HEAD = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/**
 * An own key whose secret half is held by the platform, not extractable. Where the platform is without Ed25519, a seed
 * signs by the core.
 * @throws UsageError for a seed that is not 32 bytes long, for a key that does not sign what `key` verifies, and where
 * there is no WebCrypto at all.
 */
export async function createWebCryptoSigner(
  from: WebCryptoSigningKey,
  { subtle = platformSubtle() }: { readonly subtle?: SubtleLike } = {},
): Promise<WebCryptoSigner> {
  const { keyId } = from;
  if ("privateKey" in from) {
    const signer = signerOf(subtle, keyId, from.privateKey, from.key.slice());
    if (await isSound(signer)) return signer;
    throw new UsageError(
      "`privateKey` signs nothing that `key` verifies: pass a private Ed25519 CryptoKey and its key",
    );
  }
  const seed = from.seed.slice();
  const key = publicKeyFromSeed(seed);
  try {
    const held = await subtle.importKey("pkcs8", Uint8Array.of(...PKCS8_HEAD, ...seed), ED25519, false, ["sign"]);
    const signer = signerOf(subtle, keyId, held, key);
    if (await isSound(signer)) return signer;
  } catch {
    // The platform is without Ed25519.
  }
  return Object.freeze({ keyId, key, sign: (message: Uint8Array) => Promise.resolve(sign(message, seed)) });
}

function signerOf(subtle: SubtleLike, keyId: string, privateKey: object, key: Uint8Array): WebCryptoSigner {
  const signBy = async (message: Uint8Array): Promise<Uint8Array> =>
    new Uint8Array(await subtle.sign(ED25519, privateKey, message));
  return Object.freeze({ keyId, key, sign: signBy });
}

async function isSound({ key, sign: signBy }: WebCryptoSigner): Promise<boolean> {
  const probe = Uint8Array.of(1, 2, 3);
  try {
    return verify(await signBy(probe), probe, key);
  } catch {
    return false;
  }
}
