/**
 * The clock and the randomness of the platform, on what Node, Deno, Bun, browsers and Workers have in common.
 *
 * @module
 */
export { createSystemClock } from "./clock.js";
export type { SystemClockOptions } from "./clock.js";
export { createSystemRandom } from "./random.js";
