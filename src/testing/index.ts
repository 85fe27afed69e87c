/**
 * For tests of anything that speaks the Matrix room protocol: generated rooms, forks and events, hostile
 * ones too, for every room version, and laws that judge any implementation under any test runner.
 * Needs the optional peer dependency fast-check.
 *
 * @module
 */
export { TEST_KEY_ID, testKeyLookup, testKeyOf } from "./keys.js";
export { testUsers } from "./interpret.js";
export type { TestEvent, TestRoom } from "./interpret.js";
export type { Action, Attempt, Opening, PowerEdit, RoomScript, Step } from "./script.js";
export { arbDelivery, arbFork, arbRoom, citedBy, eventWithId, resolutionRequest } from "./room.js";
export type { ArbRoomOptions, ResolutionRequest, TestFork } from "./room.js";
export { arbEvent } from "./event.js";
export type { ArbEventOptions } from "./event.js";
export { arbHostileEvent } from "./hostile.js";
export type { HostileEvent } from "./hostile.js";
export { LawViolation } from "./laws.js";
export type { Law, LawOptions } from "./laws.js";
export { resolutionLaws } from "./resolution-laws.js";
export type { Resolve } from "./resolution-laws.js";
export { referenceResolve } from "./reference.js";
export { authLaws } from "./auth-laws.js";
export type { Check } from "./auth-laws.js";
export type { AuthRequest } from "./stage.js";
export { canonicalLaws } from "./canonical-laws.js";
export type { Encode } from "./canonical-laws.js";
