/** An observer that remembers. */
import { UsageError } from "../../errors.js";
import type { Refusal } from "../../errors.js";
import type { Metric, Observer, StateChange } from "../../ports/observer.js";
import type { Receipt } from "../../ports/verdict.js";

/** A receipt and where it was told. */
export interface RecordedReceipt {
  readonly receipt: Receipt;
  readonly roomId: string;
  readonly origin: string;
}

/** Something that went wrong, as it was told. */
export interface RecordedFault {
  readonly where: string;
  readonly error: unknown;
  readonly refusal?: Refusal;
}

/** What was told last, oldest first. Each reading is a list of its own. */
export interface RecordingObserver extends Required<Observer> {
  receipts(): readonly RecordedReceipt[];
  stateChanges(): readonly StateChange[];
  metrics(): readonly Metric[];
  faults(): readonly RecordedFault[];
}

/**
 * @param limit how many entries of each kind are kept; older ones are forgotten.
 * @throws UsageError if `limit` is not a positive integer.
 */
export function createRecordingObserver(limit: number = 1000): RecordingObserver {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new UsageError("`limit` is the number of entries to remember: pass an integer of at least 1");
  }
  const receipts = createTail<RecordedReceipt>(limit);
  const stateChanges = createTail<StateChange>(limit);
  const metrics = createTail<Metric>(limit);
  const faults = createTail<RecordedFault>(limit);
  return Object.freeze({
    onReceipt: (receipt: Receipt, { roomId, origin }: { readonly roomId: string; readonly origin: string }) =>
      receipts.add({ receipt, roomId, origin }),
    onStateChange: (change: StateChange) => stateChanges.add(change),
    onMetric: (metric: Metric) => metrics.add(metric),
    onFault: (fault: RecordedFault) => faults.add(fault),
    receipts: () => receipts.read(),
    stateChanges: () => stateChanges.read(),
    metrics: () => metrics.read(),
    faults: () => faults.read(),
  });
}

interface Tail<T> {
  add(entry: T): void;
  read(): readonly T[];
}

/** The last entries of a list; cut when it is twice as long as wanted, so that adding costs nothing. */
function createTail<T>(limit: number): Tail<T> {
  let entries: T[] = [];
  return {
    add: (entry) => {
      entries.push(entry);
      if (entries.length >= 2 * limit) entries = entries.slice(-limit);
    },
    read: () => entries.slice(-limit),
  };
}
