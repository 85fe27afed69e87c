/**
 * What a server is told of a room between its `send_join` and the answer to it: whoever let it in sends to it from then
 * on, and takes for delivered what was answered without an error.
 */
import { describe, expect, it } from "vitest";
import { createManualClock } from "../../src/adapters/memory/index.js";
import { RoomsBeingJoined } from "../../src/federation/joining.js";
import { codeOf, done, nameOf, tick, userOf, worldOf } from "../support/servers.js";
import type { World } from "../support/servers.js";

const bob = userOf("b");

interface Held {
  readonly world: World;
  readonly roomId: string;
  /** Has reached the resident, whose answer is on its way. */
  readonly joining: ReturnType<ReturnType<World["server"]>["join"]>;
  /** Lets the answer arrive, or fail. */
  readonly release: (fails?: "fails") => Promise<void>;
}

/** `b` joins a room of `a`, and does not hear of it yet that it has. */
async function held(version: string): Promise<Held> {
  const world = await worldOf("a", "b");
  const roomId = await world.shared(version, "a");
  let release: ((fails: boolean) => void) | undefined;
  const released = new Promise<boolean>((resolve) => {
    release = resolve;
  });
  world.intercept(({ name }, proceed) => {
    if (name !== "send_join") return undefined;
    return proceed().then(async (answer) =>
      (await released) ? { ok: false, error: { code: "forbidden", reason: "changed my mind" } } : answer,
    );
  });
  const joining = world.server("b").join({ roomId, userId: bob, via: [nameOf("a")] });
  await tick();
  expect(await world.membership("a", roomId, bob)).toBe("join");
  return {
    world,
    roomId,
    joining,
    release: async (fails) => {
      release?.(fails === "fails");
      await tick();
    },
  };
}

const sends = (world: World): readonly unknown[] =>
  world.callsOf("send").flatMap(({ to, answer }) => (to === nameOf("b") ? [answer] : []));

describe.each(["1", "2", "10", "12", "I.1"])("what comes while a room is joined [cap:transactions v:%s]", (version) => {
  it("waits for the join, and is part of the room then", async () => {
    const { world, roomId, joining, release } = await held(version);
    const said = await done(world.say("a", roomId, "welcome"));
    await tick();
    expect(sends(world)).toEqual([undefined]);
    await release();
    await done(joining);
    await tick();
    expect(sends(world)).toEqual([{ ok: true, value: { pdus: { [said.eventId]: {} } } }]);
    const view = await (await world.room("b", roomId)).event(said.eventId);
    expect(view?.verdict.verdict).toBe("accepted");
    expect(world.callsOf("get_missing_events", "event")).toEqual([]);
  });

  it("is answered when the join has failed", async () => {
    const { world, roomId, joining, release } = await held(version);
    await done(world.say("a", roomId, "welcome"));
    await tick();
    await release("fails");
    expect(await codeOf(joining)).toBe("refused_by_peer");
    await tick();
    expect(sends(world)).toEqual([{ ok: true, value: { pdus: {} } }]);
    expect(await world.server("b").room(roomId)).toBeUndefined();
  });

  it("does not wait for long, and is found as a gap then", async () => {
    const { world, roomId, joining, release } = await held(version);
    const missed = await done(world.say("a", roomId, "welcome"));
    await world.pass(9_999);
    expect(sends(world)).toEqual([undefined]);
    await world.pass(1);
    expect(sends(world)).toEqual([{ ok: true, value: { pdus: {} } }]);
    await release();
    await done(joining);
    await done(world.say("a", roomId, "again"));
    await world.deliver();
    expect((await (await world.room("b", roomId)).event(missed.eventId))?.verdict.verdict).toBe("accepted");
  });
});

it("does not hold up what is sent of other rooms", async () => {
  const { world, joining, release } = await held("10");
  await world.add("c");
  const other = await done(world.server("c").create({ version: "10", creator: userOf("c"), preset: "public" }));
  world.intercept(undefined);
  await done(world.server("b").join({ roomId: other.roomId, userId: bob, via: [nameOf("c")] }));
  await world.deliver(0);
  const said = await done(world.say("c", other.roomId, "elsewhere"));
  await tick();
  expect((await (await world.room("b", other.roomId)).event(said.eventId))?.verdict.verdict).toBe("accepted");
  await release();
  await done(joining);
});

describe("rooms that are being joined", () => {
  const room = "!room:example";

  it("are so until the last join has ended, however it ends", async () => {
    const [rooms, clock] = [new RoomsBeingJoined(), createManualClock()];
    const ends: ((fails: boolean) => void)[] = [];
    const join = (): Promise<void> =>
      rooms.during(
        room,
        () =>
          new Promise((resolve, reject) => {
            ends.push((fails) => (fails ? reject(new Error("no")) : resolve()));
          }),
      );
    const joins = [join(), join()];
    let over = 0;
    for (let one = 0; one < 2; one++) void rooms.isOver(room, clock, 1_000).then(() => over++);
    ends[0]?.(true);
    await expect(joins[0]).rejects.toThrow("no");
    await tick();
    expect([rooms.has(room), over]).toEqual([true, 0]);
    ends[1]?.(false);
    await joins[1];
    await tick();
    expect([rooms.has(room), over, clock.untilNext()]).toEqual([false, 2, undefined]);
  });

  it("are waited for no longer than one wants to", async () => {
    const [rooms, clock] = [new RoomsBeingJoined(), createManualClock()];
    void rooms.during(room, () => new Promise(() => undefined));
    let over = false;
    void rooms.isOver(room, clock, 1_000).then(() => (over = true));
    clock.advance(999);
    await tick();
    expect(over).toBe(false);
    clock.advance(1);
    await tick();
    expect([over, rooms.has(room)]).toEqual([true, true]);
  });

  it("are others than those that are not", async () => {
    const rooms = new RoomsBeingJoined();
    void rooms.during(room, () => new Promise(() => undefined));
    await rooms.isOver("!other:example", createManualClock(), 1_000);
    expect(rooms.has("!other:example")).toBe(false);
  });
});
