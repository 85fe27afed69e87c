/** Power levels: what they are, who has which (spec, `m.room.power_levels`; each version's page). */
import { get, isArray, isObject, JsonFloat } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomEvent } from "../event/pdu.js";
import type { PowerLevelValues, RoomVersionRules } from "../rules/model.js";

/**
 * A power level. A `bigint` only beyond 2^53-1, so that `===` compares; JavaScript's `<` compares the
 * two kinds exactly. `Infinity` is the level of a creator in room version 12 and never leaves the
 * library as JSON.
 */
export type Level = number | bigint;

/** The level is written in a way that this room version cannot read: whatever depends on it is rejected. */
export type Unreadable = undefined;

const noEntries: JsonObject = Object.freeze({});

/** A key of `m.room.power_levels` that holds one level. */
export type ScalarLevel = "users_default" | "events_default" | "state_default" | "ban" | "redact" | "kick" | "invite";

/** The seven scalar levels and their defaults, by key of the content. */
export const scalarDefaults: Readonly<Record<ScalarLevel, number>> = Object.freeze({
  users_default: 0,
  events_default: 0,
  state_default: 50,
  ban: 50,
  redact: 50,
  kick: 50,
  invite: 0,
});

/** Python's `int` refuses longer strings of digits, and so does Synapse. */
const MAX_DIGITS = 4300;
const SPACE = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const INTEGER_STRING = new RegExp(`^[${SPACE}]*([+-]?)([0-9]+)[${SPACE}]*$`);

/** A level as this room version writes it; `undefined` when it cannot be read. */
export function readLevel(values: PowerLevelValues, value: JsonValue): Level | Unreadable {
  if (typeof value === "number") return Number.isSafeInteger(value) ? value : undefined;
  if (values === "integer") return undefined;
  if (typeof value === "bigint") return narrow(value);
  if (typeof value === "string") return readString(value);
  if (value instanceof JsonFloat && values === "integer-string-float") return readFloat(value.value);
  return undefined;
}

/**
 * v1-9: optional Unicode white space around, one sign, ASCII digits. `\s` and `\d` are wrong here:
 * U+0085 passes, U+FEFF and U+001C do not.
 */
function readString(text: string): Level | Unreadable {
  const match = INTEGER_STRING.exec(text);
  const digits = match?.[2];
  if (digits === undefined || digits.length > MAX_DIGITS) return undefined;
  const magnitude = BigInt(digits);
  return narrow(match?.[1] === "-" ? -magnitude : magnitude);
}

/** The parsers refuse floats beyond a double; a host's own events may still hold one. */
function readFloat(value: number): Level | Unreadable {
  return Number.isFinite(value) ? narrow(BigInt(Math.trunc(value))) : undefined;
}

function narrow(value: bigint): Level {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The creator in the sense of the first join and the level-100 default. */
export function creatorOf(rules: RoomVersionRules, create: RoomEvent): JsonValue | undefined {
  return rules.auth.creator === "sender" ? create.sender : get(create.content, "creator");
}

/** v12: the create event's sender and its `additional_creators`; nobody in other versions. */
export function privilegedCreators(rules: RoomVersionRules, create: RoomEvent): readonly string[] {
  if (rules.auth.creatorPower !== "infinite") return [];
  const additional = get(create.content, "additional_creators");
  const others = isArray(additional) ? additional.filter((user) => typeof user === "string") : [];
  return [create.sender, ...others];
}

/** v12: whether `user` is the create event's sender or one of its `additional_creators`. */
function isPrivilegedCreator(rules: RoomVersionRules, create: RoomEvent, user: string): boolean {
  if (rules.auth.creatorPower !== "infinite") return false;
  if (create.sender === user) return true;
  const additional = get(create.content, "additional_creators");
  return isArray(additional) && additional.includes(user);
}

/** The power level of a user under `powerLevels`, the room's current power-levels event if it has one. */
export function userLevel(
  rules: RoomVersionRules,
  create: RoomEvent,
  powerLevels: RoomEvent | undefined,
  user: string,
): Level | Unreadable {
  if (isPrivilegedCreator(rules, create, user)) return Number.POSITIVE_INFINITY;
  if (powerLevels === undefined) return creatorOf(rules, create) === user ? 100 : scalarDefaults.users_default;
  const users = mapOf(powerLevels, "users");
  if (users === undefined) return undefined;
  const entry = get(users, user);
  return entry === undefined
    ? scalarLevel(rules, powerLevels, "users_default")
    : readLevel(rules.auth.powerLevelValues, entry);
}

/** One of the scalar levels, or its default where it or the whole event is absent. */
export function scalarLevel(
  rules: RoomVersionRules,
  powerLevels: RoomEvent | undefined,
  key: ScalarLevel,
): Level | Unreadable {
  const value = powerLevels === undefined ? undefined : get(powerLevels.content, key);
  return value === undefined ? scalarDefaults[key] : readLevel(rules.auth.powerLevelValues, value);
}

/** The level that sending this type takes: `events`, else `state_default` or `events_default` (AU9). */
export function requiredLevel(
  rules: RoomVersionRules,
  powerLevels: RoomEvent | undefined,
  event: Pick<RoomEvent, "type" | "stateKey">,
): Level | Unreadable {
  const events = mapOf(powerLevels, "events");
  if (events === undefined) return undefined;
  const entry = get(events, event.type);
  if (entry !== undefined) return readLevel(rules.auth.powerLevelValues, entry);
  return scalarLevel(rules, powerLevels, event.stateKey === undefined ? "events_default" : "state_default");
}

/** One of the maps of levels; empty where it is absent, unreadable where it is no object. */
export function mapOf(
  powerLevels: RoomEvent | undefined,
  key: "users" | "events" | "notifications",
): JsonObject | Unreadable {
  const map = powerLevels === undefined ? undefined : get(powerLevels.content, key);
  if (map === undefined) return noEntries;
  return isObject(map) ? map : undefined;
}
