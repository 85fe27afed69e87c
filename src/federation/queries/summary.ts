/** What a room is, in a few words, for those who are not in it (client-server-api, `RoomSummary`). */
import { historyVisibilityOf } from "../../engine/visibility.js";
import type { Room } from "../../engine/room.js";
import type { StateView } from "../../engine/state-view.js";
import { redact } from "../../event/redact.js";
import type { RoomEvent } from "../../event/pdu.js";
import { isRoomAlias, isRoomId, isRoomVersion } from "../../ids/grammar.js";
import { loneSurrogateAt } from "../../ids/text.js";
import { get, isArray, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import { isAuthorised } from "../context.js";

/** A room in a directory or in a space. */
export interface RoomSummary {
  readonly roomId: string;
  readonly joinedMembers: number;
  /** Whether it can be read without joining. */
  readonly worldReadable: boolean;
  readonly guestCanJoin: boolean;
  readonly joinRule: string;
  readonly name?: string;
  readonly topic?: string;
  readonly avatarUrl?: string;
  readonly canonicalAlias?: string;
  /** `m.space`, for example. */
  readonly roomType?: string;
  readonly roomVersion?: string;
  /** The algorithm by which messages are encrypted. */
  readonly encryption?: string;
  /** Rooms whose members may join, if the join rule is restricted. */
  readonly allowedRoomIds: readonly string[];
}

// ---- of a room here ---------------------------------------------------------------------------------------

/** What state events show by their ids: a name that was redacted is none, although the event still judges. */
export async function shownContents(
  room: Room,
  events: readonly RoomEvent[],
): Promise<ReadonlyMap<string, JsonObject>> {
  const shown = new Map(events.map(({ eventId, content }) => [eventId, content]));
  const { rules } = room.version;
  for (const { event, redactedBy } of await room.load(events.map(({ eventId }) => eventId))) {
    if (redactedBy === undefined) continue;
    const content = get(redact(rules, event.json), "content");
    shown.set(event.eventId, isObject(content) ? content : {});
  }
  return shown;
}

const shownTypes = [
  "m.room.name",
  "m.room.topic",
  "m.room.avatar",
  "m.room.canonical_alias",
  "m.room.guest_access",
] as const;

/** States do not change: the members of one are counted once. */
const counts = new WeakMap<StateView, number>();

function joinedMembers({ current }: Room): number {
  const known = counts.get(current) ?? current.members("join").length;
  counts.set(current, known);
  return known;
}

export async function summaryOf(room: Room): Promise<RoomSummary> {
  const events = shownTypes.map((type) => room.state(type));
  const shown = await shownContents(
    room,
    events.flatMap((event) => event ?? []),
  );
  const [name, topic, avatar, alias, guests] = events.map((event) => shown.get(event?.eventId ?? "") ?? {});
  const { joinRule } = room.control;
  return {
    roomId: room.roomId,
    joinedMembers: joinedMembers(room),
    worldReadable: historyVisibilityOf(room.state("m.room.history_visibility")) === "world_readable",
    guestCanJoin: guests !== undefined && get(guests, "guest_access") === "can_join",
    joinRule,
    ...texts({
      name: name === undefined ? undefined : get(name, "name"),
      topic: topic === undefined ? undefined : plainTopic(topic),
      avatarUrl: avatar === undefined ? undefined : get(avatar, "url"),
      canonicalAlias: alias === undefined ? undefined : get(alias, "alias"),
      roomType: get(room.state("m.room.create")?.content ?? {}, "type"),
      roomVersion: room.version.id,
      encryption: get(room.state("m.room.encryption")?.content ?? {}, "algorithm"),
    }),
    allowedRoomIds: isAuthorised(room.version.rules, joinRule) ? allowedRooms(room) : [],
  };
}

/** The rooms of `allow`; entries of another form let nobody in. */
export function allowedRooms(room: Room): readonly string[] {
  const allow = get(room.state("m.room.join_rules")?.content ?? {}, "allow");
  return (isArray(allow) ? allow : []).flatMap((entry) => {
    const roomId = isObject(entry) && get(entry, "type") === "m.room_membership" ? get(entry, "room_id") : undefined;
    return typeof roomId === "string" ? [roomId] : [];
  });
}

/** `m.topic` has the topic in several forms, of which the plain one counts here; older events have that alone. */
function plainTopic(content: JsonObject): JsonValue | undefined {
  const block = get(content, "m.topic");
  const forms = isObject(block) ? get(block, "m.text") : undefined;
  if (!isArray(forms)) return get(content, "topic");
  const plain = forms.find(
    (form) => isObject(form) && (get(form, "mimetype") ?? "text/plain") === "text/plain" && isText(get(form, "body")),
  );
  return isObject(plain) ? get(plain, "body") : undefined;
}

// ---- as it is written and read ----------------------------------------------------------------------------

/** The keys of texts, and what a value must be to be one. */
const textKeys = {
  name: { key: "name", fits: isText },
  topic: { key: "topic", fits: isText },
  avatarUrl: { key: "avatar_url", fits: isContentUri },
  canonicalAlias: { key: "canonical_alias", fits: isRoomAlias },
  roomType: { key: "room_type", fits: isText },
  roomVersion: { key: "room_version", fits: isRoomVersion },
  encryption: { key: "encryption", fits: isText },
} as const;

type TextName = keyof typeof textKeys;
// The compiler has seen that the keys are the names.
const textNames = Object.keys(textKeys) as readonly TextName[];

/** No event is larger. */
const MAX_TEXT = 65_536;

/** Text that can be shown and stored: what UTF-8 cannot hold is none. */
export function isText(value: unknown, longest: number = MAX_TEXT): value is string {
  return typeof value === "string" && value !== "" && value.length <= longest && loneSurrogateAt(value) === -1;
}

/** -0 is what JSON can say and canonical JSON cannot. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
}

export function isContentUri(value: unknown): value is string {
  return isText(value) && value.startsWith("mxc://");
}

/** Those that are what they should be. What people put into a room is no reason to leave the room out. */
function texts(values: Readonly<Record<TextName, JsonValue | undefined>>): Partial<Record<TextName, string>> {
  const fitting: Partial<Record<TextName, string>> = {};
  for (const name of textNames) {
    const value = values[name];
    if (textKeys[name].fits(value)) fitting[name] = value;
  }
  return fitting;
}

export function writeSummary(summary: RoomSummary): JsonObject {
  const json: Record<string, JsonValue> = {
    room_id: summary.roomId,
    num_joined_members: summary.joinedMembers,
    world_readable: summary.worldReadable,
    guest_can_join: summary.guestCanJoin,
    join_rule: summary.joinRule,
  };
  for (const name of textNames) {
    const value = summary[name];
    if (value !== undefined) json[textKeys[name].key] = value;
  }
  return summary.allowedRoomIds.length === 0 ? json : { ...json, allowed_room_ids: summary.allowedRoomIds };
}

/** How many rooms of a restricted one are taken from another server. */
const MAX_ALLOWED = 100;

/** What another server says of a room; `undefined` where that lacks what every summary has. */
export function readSummary(value: JsonValue | undefined): RoomSummary | undefined {
  if (!isObject(value)) return undefined;
  const roomId = get(value, "room_id");
  const joinedMembers = get(value, "num_joined_members");
  const worldReadable = get(value, "world_readable");
  const guestCanJoin = get(value, "guest_can_join");
  if (!isRoomId(roomId) || typeof worldReadable !== "boolean" || typeof guestCanJoin !== "boolean") return undefined;
  if (!isCount(joinedMembers)) return undefined;
  const joinRule = get(value, "join_rule");
  const allowed = get(value, "allowed_room_ids");
  return {
    roomId,
    joinedMembers,
    worldReadable,
    guestCanJoin,
    joinRule: isText(joinRule) ? joinRule : "public",
    ...texts({
      name: get(value, "name"),
      topic: get(value, "topic"),
      avatarUrl: get(value, "avatar_url"),
      canonicalAlias: get(value, "canonical_alias"),
      roomType: get(value, "room_type"),
      roomVersion: get(value, "room_version"),
      encryption: get(value, "encryption"),
    }),
    allowedRoomIds: (isArray(allowed) ? allowed : []).filter((id) => isRoomId(id)).slice(0, MAX_ALLOWED),
  };
}
