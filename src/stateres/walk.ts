/**
 * Auth difference and conflicted subgraph by walking from the conflict, for states that have nearly everything in
 * common: cost follows the conflict, where the sweeps of `conflict.ts` go over every event of the room. A room of
 * 10,000 members paid 0.5 ms for sweeps at every fork (docs/performance.md). A walk that goes too far gives up, and
 * the sweeps answer instead; the tests hold the two to the same sets.
 */
import { ABSENT } from "../dag/state-map.js";
import type { StateMap } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";
import type { ConflictedKeys } from "./conflict.js";

/** A step of a walk costs about sixteen of a sweep. */
const STEPS_FOR_SWEEP = 16;
const LEAST_STEPS = 256;
/** What a walk mostly takes for each conflicted key. */
const STEPS_FROM_EACH = 12;
/** One bit for each state. */
const STATES = 30;

/** Counts the steps that may still be taken. */
class Budget {
  #left: number;

  constructor(index: RoomIndex) {
    this.#left = Math.max(LEAST_STEPS, index.size / STEPS_FOR_SWEEP);
  }

  /** Whether a walk from so many places can end within it. */
  suffices(starts: number): boolean {
    return starts * STEPS_FROM_EACH <= this.#left;
  }

  /** Whether one step more may be taken. */
  step(): boolean {
    return this.#left-- > 0;
  }

  get spent(): boolean {
    return this.#left < 0;
  }
}

/** A heap that gives back the greatest number first. */
class Descending {
  readonly #items: number[] = [];

  push(number: number): void {
    const items = this.#items;
    let at = items.push(number) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! >= number) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = number;
  }

  /** {@link ABSENT} when nothing is left. */
  pop(): number {
    const items = this.#items;
    const top = items[0] ?? ABSENT;
    const last = items.pop() ?? ABSENT;
    if (items.length === 0) return top;
    let at = 0;
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && items[child + 1]! > items[child]!) child++;
      if (items[child]! <= last) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return top;
  }
}

/** Whether every state's auth chain has an event because something does that all states hold. */
class Common {
  readonly #index: RoomIndex;
  readonly #base: StateMap;
  readonly #conflicted: ConflictedKeys;
  readonly #budget: Budget;
  readonly #known = new Map<number, boolean>();

  constructor(index: RoomIndex, base: StateMap, conflicted: ConflictedKeys, budget: Budget) {
    this.#index = index;
    this.#base = base;
    this.#conflicted = conflicted;
    this.#budget = budget;
  }

  #heldByAll(number: number): boolean {
    const key = this.#index.keyOf(number);
    return key !== ABSENT && !this.#conflicted.has(key) && this.#base.get(key) === number;
  }

  /** Looks upwards for a citer that all states hold. Without a meaning once the budget is spent. */
  has(number: number): boolean {
    const known = this.#known.get(number) ?? (this.#heldByAll(number) || undefined);
    if (known !== undefined) return known;
    const { citers } = this.#index;
    const seen = new Set([number]);
    const stack = [number];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      // Each citer is looked at as it is met: power levels have thousands, and the first will often do.
      for (let link = citers.first(at); link !== ABSENT && this.#budget.step(); link = citers.next(link)) {
        const citer = citers.at(link);
        if (seen.has(citer)) continue;
        seen.add(citer);
        const found = this.#known.get(citer);
        if (found === true || (found === undefined && this.#heldByAll(citer))) {
          this.#known.set(number, true);
          return true;
        }
        if (found === undefined) stack.push(citer);
      }
    }
    for (const at of seen) this.#known.set(at, false);
    return false;
  }
}

/**
 * The auth difference, ascending; `undefined` where the walk would go too far. The index has to be acyclic. Where its
 * events were added after what they cite, the walk passes citers first and ends where the states' histories meet.
 */
export function walkAuthDifference(
  index: RoomIndex,
  states: readonly StateMap[],
  conflicted: ConflictedKeys,
): number[] | undefined {
  const [base] = states;
  if (base === undefined || states.length > STATES) return undefined;
  const budget = new Budget(index);
  if (!budget.suffices(conflicted.size)) return undefined;
  const common = new Common(index, base, conflicted, budget);
  const all = 2 ** states.length - 1;
  const { links, parentsFirst } = index;
  /** Which states reach an event, as far as it is known. */
  const masks = new Map<number, number>();
  const waiting = new Descending();
  /** How many wait that some states do not reach. When there are none, nothing below is part of the difference. */
  let open = 0;
  const reach = (number: number, bits: number): void => {
    const before = masks.get(number) ?? 0;
    const mask = before | bits;
    if (mask === before) return;
    masks.set(number, mask);
    if (before === 0 && mask !== all) open++;
    else if (before !== 0 && mask === all) open--;
    // In another order an event may be passed before all that cites it, and then has to be again.
    if (before === 0 || !parentsFirst) waiting.push(number);
  };
  for (const key of conflicted.keys()) {
    for (let bit = 0; bit < states.length; bit++) {
      const event = states[bit]!.get(key);
      if (event !== ABSENT) reach(event, 1 << bit);
    }
  }
  for (let number = waiting.pop(); number !== ABSENT; number = waiting.pop()) {
    if (masks.get(number) !== all) {
      if (common.has(number)) masks.set(number, all);
      open--;
    }
    const mask = masks.get(number) ?? 0;
    for (let link = links.first(number), end = links.end(number); link < end && budget.step(); link++) {
      reach(links.at(link), mask);
    }
    if (budget.spent) return undefined;
    if (parentsFirst && open === 0) break;
  }
  const difference: number[] = [];
  for (const [number, mask] of masks) if (mask !== all) difference.push(number);
  return difference.sort((a, b) => a - b);
}

/**
 * v2.1's conflicted subgraph, each event after what it cites; `undefined` where the walk would go too far. The
 * index has to be acyclic.
 */
export function walkConflictedSubgraph(index: RoomIndex, conflicted: ReadonlySet<number>): number[] | undefined {
  const budget = new Budget(index);
  if (!budget.suffices(conflicted.size)) return undefined;
  // Where events were added after what they cite, what is older than every conflicted event leads to none.
  let oldest = Infinity;
  if (index.parentsFirst) for (const number of conflicted) oldest = Math.min(oldest, number);
  else oldest = 0;
  /** Events that were entered, and whether they turned out to be part of the subgraph. */
  const part = new Map<number, boolean>();
  const path: number[] = [];
  const slots: number[] = [];
  const subgraph: number[] = [];
  const enter = (number: number): void => {
    if (number < oldest || part.has(number)) return;
    part.set(number, conflicted.has(number));
    path.push(number);
    slots.push(index.links.first(number));
  };
  for (const start of conflicted) {
    enter(start);
    for (let number = path.at(-1); number !== undefined; number = path.at(-1)) {
      if (!budget.step()) return undefined;
      const { links } = index;
      const link = slots[slots.length - 1]!++;
      if (link < links.end(number)) enter(links.at(link));
      else {
        path.pop();
        slots.pop();
        let found = part.get(number) === true;
        for (let at = links.first(number), end = links.end(number); !found && at < end; at++) {
          found = part.get(links.at(at)) === true;
        }
        part.set(number, found);
        if (found) subgraph.push(number);
      }
    }
  }
  return subgraph;
}
