/**
 * Scripts: what people try to do in a room, as small numbers. A script says nothing about what is
 * allowed; whoever interprets it skips what is not, so any part of a script is a script too, and
 * shrinking it always leaves a valid room.
 */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import type { RoomVersionRules } from "../rules/model.js";

/** A change of the power levels; `user` counts in the room's list of users. */
export type PowerEdit =
  | { readonly on: "users"; readonly user: number; readonly level: number | "remove" }
  | { readonly on: "events"; readonly key: string; readonly level: number | "remove" }
  | { readonly on: "notifications"; readonly key: string; readonly level: number | "remove" }
  | { readonly on: "content"; readonly key: string; readonly level: number | "remove" };

/** What somebody tries to do. Numbers choose among whoever or whatever is there, modulo its count. */
export type Action =
  | { readonly act: "join"; readonly authoriser: number }
  | { readonly act: "knock" }
  | { readonly act: "leave" }
  | { readonly act: "invite" | "kick" | "ban" | "unban"; readonly target: number }
  | { readonly act: "power-levels"; readonly edit: PowerEdit; readonly asText: boolean }
  | { readonly act: "join-rules"; readonly rule: string }
  | { readonly act: "state"; readonly type: string; readonly key: string; readonly text: string }
  | { readonly act: "message"; readonly text: string }
  | { readonly act: "redact"; readonly target: number }
  | { readonly act: "aliases" };

/** One attempt. */
export interface Attempt {
  readonly step: "attempt";
  /** The branch it extends. */
  readonly branch: number;
  /** Who: among the joined, strongest first, for what takes membership; among all users otherwise. */
  readonly who: number;
  /** Milliseconds that the clock moves before it; may be none, or backwards. */
  readonly clock: number;
  readonly action: Action;
}

export type Step =
  | Attempt
  /** A new branch where `from` stands. */
  | { readonly step: "fork"; readonly from: number }
  /** The next event of `into` follows both. */
  | { readonly step: "merge"; readonly into: number; readonly from: number };

/** How the room begins. */
export interface Opening {
  readonly creator: number;
  /** Room version 12: further creators. */
  readonly additionalCreators: readonly number[];
  readonly federate: boolean;
  /** Levels of members in the first power levels; without it the room starts with none. */
  readonly levels: readonly number[] | undefined;
  readonly joinRule: string;
  readonly members: readonly number[];
}

export interface RoomScript {
  readonly opening: Opening;
  readonly steps: readonly Step[];
  /** Branches that all start where the first branch stands after `steps`. */
  readonly branches: readonly (readonly Attempt[])[];
}

const ranks = fc.oneof({ arbitrary: fc.constant(0), weight: 2 }, { arbitrary: fc.nat(5), weight: 3 });
const users = fc.nat(5);
const levels = fc.constantFrom(0, 50, 100, 25, 49, 51, 75, 99, -1);
const texts = fc.constantFrom("a", "b", "", "\u{1f600}", "\u2028");
const clocks = fc.constantFrom(1, 0, 0, 0, 1000, -1, -1000);

/** Names that trap prototypes, the order of keys, and keys glued together. */
const names = ["x", "__proto__", "constructor", "toString", "x:y", "\uff5e", "\u{1f600}", "10", "9"];
const stateKeys = fc.constantFrom("", "", "", "", "y", "y", ":y", "y:y", "y:y", ...names);
const stateTypes = fc.constantFrom(
  ...["m.room.topic", "m.room.topic", "m.room.name", "m.room.history_visibility", "m.room.third_party_invite"],
  ...["m.room.tombstone", "m.room.server_acl", "x", "x:y", ...names],
);

const edited: Arbitrary<number | "remove"> = fc.oneof(
  { arbitrary: levels, weight: 4 },
  { arbitrary: fc.constant("remove" as const), weight: 1 },
);

const powerEdits: Arbitrary<PowerEdit> = fc.oneof(
  { arbitrary: fc.record({ on: fc.constant("users" as const), user: users, level: edited }), weight: 4 },
  { arbitrary: fc.record({ on: fc.constant("events" as const), key: stateTypes, level: edited }), weight: 2 },
  {
    arbitrary: fc.record({
      on: fc.constant("notifications" as const),
      key: fc.constantFrom("room", "__proto__"),
      level: edited,
    }),
    weight: 1,
  },
  {
    arbitrary: fc.record({
      on: fc.constant("content" as const),
      key: fc.constantFrom("users_default", "events_default", "state_default", "ban", "kick", "redact", "invite"),
      level: edited,
    }),
    weight: 2,
  },
);

/** The join rules that a version has. */
export function joinRulesOf(rules: RoomVersionRules): readonly string[] {
  const known = ["public", "invite"];
  if (rules.auth.knock) known.push("knock");
  if (rules.auth.restricted) known.push("restricted");
  if (rules.auth.knockRestricted) known.push("knock_restricted");
  return known;
}

function actionsOf(rules: RoomVersionRules): Arbitrary<Action> {
  const aliases: Arbitrary<Action> = fc.constant({ act: "aliases" });
  const join: Arbitrary<Action> = fc.record({ act: fc.constant("join"), authoriser: ranks });
  const aimed = fc.constantFrom("invite", "kick", "ban", "unban");
  return fc.oneof(
    { arbitrary: join, weight: 6 },
    { arbitrary: fc.constantFrom<Action>({ act: "leave" }, { act: "knock" }), weight: 2 },
    { arbitrary: fc.record({ act: aimed, target: users }), weight: 7 },
    { arbitrary: fc.record({ act: fc.constant("power-levels"), edit: powerEdits, asText: fc.boolean() }), weight: 6 },
    {
      arbitrary: fc.record({ act: fc.constant("join-rules"), rule: fc.constantFrom(...joinRulesOf(rules), "private") }),
      weight: 3,
    },
    { arbitrary: fc.record({ act: fc.constant("state"), type: stateTypes, key: stateKeys, text: texts }), weight: 7 },
    { arbitrary: fc.record({ act: fc.constant("message"), text: texts }), weight: 1 },
    { arbitrary: fc.record({ act: fc.constant("redact"), target: fc.nat(20) }), weight: 1 },
    { arbitrary: rules.auth.aliases ? aliases : join, weight: 1 },
  );
}

function attemptsOf(rules: RoomVersionRules, branch: Arbitrary<number>): Arbitrary<Attempt> {
  return fc.record({ step: fc.constant("attempt"), branch, who: ranks, clock: clocks, action: actionsOf(rules) });
}

function openingsOf(rules: RoomVersionRules): Arbitrary<Opening> {
  const infinite = rules.auth.creatorPower === "infinite";
  return fc.record({
    creator: fc.constantFrom(0, 0, 0, 1, 2, 3, 4, 5),
    additionalCreators: infinite ? fc.subarray([1, 3, 4], { maxLength: 2 }) : fc.constant([]),
    federate: fc.constantFrom(true, true, true, true, true, false),
    levels: fc.option(fc.array(fc.constantFrom(0, 50, 100, 50, 25), { maxLength: 4, size: "max" }), {
      freq: 6,
      nil: undefined,
    }),
    joinRule: fc.constantFrom("public", "public", "public", ...joinRulesOf(rules)),
    members: fc.subarray([0, 1, 2, 3, 4, 5]),
  });
}

/** Scripts of rooms whose branches fork and merge at any point. */
export function arbRoomScript(rules: RoomVersionRules, maxSteps: number): Arbitrary<RoomScript> {
  return fc.record({ opening: openingsOf(rules), steps: stepsOf(rules, maxSteps), branches: fc.constant([]) });
}

/** Scripts that end in two to five branches from one point. */
export function arbForkScript(rules: RoomVersionRules, maxSteps: number): Arbitrary<RoomScript> {
  const branch = fc.array(attemptsOf(rules, fc.constant(0)), { maxLength: Math.max(2, maxSteps >> 1), size: "max" });
  return fc.record({
    opening: openingsOf(rules),
    steps: stepsOf(rules, maxSteps),
    branches: fc.array(branch, { minLength: 2, maxLength: 5 }),
  });
}

function stepsOf(rules: RoomVersionRules, maxSteps: number): Arbitrary<readonly Step[]> {
  const branch = fc.nat(4);
  const step: Arbitrary<Step> = fc.oneof(
    { arbitrary: attemptsOf(rules, branch), weight: 12 },
    { arbitrary: fc.record({ step: fc.constant("fork" as const), from: branch }), weight: 2 },
    { arbitrary: fc.record({ step: fc.constant("merge" as const), into: branch, from: branch }), weight: 2 },
  );
  return fc.array(step, { maxLength: maxSteps, size: "max" });
}
