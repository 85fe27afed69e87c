/** Public keys as a platform holds them, by their bytes. */
import { UsageError } from "../../errors.js";

/** How many keys are kept unless the host says otherwise: more than there are servers in most rooms. */
export const USUAL_KEYS = 1000;

/** Bounded: of keys that come once, as an attacker's may, the last ones stay, whatever their number. */
export class KeyCache<K> {
  readonly #capacity: number;
  readonly #keys = new Map<string, K>();

  /** @throws UsageError if `capacity` is not a positive integer. */
  constructor(capacity: number) {
    this.#capacity = checkCount("maxKeys", capacity);
  }

  /** The key of these bytes, made by `make` if need be. The one that was not asked for longest leaves first. */
  get(bytes: Uint8Array, make: (bytes: Uint8Array) => K): K {
    const name = String.fromCharCode(...bytes);
    const known = this.#keys.get(name);
    if (known !== undefined) this.#keys.delete(name);
    const key = known ?? make(bytes);
    this.#keys.set(name, key);
    if (this.#keys.size > this.#capacity) this.#forgetOldest();
    return key;
  }

  #forgetOldest(): void {
    for (const oldest of this.#keys.keys()) {
      this.#keys.delete(oldest);
      return;
    }
  }
}

/** @throws UsageError if `value` is not a positive integer. */
export function checkCount(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new UsageError(`\`${name}\` is a number of things: pass an integer of at least 1, not ${value}`);
}
