/** A room's server ACL at work: what the servers of a room answer to one that it denies. */
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/json/index.js";
import { isObject } from "../../src/json/value.js";
import type { OperationRequest } from "../../src/ports/index.js";
import { codeOf, done, nameOf, signedBy, userOf, worldOf } from "../support/servers.js";
import type { World } from "../support/servers.js";

const VERSION = "10";
const [alice, bob, carol] = [userOf("a"), userOf("b"), userOf("c")];
const dora = userOf("c", "dora");

function setAcl(world: World, roomId: string, content: JsonObject) {
  return done(world.server("a").setState({ roomId, userId: alice, type: "m.room.server_acl", content }));
}

/** Allows everyone but these. */
const but = (...deny: readonly string[]): JsonObject => ({ allow: ["*"], deny });

/** A message of a user as their server would sign it, at the end of the room as another server has it. */
async function message(world: World, roomId: string, at: string, sender: string, server: string): Promise<JsonObject> {
  const room = await world.room(at, roomId);
  const made = await done(room.template({ type: "m.room.message", sender, content: { body: "hello" } }));
  return signedBy(room.version.id, server, made);
}

/** A membership event as a server that knows where the room ends would hand it over. */
async function member(world: World, roomId: string, userId: string, membership: string): Promise<JsonObject> {
  const room = await world.room("a", roomId);
  const draft = { type: "m.room.member", stateKey: userId, sender: userId, content: { membership } };
  return signedBy(room.version.id, "c", await done(room.template(draft)));
}

/** Operations that the list of the spec names, and some that it does not. */
const guarded = [
  "make_join",
  "send_join",
  "make_knock",
  "send_knock",
  "make_leave",
  "send_leave",
  "invite",
  "state",
  "state_ids",
  "event_auth",
  "backfill",
  "get_missing_events",
] as const;
const open = ["event", "timestamp_to_event", "send", "server_keys", "query_keys"] as const;

type Asked = (typeof guarded)[number] | (typeof open)[number];
type Requests = { readonly [N in Asked]: OperationRequest<N> };

async function requestsOf(world: World, roomId: string): Promise<Requests> {
  const room = await world.room("a", roomId);
  const [eventId = ""] = room.control.forwardExtremities;
  const invite = await done(
    room.template({ type: "m.room.member", stateKey: bob, sender: carol, content: { membership: "invite" } }),
  );
  const knock = await member(world, roomId, dora, "knock");
  return {
    make_join: { roomId, userId: dora, versions: [VERSION] },
    send_join: { roomId, eventId: "$given", event: await member(world, roomId, dora, "join") },
    make_knock: { roomId, userId: dora, versions: [VERSION] },
    send_knock: { roomId, eventId: "$given", event: knock },
    make_leave: { roomId, userId: carol },
    send_leave: { roomId, eventId: "$given", event: await member(world, roomId, carol, "leave") },
    invite: {
      roomId,
      roomVersion: VERSION,
      eventId: "$given",
      event: signedBy(VERSION, "c", invite),
      inviteRoomState: [],
    },
    state: { roomId, eventId },
    state_ids: { roomId, eventId },
    event_auth: { roomId, eventId },
    backfill: { roomId, from: [eventId], limit: 5 },
    get_missing_events: { roomId, earliest: [], latest: [eventId], limit: 5, minDepth: 0 },
    event: { roomId, eventId },
    timestamp_to_event: { roomId, ts: 0, dir: "f" },
    send: { transactionId: "t", pdus: [] },
    server_keys: {},
    query_keys: { serverKeys: {} },
  };
}

async function asked<N extends Asked>(world: World, name: N, requests: Requests) {
  const answer = await world.ask("c", "a", name, requests[name]);
  return answer.ok ? { code: "ok", reason: "" } : answer.error;
}

describe("a room's server ACL [cap:server-acl]", () => {
  it.each(guarded)("has %s refused to a server that it denies, whatever is asked", async (name) => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(VERSION, "a", "b", "c");
    const before = await asked(world, name, await requestsOf(world, roomId));
    expect(before.reason).not.toContain("ACL");
    await setAcl(world, roomId, but("c.example"));
    await world.deliver();
    const requests = await requestsOf(world, roomId);
    const view = await world.view("a", roomId);
    expect(await asked(world, name, requests)).toEqual({
      code: "forbidden",
      reason: `the ACL of ${roomId} denies c.example`,
    });
    expect(await world.view("a", roomId)).toEqual(view);
    await setAcl(world, roomId, but());
    expect((await asked(world, name, await requestsOf(world, roomId))).reason).not.toContain("ACL");
    expect(world.faults()).toEqual([]);
  });

  it("guards no other operation as a whole", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(VERSION, "a", "b", "c");
    await setAcl(world, roomId, but("c.example"));
    const requests = await requestsOf(world, roomId);
    for (const name of open) {
      expect((await asked(world, name, requests)).reason, name).not.toContain("ACL");
    }
    expect(await asked(world, "event", requests)).toMatchObject({ code: "ok" });
  });

  it("of one room is none of another's", async () => {
    const world = await worldOf("a", "b", "c");
    const [strict, lenient] = [await world.shared(VERSION, "a", "c"), await world.shared(VERSION, "a", "c")];
    await setAcl(world, strict, but("c.example"));
    const requests = await requestsOf(world, lenient);
    expect((await asked(world, "backfill", requests)).code).toBe("ok");
  });

  it("has each PDU of the room answered with an error, and the others of the transaction taken in", async () => {
    const world = await worldOf("a", "c");
    const [strict, lenient] = [await world.shared(VERSION, "a", "c"), await world.shared(VERSION, "a", "c")];
    await setAcl(world, strict, but("c.example"));
    await world.deliver();
    const [kept, dropped] = [
      await message(world, lenient, "c", carol, "c"),
      await message(world, strict, "c", carol, "c"),
    ];
    const second = { ...dropped, room_id: strict, depth: "none" };
    const sent = await world.ask("c", "a", "send", { transactionId: "t", pdus: [dropped, kept, second, "no event"] });
    const error = `the ACL of ${strict} denies c.example`;
    if (!sent.ok) throw new Error(sent.error.reason);
    const answers = Object.values(sent.value.pdus);
    expect(answers.filter((answer) => answer.error === error)).toHaveLength(2);
    expect(answers.filter((answer) => answer.error === undefined)).toHaveLength(1);
    const texts = async (roomId: string): Promise<number> =>
      (await (await world.room("a", roomId)).timeline()).events.filter(
        ({ original }) => original["type"] === "m.room.message",
      ).length;
    expect(await texts(strict)).toBe(0);
    expect(await texts(lenient)).toBe(1);
    expect((await world.room("a", strict)).pending).toEqual([]);
  });

  it("looks at who sends, not at who wrote: what a denied server wrote comes by way of others", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(VERSION, "a", "b", "c");
    await setAcl(world, roomId, but("c.example"));
    await world.deliver();
    const event = await message(world, roomId, "a", carol, "c");
    const sent = await world.ask("b", "a", "send", { transactionId: "t", pdus: [event] });
    expect(sent.ok && Object.values(sent.value.pdus)).toEqual([{}]);
  });

  it("does not keep what happens from a denied server that is still in the room", async () => {
    const world = await worldOf("a", "c");
    const roomId = await world.shared(VERSION, "a", "c");
    await setAcl(world, roomId, but("c.example"));
    await done(world.say("a", roomId, "still heard"));
    await world.deliver();
    expect(await world.view("c", roomId)).toEqual(await world.view("a", roomId));
    const { events } = await (await world.room("c", roomId)).timeline();
    expect(events.some(({ original }) => contentOf(original)["body"] === "still heard")).toBe(true);
  });

  it("does not keep this server from asking a denied one: what it answers is checked like anything else", async () => {
    const world = await worldOf("a", "c", "d");
    const roomId = await world.shared(VERSION, "a", "c");
    await done(world.say("a", roomId, "early"));
    await setAcl(world, roomId, but("c.example"));
    await world.deliver();
    await done(world.server("d").join({ roomId, userId: userOf("d"), via: ["a.example"] }));
    await world.deliver();
    world.cut("a", "d");
    const receipts = await done(world.server("d").backfill(roomId, 10));
    expect(world.callsOf("backfill").map(({ to }) => to)).toContain("c.example");
    expect(receipts.map(({ verdict }) => verdict.verdict)).toContain("accepted");
  });

  it("that was redacted denies everyone", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(VERSION, "a", "b");
    const acl = await setAcl(world, roomId, but());
    const [eventId = ""] = (await world.room("a", roomId)).control.forwardExtremities;
    const backfill = { roomId, from: [eventId], limit: 1 };
    expect(await codeOf(world.ask("b", "a", "backfill", backfill))).toBe("ok");
    await done(world.server("a").redact({ roomId, userId: alice, eventId: acl.eventId }));
    expect(await codeOf(world.ask("b", "a", "backfill", backfill))).toBe("forbidden");
    await setAcl(world, roomId, but());
    expect(await codeOf(world.ask("b", "a", "backfill", backfill))).toBe("ok");
  });

  it("binds the servers that are in the room, and no one that left: its state is old", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(VERSION, "a", "b");
    await setAcl(world, roomId, but("a.example"));
    await world.deliver();
    const second = userOf("b", "second");
    expect(await codeOf(world.server("a").invite({ roomId, userId: alice, target: second })), "resident").toBe("ok");
    expect(await codeOf(world.ask("a", "b", "make_join", { roomId, userId: alice, versions: [VERSION] }))).toBe(
      "forbidden",
    );
    await done(world.server("b").leave({ roomId, userId: bob }));
    await world.deliver();
    expect(await codeOf(world.server("a").invite({ roomId, userId: alice, target: bob }))).toBe("ok");
    expect(await world.server("b").roomsOf(bob)).toMatchObject([{ roomId, membership: "invite" }]);
    expect(nameOf("b")).toBe("b.example");
  });
});

function contentOf(event: JsonObject): JsonObject {
  const content = event["content"];
  return isObject(content) ? content : {};
}
