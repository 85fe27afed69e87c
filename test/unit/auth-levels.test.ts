/** Power levels: how they may be written, who has which, and what a level that cannot be read does. */
import { describe, expect, it } from "vitest";
import { readLevel, requiredLevel, scalarDefaults, scalarLevel, userLevel } from "../../src/auth/index.js";
import type { Level, ScalarLevel } from "../../src/auth/index.js";
import { JsonFloat } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import type { PowerLevelValues } from "../../src/versions/index.js";
import {
  alice,
  at,
  bob,
  carol,
  creator,
  eventOf,
  everyVersion,
  expectAllowed,
  expectRejected,
  isOneOf,
  member,
  outcome,
  label,
  room,
  rulesOf,
  versions,
} from "../support/auth.js";

const read = (version: string, value: JsonValue): Level | undefined =>
  readLevel(rulesOf(version).auth.powerLevelValues, value);

const max = Number.MAX_SAFE_INTEGER;

describe.each(everyVersion)("integers as levels [cap:power-levels v:%s]", (version) => {
  it.each([0, 1, -1, 50, 100, max, -max])("%d is one", (value) => {
    expect(read(version, value)).toBe(value);
  });

  it.each<readonly [JsonValue]>([
    [null],
    [true],
    [false],
    [[]],
    [[50]],
    [{}],
    [0.5],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    [Number.NEGATIVE_INFINITY],
    [max + 1],
    [-max - 1],
  ])("%s is none", (value) => {
    expect(read(version, value)).toBeUndefined();
  });
});

describe.each(versions("1-9"))("strings as levels [cap:loose-levels v:%s]", (version) => {
  it.each([
    // The spec's own samples, then the edges of the format.
    ["100", 100],
    ["000100", 100],
    ["+100", 100],
    ["-100", -100],
    [" 100 ", 100],
    [" 00100 ", 100],
    [" +100 ", 100],
    [" -100 ", -100],
    ["0", 0],
    ["+0", 0],
    ["-0", 0],
    ["\t\n\v\f\r 5\r\f\v\n\t ", 5],
    [String(max), max],
    [`-${max}`, -max],
  ])("%j is %d", (text, level) => {
    // `toEqual` would take 0 for -0 and hide a level that compares in two ways.
    expect(Object.is(read(version, text), level)).toBe(true);
  });

  it.each([
    "",
    " ",
    "+",
    "-",
    "++1",
    "+-1",
    "--1",
    "- 1",
    "+ 1",
    "1 0",
    "1+",
    "0x10",
    " 0x10",
    "0b1",
    "0o7",
    "1e2",
    "1E2",
    "1.0",
    "1.",
    ".5",
    "50.57",
    "1_000",
    "1,000",
    "1n",
    "12abc",
    "abc",
    "NaN",
    "Infinity",
    "-Infinity",
    "null",
    "\u0661", // ARABIC-INDIC DIGIT ONE
    "\uff11", // FULLWIDTH DIGIT ONE
    "\u22125", // MINUS SIGN
    "5\u0000",
    "\u00005",
    "5\ud800",
    "1\n2",
  ])("%j is none", (text) => {
    expect(read(version, text)).toBeUndefined();
  });

  it("are exact beyond 2^53", () => {
    expect(read(version, "9007199254740993")).toBe(9007199254740993n);
    expect(read(version, "-9007199254740992")).toBe(-9007199254740992n);
    expect(read(version, "9007199254740992")).toBe(9007199254740992n);
    expect(read(version, `${"0".repeat(30)}7`)).toBe(7);
  });

  it("have at most 4300 digits, leading zeros counted and sign and space not", () => {
    expect(read(version, "9".repeat(4300))).toBe(10n ** 4300n - 1n);
    expect(read(version, ` -${"9".repeat(4300)} `)).toBe(1n - 10n ** 4300n);
    expect(read(version, "9".repeat(4301))).toBeUndefined();
    expect(read(version, `0${"9".repeat(4300)}`)).toBeUndefined();
    expect(read(version, "0".repeat(4301))).toBeUndefined();
    expect(read(version, "1".repeat(60_000))).toBeUndefined();
  });

  it("are read in linear time, however much white space there is", () => {
    expect(read(version, `${" ".repeat(60_000)}7`)).toBe(7);
    expect(read(version, `${" ".repeat(60_000)}x`)).toBeUndefined();
  });

  it("take large integers, which only a lax parser hands out", () => {
    expect(read(version, 9007199254740993n)).toBe(9007199254740993n);
    expect(read(version, -9007199254740993n)).toBe(-9007199254740993n);
    expect(read(version, 7n)).toBe(7);
  });
});

describe.each<PowerLevelValues>(["integer-string-float", "integer-string"])("white space, reading %s", (values) => {
  it("is Unicode's, not what JavaScript or Python take for it [cap:loose-levels v:1-9]", () => {
    const space = new Set([
      ...[0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20, 0x85, 0xa0, 0x1680],
      ...[0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a],
      ...[0x2028, 0x2029, 0x202f, 0x205f, 0x3000],
    ]);
    const wrong: string[] = [];
    for (let code = 0; code <= 0xffff; code++) {
      const char = String.fromCharCode(code);
      // Digits belong to the number itself; signs may stand before it.
      if (/[0-9]/.test(char)) continue;
      const before = readLevel(values, `${char}${char}7`) === 7;
      const after = readLevel(values, `7${char}${char}`) === 7;
      if (before !== space.has(code) || after !== space.has(code)) wrong.push(code.toString(16));
    }
    expect(wrong).toEqual([]);
  });
});

describe.each(versions("1-5"))("floats as levels [cap:loose-levels v:%s]", (version) => {
  it.each([
    [new JsonFloat(51146.98, "5.114698E4"), 51146],
    [new JsonFloat(50.57, "50.57"), 50],
    [new JsonFloat(-50.57, "-50.57"), -50],
    [new JsonFloat(0.9, "0.9"), 0],
    [new JsonFloat(-0.9, "-0.9"), 0],
    [new JsonFloat(-0, "-0.0"), 0],
    [new JsonFloat(100, "1e2"), 100],
    [new JsonFloat(2 ** 53, "9007199254740992.0"), 9007199254740992n],
    [new JsonFloat(1e300, "1e300"), BigInt(1e300)],
  ] as const)("%j is truncated toward zero", (value, level) => {
    expect(Object.is(read(version, value), level)).toBe(true);
  });

  it("beyond a double are none", () => {
    for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) {
      expect(read(version, new JsonFloat(value, "1e400"))).toBeUndefined();
    }
  });
});

describe.each(versions("6-9"))("floats in later room versions [cap:loose-levels v:%s]", (version) => {
  it("are no levels", () => {
    expect(read(version, new JsonFloat(50, "50.0"))).toBeUndefined();
  });
});

describe.each(versions("10-12,I.1"))("levels of strict room versions [cap:power-levels v:%s]", (version) => {
  it("are integers and nothing else", () => {
    const loose = ["50", " 50 ", "0", 7n, 9007199254740993n, new JsonFloat(50, "50.0")];
    for (const value of loose) expect(read(version, value)).toBeUndefined();
    expect(read(version, 50)).toBe(50);
  });
});

const levelsEvent = (version: string, content: JsonObject): ReturnType<typeof eventOf> =>
  eventOf(version, { type: "m.room.power_levels", stateKey: "", content });

describe.each(everyVersion)("the defaults of levels [cap:power-levels v:%s]", (version) => {
  const rules = rulesOf(version);
  const defaults: Readonly<Record<ScalarLevel, number>> = {
    users_default: 0,
    events_default: 0,
    state_default: 50,
    ban: 50,
    redact: 50,
    kick: 50,
    invite: 0,
  };

  it("hold with and without a power-levels event", () => {
    expect(scalarDefaults).toEqual(defaults);
    for (const [key, level] of Object.entries(defaults)) {
      expect(scalarLevel(rules, undefined, key as ScalarLevel)).toBe(level);
      expect(scalarLevel(rules, levelsEvent(version, {}), key as ScalarLevel)).toBe(level);
      expect(scalarLevel(rules, levelsEvent(version, { [key]: 7 }), key as ScalarLevel)).toBe(7);
      expect(scalarLevel(rules, levelsEvent(version, { [key]: 0 }), key as ScalarLevel)).toBe(0);
      expect(scalarLevel(rules, levelsEvent(version, { [key]: null }), key as ScalarLevel)).toBeUndefined();
    }
  });

  it("are none where a map of levels is no map", () => {
    const message = { type: "m.room.message", stateKey: undefined };
    for (const value of [null, 1, "x", []]) {
      expect(requiredLevel(rules, levelsEvent(version, { events: value }), message)).toBeUndefined();
      const { create } = room(version);
      expect(userLevel(rules, create, levelsEvent(version, { users: value }), alice)).toBeUndefined();
    }
    expect(requiredLevel(rules, levelsEvent(version, { events: { "m.room.message": null } }), message)).toBeUndefined();
  });
});

describe.each(everyVersion)("the level of a user [cap:power-levels v:%s]", (version) => {
  const rules = rulesOf(version);
  const level = (user: string, content?: JsonObject, create: JsonObject = {}): Level | undefined => {
    const event = content === undefined ? undefined : levelsEvent(version, content);
    return userLevel(rules, room(version, { create }).create, event, user);
  };
  const creatorLevel = version === "12" ? Number.POSITIVE_INFINITY : undefined;

  it("is the entry in users, else users_default, else 0", () => {
    expect(level(alice, { users: { [alice]: 30 }, users_default: 10 })).toBe(30);
    expect(level(alice, { users: { [alice]: 0 }, users_default: 10 })).toBe(0);
    expect(level(alice, { users: { [alice]: -5 } })).toBe(-5);
    expect(level(bob, { users: { [alice]: 30 }, users_default: 10 })).toBe(10);
    expect(level(bob, { users_default: 10 })).toBe(10);
    expect(level(bob, { users: {} })).toBe(0);
    expect(level(bob, {})).toBe(0);
    expect(level(bob, { Users: { [bob]: 100 } })).toBe(0);
  });

  it("is 100 for the creator only while there is no power-levels event", () => {
    expect(level(creator)).toBe(creatorLevel ?? 100);
    expect(level(alice)).toBe(0);
    expect(level(creator, {})).toBe(creatorLevel ?? 0);
    expect(level(creator, { users_default: 7 })).toBe(creatorLevel ?? 7);
    expect(level(creator, { users: { [creator]: 5 } })).toBe(creatorLevel ?? 5);
  });

  it("goes by the creator as the version defines it", () => {
    const lent = { creator: alice };
    expect(level(alice, undefined, lent)).toBe(isOneOf(version, "11-12") ? 0 : 100);
    expect(level(creator, undefined, lent)).toBe(isOneOf(version, "11-12") ? (creatorLevel ?? 100) : 0);
  });

  it("is no one's by a creator that is no string", () => {
    expect(level("7", undefined, { creator: 7 })).toBe(0);
  });

  it("takes names that objects inherit as users without an entry", () => {
    for (const user of ["constructor", "__proto__", "toString"]) expect(level(user, { users: {} })).toBe(0);
    const own = JSON.parse('{"__proto__":60}') as JsonObject;
    expect(level("__proto__", { users: own })).toBe(60);
  });
});

describe("the creators of room version 12 [cap:creators v:12]", () => {
  const sketch = { create: { additional_creators: [alice, bob] } };
  const members = { [creator]: "join", [alice]: "join", [bob]: "join", [carol]: "join" };

  it("are the sender of the create event and its additional creators, above every level", () => {
    const { rules, create } = room("12", sketch);
    for (const user of [creator, alice, bob]) {
      expect(userLevel(rules, create, undefined, user)).toBe(Number.POSITIVE_INFINITY);
      expect(userLevel(rules, create, levelsEvent("12", { users: { [carol]: max } }), user)).toBe(
        Number.POSITIVE_INFINITY,
      );
    }
    expect(userLevel(rules, create, undefined, carol)).toBe(0);
    const odd = room("12", { create: { additional_creators: { 0: alice }, creator: alice } });
    expect(userLevel(rules, odd.create, undefined, alice)).toBe(0);
  });

  it("outrank 2^53-1, and nobody outranks them", () => {
    const here = room("12", { ...sketch, levels: { users: { [carol]: max }, ban: max, kick: max }, members });
    for (const user of [creator, alice]) {
      expectAllowed(here.judge(member(carol, "ban", user)), "12", "5.6.2");
      expectRejected(here.judge(member(user, "ban", carol)), "12", "5.6.3", [here.levels]);
      expectRejected(here.judge(member(user, "leave", carol)), "12", "5.5.5", [here.levels]);
    }
  });

  it("cannot remove each other", () => {
    const here = room("12", { ...sketch, members });
    for (const [one, other] of [
      [creator, alice],
      [alice, creator],
      [alice, bob],
    ] as const) {
      expectRejected(here.judge(member(one, "leave", other)), "12", "5.5.5");
      expectRejected(here.judge(member(one, "ban", other)), "12", "5.6.3");
    }
  });

  it("do not exist before it", () => {
    for (const version of versions("1-11,I.1")) {
      const { rules, create } = room(version, sketch);
      expect(userLevel(rules, create, undefined, alice)).toBe(0);
      expect(userLevel(rules, create, levelsEvent(version, {}), creator)).toBe(0);
    }
  });
});

/** Levels as a first power-levels event of room versions 1 to 9 may hold them: only `users` was checked (AU25). */
describe.each(versions("1-9"))("a level that cannot be read [cap:loose-levels v:%s]", (version) => {
  const members = { [alice]: "join", [bob]: "leave", [carol]: "ban" };
  const judge = (levels: JsonObject, draft: ReturnType<typeof member> | { type: string; stateKey?: string }): string =>
    outcome(
      room(version, { levels: { users: { [alice]: 100 }, ...levels }, members }).judge({ sender: alice, ...draft }),
    );
  const refused = (number: string): string => `rejected ${label(version, number)}`;

  it("is reached by nobody", () => {
    expect(judge({ invite: "x" }, member(bob, "invite", alice))).toBe(refused(`${at(version, "invite")}.5`));
    expect(judge({ kick: null }, member(bob, "leave", alice))).toBe(refused(`${at(version, "leave")}.5`));
    expect(judge({ ban: {} }, member(bob, "ban", alice))).toBe(refused(`${at(version, "ban")}.3`));
    expect(judge({ ban: {} }, member(carol, "leave", alice))).toBe(refused(`${at(version, "leave")}.3`));
    expect(judge({ events_default: "x" }, { type: "m.room.message" })).toBe(refused(at(version, "required")));
    expect(judge({ state_default: [] }, { type: "x", stateKey: "" })).toBe(refused(at(version, "required")));
    expect(judge({ events: { x: true } }, { type: "x" })).toBe(refused(at(version, "required")));
    expect(judge({ events: "x" }, { type: "x" })).toBe(refused(at(version, "required")));
  });

  it("reaches nothing, and does not rank below", () => {
    expect(judge({ users: { [alice]: "x" } }, { type: "m.room.message" })).toBe(refused(at(version, "required")));
    expect(judge({ users: { [alice]: null }, events_default: -1 }, { type: "x" })).toBe(
      refused(at(version, "required")),
    );
    expect(judge({ users_default: "x" }, member(bob, "leave", alice))).toBe(refused(`${at(version, "leave")}.5`));
    expect(judge({ users_default: "x" }, member(bob, "ban", alice))).toBe(refused(`${at(version, "ban")}.3`));
    expect(judge({ users: [] }, { type: "m.room.message" })).toBe(refused(at(version, "required")));
  });

  it("does not matter where nothing depends on it", () => {
    const unread = { ban: "x", redact: null, notifications: 1 };
    expect(judge(unread, { type: "m.room.message" })).toBe(`allowed ${label(version, at(version, "otherwise"))}`);
  });

  it("compares exactly, integers beyond 2^53 with integers below", () => {
    const huge = { users: { [alice]: "9007199254740993" }, events_default: "9007199254740994" };
    expect(judge(huge, { type: "x" })).toBe(refused(at(version, "required")));
    expect(judge({ ...huge, events_default: "9007199254740993" }, { type: "x" })).toMatch(/^allowed/);
    expect(judge({ ...huge, events_default: max }, { type: "x" })).toMatch(/^allowed/);
    expect(judge({ users: { [alice]: max }, events_default: "9007199254740992" }, { type: "x" })).toMatch(/^rejected/);
  });
});

it("what a version reads is one of three sets", () => {
  const sets: readonly (readonly [PowerLevelValues, string])[] = [
    ["integer-string-float", "1-5"],
    ["integer-string", "6-9"],
    ["integer", "10-12,I.1"],
  ];
  for (const [values, group] of sets) {
    for (const version of versions(group)) expect(rulesOf(version).auth.powerLevelValues).toBe(values);
  }
});
