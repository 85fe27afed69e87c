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
