/**
 * Ed25519 by WebCrypto, for Workers, Deno, Bun, browsers and Node: a signer and a verifier with libsodium's verdicts.
 *
 * @module
 */
export { createWebCryptoSigner } from "./signer.js";
export type { WebCryptoSigner, WebCryptoSigningKey } from "./signer.js";
export type { SubtleLike } from "./subtle.js";
export { createWebCryptoVerifier } from "./verifier.js";
export type { WebCryptoVerifier, WebCryptoVerifierOptions } from "./verifier.js";
