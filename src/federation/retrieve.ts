/** Handing out what is stored: single events, states, auth chains, and stretches of history. */
import type { Room } from "../engine/room.js";
import { stringsOf } from "../engine/fetch.js";
import { readEvent } from "../event/loose.js";
import { redact } from "../event/redact.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { OperationRequest, OperationResult } from "../ports/operations.js";
import type { StoredEvent } from "../ports/storage.js";
import { answer, fail, sharedRoom } from "./context.js";
import type { Federation } from "./context.js";

/**
 * The form that leaves this server. A redacted message goes out redacted. State events go out as they judge,
 * redacted or not: a server that joins later has to come to the same state as those that were there.
 */
export function servedForm(room: Room, row: StoredEvent): JsonObject {
  const { rules } = room.version;
  if (row.redactedBy === undefined || Object.hasOwn(row.json, "state_key")) return row.json;
  return row.json["type"] === "m.room.redaction" ? row.json : redact(rules, row.json);
}

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
  const shared = await sharedRoom(federation, origin, roomId);
  if (!shared.ok) return shared;
  const [row] = await shared.value.rows([eventId]);
  if (row === undefined) return fail("not_found", `${eventId} is not here`);
  return answer<"event">({ event: servedForm(shared.value, row) });
}

async function stateBefore(
  room: Room,
  eventId: string,
): Promise<{ readonly stateIds: readonly string[]; readonly authChainIds: readonly string[] } | undefined> {
  const at = await room.stateAt(eventId);
  if (at === undefined) return undefined;
  const stateIds = at.before.ids();
  return { stateIds, authChainIds: await room.authChain(stateIds) };
}

/** FL7: the state before the event. */
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
  const shared = await sharedRoom(federation, origin, roomId);
  if (!shared.ok) return shared;
  const room = shared.value;
  const state = await stateBefore(room, eventId);
  if (state === undefined) return fail("not_found", `no state is known at ${eventId}`);
  return answer<"state">({
    state: await formsOf(room, state.stateIds),
    authChain: await formsOf(room, state.authChainIds),
  });
}

export async function serveEventAuth(
  federation: Federation,
  origin: string,
  { roomId, eventId }: OperationRequest<"event_auth">,
): Promise<OperationResult<"event_auth">> {
  const shared = await sharedRoom(federation, origin, roomId);
  if (!shared.ok) return shared;
  const room = shared.value;
  if ((await room.rows([eventId])).length === 0) return fail("not_found", `${eventId} is not here`);
  return answer<"event_auth">({ authChain: await formsOf(room, await room.authChain([eventId])) });
}

async function formsOf(room: Room, ids: readonly string[]): Promise<readonly JsonValue[]> {
  return (await room.rows(ids)).map((row) => servedForm(room, row));
}

/** FL7: the events themselves count, and come first. */
export async function serveBackfill(
  federation: Federation,
  origin: string,
  { roomId, from, limit }: OperationRequest<"backfill">,
): Promise<OperationResult<"backfill">> {
  const shared = await sharedRoom(federation, origin, roomId);
  if (!shared.ok) return shared;
  const bound = Math.min(countOf(limit), federation.host.limits.answerEvents);
  const rows = await walk(shared.value, stringsOf(from), { limit: bound, minDepth: 0, stop: new Set() });
  return answer<"backfill">({ events: rows.map((row) => servedForm(shared.value, row)) });
}

/** FL7: breadth first from what `latest` cites; `earliest` and what lies below `minDepth` is left out. Oldest first. */
export async function serveMissingEvents(
  federation: Federation,
  origin: string,
  { roomId, earliest, latest, limit, minDepth }: OperationRequest<"get_missing_events">,
): Promise<OperationResult<"get_missing_events">> {
  const shared = await sharedRoom(federation, origin, roomId);
  if (!shared.ok) return shared;
  const room = shared.value;
  const start = await room.rows(stringsOf(latest).slice(0, federation.host.limits.answerEvents));
  const cited = start.flatMap((row) => previousOf(room, row).prevEvents);
  const rows = await walk(room, cited, {
    limit: Math.min(countOf(limit), federation.host.limits.answerEvents),
    minDepth: countOf(minDepth),
    stop: new Set([...stringsOf(earliest), ...stringsOf(latest)]),
  });
  return answer<"get_missing_events">({ events: rows.reverse().map((row) => servedForm(room, row)) });
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
