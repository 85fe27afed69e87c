/** Rooms shared with a real Synapse: joins, messages, state, redactions, kicks, bans and unbans, both ways. */
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./processes.js";
import type { RoomdagUser } from "./roomdag.js";
import type { SynapseUser } from "./synapse-client.js";
import { agree, bothSay, ours, ourRoom, ourUser, refusedThere, roomdag, seen } from "./world.js";
import { synapse, theirRoom, theirUser, versions } from "./world.js";

describe.each(versions.flatMap((version) => (["their", "our"] as const).map((whose) => ({ version, whose }))))(
  "in $whose room of version $version",
  ({ version, whose }) => {
    let theo: SynapseUser;
    let tess: SynapseUser;
    let ada: RoomdagUser;
    let bob: RoomdagUser;
    let roomId: string;

    beforeAll(async () => {
      [theo, tess] = await Promise.all([theirUser("theo"), theirUser("tess")]);
      [ada, bob] = [ourUser("ada"), ourUser("bob")];
      roomId = await (whose === "their" ? theirRoom(version, theo, ada) : ourRoom(version, ada, theo));
    });

    it("whoever joined from the other server is in it on both", async () => {
      await bothSay(theo, roomId, ada.userId, "join");
      await bothSay(theo, roomId, theo.userId, "join");
      await agree(theo, roomId);
      expect(await ours.room(roomId)).toMatchObject({ version, isResident: true, partial: false });
      const create = (await theo.state(roomId)).find(({ type }) => type === "m.room.create");
      expect(create).toMatchObject({
        content: { room_version: version },
        sender: (whose === "their" ? theo : ada).userId,
      });
    });

    it("messages arrive both ways", async () => {
      const fromUs = await ada.send(roomId, "from roomdag: häß 😀");
      const fromThem = await theo.send(roomId, "from Synapse: häß 😀");
      await seen(theo, roomId, fromUs);
      await seen(theo, roomId, fromThem);
      expect(await theo.event(roomId, fromUs)).toMatchObject({
        sender: ada.userId,
        content: { body: "from roomdag: häß 😀" },
      });
      const [shown] = (await ours.timeline(roomId)).filter(({ eventId }) => eventId === fromThem);
      expect(shown).toMatchObject({ sender: theo.userId, content: { body: "from Synapse: häß 😀" } });
    });

    it("state set on either side is the state on both", async () => {
      await ada.setState(roomId, "m.room.topic", "", { topic: "by roomdag" });
      await eventually(async () =>
        expect(await theo.stateContent(roomId, "m.room.topic")).toEqual({ topic: "by roomdag" }),
      );
      await theo.setState(roomId, "m.room.topic", "", { topic: "by Synapse" });
      await eventually(async () =>
        expect(await ours.stateContent(roomId, "m.room.topic")).toEqual({ topic: "by Synapse" }),
      );
      await theo.setState(roomId, "org.example.setting", "a key", { nested: [1, { deep: null }] });
      await agree(theo, roomId);
    });

    it("a redaction on either side empties the event on both", async () => {
      const [fromUs, fromThem] = [await ada.send(roomId, "a slip"), await theo.send(roomId, "another slip")];
      await seen(theo, roomId, fromUs);
      await seen(theo, roomId, fromThem);
      // Each one's own, and then each the other's, which takes a level.
      for (const [eventId, redact] of [
        [fromUs, (id: string) => ada.redact(roomId, id)],
        [fromThem, (id: string) => theo.redact(roomId, id)],
        [await seenMessage(ada), (id: string) => theo.redact(roomId, id)],
        [await seenMessage(theo), (id: string) => ada.redact(roomId, id)],
      ] as const) {
        const redaction = await redact(eventId);
        await eventually(async () => {
          const event = await theo.event(roomId, eventId);
          expect(event.content).toEqual({});
          expect(event.unsigned).toMatchObject({ redacted_because: { event_id: redaction } });
        });
        await eventually(async () => {
          expect(await ours.event(eventId)).toMatchObject({ content: {}, redactedBy: redaction });
        });
      }
    });

    async function seenMessage(by: SynapseUser | RoomdagUser): Promise<string> {
      const eventId = await by.send(roomId, "to be redacted by another");
      await seen(theo, roomId, eventId);
      return eventId;
    }

    it("a user of theirs is kicked, banned and unbanned by ours", async () => {
      await tess.join(roomId, [synapse.server]);
      await bothSay(theo, roomId, tess.userId, "join");
      await ada.moderate("kick", roomId, tess.userId);
      await bothSay(theo, roomId, tess.userId, "leave");
      await refusedThere(tess.send(roomId, "still here?"));
      await tess.join(roomId, [synapse.server]);
      await bothSay(theo, roomId, tess.userId, "join");
      await ada.moderate("ban", roomId, tess.userId);
      await bothSay(theo, roomId, tess.userId, "ban");
      await refusedThere(tess.join(roomId, [roomdag.server, synapse.server]));
      await ada.moderate("unban", roomId, tess.userId);
      await bothSay(theo, roomId, tess.userId, "leave");
      await tess.join(roomId, [roomdag.server]);
      await bothSay(theo, roomId, tess.userId, "join");
      await agree(theo, roomId);
    });

    it("a user of ours is kicked, banned and unbanned by theirs", async () => {
      await bob.join(roomId, [synapse.server]);
      await bothSay(theo, roomId, bob.userId, "join");
      await theo.moderate("kick", roomId, bob.userId);
      await bothSay(theo, roomId, bob.userId, "leave");
      await expect(bob.send(roomId, "still here?")).rejects.toMatchObject({ status: 403, code: "auth_rejected" });
      await bob.join(roomId, [synapse.server]);
      await bothSay(theo, roomId, bob.userId, "join");
      await theo.moderate("ban", roomId, bob.userId);
      await bothSay(theo, roomId, bob.userId, "ban");
      await expect(bob.join(roomId, [synapse.server])).rejects.toMatchObject({ status: 403, code: "auth_rejected" });
      await theo.moderate("unban", roomId, bob.userId);
      await bothSay(theo, roomId, bob.userId, "leave");
      await bob.join(roomId, [synapse.server]);
      await bothSay(theo, roomId, bob.userId, "join");
      await agree(theo, roomId);
    });

    it("who has no level to kick is refused on either side", async () => {
      await refusedThere(tess.moderate("kick", roomId, bob.userId));
      await expect(bob.moderate("kick", roomId, tess.userId)).rejects.toMatchObject({ code: "auth_rejected" });
      await bothSay(theo, roomId, bob.userId, "join");
      await bothSay(theo, roomId, tess.userId, "join");
    });

    it("the last user of a server leaves, and comes back", async () => {
      await bob.leave(roomId);
      await bothSay(theo, roomId, bob.userId, "leave");
      await ada.leave(roomId);
      await eventually(async () => expect(await theo.membership(roomId, ada.userId)).toBe("leave"));
      expect(await ours.room(roomId)).toMatchObject({ isResident: false });
      const missed = await theo.setState(roomId, "m.room.topic", "", { topic: "while roomdag was out" });
      await bob.join(roomId, [synapse.server]);
      await bothSay(theo, roomId, bob.userId, "join");
      expect(await ours.stateContent(roomId, "m.room.topic")).toEqual({ topic: "while roomdag was out" });
      expect(await ours.stateIds(roomId)).toContain(missed);
      await agree(theo, roomId);
      const back = await bob.send(roomId, "back again");
      await seen(theo, roomId, back);
    });
  },
);
