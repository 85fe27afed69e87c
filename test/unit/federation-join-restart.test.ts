/**
 * A join takes two servers and several writes. Whatever is lost in between (a process, a request, an answer), what
 * is left is a room that is joined, or none; and the joined room is what the server that let us in has.
 */
import { describe, expect, it } from "vitest";
import { createMemoryStorage, createSeededRandom } from "../../src/adapters/memory/index.js";
import { Canceller } from "../../src/engine/cancel.js";
import type { JsonObject } from "../../src/json/index.js";
import type { OperationErrorCode, OperationName, Storage } from "../../src/ports/index.js";
import { crashAtWrite } from "../../src/testing/simulation/index.js";
import type { CrashPlan } from "../../src/testing/simulation/index.js";
import { codeOf, done, nameOf, tick, userOf, World } from "../support/servers.js";
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
      // The intent is there, and goes with the room's own write.
      expect(crashed).toBe(1);
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

describe("a join that is carried on while nobody answers", () => {
  const HOUR = 60 * 60 * 1000;

  interface Waiting extends Scene {
    /** When, since the restart, another attempt was begun. */
    readonly attempts: () => readonly number[];
    readonly intents: () => Promise<number>;
  }

  /** The process of `b` ends when `a` has let the user in and the room is not stored; then `a` cannot be reached. */
  async function waiting(via: readonly string[] = ["a"], partial: boolean = false): Promise<Waiting> {
    const given = await scene("10", () => Promise.resolve());
    const { world, roomId, joiner } = given;
    joiner.crash.plan(({ method }) => (method === "commit" ? "before" : undefined));
    void world.server("b").join({ roomId, userId: bob, via: via.map(nameOf), partial });
    await tick();
    expect(joiner.crash.crashes).toBe(1);
    expect(await world.membership("a", roomId, bob)).toBe("join");
    const times: number[] = [];
    const start = world.clock.now();
    world.intercept((call) => {
      if (call.name === "make_join" && call.to === "a.example") times.push(world.clock.now() - start);
      return undefined;
    });
    world.cut("a", "b");
    await joiner.rise();
    return {
      ...given,
      attempts: () => [...times],
      intents: async () => (await world.node("b").storage.readIntents()).length,
    };
  }

  /** A room of `a`, and a storage in which a join of `b` stands that nobody has been asked for yet. */
  async function begun(): Promise<{ readonly world: World; readonly roomId: string; readonly storage: Storage }> {
    const world = new World();
    await world.add("a");
    const roomId = await world.shared("10", "a");
    const storage = createMemoryStorage();
    const data = { roomId, userId: bob, via: ["a.example"] };
    await storage.putIntent({ id: `join ${roomId} ${bob}`, kind: "join", data });
    return { world, roomId, storage };
  }

  it("keeps nobody waiting, is tried again with pauses that grow, and is done once somebody does", async () => {
    const { attempts, intents, ...given } = await waiting();
    const { world } = given;
    // The server has started.
    expect([await intents(), world.server("b").isDelivering]).toEqual([1, true]);
    await world.pass(20_000);
    expect(attempts()).toEqual([0, 1_000, 3_000, 7_000, 15_000]);
    expect(await intents()).toBe(1);
    world.heal("a", "b");
    await world.deliver();
    expect(attempts().at(-1)).toBe(31_000);
    expect(await expectWhole(given, "healed")).toBe("joined");
    expect(world.server("b").isDelivering).toBe(false);
    expect(world.faults()).toEqual([]);
  });

  it("goes on after more restarts", async () => {
    const { intents, ...given } = await waiting();
    const { world, joiner } = given;
    for (let restart = 1; restart <= 3; restart++) {
      await world.pass(5_000);
      joiner.crash.crash();
      await joiner.rise();
      expect(await intents()).toBe(1);
    }
    world.heal("a", "b");
    await joiner.rise();
    expect(await expectWhole(given, "restarted"), "tried at once").toBe("joined");
  });

  it("may still be one with a part of the state", async () => {
    const { world, roomId } = await waiting(["a"], true);
    world.heal("a", "b");
    await world.deliver();
    const asked = world.callsOf("send_join").map(({ request }) => request);
    expect(asked.at(-1)).toHaveProperty("omitMembers", true);
    expect(await world.membership("b", roomId, bob)).toBe("join");
  });

  it("waits for a server that may have let the user in, whatever others say", async () => {
    const { intents, ...given } = await waiting(["a", "c"]);
    const { world } = given;
    // It is in no such room.
    await world.add("c");
    await world.pass(20_000);
    expect(world.callsOf("make_join").some(({ to, answer }) => to === "c.example" && answer !== undefined)).toBe(true);
    expect(await intents()).toBe(1);
    world.heal("a", "b");
    await world.deliver();
    expect(await expectWhole(given, "healed")).toBe("joined");
  });

  it("is given up after a day of pauses, and the host is told", async () => {
    const { world, attempts, intents } = await waiting();
    await world.pass(23 * HOUR);
    expect([await intents(), world.server("b").isDelivering]).toEqual([1, true]);
    expect(world.faults()).toEqual([]);
    await world.pass(2 * HOUR);
    expect([await intents(), world.server("b").isDelivering]).toEqual([0, false]);
    expect(world.faults()).toMatchObject([{ refusal: { code: "unreachable" } }]);
    const times = attempts();
    expect(times.length).toBe(36);
    expect(times.at(-1)).toBeGreaterThan(24 * HOUR);
    expect(times.at(-1)).toBeLessThan(25 * HOUR);
    const pauses = times.slice(1).map((time, at) => time - (times[at] ?? 0));
    expect(pauses).toEqual(pauses.map((_, at) => Math.min(1_000 * 2 ** at, HOUR)));
    await world.pass(10 * HOUR);
    expect(attempts().length).toBe(36);
  });

  it("stops with the server, and begins again with it", async () => {
    const { attempts, intents, ...given } = await waiting();
    const { world } = given;
    await world.pass(1_500);
    const server = world.server("b");
    server.stop();
    expect(server.isDelivering).toBe(false);
    await world.pass(HOUR);
    expect([attempts().length, await intents()]).toEqual([2, 1]);
    world.heal("a", "b");
    await server.start();
    expect(await expectWhole(given, "started again")).toBe("joined");
  });

  it("is not begun by a server that is stopped while it starts", async () => {
    const { world, roomId, storage } = await begun();
    for (let awaits = 0; awaits < 12; awaits++) {
      const { server } = world.build("b", { storage });
      const starting = server.start();
      for (let at = 0; at < awaits; at++) await Promise.resolve();
      server.stop();
      await starting;
      expect([await storage.readIntents(), server.isDelivering]).toMatchObject([[{ kind: "join" }], false]);
    }
    await world.pass(HOUR);
    expect(await world.membership("a", roomId, bob)).toBe("leave");
    const { server } = world.build("b", { storage });
    await server.start();
    expect(await world.membership("a", roomId, bob)).toBe("join");
  });

  it("stops when the host says so, and can be taken up again", async () => {
    const { attempts, intents, ...given } = await waiting();
    const { world } = given;
    const server = world.server("b");
    server.stop();
    const cancel = new Canceller();
    await server.resume(cancel);
    expect(server.isDelivering).toBe(true);
    await world.pass(1_500);
    cancel.cancel();
    await tick();
    expect(server.isDelivering).toBe(false);
    await world.pass(HOUR);
    expect([attempts().length, await intents()]).toEqual([3, 1]);
    await server.start();
    world.heal("a", "b");
    await world.deliver();
    expect(await expectWhole(given, "taken up again")).toBe("joined");
  });

  it("is tried once at a time, however often it is taken up", async () => {
    const { world, attempts } = await waiting();
    await world.server("b").resume();
    await world.server("b").resume();
    await world.pass(3_500);
    expect(attempts()).toEqual([0, 1_000, 3_000]);
  });

  it("survives a storage that fails, of which the host is told", async () => {
    const { world, roomId, storage } = await begun();
    let failing = true;
    const commit: Storage["commit"] = (...call) => {
      if (failing) throw new Error("the disk is full");
      return storage.commit(...call);
    };
    await world.add("b", { storage: { ...storage, commit } });
    await world.pass(2_000);
    expect(world.faults().length).toBe(2);
    expect(world.server("b").isDelivering).toBe(true);
    failing = false;
    await world.deliver();
    expect(await world.membership("b", roomId, bob)).toBe("join");
    expect(await storage.readIntents()).toEqual([]);
  });

  it("waits for keys by which the state can be verified", async () => {
    const { world, roomId, storage } = await begun();
    let hidden = true;
    await world.add("b", {
      storage,
      ports: (ports) => ({
        ...ports,
        keys: {
          ...ports.keys,
          lookup: async (wanted, cancel) => {
            const found = await ports.keys.lookup(wanted, cancel);
            return hidden ? found.map(() => undefined) : found;
          },
        },
      }),
    });
    await world.pass(2_000);
    expect(await world.membership("a", roomId, bob)).toBe("join");
    expect(world.server("b").isDelivering).toBe(true);
    hidden = false;
    await world.deliver();
    expect(await world.membership("b", roomId, bob)).toBe("join");
    expect(await storage.readIntents()).toEqual([]);
  });

  describe.each<OperationName>(["make_join", "send_join"])("while %s is answered", (name) => {
    async function answered(code: OperationErrorCode): Promise<Waiting> {
      const given = await waiting();
      given.world.intercept((call) =>
        call.name === name ? Promise.resolve({ ok: false, error: { code, reason: "no" } }) : undefined,
      );
      given.world.heal("a", "b");
      await given.world.pass(1_000);
      return given;
    }

    it.each<OperationErrorCode>(["unreachable", "timeout", "limit_exceeded", "internal", "unauthorized"])(
      "%s, which decides nothing, it waits",
      async (code) => {
        const { intents, ...given } = await answered(code);
        expect([await intents(), given.world.server("b").isDelivering]).toEqual([1, true]);
        given.world.intercept(undefined);
        await given.world.deliver();
        expect(await expectWhole(given, code)).toBe("joined");
      },
    );

    it.each<OperationErrorCode>([
      "forbidden",
      "policy_refused",
      "not_found",
      "invalid_param",
      "incompatible_room_version",
      "unable_to_authorise_join",
      "unable_to_grant_join",
      "unrecognized",
    ])("%s, it ends", async (code) => {
      const { intents, world } = await answered(code);
      expect([await intents(), world.server("b").isDelivering]).toEqual([0, false]);
      expect(world.faults()).toEqual([]);
    });
  });

  describe("gives way to its user, who", () => {
    it("leaves: nobody lets them in after that", async () => {
      const { world, roomId, intents, attempts } = await waiting();
      expect(await codeOf(world.server("b").leave({ roomId, userId: bob, via: ["a.example"] }))).toBe("unreachable");
      expect([await intents(), world.server("b").isDelivering]).toEqual([0, false]);
      world.heal("a", "b");
      await world.pass(HOUR);
      expect(attempts()).toEqual([0]);
      expect(await world.server("b").roomsOf(bob)).toEqual([]);
      await done(world.server("b").leave({ roomId, userId: bob, via: ["a.example"] }));
      expect(await world.membership("a", roomId, bob)).toBe("leave");
    });

    it("leaves while an attempt is under way, which is called off", async () => {
      const { world, roomId, intents } = await waiting();
      world.intercept(async (call, proceed) => {
        const answer = await proceed();
        // The answer is on its way for as long as it takes.
        if (call.name === "send_join") await new Promise(() => undefined);
        return answer;
      });
      world.heal("a", "b");
      await world.pass(1_000);
      expect(world.callsOf("send_join").length).toBe(2);
      await done(world.server("b").leave({ roomId, userId: bob, via: ["a.example"] }));
      expect([await intents(), world.server("b").isDelivering]).toEqual([0, false]);
      expect(await world.membership("a", roomId, bob)).toBe("leave");
      await world.pass(HOUR);
      expect(await world.server("b").roomsOf(bob)).toEqual([]);
      expect(world.faults()).toEqual([]);
    });

    it("leaves while the room is being stored: then they leave the room", async () => {
      const { world, roomId, storage } = await begun();
      let release: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (release = resolve));
      let commits = 0;
      const commit: Storage["commit"] = async (...call) => {
        if (++commits === 1) await gate;
        return storage.commit(...call);
      };
      const { server } = world.build("b", { storage: { ...storage, commit } });
      void server.start();
      await tick();
      expect([commits, server.isDelivering]).toEqual([1, true]);
      const leaving = server.leave({ roomId, userId: bob });
      await tick();
      expect(world.callsOf("make_leave")).toEqual([]);
      release();
      await done(leaving);
      await world.pass(HOUR);
      expect(await world.membership("a", roomId, bob)).toBe("leave");
      expect(await server.roomsOf(bob)).toEqual([]);
      expect([await storage.readIntents(), server.isDelivering]).toEqual([[], false]);
    });

    it("leaves before the server has started", async () => {
      const { world, roomId, joiner } = await waiting();
      joiner.crash.crash();
      joiner.crash.restart();
      const { storage } = joiner.crash.generation;
      const { server } = world.build("b", { storage, random: createSeededRandom("again") });
      world.heal("a", "b");
      await done(server.leave({ roomId, userId: bob, via: ["a.example"] }));
      await server.start();
      expect(server.isDelivering).toBe(false);
      expect(await world.membership("a", roomId, bob)).toBe("leave");
    });

    it("knocks", async () => {
      const { world, roomId, intents } = await waiting();
      expect(await codeOf(world.server("b").knock({ roomId, userId: bob, via: ["a.example"] }))).toBe("unreachable");
      expect([await intents(), world.server("b").isDelivering]).toEqual([0, false]);
    });

    it("joins anew, and is told what becomes of that", async () => {
      const { intents, ...given } = await waiting();
      const { world, roomId } = given;
      expect(await codeOf(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }))).toBe("unreachable");
      expect([await intents(), world.server("b").isDelivering]).toEqual([0, false]);
      world.heal("a", "b");
      await world.pass(HOUR);
      expect(await expectWhole(given, "refused")).toBe("absent");
      await done(world.server("b").join({ roomId, userId: bob, via: ["a.example"] }));
      await world.deliver();
      expect(await expectWhole(given, "again")).toBe("joined");
    });

    it("joins with the help of another user of this server, and needs no more attempts", async () => {
      const { intents, attempts, ...given } = await waiting();
      const { world, roomId } = given;
      await world.pass(3_500);
      world.heal("a", "b");
      await done(world.server("b").join({ roomId, userId: userOf("b", "second"), via: ["a.example"] }));
      expect(await world.membership("b", roomId, bob), "as the resident server has it").toBe("join");
      const tried = attempts().length;
      await world.pass(HOUR);
      expect(attempts().length).toBe(tried);
      expect([await intents(), world.server("b").isDelivering]).toEqual([0, false]);
    });

    it("asked for it by another process, which has done it or given it up", async () => {
      const { world, attempts, roomId } = await waiting();
      await world.node("b").storage.removeIntents([`join ${roomId} ${bob}`]);
      world.heal("a", "b");
      await world.pass(HOUR);
      expect(attempts()).toEqual([0]);
      expect(world.server("b").isDelivering).toBe(false);
      expect(await world.server("b").roomsOf(bob)).toEqual([]);
    });

    it("joins a room that somebody else has brought here, and leaves nothing to be done", async () => {
      const { world, roomId, intents } = await waiting();
      world.heal("a", "b");
      await done(world.server("b").join({ roomId, userId: userOf("b", "second"), via: ["a.example"] }));
      expect(await intents()).toBe(1);
      await done(world.server("b").join({ roomId, userId: bob }));
      expect([await intents(), world.server("b").isDelivering]).toEqual([0, true]);
      await world.deliver();
      expect(world.server("b").isDelivering).toBe(false);
    });

    it("joins a room that somebody else has brought here, and is refused", async () => {
      const { world, roomId, intents } = await waiting();
      world.heal("a", "b");
      await done(world.server("a").ban({ roomId, userId: alice, target: bob }));
      await done(world.server("b").join({ roomId, userId: userOf("b", "second"), via: ["a.example"] }));
      expect(await intents()).toBe(1);
      expect(await codeOf(world.server("b").join({ roomId, userId: bob }))).toBe("auth_rejected");
      expect([await intents(), world.server("b").isDelivering]).toEqual([0, false]);
    });
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
