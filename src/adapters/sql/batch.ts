/** What a batch must be, whatever it is written to. */
import { UsageError } from "../../errors.js";
import type { Batch } from "../../ports/storage.js";

export function checkBatch({ roomId, expected, record }: Batch): void {
  if (record.roomId !== roomId) throw new UsageError("a batch is of one room: give its record the batch's `roomId`");
  if (expected !== undefined && record.revision <= expected) {
    throw new UsageError("the record of a commit has a later revision than `expected`: count it up");
  }
}

/** How many rows each destination gets, by its name: queues are locked in this order, whoever locks them. */
export function countsOf(entries: readonly { readonly destination: string }[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const { destination } of entries) counts.set(destination, (counts.get(destination) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The rows of an outbox with their places, given the last number that each destination's queue has now. */
export function numbered<T extends { readonly destination: string }>(
  entries: readonly T[],
  last: ReadonlyMap<string, number>,
): readonly (readonly [entry: T, sequence: number])[] {
  const next = new Map<string, number>();
  for (const [destination, count] of countsOf(entries)) {
    next.set(destination, (last.get(destination) ?? 0) - count);
  }
  return entries.map((entry) => {
    const sequence = (next.get(entry.destination) ?? 0) + 1;
    next.set(entry.destination, sequence);
    return [entry, sequence];
  });
}
