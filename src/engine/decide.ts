/**
 * Checks 4 to 7 on receipt (spec server-server-api, "Checks performed on receipt of a PDU"), as a function of
 * what is known: the event's auth events, the state before it, the current state, the host's policy, what
 * the room's policy server signed. The answer is a decision, or what is lacking, or what it has to wait for; never a
 * guess.
 */
import { checkStateDependent, checkStateIndependent, stateOfAuthEvents } from "../auth/check.js";
import type { EventLookup } from "../auth/check.js";
import { ABSENT } from "../dag/state-map.js";
import { ruleLabel } from "../auth/verdict.js";
import type { StateLookup } from "../auth/verdict.js";
import type { Refusal } from "../errors.js";
import { MAX_AUTH_EVENTS } from "../event/format.js";
import { createEventIdOf } from "../event/pdu.js";
import type { Pdu, RoomEvent } from "../event/pdu.js";
import { eventSignedBytes } from "../event/sign.js";
import type { PolicyRefusal } from "../ports/policy.js";
import type { StoredVerdict, VerdictBasis } from "../ports/verdict.js";
import { isAllowed } from "./held.js";
import type { Held } from "./held.js";
import { isExempt, keyOf, namedPolicyServer, POLICY_EVENT, recommendationIn } from "./policy-server.js";
import type { PolicyServer } from "./policy-server.js";
import type { Snapshot } from "./snapshot.js";
import { isLack, isUnresolvable, lacking } from "./workspace.js";
import type { Lack, Unresolvable, Workspace } from "./workspace.js";

/**
 * How an event came. `live`: it may be news. `history`: it lies before what is known here. `import`: it is
 * part of a state or of an auth chain, and its own place in history is not asked for.
 */
export type Mode = "live" | "history" | "import";

/** An event that passed checks 1 to 3. */
export interface Candidate {
  readonly kind: "candidate";
  /** As it judges: the redacted copy where the content hash did not match. */
  readonly event: Pdu;
  readonly hashMismatch: boolean;
  readonly origin: string;
  readonly mode: Mode;
  /** What the host's policy holds against it; `unasked` for what waited here: it is asked when it matters. */
  readonly policy: PolicyRefusal | "unasked" | undefined;
  /** Ids of the state before it, as a server gave it that was trusted with that. */
  readonly givenState?: readonly string[];
  /** As it was decided by a partial state, where that is decided again. */
  readonly again?: Held;
  /** At this revision of the room, if it is given, storage did not have the event. */
  readonly newAt?: { readonly revision: number | undefined } | undefined;
}

/** An event that was here before, to be decided again. */
export function heldCandidate(
  { event, hashMismatch }: Pick<Candidate, "event" | "hashMismatch">,
  origin: string,
  mode: Mode,
): Candidate {
  return { kind: "candidate", event, hashMismatch, origin, mode, policy: "unasked" };
}

/** Whether storage is known not to have an event, as far as this workspace has read it. */
export function isUnstored({ memory }: Workspace, { newAt }: Candidate): boolean {
  return newAt !== undefined && newAt.revision === memory.record?.revision;
}

/** Ancestors or auth events that are not here. */
export interface Waits {
  readonly waitsFor: readonly string[];
}

/** What was decided, before any of it is recorded. */
export interface Decision {
  readonly verdict: StoredVerdict;
  readonly before: Snapshot | undefined;
  readonly after: Snapshot | undefined;
}

export function isWaits(value: object): value is Waits {
  return "waitsFor" in value;
}

type Against = { readonly rule: string } | { readonly refusal: Refusal } | Lack;

export function decide(ws: Workspace, candidate: Candidate): Decision | Waits | Lack {
  const { event } = candidate;
  const cited = citedLookup(ws, event);
  const missing = missingReferences(ws, candidate, cited);
  if (missing !== undefined) return missing;
  const before = stateBefore(ws, candidate);
  if (before !== undefined && (isWaits(before) || isLack(before))) return before;
  if (before !== undefined && isUnresolvable(before)) {
    return { verdict: rejected("state-before", before.unresolvable), before: undefined, after: undefined };
  }
  const unmoved = { before, after: before };
  const size = event.rejectedForSize;
  if (size !== undefined) return { ...unmoved, verdict: rejected("size", size) };
  const byAuthEvents = checkAuthEvents(ws, event, cited);
  if (isLack(byAuthEvents)) return byAuthEvents;
  if ("refusal" in byAuthEvents) return { ...unmoved, verdict: rejected("auth-events", byAuthEvents.refusal) };
  if (before === undefined) {
    return { ...unmoved, verdict: accepted(byAuthEvents.rule, "auth-events") };
  }
  const byState = checkAgainst(ws, event, ws.index.lookup(before.state));
  if (isLack(byState)) return byState;
  if ("refusal" in byState) return { ...unmoved, verdict: rejected("state-before", byState.refusal) };
  const after = stateAfter(ws, event, before);
  const soft = candidate.mode === "live" ? softFailure(ws, candidate, before, byState.rule) : undefined;
  if (soft !== undefined && isLack(soft)) return soft;
  return { before, after, verdict: soft ?? accepted(byState.rule, "state-before") };
}

/** One for each rule: a state of 100,000 events has a handful of verdicts. */
const acceptances = {
  "auth-events": new Map<string, StoredVerdict>(),
  "state-before": new Map<string, StoredVerdict>(),
};

function accepted(rule: string, basis: VerdictBasis): StoredVerdict {
  let verdict = acceptances[basis].get(rule);
  if (verdict === undefined) {
    verdict = Object.freeze({ standing: "accepted", rule, basis });
    acceptances[basis].set(rule, verdict);
  }
  return verdict;
}

/** Looks up each auth event once: three checks ask for the same ones. History may cite any number, and rarely does. */
function citedLookup(ws: Workspace, { authEvents }: Pdu): EventLookup {
  if (authEvents.length > MAX_AUTH_EVENTS) return ws.lookup;
  const found = authEvents.map((id) => ws.lookup(id));
  return (eventId) => {
    for (let at = 0; at < found.length; at++) if (authEvents[at] === eventId) return found[at];
    return ws.lookup(eventId);
  };
}

function rejected(check: "size" | "auth-events" | "state-before", refusal: Refusal): StoredVerdict {
  return { standing: "rejected", check, refusal };
}

/** Auth events always, and previous events where the event's place in history counts. */
function missingReferences(
  ws: Workspace,
  { event, mode, givenState, again }: Candidate,
  cited: EventLookup,
): Waits | Lack | undefined {
  const isImplied = ws.rules.auth.createEvent === "implied" && event.type !== "m.room.create";
  const authority: readonly string[] = isImplied
    ? [...event.authEvents, createEventIdOf(event.roomId)]
    : event.authEvents;
  const needsHistory = mode !== "import" && givenState === undefined;
  const missing = authority.filter((id) => cited(id) === undefined);
  if (needsHistory) for (const id of event.prevEvents) if (ws.held(id) === undefined) missing.push(id);
  if (missing.length === 0) return undefined;
  const unread = missing.filter((id) => !ws.absent.has(id));
  if (unread.length > 0) return lacking([...new Set(unread)]);
  const needsAll = mode === "live" && again === undefined;
  const needed = new Set(needsAll ? missing : missing.filter((id) => authority.includes(id)));
  return needed.size > 0 ? { waitsFor: [...needed] } : undefined;
}

/** `undefined`: not known, and nothing that this event may be denied for. */
function stateBefore(ws: Workspace, candidate: Candidate): Snapshot | Waits | Lack | Unresolvable | undefined {
  const { event, mode, givenState, again } = candidate;
  if (givenState !== undefined) return given(ws, givenState);
  // The create event stands at the root wherever it comes from.
  if (event.prevEvents.length === 0 && (mode !== "import" || event.type === "m.room.create")) {
    return ws.memory.snapshots.empty;
  }
  if (mode === "import") return undefined;
  const states: Snapshot[] = [];
  const unknown: string[] = [];
  for (const id of event.prevEvents) {
    const after = ws.held(id)?.after;
    if (after === undefined) unknown.push(id);
    else states.push(after);
  }
  if (unknown.length === 0) {
    const resolved = ws.resolve(states);
    const lost = isLack(resolved) ? resolved.events.filter((id) => ws.absent.has(id)) : [];
    return lost.length > 0 ? { waitsFor: lost } : resolved;
  }
  // Where it came after a gap it was given the state before it, which is whole.
  if (mode === "live" && again?.before !== undefined) return again.before;
  return mode === "live" ? { waitsFor: unknown } : undefined;
}

/** A state that another server gave: what of it this server does not reject. */
function given(ws: Workspace, ids: readonly string[]): Snapshot | Lack {
  const unread: string[] = [];
  const kept: string[] = [];
  for (const id of ids) {
    const known = ws.lookup(id);
    if (known === undefined) {
      if (!ws.absent.has(id)) unread.push(id);
    } else if (known.event.stateKey !== undefined && !known.rejected) kept.push(id);
  }
  return unread.length > 0 ? lacking(unread) : ws.memory.snapshots.near([ws.memory.current], ws.index.stateOf(kept));
}

function checkAuthEvents(ws: Workspace, event: Pdu, cited: EventLookup): Against {
  const second = secondCreate(ws, event);
  if (second !== undefined) return { refusal: second };
  const independent = checkStateIndependent(ws.rules, event, cited);
  if (independent.verdict === "rejected") return { refusal: independent.refusal };
  if (independent.verdict === "needs") return lacking(independent.events, independent.facts);
  const state = stateOfAuthEvents(ws.rules, event, (id) => cited(id)?.event);
  return asAgainst(checkStateDependent(ws.rules, event, state, ws.memory.facts));
}

/** A room has one root (spec, "Event graph"): rule 1 alone would allow any server of the room's domain another one. */
function secondCreate(ws: Workspace, event: Pdu): Refusal | undefined {
  if (event.type !== "m.room.create") return undefined;
  const root = ws.index.lookup(ws.memory.current.state)("m.room.create", "");
  if (root === undefined || root.eventId === event.eventId) return undefined;
  const rule = ruleLabel(ws.rules, "create.prev-events");
  return { code: "auth_rejected", rule, reason: "the room has a create event", events: [event.eventId, root.eventId] };
}

function checkAgainst(ws: Workspace, event: Pdu, lookup: StateLookup): Against {
  const state = ws.partial === undefined ? lookup : filledUp(ws, event, lookup);
  return asAgainst(checkStateDependent(ws.rules, event, state, ws.memory.facts));
}

/**
 * A partial state, with the memberships that it lacks as the event cites them. What they are then nobody here knows:
 * an event is not denied for that, and is judged again once it is known.
 */
function filledUp(ws: Workspace, event: Pdu, lookup: StateLookup): StateLookup {
  const cited = stateOfAuthEvents(ws.rules, event, (id) => ws.lookup(id)?.event);
  return (type, stateKey) => lookup(type, stateKey) ?? (type === "m.room.member" ? cited(type, stateKey) : undefined);
}

function asAgainst(verdict: ReturnType<typeof checkStateDependent>): Against {
  if (verdict.verdict === "allowed") return { rule: verdict.rule };
  if (verdict.verdict === "rejected") return { refusal: verdict.refusal };
  return lacking(verdict.events, verdict.facts);
}

function stateAfter(ws: Workspace, event: Pdu, before: Snapshot): Snapshot {
  if (event.stateKey === undefined) return before;
  const after = ws.index.stateAfter(before.state, ws.enter(event));
  return ws.memory.snapshots.after(before, after);
}

/** Checks 6 and 7: what is allowed where it stands, and is not wanted now. */
function softFailure(
  ws: Workspace,
  { event, policy, origin, again }: Candidate,
  before: Snapshot,
  rule: string,
): StoredVerdict | Lack | undefined {
  const now = checkNow(ws, event, before);
  if (now !== undefined && isLack(now)) return now;
  if (now !== undefined && "refusal" in now) {
    return { standing: "soft-failed", check: "current-state", rule, refusal: now.refusal };
  }
  // What the policy said at receipt stands.
  if (again?.verdict.standing === "accepted") return undefined;
  if (again?.verdict.standing === "soft-failed" && again.verdict.check !== "current-state") return again.verdict;
  const refused = policy === "unasked" ? ws.policyOn({ event, origin }) : policy;
  if (refused === undefined) return unrecommended(ws, event, rule);
  if (isLack(refused)) return refused;
  const reason = `${refused.code}: ${refused.reason}`;
  const refusal: Refusal = {
    code: "policy_refused",
    rule: "server-server-api Checks on receipt 7",
    reason,
    events: [event.eventId],
  };
  return { standing: "soft-failed", check: "policy", rule, refusal };
}

/** The check against the room's current state; `undefined` where there is nothing else to be judged by. */
function checkNow(ws: Workspace, event: Pdu, before: Snapshot): Against | undefined {
  if (ws.extremities.size === 0) return undefined;
  const agreed = ws.agreed();
  if (agreed !== undefined) {
    const now = checkAgainst(ws, event, agreed.lookup);
    if (!agreed.unsure()) return now;
  }
  const current = ws.current();
  if (isLack(current)) return current;
  if (isUnresolvable(current) || current === before) return undefined;
  return checkAgainst(ws, event, ws.index.lookup(current.state));
}

/** Check 7 by the room's policy server (server-server-api, "Validating Policy Server signatures"). It is asked last. */
function unrecommended(ws: Workspace, event: Pdu, rule: string): StoredVerdict | Lack | undefined {
  // In a room that never had the event this is all that policy servers cost.
  if (ws.index.keyNumber(POLICY_EVENT, "") === ABSENT || ws.extremities.size === 0 || isExempt(event)) return undefined;
  const by = policyServerNow(ws);
  if (by === undefined || isLack(by)) return by;
  const [key, signature] = [keyOf(by), recommendationIn(event.json, by.server)];
  if (key !== undefined && signature !== undefined) {
    const message = eventSignedBytes(ws.rules, event.json);
    const verified = ws.memory.facts.verifies(signature, message, key);
    if (verified === undefined) return lacking([], [{ fact: "signature", key, message, signature }]);
    if (verified) return undefined;
  }
  const refusal = ws.recommendationOf(event, by);
  if (refusal === undefined || isLack(refusal)) return refusal;
  return { standing: "soft-failed", check: "policy-server", rule, refusal };
}

/** The policy server that the room's current state names, if it has a joined user there. */
function policyServerNow(ws: Workspace): PolicyServer | Lack | undefined {
  const { index, memory } = ws;
  const agreed = ws.agreed();
  if (agreed !== undefined) {
    const by = namedBy(ws, agreed.lookup(POLICY_EVENT, ""));
    const witness = by === undefined || isLack(by) ? undefined : memory.joined.witness(by.server);
    const member = witness === undefined ? undefined : agreed.lookup("m.room.member", witness);
    if (!agreed.unsure() && (by === undefined || isLack(by) || member?.content["membership"] === "join")) return by;
  }
  const current = ws.current();
  if (isLack(current)) return current;
  if (isUnresolvable(current)) return undefined;
  const by = namedBy(ws, index.lookup(current.state)(POLICY_EVENT, ""));
  if (by === undefined || isLack(by)) return by;
  // Of a partial state one is told where its users are.
  if (ws.partial?.servers.includes(by.server) === true) return by;
  return memory.joined.has(index, current.state, by.server) ? by : undefined;
}

/** What the state event says now: redaction leaves nothing of it, in every room version. */
function namedBy(ws: Workspace, event: RoomEvent | undefined): PolicyServer | Lack | undefined {
  if (event === undefined) return undefined;
  const held = ws.held(event.eventId);
  if (held === undefined && !ws.absent.has(event.eventId)) return lacking([event.eventId]);
  return held?.redactedBy === undefined ? namedPolicyServer(event.content) : undefined;
}

/** What an accepted event does to the forward extremities. */
export interface Passing {
  /** Those that it follows, directly or through events that were soft-failed or rejected (spec, "Soft failure"). */
  readonly passed: readonly string[];
  /** Whether it takes their place: an event that something accepted follows already is none. */
  readonly isEnd: boolean;
  readonly passedGaps: readonly string[];
}

export function passedBy(ws: Workspace, event: Pdu): Passing | Lack {
  const passed: string[] = [];
  const passedGaps: string[] = [];
  const seen = new Set<string>();
  const stack: string[] = [...event.prevEvents];
  const unread: string[] = [];
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    if (ws.extremities.has(id)) {
      passed.push(id);
      continue;
    }
    const held = ws.held(id);
    if (held === undefined) {
      if (ws.waitingFor("history", id) !== undefined) passedGaps.push(id);
      else if (!ws.absent.has(id)) unread.push(id);
    } else if (held.verdict.standing !== "accepted") stack.push(...held.event.prevEvents);
  }
  if (unread.length > 0) return lacking(unread);
  const isPassed = ws.waitingFor("history", event.eventId)?.passed === true || isOfJoinedState(ws, event);
  return { passed, isEnd: !isPassed, passedGaps };
}

/**
 * Whether an event came with the state that this server was given, and lies before that: then it has descendants,
 * though none of them may be known, and is no end of anything.
 */
function isOfJoinedState(ws: Workspace, { eventId, depth }: Pdu): boolean {
  const held = ws.held(eventId);
  return held !== undefined && held.before === undefined && held.position === undefined && depth < ws.liveDepth;
}

/** The forward extremities once an event is accepted, as a map of their own. */
export function extremitiesAfter(
  ws: Workspace,
  event: Pdu,
  after: Snapshot,
): { readonly extremities: ReadonlyMap<string, Snapshot> } | Lack {
  const passing = passedBy(ws, event);
  if (isLack(passing)) return passing;
  const extremities = new Map(ws.extremities);
  for (const id of passing.passed) extremities.delete(id);
  if (passing.isEnd) extremities.set(event.eventId, after);
  return { extremities };
}

/** Whether a decision on an event that is held already could say more than what is held. */
export function mayRedecide(held: Held, mode: Mode): boolean {
  // The create event has a state wherever it came from, and gets its place when history reaches it.
  if (mode === "history" && held.position === undefined) return true;
  return held.before === undefined && mode !== "import";
}

/** Whether `held` is allowed and has a place in history, so that redactions can be judged by it. */
export function isSettled(held: Held): boolean {
  return isAllowed(held) && held.before !== undefined;
}
