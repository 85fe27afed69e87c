/** Making events: references, depth, hash and signature around what a user wants to send. */
import { encodeUnpadded } from "../crypto/base64.js";
import { setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { ok, UsageError } from "../errors.js";
import type { Result } from "../errors.js";
import { checkJson, readPdu } from "./format.js";
import { referenceHash } from "./hashes.js";
import type { Pdu } from "./pdu.js";
import { signEvent } from "./sign.js";
import type { SigningKey } from "./sign.js";

/** What a reference to an event is made of. */
export type Parent = Pick<Pdu, "eventId" | "depth" | "json">;

/** What is to be sent, without anything that follows from the graph. */
export interface EventDraft {
  /** Absent only for the create event of a room whose id is the create event's hash (v12). */
  readonly roomId?: string;
  readonly type: string;
  readonly stateKey?: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly originServerTs: number;
  /** Top-level `redacts` of room versions 1 to 10; later versions put it into `content` themselves. */
  readonly redacts?: string;
  /** Required in room versions 1 and 2, where ids are not computed. */
  readonly eventId?: string;
}

/** `depth` is one more than the deepest parent, clamped; a create event has 1. */
export function depthAfter(prevEvents: readonly { readonly depth: number }[]): number {
  const deepest = prevEvents.reduce((max, { depth }) => Math.max(max, depth), 0);
  return Math.min(deepest + 1, Number.MAX_SAFE_INTEGER);
}

/**
 * The event that follows `prevEvents` and is authorised by `authEvents`, hashed and signed.
 * A refusal means that the draft itself breaks the format (too large, say, or a number that peers drop).
 * @throws UsageError when the draft lacks what its room version needs.
 */
export function buildEvent(
  rules: RoomVersionRules,
  draft: EventDraft,
  graph: { readonly prevEvents: readonly Pdu[]; readonly authEvents: readonly Pdu[] },
  key: SigningKey,
): Result<Pdu> {
  const event = draftEvent(rules, draft, graph);
  return event.ok ? readPdu(rules, signEvent(rules, event.value, key)) : event;
}

/** The event that {@link buildEvent} would hash and sign, for a host whose signer is elsewhere. */
export function draftEvent(
  rules: RoomVersionRules,
  draft: EventDraft,
  graph: { readonly prevEvents: readonly Parent[]; readonly authEvents: readonly Parent[] },
): Result<JsonObject> {
  const event = unsignedEvent(rules, draft, graph);
  // The content is the caller's: what peers would drop must not be signed.
  const checked = checkJson(rules, event);
  return checked.ok ? ok(event) : checked;
}

function unsignedEvent(
  rules: RoomVersionRules,
  draft: EventDraft,
  graph: { readonly prevEvents: readonly Parent[]; readonly authEvents: readonly Parent[] },
): JsonObject {
  const event: Record<string, JsonValue> = {
    type: draft.type,
    sender: draft.sender,
    content: contentOf(rules, draft),
    depth: depthAfter(graph.prevEvents),
    origin_server_ts: draft.originServerTs,
    prev_events: graph.prevEvents.map((parent) => reference(rules, parent)),
    auth_events: graph.authEvents.map((parent) => reference(rules, parent)),
  };
  if (draft.stateKey !== undefined) event["state_key"] = draft.stateKey;
  if (draft.redacts !== undefined && rules.format.redacts === "top-level") event["redacts"] = draft.redacts;
  if (rules.format.eventIds === "in-pdu") {
    if (draft.eventId === undefined)
      throw new UsageError("room versions 1 and 2 do not compute event ids: give `eventId`");
    event["event_id"] = draft.eventId;
  }
  const implied = rules.format.roomIds === "create-hash" && draft.type === "m.room.create";
  if (!implied) {
    if (draft.roomId === undefined) throw new UsageError("the draft needs a `roomId`");
    event["room_id"] = draft.roomId;
  }
  return event;
}

function contentOf(rules: RoomVersionRules, draft: EventDraft): JsonObject {
  if (draft.redacts === undefined || rules.format.redacts !== "content") return draft.content;
  const content: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(draft.content)) setOwn(content, name, value);
  content["redacts"] = draft.redacts;
  return content;
}

function reference(rules: RoomVersionRules, parent: Parent): JsonValue {
  if (rules.format.references === "ids") return parent.eventId;
  return [parent.eventId, { sha256: encodeUnpadded(referenceHash(rules, parent.json)) }];
}
