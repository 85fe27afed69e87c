/** Identifier grammar (spec: appendices, "Identifier Grammar"). Every limit counts UTF-8 bytes. */

import { ok, refuse, UsageError } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import type { EventId, KeyId, RoomAlias, RoomId, RoomVersionId, ServerName, UserId } from "./brands.js";
import { parseServerName } from "./server-name.js";
import type { IdentifierMode } from "./server-name.js";
import { loneSurrogateAt, utf8Length } from "./text.js";

export { parseServerName } from "./server-name.js";
export type { IdentifierMode, ServerNameParts } from "./server-name.js";

/** The bytes that a user, room, event id or room alias may have, sigil and server included. */
export const MAX_ID_BYTES = 255;

/** `@localpart:server` in its parts. */
export interface UserIdParts {
  readonly id: UserId;
  /** May be empty in a historical user id. */
  readonly localpart: string;
  readonly server: ServerName;
}

/** A room id in its parts. */
export interface RoomIdParts {
  readonly id: RoomId;
  /** What follows the `!`, up to the first colon: opaque, or the create event's reference hash. */
  readonly opaque: string;
  /** Who named the room; absent in the form of room version 12. */
  readonly server?: ServerName;
}

/** An event id in its parts. */
export interface EventIdParts {
  readonly id: EventId;
  /** What follows the `$`, up to the first colon: opaque, or the event's reference hash. */
  readonly opaque: string;
  /** Only in room versions 1 and 2. */
  readonly server?: ServerName;
}

/** `#localpart:server` in its parts. */
export interface RoomAliasParts {
  readonly alias: RoomAlias;
  readonly localpart: string;
  readonly server: ServerName;
}

/** `algorithm:version` in its parts. */
export interface KeyIdParts {
  readonly id: KeyId;
  readonly algorithm: string;
  readonly version: string;
}

/** Which form a room id has: with the creator's domain (v1-11, I.1), or the create event's hash (v12). */
export type RoomIdForm = "domain" | "create-hash" | "any";

/** Which form an event id has: `$opaque:server` (v1-2), or the reference hash in one of two alphabets. */
export type EventIdForm = "in-pdu" | "hash-standard" | "hash-url-safe" | "any";

/** A SHA-256 hash is 43 characters of unpadded base64. Ids are opaque: spare bits in the last one are not judged. */
const STANDARD_HASH = /^[0-9A-Za-z+/]{43}$/;
const URL_SAFE_HASH = /^[0-9A-Za-z_-]{43}$/;
const STRICT_LOCALPART = /^[a-z0-9._=/+-]+$/;
const KEY_ALGORITHM = /^[a-z0-9_.-]+$/;
const KEY_VERSION = /^[0-9A-Za-z_]+$/;
const ROOM_VERSION = /^[a-z0-9.-]{1,32}$/;
const RESERVED_ROOM_VERSION = /^I\.[0-9.]{1,30}$/;

/**
 * Parses a user id.
 *
 * By default the localpart may hold any code point but `:` and NUL, and may be empty: servers must
 * accept such users inside events. `strict` is the grammar for new users.
 *
 * @returns the parts, or a `bad_identifier` refusal (spec: "User Identifiers", "Historical User IDs").
 */
export function parseUserId(value: string, mode: IdentifierMode = "historical"): Result<UserIdParts> {
  const parts = split(value, "@", "User Identifiers", mode);
  if (!parts.ok) return parts;
  const { localpart, server } = parts.value;
  if (mode === "strict" && !STRICT_LOCALPART.test(localpart)) {
    return bad("User Identifiers", "a new user's localpart is one or more of a-z, 0-9, `.`, `_`, `=`, `-`, `/`, `+`");
  }
  return ok({ id: value as UserId, localpart, server });
}

/**
 * Parses a room id.
 *
 * @param form what the room's version asks for; `any` takes either.
 * @returns the parts, or a `bad_identifier` refusal (spec: "Room IDs").
 */
export function parseRoomId(value: string, form: RoomIdForm = "any"): Result<RoomIdParts> {
  if (form === "domain" || (form === "any" && value.includes(":"))) {
    const parts = split(value, "!", "Room IDs", "historical");
    if (!parts.ok) return parts;
    return ok({ id: value as RoomId, opaque: parts.value.localpart, server: parts.value.server });
  }
  const opaque = value.slice(1);
  if (value.startsWith("!") && URL_SAFE_HASH.test(opaque)) return ok({ id: value as RoomId, opaque });
  return bad("Room IDs", "the room id is not `!` and 43 characters of URL-safe base64");
}

/**
 * Parses an event id.
 *
 * @param form what the room's version asks for; `any` takes each of the three.
 * @returns the parts, or a `bad_identifier` refusal (spec: "Event IDs" and the room version's own page).
 */
export function parseEventId(value: string, form: EventIdForm = "any"): Result<EventIdParts> {
  if (form === "in-pdu" || (form === "any" && value.includes(":"))) {
    const parts = split(value, "$", "Event IDs", "historical");
    if (!parts.ok) return parts;
    return ok({ id: value as EventId, opaque: parts.value.localpart, server: parts.value.server });
  }
  const opaque = value.slice(1);
  const standard = form !== "hash-url-safe" && STANDARD_HASH.test(opaque);
  const urlSafe = form !== "hash-standard" && URL_SAFE_HASH.test(opaque);
  if (value.startsWith("$") && (standard || urlSafe)) return ok({ id: value as EventId, opaque });
  return bad("Event IDs", "the event id is not `$` and a reference hash of 43 characters in this version's alphabet");
}

/** Parses a room alias: the parts, or a `bad_identifier` refusal (spec: "Room Aliases"). */
export function parseRoomAlias(value: string): Result<RoomAliasParts> {
  const parts = split(value, "#", "Room Aliases", "historical");
  if (!parts.ok) return parts;
  return ok({ alias: value as RoomAlias, localpart: parts.value.localpart, server: parts.value.server });
}

/**
 * Parses a signing key identifier: the parts, or a `bad_identifier` refusal (spec: server-server API,
 * "Publishing Keys"). Any algorithm name passes; only `ed25519` can be verified.
 */
export function parseKeyId(value: string): Result<KeyIdParts> {
  const colon = value.indexOf(":");
  const algorithm = value.slice(0, Math.max(colon, 0));
  const version = value.slice(colon + 1);
  if (!KEY_ALGORITHM.test(algorithm) || !KEY_VERSION.test(version)) {
    return bad("Publishing Keys", "a key id is an algorithm, a colon and a version of letters, digits and `_`");
  }
  return ok({ id: value as KeyId, algorithm, version });
}

/**
 * Parses a room version identifier: 1 to 32 of `a-z`, `0-9`, `.`, `-`, or the form `I.` and digits
 * and dots, which draft-ralston-mimi-matrix-framework-01 reserves for its own versions.
 *
 * @returns the identifier, or a `bad_identifier` refusal (spec: "Room version grammar").
 */
export function parseRoomVersion(value: string): Result<RoomVersionId> {
  if (ROOM_VERSION.test(value) || RESERVED_ROOM_VERSION.test(value)) return ok(value as RoomVersionId);
  return bad("Room version grammar", "a room version is 1 to 32 of a-z, 0-9, `.`, `-`, or `I.` and digits and dots");
}

/**
 * Nearly every user id: printable ASCII at a DNS name that ends in a letter, so that it is no dotted
 * quad. A room's power levels may hold a thousand, so these are not taken apart.
 */
const USUAL_USER = /^@[!-9;-~]*:[0-9A-Za-z.-]*[A-Za-z]$/;
const USUAL_SERVER = /^[0-9A-Za-z.-]{0,254}[A-Za-z]$/;

/** Whether `value` is a user id that may stand in an event. */
export function isUserId(value: unknown, mode: IdentifierMode = "historical"): value is UserId {
  if (mode === "historical" && typeof value === "string" && value.length <= MAX_ID_BYTES && USUAL_USER.test(value)) {
    return true;
  }
  return typeof value === "string" && parseUserId(value, mode).ok;
}

/** Whether `value` is a room id, by default of either form. */
export function isRoomId(value: unknown, form: RoomIdForm = "any"): value is RoomId {
  return typeof value === "string" && parseRoomId(value, form).ok;
}

/** Whether `value` is an event id, by default of any form. */
export function isEventId(value: unknown, form: EventIdForm = "any"): value is EventId {
  return typeof value === "string" && parseEventId(value, form).ok;
}

/** Whether `value` is a room alias. */
export function isRoomAlias(value: unknown): value is RoomAlias {
  return typeof value === "string" && parseRoomAlias(value).ok;
}

/** Whether `value` is a server name; see {@link parseServerName} for the two modes. */
export function isServerName(value: unknown, mode: IdentifierMode = "strict"): value is ServerName {
  return typeof value === "string" && parseServerName(value, mode).ok;
}

/** Whether `value` is a signing key identifier. */
export function isKeyId(value: unknown): value is KeyId {
  return typeof value === "string" && parseKeyId(value).ok;
}

/** Whether `value` is a room version identifier, known or not. */
export function isRoomVersion(value: unknown): value is RoomVersionId {
  return typeof value === "string" && parseRoomVersion(value).ok;
}

/**
 * What follows the first colon of an identifier, unchecked, or `undefined` without a colon. The first
 * colon, because a server name has colons of its own: taken after the last one, `@u:other:8448` and
 * `!r:victim:8448` would share a domain. For identifiers that were parsed before.
 */
export function domainOf(id: string): string | undefined {
  const colon = id.indexOf(":");
  return colon === -1 ? undefined : id.slice(colon + 1);
}

/** The server of an identifier (after its first colon), or `undefined` where there is no valid one. */
export function serverOf(id: string): ServerName | undefined {
  const domain = domainOf(id);
  if (domain === undefined) return undefined;
  if (USUAL_SERVER.test(domain)) return domain as ServerName;
  const parsed = parseServerName(domain, "historical");
  return parsed.ok ? parsed.value.name : undefined;
}

/**
 * Makes the id of a new user, by the strict grammar.
 *
 * @throws UsageError where the parts do not make one; {@link mapToLocalpart} maps other text.
 */
export function mintUserId(localpart: string, server: string): UserId {
  const parsed = parseUserId(`@${localpart}:${server}`, "strict");
  if (!parsed.ok) throw new UsageError(`no user id can be made of these parts: ${parsed.error.reason}`);
  return parsed.value.id;
}

/**
 * Maps any text onto the characters that a new user's localpart may have, by the algorithm that the spec
 * suggests ("Mapping from other character sets"): `Á#b` becomes `=c3=81=23b`.
 *
 * @param keepCase whether names that differ only in case stay different: `A` becomes `_a` and `_` becomes `__`.
 * @throws UsageError for a lone surrogate, which has no UTF-8 bytes.
 */
export function mapToLocalpart(text: string, keepCase = false): string {
  if (loneSurrogateAt(text) !== -1) throw new UsageError("text with a lone surrogate cannot be mapped to a localpart");
  let mapped = "";
  for (const char of text) mapped += mapChar(char, keepCase);
  return mapped;
}

function mapChar(char: string, keepCase: boolean): string {
  if (keepCase && char === "_") return "__";
  if (char >= "A" && char <= "Z") return (keepCase ? "_" : "") + String.fromCharCode(char.charCodeAt(0) + 32);
  if (char !== "=" && STRICT_LOCALPART.test(char)) return char;
  // Percent-encoding is UTF-8 in hexadecimal, except for the ASCII that it leaves alone.
  const encoded = encodeURIComponent(char);
  if (encoded === char) return hexByte(char.charCodeAt(0));
  let escapes = "";
  for (let i = 1; i < encoded.length; i += 3) escapes += hexByte(Number.parseInt(encoded.slice(i, i + 2), 16));
  return escapes;
}

function hexByte(byte: number): string {
  return `=${byte.toString(16).padStart(2, "0")}`;
}

interface Halves {
  readonly localpart: string;
  readonly server: ServerName;
}

/** Splits `sigil localpart : server` at the first colon and checks what the four kinds have in common. */
function split(value: string, sigil: string, rule: string, mode: IdentifierMode): Result<Halves> {
  if (!value.startsWith(sigil)) return bad(rule, `the identifier does not start with \`${sigil}\``);
  const colon = value.indexOf(":");
  if (colon === -1) return bad(rule, "the identifier has no colon");
  const localpart = value.slice(1, colon);
  if (value.length > MAX_ID_BYTES || utf8Length(value) > MAX_ID_BYTES) {
    return bad(rule, `the identifier is longer than ${MAX_ID_BYTES} bytes`);
  }
  if (localpart.includes("\0")) return bad(rule, "the localpart has a NUL");
  if (loneSurrogateAt(localpart) !== -1) return bad(rule, "the localpart has a lone surrogate");
  const server = parseServerName(value.slice(colon + 1), mode);
  return server.ok ? ok({ localpart, server: server.value.name }) : server;
}

function bad(rule: string, reason: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("bad_identifier", reason, { rule });
}
