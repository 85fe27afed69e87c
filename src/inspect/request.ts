/** Resolve requests: the events and states of one resolution, read and indexed. */
import { RoomIndex } from "../dag/room-index.js";
import type { StateMap } from "../dag/state-map.js";
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { readEvent } from "../event/loose.js";
import { checkJson } from "../event/format.js";
import type { RoomVersion } from "../versions/room-version.js";
import type { ResolveRequest } from "./dump.js";

/** A request whose events are indexed. */
export interface LoadedRequest {
  readonly index: RoomIndex;
  readonly states: readonly StateMap[];
}

/**
 * Indexes the events of a request and makes its states.
 *
 * @returns a refusal `bad_format` for an event that cannot be read or a state that names an event that
 * is not there or has no state key.
 */
export function loadRequest(version: RoomVersion, request: ResolveRequest): Result<LoadedRequest> {
  const { rules } = version;
  const rejected = new Set(request.rejected);
  const index = new RoomIndex(rules);
  for (const [at, value] of request.events.entries()) {
    const checked = checkJson(rules, value);
    const event = checked.ok ? readEvent(rules, checked.value) : checked;
    if (!event.ok) return refuse(event.error.code, `events[${at}]: ${event.error.reason}`);
    index.add(event.value, { rejected: rejected.has(event.value.eventId) });
  }
  const states: StateMap[] = [];
  for (const ids of request.stateSets) {
    const stray = ids.find((id) => index.get(id)?.stateKey === undefined);
    if (stray !== undefined) {
      return refuse("bad_format", `${stray} is in a state but is no state event among the events`, { events: [stray] });
    }
    states.push(index.stateOf(ids));
  }
  return ok({ index, states });
}
