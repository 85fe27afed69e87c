/**
 * EDUs of other servers: what each is worth here. Typing and receipts are about a room, so their user has to be in it
 * and the room's ACL has to allow the server; the rest is about users of the server that sends it.
 */
import { Cache } from "../../engine/cache.js";
import { domainOf } from "../../ids/grammar.js";
import type { JsonValue } from "../../json/value.js";
import { isDenied } from "../context.js";
import { DeviceLists } from "./device-lists.js";
import type { Edu, EduRefusal, Presence, ReadReceipt, SigningKeys, ToDevice, Typing } from "./edu.js";
import type { EduHandler, ToDeviceStore } from "./handler.js";
import type { EduLimits } from "./limits.js";
import type { EduContext } from "./module.js";
import { readEdu } from "./read.js";
import { Typists } from "./typists.js";

export class Inbound {
  readonly deviceLists: DeviceLists;
  readonly #context: EduContext;
  readonly #handler: EduHandler;
  readonly #store: ToDeviceStore;
  readonly #limits: EduLimits;
  readonly #typists: Typists;
  readonly #receipts: Cache<string, number>;
  /** By server: what it sent last is worked on after what it sent before. */
  readonly #running = new Map<string, Promise<void>>();

  constructor(context: EduContext, handler: EduHandler, store: ToDeviceStore, limits: EduLimits) {
    this.#context = context;
    this.#handler = handler;
    this.#store = store;
    this.#limits = limits;
    this.#receipts = new Cache(Math.ceil(limits.receipts / 2));
    this.deviceLists = new DeviceLists(context, handler, limits);
    this.#typists = new Typists(context.host.clock, limits, (typing) => {
      void this.#tell("onTyping", () => handler.onTyping?.(typing));
    });
  }

  stop(): void {
    this.#typists.stop();
    this.deviceLists.stop();
  }

  receive(origin: string, edus: readonly JsonValue[]): Promise<void> {
    const before = this.#running.get(origin) ?? Promise.resolve();
    // What became of the one before is its sender's to learn.
    const running = before.catch(() => undefined).then(() => this.#receiveAll(origin, edus));
    this.#running.set(origin, running);
    return running.finally(() => {
      if (this.#running.get(origin) === running) this.#running.delete(origin);
    });
  }

  /** One that fails does not keep the others from being heard. */
  async #receiveAll(origin: string, edus: readonly JsonValue[]): Promise<void> {
    const failures: unknown[] = [];
    const rooms = new Set<string>();
    for (const json of edus) {
      const edu = readEdu(json, origin, this.#limits);
      if (!edu.ok) {
        this.#ignore(origin, edu.error);
        continue;
      }
      for (const refusal of edu.value.passedOver) this.#ignore(origin, refusal);
      try {
        await this.#take(origin, edu.value, rooms);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  async #take(origin: string, edu: Edu, rooms: Set<string>): Promise<void> {
    switch (edu.eduType) {
      case "m.typing":
        return this.#typing(origin, edu.typing, rooms);
      case "m.receipt":
        return this.#receiptsOf(origin, edu.receipts, rooms);
      case "m.presence":
        return this.#presence(edu.presence);
      case "m.device_list_update":
        await this.#tell("wantsDevices", () => this.deviceLists.update(edu.update));
        return;
      case "m.signing_key_update":
        return this.#signingKeys(edu.signingKeys);
      case "m.direct_to_device":
        return this.#toDevice(origin, edu.message);
    }
  }

  #ignore(origin: string, refusal: EduRefusal): void {
    void this.#tell("onIgnored", () => this.#handler.onIgnored?.({ origin, refusal }));
  }

  /** Whether the host has taken it. */
  async #tell(where: string, call: () => unknown): Promise<boolean> {
    try {
      await call();
      return true;
    } catch (error) {
      this.#context.host.observer.onFault?.({ where: `edus: ${where}`, error });
      return false;
    }
  }

  // ---- about a room -----------------------------------------------------------------------------------------

  async #typing(origin: string, typing: Typing, rooms: Set<string>): Promise<void> {
    const refusal = await this.#refusedIn(typing, origin, rooms);
    if (refusal !== undefined) this.#ignore(origin, refusal);
    else if (this.#typists.set(typing)) await this.#tell("onTyping", () => this.#handler.onTyping?.(typing));
  }

  async #receiptsOf(origin: string, receipts: readonly ReadReceipt[], rooms: Set<string>): Promise<void> {
    for (const receipt of receipts) {
      const refusal = (await this.#refusedIn(receipt, origin, rooms)) ?? this.#outdated(receipt);
      if (refusal !== undefined) this.#ignore(origin, refusal);
      else await this.#tell("onReceipt", () => this.#handler.onReceipt?.(receipt));
    }
  }

  /** Unthreaded receipts and those of each thread replace their own kind (client-server-api, "Receipts"). */
  #outdated({ roomId, userId, threadId, ts }: ReadReceipt): EduRefusal | undefined {
    const key = JSON.stringify([roomId, userId, ...(threadId === undefined ? [] : [threadId])]);
    const last = this.#receipts.get(key);
    if (last !== undefined && ts < last) return { code: "outdated", reason: "a newer receipt is there" };
    // A clock that is ahead there must not make everything outdated that comes after it was set right.
    this.#receipts.set(key, Math.min(ts, this.#context.host.clock.now()));
    return undefined;
  }

  async #refusedIn(
    { roomId, userId }: { readonly roomId: string; readonly userId: string },
    origin: string,
    heardOf: Set<string>,
  ): Promise<EduRefusal | undefined> {
    const { host, rooms } = this.#context;
    const { transactionRooms } = this.#limits;
    if (!heardOf.has(roomId) && heardOf.size >= transactionRooms) {
      return { code: "too_large", reason: `a transaction is heard about at most ${transactionRooms} rooms` };
    }
    heardOf.add(roomId);
    const room = await rooms.open(roomId);
    if (room?.isResident !== true) {
      return { code: "unknown_room", reason: `no user of ${host.server} is in ${roomId}` };
    }
    if (await isDenied(room, origin)) {
      return { code: "acl_denied", reason: `the ACL of ${roomId} denies ${origin}` };
    }
    if (room.current.membership(userId) === "join") return undefined;
    return { code: "not_in_room", reason: `${userId} is not in ${roomId}` };
  }

  // ---- about users ------------------------------------------------------------------------------------------

  async #presence(updates: readonly Presence[]): Promise<void> {
    for (const presence of updates) await this.#tell("onPresence", () => this.#handler.onPresence?.(presence));
  }

  async #signingKeys(keys: SigningKeys): Promise<void> {
    const taken = await this.#tell("onSigningKeys", () => this.#handler.onSigningKeys?.(keys));
    // The list has these keys as well.
    if (!taken) await this.#tell("wantsDevices", () => this.deviceLists.outdated(keys.userId));
  }

  async #toDevice(origin: string, message: ToDevice): Promise<void> {
    if (this.#handler.onToDevice === undefined) return;
    const { server } = this.#context.host;
    const messages = message.messages.filter(({ userId }) => domainOf(userId) === server);
    if (messages.length < message.messages.length) {
      this.#ignore(origin, { code: "foreign_user", reason: `a message is for nobody of ${server}` });
    }
    if (messages.length === 0) return;
    if (await this.#store.has(message.sender, message.messageId)) {
      this.#ignore(origin, { code: "duplicate", reason: "the message came before" });
      return;
    }
    await this.#handler.onToDevice(Object.freeze({ ...message, messages: Object.freeze(messages) }));
    await this.#store.add(message.sender, message.messageId);
  }
}
