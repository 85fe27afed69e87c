/**
 * Looking at rooms: readers of what people have, a check of all of it, explanations, and the line
 * protocol that other implementations are compared by.
 *
 * @module
 */
export { answerLine } from "./oracle.js";
export { readDump, readRecording } from "./read.js";
export type { ReadOptions } from "./read.js";
export type { Dump, DumpEvent, EventRole, RecordedStanding, RecordedState, ResolveRequest } from "./dump.js";
export { publishedKeyOf } from "./compose.js";
export { isScenario, readScenario } from "./scenario.js";
export type { Expectation, Scenario, ScenarioOptions } from "./scenario.js";
export { formatScenario } from "./scenario-format.js";
export { parseJson5 } from "./json5.js";
export { auditReport, auditRoom } from "./audit.js";
export type { AuditOptions, Finding, FindingKind, RoomAudit, Severity } from "./audit.js";
export type { Cause, Loss, Remedy } from "./losses.js";
export { Causality } from "./causality.js";
export type { Relation } from "./causality.js";
export { Extremities, fileOrder, softFailures } from "./arrivals.js";
export { replayAs, replayReportAs } from "./replay-as.js";
export type { Replayed, StateDifference, VerdictDifference } from "./replay-as.js";
export type { Adaptation } from "./rewrite.js";
export { formatAudit, formatReplay, plainAudit, plainReplay, remedySentence } from "./format-audit.js";
export type { FormatAuditOptions } from "./format-audit.js";
export { keyLookup } from "./keys.js";
export { checkRoom } from "./room.js";
export type { CheckOptions, EventReport, RoomReport, SignatureCounts, SignatureStatus, StateEntry } from "./room.js";
export type { RequestComparison, StateComparison } from "./compare.js";
export type { Disagreement } from "./disagree.js";
export type { EventCopy, HashStatus, MalformedEvent, Received, ReceivedEvent } from "./receive.js";
export { Replay } from "./replay.js";
export type { EventVerdict, Fork, KnownState, NeededKeys, VerdictBasis } from "./replay.js";
export { loadRequest } from "./request.js";
export type { LoadedRequest } from "./request.js";
export { explainEvent, traceFork } from "./explain.js";
export type { ConsultedKey, Explanation, Fate, NamedEvent } from "./explain.js";
export { plainReport } from "./json.js";
export type { JsonOptions, PlainReport } from "./json.js";
export { formatClosing, formatExplanation, formatReport, formatSummary, formatTraces, printable } from "./format.js";
export type { FormatOptions } from "./format.js";
export { foldRuns, graphOf, graphOfDump } from "./graph.js";
export type { FoldOptions, GraphEvent, GraphNode, RoomGraph, Standing } from "./graph.js";
export { formatDot, formatMermaid } from "./graph-text.js";
export { ruleInWords } from "./rule-words.js";
