/**
 * Two events of one id: hostile servers can make them in room versions 1 and 2, where the id is in the event. What was
 * decided and never stored must not stand for what was stored.
 */
import { describe, expect, it } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import type { Pdu } from "../../src/event/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { CommitResult, OperationName, Storage, Transport } from "../../src/ports/index.js";
import { roomOf, short, Story, tampered, testServer, visible } from "../support/engine.js";
import { CHAIN, given, idsOf, joinedWith, serve, STATE, story as joinable } from "../support/joining.js";

const ALICE = "@alice:a.example";
const BOB = "@bob:b.example";
const MALLORY = "@mallory:m.example";
const PEER = "peer.example";
const SAME = "$same:m.example";

const withId =
  (id: string) =>
  (event: JsonObject): JsonObject => ({ ...event, event_id: id });

/** A storage, and another view of it whose next commit comes after what another process does. */
function raced(): { base: Storage; storage: Storage; before: (other: () => Promise<unknown>) => void } {
  const base = createMemoryStorage();
  let race: (() => Promise<unknown>) | undefined;
  const commit = async (batch: Parameters<Storage["commit"]>[0]): Promise<CommitResult> => {
    const other = race;
    race = undefined;
    await other?.();
    return base.commit(batch);
  };
  return { base, storage: { ...base, commit }, before: (other) => (race = other) };
}

describe.each(["1", "2"])("two events of one id, room version %s", (v) => {
  it.each([
    ["little of the room in memory", { cachedEvents: 2, cachedStates: 2 }],
    ["all of it", {}],
  ])("an event that lost the race to a message is no auth event, with %s", async (_, limits) => {
    const story = new Story(v).open().member("mallory", MALLORY, "join");
    const content = { membership: "join", displayname: "lost" };
    const lost = story.write({ type: "m.room.member", stateKey: MALLORY, sender: MALLORY, content }, {}, withId(SAME));
    const message = story.write(
      { type: "m.room.message", sender: MALLORY, content: { body: "won" } },
      {},
      withId(SAME),
    );
    const { base, storage, before } = raced();
    const one = await roomOf(testServer({ ring: story.ring, storage, limits }), story);
    const other = await roomOf(testServer({ ring: story.ring, storage: base }), story);
    await one.receive(story.jsons(), { origin: PEER });
    before(() => other.receive([message.json], { origin: PEER }));
    await one.receive([lost.json], { origin: PEER });
    story.take("won", message.json, ["mallory"]);
    let last = "won";
    for (let at = 0; at < 8; at++) {
      story.say(`filler${at}`, ALICE, { prev: [last] });
      last = `filler${at}`;
      await one.receive([story.json(last)], { origin: PEER });
    }
    const place = { prev: [last], auth: ["create", "levels"] };
    const citing = story.write({ type: "m.room.message", sender: MALLORY, content: {} }, place, (event) => ({
      ...event,
      auth_events: [...(event["auth_events"] as JsonObject[]), [SAME, { sha256: "A".repeat(43) }]],
    }));
    const fresh = await roomOf(testServer({ ring: story.ring }), story);
    await fresh.receive(story.jsons(), { origin: PEER });
    for (const room of [one, fresh]) {
      const receipts = await room.receive([citing.json], { origin: PEER });
      expect(receipts.map(short)).toEqual([expect.stringMatching(/^rejected-by-auth-events/)]);
    }
  });

  it("a state event that lost the race to another is not part of the state", async () => {
    const story = new Story(v).open();
    const [lost, won] = ["lost", "won"].map((name) => {
      const users = { [ALICE]: 100, [`@${name}:m.example`]: 100 };
      const draft = { type: "m.room.power_levels", stateKey: "", sender: ALICE, content: { users } };
      return story.write(draft, {}, withId("$same:a.example"));
    });
    const { base, storage, before } = raced();
    const one = await roomOf(testServer({ ring: story.ring, storage }), story);
    const other = await roomOf(testServer({ ring: story.ring, storage: base }), story);
    await one.receive(story.jsons(), { origin: PEER });
    const told: unknown[] = [];
    one.subscribe(({ control }) => told.push(control.state.get("m.room.power_levels", "")?.content));
    before(() => other.receive([won?.json], { origin: PEER }));
    await one.receive([lost?.json], { origin: PEER });
    for (const room of [one, other]) {
      expect(room.current.get("m.room.power_levels", "")?.content).toEqual(won?.content);
    }
    expect(told.at(-1)).toEqual(won?.content);
    expect(told).not.toContainEqual(lost?.content);
  });

  it.each([
    ["of a server in the room", {}],
    ["of an outsider", { outsider: true }],
  ])("a state event whose decision was broken off judges nothing %s", async (_, options) => {
    const story = new Story(v).open().member("bob", BOB, "join").say("old", ALICE);
    for (let at = 0; at < 8; at++) story.say(`filler${at}`, ALICE);
    const before = story.jsons();
    const levels = (users: JsonObject): Pdu =>
      story.write(
        { type: "m.room.power_levels", stateKey: "", sender: ALICE, content: { users } },
        {},
        withId("$same:a.example"),
      );
    const lost = levels({ [ALICE]: 100 });
    const stored = levels({ [ALICE]: 100, [BOB]: 50 });
    const redaction = { type: "m.room.redaction", sender: ALICE, content: {}, redacts: story.id("old") };
    const redacting = story.write(redaction, {}, withId("$redaction:a.example"));
    story.take("stored", stored.json, ["filler7"]).state("name", "m.room.name", BOB, { name: "Bob may say" });
    const base = createMemoryStorage();
    let isBroken = false;
    const storage: Storage = {
      ...base,
      readEvents: (roomId, ids) => {
        if (isBroken && ids.includes(story.id("old"))) throw new Error("the disk is gone for a moment");
        return base.readEvents(roomId, ids);
      },
    };
    const limits = { cachedEvents: 1 };
    const room = await roomOf(testServer({ ring: story.ring, storage, limits }), story);
    await room.receive(before, { origin: PEER });
    isBroken = true;
    await expect(room.receive([lost.json, redacting.json], { origin: PEER })).rejects.toThrow(/disk/);
    isBroken = false;
    const receipts = await room.receive([stored.json, story.json("name")], { origin: PEER, ...options });
    expect(receipts.map(short)).toEqual(["accepted", "accepted"]);
    for (const one of [room, await roomOf(testServer({ ring: story.ring, storage: base }), story)]) {
      await one.refresh();
      expect(one.current.get("m.room.power_levels", "")?.content).toEqual(stored.content);
      expect(one.current.get("m.room.name", "")?.content).toEqual({ name: "Bob may say" });
    }
  });
});

describe("two copies of one event", () => {
  it.each(["1", "6", "12"])(
    "the one that was stored is read, version %s, where a redacted one lost the race",
    async (v) => {
      const story = new Story(v).open().state("topic", "m.room.topic", ALICE, { topic: "as it was sent" });
      const events = story.jsons();
      const topic = story.json("topic");
      const { base, storage, before } = raced();
      const one = await roomOf(testServer({ ring: story.ring, storage }), story);
      const other = await roomOf(testServer({ ring: story.ring, storage: base }), story);
      await one.receive(events.slice(0, -1), { origin: PEER });
      before(() => other.receive([topic], { origin: PEER }));
      await one.receive([tampered(topic, { topic: "changed on its way" })], { origin: PEER });
      for (const room of [one, other]) {
        expect(room.current.get("m.room.topic", "")?.content).toEqual({ topic: "as it was sent" });
      }
    },
  );

  it.each(["1", "6", "12"])("make the room that the full one makes where a join has both, version %s", async (v) => {
    const story = joinable(v);
    const [, expected] = await joinedWith(story, given(story, { state: STATE, chain: [...CHAIN, "one"] }));
    const full = given(story, { state: STATE, chain: [...CHAIN, "one"] });
    const changed = tampered(story.json("one"), { name: "changed on its way" });
    const instead = (json: unknown): unknown => (json === story.json("one") ? changed : json);
    for (const answer of [
      { ...full, authChain: full.authChain.map(instead) },
      { ...full, state: full.state.map(instead) },
    ]) {
      const room = await serve(story);
      expect(await room.importJoin(answer)).toMatchObject({ ok: true });
      expect(await visible(room, idsOf(story))).toEqual(expected);
      expect(room.current.get("m.room.name", "")?.content).toEqual({ name: "one" });
    }
  });

  it("make the state that the full one makes where a state that is given over a gap has both", async () => {
    const story = new Story("10").open().say("here", ALICE);
    const here = story.names;
    const types = Array.from({ length: 25 }, (_, at) => `org.example.${at}`);
    for (const type of types) story.state(type, type, ALICE, { said: type });
    const away = story.names.filter((name) => !here.includes(name) || name === "create");
    story.say("lost", ALICE).say("gap", ALICE).say("news", ALICE);
    const stateNames = ["create", "join", "levels", "rules", ...types];
    const [first = ""] = types;
    const answers: Partial<Record<OperationName, unknown>> = {
      get_missing_events: { events: [story.json("gap")] },
      state_ids: { stateIds: stateNames.map((name) => story.id(name)), authChainIds: [] },
      state: { state: story.jsons(...away), authChain: [tampered(story.json(first), { said: "something else" })] },
    };
    const request: Transport["request"] = (_server, name) =>
      Promise.resolve(
        answers[name] === undefined
          ? { ok: false, error: { code: "unreachable", reason: "nothing answers" } }
          : { ok: true, value: answers[name] },
      ) as never;
    const transport: Transport = { listen: () => () => undefined, request };
    const limits = { fetchRounds: 1 };
    const room = await roomOf(testServer({ ring: story.ring, transport, limits }), story);
    await room.receive(story.jsons(...here), { origin: PEER });
    expect((await room.receive([story.json("news")], { origin: PEER })).map(short)).toEqual(["accepted"]);
    const before = (await room.stateAt(story.id("news")))?.before;
    for (const type of types) expect(before?.get(type, "")?.content).toEqual({ said: type });
  });

  it.each(["1", "6", "10"])("leave nothing of a join that was refused to the next, version %s", async (v) => {
    const story = joinable(v);
    const [, expected] = await joinedWith(story, given(story));
    const instead = { one: tampered(story.json("one"), { name: "changed on its way" }) };
    const room = await serve(story);
    const lacking = given(story, { state: STATE.filter((name) => name !== "rules"), instead });
    expect(await room.importJoin(lacking)).toMatchObject({ ok: false });
    expect(await room.importJoin(given(story))).toMatchObject({ ok: true });
    expect(await visible(room, idsOf(story))).toEqual(expected);
  });

  it("are told apart where another process has put the full one in the place of the other", async () => {
    const story = new Story("10").open().state("topic", "m.room.topic", ALICE, { topic: "as it was sent" });
    const storage = createMemoryStorage();
    const one = await roomOf(testServer({ ring: story.ring, storage }), story);
    const other = await roomOf(testServer({ ring: story.ring, storage }), story);
    const [topic, ...before] = [...story.jsons()].reverse();
    if (topic === undefined) throw new Error("the story has events");
    await one.receive([...before].reverse(), { origin: PEER });
    await one.receive([tampered(topic, { topic: "changed on its way" })], { origin: PEER });
    expect(one.current.get("m.room.topic", "")?.content).toEqual({});
    await other.receive([topic], { origin: PEER });
    await one.receive([story.say("later", ALICE).json("later")], { origin: PEER });
    for (const room of [one, other]) {
      expect(room.current.get("m.room.topic", "")?.content).toEqual({ topic: "as it was sent" });
    }
  });
});

describe("a storage that fails while what another process wrote is read", () => {
  it.each(["readEvents", "readStateGroups", "changesSince"] as const)(
    "loses no end of the room: %s",
    async (failing) => {
      const story = new Story("10").open();
      const before = story.jsons();
      story.state("topic", "m.room.topic", ALICE, { topic: "by the other" }, { prev: ["rules"] });
      story.state("name", "m.room.name", ALICE, { name: "by this one" }, { prev: ["rules"] });
      const { base, storage, before: race } = raced();
      let isBroken = false;
      const fails = (name: typeof failing): void => {
        if (!isBroken || name !== failing) return;
        isBroken = false;
        throw new Error("the disk is gone for a moment");
      };
      const failingStorage: Storage = {
        ...storage,
        readEvents: (...asked) => (fails("readEvents"), base.readEvents(...asked)),
        readStateGroups: (...asked) => (fails("readStateGroups"), base.readStateGroups(...asked)),
        changesSince: (...asked) => (fails("changesSince"), base.changesSince(...asked)),
      };
      const one = await roomOf(testServer({ ring: story.ring, storage: failingStorage }), story);
      const other = await roomOf(testServer({ ring: story.ring, storage: base }), story);
      await one.receive(before, { origin: PEER });
      race(async () => {
        await other.receive([story.json("topic")], { origin: PEER });
        isBroken = true;
      });
      await expect(one.receive([story.json("name")], { origin: PEER })).rejects.toThrow(/disk/);
      expect((await one.receive([story.json("name")], { origin: PEER })).map(short)).toEqual(["accepted"]);
      for (const room of [one, other]) {
        await room.refresh();
        expect([...room.control.forwardExtremities].sort()).toEqual([...story.ids("topic", "name")].sort());
        expect(room.current.get("m.room.topic", "")?.content).toEqual({ topic: "by the other" });
        expect(room.current.get("m.room.name", "")?.content).toEqual({ name: "by this one" });
      }
    },
  );
});
