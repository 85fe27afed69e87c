import { applyPatches, enablePatches } from "immer";
import type { Patch as ImmerPatch } from "immer";
import { describe, expect, it } from "vitest";
import { createMemoryStorage, createRecordingObserver } from "../../src/adapters/memory/index.js";
import { CancelledError, Canceller } from "../../src/engine/index.js";
import type { Control, Room, RoomUpdate } from "../../src/engine/index.js";
import type { Awaitable, Batch, CommitResult, StateChange, Storage } from "../../src/ports/index.js";
import { crashable, crashAtCommit } from "../../src/testing/simulation/index.js";
import {
  factsOf,
  HERE,
  roomOf,
  seeded,
  short,
  shuffled,
  Story,
  tampered,
  testServer,
  visible,
} from "../support/engine.js";
import type { ServerOptions } from "../support/engine.js";

const ALICE = "@alice:a.example";
const BOB = "@bob:b.example";
const CAROL = "@carol:c.example";
const ME = `@me:${HERE}`;
const PEER = "peer.example";

enablePatches();

/** A storage that keeps what it was given to commit. */
function recording(storage: Storage = createMemoryStorage()): { readonly storage: Storage; readonly batches: Batch[] } {
  const batches: Batch[] = [];
  const commit = async (batch: Batch): Promise<CommitResult> => {
    const result = await storage.commit(batch);
    if (result.committed) batches.push(batch);
    return result;
  };
  return { storage: { ...storage, commit }, batches };
}

/** Alice's room, with Bob, who may set names, Carol, and a user of this server who may too. */
function story(v = "10"): Story {
  return new Story(v)
    .open({ users: { [ALICE]: 100, [BOB]: 50, [ME]: 50 } })
    .member("bob", BOB, "join")
    .member("carol", CAROL, "join")
    .member("me", ME, "join");
}

/** A room in which everything happens that storage has to keep: forks, redactions, all verdicts, gaps in time. */
function eventful(v = "10"): Story {
  const told = story(v)
    .state("one", "m.room.name", BOB, { name: "one" })
    .say("spoken", CAROL)
    .state("two", "m.room.name", ALICE, { name: "two" }, { prev: ["one"] });
  return told
    .tell("unsay", { type: "m.room.redaction", sender: ALICE, redacts: told.id("spoken") }, { prev: ["spoken", "two"] })
    .state("no", "m.room.topic", CAROL, { topic: "not hers to set" })
    .member("ban", CAROL, "ban", { by: ALICE, prev: ["unsay"] })
    .say("evade", CAROL, { prev: ["unsay"] })
    .tell("unname", { type: "m.room.redaction", sender: BOB, redacts: told.id("one") }, { prev: ["ban"] })
    .say("end", BOB, { prev: ["unname", "evade"] });
}

async function serve(told: Story, options: ServerOptions = {}): Promise<Room> {
  return roomOf(testServer({ ring: told.ring, ...options }), told);
}

function plainPatches({ patches }: RoomUpdate): ImmerPatch[] {
  return patches.map(({ op, path, value }) => ({ op, path: [...path], value }));
}

async function receiveAll(room: Room, told: Story, names: readonly string[]): Promise<void> {
  for (const name of names) await room.receive([told.json(name)], { origin: PEER });
}

describe("restarts", () => {
  for (const v of ["1", "10", "12"]) {
    it(`a room of version ${v} opened anew after each commit is what it was, in causal order and in none`, async () => {
      const told = eventful(v);
      const ids = told.names.map((name) => told.id(name));
      for (const order of [told.names, shuffled(told.names, seeded(3)), shuffled(told.names, seeded(8))]) {
        const storage = createMemoryStorage();
        const room = await serve(told, { storage });
        for (const name of order) {
          await room.receive([told.json(name)], { origin: PEER });
          expect(await visible(await serve(told, { storage }), ids), `after ${name}`).toEqual(await visible(room, ids));
        }
        const all = await room.receive(told.jsons(), { origin: PEER });
        expect(all.every(({ duplicate }) => duplicate)).toBe(true);
        expect(room.control.name).toBe("two");
      }
    });

    it(`a room of version ${v} read from storage for each event comes to the same`, async () => {
      const told = eventful(v);
      const ids = told.names.map((name) => told.id(name));
      const whole = await serve(told);
      await receiveAll(whole, told, told.names);
      for (const order of [told.names, shuffled(told.names, seeded(5))]) {
        const storage = createMemoryStorage();
        for (const name of order) await (await serve(told, { storage })).receive([told.json(name)], { origin: PEER });
        const facts = await factsOf(await serve(told, { storage }), ids);
        expect(facts).toEqual(await factsOf(whole, ids));
      }
    });

    it(`a room of version ${v} with next to nothing in memory comes to the same`, async () => {
      const told = eventful(v);
      const ids = told.names.map((name) => told.id(name));
      const whole = await serve(told);
      await receiveAll(whole, told, told.names);
      const limits = { cachedEvents: 1, cachedStates: 1, cachedResolutions: 1 };
      for (const order of [told.names, shuffled(told.names, seeded(5)), shuffled(told.names, seeded(6))]) {
        const small = await serve(told, { limits });
        await receiveAll(small, told, order);
        expect(await factsOf(small, ids)).toEqual(await factsOf(whole, ids));
        const { events } = await small.timeline({ limit: 1000 });
        expect(events.length).toBe((await whole.timeline({ limit: 1000 })).events.length);
      }
    });
  }

  it("what was sent is sent on after a restart, from the same ends", async () => {
    const told = story();
    const storage = createMemoryStorage();
    await (await serve(told, { storage })).receive(told.jsons(), { origin: PEER });
    for (let at = 0; at < 5; at++) {
      const room = await serve(told, { storage });
      const ends = room.control.forwardExtremities;
      const sent = await room.emit([{ type: "m.room.name", stateKey: "", sender: ME, content: { name: String(at) } }]);
      if (!sent.ok) throw new Error(sent.error.reason);
      expect(sent.value[0]?.prevEvents).toEqual(ends);
    }
    expect((await serve(told, { storage })).control.name).toBe("4");
    const rows = await storage.readOutbox("a.example", 100);
    expect(rows).toHaveLength(5);
  });

  it("a process that dies at any commit leaves all of it or nothing, and the next goes on", async () => {
    const told = eventful();
    const ids = told.names.map((name) => told.id(name));
    const whole = await serve(told);
    await receiveAll(whole, told, told.names);
    const facts = await factsOf(whole, ids);
    for (let commit = 1; commit <= told.names.length; commit++) {
      for (const when of ["before", "after"] as const) {
        const disk = crashable(createMemoryStorage(), crashAtCommit(commit, when));
        const first = await serve(told, { storage: disk.generation.storage });
        // The call never comes back once the process is dead.
        void receiveAll(first, told, told.names);
        await new Promise((resolve) => setTimeout(resolve, 0));
        while (disk.generation.lifeline.alive && disk.commits < commit)
          await new Promise((resolve) => setTimeout(resolve, 0));
        expect(disk.crashes).toBe(1);
        disk.plan(undefined);
        const second = await serve(told, { storage: disk.restart().storage });
        expect(second.control.revision).toBe(when === "before" ? commit - 1 : commit);
        await receiveAll(second, told, told.names);
        expect(await factsOf(second, ids)).toEqual(facts);
        disk.assertMonotonicRevisions();
      }
    }
  });
});

describe("two processes over one storage", () => {
  it("a lost race is decided again, and nothing is lost", async () => {
    const told = eventful();
    const ids = told.names.map((name) => told.id(name));
    const whole = await serve(told);
    await receiveAll(whole, told, told.names);
    const facts = await factsOf(whole, ids);
    for (let seed = 1; seed <= 5; seed++) {
      const storage = createMemoryStorage();
      const observer = createRecordingObserver();
      await (await serve(told, { storage })).receive([told.json("create")], { origin: PEER });
      const [left, right] = [await serve(told, { storage, observer }), await serve(told, { storage, observer })];
      const orders = [shuffled(told.names, seeded(seed)), shuffled(told.names, seeded(seed + 100))];
      await Promise.all([receiveAll(left, told, orders[0] ?? []), receiveAll(right, told, orders[1] ?? [])]);
      expect(observer.metrics().some(({ name }) => name === "room.commit.conflict")).toBe(true);
      for (const room of [left, right]) {
        await room.refresh();
        expect(await factsOf(room, ids), `seed ${seed}`).toEqual(facts);
        expect(room.pending).toEqual([]);
      }
      expect(await factsOf(await serve(told, { storage }), ids)).toEqual(facts);
    }
  });

  it("both send, each event follows what was there, and positions are never used twice", async () => {
    const told = story();
    const storage = createMemoryStorage();
    await (await serve(told, { storage })).receive(told.jsons(), { origin: PEER });
    const rooms = [await serve(told, { storage }), await serve(told, { storage })];
    const sends = Array.from({ length: 20 }, (_, at) =>
      rooms[at % 2]?.emit([{ type: "x", sender: ME, content: { at } }]),
    );
    const sent = await Promise.all(sends.flatMap((send) => send ?? []));
    for (const one of sent) expect(one.ok).toBe(true);
    const { events } = await (await serve(told, { storage })).timeline({ from: told.names.length + 1 });
    expect(events.map(({ position }) => position)).toEqual(Array.from({ length: 20 }, (_, at) => 8 + at));
    const last = (await serve(told, { storage })).control.forwardExtremities;
    expect(last).toHaveLength(1);
    // One line: each cites the one before.
    const parents = events.map(({ original }) => (original["prev_events"] as string[])[0]);
    expect(new Set(parents).size).toBe(20);
  });

  it("who lost a race tells its subscribers what the other wrote", async () => {
    const told = story();
    const storage = createMemoryStorage();
    await (await serve(told, { storage })).receive(told.jsons(), { origin: PEER });
    const [left, right] = [await serve(told, { storage }), await serve(told, { storage })];
    await left.open();
    const updates: RoomUpdate[] = [];
    left.subscribe((update) => updates.push(update));
    const other = await right.emit([{ type: "m.room.name", stateKey: "", sender: ME, content: { name: "theirs" } }]);
    const own = await left.emit([{ type: "m.room.topic", stateKey: "", sender: ME, content: { topic: "ours" } }]);
    if (!other.ok || !own.ok) throw new Error("both are allowed");
    expect(left.control).toMatchObject({ name: "theirs", topic: "ours" });
    expect(updates.flatMap(({ events }) => events)).toEqual(
      [...other.value, ...own.value].map(({ eventId }) => eventId),
    );
    expect(updates.flatMap(({ changes }) => changes).flatMap(({ differences }) => differences)).toMatchObject([
      { type: "m.room.name", after: other.value[0]?.eventId },
      { type: "m.room.topic", after: own.value[0]?.eventId },
    ]);
  });

  it("who lost a race tells of forks and of what it had waiting for, with their causes", async () => {
    const told = story().say("lost", BOB).state("late", "m.room.topic", ALICE, { topic: "late" });
    told.state("one", "m.room.name", BOB, { name: "one" }, { prev: ["me"] });
    told.state("demote", "m.room.power_levels", ALICE, { users: { [ALICE]: 100, [ME]: 50 } }, { prev: ["me"] });
    const storage = createMemoryStorage();
    await (await serve(told, { storage })).receive(told.jsons(...told.names.slice(0, 7)), { origin: PEER });
    const [left, right] = [await serve(told, { storage }), await serve(told, { storage })];
    await left.receive(told.jsons("late"), { origin: PEER });
    const changes: StateChange[] = [];
    left.subscribe((update) => changes.push(...update.changes));
    for (const name of ["one", "demote", "lost"]) await right.receive([told.json(name)], { origin: PEER });
    await left.refresh();
    expect(changes.map(({ cause }) => [cause.cause, ...cause.events.map((id) => told.nameOf(id))])).toEqual([
      ["advance", "one"],
      ["rollback", "demote"],
      ["late-decision", "late"],
    ]);
    expect([...left.current.ids()].sort()).toEqual([...right.current.ids()].sort());
  });

  it("a commit of which nobody knows whether it was done is told of when it turns out that it was", async () => {
    const told = story();
    const memory = createMemoryStorage();
    let broken = false;
    const storage: Storage = {
      ...memory,
      commit: async (batch) => {
        const result = await memory.commit(batch);
        if (broken) throw new Error("the line was cut");
        return result;
      },
    };
    const room = await serve(told, { storage });
    await room.receive(told.jsons(), { origin: PEER });
    let control: Control = room.control;
    const events: string[] = [];
    room.subscribe((update) => {
      const { state: _, ...patched } = applyPatches(control, plainPatches(update));
      const { state: __, ...expected } = update.control;
      expect(patched).toEqual(expected);
      control = update.control;
      events.push(...update.events);
    });
    told.state("name", "m.room.name", ALICE, { name: "named" }).state("gone", "m.room.name", ALICE, {});
    broken = true;
    await expect(room.receive([told.json("name")], { origin: PEER })).rejects.toThrow("the line was cut");
    broken = false;
    const [receipt] = await room.receive([told.json("name")], { origin: PEER });
    expect(receipt).toMatchObject({ duplicate: true, verdict: { verdict: "accepted" } });
    expect(control.name).toBe("named");
    broken = true;
    await expect(room.receive([told.json("gone")], { origin: PEER })).rejects.toThrow("the line was cut");
    broken = false;
    await room.open();
    expect(control.name).toBeUndefined();
    expect(events).toEqual([told.id("name"), told.id("gone")]);
  });

  it("gives up with what to do about it when others win every time", async () => {
    const told = story();
    const memory = createMemoryStorage();
    await (await serve(told, { storage: memory })).receive(told.jsons(), { origin: PEER });
    const busy: Storage = { ...memory, commit: (): Awaitable<CommitResult> => ({ committed: false, revision: 1 }) };
    const room = await serve(told, { storage: busy, limits: { commitAttempts: 3 } });
    told.say("more", ALICE);
    await expect(room.receive([told.json("more")], { origin: PEER })).rejects.toThrow(/route the room to one/);
    const sent = await room.emit([{ type: "x", sender: ME, content: {} }]);
    expect(sent).toMatchObject({ ok: false, error: { code: "undecided" } });
  });
});

describe("an event of a state that was given, rejected once its history is known", () => {
  it("[cap:rejection v:10] is no authority: in this process, in the next, and with nothing in memory", async () => {
    const told = new Story("10")
      .open({ users: { [ALICE]: 100, [CAROL]: 50 } })
      .member("carol", CAROL, "join")
      .member("ban", CAROL, "ban", { by: ALICE });
    const rules = { type: "m.room.join_rules", stateKey: "", sender: CAROL, content: { join_rule: "public" } };
    told.tell("hers", rules, { auth: ["create", "levels", "carol"] });
    told.member("me", ME, "join", { auth: ["create", "levels", "hers"] });
    told.member("dora", "@dora:d.example", "join", { auth: ["create", "levels", "hers"] });
    told.member("eve", "@eve:e.example", "join", { auth: ["create", "levels", "hers"], prev: ["me"] });
    told.member("fay", "@fay:f.example", "join", { auth: ["hers", "levels", "create"], prev: ["me"] });
    told.member("gus", "@gus:g.example", "join", { auth: ["hers", "levels", "create"], prev: ["me"] });
    const storage = createMemoryStorage();
    const room = await serve(told, { storage });
    const joined = await room.importJoin({
      event: told.json("me"),
      state: told.jsons("create", "join", "levels", "hers", "ban"),
      authChain: told.jsons("create", "join", "levels", "rules", "carol", "hers"),
      origin: PEER,
    });
    expect(joined.ok).toBe(true);
    expect((await room.verdict(told.id("hers")))?.verdict).toBe("accepted");
    expect((await room.receive(told.jsons("dora"), { origin: PEER })).map(short)).toEqual(["accepted"]);
    await room.receive(told.jsons("create", "join", "levels", "rules", "carol", "ban", "hers"), {
      origin: PEER,
      mode: "history",
    });
    expect((await room.verdict(told.id("hers")))?.verdict).toBe("rejected-by-state");
    const limits = { cachedEvents: 1, cachedStates: 1 };
    const rooms = [room, await serve(told, { storage }), await serve(told, { storage, limits })];
    for (const [at, one] of rooms.entries()) {
      await one.refresh();
      const [receipt] = await one.receive([told.json(["eve", "fay", "gus"][at] ?? "")], { origin: PEER });
      expect(receipt && short(receipt), `room ${at}`).toBe("rejected-by-auth-events: v10 rule 2.3");
    }
  });
});

describe("what storage is given", () => {
  it("[cap:state-before-after v:10] a state is as many links from a whole one as the digits of its place", async () => {
    const told = story();
    for (let at = 0; at < 200; at++)
      told.state(`name${at}`, "m.room.name", at % 2 === 0 ? BOB : ALICE, { name: String(at) });
    const { storage } = recording();
    await (await serve(told, { storage })).receive(told.jsons(), { origin: PEER });
    const opened = await storage.openRoom(told.roomId);
    const last = opened?.record.lastGroup ?? 0;
    expect(last).toBeGreaterThanOrEqual(200);
    for (let group = 1; group <= last; group++) {
      const chain = await storage.readStateGroups(told.roomId, [group]);
      const { place = 0 } = chain.find((row) => row.group === group) ?? {};
      const digits = [...place.toString(16)].map((digit) => parseInt(digit, 16));
      expect(chain.length).toBe(1 + digits.reduce((sum, digit) => sum + digit, 0));
    }
  });

  it("[cap:state-before-after v:10] an event costs as many rows among 5,000 members", async () => {
    const members = 5_000;
    const { storage, batches } = recording();
    const server = testServer({ storage });
    const made = await server.rooms.create({ version: "10", creator: ME, preset: "public" });
    if (!made.ok) throw new Error(made.error.reason);
    const room = made.value;
    const drafts = Array.from({ length: members }, (_, at) => {
      const user = `@user${at}:${HERE}`;
      return { type: "m.room.member", stateKey: user, sender: user, content: { membership: "join" } };
    });
    for (let at = 0; at < members; at += 250) {
      const sent = await room.emit(drafts.slice(at, at + 250));
      expect(sent.ok).toBe(true);
    }
    expect(room.control.counts.join).toBe(members + 1);
    const rows = (list: readonly Batch[]): number =>
      list.reduce(
        (sum, { groups, events }) => sum + events.length + groups.reduce((all, { delta }) => all + delta.length, 0),
        0,
      );
    // Once for each digit of 5,000 in base 16, and the event itself.
    expect(rows(batches) / members).toBeLessThan(5);
    const before = batches.length;
    for (let at = 0; at < 64; at++) {
      const sent = await room.emit([
        { type: "m.room.topic", stateKey: "", sender: ME, content: { topic: String(at) } },
      ]);
      expect(sent.ok).toBe(true);
    }
    for (let at = 0; at < 64; at++) await room.emit([{ type: "x", sender: ME, content: { at } }]);
    const [topics, messages] = [batches.slice(before, before + 64), batches.slice(before + 64)];
    expect(rows(topics) / 64).toBeLessThan(5);
    // A message changes no state, so that nothing but itself is written.
    expect(rows(messages)).toBe(64);
    expect(messages.every(({ groups }) => groups.length === 0)).toBe(true);
    const again = await roomOf(testServer({ storage }), room);
    expect(again.current.size).toBe(room.current.size);
    expect(again.control.topic).toBe("63");
  });

  it("one commit for one call, with the outbox in it, and none where nothing is new", async () => {
    const told = story();
    const { storage, batches } = recording();
    const room = await serve(told, { storage });
    await room.receive(told.jsons(), { origin: PEER });
    expect(batches).toHaveLength(1);
    await room.receive(told.jsons(), { origin: PEER });
    expect(batches).toHaveLength(1);
    await room.emit([
      { type: "x", sender: ME, content: {} },
      { type: "y", sender: ME, content: {} },
    ]);
    expect(batches).toHaveLength(2);
    expect(batches[1]?.outbox.map(({ destination }) => destination)).toEqual([
      ...["a.example", "a.example", "b.example", "b.example", "c.example", "c.example"],
    ]);
  });
});

describe("what storage is asked", () => {
  it("once whether it has a message, and nothing about what the message cites", async () => {
    const told = story();
    const asked: (readonly string[])[] = [];
    const plain = createMemoryStorage();
    const readEvents: Storage["readEvents"] = (roomId, ids, cancel) => {
      asked.push(ids);
      return plain.readEvents(roomId, ids, cancel);
    };
    const room = await serve(told, { storage: { ...plain, readEvents } });
    await room.receive(told.jsons(), { origin: PEER });
    told.say("alone", ALICE);
    asked.length = 0;
    const [receipt] = await room.receive([told.json("alone")], { origin: PEER });
    expect(receipt).toMatchObject({ verdict: { verdict: "accepted" }, duplicate: false });
    expect(asked).toEqual([[told.id("alone")]]);
  });

  it("about what another process wrote between that and the decision: it is a duplicate then", async () => {
    const told = story();
    const plain = createMemoryStorage();
    const left = await serve(told, { storage: plain });
    await left.receive(told.jsons(), { origin: PEER });
    told.say("twice", ALICE);
    const storage: Storage = {
      ...plain,
      readEvents: async (roomId, ids, cancel) => {
        const rows = await plain.readEvents(roomId, ids, cancel);
        if (ids.includes(told.id("twice"))) await left.receive([told.json("twice")], { origin: PEER });
        return rows;
      },
    };
    const late = await serve(told, { storage });
    const [receipt] = await late.receive([told.json("twice")], { origin: PEER });
    expect(receipt).toMatchObject({ verdict: { verdict: "accepted" }, duplicate: true });
    expect(await factsOf(late, [told.id("twice")])).toEqual(await factsOf(left, [told.id("twice")]));
  });
});

describe("what changes nothing", () => {
  const message = { type: "x", sender: ME, content: {} };

  it("a call that is cancelled while it reads or verifies, before its commit", async () => {
    const told = eventful();
    const ids = told.names.map((name) => told.id(name));
    const memory = createMemoryStorage();
    await (await serve(told, { storage: memory })).receive(told.jsons(...told.names.slice(0, 7)), { origin: PEER });
    let cancelled = 0;
    for (let step = 0; step < 8; step++) {
      const canceller = new Canceller();
      let left = Infinity;
      const storage: Storage = {
        ...memory,
        readEvents: (...request) => {
          if (left-- === 0) canceller.cancel();
          return memory.readEvents(...request);
        },
      };
      const room = await serve(told, { storage, limits: { cachedEvents: 1 } });
      const before = await visible(room, ids);
      left = step;
      const call = room.receive(told.jsons("one", "spoken"), { origin: PEER, cancel: canceller });
      const outcome = await call.then(
        () => "done",
        (error: unknown) => error,
      );
      left = Infinity;
      if (!canceller.aborted) break;
      cancelled++;
      expect(outcome).toBeInstanceOf(CancelledError);
      expect(await visible(await serve(told, { storage: memory }), ids)).toEqual(before);
      // The same room goes on as if nothing had been.
      expect((await room.receive([told.json("end")], { origin: PEER })).map(short)).toEqual(["pending"]);
      expect(room.current.size).toBe(7);
      // Undone for the next round: what waits is all that was added.
      const opened = await memory.openRoom(told.roomId);
      expect(opened?.pending.map(({ eventId }) => eventId)).toEqual([told.id("end")]);
    }
    expect(cancelled).toBeGreaterThan(1);
  });

  it("a call that was cancelled before it began", async () => {
    const told = story();
    const { storage, batches } = recording();
    const room = await serve(told, { storage });
    await room.receive(told.jsons(), { origin: PEER });
    const canceller = new Canceller();
    canceller.cancel();
    told.say("more", ALICE);
    await expect(room.receive([told.json("more")], { origin: PEER, cancel: canceller })).rejects.toBeInstanceOf(
      CancelledError,
    );
    await expect(room.emit([message], { cancel: canceller })).rejects.toBeInstanceOf(CancelledError);
    expect(batches).toHaveLength(1);
    expect(await room.verdict(told.id("more"))).toBeUndefined();
    expect((await room.receive([told.json("more")], { origin: PEER })).map(short)).toEqual(["accepted"]);
    expect((await room.emit([message])).ok).toBe(true);
    expect(room.control.forwardExtremities).toHaveLength(1);
  });

  it("an own event that is refused, and those before it in the same call", async () => {
    const told = story();
    const { storage, batches } = recording();
    const room = await serve(told, { storage });
    await room.receive(told.jsons(), { origin: PEER });
    const before = await visible(room, []);
    const sent = await room.emit([
      { type: "m.room.name", stateKey: "", sender: ME, content: { name: "mine" } },
      { type: "m.room.power_levels", stateKey: "", sender: ME, content: { users: { [ME]: 100 } } },
    ]);
    expect(sent).toMatchObject({ ok: false, error: { code: "auth_rejected" } });
    expect(batches).toHaveLength(1);
    expect(await visible(room, [])).toEqual(before);
    expect(await visible(await serve(told, { storage }), [])).toEqual(before);
  });

  it("an event that is refused to its face is not known as authority either", async () => {
    const told = story().member("ban", CAROL, "ban", { by: ALICE });
    const { storage } = recording();
    const room = await serve(told, { storage });
    await room.receive(told.jsons(), { origin: PEER });
    // Allowed where it stands, and not wanted now.
    const name = told.write(
      { type: "m.room.member", stateKey: CAROL, sender: CAROL, content: { membership: "join" } },
      { prev: ["me"] },
    );
    const adopted = await room.adopt(name.json, { origin: "c.example" });
    expect(adopted.ok).toBe(false);
    expect(await room.event(name.eventId)).toBeUndefined();
    const citing = told.write({ type: "x", sender: CAROL }, { prev: ["me"] });
    const json = told.sealed(
      { ...citing.json, auth_events: [told.id("create"), told.id("levels"), name.eventId], signatures: {}, hashes: {} },
      "c.example",
    );
    for (const one of [room, await serve(told, { storage })]) {
      const [receipt] = await one.receive([json], { origin: "c.example" });
      expect(receipt?.verdict).toMatchObject({ verdict: "pending", waitsFor: [name.eventId] });
    }
  });

  it("a storage that fails at the commit: the call fails, and comes through when it is made again", async () => {
    const told = story();
    const memory = createMemoryStorage();
    let failing = false;
    const storage: Storage = {
      ...memory,
      commit: (batch) => {
        if (failing) throw new Error("the disk is full");
        return memory.commit(batch);
      },
    };
    const room = await serve(told, { storage });
    await room.receive(told.jsons(), { origin: PEER });
    const before = await visible(room, []);
    told.state("name", "m.room.name", ALICE, { name: "named" });
    failing = true;
    await expect(room.receive([told.json("name")], { origin: PEER })).rejects.toThrow("the disk is full");
    await expect(room.emit([message])).rejects.toThrow("the disk is full");
    failing = false;
    expect(await visible(await serve(told, { storage: memory }), [])).toEqual(before);
    expect((await room.receive([told.json("name")], { origin: PEER })).map(short)).toEqual(["accepted"]);
    expect(room.control.name).toBe("named");
  });

  it("an observer and a subscriber that throw", async () => {
    const told = eventful();
    const ids = told.names.map((name) => told.id(name));
    const quiet = await serve(told);
    await receiveAll(quiet, told, told.names);
    const faults: string[] = [];
    const fail = (): never => {
      throw new Error("an observer's own fault");
    };
    const observer = {
      onReceipt: fail,
      onStateChange: fail,
      onMetric: fail,
      onFault: ({ where }: { readonly where: string }) => void faults.push(where),
    };
    const room = await serve(told, { observer });
    room.subscribe(fail);
    await receiveAll(room, told, told.names);
    expect(await visible(room, ids)).toEqual(await visible(quiet, ids));
    expect(new Set(faults)).toEqual(
      new Set(["observer onReceipt", "observer onStateChange", "observer onMetric", `subscriber of ${told.roomId}`]),
    );
  });

  it("not even where what is told of faults throws as well", async () => {
    const told = story();
    const fail = (): never => {
      throw new Error("nothing works");
    };
    const observer = { onReceipt: fail, onStateChange: fail, onMetric: fail, onFault: fail };
    const room = await serve(told, { observer });
    room.subscribe(fail);
    expect((await room.receive(told.jsons(), { origin: PEER })).map(short)).toEqual(told.names.map(() => "accepted"));
    expect((await room.emit([message])).ok).toBe(true);
  });
});

describe("redactions", () => {
  for (const v of ["1", "2", "3", "10", "11", "12"]) {
    it(`[cap:redaction-apply v:${v}] take effect in either order, over restarts`, async () => {
      const told = story(v).say("spoken", CAROL);
      told.tell("unsay", { type: "m.room.redaction", sender: ALICE, redacts: told.id("spoken") }, { prev: ["me"] });
      for (const order of [
        ["spoken", "unsay"],
        ["unsay", "spoken"],
      ]) {
        const storage = createMemoryStorage();
        await (await serve(told, { storage })).receive(told.jsons(...told.names.slice(0, 7)), { origin: PEER });
        for (const name of order) {
          const [receipt] = await (await serve(told, { storage })).receive([told.json(name)], { origin: PEER });
          expect(receipt && short(receipt)).toBe("accepted");
        }
        const room = await serve(told, { storage });
        const view = await room.event(told.id("spoken"));
        expect(view?.redactedBy).toBe(told.id("unsay"));
        expect(view?.shown["content"]).toEqual({});
        expect(view?.original).toEqual(told.json("spoken"));
        const [shown] = (await room.timeline({ from: view?.position ?? 0, limit: 1 })).events;
        expect(shown?.shown["content"]).toEqual({});
      }
    });
  }

  it("[cap:redaction-apply v:10] by who may not are events without effect", async () => {
    const told = story().say("spoken", ALICE);
    told.tell("unsay", { type: "m.room.redaction", sender: CAROL, redacts: told.id("spoken") });
    const room = await serve(told);
    expect((await room.receive(told.jsons(), { origin: PEER })).map(short)).toEqual(told.names.map(() => "accepted"));
    expect(await room.event(told.id("spoken"))).toMatchObject({ redactedBy: undefined, shown: told.json("spoken") });
    expect((await room.timeline()).events.map(({ eventId }) => eventId)).toContain(told.id("unsay"));
  });

  it("[cap:redaction-apply v:10] of own events of one's server are allowed, of a state event too", async () => {
    const told = story().state("name", "m.room.name", BOB, { name: "named" });
    told.tell("unname", { type: "m.room.redaction", sender: BOB, redacts: told.id("name") });
    const room = await serve(told);
    await room.receive(told.jsons(), { origin: PEER });
    expect((await room.event(told.id("name")))?.shown["content"]).toEqual({});
    // What judges is the event as it was accepted.
    expect(room.state("m.room.name")?.eventId).toBe(told.id("name"));
  });

  it("[cap:redaction-apply v:10] [cap:hash-mismatch v:10] stay in force when a full copy comes", async () => {
    const told = story().say("spoken", CAROL);
    told.tell("unsay", { type: "m.room.redaction", sender: ALICE, redacts: told.id("spoken") });
    const room = await serve(told);
    await room.receive(told.jsons(...told.names.slice(0, 7)), { origin: PEER });
    await room.receive([tampered(told.json("spoken"))], { origin: PEER });
    await receiveAll(room, told, ["unsay", "spoken"]);
    expect(await room.event(told.id("spoken"))).toMatchObject({
      original: told.json("spoken"),
      redactedBy: told.id("unsay"),
      shown: { content: {} },
    });
  });
});

it("what storage gives back that is no event is said plainly, and not taken for one", async () => {
  const told = story();
  const memory = createMemoryStorage();
  await (await serve(told, { storage: memory })).receive(told.jsons(), { origin: PEER });
  const storage: Storage = {
    ...memory,
    readEvents: async (...request) =>
      (await memory.readEvents(...request)).map((row) => ({ ...row, json: { broken: true } })),
  };
  await expect(serve(told, { storage })).rejects.toThrow(/which is no event/);
});
