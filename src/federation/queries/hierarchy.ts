/** A space and the rooms in it (server-server-api, "Spaces"; client-server-api, "Spaces"). Both sides. */
import type { Refusal, Result } from "../../errors.js";
import { refuse } from "../../errors.js";
import { listOf, stringsOf } from "../../engine/fetch.js";
import type { Room } from "../../engine/room.js";
import type { RoomEvent } from "../../event/pdu.js";
import { isRoomId, isUserId } from "../../ids/grammar.js";
import { checkLax } from "../../json/check.js";
import { compareCodePoints } from "../../json/compare.js";
import { get, isArray, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import { answer, fail, refusedBy, residentRoom } from "../context.js";
import type { Federation } from "../context.js";
import { isReachable } from "./access.js";
import { ask } from "./asking.js";
import { isCount, readSummary, shownContents, summaryOf, writeSummary } from "./summary.js";
import type { RoomSummary } from "./summary.js";

/** A room that a space names, by an `m.space.child` event. */
export interface SpaceChild {
  readonly roomId: string;
  readonly sender: string;
  readonly originServerTs: number;
  /** `via`, `order`, `suggested`, and whatever else is in the event. Nobody has looked at what it holds. */
  readonly content: JsonObject;
}

/** A space as one server knows it, one level deep. */
export interface Hierarchy {
  readonly room: RoomSummary;
  /** What the space names, in the order in which it is to be shown. */
  readonly children: readonly SpaceChild[];
  /** Those of its rooms that the server knows, and that this server could read or join. */
  readonly rooms: readonly RoomSummary[];
  /** Those that this server could not, wherever it asked. */
  readonly inaccessible: readonly string[];
}

// ---- the side of a server that is in the space ------------------------------------------------------------

export async function serveHierarchy(
  federation: Federation,
  origin: string,
  { roomId, suggestedOnly = false }: OperationRequest<"hierarchy">,
): Promise<OperationResult<"hierarchy">> {
  if (typeof suggestedOnly !== "boolean") return fail("invalid_param", "`suggestedOnly` must be a boolean");
  const room = await residentRoom(federation, roomId);
  // Whether there is a room that it could not join is not for the other to know.
  if (room === undefined || !(await isReachable(federation, room, origin))) {
    return fail("not_found", `there is no such room, or none that ${origin} could join`);
  }
  const summary = await summaryOf(room);
  const most = federation.host.limits.answerRooms;
  const children = summary.roomType === "m.space" ? await childrenOf(room, suggestedOnly, most) : [];
  const known: JsonObject[] = [];
  const inaccessible: string[] = [];
  for (const child of children) {
    // Of a room that this server is not in, or not any more, it can say nothing.
    const there = await residentRoom(federation, child.roomId);
    if (there === undefined) continue;
    if (await isReachable(federation, there, origin)) known.push(writeSummary(await summaryOf(there)));
    else inaccessible.push(child.roomId);
  }
  return answer<"hierarchy">({
    room: { ...writeSummary(summary), children_state: children.map(writeChild) },
    children: known,
    inaccessibleChildren: inaccessible,
  });
}

/** Events are read so many at a time for what of them was redacted. */
const PAGE = 50;

/** The first of a space's children, in order. One without `via` was taken out of the space. */
async function childrenOf(room: Room, suggestedOnly: boolean, most: number): Promise<readonly SpaceChild[]> {
  const candidates = room.current
    .events()
    .filter(({ type, stateKey }) => type === "m.space.child" && isRoomId(stateKey))
    .map(childOf)
    .filter(({ content }) => isChild(content, suggestedOnly))
    .sort(compareChildren);
  const found: SpaceChild[] = [];
  for (let at = 0; at < candidates.length && found.length < most; at += PAGE) {
    const page = candidates.slice(at, at + PAGE);
    const events = page.flatMap(({ roomId }) => room.state("m.space.child", roomId) ?? []);
    const shown = await shownContents(room, events);
    const kept = new Set(
      events.flatMap(({ eventId, stateKey }) => (isChild(shown.get(eventId) ?? {}, suggestedOnly) ? [stateKey] : [])),
    );
    found.push(...page.filter(({ roomId }) => kept.has(roomId)));
  }
  return found.slice(0, most);
}

function childOf({ stateKey = "", sender, originServerTs, content }: RoomEvent): SpaceChild {
  return { roomId: stateKey, sender, originServerTs, content };
}

function isChild(content: JsonObject, suggestedOnly: boolean): boolean {
  const via = get(content, "via");
  return isArray(via) && via.length > 0 && (!suggestedOnly || get(content, "suggested") === true);
}

/** "Ordering of children within a space": by `order` where that is one, then by time, then by room. */
function compareChildren(one: SpaceChild, other: SpaceChild): number {
  const [here, there] = [orderOf(one), orderOf(other)];
  if (here !== there) {
    if (here === undefined) return 1;
    if (there === undefined) return -1;
    return compareCodePoints(here, there);
  }
  return one.originServerTs - other.originServerTs || compareCodePoints(one.roomId, other.roomId);
}

/** At most 50 characters from space to `~`; anything else is no order. */
function orderOf({ content }: SpaceChild): string | undefined {
  const order = get(content, "order");
  return typeof order === "string" && /^[\x20-\x7e]{1,50}$/.test(order) ? order : undefined;
}

function writeChild({ roomId, sender, originServerTs, content }: SpaceChild): JsonObject {
  return { type: "m.space.child", state_key: roomId, sender, content, origin_server_ts: originServerTs };
}

// ---- the side of a server that asks -----------------------------------------------------------------------

/** Somebody who looks into a space. */
export interface Exploring {
  readonly roomId: string;
  /** Servers to ask, if this server is not in the space. */
  readonly via?: readonly string[];
  readonly suggestedOnly?: boolean;
  readonly cancel?: Cancel | undefined;
}

/**
 * The space as the first of the servers says that answers at all. `undefined`: of those that answered none knows it, or
 * would let a user of this server in.
 */
export async function hierarchyOf(
  federation: Federation,
  { roomId, via = [], suggestedOnly = false, cancel }: Exploring,
): Promise<Result<Hierarchy | undefined>> {
  const { host } = federation;
  const here = (await residentRoom(federation, roomId)) !== undefined;
  const others = [...new Set(via)].filter((name) => name !== host.server).slice(0, host.limits.fetchServers);
  let last: { readonly ok: false; readonly error: Refusal } = refuse(
    "unreachable",
    `no server was named for ${roomId}`,
  );
  let missing = false;
  for (const server of here ? [host.server] : others) {
    const given = await ask(federation, { server, cancel }, "hierarchy", { roomId, suggestedOnly }, serveHierarchy);
    if (given.ok) {
      const read = readHierarchy(given.value, roomId, host.limits.answerRooms);
      if (read !== undefined) return { ok: true, value: read };
      last = refuse("refused_by_peer", `${server} did not answer with ${roomId}`);
    } else {
      last = refusedBy(server, given.error);
      missing ||= given.error.code === "not_found";
    }
  }
  return missing ? { ok: true, value: undefined } : last;
}

/** An answer about another room is none. Of rooms in it, those count that the space names. */
function readHierarchy(
  value: { readonly room: JsonValue; readonly children: unknown; readonly inaccessibleChildren: unknown },
  roomId: string,
  most: number,
): Hierarchy | undefined {
  const room = readSummary(value.room);
  if (room?.roomId !== roomId || !isObject(value.room)) return undefined;
  const named = new Map<string, SpaceChild>();
  for (const entry of listOf(get(value.room, "children_state")).slice(0, most)) {
    const child = readChild(entry);
    if (child !== undefined) named.set(child.roomId, child);
  }
  const children = [...named.values()].sort(compareChildren);
  const rooms = new Map<string, RoomSummary>();
  for (const child of listOf(value.children).slice(0, most)) {
    const summary = readSummary(child);
    if (summary !== undefined && named.has(summary.roomId)) rooms.set(summary.roomId, summary);
  }
  const others = stringsOf(value.inaccessibleChildren).filter((id) => named.has(id) && !rooms.has(id));
  return { room, children, rooms: [...rooms.values()], inaccessible: [...new Set(others)] };
}

/** Values that the content of one entry may hold, and how deep: an event is no larger. */
const contentLimits = { maxValues: 65_536, maxDepth: 1_000 };

function readChild(value: JsonValue): SpaceChild | undefined {
  if (!isObject(value) || get(value, "type") !== "m.space.child") return undefined;
  const [roomId, sender, at, given] = ["state_key", "sender", "origin_server_ts", "content"].map((key) =>
    get(value, key),
  );
  if (!isRoomId(roomId) || !isUserId(sender) || !isCount(at)) return undefined;
  const content = checkLax(given, contentLimits);
  if (!content.ok || !isObject(content.value) || !isChild(content.value, false)) return undefined;
  return { roomId, sender, originServerTs: at, content: content.value };
}
