/** What was said before a server joined: backfill, and the event nearest to a moment, both ways. */
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./processes.js";
import type { RoomdagUser } from "./roomdag.js";
import { path } from "./synapse-client.js";
import type { SynapseUser } from "./synapse-client.js";
import { agree, bothSay, ours, ourUser, roomdag, synapse, theirUser, versions } from "./world.js";

const MESSAGES = 45;

describe.each(versions)("in a room of version %s", (version) => {
  let theo: SynapseUser;
  let ada: RoomdagUser;

  beforeAll(async () => {
    theo = await theirUser("theo");
    ada = ourUser("ada");
  });

  it("our server fetches all that was said in their room before it joined", async () => {
    const roomId = await theo.create({ version });
    const sent: string[] = [];
    for (let n = 0; n < MESSAGES; n++) sent.push(await theo.send(roomId, `theirs ${String(n)}`));
    const slip = sent[20] ?? "";
    await theo.redact(roomId, slip);
    await ada.join(roomId, [synapse.server]);
    await bothSay(theo, roomId, ada.userId, "join");
    // A stretch at a time, until there is nothing before what is here.
    for (let turn = 0; turn < 20; turn++) {
      const { events } = await ours.backfill(roomId, 20);
      if (Array.isArray(events) && events.length === 0) break;
    }
    expect(await ours.room(roomId)).toMatchObject({ gaps: [] });
    const timeline = [...(await ours.timeline(roomId))].reverse();
    const messages = timeline.filter(({ type }) => type === "m.room.message");
    expect(messages.map(({ eventId }) => eventId)).toEqual(sent);
    expect(messages.map(({ content }) => content["body"])).toEqual(
      sent.map((_, n) => (n === 20 ? undefined : `theirs ${String(n)}`)),
    );
    expect(timeline[0]).toMatchObject({ type: "m.room.create" });
    await agree(theo, roomId);
  });

  it("Synapse fetches all that was said in our room before it joined", async () => {
    const roomId = await ada.create({ version });
    const sent: string[] = [];
    for (let n = 0; n < MESSAGES; n++) sent.push(await ada.send(roomId, `ours ${String(n)}`));
    const slip = sent[20] ?? "";
    await ada.redact(roomId, slip);
    await theo.join(roomId, [roomdag.server]);
    await bothSay(theo, roomId, theo.userId, "join");
    await eventually(async () => {
      const timeline = [...(await theo.messages(roomId))].reverse();
      const messages = timeline.filter(({ type }) => type === "m.room.message");
      expect(messages.map(({ event_id }) => event_id)).toEqual(sent);
      expect(messages.map(({ content }) => content["body"])).toEqual(
        sent.map((_, n) => (n === 20 ? undefined : `ours ${String(n)}`)),
      );
      expect(timeline[0]).toMatchObject({ type: "m.room.create" });
    });
    await agree(theo, roomId);
  });

  it("Synapse asks our server for the event nearest to a moment", async () => {
    const roomId = await ada.create({ version });
    const first = await ada.send(roomId, "the first");
    const { original } = await ours.event(first);
    const moment = Number((original as { readonly origin_server_ts?: number }).origin_server_ts);
    for (let n = 0; n < 25; n++) await ada.send(roomId, `later ${String(n)}`);
    await theo.join(roomId, [roomdag.server]);
    await bothSay(theo, roomId, theo.userId, "join");
    const where = `/_matrix/client/v1/rooms/${path(roomId)}/timestamp_to_event`;
    expect(await theo.get(`${where}?ts=${String(moment)}&dir=f`)).toMatchObject({ event_id: first });
  });
});
