/** Content hash, reference hash and event id (spec server-server-api, "Signing Events"). */
import { decodeBase64, encodeAfter, isUnpadded } from "../crypto/base64.js";
import { sha256 } from "../crypto/hash.js";
import type { EventId } from "../ids/brands.js";
import { writeBytes } from "../json/canonical-bytes.js";
import { encodeCanonical, orderOf } from "../json/canonical.js";
import { get, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { UsageError } from "../errors.js";
import { isContentHashed, isReferenceHashed, MAX_PDU_BYTES } from "./forms.js";
import type { EventForms } from "./forms.js";
import { redactedContent } from "./redact.js";

/** A copy of `object` without the named keys. */
export function omit(object: JsonObject, dropped: readonly string[]): JsonObject {
  const result: Record<string, JsonValue> = {};
  for (const key of Object.keys(object)) {
    const value = object[key];
    if (value !== undefined && !dropped.includes(key)) setOwn(result, key, value);
  }
  return result;
}

/**
 * SHA-256 over the whole event less `unsigned`, `signatures` and `hashes`. The legacy keys `age_ts`,
 * `outlier` and `destinations` count: the spec and ruma hash them, Synapse leaves them out.
 */
export function contentHash(event: JsonObject): Uint8Array {
  return hashOfMembers(event, isContentHashed, (key) => event[key]);
}

/**
 * SHA-256 over an object of some members of another one, without making it: copies for redaction and for what is left
 * out took a fifth of an event id.
 * @param of what counts of a member
 */
function hashOfMembers(
  event: JsonObject,
  isKept: (key: string) => boolean,
  of: (key: string) => JsonValue | undefined,
): Uint8Array {
  const { keys, names } = orderOf(Object.keys(event).filter(isKept));
  const hash = writeBytes(MAX_PDU_BYTES, (writer) => {
    keys.forEach((key, at) => {
      const [name, value] = [names[at], of(key)];
      if (name !== undefined && value !== undefined) writer.member(name, value);
    });
    writer.join(0);
    writer.close();
    const found = writer.isFull ? undefined : sha256(writer.view());
    writer.cut(0);
    return found;
  });
  return hash ?? sha256(encodeCanonical(picked(keys, of)));
}

/** The object itself, which is larger than any event may be. */
function picked(keys: readonly string[], of: (key: string) => JsonValue | undefined): JsonObject {
  const result: Record<string, JsonValue> = {};
  for (const key of keys) {
    const value = of(key);
    if (value !== undefined) setOwn(result, key, value);
  }
  return result;
}

/** Whether `hashes.sha256` is the content hash; bytes are compared, so either base64 alphabet and padding will do. */
export function contentHashMatches(event: JsonObject, forms?: EventForms): boolean {
  const hashes = get(event, "hashes");
  const claimed = isObject(hashes) ? get(hashes, "sha256") : undefined;
  if (typeof claimed !== "string") return false;
  // Nearly always it is written as it should be.
  const hash = forms?.contentHash();
  if (hash !== undefined && isUnpadded(claimed, hash)) return true;
  const decoded = decodeBase64(claimed);
  return decoded !== undefined && sameBytes(decoded, hash ?? contentHash(event));
}

/** SHA-256 over the redacted event less `signatures` and `unsigned`. */
export function referenceHash(rules: RoomVersionRules, event: JsonObject): Uint8Array {
  const of = (key: string): JsonValue | undefined =>
    key === "content" ? (redactedContent(rules, event) ?? event[key]) : event[key];
  return hashOfMembers(event, (key) => isReferenceHashed(rules, key), of);
}

/**
 * The event id: from the PDU in room versions 1 and 2, from the reference hash later.
 * @throws UsageError in room versions 1 and 2 when the event has no string `event_id`.
 */
export function eventIdOf(rules: RoomVersionRules, event: JsonObject, forms?: EventForms): EventId {
  if (rules.format.eventIds === "in-pdu") {
    const given = get(event, "event_id");
    if (typeof given === "string") return given as EventId;
    throw new UsageError("an event of room version 1 or 2 carries its id in `event_id`: add one");
  }
  const alphabet = rules.format.eventIds === "hash-standard" ? "standard" : "url-safe";
  const hash = forms?.referenceHash() ?? referenceHash(rules, event);
  return encodeAfter("$", hash, alphabet) as EventId;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
