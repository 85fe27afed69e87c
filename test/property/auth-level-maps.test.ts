/** What resolution remembers of power levels from one check to the next changes no verdict. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkStateDependent, factsUnknown } from "../../src/auth/index.js";
import { checkAmongOthers } from "../../src/auth/check.js";
import { isSameLevel, LevelMaps } from "../../src/auth/level-maps.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { StateLookup } from "../../src/auth/index.js";
import { room } from "../support/auth.js";

const users = ["@a:one.example", "@b:one.example", "@c:two.example", "@d:two.example", "@e:two.example", "not a user"];

const level: fc.Arbitrary<JsonValue> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<JsonValue>(0, 25, 50, 75, 100) },
  { weight: 1, arbitrary: fc.constantFrom<JsonValue>("50", " 50", "x", null, 2n ** 60n) },
);

/** Few keys in any order, so that maps differ in one place, in many, or in the order alone. */
const map: fc.Arbitrary<JsonObject> = fc
  .tuple(fc.shuffledSubarray(users.slice(0, 5)), fc.nat(20), fc.array(level, { minLength: 6, maxLength: 6 }))
  .map(([keys, odd, levels]) => {
    const all = odd === 0 ? [...keys, "not a user"] : keys;
    return Object.fromEntries(all.map((key) => [key, levels[users.indexOf(key)] ?? 0]));
  });

describe("maps of levels", () => {
  it("are unlike in every key that has not the same level in both, in the order of each", () => {
    fc.assert(
      fc.property(map, map, (current, next) => {
        const unlike = new LevelMaps().unlikeKeys(current, next);
        for (const [side, mine, other] of [
          ["current", current, next],
          ["next", next, current],
        ] as const) {
          const keys = Object.keys(mine);
          expect(keys.filter((key) => unlike[side].includes(key))).toEqual(unlike[side]);
          for (const key of keys) {
            if (!unlike[side].includes(key)) expect(isSameLevel(mine[key], other[key]), key).toBe(true);
          }
        }
      }),
    );
  });

  it("that differ in one level, or in one key more, are unlike in that alone", () => {
    const whole = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`@user${at}:one.example`, 50]));
    const changed = { ...whole, "@user500:one.example": 75 };
    const { "@user500:one.example": _one, ...without } = whole;
    const maps = new LevelMaps();
    expect(maps.unlikeKeys(whole, changed)).toEqual({
      current: ["@user500:one.example"],
      next: ["@user500:one.example"],
    });
    expect(maps.unlikeKeys(without, whole)).toEqual({ current: [], next: ["@user500:one.example"] });
    expect(maps.unlikeKeys(whole, without)).toEqual({ current: ["@user500:one.example"], next: [] });
    expect(maps.unlikeKeys(whole, { ...whole })).toEqual({ current: [], next: [] });
  });

  it.each(["1", "9", "10", "12"])("give the verdicts that each check gives alone (version %s)", (version) => {
    const [a = "", b = "", c = ""] = users;
    const here = room(version, { members: { [a]: "join", [b]: "join", [c]: "join" } });
    const seen = new Set<string>();
    fc.assert(
      fc.property(
        fc.array(map, { minLength: 2, maxLength: 6 }),
        fc.constantFrom(...users.slice(0, 3)),
        (maps, sender) => {
          const draft = { type: "m.room.power_levels", stateKey: "", sender };
          const events = maps.map((content) => here.event({ ...draft, content: { users: content } }));
          const levelMaps = new LevelMaps();
          for (const event of events) {
            for (const before of [undefined, ...events]) {
              const state: StateLookup = (type, key) =>
                type === "m.room.power_levels" && key === "" ? before : here.state(type, key);
              const alone = checkStateDependent(here.rules, event, state, factsUnknown);
              expect(checkAmongOthers(here.rules, event, state, factsUnknown, levelMaps)).toEqual(alone);
              seen.add(alone.verdict);
            }
          }
        },
      ),
    );
    expect([...seen].sort()).toEqual(["allowed", "rejected"]);
  });
});
