/**
 * Which events an event has to cite, whether the rules allow it, and what redactions do.
 *
 * @module
 */
export { checkStateDependent, checkStateIndependent, stateOfAuthEvents } from "./check.js";
export type { EventLookup, KnownEvent } from "./check.js";
export { readLevel, requiredLevel, scalarDefaults, scalarLevel, userLevel } from "./power.js";
export type { Level, ScalarLevel, Unreadable } from "./power.js";
export { checkRedactionEffect, holdRedaction, releaseRedactions } from "./redaction.js";
export type { HeldRedactions, RedactionVerdict } from "./redaction.js";
export { selectAuthEvents } from "./select.js";
export type { Selecting, StateKey } from "./select.js";
export { MAX_THIRD_PARTY_CHECKS } from "./third-party-invite.js";
export { factsUnknown, ruleLabel, signaturesChecked } from "./verdict.js";
export type { AuthFacts, AuthVerdict, FactRequest, StateLookup } from "./verdict.js";
