/**
 * A join takes two servers and several writes. Whatever is lost in between (a process, a request, an answer), what
 * is left is a room that is joined, or none; and the joined room is what the server that let us in has.
 */
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/json/index.js";
import { crashAtWrite } from "../../src/testing/simulation/index.js";
import type { CrashPlan } from "../../src/testing/simulation/index.js";
import { codeOf, done, tick, userOf, World } from "../support/servers.js";
import type { Crashing } from "../support/servers.js";

const [alice, bob] = [userOf("a"), userOf("b")];

interface Scene {
  readonly world: World;
  readonly roomId: string;
  readonly joiner: Crashing;
}

type Prepare = (world: World, roomId: string) => Promise<void>;

async function scene(version: string, prepare: Prepare): Promise<Scene> {
  const world = new World();
  await world.add("a");
  const joiner = await world.crashing("b");
  const roomId = await world.shared(version, "a");
  await prepare(world, roomId);
  return { world, roomId, joiner };
}

/** Joined on both sides with one state, or on neither; in either case nothing is left to be done. */
async function expectWhole({ world, roomId }: Scene, context: string): Promise<"joined" | "absent"> {
  expect(await world.node("b").storage.readIntents(), context).toEqual([]);
  const room = await world.server("b").room(roomId);
  if (room?.isResident !== true) {
    expect((await world.server("b").roomsOf(bob)).filter(({ membership }) => membership === "join")).toEqual([]);
    return "absent";
  }
  expect(room.current.membership(bob), context).toBe("join");
  expect(await world.view("b", roomId), context).toEqual(await world.view("a", roomId));
  expect(await world.server("b").roomsOf(bob), context).toEqual([{ roomId, membership: "join" }]);
  // The room works, in both directions.
  await done(world.say("b", roomId, "from the joiner"));
  await done(world.say("a", roomId, "from the resident"));
  await world.deliver();
  await done(world.say("b", roomId, "after both"));
  await world.deliver();
  expect(await world.view("b", roomId), context).toEqual(await world.view("a", roomId));
  return "joined";
}

const ways: readonly (readonly [way: string, prepare: Prepare])[] = [
  ["a public room", () => Promise.resolve()],
  [
    "a room by invite",
    async (world, roomId) => {
      const rules = { roomId, userId: alice, type: "m.room.join_rules", content: { join_rule: "invite" } };
      await done(world.server("a").setState(rules));
      await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    },
  ],
  [
    "a room that was left before",
    async (world, roomId) => {
      await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }));
      await done(world.server("b").leave({ roomId, userId: bob }));
      await world.deliver();
      const content = { topic: "changed meanwhile" };
      await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.topic", content }));
    },
  ],
];

describe.each(["1", "10", "12", "I.1"])("joining a room of version %s", (version) => {
  describe.each(ways)("by way of %s", (_, prepare) => {
    it.each(["before", "after"] as const)("and a crash %s any write is completed or absent", async (when) => {
      const outcomes: string[] = [];
      for (let write = 1; ; write++) {
        const given = await scene(version, prepare);
        const { world, roomId, joiner } = given;
        joiner.crash.plan(crashAtWrite(joiner.crash.writes + write, when));
        const joining = world.server("b").join({ roomId, userId: bob, via: ["a.example"] });
        await tick();
        if (joiner.crash.crashes === 0) {
          // The join was acknowledged: no crash takes it back.
          await done(joining);
          joiner.crash.crash();
        }
        const acknowledged = joiner.crash.crashes === 0;
        await joiner.rise();
        await world.deliver();
        outcomes.push(await expectWhole(given, `${when} write ${write}`));
        joiner.crash.assertMonotonicRevisions();
        expect(world.faults()).toEqual([]);
        if (acknowledged) break;
        if (outcomes.at(-1) === "joined") continue;
        await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }));
        await world.deliver();
        expect(await expectWhole(given, `again, ${when} write ${write}`)).toBe("joined");
      }
      // Two writes: the intent and the room. Once the intent is written the join is carried on; before it, nothing
      // was begun.
      expect(outcomes).toEqual(when === "before" ? ["absent", "joined", "joined"] : ["joined", "joined", "joined"]);
    });

    it.each(["before", "after"] as const)("and a second crash %s any write of the restart", async (when) => {
      let crashed = 0;
      for (let write = 1; ; write++) {
        const given = await scene(version, prepare);
        const { world, roomId, joiner } = given;
        // The resident has let the user in, and the joiner has not stored the room.
        joiner.crash.plan(({ method }) => (method === "commit" ? "before" : undefined));
        void world.server("b").join({ roomId, userId: bob, via: ["a.example"] });
        await tick();
        expect(joiner.crash.crashes).toBe(1);
        expect(await world.membership("a", roomId, bob)).toBe("join");
        void joiner.rise();
        joiner.crash.plan(crashAtWrite(joiner.crash.writes + write, when));
        await tick();
        await tick();
        const again = joiner.crash.crashes === 2;
        joiner.crash.plan(undefined);
        if (again) await joiner.rise();
        await world.deliver();
        expect(await expectWhole(given, `${when} write ${write}`)).toBe("joined");
        joiner.crash.assertMonotonicRevisions();
        expect(world.faults()).toEqual([]);
        if (!again) break;
        crashed++;
      }
      // The intent is written again, and then the room.
      expect(crashed).toBe(2);
    });
  });

  it("whose last answer is lost is refused, and can be made again", async () => {
    const given = await scene(version, () => Promise.resolve());
    const { world, roomId } = given;
    world.intercept(async (call, proceed) => {
      if (call.name !== "send_join") return proceed();
      await proceed();
      return { ok: false, error: { code: "unreachable", reason: "the answer was lost" } };
    });
    expect(await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }))).toBe("unreachable");
    expect(await expectWhole(given, "lost")).toBe("absent");
    expect(await world.membership("a", roomId, bob), "the room has it").toBe("join");
    world.intercept(undefined);
    await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }));
    await world.deliver();
    expect(await expectWhole(given, "again")).toBe("joined");
  });

  it("is given up after a restart when nobody lets the user in any more", async () => {
    const given = await scene(version, () => Promise.resolve());
    const { world, roomId, joiner } = given;
    joiner.crash.plan(crashAtWrite(joiner.crash.writes + 1, "after"));
    void world.server("b").join({ roomId, userId: bob, via: ["a.example"] });
    await tick();
    await done(world.server("a").ban({ roomId, userId: alice, target: bob }));
    await joiner.rise();
    await world.deliver();
    expect(await expectWhole(given, "banned")).toBe("absent");
  });
});

describe("what the resident server answers to a join", () => {
  /** Joins `a`'s room from `b`, with the answer to `send_join` changed. */
  async function joinedWith(change: (answer: JsonObject) => unknown): Promise<Scene & { readonly code: string }> {
    const given = await scene("10", async (world, roomId) => {
      const content = { topic: "topic" };
      await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.topic", content }));
    });
    const { world, roomId } = given;
    world.intercept(async (call, proceed) => {
      const answer = await proceed();
      if (call.name !== "send_join" || !answer.ok) return answer;
      return { ok: true, value: change(answer.value as unknown as JsonObject) as never };
    });
    const code = await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }));
    world.intercept(undefined);
    return { ...given, code };
  }

  const list = (answer: JsonObject, key: string): readonly JsonObject[] => answer[key] as readonly JsonObject[];

  it("is nothing that a room could be made of", async () => {
    const answers: readonly ((answer: JsonObject) => unknown)[] = [
      () => ({}),
      () => ({ state: null, authChain: 5, event: [] }),
      (answer) => ({ ...answer, state: [], authChain: [] }),
      (answer) => ({ ...answer, state: ["junk", null, {}], authChain: [] }),
    ];
    for (const change of answers) {
      const { world, roomId, code } = await joinedWith(change);
      expect(code).not.toBe("ok");
      expect(await world.server("b").room(roomId)).toBeUndefined();
      expect(await world.node("b").storage.roomIds()).toEqual([]);
      expect(await world.node("b").storage.readIntents()).toEqual([]);
      expect(world.faults()).toEqual([]);
    }
  });

  it("loses what is forged, and keeps the rest", async () => {
    const { world, roomId, code } = await joinedWith((answer) => ({
      ...answer,
      state: list(answer, "state").map((event) =>
        event["type"] === "m.room.topic" ? { ...event, sender: "@somebody:else.example" } : event,
      ),
    }));
    expect(code).toBe("ok");
    const room = await world.room("b", roomId);
    expect(room.control.topic).toBeUndefined();
    expect(room.control.name).toBe("shared");
    expect(room.current.membership(bob)).toBe("join");
  });

  it("may change the join that was sent in nothing but its signatures", async () => {
    const { world, roomId, code } = await joinedWith((answer) => ({
      ...answer,
      event: { ...(answer["event"] as JsonObject), content: { membership: "join", displayname: "forged" } },
    }));
    expect(code).toBe("ok");
    const join = (await world.room("b", roomId)).state("m.room.member", bob);
    expect(join?.content).toEqual({ membership: "join" });
    expect(join?.eventId).toBe((await world.room("a", roomId)).state("m.room.member", bob)?.eventId);
  });

  it("is refused when it is more than the host wants", async () => {
    const world = new World();
    await world.add("a");
    await world.add("b", { limits: { joinEvents: 3 } });
    const roomId = await world.shared("10", "a");
    expect(await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }))).toBe("too_large");
    expect(await world.node("b").storage.roomIds()).toEqual([]);
  });
});

describe("a resident server that crashes while it lets somebody in", () => {
  it.each(["before", "after"] as const)("%s any write ends in one view of who is in", async (when) => {
    for (let write = 1; ; write++) {
      const world = new World();
      const { crash, rise } = await world.crashing("a");
      await world.add("b");
      await world.add("c");
      const roomId = await world.shared("10", "a", "c");
      const plan: CrashPlan = crashAtWrite(crash.writes + write, when);
      crash.plan(plan);
      const joining = world.server("b").join({ roomId, userId: bob, via: ["a.example", "c.example"] });
      await tick();
      if (crash.crashes === 0) break;
      await rise();
      // The joiner waits for an answer that does not come, and then asks the next server.
      await world.pass(61_000);
      await world.deliver();
      expect(await codeOf(joining)).toBe("ok");
      await world.deliver();
      await done(world.say("b", roomId, "here"));
      await world.deliver();
      for (const name of ["b", "c"]) expect(await world.membership(name, roomId, bob)).toBe("join");
      await done(world.say("c", roomId, "and here"));
      await world.deliver();
      const seen = await world.view("a", roomId);
      expect(await world.view("b", roomId), `${when} write ${write}`).toEqual(seen);
      expect(await world.view("c", roomId), `${when} write ${write}`).toEqual(seen);
    }
  });
});
