/**
 * Who sees what of a room (client-server-api, "Room History Visibility"): the table, every event on a boundary,
 * and laws, all of it asked of the engine with signed events. The model that the laws hold it to knows no states:
 * it walks down a list.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { historyVisibilityOf, isVisibleToServer, isVisibleToUser, visibleEvents } from "../../src/engine/index.js";
import type { HistoryVisibility, Room, Sight } from "../../src/engine/index.js";
import type { RoomEvent } from "../../src/event/index.js";
import type { JsonValue } from "../../src/json/index.js";
import { roomOf, Story, testServer, versionOf } from "../support/engine.js";
import { done, nameOf, userOf, worldOf } from "../support/servers.js";

const VERSIONS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "I.1"] as const;
const SETTINGS = ["world_readable", "shared", "invited", "joined"] as const;
const ALICE = "@alice:a.example";
const BOB = "@bob:b.example";
const CAROL = "@carol:c.example";
const PEER = "peer.example";

type Setting = (typeof SETTINGS)[number];
type Standing = "nobody" | "join" | "invite" | "knock" | "leave" | "ban";

const knocks = (v: string): boolean => versionOf(v).rules.auth.knock;
const opened = (v: string): Story =>
  new Story(v).open({ joinRule: knocks(v) ? "knock" : "invite" }).say("before", ALICE);

function set(story: Story, name: string, setting: JsonValue): Story {
  return story.state(name, "m.room.history_visibility", ALICE, { history_visibility: setting });
}

/** Brings Bob to a membership, from none. */
function reach(story: Story, standing: Standing, tag: string = "to"): Story {
  const invited = (): Story => story.member(`${tag} invite`, BOB, "invite", { by: ALICE });
  switch (standing) {
    case "nobody":
      return story;
    case "invite":
      return invited();
    case "join":
      return invited().member(`${tag} join`, BOB, "join");
    case "knock":
      return story.member(`${tag} knock`, BOB, "knock");
    case "leave":
      return invited().member(`${tag} join`, BOB, "join").member(`${tag} leave`, BOB, "leave");
    case "ban":
      return story.member(`${tag} ban`, BOB, "ban", { by: ALICE });
  }
}

/** Bob comes in, from any membership but `join`. */
function comeIn(story: Story, from: Standing): Story {
  if (from === "ban") story.member("unban", BOB, "leave", { by: ALICE });
  return story.member("in invite", BOB, "invite", { by: ALICE }).member("in", BOB, "join");
}

async function engine(story: Story): Promise<Room> {
  const room = await roomOf(testServer({ ring: story.ring }), story);
  await room.receive(story.jsons(), { origin: PEER });
  return room;
}

/** Why each event is seen or not, by the story's names. */
async function sights(story: Story, userId: string = BOB, ...names: readonly string[]): Promise<Map<string, string>> {
  const asked = names.length === 0 ? story.names : names;
  const room = await engine(story);
  const found = await visibleEvents(
    room,
    userId,
    asked.map((name) => story.id(name)),
  );
  expect(found.map(({ eventId }) => eventId)).toEqual(asked.map((name) => story.id(name)));
  return new Map(found.map((sight, at) => [asked[at] ?? "", textOf(sight)]));
}

const textOf = ({ visible, reason }: Sight): string => (visible ? reason : `not: ${reason}`);
const isSeen = (text: string | undefined): boolean => text?.startsWith("not: ") === false;

// ---- the table --------------------------------------------------------------------------------------------

const HIDDEN = "not: hidden";

/** What is seen of a message sent while Bob was something: if he never joins later, and if he does. */
const TABLE: Readonly<Record<Setting, Readonly<Record<Standing, readonly [never: string, later: string]>>>> = {
  world_readable: {
    nobody: ["world-readable", "world-readable"],
    join: ["world-readable", "world-readable"],
    invite: ["world-readable", "world-readable"],
    knock: ["world-readable", "world-readable"],
    leave: ["world-readable", "world-readable"],
    ban: ["world-readable", "world-readable"],
  },
  shared: {
    nobody: [HIDDEN, "joined-later"],
    join: ["joined", "joined"],
    invite: [HIDDEN, "joined-later"],
    knock: [HIDDEN, "joined-later"],
    leave: [HIDDEN, "joined-later"],
    ban: [HIDDEN, "joined-later"],
  },
  invited: {
    nobody: [HIDDEN, HIDDEN],
    join: ["joined", "joined"],
    invite: ["invited", "invited"],
    knock: [HIDDEN, HIDDEN],
    leave: [HIDDEN, HIDDEN],
    ban: [HIDDEN, HIDDEN],
  },
  joined: {
    nobody: [HIDDEN, HIDDEN],
    join: ["joined", "joined"],
    invite: [HIDDEN, HIDDEN],
    knock: [HIDDEN, HIDDEN],
    leave: [HIDDEN, HIDDEN],
    ban: [HIDDEN, HIDDEN],
  },
};

const CELLS = SETTINGS.flatMap((setting) =>
  (["nobody", "join", "invite", "knock", "leave", "ban"] as const).map((standing) => ({ setting, standing })),
);

describe.each(VERSIONS)("a message in room version %s", (v) => {
  it.each(CELLS.filter(({ standing }) => standing !== "knock" || knocks(v)))(
    `[cap:visibility-user v:${v}] sent under $setting to somebody whose membership was $standing`,
    async ({ setting, standing }) => {
      const [never, later] = TABLE[setting][standing];
      const told = (): Story => reach(set(opened(v), "setting", setting), standing).say("said", ALICE);
      expect((await sights(told(), BOB, "said")).get("said"), "who does not join").toBe(never);
      const again = told();
      if (standing === "join") again.member("out", BOB, "leave").say("missed", ALICE);
      else comeIn(again, standing).say("heard", ALICE);
      expect((await sights(again, BOB, "said")).get("said"), "who joins later").toBe(later);
      const gone = standing === "join" ? again : again.member("gone", BOB, "leave").say("missed", ALICE);
      expect((await sights(gone, BOB, "said")).get("said"), "who joins later and leaves").toBe(later);
      const seenAfter = setting === "world_readable" ? "world-readable" : HIDDEN;
      expect((await sights(gone, BOB, "missed")).get("missed"), "after leaving").toBe(seenAfter);
    },
  );

  it(`[cap:visibility-user v:${v}] without a setting, or with one that nobody understands, is shared`, async () => {
    const plain = reach(opened(v), "join");
    expect((await sights(plain, BOB, "before")).get("before")).toBe("joined-later");
    expect((await sights(plain, CAROL, "before")).get("before")).toBe(HIDDEN);
    for (const value of ["private", "", null, 1, ["world_readable"], { history_visibility: "joined" }]) {
      const odd = reach(set(opened(v), "setting", value).say("said", ALICE), "join");
      expect((await sights(odd, BOB, "said")).get("said"), JSON.stringify(value)).toBe("joined-later");
      expect((await sights(odd, CAROL, "said")).get("said")).toBe(HIDDEN);
    }
    const empty = opened(v).state("setting", "m.room.history_visibility", ALICE, {}).say("said", ALICE);
    expect((await sights(reach(empty, "join"), BOB, "said")).get("said")).toBe("joined-later");
  });
});

// ---- boundaries -------------------------------------------------------------------------------------------

const PAIRS = SETTINGS.flatMap((from) => SETTINGS.map((to) => ({ from, to })));

/** Each change of Bob's membership, and under which settings he sees it although he never joins after it. */
const CHANGES: readonly {
  readonly name: string;
  readonly from: Standing;
  readonly to: "join" | "invite" | "knock" | "leave" | "ban";
  readonly by?: string;
  readonly seen: readonly Setting[];
}[] = [
  { name: "is invited", from: "nobody", to: "invite", by: ALICE, seen: ["world_readable", "shared", "invited"] },
  { name: "knocks", from: "nobody", to: "knock", seen: ["world_readable"] },
  { name: "is banned", from: "nobody", to: "ban", by: ALICE, seen: ["world_readable"] },
  { name: "joins", from: "invite", to: "join", seen: SETTINGS },
  { name: "declines", from: "invite", to: "leave", seen: ["world_readable", "shared", "invited"] },
  {
    name: "is no longer invited",
    from: "invite",
    to: "leave",
    by: ALICE,
    seen: ["world_readable", "shared", "invited"],
  },
  {
    name: "is banned while invited",
    from: "invite",
    to: "ban",
    by: ALICE,
    seen: ["world_readable", "shared", "invited"],
  },
  { name: "changes the name", from: "join", to: "join", seen: SETTINGS },
  { name: "leaves", from: "join", to: "leave", seen: SETTINGS },
  { name: "is kicked", from: "join", to: "leave", by: ALICE, seen: SETTINGS },
  { name: "is banned while joined", from: "join", to: "ban", by: ALICE, seen: SETTINGS },
  { name: "takes back the knock", from: "knock", to: "leave", seen: ["world_readable"] },
  {
    name: "is invited after knocking",
    from: "knock",
    to: "invite",
    by: ALICE,
    seen: ["world_readable", "shared", "invited"],
  },
  { name: "is banned after leaving", from: "leave", to: "ban", by: ALICE, seen: ["world_readable"] },
  { name: "is unbanned", from: "ban", to: "leave", by: ALICE, seen: ["world_readable"] },
];

describe.each(["1", "10", "12", "I.1"])("an event on a boundary in room version %s", (v) => {
  it.each(PAIRS)(
    `[cap:visibility-user v:${v}] a change of visibility from $from to $to is seen under the laxer of the two`,
    async ({ from, to }) => {
      const told = (standing: Standing): Story =>
        set(reach(set(opened(v), "first", from), standing), "change", to).say("next", ALICE);
      const either = (...settings: readonly Setting[]): boolean => settings.includes(from) || settings.includes(to);
      const open = either("world_readable");
      expect(isSeen((await sights(told("nobody"), BOB, "change")).get("change"))).toBe(open);
      expect(isSeen((await sights(told("ban"), BOB, "change")).get("change"))).toBe(open);
      expect((await sights(told("join"), BOB, "change")).get("change")).toBe(open ? "world-readable" : "joined");
      const joins = comeIn(told("nobody"), "nobody");
      expect(isSeen((await sights(joins, BOB, "change")).get("change"))).toBe(either("world_readable", "shared"));
      const invited = (await sights(told("invite"), BOB, "change")).get("change");
      const laxer = SETTINGS.find((setting) => either(setting));
      expect(isSeen(invited)).toBe(laxer === "world_readable" || laxer === "invited");
      // What comes next is sent under the new setting alone.
      expect((await sights(told("nobody"), BOB, "next")).get("next")).toBe(
        to === "world_readable" ? "world-readable" : HIDDEN,
      );
    },
  );

  it.each(CHANGES.filter(({ from, to }) => knocks(v) || (from !== "knock" && to !== "knock")))(
    `[cap:visibility-user v:${v}] somebody who $name sees that by either membership`,
    async ({ from, to, by, seen }) => {
      for (const setting of SETTINGS) {
        const story = reach(set(opened(v), "setting", setting), from);
        story.member("change", BOB, to, { ...(by === undefined ? {} : { by }), more: { displayname: "Bob" } });
        if (to === "join") story.member("out", BOB, "leave");
        story.say("after", ALICE);
        const found = await sights(story, BOB, "change");
        expect(isSeen(found.get("change")), setting).toBe(seen.includes(setting));
        // It is the user's own event that is seen for both; to somebody else it is an event like any other.
        const other = await sights(story, CAROL, "change");
        expect(isSeen(other.get("change")), `${setting}, Carol`).toBe(setting === "world_readable");
      }
    },
  );

  it(`[cap:visibility-user v:${v}] who leaves keeps what was seen and gains nothing but by joining again`, async () => {
    for (const setting of SETTINGS) {
      const away = reach(set(opened(v), "setting", setting), "join")
        .say("heard", ALICE)
        .member("out", BOB, "leave")
        .say("missed", ALICE)
        .member("asked", BOB, "invite", { by: ALICE })
        .say("while invited", ALICE)
        .member("declined", BOB, "leave")
        .say("missed again", ALICE);
      const before = await sights(away);
      expect(before.get("heard"), setting).toBe(setting === "world_readable" ? "world-readable" : "joined");
      expect(isSeen(before.get("before")), "older than any setting").toBe(true);
      for (const name of ["missed", "missed again"]) {
        expect(isSeen(before.get(name)), `${name} under ${setting}`).toBe(setting === "world_readable");
      }
      expect(isSeen(before.get("while invited"))).toBe(setting === "world_readable" || setting === "invited");
      const back = await sights(comeIn(away, "leave").member("gone", BOB, "leave").say("last", ALICE));
      for (const name of ["missed", "missed again"]) {
        expect(isSeen(back.get(name)), `${name} under ${setting}`).toBe(
          setting === "world_readable" || setting === "shared",
        );
      }
      expect(isSeen(back.get("last"))).toBe(setting === "world_readable");
      for (const [name, text] of before) if (isSeen(text)) expect(isSeen(back.get(name)), name).toBe(true);
    }
  });

  it(`[cap:visibility-user v:${v}] on a branch its own state counts, and a later join is after both`, async () => {
    const fork = (): Story =>
      reach(set(opened(v), "setting", "joined"), "join")
        .say("root", ALICE)
        .member("out", BOB, "leave", { prev: ["root"] })
        .say("left", ALICE, { prev: ["out"] })
        .say("right", ALICE, { prev: ["root"] })
        .say("merged", ALICE, { prev: ["left", "right"] });
    const found = await sights(fork());
    expect(found.get("left")).toBe(HIDDEN);
    expect(found.get("right")).toBe("joined");
    expect(found.get("merged")).toBe(HIDDEN);
    // A leave that does not last: the ban on the other branch wins, or the leave does; he never joined after it.
    const lost = set(reach(set(opened(v), "setting", "shared"), "join"), "again", "shared")
      .say("root", ALICE)
      .member("banned", BOB, "ban", { by: ALICE, prev: ["root"] })
      .member("out", BOB, "leave", { prev: ["root"] })
      .say("beside", ALICE, { prev: ["out"] })
      .say("merged", ALICE, { prev: ["banned", "beside"] });
    expect((await sights(lost)).get("beside")).toBe(HIDDEN);
    lost.member("unban", BOB, "leave", { by: ALICE });
    const back = comeIn(lost, "leave").member("gone", BOB, "leave");
    expect((await sights(back)).get("beside")).toBe("joined-later");
  });

  it("what is no part of the timeline is not shown, and neither is what is not here", async () => {
    const story = reach(opened(v), "join")
      .say("root", ALICE)
      .state("refused", "m.room.name", BOB, { name: "Bob may not" }, { prev: ["root"] })
      .member("banned", BOB, "ban", { by: ALICE, prev: ["root"] })
      .say("late", BOB, { prev: ["root"] });
    const found = await sights(story);
    expect(found.get("refused")).toBe("not: not-accepted");
    expect(found.get("late")).toBe("not: not-accepted");
    const room = await engine(story);
    expect(await visibleEvents(room, BOB, ["$unknown"])).toEqual([
      { eventId: "$unknown", visible: false, reason: "not-found" },
    ]);
    expect(await visibleEvents(room, BOB, [])).toEqual([]);
  });
});

// ---- history behind a join --------------------------------------------------------------------------------

describe.each(["10", "12"])("history of which the states are not known yet, in room version %s", (version) => {
  it.each(SETTINGS)(
    `[cap:visibility-user v:${version}] is shown under %s as far as it is sure who could see it`,
    async (setting) => {
      const world = await worldOf("a", "b");
      const [alice, bob, late] = [userOf("a"), userOf("b"), userOf("b", "late")];
      const initialState = [{ type: "m.room.history_visibility", content: { history_visibility: setting } }];
      const made = await done(world.server("a").create({ version, creator: alice, preset: "public", initialState }));
      const { roomId } = made;
      for (let at = 0; at < 8; at++) await done(world.say("a", roomId, `${at}`));
      await done(world.server("b").join({ roomId, userId: bob, via: [nameOf("a")] }));
      await done(world.server("b").backfill(roomId, 4));
      const room = await world.room("b", roomId);
      const ids = (await room.timeline({ limit: 100 })).events
        .filter(({ position }) => (position ?? 0) < 0)
        .map(({ eventId }) => eventId);
      expect(ids.length).toBe(4);
      for (const id of ids) expect(await room.stateAt(id)).toBeUndefined();
      const open = setting === "world_readable" || setting === "shared";
      const seenBy = async (userId: string): Promise<readonly boolean[]> =>
        (await visibleEvents(room, userId, ids)).map(({ visible }) => visible);
      expect(await seenBy(bob)).toEqual(ids.map(() => open));
      expect(await seenBy(late)).toEqual(ids.map(() => setting === "world_readable"));
      if (!open) expect((await visibleEvents(room, bob, ids))[0]?.reason).toBe("state-unknown");
      // Once it is whole, states decide, and they agree.
      while (room.gaps.length > 0) await done(world.server("b").backfill(roomId, 50));
      expect(await room.stateAt(ids[0] ?? "")).toBeDefined();
      expect(await seenBy(bob)).toEqual(ids.map(() => open));
    },
  );

  it("is not shown where the room was stricter once, and it is not known since when", async () => {
    const world = await worldOf("a", "b");
    const [alice, bob] = [userOf("a"), userOf("b")];
    const room = await done(world.server("a").create({ version, creator: alice, preset: "public" }));
    const { roomId } = room;
    const strict = async (setting: Setting): Promise<void> => {
      const content = { history_visibility: setting };
      await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.history_visibility", content }));
    };
    for (const text of ["one", "two", "three"]) await done(world.say("a", roomId, text));
    await strict("joined");
    await done(world.server("b").join({ roomId, userId: bob, via: [nameOf("a")] }));
    await strict("shared");
    await world.deliver();
    const there = await world.room("b", roomId);
    await done(world.server("b").backfill(roomId, 3));
    const ids = (await there.timeline({ limit: 100 })).events
      .filter(({ position, original }) => (position ?? 0) < 0 && original["type"] === "m.room.message")
      .map(({ eventId }) => eventId);
    expect(ids.length).toBeGreaterThan(0);
    for (const { visible, reason } of await visibleEvents(there, bob, ids)) {
      expect([visible, reason]).toEqual([false, "state-unknown"]);
    }
  });
});

// ---- laws -------------------------------------------------------------------------------------------------

const MOVES = ["say", "invite", "join", "leave", "knock", "ban", "unban", "kick", ...SETTINGS] as const;
type Move = (typeof MOVES)[number];

function move(story: Story, name: string, made: Move): void {
  switch (made) {
    case "say":
      story.say(name, ALICE);
      return;
    case "join":
    case "leave":
    case "knock":
      story.member(name, BOB, made);
      return;
    case "invite":
    case "ban":
      story.member(name, BOB, made, { by: ALICE });
      return;
    case "unban":
    case "kick":
      story.member(name, BOB, "leave", { by: ALICE });
      return;
    default:
      set(story, name, made);
  }
}

/** The moves that the rules of a room with join rule `knock` allow, one after the other. */
function allowed(moves: readonly Move[]): readonly Move[] {
  let standing: Standing = "nobody";
  const can: Readonly<Record<Move, readonly Standing[]>> = {
    say: ["nobody", "join", "invite", "knock", "leave", "ban"],
    invite: ["nobody", "knock", "leave", "invite"],
    join: ["invite", "join"],
    leave: ["join", "invite", "knock"],
    knock: ["nobody", "leave", "knock"],
    ban: ["nobody", "join", "invite", "knock", "leave"],
    unban: ["ban"],
    kick: ["join", "invite", "knock"],
    world_readable: ["nobody", "join", "invite", "knock", "leave", "ban"],
    shared: ["nobody", "join", "invite", "knock", "leave", "ban"],
    invited: ["nobody", "join", "invite", "knock", "leave", "ban"],
    joined: ["nobody", "join", "invite", "knock", "leave", "ban"],
  };
  const taken: Move[] = [];
  for (const one of moves) {
    if (!can[one].includes(standing)) continue;
    taken.push(one);
    if (one === "invite" || one === "join" || one === "knock" || one === "ban") standing = one;
    if (one === "leave" || one === "kick" || one === "unban") standing = "leave";
  }
  return taken;
}

function standingAfter(moves: readonly Move[]): Standing {
  let standing: Standing = "nobody";
  for (const one of moves) {
    if (one === "invite" || one === "join" || one === "knock" || one === "ban") standing = one;
    if (one === "leave" || one === "kick" || one === "unban") standing = "leave";
  }
  return standing;
}

/** Which of the moves Bob sees, worked out from the list alone. */
function expected(moves: readonly Move[]): readonly boolean[] {
  let setting: Setting = "shared";
  let standing: Standing = "nobody";
  return moves.map((one, at) => {
    const [settingBefore, standingBefore]: readonly [Setting, Standing] = [setting, standing];
    const isSetting = (SETTINGS as readonly string[]).includes(one);
    if (isSetting) setting = one as Setting;
    standing = standingAfter(moves.slice(0, at + 1));
    const settings = [settingBefore, setting];
    const standings = [standingBefore, standing];
    const joinsLater = moves.slice(at + 1).includes("join");
    if (settings.includes("world_readable")) return true;
    if (standings.includes("join")) return true;
    if (settings.includes("shared") && joinsLater) return true;
    const own = !isSetting && one !== "say";
    // Of the two settings the laxer one counts.
    if (settings.includes("shared")) return own && standings.includes("invite");
    return settings.includes("invited") && standings.includes("invite");
  });
}

async function seen(v: string, moves: readonly Move[], first?: Setting): Promise<readonly boolean[]> {
  const story = opened(v);
  if (first !== undefined) set(story, "first", first);
  moves.forEach((one, at) => {
    move(story, `${at}`, one);
  });
  if (moves.length === 0) return [];
  const found = await sights(story, BOB, ...moves.map((_, at) => `${at}`));
  for (const text of found.values()) expect(text).not.toBe("not: not-accepted");
  return [...found.values()].map(isSeen);
}

const movesOf = (...without: readonly Move[]): fc.Arbitrary<readonly Move[]> =>
  fc.array(fc.constantFrom(...MOVES.filter((one) => !without.includes(one))), { maxLength: 14 });

describe.each(["10", "12"])("laws of visibility in room version %s", (v) => {
  it(`[cap:visibility-user v:${v}] every history is seen as the five rules say, read down a list`, async () => {
    await fc.assert(
      fc.asyncProperty(movesOf(), async (wanted) => {
        const moves = allowed(wanted);
        expect(await seen(v, moves)).toEqual(expected(moves));
      }),
      { numRuns: 60, seed: 5 },
    );
  });

  it(`[cap:visibility-user v:${v}] nothing but a join after an event changes whether it is seen`, async () => {
    await fc.assert(
      fc.asyncProperty(movesOf(), movesOf("join"), async (first, second) => {
        const moves = allowed(first);
        const all = allowed([...moves, "leave", ...second]);
        expect((await seen(v, all)).slice(0, moves.length)).toEqual(await seen(v, moves));
      }),
      { numRuns: 40, seed: 6 },
    );
  });

  it(`[cap:visibility-user v:${v}] joining, and joining again, takes nothing away`, async () => {
    await fc.assert(
      fc.asyncProperty(movesOf(), movesOf(), async (first, second) => {
        const moves = allowed(first);
        const before = await seen(v, moves);
        const after = await seen(v, allowed([...moves, ...second]));
        before.forEach((visible, at) => {
          if (visible) expect(after[at], `${at} of ${moves.join(", ")}`).toBe(true);
        });
      }),
      { numRuns: 40, seed: 7 },
    );
  });

  it(`[cap:visibility-user v:${v}] to whoever joins in the end a laxer setting shows more`, async () => {
    await fc.assert(
      fc.asyncProperty(movesOf(...SETTINGS), async (wanted) => {
        const moves = allowed(wanted);
        const [world = [], shared = [], invited = [], joined = []] = await Promise.all(
          SETTINGS.map((setting) => seen(v, moves, setting)),
        );
        const joins = moves.lastIndexOf("join");
        moves.forEach((one, at) => {
          if (joined[at] === true) expect([world[at], shared[at], invited[at]]).toEqual([true, true, true]);
          if (invited[at] === true) expect(world[at]).toBe(true);
          // Rule 4 names `invited` alone, so that what is said to somebody who never joins is hidden under `shared`.
          if (invited[at] === true && (at <= joins || one !== "say")) expect(shared[at]).toBe(true);
        });
        expect(world).toEqual(moves.map(() => true));
      }),
      { numRuns: 40, seed: 8 },
    );
  });
});

// ---- the pure functions -----------------------------------------------------------------------------------

describe("the decisions", () => {
  const state = (setting: string | undefined): RoomEvent | undefined =>
    setting === undefined
      ? undefined
      : new Story("10").open().state("v", "m.room.history_visibility", ALICE, { history_visibility: setting }).pdu("v");

  it("reads a setting, and takes for shared what it cannot read", () => {
    for (const setting of SETTINGS) expect(historyVisibilityOf(state(setting))).toBe(setting);
    for (const setting of [undefined, "", "SHARED", "toString", "0"]) {
      expect(historyVisibilityOf(state(setting))).toBe("shared");
    }
  });

  it("need nothing but an event, two look-ups and a user", () => {
    const event = new Story("10").open().say("said", ALICE).pdu("said");
    const setting = state("shared");
    const lookup = (type: string): RoomEvent | undefined =>
      type === "m.room.history_visibility" ? setting : undefined;
    const states = { before: lookup, after: lookup };
    const see = (joinsLater: boolean): Sight => isVisibleToUser(event, states, { userId: BOB, joinsLater });
    expect(see(true)).toEqual({ visible: true, reason: "joined-later" });
    expect(see(false)).toEqual({ visible: false, reason: "hidden" });
  });

  it.each([
    ["world_readable", "world-readable", "world-readable", "world-readable"],
    ["shared", "shared", "shared", "shared"],
    ["invited", "joined", "invited", HIDDEN],
    ["joined", "joined", HIDDEN, HIDDEN],
  ] as const satisfies readonly (readonly [HistoryVisibility, string, string, string])[])(
    "a server sees what is sent under %s by what its users were",
    (setting, join, invite, nothing) => {
      expect(textOf(isVisibleToServer(setting, () => "join"))).toBe(join);
      expect(textOf(isVisibleToServer(setting, () => "invite"))).toBe(invite);
      expect(textOf(isVisibleToServer(setting, () => undefined))).toBe(nothing);
    },
  );

  it("do not ask for a server's users where the setting says it all", () => {
    const never = (): never => {
      throw new Error("asked");
    };
    for (const setting of ["world_readable", "shared"] as const) {
      expect(isVisibleToServer(setting, never).visible).toBe(true);
    }
  });
});
