/** The promises of the ports over better-sqlite3, and what is particular to SQLite. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSqliteStorage } from "../../../src/adapters/sqlite/index.js";
import type { SqliteStorage } from "../../../src/adapters/sqlite/index.js";
import { otherStatements } from "../../../src/adapters/sqlite/others.js";
import { roomStatements } from "../../../src/adapters/sqlite/room.js";
import { migrate, sqliteMigrations } from "../../../src/adapters/sqlite/schema.js";
import type { KeyStore, ToDeviceStore } from "../../../src/federation/index.js";
import type { Storage } from "../../../src/ports/index.js";
import { keyStoreSuite, storageSuite, toDeviceStoreSuite } from "../../../src/testing/index.js";
import { batch, event, fullBatch, group, record, ROOM } from "../../../src/testing/suites/storage-rows.js";
import { rowsOf } from "../../support/rows.js";
import { openFile } from "../databases.js";
import type { SqliteDatabase } from "../databases.js";
import { bundleWriter, countsIn, expectWhole, newRoom, startWriter } from "./writers.js";

const folder = mkdtempSync(join(tmpdir(), "roomdag-sqlite-"));
let files = 0;
const newFile = (): string => join(folder, `${files++}.db`);

interface Opened extends SqliteStorage {
  readonly file: string;
  readonly database: SqliteDatabase;
}

function open(file: string = newFile()): Opened {
  const database = openFile(file);
  return { ...openSqliteStorage(database), file, database };
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Handles by the port that a suite holds. */
function host<P extends object>(portOf: (opened: Opened) => P) {
  const handles = new Map<P, Opened>();
  const made = (opened: Opened): P => {
    handles.set(portOf(opened), opened);
    return portOf(opened);
  };
  return {
    create: () => made(open()),
    reopen: (port: P) => made(open(handles.get(port)!.file)),
    close: (port: P) => handles.get(port)?.database.close(),
  };
}

describe("storage in SQLite", () => {
  for (const check of storageSuite(host<Storage>(({ storage }) => storage))) it(check.name, check.run);
});

describe("the store of a key ring in SQLite", () => {
  for (const check of keyStoreSuite(host<KeyStore>(({ keys }) => keys))) it(check.name, check.run);
});

describe("the store of messages to devices in SQLite", () => {
  for (const check of toDeviceStoreSuite(host<ToDeviceStore>(({ toDevice }) => toDevice))) it(check.name, check.run);
});

describe("processes on one file", () => {
  let program: string;
  beforeAll(async () => {
    program = await bundleWriter("sqlite-writer");
  });

  it("write to one room, and every event and every revision of each is there", async () => {
    const { file, storage } = open();
    const roomId = await newRoom(storage);
    const before = await countsIn(storage, roomId);
    const writers = ["a", "b"].map((name) => startWriter(program, ["sqlite", file], roomId, name, "100"));
    for (const writer of writers) expect(await writer.ended).toBe(0);
    const acknowledged = writers.flatMap((writer) => writer.acknowledged);
    expect(new Set(acknowledged).size).toBe(200);
    await expectWhole(storage, roomId, acknowledged);
    const { revision, events } = before;
    expect(await countsIn(storage, roomId)).toEqual({ revision: revision + 200, events: events + 200 });
  });

  it("may be killed at any moment: what was acknowledged is there, and the room is sound", async () => {
    const { file, storage } = open();
    const roomId = await newRoom(storage);
    const acknowledged: string[] = [];
    for (let round = 0; round < 6; round++) {
      const writer = startWriter(program, ["sqlite", file], roomId, `round ${round}`, "1000000");
      while (writer.acknowledged.length < 3 + round * 7) await pause(1);
      writer.process.kill("SIGKILL");
      expect(await writer.ended).toBe("SIGKILL");
      acknowledged.push(...writer.acknowledged);
      const again = open(file);
      await expectWhole(again.storage, roomId, acknowledged);
      again.database.close();
    }
    expect(acknowledged.length).toBeGreaterThan(100);
  });

  it("open a new file at once", async () => {
    const file = newFile();
    const nothing = ["a", "b", "c", "d"].map((name) => startWriter(program, ["sqlite", file], "!none:x", name, "0"));
    // There is no room, which each finds out once it has opened the file.
    for (const writer of nothing) expect(await writer.ended).toBe(1);
    expect(open(file).database.prepare("SELECT version FROM schema_version").all()).toEqual([
      { version: sqliteMigrations.length },
    ]);
  });
});

describe("a database of SQLite", () => {
  it("is written ahead, to the disk at every commit, and waits for other writers", () => {
    const { database } = open();
    const setting = (name: string): unknown => Object.values(database.prepare(`PRAGMA ${name}`).get() as object)[0];
    expect(["journal_mode", "synchronous", "busy_timeout"].map(setting)).toEqual(["wal", 2, 5000]);
  });

  it("is brought to later versions step by step, and no step is done in part or twice", () => {
    const database = openFile(newFile());
    const [first = []] = sqliteMigrations;
    const version = (): unknown => database.prepare("SELECT version FROM schema_version").get();
    migrate(database, [first]);
    database.exec("INSERT INTO rooms (room_id, revision, row) VALUES ('!kept', 1, '{}')");
    const second = ["ALTER TABLE rooms ADD COLUMN added INTEGER DEFAULT 7", "CREATE TABLE another (a)"];
    expect(() => migrate(database, [first, [...second, "CREATE TABLE another (a)"]])).toThrow(/already exists/);
    expect(version()).toEqual({ version: 1 });
    migrate(database, [first, second]);
    migrate(database, [first, second]);
    expect(version()).toEqual({ version: 2 });
    expect(database.prepare("SELECT room_id, added FROM rooms").all()).toEqual([{ room_id: "!kept", added: 7 }]);
    expect(() => openSqliteStorage(database)).toThrow(/schema version 2/);
  });

  it("is refused where a later release wrote to it", () => {
    const { file, database } = open();
    database.exec("UPDATE schema_version SET version = version + 1");
    database.close();
    expect(() => open(file)).toThrow(/has schema version 2, and this release of roomdag knows those up to 1/);
  });

  it("is refused where it keeps text in another encoding", () => {
    const database = openFile(newFile());
    database.exec("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a)");
    expect(() => openSqliteStorage(database)).toThrow(/keeps text in UTF-16le/);
  });

  it("may live in memory", async () => {
    const { storage } = openSqliteStorage(openFile(":memory:"));
    await storage.commit(fullBatch(undefined, "a"));
    expect(await storage.roomIds()).toEqual([ROOM]);
  });

  it("keeps ids, keys of states and destinations of any text", async () => {
    const names = ["a", "a\0", "a\0b", "\u0001", "\u00010000", "a\u00010000b", "\ud800", "\ufffd", "A", "a "];
    const { storage } = open();
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

  it("has nothing of a commit for which the disk is too small, and goes on once there is room", async () => {
    const { storage, database, file } = open();
    await storage.commit(fullBatch(undefined, "a"));
    const before = await rowsOf(storage);
    const [{ page_count: pages }] = database.prepare("PRAGMA page_count").all() as [{ page_count: number }];
    database.exec(`PRAGMA max_page_count = ${pages + 20}`);
    const large = batch(1, {
      record: record(2),
      events: Array.from({ length: 2_000 }, (_, at) => event(`large ${at}`, { position: at + 10 })),
      outbox: [{ destination: "lost.example", roomId: ROOM }],
    });
    expect(() => storage.commit(large)).toThrow(/full/);
    expect(await rowsOf(storage)).toEqual(before);
    await storage.putIntent({ id: "small", kind: "join", data: {} });
    database.exec("PRAGMA max_page_count = 4294967294");
    expect(await storage.commit(large)).toEqual({ committed: true });
    expect((await open(file).storage.changesSince(ROOM, 1))?.events).toHaveLength(2_000);
  });

  it("forgets messages to devices that are many of one server, and those that are old", async () => {
    const { database } = open();
    const { toDevice } = openSqliteStorage(database, { taken: { perServer: 3, days: 2 } });
    const known = async (sender: string): Promise<readonly boolean[]> =>
      Promise.all(["m0", "m1", "m2", "m3", "m4"].map(async (id) => toDevice.has(sender, id)));
    await toDevice.add("@b:two.example", "m0");
    for (const at of [0, 1, 2, 3, 4]) await toDevice.add("@a:one.example", `m${at}`);
    expect(await known("@a:one.example")).toEqual([false, false, true, true, true]);
    expect(await known("@b:two.example")).toEqual([true, false, false, false, false]);
    database.exec("UPDATE taken SET taken_at = taken_at - 3 * 86400 WHERE message_id < 'm3'");
    await toDevice.add("@c:three.example", "m0");
    expect(await known("@a:one.example")).toEqual([false, false, false, true, true]);
    expect(await known("@b:two.example")).toEqual([false, false, false, false, false]);
  });

  it("takes at most 200 bytes for a state that differs from another in one key", async () => {
    const { storage, database } = open();
    await storage.commit(batch(undefined, { groups: [group(1, undefined, { delta: [] })] }));
    const id = (at: number): string => `$${String(at).padStart(43, "x")}`;
    const groups = Array.from({ length: 10_000 }, (_, at) =>
      group(at + 2, at + 1, { delta: [["m.room.member", `@user${at % 500}:one.example`, id(at % 1000)]] }),
    );
    for (let at = 0; at < groups.length; at += 100) {
      await storage.commit(batch(1 + at / 100, { groups: groups.slice(at, at + 100) }));
    }
    const [size] = database.prepare("SELECT sum(pgsize) AS bytes FROM dbstat WHERE name = 'state_groups'").all() as [
      { bytes: number },
    ];
    expect(size.bytes / groups.length).toBeLessThan(60);
    // With the names of 500 keys and of 1,000 events that are nowhere else.
    const [all] = database.prepare("SELECT sum(pgsize) AS bytes FROM dbstat").all() as [{ bytes: number }];
    expect(all.bytes / groups.length).toBeLessThan(200);
  });
});

describe("the statements on SQLite", () => {
  const { database } = open();
  const statements = Object.entries({ ...roomStatements, ...otherStatements });
  /** What they return is all rows of a table. */
  const whole = ["roomIds", "outside", "intents"];

  it.each(statements)("read no more than they return: %s", (name, text) => {
    const values = Array.from(text.matchAll(/\?/g), () => null);
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...values) as readonly { detail: string }[];
    const steps = plan.map(({ detail }) => detail);
    // The list that was given, and what was found so far.
    const given = /^SCAN (?:listed|json_each|asked|found)\b/;
    const read = steps.filter((step) => /^(?:SCAN|USE TEMP)/.test(step) && !given.test(step));
    expect(read).toHaveLength(whole.includes(name) ? 1 : 0);
    const byRoomAlone = steps.filter((step) => step.endsWith("(room=?)"));
    expect(byRoomAlone).toHaveLength(name === "pending" || name === "waiting" ? 1 : 0);
  });
});

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
