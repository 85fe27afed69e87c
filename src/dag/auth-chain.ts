/** Auth chains: everything that an event's authority rests on. */
import { compareCodePoints } from "../json/compare.js";
import { ABSENT } from "./state-map.js";
import type { RoomIndex } from "./room-index.js";

/** What {@link authChain} found. */
export interface AuthChain {
  /** The events cited, what those cite, and so on; the starting events are in it only if cited. Sorted ids. */
  readonly events: readonly string[];
  /** Cited events that the index does not hold: below these the chain is unknown. Sorted ids. */
  readonly missing: readonly string[];
}

/** The auth chain of some events. Walked once with marks, whatever the number of paths. */
export function authChain(index: RoomIndex, eventIds: Iterable<string>): AuthChain {
  const seen = new Uint8Array(index.size);
  const stack: number[] = [];
  const push = (number: number): void => {
    for (const cited of index.authEdges(number)) if (seen[cited] === 0) stack.push(cited);
  };
  for (const id of eventIds) {
    const number = index.numberOf(id);
    if (number !== ABSENT) push(number);
  }
  const events: string[] = [];
  const missing: string[] = [];
  for (let number = stack.pop(); number !== undefined; number = stack.pop()) {
    if (seen[number] === 1) continue;
    seen[number] = 1;
    if (index.eventOf(number) === undefined) missing.push(index.idOf(number));
    else events.push(index.idOf(number));
    push(number);
  }
  return { events: events.sort(compareCodePoints), missing: missing.sort(compareCodePoints) };
}
