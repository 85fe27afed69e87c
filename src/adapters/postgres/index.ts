/**
 * Storage in PostgreSQL, over a pool of pg that the host brings. docs/storage.md says what it keeps and what that
 * costs.
 *
 * @module
 */
export type { ServerKeys, ServerKeyStore, TakenMessages, TakenMessageStore } from "../sql/stores.js";
export type { PgClient, PgPool, PgResult } from "./client.js";
export { openPostgresStorage } from "./open.js";
export type { PostgresOptions, PostgresStorage } from "./open.js";
