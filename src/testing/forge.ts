/** Well-formed events that nobody asked the authorisation rules about. */
import { selectAuthEvents } from "../auth/select.js";
import type { StateLookup } from "../auth/verdict.js";
import { encodeUnpadded } from "../crypto/base64.js";
import { sha256 } from "../crypto/hash.js";
import { depthAfter } from "../event/build.js";
import { contentHash, omit, referenceHash } from "../event/hashes.js";
import { readEvent } from "../event/loose.js";
import type { LooseEvent } from "../event/loose.js";
import { cosignEvent, signEvent } from "../event/sign.js";
import { UsageError } from "../errors.js";
import { domainOf } from "../ids/grammar.js";
import { encodeCanonicalBytes } from "../json/canonical-bytes.js";
import { get, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { testKeyOf } from "./keys.js";

/** What somebody says, without what follows from the graph. */
export interface Draft {
  readonly type: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly originServerTs: number;
  readonly stateKey?: string;
  readonly redacts?: string;
}

/** Where a draft goes. */
export interface Place {
  /** Absent for a create event of room version 12. */
  readonly roomId: string | undefined;
  readonly prevEvents: readonly LooseEvent[];
  readonly authEvents: readonly LooseEvent[];
  readonly sign: boolean;
}

/** The draft as an event with references, depth, content hash, id and, if asked for, signatures. */
export function forge(rules: RoomVersionRules, draft: Draft, place: Place): LooseEvent {
  const event = bare(rules, draft, place);
  if (rules.format.eventIds === "in-pdu") event["event_id"] = chosenId(event, draft.sender);
  return read(rules, seal(rules, event, place.sign));
}

/** The event with its content hash and, if asked for, the signatures that it has to have. */
export function seal(rules: RoomVersionRules, event: JsonObject, sign: boolean): JsonObject {
  return sign ? signed(rules, event) : hashed(event);
}

function bare(rules: RoomVersionRules, draft: Draft, place: Place): Record<string, JsonValue> {
  const event: Record<string, JsonValue> = {
    type: draft.type,
    sender: draft.sender,
    content: draft.content,
    depth: depthAfter(place.prevEvents),
    origin_server_ts: draft.originServerTs,
    prev_events: place.prevEvents.map((other) => reference(rules, other)),
    auth_events: place.authEvents.map((other) => reference(rules, other)),
  };
  if (place.roomId !== undefined) event["room_id"] = place.roomId;
  if (draft.stateKey !== undefined) event["state_key"] = draft.stateKey;
  if (draft.redacts !== undefined) {
    if (rules.format.redacts === "top-level") event["redacts"] = draft.redacts;
    else event["content"] = withKeys(draft.content, { redacts: draft.redacts });
  }
  return event;
}

/**
 * In room versions 1 and 2 servers choose ids. Half of these begin with a character on either side of
 * the surrogates, where the order of code points and that of UTF-16 units differ.
 */
function chosenId(event: JsonObject, sender: string): string {
  const hash = sha256(encodeCanonicalBytes(event));
  const prefix = ["", "", "\uff5e", "\u{1f600}"][(hash[31] ?? 0) % 4] ?? "";
  return `$${prefix}${encodeUnpadded(hash.subarray(0, 12), "url-safe")}:${domainOf(sender) ?? ""}`;
}

function hashed(event: JsonObject): JsonObject {
  return withKeys(event, { hashes: { sha256: encodeUnpadded(contentHash(event)) }, signatures: {} });
}

/** Signed by the sender's server and, for a restricted join, by the authorising user's. */
function signed(rules: RoomVersionRules, event: JsonObject): JsonObject {
  const sender = domainOf(textAt(event, "sender")) ?? "";
  const once = signEvent(rules, event, testKeyOf(sender));
  const content = get(event, "content") as JsonObject;
  const authoriser = get(content, "join_authorised_via_users_server");
  const server = typeof authoriser === "string" ? domainOf(authoriser) : undefined;
  return server === undefined || server === sender ? once : cosignEvent(rules, once, testKeyOf(server));
}

/** The string at `key`, or the empty one. */
export function textAt(object: JsonObject, key: string): string {
  const value = get(object, key);
  return typeof value === "string" ? value : "";
}

/** An event value as the rules read it. */
export function read(rules: RoomVersionRules, json: JsonValue): LooseEvent {
  const event = readEvent(rules, json);
  if (!event.ok) throw new UsageError(`this is no event of room version ${rules.id}: ${event.error.reason}`);
  return event.value;
}

function reference(rules: RoomVersionRules, other: LooseEvent): JsonValue {
  if (rules.format.references === "ids") return other.eventId;
  return [other.eventId, { sha256: encodeUnpadded(referenceHash(rules, other.json)) }];
}

/** A copy of `object` with these keys set. */
export function withKeys(object: JsonObject, changes: JsonObject): JsonObject {
  const copy: Record<string, JsonValue> = {};
  for (const source of [object, changes]) {
    for (const [key, value] of Object.entries(source)) setOwn(copy, key, value);
  }
  return copy;
}

/** The events that a draft has to cite, as far as the state has them. */
export function authEventsOf(
  rules: RoomVersionRules,
  draft: Draft,
  state: (type: string, stateKey: string) => LooseEvent | undefined,
): readonly LooseEvent[] {
  const keys = selectAuthEvents(rules, { ...draft, stateKey: draft.stateKey });
  return keys.flatMap(([type, stateKey]) => state(type, stateKey) ?? []);
}

/**
 * The event as requests carry it: the federation form and its id. From room version 3 on the id is no
 * part of the event; whoever answers takes it as given instead of computing it.
 */
export function withId(event: LooseEvent): JsonObject {
  return withKeys(event.json, { event_id: event.eventId });
}

/** {@link withId} undone: the form that servers exchange and hash. */
export function federationForm(rules: RoomVersionRules, event: JsonObject): JsonObject {
  return rules.format.eventIds === "in-pdu" ? event : omit(event, ["event_id"]);
}

export type { LooseEvent, StateLookup };
