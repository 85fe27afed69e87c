/**
 * What may befall a server: it is killed at any moment, its database goes and comes back, and its peers are slow,
 * silent or too loud. `KILLS` in the environment says how often it is killed over each store.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres } from "../postgres/server.js";
import type { PostgresServer } from "../postgres/server.js";
import { eventually, pause, pidOf } from "./processes.js";
import { checkStore, createRoomdag, logOf, removeRoomdag, Roomdag, startRoomdag, stopRoomdag } from "./roomdag.js";
import type { RoomdagAddress, RoomdagUser } from "./roomdag.js";
import type { SynapseUser } from "./synapse-client.js";
import { ThirdServer } from "./third.js";
import type { ThirdRoom } from "./third.js";
import { levels, synapse, theirUser } from "./world.js";

const kills = Number(process.env["KILLS"] ?? "5");
/** Bytes that the process may take, whatever its peers do. */
const MEMORY = 600e6;

/** A server under test, with a user and a room of each of two versions that it shares with Synapse. */
interface Victim {
  readonly address: RoomdagAddress;
  readonly host: Roomdag;
  readonly ada: RoomdagUser;
  readonly rooms: readonly string[];
}

async function victim(theo: SynapseUser, database?: string): Promise<Victim> {
  const address = await createRoomdag(database);
  const host = new Roomdag(address);
  const ada = host.user("ada");
  const rooms: string[] = [];
  for (const version of ["10", "12"]) {
    const powerLevels = levels(version, theo.userId, { [ada.userId]: 100 });
    const roomId = await theo.create({ version, powerLevels });
    await ada.join(roomId, [synapse.server]);
    await eventually(async () => expect(await theo.membership(roomId, ada.userId)).toBe("join"));
    rooms.push(roomId);
  }
  return { address, host, ada, rooms };
}

/** By room, an event that both have, and that all after it follow. */
type Ties = ReadonlyMap<string, string>;

/** What both have to have since the last ties. */
async function caughtUp(
  one: Victim,
  theo: SynapseUser,
  acknowledged: ReadonlyMap<string, string>,
  last: Ties = new Map(),
): Promise<Ties> {
  const ties = new Map<string, string>();
  for (const roomId of one.rooms) {
    const tie = await one.ada.send(roomId, "up again");
    await eventually(() => theo.event(roomId, tie), 60_000);
    await eventually(async () => expect(await one.host.stateIds(roomId)).toEqual(await theo.stateIds(roomId)), 60_000);
    ties.set(roomId, tie);
  }
  await eventually(async () => expect(await notWithBoth(one, theo, acknowledged, last)).toEqual([]), 60_000);
  return ties;
}

/** What is not in both timelines, looked for no further back than to these ties. */
async function notWithBoth(
  { host, rooms }: Victim,
  theo: SynapseUser,
  wanted: ReadonlyMap<string, string>,
  since: Ties = new Map(),
): Promise<readonly string[]> {
  const own = new Set<string>();
  const theirs = new Set<string>();
  for (const roomId of rooms) {
    for (const { eventId } of await host.timeline(roomId, since.get(roomId))) own.add(eventId);
    for (const { event_id } of await theo.messages(roomId, 1_000, since.get(roomId))) theirs.add(event_id);
  }
  return [...wanted.keys()].filter((eventId) => !own.has(eventId) || !theirs.has(eventId));
}

/** Writes until it fails, in several rooms at once; what was acknowledged is noted. */
async function load({ ada, rooms }: Victim, acknowledged: Map<string, string>, round: number): Promise<void> {
  const writer = async (roomId: string, at: number): Promise<void> => {
    try {
      for (let n = 0; ; n++) {
        const words = `${String(round)}.${String(at)}.${String(n)}`;
        const eventId = await (n % 5 === 4
          ? ada.setState(roomId, "org.example.round", String(at), { words })
          : ada.send(roomId, words));
        acknowledged.set(eventId, roomId);
      }
    } catch {
      // It is gone.
    }
  };
  await Promise.all([...rooms, ...rooms].map(writer));
}

/** How large files may become that the server writes; what exceeds it fails as on a disk that is full. */
function fileSizes({ address }: Victim, most: string): void {
  const pid = String(pidOf({ pidFile: join(address.folder, "pid") }));
  execFileSync("prlimit", ["--pid", pid, `--fsize=${most}:unlimited`]);
}

describe.each(["sqlite", "postgres"] as const)("over %s", (store) => {
  let postgres: PostgresServer | undefined;
  let theo: SynapseUser;
  let one: Victim;

  beforeAll(async () => {
    theo = await theirUser("theo");
    postgres = store === "postgres" ? await startPostgres() : undefined;
    one = await victim(theo, postgres?.url);
  });

  afterAll(async () => {
    await stopRoomdag(one.address);
    removeRoomdag(one.address);
    await postgres?.remove();
  });

  it(
    `nothing that was acknowledged is lost when it is killed, ${String(kills)} times`,
    { timeout: kills * 60_000 },
    async () => {
      const all = new Map<string, string>();
      let ties: Ties = new Map();
      let own = 0;
      for (let round = 0; round < kills; round++) {
        const acknowledged = new Map<string, string>();
        const theirs = new Map<string, string>();
        const writing = load(one, acknowledged, round);
        const moment = 100 + Math.random() * 1_500;
        const killed = pause(moment).then(() => stopRoomdag(one.address, "SIGKILL"));
        for (const roomId of one.rooms) {
          for (let n = 0; n < 5; n++)
            theirs.set(await theo.send(roomId, `theirs ${String(round)}.${String(n)}`), roomId);
        }
        await Promise.all([writing, killed]);
        expect(checkStore(one.address)).toMatch(/^Sound: 2 rooms/);
        await startRoomdag(one.address);
        for (const eventId of acknowledged.keys()) {
          expect(await one.host.event(eventId), `killed after ${String(moment)} ms`).toMatchObject({
            verdict: "accepted",
          });
        }
        const both = new Map([...acknowledged, ...theirs]);
        ties = await caughtUp(one, theo, both, ties);
        for (const [eventId, roomId] of both) all.set(eventId, roomId);
        own += acknowledged.size;
      }
      expect(own).toBeGreaterThan(kills);
      await stopRoomdag(one.address);
      expect(checkStore(one.address)).toMatch(/^Sound: 2 rooms/);
      await startRoomdag(one.address);
      expect(await notWithBoth(one, theo, all)).toEqual([]);
      console.log(`${store}: killed ${String(kills)} times, ${String(own)} events acknowledged`);
    },
  );

  if (store === "sqlite") {
    it("it says so when the disk is full, and goes on when there is room", async () => {
      const [roomId = ""] = one.rooms;
      const data = join(one.address.folder, "data");
      const log = readdirSync(data).find((name) => name.endsWith("-wal")) ?? "";
      // No file may grow beyond what the database's log has now and a little.
      fileSizes(one, String(statSync(join(data, log)).size + 50_000));
      const acknowledged = new Map<string, string>();
      const failed = await load(one, acknowledged, 0).then(() => one.ada.send(roomId, "no room").catch(String));
      expect(failed).toContain("internal");
      const missed = await theo.send(roomId, "while the disk was full");
      await expect(one.host.health()).resolves.toMatchObject({ server: one.address.server });
      fileSizes(one, "unlimited");
      const sent = await one.ada.send(roomId, "there is room");
      for (const eventId of [sent, missed]) acknowledged.set(eventId, roomId);
      await caughtUp(one, theo, acknowledged);
      await stopRoomdag(one.address);
      expect(checkStore(one.address)).toMatch(/^Sound: 2 rooms/);
      await startRoomdag(one.address);
      expect(await notWithBoth(one, theo, acknowledged)).toEqual([]);
    });
    return;
  }

  it("it says so when the database is gone, and goes on when it is back", async () => {
    const [roomId = ""] = one.rooms;
    await postgres?.stop("kill");
    await expect(one.ada.send(roomId, "into the void")).rejects.toThrow();
    const missed = await theo.send(roomId, "while the database was gone");
    await postgres?.start();
    const sent = await eventually(() => one.ada.send(roomId, "the database is back"), 60_000);
    await caughtUp(
      one,
      theo,
      new Map([
        [sent, roomId],
        [missed, roomId],
      ]),
    );
    await stopRoomdag(one.address);
    expect(checkStore(one.address)).toMatch(/^Sound: 2 rooms/);
    await startRoomdag(one.address);
  });
});

describe("with peers that are no good", () => {
  let theo: SynapseUser;
  let third: ThirdServer;
  let one: Victim;
  let roomId: string;
  /** The third server is not in it. */
  let other: string;
  let room: ThirdRoom;

  beforeAll(async () => {
    [theo, third] = await Promise.all([theirUser("theo"), ThirdServer.start()]);
    one = await victim(theo);
    [roomId = "", other = ""] = one.rooms;
    room = await third.join("10", roomId, third.user("peer"), one.address.server);
    await eventually(async () => expect(await one.host.membership(roomId, third.user("peer"))).toBe("join"));
  });

  afterAll(async () => {
    await Promise.all([stopRoomdag(one.address), third.stop()]);
    removeRoomdag(one.address);
  });

  /** Bytes that the process took at most. */
  function peak(): number {
    const status = readFileSync(`/proc/${String(pidOf({ pidFile: join(one.address.folder, "pid") }))}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  async function isWell(): Promise<void> {
    const eventId = await one.ada.send(other, "all is well");
    // Sooner than a request to a peer that does not answer is given up.
    await eventually(() => theo.event(other, eventId), 30_000);
    expect(peak()).toBeLessThan(MEMORY);
  }

  it("one that is slow gets all of it in the end", async () => {
    third.handler = async (_, url) => {
      if (url.pathname.includes("/send/")) await pause(1_000);
      return undefined;
    };
    const sent: string[] = [];
    for (let n = 0; n < 20; n++) sent.push(await one.ada.send(roomId, `to the slow ${String(n)}`));
    await isWell();
    third.handler = () => undefined;
    await eventually(() => {
      const bodies = JSON.stringify(third.received);
      expect(bodies).toContain("to the slow 19");
    }, 100_000);
  });

  it("one that never answers keeps nobody else waiting", async () => {
    third.handler = (_, url) => (url.pathname.includes("/send/") ? new Promise<never>(() => undefined) : undefined);
    await one.ada.send(roomId, "to one that never answers");
    for (let n = 0; n < 5; n++) await isWell();
    third.handler = () => undefined;
  });

  it("10 MB of nested JSON are refused at once", async () => {
    const depth = 5_000_000;
    const nested = `{"pdus":${"[".repeat(depth)}${"]".repeat(depth)}}`;
    const began = Date.now();
    const { status } = await third.ask(one.address.server, "PUT", "/_matrix/federation/v1/send/deep", {}, nested);
    expect([400, 413]).toContain(status);
    expect(Date.now() - began).toBeLessThan(30_000);
    // As deep as one event may be.
    const shallow = `{"pdus":[{"content":${"[".repeat(30_000)}${"]".repeat(30_000)}}]}`;
    await third.ask(one.address.server, "PUT", "/_matrix/federation/v1/send/shallow", {}, shallow);
    await isWell();
  });

  it("1,000 transactions at once are all answered, and what was turned away comes in later", async () => {
    const events = Array.from({ length: 1_000 }, (_, n) =>
      room.build(third.user("peer"), {
        type: "m.room.message",
        content: { msgtype: "m.text", body: `at once ${String(n)}` },
      }),
    );
    let waiting = events;
    let turns = 0;
    for (; waiting.length > 0 && turns < 20; turns++) {
      const answers = await Promise.all(waiting.map((event) => third.send(one.address.server, [event.json])));
      for (const { status } of answers) expect([200, 429, 503]).toContain(status);
      waiting = waiting.filter((_, at) => answers[at]?.status !== 200);
    }
    expect(waiting).toEqual([]);
    const known = new Set((await one.host.timeline(roomId)).map(({ eventId }) => eventId));
    expect(events.filter(({ eventId }) => !known.has(eventId))).toEqual([]);
    await isWell();
    console.log(`1,000 transactions in ${String(turns)} turns; at most ${String(Math.round(peak() / 1e6))} MB`);
    expect(logOf(one.address, 1e6)).not.toContain('"level":"error"');
  });
});
