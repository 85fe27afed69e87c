/**
 * Readers of what people have of a room: arrays and lines of PDUs, bodies of federation answers,
 * `event_json` rows of Synapse, recordings that put several of these side by side, and scenarios.
 */
import { ok, refuse } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import { parseLax } from "../json/parse.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import { Collector } from "./collect.js";
import type { Dump, DumpEvent } from "./dump.js";
import { parseJson5 } from "./json5.js";
import { composePlaceholders, havePlaceholders, statesAfter, TARDIS_VERSION } from "./placeholders.js";
import { isScenario, readScenario } from "./scenario.js";

/** What the reader is told beside the file. */
export interface ReadOptions {
  /** The room version, where the file does not tell it or tells it wrong. */
  readonly roomVersion?: string;
  /** Which room is meant, where the file holds events of several. */
  readonly roomId?: string;
  /** Room versions that are known, for files whose ids are to be worked out. Default: all of the spec, and I.1. */
  readonly registry?: RoomVersionRegistry;
}

/**
 * Reads one file. The text is parsed without loss, so that the numbers of room versions 1 to 5 stay as
 * they were signed; whether a version allows them is decided event by event. Where events have placeholders
 * for ids and no hashes, ids, hashes and depths are worked out.
 *
 * @returns the dump, or a refusal: `bad_json` when the text is neither one JSON or JSON5 value nor a JSON value
 * a line nor a scenario, `bad_format` when it holds no federation events (with what to export instead where it is a
 * dump of the client-server API), `wrong_room` when it holds several rooms and none was chosen,
 * `unknown_room_version` when it names two versions, `cycle` when placeholders refer to each other in a circle.
 */
export function readDump(text: string, options: ReadOptions = {}): Result<Dump> {
  if (isScenario(text)) {
    const scenario = readScenario(text, options);
    return scenario.ok ? ok(scenario.value.dump) : scenario;
  }
  const values = parseValues(text);
  if (!values.ok) return values;
  return readValues(values.value, options);
}

/** Reads a JSON value as {@link readDump} its text: what `recordingOf` of `roomdag/engine` says of a stored room. */
export function readRecording(recording: JsonValue, options: ReadOptions = {}): Result<Dump> {
  return readValues([{ value: recording, where: "" }], options);
}

function readValues(values: readonly PlacedValue[], options: ReadOptions): Result<Dump> {
  const collector = new Collector();
  for (const { value, where } of values) collector.collect(value, where);
  if (collector.clientEvent !== undefined) return refuse("bad_format", clientSentence(collector.clientEvent));
  if (collector.events.length === 0 && collector.request === undefined) {
    return refuse("bad_format", NO_EVENTS);
  }
  const dump = assemble(collector, options);
  return dump.ok && havePlaceholders(dump.value.events) ? withIds(dump.value, collector, options) : dump;
}

/** Events whose ids are placeholders, with those that follow from them. */
function withIds(dump: Dump, collector: Collector, { registry = roomVersions }: ReadOptions): Result<Dump> {
  const { scenario } = collector;
  const id = dump.roomVersion ?? (scenario === undefined ? undefined : TARDIS_VERSION);
  if (id === undefined) {
    return refuse(
      "unknown_room_version",
      "the ids of these events are placeholders, and nothing tells the room version",
    );
  }
  const version = registry.get(id);
  if (!version.ok) return version;
  const named = scenario === undefined ? undefined : get(scenario, "room_id");
  const roomId = dump.roomId ?? (typeof named === "string" ? named : undefined);
  const states = scenario === undefined ? [] : statesAfter(scenario, dump.events);
  const composed = composePlaceholders(version.value, dump.events, [...dump.states, ...states], roomId);
  if (!composed.ok) return composed;
  const note =
    "these events have placeholders for ids: ids, hashes and depths were worked out, signatures are not looked at";
  return ok({ ...dump, ...composed.value, roomVersion: id, notes: [...dump.notes, note], signatures: "assumed" });
}

const NO_EVENTS =
  "no federation events are in this file: what can be read is arrays and lines of PDUs, bodies of send_join, state, " +
  "backfill, get_missing_events and transactions, rows of Synapse's event_json, requests to resolve, and scenarios";

function clientSentence(where: string): string {
  return (
    `${where === "" ? "this file" : where} is of the client-server API, which shows events without prev_events, ` +
    "auth_events, hashes and signatures: there is nothing to compute an id, a place, an authority or a resolution " +
    "from. Export federation PDUs instead: a /state, /backfill or /event_auth answer of the federation API, or " +
    "Synapse's table event_json"
  );
}

interface PlacedValue {
  readonly value: JsonValue;
  readonly where: string;
}

/** The text as one JSON value, or else as one value a line, or else as JSON5. */
function parseValues(text: string): Result<readonly PlacedValue[]> {
  const whole = parseLax(text);
  if (whole.ok) return ok([{ value: whole.value, where: "" }]);
  if (/^[ \t\r\n]*$/.test(text)) return refuse("bad_json", "this is empty");
  const values: PlacedValue[] = [];
  const lines = text.split("\n");
  for (const [at, line] of lines.entries()) {
    if (/^[ \t\r]*$/.test(line)) continue;
    const parsed = parseLax(line);
    if (parsed.ok) values.push({ value: parsed.value, where: `line ${at + 1}` });
    else if (values.length === 0) return json5(text, whole.error);
    else return notJson({ ...parsed.error, reason: `line ${at + 1}: ${parsed.error.reason}` });
  }
  return values.length > 0 ? ok(values) : notJson(whole.error);
}

/** What people write by hand. Its refusal is told where the text has nothing else in common with JSON. */
function json5(text: string, asJson: Refusal): Result<readonly PlacedValue[]> {
  const parsed = parseJson5(text);
  if (parsed.ok) return ok([{ value: parsed.value, where: "" }]);
  return /^\s*(?:\/[/*]|[{[]\s*(?:\/[/*]|[A-Za-z_$']))/.test(text)
    ? refuse(parsed.error.code, `this is neither JSON nor JSON5: ${parsed.error.reason}`)
    : notJson(asJson);
}

function notJson(error: Refusal): Result<never> {
  return refuse(error.code, `this is neither JSON nor lines of JSON: ${error.reason}`);
}

function assemble(collector: Collector, options: ReadOptions): Result<Dump> {
  const { states, keys, request } = collector;
  const roomId = roomOf(collector, options);
  if (!roomId.ok) return roomId;
  const version = versionOf(collector, roomId.value, options);
  if (!version.ok) return version;
  const foreign = collector.events.filter((event) => isForeign(event, roomId.value)).length;
  const notes = [...collector.notes];
  if (foreign > 0) notes.push(`${foreign} events of other rooms were left out`);
  const kept = new Map<number, number>();
  const events: DumpEvent[] = [];
  collector.events.forEach((event, at) => {
    if (isForeign(event, roomId.value)) return;
    kept.set(at, events.length);
    events.push(event);
  });
  const moved = (member: string | number): string | number =>
    typeof member === "number" ? (kept.get(member) ?? "") : member;
  const recorded = states.map((state) => ({
    ...state,
    before: state.before === undefined ? undefined : moved(state.before),
    members: state.members.map(moved),
  }));
  return ok({ roomVersion: version.value, roomId: roomId.value, events, keys, states: recorded, request, notes });
}

/** Creates of room version 12 name no room; they are sorted out when their ids are known. */
function roomIdIn({ json }: DumpEvent): string | undefined {
  const roomId = isObject(json) ? get(json, "room_id") : undefined;
  return typeof roomId === "string" ? roomId : undefined;
}

function isForeign(event: DumpEvent, roomId: string | undefined): boolean {
  const named = roomIdIn(event);
  return named !== undefined && roomId !== undefined && named !== roomId;
}

function roomOf(collector: Collector, options: ReadOptions): Result<string | undefined> {
  const rooms = new Set<string>();
  for (const event of collector.events) {
    const roomId = roomIdIn(event);
    if (roomId !== undefined) rooms.add(roomId);
  }
  const all = [...rooms];
  if (options.roomId !== undefined) {
    if (all.includes(options.roomId)) return ok(options.roomId);
    return refuse("wrong_room", `no event in this file is of ${options.roomId}: it holds ${shorten(all)}`);
  }
  if (all.length <= 1) return ok(all[0]);
  return refuse("wrong_room", `this file holds events of ${all.length} rooms, ${shorten(all)}: choose one`);
}

function shorten(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.slice(0, 5).join(", ") + (names.length > 5 ? ", …" : "");
}

/** From the create event, whose missing `room_version` means 1, and from what stands beside the events. */
function versionOf(collector: Collector, roomId: string | undefined, options: ReadOptions): Result<string | undefined> {
  if (options.roomVersion !== undefined) return ok(options.roomVersion);
  const said = collector.scenario === undefined ? undefined : get(collector.scenario, "room_version");
  if (typeof said === "string") return ok(said);
  const found = new Set(collector.versions);
  for (const event of collector.events) {
    if (isForeign(event, roomId) || !isObject(event.json)) continue;
    const version = createdVersion(event.json);
    if (version !== undefined) found.add(version);
  }
  const versions = [...found];
  if (versions.length <= 1) return ok(versions[0]);
  return refuse("unknown_room_version", `this file names several room versions, ${shorten(versions)}: choose one`);
}

function createdVersion(event: JsonObject): string | undefined {
  const content = get(event, "content");
  if (get(event, "type") !== "m.room.create" || get(event, "state_key") !== "" || !isObject(content)) return undefined;
  const version = get(content, "room_version");
  // What has no hashes yet is a draft, and may leave this to whoever completes it.
  if (version === undefined) return Object.hasOwn(event, "hashes") ? "1" : undefined;
  return typeof version === "string" ? version : undefined;
}
