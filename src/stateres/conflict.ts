/** What is in conflict: conflicted keys, auth difference, conflicted subgraph (spec, "Definitions"). */
import { ABSENT } from "../dag/state-map.js";
import type { StateMap } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";

/** Conflicted keys with their distinct candidates; an absent key contributes no candidate. */
export type ConflictedKeys = ReadonlyMap<number, readonly number[]>;

/** Keys at which the states differ; a key that one of them lacks differs too. Costs what differs. */
export function conflictedKeys(states: readonly StateMap[]): ConflictedKeys {
  const [first, ...others] = states;
  const conflicted = new Map<number, number[]>();
  if (first === undefined) return conflicted;
  for (const other of others) {
    first.diff(other, (key, mine) => {
      if (!conflicted.has(key)) conflicted.set(key, mine === ABSENT ? [] : [mine]);
    });
  }
  for (const [key, candidates] of conflicted) {
    for (const other of others) {
      const event = other.get(key);
      if (event !== ABSENT && !candidates.includes(event)) candidates.push(event);
    }
  }
  return conflicted;
}

/** States that one sweep can tell apart: one bit each. */
const SETS_PER_SWEEP = 30;

/**
 * The auth difference: events in some, not all, of the states' full auth chains, the state events
 * themselves included, as Synapse counts them (SR4). `order` lists every number after its parents.
 */
export function authDifference(
  index: RoomIndex,
  order: Int32Array,
  states: readonly StateMap[],
  conflicted: ConflictedKeys = conflictedKeys(states),
): number[] {
  if (states.length <= SETS_PER_SWEEP) return sweepToMeeting(index, order, marksOf(index, states, conflicted));
  const some = new Uint8Array(index.size);
  const notAll = new Uint8Array(index.size);
  for (let from = 0; from < states.length; from += SETS_PER_SWEEP) {
    sweep(index, order, marksOf(index, states.slice(from, from + SETS_PER_SWEEP), conflicted), some, notAll);
  }
  const difference: number[] = [];
  for (let number = 0; number < some.length; number++) {
    if (some[number] === 1 && notAll[number] === 1) difference.push(number);
  }
  return difference;
}

interface Marks {
  /** One bit for each state that holds the event. */
  readonly reached: Int32Array;
  readonly all: number;
  /** How many events have been marked that some states reach, and others not yet. */
  readonly open: number;
}

/** What every state holds is marked in one go: at most keys, not states times keys, are looked at. */
function marksOf(index: RoomIndex, states: readonly StateMap[], conflicted: ConflictedKeys): Marks {
  const reached = new Int32Array(index.size);
  const all = 2 ** states.length - 1;
  states[0]?.forEach((event) => {
    reached[event] = all;
  });
  let open = 0;
  for (const [key, candidates] of conflicted) {
    for (const candidate of candidates) reached[candidate] = 0;
    for (let bit = 0; bit < states.length; bit++) {
      const event = states[bit]!.get(key);
      if (event !== ABSENT) reached[event]! |= 1 << bit;
    }
    for (const candidate of candidates) if (reached[candidate] !== all) open++;
  }
  return { reached, all, open };
}

/**
 * Hands every state's bit down the auth edges, children before parents, until every event that is left is reached by
 * all states or by none: the sweep ends where their histories meet, mostly soon after the fork.
 */
function sweepToMeeting(index: RoomIndex, order: Int32Array, marks: Marks): number[] {
  const { links } = index;
  const { reached, all } = marks;
  let { open } = marks;
  const difference: number[] = [];
  for (let at = order.length - 1; at >= 0 && open > 0; at--) {
    const number = order[at]!;
    const mask = reached[number]!;
    if (mask === 0) continue;
    if (mask !== all) {
      difference.push(number);
      open--;
    }
    for (let link = links.first(number), end = links.end(number); link < end; link++) {
      const cited = links.at(link);
      const before = reached[cited]!;
      const after = before | mask;
      if (after === before) continue;
      reached[cited] = after;
      if (before === 0 && after !== all) open++;
      else if (before !== 0 && after === all) open--;
    }
  }
  return difference;
}

/** Hands every state's bit down the auth edges in one pass over the order, children before parents. */
function sweep(
  index: RoomIndex,
  order: Int32Array,
  { reached, all }: Marks,
  some: Uint8Array,
  notAll: Uint8Array,
): void {
  const { links } = index;
  for (let at = order.length - 1; at >= 0; at--) {
    const number = order[at]!;
    const mask = reached[number]!;
    if (mask !== all) notAll[number] = 1;
    if (mask === 0) continue;
    some[number] = 1;
    for (let link = links.first(number), end = links.end(number); link < end; link++) reached[links.at(link)]! |= mask;
  }
}

/**
 * v2.1: every event on a path of auth edges from one conflicted event to another, ends included. Two
 * sweeps mark what conflicted events reach and what reaches them, instead of copying paths.
 */
export function conflictedSubgraph(index: RoomIndex, order: Int32Array, conflicted: Iterable<number>): number[] {
  const below = new Uint8Array(index.size);
  const above = new Uint8Array(index.size);
  for (const number of conflicted) below[number] = above[number] = 1;
  const { links } = index;
  for (let at = order.length - 1; at >= 0; at--) {
    const number = order[at]!;
    if (below[number] === 0) continue;
    for (let link = links.first(number), end = links.end(number); link < end; link++) below[links.at(link)] = 1;
  }
  const subgraph: number[] = [];
  for (let at = 0; at < order.length; at++) {
    const number = order[at]!;
    // Whatever leads from what is not below a conflicted event is on no path.
    if (below[number] === 0) continue;
    const end = links.end(number);
    for (let link = links.first(number); above[number] === 0 && link < end; link++) {
      above[number] = above[links.at(link)]!;
    }
    if (above[number] === 1) subgraph.push(number);
  }
  return subgraph;
}
