/**
 * What a server says of what is its own: aliases, profiles, OpenID tokens and what software it is
 * (server-server-api, "Querying for information", "OpenID", "Server implementation"). Both sides.
 */
import { refuse, UsageError } from "../../errors.js";
import type { Result } from "../../errors.js";
import { listOf } from "../../engine/fetch.js";
import { domainOf, isRoomId, isServerName, isUserId, parseRoomAlias } from "../../ids/grammar.js";
import { checkLax } from "../../json/check.js";
import { get, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import { answer, fail, refusedBy, residentRoom } from "../context.js";
import type { Federation } from "../context.js";
import { ask } from "./asking.js";
import { isContentUri, isText } from "./summary.js";

/** Servers in one answer. */
const MAX_SERVERS = 100;
/** Fields of one profile, the characters of a field's name, and the values that one holds at most. */
const MAX_FIELDS = 100;
const MAX_FIELD_NAME = 255;
const MAX_FIELD_VALUES = 1_000;
const MAX_FIELD_DEPTH = 20;
/** Characters of the name and of the version of software. */
const MAX_SOFTWARE = 255;

// ---- aliases ----------------------------------------------------------------------------------------------

/** The room behind an alias, and servers to join it by. */
export interface ResolvedAlias {
  readonly roomId: string;
  readonly servers: readonly string[];
}

export async function serveQueryDirectory(
  federation: Federation,
  _origin: string,
  { roomAlias }: OperationRequest<"query_directory">,
  cancel?: Cancel,
): Promise<OperationResult<"query_directory">> {
  const { host, directory } = federation;
  const alias = parseRoomAlias(roomAlias);
  if (!alias.ok) return fail("invalid_param", alias.error.reason);
  if (alias.value.server !== host.server) return fail("invalid_param", `the alias is not of ${host.server}`);
  const target = await directory?.alias?.(roomAlias, cancel);
  if (target === undefined) return fail("not_found", "there is no such alias");
  const { roomId, servers = (await residentRoom(federation, roomId))?.servers ?? [] } = target;
  return answer<"query_directory">({ roomId, servers: servers.slice(0, MAX_SERVERS) });
}

/** `undefined`: its server knows no such alias. */
export async function resolveAlias(
  federation: Federation,
  alias: string,
  cancel?: Cancel,
): Promise<Result<ResolvedAlias | undefined>> {
  const parsed = parseRoomAlias(alias);
  if (!parsed.ok) return parsed;
  const { server } = parsed.value;
  const given = await ask(federation, { server, cancel }, "query_directory", { roomAlias: alias }, serveQueryDirectory);
  if (!given.ok) {
    return given.error.code === "not_found" ? { ok: true, value: undefined } : refusedBy(server, given.error);
  }
  const { roomId } = given.value;
  if (!isRoomId(roomId)) return malformed(server, "a room");
  const servers = listOf(given.value.servers).filter((name) => isServerName(name));
  return { ok: true, value: { roomId, servers: servers.slice(0, MAX_SERVERS) } };
}

function malformed(server: string, what: string): { readonly ok: false } & Result<never> {
  return refuse("refused_by_peer", `${server} did not answer with ${what}`);
}

// ---- profiles ---------------------------------------------------------------------------------------------

/** What a server tells of a user. */
export interface Profile {
  readonly displayName?: string;
  readonly avatarUrl?: string;
  /** Everything else, such as `m.tz`, by the names of the fields. Nobody has looked at what it means. */
  readonly fields: JsonObject;
}

export async function serveQueryProfile(
  { host, directory }: Federation,
  _origin: string,
  { userId, field }: OperationRequest<"query_profile">,
  cancel?: Cancel,
): Promise<OperationResult<"query_profile">> {
  if (!isUserId(userId)) return fail("invalid_param", "`userId` must be a user id");
  if (domainOf(userId) !== host.server) return fail("invalid_param", `the user is not of ${host.server}`);
  if (field !== undefined && !isText(field, MAX_FIELD_NAME))
    return fail("invalid_param", "`field` must be the name of a field");
  const profile = await directory?.profile?.(userId, cancel);
  if (profile === "withheld") return fail("forbidden", "this server tells nothing of its users");
  if (profile === undefined) return fail("not_found", "there is no such user");
  if (field === undefined) return answer<"query_profile">({ profile });
  const value = get(profile, field);
  if (value === undefined) return fail("not_found", "the user has no such field");
  return answer<"query_profile">({ profile: Object.fromEntries([[field, value]]) });
}

/** `undefined`: the user's server knows no such user, or the user has no such field. */
export async function queryProfile(
  federation: Federation,
  { userId, field, cancel }: OperationRequest<"query_profile"> & { readonly cancel?: Cancel | undefined },
): Promise<Result<Profile | undefined>> {
  if (!isUserId(userId)) return refuse("bad_identifier", "a profile is asked for by user id");
  const server = domainOf(userId) ?? "";
  const request = field === undefined ? { userId } : { userId, field };
  const given = await ask(federation, { server, cancel }, "query_profile", request, serveQueryProfile);
  if (!given.ok) {
    return given.error.code === "not_found" ? { ok: true, value: undefined } : refusedBy(server, given.error);
  }
  const { profile } = given.value;
  return isObject(profile) ? { ok: true, value: readProfile(profile, field) } : malformed(server, "a profile");
}

/** The fields that are plain data of a sensible size; of those that the spec knows, what has their form. */
function readProfile(profile: JsonObject, field: string | undefined): Profile {
  const entries = field === undefined ? Object.entries(profile) : [[field, get(profile, field)] as const];
  const limits = { maxValues: MAX_FIELD_VALUES, maxDepth: MAX_FIELD_DEPTH };
  const sound = entries.slice(0, MAX_FIELDS).flatMap(([name, value]): readonly (readonly [string, JsonValue])[] => {
    const checked = checkLax(value, limits);
    return isText(name, MAX_FIELD_NAME) && checked.ok && checked.value !== null ? [[name, checked.value]] : [];
  });
  const known = new Map(sound);
  const [displayName, avatarUrl] = [known.get("displayname"), known.get("avatar_url")];
  return {
    ...(typeof displayName === "string" ? { displayName } : {}),
    ...(isContentUri(avatarUrl) ? { avatarUrl } : {}),
    fields: Object.fromEntries(sound.filter(([name]) => name !== "displayname" && name !== "avatar_url")),
  };
}

// ---- OpenID -----------------------------------------------------------------------------------------------

/** Nobody has to prove who asks: the token proves what there is to prove. */
export async function serveOpenIdUserInfo(
  { host, directory }: Federation,
  _origin: string,
  { accessToken }: OperationRequest<"openid_userinfo">,
  cancel?: Cancel,
): Promise<OperationResult<"openid_userinfo">> {
  if (directory?.openIdUser === undefined) return fail("unrecognized", "this server gives no OpenID tokens");
  const sub = await directory.openIdUser(accessToken, cancel);
  if (sub === undefined) return fail("unknown_token", "the token is unknown, or has expired");
  if (domainOf(sub) !== host.server) throw new UsageError(`Directory.openIdUser answers users of ${host.server} only`);
  return answer<"openid_userinfo">({ sub });
}

/** `undefined`: the server does not know the token, or not any more. */
export async function openIdUser(
  federation: Federation,
  server: string,
  accessToken: string,
  cancel?: Cancel,
): Promise<Result<string | undefined>> {
  const given = await ask(federation, { server, cancel }, "openid_userinfo", { accessToken }, serveOpenIdUserInfo);
  if (!given.ok) {
    return given.error.code === "unknown_token" ? { ok: true, value: undefined } : refusedBy(server, given.error);
  }
  const { sub } = given.value;
  // Else any server could vouch for any user ("The caller MUST validate").
  return isUserId(sub) && domainOf(sub) === server ? { ok: true, value: sub } : malformed(server, "a user of its own");
}

// ---- what software it is ----------------------------------------------------------------------------------

/** What a server says that it is. */
export interface Software {
  readonly name?: string;
  readonly version?: string;
}

export function serveVersion({ directory }: Federation): Promise<OperationResult<"version">> {
  const software = directory?.software;
  return Promise.resolve(
    software === undefined ? fail("unrecognized", "this server does not say what it is") : answer<"version">(software),
  );
}

export async function versionOf(federation: Federation, server: string, cancel?: Cancel): Promise<Result<Software>> {
  const given = await ask(federation, { server, cancel }, "version", {}, serveVersion);
  if (!given.ok) return refusedBy(server, given.error);
  const { name, version } = given.value;
  return {
    ok: true,
    value: { ...(isText(name, MAX_SOFTWARE) ? { name } : {}), ...(isText(version, MAX_SOFTWARE) ? { version } : {}) },
  };
}
