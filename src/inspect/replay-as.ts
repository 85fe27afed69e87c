/**
 * What another room version would have made of a room: its events rewritten, judged and resolved by that version's
 * rules, and every difference with what decided it. docs/inspect.md says what is rewritten and how.
 */
import { rememberingProvider } from "../crypto/ed25519-provider.js";
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import type { StateKey } from "../auth/select.js";
import type { StateMap } from "../dag/state-map.js";
import { compareCodePoints } from "../json/compare.js";
import { conflictedKeys } from "../stateres/conflict.js";
import type { KeyOutcome, ResolutionTrace } from "../stateres/trace.js";
import type { Dump } from "./dump.js";
import { roomVersions } from "../versions/index.js";
import { assumedSignatures } from "./receive.js";
import type { ReceivedEvent } from "./receive.js";
import { standingOfVerdict, Replay } from "./replay.js";
import type { EventVerdict, KnownState } from "./replay.js";
import { Rewriter } from "./rewrite.js";
import type { Adaptation } from "./rewrite.js";
import { checkRoom } from "./room.js";
import type { CheckOptions, RoomReport } from "./room.js";

/** An event that the two versions judge differently. Ids are those of the room as it is. */
export interface VerdictDifference {
  readonly eventId: string;
  /** Its id in the other version; `undefined` where that has no form for it. */
  readonly there: string | undefined;
  readonly type: string;
  readonly stateKey: string | undefined;
  readonly sender: string;
  readonly before: EventVerdict;
  readonly after: EventVerdict;
  /** The rule that decided where it is refused, under its number there. */
  readonly rule: string | undefined;
  /** A sentence for a person. */
  readonly reason: string;
}

/** A key that the two versions fill differently in one state. */
export interface StateDifference {
  /** The event before which the states differ first; `undefined`: the room's last state. */
  readonly at: string | undefined;
  readonly type: string;
  readonly stateKey: string;
  /** Ids of the room as it is; `undefined`: nothing there. */
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** What the two resolutions made of the key, where it was in conflict. */
  readonly resolvedBefore: KeyOutcome | undefined;
  readonly resolvedAfter: KeyOutcome | undefined;
  readonly reason: string;
}

/** What became of a room in another version. */
export interface Replayed {
  readonly from: string;
  readonly to: string;
  /** Ids there by ids here. */
  readonly ids: ReadonlyMap<string, string>;
  readonly events: number;
  /** What the format made necessary. */
  readonly adaptations: readonly Adaptation[];
  /** In causal order. */
  readonly verdicts: readonly VerdictDifference[];
  /** Where a key differs for the first time in causal order, and what differs in the end. */
  readonly states: readonly StateDifference[];
  /** Whether nothing differs. */
  readonly same: boolean;
  /** The room as it is, checked. */
  readonly report: RoomReport;
  /** The room as it would be. */
  readonly replay: Replay;
}

/**
 * Judges a room by the rules of another version. Signatures cannot be made anew, so who signed here counts as having
 * signed there.
 *
 * @returns the differences, or a refusal `unknown_room_version` as {@link checkRoom} has it, or when the other version
 * is not registered.
 */
export function replayAs(dump: Dump, version: string, options: CheckOptions = {}): Result<Replayed> {
  const report = checkRoom(dump, options);
  return report.ok ? replayReportAs(report.value, version, options) : report;
}

/** The same of what was checked already. */
export function replayReportAs(report: RoomReport, version: string, options: CheckOptions = {}): Result<Replayed> {
  const to = (options.registry ?? roomVersions).get(version);
  if (!to.ok) return to;
  const here = report.replay;
  const { rules } = to.value;
  const rewriter = new Rewriter(here.roomVersion.rules, rules, (id) => here.pdu(id));
  const events = new Map<string, ReceivedEvent>();
  const ids = new Map<string, string>();
  const refused = new Map<string, EventVerdict>();
  for (const id of here.order) {
    const received = report.received.events.get(id);
    const pdu = here.pdu(id);
    if (received === undefined || pdu === undefined) continue;
    const rewritten = rewriter.rewrite(pdu);
    if (!rewritten.ok) {
      refused.set(id, { verdict: "malformed", refusal: { ...rewritten.error, events: [id] } });
      continue;
    }
    const { eventId } = rewritten.value;
    ids.set(id, eventId);
    const [copy] = received.copies;
    const signed = assumedSignatures(rules, rewritten.value).servers;
    // Who did sign counts; who does not have to here and has to there is taken to have.
    const signatures = { ...copy.signatures, servers: new Map([...signed, ...copy.signatures.servers]) };
    events.set(eventId, {
      ...received,
      eventId,
      copies: [{ ...copy, signatures, pdu: rewritten.value }],
      wrongIds: [],
    });
  }
  if (events.size === 0 && here.order.length > 0) {
    return refuse("bad_format", `room version ${version} has no form for any of these events`);
  }
  const states = knownStates(report, ids);
  const provider = options.provider ?? rememberingProvider();
  const there = new Replay(to.value, events, states, provider);
  const verdicts = verdictDifferences(report, there, ids, refused);
  const stateDiffs = stateDifferences(report, there, ids, verdicts);
  return ok({
    from: here.roomVersion.id,
    to: version,
    ids,
    events: here.order.length,
    adaptations: [...rewriter.adaptations].sort(compareCodePoints),
    verdicts,
    states: stateDiffs,
    same: verdicts.length === 0 && stateDiffs.length === 0,
    report,
    replay: there,
  });
}

function knownStates({ replay }: RoomReport, ids: ReadonlyMap<string, string>): readonly KnownState[] {
  return replay.recorded.map((state) => ({
    ...state,
    before: state.before === undefined ? undefined : (ids.get(state.before) ?? state.before),
    members: state.members.map((id) => ids.get(id) ?? id),
  }));
}

function verdictDifferences(
  { replay: here }: RoomReport,
  there: Replay,
  ids: ReadonlyMap<string, string>,
  refused: ReadonlyMap<string, EventVerdict>,
): readonly VerdictDifference[] {
  const names = new Map([...ids].map(([old, now]) => [now, old]));
  const found: VerdictDifference[] = [];
  for (const eventId of here.order) {
    const pdu = here.pdu(eventId);
    const before = here.verdicts.get(eventId);
    const now = ids.get(eventId);
    const after = now === undefined ? refused.get(eventId) : there.verdicts.get(now);
    if (pdu === undefined || before === undefined || after === undefined) continue;
    // At which step an event was refused differs from version to version; whether it was matters.
    if (standingOfVerdict(before) === standingOfVerdict(after)) continue;
    const { type, stateKey, sender } = pdu;
    const { rule, reason } = whyDiffers(before, after, (id) => names.get(id) ?? id);
    found.push({ eventId, there: now, type, stateKey, sender, before, after, rule, reason });
  }
  return found;
}

function whyDiffers(
  before: EventVerdict,
  after: EventVerdict,
  nameOf: (id: string) => string,
): { readonly rule: string | undefined; readonly reason: string } {
  const refusalOf = (verdict: EventVerdict): { readonly rule?: string; readonly reason: string } | undefined =>
    "refusal" in verdict ? verdict.refusal : verdict.verdict === "undecided" ? { reason: verdict.reason } : undefined;
  const there = refusalOf(after);
  if (there !== undefined) {
    const others = "refusal" in after ? after.refusal.events.slice(1).map(nameOf) : [];
    const about = others.length === 0 ? "" : ` (${others.join(", ")})`;
    return { rule: there.rule, reason: `${there.reason}${about}` };
  }
  const rule = after.verdict === "accepted" ? after.rule : undefined;
  return { rule, reason: `allowed there; here: ${refusalOf(before)?.reason ?? before.verdict}` };
}

/** A place where both rooms have a state: here, there, and what the two resolutions made of it. */
interface Place {
  readonly at: string | undefined;
  readonly parents: readonly string[];
  readonly mapped: readonly string[];
}

/** A key is told where it differs first: what follows from that would repeat it at every event. */
function stateDifferences(
  report: RoomReport,
  there: Replay,
  ids: ReadonlyMap<string, string>,
  verdicts: readonly VerdictDifference[],
): readonly StateDifference[] {
  const names = new Map([...ids].map(([old, now]) => [now, old]));
  const judged = new Set(verdicts.map(({ eventId }) => eventId));
  const told = new Set<string>();
  const found: StateDifference[] = [];
  for (const place of placesOf(report, ids)) {
    for (const difference of differencesAt(report.replay, there, place, { names, judged })) {
      const { type, stateKey, before, after } = difference;
      const name = JSON.stringify([type, stateKey, before ?? null, after ?? null]);
      if (told.has(name)) continue;
      told.add(name);
      found.push(difference);
    }
  }
  return found;
}

/** The forks, and the room's ends; places with events that the other version has no form for are left out. */
function placesOf({ forks, tips }: RoomReport, ids: ReadonlyMap<string, string>): readonly Place[] {
  const ends = forks.some(({ before }) => before === undefined) || tips.length === 0 ? [] : [{ parents: tips }];
  return [...forks, ...ends].flatMap((fork): readonly Place[] => {
    const mapped = fork.parents.map((id) => ids.get(id));
    if (!mapped.every((id) => id !== undefined)) return [];
    return [{ at: "before" in fork ? fork.before : undefined, parents: fork.parents, mapped }];
  });
}

interface Known {
  /** Ids here by ids there. */
  readonly names: ReadonlyMap<string, string>;
  /** Events whose verdicts differ. */
  readonly judged: ReadonlySet<string>;
}

function differencesAt(here: Replay, there: Replay, place: Place, known: Known): readonly StateDifference[] {
  const { at, parents, mapped } = place;
  const mine = here.stateAfter(parents);
  const theirs = there.stateAfter(mapped);
  if (mine?.verdict !== "resolved" || theirs?.verdict !== "resolved") return [];
  const traces = new Lazy(() => [tracesOf(here, parents), tracesOf(there, mapped)] as const);
  const keys = new Map<string, StateKey>();
  for (const key of at === undefined ? allKeys(here, mine.state) : keysInConflict(here, parents)) {
    keys.set(JSON.stringify(key), key);
  }
  for (const key of at === undefined ? allKeys(there, theirs.state) : keysInConflict(there, mapped)) {
    keys.set(JSON.stringify(key), key);
  }
  const found: StateDifference[] = [];
  const [nowHere, nowThere] = [here.lookup(mine.state), there.lookup(theirs.state)];
  for (const [type, stateKey] of keys.values()) {
    const before = nowHere(type, stateKey)?.eventId;
    const now = nowThere(type, stateKey)?.eventId;
    const after = now === undefined ? undefined : (known.names.get(now) ?? now);
    if (before === after) continue;
    const [resolvedBefore, resolvedAfter] = traces.value.map((trace) => outcomeOf(trace, type, stateKey));
    const reason = whyStatesDiffer({ before, after, resolvedBefore, resolvedAfter }, known.judged, here, there);
    found.push({ at, type, stateKey, before, after, resolvedBefore, resolvedAfter, reason });
  }
  return found;
}

/** Worked out when it is asked for. */
class Lazy<T> {
  readonly #make: () => T;
  #made: { readonly value: T } | undefined;

  constructor(make: () => T) {
    this.#make = make;
  }

  get value(): T {
    return (this.#made ??= { value: this.#make() }).value;
  }
}

function allKeys({ index }: Replay, state: StateMap): readonly StateKey[] {
  const keys: StateKey[] = [];
  state.forEach((_event, key) => keys.push(index.keyAt(key)));
  return keys;
}

/** Where the states after these events differ: elsewhere nothing new can come of resolving them. */
function keysInConflict(replay: Replay, parents: readonly string[]): readonly StateKey[] {
  const states = parents.flatMap((id) => {
    const after = replay.stateAfter([id]);
    return after?.verdict === "resolved" ? [after.state] : [];
  });
  return [...conflictedKeys(states).keys()].map((key) => replay.index.keyAt(key));
}

function tracesOf(replay: Replay, parents: readonly string[]): ResolutionTrace | undefined {
  const resolution = parents.length < 2 ? undefined : replay.stateAfter(parents, { trace: true });
  return resolution?.verdict === "resolved" ? resolution.trace : undefined;
}

function outcomeOf(trace: ResolutionTrace | undefined, type: string, stateKey: string): KeyOutcome | undefined {
  return trace?.outcomes.find((outcome) => outcome.type === type && outcome.stateKey === stateKey);
}

function whyStatesDiffer(
  difference: Pick<StateDifference, "before" | "after" | "resolvedBefore" | "resolvedAfter">,
  judged: ReadonlySet<string>,
  here: Replay,
  there: Replay,
): string {
  const { before, after, resolvedBefore, resolvedAfter } = difference;
  const refusedOnce = [before, after].find((id) => id !== undefined && judged.has(id));
  if (refusedOnce !== undefined) return `follows from the verdict on ${refusedOnce}`;
  const told = (outcome: KeyOutcome | undefined, replay: Replay): string => {
    const { id, rules } = replay.roomVersion;
    if (outcome === undefined) return `version ${id} sees no conflict`;
    const refused = outcome.lost.flatMap(({ because }) => (because.why === "refused" ? [because.refusal.reason] : []));
    const why = refused.length === 0 ? "the last in its order stands" : refused.join("; ");
    return `resolution ${rules.stateResolution} of version ${id}: ${why}`;
  };
  return `${told(resolvedBefore, here)}; ${told(resolvedAfter, there)}`;
}
