/** Audits and replays as text for people, and as plain data for programs. */
import { printable, renamed } from "./format.js";
import type { Finding, RoomAudit, Severity } from "./audit.js";
import type { Remedy } from "./losses.js";
import type { Replayed } from "./replay-as.js";
import type { Adaptation } from "./rewrite.js";

/** How audits and replays are written. */
export interface FormatAuditOptions {
  readonly colour?: boolean;
  /** Names to say instead of ids, where the file has some. */
  readonly names?: ReadonlyMap<string, string>;
  /** Whether to tell notes too. Default: only warnings and errors, and how many notes there are. */
  readonly notes?: boolean;
}

const codes: Readonly<Record<Severity, number>> = { error: 31, warning: 33, note: 2 };

function paint(text: string, code: number, { colour = false }: FormatAuditOptions): string {
  return colour ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** How much of an id is said at least: that of a hash is enough for a room. */
const SHORTEST = 11;

type Naming = (eventId: string) => string;

/**
 * What text calls events: by the names of the file, or else by as much of each id as tells it from all others of the
 * room. Versions 1 and 2 let servers choose ids, and those begin alike.
 */
function namingOf(ids: readonly string[], names: ReadonlyMap<string, string> | undefined): Naming {
  const known = new Set(ids);
  let longest = 0;
  for (const id of known) longest = Math.max(longest, id.length);
  const isEnough = (length: number): boolean =>
    new Set([...known].map((id) => id.slice(0, length))).size === known.size;
  let length = SHORTEST;
  while (length < longest && !isEnough(length)) length += 2;
  return (id) => names?.get(id) ?? (known.has(id) && id.length > length + 1 ? `${id.slice(0, length)}…` : id);
}

/** Text with the events that it speaks of by what they are called. */
function named(text: string, naming: Naming): string {
  return printable(renamed(text, naming));
}

const remedies: Readonly<Record<Remedy, string>> = {
  "resolution-v2.1": "state resolution v2.1 (room version 12) keeps it",
  "newer-states": "it stands if no branch holds a state older than the events that it knows",
  clocks: "it stands if the clocks of the senders' servers agree with the order of the events",
  "creator-power": "in room version 12 nobody takes power from the creator, who sent it",
  "heard-sooner": "its sender would not have sent it, had the revocation arrived before",
};

/** What would have avoided a loss, in words. */
export function remedySentence(remedy: Remedy): string {
  return remedies[remedy];
}

/** An audit as lines of text, with ids cut short; {@link plainAudit} has them whole. */
export function formatAudit(name: string, audit: RoomAudit, options: FormatAuditOptions = {}): string {
  const { findings, merges, events, roomVersion } = audit;
  const head = `${printable(name)}: room version ${printable(roomVersion)}, ${events} events, ${merges} merges`;
  const lines = [paint(head, 1, options)];
  const naming = namingOf([...audit.report.received.events.keys()], options.names);
  for (const finding of findings) {
    if (finding.severity === "note" && options.notes !== true) continue;
    lines.push(...linesOf(finding, naming, options));
  }
  lines.push(closing(findings, options));
  return lines.join("\n");
}

/** How many events a line names. */
const MOST_NAMED = 5;

function linesOf(finding: Finding, naming: Naming, options: FormatAuditOptions): readonly string[] {
  const { severity, kind, reason, rule, events, loss, again = 0 } = finding;
  const more = events.length > MOST_NAMED ? ` and ${events.length - MOST_NAMED} more` : "";
  const about = loss === undefined && events.length > 0 ? `${events.slice(0, MOST_NAMED).join(", ")}${more}: ` : "";
  const lines = [`  ${paint(`${severity} ${kind}`, codes[severity], options)}  ${named(`${about}${reason}`, naming)}`];
  const tell = (label: string, text: string): number => lines.push(`      ${label}: ${named(text, naming)}`);
  if (rule !== undefined) tell("rule", rule);
  if (loss !== undefined) {
    const { fork, step, algorithm, avoidedBy } = loss;
    const place = fork.before === undefined ? "the room's ends" : `the previous events of ${fork.before}`;
    const check = step === undefined ? "" : `, check ${step.number} (${step.check.phase})`;
    tell("where", `resolution ${algorithm} of ${place}${check}${again > 0 ? `, and at ${again} later merges` : ""}`);
    for (const remedy of avoidedBy) tell("avoided", remedies[remedy]);
  }
  return lines;
}

function closing(findings: readonly Finding[], options: FormatAuditOptions): string {
  const count = (severity: Severity): number => findings.filter((one) => one.severity === severity).length;
  const counts = (["error", "warning", "note"] as const).flatMap((severity) => {
    const number = count(severity);
    return number === 0 ? [] : [`${number} ${severity}${number === 1 ? "" : "s"}`];
  });
  return `  ${counts.length === 0 ? paint("nothing was found", 32, options) : counts.join(", ")}`;
}

/** An audit as plain data that `JSON.stringify` can write. */
export function plainAudit(audit: RoomAudit): object {
  const { roomVersion, roomId, events, merges, findings, worst } = audit;
  return {
    room_version: roomVersion,
    room_id: roomId,
    events,
    merges,
    worst: worst ?? null,
    findings: findings.map(({ kind, severity, reason, rule, events: ids, loss, again }) => ({
      kind,
      severity,
      reason,
      rule,
      events: ids,
      ...(loss === undefined ? {} : { loss: plainLoss(loss), again }),
    })),
  };
}

function plainLoss(loss: NonNullable<Finding["loss"]>): object {
  const { type, stateKey, eventId, winner, algorithm, fork, step, refusal, causes, avoidedBy } = loss;
  return {
    type,
    state_key: stateKey,
    event_id: eventId ?? null,
    winner: winner ?? null,
    algorithm,
    before: fork.before ?? null,
    parents: fork.parents,
    step: step === undefined ? null : { number: step.number, ...step.check },
    refusal: refusal ?? null,
    causes: causes.map((cause) => ({
      type: cause.type,
      state_key: cause.stateKey,
      how: cause.how,
      by: cause.by ?? null,
      made_with: cause.madeWith ?? null,
    })),
    avoided_by: avoidedBy,
  };
}

const adaptations: Readonly<Record<Adaptation, string>> = {
  "room-id": "the room has another id",
  "create-content": "the create event says the other version",
  "create-citation": "the create event is cited where it was implied, or the other way round",
  references: "ids and references are written in the other version's way",
  redacts: "redactions name their event in the other version's place",
  "creators-levels": "creators are taken out of the power levels, or put in",
  selection: "auth events that the other version does not select are left out",
};

/** A replay as lines of text, with ids cut short; {@link plainReplay} has them whole. */
export function formatReplay(name: string, replayed: Replayed, options: FormatAuditOptions = {}): string {
  const { from, to, events, verdicts, states } = replayed;
  const lines = [
    paint(`${printable(name)}: ${events} events of room version ${printable(from)} as ${printable(to)}`, 1, options),
  ];
  for (const adaptation of replayed.adaptations) lines.push(paint(`  ${adaptations[adaptation]}`, 2, options));
  const naming = namingOf([...replayed.ids].flat(), options.names);
  const said = (text: string | undefined): string => named(text ?? "nothing", naming);
  for (const { eventId, type, before, after, rule, reason } of verdicts) {
    lines.push(`  ${said(eventId)} ${printable(type)}: ${before.verdict} here, ${after.verdict} there`);
    lines.push(`      ${rule === undefined ? "" : `${printable(rule)}: `}${said(reason)}`);
  }
  for (const { at, type, stateKey, before, after, reason } of states) {
    const key = printable(stateKey === "" ? type : `${type} ${stateKey}`);
    const place = at === undefined ? "in the end" : `before ${said(at)}`;
    lines.push(`  ${key} ${place}: ${said(before)} here, ${said(after)} there`, `      ${said(reason)}`);
  }
  lines.push(replayed.same ? `  ${paint("nothing differs", 32, options)}` : `  ${differences(replayed)}`);
  return lines.join("\n");
}

function differences({ verdicts, states }: Replayed): string {
  const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;
  const entries = count(states.length, "entry of a state", "entries of states");
  return `${count(verdicts.length, "verdict", "verdicts")} and ${entries} differ`;
}

/** A replay as plain data that `JSON.stringify` can write. */
export function plainReplay({ from, to, events, adaptations: made, verdicts, states, same, ids }: Replayed): object {
  return {
    from,
    to,
    same,
    events,
    adaptations: made,
    verdicts: verdicts.map(({ eventId, there, type, stateKey, sender, before, after, rule, reason }) => ({
      event_id: eventId,
      there: there ?? null,
      type,
      state_key: stateKey,
      sender,
      before: before.verdict,
      after: after.verdict,
      rule: rule ?? null,
      reason,
    })),
    states: states.map(({ at, type, stateKey, before, after, reason }) => ({
      at: at ?? null,
      type,
      state_key: stateKey,
      before: before ?? null,
      after: after ?? null,
      reason,
    })),
    ids: Object.fromEntries(ids),
  };
}
