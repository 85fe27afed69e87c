/**
 * A room version's rules as data: named variants, never ordinals, because room versions have no
 * order. Logic asks `rules.auth.creatorPower === "infinite"`, never `version >= 12`.
 */

/** Where an event's id comes from. */
export type EventIdFormat =
  /** `event_id` in the PDU (v1-2). */
  | "in-pdu"
  /** `$` and the reference hash in standard unpadded base64 (v3). */
  | "hash-standard"
  /** `$` and the reference hash in the URL-safe alphabet (v4 and later). */
  | "hash-url-safe";

/** How power-level values may be written. */
export type PowerLevelValues =
  /** Integers, strings holding an integer, floats truncated toward zero (v1-5). */
  | "integer-string-float"
  /** Integers and strings holding an integer (v6-9). */
  | "integer-string"
  /** Integers only (v10 and later). */
  | "integer";

/** How PDUs are written. */
export interface FormatRules {
  readonly eventIds: EventIdFormat;
  /** `auth_events` and `prev_events` as `[id, {sha256}]` pairs (v1-2) or ids. */
  readonly references: "pairs" | "ids";
  /** Room ids carry the creator's domain, or are the create event's reference hash (v12). */
  readonly roomIds: "domain" | "create-hash";
  /** Whether canonical JSON is enforced on PDUs (v6 and later). */
  readonly numbers: "lax" | "strict";
  /**
   * What 255 bounds in `sender`, `room_id`, `state_key`, `type` and `event_id` before an event is
   * dropped. Synapse drops on code points in v1-10 and only rejects on bytes there.
   */
  readonly fieldLimit: "code-points-dropped-bytes-rejected" | "bytes-dropped";
  /** Where a redaction names its target. */
  readonly redacts: "top-level" | "content";
}

/** Which `content` keys of one event type survive redaction. */
export type KeptContent =
  /** Everything. */
  | "all"
  /** These keys; a nested list keeps only those keys inside the named object. */
  | readonly (string | readonly [key: string, inside: readonly string[]])[];

/** What a redaction keeps, at the top level and in `content` by event type. */
export interface RedactionRules {
  readonly topLevel: readonly string[];
  readonly content: Readonly<Record<string, KeptContent>>;
}

/** Who has to sign, and with what keys. */
export interface SigningRules {
  /** The server in the `event_id` must sign too when it differs from the sender's (v1-2). */
  readonly eventIdServer: boolean;
  /** The server of `join_authorised_via_users_server` must sign too (v8 and later). */
  readonly authorisingServer: boolean;
  /** A key must have been valid at `origin_server_ts` (v5 and later). */
  readonly keyValidity: "ignored" | "enforced";
}

/** Where the authorisation rules of the versions differ. */
export interface AuthRules {
  /** Who the creator is: `content.creator` (v1-10) or the create event's `sender` (v11 and later). */
  readonly creator: "content" | "sender";
  /** Level 100 while there is no power-levels event, or above every level always (v12). */
  readonly creatorPower: "default" | "infinite";
  /** Whether `m.room.create` must be cited in `auth_events` or is implied by the room id (v12). */
  readonly createEvent: "cited" | "implied";
  /** Whether `m.room.aliases` has its own rule (v1-5). */
  readonly aliases: boolean;
  /** Whether redactions are an authorisation rule (v1-2). */
  readonly redactions: boolean;
  /** Whether edits of `notifications` are checked (v6 and later). */
  readonly notifications: boolean;
  readonly powerLevelValues: PowerLevelValues;
  readonly knock: boolean;
  readonly restricted: boolean;
  readonly knockRestricted: boolean;
  /** The spec's own numbers of the rules in this version. */
  readonly numbering: RuleNumbering;
}

/**
 * The number that a room version's page gives to each rule. A rule that a version does not have is
 * absent from its table.
 */
export type RuleNumbering = Readonly<Partial<Record<RuleName, string>>>;

/** Names of the authorisation rules, the same in every version; {@link RuleNumbering} has their numbers. */
export type RuleName =
  | "create.prev-events"
  | "create.room-id"
  | "create.room-version"
  | "create.creator"
  | "create.additional-creators"
  | "create.allow"
  | "room-id.create"
  | "auth-events.duplicate"
  | "auth-events.selection"
  | "auth-events.rejected"
  | "auth-events.create"
  | "auth-events.room"
  | "federate"
  | "aliases.state-key"
  | "aliases.domain"
  | "aliases.allow"
  | "member.shape"
  | "member.authorising-signature"
  | "member.join.first"
  | "member.join.sender"
  | "member.join.banned"
  | "member.join.invite"
  | "member.join.restricted"
  | "member.join.restricted.member"
  | "member.join.restricted.authoriser"
  | "member.join.restricted.allow"
  | "member.join.public"
  | "member.join.otherwise"
  | "member.invite.third-party.banned"
  | "member.invite.third-party.signed"
  | "member.invite.third-party.properties"
  | "member.invite.third-party.mxid"
  | "member.invite.third-party.event"
  | "member.invite.third-party.sender"
  | "member.invite.third-party.signature"
  | "member.invite.third-party.otherwise"
  | "member.invite.sender"
  | "member.invite.target"
  | "member.invite.level"
  | "member.invite.otherwise"
  | "member.leave.self"
  | "member.leave.sender"
  | "member.leave.unban"
  | "member.leave.kick"
  | "member.leave.otherwise"
  | "member.ban.sender"
  | "member.ban.level"
  | "member.ban.otherwise"
  | "member.knock.join-rule"
  | "member.knock.sender"
  | "member.knock.membership"
  | "member.knock.otherwise"
  | "member.unknown"
  | "sender-joined"
  | "third-party-invite"
  | "required-level"
  | "state-key"
  | "power-levels.scalars"
  | "power-levels.maps"
  | "power-levels.users"
  | "power-levels.creators"
  | "power-levels.first"
  | "power-levels.scalar-current"
  | "power-levels.scalar-new"
  | "power-levels.entry-current"
  | "power-levels.entry-new"
  | "power-levels.user-current"
  | "power-levels.user-new"
  | "power-levels.allow"
  | "redaction.level"
  | "redaction.domain"
  | "redaction.otherwise"
  | "allow";

/** Everything about a room version that is data. */
export interface RoomVersionRules {
  /** The identifier, as in `m.room.create`'s `room_version`. */
  readonly id: string;
  readonly format: FormatRules;
  readonly redaction: RedactionRules;
  readonly signing: SigningRules;
  readonly auth: AuthRules;
  readonly stateResolution: "v1" | "v2" | "v2.1";
  /** Whether message content is made of MSC1767 content blocks (I.1). */
  readonly content: "plain" | "extensible";
  /** Room version 12 recommends a tombstone level above `state_default` in a new room. */
  readonly tombstoneAboveStateDefault: boolean;
}
