/** What was found in a file that people keep of a room, before anything of it is believed. */
import type { JsonObject, JsonValue } from "../json/value.js";

/**
 * How an event came into the file. Servers hand out `state` and `auth-chain` events without their
 * place in history, so those are judged by their auth events alone where their parents are absent.
 */
export type EventRole = "timeline" | "state" | "auth-chain";

/** How the server that the file comes from stored an event. */
export interface RecordedStanding {
  readonly rejected?: boolean;
  readonly softFailed?: boolean;
  readonly outlier?: boolean;
}

/** One copy of an event. */
export interface DumpEvent {
  /** As found, without the wrapper around it; a `_event_id` is taken out. */
  readonly json: JsonValue;
  /** The id that the file gives, beside the event or in it. */
  readonly givenId: string | undefined;
  /** Where it stands, such as `timeline[3]` or `line 12`. */
  readonly where: string;
  readonly role: EventRole;
  readonly recorded: RecordedStanding;
}

/** The state before an event, as the file has it. */
export interface RecordedState {
  /** Where it stands, such as `state_at_last`. */
  readonly name: string;
  /** The event: its id, or its position in {@link Dump.events}. Unknown for a bare state body. */
  readonly before: string | number | undefined;
  /** Ids of the forward extremities that a server records, where this is the state after them all. */
  readonly after?: readonly string[];
  /** Ids, or positions in {@link Dump.events}. */
  readonly members: readonly (string | number)[];
  /** Whether the file says that members were left out. */
  readonly partial: boolean;
}

/** A resolution to be made: the request of `roomdag oracle`. */
export interface ResolveRequest {
  readonly stateSets: readonly (readonly string[])[];
  readonly events: readonly JsonValue[];
  readonly rejected: readonly string[];
  /** The ids that the server resolved to, where the file has them. */
  readonly expected: readonly string[] | undefined;
}

/** A file as it was read. */
export interface Dump {
  /** The room version, unless nothing in the file tells it. */
  readonly roomVersion: string | undefined;
  /** The room; `undefined` where no event names one. */
  readonly roomId: string | undefined;
  readonly events: readonly DumpEvent[];
  /** Keys in the file: `{server: {key id: base64 or {key, valid_until_ts}}}`, and answers of key servers. */
  readonly keys: readonly JsonObject[];
  readonly states: readonly RecordedState[];
  readonly request: ResolveRequest | undefined;
  /** What the reader noticed and a person should know. */
  readonly notes: readonly string[];
  /** `assumed`: the events were made here and carry no signatures, so those that they need count as valid. */
  readonly signatures?: "assumed";
  /** What the file calls its events, by their ids, where it has names of its own for them. */
  readonly names?: ReadonlyMap<string, string>;
}
