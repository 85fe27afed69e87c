/** Finding an event by its time (spec server-server-api, `timestamp_to_event`; FL7), for servers and for users. */
import { visibleEvents } from "../engine/visibility.js";
import type { Room } from "../engine/room.js";
import type { EventView } from "../engine/room/types.js";
import { get } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../ports/operations.js";
import { answer, fail, sharedRoom } from "./context.js";
import type { Federation } from "./context.js";
import { hiddenFrom } from "./visibility.js";

/** Where to look from, in milliseconds since 1970, and whether forwards or backwards. That moment is included. */
export interface Moment {
  readonly ts: number;
  readonly dir: "f" | "b";
}

/** An event and the time that its sender's server claims for it. */
export interface EventAtTime {
  readonly eventId: string;
  readonly originServerTs: number;
}

interface Placed extends EventAtTime {
  readonly position: number;
}

/** How many answers' worth of events are looked at on each side. */
const REACH = 5;
/** So many at a time are looked at for whether they may be seen. */
const PAGE = 20;

/** The answer tells an id and a time, and only of an event that this server may see. */
export async function serveTimestampToEvent(
  federation: Federation,
  origin: string,
  { roomId, ts, dir }: OperationRequest<"timestamp_to_event">,
): Promise<OperationResult<"timestamp_to_event">> {
  if (!Number.isSafeInteger(ts)) return fail("bad_request", "`ts` must be an integer");
  if (!isDirection(dir)) return fail("bad_request", "`dir` must be `f` or `b`");
  const shared = await sharedRoom(federation, origin, roomId);
  if (!shared.ok) return shared;
  const room = shared.value;
  const placed = await nearest(federation, room, { ts, dir });
  for (let at = 0; at < placed.length; at += PAGE) {
    const page = placed.slice(at, at + PAGE);
    const hidden = await hiddenFrom(room, origin, page);
    const found = page.find(({ eventId }) => !hidden.has(eventId));
    if (found !== undefined) return answer<"timestamp_to_event">(told(found));
  }
  return fail("not_found", `no event was found ${dir === "f" ? "from" : "up to"} ${ts}`);
}

function isDirection(dir: unknown): dir is Moment["dir"] {
  return dir === "f" || dir === "b";
}

function told({ eventId, originServerTs }: EventAtTime): EventAtTime {
  return { eventId, originServerTs };
}

/**
 * Events on the wanted side of a moment, the nearest first. The timeline is kept in the order in which events came,
 * which is nearly that of their times: the place is found by halving, and events around it are put in order. So a
 * room that fits in there is searched whole, and elsewhere an event is overlooked whose time is far from its place.
 */
async function nearest(
  { host }: Federation,
  room: Room,
  { ts, dir }: Moment,
  cancel?: Cancel,
): Promise<readonly Placed[]> {
  const reach = REACH * host.limits.answerEvents;
  const from = await placeOf(room, ts, cancel);
  const after = await room.timeline({ from, limit: reach, direction: "forwards" }, cancel);
  const before = await room.timeline({ from: from - 1, limit: reach, direction: "backwards" }, cancel);
  const sign = dir === "f" ? 1 : -1;
  return [...after.events, ...before.events]
    .flatMap(placedOf)
    .filter(({ originServerTs }) => (originServerTs - ts) * sign >= 0)
    .sort((a, b) => (a.originServerTs - b.originServerTs || a.position - b.position) * sign);
}

/** The position from which on events are not older than `ts`, if times went with positions. */
async function placeOf(room: Room, ts: number, cancel: Cancel | undefined): Promise<number> {
  const [first] = (await room.timeline({ limit: 1 }, cancel)).events;
  let low = first?.position ?? 0;
  let high = room.control.position + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [view] = (await room.timeline({ from: middle, limit: 1 }, cancel)).events;
    const [placed] = view === undefined ? [] : placedOf(view);
    if (placed !== undefined && placed.originServerTs < ts) low = placed.position + 1;
    else high = middle;
  }
  return low;
}

function placedOf({ eventId, original, position }: EventView): readonly Placed[] {
  const originServerTs = get(original, "origin_server_ts");
  return typeof originServerTs === "number" && position !== undefined ? [{ eventId, originServerTs, position }] : [];
}

// ---- for users ------------------------------------------------------------------------------------------

/** A user who looks for a moment. */
export interface Seeking extends Moment {
  readonly userId: string;
  readonly cancel?: Cancel | undefined;
}

/**
 * The event nearest to a moment that a user may see. Where history is missing here other servers are asked as well;
 * a nearer event of theirs is taken in, and history can be fetched from there.
 */
export async function eventAt(federation: Federation, room: Room, seeking: Seeking): Promise<EventAtTime | undefined> {
  const here = await seenHere(federation, room, seeking);
  if (room.gaps.length === 0 || here?.originServerTs === seeking.ts) return here;
  const { host } = federation;
  const servers = room.servers.filter((name) => name !== host.server);
  for (const server of servers.slice(0, host.limits.fetchServers)) {
    const there = await seenThere(federation, room, server, seeking);
    if (there === "unanswered") continue;
    return there !== undefined && (here === undefined || isNearer(there, here, seeking)) ? there : here;
  }
  return here;
}

function isNearer(one: EventAtTime, other: EventAtTime, { ts }: Moment): boolean {
  return Math.abs(one.originServerTs - ts) < Math.abs(other.originServerTs - ts);
}

async function seenHere(federation: Federation, room: Room, seeking: Seeking): Promise<EventAtTime | undefined> {
  const { userId, cancel } = seeking;
  const placed = await nearest(federation, room, seeking, cancel);
  for (let at = 0; at < placed.length; at += PAGE) {
    const page = placed.slice(at, at + PAGE);
    const ids = page.map(({ eventId }) => eventId);
    const sights = await visibleEvents(room, userId, ids, cancel);
    const found = page.find((_, place) => sights[place]?.visible === true);
    if (found !== undefined) return told(found);
  }
  return undefined;
}

/** What another server has, taken in; nothing that it says of the event is believed. */
async function seenThere(
  { host }: Federation,
  room: Room,
  server: string,
  { ts, dir, userId, cancel }: Seeking,
): Promise<EventAtTime | undefined | "unanswered"> {
  const { roomId } = room;
  const found = await host.transport.request(server, "timestamp_to_event", { roomId, ts, dir }, cancel);
  if (!found.ok) return found.error.code === "not_found" ? undefined : "unanswered";
  const eventId: unknown = found.value.eventId;
  if (typeof eventId !== "string") return "unanswered";
  if ((await room.event(eventId, cancel)) === undefined) {
    const given = await host.transport.request(server, "event", { roomId, eventId }, cancel);
    if (!given.ok) return "unanswered";
    await room.receive([given.value.event], { origin: server, mode: "history", cancel });
  }
  const view = await room.event(eventId, cancel);
  if (view === undefined) return "unanswered";
  const [placed] = placedOf(view);
  const [sight] = await visibleEvents(room, userId, [eventId], cancel);
  if (placed === undefined || sight?.visible !== true) return undefined;
  return (placed.originServerTs - ts) * (dir === "f" ? 1 : -1) >= 0 ? told(placed) : undefined;
}
