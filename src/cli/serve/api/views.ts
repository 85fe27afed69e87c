/** Rooms, events and verdicts as the local API tells them. */
import type { EventView } from "../../../engine/index.js";
import type { Room } from "../../../engine/index.js";
import type { RoomEvent } from "../../../event/pdu.js";
import type { RoomOfUser } from "../../../federation/index.js";
import { get } from "../../../json/value.js";
import type { JsonObject, JsonValue } from "../../../json/value.js";
import type { Verdict } from "../../../ports/verdict.js";

/** Without the keys that hold nothing. */
export function present(entries: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  // `fromEntries` defines keys, so that none is taken for a prototype.
  const kept = Object.entries(entries).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined);
  return Object.fromEntries(kept);
}

export function roomView(room: Room): JsonObject {
  const { control } = room;
  return present({
    roomId: room.roomId,
    version: room.version.id,
    name: control.name,
    topic: control.topic,
    type: control.roomType,
    creator: control.creator,
    joinRule: control.joinRule,
    historyVisibility: control.historyVisibility,
    encrypted: control.encrypted,
    replacement: control.replacement,
    isResident: room.isResident,
    partial: control.partial,
    members: { ...control.counts },
    servers: room.servers,
    localUsers: [...room.localUsers],
    forwardExtremities: control.forwardExtremities,
    stateSize: control.state.size,
    position: control.position,
    revision: control.revision,
    pending: room.pending.map(({ eventId, waitsFor }) => ({ eventId, waitsFor })),
    gaps: room.gaps.map(({ missing }) => missing),
  });
}

export function outsideView({ roomId, membership, outside }: RoomOfUser): JsonObject {
  return present({
    roomId,
    membership,
    version: outside?.roomVersion,
    event: outside?.event,
    state: outside?.state,
  });
}

/** An event of a timeline, as it is to be shown. */
export function eventView({ eventId, position, verdict, shown, redactedBy }: EventView): JsonObject {
  return present({
    eventId,
    position,
    type: get(shown, "type"),
    stateKey: get(shown, "state_key"),
    sender: get(shown, "sender"),
    time: get(shown, "origin_server_ts"),
    content: get(shown, "content"),
    redacts: get(shown, "redacts"),
    redactedBy,
    verdict: verdict.verdict,
  });
}

/** An event of a state. */
export function stateView({ eventId, type, stateKey, sender, originServerTs, content }: RoomEvent): JsonObject {
  return present({ eventId, type, stateKey, sender, time: originServerTs, content });
}

/** A verdict, its rule and its reason. */
export function verdictView(verdict: Verdict): JsonObject {
  const { verdict: name } = verdict;
  if (verdict.verdict === "accepted") return { verdict: name, rule: verdict.rule, words: meanings[verdict.basis] };
  if (verdict.verdict === "pending") return { verdict: name, words: meanings.pending, waitsFor: verdict.waitsFor };
  const { rule, reason, events } = verdict.refusal;
  return present({ verdict: name, rule, reason, words: meanings[verdict.verdict], events });
}

/** What each verdict means (docs/verdicts.md), in a sentence. */
const meanings = Object.freeze({
  "state-before": "allowed by its auth events and by the state before it",
  "auth-events": "allowed by its auth events; it came with a state, and its own place in history is not known here",
  pending: "not decided: what it rests on is not here yet",
  "soft-failed": "allowed where it stands, and refused by the room's current state: kept, resolved with, not shown",
  "policy-refused": "allowed by the rules, and refused by this server's own policy: kept, resolved with, not shown",
  "not-recommended": "allowed by the rules, and not recommended by the room's policy server: kept, not shown",
  "rejected-by-auth-events": "rejected: its own auth events do not allow it",
  "rejected-by-state": "rejected: the state before it does not allow it",
  "rejected-for-size": "rejected: a field takes too many bytes",
  malformed: "dropped: it is no event of this room",
  "bad-signature": "dropped: who had to sign it did not",
  unverifiable: "dropped for now: a key that decides cannot be had",
} as const satisfies Readonly<Record<string, string>>);
