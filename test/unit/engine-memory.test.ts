/** What a room's memory takes for stored: nothing that a workspace decided and did not commit. */
import { describe, expect, it } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import { defaultLimits } from "../../src/engine/limits.js";
import type { Held } from "../../src/engine/held.js";
import { RoomMemory } from "../../src/engine/memory.js";
import { Workspace } from "../../src/engine/workspace.js";
import { omit } from "../../src/event/hashes.js";
import type { Pdu } from "../../src/event/pdu.js";
import type { EventId, UserId } from "../../src/ids/brands.js";
import type { JsonObject } from "../../src/json/index.js";
import type { Storage } from "../../src/ports/index.js";
import type { StoredVerdict } from "../../src/ports/verdict.js";
import { Story } from "../support/engine.js";

const accepted: StoredVerdict = { standing: "accepted", rule: "v10 rule 1.5", basis: "auth-events" };
const rejected: StoredVerdict = {
  standing: "rejected",
  check: "auth-events",
  refusal: { code: "auth_rejected", reason: "for this test", events: [] },
};

function held(event: Pdu, verdict: StoredVerdict): Held {
  const unplaced = { position: undefined, before: undefined, after: undefined, redactedBy: undefined };
  return { event, hashMismatch: false, verdict, ...unplaced };
}

interface TestRoom {
  readonly memory: RoomMemory;
  readonly storage: Storage;
  readonly create: Pdu;
  readonly commit: (...all: readonly Held[]) => Promise<void>;
}

/** A room of which nothing is in memory yet. */
function room(storage: Storage = createMemoryStorage()): TestRoom {
  const story = new Story("10").open();
  const memory = new RoomMemory(story.roomId, story.version, { ...defaultLimits, cachedEvents: 1 });
  const commit = async (...all: readonly Held[]): Promise<void> => {
    const ws = new Workspace(memory);
    for (const one of all) ws.record(one);
    const { batch, numbered } = ws.batch(memory.snapshots.empty);
    expect(await storage.commit(batch)).toEqual({ committed: true });
    ws.apply(batch, numbered, memory.snapshots.empty);
  };
  return { memory, storage, create: story.pdu("create"), commit };
}

/** The same event as another copy of it, or with other content. */
function copyOf(event: Pdu, content: JsonObject = structuredClone(event.content)): Pdu {
  return { ...event, content };
}

describe("a state event in memory", () => {
  it("judges once it is committed, not before", async () => {
    const { memory, create, commit } = room();
    new Workspace(memory).record(held(create, accepted));
    expect(memory.judges(create.eventId)).toBe(false);
    await commit(held(create, accepted));
    expect([memory.judges(create.eventId), memory.held(create.eventId)?.event]).toEqual([true, create]);
  });

  it("does not judge where the same commit rejects it in the end, or a later one", async () => {
    const { memory, create, commit } = room();
    await commit(held(create, accepted), held(create, rejected));
    expect(memory.judges(create.eventId)).toBe(false);
    await commit(held(create, accepted));
    expect(memory.judges(create.eventId)).toBe(true);
    await commit(held(create, rejected));
    expect([memory.judges(create.eventId), memory.held(create.eventId)?.verdict]).toEqual([false, rejected]);
    await commit(held(create, rejected), held(create, accepted));
    expect(memory.judges(create.eventId)).toBe(true);
  });

  it("does not judge because a message has its id, which hostile ones of room versions 1 and 2 may", async () => {
    const { memory, storage, create, commit } = room();
    const json = { ...omit(create.json, ["state_key"]), type: "m.room.message" };
    const message: Pdu = { ...create, type: "m.room.message", stateKey: undefined, json };
    new Workspace(memory).record(held(create, accepted));
    await commit(held(message, accepted));
    expect(memory.judges(create.eventId)).toBe(false);
    for (const name of ["$a", "$b", "$c"]) await commit(held({ ...message, eventId: name as EventId }, accepted));
    expect(memory.held(create.eventId)).toBeUndefined();
    expect((await memory.load(storage, [create.eventId])).map(({ event }) => event.type)).toEqual(["m.room.message"]);
    expect([memory.judges(create.eventId), memory.isSpoiled]).toEqual([false, false]);
  });

  it("does not judge once another process has rejected it", async () => {
    const one = room();
    await one.commit(held(one.create, accepted));
    const other = room(one.storage);
    const opened = await one.storage.openRoom(one.memory.roomId);
    if (opened === undefined) throw new Error("the room is stored");
    await other.memory.open(one.storage, opened, []);
    await other.commit(held(one.create, rejected));
    const changes = await one.storage.changesSince(one.memory.roomId, 1);
    if (changes === undefined) throw new Error("the room is stored");
    expect(one.memory.judges(one.create.eventId)).toBe(true);
    await one.memory.open(one.storage, changes, changes.events);
    expect(one.memory.judges(one.create.eventId)).toBe(false);
  });

  it("may be decided again, in the same copy", async () => {
    const { memory, create, commit } = room();
    new Workspace(memory).record(held(create, accepted));
    await commit(held(copyOf(create), accepted));
    expect([memory.judges(create.eventId), memory.isSpoiled]).toEqual([true, false]);
  });

  it.each<readonly [string, (event: Pdu) => Pdu]>([
    ["content", (event) => copyOf(event, { changed: true })],
    ["sender", (event) => ({ ...copyOf(event), sender: "@other:a.example" as UserId })],
    ["type", (event) => ({ ...copyOf(event), type: "m.room.topic" })],
    ["state key", (event) => ({ ...copyOf(event), stateKey: "other" })],
    ["time", (event) => ({ ...copyOf(event), originServerTs: 1 })],
    ["depth", (event) => ({ ...copyOf(event), depth: 77 })],
    ["auth events", (event) => ({ ...copyOf(event), authEvents: ["$other" as EventId] })],
    ["previous events", (event) => ({ ...copyOf(event), prevEvents: ["$other" as EventId] })],
    ["target", (event) => ({ ...copyOf(event), redacts: "$other" })],
  ])("spoils memory where a copy with another %s was decided and never stored", (_, change) => {
    const { memory, create } = room();
    new Workspace(memory).record(held(change(create), accepted));
    expect(memory.isSpoiled).toBe(false);
    new Workspace(memory).record(held(create, accepted));
    expect([memory.isSpoiled, memory.judges(create.eventId)]).toEqual([true, false]);
  });
});
