/**
 * States as the engine keeps them: a persistent map in memory, and a place in a chain of changes by which
 * storage keeps what differs. The chain is a Fenwick tree: place p builds on the place that is p without its
 * lowest bit, so that reading a state follows at most log2(p) links and a change is written log2(p)/2 times
 * on average, however many members the room has.
 */
import type { RoomIndex } from "../dag/room-index.js";
import { ABSENT, StateMap } from "../dag/state-map.js";
import type { StateEntry, StateGroup } from "../ports/storage.js";

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
  readonly empty: Snapshot = this.make(StateMap.empty, undefined, 0, undefined);

  make(state: StateMap, base: Snapshot | undefined, place: number, group: number | undefined): Snapshot {
    return { state, base, place, group, serial: this.#serial++ };
  }

  /** `state` as the next change after `parent`. */
  after(parent: Snapshot, state: StateMap): Snapshot {
    if (parent.state === state) return parent;
    const place = parent.place + 1;
    const target = place & (place - 1);
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
}

/** The row of a snapshot, given the numbers of its own group and of its base's. */
export function groupRow(index: RoomIndex, snapshot: Snapshot, group: number, base: number | undefined): StateGroup {
  const delta: StateEntry[] = [];
  (snapshot.base?.state ?? StateMap.empty).diff(snapshot.state, (key, _, event) => {
    const [type, stateKey] = index.keyAt(key);
    delta.push([type, stateKey, event === ABSENT ? undefined : index.idOf(event)]);
  });
  return { group, base, place: snapshot.place, delta };
}
