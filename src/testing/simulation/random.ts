/** Randomness that a seed decides, on every machine alike. */
import { UsageError } from "../../errors.js";
import type { Random } from "../../ports/random.js";

/** A generator of which a seed decides everything. It is fast and predictable: nothing secret may come from it. */
export interface SeededRandom {
  /** At least 0 and below 1, in steps of 2^-32. */
  readonly next: () => number;
  /** One of 0 … n - 1. */
  integer(n: number): number;
  /** One of least … most, both included. */
  between(least: number, most: number): number;
  /** True with probability `p`. Takes one step whatever `p` is. */
  chance(p: number): boolean;
  pick<T>(list: readonly T[]): T;
  /**
   * A generator of its own that depends on this one's seed and on the label, not on what was drawn so far:
   * what one part of a run draws then leaves every other part as it was, which is what shrinking needs.
   */
  fork(label: string): SeededRandom;
}

const TWO_32 = 2 ** 32;
/** 2^32 over the golden ratio: its multiples are spread as evenly as can be. */
const STRIDE = 0x9e3779b9;

/** A bijection of 32-bit words in which every bit of the input moves about half of the output. */
export function mix(word: number): number {
  let x = word | 0;
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 13), 0x5f356495);
  return (x ^ (x >>> 16)) >>> 0;
}

/** @throws UsageError if the seed is not a safe integer. */
export function seededRandom(seed: number): SeededRandom {
  if (!Number.isSafeInteger(seed)) throw new UsageError(`A seed is a safe integer, not ${seed}.`);
  const low = mix(seed % TWO_32);
  return generator(low, mix(low ^ Math.floor(seed / TWO_32)));
}

function generator(low: number, high: number): SeededRandom {
  let step = 0;
  const word = (): number => {
    step = (step + STRIDE) | 0;
    return mix(mix(step ^ low) + high);
  };
  const next = (): number => word() / TWO_32;
  const integer = (n: number): number => {
    if (!Number.isSafeInteger(n) || n < 1)
      throw new UsageError(`One of ${n} numbers cannot be drawn: pass at least 1.`);
    return Math.floor(next() * n);
  };
  return Object.freeze({
    next,
    integer,
    between: (least: number, most: number): number => least + integer(most - least + 1),
    chance: (p: number): boolean => next() < p,
    pick: <T>(list: readonly T[]): T => {
      if (list.length === 0) throw new UsageError("Nothing can be picked from an empty list.");
      return list[integer(list.length)] as T;
    },
    fork: (label: string): SeededRandom => {
      let [a, b] = [mix(low + 1), mix(high + label.length)];
      for (let at = 0; at < label.length; at++) {
        a = mix(a ^ label.charCodeAt(at));
        b = mix(b + a);
      }
      return generator(a, b);
    },
  });
}

/**
 * The {@link Random} port. Make one for a server and keep it over its restarts: a generation that began
 * anew would give the same room ids again.
 */
export function randomPort(seed: number | SeededRandom): Random {
  const random = typeof seed === "number" ? seededRandom(seed) : seed;
  return Object.freeze({
    bytes: (length: number): Uint8Array => Uint8Array.from({ length }, () => random.integer(256)),
  });
}
