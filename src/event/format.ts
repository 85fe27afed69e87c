/** The PDU format of each room version (spec server-server-api, "PDUs"; client-server-api, "Size limits"). */
import { refuse, ok } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import { isUserId, parseEventId, parseRoomId, parseUserId } from "../ids/grammar.js";
import type { RoomIdForm } from "../ids/grammar.js";
import type { EventId, RoomId, UserId } from "../ids/brands.js";
import { checkLax, checkStrict } from "../json/check.js";
import { parseLax, parseStrict } from "../json/parse.js";
import { codePointLength, utf8Length } from "../json/utf8.js";
import { get, isArray, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { EventForms, MAX_PDU_BYTES } from "./forms.js";
import { eventIdOf, omit } from "./hashes.js";
import { roomIdOfCreate } from "./pdu.js";
import type { Pdu } from "./pdu.js";

/** Bound on `sender`, `room_id`, `state_key`, `type` and `event_id`. */
export const MAX_FIELD_LENGTH = 255;
/** How many `prev_events` a PDU may have. */
export const MAX_PREV_EVENTS = 20;
/** How many `auth_events` a PDU may have. */
export const MAX_AUTH_EVENTS = 10;

/** What a host knows of a PDU beside its text. */
export interface ParseOptions {
  /**
   * The id to use instead of computing one (room versions 3 and later), for events whose id the host
   * already knows. It is trusted.
   */
  readonly eventId?: string;
  /** Backfill tolerates events with too many `prev_events` or `auth_events`; everything else enforces the counts. */
  readonly counts?: "enforced" | "tolerated";
}

type Refused = { readonly ok: false; readonly error: Refusal };

/** Parses one PDU from JSON text, so that `1.0`, `1e2` and `-0` are seen as they were written. */
export function parsePduText(rules: RoomVersionRules, text: string, options: ParseOptions = {}): Result<Pdu> {
  const parsed = parseText(rules, text);
  return parsed.ok ? readPdu(rules, parsed.value, options) : parsed;
}

function parseText(rules: RoomVersionRules, text: string): Result<JsonValue> {
  return rules.format.numbers === "strict" ? parseStrict(text) : parseLax(text);
}

/** Parses one PDU from a JavaScript value, which is checked to be plain JSON data first. */
export function parsePdu(rules: RoomVersionRules, value: unknown, options: ParseOptions = {}): Result<Pdu> {
  const checked = checkJson(rules, value);
  return checked.ok ? readPdu(rules, checked.value, options) : checked;
}

/** Whether a value is plain JSON data with the numbers that this room version allows. */
export function checkJson(rules: RoomVersionRules, value: unknown): Result<JsonValue> {
  return rules.format.numbers === "strict" ? checkStrict(value) : checkLax(value);
}

/** The format check proper, for a value that the parsers of this library made. */
export function readPdu(rules: RoomVersionRules, value: JsonValue, options: ParseOptions = {}): Result<Pdu> {
  const read = readPduForms(rules, value, options);
  return read.ok ? ok(read.value.pdu) : read;
}

/** A PDU with its canonical forms, which hashes and signatures need. */
export interface PduForms {
  readonly pdu: Pdu;
  readonly forms: EventForms;
}

/** {@link parsePduText} or {@link parsePdu} for whoever goes on to check hashes and signatures. */
export function parsePduForms(rules: RoomVersionRules, value: unknown, options: ParseOptions = {}): Result<PduForms> {
  const parsed = typeof value === "string" ? parseText(rules, value) : checkJson(rules, value);
  return parsed.ok ? readPduForms(rules, parsed.value, options) : parsed;
}

/** {@link readPdu} for the same. */
export function readPduForms(rules: RoomVersionRules, value: JsonValue, options: ParseOptions = {}): Result<PduForms> {
  if (!isObject(value)) return bad("a PDU is a JSON object");
  const json = stripUnsigned(value);
  const refused = checkKeys(rules, json);
  if (refused !== undefined) return refused;
  const forms = EventForms.of(rules, json);
  if (forms === undefined) return tooLarge(`the PDU takes more than ${MAX_PDU_BYTES} bytes`);
  const pdu = assemble(rules, json, forms, options);
  return pdu.ok ? ok({ pdu: pdu.value, forms }) : pdu;
}

function bad(reason: string): Refused {
  return refuse("bad_format", reason, { rule: "server-server-api PDUs" });
}

function tooLarge(reason: string): Refused {
  return refuse("too_large", reason, { rule: "client-server-api Size limits" });
}

/**
 * `unsigned` may change at every relay, so acceptance must not depend on it: only `age` is kept, and
 * on membership events the stripped state that came with an invite or knock (Synapse; digest SZ1).
 */
function stripUnsigned(event: JsonObject): JsonObject {
  const unsigned = get(event, "unsigned");
  if (!isObject(unsigned)) return event;
  const kept: Record<string, JsonValue> = {};
  const keys = get(event, "type") === "m.room.member" ? ["age", "invite_room_state", "knock_room_state"] : ["age"];
  for (const key of keys) {
    const value = get(unsigned, key);
    if (value !== undefined) setOwn(kept, key, value);
  }
  if (Object.keys(kept).length === Object.keys(unsigned).length) return event;
  const copy: Record<string, JsonValue> = { ...omit(event, ["unsigned"]) };
  copy["unsigned"] = kept;
  return copy;
}

const isString = (value: JsonValue | undefined): value is string => typeof value === "string";

function checkKeys(rules: RoomVersionRules, event: JsonObject): Refused | undefined {
  const { format } = rules;
  for (const key of ["type", "sender"]) if (!isString(get(event, key))) return bad(`\`${key}\` must be a string`);
  for (const key of ["content", "hashes", "signatures"]) {
    if (!isObject(get(event, key))) return bad(`\`${key}\` must be an object`);
  }
  if (Object.hasOwn(event, "unsigned") && !isObject(get(event, "unsigned"))) return bad("`unsigned` must be an object");
  const shape = checkHashesAndSignatures(event);
  if (shape !== undefined) return shape;
  if (!isCount(get(event, "depth"))) return bad("`depth` must be an integer from 0 to 2^53-1");
  if (!Number.isSafeInteger(get(event, "origin_server_ts"))) return bad("`origin_server_ts` must be an integer");
  if (Object.hasOwn(event, "state_key") && !isString(get(event, "state_key"))) {
    return bad("`state_key` must be a string where it is present");
  }
  if (format.eventIds === "in-pdu") {
    if (!isString(get(event, "event_id"))) return bad("`event_id` must be a string in this room version");
  } else if (Object.hasOwn(event, "event_id")) {
    // It would survive redaction and change the reference hash, so it cannot be ignored.
    return bad("`event_id` must be absent in this room version");
  }
  return checkRoomIdKey(rules, event);
}

/** A hash that is wrong redacts an event; one that is absent drops it, as the schema, Synapse and ruma have it. */
function checkHashesAndSignatures(event: JsonObject): Refused | undefined {
  const hashes = get(event, "hashes");
  if (!isObject(hashes) || !isString(get(hashes, "sha256"))) return bad("`hashes` must hold the string `sha256`");
  const servers = get(event, "signatures");
  for (const ofServer of isObject(servers) ? Object.values(servers) : []) {
    if (!isObject(ofServer) || !Object.values(ofServer).every(isString)) {
      return bad("`signatures` must hold an object of strings for each server");
    }
  }
  return undefined;
}

/** Synapse and ruma drop depths above 2^53-1 in every version, though the text of v1-5 allows 2^63-1. */
function isCount(value: JsonValue | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkRoomIdKey(rules: RoomVersionRules, event: JsonObject): Refused | undefined {
  if (isString(get(event, "room_id"))) return undefined;
  const impliedByHash = rules.format.roomIds === "create-hash" && get(event, "type") === "m.room.create";
  if (impliedByHash && !Object.hasOwn(event, "room_id")) return undefined;
  return bad("`room_id` must be a string");
}

function assemble(rules: RoomVersionRules, json: JsonObject, forms: EventForms, options: ParseOptions): Result<Pdu> {
  const prevEvents = readReferences(rules, json, "prev_events");
  if (!prevEvents.ok) return prevEvents;
  const authEvents = readReferences(rules, json, "auth_events");
  if (!authEvents.ok) return authEvents;
  if (options.counts !== "tolerated") {
    if (prevEvents.value.length > MAX_PREV_EVENTS) return tooLarge(`more than ${String(MAX_PREV_EVENTS)} prev_events`);
    if (authEvents.value.length > MAX_AUTH_EVENTS) return tooLarge(`more than ${String(MAX_AUTH_EVENTS)} auth_events`);
  }
  const eventId = (options.eventId ?? eventIdOf(rules, json, forms)) as EventId;
  const oversized = checkFields(rules, json, eventId);
  if (oversized?.drop === true) return oversized.refused;
  const identifiers = checkIdentifiers(rules, json);
  if (identifiers !== undefined) return identifiers;
  return ok(
    Object.freeze({
      eventId,
      roomId: roomIdOf(json, eventId),
      type: json["type"] as string,
      stateKey: get(json, "state_key") as string | undefined,
      sender: json["sender"] as UserId,
      content: json["content"] as JsonObject,
      depth: json["depth"] as number,
      originServerTs: json["origin_server_ts"] as number,
      authEvents: authEvents.value,
      prevEvents: prevEvents.value,
      redacts: redactsOf(rules, json),
      hasRoomId: Object.hasOwn(json, "room_id"),
      json,
      rejectedForSize: oversized?.refused.error,
    }),
  );
}

/** A create event of room version 12 names no room: its id is the room's, with the other sigil. */
function roomIdOf(json: JsonObject, eventId: EventId): RoomId {
  const given = get(json, "room_id");
  return (isString(given) ? given : roomIdOfCreate(eventId)) as RoomId;
}

/** The event that a redaction names, wherever the room version puts it. */
export function redactsOf(rules: RoomVersionRules, json: JsonObject): string | undefined {
  if (get(json, "type") !== "m.room.redaction") return undefined;
  const holder = rules.format.redacts === "content" ? get(json, "content") : json;
  const value = isObject(holder) ? get(holder, "redacts") : undefined;
  return isString(value) ? value : undefined;
}

function readReferences(rules: RoomVersionRules, event: JsonObject, key: string): Result<readonly EventId[]> {
  const list = get(event, key);
  if (!isArray(list)) return bad(`\`${key}\` must be an array`);
  const ids: readonly (JsonValue | undefined)[] =
    rules.format.references === "pairs" ? list.map(idOfPair) : list.slice();
  for (const id of ids) {
    if (!isString(id)) return bad(`\`${key}\` holds an entry that is no event reference of this room version`);
    if (!mayCite(rules, id)) return bad(`\`${key}\` holds ${JSON.stringify(id.slice(0, 300))}, which is no event id`);
  }
  return ok(ids as readonly unknown[] as readonly EventId[]);
}

/**
 * Ids that are cited are opaque: Synapse looks at none of them and ruma at the sigil and the length.
 * Room versions 1 and 2 keep, as rejected, events whose ids take more than 255 bytes, so these may be cited.
 */
function mayCite(rules: RoomVersionRules, id: string): boolean {
  const length = rules.format.eventIds === "in-pdu" ? codePointLength(id) : utf8Length(id);
  return id.startsWith("$") && length <= MAX_FIELD_LENGTH;
}

/** `[event id, {sha256: hash}]`; the hash is not checked here, as no peer checks it. */
function idOfPair(entry: JsonValue): JsonValue | undefined {
  return isArray(entry) && entry.length === 2 && isObject(entry[1]) ? entry[0] : undefined;
}

interface Oversized {
  readonly drop: boolean;
  readonly refused: Refused;
}

function checkFields(rules: RoomVersionRules, event: JsonObject, eventId: EventId): Oversized | undefined {
  let rejected: Oversized | undefined;
  for (const key of ["sender", "room_id", "state_key", "type", "event_id"]) {
    const value = key === "event_id" ? eventId : get(event, key);
    if (!isString(value) || value.length * 3 <= MAX_FIELD_LENGTH || utf8Length(value) <= MAX_FIELD_LENGTH) continue;
    const refused = tooLarge(`\`${key}\` takes more than ${String(MAX_FIELD_LENGTH)} bytes`);
    const lenient = rules.format.fieldLimit === "code-points-dropped-bytes-rejected";
    if (!lenient || codePointLength(value) > MAX_FIELD_LENGTH) return { drop: true, refused };
    rejected ??= { drop: false, refused };
  }
  return rejected;
}

function checkIdentifiers(rules: RoomVersionRules, event: JsonObject): Refused | undefined {
  const { eventIds, roomIds } = rules.format;
  const impliedByHash = roomIds === "create-hash" && get(event, "type") === "m.room.create";
  return (
    (isUserId(event["sender"]) ? undefined : checkIdentifier(event, "sender", parseUserId)) ??
    (impliedByHash ? undefined : checkRoomId(event, roomIds)) ??
    (eventIds === "in-pdu" ? checkIdentifier(event, "event_id", (id) => parseEventId(id, "in-pdu")) : undefined)
  );
}

/** What passed last: events come room by room. */
let passed: { readonly roomId: string; readonly form: RoomIdForm } | undefined;

function checkRoomId(event: JsonObject, form: RoomIdForm): Refused | undefined {
  const roomId = event["room_id"] as string;
  if (passed?.roomId === roomId && passed.form === form) return undefined;
  const refused = checkIdentifier(event, "room_id", (id) => parseRoomId(id, form));
  if (refused === undefined) passed = { roomId, form };
  return refused;
}

/** What {@link checkFields} let pass though it is too long is not parsed: the parsers know no such leniency. */
function checkIdentifier(event: JsonObject, key: string, parse: (id: string) => Result<unknown>): Refused | undefined {
  const id = event[key] as string;
  if (utf8Length(id) > MAX_FIELD_LENGTH) return undefined;
  const parsed = parse(id);
  return parsed.ok ? undefined : parsed;
}
