/**
 * A resolution leaves nothing behind: what a host changes between two of them is seen, and the bench may resolve over
 * one index again and again (bench/peers/ours.ts).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RoomIndex } from "../../src/dag/index.js";
import { readEvent } from "../../src/event/index.js";
import type { JsonValue } from "../../src/json/index.js";
import { arbFork } from "../../src/testing/index.js";
import { roomVersions } from "../../src/versions/index.js";
import { runs, seed } from "./laws-support.js";

/** Contents that count how often anything in them is read. */
class Counter {
  reads = 0;

  of<T extends JsonValue>(value: T): T {
    if (typeof value !== "object" || value === null) return value;
    return new Proxy(value, {
      get: (target, key, receiver): unknown => {
        this.reads++;
        return this.of(Reflect.get(target, key, receiver) as JsonValue);
      },
    });
  }
}

describe.each(["1", "2", "6", "10", "11", "12", "I.1"])("a second resolution, room version %s", (id) => {
  const found = roomVersions.get(id);
  if (!found.ok) throw new Error(found.error.reason);
  const version = found.value;

  it("reads as much of all contents as the first over the same index, and comes to the same", () => {
    let conflicts = 0;
    const property = fc.property(arbFork(id), ({ room, request }) => {
      const counter = new Counter();
      const index = new RoomIndex(version.rules);
      for (const { eventId, pdu } of room.events) {
        const read = readEvent(version.rules, { ...pdu, event_id: eventId });
        if (!read.ok) throw new Error(read.error.reason);
        index.add({ ...read.value, eventId, content: counter.of(read.value.content) });
      }
      const states = request.state_sets.map((ids) => index.stateOf(ids));
      const once = (): readonly [string[], number] => {
        counter.reads = 0;
        const resolution = version.resolve(index, states);
        if (resolution.verdict !== "resolved") throw new Error(resolution.verdict);
        return [index.idsOf(resolution.state).sort(), counter.reads];
      };
      const first = once();
      if (first[1] > 0) conflicts++;
      expect(once()).toEqual(first);
      expect(once()).toEqual(first);
    });
    fc.assert(property, { seed, numRuns: runs(20) });
    expect(conflicts).toBeGreaterThan(5);
  });
});
