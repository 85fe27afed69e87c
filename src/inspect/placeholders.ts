/**
 * Events whose ids are placeholders: scenarios of tardis (github.com/matrix-org/tardis, `.json5`) and test cases of
 * state resolution as ruma writes them. They have no hashes, so ids, hashes and depths are worked out here.
 */
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { get, isArray, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersion } from "../versions/room-version.js";
import { Composer } from "./compose.js";
import type { Template } from "./compose.js";
import type { DumpEvent, RecordedState } from "./dump.js";
import { causalOrder } from "./order.js";

/** What tardis takes where a scenario names no room version. */
export const TARDIS_VERSION = "10";
/** The first event of a scenario without times: 2024 begins. */
const FIRST_TS = 1_704_067_200_000;

export interface Placeholders {
  readonly events: readonly DumpEvent[];
  readonly states: readonly RecordedState[];
  readonly names: ReadonlyMap<string, string>;
  readonly roomId: string | undefined;
}

/** Whether none of the events says a content hash, and all say what they come after: then their ids are no hashes. */
export function havePlaceholders(events: readonly DumpEvent[]): boolean {
  return (
    events.length > 0 &&
    events.every(
      ({ json, givenId }) =>
        isObject(json) && givenId !== undefined && isArray(get(json, "prev_events")) && !Object.hasOwn(json, "hashes"),
    )
  );
}

/**
 * The same events with real ids, unsigned.
 *
 * @returns a refusal `bad_format` when a name occurs twice or an event lacks what it needs, `cycle` when events refer
 * to each other in a circle.
 */
export function composePlaceholders(
  version: RoomVersion,
  events: readonly DumpEvent[],
  states: readonly RecordedState[],
  roomId: string | undefined,
): Result<Placeholders> {
  const templates = readTemplates(version, events);
  if (!templates.ok) return templates;
  const named = templates.value;
  const rests = (name: string): readonly string[] => {
    const template = named.get(name)?.template;
    return template === undefined ? [] : [...template.prevEvents, ...template.authEvents];
  };
  const listed = [...named].map(([eventId, { at }]) => ({ eventId, originServerTs: at }));
  const { order, cyclic } = causalOrder(listed, rests);
  const [first] = cyclic;
  if (first !== undefined) return refuse("cycle", `${first} refers to itself, by itself or through others`);
  const composer = new Composer(version.rules, { roomId, signed: false });
  const made = new Map<number, DumpEvent>();
  const names = new Map<string, string>();
  for (const name of order) {
    const entry = named.get(name);
    if (entry === undefined) continue;
    const pdu = composer.make(entry.template);
    if (!pdu.ok) return refuse(pdu.error.code, `${entry.event.where}: ${pdu.error.reason}`);
    composer.keep(pdu.value, name);
    names.set(pdu.value.eventId, name);
    made.set(entry.at, { ...entry.event, json: pdu.value.json, givenId: pdu.value.eventId });
  }
  const idOf = (member: string | number): string | number =>
    typeof member === "string" ? composer.idOf(member) : member;
  const recorded = states.map((state) => ({
    ...state,
    before: state.before === undefined ? undefined : idOf(state.before),
    members: state.members.map(idOf),
  }));
  const inOrder = events.map((event, at) => made.get(at) ?? event);
  return ok({ events: inOrder, states: recorded, names, roomId: composer.roomId });
}

interface Entry {
  readonly at: number;
  readonly event: DumpEvent;
  readonly template: Template;
}

function readTemplates(version: RoomVersion, events: readonly DumpEvent[]): Result<ReadonlyMap<string, Entry>> {
  const named = new Map<string, Entry>();
  let time = FIRST_TS;
  for (const [at, event] of events.entries()) {
    const name = event.givenId;
    if (name === undefined || !isObject(event.json)) return refuse("bad_format", `${event.where} has no event_id`);
    if (named.has(name)) return refuse("bad_format", `${event.where}: there are two events ${name}`);
    const given = get(event.json, "origin_server_ts");
    const originServerTs = typeof given === "number" && given !== 0 ? given : time;
    time = originServerTs + 1000;
    const template = readTemplate(version, event.json, originServerTs);
    if (!template.ok) return refuse("bad_format", `${event.where}: ${template.error.reason}`);
    named.set(name, { at, event, template: template.value });
  }
  return ok(named);
}

function readTemplate(version: RoomVersion, json: JsonObject, originServerTs: number): Result<Template> {
  const type = get(json, "type");
  const sender = get(json, "sender");
  const content = get(json, "content");
  const stateKey = get(json, "state_key");
  const depth = get(json, "depth");
  const prevEvents = idsIn(get(json, "prev_events"));
  const authEvents = idsIn(get(json, "auth_events") ?? []);
  if (typeof type !== "string" || typeof sender !== "string" || !isObject(content)) {
    return refuse("bad_format", "an event has `type`, `sender` and `content`");
  }
  if (stateKey !== undefined && typeof stateKey !== "string") {
    return refuse("bad_format", "`state_key` must be a string");
  }
  if (prevEvents === undefined || authEvents === undefined) {
    return refuse("bad_format", "`prev_events` and `auth_events` are lists of ids");
  }
  const redacts = get(json, "redacts") ?? get(content, "redacts");
  return ok({
    type,
    sender,
    stateKey,
    content: type === "m.room.create" ? withVersion(content, version.id) : content,
    originServerTs,
    prevEvents,
    authEvents,
    depth: typeof depth === "number" ? depth : undefined,
    redacts: type === "m.room.redaction" && typeof redacts === "string" ? redacts : undefined,
  });
}

/** A room that is to be one of this version says so, unless it says something itself. */
function withVersion(content: JsonObject, version: string): JsonObject {
  if (Object.hasOwn(content, "room_version") || version === "1") return content;
  const copy: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(content)) setOwn(copy, key, value);
  copy["room_version"] = version;
  return copy;
}

/** Ids, or the pairs of room versions 1 and 2. */
function idsIn(list: JsonValue | undefined): readonly string[] | undefined {
  if (!isArray(list)) return undefined;
  const ids = list.map((entry) => (isArray(entry) ? entry[0] : entry));
  return ids.every((id): id is string => typeof id === "string") ? ids : undefined;
}

/**
 * States that a tardis scenario fixes with `precalculated_state_after`. The state after an event is the state before
 * whatever follows it alone.
 */
export function statesAfter(scenario: JsonObject, events: readonly DumpEvent[]): readonly RecordedState[] {
  const fixed = get(scenario, "precalculated_state_after");
  if (!isObject(fixed)) return [];
  const states: RecordedState[] = [];
  for (const { json, givenId } of events) {
    const parents = isObject(json) ? idsIn(get(json, "prev_events")) : undefined;
    const [only, ...others] = parents ?? [];
    const ids = only === undefined || others.length > 0 ? undefined : idsIn(get(fixed, only));
    if (ids === undefined || givenId === undefined) continue;
    const name = `precalculated_state_after.${only ?? ""}`;
    states.push({ name, before: givenId, members: ids, partial: false });
  }
  return states;
}
