/**
 * Becoming and ceasing to be a member across servers: invite, join, knock, leave, and what moderators do. Every
 * server is the real one; where one lies or refuses, the test plays it.
 */
import { describe, expect, it } from "vitest";
import { createListIdentity, createListPolicy } from "../../src/adapters/memory/index.js";
import { domainOf } from "../../src/ids/grammar.js";
import { get, isObject } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { OperationRequest } from "../../src/ports/index.js";
import { hashEvent } from "../../src/event/sign.js";
import { withKey } from "../support/engine.js";
import { rowsOf } from "../support/rows.js";
import {
  codeOf,
  cosignedBy,
  done,
  nameOf,
  pduOf,
  refusal,
  signedBy,
  signersOf,
  userOf,
  World,
  worldOf,
} from "../support/servers.js";

const VERSIONS = ["1", "6", "10", "11", "12", "I.1"] as const;
const HANDSHAKES = ["make_join", "send_join", "make_knock", "send_knock", "make_leave", "send_leave"] as const;

const [alice, bob, carol, dan] = [userOf("a"), userOf("b"), userOf("c"), userOf("d")];

async function privateRoom(world: World, version: string, joinRule: JsonObject = { join_rule: "invite" }) {
  return done(
    world.server("a").create({
      version,
      creator: alice,
      initialState: [{ type: "m.room.join_rules", content: joinRule }],
    }),
  );
}

/** Every server sees the same room. */
async function expectSame(world: World, roomId: string, ...names: readonly string[]): Promise<void> {
  const [first = "a", ...others] = names;
  const expected = await world.view(first, roomId);
  for (const name of others)
    expect(await world.view(name, roomId), `${name} sees what ${first} sees`).toEqual(expected);
}

describe.each(VERSIONS)("membership across servers in version %s", (version) => {
  it(`an invite carries both servers' signatures and reaches the invited user [cap:invite v:${version}]`, async () => {
    const world = await worldOf("a", "b");
    const room = await privateRoom(world, version);
    const invite = await done(world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob }));
    expect(signersOf(invite.json)).toEqual(["a.example", "b.example"]);
    expect(room.current.membership(bob)).toBe("invite");
    const [outside] = await world.server("b").roomsOf(bob);
    expect(outside).toMatchObject({ roomId: room.roomId, membership: "invite" });
    expect(outside?.outside?.roomVersion).toBe(version);
    expect(outside?.outside?.state.map((event) => get(event, "type"))).toContain("m.room.create");
    expect(await world.server("b").room(room.roomId)).toBeUndefined();
  });

  it(`who was invited joins by the inviter's server and has its state [cap:join-handshake v:${version}]`, async () => {
    const world = await worldOf("a", "b");
    const room = await privateRoom(world, version);
    await done(world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob }));
    const joined = await done(world.server("b").join({ roomId: room.roomId, userId: bob }));
    await world.deliver();
    expect(joined.version.id).toBe(version);
    expect(joined.servers).toEqual(["a.example", "b.example"]);
    await expectSame(world, room.roomId, "a", "b");
    expect(await world.server("b").roomsOf(bob)).toEqual([{ roomId: room.roomId, membership: "join" }]);
    expect(world.faults()).toEqual([]);
  });

  it("who was banned and is invited again is shown the invite", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(version, "a", "b");
    const a = world.server("a");
    await done(a.ban({ roomId, userId: alice, target: bob }));
    await world.deliver();
    expect(await world.server("b").roomsOf(bob)).toEqual([{ roomId, membership: "ban" }]);
    await done(a.unban({ roomId, userId: alice, target: bob }));
    await done(a.invite({ roomId, userId: alice, target: bob }));
    await world.deliver();
    expect(await world.server("b").roomsOf(bob)).toMatchObject([{ roomId, membership: "invite" }]);
  });

  it("all servers learn of a join, a kick, a ban and an unban of a user of another server", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(version, "a", "b", "c");
    await expectSame(world, roomId, "a", "b", "c");
    const a = world.server("a");
    await done(a.kick({ roomId, userId: alice, target: bob, reason: "enough" }));
    await world.deliver();
    for (const name of ["a", "b", "c"]) expect(await world.membership(name, roomId, bob)).toBe("leave");
    expect((await world.room("b", roomId)).isResident).toBe(false);
    await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }));
    await world.deliver();
    await expectSame(world, roomId, "a", "b", "c");
    await done(a.ban({ roomId, userId: alice, target: bob }));
    await world.deliver();
    for (const name of ["a", "b", "c"]) expect(await world.membership(name, roomId, bob)).toBe("ban");
    expect(await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example", "c.example"] }))).toBe(
      "refused_by_peer",
    );
    await done(a.unban({ roomId, userId: alice, target: bob }));
    await world.deliver();
    for (const name of ["a", "c"]) expect(await world.membership(name, roomId, bob)).toBe("leave");
    await done(world.server("b").join({ roomId, userId: bob, via: ["c.example"] }));
    await world.deliver();
    await expectSame(world, roomId, "a", "b", "c");
    expect(world.faults()).toEqual([]);
  });

  it(`a server in the room makes memberships without asking anybody [cap:resident-bypass v:${version}]`, async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(version, "a", "b");
    const second = userOf("b", "second");
    world.calls.length = 0;
    await done(world.server("b").join({ roomId, userId: second }));
    await done(world.server("b").leave({ roomId, userId: second }));
    await world.deliver();
    await done(world.server("a").invite({ roomId, userId: alice, target: second }));
    await world.deliver();
    await done(world.server("b").leave({ roomId, userId: second, reason: "no" }));
    await world.deliver();
    expect(world.callsOf(...HANDSHAKES, "invite")).toEqual([]);
    expect(world.callsOf("send").length).toBeGreaterThan(0);
    await expectSame(world, roomId, "a", "b");
  });

  it(`rejecting an invite needs no join, and the room learns of it [cap:leave-handshake v:${version}]`, async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(version, "a", "c");
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    await world.deliver();
    world.calls.length = 0;
    const left = await done(world.server("b").leave({ roomId, userId: bob, reason: "no, thank you" }));
    await world.deliver();
    expect(world.callsOf("make_join", "send_join")).toEqual([]);
    expect(left["content"]).toEqual({ membership: "leave", reason: "no, thank you" });
    for (const name of ["a", "c"]) expect(await world.membership(name, roomId, bob)).toBe("leave");
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
    expect(await world.server("b").room(roomId)).toBeUndefined();
    await expectSame(world, roomId, "a", "c");
  });

  it("a join tries the next server when one is gone or refuses", async () => {
    const world = await worldOf("a", "b");
    world.peer("refuser", { make_join: () => refusal("forbidden") });
    world.peer("liar", { make_join: () => null });
    world.peer("half", {
      make_join: ({ roomId, userId }) => ({ roomVersion: version, event: templateOf(roomId, userId) }),
      send_join: () => ({ event: null, state: "none" }),
    });
    const roomId = await world.shared(version, "a");
    const via = ["gone.example", "refuser.example", "liar.example", "half.example", "a.example"];
    await done(world.server("b").join({ roomId, userId: bob, via }));
    await world.deliver();
    await expectSame(world, roomId, "a", "b");
    expect(world.faults()).toEqual([]);
  });

  it("two users of one server who join at once end in one room", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(version, "a");
    const users = [bob, userOf("b", "second")];
    const rooms = await Promise.all(
      users.map((userId) => done(world.server("b").join({ roomId, userId, via: ["a.example"] }))),
    );
    await world.deliver();
    expect(rooms[0]).toBe(rooms[1]);
    for (const userId of users) expect(rooms[0]?.current.membership(userId)).toBe("join");
    await done(world.say("b", roomId, "both are here"));
    await world.deliver();
    await expectSame(world, roomId, "a", "b");
  });
});

/** The keys of stripped state (client-server-api, "Stripped state"). */
const STRIPPED = ["content", "sender", "state_key", "type"];

/** What an answer shows of a room. */
function previewIn(answer: unknown, key: string): readonly JsonObject[] {
  const value = (answer as { readonly value?: Readonly<Record<string, unknown>> }).value;
  const shown = value?.[key];
  return Array.isArray(shown) ? (shown as readonly JsonObject[]) : [];
}

function templateOf(roomId: string, userId: string): JsonObject {
  return {
    type: "m.room.member",
    room_id: roomId,
    sender: userId,
    state_key: userId,
    content: { membership: "join" },
    depth: 5,
    prev_events: [],
    auth_events: [],
  };
}

describe("an invite to another server", () => {
  it("is not sent to the room when the other server does not sign it", async () => {
    const world = await worldOf("a");
    const room = await privateRoom(world, "10");
    const before = await world.view("a", room.roomId);
    world.peer("b", { invite: ({ event }) => ({ event }) });
    expect(await codeOf(world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob }))).toBe(
      "refused_by_peer",
    );
    expect(await world.view("a", room.roomId)).toEqual(before);
  });

  it("keeps nothing of what the other server changed", async () => {
    const world = await worldOf("a");
    const room = await privateRoom(world, "10");
    world.peer("b", {
      invite: ({ event }) => {
        const changed = withKey(event as JsonObject, "content", { membership: "invite", reason: "forged" });
        return { event: cosignedBy("10", "b", hashEvent(changed)) };
      },
    });
    const refused = world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob });
    expect(await codeOf(refused), "the signature is over another hash").toBe("refused_by_peer");
    world.peer("b", {
      invite: ({ event }) => {
        const signed = cosignedBy("10", "b", event as JsonObject);
        return { event: { ...signed, unsigned: { forged: true }, content: { membership: "join" } } };
      },
    });
    const kept = await done(world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob }));
    expect(kept.content).toEqual({ membership: "invite" });
    expect(Object.hasOwn(kept.json, "unsigned")).toBe(false);
    expect(signersOf(kept.json)).toEqual(["a.example", "b.example"]);
  });

  it("is refused by who blocks the inviter, and leaves both servers as they were", async () => {
    const world = await worldOf("a");
    await world.add("b", { policy: createListPolicy({ blockedUsers: [alice] }) });
    const room = await privateRoom(world, "10");
    const before = await world.view("a", room.roomId);
    const refused = await world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob });
    expect(refused).toMatchObject({ ok: false, error: { code: "refused_by_peer" } });
    expect(refused.ok ? "" : refused.error.reason).toContain("blocked");
    expect(await world.view("a", room.roomId)).toEqual(before);
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
    expect(await world.node("b").storage.readOutside()).toEqual([]);
  });

  it("is not even asked for when the inviter may not invite", async () => {
    const world = await worldOf("a", "b");
    const room = await done(world.server("a").create({ version: "10", creator: alice, powerLevels: { invite: 100 } }));
    const second = userOf("a", "second");
    await done(world.server("a").invite({ roomId: room.roomId, userId: alice, target: second }));
    await done(world.server("a").join({ roomId: room.roomId, userId: second }));
    expect(await codeOf(world.server("a").invite({ roomId: room.roomId, userId: second, target: bob }))).toBe(
      "auth_rejected",
    );
    expect(world.calls).toEqual([]);
  });

  it("follows a phone number that the host's resolver knows [cap:identity]", async () => {
    const world = new World();
    const phone = { medium: "msisdn", address: "447700900111" };
    await world.add("a", { identity: createListIdentity([{ ...phone, userId: bob }]) });
    await world.add("b");
    const room = await privateRoom(world, "I.1");
    const request = { roomId: room.roomId, userId: alice };
    const invite = await done(world.server("a").inviteIdentifier({ ...request, identifier: phone }));
    expect(invite.stateKey).toBe(bob);
    expect(await world.server("b").roomsOf(bob)).toHaveLength(1);
    const unknown = { medium: "msisdn", address: "447700900222" };
    expect(await codeOf(world.server("a").inviteIdentifier({ ...request, identifier: unknown }))).toBe(
      "bad_identifier",
    );
  });

  describe("seen from the invited side", () => {
    /** An invite as a server would send it, with parts of the request replaced. */
    async function offered(
      change: (request: OperationRequest<"invite">) => OperationRequest<"invite">,
      version: string = "10",
      from: string = "a",
    ): Promise<string> {
      const world = await worldOf("a", "b");
      const room = await privateRoom(world, version);
      let request: OperationRequest<"invite"> | undefined;
      world.intercept((call) => {
        if (call.name !== "invite") return undefined;
        request = call.request as OperationRequest<"invite">;
        return Promise.resolve({ ok: false, error: { code: "unreachable", reason: "kept" } });
      });
      await world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob });
      world.intercept(undefined);
      if (request === undefined) throw new Error("no invite was sent");
      const code = await codeOf(world.ask(from, "b", "invite", change(request)));
      const stored = await world.node("b").storage.readOutside();
      expect(stored, "what is refused is not kept").toHaveLength(code === "ok" ? 1 : 0);
      expect(world.faults()).toEqual([]);
      return code;
    }
    const changed =
      (change: (event: JsonObject) => JsonObject, version: string = "10") =>
      (request: OperationRequest<"invite">): OperationRequest<"invite"> => ({
        ...request,
        event: signedBy(version, "a", change(withKey(request.event as JsonObject, "signatures", undefined))),
      });

    it("it is taken as it was sent", async () => {
      expect(await offered((request) => request)).toBe("ok");
    });

    it("its room version has to be known, and is named when it is not", async () => {
      expect(await offered((request) => ({ ...request, roomVersion: "org.unknown" }))).toBe(
        "incompatible_room_version",
      );
    });

    it("it comes from the server of its sender", async () => {
      expect(await offered((request) => request, "10", "c")).toBe("invalid_param");
    });

    it("it is for a user of this server, and an invite, and of the room that is named", async () => {
      expect(await offered(changed((event) => ({ ...event, state_key: carol })))).toBe("invalid_param");
      expect(await offered(changed((event) => ({ ...event, content: { membership: "join" } })))).toBe("invalid_param");
      expect(await offered(changed((event) => ({ ...event, type: "m.room.topic" })))).toBe("invalid_param");
      expect(await offered((request) => ({ ...request, roomId: "!other:a.example" }))).toBe("invalid_param");
    });

    it("it is signed by its sender's server and has the hash of its content", async () => {
      expect(
        await offered((request) => ({ ...request, event: withKey(request.event as JsonObject, "signatures", {}) })),
      ).toBe("invalid_param");
      expect(
        await offered((request) => ({ ...request, event: { ...(request.event as JsonObject), origin_server_ts: 1 } })),
      ).toBe("invalid_param");
    });

    it("in version 12 the create event comes with it, and is the one whose hash names the room", async () => {
      expect(await offered((request) => request, "12")).toBe("ok");
      expect(await offered((request) => ({ ...request, inviteRoomState: [] }), "12")).toBe("invalid_param");
      const forged = { type: "m.room.create", state_key: "", sender: carol, content: { room_version: "12" } };
      expect(await offered((request) => ({ ...request, inviteRoomState: [forged] }), "12")).toBe("invalid_param");
    });
  });
});

describe.each(VERSIONS)("an invite that is offered [cap:invite v:%s]", (version) => {
  /** What b answers to the invite that a would send, changed; and what it keeps of it. */
  async function offer(change: (request: OperationRequest<"invite">) => OperationRequest<"invite">) {
    const world = await worldOf("a", "b");
    const room = await privateRoom(world, version);
    await done(
      world.server("a").setState({ roomId: room.roomId, userId: alice, type: "m.room.name", content: { name: "n" } }),
    );
    let request: OperationRequest<"invite"> | undefined;
    world.intercept((call) => {
      if (call.name !== "invite") return undefined;
      request = call.request as OperationRequest<"invite">;
      return Promise.resolve({ ok: false, error: { code: "unreachable", reason: "kept" } });
    });
    await world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob });
    world.intercept(undefined);
    if (request === undefined) throw new Error("no invite was sent");
    const sent = change(request);
    const answer = await world.ask("a", "b", "invite", sent);
    const [kept] = await world.node("b").storage.readOutside(bob);
    expect(world.faults()).toEqual([]);
    return { answer, kept, sent, code: answer.ok ? "ok" : answer.error.code, shown: shownOf(kept?.state) };
  }
  const shownOf = (state: readonly JsonObject[] = []): readonly unknown[] => state.map((event) => get(event, "type"));
  const entry = (request: OperationRequest<"invite">, type: string): JsonObject => {
    const found = request.inviteRoomState.find((event) => isObject(event) && get(event, "type") === type);
    if (!isObject(found)) throw new Error(`no ${type} is shown`);
    return found;
  };
  const without = (request: OperationRequest<"invite">, type: string): readonly JsonValue[] =>
    request.inviteRoomState.filter((event) => !isObject(event) || get(event, "type") !== type);
  const strict = version === "12";

  it("comes back as it was sent with one more signature, and without what was beside it", async () => {
    const unsigned = { age: 3, invite_room_state: [], garbage: true };
    const { answer, kept, sent } = await offer((request) => ({
      ...request,
      event: { ...(request.event as JsonObject), unsigned },
    }));
    if (!answer.ok) throw new Error(answer.error.reason);
    const expected = cosignedBy(version, "b", withKey(sent.event as JsonObject, "unsigned", undefined));
    expect(answer.value.event).toEqual(expected);
    expect(kept?.event).toEqual(expected);
  });

  it("is shown with the four keys of each entry, and nothing else of it", async () => {
    const { kept, sent } = await offer((request) => request);
    expect(sent.inviteRoomState.every((event) => isObject(event) && isObject(get(event, "signatures")))).toBe(true);
    expect(shownOf(kept?.state)).toEqual(["m.room.create", "m.room.join_rules", "m.room.name", "m.room.member"]);
    for (const event of kept?.state ?? []) expect(Object.keys(event).sort()).toEqual(STRIPPED);
  });

  it("may be shown by stripped state before version 12, and from then on by whole events alone", async () => {
    const strip = (event: JsonValue): JsonObject =>
      isObject(event) ? Object.fromEntries(STRIPPED.map((key) => [key, get(event, key) ?? ""])) : {};
    const { code, shown } = await offer((request) => ({
      ...request,
      inviteRoomState: request.inviteRoomState.map(strip),
    }));
    expect(code).toBe(strict ? "invalid_param" : "ok");
    expect(shown).toHaveLength(strict ? 0 : 4);
  });

  it("shows no entry of another room, and in version 12 is refused for it", async () => {
    const stray = signedBy(version, "a", {
      ...templateOf("!other:a.example", alice),
      type: "m.room.topic",
      state_key: "",
      content: { topic: "stray" },
      origin_server_ts: 1,
      ...(version === "1" ? { event_id: "$stray:a.example" } : {}),
    });
    const entries: readonly JsonValue[] = [stray, withKey(stray, "signatures", undefined), "no object", null, 5];
    for (const event of entries) {
      const { code, shown } = await offer((request) => ({
        ...request,
        inviteRoomState: [...request.inviteRoomState, event],
      }));
      expect(code).toBe(strict ? "invalid_param" : "ok");
      expect(shown).not.toContain("m.room.topic");
    }
  });

  it("shows no entry whose signature does not hold, and in version 12 is refused for it", async () => {
    const { code, shown } = await offer((request) => {
      const forged = { ...entry(request, "m.room.name"), origin_server_ts: 5 };
      return { ...request, inviteRoomState: [...without(request, "m.room.name"), forged] };
    });
    expect(code).toBe(strict ? "invalid_param" : "ok");
    expect(shown).not.toContain("m.room.name");
  });

  it("without the create event is refused in version 12, and needs to show nothing before", async () => {
    const { code } = await offer((request) => ({ ...request, inviteRoomState: without(request, "m.room.create") }));
    expect(code).toBe(strict ? "invalid_param" : "ok");
    const none = await offer((request) => ({ ...request, inviteRoomState: "none" as never }));
    expect(none.code).toBe(strict ? "invalid_param" : "ok");
    expect(none.shown).toEqual([]);
  });

  it("is shown with no more than twenty entries", async () => {
    const { shown } = await offer((request) => ({
      ...request,
      inviteRoomState: [...request.inviteRoomState, ...Array.from({ length: 40 }, () => entry(request, "m.room.name"))],
    }));
    expect(shown).toHaveLength(20);
  });
});

describe("a template that another server made", () => {
  const lies: readonly {
    readonly what: string;
    readonly change: (template: JsonObject) => JsonObject;
    readonly version?: string;
  }[] = [
    { what: "another room", change: (event) => ({ ...event, room_id: "!other:a.example" }) },
    { what: "another sender", change: (event) => ({ ...event, sender: userOf("b", "admin") }) },
    { what: "another state key", change: (event) => ({ ...event, state_key: userOf("b", "admin") }) },
    { what: "another type", change: (event) => ({ ...event, type: "m.room.power_levels" }) },
    { what: "another membership", change: (event) => ({ ...event, content: { membership: "ban" } }) },
    { what: "content that is no object", change: (event) => ({ ...event, content: "join" }) },
    { what: "an unknown version", change: (event) => event, version: "org.unknown" },
    { what: "a version with another form of room id", change: (event) => event, version: "12" },
    { what: "a depth that is no integer", change: (event) => ({ ...event, depth: "5" }) },
    { what: "references that are no list", change: (event) => ({ ...event, prev_events: {} }) },
  ];

  it.each(lies)("is not signed when it is for $what", async ({ change, version: roomVersion = "10" }) => {
    for (const membership of ["join", "knock", "leave"] as const) {
      const world = await worldOf("b");
      const sent: unknown[] = [];
      const make = ({ roomId, userId }: { readonly roomId: string; readonly userId: string }): unknown => ({
        roomVersion,
        event: change(withKey(templateOf(roomId, userId), "content", { membership })),
      });
      const send = ({ event }: { readonly event: unknown }): unknown => {
        sent.push(event);
        return refusal("forbidden");
      };
      world.peer("a", {
        make_join: make,
        make_knock: make,
        make_leave: make,
        send_join: send,
        send_knock: send,
        send_leave: send,
      });
      const request = { roomId: "!room:a.example", userId: bob, via: ["a.example"] };
      const server = world.server("b");
      const tried =
        membership === "join"
          ? server.join(request)
          : membership === "knock"
            ? server.knock(request)
            : server.leave(request);
      expect(await codeOf<unknown>(tried)).not.toBe("ok");
      expect(sent).toEqual([]);
    }
  });

  it("lends nothing but its place in the graph and the name of who authorises", async () => {
    const world = await worldOf("b");
    const sent: JsonObject[] = [];
    world.peer("a", {
      make_join: ({ roomId, userId }) => ({
        roomVersion: "10",
        event: {
          ...templateOf(roomId, userId),
          content: {
            membership: "join",
            join_authorised_via_users_server: alice,
            displayname: "forged",
            third_party_invite: {},
          },
          origin_server_ts: 1,
          redacts: "$forged",
          unsigned: { forged: true },
          signatures: { "b.example": { "ed25519:forged": "AA" } },
        },
      }),
      send_join: ({ event }) => {
        sent.push(event as JsonObject);
        return refusal("forbidden");
      },
    });
    await world.server("b").join({ roomId: "!room:a.example", userId: bob, via: ["a.example"], reason: "hello" });
    const [event] = sent;
    expect(event?.["content"]).toEqual({
      membership: "join",
      join_authorised_via_users_server: alice,
      reason: "hello",
    });
    expect(event?.["origin_server_ts"]).toBe(world.clock.now());
    expect(Object.keys(event ?? {}).sort()).toEqual(
      [
        "auth_events",
        "content",
        "depth",
        "hashes",
        "origin_server_ts",
        "prev_events",
        "room_id",
        "sender",
        "signatures",
        "state_key",
        "type",
      ].sort(),
    );
    expect(Object.keys((event?.["signatures"] ?? {}) as JsonObject)).toEqual(["b.example"]);
  });

  it("is not believed about the version of a room that was joined before", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    await done(world.server("b").leave({ roomId, userId: bob }));
    await world.deliver();
    world.intercept(async (call, proceed) => {
      if (call.name !== "make_join") return proceed();
      const answer = await proceed();
      return answer.ok ? { ok: true, value: { ...answer.value, roomVersion: "9" } as never } : answer;
    });
    expect(await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }))).toBe("bad_format");
    expect(world.callsOf("send_join").filter(({ from }) => from === "b.example")).toHaveLength(1);
  });

  it("is found out when the create event of the joined room names another version", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a");
    world.intercept(async (call, proceed) => {
      if (call.name !== "make_join") return proceed();
      const answer = await proceed();
      return answer.ok ? { ok: true, value: { ...answer.value, roomVersion: "9" } as never } : answer;
    });
    expect(await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }))).toBe("bad_format");
    expect(await world.server("b").room(roomId)).toBeUndefined();
    expect(await world.node("b").storage.readIntents()).toEqual([]);
  });
});

describe("what a server of the room refuses to who asks for a template", () => {
  const V = "10";
  type Ask = "make_join" | "make_knock" | "make_leave";
  interface Case {
    readonly what: string;
    readonly code: string;
    /** Which of the three are refused so; all by default. */
    readonly of?: readonly Ask[];
    readonly rule?: string;
    readonly request?: object;
    readonly from?: string;
    readonly prepare?: (world: World, roomId: string) => Promise<unknown>;
  }
  const versioned: readonly Ask[] = ["make_join", "make_knock"];
  const cases: readonly Case[] = [
    { what: "another server asks", code: "forbidden", from: "c" },
    { what: "the user id is none", code: "forbidden", request: { userId: "nobody" } },
    { what: "the user is of this server", code: "forbidden", request: { userId: alice } },
    { what: "the user id is no text", code: "bad_request", request: { userId: 5 } },
    { what: "the room id is no text", code: "bad_request", request: { roomId: [] } },
    { what: "the room is not known", code: "not_found", request: { roomId: "!no:a.example" } },
    { what: "the room id is none", code: "not_found", request: { roomId: "" } },
    {
      what: "this server has left the room",
      code: "not_found",
      prepare: (world, roomId) => done(world.server("a").leave({ roomId, userId: alice })),
    },
    {
      what: "the version is not among those that are known",
      code: "incompatible_room_version",
      of: versioned,
      request: { versions: ["9", "11"] },
    },
    {
      what: "no version is known",
      code: "incompatible_room_version",
      of: versioned,
      request: { versions: [] },
    },
    {
      what: "the versions are no texts",
      code: "incompatible_room_version",
      of: versioned,
      request: { versions: [10, ["10"]] },
    },
    { what: "the versions are no list", code: "missing_param", of: versioned, request: { versions: V } },
    {
      what: "who joins names no version: it knows version 1",
      code: "incompatible_room_version",
      of: ["make_join"],
      request: { versions: undefined },
    },
    {
      what: "who knocks names no version",
      code: "missing_param",
      of: ["make_knock"],
      request: { versions: undefined },
    },
    {
      what: "the user is banned",
      code: "forbidden",
      rule: "public",
      prepare: (world, roomId) => done(world.server("a").ban({ roomId, userId: alice, target: bob })),
    },
    { what: "the room is for the invited", code: "forbidden", rule: "invite", of: versioned },
    { what: "one knocks in a public room", code: "forbidden", rule: "public", of: ["make_knock"] },
    {
      what: "one knocks who is invited",
      code: "forbidden",
      rule: "knock",
      of: ["make_knock"],
      prepare: (world, roomId) => done(world.server("a").invite({ roomId, userId: alice, target: bob })),
    },
    {
      what: "one knocks who is joined",
      code: "forbidden",
      of: ["make_knock"],
      prepare: async (world, roomId) => {
        await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }));
        await setRule(world, roomId, "knock");
      },
    },
    { what: "one joins who only knocks may", code: "forbidden", rule: "knock", of: ["make_join"] },
    { what: "one leaves who is not there", code: "forbidden", of: ["make_leave"] },
  ];
  const all: readonly Ask[] = ["make_join", "make_knock", "make_leave"];

  async function setRule(world: World, roomId: string, rule: string): Promise<void> {
    const request = { roomId, userId: alice, type: "m.room.join_rules", content: { join_rule: rule } };
    await done(world.server("a").setState(request));
  }

  it.each(cases.flatMap((one) => (one.of ?? all).map((name) => ({ ...one, name }))))(
    "$name is answered $code when $what",
    async ({ name, code, rule, request, from = "b", prepare }) => {
      const world = await worldOf("a", "b", "c");
      const roomId = await world.shared(V, "a");
      if (rule !== undefined) await setRule(world, roomId, rule);
      await prepare?.(world, roomId);
      await world.deliver();
      const before = await rowsOf(world.node("a").storage);
      const asked = { roomId, userId: bob, versions: [V], ...request };
      const answer = await world.ask(from, "a", name, asked);
      expect(answer.ok ? "ok" : answer.error.code).toBe(code);
      const named = answer.ok ? undefined : answer.error.roomVersion;
      expect(named).toBe(code === "incompatible_room_version" ? V : undefined);
      expect(await rowsOf(world.node("a").storage)).toEqual(before);
      expect(world.faults()).toEqual([]);
    },
  );

  it("and who joins a room of version 1 need name no version", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("1", "a");
    const asked = { roomId, userId: bob } as OperationRequest<"make_join">;
    expect(await codeOf(world.ask("b", "a", "make_join", asked))).toBe("ok");
  });
});

describe.each([
  ["send_join", "join"],
  ["send_knock", "knock"],
  ["send_leave", "leave"],
] as const)("what %s refuses", (name, membership) => {
  const V = "10";
  interface Handed {
    readonly what: string;
    readonly code: string;
    readonly event: (good: JsonObject) => JsonValue;
    readonly from?: string;
    readonly roomId?: string;
  }
  const signed = (event: JsonObject): JsonObject => signedBy(V, "b", event);
  const other = membership === "join" ? "knock" : "join";
  const cases: readonly Handed[] = [
    { what: "no object", code: "invalid_param", event: () => "event" },
    { what: "nothing", code: "invalid_param", event: () => null },
    { what: "a list", code: "invalid_param", event: (good) => [signed(good)] },
    { what: "another type", code: "invalid_param", event: (good) => signed({ ...good, type: "m.room.topic" }) },
    { what: "no type", code: "invalid_param", event: (good) => signed(withKey(good, "type", undefined)) },
    {
      what: "another membership",
      code: "invalid_param",
      event: (good) => signed({ ...good, content: { membership: other } }),
    },
    {
      what: "an invite",
      code: "invalid_param",
      event: (good) => signed({ ...good, content: { membership: "invite" } }),
    },
    { what: "no membership", code: "invalid_param", event: (good) => signed({ ...good, content: {} }) },
    { what: "content that is none", code: "invalid_param", event: (good) => signed({ ...good, content: membership }) },
    {
      what: "another room's",
      code: "invalid_param",
      event: (good) => signed({ ...good, room_id: "!other:a.example" }),
    },
    { what: "no room's", code: "invalid_param", event: (good) => signed(withKey(good, "room_id", undefined)) },
    {
      what: "a user's of another server",
      code: "invalid_param",
      event: (good) => signedBy(V, "c", { ...good, sender: carol, state_key: carol }),
    },
    {
      what: "another sender's",
      code: "invalid_param",
      event: (good) => signed({ ...good, sender: userOf("b", "other") }),
    },
    { what: "no sender's", code: "invalid_param", event: (good) => signed(withKey(good, "sender", undefined)) },
    {
      what: "about somebody else",
      code: "invalid_param",
      event: (good) => signed({ ...good, state_key: userOf("b", "other") }),
    },
    { what: "about nobody", code: "invalid_param", event: (good) => signed(withKey(good, "state_key", undefined)) },
    { what: "unsigned", code: "invalid_param", event: (good) => hashEvent(good) },
    { what: "signed by another server", code: "invalid_param", event: (good) => signedBy(V, "c", good) },
    { what: "changed after it was signed", code: "invalid_param", event: (good) => ({ ...signed(good), depth: 99 }) },
    { what: "without hash", code: "invalid_param", event: (good) => withKey(signed(good), "hashes", undefined) },
    { what: "not canonical", code: "invalid_param", event: (good) => ({ ...signed(good), depth: 1.5 }) },
    {
      what: "too large",
      code: "too_large",
      event: (good) => signed({ ...good, content: { membership, filler: "x".repeat(65_536) } }),
    },
    { what: "handed over by another server", code: "invalid_param", event: signed, from: "c" },
    { what: "of a room that is not known", code: "not_found", event: signed, roomId: "!no:a.example" },
    {
      what: "resting on an event that nobody has",
      code: "not_found",
      event: (good) => signed({ ...good, prev_events: ["$nobody-has-this"] }),
    },
    {
      what: "refused by the rules",
      code: "forbidden",
      event: (good) => signed({ ...good, auth_events: [] }),
    },
  ];

  async function scene(): Promise<{ readonly world: World; readonly roomId: string; readonly good: JsonObject }> {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(V, "a");
    const content = { join_rule: membership === "knock" ? "knock" : "public" };
    await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.join_rules", content }));
    if (membership === "leave") await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    const draft = { type: "m.room.member", stateKey: bob, sender: bob, content: { membership } };
    return { world, roomId, good: await done((await world.room("a", roomId)).template(draft)) };
  }

  it.each(cases)("an event that is $what: $code", async ({ code, event, from = "b", roomId: named }) => {
    const { world, roomId, good } = await scene();
    const before = await rowsOf(world.node("a").storage);
    const sent = await world.ask(from, "a", name, { roomId: named ?? roomId, eventId: "$given", event: event(good) });
    expect(sent.ok ? "ok" : sent.error.code).toBe(code);
    expect(await rowsOf(world.node("a").storage)).toEqual(before);
    expect(world.faults()).toEqual([]);
  });

  it("and nothing of it when it is right, also when it comes again", async () => {
    const { world, roomId, good } = await scene();
    const event = signed(good);
    const first = await world.ask("b", "a", name, { roomId, eventId: "$given", event });
    expect(first.ok).toBe(true);
    const stored = await rowsOf(world.node("a").storage);
    expect(await world.ask("b", "a", name, { roomId, eventId: "$given", event })).toEqual(first);
    expect(await rowsOf(world.node("a").storage)).toEqual(stored);
    expect(await world.membership("a", roomId, bob)).toBe(membership);
    if (!first.ok) return;
    if (name === "send_leave") expect(first.value).toEqual({});
    if (name === "send_knock") {
      const create = previewIn(first, "knockRoomState").find((one) => get(one, "type") === "m.room.create");
      expect(create, "whole").toHaveProperty("signatures");
    }
  });
});

describe("a join that a server of the room is asked for", () => {
  it("is for a user of the server that asks, and in a version that it knows", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared("10", "a");
    const versions = ["9", "10"];
    expect(await codeOf(world.ask("b", "a", "make_join", { roomId, userId: bob, versions }))).toBe("ok");
    expect(await codeOf(world.ask("b", "a", "make_join", { roomId, userId: carol, versions }))).toBe("forbidden");
    const old = await world.ask("b", "a", "make_join", { roomId, userId: bob, versions: ["1"] });
    expect(old).toMatchObject({ ok: false, error: { code: "incompatible_room_version", roomVersion: "10" } });
    expect(await codeOf(world.ask("b", "a", "make_join", { roomId: "!no:a.example", userId: bob, versions }))).toBe(
      "not_found",
    );
  });

  it("is refused at both steps by the host's policy [cap:policy-hooks]", async () => {
    const world = new World();
    const blocked = new Set<string>();
    await world.add("a", {
      policy: {
        checkJoin: ({ userId }) => (blocked.has(userId) ? { code: "blocked", reason: "blocked here" } : undefined),
      },
    });
    await world.add("b");
    const roomId = await world.shared("10", "a");
    const made = await world.ask("b", "a", "make_join", { roomId, userId: bob, versions: ["10"] });
    if (!made.ok) throw new Error(made.error.reason);
    blocked.add(bob);
    expect(await codeOf(world.ask("b", "a", "make_join", { roomId, userId: bob, versions: ["10"] }))).toBe(
      "policy_refused",
    );
    const event = signedBy("10", "b", { ...(made.value.event as JsonObject), origin_server_ts: 1 });
    expect(await codeOf(world.ask("b", "a", "send_join", { roomId, eventId: "$given", event }))).toBe("policy_refused");
    expect(await world.membership("a", roomId, bob)).toBe("leave");
    blocked.clear();
    expect(await codeOf(world.ask("b", "a", "send_join", { roomId, eventId: "$given", event }))).toBe("ok");
  });

  it("is refused as it is handed over, for every way in which it can be wrong", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared("10", "a");
    const made = await world.ask("b", "a", "make_join", { roomId, userId: bob, versions: ["10"] });
    if (!made.ok) throw new Error(made.error.reason);
    const good = { ...(made.value.event as JsonObject), origin_server_ts: 1 };
    const before = await world.view("a", roomId);
    const handed = (event: JsonObject, from: string = "b"): Promise<string> =>
      codeOf(world.ask(from, "a", "send_join", { roomId, eventId: "$given", event }));
    const wrong: readonly JsonObject[] = [
      { ...good, type: "m.room.topic" },
      { ...good, content: { membership: "knock" } },
      { ...good, sender: carol, state_key: carol },
      { ...good, state_key: userOf("b", "other") },
      { ...good, room_id: "!other:a.example" },
    ];
    for (const event of wrong) expect(await handed(signedBy("10", "b", event))).toBe("invalid_param");
    expect(await handed(good), "no signature").toBe("invalid_param");
    expect(await handed(signedBy("10", "c", good)), "another's signature").toBe("invalid_param");
    expect(await handed(signedBy("10", "b", good), "c"), "another server hands it over").toBe("invalid_param");
    expect(await handed({ ...signedBy("10", "b", good), depth: 99 }), "changed after it was signed").toBe(
      "invalid_param",
    );
    expect(await world.view("a", roomId)).toEqual(before);
    expect(world.faults()).toEqual([]);
    expect(await handed(signedBy("10", "b", good))).toBe("ok");
    expect(await handed(signedBy("10", "b", good)), "again").toBe("ok");
  });

  it("answers the state before the join, and an auth chain that everything in it rests on", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared("10", "a");
    const made = await world.ask("b", "a", "make_join", { roomId, userId: bob, versions: ["10"] });
    if (!made.ok) throw new Error(made.error.reason);
    const event = signedBy("10", "b", { ...(made.value.event as JsonObject), origin_server_ts: 1 });
    const before = [...(await world.room("a", roomId)).current.events()].map(({ type }) => type).sort();
    const sent = await world.ask("b", "a", "send_join", { roomId, eventId: "$given", event });
    if (!sent.ok) throw new Error(sent.error.reason);
    expect(sent.value.state.map((one) => (one as JsonObject)["type"]).sort()).toEqual(before);
    expect(sent.value.state.some((one) => (one as JsonObject)["state_key"] === bob)).toBe(false);
    expect(sent.value.event).toEqual(event);
  });

  it("is refused in a room that only lets the invited in", async () => {
    const world = await worldOf("a", "b");
    const room = await privateRoom(world, "10");
    const refused = world.server("b").join({ roomId: room.roomId, userId: bob, via: ["a.example"] });
    expect(await codeOf(refused)).toBe("refused_by_peer");
    expect(await world.server("b").room(room.roomId)).toBeUndefined();
    expect(await world.node("b").storage.readIntents()).toEqual([]);
  });

  it("is given up when the caller cancels, and leaves nothing to be taken up later", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a");
    const listeners = new Set<() => void>();
    const cancel = {
      aborted: false,
      onAbort: (listener: () => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
    world.intercept((call, proceed) => {
      if (call.name !== "send_join") return undefined;
      cancel.aborted = true;
      for (const listener of [...listeners]) listener();
      return proceed();
    });
    expect(await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example"], cancel }))).toBe("cancelled");
    expect(await world.node("b").storage.readIntents()).toEqual([]);
    expect(await world.server("b").room(roomId)).toBeUndefined();
  });

  it("ends when a server never answers", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a");
    world.intercept((call) => (call.to === "silent.example" ? new Promise<never>(() => undefined) : undefined));
    const joining = done(world.server("b").join({ roomId, userId: bob, via: ["silent.example", "a.example"] }));
    await world.pass(60_000);
    await joining;
    expect(await world.membership("a", roomId, bob)).toBe("join");
  });
});

describe.each(["8", "10", "11", "12", "I.1"])("a restricted room of version %s", (version) => {
  /** A room that lets in whoever is in `allowed`. */
  async function restricted(world: World, allowed: readonly string[], levels: JsonObject = {}) {
    const allow = allowed.map((roomId) => ({ type: "m.room_membership", room_id: roomId }));
    return done(
      world.server("a").create({
        version,
        creator: alice,
        powerLevels: levels,
        initialState: [{ type: "m.room.join_rules", content: { join_rule: "restricted", allow } }],
      }),
    );
  }

  it("lets in members of the other room with the signature of the server that authorised it", async () => {
    const world = await worldOf("a", "b", "c");
    const lobby = await world.shared(version, "a", "b");
    const room = await restricted(world, [lobby]);
    await done(world.server("b").join({ roomId: room.roomId, userId: bob, via: ["a.example"] }));
    await world.deliver();
    for (const name of ["a", "b"]) {
      const join = (await world.room(name, room.roomId)).state("m.room.member", bob);
      expect(get(join?.content ?? {}, "join_authorised_via_users_server")).toBe(alice);
      const view = await (await world.room(name, room.roomId)).event(join?.eventId ?? "");
      expect(signersOf(view?.original ?? {})).toEqual(["a.example", "b.example"]);
    }
    expect(await world.view("b", room.roomId)).toEqual(await world.view("a", room.roomId));
    expect(await codeOf(world.server("c").join({ roomId: room.roomId, userId: carol, via: ["a.example"] }))).toBe(
      "refused_by_peer",
    );
  });

  it("says which of three things is in the way", async () => {
    const world = await worldOf("a", "b", "c");
    const lobby = await world.shared(version, "a", "b");
    const strange = await world.shared(version, "c");
    const versions = [version];
    const ask = async (to: string, roomId: string, userId: string): Promise<string> =>
      codeOf(world.ask(domainOf(userId) ?? "", to, "make_join", { roomId, userId, versions }));
    const known = await restricted(world, [lobby]);
    expect(await ask("a", known.roomId, carol), "in none of the rooms").toBe("forbidden");
    const unknown = await restricted(world, [strange]);
    expect(await ask("a", unknown.roomId, carol), "the other room is not known here").toBe("unable_to_authorise_join");
    const nobody = await done(
      world.server("a").create({
        version,
        creator: alice,
        preset: "public",
        powerLevels: { invite: 50, users: version === "12" ? {} : { [alice]: 100 } },
      }),
    );
    await done(world.server("b").join({ roomId: nobody.roomId, userId: bob, via: ["a.example"] }));
    await world.deliver();
    await done(
      world.server("a").setState({
        roomId: nobody.roomId,
        userId: alice,
        type: "m.room.join_rules",
        content: { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: lobby }] },
      }),
    );
    await world.deliver();
    const second = userOf("b", "second");
    await done(world.server("b").join({ roomId: lobby, userId: second }));
    await world.deliver();
    expect(await codeOf(world.ask("b", "a", "make_join", { roomId: nobody.roomId, userId: second, versions }))).toBe(
      "ok",
    );
    await done(world.server("c").join({ roomId: lobby, userId: carol, via: ["a.example"] }));
    await world.deliver();
    expect(await ask("b", nobody.roomId, carol), "bob may not invite").toBe("unable_to_grant_join");
    // The server that can neither grant nor tell is not the last that is asked.
    await done(world.server("c").join({ roomId: nobody.roomId, userId: carol, via: ["b.example", "a.example"] }));
    await world.deliver();
    expect(
      world
        .callsOf("make_join")
        .slice(-2)
        .map(({ to }) => to),
    ).toEqual(["b.example", "a.example"]);
    expect(await world.view("c", nobody.roomId)).toEqual(await world.view("a", nobody.roomId));
  });

  it("is asked for at another server when the own one, though in the room, can grant nothing", async () => {
    const world = await worldOf("a", "b");
    const lobby = await world.shared(version, "a", "b");
    const room = await restricted(world, [lobby], {
      invite: 50,
      users: version === "12" ? {} : { [alice]: 100 },
    });
    await done(world.server("b").join({ roomId: room.roomId, userId: bob, via: ["a.example"] }));
    const second = userOf("b", "second");
    await done(world.server("b").join({ roomId: lobby, userId: second }));
    await world.deliver();
    await done(world.server("b").join({ roomId: room.roomId, userId: second }));
    await world.deliver();
    expect(await world.membership("a", room.roomId, second)).toBe("join");
    expect(await world.view("b", room.roomId)).toEqual(await world.view("a", room.roomId));
    await done(world.say("b", room.roomId, "in", second));
    await world.deliver();
    expect(await world.view("b", room.roomId)).toEqual(await world.view("a", room.roomId));
  });

  it("needs no authoriser for who was invited", async () => {
    const world = await worldOf("a", "b");
    const room = await restricted(world, []);
    await done(world.server("a").invite({ roomId: room.roomId, userId: alice, target: bob }));
    await done(world.server("b").join({ roomId: room.roomId, userId: bob }));
    const join = (await world.room("b", room.roomId)).state("m.room.member", bob);
    expect(join?.content).toEqual({ membership: "join" });
  });

  it("grants nothing to a join that names an authoriser and was never asked for", async () => {
    const world = await worldOf("a", "b");
    const lobby = await world.shared(version, "a");
    const room = await restricted(world, [lobby]);
    const made = await done(room.template({ type: "m.room.member", stateKey: bob, sender: bob, content: {} }));
    const content = { membership: "join", join_authorised_via_users_server: alice };
    const event = signedBy(version, "b", { ...made, content });
    expect(await codeOf(world.ask("b", "a", "send_join", { roomId: room.roomId, eventId: "$given", event }))).toBe(
      "forbidden",
    );
    expect(room.current.membership(bob)).toBe("leave");
  });
});

describe("knocking", () => {
  const knockable = (version: string): JsonObject =>
    version === "10" || version === "12" ? { join_rule: "knock_restricted", allow: [] } : { join_rule: "knock" };

  it.each(["7", "10", "11", "12", "I.1"])(
    "leads to an invite and a join [cap:knock-handshake v:%s]",
    async (version) => {
      const world = await worldOf("a", "b", "c");
      const room = await privateRoom(world, version, { join_rule: "invite" });
      const { roomId } = room;
      await done(world.server("a").invite({ roomId, userId: alice, target: carol }));
      await done(world.server("c").join({ roomId, userId: carol }));
      await world.deliver();
      const rules = { roomId, userId: alice, type: "m.room.join_rules", content: knockable(version) };
      await done(world.server("a").setState(rules));
      await world.deliver();
      const knock = await done(
        world.server("b").knock({ roomId, userId: bob, via: ["a.example"], reason: "let me in" }),
      );
      await world.deliver();
      expect(knock["content"]).toEqual({ membership: "knock", reason: "let me in" });
      for (const name of ["a", "c"]) expect(await world.membership(name, roomId, bob)).toBe("knock");
      const [outside] = await world.server("b").roomsOf(bob);
      expect(outside).toMatchObject({ roomId, membership: "knock" });
      const answered = world.callsOf("send_knock").flatMap(({ answer }) => previewIn(answer, "knockRoomState"));
      expect(
        answered.find((event) => get(event, "type") === "m.room.create"),
        "whole",
      ).toHaveProperty("signatures");
      const kept = outside?.outside?.state ?? [];
      expect(kept.map((event) => get(event, "type"))).toContain("m.room.create");
      for (const event of kept) expect(Object.keys(event).sort(), "stripped").toEqual(STRIPPED);
      await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
      expect(await world.server("b").roomsOf(bob)).toMatchObject([{ membership: "invite" }]);
      await done(world.server("b").join({ roomId, userId: bob }));
      await world.deliver();
      await expectSame(world, roomId, "a", "b", "c");
    },
  );

  it("is taken back by leaving", async () => {
    const world = await worldOf("a", "b");
    const room = await privateRoom(world, "7", { join_rule: "knock" });
    const { roomId } = room;
    await done(world.server("b").knock({ roomId, userId: bob, via: ["a.example"] }));
    await done(world.server("b").leave({ roomId, userId: bob, via: ["a.example"] }));
    expect(room.current.membership(bob)).toBe("leave");
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
  });

  it("is refused where the rule does not ask for it, and in versions without it", async () => {
    const world = await worldOf("a", "b");
    for (const [version, rule] of [
      ["7", "invite"],
      ["10", "restricted"],
      ["6", "knock"],
      ["9", "knock_restricted"],
    ] as const) {
      const { roomId } = await privateRoom(world, version, { join_rule: rule });
      expect(await codeOf(world.server("b").knock({ roomId, userId: bob, via: ["a.example"] }))).toBe(
        "refused_by_peer",
      );
    }
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
  });

  it("asks the host's policy, for local users too [cap:policy-hooks]", async () => {
    const world = new World();
    const policy = createListPolicy({ blockedUsers: [bob, userOf("a", "second")] });
    await world.add("a", { policy });
    await world.add("b");
    const { roomId } = await privateRoom(world, "10", { join_rule: "knock" });
    expect(await codeOf(world.server("b").knock({ roomId, userId: bob, via: ["a.example"] }))).toBe("refused_by_peer");
    expect(await codeOf(world.server("a").knock({ roomId, userId: userOf("a", "second") }))).toBe("policy_refused");
  });
});

describe.each(VERSIONS)("an invite or knock that the room turns down, in version %s", (version) => {
  const hasKnocks = !["1", "6"].includes(version);

  it.each(["kick", "ban"] as const)("ends by a %s: the user's server is told, and shows it no more", async (act) => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(version, "a", "c");
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    expect(await world.server("b").roomsOf(bob)).toHaveLength(1);
    await done(world.server("a")[act]({ roomId, userId: alice, target: bob }));
    await world.deliver();
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
    expect(await world.server("b").room(roomId)).toBeUndefined();
    await expectSame(world, roomId, "a", "c");
    world.calls.length = 0;
    await done(world.say("a", roomId, "nothing more is sent there"));
    await world.deliver();
    expect(world.callsOf("send").map(({ to }) => to)).toEqual(["c.example"]);
    expect(world.faults()).toEqual([]);
  });

  it("stays when a server says so that it did not come from", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(version, "a", "c");
    const users = version === "12" ? { [carol]: 100 } : { [alice]: 100, [carol]: 100 };
    const levels = { roomId, userId: alice, type: "m.room.power_levels", content: { users } };
    await done(world.server("a").setState(levels));
    await world.deliver();
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    await world.deliver();
    await done(world.server("c").kick({ roomId, userId: carol, target: bob }));
    await world.deliver();
    expect(await world.membership("a", roomId, bob)).toBe("leave");
    expect(await world.server("b").roomsOf(bob)).toHaveLength(1);
    expect(await codeOf(world.server("b").leave({ roomId, userId: bob }))).toBe("refused_by_peer");
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
  });

  if (hasKnocks) {
    it("ends by the word of any server of the room, if it was a knock", async () => {
      const world = await worldOf("a", "b", "c");
      const roomId = await world.shared(version, "a", "c");
      const users = version === "12" ? { [carol]: 100 } : { [alice]: 100, [carol]: 100 };
      await done(
        world.server("a").setState({ roomId, userId: alice, type: "m.room.power_levels", content: { users } }),
      );
      const rules = { roomId, userId: alice, type: "m.room.join_rules", content: { join_rule: "knock" } };
      await done(world.server("a").setState(rules));
      await world.deliver();
      await done(world.server("b").knock({ roomId, userId: bob, via: ["a.example"] }));
      await world.deliver();
      expect(await world.server("b").roomsOf(bob)).toMatchObject([{ membership: "knock" }]);
      await done(world.server("c").kick({ roomId, userId: carol, target: bob }));
      await world.deliver();
      expect(await world.server("b").roomsOf(bob)).toEqual([]);
    });
  }

  it("stays when what would end it is forged, of another kind, or about another invite", async () => {
    const world = await worldOf("a", "b", "c");
    const room = await privateRoom(world, version);
    const { roomId } = room;
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    const kickOf = async (content: JsonObject): Promise<JsonObject> =>
      done(room.template({ type: "m.room.member", stateKey: bob, sender: alice, content }));
    const good = await kickOf({ membership: "leave" });
    const kick = signedBy(version, "a", good);
    const cited = room.state("m.room.member", bob)?.eventId ?? "";
    const references = (good["auth_events"] as readonly JsonValue[]).filter(
      (one) => (Array.isArray(one) ? (one as readonly JsonValue[])[0] : one) !== cited,
    );
    const events: readonly JsonValue[] = [
      good,
      signedBy(version, "c", good),
      withKey(kick, "signatures", {}),
      { ...kick, depth: 99 },
      signedBy(version, "a", { ...good, auth_events: references }),
      signedBy(version, "c", { ...good, sender: carol }),
      signedBy(version, "a", { ...good, type: "m.room.topic" }),
      signedBy(version, "a", { ...good, state_key: userOf("b", "second") }),
      signedBy(version, "a", { ...good, state_key: carol }),
      signedBy(version, "a", await kickOf({ membership: "invite" })),
      signedBy(version, "a", await kickOf({})),
    ];
    for (const [at, event] of events.entries()) {
      const sent = await world.ask("a", "b", "send", { transactionId: `t${at}`, pdus: [event] });
      expect(sent).toEqual({ ok: true, value: { pdus: {} } });
      expect(await world.server("b").roomsOf(bob), `event ${at}`).toHaveLength(1);
    }
    // Invited anew before the kick of the first invite arrives.
    await done(world.server("a").kick({ roomId, userId: alice, target: bob }));
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    await world.deliver();
    await world.ask("a", "b", "send", { transactionId: "late", pdus: [kick] });
    expect(await world.server("b").roomsOf(bob)).toHaveLength(1);
    // The one that is about the invite of now does end it.
    const now = signedBy(version, "a", await kickOf({ membership: "leave" }));
    const sent = await world.ask("a", "b", "send", { transactionId: "now", pdus: [now] });
    expect(sent).toEqual({ ok: true, value: { pdus: { [pduOf(version, now).eventId]: {} } } });
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
    expect(world.faults()).toEqual([]);
  });

  it("is what the room says once another user of the server is in it", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(version, "a");
    const second = userOf("b", "second");
    await done(world.server("a").invite({ roomId, userId: alice, target: second }));
    await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }));
    await world.deliver();
    expect(await world.server("b").roomsOf(second)).toEqual([{ roomId, membership: "invite" }]);
    await done(world.server("a").kick({ roomId, userId: alice, target: second }));
    await world.deliver();
    expect(await world.server("b").roomsOf(second)).toEqual([]);
  });
});

describe("leaving", () => {
  it("an invite that was taken back is not shown any more once its user wants to be rid of it", async () => {
    const world = await worldOf("a", "b");
    const { roomId } = await privateRoom(world, "10");
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    world.cut("a", "b");
    await done(world.server("a").kick({ roomId, userId: alice, target: bob }));
    await world.settle();
    world.heal("a", "b");
    expect(await world.server("b").roomsOf(bob)).toHaveLength(1);
    expect(await codeOf(world.server("b").leave({ roomId, userId: bob }))).toBe("refused_by_peer");
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
  });

  it("an invite stays while no server of the room can be reached", async () => {
    const world = await worldOf("a", "b");
    const { roomId } = await privateRoom(world, "10");
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    world.cut("a", "b");
    expect(await codeOf(world.server("b").leave({ roomId, userId: bob }))).toBe("unreachable");
    expect(await world.server("b").roomsOf(bob)).toHaveLength(1);
    world.heal("a", "b");
    expect(await codeOf(world.server("b").leave({ roomId, userId: bob }))).toBe("ok");
    expect(await world.membership("a", roomId, bob)).toBe("leave");
  });

  it("who left can be invited and join again, and sees what came meanwhile", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    await done(world.server("b").leave({ roomId, userId: bob }));
    await world.deliver();
    await done(world.say("a", roomId, "unheard"));
    const topic = { roomId, userId: alice, type: "m.room.topic", content: { topic: "changed" } };
    await done(world.server("a").setState(topic));
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    await done(world.server("b").join({ roomId, userId: bob }));
    await world.deliver();
    await expectSame(world, roomId, "a", "b");
    expect((await world.room("b", roomId)).control.topic).toBe("changed");
  });

  it("a user acts by the own server only", async () => {
    const world = await worldOf("a");
    const { roomId } = await privateRoom(world, "10");
    const server = world.server("a");
    for (const act of [
      () => server.join({ roomId, userId: bob }),
      () => server.leave({ roomId, userId: bob }),
      () => server.knock({ roomId, userId: bob }),
      () => server.invite({ roomId, userId: bob, target: dan }),
      () => server.kick({ roomId, userId: bob, target: dan }),
      () => server.upgrade({ roomId, userId: bob, version: "11" }),
      () => server.create({ version: "10", creator: bob }),
    ]) {
      await expect(async () => act()).rejects.toThrow(/of a\.example|own users/);
    }
    expect(nameOf("a")).toBe("a.example");
  });
});
