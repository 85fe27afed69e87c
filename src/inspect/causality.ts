/** Which of two events was made with knowledge of the other. */
import type { Replay } from "./replay.js";

/** How an event stands to another one. */
export type Relation = "same" | "before" | "after" | "concurrent";

/**
 * Answers for the events of one replay. Whether an event leads to another is found by walking back from the later one
 * no further than the earlier one's place in causal order; answers are kept.
 */
export class Causality {
  readonly #replay: Replay;
  readonly #places = new Map<string, number>();
  readonly #edges: (Int32Array | undefined)[] = [];
  readonly #known = new Map<number, boolean>();
  /** For each place the walk that came by last. */
  readonly #seen: Int32Array;
  #walks = 0;

  constructor(replay: Replay) {
    this.#replay = replay;
    replay.order.forEach((id, at) => this.#places.set(id, at));
    this.#seen = new Int32Array(replay.order.length);
  }

  /** The place of an event in causal order; after all others for one that is not here. */
  placeOf(eventId: string): number {
    return this.#places.get(eventId) ?? this.#places.size;
  }

  relation(eventId: string, other: string): Relation {
    if (eventId === other) return "same";
    if (this.isBefore(eventId, other)) return "before";
    return this.isBefore(other, eventId) ? "after" : "concurrent";
  }

  /** Whether `later` was made after `eventId`. */
  isBefore(eventId: string, later: string): boolean {
    const from = this.#places.get(eventId);
    const to = this.#places.get(later);
    if (from === undefined || to === undefined || from >= to) return false;
    const name = from * this.#places.size + to;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const found = this.#leads(from, to);
    this.#known.set(name, found);
    return found;
  }

  #leads(target: number, start: number): boolean {
    const walk = ++this.#walks;
    const stack = [start];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      for (const parent of this.#parents(at)) {
        if (parent === target) return true;
        if (parent < target || this.#seen[parent] === walk) continue;
        this.#seen[parent] = walk;
        stack.push(parent);
      }
    }
    return false;
  }

  #parents(at: number): Int32Array {
    const known = this.#edges[at];
    if (known !== undefined) return known;
    const places: number[] = [];
    for (const id of this.#replay.madeAfter(this.#replay.order[at] ?? "")) {
      const place = this.#places.get(id);
      if (place !== undefined && place < at) places.push(place);
    }
    return (this.#edges[at] = Int32Array.from(places));
  }
}
