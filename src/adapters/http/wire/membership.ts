/** Invites, joins, knocks and leaves (server-server-api, "Joining Rooms" to "Third-party invites"). */
import { get, isArray, isObject } from "../../../json/value.js";
import type { JsonValue } from "../../../json/value.js";
import type { EventTemplate, HandedEvent, OperationAnswer, OperationRequest } from "../../../ports/operations.js";
import { booleanOf, fieldsOf, optional, readFields, unlooked, writeFields } from "./fields.js";
import type { Names } from "./fields.js";
import type { Parts, Received, WireForm, WireForms } from "./model.js";

const template: Names<EventTemplate> = { roomVersion: "room_version", event: "event" };

/** A version that is left out is 1 or 2, whose events have one form ("room_version" in the answers of `make_join`). */
function readTemplate(content: JsonValue): EventTemplate | undefined {
  const read = fieldsOf(content, template);
  return read && unlooked({ roomVersion: "1", ...read });
}

function writeTemplate(answer: EventTemplate): JsonValue {
  return writeFields(answer, template);
}

function writeHanded({ roomId, eventId, event }: HandedEvent): Parts {
  return { path: { roomId, eventId }, content: event };
}

function readHanded({ path, content }: Received): HandedEvent {
  return unlooked({ roomId: path("roomId"), eventId: path("eventId"), event: content });
}

/** `versions`: those that a request without any stands for. */
function making<N extends "make_join" | "make_knock">(versions: readonly string[]): WireForm<N> {
  return {
    write: (request) => ({
      path: { roomId: request.roomId, userId: request.userId },
      query: request.versions.map((version) => ["ver", version] as const),
    }),
    read: ({ path, queries }) => {
      const given = queries("ver");
      return unlooked({
        roomId: path("roomId"),
        userId: path("userId"),
        versions: given.length > 0 ? given : versions,
      });
    },
    writeAnswer: writeTemplate,
    readAnswer: readTemplate,
  };
}

const invited: Names<OperationAnswer<"invite">> = { event: "event" };
const offered: Names<Omit<OperationRequest<"invite">, "roomId" | "eventId">> = {
  roomVersion: "room_version",
  event: "event",
  inviteRoomState: "invite_room_state",
};
const joined: Names<OperationAnswer<"send_join">> = {
  event: "event",
  state: "state",
  authChain: "auth_chain",
  membersOmitted: "members_omitted",
  serversInRoom: "servers_in_room",
};

const inviteV2: WireForm<"invite"> = {
  write: ({ roomId, eventId, ...offer }) => ({ path: { roomId, eventId }, content: writeFields(offer, offered) }),
  read: ({ path, content }) => {
    const offer = fieldsOf(content, offered);
    return offer && unlooked({ inviteRoomState: [], ...offer, roomId: path("roomId"), eventId: path("eventId") });
  },
  writeAnswer: (answer) => writeFields(answer, invited),
  readAnswer: (content) => readFields(content, invited),
};

/** Says nothing of the version, which is 1 or 2, and wraps its answer in a list with a status. */
const inviteV1: WireForm<"invite"> = {
  write: ({ roomId, eventId, roomVersion, event, inviteRoomState }) => {
    if ((roomVersion !== "1" && roomVersion !== "2") || !isObject(event)) return undefined;
    const beside = get(event, "unsigned");
    const unsigned = { ...(isObject(beside) ? beside : {}), invite_room_state: inviteRoomState };
    return { path: { roomId, eventId }, content: { ...event, unsigned } };
  },
  read: ({ path, content }) => {
    const unsigned = isObject(content) ? get(content, "unsigned") : undefined;
    const shown = isObject(unsigned) ? get(unsigned, "invite_room_state") : undefined;
    return unlooked({
      roomId: path("roomId"),
      eventId: path("eventId"),
      roomVersion: "1",
      event: content,
      inviteRoomState: shown ?? [],
    });
  },
  writeAnswer: (answer) => [200, writeFields(answer, invited)],
  readAnswer: (content) => (isArray(content) ? readFields(content[1], invited) : undefined),
};

const preview: Names<OperationAnswer<"send_knock">> = { knockRoomState: "knock_room_state" };

export const membershipForms: Pick<
  WireForms,
  | "invite"
  | "make_join"
  | "send_join"
  | "make_knock"
  | "send_knock"
  | "make_leave"
  | "send_leave"
  | "exchange_third_party_invite"
> = {
  invite: [inviteV2, inviteV1],
  make_join: [making(["1"])],
  send_join: [
    {
      write: ({ omitMembers, ...handed }) => ({ ...writeHanded(handed), query: optional("omit_members", omitMembers) }),
      read: (received) => ({
        ...readHanded(received),
        ...unlooked<{ omitMembers?: boolean }>({ omitMembers: booleanOf(received.query("omit_members")) }),
      }),
      writeAnswer: (answer) => writeFields(answer, joined),
      // Only a join that somebody authorised has to come back: any other one was right as it was sent.
      readAnswer: (content, asked) => {
        const answer = fieldsOf(content, joined);
        return answer && unlooked({ event: asked.content, ...answer });
      },
    },
  ],
  make_knock: [making([])],
  send_knock: [
    {
      write: writeHanded,
      read: readHanded,
      writeAnswer: (answer) => writeFields(answer, preview),
      readAnswer: (content) => readFields(content, preview),
    },
  ],
  make_leave: [
    {
      write: ({ roomId, userId }) => ({ path: { roomId, userId } }),
      read: ({ path }) => ({ roomId: path("roomId"), userId: path("userId") }),
      writeAnswer: writeTemplate,
      readAnswer: readTemplate,
    },
  ],
  send_leave: [{ write: writeHanded, read: readHanded, writeAnswer: () => ({}), readAnswer: () => ({}) }],
  exchange_third_party_invite: [
    {
      write: ({ roomId, event }) => ({ path: { roomId }, content: event }),
      read: ({ path, content }) => unlooked({ roomId: path("roomId"), event: content }),
      writeAnswer: () => ({}),
      readAnswer: () => ({}),
    },
  ],
};
