/** Keys: publication, the key ring, and the notary. */
export { checkServerKeys } from "./check.js";
export type { CheckServerKeysOptions, ServerKeys } from "./check.js";
export { isUsableForRequests } from "./held.js";
export type { KeySource } from "./held.js";
export { defaultKeyLimits } from "./limits.js";
export type { KeyLimits } from "./limits.js";
export type { Notary } from "./notaries.js";
export { keyFromSeed, serverKeys } from "./publication.js";
export type { OldKey, OwnKey, OwnKeys, Publication } from "./publication.js";
export type { KeyPublisher } from "./publisher.js";
export { createKeyRing } from "./ring.js";
export type { KeyRing, KeyRingOptions } from "./ring.js";
export type { KeyStore, StoredKey, StoredKeys } from "./store.js";
