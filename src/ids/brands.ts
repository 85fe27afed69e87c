/**
 * Branded identifiers: a string becomes one only through its parser or validator, so a `UserId` in a
 * signature is a promise that the grammar was checked. They are plain strings at run time.
 */
declare const brand: unique symbol;

type Branded<Name extends string> = string & { readonly [brand]: Name };

/** `@localpart:server`. */
export type UserId = Branded<"UserId">;
/** `!opaque:server`, or from room version 12 `!` and the create event's reference hash. */
export type RoomId = Branded<"RoomId">;
/** `$opaque:server` in room versions 1 and 2, `$` and a reference hash later. */
export type EventId = Branded<"EventId">;
/** `#localpart:server`. */
export type RoomAlias = Branded<"RoomAlias">;
/** A host name, IPv4 address or bracketed IPv6 address with an optional port. */
export type ServerName = Branded<"ServerName">;
/** `algorithm:version`, such as `ed25519:a_YkPS`. */
export type KeyId = Branded<"KeyId">;
/** An opaque room version identifier; versions have no order. */
export type RoomVersionId = Branded<"RoomVersionId">;
