/**
 * One decision in the making: what memory holds, and over it what was decided since and is not committed yet.
 * Synchronous and free of I/O: what is lacking is named, supplied from outside, and asked for again.
 */
import type { EventLookup } from "../auth/check.js";
import type { FactRequest, StateLookup } from "../auth/verdict.js";
import type { RoomIndex } from "../dag/room-index.js";
import { ABSENT } from "../dag/state-map.js";
import type { Refusal } from "../errors.js";
import type { Pdu } from "../event/pdu.js";
import { compareCodePoints } from "../json/compare.js";
import type { PolicyRefusal } from "../ports/policy.js";
import type {
  Batch,
  Intent,
  OutboxEntry,
  OutsideMembership,
  PartialState,
  PendingEvent,
  RoomRecord,
  Waiting,
} from "../ports/storage.js";
import type { RoomVersionRules } from "../rules/model.js";
import { eventRow, isAllowed } from "./held.js";
import type { Held } from "./held.js";
import type { RoomMemory } from "./memory.js";
import { notRecommended, recommended } from "./policy-server.js";
import type { PolicyServer, Unasked } from "./policy-server.js";
import type { Snapshot } from "./snapshot.js";

/** What is lacking: events that storage may have, signatures to verify, what the host's policy or the room's says. */
export interface Lack {
  readonly lack: true;
  readonly events: readonly string[];
  readonly facts: readonly FactRequest[];
  readonly policy?: Received;
  readonly unasked?: Unasked;
}

/** An event and the server that it came from. */
export interface Received {
  readonly event: Pdu;
  readonly origin: string;
}

/** States that no room can have, which only events with hostile ids make. */
export interface Unresolvable {
  readonly unresolvable: Refusal;
}

export function lacking(events: readonly string[], facts: readonly FactRequest[] = []): Lack {
  return { lack: true, events, facts };
}

export function isLack(value: object): value is Lack {
  return "lack" in value;
}

export function isUnresolvable(value: object): value is Unresolvable {
  return "unresolvable" in value;
}

/**
 * Forward extremities, changed in place: a flood of branches may leave 10,000, and a copy for each event took more
 * time than all else. The states after them are counted, because most of a flood shares a few.
 */
class Ends {
  readonly #byId: Map<string, Snapshot>;
  readonly #uses = new Map<Snapshot, number>();

  constructor(ends: ReadonlyMap<string, Snapshot>) {
    this.#byId = new Map(ends);
    for (const snapshot of ends.values()) this.#count(snapshot, 1);
  }

  get byId(): ReadonlyMap<string, Snapshot> {
    return this.#byId;
  }

  /** Each state once. */
  get states(): readonly Snapshot[] {
    return [...this.#uses.keys()];
  }

  delete(eventId: string): void {
    const snapshot = this.#byId.get(eventId);
    if (snapshot === undefined) return;
    this.#byId.delete(eventId);
    this.#count(snapshot, -1);
  }

  add(eventId: string, snapshot: Snapshot): void {
    this.delete(eventId);
    this.#byId.set(eventId, snapshot);
    this.#count(snapshot, 1);
  }

  #count(snapshot: Snapshot, change: 1 | -1): void {
    const uses = (this.#uses.get(snapshot) ?? 0) + change;
    if (uses === 0) this.#uses.delete(snapshot);
    else this.#uses.set(snapshot, uses);
  }
}

/** Reads what several states agree on, and notes when it was asked for anything else. */
export interface Agreed {
  readonly lookup: StateLookup;
  readonly unsure: () => boolean;
}

export class Workspace {
  readonly memory: RoomMemory;
  readonly rules: RoomVersionRules;
  readonly index: RoomIndex;
  /** Ids that storage was asked for and does not have. */
  readonly absent: Set<string> = new Set();
  /** What the host's policy was asked about here, and what it said. */
  readonly policies: Map<string, PolicyRefusal | undefined> = new Map();
  /**
   * Events of which the room's policy server has said nothing yet. They are decided here as if it recommended them, and
   * nothing of that is committed: it is asked about all of them, and they are decided again.
   */
  readonly unasked: Map<string, Unasked> = new Map();
  /** Decided here, in the order of decision; each overrides what memory holds. */
  readonly decided: Map<string, Held> = new Map();
  /** Present while memberships may be missing from the states. */
  partial: PartialState | undefined;
  readonly #supplied = new Map<string, Held>();
  /** Numbers of the state events that were recorded here as ones that count. The copy of an id stays the same. */
  readonly #entered: number[] = [];
  readonly #waiting: Readonly<Record<Waiting["kind"], Map<string, Waiting>>> = {
    history: new Map(),
    redaction: new Map(),
  };
  readonly #pendingPut = new Map<string, PendingEvent>();
  readonly #pendingRemoved = new Set<string>();
  #ends: Ends;
  #current: Snapshot | undefined;
  #firstPosition: number;
  #lastPosition: number;
  #liveDepth: number;

  constructor(memory: RoomMemory) {
    memory.abandon();
    this.memory = memory;
    this.rules = memory.version.rules;
    this.index = memory.index;
    this.#ends = new Ends(memory.extremities);
    this.#current = memory.current;
    this.partial = memory.record?.partial;
    this.#firstPosition = memory.record?.firstPosition ?? 0;
    this.#lastPosition = memory.record?.lastPosition ?? 0;
    this.#liveDepth = memory.record?.liveDepth ?? Number.MAX_SAFE_INTEGER;
  }

  held(eventId: string): Held | undefined {
    return this.decided.get(eventId) ?? this.#supplied.get(eventId) ?? this.memory.held(eventId);
  }

  /** Whether nothing about this id can be learnt from storage any more. */
  isUnknown(eventId: string): boolean {
    return this.held(eventId) === undefined && this.absent.has(eventId);
  }

  supply(asked: readonly string[], found: readonly Held[]): void {
    const ids = new Set<string>(found.map(({ event }) => event.eventId));
    for (const held of found) this.#supplied.set(held.event.eventId, held);
    for (const id of asked) if (!ids.has(id)) this.absent.add(id);
  }

  /** What the host's policy holds against an event. */
  policyOn(received: Received): PolicyRefusal | Lack | undefined {
    const { eventId } = received.event;
    return this.policies.has(eventId) ? this.policies.get(eventId) : { ...lacking([]), policy: received };
  }

  /** What the room's policy server holds against an event that does not have its signature. */
  recommendationOf(event: Pdu, by: PolicyServer): Refusal | Lack | undefined {
    const { eventId } = event;
    const known = this.memory.recommendations.get(eventId);
    if (known?.by.server === by.server && known.by.publicKey === by.publicKey) {
      return "refusal" in known
        ? known.refusal
        : notRecommended(event, `the signature of ${by.server} does not verify`);
    }
    return this.unasked.has(eventId) ? undefined : { ...lacking([]), unasked: { event, by } };
  }

  /** The event with the signature that its policy server gave for it here. */
  withRecommendation(event: Pdu): Pdu {
    const known = this.memory.recommendations.get(event.eventId);
    return known !== undefined && "signature" in known ? recommended(event, known.by.server, known.signature) : event;
  }

  /** As the rules that look at `auth_events` read events. */
  readonly lookup: EventLookup = (eventId) => {
    const held = this.held(eventId);
    if (held !== undefined) return { event: held.event, rejected: !isAllowed(held) };
    const event = this.memory.judging(eventId);
    return event === undefined ? undefined : { event, rejected: false };
  };

  /** The state that these states make together, resolved where they differ. */
  resolve(snapshots: readonly Snapshot[]): Snapshot | Lack | Unresolvable {
    const distinct = distinctOf(snapshots);
    const [only] = distinct;
    if (only === undefined) return this.memory.snapshots.empty;
    if (distinct.length === 1) return only;
    const name = distinct.map(({ serial }) => serial).join(" ");
    const known = this.memory.resolutions.get(name);
    if (known !== undefined) return known;
    const states = distinct.map(({ state }) => state);
    const resolution = this.memory.version.resolve(this.index, states, { facts: this.memory.facts });
    if (resolution.verdict === "refused") return { unresolvable: resolution.refusal };
    if (resolution.verdict === "needs") return lacking(resolution.events, resolution.facts);
    const resolved = this.memory.snapshots.near(distinct, resolution.state);
    this.memory.resolutions.set(name, resolved);
    return resolved;
  }

  /** The room's current state: the resolution over its forward extremities (spec, "Room State Resolution"). */
  current(): Snapshot | Lack | Unresolvable {
    if (this.#current !== undefined) return this.#current;
    const resolved = this.resolve(this.#ends.states);
    if (!isLack(resolved) && !isUnresolvable(resolved)) this.#current = resolved;
    return resolved;
  }

  /**
   * The current state as far as it is known without a resolution: an event that the states after all forward
   * extremities hold is part of whatever they resolve to (spec, "unconflicted state map"). A key that none of them
   * has may still be filled from the auth difference. `undefined` where the current state is at hand: the second
   * of two branches of 1,000 events paid for a resolution at each of its events.
   */
  agreed(): Agreed | undefined {
    const { states } = this.#ends;
    const [first, ...others] = states;
    if (this.#current !== undefined || first === undefined || others.length === 0) return undefined;
    const { index } = this;
    let unsure = false;
    const lookup: StateLookup = (type, stateKey) => {
      const key = index.keyNumber(type, stateKey);
      const number = key === ABSENT ? ABSENT : first.state.get(key);
      if (number !== ABSENT && others.every(({ state }) => state.get(key) === number)) return index.eventOf(number);
      unsure = true;
      return undefined;
    };
    return { lookup, unsure: () => unsure };
  }

  /** Forward extremities with the states after them. They move on in place: copy what is to stay. */
  get extremities(): ReadonlyMap<string, Snapshot> {
    return this.#ends.byId;
  }

  setExtremities(extremities: ReadonlyMap<string, Snapshot>): void {
    this.#ends = new Ends(extremities);
    this.#current = undefined;
  }

  /** Forward extremities give way to one that follows them; `after` is missing where something follows that too. */
  advance(passed: readonly string[], eventId: string, after: Snapshot | undefined): void {
    for (const id of passed) this.#ends.delete(id);
    if (after !== undefined) this.#ends.add(eventId, after);
    this.#current = undefined;
  }

  waitingFor(kind: Waiting["kind"], eventId: string): Waiting | undefined {
    return this.#waiting[kind].get(eventId) ?? this.memory.waiting[kind].get(eventId);
  }

  setWaiting(row: Waiting): void {
    this.#waiting[row.kind].set(row.eventId, row);
  }

  addWaiting(kind: Waiting["kind"], eventId: string, by: string, passed: boolean): void {
    const row = this.waitingFor(kind, eventId) ?? { kind, eventId, by: [], passed: false };
    const all = row.by.includes(by) ? row.by : [...row.by, by];
    this.setWaiting({ ...row, by: all, passed: row.passed || passed });
  }

  putPending(row: PendingEvent): void {
    this.#pendingPut.set(row.eventId, row);
    this.#pendingRemoved.delete(row.eventId);
  }

  removePending(eventId: string): void {
    this.#pendingPut.delete(eventId);
    if (this.memory.pending.has(eventId)) this.#pendingRemoved.add(eventId);
  }

  /** What is pending as this workspace leaves it, oldest first. */
  pendingRows(): readonly PendingEvent[] {
    const kept = [...this.memory.pending.values()].filter(
      ({ eventId }) => !this.#pendingRemoved.has(eventId) && !this.#pendingPut.has(eventId),
    );
    return [...kept, ...this.#pendingPut.values()];
  }

  nextPosition(live: boolean): number {
    return live ? ++this.#lastPosition : --this.#firstPosition;
  }

  /** Where this server came into the room. What came before it is known as far as the state needs it. */
  get liveDepth(): number {
    return this.#liveDepth;
  }

  /** The first event of the room that is news here says it; a later one may give any depth. */
  noteLiveDepth(depth: number): void {
    if (this.#liveDepth === Number.MAX_SAFE_INTEGER) this.#liveDepth = depth;
  }

  record(held: Held): void {
    const id = held.event.eventId;
    this.decided.set(id, held);
    if (held.event.stateKey !== undefined && isAllowed(held)) this.#entered.push(this.enter(held.event));
    this.removePending(id);
  }

  /** The number of a state event. Until it is committed, only this workspace may build on it. */
  enter(event: Pdu): number {
    return this.memory.enter(event);
  }

  get changed(): boolean {
    const { history, redaction } = this.#waiting;
    return [this.decided, history, redaction, this.#pendingPut, this.#pendingRemoved].some(({ size }) => size > 0);
  }

  /** All of it as one batch, with the snapshots that were numbered for it. */
  batch(
    current: Snapshot,
    additions: Partial<Additions> = {},
  ): { readonly batch: Batch; readonly numbered: ReadonlyMap<Snapshot, number> } {
    const { memory } = this;
    const old = memory.record;
    const numbered = new Map<Snapshot, number>();
    const groups: Batch["groups"][number][] = [];
    let lastGroup = old?.lastGroup ?? 0;
    const groupOf = (snapshot: Snapshot): number => {
      const known = snapshot.group ?? numbered.get(snapshot);
      if (known !== undefined) return known;
      const base = snapshot.base === undefined ? undefined : groupOf(snapshot.base);
      numbered.set(snapshot, ++lastGroup);
      groups.push(memory.snapshots.row(this.index, snapshot, lastGroup, base));
      return lastGroup;
    };
    const events = [...this.decided.values()].map((held) => eventRow(held, groupOf));
    const record: RoomRecord = {
      roomId: memory.roomId,
      roomVersion: memory.version.id,
      revision: (old?.revision ?? 0) + 1,
      forwardExtremities: [...this.extremities.keys()].sort(compareCodePoints),
      stateGroup: groupOf(current),
      lastGroup,
      firstPosition: this.#firstPosition,
      lastPosition: this.#lastPosition,
      liveDepth: this.#liveDepth,
      ...(this.partial === undefined ? {} : { partial: this.partial }),
    };
    const batch: Batch = {
      roomId: memory.roomId,
      expected: old?.revision,
      record,
      events,
      groups,
      pending: { put: [...this.#pendingPut.values()], remove: [...this.#pendingRemoved] },
      waiting: [...this.#waiting.history.values(), ...this.#waiting.redaction.values()],
      outbox: additions.outbox ?? [],
      outside: { put: additions.outsidePut ?? [], remove: additions.outsideRemove ?? [] },
      intents: { put: additions.intentsPut ?? [], remove: additions.intentsRemove ?? [] },
    };
    return { batch, numbered };
  }

  /** Memory after the batch was committed. */
  apply(batch: Batch, numbered: ReadonlyMap<Snapshot, number>, current: Snapshot): void {
    const { memory } = this;
    for (const [snapshot, group] of numbered) {
      snapshot.group = group;
      memory.keepSnapshot(snapshot);
    }
    memory.keepAll(this.decided, this.#entered);
    for (const row of batch.waiting) memory.setWaiting(row);
    for (const id of this.#pendingRemoved) memory.dropPending(id);
    for (const row of this.#pendingPut.values()) memory.putPending(row);
    memory.record = batch.record;
    memory.extremities = this.extremities;
    memory.current = current;
  }
}

/** What a batch carries beside the room itself. */
export interface Additions {
  readonly outbox: readonly OutboxEntry[];
  readonly outsidePut: readonly OutsideMembership[];
  readonly outsideRemove: readonly { readonly roomId: string; readonly userId: string }[];
  readonly intentsPut: readonly Intent[];
  readonly intentsRemove: readonly string[];
}

/** One of each, in an order that does not depend on how they were given. */
function distinctOf(snapshots: readonly Snapshot[]): readonly Snapshot[] {
  const distinct: Snapshot[] = [];
  for (const snapshot of [...new Set(snapshots)].sort((a, b) => a.serial - b.serial)) {
    // Comparing many states pairwise would cost more than resolving equal ones together.
    const twin = distinct.length < 8 && distinct.some(({ state }) => state.equals(snapshot.state));
    if (!twin) distinct.push(snapshot);
  }
  return distinct;
}
