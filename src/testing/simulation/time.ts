/** Time that passes when the simulation says so. */
import { UsageError } from "../../errors.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";

/** What is to be done at an instant. A promise that it returns is not waited for; its rejection ends the run. */
export type Task = () => Awaitable<void>;

/** How a clock lies. */
export interface ClockLie {
  /** Milliseconds that the clock is ahead of the true time. Absent: as far as it is now. */
  readonly skew?: number;
  /** How much it gains from now on: 0.01 is ten milliseconds a second. Absent: nothing. */
  readonly drift?: number;
}

/** A server's clock. What it says may be false; how long it sleeps is true. */
export interface VirtualClock extends Clock {
  lie(lie: ClockLie): void;
}

export interface RunOptions {
  /**
   * Lets every promise settle that can settle without more time. Where there is an event loop:
   * `() => new Promise((resolve) => setImmediate(resolve))`.
   */
  readonly settle: () => Promise<void>;
  /** Tasks due later stay in the queue, and the time is this one afterwards. */
  readonly until?: number;
  /** Stops after so many tasks: something that never comes to rest ends too. Default 1,000,000. */
  readonly maxTasks?: number;
}

export interface RunReport {
  readonly tasks: number;
  /** `idle`: nothing is left to do. */
  readonly stopped: "idle" | "until" | "max-tasks";
}

interface Entry {
  readonly at: number;
  readonly sequence: number;
  /** Absent once it was taken back or started. */
  task: Task | undefined;
}

/** The reading of a clock that does not lie, at the start of a run: 14 November 2023. */
const EPOCH = 1_700_000_000_000;

/** Below this size, entries that were taken back are left to come to the top. */
const SMALL_QUEUE = 64;

/**
 * One queue of tasks by time and, within an instant, by the order in which they were asked for. All that
 * happens in a simulation is started from here, so that a run is a function of its seed.
 */
export class VirtualTime {
  readonly epoch: number;
  #now = 0;
  #sequence = 0;
  #queue: Entry[] = [];
  #dead = 0;
  #running = false;
  #fault: { readonly error: unknown } | undefined;

  constructor(options: { readonly epoch?: number } = {}) {
    this.epoch = options.epoch ?? EPOCH;
  }

  /** Milliseconds since the start. */
  get now(): number {
    return this.#now;
  }

  /** How many tasks are waiting. */
  get pending(): number {
    return this.#queue.length - this.#dead;
  }

  /**
   * Does `task` after `ms` milliseconds (rounded up; none where negative; never where infinite). Returns
   * what takes it back.
   */
  after(ms: number, task: Task): () => void {
    if (Number.isNaN(ms)) throw new UsageError("A task was asked for after NaN milliseconds: pass a number.");
    if (ms === Infinity) return () => undefined;
    const entry: Entry = { at: this.#now + Math.max(0, Math.ceil(ms)), sequence: this.#sequence++, task };
    push(this.#queue, entry);
    return () => {
      if (entry.task === undefined) return;
      entry.task = undefined;
      this.#dead++;
      if (this.#dead > SMALL_QUEUE && this.#dead * 2 > this.#queue.length) this.#sweep();
    };
  }

  /** Resolves after `ms` milliseconds, or as soon as `cancel` fires. Never rejects. */
  sleep(ms: number, cancel?: Cancel): Promise<void> {
    if (cancel?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = this.after(ms, () => {
        forget?.();
        resolve();
      });
      const forget = cancel?.onAbort(() => {
        stop();
        resolve();
      });
    });
  }

  /** A server's clock. Its lies change what `now()` says and nothing else: no order of tasks depends on them. */
  clock(lie: ClockLie = {}): VirtualClock {
    let [skew, drift, since] = [0, 0, this.#now];
    const ahead = (): number => skew + Math.floor((this.#now - since) * drift);
    const clock: VirtualClock = {
      now: () => this.epoch + this.#now + ahead(),
      sleep: (ms, cancel) => this.sleep(ms, cancel),
      lie: (next) => {
        [skew, drift, since] = [next.skew ?? ahead(), next.drift ?? 0, this.#now];
      },
    };
    clock.lie(lie);
    return Object.freeze(clock);
  }

  /**
   * Does what is due, in order, and lets promises settle after each instant's tasks; those due at one
   * instant are started one after another. What was started before the call settles first.
   * @throws what a task threw, and UsageError when a run is under way.
   */
  async run(options: RunOptions): Promise<RunReport> {
    if (this.#running) throw new UsageError("A run is under way: wait for it before you start another.");
    this.#running = true;
    try {
      return await this.#run(options);
    } finally {
      this.#running = false;
    }
  }

  async #run({ settle, until = Infinity, maxTasks = 1_000_000 }: RunOptions): Promise<RunReport> {
    let tasks = 0;
    let stopped: RunReport["stopped"] = "idle";
    await this.#settled(settle);
    for (let next = this.#peek(); next !== undefined; next = this.#peek()) {
      if (next.at > until) stopped = "until";
      else if (tasks >= maxTasks) stopped = "max-tasks";
      if (stopped !== "idle") break;
      this.#now = next.at;
      tasks += this.#startInstant(maxTasks - tasks);
      await this.#settled(settle);
    }
    if (stopped !== "max-tasks" && until !== Infinity) this.#now = Math.max(this.#now, until);
    return { tasks, stopped };
  }

  /** Starts what is due now and was asked for before now. What it brings about at this instant comes after settling. */
  #startInstant(most: number): number {
    const before = this.#sequence;
    let started = 0;
    for (let next = this.#peek(); next !== undefined && started < most; next = this.#peek()) {
      if (next.at !== this.#now || next.sequence >= before) break;
      pop(this.#queue);
      const { task } = next;
      next.task = undefined;
      started++;
      const outcome = task?.();
      if (outcome instanceof Promise) outcome.catch((error: unknown) => (this.#fault ??= { error }));
    }
    return started;
  }

  async #settled(settle: () => Promise<void>): Promise<void> {
    await settle();
    const fault = this.#fault;
    this.#fault = undefined;
    if (fault !== undefined) throw fault.error;
  }

  /** The first entry that was not taken back. */
  #peek(): Entry | undefined {
    for (;;) {
      const first = this.#queue[0];
      if (first === undefined || first.task !== undefined) return first;
      pop(this.#queue);
      this.#dead--;
    }
  }

  #sweep(): void {
    const living = this.#queue.filter((entry) => entry.task !== undefined);
    // A sorted list is a heap.
    this.#queue = living.sort((a, b) => a.at - b.at || a.sequence - b.sequence);
    this.#dead = 0;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}

function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || !isBefore(entry, parent)) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = entry;
}

/** Takes the first entry out. */
function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    let child = heap[below];
    const right = heap[below + 1];
    if (child !== undefined && right !== undefined && isBefore(right, child)) {
      child = right;
      below++;
    }
    if (child === undefined || !isBefore(child, last)) break;
    heap[at] = child;
    at = below;
  }
  heap[at] = last;
}
