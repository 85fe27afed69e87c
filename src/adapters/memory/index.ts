/**
 * The ports in memory: for tests, demonstrations and simulations, and to start from when writing one's own.
 *
 * @module
 */
export { createMemoryStorage } from "./storage.js";
