/** One room of an audit: its events folded in causal order by the rules alone, and compared with what is stored. */
import { checkStateDependent, checkStateIndependent, stateOfAuthEvents } from "../auth/check.js";
import type { KnownEvent } from "../auth/check.js";
import { RoomIndex } from "../dag/room-index.js";
import { ABSENT, StateMap } from "../dag/state-map.js";
import { readPdu } from "../event/format.js";
import { contentHashMatches } from "../event/hashes.js";
import { createEventIdOf } from "../event/pdu.js";
import type { Pdu } from "../event/pdu.js";
import { compareCodePoints } from "../json/compare.js";
import type { RoomChanges, StateGroup, StoredEvent } from "../ports/storage.js";
import type { RoomVersion } from "../versions/room-version.js";
import { membershipOf } from "./state-view.js";

/** Something that is not as it should be. */
export interface AuditFinding {
  readonly kind:
    /** A row cannot be read, or is not what its key says. */
    | "event"
    /** A content hash does not match, and the row says that it does. */
    | "hash"
    /** The rules judge otherwise than the row says. */
    | "verdict"
    /** A state is not what comes of the events. */
    | "state"
    /** The room's record does not fit its events: extremities, positions, the current state. */
    | "record"
    /** A row of what waits, or of what is to be sent, points at nothing. */
    | "reference";
  readonly roomId?: string;
  /** A sentence for a person. */
  readonly reason: string;
  readonly events: readonly string[];
}

/** All that is stored of a room, at one revision. */
export interface StoredRoom extends RoomChanges {
  readonly roomId: string;
  readonly groups: readonly StateGroup[];
}

type Finding = Omit<AuditFinding, "roomId">;

export function auditRoom(version: RoomVersion, stored: StoredRoom): readonly Finding[] {
  return new RoomAudit(version, stored).run();
}

class RoomAudit {
  readonly #version: RoomVersion;
  readonly #stored: StoredRoom;
  readonly #index: RoomIndex;
  readonly #rows = new Map<string, StoredEvent>();
  readonly #pdus = new Map<string, Pdu>();
  readonly #groups = new Map<number, StateMap>();
  /** By the rules: states after events, and who was rejected. */
  readonly #after = new Map<string, StateMap>();
  readonly #known = new Map<string, KnownEvent>();
  readonly #findings: Finding[] = [];

  constructor(version: RoomVersion, stored: StoredRoom) {
    this.#version = version;
    this.#stored = stored;
    this.#index = new RoomIndex(version.rules);
  }

  run(): readonly Finding[] {
    for (const row of this.#stored.events) this.#read(row);
    this.#fillIndex();
    this.#buildGroups();
    for (const row of this.#ordered((row, pdu) => [...this.#cites(pdu), ...this.#given(row, pdu)])) this.#fold(row);
    this.#checkPositions();
    this.#checkExtremities();
    this.#checkCurrent();
    this.#checkReferences();
    return this.#findings;
  }

  #say(kind: AuditFinding["kind"], reason: string, ...events: readonly string[]): void {
    this.#findings.push({ kind, reason, events });
  }

  // ---- events ---------------------------------------------------------------------------------------------

  #read(row: StoredEvent): void {
    const { eventId, json, hashMismatch } = row;
    this.#rows.set(eventId, row);
    const pdu = readPdu(this.#version.rules, json, { counts: "tolerated" });
    if (!pdu.ok) {
      this.#say("event", `it is stored and is no event: ${pdu.error.reason}`, eventId);
      return;
    }
    if (pdu.value.eventId !== eventId) this.#say("event", `its id is ${pdu.value.eventId}`, eventId);
    if (pdu.value.roomId !== this.#stored.roomId) this.#say("event", `it is of ${pdu.value.roomId}`, eventId);
    if (!hashMismatch && !contentHashMatches(json)) this.#say("hash", "its content hash does not match", eventId);
    this.#pdus.set(eventId, pdu.value);
  }

  #cites(pdu: Pdu): readonly string[] {
    const implied = this.#version.rules.auth.createEvent === "implied" && pdu.type !== "m.room.create";
    return [...pdu.prevEvents, ...pdu.authEvents, ...(implied ? [createEventIdOf(pdu.roomId)] : [])];
  }

  /** Each event after those that `before` names. Cycles, which only hostile ids form, are cut somewhere. */
  #ordered(before: (row: StoredEvent, pdu: Pdu) => readonly string[]): readonly StoredEvent[] {
    const ordered: StoredEvent[] = [];
    const done = new Set<string>();
    const entered = new Set<string>();
    const stack = [...this.#rows.keys()].reverse();
    for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
      const [row, pdu] = [this.#rows.get(id), this.#pdus.get(id)];
      if (row === undefined || pdu === undefined || entered.has(id)) {
        stack.pop();
        if (row !== undefined && pdu !== undefined && !done.has(id)) ordered.push(row);
        done.add(id);
        continue;
      }
      entered.add(id);
      for (const cited of before(row, pdu)) if (this.#rows.has(cited) && !entered.has(cited)) stack.push(cited);
    }
    return ordered;
  }

  #fillIndex(): void {
    for (const { eventId, verdict } of this.#ordered((_, pdu) => this.#cites(pdu))) {
      const pdu = this.#pdus.get(eventId);
      if (pdu?.stateKey !== undefined && verdict.standing !== "rejected") this.#index.add(pdu);
    }
  }

  // ---- states ---------------------------------------------------------------------------------------------

  #buildGroups(): void {
    // A group is numbered after those that it builds on.
    for (const row of [...this.#stored.groups].sort((a, b) => a.group - b.group)) {
      const base = row.base === undefined ? StateMap.empty : this.#groups.get(row.base);
      if (base === undefined)
        this.#say("state", `state group ${row.group} builds on ${row.base ?? 0}, which is not there`);
      else this.#groups.set(row.group, this.#applied(row, base));
    }
  }

  #applied({ group, delta }: StateGroup, base: StateMap): StateMap {
    const changes = new Map<number, number>();
    for (const [type, stateKey, eventId] of delta) {
      if (eventId === undefined) {
        const key = this.#index.keyNumber(type, stateKey);
        if (key !== ABSENT) changes.set(key, ABSENT);
        continue;
      }
      const pdu = this.#pdus.get(eventId);
      if (pdu?.type !== type || pdu.stateKey !== stateKey) {
        this.#say("state", `state group ${group} has it for ${type} "${stateKey}", which it is not`, eventId);
        continue;
      }
      const number = this.#index.add(pdu);
      changes.set(this.#index.keyOf(number), number);
    }
    return base.setAll(changes);
  }

  #group(number: number | undefined, of: string): StateMap | undefined {
    const state = number === undefined ? undefined : this.#groups.get(number);
    if (number !== undefined && state === undefined) this.#say("state", `its state group ${number} is not there`, of);
    return state;
  }

  /** The state that this server was given, where the parents are not there to make it of. */
  #given({ stateBefore }: StoredEvent, pdu: Pdu): readonly string[] {
    if (stateBefore === undefined || pdu.prevEvents.every((id) => this.#rows.get(id)?.stateAfter !== undefined))
      return [];
    const state = this.#groups.get(stateBefore);
    return state === undefined ? [] : this.#index.idsOf(state);
  }

  #fold(row: StoredEvent): void {
    const { eventId, verdict } = row;
    const pdu = this.#pdus.get(eventId);
    if (pdu === undefined) return;
    const rejected = verdict.standing === "rejected";
    const stored = this.#group(row.stateBefore, eventId);
    const before = this.#isProvisional(row) ? stored : this.#before(row, pdu, stored);
    if (before !== undefined && stored !== undefined) this.#compare("the state before it", before, stored, eventId);
    if (!this.#isProvisional(row)) this.#compareVerdict(row, pdu, before);
    this.#known.set(eventId, { event: pdu, rejected });
    if (before === undefined) return;
    const number = rejected || pdu.stateKey === undefined ? undefined : this.#index.numberOf(eventId);
    const after = number === undefined ? before : this.#index.stateAfter(before, number);
    this.#after.set(eventId, after);
    const storedAfter = this.#group(row.stateAfter, eventId);
    if (storedAfter === undefined)
      this.#say("state", "the state before it is stored, and the one after it not", eventId);
    else this.#compare("the state after it", after, storedAfter, eventId);
  }

  /** Decided by a part of the state, and to be decided again when all of it is known. */
  #isProvisional({ position }: StoredEvent): boolean {
    const { partial } = this.#stored.record;
    return partial !== undefined && position !== undefined && position >= partial.position;
  }

  #before(row: StoredEvent, pdu: Pdu, stored: StateMap | undefined): StateMap | undefined {
    if (row.stateBefore === undefined) return undefined;
    if (pdu.prevEvents.length === 0) return StateMap.empty;
    if (this.#given(row, pdu).length > 0) return stored;
    return this.#resolve(
      pdu.prevEvents.flatMap((id) => this.#after.get(id) ?? []),
      row.eventId,
    );
  }

  #resolve(states: readonly StateMap[], ...of: readonly string[]): StateMap | undefined {
    const distinct = states.filter((state, at) => states.findIndex((other) => other.equals(state)) === at);
    const [only] = distinct;
    if (distinct.length <= 1) return only;
    const resolution = this.#version.resolve(this.#index, distinct);
    if (resolution.verdict === "resolved") return resolution.state;
    this.#say("state", "the states before it cannot be resolved", ...of);
    return undefined;
  }

  #compare(what: string, computed: StateMap, stored: StateMap, ...of: readonly string[]): void {
    const differing: string[] = [];
    computed.diff(stored, (key, mine, theirs) => {
      const name = (number: number): string => (number === ABSENT ? "nothing" : this.#index.idOf(number));
      const [type, stateKey] = this.#index.keyAt(key);
      differing.push(`${type} "${stateKey}" is ${name(theirs)} and should be ${name(mine)}`);
    });
    const [first, ...more] = differing;
    if (first === undefined) return;
    const others = more.length === 0 ? "" : `, and ${more.length} more`;
    this.#say("state", `${what} is not what its events make: ${first}${others}`, ...of);
  }

  // ---- verdicts -------------------------------------------------------------------------------------------

  #compareVerdict({ eventId, verdict, stateBefore }: StoredEvent, pdu: Pdu, before: StateMap | undefined): void {
    const refusal = this.#refusal(pdu, before);
    if (verdict.standing !== "rejected") {
      if (refusal !== undefined)
        this.#say("verdict", `it is ${verdict.standing}, and the rules refuse it: ${refusal}`, eventId);
      return;
    }
    // A second root is refused by the room that it is in, and states that no room can have by nothing else.
    const isSecondRoot = pdu.type === "m.room.create" && !this.#isRoot(eventId);
    const isUnresolvable = verdict.check === "state-before" && stateBefore === undefined;
    if (refusal === undefined && !isSecondRoot && !isUnresolvable) {
      this.#say("verdict", `it is rejected (${verdict.refusal.reason}), and the rules allow it`, eventId);
    }
  }

  #isRoot(eventId: string): boolean {
    const state = this.#groups.get(this.#stored.record.stateGroup);
    return state !== undefined && this.#index.lookup(state)("m.room.create", "")?.eventId === eventId;
  }

  #refusal(pdu: Pdu, before: StateMap | undefined): string | undefined {
    const { rules } = this.#version;
    if (pdu.rejectedForSize !== undefined) return pdu.rejectedForSize.reason;
    const lookup = (id: string): KnownEvent | undefined => this.#known.get(id);
    const independent = checkStateIndependent(rules, pdu, lookup);
    if (independent.verdict === "rejected") return independent.refusal.reason;
    if (independent.verdict === "needs") return `${independent.events.join(", ")} is not stored`;
    const cited = stateOfAuthEvents(rules, pdu, (id) => lookup(id)?.event);
    const states = [cited, ...(before === undefined ? [] : [this.#index.lookup(before)])];
    for (const state of states) {
      const verdict = checkStateDependent(rules, pdu, state);
      if (verdict.verdict === "rejected") return verdict.refusal.reason;
    }
    return undefined;
  }

  // ---- the record -----------------------------------------------------------------------------------------

  #checkPositions(): void {
    const { firstPosition, lastPosition } = this.#stored.record;
    const taken = new Map<number, string>();
    for (const { eventId, position } of this.#rows.values()) {
      if (position === undefined) continue;
      if (position < firstPosition || position > lastPosition) {
        this.#say("record", `its position ${position} is not within ${firstPosition} and ${lastPosition}`, eventId);
      }
      const other = taken.get(position);
      if (other !== undefined) this.#say("record", `two events have the position ${position}`, eventId, other);
      taken.set(position, eventId);
    }
  }

  /** Accepted events that nothing accepted follows, directly or through events that were not (spec, "Soft failure"). */
  #checkExtremities(): void {
    const { forwardExtremities, liveDepth } = this.#stored.record;
    const ends = new Set(forwardExtremities);
    const sorted = [...ends].sort(compareCodePoints);
    if (sorted.length < forwardExtremities.length || sorted.some((id, at) => id !== forwardExtremities[at])) {
      this.#say("record", "the forward extremities are not sorted, or one is there twice", ...forwardExtremities);
    }
    const followed = this.#followed();
    const cameLast = this.#lastComing();
    for (const id of ends) {
      const row = this.#rows.get(id);
      if (row === undefined) this.#say("record", "it is a forward extremity, and is not stored", id);
      else if (row.verdict.standing !== "accepted")
        this.#say("record", "it is a forward extremity, and not accepted", id);
      else if (row.stateAfter === undefined) this.#say("record", "it is a forward extremity without a state", id);
      const by = followed.get(id);
      if (by !== undefined) this.#say("record", "it is a forward extremity, and an accepted event follows it", id, by);
    }
    for (const { eventId, verdict, position = 0, stateAfter } of this.#rows.values()) {
      const isNews = verdict.standing === "accepted" && position > 0 && stateAfter !== undefined;
      if (!isNews || ends.has(eventId) || followed.has(eventId)) continue;
      // What came with the state of a join has descendants that need not be known here, and who was gone for a while
      // left an end behind.
      if ((this.#pdus.get(eventId)?.depth ?? 0) < liveDepth || position < cameLast) continue;
      this.#say("record", "nothing accepted follows it, and it is no forward extremity", eventId);
    }
  }

  /**
   * The last join. If nobody of this server was in the room then, it came by another server and took the place of
   * whatever was an end here before; from the events alone one cannot tell.
   */
  #lastComing(): number {
    const joins = [...this.#rows.values()].filter(({ eventId, verdict }) => {
      const pdu = this.#pdus.get(eventId);
      return verdict.standing === "accepted" && pdu?.type === "m.room.member" && membershipOf(pdu) === "join";
    });
    return joins.reduce((last, { position = last }) => Math.max(last, position), Number.NEGATIVE_INFINITY);
  }

  /** Events that an accepted one follows, and one that does. */
  #followed(): ReadonlyMap<string, string> {
    const followed = new Map<string, string>();
    for (const { eventId, verdict, position } of this.#rows.values()) {
      if (verdict.standing !== "accepted" || position === undefined) continue;
      const stack = [...(this.#pdus.get(eventId)?.prevEvents ?? [])];
      for (let id: string | undefined = stack.pop(); id !== undefined; id = stack.pop()) {
        if (followed.has(id)) continue;
        followed.set(id, eventId);
        const row = this.#rows.get(id);
        if (row !== undefined && row.verdict.standing !== "accepted") {
          stack.push(...(this.#pdus.get(id)?.prevEvents ?? []));
        }
      }
    }
    return followed;
  }

  #checkCurrent(): void {
    const { record } = this.#stored;
    const current = this.#groups.get(record.stateGroup);
    if (current === undefined) {
      this.#say("record", `the group of the current state, ${record.stateGroup}, is not there`);
      return;
    }
    if (record.stateGroup > record.lastGroup) this.#say("record", "the current state's group was never numbered");
    if (record.partial !== undefined) return;
    const states = record.forwardExtremities.flatMap((id) => this.#after.get(id) ?? []);
    if (states.length < record.forwardExtremities.length) return;
    const resolved = this.#resolve(states, ...record.forwardExtremities);
    if (resolved !== undefined) this.#compare("the current state", resolved, current, ...record.forwardExtremities);
  }

  #checkReferences(): void {
    for (const { eventId, waitsFor } of this.#stored.pending) {
      if (this.#rows.has(eventId)) this.#say("reference", "it is undecided and decided", eventId);
      if (waitsFor.length === 0) this.#say("reference", "it is undecided and waits for nothing", eventId);
    }
    for (const { eventId, by, kind } of this.#stored.waiting) {
      const absent = by.filter((id) => !this.#rows.has(id));
      if (absent.length > 0) this.#say("reference", `who waits for the ${kind} of ${eventId} is not stored`, ...absent);
    }
    for (const { eventId, redactedBy } of this.#rows.values()) {
      if (redactedBy === undefined) continue;
      const by = this.#rows.get(redactedBy);
      const names = this.#pdus.get(redactedBy)?.redacts;
      if (by === undefined || by.verdict.standing === "rejected" || names !== eventId) {
        this.#say("reference", `${redactedBy}, which redacts it, is no redaction of it`, eventId);
      }
    }
  }
}
