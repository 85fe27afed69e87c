/**
 * Every change of membership under every join rule, by everybody who might make it, through the engine: sent by the
 * server of all users, and received by one that has the room from it. What has to come of each is stated here, as
 * tables after the pages of the room versions (v6-11 rule 4, v12 rule 5); nothing is asked of the code.
 */
import { describe, expect, it } from "vitest";
import type { LocalEvent, Room } from "../../src/engine/index.js";
import { hashEvent } from "../../src/event/sign.js";
import type { JsonObject } from "../../src/json/index.js";
import { createKeyRing } from "../../src/testing/simulation/index.js";
import { at, label } from "../support/auth.js";
import { HERE, testServer } from "../support/engine.js";

const VERSIONS = ["6", "7", "8", "10", "12", "I.1"] as const;
const FROM = ["none", "leave", "invite", "join", "knock", "ban"] as const;
const TO = ["leave", "invite", "join", "knock", "ban", "dance"] as const;
const RULES = ["public", "invite", "private", "knock", "restricted", "knock_restricted", "club"] as const;

type Version = (typeof VERSIONS)[number];
type From = (typeof FROM)[number];
type To = (typeof TO)[number];
type Rule = (typeof RULES)[number];

// ---- who acts -----------------------------------------------------------------------------------------------

/** An invite takes 20, a kick 30, a ban 40. All but the outsider are in the room. */
const LEVELS = { inviter: 20, kicker: 30, moderator: 40, member: 0, outsider: 50 } as const;
type Other = keyof typeof LEVELS;

/**
 * `strong`: the user has the moderator's level. `by`: who they name as having let them in, which only a join does
 * (`join_authorised_via_users_server`).
 */
interface Actor {
  readonly sender: "self" | Other;
  readonly strong?: true;
  readonly by?: Other;
}

const ACTORS: readonly Actor[] = [
  { sender: "self" },
  { sender: "self", strong: true },
  { sender: "self", by: "inviter" },
  { sender: "self", by: "member" },
  { sender: "self", by: "outsider" },
  { sender: "inviter" },
  { sender: "kicker" },
  { sender: "moderator" },
  { sender: "moderator", strong: true },
  { sender: "member" },
  { sender: "outsider" },
];

interface Cell extends Actor {
  readonly from: From;
  readonly to: To;
  readonly rule: Rule;
}

// ---- what the pages say -------------------------------------------------------------------------------------

/**
 * Join rules that a version knows. `club` is of none, and `private` is a word for what lets nobody in, not even who was
 * invited (v6 rule 4.2.6, v10 rule 4.3.7).
 */
const KNOWN: Readonly<Record<Version, readonly Rule[]>> = {
  "6": ["public", "invite"],
  "7": ["public", "invite", "knock"],
  "8": ["public", "invite", "knock", "restricted"],
  "10": ["public", "invite", "knock", "restricted", "knock_restricted"],
  "12": ["public", "invite", "knock", "restricted", "knock_restricted"],
  "I.1": ["public", "invite", "knock", "restricted", "knock_restricted"],
};

/**
 * Who may join for themselves, by where they stand. Nobody joins for another (v10 rule 4.3.2), nor after a ban (v10
 * rule 4.3.3).
 */
const JOINS: Readonly<Partial<Record<Rule, readonly From[]>>> = {
  public: ["none", "leave", "invite", "join", "knock"], // v10 rule 4.3.6
  invite: ["invite", "join"], // v10 rule 4.3.4
  knock: ["invite", "join"], // v7 rule 4.2.4
  restricted: ["invite", "join"], // v8 rule 4.3.5.1
  knock_restricted: ["invite", "join"], // v10 rule 4.3.5.1
};

/** Who may join by leave of a joined user who may invite (v8 rules 4.3.5.2 and 4.3.5.3). */
const LET_IN: readonly From[] = ["none", "leave", "invite", "join", "knock"];
const LETTING: readonly Rule[] = ["restricted", "knock_restricted"];

/** Who may knock (v7 rule 4.6.3), and under which rules (v7 rule 4.6.1, v10 rule 4.7.1). */
const KNOCKS: readonly From[] = ["none", "leave", "knock"];
const KNOCKING: readonly Rule[] = ["knock", "knock_restricted"];

/** Who may leave by themselves (v6 rule 4.4.1; from a knock since v7 rule 4.4.1). */
const LEAVES: readonly From[] = ["invite", "join", "knock"];

/**
 * What others may do to a user who has less power: a letter each, for the inviter, the kicker and the moderator. The
 * member lacks the power and the outsider is not in the room (v10 rules 4.4.2, 4.5.2, 4.6.1).
 */
const DEEDS: Readonly<Record<From, { readonly invite: string; readonly leave: string; readonly ban: string }>> = {
  //         v10 rule 4.4.3-5   4.5.3-5      4.6.2
  none: { invite: "i k m", leave: "k m", ban: "m" },
  leave: { invite: "i k m", leave: "k m", ban: "m" },
  invite: { invite: "i k m", leave: "k m", ban: "m" },
  join: { invite: "", leave: "k m", ban: "m" },
  knock: { invite: "i k m", leave: "k m", ban: "m" },
  // An unban takes the level of a ban (v10 rule 4.5.3).
  ban: { invite: "", leave: "m", ban: "m" },
};

const LETTERS: Readonly<Record<Other, string>> = {
  inviter: "i",
  kicker: "k",
  moderator: "m",
  member: "-",
  outsider: "-",
};

function isAllowed(version: Version, { from, to, rule, sender, strong, by }: Cell): boolean {
  const known = KNOWN[version].includes(rule);
  if (to === "dance") return false; // v10 rule 4.8
  if (sender === "self") {
    if (to === "join") {
      if (!known) return false;
      if (LETTING.includes(rule) && by === "inviter") return LET_IN.includes(from);
      return JOINS[rule]?.includes(from) === true;
    }
    if (to === "knock") return known && KNOCKING.includes(rule) && KNOCKS.includes(from);
    // Nobody is below themselves, and who is in the room to invite is in it already.
    return to === "leave" && LEAVES.includes(from);
  }
  if (to === "join" || to === "knock") return false;
  // An equal is not kicked, banned or unbanned (v10 rules 4.5.4, 4.6.2); they can be invited.
  if (strong === true && to !== "invite") return false;
  return DEEDS[from][to].includes(LETTERS[sender]);
}

/** Version 6 has no knock, neither to stand at nor to make (v6 rule 4.6). */
function cellsOf(version: Version, rule: Rule): readonly Cell[] {
  const from = FROM.filter((one) => version !== "6" || one !== "knock");
  return from.flatMap((one) =>
    TO.flatMap((to) =>
      ACTORS.filter(({ by }) => by === undefined || to === "join").map((actor) => ({ from: one, to, rule, ...actor })),
    ),
  );
}

// ---- the engine ---------------------------------------------------------------------------------------------

const userOf = (localpart: string): string => `@${localpart}:${HERE}`;
const CREATOR = userOf("creator");

function change(user: string, membership: string, sender: string = user, more: JsonObject = {}): LocalEvent {
  return { type: "m.room.member", stateKey: user, sender, content: { membership, ...more } };
}

function joinRule(rule: Rule): LocalEvent {
  // Nobody is in that other room: leave to join is given by hand, as a server that is would give it.
  const allow = [{ type: "m.room_membership", room_id: `!other:${HERE}` }];
  const content = { join_rule: rule, ...(LETTING.includes(rule) ? { allow } : {}) };
  return { type: "m.room.join_rules", stateKey: "", sender: CREATOR, content };
}

/** What brings a new user to where a cell begins; the knock needs the rule for it. */
function wayTo(from: From, user: string): readonly LocalEvent[] {
  switch (from) {
    case "none":
      return [];
    case "leave":
      return [change(user, "join"), change(user, "leave")];
    case "invite":
    case "ban":
      return [change(user, from, CREATOR)];
    case "join":
    case "knock":
      return [change(user, from)];
  }
}

interface Seen {
  /** What the sending server said, and the one that received. */
  readonly sent: string;
  readonly received: string;
  /** The user's membership after it, on either. */
  readonly membership: readonly [here: string, there: string];
}

/** Makes every change of one room, one after the other. */
async function play(version: Version, rule: Rule): Promise<ReadonlyMap<Cell, Seen>> {
  const cells = cellsOf(version, rule);
  // A user whose membership is to change serves for one cell, the others for many.
  const users = new Map(
    cells.map((cell, index) => {
      const own = isAllowed(version, cell) ? `${index}-` : "";
      return [cell, userOf(`${own}${cell.from}${cell.strong === true ? "-strong" : ""}`)] as const;
    }),
  );
  const beginnings = new Map([...users].map(([{ from, strong }, user]) => [user, { from, strong }] as const));
  const levels: Record<string, number> = version === "12" ? {} : { [CREATOR]: 100 };
  for (const [name, level] of Object.entries(LEVELS)) levels[userOf(name)] = level;
  for (const [user, { strong }] of beginnings) if (strong === true) levels[user] = LEVELS.moderator;

  const ring = createKeyRing();
  const here = testServer({ ring });
  const powerLevels = { users: levels, invite: LEVELS.inviter, kick: LEVELS.kicker, ban: LEVELS.moderator };
  const made = await here.rooms.create({ version, creator: CREATOR, preset: "public", powerLevels });
  if (!made.ok) throw new Error(made.error.reason);
  const room = made.value;
  const begin = (...which: readonly From[]): readonly LocalEvent[] =>
    [...beginnings].flatMap(([user, { from }]) => (which.includes(from) ? wayTo(from, user) : []));
  const joined = (["inviter", "kicker", "moderator", "member"] as const).map((name) => change(userOf(name), "join"));
  const knocks = version === "6" ? [] : [joinRule("knock"), ...begin("knock")];
  const story = [...joined, ...begin("leave", "invite", "join", "ban"), ...knocks, joinRule(rule)];
  const told = await room.emit(story);
  if (!told.ok) throw new Error(told.error.reason);

  const there = await testServer({ ring, server: "there.example" }).rooms.forJoin(room.roomId, version);
  const all = await room.timeline({ from: 1, limit: 10_000 });
  await there.receive(
    all.events.map(({ original }) => original),
    { origin: HERE },
  );
  expect([...there.current.ids()].sort()).toEqual([...room.current.ids()].sort());

  const seen = new Map<Cell, Seen>();
  for (const cell of cells) seen.set(cell, await make(cell, users.get(cell) ?? "", room, there));
  return seen;
}

/**
 * Sends the change of a cell, and hands it to the other server: as it was sent, or as a server that does not check
 * would send it.
 */
async function make({ to, sender, by }: Cell, user: string, room: Room, there: Room): Promise<Seen> {
  const more = by === undefined ? {} : { join_authorised_via_users_server: userOf(by) };
  const draft = change(user, to, sender === "self" ? user : userOf(sender), more);
  const sent = await room.emit([draft]);
  const event = sent.ok ? sent.value[0]?.json : await unchecked(room, draft);
  const [receipt] = await there.receive([event], { origin: HERE });
  const { verdict } = receipt ?? {};
  return {
    sent: sent.ok ? "sent" : `${sent.error.code} ${sent.error.rule ?? ""}`,
    received:
      verdict?.verdict === "rejected-by-auth-events"
        ? `${verdict.verdict} ${verdict.refusal.rule ?? ""}`
        : (verdict?.verdict ?? "none"),
    membership: [room.current.membership(user), there.current.membership(user)],
  };
}

/** The event that a server would send that does not check what it sends. */
async function unchecked(room: Room, draft: LocalEvent): Promise<JsonObject> {
  const made = await room.template(draft);
  if (!made.ok) throw new Error(made.error.reason);
  return room.cosign(hashEvent(made.value));
}

const HEADINGS = {
  leave: "leave",
  invite: "invite",
  join: "join",
  knock: "knock",
  ban: "ban",
  dance: "unknown",
} as const;

/** What has to be seen: `rule` is the number on the version's page under which a refusal has its own number. */
function expected(version: Version, cell: Cell): { readonly allowed: boolean; readonly seen: Seen } {
  const { from, to } = cell;
  if (isAllowed(version, cell))
    return { allowed: true, seen: { sent: "sent", received: "accepted", membership: [to, to] } };
  const heading = version === "6" && to === "knock" ? "unknown" : HEADINGS[to];
  const rule = label(version, at(version, heading));
  const stays = from === "none" ? "leave" : from;
  const seen = {
    sent: `auth_rejected ${rule}`,
    received: `rejected-by-auth-events ${rule}`,
    membership: [stays, stays],
  } as const;
  return { allowed: false, seen };
}

/** `v10 rule 4.3` for `v10 rule 4.3.5.2`: the part of the page, which is that of one membership. */
function underHeading(text: string): string {
  return text.replace(/( rule \d+\.\d+)[.\d]*$/, "$1");
}

const inWords = ({ from, to, sender, strong, by }: Cell): string =>
  [
    from,
    "to",
    to,
    "by",
    sender,
    ...(strong === true ? ["(strong)"] : []),
    ...(by === undefined ? [] : ["through", by]),
  ].join(" ");

describe.each(VERSIONS)("membership through the engine [cap:auth-membership v:%s]", (version) => {
  describe.each(RULES)("under the join rule %s", (rule) => {
    it("changes as the rules have it, and not otherwise", async () => {
      const wanted: string[] = [];
      const got: string[] = [];
      for (const [cell, { sent, received, membership }] of await play(version, rule)) {
        const row = (one: Seen): string =>
          `${inWords(cell)}: ${one.sent}, ${one.received}, ${one.membership.join(" and ")}`;
        wanted.push(row(expected(version, cell).seen));
        got.push(row({ sent: underHeading(sent), received: underHeading(received), membership }));
      }
      expect(got).toEqual(wanted);
    });
  });
});
