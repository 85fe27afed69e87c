/**
 * Delivering what was committed. Each destination has a queue in storage and at most one transaction under way;
 * what is not delivered stays, and a queue that grows too long collapses to one row for each room: the other
 * side gets the room's latest events and fetches the rest.
 */
import { encodeUnpadded } from "../crypto/base64.js";
import { sha256 } from "../crypto/hash.js";
import { Canceller, withDeadline } from "../engine/cancel.js";
import { utf8Encode } from "../json/utf8.js";
import type { JsonValue } from "../json/value.js";
import type { OutboxEntry, OutboxRow } from "../ports/storage.js";
import type { Federation } from "./context.js";
import { servedForm } from "./retrieve.js";

interface Delivery {
  readonly wake: Canceller;
  readonly done: Promise<void>;
}

export class Outbox {
  readonly #federation: Federation;
  readonly #holder: string;
  readonly #stop = new Canceller();
  readonly #running = new Map<string, Delivery>();
  readonly #again = new Set<string>();

  constructor(federation: Federation) {
    this.#federation = federation;
    this.#holder = encodeUnpadded(federation.host.random.bytes(12), "url-safe");
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
    this.kick(await this.#federation.host.storage.outboxDestinations());
  }

  /** There is something to send. */
  kick(destinations: readonly string[]): void {
    for (const destination of destinations) {
      if (this.#stop.aborted) return;
      if (this.#running.has(destination)) this.#again.add(destination);
      else this.#start(destination);
    }
  }

  /** A sign of life: an attempt that waits is made now. */
  wake(destination: string): void {
    this.#running.get(destination)?.wake.cancel();
  }

  #start(destination: string): void {
    const wake = new Canceller();
    const done = this.#deliverAll(destination)
      .catch((error: unknown) => {
        this.#federation.host.observer.onFault?.({ where: `outbox of ${destination}`, error });
      })
      .then(() => {
        this.#running.delete(destination);
        if (this.#again.delete(destination) && !this.#stop.aborted) this.#start(destination);
      });
    this.#running.set(destination, { wake, done });
  }

  async #deliverAll(destination: string): Promise<void> {
    const { limits, storage, clock, observer } = this.#federation.host;
    for (let failures = 0; !this.#stop.aborted;) {
      const now = clock.now();
      const held = await storage.lease(destination, this.#holder, now, now + limits.requestTime * 2);
      const rows = held ? await storage.readOutbox(destination, limits.transactionPdus) : [];
      if (held && rows.length === 0) return;
      if (held && (await this.#deliver(destination, rows))) {
        failures = 0;
        observer.onMetric?.({ name: "outbox.sent", value: rows.length, server: destination });
        continue;
      }
      failures++;
      if (held) {
        observer.onMetric?.({ name: "outbox.failed", value: failures, server: destination });
        await this.#collapse(destination);
      }
      await this.#pause(
        destination,
        Math.min(limits.retryFirst * 2 ** Math.min(failures - 1, 30), limits.retryLongest),
      );
    }
  }

  async #pause(destination: string, ms: number): Promise<void> {
    const running = this.#running.get(destination);
    const wake = new Canceller();
    if (running !== undefined) this.#running.set(destination, { ...running, wake });
    const release = this.#stop.onAbort(() => {
      wake.cancel();
    });
    await this.#federation.host.clock.sleep(ms, wake);
    release();
  }

  async #deliver(destination: string, rows: readonly OutboxRow[]): Promise<boolean> {
    const { host } = this.#federation;
    const { ids, pdus } = await this.#contents(rows);
    const last = rows.at(-1)?.sequence ?? 0;
    if (pdus.length > 0) {
      // A retry of the same rows is the same transaction; the answer to a lost answer is the one that was lost.
      const transactionId = encodeUnpadded(sha256(utf8Encode(`${last} ${ids.join(" ")}`)), "url-safe");
      const sent = await withDeadline(host.clock, host.limits.requestTime, this.#stop, (cancel) =>
        host.transport.request(destination, "send", { transactionId, pdus }, cancel),
      );
      if (!sent.ok) return false;
    }
    await host.storage.settleOutbox(destination, last, []);
    return true;
  }

  async #contents(rows: readonly OutboxRow[]): Promise<{ readonly ids: string[]; readonly pdus: JsonValue[] }> {
    const { rooms, host } = this.#federation;
    const ids: string[] = [];
    const pdus: JsonValue[] = [];
    for (const { roomId, eventId } of rows) {
      const room = await rooms.open(roomId);
      if (room === undefined) continue;
      const wanted = eventId === undefined ? room.control.forwardExtremities : [eventId];
      for (const row of await room.rows(wanted.filter((id) => !ids.includes(id)))) {
        if (pdus.length >= host.limits.transactionPdus) break;
        ids.push(row.eventId);
        pdus.push(servedForm(room, row));
      }
    }
    return { ids, pdus };
  }

  /** A destination that is gone for long gets the rooms' latest events when it is back, not all that it missed. */
  async #collapse(destination: string): Promise<void> {
    const { storage, limits, observer } = this.#federation.host;
    const rows = await storage.readOutbox(destination, limits.outboxRows + 1);
    const last = rows.at(-1);
    if (rows.length <= limits.outboxRows || last === undefined) return;
    const rooms = [...new Set(rows.map(({ roomId }) => roomId))];
    const latest = rooms.map((roomId): OutboxEntry => ({ destination, roomId }));
    await storage.settleOutbox(destination, last.sequence, latest);
    observer.onMetric?.({ name: "outbox.collapsed", value: rows.length, server: destination });
  }
}
