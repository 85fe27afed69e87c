/** Reading EDUs: what one of the network says, or why it is passed over (definitions `event-schemas`). Never throws. */
import { isEventId, isRoomId, isUserId } from "../../ids/grammar.js";
import { utf8Length } from "../../ids/text.js";
import { encodeCanonical } from "../../json/canonical.js";
import { checkLax } from "../../json/check.js";
import { get, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import { readDevice, readSigningKeys } from "./device-keys.js";
import type { DeviceMessage, Edu, EduRefusal, Presence, ReadReceipt } from "./edu.js";
import { Fields, isName, wrong } from "./fields.js";
import type { Read } from "./fields.js";
import { defaultEduLimits } from "./limits.js";
import type { EduLimits } from "./limits.js";

/** Code points of a `message_id`. */
export const MAX_MESSAGE_ID = 32;
/** Objects in each other. The deepest that a definition has is a signature of a device's keys. */
const MAX_DEPTH = 100;

type Readers = {
  readonly [T in Edu["eduType"]]: (
    content: JsonObject,
    origin: string,
    entries: number,
  ) => Read<Extract<Edu, { readonly eduType: T }>>;
};

/**
 * Reads an EDU that a server sent. Every user that it speaks for has to be of that server. What cannot be read
 * at all is refused; of several presence updates, receipts or messages, those that hold are read.
 */
export function readEdu(
  json: unknown,
  origin: string,
  { eduBytes, entries }: Pick<EduLimits, "eduBytes" | "entries"> = defaultEduLimits,
): Read<Edu> {
  // No value is shorter than a byte, so that a larger one is not looked at to its end.
  const checked = checkLax(json, { maxDepth: MAX_DEPTH, maxValues: eduBytes });
  if (!checked.ok) return wrong(checked.error.code === "too_large" ? "too_large" : "bad_format", checked.error.reason);
  const { value } = checked;
  if (!isObject(value)) return wrong("bad_format", "an EDU is an object");
  const eduType = get(value, "edu_type");
  const content = get(value, "content");
  if (typeof eduType !== "string") return wrong("bad_format", "`edu_type` must be a string");
  if (!isObject(content)) return wrong("bad_format", "`content` must be an object");
  if (!isKnown(eduType)) return wrong("unknown_type", "there is no EDU of that type");
  if (utf8Length(encodeCanonical(content)) > eduBytes)
    return wrong("too_large", `an EDU has at most ${eduBytes} bytes`);
  return readers[eduType](content, origin, entries);
}

function isKnown(eduType: string): eduType is Edu["eduType"] {
  return Object.hasOwn(readers, eduType);
}

const nothing: readonly EduRefusal[] = Object.freeze([]);

const readers: Readers = {
  "m.typing": (content, origin) => {
    const fields = new Fields(content, "`content`", origin);
    const typing = Object.freeze({
      roomId: fields.room("room_id"),
      userId: fields.user("user_id"),
      typing: fields.boolean("typing"),
    });
    return fields.settle({ eduType: "m.typing", typing, passedOver: nothing });
  },

  "m.presence": (content, origin, entries) => {
    const fields = new Fields(content, "`content`", origin);
    const read = fields.list("push", entries).map((entry) => readPresence(entry, origin));
    return fields.settle({ eduType: "m.presence", presence: held(read), passedOver: refused(read) });
  },

  "m.receipt": (content, origin, entries) => {
    const read: Read<ReadReceipt>[] = [];
    for (const [roomId, receipts] of Object.entries(content)) {
      if (!isRoomId(roomId)) read.push(wrong("bad_format", "receipts are listed by room id"));
      else read.push(...readReceipts(roomId, receipts, origin));
      if (read.length > entries) return wrong("too_large", `an EDU has at most ${entries} receipts`);
    }
    return { ok: true, value: { eduType: "m.receipt", receipts: held(read), passedOver: refused(read) } };
  },

  "m.device_list_update": (content, origin, entries) => {
    const fields = new Fields(content, "`content`", origin);
    const userId = fields.user("user_id");
    const streamId = fields.integer("stream_id");
    const prevIds = fields.optionalList("prev_id", entries).filter((id) => typeof id === "number");
    if (prevIds.length !== fields.optionalList("prev_id", entries).length || !prevIds.every(Number.isSafeInteger)) {
      fields.refuse("bad_format", "`prev_id` must be a list of integers");
    }
    const deleted = fields.optionalBoolean("deleted");
    if (fields.refusal !== undefined) return { ok: false, error: fields.refusal };
    // Whatever keys a device had, they are gone with it.
    const { keys: _keys, ...rest } = content;
    const device = readDevice(deleted ? rest : content, userId, origin);
    if (!device.ok) return device;
    const update = Object.freeze({ ...device.value, userId, streamId, prevIds: Object.freeze(prevIds), deleted });
    return { ok: true, value: { eduType: "m.device_list_update", update, passedOver: nothing } };
  },

  "m.signing_key_update": (content, origin) => {
    const fields = new Fields(content, "`content`", origin);
    const signingKeys = Object.freeze(readSigningKeys(fields, fields.user("user_id")));
    return fields.settle({ eduType: "m.signing_key_update", signingKeys, passedOver: nothing });
  },

  "m.direct_to_device": (content, origin, entries) => {
    const fields = new Fields(content, "`content`", origin);
    const sender = fields.user("sender");
    const type = fields.name("type");
    const messageId = fields.name("message_id", MAX_MESSAGE_ID);
    const read: Read<DeviceMessage>[] = [];
    for (const [userId, devices] of Object.entries(fields.object("messages"))) {
      read.push(...readMessages(userId, devices));
      if (read.length > entries) return wrong("too_large", `an EDU has at most ${entries} messages`);
    }
    const message = Object.freeze({ sender, type, messageId, messages: held(read) });
    return fields.settle({ eduType: "m.direct_to_device", message, passedOver: refused(read) });
  },
};

function held<T>(read: readonly Read<T>[]): readonly T[] {
  return Object.freeze(read.flatMap((one) => (one.ok ? [one.value] : [])));
}

function refused(read: readonly Read<unknown>[]): readonly EduRefusal[] {
  return Object.freeze(read.flatMap((one) => (one.ok ? [] : [one.error])));
}

function readPresence(entry: JsonValue, origin: string): Read<Presence> {
  const fields = new Fields(entry, "a presence update", origin);
  const statusMessage = fields.optionalText("status_msg");
  return fields.settle({
    userId: fields.user("user_id"),
    presence: fields.oneOf("presence", "offline", "unavailable", "online"),
    ...(statusMessage === undefined ? {} : { statusMessage }),
    lastActiveAgo: fields.integer("last_active_ago", 0),
    currentlyActive: fields.optionalBoolean("currently_active"),
  });
}

/** `m.read` is the only type that there is; `m.read.private` may not be sent at all. */
function readReceipts(roomId: string, receipts: JsonValue, origin: string): readonly Read<ReadReceipt>[] {
  if (!isObject(receipts)) return [wrong("bad_format", "the receipts of a room must be an object")];
  return Object.entries(receipts).flatMap(([type, users]): readonly Read<ReadReceipt>[] => {
    if (type !== "m.read") return [wrong("unknown_type", "there is no receipt of that type")];
    if (!isObject(users)) return [wrong("bad_format", "`m.read` must be an object")];
    return Object.entries(users).map(([userId, receipt]) => readReceipt(roomId, userId, receipt, origin));
  });
}

function readReceipt(roomId: string, userId: string, receipt: JsonValue, origin: string): Read<ReadReceipt> {
  if (!isUserId(userId)) return wrong("bad_format", "receipts are listed by user id");
  const fields = new Fields(receipt, "a receipt", origin);
  fields.owned(userId);
  const [eventId, ...more] = fields.list("event_ids", 1);
  if (!isEventId(eventId) || more.length > 0) fields.refuse("bad_format", "a receipt has one event id");
  const data = new Fields(fields.object("data"), "`data`", origin);
  const ts = data.integer("ts", 0);
  const threadId = data.optionalName("thread_id");
  if (data.refusal !== undefined) fields.refuse(data.refusal.code, data.refusal.reason);
  return fields.settle({
    roomId,
    userId,
    eventId: isEventId(eventId) ? eventId : "",
    ts,
    ...(threadId === undefined ? {} : { threadId }),
  });
}

function readMessages(userId: string, devices: JsonValue): readonly Read<DeviceMessage>[] {
  if (!isUserId(userId)) return [wrong("bad_format", "messages are listed by user id")];
  if (!isObject(devices)) return [wrong("bad_format", "a user's messages must be an object")];
  return Object.entries(devices).map(([deviceId, content]): Read<DeviceMessage> => {
    if (!isName(deviceId)) return wrong("bad_format", "messages are listed by device id");
    if (!isObject(content)) return wrong("bad_format", "a message must be an object");
    return { ok: true, value: Object.freeze({ userId, deviceId, content }) };
  });
}
