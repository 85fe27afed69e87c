/** The two orders of state resolution v2: reverse topological power order and mainline order. */
import { userLevel } from "../auth/power.js";
import type { Level } from "../auth/power.js";
import { ABSENT } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";
import type { RoomEvent } from "../event/pdu.js";
import { get } from "../json/value.js";
import { compareCodePoints } from "../json/compare.js";
import type { Missing } from "./working-state.js";

/**
 * Power events: what may take somebody's ability away. Against the letter, Synapse and ruma both
 * require the empty state key for power levels and join rules, and count the create event (SR3).
 */
export function isPowerEvent(event: RoomEvent): boolean {
  switch (event.type) {
    case "m.room.power_levels":
    case "m.room.join_rules":
    case "m.room.create":
      return event.stateKey === "";
    case "m.room.member": {
      const membership = get(event.content, "membership");
      return (membership === "leave" || membership === "ban") && event.sender !== event.stateKey;
    }
    default:
      return false;
  }
}

/**
 * Power events of the full conflicted set, and what their auth edges reach by walking only through
 * that set: the walk ends at the first event outside it, as in Synapse and ruma (SR6).
 */
export function powerEvents(index: RoomIndex, fullConflictedSet: ReadonlySet<number>): Set<number> {
  const { links } = index;
  const found = new Set<number>();
  const stack: number[] = [];
  for (const number of fullConflictedSet) {
    const event = index.eventOf(number);
    if (event !== undefined && isPowerEvent(event)) stack.push(number);
  }
  for (let number = stack.pop(); number !== undefined; number = stack.pop()) {
    if (found.has(number)) continue;
    found.add(number);
    for (let link = links.first(number), end = links.end(number); link < end; link++) {
      if (fullConflictedSet.has(links.at(link))) stack.push(links.at(link));
    }
  }
  return found;
}

/** Where in a state the sender's level comes from. */
interface LevelKeys {
  readonly powerLevels: number;
  readonly create: number;
}

function levelKeysOf(index: RoomIndex): LevelKeys {
  return { powerLevels: powerLevelsKey(index), create: index.keyNumber("m.room.create", "") };
}

function powerLevelsKey(index: RoomIndex): number {
  return index.keyNumber("m.room.power_levels", "");
}

/** The level of an event's sender by the event's own auth events (SR5). */
function senderLevel(index: RoomIndex, number: number, event: RoomEvent, keys: LevelKeys, missing: Missing): Level {
  let create = index.impliedCreate(event.roomId);
  let powerLevels = ABSENT;
  const { links } = index;
  for (let link = links.first(number), end = links.end(number); link < end; link++) {
    const cited = links.at(link);
    if (!links.has(cited)) missing.events.add(index.idOf(cited));
    else if (index.keyOf(cited) === keys.powerLevels) powerLevels = cited;
    else if (index.keyOf(cited) === keys.create) create = cited;
  }
  const createEvent = create === ABSENT ? undefined : index.eventOf(create);
  if (createEvent === undefined) return 0;
  const levels = powerLevels === ABSENT ? undefined : index.eventOf(powerLevels);
  // An event with unreadable levels was never accepted; whatever it ranks as, the order stays total.
  return userLevel(index.rules, createEvent, levels, event.sender) ?? 0;
}

/** An event with the keys it is ordered by. */
export interface Ranked {
  readonly number: number;
  readonly event: RoomEvent;
  readonly level: Level;
}

/** Highest level first, then earliest, then smallest id by code point. Total and antisymmetric. */
function byPower(a: Ranked, b: Ranked): number {
  if (a.level !== b.level) return a.level > b.level ? -1 : 1;
  return byTimeAndId(a.event, b.event);
}

function byTimeAndId(a: RoomEvent, b: RoomEvent): number {
  return a.originServerTs - b.originServerTs || compareCodePoints(a.eventId, b.eventId);
}

/**
 * Reverse topological power order: Kahn's algorithm over the auth edges inside `numbers`, parents
 * first, picking the smallest candidate by {@link byPower} each time.
 */
export function sortByPower(index: RoomIndex, numbers: ReadonlySet<number>, missing: Missing): readonly Ranked[] {
  const waiting = new Map<number, number>();
  const children = new Map<number, number[]>();
  const heap = new Heap(byPower);
  const keys = levelKeysOf(index);
  const rank = (number: number): Ranked | undefined => {
    const event = index.eventOf(number);
    return event === undefined ? undefined : { number, event, level: senderLevel(index, number, event, keys, missing) };
  };
  const { links } = index;
  for (const number of numbers) {
    // Whoever is cited twice counts twice, here and where the count goes down.
    let cited = 0;
    for (let link = links.first(number), end = links.end(number); link < end; link++) {
      if (!numbers.has(links.at(link))) continue;
      append(children, links.at(link), number);
      cited++;
    }
    waiting.set(number, cited);
    if (cited === 0) heap.push(rank(number));
  }
  const sorted: Ranked[] = [];
  for (let next = heap.pop(); next !== undefined; next = heap.pop()) {
    sorted.push(next);
    for (const child of children.get(next.number) ?? []) {
      const left = (waiting.get(child) ?? 0) - 1;
      waiting.set(child, left);
      if (left === 0) heap.push(rank(child));
    }
  }
  return sorted;
}

function append(lists: Map<number, number[]>, key: number, value: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

/** A binary heap, smallest first. */
class Heap {
  readonly #items: Ranked[] = [];
  readonly #compare: (a: Ranked, b: Ranked) => number;

  constructor(compare: (a: Ranked, b: Ranked) => number) {
    this.#compare = compare;
  }

  push(item: Ranked | undefined): void {
    if (item === undefined) return;
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#compare(items[parent]!, item) <= 0) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): Ranked | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#compare(items[child + 1]!, items[child]!) < 0) child++;
      if (this.#compare(items[child]!, last) >= 0) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return top;
  }
}

/** The power-levels event with the empty state key among an event's auth events, or -1 (SR15). */
function citedPowerLevels(index: RoomIndex, powerKey: number, number: number, missing: Missing): number {
  const { links } = index;
  for (let link = links.first(number), end = links.end(number); link < end; link++) {
    const cited = links.at(link);
    if (!links.has(cited)) missing.events.add(index.idOf(cited));
    else if (powerKey !== ABSENT && index.keyOf(cited) === powerKey) return cited;
  }
  return ABSENT;
}

/** From the resolved power levels back along cited power levels to the first; empty without resolved ones. */
export function mainlineOf(index: RoomIndex, powerLevels: number, missing: Missing): readonly number[] {
  const key = powerLevelsKey(index);
  const mainline: number[] = [];
  for (let at = powerLevels; at !== ABSENT; at = citedPowerLevels(index, key, at, missing)) mainline.push(at);
  return mainline;
}

/** An event with its mainline position; infinite when nothing it cites is on the mainline. */
export interface Positioned {
  readonly number: number;
  readonly event: RoomEvent;
  readonly position: number;
}

/**
 * Mainline order: the greatest position first, and those without a mainline ancestor before all, then
 * time, then id. Positions are remembered along each walk, so that long chains are walked once.
 */
export function sortByMainline(
  index: RoomIndex,
  numbers: Iterable<number>,
  mainline: readonly number[],
  missing: Missing,
): readonly Positioned[] {
  const key = powerLevelsKey(index);
  const positions = new Map<number, number>();
  mainline.forEach((number, position) => positions.set(number, position));
  const sorted: Positioned[] = [];
  for (const number of numbers) {
    const event = index.eventOf(number);
    if (event === undefined) missing.events.add(index.idOf(number));
    else sorted.push({ number, event, position: positionOf(index, key, number, positions, missing) });
  }
  return sorted.sort((a, b) => {
    if (a.position !== b.position) return a.position > b.position ? -1 : 1;
    return byTimeAndId(a.event, b.event);
  });
}

/** The event itself is not looked up: its position is that of the power levels it cites (SR7). */
function positionOf(
  index: RoomIndex,
  powerKey: number,
  number: number,
  positions: Map<number, number>,
  missing: Missing,
): number {
  const walked: number[] = [];
  let position: number | undefined;
  let at = citedPowerLevels(index, powerKey, number, missing);
  for (; at !== ABSENT; at = citedPowerLevels(index, powerKey, at, missing)) {
    position = positions.get(at);
    if (position !== undefined) break;
    walked.push(at);
  }
  const found = position ?? Number.POSITIVE_INFINITY;
  for (const passed of walked) positions.set(passed, found);
  return found;
}
