/** Who cites whom, from the cited event's side: lists by number that only grow, without an object for each. */
import { enlarged } from "./integers.js";
import { ABSENT } from "./state-map.js";

const END = ABSENT;

export class Citers {
  /** The latest link of each list. */
  #heads: Int32Array = new Int32Array(64).fill(END);
  #citers: Int32Array = new Int32Array(64);
  #next: Int32Array = new Int32Array(64);
  #used = 0;

  add(cited: number, citer: number): void {
    if (cited >= this.#heads.length) this.#heads = enlarged(this.#heads, cited);
    if (this.#used === this.#citers.length) {
      this.#citers = enlarged(this.#citers, this.#used);
      this.#next = enlarged(this.#next, this.#used);
    }
    const link = this.#used++;
    this.#citers[link] = citer;
    this.#next[link] = this.#heads[cited] ?? END;
    this.#heads[cited] = link;
  }

  /** The first link of a number's list, the latest citation first; -1 at the end, as {@link Citers.next} answers. */
  first(cited: number): number {
    return this.#heads[cited] ?? END;
  }

  next(link: number): number {
    return this.#next[link] ?? END;
  }

  at(link: number): number {
    return this.#citers[link] ?? END;
  }
}
