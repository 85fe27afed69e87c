/** Turns a script into a valid room: what the rules of the version do not allow, on its own branch, is skipped. */
import { checkStateDependent } from "../auth/check.js";
import { userLevel } from "../auth/power.js";
import { ABSENT, StateMap } from "../dag/state-map.js";
import { RoomIndex } from "../dag/room-index.js";
import { UsageError } from "../errors.js";
import { domainOf } from "../ids/grammar.js";
import { compareCodePoints } from "../json/compare.js";
import { get, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { RoomVersion } from "../versions/room-version.js";
import { authEventsOf, forge, textAt } from "./forge.js";
import type { Draft, LooseEvent } from "./forge.js";
import type { Action, Attempt, PowerEdit, RoomScript, Step } from "./script.js";

/** Users of six servers' kinds: names, a port, IPv4, IPv6; two of them with localparts that set traps. */
export const testUsers: readonly string[] = Object.freeze([
  "@alice:a.example",
  "@bob:b.example:8448",
  "@carol:a.example",
  "@__proto__:c.example",
  "@dave:[2001:db8::1]:8448",
  "@\u03b6/+=\u{1f600}:192.0.2.7",
]);

/** One event of a generated room. */
export interface TestEvent {
  readonly eventId: string;
  /** The form that servers exchange: with `event_id` in room versions 1 and 2 only. */
  readonly pdu: JsonObject;
  /** Ids of the state before it, sorted by code point. */
  readonly stateBefore: readonly string[];
  /** Ids of the state after it, sorted by code point. */
  readonly stateAfter: readonly string[];
}

/** A generated room: plain data, every event allowed by the rules of its version. */
export interface TestRoom {
  readonly version: string;
  readonly roomId: string;
  /** The create event's sender. */
  readonly creator: string;
  /** In room version 12 the additional creators too. */
  readonly creators: readonly string[];
  /** Everybody who may have tried something. */
  readonly users: readonly string[];
  /** Every event, parents before children. */
  readonly events: readonly TestEvent[];
  /** Events that none comes after, sorted by code point. */
  readonly extremities: readonly string[];
  /** The state sets that had to be resolved: at every event with several parents, and at the end. */
  readonly forks: readonly (readonly (readonly string[])[])[];
  /** What it was made from. */
  readonly script: RoomScript;
}

export interface InterpretOptions {
  /** Whether events carry signatures by test keys. Takes about a millisecond an event. */
  readonly sign: boolean;
}

/** When every generated room begins, in milliseconds since 1970. */
const START = 1_700_000_000_000;
/** Branches beyond this are not forked. */
const MAX_BRANCHES = 5;

interface Branch {
  tips: readonly string[];
}

interface Held {
  readonly event: LooseEvent;
  readonly before: StateMap;
  readonly after: StateMap;
  readonly ancestors: ReadonlySet<string>;
}

/** Plays a script. The same script always gives the same room. */
export function interpret(version: RoomVersion, script: RoomScript, options: InterpretOptions): TestRoom {
  return new Interpreter(version, options.sign).play(script);
}

class Interpreter {
  readonly #version: RoomVersion;
  readonly #rules: RoomVersionRules;
  readonly #sign: boolean;
  readonly #index: RoomIndex;
  readonly #held = new Map<string, Held>();
  readonly #branches: Branch[] = [{ tips: [] }];
  #roomId: string | undefined;
  #creators: readonly string[] = [];
  #clock = START;

  constructor(version: RoomVersion, sign: boolean) {
    this.#version = version;
    this.#rules = version.rules;
    this.#sign = sign;
    this.#index = new RoomIndex(version.rules);
  }

  play(script: RoomScript): TestRoom {
    this.#open(script);
    for (const step of script.steps) this.#step(step);
    const [trunk] = this.#branches;
    const from = trunk?.tips ?? [];
    const clock = this.#clock;
    for (const attempts of script.branches) {
      const branch: Branch = { tips: from };
      this.#clock = clock;
      for (const attempt of attempts) this.#attempt(branch, attempt);
      this.#branches.push(branch);
    }
    return this.#room(script);
  }

  #open({ opening }: RoomScript): void {
    const creator = pick(testUsers, opening.creator) ?? "";
    const additional = opening.additionalCreators
      .flatMap((at) => pick(testUsers, at) ?? [])
      .filter((user) => user !== creator);
    this.#creators = [creator, ...additional];
    const main = this.#branches[0] ?? { tips: [] };
    this.#send(main, {
      type: "m.room.create",
      stateKey: "",
      sender: creator,
      content: this.#createContent(opening.federate, additional),
    });
    this.#send(main, member(creator, creator, "join"));
    if (opening.levels !== undefined) this.#openLevels(main, creator, opening.levels);
    const rule: JsonObject = this.#joinRule(opening.joinRule);
    this.#send(main, { type: "m.room.join_rules", stateKey: "", sender: creator, content: rule });
    for (const at of opening.members) {
      const user = pick(testUsers, at) ?? "";
      this.#clock += 1;
      if (user === creator) continue;
      if (opening.joinRule !== "public") this.#send(main, member(creator, user, "invite"));
      this.#send(main, member(user, user, "join"));
    }
  }

  #createContent(federate: boolean, additional: readonly string[]): JsonObject {
    const { id, auth, format } = this.#rules;
    const content: Record<string, JsonValue> = { room_version: id };
    if (auth.creator === "content") content["creator"] = this.#creators[0] ?? "";
    if (!federate) content["m.federate"] = false;
    if (additional.length > 0) content["additional_creators"] = additional;
    if (format.roomIds === "domain") this.#roomId = `!room:${domainOf(this.#creators[0] ?? "") ?? ""}`;
    return content;
  }

  #openLevels(branch: Branch, creator: string, levels: readonly number[]): void {
    const users: Record<string, JsonValue> = {};
    if (this.#rules.auth.creatorPower === "default") users[creator] = 100;
    levels.forEach((level, at) => {
      const user = pick(testUsers, at + 1) ?? "";
      if (!this.#creators.includes(user)) users[user] = level;
    });
    this.#send(branch, { type: "m.room.power_levels", stateKey: "", sender: creator, content: { users } });
  }

  #joinRule(rule: string): JsonObject {
    if (!rule.endsWith("restricted")) return { join_rule: rule };
    return { join_rule: rule, allow: [{ type: "m.room_membership", room_id: "!other:a.example" }] };
  }

  #step(step: Step): void {
    if (step.step === "attempt") {
      const branch = pick(this.#branches, step.branch);
      if (branch !== undefined) this.#attempt(branch, step);
    } else if (step.step === "fork") {
      const from = pick(this.#branches, step.from);
      if (from !== undefined && this.#branches.length < MAX_BRANCHES) this.#branches.push({ tips: from.tips });
    } else {
      const into = pick(this.#branches, step.into);
      const from = pick(this.#branches, step.from);
      if (into !== undefined && from !== undefined) into.tips = this.#merged([...into.tips, ...from.tips]);
    }
  }

  /** Tips without those that another one comes after. */
  #merged(tips: readonly string[]): readonly string[] {
    const distinct = [...new Set(tips)];
    return distinct.filter((tip) => !distinct.some((other) => this.#held.get(other)?.ancestors.has(tip)));
  }

  #attempt(branch: Branch, attempt: Attempt): void {
    this.#clock += attempt.clock;
    const draft = this.#draft(branch, attempt);
    if (draft !== undefined) this.#send(branch, draft);
  }

  #draft(branch: Branch, { action, who }: Attempt): Pending | undefined {
    const state = this.#stateAt(branch.tips);
    const anybody = pick(testUsers, who) ?? "";
    const joined = this.#joinedByRank(state);
    const somebody = pick(joined, who);
    if (action.act === "join") return this.#join(state, anybody, pick(joined, action.authoriser));
    if (action.act === "leave" || action.act === "knock") return member(anybody, anybody, action.act);
    if (somebody === undefined) return undefined;
    return this.#draftOf(state, somebody, action);
  }

  #draftOf(
    state: StateMap,
    sender: string,
    action: Exclude<Action, { act: "join" | "leave" | "knock" }>,
  ): Pending | undefined {
    switch (action.act) {
      case "invite":
      case "ban":
        return member(sender, pick(testUsers, action.target) ?? "", action.act);
      case "kick":
      case "unban":
        return member(sender, pick(testUsers, action.target) ?? "", "leave");
      case "power-levels":
        return this.#editPower(state, sender, action.edit, action.asText);
      case "join-rules":
        return { type: "m.room.join_rules", stateKey: "", sender, content: this.#joinRule(action.rule) };
      case "state":
        return { type: action.type, stateKey: action.key, sender, content: { text: action.text } };
      case "message":
        return { type: "m.room.message", sender, content: { body: action.text, msgtype: "m.text" } };
      case "redact": {
        const target = pick([...this.#held.keys()], action.target);
        return target === undefined ? undefined : { type: "m.room.redaction", sender, content: {}, redacts: target };
      }
      case "aliases":
        return { type: "m.room.aliases", stateKey: domainOf(sender) ?? "", sender, content: { aliases: [] } };
    }
  }

  #join(state: StateMap, user: string, authoriser: string | undefined): Pending {
    const rules = this.#eventAt(state, "m.room.join_rules", "");
    const rule = rules === undefined ? undefined : get(rules.content, "join_rule");
    const needsIt = typeof rule === "string" && rule.endsWith("restricted") && this.#rules.auth.restricted;
    const inside = ["join", "invite"].includes(this.#membership(state, user));
    const join = member(user, user, "join");
    if (!needsIt || inside || authoriser === undefined) return join;
    return { ...join, content: { membership: "join", join_authorised_via_users_server: authoriser } };
  }

  #editPower(state: StateMap, sender: string, edit: PowerEdit, asText: boolean): Pending {
    const current = this.#eventAt(state, "m.room.power_levels", "")?.content;
    const content = copyOf(current ?? this.#firstLevels());
    const text = asText && this.#rules.auth.powerLevelValues !== "integer";
    const level: JsonValue | undefined =
      edit.level === "remove" ? undefined : text ? ` ${String(edit.level)} ` : edit.level;
    if (edit.on === "content") put(content, edit.key, level);
    else {
      const map = get(content, edit.on);
      const changed = copyOf(isObject(map) ? map : {});
      put(changed, edit.on === "users" ? (pick(testUsers, edit.user) ?? "") : edit.key, level);
      setOwn(content, edit.on, changed);
    }
    return { type: "m.room.power_levels", stateKey: "", sender, content };
  }

  #firstLevels(): JsonObject {
    return this.#rules.auth.creatorPower === "infinite" ? {} : { users: { [this.#creators[0] ?? ""]: 100 } };
  }

  #send(branch: Branch, pending: Pending): void {
    const draft: Draft = { ...pending, originServerTs: this.#clock };
    const before = this.#stateAt(branch.tips);
    const prevEvents = branch.tips.flatMap((id) => this.#held.get(id)?.event ?? []);
    const lookup = (type: string, stateKey: string): LooseEvent | undefined => this.#eventAt(before, type, stateKey);
    const authEvents = authEventsOf(this.#rules, draft, lookup);
    const create = draft.type === "m.room.create";
    const roomId = create && this.#rules.format.roomIds === "create-hash" ? undefined : this.#roomId;
    const event = forge(this.#rules, draft, { roomId, prevEvents, authEvents, sign: this.#sign });
    if (create) this.#roomId = event.roomId;
    if (checkStateDependent(this.#rules, event, lookup).verdict !== "allowed") return;
    if (!this.#held.has(event.eventId)) this.#hold(event, before, branch.tips);
    branch.tips = [event.eventId];
  }

  #hold(event: LooseEvent, before: StateMap, tips: readonly string[]): void {
    const number = this.#index.add(event);
    const key = this.#index.keyOf(number);
    const ancestors = new Set(tips);
    for (const tip of tips) for (const id of this.#held.get(tip)?.ancestors ?? []) ancestors.add(id);
    this.#held.set(event.eventId, {
      event,
      before,
      after: key === ABSENT ? before : before.set(key, number),
      ancestors,
    });
  }

  #stateAt(tips: readonly string[]): StateMap {
    const states = tips.flatMap((tip) => this.#held.get(tip)?.after ?? []);
    if (states.length < 2) return states[0] ?? StateMap.empty;
    const resolved = this.#version.resolve(this.#index, states);
    if (resolved.verdict !== "resolved")
      throw new UsageError(`room version ${this.#rules.id} did not resolve a valid fork`);
    return resolved.state;
  }

  #eventAt(state: StateMap, type: string, stateKey: string): LooseEvent | undefined {
    const key = this.#index.keyNumber(type, stateKey);
    const number = key === ABSENT ? ABSENT : state.get(key);
    return number === ABSENT ? undefined : this.#held.get(this.#index.idOf(number))?.event;
  }

  #membership(state: StateMap, user: string): string {
    const event = this.#eventAt(state, "m.room.member", user);
    return event === undefined ? "leave" : textAt(event.content, "membership");
  }

  /** Joined users, strongest first, so that small numbers get things done. */
  #joinedByRank(state: StateMap): readonly string[] {
    const create = this.#eventAt(state, "m.room.create", "");
    const powerLevels = this.#eventAt(state, "m.room.power_levels", "");
    if (create === undefined) return [];
    const joined = testUsers.filter((user) => this.#membership(state, user) === "join");
    const ranked = joined.map((user) => ({ user, level: userLevel(this.#rules, create, powerLevels, user) ?? 0 }));
    return ranked.sort((a, b) => (a.level === b.level ? 0 : a.level > b.level ? -1 : 1)).map(({ user }) => user);
  }

  #room(script: RoomScript): TestRoom {
    const lists = new Map<StateMap, readonly string[]>();
    const listOf = (state: StateMap): readonly string[] => {
      let list = lists.get(state);
      if (list === undefined) lists.set(state, (list = this.#index.idsOf(state).sort(compareCodePoints)));
      return list;
    };
    const events = [...this.#held.values()].map(({ event, before, after }) => ({
      eventId: event.eventId,
      pdu: event.json,
      stateBefore: listOf(before),
      stateAfter: listOf(after),
    }));
    const passed = new Set([...this.#held.values()].flatMap(({ event }) => event.prevEvents));
    const extremities = [...this.#held.keys()].filter((id) => !passed.has(id)).sort(compareCodePoints);
    const after = (ids: readonly string[]): readonly (readonly string[])[] =>
      ids.map((id) => listOf(this.#held.get(id)?.after ?? StateMap.empty));
    const joints = [...this.#held.values()].map(({ event }) => event.prevEvents);
    // Branches from one point count even where one of them said nothing.
    const ends =
      script.branches.length > 0
        ? this.#branches.slice(-script.branches.length).flatMap(({ tips }) => tips)
        : extremities;
    return {
      version: this.#rules.id,
      roomId: this.#roomId ?? "",
      creator: this.#creators[0] ?? "",
      creators: this.#creators,
      users: testUsers,
      events,
      extremities,
      forks: [...joints, ends].filter((ids) => ids.length > 1).map(after),
      script,
    };
  }
}

type Pending = Omit<Draft, "originServerTs">;

function member(sender: string, target: string, membership: string): Pending {
  return { type: "m.room.member", stateKey: target, sender, content: { membership } };
}

function pick<T>(list: readonly T[], at: number): T | undefined {
  return list.length === 0 ? undefined : list[at % list.length];
}

function copyOf(object: JsonObject): Record<string, JsonValue> {
  const copy: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(object)) setOwn(copy, key, value);
  return copy;
}

function put(object: Record<string, JsonValue>, key: string, value: JsonValue | undefined): void {
  if (value !== undefined) setOwn(object, key, value);
  else Reflect.deleteProperty(object, key);
}
