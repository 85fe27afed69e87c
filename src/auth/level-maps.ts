/**
 * Maps of levels, compared. Rooms list a thousand users and change one: with lookups by name, the check of one
 * power-levels event of 1,017 users took 180 µs, and resolutions ten times what they take with 37 users
 * (docs/performance.md).
 */
import type { JsonObject, JsonValue } from "../json/value.js";

/** What a level was, and what it would become. */
export type Side = "current" | "next";

/** Keys of each map, in its own order; of the keys that both have with the same level, most are left out. */
export type UnlikeKeys = Readonly<Record<Side, readonly string[]>>;

/** A level that stays as it was needs no reading. */
export function isSameLevel(value: JsonValue | undefined, other: JsonValue | undefined): boolean {
  return value === other && Number.isSafeInteger(value);
}

interface Entries {
  readonly keys: readonly string[];
  readonly values: readonly JsonValue[];
}

/**
 * What was found out about maps of levels while many events of one room are checked in one go, and no longer: nothing
 * can have changed them meanwhile.
 */
export class LevelMaps {
  readonly #entries = new Map<JsonObject, Entries>();
  readonly #users = new Set<JsonObject>();

  #entriesOf(map: JsonObject): Entries {
    let entries = this.#entries.get(map);
    if (entries === undefined) {
      entries = { keys: Object.keys(map), values: Object.values(map) };
      this.#entries.set(map, entries);
    }
    return entries;
  }

  /**
   * Where a level was changed, both maps have the same keys in the same order; where one was added, they have the same
   * beginning and the same end. What lies between is not compared here.
   */
  unlikeKeys(current: JsonObject, next: JsonObject): UnlikeKeys {
    const a = this.#entriesOf(current);
    const b = this.#entriesOf(next);
    const changed: string[] = [];
    const start = sameBeginning(a, b, changed);
    if (start === a.keys.length && start === b.keys.length) return { current: changed, next: changed };
    const end = sameEnd(a, b, start);
    return {
      current: changed.concat(a.keys.slice(start, a.keys.length - end)),
      next: changed.concat(b.keys.slice(start, b.keys.length - end)),
    };
  }

  /** Users of a map of whom it is not known that they may stand there with their level. */
  unread(current: JsonObject | undefined, next: JsonObject): readonly string[] {
    if (this.#users.has(next)) return [];
    if (current === undefined || !this.#users.has(current)) return this.#entriesOf(next).keys;
    return this.unlikeKeys(current, next).next;
  }

  /** Every key of the map is a user id, and every value a level. */
  nowRead(users: JsonObject): void {
    this.#users.add(users);
  }
}

/** How many keys are the same from the beginning. Those with other levels are added to `changed`. */
function sameBeginning(a: Entries, b: Entries, changed: string[]): number {
  const length = Math.min(a.keys.length, b.keys.length);
  for (let at = 0; at < length; at++) {
    const key = a.keys[at];
    if (key === undefined || key !== b.keys[at]) return at;
    if (!isSameLevel(a.values[at], b.values[at])) changed.push(key);
  }
  return length;
}

/** How many keys are the same, with their levels, from the end. */
function sameEnd(a: Entries, b: Entries, start: number): number {
  const most = Math.min(a.keys.length, b.keys.length) - start;
  for (let back = 0; back < most; back++) {
    const i = a.keys.length - 1 - back;
    const j = b.keys.length - 1 - back;
    if (a.keys[i] !== b.keys[j] || !isSameLevel(a.values[i], b.values[j])) return back;
  }
  return most;
}
