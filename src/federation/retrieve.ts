/**
 * Handing out what is stored: single events, states, auth chains, and stretches of history, each in the form in
 * which the server that asks may see it. Ids of states are for servers in the room, all else for those as well that
 * left, as far as they were there.
 */
import type { Room } from "../engine/room.js";
import { stringsOf } from "../engine/fetch.js";
import { readEvent } from "../event/loose.js";
import type { JsonValue } from "../json/value.js";
import type { OperationRequest, OperationResult } from "../ports/operations.js";
import type { StoredEvent } from "../ports/storage.js";
import { answer, fail, sharedRoom } from "./context.js";
import type { Failed, Federation } from "./context.js";
import { attendedRoom, formsFor, gapFor, hiddenForm, hiddenFrom, readableRoom, servedForm } from "./visibility.js";
import type { Reading } from "./visibility.js";

function previousOf(room: Room, row: StoredEvent): { readonly prevEvents: readonly string[]; readonly depth: number } {
  const { rules } = room.version;
  const event = readEvent(
    rules,
    rules.format.eventIds === "in-pdu" ? row.json : { ...row.json, event_id: row.eventId },
  );
  return event.ok ? event.value : { prevEvents: [], depth: 0 };
}

/** Served by id whatever was decided about it: whoever has to judge a child needs its parents (FL11). */
export async function serveEvent(
  federation: Federation,
  origin: string,
  { roomId, eventId }: OperationRequest<"event">,
): Promise<OperationResult<"event">> {
  if (roomId === undefined) return serveEventOf(federation, origin, eventId, await roomsWith(federation, eventId));
  if (typeof roomId !== "string") return fail("bad_request", "`roomId` must be a string");
  return serveEventIn(federation, origin, roomId, eventId);
}

/** Rooms in which an event of one id is looked for. Only where ids are chosen (versions 1 and 2) there is a second. */
const MAX_ROOMS = 10;

async function roomsWith({ host }: Federation, eventId: string): Promise<readonly string[]> {
  const { storage } = host;
  if (storage.roomsWith !== undefined) return storage.roomsWith(eventId);
  const found: string[] = [];
  for (const roomId of await storage.roomIds()) {
    if ((await storage.readEvents(roomId, [eventId])).length > 0) found.push(roomId);
    if (found.length >= MAX_ROOMS) break;
  }
  return found;
}

/** The endpoint names no room. That there is such an event is not for those to know who may read none of its rooms. */
async function serveEventOf(
  federation: Federation,
  origin: string,
  eventId: string,
  roomIds: readonly string[],
): Promise<OperationResult<"event">> {
  for (const roomId of roomIds.slice(0, MAX_ROOMS)) {
    const served = await serveEventIn(federation, origin, roomId, eventId);
    if (served.ok) return served;
  }
  return fail("not_found", `${eventId} is not here, or not for ${origin} to read`);
}

async function serveEventIn(
  federation: Federation,
  origin: string,
  roomId: string,
  eventId: string,
): Promise<OperationResult<"event">> {
  const readable = await readableRoom(federation, origin, roomId);
  if (!readable.ok) return readable;
  const reading = readable.value;
  const rows = await reading.room.rows([eventId]);
  if (rows.length === 0 && reading.joined) return fail("not_found", `${eventId} is not here`);
  const forms = told(reading, origin, await formsFor(reading, origin, rows));
  if (!forms.ok) return forms;
  const [event] = forms.value;
  return event === undefined ? fail("not_found", `${eventId} is not here`) : answer<"event">({ event });
}

/** Who left learns nothing by being refused: what was never here and what came later are the same to it. */
function told(
  reading: Reading,
  origin: string,
  value: readonly JsonValue[],
): { readonly ok: true; readonly value: readonly JsonValue[] } | Failed {
  if (value.length > 0 || reading.joined) return { ok: true, value };
  return fail("forbidden", `${origin} is not in ${reading.room.roomId}, and was not then`);
}

async function stateBefore(
  room: Room,
  eventId: string,
): Promise<{ readonly stateIds: readonly string[]; readonly authChainIds: readonly string[] } | undefined> {
  const at = await room.stateAt(eventId);
  // A part would be taken for the whole.
  if (at === undefined || at.partial) return undefined;
  const stateIds = at.before.ids();
  return { stateIds, authChainIds: await room.authChain(stateIds) };
}

/** FL7: the state before the event. Ids say nothing that is hidden. */
export async function serveStateIds(
  federation: Federation,
  origin: string,
  { roomId, eventId }: OperationRequest<"state_ids">,
): Promise<OperationResult<"state_ids">> {
  const shared = await sharedRoom(federation, origin, roomId);
  if (!shared.ok) return shared;
  const state = await stateBefore(shared.value, eventId);
  return state === undefined ? fail("not_found", `no state is known at ${eventId}`) : answer<"state_ids">(state);
}

export async function serveState(
  federation: Federation,
  origin: string,
  { roomId, eventId }: OperationRequest<"state">,
): Promise<OperationResult<"state">> {
  const shared = await attendedRoom(federation, origin, roomId, eventId);
  if (!shared.ok) return shared;
  const room = shared.value;
  const state = await stateBefore(room, eventId);
  if (state === undefined) return fail("not_found", `no state is known at ${eventId}`);
  const hidden = await isHidden(room, origin, eventId);
  return answer<"state">({
    state: await formsOf(room, state.stateIds, hidden),
    authChain: await formsOf(room, state.authChainIds, hidden),
  });
}

export async function serveEventAuth(
  federation: Federation,
  origin: string,
  { roomId, eventId }: OperationRequest<"event_auth">,
): Promise<OperationResult<"event_auth">> {
  const shared = await attendedRoom(federation, origin, roomId, eventId);
  if (!shared.ok) return shared;
  const room = shared.value;
  if ((await room.rows([eventId])).length === 0) return fail("not_found", `${eventId} is not here`);
  const hidden = await isHidden(room, origin, eventId);
  return answer<"event_auth">({ authChain: await formsOf(room, await room.authChain([eventId]), hidden) });
}

async function isHidden(room: Room, origin: string, eventId: string): Promise<boolean> {
  return (await hiddenFrom(room, origin, [{ eventId }])).size > 0;
}

/**
 * What an event rests on is as visible as the event: whoever was there for it saw the state that it met with,
 * however old. Each event of a state by itself would cost a state of its own.
 */
async function formsOf(room: Room, ids: readonly string[], hidden: boolean): Promise<readonly JsonValue[]> {
  return (await room.rows(ids)).map((row) => (hidden ? hiddenForm(room, row) : servedForm(room, row)));
}

/** FL7: the events themselves count, and come first. */
export async function serveBackfill(
  federation: Federation,
  origin: string,
  { roomId, from, limit }: OperationRequest<"backfill">,
): Promise<OperationResult<"backfill">> {
  const readable = await readableRoom(federation, origin, roomId);
  if (!readable.ok) return readable;
  const bound = Math.min(countOf(limit), federation.host.limits.answerEvents);
  const rows = await walk(readable.value.room, stringsOf(from), { limit: bound, minDepth: 0, stop: new Set() });
  const events = told(readable.value, origin, await formsFor(readable.value, origin, rows));
  return events.ok ? answer<"backfill">({ events: events.value }) : events;
}

/** FL7: breadth first from what `latest` cites; `earliest` and what lies below `minDepth` is left out. Oldest first. */
export async function serveMissingEvents(
  federation: Federation,
  origin: string,
  { roomId, earliest, latest, limit, minDepth }: OperationRequest<"get_missing_events">,
): Promise<OperationResult<"get_missing_events">> {
  const readable = await readableRoom(federation, origin, roomId, stringsOf(latest));
  if (!readable.ok) return readable;
  const { room } = readable.value;
  const start = await room.rows(stringsOf(latest).slice(0, federation.host.limits.answerEvents));
  const cited = start.flatMap((row) => previousOf(room, row).prevEvents);
  const rows = await walk(room, cited, {
    limit: Math.min(countOf(limit), federation.host.limits.answerEvents),
    minDepth: countOf(minDepth),
    stop: new Set([...stringsOf(earliest), ...stringsOf(latest)]),
  });
  const events = told(readable.value, origin, await gapFor(readable.value, origin, start, rows.reverse()));
  return events.ok ? answer<"get_missing_events">({ events: events.value }) : events;
}

function countOf(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

/** Breadth first against `prev_events`, a generation for each read. */
async function walk(
  room: Room,
  from: readonly string[],
  bounds: { readonly limit: number; readonly minDepth: number; readonly stop: ReadonlySet<string> },
): Promise<StoredEvent[]> {
  const found: StoredEvent[] = [];
  const seen = new Set<string>(bounds.stop);
  let generation = from.filter((id) => !seen.has(id));
  while (generation.length > 0 && found.length < bounds.limit) {
    const all = [...new Set(generation)];
    const ids = all.slice(0, bounds.limit - found.length);
    for (const id of ids) seen.add(id);
    const rows = new Map((await room.rows(ids)).map((row) => [row.eventId, row]));
    // Some of those that were looked up may not be here: the others of their generation come before the next.
    const next: string[] = all.slice(ids.length);
    for (const id of ids) {
      const row = rows.get(id);
      if (row === undefined) continue;
      const { prevEvents, depth } = previousOf(room, row);
      if (depth < bounds.minDepth) continue;
      found.push(row);
      next.push(...prevEvents);
    }
    generation = next.filter((id) => !seen.has(id));
  }
  return found;
}
