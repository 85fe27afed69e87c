import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ABSENT, StateMap } from "../../src/dag/index.js";

type Entry = readonly [key: number, event: number];

const stateOf = (entries: Iterable<Entry>): StateMap => {
  let state = StateMap.empty;
  for (const [key, event] of entries) state = state.set(key, event);
  return state;
};
const of = (entries: readonly Entry[], like?: StateMap): StateMap =>
  StateMap.of(
    entries.map(([key]) => key),
    entries.map(([, event]) => event),
    like,
  );
const entriesOf = (state: StateMap): Entry[] => {
  const entries: Entry[] = [];
  state.forEach((event, key) => entries.push([key, event]));
  return entries;
};
const differences = (a: StateMap, b: StateMap): (readonly [number, number, number])[] => {
  const found: (readonly [number, number, number])[] = [];
  a.diff(b, (key, mine, theirs) => found.push([key, mine, theirs]));
  return found;
};

/** Keys around every place where the tree grows by a level. */
const key = fc.oneof(
  fc.nat(80),
  fc.constantFrom(
    15,
    16,
    17,
    255,
    256,
    257,
    4095,
    4096,
    4097,
    65_535,
    65_536,
    2 ** 20 - 1,
    2 ** 20,
    2 ** 24,
    2 ** 28,
    2 ** 30,
    2 ** 31 - 1,
  ),
);
const changes = fc.array(fc.tuple(key, fc.oneof(fc.constant(ABSENT), fc.nat(9))), { maxLength: 60 });

describe("StateMap", () => {
  it("behaves as a plain map, whatever is set, replaced and removed", () => {
    fc.assert(
      fc.property(changes, (list) => {
        const model = new Map<number, number>();
        let state = StateMap.empty;
        for (const [at, event] of list) {
          const before = entriesOf(state);
          const next = state.set(at, event);
          expect(entriesOf(state)).toEqual(before);
          if (event === ABSENT) model.delete(at);
          else model.set(at, event);
          state = next;
          expect(state.get(at)).toBe(event);
          expect(state.size).toBe(model.size);
        }
        const expected = [...model].sort(([a], [b]) => a - b);
        expect(entriesOf(state)).toEqual(expected);
        expect(state.any()).toBe(expected[0]?.[1] ?? ABSENT);
        for (const probe of [0, 15, 16, 256, 4096, 65_536, 2 ** 30])
          expect(state.get(probe)).toBe(model.get(probe) ?? ABSENT);
        expect(state.equals(stateOf(model))).toBe(true);
        expect(stateOf(model).equals(state)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it("differs exactly where the models do, seen from both sides", () => {
    fc.assert(
      fc.property(changes, changes, changes, (common, mine, theirs) => {
        const base = stateOf(common);
        const [a, b] = [mine.reduce(apply, base), theirs.reduce(apply, base)];
        const [left, right] = [new Map(entriesOf(a)), new Map(entriesOf(b))];
        const keys = [...new Set([...left.keys(), ...right.keys()])].sort((x, y) => x - y);
        const expected = keys
          .map((at) => [at, left.get(at) ?? ABSENT, right.get(at) ?? ABSENT] as const)
          .filter(([, x, y]) => x !== y);
        expect(differences(a, b)).toEqual(expected);
        expect(differences(b, a)).toEqual(expected.map(([at, x, y]) => [at, y, x]));
        expect(a.equals(b)).toBe(expected.length === 0);
        expect(differences(a, a)).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it("is the same made at once as set key by key, whatever it shares with", () => {
    const dense = fc.array(fc.tuple(fc.nat(2500), fc.nat(5)), { maxLength: 60 });
    fc.assert(
      fc.property(dense, dense, fc.boolean(), changes, (entries, more, fromSame, others) => {
        const expected = stateOf(entries);
        const like = fromSame ? more.reduce(apply, expected) : stateOf(others);
        for (const made of [of(entries), of(entries, like), of(entries, expected)]) {
          expect(entriesOf(made)).toEqual(entriesOf(expected));
          expect(made.size).toBe(expected.size);
          expect(made.equals(expected)).toBe(true);
          expect(differences(made, like)).toEqual(differences(expected, like));
          expect(entriesOf(made.set(7, 99))).toEqual(entriesOf(expected.set(7, 99)));
        }
        expect(entriesOf(of([...more, ...entries], like))).toEqual(entriesOf(stateOf([...more, ...entries])));
      }),
      { numRuns: 100 },
    );
    expect(of([], stateOf([[1, 1]])).size).toBe(0);
    const big = Array.from({ length: 40_000 }, (_, at): Entry => [at, at]);
    const same = of(big, of(big.slice(0, 33_000)));
    expect([same.size, same.get(39_999), same.get(40_000)]).toEqual([40_000, 39_999, ABSENT]);
  });

  it("is the same set at once as key by key, and leaves what it was made from as it was", () => {
    fc.assert(
      fc.property(changes, changes, (before, list) => {
        const state = stateOf(before);
        const held = entriesOf(state);
        const at = new Map(list);
        const made = state.setAll(at);
        let expected = state;
        for (const [one, event] of at) expected = expected.set(one, event);
        expect(entriesOf(made)).toEqual(entriesOf(expected));
        expect(made.size).toBe(expected.size);
        expect(differences(state, made)).toEqual(differences(state, expected));
        expect(entriesOf(state)).toEqual(held);
        expect(made.setAll(at)).toBe(made);
      }),
    );
  });

  it("takes no key below 0, alone or among others", () => {
    const message = /RoomIndex.stateAfter/;
    expect(() => StateMap.empty.set(ABSENT, 1)).toThrow(message);
    expect(() =>
      StateMap.empty.setAll(
        new Map([
          [5, 1],
          [ABSENT, 1],
        ]),
      ),
    ).toThrow(message);
  });

  it("holds more than 16^3 keys", () => {
    let state = StateMap.empty;
    for (let at = 0; at < 40_000; at++) state = state.set(at, at * 2);
    expect(state.size).toBe(40_000);
    for (const at of [0, 15, 16, 255, 256, 4095, 4096, 32_767, 32_768, 39_999]) expect(state.get(at)).toBe(at * 2);
    expect(state.get(40_000)).toBe(ABSENT);
    expect(state.get(2 ** 30)).toBe(ABSENT);
    let sum = 0;
    let last = -1;
    state.forEach((event, at) => {
      expect(at).toBe(last + 1);
      last = at;
      sum += event;
    });
    expect(sum).toBe(40_000 * 39_999);
    const emptied = state.set(32_768, ABSENT);
    expect([emptied.size, emptied.get(32_768), state.get(32_768)]).toEqual([39_999, ABSENT, 65_536]);
    expect(differences(emptied, state)).toEqual([[32_768, ABSENT, 65_536]]);
  });

  it("is the same state when a change changes nothing", () => {
    let state = StateMap.empty;
    for (let at = 0; at < 2000; at++) state = state.set(at, at);
    expect(state.set(5, 5)).toBe(state);
    expect(state.set(3000, ABSENT)).toBe(state);
    expect(StateMap.empty.set(7, ABSENT)).toBe(StateMap.empty);
    expect(state.set(5, 6).set(5, 5).equals(state)).toBe(true);
  });

  it("is empty where all was removed", () => {
    const emptied = stateOf([
      [1, 1],
      [40_000, 2],
    ])
      .set(1, ABSENT)
      .set(40_000, ABSENT);
    expect([emptied.size, emptied.any(), entriesOf(emptied)]).toEqual([0, ABSENT, []]);
    expect(emptied.equals(StateMap.empty)).toBe(true);
    expect(StateMap.empty.equals(emptied)).toBe(true);
    expect([StateMap.empty.any(), StateMap.empty.get(0), StateMap.empty.size]).toEqual([ABSENT, ABSENT, 0]);
    expect(stateOf([[1, 1]]).equals(stateOf([[2, 1]]))).toBe(false);
  });

  it("compares states of different height", () => {
    const low = stateOf([[3, 1]]);
    const high = stateOf([
      [3, 1],
      [50_000, 9],
    ]);
    expect(differences(low, high)).toEqual([[50_000, ABSENT, 9]]);
    expect(differences(high, low)).toEqual([[50_000, 9, ABSENT]]);
    expect(differences(high.set(50_000, ABSENT), low)).toEqual([]);
    expect(differences(StateMap.empty, high)).toEqual([
      [3, ABSENT, 1],
      [50_000, ABSENT, 9],
    ]);
    expect(differences(high, StateMap.empty)).toEqual([
      [3, 1, ABSENT],
      [50_000, 9, ABSENT],
    ]);
  });
});

function apply(state: StateMap, [at, event]: Entry): StateMap {
  return state.set(at, event);
}
