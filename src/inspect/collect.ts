/** Finds the events in a document by the shapes that servers and tools write, one step per shape. */
import { parseLax } from "../json/parse.js";
import { omit } from "../event/hashes.js";
import { get, isArray, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { DumpEvent, EventRole, RecordedStanding, RecordedState, ResolveRequest } from "./dump.js";

/** A part of the document that is still to be looked at. */
interface Task {
  readonly value: JsonValue;
  readonly where: string;
  readonly role: EventRole;
  /** The event that the state in this body is before, where the document says so from outside. */
  readonly stateBefore?: string | undefined;
}

/** Keys of bodies that hold events, with the part that those play. */
const eventLists: readonly (readonly [key: string, role: EventRole])[] = [
  ["timeline", "timeline"],
  ["pdus", "timeline"],
  ["events", "timeline"],
  ["state", "state"],
  ["auth_chain", "auth-chain"],
];

/** Keys of recordings that hold further bodies. */
const bodies = [
  "send_join",
  "state_at_last",
  "states",
  "transactions_received",
  "invites_received",
  "knock",
  "response",
] as const;

/** What only answers of the client-server API, and exports made from them, have. */
const clientOnly = ["chunk", "next_batch", "rooms", "events_before", "messages"] as const;

export class Collector {
  readonly events: DumpEvent[] = [];
  readonly states: RecordedState[] = [];
  readonly keys: JsonObject[] = [];
  readonly versions: Set<string> = new Set();
  readonly notes: string[] = [];
  request: ResolveRequest | undefined;
  /** The scenario of tardis that this is, whose events may lack what the whole says once. */
  scenario: JsonObject | undefined;
  /** Where the first event or body of the client-server API stands; the empty string is the whole file. */
  clientEvent: string | undefined;
  readonly #tasks: Task[] = [];

  /** Takes in one value. Its nesting is followed with a list of tasks, not with recursion. */
  collect(value: JsonValue, where: string): void {
    this.#tasks.push({ value, where, role: "timeline" });
    for (let task = this.#tasks.pop(); task !== undefined; task = this.#tasks.pop()) this.#visit(task);
  }

  #visit(task: Task): void {
    const { value, where, role } = task;
    if (isArray(value)) {
      // send_join of API version 1 answers `[200, body]`.
      const entries = value.length === 2 && value[0] === 200 ? value.slice(1) : value;
      for (let at = entries.length - 1; at >= 0; at--) {
        this.#tasks.push({ value: entries[at] ?? null, where: `${where}[${at}]`, role });
      }
      return;
    }
    if (!isObject(value)) this.#addEvent(task, value, undefined, {});
    else if (isRow(value)) this.#visitRow(value, task);
    else if (isObject(get(value, "pdu"))) this.#visitWrapper(value, task);
    else if (isPdu(value)) this.#addEvent(task, value, undefined, {});
    else if (isClientEvent(value)) this.clientEvent ??= where;
    else this.#visitBody(value, task);
  }

  #addEvent({ where, role }: Task, json: JsonValue, givenId: string | undefined, recorded: RecordedStanding): number {
    const inside = isObject(json) ? (text(json, "event_id") ?? text(json, "_event_id")) : undefined;
    const clean = isObject(json) && Object.hasOwn(json, "_event_id") ? omit(json, ["_event_id"]) : json;
    const place = where === "" ? "the document" : where;
    return this.events.push({ json: clean, givenId: givenId ?? inside, where: place, role, recorded }) - 1;
  }

  /** A row of `event_json`: the event and the server's notes about it are JSON in text columns. */
  #visitRow(row: JsonObject, task: Task): void {
    const json = parsed(get(row, "json"));
    const metadata = parsed(get(row, "internal_metadata"));
    const reason = get(row, "rejection_reason");
    const recorded = standingOf(isObject(metadata) ? metadata : {});
    const rejected = typeof reason === "string" ? { rejected: true } : {};
    // Joins of `event_json` and `events` have these as columns.
    const columns = standingOf(row);
    this.#addEvent(task, json ?? null, text(row, "event_id"), { ...columns, ...recorded, ...rejected });
    this.#addVersion(row);
  }

  #visitWrapper(wrapper: JsonObject, task: Task): void {
    this.#addEvent(task, get(wrapper, "pdu") ?? null, text(wrapper, "event_id"), standingOf(wrapper));
  }

  #visitBody(body: JsonObject, task: Task): void {
    const { where } = task;
    if (clientOnly.some((key) => Object.hasOwn(body, key))) {
      this.clientEvent ??= where;
      return;
    }
    this.#addVersion(body);
    this.#addKeys(body);
    if (Object.hasOwn(body, "tardis_version")) this.scenario ??= body;
    if (get(body, "op") === "resolve") return this.#addRequest(body, undefined);
    const request = get(body, "request");
    if (isObject(request)) {
      const expected = get(body, "synapse_state_ids");
      this.#addRequest(request, isArray(expected) ? strings(expected) : undefined);
      this.#addVersion(request);
    }
    for (const key of ["make_join", "make_knock"]) {
      const template = get(body, key);
      if (isObject(template)) this.#addVersion(template);
    }
    this.#visitEvents(body, task);
    for (const key of bodies) {
      const inner = get(body, key);
      const stateBefore = key === "state_at_last" ? text(body, "last_event_id") : undefined;
      if (inner === undefined) continue;
      this.#tasks.push({ value: inner, where: inside(where, key), role: "timeline", stateBefore });
    }
    this.#visitLaxJson(get(body, "lax_json"), where);
  }

  #visitEvents(body: JsonObject, { where, stateBefore }: Task): void {
    const positions = new Map<string, readonly number[]>();
    for (const [key, role] of eventLists) {
      const list = get(body, key);
      // An answer to /state is `pdus` beside an auth chain.
      const actual = key === "pdus" && Object.hasOwn(body, "auth_chain") ? "state" : role;
      if (isArray(list)) positions.set(key, this.#visitList(list, inside(where, key), actual));
      else if (isObject(list)) this.#tasks.push({ value: list, where: inside(where, key), role: actual });
    }
    for (const key of ["invite_room_state", "knock_room_state"]) {
      this.#visitStripped(get(body, key), inside(where, key));
    }
    const single = this.#visitSingles(body, where);
    this.#recordStates(body, where, positions, stateBefore ?? single);
  }

  /** Entries of a list of events; each gets a position at once, so that recorded states can name it. */
  #visitList(list: readonly JsonValue[], where: string, role: EventRole): readonly number[] {
    const positions: number[] = [];
    list.forEach((value, at) => {
      const before = this.events.length;
      this.#visitEntry({ value, where: `${where}[${at}]`, role });
      if (this.events.length > before) positions.push(before);
    });
    return positions;
  }

  #visitEntry(task: Task): void {
    const { value } = task;
    if (isObject(value) && (isRow(value) || isPdu(value) || isClientEvent(value) || isObject(get(value, "pdu")))) {
      this.#visit(task);
    } else if (isObject(value) || isArray(value)) this.#tasks.push(task);
    else this.#addEvent(task, value, undefined, {});
  }

  /** Synapse sends whole events as stripped state to servers; real stripped state cannot be checked. */
  #visitStripped(list: JsonValue | undefined, where: string): void {
    for (const [at, value] of isArray(list) ? list.entries() : []) {
      if (!isObject(value) || !isPdu(value)) continue;
      this.#addEvent({ value, where: `${where}[${at}]`, role: "state" }, value, undefined, {});
    }
  }

  /** Events that stand alone beside lists; `event` is what the state of a send_join answer is before. */
  #visitSingles(body: JsonObject, where: string): number | undefined {
    const add = (key: string, idKey: string): number | undefined => {
      const value = get(body, key);
      // A make_join or make_knock template is not signed and no event yet.
      if (!isObject(value) || !isPdu(value) || !Object.hasOwn(value, "signatures")) return undefined;
      const task: Task = { value, where: inside(where, key), role: "timeline" };
      return this.#addEvent(task, value, text(body, idKey), {});
    };
    add("redacted_event_now", "redacted_event_id");
    add("merge_event", "merge_event_id");
    return add("event", "event_id");
  }

  #recordStates(
    body: JsonObject,
    where: string,
    positions: ReadonlyMap<string, readonly number[]>,
    before: string | number | undefined,
  ): void {
    const state = positions.get("state");
    const partial = get(body, "members_omitted") === true;
    if (state !== undefined) this.states.push({ name: inside(where, "state"), before, members: state, partial });
    const pdus = Object.hasOwn(body, "auth_chain") ? positions.get("pdus") : undefined;
    if (pdus !== undefined) this.states.push({ name: where === "" ? "pdus" : where, before, members: pdus, partial });
    this.#recordIds(body, where, "state_ids_at_last", text(body, "last_event_id"));
    this.#recordIds(body, where, "synapse_state_ids", text(body, "merge_event_id"));
    this.#recordState(body, where, partial);
  }

  #recordIds(body: JsonObject, where: string, key: string, before: string | undefined): void {
    const value = get(body, key);
    const list = isObject(value) ? get(value, "pdu_ids") : value;
    if (!isArray(list) || before === undefined) return;
    this.states.push({ name: inside(where, key), before, members: strings(list), partial: false });
  }

  /** A state of a recording: the ids that are in force before an event, or after a server's forward extremities. */
  #recordState(body: JsonObject, where: string, partial: boolean): void {
    const [members, after] = [get(body, "state_ids"), get(body, "after")];
    if (!isArray(members)) return;
    const state = { before: text(body, "before"), members: strings(members), partial };
    this.states.push(
      isArray(after) ? { ...state, name: "current state", after: strings(after) } : { ...state, name: where },
    );
  }

  #addVersion(holder: JsonObject): void {
    const version = text(holder, "room_version");
    if (version !== undefined) this.versions.add(version);
  }

  #addKeys(body: JsonObject): void {
    const keys = get(body, "verify_keys");
    if (isObject(keys)) this.keys.push(Object.hasOwn(body, "server_name") && isAnswer(keys) ? body : keys);
    for (const key of ["server_keys_response", "server_keys"]) {
      const answer = get(body, key);
      if (isObject(answer)) this.keys.push(answer);
      else if (isArray(answer)) this.keys.push({ server_keys: answer });
    }
  }

  #addRequest(request: JsonObject, expected: readonly string[] | undefined): void {
    const sets = get(request, "state_sets");
    const events = get(request, "events");
    if (!isArray(sets) || !isArray(events)) return;
    const answer = get(request, "expect");
    const ids = isObject(answer) ? get(answer, "ok") : undefined;
    this.request = {
      stateSets: sets.map((set) => (isArray(set) ? strings(set) : [])),
      events,
      rejected: strings(get(request, "rejected")),
      expected: expected ?? (isArray(ids) ? strings(ids) : undefined),
    };
  }

  /** `[name, event id, text of a transaction]`, kept as text because of its numbers. */
  #visitLaxJson(list: JsonValue | undefined, where: string): void {
    for (const [at, entry] of isArray(list) ? list.entries() : []) {
      const source = isArray(entry) ? entry[2] : undefined;
      if (!isArray(entry) || typeof source !== "string") continue;
      const place = inside(where, `lax_json[${at}]`);
      const value = parseLax(source);
      if (!value.ok) this.notes.push(`${place} holds no event but a note: ${source.slice(0, 120)}`);
      else if (isObject(value.value)) {
        const id = typeof entry[1] === "string" ? entry[1] : undefined;
        const pdus = get(value.value, "pdus");
        for (const [number, pdu] of isArray(pdus) ? pdus.entries() : []) {
          const task: Task = { value: pdu, where: `${place}.pdus[${number}]`, role: "timeline" };
          this.#addEvent(task, pdu, isArray(pdus) && pdus.length === 1 ? id : undefined, {});
        }
      }
    }
  }
}

function inside(where: string, key: string): string {
  return where === "" ? key : `${where}.${key}`;
}

function text(object: JsonObject, key: string): string | undefined {
  const value = get(object, key);
  return typeof value === "string" ? value : undefined;
}

function strings(list: JsonValue | undefined): readonly string[] {
  return isArray(list) ? list.filter((entry): entry is string => typeof entry === "string") : [];
}

function isRow(value: JsonObject): boolean {
  const json = get(value, "json");
  return (typeof json === "string" || isObject(json)) && typeof get(value, "event_id") === "string";
}

/** What a PDU has and an event of the client-server API has not. */
const pduKeys = ["prev_events", "auth_events", "hashes", "signatures", "depth"] as const;

function isPdu(value: JsonObject): boolean {
  return typeof get(value, "type") === "string" && pduKeys.some((key) => Object.hasOwn(value, key));
}

function isClientEvent(value: JsonObject): boolean {
  return typeof get(value, "type") === "string" && isObject(get(value, "content"));
}

/** The `verify_keys` of a key server's answer are `{key id: {key}}`; of a recording, `{server: {key id: base64}}`. */
function isAnswer(keys: JsonObject): boolean {
  return Object.values(keys).every((entry) => isObject(entry) && Object.hasOwn(entry, "key"));
}

function parsed(column: JsonValue | undefined): JsonValue | undefined {
  if (typeof column !== "string") return column;
  const value = parseLax(column);
  return value.ok ? value.value : undefined;
}

function standingOf(notes: JsonObject): RecordedStanding {
  const flag = (key: string): boolean | undefined => {
    const value = get(notes, key);
    return typeof value === "boolean" ? value : undefined;
  };
  const rejected = flag("rejected");
  const softFailed = flag("soft_failed");
  const outlier = flag("outlier");
  return {
    ...(rejected === undefined ? {} : { rejected }),
    ...(softFailed === undefined ? {} : { softFailed }),
    ...(outlier === undefined ? {} : { outlier }),
  };
}
