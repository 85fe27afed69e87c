/** The cases of the laws of authorisation: small rooms with exactly the state that one rule reads. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { domainOf } from "../ids/grammar.js";
import { get } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { canonicalText } from "./canonical-text.js";
import { forge, withId, withKeys } from "./forge.js";
import type { Draft } from "./forge.js";
import { testUsers } from "./interpret.js";
import { salts, shuffle } from "./laws.js";
import { Stage, authRequest, membershipEvent, stateEvent } from "./stage.js";
import type { AuthRequest } from "./stage.js";

type Pending = Omit<Draft, "originServerTs">;

/** A request and what the rules say to it. */
export interface Judged {
  readonly request: AuthRequest;
  readonly allowed: boolean;
  readonly because: string;
}

interface Cast {
  readonly creator: string;
  readonly actor: string;
  readonly target: string;
}

const casts: Arbitrary<Cast> = salts.map((salt) => {
  const [creator = "", actor = "", target = ""] = shuffle(testUsers, salt);
  return { creator, actor, target };
});

const near = fc.constantFrom(-1, 0, 1);
const ownLevels = fc.constantFrom(50, 0, 1, 49, 99, 100, -1, 2 ** 53 - 10, 10 - 2 ** 53);
const plainTypes = fc.constantFrom("x.custom", "m.room.topic", "__proto__", "constructor", "\u{1f600}");
const memberships = fc.constantFrom("none", "invite", "join", "leave", "ban", "knock");

function membersOf(entries: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(entries).filter(([, membership]) => membership !== "none"));
}

/** Power levels in which the actor may edit power levels, whatever the level. */
function levelsOf(levels: Readonly<Record<string, number>>, more: JsonObject = {}): JsonObject {
  return { users: levels, events: { "m.room.power_levels": -(2 ** 53 - 1) }, ...more };
}

function lawful(
  rules: RoomVersionRules,
  setup: ConstructorParameters<typeof Stage>[1],
  draft: Pending,
  verdict: { readonly allowed: boolean; readonly because: string },
): Judged {
  return { request: new Stage(rules, setup).request(draft), ...verdict };
}

/** What the rules say in rooms of three people. */
export interface JudgedLaw {
  readonly name: string;
  /** `undefined` where the law is not about the version. */
  readonly cases: (rules: RoomVersionRules) => Arbitrary<Judged> | undefined;
}

export const judgedLaws: readonly JudgedLaw[] = [
  {
    name: "only who has joined may speak",
    cases: (rules) =>
      fc.record({ cast: casts, membership: memberships, isState: fc.boolean(), type: plainTypes }).map((given) => {
        const {
          cast: { creator, actor },
          membership,
          isState,
          type,
        } = given;
        const setup = {
          creator,
          members: membersOf({ [actor]: membership }),
          powerLevels: { users: { [actor]: 100 } },
        };
        const draft = { type, sender: actor, content: {}, ...(isState ? { stateKey: "" } : {}) };
        return lawful(rules, setup, draft, {
          allowed: membership === "join",
          because: `the sender's membership is ${membership}`,
        });
      }),
  },
  {
    name: "who is banned cannot join, knock, leave or be invited",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          rule: fc.constantFrom("public", "invite", "knock", "restricted"),
          to: fc.constantFrom("join", "knock", "leave", "invite"),
        })
        .map(({ cast: { creator, target }, rule, to }) => {
          const setup = {
            creator,
            members: { [target]: "ban" },
            joinRule: rule,
            powerLevels: { users: { [target]: 100, ...own(rules, creator, 100) } },
          };
          const draft = membershipEvent(to === "invite" ? creator : target, target, to);
          return lawful(rules, setup, draft, { allowed: false, because: "the target is banned" });
        }),
  },
  {
    name: "an event needs the level of its type, or of state or messages, and that is enough",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          type: plainTypes,
          isState: fc.boolean(),
          level: ownLevels,
          by: near,
          how: fc.constantFrom("type", "default", "nothing"),
        })
        .map(({ cast: { creator, actor }, type, isState, level, by, how }) => {
          const fallback = isState ? 50 : 0;
          const needed = how === "nothing" ? fallback : level;
          const stated: JsonObject =
            how === "type"
              ? { events: Object.fromEntries([[type, needed]]), state_default: needed + 5, events_default: needed + 5 }
              : how === "default"
                ? { [isState ? "state_default" : "events_default"]: needed }
                : {};
          const setup = {
            creator,
            members: { [actor]: "join" },
            powerLevels: { users: { [actor]: needed + by }, ...stated },
          };
          const draft = { type, sender: actor, content: {}, ...(isState ? { stateKey: "" } : {}) };
          return lawful(rules, setup, draft, {
            allowed: by >= 0,
            because: `it takes ${needed} and the sender has ${needed + by}`,
          });
        }),
  },
  {
    name: "kicks, bans, unbans and invites need their level; kicks, bans and unbans a higher one than the target's",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          act: fc.constantFrom("kick", "ban", "unban", "invite"),
          level: ownLevels,
          by: near,
          over: near,
          stated: fc.boolean(),
        })
        .map(({ cast: { creator, actor, target }, act, level, by, over, stated }) => {
          const needed = stated ? level : act === "invite" ? 0 : 50;
          const own = needed + by;
          const scalars = stated ? { kick: needed, ban: needed, invite: needed } : {};
          const before = act === "unban" ? "ban" : act === "invite" ? "leave" : "join";
          const setup = {
            creator,
            members: { [actor]: "join", [target]: before },
            powerLevels: levelsOf({ [actor]: own, [target]: own - over }, scalars),
          };
          const draft = membershipEvent(actor, target, act === "kick" || act === "unban" ? "leave" : act);
          const allowed = by >= 0 && (act === "invite" || over > 0);
          return lawful(rules, setup, draft, {
            allowed,
            because: `it takes ${needed}, the sender has ${own} and the target ${own - over}`,
          });
        }),
  },
  {
    name: "who may not invite, kick or ban because of their membership cannot, whatever their level",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          act: fc.constantFrom("leave", "ban", "invite"),
          membership: memberships.filter((m) => m !== "join"),
        })
        .map(({ cast: { creator, actor, target }, act, membership }) => {
          const members = membersOf({ [actor]: membership, [target]: act === "invite" ? "leave" : "join" });
          const setup = { creator, members, powerLevels: levelsOf({ [actor]: 100 }) };
          return lawful(rules, setup, membershipEvent(actor, target, act), {
            allowed: false,
            because: `the sender's membership is ${membership}`,
          });
        }),
  },
  {
    name: "nobody gives a level above their own",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          level: ownLevels,
          by: near,
          where: fc.constantFrom(...editable(rules), "self"),
          present: fc.boolean(),
        })
        .map(({ cast: { creator, actor, target }, level, by, where, present }) => {
          const old = where === "self" ? level : present || scalarKeys.includes(where) ? level - 1 : undefined;
          const key = where === "self" ? actor : target;
          const before = edited(levelsOf({ [actor]: level }), where, key, old);
          const after = edited(before, where, key, level + by);
          return powerEdit(rules, { creator, actor }, before, after, {
            allowed: by <= 0,
            because: `the sender has ${level} and gives ${level + by}`,
          });
        }),
  },
  {
    name: "nobody lowers a level above their own, nor that of another user at their own",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          level: ownLevels,
          by: near,
          where: fc.constantFrom(...editable(rules)),
          removed: fc.boolean(),
        })
        .map(({ cast: { creator, actor, target }, level, by, where, removed }) => {
          const before = edited(levelsOf({ [actor]: level }), where, target, level + by);
          const remove = removed && !scalarKeys.includes(where);
          const after = edited(before, where, target, remove ? undefined : level - 5);
          const allowed = where === "users" ? by < 0 : by <= 0;
          return powerEdit(rules, { creator, actor }, before, after, {
            allowed,
            because: `the sender has ${level} and lowers ${level + by}`,
          });
        }),
  },
  {
    name: "users may lower themselves",
    cases: (rules) =>
      fc
        .record({ cast: casts, level: ownLevels, by: fc.integer({ min: 0, max: 5 }) })
        .map(({ cast: { creator, actor }, level, by }) => {
          const before = levelsOf({ [actor]: level });
          const after = edited(before, "users", actor, level - by);
          return powerEdit(rules, { creator, actor }, before, after, {
            allowed: true,
            because: "it is the sender's own entry",
          });
        }),
  },
  {
    name: "power levels with values that the version cannot read are refused, others are read",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          value: fc.constantFrom<JsonValue>(" 50 ", "50", "+50", "0x32", "", "5 0", null, true, [50], { a: 1 }),
        })
        .map(({ cast: { creator, actor }, value }) => {
          const readable =
            rules.auth.powerLevelValues !== "integer" &&
            typeof value === "string" &&
            [" 50 ", "50", "+50"].includes(value);
          const stage = new Stage(rules, { creator });
          const request = stage.request(
            stateEvent("m.room.power_levels", creator, { users: { [actor]: value, ...own(rules, creator, 100) } }),
          );
          return { request, allowed: readable, because: `a level is ${canonicalText(value)}` };
        }),
  },
  {
    name: "keys of users in power levels are user ids, and users is an object",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          users: fc.constantFrom<JsonValue>([], "", null, { alice: 50 }, { "": 50 }, { "#a:b.example": 50 }),
        })
        .map(({ cast: { creator }, users }) =>
          lawful(rules, { creator }, stateEvent("m.room.power_levels", creator, { users }), {
            allowed: false,
            because: "users is not what it should be",
          }),
        ),
  },
  {
    name: "creators rank as the version says",
    cases: (rules) =>
      fc
        .record({ cast: casts, listed: fc.constantFrom("no event", "unlisted", "other") })
        .map(({ cast: { creator, actor }, listed }) => {
          const infinite = rules.auth.creatorPower === "infinite";
          const powerLevels = listed === "no event" ? {} : { powerLevels: { users: { [actor]: 100 } } };
          const setup = { creator, members: { [actor]: "join" }, ...powerLevels };
          const sender = listed === "other" ? actor : creator;
          const draft = stateEvent("m.room.topic", sender, { topic: "" });
          const allowed = listed !== "unlisted" || infinite;
          return lawful(rules, setup, draft, {
            allowed,
            because: listed === "unlisted" ? "the power levels do not list the creator" : "it takes 50",
          });
        }),
  },
  {
    name: "who is no creator has level 0 where there are no power levels",
    cases: (rules) =>
      fc.record({ cast: casts, isState: fc.boolean() }).map(({ cast: { creator, actor }, isState }) => {
        const draft = { type: "x.custom", sender: actor, content: {}, ...(isState ? { stateKey: "" } : {}) };
        return lawful(rules, { creator, members: { [actor]: "join" } }, draft, {
          allowed: !isState,
          because: "the sender has 0",
        });
      }),
  },
  {
    name: "creators of room version 12 stand above every level and are listed nowhere",
    cases: (rules) =>
      rules.auth.creatorPower !== "infinite"
        ? undefined
        : fc
            .record({ cast: casts, what: fc.constantFrom("kicked by creator", "kicks creator", "creators", "listed") })
            .map(({ cast: { creator, actor, target }, what }) => {
              const most = 2 ** 53 - 1;
              const setup = {
                creator,
                createContent: { additional_creators: [target] },
                members: { [actor]: "join", [target]: "join" },
                powerLevels: { users: { [actor]: most } },
              };
              const drafts: Readonly<Record<string, Pending>> = {
                "kicked by creator": membershipEvent(target, actor, "leave"),
                "kicks creator": membershipEvent(actor, target, "leave"),
                creators: membershipEvent(creator, target, "leave"),
              };
              const draft =
                drafts[what] ?? stateEvent("m.room.power_levels", creator, { users: { [actor]: most, [target]: 0 } });
              return lawful(rules, setup, draft, {
                allowed: what === "kicked by creator",
                because: "a creator outranks every level, and no creator",
              });
            }),
  },
  {
    name: "join rules let in whom they should",
    cases: (rules) =>
      fc
        .record({ cast: casts, rule: fc.constantFrom(...everyJoinRule), membership: memberships })
        .map(({ cast: { creator, target }, rule, membership }) => {
          const inside = membership === "invite" || membership === "join";
          const known: Readonly<Record<string, boolean>> = {
            invite: true,
            knock: rules.auth.knock,
            restricted: rules.auth.restricted,
            knock_restricted: rules.auth.knockRestricted,
          };
          const allowed = membership !== "ban" && (rule === "public" || (known[rule] === true && inside));
          const setup = { creator, members: membersOf({ [target]: membership }), joinRule: rule };
          return lawful(rules, setup, membershipEvent(target, target, "join"), {
            allowed,
            because: `the rule is ${rule} and the membership ${membership}`,
          });
        }),
  },
  {
    name: "a restricted join is authorised by somebody who has joined and may invite",
    cases: (rules) =>
      !rules.auth.restricted
        ? undefined
        : fc
            .record({
              cast: casts,
              membership: memberships,
              level: ownLevels,
              by: near,
              rule: fc.constantFrom("restricted", "knock_restricted", "invite"),
            })
            .map(({ cast: { creator, actor, target }, membership, level, by, rule }) => {
              const setup = {
                creator,
                members: membersOf({ [actor]: membership }),
                joinRule: rule,
                powerLevels: { invite: level, users: { [actor]: level + by } },
              };
              const draft = membershipEvent(target, target, "join", { join_authorised_via_users_server: actor });
              const applies = rule === "restricted" || (rule === "knock_restricted" && rules.auth.knockRestricted);
              const allowed = applies && membership === "join" && by >= 0;
              return lawful(rules, setup, draft, {
                allowed,
                because: `the rule is ${rule}, the authoriser ${membership} at ${level + by} of ${level}`,
              });
            }),
  },
  {
    name: "knocking is for those outside, where the rule and the version have it",
    cases: (rules) =>
      fc
        .record({ cast: casts, rule: fc.constantFrom(...everyJoinRule), membership: memberships })
        .map(({ cast: { creator, target }, rule, membership }) => {
          const open =
            (rule === "knock" && rules.auth.knock) || (rule === "knock_restricted" && rules.auth.knockRestricted);
          const allowed = open && ["none", "leave", "knock"].includes(membership);
          const setup = { creator, members: membersOf({ [target]: membership }), joinRule: rule };
          return lawful(rules, setup, membershipEvent(target, target, "knock"), {
            allowed,
            because: `the rule is ${rule} and the membership ${membership}`,
          });
        }),
  },
  {
    name: "users leave from invite, join and knock only",
    cases: (rules) =>
      fc.record({ cast: casts, membership: memberships }).map(({ cast: { creator, target }, membership }) => {
        const allowed =
          membership === "invite" || membership === "join" || (membership === "knock" && rules.auth.knock);
        const setup = {
          creator,
          members: membersOf({ [target]: membership }),
          powerLevels: { users: { [target]: 100 } },
        };
        return lawful(rules, setup, membershipEvent(target, target, "leave"), {
          allowed,
          because: `the membership is ${membership}`,
        });
      }),
  },
  {
    name: "nobody joins or knocks for somebody else, and unknown memberships are refused",
    cases: (rules) =>
      fc
        .record({ cast: casts, to: fc.constantFrom("join", "knock", "JOIN", "", "__proto__") })
        .map(({ cast: { creator, actor, target }, to }) => {
          const sender = to === "join" || to === "knock" ? actor : target;
          const setup = {
            creator,
            members: { [actor]: "join" },
            joinRule: to === "knock" ? "knock" : "public",
            powerLevels: { users: { [actor]: 100 } },
          };
          return lawful(rules, setup, membershipEvent(sender, target, to), {
            allowed: false,
            because: `it sets ${canonicalText(to)}`,
          });
        }),
  },
  {
    name: "a state key that begins with @ belongs to its user",
    cases: (rules) =>
      fc
        .record({ cast: casts, mine: fc.boolean(), type: plainTypes })
        .map(({ cast: { creator, actor, target }, mine, type }) => {
          const setup = { creator, members: { [actor]: "join" }, powerLevels: { users: { [actor]: 100 } } };
          const draft = { type, stateKey: mine ? actor : target, sender: actor, content: {} };
          return lawful(rules, setup, draft, {
            allowed: mine,
            because: mine ? "it is the sender's" : "it is not the sender's",
          });
        }),
  },
  {
    name: "a room closed to other servers takes events of its creator's server only",
    cases: (rules) =>
      fc.record({ cast: casts }).map(({ cast: { creator, actor } }) => {
        const setup = { creator, createContent: { "m.federate": false }, members: { [actor]: "join" } };
        const allowed = domainOf(actor) === domainOf(creator);
        return lawful(
          rules,
          setup,
          { type: "x.custom", sender: actor, content: {} },
          { allowed, because: `the sender is ${actor}` },
        );
      }),
  },
  {
    name: "keys are matched with their case",
    cases: (rules) =>
      fc
        .record({ cast: casts, key: fc.constantFrom("Users", "USERS", "users ") })
        .map(({ cast: { creator, actor }, key }) => {
          const setup = { creator, members: { [actor]: "join" }, powerLevels: { users: {}, [key]: { [actor]: 100 } } };
          return lawful(rules, setup, stateEvent("m.room.topic", actor, {}), {
            allowed: false,
            because: `${key} is not users`,
          });
        }),
  },
  {
    name: "a create event comes first, in a room of its sender's server or of its own hash",
    cases: (rules) =>
      fc
        .record({ cast: casts, what: fc.constantFrom("right", "prev_events", "room_id", "port") })
        .map(({ cast: { creator }, what }) => {
          const stage = new Stage(rules, { creator });
          const domain = domainOf(creator) ?? "";
          const hashRoom = rules.format.roomIds === "create-hash";
          const ids: Readonly<Record<string, string>> = {
            room_id: "!room:elsewhere.example",
            port: `!room:elsewhere:${domain.split(":").at(-1) ?? ""}`,
          };
          const roomId =
            ids[what] === undefined
              ? hashRoom
                ? undefined
                : `!room:${domain}`
              : hashRoom
                ? stage.create.roomId
                : ids[what];
          const draft: Draft = { ...stateEvent("m.room.create", creator, stage.create.content), originServerTs: 1 };
          const prevEvents = what === "prev_events" ? [stage.create] : [];
          const event = forge(rules, draft, { roomId, prevEvents, authEvents: [], sign: false });
          return {
            request: authRequest(rules, withId(event), [], {}),
            allowed: what === "right",
            because: `of its ${what}`,
          };
        }),
  },
  {
    name: "cited events are those that the event needs, one for each key, of its room",
    cases: (rules) =>
      fc
        .record({
          cast: casts,
          what: fc.constantFrom("right", "create", "superfluous", "join rules", "twice", "another room"),
        })
        .map(({ cast: { creator, actor, target }, what }) => {
          const powerLevels = { users: { ...own(rules, creator, 100), [actor]: 50 } };
          const setup = { creator, members: { [actor]: "join", [target]: "join" }, joinRule: "public", powerLevels };
          const stage = new Stage(rules, setup);
          const draft = stateEvent("m.room.topic", actor, {});
          const cited = stage.cited(draft);
          const other = new Stage(rules, { ...setup, createContent: { "x.other": 1 }, name: "other" });
          const wrong: Readonly<Record<string, readonly (typeof stage.create)[]>> = {
            right: cited,
            // Mandatory where it is cited, forbidden where the room id implies it.
            create:
              rules.auth.createEvent === "implied"
                ? [...cited, stage.create]
                : cited.filter(({ type }) => type !== "m.room.create"),
            superfluous: [...cited, stage.event(stateEvent("m.room.name", creator, {}))],
            "join rules": [...cited, ...[stage.at("m.room.join_rules", "") ?? []].flat()],
            twice: [...cited, stage.event(stateEvent("m.room.power_levels", creator, powerLevels))],
            "another room": cited.map(
              (event) => other.at(event.type === "m.room.power_levels" ? event.type : "", "") ?? event,
            ),
          };
          return {
            request: stage.request(draft, wrong[what]),
            allowed: what === "right",
            because: `of what it cites: ${what}`,
          };
        }),
  },
];

const everyJoinRule = ["public", "invite", "knock", "restricted", "knock_restricted", "private", "__proto__"];

const scalarKeys: readonly string[] = [
  "ban",
  "kick",
  "redact",
  "invite",
  "state_default",
  "events_default",
  "users_default",
];

function editable(rules: RoomVersionRules): readonly string[] {
  return ["users", "events", ...(rules.auth.notifications ? ["notifications"] : []), ...scalarKeys];
}

/** The creator's entry, in versions where power levels may have one. */
function own(rules: RoomVersionRules, creator: string, level: number): Readonly<Record<string, number>> {
  return rules.auth.creatorPower === "infinite" ? {} : { [creator]: level };
}

/** `levels` with a value at a scalar, or in a map at a user or another key; `undefined` removes it. */
function edited(levels: JsonObject, where: string, user: string, value: number | undefined): JsonObject {
  const name = where === "self" ? "users" : where;
  if (scalarKeys.includes(name)) return value === undefined ? levels : withKeys(levels, { [name]: value });
  const key = name === "users" ? user : name === "events" ? "x.custom" : "room";
  const map = get(levels, name) ?? {};
  const rest: JsonObject = Object.fromEntries(Object.entries(map).filter(([other]) => other !== key));
  return withKeys(levels, { [name]: value === undefined ? rest : withKeys(rest, { [key]: value }) });
}

function powerEdit(
  rules: RoomVersionRules,
  { creator, actor }: Pick<Cast, "creator" | "actor">,
  before: JsonObject,
  after: JsonObject,
  verdict: { readonly allowed: boolean; readonly because: string },
): Judged {
  const setup = { creator, members: { [actor]: "join" }, powerLevels: before };
  return lawful(rules, setup, stateEvent("m.room.power_levels", actor, after), verdict);
}
