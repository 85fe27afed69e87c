/** Resolve requests: the events and states of one resolution, read and indexed. */
import { RoomIndex } from "../dag/room-index.js";
import { ABSENT } from "../dag/state-map.js";
import type { StateMap } from "../dag/state-map.js";
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { readEvent } from "../event/loose.js";
import { checkLax, checkStrict } from "../json/check.js";
import type { RoomVersion } from "../versions/room-version.js";
import type { ResolveRequest } from "./dump.js";

export interface LoadedRequest {
  readonly index: RoomIndex;
  readonly states: readonly StateMap[];
}

/**
 * Indexes the events of a request and makes its states. States after the first are made from it, so
 * that they share what is equal, as the states of one room do in a server.
 *
 * @returns a refusal `bad_format` for an event that cannot be read or a state that names an event that
 * is not there or has no state key.
 */
export function loadRequest(version: RoomVersion, request: ResolveRequest): Result<LoadedRequest> {
  const { rules } = version;
  const rejected = new Set(request.rejected);
  const index = new RoomIndex(rules);
  for (const [at, value] of request.events.entries()) {
    const checked = rules.format.numbers === "strict" ? checkStrict(value) : checkLax(value);
    const event = checked.ok ? readEvent(rules, checked.value) : checked;
    if (!event.ok) return refuse(event.error.code, `events[${at}]: ${event.error.reason}`);
    index.add(event.value, { rejected: rejected.has(event.value.eventId) });
  }
  const states: StateMap[] = [];
  for (const ids of request.stateSets) {
    const state = stateLike(index, states[0], ids);
    if (!state.ok) return state;
    states.push(state.value);
  }
  return ok({ index, states });
}

function stateLike(index: RoomIndex, base: StateMap | undefined, ids: readonly string[]): Result<StateMap> {
  const wanted = new Map<number, number>();
  for (const id of ids) {
    const number = index.numberOf(id);
    const key = number === ABSENT ? ABSENT : index.keyOf(number);
    if (key === ABSENT) {
      return refuse("bad_format", `${id} is in a state but is no state event among the events`, { events: [id] });
    }
    wanted.set(key, number);
  }
  if (base === undefined) return ok(index.stateOf(ids));
  let state = base;
  base.forEach((_, key) => {
    if (!wanted.has(key)) state = state.set(key, ABSENT);
  });
  for (const [key, number] of wanted) state = state.set(key, number);
  return ok(state);
}
