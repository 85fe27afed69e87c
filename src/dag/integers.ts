/** Arrays of integers that grow. */
import { ABSENT } from "./state-map.js";

/** A copy with room for `least` and as much again, filled up with {@link ABSENT}. */
export function enlarged(array: Int32Array, least: number): Int32Array {
  const larger = new Int32Array(2 * Math.max(least, array.length)).fill(ABSENT);
  larger.set(array);
  return larger;
}
