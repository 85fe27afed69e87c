/**
 * A server that shares rooms: what local users do, the operations between servers, and delivery.
 *
 * @module
 */
export { createServer, Server } from "./server.js";
export type { Acting, Joining, Moderating, RoomOfUser, Sending, ServerOptions, Upgrading } from "./server.js";
export type { KeyPublisher } from "./keys/publisher.js";
export { aclProtectedOperations, isServerAllowed, parseServerAcl } from "./acl.js";
export type { ServerAcl, ServerGlob, ServerPatterns } from "./acl.js";
export { formatXMatrix, parseXMatrix, requestSignedBytes, signRequest, verifyRequest } from "./request-auth.js";
export { MAX_X_MATRIX_HEADERS, MAX_X_MATRIX_LENGTH, MAX_X_MATRIX_PARAMETERS } from "./request-auth.js";
export type {
  ParsedXMatrix,
  ReceivedRequest,
  RequestOrigin,
  RequestRefusal,
  RequestVerifier,
  SignedRequest,
  XMatrix,
} from "./request-auth.js";
