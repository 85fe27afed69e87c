/** Telling other servers about users of this one. What is sent is read first as others will read it. */
import { encodeUnpadded } from "../../crypto/base64.js";
import type { Room } from "../../engine/room.js";
import { ok, refuse, UsageError } from "../../errors.js";
import type { Result } from "../../errors.js";
import { domainOf, isServerName } from "../../ids/grammar.js";
import { setOwn } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import { settled } from "../settled.js";
import { receiptsJson } from "./combine.js";
import type { Device, SigningKeys, ToDevice } from "./edu.js";
import type { DeviceLists } from "./device-lists.js";
import type { EduLimits } from "./limits.js";
import type { Destinations, EduContext, EduJson, EduSender } from "./module.js";
import type { Queues } from "./queues.js";
import { readEdu } from "./read.js";

type Sent = Promise<Result<readonly string[]>>;

export function senderOf(context: EduContext, queues: Queues, deviceLists: DeviceLists, limits: EduLimits): EduSender {
  const { host, rooms } = context;

  /** @throws UsageError for what the other side would not take. */
  function checked(eduType: string, content: JsonObject): EduJson {
    const edu = { edu_type: eduType, content };
    const read = readEdu(edu, host.server, limits);
    const refusal = read.ok ? read.value.passedOver[0] : read.error;
    if (refusal !== undefined) throw new UsageError(`this is no valid ${eduType}: ${refusal.reason}`);
    return edu;
  }

  function others(room: Room): readonly string[] {
    return room.servers.filter((server) => server !== host.server);
  }

  async function roomOf(roomId: string, userId: string, cancel: Cancel | undefined): Promise<Result<Room>> {
    const room = await rooms.open(roomId, cancel);
    if (room?.localUsers.has(userId) === true) return ok(room);
    return refuse("unknown_room", `${userId} is not in ${roomId}: let the user join it first`);
  }

  /** Servers in any room that the user is in. */
  async function neighbours(userId: string, { destinations, cancel }: Destinations): Promise<readonly string[]> {
    if (destinations !== undefined) {
      const odd = destinations.find((server) => !isServerName(server, "historical"));
      if (odd !== undefined) throw new UsageError(`${odd} is no server name`);
      return [...new Set(destinations)].filter((server) => server !== host.server);
    }
    const shared = (await rooms.all(cancel)).filter((room) => room.localUsers.has(userId));
    return [...new Set(shared.flatMap(others))];
  }

  async function keepAll(edus: readonly (readonly [server: string, edu: EduJson])[], cancel: Cancel | undefined): Sent {
    const told: string[] = [];
    for (const [server, edu] of edus) {
      const kept = await queues.keep(server, edu, cancel);
      if (!kept.ok) return kept;
      told.push(server);
    }
    return ok(told);
  }

  async function keepFor(userId: string, edu: EduJson, to: Destinations): Sent {
    const servers = await neighbours(userId, to);
    return keepAll(
      servers.map((server) => [server, edu]),
      to.cancel,
    );
  }

  return Object.freeze({
    typing: ({ roomId, userId, typing }, cancel) =>
      settled(async () => {
        const { content } = checked("m.typing", { room_id: roomId, user_id: userId, typing });
        const room = await roomOf(roomId, userId, cancel);
        if (!room.ok) return room;
        const key = JSON.stringify(["typing", roomId, userId]);
        for (const server of others(room.value)) queues.offer(server, key, { kind: "typing", content });
        return ok(others(room.value));
      }),

    receipt: ({ roomId, userId, eventId, threadId, ts = host.clock.now() }, cancel) =>
      settled(async () => {
        const data = { ts, ...(threadId === undefined ? {} : { thread_id: threadId }) };
        const receipt = { event_ids: [eventId], data };
        checked("m.receipt", receiptsJson([{ roomId, userId, receipt }]));
        const room = await roomOf(roomId, userId, cancel);
        if (!room.ok) return room;
        const key = JSON.stringify(["receipt", roomId, userId, ...(threadId === undefined ? [] : [threadId])]);
        const entry = { kind: "receipt", roomId, userId, receipt } as const;
        for (const server of others(room.value)) queues.offer(server, key, entry);
        return ok(others(room.value));
      }),

    presence: ({ userId, presence, statusMessage, lastActiveAgo, currentlyActive, ...to }) =>
      settled(async () => {
        const update = {
          user_id: userId,
          presence,
          last_active_ago: lastActiveAgo,
          ...(statusMessage === undefined ? {} : { status_msg: statusMessage }),
          ...(currentlyActive === undefined ? {} : { currently_active: currentlyActive }),
        };
        checked("m.presence", { push: [update] });
        const servers = await neighbours(userId, to);
        const key = JSON.stringify(["presence", userId]);
        for (const server of servers) queues.offer(server, key, { kind: "presence", update });
        return ok(servers);
      }),

    toDevice: ({ cancel, messageId, ...message }) =>
      settled(() => {
        const id = messageId ?? encodeUnpadded(host.random.bytes(18), "url-safe");
        const parts = [...byServer(message.messages, host.server)].map(([server, messages]) => {
          const content = { sender: message.sender, type: message.type, message_id: id, messages };
          return [server, checked("m.direct_to_device", content)] as const;
        });
        return keepAll(parts, cancel);
      }),

    deviceListUpdate: ({ userId, deviceId, streamId, prevIds = [], deleted, displayName, keys, ...to }) =>
      settled(() => {
        const content = {
          user_id: userId,
          ...deviceJson({ deviceId, ...(displayName === undefined ? {} : { displayName }) }),
          stream_id: streamId,
          prev_id: prevIds,
          ...(deleted === undefined ? {} : { deleted }),
          ...(keys === undefined ? {} : { keys }),
        };
        return keepFor(userId, checked("m.device_list_update", content), to);
      }),

    signingKeys: ({ userId, masterKey, selfSigningKey, ...to }) =>
      settled(() => {
        const keys = signingKeysJson({
          userId,
          ...(masterKey === undefined ? {} : { masterKey }),
          ...(selfSigningKey === undefined ? {} : { selfSigningKey }),
        });
        return keepFor(userId, checked("m.signing_key_update", { user_id: userId, ...keys }), to);
      }),

    deviceList: (userId, cancel) =>
      settled(async () => {
        const server = domainOf(userId);
        if (server === undefined || server === host.server) {
          throw new UsageError(`${userId} is of no other server: only others are asked for devices`);
        }
        return deviceLists.ask(userId, cancel);
      }),
  } satisfies EduSender);
}

/** Devices as they travel. */
export function deviceJson({ deviceId, displayName, keys }: Device): JsonObject {
  return {
    device_id: deviceId,
    ...(displayName === undefined ? {} : { device_display_name: displayName }),
    ...(keys === undefined ? {} : { keys }),
  };
}

function signingKeysJson({ masterKey, selfSigningKey }: SigningKeys): JsonObject {
  return {
    ...(masterKey === undefined ? {} : { master_key: masterKey }),
    ...(selfSigningKey === undefined ? {} : { self_signing_key: selfSigningKey }),
  };
}

/** Messages by the server of whom they are for, as they travel. */
function byServer(messages: ToDevice["messages"], own: string): ReadonlyMap<string, JsonObject> {
  const servers = new Map<string, Record<string, Record<string, JsonValue>>>();
  for (const { userId, deviceId, content } of messages) {
    const server = domainOf(userId);
    if (server === undefined || server === own) {
      throw new UsageError(`${userId} is of no other server: give users of this one their messages yourself`);
    }
    const users = servers.get(server) ?? {};
    servers.set(server, users);
    // A user id begins with `@`, so it is no key that objects have by themselves.
    const devices = (users[userId] ??= {});
    setOwn(devices, deviceId, content);
  }
  return servers;
}
