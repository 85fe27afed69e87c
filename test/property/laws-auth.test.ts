import { describe, expect, it } from "vitest";
import { authLaws } from "../../src/testing/index.js";
import type { AuthRequest, Check } from "../../src/testing/index.js";
import { textAt, withKeys } from "../../src/testing/forge.js";
import { get, isObject } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import { check, lawNamed, options, violationOf } from "./laws-support.js";

describe("this library keeps the laws of authorisation", () => {
  for (const law of authLaws(check)) it(law.name, () => law.run(options(20)));
});

it("and so does an implementation that answers later", async () => {
  const later: Check = (request) => Promise.resolve(request).then(check);
  for (const law of authLaws(later)) await law.run({ ...options(3), versions: ["1", "10", "12"] });
});

const senderOf = (request: AuthRequest): string => textAt(request.event, "sender");
const contentOf = (event: JsonObject): JsonObject => event["content"] as JsonObject;

/** Asks this library about a changed request. */
const after =
  (change: (request: AuthRequest) => AuthRequest): Check =>
  (request) =>
    check(change(request));

/** Changes the cited events of a type. */
const onCited = (type: string, change: (event: JsonObject, request: AuthRequest) => JsonObject): Check =>
  after((request) => ({
    ...request,
    auth_events: request.auth_events.map((event) => (event["type"] === type ? change(event, request) : event)),
  }));

const withContent = (event: JsonObject, keys: JsonObject): JsonObject =>
  withKeys(event, { content: withKeys(contentOf(event), keys) });

/** Takes a membership for another one. */
const misread = (from: readonly string[], to: string): Check =>
  onCited("m.room.member", (event) =>
    from.includes(textAt(contentOf(event), "membership")) ? withContent(event, { membership: to }) : event,
  );

/** Reads the sender's level as so much more than it is. */
const promoted = (by: number): Check =>
  onCited("m.room.power_levels", (event, request) => {
    const users = get(contentOf(event), "users");
    const level = isObject(users) ? get(users, senderOf(request)) : undefined;
    return isObject(users) && typeof level === "number"
      ? withContent(event, { users: withKeys(users, { [senderOf(request)]: Math.min(level + by, 2 ** 53 - 1) }) })
      : event;
  });

const changedRule = (to: (rule: string) => string): Check =>
  onCited("m.room.join_rules", (event) => withContent(event, { join_rule: to(textAt(contentOf(event), "join_rule")) }));

const unless =
  (wrong: (request: AuthRequest) => boolean, answer = true): Check =>
  (request) =>
    wrong(request) ? answer : check(request);
const citedTypes = (request: AuthRequest): readonly JsonValue[] => request.auth_events.map((event) => event["type"]!);
const is = (request: AuthRequest, type: string): boolean => request.event["type"] === type;
const membershipOf = (request: AuthRequest): JsonValue | undefined =>
  is(request, "m.room.member") ? contentOf(request.event)["membership"] : undefined;
const stateKeyOf = (request: AuthRequest): string => textAt(request.event, "state_key");
const usersOf = (event: JsonObject | undefined): JsonValue | undefined =>
  event === undefined ? undefined : get(contentOf(event), "users");
const levelsCited = (request: AuthRequest): JsonObject | undefined =>
  request.auth_events.find((event) => event["type"] === "m.room.power_levels");
const domain = (id: JsonValue | undefined): string => (typeof id === "string" ? id.slice(id.indexOf(":") + 1) : "");

/** For each law an implementation that breaks it, and a version where it does. */
const broken: readonly (readonly [law: string, name: string, check: Check, version: string])[] = [
  ["allowed by the events that it cites", "refuses everything", () => false, "10"],
  ["only who has joined may speak", "counts the invited as joined", misread(["invite"], "join"), "10"],
  ["join, knock, leave or be invited", "forgets bans", misread(["ban"], "invite"), "10"],
  ["and that is enough", "asks for more than the level", promoted(-1), "10"],
  ["and that is enough", "asks for less than the level", promoted(1), "10"],
  [
    "and that is enough",
    "finds `constructor` in every object",
    unless((request) => is(request, "constructor"), false),
    "6",
  ],
  ["a higher one than the target's", "lets equals kick each other", promoted(1), "10"],
  [
    "a higher one than the target's",
    "takes any unban for a kick",
    unless((request) => membershipOf(request) === "leave"),
    "10",
  ],
  ["cannot, whatever their level", "lets the invited kick and ban", misread(["invite"], "join"), "10"],
  ["gives a level above their own", "lets users give one more", promoted(1), "10"],
  [
    "gives a level above their own",
    "does not look at notifications",
    unless((request) => {
      const [before, next] = [levelsCited(request), request.event].map(
        (event) => event && JSON.stringify(get(contentOf(event), "notifications")),
      );
      return is(request, "m.room.power_levels") && before !== next;
    }),
    "6",
  ],
  ["that of another user at their own", "lets equals demote each other", promoted(1), "10"],
  [
    "that of another user at their own",
    "does not look at users who are dropped",
    after((request) => {
      const [before, next] = [usersOf(levelsCited(request)), usersOf(request.event)];
      if (!is(request, "m.room.power_levels") || !isObject(before) || !isObject(next)) return request;
      return { ...request, event: withContent(request.event, { users: withKeys(before, next) }) };
    }),
    "10",
  ],
  [
    "may lower themselves",
    "forbids self-demotion",
    unless((request) => is(request, "m.room.power_levels"), false),
    "10",
  ],
  [
    "others are read",
    "reads text in every version",
    unless((request) => JSON.stringify(usersOf(request.event) ?? null).includes('"50"')),
    "10",
  ],
  [
    "others are read",
    "reads hexadecimal",
    unless((request) => JSON.stringify(usersOf(request.event) ?? null).includes('"0x32"')),
    "9",
  ],
  [
    "others are read",
    "takes null for a level",
    unless((request) => JSON.stringify(usersOf(request.event) ?? null).includes("null")),
    "9",
  ],
  ["users is an object", "takes any keys", unless((request) => is(request, "m.room.power_levels")), "10"],
  [
    "rank as the version says",
    "gives the creator nothing without power levels",
    onCited("m.room.create", (event) => withContent(event, { creator: "@nobody:a.example" })),
    "10",
  ],
  [
    "rank as the version says",
    "gives the creator 100 always",
    unless((request) =>
      request.auth_events.some(
        (event) => event["type"] === "m.room.create" && event["sender"] === request.event["sender"],
      ),
    ),
    "11",
  ],
  [
    "level 0 where there are no power levels",
    "takes everybody for the creator",
    onCited("m.room.create", (event, request) => withContent(event, { creator: senderOf(request) })),
    "10",
  ],
  [
    "and are listed nowhere",
    "knows no additional creators",
    after((request) => {
      const { create } = request;
      return create === undefined ? request : { ...request, create: withContent(create, { additional_creators: [] }) };
    }),
    "12",
  ],
  [
    "let in whom they should",
    "takes a missing level of privacy for public",
    changedRule((rule) => (rule === "private" ? "public" : rule)),
    "10",
  ],
  [
    "let in whom they should",
    "has restricted rooms before version 8",
    changedRule((rule) => (rule === "restricted" ? "invite" : rule)),
    "7",
  ],
  [
    "let in whom they should",
    "has knock_restricted before version 10",
    changedRule((rule) => (rule === "knock_restricted" ? "invite" : rule)),
    "9",
  ],
  [
    "joined and may invite",
    "asks nobody to authorise",
    unless((request) => "join_authorised_via_users_server" in contentOf(request.event)),
    "8",
  ],
  [
    "joined and may invite",
    "does not look at the authoriser's membership",
    misread(["leave", "ban", "invite", "knock"], "join"),
    "8",
  ],
  ["the rule and the version have it", "lets the invited knock", misread(["invite"], "leave"), "10"],
  [
    "the rule and the version have it",
    "has knocking before version 7",
    unless((request) => membershipOf(request) === "knock"),
    "6",
  ],
  ["invite, join and knock only", "lets users leave again", misread(["leave"], "join"), "10"],
  ["unknown memberships are refused", "folds case", unless((request) => membershipOf(request) === "JOIN"), "10"],
  [
    "unknown memberships are refused",
    "lets anybody join for anybody",
    unless((request) => membershipOf(request) === "join" && stateKeyOf(request) !== senderOf(request)),
    "10",
  ],
  [
    "begins with @ belongs to its user",
    "lets anybody use any state key",
    after((request) =>
      stateKeyOf(request).startsWith("@") && !is(request, "m.room.member")
        ? { ...request, event: withKeys(request.event, { state_key: "" }) }
        : request,
    ),
    "10",
  ],
  [
    "creator's server only",
    "never closes a room",
    onCited("m.room.create", (event) => withContent(event, { "m.federate": true })),
    "10",
  ],
  [
    "creator's server only",
    "compares what follows the last colon",
    unless(
      (request) =>
        domain(senderOf(request)).split(":").at(-1) ===
        domain(request.auth_events.find((event) => event["type"] === "m.room.create")?.["sender"])
          .split(":")
          .at(-1),
    ),
    "10",
  ],
  [
    "matched with their case",
    "folds case",
    onCited("m.room.power_levels", (event) =>
      withContent(event, {
        users: withKeys(
          {},
          Object.assign(
            {},
            ...Object.entries(contentOf(event))
              .filter(([key]) => key.toLowerCase().trim() === "users")
              .map(([, map]) => map),
          ) as JsonObject,
        ),
      }),
    ),
    "10",
  ],
  [
    "or of its own hash",
    "compares what follows the last colon",
    unless(
      (request) =>
        is(request, "m.room.create") &&
        textAt(request.event, "room_id").split(":").at(-1) === senderOf(request).split(":").at(-1),
    ),
    "10",
  ],
  [
    "or of its own hash",
    "takes a create event with previous events",
    after((request) =>
      is(request, "m.room.create") ? { ...request, event: withKeys(request.event, { prev_events: [] }) } : request,
    ),
    "10",
  ],
  [
    "one for each key, of its room",
    "does not ask for the create event",
    unless((request) => !citedTypes(request).includes("m.room.create")),
    "10",
  ],
  [
    "one for each key, of its room",
    "drops what is superfluous",
    unless((request) => citedTypes(request).includes("m.room.name")),
    "10",
  ],
  [
    "one for each key, of its room",
    "takes two events for a key",
    unless(
      (request) => new Set(citedTypes(request)).size < request.auth_events.length && !is(request, "m.room.member"),
    ),
    "10",
  ],
  [
    "one for each key, of its room",
    "does not look at rooms",
    unless((request) => new Set(request.auth_events.map((event) => event["room_id"])).size > 1),
    "10",
  ],
  [
    "cited events are given does not matter",
    "looks at the first",
    unless((request) => citedTypes(request)[0] === "m.room.power_levels", false),
    "10",
  ],
  [
    "events are cited does not matter",
    "looks at the first",
    unless(
      (request) => JSON.stringify((request.event["auth_events"] as JsonValue[] | undefined)?.[0] ?? null) < '"$U',
      false,
    ),
    "10",
  ],
  [
    "order of keys does not matter",
    "looks at the first",
    unless((request) => Object.keys(request.event)[0] !== "type", false),
    "10",
  ],
  ["`unsigned` does not matter", "wants none", unless((request) => "unsigned" in request.event, false), "10"],
  ["depth does not matter", "trusts depth", unless((request) => Number(request.event["depth"]) > 50, false), "10"],
  [
    "said to have been sent does not matter",
    "trusts the time",
    unless((request) => Number(request.event["origin_server_ts"]) < 1e6, false),
    "10",
  ],
  [
    "request is not modified",
    "marks the event",
    (request) => {
      Object.assign(request.event, { checked: true });
      return check(request);
    },
    "10",
  ],
];

describe("each law of authorisation can fail", () => {
  it.each(broken)("%s: an implementation that %s", async (law, _, wrong, version) => {
    const violation = await violationOf(lawNamed(authLaws(wrong), law), { ...options(300), versions: [version] });
    expect(violation?.version).toBe(version);
    expect(violation?.message).not.toContain("the case could not be made");
  });

  it("and every law has an implementation that breaks it", () => {
    const names = authLaws(check).map(({ name }) => name);
    expect(names.filter((name) => !broken.some(([law]) => name.endsWith(law)))).toEqual([]);
  });
});
