/** An event and all that this server decided about it, as it is held in memory. */
import type { Refusal } from "../errors.js";
import { contentHashMatches, referenceHash, sameBytes } from "../event/hashes.js";
import type { Pdu } from "../event/pdu.js";
import type { StoredEvent } from "../ports/storage.js";
import type { StoredVerdict, Verdict } from "../ports/verdict.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { Snapshot } from "./snapshot.js";

export interface Held {
  /** The copy that judges. */
  readonly event: Pdu;
  readonly hashMismatch: boolean;
  readonly verdict: StoredVerdict;
  readonly position: number | undefined;
  /** `undefined` while the ancestors are unknown. */
  readonly before: Snapshot | undefined;
  readonly after: Snapshot | undefined;
  readonly redactedBy: string | undefined;
}

/** Whether the event counts: what it says is part of the room, though perhaps not of its current state. */
export function isAllowed({ verdict }: Pick<Held, "verdict">): boolean {
  return verdict.standing !== "rejected";
}

/**
 * Whether a copy says in full what is held redacted because its hash did not match. In room versions 1 and 2
 * another body may have the same id: such a copy is not what was judged, and never takes its place.
 */
export function completes(rules: RoomVersionRules, held: Pick<Held, "event" | "hashMismatch">, event: Pdu): boolean {
  if (!held.hashMismatch || !contentHashMatches(event.json)) return false;
  return sameBytes(referenceHash(rules, held.event.json), referenceHash(rules, event.json));
}

/** The answer that a server gives about a stored event. */
export function verdictOf(eventId: string, verdict: StoredVerdict, redacted: boolean): Verdict {
  switch (verdict.standing) {
    case "accepted":
      return { verdict: "accepted", eventId, rule: verdict.rule, basis: verdict.basis, redacted };
    case "soft-failed":
      return { verdict: softFailedNames[verdict.check], eventId, refusal: verdict.refusal };
    case "rejected":
      return { verdict: rejectedNames[verdict.check], eventId, refusal: verdict.refusal };
  }
}

const softFailedNames = Object.freeze({
  "current-state": "soft-failed",
  policy: "policy-refused",
  "policy-server": "not-recommended",
} as const);

const rejectedNames = Object.freeze({
  size: "rejected-for-size",
  "auth-events": "rejected-by-auth-events",
  "state-before": "rejected-by-state",
} as const);

/** Why an event is not part of the room for those who ask now; `undefined` when it is. */
export function refusalOf(verdict: Verdict): Refusal | undefined {
  if (verdict.verdict === "accepted") return undefined;
  if (verdict.verdict !== "pending") return verdict.refusal;
  const events = [verdict.eventId, ...verdict.waitsFor];
  return { code: "undecided", reason: "what it rests on is not here", events };
}

/** The row of a held event, given the numbers of its states' groups. */
export function eventRow(held: Held, groupOf: (snapshot: Snapshot) => number): StoredEvent {
  const { event, hashMismatch, verdict, position, before, after, redactedBy } = held;
  const row: Draft = { eventId: event.eventId, json: event.json, hashMismatch, verdict };
  if (position !== undefined) row.position = position;
  if (before !== undefined) row.stateBefore = groupOf(before);
  if (after !== undefined) row.stateAfter = groupOf(after);
  if (redactedBy !== undefined) row.redactedBy = redactedBy;
  return row;
}

type Draft = { -readonly [K in keyof StoredEvent]: StoredEvent[K] };
