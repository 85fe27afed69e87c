/** The promises of the ports over pg, and what is particular to PostgreSQL. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPostgresStorage } from "../../../src/adapters/postgres/index.js";
import type { PostgresStorage } from "../../../src/adapters/postgres/index.js";
import { otherStatements } from "../../../src/adapters/postgres/others.js";
import { roomStatements } from "../../../src/adapters/postgres/room.js";
import { postgresMigrations } from "../../../src/adapters/postgres/schema.js";
import type { KeyStore, ToDeviceStore } from "../../../src/federation/index.js";
import type { Storage } from "../../../src/ports/index.js";
import { keyStoreSuite, storageSuite, toDeviceStoreSuite } from "../../../src/testing/index.js";
import { batch, entry, event, fullBatch, group, record, ROOM } from "../../../src/testing/suites/storage-rows.js";
import { rowsOf } from "../../support/rows.js";
import { openPool } from "../databases.js";
import type { TestPool } from "../databases.js";
import { startPostgres } from "../postgres/server.js";
import type { PostgresServer } from "../postgres/server.js";
import { bundleWriter, countsIn, expectWhole, newRoom, startWriter } from "./writers.js";

let server: PostgresServer;
let pool: TestPool;
let schemas = 0;
const newSchema = (): string => `Rooms of "${schemas++}"`;

interface Opened extends PostgresStorage {
  readonly schema: string;
}

async function open(schema: string = newSchema()): Promise<Opened> {
  return { ...(await openPostgresStorage(pool, { schema })), schema };
}

beforeAll(async () => {
  server = await startPostgres();
  pool = openPool(server.url, { max: 8 });
});

afterAll(async () => {
  await pool.end();
  await server.remove();
});

/** Schemas by the port that a suite holds. */
function host<P extends object>(portOf: (opened: Opened) => P) {
  const schemaOf = new Map<P, string>();
  const made = (opened: Opened): P => {
    schemaOf.set(portOf(opened), opened.schema);
    return portOf(opened);
  };
  return {
    create: async () => made(await open()),
    reopen: async (port: P) => made(await open(schemaOf.get(port))),
  };
}

describe("storage in PostgreSQL", () => {
  for (const check of storageSuite(host<Storage>(({ storage }) => storage))) it(check.name, check.run);
});

describe("the store of a key ring in PostgreSQL", () => {
  for (const check of keyStoreSuite(host<KeyStore>(({ keys }) => keys))) it(check.name, check.run);
});

describe("the store of messages to devices in PostgreSQL", () => {
  for (const check of toDeviceStoreSuite(host<ToDeviceStore>(({ toDevice }) => toDevice))) it(check.name, check.run);
});

/** An empty database, by its address: writers use the schema that there is by default. */
async function newDatabase(): Promise<string> {
  const name = `database${schemas++}`;
  await pool.query(`CREATE DATABASE ${name}`);
  return server.url.replace(/[^/]*$/, name);
}

/** What `body` does with a storage over a pool of its own. */
async function using<T>(url: string, body: (storage: Storage) => Promise<T>): Promise<T> {
  const own = openPool(url);
  try {
    return await body((await openPostgresStorage(own)).storage);
  } finally {
    await own.end();
  }
}

describe("processes on one database of PostgreSQL", () => {
  let program: string;
  beforeAll(async () => {
    program = await bundleWriter("postgres-writer");
  });

  it("write to one room, and every event and every revision of each is there", async () => {
    const url = await newDatabase();
    const roomId = await using(url, newRoom);
    const { revision, events } = await using(url, (storage) => countsIn(storage, roomId));
    const writers = ["a", "b"].map((name) => startWriter(program, ["postgres", url], roomId, name, "100"));
    for (const writer of writers) expect(await writer.ended).toBe(0);
    const acknowledged = writers.flatMap((writer) => writer.acknowledged);
    expect(new Set(acknowledged).size).toBe(200);
    await using(url, async (storage) => {
      await expectWhole(storage, roomId, acknowledged);
      expect(await countsIn(storage, roomId)).toEqual({ revision: revision + 200, events: events + 200 });
    });
  });

  it("may be killed at any moment: what was acknowledged is there, and the room is sound", async () => {
    const url = await newDatabase();
    const roomId = await using(url, newRoom);
    const acknowledged: string[] = [];
    for (let round = 0; round < 6; round++) {
      const writer = startWriter(program, ["postgres", url], roomId, `round ${round}`, "1000000");
      while (writer.acknowledged.length < 3 + round * 7) await pause(1);
      writer.process.kill("SIGKILL");
      expect(await writer.ended).toBe("SIGKILL");
      acknowledged.push(...writer.acknowledged);
      await using(url, (storage) => expectWhole(storage, roomId, acknowledged));
    }
    expect(acknowledged.length).toBeGreaterThan(100);
  });

  it("open a new database at once", async () => {
    const url = await newDatabase();
    const pools = ["a", "b", "c", "d"].map(() => openPool(url));
    await Promise.all(pools.map(async (each) => openPostgresStorage(each)));
    const { rows } = await pools[0]!.query("SELECT version FROM roomdag.schema_version");
    expect(rows).toEqual([{ version: postgresMigrations("x").length }]);
    for (const each of pools) await each.end();
  });

  it("lose nothing when the server is killed, and go on when it is back", async () => {
    const own = await startPostgres();
    const clients = openPool(own.url, { max: 4 });
    try {
      const { storage } = await openPostgresStorage(clients);
      const roomId = await newRoom(storage);
      const before = await rowsOf(storage);
      const { revision } = await countsIn(storage, roomId);
      // Calls are under way when it goes, on connections that the pool gave out and on others.
      const under = Array.from({ length: 20 }, async (_, at) =>
        storage.commit(batch(revision + 5 + at, { roomId, record: record(revision + 6 + at, { roomId }) })),
      );
      const settled = Promise.allSettled(under);
      await own.stop("kill");
      // Refused, as they were on a revision that there was not, or gone with their connections.
      for (const each of await settled) {
        if (each.status === "fulfilled") expect(each.value).toEqual({ committed: false, revision });
      }
      await expect(storage.openRoom(roomId)).rejects.toThrow();
      await expect(storage.commit(fullBatch(undefined, "lost"))).rejects.toThrow();
      await own.start();
      expect(await rowsOf(storage)).toEqual(before);
      expect(await storage.commit(fullBatch(undefined, "a"))).toEqual({ committed: true });
    } finally {
      await clients.end();
      await own.remove();
    }
  });
});

describe("a database of PostgreSQL", () => {
  it("is refused where a later release wrote to it", async () => {
    const { schema } = await open();
    await pool.query(`UPDATE "${schema.replaceAll('"', '""')}".schema_version SET version = version + 1`);
    await expect(open(schema)).rejects.toThrow(/has schema version 2, and this release of roomdag knows those up to 1/);
  });

  it("is refused where a commit would not be durable, or where it keeps text in another encoding", async () => {
    const careless = openPool(`${server.url}?options=-c%20synchronous_commit%3Doff`);
    await expect(openPostgresStorage(careless)).rejects.toThrow(/synchronous_commit is off/);
    await careless.end();
    await pool.query("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'");
    const latin = openPool(server.url.replace(/[^/]*$/, "latin"));
    await expect(openPostgresStorage(latin)).rejects.toThrow(/keeps text in LATIN1/);
    await latin.end();
  });

  it("takes statements that are not prepared", async () => {
    const { storage } = await openPostgresStorage(pool, { schema: newSchema(), prepare: false });
    await storage.commit(fullBatch(undefined, "a"));
    expect((await storage.changesSince(ROOM, 0))?.events).toHaveLength(2);
  });

  it("keeps ids, keys of states and destinations of any text", async () => {
    const names = ["a", "a\0", "a\0b", "\u0001", "\u00010000", "a\u00010000b", "\ud800", "\ufffd", "A", "a "];
    const { storage } = await open();
    const delta = names.map((name) => [`type ${name}`, name, `$${name}`] as const);
    const events = names.map((name) => event(name, { json: {}, redactedBy: name }));
    const outbox = names.map((name) => ({ destination: name, roomId: name, eventId: name }));
    await storage.commit(batch(undefined, { events, groups: [group(1, undefined, { delta })], outbox }));
    const found = await storage.readEvents(
      ROOM,
      names.map((name) => `$${name}`),
    );
    expect(new Map(found.map((each) => [each.eventId, each]))).toEqual(
      new Map(events.map((each) => [each.eventId, each])),
    );
    expect((await storage.readStateGroups(ROOM, [1]))[0]?.delta).toEqual(delta);
    expect(new Set(await storage.outboxDestinations())).toEqual(new Set(names));
    for (const name of names)
      expect(await storage.readOutbox(name, 9)).toMatchObject([{ roomId: name, eventId: name }]);
  });

  it("lets commits of many rooms to the same destinations through, in whichever order they name them", async () => {
    const { storage } = await open();
    const destinations = Array.from({ length: 20 }, (_, at) => `s${at}.example`);
    const commits = Array.from({ length: 40 }, async (_, at) => {
      const roomId = `!${at}:one.example`;
      const order = at % 2 === 0 ? destinations : [...destinations].reverse();
      const outbox = order.map((destination) => entry(destination, "$e", roomId));
      return await storage.commit(batch(undefined, { roomId, record: record(1, { roomId }), outbox }));
    });
    for (const result of await Promise.all(commits)) expect(result).toEqual({ committed: true });
    for (const destination of destinations) expect(await storage.readOutbox(destination, 99)).toHaveLength(40);
  });

  it("forgets messages to devices that are many of one server, and those that are old", async () => {
    const schema = newSchema();
    const { toDevice } = await openPostgresStorage(pool, { schema, taken: { perServer: 3, days: 2 } });
    const known = async (sender: string): Promise<readonly boolean[]> =>
      Promise.all(["m0", "m1", "m2", "m3", "m4"].map(async (id) => toDevice.has(sender, id)));
    await toDevice.add("@b:two.example", "m0");
    for (const at of [0, 1, 2, 3, 4]) await toDevice.add("@a:one.example", `m${at}`);
    expect(await known("@a:one.example")).toEqual([false, false, true, true, true]);
    expect(await known("@b:two.example")).toEqual([true, false, false, false, false]);
    const table = `"${schema.replaceAll('"', '""')}".taken`;
    await pool.query(`UPDATE ${table} SET taken_at = taken_at - interval '3 days' WHERE message_id < 'm3'`);
    await toDevice.add("@c:three.example", "m0");
    expect(await known("@a:one.example")).toEqual([false, false, false, true, true]);
    expect(await known("@b:two.example")).toEqual([false, false, false, false, false]);
  });
});

describe("the statements on PostgreSQL", () => {
  /** What they return is all rows of a table. */
  const whole = ["roomIds", "outside", "intents"];
  const names = Object.keys({ ...roomStatements("x"), ...otherStatements("x") });

  it.each(names)("read no more than they return: %s", async (name) => {
    const schema = "plans";
    await openPostgresStorage(pool, { schema });
    const statements: Readonly<Record<string, string>> = { ...roomStatements(schema), ...otherStatements(schema) };
    // On tables that are empty reading them whole is cheapest, so that is forbidden: then it is done where nothing else
    // can be done.
    const client = await pool.connect();
    await client.query({ text: "SET enable_seqscan = off" });
    const { rows } = await client.query({ text: `EXPLAIN (GENERIC_PLAN) ${statements[name] ?? ""}` });
    client.release(true);
    const plan = rows.map((row) => String((row as Record<string, unknown>)["QUERY PLAN"]));
    expect(plan.length).toBeGreaterThan(0);
    const reads = plan.flatMap((line, at) => (/Seq Scan|Index.* Scan/.test(line) ? [[line, plan[at + 1] ?? ""]] : []));
    const unbounded = reads.filter(([, next = ""]) => !next.includes("Index Cond"));
    // The first destination is the first of the index.
    expect(unbounded).toHaveLength(whole.includes(name) || name === "destinations" ? 1 : 0);
    // What is found by the index is not sifted again, but for names alone and for the one row of the key.
    const sifted = plan.filter((line) => /^ *Filter:/.test(line) && !line.includes("IS NOT NULL"));
    expect(sifted).toHaveLength(["advance", "takeTurn", "recordAnswer"].includes(name) ? 1 : 0);
  });
});

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
