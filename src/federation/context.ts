/** What the operations of one server share. */
import type { Refusal, Result } from "../errors.js";
import type { Host } from "../engine/host.js";
import type { Room } from "../engine/room.js";
import type { Rooms } from "../engine/rooms.js";
import { checkStateDependent } from "../auth/check.js";
import { signaturesChecked } from "../auth/verdict.js";
import { readEvent } from "../event/loose.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { Directory } from "../ports/directory.js";
import { isServerAllowed, parseServerAcl } from "./acl.js";
import type { ServerAcl } from "./acl.js";
import type { OperationError, OperationErrorCode, OperationName, OperationResult } from "../ports/operations.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { EduModule } from "./edus/module.js";
import type { RoomsBeingJoined } from "./joining.js";
import type { KeyPublisher } from "./keys/publisher.js";

export interface Federation {
  readonly host: Host;
  readonly rooms: Rooms;
  readonly joining: RoomsBeingJoined;
  /** What this server answers to who asks for keys. */
  readonly publishes?: KeyPublisher | undefined;
  /** What this server says of its users and of the rooms that it lists. */
  readonly directory?: Directory | undefined;
  /** What this server does with EDUs; without it they are ignored. */
  readonly edus?: EduModule | undefined;
}

export function answer<N extends OperationName>(
  value: Extract<OperationResult<N>, { readonly ok: true }>["value"],
): Extract<OperationResult<N>, { readonly ok: true }> {
  return { ok: true, value };
}

export interface Failed {
  readonly ok: false;
  readonly error: OperationError;
}

export function fail(code: OperationErrorCode, reason: string, roomVersion?: string): Failed {
  return { ok: false, error: roomVersion === undefined ? { code, reason } : { code, reason, roomVersion } };
}

/** What a refusal of this server is to the server that asked. */
export function failBy(refusal: Refusal): Failed {
  const codes: Partial<Record<Refusal["code"], OperationErrorCode>> = {
    auth_rejected: "forbidden",
    policy_refused: "policy_refused",
    not_recommended: "forbidden",
    unknown_room: "not_found",
    too_large: "too_large",
    undecided: "not_found",
    refused_by_peer: "forbidden",
    unreachable: "internal",
  };
  return fail(codes[refusal.code] ?? "invalid_param", refusal.reason);
}

/** What a failure of another server is to the caller here. */
export function refusedBy(server: string, error: OperationError): { readonly ok: false; readonly error: Refusal } {
  const gone = error.code === "unreachable" || error.code === "timeout";
  const code = gone ? "unreachable" : error.code === "cancelled" ? "cancelled" : "refused_by_peer";
  return { ok: false, error: { code, reason: `${server} (${error.code}): ${error.reason}`, events: [] } };
}

/** A room that this server takes part in. */
export async function residentRoom({ rooms }: Federation, roomId: string): Promise<Room | undefined> {
  const room = await rooms.open(roomId);
  return room?.isResident === true ? room : undefined;
}

/** A room that this server takes part in, for a server that does too. */
export async function sharedRoom(
  federation: Federation,
  origin: string,
  roomId: unknown,
): Promise<{ readonly ok: true; readonly value: Room } | Failed> {
  if (typeof roomId !== "string") return fail("bad_request", "`roomId` must be a string");
  // One that was left is known as it was then, and others may need just that.
  const room = await federation.rooms.open(roomId);
  if (room === undefined) return fail("not_found", `no user of ${federation.host.server} is in ${roomId}`);
  if (!room.isServerJoined(origin)) return fail("forbidden", `${origin} is not in ${roomId}`);
  return { ok: true, value: room };
}

/** A room's ACL, read once for each event that sets it, and kept for as long as the room is open. */
const acls = new WeakMap<Room, { readonly name: string; readonly acl: ServerAcl }>();

/**
 * Whether the room's ACL bars a server now. An ACL that was redacted has lost its lists and bars everyone, as in
 * Synapse, whose servers would not hear of anybody whom this one went on letting in.
 */
export async function isDenied(room: Room, server: string): Promise<boolean> {
  const event = room.state("m.room.server_acl");
  if (event === undefined) return false;
  const view = await room.event(event.eventId);
  const name = `${event.eventId} ${view?.redactedBy ?? ""}`;
  let known = acls.get(room);
  if (known?.name !== name) {
    const shown = view === undefined ? event.content : get(view.shown, "content");
    acls.set(room, (known = { name, acl: parseServerAcl(isObject(shown) ? shown : {}) }));
  }
  return !isServerAllowed(known.acl, server);
}

/** Whether the room's current state would let an event in, signatures apart. */
export function currentlyRefused(room: Room, event: JsonObject): Refusal | undefined {
  const { rules } = room.version;
  const id = rules.format.eventIds === "in-pdu" ? { event_id: "$template:localhost", ...event } : event;
  const read = readEvent(rules, id);
  if (!read.ok) return read.error;
  const verdict = checkStateDependent(rules, read.value, (type, key) => room.state(type, key), signaturesChecked);
  return verdict.verdict === "rejected" ? verdict.refusal : undefined;
}

/** What is shown of a room to those who are not in it: whole events of the few keys that tell what it is. */
export async function previewOf(
  room: Room,
  userIds: readonly string[],
  cancel?: Cancel,
): Promise<readonly JsonValue[]> {
  const keys = [
    ["m.room.create", ""],
    ["m.room.join_rules", ""],
    ["m.room.canonical_alias", ""],
    ["m.room.avatar", ""],
    ["m.room.name", ""],
    ["m.room.topic", ""],
    ["m.room.encryption", ""],
    ...userIds.map((userId) => ["m.room.member", userId] as const),
  ] as const;
  const ids = keys.flatMap(([type, stateKey]) => room.state(type, stateKey)?.eventId ?? []);
  const rows = new Map((await room.rows(ids, cancel)).map((row) => [row.eventId, row.json]));
  return ids.flatMap((id) => rows.get(id) ?? []);
}

/** A membership event in a request: what has to hold of it before anything else is looked at. */
export function memberEvent(
  value: JsonValue,
  expected: { readonly roomId: string; readonly membership: string; readonly origin: string },
  userIdOf: (event: JsonObject) => JsonValue | undefined,
  domain: (userId: string) => string | undefined,
): Result<JsonObject, OperationError> {
  const wrong = (reason: string): Result<JsonObject, OperationError> => fail("invalid_param", reason);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong("the event is no object");
  const event = value as JsonObject;
  if (get(event, "type") !== "m.room.member") return wrong("the event is no m.room.member");
  const content = get(event, "content");
  const membership =
    typeof content === "object" && content !== null ? get(content as JsonObject, "membership") : undefined;
  if (membership !== expected.membership) return wrong(`the membership must be ${expected.membership}`);
  if (get(event, "room_id") !== expected.roomId) return wrong("the event is of another room");
  const userId = userIdOf(event);
  if (typeof userId !== "string" || domain(userId) !== expected.origin) return wrong("the user is of another server");
  return { ok: true, value: event };
}

export function isAuthorised(rules: RoomVersionRules, joinRule: string): boolean {
  if (joinRule === "restricted") return rules.auth.restricted;
  return joinRule === "knock_restricted" && rules.auth.knockRestricted;
}
