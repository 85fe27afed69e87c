import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Rooms } from "../../src/engine/index.js";
import type { Room } from "../../src/engine/index.js";
import { arbDelivery, arbFork, citedBy } from "../../src/testing/index.js";
import { createRegistry, defineRoomVersion } from "../../src/versions/index.js";
import { roomOf, short, Story, testServer, versionOf } from "../support/engine.js";
import { runs, seed } from "./laws-support.js";

// The current state is resolved once for a commit. Between the events of one commit, what all forward extremities
// agree on is read without a resolution: the verdicts must be those of one commit for each event.

const ALL = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "I.1"] as const;
const PEER = "peer.example";
const ALICE = "@alice:a.example";

async function verdictsOf(
  room: Room,
  events: readonly unknown[],
  sizes: readonly number[],
): Promise<readonly string[]> {
  const verdicts: string[] = [];
  for (let at = 0, batch = 0; at < events.length; batch++) {
    const size = sizes[batch % sizes.length] ?? 1;
    verdicts.push(...(await room.receive(events.slice(at, at + size), { origin: PEER })).map(short));
    at += size;
  }
  return verdicts;
}

/** A room whose resolutions are counted. */
async function countedRoom(story: Story): Promise<{ readonly room: Room; readonly counted: () => number }> {
  let resolutions = 0;
  const { id, rules, resolve } = versionOf(story.version.id);
  const version = defineRoomVersion(rules, (index, states, options) => {
    resolutions++;
    return resolve(index, states, options);
  });
  const { host } = testServer({ ring: story.ring });
  const rooms = new Rooms({ ...host, versions: createRegistry([version]) });
  return { room: await rooms.forJoin(story.roomId, id), counted: () => resolutions };
}

interface Crowd {
  readonly story: Story;
  readonly opening: readonly string[];
  readonly ends: readonly string[];
}

/** Thirty users who all change their names after the same event, and as many messages beside them. */
function crowd(v: string): Crowd {
  const story = new Story(v).open({ users: { [ALICE]: 100 } });
  const users = Array.from({ length: 30 }, (_, at) => `@u${at}:s${at % 3}.example`);
  for (const [at, user] of users.entries()) story.member(`join${at}`, user, "join");
  const opening = story.names;
  for (const [at, user] of users.entries()) {
    story.member(`name${at}`, user, "join", { more: { displayname: `Name ${at}` }, prev: ["join29"] });
    story.say(`talk${at}`, users[(at + 1) % 30] ?? ALICE, { prev: ["join29"] });
  }
  return { story, opening, ends: story.names.slice(opening.length) };
}

describe.each(ALL)("events in one commit, room version %s", (v) => {
  it(`[cap:soft-fail v:${v}] [cap:partition-merge v:${v}] get the verdicts that they get one by one`, async () => {
    const generated = arbFork(v, { maxSteps: 12 }).chain(({ room }) =>
      fc.record({
        room: fc.constant(room),
        delivery: arbDelivery(room),
        sizes: fc.array(fc.integer({ min: 2, max: 60 }), { minLength: 1, maxLength: 4 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(generated, async ({ room: { version, events }, delivery, sizes }) => {
        const story = new Story(version);
        for (const { eventId, pdu } of events) {
          story.take(eventId, story.signedByAll(pdu), citedBy(pdu, "prev_events"));
        }
        const jsons = story.jsons(...delivery.map(({ eventId }) => eventId));
        const single = await roomOf(testServer({ ring: story.ring }), story);
        const batched = await roomOf(testServer({ ring: story.ring }), story);
        expect(await verdictsOf(batched, jsons, sizes)).toEqual(await verdictsOf(single, jsons, [1]));
        expect(batched.control.forwardExtremities).toEqual(single.control.forwardExtremities);
        expect([...batched.current.ids()].sort()).toEqual([...single.current.ids()].sort());
      }),
      { seed, numRuns: runs(12) },
    );
  });

  it("need no resolution for what all branches agree on", async () => {
    const { story, opening, ends } = crowd(v);
    const { room, counted } = await countedRoom(story);
    await room.receive(story.jsons(...opening), { origin: PEER });
    expect(counted()).toBe(0);
    const verdicts = await verdictsOf(room, story.jsons(...ends), [ends.length]);
    expect(verdicts).toEqual(ends.map(() => "accepted"));
    expect(room.control.forwardExtremities).toHaveLength(ends.length);
    expect(counted()).toBe(1);
    expect([...room.current.ids()].sort()).toEqual(story.after(...ends));
  });

  it(`[cap:soft-fail v:${v}] are resolved for where branches disagree about who is asked for`, async () => {
    const { story, opening, ends } = crowd(v);
    story.member("ban", "@u7:s1.example", "ban", { by: ALICE, prev: ["join29"] });
    story.say("last", "@u7:s1.example", { prev: ["name7"] });
    const { room, counted } = await countedRoom(story);
    await room.receive(story.jsons(...opening), { origin: PEER });
    const names = [...ends, "ban", "last"];
    const verdicts = await verdictsOf(room, story.jsons(...names), [names.length]);
    expect(verdicts.slice(0, -1)).toEqual(names.slice(0, -1).map(() => "accepted"));
    expect(verdicts.at(-1)).toMatch(/^soft-failed: /);
    expect(counted()).toBeGreaterThan(0);
    expect(room.current.membership("@u7:s1.example")).toBe("ban");
  });
});
