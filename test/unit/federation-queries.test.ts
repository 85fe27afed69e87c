/** What servers ask of each other beside rooms that they share: aliases, profiles, room lists, spaces, tokens. */
import { describe, expect, it } from "vitest";
import type { Directory, OperationAnswer, OperationName, OperationRequest } from "../../src/ports/index.js";
import type { CreateRoomOptions } from "../../src/engine/index.js";
import type { ServerOptions } from "../../src/federation/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { codeOf, done, nameOf, userOf, World } from "../support/servers.js";
import type { NodeOptions } from "../support/servers.js";

const alice = userOf("a");

/** Server `a` with a directory, and `b` that asks. */
async function worldWith(directory: Directory | undefined, options: NodeOptions = {}): Promise<World> {
  const world = new World();
  const ports: NodeOptions["ports"] = (given): ServerOptions =>
    directory === undefined ? given : { ...given, directory };
  await world.add("a", { ...options, ports });
  await world.add("b");
  return world;
}

async function make(world: World, options: Partial<CreateRoomOptions> = {}, name = "a"): Promise<string> {
  const room = await done(world.server(name).create({ version: "11", creator: userOf(name), ...options }));
  return room.roomId;
}

async function set(world: World, roomId: string, type: string, content: JsonObject, stateKey = ""): Promise<string> {
  const sent = await done(world.server("a").setState({ roomId, userId: alice, type, content, stateKey }));
  return sent.eventId;
}

/** The answer of `a` to `b`. */
async function asked<N extends OperationName>(
  world: World,
  name: N,
  request: OperationRequest<N>,
): Promise<OperationAnswer<N>> {
  const result = await world.ask("b", "a", name, request);
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.reason}`);
  return result.value;
}

function refusal<N extends OperationName>(world: World, name: N, request: OperationRequest<N>): Promise<string> {
  return codeOf(world.ask("b", "a", name, request));
}

/** A server that is played by the test and gives this for an answer, whatever it is. */
async function worldAgainst(name: OperationName, answer: unknown): Promise<World> {
  const world = new World();
  await world.add("b");
  world.peer("a", { [name]: () => answer });
  return world;
}

const failure = (code: string): unknown => ({ ok: false, error: { code, reason: "why" } });

describe("query_directory [cap:queries]", () => {
  const alias = "#room:a.example";

  it("gives the room behind an alias, and the servers that the host names", async () => {
    const world = await worldWith({ alias: (name) => ({ roomId: `!${name.slice(1)}`, servers: ["c.example"] }) });
    const expected = { roomId: "!room:a.example", servers: ["c.example"] };
    expect(await asked(world, "query_directory", { roomAlias: alias })).toEqual(expected);
    expect(await done(world.server("b").resolveAlias(alias))).toEqual(expected);
    expect(await done(world.server("a").resolveAlias(alias))).toEqual(expected);
    expect(world.callsOf("query_directory")).toHaveLength(1);
  });

  it("gives the servers in the room where the host names none", async () => {
    const target = { roomId: "" };
    const world = await worldWith({ alias: () => target });
    const roomId = await world.shared("11", "a", "b");
    target.roomId = roomId;
    expect(await done(world.server("b").resolveAlias(alias))).toEqual({ roomId, servers: ["a.example", "b.example"] });
    target.roomId = "!elsewhere:c.example";
    expect(await done(world.server("b").resolveAlias(alias))).toMatchObject({ servers: [] });
  });

  it("refuses aliases of other servers, and what is no alias, without asking the host", async () => {
    let times = 0;
    const alias = (): undefined => {
      times++;
    };
    const world = await worldWith({ alias });
    for (const roomAlias of ["#room:b.example", "#room:a.example:8448", "room", "#room", "", "@room:a.example"]) {
      expect(await refusal(world, "query_directory", { roomAlias })).toBe("invalid_param");
    }
    expect(times).toBe(0);
    expect(await codeOf(world.server("b").resolveAlias("room"))).toBe("bad_identifier");
    expect(world.callsOf("query_directory")).toEqual([]);
  });

  it("tells an alias that there is not from a server that cannot be had", async () => {
    const world = await worldWith(undefined);
    expect(await refusal(world, "query_directory", { roomAlias: alias })).toBe("not_found");
    expect(await done(world.server("b").resolveAlias(alias))).toBeUndefined();
    world.cut("a", "b");
    expect(await codeOf(world.server("b").resolveAlias(alias))).toBe("unreachable");
  });

  it("waits no longer for an answer than the limit says", async () => {
    const world = await worldWith({ alias: () => new Promise(() => undefined) });
    const waiting = codeOf(world.server("b").resolveAlias(alias));
    await world.pass(60_000);
    expect(await waiting).toBe("unreachable");
  });

  it("takes from an answer what is a room and what are servers", async () => {
    const world = await worldAgainst("query_directory", {
      roomId: "!r:a.example",
      servers: ["a.example", 5, "not a server", null, "b.example:8448"],
    });
    expect(await done(world.server("b").resolveAlias(alias))).toEqual({
      roomId: "!r:a.example",
      servers: ["a.example", "b.example:8448"],
    });
    const many = Array.from({ length: 500 }, (_, i) => `s${i}.example`);
    const long = await worldAgainst("query_directory", { roomId: "!r:a.example", servers: many });
    expect((await done(long.server("b").resolveAlias(alias)))?.servers).toHaveLength(100);
    const host = await worldWith({ alias: () => ({ roomId: "!r:a.example", servers: many }) });
    expect((await asked(host, "query_directory", { roomAlias: alias })).servers).toEqual(many.slice(0, 100));
    for (const answer of [{}, { roomId: "r", servers: [] }, { roomId: ["!r:a.example"] }, [], null]) {
      const odd = await worldAgainst("query_directory", answer);
      expect(await codeOf(odd.server("b").resolveAlias(alias))).toBe("refused_by_peer");
    }
  });
});

describe("query_profile [cap:queries]", () => {
  const profile = { displayname: "Alice", avatar_url: "mxc://a.example/x", "m.tz": "Europe/London" };

  it("gives a profile, or one field of it", async () => {
    const world = await worldWith({ profile: (userId) => (userId === alice ? profile : undefined) });
    expect(await asked(world, "query_profile", { userId: alice })).toEqual({ profile });
    expect(await asked(world, "query_profile", { userId: alice, field: "m.tz" })).toEqual({
      profile: { "m.tz": "Europe/London" },
    });
    const b = world.server("b");
    expect(await done(b.queryProfile(alice))).toEqual({
      displayName: "Alice",
      avatarUrl: "mxc://a.example/x",
      fields: { "m.tz": "Europe/London" },
    });
    expect(await done(b.queryProfile(alice, "displayname"))).toEqual({ displayName: "Alice", fields: {} });
    expect(await done(b.queryProfile(alice, "nothing"))).toBeUndefined();
    expect(await done(b.queryProfile("@nobody:a.example"))).toBeUndefined();
    expect(await done(world.server("a").queryProfile(alice, "m.tz"))).toEqual({ fields: { "m.tz": "Europe/London" } });
  });

  it("refuses users of other servers, and what is no user or no field, without asking the host", async () => {
    let times = 0;
    const profile = (): undefined => {
      times++;
    };
    const world = await worldWith({ profile });
    for (const userId of [userOf("b"), "@user:a.example:8448", "user", "@user", "", "#user:a.example"]) {
      expect(await refusal(world, "query_profile", { userId })).toBe("invalid_param");
    }
    for (const field of ["", "x".repeat(256), 5 as unknown as string]) {
      expect(await refusal(world, "query_profile", { userId: alice, field })).toBe("invalid_param");
    }
    expect(times).toBe(0);
    expect(await codeOf(world.server("b").queryProfile("user"))).toBe("bad_identifier");
  });

  it("can be withheld, which is not the same as not being there", async () => {
    const world = await worldWith({ profile: () => "withheld" });
    expect(await refusal(world, "query_profile", { userId: alice })).toBe("forbidden");
    expect(await codeOf(world.server("b").queryProfile(alice))).toBe("refused_by_peer");
    expect(await refusal(await worldWith({}), "query_profile", { userId: alice })).toBe("not_found");
  });

  it("takes from an answer what has the form that it should have", async () => {
    const hostile = {
      displayname: { toString: "x" },
      avatar_url: "https://tracker.example/",
      "m.tz": "Nowhere/At_All",
      nothing: null,
      fraction: 1.5,
      deep: JSON.parse("[".repeat(50) + "]".repeat(50)) as JsonValue,
      wide: Array.from({ length: 2_000 }, () => 0),
      ["__proto__"]: { polluted: true },
      ["x".repeat(300)]: 1,
    };
    const world = await worldAgainst("query_profile", { profile: hostile });
    const read = await done(world.server("b").queryProfile(alice));
    expect(Object.keys(read ?? {})).toEqual(["fields"]);
    expect(Object.keys(read?.fields ?? {})).toEqual(["m.tz", "__proto__"]);
    expect(read?.fields).not.toHaveProperty("polluted");
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`field${i}`, i]));
    const long = await worldAgainst("query_profile", { profile: many });
    expect(Object.keys((await done(long.server("b").queryProfile(alice)))?.fields ?? {})).toHaveLength(100);
    // Asked for one field, another is not taken.
    expect(await done(world.server("b").queryProfile(alice, "m.tz"))).toEqual({ fields: { "m.tz": "Nowhere/At_All" } });
    expect(await done(world.server("b").queryProfile(alice, "else"))).toEqual({ fields: {} });
    for (const answer of [{}, { profile: [] }, { profile: "x" }, { profile: null }]) {
      const odd = await worldAgainst("query_profile", answer);
      expect(await codeOf(odd.server("b").queryProfile(alice))).toBe("refused_by_peer");
    }
  });

  it("keeps a field that is named like what every object has", async () => {
    const named = JSON.parse('{"__proto__": 1, "constructor": 2}') as JsonObject;
    const world = await worldWith({ profile: () => named });
    const one = await asked(world, "query_profile", { userId: alice, field: "__proto__" });
    expect(Object.entries(one.profile as JsonObject)).toEqual([["__proto__", 1]]);
    expect(await refusal(world, "query_profile", { userId: alice, field: "toString" })).toBe("not_found");
    expect(Object.entries((await done(world.server("b").queryProfile(alice)))?.fields ?? {})).toEqual([
      ["__proto__", 1],
      ["constructor", 2],
    ]);
  });
});

describe("public_rooms [cap:room-lists]", () => {
  /** Rooms 0 to 4, listed in that order. */
  async function listing(options: NodeOptions = {}): Promise<{ readonly world: World; readonly roomIds: string[] }> {
    const roomIds: string[] = [];
    const world = await worldWith({ publishedRooms: () => roomIds }, options);
    for (let i = 0; i < 5; i++) {
      const type = i % 2 === 1 ? { type: "m.space" } : {};
      roomIds.push(
        await make(world, { preset: "public", name: `Room ${i}`, topic: i === 3 ? "All of IT" : "x", ...type }),
      );
    }
    return { world, roomIds };
  }

  it("lists what the host publishes, as the rooms are now", async () => {
    const { world, roomIds } = await listing();
    const [first = ""] = roomIds;
    await set(world, first, "m.room.canonical_alias", { alias: "#first:a.example" });
    await set(world, first, "m.room.avatar", { url: "mxc://a.example/x" });
    await set(world, first, "m.room.guest_access", { guest_access: "can_join" });
    await set(world, first, "m.room.history_visibility", { history_visibility: "world_readable" });
    await set(world, first, "m.room.encryption", { algorithm: "m.megolm.v1.aes-sha2" });
    await done(world.server("b").join({ roomId: first, userId: userOf("b"), via: ["a.example"] }));
    const { chunk, totalRoomCountEstimate } = await asked(world, "public_rooms", {});
    expect(chunk).toHaveLength(5);
    expect(totalRoomCountEstimate).toBe(5);
    expect(chunk[0]).toEqual({
      room_id: first,
      num_joined_members: 2,
      world_readable: true,
      guest_can_join: true,
      join_rule: "public",
      name: "Room 0",
      topic: "x",
      avatar_url: "mxc://a.example/x",
      canonical_alias: "#first:a.example",
      room_version: "11",
      encryption: "m.megolm.v1.aes-sha2",
    });
    const page = await done(world.server("b").publicRoomsOf("a.example"));
    expect(page).toMatchObject({ total: 5 });
    expect(page.rooms[0]).toEqual({
      roomId: first,
      joinedMembers: 2,
      worldReadable: true,
      guestCanJoin: true,
      joinRule: "public",
      name: "Room 0",
      topic: "x",
      avatarUrl: "mxc://a.example/x",
      canonicalAlias: "#first:a.example",
      roomVersion: "11",
      encryption: "m.megolm.v1.aes-sha2",
      allowedRoomIds: [],
    });
    expect(page.rooms[1]).toMatchObject({ roomType: "m.space", worldReadable: false, guestCanJoin: false });
    expect(page.nextBatch).toBeUndefined();
    expect(page.prevBatch).toBeUndefined();
  });

  it("does not show what was redacted, nor what is no text", async () => {
    const { world, roomIds } = await listing();
    const [one = "", other = ""] = roomIds;
    const eventId = await set(world, one, "m.room.name", { name: "Slander" });
    await done(world.server("a").redact({ roomId: one, userId: alice, eventId }));
    await set(world, other, "m.room.name", { name: ["x"] });
    await set(world, other, "m.room.avatar", { url: "https://a.example/x" });
    await set(world, other, "m.room.canonical_alias", { alias: "alias" });
    const { chunk } = await asked(world, "public_rooms", { limit: 2 });
    for (const room of chunk) {
      for (const key of ["name", "avatar_url", "canonical_alias"]) expect(room).not.toHaveProperty(key);
    }
  });

  it("takes the plain form of a topic that comes in several", async () => {
    const { world, roomIds } = await listing();
    const [roomId = "", without = ""] = roomIds;
    const html = { mimetype: "text/html", body: "<b>x</b>" };
    await set(world, roomId, "m.room.topic", {
      topic: "old",
      "m.topic": { "m.text": [html, null, { body: "plain" }] },
    });
    await set(world, without, "m.room.topic", { "m.topic": { "m.text": [html] } });
    const { rooms } = await done(world.server("b").publicRoomsOf("a.example", { limit: 2 }));
    expect(rooms.map(({ topic }) => topic)).toEqual(["plain", undefined]);
  });

  it("is read page by page, there and back", async () => {
    const { world, roomIds } = await listing();
    const b = world.server("b");
    const pages: string[][] = [];
    let page = await done(b.publicRoomsOf("a.example", { limit: 2 }));
    for (;;) {
      pages.push(page.rooms.map(({ roomId }) => roomId));
      if (page.nextBatch === undefined) break;
      page = await done(b.publicRoomsOf("a.example", { limit: 2, since: page.nextBatch }));
    }
    expect(pages).toEqual([roomIds.slice(0, 2), roomIds.slice(2, 4), roomIds.slice(4)]);
    const back: string[][] = [];
    while (page.prevBatch !== undefined) {
      page = await done(b.publicRoomsOf("a.example", { limit: 2, since: page.prevBatch }));
      back.push(page.rooms.map(({ roomId }) => roomId));
    }
    expect(back).toEqual([roomIds.slice(2, 4), roomIds.slice(0, 2)]);
    expect(await done(b.publicRoomsOf("a.example", { limit: 2, since: page.nextBatch ?? "" }))).toMatchObject({
      rooms: [{ roomId: roomIds[2] }, { roomId: roomIds[3] }],
    });
  });

  it("finds rooms by name, topic or alias, and by type", async () => {
    const { world, roomIds } = await listing();
    const found = async (filter: NonNullable<OperationRequest<"public_rooms">["filter"]>): Promise<number[]> => {
      const { rooms, total } = await done(world.server("b").publicRoomsOf("a.example", { filter }));
      expect(total).toBeUndefined();
      return rooms.map(({ roomId }) => roomIds.indexOf(roomId));
    };
    expect(await found({ genericSearchTerm: "room 2" })).toEqual([2]);
    expect(await found({ genericSearchTerm: "all OF it" })).toEqual([3]);
    expect(await found({ roomTypes: ["m.space"] })).toEqual([1, 3]);
    expect(await found({ roomTypes: [null] })).toEqual([0, 2, 4]);
    expect(await found({ roomTypes: [null, "m.space"], genericSearchTerm: "Room" })).toEqual([0, 1, 2, 3, 4]);
    expect(await found({ roomTypes: [] })).toEqual([]);
    expect(await found({})).toEqual([0, 1, 2, 3, 4]);
  });

  it("gives no more than its limit, and looks at no more than ten times that", async () => {
    const { world, roomIds } = await listing({ limits: { answerRooms: 2 } });
    for (const limit of [0, 100, undefined]) {
      const { chunk } = await asked(world, "public_rooms", limit === undefined ? {} : { limit });
      expect(chunk).toHaveLength(2);
    }
    roomIds.unshift(...Array.from({ length: 40 }, (_, i) => `!gone${i}:a.example`));
    const b = world.server("b");
    const since: (string | undefined)[] = [];
    const found: string[] = [];
    let page = await done(b.publicRoomsOf("a.example"));
    for (;;) {
      found.push(...page.rooms.map(({ roomId }) => roomId));
      since.push(page.nextBatch);
      if (page.nextBatch === undefined) break;
      page = await done(b.publicRoomsOf("a.example", { since: page.nextBatch }));
    }
    expect(since).toEqual(["f20", "f40", "f42", "f44", undefined]);
    expect(found).toEqual(roomIds.slice(40));
  });

  it("lists no room that is closed to other servers, nor one that this server left", async () => {
    const { world, roomIds } = await listing();
    const closed = await make(world, { preset: "public", federate: false });
    await done(world.server("a").leave({ roomId: roomIds[0] ?? "", userId: alice }));
    roomIds.push(closed, "!unknown:a.example");
    const { rooms } = await done(world.server("b").publicRoomsOf("a.example"));
    expect(rooms.map(({ roomId }) => roomId)).toEqual(roomIds.slice(1, 5));
  });

  it("asks the host for the network that is meant", async () => {
    const asks: unknown[] = [];
    const world = await worldWith({
      publishedRooms: (network) => {
        asks.push(network);
        return [];
      },
    });
    await asked(world, "public_rooms", {});
    await asked(world, "public_rooms", { includeAllNetworks: true });
    await asked(world, "public_rooms", { thirdPartyInstanceId: "irc" });
    expect(asks).toEqual([{ allNetworks: false }, { allNetworks: true }, { allNetworks: false, instanceId: "irc" }]);
  });

  it("refuses what is no query", async () => {
    const { world } = await listing();
    const wrong: readonly Readonly<Record<string, unknown>>[] = [
      ...[-1, 1.5, "5", null].map((limit) => ({ limit })),
      ...["x", "f", "f-1", "f1e3", "f1234567890", 5, null].map((since) => ({ since })),
      ...[[], "x", null, { genericSearchTerm: 5 }, { genericSearchTerm: "x".repeat(256) }].map((filter) => ({
        filter,
      })),
      ...["m.space", [5], [["m.space"]], Array(101).fill("x")].map((roomTypes) => ({ filter: { roomTypes } })),
      ...["yes", null].map((includeAllNetworks) => ({ includeAllNetworks })),
      { includeAllNetworks: true, thirdPartyInstanceId: "irc" },
      { thirdPartyInstanceId: 5 },
    ];
    for (const query of wrong) {
      expect(await refusal(world, "public_rooms", query as OperationRequest<"public_rooms">)).toBe("invalid_param");
    }
    expect((await asked(world, "public_rooms", { since: "f99" })).chunk).toEqual([]);
    expect(await refusal(await worldWith({}), "public_rooms", {})).toBe("unrecognized");
  });

  it("takes from an answer what are rooms", async () => {
    const room = { room_id: "!r:a.example", num_joined_members: 3, world_readable: true, guest_can_join: false };
    const chunk = [
      null,
      [],
      "!r:a.example",
      { ...room, room_id: "r" },
      { ...room, num_joined_members: -1 },
      { ...room, num_joined_members: 1.5 },
      { ...room, num_joined_members: "3" },
      { ...room, world_readable: "yes" },
      { ...room, guest_can_join: null },
      { ...room, name: 5, topic: {}, avatar_url: "javascript:x", canonical_alias: "x", room_type: [], join_rule: 5 },
      { ...room, room_version: "no such version", encryption: null, allowed_room_ids: [5, "!s:b.example", "x"] },
      { ...room, name: "x".repeat(70_000), join_rule: "knock" },
    ];
    const bare = { roomId: "!r:a.example", joinedMembers: 3, worldReadable: true, guestCanJoin: false };
    const world = await worldAgainst("public_rooms", {
      chunk,
      nextBatch: 5,
      prevBatch: "",
      totalRoomCountEstimate: -1,
    });
    expect(await done(world.server("b").publicRoomsOf("a.example"))).toEqual({
      rooms: [
        { ...bare, joinRule: "public", allowedRoomIds: [] },
        { ...bare, joinRule: "public", allowedRoomIds: ["!s:b.example"] },
        { ...bare, joinRule: "knock", allowedRoomIds: [] },
      ],
    });
    const allowed = Array.from({ length: 500 }, (_, i) => `!${i}:c.example`);
    const long = await worldAgainst("public_rooms", { chunk: Array(500).fill({ ...room, allowed_room_ids: allowed }) });
    const { rooms } = await done(long.server("b").publicRoomsOf("a.example"));
    expect(rooms).toHaveLength(100);
    expect(rooms[0]?.allowedRoomIds).toEqual(allowed.slice(0, 100));
    for (const answer of [{}, { chunk: {} }, { chunk: null }]) {
      const odd = await worldAgainst("public_rooms", answer);
      expect(await codeOf(odd.server("b").publicRoomsOf("a.example"))).toBe("refused_by_peer");
    }
  });
});

describe("hierarchy [cap:room-lists]", () => {
  const via = ["a.example"];

  async function space(world: World, options: Partial<CreateRoomOptions> = {}): Promise<string> {
    return make(world, { preset: "public", type: "m.space", name: "Space", ...options });
  }

  async function child(world: World, spaceId: string, roomId: string, more: JsonObject = {}): Promise<string> {
    return set(world, spaceId, "m.space.child", { via, ...more }, roomId);
  }

  const withJoinRule = (joinRule: JsonObject, more: Partial<CreateRoomOptions> = {}): Partial<CreateRoomOptions> => ({
    initialState: [{ type: "m.room.join_rules", content: joinRule }],
    ...more,
  });

  it("gives a space, its children's events and a summary of each child", async () => {
    const world = await worldWith(undefined);
    const top = await space(world);
    const open = await make(world, { preset: "public", name: "Open" });
    const hidden = await make(world, { name: "Hidden" });
    for (const roomId of [open, hidden, "!elsewhere:c.example"]) await child(world, top, roomId);
    const { room, children, inaccessibleChildren } = await asked(world, "hierarchy", { roomId: top });
    expect(room).toMatchObject({ room_id: top, name: "Space", room_type: "m.space", room_version: "11" });
    expect(children).toMatchObject([{ room_id: open, name: "Open" }]);
    expect(children[0]).not.toHaveProperty("children_state");
    expect(inaccessibleChildren).toEqual([hidden]);
    const at = world.clock.now();
    const state = (room as JsonObject)["children_state"] as readonly JsonObject[];
    const entry = { type: "m.space.child", content: { via }, sender: alice, origin_server_ts: at };
    const expected = [open, hidden, "!elsewhere:c.example"].map((roomId) => ({ ...entry, state_key: roomId }));
    expect(state).toHaveLength(3);
    expect(state).toEqual(expect.arrayContaining(expected));

    const read = await done(world.server("b").hierarchyOf({ roomId: top, via: ["c.example", "a.example"] }));
    expect(read).toMatchObject({ room: { roomId: top }, rooms: [{ roomId: open }], inaccessible: [hidden] });
    expect(new Set(read?.children.map(({ roomId }) => roomId))).toEqual(
      new Set([open, hidden, "!elsewhere:c.example"]),
    );
    // This server has it itself, and reads all that it is in.
    const own = await done(world.server("a").hierarchyOf({ roomId: top }));
    expect(own?.rooms.map(({ roomId }) => roomId).sort()).toEqual([open, hidden].sort());
  });

  it("puts children in order: by `order`, then by time, then by room", async () => {
    const world = await worldWith(undefined);
    const top = await space(world);
    const entries: readonly (readonly [string, JsonObject])[] = [
      ["!late:c.example", {}],
      ["!c:c.example", { order: "b" }],
      ["!a:c.example", { order: "b" }],
      ["!x:c.example", { order: " a" }],
      ["!bad:c.example", { order: "ä" }],
      ["!long:c.example", { order: "a".repeat(51) }],
      ["!early:c.example", { order: 5 }],
    ];
    await child(world, top, "!early:c.example", { order: 5 });
    for (const [roomId, content] of entries.slice(0, 6)) {
      world.clock.advance(roomId === "!a:c.example" ? 0 : 10);
      await child(world, top, roomId, content);
    }
    const read = await done(world.server("b").hierarchyOf({ roomId: top, via }));
    const order = ["!x", "!a", "!c", "!early", "!late", "!bad", "!long"].map((name) => `${name}:c.example`);
    expect(read?.children.map(({ roomId }) => roomId)).toEqual(order);
  });

  it("leaves out children that were taken out of the space, redacted, or are none", async () => {
    const world = await worldWith(undefined);
    const top = await space(world);
    await child(world, top, "!kept:c.example");
    await set(world, top, "m.space.child", {}, "!gone:c.example");
    await set(world, top, "m.space.child", { via: [] }, "!empty:c.example");
    await set(world, top, "m.space.child", { via: "a.example" }, "!text:c.example");
    await set(world, top, "m.space.child", { via }, "no room");
    const eventId = await child(world, top, "!redacted:c.example");
    await done(world.server("a").redact({ roomId: top, userId: alice, eventId }));
    const read = await done(world.server("b").hierarchyOf({ roomId: top, via }));
    expect(read?.children.map(({ roomId }) => roomId)).toEqual(["!kept:c.example"]);
  });

  it("keeps to suggested children if asked to", async () => {
    const world = await worldWith(undefined);
    const top = await space(world);
    await child(world, top, "!a:c.example", { suggested: true });
    await child(world, top, "!b:c.example", { suggested: "true" });
    await child(world, top, "!c:c.example", { suggested: false });
    const read = await done(world.server("b").hierarchyOf({ roomId: top, via, suggestedOnly: true }));
    expect(read?.children.map(({ roomId }) => roomId)).toEqual(["!a:c.example"]);
    const wrong = { roomId: top, suggestedOnly: "yes" as unknown as boolean };
    expect(await refusal(world, "hierarchy", wrong)).toBe("invalid_param");
  });

  it("names no children of a room that is no space", async () => {
    const world = await worldWith(undefined);
    const room = await make(world, { preset: "public" });
    await child(world, room, "!a:c.example");
    expect(await done(world.server("b").hierarchyOf({ roomId: room, via }))).toMatchObject({ children: [], rooms: [] });
  });

  it("says nothing of a room that the server could not join, and no more of one that there is not", async () => {
    const world = await worldWith(undefined);
    const hidden = await space(world, { preset: "private" });
    const answers = await Promise.all(
      [hidden, "!none:a.example"].map((roomId) => world.ask("b", "a", "hierarchy", { roomId })),
    );
    expect(answers[0]).toMatchObject({ ok: false, error: { code: "not_found" } });
    expect(answers[0]).toEqual(answers[1]);
    expect(await done(world.server("b").hierarchyOf({ roomId: hidden, via }))).toBeUndefined();
  });

  it.each<readonly [string, Partial<CreateRoomOptions>, boolean]>([
    ["a public room", { preset: "public" }, true],
    ["an invite-only room", {}, false],
    ["a room to knock at", withJoinRule({ join_rule: "knock" }), true],
    ["a room to knock at, before there were knocks", withJoinRule({ join_rule: "knock" }, { version: "6" }), false],
    ["a room to knock at or join", withJoinRule({ join_rule: "knock_restricted" }, { version: "10" }), true],
    ["the same, before there was that", withJoinRule({ join_rule: "knock_restricted" }, { version: "9" }), false],
    ["a room with a rule that nobody knows", withJoinRule({ join_rule: "else" }), false],
    ["a room restricted to nobody", withJoinRule({ join_rule: "restricted", allow: [] }), false],
    [
      "a room restricted to rooms unknown",
      withJoinRule({ join_rule: "restricted", allow: [{ room_id: "!x:c" }] }),
      false,
    ],
    [
      "a room that can be read",
      { initialState: [{ type: "m.room.history_visibility", content: { history_visibility: "world_readable" } }] },
      true,
    ],
    ["a public room of this server alone", { preset: "public", federate: false }, false],
    [
      "a public room whose ACL bars the server",
      {
        preset: "public",
        initialState: [{ type: "m.room.server_acl", content: { allow: ["*"], deny: ["b.example"] } }],
      },
      false,
    ],
  ])("%s", async (_, options, reachable) => {
    const world = await worldWith(undefined);
    const roomId = await make(world, options);
    const code = await refusal(world, "hierarchy", { roomId });
    expect(code).toBe(reachable ? "ok" : "not_found");
    const top = await space(world);
    await child(world, top, roomId);
    const read = await done(world.server("b").hierarchyOf({ roomId: top, via }));
    expect(read?.rooms.map((room) => room.roomId)).toEqual(reachable ? [roomId] : []);
    expect(read?.inaccessible).toEqual(reachable ? [] : [roomId]);
  });

  it("shows a restricted room to servers of the rooms whose members may join, and says which those are", async () => {
    const world = await worldWith(undefined);
    const [club, other] = [await make(world, { preset: "public" }), await make(world, { preset: "public" })];
    const allow = [
      { type: "m.room_membership", room_id: "!unknown:c.example" },
      { type: "m.else", room_id: other },
      { type: "m.room_membership", room_id: club },
    ];
    const roomId = await make(world, withJoinRule({ join_rule: "restricted", allow }));
    const old = await make(world, withJoinRule({ join_rule: "restricted", allow }, { version: "7" }));
    await done(world.server("b").join({ roomId: other, userId: userOf("b"), via }));
    expect(await refusal(world, "hierarchy", { roomId })).toBe("not_found");
    await done(world.server("b").join({ roomId: club, userId: userOf("b"), via }));
    expect((await asked(world, "hierarchy", { roomId })).room).toMatchObject({
      join_rule: "restricted",
      allowed_room_ids: ["!unknown:c.example", club],
    });
    expect(await refusal(world, "hierarchy", { roomId: old })).toBe("not_found");
    // The same list where the rule does not ask for it says nothing.
    await set(world, roomId, "m.room.join_rules", { join_rule: "public", allow });
    expect((await asked(world, "hierarchy", { roomId })).room).not.toHaveProperty("allowed_room_ids");
  });

  it("shows a room to servers of members and invited users, as long as they are that", async () => {
    const world = await worldWith(undefined);
    const roomId = await make(world);
    expect(await refusal(world, "hierarchy", { roomId })).toBe("not_found");
    await done(world.server("a").invite({ roomId, userId: alice, target: userOf("b") }));
    expect(await refusal(world, "hierarchy", { roomId })).toBe("ok");
    await done(world.server("b").join({ roomId, userId: userOf("b"), via }));
    expect(await refusal(world, "hierarchy", { roomId })).toBe("ok");
    await done(world.server("a").kick({ roomId, userId: alice, target: userOf("b") }));
    expect(await refusal(world, "hierarchy", { roomId })).toBe("not_found");
  });

  it("says nothing of a room that this server left", async () => {
    const world = await worldWith(undefined);
    const top = await space(world);
    const left = await make(world, { preset: "public" });
    await child(world, top, left);
    await done(world.server("a").leave({ roomId: left, userId: alice }));
    expect(await done(world.server("b").hierarchyOf({ roomId: top, via }))).toMatchObject({
      children: [{ roomId: left }],
      rooms: [],
      inaccessible: [],
    });
  });

  it("names no more children than the limit", async () => {
    const world = await worldWith(undefined, { limits: { answerRooms: 3 } });
    const top = await space(world);
    for (let i = 0; i < 5; i++) await child(world, top, `!${i}:c.example`, { order: String(9 - i) });
    const read = await done(world.server("b").hierarchyOf({ roomId: top, via }));
    expect(read?.children.map(({ roomId }) => roomId)).toEqual(["!4:c.example", "!3:c.example", "!2:c.example"]);
  });

  it("asks so many servers, one after the other, and tells that nobody answered from that nobody knew", async () => {
    const world = new World();
    await world.add("b");
    const servers = Array.from({ length: 9 }, (_, i) => `s${i}.example`);
    const roomId = "!space:c.example";
    expect(await codeOf(world.server("b").hierarchyOf({ roomId }))).toBe("unreachable");
    expect(await codeOf(world.server("b").hierarchyOf({ roomId, via: [...servers, "b.example"] }))).toBe("unreachable");
    expect(world.callsOf("hierarchy").map(({ to }) => to)).toEqual(servers.slice(0, 4));
    world.peer("s1", { hierarchy: () => failure("not_found") });
    expect(await done(world.server("b").hierarchyOf({ roomId, via: servers }))).toBeUndefined();
    const room = { room_id: roomId, num_joined_members: 1, world_readable: true, guest_can_join: false };
    world.peer("s2", { hierarchy: () => ({ room: { ...room, room_id: "!else:c.example" } }) });
    world.peer("s3", { hierarchy: () => ({ room, children: [], inaccessibleChildren: [] }) });
    expect(await done(world.server("b").hierarchyOf({ roomId, via: servers }))).toMatchObject({ room: { roomId } });
  });

  it("takes from an answer what the space itself names", async () => {
    const roomId = "!space:a.example";
    const room = { room_id: roomId, num_joined_members: 1, world_readable: true, guest_can_join: false };
    const entry = {
      type: "m.space.child",
      state_key: "!a:c.example",
      sender: alice,
      content: { via },
      origin_server_ts: 5,
    };
    const deep = JSON.parse(`${"[".repeat(2_000)}${"]".repeat(2_000)}`) as JsonValue;
    const answer = {
      room: {
        ...room,
        children_state: [
          entry,
          { ...entry, origin_server_ts: 6 },
          { ...entry, state_key: "!b:c.example" },
          { ...entry, state_key: "b" },
          { ...entry, state_key: "!1:c.example", type: "m.room.member" },
          { ...entry, state_key: "!2:c.example", sender: 5 },
          { ...entry, state_key: "!3:c.example", content: { via: [] } },
          { ...entry, state_key: "!4:c.example", content: { via, deep } },
          { ...entry, state_key: "!5:c.example", origin_server_ts: "5" },
          null,
        ],
      },
      children: [{ ...room, room_id: "!a:c.example" }, { ...room, room_id: "!bank:c.example" }, null, room],
      inaccessibleChildren: ["!a:c.example", "!b:c.example", "!b:c.example", "!5:c.example", 5, null],
    };
    const world = await worldAgainst("hierarchy", answer);
    const read = await done(world.server("b").hierarchyOf({ roomId, via }));
    expect(read?.children).toEqual([
      { roomId: "!b:c.example", sender: alice, originServerTs: 5, content: { via } },
      { roomId: "!a:c.example", sender: alice, originServerTs: 6, content: { via } },
    ]);
    expect(read?.rooms.map((one) => one.roomId)).toEqual(["!a:c.example"]);
    expect(read?.inaccessible).toEqual(["!b:c.example"]);
    for (const odd of [{}, { room: null }, { room: { ...room, world_readable: 1 } }, { room: [room] }]) {
      const other = await worldAgainst("hierarchy", odd);
      expect(await codeOf(other.server("b").hierarchyOf({ roomId, via }))).toBe("refused_by_peer");
    }
  });
});

describe("openid_userinfo [cap:room-lists]", () => {
  it("gives the user who generated a token, and is asked by anybody", async () => {
    const directory: Directory = { openIdUser: (token) => (token === "good" ? alice : undefined) };
    const policy = { checkServer: () => ({ code: "blocked", reason: "everybody" }) };
    const world = await worldWith(directory, { policy });
    expect(await asked(world, "openid_userinfo", { accessToken: "good" })).toEqual({ sub: alice });
    expect(await refusal(world, "openid_userinfo", { accessToken: "bad" })).toBe("unknown_token");
    expect(await done(world.server("b").openIdUser("a.example", "good"))).toBe(alice);
    expect(await done(world.server("b").openIdUser("a.example", "bad"))).toBeUndefined();
    expect(await refusal(await worldWith({}), "openid_userinfo", { accessToken: "good" })).toBe("unrecognized");
  });

  it("believes no server about users of another", async () => {
    for (const sub of [userOf("c"), "@user:a.example:8448", "user", 5, undefined]) {
      const world = await worldAgainst("openid_userinfo", { sub });
      expect(await codeOf(world.server("b").openIdUser("a.example", "good"))).toBe("refused_by_peer");
    }
  });

  it("does not vouch for users of another server, whatever the host says", async () => {
    const world = await worldWith({ openIdUser: () => userOf("c") });
    expect(await refusal(world, "openid_userinfo", { accessToken: "good" })).toBe("internal");
    expect(world.faults()).toHaveLength(1);
  });
});

describe("version [cap:room-lists]", () => {
  it("gives name and version of the software, and is asked by anybody", async () => {
    const policy = { checkServer: () => ({ code: "blocked", reason: "everybody" }) };
    const world = await worldWith({ software: { name: "x", version: "1" } }, { policy });
    expect(await done(world.server("b").versionOf("a.example"))).toEqual({ name: "x", version: "1" });
    expect(await refusal(await worldWith({}), "version", {})).toBe("unrecognized");
  });

  it("takes from an answer what is text of a sensible length", async () => {
    const world = await worldAgainst("version", { name: "x".repeat(256), version: ["1"] });
    expect(await done(world.server("b").versionOf("a.example"))).toEqual({});
  });
});

describe("queries", () => {
  it("are answered to nobody whom the host does not deal with, but for what anybody may ask", async () => {
    const policy = { checkServer: () => ({ code: "blocked", reason: "everybody" }) };
    const world = await worldWith({ alias: () => ({ roomId: "!r:a.example" }) }, { policy });
    expect(await refusal(world, "query_directory", { roomAlias: "#x:a.example" })).toBe("policy_refused");
    expect(await refusal(world, "query_profile", { userId: alice })).toBe("policy_refused");
    expect(await refusal(world, "public_rooms", {})).toBe("policy_refused");
    expect(await refusal(world, "hierarchy", { roomId: "!r:a.example" })).toBe("policy_refused");
  });

  it("fail here, and tell nobody why, if the host's directory does", async () => {
    const broken = (): never => {
      throw new Error("the database is gone");
    };
    const world = await worldWith({ alias: broken, profile: broken, publishedRooms: broken, openIdUser: broken });
    for (const result of [
      await world.ask("b", "a", "query_directory", { roomAlias: "#x:a.example" }),
      await world.ask("b", "a", "query_profile", { userId: alice }),
      await world.ask("b", "a", "public_rooms", {}),
      await world.ask("b", "a", "openid_userinfo", { accessToken: "x" }),
    ]) {
      expect(result).toEqual({ ok: false, error: { code: "internal", reason: "the operation failed here" } });
    }
    expect(world.faults()).toHaveLength(4);
  });

  it("are asked of the server that the name is of", async () => {
    const world = new World();
    await world.add("b");
    world.peer("a.example:8448", {
      query_profile: ({ userId }) => ({ profile: { displayname: userId } }),
      query_directory: () => ({ roomId: "!r:a.example", servers: [] }),
    });
    const userId = "@user:a.example:8448";
    expect(await done(world.server("b").queryProfile(userId))).toMatchObject({ displayName: userId });
    await done(world.server("b").resolveAlias("#x:a.example:8448"));
    expect(world.calls.map(({ to }) => to)).toEqual([nameOf("a.example:8448"), "a.example:8448"]);
  });
});
