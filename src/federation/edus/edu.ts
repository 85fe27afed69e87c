/**
 * What EDUs say, read: plain frozen data under the spec's own terms (server-server-api, "EDUs"; definitions
 * `event-schemas`). Whatever is named here was checked for its form; what keys and messages hold is their readers'.
 */
import type { JsonObject } from "../../json/value.js";

/** `m.typing` */
export interface Typing {
  readonly roomId: string;
  readonly userId: string;
  readonly typing: boolean;
}

/** One update of `m.presence`. */
export interface Presence {
  readonly userId: string;
  readonly presence: "offline" | "unavailable" | "online";
  readonly statusMessage?: string;
  /** Milliseconds. */
  readonly lastActiveAgo: number;
  readonly currentlyActive: boolean;
}

/** One `m.read` of `m.receipt`: a user has read up to an event. */
export interface ReadReceipt {
  readonly roomId: string;
  readonly userId: string;
  readonly eventId: string;
  readonly ts: number;
  /** The root of a thread or `main`; absent for an unthreaded receipt. */
  readonly threadId?: string;
}

export interface Device {
  readonly deviceId: string;
  readonly displayName?: string;
  /** `DeviceKeys` as they were uploaded; their signatures are for the clients to check. */
  readonly keys?: JsonObject;
}

/** `m.device_list_update`: what one device of a user is from now on. */
export interface DeviceUpdate extends Device {
  readonly userId: string;
  readonly streamId: number;
  /** The updates that this one builds on; empty for the first of a sequence. */
  readonly prevIds: readonly number[];
  readonly deleted: boolean;
}

/** Keys for cross-signing, as they were uploaded. */
export interface SigningKeys {
  readonly userId: string;
  readonly masterKey?: JsonObject;
  readonly selfSigningKey?: JsonObject;
}

/** All devices of a user, as of one update. */
export interface DeviceList extends SigningKeys {
  readonly streamId: number;
  readonly devices: readonly Device[];
}

/** The device id of a message that is for every known device of its user. */
export const ALL_DEVICES = "*";

export interface DeviceMessage {
  readonly userId: string;
  /** {@link ALL_DEVICES} for all known ones. */
  readonly deviceId: string;
  readonly content: JsonObject;
}

/** `m.direct_to_device` */
export interface ToDevice {
  readonly sender: string;
  readonly type: string;
  /** At most 32 code points, the sender's own choice; the same once more is the same message. */
  readonly messageId: string;
  readonly messages: readonly DeviceMessage[];
}

/** Why an EDU, or one entry of it, was passed over. Codes are stable. */
export interface EduRefusal {
  readonly code:
    | "unknown_type"
    | "bad_format"
    | "too_large"
    /** It names a user of another server than the one that sent it. */
    | "foreign_user"
    /** No user of this server is in the room. */
    | "unknown_room"
    /** The user is not in the room. */
    | "not_in_room"
    /** The room's ACL denies the server that sent it. */
    | "acl_denied"
    /** A newer receipt is there. */
    | "outdated"
    /** The message came before. */
    | "duplicate";
  readonly reason: string;
}

/** An EDU of a known type. Entries of a list that do not hold do not take the others with them. */
export type Edu = { readonly passedOver: readonly EduRefusal[] } & (
  | { readonly eduType: "m.typing"; readonly typing: Typing }
  | { readonly eduType: "m.presence"; readonly presence: readonly Presence[] }
  | { readonly eduType: "m.receipt"; readonly receipts: readonly ReadReceipt[] }
  | { readonly eduType: "m.device_list_update"; readonly update: DeviceUpdate }
  | { readonly eduType: "m.signing_key_update"; readonly signingKeys: SigningKeys }
  | { readonly eduType: "m.direct_to_device"; readonly message: ToDevice }
);
