/** Queues of what is to be sent, and who may send. */
import type { OutboxEntry, OutboxRow } from "../../ports/storage.js";
import { lowerBound } from "./sorted.js";

interface Lease {
  readonly holder: string;
  readonly until: number;
}

export interface Outbox {
  append(entries: readonly OutboxEntry[]): void;
  destinations(): readonly string[];
  read(destination: string, limit: number): readonly OutboxRow[];
  settle(destination: string, through: number, replacement: readonly OutboxEntry[]): void;
  lease(destination: string, holder: string, now: number, until: number): boolean;
}

/** A queue; rows before `first` are gone. */
interface Queue {
  rows: OutboxRow[];
  first: number;
}

export function createOutbox(): Outbox {
  const queues = new Map<string, Queue>();
  const leases = new Map<string, Lease>();
  // One count for all queues, so that one that was emptied and forgotten never repeats a number.
  let sequence = 0;

  function append(entries: readonly OutboxEntry[]): void {
    for (const entry of entries) {
      let queue = queues.get(entry.destination);
      if (queue === undefined) queues.set(entry.destination, (queue = { rows: [], first: 0 }));
      queue.rows.push({ ...entry, sequence: ++sequence });
    }
  }

  return Object.freeze({
    append,
    destinations: () => [...queues.keys()],
    read: (destination: string, limit: number): readonly OutboxRow[] => {
      const queue = queues.get(destination);
      return queue === undefined ? [] : queue.rows.slice(queue.first, queue.first + Math.max(0, limit));
    },
    settle: (destination: string, through: number, replacement: readonly OutboxEntry[]): void => {
      const queue = queues.get(destination);
      if (queue !== undefined) dropThrough(queue, through);
      append(replacement);
      if (queue?.first === queue?.rows.length) queues.delete(destination);
    },
    lease: (destination: string, holder: string, now: number, until: number): boolean => {
      const current = leases.get(destination);
      if (current !== undefined && current.holder !== holder && isRunning(current.until, now, until)) return false;
      leases.set(destination, { holder, until });
      return true;
    },
  });
}

/** Who gives back takes nothing, and nobody leases for longer than twice as long as another. */
function isRunning(end: number, now: number, until: number): boolean {
  return end > now && (until <= now || end <= now + 2 * (until - now));
}

/** Rows are cut off once most of the array is behind: constant work per row. */
function dropThrough(queue: Queue, through: number): void {
  queue.first = Math.max(
    queue.first,
    lowerBound(queue.rows, (row) => row.sequence, through + 1),
  );
  if (queue.first * 2 <= queue.rows.length) return;
  queue.rows = queue.rows.slice(queue.first);
  queue.first = 0;
}
