/**
 * Delivering events: transactions as they are received, and the queue of each destination as it is sent, over a
 * network that loses things, restarts, and two processes that share one storage.
 */
import { describe, expect, it } from "vitest";
import { createMemoryStorage, createSeededRandom } from "../../src/adapters/memory/index.js";
import type { HostOptions, Limits } from "../../src/engine/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { OperationError, Storage } from "../../src/ports/index.js";
import type { Call } from "../support/servers.js";
import { codeOf, done, pduOf, signedBy, tick, userOf, World, worldOf } from "../support/servers.js";

const VERSIONS = ["1", "6", "10", "11", "12", "I.1"] as const;
const [alice, bob, carol] = [userOf("a"), userOf("b"), userOf("c")];

interface Transaction {
  readonly transactionId: string;
  readonly pdus: readonly JsonValue[];
}

function transactionsTo(world: World, to: string): readonly Transaction[] {
  return world
    .callsOf("send")
    .filter((call) => call.to === to)
    .map(({ request }) => request as Transaction);
}

/** An event of `user` in the room as their server sees it, which only the test sends. */
async function message(world: World, version: string, from: string, roomId: string, text: string): Promise<JsonObject> {
  const room = await world.room(from, roomId);
  const type = version === "I.1" ? "m.message" : "m.room.message";
  const content = version === "I.1" ? { "m.text": [{ body: text }] } : { body: text };
  const made = await done(room.template({ type, sender: userOf(from), content }));
  return signedBy(version, from, made);
}

/** Bodies of the messages that a server has, in the order of its stream. */
async function heard(world: World, name: string, roomId: string): Promise<readonly string[]> {
  const { events } = await (await world.room(name, roomId)).timeline({ limit: 1_000 });
  return events.flatMap(({ original }) => {
    const body = (original["content"] as JsonObject)["body"];
    return typeof body === "string" ? [body] : [];
  });
}

describe.each(VERSIONS)("a transaction [cap:transactions v:%s]", (version) => {
  it("is answered for each PDU, and answered the same when it comes again", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(version, "a", "b");
    const good = await message(world, version, "b", roomId, "good");
    const topic = version === "I.1" ? "m.room.topic" : "m.room.topic";
    const draft = { type: topic, stateKey: "", sender: bob, content: { topic: "not allowed" } };
    const bad = signedBy(version, "b", await done((await world.room("b", roomId)).template(draft)));
    const forged = { ...(await message(world, version, "b", roomId, "forged")), origin_server_ts: 3 };
    const pdus = [good, { room_id: roomId }, bad, forged, "nonsense", null];
    const [goodId, badId, forgedId] = [good, bad, forged].map((event) => pduOf(version, event).eventId);
    const first = await world.ask("b", "a", "send", { transactionId: "1", pdus });
    if (!first.ok) throw new Error(first.error.reason);
    const { pdus: answered } = first.value;
    expect(answered[goodId ?? ""]).toEqual({});
    expect(answered[badId ?? ""]?.error).toEqual(expect.any(String));
    expect(answered[forgedId ?? ""]?.error).toEqual(expect.any(String));
    const { revision } = (await world.room("a", roomId)).control;
    expect(await world.ask("b", "a", "send", { transactionId: "1", pdus })).toEqual(first);
    expect(await world.ask("b", "a", "send", { transactionId: "1", pdus: [] }), "by its id alone").toEqual(first);
    await world.restart("a");
    expect(await world.ask("b", "a", "send", { transactionId: "1", pdus })).toEqual(first);
    expect(await world.ask("b", "a", "send", { transactionId: "2", pdus }), "under another id").toEqual(first);
    expect((await world.room("a", roomId)).control.revision).toBe(revision);
    expect(world.faults()).toEqual([]);
  });

  it("may hold events of several rooms, and of rooms that are not known", async () => {
    const world = await worldOf("a", "b");
    const first = await world.shared(version, "a", "b");
    const second = await world.shared(version, "a", "b");
    const alone = await world.shared(version, "b");
    const pdus = [
      await message(world, version, "b", first, "to the first"),
      await message(world, version, "b", alone, "to a room of b alone"),
      await message(world, version, "b", second, "to the second"),
    ];
    const ids = pdus.map((event) => pduOf(version, event).eventId);
    const answer = await world.ask("b", "a", "send", { transactionId: "1", pdus });
    expect(answer).toEqual({ ok: true, value: { pdus: { [ids[0] ?? ""]: {}, [ids[2] ?? ""]: {} } } });
    for (const [roomId, id] of [
      [first, ids[0]],
      [second, ids[2]],
    ] as const) {
      expect((await (await world.room("a", roomId)).verdict(id ?? ""))?.verdict).toBe("accepted");
    }
    expect(await world.server("a").room(alone)).toBeUndefined();
  });
});

describe("receiving transactions [cap:transactions]", () => {
  it("51 PDUs are refused whole and 50 are taken", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    const one = await message(world, "10", "b", roomId, "one");
    const { revision } = (await world.room("a", roomId)).control;
    const many = (count: number): readonly JsonValue[] => Array.from({ length: count }, () => one);
    expect(await codeOf(world.ask("b", "a", "send", { transactionId: "51", pdus: many(51) }))).toBe("too_large");
    expect((await world.room("a", roomId)).control.revision).toBe(revision);
    expect(await codeOf(world.ask("b", "a", "send", { transactionId: "51", pdus: many(50) }))).toBe("ok");
    expect((await (await world.room("a", roomId)).verdict(pduOf("10", one).eventId))?.verdict).toBe("accepted");
  });

  it("a transaction that comes again while it is worked on is worked on once", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    const pdus = [await message(world, "10", "b", roomId, "once")];
    world.node("a").observer.receipts();
    const before = world.node("a").observer.receipts().length;
    const answers = await Promise.all(
      [1, 2, 3].map(() => world.ask("b", "a", "send", { transactionId: "same", pdus })),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(world.node("a").observer.receipts().length - before).toBe(1);
  });

  it("the same id from another server is another transaction", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared("10", "a", "b", "c");
    const fromB = await message(world, "10", "b", roomId, "from b");
    const fromC = await message(world, "10", "c", roomId, "from c");
    await world.ask("b", "a", "send", { transactionId: "1", pdus: [fromB] });
    const answer = await world.ask("c", "a", "send", { transactionId: "1", pdus: [fromC] });
    expect(answer).toEqual({ ok: true, value: { pdus: { [pduOf("10", fromC).eventId]: {} } } });
  });

  it("a server that the host has no dealings with is answered nothing", async () => {
    const world = new World();
    const shut = new Set<string>();
    const checkServer = (server: string): { code: string; reason: string } | undefined =>
      shut.has(server) ? { code: "blocked", reason: "no dealings" } : undefined;
    await world.add("a", { policy: { checkServer } });
    await world.add("b");
    const roomId = await world.shared("10", "a", "b");
    const pdus = [await message(world, "10", "b", roomId, "from b")];
    shut.add("b.example");
    expect(await codeOf(world.ask("b", "a", "send", { transactionId: "1", pdus }))).toBe("policy_refused");
    expect(await heard(world, "a", roomId)).toEqual([]);
    shut.clear();
    expect(await codeOf(world.ask("b", "a", "send", { transactionId: "1", pdus }))).toBe("ok");
    expect(await heard(world, "a", roomId)).toEqual(["from b"]);
  });

  it("an answer is forgotten after the time that the host set", async () => {
    const world = new World();
    await world.add("a", { limits: { transactionMemory: 1_000 } });
    await world.add("b");
    const roomId = await world.shared("10", "a", "b");
    await world.ask("b", "a", "send", { transactionId: "old", pdus: [] });
    expect(await world.node("a").storage.readTransaction("b.example", "old")).toBeDefined();
    await world.pass(1_001);
    const pdus = [await message(world, "10", "b", roomId, "new")];
    await world.ask("b", "a", "send", { transactionId: "new", pdus });
    expect(await world.node("a").storage.readTransaction("b.example", "old")).toBeUndefined();
    expect(await world.node("a").storage.readTransaction("b.example", "new")).toBeDefined();
  });
});

describe("delivering [cap:transactions]", () => {
  it("an answer that was lost leads to the same transaction again, which is not applied twice", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    world.calls.length = 0;
    world.network.block("b.example", "a.example");
    await done(world.say("a", roomId, "one"));
    await tick();
    expect(await heard(world, "b", roomId), "it arrived, and its sender does not know").toEqual(["one"]);
    // What is sent meanwhile does not change what is sent again.
    await done(world.say("a", roomId, "two"));
    await world.pass(1_000);
    expect(world.server("a").isDelivering).toBe(true);
    world.network.unblock("b.example", "a.example");
    await world.deliver();
    const sent = transactionsTo(world, "b.example");
    const [first] = sent;
    const same = sent.filter(({ transactionId }) => transactionId === first?.transactionId);
    expect(same.length).toBeGreaterThan(1);
    for (const again of same) expect(again).toEqual(first);
    expect(new Set(sent.map(({ transactionId }) => transactionId)).size).toBe(2);
    expect(await heard(world, "b", roomId)).toEqual(["one", "two"]);
    expect(await world.view("b", roomId)).toEqual(await world.view("a", roomId));
    expect(world.server("a").isDelivering).toBe(false);
  });

  it("there is one transaction under way for each destination, and other destinations do not wait", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared("10", "a", "b", "c");
    world.calls.length = 0;
    const held: (() => void)[] = [];
    let under = 0;
    let most = 0;
    world.intercept((call, proceed) => {
      if (call.name !== "send" || call.to !== "b.example") return undefined;
      most = Math.max(most, ++under);
      return new Promise((resolve) => {
        held.push(() => {
          under--;
          void proceed().then(resolve);
        });
      });
    });
    for (const text of ["one", "two", "three"]) {
      await done(world.say("a", roomId, text));
      await tick();
    }
    expect(held).toHaveLength(1);
    expect(await heard(world, "c", roomId)).toEqual(["one", "two", "three"]);
    expect(await heard(world, "b", roomId)).toEqual([]);
    while (held.length > 0) {
      held.shift()?.();
      await tick();
    }
    expect(most).toBe(1);
    expect(await heard(world, "b", roomId)).toEqual(["one", "two", "three"]);
    expect(
      transactionsTo(world, "b.example").map(({ pdus }) => pdus.length),
      "what waited goes together",
    ).toEqual([1, 2]);
  });

  it("is tried again after pauses that double, up to the longest", async () => {
    const world = new World();
    await world.add("a", { limits: { retryFirst: 1_000, retryLongest: 10_000 } });
    await world.add("b");
    const roomId = await world.shared("10", "a", "b");
    const times: number[] = [];
    const start = world.clock.now();
    world.intercept((call) => {
      if (call.name !== "send") return undefined;
      times.push(world.clock.now() - start);
      return Promise.resolve({ ok: false, error: { code: "unreachable", reason: "gone" } });
    });
    await done(world.say("a", roomId, "one"));
    await world.pass(40_000);
    expect(times).toEqual([0, 1_000, 3_000, 7_000, 15_000, 25_000, 35_000]);
    world.intercept(undefined);
    await world.deliver();
    expect(await heard(world, "b", roomId)).toEqual(["one"]);
  });

  it("is tried at once when the other side gives a sign of life", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    world.network.disconnect("b.example");
    await done(world.say("a", roomId, "one"));
    await world.pass(100_000);
    world.network.connect("b.example");
    await tick();
    expect(await heard(world, "b", roomId)).toEqual([]);
    const now = world.clock.now();
    await done(world.say("b", roomId, "here I am"));
    await tick();
    expect(world.clock.now()).toBe(now);
    expect(await heard(world, "b", roomId)).toContain("one");
    await world.deliver();
    expect(await world.view("b", roomId)).toEqual(await world.view("a", roomId));
  });

  describe("to a server that has had too many requests", () => {
    /** One event for `b`, which answers as it is told for as long as it is told, and when each attempt was made. */
    async function limited(
      answers: readonly OperationError[],
      limits: Partial<Limits> = {},
    ): Promise<{ readonly world: World; readonly roomId: string; readonly times: readonly number[] }> {
      const world = new World();
      await world.add("a", { limits: { retryFirst: 1_000, retryLongest: 60_000, ...limits } });
      await world.add("b");
      const roomId = await world.shared("10", "a", "b");
      const left = [...answers];
      const times: number[] = [];
      const start = world.clock.now();
      world.intercept((call) => {
        if (call.name !== "send" || call.to !== "b.example") return undefined;
        times.push(world.clock.now() - start);
        const error = left.shift();
        return error === undefined ? undefined : Promise.resolve({ ok: false, error });
      });
      await done(world.say("a", roomId, "one"));
      return { world, roomId, times };
    }

    const busy = (retryAfterMs?: number): OperationError => ({
      code: "limit_exceeded",
      reason: "busy",
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });

    it("is tried again no sooner than it wants, and in its own time where that is later", async () => {
      const { world, roomId, times } = await limited([busy(7_500), busy(), busy(100), busy(20_000), busy(1)]);
      await world.deliver();
      expect(times).toEqual([0, 7_500, 9_500, 13_500, 33_500, 49_500]);
      const ids = transactionsTo(world, "b.example").map(({ transactionId }) => transactionId);
      expect(new Set(ids.slice(-6)).size, "it is the same transaction each time").toBe(1);
      expect(await heard(world, "b", roomId)).toEqual(["one"]);
      expect(world.faults()).toEqual([]);
    });

    it("waits no longer than the host lets it, whatever it is told", async () => {
      const { world, roomId, times } = await limited([busy(Number.MAX_SAFE_INTEGER), busy(Infinity)], {
        retryLongest: 10_000,
      });
      await world.deliver();
      expect(times).toEqual([0, 10_000, 20_000]);
      expect(await heard(world, "b", roomId)).toEqual(["one"]);
    });

    it("takes no wait from what is no limit, or no time", async () => {
      const { world, times } = await limited([
        { code: "internal", reason: "broken", retryAfterMs: 50_000 },
        busy(Number.NaN),
        busy(-5),
      ]);
      await world.deliver();
      expect(times).toEqual([0, 1_000, 3_000, 7_000]);
    });

    it("is not asked sooner because it says something itself, and at once after that", async () => {
      const { world, roomId, times } = await limited([busy(), busy(), busy(), busy(), busy(7_500)]);
      await world.pass(16_000);
      expect(times).toEqual([0, 1_000, 3_000, 7_000, 15_000]);
      await done(world.say("b", roomId, "here I am"));
      await world.pass(6_400);
      expect(times.length).toBe(5);
      await world.pass(100);
      expect(times.at(-1), "without the sign of life it would be at 31,000").toBe(22_500);
      await world.deliver();
      expect(await heard(world, "b", roomId)).toContain("one");
    });

    it("stops waiting when the server stops", async () => {
      const { world, roomId, times } = await limited([busy(50_000)]);
      await tick();
      world.server("a").stop();
      await tick();
      expect(world.server("a").isDelivering).toBe(false);
      await world.pass(60_000);
      expect(times).toEqual([0]);
      await world.server("a").start();
      await world.deliver();
      expect(await heard(world, "b", roomId)).toEqual(["one"]);
    });
  });

  it("goes on after a restart from what is stored", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    world.cut("a", "b");
    for (const text of ["one", "two"]) await done(world.say("a", roomId, text));
    await world.pass(5_000);
    world.calls.length = 0;
    await world.restart("a");
    world.heal("a", "b");
    await world.deliver();
    expect(await heard(world, "b", roomId)).toEqual(["one", "two"]);
    expect(await world.node("a").storage.outboxDestinations()).toEqual([]);
  });

  it("a lost answer and a restart after it repeat the transaction under its id", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    world.calls.length = 0;
    world.network.block("b.example", "a.example");
    await done(world.say("a", roomId, "one"));
    await tick();
    world.network.unblock("b.example", "a.example");
    await world.restart("a");
    await world.deliver();
    const ids = transactionsTo(world, "b.example").map(({ transactionId }) => transactionId);
    expect(ids.length).toBeGreaterThan(1);
    expect(new Set(ids).size).toBe(1);
    expect(await heard(world, "b", roomId)).toEqual(["one"]);
  });

  it("stops when the server stops, and begins again when it starts again", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    const server = world.server("a");
    server.stop();
    await done(world.say("a", roomId, "while stopped"));
    await world.pass(10_000);
    expect(await heard(world, "b", roomId)).toEqual([]);
    expect(await codeOf(world.ask("b", "a", "send", { transactionId: "1", pdus: [] }))).toBe("unreachable");
    await server.start();
    await world.deliver();
    expect(await heard(world, "b", roomId)).toEqual(["while stopped"]);
  });

  it("a storage that fails once does not end it", async () => {
    const world = new World();
    const inner = createMemoryStorage();
    let failing = false;
    const storage: Storage = {
      ...inner,
      readOutbox: (...call) => {
        if (failing) throw new Error("the disk is full");
        return inner.readOutbox(...call);
      },
    };
    await world.add("a", { storage });
    await world.add("b");
    const roomId = await world.shared("10", "a", "b");
    failing = true;
    await done(world.say("a", roomId, "one"));
    await world.pass(3_000);
    expect(world.faults().length).toBeGreaterThan(0);
    failing = false;
    await world.deliver();
    expect(await heard(world, "b", roomId)).toEqual(["one"]);
  });

  it("carries at most 50 PDUs at a time, in the order of the queue", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    world.cut("a", "b");
    const texts = Array.from({ length: 120 }, (_, at) => `message ${at}`);
    for (const text of texts) await done(world.say("a", roomId, text));
    world.calls.length = 0;
    world.heal("a", "b");
    await world.deliver();
    const sizes = transactionsTo(world, "b.example").map(({ pdus }) => pdus.length);
    expect(Math.max(...sizes)).toBe(50);
    expect(await heard(world, "b", roomId)).toEqual(texts);
  });
});

describe("a queue that grows too long", () => {
  it("collapses to one row for each room, and the other side catches up from the latest events", async () => {
    const world = new World();
    await world.add("a", { limits: { outboxRows: 20 } });
    await world.add("b");
    const first = await world.shared("10", "a", "b");
    const second = await world.shared("10", "a", "b");
    world.cut("a", "b");
    for (let at = 0; at < 30; at++) await done(world.say("a", at % 2 === 0 ? first : second, `message ${at}`));
    const content = { topic: "while you were away" };
    await done(world.server("a").setState({ roomId: first, userId: alice, type: "m.room.topic", content }));
    await world.pass(200_000);
    const rows = await world.node("a").storage.readOutbox("b.example", 100);
    expect(rows.map(({ roomId, eventId }) => [roomId, eventId])).toEqual([
      [first, undefined],
      [second, undefined],
    ]);
    await done(world.say("a", first, "after the collapse"));
    world.heal("a", "b");
    world.calls.length = 0;
    await world.deliver();
    const sent = transactionsTo(world, "b.example").flatMap(({ pdus }) => pdus);
    expect(sent.length).toBeLessThan(5);
    for (const roomId of [first, second]) {
      expect(await world.view("b", roomId)).toEqual(await world.view("a", roomId));
      expect([...(await heard(world, "b", roomId))].sort()).toEqual([...(await heard(world, "a", roomId))].sort());
    }
    expect((await world.room("b", first)).control.topic).toBe("while you were away");
    expect(
      world
        .node("a")
        .observer.metrics()
        .some(({ name }) => name === "outbox.collapsed"),
    ).toBe(true);
    expect(await world.node("a").storage.outboxDestinations()).toEqual([]);
  });

  it("loses none of many ends, although one transaction does not hold them all", async () => {
    const world = new World();
    await world.add("a", { limits: { outboxRows: 3, mergeAbove: 1_000 } });
    await world.add("b", { limits: { mergeAbove: 1_000 } });
    const c = await world.add("c");
    const roomId = await world.shared("10", "a", "b", "c");
    world.cut("a", "b");
    c.server.stop();
    const room = await world.room("a", roomId);
    const pdus: JsonObject[] = [];
    for (let at = 0; at < 60; at++) pdus.push(await message(world, "10", "c", roomId, `end ${at}`));
    for (let at = 0; at < 5; at++) await done(world.say("a", roomId, `message ${at}`));
    await world.pass(100_000);
    expect(await world.node("a").storage.readOutbox("b.example", 10)).toMatchObject([{ roomId }]);
    for (const [at, part] of [pdus.slice(0, 30), pdus.slice(30)].entries()) {
      await world.ask("c", "a", "send", { transactionId: `${at}`, pdus: part });
    }
    expect(room.control.forwardExtremities).toHaveLength(61);
    world.heal("a", "b");
    world.calls.length = 0;
    await world.restart("a");
    await world.deliver();
    expect(transactionsTo(world, "b.example").map(({ pdus: sent }) => sent.length)).toEqual([50, 11]);
    expect(await world.view("b", roomId)).toEqual(await world.view("a", roomId));
  });

  it("keeps what a server that left is still to have, so that it learns of it", async () => {
    const world = new World();
    await world.add("a", { limits: { outboxRows: 20 } });
    await world.add("b");
    const roomId = await world.shared("10", "a", "b");
    const other = await world.shared("10", "a", "b");
    world.cut("a", "b");
    for (let at = 0; at < 8; at++) await done(world.say("a", roomId, `message ${at}`));
    await done(world.server("a").kick({ roomId, userId: alice, target: bob }));
    await done(world.say("a", roomId, "secret"));
    for (let at = 0; at < 20; at++) await done(world.say("a", other, `message ${at}`));
    await world.pass(200_000);
    const rows = await world.node("a").storage.readOutbox("b.example", 100);
    expect(rows.map((row) => row.roomId)).toEqual([...Array.from({ length: 9 }, () => roomId), other]);
    world.heal("a", "b");
    await world.deliver();
    expect(await world.membership("b", roomId, bob)).toBe("leave");
    expect(await heard(world, "b", roomId)).toEqual(Array.from({ length: 8 }, (_, at) => `message ${at}`));
    expect(await world.view("b", other)).toEqual(await world.view("a", other));
  });

  it("keeps the event by which a server left, and tells it nothing of what came later", async () => {
    const world = new World();
    await world.add("a", { limits: { outboxRows: 5 } });
    await world.add("b");
    const roomId = await world.shared("10", "a", "b");
    world.cut("a", "b");
    for (let at = 0; at < 8; at++) await done(world.say("a", roomId, `message ${at}`));
    await done(world.server("a").kick({ roomId, userId: alice, target: bob }));
    for (let at = 0; at < 8; at++) await done(world.say("a", roomId, `secret ${at}`));
    await world.pass(200_000);
    const rows = await world.node("a").storage.readOutbox("b.example", 100);
    const kick = (await world.room("a", roomId)).state("m.room.member", bob)?.eventId;
    expect(rows.map(({ eventId }) => eventId)).toEqual([kick]);
    world.calls.length = 0;
    world.heal("a", "b");
    await world.deliver();
    const sent = transactionsTo(world, "b.example").flatMap(({ pdus }) => pdus);
    expect(sent.map((event) => pduOf("10", event).eventId)).toEqual([kick]);
    expect(JSON.stringify(world.callsOf("send").map(({ request }) => request))).not.toContain("secret");
  });

  it("that collapsed before a server left sends it nothing of the room but its leave", async () => {
    const world = new World();
    await world.add("a", { limits: { outboxRows: 5 } });
    await world.add("b");
    const roomId = await world.shared("10", "a", "b");
    world.cut("a", "b");
    for (let at = 0; at < 8; at++) await done(world.say("a", roomId, `message ${at}`));
    await world.pass(200_000);
    expect(await world.node("a").storage.readOutbox("b.example", 100)).toHaveLength(1);
    await done(world.server("a").kick({ roomId, userId: alice, target: bob }));
    await done(world.say("a", roomId, "secret"));
    world.calls.length = 0;
    world.heal("a", "b");
    await world.deliver();
    const kick = (await world.room("a", roomId)).state("m.room.member", bob)?.eventId;
    const sent = transactionsTo(world, "b.example").flatMap(({ pdus }) => pdus);
    expect(pduOf("10", sent.at(-1) ?? null).eventId).toBe(kick);
    expect(JSON.stringify(world.callsOf("send").map(({ request }) => request))).not.toContain("secret");
  });
});

describe("to whom events go", () => {
  it.each(VERSIONS)("to every server with a joined user, and to no other [cap:fan-out v:%s]", async (version) => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(version, "a", "b");
    await done(world.server("a").invite({ roomId, userId: alice, target: carol }));
    world.calls.length = 0;
    await done(world.say("a", roomId, "hello"));
    await world.deliver();
    const destinations = (calls: readonly Call[]): readonly string[] => [...new Set(calls.map(({ to }) => to))].sort();
    expect(destinations(world.callsOf("send"))).toEqual(["b.example"]);
    await done(world.server("c").join({ roomId, userId: carol }));
    await world.deliver();
    world.calls.length = 0;
    await done(world.say("b", roomId, "hello all"));
    await world.deliver();
    expect(destinations(world.callsOf("send"))).toEqual(["a.example", "c.example"]);
    expect(
      world.callsOf("send").every(({ from }) => from === "b.example"),
      "nobody passes it on",
    ).toBe(true);
  });

  it.each(VERSIONS)("who leaves sends that to all, and gets nothing after it [cap:fan-out v:%s]", async (version) => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(version, "a", "b", "c");
    world.calls.length = 0;
    await done(world.server("b").leave({ roomId, userId: bob }));
    await world.deliver();
    const leave = world.callsOf("send").filter(({ from }) => from === "b.example");
    expect(leave.map(({ to }) => to).sort()).toEqual(["a.example", "c.example"]);
    for (const name of ["a", "c"]) expect(await world.membership(name, roomId, bob)).toBe("leave");
    world.calls.length = 0;
    await done(world.say("a", roomId, "without b"));
    await world.deliver();
    expect(world.callsOf("send").map(({ to }) => to)).toEqual(["c.example"]);
  });

  it("who is removed is told so, and gets nothing after it", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared("10", "a", "b", "c");
    await done(world.server("a").ban({ roomId, userId: alice, target: bob }));
    await world.deliver();
    expect(await world.membership("b", roomId, bob)).toBe("ban");
    world.calls.length = 0;
    await done(world.say("a", roomId, "without b"));
    await done(world.say("c", roomId, "without b"));
    await world.deliver();
    expect(
      world
        .callsOf("send")
        .map(({ to }) => to)
        .sort(),
    ).toEqual(["a.example", "c.example"]);
  });
});

describe("two processes over one storage", () => {
  /** A second process of `a`: it sends and does not listen. */
  async function twins(): Promise<{ world: World; roomId: string; other: ReturnType<World["build"]> }> {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    const { storage } = world.node("a");
    const other = world.build("a", { storage, random: createSeededRandom("another process") });
    return { world, roomId, other };
  }

  it("do not both send what one of them is sending", async () => {
    const { world, roomId, other } = await twins();
    world.calls.length = 0;
    const held: (() => void)[] = [];
    world.intercept((call, proceed) => {
      if (call.name !== "send") return undefined;
      return new Promise((resolve) => {
        held.push(() => void proceed().then(resolve));
      });
    });
    await done(world.say("a", roomId, "one"));
    await tick();
    const said = other.server.send({ roomId, userId: alice, type: "m.room.message", content: { body: "two" } });
    await done(said);
    await world.pass(30_000);
    expect(held).toHaveLength(1);
    world.intercept(undefined);
    held[0]?.();
    await world.pass(2_000);
    expect([...(await heard(world, "b", roomId))].sort()).toEqual(["one", "two"]);
    const ids = transactionsTo(world, "b.example").flatMap(({ pdus }) => pdus.map((pdu) => pduOf("10", pdu).eventId));
    expect(new Set(ids).size).toBe(ids.length);
    expect(other.server.isDelivering || world.server("a").isDelivering).toBe(false);
  });

  it("take turns at once when neither is sending", async () => {
    const { world, roomId, other } = await twins();
    const now = world.clock.now();
    for (const [text, server] of [
      ["one", world.server("a")],
      ["two", other.server],
      ["three", world.server("a")],
    ] as const) {
      await done(server.send({ roomId, userId: alice, type: "m.room.message", content: { body: text } }));
      await tick();
    }
    expect(world.clock.now()).toBe(now);
    expect(await heard(world, "b", roomId)).toEqual(["one", "two", "three"]);
  });

  it("one takes over when the other is gone for as long as its lease", async () => {
    const { world, roomId, other } = await twins();
    world.intercept((call) => (call.name === "send" ? new Promise<never>(() => undefined) : undefined));
    await done(world.say("a", roomId, "one"));
    await tick();
    // The first process dies: it never comes back from its request.
    world.intercept((call, proceed) => (call.name === "send" ? proceed() : undefined));
    await other.server.start();
    await world.pass(125_000);
    expect(await heard(world, "b", roomId)).toEqual(["one"]);
    expect(await world.node("a").storage.outboxDestinations()).toEqual([]);
  });

  it("one that was killed goes on at once under the name that it had", async () => {
    const world = new World();
    const named = { ports: (ports: HostOptions) => ({ ...ports, instance: "the first process" }) };
    await world.add("a", named);
    await world.add("b");
    const roomId = await world.shared("10", "a", "b");
    world.intercept((call) => (call.name === "send" ? new Promise<never>(() => undefined) : undefined));
    await done(world.say("a", roomId, "one"));
    await tick();
    world.intercept((call, proceed) => (call.name === "send" ? proceed() : undefined));
    const { storage } = world.node("a");
    const again = world.build("a", { storage, random: createSeededRandom("after the crash"), ...named });
    const now = world.clock.now();
    await again.server.start();
    await tick();
    expect(world.clock.now()).toBe(now);
    expect(await heard(world, "b", roomId)).toEqual(["one"]);
    expect(await storage.outboxDestinations()).toEqual([]);
  });
});
