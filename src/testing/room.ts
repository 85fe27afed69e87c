/** Arbitraries of rooms and forks. */
import type { Arbitrary } from "fast-check";
import fc from "fast-check";
import { UsageError } from "../errors.js";
import { get, isArray } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import type { RoomVersion } from "../versions/room-version.js";
import { withKeys } from "./forge.js";
import { interpret } from "./interpret.js";
import type { TestEvent, TestRoom } from "./interpret.js";
import { arbForkScript, arbRoomScript } from "./script.js";

export interface ArbRoomOptions {
  /** Where the version is looked up. Default: every version of the spec, and I.1. */
  readonly registry?: RoomVersionRegistry;
  /**
   * Whether events are signed with {@link testKeyOf} of their servers. Default `false`: `signatures`
   * is empty, which resolution and authorisation do not mind. Signing takes about a millisecond an event.
   */
  readonly sign?: boolean;
  /**
   * How many attempts, forks and merges follow the opening at most; an attempt is not always allowed.
   * Default 48, for a fork 16.
   */
  readonly maxSteps?: number;
}

/** A request to resolve states, as a line of `roomdag oracle` carries it. */
export interface ResolutionRequest {
  readonly room_version: string;
  /** Event ids, one list a state. */
  readonly state_sets: readonly (readonly string[])[];
  /** Those events and their auth chains: the federation form with `event_id`, which is to be taken as given. */
  readonly events: readonly JsonObject[];
}

/** A room whose last branches are to be resolved. */
export interface TestFork {
  readonly room: TestRoom;
  readonly request: ResolutionRequest;
}

/** The version under this identifier. */
export function versionOf(id: string, registry: RoomVersionRegistry = roomVersions): RoomVersion {
  const found = registry.get(id);
  if (!found.ok) throw new UsageError(`${found.error.reason}: pass a registry that has it`);
  return found.value;
}

/**
 * Rooms of one version: six users on five servers create, join, kick, ban, edit power levels and join
 * rules and set state on branches that fork and merge. Every event is allowed by the rules of that
 * version in the state before it, which is given with it. Shrinking leaves attempts out and keeps the
 * room valid. Timestamps tie and run backwards; state keys and types include `__proto__`, astral
 * characters and pairs that collide when they are glued together.
 *
 * @param version Identifier of a room version, such as `"12"`.
 * @throws UsageError when the registry does not have the version.
 */
export function arbRoom(version: string, options: ArbRoomOptions = {}): Arbitrary<TestRoom> {
  const { registry, sign = false, maxSteps = 48 } = options;
  const roomVersion = versionOf(version, registry);
  return arbRoomScript(roomVersion.rules, maxSteps).map((script) => interpret(roomVersion, script, { sign }));
}

/**
 * Two to five branches that start at one point of a room like those of {@link arbRoom}, and the request
 * to resolve the states at their ends. Branches tend to disagree about power, bans and the same keys.
 *
 * @param version Identifier of a room version, such as `"12"`.
 * @throws UsageError when the registry does not have the version.
 */
export function arbFork(version: string, options: ArbRoomOptions = {}): Arbitrary<TestFork> {
  const { registry, sign = false, maxSteps = 16 } = options;
  const roomVersion = versionOf(version, registry);
  return arbForkScript(roomVersion.rules, maxSteps).map((script) => {
    const room = interpret(roomVersion, script, { sign });
    return { room, request: resolutionRequest(room, room.forks.at(-1) ?? []) };
  });
}

/**
 * The request to resolve `stateSets`, which are lists of ids of events of `room`: its events are those
 * of the states and their full auth chains, in the order of the room.
 */
export function resolutionRequest(room: TestRoom, stateSets: readonly (readonly string[])[]): ResolutionRequest {
  const byId = new Map(room.events.map((event) => [event.eventId, event]));
  const wanted = new Set<string>();
  const stack = stateSets.flat();
  // Room version 12: events do not cite the create event, and yet every chain ends in it.
  if (room.events[0] !== undefined) stack.push(room.events[0].eventId);
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    if (wanted.has(id)) continue;
    wanted.add(id);
    stack.push(...citedBy(byId.get(id)?.pdu ?? {}));
  }
  const events = room.events.filter(({ eventId }) => wanted.has(eventId)).map(eventWithId);
  return { room_version: room.version, state_sets: stateSets, events };
}

/** The event as requests carry it: with `event_id` in every room version. */
export function eventWithId({ eventId, pdu }: TestEvent): JsonObject {
  return withKeys(pdu, { event_id: eventId });
}

/** Ids that an event cites under `key`, whether written as ids or as pairs. */
export function citedBy(event: JsonObject, key: "auth_events" | "prev_events" = "auth_events"): readonly string[] {
  const list = get(event, key);
  const ids = isArray(list) ? list.map((entry) => (isArray(entry) ? entry[0] : entry)) : [];
  return ids.filter((id): id is string => typeof id === "string");
}

/**
 * Orders in which a server may receive the events of `room`: each event after its parents, everything
 * else in any order.
 */
export function arbDelivery(room: TestRoom): Arbitrary<readonly TestEvent[]> {
  const { length } = room.events;
  return fc.array(fc.nat(0xffff), { minLength: length, maxLength: length }).map((urgency) => deliver(room, urgency));
}

function deliver(room: TestRoom, urgency: readonly number[]): readonly TestEvent[] {
  const waiting = room.events.map((event, at) => ({
    event,
    parents: citedBy(event.pdu, "prev_events"),
    urgency: urgency[at] ?? 0,
  }));
  const here = new Set<string>();
  const order: TestEvent[] = [];
  while (waiting.length > 0) {
    let best = -1;
    waiting.forEach(({ parents, urgency: mine }, at) => {
      const ready = parents.every((id) => here.has(id));
      if (ready && (best === -1 || mine < (waiting[best]?.urgency ?? 0))) best = at;
    });
    const [next] = waiting.splice(best, 1);
    if (next === undefined || best === -1) break;
    here.add(next.event.eventId);
    order.push(next.event);
  }
  return order;
}
