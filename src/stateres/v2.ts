/**
 * State resolution v2 (room versions 2 to 11) and v2.1 (room version 12). They differ in three named
 * points: whether the conflicted subgraph is resolved too, whether the checks start from the
 * unconflicted state or from nothing, and in what the mainline is read from as a consequence.
 */
import { ABSENT, StateMap } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";
import { authDifference, conflictedKeys, conflictedSubgraph } from "./conflict.js";
import type { ConflictedKeys } from "./conflict.js";
import { factsOf, neededBy, newMissing, refuseCycle, refuseForeign } from "./resolve.js";
import type { Resolution, ResolveOptions, Resolver } from "./resolve.js";
import { mainlineOf, powerEvents, sortByMainline, sortByPower } from "./sort.js";
import { TraceV2 } from "./record.js";
import { WorkingState } from "./working-state.js";
import type { Missing } from "./working-state.js";
import { walkAuthDifference, walkConflictedSubgraph } from "./walk.js";

interface Variant {
  readonly name: "v2" | "v2.1";
  /** v2.1: the events on auth paths between conflicted events are resolved again. */
  readonly subgraph: boolean;
  /** v2.1: the first round of checks starts from an empty state. */
  readonly startEmpty: boolean;
}

/** State resolution of room versions 2 to 11 and I.1. */
export const resolveV2: Resolver = (index, states, options = {}) =>
  resolve({ name: "v2", subgraph: false, startEmpty: false }, index, states, options);

/** State resolution of room version 12. */
export const resolveV21: Resolver = (index, states, options = {}) =>
  resolve({ name: "v2.1", subgraph: true, startEmpty: true }, index, states, options);

function resolve(variant: Variant, index: RoomIndex, states: readonly StateMap[], options: ResolveOptions): Resolution {
  const base = states[0] ?? StateMap.empty;
  const conflicted = conflictedKeys(states);
  const trace = options.trace === true ? new TraceV2(index, variant.name, base, conflicted) : undefined;
  if (conflicted.size === 0) return { verdict: "resolved", state: base, ...trace?.finish(base) };
  const full = index.acyclic ? fullConflictedSet(variant, index, states, conflicted, trace) : undefined;
  if (full === undefined) return refuseCycle();
  const missing = newMissing();
  for (const number of full) if (!index.links.has(number)) missing.events.add(index.idOf(number));
  const stop = neededBy(missing) ?? refuseForeign(index, base, full);
  if (stop !== undefined) return stop;

  const hidden = conflicted.keys();
  const working = variant.startEmpty
    ? new WorkingState(index, StateMap.empty, [], missing, factsOf(options))
    : new WorkingState(index, base, hidden, missing, factsOf(options));
  const power = powerEvents(index, full);
  applyPowerEvents(index, power, working, missing, trace);
  applyRemaining(index, full, power, working, missing, trace);
  const needs = neededBy(missing);
  if (needs !== undefined) return needs;
  const state = reapplyUnconflicted(base, conflicted, working);
  return { verdict: "resolved", state, ...trace?.finish(state) };
}

function fullConflictedSet(
  variant: Variant,
  index: RoomIndex,
  states: readonly StateMap[],
  conflicted: ConflictedKeys,
  trace: TraceV2 | undefined,
): Set<number> | undefined {
  const all: number[] = [];
  for (const candidates of conflicted.values()) for (const number of candidates) all.push(number);
  let subgraph = variant.subgraph ? walkConflictedSubgraph(index, new Set(all)) : [];
  let difference = walkAuthDifference(index, states, conflicted);
  if (subgraph === undefined || difference === undefined) {
    const order = index.authOrder();
    if (order === undefined) return undefined;
    subgraph ??= conflictedSubgraph(index, order, all);
    difference ??= authDifference(index, order, states, conflicted);
  }
  for (const number of difference) all.push(number);
  for (const number of subgraph) all.push(number);
  const full = new Set<number>();
  // In the order in which they lie in memory, and nearly in that in which they are going to be checked.
  for (const number of Int32Array.from(all).sort()) {
    // Only hostile events cite message events; what is no state has no place in a state.
    if (!index.links.has(number) || index.keyOf(number) !== ABSENT) full.add(number);
  }
  trace?.sets(difference, subgraph, full);
  return full;
}

/** Steps 1 and 2: power events in reverse topological power order. */
function applyPowerEvents(
  index: RoomIndex,
  power: ReadonlySet<number>,
  working: WorkingState,
  missing: Missing,
  trace: TraceV2 | undefined,
): void {
  for (const ranked of sortByPower(index, power, missing)) {
    const verdict = working.check(ranked.number, ranked.event);
    trace?.power(ranked, verdict);
    if (verdict.verdict === "allowed") working.set(index.keyOf(ranked.number), ranked.number);
  }
}

/** Steps 3 and 4: everything else in mainline order. */
function applyRemaining(
  index: RoomIndex,
  full: ReadonlySet<number>,
  power: ReadonlySet<number>,
  working: WorkingState,
  missing: Missing,
  trace: TraceV2 | undefined,
): void {
  const powerKey = index.keyNumber("m.room.power_levels", "");
  const resolved = powerKey === ABSENT ? ABSENT : working.get(powerKey);
  const mainline = mainlineOf(index, resolved, missing);
  trace?.mainline(mainline);
  const remaining: number[] = [];
  for (const number of full) if (!power.has(number)) remaining.push(number);
  for (const positioned of sortByMainline(index, remaining, mainline, missing)) {
    const verdict = working.check(positioned.number, positioned.event);
    trace?.remaining(positioned, verdict);
    if (verdict.verdict === "allowed") working.set(index.keyOf(positioned.number), positioned.number);
  }
}

/** Step 5: what the states agree on stands, whatever the checks made of it. */
function reapplyUnconflicted(base: StateMap, conflicted: ConflictedKeys, working: WorkingState): StateMap {
  const changes = new Map<number, number>();
  for (const key of conflicted.keys()) changes.set(key, ABSENT);
  for (const [key, event] of working.changes()) {
    if (event === ABSENT) continue;
    if (conflicted.has(key) || base.get(key) === ABSENT) changes.set(key, event);
  }
  return base.setAll(changes);
}
