/** What is in conflict: conflicted keys, auth difference, conflicted subgraph (spec, "Definitions"). */
import { ABSENT } from "../dag/state-map.js";
import type { StateMap } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";

/** Conflicted keys with their distinct candidates; an absent key contributes no candidate. */
export type ConflictedKeys = ReadonlyMap<number, readonly number[]>;

/** Keys at which the states differ; a key that one of them lacks differs too. Costs what differs. */
export function conflictedKeys(states: readonly StateMap[]): ConflictedKeys {
  const [first, ...others] = states;
  const keys = new Set<number>();
  if (first === undefined) return new Map();
  for (const other of others) first.diff(other, (key) => keys.add(key));
  const conflicted = new Map<number, readonly number[]>();
  for (const key of keys) {
    const candidates = new Set<number>();
    for (const state of states) candidates.add(state.get(key));
    candidates.delete(ABSENT);
    conflicted.set(key, [...candidates]);
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
}

/** What every state holds is marked in one go: at most keys, not states times keys, are looked at. */
function marksOf(index: RoomIndex, states: readonly StateMap[], conflicted: ConflictedKeys): Marks {
  const reached = new Int32Array(index.size);
  const all = 2 ** states.length - 1;
  states[0]?.forEach((event) => {
    reached[event] = all;
  });
  for (const [key, candidates] of conflicted) {
    for (const candidate of candidates) reached[candidate] = 0;
    states.forEach((state, bit) => {
      const event = state.get(key);
      if (event !== ABSENT) reached[event]! |= 1 << bit;
    });
  }
  return { reached, all };
}

/** Hands every state's bit down the auth edges in one pass over the order, children before parents. */
function sweep(
  index: RoomIndex,
  order: Int32Array,
  { reached, all }: Marks,
  some: Uint8Array,
  notAll: Uint8Array,
): void {
  for (let at = order.length - 1; at >= 0; at--) {
    const number = order[at]!;
    const mask = reached[number]!;
    if (mask !== all) notAll[number] = 1;
    if (mask === 0) continue;
    some[number] = 1;
    const edges = index.authEdges(number);
    for (let i = 0; i < edges.length; i++) reached[edges[i]!]! |= mask;
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
  for (let at = order.length - 1; at >= 0; at--) {
    const number = order[at]!;
    if (below[number] === 0) continue;
    const edges = index.authEdges(number);
    for (let i = 0; i < edges.length; i++) below[edges[i]!] = 1;
  }
  const subgraph: number[] = [];
  for (let at = 0; at < order.length; at++) {
    const number = order[at]!;
    const edges = index.authEdges(number);
    for (let i = 0; above[number] === 0 && i < edges.length; i++) above[number] = above[edges[i]!]!;
    if (above[number] === 1 && below[number] === 1) subgraph.push(number);
  }
  return subgraph;
}
