/**
 * An audit of a room: what resolution took back, told apart by why; events that should not have been let in; depths
 * and equivocation that nobody makes by accident; ends that pile up. docs/inspect.md has the definitions.
 */
import { ok } from "../errors.js";
import type { Result } from "../errors.js";
import { depthAfter } from "../event/build.js";
import { omit } from "../event/hashes.js";
import { encodeCanonical } from "../json/canonical.js";
import { Extremities, fileOrder } from "./arrivals.js";
import { Causality } from "./causality.js";
import type { Dump } from "./dump.js";
import { lossesAt } from "./losses.js";
import type { Loss } from "./losses.js";
import { checkRoom } from "./room.js";
import type { CheckOptions, EventReport, RoomReport } from "./room.js";

/** How bad a finding is. */
export type Severity = "note" | "warning" | "error";

/** What one finding is about. */
export type FindingKind =
  /** Resolution took state back: see {@link Loss}. */
  | "reset"
  | "rollback"
  | "overwritten"
  /** The server stored as accepted what the rules refuse, or nothing says what it did with it. */
  | "admitted"
  /** The server rejected what the rules accept. */
  | "barred"
  /** No event, or not the one that it is said to be, or not signed. */
  | "invalid"
  /** A state that a server recorded is not what its events make. */
  | "state"
  /** The depth does not follow from the previous events. */
  | "depth"
  /** One sender, one place, one key, two events. */
  | "equivocation"
  /** One id, two bodies. */
  | "two-bodies"
  /** Many forward extremities. */
  | "extremities";

export interface Finding {
  readonly kind: FindingKind;
  readonly severity: Severity;
  /** A sentence for a person. */
  readonly reason: string;
  readonly rule: string | undefined;
  /** Ids of the events concerned, the one that it is about first. */
  readonly events: readonly string[];
  /** What was lost, and why; present for `reset`, `rollback` and `overwritten`. */
  readonly loss?: Loss;
  /** At how many later merges the same was lost to the same again. */
  readonly again?: number;
}

/** What an audit found. */
export interface RoomAudit {
  readonly roomVersion: string;
  readonly roomId: string | undefined;
  readonly events: number;
  /** Places where states differed and were resolved. */
  readonly merges: number;
  /** The worst first, then in causal order. */
  readonly findings: readonly Finding[];
  readonly worst: Severity | undefined;
  /** The check that the audit is based on. */
  readonly report: RoomReport;
}

export interface AuditOptions extends CheckOptions {
  /** From how many forward extremities on they are a finding. Default 11: servers then make events that merge them. */
  readonly extremities?: number;
}

const DEFAULT_EXTREMITIES = 11;
const ranks: Readonly<Record<Severity, number>> = { error: 0, warning: 1, note: 2 };

/**
 * Audits a dump.
 *
 * @returns what was found, or a refusal `unknown_room_version`, as {@link checkRoom}.
 */
export function auditRoom(dump: Dump, options: AuditOptions = {}): Result<RoomAudit> {
  const report = checkRoom(dump, options);
  return report.ok ? ok(auditReport(report.value, options)) : report;
}

/** Audits what was checked already. */
export function auditReport(report: RoomReport, options: Pick<AuditOptions, "extremities"> = {}): RoomAudit {
  const causality = new Causality(report.replay);
  const found = [
    ...aboutResolution(report, causality),
    ...aboutStandings(report),
    ...aboutStates(report),
    ...aboutDepths(report),
    ...aboutEquivocation(report),
    ...aboutBodies(report),
    ...aboutExtremities(report, options.extremities ?? DEFAULT_EXTREMITIES),
  ];
  const placed = found.map((finding) => ({ finding, place: causality.placeOf(finding.events[0] ?? "") }));
  placed.sort((a, b) => ranks[a.finding.severity] - ranks[b.finding.severity] || a.place - b.place);
  const findings = placed.map(({ finding }) => finding);
  return {
    roomVersion: report.roomVersion,
    roomId: report.roomId,
    events: report.events.length + report.malformed.length,
    merges: report.forks.length,
    findings,
    worst: findings[0]?.severity,
    report,
  };
}

const severities: Readonly<Record<Loss["kind"], Severity>> = {
  reset: "error",
  rollback: "warning",
  overwritten: "note",
};

/** The same loss is told once, where it happened first. */
function aboutResolution({ replay, forks }: RoomReport, causality: Causality): readonly Finding[] {
  const known = new Map<string, { readonly loss: Loss; again: number }>();
  const nameOf = (eventId: string, winner: string | undefined): string => JSON.stringify([eventId, winner ?? null]);
  for (const fork of forks) {
    const losses = lossesAt(replay, causality, fork, (eventId, winner) => {
      const same = known.get(nameOf(eventId, winner));
      if (same !== undefined) same.again++;
      return same !== undefined;
    });
    for (const loss of losses) known.set(nameOf(loss.eventId ?? "", loss.winner), { loss, again: 0 });
  }
  return [...known.values()].map(({ loss, again }) => ({
    kind: loss.kind,
    severity: severities[loss.kind],
    reason: sentenceOf(loss),
    rule: loss.refusal?.rule,
    events: [loss.eventId, loss.winner, ...loss.causes.map(({ by }) => by)].filter(isNew),
    loss,
    again,
  }));
}

function isNew(id: string | undefined, at: number, all: readonly (string | undefined)[]): id is string {
  return id !== undefined && all.indexOf(id) === at;
}

function keyOf({ type, stateKey }: { readonly type: string; readonly stateKey: string }): string {
  return stateKey === "" ? type : `${type} of ${stateKey}`;
}

const hows: Readonly<Record<Loss["causes"][number]["how"], string>> = {
  revoked: "revoked by",
  "revoked-later": "put behind what came after it:",
  consequence: "what it rested on was rolled back, leaving",
  older: "judged by what the room had left behind:",
  later: "judged by what came only after it:",
  gone: "what it was made with is gone",
  order: "an older event was put after it:",
  unjudged: "never looked at",
};

function sentenceOf(loss: Loss): string {
  const { kind, eventId, winner, refusal, causes } = loss;
  if (eventId === undefined) return `${keyOf(loss)}: ${winner ?? ""} came up, which no branch had`;
  const stands = winner === undefined ? "nothing stands" : `${winner} stands`;
  if (kind === "overwritten") return `${keyOf(loss)}: ${stands}, sent at the same time as ${eventId}`;
  const reasons = causes.map(
    (cause) => `${hows[cause.how]}${cause.by === undefined ? "" : ` ${cause.by}`} (${keyOf(cause)})`,
  );
  const refused = refusal === undefined ? "" : `; ${refusal.reason}`;
  const why = reasons.length === 0 ? "" : `; ${reasons.join(", ")}`;
  return `${keyOf(loss)}: ${eventId} was ${kind === "reset" ? "reset" : "rolled back"} and ${stands}${refused}${why}`;
}

/** Verdicts beside what the server did, and entries that are no events. */
function aboutStandings(report: RoomReport): readonly Finding[] {
  return report.disagreements.flatMap((one): readonly Finding[] => {
    const { kind, reason, rule, events } = one;
    switch (kind) {
      case "refused": {
        const accepted = report.received.events.get(events[0] ?? "")?.recorded.rejected === false;
        const severity = accepted ? "error" : "warning";
        return [{ kind: "admitted", severity, reason: `should have been rejected: ${reason}`, rule, events }];
      }
      case "standing":
        return [{ kind: "barred", severity: "error", reason: "was rejected, and the rules accept it", rule, events }];
      case "malformed":
      case "id":
      case "signature":
        return [{ kind: "invalid", severity: "warning", reason, rule, events }];
      case "hash":
      case "state":
        return [];
    }
  });
}

function aboutStates({ comparisons, request }: RoomReport): readonly Finding[] {
  const found: Finding[] = [];
  const tell = (
    name: string,
    computed: readonly string[],
    recorded: readonly string[],
    before: readonly string[],
  ): void => {
    const made = `${computed.length} events only in what its history makes`;
    const counts = `${made}, ${recorded.length} only in what was recorded`;
    const events = [...before, ...computed, ...recorded];
    found.push({ kind: "state", severity: "error", reason: `${name}: ${counts}`, rule: undefined, events });
  };
  for (const { name, before, outcome } of comparisons) {
    if (outcome.outcome !== "differs") continue;
    tell(name, outcome.computed, outcome.recorded, before === undefined ? [] : [before]);
  }
  const agreement = request?.outcome === "resolved" ? request.agreement : undefined;
  if (agreement?.outcome === "differs") tell("request", agreement.computed, agreement.recorded, []);
  return found;
}

/** `depth` is one more than the deepest parent's; no rule checks it, and room version 1 resolves by it. */
function aboutDepths({ replay }: RoomReport): readonly Finding[] {
  const found: Finding[] = [];
  for (const eventId of replay.order) {
    const pdu = replay.pdu(eventId);
    if (pdu === undefined || pdu.prevEvents.length === 0) continue;
    const parents = pdu.prevEvents.flatMap((id) => replay.pdu(id) ?? []);
    const least = depthAfter(parents);
    const whole = parents.length === pdu.prevEvents.length;
    if (pdu.depth === least || (!whole && pdu.depth > least)) continue;
    const wanted = whole ? `is ${least}` : `is at least ${least}`;
    const reason = `says depth ${pdu.depth}, and by its previous events it ${wanted}`;
    found.push({ kind: "depth", severity: "warning", reason, rule: "server-server-api PDUs", events: [eventId] });
  }
  return found;
}

/** Two state events of one sender for one key after the same events: each hides the other from somebody. */
function aboutEquivocation({ events, replay }: RoomReport): readonly Finding[] {
  const places = new Map<string, EventReport[]>();
  for (const event of events) {
    const pdu = replay.pdu(event.eventId);
    if (pdu?.stateKey === undefined || event.verdict.verdict === "bad-signature") continue;
    const place = JSON.stringify([pdu.sender, pdu.type, pdu.stateKey, [...pdu.prevEvents].sort()]);
    const others = places.get(place);
    if (others === undefined) places.set(place, [event]);
    else others.push(event);
  }
  return [...places.values()].flatMap((same): readonly Finding[] => {
    const [first, ...others] = same;
    if (first === undefined || others.length === 0) return [];
    const key = keyOf({ type: first.type, stateKey: first.stateKey ?? "" });
    const reason = `${first.sender} sent ${same.length} events for ${key} after the same events`;
    return [{ kind: "equivocation", severity: "warning", reason, rule: undefined, events: same.map((e) => e.eventId) }];
  });
}

/** Copies that differ in more than their signatures, redacted ones aside. */
function aboutBodies({ received }: RoomReport): readonly Finding[] {
  const found: Finding[] = [];
  for (const { eventId, copies } of received.events.values()) {
    if (copies.length < 2) continue;
    const bodies = new Set<string>();
    for (const { hash, pdu, where } of copies) {
      // A copy whose hash is wrong was redacted to be judged; that it had another body is known from its hash.
      if (hash === "matches") bodies.add(encodeCanonical(omit(pdu.json, ["signatures", "unsigned"])));
      else if (hash === "mismatch") bodies.add(where[0] ?? "");
    }
    if (bodies.size < 2) continue;
    const reason = `has ${bodies.size} bodies: ${copies.flatMap(({ where }) => where.slice(0, 1)).join(", ")}`;
    found.push({ kind: "two-bodies", severity: "error", reason, rule: undefined, events: [eventId] });
  }
  return found;
}

function aboutExtremities(report: RoomReport, limit: number): readonly Finding[] {
  const found: Finding[] = [];
  const { tips } = report;
  for (const { after } of report.replay.recorded) {
    // Where a state is unknown, nothing is known of what comes after it either.
    if (after === undefined || report.replay.stateAfter(after) === undefined) continue;
    const wrong = [...after.filter((id) => !tips.includes(id)), ...tips.filter((id) => !after.includes(id))];
    if (wrong.length === 0) continue;
    const reason = "the recorded forward extremities are not the ends of what is recorded";
    found.push({ kind: "extremities", severity: "error", reason, rule: undefined, events: wrong });
  }
  if (tips.length >= limit) {
    const reason = `${tips.length} forward extremities: an event that cites them would end this`;
    found.push({ kind: "extremities", severity: "warning", reason, rule: undefined, events: tips });
  }
  const extremities = new Extremities(report);
  let most = 0;
  let last: string | undefined;
  for (const eventId of fileOrder(report)) {
    extremities.add(eventId);
    if (extremities.now.size <= most) continue;
    most = extremities.now.size;
    last = eventId;
  }
  if (most >= limit && most > tips.length && last !== undefined) {
    const reason = `there were ${most} forward extremities after this one, in the order of the file`;
    found.push({ kind: "extremities", severity: "note", reason, rule: undefined, events: [last] });
  }
  return found;
}
