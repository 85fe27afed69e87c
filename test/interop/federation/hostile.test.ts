/**
 * What a peer should not send: a third server, made by hand, tells Synapse and roomdag the same, and both have to make
 * the same of it.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Pdu } from "../../../src/event/index.js";
import { signEvent } from "../../../src/event/index.js";
import { encodeCanonical } from "../../../src/json/canonical.js";
import { parseLax } from "../../../src/json/parse.js";
import type { JsonObject, JsonValue } from "../../../src/json/value.js";
import { eventually } from "./processes.js";
import type { RoomdagUser } from "./roomdag.js";
import type { SynapseUser } from "./synapse-client.js";
import { pduOf, ThirdServer } from "./third.js";
import type { Answer, ThirdRoom } from "./third.js";
import { agree, bothSay, levels, ours, ourUser, roomdag, seen, synapse, theirUser, versions } from "./world.js";

describe.each(versions)("in a room of version %s", (version) => {
  let theo: SynapseUser;
  let ada: RoomdagUser;
  let third: ThirdServer;
  let roomId: string;
  let room: ThirdRoom;
  let mallory: string;

  beforeAll(async () => {
    [theo, third] = await Promise.all([theirUser("theo"), ThirdServer.start()]);
    ada = ourUser("ada");
    mallory = third.user("mallory");
    roomId = await theo.create({ version, powerLevels: levels(version, theo.userId, { [ada.userId]: 50 }) });
    await ada.join(roomId, [synapse.server]);
    room = await third.join(version, roomId, mallory, synapse.server);
    await bothSay(theo, roomId, mallory, "join");
  });

  afterAll(() => third.stop());

  // Whatever was sent before: what follows is of a room that is as it should be.
  beforeEach(async () => {
    const good = await say("good");
    await both([good.json]);
    await seen(theo, roomId, good.eventId);
    room.latest = [good];
    await agree(theo, roomId);
  });

  async function say(body: string): Promise<Pdu> {
    const event = room.build(mallory, { type: "m.room.message", content: { msgtype: "m.text", body } });
    room.know(event);
    return Promise.resolve(event);
  }

  /** The same transaction to both. */
  function both(pdus: readonly JsonValue[]): Promise<readonly [Answer, Answer]> {
    return Promise.all([third.send(synapse.server, pdus), third.send(roomdag.server, pdus)]);
  }

  /** Sends it beside a good event, which has to arrive all the same. */
  async function sendBeside(bad: JsonValue): Promise<void> {
    const good = await say("beside it");
    const [theirs, own] = await both([bad, good.json]);
    expect([theirs.status, own.status]).toEqual([200, 200]);
    await seen(theo, roomId, good.eventId);
    room.latest = [good];
  }

  async function nobodyHas(eventId: string): Promise<void> {
    await expect(theo.event(roomId, eventId)).rejects.toMatchObject({ status: 404 });
    const here = await ours.event(eventId).then(
      ({ verdict }) => verdict,
      () => "not here",
    );
    expect(here).not.toBe("accepted");
    await agree(theo, roomId);
  }

  const message = { type: "m.room.message", content: { msgtype: "m.text", body: "bad" } } as const;

  it("an event with a bad signature is dropped", async () => {
    const event = room.build(mallory, message);
    const forged = { ...event.json, signatures: { [third.name]: { [third.key.keyId]: "A".repeat(86) } } };
    await sendBeside(forged);
    await nobodyHas(event.eventId);
    await expect(ours.event(event.eventId)).rejects.toMatchObject({ status: 404 });
  });

  it("an event without a signature, or by a key that nobody knows, is dropped", async () => {
    const event = room.build(mallory, message);
    await sendBeside({ ...event.json, signatures: {} });
    const [signature] = Object.values(
      (event.json["signatures"] as Record<string, Record<string, string>>)[third.name]!,
    );
    await sendBeside({ ...event.json, signatures: { [third.name]: { "ed25519:unknown": signature ?? "" } } });
    await nobodyHas(event.eventId);
  });

  it("an event with a bad hash is taken in its redacted form", async () => {
    const event = room.build(mallory, message);
    // The signature is over what redaction leaves: it holds.
    const changed = { ...event.json, content: { msgtype: "m.text", body: "changed on the way" } };
    await sendBeside(changed);
    await seen(theo, roomId, event.eventId);
    expect((await theo.event(roomId, event.eventId)).content).toEqual({});
    expect(await ours.event(event.eventId)).toMatchObject({ content: {}, verdict: "accepted" });
    await agree(theo, roomId);
  });

  it("an event of over 65,536 bytes is dropped, and one of as many, an empty `unsigned` included, is not", async () => {
    const sized = (bytes: number): Pdu => {
      const probe = room.build(mallory, { ...message, content: { body: "" } });
      const body = "x".repeat(bytes - encodeCanonical({ ...probe.json, unsigned: {} }).length);
      return pduOf(room.rules, room.remake(probe, { content: { body } }));
    };
    const fits = sized(65_536);
    room.know(fits);
    await sendBeside(fits.json);
    await seen(theo, roomId, fits.eventId);
    const json = room.remake(fits, { content: { body: `${bodyOf(fits)}y` } });
    expect(encodeCanonical({ ...json, unsigned: {} })).toHaveLength(65_537);
    await sendBeside(json);
    const [theirs, own] = await both([json]);
    for (const { body } of [theirs, own]) expect(Object.keys(body["pdus"] as JsonObject).length).toBeLessThan(2);
    const timeline = await theo.messages(roomId, 50);
    expect(timeline.some((event) => bodyOf(event).endsWith("y"))).toBe(false);
    expect((await ours.timeline(roomId)).some((event) => bodyOf(event).endsWith("xy"))).toBe(false);
    await agree(theo, roomId);
  });

  it.each([
    ["a type of over 255 bytes", { type: "t".repeat(256) }],
    ["content that is no object", { content: ["a list"] }],
    ["a depth that is text", { depth: "12" }],
    ["a depth below 0", { depth: -1 }],
    ["a sender that is no user id", { sender: "mallory" }],
    ["a state key that is no text", { state_key: 5 }],
    ["auth events that are no list", { auth_events: "none" }],
    ["no prev events", { prev_events: [] }],
  ] as const)("an event with %s is not taken", async (_, changes) => {
    const before = [await theo.stateIds(roomId), await ours.stateIds(roomId)];
    const bad = room.remake(room.build(mallory, { ...message, content: { body: "malformed" } }), changes);
    await sendBeside(bad);
    const shown = await theo.messages(roomId, 50);
    expect(shown.some(({ content }) => content["body"] === "malformed")).toBe(false);
    const own = await ours.timeline(roomId);
    expect(own.some(({ content }) => content["body"] === "malformed")).toBe(false);
    expect([await theo.stateIds(roomId), await ours.stateIds(roomId)]).toEqual(before);
  });

  it("an event with a number that canonical JSON has not is dropped", async () => {
    const event = room.build(mallory, { ...message, content: { body: "fraction" } });
    const lax = parseLax(encodeCanonical(event.json).replace('"body":"fraction"', '"body":"fraction","n":1.5'));
    if (!lax.ok) throw new Error(lax.error.reason);
    await sendBeside(lax.value);
    const shown = await theo.messages(roomId, 20);
    expect(shown.some(({ content }) => content["body"] === "fraction")).toBe(false);
    expect((await ours.timeline(roomId)).some(({ content }) => content["body"] === "fraction")).toBe(false);
    await agree(theo, roomId);
  });

  it("an event that the rules refuse is rejected, and so is what rests on it", async () => {
    const power = room.build(mallory, {
      type: "m.room.power_levels",
      stateKey: "",
      content: { users: { [mallory]: 100 }, ban: 0 },
    });
    room.know(power);
    await sendBeside(power.json);
    const cited = room.build(mallory, { type: "m.room.topic", stateKey: "", content: { topic: "mine now" } });
    const authEvents = [...(cited.json["auth_events"] as readonly string[])];
    const old = room.state.get(JSON.stringify(["m.room.power_levels", ""]))?.eventId ?? "";
    const resting = room.remake(cited, { auth_events: authEvents.map((id) => (id === old ? power.eventId : id)) });
    const { eventId } = pduOf(room.rules, resting);
    await sendBeside(resting);
    expect(await ours.event(power.eventId)).toMatchObject({ verdict: expect.stringContaining("rejected") as string });
    expect(await ours.event(eventId)).toMatchObject({ verdict: expect.stringContaining("rejected") as string });
    await expect(theo.event(roomId, power.eventId)).rejects.toMatchObject({ status: 404 });
    await expect(theo.event(roomId, eventId)).rejects.toMatchObject({ status: 404 });
    await agree(theo, roomId);
  });

  it("an event in the name of another server's user is dropped", async () => {
    const event = room.build(theo.userId, message);
    // Signed by the third server alone, which is not the sender's.
    await sendBeside(event.json);
    await nobodyHas(event.eventId);
  });

  it("an event of somebody who was banned meanwhile, on an old place, is soft-failed", async () => {
    const user = third.user("troll");
    const joined = room.build(user, { type: "m.room.member", stateKey: user, content: { membership: "join" } });
    room.put(joined);
    await both([joined.json]);
    await bothSay(theo, roomId, user, "join");
    await theo.moderate("ban", roomId, user);
    await bothSay(theo, roomId, user, "ban");
    const evasion = room.build(user, { ...message, prev: [joined] });
    room.know(evasion);
    await both([evasion.json]);
    await eventually(async () => expect(await ours.event(evasion.eventId)).toMatchObject({ verdict: "soft-failed" }));
    const shown = await theo.messages(roomId, 50);
    expect(shown.some(({ event_id }) => event_id === evasion.eventId)).toBe(false);
    expect((await ours.timeline(roomId)).some(({ eventId }) => eventId === evasion.eventId)).toBe(false);
    await agree(theo, roomId);
    room.latest = [await banOf(user)];
  });

  /** Where the room goes on after what Synapse said in it. */
  async function banOf(user: string): Promise<Pdu> {
    const ban = (await theo.state(roomId)).find(({ state_key }) => state_key === user);
    const uri = `/_matrix/federation/v1/event/${encodeURIComponent(ban?.event_id ?? "")}`;
    const { body } = await third.ask(synapse.server, "GET", uri);
    const [json] = body["pdus"] as readonly JsonObject[];
    const event = pduOf(room.rules, json ?? {});
    room.put(event);
    return event;
  }

  it("a membership whose signature is a forged co-signature lets nobody in", async () => {
    const user = third.user("sneak");
    const rules = await theo.stateContent(roomId, "m.room.join_rules");
    const closed = await theo.setState(roomId, "m.room.join_rules", "", { join_rule: "invite" });
    await eventually(async () => expect(await ours.stateIds(roomId)).toContain(closed));
    const invite = room.build(theo.userId, {
      type: "m.room.member",
      stateKey: user,
      content: { membership: "invite" },
    });
    const forged = signEvent(room.rules, invite.json, { ...third.key, server: synapse.server });
    await sendBeside(forged);
    await nobodyHas(invite.eventId);
    await bothSay(theo, roomId, user, undefined);
    const opened = await theo.setState(roomId, "m.room.join_rules", "", rules ?? {});
    await eventually(async () => expect(await ours.stateIds(roomId)).toContain(opened));
  });
});

describe("requests that are none", () => {
  let third: ThirdServer;

  beforeAll(async () => {
    third = await ThirdServer.start();
  });

  afterAll(() => third.stop());

  const send = (id: string): string => `/_matrix/federation/v1/send/${id}`;

  it.each([
    [
      "a transaction of over 50 events",
      { origin: "x", origin_server_ts: 1, pdus: new Array(51).fill({}) as JsonObject[] },
    ],
    [
      "a transaction of over 100 EDUs",
      { origin: "x", origin_server_ts: 1, pdus: [], edus: new Array(101).fill({}) as JsonObject[] },
    ],
  ])("%s is refused by both", async (_, content) => {
    for (const server of [synapse.server, roomdag.server]) {
      const answer = await third.ask(server, "PUT", send("too-many"), { ...content, origin: third.name });
      // The spec has no word for it: Synapse says 400, and 413 is what HTTP has.
      expect([400, 413]).toContain(answer.status);
    }
  });

  it("a request whose body is not what was signed is refused by both", async () => {
    for (const server of [synapse.server, roomdag.server]) {
      const signed = { origin: third.name, origin_server_ts: 1, pdus: [] };
      const answer = await third.ask(server, "PUT", send("other"), signed, JSON.stringify({ ...signed, edus: [] }));
      expect([server, answer.status, answer.body["errcode"]]).toEqual([server, 401, "M_UNAUTHORIZED"]);
    }
  });

  it("a body that is no JSON is refused by both", async () => {
    for (const server of [synapse.server, roomdag.server]) {
      const answer = await third.ask(server, "PUT", send("no-json"), {}, "{no json");
      expect([server, answer.status]).toEqual([server, 400]);
    }
  });

  it("an endpoint that there is not is refused by both", async () => {
    for (const server of [synapse.server, roomdag.server]) {
      const answer = await third.ask(server, "GET", "/_matrix/federation/v1/nothing");
      expect([server, answer.status, answer.body["errcode"]]).toEqual([server, 404, "M_UNRECOGNIZED"]);
    }
  });
});

function bodyOf({ content }: { readonly content: JsonObject }): string {
  const { body } = content;
  return typeof body === "string" ? body : "";
}
