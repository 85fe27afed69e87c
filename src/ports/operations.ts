/**
 * The operations between servers, without HTTP and without an encoding (draft-ralston-mimi-matrix-framework,
 * section 6). Whatever an answer or a request holds comes from the network: events in it are unchecked values.
 */
import type { JsonValue } from "../json/value.js";

/** Why an operation was not done. Codes are stable. */
export type OperationErrorCode =
  /** Nothing answered. Whether the operation was done is unknown. */
  | "unreachable"
  | "timeout"
  | "cancelled"
  | "bad_request"
  /** Of a transport with bodies: the body is no JSON. */
  | "not_json"
  | "invalid_param"
  | "missing_param"
  /** Of a transport that authenticates requests: this one is not by who it says. */
  | "unauthorized"
  /** The OpenID token is unknown, or has expired. */
  | "unknown_token"
  | "forbidden"
  /** The invitee takes no such invite. */
  | "invite_blocked"
  | "not_found"
  /** The server has no such operation. */
  | "unrecognized"
  | "too_large"
  /** `retryAfterMs` says when to ask again. */
  | "limit_exceeded"
  /** The room's version is not among those that the caller knows; `roomVersion` names it. */
  | "incompatible_room_version"
  /** Restricted joins: this server cannot tell whether the user may join. Ask another. */
  | "unable_to_authorise_join"
  /** Restricted joins: the user may join, and no user of this server could say so. Ask another. */
  | "unable_to_grant_join"
  | "policy_refused"
  | "internal";

export interface OperationError {
  readonly code: OperationErrorCode;
  readonly reason: string;
  readonly roomVersion?: string;
  readonly retryAfterMs?: number;
}

/** An event that is still to be signed, and the version of its room. */
export interface EventTemplate {
  readonly roomVersion: string;
  readonly event: JsonValue;
}

/** An event that is handed over by itself. */
export interface HandedEvent {
  readonly roomId: string;
  /** As whoever hands it over worked it out. It tells transports what is carried; nobody else has to look at it. */
  readonly eventId: string;
  readonly event: JsonValue;
}

/** Each operation by its name, with what is asked and what is answered. */
export interface Operations {
  /**
   * Hands an invite to the invitee's server, which adds its signature; nothing else of the event in the answer counts.
   * `roomVersion` says how the event is to be read. (Of the two versions of the endpoint, the first has none: it is
   * this operation with "1", or "2" if the room is of that version.)
   */
  readonly invite: {
    readonly request: HandedEvent & {
      readonly roomVersion: string;
      /** Stripped state or whole events of the room, the create event among them. */
      readonly inviteRoomState: readonly JsonValue[];
    };
    readonly answer: { readonly event: JsonValue };
  };
  readonly make_join: {
    readonly request: { readonly roomId: string; readonly userId: string; readonly versions: readonly string[] };
    readonly answer: EventTemplate;
  };
  readonly send_join: {
    readonly request: HandedEvent & {
      /** Whether the state may come without the memberships that the joiner can do without at first. */
      readonly omitMembers?: boolean;
    };
    /** The state before the join and its auth chain; `event` is the join as the resident server accepted it. */
    readonly answer: {
      readonly event: JsonValue;
      readonly state: readonly JsonValue[];
      readonly authChain: readonly JsonValue[];
      /** Whether memberships were left out. */
      readonly membersOmitted?: boolean;
      /** Where they were: the servers that had a joined user before the join. */
      readonly serversInRoom?: readonly string[];
    };
  };
  readonly make_knock: {
    readonly request: { readonly roomId: string; readonly userId: string; readonly versions: readonly string[] };
    readonly answer: EventTemplate;
  };
  readonly send_knock: {
    readonly request: HandedEvent;
    readonly answer: { readonly knockRoomState: readonly JsonValue[] };
  };
  readonly make_leave: {
    readonly request: { readonly roomId: string; readonly userId: string };
    readonly answer: EventTemplate;
  };
  readonly send_leave: {
    readonly request: HandedEvent;
    readonly answer: Readonly<Record<string, never>>;
  };
  /**
   * Asks the server of who made a third-party invite to invite the user whom it has turned out to be for. `event` is a
   * part of the invite: its type, room, sender, state key and content, with what the identity server signed.
   */
  readonly exchange_third_party_invite: {
    readonly request: { readonly roomId: string; readonly event: JsonValue };
    readonly answer: Readonly<Record<string, never>>;
  };
  /** One event. The room is a help to find it; transports whose endpoint has no place for it leave it out (HTTP). */
  readonly event: {
    readonly request: { readonly roomId?: string; readonly eventId: string };
    readonly answer: { readonly event: JsonValue };
  };
  /** The state before an event, whole, with its auth chain. */
  readonly state: {
    readonly request: { readonly roomId: string; readonly eventId: string };
    readonly answer: { readonly state: readonly JsonValue[]; readonly authChain: readonly JsonValue[] };
  };
  /** The state before an event as ids, with those of its auth chain. */
  readonly state_ids: {
    readonly request: { readonly roomId: string; readonly eventId: string };
    readonly answer: { readonly stateIds: readonly string[]; readonly authChainIds: readonly string[] };
  };
  readonly event_auth: {
    readonly request: { readonly roomId: string; readonly eventId: string };
    readonly answer: { readonly authChain: readonly JsonValue[] };
  };
  /** These events and what came before them, at most `limit` in all. */
  readonly backfill: {
    readonly request: { readonly roomId: string; readonly from: readonly string[]; readonly limit: number };
    readonly answer: { readonly events: readonly JsonValue[] };
  };
  /** What came before `latest`, breadth first, not going past `earliest` or below `minDepth`. */
  readonly get_missing_events: {
    readonly request: {
      readonly roomId: string;
      readonly earliest: readonly string[];
      readonly latest: readonly string[];
      readonly limit: number;
      readonly minDepth: number;
    };
    readonly answer: { readonly events: readonly JsonValue[] };
  };
  /** The event nearest to a time, that moment included: the first from then on (`f`), or the last up to then (`b`). */
  readonly timestamp_to_event: {
    readonly request: { readonly roomId: string; readonly ts: number; readonly dir: "f" | "b" };
    readonly answer: { readonly eventId: string; readonly originServerTs: number };
  };
  /** Delivers events and EDUs. A retry carries the same `transactionId` and is answered the same. */
  readonly send: {
    readonly request: {
      readonly transactionId: string;
      readonly pdus: readonly JsonValue[];
      readonly edus?: readonly JsonValue[];
    };
    /** One entry for each PDU that could be named: empty, or why it was not accepted. */
    readonly answer: { readonly pdus: Readonly<Record<string, { readonly error?: string }>> };
  };
  /**
   * Asks the policy server of the event's room to recommend it. `signatures` holds its signature alone: by its name, by
   * `ed25519:policy_server`. Whoever asks adds it to those that the event has. A refusal is `forbidden`.
   */
  readonly policy_sign: {
    readonly request: { readonly event: JsonValue };
    readonly answer: { readonly signatures: JsonValue };
  };
  /** The devices of a user of the answering server, and the `stream_id` of the last update that they include. */
  readonly user_devices: {
    readonly request: { readonly userId: string };
    readonly answer: {
      readonly userId: string;
      readonly streamId: number;
      readonly devices: readonly JsonValue[];
      readonly masterKey?: JsonValue;
      readonly selfSigningKey?: JsonValue;
    };
  };
  /** Publication: the answering server's own keys, signed by them. Nobody has to prove who asks. */
  readonly server_keys: {
    /** Asks for nothing in particular. */
    readonly request: object;
    readonly answer: { readonly keys: JsonValue };
  };
  /**
   * Notary query: keys of other servers, each answer signed by the notary too. By server and key id, until when
   * the key should be valid (now, where that is left out); no key id asks for all. Nobody has to prove who asks.
   */
  readonly query_keys: {
    readonly request: {
      readonly serverKeys: Readonly<
        Record<string, Readonly<Record<string, { readonly minimumValidUntilTs?: number }>>>
      >;
    };
    readonly answer: { readonly serverKeys: readonly JsonValue[] };
  };
  /** The room behind an alias of the answering server, and servers to join it by. */
  readonly query_directory: {
    readonly request: { readonly roomAlias: string };
    readonly answer: { readonly roomId: string; readonly servers: readonly string[] };
  };
  /** The profile of a user of the answering server, by the names of its fields; of `field` alone, if there is one. */
  readonly query_profile: {
    readonly request: { readonly userId: string; readonly field?: string };
    readonly answer: { readonly profile: JsonValue };
  };
  /** Rooms that the answering server lists for everybody, page by page. A token of an earlier answer is `since`. */
  readonly public_rooms: {
    readonly request: {
      /** 0 is as many as the server gives. */
      readonly limit?: number;
      readonly since?: string;
      readonly filter?: {
        /** Part of a name, a topic or an alias. */
        readonly genericSearchTerm?: string;
        /** Types of rooms; `null` for rooms without one. */
        readonly roomTypes?: readonly (string | null)[];
      };
      readonly includeAllNetworks?: boolean;
      readonly thirdPartyInstanceId?: string;
    };
    readonly answer: {
      readonly chunk: readonly JsonValue[];
      readonly nextBatch?: string;
      readonly prevBatch?: string;
      readonly totalRoomCountEstimate?: number;
    };
  };
  /** A space, and a summary of each room in it that the asking server could read or join; ids of those it could not. */
  readonly hierarchy: {
    readonly request: { readonly roomId: string; readonly suggestedOnly?: boolean };
    readonly answer: {
      readonly room: JsonValue;
      readonly children: readonly JsonValue[];
      readonly inaccessibleChildren: readonly string[];
    };
  };
  /** The user of the answering server who generated a token. Nobody has to prove who asks. */
  readonly openid_userinfo: {
    readonly request: { readonly accessToken: string };
    readonly answer: { readonly sub: string };
  };
  /** What software the answering server is. Nobody has to prove who asks. */
  readonly version: {
    /** Asks for nothing in particular. */
    readonly request: object;
    readonly answer: { readonly name?: string; readonly version?: string };
  };
}

export type OperationName = keyof Operations;
export type OperationRequest<N extends OperationName> = Operations[N]["request"];
export type OperationAnswer<N extends OperationName> = Operations[N]["answer"];
export type OperationResult<N extends OperationName> =
  { readonly ok: true; readonly value: OperationAnswer<N> } | { readonly ok: false; readonly error: OperationError };
