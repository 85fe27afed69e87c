/**
 * Completing rooms that were joined with a partial state, in the background. For each there is an intent, written with
 * the join and removed with the completion: a restart carries on. One server of the room after the other is asked, with
 * pauses that grow, for as long as a user of this server is in the room.
 */
import { Canceller } from "../engine/cancel.js";
import { stringsOf } from "../engine/fetch.js";
import { CancelledError } from "../errors.js";
import type { Room } from "../engine/room.js";
import type { Intent } from "../ports/storage.js";
import { backOff } from "./back-off.js";
import type { Federation } from "./context.js";

const KIND = "completion";

/** What has to be done for a room that was joined by `eventId`. `via` has its whole state, unless it lied. */
export function completionIntent(data: {
  readonly roomId: string;
  readonly eventId: string;
  readonly via: readonly string[];
}): Intent {
  return { id: `${KIND} ${data.roomId} ${data.eventId}`, kind: KIND, data: { ...data } };
}

interface Completion {
  readonly id: string;
  readonly roomId: string;
  readonly eventId: string;
  readonly via: readonly string[];
}

export class Completions {
  readonly #federation: Federation;
  #stop = new Canceller();
  readonly #running = new Map<string, Canceller>();

  constructor(federation: Federation) {
    this.#federation = federation;
  }

  /** Whether the state of a room is being completed, or waits for the next attempt. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  stop(): void {
    this.#stop.cancel();
    this.#running.clear();
  }

  /** Takes up everything that was begun, as after a restart. */
  async resume(): Promise<void> {
    if (this.#stop.aborted) this.#stop = new Canceller();
    await this.kick();
  }

  /** Takes up what was begun since. */
  async kick(): Promise<void> {
    const stop = this.#stop;
    for (const { id, data } of await this.#federation.host.storage.readIntents(KIND)) {
      const { roomId, eventId, via } = data;
      if (typeof roomId !== "string" || typeof eventId !== "string") continue;
      this.#start({ id, roomId, eventId, via: stringsOf(via) }, stop);
    }
  }

  #start(completion: Completion, stop: Canceller): void {
    const { id } = completion;
    if (stop.aborted || this.#running.has(id)) return;
    this.#running.set(id, stop);
    void this.#run(completion, stop).then(() => {
      if (this.#running.get(id) === stop) this.#running.delete(id);
    });
  }

  async #run(completion: Completion, stop: Canceller): Promise<void> {
    const { clock, limits } = this.#federation.host;
    for (let round = 0; !stop.aborted; round++) {
      if (await this.#guarded(completion, round, stop)) return;
      await clock.sleep(backOff(limits, round + 1), stop);
    }
  }

  /** A storage that fails is a failed attempt: what was begun is there, and is tried again. */
  async #guarded(completion: Completion, round: number, stop: Canceller): Promise<boolean> {
    try {
      return await this.#attempt(completion, round, stop);
    } catch (error) {
      if (!(error instanceof CancelledError)) {
        this.#federation.host.observer.onFault?.({ where: `completion of ${completion.roomId}`, error });
      }
      return false;
    }
  }

  /** Whether nothing is left to be done. */
  async #attempt({ id, roomId, eventId, via }: Completion, round: number, stop: Canceller): Promise<boolean> {
    const { host, rooms } = this.#federation;
    const room = await rooms.open(roomId, stop);
    if (room?.isResident !== true || room.joinedBy !== eventId) {
      // Left again, or completed: a room that is joined anew has an intent of its own.
      await host.storage.removeIntents([id], stop);
      return true;
    }
    for (const server of this.#servers(room, via, round)) {
      if (stop.aborted) return false;
      const completed = await room.completeFrom(server, { cancel: stop, additions: { intentsRemove: [id] } });
      if (completed.ok) return true;
      host.observer.onMetric?.({ name: "room.completion.failed", value: round + 1, roomId, server });
    }
    return false;
  }

  /** The server that was joined by, and then others, other ones in each round. */
  #servers(room: Room, via: readonly string[], round: number): readonly string[] {
    const { host } = this.#federation;
    const first = via.filter((server) => server !== host.server);
    const others = room.servers.filter((server) => server !== host.server && !first.includes(server));
    const count = Math.max(host.limits.fetchServers - first.length, 1);
    const start = others.length === 0 ? 0 : (round * count) % others.length;
    return [...first, ...others.slice(start), ...others.slice(0, start)].slice(0, first.length + count);
  }
}
