/**
 * The event graph of one room: who comes after whom by `prev_events`. Like {@link RoomIndex} it is an
 * object that its owner fills; what it answers depends on the set of events alone, not on the order
 * in which they came.
 */
import { compareCodePoints } from "../json/compare.js";
import type { RoomEvent } from "../event/pdu.js";
import { topologicalOrder } from "./room-index.js";

/** What the graph needs to know of an event. */
export type GraphEvent = Pick<RoomEvent, "eventId" | "prevEvents" | "originServerTs">;

/** How an event counts: only an accepted one can be a forward extremity. */
export type Standing = "accepted" | "soft-failed" | "rejected";

interface Node {
  readonly id: string;
  event: GraphEvent | undefined;
  standing: Standing;
  parents: readonly number[];
}

/** Add events with {@link EventGraph.add}, in any order; then ask. */
export class EventGraph {
  readonly #numbers = new Map<string, number>();
  readonly #nodes: Node[] = [];

  /** Number of events added; events that are only cited do not count. */
  get size(): number {
    return this.#nodes.reduce((count, { event }) => count + (event === undefined ? 0 : 1), 0);
  }

  /** Adds an event. Adding it again changes nothing but its standing. */
  add(event: GraphEvent, standing: Standing = "accepted"): void {
    const node = this.#node(event.eventId);
    node.standing = standing;
    if (node.event !== undefined) return;
    node.event = event;
    node.parents = [...new Set(event.prevEvents)].map((id) => this.#intern(id));
  }

  /** Whether the event was added; one that is only cited is not here. */
  has(eventId: string): boolean {
    const number = this.#numbers.get(eventId);
    return number !== undefined && this.#nodes[number]?.event !== undefined;
  }

  #intern(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    this.#numbers.set(id, this.#nodes.length);
    return this.#nodes.push({ id, event: undefined, standing: "accepted", parents: [] }) - 1;
  }

  #node(id: string): Node {
    return this.#nodes[this.#intern(id)]!;
  }

  /**
   * Accepted events that no accepted event comes after, directly or through rejected and soft-failed
   * ones (spec, "Room State Resolution" and "Soft failure"). Sorted ids: the `prev_events` of whatever
   * is sent next.
   */
  forwardExtremities(): readonly string[] {
    const passed = new Set<number>();
    const stack: number[] = [];
    for (const { event, standing, parents } of this.#nodes) {
      if (event !== undefined && standing === "accepted") stack.push(...parents);
    }
    for (let number = stack.pop(); number !== undefined; number = stack.pop()) {
      if (passed.has(number)) continue;
      passed.add(number);
      const node = this.#nodes[number];
      if (node?.event !== undefined && node.standing !== "accepted") stack.push(...node.parents);
    }
    const extremities: string[] = [];
    this.#nodes.forEach(({ id, event, standing }, number) => {
      if (event !== undefined && standing === "accepted" && !passed.has(number)) extremities.push(id);
    });
    return extremities.sort(compareCodePoints);
  }

  /** Events with a parent that is not here: where backfill has to start. Sorted ids. */
  backwardExtremities(): readonly string[] {
    const incomplete = this.#nodes.filter(({ parents }) =>
      parents.some((parent) => this.#nodes[parent]?.event === undefined),
    );
    return incomplete.map(({ id }) => id).sort(compareCodePoints);
  }

  /** Cited events that are not here, each with those that cite it. Sorted by id. */
  gaps(): readonly { readonly missing: string; readonly citedBy: readonly string[] }[] {
    const citing = new Map<number, string[]>();
    for (const { id, parents } of this.#nodes) {
      for (const parent of parents) {
        if (this.#nodes[parent]?.event !== undefined) continue;
        const list = citing.get(parent);
        if (list === undefined) citing.set(parent, [id]);
        else list.push(id);
      }
    }
    return [...citing]
      .map(([number, ids]) => ({ missing: this.#nodes[number]!.id, citedBy: ids.sort(compareCodePoints) }))
      .sort((a, b) => compareCodePoints(a.missing, b.missing));
  }

  /**
   * Added events with every parent before its children; among events that the graph leaves free,
   * time and then id decide. `undefined` when the citations form a cycle.
   */
  topological(): readonly string[] | undefined {
    const canonical = [...this.#nodes.keys()].sort((a, b) => this.#compare(a, b));
    const place = new Int32Array(canonical.length);
    canonical.forEach((number, at) => {
      place[number] = at;
    });
    const nodes = canonical.map((number) => this.#nodes[number]!);
    const order = topologicalOrder(nodes.length, (at) => nodes[at]!.parents.map((parent) => place[parent]!));
    if (order === undefined) return undefined;
    const ids: string[] = [];
    for (const at of order) {
      const { id, event } = nodes[at]!;
      if (event !== undefined) ids.push(id);
    }
    return ids;
  }

  #compare(a: number, b: number): number {
    const left = this.#nodes[a]!;
    const right = this.#nodes[b]!;
    const time = (left.event?.originServerTs ?? 0) - (right.event?.originServerTs ?? 0);
    return time || compareCodePoints(left.id, right.id);
  }

  /** Ids of every event that these come after, themselves excluded, as far as the graph is here. */
  ancestors(eventIds: Iterable<string>): ReadonlySet<string> {
    const found = new Set<string>();
    const stack: number[] = [];
    for (const id of eventIds) stack.push(...(this.#nodes[this.#numbers.get(id) ?? -1]?.parents ?? []));
    for (let number = stack.pop(); number !== undefined; number = stack.pop()) {
      const node = this.#nodes[number]!;
      if (found.has(node.id)) continue;
      found.add(node.id);
      stack.push(...node.parents);
    }
    return found;
  }
}
