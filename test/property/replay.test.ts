/** Any causal delivery order gives the same state at every event, and the same forward extremities. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkStateDependent, checkStateIndependent } from "../../src/auth/check.js";
import { EventGraph } from "../../src/dag/event-graph.js";
import { RoomIndex } from "../../src/dag/room-index.js";
import { ABSENT } from "../../src/dag/state-map.js";
import type { StateMap } from "../../src/dag/state-map.js";
import { readPdu } from "../../src/event/format.js";
import { compareCodePoints } from "../../src/json/compare.js";
import { arbDelivery, arbRoom, resolutionRequest } from "../../src/testing/index.js";
import type { TestEvent, TestRoom } from "../../src/testing/index.js";
import { resolve, runs, seed } from "./laws-support.js";
import { roomVersions } from "../../src/versions/index.js";
import type { RoomVersion } from "../../src/versions/index.js";

const versions = roomVersions.ids().map((id): [string, RoomVersion] => {
  const found = roomVersions.get(id);
  if (!found.ok) throw new Error(found.error.reason);
  return [id, found.value];
});

/** A server that starts with nothing and takes events in this order. */
const receive = ({ rules, resolve: resolver }: RoomVersion, delivery: readonly TestEvent[]) => {
  const index = new RoomIndex(rules);
  const graph = new EventGraph();
  const after = new Map<string, StateMap>();
  const before = new Map<string, readonly string[]>();
  for (const { pdu } of delivery) {
    const parsed = readPdu(rules, pdu);
    if (!parsed.ok) throw new Error(parsed.error.reason);
    const event = parsed.value;
    const resolved = resolver(
      index,
      event.prevEvents.map((id) => after.get(id)!),
    );
    if (resolved.verdict !== "resolved") throw new Error(resolved.verdict);
    const { state } = resolved;
    const at = (type: string, stateKey: string) => {
      const key = index.keyNumber(type, stateKey);
      return key === ABSENT ? undefined : index.eventOf(state.get(key));
    };
    const known = (id: string) => {
      const other = index.get(id);
      return other === undefined ? undefined : { event: other, rejected: false };
    };
    expect(checkStateIndependent(rules, event, known).verdict).toBe("allowed");
    expect(checkStateDependent(rules, event, at).verdict).toBe("allowed");
    before.set(event.eventId, index.idsOf(state).sort(compareCodePoints));
    const number = index.add(event);
    after.set(event.eventId, index.keyOf(number) === ABSENT ? state : state.set(index.keyOf(number), number));
    graph.add(event);
  }
  return { before, graph };
};

const delivered = (id: string) => arbRoom(id).chain((room) => fc.tuple(fc.constant(room), arbDelivery(room)));

describe.each(versions)("room version %s", (id, version) => {
  it("replayed in any causal order, has the same state before every event and the same extremities", () => {
    fc.assert(
      fc.property(delivered(id), ([room, delivery]) => {
        const { before, graph } = receive(version, delivery);
        expect([...before.keys()].sort()).toEqual(room.events.map(({ eventId }) => eventId).sort());
        for (const { eventId, stateBefore } of room.events) expect(before.get(eventId)).toEqual(stateBefore);
        expect(graph.forwardExtremities()).toEqual(room.extremities);
        expect(graph.gaps()).toEqual([]);
      }),
      { seed, numRuns: runs(25) },
    );
  });

  it("has graphs that do not depend on the order of arrival, causal or not", () => {
    fc.assert(
      fc.property(
        arbRoom(id).chain((room) => fc.tuple(fc.constant(room), shuffled(room))),
        ([room, delivery]) => {
          const graphs = [room.events, delivery].map((events) => {
            const graph = new EventGraph();
            for (const { pdu } of events) {
              const parsed = readPdu(version.rules, pdu);
              if (parsed.ok) graph.add(parsed.value);
            }
            return graph;
          });
          const [first, second] = graphs.map((graph) => [
            graph.forwardExtremities(),
            graph.backwardExtremities(),
            graph.topological(),
            graph.gaps(),
          ]);
          expect(second).toEqual(first);
          expect(first?.[0]).toEqual(room.extremities);
        },
      ),
      { seed, numRuns: runs(15) },
    );
  });

  it("resolves every fork of a room to what follows it", () => {
    fc.assert(
      fc.property(arbRoom(id, { maxSteps: 60 }), (room) => {
        for (const event of room.events) {
          const parents = room.events.filter(({ eventId }) =>
            JSON.stringify(event.pdu["prev_events"]).includes(eventId),
          );
          if (parents.length < 2) continue;
          const sets = parents.map(({ stateAfter }) => stateAfter);
          expect([...resolve(resolutionRequest(room, sets))].sort(compareCodePoints)).toEqual(event.stateBefore);
        }
      }),
      { seed, numRuns: runs(10) },
    );
  });
});

const shuffled = (room: TestRoom) => fc.shuffledSubarray([...room.events], { minLength: room.events.length });

it("generated rooms do fork, merge, and lose conflicts", () => {
  for (const [id] of versions) {
    const rooms = fc.sample(arbRoom(id), { seed, numRuns: 60 });
    const merges = rooms
      .flatMap(({ events }) => events)
      .filter(({ pdu }) => (pdu["prev_events"] as unknown[]).length > 1);
    expect(merges.length).toBeGreaterThan(10);
    const types = new Set(rooms.flatMap(({ events }) => events).map(({ pdu }) => pdu["type"]));
    expect([...types]).toEqual(
      expect.arrayContaining(["__proto__", "m.room.power_levels", "m.room.redaction", "\u{1f600}"]),
    );
    expect(rooms.some(({ extremities }) => extremities.length > 1)).toBe(true);
    expect(Math.max(...rooms.map(({ events }) => events.length))).toBeGreaterThan(20);
  }
});

it("a shrunken room is a valid room", () => {
  const wanted = (room: TestRoom): boolean => room.events.some(({ pdu }) => pdu["type"] === "m.room.topic");
  const found = fc.check(
    fc.property(arbRoom("11"), (room) => !wanted(room)),
    { seed, numRuns: 500 },
  );
  const [room] = found.counterexample!;
  const { rules } = versions.find(([id]) => id === "11")![1];
  expect(room.events.length).toBeLessThan(6);
  expect(receive(versions.find(([id]) => id === "11")![1], room.events).before.size).toBe(room.events.length);
  expect(rules.id).toBe(room.version);
});
