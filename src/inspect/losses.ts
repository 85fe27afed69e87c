/**
 * What a resolution took back, and on whose word. The terms are those of docs/inspect.md: candidates that had been
 * current and are lost were overwritten, rolled back or reset.
 */
import { checkStateDependent, stateOfAuthEvents } from "../auth/check.js";
import { selectAuthEvents } from "../auth/select.js";
import type { StateLookup } from "../auth/verdict.js";
import { ABSENT, StateMap } from "../dag/state-map.js";
import type { Refusal } from "../errors.js";
import type { RoomEvent } from "../event/pdu.js";
import { conflictedKeys } from "../stateres/conflict.js";
import type { ConflictedKeys } from "../stateres/conflict.js";
import type { Resolution } from "../stateres/resolve.js";
import { isPowerEvent } from "../stateres/sort.js";
import type { ResolutionTrace, TracedCheck } from "../stateres/trace.js";
import { resolveV21 } from "../stateres/v2.js";
import type { Causality } from "./causality.js";
import type { Fork, Replay } from "./replay.js";

/** Why a candidate did not stand at one key that the rules read. */
export interface Cause {
  readonly type: string;
  readonly stateKey: string;
  /**
   * `revoked`: by an event concurrent with the lost one. `revoked-later`: by a power event in conflict that came
   * after the lost one and was put before it. `consequence`: what the lost event rested on was itself rolled back.
   * The others are unfounded: `older`, judged by what the room had left behind; `later`, by what came afterwards;
   * `gone`, by nothing; `order`, passed the checks, and an older event was put after it; `unjudged`, never looked
   * at.
   */
  readonly how: "revoked" | "revoked-later" | "consequence" | "older" | "later" | "gone" | "order" | "unjudged";
  /** The event that it was judged by, or that took its place. */
  readonly by: string | undefined;
  /** The event that it was made with. */
  readonly madeWith: string | undefined;
}

/** What would have kept the event, tried out. */
export type Remedy =
  /** State resolution v2.1, that is room version 12, comes to another result with the same states. */
  | "resolution-v2.1"
  /** The result is another if every branch has the newest of the candidates that its history leads to. */
  | "newer-states"
  /** The timestamps alone put the older event after this one. */
  | "clocks"
  /** Room version 12: nobody takes power from a creator, who sent this. */
  | "creator-power"
  /** The sender's server did not have the revocation when it sent this. */
  | "heard-sooner";

/** State that had been current and is not any more. */
export interface Loss {
  readonly kind: "overwritten" | "rollback" | "reset";
  readonly fork: Fork;
  readonly algorithm: ResolutionTrace["algorithm"];
  readonly type: string;
  readonly stateKey: string;
  /** The event that was current. `undefined`: no event was, and one came up (a reset). */
  readonly eventId: string | undefined;
  /** What stands now. */
  readonly winner: string | undefined;
  /** The check that decided about the event: its place among the checks of the resolution, from 1. */
  readonly step: { readonly number: number; readonly check: TracedCheck } | undefined;
  readonly refusal: Refusal | undefined;
  readonly causes: readonly Cause[];
  readonly avoidedBy: readonly Remedy[];
}

/** A candidate at a merge that stands no more. */
interface Lost {
  readonly key: number;
  readonly candidate: number;
  readonly winner: number;
}

interface Merge {
  readonly replay: Replay;
  readonly causality: Causality;
  readonly fork: Fork;
  readonly states: readonly StateMap[];
  readonly resolved: StateMap;
  readonly conflicted: ConflictedKeys;
  /** What other ways to resolve come to, once they were tried. */
  readonly tried: { v21?: Resolution; newer?: Resolution | undefined };
}

/** Whether a loss was told already: then it is counted and not looked into again. */
export type IsKnown = (eventId: string, winner: string | undefined) => boolean;

/** Everything that one merge took back and that is not known yet. */
export function lossesAt(replay: Replay, causality: Causality, fork: Fork, isKnown: IsKnown): readonly Loss[] {
  const merge = mergeAt(replay, causality, fork);
  if (merge === undefined) return [];
  const { index } = replay;
  const named = (number: number): string | undefined => (number === ABSENT ? undefined : index.idOf(number));
  const lost = lostAt(merge).filter(({ candidate, winner }) => !isKnown(index.idOf(candidate), named(winner)));
  const revived = revivedAt(merge).filter(([, winner]) => !isKnown("", index.idOf(winner)));
  if (lost.length === 0 && revived.length === 0) return [];
  const resolution = replay.stateAfter(fork.parents, { trace: true });
  if (resolution?.verdict !== "resolved" || resolution.trace === undefined) return [];
  const { trace } = resolution;
  const judged = judge(merge, trace);
  const losses = lost.map((one) => classify(merge, trace, judged, one));
  return [...losses, ...revived.map(([key, winner]) => revival(merge, trace, key, winner))];
}

function mergeAt(replay: Replay, causality: Causality, fork: Fork): Merge | undefined {
  const states: StateMap[] = [];
  for (const parent of fork.parents) {
    const after = replay.stateAfter([parent]);
    if (after?.verdict !== "resolved") return undefined;
    states.push(after.state);
  }
  const resolution = replay.stateAfter(fork.parents);
  if (resolution?.verdict !== "resolved") return undefined;
  return { replay, causality, fork, states, resolved: resolution.state, conflicted: conflictedKeys(states), tried: {} };
}

/** Candidates that had been current, and neither stand nor were superseded. */
function lostAt(merge: Merge): readonly Lost[] {
  const { resolved, conflicted, causality } = merge;
  const { index } = merge.replay;
  const isBefore = (key: number, a: number, b: number): boolean =>
    replaced(merge, key, a, b) || causality.isBefore(index.idOf(a), index.idOf(b));
  const lost: Lost[] = [];
  for (const [key, candidates] of conflicted) {
    const winner = resolved.get(key);
    for (const candidate of candidates) {
      if (candidate === winner) continue;
      if (winner !== ABSENT && isBefore(key, candidate, winner)) continue;
      if (candidates.some((other) => other !== candidate && isBefore(key, candidate, other))) continue;
      lost.push({ key, candidate, winner });
    }
  }
  return lost;
}

/** What nearly every question about order comes to: the one event was in the state before the other. */
function replaced({ replay }: Merge, key: number, older: number, newer: number): boolean {
  return replay.stateBefore(replay.index.idOf(newer))?.get(key) === older;
}

/** Keys that no state has and the result has. */
function revivedAt({ states, resolved, conflicted }: Merge): readonly (readonly [key: number, event: number])[] {
  const revived: [number, number][] = [];
  states[0]?.diff(resolved, (key, before, after) => {
    if (before === ABSENT && after !== ABSENT && !conflicted.has(key)) revived.push([key, after]);
  });
  return revived;
}

/** How one check of the resolution went. */
interface Judged {
  readonly number: number;
  readonly check: TracedCheck;
  /** Of a refused event: on whose word. */
  readonly refused: { readonly kind: "rollback" | "reset"; readonly causes: readonly Cause[] } | undefined;
}

/** Goes through the checks once more with the state that each of them read. */
function judge(merge: Merge, trace: ResolutionTrace): ReadonlyMap<string, Judged> {
  const { index } = merge.replay;
  const judged = new Map<string, Judged>();
  const working = trace.algorithm === "v1" ? new WorkingV1(merge, trace) : new WorkingV2(merge, trace);
  trace.checks.forEach((check, at) => {
    const number = index.numberOf(check.eventId);
    const event = index.eventOf(number);
    if (event === undefined) return;
    const refused =
      check.verdict === "refused" ? whyRefused(merge, event, working.lookup(check, event), judged) : undefined;
    judged.set(check.eventId, { number: at + 1, check, refused });
    if (check.verdict !== "refused") working.set(check, index.keyOf(number), number);
  });
  return judged;
}

/** The state that resolution builds up, and what a check reads of it. */
interface Working {
  lookup(check: TracedCheck, event: RoomEvent): StateLookup;
  set(check: TracedCheck, key: number, event: number): void;
}

/** v2 begins with what the states agree on, v2.1 with nothing; the rest is read from an event's own auth events. */
class WorkingV2 implements Working {
  readonly #merge: Merge;
  readonly #base: StateMap;
  readonly #changes = new Map<number, number>();

  constructor(merge: Merge, trace: ResolutionTrace) {
    this.#merge = merge;
    this.#base = trace.algorithm === "v2" ? (merge.states[0] ?? StateMap.empty) : StateMap.empty;
  }

  lookup(_check: TracedCheck, event: RoomEvent): StateLookup {
    const { index } = this.#merge.replay;
    const cited = stateOfAuthEvents(index.rules, event, (id) => index.get(id));
    return (type, stateKey) => {
      const key = index.keyNumber(type, stateKey);
      const hidden = this.#merge.conflicted.has(key) ? ABSENT : this.#base.get(key);
      const number = key === ABSENT ? ABSENT : (this.#changes.get(key) ?? hidden);
      if (number !== ABSENT && !index.isRejected(number)) return index.eventOf(number);
      const own = cited(type, stateKey);
      return own === undefined || index.isRejected(index.numberOf(own.eventId)) ? undefined : own;
    };
  }

  set(_check: TracedCheck, key: number, event: number): void {
    this.#changes.set(key, event);
  }
}

const PHASES: readonly TracedCheck["phase"][] = ["power-levels", "join-rules", "members", "rest"];

/** v1 settles power levels, join rules, members and the rest in this order; a candidate follows the one before. */
class WorkingV1 implements Working {
  readonly #merge: Merge;
  readonly #settled = new Map<number, readonly [phase: number, event: number]>();

  constructor(merge: Merge, trace: ResolutionTrace) {
    this.#merge = merge;
    const { index } = merge.replay;
    for (const { eventId, phase } of trace.checks) {
      const key = index.keyOf(index.numberOf(eventId));
      this.#settled.set(key, [PHASES.indexOf(phase), merge.resolved.get(key)]);
    }
  }

  readonly #current = new Map<number, number>();

  lookup(check: TracedCheck, event: RoomEvent): StateLookup {
    const { index } = this.#merge.replay;
    const own = index.keyOf(index.numberOf(event.eventId));
    const phase = PHASES.indexOf(check.phase);
    return (type, stateKey) => {
      const key = index.keyNumber(type, stateKey);
      if (key === ABSENT) return undefined;
      const settled = this.#settled.get(key);
      if (settled === undefined) return index.eventOf(this.#merge.resolved.get(key));
      if (key === own && check.phase !== "rest") return index.eventOf(this.#current.get(key) ?? ABSENT);
      return settled[0] < phase ? index.eventOf(settled[1]) : undefined;
    };
  }

  set(_check: TracedCheck, key: number, event: number): void {
    this.#current.set(key, event);
  }
}

/** A key at which the state of a check is not what the event was made with. */
interface Difference {
  readonly cause: Cause;
  readonly was: RoomEvent | undefined;
  readonly founded: boolean;
}

function whyRefused(
  merge: Merge,
  event: RoomEvent,
  read: StateLookup,
  judged: ReadonlyMap<string, Judged>,
): { readonly kind: "rollback" | "reset"; readonly causes: readonly Cause[] } {
  const { index } = merge.replay;
  const differences = differencesOf(merge, event, read, judged);
  const passes = (restored: readonly Difference[]): boolean => {
    const state: StateLookup = (type, stateKey) => {
      const found = restored.find(({ cause }) => cause.type === type && cause.stateKey === stateKey);
      return found === undefined ? read(type, stateKey) : found.was;
    };
    return checkStateDependent(index.rules, event, state).verdict === "allowed";
  };
  const unfounded = differences.filter(({ founded }) => !founded);
  const revocations = differences.filter(({ founded }) => founded);
  const baseless = revocations.length === 0 || (unfounded.length > 0 && passes(unfounded));
  const kind = baseless ? "reset" : "rollback";
  const suspects = baseless ? unfounded : revocations;
  const decisive = suspects.filter((one) => passes(kind === "reset" ? [one] : [one, ...unfounded]));
  return { kind, causes: (decisive.length > 0 ? decisive : suspects).map(({ cause }) => cause) };
}

function differencesOf(
  merge: Merge,
  event: RoomEvent,
  read: StateLookup,
  judged: ReadonlyMap<string, Judged>,
): readonly Difference[] {
  const { index } = merge.replay;
  const { rules } = index;
  const before = merge.replay.stateBefore(event.eventId);
  const made = before === undefined ? stateOfAuthEvents(rules, event, (id) => index.get(id)) : index.lookup(before);
  const differences: Difference[] = [];
  for (const [type, stateKey] of [...selectAuthEvents(rules, event), ["m.room.create", ""] as const]) {
    const was = made(type, stateKey);
    const now = read(type, stateKey);
    if (was?.eventId === now?.eventId) continue;
    if (differences.some(({ cause }) => cause.type === type && cause.stateKey === stateKey)) continue;
    const how = howChanged(merge, event, was, now, judged);
    const cause: Cause = { type, stateKey, how, by: now?.eventId, madeWith: was?.eventId };
    differences.push({ cause, was, founded: how.startsWith("revoked") || how === "consequence" });
  }
  return differences;
}

function howChanged(
  { causality }: Merge,
  event: RoomEvent,
  was: RoomEvent | undefined,
  now: RoomEvent | undefined,
  judged: ReadonlyMap<string, Judged>,
): Cause["how"] {
  const relation = now === undefined ? undefined : causality.relation(now.eventId, event.eventId);
  if (relation === "concurrent") return "revoked";
  const rested = was === undefined ? undefined : judged.get(was.eventId)?.refused;
  if (rested?.kind === "rollback") return "consequence";
  if (now === undefined) return "gone";
  if (relation === "before") return "older";
  // What all states agree on takes back nothing that each of them came after.
  return isPowerEvent(now) && judged.has(now.eventId) ? "revoked-later" : "later";
}

function classify(
  merge: Merge,
  trace: ResolutionTrace,
  judged: ReadonlyMap<string, Judged>,
  { key, candidate, winner }: Lost,
): Loss {
  const { index } = merge.replay;
  const [type, stateKey] = index.keyAt(key);
  const eventId = index.idOf(candidate);
  const won = winner === ABSENT ? undefined : index.idOf(winner);
  const one = judged.get(eventId);
  const why = one?.refused ?? unrefused(merge, { type, stateKey, eventId, won }, judged);
  const found = { type, stateKey, eventId, winner: won };
  return {
    kind: why.kind,
    fork: merge.fork,
    algorithm: trace.algorithm,
    ...found,
    step: one === undefined ? undefined : { number: one.number, check: one.check },
    refusal: one?.check.refusal,
    causes: why.causes,
    avoidedBy: remedies(merge, trace, judged, why, { key, candidate, winner }),
  };
}

/** A candidate that no rule refused. */
function unrefused(
  { causality }: Merge,
  lost: {
    readonly type: string;
    readonly stateKey: string;
    readonly eventId: string;
    readonly won: string | undefined;
  },
  judged: ReadonlyMap<string, Judged>,
): Why {
  const { type, stateKey, eventId, won } = lost;
  const checked = judged.has(eventId);
  const concurrent = won !== undefined && causality.relation(won, eventId) === "concurrent";
  const earned = won !== undefined && judged.get(won)?.check.verdict === "allowed";
  if (concurrent && (checked || earned)) return { kind: "overwritten", causes: [] };
  const how = !checked ? "unjudged" : won === undefined ? "gone" : "order";
  return { kind: "reset", causes: [{ type, stateKey, how, by: won, madeWith: undefined }] };
}

interface Why {
  readonly kind: Loss["kind"];
  readonly causes: readonly Cause[];
}

function revival({ replay, fork }: Merge, trace: ResolutionTrace, key: number, event: number): Loss {
  const [type, stateKey] = replay.index.keyAt(key);
  const winner = replay.index.idOf(event);
  const at = trace.checks.findIndex(({ eventId }) => eventId === winner);
  const check = trace.checks[at];
  return {
    kind: "reset",
    fork,
    algorithm: trace.algorithm,
    type,
    stateKey,
    eventId: undefined,
    winner,
    step: check === undefined ? undefined : { number: at + 1, check },
    refusal: undefined,
    causes: [],
    avoidedBy: [],
  };
}

function remedies(
  merge: Merge,
  trace: ResolutionTrace,
  judged: ReadonlyMap<string, Judged>,
  { kind, causes }: Why,
  { key, candidate, winner }: Lost,
): readonly Remedy[] {
  const { replay, states } = merge;
  const found: Remedy[] = [];
  if (kind === "overwritten") return found;
  const keeps = (resolution: Resolution | undefined): boolean => {
    const stands = resolution?.verdict === "resolved" ? resolution.state.get(key) : ABSENT;
    return stands !== ABSENT && (stands === candidate || isAfter(merge, stands, candidate));
  };
  if (kind === "reset") {
    if (trace.algorithm !== "v2.1") {
      merge.tried.v21 ??= resolveV21(replay.index, states);
      if (keeps(merge.tried.v21)) found.push("resolution-v2.1");
    }
    if (!("newer" in merge.tried)) {
      const newer = caughtUp(merge);
      merge.tried.newer = newer === undefined ? undefined : replay.roomVersion.resolve(replay.index, newer);
    }
    if (keeps(merge.tried.newer)) found.push("newer-states");
    if (byClocks(replay, judged, candidate, winner)) found.push("clocks");
    return found;
  }
  const sender = replay.index.eventOf(candidate)?.sender;
  if (
    causes.some(({ how, type }) => how.startsWith("revoked") && type === "m.room.power_levels") &&
    isCreator(merge, sender)
  ) {
    if (replay.roomVersion.rules.auth.creatorPower !== "infinite") found.push("creator-power");
  }
  return [...found, "heard-sooner"];
}

function isAfter({ replay, causality }: Merge, event: number, other: number): boolean {
  return causality.isBefore(replay.index.idOf(other), replay.index.idOf(event));
}

function isCreator({ replay, resolved }: Merge, user: string | undefined): boolean {
  const create = replay.lookup(resolved)("m.room.create", "");
  return create !== undefined && create.sender === user;
}

/** The states with candidates that are old news replaced by what they were replaced by; `undefined` where none are. */
function caughtUp(merge: Merge): readonly StateMap[] | undefined {
  const states = merge.states.map((state) => {
    const changes = new Map<number, number>();
    for (const [key, candidates] of merge.conflicted) {
      const mine = state.get(key);
      const newer = candidates.filter((other) => mine !== ABSENT && isAfter(merge, other, mine));
      const [only] = newer.filter((one) => !newer.some((other) => isAfter(merge, other, one)));
      if (only !== undefined) changes.set(key, only);
    }
    return state.setAll(changes);
  });
  return states.some((state, at) => state !== merge.states[at]) ? states : undefined;
}

/** Whether nothing but their times put the two in this order. */
function byClocks(replay: Replay, judged: ReadonlyMap<string, Judged>, candidate: number, winner: number): boolean {
  const { index } = replay;
  if (winner === ABSENT) return false;
  const lost = judged.get(index.idOf(candidate))?.check;
  const won = judged.get(index.idOf(winner))?.check;
  if (lost?.verdict !== "allowed" || won?.phase !== lost.phase) return false;
  return lost.mainlinePosition === won.mainlinePosition && lost.originServerTs <= won.originServerTs;
}
