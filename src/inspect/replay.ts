/**
 * A dump judged from its first event to its last: each event against its auth events and, where its
 * ancestors are there, against the state before it.
 */
import { checkStateDependent, checkStateIndependent, stateOfAuthEvents } from "../auth/check.js";
import type { KnownEvent } from "../auth/check.js";
import type { AuthFacts, AuthVerdict, FactRequest, StateLookup } from "../auth/verdict.js";
import type { Ed25519Provider } from "../crypto/ed25519-provider.js";
import { EventGraph } from "../dag/event-graph.js";
import type { Standing } from "../dag/event-graph.js";
import { RoomIndex } from "../dag/room-index.js";
import { StateMap } from "../dag/state-map.js";
import { refuse } from "../errors.js";
import type { Refusal } from "../errors.js";
import { createEventIdOf } from "../event/pdu.js";
import type { Pdu } from "../event/pdu.js";
import type { ResolveOptions, Resolution } from "../stateres/resolve.js";
import type { RoomVersion } from "../versions/room-version.js";
import { causalOrder } from "./order.js";
import type { CausalOrder } from "./order.js";
import type { ReceivedEvent } from "./receive.js";

/** What an accepted event was judged against last. */
export type VerdictBasis =
  /** The state before it, computed from its ancestors. */
  | "state-before"
  /** The state before it as the file records it, because ancestors are absent. */
  | "recorded-state"
  /** Its auth events alone: it came as part of a state, without its place in history. */
  | "auth-events";

/** A key that is needed to decide about an event. */
export interface NeededKeys {
  readonly server: string;
  readonly keyIds: readonly string[];
}

/** What became of an event, and why. */
export type EventVerdict =
  | { readonly verdict: "accepted"; readonly rule: string; readonly basis: VerdictBasis }
  /** Not a PDU of the room version: a server drops it. */
  | { readonly verdict: "malformed"; readonly refusal: Refusal }
  /** A required signature is absent or wrong: a server drops it. */
  | { readonly verdict: "bad-signature"; readonly refusal: Refusal }
  /** A field is longer than 255 bytes, though not code points (v1-10): stored as rejected. */
  | { readonly verdict: "rejected-for-size"; readonly refusal: Refusal }
  | { readonly verdict: "rejected-by-auth-events"; readonly refusal: Refusal }
  | { readonly verdict: "rejected-by-state"; readonly refusal: Refusal }
  /** These events or keys are missing; nothing is said about what the verdict will be. */
  | {
      readonly verdict: "undecided";
      readonly reason: string;
      readonly events: readonly string[];
      readonly keys: readonly NeededKeys[];
    };

/** What a verdict comes to, whatever the step at which it fell. */
export function standingOfVerdict({ verdict }: EventVerdict): "accepted" | "undecided" | "dropped" | "rejected" {
  switch (verdict) {
    case "accepted":
    case "undecided":
      return verdict;
    case "malformed":
    case "bad-signature":
      return "dropped";
    case "rejected-for-size":
    case "rejected-by-auth-events":
    case "rejected-by-state":
      return "rejected";
  }
}

/** A state that the file records, with the ids of its members. */
export interface KnownState {
  readonly name: string;
  readonly before: string | undefined;
  /** The forward extremities that the file records, where this is the state after them all. */
  readonly after: readonly string[] | undefined;
  readonly members: readonly string[];
  readonly partial: boolean;
}

/** A place where states differed and were resolved. */
export interface Fork {
  /** The event whose state before it was resolved, or the forward extremities for the room's state now. */
  readonly before: string | undefined;
  readonly parents: readonly string[];
}

type StateBefore =
  | { readonly state: StateMap; readonly basis: "state-before" | "recorded-state" }
  | { readonly state: undefined; readonly missing: readonly string[]; readonly reason: string };

/** Judges the events of one room in causal order and keeps the states between them. */
export class Replay {
  readonly roomVersion: RoomVersion;
  readonly index: RoomIndex;
  readonly verdicts: ReadonlyMap<string, EventVerdict>;
  readonly forks: readonly Fork[];
  /** Judged ids, ancestors first. */
  readonly order: readonly string[];
  readonly #events: ReadonlyMap<string, ReceivedEvent>;
  readonly #recorded = new Map<string, KnownState>();
  readonly #provider: Ed25519Provider;
  readonly #states: readonly KnownState[];
  readonly #verdicts = new Map<string, EventVerdict>();
  readonly #before = new Map<string, StateMap>();
  readonly #computed = new Set<string>();
  readonly #after = new Map<string, StateMap>();
  readonly #forks: Fork[] = [];
  readonly #stateNumbers = new Map<StateMap, number>();
  readonly #resolved = new Map<string, Resolution>();

  constructor(
    roomVersion: RoomVersion,
    events: ReadonlyMap<string, ReceivedEvent>,
    states: readonly KnownState[],
    provider: Ed25519Provider,
    progress: (done: number) => void = () => undefined,
  ) {
    this.roomVersion = roomVersion;
    this.index = new RoomIndex(roomVersion.rules);
    this.verdicts = this.#verdicts;
    this.forks = this.#forks;
    this.#events = events;
    this.#provider = provider;
    this.#states = states;
    for (const state of states) {
      if (state.before === undefined || state.partial || this.#recorded.has(state.before)) continue;
      this.#recorded.set(state.before, state);
    }
    const { order, cyclic } = this.#order();
    order.forEach((id, at) => {
      this.#judge(id);
      progress(at + 1);
    });
    for (const id of cyclic) this.#verdicts.set(id, { verdict: "malformed", refusal: cycle(id) });
    this.order = [...order, ...cyclic];
  }

  /** The states that the file records. */
  get recorded(): readonly KnownState[] {
    return this.#states;
  }

  /** The copy of an event that judges. */
  pdu(eventId: string): Pdu | undefined {
    return this.#events.get(eventId)?.copies[0].pdu;
  }

  /** The state before an event, where it is known. */
  stateBefore(eventId: string): StateMap | undefined {
    return this.#before.get(eventId);
  }

  /** Whether the state before an event was computed from its ancestors. */
  isComputed(eventId: string): boolean {
    return this.#computed.has(eventId);
  }

  /**
   * Forward extremities among the events whose state is known, without those that the file records as soft-failed.
   * Across a gap in the history, what an event cites as authority and what its recorded state holds lies before it
   * as well: an old fragment of the room is no branch of its own.
   */
  tips(): readonly string[] {
    const graph = new EventGraph();
    for (const [eventId, verdict] of this.#verdicts) {
      const pdu = this.pdu(eventId);
      if (pdu === undefined || !isStored(verdict)) continue;
      const prevEvents = this.#computed.has(eventId) ? pdu.prevEvents : this.#restsOn(eventId);
      const { originServerTs } = pdu;
      graph.add({ eventId, originServerTs, prevEvents }, this.#standingOf(eventId));
    }
    for (const { name, before, after, members } of this.#states) {
      if (before === undefined && after === undefined)
        graph.add({ eventId: `state ${name}`, originServerTs: 0, prevEvents: members });
    }
    return graph.forwardExtremities().filter((id) => this.#after.has(id));
  }

  /** The state after these events together. */
  stateAfter(eventIds: readonly string[], options: ResolveOptions = {}): Resolution | undefined {
    const states: StateMap[] = [];
    for (const id of eventIds) {
      const state = this.#after.get(id);
      if (state === undefined) return undefined;
      states.push(state);
    }
    if (options.trace === true) return this.roomVersion.resolve(this.index, states, options);
    return this.#resolve(states);
  }

  /** Whether the states after these events differ. */
  differ(eventIds: readonly string[]): boolean {
    const [first, ...others] = eventIds.map((id) => this.#after.get(id));
    return others.some((state) => first !== undefined && state !== undefined && !state.equals(first));
  }

  /** A state as the authorisation rules read it. */
  lookup(state: StateMap): StateLookup {
    return this.index.lookup(state);
  }

  /** Signature facts of one event: what its copy that judges was signed with, as far as keys are known. */
  #factsOf(eventId: string): AuthFacts {
    const report = this.#events.get(eventId)?.copies[0].signatures;
    return {
      signedBy: (server) => {
        const status = report?.servers.get(server)?.status;
        return status === undefined || status === "needs-key" ? undefined : status === "verified";
      },
      verifies: (signature, message, key) => this.#provider.verify(signature, message, key),
    };
  }

  /**
   * By what events cite, and across gaps by recorded states too, unless those would make a cycle: a
   * wrong recorded state is to be reported, not to get in the way.
   */
  #order(): CausalOrder {
    const pdus = [...this.#events.values()].map(({ copies }) => copies[0].pdu);
    const cited = causalOrder(pdus, (id) => this.#cites(id));
    const complete = new Set<string>();
    for (const id of cited.order) {
      if (this.pdu(id)?.prevEvents.every((parent) => complete.has(parent)) === true) complete.add(id);
    }
    const recorded = causalOrder(pdus, (id) => (complete.has(id) ? this.#cites(id) : this.#restsOn(id)));
    return recorded.cyclic.length > cited.cyclic.length ? cited : recorded;
  }

  #cites(eventId: string): readonly string[] {
    const pdu = this.pdu(eventId);
    if (pdu === undefined) return [];
    const cited: string[] = [...pdu.prevEvents, ...pdu.authEvents];
    if (this.roomVersion.rules.auth.createEvent === "implied" && pdu.hasRoomId) cited.push(createEventIdOf(pdu.roomId));
    return cited;
  }

  #restsOn(eventId: string): readonly string[] {
    return [...this.#cites(eventId), ...(this.#recorded.get(eventId)?.members ?? [])];
  }

  /** What an event was made after: what it cites and, across a gap, the state that the file records before it. */
  madeAfter(eventId: string): readonly string[] {
    return this.#computed.has(eventId) ? this.#cites(eventId) : this.#restsOn(eventId);
  }

  #judge(eventId: string): void {
    const received = this.#events.get(eventId);
    if (received === undefined) return;
    const { pdu, signatures } = received.copies[0];
    if (signatures.status === "refused") {
      this.#verdicts.set(eventId, { verdict: "bad-signature", refusal: badSignature(received) });
      return;
    }
    const before = this.#stateBefore(pdu);
    if (before.state !== undefined) {
      this.#before.set(eventId, before.state);
      if (before.basis === "state-before") this.#computed.add(eventId);
    }
    const verdict = this.#decide(received, before);
    this.#verdicts.set(eventId, verdict);
    if (verdict.verdict === "undecided") return;
    const accepted = verdict.verdict === "accepted";
    const number = this.index.add(pdu, { rejected: !accepted });
    if (before.state === undefined) return;
    this.#after.set(eventId, accepted ? this.index.stateAfter(before.state, number) : before.state);
  }

  #decide(received: ReceivedEvent, before: StateBefore): EventVerdict {
    const { rules } = this.roomVersion;
    const { pdu } = received.copies[0];
    if (pdu.rejectedForSize !== undefined) return { verdict: "rejected-for-size", refusal: pdu.rejectedForSize };
    const cited = checkStateIndependent(rules, pdu, (id) => this.#known(id));
    const citedStop = stopAt(received, cited, "rejected-by-auth-events");
    if (citedStop !== undefined) return citedStop;

    const facts = this.#factsOf(received.eventId);
    const authState = stateOfAuthEvents(rules, pdu, (id) => this.#known(id)?.event);
    const byAuthEvents = checkStateDependent(rules, pdu, authState, facts);
    const authStop = stopAt(received, byAuthEvents, "rejected-by-auth-events");
    if (authStop !== undefined) return authStop;
    if (before.state === undefined) {
      if (isOutlier(received)) return { verdict: "accepted", rule: ruleOf(byAuthEvents), basis: "auth-events" };
      return { verdict: "undecided", reason: before.reason, events: before.missing, keys: [] };
    }
    const byState = checkStateDependent(rules, pdu, this.lookup(before.state), facts);
    const stateStop = stopAt(received, byState, "rejected-by-state");
    return stateStop ?? { verdict: "accepted", rule: ruleOf(byState), basis: before.basis };
  }

  /** An event that can be cited: accepted or rejected, not dropped and not undecided. */
  #known(eventId: string): KnownEvent | undefined {
    const verdict = this.#verdicts.get(eventId);
    const event = this.pdu(eventId);
    if (event === undefined || !isStored(verdict)) return undefined;
    return { event, rejected: verdict.verdict !== "accepted" };
  }

  #stateBefore(pdu: Pdu): StateBefore {
    const missing = pdu.prevEvents.filter((id) => !this.#after.has(id));
    if (missing.length > 0) return this.#recordedBefore(pdu, missing);
    const parents = [...new Set(pdu.prevEvents)];
    const resolution = this.stateAfter(parents);
    if (resolution?.verdict === "resolved") {
      if (this.differ(parents)) this.#forks.push({ before: pdu.eventId, parents });
      return { state: resolution.state, basis: "state-before" };
    }
    if (resolution?.verdict === "refused") return { state: undefined, missing: [], reason: resolution.refusal.reason };
    const reason = "the states of its parents cannot be resolved";
    return { state: undefined, missing: resolution?.events ?? [], reason };
  }

  #recordedBefore(pdu: Pdu, missing: readonly string[]): StateBefore {
    const reason = "the state before it is unknown, because ancestors are missing";
    const recorded = this.#recorded.get(pdu.eventId);
    if (recorded === undefined) return { state: undefined, missing, reason };
    const undecided = recorded.members.filter((id) => this.#known(id) === undefined);
    if (undecided.length > 0) {
      return { state: undefined, missing: undecided, reason: "the recorded state before it is incomplete" };
    }
    const members = recorded.members.filter((id) => this.#isAccepted(id) && this.pdu(id)?.stateKey !== undefined);
    return { state: this.index.stateOf(members), basis: "recorded-state" };
  }

  /** Soft failure depends on the moment of receipt: it is what the file says of it. */
  #standingOf(eventId: string): Standing {
    if (!this.#isAccepted(eventId)) return "rejected";
    return this.#events.get(eventId)?.recorded.softFailed === true ? "soft-failed" : "accepted";
  }

  #isAccepted(eventId: string): boolean {
    return this.#verdicts.get(eventId)?.verdict === "accepted";
  }

  /** Long forks resolve the same states again and again: the same states are resolved once. */
  #resolve(states: readonly StateMap[]): Resolution {
    const distinct = [...new Set(states)];
    const [only] = distinct;
    if (distinct.length <= 1) return { verdict: "resolved", state: only ?? StateMap.empty };
    const name = distinct
      .map((state) => this.#numberOf(state))
      .sort((a, b) => a - b)
      .join();
    let resolution = this.#resolved.get(name);
    if (resolution === undefined) {
      resolution = this.roomVersion.resolve(this.index, distinct);
      this.#resolved.set(name, resolution);
    }
    return resolution;
  }

  #numberOf(state: StateMap): number {
    const known = this.#stateNumbers.get(state);
    if (known !== undefined) return known;
    this.#stateNumbers.set(state, this.#stateNumbers.size);
    return this.#stateNumbers.size - 1;
  }
}

/** Verdicts of events that a server stores, rejected ones among them. */
function isStored(verdict: EventVerdict | undefined): verdict is EventVerdict {
  if (verdict === undefined) return false;
  return verdict.verdict !== "malformed" && verdict.verdict !== "bad-signature" && verdict.verdict !== "undecided";
}

function isOutlier({ role, recorded }: ReceivedEvent): boolean {
  return role !== "timeline" || recorded.outlier === true;
}

function ruleOf(verdict: AuthVerdict): string {
  return verdict.verdict === "allowed" ? verdict.rule : "";
}

/** The verdict on the event if an authorisation check did not allow it. */
function stopAt(
  received: ReceivedEvent,
  verdict: AuthVerdict,
  stage: "rejected-by-auth-events" | "rejected-by-state",
): EventVerdict | undefined {
  switch (verdict.verdict) {
    case "allowed":
      return undefined;
    case "rejected":
      return { verdict: stage, refusal: verdict.refusal };
    case "needs": {
      const { events, facts } = verdict;
      const reason =
        events.length > 0 ? "events that it rests on are missing" : "a rule asks for signatures by unknown keys";
      return { verdict: "undecided", reason, events, keys: facts.flatMap((fact) => keysFor(received, fact)) };
    }
  }
}

function keysFor(received: ReceivedEvent, fact: FactRequest): readonly NeededKeys[] {
  if (fact.fact !== "signed-by") return [];
  const verdict = received.copies[0].signatures.servers.get(fact.server);
  return [{ server: fact.server, keyIds: verdict?.status === "needs-key" ? verdict.keyIds : [] }];
}

function badSignature({ eventId, copies }: ReceivedEvent): Refusal {
  const reasons: string[] = [];
  for (const [server, verdict] of copies[0].signatures.servers) {
    if (verdict.status === "refused") reasons.push(`${server}: ${verdict.reason}`);
  }
  return refuse("bad_signature", reasons.join("; "), {
    rule: "server-server-api Validating hashes and signatures",
    events: [eventId],
  }).error;
}

function cycle(eventId: string): Refusal {
  return refuse("cycle", "its ancestors or auth events form a cycle", { events: [eventId] }).error;
}
