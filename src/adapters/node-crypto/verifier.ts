/** Verifying by OpenSSL, with libsodium's verdicts. */
import { createPublicKey, verify as opensslVerify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { setImmediate } from "node:timers";
import { encodeUnpadded } from "../../crypto/base64.js";
import { chooseProvider, coreProvider, rememberingProvider, screened } from "../../crypto/ed25519-provider.js";
import type { Ed25519Provider } from "../../crypto/ed25519-provider.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { VerifyRequest } from "../../ports/keys.js";
import { throwIfCancelled } from "../shared/cancelled.js";
import { KeyCache, USUAL_KEYS } from "../shared/key-cache.js";

export interface NodeVerifierOptions {
  /** How many public keys are kept as OpenSSL holds them, the least recently used leaving first. 1,000 by default. */
  readonly maxKeys?: number;
}

/** The half of a Keys port that verifies: `createKeyRing({ verify: verifier.verify, … })`. */
export interface NodeVerifier {
  /** As `Keys["verify"]`. Rejects when it is cancelled. */
  readonly verify: (requests: readonly VerifyRequest[], cancel?: Cancel) => Awaitable<readonly boolean[]>;
  /** `core` where OpenSSL is without Ed25519, or judges an edge vector otherwise than libsodium. */
  readonly by: "openssl" | "core";
}

/** A call goes through in one turn of the event loop up to so many signatures: about 6 ms. */
const AT_A_TIME = 64;

/**
 * Verifies on the calling thread. A call of more than 64 signatures lets others have their turn after each 64.
 * @throws UsageError if `maxKeys` is not a positive integer.
 */
export function createNodeVerifier({ maxKeys = USUAL_KEYS }: NodeVerifierOptions = {}): NodeVerifier {
  const { provider, by } = chooseNodeProvider(openssl(new KeyCache(maxKeys)));
  return Object.freeze({
    by,
    verify: (requests: readonly VerifyRequest[], cancel?: Cancel): Awaitable<readonly boolean[]> => {
      throwIfCancelled(cancel);
      return requests.length <= AT_A_TIME ? verifyAll(provider, requests) : verifyInTurns(provider, requests, cancel);
    },
  });
}

/** OpenSSL's own verdicts, which are not libsodium's on every input. */
export function openssl(keys: KeyCache<KeyObject>): Ed25519Provider {
  return Object.freeze({
    verify: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean =>
      opensslVerify(null, message, keys.get(publicKey, keyObjectOf), signature),
  });
}

/** `platform` where it keeps libsodium's verdicts behind the screen, else the core with a memory for keys. */
export function chooseNodeProvider(platform: Ed25519Provider): {
  readonly provider: Ed25519Provider;
  readonly by: NodeVerifier["by"];
} {
  if (chooseProvider(platform) === coreProvider) return { provider: rememberingProvider(), by: "core" };
  return { provider: screened(orCore(platform)), by: "openssl" };
}

/** What throws on bytes that have passed the screen has no verdict on them; the core has. */
function orCore(platform: Ed25519Provider): Ed25519Provider {
  return {
    verify: (signature, message, publicKey) => {
      try {
        return platform.verify(signature, message, publicKey);
      } catch {
        return coreProvider.verify(signature, message, publicKey);
      }
    },
  };
}

/** A JSON Web Key is read in 6 µs; the same key in DER takes 80, as OpenSSL 3 tries its decoders one by one. */
function keyObjectOf(publicKey: Uint8Array): KeyObject {
  const x = encodeUnpadded(publicKey, "url-safe");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

export function verifyAll(provider: Ed25519Provider, requests: readonly VerifyRequest[]): readonly boolean[] {
  return requests.map(({ key, message, signature }) => provider.verify(signature, message, key));
}

async function verifyInTurns(
  provider: Ed25519Provider,
  requests: readonly VerifyRequest[],
  cancel: Cancel | undefined,
): Promise<readonly boolean[]> {
  const verdicts: boolean[] = [];
  for (let at = 0; at < requests.length; at += AT_A_TIME) {
    if (at > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    throwIfCancelled(cancel);
    verdicts.push(...verifyAll(provider, requests.slice(at, at + AT_A_TIME)));
  }
  return verdicts;
}
