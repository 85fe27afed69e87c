/**
 * What everything a room does stands on: its memory, the queue in which decisions run one after the other, and its
 * storage: opening it, committing one batch to it, and catching up when another process was quicker. What a caller
 * can see or asks for is elsewhere; no caller ever holds a core.
 */
import { compareCodePoints } from "../../json/compare.js";
import type { Pdu } from "../../event/pdu.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { Batch, CommitResult, StoredEvent } from "../../ports/storage.js";
import type { RoomVersion } from "../../versions/room-version.js";
import type { AdmitContext } from "../admit.js";
import { CancelledError } from "../../errors.js";
import type { Step } from "../cause.js";
import type { Held } from "../held.js";
import type { Host } from "../host.js";
import { RoomMemory } from "../memory.js";
import { PolicySigner } from "../recommend.js";
import type { Snapshot } from "../snapshot.js";
import type { Additions, Workspace } from "../workspace.js";
import { ControlFeed } from "./feed.js";
import { isNew, knownTo, newsIn, stepsOf } from "./news.js";
import type { Known } from "./news.js";
import { outboxOf } from "./outbox.js";
import { need } from "./supply.js";
import { Turns } from "./turns.js";
import type { EmitOptions } from "./types.js";

export interface CommitOptions extends EmitOptions {
  /** Events in the batch that other servers are to get. */
  readonly own?: readonly Pdu[];
}

/** What a commit writes, and the state that the room is in after it. */
export interface Prepared {
  readonly batch: Batch;
  readonly numbered: ReadonlyMap<Snapshot, number>;
  readonly current: Snapshot;
  readonly additions: Pick<Additions, "outbox">;
}

export type OnOutbox = (destinations: readonly string[]) => void;

type Metric =
  "room.commit.events" | "room.commit.conflict" | "room.extremities" | "room.pending" | "room.pending.evicted";

export class RoomCore {
  readonly host: Host;
  readonly roomId: string;
  readonly version: RoomVersion;
  readonly feed: ControlFeed;
  readonly signer: PolicySigner;
  readonly turns: Turns = new Turns();
  /** Ids of which the next decision sees to what waits for them. */
  freed: readonly string[] = [];
  readonly #onOutbox: OnOutbox;
  #memory: RoomMemory;
  #opened = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(host: Host, roomId: string, version: RoomVersion, onOutbox: OnOutbox) {
    this.host = host;
    this.roomId = roomId;
    this.version = version;
    this.#onOutbox = onOutbox;
    this.signer = new PolicySigner(host, version);
    this.#memory = new RoomMemory(roomId, version, host.limits);
    this.feed = new ControlFeed(host, this.#memory);
  }

  /** Another may take its place whenever a call waits for something outside of the queue. */
  get memory(): RoomMemory {
    return this.#memory;
  }

  /** What the checks on receipt need. */
  get admitting(): AdmitContext {
    const { storage, keys, policy, clock } = this.host;
    return { memory: this.#memory, storage, keys, policy, clock };
  }

  /** Servers with a joined user; while the state is partial, those too that had one when this server joined. */
  get servers(): readonly string[] {
    return [...this.feed.residents.servers].sort(compareCodePoints);
  }

  /** Whether a user of this server is joined. */
  get isResident(): boolean {
    return this.feed.residents.local.size > 0;
  }

  load(eventIds: readonly string[], cancel: Cancel | undefined): Awaitable<readonly Held[]> {
    return this.#memory.load(this.host.storage, eventIds, cancel);
  }

  metric(name: Metric, value: number): void {
    this.host.observer.onMetric?.({ name, value, roomId: this.roomId });
  }

  /** Runs one thing after the other. */
  locked<T>(work: () => Awaitable<T>): Promise<T> {
    const next = this.#queue.then(work, work);
    this.#queue = next.catch(() => undefined);
    return next;
  }

  /** Reads the room from storage, in its turn, if that is not done. `false` when there is none. */
  open(cancel: Cancel | undefined): Awaitable<boolean> {
    return this.#isOpen || this.locked(() => this.openLocked(cancel));
  }

  /** The same, for what runs in the queue. */
  openLocked(cancel: Cancel | undefined): Awaitable<boolean> {
    return this.#isOpen || this.#read(knownTo(this.#memory), cancel);
  }

  get #isOpen(): boolean {
    return this.#opened && !this.#memory.isSpoiled;
  }

  /** Into a new memory. `known` is what was shown before. */
  async #read(known: Known | undefined, cancel: Cancel | undefined): Promise<boolean> {
    const { storage, limits } = this.host;
    this.#opened = false;
    const opened = await storage.openRoom(this.roomId, cancel);
    if (opened === undefined) {
      if (this.#memory.isSpoiled) this.startOver();
      return false;
    }
    const memory = new RoomMemory(this.roomId, this.version, limits);
    await memory.open(storage, opened, [], cancel);
    const freed = await this.#unfinished(memory, cancel);
    const changes =
      known === undefined ? undefined : await storage.changesSince(this.roomId, known.record.revision, cancel);
    await this.#takeOver(memory, known, changes?.events ?? [], cancel);
    this.freed = freed;
    return true;
  }

  /** Work that a commit left for the next: what arrived, and is still waited for. */
  async #unfinished(memory: RoomMemory, cancel: Cancel | undefined): Promise<string[]> {
    const { pendingOn, waiting } = memory;
    const ids = [...new Set([...pendingOn.keys(), ...waiting.history.keys()])];
    const found = await memory.load(this.host.storage, ids, cancel);
    return found.map(({ event }) => event.eventId);
  }

  /** Forgets what was read and decided; the next call reads storage again. Nothing that was committed is lost. */
  forget(): void {
    this.#opened = false;
  }

  /** In the queue, for a room that is not stored: of what was decided nothing is left, nor of what it was read from. */
  startOver(): void {
    this.#memory = new RoomMemory(this.roomId, this.version, this.host.limits);
    this.#opened = false;
  }

  /** Somebody else wrote: take over what they wrote, and no more. */
  async catchUp(revision: number | undefined, cancel: Cancel | undefined): Promise<void> {
    const { storage } = this.host;
    const known = knownTo(this.#memory);
    const changes = await storage.changesSince(this.roomId, revision ?? 0, cancel);
    if (changes === undefined) return;
    // Where reading fails halfway, memory is neither here nor there.
    this.#opened = false;
    await this.#memory.open(storage, changes, changes.events, cancel);
    if (this.#memory.isSpoiled) await this.#read(known, cancel);
    else await this.#takeOver(this.#memory, known, changes.events, cancel);
  }

  /** Goes on with a memory, and shows what it has read since this was known. */
  async #takeOver(
    memory: RoomMemory,
    known: Known | undefined,
    changed: readonly StoredEvent[],
    cancel: Cancel | undefined,
  ): Promise<void> {
    const news = known === undefined ? [] : newsIn(changed, known.record);
    const isToldWhy = known !== undefined && this.feed.isWatched;
    const steps = isToldWhy ? await stepsOf(this.host, memory, news, known, cancel) : [];
    this.#memory = memory;
    this.#opened = true;
    this.feed.advance(
      this.#memory,
      steps,
      news.map(({ eventId }) => eventId),
    );
  }

  /** What was decided in a workspace, as it is to be written. */
  async prepare(ws: Workspace, options: CommitOptions): Promise<Prepared> {
    const current: Snapshot = await need(this.host, ws, () => ws.current(), options.cancel);
    const additions = this.#additionsFor(ws, current, options);
    return { current, additions, ...ws.batch(current, additions) };
  }

  /**
   * Writes what was decided in a workspace. `false` when somebody else wrote first: then nothing was written.
   * @param prepared where that was done before, and nothing was decided since
   */
  async commit(ws: Workspace, steps: readonly Step[], options: CommitOptions, prepared?: Prepared): Promise<boolean> {
    const { cancel } = options;
    const { current, additions, batch, numbered } = prepared ?? (await this.prepare(ws, options));
    if (cancel?.aborted === true) {
      this.forget();
      throw new CancelledError();
    }
    if (this.#memory.isSpoiled) {
      this.forget();
      return false;
    }
    const result = await this.#write(batch);
    if (!result.committed) {
      this.metric("room.commit.conflict", 1);
      // Nobody else wrote: storage has forgotten something that this builds on, and memory has not.
      if (result.revision === batch.expected && result.revision !== undefined) this.forget();
      else await this.catchUp(batch.expected, cancel);
      return false;
    }
    const { record } = this.#memory;
    const events: string[] = [];
    for (const held of ws.decided.values()) if (isNew(record, held)) events.push(held.event.eventId);
    ws.apply(batch, numbered, current);
    this.#opened = true;
    this.metric("room.commit.events", batch.events.length);
    this.metric("room.extremities", ws.extremities.size);
    this.metric("room.pending", this.#memory.pending.size);
    this.feed.advance(this.#memory, steps, events);
    const destinations = [...new Set(additions.outbox.map(({ destination }) => destination))];
    if (destinations.length > 0) this.#onOutbox(destinations);
    return true;
  }

  #additionsFor(
    ws: Workspace,
    current: Snapshot,
    { own = [], additions, alsoTo = [], notTo }: CommitOptions,
  ): Partial<Additions> & Pick<Additions, "outbox"> {
    const given = additions?.outbox ?? [];
    if (own.length === 0) return { ...additions, outbox: given };
    const destinations = [...this.feed.residents.servers, ...alsoTo];
    const rows = outboxOf(ws, current, { own, destinations, except: [this.host.server, notTo] });
    return { ...additions, outbox: [...given, ...rows] };
  }

  async #write(batch: Batch): Promise<CommitResult> {
    try {
      // From here on the caller may no longer be told that nothing happened.
      return await this.host.storage.commit(batch);
    } catch (error) {
      this.forget();
      throw error;
    }
  }
}
