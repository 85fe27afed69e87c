/** The platform's randomness. */
import { UsageError } from "../../errors.js";
import type { Random } from "../../ports/random.js";

/** The platform gives at most so many bytes in one call. */
const MOST_AT_ONCE = 65_536;

/** What is needed of the platform's `crypto`. */
interface Source {
  getRandomValues(bytes: Uint8Array): unknown;
}

/**
 * Unpredictable bytes from `crypto.getRandomValues`.
 * @throws UsageError where the platform has none.
 */
export function createSystemRandom(): Random {
  const { crypto } = globalThis as { readonly crypto?: Source };
  if (typeof crypto?.getRandomValues !== "function") {
    throw new UsageError("this platform has no `crypto.getRandomValues`: bring a Random port of your own");
  }
  const bytes = (length: number): Uint8Array => {
    const made = new Uint8Array(length);
    for (let at = 0; at < length; at += MOST_AT_ONCE) crypto.getRandomValues(made.subarray(at, at + MOST_AT_ONCE));
    return made;
  };
  return Object.freeze({ bytes });
}
