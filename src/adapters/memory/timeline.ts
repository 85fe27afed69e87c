/** A room's stream: two arrays that grow at their ends, as events arrive and as older history is filled in. */
import type { TimelineRange } from "../../ports/storage.js";
import { insertInOrder, lowerBound, removeInOrder } from "./sorted.js";

/** What stands in a stream. */
export interface Placed {
  readonly position: number;
  readonly eventId: string;
}

export interface Timeline {
  add(entry: Placed): void;
  remove(entry: Placed): void;
  read(range: TimelineRange): readonly string[];
}

const position = (entry: Placed): number => entry.position;
/** History is kept from -1 down, so that what is filled in is appended. */
const age = (entry: Placed): number => -entry.position;

export function createTimeline(): Timeline {
  const live: Placed[] = [];
  const history: Placed[] = [];
  return Object.freeze({
    add: (entry: Placed): void => {
      if (entry.position < 0) insertInOrder(history, age, entry);
      else insertInOrder(live, position, entry);
    },
    remove: (entry: Placed): void => {
      if (entry.position < 0) removeInOrder(history, age, entry);
      else removeInOrder(live, position, entry);
    },
    read: ({ from, direction, limit }: TimelineRange): readonly string[] =>
      direction === "forwards" ? forwards(history, live, from, limit) : backwards(history, live, from, limit),
  });
}

function forwards(history: readonly Placed[], live: readonly Placed[], from: number, limit: number): string[] {
  const ids: string[] = [];
  // Old enough to be left out: an age above that of `from`.
  const tooOld = from < 0 ? firstAbove(history, age, -from) : 0;
  take(history, tooOld - 1, -1, limit, ids);
  take(live, lowerBound(live, position, from), 1, limit, ids);
  return ids;
}

function backwards(history: readonly Placed[], live: readonly Placed[], from: number, limit: number): string[] {
  const ids: string[] = [];
  take(live, firstAbove(live, position, from) - 1, -1, limit, ids);
  take(history, from < 0 ? lowerBound(history, age, -from) : 0, 1, limit, ids);
  return ids;
}

function firstAbove(entries: readonly Placed[], numberOf: (entry: Placed) => number, most: number): number {
  let at = lowerBound(entries, numberOf, most);
  for (let next = entries[at]; next !== undefined && numberOf(next) === most; next = entries[at]) at++;
  return at;
}

function take(entries: readonly Placed[], start: number, step: 1 | -1, limit: number, ids: string[]): void {
  for (let at = start; ids.length < limit; at += step) {
    const entry = entries[at];
    if (entry === undefined) return;
    ids.push(entry.eventId);
  }
}
