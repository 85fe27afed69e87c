/** What page and worker say to each other. */
import type { Finding } from "../inspect/audit.js";
import type { Disagreement } from "../inspect/disagree.js";
import type { Explanation } from "../inspect/explain.js";
import type { GraphNode, RoomGraph } from "../inspect/graph.js";
import type { Fork } from "../inspect/replay.js";
import type { StateComparison } from "../inspect/compare.js";
import type { SignatureCounts, StateEntry } from "../inspect/room.js";
import type { ResolutionTrace } from "../stateres/trace.js";
import type { Layout } from "./layout.js";

/** A room as the page gets it: text, or text that was compressed to keep the file small. */
export interface Source {
  readonly name: string;
  readonly text?: string;
  /** Gzip, in base64. */
  readonly gzip?: string;
  readonly file?: Blob;
  readonly roomVersion?: string;
  readonly roomId?: string;
  /** `assumed`: a server kept it, which verified the signatures when events came. */
  readonly signatures?: "assumed";
}

export type Request =
  | { readonly ask: "load"; readonly source: Source }
  | { readonly ask: "layout"; readonly open: readonly string[]; readonly fold: boolean }
  | { readonly ask: "explain"; readonly eventId: string }
  | { readonly ask: "state"; readonly eventId: string; readonly side: "before" | "after" }
  | { readonly ask: "audit" }
  | { readonly ask: "resolve"; readonly eventIds: readonly string[] };

/** What each question is answered with. */
export interface Answers {
  readonly load: LoadedRoom;
  readonly layout: Drawing;
  readonly explain: EventDetail;
  readonly state: readonly StateEntry[];
  readonly audit: AuditResult;
  readonly resolve: ResolutionDetail;
}

export interface Problem {
  readonly code: string;
  readonly reason: string;
}

/** What the worker sends: answers under the number of their question, and news. */
export type Reply =
  | { readonly number: number; readonly ok: true; readonly answer: Answers[keyof Answers] }
  | { readonly number: number; readonly ok: false; readonly problem: Problem }
  | { readonly progress: string; readonly done: number; readonly total: number }
  /** The room before it was checked: its graph is there, and every verdict is still to come. */
  | { readonly preview: LoadedRoom }
  | { readonly update: LoadedRoom };

/** Nodes and where they stand. */
export interface Drawing {
  readonly nodes: readonly GraphNode[];
  readonly layout: Layout;
}

/** A recorded state or request beside what was computed. */
export interface Comparison {
  readonly name: string;
  readonly before: string | undefined;
  readonly outcome: StateComparison["outcome"];
}

/** A room that was read and checked. */
export interface LoadedRoom {
  readonly name: string;
  readonly isChecked: boolean;
  readonly graph: RoomGraph;
  /** Absent when only verdicts changed. */
  readonly drawing: Drawing | undefined;
  readonly counts: readonly (readonly [verdict: string, count: number])[];
  readonly signatures: SignatureCounts;
  /** How many signatures are still to be checked; verdicts can change when they are. */
  readonly unchecked: number;
  readonly malformed: readonly Malformed[];
  readonly disagreements: readonly Disagreement[];
  readonly comparisons: readonly Comparison[];
  readonly forks: readonly Fork[];
  readonly tips: readonly string[];
  readonly notes: readonly string[];
  readonly story: Story | undefined;
}

/** What an audit found, without what only programs read of it. */
export type AuditFinding = Pick<Finding, "kind" | "severity" | "reason" | "rule" | "events">;

/**
 * An event that the state refused which a server had when it came. Without `refusal` that is only recorded: the order
 * of the file does not lead to it.
 */
export interface SoftFailure {
  readonly eventId: string;
  /** Whether the server that kept the file says so; otherwise it is worked out from the order of the file. */
  readonly isRecorded: boolean;
  readonly refusal: RefusalInWords | undefined;
}

export interface RefusalInWords {
  readonly reason: string;
  /** The rule, in words. */
  readonly rule: string | undefined;
  readonly ruleLabel: string | undefined;
}

export interface AuditResult {
  readonly findings: readonly AuditFinding[];
  /** In the order of the file. */
  readonly softFailures: readonly SoftFailure[];
}

/** What a scenario says of itself. */
export interface Story {
  readonly title: string | undefined;
  readonly lesson: readonly string[];
  readonly source: readonly string[];
}

export interface Malformed {
  readonly where: string;
  readonly eventId: string | undefined;
  readonly reason: string;
}

/** A key at which two states differ. */
export interface StateChange {
  readonly type: string;
  readonly stateKey: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** The state before an event beside the state after one of its parents, or beside the state after it. */
export interface StateStep {
  /** The parent, or `undefined` for what the event itself changes. */
  readonly parent: string | undefined;
  readonly changes: readonly StateChange[];
}

/** All that is shown of one event. */
export interface EventDetail {
  readonly explanation: Explanation;
  /** The event as JSON, indented. */
  readonly json: string;
  /** The rule that decided, in words. */
  readonly rule: string | undefined;
  readonly ruleLabel: string | undefined;
  readonly stateSize: number | undefined;
  readonly steps: readonly StateStep[];
}

/** A resolution that was asked for. */
export interface ResolutionDetail {
  readonly eventIds: readonly string[];
  readonly trace: ResolutionTrace | undefined;
  readonly state: readonly StateEntry[];
  /** How many states differed from the first. */
  readonly distinct: number;
  readonly comparisons: readonly Comparison[];
}
