/** This server's own keys, and how they are published (server-server-api, "Publishing Keys"). */
import { encodeUnpadded } from "../../crypto/base64.js";
import { publicKeyFromSeed, sign } from "../../crypto/ed25519.js";
import { UsageError } from "../../errors.js";
import { attachSignature, signedBytes } from "../../event/sign.js";
import type { SigningKey } from "../../event/sign.js";
import { isServerName } from "../../ids/grammar.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import { isEd25519KeyId } from "./check.js";

/** A key that this server signs with. The secret half may be anywhere. */
export interface OwnKey {
  /** `ed25519:` and a version. Another key needs another version, for ever. */
  readonly keyId: string;
  /** The public half: 32 bytes. */
  readonly key: Uint8Array;
  /** Signs bytes: 64 bytes. */
  sign(message: Uint8Array, cancel?: Cancel): Awaitable<Uint8Array>;
}

/** A key that this server used to sign with. Without it, what it signed cannot be verified any more. */
export interface OldKey {
  readonly keyId: string;
  readonly key: Uint8Array;
  /** When it was used last, in milliseconds since 1970. */
  readonly expiredTs: number;
}

export interface OwnKeys {
  /** Those in use: the first signs events and requests, each of them signs what is published. */
  readonly current: readonly [OwnKey, ...OwnKey[]];
  readonly old?: readonly OldKey[];
}

/** A key whose secret half is a seed in memory. @throws UsageError if the seed is not 32 bytes long. */
export function keyFromSeed({ keyId, seed }: Omit<SigningKey, "server">): OwnKey {
  const ownSeed = seed.slice();
  return Object.freeze({
    keyId,
    key: publicKeyFromSeed(ownSeed),
    sign: (message: Uint8Array): Uint8Array => sign(message, ownSeed),
  });
}

/** A copy whose bytes nobody else holds. @throws UsageError for keys that no other server could use. */
export function checkOwnKeys({ current, old = [] }: OwnKeys): OwnKeys {
  const seen = new Set<string>();
  for (const { keyId, key } of [...current, ...old]) {
    if (!isEd25519KeyId(keyId))
      throw new UsageError(`${keyId} is no key id: \`ed25519:\` and letters, digits or \`_\``);
    if (key.length !== 32) throw new UsageError(`the public key ${keyId} has ${key.length} bytes instead of 32`);
    if (seen.has(keyId)) throw new UsageError(`the key id ${keyId} stands for two keys: give each its own version`);
    seen.add(keyId);
  }
  for (const { keyId, expiredTs } of old) {
    if (Number.isSafeInteger(expiredTs) && expiredTs >= 0) continue;
    throw new UsageError(`\`expiredTs\` of ${keyId} must be whole milliseconds since 1970`);
  }
  const [first, ...others] = current.map((one) => ({
    keyId: one.keyId,
    key: one.key.slice(),
    sign: (message: Uint8Array, cancel?: Cancel) => one.sign(message, cancel),
  }));
  if (first === undefined) throw new UsageError("a server needs a key to sign with");
  return { current: [first, ...others], old: old.map((one) => ({ ...one, key: one.key.slice() })) };
}

/** What a server publishes. */
export interface Publication {
  readonly server: string;
  readonly own: OwnKeys;
  /** Until when others need not ask again. They trust it for seven days at most. */
  readonly validUntilTs: number;
  readonly cancel?: Cancel | undefined;
}

/**
 * The object that a server publishes: its keys and those it used to have, signed by each key in use.
 * @throws UsageError for keys, a name or a time that no other server could use.
 */
export async function serverKeys({ server, own, validUntilTs, cancel }: Publication): Promise<JsonObject> {
  if (!isServerName(server)) throw new UsageError(`${server} is no server name`);
  if (!Number.isSafeInteger(validUntilTs) || validUntilTs < 0) {
    throw new UsageError("`validUntilTs` must be whole milliseconds since 1970");
  }
  const { current, old = [] } = checkOwnKeys(own);
  const published: JsonObject = {
    server_name: server,
    valid_until_ts: validUntilTs,
    verify_keys: recordOf(current.map(({ keyId, key }) => [keyId, { key: encodeUnpadded(key) }])),
    old_verify_keys: recordOf(
      old.map(({ keyId, key, expiredTs }) => [keyId, { key: encodeUnpadded(key), expired_ts: expiredTs }]),
    ),
  };
  let signed = published;
  for (const key of current) {
    signed = attachSignature(signed, { server, keyId: key.keyId, signature: await signWith(key, published, cancel) });
  }
  return signed;
}

async function signWith(key: OwnKey, object: JsonObject, cancel: Cancel | undefined): Promise<Uint8Array> {
  return signatureBy(key, signedBytes(object), cancel);
}

/** @throws UsageError when what signs returns no signature. */
export async function signatureBy(key: OwnKey, message: Uint8Array, cancel: Cancel | undefined): Promise<Uint8Array> {
  const signature = await key.sign(message, cancel);
  if (signature.length === 64) return signature;
  throw new UsageError(`\`sign\` of ${key.keyId} must return 64 bytes, not ${signature.length}`);
}

/** Key ids have no form that an object would take for something else. */
function recordOf(entries: readonly (readonly [string, JsonValue])[]): JsonObject {
  return Object.fromEntries(entries);
}
