/** History that came in by a join or by backfill, in any order, stands beside what was received live. */
import { describe, expect, it } from "vitest";
import {
  createKeyDirectory,
  createManualClock,
  createMemoryKeys,
  createMemoryNetwork,
  createMemoryStorage,
  createSeededRandom,
} from "../../src/adapters/memory/index.js";
import { createServer } from "../../src/federation/index.js";
import type { Server } from "../../src/federation/index.js";
import type { Room } from "../../src/engine/index.js";
import type { Result } from "../../src/errors.js";
import { testKeyOf } from "../../src/testing/keys.js";
import { shuffle } from "../../src/testing/laws.js";

const alice = "@alice:a.example";
const bob = "@bob:b.example";

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.reason}`);
  return result.value;
}

interface Pair {
  readonly a: Server;
  readonly b: Server;
  readonly roomA: Room;
  readonly roomB: Room;
}

/** A room with twenty events of history, some of them state and some forked, which `b.example` joins late. */
async function joinedLate(version: string): Promise<Pair> {
  const network = createMemoryNetwork();
  const directory = createKeyDirectory();
  const clock = createManualClock(1_700_000_000_000);
  const make = async (server: string): Promise<Server> => {
    const made = createServer({
      server,
      storage: createMemoryStorage(),
      transport: network.transport(server),
      keys: createMemoryKeys(testKeyOf(server), directory),
      clock,
      random: createSeededRandom(server),
    });
    await made.start();
    return made;
  };
  const [a, b] = [await make("a.example"), await make("b.example")];
  const roomA = must(await a.create({ version, creator: alice, preset: "public" }));
  const { roomId } = roomA;
  const type = version === "I.1" ? "m.message" : "m.room.message";
  for (let at = 0; at < 12; at++) {
    const content = { "m.text": [{ body: `${at}` }], body: `${at}`, topic: `${at}` };
    if (at % 3 === 0) must(await a.setState({ roomId, userId: alice, type: "m.room.topic", content }));
    else must(await a.send({ roomId, userId: alice, type, content }));
    clock.advance(10);
  }
  const roomB = must(await b.join({ roomId, userId: bob, via: ["a.example"] }));
  return { a, b, roomA, roomB };
}

async function everything(room: Room): Promise<readonly string[]> {
  const { events } = await room.timeline({ limit: 1000 });
  return events.map(({ eventId }) => eventId);
}

describe.each(["1", "6", "11", "12", "I.1"])("history in room version %s", (version) => {
  it("is a recorded gap behind a join, and whole after backfill", async () => {
    const { b, roomA, roomB } = await joinedLate(version);
    expect(roomB.gaps.length).toBeGreaterThan(0);
    const behind = roomB.gaps.map(({ missing }) => missing);
    for (let page = 0; page < 20 && roomB.gaps.length > 0; page++) must(await b.backfill(roomB.roomId, 4));
    expect(roomB.gaps).toEqual([]);
    expect(behind.length).toBeGreaterThan(0);
    expect(await everything(roomB)).toEqual(await everything(roomA));
    for (const id of await everything(roomA)) {
      const [here, there] = [await roomA.stateAt(id), await roomB.stateAt(id)];
      expect([...(there?.before.ids() ?? ["unknown"])].sort()).toEqual([...(here?.before.ids() ?? [])].sort());
      expect(await roomB.verdict(id)).toMatchObject({ verdict: "accepted", basis: "state-before" });
    }
    expect(roomB.control.forwardExtremities).toEqual(roomA.control.forwardExtremities);
  });

  it.each([0, 1, 2, 3])("may come in any order (%i)", async (salt) => {
    const { roomA, roomB } = await joinedLate(version);
    const known = new Set(await everything(roomB));
    const ids = (await everything(roomA)).filter((id) => !known.has(id));
    const current = [...roomB.current.ids()].sort();
    for (const id of shuffle(ids, salt)) {
      const [row] = await roomA.rows([id]);
      const receipts = await roomB.receive([row?.json], { origin: "a.example", mode: "history" });
      expect(receipts[0]?.verdict.verdict).toBe("accepted");
      // What lies behind is never what the room is now.
      expect([...roomB.current.ids()].sort()).toEqual(current);
    }
    expect(roomB.gaps).toEqual([]);
    for (const id of ids) {
      const [here, there] = [await roomA.stateAt(id), await roomB.stateAt(id)];
      expect([...(there?.after.ids() ?? ["unknown"])].sort()).toEqual([...(here?.after.ids() ?? [])].sort());
    }
    const positions = (await roomB.timeline({ limit: 1000 })).events.map(({ position }) => position ?? 0);
    expect(positions).toEqual([...positions].sort((left, right) => left - right));
    expect(positions.filter((position) => position < 0).length).toBe(ids.length);
  });
});
