/** Auth difference and conflicted subgraph against sets and paths counted out by hand (digest row 48). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { authChain } from "../../src/dag/auth-chain.js";
import { RoomIndex } from "../../src/dag/room-index.js";
import { StateMap } from "../../src/dag/state-map.js";
import type { RoomEvent } from "../../src/event/pdu.js";
import { authDifference, conflictedKeys, conflictedSubgraph } from "../../src/stateres/conflict.js";
import { walkAuthDifference, walkConflictedSubgraph } from "../../src/stateres/walk.js";
import { rulesV12 } from "../../src/versions/v12.js";
import { runs, seed } from "./laws-support.js";

const size = 9;

/** Graphs of `size` events: bit j of the i-th number says that event i cites event j, for j below i. */
const graphs = fc.record({
  edges: fc.array(fc.nat(2 ** size - 1), { minLength: size, maxLength: size }),
  keys: fc.array(fc.nat(3), { minLength: size, maxLength: size }),
  /** Each state: bit i says that it has event i, the last one of a key. */
  states: fc.array(fc.nat(2 ** size - 1), { minLength: 1, maxLength: 4 }),
  /** Numbers follow citations, or do not. */
  order: fc.oneof(
    fc.constant([...Array(size).keys()]),
    fc.shuffledSubarray([...Array(size).keys()], { minLength: size }),
  ),
});
type Graph = typeof graphs extends fc.Arbitrary<infer T> ? T : never;

const bits = (mask: number): number[] => [...Array(size).keys()].filter((at) => (mask >> at) % 2 === 1);
const citedBy = ({ edges }: Graph, at: number): number[] => bits(edges[at]!).filter((other) => other < at);

const eventOf = (graph: Graph, at: number): RoomEvent => ({
  eventId: `$${at}`,
  roomId: "!r",
  type: "x",
  stateKey: String(graph.keys[at]),
  sender: "@a:b",
  content: {},
  depth: 1,
  originServerTs: 0,
  authEvents: citedBy(graph, at).map((other) => `$${other}`),
  prevEvents: [],
  redacts: undefined,
  hasRoomId: true,
});

const stateIds = (graph: Graph, mask: number): string[] => [
  ...new Map(bits(mask).map((at) => [graph.keys[at], `$${at}`])).values(),
];

/** Every path of citations from an event, itself alone included. */
const paths = (graph: Graph, at: number): number[][] => [
  [at],
  ...citedBy(graph, at).flatMap((other) => paths(graph, other).map((path) => [at, ...path])),
];

const closure = (graph: Graph, ids: Iterable<string>): Set<string> =>
  new Set([...ids].flatMap((id) => paths(graph, Number(id.slice(1))).flat()).map((at) => `$${at}`));

const setUp = (graph: Graph) => {
  const index = new RoomIndex(rulesV12);
  for (const at of graph.order) index.add(eventOf(graph, at));
  const sets = graph.states.map((mask) => stateIds(graph, mask));
  const states = sets.map((ids) => index.stateOf(ids));
  return {
    index,
    sets,
    states,
    order: index.authOrder()!,
    idsOf: (numbers: Iterable<number>) => Array.from(numbers, (number) => index.idOf(number)).sort(),
  };
};

describe("against sets", () => {
  it("the auth difference is the union of the chains less their intersection", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const { index, sets, states, order, idsOf } = setUp(graph);
        const chains = sets.map((ids) => closure(graph, ids));
        const union = [...new Set(chains.flatMap((chain) => [...chain]))];
        const expected = union.filter((id) => !chains.every((chain) => chain.has(id))).sort();
        expect(idsOf(authDifference(index, order, states, conflictedKeys(states)))).toEqual(expected);
        // So few events are always walked.
        expect(idsOf(walkAuthDifference(index, states, conflictedKeys(states)) ?? [])).toEqual(expected);
      }),
      { seed, numRuns: runs(600) },
    );
  });

  it("sweeps of thirty states agree with sets too", () => {
    const many = fc.tuple(graphs, fc.array(fc.nat(2 ** size - 1), { minLength: 28, maxLength: 65 }));
    fc.assert(
      fc.property(many, ([graph, masks]) => {
        const wide = { ...graph, states: masks };
        const { index, sets, states, order, idsOf } = setUp(wide);
        const chains = sets.map((ids) => closure(wide, ids));
        const union = [...new Set(chains.flatMap((chain) => [...chain]))];
        expect(idsOf(authDifference(index, order, states, conflictedKeys(states)))).toEqual(
          union.filter((id) => !chains.every((chain) => chain.has(id))).sort(),
        );
      }),
      { seed, numRuns: runs(60) },
    );
  });

  it("the conflicted subgraph is what lies on paths between conflicted events", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const { index, states, order, idsOf } = setUp(graph);
        const conflicted = new Set([...conflictedKeys(states).values()].flat());
        const ends = new Set(idsOf(conflicted));
        const starts = [...ends].map((id) => Number(id.slice(1)));
        const between = starts
          .flatMap((at) => paths(graph, at))
          .filter((path) => ends.has(`$${path.at(-1)}`))
          .flat();
        const expected = [...new Set(between.map((at) => `$${at}`))].sort();
        expect(idsOf(conflictedSubgraph(index, order, conflicted))).toEqual(expected);
        const walked = walkConflictedSubgraph(index, conflicted) ?? [];
        expect(idsOf(walked)).toEqual(expected);
        for (const [at, number] of walked.entries()) {
          for (const later of walked.slice(at)) expect(index.authEdges(number)).not.toContain(later);
        }
      }),
      { seed, numRuns: runs(600) },
    );
  });

  it("the auth chain is what citations lead to, the start excluded unless cited", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const { index, sets } = setUp(graph);
        for (const ids of sets) {
          const expected = closure(
            graph,
            ids.flatMap((id) => eventOf(graph, Number(id.slice(1))).authEvents),
          );
          expect(authChain(index, ids)).toEqual({ events: [...expected].sort(), missing: [] });
        }
      }),
      { seed, numRuns: runs(200) },
    );
  });

  it("conflicted keys are those at which the states are not all alike", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const { index, sets, states, idsOf } = setUp(graph);
        const expected = new Map<string, string[]>();
        for (const key of new Set(graph.keys.map(String))) {
          const held = sets.map((ids) => ids.find((id) => String(graph.keys[Number(id.slice(1))]) === key));
          const distinct = [...new Set(held)];
          if (distinct.length > 1) expected.set(key, distinct.filter((id) => id !== undefined).sort());
        }
        const actual = new Map(
          [...conflictedKeys(states)].map(([key, numbers]) => [index.keyAt(key)[1], idsOf(numbers)]),
        );
        expect(Object.fromEntries(actual)).toEqual(Object.fromEntries(expected));
      }),
      { seed, numRuns: runs(200) },
    );
  });
});

it("state maps behave as maps", () => {
  const entries = fc.array(fc.tuple(fc.oneof(fc.nat(40), fc.nat(2 ** 17)), fc.integer({ min: -1, max: 5 })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(entries, entries, (mine, theirs) => {
      const [[left, leftMap], [right, rightMap]] = [mine, theirs].map((list) => {
        const map = new Map<number, number>();
        let state = StateMap.empty;
        for (const [key, event] of list) {
          state = state.set(key, event);
          if (event === -1) map.delete(key);
          else map.set(key, event);
        }
        return [state, map] as const;
      }) as [readonly [StateMap, Map<number, number>], readonly [StateMap, Map<number, number>]];
      const seen: [number, number][] = [];
      left.forEach((event, key) => seen.push([key, event]));
      expect(seen).toEqual([...leftMap].sort(([a], [b]) => a - b));
      expect(left.size).toBe(leftMap.size);
      const different: number[] = [];
      left.diff(right, (key) => different.push(key));
      const keys = new Set([...leftMap.keys(), ...rightMap.keys()]);
      expect(different.sort((a, b) => a - b)).toEqual(
        [...keys].filter((key) => leftMap.get(key) !== rightMap.get(key)).sort((a, b) => a - b),
      );
      expect(left.equals(right)).toBe(different.length === 0);
    }),
    { seed, numRuns: runs(200) },
  );
});
