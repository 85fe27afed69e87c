/**
 * The state resolution algorithms and the trace of what they did.
 *
 * @module
 */
export { resolveV1 } from "./v1.js";
export { resolveV2, resolveV21 } from "./v2.js";
export type { Resolution, ResolveOptions, Resolver } from "./resolve.js";
export type { KeyOutcome, LostBecause, ResolutionTrace, TracedCheck, TracedLevel } from "./trace.js";
