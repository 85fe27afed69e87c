/**
 * Storage in SQLite, over a synchronous driver that the host brings: better-sqlite3, or node:sqlite of Node 22.13 and
 * later. docs/storage.md says what it keeps and what that costs.
 *
 * @module
 */
export type { ServerKeys, ServerKeyStore, TakenMessages, TakenMessageStore } from "../sql/stores.js";
export type { SqliteHandle, SqliteStatement, SqliteValue } from "./handle.js";
export { openSqliteStorage } from "./open.js";
export type { SqliteOptions, SqliteStorage } from "./open.js";
