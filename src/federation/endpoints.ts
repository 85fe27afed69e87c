/**
 * Each operation as a table: which API of draft-ralston-mimi-matrix-framework (section 6) it belongs to, which endpoint
 * of the server-server API it is, what a server has to prove to ask, and what may go wrong. Data only; a transport over
 * HTTP reads it, and docs/federation.md is written from it.
 */
import type { OperationErrorCode, OperationName } from "../ports/operations.js";
import type { Server } from "./server.js";

/** One way in which an operation is asked over HTTP. */
export interface Endpoint {
  readonly method: "GET" | "POST" | "PUT";
  /** Parameters in braces have the spec's names. */
  readonly path: string;
}

/** The draft names its APIs by these references, all to pages of the server-server API. */
export type DraftApi =
  | "MxInviteApi"
  | "MxJoinApi"
  | "MxKnockApi"
  | "MxLeaveApi"
  | "MxEventsApi"
  | "MxBackfillApi"
  | "MxTransactionApi"
  /** Named, and out of the draft's scope. */
  | "MxDevicesApi";

export interface OperationEntry {
  /** Absent for what the draft does not speak of. */
  readonly draft?: DraftApi;
  /** The one to ask by first, and others that servers still ask by. */
  readonly endpoints: readonly [Endpoint, ...Endpoint[]];
  /** Whether a request has to be signed by the server that it comes from. */
  readonly auth: "x-matrix" | "none";
  /** What a room's ACL bars: the request, each event and EDU in it by itself, or nothing. */
  readonly acl: "request" | "each" | "none";
  /** Methods of {@link Server} that ask for it. None: it is asked when something that arrives needs it. */
  readonly askedBy: readonly (keyof Server)[];
  /** What it may answer beside what every operation may: see {@link errorsOf}. */
  readonly errors: readonly OperationErrorCode[];
}

const V1 = "/_matrix/federation/v1";
const V2 = "/_matrix/federation/v2";

function get(path: string): Endpoint {
  return Object.freeze({ method: "GET", path });
}

function post(path: string): Endpoint {
  return Object.freeze({ method: "POST", path });
}

function put(path: string): Endpoint {
  return Object.freeze({ method: "PUT", path });
}

/** What judging a membership event may come to. */
const judged = ["forbidden", "policy_refused", "not_found", "invalid_param", "too_large"] as const;
const restricted = ["unable_to_authorise_join", "unable_to_grant_join"] as const;

/** Each operation and what is to be known of it. */
export const operationTable: Readonly<Record<OperationName, OperationEntry>> = Object.freeze({
  invite: {
    draft: "MxInviteApi",
    endpoints: [put(`${V2}/invite/{roomId}/{eventId}`), put(`${V1}/invite/{roomId}/{eventId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: ["invite", "inviteIdentifier"],
    errors: ["invalid_param", "incompatible_room_version", "policy_refused", "invite_blocked"],
  },
  make_join: {
    draft: "MxJoinApi",
    endpoints: [get(`${V1}/make_join/{roomId}/{userId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: ["join"],
    errors: [...judged, "missing_param", "incompatible_room_version", ...restricted],
  },
  send_join: {
    draft: "MxJoinApi",
    endpoints: [put(`${V2}/send_join/{roomId}/{eventId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: ["join"],
    errors: [...judged, ...restricted],
  },
  make_knock: {
    draft: "MxKnockApi",
    endpoints: [get(`${V1}/make_knock/{roomId}/{userId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: ["knock"],
    errors: [...judged, "missing_param", "incompatible_room_version"],
  },
  send_knock: {
    draft: "MxKnockApi",
    endpoints: [put(`${V1}/send_knock/{roomId}/{eventId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: ["knock"],
    errors: judged,
  },
  make_leave: {
    draft: "MxLeaveApi",
    endpoints: [get(`${V1}/make_leave/{roomId}/{userId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: ["leave"],
    errors: judged,
  },
  send_leave: {
    draft: "MxLeaveApi",
    endpoints: [put(`${V2}/send_leave/{roomId}/{eventId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: ["leave"],
    errors: judged,
  },
  exchange_third_party_invite: {
    endpoints: [put(`${V1}/exchange_third_party_invite/{roomId}`)],
    auth: "x-matrix",
    acl: "none",
    askedBy: ["identifierBound"],
    errors: judged,
  },
  event: {
    draft: "MxEventsApi",
    endpoints: [get(`${V1}/event/{eventId}`)],
    auth: "x-matrix",
    acl: "none",
    askedBy: ["timestampToEvent"],
    errors: ["not_found", "forbidden"],
  },
  state: {
    draft: "MxEventsApi",
    endpoints: [get(`${V1}/state/{roomId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: [],
    errors: ["not_found", "forbidden"],
  },
  state_ids: {
    draft: "MxEventsApi",
    endpoints: [get(`${V1}/state_ids/{roomId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: [],
    errors: ["not_found", "forbidden"],
  },
  event_auth: {
    draft: "MxEventsApi",
    endpoints: [get(`${V1}/event_auth/{roomId}/{eventId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: [],
    errors: ["not_found", "forbidden"],
  },
  backfill: {
    draft: "MxBackfillApi",
    endpoints: [get(`${V1}/backfill/{roomId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: ["backfill"],
    errors: ["not_found", "forbidden"],
  },
  get_missing_events: {
    draft: "MxBackfillApi",
    endpoints: [post(`${V1}/get_missing_events/{roomId}`)],
    auth: "x-matrix",
    acl: "request",
    askedBy: [],
    errors: ["not_found", "forbidden"],
  },
  timestamp_to_event: {
    draft: "MxEventsApi",
    endpoints: [get(`${V1}/timestamp_to_event/{roomId}`)],
    auth: "x-matrix",
    acl: "none",
    askedBy: ["timestampToEvent"],
    errors: ["not_found", "forbidden"],
  },
  send: {
    draft: "MxTransactionApi",
    endpoints: [put(`${V1}/send/{txnId}`)],
    auth: "x-matrix",
    acl: "each",
    askedBy: ["send", "setState", "redact", "edus"],
    errors: ["too_large"],
  },
  policy_sign: {
    endpoints: [post("/_matrix/policy/v1/sign")],
    auth: "x-matrix",
    acl: "request",
    askedBy: [],
    errors: ["unrecognized", "not_found", "invalid_param", "forbidden", "policy_refused"],
  },
  user_devices: {
    draft: "MxDevicesApi",
    endpoints: [get(`${V1}/user/devices/{userId}`)],
    auth: "x-matrix",
    acl: "none",
    askedBy: ["edus"],
    errors: ["not_found", "invalid_param"],
  },
  server_keys: {
    endpoints: [get("/_matrix/key/v2/server")],
    auth: "none",
    acl: "none",
    askedBy: [],
    errors: ["not_found"],
  },
  query_keys: {
    endpoints: [post("/_matrix/key/v2/query"), get("/_matrix/key/v2/query/{serverName}")],
    auth: "none",
    acl: "none",
    askedBy: [],
    errors: ["not_found", "too_large"],
  },
  query_directory: {
    endpoints: [get(`${V1}/query/directory`)],
    auth: "x-matrix",
    acl: "none",
    askedBy: ["resolveAlias"],
    errors: ["not_found", "invalid_param"],
  },
  query_profile: {
    endpoints: [get(`${V1}/query/profile`)],
    auth: "x-matrix",
    acl: "none",
    askedBy: ["queryProfile"],
    errors: ["not_found", "invalid_param", "forbidden"],
  },
  public_rooms: {
    endpoints: [post(`${V1}/publicRooms`), get(`${V1}/publicRooms`)],
    auth: "x-matrix",
    acl: "none",
    askedBy: ["publicRoomsOf"],
    errors: ["unrecognized", "invalid_param"],
  },
  hierarchy: {
    endpoints: [get(`${V1}/hierarchy/{roomId}`)],
    auth: "x-matrix",
    acl: "none",
    askedBy: ["hierarchyOf"],
    errors: ["not_found", "invalid_param"],
  },
  openid_userinfo: {
    endpoints: [get(`${V1}/openid/userinfo`)],
    auth: "none",
    acl: "none",
    askedBy: ["openIdUser"],
    errors: ["unrecognized", "unknown_token"],
  },
  version: {
    endpoints: [get(`${V1}/version`)],
    auth: "none",
    acl: "none",
    askedBy: ["versionOf"],
    errors: ["unrecognized"],
  },
});

/** What every operation may answer. */
const always = ["bad_request", "internal"] as const;

/**
 * Everything that a server of this library answers to an operation. A transport adds what it decides itself: over HTTP
 * `not_json`, `unauthorized`, `unrecognized` for a path, and a `limit_exceeded` of its own.
 */
export function errorsOf(name: OperationName): readonly OperationErrorCode[] {
  const { auth, acl, errors } = operationTable[name];
  const found = new Set<OperationErrorCode>([...always, ...errors]);
  // The host may not deal with the server at all, or not now.
  if (auth === "x-matrix") found.add("policy_refused").add("limit_exceeded");
  if (acl === "request") found.add("forbidden");
  return [...found];
}
