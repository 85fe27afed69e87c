/** Rooms that are replaced by others of another version, by either side. */
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./processes.js";
import type { RoomdagUser } from "./roomdag.js";
import type { SynapseUser } from "./synapse-client.js";
import { agree, bothSay, ours, ourRoom, ourUser, roomdag, synapse, theirRoom, theirUser } from "./world.js";

describe.each([
  ["6", "10"],
  ["10", "11"],
  ["11", "12"],
  ["12", "12"],
])("a room of version %s that is replaced by one of version %s", (from, to) => {
  let theo: SynapseUser;
  let ada: RoomdagUser;

  beforeAll(async () => {
    theo = await theirUser("theo");
    ada = ourUser("ada");
  });

  it("is left for the new one when Synapse replaces it", async () => {
    const roomId = await theirRoom(from, theo, ada);
    await theo.setState(roomId, "m.room.name", "", { name: "It moves" });
    const replacement = await theo.upgrade(roomId, to);
    await eventually(async () => expect(await ours.room(roomId)).toMatchObject({ replacement }));
    await agree(theo, roomId);
    await ada.join(replacement, [synapse.server]);
    await bothSay(theo, replacement, ada.userId, "join");
    const room = await ours.room(replacement);
    expect(room).toMatchObject({ version: to, name: "It moves" });
    expect(await ours.stateContent(replacement, "m.room.create")).toMatchObject({ predecessor: { room_id: roomId } });
    // Levels come along.
    const topic = await ada.setState(replacement, "m.room.topic", "", { topic: "by a moderator of before" });
    await eventually(() => theo.event(replacement, topic));
    await agree(theo, replacement);
  });

  it("is left for the new one when roomdag replaces it", async () => {
    const roomId = await ourRoom(from, ada, theo, 50, { name: "It moves" });
    const replacement = await ada.upgrade(roomId, to);
    await eventually(async () => {
      expect(await theo.stateContent(roomId, "m.room.tombstone")).toMatchObject({ replacement_room: replacement });
    });
    await agree(theo, roomId);
    await theo.join(replacement, [roomdag.server]);
    await bothSay(theo, replacement, theo.userId, "join");
    expect(await theo.stateContent(replacement, "m.room.create")).toMatchObject({
      room_version: to,
      predecessor: { room_id: roomId },
    });
    expect(await theo.stateContent(replacement, "m.room.name")).toEqual({ name: "It moves" });
    const topic = await theo.setState(replacement, "m.room.topic", "", { topic: "by a moderator of before" });
    await eventually(async () => expect(await ours.stateIds(replacement)).toContain(topic));
    await agree(theo, replacement);
  });
});
