/** Stripped state: what a server shows of a room to somebody who is not in it (client-server-api, "Stripped state"). */
import type { JsonObject } from "../json/value.js";
import { UsageError } from "../errors.js";
import type { RoomEvent } from "./pdu.js";

/** The four keys of a stripped state event, and nothing else. */
export interface StrippedStateEvent {
  readonly content: JsonObject;
  readonly sender: string;
  readonly state_key: string;
  readonly type: string;
}

/** @throws UsageError for an event without `state_key`. */
export function stripState(event: RoomEvent): StrippedStateEvent {
  if (event.stateKey === undefined)
    throw new UsageError("only a state event has a stripped form: pass one with a state key");
  return { content: event.content, sender: event.sender, state_key: event.stateKey, type: event.type };
}
