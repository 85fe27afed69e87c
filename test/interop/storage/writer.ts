/**
 * A process that writes to a room through the engine and says of each event when it is committed.
 * Its arguments: `sqlite` or `postgres`, the file or the address, the room, a name of its own, how many events.
 */
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { openPostgresStorage } from "../../../src/adapters/postgres/index.js";
import { openSqliteStorage } from "../../../src/adapters/sqlite/index.js";
import type { Storage } from "../../../src/ports/index.js";
import { HERE, testServer } from "../../support/engine.js";
import { openFile, openPool } from "../databases.js";

const [kind = "", target = "", roomId = "", name = "", count = "0"] = process.argv.slice(2);

async function open(): Promise<readonly [Storage, close: () => Promise<void> | void]> {
  if (kind === "sqlite") {
    const database = openFile(target);
    return [openSqliteStorage(database).storage, () => database.close()];
  }
  const pool = openPool(target, { max: 4 });
  return [(await openPostgresStorage(pool)).storage, () => pool.end()];
}

const [storage, close] = await open();
const room = await testServer({ storage }).rooms.open(roomId);
if (room === undefined) throw new Error(`there is no ${roomId}`);
const sender = `@local:${HERE}`;
for (let at = 0; at < Number(count); at++) {
  // Every other event changes the state, so that state groups are written too.
  const content = { body: `${name} ${at}` };
  const place = at % 2 === 0 ? { type: "m.room.message" } : { type: "x.test", stateKey: name };
  const sent = await room.emit([{ ...place, sender, content }]);
  if (!sent.ok) throw new Error(sent.error.reason);
  for (const { eventId } of sent.value) process.stdout.write(`${eventId}\n`);
  // Nobody else wins a race against a process that does nothing but commit.
  await setTimeout(Math.random() * 4);
}
await close();
