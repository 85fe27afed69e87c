import { describe, expect, it } from "vitest";
import type { Room } from "../../src/engine/index.js";
import { causalShuffle, HERE, roomOf, seeded, short, Story, testServer } from "../support/engine.js";
import type { TestServer } from "../support/engine.js";

const ALL = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "I.1"] as const;
const ALICE = "@alice:a.example";
const BOB = "@bob:b.example";
/** The user of the spec's example, who is banned. */
const X = "@x:evil.example";
const ME = `@me:${HERE}`;
const PEER = "peer.example";

/** Alice's room, with Bob, X, who may set the topic, and a user of this server; `A` is where the graphs begin. */
function beginning(v: string): Story {
  return new Story(v)
    .open({ users: { [ALICE]: 100, [X]: 50 } })
    .member("bob", BOB, "join")
    .member("x", X, "join")
    .member("me", ME, "join")
    .say("A", ALICE);
}

interface Stage {
  readonly server: TestServer;
  readonly room: Room;
  readonly get: (...names: readonly string[]) => Promise<readonly string[]>;
}

async function stage(story: Story): Promise<Stage> {
  const server = testServer({ ring: story.ring });
  const room = await roomOf(server, story);
  await room.receive(story.jsons(), { origin: PEER });
  const get = async (...names: readonly string[]): Promise<readonly string[]> =>
    (await room.receive(story.jsons(...names), { origin: PEER })).map(short);
  return { server, room, get };
}

const idsOf = (room: Room): readonly string[] => [...room.current.ids()].sort();

describe.each(ALL)("the spec's example of soft failure in room version %s", (v) => {
  const label = v === "I.1" ? "I.1" : `v${v}`;
  const joined = new RegExp(`^soft-failed: ${label} rule \\d+$`);

  /** B bans X; C is the topic that X sets beside it. */
  function fork(): Story {
    return beginning(v)
      .member("B", X, "ban", { by: ALICE, prev: ["A"] })
      .state("C", "m.room.topic", X, { topic: "evasion" }, { prev: ["A"] });
  }

  it(`[cap:soft-fail v:${v}] C is soft-failed by whoever has B, and served by its id`, async () => {
    const story = beginning(v);
    const { room, get } = await stage(story);
    const told = fork();
    expect(told.id("A")).toBe(story.id("A"));
    const [b, c] = (await room.receive(told.jsons("B", "C"), { origin: PEER })).map(short);
    expect(b).toBe("accepted");
    expect(c).toMatch(joined);
    expect(room.control.forwardExtremities).toEqual([told.id("B")]);
    expect(room.control.topic).toBeUndefined();
    const { events } = await room.timeline();
    expect(events.map(({ eventId }) => eventId)).not.toContain(told.id("C"));
    expect(await room.event(told.id("C"))).toMatchObject({
      shown: told.json("C"),
      verdict: { verdict: "soft-failed" },
    });
    const state = await room.stateAt(told.id("C"));
    expect(state?.after.get("m.room.topic")?.eventId).toBe(told.id("C"));
    expect(await get("A")).toEqual(["accepted"]);
  });

  it(`[cap:soft-fail v:${v}] C is accepted by whoever has it before B`, async () => {
    const told = fork();
    const { room } = await stage(beginning(v));
    const receipts = await room.receive(told.jsons("C", "B"), { origin: PEER });
    expect(receipts.map(short)).toEqual(["accepted", "accepted"]);
    expect(room.control.forwardExtremities).toEqual(told.ids("B", "C"));
    expect(idsOf(room)).toEqual(told.after("B", "C"));
    expect(room.control.topic).toBe(v === "1" ? "evasion" : undefined);
    expect(room.current.membership(X)).toBe("ban");
  });

  it(`[cap:soft-fail v:${v}] [cap:partition-merge v:${v}] D, which cites both, is handled as any event`, async () => {
    const told = fork().say("D", BOB, { prev: ["B", "C"] });
    const { room } = await stage(beginning(v));
    await room.receive(told.jsons("B", "C"), { origin: PEER });
    expect((await room.receive(told.jsons("D"), { origin: PEER })).map(short)).toEqual(["accepted"]);
    expect(room.control.forwardExtremities).toEqual([told.id("D")]);
    expect([...((await room.stateAt(told.id("D")))?.before.ids() ?? [])].sort()).toEqual(told.before("D"));
    expect(idsOf(room)).toEqual(told.after("D"));
    // "In the original version of the algorithm C would be in the resolved state".
    expect(room.control.topic).toBe(v === "1" ? "evasion" : undefined);
    expect((await room.verdict(told.id("C")))?.verdict).toBe("soft-failed");
  });

  it(`[cap:soft-fail v:${v}] D', sent by who soft-failed C, does not cite C`, async () => {
    const told = fork();
    const { room } = await stage(beginning(v));
    await room.receive(told.jsons("B", "C"), { origin: PEER });
    const sent = await room.emit([{ type: "x", sender: ME, content: {} }]);
    if (!sent.ok) throw new Error(sent.error.reason);
    expect(sent.value.map(({ prevEvents }) => prevEvents)).toEqual([[told.id("B")]]);
  });

  it(`[cap:soft-fail v:${v}] a chain that evades a ban is soft-failed to its end`, async () => {
    const told = fork()
      .say("C2", X, { prev: ["C"] })
      .say("C3", X, { prev: ["C2"] });
    told.member("gone", X, "leave", { prev: ["C3"] }).member("back", X, "join", { prev: ["gone"] });
    const { room } = await stage(beginning(v));
    const names = ["B", "C", "C2", "C3", "gone", "back"];
    const receipts = await room.receive(told.jsons(...names), { origin: "evil.example" });
    expect(receipts.slice(1).map(({ verdict }) => verdict.verdict)).toEqual(names.slice(1).map(() => "soft-failed"));
    expect(room.control.forwardExtremities).toEqual([told.id("B")]);
    expect(room.current.membership(X)).toBe("ban");
    expect(room.servers).not.toContain("evil.example");
    // A server that has not heard of the ban writes after it all: the ban stands in what comes of it.
    told.say("D", BOB, { prev: ["back"] });
    expect((await room.receive(told.jsons("D"), { origin: PEER })).map(short)).toEqual(["accepted"]);
    expect(room.control.forwardExtremities).toEqual(told.ids("B", "D"));
    expect(idsOf(room)).toEqual(told.after("B", "D"));
    expect(room.current.membership(X)).toBe("ban");
  });
});

describe.each(ALL)("forward extremities in room version %s", (v) => {
  /** The graph of the spec's section on PDUs: E4 follows E3, E6 follows E5, and both of those follow E2. */
  function sample(): Story {
    return beginning(v)
      .say("E1", ALICE)
      .say("E2", BOB)
      .say("E3", ALICE, { prev: ["E2"] })
      .say("E4", ALICE, { prev: ["E3"] })
      .say("E5", BOB, { prev: ["E2"] })
      .say("E6", BOB, { prev: ["E5"] });
  }
  const names = ["E1", "E2", "E3", "E4", "E5", "E6"];

  it(`[cap:extremities v:${v}] are E4 and E6 in the spec's sample, in every causal order of arrival`, async () => {
    const told = sample();
    const parents = (name: string): readonly string[] =>
      told.pdu(name).prevEvents.flatMap((id) => names.filter((other) => told.id(other) === id));
    for (let seed = 1; seed <= 10; seed++) {
      const { room } = await stage(beginning(v));
      for (const name of causalShuffle(names, parents, seeded(seed))) {
        await room.receive([told.json(name)], { origin: PEER });
      }
      expect(room.control.forwardExtremities).toEqual(told.ids("E4", "E6"));
    }
  });

  it(`[cap:extremities v:${v}] [cap:depth v:${v}] are what the next event cites`, async () => {
    const told = sample();
    const { room } = await stage(told);
    const sent = await room.emit([{ type: "x", sender: ME, content: {} }]);
    if (!sent.ok) throw new Error(sent.error.reason);
    const [event] = sent.value;
    expect([...(event?.prevEvents ?? [])].sort()).toEqual(told.ids("E4", "E6"));
    expect(event?.depth).toBe(told.pdu("E4").depth + 1);
    expect(room.control.forwardExtremities).toEqual([event?.eventId]);
  });

  it(`[cap:extremities v:${v}] [cap:rejection v:${v}] pass over what is rejected or soft-failed`, async () => {
    const told = beginning(v).say("E1", ALICE).state("no", "m.room.topic", BOB, {}).say("E2", ALICE);
    const { room } = await stage(beginning(v));
    const receipts = await room.receive(told.jsons("E1", "no", "E2"), { origin: PEER });
    expect(receipts.map(({ verdict }) => verdict.verdict)).toEqual(["accepted", "rejected-by-auth-events", "accepted"]);
    expect(room.control.forwardExtremities).toEqual([told.id("E2")]);
  });

  it(`[cap:extremities v:${v}] an event that something accepted follows already becomes none`, async () => {
    const told = sample();
    const { room } = await stage(beginning(v));
    for (const name of names.toReversed()) await room.receive([told.json(name)], { origin: PEER });
    expect(room.pending).toEqual([]);
    expect(room.control.forwardExtremities).toEqual(told.ids("E4", "E6"));
  });
});

it("[cap:extremities v:10] above the limit are tied together by a local user, if there is one", async () => {
  const told = beginning("10");
  const ends = Array.from({ length: 30 }, (_, at) => `end${at}`);
  for (const name of ends) told.say(name, BOB, { prev: ["A"] });
  const { room } = await stage(beginning("10"));
  await room.receive(told.jsons(...ends), { origin: PEER });
  expect(room.control.forwardExtremities.length).toBeLessThanOrEqual(10);
  const tied = await room.load(room.control.forwardExtremities);
  expect(tied.flatMap(({ event }) => event.prevEvents).length).toBeGreaterThan(10);
  for (const { event } of tied) expect(event.prevEvents.length).toBeLessThanOrEqual(20);

  const without = new Story("10").open().member("bob", BOB, "join").say("A", ALICE);
  for (const name of ends) without.say(name, BOB, { prev: ["A"] });
  const { room: other } = await stage(without);
  expect(other.control.forwardExtremities).toEqual(without.ids(...ends));
});
