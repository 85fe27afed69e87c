/** Keys for runs of many events: signatures that cost a hash, or real ones. */
import { encodeUnpadded } from "../../crypto/base64.js";
import { publicKeyFromSeed, sign } from "../../crypto/ed25519.js";
import { rememberingProvider } from "../../crypto/ed25519-provider.js";
import { sha256 } from "../../crypto/hash.js";
import type { VerifyKey } from "../../event/signatures.js";
import { utf8Encode } from "../../json/utf8.js";
import type { Keys, OwnSignature, VerifyRequest } from "../../ports/keys.js";
import { TEST_KEY_ID, testKeyOf } from "../keys.js";

/** The id of every keyed-hash key. */
export const KEYED_HASH_KEY_ID = "ed25519:keyed_hash";

/** Who has which key in one simulation. Make one for each, and give it to every server's keys. */
export interface KeyRing {
  /** Makes a server's keys unavailable, as when nobody can fetch them; events that it signs cannot be verified then. */
  withhold(server: string): void;
  /** Makes them available again. */
  publish(server: string): void;
  /** The published key, or `undefined`. */
  lookup(server: string, keyId: string): VerifyKey | undefined;
  /** Enters a key. Only who holds `secret` signs by it; without one it is an Ed25519 key. */
  register(server: string, keyId: string, key: Uint8Array, secret?: Uint8Array): void;
  /** Whether a signature is good by a key, whatever its kind. */
  verify(request: VerifyRequest): boolean;
}

export function createKeyRing(): KeyRing {
  const keys = new Map<string, Map<string, VerifyKey>>();
  const withheld = new Set<string>();
  /** By public key. */
  const secrets = new Map<string, Uint8Array>();
  const ed25519 = rememberingProvider();
  return Object.freeze<KeyRing>({
    withhold: (server) => void withheld.add(server),
    publish: (server) => void withheld.delete(server),
    lookup: (server, keyId) => (withheld.has(server) ? undefined : keys.get(server)?.get(keyId)),
    register: (server, keyId, key, secret) => {
      const known = keys.get(server) ?? new Map<string, VerifyKey>();
      keys.set(server, known.set(keyId, { key }));
      if (secret !== undefined) secrets.set(encodeUnpadded(key), secret);
    },
    verify: ({ key, message, signature }) => {
      const secret = secrets.get(encodeUnpadded(key));
      if (secret === undefined) return ed25519.verify(signature, message, key);
      return sameBytes(signature, keyedHash(secret, message));
    },
  });
}

/**
 * Keys whose signatures are hashes over a secret and the message: as good as signatures where nobody looks
 * into the ring, and some thirty times as fast. The public key is the SHA-256 of the server name.
 */
export function keyedHashKeys(server: string, ring: KeyRing): Keys {
  const secret = sha256(utf8Encode(`the secret of ${server}`));
  ring.register(server, KEYED_HASH_KEY_ID, sha256(utf8Encode(server)), secret);
  return keysOf(ring, (message) => ({ keyId: KEYED_HASH_KEY_ID, signature: keyedHash(secret, message) }));
}

/** Real Ed25519, by the server's test key. */
export function ed25519Keys(server: string, ring: KeyRing): Keys {
  const { seed } = testKeyOf(server);
  ring.register(server, TEST_KEY_ID, publicKeyFromSeed(seed));
  return keysOf(ring, (message) => ({ keyId: TEST_KEY_ID, signature: sign(message, seed) }));
}

/** Keys of which a server makes new ones: it signs with the newest, and all stay published. */
export interface RotatingKeys extends Keys {
  readonly rotate: () => void;
}

/** Keys of either kind, with an id that counts up. */
export function rotatingKeys(server: string, ring: KeyRing, kind: "hash" | "ed25519"): RotatingKeys {
  let [keyId, current, count] = ["", sha256(new Uint8Array()), 0];
  const rotate = (): void => {
    current = sha256(utf8Encode(`secret ${++count} of ${server}`));
    keyId = `ed25519:${kind}_${count}`;
    if (kind === "hash") ring.register(server, keyId, sha256(current), current);
    else ring.register(server, keyId, publicKeyFromSeed(current));
  };
  rotate();
  return Object.freeze<RotatingKeys>({
    ...keysOf(ring, (message) => ({
      keyId,
      signature: kind === "hash" ? keyedHash(current, message) : sign(message, current),
    })),
    rotate,
  });
}

/** The keys of a hostile server that signs wrongly: every signature differs in one bit from the right one. */
export function wrongSignatures(keys: Keys): Keys {
  return Object.freeze<Keys>({
    ...keys,
    sign: async (message, cancel) => {
      const { keyId, signature } = await keys.sign(message, cancel);
      return { keyId, signature: signature.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) };
    },
  });
}

function keysOf(ring: KeyRing, sign: (message: Uint8Array) => OwnSignature): Keys {
  return Object.freeze<Keys>({
    sign,
    lookup: (requests) => requests.map((request) => ring.lookup(request.server, request.keyId)),
    verify: (requests) => requests.map((request) => ring.verify(request)),
  });
}

/** As long as an Ed25519 signature: a hash of both, and the hash of that. */
function keyedHash(secret: Uint8Array, message: Uint8Array): Uint8Array {
  const first = sha256(joined(secret, message));
  return joined(first, sha256(first));
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
