/** Keys and answers of policy servers for tests. */
import { decodeBase64, encodeUnpadded } from "../../src/crypto/base64.js";
import { publicKeyFromSeed, sign, verify } from "../../src/crypto/ed25519.js";
import { sha256 } from "../../src/crypto/hash.js";
import { attachSignature, eventSignedBytes } from "../../src/event/sign.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { get, isObject } from "../../src/json/value.js";
import { utf8Encode } from "../../src/json/utf8.js";
import { versionOf } from "./engine.js";

export const POLICY_KEY = "ed25519:policy_server";

/** The seed of a policy key. It is not the one by which the same server signs its events. */
export function policySeedOf(name: string): Uint8Array {
  return sha256(utf8Encode(`policy key ${name}`));
}

/** Content of an `m.room.policy` that names `via` with the key of `name`. */
export function policyContent(via: string, name: string = via): JsonObject {
  return { via, public_keys: { ed25519: encodeUnpadded(publicKeyFromSeed(policySeedOf(name))) } };
}

/** The event with a signature of `via` by the policy key of `name`. */
export function recommendedBy(version: string, event: JsonObject, via: string, name: string = via): JsonObject {
  const signature = sign(eventSignedBytes(versionOf(version).rules, event), policySeedOf(name));
  return attachSignature(event, { server: via, keyId: POLICY_KEY, signature });
}

/** What the policy server `via` answers when it signs by the key of `name`. */
export function signaturesOf(version: string, event: JsonObject, via: string, name: string = via): JsonObject {
  return { [via]: { [POLICY_KEY]: signatureIn(recommendedBy(version, event, via, name), via, POLICY_KEY) ?? "" } };
}

export function signatureIn(event: JsonObject, server: string, keyId: string): JsonValue | undefined {
  const all = get(event, "signatures");
  const ofServer = isObject(all) ? get(all, server) : undefined;
  return isObject(ofServer) ? get(ofServer, keyId) : undefined;
}

/** Whether an event carries a signature of `via` that holds by its policy key. */
export function isRecommended(version: string, event: JsonObject, via: string): boolean {
  const text = signatureIn(event, via, POLICY_KEY);
  const signature = typeof text === "string" ? decodeBase64(text) : undefined;
  const key = publicKeyFromSeed(policySeedOf(via));
  return signature !== undefined && verify(signature, eventSignedBytes(versionOf(version).rules, event), key);
}
