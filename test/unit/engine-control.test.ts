import { describe, expect, it } from "vitest";
import type { Control } from "../../src/engine/index.js";
import { roomOf, short, Story, testServer } from "../support/engine.js";

const ALICE = "@alice:a.example";
const BOB = "@bob:b.example";
const PEER = "peer.example";

function eventful(v: string): Story {
  return new Story(v)
    .open({ users: { [ALICE]: 100 } })
    .member("bob", BOB, "join")
    .state("name", "m.room.name", ALICE, { name: "The room" })
    .state("topic", "m.room.topic", ALICE, { topic: "About it" })
    .say("left", BOB, { prev: ["topic"] })
    .say("right", ALICE, { prev: ["topic"] })
    .state("secret", "m.room.encryption", ALICE, { algorithm: "m.megolm.v1.aes-sha2" }, { prev: ["left", "right"] })
    .member("gone", BOB, "leave")
    .state("end", "m.room.tombstone", ALICE, { body: "Moved", replacement_room: "!new:a.example" });
}

function plain({ state, ...rest }: Control): unknown {
  return { ...rest, state: [...state.ids()].sort() };
}

describe.each(["1", "10", "12"] as const)("the control record of room version %s", (v) => {
  it("is the same and as frozen whether or not somebody watches", async () => {
    const story = eventful(v);
    const watched = await roomOf(testServer({ ring: story.ring }), story);
    const alone = await roomOf(testServer({ ring: story.ring }), story);
    watched.subscribe(() => undefined);
    let before = alone.control;
    for (const json of story.jsons()) {
      for (const room of [watched, alone]) {
        expect((await room.receive([json], { origin: PEER })).map(short)).toEqual(["accepted"]);
      }
      const { control } = alone;
      expect(plain(control)).toEqual(plain(watched.control));
      expect(control).not.toBe(before);
      expect(control.revision).toBe(before.revision + 1);
      for (const part of [control, control.forwardExtremities, control.counts, control.powerLevels ?? control]) {
        expect(Object.isFrozen(part)).toBe(true);
      }
      before = control;
    }
    expect(before).toMatchObject({
      creator: ALICE,
      name: "The room",
      topic: "About it",
      encrypted: true,
      replacement: "!new:a.example",
      counts: { join: 1, leave: 1 },
      servers: 1,
    });
    expect(Object.isFrozen(before.powerLevels?.["users"])).toBe(true);
  });
});
