import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ABSENT, authChain, RoomIndex, StateMap, topologicalOrder } from "../../src/dag/index.js";
import { UsageError } from "../../src/errors.js";
import type { RoomEvent } from "../../src/event/index.js";
import { roomEvent, rulesOf } from "../support/event.js";

const v10 = rulesOf("10");

/** An index of events given as `id: cited`, added in the order of the keys or of `order`. */
function indexOf(graph: Readonly<Record<string, readonly string[]>>, order = Object.keys(graph)): RoomIndex {
  const index = new RoomIndex(v10);
  for (const id of order) index.add(roomEvent(id, { authEvents: graph[id] ?? [] }));
  return index;
}

/** Whether every cited event stands before those that cite it, and all stand once. */
function isTopological(index: RoomIndex): boolean {
  const order = index.authOrder();
  if (order === undefined) return false;
  const place = new Map([...order].map((number, at) => [number, at]));
  return (
    place.size === index.size &&
    [...order].every((number) =>
      [...index.authEdges(number)].every((cited) => (place.get(cited) ?? Infinity) < (place.get(number) ?? -1)),
    )
  );
}

/** A random graph without cycles: event n cites some of the events before it. */
const acyclic = fc.array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 25 }).map((cites) =>
  cites.map((picks, at) => ({
    id: `$${String(at)}`,
    cited: at === 0 ? [] : picks.map((pick) => `$${String(pick % at)}`),
  })),
);

describe("RoomIndex", () => {
  it("gives numbers to events and to what they cite [cap:graph]", () => {
    const index = new RoomIndex(v10);
    const event = roomEvent("$b", { authEvents: ["$a", "$c"], type: "m.room.name", stateKey: "" });
    const number = index.add(event);
    expect([index.size, index.keyCount]).toEqual([3, 1]);
    expect([...index.authEdges(number)].map((at) => index.idOf(at))).toEqual(["$a", "$c"]);
    expect(index.eventOf(number)).toStrictEqual(event);
    expect(index.get("$b")).toStrictEqual(event);
    const placeholder = index.numberOf("$a");
    expect(placeholder).not.toBe(ABSENT);
    expect([index.eventOf(placeholder), index.get("$a"), index.keyOf(placeholder)]).toEqual([
      undefined,
      undefined,
      ABSENT,
    ]);
    expect([...index.authEdges(placeholder)]).toEqual([]);
    expect([index.numberOf("$x"), index.get("$x"), index.numberOf("constructor")]).toEqual([ABSENT, undefined, ABSENT]);
    expect(index.add(roomEvent("$a"))).toBe(placeholder);
    expect(index.eventOf(placeholder)?.eventId).toBe("$a");
  });

  it.each([
    ["alone", ["$a"]],
    ["among new ones", ["$x", "$a", "$y"]],
    ["among known ones", ["$known", "$a"]],
  ])("gives one number to an event that cites itself, %s", (_, authEvents) => {
    const index = indexOf({ $known: [] });
    const number = index.add(roomEvent("$a", { authEvents }));
    expect([...index.authEdges(number)].map((at) => index.idOf(at))).toEqual(authEvents);
    expect([index.numberOf("$a"), index.get("$a")?.eventId, index.size]).toEqual([
      number,
      "$a",
      new Set(["$known", ...authEvents]).size,
    ]);
    expect([index.acyclic, index.parentsFirst]).toEqual([false, false]);
  });

  it("keeps the copy that came first", () => {
    const index = new RoomIndex(v10);
    const first = roomEvent("$a", { content: { first: true }, authEvents: ["$x"] });
    const number = index.add(first, { rejected: true });
    expect(index.add(roomEvent("$a", { authEvents: ["$y"], stateKey: "" }), { rejected: false })).toBe(number);
    expect(index.eventOf(number)).toStrictEqual(first);
    expect(index.isRejected(number)).toBe(true);
    expect([index.numberOf("$y"), index.keyCount, index.size]).toEqual([ABSENT, 0, 2]);
    const other = index.add(roomEvent("$b"));
    index.add(roomEvent("$b"), { rejected: true });
    expect(index.isRejected(other)).toBe(false);
  });

  it("keeps state keys apart that a joined string would confuse", () => {
    const index = new RoomIndex(v10);
    const keys: readonly (readonly [string, string])[] = [
      ["a:b", "c"],
      ["a", "b:c"],
      ["a", "b"],
      ["ab", ""],
      ["a", ""],
      ["", "ab"],
      ["__proto__", "constructor"],
    ];
    const numbers = keys.map(([type, stateKey], at) =>
      index.keyOf(index.add(roomEvent(`$${String(at)}`, { type, stateKey }))),
    );
    expect(new Set(numbers).size).toBe(keys.length);
    expect(index.keyCount).toBe(keys.length);
    keys.forEach(([type, stateKey], at) => {
      expect(index.keyNumber(type, stateKey)).toBe(numbers[at]);
      expect(index.keyAt(numbers[at] ?? -1)).toEqual([type, stateKey]);
    });
    expect(index.keyOf(index.add(roomEvent("$again", { type: "a", stateKey: "b" })))).toBe(numbers[2]);
    expect(index.keyNumber("a", "constructor")).toBe(ABSENT);
    expect(index.keyNumber("constructor", "")).toBe(ABSENT);
    expect(index.keyOf(index.add(roomEvent("$message")))).toBe(ABSENT);
  });

  it("refuses numbers of another index", () => {
    const index = indexOf({ $a: [] });
    expect(() => index.idOf(1)).toThrow(UsageError);
    expect(() => index.keyAt(0)).toThrow(UsageError);
    expect([index.eventOf(9), [...index.authEdges(9)], index.keyOf(9), index.isRejected(9)]).toEqual([
      undefined,
      [],
      ABSENT,
      false,
    ]);
  });

  it("makes states, a later event replacing an earlier one of its key", () => {
    const index = new RoomIndex(v10);
    for (const [id, stateKey] of [
      ["$a", "x"],
      ["$b", "y"],
      ["$c", "x"],
    ] as const)
      index.add(roomEvent(id, { stateKey }));
    expect(index.idsOf(index.stateOf(["$a", "$b"])).sort()).toEqual(["$a", "$b"]);
    expect(index.idsOf(index.stateOf(["$a", "$b", "$c"])).sort()).toEqual(["$b", "$c"]);
    expect(index.stateOf([]).equals(StateMap.empty)).toBe(true);
    index.add(roomEvent("$message", { authEvents: ["$cited"] }));
    for (const id of ["$unknown", "$message", "$cited"]) expect(() => index.stateOf(["$a", id])).toThrow(UsageError);
  });

  it("makes the same state of lists in any order", () => {
    const keys = ["a", "b", "c", "d"];
    const index = new RoomIndex(v10);
    for (const round of ["first", "then"]) {
      for (const stateKey of keys) index.add(roomEvent(`$${round} ${stateKey}`, { type: "x", stateKey }));
    }
    const list = fc
      .tuple(...keys.map((key) => fc.constantFrom(`$first ${key}`, `$then ${key}`)))
      .chain((ids) => fc.shuffledSubarray(ids));
    fc.assert(
      fc.property(fc.array(list, { minLength: 1, maxLength: 4 }), (lists) => {
        for (const ids of lists) {
          const state = index.stateOf(ids);
          expect(index.idsOf(state).sort()).toEqual([...ids].sort());
          for (const id of ids) expect(state.get(index.keyOf(index.numberOf(id)))).toBe(index.numberOf(id));
        }
      }),
      { seed: 6, numRuns: 300 },
    );
    expect(() => index.stateOf(["$first a", "$then e"])).toThrow(UsageError);
  });

  it("finds the create event that a room id of version 12 names [cap:version-12 v:12]", () => {
    const fill = (index: RoomIndex): RoomIndex => {
      index.add(roomEvent("$create", { type: "m.room.create", stateKey: "" }));
      index.add(roomEvent("$name", { type: "m.room.name", stateKey: "", authEvents: ["$cited"] }));
      return index;
    };
    const index = fill(new RoomIndex(rulesOf("12")));
    expect(index.impliedCreate("!create")).toBe(index.numberOf("$create"));
    for (const room of ["!name", "!cited", "!unknown", ""]) expect(index.impliedCreate(room)).toBe(ABSENT);
    expect(fill(new RoomIndex(rulesOf("11"))).impliedCreate("!create")).toBe(ABSENT);
  });

  it("orders events behind what they cite, in whatever order they came [cap:topological-order]", () => {
    fc.assert(
      fc.property(acyclic, fc.integer(), (events, seed) => {
        const index = new RoomIndex(v10);
        for (const { id, cited } of shuffled(events, seed)) index.add(roomEvent(id, { authEvents: cited }));
        expect(isTopological(index)).toBe(true);
      }),
    );
  });

  it("takes up events that come after the order was asked for", () => {
    const index = indexOf({ $b: ["$a"] });
    expect(isTopological(index)).toBe(true);
    expect(index.authOrder()).toBe(index.authOrder());
    index.add(roomEvent("$c", { authEvents: ["$b", "$d"] }));
    index.add(roomEvent("$d", { authEvents: ["$e"] }));
    expect(index.size).toBe(5);
    expect(isTopological(index)).toBe(true);
  });

  it("has no order for a cycle, which ids of versions 1 and 2 can form [cap:graph v:1,2]", () => {
    expect(indexOf({ $a: ["$b"], $b: ["$a"] }).authOrder()).toBeUndefined();
    expect(indexOf({ $a: ["$a"] }).authOrder()).toBeUndefined();
    expect(indexOf({ $b: ["$a"], $a: ["$a"] }).authOrder()).toBeUndefined();
    expect(indexOf({ $x: [], $a: ["$c", "$x"], $b: ["$a"], $c: ["$b"] }).authOrder()).toBeUndefined();
    expect(isTopological(indexOf({ $a: ["$b", "$b"], $b: [] }))).toBe(true);
  });
});

function shuffled<T>(list: readonly T[], seed: number): T[] {
  return list
    .map((value, at) => [Math.imul(seed ^ (at * 0x9e3779b1), 0x85ebca6b) >>> 0, value] as const)
    .sort(([x], [y]) => x - y)
    .map(([, value]) => value);
}

describe("topologicalOrder [cap:topological-order]", () => {
  const order = (parents: readonly (readonly number[])[]) =>
    topologicalOrder(parents.length, (node) => parents[node] ?? []);
  it("puts parents first", () => {
    expect([...(order([[1], [2], []]) ?? [])]).toEqual([2, 1, 0]);
    expect([...(order([[], [], []]) ?? [])]).toEqual([0, 1, 2]);
    expect([...(order([[2, 2], [], [1]]) ?? [])]).toEqual([1, 2, 0]);
    expect([...(order([]) ?? [1])]).toEqual([]);
  });
  it("has none for a cycle, anywhere", () => {
    for (const parents of [[[0]], [[1], [0]], [[], [2, 0], [1]], [[1], [2], [0], []]])
      expect(order(parents)).toBeUndefined();
  });
});

describe("authChain [cap:auth-chain]", () => {
  const graph = {
    $create: [],
    $join: ["$create"],
    $power: ["$create", "$join"],
    $name: ["$create", "$join", "$power"],
  };

  it("holds everything cited, directly or not, and not the event itself", () => {
    const index = indexOf(graph);
    expect(authChain(index, ["$name"])).toEqual({ events: ["$create", "$join", "$power"], missing: [] });
    expect(authChain(index, ["$create"])).toEqual({ events: [], missing: [] });
    expect(authChain(index, ["$name", "$power"])).toEqual({ events: ["$create", "$join", "$power"], missing: [] });
    expect(authChain(index, [])).toEqual({ events: [], missing: [] });
    expect(authChain(index, ["$unknown"])).toEqual({ events: [], missing: [] });
  });
  it("says below which events it is unknown, sorted by code point", () => {
    const index = indexOf({ $z: ["$\u{1f600}", "$\uffff", "$y"], $y: ["$w"], "$\u{1f600}": [] });
    expect(authChain(index, ["$z"])).toEqual({ events: ["$y", "$\u{1f600}"], missing: ["$w", "$\uffff"] });
    expect(authChain(index, ["$w"])).toEqual({ events: [], missing: [] });
  });
  it("ends in a cycle", () => {
    expect(authChain(indexOf({ $a: ["$b"], $b: ["$a"] }), ["$a"])).toEqual({ events: ["$a", "$b"], missing: [] });
  });
  it("agrees with the plain definition on random graphs", () => {
    fc.assert(
      fc.property(acyclic, fc.integer(), fc.nat(24), (events, seed, pick) => {
        const index = new RoomIndex(v10);
        for (const { id, cited } of shuffled(events, seed)) index.add(roomEvent(id, { authEvents: cited }));
        const cites = new Map(events.map(({ id, cited }) => [id, cited]));
        const start = `$${String(pick % events.length)}`;
        const expected = new Set<string>();
        const walk = (id: string): void =>
          cites.get(id)?.forEach((cited) => {
            expected.add(cited);
            walk(cited);
          });
        walk(start);
        expect(authChain(index, [start])).toEqual({ events: [...expected].sort(), missing: [] });
      }),
    );
  });
  it("does not follow a path twice: 60 doubled levels have 2^60 paths", () => {
    const index = new RoomIndex(v10);
    let below: string[] = [];
    for (let level = 0; level < 60; level++) {
      const pair = [`$a${String(level)}`, `$b${String(level)}`];
      for (const id of pair) index.add(roomEvent(id, { authEvents: below }));
      below = pair;
    }
    expect(authChain(index, below).events).toHaveLength(118);
  });
  it("walks a chain of 100,000 events", () => {
    const index = new RoomIndex(v10);
    const add = (at: number): RoomEvent =>
      roomEvent(`$${String(at)}`, { authEvents: at === 0 ? [] : [`$${String(at - 1)}`] });
    for (let at = 99_999; at >= 0; at--) index.add(add(at));
    expect(authChain(index, ["$99999"]).events).toHaveLength(99_999);
    expect(index.authOrder()?.length).toBe(100_000);
    expect(index.idOf(index.authOrder()?.[0] ?? -1)).toBe("$0");
  });
});
