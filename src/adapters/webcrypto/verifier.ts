/** Verifying by WebCrypto, with libsodium's verdicts. */
import { screen } from "../../crypto/ed25519.js";
import { coreProvider, edgeVectors, rememberingProvider } from "../../crypto/ed25519-provider.js";
import type { Cancel } from "../../ports/cancel.js";
import type { VerifyRequest } from "../../ports/keys.js";
import { throwIfCancelled } from "../shared/cancelled.js";
import { KeyCache, USUAL_KEYS } from "../shared/key-cache.js";
import { ED25519, platformSubtle } from "./subtle.js";
import type { SubtleLike } from "./subtle.js";

export interface WebCryptoVerifierOptions {
  /** How many imported public keys are kept, the least recently used leaving first. 1,000 by default. */
  readonly maxKeys?: number;
  /** `crypto.subtle`, unless it is to be another. */
  readonly subtle?: SubtleLike;
}

/** The half of a Keys port that verifies: `createKeyRing({ verify: verifier.verify, … })`. */
export interface WebCryptoVerifier {
  /** As `Keys["verify"]`. Rejects when it is cancelled. */
  readonly verify: (requests: readonly VerifyRequest[], cancel?: Cancel) => Promise<readonly boolean[]>;
  /** `core` where the platform is without Ed25519, or judges an edge vector otherwise than libsodium. */
  readonly by: "webcrypto" | "core";
}

type VerifyOne = (request: VerifyRequest) => Promise<boolean>;

/** Signatures of one call that are with the platform at a time: more than it has threads, and not all of a join. */
const LANES = 32;
/** The core takes long enough for others to have their turn after so many. */
const CORE_AT_A_TIME = 16;

/**
 * Verifies by the platform where it keeps libsodium's verdicts on all edge vectors, screened, else by the core.
 * @throws UsageError if `maxKeys` is not a positive integer, or where there is no WebCrypto at all.
 */
export async function createWebCryptoVerifier({
  maxKeys = USUAL_KEYS,
  subtle = platformSubtle(),
}: WebCryptoVerifierOptions = {}): Promise<WebCryptoVerifier> {
  const platform = byPlatform(subtle, new KeyCache(maxKeys));
  if (!(await passesEdges(platform))) return Object.freeze({ by: "core", verify: byCore() });
  const verifyOne = orCore(platform);
  return Object.freeze({
    by: "webcrypto",
    verify: (requests: readonly VerifyRequest[], cancel?: Cancel) => inLanes(verifyOne, requests, cancel),
  });
}

function byPlatform(subtle: SubtleLike, keys: KeyCache<Promise<object>>): VerifyOne {
  const importKey = (bytes: Uint8Array): Promise<object> => subtle.importKey("raw", bytes, ED25519, true, ["verify"]);
  return async ({ key, message, signature }) => {
    if (screen(signature, key) === "refuse") return false;
    return await subtle.verify(ED25519, await keys.get(key, importKey), signature, message);
  };
}

async function passesEdges(verifyOne: VerifyOne): Promise<boolean> {
  try {
    const vectors = edgeVectors();
    const verdicts = await Promise.all(vectors.map(({ publicKey, ...rest }) => verifyOne({ ...rest, key: publicKey })));
    return vectors.every(({ valid }, at) => verdicts[at] === valid);
  } catch {
    return false;
  }
}

/** What throws on bytes that have passed the screen (on points off the curve, say) has no verdict; the core has. */
function orCore(platform: VerifyOne): VerifyOne {
  return async (request) => {
    try {
      return await platform(request);
    } catch {
      return coreProvider.verify(request.signature, request.message, request.key);
    }
  };
}

async function inLanes(
  verifyOne: VerifyOne,
  requests: readonly VerifyRequest[],
  cancel: Cancel | undefined,
): Promise<readonly boolean[]> {
  const verdicts = new Array<boolean>(requests.length).fill(false);
  const entries = requests.entries();
  const lane = async (): Promise<void> => {
    for (const [at, request] of entries) {
      throwIfCancelled(cancel);
      verdicts[at] = await verifyOne(request);
    }
  };
  await Promise.all(Array.from({ length: Math.min(LANES, requests.length) }, lane));
  throwIfCancelled(cancel);
  return verdicts;
}

function byCore(): WebCryptoVerifier["verify"] {
  const provider = rememberingProvider();
  return async (requests, cancel) => {
    const verdicts: boolean[] = [];
    for (const [at, { key, message, signature }] of requests.entries()) {
      if (at > 0 && at % CORE_AT_A_TIME === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      throwIfCancelled(cancel);
      verdicts.push(provider.verify(signature, message, key));
    }
    return verdicts;
  };
}
