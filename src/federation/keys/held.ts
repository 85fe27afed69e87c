/** What a key ring knows of a server: the keys of every answer so far, the last word of each counting. */
import { SEVEN_DAYS, usableUntil } from "../../event/signatures.js";
import type { VerifyKey } from "../../event/signatures.js";
import type { JsonObject } from "../../json/value.js";
import { sameBytes } from "./check.js";
import type { ServerKeys } from "./check.js";

/** Who said so: the server itself, or a notary on its behalf. */
export type KeySource = "server" | "notary";

export interface HeldKey extends VerifyKey {
  readonly from: KeySource;
}

/** An answer that a server itself gave: what a notary hands on. */
export interface HeldAnswer {
  readonly json: JsonObject;
  readonly validUntilTs: number;
  readonly fetchedTs: number;
}

export interface HeldKeys {
  readonly server: string;
  /** `valid_until_ts` of the newest answer. */
  readonly validUntilTs: number;
  readonly keys: ReadonlyMap<string, HeldKey>;
  readonly answer?: HeldAnswer;
}

/** What came of an answer. */
export type Merged =
  /** `replaced`: key ids that stand for other bytes from now on. */
  | { readonly ok: true; readonly held: HeldKeys; readonly replaced: readonly string[] }
  /** A key id that stands for other bytes than it may. */
  | { readonly ok: false; readonly contradicted: string };

/**
 * Adds an answer to what is held.
 *
 * The spec names keys by their ids and does not say what it means when an id comes with other bytes. Here a key
 * that was seen stays what it was for as long as its server said it would, and an answer that contradicts that is
 * not believed: whoever takes a server's place for an hour must not be able to make what it signed unverifiable.
 * After that time the bytes are replaced, since servers do lose their keys and begin anew under the same id. The
 * word of a notary gives way to the server's own at once, and never replaces it.
 *
 * Keys that an answer leaves out stay as they were, so that old events can be verified (server-server-api,
 * "Publishing Keys"); their validity is not extended any more. A notary's answer may be older than what is
 * held: then it only adds key ids that were unknown.
 */
export function mergeKeys(
  held: HeldKeys | undefined,
  answer: ServerKeys,
  { from, now, maxKeys }: { readonly from: KeySource; readonly now: number; readonly maxKeys: number },
): Merged {
  const known: ReadonlyMap<string, HeldKey> = held?.keys ?? new Map<string, HeldKey>();
  const isNewest = held === undefined || from === "server" || answer.validUntilTs >= held.validUntilTs;
  const replaced: string[] = [];
  for (const [keyId, { key }] of answer.keys) {
    const before = known.get(keyId);
    if (before === undefined || sameBytes(before.key, key)) continue;
    if (!isNewest || !mayReplace(before, from, now)) return { ok: false, contradicted: keyId };
    replaced.push(keyId);
  }
  const keys = new Map<string, HeldKey>();
  for (const [keyId, key] of answer.keys) {
    const before = known.get(keyId);
    // A notary that repeats what the server said does not make it a notary's word.
    const source = before?.from === "server" ? "server" : from;
    keys.set(keyId, isNewest || before === undefined ? { ...key, from: source } : before);
  }
  const left = [...known].filter(([keyId]) => !keys.has(keyId));
  left.sort(([, a], [, b]) => usableUntil(b) - usableUntil(a));
  for (const [keyId, key] of left.slice(0, Math.max(0, maxKeys - keys.size))) keys.set(keyId, key);
  const { server, json, fetchedTs } = answer;
  const validUntilTs = isNewest ? answer.validUntilTs : held.validUntilTs;
  const own = from === "server" ? { json, fetchedTs, validUntilTs: answer.validUntilTs } : held?.answer;
  return {
    ok: true,
    held: { server, validUntilTs, keys, ...(own === undefined ? {} : { answer: own }) },
    replaced,
  };
}

function mayReplace(before: HeldKey, from: KeySource, now: number): boolean {
  if (before.from !== from) return from === "server";
  return usableUntil(before) < now;
}

/**
 * Whether asking again could not tell more about a key at a time. What a server said of a key that it stopped
 * using is final until the answer that said so is over.
 */
export function isSettled(held: HeldKeys | undefined, keyId: string, validAt: number, now: number): boolean {
  const key = held?.keys.get(keyId);
  if (held === undefined || key === undefined) return false;
  if (usableUntil(key) >= validAt) return true;
  const { expiredTs, fetchedTs = now } = key;
  return expiredTs !== undefined && Math.min(held.validUntilTs, fetchedTs + SEVEN_DAYS) >= now;
}

/** Whether a key may sign a request: old ones may not (server-server-api, "Publishing Keys"). */
export function isUsableForRequests(key: VerifyKey, now: number): boolean {
  return key.expiredTs === undefined && usableUntil(key) >= now;
}
