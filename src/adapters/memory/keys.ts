/** Real Ed25519 with the core's own arithmetic, and keys that are published by being put in a list. */
import { publicKeyFromSeed, sign } from "../../crypto/ed25519.js";
import { rememberingProvider } from "../../crypto/ed25519-provider.js";
import type { Ed25519Provider } from "../../crypto/ed25519-provider.js";
import type { SigningKey } from "../../event/sign.js";
import type { VerifyKey } from "../../event/signatures.js";
import type { KeyRequest, Keys, OwnSignature, VerifyRequest } from "../../ports/keys.js";

/** The keys that servers published, and one memory for verifying by them. */
export interface KeyDirectory {
  publish(server: string, keyId: string, key: VerifyKey): void;
  find(server: string, keyId: string): VerifyKey | undefined;
  readonly provider: Ed25519Provider;
}

/** A directory without keys, for servers of one process to share. */
export function createKeyDirectory(): KeyDirectory {
  const servers = new Map<string, Map<string, VerifyKey>>();
  return Object.freeze({
    publish: (server: string, keyId: string, key: VerifyKey): void => {
      const ofServer = servers.get(server) ?? new Map<string, VerifyKey>();
      servers.set(server, ofServer.set(keyId, copyOf(key)));
    },
    find: (server: string, keyId: string): VerifyKey | undefined => {
      const key = servers.get(server)?.get(keyId);
      return key && copyOf(key);
    },
    provider: rememberingProvider(),
  });
}

/**
 * Keys of a server that signs with one seed. Its public key is published in `directory`, valid at any time. With
 * another seed it signs as a policy server; that key is not published.
 * @throws UsageError if a seed is not 32 bytes long.
 */
export function createMemoryKeys(
  { server, keyId, seed }: SigningKey,
  directory: KeyDirectory,
  { policySeed }: { readonly policySeed?: Uint8Array } = {},
): Keys {
  const ownSeed = seed.slice();
  directory.publish(server, keyId, { key: publicKeyFromSeed(ownSeed) });
  return Object.freeze({
    ...(policySeed === undefined ? {} : { signPolicy: policySigner(policySeed) }),
    sign: (message: Uint8Array): OwnSignature => ({ keyId, signature: sign(message, ownSeed) }),
    lookup: (requests: readonly KeyRequest[]): readonly (VerifyKey | undefined)[] =>
      requests.map((request) => directory.find(request.server, request.keyId)),
    verify: (requests: readonly VerifyRequest[]): readonly boolean[] =>
      requests.map(({ key, message, signature }) => directory.provider.verify(signature, message, key)),
  });
}

function policySigner(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  const own = seed.slice();
  publicKeyFromSeed(own);
  return (message) => sign(message, own);
}

/** Bytes can be changed by whoever holds them. */
function copyOf(key: VerifyKey): VerifyKey {
  return { ...key, key: key.key.slice() };
}
