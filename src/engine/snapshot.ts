/**
 * States as the engine keeps them: a persistent map in memory, and a place in a chain of changes by which
 * storage keeps what differs. Place p builds on the place that has one less in the lowest digit of p, written in
 * base {@link RADIX}, that is not 0. So reading a state follows at most 15 links for each digit, and a change is
 * written about once for each digit, however many members the room has.
 */
import type { RoomIndex } from "../dag/room-index.js";
import { ABSENT, StateMap } from "../dag/state-map.js";
import type { StateEntry, StateGroup } from "../ports/storage.js";

/**
 * A smaller one shortens chains and writes more: with 2, 10,000 changes are read by 14 links instead of 60, and each is
 * written 6.6 times instead of 3.5.
 */
export const RADIX = 16;

/** Entries of rows are remembered for as many events: those of two digits, which rows of higher places name again. */
const REMEMBERED = RADIX ** 2;

/** One state of a room. Compared by identity: equal states reached in different ways may be two. */
export interface Snapshot {
  readonly state: StateMap;
  readonly place: number;
  readonly base: Snapshot | undefined;
  /** Told apart in the keys of caches. */
  readonly serial: number;
  /** The group that storage has it under; `undefined` until it was committed. */
  group: number | undefined;
}

/** Makes the snapshots of one room. */
export class Snapshots {
  #serial = 0;
  readonly #entries: (StateEntry | undefined)[] = [];
  readonly empty: Snapshot = this.make(StateMap.empty, undefined, 0, undefined);

  make(state: StateMap, base: Snapshot | undefined, place: number, group: number | undefined): Snapshot {
    return { state, base, place, group, serial: this.#serial++ };
  }

  /** `state` as the next change after `parent`. */
  after(parent: Snapshot, state: StateMap): Snapshot {
    if (parent.state === state) return parent;
    const place = parent.place + 1;
    const target = place - lowestDigit(place);
    let base: Snapshot = parent;
    while (base.place > target && base.base !== undefined) base = base.base;
    return this.make(state, base, place, undefined);
  }

  /** `state` as a change of whichever of these differs least from it; one of them where it is equal. */
  near(candidates: readonly Snapshot[], state: StateMap): Snapshot {
    let best: Snapshot | undefined;
    let least = Infinity;
    // A few are enough: the point is to write little, not least.
    for (const candidate of candidates.slice(0, 8)) {
      let differing = 0;
      candidate.state.diff(state, () => {
        differing++;
      });
      if (differing === 0) return candidate;
      if (differing < least) [best, least] = [candidate, differing];
    }
    if (best === undefined || least * 2 > state.size) return this.make(state, undefined, 0, undefined);
    return this.after(best, state);
  }

  /** The row of a snapshot, given the numbers of its own group and of its base's. */
  row(index: RoomIndex, snapshot: Snapshot, group: number, base: number | undefined): StateGroup {
    const delta: StateEntry[] = [];
    (snapshot.base?.state ?? StateMap.empty).diff(snapshot.state, (key, _, event) => {
      delta.push(this.#entry(index, key, event));
    });
    // A list that grew has room for sixteen more, and rows may be kept in memory by the ten thousand.
    return { group, base, place: snapshot.place, delta: delta.slice() };
  }

  /** The same object for the same event, where rows that name it follow each other: they are kept in memory. */
  #entry(index: RoomIndex, key: number, event: number): StateEntry {
    const [type, stateKey] = index.keyAt(key);
    if (event === ABSENT) return [type, stateKey, undefined];
    const slot = event % REMEMBERED;
    const eventId = index.idOf(event);
    const known = this.#entries[slot];
    if (known?.[2] === eventId) return known;
    return (this.#entries[slot] = [type, stateKey, eventId]);
  }
}

/** The largest power of the radix that divides a place, which is not 0. */
function lowestDigit(place: number): number {
  let power = 1;
  while (place % (power * RADIX) === 0) power *= RADIX;
  return power;
}
