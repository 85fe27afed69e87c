/**
 * The auth graph of one room with ids and state keys turned into integers at the door. It is an
 * object that its owner fills and drops; the algorithms over it are pure. An event that was only
 * cited has a number too, and no event behind it until it is added.
 */
import { UsageError } from "../errors.js";
import { createEventIdOf } from "../event/pdu.js";
import type { RoomEvent } from "../event/pdu.js";
import type { RoomVersionRules } from "../rules/model.js";
import { Citers } from "./citers.js";
import { Links } from "./links.js";
import { ABSENT, StateMap } from "./state-map.js";

/**
 * The types that the rules know, as the very strings that they compare with: those are told apart by address, others
 * character by character, which was a tenth of a small resolution.
 */
const knownTypes: ReadonlyMap<string, string> = new Map(
  ["m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules", "m.room.third_party_invite"].map(
    (type) => [type, type],
  ),
);

/** Add events with {@link RoomIndex.add}, make states of them, and resolve those. */
export class RoomIndex {
  readonly rules: RoomVersionRules;
  readonly #numbers = new Map<string, number>();
  readonly #ids: string[] = [];
  readonly #events: (RoomEvent | undefined)[] = [];
  readonly #rejected = new Set<number>();
  readonly #keyNumbers = new Map<string, { readonly type: string; readonly numbers: Map<string, number> }>();
  readonly #keys: (readonly [type: string, stateKey: string])[] = [];
  #roomId: string | undefined;
  #oneRoom = true;
  #order: Int32Array | undefined;
  #ascending: Int32Array = new Int32Array(0);
  /** The state that was made last: the next one is likely to have most of it in common, and shares that. */
  #lastState: StateMap = StateMap.empty;
  /** The create event that was found last: all events of a room ask for the same one, and it stays. */
  #implied: { readonly roomId: string; readonly number: number } | undefined;
  /** Whether every event was added after all that it cites, so that numbers are a topological order. */
  #parentsFirst = true;
  /** Whether the citations are known to form no cycle; `undefined` since an event came that had been cited before. */
  #acyclic: boolean | undefined = true;
  /** For each event those that cite it. Treat as immutable. */
  readonly citers: Citers = new Citers();
  /** For each event those that it cites. Treat as immutable. */
  readonly links: Links = new Links();

  constructor(rules: RoomVersionRules) {
    this.rules = rules;
  }

  /** How many ids are known, added or merely cited. */
  get size(): number {
    return this.#ids.length;
  }

  /** How many distinct state keys the added events have. */
  get keyCount(): number {
    return this.#keys.length;
  }

  /**
   * Adds an event; adding an id again is without effect, because the copy that was accepted first is
   * the one that judges. Returns its number.
   */
  add(event: RoomEvent, options: { readonly rejected?: boolean } = {}): number {
    const known = this.#numbers.get(event.eventId);
    if (known !== undefined && this.#events[known] !== undefined) return known;
    const before = this.#ids.length;
    const parents = event.authEvents.map((id) => this.#intern(id));
    // It has a number by now if it cites itself, and none if nothing got one here.
    const isNumberless = this.#ids.length === before;
    const number = known ?? (isNumberless ? this.#append(event.eventId) : this.#intern(event.eventId));
    // An event that was cited before it came may have parents with larger numbers, and hostile ids cite themselves.
    if (parents.some((parent) => parent >= number)) this.#parentsFirst = false;
    // Nobody cites an event that is new, so it closes no cycle unless by itself.
    if (this.#acyclic === true && (known !== undefined || parents.includes(number))) this.#acyclic = undefined;
    for (const parent of parents) this.citers.add(parent, number);
    const key = event.stateKey === undefined ? ABSENT : this.#internKey(event.type, event.stateKey);
    const isOwn = key !== ABSENT && event.stateKey === event.sender && event.type === "m.room.member";
    const sender = isOwn ? key : this.keyNumber("m.room.member", event.sender);
    this.#events[number] = this.#compact(event, number, parents, key, sender);
    this.links.set(number, parents, key, sender);
    if (options.rejected === true) this.#rejected.add(number);
    this.#order = undefined;
    return number;
  }

  #intern(id: string): number {
    return this.#numbers.get(id) ?? this.#append(id);
  }

  #append(id: string): number {
    const number = this.#ids.length;
    this.#numbers.set(id, number);
    this.#ids.push(id);
    this.#events.push(undefined);
    return number;
  }

  #internKey(type: string, stateKey: string): number {
    let ofType = this.#keyNumbers.get(type);
    if (ofType === undefined) {
      ofType = { type: knownTypes.get(type) ?? type, numbers: new Map() };
      this.#keyNumbers.set(ofType.type, ofType);
    }
    let number = ofType.numbers.get(stateKey);
    if (number === undefined) {
      number = this.#keys.length;
      ofType.numbers.set(stateKey, number);
      this.#keys.push([ofType.type, stateKey]);
    }
    return number;
  }

  /**
   * What the rules read of an event, with the strings that this index has already: in a room of 100,000 members that is
   * 107 MB instead of 158, and what else an event comes with (its JSON) is not kept alive.
   */
  #compact(event: RoomEvent, number: number, parents: readonly number[], key: number, sender: number): RoomEvent {
    const pair = key === ABSENT ? undefined : this.#keys[key];
    const { roomId } = event;
    if (this.#roomId !== roomId) {
      this.#oneRoom &&= this.#roomId === undefined;
      this.#roomId = roomId;
    }
    // What every check reads stands together.
    return {
      type: pair?.[0] ?? event.type,
      stateKey: pair?.[1],
      sender: this.#keys[sender]?.[1] ?? event.sender,
      content: event.content,
      originServerTs: event.originServerTs,
      eventId: this.idOf(number),
      prevEvents: event.prevEvents.map((id) => this.#ids[this.numberOf(id)] ?? id),
      roomId: this.#roomId,
      authEvents: event.authEvents.map((_, slot) => this.idOf(parents[slot] ?? ABSENT)),
      depth: event.depth,
      redacts: event.redacts,
      hasRoomId: event.hasRoomId,
    };
  }

  /** The number of an id, or -1. */
  numberOf(id: string): number {
    return this.#numbers.get(id) ?? ABSENT;
  }

  /**
   * The number of an id in a list, after that of the one before it. Most lists are in the order in which the events
   * came, or in that of another state: of 100,000 ids looked up in a map each costs 0.2 to 0.4 µs, because the map is
   * larger than the caches, and 0.02 µs where it is compared with the one that comes next (docs/performance.md).
   */
  #numberAfter(before: number, key: number, id: string): number {
    if (this.#ids[before + 1] === id) return before + 1;
    const alike = this.#lastState.get(key + 1);
    return this.#ids[alike] === id ? alike : this.numberOf(id);
  }

  /** The id behind a number. @throws UsageError for a number of another index. */
  idOf(number: number): string {
    const id = this.#ids[number];
    if (id === undefined)
      throw new UsageError("this number is not of this index: numbers of different indexes do not mix");
    return id;
  }

  /** The event behind a number; `undefined` while it is only cited. */
  eventOf(number: number): RoomEvent | undefined {
    return this.#events[number];
  }

  /** The event with this id; `undefined` while it is only cited. */
  get(id: string): RoomEvent | undefined {
    const number = this.#numbers.get(id);
    return number === undefined ? undefined : this.#events[number];
  }

  /** Whether all added events name the same room. */
  get oneRoom(): boolean {
    return this.#oneRoom;
  }

  /** Whether the event was added as rejected on receipt. */
  isRejected(number: number): boolean {
    return this.#rejected.has(number);
  }

  /** Numbers of the events that an event cites in `auth_events`, in its order. Do not modify. */
  authEdges(number: number): Int32Array {
    return this.links.of(number);
  }

  /** The number of a state key, or -1 when no added event has it. */
  keyNumber(type: string, stateKey: string): number {
    return this.#keyNumbers.get(type)?.numbers.get(stateKey) ?? ABSENT;
  }

  /**
   * The state key of an event, as a number; -1 for message events and events that are only cited. Such an
   * event leaves the state as it is: look for -1 before `state.set(index.keyOf(number), number)`.
   */
  keyOf(number: number): number {
    return this.links.key(number);
  }

  /** The number of the state key of a sender's membership, -1 where no added event has it. */
  senderKeyOf(number: number): number {
    const key = this.links.sender(number);
    if (key !== ABSENT) return key;
    // The membership may have come after the event.
    const event = this.#events[number];
    return event === undefined ? ABSENT : this.keyNumber("m.room.member", event.sender);
  }

  /** The type and state key behind the number of a state key. @throws UsageError for one of another index. */
  keyAt(key: number): readonly [type: string, stateKey: string] {
    const pair = this.#keys[key];
    if (pair === undefined) throw new UsageError("this key number is not of this index");
    return pair;
  }

  /** In room version 12 the create event that a room id names, if it was added. */
  impliedCreate(roomId: string): number {
    if (this.rules.auth.createEvent !== "implied") return ABSENT;
    if (this.#implied?.roomId === roomId) return this.#implied.number;
    const number = this.numberOf(createEventIdOf(roomId));
    if (number === ABSENT || this.#events[number]?.type !== "m.room.create") return ABSENT;
    this.#implied = { roomId, number };
    return number;
  }

  /** Whether every event was added after all that it cites, so that what cites an event has a larger number. */
  get parentsFirst(): boolean {
    return this.#parentsFirst;
  }

  /** Whether the citations form no cycle; only hostile ids of room versions 1 and 2 can. */
  get acyclic(): boolean {
    this.#acyclic ??= this.#parentsFirst || this.authOrder() !== undefined;
    return this.#acyclic;
  }

  /**
   * All numbers so that every event stands after what it cites; `undefined` when the citations form a
   * cycle, which only hostile ids of room versions 1 and 2 can.
   */
  authOrder(): Int32Array | undefined {
    this.#order ??= this.#parentsFirst
      ? this.#ascendingNumbers()
      : topologicalOrder(this.size, (number) => this.authEdges(number));
    return this.#order;
  }

  /** Kept from one call to the next: a third of every fork went into counting up to the room's size anew. */
  #ascendingNumbers(): Int32Array {
    if (this.#ascending.length < this.size) {
      this.#ascending = new Int32Array(2 * this.size);
      for (let number = 0; number < this.#ascending.length; number++) this.#ascending[number] = number;
    }
    return this.#ascending.subarray(0, this.size);
  }

  /**
   * The state made of these events. A later event replaces an earlier one of the same key.
   * @throws UsageError for an id that was not added or is no state event.
   */
  stateOf(ids: Iterable<string>): StateMap {
    const held = new Int32Array(this.keyCount).fill(ABSENT);
    let number = ABSENT;
    let key = ABSENT;
    for (const id of ids) {
      number = this.#numberAfter(number, key, id);
      key = number === ABSENT ? ABSENT : this.keyOf(number);
      if (key === ABSENT) throw new UsageError(`${id} is not a state event of this index: add it first`);
      held[key] = number;
    }
    this.#lastState = StateMap.holding(held, this.#lastState);
    return this.#lastState;
  }

  /**
   * The state after an event, given the state before it: a state event replaces what its key held, a
   * message event changes nothing (spec, "State resolution").
   */
  stateAfter(before: StateMap, number: number): StateMap {
    const key = this.keyOf(number);
    return key === ABSENT ? before : before.set(key, number);
  }

  /** A state as the function that the authorisation rules read it by. */
  lookup(state: StateMap): (type: string, stateKey: string) => RoomEvent | undefined {
    return (type, stateKey) => {
      const key = this.keyNumber(type, stateKey);
      const number = key === ABSENT ? ABSENT : state.get(key);
      return number === ABSENT ? undefined : this.#events[number];
    };
  }

  /** The ids that a state holds, in the order in which the index met their keys; sort them if order matters. */
  idsOf(state: StateMap): string[] {
    const ids: string[] = [];
    state.forEach((event) => ids.push(this.idOf(event)));
    return ids;
  }
}

/** Kahn's algorithm, parents first; `undefined` on a cycle. Iterative, linear in nodes and edges. */
export function topologicalOrder(size: number, parentsOf: (node: number) => ArrayLike<number>): Int32Array | undefined {
  const waiting = new Int32Array(size);
  const firstChild = new Int32Array(size + 1);
  for (let node = 0; node < size; node++) {
    const parents = parentsOf(node);
    waiting[node] = parents.length;
    for (let i = 0; i < parents.length; i++) firstChild[(parents[i] ?? 0) + 1]! += 1;
  }
  for (let node = 0; node < size; node++) firstChild[node + 1]! += firstChild[node]!;
  const children = new Int32Array(firstChild[size]!);
  const next = firstChild.slice(0, size);
  for (let node = 0; node < size; node++) {
    const parents = parentsOf(node);
    for (let i = 0; i < parents.length; i++) children[next[parents[i]!]!++] = node;
  }
  const order = new Int32Array(size);
  let filled = 0;
  for (let node = 0; node < size; node++) if (waiting[node] === 0) order[filled++] = node;
  for (let at = 0; at < filled; at++) {
    const node = order[at]!;
    for (let i = firstChild[node]!; i < firstChild[node + 1]!; i++) {
      const child = children[i]!;
      if (--waiting[child]! === 0) order[filled++] = child;
    }
  }
  return filled === size ? order : undefined;
}
