/** A scenario's room while its lines are read: what was made, what it is called, and the states in between. */
import { checkStateDependent, checkStateIndependent, stateOfAuthEvents } from "../auth/check.js";
import { selectAuthEvents } from "../auth/select.js";
import type { StateLookup } from "../auth/verdict.js";
import { RoomIndex } from "../dag/room-index.js";
import { StateMap } from "../dag/state-map.js";
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import type { Pdu } from "../event/pdu.js";
import { isUserId } from "../ids/grammar.js";
import { get, isArray, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersion } from "../versions/room-version.js";
import { Composer } from "./compose.js";
import type { RecordedStanding } from "./dump.js";
import { fullUser } from "./scenario-names.js";
import { readLine } from "./scenario-lines.js";
import type { Line } from "./scenario-lines.js";
import { SCENARIO_START } from "./scenario-times.js";
import type { Word } from "./scenario-words.js";

export interface RoomOptions {
  readonly server: string;
  readonly roomId: string | undefined;
  readonly signed: boolean;
}

/** An event that is about to be made. */
export interface Plan {
  readonly name: string | undefined;
  readonly type: string;
  readonly stateKey: string | undefined;
  readonly sender: string;
  readonly content: JsonObject;
  readonly redacts: string | undefined;
  readonly originServerTs: number;
  readonly depth: number | undefined;
  /** References: names, ids, or `?` and a name for what is not here and has no id. */
  readonly prevEvents: readonly string[];
  readonly authEvents: readonly string[];
  /** The state before it as a server gave it: names of events. */
  readonly given: readonly string[] | undefined;
  readonly recorded: RecordedStanding;
  /** The state before it, where that is known. */
  readonly before: StateMap | undefined;
}

/** An event that was made. */
export interface Made {
  readonly pdu: Pdu;
  readonly where: string;
  readonly given: readonly string[] | undefined;
  readonly recorded: RecordedStanding;
}

export class ScenarioRoom {
  readonly version: RoomVersion;
  readonly made: Made[] = [];
  readonly signed: boolean;
  readonly #options: RoomOptions;
  readonly #composer: Composer;
  readonly #index: RoomIndex;
  readonly #ids = new Map<string, string>();
  readonly #after = new Map<string, StateMap>();
  readonly #rejected = new Set<string>();

  constructor(version: RoomVersion, options: RoomOptions) {
    this.version = version;
    this.signed = options.signed;
    this.#options = options;
    this.#composer = new Composer(version.rules, { roomId: options.roomId, signed: options.signed });
    this.#index = new RoomIndex(version.rules);
  }

  get roomId(): string | undefined {
    return this.#composer.roomId;
  }

  /** Ids by name, in the order of the text. */
  ids(): ReadonlyMap<string, string> {
    return this.#ids;
  }

  has(name: string): boolean {
    return this.#ids.has(name);
  }

  user(text: string): string | undefined {
    return fullUser(text, this.#options.server);
  }

  keys(): JsonObject {
    return this.#composer.keys();
  }

  /** What a line is to make, as the room stands. Changes nothing. */
  plan(words: readonly Word[]): Result<Plan> {
    const line = readLine(words, (text) => this.user(text));
    return line.ok ? this.#complete(line.value) : line;
  }

  /** Makes what was planned. */
  commit(plan: Plan, where: string): Result<Pdu> {
    const pdu = this.#composer.make(plan);
    if (!pdu.ok) return pdu;
    const { eventId } = pdu.value;
    if (this.#index.get(eventId) !== undefined) return refuse("bad_format", "the same event is there already");
    const { name, given, recorded, before } = plan;
    this.#composer.keep(pdu.value, name);
    if (name !== undefined) this.#ids.set(name, eventId);
    const members = given?.map((reference) => this.#composer.idOf(reference));
    this.made.push({ pdu: pdu.value, where, given: members, recorded });
    const rejected = before !== undefined && !this.#allows(pdu.value, before);
    if (rejected) this.#rejected.add(eventId);
    const number = this.#index.add(pdu.value, { rejected });
    if (before !== undefined) this.#after.set(eventId, rejected ? before : this.#index.stateAfter(before, number));
    return pdu;
  }

  #complete(line: Line): Result<Plan> {
    const { name } = line;
    if (name !== undefined && this.#ids.has(name)) return refuse("bad_format", `${name} is the name of another event`);
    if (name === "nothing") return refuse("bad_format", "an event is not called nothing");
    const prevEvents = line.after ?? this.#last();
    const stray = [...prevEvents, ...(line.cites ?? []), ...(line.given ?? [])].find((one) => !this.#mayName(one));
    if (stray !== undefined) return refuse("bad_format", `no event before this one is called ${stray}`);
    const before = this.#stateBefore(prevEvents, line.given);
    if (!before.ok) return before;
    const state = before.value;
    const lookup = state === undefined ? undefined : this.#index.lookup(state);
    const content = this.#contentOf(line, lookup);
    if (!content.ok) return content;
    const { type, stateKey, sender, redacts, depth, given, recorded } = line;
    const authEvents = line.cites ?? this.#selected({ type, stateKey, sender, content: content.value }, lookup);
    if (authEvents === undefined) {
      return refuse(
        "bad_format",
        "the state before it is not known: say it with `given`, or what it cites with `cites`",
      );
    }
    return ok({
      name,
      type,
      stateKey,
      sender,
      content: content.value,
      redacts,
      originServerTs: line.time ?? SCENARIO_START + 1000 * (this.made.length + 1),
      depth,
      prevEvents,
      authEvents,
      given,
      recorded,
      before: state,
    });
  }

  #last(): readonly string[] {
    const last = this.made.at(-1);
    return last === undefined ? [] : [last.pdu.eventId];
  }

  #mayName(reference: string): boolean {
    return /^[?$]./.test(reference) || this.#composer.get(reference) !== undefined;
  }

  #stateBefore(prevEvents: readonly string[], given: readonly string[] | undefined): Result<StateMap | undefined> {
    const states: StateMap[] = [];
    for (const reference of prevEvents) {
      const id = this.#composer.idOf(reference);
      const after = this.#after.get(id);
      if (after !== undefined) states.push(after);
      // As everywhere: what a server gave counts where ancestors are absent, and there alone.
      else return given === undefined ? ok(undefined) : this.#stateOf(given);
    }
    const [only = StateMap.empty, ...others] = new Set(states);
    if (others.length === 0) return ok(only);
    const resolution = this.version.resolve(this.#index, [...new Set(states)]);
    return ok(resolution.verdict === "resolved" ? resolution.state : undefined);
  }

  #stateOf(references: readonly string[]): Result<StateMap | undefined> {
    const ids = references.map((reference) => this.#composer.idOf(reference));
    const stray = ids.findIndex((id) => this.#index.get(id)?.stateKey === undefined);
    if (stray >= 0) return refuse("bad_format", `${references[stray] ?? ""} is no state event, so no part of a state`);
    return ok(this.#index.stateOf(ids.filter((id) => !this.#rejected.has(id))));
  }

  /** The events that the line's event has to cite. */
  #selected(
    event: Parameters<typeof selectAuthEvents>[1],
    lookup: StateLookup | undefined,
  ): readonly string[] | undefined {
    if (event.type === "m.room.create") return [];
    if (lookup === undefined) return undefined;
    const keys = selectAuthEvents(this.version.rules, event);
    return keys.flatMap(([type, stateKey]) => lookup(type, stateKey)?.eventId ?? []);
  }

  /** The content, with what this room version wants of it. */
  #contentOf(line: Line, lookup: StateLookup | undefined): Result<JsonObject> {
    const { rules } = this.version;
    if (line.levels === undefined) {
      if (line.type !== "m.room.create" || line.exact) return ok(line.content);
      const named = rules.auth.creator === "content" ? { creator: line.sender } : {};
      return ok(merged({ room_version: rules.id, ...named }, line.content));
    }
    if (lookup === undefined) return refuse("bad_format", "the state before it is not known, so no levels to change");
    const creators = rules.auth.creatorPower === "infinite" ? creatorsOf(lookup("m.room.create", "")) : [];
    const base = lookup("m.room.power_levels", "")?.content ?? {};
    return ok(merged(changedLevels(base, line.levels, creators), line.content));
  }

  /** Whether the event is accepted: by what it cites, and by the state before it. */
  #allows(pdu: Pdu, before: StateMap): boolean {
    const { rules } = this.version;
    const known = (id: string): { event: Pdu; rejected: boolean } | undefined => {
      const event = this.#composer.get(id);
      return event === undefined ? undefined : { event, rejected: this.#rejected.has(id) };
    };
    const cited = stateOfAuthEvents(rules, pdu, (id) => this.#composer.get(id));
    return (
      pdu.rejectedForSize === undefined &&
      checkStateIndependent(rules, pdu, known).verdict === "allowed" &&
      checkStateDependent(rules, pdu, cited).verdict === "allowed" &&
      checkStateDependent(rules, pdu, this.#index.lookup(before)).verdict === "allowed"
    );
  }
}

/** Room version 12: the create event's sender and its `additional_creators`. */
function creatorsOf(create: { readonly sender: string; readonly content: JsonObject } | undefined): readonly string[] {
  if (create === undefined) return [];
  const more = get(create.content, "additional_creators");
  return [create.sender, ...(isArray(more) ? more.filter((user) => isUserId(user)) : [])];
}

/** `object` with the keys of `changes` set. */
function merged(object: JsonObject, changes: JsonObject): JsonObject {
  const copy: Record<string, JsonValue> = {};
  for (const source of [object, changes]) {
    for (const [key, value] of Object.entries(source)) setOwn(copy, key, value);
  }
  return copy;
}

/** Power levels with some changed. What a level is of is a path: `ban`, or `users` and a user. */
function changedLevels(
  content: JsonObject,
  levels: readonly (readonly [path: readonly string[], level: number | undefined])[],
  creators: readonly string[],
): JsonObject {
  let changed: JsonObject = content;
  for (const [[key = "", inner], level] of levels) {
    if (inner === undefined) changed = withEntry(changed, key, level);
    else if (key !== "users" || !creators.includes(inner)) {
      const map = get(changed, key);
      changed = merged(changed, { [key]: withEntry(isObject(map) ? map : {}, inner, level) });
    }
  }
  return changed;
}

function withEntry(object: JsonObject, key: string, level: number | undefined): JsonObject {
  const copy: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(object)) if (name !== key) setOwn(copy, name, value);
  if (level !== undefined) setOwn(copy, key, level);
  return copy;
}
