/** `roomdag audit`, `replay` and `draw` over the store of a server: SQLite in a data folder. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSqliteStorage } from "../../../src/adapters/sqlite/index.js";
import { runDraw } from "../../../src/cli/draw/main.js";
import { runAudit, runReplay } from "../../../src/cli/inspect/main.js";
import { Output } from "../../../src/cli/output.js";
import { HERE } from "../../support/engine.js";
import { installed, openFile } from "../databases.js";
import { newRoom } from "./writers.js";

const data = mkdtempSync(join(tmpdir(), "roomdag-store-"));
const file = join(data, "roomdag.sqlite");
const rooms: string[] = [];

beforeAll(async () => {
  writeFileSync(join(data, "server-name"), `${HERE}\n`);
  mkdirSync(join(data, "node_modules"));
  symlinkSync(join(installed, "node_modules", "better-sqlite3"), join(data, "node_modules", "better-sqlite3"));
  const database = openFile(file);
  const { storage } = openSqliteStorage(database);
  rooms.push(await newRoom(storage), await newRoom(storage));
  database.close();
});
afterAll(() => rmSync(data, { recursive: true }));

class Memory extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

type Command = (args: readonly string[], output: Output, errors: Output) => Promise<number>;

async function run(command: Command, ...args: readonly string[]) {
  const [output, errors] = [new Memory(), new Memory()];
  const status = await command(["--store", data, ...args], new Output(output), new Output(errors));
  return { status, output: output.text, errors: errors.text };
}

const audit: Command = (args, output, errors) => runAudit(args, false, output, errors);
const replay: Command = (args, output, errors) => runReplay(args, false, output, errors);

describe("over the store of a server", () => {
  it("audit tells of every room, or of one, in words and as JSON", async () => {
    const all = await run(audit);
    expect(all).toMatchObject({ status: 0, errors: "" });
    for (const roomId of rooms) expect(all.output).toContain(`${roomId}: room version 11, `);
    const [, second = ""] = rooms;
    const one = await run(audit, "--room", second, "--json");
    expect(JSON.parse(one.output)).toMatchObject({ store: data, room: second, room_id: second, worst: null });
    await expect(run(audit, "--room", "!none:one.example")).rejects.toThrow(/holds no room !none:one\.example/);
  });

  it("replay and draw take a store too", async () => {
    const [first = ""] = rooms;
    expect(await run(replay, "--room", first, "--as", "10")).toMatchObject({ status: 0, errors: "" });
    expect((await run(runDraw, "--room", first, "--dot")).output).toContain("m.room.create");
    await expect(run(runDraw, "--dot")).rejects.toThrow(/a picture is of one room, and .* holds 2: --room/);
    const page = join(data, "room.html");
    expect(await run(runDraw, "-o", page)).toMatchObject({ status: 0 });
    for (const roomId of rooms) expect(readFileSync(page, "utf8")).toContain(roomId);
  });

  it("audit ends with 3 where the store has another current state than its events make", async () => {
    const database = openFile(file);
    const { storage } = openSqliteStorage(database);
    const [roomId = ""] = rooms;
    const room = await storage.openRoom(roomId);
    if (room === undefined) throw new Error("the room is not stored");
    const { record } = room;
    const [events, groups, waiting, outbox] = [[], [], [], []];
    const none = { put: [], remove: [] };
    const rows = { events, groups, waiting, outbox, pending: none, outside: none, intents: none };
    const wrong = { ...record, revision: record.revision + 1, stateGroup: 1 };
    expect(await storage.commit({ roomId, expected: record.revision, record: wrong, ...rows })).toEqual({
      committed: true,
    });
    database.close();
    const { status, output } = await run(audit);
    expect(status).toBe(3);
    expect(output).toMatch(/error state {2}.*current state: 5 events only in what its history makes, 0 only/);
  });
});
