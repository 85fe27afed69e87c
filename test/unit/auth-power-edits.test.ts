/** Edits of power levels (v1-5 rule 10, v6-11 rule 9, v12 rule 10). */
import { describe, expect, it } from "vitest";
import { JsonFloat } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import {
  alice,
  at,
  bob,
  carol,
  creator,
  everyVersion,
  expectAllowed,
  expectRejected,
  isOneOf,
  levelsAt,
  room,
  versions,
} from "../support/auth.js";
import type { LevelsRule, Room } from "../support/auth.js";

/** alice edits at 50, next to bob at 50 and below the admin at 100. */
const admin = "@admin:there.example";
const users = { [alice]: 50, [bob]: 50, [admin]: 100, [carol]: 10 };
const scalars = ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"] as const;
const defaults: Readonly<Record<string, number>> = { state_default: 50, ban: 50, redact: 50, kick: 50 };
const max = Number.MAX_SAFE_INTEGER;

interface Edit {
  readonly before?: JsonObject;
  readonly after: JsonObject;
  readonly sender?: string;
  readonly create?: JsonObject;
}

function edited(version: string, edit: Edit): [ReturnType<Room["judge"]>, Room] {
  const { before, after, sender = alice, create } = edit;
  const here = room(version, {
    members: { [alice]: "join", [bob]: "join", [carol]: "join", [admin]: "join", [creator]: "join" },
    ...(before === undefined ? {} : { levels: before }),
    ...(create === undefined ? {} : { create }),
  });
  return [here.judge({ type: "m.room.power_levels", stateKey: "", sender, content: after }), here];
}

function passes(version: string, edit: Edit, rule: LevelsRule = "allow"): void {
  expectAllowed(edited(version, edit)[0], version, levelsAt(version, rule));
}

/** Rejected; `against` says whether the refusal names the current power levels. */
function fails(version: string, edit: Edit, rule: LevelsRule, against: "levels" | "none" = "none"): void {
  const [verdict, here] = edited(version, edit);
  expectRejected(verdict, version, levelsAt(version, rule), against === "levels" ? [here.levels] : []);
}

const levels = (more: JsonObject = {}): JsonObject => ({ users, ...more });

describe.each(everyVersion)("power levels as they are [cap:power-edits v:%s]", (version) => {
  it("may be sent again by who may send them", () => {
    passes(version, { before: levels(), after: levels() });
    const rich = levels({ ban: 90, events: { x: 90 }, notifications: { room: 90 }, extra: [1.5] });
    passes(version, { before: rich, after: rich });
    const [verdict, here] = edited(version, { before: levels(), after: levels(), sender: carol });
    expectRejected(verdict, version, at(version, "required"), [here.levels]);
  });

  it("may be the first, whatever the levels in them are", () => {
    const first = { users: { [alice]: max }, ban: max, events: { x: max } };
    passes(version, { after: first, sender: creator }, "first");
  });
});

describe.each(everyVersion)("the scalar levels [cap:power-edits v:%s]", (version) => {
  it.each(scalars)("%s may not be changed from above the sender, nor to it", (key) => {
    // state_default itself decides whether alice may send power levels.
    const events = { "m.room.power_levels": 0 };
    const set = (value?: JsonValue): JsonObject => levels({ events, ...(value === undefined ? {} : { [key]: value }) });
    fails(version, { before: set(51), after: set(50) }, "scalar-current", "levels");
    fails(version, { before: set(51), after: set(52) }, "scalar-current", "levels");
    fails(version, { before: set(50), after: set(51) }, "scalar-new");
    passes(version, { before: set(50), after: set(49) });
    passes(version, { before: set(0), after: set(50) });
    passes(version, { before: set(51), after: set(51) });
  });

  it.each(scalars)(
    "%s may not be added above the sender nor removed from above; its default counts for nothing",
    (key) => {
      const events = { "m.room.power_levels": 0 };
      const set = (value?: JsonValue): JsonObject =>
        levels({ events, ...(value === undefined ? {} : { [key]: value }) });
      fails(version, { before: set(), after: set(51) }, "scalar-new");
      passes(version, { before: set(), after: set(50) });
      fails(version, { before: set(51), after: set() }, "scalar-current", "levels");
      passes(version, { before: set(50), after: set() });
      // AU11: at level 40 the defaults of 50 stand above the sender, and are not compared.
      const low = (value?: JsonValue): JsonObject => ({ ...set(value), users: { [alice]: 40 } });
      passes(version, { before: low(30), after: low() });
      passes(version, { before: low(), after: low(30) });
      passes(version, { before: low(), after: low(defaults[key] === undefined ? 0 : 40) });
    },
  );

  it("are these seven, spelt as they are", () => {
    const others = { Ban: 90, historical: 90, users_default_: 90, "": 90, __proto: 90 };
    passes(version, { before: levels(), after: levels(others) });
    passes(version, { before: levels(others), after: levels() });
  });
});

describe.each(everyVersion)("the levels of event types [cap:power-edits v:%s]", (version) => {
  const set = (events?: JsonObject): JsonObject => levels(events === undefined ? {} : { events });

  it("may not be changed from above the sender, nor to it", () => {
    fails(version, { before: set({ x: 51 }), after: set({ x: 50 }) }, "entry-current", "levels");
    fails(version, { before: set({ x: 50 }), after: set({ x: 51 }) }, "entry-new");
    passes(version, { before: set({ x: 50 }), after: set({ x: 0 }) });
    passes(version, { before: set({ x: 0 }), after: set({ x: 50 }) });
  });

  it("may not be added above the sender, nor removed from above", () => {
    for (const none of [set({}), set()]) {
      fails(version, { before: none, after: set({ x: 51 }) }, "entry-new");
      passes(version, { before: none, after: set({ x: 50 }) });
      fails(version, { before: set({ x: 51 }), after: none }, "entry-current", "levels");
      passes(version, { before: set({ x: 50 }), after: none });
    }
  });

  it("are all looked at, not the first alone", () => {
    const before = set({ a: 1, b: 2, c: 51 });
    fails(version, { before, after: set({ a: 2, b: 2, c: 50 }) }, "entry-current", "levels");
    fails(version, { before, after: set({ a: 2, c: 51, d: 51 }) }, "entry-new");
    passes(version, { before, after: set({ b: 3, c: 51, d: 50 }) });
  });

  it("are entries of their own under names that objects inherit", () => {
    for (const name of ["constructor", "__proto__", "toString"]) {
      const own = (level: number): JsonObject => JSON.parse(`{"${name}":${level}}`) as JsonObject;
      fails(version, { before: set({}), after: set(own(51)) }, "entry-new");
      fails(version, { before: set(own(51)), after: set({}) }, "entry-current", "levels");
      passes(version, { before: set({}), after: set(own(50)) });
      passes(version, { before: set(own(50)), after: set({}) });
    }
  });
});

describe.each(versions("6-12,I.1"))("the levels of notifications [cap:power-edits v:%s]", (version) => {
  const set = (notifications?: JsonObject): JsonObject => levels(notifications === undefined ? {} : { notifications });

  it("are edited like those of event types", () => {
    fails(version, { before: set({ room: 51 }), after: set({ room: 50 }) }, "entry-current", "levels");
    fails(version, { before: set({ room: 50 }), after: set({ room: 51 }) }, "entry-new");
    for (const none of [set({}), set()]) {
      fails(version, { before: none, after: set({ room: 51 }) }, "entry-new");
      fails(version, { before: set({ room: 51 }), after: none }, "entry-current", "levels");
      passes(version, { before: none, after: set({ room: 50 }) });
      passes(version, { before: set({ room: 50 }), after: none });
    }
  });
});

describe.each(versions("1-5"))(
  "the levels of notifications before room version 6 [cap:power-edits v:%s]",
  (version) => {
    it("are not looked at", () => {
      for (const value of [{ room: 51 }, { room: "x" }, null, 7, []]) {
        passes(version, { before: levels({ notifications: { room: 90 } }), after: levels({ notifications: value }) });
        passes(version, { before: levels({ notifications: value }), after: levels() });
      }
    });
  },
);

describe.each(everyVersion)("the levels of users [cap:power-edits v:%s]", (version) => {
  const set = (changes: Readonly<Record<string, JsonValue | undefined>>): JsonObject => {
    const merged: Readonly<Record<string, JsonValue | undefined>> = { ...users, ...changes };
    const entries = Object.entries(merged).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined);
    return { users: Object.fromEntries(entries) };
  };
  const before = set({});

  it("of equals and betters may not be changed or removed", () => {
    for (const level of [0, 49, 51, undefined]) {
      fails(version, { before, after: set({ [bob]: level }) }, "user-current", "levels");
      fails(version, { before, after: set({ [admin]: level }) }, "user-current", "levels");
    }
  });

  it("of others below may be changed, up to the sender's own, and removed", () => {
    for (const level of [-1, 0, 49, 50, undefined]) passes(version, { before, after: set({ [carol]: level }) });
    fails(version, { before, after: set({ [carol]: 51 }) }, "user-new");
    const next = set({ [carol]: 49 });
    passes(version, { before: next, after: before });
  });

  it("may be added up to the sender's own", () => {
    passes(version, { before, after: set({ "@new:x": 50 }) });
    fails(version, { before, after: set({ "@new:x": 51 }) }, "user-new");
    passes(version, { before: { users: {}, state_default: 0 }, after: { users: { "@new:x": 0 }, state_default: 0 } });
    fails(version, { before: { state_default: 0 }, after: { users: { "@new:x": 1 }, state_default: 0 } }, "user-new");
  });

  it("may drop or be removed where they are the sender's own, and may not rise", () => {
    for (const level of [49, 0, -1, undefined]) passes(version, { before, after: set({ [alice]: level }) });
    fails(version, { before, after: set({ [alice]: 51 }) }, "user-new");
  });

  it("are judged by the sender's level before the edit", () => {
    fails(version, { before, after: set({ [alice]: 100, [bob]: 0 }) }, "user-current", "levels");
    passes(version, { before, after: set({ [alice]: 0, [carol]: 50 }) });
  });

  it("are all looked at, not the first alone", () => {
    fails(version, { before, after: set({ [alice]: 49, [carol]: 11, [bob]: 49 }) }, "user-current", "levels");
    fails(version, { before, after: set({ [carol]: 11, "@a:x": 1, "@b:x": 51 }) }, "user-new");
  });

  it("cannot be dropped all at once to reach who stands above", () => {
    fails(version, { before, after: {} }, "user-current", "levels");
    fails(version, { before, after: { users: {} } }, "user-current", "levels");
    const alone = { users: { [alice]: 50, [carol]: 49 } };
    passes(version, { before: alone, after: {} });
    passes(version, { before: { state_default: 0 }, after: { state_default: 0 } });
  });

  it("may be left out of the first power levels", () => {
    passes(version, { after: {}, sender: creator }, "first");
    passes(version, { after: { users: {} }, sender: creator }, "first");
  });

  it.each<readonly [JsonValue]>([[null], [[]], [["@a:x"]], ["x"], [7], [true], [false]])(
    "are an object, unlike %j",
    (value) => {
      fails(version, { before, after: { users: value } }, "users");
      fails(version, { after: { users: value }, sender: creator }, "users");
    },
  );

  it.each([
    "",
    "alice",
    "@alice",
    "alice:here.example",
    "#a:here.example",
    "@a:",
    "@a:b c",
    "__proto__",
    "constructor",
  ])("have user ids for keys, unlike %j", (key) => {
    const after = { users: JSON.parse(JSON.stringify([[key, 0]]).replace(/^\[\[(.*),0\]\]$/, "{$1:0}")) as JsonObject };
    expect(Object.keys(after.users)).toEqual([key]);
    fails(version, { before: { state_default: 0 }, after }, "users");
    fails(version, { after, sender: creator }, "users");
  });

  it("have user ids for keys, historical ones too", () => {
    const odd = { "@:here.example": 0, "@Some One!:here.example": 0, "@ü:256.1.1.1": 0 };
    passes(version, { after: { users: odd }, sender: creator }, "first");
  });

  it.each<readonly [JsonValue]>([[null], [true], [{}], [[50]], ["x"], [""], ["0x10"], ["5 0"]])(
    "are levels, unlike %j",
    (value) => {
      fails(version, { before, after: set({ [carol]: value }) }, "users");
      fails(version, { after: { users: { [bob]: 1, [carol]: value } }, sender: creator }, "users");
    },
  );
});

describe.each(everyVersion)("the order of the keys in an event [cap:power-edits v:%s]", (version) => {
  it("does not change the rule that is named: current values come before new ones", () => {
    const before = { users: { [alice]: 50, [bob]: 50, [carol]: 10 } };
    for (const after of [
      { [alice]: 51, [bob]: 0 },
      { [bob]: 0, [alice]: 51 },
    ]) {
      fails(version, { before, after: { users: after } }, "user-current", "levels");
    }
    for (const events of [
      { a: 90, b: 0 },
      { b: 0, a: 90 },
    ]) {
      fails(version, { before: levels({ events: { b: 60 } }), after: levels({ events }) }, "entry-current", "levels");
    }
    if (isOneOf(version, "1-5")) return;
    const old = levels({ notifications: { room: 60 } });
    fails(version, { before: old, after: levels({ events: { a: 90 } }) }, "entry-current", "levels");
  });

  it("names the level that was refused, and the sender's own", () => {
    const [verdict] = edited(version, { before: levels(), after: levels({ events: { "m.room.name": 73 } }) });
    const reason = verdict.verdict === "rejected" ? verdict.refusal.reason : "";
    for (const part of ["events", "m.room.name", "73", "50"]) expect(reason).toContain(part);
  });

  it("does not put users before the entries of event types, nor those before the scalars", () => {
    const before = levels();
    const events = { x: 90 };
    fails(version, { before, after: { users: {}, events, ban: 90 } }, "scalar-new");
    fails(version, { before, after: { users: {}, events } }, "entry-new");
  });
});

describe.each(versions("1-9"))("power levels written loosely [cap:loose-levels v:%s]", (version) => {
  it("are compared by value, so that another spelling is no change", () => {
    passes(version, { before: levels({ ban: 90 }), after: levels({ ban: " +090 " }) });
    passes(version, { before: levels({ events: { x: "90" } }), after: levels({ events: { x: 90 } }) });
    passes(version, { before: levels(), after: { users: { ...users, [admin]: "100" } } });
    const huge = "9007199254740993";
    passes(version, { before: levels({ ban: huge }), after: levels({ ban: `0${huge}` }) });
  });

  it("are edited by value", () => {
    fails(version, { before: levels(), after: levels({ ban: "51" }) }, "scalar-new");
    fails(version, { before: levels({ ban: "51" }), after: levels({ ban: "50" }) }, "scalar-current", "levels");
    fails(version, { before: levels(), after: { users: { ...users, [carol]: "51" } } }, "user-new");
    fails(
      version,
      { before: levels({ ban: "9007199254740993" }), after: levels({ ban: 50 }) },
      "scalar-current",
      "levels",
    );
  });

  it("must be readable where a power-levels event came before (AU25)", () => {
    for (const value of [null, "x", true, [], {}]) {
      fails(version, { before: levels(), after: levels({ ban: value }) }, "scalar-new");
      fails(version, { before: levels({ ban: 50 }), after: levels({ ban: value }) }, "scalar-new");
      fails(version, { before: levels(), after: levels({ events: { x: value } }) }, "entry-new");
    }
    for (const value of [null, "x", true, []]) {
      fails(version, { before: levels(), after: levels({ events: value }) }, "entry-new");
    }
  });

  it("are looked at in users alone where there was none (AU25)", () => {
    const odd = { ban: "x", events: { x: null }, notifications: 7, users: { [alice]: "50" } };
    passes(version, { after: odd, sender: creator }, "first");
  });

  it("that were unreadable before can be neither kept nor mended", () => {
    for (const ban of [null, "x"]) {
      fails(version, { before: levels({ ban }), after: levels({ ban }) }, "scalar-current");
      fails(version, { before: levels({ ban }), after: levels({ ban: 50 }) }, "scalar-current");
      fails(version, { before: levels({ ban }), after: levels() }, "scalar-current");
    }
    const events = { x: "y", "m.room.power_levels": 0 };
    fails(version, { before: levels({ events }), after: levels({ events }) }, "entry-current");
  });
});

describe.each(versions("6-9"))("notifications written loosely [cap:loose-levels v:%s]", (version) => {
  it("must be readable where a power-levels event came before", () => {
    fails(version, { before: levels(), after: levels({ notifications: 7 }) }, "entry-new");
    fails(version, { before: levels({ notifications: 7 }), after: levels() }, "entry-new");
    fails(version, { before: levels(), after: levels({ notifications: { room: "x" } }) }, "entry-new");
    passes(version, { before: levels(), after: levels({ notifications: { room: "50" } }) });
  });
});

describe("floats in power levels [cap:loose-levels v:1-9]", () => {
  const float = new JsonFloat(50.9, "50.9");

  it.each(versions("1-5"))("room version %s truncates them", (version) => {
    passes(version, { before: levels(), after: levels({ ban: float }) });
    passes(version, { before: levels(), after: { users: { ...users, [carol]: float } } });
    passes(version, { before: levels(), after: { users: { ...users, [bob]: float } } });
    fails(version, { before: levels(), after: levels({ ban: new JsonFloat(51, "51.0") }) }, "scalar-new");
  });

  it.each(versions("6-9"))("room version %s refuses them", (version) => {
    fails(version, { before: levels(), after: levels({ ban: float }) }, "scalar-new");
    fails(version, { before: levels(), after: { users: { ...users, [carol]: float } } }, "users");
  });
});

describe.each(versions("10-12,I.1"))("power levels are integers [cap:power-edits v:%s]", (version) => {
  const odd: readonly JsonValue[] = [null, "50", "", true, [], {}, [50], new JsonFloat(50, "50.0"), 50n, 0.5];

  it.each(scalars)("%s", (key) => {
    for (const value of odd) {
      fails(version, { before: levels(), after: levels({ [key]: value }) }, "scalars");
      fails(version, { after: levels({ [key]: value }), sender: creator }, "scalars");
    }
    passes(version, { after: levels({ [key]: -1 }), sender: creator }, "first");
  });

  it.each(["events", "notifications"])("%s", (key) => {
    for (const value of odd) {
      fails(version, { before: levels(), after: levels({ [key]: { a: 1, b: value, c: 2 } }) }, "maps");
      fails(version, { after: levels({ [key]: { x: value } }), sender: creator }, "maps");
      // An empty object is the one of them that is a map.
      if (JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? "n" : part)) === "{}") continue;
      fails(version, { before: levels(), after: levels({ [key]: value }) }, "maps");
    }
    passes(version, { after: levels({ [key]: {} }), sender: creator }, "first");
    passes(version, { after: levels({ [key]: { x: 1, y: 2 } }), sender: creator }, "first");
  });

  it("users", () => {
    for (const value of odd) {
      fails(version, { before: levels(), after: { users: { ...users, [carol]: value } } }, "users");
    }
  });

  it("in the order of the page: scalars, maps, users", () => {
    const all = { ban: "1", events: [], users: 1 };
    fails(version, { after: all, sender: creator }, "scalars");
    fails(version, { after: { ...all, ban: 1 }, sender: creator }, "maps");
    fails(version, { after: { ...all, ban: 1, events: {} }, sender: creator }, "users");
  });

  it("says nothing about other keys", () => {
    passes(version, { after: levels({ other: "1", maps: { x: null } }), sender: creator }, "first");
  });
});

describe("creators in users [cap:creators v:12]", () => {
  const create = { additional_creators: [carol] };

  it.each([creator, carol])("%s may not be listed, at any level, first or later, by anybody", (user) => {
    for (const level of [0, 100, max]) {
      for (const before of [undefined, { users: { [alice]: 50 } }]) {
        const edit: Edit = { after: { users: { [bob]: 1, [user]: level } }, sender: creator, create };
        const [verdict, here] = edited("12", before === undefined ? edit : { ...edit, before });
        expectRejected(verdict, "12", "10.4", [here.create]);
      }
    }
    const [verdict, here] = edited("12", { before: levels(), after: { users: { ...users, [user]: 0 } }, create });
    expectRejected(verdict, "12", "10.4", [here.create]);
  });

  it("are found after everything about users has been checked", () => {
    fails("12", { after: { users: { [creator]: 100, [bob]: "1" } }, sender: creator }, "users");
    fails("12", { after: { users: { [creator]: 100, bob: 1 } }, sender: creator }, "users");
  });

  it("are only those of the create event", () => {
    passes("12", { after: { users: { [carol]: 100 } }, sender: creator }, "first");
    const named = { additional_creators: [bob], creator: carol };
    passes("12", { after: { users: { [carol]: 100 } }, sender: creator, create: named }, "first");
  });

  it("may edit every level, as far as 2^53-1", () => {
    const before = { users: { [alice]: max, [bob]: max }, ban: max, events: { x: max } };
    passes("12", { before, after: { users: { [alice]: 0 }, ban: max - 1 }, sender: creator, create });
    passes("12", { before, after: { users: {} }, sender: carol, create });
  });

  it.each(versions("1-11,I.1"))("may be listed in room version %s", (version) => {
    passes(version, { after: { users: { [creator]: 100, [carol]: 100 } }, sender: creator, create }, "first");
  });

  it.each(versions("1-11,I.1"))("have 100 in room version %s only until the first power levels", (version) => {
    const [verdict, here] = edited(version, { before: { users: {} }, after: { users: {} }, sender: creator });
    expectRejected(verdict, version, at(version, "required"), [here.levels]);
  });
});

describe.each(everyVersion)("a power-levels event with another state key [cap:power-edits v:%s]", (version) => {
  it("is judged by the same rules, against the levels of the room", () => {
    const here = room(version, { levels: levels(), members: { [alice]: "join" } });
    const draft = { type: "m.room.power_levels", stateKey: "x", sender: alice };
    expectRejected(here.judge({ ...draft, content: levels({ ban: 51 }) }), version, levelsAt(version, "scalar-new"));
    expectAllowed(here.judge({ ...draft, content: levels({ ban: 50 }) }), version, levelsAt(version, "allow"));
  });

  it("does not count as the room's levels", () => {
    const more = [{ type: "m.room.power_levels", stateKey: "x", eventId: "$x", content: { events_default: 100 } }];
    const here = room(version, { members: { [alice]: "join" }, more });
    expectAllowed(here.judge({ type: "m.room.message", sender: alice }), version, at(version, "otherwise"));
    expect(isOneOf(version, "1-12,I.1")).toBe(true);
  });
});
