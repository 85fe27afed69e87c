/**
 * Moving a room to another room version (client-server-api, "Room Upgrades"), any to any: the plan, what the new
 * room has of the old one, what becomes of the old one, and restarts in between.
 */
import { describe, expect, it } from "vitest";
import type { Room } from "../../src/engine/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { get } from "../../src/json/value.js";
import { roomVersions } from "../../src/versions/index.js";
import { crashAtWrite } from "../../src/testing/simulation/index.js";
import { codeOf, done, tick, userOf, World, worldOf } from "../support/servers.js";

const [alice, bob] = [userOf("a"), userOf("b")];

/** State that is copied, as the old room has it. */
const copied: readonly (readonly [type: string, content: JsonObject])[] = [
  ["m.room.server_acl", { allow: ["*"], deny: ["evil.example"], allow_ip_literals: false }],
  ["m.room.encryption", { algorithm: "m.megolm.v1.aes-sha2" }],
  ["m.room.name", { name: "the room" }],
  ["m.room.avatar", { url: "mxc://a.example/picture" }],
  ["m.room.topic", { topic: "all of it" }],
  ["m.room.guest_access", { guest_access: "can_join" }],
  ["m.room.history_visibility", { history_visibility: "joined" }],
  ["m.room.join_rules", { join_rule: "public" }],
];
/** State that stays behind. */
const left: readonly (readonly [type: string, content: JsonObject])[] = [
  ["m.room.canonical_alias", { alias: "#room:a.example" }],
  ["m.room.pinned_events", { pinned: ["$somewhere"] }],
  ["com.example.own", { sensitive: true }],
];

interface Old {
  readonly world: World;
  readonly room: Room;
}

/** A room of two servers with a state of every kind. */
async function oldRoom(version: string, options: { levels?: JsonObject; type?: string } = {}): Promise<Old> {
  const world = await worldOf("a", "b");
  const { levels = {}, type } = options;
  const room = await done(
    world.server("a").create({
      version,
      creator: alice,
      powerLevels: levels,
      ...(type === undefined ? {} : { type }),
      initialState: [...copied, ...left].map(([kind, content]) => ({ type: kind, content })),
    }),
  );
  await done(world.server("b").join({ roomId: room.roomId, userId: bob, via: ["a.example"] }));
  await world.deliver();
  return { world, room };
}

function contentOf(room: Room, type: string): JsonObject | undefined {
  return room.state(type)?.content;
}

function levelsOf(room: Room): JsonObject {
  return contentOf(room, "m.room.power_levels") ?? {};
}

/** Every number that stands anywhere in the levels, or what else does. */
function leaves(value: JsonValue): readonly JsonValue[] {
  return typeof value === "object" && value !== null ? Object.values(value as JsonObject).flatMap(leaves) : [value];
}

const plans = [
  ["2", "1"],
  ["2", "2"],
  ["10", "12"],
  ["12", "11"],
  ["11", "I.1"],
  ["12", "12"],
  ["I.1", "10"],
  ["1", "12"],
] as const;

describe.each(plans)("upgrading from version %s to %s", (from, to) => {
  it("makes a room with the same state and none of its members, and closes the old one", async () => {
    const { world, room } = await oldRoom(from);
    const before = room.control.forwardExtremities;
    const replaced = await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: to }));
    await world.deliver();

    expect(replaced.version.id).toBe(to);
    const create = replaced.state("m.room.create")?.content ?? {};
    expect(get(create, "room_version")).toBe(to);
    expect(get(create, "predecessor")).toEqual(
      to === "12" ? { room_id: room.roomId } : { room_id: room.roomId, event_id: before[0] },
    );
    for (const [type, content] of copied) expect(contentOf(replaced, type), type).toEqual(content);
    for (const [type] of left) expect(replaced.state(type), type).toBeUndefined();
    expect(replaced.members().map(({ userId, membership }) => [userId, membership])).toEqual([[alice, "join"]]);

    const tombstone = contentOf(room, "m.room.tombstone");
    expect(tombstone).toEqual({ body: expect.any(String) as string, replacement_room: replaced.roomId });
    expect(room.control.replacement).toBe(replaced.roomId);
    expect(levelsOf(room)).toMatchObject({ events_default: 50, invite: 50 });
    expect(await codeOf(world.say("b", room.roomId, "too late"))).toBe("auth_rejected");
    expect((await world.room("b", room.roomId)).control.replacement).toBe(replaced.roomId);
    await done(world.server("b").join({ roomId: replaced.roomId, userId: bob, via: ["a.example"] }));
    await world.deliver();
    expect(await world.view("b", replaced.roomId)).toEqual(await world.view("a", replaced.roomId));
    expect(world.faults()).toEqual([]);
  });

  it("sends the tombstone after everything else", async () => {
    const { world, room } = await oldRoom(from);
    const seen: string[] = [];
    room.subscribe(({ events }) => {
      for (const eventId of events) seen.push(eventId);
    });
    const replaced = await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: to }));
    const types = await Promise.all(seen.map(async (id) => (await room.event(id))?.original["type"]));
    expect(types).toEqual(["m.room.power_levels", "m.room.tombstone"]);
    const [end] = room.control.forwardExtremities;
    expect(end).toBe(room.state("m.room.tombstone")?.eventId);
    expect(replaced.control.revision).toBe(1);
  });
});

describe.each(roomVersions.ids())("in version %s", (version) => {
  it(`a room of any other version can be upgraded to it and from it [cap:upgrade-plan v:${version}]`, async () => {
    for (const other of ["1", "6", "10", "12"]) {
      for (const [from, to] of [
        [version, other],
        [other, version],
      ] as const) {
        const world = await worldOf("a");
        const room = await done(world.server("a").create({ version: from, creator: alice, name: "old" }));
        const made = await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: to }));
        expect(made.version.id).toBe(to);
        expect(made.control.name).toBe("old");
        expect(room.control.replacement).toBe(made.roomId);
        // Whoever upgraded it can do all there what they could do here.
        const content = { topic: "still mine" };
        const topic = { roomId: made.roomId, userId: alice, type: "m.room.topic", content };
        expect(await codeOf(world.server("a").setState(topic))).toBe("ok");
      }
    }
  });

  it(`a room's type survives every upgrade, and none stays none [cap:room-type v:${version}]`, async () => {
    for (const type of ["m.space", "com.example.own", undefined]) {
      const world = await worldOf("a");
      const kind = type === undefined ? {} : { type };
      const room = await done(world.server("a").create({ version, creator: alice, ...kind }));
      expect(room.control.roomType).toBe(type);
      const there = await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: "11" }));
      expect(there.control.roomType).toBe(type);
      const back = await done(world.server("a").upgrade({ roomId: there.roomId, userId: alice, version }));
      expect(back.control.roomType).toBe(type);
      expect(Object.hasOwn(back.state("m.room.create")?.content ?? {}, "type")).toBe(type !== undefined);
      // It changes nothing about what the server does with the room.
      expect(await codeOf(world.say("a", back.roomId, "as in any room"))).toBe("ok");
    }
  });
});

describe("levels of the new room", () => {
  it.each(["1", "2", "3", "4", "5", "6", "7", "8", "9"])(
    "are integers although version %s let them be strings",
    async (version) => {
      const levels = {
        ban: "60",
        kick: " +55 ",
        users: { [alice]: "0100", [bob]: "-5" },
        events: { "m.room.name": "70" },
        users_default: "1",
      };
      const { world, room } = await oldRoom(version, { levels });
      const replaced = await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: "11" }));
      const copy = levelsOf(replaced);
      expect(copy).toMatchObject({ ban: 60, kick: 55, users_default: 1, events: { "m.room.name": 70 } });
      expect(copy["users"]).toEqual({ [alice]: 100, [bob]: -5 });
      for (const level of leaves(copy)) expect(level).toEqual(expect.any(Number));
      // users_default is 1, which is less than 50.
      expect(levelsOf(room)).toMatchObject({ events_default: 50, invite: 50, ban: "60" });
    },
  );

  it("the old room's default for users is below what it then takes to speak", async () => {
    const { world, room } = await oldRoom("10", { levels: { users_default: 60, users: { [alice]: 100 } } });
    await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: "11" }));
    expect(levelsOf(room)).toMatchObject({ events_default: 61, invite: 61 });
  });

  it("levels that are higher already stay", async () => {
    const { world, room } = await oldRoom("10", { levels: { events_default: 75, invite: 0 } });
    await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: "11" }));
    expect(levelsOf(room)).toMatchObject({ events_default: 75, invite: 50 });
  });

  it("version 12 has no creator among its users, and the tombstone above what state takes", async () => {
    const { world, room } = await oldRoom("10", { levels: { users: { [alice]: 100, [bob]: 50 } } });
    const request = { roomId: room.roomId, userId: alice, version: "12", additionalCreators: [bob] };
    const replaced = await done(world.server("a").upgrade(request));
    const copy = levelsOf(replaced);
    expect(copy["users"]).toEqual({});
    expect(get(replaced.state("m.room.create")?.content ?? {}, "additional_creators")).toEqual([bob]);
    const stateDefault = copy["state_default"];
    const tombstone = get((copy["events"] ?? {}) as JsonObject, "m.room.tombstone");
    expect(Number(tombstone)).toBeGreaterThan(Number(stateDefault));
  });

  it("additional creators are not inherited, and become users with a level where there are none", async () => {
    const world = await worldOf("a");
    const options = { version: "12", creator: alice, additionalCreators: [bob] };
    const room = await done(world.server("a").create(options));
    const same = await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: "12" }));
    expect(Object.hasOwn(same.state("m.room.create")?.content ?? {}, "additional_creators")).toBe(false);
    const other = await done(world.server("a").create(options));
    const lower = await done(world.server("a").upgrade({ roomId: other.roomId, userId: alice, version: "11" }));
    const users = (levelsOf(lower)["users"] ?? {}) as JsonObject;
    expect(Object.keys(users).sort()).toEqual([alice, bob]);
    for (const user of [alice, bob]) {
      const needed = leaves(levelsOf(lower)["events"] ?? {});
      for (const level of needed) expect(Number(users[user])).toBeGreaterThanOrEqual(Number(level));
    }
  });
});

describe("the join rule of the new room", () => {
  const allow = [{ type: "m.room_membership", room_id: "!lobby:a.example" }];
  const rules: readonly (readonly [rule: JsonObject, from: string, to: string, copy: JsonObject])[] = [
    [{ join_rule: "restricted", allow }, "10", "11", { join_rule: "restricted", allow }],
    [{ join_rule: "restricted", allow }, "10", "7", { join_rule: "invite" }],
    [{ join_rule: "restricted", allow }, "8", "1", { join_rule: "invite" }],
    [{ join_rule: "knock_restricted", allow }, "10", "9", { join_rule: "restricted", allow }],
    [{ join_rule: "knock_restricted", allow }, "12", "7", { join_rule: "knock" }],
    [{ join_rule: "knock_restricted", allow }, "I.1", "6", { join_rule: "invite" }],
    [{ join_rule: "knock" }, "7", "6", { join_rule: "invite" }],
    [{ join_rule: "knock" }, "7", "12", { join_rule: "knock" }],
    [{ join_rule: "public" }, "12", "1", { join_rule: "public" }],
    [{ join_rule: "private" }, "6", "11", { join_rule: "private" }],
  ];
  it.each(rules)("%o of version %s is in version %s the nearest that lets in nobody more", async (...row) => {
    const [content, from, to, copy] = row;
    const world = await worldOf("a");
    const initialState = [{ type: "m.room.join_rules", content }];
    const room = await done(world.server("a").create({ version: from, creator: alice, initialState }));
    const replaced = await done(world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: to }));
    expect(contentOf(replaced, "m.room.join_rules")).toEqual(copy);
  });
});

describe("who may not upgrade", () => {
  it("is refused before anything is made", async () => {
    const { world, room } = await oldRoom("10");
    const before = await world.view("a", room.roomId);
    const second = userOf("b", "second");
    for (const userId of [bob, second]) {
      const refused = world.server("b").upgrade({ roomId: room.roomId, userId, version: "11" });
      expect(await codeOf(refused)).toBe("auth_rejected");
    }
    for (const name of ["a", "b"]) {
      expect(await world.node(name).storage.roomIds()).toEqual([room.roomId]);
      expect(await world.node(name).storage.readIntents()).toEqual([]);
    }
    expect(await world.view("a", room.roomId)).toEqual(before);
  });

  it("is a user whose server is not in the room, or who asks for no version there is", async () => {
    const { world, room } = await oldRoom("10");
    await world.add("c");
    const carol = userOf("c");
    expect(await codeOf(world.server("c").upgrade({ roomId: room.roomId, userId: carol, version: "11" }))).toBe(
      "unknown_room",
    );
    await expect(
      world.server("a").upgrade({ roomId: room.roomId, userId: alice, version: "org.unknown" }),
    ).rejects.toThrow(/register/);
    expect(await world.node("a").storage.readIntents()).toEqual([]);
  });

  it("who may send the tombstone and not the levels upgrades a room that stays open", async () => {
    const levels = {
      users: { [alice]: 100, [bob]: 50 },
      events: { "m.room.tombstone": 50, "m.room.power_levels": 100 },
    };
    const { world, room } = await oldRoom("10", { levels });
    const replaced = await done(world.server("b").upgrade({ roomId: room.roomId, userId: bob, version: "11" }));
    await world.deliver();
    expect(room.control.replacement).toBe(replaced.roomId);
    expect(levelsOf(room)).toMatchObject({ events_default: 0 });
    // In the new room everybody has the level of the old one.
    expect(levelsOf(replaced)["users"]).toEqual({ [alice]: 100, [bob]: 50 });
  });
});

describe("an upgrade that is interrupted", () => {
  /** Rooms of `a` that name `roomId` as the one before them. */
  async function replacements(world: World, roomId: string): Promise<readonly string[]> {
    const rooms = await world.server("a").rooms.all();
    return rooms.flatMap((room) => {
      const predecessor = get(contentOf(room, "m.room.create") ?? {}, "predecessor");
      return (predecessor as JsonObject | undefined)?.["room_id"] === roomId ? [room.roomId] : [];
    });
  }

  it.each(["before", "after"] as const)("%s any of its writes ends with one new room or none", async (when) => {
    let finished = 0;
    for (let write = 1; ; write++) {
      const world = new World();
      const { crash, rise } = await world.crashing("a");
      await world.add("b");
      const roomId = await world.shared("10", "a", "b");
      crash.plan(crashAtWrite(crash.writes + write, when));
      void world.server("a").upgrade({ roomId, userId: alice, version: "12" });
      await tick();
      if (crash.crashes === 0) break;
      await rise();
      await world.deliver();
      const made = await replacements(world, roomId);
      const room = await world.room("a", roomId);
      if (made.length === 0) {
        expect(contentOf(room, "m.room.tombstone")).toBeUndefined();
        await done(world.server("a").upgrade({ roomId, userId: alice, version: "12" }));
        await world.deliver();
      } else finished++;
      const [one, ...others] = await replacements(world, roomId);
      expect(others, `write ${write}`).toEqual([]);
      expect(room.control.replacement).toBe(one);
      expect((await world.room("b", roomId)).control.replacement).toBe(one);
      expect(levelsOf(room)).toMatchObject({ events_default: 50, invite: 50 });
      expect(await world.node("a").storage.readIntents()).toEqual([]);
      // Nothing was sent twice: one change of the levels, one tombstone.
      const { events } = await room.timeline({ limit: 100 });
      const types = events.map(({ original }) => original["type"]);
      expect(types.filter((type) => type === "m.room.tombstone")).toHaveLength(1);
      expect(types.filter((type) => type === "m.room.power_levels")).toHaveLength(2);
      expect(await world.view("b", roomId)).toEqual(await world.view("a", roomId));
    }
    expect(finished).toBeGreaterThan(1);
  });

  it("by the host's own refusal goes on with the room that was made when it is asked for again", async () => {
    const world = new World();
    let refusing = true;
    await world.add("a", {
      policy: {
        checkEvent: ({ event }) =>
          refusing && event.type === "m.room.tombstone" ? { code: "not_now", reason: "later" } : undefined,
      },
    });
    const roomId = await world.shared("10", "a");
    expect(await codeOf(world.server("a").upgrade({ roomId, userId: alice, version: "11" }))).toBe("policy_refused");
    const [made] = await replacements(world, roomId);
    refusing = false;
    const replaced = await done(world.server("a").upgrade({ roomId, userId: alice, version: "11" }));
    expect(replaced.roomId).toBe(made);
    expect(await replacements(world, roomId)).toEqual([made]);
    expect(await world.node("a").storage.readIntents()).toEqual([]);
  });
});
