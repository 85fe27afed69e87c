/** One room in the worker: checked, drawn, asked. The worker adds files and signatures. */
import type { Ed25519Provider } from "../crypto/ed25519-provider.js";
import { ABSENT } from "../dag/state-map.js";
import type { StateMap } from "../dag/state-map.js";
import { ok, refuse } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import { auditReport } from "../inspect/audit.js";
import type { Dump } from "../inspect/dump.js";
import { fileOrder, softFailures } from "../inspect/arrivals.js";
import { explainEvent } from "../inspect/explain.js";
import { foldRuns, graphOf } from "../inspect/graph.js";
import type { RoomGraph } from "../inspect/graph.js";
import { checkRoom } from "../inspect/room.js";
import type { RoomReport, StateEntry } from "../inspect/room.js";
import { ruleInWords } from "../inspect/rule-words.js";
import { compareCodePoints } from "../json/compare.js";
import { jsonText } from "./json-text.js";
import { layoutOf } from "./layout.js";
import type {
  AuditResult,
  Comparison,
  Drawing,
  EventDetail,
  LoadedRoom,
  ResolutionDetail,
  SoftFailure,
  StateChange,
} from "./protocol.js";
import type { StateStep, Story } from "./protocol.js";

/** What is known of a room beside its events. */
export interface About {
  readonly name: string;
  readonly story: Story | undefined;
}

/** Smaller rooms are drawn whole. */
export const FOLD_FROM = 60;
export const SHORTEST_RUN = 6;

export function draw(graph: RoomGraph, open: readonly string[], fold: boolean): Drawing {
  const shortest = fold && graph.events.length >= FOLD_FROM ? SHORTEST_RUN : Infinity;
  const nodes = foldRuns(graph, { shortest, open: new Set(open) });
  return { nodes, layout: layoutOf(nodes) };
}

/** A room that can be drawn already and has still to be checked. */
export function previewOf(about: About, graph: RoomGraph, drawing: Drawing): LoadedRoom {
  const signatures = { verified: 0, unknownKey: 0, refused: 0 };
  const nothing = { malformed: [], disagreements: [], comparisons: [], forks: [], tips: [], notes: [], counts: [] };
  return { ...about, isChecked: false, graph, drawing, signatures, unchecked: 0, ...nothing };
}

/** A room that was checked, with what is worked out of it once. */
export class Session {
  readonly report: RoomReport;
  readonly graph: RoomGraph;
  readonly #about: About;

  constructor(about: About, report: RoomReport) {
    this.#about = about;
    this.report = report;
    this.graph = graphOf(report);
  }

  /** Checks a dump. Without `provider` no signature is checked, as if no key were known. */
  static check(
    about: About,
    dump: Dump,
    provider: Ed25519Provider | undefined,
    progress: (done: number, total: number) => void = () => undefined,
  ): Result<Session> {
    const options = provider === undefined ? { progress } : { progress, provider };
    const report = checkRoom(provider === undefined ? { ...dump, keys: [] } : dump, options);
    return report.ok ? ok(new Session(about, report.value)) : report;
  }

  draw(open: readonly string[], fold: boolean): Drawing {
    return draw(this.graph, open, fold);
  }

  /** `drawing` is left out where the one that the page has stays good. */
  room(drawing: Drawing | undefined, unchecked: number): LoadedRoom {
    const { report } = this;
    return {
      ...this.#about,
      isChecked: true,
      graph: this.graph,
      drawing,
      counts: [...report.counts],
      signatures: report.signatures,
      unchecked,
      malformed: report.malformed.map(({ where, givenId, refusal }) => ({
        where,
        eventId: givenId,
        reason: refusal.reason,
      })),
      disagreements: report.disagreements,
      comparisons: this.#comparisons(),
      forks: report.forks,
      tips: report.tips,
      notes: report.notes,
    };
  }

  #comparisons(): readonly Comparison[] {
    const { comparisons, request } = this.report;
    if (request?.outcome !== "resolved" || request.agreement === undefined) return comparisons;
    return [...comparisons, { name: "request", before: undefined, outcome: request.agreement }];
  }

  explain(eventId: string): Result<EventDetail> {
    const explanation = explainEvent(this.report, eventId);
    if (!explanation.ok) return explanation;
    const { replay } = this.report;
    const { verdict } = explanation.value.event;
    const refusal: Refusal | undefined = "refusal" in verdict ? verdict.refusal : undefined;
    const label = verdict.verdict === "accepted" ? verdict.rule : refusal?.rule;
    const before = replay.stateBefore(eventId);
    return ok({
      explanation: explanation.value,
      json: jsonText(replay.pdu(eventId)?.json ?? null),
      rule: label === undefined ? undefined : ruleInWords(replay.roomVersion.rules, label),
      ruleLabel: label,
      stateSize: before?.size,
      steps: before === undefined ? [] : this.#steps(eventId, before),
    });
  }

  #steps(eventId: string, before: StateMap): readonly StateStep[] {
    const { replay } = this.report;
    const parents = [...new Set(replay.pdu(eventId)?.prevEvents)];
    const merged = parents.length < 2 ? [] : parents;
    const steps: StateStep[] = merged.flatMap((parent) => {
      const state = this.#after(parent);
      return state === undefined ? [] : [{ parent, changes: this.#changes(state, before) }];
    });
    const after = this.#after(eventId);
    return after === undefined ? steps : [...steps, { parent: undefined, changes: this.#changes(before, after) }];
  }

  #after(eventId: string): StateMap | undefined {
    const resolution = this.report.replay.stateAfter([eventId]);
    return resolution?.verdict === "resolved" ? resolution.state : undefined;
  }

  #changes(from: StateMap, to: StateMap): readonly StateChange[] {
    const { index } = this.report.replay;
    const changes: StateChange[] = [];
    from.diff(to, (key) => {
      const [type, stateKey] = index.keyAt(key);
      const idAt = (state: StateMap): string | undefined => {
        const number = state.get(key);
        return number === ABSENT ? undefined : index.idOf(number);
      };
      changes.push({ type, stateKey, from: idAt(from), to: idAt(to) });
    });
    return changes.sort(byKey);
  }

  state(eventId: string, side: "before" | "after"): Result<readonly StateEntry[]> {
    const state = side === "before" ? this.report.replay.stateBefore(eventId) : this.#after(eventId);
    if (state !== undefined) return ok(this.#entries(state));
    return refuse("undecided", `the state ${side} this event is not known, because ancestors are absent`);
  }

  audit(): AuditResult {
    const { findings } = auditReport(this.report);
    const plain = findings.map(({ kind, severity, reason, rule, events }) => ({
      kind,
      severity,
      reason,
      rule,
      events,
    }));
    return { findings: plain, softFailures: this.#softFailures() };
  }

  #softFailures(): readonly SoftFailure[] {
    const { received, replay } = this.report;
    const order = fileOrder(this.report);
    const refused = softFailures(this.report, order);
    return order.flatMap((eventId): readonly SoftFailure[] => {
      const refusal = refused.get(eventId);
      const isRecorded = received.events.get(eventId)?.recorded.softFailed === true;
      if (refusal === undefined) return isRecorded ? [{ eventId, isRecorded, refusal }] : [];
      const { reason, rule: ruleLabel } = refusal;
      const rule = ruleLabel === undefined ? undefined : ruleInWords(replay.roomVersion.rules, ruleLabel);
      return [{ eventId, isRecorded, refusal: { reason, rule, ruleLabel } }];
    });
  }

  resolve(eventIds: readonly string[]): Result<ResolutionDetail> {
    const { replay } = this.report;
    const ids = [...new Set(eventIds)];
    const unknown = ids.find((id) => this.#after(id) === undefined);
    if (unknown !== undefined)
      return refuse("undecided", `the state after ${unknown} is not known`, { events: [unknown] });
    const resolution = replay.stateAfter(ids, { trace: true });
    if (resolution === undefined) return refuse("undecided", "choose the events whose states are to be resolved");
    if (resolution.verdict === "refused") return { ok: false, error: resolution.refusal };
    if (resolution.verdict === "needs") {
      return refuse("undecided", `events are missing: ${resolution.events.slice(0, 5).join(", ")}`);
    }
    const { state, trace } = resolution;
    const distinct = ids.filter((id) => replay.differ([ids[0] ?? "", id])).length;
    return ok({ eventIds: ids, trace, state: this.#entries(state), distinct, comparisons: this.#recorded(ids) });
  }

  /** Recorded states before an event that has just these parents. */
  #recorded(ids: readonly string[]): readonly Comparison[] {
    const { replay, comparisons } = this.report;
    const wanted = new Set(ids);
    return comparisons.filter(({ before }) => {
      const parents = before === undefined ? undefined : replay.pdu(before)?.prevEvents;
      return parents !== undefined && parents.length === wanted.size && parents.every((id) => wanted.has(id));
    });
  }

  #entries(state: StateMap): readonly StateEntry[] {
    const { index } = this.report.replay;
    const entries: StateEntry[] = [];
    state.forEach((event, key) => {
      const [type, stateKey] = index.keyAt(key);
      entries.push({ type, stateKey, eventId: index.idOf(event) });
    });
    return entries.sort(byKey);
  }
}

interface Keyed {
  readonly type: string;
  readonly stateKey: string;
}

function byKey(a: Keyed, b: Keyed): number {
  return compareCodePoints(a.type, b.type) || compareCodePoints(a.stateKey, b.stateKey);
}
