/**
 * EDUs that wait for other servers.
 *
 * Those that must arrive are each an intent in storage until they have: after a restart they are taken up, and what
 * had arrived without this server's learning of it comes twice, which the other side knows by its id. The others are
 * in memory only, the latest under a key in place of the one before.
 */
import { encodeUnpadded } from "../../crypto/base64.js";
import { refuse } from "../../errors.js";
import type { Result } from "../../errors.js";
import { utf8Length } from "../../ids/text.js";
import { encodeCanonical } from "../../json/canonical.js";
import { get, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import { combine } from "./combine.js";
import type { Ephemeral } from "./combine.js";
import type { EduLimits } from "./limits.js";
import type { EduBatch, EduContext, EduQueues } from "./module.js";

const KIND = "edu";

interface Reliable {
  readonly id: string;
  readonly sequence: number;
  readonly edu: JsonObject;
  readonly bytes: number;
}

export class Queues implements EduQueues {
  readonly #context: EduContext;
  readonly #limits: EduLimits;
  readonly #reliable = new Map<string, Reliable[]>();
  readonly #ephemeral = new Map<string, Map<string, Ephemeral>>();
  readonly #suspended = new Set<string>();
  #sequence = 0;

  constructor(context: EduContext, limits: EduLimits) {
    this.#context = context;
    this.#limits = limits;
  }

  /** Takes up what a process before this one left. */
  async load(): Promise<void> {
    for (const { id, data } of await this.#context.host.storage.readIntents(KIND)) {
      const destination = get(data, "destination");
      const sequence = get(data, "sequence");
      const edu = get(data, "edu");
      if (typeof destination !== "string" || typeof sequence !== "number" || !isObject(edu)) continue;
      this.#insert(destination, { id, sequence, edu, bytes: sizeOf(edu) });
      this.#sequence = Math.max(this.#sequence, sequence);
    }
  }

  #insert(destination: string, entry: Reliable): void {
    const queue = this.#reliable.get(destination) ?? [];
    this.#reliable.set(destination, queue);
    if (queue.some(({ id }) => id === entry.id)) return;
    const before = queue.findLastIndex(({ sequence }) => sequence <= entry.sequence);
    queue.splice(before + 1, 0, entry);
  }

  /** Queues what must arrive. */
  async keep(destination: string, edu: JsonObject, cancel?: Cancel): Promise<Result<void>> {
    const replaced = this.#replacedBy(destination, edu);
    if (replaced === undefined) {
      return refuse("too_large", `${this.#limits.queuedReliable} EDUs wait for ${destination} already`);
    }
    const { storage, random } = this.#context.host;
    const sequence = ++this.#sequence;
    const id = `${KIND} ${encodeUnpadded(random.bytes(18), "url-safe")}`;
    await storage.putIntent({ id, kind: KIND, data: { destination, sequence, edu } }, cancel);
    this.#insert(destination, { id, sequence, edu, bytes: sizeOf(edu) });
    // Not before the new one is written: a crash in between would hide the gap from the other side.
    await this.#remove(destination, replaced);
    this.#context.kick([destination]);
    return { ok: true, value: undefined };
  }

  /**
   * Where the queue is full, a device update takes the place of those of its user, whose ids are answered: the other
   * side finds the gap, and asks for all devices. `undefined` if there is no room.
   */
  #replacedBy(destination: string, edu: JsonObject): readonly string[] | undefined {
    const queue = this.#reliable.get(destination) ?? [];
    if (queue.length < this.#limits.queuedReliable) return [];
    const userId = deviceUser(edu);
    const older = queue.filter((entry) => userId !== undefined && deviceUser(entry.edu) === userId);
    return older.length > 0 ? older.map(({ id }) => id) : undefined;
  }

  /** Queues what may be lost, and is if the destination does not answer. */
  offer(destination: string, key: string, entry: Ephemeral): void {
    if (this.#suspended.has(destination)) return;
    const queue = this.#ephemeral.get(destination) ?? new Map<string, Ephemeral>();
    this.#ephemeral.set(destination, queue);
    queue.delete(key);
    queue.set(key, entry);
    const [oldest] = queue.keys();
    if (queue.size > this.#limits.queuedEphemeral && oldest !== undefined) queue.delete(oldest);
    this.#context.kick([destination]);
  }

  destinations(): readonly string[] {
    return [...new Set([...this.#reliable.keys(), ...this.#ephemeral.keys()])];
  }

  take(destination: string): EduBatch {
    const { transactionEdus, transactionBytes } = this.#limits;
    const edus: JsonValue[] = [];
    const reliable: string[] = [];
    let bytes = 0;
    for (const entry of this.#reliable.get(destination) ?? []) {
      bytes += entry.bytes;
      if (edus.length === transactionEdus || (bytes > transactionBytes && edus.length > 0)) break;
      edus.push(entry.edu);
      reliable.push(entry.id);
    }
    const waiting = this.#ephemeral.get(destination);
    if (waiting !== undefined) {
      const combined = combine([...waiting], transactionEdus - edus.length);
      edus.push(...combined.edus);
      for (const key of combined.keys) waiting.delete(key);
      if (waiting.size === 0) this.#ephemeral.delete(destination);
    }
    return { edus, reliable };
  }

  settle(destination: string, { reliable }: EduBatch): Promise<void> {
    return this.#remove(destination, reliable);
  }

  async #remove(destination: string, ids: readonly string[]): Promise<void> {
    const gone = new Set(ids);
    const left = (this.#reliable.get(destination) ?? []).filter(({ id }) => !gone.has(id));
    if (left.length === 0) this.#reliable.delete(destination);
    else this.#reliable.set(destination, left);
    if (ids.length > 0) await this.#context.host.storage.removeIntents(ids);
  }

  suspend(destination: string): void {
    this.#suspended.add(destination);
    this.#ephemeral.delete(destination);
  }

  release(destination: string): void {
    this.#suspended.delete(destination);
  }
}

function sizeOf(edu: JsonObject): number {
  return utf8Length(encodeCanonical(edu));
}

function deviceUser(edu: JsonObject): JsonValue | undefined {
  const content = get(edu, "content");
  return get(edu, "edu_type") === "m.device_list_update" && isObject(content) ? get(content, "user_id") : undefined;
}
