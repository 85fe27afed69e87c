/**
 * Joins whose state comes without most memberships (FL4, `omit_members`): what the resident server leaves out, and
 * what the joining one makes of it until it knows the rest.
 */
import { describe, expect, it } from "vitest";
import type { Room, RoomUpdate } from "../../src/engine/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { OperationAnswer, OperationName, Verdict } from "../../src/ports/index.js";
import { crashAtWrite } from "../../src/testing/simulation/index.js";
import { codeOf, done, nameOf, pduOf, signedBy, tick, userOf, World, worldOf } from "../support/servers.js";
import { versionOf } from "../support/engine.js";

const alice = userOf("a");
const bob = userOf("b");

type Joined = OperationAnswer<"send_join">;

/** Joins as `b` does, without a server `b` that makes anything of the answer. */
async function sentJoin(world: World, roomId: string, omitMembers: boolean): Promise<Joined> {
  const version = (await world.room("a", roomId)).version.id;
  const template = await world.ask("b", "a", "make_join", { roomId, userId: bob, versions: [version] });
  if (!template.ok) throw new Error(template.error.reason);
  const inPdu = versionOf(version).rules.format.eventIds === "in-pdu";
  const given = template.value.event as JsonObject;
  const event = { ...given, origin_server_ts: 1, ...(inPdu ? { event_id: "$join:b.example" } : {}) };
  const sent = await world.ask("b", "a", "send_join", {
    roomId,
    eventId: "$given",
    event: signedBy(version, "b", event),
    ...(omitMembers ? { omitMembers } : {}),
  });
  if (!sent.ok) throw new Error(sent.error.reason);
  return sent.value;
}

function membersIn(state: readonly unknown[]): readonly string[] {
  const members = (state as readonly JsonObject[]).filter(({ type }) => type === "m.room.member");
  return members.map((event) => event["state_key"] as string).sort();
}

/** A room of `a` with users of `c` and `d`, and seven more of `a`'s. */
async function crowded(version: string, name?: string): Promise<{ readonly world: World; readonly roomId: string }> {
  const world = await worldOf("a", "b", "c", "d");
  const created = await done(
    world.server("a").create({ version, creator: alice, preset: "public", ...(name === undefined ? {} : { name }) }),
  );
  const { roomId } = created;
  for (const one of ["c", "d"]) {
    await done(world.server(one).join({ roomId, userId: userOf(one), via: ["a.example"] }));
    await world.deliver();
  }
  for (let at = 1; at <= 7; at++) await done(world.server("a").join({ roomId, userId: userOf("a", `extra${at}`) }));
  await world.deliver();
  return { world, roomId };
}

describe.each(["1", "6", "10", "11", "12"])("a resident server of a room of version %s", (version) => {
  it("leaves out memberships when it may, and says where they are", async () => {
    const { world, roomId } = await crowded(version, "crowded");
    const room = await world.room("a", roomId);
    const before = room.current;
    const answer = await sentJoin(world, roomId, true);
    expect(answer.membersOmitted).toBe(true);
    expect(answer.serversInRoom).toEqual(["a.example", "c.example", "d.example"]);
    expect(membersIn(answer.state)).toEqual([]);
    const ids = answer.state.map((event) => pduOf(version, event).eventId);
    const rest = before.events().filter(({ type }) => type !== "m.room.member");
    expect([...ids].sort()).toEqual(rest.map(({ eventId }) => eventId).sort());
  });

  it("gives the auth chain of what is left and of the join, each event once", async () => {
    const { world, roomId } = await crowded(version, "crowded");
    const answer = await sentJoin(world, roomId, true);
    const join = pduOf(version, answer.event);
    const given = [...answer.state, ...answer.authChain].map((event) => pduOf(version, event));
    const ids = given.map(({ eventId }) => eventId as string);
    expect(new Set(ids).size).toBe(ids.length);
    const cited = [join, ...given].flatMap(({ authEvents }) => authEvents as readonly string[]);
    expect(cited.filter((id) => !ids.includes(id))).toEqual([]);
    // Of the members only those on whose word something rests: the creator, who set the state up.
    expect(membersIn(answer.authChain)).toEqual([alice]);
  });

  it("leaves nothing out unasked", async () => {
    const { world, roomId } = await crowded(version, "crowded");
    const answer = await sentJoin(world, roomId, false);
    expect(membersIn(answer.state)).toHaveLength(10);
    expect(answer).not.toHaveProperty("membersOmitted");
    expect(answer).not.toHaveProperty("serversInRoom");
  });
});

describe("what is not left out", () => {
  it("is five heroes, where the room has no name to be called by", async () => {
    const { world, roomId } = await crowded("10");
    const answer = await sentJoin(world, roomId, true);
    expect(membersIn(answer.state)).toHaveLength(5);
    const ids = new Set([...answer.state, ...answer.authChain].map((event) => pduOf("10", event).eventId as string));
    const cited = answer.state.flatMap((event) => pduOf("10", event).authEvents as readonly string[]);
    expect(cited.filter((id) => !ids.has(id))).toEqual([]);
  });

  it("is no hero where there is an alias, and one where the name is empty", async () => {
    const { world, roomId } = await crowded("10");
    const set = (type: string, content: JsonObject): Promise<unknown> =>
      done(world.server("a").setState({ roomId, userId: alice, type, content }));
    await set("m.room.name", { name: "" });
    expect(membersIn((await sentJoin(world, roomId, true)).state)).toHaveLength(5);
    await set("m.room.canonical_alias", { alias: "#crowded:a.example" });
    // The joiner's own membership, from the first join, is all that is left.
    expect(membersIn((await sentJoin(world, roomId, true)).state)).toEqual([bob]);
  });

  it("is what the joiner was before", async () => {
    const { world, roomId } = await crowded("10", "crowded");
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    const answer = await sentJoin(world, roomId, true);
    expect(membersIn(answer.state)).toEqual([bob]);
    const [invite] = answer.state.filter((event) => (event as JsonObject)["type"] === "m.room.member");
    expect((invite as JsonObject)["content"]).toEqual({ membership: "invite" });
  });

  it("is nobody who left, where somebody else can give the room a name", async () => {
    const world = await worldOf("a", "b");
    const created = await done(world.server("a").create({ version: "10", creator: alice, preset: "public" }));
    const { roomId } = created;
    const gone = userOf("a", "gone");
    await done(world.server("a").join({ roomId, userId: gone }));
    await done(world.server("a").leave({ roomId, userId: gone }));
    expect(membersIn((await sentJoin(world, roomId, true)).state)).toEqual([alice]);
  });

  it("may be everything, and then nothing is said to be left out", async () => {
    const world = await worldOf("a", "b");
    const { roomId } = await done(world.server("a").create({ version: "10", creator: alice, preset: "public" }));
    const answer = await sentJoin(world, roomId, true);
    expect(membersIn(answer.state)).toEqual([alice]);
    expect(answer).not.toHaveProperty("membersOmitted");
  });
});

// ---- the joining side -------------------------------------------------------------------------------------

const carol = userOf("c");
const dave = userOf("d");

/** Servers of which `b` gets no state, as if they were busy. Everything else gets through. */
function withhold(world: World, ...names: readonly string[]): void {
  const busy = new Set(names.map(nameOf));
  world.intercept((call, proceed) => {
    const held = call.name === "state" && call.from === "b.example" && busy.has(call.to);
    return held ? Promise.resolve({ ok: false, error: { code: "limit_exceeded", reason: "busy" } }) : proceed();
  });
}

function allServers(world: World): void {
  withhold(world, "a", "c", "d");
}

/** `b` is in the room, and has not heard who else is. */
async function halfJoined(version: string): Promise<{
  readonly world: World;
  readonly roomId: string;
  readonly room: Room;
}> {
  const { world, roomId } = await crowded(version, "crowded");
  allServers(world);
  const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
  await world.deliver();
  return { world, roomId, room };
}

async function completed(world: World): Promise<void> {
  world.intercept(undefined);
  for (let at = 0; at < 20 && world.server("b").isCompleting; at++) await world.pass(60_000);
  await world.deliver();
  expect(world.server("b").isCompleting).toBe(false);
  expect(world.faults()).toEqual([]);
}

/** That two servers know the same of a room: its state, its ends, and the states at an event. */
async function expectSame(world: World, roomId: string, eventId: string): Promise<void> {
  expect(await world.view("b", roomId)).toEqual(await world.view("a", roomId));
  const [mine, theirs] = await Promise.all(
    ["b", "a"].map(async (name) => {
      const at = await (await world.room(name, roomId)).stateAt(eventId);
      return { before: [...(at?.before.ids() ?? [])].sort(), after: [...(at?.after.ids() ?? [])].sort() };
    }),
  );
  expect(mine).toEqual(theirs);
  const [b, a] = await Promise.all(["b", "a"].map((name) => world.room(name, roomId)));
  expect(b?.control.partial).toBe(false);
  expect(b?.servers).toEqual(a?.servers);
  expect(b?.control.counts).toEqual(a?.control.counts);
  expect(await world.node("b").storage.readIntents()).toEqual([]);
}

function joinOf(room: Room): string {
  const join = room.state("m.room.member", bob);
  if (join === undefined) throw new Error("bob is not in the room");
  return join.eventId;
}

async function verdictAt(world: World, name: string, roomId: string, eventId: string): Promise<Verdict["verdict"]> {
  return (await (await world.room(name, roomId)).verdict(eventId))?.verdict ?? "malformed";
}

const everyVersion = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "I.1"];

describe.each(everyVersion)("a room of version %s that is joined with a part of its state", (version) => {
  it(`works at once, and is at last what a full join makes of it [cap:partial-join v:${version}]`, async () => {
    const { world, roomId, room } = await halfJoined(version);
    expect(world.callsOf("send_join").filter(({ from }) => from === "b.example")[0]?.request).toMatchObject({
      omitMembers: true,
    });
    expect(room.control.partial).toBe(true);
    expect(room.members("join").map(({ userId }) => userId)).toEqual([bob]);
    expect(room.servers).toEqual(["a.example", "b.example", "c.example", "d.example"]);
    expect(room.control.servers).toBe(4);
    expect(room.control.name).toBe("crowded");
    // In both directions, and with every server.
    const mine = await done(world.say("b", roomId, "from the joiner"));
    await world.deliver();
    for (const name of ["a", "c", "d"]) expect(await verdictAt(world, name, roomId, mine.eventId)).toBe("accepted");
    const theirs: string[] = [];
    for (const name of ["c", "d"]) {
      theirs.push((await done(world.say(name, roomId, `from ${name}`))).eventId);
      await world.deliver();
    }
    await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.topic", content: { topic: "new" } }));
    await world.deliver();
    for (const id of theirs) expect(await verdictAt(world, "b", roomId, id)).toBe("accepted");
    expect(room.control.topic).toBe("new");
    expect(room.control.partial).toBe(true);
    const join = joinOf(room);
    expect((await room.stateAt(join))?.partial).toBe(true);
    const before = await room.timeline();
    await completed(world);
    await expectSame(world, roomId, join);
    for (const id of [mine.eventId, ...theirs]) await expectSame(world, roomId, id);
    expect((await room.stateAt(join))?.partial).toBe(false);
    expect(room.members("join")).toHaveLength(11);
    expect(await room.timeline()).toEqual(before);
    await done(world.say("b", roomId, "after"));
    await world.deliver();
    await expectSame(world, roomId, join);
  });
});

/** An event of a user, made at the end of the room as `a` knows it, whatever that allows. */
async function forged(
  world: World,
  roomId: string,
  made: {
    readonly sender: string;
    readonly type: string;
    readonly stateKey?: string;
    readonly content: JsonObject;
    readonly redacts?: string;
    readonly auth: readonly (string | undefined)[];
    readonly prev: readonly string[];
    readonly depth: number;
  },
): Promise<JsonObject> {
  const version = (await world.room("a", roomId)).version.id;
  const { sender, type, stateKey, content, redacts, auth, prev, depth } = made;
  const server = sender.slice(sender.indexOf(":") + 1);
  return signedBy(version, server, {
    type,
    room_id: roomId,
    sender,
    ...(stateKey === undefined ? {} : { state_key: stateKey }),
    content: version === "11" && redacts !== undefined ? { ...content, redacts } : content,
    ...(version !== "11" && redacts !== undefined ? { redacts } : {}),
    auth_events: auth.filter((id) => id !== undefined),
    prev_events: prev,
    depth,
    origin_server_ts: world.clock.now() + 1,
  });
}

/** Hands `b` events as another server of the room would. */
async function hand(world: World, from: string, events: readonly JsonObject[]): Promise<void> {
  const transactionId = `t${world.calls.length}`;
  const sent = await world.ask(from, "b", "send", { transactionId, pdus: events });
  expect(sent.ok).toBe(true);
  await tick();
}

describe.each(["6", "10", "11"])("what a room of version %s took in before its members were known", (version) => {
  /** Dave was a moderator, and was banned before `b` came, which `b` cannot know. */
  async function deceived(): Promise<{
    readonly world: World;
    readonly roomId: string;
    readonly room: Room;
    readonly kick: string;
    readonly message: string;
    readonly redaction: string;
    readonly speech: string;
    readonly topic: string;
  }> {
    const { world, roomId } = await crowded(version, "crowded");
    const at = await world.room("a", roomId);
    const levels = at.state("m.room.power_levels")?.content ?? {};
    const users = { ...(levels["users"] as JsonObject), [dave]: 50 };
    const type = "m.room.power_levels";
    await done(world.server("a").setState({ roomId, userId: alice, type, content: { ...levels, users } }));
    await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.topic", content: { topic: "old" } }));
    const joined = at.state("m.room.member", dave)?.eventId;
    await done(world.server("a").ban({ roomId, userId: alice, target: dave }));
    await world.deliver();
    allServers(world);
    const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    await world.deliver();
    const said = await done(world.say("c", roomId, "to be redacted"));
    await world.deliver();
    const auth = [at.state("m.room.create")?.eventId, at.state("m.room.power_levels")?.eventId, joined];
    const depth = said.depth + 1;
    const base = { sender: dave, auth, prev: [said.eventId], depth };
    const speaking = await forged(world, roomId, { ...base, type: "m.room.message", content: { body: "still here" } });
    const redacting = await forged(world, roomId, {
      ...base,
      type: "m.room.redaction",
      content: {},
      redacts: said.eventId,
    });
    const retitling = await forged(world, roomId, {
      ...base,
      type: "m.room.topic",
      stateKey: "",
      content: { topic: "forged" },
    });
    const kicking = await forged(world, roomId, {
      ...base,
      auth: [...auth, at.state("m.room.member", carol)?.eventId],
      type: "m.room.member",
      stateKey: carol,
      content: { membership: "leave" },
    });
    await hand(world, "c", [speaking, redacting, retitling, kicking]);
    // Carol goes on talking, and has heard nothing of all that.
    const message = await done(world.say("c", roomId, "and on"));
    await world.deliver();
    const idOf = (event: JsonObject): string => pduOf(version, event).eventId;
    return {
      world,
      roomId,
      room,
      kick: idOf(kicking),
      message: message.eventId,
      redaction: said.eventId,
      speech: idOf(speaking),
      topic: idOf(retitling),
    };
  }

  it("is judged again, and what followed from what should not have been is undone", async () => {
    const { world, roomId, room, kick, message, redaction, speech, topic } = await deceived();
    // Nothing that is known speaks against it.
    for (const id of [kick, speech, topic]) expect(await verdictAt(world, "b", roomId, id)).toBe("accepted");
    expect(room.control.topic).toBe("forged");
    expect((await room.event(redaction))?.redactedBy).toBeDefined();
    expect(await verdictAt(world, "b", roomId, message)).toBe("soft-failed");
    await completed(world);
    for (const id of [kick, speech, topic]) expect(await verdictAt(world, "b", roomId, id)).toBe("rejected-by-state");
    expect(room.control.topic).toBe("old");
    expect((await room.event(redaction))?.redactedBy).toBeUndefined();
    expect(await verdictAt(world, "b", roomId, message)).toBe("accepted");
    expect(room.current.membership(dave)).toBe("ban");
    expect(room.current.membership(carol)).toBe("join");
    await expectSame(world, roomId, joinOf(room));
    await expectSame(world, roomId, message);
  });

  it("is taken out of the timeline, and what is accepted only now comes last in it", async () => {
    const { world, room, kick, message, speech, topic } = await deceived();
    const before = (await room.timeline()).events.map(({ eventId }) => eventId);
    const updates: RoomUpdate[] = [];
    room.subscribe((update) => updates.push(update));
    await completed(world);
    const after = (await room.timeline()).events.map(({ eventId }) => eventId);
    const gone = before.filter((id) => !after.includes(id));
    expect(gone).toEqual(expect.arrayContaining([kick, speech, topic]));
    expect(gone).toHaveLength(4);
    expect(after.at(-1)).toBe(message);
    const [update] = updates.filter(({ changes }) => changes.some(({ cause }) => cause.cause === "completion"));
    expect(update?.events).toEqual([message]);
  });

  it("is told as one change of the state, by its completion", async () => {
    const { world, room } = await deceived();
    const updates: RoomUpdate[] = [];
    room.subscribe((update) => updates.push(update));
    const before = new Map(room.current.events().map((event) => [`${event.type} ${event.stateKey}`, event.eventId]));
    await completed(world);
    const completions = updates.flatMap(({ changes }) => changes).filter(({ cause }) => cause.cause === "completion");
    expect(completions).toHaveLength(1);
    expect(completions[0]?.cause).toEqual({ cause: "completion", events: [joinOf(room)] });
    for (const { type, stateKey, before: old, after } of completions[0]?.differences ?? []) {
      expect(old).toBe(before.get(`${type} ${stateKey}`));
      expect(after).toBe(room.state(type, stateKey)?.eventId);
    }
    expect(completions[0]?.differences.map(({ stateKey }) => stateKey)).toEqual(expect.arrayContaining([dave, carol]));
    const patches = updates.flatMap((update) => update.patches).map(({ path, value }) => [path[0], value]);
    expect(patches).toContainEqual(["partial", false]);
    const observed = world
      .node("b")
      .observer.stateChanges()
      .filter(({ cause }) => cause.cause === "completion");
    expect(observed).toHaveLength(2);
  });

  it("stays as it is after a restart, until it is judged again", async () => {
    const { world, roomId, message, speech } = await deceived();
    await world.restart("b");
    await world.settle();
    expect((await world.room("b", roomId)).control.partial).toBe(true);
    expect((await world.room("b", roomId)).servers).toContain("c.example");
    expect(await verdictAt(world, "b", roomId, speech)).toBe("accepted");
    await completed(world);
    expect(await verdictAt(world, "b", roomId, speech)).toBe("rejected-by-state");
    expect(await verdictAt(world, "b", roomId, message)).toBe("accepted");
    await expectSame(world, roomId, message);
  });
});

describe("completing a partial state", () => {
  it.each(["before", "after"] as const)("is carried on after a crash %s any write", async (when) => {
    const outcomes: string[] = [];
    for (let write = 1; ; write++) {
      const world = new World();
      for (const name of ["a", "c"]) await world.add(name);
      const { crash, rise } = await world.crashing("b");
      const roomId = await world.shared("10", "a", "c");
      crash.plan(crashAtWrite(crash.writes + write, when));
      void world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true });
      for (let at = 0; at < 5; at++) await tick();
      const crashed = crash.crashes > 0;
      if (crashed) await rise();
      await completed(world);
      crash.assertMonotonicRevisions();
      for (const { from, request } of world.callsOf("send_join")) {
        if (from === "b.example") expect(request).toHaveProperty("omitMembers", true);
      }
      const room = await world.server("b").room(roomId);
      outcomes.push(room === undefined ? "absent" : "joined");
      if (room === undefined) expect(await world.node("b").storage.readIntents()).toEqual([]);
      else await expectSame(world, roomId, joinOf(room));
      if (!crashed) break;
    }
    // The intent, the join, the completion: once the intent is written, all of it is done at some time.
    expect(outcomes).toEqual([when === "before" ? "absent" : "joined", "joined", "joined", "joined"]);
  });

  it("goes on while messages come and go", async () => {
    const { world, roomId, room } = await halfJoined("10");
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    world.intercept(async (call, proceed) => {
      const answer = await proceed();
      if (call.name === "state" && call.from === "b.example") await gate;
      return answer;
    });
    await world.pass(30_000);
    const sent: string[] = [];
    for (let at = 0; at < 5; at++) {
      for (const name of ["b", "c", "d"]) {
        const [one] = await Promise.all([world.say(name, roomId, `${at}`), tick()]);
        sent.push((await done(one)).eventId);
      }
      await world.deliver();
    }
    expect(room.control.partial).toBe(true);
    const saying = ["b", "c", "d"].map((name) => world.say(name, roomId, "at once"));
    release();
    for (const one of await Promise.all(saying)) sent.push((await done(one)).eventId);
    await completed(world);
    for (const id of sent) expect(await verdictAt(world, "b", roomId, id)).toBe("accepted");
    await done(world.say("b", roomId, "last"));
    await world.deliver();
    await expectSame(world, roomId, joinOf(room));
    for (const id of sent) await expectSame(world, roomId, id);
  });

  it("asks another server when the first does not answer, with pauses that grow", async () => {
    const { world, roomId, room } = await halfJoined("10");
    const asked = (): readonly string[] =>
      world.callsOf("state").flatMap(({ from, to }) => (from === "b.example" ? [to] : []));
    expect(asked()).toEqual(["a.example", "c.example", "d.example"]);
    await world.pass(1_000);
    expect(asked()).toHaveLength(6);
    await world.pass(1_000);
    expect(asked()).toHaveLength(6);
    await world.pass(1_000);
    expect(asked()).toHaveLength(9);
    withhold(world, "a", "c");
    await world.pass(60_000);
    expect(asked().at(-1)).toBe("d.example");
    await completed(world);
    await expectSame(world, roomId, joinOf(room));
  });

  it("stops with the server, and goes on when it starts again", async () => {
    const { world, roomId, room } = await halfJoined("10");
    world.server("b").stop();
    world.intercept(undefined);
    await world.pass(600_000);
    expect(room.control.partial).toBe(true);
    expect(world.server("b").isCompleting).toBe(false);
    await world.server("b").start();
    await completed(world);
    await expectSame(world, roomId, joinOf(room));
  });

  /** `lie` changes what `a` and `c` answer to `state`; `d` is honest. */
  async function liedTo(lie: (answer: Joined) => unknown): Promise<void> {
    const { world, roomId, room } = await halfJoined("10");
    const join = joinOf(room);
    const before = { state: room.current.ids(), control: room.control };
    const lying = async (call: { readonly name: OperationName; readonly from: string; readonly to: string }) =>
      Promise.resolve(call.name === "state" && call.from === "b.example" && call.to !== "d.example");
    world.intercept(async (call, proceed) => {
      const answer = await proceed();
      if (call.name !== "state" || call.from !== "b.example") return answer;
      if (call.to === "d.example") return { ok: false, error: { code: "limit_exceeded", reason: "busy" } };
      return answer.ok ? { ok: true, value: lie(answer.value as Joined) as never } : answer;
    });
    await world.pass(30_000);
    expect(room.control).toEqual(before.control);
    expect(room.current.ids()).toEqual(before.state);
    expect(await world.node("b").storage.readIntents()).toHaveLength(1);
    world.intercept(async (call, proceed) => {
      const answer = await proceed();
      if (!(await lying(call)) || !answer.ok) return answer;
      return { ok: true, value: lie(answer.value as Joined) as never };
    });
    for (let at = 0; at < 20 && world.server("b").isCompleting; at++) await world.pass(60_000);
    expect(world.faults()).toEqual([]);
    await expectSame(world, roomId, join);
  }

  const without = (type: string, stateKey: string) => (answer: Joined) => ({
    state: answer.state.filter((event) => {
      const { type: its, state_key: key } = event as JsonObject;
      return its !== type || key !== stateKey;
    }),
    authChain: answer.authChain,
  });

  it.each<readonly [what: string, lie: (answer: Joined) => unknown]>([
    ["is nothing", () => ({})],
    ["is junk", () => ({ state: ["junk", null, {}], authChain: 5 })],
    ["does not let the join in", without("m.room.join_rules", "")],
    ["has no create event", without("m.room.create", "")],
    ["lacks what the room was joined with", without("m.room.name", "")],
  ])("refuses a state that %s, and takes that of another server", async (_, lie) => {
    await liedTo(lie);
  });

  it.each<readonly [what: string, made: { sender: string; type: string; stateKey: string; content: JsonObject }]>([
    ["bans who has joined", { sender: alice, type: "m.room.member", stateKey: bob, content: { membership: "ban" } }],
    [
      "has more than members that are new",
      { sender: alice, type: "m.room.server_acl", stateKey: "", content: { deny: ["*"] } },
    ],
    [
      "cannot be verified now",
      { sender: userOf("x"), type: "m.room.member", stateKey: userOf("x"), content: { membership: "join" } },
    ],
  ])("refuses a state that %s", async (_, made) => {
    const { world, roomId, room } = await halfJoined("10");
    const at = await world.room("a", roomId);
    const auth = [at.state("m.room.create"), at.state("m.room.power_levels"), at.state("m.room.member", alice)];
    const prev = at.state("m.room.create")?.eventId ?? "";
    const extra = await forged(world, roomId, {
      ...made,
      auth: auth.map((event) => event?.eventId),
      prev: [prev],
      depth: 99,
    });
    world.intercept(async (call, proceed) => {
      const answer = await proceed();
      if (call.name !== "state" || !answer.ok) return answer;
      const value = answer.value as Joined;
      return { ok: true, value: { ...value, state: [...value.state, extra] } as never };
    });
    await world.pass(30_000);
    expect(room.control.partial).toBe(true);
    expect(room.current.membership(bob)).toBe("join");
    await completed(world);
    await expectSame(world, roomId, joinOf(room));
  });

  it("refuses a state of more events than the host wants", async () => {
    const world = await worldOf("a", "c");
    const roomId = await world.shared("10", "a", "c");
    for (let at = 1; at <= 20; at++) await done(world.server("a").join({ roomId, userId: userOf("a", `extra${at}`) }));
    await world.add("b", { limits: { joinEvents: 20 } });
    const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    await world.pass(30_000);
    expect(room.control.partial).toBe(true);
    const failed = world
      .node("b")
      .observer.metrics()
      .filter(({ name }) => name === "room.completion.failed");
    expect(failed[0]).toEqual({ name: "room.completion.failed", value: 1, roomId, server: "a.example" });
    expect(await codeOf(room.completeFrom("a.example"))).toBe("too_large");
    expect(await codeOf(room.completeFrom("nobody.example"))).toBe("unreachable");
  });

  it("forgets servers that it was told of and that have nobody in the room", async () => {
    const world = await worldOf("a", "b");
    const { roomId } = await done(world.server("a").create({ version: "10", creator: alice, preset: "public" }));
    world.intercept(async (call, proceed) => {
      const answer = await proceed();
      if (call.name === "state") return { ok: false, error: { code: "limit_exceeded", reason: "busy" } };
      if (call.name !== "send_join" || !answer.ok) return answer;
      const told = { membersOmitted: true, serversInRoom: ["a.example", "x.example"] };
      return { ok: true, value: { ...(answer.value as Joined), ...told } as never };
    });
    const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    await world.deliver();
    expect(room.control.servers).toBe(3);
    expect(room.servers).toContain("x.example");
    await completed(world);
    expect(room.control.servers).toBe(2);
    await expectSame(world, roomId, joinOf(room));
  });

  it("asks the host's policy no second time about what it let through, and keeps to what it refused", async () => {
    const asked: string[] = [];
    let refusing = true;
    const world = await worldOf("a", "c");
    await world.add("b", {
      policy: {
        checkEvent: ({ event }) => {
          asked.push(event.eventId);
          const body = event.content["body"];
          return refusing && body === "spam" ? { code: "spam", reason: "no" } : undefined;
        },
      },
    });
    const roomId = await world.shared("10", "a", "c");
    allServers(world);
    const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    await world.deliver();
    const spam = await done(world.say("c", roomId, "spam"));
    const fine = await done(world.say("c", roomId, "fine"));
    await world.deliver();
    expect(await verdictAt(world, "b", roomId, spam.eventId)).toBe("policy-refused");
    const before = asked.length;
    refusing = false;
    await completed(world);
    expect(asked).toHaveLength(before);
    expect(await verdictAt(world, "b", roomId, spam.eventId)).toBe("policy-refused");
    expect(await verdictAt(world, "b", roomId, fine.eventId)).toBe("accepted");
    await expectSame(world, roomId, joinOf(room));
  });

  it("tells who was not told of, and gets them what was said meanwhile", async () => {
    const { world, roomId } = await crowded("10", "crowded");
    world.intercept(async (call, proceed) => {
      if (call.name === "state" && call.from === "b.example") {
        return { ok: false, error: { code: "limit_exceeded", reason: "busy" } };
      }
      const answer = await proceed();
      if (call.name !== "send_join" || !answer.ok) return answer;
      return { ok: true, value: { ...(answer.value as Joined), serversInRoom: ["not a name", 5, null] } as never };
    });
    const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    expect(room.servers).toEqual(["a.example", "b.example"]);
    const said = await done(world.say("b", roomId, "does anybody hear"));
    await world.deliver();
    expect(await verdictAt(world, "c", roomId, said.eventId)).toBe("malformed");
    await completed(world);
    expect(await verdictAt(world, "c", roomId, said.eventId)).toBe("accepted");
    await expectSame(world, roomId, said.eventId);
  });

  it("is known to another process over the same storage, with its cause", async () => {
    const { world, roomId } = await halfJoined("10");
    const other = world.build("b", { storage: world.node("b").storage });
    const room = await other.server.room(roomId);
    if (room === undefined) throw new Error("the other process has no room");
    expect(room.control.partial).toBe(true);
    const updates: RoomUpdate[] = [];
    room.subscribe((update) => updates.push(update));
    await completed(world);
    expect(room.control.partial).toBe(true);
    await room.refresh();
    expect(room.control.partial).toBe(false);
    expect([...room.current.ids()].sort()).toEqual((await world.view("a", roomId)).state);
    const [completion] = updates.flatMap(({ changes }) => changes);
    expect(completion?.cause).toEqual({ cause: "completion", events: [joinOf(room)] });
    expect(completion?.differences).toHaveLength(10);
  });
});

describe("a room whose members are not known yet", () => {
  it("lets nobody in or out by way of this server, and gives nobody its state", async () => {
    const { world, roomId, room } = await halfJoined("10");
    await world.add("e");
    const userId = userOf("e");
    const versions = ["10"];
    for (const name of ["make_join", "make_knock"] as const) {
      expect(await codeOf(world.ask("e", "b", name, { roomId, userId, versions }))).toBe("not_found");
    }
    expect(await codeOf(world.ask("c", "b", "make_leave", { roomId, userId: carol }))).toBe("not_found");
    const event = { type: "m.room.member" };
    for (const name of ["send_join", "send_knock", "send_leave"] as const) {
      expect(await codeOf(world.ask("e", "b", name, { roomId, eventId: "$given", event }))).toBe("not_found");
    }
    const eventId = joinOf(room);
    for (const name of ["state", "state_ids"] as const) {
      expect(await codeOf(world.ask("c", "b", name, { roomId, eventId }))).toBe("not_found");
    }
    // Another server of the room can.
    await done(world.server("e").join({ roomId, userId, via: ["b.example", "a.example"] }));
    await world.deliver();
    expect(room.current.membership(userId)).toBe("join");
    await completed(world);
    expect(await codeOf(world.ask("c", "b", "state_ids", { roomId, eventId }))).toBe("ok");
    expect(await codeOf(world.ask("c", "b", "make_leave", { roomId, userId: carol }))).toBe("ok");
  });

  it("shows its events to the servers that were in it, whatever its history visibility", async () => {
    const { world, roomId } = await crowded("10", "crowded");
    const type = "m.room.history_visibility";
    await done(world.server("a").setState({ roomId, userId: alice, type, content: { history_visibility: "joined" } }));
    await world.deliver();
    allServers(world);
    await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    await world.deliver();
    const { eventId } = await done(world.say("b", roomId, "for all"));
    await world.deliver();
    const answer = await world.ask("c", "b", "event", { roomId, eventId });
    expect(answer.ok && ((answer.value.event as JsonObject)["content"] as JsonObject)["body"]).toBe("for all");
    expect(await codeOf(world.ask("e", "b", "event", { roomId, eventId }))).toBe("forbidden");
  });

  it("does not say of its members that they are none", async () => {
    const { world, roomId, room } = await halfJoined("10");
    const created = await done(world.server("b").create({ version: "10", creator: bob, preset: "public" }));
    const rules = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: roomId }] };
    const restricted = { roomId: created.roomId, userId: bob };
    await done(world.server("b").setState({ ...restricted, type: "m.room.join_rules", content: rules }));
    const asking = { roomId: created.roomId, userId: carol, versions: ["10"] };
    expect(await codeOf(world.ask("c", "b", "make_join", asking))).toBe("unable_to_authorise_join");
    const { eventId } = await done(world.say("c", roomId, "here"));
    await world.deliver();
    expect(await verdictAt(world, "b", roomId, eventId)).toBe("accepted");
    expect(await codeOf(world.ask("c", "b", "make_join", asking))).toBe("unable_to_authorise_join");
    await completed(world);
    expect(await codeOf(world.ask("c", "b", "make_join", asking))).toBe("ok");
    expect(room.control.partial).toBe(false);
  });

  it("changes no membership of which it does not know what it is", async () => {
    const { world, roomId, room } = await halfJoined("10");
    const server = world.server("b");
    expect(await codeOf(server.kick({ roomId, userId: bob, target: carol }))).toBe("undecided");
    expect(await codeOf(server.invite({ roomId, userId: bob, target: carol }))).toBe("undecided");
    expect(await codeOf(server.invite({ roomId, userId: bob, target: userOf("e") }))).toBe("undecided");
    await completed(world);
    expect(await codeOf(server.kick({ roomId, userId: bob, target: carol }))).toBe("auth_rejected");
    expect(room.current.membership(carol)).toBe("join");
  });

  it("is joined by more users of this server through another one", async () => {
    const { world, roomId, room } = await halfJoined("10");
    const second = userOf("b", "second");
    await done(world.server("a").ban({ roomId, userId: alice, target: userOf("b", "third") }));
    await done(world.server("b").join({ roomId, userId: second, via: ["a.example"], partial: true }));
    await world.deliver();
    expect(room.control.partial).toBe(true);
    expect([...room.localUsers].sort()).toEqual([second, bob]);
    expect(await codeOf(world.server("b").join({ roomId, userId: userOf("b", "third") }))).not.toBe("ok");
    await completed(world);
    await expectSame(world, roomId, joinOf(room));
  });

  it("is joined by two users of this server at once", async () => {
    const { world, roomId } = await crowded("10", "crowded");
    allServers(world);
    const second = userOf("b", "second");
    const [one, two] = await Promise.all(
      [bob, second].map((userId) => world.server("b").join({ roomId, userId, via: ["a.example"], partial: true })),
    );
    expect([one?.ok, two?.ok]).toEqual([true, true]);
    const room = await world.room("b", roomId);
    await world.deliver();
    expect([...room.localUsers].sort()).toEqual([second, bob]);
    await completed(world);
    await done(world.say("b", roomId, "both"));
    await world.deliver();
    await expectSame(world, roomId, joinOf(room));
  });

  it.each([true, false])("may be left, and joined again (in part: %s)", async (partial) => {
    const { world, roomId, room } = await halfJoined("10");
    const said = await done(world.say("b", roomId, "before"));
    await world.deliver();
    const first = joinOf(room);
    await done(world.server("b").leave({ roomId, userId: bob }));
    await world.deliver();
    await done(world.say("a", roomId, "meanwhile"));
    await world.pass(60_000);
    expect(world.server("b").isCompleting).toBe(false);
    expect(await world.node("b").storage.readIntents()).toEqual([]);
    await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial }));
    await world.deliver();
    expect(room.control.partial).toBe(partial);
    await done(world.say("b", roomId, "again"));
    await world.deliver();
    await completed(world);
    await expectSame(world, roomId, joinOf(room));
    // What was judged by a part of the state is history now, whose state is not known.
    expect(await room.stateAt(first)).toBeUndefined();
    expect(await room.verdict(said.eventId)).toMatchObject({ verdict: "accepted", basis: "auth-events" });
    expect(await codeOf(world.ask("c", "b", "state_ids", { roomId, eventId: said.eventId }))).toBe("not_found");
    await world.restart("b");
    await expectSame(world, roomId, joinOf(await world.room("b", roomId)));
  });

  it("is none where the resident server left members out unasked, which is refused", async () => {
    const { world, roomId } = await crowded("10", "crowded");
    world.intercept(async (call, proceed) => {
      const answer = await proceed();
      if (call.name !== "send_join" || !answer.ok) return answer;
      return { ok: true, value: { ...(answer.value as Joined), membersOmitted: true } as never };
    });
    expect(await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }))).toBe("bad_format");
    expect(await world.node("b").storage.roomIds()).toEqual([]);
  });

  it("is none where the resident server leaves nothing out", async () => {
    const world = await worldOf("a", "b");
    const { roomId } = await done(world.server("a").create({ version: "10", creator: alice, preset: "public" }));
    const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    expect(room.control.partial).toBe(false);
    expect(world.server("b").isCompleting).toBe(false);
    expect(await world.node("b").storage.readIntents()).toEqual([]);
  });

  it("has a history that can be fetched at once", async () => {
    const { world, roomId, room } = await halfJoined("10");
    for (let at = 0; at < 10 && room.gaps.length > 0; at++) await done(world.server("b").backfill(roomId, 20));
    expect(room.gaps).toEqual([]);
    const said = await done(world.say("b", roomId, "with a past"));
    await world.deliver();
    expect(room.control.partial).toBe(true);
    await completed(world);
    await expectSame(world, roomId, joinOf(room));
    await expectSame(world, roomId, said.eventId);
    const mine = (await room.timeline({ limit: 1000 })).events.map(({ eventId }) => eventId);
    const theirs = (await (await world.room("a", roomId)).timeline({ limit: 1000 })).events;
    expect(mine).toEqual(theirs.map(({ eventId }) => eventId));
    for (const id of mine) await expectSame(world, roomId, id);
  });

  it("is believed to be on so many servers and no more", async () => {
    const world = await worldOf("a", "c", "d");
    await world.add("b", { limits: { toldServers: 2 } });
    const roomId = await world.shared("10", "a", "c", "d");
    allServers(world);
    const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    expect(room.servers).toEqual(["a.example", "b.example", "c.example"]);
    await completed(world);
    expect(room.servers).toHaveLength(4);
  });

  it.each([
    ["with a state at a gap", 1, true],
    ["with a state before what it follows", 1, false],
    ["with all that came before", 20, false],
  ])("takes in what others said before they heard of the join, %s", async (_, fetchRounds, alone) => {
    const world = await worldOf("a", "c", "d");
    await world.add("b", { limits: { fetchRounds } });
    const roomId = await world.shared("10", "a", "c", "d");
    for (let at = 0; at < 5; at++) await done(world.say("a", roomId, `${at}`));
    await world.deliver();
    world.cut("a", "c");
    const early = await done(world.say("c", roomId, "early"));
    for (let at = 5; at < 8; at++) await done(world.say("a", roomId, `${at}`));
    allServers(world);
    const room = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
    await world.deliver(5_000);
    world.heal("a", "c");
    await world.deliver();
    expect(await world.membership("c", roomId, bob)).toBe("join");
    // Of what it came after this server has no state: in one round it is given one, which is whole.
    const join = joinOf(room);
    let given = 0;
    world.intercept((call, proceed) => {
      if (call.from !== "b.example") return proceed();
      const eventId = "eventId" in (call.request as object) ? (call.request as { eventId: string }).eventId : "";
      if (alone && (call.name === "get_missing_events" || early.prevEvents.some((id) => id === eventId))) {
        return Promise.resolve({ ok: false, error: { code: "not_found", reason: "gone" } });
      }
      if (!["state", "state_ids"].includes(call.name)) return proceed();
      if (eventId !== join) given++;
      else return Promise.resolve({ ok: false, error: { code: "limit_exceeded", reason: "busy" } });
      return proceed();
    });
    const [row] = await (await world.room("c", roomId)).rows([early.eventId]);
    await hand(world, "c", row === undefined ? [] : [row.json]);
    expect(await verdictAt(world, "b", roomId, early.eventId)).toBe("accepted");
    expect(given > 0).toBe(fetchRounds === 1);
    const ends = [early.eventId, join].sort();
    expect(room.control.forwardExtremities).toEqual(ends);
    expect(room.control.partial).toBe(true);
    await completed(world);
    expect(room.control.forwardExtremities).toEqual(ends);
    await done(world.say("a", roomId, "last"));
    await world.deliver();
    await expectSame(world, roomId, join);
    await expectSame(world, roomId, early.eventId);
  });
});

/** Numbers that are the same each time (mulberry32). */
function dice(seed: number): (sides: number) => number {
  let state = seed >>> 0;
  return (sides) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  };
}

describe.each(["1", "6", "10", "11", "12"])(
  "in a room of version %s, whatever happens before it is complete",
  (version) => {
    it.each([1, 2, 3, 4])("a part of the state ends where the whole would have (%i)", async (seed) => {
      const { world, roomId } = await crowded(version, "crowded");
      const roll = dice(seed);
      const users = [alice, carol, dave, userOf("a", "extra1"), userOf("a", "extra2")];
      const nameOfUser = (userId: string): string => userId.slice(userId.indexOf(":") + 1);
      const at = await world.room("a", roomId);
      const levels = at.state("m.room.power_levels")?.content ?? {};
      const content = { ...levels, users: { ...(levels["users"] as JsonObject), [carol]: 60, [dave]: 50 } };
      await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.power_levels", content }));
      await world.deliver();
      const act = async (): Promise<void> => {
        const userId = users[roll(users.length)] ?? alice;
        const target = users[roll(users.length)] ?? alice;
        const server = world.server(nameOfUser(userId));
        const request = { roomId, userId, target };
        // Refusals are as good as anything: nobody asks whether one may.
        switch (roll(9)) {
          case 0:
            await server.kick(request);
            break;
          case 1:
            await server.ban(request);
            break;
          case 2:
            await server.unban(request);
            break;
          case 3:
            await server.invite(request);
            break;
          case 4:
            await server.join({ roomId, userId, via: ["a.example"] });
            break;
          case 5:
            await server.setState({ roomId, userId, type: "m.room.topic", content: { topic: `${roll(1000)}` } });
            break;
          case 6:
            await world.say("b", roomId, `${roll(1000)}`);
            break;
          default:
            await world.say(nameOfUser(userId), roomId, `${roll(1000)}`, userId);
        }
        if (roll(3) > 0) await world.deliver(5_000);
      };
      await world.add("e");
      await world.add("f");
      for (let step = 0; step < 4; step++) await act().catch(() => undefined);
      await world.deliver();
      world.intercept((call, proceed) =>
        call.name === "state" && call.from === "b.example"
          ? Promise.resolve({ ok: false, error: { code: "limit_exceeded", reason: "busy" } })
          : proceed(),
      );
      // One joins in part and one in full, of which the other hears at once.
      const part = await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"], partial: true }));
      await done(world.server("e").join({ roomId, userId: userOf("e"), via: ["a.example"] }));
      await world.deliver();
      for (let step = 0; step < 16; step++) {
        if (step === 5) world.cut("a", "c");
        if (step === 11) world.heal("a", "c");
        await act().catch(() => undefined);
      }
      await world.deliver();
      expect(part.control.partial).toBe(true);
      await completed(world);
      // Something that ties all ends together.
      for (const name of ["a", "e", "b", "a"]) {
        await world.say(name, roomId, "last");
        await world.deliver();
      }
      const whole = await world.room("e", roomId);
      expect(await world.view("b", roomId)).toEqual(await world.view("e", roomId));
      const seen = (await part.timeline({ limit: 1000 })).events.map(({ eventId }) => eventId);
      for (const { eventId } of (await whole.timeline({ limit: 1000 })).events) {
        const [mine, theirs] = [await part.stateAt(eventId), await whole.stateAt(eventId)];
        if (mine === undefined || theirs === undefined) continue;
        expect([...mine.after.ids()].sort()).toEqual([...theirs.after.ids()].sort());
        expect(seen).toContain(eventId);
      }
    });
  },
);
