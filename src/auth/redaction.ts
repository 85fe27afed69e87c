/**
 * Applying redactions (spec, "Handling redactions" of room version 3 and later). A redaction is an
 * event like any other until its target is known: it is held, and checked when both are there.
 */
import type { Refusal } from "../errors.js";
import { domainOf } from "../ids/grammar.js";
import type { RoomEvent } from "../event/pdu.js";
import type { RoomVersionRules } from "../rules/model.js";
import { reaches } from "./judge.js";
import { scalarLevel, userLevel } from "./power.js";
import type { StateLookup } from "./verdict.js";

/** Whether a redaction takes effect. */
export type RedactionVerdict =
  /** Both are known and valid, and the sender may: show the target redacted. */
  | { readonly verdict: "apply"; readonly target: string }
  /** The target is not here yet: ask again when it arrives. */
  | { readonly verdict: "hold"; readonly needs: readonly string[] }
  /** It will never apply. The redaction stays in the room as an event without effect. */
  | { readonly verdict: "ignore"; readonly refusal: Refusal };

/**
 * Whether an accepted redaction takes effect on its target. `state` is the state before the
 * redaction. In room versions 1 and 2 rule 11 has already judged it, by the same two conditions.
 */
export function checkRedactionEffect(
  rules: RoomVersionRules,
  redaction: RoomEvent,
  target: RoomEvent | undefined,
  state: StateLookup,
): RedactionVerdict {
  const { redacts } = redaction;
  if (redacts === undefined) return ignore(redaction, undefined, "the redaction names no event");
  if (target === undefined) return { verdict: "hold", needs: [redacts] };
  if (target.roomId !== redaction.roomId) return ignore(redaction, target, "the target is in another room");
  // A room without its create event could not be judged any more.
  if (target.type === "m.room.create") return ignore(redaction, target, "create events are never redacted");
  if (rules.auth.redactions) return { verdict: "apply", target: target.eventId };
  const create = state("m.room.create", "");
  const powerLevels = state("m.room.power_levels", "");
  const level = create === undefined ? undefined : userLevel(rules, create, powerLevels, redaction.sender);
  const entitled = reaches(level, scalarLevel(rules, powerLevels, "redact"));
  const domain = domainOf(redaction.sender);
  if (entitled || (domain !== undefined && domain === domainOf(target.sender))) {
    return { verdict: "apply", target: target.eventId };
  }
  return ignore(redaction, target, `${redaction.sender} may not redact this event`);
}

function ignore(redaction: RoomEvent, target: RoomEvent | undefined, reason: string): RedactionVerdict {
  const events = target === undefined ? [redaction.eventId] : [redaction.eventId, target.eventId];
  return { verdict: "ignore", refusal: { code: "auth_rejected", rule: "v3 Handling redactions", reason, events } };
}

/** Redactions that wait for their target, by target id. Persist it with the room. */
export type HeldRedactions = ReadonlyMap<string, readonly string[]>;

/** `held` with one more redaction waiting for `targetId`. */
export function holdRedaction(held: HeldRedactions, targetId: string, redactionId: string): HeldRedactions {
  const waiting = held.get(targetId) ?? [];
  if (waiting.includes(redactionId)) return held;
  return new Map(held).set(targetId, [...waiting, redactionId]);
}

/** The redactions to check again now that `targetId` is here, and those that still wait. */
export function releaseRedactions(
  held: HeldRedactions,
  targetId: string,
): { readonly redactions: readonly string[]; readonly held: HeldRedactions } {
  const redactions = held.get(targetId);
  if (redactions === undefined) return { redactions: [], held };
  const rest = new Map(held);
  rest.delete(targetId);
  return { redactions, held: rest };
}
