/**
 * What servers get to see of a room's history: whole or redacted, for servers in the room, for those that left and
 * for those that never were there; and what becomes of a redacted form where it arrives.
 */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import { Room, StateView } from "../../src/engine/index.js";
import { redact } from "../../src/event/redact.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { OperationName, Storage } from "../../src/ports/index.js";
import { versionOf } from "../support/engine.js";
import { codeOf, done, nameOf, pduOf, userOf, World, worldOf } from "../support/servers.js";

const VERSIONS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "I.1"] as const;
const SETTINGS = ["world_readable", "shared", "invited", "joined"] as const;
const [alice, bob, carol] = [userOf("a"), userOf("b"), userOf("c")];

type Setting = (typeof SETTINGS)[number];

afterEach(() => {
  vi.restoreAllMocks();
});

/** A room at `a` that servers come to and leave, with what happened in it by name. */
class Tale {
  readonly world: World;
  readonly roomId: string;
  readonly version: string;
  readonly ids = new Map<string, string>();

  constructor(world: World, roomId: string, version: string) {
    this.world = world;
    this.roomId = roomId;
    this.version = version;
  }

  static async begin(version: string, setting: Setting, ...others: readonly string[]): Promise<Tale> {
    const world = await worldOf("a", "b", "c", ...others);
    const initialState = [{ type: "m.room.history_visibility", content: { history_visibility: setting } }];
    const room = await done(world.server("a").create({ version, creator: alice, preset: "public", initialState }));
    return new Tale(world, room.roomId, version);
  }

  id(name: string): string {
    const id = this.ids.get(name);
    if (id === undefined) throw new Error(`nothing is called ${name}`);
    return id;
  }

  async say(name: string, server: string = "a"): Promise<void> {
    this.ids.set(name, (await done(this.world.say(server, this.roomId, name))).eventId);
    await this.world.deliver();
  }

  async state(name: string, type: string, content: JsonObject, server: string = "a", stateKey = ""): Promise<void> {
    const request = { roomId: this.roomId, userId: userOf(server), type, content, stateKey };
    this.ids.set(name, (await done(this.world.server(server).setState(request))).eventId);
    await this.world.deliver();
  }

  set(name: string, setting: Setting): Promise<void> {
    return this.state(name, "m.room.history_visibility", { history_visibility: setting });
  }

  async invite(name: string, target: string): Promise<void> {
    const sent = await this.world.server("a").invite({ roomId: this.roomId, userId: alice, target });
    this.ids.set(name, (await done(sent)).eventId);
    await this.world.deliver();
  }

  async join(name: string, server: string): Promise<void> {
    const [userId, via] = [userOf(server), [nameOf("a")]];
    await done(this.world.server(server).join({ roomId: this.roomId, userId, via }));
    await this.world.deliver();
    this.ids.set(name, (await this.room()).state("m.room.member", userId)?.eventId ?? "");
  }

  async leave(name: string, server: string): Promise<void> {
    const userId = userOf(server);
    await done(this.world.server(server).leave({ roomId: this.roomId, userId }));
    await this.world.deliver();
    this.ids.set(name, (await this.room()).state("m.room.member", userId)?.eventId ?? "");
  }

  room(server: string = "a"): Promise<Room> {
    return this.world.room(server, this.roomId);
  }

  async whole(name: string): Promise<JsonObject> {
    return (await (await this.room()).event(this.id(name)))?.original ?? {};
  }

  async bare(name: string): Promise<JsonObject> {
    return redact(versionOf(this.version).rules, await this.whole(name));
  }

  /** What `server` gets of an event by its id: `whole`, `redacted`, or the code of the refusal. */
  async given(name: string, server: string = "b"): Promise<string> {
    const request = { roomId: this.roomId, eventId: this.id(name) };
    const answer = await this.world.ask(server, "a", "event", request);
    return answer.ok ? this.formOf(name, answer.value.event) : answer.error.code;
  }

  async formOf(name: string, event: JsonValue): Promise<string> {
    expect(pduOf(this.version, event).eventId, "under the same id").toBe(this.id(name));
    const [whole, bare] = [await this.whole(name), await this.bare(name)];
    const text = JSON.stringify(event);
    if (text === JSON.stringify(whole)) return "whole";
    return text === JSON.stringify(bare) ? "redacted" : "other";
  }

  /** The same of every event that an answer with events holds, by name. */
  async listed(name: OperationName, request: JsonObject, server: string = "b"): Promise<ReadonlyMap<string, string>> {
    const answer = await this.world.ask(server, "a", name, { roomId: this.roomId, ...request });
    if (!answer.ok) throw new Error(`${answer.error.code}: ${answer.error.reason}`);
    const lists = Object.values(answer.value as Readonly<Record<string, readonly JsonValue[]>>);
    const found = new Map<string, string>();
    for (const event of lists.flat()) {
      const { eventId } = pduOf(this.version, event);
      for (const [called, id] of this.ids) if (id === eventId) found.set(called, await this.formOf(called, event));
    }
    return found;
  }
}

/** Bob's server is nowhere, invited, in the room, out of it, and in again; something is said each time. */
async function comings(version: string, setting: Setting): Promise<Tale> {
  const tale = await Tale.begin(version, setting);
  await tale.say("early");
  await tale.invite("invite", bob);
  await tale.say("asked");
  await tale.join("join", "b");
  await tale.say("there");
  await tale.leave("leave", "b");
  await tale.say("away");
  await tale.join("again", "b");
  await tale.say("back");
  return tale;
}

const WHOLE: Readonly<Record<Setting, readonly string[]>> = {
  world_readable: ["early", "asked", "there", "away", "back"],
  shared: ["early", "asked", "there", "away", "back"],
  invited: ["asked", "there", "back"],
  joined: ["there", "back"],
};

describe.each(VERSIONS)("a server in a room of version %s", (version) => {
  it.each(SETTINGS)(
    `[cap:visibility-server v:${version}] gets what it may not see under %s redacted, by each way of asking`,
    async (setting) => {
      const tale = await comings(version, setting);
      const said = ["early", "asked", "there", "away", "back"];
      const expected = new Map(said.map((name) => [name, WHOLE[setting].includes(name) ? "whole" : "redacted"]));
      for (const name of said) expect(await tale.given(name), name).toBe(expected.get(name));
      const back = await tale.listed("backfill", { from: [tale.id("back")], limit: 50 });
      const [end = ""] = (await tale.room()).control.forwardExtremities;
      await tale.say("end");
      const range = { earliest: [], latest: [tale.id("end")], limit: 50, minDepth: 0 };
      const missing = await tale.listed("get_missing_events", range);
      expect(end).toBe(tale.id("back"));
      for (const name of said) {
        expect(back.get(name), `${name} in backfill`).toBe(expected.get(name));
        expect(missing.get(name), `${name} in get_missing_events`).toBe(expected.get(name));
      }
      // Its users' own comings and goings count by the membership before and the one after.
      for (const name of ["join", "leave", "again"]) expect(await tale.given(name), name).toBe("whole");
      if (setting !== "joined") expect(await tale.given("invite")).toBe("whole");
      expect(tale.world.faults()).toEqual([]);
    },
  );
});

describe.each(["1", "10", "12"])("boundaries in a room of version %s", (version) => {
  const pairs = SETTINGS.flatMap((from) => SETTINGS.map((to) => ({ from, to })));

  it(`[cap:visibility-server v:${version}] a change of visibility is seen under the laxer of the two`, async () => {
    const tale = await Tale.begin(version, "joined");
    for (const [at, { from, to }] of pairs.entries()) {
      await tale.set(`${at} first`, from);
      await tale.set(`${at} change`, to);
    }
    await tale.set("last", "shared");
    await tale.join("join", "b");
    for (const [at, { from, to }] of pairs.entries()) {
      const open = [from, to].some((setting) => setting === "shared" || setting === "world_readable");
      // What it sets survives redaction: hidden or not, the receiver can tell.
      const hidden = await tale.bare(`${at} change`);
      expect(hidden["content"]).toEqual({ history_visibility: to });
      const given = await tale.given(`${at} change`);
      const same = JSON.stringify(hidden) === JSON.stringify(await tale.whole(`${at} change`));
      expect(given, `${from} to ${to}`).toBe(open || same ? "whole" : "redacted");
    }
  });

  it(`[cap:visibility-server v:${version}] members of other servers are hidden but for what they are`, async () => {
    const tale = await Tale.begin(version, "joined");
    await tale.join("plain", "c");
    const named = { membership: "join", displayname: "Carol" };
    await tale.state("carol", "m.room.member", named, "c", carol);
    await tale.state("renamed", "m.room.member", { ...named, displayname: "C." }, "c", carol);
    await tale.join("join", "b");
    // The last one is part of the current state, which everybody in the room is given.
    expect(await tale.given("renamed")).toBe("whole");
    expect(await tale.given("carol")).toBe("redacted");
    expect((await tale.bare("carol"))["content"]).toEqual({ membership: "join" });
  });
});

describe("a hidden state event", () => {
  it.each(VERSIONS)("is whole while it is part of the current state, in version %s", async (version) => {
    const tale = await Tale.begin(version, "joined");
    await tale.state("old", "m.room.topic", { topic: "old" });
    await tale.state("new", "m.room.topic", { topic: "new" });
    await tale.join("join", "b");
    expect(await tale.given("old")).toBe("redacted");
    expect(await tale.given("new")).toBe("whole");
    await tale.state("newer", "m.room.topic", { topic: "newer" });
    expect(await tale.given("new")).toBe("redacted");
    expect((await tale.room("b")).control.topic).toBe("newer");
  });

  it.each(VERSIONS)("says what the rules read of it, in version %s", async (version) => {
    const tale = await Tale.begin(version, "joined");
    const { rules } = versionOf(version);
    const levels = { ...((await tale.room()).state("m.room.power_levels")?.content ?? {}) };
    await tale.state("levels", "m.room.power_levels", { ...levels, invite: 50 });
    await tale.state("kept", "m.room.power_levels", { ...levels, invite: 50, events_default: 1 });
    await tale.join("join", "b");
    const first = tale.id("levels");
    const content = pduOf(version, await tale.whole("levels")).content;
    const keepsInvite = redact(rules, await tale.whole("levels"))["content"];
    const given = await tale.world.ask("b", "a", "event", { roomId: tale.roomId, eventId: first });
    if (!given.ok) throw new Error(given.error.reason);
    expect(pduOf(version, given.value.event).content["invite"]).toBe(50);
    expect(content["invite"]).toBe(50);
    expect((keepsInvite as JsonObject)["invite"]).toBe(["11", "12"].includes(version) ? 50 : undefined);
  });

  it.each(VERSIONS)("or a redaction says what it redacts, in version %s", async (version) => {
    const tale = await Tale.begin(version, "joined");
    await tale.say("said");
    const redaction = await done(
      tale.world.server("a").redact({
        roomId: tale.roomId,
        userId: alice,
        eventId: tale.id("said"),
        reason: "hidden",
      }),
    );
    tale.ids.set("redaction", redaction.eventId);
    await tale.join("join", "b");
    const given = await tale.world.ask("b", "a", "event", { roomId: tale.roomId, eventId: redaction.eventId });
    if (!given.ok) throw new Error(given.error.reason);
    expect(pduOf(version, given.value.event).redacts).toBe(tale.id("said"));
    expect(await tale.given("redaction")).toBe(["11", "12"].includes(version) ? "redacted" : "whole");
  });
});

describe.each(["10", "12"])("the state at an event in a room of version %s", (version) => {
  async function story(): Promise<Tale> {
    const tale = await Tale.begin(version, "joined");
    await tale.state("topic", "m.room.topic", { topic: "secret" });
    await tale.join("plain", "c");
    await tale.state("carol", "m.room.member", { membership: "join", displayname: "Carol" }, "c", carol);
    await tale.say("hidden", "c");
    await tale.join("join", "b");
    await tale.say("seen", "c");
    await tale.state("later", "m.room.topic", { topic: "open" });
    await tale.state("renamed", "m.room.member", { membership: "join", displayname: "C." }, "c", carol);
    return tale;
  }

  it(`[cap:visibility-server v:${version}] is hidden like the event, and whole with it`, async () => {
    const tale = await story();
    const at = (name: string): Promise<ReadonlyMap<string, string>> => tale.listed("state", { eventId: tale.id(name) });
    const [hidden, seen] = [await at("hidden"), await at("seen")];
    for (const name of ["topic", "carol"]) {
      expect(hidden.get(name), name).toBe("redacted");
      expect(seen.get(name), name).toBe("whole");
    }
    const ids = await tale.world.ask("b", "a", "state_ids", { roomId: tale.roomId, eventId: tale.id("hidden") });
    expect(ids.ok && ids.value.stateIds).toContain(tale.id("topic"));
  });

  it(`[cap:visibility-server v:${version}] is part of no chain of authority that tells more`, async () => {
    const tale = await story();
    const chain = (name: string): Promise<ReadonlyMap<string, string>> =>
      tale.listed("event_auth", { eventId: tale.id(name) });
    expect((await chain("hidden")).get("carol")).toBe("redacted");
    expect((await chain("seen")).get("carol")).toBe("whole");
  });
});

// ---- servers that are not in the room ---------------------------------------------------------------------

describe.each(["1", "10", "12"])("a server outside of a room of version %s", (version) => {
  it.each(SETTINGS)(
    `[cap:visibility-server v:${version}] that left gets what was sent while it was there under %s`,
    async (setting) => {
      const tale = await Tale.begin(version, setting);
      await tale.say("early");
      await tale.join("join", "b");
      await tale.say("there");
      await tale.leave("leave", "b");
      await tale.say("away");
      const { roomId } = tale;
      for (const name of ["join", "there", "leave"]) expect(await tale.given(name), name).toBe("whole");
      for (const name of ["early", "away"]) expect(await tale.given(name), name).toBe("forbidden");
      expect(await codeOf(tale.world.ask("b", "a", "event", { roomId, eventId: "$unknown" }))).toBe("forbidden");
      const back = await tale.listed("backfill", { from: [tale.id("away")], limit: 50 });
      expect([...back]).toEqual([
        ["leave", "whole"],
        ["there", "whole"],
        ["join", "whole"],
      ]);
      const range = { earliest: [], latest: [tale.id("leave")], limit: 50, minDepth: 0 };
      // What its last event came after it gets all of, to judge it by; not to read.
      expect([...(await tale.listed("get_missing_events", range))]).toEqual([
        ["early", "redacted"],
        ["join", "whole"],
        ["there", "whole"],
      ]);
      const none = { roomId, from: [tale.id("early")], limit: 50 };
      expect(await codeOf(tale.world.ask("b", "a", "backfill", none))).toBe("forbidden");
      const none2 = { roomId, earliest: [], latest: ["$unknown"], limit: 50, minDepth: 0 };
      expect(await codeOf(tale.world.ask("b", "a", "get_missing_events", none2))).toBe("forbidden");
      const about = (operation: "state" | "state_ids" | "event_auth", name: string): Promise<string> =>
        codeOf<unknown>(tale.world.ask("b", "a", operation, { roomId, eventId: tale.id(name) }));
      for (const operation of ["state", "event_auth"] as const) {
        // What an event met with it saw with the event: a join with a part of the state is completed by it.
        for (const name of ["join", "there", "leave"]) expect(await about(operation, name), name).toBe("ok");
        for (const name of ["early", "away"]) expect(await about(operation, name), name).toBe("forbidden");
      }
      expect(await about("state_ids", "there")).toBe("forbidden");
    },
  );

  it(`[cap:visibility-server v:${version}] that names no room, as over HTTP, gets what it may see`, async () => {
    const lookups = ["by the storage", "room by room"] as const;
    for (const lookup of lookups) {
      const world = new World();
      const storage: Storage = { ...createMemoryStorage() };
      if (lookup === "room by room") delete storage.roomsWith;
      await world.add("a", { storage });
      for (const name of ["b", "d"]) await world.add(name);
      // A room that comes before the event's own.
      await done(world.server("a").create({ version, creator: alice, preset: "public" }));
      const initialState = [{ type: "m.room.history_visibility", content: { history_visibility: "joined" } }];
      const room = await done(world.server("a").create({ version, creator: alice, preset: "public", initialState }));
      const tale = new Tale(world, room.roomId, version);
      await tale.say("early");
      await tale.join("join", "b");
      const given = async (name: string, server: string): Promise<string> => {
        const answer = await world.ask(server, "a", "event", { eventId: tale.id(name) });
        return answer.ok ? tale.formOf(name, answer.value.event) : answer.error.reason;
      };
      expect(await given("early", "b")).toBe("redacted");
      expect(await given("join", "b")).toBe("whole");
      tale.ids.set("none", "$none");
      // That there is such an event is not for strangers to know.
      for (const name of ["early", "none"]) {
        expect(await given(name, "d")).toBe(`${tale.id(name)} is not here, or not for d.example to read`);
      }
    }
  });

  it(`[cap:visibility-server v:${version}] that never was there gets nothing at all`, async () => {
    const tale = await Tale.begin(version, "world_readable");
    await tale.say("said");
    expect(await tale.given("said", "c")).toBe("forbidden");
    await tale.invite("invite", carol);
    await tale.say("after");
    for (const name of ["said", "invite", "after"]) expect(await tale.given(name, "c"), name).toBe("forbidden");
    const read = vi.spyOn(Room.prototype, "rows");
    const asked = tale.world.ask("d", "a", "event", { roomId: tale.roomId, eventId: tale.id("said") });
    expect(await codeOf(asked)).toBe("forbidden");
    expect(read, "and costs nothing").not.toHaveBeenCalled();
  });

  it("that was cut off before its user was kicked learns of what it missed, and that the user is out", async () => {
    const tale = await Tale.begin(version, "shared");
    await tale.join("join", "b");
    tale.world.cut("a", "b");
    for (let at = 0; at < 3; at++) await done(tale.world.say("a", tale.roomId, `missed ${at}`));
    await done(tale.world.server("a").kick({ roomId: tale.roomId, userId: alice, target: bob }));
    tale.world.heal("a", "b");
    await tale.world.deliver();
    expect(await tale.world.membership("b", tale.roomId, bob)).toBe("leave");
    expect(await tale.world.membership("a", tale.roomId, bob)).toBe("leave");
  });
});

// ---- where it arrives -------------------------------------------------------------------------------------

async function backfilled(tale: Tale, server: string): Promise<Room> {
  const room = await tale.room(server);
  for (let page = 0; page < 20 && room.gaps.length > 0; page++) {
    await done(tale.world.server(server).backfill(tale.roomId, 5));
  }
  expect(room.gaps).toEqual([]);
  return room;
}

describe.each(VERSIONS)("history that comes to a server, in a room of version %s", (version) => {
  async function past(setting: Setting): Promise<Tale> {
    const tale = await Tale.begin(version, setting);
    const levels = (await tale.room()).state("m.room.power_levels")?.content ?? {};
    await tale.say("one");
    await tale.state("topic", "m.room.topic", { topic: "old" });
    await tale.join("carol", "c");
    await tale.state("named", "m.room.member", { membership: "join", displayname: "Carol" }, "c", carol);
    await tale.state("levels", "m.room.power_levels", { ...levels, invite: 50, notifications: { room: 60 } });
    await tale.state("levels again", "m.room.power_levels", { ...levels, invite: 0, notifications: { room: 50 } });
    await tale.state("new topic", "m.room.topic", { topic: "new" });
    await tale.state("renamed", "m.room.member", { membership: "join", displayname: "C." }, "c", carol);
    await tale.say("two", "c");
    await tale.join("join", "b");
    await tale.say("three");
    return tale;
  }

  it(`[cap:visibility-server v:${version}] redacted is kept so, judged alike, and completed`, async () => {
    const tale = await past("joined");
    const [here, there] = [await tale.room("a"), await backfilled(tale, "b")];
    const { events } = await here.timeline({ limit: 100 });
    for (const { eventId } of events) {
      expect(await there.verdict(eventId)).toMatchObject({ verdict: "accepted", basis: "state-before" });
      const [mine, theirs] = [await here.stateAt(eventId), await there.stateAt(eventId)];
      expect([...(theirs?.after.ids() ?? [])].sort()).toEqual([...(mine?.after.ids() ?? [])].sort());
    }
    for (const name of ["one", "two", "topic"]) {
      expect(await there.verdict(tale.id(name)), name).toMatchObject({ redacted: true });
      expect((await there.event(tale.id(name)))?.original, name).toEqual(await tale.bare(name));
    }
    // What the join brought whole, as part of the state or of what that rests on, stays whole.
    for (const name of ["three", "new topic", "renamed", "named", "levels again"]) {
      expect(await there.verdict(tale.id(name)), name).toMatchObject({ redacted: false });
    }
    expect(there.control.topic).toBe("new");
    const ask = async (name: string, server: string): Promise<string> => {
      const answer = await tale.world.ask(server, "b", "event", { roomId: tale.roomId, eventId: tale.id(name) });
      return answer.ok ? tale.formOf(name, answer.value.event) : answer.error.code;
    };
    for (const name of ["one", "topic"]) expect(await ask(name, "a"), "what it has").toBe("redacted");
    // A server that may see an event passes it on whole, and then it is whole here.
    const full = await Promise.all(["one", "topic"].map((name) => tale.whole(name)));
    await there.receive(full, { origin: nameOf("c"), mode: "history" });
    for (const name of ["one", "topic"]) {
      expect(await there.verdict(tale.id(name)), name).toMatchObject({ verdict: "accepted", redacted: false });
      expect((await there.event(tale.id(name)))?.original, name).toEqual(await tale.whole(name));
      expect([await ask(name, "a"), await ask(name, "c")], "by who was there").toEqual(["whole", "redacted"]);
    }
    expect(tale.world.faults()).toEqual([]);
  });

  it(`[cap:visibility-server v:${version}] is what it was, to the letter, in a room that is shared`, async () => {
    const tale = await past("shared");
    const [here, there] = [await tale.room("a"), await backfilled(tale, "b")];
    for (const { eventId } of (await here.timeline({ limit: 100 })).events) {
      const [[mine], [theirs]] = [await here.rows([eventId]), await there.rows([eventId])];
      expect(theirs?.json).toEqual(mine?.json);
      expect(theirs?.hashMismatch).toBe(false);
    }
  });
});

describe("an event whose surroundings are unknown", () => {
  async function early(setting: Setting): Promise<Tale> {
    const world = await worldOf("a", "b", "c");
    // The join rules stand before the setting, everything else after it.
    const rules = { join_rule: "public", "org.example.extra": 1 };
    const initialState = [
      { type: "m.room.join_rules", content: rules },
      { type: "m.room.member", stateKey: alice, content: { membership: "join", displayname: "Alice" } },
      { type: "m.room.history_visibility", content: { history_visibility: setting } },
    ];
    const room = await done(
      world.server("a").create({ version: "10", creator: alice, preset: "public", initialState }),
    );
    const tale = new Tale(world, room.roomId, "10");
    tale.ids.set("named", room.state("m.room.member", alice)?.eventId ?? "");
    tale.ids.set("rules", room.state("m.room.join_rules")?.eventId ?? "");
    await tale.state("renamed", "m.room.member", { membership: "join", displayname: "A." }, "a", alice);
    await tale.state("other rules", "m.room.join_rules", { join_rule: "public" });
    await tale.say("said");
    await tale.join("b", "b");
    await tale.join("c", "c");
    // Bob's server has what the state rests on, and one event of the history before it was there.
    await done(world.server("b").backfill(room.roomId, 1));
    return tale;
  }

  it.each(SETTINGS)("goes out whole under %s only if the room was never stricter", async (setting) => {
    const tale = await early(setting);
    const open = setting === "shared" || setting === "world_readable";
    const { roomId } = tale;
    for (const name of ["rules", "named", "said"]) {
      expect(await (await tale.room("b")).stateAt(tale.id(name)), name).toBeUndefined();
      const answer = await tale.world.ask("c", "b", "event", { roomId, eventId: tale.id(name) });
      if (!answer.ok) throw new Error(`${name}: ${answer.error.reason}`);
      const whole = (await (await tale.room("b")).event(tale.id(name)))?.original ?? {};
      const bare = redact(versionOf("10").rules, whole);
      expect(answer.value.event, name).toEqual(open ? whole : bare);
    }
  });
});

// ---- cost -------------------------------------------------------------------------------------------------

describe("in a room of many members", () => {
  it("the members are counted once for all requests, and anew when the room was opened anew", async () => {
    const tale = await Tale.begin("10", "joined");
    await tale.say("hidden");
    await tale.join("join", "b");
    for (let at = 0; at < 5; at++) {
      await tale.state(`topic ${at}`, "m.room.topic", { topic: `${at}` });
      await tale.say(`said ${at}`);
    }
    const counted = vi.spyOn(StateView.prototype, "members");
    for (let at = 0; at < 3; at++) {
      const found = await tale.listed("backfill", { from: [tale.id("said 4")], limit: 50 });
      expect(found.get("said 0")).toBe("whole");
      expect(found.get("hidden")).toBe("redacted");
    }
    expect(await tale.given("said 0", "c")).toBe("forbidden");
    expect(counted).toHaveBeenCalledTimes(1);
    await tale.world.restart("a");
    expect(await tale.given("said 0")).toBe("whole");
    expect(await tale.given("hidden")).toBe("redacted");
    expect(counted).toHaveBeenCalledTimes(2);
  });
});
