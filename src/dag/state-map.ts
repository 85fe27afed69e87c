/**
 * Room state as a persistent map from an interned state key to an interned event. A change copies one
 * path of at most eight nodes; snapshots share the rest, so the difference of two states costs what
 * differs, not what the room holds.
 *
 * Keys and events are small non-negative integers from one {@link RoomIndex}; they mean nothing
 * outside it and are never persisted.
 */
import { UsageError } from "../errors.js";

/** With 5, resolving takes as long, and a state of 50,000 members that differs in one key 1.07 kB instead of 0.90. */
const BITS = 4;
const WIDTH = 1 << BITS;
const MASK = WIDTH - 1;

/** No event at this key. */
export const ABSENT = -1;

type Leaf = Int32Array;
type Branch = readonly (Node | undefined)[];
type Node = Leaf | Branch;

const emptyLeaf: Leaf = new Int32Array(WIDTH).fill(ABSENT);

function isLeaf(node: Node): node is Leaf {
  return node instanceof Int32Array;
}

/** An immutable state. {@link RoomIndex} makes states of ids and turns them into ids again. */
export class StateMap {
  /** Number of keys that hold an event. */
  readonly size: number;
  readonly #root: Node | undefined;
  /** Bits above the leaf: keys below `16 << #shift` fit. */
  readonly #shift: number;

  private constructor(root: Node | undefined, shift: number, size: number) {
    this.#root = root;
    this.#shift = shift;
    this.size = size;
  }

  static readonly empty: StateMap = new StateMap(undefined, 0, 0);

  /**
   * The state with `events[i]` at `keys[i]`, a later entry replacing an earlier one. Made whole, which costs a fraction
   * of setting key by key. Parts that are equal in `like` are shared with it, so that the difference of the two costs
   * what differs.
   */
  static of(keys: readonly number[], events: readonly number[], like: StateMap = StateMap.empty): StateMap {
    let last = -1;
    for (let i = 0; i < keys.length; i++) last = Math.max(last, keys[i]!);
    const held = new Int32Array(last + 1).fill(ABSENT);
    for (let i = 0; i < keys.length; i++) held[keys[i]!] = events[i]!;
    return StateMap.holding(held, like);
  }

  /** {@link StateMap.of} the events that stand at their keys; {@link ABSENT} stands for none. */
  static holding(events: Int32Array, like: StateMap = StateMap.empty): StateMap {
    let end = events.length;
    while (end > 0 && events[end - 1] === ABSENT) end--;
    let size = 0;
    for (let key = 0; key < end; key++) if (events[key] !== ABSENT) size++;
    const leaves = Array.from({ length: Math.ceil(end / WIDTH) }, (_, at) => like.#leafOf(events, at));
    let nodes: (Node | undefined)[] = leaves;
    let shift = 0;
    while (nodes.length > 1) {
      nodes = Array.from({ length: Math.ceil(nodes.length / WIDTH) }, (_, at) =>
        nodes.slice(at * WIDTH, (at + 1) * WIDTH),
      );
      shift += BITS;
      like.#share(nodes, shift);
    }
    return new StateMap(nodes[0], shift, size);
  }

  /** The node whose leaves hold the keys from `position << (shift + BITS)` on, if there is one. */
  #nodeAt(shift: number, position: number): Node | undefined {
    const key = position * 2 ** (shift + BITS);
    if (shift > this.#shift || key >>> this.#shift >= WIDTH) return undefined;
    let node = this.#root;
    for (let at = this.#shift; at > shift && node !== undefined && !isLeaf(node); at -= BITS) {
      node = node[(key >>> at) & MASK];
    }
    return node;
  }

  /** This state's leaf at a position if it holds what `events` has there, else a new one; none where all is absent. */
  #leafOf(events: Int32Array, position: number): Leaf | undefined {
    const start = position << BITS;
    const mine = this.#nodeAt(0, position) ?? emptyLeaf;
    let slot = 0;
    while (slot < WIDTH && mine[slot] === (events[start + slot] ?? ABSENT)) slot++;
    if (slot === WIDTH && isLeaf(mine)) return mine === emptyLeaf ? undefined : mine;
    const leaf = emptyLeaf.slice();
    leaf.set(events.subarray(start, start + WIDTH));
    return leaf;
  }

  /** Replaces those nodes of one level that this state has equals of. */
  #share(nodes: (Node | undefined)[], shift: number): void {
    if (this.#root === undefined) return;
    for (let at = 0; at < nodes.length; at++) {
      const mine = this.#nodeAt(shift, at);
      if (mine !== undefined && sameEntries(mine, nodes[at])) nodes[at] = mine;
    }
  }

  /** The event at `key`, or {@link ABSENT}. */
  get(key: number): number {
    if (key >>> this.#shift >= WIDTH) return ABSENT;
    let node: Node | undefined = this.#root;
    for (let shift = this.#shift; node !== undefined; shift -= BITS) {
      if (isLeaf(node)) return node[key & MASK] ?? ABSENT;
      node = node[(key >>> shift) & MASK];
    }
    return ABSENT;
  }

  /** This state with `event` at `key`, which is not -1; the event {@link ABSENT} removes the key. */
  set(key: number, event: number): StateMap {
    if (key < 0) throw messageKey();
    const before = this.get(key);
    if (before === event) return this;
    const size = this.size + (before === ABSENT ? 1 : 0) - (event === ABSENT ? 1 : 0);
    let root = this.#root;
    let shift = this.#shift;
    while (key >>> shift >= WIDTH) {
      root = root === undefined ? undefined : [root];
      shift += BITS;
    }
    return new StateMap(withEntry(root, shift, key, event), shift, size);
  }

  /** {@link StateMap.set} of many keys at once: a node that several of them share is copied once. */
  setAll(changes: ReadonlyMap<number, number>): StateMap {
    let { size } = this;
    const changed: number[] = [];
    for (const [key, event] of changes) {
      const before = this.get(key);
      if (before === event) continue;
      size += (before === ABSENT ? 1 : 0) - (event === ABSENT ? 1 : 0);
      changed.push(key);
    }
    if (changed.length === 0) return this;
    const keys = Int32Array.from(changed).sort();
    if (keys[0]! < 0) throw messageKey();
    let root = this.#root;
    let shift = this.#shift;
    while (keys.at(-1)! >>> shift >= WIDTH) {
      root = root === undefined ? undefined : [root];
      shift += BITS;
    }
    return new StateMap(withEntries(root, shift, { keys, changes }, 0, keys.length), shift, size);
  }

  /** Calls `visit` for every key that holds an event, in ascending order of keys. */
  forEach(visit: (event: number, key: number) => void): void {
    if (this.#root !== undefined) visitNode(this.#root, this.#shift, 0, visit);
  }

  /** Some event of this state, the one at the smallest key; {@link ABSENT} when it is empty. */
  any(): number {
    return this.#root === undefined ? ABSENT : firstIn(this.#root);
  }

  /** Calls `visit` for every key at which the two states hold different events; shared parts are skipped. */
  diff(other: StateMap, visit: (key: number, mine: number, theirs: number) => void): void {
    let mine = this.#root;
    let theirs = other.#root;
    let shift = this.#shift;
    for (; shift < other.#shift; shift += BITS) mine = mine === undefined ? undefined : [mine];
    for (let narrow = other.#shift; narrow < shift; narrow += BITS)
      theirs = theirs === undefined ? undefined : [theirs];
    diffNodes(mine, theirs, shift, 0, visit);
  }

  /** Whether both states hold the same events at the same keys. */
  equals(other: StateMap): boolean {
    if (this.size !== other.size) return false;
    let same = true;
    this.diff(other, () => {
      same = false;
    });
    return same;
  }
}

function messageKey(): UsageError {
  return new UsageError("a message event has no state key: `RoomIndex.stateAfter` knows what to do with it");
}

/** Whether two nodes of one level hold the same events or the very same nodes. */
function sameEntries(left: Node, right: Node | undefined): boolean {
  if (right?.length !== left.length) return false;
  for (let slot = 0; slot < left.length; slot++) if (left[slot] !== right[slot]) return false;
  return true;
}

// The recursions below go over at most eight levels of an integer key, never over data.

function withEntry(node: Node | undefined, shift: number, key: number, event: number): Node {
  if (shift === 0) {
    const leaf = (node !== undefined && isLeaf(node) ? node : emptyLeaf).slice();
    leaf[key & MASK] = event;
    return leaf;
  }
  const branch = node === undefined || isLeaf(node) ? [] : node.slice();
  const slot = (key >>> shift) & MASK;
  branch[slot] = withEntry(branch[slot], shift - BITS, key, event);
  return branch;
}

/** Sorted keys, and what each is to hold. */
interface Entries {
  readonly keys: Int32Array;
  readonly changes: ReadonlyMap<number, number>;
}

/** The entries from `from` on and before `to` are all below this node. */
function withEntries(node: Node | undefined, shift: number, entries: Entries, from: number, to: number): Node {
  const { keys, changes } = entries;
  if (shift === 0) {
    const leaf = (node !== undefined && isLeaf(node) ? node : emptyLeaf).slice();
    for (let at = from; at < to; at++) leaf[keys[at]! & MASK] = changes.get(keys[at]!) ?? ABSENT;
    return leaf;
  }
  const branch = node === undefined || isLeaf(node) ? [] : node.slice();
  for (let at = from; at < to;) {
    const slot = (keys[at]! >>> shift) & MASK;
    let end = at + 1;
    while (end < to && ((keys[end]! >>> shift) & MASK) === slot) end++;
    branch[slot] = withEntries(branch[slot], shift - BITS, entries, at, end);
    at = end;
  }
  return branch;
}

/** Removed keys leave empty leaves behind, so the leftmost path may hold nothing. */
function firstIn(node: Node): number {
  if (isLeaf(node)) return node.find((event) => event !== ABSENT) ?? ABSENT;
  for (const child of node) {
    const found = child === undefined ? ABSENT : firstIn(child);
    if (found !== ABSENT) return found;
  }
  return ABSENT;
}

function visitNode(node: Node, shift: number, base: number, visit: (event: number, key: number) => void): void {
  if (isLeaf(node)) {
    for (let slot = 0; slot < WIDTH; slot++) {
      const event = node[slot] ?? ABSENT;
      if (event !== ABSENT) visit(event, base + slot);
    }
    return;
  }
  for (let slot = 0; slot < node.length; slot++) {
    const child = node[slot];
    if (child !== undefined) visitNode(child, shift - BITS, base + (slot << shift), visit);
  }
}

function diffNodes(
  mine: Node | undefined,
  theirs: Node | undefined,
  shift: number,
  base: number,
  visit: (key: number, mine: number, theirs: number) => void,
): void {
  if (mine === theirs) return;
  if (shift === 0) {
    const left = mine !== undefined && isLeaf(mine) ? mine : emptyLeaf;
    const right = theirs !== undefined && isLeaf(theirs) ? theirs : emptyLeaf;
    for (let slot = 0; slot < WIDTH; slot++) {
      const a = left[slot] ?? ABSENT;
      const b = right[slot] ?? ABSENT;
      if (a !== b) visit(base + slot, a, b);
    }
    return;
  }
  const left = mine === undefined || isLeaf(mine) ? [] : mine;
  const right = theirs === undefined || isLeaf(theirs) ? [] : theirs;
  const width = Math.max(left.length, right.length);
  for (let slot = 0; slot < width; slot++) {
    diffNodes(left[slot], right[slot], shift - BITS, base + (slot << shift), visit);
  }
}
