/** A resolution as steps to walk through, each with what it is about in the graph. */
import { printable } from "../inspect/format.js";
import type { KeyOutcome, LostBecause, TracedCheck } from "../stateres/trace.js";
import { keyName, plural, shortId } from "./labels.js";
import type { ResolutionDetail } from "./protocol.js";

export interface Row {
  /** Whether it is a key that the rows after it are about. */
  readonly isHead: boolean;
  readonly eventId: string | undefined;
  readonly text: string;
  readonly mark: "good" | "bad" | "plain";
}

export interface Step {
  readonly title: string;
  /** What happens in this step and why. */
  readonly words: string;
  readonly rows: readonly Row[];
  /** What the graph shows. */
  readonly lit: readonly string[];
}

const row = (eventId: string | undefined, text = "", mark: Row["mark"] = "plain"): Row => ({
  isHead: false,
  eventId,
  text,
  mark,
});
const head = (text: string): Row => ({ isHead: true, eventId: undefined, text, mark: "plain" });

export function stepsOf(detail: ResolutionDetail): readonly Step[] {
  const { trace, eventIds } = detail;
  if (trace === undefined || trace.outcomes.length === 0) return [];
  const { outcomes, algorithm } = trace;
  const candidates = [...new Set(outcomes.flatMap((outcome) => outcome.candidates))];
  const steps: Step[] = [
    {
      title: "States to merge",
      words: `The states after ${plural(eventIds.length, "event")} differ, so they are resolved into one.`,
      rows: eventIds.map((id) => row(id)),
      lit: eventIds,
    },
    {
      title: "Conflicted keys",
      words:
        `${plural(trace.unconflictedKeys, "key")} hold the same event in every state and stay. ` +
        `${plural(outcomes.length, "key")} ${outcomes.length === 1 ? "does" : "do"} not.`,
      rows: outcomes.flatMap(({ type, stateKey, candidates: ids }) => [
        head(keyName(type, stateKey)),
        ...ids.map((id) => row(id)),
      ]),
      lit: candidates,
    },
  ];
  if (algorithm === "v1") steps.push(...checksOf("Candidates in order", v1Words, trace.checks));
  else {
    steps.push({
      title: "Auth difference",
      words:
        "Events in the full auth chain of some of the states and not of all: " +
        "what one side knew and the other did not.",
      rows: trace.authDifference.map((id) => row(id)),
      lit: trace.authDifference,
    });
    if (algorithm === "v2.1") {
      steps.push({
        title: "Conflicted subgraph",
        words:
          "From room version 12 on, every event on an auth path between two conflicted events is looked at again " +
          "as well.",
        rows: trace.conflictedSubgraph.map((id) => row(id)),
        lit: trace.conflictedSubgraph,
      });
    }
    const power = trace.checks.filter(({ phase }) => phase === "power");
    const others = trace.checks.filter(({ phase }) => phase === "mainline");
    steps.push({
      title: "Order of power",
      words:
        power.length === 0
          ? "No event in conflict gives or takes power, so nothing is sorted first."
          : "Events that give or take power come first: each after those that it rests on, then by the sender's " +
            "level, by time, by id.",
      rows: power.map((check) => row(check.eventId, `level ${check.senderLevel ?? "unknown"}`)),
      lit: power.map(({ eventId }) => eventId),
    });
    steps.push(...checksOf("Power check", powerWords, power));
    steps.push({
      title: "Mainline",
      words:
        trace.mainline.length === 0
          ? "There are no power levels to order the rest by."
          : "The power levels that were resolved, and back from them those that each rests on. The rest is sorted by " +
            "where it hangs on this line.",
      rows: trace.mainline.map((id, at) => row(id, `position ${at}`)),
      lit: trace.mainline,
    });
    steps.push(...checksOf("Check", restWords, others));
  }
  steps.push({
    title: "Outcome",
    words: outcomeWords(outcomes),
    rows: outcomes.flatMap(rowsOfOutcome),
    lit: outcomes.flatMap(({ winner }) => winner ?? []),
  });
  return steps;
}

const v1Words = "Each candidate is checked against the state so far; the first that fails ends its key.";
const powerWords =
  "It is checked against the state as resolved so far: the unconflicted keys and what passed before it.";
const restWords = "It is checked against the state as resolved so far.";

function checksOf(title: string, words: string, checks: readonly TracedCheck[]): readonly Step[] {
  return checks.map((check, at) => {
    const place =
      check.phase === "mainline"
        ? check.mainlinePosition === null || check.mainlinePosition === undefined
          ? " It hangs on no power levels of the mainline."
          : ` Its place on the mainline is ${check.mainlinePosition}.`
        : "";
    return {
      title: `${title} ${at + 1} of ${checks.length}`,
      words: `${keyName(check.type, check.stateKey)}. ${words}${place}`,
      rows: [row(check.eventId, verdictText(check), check.verdict === "refused" ? "bad" : "good"), ...against(check)],
      lit: [check.eventId, ...(check.refusal?.events.slice(1) ?? [])],
    };
  });
}

function verdictText({ verdict, refusal }: TracedCheck): string {
  if (verdict === "unchecked") return "taken as it is: the first of its key";
  if (verdict === "allowed") return "allowed";
  if (refusal === undefined) return "refused";
  return printable(refusal.rule === undefined ? refusal.reason : `refused by ${refusal.rule}: ${refusal.reason}`);
}

function against({ refusal }: TracedCheck): readonly Row[] {
  return (refusal?.events.slice(1) ?? []).map((id) => row(id, "decided against it"));
}

function outcomeWords(outcomes: readonly KeyOutcome[]): string {
  const count = (kind: KeyOutcome["kind"]): number => outcomes.filter((outcome) => outcome.kind === kind).length;
  const parts = [
    count("merged") > 0 ? `${plural(count("merged"), "key")} merged: every candidate was allowed, the last stands` : "",
    count("rollback") > 0 ? `${plural(count("rollback"), "key")} rolled back: a rule refused a candidate` : "",
    count("reset") > 0 ? `${plural(count("reset"), "key")} reset: to what no candidate was` : "",
  ];
  return `${parts.filter((part) => part !== "").join("; ")}.`;
}

export function rowsOfOutcome({ type, stateKey, winner, lost, kind }: KeyOutcome): readonly Row[] {
  const name = keyName(type, stateKey);
  return [
    head(`${name} (${kind})`),
    winner === undefined ? row(undefined, "nobody won: the key is empty") : row(winner, "won", "good"),
    ...lost.map(({ eventId, because }) => row(eventId, lostText(because), because.why === "refused" ? "bad" : "plain")),
  ];
}

function lostText(because: LostBecause): string {
  switch (because.why) {
    case "refused": {
      const { rule, reason } = because.refusal;
      return printable(rule === undefined ? `lost: ${reason}` : `lost by ${rule}: ${reason}`);
    }
    case "overwritten":
      return `lost: allowed, and then replaced by ${shortId(because.by)}`;
    case "not-reached":
      return because.by === undefined ? "lost: not reached" : `lost: ${shortId(because.by)} was preferred`;
  }
}
