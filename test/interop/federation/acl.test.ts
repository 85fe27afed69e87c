/** Server ACLs: each side keeps out whom the other's list bars. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pdu } from "../../../src/event/index.js";
import { eventually } from "./processes.js";
import type { RoomdagUser } from "./roomdag.js";
import type { SynapseUser } from "./synapse-client.js";
import { ThirdServer } from "./third.js";
import { agree, bothSay, ours, ourUser, roomdag, seen, synapse, theirRoom, theirUser, versions } from "./world.js";

describe.each(versions)("in a room of version %s", (version) => {
  let theo: SynapseUser;
  let ada: RoomdagUser;
  let third: ThirdServer;

  beforeAll(async () => {
    [theo, third] = await Promise.all([theirUser("theo"), ThirdServer.start("127.0.0.1")]);
    ada = ourUser("ada");
  });

  afterAll(() => third.stop());

  it.each([
    ["Synapse", { allow: ["*"], deny: ["127.0.0.*"], allow_ip_literals: true }],
    ["roomdag", { allow: ["*"], deny: [], allow_ip_literals: false }],
  ] as const)("a server that %s bars is kept out by both", async (who, acl) => {
    const roomId = await theirRoom(version, theo, ada, 100);
    const user = third.user("outsider");
    const room = await third.join(version, roomId, user, who === "Synapse" ? roomdag.server : synapse.server);
    await bothSay(theo, roomId, user, "join");
    const say = (body: string): Pdu =>
      room.build(user, { type: "m.room.message", content: { msgtype: "m.text", body } });
    const before = say("not barred yet");
    for (const server of [synapse.server, roomdag.server]) await third.send(server, [before.json]);
    await seen(theo, roomId, before.eventId);
    await (who === "Synapse" ? theo : ada).setState(roomId, "m.room.server_acl", "", acl);
    await agree(theo, roomId);
    expect(await ours.stateContent(roomId, "m.room.server_acl")).toEqual(acl);
    const barred = say("barred");
    for (const server of [synapse.server, roomdag.server]) {
      const { status, body } = await third.send(server, [barred.json]);
      const said = expect.objectContaining({ error: expect.any(String) as string }) as object;
      expect([status, body]).toEqual([200, { pdus: { [barred.eventId]: said } }]);
      const asked = `${encodeURIComponent(roomId)}/${encodeURIComponent(third.user("another"))}?ver=${version}`;
      const refused = await third.ask(server, "GET", `/_matrix/federation/v1/make_join/${asked}`);
      expect(refused).toMatchObject({ status: 403, body: { errcode: "M_FORBIDDEN" } });
      const stateIds = `${encodeURIComponent(roomId)}?event_id=${encodeURIComponent(before.eventId)}`;
      const told = await third.ask(server, "GET", `/_matrix/federation/v1/state_ids/${stateIds}`);
      expect(told).toMatchObject({ status: 403, body: { errcode: "M_FORBIDDEN" } });
    }
    await expect(theo.event(roomId, barred.eventId)).rejects.toMatchObject({ status: 404 });
    await expect(ours.event(barred.eventId)).rejects.toMatchObject({ status: 404 });
    // The two go on.
    await seen(theo, roomId, await ada.send(roomId, "without them"));
    await seen(theo, roomId, await theo.send(roomId, "without them"));
  });

  it("what roomdag says after Synapse bars it is not heard there", async () => {
    const roomId = await theirRoom(version, theo, ada, 100);
    await theo.setState(roomId, "m.room.server_acl", "", { allow: ["*"], deny: ["localhost"] });
    await eventually(async () => {
      expect(await ours.stateContent(roomId, "m.room.server_acl")).toMatchObject({ deny: ["localhost"] });
    });
    const unheard = await ada.send(roomId, "does anybody hear me?");
    await expect(eventually(() => theo.event(roomId, unheard), 2_000)).rejects.toMatchObject({ status: 404 });
  });

  it("an ACL that lets both in bars neither", async () => {
    const roomId = await theirRoom(version, theo, ada, 100);
    await ada.setState(roomId, "m.room.server_acl", "", { allow: ["localhost"], deny: ["*.example"] });
    await agree(theo, roomId);
    const heard = await ada.send(roomId, "heard");
    await eventually(() => theo.event(roomId, heard));
  });
});
