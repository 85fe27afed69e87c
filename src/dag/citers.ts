/** Who cites whom, from the cited event's side: lists by number that only grow, without an object for each. */

const END = -1;

export class Citers {
  /** The latest link of each list. */
  #heads: Int32Array = new Int32Array(64).fill(END);
  #citers: Int32Array = new Int32Array(64);
  #next: Int32Array = new Int32Array(64);
  #used = 0;

  add(cited: number, citer: number): void {
    if (cited >= this.#heads.length) {
      const heads = new Int32Array(2 * Math.max(cited, this.#heads.length)).fill(END);
      heads.set(this.#heads);
      this.#heads = heads;
    }
    if (this.#used === this.#citers.length) {
      this.#citers = doubled(this.#citers);
      this.#next = doubled(this.#next);
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

function doubled(array: Int32Array): Int32Array {
  const larger = new Int32Array(2 * array.length);
  larger.set(array);
  return larger;
}
