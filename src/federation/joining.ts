/**
 * Rooms that this server is joining right now. Who is in a room sends to whoever has joined from the moment of its
 * `send_join` on. What arrives before the answer to that is read would be lost: its sender takes it for delivered, and
 * may be forbidden to hand it out again by the time it is missed.
 */
import { Canceller } from "../engine/cancel.js";
import type { Clock } from "../ports/clock.js";

export class RoomsBeingJoined {
  /** By room, how many joins there are. */
  readonly #joins = new Map<string, number>();
  /** Who waits for the last of them to end. */
  readonly #waiting = new Map<string, Set<Canceller>>();

  /** Runs a join of the room. */
  async during<T>(roomId: string, join: () => Promise<T>): Promise<T> {
    this.#joins.set(roomId, (this.#joins.get(roomId) ?? 0) + 1);
    try {
      return await join();
    } finally {
      const left = (this.#joins.get(roomId) ?? 1) - 1;
      if (left > 0) this.#joins.set(roomId, left);
      else this.#end(roomId);
    }
  }

  has(roomId: string): boolean {
    return this.#joins.has(roomId);
  }

  #end(roomId: string): void {
    this.#joins.delete(roomId);
    const waiting = this.#waiting.get(roomId) ?? [];
    this.#waiting.delete(roomId);
    for (const one of waiting) one.cancel();
  }

  /** Resolves when the room is not being joined, or after `ms` milliseconds. */
  async isOver(roomId: string, clock: Clock, ms: number): Promise<void> {
    if (!this.has(roomId)) return;
    const ended = new Canceller();
    const waiting = this.#waiting.get(roomId) ?? new Set();
    this.#waiting.set(roomId, waiting.add(ended));
    await clock.sleep(ms, ended);
    waiting.delete(ended);
  }
}
