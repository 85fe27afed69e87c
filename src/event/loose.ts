/**
 * Reading events that are to be judged or resolved, not received: recorded states, test cases, rows of
 * a host's database. Nothing is verified; only what the rules read must have the right type.
 */
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { get, isArray, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { eventIdOf, omit } from "./hashes.js";
import { redactsOf } from "./format.js";
import { roomIdOfCreate } from "./pdu.js";
import type { RoomEvent } from "./pdu.js";

/** An event read without verification, with its federation form. */
export interface LooseEvent extends RoomEvent {
  readonly json: JsonObject;
}

/**
 * The federation form and the id of an event that may carry an `event_id` of its own. From room
 * version 3 on a given id is honoured and is no part of the event.
 */
export function separateId(
  rules: RoomVersionRules,
  event: JsonObject,
): { readonly json: JsonObject; readonly eventId: string | undefined } {
  const given = get(event, "event_id");
  const eventId = typeof given === "string" ? given : undefined;
  if (rules.format.eventIds === "in-pdu") return { json: event, eventId };
  return { json: Object.hasOwn(event, "event_id") ? omit(event, ["event_id"]) : event, eventId };
}

/** The event as the rules read it. */
export function readEvent(rules: RoomVersionRules, event: JsonValue): Result<LooseEvent> {
  if (!isObject(event)) return bad("an event is a JSON object");
  const separated = separateId(rules, event);
  const { json } = separated;
  const type = get(json, "type");
  const sender = get(json, "sender");
  const content = get(json, "content");
  const stateKey = get(json, "state_key");
  if (typeof type !== "string" || typeof sender !== "string") return bad("`type` and `sender` must be strings");
  if (!isObject(content)) return bad("`content` must be an object");
  if (stateKey !== undefined && typeof stateKey !== "string") return bad("`state_key` must be a string");
  if (rules.format.eventIds === "in-pdu" && separated.eventId === undefined) return bad("`event_id` must be a string");
  const authEvents = readIds(get(json, "auth_events"));
  const prevEvents = readIds(get(json, "prev_events"));
  if (authEvents === undefined || prevEvents === undefined) return bad("event references must be ids or pairs");
  const eventId = separated.eventId ?? eventIdOf(rules, json);
  const roomId = get(json, "room_id");
  return ok({
    eventId,
    roomId: typeof roomId === "string" ? roomId : roomIdOfCreate(eventId),
    type,
    stateKey,
    sender,
    content,
    depth: numberOr(get(json, "depth"), 0),
    originServerTs: numberOr(get(json, "origin_server_ts"), 0),
    authEvents,
    prevEvents,
    redacts: redactsOf(rules, json),
    hasRoomId: roomId !== undefined,
    json,
  });
}

function bad(reason: string): Result<never> {
  return refuse("bad_format", reason);
}

function numberOr(value: JsonValue | undefined, fallback: number): number {
  return typeof value === "number" ? value : typeof value === "bigint" ? Number(value) : fallback;
}

/** Ids, whether written as ids or as the pairs of room versions 1 and 2. */
function readIds(list: JsonValue | undefined): readonly string[] | undefined {
  if (list === undefined) return [];
  if (!isArray(list)) return undefined;
  const ids: string[] = [];
  for (const entry of list) {
    const id = isArray(entry) ? entry[0] : entry;
    if (typeof id !== "string") return undefined;
    ids.push(id);
  }
  return ids;
}
