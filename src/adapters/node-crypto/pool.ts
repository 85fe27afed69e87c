/** Verifying on all cores: OpenSSL in threads of their own. */
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers";
import { Worker } from "node:worker_threads";
import { coreProvider } from "../../crypto/ed25519-provider.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { VerifyRequest } from "../../ports/keys.js";
import { cancelled, throwIfCancelled } from "../shared/cancelled.js";
import { checkCount, USUAL_KEYS } from "../shared/key-cache.js";
import { address, cut, pack, unpack, unpackRequests } from "./packing.js";
import type { Packed } from "./packing.js";
import { createNodeVerifier } from "./verifier.js";
import type { NodeVerifier } from "./verifier.js";
import { UNSURE, VALID, workerSource } from "./worker-source.js";

export interface WorkerPoolOptions {
  /** How many threads; by default as many as there are cores. They start with the first call that is for them. */
  readonly workers?: number;
  /** The most signatures in one message to a thread. 64 by default. */
  readonly batch?: number;
  /** Calls of fewer signatures stay on the calling thread. 4 by default (docs/crypto-adapters.md says why). */
  readonly threshold?: number;
  /**
   * How many signatures may be on their way to the threads and back; 65,536 by default. A call beyond that is
   * answered by the calling thread, which slows down who asks for more than there are cores for.
   */
  readonly maxQueued?: number;
  /** How many public keys the calling thread and each other thread keep. 1,000 by default. */
  readonly maxKeys?: number;
  /** Is told of each thread that ended by itself, and why. What it had to do is done all the same. */
  readonly onCrash?: (error: unknown) => void;
}

/** {@link NodeVerifier} on several threads. */
export interface WorkerPoolVerifier extends NodeVerifier {
  /**
   * Ends the threads after what they have to do. Whoever asks from now on is answered by the calling thread. Without
   * it a process ends all the same: threads with nothing to do do not keep it.
   */
  readonly close: () => Promise<void>;
}

/**
 * Messages that a thread has beyond the one it works on, so that it works on while the calling thread is busy: for a
 * fifth of a second, if they are full.
 */
const AHEAD = 32;
/** Parts of a call for each thread: the last to end then ends soon after the others. */
const PARTS = 4;
/** Of less, a message and its answer cost a tenth of what they are about. */
const SMALLEST_PART = 8;
/** The bytes of messages in one part: events of the largest size are not copied by the hundred. */
const PART_BYTES = 1_000_000;
/** Threads that end one after the other with no answer between them: there will be no answers. */
const MOST_CRASHES = 3;

/** A call of `verify`. */
interface Job {
  readonly verdicts: boolean[];
  readonly end: (error?: Error) => void;
  open: number;
  over: boolean;
}

/**
 * What goes to a thread in one message, and stays here until it is answered. It is packed when it is asked for: the
 * bytes of 30,000 signatures apart are 90,000 objects to sweep around (docs/performance.md).
 */
interface Part {
  readonly job: Job;
  readonly packed: Packed;
  /** How many signatures were asked for, with those that need no thread. */
  readonly size: number;
  /** How often a thread ended over it. */
  crashes: number;
}

interface Thread {
  worker: Worker | undefined;
  /** By the id of the message. */
  readonly given: Map<number, Part>;
  error: unknown;
}

class Pool {
  readonly #local: NodeVerifier;
  readonly #options: Required<Omit<WorkerPoolOptions, "onCrash">>;
  readonly #onCrash: WorkerPoolOptions["onCrash"];
  readonly #threads: readonly Thread[];
  readonly #waiting = new Set<Part>();
  #queued = 0;
  #jobs = 0;
  #lastId = 0;
  #crashes = 0;
  #closed: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor({ onCrash, ...options }: WorkerPoolOptions) {
    this.#options = {
      workers: checkCount("workers", options.workers ?? availableParallelism()),
      batch: checkCount("batch", options.batch ?? 64),
      threshold: checkCount("threshold", options.threshold ?? 4),
      maxQueued: checkCount("maxQueued", options.maxQueued ?? 65_536),
      maxKeys: checkCount("maxKeys", options.maxKeys ?? USUAL_KEYS),
    };
    this.#onCrash = onCrash;
    this.#local = createNodeVerifier({ maxKeys: this.#options.maxKeys });
    this.#threads = Array.from({ length: this.#options.workers }, () => ({
      worker: undefined,
      given: new Map<number, Part>(),
      error: undefined,
    }));
  }

  get by(): NodeVerifier["by"] {
    return this.#local.by;
  }

  readonly verify = (requests: readonly VerifyRequest[], cancel?: Cancel): Awaitable<readonly boolean[]> => {
    throwIfCancelled(cancel);
    const { threshold, maxQueued } = this.#options;
    const stays = this.#closed !== undefined || this.#crashes >= MOST_CRASHES || this.by === "core";
    const isFull = this.#queued > 0 && this.#queued + requests.length > maxQueued;
    if (stays || isFull || requests.length < threshold) {
      return this.#local.verify(requests, cancel);
    }
    return this.#enqueue(requests, cancel);
  };

  readonly close = (): Promise<void> => {
    this.#closed ??= this.#end();
    return this.#closed;
  };

  async #end(): Promise<void> {
    if (this.#jobs > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await Promise.all(
      this.#threads.map(async (thread) => {
        const { worker } = thread;
        thread.worker = undefined;
        await worker?.terminate();
      }),
    );
  }

  #enqueue(requests: readonly VerifyRequest[], cancel: Cancel | undefined): Promise<readonly boolean[]> {
    const { workers, batch } = this.#options;
    const share = Math.ceil(requests.length / workers);
    const part = Math.max(Math.ceil(share / PARTS), Math.min(share, SMALLEST_PART));
    const ends = cut(requests, Math.min(batch, part), PART_BYTES);
    this.#queued += requests.length;
    this.#jobs++;
    return new Promise((resolve, reject) => {
      const verdicts = new Array<boolean>(requests.length).fill(false);
      const end = (error?: Error): void => {
        if (job.over) return;
        job.over = true;
        stop?.();
        if (error === undefined) resolve(verdicts);
        else reject(error);
        this.#jobs--;
        if (this.#jobs === 0) this.#whenIdle?.();
      };
      const job: Job = { verdicts, end, open: ends.length, over: false };
      let from = 0;
      for (const to of ends) {
        this.#waiting.add({ job, packed: pack(requests, from, to), size: to - from, crashes: 0 });
        from = to;
      }
      const stop = cancel?.onAbort(() => this.#cancel(job));
      this.#handOut();
    });
  }

  /** What threads have of it already they finish; nobody waits for that. */
  #cancel(job: Job): void {
    for (const part of this.#waiting) {
      if (part.job !== job) continue;
      this.#waiting.delete(part);
      this.#queued -= part.size;
    }
    job.end(cancelled());
  }

  /** Gives waiting parts to those who have least to do. */
  #handOut(): void {
    for (;;) {
      const [part] = this.#waiting;
      const thread = this.#idlest();
      if (part === undefined || thread === undefined) return;
      this.#waiting.delete(part);
      if (part.packed.places.length === 0) this.#finish(part);
      else this.#give(thread, part);
    }
  }

  #idlest(): Thread | undefined {
    let idlest: Thread | undefined;
    for (const thread of this.#threads) {
      if (thread.given.size < (idlest?.given.size ?? AHEAD)) idlest = thread;
    }
    return idlest;
  }

  #give(thread: Thread, part: Part): void {
    const id = (this.#lastId = (this.#lastId + 1) >>> 0);
    thread.given.set(id, part);
    address(part.packed, id);
    try {
      const worker = (thread.worker ??= this.#start(thread));
      // Somebody waits for it: the process stays until it has answered.
      worker.ref();
      worker.postMessage(part.packed.buffer);
    } catch (error) {
      this.#crashed(thread, error);
    }
  }

  #start(thread: Thread): Worker {
    const { maxKeys } = this.#options;
    // What the process was started with (loaders, profilers, a debugger) is for the host's own code.
    const worker = new Worker(workerSource, { eval: true, workerData: { maxKeys }, execArgv: [], env: {} });
    thread.error = undefined;
    worker.unref();
    worker.on("message", (answer: unknown) => {
      if (thread.worker === worker) this.#answered(thread, worker, answer);
    });
    worker.on("error", (error: unknown) => {
      thread.error = error;
    });
    worker.on("exit", (code) => {
      if (thread.worker === worker) this.#crashed(thread, thread.error ?? new Error(`the thread ended with ${code}`));
    });
    return worker;
  }

  #answered(thread: Thread, worker: Worker, answer: unknown): void {
    const read = unpack(answer);
    const part = read && thread.given.get(read.id);
    if (read === undefined || part === undefined || read.verdicts.length !== part.packed.places.length) {
      this.#crashed(thread, new Error("a thread answered what it was not asked"));
      void worker.terminate();
      return;
    }
    this.#crashes = 0;
    thread.given.delete(read.id);
    if (thread.given.size === 0) worker.unref();
    const { packed, job } = part;
    const requests = read.verdicts.includes(UNSURE) ? unpackRequests(packed) : [];
    packed.places.forEach((place, at) => {
      const verdict = read.verdicts[at];
      job.verdicts[place] = verdict === UNSURE ? judge(requests[at]) : verdict === VALID;
    });
    this.#finish(part);
    this.#handOut();
  }

  #finish({ job, size }: Part): void {
    this.#queued -= size;
    job.open--;
    if (job.open === 0) job.end();
  }

  /** What the thread had goes to others once; what ends a thread twice is not given to a third. */
  #crashed(thread: Thread, error: unknown): void {
    thread.worker = undefined;
    this.#crashes++;
    const parts = [...thread.given.values(), ...this.#waiting];
    for (const part of thread.given.values()) part.crashes++;
    thread.given.clear();
    this.#waiting.clear();
    for (const part of parts) {
      if (part.crashes < 2 && this.#crashes < MOST_CRASHES) this.#waiting.add(part);
      else void this.#doHere(part);
    }
    this.#tell(error);
    // Not at once: this may be inside of handing out.
    setImmediate(() => this.#handOut());
  }

  async #doHere(part: Part): Promise<void> {
    const { job, packed } = part;
    await new Promise<void>((resolve) => setImmediate(resolve));
    const verdicts = job.over ? [] : await this.#local.verify(unpackRequests(packed));
    packed.places.forEach((place, at) => {
      job.verdicts[place] = verdicts[at] === true;
    });
    this.#finish(part);
  }

  #tell(error: unknown): void {
    try {
      this.#onCrash?.(error);
    } catch {
      // Who is told of a fault has one itself: there is nobody left to be told.
    }
  }
}

function judge(request: VerifyRequest | undefined): boolean {
  return request !== undefined && coreProvider.verify(request.signature, request.message, request.key);
}

/**
 * Verifies on threads of `node:worker_threads`, with the verdicts of {@link createNodeVerifier}. One array of bytes
 * goes to a thread for up to `batch` signatures. What a thread ends over is tried once more on another, then on the
 * calling thread; after three in a row everything stays there.
 * @throws UsageError for options that are no positive integers.
 */
export function createWorkerPoolVerifier(options: WorkerPoolOptions = {}): WorkerPoolVerifier {
  return new Pool(options);
}
