import { applyPatches, enablePatches } from "immer";
import type { Patch as ImmerPatch } from "immer";
import { describe, expect, it } from "vitest";
import type { Control, Room, RoomUpdate } from "../../src/engine/index.js";
import type { OperationName, OperationRequest, StateChange, Transport } from "../../src/ports/index.js";
import { HERE, roomOf, short, Story, testServer, versionOf } from "../support/engine.js";
import type { ServerOptions, TestServer } from "../support/engine.js";

const ALICE = "@alice:a.example";
const BOB = "@bob:b.example";
const CAROL = "@carol:c.example";
const EVE = "@eve:e.example";
const ME = `@me:${HERE}`;
const PEER = "peer.example";

interface Stage {
  readonly server: TestServer;
  readonly room: Room;
  readonly updates: readonly RoomUpdate[];
  readonly get: (...names: readonly string[]) => Promise<readonly string[]>;
  /** Changes of state since this was asked last. */
  readonly changes: () => readonly StateChange[];
}

async function stage(told: Story, names: readonly string[] = [], options: ServerOptions = {}): Promise<Stage> {
  const server = testServer({ ring: told.ring, ...options });
  const room = await roomOf(server, told);
  const updates: RoomUpdate[] = [];
  room.subscribe((update) => updates.push(update));
  const get = async (...some: readonly string[]): Promise<readonly string[]> =>
    (await room.receive(told.jsons(...some), { origin: PEER })).map(short);
  if (told.names.length > 0) await get(...names);
  let at = updates.length;
  const changes = (): readonly StateChange[] => {
    const since = updates.slice(at).flatMap((update) => update.changes);
    at = updates.length;
    return since;
  };
  return { server, room, updates, get, changes };
}

/** Alice's room with Bob, who may set names, and Carol. */
function story(v = "10"): Story {
  return new Story(v)
    .open({ users: { [ALICE]: 100, [BOB]: 50 } })
    .member("bob", BOB, "join")
    .member("carol", CAROL, "join");
}

const idsOf = (room: Room): readonly string[] => [...room.current.ids()].sort();

describe("MSC4297: state that another server gives is older than what both branches know", () => {
  /** Answers what it is told for `state_ids`, one event for `get_missing_events`, and nothing else. */
  function outdated(told: Story, missing: string, state: readonly string[]): Transport {
    const answers: Partial<Record<OperationName, unknown>> = {
      get_missing_events: { events: [told.json(missing)] },
      state_ids: { stateIds: state.map((name) => told.id(name)), authChainIds: [] },
    };
    return {
      listen: () => () => undefined,
      request: <N extends OperationName>(_: string, name: N, __: OperationRequest<N>) =>
        Promise.resolve(
          answers[name] === undefined
            ? { ok: false, error: { code: "unreachable", reason: "nothing answers" } }
            : { ok: true, value: answers[name] },
        ) as never,
    };
  }

  /** Alice closes the room and leaves; where Bob's branch goes on, the join rules of before are given. */
  function problemA(v: string): Story {
    const told = new Story(v).open().member("bob", BOB, "join");
    told.state("closed", "m.room.join_rules", ALICE, { join_rule: "invite" }).member("left", ALICE, "leave");
    return told
      .say("main", BOB)
      .say("lost", BOB, { prev: ["left"] })
      .say("gap", BOB)
      .say("blue", BOB);
  }

  async function playA(v: string): Promise<{ readonly told: Story; readonly room: Room }> {
    const told = problemA(v);
    const transport = outdated(told, "gap", ["create", "levels", "rules", "left", "bob"]);
    const { room, get } = await stage(told, told.names.slice(0, 8), { transport, limits: { fetchRounds: 1 } });
    expect(idsOf(room)).toEqual(told.after("main"));
    expect(await get("blue")).toEqual(["accepted"]);
    expect(room.control.forwardExtremities).toEqual(told.ids("main", "blue"));
    const before = (await room.stateAt(told.id("blue")))?.before;
    expect(before?.get("m.room.join_rules")?.eventId).toBe(told.id("rules"));
    return { told, room };
  }

  it("[cap:resolution-v2 v:11] problem A: version 11 ends without any join rules, as documented", async () => {
    const { room } = await playA("11");
    expect(room.state("m.room.join_rules")).toBeUndefined();
    expect(room.control.joinRule).toBe("invite");
  });

  it("[cap:resolution-v2.1 v:12] problem A: version 12 keeps what Alice set last", async () => {
    const { room, told } = await playA("12");
    expect(room.state("m.room.join_rules")?.eventId).toBe(told.id("closed"));
  });

  /** Alice promotes Bob, Bob promotes Carol; where Eve's branch goes on, the levels of before both are given. */
  function problemB(v: string): Story {
    const alice = v === "12" ? {} : { [ALICE]: 100 };
    const told = new Story(v).open({ users: alice }).member("bob", BOB, "join");
    told.state("p2", "m.room.power_levels", ALICE, { users: { ...alice, [BOB]: 60 } });
    told.state("p3", "m.room.power_levels", BOB, { users: { ...alice, [BOB]: 60, [CAROL]: 50 } });
    told.member("eve", EVE, "join").say("main", EVE);
    return told
      .say("lost", EVE, { prev: ["eve"] })
      .say("gap", EVE)
      .say("red", EVE);
  }

  async function playB(v: string): Promise<{ readonly told: Story; readonly room: Room; readonly last: StateChange }> {
    const told = problemB(v);
    const transport = outdated(told, "gap", ["create", "join", "levels", "rules", "bob", "eve"]);
    // The gap follows what cites the levels of before.
    const { room, get, changes } = await stage(told, told.names.slice(0, 9), { transport, limits: { fetchRounds: 1 } });
    expect(room.state("m.room.power_levels")?.eventId).toBe(told.id("p3"));
    expect(await get("red")).toEqual(["accepted"]);
    expect((await room.stateAt(told.id("red")))?.before.get("m.room.power_levels")?.eventId).toBe(told.id("levels"));
    const last = changes().at(-1);
    return { told, room, last: last ?? { roomId: "", differences: [], cause: { cause: "advance", events: [] } } };
  }

  it("[cap:resolution-v2 v:11] problem B: version 11 goes back to the oldest levels, and says so", async () => {
    const { room, told, last } = await playB("11");
    expect(room.state("m.room.power_levels")?.eventId).toBe(told.id("levels"));
    expect(last.cause).toMatchObject({
      cause: "rollback",
      lost: [{ type: "m.room.power_levels", eventId: told.id("p3"), to: told.id("levels"), kind: "rollback" }],
    });
  });

  it("[cap:resolution-v2.1 v:12] problem B: version 12 replays what lies between, and nobody is demoted", async () => {
    const { room, told, last } = await playB("12");
    expect(room.state("m.room.power_levels")?.eventId).toBe(told.id("p3"));
    expect(last.differences).toEqual([]);
  });
});

describe("states", () => {
  it("[cap:state-before-after v:1,10,12] before and after an event can be held for ever", async () => {
    for (const v of ["1", "10", "12"]) {
      const told = story(v).state("one", "m.room.name", BOB, { name: "one" });
      told.state("two", "m.room.name", ALICE, { name: "two" }, { prev: ["carol"] });
      told.say("end", CAROL, { prev: ["one", "two"] });
      const { room, get } = await stage(told, told.names.slice(0, 6));
      const held = room.current;
      await get("one", "two", "end");
      for (const name of told.names) {
        const state = await room.stateAt(told.id(name));
        expect([...(state?.before.ids() ?? [])].sort()).toEqual(told.before(name));
        expect([...(state?.after.ids() ?? [])].sort()).toEqual(told.after(name));
      }
      expect([...held.ids()].sort()).toEqual(told.after("carol"));
      expect(held.get("m.room.name")).toBeUndefined();
      expect(await room.stateAt("$nothing")).toBeUndefined();
    }
  });

  it("[cap:state-before-after v:1,10,12] the current one is the resolution over the extremities", async () => {
    for (const v of ["1", "10", "12"]) {
      const told = story(v);
      for (const [at, user] of [ALICE, BOB, ALICE, BOB].entries()) {
        told.state(`name${at}`, "m.room.name", user, { name: `name ${at}` }, { prev: ["carol"] });
        told.say(`end${at}`, user);
      }
      const { room } = await stage(told);
      const ends = ["end0", "end1", "end2", "end3"];
      expect(room.control.forwardExtremities).toEqual(told.ids(...ends));
      expect(idsOf(room)).toEqual(told.after(...ends));
    }
  });

  it("[cap:state-before-after v:10] members, counts and servers follow the state", async () => {
    const told = story().member("dora", "@dora:b.example", "invite", { by: ALICE }).member("out", CAROL, "leave");
    told.member("ban", EVE, "ban", { by: ALICE });
    const { room } = await stage(told);
    const { counts, servers } = room.control;
    expect(counts).toEqual({ join: 2, invite: 1, knock: 0, leave: 1, ban: 1 });
    expect(servers).toBe(2);
    expect(room.servers).toEqual(["a.example", "b.example"]);
    expect(
      room
        .members("join")
        .map(({ userId }) => userId)
        .sort(),
    ).toEqual([ALICE, BOB]);
    expect(room.members().length).toBe(5);
    expect(
      room
        .members("ban", "leave")
        .map(({ userId }) => userId)
        .sort(),
    ).toEqual([CAROL, EVE]);
    expect(room.isServerJoined("c.example")).toBe(false);
    expect(room.isResident).toBe(false);
  });
});

describe("what a subscriber is told", () => {
  it("advance: an event came after all that was there", async () => {
    const told = story().state("one", "m.room.name", BOB, { name: "one" });
    told.state("two", "m.room.name", ALICE, { name: "two" });
    const { get, changes, room, updates } = await stage(told, told.names.slice(0, 6));
    await get("one");
    expect(changes()).toEqual([
      {
        roomId: room.roomId,
        differences: [{ type: "m.room.name", stateKey: "", before: undefined, after: told.id("one") }],
        cause: { cause: "advance", events: [told.id("one")] },
      },
    ]);
    await get("two");
    expect(changes()).toMatchObject([
      {
        differences: [{ before: told.id("one"), after: told.id("two") }],
        cause: { cause: "advance", events: [told.id("two")] },
      },
    ]);
    expect(updates.at(-1)?.events).toEqual([told.id("two")]);
  });

  it("advance: also past what was rejected", async () => {
    const told = story().state("no", "m.room.topic", CAROL, {}).state("one", "m.room.name", BOB, { name: "one" });
    const { get, changes } = await stage(told, told.names.slice(0, 6));
    await get("no");
    expect(changes()).toEqual([]);
    await get("one");
    expect(changes()).toMatchObject([{ cause: { cause: "advance", events: [told.id("one")] } }]);
  });

  it("merge: branches were resolved, and the last in order stands", async () => {
    const told = story().state("one", "m.room.name", BOB, { name: "one" });
    told.state("two", "m.room.name", ALICE, { name: "two" }, { prev: ["carol"] });
    const { get, changes } = await stage(told, told.names.slice(0, 7));
    await get("two");
    const [winner] = told.after("one", "two").filter((id) => id === told.id("one") || id === told.id("two"));
    expect(winner).toBe(told.id("two"));
    expect(changes()).toMatchObject([
      {
        differences: [{ type: "m.room.name", before: told.id("one"), after: told.id("two") }],
        cause: { cause: "merge", events: [told.id("two")], extremities: told.ids("one", "two") },
      },
    ]);
  });

  it("rollback: who did what, which event lost to which, and by which rule", async () => {
    const told = story().state("one", "m.room.name", BOB, { name: "one" });
    told.state("demote", "m.room.power_levels", ALICE, { users: { [ALICE]: 100 } }, { prev: ["carol"] });
    const { get, changes, room } = await stage(told, told.names.slice(0, 7));
    await get("demote");
    expect(changes()).toEqual([
      {
        roomId: room.roomId,
        differences: [
          { type: "m.room.name", stateKey: "", before: told.id("one"), after: undefined },
          { type: "m.room.power_levels", stateKey: "", before: told.id("levels"), after: told.id("demote") },
        ],
        cause: {
          cause: "rollback",
          events: [told.id("demote")],
          extremities: told.ids("one", "demote"),
          lost: [
            {
              type: "m.room.name",
              stateKey: "",
              eventId: told.id("one"),
              to: undefined,
              kind: "rollback",
              because: {
                why: "refused",
                refusal: expect.objectContaining({ rule: "v10 rule 7" }) as unknown,
              },
            },
          ],
        },
      },
    ]);
  });

  for (const v of ["11", "12"]) {
    it(`a rename whose author is kicked later, and an old fork: rollback in version ${v}, not reset`, async () => {
      const told = story(v).state("first", "m.room.name", ALICE, { name: "first" });
      told.state("rename", "m.room.name", BOB, { name: "renamed" }).member("kick", BOB, "leave", { by: ALICE });
      told.say("fork", CAROL, { prev: ["first"] });
      const { get, changes, room } = await stage(told, told.names.slice(0, 9));
      expect(room.control.name).toBe("renamed");
      expect(await get("fork")).toEqual(["accepted"]);
      expect(idsOf(room)).toEqual(told.after("kick", "fork"));
      // Today's outcome (matrix-org/matrix-spec#2447): the fork says nothing about the name, and undoes it.
      expect(room.control.name).toBe("first");
      expect(room.current.membership(BOB)).toBe("leave");
      const [change] = changes();
      expect(change?.differences).toEqual([
        { type: "m.room.name", stateKey: "", before: told.id("rename"), after: told.id("first") },
      ]);
      expect(change?.cause).toMatchObject({
        cause: "rollback",
        events: [told.id("fork")],
        lost: [{ eventId: told.id("rename"), to: told.id("first"), kind: "rollback", because: { why: "refused" } }],
      });
    });
  }

  it("late-decision: what had been waiting was decided", async () => {
    const told = story().say("lost", CAROL).state("one", "m.room.name", BOB, { name: "one" });
    const { get, changes, updates } = await stage(told, told.names.slice(0, 6));
    expect(await get("one")).toEqual(["pending"]);
    expect(changes()).toEqual([]);
    await get("lost");
    expect(changes()).toMatchObject([
      {
        differences: [{ type: "m.room.name", after: told.id("one") }],
        cause: { cause: "late-decision", events: [told.id("one")], extremities: [told.id("one")] },
      },
    ]);
    expect(updates.at(-1)?.events).toEqual([told.id("lost"), told.id("one")]);
  });

  it("completion: a join made the whole state known", async () => {
    const told = story().state("one", "m.room.name", BOB, { name: "one" }).member("me", ME, "join");
    const server = testServer({ ring: told.ring });
    const room = await roomOf(server, told);
    const updates: RoomUpdate[] = [];
    room.subscribe((update) => updates.push(update));
    const joined = await room.importJoin({
      event: told.json("me"),
      state: told.jsons("create", "join", "levels", "rules", "bob", "carol", "one"),
      authChain: told.jsons("create", "join", "levels", "rules"),
      origin: "a.example",
    });
    expect(joined.ok).toBe(true);
    expect(updates).toHaveLength(1);
    const [change] = updates[0]?.changes ?? [];
    expect(change?.cause).toEqual({ cause: "completion", events: [told.id("me")] });
    expect(change?.differences.map(({ after }) => after).sort()).toEqual(told.after("me"));
    expect(updates[0]?.control.counts.join).toBe(4);
    expect(idsOf(room)).toEqual(told.after("me"));
    expect([...room.localUsers]).toEqual([ME]);
  });

  it("patches lead from each control record to the next, which are frozen", async () => {
    enablePatches();
    const told = story().state("one", "m.room.name", BOB, { name: "one" }).state("top", "m.room.topic", ALICE, {
      topic: "a topic",
    });
    told.member("out", CAROL, "leave").state("two", "m.room.name", ALICE, { name: "two" }, { prev: ["carol"] });
    told.say("end", ALICE, { prev: ["out", "two"] });
    const server = testServer({ ring: told.ring });
    const room = await roomOf(server, told);
    let control: Control = room.control;
    const seen = new Set<Control>([control]);
    let patched = 0;
    room.subscribe((update) => {
      const patches = update.patches.map((patch) => ({ ...patch, path: [...patch.path] })) as ImmerPatch[];
      patched += patches.length;
      const { state: patchedState, ...rest } = applyPatches(control, patches);
      const { state, ...expected } = update.control;
      expect(rest).toEqual(expected);
      expect(patchedState).toBe(state);
      expect(Object.isFrozen(update.control)).toBe(true);
      expect(update.control).toBe(room.control);
      control = update.control;
      seen.add(control);
    });
    for (const name of told.names) await room.receive([told.json(name)], { origin: PEER });
    expect(seen.size).toBe(told.names.length + 1);
    expect(patched).toBeGreaterThan(told.names.length * 3);
    expect([...seen].map(({ revision }) => revision)).toEqual([...seen.keys()].map((_, at) => at));
  });

  it("nothing after it ended, and nothing to others because one throws", async () => {
    const told = story().say("a", ALICE).say("b", BOB);
    const { room, get, updates } = await stage(told, told.names.slice(0, 6));
    let thrown = 0;
    room.subscribe(() => {
      thrown++;
      throw new Error("a subscriber's own fault");
    });
    let heard = 0;
    const end = room.subscribe(() => heard++);
    const before = updates.length;
    expect(await get("a")).toEqual(["accepted"]);
    end();
    expect(await get("b")).toEqual(["accepted"]);
    expect([thrown, heard, updates.length - before]).toEqual([2, 1, 2]);
  });

  it("the same as an observer, with or without a subscriber", async () => {
    const told = story().state("one", "m.room.name", BOB, { name: "one" });
    told.state("demote", "m.room.power_levels", ALICE, { users: { [ALICE]: 100 } }, { prev: ["carol"] });
    const watched: StateChange[] = [];
    const { room, updates } = await stage(told, [], { observer: { onStateChange: (change) => watched.push(change) } });
    expect(updates.flatMap(({ changes }) => changes)).toEqual(watched);
    const alone: StateChange[] = [];
    const server = testServer({ ring: told.ring, observer: { onStateChange: (change) => alone.push(change) } });
    const other = await roomOf(server, told);
    await other.receive(told.jsons(), { origin: PEER });
    expect(alone).toEqual(watched);
    expect(idsOf(other)).toEqual(idsOf(room));
    expect(versionOf("10").rules.id).toBe(room.control.roomVersion);
  });
});
