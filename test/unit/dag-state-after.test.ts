import { describe, expect, it } from "vitest";
import { ABSENT, RoomIndex, StateMap } from "../../src/dag/index.js";
import { UsageError } from "../../src/errors.js";
import { roomEvent, rulesOf } from "../support/event.js";

describe("the state after an event [cap:state-before-after]", () => {
  const index = new RoomIndex(rulesOf("10"));
  const topic = index.add(roomEvent("$topic", { type: "m.room.topic", stateKey: "" }));
  const newer = index.add(roomEvent("$newer", { type: "m.room.topic", stateKey: "" }));
  const message = index.add(roomEvent("$message", { type: "m.room.message", stateKey: undefined }));

  it("has a state event at its key, in place of what was there", () => {
    const before = index.stateAfter(StateMap.empty, topic);
    expect(index.idsOf(before)).toEqual(["$topic"]);
    expect(index.idsOf(index.stateAfter(before, newer))).toEqual(["$newer"]);
    expect(index.idsOf(before)).toEqual(["$topic"]);
  });

  it("is the state before it for a message event, which has no key to be set at", () => {
    const before = index.stateAfter(StateMap.empty, topic);
    expect(index.stateAfter(before, message)).toBe(before);
    expect(index.keyOf(message)).toBe(ABSENT);
    expect(() => before.set(index.keyOf(message), message)).toThrow(UsageError);
  });

  it("is read by type and state key", () => {
    const state = index.lookup(index.stateAfter(StateMap.empty, newer));
    expect(state("m.room.topic", "")?.eventId).toBe("$newer");
    expect(state("m.room.topic", "other")).toBeUndefined();
    expect(index.lookup(StateMap.empty)("m.room.topic", "")).toBeUndefined();
  });
});
