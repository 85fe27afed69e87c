/**
 * Carrying on joins that a restart interrupted. For each there is an intent, written before anybody is asked. A server
 * may have let the user in without this one ever getting the answer: until all that were asked have said no, they are
 * asked again, in the background and with pauses that grow, for a day (`resumeTime`). Then the join is given up, and
 * the host is told.
 */
import { Canceller } from "../engine/cancel.js";
import { stringsOf } from "../engine/fetch.js";
import { CancelledError } from "../errors.js";
import type { Room } from "../engine/room.js";
import type { Refusal } from "../errors.js";
import type { JsonObject } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { Intent } from "../ports/storage.js";
import { backOff } from "./back-off.js";
import { residentRoom } from "./context.js";
import type { Federation } from "./context.js";
import type { HandshakeRequest, Shaken } from "./handshake.js";

const KIND = "join";

/** A join that was begun. Of a user and a room there is one. */
export function joinIntent({ roomId, userId, via, partial, reason }: Omit<HandshakeRequest, "cancel">): Intent {
  const partly: JsonObject = partial === true ? { partial } : {};
  const why: JsonObject = reason === undefined ? {} : { reason };
  return { id: joinIntentId(roomId, userId), kind: KIND, data: { roomId, userId, via: [...via], ...partly, ...why } };
}

export function joinIntentId(roomId: string, userId: string): string {
  return `${KIND} ${roomId} ${userId}`;
}

function readIntent({ kind, data }: Intent): Omit<HandshakeRequest, "cancel"> | undefined {
  const { roomId, userId, via, partial, reason } = data;
  if (kind !== KIND || typeof roomId !== "string" || typeof userId !== "string") return undefined;
  const why = typeof reason === "string" ? { reason } : {};
  return { roomId, userId, via: stringsOf(via), partial: partial === true, ...why };
}

interface Running {
  readonly stop: Canceller;
  readonly done: Promise<void>;
}

/** Why there has to be another attempt, where that is known. */
interface Unfinished {
  readonly refusal?: Refusal;
}

type Ask = (request: HandshakeRequest, intentId: string) => Promise<Shaken<Room>>;

export class Joins {
  readonly #federation: Federation;
  readonly #ask: Ask;
  #stop = new Canceller();
  readonly #running = new Map<string, Running>();

  /** @param ask - Makes one attempt, and removes the intent with the write that stores the room. */
  constructor(federation: Federation, ask: Ask) {
    this.#federation = federation;
    this.#ask = ask;
  }

  /** Whether a join is being carried on, or waits for its next attempt. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  stop(): void {
    this.#stop.cancel();
    for (const { stop } of this.#running.values()) stop.cancel();
    this.#running.clear();
  }

  /** Takes up everything that was begun, as after a restart. Resolves when each was tried once. */
  async resume(cancel?: Cancel): Promise<void> {
    if (this.#stop.aborted) this.#stop = new Canceller();
    const stop = this.#stop;
    const begun = await this.#federation.host.storage.readIntents(KIND, cancel);
    const ids = begun.filter((intent) => readIntent(intent) !== undefined).map(({ id }) => id);
    if (!stop.aborted) await Promise.all(ids.map((id) => this.#start(id, cancel)));
  }

  /**
   * The user asks for the same anew. Resolves when nothing is under way any more, with whether something was: its
   * intent is left to who asks now.
   */
  async halt(roomId: string, userId: string): Promise<boolean> {
    const running = this.#running.get(joinIntentId(roomId, userId));
    running?.stop.cancel();
    await running?.done;
    return running !== undefined;
  }

  /** The user wants something else of the room. */
  async drop(roomId: string, userId: string, cancel: Cancel | undefined): Promise<void> {
    await this.halt(roomId, userId);
    await this.#federation.host.storage.removeIntents([joinIntentId(roomId, userId)], cancel);
  }

  async #start(id: string, cancel: Cancel | undefined): Promise<void> {
    if (this.#running.has(id)) return;
    const stop = new Canceller();
    const release = cancel?.onAbort(() => {
      stop.cancel();
    });
    const first = this.#attempt(id, stop);
    const done = this.#carryOn(id, first, stop).then(() => {
      release?.();
      if (this.#running.get(id)?.stop === stop) this.#running.delete(id);
    });
    this.#running.set(id, { stop, done });
    await first;
  }

  async #carryOn(id: string, first: Promise<Unfinished | undefined>, stop: Canceller): Promise<void> {
    const { clock, limits } = this.#federation.host;
    const isStopped = (): boolean => stop.aborted;
    let unfinished = await first;
    let waited = 0;
    for (let failures = 1; unfinished !== undefined && !isStopped(); failures++) {
      if (waited >= limits.resumeTime) return this.#giveUp(id, unfinished);
      const ms = backOff(limits, failures);
      await clock.sleep(ms, stop);
      waited += ms;
      if (!isStopped()) unfinished = await this.#attempt(id, stop);
    }
  }

  /** A storage that fails is a failed attempt: what was begun is there, and is tried again. */
  async #attempt(id: string, stop: Canceller): Promise<Unfinished | undefined> {
    try {
      return await this.#tryOnce(id, stop);
    } catch (error) {
      if (!(error instanceof CancelledError)) this.#federation.host.observer.onFault?.({ where: id, error });
      return {};
    }
  }

  /** `undefined` if nothing is left to be done. */
  async #tryOnce(id: string, stop: Canceller): Promise<Unfinished | undefined> {
    const { storage } = this.#federation.host;
    const intent = (await storage.readIntents(KIND, stop)).find((one) => one.id === id);
    const request = intent === undefined ? undefined : readIntent(intent);
    // Another process has done it.
    if (request === undefined) return undefined;
    const room = await residentRoom(this.#federation, request.roomId);
    if (room?.current.membership(request.userId) !== "join") {
      const joined = await this.#ask({ ...request, cancel: stop }, id);
      if (joined.ok) return undefined;
      if (joined.passing) return { refusal: joined.error };
    }
    await storage.removeIntents([id], stop);
    return undefined;
  }

  async #giveUp(id: string, { refusal }: Unfinished): Promise<void> {
    const { storage, observer } = this.#federation.host;
    const error = new Error("a join that a restart interrupted was given up: nobody has said whether it was done");
    observer.onFault?.({ where: id, error, ...(refusal === undefined ? {} : { refusal }) });
    try {
      await storage.removeIntents([id]);
    } catch (failed) {
      observer.onFault?.({ where: id, error: failed });
    }
  }
}
