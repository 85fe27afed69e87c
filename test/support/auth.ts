/**
 * Rooms for the tests of authorisation: states made of plain events, a judge, and the rule numbers as each
 * room version's page prints them. Nothing here calls src/auth except to judge.
 */
import { expect } from "vitest";
import { checkStateDependent } from "../../src/auth/index.js";
import type { AuthFacts, AuthVerdict, StateLookup } from "../../src/auth/index.js";
import type { RoomEvent } from "../../src/event/index.js";
import type { JsonObject } from "../../src/json/value.js";
import { roomVersions } from "../../src/versions/index.js";
import type { RoomVersionRules } from "../../src/versions/index.js";

/** The room's creator in every room below. */
export const creator = "@creator:here.example";
export const alice = "@alice:here.example";
export const bob = "@bob:here.example";
export const carol = "@carol:there.example:8448";

/** `1-5,12,I.1` as the list of room versions. */
export function versions(text: string): readonly string[] {
  return text.split(",").flatMap((part) => {
    const [first, last] = part.split("-").map(Number);
    if (part.startsWith("I") || first === undefined) return [part];
    return Array.from({ length: (last ?? first) - first + 1 }, (_, index) => String(first + index));
  });
}

export const everyVersion: readonly string[] = versions("1-12,I.1");

export const isOneOf = (version: string, text: string): boolean => versions(text).includes(version);

export function rulesOf(version: string): RoomVersionRules {
  const found = roomVersions.get(version);
  if (!found.ok) throw new Error(found.error.reason);
  return found.value.rules;
}

/** An event in few words; what is left out gets a default. */
export interface Draft {
  readonly type: string;
  readonly sender?: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
  readonly eventId?: string;
  readonly roomId?: string;
  readonly authEvents?: readonly string[];
  readonly prevEvents?: readonly string[];
  readonly redacts?: string;
  readonly hasRoomId?: boolean;
}

/** What a room's state holds; what is left out is not in the state. */
export interface RoomSketch {
  /** Keys added to, or put in place of, the create event's content. */
  readonly create?: JsonObject;
  readonly levels?: JsonObject;
  /** The join rule by name, or the whole content of the join rules. */
  readonly joinRule?: string | JsonObject;
  /** Membership by user. */
  readonly members?: Readonly<Record<string, string>>;
  readonly more?: readonly Draft[];
}

export interface Room {
  readonly version: string;
  readonly rules: RoomVersionRules;
  readonly create: RoomEvent;
  readonly state: StateLookup;
  readonly event: (draft: Draft) => RoomEvent;
  /** The state-dependent verdict on an event with the id `$event`. */
  readonly judge: (draft: Draft, facts?: AuthFacts) => AuthVerdict;
  readonly levels: RoomEvent | undefined;
  readonly joinRules: RoomEvent | undefined;
  readonly member: (user: string) => RoomEvent | undefined;
}

export const judgedId = "$event";

export function roomIdOf(version: string): string {
  return version === "12" ? "!create" : "!room:here.example";
}

export function eventOf(version: string, draft: Draft): RoomEvent {
  const roomId = draft.roomId ?? roomIdOf(version);
  return {
    eventId: draft.eventId ?? judgedId,
    roomId,
    type: draft.type,
    stateKey: draft.stateKey,
    sender: draft.sender ?? creator,
    content: draft.content ?? {},
    depth: 2,
    originServerTs: 1,
    authEvents: draft.authEvents ?? [],
    prevEvents: draft.prevEvents ?? ["$before"],
    redacts: draft.redacts,
    hasRoomId: draft.hasRoomId ?? !(version === "12" && draft.type === "m.room.create"),
  };
}

/** Content of a create event that every room version accepts. */
export function createContent(version: string, more: JsonObject = {}): JsonObject {
  return { room_version: version, creator, ...more };
}

export function createDraft(version: string, more: JsonObject = {}): Draft {
  const content = createContent(version, more);
  return { type: "m.room.create", stateKey: "", eventId: "$create", prevEvents: [], content };
}

export function room(version: string, sketch: RoomSketch = {}): Room {
  const rules = rulesOf(version);
  const drafts: Draft[] = [createDraft(version, sketch.create)];
  const { levels, joinRule, members = {}, more = [] } = sketch;
  if (levels !== undefined) {
    drafts.push({ type: "m.room.power_levels", stateKey: "", eventId: "$levels", content: levels });
  }
  if (joinRule !== undefined) {
    const content = typeof joinRule === "string" ? { join_rule: joinRule } : joinRule;
    drafts.push({ type: "m.room.join_rules", stateKey: "", eventId: "$rules", content });
  }
  for (const [user, membership] of Object.entries(members)) {
    drafts.push({ ...member(user, membership), eventId: `$member-of-${user}` });
  }
  const events = [...drafts, ...more].map((draft) => eventOf(version, draft));
  const state: StateLookup = (type, key) => events.find((event) => event.type === type && event.stateKey === key);
  const create = state("m.room.create", "");
  if (create === undefined) throw new Error("a room has a create event");
  const event = (draft: Draft): RoomEvent => eventOf(version, draft);
  return {
    version,
    rules,
    create,
    state,
    event,
    judge: (draft, facts) => checkStateDependent(rules, event(draft), state, facts),
    levels: state("m.room.power_levels", ""),
    joinRules: state("m.room.join_rules", ""),
    member: (user) => state("m.room.member", user),
  };
}

/** A membership event of `user`, by `sender` if that is somebody else. */
export function member(user: string, membership: string, sender: string = user, more: JsonObject = {}): Draft {
  return { type: "m.room.member", stateKey: user, sender, content: { membership, ...more } };
}

/** `v10 rule 4.3.5` */
export function label(version: string, number: string): string {
  return `${version === "I.1" ? "I.1" : `v${version}`} rule ${number}`;
}

export function expectAllowed(verdict: AuthVerdict, version: string, number: string): void {
  expect(verdict).toEqual({ verdict: "allowed", rule: label(version, number) });
}

/** The verdict is a rejection by this very rule, which names the judged event and then exactly `against`. */
export function expectRejected(
  verdict: AuthVerdict,
  version: string,
  number: string,
  against: readonly (RoomEvent | undefined)[] = [],
): void {
  expect(against).not.toContain(undefined);
  const refusal = verdict.verdict === "rejected" ? verdict.refusal : undefined;
  const events = [judgedId, ...against.map((event) => event?.eventId)];
  expect({ ...refusal, verdict: verdict.verdict, reason: undefined }).toEqual({
    verdict: "rejected",
    code: "auth_rejected",
    rule: label(version, number),
    events,
    reason: undefined,
  });
  expect(refusal?.reason).toMatch(/\S+ \S+/);
}

/** `allowed v10 rule 4.3.6`, `rejected v10 rule 4.3.7` or `needs`, for tables. */
export function outcome(verdict: AuthVerdict): string {
  if (verdict.verdict === "needs") return "needs";
  return `${verdict.verdict} ${verdict.verdict === "allowed" ? verdict.rule : (verdict.refusal.rule ?? "")}`;
}

export type Heading =
  | "federate"
  | "member"
  | "join"
  | "invite"
  | "leave"
  | "ban"
  | "knock"
  | "unknown"
  | "joined"
  | "third-party-invite"
  | "required"
  | "state-key"
  | "levels"
  | "otherwise";

type Page = Readonly<Record<Exclude<Heading, "knock">, string> & Partial<Record<"knock", string>>>;

const page3: Page = {
  federate: "3",
  member: "5",
  join: "5.2",
  invite: "5.3",
  leave: "5.4",
  ban: "5.5",
  unknown: "5.6",
  joined: "6",
  "third-party-invite": "7.1",
  required: "8",
  "state-key": "9",
  levels: "10",
  otherwise: "11",
};
const page1: Page = { ...page3, otherwise: "12" };
const page6: Page = {
  federate: "3",
  member: "4",
  join: "4.2",
  invite: "4.3",
  leave: "4.4",
  ban: "4.5",
  unknown: "4.6",
  joined: "5",
  "third-party-invite": "6.1",
  required: "7",
  "state-key": "8",
  levels: "9",
  otherwise: "10",
};
const page7: Page = { ...page6, knock: "4.6", unknown: "4.7" };
const page8: Page = { ...page6, join: "4.3", invite: "4.4", leave: "4.5", ban: "4.6", knock: "4.7", unknown: "4.8" };
const page12: Page = {
  federate: "4",
  member: "5",
  join: "5.3",
  invite: "5.4",
  leave: "5.5",
  ban: "5.6",
  knock: "5.7",
  unknown: "5.8",
  joined: "6",
  "third-party-invite": "7.1",
  required: "8",
  "state-key": "9",
  levels: "10",
  otherwise: "11",
};

/** The number of a heading on the room version's own page. */
export function at(version: string, heading: Heading): string {
  const [, page] =
    [
      ["1-2", page1] as const,
      ["3-5", page3] as const,
      ["6", page6] as const,
      ["7", page7] as const,
      ["8-11,I.1", page8] as const,
      ["12", page12] as const,
    ].find(([group]) => isOneOf(version, group)) ?? [];
  const number = page?.[heading];
  if (number === undefined) throw new Error(`the page of room version ${version} has no ${heading}`);
  return number;
}

export type LevelsRule =
  | "scalars"
  | "maps"
  | "users"
  | "creators"
  | "first"
  | "scalar-current"
  | "scalar-new"
  | "entry-current"
  | "entry-new"
  | "user-current"
  | "user-new"
  | "allow";

const levelsPages: readonly (readonly [string, Readonly<Partial<Record<LevelsRule, string>>>])[] = [
  [
    "1-9",
    {
      users: "1",
      first: "2",
      "scalar-current": "3.1",
      "scalar-new": "3.2",
      "entry-current": "4.1",
      "entry-new": "5.1",
      "user-current": "6.1",
      "user-new": "7.1",
      allow: "8",
    },
  ],
  [
    "10-11,I.1",
    {
      scalars: "1",
      maps: "2",
      users: "3",
      first: "4",
      "scalar-current": "5.1",
      "scalar-new": "5.2",
      "entry-current": "6.1",
      "entry-new": "7.1",
      "user-current": "8.1",
      "user-new": "9.1",
      allow: "10",
    },
  ],
  [
    "12",
    {
      scalars: "1",
      maps: "2",
      users: "3",
      creators: "4",
      first: "5",
      "scalar-current": "6.1",
      "scalar-new": "6.2",
      "entry-current": "7.1",
      "entry-new": "8.1",
      "user-current": "9.1",
      "user-new": "10.1",
      // The page numbers two entries 10.
      allow: "10",
    },
  ],
];

/** The number of a rule for power-level edits on the room version's own page. */
export function levelsAt(version: string, rule: LevelsRule): string {
  const number = levelsPages.find(([group]) => isOneOf(version, group))?.[1][rule];
  if (number === undefined) throw new Error(`the page of room version ${version} has no rule for ${rule}`);
  return `${at(version, "levels")}.${number}`;
}
