/** A vector as a request with its events in place: what any runner does first. */
import type { JsonObject } from "../../src/json/value.js";

type Lookup = (room: string, id: string) => JsonObject;

/** The events of a room, in the order of events.jsonl. */
type RoomEvents = (room: string) => readonly string[];

/** What a vector carries beside its request. */
const NO_PART = new Set(["expect", "source", "room"]);

/**
 * Ids become events, which carry `event_id` in every version; a resolution gets all events of its room.
 */
export function expand(vector: JsonObject, lookup: Lookup, roomEvents: RoomEvents): JsonObject {
  const request: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(vector)) if (!NO_PART.has(key)) request[key] = value;
  const room = vector["room"];
  if (typeof room !== "string") return request as JsonObject;
  const event = (id: unknown): unknown => (typeof id === "string" ? { ...lookup(room, id), event_id: id } : id);
  for (const key of ["event", "create"]) if (key in request) request[key] = event(request[key]);
  for (const key of ["auth_events", "state"])
    if (Array.isArray(request[key])) request[key] = (request[key] as unknown[]).map(event);
  if (vector["op"] === "receive") request["events"] = (request["events"] as unknown[]).map(event);
  if (vector["op"] === "resolve") request["events"] = roomEvents(room).map(event);
  return request as JsonObject;
}
