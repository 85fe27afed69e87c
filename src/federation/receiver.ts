/** Answering the operations of other servers: no request is believed, and nothing that goes wrong is thrown. */
import type { Cancel } from "../ports/cancel.js";
import type { OperationName, OperationRequest, OperationResult } from "../ports/operations.js";
import type { Receiver } from "../ports/transport.js";
import { aclProtectedOperations } from "./acl.js";
import { fail, isDenied, residentRoom } from "./context.js";
import type { Federation } from "./context.js";
import { policyError } from "./errors.js";
import {
  serveMakeJoin,
  serveMakeKnock,
  serveMakeLeave,
  serveSendJoin,
  serveSendKnock,
  serveSendLeave,
} from "./handshake.js";
import { serveUserDevices } from "./edus/serve.js";
import { serveInvite } from "./invite.js";
import { serveQueryKeys, serveServerKeys } from "./keys/serve.js";
import { servePolicySign } from "./policy-sign.js";
import {
  serveBackfill,
  serveEvent,
  serveEventAuth,
  serveMissingEvents,
  serveState,
  serveStateIds,
} from "./retrieve.js";
import { serveOpenIdUserInfo, serveQueryDirectory, serveQueryProfile, serveVersion } from "./queries/directory.js";
import { serveHierarchy } from "./queries/hierarchy.js";
import { servePublicRooms } from "./queries/public-rooms.js";
import { serveExchange } from "./third-party.js";
import { serveTimestampToEvent } from "./timestamp.js";
import type { Transactions } from "./transactions.js";

type Handlers = {
  readonly [N in OperationName]: (
    federation: Federation,
    origin: string,
    request: OperationRequest<N>,
    cancel?: Cancel,
  ) => Promise<OperationResult<N>>;
};

/** Each operation and what answers it. */
function handlersOf(transactions: Transactions): Handlers {
  return {
    invite: serveInvite,
    make_join: serveMakeJoin,
    send_join: serveSendJoin,
    make_knock: serveMakeKnock,
    send_knock: serveSendKnock,
    make_leave: serveMakeLeave,
    send_leave: serveSendLeave,
    exchange_third_party_invite: serveExchange,
    event: serveEvent,
    state: serveState,
    state_ids: serveStateIds,
    event_auth: serveEventAuth,
    backfill: serveBackfill,
    get_missing_events: serveMissingEvents,
    timestamp_to_event: serveTimestampToEvent,
    send: (_, origin, request) => transactions.receive(origin, request),
    policy_sign: servePolicySign,
    user_devices: serveUserDevices,
    server_keys: serveServerKeys,
    query_keys: serveQueryKeys,
    query_directory: serveQueryDirectory,
    query_profile: serveQueryProfile,
    public_rooms: servePublicRooms,
    hierarchy: serveHierarchy,
    openid_userinfo: serveOpenIdUserInfo,
    version: serveVersion,
  };
}

/** What every request of an operation must hold as text; everything else is looked at where it is used. */
const texts: Readonly<Record<OperationName, readonly string[]>> = {
  invite: ["roomId", "roomVersion"],
  make_join: ["roomId", "userId"],
  send_join: ["roomId"],
  make_knock: ["roomId", "userId"],
  send_knock: ["roomId"],
  make_leave: ["roomId", "userId"],
  send_leave: ["roomId"],
  exchange_third_party_invite: ["roomId"],
  event: ["eventId"],
  state: ["roomId", "eventId"],
  state_ids: ["roomId", "eventId"],
  event_auth: ["roomId", "eventId"],
  backfill: ["roomId"],
  get_missing_events: ["roomId"],
  timestamp_to_event: ["roomId", "dir"],
  send: ["transactionId"],
  policy_sign: [],
  user_devices: ["userId"],
  server_keys: [],
  query_keys: [],
  query_directory: ["roomAlias"],
  query_profile: ["userId"],
  public_rooms: [],
  hierarchy: ["roomId"],
  openid_userinfo: ["accessToken"],
  version: [],
};

const guarded: ReadonlySet<OperationName> = new Set(aclProtectedOperations);

/**
 * The ACL of the room that a request names (FL9). Only that of a room that this server is in: of any other it has no
 * state, or one that may be long out of date.
 */
async function deniedRoom(federation: Federation, origin: string, request: unknown): Promise<string | undefined> {
  const roomId = typeof request === "object" && request !== null && "roomId" in request ? request.roomId : undefined;
  const room = typeof roomId === "string" ? await residentRoom(federation, roomId) : undefined;
  return room !== undefined && (await isDenied(room, origin)) ? room.roomId : undefined;
}

/**
 * Operations for which nobody has to prove who asks: keys, which come before any proof (server-server-api, "Retrieving
 * server keys"), and what anybody may know.
 */
const anonymous: ReadonlySet<OperationName> = new Set<OperationName>([
  "server_keys",
  "query_keys",
  "openid_userinfo",
  "version",
]);

function lackingText(name: OperationName, request: object): string | undefined {
  const keys = texts[name];
  const values = new Map<string, unknown>(Object.entries(request));
  return keys.find((key) => typeof values.get(key) !== "string");
}

export function receiverOf(
  federation: Federation,
  transactions: Transactions,
  onContact: (origin: string) => void,
): Receiver {
  const handlers = handlersOf(transactions);
  const { host } = federation;
  return async <N extends OperationName>(
    origin: string,
    name: N,
    request: OperationRequest<N>,
    cancel?: Cancel,
  ): Promise<OperationResult<N>> => {
    if (!Object.hasOwn(handlers, name)) return fail("unrecognized", `there is no operation ${name}`);
    // The types promise it, and nobody has looked.
    const given: unknown = request;
    if (typeof given !== "object" || given === null) return fail("bad_request", "the request must be an object");
    const lacking = lackingText(name, given);
    if (lacking !== undefined) return fail("bad_request", `\`${lacking}\` must be a string`);
    try {
      if (anonymous.has(name)) return await handlers[name](federation, origin, request, cancel);
      const refused = await host.policy.checkServer?.(origin, cancel);
      if (refused !== undefined) return { ok: false, error: policyError(refused) };
      onContact(origin);
      const denied = guarded.has(name) ? await deniedRoom(federation, origin, request) : undefined;
      if (denied !== undefined) return fail("forbidden", `the ACL of ${denied} denies ${origin}`);
      return await handlers[name](federation, origin, request, cancel);
    } catch (error) {
      host.observer.onFault?.({ where: `operation ${name} of ${origin}`, error });
      return fail("internal", "the operation failed here");
    }
  };
}
