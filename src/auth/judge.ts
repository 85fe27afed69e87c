/** What every state-dependent rule reads, looked up once per event. */
import { get } from "../json/value.js";
import type { RoomEvent } from "../event/pdu.js";
import type { RoomVersionRules, RuleName } from "../rules/model.js";
import { LevelMaps } from "./level-maps.js";
import { requiredLevel, scalarLevel, userLevel } from "./power.js";
import type { Level, ScalarLevel, Unreadable } from "./power.js";
import { allow, reject } from "./verdict.js";
import type { AuthFacts, AuthVerdict, StateLookup } from "./verdict.js";

/** One event before its judge: the rules, the state and the facts that it is judged by. */
export class Judge {
  readonly rules: RoomVersionRules;
  readonly event: RoomEvent;
  readonly state: StateLookup;
  readonly facts: AuthFacts;
  readonly create: RoomEvent;
  readonly powerLevels: RoomEvent | undefined;

  #levelMaps: LevelMaps | undefined;

  constructor(
    rules: RoomVersionRules,
    event: RoomEvent,
    create: RoomEvent,
    state: StateLookup,
    facts: AuthFacts,
    levelMaps: LevelMaps | undefined,
  ) {
    this.rules = rules;
    this.event = event;
    this.state = state;
    this.facts = facts;
    this.create = create;
    this.powerLevels = state("m.room.power_levels", "");
    this.#levelMaps = levelMaps;
  }

  /** Most events are no power levels, and do without. */
  get levelMaps(): LevelMaps {
    return (this.#levelMaps ??= new LevelMaps());
  }

  allow(name: RuleName): AuthVerdict {
    return allow(this.rules, name);
  }

  reject(name: RuleName, reason: string, against: readonly (RoomEvent | undefined)[] = []): AuthVerdict {
    return reject(this.rules, this.event, name, reason, against);
  }

  member(user: string): RoomEvent | undefined {
    return this.state("m.room.member", user);
  }

  /** A user without a member event has left (AU5). */
  membership(user: string): string {
    const member = this.member(user);
    const membership = member === undefined ? undefined : get(member.content, "membership");
    return typeof membership === "string" ? membership : "leave";
  }

  level(user: string): Level | Unreadable {
    return userLevel(this.rules, this.create, this.powerLevels, user);
  }

  scalar(key: ScalarLevel): Level | Unreadable {
    return scalarLevel(this.rules, this.powerLevels, key);
  }

  required(): Level | Unreadable {
    return requiredLevel(this.rules, this.powerLevels, this.event);
  }

  /** No join rules, or none in them, means `invite` (Synapse and gomatrixserverlib; AU5). */
  joinRule(): string | undefined {
    const event = this.state("m.room.join_rules", "");
    const rule = event === undefined ? undefined : get(event.content, "join_rule");
    if (rule === undefined) return "invite";
    return typeof rule === "string" ? rule : undefined;
  }
}

/** Whether `level` reaches `needed`; an unreadable level never does. */
export function reaches(level: Level | Unreadable, needed: Level | Unreadable): boolean {
  return level !== undefined && needed !== undefined && level >= needed;
}

/** Whether `level` is strictly above `other`; an unreadable level never is. */
export function outranks(level: Level | Unreadable, other: Level | Unreadable): boolean {
  return level !== undefined && other !== undefined && level > other;
}
