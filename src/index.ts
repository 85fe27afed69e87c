/**
 * roomdag: what a Matrix room is. This entry is the short way in; every layer has a subpath of its
 * own (`roomdag/event`, `roomdag/auth`, `roomdag/stateres`, …).
 */
export { version } from "./facade.js";
export type { AuthorizeInput, ResolveInput, ResolveOutput, RoomVersionApi, VerifyOutput } from "./facade.js";
export { UsageError } from "./errors.js";
export type { Refusal, RefusalCode, Result } from "./errors.js";
export { createRegistry, roomVersions } from "./versions/index.js";
export type { RoomVersion, RoomVersionRegistry } from "./versions/index.js";
export type { AuthVerdict } from "./auth/verdict.js";
export type { Pdu, RoomEvent } from "./event/pdu.js";
export type { JsonObject, JsonValue } from "./json/value.js";
