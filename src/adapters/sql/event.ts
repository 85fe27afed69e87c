/** Events in columns: what is the same in nearly all of them takes a few bytes beside the JSON. */
import { encodeCanonical } from "../../json/canonical.js";
import type { StoredEvent } from "../../ports/storage.js";
import type { StoredVerdict } from "../../ports/verdict.js";
import { damaged, integerOf, nameOf, optionalInteger, readObject, textOf } from "./row.js";
import type { SqlRow } from "./row.js";
import { escapeName, unescapeName } from "./text.js";

/** How an event stands. Below {@link OTHER} it is accepted, and `verdict` is the rule alone. */
const ON_STATE = 0;
const ON_AUTH_EVENTS = 1;
export const OTHER = 2;

/** The values of the columns, in the order of {@link eventColumns}. */
export interface EventValues {
  readonly eventId: string;
  readonly standing: number;
  readonly verdict: string;
  readonly mismatch: number;
  readonly position: number | null;
  readonly before: number | null;
  readonly after: number | null;
  readonly redactedBy: string | null;
  readonly json: string;
}

export const eventColumns =
  "event_id, standing, verdict, mismatch, position, state_before, state_after, redacted_by, pdu";

/** In place of the row of the same event; of an event that was only named so far too. */
export const replacesEvent: string =
  "ON CONFLICT (event_id, room) DO UPDATE SET " +
  `put_at, ${eventColumns}`
    .split(", ")
    .filter((column) => column !== "event_id")
    .map((column) => `${column} = excluded.${column}`)
    .join(", ");

export function eventValues(event: StoredEvent): EventValues {
  const { verdict } = event;
  const accepted = verdict.standing === "accepted";
  return {
    eventId: escapeName(event.eventId),
    standing: !accepted ? OTHER : verdict.basis === "state-before" ? ON_STATE : ON_AUTH_EVENTS,
    verdict: accepted ? verdict.rule : JSON.stringify(verdict),
    mismatch: event.hashMismatch ? 1 : 0,
    position: event.position ?? null,
    before: event.stateBefore ?? null,
    after: event.stateAfter ?? null,
    redactedBy: event.redactedBy === undefined ? null : escapeName(event.redactedBy),
    json: encodeCanonical(event.json),
  };
}

export function eventOf(row: SqlRow): StoredEvent {
  const position = optionalInteger(row, "position");
  const stateBefore = optionalInteger(row, "state_before");
  const stateAfter = optionalInteger(row, "state_after");
  const redactedBy = row["redacted_by"];
  return {
    eventId: nameOf(row, "event_id"),
    json: readObject(textOf(row, "pdu")),
    hashMismatch: integerOf(row, "mismatch") === 1,
    verdict: verdictOf(integerOf(row, "standing"), textOf(row, "verdict")),
    ...(position === undefined ? {} : { position }),
    ...(stateBefore === undefined ? {} : { stateBefore }),
    ...(stateAfter === undefined ? {} : { stateAfter }),
    ...(typeof redactedBy === "string" ? { redactedBy: unescapeName(redactedBy) } : {}),
  };
}

function verdictOf(standing: number, text: string): StoredVerdict {
  switch (standing) {
    case ON_STATE:
      return { standing: "accepted", rule: text, basis: "state-before" };
    case ON_AUTH_EVENTS:
      return { standing: "accepted", rule: text, basis: "auth-events" };
    case OTHER:
      // Written by `eventValues`.
      return JSON.parse(text) as StoredVerdict;
    default:
      throw damaged(`an event stands as ${standing}`);
  }
}
