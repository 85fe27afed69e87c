/** The rules of `m.room.power_levels` (v1-5 rule 10, v6-11 rule 9, v12 rule 10). */
import { isUserId } from "../ids/grammar.js";
import { isSameLevel } from "./level-maps.js";
import type { Side, UnlikeKeys } from "./level-maps.js";
import { get } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { RuleName } from "../rules/model.js";
import { outranks, reaches } from "./judge.js";
import type { Judge } from "./judge.js";
import { mapOf, privilegedCreators, readLevel, scalarDefaults } from "./power.js";
import type { AuthVerdict } from "./verdict.js";

const scalars = Object.keys(scalarDefaults);

type MapName = "users" | "events" | "notifications";

type ChangeRules = Readonly<Record<Side, RuleName>>;

interface Change {
  /** The map that the levels are in, or `content` itself. */
  readonly what: string;
  readonly before: JsonObject;
  readonly after: JsonObject;
  readonly rule: ChangeRules;
}

interface MapChange extends Change {
  readonly unlike: UnlikeKeys;
}

export function checkPowerLevels(judge: Judge): AuthVerdict {
  const malformed = checkShape(judge) ?? checkUsers(judge);
  if (malformed !== undefined) return malformed;
  const current = judge.powerLevels;
  if (current === undefined) return judge.allow("power-levels.first");
  const maps: readonly MapName[] = judge.rules.auth.notifications ? ["events", "notifications"] : ["events"];
  return (
    checkScalars(judge, current.content) ??
    checkEntries(judge, maps, { current: "power-levels.entry-current", next: "power-levels.entry-new" }) ??
    checkEntries(judge, ["users"], { current: "power-levels.user-current", next: "power-levels.user-new" }) ??
    judge.allow("power-levels.allow")
  );
}

/** v10-11 rules 9.1 and 9.2, v12 rules 10.1 and 10.2: integers and nothing else. */
function checkShape(judge: Judge): AuthVerdict | undefined {
  const { rules, event } = judge;
  if (rules.auth.powerLevelValues !== "integer") return undefined;
  for (const key of scalars) {
    const value = get(event.content, key);
    if (value !== undefined && readLevel("integer", value) === undefined) {
      return judge.reject("power-levels.scalars", `\`${key}\` is not an integer`);
    }
  }
  for (const key of ["events", "notifications"] as const) {
    const map = mapOf(event, key);
    if (map === undefined || Object.values(map).some((value) => readLevel("integer", value) === undefined)) {
      return judge.reject("power-levels.maps", `\`${key}\` is not an object of integers`);
    }
  }
  return undefined;
}

/** An absent `users` passes, against the letter, as in every peer (AU12). */
function checkUsers(judge: Judge): AuthVerdict | undefined {
  const { rules, event, create, levelMaps } = judge;
  const users = mapOf(event, "users");
  if (users === undefined) return judge.reject("power-levels.users", "`users` is not an object");
  const values = rules.auth.powerLevelValues;
  for (const user of levelMaps.unread(mapOf(judge.powerLevels, "users"), users)) {
    const value = get(users, user);
    if (!isUserId(user)) return judge.reject("power-levels.users", "`users` has a key that is no user id");
    if (value === undefined || readLevel(values, value) === undefined) {
      return judge.reject("power-levels.users", `the level of ${user} is not one`);
    }
  }
  levelMaps.nowRead(users);
  for (const creator of privilegedCreators(rules, create)) {
    if (Object.hasOwn(users, creator)) {
      return judge.reject("power-levels.creators", `the creator ${creator} may not be listed`, [create]);
    }
  }
  return undefined;
}

function checkScalars(judge: Judge, current: JsonObject): AuthVerdict | undefined {
  const rule: ChangeRules = { current: "power-levels.scalar-current", next: "power-levels.scalar-new" };
  const change = { what: "content", before: current, after: judge.event.content, rule };
  for (const key of scalars) {
    if (isSameLevel(get(change.before, key), get(change.after, key))) continue;
    const refused = checkSide(judge, change, "current", key) ?? checkSide(judge, change, "next", key);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/**
 * Every current value before any new one, as the pages have it: otherwise the rule that a refusal
 * names would depend on the order of the keys, which is not part of an event.
 */
function checkEntries(judge: Judge, names: readonly MapName[], rule: ChangeRules): AuthVerdict | undefined {
  const changes: MapChange[] = [];
  for (const name of names) {
    const before = mapOf(judge.powerLevels, name);
    const after = mapOf(judge.event, name);
    if (before === undefined || after === undefined) return judge.reject(rule.next, `\`${name}\` is not an object`);
    changes.push({ what: name, before, after, rule, unlike: judge.levelMaps.unlikeKeys(before, after) });
  }
  for (const side of ["current", "next"] as const) {
    for (const change of changes) {
      for (const key of change.unlike[side]) {
        const refused = checkSide(judge, change, side, key);
        if (refused !== undefined) return refused;
      }
    }
  }
  return undefined;
}

/**
 * One side of a level that may have been added, changed or removed. The side that is absent is not
 * compared: Synapse ignores it where ruma and gomatrixserverlib put the default, and live rooms depend
 * on Synapse (AU11). Nobody may touch another user of their own level; one's own entry may drop.
 */
function checkSide(judge: Judge, change: Change, side: Side, key: string): AuthVerdict | undefined {
  const { what, before, after, rule } = change;
  const { event, rules } = judge;
  const value = get(side === "current" ? before : after, key);
  if (value === undefined) return undefined;
  const other = get(side === "current" ? after : before, key);
  if (isSameLevel(value, other)) return undefined;
  const level = readLevel(rules.auth.powerLevelValues, value);
  if (level === undefined) return judge.reject(rule[side], `${what}: ${key} has no readable level`);
  if (other !== undefined && readLevel(rules.auth.powerLevelValues, other) === level) return undefined;
  const own = judge.level(event.sender);
  const ofAnother = side === "current" && what === "users" && key !== event.sender;
  if (ofAnother ? outranks(own, level) : reaches(own, level)) return undefined;
  const reason = `${what}: the ${side} level of ${key} is ${String(level)}, the sender is at ${String(own)}`;
  return judge.reject(rule[side], reason, side === "current" ? [judge.powerLevels] : []);
}
