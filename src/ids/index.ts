/**
 * Identifiers: branded types, parsers that answer with parts or a refusal, guards and mints.
 *
 * @module
 */
export type { EventId, KeyId, RoomAlias, RoomId, RoomVersionId, ServerName, UserId } from "./brands.js";
export {
  MAX_ID_BYTES,
  domainOf,
  isEventId,
  isKeyId,
  isRoomAlias,
  isRoomId,
  isRoomVersion,
  isServerName,
  isUserId,
  mapToLocalpart,
  mintUserId,
  parseEventId,
  parseKeyId,
  parseRoomAlias,
  parseRoomId,
  parseRoomVersion,
  parseServerName,
  parseUserId,
  serverOf,
} from "./grammar.js";
export type {
  EventIdForm,
  EventIdParts,
  IdentifierMode,
  KeyIdParts,
  RoomAliasParts,
  RoomIdForm,
  RoomIdParts,
  ServerNameParts,
  UserIdParts,
} from "./grammar.js";
export { codePointLength, utf8Length } from "./text.js";
