/** Events, states and history (server-server-api, "Backfilling and retrieving missing events", "Retrieving events"). */
import { get, isArray, isObject } from "../../../json/value.js";
import type { JsonValue } from "../../../json/value.js";
import type { OperationAnswer, OperationRequest } from "../../../ports/operations.js";
import { fieldsOf, numberOf, optional, readFields, unlooked, writeFields } from "./fields.js";
import type { Names } from "./fields.js";
import type { Parts, Received, WireContext, WireForms } from "./model.js";

type AtEvent = OperationRequest<"state">;

function writeAt({ roomId, eventId }: AtEvent): Parts {
  return { path: { roomId }, query: [["event_id", eventId]] };
}

function readAt({ path, query }: Received): AtEvent {
  return unlooked({ roomId: path("roomId"), eventId: query("event_id") });
}

/** Events travel as those of a transaction that was never sent. */
function transactionOf(pdus: readonly JsonValue[], { origin, now }: WireContext): JsonValue {
  return { origin, origin_server_ts: now, pdus };
}

const states: Names<OperationAnswer<"state">> = { state: "pdus", authChain: "auth_chain" };
const stateIds: Names<OperationAnswer<"state_ids">> = { stateIds: "pdu_ids", authChainIds: "auth_chain_ids" };
const authChain: Names<OperationAnswer<"event_auth">> = { authChain: "auth_chain" };
const events: Names<OperationAnswer<"get_missing_events">> = { events: "events" };
const placed: Names<OperationAnswer<"timestamp_to_event">> = {
  eventId: "event_id",
  originServerTs: "origin_server_ts",
};
const gap: Names<Omit<OperationRequest<"get_missing_events">, "roomId">> = {
  earliest: "earliest_events",
  latest: "latest_events",
  limit: "limit",
  minDepth: "min_depth",
};

export const eventForms: Pick<
  WireForms,
  "event" | "state" | "state_ids" | "event_auth" | "backfill" | "get_missing_events" | "timestamp_to_event"
> = {
  event: [
    {
      write: ({ eventId }) => ({ path: { eventId } }),
      read: ({ path }) => ({ eventId: path("eventId") }),
      writeAnswer: ({ event }, context) => transactionOf([event], context),
      readAnswer: (content) => {
        const pdus = isObject(content) ? get(content, "pdus") : undefined;
        const [event] = isArray(pdus) ? pdus : [];
        return event === undefined ? undefined : { event };
      },
    },
  ],
  state: [
    {
      write: writeAt,
      read: readAt,
      writeAnswer: (answer) => writeFields(answer, states),
      readAnswer: (content) => readFields(content, states),
    },
  ],
  state_ids: [
    {
      write: writeAt,
      read: readAt,
      writeAnswer: (answer) => writeFields(answer, stateIds),
      readAnswer: (content) => readFields(content, stateIds),
    },
  ],
  event_auth: [
    {
      write: ({ roomId, eventId }) => ({ path: { roomId, eventId } }),
      read: ({ path }) => ({ roomId: path("roomId"), eventId: path("eventId") }),
      writeAnswer: (answer) => writeFields(answer, authChain),
      readAnswer: (content) => readFields(content, authChain),
    },
  ],
  backfill: [
    {
      write: ({ roomId, from, limit }) => ({
        path: { roomId },
        query: [...from.map((id) => ["v", id] as const), ...optional("limit", limit)],
      }),
      read: ({ path, query, queries }) =>
        unlooked({ roomId: path("roomId"), from: queries("v"), limit: numberOf(query("limit")) }),
      writeAnswer: (answer, context) => transactionOf(answer.events, context),
      readAnswer: (content) => readFields<OperationAnswer<"backfill">>(content, { events: "pdus" }),
    },
  ],
  get_missing_events: [
    {
      write: ({ roomId, ...bounds }) => ({ path: { roomId }, content: writeFields(bounds, gap) }),
      read: ({ path, content }) => {
        const bounds = fieldsOf(content, gap);
        return bounds && unlooked({ limit: 10, minDepth: 0, ...bounds, roomId: path("roomId") });
      },
      writeAnswer: (answer) => writeFields(answer, events),
      readAnswer: (content) => readFields(content, events),
    },
  ],
  timestamp_to_event: [
    {
      write: ({ roomId, ts, dir }) => ({ path: { roomId }, query: [...optional("ts", ts), ["dir", dir]] }),
      read: ({ path, query }) => unlooked({ roomId: path("roomId"), ts: numberOf(query("ts")), dir: query("dir") }),
      writeAnswer: (answer) => writeFields(answer, placed),
      readAnswer: (content) => readFields(content, placed),
    },
  ],
};
