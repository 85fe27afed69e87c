/** Invites of somebody who was known by an address: bound to a user, exchanged between servers, and what is refused. */
import { describe, expect, it } from "vitest";
import { createListPolicy } from "../../src/adapters/memory/index.js";
import { encodeUnpadded, publicKeyFromSeed } from "../../src/crypto/index.js";
import { signJson } from "../../src/event/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { codeOf, done, refusal, signersOf, userOf, World, worldOf } from "../support/servers.js";
import { rowsOf } from "../support/rows.js";

const [alice, bob, carol] = [userOf("a"), userOf("b"), userOf("c")];
const TOKEN = "token/1";
const identity = new Uint8Array(32).fill(7);
const stranger = new Uint8Array(32).fill(8);

/** What the identity server says once the address belongs to somebody. */
function signedFor(mxid: string, { token = TOKEN, seed = identity } = {}): JsonObject {
  return signJson({ mxid, token, sender: alice }, { server: "identity.example", keyId: "ed25519:0", seed });
}

/** A room with an invite of a@example.org by alice. */
async function offered(world: World, version: string, ...others: readonly string[]): Promise<string> {
  const roomId = await world.shared(version, "a", ...others);
  const rules = { roomId, userId: alice, type: "m.room.join_rules", content: { join_rule: "invite" } };
  await done(world.server("a").setState(rules));
  await offer(world, roomId, { display_name: "a…@e…", public_key: encodeUnpadded(publicKeyFromSeed(identity)) });
  return roomId;
}

async function offer(world: World, roomId: string, content: JsonObject): Promise<void> {
  const type = "m.room.third_party_invite";
  await done(world.server("a").setState({ roomId, userId: alice, type, stateKey: TOKEN, content }));
  await world.deliver();
}

/** The part of the invite that the invited user's server hands over. */
function partial(roomId: string, signed: JsonValue, change: JsonObject = {}): JsonObject {
  const content = { membership: "invite", third_party_invite: { display_name: "forged", signed } };
  return { type: "m.room.member", room_id: roomId, sender: alice, state_key: bob, content, ...change };
}

const VERSIONS = ["1", "6", "10", "11", "12", "I.1"] as const;

describe.each(VERSIONS)("an invite kept by an identity server [cap:third-party-exchange v:%s]", (version) => {
  it("becomes an invite by way of the inviter's server, and the user joins", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await offered(world, version, "c");
    world.calls.length = 0;
    const invites = [{ roomId, sender: alice, signed: signedFor(bob) }];
    expect(await world.server("b").identifierBound({ userId: bob, invites })).toEqual([{ ok: true, value: undefined }]);
    await world.deliver();
    expect(world.callsOf("exchange_third_party_invite", "invite").map(({ from, to }) => [from, to])).toEqual([
      ["b.example", "a.example"],
      ["a.example", "b.example"],
    ]);
    for (const name of ["a", "c"]) expect(await world.membership(name, roomId, bob)).toBe("invite");
    const room = await world.room("a", roomId);
    const invite = room.state("m.room.member", bob);
    expect(invite?.sender).toBe(alice);
    expect(invite?.content).toEqual({
      membership: "invite",
      third_party_invite: { display_name: "a…@e…", signed: signedFor(bob) },
    });
    const view = await room.event(invite?.eventId ?? "");
    expect(signersOf(view?.original ?? {})).toEqual(["a.example", "b.example"]);
    await done(world.server("b").join({ roomId, userId: bob }));
    await world.deliver();
    for (const name of ["a", "c"]) expect(await world.view(name, roomId)).toEqual(await world.view("b", roomId));
    expect(world.faults()).toEqual([]);
  });

  it("is redeemed by the user's own server where that is in the room, in the inviter's name", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await offered(world, version, "b", "c");
    const second = userOf("b", "second");
    world.calls.length = 0;
    const invites = [{ roomId, sender: alice, signed: signedFor(second) }];
    expect(await world.server("b").identifierBound({ userId: second, invites })).toEqual([
      { ok: true, value: undefined },
    ]);
    await world.deliver();
    expect(world.callsOf("exchange_third_party_invite", "invite")).toEqual([]);
    const invite = (await world.room("c", roomId)).state("m.room.member", second);
    expect(invite?.sender).toBe(alice);
    const view = await (await world.room("c", roomId)).event(invite?.eventId ?? "");
    expect(signersOf(view?.original ?? {})).toEqual(["b.example"]);
    await done(world.server("b").join({ roomId, userId: second }));
    await world.deliver();
    for (const name of ["a", "c"]) expect(await world.view(name, roomId)).toEqual(await world.view("b", roomId));
    expect(world.faults()).toEqual([]);
  });

  it("of a user whose server is in the room may be exchanged nonetheless", async () => {
    const world = await worldOf("a", "b");
    const roomId = await offered(world, version, "b");
    const second = userOf("b", "second");
    const event = partial(roomId, signedFor(second), { state_key: second });
    expect(await codeOf(world.ask("b", "a", "exchange_third_party_invite", { roomId, event }))).toBe("ok");
    await world.deliver();
    expect(await world.membership("b", roomId, second)).toBe("invite");
  });
});

describe("an exchange [cap:third-party-exchange]", () => {
  const wrong: readonly {
    readonly what: string;
    readonly code: string;
    readonly event: (roomId: string) => JsonValue;
    readonly from?: string;
  }[] = [
    { what: "no object", code: "invalid_param", event: () => "event" },
    {
      what: "no member event",
      code: "invalid_param",
      event: (id) => partial(id, signedFor(bob), { type: "m.room.x" }),
    },
    {
      what: "of another room",
      code: "invalid_param",
      event: (id) => partial(id, signedFor(bob), { room_id: "!no:a" }),
    },
    {
      what: "of a server that is not the user's",
      code: "invalid_param",
      event: (id) => partial(id, signedFor(bob)),
      from: "c",
    },
    {
      what: "for a user of this server",
      code: "invalid_param",
      event: (id) => partial(id, signedFor(carol), { state_key: carol }),
    },
    {
      what: "in the name of a user of another server",
      code: "invalid_param",
      event: (id) => partial(id, signedFor(bob), { sender: bob }),
    },
    {
      what: "no invite",
      code: "invalid_param",
      event: (id) => partial(id, signedFor(bob), { content: { membership: "join" } }),
    },
    {
      what: "an invite without a signed block",
      code: "invalid_param",
      event: (id) => partial(id, null, { content: { membership: "invite" } }),
    },
    { what: "with a block that is none", code: "invalid_param", event: (id) => partial(id, [signedFor(bob)]) },
    { what: "with a block for another user", code: "invalid_param", event: (id) => partial(id, signedFor(carol)) },
    { what: "with a block without token", code: "invalid_param", event: (id) => partial(id, { mxid: bob }) },
    {
      what: "with another token",
      code: "forbidden",
      event: (id) => partial(id, signedFor(bob, { token: "token/2" })),
    },
    {
      what: "signed by another key",
      code: "forbidden",
      event: (id) => partial(id, signedFor(bob, { seed: stranger })),
    },
    {
      what: "with a block that was changed",
      code: "forbidden",
      event: (id) => partial(id, { ...signedFor(bob), sender: carol }),
    },
    {
      what: "in the name of somebody else who did not ask for the invite",
      code: "forbidden",
      event: (id) => partial(id, signedFor(bob), { sender: userOf("a", "other") }),
    },
    {
      what: "with numbers that no event may hold",
      code: "invalid_param",
      event: (id) => partial(id, { ...signedFor(bob), extra: 0.5 }),
    },
  ];

  it.each(wrong)("that is $what is refused, and changes nothing", async ({ code, event, from = "b" }) => {
    const world = await worldOf("a", "b", "c");
    const roomId = await offered(world, "10");
    const before = await rowsOf(world.node("a").storage);
    expect(await codeOf(world.ask(from, "a", "exchange_third_party_invite", { roomId, event: event(roomId) }))).toBe(
      code,
    );
    expect(await rowsOf(world.node("a").storage)).toEqual(before);
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
    expect(world.faults()).toEqual([]);
  });

  it("is refused once the invite was revoked, and to who is banned", async () => {
    const world = await worldOf("a", "b");
    const roomId = await offered(world, "10");
    const event = partial(roomId, signedFor(bob));
    const ask = (): Promise<string> => codeOf(world.ask("b", "a", "exchange_third_party_invite", { roomId, event }));
    await done(world.server("a").ban({ roomId, userId: alice, target: bob }));
    expect(await ask()).toBe("forbidden");
    await done(world.server("a").unban({ roomId, userId: alice, target: bob }));
    await offer(world, roomId, {});
    expect(await ask()).toBe("forbidden");
    expect(await world.membership("a", roomId, bob)).toBe("leave");
  });

  it("is refused by a server that is not in the room", async () => {
    const world = await worldOf("a", "b");
    const event = partial("!no:a.example", signedFor(bob));
    expect(await codeOf(world.ask("b", "a", "exchange_third_party_invite", { roomId: "!no:a.example", event }))).toBe(
      "not_found",
    );
  });

  it("that comes again does nothing: who joined stays joined", async () => {
    const world = await worldOf("a", "b");
    const roomId = await offered(world, "10");
    const event = partial(roomId, signedFor(bob));
    const ask = (): Promise<string> => codeOf(world.ask("b", "a", "exchange_third_party_invite", { roomId, event }));
    expect(await ask()).toBe("ok");
    const invited = await rowsOf(world.node("a").storage);
    expect(await ask()).toBe("ok");
    expect(await rowsOf(world.node("a").storage)).toEqual(invited);
    await done(world.server("b").join({ roomId, userId: bob }));
    await world.deliver();
    const joined = await rowsOf(world.node("a").storage);
    expect(await ask()).toBe("ok");
    expect(await rowsOf(world.node("a").storage)).toEqual(joined);
  });

  it("comes to nothing when the user's server does not sign the invite", async () => {
    const world = await worldOf("a");
    const roomId = await offered(world, "10");
    const b = world.peer("b", { invite: () => refusal("forbidden") });
    const before = await rowsOf(world.node("a").storage);
    const event = partial(roomId, signedFor(bob));
    const answer = b.request("a.example", "exchange_third_party_invite", { roomId, event });
    expect(await codeOf(Promise.resolve(answer))).toBe("forbidden");
    expect(await rowsOf(world.node("a").storage)).toEqual(before);
  });
});

describe("a binding that an identity server tells of [cap:third-party-exchange]", () => {
  it("is answered invite by invite: one that is refused keeps none of the others", async () => {
    const world = await worldOf("a", "b");
    const [first, second] = [await offered(world, "10"), await offered(world, "12")];
    const invites = [
      { roomId: first, sender: alice, signed: signedFor(bob, { seed: stranger }) },
      { roomId: second, sender: alice, signed: signedFor(bob) },
      { roomId: second, sender: alice, signed: signedFor(carol) },
      { roomId: "!no:gone.example", sender: userOf("gone"), signed: signedFor(bob) },
    ];
    const answers = await world.server("b").identifierBound({ userId: bob, invites });
    expect(answers.map((answer) => (answer.ok ? "ok" : answer.error.code))).toEqual([
      "refused_by_peer",
      "ok",
      "bad_format",
      "unreachable",
    ]);
    expect((await world.server("b").roomsOf(bob)).map(({ roomId }) => roomId)).toEqual([second]);
  });

  it("goes to the server that the room id names when the inviter's does not help", async () => {
    const world = await worldOf("b");
    const asked: string[] = [];
    world.peer("a", { exchange_third_party_invite: () => refusal("not_found") });
    world.peer("c", {
      exchange_third_party_invite: ({ event }) => {
        asked.push(JSON.stringify(event));
        return {};
      },
    });
    const roomId = "!room:c.example";
    const invites = [{ roomId, sender: alice, signed: signedFor(bob) }];
    const [answer] = await world.server("b").identifierBound({ userId: bob, invites });
    expect(answer?.ok).toBe(true);
    expect(asked.map((text) => JSON.parse(text) as unknown)).toEqual([
      {
        type: "m.room.member",
        room_id: roomId,
        sender: alice,
        state_key: bob,
        content: { membership: "invite", third_party_invite: { display_name: "", signed: signedFor(bob) } },
      },
    ]);
  });

  it.each([
    { what: "another token", signed: signedFor(userOf("b", "second"), { token: "token/2" }), code: "auth_rejected" },
    { what: "another key", signed: signedFor(userOf("b", "second"), { seed: stranger }), code: "auth_rejected" },
    { what: "another user", signed: signedFor(bob), code: "bad_format" },
  ])("sends nothing for $what where this server is in the room", async ({ signed, code }) => {
    const world = await worldOf("a", "b");
    const roomId = await offered(world, "10", "b");
    const before = await rowsOf(world.node("b").storage);
    const invites = [{ roomId, sender: alice, signed }];
    const [answer] = await world.server("b").identifierBound({ userId: userOf("b", "second"), invites });
    expect(answer?.ok === false && answer.error.code).toBe(code);
    expect(await rowsOf(world.node("b").storage)).toEqual(before);
  });

  it("asks the host's policy, and is only for users of this server", async () => {
    const world = new World();
    await world.add("a");
    await world.add("b", { policy: createListPolicy({ blockedUsers: [alice] }) });
    const roomId = await offered(world, "10", "b");
    const second = userOf("b", "second");
    const invites = [{ roomId, sender: alice, signed: signedFor(second) }];
    const [answer] = await world.server("b").identifierBound({ userId: second, invites });
    expect(answer?.ok === false && answer.error.code).toBe("policy_refused");
    expect(() => world.server("b").identifierBound({ userId: alice, invites: [] })).toThrow(/own users/);
  });
});
