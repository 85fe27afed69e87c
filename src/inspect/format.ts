/** Reports as text for people. Pure functions from reports to strings. */
import type { Refusal } from "../errors.js";
import type { SignerVerdict } from "../event/signatures.js";
import type { KeyOutcome, LostBecause, ResolutionTrace, TracedCheck } from "../stateres/trace.js";
import type { RequestComparison, StateComparison } from "./compare.js";
import type { Explanation, Fate, NamedEvent } from "./explain.js";
import { traceFork } from "./explain.js";
import type { EventVerdict, Fork } from "./replay.js";
import type { EventReport, RoomReport } from "./room.js";

/** How reports are written. */
export interface FormatOptions {
  /** Whether to colour the text with ANSI escapes. */
  readonly colour?: boolean;
}

type Paint = (text: string) => string;

interface Palette {
  readonly good: Paint;
  readonly bad: Paint;
  readonly dim: Paint;
  readonly title: Paint;
}

function palette({ colour = false }: FormatOptions): Palette {
  const paint = (code: number): Paint => (colour ? (text) => `\u001b[${code}m${text}\u001b[0m` : (text) => text);
  return { good: paint(32), bad: paint(31), dim: paint(2), title: paint(1) };
}

/** Control characters, and those that reorder text: whoever sent an event must not steer a terminal. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Text from the network, safe to print on one line. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The ids of events in a sentence; a colon may follow one, and be part of one. */
const EVENT_IDS = /\$[^\s,;()]+?(?=:?(?:[\s,;()]|$))/g;

/** A sentence with what `naming` makes of the ids of events in it. */
export function renamed(text: string, naming: (eventId: string) => string): string {
  return text.replace(EVENT_IDS, naming);
}

/** A sentence cut at the ids of events in it: text and ids by turns, text first. */
export function cutAtIds(text: string): readonly string[] {
  const parts: string[] = [];
  let end = 0;
  for (const { 0: id, index } of text.matchAll(EVENT_IDS)) {
    parts.push(text.slice(end, index), id);
    end = index + id.length;
  }
  return [...parts, text.slice(end)];
}

/** Columns padded to their widest cell; the last one is not padded. */
function table(rows: readonly (readonly string[])[], indent: string): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? 0, cell.length);
    });
  }
  return rows.map((row) => {
    const cells = row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)));
    return `${indent}${cells.join("  ")}`.trimEnd();
  });
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function keyName(type: string, stateKey: string | undefined): string {
  return printable(stateKey === undefined || stateKey === "" ? type : `${type} ${stateKey}`);
}

/** How many events have which verdict, such as `28 accepted, 1 undecided`. */
function countsText(report: RoomReport): string {
  const parts = [...report.counts].map(([verdict, count]) => `${count} ${verdict}`);
  const redacted = report.events.filter(({ hash }) => hash === "redacted").length;
  const mismatched = report.events.filter(({ hash }) => hash === "mismatch").length;
  if (redacted > 0) parts.push(`${redacted} redacted`);
  if (mismatched > 0) parts.push(`${mismatched} with a wrong hash`);
  return parts.length === 0 ? "no events" : parts.join(", ");
}

function signaturesText({ signatures }: RoomReport): string {
  const parts = [`${plural(signatures.verified, "signature")} verified`];
  if (signatures.unknownKey > 0) parts.push(`${signatures.unknownKey} unchecked (unknown keys)`);
  if (signatures.refused > 0) parts.push(`${signatures.refused} refused`);
  return parts.join(", ");
}

/** Every comparison with a recorded state that could be made. */
function comparisonsOf(report: RoomReport): readonly StateComparison["outcome"][] {
  const all = report.comparisons.map(({ outcome }) => outcome);
  const { request } = report;
  if (request?.outcome === "resolved" && request.agreement !== undefined) all.push(request.agreement);
  return all.filter(({ outcome }) => outcome === "agrees" || outcome === "differs");
}

function agreementText(report: RoomReport, paint: Palette): string {
  const compared = comparisonsOf(report);
  const differing = compared.filter(({ outcome }) => outcome === "differs").length;
  if (compared.length === 0) return "no recorded state to compare";
  if (differing === 0) return paint.good(`state agrees (${compared.length})`);
  return paint.bad(`state differs (${differing} of ${compared.length})`);
}

/** One file on one line: version, events, verdicts, signatures, agreement with the recorded state. */
export function formatSummary(name: string, report: RoomReport, options: FormatOptions = {}): string {
  const paint = palette(options);
  const found = report.disagreements.length;
  const ending = found === 0 ? [] : [paint.bad(plural(found, "disagreement"))];
  const cells = [
    printable(name).padEnd(28),
    `version ${report.roomVersion}`.padEnd(11),
    plural(report.events.length + report.malformed.length, "event").padStart(10),
    countsText(report).padEnd(26),
    signaturesText(report).padEnd(22),
    agreementText(report, paint),
    ...ending,
  ];
  return cells.join("  ");
}

/** The sentence after the last of several files. */
export function formatClosing(reports: readonly RoomReport[], unreadable: number): string {
  const sum = (of: (report: RoomReport) => number): number => reports.reduce((total, report) => total + of(report), 0);
  const events = sum((report) => report.events.length);
  const verified = sum((report) => report.signatures.verified);
  const unchecked = sum((report) => report.signatures.unknownKey);
  const compared = sum((report) => comparisonsOf(report).length);
  const forks = sum((report) => report.forks.length);
  const disagreeing = reports.filter(({ disagreements }) => disagreements.length > 0).length;
  const undecided = sum((report) => report.counts.get("undecided") ?? 0);
  const versions = [...new Set(reports.map(({ roomVersion }) => roomVersion))];
  const failed = unreadable === 0 ? "" : ` ${plural(unreadable, "file")} could not be checked.`;
  if (reports.length === 0) return failed.trim();
  const without = unchecked > 0 ? ` and ${unchecked} unchecked (unknown keys)` : "";
  const work =
    `${plural(events, "event")} of room version${versions.length === 1 ? "" : "s"} ${versions.join(", ")}: ids and ` +
    `content hashes computed, ${plural(verified, "signature")} verified${without}, every event authorised, ` +
    `${plural(forks, "fork")} resolved, ${plural(compared, "recorded state")} compared`;
  const open = undecided > 0 ? `; ${undecided} undecided` : "";
  return `${agreeing(reports.length, disagreeing)} ${work}${open}.${failed}`;
}

function agreeing(files: number, disagreeing: number): string {
  const verb = disagreeing === 1 ? "disagrees" : "disagree";
  if (disagreeing > 0) return `${disagreeing} of ${plural(files, "file")} ${verb}.`;
  return files === 1 ? "The file agrees." : `All ${files} files agree.`;
}

/** The whole report of one file. */
export function formatReport(name: string, report: RoomReport, options: FormatOptions = {}): string {
  const paint = palette(options);
  const lines = [
    paint.title(printable(`${name}: room version ${report.roomVersion}, ${report.roomId ?? "room unknown"}`)),
    `  ${plural(report.events.length + report.malformed.length, "event")}: ${countsText(report)}`,
    `  ${signaturesText(report)}`,
    ...section("Disagreements", disagreementLines(report), paint.bad),
    ...section("Refused", refusedLines(report), paint.bad),
    ...section("Undecided", undecidedLines(report), paint.title),
    ...section("Not in the file", absentLines(report), paint.title),
    ...section(stateTitle(report), stateLines(report), paint.title),
    ...section("Recorded state", comparisonLines(report, paint), paint.title),
    ...section(
      "Notes",
      report.notes.map((note) => `  ${printable(note)}`),
      paint.dim,
    ),
    "",
    report.disagreements.length === 0
      ? paint.good(`No disagreement found${openText(report)}.`)
      : paint.bad(`${plural(report.disagreements.length, "disagreement")} found${openText(report)}.`),
  ];
  return lines.join("\n");
}

/** What the verdict on the file says nothing about. */
function openText({ counts, signatures }: RoomReport): string {
  const undecided = counts.get("undecided") ?? 0;
  const open: string[] = [];
  if (undecided > 0) open.push(`${plural(undecided, "event")} undecided`);
  if (signatures.unknownKey > 0) open.push(`${plural(signatures.unknownKey, "signature")} unchecked`);
  return open.length === 0 ? "" : `, ${open.join(" and ")}`;
}

function section(title: string, lines: readonly string[], paint: Paint): readonly string[] {
  return lines.length === 0 ? [] : ["", paint(title), ...lines];
}

/** A person reads a hundred entries; one absent ancestor leaves a whole room undecided. */
const MOST_ENTRIES = 100;

/** The lines of the first entries, and how many more there are. */
function firstOf<T>(entries: readonly T[], linesOf: (entry: T) => readonly string[]): readonly string[] {
  const lines = entries.slice(0, MOST_ENTRIES).flatMap(linesOf);
  const more = entries.length - MOST_ENTRIES;
  return more > 0 ? [...lines, `  … and ${more} more, all of them in the JSON form of this report`] : lines;
}

function disagreementLines(report: RoomReport): readonly string[] {
  return firstOf(report.disagreements, ({ kind, reason, rule, events }) => {
    const where = events[0] === undefined ? "" : ` ${events[0]}`;
    const by = rule === undefined ? "" : ` (${rule})`;
    return [printable(`  ${kind}${where}: ${reason}${by}`)];
  });
}

/** The refusal of a verdict that is one. */
function refusalOf(verdict: EventVerdict): Refusal | undefined {
  return "refusal" in verdict ? verdict.refusal : undefined;
}

function refusedLines(report: RoomReport): readonly string[] {
  const malformed = firstOf(report.malformed, ({ where, givenId, refusal }) => [
    printable(`  ${givenId ?? where}: malformed: ${refusal.reason}`),
  ]);
  const refused = report.events.flatMap((event) => {
    const refusal = refusalOf(event.verdict);
    return refusal === undefined ? [] : [{ event, refusal }];
  });
  const lines = firstOf(refused, ({ event, refusal }) => [
    printable(`  ${event.eventId}  ${keyName(event.type, event.stateKey)}, by ${event.sender}`),
    printable(`    ${event.verdict.verdict}, ${refusal.rule ?? refusal.code}: ${refusal.reason}`),
    ...refusal.events.slice(1).map((id) => `    against ${describe(report, id)}`),
  ]);
  return [...malformed, ...lines];
}

function describe(report: RoomReport, eventId: string): string {
  const pdu = report.replay.pdu(eventId);
  return pdu === undefined ? printable(eventId) : `${printable(eventId)}  ${keyName(pdu.type, pdu.stateKey)}`;
}

function undecidedLines(report: RoomReport): readonly string[] {
  const undecided = report.events.flatMap(({ verdict, ...event }) =>
    verdict.verdict === "undecided" ? [{ ...event, verdict }] : [],
  );
  return firstOf(undecided, ({ eventId, type, stateKey, verdict }) => [
    printable(`  ${eventId}  ${keyName(type, stateKey)}: ${verdict.reason}`),
    ...verdict.events.map((id) => `    needs ${printable(id)}${standing(report, id)}`),
    ...verdict.keys.map(({ server, keyIds }) => printable(`    needs key ${keyIds.join(" or ")} of ${server}`)),
  ]);
}

/** What to fetch: events that are not in the file at all and that others wait for. */
function absentLines({ events, replay }: RoomReport): readonly string[] {
  const waiting = new Map<string, number>();
  for (const { verdict } of events) {
    if (verdict.verdict !== "undecided") continue;
    for (const id of verdict.events) if (!replay.verdicts.has(id)) waiting.set(id, (waiting.get(id) ?? 0) + 1);
  }
  return firstOf([...waiting], ([id, count]) => [printable(`  ${id}, named by ${plural(count, "event")}`)]);
}

/** A missing event may be in the file and undecided, or dropped, itself. */
function standing({ replay }: RoomReport, eventId: string): string {
  const verdict = replay.verdicts.get(eventId)?.verdict;
  return verdict === undefined ? "" : `, which is ${verdict} here`;
}

function stateTitle({ state, tips }: RoomReport): string {
  if (state === undefined) return "Resolved state";
  const extremities = tips.length === 1 ? "1 forward extremity" : `${tips.length} forward extremities`;
  return `Resolved state (${plural(state.length, "event")}, after ${extremities})`;
}

function stateLines(report: RoomReport): readonly string[] {
  const { state } = report;
  if (report.events.length === 0) return [];
  if (state === undefined) return ["  unknown: the ancestry of no event is complete"];
  return table(
    state.map(({ type, stateKey, eventId }) => [printable(type), printable(stateKey), printable(eventId)]),
    "  ",
  );
}

function comparisonLines(report: RoomReport, paint: Palette): readonly string[] {
  const lines: string[] = [];
  for (const { name, before, outcome } of report.comparisons) {
    lines.push(...outcomeLines(report, `${name}${before === undefined ? "" : `, before ${before}`}`, outcome, paint));
  }
  return [...lines, ...requestLines(report, report.request, paint)];
}

function outcomeLines(
  report: RoomReport,
  name: string,
  outcome: StateComparison["outcome"],
  paint: Palette,
): readonly string[] {
  const label = `  ${printable(name)}: `;
  switch (outcome.outcome) {
    case "agrees":
      return [label + paint.good(`agrees, ${plural(outcome.size, "event")}`)];
    case "used":
      return [`${label}taken as given, because ancestors are absent`];
    case "not-compared":
      return [`${label}not compared: ${outcome.reason}`];
    case "differs":
      return [
        label + paint.bad("differs"),
        ...outcome.computed.map((id) => `    only computed: ${describe(report, id)}`),
        ...outcome.recorded.map((id) => `    only recorded: ${describe(report, id)}`),
      ];
  }
}

function requestLines(report: RoomReport, request: RequestComparison | undefined, paint: Palette): readonly string[] {
  if (request === undefined) return [];
  if (request.outcome === "needs") return [printable(`  request: undecided, needs ${request.events.join(", ")}`)];
  if (request.outcome === "refused") return [`  request: ${printable(request.refusal.reason)}`];
  if (request.agreement !== undefined) return outcomeLines(report, "request", request.agreement, paint);
  const ids = request.state.map((id) => `    ${printable(id)}`);
  return [`  request: resolved to ${plural(request.state.length, "event")}`, ...ids];
}

/** Every resolution of a report, step by step. */
export function formatTraces(report: RoomReport, options: FormatOptions = {}): string {
  const paint = palette(options);
  const lines: string[] = [];
  for (const fork of report.forks) {
    const trace = traceFork(report, fork);
    if (trace !== undefined) lines.push(...section(`Resolution ${forkName(fork)}`, traceLines(trace), paint.title));
  }
  const { request } = report;
  if (request?.outcome === "resolved" && request.trace !== undefined) {
    lines.push(...section("Resolution of the request", traceLines(request.trace), paint.title));
  }
  return lines.length === 0 ? "\nNo states had to be resolved." : lines.join("\n");
}

function forkName({ before, parents }: Fork): string {
  const where = before === undefined ? "of the forward extremities" : `before ${before}`;
  return printable(`${where}, of the states after ${parents.join(" and ")}`);
}

function traceLines(trace: ResolutionTrace): readonly string[] {
  const list = (name: string, ids: readonly string[]): readonly string[] =>
    ids.length === 0 ? [] : [`  ${name}:`, ...ids.map((id) => `    ${printable(id)}`)];
  return [
    `  algorithm ${trace.algorithm}, ${trace.unconflictedKeys} keys unconflicted, ${trace.outcomes.length} in conflict`,
    ...list("auth difference", trace.authDifference),
    ...list("conflicted subgraph", trace.conflictedSubgraph),
    ...list("mainline, newest first", trace.mainline),
    ...(trace.checks.length === 0 ? [] : ["  checks, in their order:"]),
    ...table(trace.checks.map(checkCells), "    "),
    ...trace.outcomes.flatMap(outcomeOfKey),
  ];
}

function checkCells(check: TracedCheck): readonly string[] {
  return [
    check.phase,
    placeOf(check),
    String(check.originServerTs),
    printable(check.eventId),
    keyName(check.type, check.stateKey),
    check.verdict + (check.refusal === undefined ? "" : `: ${refusalText(check.refusal)}`),
  ];
}

/** What the check is sorted by first. */
function placeOf({ phase, senderLevel, mainlinePosition, depth }: TracedCheck): string {
  if (phase === "power") return `level ${senderLevel ?? "?"}`;
  if (phase !== "mainline") return `depth ${depth}`;
  return mainlinePosition === null ? "off the mainline" : `position ${mainlinePosition ?? "?"}`;
}

function refusalText({ rule, reason }: Refusal): string {
  return printable(rule === undefined ? reason : `${rule}: ${reason}`);
}

function outcomeOfKey({ type, stateKey, winner, lost, kind }: KeyOutcome): readonly string[] {
  return [
    `  ${keyName(type, stateKey)}: ${winner === undefined ? "no event" : printable(winner)} (${kind})`,
    ...lost.map(({ eventId, because }) => `    not ${printable(eventId)}: ${lostText(because)}`),
  ];
}

function lostText(because: LostBecause): string {
  switch (because.why) {
    case "refused":
      return refusalText(because.refusal);
    case "overwritten":
      return `allowed, and then replaced by ${printable(because.by)}`;
    case "not-reached":
      return because.by === undefined ? "not reached" : `not reached, ${printable(because.by)} was preferred`;
  }
}

/** All that decided one event's fate. */
export function formatExplanation(explanation: Explanation, options: FormatOptions = {}): string {
  const paint = palette(options);
  const { event } = explanation;
  return [
    paint.title(printable(`${event.eventId}  ${keyName(event.type, event.stateKey)}`)),
    printable(`  by ${event.sender} in ${explanation.roomId}`),
    `  depth ${explanation.depth}, origin_server_ts ${explanation.originServerTs}`,
    ...verdictLines(event, paint),
    ...explanation.wrongIds.map((id) => paint.bad(printable(`  the file calls it ${id}, which is not its id`))),
    ...section("Copies", explanation.copies.flatMap(copyLines), paint.title),
    ...section("Parents", namedLines(explanation.prevEvents), paint.title),
    ...section("Auth events", namedLines(explanation.authEvents), paint.title),
    ...section(consultedTitle(explanation), consultedLines(explanation), paint.title),
    ...section("In resolutions", explanation.fates.flatMap(fateLines), paint.title),
  ].join("\n");
}

const bases = {
  "state-before": "against the state before it, computed from its ancestors",
  "recorded-state": "against the state before it as recorded in the file",
  "auth-events": "against its auth events alone, as a part of a state without its place in history",
} as const;

function verdictLines({ verdict, recorded }: EventReport, paint: Palette): readonly string[] {
  const stored: string[] = [];
  if (recorded.rejected !== undefined) stored.push(`  recorded as ${recorded.rejected ? "rejected" : "not rejected"}`);
  if (recorded.softFailed === true) stored.push("  recorded as soft-failed: not allowed by the state when it arrived");
  if (verdict.verdict === "accepted") {
    return [`  ${paint.good("accepted")} by ${printable(verdict.rule)}, ${bases[verdict.basis]}`, ...stored];
  }
  if (verdict.verdict === "undecided") {
    const keys = verdict.keys.map(({ server, keyIds }) => `key ${keyIds.join(" or ")} of ${server}`);
    const needs = [...verdict.events, ...keys].map((need) => `    needs ${printable(need)}`);
    return [`  undecided: ${printable(verdict.reason)}`, ...needs, ...stored];
  }
  const { refusal } = verdict;
  const against = refusal.events.slice(1).map((id) => `    against ${printable(id)}`);
  return [`  ${paint.bad(verdict.verdict)}: ${refusalText(refusal)}`, ...against, ...stored];
}

const hashTexts = {
  matches: "content hash matches",
  redacted: "redacted, so the content hash cannot match",
  mismatch: "content hash does not match: judged as its redacted copy",
} as const;

function copyLines({ where, hash, servers }: Explanation["copies"][number]): readonly string[] {
  return [
    printable(`  ${where.join(", ")}: ${hashTexts[hash]}`),
    ...servers.map(([server, verdict]) => printable(`    ${server}: ${signerText(verdict)}`)),
  ];
}

function signerText(verdict: SignerVerdict): string {
  switch (verdict.status) {
    case "verified":
      return "signature verified";
    case "refused":
      return verdict.reason;
    case "needs-key":
      return `key ${verdict.keyIds.join(", ")} unknown, signature not checked`;
  }
}

function namedLines(events: readonly NamedEvent[]): readonly string[] {
  return table(
    events.map(({ eventId, type, stateKey, verdict }) => [
      printable(eventId),
      verdict ?? "absent",
      type === undefined ? "" : keyName(type, stateKey),
    ]),
    "  ",
  );
}

function consultedTitle({ stateKnown }: Explanation): string {
  return stateKnown ? "State before it, at the keys that rules may look at" : "State before it: unknown";
}

function consultedLines({ consulted, stateKnown }: Explanation): readonly string[] {
  return table(
    consulted.map(({ type, stateKey, inState, cited }) => [
      keyName(type, stateKey),
      printable(inState ?? (stateKnown ? "none" : "unknown")),
      cited === undefined ? "not cited" : cited === inState ? "cited" : `cited: ${printable(cited)}`,
    ]),
    "  ",
  );
}

function fateLines({ fork, algorithm, check, outcome }: Fate): readonly string[] {
  return [
    `  ${forkName(fork)} (${algorithm})`,
    ...(check === undefined ? [] : table([checkCells(check)], "    ")),
    ...(outcome === undefined ? [] : outcomeOfKey(outcome).map((line) => `  ${line}`)),
  ];
}
