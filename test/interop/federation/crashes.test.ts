/**
 * A server that is killed in the middle of something that takes several steps: what was begun is carried on after the
 * restart, or nothing of it is left. `KILLS` in the environment says how often.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, pause } from "./processes.js";
import { checkStore, createRoomdag, removeRoomdag, Roomdag, startRoomdag, stopRoomdag } from "./roomdag.js";
import type { RoomdagAddress, RoomdagUser } from "./roomdag.js";
import type { SynapseUser } from "./synapse-client.js";
import { levels, synapse, theirUser } from "./world.js";

const kills = Number(process.env["KILLS"] ?? "5");

describe("a server that is killed", () => {
  let address: RoomdagAddress;
  let host: Roomdag;
  let ada: RoomdagUser;
  let theo: SynapseUser;

  beforeAll(async () => {
    [address, theo] = await Promise.all([createRoomdag(), theirUser("theo")]);
    host = new Roomdag(address);
    ada = host.user("ada");
  });

  afterAll(async () => {
    await stopRoomdag(address);
    removeRoomdag(address);
  });

  /** Whether it was answered before the server was killed, up to `most` milliseconds after it began. */
  async function killedDuring(doing: Promise<unknown>, most: number): Promise<boolean> {
    const answered = doing.then(
      () => true,
      () => false,
    );
    await pause(Math.random() * most);
    await stopRoomdag(address, "SIGKILL");
    expect(checkStore(address)).toMatch(/^Sound: /);
    await startRoomdag(address);
    return answered;
  }

  /** By this server; `undefined` where it has not the room. */
  function ownMembership(roomId: string): Promise<unknown> {
    return host.membership(roomId, ada.userId).catch(() => undefined);
  }

  it("while a user joins has either let go of the room or come in", { timeout: kills * 60_000 }, async () => {
    let answered = 0;
    for (let round = 0; round < kills; round++) {
      const version = round % 2 === 0 ? "10" : "12";
      const roomId = await theo.create({ version, powerLevels: levels(version, theo.userId, { [ada.userId]: 100 }) });
      for (let n = 0; n < 10; n++) await theo.setState(roomId, "org.example.state", String(n), { n });
      if (await killedDuring(ada.join(roomId, [synapse.server], round % 3 === 2), 150)) {
        answered++;
        expect(await ownMembership(roomId)).toBe("join");
      }
      await eventually(async () => {
        const there = await theo.membership(roomId, ada.userId);
        expect([await ownMembership(roomId), round]).toEqual([there, round]);
      });
      await ada.join(roomId, [synapse.server]);
      const said = await ada.send(roomId, "in");
      await eventually(() => theo.event(roomId, said));
      await eventually(async () => expect(await host.stateIds(roomId)).toEqual(await theo.stateIds(roomId)));
    }
    console.log(`killed ${String(kills)} times during a join, ${String(answered)} times after the answer`);
  });

  function replacementOf(roomId: string, patience: number): Promise<string> {
    return eventually(async () => {
      const { replacement } = await host.room(roomId);
      if (typeof replacement !== "string") throw new Error(`${roomId} is not replaced`);
      return replacement;
    }, patience);
  }

  it("while a room is replaced has replaced it by one room", { timeout: kills * 60_000 }, async () => {
    let answered = 0;
    let begun = kills;
    for (let round = 0; round < kills; round++) {
      const [version, next] = round % 2 === 0 ? ["10", "12"] : ["12", "10"];
      const roomId = await ada.create({ version, name: "It moves" });
      await theo.join(roomId, [address.server]);
      // Synapse joins in part, and waits for long with all that it says if it cannot have the rest at once.
      await eventually(async () => expect(await theo.stateIds(roomId)).toEqual(await host.stateIds(roomId)));
      if (await killedDuring(ada.upgrade(roomId, next), 30)) answered++;
      const named = await replacementOf(roomId, 2_000).catch(async () => {
        begun--;
        return ada.upgrade(roomId, next);
      });
      await eventually(async () => {
        const tombstone = await theo.stateContent(roomId, "m.room.tombstone");
        expect([tombstone?.["replacement_room"], round]).toEqual([named, round]);
      });
      expect(await host.stateContent(named, "m.room.create")).toMatchObject({
        room_version: next,
        predecessor: { room_id: roomId },
      });
      expect(await host.stateContent(named, "m.room.name")).toEqual({ name: "It moves" });
      await theo.join(named, [address.server]);
      await eventually(async () => expect(await host.stateIds(named)).toEqual(await theo.stateIds(named)));
    }
    const counts = `${String(kills - begun)} times before it began, ${String(answered)} times after the answer`;
    console.log(`killed ${String(kills)} times during an upgrade, ${counts}`);
  });
});
