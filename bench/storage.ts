/**
 * `npm run bench:storage [-- sqlite | postgres] [--json]`: what the storages cost that are kept in databases, with the
 * engine above them and signatures that cost nothing. Sizes are what the database's files grow by.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { openPostgresStorage } from "../src/adapters/postgres/index.js";
import { openSqliteStorage } from "../src/adapters/sqlite/index.js";
import { encodeCanonical } from "../src/json/index.js";
import type { JsonObject } from "../src/json/index.js";
import type { Storage } from "../src/ports/index.js";
import { openFile, openPool } from "../test/interop/databases.js";
import { startPostgres } from "../test/interop/postgres/server.js";
import type { Figure } from "./engine-memory.js";
import { arrived, deliver, joinOf, joinRoom, newServer, populate, userOf } from "./engine-room.js";
import type { Chronicle } from "./engine-room.js";
import { figuresTable } from "./table.js";

const EVENTS = 10_000;
const MEMBERS = 1_000;
const LARGE = 50_000;
const BARE = 500;

/** A new database. */
interface Bed {
  readonly storage: Storage;
  /** Of all that is stored, with what is not written back yet. */
  readonly bytes: () => Promise<number> | number;
  readonly close: () => Promise<void> | void;
}

function sqliteBed(): Bed {
  const folder = mkdtempSync(join(tmpdir(), "roomdag-bench-"));
  const database = openFile(join(folder, "rooms.db"));
  return {
    ...openSqliteStorage(database),
    bytes: () => {
      const [row] = database
        .prepare("SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size")
        .all() as readonly { readonly bytes: number }[];
      return row?.bytes ?? 0;
    },
    close: () => {
      database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function postgresBed(): Promise<Bed> {
  const server = await startPostgres();
  const pool = openPool(server.url);
  const { storage } = await openPostgresStorage(pool);
  return {
    storage,
    bytes: async () => {
      const { rows } = await pool.query("SELECT pg_database_size(current_database()) AS bytes");
      return Number(rows[0]?.["bytes"]);
    },
    close: async () => {
      await pool.end();
      await server.remove();
    },
  };
}

function bytesOf(events: readonly JsonObject[]): number {
  return events.reduce((sum, event) => sum + Buffer.byteLength(encodeCanonical(event)), 0);
}

async function measureEvents(name: string, bed: Bed): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  const add = (what: string, value: number, unit: Figure["unit"]): void => {
    figures.push({ name: `${name}: ${what}`, value, unit });
  };
  const { storage } = bed;
  const bare = performance.now();
  for (let at = 0; at < BARE; at++) await storage.putIntent({ id: "bare", kind: "bench", data: {} });
  add("writing one small row, which is the floor", (performance.now() - bare) / BARE, "ms");
  const chronicle = populate(MEMBERS);
  const room = await joinRoom(newServer(storage), chronicle, joinOf(chronicle));
  const kinds: readonly (readonly [string, (line: Chronicle, at: number) => JsonObject])[] = [
    ["message", (line, at) => line.say(userOf(1 + (at % (MEMBERS - 1))), at).json],
    ["state event", (line, at) => line.rename(userOf(1 + (at % (MEMBERS - 1))), at).json],
  ];
  for (const [kind, make] of kinds) {
    const events = arrived(Array.from({ length: EVENTS }, (_, at) => make(chronicle, at)));
    const before = await bed.bytes();
    for (const [perCall, part] of [
      [1, events.slice(0, EVENTS / 10)],
      [50, events.slice(EVENTS / 10)],
    ] as const) {
      const start = performance.now();
      await deliver(room, part, perCall);
      add(`a ${kind}, ${perCall} in a transaction`, (performance.now() - start) / part.length, "ms");
    }
    const grown = ((await bed.bytes()) - before) / EVENTS;
    add(`a ${kind} on the disk`, grown, "B");
    add(`of that beside its JSON`, grown - bytesOf(events) / EVENTS, "B");
  }
  return figures;
}

/** The join of a large room, and what opening it again reads. */
async function measureJoin(name: string, { storage }: Bed): Promise<readonly Figure[]> {
  const chronicle = populate(LARGE);
  const answer = joinOf(chronicle);
  const events = answer.state.length + answer.authChain.length + 1;
  let commit = 0;
  const timed: Storage = {
    ...storage,
    commit: async (batch) => {
      const start = performance.now();
      const result = await storage.commit(batch);
      commit += performance.now() - start;
      return result;
    },
  };
  const room = await joinRoom(newServer(timed), chronicle, answer);
  const start = performance.now();
  const opened = await newServer(storage).rooms.open(room.roomId);
  if (opened === undefined) throw new Error("the room is not there");
  const ms = performance.now() - start;
  const what = `a room of ${LARGE.toLocaleString("en")} members`;
  return [
    { name: `${name}: the commit of a join of ${what}`, value: commit, unit: "ms" },
    { name: `${name}: an event of that commit`, value: commit / events, unit: "ms" },
    { name: `${name}: opening ${what}`, value: ms, unit: "ms" },
  ];
}

const flags = process.argv.slice(2);
const parts = flags.filter((flag) => !flag.startsWith("--"));
const figures: Figure[] = [];
for (const [name, make] of [
  ["SQLite", sqliteBed],
  ["PostgreSQL", postgresBed],
] as const) {
  if (parts.length > 0 && !parts.includes(name.toLowerCase())) continue;
  for (const part of [measureEvents, measureJoin]) {
    const bed = await make();
    try {
      figures.push(...(await part(name, bed)));
    } finally {
      await bed.close();
    }
  }
}
const output = flags.includes("--json")
  ? JSON.stringify({ node: process.versions.node, figures }, null, 2)
  : figuresTable(figures);
process.stdout.write(`${output}\n`);
