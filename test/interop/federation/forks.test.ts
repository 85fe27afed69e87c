/**
 * Rooms that fork: a third server's moderators say conflicting things at one place of the room, and Synapse and roomdag
 * are told in different orders. Both have to come to one state, event by event.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pdu } from "../../../src/event/index.js";
import { eventually } from "./processes.js";
import type { RoomdagUser } from "./roomdag.js";
import type { SynapseUser } from "./synapse-client.js";
import { ThirdServer } from "./third.js";
import type { Draft, ThirdRoom } from "./third.js";
import { agree, bothSay, levels, ours, ourUser, roomdag, synapse, theirUser, versions } from "./world.js";

describe.each(versions)("in a room of version %s", (version) => {
  let theo: SynapseUser;
  let ada: RoomdagUser;
  let third: ThirdServer;
  let roomId: string;
  let room: ThirdRoom;
  let [boss, mod, rival, guest] = ["", "", "", ""];

  beforeAll(async () => {
    [theo, third] = await Promise.all([theirUser("theo"), ThirdServer.start()]);
    ada = ourUser("ada");
    [boss, mod, rival, guest] = [third.user("boss"), third.user("mod"), third.user("rival"), third.user("guest")];
    const others = { [ada.userId]: 100, [boss]: 100, [mod]: 60, [rival]: 55 };
    roomId = await theo.create({ version, powerLevels: levels(version, theo.userId, others) });
    await ada.join(roomId, [synapse.server]);
    room = await third.join(version, roomId, boss, synapse.server);
    await goOn([mod, joins(mod)], [rival, joins(rival)], [guest, joins(guest)]);
    await bothSay(theo, roomId, guest, "join");
    await agree(theo, roomId);
  });

  afterAll(() => third.stop());

  function joins(user: string): Draft {
    return member(user, "join");
  }

  function member(user: string, membership: string): Draft {
    return { type: "m.room.member", stateKey: user, content: { membership } };
  }

  /** Each server is told in an order of its own, one event at a time. */
  async function tell(synapseFirst: readonly Pdu[], roomdagFirst: readonly Pdu[]): Promise<void> {
    const inTurn = async (server: string, events: readonly Pdu[]): Promise<void> => {
      for (const event of events) expect(await third.send(server, [event.json])).toMatchObject({ status: 200 });
    };
    await Promise.all([inTurn(synapse.server, synapseFirst), inTurn(roomdag.server, roomdagFirst)]);
  }

  /** Both have the events, whatever became of them, and agree about the state before any of them. */
  async function agreeAbout(events: readonly Pdu[]): Promise<void> {
    await agree(theo, roomId);
    for (const { eventId } of events) {
      const where = `${encodeURIComponent(roomId)}?event_id=${encodeURIComponent(eventId)}`;
      const uri = `/_matrix/federation/v1/state_ids/${where}`;
      const [theirs, own] = await eventually(async () => {
        const answers = [await third.ask(synapse.server, "GET", uri), await third.ask(roomdag.server, "GET", uri)];
        for (const { status, body } of answers) expect([status, body]).toEqual([200, expect.anything()]);
        return answers.map(({ body }) => ({
          state: [...(body["pdu_ids"] as readonly string[])].sort(),
          authChain: [...(body["auth_chain_ids"] as readonly string[])].sort(),
        }));
      });
      expect(own?.state).toEqual(theirs?.state);
      // Some leave out of the auth chain what is in the state, and some do not.
      const beside = ({ state = [], authChain = [] }: Partial<NonNullable<typeof own>> = {}): readonly string[] =>
        authChain.filter((id) => !state.includes(id));
      expect(beside(own)).toEqual(beside(theirs));
    }
  }

  /** Ties the branches together, and looks at what both made of them. */
  async function settle(branches: readonly Pdu[], about: readonly Pdu[] = branches): Promise<void> {
    const content = { msgtype: "m.text", body: "both" };
    const merged = room.build(boss, { type: "m.room.message", content, prev: branches });
    room.know(merged);
    room.latest = [merged];
    await tell([merged], [merged]);
    await eventually(() => theo.event(roomId, merged.eventId));
    await agreeAbout([...about, merged]);
    for (const { event_id } of await theo.state(roomId)) {
      const event = third.events.get(event_id);
      if (event !== undefined) room.put(event);
    }
  }

  /** One event after the other, told to both. */
  async function goOn(...drafts: readonly (readonly [by: string, draft: Draft])[]): Promise<void> {
    for (const [by, draft] of drafts) {
      const event = room.build(by, draft);
      room.put(event);
      room.latest = [event];
      await tell([event], [event]);
    }
  }

  it("a moderator who is banned on one branch and bans on the other leaves one state", async () => {
    const one = room.build(mod, member(rival, "ban"));
    const other = room.build(rival, member(guest, "ban"));
    const topic = room.build(rival, { type: "m.room.topic", stateKey: "", content: { topic: "by the banned" } });
    const all = [one, other, topic];
    all.forEach((event) => room.know(event));
    await tell(all, [topic, other, one]);
    await settle(all);
    // The ban by who has more power comes first, and what the banned did meanwhile does not count.
    await bothSay(theo, roomId, rival, "ban");
    await bothSay(theo, roomId, guest, "join");
    expect(await theo.stateContent(roomId, "m.room.topic")).toBeUndefined();
    await goOn([boss, member(rival, "leave")], [rival, joins(rival)]);
    await bothSay(theo, roomId, rival, "join");
  });

  it("a ban and a kick of the same user leave one state", async () => {
    const [ban, kick] = [room.build(mod, member(guest, "ban")), room.build(rival, member(guest, "leave"))];
    [ban, kick].forEach((event) => room.know(event));
    await tell([ban, kick], [kick, ban]);
    await settle([ban, kick]);
    const membership = await theo.membership(roomId, guest);
    expect(["ban", "leave"]).toContain(membership);
    if (membership === "ban") await goOn([boss, member(guest, "leave")]);
    await goOn([guest, joins(guest)]);
    await bothSay(theo, roomId, guest, "join");
  });

  it("who was demoted on one branch and banned somebody on the other leaves one state", async () => {
    const current = await theo.stateContent(roomId, "m.room.power_levels");
    const users = { ...(current?.["users"] as Record<string, number>), [mod]: 0 };
    const demotion = room.build(boss, { type: "m.room.power_levels", stateKey: "", content: { ...current, users } });
    const ban = room.build(mod, member(guest, "ban"));
    const topic = room.build(mod, { type: "m.room.topic", stateKey: "", content: { topic: "by the demoted" } });
    [demotion, ban, topic].forEach((event) => room.know(event));
    await tell([demotion, ban, topic], [topic, ban, demotion]);
    await settle([demotion, ban, topic]);
    // Power comes first: what the demoted did meanwhile does not count.
    await bothSay(theo, roomId, guest, "join");
    const [state] = (await ours.state(roomId)).filter(({ type }) => type === "m.room.power_levels");
    expect(state?.eventId).toBe(demotion.eventId);
  });

  it("two changes of the power levels leave one state, and long branches do too", async () => {
    const current = await theo.stateContent(roomId, "m.room.power_levels");
    const change = (by: string, what: object): Pdu =>
      room.build(by, {
        type: "m.room.power_levels",
        stateKey: "",
        content: { ...current, ...what },
      });
    const branches = [change(boss, { invite: 30 }), change(boss, { kick: 40 })].map((first, at) => {
      room.know(first);
      const branch = [first];
      for (let n = 0; n < 15; n++) {
        const prev = branch.slice(-1);
        const name = { type: "m.room.name", stateKey: "", content: { name: `branch ${String(at)}, ${String(n)}` } };
        const draft = n % 3 === 0 ? name : { type: "m.room.message", content: { body: `branch ${String(at)}` } };
        const next = room.build(boss, { ...draft, prev });
        room.know(next);
        branch.push(next);
      }
      return branch;
    });
    const [one = [], other = []] = branches;
    await tell([...one, ...other], [...other, ...one]);
    const last = [one.at(-1), other.at(-1)].flatMap((event) => event ?? []);
    await settle(last);
  });
});
