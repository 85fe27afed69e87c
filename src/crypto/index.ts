/**
 * Base64, SHA-256 and Ed25519 with libsodium's verdicts, in plain JavaScript or by a platform's provider.
 *
 * @module
 */
export { decodeBase64, encodeUnpadded, type Base64Alphabet } from "./base64.js";
export { sha256, useSha256, type Sha256 } from "./hash.js";
export { publicKeyFromSeed, screen, sign, verify } from "./ed25519.js";
export {
  chooseProvider,
  coreProvider,
  edgeVectors,
  rememberingProvider,
  screened,
  selfTest,
  type Ed25519Provider,
  type EdgeVector,
} from "./ed25519-provider.js";
