/** The order in which a dump is judged: whatever an event rests on comes before it. */
import { compareCodePoints } from "../json/compare.js";

export interface OrderedEvent {
  readonly eventId: string;
  readonly originServerTs: number;
}

export interface CausalOrder {
  readonly order: readonly string[];
  /** Events on, or resting on, a cycle of citations, which only ids of room versions 1 and 2 can form. */
  readonly cyclic: readonly string[];
}

/**
 * Kahn's algorithm over the events that are there; time and then id decide among events that are free
 * to go first, so that the order depends on the set of events alone.
 */
export function causalOrder(
  events: readonly OrderedEvent[],
  restsOn: (eventId: string) => Iterable<string>,
): CausalOrder {
  const sorted = events.toSorted(
    (a, b) => a.originServerTs - b.originServerTs || compareCodePoints(a.eventId, b.eventId),
  );
  const waiting = new Map(sorted.map(({ eventId }) => [eventId, 0]));
  const children = new Map<string, string[]>();
  for (const { eventId } of sorted) {
    for (const parent of new Set(restsOn(eventId))) {
      if (!waiting.has(parent)) continue;
      waiting.set(eventId, (waiting.get(eventId) ?? 0) + 1);
      const list = children.get(parent);
      if (list === undefined) children.set(parent, [eventId]);
      else list.push(eventId);
    }
  }
  const order = [...waiting].filter(([, count]) => count === 0).map(([eventId]) => eventId);
  // The list grows while it is walked.
  for (const eventId of order) {
    for (const child of children.get(eventId) ?? []) {
      const left = (waiting.get(child) ?? 0) - 1;
      waiting.set(child, left);
      if (left === 0) order.push(child);
    }
  }
  const cyclic = order.length === sorted.length ? [] : [...waiting].filter(([, count]) => count > 0).map(([id]) => id);
  return { order, cyclic };
}
