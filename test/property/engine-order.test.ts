import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkRedactionEffect } from "../../src/auth/index.js";
import type { Room } from "../../src/engine/index.js";
import { arbDelivery, arbFork, arbRoom, citedBy, testUsers } from "../../src/testing/index.js";
import type { TestEvent, TestRoom } from "../../src/testing/index.js";
import { causalShuffle, classOf, factsOf, roomOf, seeded, shuffled, Story, testServer } from "../support/engine.js";
import type { Facts } from "../support/engine.js";
import { runs, seed } from "./laws-support.js";

// Whatever happens in a room, in whichever order a server hears of it, it decides the same: the same events are
// rejected, the same state is before each, the same is shown of each. Two things differ by nature. Which events
// are soft-failed depends on what was there before them, and with them whatever ends they would have been; so
// current states are compared where nothing depends on that, and after one more event that follows everything.

const ALL = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "I.1"] as const;
const PEER = "peer.example";
const MALLORY = "@mallory:m.example";

interface Played {
  readonly room: Room;
  readonly facts: Facts;
  readonly softFailed: ReadonlySet<string>;
}

/** The room as a story, with events by somebody who may do nothing and, where anybody may talk, answers to those. */
function storyOf(generated: TestRoom): Story {
  const story = new Story(generated.version);
  for (const { eventId, pdu } of generated.events) {
    story.take(eventId, story.signedByAll(pdu), citedBy(pdu, "prev_events"));
  }
  generated.events.forEach(({ eventId }, at) => {
    if (at % 5 !== 2) return;
    story.state(`usurp${at}`, "m.room.topic", MALLORY, { topic: "mine" }, { prev: [eventId] });
    answer(story, `answer${at}`, [`usurp${at}`]);
  });
  return story;
}

/** A message after these events by the first user who may send one there. */
function answer(story: Story, name: string, prev: readonly string[]): boolean {
  const sender = testUsers.find((user) => story.allows(story.write({ type: "x", sender: user }, { prev }), ...prev));
  if (sender !== undefined) story.tell(name, { type: "x", sender }, { prev });
  return sender !== undefined;
}

async function play(story: Story, order: readonly string[]): Promise<Played> {
  const room = await roomOf(testServer({ ring: story.ring }), story);
  for (const name of order) await room.receive([story.json(name)], { origin: PEER });
  const ids = story.names.map((name) => story.id(name));
  const softFailed = new Set<string>();
  for (const id of ids) if ((await room.verdict(id))?.verdict === "soft-failed") softFailed.add(id);
  return { room, facts: await factsOf(room, ids), softFailed };
}

/** Ids of events that are to be shown redacted, by the rules alone. */
function redactedIn(story: Story): ReadonlySet<string> {
  const byId = new Map<string, string>(story.names.map((name) => [story.id(name), name]));
  const { rules } = story.version;
  const redacted = new Set<string>();
  for (const name of story.names) {
    const pdu = story.pdu(name);
    const target = pdu.type === "m.room.redaction" ? byId.get(pdu.redacts ?? "") : undefined;
    if (target === undefined || target.startsWith("usurp")) continue;
    const effect = checkRedactionEffect(rules, pdu, story.pdu(target), story.stateBefore(name));
    if (effect.verdict === "apply") redacted.add(effect.target);
  }
  return redacted;
}

async function agree(story: Story, orders: readonly (readonly string[])[]): Promise<void> {
  const byId = new Map(story.names.map((name) => [story.id(name), name]));
  const followed = new Set(story.names.flatMap((name) => story.pdu(name).prevEvents.map(String)));
  const ends = [...byId].flatMap(([id, name]) => (followed.has(id) || name.startsWith("usurp") ? [] : [name]));
  const played: Played[] = [];
  for (const order of orders) played.push(await play(story, order));
  const [first] = played;
  if (first === undefined) throw new Error("there is an order");
  for (const name of story.names) {
    expect(first.facts.events[story.id(name)]).toMatchObject({
      verdict: name.startsWith("usurp") ? "rejected" : "allowed",
      before: story.before(name),
    });
  }
  const redacted = redactedIn(story);
  for (const { facts, room, softFailed } of played) {
    for (const name of story.names) {
      const view = await room.event(story.id(name));
      expect(view?.redactedBy !== undefined, name).toBe(redacted.has(story.id(name)));
    }
    expect(facts.events).toEqual(first.facts.events);
    expect(room.pending).toEqual([]);
    expect(room.gaps).toEqual([]);
    const same = softFailed.size === first.softFailed.size && [...softFailed].every((id) => first.softFailed.has(id));
    if (same) expect(facts).toEqual(first.facts);
  }
  if (ends.length > 20 || !answer(story, "last", ends)) return;
  for (const { room } of played) {
    const [receipt] = await room.receive([story.json("last")], { origin: PEER });
    expect(classOf(receipt?.verdict)).toBe("allowed");
    const state = await room.stateAt(story.id("last"));
    expect([...(state?.before.ids() ?? [])].sort()).toEqual(story.before("last"));
    if (receipt?.verdict.verdict !== "accepted") continue;
    expect(room.control.forwardExtremities).toEqual(story.ids("last"));
    expect([...room.current.ids()].sort()).toEqual(story.after("last"));
  }
}

/** Orders of arrival: one as generated, one that is causal, one that is not. */
function ordersOf(story: Story, delivery: readonly TestEvent[], mix: number): readonly (readonly string[])[] {
  const delivered = delivery.map(({ eventId }) => eventId);
  const others = story.names.filter((name) => !delivered.includes(name));
  const byId = new Map<string, string>(story.names.map((name) => [story.id(name), name]));
  const restsOn = (name: string): readonly string[] => {
    const { prevEvents, authEvents } = story.pdu(name);
    return [...prevEvents, ...authEvents].flatMap((id) => byId.get(id) ?? []);
  };
  return [
    [...delivered, ...others],
    causalShuffle(story.names, restsOn, seeded(mix)),
    shuffled(story.names, seeded(mix + 1)),
  ];
}

describe.each(ALL)("room version %s", (v) => {
  const resolution = v === "1" ? "resolution-v1" : v === "12" ? "resolution-v2.1" : "resolution-v2";

  it(`[cap:receipt v:${v}] [cap:state-before-after v:${v}] a room is the same in every order of arrival`, async () => {
    const generated = arbRoom(v, { maxSteps: 24 }).chain((room) =>
      fc.record({ room: fc.constant(room), delivery: arbDelivery(room), mix: fc.nat() }),
    );
    await fc.assert(
      fc.asyncProperty(generated, async ({ room, delivery, mix }) => {
        const story = storyOf(room);
        await agree(story, ordersOf(story, delivery, mix));
      }),
      { seed, numRuns: runs(12) },
    );
  });

  it(`[cap:partition-merge v:${v}] [cap:${resolution} v:${v}] and so is a fork of several branches`, async () => {
    const generated = arbFork(v, { maxSteps: 10 }).chain(({ room }) =>
      fc.record({ room: fc.constant(room), delivery: arbDelivery(room), mix: fc.nat() }),
    );
    await fc.assert(
      fc.asyncProperty(generated, async ({ room, delivery, mix }) => {
        const story = storyOf(room);
        await agree(story, ordersOf(story, delivery, mix));
      }),
      { seed, numRuns: runs(12) },
    );
  });
});
