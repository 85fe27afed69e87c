/** The rules of `m.room.power_levels` (v1-5 rule 10, v6-11 rule 9, v12 rule 10). */
import { isUserId } from "../ids/grammar.js";
import { get } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { RuleName } from "../rules/model.js";
import type { Judge } from "./judge.js";
import { isPrivilegedCreator, mapOf, readLevel, scalarDefaults } from "./power.js";
import type { Level } from "./power.js";
import type { AuthVerdict } from "./verdict.js";

const scalars = Object.keys(scalarDefaults);

export function checkPowerLevels(judge: Judge): AuthVerdict {
  const malformed = checkShape(judge) ?? checkUsers(judge);
  if (malformed !== undefined) return malformed;
  const current = judge.powerLevels;
  if (current === undefined) return judge.allow("power-levels.first");
  return (
    checkScalars(judge, current.content) ??
    checkEntries(judge, "events") ??
    (judge.rules.auth.notifications ? checkEntries(judge, "notifications") : undefined) ??
    checkEntries(judge, "users") ??
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
  const { rules, event, create } = judge;
  const users = mapOf(event, "users");
  if (users === undefined) return judge.reject("power-levels.users", "`users` is not an object");
  for (const [user, value] of Object.entries(users)) {
    if (!isUserId(user)) return judge.reject("power-levels.users", "`users` has a key that is no user id");
    if (readLevel(rules.auth.powerLevelValues, value) === undefined) {
      return judge.reject("power-levels.users", `the level of ${user} is not one`);
    }
  }
  for (const user of Object.keys(users)) {
    if (isPrivilegedCreator(rules, create, user)) {
      return judge.reject("power-levels.creators", `the creator ${user} may not be listed`, [create]);
    }
  }
  return undefined;
}

function checkScalars(judge: Judge, current: JsonObject): AuthVerdict | undefined {
  for (const key of scalars) {
    const rule = { current: "power-levels.scalar-current", next: "power-levels.scalar-new" } as const;
    const refused = checkChange(judge, key, current, judge.event.content, key, rule);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

function checkEntries(judge: Judge, name: "events" | "notifications" | "users"): AuthVerdict | undefined {
  const before = mapOf(judge.powerLevels, name);
  const after = mapOf(judge.event, name);
  const users = name === "users";
  const rule = {
    current: users ? "power-levels.user-current" : "power-levels.entry-current",
    next: users ? "power-levels.user-new" : "power-levels.entry-new",
  } as const;
  if (before === undefined || after === undefined) return judge.reject(rule.next, `\`${name}\` is not an object`);
  for (const key of Object.keys(before)) {
    const refused = checkChange(judge, key, before, after, name, rule);
    if (refused !== undefined) return refused;
  }
  for (const key of Object.keys(after)) {
    if (Object.hasOwn(before, key)) continue;
    const refused = checkChange(judge, key, before, after, name, rule);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/**
 * One level that may have been added, changed or removed. The side that is absent is not compared:
 * Synapse ignores it where ruma and gomatrixserverlib put the default, and live rooms depend on
 * Synapse (AU11). Nobody may touch another user of their own level; one's own entry may drop.
 */
function checkChange(
  judge: Judge,
  key: string,
  before: JsonObject,
  after: JsonObject,
  what: string,
  rule: { readonly current: RuleName; readonly next: RuleName },
): AuthVerdict | undefined {
  const old = get(before, key);
  const next = get(after, key);
  if (old === undefined && next === undefined) return undefined;
  const { event, rules } = judge;
  const oldLevel = old === undefined ? undefined : readLevel(rules.auth.powerLevelValues, old);
  const nextLevel = next === undefined ? undefined : readLevel(rules.auth.powerLevelValues, next);
  if (old !== undefined && oldLevel === undefined)
    return judge.reject(rule.current, `${what}: ${key} has no readable level`);
  if (next !== undefined && nextLevel === undefined)
    return judge.reject(rule.next, `${what}: ${key} has no readable level`);
  if (oldLevel === nextLevel) return undefined;
  const own = judge.level(event.sender);
  if (own === undefined) return judge.reject(rule.current, "the sender's own level is unreadable", [judge.powerLevels]);
  const others = what === "users" && key !== event.sender;
  if (oldLevel !== undefined && exceeds(oldLevel, own, others)) {
    return judge.reject(rule.current, `${what}: ${key} is at ${String(oldLevel)}, the sender at ${String(own)}`, [
      judge.powerLevels,
    ]);
  }
  if (nextLevel !== undefined && nextLevel > own) {
    return judge.reject(rule.next, `${what}: ${key} would be at ${String(nextLevel)}, the sender is at ${String(own)}`);
  }
  return undefined;
}

function exceeds(level: Level, own: Level, orEqual: boolean): boolean {
  return orEqual ? level >= own : level > own;
}
