/**
 * State resolution v1 (room version 1). Kept as Synapse has it, because the rooms that still use it
 * live on Synapse (SR1, SR14): a key that only one state has is not in conflict, conflicted members do
 * not see each other, and where every ordinary candidate fails the last one stays.
 */
import { sha1Hex } from "../crypto/sha1.js";
import { utf8Encode } from "../json/utf8.js";
import { ABSENT, StateMap } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";
import type { RoomEvent } from "../event/pdu.js";
import { checkStateDependent } from "../auth/check.js";
import type { AuthVerdict } from "../auth/verdict.js";
import { conflictedKeys } from "./conflict.js";
import { factsOf, neededBy, newMissing, refuseForeign } from "./resolve.js";
import type { Resolution, ResolveOptions, Resolver } from "./resolve.js";
import { byStateKey, outcomesOf, sortedIds, tracedCheck } from "./record.js";
import type { Missing } from "./working-state.js";
import type { ResolutionTrace, TracedCheck } from "./trace.js";

interface Candidate {
  readonly number: number;
  readonly event: RoomEvent;
  readonly hash: string;
}

type Phase = "power-levels" | "join-rules" | "members" | "rest";

interface Run {
  readonly index: RoomIndex;
  readonly options: ResolveOptions;
  readonly missing: Missing;
  readonly checks: TracedCheck[] | undefined;
  /** Unconflicted state and what earlier passes resolved: what candidates are judged against. */
  settled: StateMap;
}

/** State resolution of room version 1. */
export const resolveV1: Resolver = (index, states, options = {}) => {
  const { settled, conflicted } = separate(states);
  const missing = newMissing();
  const groups = new Map<number, readonly Candidate[]>();
  const keys = [...conflicted.keys()].sort(byStateKey(index));
  for (const key of keys) groups.set(key, candidatesOf(index, conflicted.get(key) ?? [], missing));
  const stop = neededBy(missing) ?? refuseForeign(index, settled, [...conflicted.values()].flat());
  if (stop !== undefined) return stop;
  const run: Run = { index, options, missing, checks: options.trace === true ? [] : undefined, settled };
  pass(run, groups, "power-levels", (type, stateKey) => type === "m.room.power_levels" && stateKey === "");
  pass(run, groups, "join-rules", (type) => type === "m.room.join_rules");
  pass(run, groups, "members", (type) => type === "m.room.member");
  pass(run, groups, "rest", () => true);
  const result: Resolution = neededBy(missing) ?? {
    verdict: "resolved",
    state: run.settled,
    ...traced(run, settled, conflicted),
  };
  return result;
};

/** Keys with two or more distinct events; keys that some states lack are settled by those that have them. */
function separate(states: readonly StateMap[]): { settled: StateMap; conflicted: Map<number, readonly number[]> } {
  let settled = states[0] ?? StateMap.empty;
  const conflicted = new Map<number, readonly number[]>();
  for (const [key, candidates] of conflictedKeys(states)) {
    const [only, ...others] = candidates;
    if (others.length > 0) conflicted.set(key, candidates);
    settled = settled.set(key, others.length > 0 ? ABSENT : (only ?? ABSENT));
  }
  return { settled, conflicted };
}

/** Candidates by ascending depth, then descending SHA-1 of the id: the order in which auth types are tried. */
function candidatesOf(index: RoomIndex, numbers: readonly number[], missing: Missing): readonly Candidate[] {
  const candidates: Candidate[] = [];
  for (const number of numbers) {
    const event = index.eventOf(number);
    if (event === undefined) missing.events.add(index.idOf(number));
    else candidates.push({ number, event, hash: sha1Hex(utf8Encode(event.eventId)) });
  }
  return candidates.sort((a, b) => a.event.depth - b.event.depth || (a.hash > b.hash ? -1 : a.hash < b.hash ? 1 : 0));
}

/** Resolves every group of this pass against what was settled before the pass, then settles them together. */
function pass(
  run: Run,
  groups: Map<number, readonly Candidate[]>,
  phase: Phase,
  belongs: (type: string, stateKey: string) => boolean,
): void {
  const results: [key: number, event: number][] = [];
  for (const [key, candidates] of groups) {
    if (!belongs(...run.index.keyAt(key))) continue;
    const winner = phase === "rest" ? resolveRest(run, candidates) : resolveAuthType(run, phase, key, candidates);
    results.push([key, winner]);
    groups.delete(key);
  }
  for (const [key, event] of results) run.settled = run.settled.set(key, event);
}

/** The shallowest is taken unchecked; each next one is judged with the one before in place, up to a failure. */
function resolveAuthType(run: Run, phase: Phase, key: number, candidates: readonly Candidate[]): number {
  let current = ABSENT;
  for (const candidate of candidates) {
    if (current !== ABSENT) {
      const verdict = judge(run, candidate.event, run.settled.set(key, current));
      run.checks?.push(tracedCheck(candidate.event, phase, verdict));
      if (verdict.verdict !== "allowed") break;
    } else run.checks?.push(tracedCheck(candidate.event, phase, "unchecked"));
    current = candidate.number;
  }
  return current;
}

/** The deepest that passes, smallest SHA-1 first among equals; where none passes, the last one tried. */
function resolveRest(run: Run, candidates: readonly Candidate[]): number {
  let last = ABSENT;
  for (const candidate of candidates.toReversed()) {
    last = candidate.number;
    const verdict = judge(run, candidate.event, run.settled);
    run.checks?.push(tracedCheck(candidate.event, "rest", verdict));
    if (verdict.verdict === "allowed") break;
  }
  return last;
}

function judge(run: Run, event: RoomEvent, state: StateMap): AuthVerdict {
  const { index } = run;
  const verdict = checkStateDependent(index.rules, event, index.lookup(state), factsOf(run.options));
  if (verdict.verdict === "needs") run.missing.facts.push(...verdict.facts);
  return verdict;
}

function traced(
  run: Run,
  settled: StateMap,
  conflicted: ReadonlyMap<number, readonly number[]>,
): { readonly trace?: ResolutionTrace } {
  if (run.checks === undefined) return {};
  return {
    trace: {
      algorithm: "v1",
      unconflictedKeys: settled.size,
      outcomes: outcomesOf(run.index, conflicted, run.settled, run.checks),
      authDifference: [],
      conflictedSubgraph: [],
      fullConflictedSet: sortedIds(run.index, [...conflicted.values()].flat()),
      mainline: [],
      checks: run.checks,
    },
  };
}
