/** Invites, knocks and restricted joins between a real Synapse and roomdag, both ways. */
import { beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/json/value.js";
import { eventually } from "./processes.js";
import type { RoomdagUser } from "./roomdag.js";
import type { SynapseUser } from "./synapse-client.js";
import { agree, bothSay, levels, ours, ourRoom, ourUser, refusedThere, roomdag, seen } from "./world.js";
import { synapse, theirRoom, theirUser, versions, withKnocks } from "./world.js";

let theo: SynapseUser;
let tess: SynapseUser;
let ada: RoomdagUser;
let bob: RoomdagUser;

beforeAll(async () => {
  [theo, tess] = await Promise.all([theirUser("theo"), theirUser("tess")]);
  [ada, bob] = [ourUser("ada"), ourUser("bob")];
});

/** What the server of a user says that they are in a room that it may not be in. */
async function ourMembership(user: RoomdagUser, roomId: string): Promise<unknown> {
  return (await user.rooms()).get(roomId)?.["membership"];
}

describe.each(versions)("in a room of version %s", (version) => {
  it("our user is invited to their room, sees what it is, and joins", async () => {
    const roomId = await theo.create({ version, preset: "private_chat" });
    await theo.setState(roomId, "m.room.name", "", { name: "A room at Synapse" });
    await theo.moderate("invite", roomId, ada.userId);
    await eventually(async () => expect(await ourMembership(ada, roomId)).toBe("invite"));
    const shown = (await ada.rooms()).get(roomId)?.["state"] as readonly JsonObject[];
    expect(shown).toContainEqual(
      expect.objectContaining({ type: "m.room.name", content: { name: "A room at Synapse" } }),
    );
    expect(await theo.membership(roomId, ada.userId)).toBe("invite");
    // The server that invited is asked, though nobody names it.
    await ada.join(roomId);
    await bothSay(theo, roomId, ada.userId, "join");
    await agree(theo, roomId);
  });

  it("their user is invited to our room, sees what it is, and joins", async () => {
    const roomId = await ada.create({ version, preset: "private", name: "A room at roomdag" });
    await ada.moderate("invite", roomId, theo.userId);
    await eventually(async () => {
      const shown = await theo.invite(roomId);
      const content = { name: "A room at roomdag" };
      expect(shown).toContainEqual(expect.objectContaining({ type: "m.room.name", content }));
      expect(shown).toContainEqual(expect.objectContaining({ type: "m.room.member", sender: ada.userId }));
    });
    await theo.join(roomId, [roomdag.server]);
    await bothSay(theo, roomId, theo.userId, "join");
    await agree(theo, roomId);
    const eventId = await theo.send(roomId, "thanks");
    await seen(theo, roomId, eventId);
  });

  it("either side rejects an invite, and who was not asked stays out", async () => {
    const theirs = await theo.create({ version, preset: "private_chat" });
    await theo.moderate("invite", theirs, bob.userId);
    await eventually(async () => expect(await ourMembership(bob, theirs)).toBe("invite"));
    await bob.leave(theirs);
    await eventually(async () => expect(await theo.membership(theirs, bob.userId)).toBe("leave"));
    expect(await ourMembership(bob, theirs)).toBeUndefined();
    await expect(bob.join(theirs, [synapse.server])).rejects.toMatchObject({ status: 403 });

    const own = await ada.create({ version, preset: "private" });
    await ada.moderate("invite", own, tess.userId);
    await eventually(async () => expect((await tess.rooms()).invite).toContain(own));
    await tess.leave(own);
    await eventually(async () => expect(await ours.membership(own, tess.userId)).toBe("leave"));
    expect((await tess.rooms()).invite).not.toContain(own);
    await refusedThere(tess.join(own, [roomdag.server]));
    expect(await ours.membership(own, tess.userId)).toBe("leave");
  });

  it("an invite into a room that both servers are in is taken, and one that is taken back is no way in", async () => {
    const roomId = await theirRoom(version, theo, ada, 50);
    await theo.setState(roomId, "m.room.join_rules", "", { join_rule: "invite" });
    await agree(theo, roomId);
    await ada.moderate("invite", roomId, tess.userId);
    await bothSay(theo, roomId, tess.userId, "invite");
    await eventually(async () => expect((await tess.rooms()).invite).toContain(roomId));
    await theo.moderate("invite", roomId, bob.userId);
    await bothSay(theo, roomId, bob.userId, "invite");
    await ada.moderate("kick", roomId, tess.userId);
    await bothSay(theo, roomId, tess.userId, "leave");
    await refusedThere(tess.join(roomId, [synapse.server]));
    await theo.moderate("kick", roomId, bob.userId);
    await bothSay(theo, roomId, bob.userId, "leave");
    await expect(bob.join(roomId)).rejects.toMatchObject({ status: 403 });
    await agree(theo, roomId);
  });
});

describe.each(withKnocks)("knocking on a room of version %s", (version) => {
  const knocks = [{ type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } }];

  it("our user knocks on their room, is let in, and another takes the knock back", async () => {
    const roomId = await theo.create({ version, preset: "private_chat", initialState: knocks });
    await ada.knock(roomId, [synapse.server]);
    await eventually(async () => expect(await theo.membership(roomId, ada.userId)).toBe("knock"));
    expect(await ourMembership(ada, roomId)).toBe("knock");
    await bob.knock(roomId, [synapse.server]);
    await eventually(async () => expect(await theo.membership(roomId, bob.userId)).toBe("knock"));
    await bob.leave(roomId, [synapse.server]);
    await eventually(async () => expect(await theo.membership(roomId, bob.userId)).toBe("leave"));
    expect(await ourMembership(bob, roomId)).toBeUndefined();
    await theo.moderate("invite", roomId, ada.userId);
    await eventually(async () => expect(await ourMembership(ada, roomId)).toBe("invite"));
    await ada.join(roomId);
    await bothSay(theo, roomId, ada.userId, "join");
    await agree(theo, roomId);
  });

  it("their user knocks on our room, is let in, and another is turned away", async () => {
    const initialState = knocks.map(({ type, content }) => ({ type, content }));
    const roomId = await ada.create({ version, preset: "private", initialState });
    await theo.knock(roomId, [roomdag.server]);
    await eventually(async () => expect(await ours.membership(roomId, theo.userId)).toBe("knock"));
    await tess.knock(roomId, [roomdag.server]);
    await eventually(async () => expect(await ours.membership(roomId, tess.userId)).toBe("knock"));
    await ada.moderate("kick", roomId, tess.userId);
    await eventually(async () => expect(await ours.membership(roomId, tess.userId)).toBe("leave"));
    await refusedThere(tess.join(roomId, [roomdag.server]));
    await ada.moderate("invite", roomId, theo.userId);
    await eventually(async () => expect((await theo.rooms()).invite).toContain(roomId));
    await theo.join(roomId, [roomdag.server]);
    await bothSay(theo, roomId, theo.userId, "join");
    await agree(theo, roomId);
  });
});

describe.each(withKnocks)("a restricted room of version %s", (version) => {
  const restrictedTo = (roomId: string, joinRule = "restricted") => ({
    type: "m.room.join_rules",
    content: { join_rule: joinRule, allow: [{ type: "m.room_membership", room_id: roomId }] },
  });

  it("of theirs lets in our members of the other room, and nobody else", async () => {
    const club = await theirRoom(version, theo, ada);
    const initialState = [{ ...restrictedTo(club), state_key: "" }];
    const roomId = await theo.create({ version, preset: "private_chat", initialState });
    await expect(bob.join(roomId, [synapse.server])).rejects.toMatchObject({ status: 403 });
    await ada.join(roomId, [synapse.server]);
    await bothSay(theo, roomId, ada.userId, "join");
    expect(await theo.stateContent(roomId, "m.room.member", ada.userId)).toMatchObject({
      join_authorised_via_users_server: theo.userId,
    });
    // This server is in the room by now, and its user may invite: it lets in its own without asking.
    await bob.join(club, [synapse.server]);
    await bothSay(theo, club, bob.userId, "join");
    await bob.join(roomId);
    await bothSay(theo, roomId, bob.userId, "join");
    await agree(theo, roomId);
  });

  it("of ours lets in their members of the other room, and nobody else", async () => {
    const club = await ourRoom(version, ada, theo);
    const roomId = await ada.create({ version, preset: "private", initialState: [restrictedTo(club)] });
    await refusedThere(tess.join(roomId, [roomdag.server]));
    await theo.join(roomId, [roomdag.server]);
    await bothSay(theo, roomId, theo.userId, "join");
    expect(await theo.stateContent(roomId, "m.room.member", theo.userId)).toMatchObject({
      join_authorised_via_users_server: ada.userId,
    });
    await tess.join(club, [roomdag.server]);
    await bothSay(theo, club, tess.userId, "join");
    await tess.join(roomId, [roomdag.server]);
    await bothSay(theo, roomId, tess.userId, "join");
    await agree(theo, roomId);
  });

  it("is joined by the help of the server whose users may invite", async () => {
    const club = await theirRoom(version, theo, ada);
    await bob.join(club, [synapse.server]);
    await bothSay(theo, club, bob.userId, "join");
    // Nobody of ours may invite there, so Synapse has to vouch.
    const roomId = await theo.create({
      version,
      preset: "private_chat",
      initialState: [{ ...restrictedTo(club), state_key: "" }],
      powerLevels: { ...levels(version, theo.userId, {}), invite: 50 },
    });
    await ada.join(roomId, [synapse.server]);
    await bothSay(theo, roomId, ada.userId, "join");
    await bob.join(roomId, [synapse.server]);
    await bothSay(theo, roomId, bob.userId, "join");
    expect(await theo.stateContent(roomId, "m.room.member", bob.userId)).toMatchObject({
      join_authorised_via_users_server: theo.userId,
    });
    // And the other way round: nobody of theirs may invite.
    await tess.join(club, [synapse.server]);
    const own = await ada.create({
      version,
      preset: "private",
      initialState: [restrictedTo(club)],
      powerLevels: { ...levels(version, ada.userId, {}), invite: 50 },
    });
    await theo.join(own, [roomdag.server]);
    await bothSay(theo, own, theo.userId, "join");
    await tess.join(own, [roomdag.server]);
    await bothSay(theo, own, tess.userId, "join");
    expect(await theo.stateContent(own, "m.room.member", tess.userId)).toMatchObject({
      join_authorised_via_users_server: ada.userId,
    });
    await agree(theo, own);
  });

  it("may be knocked on as well", async () => {
    const club = await ourRoom(version, ada, theo);
    const roomId = await ada.create({
      version,
      preset: "private",
      initialState: [restrictedTo(club, "knock_restricted")],
    });
    await tess.knock(roomId, [roomdag.server]);
    await eventually(async () => expect(await ours.membership(roomId, tess.userId)).toBe("knock"));
    await theo.join(roomId, [roomdag.server]);
    await bothSay(theo, roomId, theo.userId, "join");
    await agree(theo, roomId);
  });
});
