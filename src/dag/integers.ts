/** Arrays of integers that grow, and sets of the numbers of an index. */
import { ABSENT } from "./state-map.js";

/** A copy with room for `least` and as much again, filled up with {@link ABSENT}. */
export function enlarged(array: Int32Array, least: number): Int32Array {
  const larger = new Int32Array(2 * Math.max(least, array.length)).fill(ABSENT);
  larger.set(array);
  return larger;
}

/** A set of numbers of one index, a byte each: in a set of the language one takes ten times as long to look up. */
export class Marks {
  #bytes = new Uint8Array(64);

  has(number: number): boolean {
    return this.#bytes[number] === 1;
  }

  add(number: number): void {
    if (number >= this.#bytes.length) {
      const larger = new Uint8Array(2 * number);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[number] = 1;
  }

  delete(number: number): void {
    if (number >= 0 && number < this.#bytes.length) this.#bytes[number] = 0;
  }
}
