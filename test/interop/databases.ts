/** What `test/interop/install.sh` installed: drivers by the shapes that the adapters want of them, and a folder. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import type { PgPool } from "../../src/adapters/postgres/index.js";
import type { SqliteHandle } from "../../src/adapters/sqlite/index.js";

/** Tests, and the programs that they start, run in the repository's root. */
export const installed = `${process.cwd()}/.cache/databases/`;
if (!existsSync(`${installed}stamp`)) throw new Error("run test/interop/install.sh first");
const require = createRequire(`${installed}package.json`);

export interface SqliteDatabase extends SqliteHandle {
  close(): void;
}

/** Opens a file with better-sqlite3. */
export function openFile(file: string): SqliteDatabase {
  const Database = require("better-sqlite3") as new (file: string) => SqliteDatabase;
  return new Database(file);
}

export interface TestPool extends PgPool {
  on(event: "error", listener: (error: unknown) => void): unknown;
  query(text: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
  end(): Promise<void>;
}

/** A pool of pg. What happens to connections that nobody uses is nobody's concern here. */
export function openPool(url: string, options: { readonly max?: number } = {}): TestPool {
  const { Pool } = require("pg") as { Pool: new (config: object) => TestPool };
  const pool = new Pool({ connectionString: url, ...options });
  pool.on("error", () => undefined);
  return pool;
}
