/** Counting what is under way: a place is taken, or there is none. Nobody waits; who asked comes again. */

/** So many at once, in all and for each name. */
export class Places {
  readonly #most: number;
  readonly #mostEach: number;
  readonly #taken = new Map<string, number>();
  #all = 0;

  constructor(most: number, mostEach: number = most) {
    this.#most = most;
    this.#mostEach = mostEach;
  }

  get taken(): number {
    return this.#all;
  }

  /** What gives the place back, once; `undefined` where there is none left. */
  take(name: string = ""): (() => void) | undefined {
    const taken = this.#taken.get(name) ?? 0;
    if (this.#all >= this.#most || taken >= this.#mostEach) return undefined;
    this.#taken.set(name, taken + 1);
    this.#all++;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const left = (this.#taken.get(name) ?? 1) - 1;
      if (left > 0) this.#taken.set(name, left);
      else this.#taken.delete(name);
      this.#all--;
    };
  }
}

/** An amount that many share; each gives back all that it took. */
export class Budget {
  readonly #most: number;
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  /** A part of it that can grow. */
  share(): Share {
    let held = 0;
    return {
      growTo: (amount) => {
        const more = Math.max(amount - held, 0);
        if (this.#used + more > this.#most) return false;
        this.#used += more;
        held += more;
        return true;
      },
      release: () => {
        this.#used -= held;
        held = 0;
      },
    };
  }
}

export interface Share {
  /** `false`: there is not so much left. */
  readonly growTo: (amount: number) => boolean;
  readonly release: () => void;
}
