/** Receiving what other servers send: each transaction once, each room's events together, one answer for each event. */
import { listOf } from "../engine/fetch.js";
import { refusalOf } from "../engine/held.js";
import type { Room } from "../engine/room.js";
import { isObject, get, setOwn } from "../json/value.js";
import type { JsonValue } from "../json/value.js";
import { eventIdOf } from "../event/hashes.js";
import { checkJson } from "../event/format.js";
import type { OperationRequest, OperationResult } from "../ports/operations.js";
import type { Verdict } from "../ports/verdict.js";
import { answer, fail, isDenied, residentRoom } from "./context.js";
import type { Federation } from "./context.js";
import { endOutside } from "./outside.js";
import { defaultEduLimits } from "./edus/limits.js";

/** What was taken in and is not shown: the server that sent it is not told. */
const softFailed: ReadonlySet<Verdict["verdict"]> = new Set([
  "soft-failed",
  "policy-refused",
  "not-recommended",
] as const);

type Answer = Record<string, { readonly error?: string }>;

/** Keeps transactions apart: a repeated one waits for the first and gets its answer. */
export class Transactions {
  readonly #federation: Federation;
  readonly #running = new Map<string, Promise<OperationResult<"send">>>();

  constructor(federation: Federation) {
    this.#federation = federation;
  }

  receive(origin: string, request: OperationRequest<"send">): Promise<OperationResult<"send">> {
    const name = JSON.stringify([origin, request.transactionId]);
    let running = this.#running.get(name);
    if (running === undefined) {
      running = this.#receive(origin, request).finally(() => this.#running.delete(name));
      this.#running.set(name, running);
    }
    return running;
  }

  async #receive(origin: string, request: OperationRequest<"send">): Promise<OperationResult<"send">> {
    const { host, edus } = this.#federation;
    const { transactionId } = request;
    if (transactionId.length > 255) return fail("bad_request", "the transaction id is too long");
    const pdus = listOf(request.pdus);
    // SZ5: nothing of a transaction that is too large is looked at.
    if (pdus.length > host.limits.transactionPdus) {
      return fail("too_large", `a transaction holds at most ${host.limits.transactionPdus} PDUs`);
    }
    const ephemeral = listOf(request.edus);
    const { transactionEdus } = edus?.limits ?? defaultEduLimits;
    if (ephemeral.length > transactionEdus) {
      return fail("too_large", `a transaction holds at most ${transactionEdus} EDUs`);
    }
    const known = await host.storage.readTransaction(origin, transactionId);
    if (known !== undefined) return answer<"send">({ pdus: known.answer as Answer });
    const result: Answer = {};
    for (const [roomId, events] of byRoom(pdus)) await this.#receiveFor(origin, roomId, events, result);
    // After the events: somebody may have joined by one of them.
    if (ephemeral.length > 0) await edus?.receive(origin, ephemeral);
    // Every event above is stored by its own room's commit; should this be lost, a retry finds them there.
    const answeredAt = host.clock.now();
    await host.storage.recordTransaction(
      { origin, transactionId, answeredAt, answer: result },
      answeredAt - host.limits.transactionMemory,
    );
    return answer<"send">({ pdus: result });
  }

  async #receiveFor(origin: string, roomId: string, events: readonly JsonValue[], result: Answer): Promise<void> {
    const room = await this.#roomFor(roomId);
    if (room === undefined) {
      for (const event of events) {
        const ended = await endOutside(this.#federation.host, roomId, event);
        if (ended !== undefined) setOwn(result, ended, {});
      }
      return;
    }
    if (await isDenied(room, origin)) {
      for (const event of events) {
        const eventId = nameOf(room, event);
        if (eventId !== undefined) setOwn(result, eventId, { error: `the ACL of ${roomId} denies ${origin}` });
      }
      return;
    }
    const receipts = await room.receive(events, { origin, outsider: !room.isServerJoined(origin) });
    receipts.forEach((receipt, at) => {
      const eventId = "eventId" in receipt.verdict ? receipt.verdict.eventId : nameOf(room, events[at]);
      if (eventId === undefined) return;
      const refusal = softFailed.has(receipt.verdict.verdict) ? undefined : refusalOf(receipt.verdict);
      setOwn(result, eventId, refusal === undefined ? {} : { error: refusal.reason });
    });
  }

  /** A room that this server takes part in; where it is about to, the join goes first. */
  async #roomFor(roomId: string): Promise<Room | undefined> {
    const room = await residentRoom(this.#federation, roomId);
    const { host, joining } = this.#federation;
    if (room !== undefined || !joining.has(roomId)) return room;
    await joining.isOver(roomId, host.clock, host.limits.joinWait);
    return residentRoom(this.#federation, roomId);
  }
}

/** Events by room, in the order in which they came. What names no room cannot be answered for. */
function byRoom(pdus: readonly JsonValue[]): ReadonlyMap<string, readonly JsonValue[]> {
  const rooms = new Map<string, JsonValue[]>();
  for (const pdu of pdus) {
    const roomId = isObject(pdu) ? get(pdu, "room_id") : undefined;
    if (typeof roomId !== "string") continue;
    const events = rooms.get(roomId);
    if (events === undefined) rooms.set(roomId, [pdu]);
    else events.push(pdu);
  }
  return rooms;
}

/** The id of something that is no event of the room, so that its sender can be told. */
function nameOf(room: Room, value: JsonValue | undefined): string | undefined {
  const { rules } = room.version;
  const checked = checkJson(rules, value);
  if (!checked.ok || !isObject(checked.value)) return undefined;
  if (rules.format.eventIds !== "in-pdu") return eventIdOf(rules, checked.value);
  const id = get(checked.value, "event_id");
  return typeof id === "string" ? id : undefined;
}
