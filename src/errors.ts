/**
 * Refusals are values. Whatever comes from the network and does not hold is answered with a
 * {@link Refusal}; a thrown error means a bug, a misused API or a broken port.
 */

/** What kind of thing was refused. Each code is stable: hosts may switch on it. */
export type RefusalCode =
  /** The text is not JSON, or not the JSON that this room version allows. */
  | "bad_json"
  /** An identifier does not follow its grammar. */
  | "bad_identifier"
  /** A PDU lacks a key, or a key has the wrong type. */
  | "bad_format"
  /** A size or count limit is exceeded. */
  | "too_large"
  /** A required signature is absent or does not verify. */
  | "bad_signature"
  /** An authorisation rule rejects the event. */
  | "auth_rejected"
  /** The room version is not registered. */
  | "unknown_room_version"
  /** Events of different rooms were put together. */
  | "wrong_room"
  /** The auth events or previous events form a cycle. */
  | "cycle"
  /** The host's own policy refuses it. */
  | "policy_refused"
  /** The room's policy server does not recommend the event. */
  | "not_recommended"
  /** The room is not known here, or no user of this server is in it. */
  | "unknown_room"
  /** No server could be reached that would have had to help. */
  | "unreachable"
  /** The call was cancelled, or its time ran out. */
  | "cancelled"
  /** What is needed to decide is not here and could not be had. */
  | "undecided"
  /** Another server refused; the reason names it. */
  | "refused_by_peer";

/** Why something was refused. */
export interface Refusal {
  readonly code: RefusalCode;
  /** The spec's own rule for that room version, such as `v10 rule 4.3.5`, or a section name. */
  readonly rule?: string;
  /** One sentence for a person. */
  readonly reason: string;
  /** Ids of the events concerned, the judged one first. */
  readonly events: readonly string[];
}

/** A value, or the reason why there is none. */
export type Result<T, E = Refusal> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

export function ok<T>(value: T): Result<T, never> {
  return { ok: true, value };
}

export function refuse(
  code: RefusalCode,
  reason: string,
  details: { readonly rule?: string; readonly events?: readonly string[] } = {},
): { readonly ok: false; readonly error: Refusal } {
  const { rule, events = [] } = details;
  return { ok: false, error: rule === undefined ? { code, reason, events } : { code, rule, reason, events } };
}

/** Thrown when the API is misused; the message says what to do instead. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A call was cancelled, and what it would have answered is unknown. */
export class CancelledError extends Error {
  override readonly name = "CancelledError";
  constructor(message: string = "cancelled before anything was changed") {
    super(message);
  }
}
