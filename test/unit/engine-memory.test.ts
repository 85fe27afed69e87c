/** What a room's memory takes for stored: nothing that a workspace decided and did not commit. */
import { describe, expect, it } from "vitest";
import { defaultLimits } from "../../src/engine/limits.js";
import type { Held } from "../../src/engine/held.js";
import { RoomMemory } from "../../src/engine/memory.js";
import { Workspace } from "../../src/engine/workspace.js";
import type { Pdu } from "../../src/event/pdu.js";
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

/** A room of which nothing is stored yet. */
function room(): { memory: RoomMemory; create: Pdu; commit: (...all: readonly Held[]) => void } {
  const story = new Story("10").open();
  const memory = new RoomMemory(story.roomId, story.version, defaultLimits);
  const commit = (...all: readonly Held[]): void => {
    const ws = new Workspace(memory);
    for (const one of all) ws.record(one);
    const { batch, numbered } = ws.batch(memory.snapshots.empty);
    ws.apply(batch, numbered, memory.snapshots.empty);
  };
  return { memory, create: story.pdu("create"), commit };
}

describe("a state event in memory", () => {
  it("judges once it is committed, not before", () => {
    const { memory, create, commit } = room();
    new Workspace(memory).record(held(create, accepted));
    expect(memory.judges(create.eventId)).toBe(false);
    commit(held(create, accepted));
    expect([memory.judges(create.eventId), memory.held(create.eventId)?.event]).toEqual([true, create]);
  });

  it("does not judge where the same commit rejects it in the end, or a later one", () => {
    const { memory, create, commit } = room();
    commit(held(create, accepted), held(create, rejected));
    expect(memory.judges(create.eventId)).toBe(false);
    commit(held(create, accepted));
    expect(memory.judges(create.eventId)).toBe(true);
    commit(held(create, rejected));
    expect([memory.judges(create.eventId), memory.held(create.eventId)?.verdict]).toEqual([false, rejected]);
    commit(held(create, rejected), held(create, accepted));
    expect(memory.judges(create.eventId)).toBe(true);
  });

  it("does not judge because a message has its id, which hostile ones of room versions 1 and 2 may", () => {
    const { memory, create, commit } = room();
    new Workspace(memory).record(held(create, accepted));
    commit(held({ ...create, type: "m.room.message", stateKey: undefined }, accepted));
    expect(memory.judges(create.eventId)).toBe(false);
  });
});
