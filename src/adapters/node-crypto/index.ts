/**
 * Ed25519 and SHA-256 by OpenSSL, in Node: a signer, a verifier for the calling thread, one for all cores, and a hash
 * for `useSha256`. The verdicts are libsodium's, as the core's are.
 *
 * @module
 */
export { nodeSha256 } from "./hash.js";
export { createWorkerPoolVerifier } from "./pool.js";
export type { WorkerPoolOptions, WorkerPoolVerifier } from "./pool.js";
export { createNodeSigner } from "./signer.js";
export type { NodeSigner, NodeSigningKey } from "./signer.js";
export { createNodeVerifier } from "./verifier.js";
export type { NodeVerifier, NodeVerifierOptions } from "./verifier.js";
