/** Published keys for tests: everybody can sign as every server, so that signed rooms need no set-up. */
import { publicKeyFromSeed } from "../crypto/ed25519.js";
import { sha256 } from "../crypto/hash.js";
import type { SigningKey } from "../event/sign.js";
import type { KeyLookup, VerifyKey } from "../event/signatures.js";
import { utf8Encode } from "../json/utf8.js";

/** The id of every test key. */
export const TEST_KEY_ID = "ed25519:test";

/**
 * The key with which `server` signs in generated rooms: its seed is the SHA-256 of the server name in
 * UTF-8. It is public by construction, so it proves nothing outside a test.
 */
export function testKeyOf(server: string): SigningKey {
  return { server, keyId: TEST_KEY_ID, seed: sha256(utf8Encode(server)) };
}

/** A lookup that knows the test key of every server, valid at any time. Each public key is derived once. */
export function testKeyLookup(): KeyLookup {
  const known = new Map<string, VerifyKey>();
  return (server, keyId) => {
    if (keyId !== TEST_KEY_ID) return undefined;
    let key = known.get(server);
    if (key === undefined) known.set(server, (key = { key: publicKeyFromSeed(testKeyOf(server).seed) }));
    return key;
  };
}
