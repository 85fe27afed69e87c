/**
 * A server that shares rooms: what local users do, the operations between servers, and delivery.
 *
 * @module
 */
export { createServer, Server } from "./server.js";
export type { Acting, Joining, Moderating, RoomOfUser, Sending, Upgrading } from "./server.js";
