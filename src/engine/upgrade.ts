/**
 * Moving a room to another room version, any to any: versions have no order (client-server-api, "Room Upgrades";
 * each version's room id and creators). The plan is pure; carrying it out is the server's.
 */
import { creatorOf, privilegedCreators, readLevel, userLevel } from "../auth/power.js";
import { reaches } from "../auth/judge.js";
import { checkStateDependent } from "../auth/check.js";
import { refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { omit } from "../event/hashes.js";
import type { RoomEvent } from "../event/pdu.js";
import { get, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { CreateRoomOptions, InitialState } from "./create.js";
import type { LocalEvent } from "./room/types.js";

/** The state of the room that is upgraded. */
export type StateReader = (type: string, stateKey: string) => RoomEvent | undefined;

export interface UpgradeOptions {
  readonly roomId: string;
  /** A user who may send the tombstone. */
  readonly userId: string;
  /** The last known event of the old room. */
  readonly lastEventId?: string;
  /** Room version 12: not inherited, because power that cannot be taken away must be given anew. */
  readonly additionalCreators?: readonly string[];
}

export interface UpgradePlan {
  /** The new room. Memberships are never copied. */
  readonly create: CreateRoomOptions;
  /** Levels of the old room under which only moderators speak or invite; absent if the user may not set them. */
  readonly close: LocalEvent | undefined;
  /** Sent last: it tells everybody where the new room is. */
  readonly tombstone: (replacement: string) => LocalEvent;
}

/** Copied as they are. */
const copied = [
  "m.room.server_acl",
  "m.room.encryption",
  "m.room.name",
  "m.room.avatar",
  "m.room.topic",
  "m.room.guest_access",
  "m.room.history_visibility",
] as const;

const bodyOfTombstone = "This room has been replaced";

/** Refused when the user may not send the tombstone. */
export function planUpgrade(
  from: RoomVersionRules,
  to: RoomVersionRules,
  state: StateReader,
  options: UpgradeOptions,
): Result<UpgradePlan> {
  const { roomId, userId } = options;
  const tombstone = (replacement: string): LocalEvent => ({
    type: "m.room.tombstone",
    stateKey: "",
    sender: userId,
    content: { body: bodyOfTombstone, replacement_room: replacement },
  });
  const refused = refusedNow(from, state, asEvent(roomId, tombstone("!replacement:localhost")));
  if (refused !== undefined) return refuse("auth_rejected", `${userId} may not upgrade the room: ${refused}`);
  const closed = closingLevels(from, state, userId);
  const close =
    closed !== undefined && refusedNow(from, state, asEvent(roomId, closed)) === undefined ? closed : undefined;
  return { ok: true, value: { create: newRoom(from, to, state, options), close, tombstone } };
}

function asEvent(roomId: string, { type, stateKey, sender, content }: LocalEvent): RoomEvent {
  const graph = { depth: 1, originServerTs: 0, authEvents: [], prevEvents: [], redacts: undefined, hasRoomId: true };
  return { eventId: "$planned", roomId, type, stateKey, sender, content, ...graph };
}

function refusedNow(rules: RoomVersionRules, state: StateReader, event: RoomEvent): string | undefined {
  const verdict = checkStateDependent(rules, event, state);
  return verdict.verdict === "rejected" ? verdict.refusal.reason : undefined;
}

function newRoom(
  from: RoomVersionRules,
  to: RoomVersionRules,
  state: StateReader,
  { roomId, userId, lastEventId, additionalCreators }: UpgradeOptions,
): CreateRoomOptions {
  const old = state("m.room.create", "")?.content ?? {};
  const type = get(old, "type");
  // From version 12 on the new room's id is a hash over its create event, which cannot name what comes after it.
  const named = to.format.roomIds === "create-hash" || lastEventId === undefined;
  const predecessor: JsonObject = named ? { room_id: roomId } : { room_id: roomId, event_id: lastEventId };
  const federate = get(old, "m.federate");
  const creators = to.auth.creatorPower === "infinite" ? (additionalCreators ?? []) : [];
  return {
    version: to.id,
    creator: userId,
    ...(typeof type === "string" ? { type } : {}),
    ...(federate === false ? { federate } : {}),
    ...(creators.length > 0 ? { additionalCreators: creators } : {}),
    createContent: { predecessor },
    initialState: copiedState(to, state),
    powerLevels: copiedLevels(from, to, state, [userId, ...creators]),
    powerLevelsLast: true,
  };
}

function copiedState(to: RoomVersionRules, state: StateReader): readonly InitialState[] {
  const kept: InitialState[] = [];
  for (const type of copied) {
    const event = state(type, "");
    if (event !== undefined) kept.push({ type, content: event.content });
  }
  const joinRules = state("m.room.join_rules", "");
  if (joinRules !== undefined) kept.push({ type: "m.room.join_rules", content: joinRulesFor(to, joinRules.content) });
  return kept;
}

/** A join rule that the new version does not have would let nobody in: the nearest that is no wider takes its place. */
function joinRulesFor({ auth }: RoomVersionRules, content: JsonObject): JsonObject {
  const rule = get(content, "join_rule");
  if (rule === "knock_restricted" && !auth.knockRestricted) {
    return auth.restricted ? { ...content, join_rule: "restricted" } : { join_rule: auth.knock ? "knock" : "invite" };
  }
  if (rule === "restricted" && !auth.restricted) return { join_rule: "invite" };
  if (rule === "knock" && !auth.knock) return { join_rule: "invite" };
  return content;
}

const scalars = ["users_default", "events_default", "state_default", "ban", "kick", "redact", "invite"] as const;

/** Levels as the new version writes them: integers, none for its creators, and a number for those of the old one. */
function copiedLevels(
  from: RoomVersionRules,
  to: RoomVersionRules,
  state: StateReader,
  newCreators: readonly string[],
): JsonObject {
  const old = state("m.room.power_levels", "")?.content ?? {};
  const levels: Record<string, JsonValue> = {};
  for (const key of scalars) {
    const level = levelOf(from, get(old, key));
    if (level !== undefined) levels[key] = level;
  }
  levels["events"] = levelsIn(from, get(old, "events"));
  const users = levelsIn(from, get(old, "users"));
  // Nothing was above the old creators, so nothing they had written down may be.
  const all = [...Object.values(levels), ...Object.values(levelsIn(from, get(old, "events"))), ...Object.values(users)];
  const highest = Math.max(100, ...all.filter((level): level is number => typeof level === "number"));
  for (const creator of oldCreators(from, state))
    if (get(users, creator) === undefined) setOwn(users, creator, highest);
  const unlisted = to.auth.creatorPower === "infinite" ? newCreators : [];
  levels["users"] = omit(users, unlisted);
  const notifications = get(old, "notifications");
  if (isObject(notifications)) levels["notifications"] = levelsIn(from, notifications);
  if (to.tombstoneAboveStateDefault) raiseTombstone(levels);
  return levels;
}

/** Who had the creator's power by being the creator, not by a level. */
function oldCreators(from: RoomVersionRules, state: StateReader): readonly string[] {
  const create = state("m.room.create", "");
  if (create === undefined) return [];
  if (from.auth.creatorPower === "infinite") return privilegedCreators(from, create);
  const creator = state("m.room.power_levels", "") === undefined ? creatorOf(from, create) : undefined;
  return typeof creator === "string" ? [creator] : [];
}

/** E/m.room.power_levels: a room of version 12 puts the tombstone above `state_default`. */
function raiseTombstone(levels: Record<string, JsonValue>): void {
  const events = levels["events"];
  const stateDefault = levels["state_default"];
  const floor = typeof stateDefault === "number" ? stateDefault : 50;
  const now = isObject(events) ? get(events, "m.room.tombstone") : undefined;
  if (typeof now === "number" && now > floor) return;
  levels["events"] = { ...(isObject(events) ? events : {}), "m.room.tombstone": Math.max(150, floor + 1) };
}

function levelOf(rules: RoomVersionRules, value: JsonValue | undefined): number | undefined {
  if (value === undefined) return undefined;
  const level = readLevel(rules.auth.powerLevelValues, value);
  return typeof level === "number" && Number.isSafeInteger(level) ? level : undefined;
}

function levelsIn(rules: RoomVersionRules, value: JsonValue | undefined): Record<string, JsonValue> {
  const levels: Record<string, JsonValue> = {};
  for (const [name, entry] of isObject(value) ? Object.entries(value) : []) {
    const level = levelOf(rules, entry);
    if (level !== undefined) setOwn(levels, name, level);
  }
  return levels;
}

/** `events_default` and `invite` rise to max(50, users_default + 1): the old room stays readable. */
function closingLevels(rules: RoomVersionRules, state: StateReader, sender: string): LocalEvent | undefined {
  const powerLevels = state("m.room.power_levels", "");
  const create = state("m.room.create", "");
  if (powerLevels === undefined || create === undefined) return undefined;
  const usersDefault = levelOf(rules, get(powerLevels.content, "users_default")) ?? 0;
  const raised = Math.max(50, usersDefault + 1);
  if (!reaches(userLevel(rules, create, powerLevels, sender), raised)) return undefined;
  const content: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(powerLevels.content)) setOwn(content, key, value);
  let closed = true;
  for (const key of ["events_default", "invite"]) {
    const level = levelOf(rules, get(powerLevels.content, key)) ?? 0;
    if (level >= raised) continue;
    content[key] = raised;
    closed = false;
  }
  // As after a restart between this and the tombstone.
  if (closed) return undefined;
  return { type: "m.room.power_levels", stateKey: "", sender, content };
}
