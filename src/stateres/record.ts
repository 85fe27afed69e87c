/** Collects a {@link ResolutionTrace} while a resolver runs. */
import type { AuthVerdict } from "../auth/verdict.js";
import type { Level } from "../auth/power.js";
import { ABSENT } from "../dag/state-map.js";
import { compareCodePoints } from "../json/compare.js";
import type { StateMap } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";
import type { RoomEvent } from "../event/pdu.js";
import type { ConflictedKeys } from "./conflict.js";
import type { Positioned, Ranked } from "./sort.js";
import type { KeyOutcome, LostBecause, ResolutionTrace, TracedCheck, TracedLevel } from "./trace.js";

function tracedLevel(level: Level): TracedLevel {
  if (level === Number.POSITIVE_INFINITY) return "creator";
  return typeof level === "bigint" ? String(level) : level;
}

/** The part of a traced check that follows from event and verdict. */
export function tracedCheck(
  event: RoomEvent,
  phase: TracedCheck["phase"],
  verdict: AuthVerdict | "unchecked",
): TracedCheck {
  const common = {
    eventId: event.eventId,
    type: event.type,
    stateKey: event.stateKey ?? "",
    phase,
    originServerTs: event.originServerTs,
    depth: event.depth,
  };
  if (verdict === "unchecked") return { ...common, verdict: "unchecked" };
  if (verdict.verdict === "allowed") return { ...common, verdict: "allowed" };
  return verdict.verdict === "rejected"
    ? { ...common, verdict: "refused", refusal: verdict.refusal }
    : { ...common, verdict: "refused" };
}

/** What became of every conflicted key, read from the checks that were made. Sorted by type and state key. */
export function outcomesOf(
  index: RoomIndex,
  conflicted: ConflictedKeys,
  state: StateMap,
  checks: readonly TracedCheck[],
): readonly KeyOutcome[] {
  const byId = new Map(checks.map((check) => [check.eventId, check]));
  const keys = [...conflicted.keys()].sort(byStateKey(index));
  return keys.map((key) => outcomeOf(index, key, conflicted.get(key) ?? [], state, byId));
}

/** An order of interned keys that does not depend on which came first: by type, then by state key. */
export function byStateKey(index: RoomIndex): (a: number, b: number) => number {
  return (a, b) => {
    const [leftType, leftKey] = index.keyAt(a);
    const [rightType, rightKey] = index.keyAt(b);
    return compareCodePoints(leftType, rightType) || compareCodePoints(leftKey, rightKey);
  };
}

/** The ids behind some numbers, sorted by code point. */
export function sortedIds(index: RoomIndex, numbers: Iterable<number>): readonly string[] {
  return Array.from(numbers, (number) => index.idOf(number)).sort(compareCodePoints);
}

function outcomeOf(
  index: RoomIndex,
  key: number,
  candidates: readonly number[],
  state: StateMap,
  checks: ReadonlyMap<string, TracedCheck>,
): KeyOutcome {
  const [type, stateKey] = index.keyAt(key);
  const winnerNumber = state.get(key);
  const winner = winnerNumber === ABSENT ? undefined : index.idOf(winnerNumber);
  const ids = sortedIds(index, candidates);
  const lost = ids
    .filter((id) => id !== winner)
    .map((eventId) => ({ eventId, because: whyLost(checks.get(eventId), winner) }));
  const refused = lost.some(({ because }) => because.why === "refused");
  const merged = winner !== undefined && candidates.includes(winnerNumber);
  const kind = refused ? "rollback" : merged ? "merged" : "reset";
  return { type, stateKey, candidates: ids, winner, lost, kind };
}

function whyLost(check: TracedCheck | undefined, winner: string | undefined): LostBecause {
  if (check?.refusal !== undefined) return { why: "refused", refusal: check.refusal };
  if (check?.verdict === "allowed" && winner !== undefined) return { why: "overwritten", by: winner };
  return { why: "not-reached", by: winner };
}

export class TraceV2 {
  readonly #index: RoomIndex;
  readonly #algorithm: "v2" | "v2.1";
  readonly #conflicted: ConflictedKeys;
  readonly #base: StateMap;
  #difference: readonly string[] = [];
  #subgraph: readonly string[] = [];
  #full: readonly string[] = [];
  #mainline: readonly string[] = [];
  readonly #checks: TracedCheck[] = [];

  constructor(index: RoomIndex, algorithm: "v2" | "v2.1", base: StateMap, conflicted: ConflictedKeys) {
    this.#index = index;
    this.#algorithm = algorithm;
    this.#base = base;
    this.#conflicted = conflicted;
  }

  sets(difference: Iterable<number>, subgraph: Iterable<number>, full: Iterable<number>): void {
    this.#difference = sortedIds(this.#index, difference);
    this.#subgraph = sortedIds(this.#index, subgraph);
    this.#full = sortedIds(this.#index, full);
  }

  mainline(mainline: readonly number[]): void {
    this.#mainline = mainline.map((number) => this.#index.idOf(number));
  }

  power(ranked: Ranked, verdict: AuthVerdict): void {
    this.#checks.push({ ...tracedCheck(ranked.event, "power", verdict), senderLevel: tracedLevel(ranked.level) });
  }

  remaining(positioned: Positioned, verdict: AuthVerdict): void {
    const mainlinePosition = Number.isFinite(positioned.position) ? positioned.position : null;
    this.#checks.push({ ...tracedCheck(positioned.event, "mainline", verdict), mainlinePosition });
  }

  finish(state: StateMap): { readonly trace: ResolutionTrace } {
    let unconflictedKeys = this.#base.size;
    for (const key of this.#conflicted.keys()) if (this.#base.get(key) !== ABSENT) unconflictedKeys--;
    return {
      trace: {
        algorithm: this.#algorithm,
        unconflictedKeys,
        outcomes: outcomesOf(this.#index, this.#conflicted, state, this.#checks),
        authDifference: this.#difference,
        conflictedSubgraph: this.#subgraph,
        fullConflictedSet: this.#full,
        mainline: this.#mainline,
        checks: this.#checks,
      },
    };
  }
}
