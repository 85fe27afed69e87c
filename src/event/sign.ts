/** Signing JSON and events (spec appendices, "Signing JSON"; server-server-api, "Signing Events"). */
import { encodeUnpadded } from "../crypto/base64.js";
import { sign } from "../crypto/ed25519.js";
import { encodeCanonicalBytes } from "../json/canonical-bytes.js";
import { get, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { contentHash, omit } from "./hashes.js";
import { redact } from "./redact.js";

/** What a server signs with. */
export interface SigningKey {
  readonly server: string;
  /** `ed25519:` and a version. */
  readonly keyId: string;
  /** The 32-byte Ed25519 seed. */
  readonly seed: Uint8Array;
}

const unsignedKeys = ["signatures", "unsigned"] as const;

/** The bytes that a signature covers: canonical JSON without `signatures` and `unsigned`. */
export function signedBytes(object: JsonObject): Uint8Array {
  return encodeCanonicalBytes(omit(object, unsignedKeys));
}

/** The bytes that an event's signatures cover: those of its redacted copy, so that redaction keeps them valid. */
export function eventSignedBytes(rules: RoomVersionRules, event: JsonObject): Uint8Array {
  return signedBytes(redact(rules, event));
}

/** A copy of `object` with one more signature. Other signatures and `unsigned` are kept. */
export function signJson(object: JsonObject, key: SigningKey): JsonObject {
  return withSignature(object, key, signedBytes(object));
}

/** A copy of `event` with its content hash. */
export function hashEvent(event: JsonObject): JsonObject {
  return withKey(event, "hashes", { sha256: encodeUnpadded(contentHash(event)) });
}

/** A copy of `event` with its content hash and one more signature. Other signatures and `unsigned` are kept. */
export function signEvent(rules: RoomVersionRules, event: JsonObject, key: SigningKey): JsonObject {
  const hashed = hashEvent(event);
  return withSignature(hashed, key, eventSignedBytes(rules, hashed));
}

/**
 * A copy of `event` with one more signature over it as it stands: for co-signing an invite or a
 * restricted join, whose content hash belongs to the server that made it.
 */
export function cosignEvent(rules: RoomVersionRules, event: JsonObject, key: SigningKey): JsonObject {
  return withSignature(event, key, eventSignedBytes(rules, event));
}

function withSignature(object: JsonObject, key: SigningKey, message: Uint8Array): JsonObject {
  return attachSignature(object, { server: key.server, keyId: key.keyId, signature: sign(message, key.seed) });
}

/** A copy of `object` with a signature that was made elsewhere. Other signatures are kept. */
export function attachSignature(
  object: JsonObject,
  made: { readonly server: string; readonly keyId: string; readonly signature: Uint8Array },
): JsonObject {
  const all = get(object, "signatures");
  const ofServer = isObject(all) ? get(all, made.server) : undefined;
  const merged = withKey(isObject(ofServer) ? ofServer : {}, made.keyId, encodeUnpadded(made.signature));
  return withKey(object, "signatures", withKey(isObject(all) ? all : {}, made.server, merged));
}

function withKey(object: JsonObject, key: string, value: JsonValue): JsonObject {
  const copy: Record<string, JsonValue> = {};
  for (const name of Object.keys(object)) {
    const current = object[name];
    if (current !== undefined) setOwn(copy, name, current);
  }
  setOwn(copy, key, value);
  return copy;
}
