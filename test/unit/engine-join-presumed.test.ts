/**
 * A join of a room that is not here is decided while the signatures of its state are verified. Whatever they turn out
 * to be, what is left is what would be if they had been verified first.
 */
import { describe, expect, it } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import { CancelledError, Canceller } from "../../src/engine/index.js";
import type { Room } from "../../src/engine/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { Storage } from "../../src/ports/index.js";
import { factsOf, HERE, short, Story, visible, withKey } from "../support/engine.js";
import {
  ALICE,
  BOB,
  CAROL,
  CHAIN,
  given,
  idsOf,
  joinedWith,
  ME,
  nothing,
  noting,
  PEER,
  serve,
  SlowKeys,
  STATE,
  story,
  turns,
  unsigned,
  without,
} from "../support/joining.js";
import { rowsOf } from "../support/rows.js";

const VERSIONS = ["1", "2", "10", "12"] as const;

describe.each(VERSIONS)("a join whose state has an event that nobody signed, room version %s", (v) => {
  const cases: readonly (readonly [which: string, bad: string, rest: readonly string[]])[] = [
    ["a member", "carol", []],
    ["the name", "one", []],
    // What rests on it goes with it.
    ["a member whose event is part of the state", "bob", ["one"]],
  ];
  it.each(cases)("is stored without it: %s", async (_, bad, rest) => {
    const told = story(v);
    const left = without(STATE, bad, ...rest);
    const expected = await joinedWith(told, given(told, { state: left, chain: without(CHAIN, bad) }));
    const storage = createMemoryStorage();
    const room = await serve(told, { storage });
    const instead = { [bad]: unsigned(told, told.json(bad)) };
    const state = given(told, { state: without(STATE, ...rest), instead });
    expect(await room.importJoin(state)).toMatchObject({ ok: true });
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(expected);
    const before = (await room.stateAt(told.id("me")))?.before.ids();
    expect([...(before ?? [])].sort()).toEqual(told.ids(...left));
    expect([...room.current.ids()].sort()).toEqual(told.ids(...left, "me"));
  });

  it("is stored without it where memberships were left out as well", async () => {
    const told = story(v);
    const serversInRoom = ["a.example", "b.example", "c.example", HERE];
    const state = without(STATE, "carol");
    const left = given(told, { state: without(state, "one") });
    const expected = await joinedWith(told, { ...left, serversInRoom });
    const storage = createMemoryStorage();
    const room = await serve(told, { storage });
    const instead = { one: unsigned(told, told.json("one")) };
    expect(await room.importJoin({ ...given(told, { state, instead }), serversInRoom })).toMatchObject({ ok: true });
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(expected);
    expect(room.servers).toEqual(serversInRoom);
  });

  it("is judged without it, though the rest of the state cites it", async () => {
    const told = story(v);
    const room = await serve(told);
    const joined = await room.importJoin(given(told, { instead: { bob: unsigned(told, told.json("bob")) } }));
    expect(joined).toMatchObject({ ok: true });
    expect([...room.current.ids()].sort()).toEqual(told.ids(...without(STATE, "bob", "one"), "me"));
    expect(await room.verdict(told.id("bob"))).toBeUndefined();
    told.say("says", BOB, { prev: ["me"] }).say("answers", CAROL, { prev: ["me"] });
    const receipts = await room.receive(told.jsons("says", "answers"), { origin: PEER });
    expect(receipts.map(short)).toEqual(["pending", "accepted"]);
  });

  it("is refused where the join rests on it, and leaves nothing", async () => {
    const told = story(v);
    const storage = createMemoryStorage();
    const room = await serve(told, { storage });
    const instead = { levels: unsigned(told, told.json("levels")) };
    expect(await room.importJoin(given(told, { instead }))).toMatchObject({ ok: false });
    expect(await rowsOf(storage)).toEqual(nothing);
    expect(await room.importJoin(given(told))).toMatchObject({ ok: true });
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(await joinedWith(told, given(told)));
  });
});

describe("a join of a large room", () => {
  it("is stored without the few that nobody signed, wherever in the state they are", async () => {
    const told = new Story("10").open({ users: { [ALICE]: 100 } });
    const names = Array.from({ length: 1_300 }, (_, at) => `m${at}`);
    for (const name of names) told.member(name, `@${name}:${name.slice(-1)}.example`, "join");
    told.member("me", ME, "join");
    const state = [...CHAIN.slice(0, 4), ...names];
    const bad = ["m0", "m511", "m600", "m1299"];
    const instead = Object.fromEntries(bad.map((name) => [name, unsigned(told, told.json(name))]));
    const log: string[] = [];
    const storage = noting(log);
    const slow = new SlowKeys(told, log);
    const room = await serve(told, { storage, keys: slow.keys });
    slow.hold();
    const joining = room.importJoin(given(told, { state, chain: CHAIN.slice(0, 4), instead }));
    await turns();
    slow.answerLast();
    // The join itself was verified; three calls about the state are open, and answered from the last to the first.
    await turns();
    expect([slow.waiting, log]).toEqual([3, ["verified"]]);
    while (slow.waiting > 0) {
      slow.answerLast();
      await turns();
    }
    expect(await joining).toMatchObject({ ok: true });
    expect(log).toEqual(["verified", "verified", "verified", "verified", "commit"]);
    const left = { state: without(state, ...bad), chain: CHAIN.slice(0, 4) };
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(
      await joinedWith(told, given(told, left)),
    );
  });
});

describe.each(["1", "2"] as const)("a forged event with the id of a true one, room version %s", (v) => {
  /** What a server that is not Carol's says that she said. */
  function forged(told: Story, name: string, content: JsonObject): JsonObject {
    return unsigned(told, told.sealed(withKey(told.json(name), "content", content), "forger.example"));
  }

  it("is nowhere once its signature was found to be bad: the true one is shown and judges", async () => {
    const told = story(v)
      .state("topic", "m.room.topic", ALICE, { topic: "of before the join" }, { prev: ["carol"] })
      .say("hello", CAROL, { prev: ["topic", "me"] });
    const instead = {
      carol: forged(told, "carol", { membership: "leave" }),
      one: forged(told, "one", { name: "forged" }),
    };
    const room = await serve(told);
    const joined = await room.importJoin(given(told, { instead }));
    expect(joined).toMatchObject({ ok: true });
    expect(room.control.name).toBeUndefined();
    expect(room.state("m.room.member", CAROL)).toBeUndefined();
    const history = ["create", "join", "levels", "rules", "bob", "one", "carol"];
    const filled = await room.receive(told.jsons(...history), { origin: PEER, mode: "history" });
    expect(filled.map(short)).toEqual(history.map(() => "accepted"));
    expect((await room.event(told.id("one")))?.shown["content"]).toEqual({ name: "one" });
    const after = (await room.stateAt(told.id("carol")))?.after;
    expect(after?.get("m.room.name", "")?.content).toEqual({ name: "one" });
    expect(after?.membership(CAROL)).toBe("join");
    // A branch that left before the join brings the true ones into the current state.
    const late = await room.receive(told.jsons("topic", "hello"), { origin: PEER });
    expect(late.map(short)).toEqual(["accepted", "accepted"]);
    expect(room.current.membership(CAROL)).toBe("join");
    expect(room.control.name).toBe("one");
    expect([...room.current.ids()].sort()).toEqual(told.after("hello"));
  });

  it("does not hide a true copy that comes with it", async () => {
    const told = story(v);
    const [event, copy] = [given(told), forged(told, "one", { name: "forged" })];
    for (const state of [
      [...event.state, copy],
      [copy, ...event.state],
    ]) {
      const room = await serve(told);
      expect(await room.importJoin({ ...event, state })).toMatchObject({ ok: true });
      expect(room.control.name).toBe("one");
      expect((await room.stateAt(told.id("me")))?.before.get("m.room.name", "")?.content).toEqual({ name: "one" });
    }
  });
});

describe.each(VERSIONS)("a join whose signatures take their time, room version %s", (v) => {
  async function held(told: Story): Promise<{ slow: SlowKeys; storage: Storage; room: Room }> {
    const slow = new SlowKeys(told);
    const storage = noting(slow.log);
    return { slow, storage, room: await serve(told, { storage, keys: slow.keys }) };
  }

  it("is written when the last was answered, and is the room that it would be", async () => {
    const told = story(v);
    const { slow, storage, room } = await held(told);
    slow.hold();
    const joining = room.importJoin(given(told));
    for (const verified of [[], ["verified"]]) {
      await turns();
      expect([slow.waiting, slow.log]).toEqual([1, verified]);
      expect(await rowsOf(storage)).toEqual(nothing);
      slow.answerLast();
    }
    expect(await joining).toMatchObject({ ok: true });
    expect(slow.log).toEqual(["verified", "verified", "commit"]);
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(await joinedWith(told, given(told)));
  });

  it("fails with the Keys port, leaves nothing, and can be made again", async () => {
    const told = story(v);
    const { slow, storage, room } = await held(told);
    slow.hold();
    const joining = room.importJoin(given(told));
    await turns();
    slow.answerFirst();
    await turns();
    slow.failFirst();
    await expect(joining).rejects.toThrow("the verifier is gone");
    expect(await rowsOf(storage)).toEqual(nothing);
    expect(await factsOf(room, idsOf(told))).toMatchObject({ current: [], extremities: [] });
    slow.release();
    expect(await room.importJoin(given(told))).toMatchObject({ ok: true });
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(await joinedWith(told, given(told)));
  });

  it.each([
    ["stops", true],
    ["goes on", false],
  ])("and is cancelled meanwhile leaves nothing, where the Keys port %s", async (_, heedsCancel) => {
    const told = story(v);
    const { slow, storage, room } = await held(told);
    slow.hold();
    slow.heedsCancel = heedsCancel;
    const cancel = new Canceller();
    const joining = room.importJoin(given(told), { cancel });
    await turns();
    slow.answerFirst();
    await turns();
    expect(slow.waiting).toBe(1);
    cancel.cancel();
    slow.release();
    await expect(joining).rejects.toThrow(CancelledError);
    expect([await rowsOf(storage), slow.log.includes("commit")]).toEqual([nothing, false]);
    expect(await room.importJoin(given(told))).toMatchObject({ ok: true });
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(await joinedWith(told, given(told)));
  });

  it("is undecided without the key of a server, keeps nothing, and works once it is published", async () => {
    const told = story(v);
    const storage = createMemoryStorage();
    const room = await serve(told, { storage });
    told.ring.withhold("c.example");
    const refused = await room.importJoin(given(told));
    expect(refused).toMatchObject({ ok: false, error: { code: "undecided", events: [told.id("carol")] } });
    expect(await rowsOf(storage)).toEqual(nothing);
    told.ring.publish("c.example");
    expect(await room.importJoin(given(told))).toMatchObject({ ok: true });
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(await joinedWith(told, given(told)));
  });
});
