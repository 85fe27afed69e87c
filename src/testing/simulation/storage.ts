/** Storages that crash, and storages that take their time. */
import type { Awaitable } from "../../ports/cancel.js";
import type { Batch, CommitResult, Storage } from "../../ports/storage.js";
import { aroundStorage } from "./around-storage.js";
import type { StorageMethod } from "./around-storage.js";
import { Lifeline, never } from "./lifeline.js";
import type { SeededRandom } from "./random.js";
import type { VirtualTime } from "./time.js";
import type { Trace } from "./trace.js";

/** A write that is about to be made. Both counts go on over restarts. */
export interface WriteBoundary {
  readonly method: StorageMethod;
  /** Which write this is, of every kind together: from 1. */
  readonly write: number;
  /** How many calls of `commit` there were, this one included. */
  readonly commit: number;
  /** What is to be committed; absent for other writes. */
  readonly batch?: Batch;
}

/**
 * Says whether the process crashes at a write: `before` it takes effect, `after` it did and before the
 * caller learns of it, or not at all.
 */
export type CrashPlan = (boundary: WriteBoundary) => "before" | "after" | undefined;

/** One process over a storage: its ports have to be guarded by its lifeline, as its storage is. */
export interface Generation {
  /** From 1. */
  readonly number: number;
  readonly lifeline: Lifeline;
  readonly storage: Storage;
}

export interface CrashableOptions {
  readonly server?: string;
  readonly trace?: Trace;
}

export interface CrashableStorage {
  /** The process that was started last, dead or alive. */
  readonly generation: Generation;
  /** Writes made or begun, and those of them that are calls of `commit`. */
  readonly writes: number;
  readonly commits: number;
  /** How often a plan crashed the process. */
  readonly crashes: number;
  /** The last revision committed, by room. */
  readonly revisions: ReadonlyMap<string, number>;
  /** Ends the process here and now, between two writes. */
  crash(): void;
  /** Ends the process if it still lives, and starts another over the same data. */
  restart(): Generation;
  /** Starts a process beside those that live: two over one storage. `crash` and `restart` are about the newest. */
  startAnother(): Generation;
  /** Crashes by this plan from now on; `undefined`: by none. */
  plan(plan: CrashPlan | undefined): void;
  /** @throws Error naming every commit that did not count its room's revision up by one from that it was based on. */
  assertMonotonicRevisions(): void;
}

const WRITES: ReadonlySet<StorageMethod> = /* @__PURE__ */ new Set<StorageMethod>([
  "commit",
  "settleOutbox",
  "lease",
  "recordTransaction",
  "putOutside",
  "removeOutside",
  "putIntent",
  "removeIntents",
]);

/** Crashes at the `commit`-th call of `commit`, counted as {@link WriteBoundary} does. */
export function crashAtCommit(commit: number, when: "before" | "after"): CrashPlan {
  return (boundary) => (boundary.method === "commit" && boundary.commit === commit ? when : undefined);
}

/** Crashes at the `write`-th write of any kind, counted as {@link WriteBoundary} does. */
export function crashAtWrite(write: number, when: "before" | "after"): CrashPlan {
  return (boundary) => (boundary.write === write ? when : undefined);
}

/** Starts a process over `storage` that may crash at any write; the data outlives it. */
export function crashable(storage: Storage, plan?: CrashPlan, options: CrashableOptions = {}): CrashableStorage {
  return new Crashable(storage, plan, options);
}

class Crashable implements CrashableStorage {
  readonly revisions = new Map<string, number>();
  writes = 0;
  commits = 0;
  crashes = 0;
  generation: Generation;
  readonly #storage: Storage;
  readonly #options: CrashableOptions;
  readonly #violations: string[] = [];
  #plan: CrashPlan | undefined;
  #generations = 0;

  constructor(storage: Storage, plan: CrashPlan | undefined, options: CrashableOptions) {
    this.#storage = storage;
    this.#plan = plan;
    this.#options = options;
    this.generation = this.startAnother();
  }

  crash(): void {
    if (this.generation.lifeline.alive) this.#note("crashes");
    this.generation.lifeline.end();
  }

  restart(): Generation {
    this.generation.lifeline.end();
    this.#note("starts again");
    return this.startAnother();
  }

  startAnother(): Generation {
    const lifeline = new Lifeline();
    const writing: Storage = {
      ...aroundStorage(this.#storage, (method, perform) =>
        WRITES.has(method) ? this.#write(lifeline, { method }, perform) : perform(),
      ),
      commit: (batch, cancel) =>
        this.#write(lifeline, { method: "commit", batch }, () =>
          then(this.#storage.commit(batch, cancel), (result) => this.#committed(batch, result)),
        ),
    };
    this.#generations++;
    const storage = lifeline.guardStorage(writing);
    this.generation = Object.freeze({ number: this.#generations, lifeline, storage });
    return this.generation;
  }

  plan(plan: CrashPlan | undefined): void {
    this.#plan = plan;
  }

  assertMonotonicRevisions(): void {
    if (this.#violations.length > 0) throw new Error(this.#violations.join("\n"));
  }

  #write<T>(
    lifeline: Lifeline,
    call: Pick<WriteBoundary, "method" | "batch">,
    perform: () => Awaitable<T>,
  ): Awaitable<T> {
    this.writes++;
    if (call.method === "commit") this.commits++;
    const when = this.#plan?.({ ...call, write: this.writes, commit: this.commits });
    if (when === undefined) return perform();
    const dies = (): Promise<T> => {
      if (lifeline.alive) {
        this.crashes++;
        this.#note(`crashes ${when} write ${this.writes}, ${call.method}`);
        lifeline.end();
      }
      return never<T>();
    };
    return when === "before" ? dies() : then(perform(), dies);
  }

  #committed(batch: Batch, result: CommitResult): CommitResult {
    if (!result.committed) return result;
    const { roomId, expected, record } = batch;
    const before = this.revisions.get(roomId);
    if (this.#trace !== undefined) this.#note(`commits ${roomId} revision ${record.revision}`);
    // The data may be older than this object: the first commit seen may be based on any revision.
    const isBasedOnLast = before === undefined || before === expected;
    if (!isBasedOnLast || (expected !== undefined && record.revision !== expected + 1)) {
      const [was, based] = [before ?? "none", expected ?? "none"];
      this.#violations.push(`${roomId} went from revision ${was} to ${record.revision} by a commit based on ${based}.`);
    }
    this.revisions.set(roomId, record.revision);
    return result;
  }

  get #trace(): Trace | undefined {
    return this.#options.trace?.on === true ? this.#options.trace : undefined;
  }

  #note(what: string): void {
    this.#trace?.note(this.#options.server ?? "storage", what);
  }
}

function then<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/**
 * A storage whose calls take `latency` milliseconds before they do anything, so that calls of one process, and of
 * two over one storage, come between each other; with `writes`, those that only read take none. Put
 * {@link crashable} around it: a write that was under way when its process ended still takes effect, as one that
 * had reached a database does.
 */
export function slowStorage(
  storage: Storage,
  time: VirtualTime,
  random: SeededRandom,
  latency: readonly [least: number, most: number],
  calls: "all" | "writes" = "all",
): Storage {
  return aroundStorage(storage, async (method, perform) => {
    if (calls === "writes" && !WRITES.has(method)) return perform();
    await time.sleep(random.between(...latency));
    return perform();
  });
}
