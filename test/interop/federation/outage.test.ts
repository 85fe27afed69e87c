/**
 * Outages: each server is away while the other goes on, so that both write without knowing of each other. Afterwards
 * they have the same events and the same state, in a room of each version.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./processes.js";
import { logOf, startRoomdag, stopRoomdag } from "./roomdag.js";
import type { RoomdagUser } from "./roomdag.js";
import { startSynapse, stopSynapse } from "./synapse.js";
import type { SynapseUser } from "./synapse-client.js";
import { ThirdServer } from "./third.js";
import { agree, bothSay, levels, ours, ourUser, roomdag, seen, synapse, theirUser, versions } from "./world.js";

interface Place {
  readonly version: string;
  readonly roomId: string;
  /** What both show. */
  readonly said: string[];
  /** By who was put out on the other side meanwhile: the other side has it, and does not show it. */
  readonly late: string[];
}

describe("after an outage", () => {
  let theo: SynapseUser;
  let tess: SynapseUser;
  let ada: RoomdagUser;
  let bob: RoomdagUser;
  let third: ThirdServer;
  const places: Place[] = [];

  beforeAll(async () => {
    [theo, tess, third] = await Promise.all([theirUser("theo"), theirUser("tess"), ThirdServer.start()]);
    [ada, bob] = [ourUser("ada"), ourUser("bob")];
    for (const version of versions) {
      const powerLevels = levels(version, theo.userId, { [ada.userId]: 100, [tess.userId]: 50, [bob.userId]: 50 });
      const roomId = await theo.create({ version, powerLevels });
      await ada.join(roomId, [synapse.server]);
      await bob.join(roomId);
      await tess.join(roomId);
      await bothSay(theo, roomId, tess.userId, "join");
      await bothSay(theo, roomId, bob.userId, "join");
      await agree(theo, roomId);
      places.push({ version, roomId, said: [], late: [] });
    }
  });

  afterAll(() => third.stop());

  async function theyWrite({ roomId, said, late }: Place, words: string): Promise<void> {
    for (let n = 0; n < 12; n++) said.push(await theo.send(roomId, `${words} ${String(n)}`));
    said.push(await theo.setState(roomId, "m.room.topic", "", { topic: words }));
    said.push(await theo.setState(roomId, "m.room.name", "", { name: words }));
    await theo.moderate("ban", roomId, bob.userId);
    late.push(await tess.send(roomId, `${words} by another`));
  }

  async function weWrite({ roomId, said, late }: Place, words: string): Promise<void> {
    for (let n = 0; n < 12; n++) said.push(await ada.send(roomId, `${words} ${String(n)}`));
    said.push(await ada.setState(roomId, "m.room.topic", "", { topic: words }));
    late.push(await bob.send(roomId, `${words} by another`));
    await ada.moderate("kick", roomId, tess.userId);
  }

  /** All that was said is on both, with one state; and both tell a third server the same of every event. */
  async function healed(place: Place): Promise<void> {
    const { roomId, said, late, version } = place;
    // What is said now ties both branches together.
    const ties = [await theo.send(roomId, "here again"), await ada.send(roomId, "here again as well")];
    for (const eventId of ties) await seen(theo, roomId, eventId);
    await agree(theo, roomId, 60_000);
    await eventually(async () => {
      const own = new Set((await ours.timeline(roomId)).map(({ eventId }) => eventId));
      const theirs = new Set((await theo.messages(roomId)).map(({ event_id }) => event_id));
      expect([...said, ...ties].filter((eventId) => !own.has(eventId) || !theirs.has(eventId))).toEqual([]);
      expect(late.filter((eventId) => own.has(eventId) === theirs.has(eventId))).toEqual([]);
    });
    const observer = third.user(`observer-${version}`);
    const room = await third.join(version, roomId, observer, synapse.server);
    await bothSay(theo, roomId, observer, "join");
    for (const eventId of [...said, ...late, ...ties, ...room.latest.map((event) => event.eventId)]) {
      const where = `${encodeURIComponent(roomId)}?event_id=${encodeURIComponent(eventId)}`;
      const uri = `/_matrix/federation/v1/state_ids/${where}`;
      const [theirs, own] = await Promise.all([synapse.server, roomdag.server].map((to) => third.ask(to, "GET", uri)));
      expect([theirs?.status, own?.status]).toEqual([200, 200]);
      const ids = (answer: typeof own): readonly string[] => [...(answer?.body["pdu_ids"] as readonly string[])].sort();
      expect(ids(own), `the state before ${eventId}`).toEqual(ids(theirs));
    }
  }

  it("of both sides in turn, each of which wrote meanwhile, they have one state again", async () => {
    await stopRoomdag(roomdag);
    for (const place of places) await theyWrite(place, "while roomdag was away");
    await stopSynapse(synapse);
    await startRoomdag(roomdag);
    for (const place of places) await weWrite(place, "while Synapse was away");
    await startSynapse(synapse);
    for (const place of places) await healed(place);
  });

  it("of Synapse alone, it has all that roomdag said", async () => {
    for (const { roomId } of places) {
      if ((await theo.membership(roomId, bob.userId)) === "ban") await theo.moderate("unban", roomId, bob.userId);
      await bothSay(theo, roomId, bob.userId, "leave");
      await bob.join(roomId);
      await bothSay(theo, roomId, bob.userId, "join");
    }
    await stopSynapse(synapse, "SIGKILL");
    // More than one transaction holds, and more than Synapse asks for at once.
    for (const { roomId, said } of places) {
      for (let n = 0; n < 60; n++) said.push(await ada.send(roomId, `to nobody ${String(n)}`));
      said.push(await bob.setState(roomId, "m.room.topic", "", { topic: "to nobody" }));
    }
    await startSynapse(synapse);
    for (const place of places) await healed(place);
  });

  it("of roomdag alone, it has all that Synapse said", async () => {
    await stopRoomdag(roomdag, "SIGKILL");
    for (const { roomId, said } of places) {
      for (let n = 0; n < 60; n++) said.push(await theo.send(roomId, `to nobody ${String(n)}`));
      said.push(await theo.setState(roomId, "m.room.topic", "", { topic: "to nobody here" }));
    }
    await startRoomdag(roomdag);
    for (const place of places) await healed(place);
    expect(logOf(roomdag)).not.toContain('"level":"error"');
  });
});
