/**
 * The ports in memory: for tests, demonstrations and simulations, and to start from when writing one's own.
 *
 * @module
 */
export { cancelFrom } from "./cancel.js";
export type { AbortSignalLike } from "./cancel.js";
export { createManualClock } from "./clock.js";
export type { ManualClock } from "./clock.js";
export { createListDirectory } from "./directory.js";
export type { AliasEntry, DirectoryLists, OpenIdEntry, ProfileEntry, PublishedRoom } from "./directory.js";
export { createListIdentity } from "./identity.js";
export type { IdentityEntry } from "./identity.js";
export { createKeyDirectory, createMemoryKeys } from "./keys.js";
export type { KeyDirectory } from "./keys.js";
export { createRecordingObserver } from "./observer.js";
export type { RecordedFault, RecordedReceipt, RecordingObserver } from "./observer.js";
export { createListPolicy } from "./policy.js";
export type { BlockLists } from "./policy.js";
export { createSeededRandom } from "./random.js";
export { createMemoryStorage } from "./storage.js";
export { createMemoryNetwork } from "./transport.js";
export type { MemoryNetwork } from "./transport.js";
