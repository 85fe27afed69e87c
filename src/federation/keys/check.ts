/**
 * Reading the keys that another server published (server-server-api, "Retrieving server keys"). Nothing of an
 * answer is believed before one of the keys in it has signed it, and then it is believed as a whole or not at all.
 */
import { decodeBase64 } from "../../crypto/base64.js";
import { refuse } from "../../errors.js";
import type { Result } from "../../errors.js";
import { SEVEN_DAYS } from "../../event/signatures.js";
import type { VerifyKey } from "../../event/signatures.js";
import { attachSignature, signedBytes } from "../../event/sign.js";
import { isKeyId } from "../../ids/grammar.js";
import { encodeCanonical } from "../../json/canonical.js";
import { checkStrict } from "../../json/check.js";
import { parseStrict } from "../../json/parse.js";
import { utf8Length } from "../../json/utf8.js";
import { get, isObject, setOwn } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Keys, VerifyRequest } from "../../ports/keys.js";
import { defaultKeyLimits } from "./limits.js";
import type { KeyLimits } from "./limits.js";

/** The keys of a server, as it published them. */
export interface ServerKeys {
  readonly server: string;
  /** `valid_until_ts`, in milliseconds since 1970. */
  readonly validUntilTs: number;
  readonly fetchedTs: number;
  /** By key id. Those with `expiredTs` were in use until then and verify events only. */
  readonly keys: ReadonlyMap<string, VerifyKey>;
  /** What the server signed, with its own signatures and no other's, to be handed on. A copy. */
  readonly json: JsonObject;
}

export interface CheckServerKeysOptions {
  /** Whose keys were asked for. */
  readonly server: string;
  /** When they were fetched. */
  readonly fetchedTs: number;
  readonly verify: Keys["verify"];
  /** The notary that the answer came from, with its keys: it must have signed, too. */
  readonly notary?: { readonly server: string; readonly keys: ReadonlyMap<string, Uint8Array> };
  readonly limits?: Pick<KeyLimits, "answerBytes" | "keysPerServer">;
}

const RULE = "server-server-api Retrieving server keys";

/** Answers are nested three deep; what servers add to them may be a little more. */
const MAX_DEPTH = 16;

/** Whether a key id is of the only algorithm that there is to verify. */
export function isEd25519KeyId(keyId: string): boolean {
  return keyId.startsWith("ed25519:") && isKeyId(keyId);
}

/** Why an answer is not believed; thrown and caught in this file alone. */
class Unbelievable extends Error {
  constructor(
    readonly code: "bad_format" | "bad_signature" | "too_large",
    reason: string,
  ) {
    super(reason);
  }
}

/**
 * Reads and checks an answer. It must name the server that was asked, and hold a signature by one of its
 * `verify_keys`; no signature by one of them may be wrong. Keys of other algorithms and under other names than key
 * ids have are passed over; an Ed25519 key that is none makes the whole answer void. A key in both lists is an old
 * one. Never throws, whatever the answer is.
 */
export async function checkServerKeys(json: unknown, options: CheckServerKeysOptions): Promise<Result<ServerKeys>> {
  const limits = options.limits ?? defaultKeyLimits;
  try {
    const answer = readJson(json, limits.answerBytes);
    const { server, fetchedTs } = options;
    if (get(answer, "server_name") !== server) throw new Unbelievable("bad_format", `the keys are not ${server}'s`);
    const validUntilTs = timeOf(answer, "valid_until_ts");
    const current = readKeys(answer, "verify_keys", (key) => ({ key, validUntilTs, fetchedTs }));
    const old = readKeys(answer, "old_verify_keys", (key, entry) => ({
      key,
      // A use that ends later than any key is trusted could not be taken back either.
      expiredTs: Math.min(timeOf(entry, "expired_ts"), fetchedTs + SEVEN_DAYS),
      fetchedTs,
    }));
    for (const [keyId, { key }] of old) {
      const now = current.get(keyId);
      if (now !== undefined && !sameBytes(now.key, key)) {
        throw new Unbelievable("bad_format", `${keyId} stands for two keys`);
      }
    }
    const keys = new Map([...current, ...old]);
    if (keys.size > limits.keysPerServer) throw new Unbelievable("too_large", `there are ${keys.size} keys`);
    const message = signedBytes(answer);
    const own = signaturesBy(answer, server, new Map([...current].map(([keyId, { key }]) => [keyId, key])));
    const theirs = options.notary && signaturesBy(answer, options.notary.server, options.notary.keys);
    const checks = [...own, ...(theirs ?? [])];
    const requests = checks.map(({ key, signature }): VerifyRequest => ({ key, message, signature }));
    const verdicts = await options.verify(requests);
    const wrong = checks.find((_, at) => verdicts[at] !== true);
    if (wrong !== undefined) throw new Unbelievable("bad_signature", `the signature by ${wrong.keyId} does not verify`);
    return { ok: true, value: { server, validUntilTs, fetchedTs, keys, json: signedBy(answer, server, own) } };
  } catch (error) {
    if (error instanceof Unbelievable) return refuse(error.code, error.message, { rule: RULE });
    throw error;
  }
}

/** A copy, so that nobody can change what is kept. */
function readJson(json: unknown, maxBytes: number): JsonObject {
  // Each value takes a byte at least, and one for what separates it from the next.
  const checked = checkStrict(json, { maxDepth: MAX_DEPTH, maxValues: maxBytes });
  if (!checked.ok) {
    const code = checked.error.code === "too_large" ? "too_large" : "bad_format";
    throw new Unbelievable(code, checked.error.reason);
  }
  const text = encodeCanonical(checked.value);
  if (utf8Length(text) > maxBytes) throw new Unbelievable("too_large", `the answer has more than ${maxBytes} bytes`);
  const copy = parseStrict(text);
  if (!copy.ok || !isObject(copy.value)) throw new Unbelievable("bad_format", "the answer is no object");
  return copy.value;
}

function timeOf(object: JsonObject, name: string): number {
  const value = get(object, name);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Unbelievable("bad_format", `\`${name}\` must be whole milliseconds since 1970`);
}

function readKeys(
  answer: JsonObject,
  name: "verify_keys" | "old_verify_keys",
  read: (key: Uint8Array, entry: JsonObject) => VerifyKey,
): ReadonlyMap<string, VerifyKey> {
  const listed = get(answer, name);
  if (listed === undefined && name === "old_verify_keys") return new Map();
  if (!isObject(listed)) throw new Unbelievable("bad_format", `\`${name}\` must be an object`);
  const keys = new Map<string, VerifyKey>();
  for (const [keyId, entry] of Object.entries(listed)) {
    if (!isEd25519KeyId(keyId)) continue;
    const text = isObject(entry) ? get(entry, "key") : undefined;
    const key = typeof text === "string" ? decodeBase64(text) : undefined;
    if (!isObject(entry) || key?.length !== 32) {
      throw new Unbelievable("bad_format", `${keyId} in \`${name}\` is no Ed25519 key`);
    }
    keys.set(keyId, read(key, entry));
  }
  return keys;
}

interface Signed {
  readonly keyId: string;
  readonly key: Uint8Array;
  readonly text: string;
  readonly signature: Uint8Array;
}

/** Signatures of a server by these keys; there must be one. */
function signaturesBy(
  answer: JsonObject,
  server: string,
  keys: ReadonlyMap<string, Uint8Array>,
): readonly [Signed, ...Signed[]] {
  const all = get(answer, "signatures");
  const ofServer = isObject(all) ? get(all, server) : undefined;
  const found: Signed[] = [];
  for (const [keyId, key] of keys) {
    const text = isObject(ofServer) ? get(ofServer, keyId) : undefined;
    if (text === undefined) continue;
    const signature = typeof text === "string" ? decodeBase64(text) : undefined;
    if (typeof text !== "string" || signature === undefined) {
      throw new Unbelievable("bad_signature", `the signature by ${keyId} is not base64`);
    }
    found.push({ keyId, key, text, signature });
  }
  const [first, ...others] = found;
  if (first === undefined) throw new Unbelievable("bad_signature", `no key of ${server} has signed the answer`);
  return [first, ...others];
}

function signedBy(answer: JsonObject, server: string, signatures: readonly Signed[]): JsonObject {
  const bare: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(answer)) {
    if (name !== "signatures" && name !== "unsigned") setOwn(bare, name, value);
  }
  return signatures.reduce<JsonObject>(
    (signed, { keyId, signature }) => attachSignature(signed, { server, keyId, signature }),
    bare,
  );
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
