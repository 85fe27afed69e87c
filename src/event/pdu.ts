/** Events as the rules read them, and PDUs as servers exchange them. */
import type { Refusal } from "../errors.js";
import type { EventId, RoomId, UserId } from "../ids/brands.js";
import type { JsonObject } from "../json/value.js";

/**
 * What authorisation, resolution and the graph read of an event. A {@link Pdu} is one; a host that
 * keeps events in columns of its own can hand in any object of this shape.
 */
export interface RoomEvent {
  readonly eventId: string;
  /** The room; for a create event of room version 12, `!` and its own reference hash. */
  readonly roomId: string;
  readonly type: string;
  /** Absent on message events; the empty string is a state key. */
  readonly stateKey: string | undefined;
  readonly sender: string;
  readonly content: JsonObject;
  /** An untrusted hint: only state resolution v1 looks at it. */
  readonly depth: number;
  /** Milliseconds since 1970 as claimed by the sender's server. */
  readonly originServerTs: number;
  readonly authEvents: readonly string[];
  readonly prevEvents: readonly string[];
  /** The event that an `m.room.redaction` names, wherever the room version puts it. */
  readonly redacts: string | undefined;
  /** Whether the event itself has a `room_id` key: a create event of room version 12 must not. */
  readonly hasRoomId: boolean;
}

/** A state event: one with a `state_key`. */
export interface StateEvent extends RoomEvent {
  readonly stateKey: string;
}

/** A PDU whose format was checked against its room version. */
export interface Pdu extends RoomEvent {
  readonly eventId: EventId;
  readonly roomId: RoomId;
  readonly sender: UserId;
  readonly authEvents: readonly EventId[];
  readonly prevEvents: readonly EventId[];
  /** The federation form, with `unsigned` stripped to what a relay may add. Treat as immutable. */
  readonly json: JsonObject;
  /**
   * Set when the event must be stored but treated as rejected: in room versions 1 to 10 a field of at
   * most 255 code points that takes more than 255 bytes (Synapse; digest SZ2).
   */
  readonly rejectedForSize: Refusal | undefined;
}

/** Whether an event has a `state_key`, be it empty. */
/** v12: the id of the create event that a room id names, `$` for `!`. */
export function createEventIdOf(roomId: string): string {
  return `$${roomId.slice(1)}`;
}

/** v12: the room id that a create event gives to its room, `!` for `$`. */
export function roomIdOfCreate(createEventId: string): string {
  return `!${createEventId.slice(1)}`;
}

export function isState(event: RoomEvent): event is StateEvent {
  return event.stateKey !== undefined;
}
