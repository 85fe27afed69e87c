/**
 * Delivering what was committed. Each destination has a queue in storage and at most one transaction under way;
 * what is not delivered stays, and a queue that grows too long collapses to one row for each room: the other
 * side gets the room's latest events and fetches the rest. EDUs go along with the events.
 */
import { encodeUnpadded } from "../crypto/base64.js";
import { sha256 } from "../crypto/hash.js";
import { Canceller } from "../engine/cancel.js";
import { utf8Encode } from "../json/utf8.js";
import type { JsonValue } from "../json/value.js";
import type { OperationError } from "../ports/operations.js";
import type { OutboxEntry, OutboxRow } from "../ports/storage.js";
import { backOff } from "./back-off.js";
import type { Federation } from "./context.js";
import type { EduBatch } from "./edus/module.js";
import { servedForm } from "./visibility.js";

interface Delivery {
  readonly wake: Canceller;
  readonly done: Promise<void>;
}

/** A transaction as it is sent first; every retry is the same to the byte (FL8). */
interface Attempt {
  readonly transactionId: string;
  readonly pdus: readonly JsonValue[];
  readonly batch: EduBatch;
  /** The first and the last row of the queue that it carries; none if it carries EDUs alone. */
  readonly first: number | undefined;
  readonly through: number | undefined;
  /** What of the last row did not fit. */
  readonly rest: readonly OutboxEntry[];
}

const NO_EDUS: EduBatch = Object.freeze({ edus: [], reliable: [] });

/** How long the other side wants to be left alone, in milliseconds; 0 where it does not say. */
interface Failure {
  readonly retryAfter: number;
}

const FAILED: Failure = Object.freeze({ retryAfter: 0 });

type Outcome = "sent" | "empty" | "another-sends" | Failure;

export class Outbox {
  readonly #federation: Federation;
  readonly #holder: string;
  #stop = new Canceller();
  readonly #running = new Map<string, Delivery>();
  readonly #again = new Set<string>();
  readonly #attempts = new Map<string, Attempt>();
  /** How often in a row, for destinations that do not answer. */
  readonly #failures = new Map<string, number>();

  constructor(federation: Federation, instance: string | undefined) {
    this.#federation = federation;
    this.#holder = instance ?? encodeUnpadded(federation.host.random.bytes(12), "url-safe");
  }

  #isStopped(): boolean {
    return this.#stop.aborted;
  }

  /** Whether anything is being delivered or waits for its next attempt. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  stop(): void {
    this.#stop.cancel();
    for (const { wake } of this.#running.values()) wake.cancel();
  }

  /** Takes up every queue that has rows, as after a restart. */
  async resume(): Promise<void> {
    if (this.#stop.aborted) this.#stop = new Canceller();
    const { host, edus } = this.#federation;
    this.#failures.clear();
    this.kick([...(await host.storage.outboxDestinations()), ...(edus?.queues.destinations() ?? [])]);
  }

  /** There is something to send. */
  kick(destinations: readonly string[]): void {
    for (const destination of destinations) {
      if (this.#stop.aborted) return;
      if (this.#running.has(destination)) this.#again.add(destination);
      else this.#start(destination);
    }
  }

  /** A sign of life: an attempt that waits is made now, or as soon as the other side wants to be asked again. */
  wake(destination: string): void {
    this.#running.get(destination)?.wake.cancel();
  }

  #start(destination: string): void {
    const wake = new Canceller();
    const done = this.#deliverAll(destination).then(() => {
      this.#running.delete(destination);
      if (this.#again.delete(destination) && !this.#stop.aborted) this.#start(destination);
    });
    this.#running.set(destination, { wake, done });
  }

  async #deliverAll(destination: string): Promise<void> {
    const { host, edus } = this.#federation;
    const { limits, observer } = host;
    while (!this.#isStopped()) {
      const outcome = await this.#guarded(destination, () => this.#deliverNext(destination));
      if (outcome === "empty") break;
      if (outcome === "sent") {
        this.#failures.delete(destination);
        edus?.queues.release(destination);
        continue;
      }
      // Whoever holds the lease may give it back at any time, so that one is asked for again soon.
      const failure = typeof outcome === "object" ? outcome : undefined;
      const failures = (this.#failures.get(destination) ?? 0) + (failure === undefined ? 0 : 1);
      if (failure !== undefined && !this.#isStopped()) {
        this.#failures.set(destination, failures);
        edus?.queues.suspend(destination);
        observer.onMetric?.({ name: "outbox.failed", value: failures, server: destination });
        await this.#guarded(destination, () => this.#collapse(destination));
      }
      const atLeast = Math.min(failure?.retryAfter ?? 0, limits.retryLongest);
      await this.#pause(destination, backOff(limits, failures), atLeast);
    }
    edus?.queues.release(destination);
    await this.#guarded(destination, () => this.#release(destination));
  }

  /** Storage that fails is a failed attempt: what is queued is there, and is tried again. */
  async #guarded(destination: string, work: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await work();
    } catch (error) {
      this.#federation.host.observer.onFault?.({ where: `outbox of ${destination}`, error });
      return FAILED;
    }
  }

  async #release(destination: string): Promise<Outcome> {
    const { storage, clock } = this.#federation.host;
    await storage.lease(destination, this.#holder, clock.now(), 0);
    return "empty";
  }

  /** Waits `ms`, or until the destination gives a sign of life; in either case `atLeast` as long as it asked for. */
  async #pause(destination: string, ms: number, atLeast: number): Promise<void> {
    const { clock } = this.#federation.host;
    const running = this.#running.get(destination);
    const wake = new Canceller();
    if (running !== undefined) this.#running.set(destination, { ...running, wake });
    // Who has had too many requests is alive, and says so with every request of its own.
    if (atLeast > 0) await clock.sleep(atLeast, this.#stop);
    const release = this.#stop.onAbort(() => {
      wake.cancel();
    });
    if (ms > atLeast) await clock.sleep(ms - atLeast, wake);
    release();
  }

  async #deliverNext(destination: string): Promise<Outcome> {
    const { host } = this.#federation;
    const { storage, clock, limits, observer } = host;
    const now = clock.now();
    if (!(await storage.lease(destination, this.#holder, now, now + limits.requestTime * 2))) return "another-sends";
    const attempt = await this.#attempt(destination);
    if (attempt === undefined) return "empty";
    const { transactionId, pdus, batch, through, rest } = attempt;
    const { edus } = batch;
    if (pdus.length > 0 || edus.length > 0) {
      this.#attempts.set(destination, attempt);
      const request = { transactionId, pdus, ...(edus.length === 0 ? {} : { edus }) };
      const sent = await host.transport.request(destination, "send", request, this.#stop);
      if (!sent.ok) {
        // Nothing in it is worth the wait: by then it would be wrong.
        if (pdus.length === 0 && batch.reliable.length === 0) this.#attempts.delete(destination);
        return failureOf(sent.error);
      }
    }
    if (through !== undefined) await storage.settleOutbox(destination, through, rest);
    await this.#federation.edus?.queues.settle(destination, batch);
    this.#attempts.delete(destination);
    if (pdus.length > 0) observer.onMetric?.({ name: "outbox.sent", value: pdus.length, server: destination });
    return "sent";
  }

  /** What was tried last, while its rows still lead the queue; else what comes next. */
  async #attempt(destination: string): Promise<Attempt | undefined> {
    const { storage, limits } = this.#federation.host;
    const rows = await storage.readOutbox(destination, limits.transactionPdus);
    const last = this.#attempts.get(destination);
    const stands = last !== undefined && (last.first === undefined || last.first === rows[0]?.sequence);
    return stands ? last : this.#contents(destination, rows);
  }

  async #contents(destination: string, rows: readonly OutboxRow[]): Promise<Attempt | undefined> {
    const { host, edus } = this.#federation;
    const { transactionPdus } = host.limits;
    const ids: string[] = [];
    const pdus: JsonValue[] = [];
    let through = rows[0]?.sequence;
    let rest: readonly OutboxEntry[] = [];
    for (const row of rows) {
      const found = (await this.#eventsOf(row)).filter(({ eventId }) => !ids.includes(eventId));
      const room = transactionPdus - pdus.length;
      if (found.length > room && pdus.length > 0) break;
      for (const { eventId, json } of found.slice(0, room)) {
        ids.push(eventId);
        pdus.push(json);
      }
      through = row.sequence;
      rest = found.slice(room).map(({ eventId }) => ({ destination, roomId: row.roomId, eventId }));
      if (rest.length > 0) break;
    }
    const first = rows[0]?.sequence;
    const batch = edus?.queues.take(destination) ?? NO_EDUS;
    if (first === undefined && batch.edus.length === 0) return undefined;
    // The same rows make the same transaction, after a restart too. EDUs have no rows, and the same ones come again.
    const nonce = batch.edus.length === 0 ? [] : [encodeUnpadded(host.random.bytes(12), "url-safe")];
    const name = [first ?? "", through ?? "", ...ids, ...nonce].join(" ");
    const transactionId = encodeUnpadded(sha256(utf8Encode(name)), "url-safe");
    return { transactionId, pdus, batch, first, through, rest };
  }

  async #eventsOf({
    destination,
    roomId,
    eventId,
  }: OutboxRow): Promise<readonly { readonly eventId: string; readonly json: JsonValue }[]> {
    const room = await this.#federation.rooms.open(roomId);
    if (room === undefined) return [];
    // A server that left meanwhile has its leave in a row of its own, and no right to what came later.
    const latest = room.isServerJoined(destination) ? room.control.forwardExtremities : [];
    const rows = await room.rows(eventId === undefined ? latest : [eventId]);
    return rows.map((row) => ({ eventId: row.eventId, json: servedForm(room, row) }));
  }

  /** A destination that is gone for long gets the rooms' latest events when it is back, not all that it missed. */
  async #collapse(destination: string): Promise<Outcome> {
    const { storage, limits, observer } = this.#federation.host;
    if ((await storage.readOutbox(destination, limits.outboxRows + 1)).length <= limits.outboxRows) return FAILED;
    const rows = await storage.readOutbox(destination, Number.MAX_SAFE_INTEGER);
    const [last] = rows.slice(-1);
    if (last === undefined) return FAILED;
    await storage.settleOutbox(destination, last.sequence, await this.#collapsed(destination, rows));
    observer.onMetric?.({ name: "outbox.collapsed", value: rows.length, server: destination });
    return FAILED;
  }

  /**
   * One row for each room that the destination is in. Of a room that it has left it may have no more than what was
   * queued, which ends with its leave, and cannot fetch what it lacks: that stays, while there is room for it.
   */
  async #collapsed(destination: string, rows: readonly OutboxRow[]): Promise<readonly OutboxEntry[]> {
    const { rooms, host } = this.#federation;
    const latest: OutboxEntry[] = [];
    const left: OutboxEntry[] = [];
    const ends: OutboxEntry[] = [];
    for (const roomId of new Set(rows.map((row) => row.roomId))) {
      if ((await rooms.open(roomId))?.isServerJoined(destination) === true) {
        latest.push({ destination, roomId });
        continue;
      }
      const kept = rows.flatMap(({ roomId: of, eventId }): OutboxEntry[] =>
        of === roomId && eventId !== undefined ? [{ destination, roomId, eventId }] : [],
      );
      left.push(...kept);
      ends.push(...kept.slice(-1));
    }
    return [...(left.length <= host.limits.outboxRows ? left : ends), ...latest];
  }
}

function failureOf({ code, retryAfterMs }: OperationError): Failure {
  const waits = code === "limit_exceeded" && retryAfterMs !== undefined && retryAfterMs > 0;
  return waits ? { retryAfter: retryAfterMs } : FAILED;
}
