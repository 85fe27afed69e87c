import { describe, expect, it } from "vitest";
import type { Room } from "../../src/engine/index.js";
import { redact } from "../../src/event/redact.js";
import type { JsonObject } from "../../src/json/index.js";
import { createListPolicy, createRecordingObserver } from "../../src/adapters/memory/index.js";
import type { Receipt } from "../../src/ports/index.js";
import { classOf, roomOf, short, Story, tampered, testServer, withKey } from "../support/engine.js";
import type { ServerOptions, TestServer } from "../support/engine.js";

const ALICE = "@alice:a.example";
const BOB = "@bob:b.example";
const CAROL = "@carol:c.example";
const PEER = "peer.example";

interface Stage {
  readonly server: TestServer;
  readonly room: Room;
  /** Receives one event and answers what became of it. */
  readonly get: (event: unknown, origin?: string) => Promise<Receipt>;
}

/** A server that has received these events of a story, or all of them. */
async function stage(story: Story, names: readonly string[] = [], options: ServerOptions = {}): Promise<Stage> {
  const server = testServer({ ring: story.ring, ...options });
  const room = await roomOf(server, story);
  const receipts = await room.receive(story.jsons(...names), { origin: PEER });
  for (const receipt of receipts) expect(short(receipt)).toBe("accepted");
  const get = async (event: unknown, origin: string = PEER): Promise<Receipt> => {
    const [receipt] = await room.receive([event], { origin });
    if (receipt === undefined) throw new Error("every event has a receipt");
    return receipt;
  };
  return { server, room, get };
}

/** Alice made it, Bob and Carol are in it, and Bob may change the name. */
function story(version = "10"): Story {
  return new Story(version)
    .open({ users: { [ALICE]: 100, [BOB]: 50 } })
    .member("bob", BOB, "join")
    .member("carol", CAROL, "join");
}

describe("each of the seven checks has a verdict of its own", () => {
  it("[cap:receipt v:10] 1: what is no event of this room is dropped", async () => {
    const told = story();
    const { get, room } = await stage(told);
    const event = told.write({ type: "x", sender: ALICE }).json;
    expect((await get({ ...event, depth: -1 })).verdict).toMatchObject({
      verdict: "malformed",
      refusal: { code: "bad_format" },
    });
    expect(short(await get("{"))).toMatch(/^malformed: /);
    expect((await get(null)).verdict.verdict).toBe("malformed");
    const other = new Story("10", told.ring).open({ creator: "@dora:d.example" }).say("hello", "@dora:d.example");
    const elsewhere = other.json("hello");
    expect(short(await get(elsewhere))).toBe("malformed: wrong_room");
    expect(room.control.revision).toBe(1);
    expect(await room.verdict(other.id("hello"))).toBeUndefined();
  });

  it("[cap:receipt v:10] 2: what its server did not sign is dropped, and nothing is remembered of it", async () => {
    const told = story();
    const { get, room } = await stage(told);
    const event = told.write({ type: "x", sender: BOB });
    const forged = told.sign(withKey(event.json, "signatures", {}), "c.example");
    const signature = "A".repeat(86);
    const wrong = { ...event.json, signatures: { "b.example": { "ed25519:keyed_hash": signature } } };
    expect(short(await get(forged))).toBe("bad-signature: server-server-api Checks on receipt 2");
    expect(short(await get(wrong))).toBe("bad-signature: server-server-api Checks on receipt 2");
    expect(await room.verdict(event.eventId)).toBeUndefined();
    expect(short(await get(event.json))).toBe("accepted");
  });

  it("[cap:receipt v:10] 2: what cannot be verified for want of a key is decided when it comes again", async () => {
    const told = story().say("hello", CAROL);
    const { get, room } = await stage(told, told.names.slice(0, -1));
    told.ring.withhold("c.example");
    expect(short(await get(told.json("hello")))).toBe("unverifiable: server-server-api Checks on receipt 2");
    expect(await room.verdict(told.id("hello"))).toBeUndefined();
    told.ring.publish("c.example");
    expect(await get(told.json("hello"))).toMatchObject({ verdict: { verdict: "accepted" }, duplicate: false });
  });

  it("[cap:receipt v:10] [cap:hash-mismatch v:10] 3: what was tampered with goes on as its redacted copy", async () => {
    const told = story().say("hello", CAROL);
    const { get, room } = await stage(told, told.names.slice(0, -1));
    expect((await get(tampered(told.json("hello")))).verdict).toMatchObject({ verdict: "accepted", redacted: true });
    const event = await room.event(told.id("hello"));
    expect(event?.original).toEqual(redact(told.version.rules, told.json("hello")));
    expect(event?.original["content"]).toEqual({});
  });

  it("[cap:receipt v:10] [cap:rejection v:10] 4: what its own auth events refuse is rejected", async () => {
    const told = story();
    const { get, room } = await stage(told);
    const topic = { type: "m.room.topic", stateKey: "", sender: CAROL };
    const powerless = told.write(topic);
    expect(short(await get(powerless.json))).toBe("rejected-by-auth-events: v10 rule 7");
    const uncited = told.write({ type: "x", sender: CAROL }, { auth: ["create", "levels"] });
    expect(short(await get(uncited.json))).toBe("rejected-by-auth-events: v10 rule 5");
    const excess = told.write({ type: "x", sender: CAROL }, { auth: ["create", "levels", "carol", "rules"] });
    expect(short(await get(excess.json))).toBe("rejected-by-auth-events: v10 rule 2.2");
    expect(room.control.forwardExtremities).toEqual([told.id("carol")]);
    expect(await room.event(powerless.eventId)).toMatchObject({ position: expect.any(Number) as number });
  });

  it("[cap:receipt v:10] [cap:rejection v:10] 5: what the state before it refuses is rejected", async () => {
    const told = story().member("ban", CAROL, "ban", { by: ALICE });
    const late = told.write({ type: "x", sender: CAROL }, { auth: ["create", "levels", "carol"] });
    const { get, room } = await stage(told);
    expect(short(await get(late.json))).toBe("rejected-by-state: v10 rule 5");
    expect(room.control.forwardExtremities).toEqual([told.id("ban")]);
  });

  it("[cap:receipt v:10] [cap:soft-fail v:10] 6: what the current state refuses is soft-failed", async () => {
    const told = story().member("ban", CAROL, "ban", { by: ALICE });
    const evasion = told.write({ type: "x", sender: CAROL }, { prev: ["carol"] });
    const { get, room } = await stage(told);
    expect(short(await get(evasion.json))).toBe("soft-failed: v10 rule 5");
    expect(room.control.forwardExtremities).toEqual([told.id("ban")]);
    expect(await room.event(evasion.eventId)).toMatchObject({ shown: evasion.json });
  });

  it("[cap:receipt v:10] 7: what the host's policy refuses is kept as soft-failed", async () => {
    const told = story().say("hello", CAROL);
    const policy = createListPolicy({ blockedUsers: [CAROL] });
    const { get, room } = await stage(told, ["create", "join", "levels", "rules", "bob"], { policy });
    for (const name of ["carol", "hello"]) {
      const receipt = await get(told.json(name));
      expect(short(receipt)).toBe(
        name === "carol"
          ? "policy-refused: server-server-api Checks on receipt 7"
          : // Carol's join is no part of the current state.
            "soft-failed: v10 rule 5",
      );
    }
    expect(room.current.membership(CAROL)).toBe("leave");
    expect(room.control.forwardExtremities).toEqual([told.id("bob")]);
  });

  it("[cap:receipt v:10] [cap:limits v:10] an event too long in bytes is stored and rejected", async () => {
    const told = story();
    const { get } = await stage(told);
    const event = told.write({ type: "\u{1f600}".repeat(100), sender: ALICE });
    expect(short(await get(event.json))).toMatch(/^rejected-for-size: /);
  });

  it("[cap:receipt v:10] an event whose ancestors are not here is pending, and not rejected", async () => {
    const told = story().say("one", CAROL).say("two", CAROL);
    const { get, room } = await stage(told, told.names.slice(0, -2));
    expect((await get(told.json("two"))).verdict).toEqual({
      verdict: "pending",
      eventId: told.id("two"),
      waitsFor: [told.id("one")],
    });
    expect(room.pending).toEqual([{ eventId: told.id("two"), waitsFor: [told.id("one")] }]);
  });

  it("[cap:receipt v:10] each event of a call has a receipt in its place, and none holds up the others", async () => {
    const told = story().say("one", CAROL).say("two", BOB);
    const { room } = await stage(told, told.names.slice(0, -2));
    const [one, two] = [told.json("one"), told.json("two")];
    const bad = withKey(told.write({ type: "x", sender: ALICE }).json, "signatures", {});
    const receipts = await room.receive([7, two, bad, one, "[", two], { origin: PEER });
    expect(receipts.map(({ verdict }) => verdict.verdict)).toEqual([
      "malformed",
      "accepted",
      "bad-signature",
      "accepted",
      "malformed",
      "accepted",
    ]);
  });
});

describe("duplicates", () => {
  it("[cap:receipt v:10] an event that was decided costs no second signature check", async () => {
    const told = story();
    const { get, server, room } = await stage(told);
    const rejected = told.write({ type: "m.room.topic", stateKey: "", sender: CAROL });
    await get(rejected.json);
    const { asked } = server.keys;
    const before = { ...asked };
    const { revision } = room.control;
    for (const json of [...told.jsons(), rejected.json]) {
      const receipt = await get(json);
      expect(receipt.duplicate).toBe(true);
      expect(receipt.verdict).toEqual(await room.verdict(told.read(json).eventId));
    }
    expect(asked).toEqual(before);
    expect(room.control.revision).toBe(revision);
  });

  it("[cap:receipt v:10] nor does one that is pending", async () => {
    const told = story().say("one", CAROL).say("two", CAROL);
    const { get, server } = await stage(told, told.names.slice(0, -2));
    await get(told.json("two"));
    const before = server.keys.asked.verifications;
    expect(classOf((await get(told.json("two"))).verdict)).toBe("pending");
    expect(server.keys.asked.verifications).toBe(before);
  });

  it("[cap:receipt v:10] the same after a restart", async () => {
    const told = story();
    const first = await stage(told);
    const server = testServer({ ring: told.ring, storage: first.server.storage });
    const room = await roomOf(server, told);
    const receipts = await room.receive(told.jsons(), { origin: PEER });
    expect(receipts.every(({ duplicate }) => duplicate)).toBe(true);
    expect(server.keys.asked.verifications).toBe(0);
  });
});

describe("rejection", () => {
  for (const v of ["1", "2", "10", "12"]) {
    it(`[cap:rejection v:${v}] its child is accepted; whoever cites it as authority is not`, async () => {
      const told = story(v);
      const { get, room } = await stage(told);
      const before = told.after("carol");
      told.state("usurp", "m.room.power_levels", CAROL, { users: { [CAROL]: 100 } }, { prev: ["carol"] });
      expect(classOf((await get(told.json("usurp"))).verdict)).toBe("rejected");
      expect(room.control.forwardExtremities).toEqual([told.id("carol")]);
      expect([...room.current.ids()].sort()).toEqual(before);

      told.say("child", BOB);
      expect(short(await get(told.json("child")))).toBe("accepted");
      const state = await room.stateAt(told.id("child"));
      expect([...(state?.before.ids() ?? [])].sort()).toEqual(before);
      // The child takes the place of what its rejected parent followed.
      expect(room.control.forwardExtremities).toEqual([told.id("child")]);

      const cited = v === "12" ? ["usurp", "carol"] : ["create", "usurp", "carol"];
      const citing = told.write({ type: "x", sender: CAROL }, { auth: cited });
      expect((await get(citing.json)).verdict).toMatchObject({
        verdict: "rejected-by-auth-events",
        refusal: { rule: expect.stringMatching(/rule (2|3)\.\d$/) as string },
      });
      expect([...room.current.ids()].sort()).toEqual(before);
    });
  }

  it("[cap:rejection v:10] a rejected event is served by its id and stands in no timeline", async () => {
    const told = story();
    const { get, room } = await stage(told);
    const rejected = told.write({ type: "m.room.topic", stateKey: "", sender: CAROL, content: { topic: "mine" } });
    await get(rejected.json);
    expect(await room.event(rejected.eventId)).toMatchObject({ original: rejected.json });
    const { events } = await room.timeline();
    expect(events.map(({ eventId }) => eventId)).not.toContain(rejected.eventId);
    expect(room.control.topic).toBeUndefined();
  });

  for (const v of ["1", "10", "11", "12"]) {
    it(`[cap:graph v:${v}] [cap:auth-create v:${v}] a second create event is refused`, async () => {
      const told = story(v);
      const { get, room } = await stage(told);
      const content = { room_version: v, creator: ALICE, again: true };
      const second = told.write({ type: "m.room.create", stateKey: "", sender: ALICE, content }, { prev: [] });
      const expected = v === "12" ? "malformed: wrong_room" : `rejected-by-auth-events: v${v} rule 1.1`;
      expect(short(await get(second.json))).toBe(expected);
      const third = told.write(
        { type: "m.room.create", stateKey: "", sender: ALICE, content },
        { prev: ["carol"], auth: [] },
        (event) => withKey(event, "room_id", v === "12" ? undefined : told.roomId),
      );
      expect(short(await get(third.json))).toBe(expected);
      expect(room.state("m.room.create")?.eventId).toBe(told.id("create"));
      expect([...room.current.ids()].sort()).toEqual(told.after("carol"));
    });
  }
});

describe("pending events", () => {
  it("[cap:receipt v:10] are decided in causal order when what they wait for comes, and late", async () => {
    const told = story()
      .say("a", CAROL)
      .say("b", BOB)
      .say("c", CAROL)
      .say("d", BOB, { prev: ["a"] });
    told.say("e", ALICE, { prev: ["c", "d"] });
    const observer = createRecordingObserver();
    const { get, room } = await stage(told, told.names.slice(0, 6), { observer });
    for (const name of ["e", "c", "b", "d"]) expect((await get(told.json(name))).verdict.verdict).toBe("pending");
    expect(room.pending).toHaveLength(4);
    expect(short(await get(told.json("a")))).toBe("accepted");
    expect(room.pending).toEqual([]);
    const { events } = await room.timeline({ from: 7 });
    const order = events.map(({ eventId }) => told.nameOf(eventId));
    expect([...order].sort()).toEqual(["a", "b", "c", "d", "e"]);
    for (const [child, parent] of [
      ["b", "a"],
      ["c", "b"],
      ["d", "a"],
      ["e", "c"],
      ["e", "d"],
    ] as const) {
      expect(order.indexOf(parent)).toBeLessThan(order.indexOf(child));
    }
    expect(room.control.forwardExtremities).toEqual([told.id("e")]);
  });

  it("[cap:receipt v:10] wait for auth events as they do for parents", async () => {
    const told = story().member("dora", "@dora:d.example", "join");
    const hello = told.write(
      { type: "x", sender: "@dora:d.example" },
      { prev: ["carol"], auth: ["create", "levels", "dora"] },
    );
    const { get, room } = await stage(told, told.names.slice(0, -1));
    expect((await get(hello.json)).verdict).toMatchObject({ verdict: "pending", waitsFor: [told.id("dora")] });
    await get(told.json("dora"));
    // Dora was not joined where she wrote.
    expect((await room.verdict(hello.eventId))?.verdict).toBe("rejected-by-state");
  });

  it("[cap:receipt v:10] survive a restart, and are decided after it", async () => {
    const told = story().say("a", CAROL).say("b", BOB);
    const first = await stage(told, told.names.slice(0, -2));
    await first.get(told.json("b"));
    const second = testServer({ ring: told.ring, storage: first.server.storage });
    const room = await roomOf(second, told);
    expect(room.pending).toEqual([{ eventId: told.id("b"), waitsFor: [told.id("a")] }]);
    await room.receive([told.json("a")], { origin: PEER });
    expect((await room.verdict(told.id("b")))?.verdict).toBe("accepted");
  });

  /** Events by Carol that follow one that nobody has. */
  function orphans(told: Story, count: number): readonly string[] {
    told.say("lost", CAROL);
    const names = Array.from({ length: count }, (_, at) => `orphan${at}`);
    for (const name of names) told.say(name, CAROL, { prev: ["lost"] });
    return names;
  }

  it("[cap:limits v:10] are bounded in number: the oldest is given up, and not rejected", async () => {
    const told = story();
    const observer = createRecordingObserver();
    const { get, room } = await stage(told, [], { observer, limits: { pendingCount: 3 } });
    const names = orphans(told, 5);
    for (const [at, name] of names.entries()) await get(told.json(name), `server${at}.example`);
    expect(room.pending.map(({ eventId }) => told.nameOf(eventId))).toEqual(["orphan2", "orphan3", "orphan4"]);
    expect(await room.verdict(told.id("orphan0"))).toBeUndefined();
    expect(observer.metrics().filter(({ name }) => name === "room.pending.evicted")).toHaveLength(2);
    await get(told.json("lost"));
    expect((await room.verdict(told.id("orphan4")))?.verdict).toBe("accepted");
    // What was given up is decided when it comes again.
    expect(short(await get(told.json("orphan0")))).toBe("accepted");
  });

  it("[cap:limits v:10] are bounded for each origin: who sends too many loses its own", async () => {
    const told = story();
    const { get, room } = await stage(told, [], { limits: { pendingPerOrigin: 2 } });
    const names = orphans(told, 6);
    await get(told.json("orphan0"), "quiet.example");
    for (const name of names.slice(1)) await get(told.json(name), "loud.example");
    expect(room.pending.map(({ eventId }) => told.nameOf(eventId))).toEqual(["orphan0", "orphan4", "orphan5"]);
  });

  it("[cap:limits v:10] are bounded in bytes, however small the old and large the new ones are", async () => {
    const told = story();
    const limit = 20_000;
    const { get, room, server } = await stage(told, [], { limits: { pendingBytes: limit } });
    told.say("lost", CAROL);
    for (let at = 0; at < 20; at++) {
      const body = "x".repeat(at < 15 ? 10 : 9_000);
      told.tell(`orphan${at}`, { type: "x", sender: CAROL, content: { body } }, { prev: ["lost"] });
      await get(told.json(`orphan${at}`));
      const opened = await server.storage.openRoom(told.roomId);
      const bytes = (opened?.pending ?? []).reduce((sum, row) => sum + row.bytes, 0);
      expect(bytes).toBeLessThanOrEqual(limit);
      expect(room.pending.map(({ eventId }) => eventId)).toContain(told.id(`orphan${at}`));
    }
    expect(room.pending).toHaveLength(2);
  });

  it("[cap:limits v:10] of a server that takes the most room go first, however many others have", async () => {
    const told = story();
    const { get, room } = await stage(told, [], { limits: { pendingCount: 8, pendingPerOrigin: 100 } });
    const names = orphans(told, 20);
    for (const [at, name] of names.slice(0, 3).entries()) await get(told.json(name), `quiet${at}.example`);
    for (const name of names.slice(3)) await get(told.json(name), "loud.example");
    const kept = room.pending.map(({ eventId }) => told.nameOf(eventId));
    expect(kept.slice(0, 3)).toEqual(["orphan0", "orphan1", "orphan2"]);
    expect(kept.slice(3)).toEqual(names.slice(-5));
  });

  it("[cap:limits v:10] are given up after a time, by the clock", async () => {
    const told = story();
    const { get, room, server } = await stage(told, [], { limits: { pendingAge: 1000 } });
    orphans(told, 2);
    await get(told.json("orphan0"));
    server.clock.advance(600);
    await get(told.json("orphan1"));
    server.clock.advance(600);
    await get(told.write({ type: "x", sender: ALICE }, { prev: ["carol"] }).json);
    expect(room.pending.map(({ eventId }) => told.nameOf(eventId))).toEqual(["orphan1"]);
    expect(await room.verdict(told.id("orphan0"))).toBeUndefined();
  });

  it("[cap:receipt v:10] are shown to the host's policy as all others are", async () => {
    const told = story().say("one", BOB).say("spam", CAROL);
    const policy = {
      checkEvent: ({ event }: { readonly event: { readonly sender: string; readonly type: string } }) =>
        event.sender === CAROL && event.type !== "m.room.member" ? { code: "spam", reason: "no" } : undefined,
    };
    const { get, room } = await stage(told, told.names.slice(0, -2), { policy });
    expect((await get(told.json("spam"))).verdict.verdict).toBe("pending");
    await get(told.json("one"));
    expect((await room.verdict(told.id("spam")))?.verdict).toBe("policy-refused");
    expect(room.control.forwardExtremities).toEqual([told.id("one")]);
  });

  it("[cap:receipt v:10] and also where they come again together with what they wait for", async () => {
    const told = story().say("one", BOB).say("spam", CAROL);
    const policy = {
      checkEvent: ({ event }: { readonly event: { readonly sender: string; readonly type: string } }) =>
        event.sender === CAROL && event.type !== "m.room.member" ? { code: "spam", reason: "no" } : undefined,
    };
    const { get, room } = await stage(told, told.names.slice(0, -2), { policy });
    await get(told.json("spam"));
    const receipts = await room.receive(told.jsons("spam", "one"), { origin: PEER });
    expect(receipts.map(({ verdict }) => verdict.verdict)).toEqual(["policy-refused", "accepted"]);
  });
});

describe("copies of one event", () => {
  for (const v of ["2", "10", "11"]) {
    it(`[cap:hash-mismatch v:${v}] a full copy takes the place of a tampered one; verdict and id stand`, async () => {
      const told = story(v).say("hello", CAROL);
      const { get, room } = await stage(told, told.names.slice(0, -1));
      const first = await get(tampered(told.json("hello")));
      expect(first.verdict).toMatchObject({ verdict: "accepted", eventId: told.id("hello"), redacted: true });
      expect((await room.event(told.id("hello")))?.shown["content"]).toEqual({});
      const second = await get(told.json("hello"));
      expect(second).toMatchObject({ duplicate: true, verdict: { verdict: "accepted", eventId: told.id("hello") } });
      expect(await room.event(told.id("hello"))).toMatchObject({
        original: told.json("hello"),
        shown: told.json("hello"),
        verdict: { redacted: false },
      });
      // A tampered copy never takes the place of a full one.
      await get(tampered(told.json("hello")));
      expect((await room.event(told.id("hello")))?.shown).toEqual(told.json("hello"));
    });
  }

  it("[cap:hash-mismatch v:10] a full copy of a state event is in the state, before a restart and after", async () => {
    const told = story().state("name", "m.room.name", BOB, { name: "The room" });
    const { get, room, server } = await stage(told, told.names.slice(0, -1));
    await get(tampered(told.json("name"), { name: "Another" }));
    expect(room.state("m.room.name")?.eventId).toBe(told.id("name"));
    expect(room.control.name).toBeUndefined();
    await get(told.json("name"));
    const again = await roomOf(testServer({ ring: told.ring, storage: server.storage }), told);
    for (const one of [room, again]) {
      expect(one.state("m.room.name")?.content).toEqual({ name: "The room" });
      expect(one.control.name).toBe("The room");
    }
  });

  it("[cap:versions-1-2 v:1] equivocation under one id: the first copy stands", async () => {
    const told = story("1");
    const { get, room, server } = await stage(told);
    const one = told.write({ type: "m.room.message", sender: CAROL, content: { body: "one" } });
    const other = resigned(told, { ...one.json, content: { body: "other" } });
    expect(told.read(other).eventId).toBe(one.eventId);
    expect(short(await get(one.json))).toBe("accepted");
    const before = server.keys.asked.verifications;
    expect(await get(other)).toMatchObject({ duplicate: true, verdict: { verdict: "accepted" } });
    expect(server.keys.asked.verifications).toBe(before);
    expect((await room.event(one.eventId))?.original).toEqual(one.json);
  });

  it("[cap:versions-1-2 v:1] and so it does in one call, and while it is pending", async () => {
    const told = story("1").say("lost", CAROL);
    const { get, room } = await stage(told, told.names.slice(0, -1));
    const one = told.write({ type: "m.room.message", sender: CAROL, content: { body: "one" } });
    const other = resigned(told, { ...one.json, content: { body: "other" } });
    await room.receive([one.json, other], { origin: PEER });
    await get(other);
    await get(told.json("lost"));
    expect((await room.event(one.eventId))?.original).toEqual(one.json);
  });

  for (const v of ["1", "2"]) {
    it(`[cap:versions-1-2 v:${v}] another body never takes the place of a redacted one`, async () => {
      const told = story(v);
      const { get, room, server } = await stage(told);
      const one = told.write({ type: "x", sender: CAROL, content: { body: "one" } });
      const levels = { type: "m.room.power_levels", state_key: "", content: { users: { [CAROL]: 100 } } };
      const usurper = resigned(told, { ...one.json, ...levels });
      expect(told.read(usurper).eventId).toBe(one.eventId);
      expect((await get(tampered(one.json))).verdict).toMatchObject({ verdict: "accepted", redacted: true });
      expect((await get(usurper)).verdict).toMatchObject({ verdict: "accepted", redacted: true });
      const stored = await room.event(one.eventId);
      expect(stored?.original["type"]).toBe("x");
      const again = await roomOf(testServer({ ring: told.ring, storage: server.storage }), told);
      expect((await again.event(one.eventId))?.original["type"]).toBe("x");
    });
  }
});

/** The same event with another body, hashed and signed anew by Carol's server: what equivocation is in v1 and v2. */
function resigned(told: Story, event: JsonObject): JsonObject {
  const bare = withKey(withKey(event, "signatures", {}), "hashes", {});
  return told.sealed(bare, "c.example");
}
