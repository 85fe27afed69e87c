/** Where rooms are kept: a driver that the machine has, and the adapter over it. */
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { createMemoryStorage } from "../../adapters/memory/index.js";
import { openPostgresStorage } from "../../adapters/postgres/index.js";
import type { PgPool } from "../../adapters/postgres/index.js";
import { openSqliteStorage } from "../../adapters/sqlite/index.js";
import type { SqliteHandle } from "../../adapters/sqlite/index.js";
import type { KeyStore } from "../../federation/index.js";
import type { Storage } from "../../ports/index.js";
import { Failure } from "../failure.js";
import { messageOf } from "./private-file.js";
import type { Database } from "./settings.js";

export interface OpenDatabase {
  readonly storage: Storage;
  /** Absent: keys of others are learnt anew after a restart. */
  readonly keys?: KeyStore;
  /** What it is, for the log. */
  readonly driver: string;
  /** Whether other processes may write to it at the same time. */
  readonly isShared: boolean;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** A folder in which drivers may be installed, besides the current one and this package. */
  readonly folder: string;
  readonly onFault: (error: unknown) => void;
}

/** @throws Failure that says what to install, or what is wrong with the database. */
export async function openDatabase(database: Database, options: DatabaseOptions): Promise<OpenDatabase> {
  switch (database.kind) {
    case "memory":
      return { storage: createMemoryStorage(), driver: "memory", isShared: false, close: () => Promise.resolve() };
    case "sqlite":
      return openSqlite(database.file, options);
    case "postgres":
      return openPostgres(database.url, options);
  }
}

// ---- SQLite -----------------------------------------------------------------------------------------------

interface Closable extends SqliteHandle {
  close(): unknown;
}

type Opener = (file: string) => Closable;

function openSqlite(file: string, { folder }: DatabaseOptions): OpenDatabase {
  const { name, open } = sqliteDriver(folder);
  try {
    const handle = open(file);
    const { storage, keys } = openSqliteStorage(handle);
    const close = (): Promise<void> => {
      handle.close();
      return Promise.resolve();
    };
    return { storage, keys, driver: name, isShared: false, close };
  } catch (error) {
    throw new Failure(`the database ${file} cannot be opened: ${messageOf(error)}`);
  }
}

/** node:sqlite where Node has it, or else better-sqlite3 where it is installed. */
function sqliteDriver(folder: string): { readonly name: string; readonly open: Opener } {
  const drivers = [
    ["node:sqlite", "DatabaseSync"],
    ["better-sqlite3", undefined],
  ] as const;
  const problems: string[] = [];
  for (const [name, property] of drivers) {
    const module = load(name, folder);
    if (!module.found) {
      problems.push(...module.problems);
      continue;
    }
    const exported = property === undefined ? module.value : memberOf(module.value, property);
    if (!isConstructor(exported)) continue;
    return { name, open: (file) => new exported(file) };
  }
  const broken = problems.length === 0 ? "" : ` (${problems.join("; ")})`;
  throw new Failure(
    `no SQLite is here${broken}: run \`npm install --prefix ${folder} better-sqlite3\`, or use Node 22.13 or later, ` +
      "or --database postgres://… or memory",
  );
}

// ---- PostgreSQL -------------------------------------------------------------------------------------------

interface Pool extends PgPool {
  end(): Promise<unknown>;
  on(event: "error", listener: (error: unknown) => void): unknown;
}

async function openPostgres(url: string, { folder, onFault }: DatabaseOptions): Promise<OpenDatabase> {
  const module = load("pg", folder);
  const exported = module.found ? memberOf(module.value, "Pool") : undefined;
  if (!isPool(exported)) throw new Failure(`pg is not here: run \`npm install --prefix ${folder} pg\``);
  const pool = new exported({ connectionString: url });
  // A connection that is idle may end at any time, and is replaced when one is needed.
  pool.on("error", onFault);
  try {
    const { storage, keys } = await openPostgresStorage(pool, schemaIn(url));
    const close = async (): Promise<void> => {
      await pool.end();
    };
    return { storage, keys, driver: "pg", isShared: true, close };
  } catch (error) {
    await pool.end();
    throw new Failure(`the database ${withoutPassword(url)} cannot be opened: ${messageOf(error)}`);
  }
}

/** `?schema=NAME`: several servers may share a database, each in a schema of its own. */
function schemaIn(url: string): { readonly schema?: string } {
  const schema = URL.canParse(url) ? new URL(url).searchParams.get("schema") : null;
  return schema === null ? {} : { schema };
}

function withoutPassword(url: string): string {
  return url.replace(/^(\w+:\/\/[^:/@]*):[^@]*@/, "$1@");
}

function isPool(value: unknown): value is new (options: { readonly connectionString: string }) => Pool {
  return typeof value === "function";
}

// ---- drivers ----------------------------------------------------------------------------------------------

type Loaded =
  { readonly found: true; readonly value: unknown } | { readonly found: false; readonly problems: string[] };

/** A module of the platform, or one that is installed with the data, in the current folder or with this package. */
function load(name: string, folder: string): Loaded {
  const problems: string[] = [];
  for (const from of [join(folder, "package.json"), join(process.cwd(), "package.json"), import.meta.url]) {
    try {
      return { found: true, value: createRequire(from)(name) };
    } catch (error) {
      // One that is there and does not work is told of; one that is not there is no surprise.
      if (!/Cannot find module|No such built-in|Cannot find package/.test(messageOf(error))) {
        problems.push(`${name}: ${messageOf(error).split("\n")[0] ?? ""}`);
      }
    }
  }
  return { found: false, problems: [...new Set(problems)] };
}

function memberOf(module: unknown, name: string): unknown {
  return typeof module === "object" && module !== null
    ? Object.entries(module).find(([key]) => key === name)?.[1]
    : undefined;
}

/** What a driver exports is known from its documentation, and nothing here could check more of it. */
function isConstructor(value: unknown): value is new (file: string) => Closable {
  return typeof value === "function";
}
