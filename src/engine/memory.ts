/**
 * What a room keeps in memory: its auth graph, its current state, what it waits for, and a bounded number of
 * other events and states. All of it can be read again from storage at any revision; nothing here is the
 * only copy of anything.
 */
import { RoomIndex } from "../dag/room-index.js";
import { Marks } from "../dag/integers.js";
import { ABSENT } from "../dag/state-map.js";
import { UsageError } from "../errors.js";
import { readPdu } from "../event/format.js";
import type { Pdu, RoomEvent } from "../event/pdu.js";
import { encodeCanonical } from "../json/canonical.js";
import type { JsonValue } from "../json/value.js";
import type {
  OpenedRoom,
  PendingEvent,
  RoomRecord,
  StateGroup,
  StoredEvent,
  Storage,
  Waiting,
} from "../ports/storage.js";
import type { Awaitable, Cancel } from "../ports/cancel.js";
import type { RoomVersion } from "../versions/room-version.js";
import { Cache } from "./cache.js";
import { Facts } from "./facts.js";
import { isAllowed } from "./held.js";
import type { Held } from "./held.js";
import type { Limits } from "./limits.js";
import { JoinedServers } from "./policy-server.js";
import type { Recommendation } from "./policy-server.js";
import { Snapshots } from "./snapshot.js";
import type { Snapshot } from "./snapshot.js";

type WaitingKind = Waiting["kind"];

export class RoomMemory {
  readonly roomId: string;
  readonly version: RoomVersion;
  readonly limits: Limits;
  /** Accepted and soft-failed state events, by whose auth events states are resolved. */
  readonly index: RoomIndex;
  readonly snapshots: Snapshots = new Snapshots();
  readonly facts: Facts = new Facts();
  readonly resolutions: Cache<string, Snapshot>;
  readonly joined: JoinedServers = new JoinedServers();
  /** What policy servers said of events that a call is about to decide; gone when the call ends. */
  readonly recommendations: Map<string, Recommendation> = new Map();
  record: RoomRecord | undefined;
  /** Forward extremities with the states after them. */
  extremities: ReadonlyMap<string, Snapshot> = new Map();
  current: Snapshot = this.snapshots.empty;
  readonly pending: Map<string, PendingEvent> = new Map();
  /** Pending events by what they wait for. */
  readonly pendingOn: Map<string, Set<string>> = new Map();
  /**
   * What the index has although it may not count, by number: decided and never stored, or rejected since. Storage is
   * asked about them.
   */
  readonly #doubtful = new Marks();
  readonly waiting: Readonly<Record<WaitingKind, Map<string, Waiting>>> = { history: new Map(), redaction: new Map() };
  pendingBytes = 0;
  /** Of what is in doubt, what was entered since the last commit, and by workspaces that came to nothing. */
  readonly #uncommitted: number[] = [];
  readonly #abandoned = new Marks();
  #isSpoiled = false;
  readonly #held: Cache<string, Held>;
  readonly #groups: Cache<number, Snapshot>;

  constructor(roomId: string, version: RoomVersion, limits: Limits) {
    this.roomId = roomId;
    this.version = version;
    this.limits = limits;
    this.index = new RoomIndex(version.rules);
    this.#held = new Cache(limits.cachedEvents);
    this.#groups = new Cache(limits.cachedStates);
    this.resolutions = new Cache(limits.cachedResolutions);
  }

  held(eventId: string): Held | undefined {
    return this.#held.get(eventId);
  }

  /**
   * Whether an event is at hand as an auth event, without its states. In a room of 10,000 speakers, reading the
   * memberships that messages cite again from storage made a message a fifth dearer than among 100.
   */
  judges(eventId: string): boolean {
    return this.judging(eventId) !== undefined;
  }

  /** The same event. */
  judging(eventId: string): RoomEvent | undefined {
    const number = this.index.numberOf(eventId);
    return number === ABSENT || this.#doubtful.has(number) ? undefined : this.index.eventOf(number);
  }

  /**
   * Whether the index has one copy of an event and something else goes by another: what was decided and never stored
   * stays in the index, and a hostile event of room versions 1 and 2 may have the id of a true one, as a copy whose
   * content hash does not match may everywhere. Then all is to be read anew, and nothing that was decided may be kept.
   */
  get isSpoiled(): boolean {
    return this.#isSpoiled;
  }

  /** The number of a state event. Until it is committed it is in doubt, unless it was there before. */
  enter(event: Pdu): number {
    const known = this.index.numberOf(event.eventId);
    if (known !== ABSENT && this.index.eventOf(known) !== undefined) {
      if (this.#abandoned.has(known)) this.#matches(known, event);
      return known;
    }
    const number = this.index.add(event);
    this.#doubtful.add(number);
    this.#uncommitted.push(number);
    return number;
  }

  /** A workspace begins: what another one entered and did not commit, it decided for nothing. */
  abandon(): void {
    for (const number of this.#uncommitted) if (this.#doubtful.has(number)) this.#abandoned.add(number);
    this.#uncommitted.length = 0;
  }

  /** A state event that storage has, and that counts. */
  #confirm(event: Pdu): void {
    const number = this.index.add(event);
    if (this.#doubtful.has(number) && !this.#matches(number, event)) return;
    this.#doubtful.delete(number);
    this.#abandoned.delete(number);
  }

  /** Whether the index has this very copy of an event. */
  #matches(number: number, event: Pdu): boolean {
    const known = this.index.eventOf(number);
    const matches = known === undefined || isSameCopy(known, event);
    if (!matches) this.#isSpoiled = true;
    return matches;
  }

  /**
   * What was committed.
   * @param entered numbers of the state events that were entered for it, which count unless `decided` says otherwise
   */
  keepAll(decided: ReadonlyMap<string, Held>, entered: readonly number[]): void {
    this.#uncommitted.length = 0;
    for (const number of entered) {
      this.#doubtful.delete(number);
      this.#abandoned.delete(number);
    }
    this.#held.setAll(decided);
    for (const held of decided.values()) {
      this.#keepSnapshots(held);
      if (!isAllowed(held)) this.#doubt(held.event.eventId);
    }
  }

  /** What storage gave. */
  #keep(held: Held): void {
    this.#held.set(held.event.eventId, held);
    this.#keepSnapshots(held);
    // A message leaves alone what the index has under its id: that is another event.
    if (!isAllowed(held)) this.#doubt(held.event.eventId);
    else if (held.event.stateKey !== undefined) this.#confirm(held.event);
  }

  /** What was rejected does not count, though the index may have it. */
  #doubt(eventId: string): void {
    const number = this.index.numberOf(eventId);
    if (number !== ABSENT && this.index.eventOf(number) !== undefined) this.#doubtful.add(number);
  }

  keepSnapshot(snapshot: Snapshot | undefined): void {
    if (snapshot?.group !== undefined) this.#groups.set(snapshot.group, snapshot);
  }

  #keepSnapshots({ before, after }: Held): void {
    this.keepSnapshot(before);
    if (after !== before) this.keepSnapshot(after);
  }

  setWaiting(row: Waiting): void {
    const rows = this.waiting[row.kind];
    if (row.by.length === 0) rows.delete(row.eventId);
    else rows.set(row.eventId, row);
  }

  putPending(row: PendingEvent): void {
    this.dropPending(row.eventId);
    this.pending.set(row.eventId, row);
    this.pendingBytes += row.bytes;
    for (const id of row.waitsFor) {
      const waiting = this.pendingOn.get(id);
      if (waiting === undefined) this.pendingOn.set(id, new Set([row.eventId]));
      else waiting.add(row.eventId);
    }
  }

  dropPending(eventId: string): void {
    const row = this.pending.get(eventId);
    if (row === undefined) return;
    this.pending.delete(eventId);
    this.pendingBytes -= row.bytes;
    for (const id of row.waitsFor) {
      const waiting = this.pendingOn.get(id);
      waiting?.delete(eventId);
      if (waiting?.size === 0) this.pendingOn.delete(id);
    }
  }

  /** Takes over what storage holds, at first or after somebody else wrote. */
  async open(storage: Storage, opened: OpenedRoom, changed: readonly StoredEvent[], cancel?: Cancel): Promise<void> {
    for (const row of changed) {
      this.#held.delete(row.eventId);
      const known = this.index.numberOf(row.eventId);
      if (!isAllowed(row)) this.#doubt(row.eventId);
      else if (known !== ABSENT && this.index.eventOf(known) !== undefined) this.#matches(known, this.pduOf(row));
    }
    const extremities = new Map<string, Snapshot>();
    const loaded = await this.load(storage, opened.record.forwardExtremities, cancel);
    for (const held of loaded) if (held.after !== undefined) extremities.set(held.event.eventId, held.after);
    const current = await this.snapshot(storage, opened.record.stateGroup, cancel);
    // All of it or, where reading fails, nothing: the next commit would leave out ends that were not read.
    this.record = opened.record;
    for (const id of [...this.pending.keys()]) this.dropPending(id);
    for (const row of opened.pending) this.putPending(row);
    for (const kind of ["history", "redaction"] as const) this.waiting[kind].clear();
    for (const row of opened.waiting) this.setWaiting(row);
    this.extremities = extremities;
    this.current = current;
  }

  /**
   * Reads events with their states into memory; those that storage does not have are left out. Nothing waits where
   * memory has all of them: promises of what is at hand took a twentieth of a message that comes alone.
   */
  load(storage: Storage, eventIds: readonly string[], cancel?: Cancel): Awaitable<readonly Held[]> {
    const found: Held[] = [];
    const wanted: string[] = [];
    for (const id of eventIds) {
      const held = this.#held.get(id);
      if (held === undefined) wanted.push(id);
      else found.push(held);
    }
    return wanted.length === 0 ? found : this.#read(storage, wanted, found, cancel);
  }

  /** Those that storage has of the wanted ones, after those that were found. */
  async #read(
    storage: Storage,
    wanted: readonly string[],
    found: Held[],
    cancel: Cancel | undefined,
  ): Promise<readonly Held[]> {
    const rows = await storage.readEvents(this.roomId, wanted, cancel);
    if (rows.length === 0) return found;
    const groups = new Set<number>();
    for (const { stateBefore, stateAfter } of rows) {
      if (stateBefore !== undefined) groups.add(stateBefore);
      if (stateAfter !== undefined) groups.add(stateAfter);
    }
    const snapshots = await this.#loadGroups(storage, [...groups], cancel);
    for (const row of rows) {
      const held = this.#heldOf(row, snapshots);
      this.#keep(held);
      found.push(held);
    }
    return found;
  }

  #heldOf(row: StoredEvent, snapshots: ReadonlyMap<number, Snapshot>): Held {
    const known = (group: number | undefined): Snapshot | undefined =>
      group === undefined ? undefined : this.#found(group, snapshots);
    return {
      event: this.pduOf(row),
      hashMismatch: row.hashMismatch,
      verdict: row.verdict,
      position: row.position,
      before: known(row.stateBefore),
      after: known(row.stateAfter),
      redactedBy: row.redactedBy,
    };
  }

  /** @throws UsageError when storage gives back something that no event is. */
  pduOf({ json, eventId }: Pick<StoredEvent, "json" | "eventId">): Pdu {
    const pdu = readPdu(this.version.rules, json, { eventId, counts: "tolerated" });
    if (pdu.ok) return pdu.value;
    throw new UsageError(`storage returned ${eventId}, which is no event: ${pdu.error.reason}`);
  }

  #found(group: number, snapshots: ReadonlyMap<number, Snapshot>): Snapshot {
    const snapshot = snapshots.get(group);
    if (snapshot === undefined) throw new UsageError(`storage knows no state group ${group} of ${this.roomId}`);
    return snapshot;
  }

  /** The state of a group. */
  async snapshot(storage: Storage, group: number, cancel?: Cancel): Promise<Snapshot> {
    return this.#found(group, await this.#loadGroups(storage, [group], cancel));
  }

  /** These groups and those that they build on, as far as either was not in memory. */
  async #loadGroups(
    storage: Storage,
    groups: readonly number[],
    cancel?: Cancel,
  ): Promise<ReadonlyMap<number, Snapshot>> {
    const made = new Map<number, Snapshot>();
    const wanted: number[] = [];
    for (const group of groups) {
      const snapshot = this.#groups.get(group);
      if (snapshot === undefined) wanted.push(group);
      else made.set(group, snapshot);
    }
    if (wanted.length === 0) return made;
    const rows = [...(await storage.readStateGroups(this.roomId, wanted, cancel))];
    const needed = new Set<string>();
    for (const { delta } of rows) {
      for (const [, , id] of delta) if (id !== undefined && !this.judges(id)) needed.add(id);
    }
    for (const row of await storage.readEvents(this.roomId, [...needed], cancel)) {
      const event = this.pduOf(row);
      if (isAllowed(row)) this.#confirm(event);
      else {
        this.index.add(event);
        this.#doubt(row.eventId);
      }
    }
    // A group is numbered after those that it builds on.
    rows.sort((a, b) => a.group - b.group);
    for (const row of rows) if (!made.has(row.group)) made.set(row.group, this.#rebuild(row, made));
    for (const snapshot of made.values()) this.keepSnapshot(snapshot);
    return made;
  }

  #rebuild(row: StateGroup, made: ReadonlyMap<number, Snapshot>): Snapshot {
    const known = this.#groups.get(row.group);
    if (known !== undefined) return known;
    const base = row.base === undefined ? undefined : this.#found(row.base, made);
    if (base === undefined) {
      const ids = row.delta.flatMap(([, , id]) => (id === undefined ? [] : [id]));
      return this.snapshots.make(this.index.stateOf(ids), undefined, row.place, row.group);
    }
    let { state } = base;
    for (const [type, stateKey, id] of row.delta) {
      const key = id === undefined ? this.index.keyNumber(type, stateKey) : this.index.keyOf(this.index.numberOf(id));
      if (key !== ABSENT) state = state.set(key, id === undefined ? ABSENT : this.index.numberOf(id));
    }
    return this.snapshots.make(state, base, row.place, row.group);
  }
}

function isSameCopy(a: RoomEvent, b: RoomEvent): boolean {
  return a.content === b.content || encodeCanonical(copyOf(a)) === encodeCanonical(copyOf(b));
}

/** All that the rules and readers see of an event. */
function copyOf(event: RoomEvent): JsonValue {
  const {
    type,
    stateKey = null,
    sender,
    originServerTs,
    depth,
    redacts = null,
    prevEvents,
    authEvents,
    content,
  } = event;
  return [type, stateKey, sender, originServerTs, depth, redacts, prevEvents, authEvents, content];
}
