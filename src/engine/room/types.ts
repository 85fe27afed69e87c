/** What callers give a room, and what they get of it. */
import type { JsonObject } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { StateChange } from "../../ports/observer.js";
import type { Verdict } from "../../ports/verdict.js";
import type { Control, Patch } from "../control.js";
import type { StateView } from "../state-view.js";
import type { Additions } from "../workspace.js";

/** What a local user wants to send; everything else follows from the room. */
export interface LocalEvent {
  readonly type: string;
  readonly stateKey?: string;
  readonly sender: string;
  readonly content: JsonObject;
  /** The event that an `m.room.redaction` redacts. */
  readonly redacts?: string;
}

export interface ReceiveOptions {
  /** The server that sent the events, as the transport authenticated it. */
  readonly origin: string;
  /** `live` (the default) for news; `history` for backfill. */
  readonly mode?: "live" | "history";
  /** Servers to ask for what is missing, beside the origin. */
  readonly via?: readonly string[];
  /**
   * The origin has nobody in the room. It may still know something: it left a moment ago, or has just joined by way
   * of a server that was not heard yet. So its events are judged; but nobody else is asked for what they lack, and
   * what is refused or stays undecided is not kept, because whoever needs it can have it from the room.
   */
  readonly outsider?: boolean;
  readonly cancel?: Cancel | undefined;
}

export interface EmitOptions {
  readonly cancel?: Cancel | undefined;
  /** Servers that get the events although they have nobody in the room. */
  readonly alsoTo?: readonly string[];
  /** A server that has the events already. */
  readonly notTo?: string;
  readonly additions?: Partial<Additions>;
}

/** A change of a room, as a subscriber is told of it. */
export interface RoomUpdate {
  readonly control: Control;
  /** What changed in the control record since the last update. */
  readonly patches: readonly Patch[];
  /** What changed in the current state, one entry for each event that changed it, oldest first. */
  readonly changes: readonly StateChange[];
  /** Ids of events that became part of the timeline. */
  readonly events: readonly string[];
}

/** An event as a reader gets it. */
export interface EventView {
  readonly eventId: string;
  readonly position: number | undefined;
  readonly verdict: Verdict;
  /** As it was sent, or its redacted copy where its content hash did not match. */
  readonly original: JsonObject;
  /** What is to be shown: redacted, if a redaction is in force. */
  readonly shown: JsonObject;
  readonly redactedBy: string | undefined;
}

/** What a join brings: the state before it, and what that state rests on. */
export interface JoinedState {
  readonly event: JsonObject;
  readonly state: readonly unknown[];
  readonly authChain: readonly unknown[];
  readonly origin: string;
  /** Where memberships were left out of the state: the servers that were in the room. */
  readonly serversInRoom?: readonly string[];
}

/** The states around an event. */
export interface StatesAt {
  readonly before: StateView;
  readonly after: StateView;
  /** Whether memberships are missing from both: the room was joined with a partial state, and is not complete. */
  readonly partial: boolean;
}
