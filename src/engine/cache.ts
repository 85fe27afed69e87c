/** A bounded cache that forgets what was not asked for lately. */

/**
 * Two generations: what was used since the last turn survives the next. Holds between `capacity` and twice as
 * many entries; each call costs a lookup or two.
 */
export class Cache<K, V> {
  readonly #capacity: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: K, value: V): void {
    if (this.#young.size >= this.#capacity && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  /** Sets all of them; of more than it holds, the last. */
  setAll(entries: ReadonlyMap<K, V>): void {
    let others = entries.size - 2 * this.#capacity;
    // Those that are left out must not stay here as they were.
    if (others > 0) this.clear();
    for (const [key, value] of entries) if (others-- <= 0) this.set(key, value);
  }

  delete(key: K): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
