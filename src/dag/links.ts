/**
 * What walks read of an event, as integers side by side: where its citations stand in one array of all, its state key
 * and its sender's. With an `Int32Array` for each event and arrays of objects, a resolution of 50 changes in a room of
 * 100,000 members spent two thirds of its time on waiting for memory (docs/performance.md).
 */
import { enlarged } from "./integers.js";
import { ABSENT } from "./state-map.js";

const START = 0;
const END = 1;
const KEY = 2;
const SENDER = 3;
/** Sixteen bytes: four events to a line of the cache. */
const ROW = 4;

export class Links {
  #rows: Int32Array = new Int32Array(64 * ROW).fill(ABSENT);
  #cited: Int32Array = new Int32Array(256);
  #used = 0;

  /** The numbers that an event cites, the number of its state key and that of its sender's membership, if any. */
  set(number: number, cited: readonly number[], key: number, sender: number): void {
    if (number * ROW >= this.#rows.length) this.#rows = enlarged(this.#rows, number * ROW);
    if (this.#used + cited.length > this.#cited.length) {
      this.#cited = enlarged(this.#cited, this.#used + cited.length);
    }
    const row = number * ROW;
    this.#rows[row + START] = this.#used;
    for (let slot = 0; slot < cited.length; slot++) this.#cited[this.#used++] = cited[slot]!;
    this.#rows[row + END] = this.#used;
    this.#rows[row + KEY] = key;
    this.#rows[row + SENDER] = sender;
  }

  /** Whether the event was set, and not merely cited. */
  has(number: number): boolean {
    return this.end(number) !== ABSENT;
  }

  /** The first link of an event; its links are up to, not including, {@link Links.end}, which an absent one is at. */
  first(number: number): number {
    return this.#rows[number * ROW + START] ?? ABSENT;
  }

  end(number: number): number {
    return this.#rows[number * ROW + END] ?? ABSENT;
  }

  /** The number that is cited by a link. */
  at(link: number): number {
    return this.#cited[link] ?? ABSENT;
  }

  /** What an event cites, in its order. Do not modify. */
  of(number: number): Int32Array {
    return this.has(number) ? this.#cited.subarray(this.first(number), this.end(number)) : new Int32Array(0);
  }

  key(number: number): number {
    return this.#rows[number * ROW + KEY] ?? ABSENT;
  }

  sender(number: number): number {
    return this.#rows[number * ROW + SENDER] ?? ABSENT;
  }
}
