/**
 * The line protocol of `roomdag oracle`: one JSON request a line, one answer a line, so that any
 * implementation in any language can be compared with this one. docs/oracle.md is its contract.
 */
import { checkJson, readPdu } from "../event/format.js";
import type { KeyLookup, SignerVerdict, VerifyKey } from "../event/signatures.js";
import { decodeBase64 } from "../crypto/base64.js";
import { UsageError } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import { version } from "../facade.js";
import type { RoomVersionApi } from "../facade.js";
import {
  parseEventId,
  parseKeyId,
  parseRoomAlias,
  parseRoomId,
  parseRoomVersion,
  parseServerName,
  parseUserId,
} from "../ids/grammar.js";
import { checkLax, checkStrict } from "../json/check.js";
import { encodeCanonical } from "../json/canonical.js";
import { parseLax, parseStrict } from "../json/parse.js";
import { get, isArray, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { omit } from "../event/hashes.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";

/** A request that cannot be answered: a sentence and a code. */
class Refused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

type Operation = (request: JsonObject, registry: RoomVersionRegistry) => JsonValue;

/** Answers one line. Never throws, whatever the line holds; the answer has no line break. */
export function answerLine(line: string, registry: RoomVersionRegistry = roomVersions): string {
  const parsed = parseLax(line);
  if (!parsed.ok) return write({ id: null, error: parsed.error.reason, code: parsed.error.code });
  if (!isObject(parsed.value)) return write({ id: null, error: "a request is a JSON object", code: "bad_request" });
  const id = get(parsed.value, "id") ?? null;
  try {
    return write({ id, ok: operationOf(parsed.value)(parsed.value, registry) });
  } catch (error) {
    if (error instanceof Refused) return write({ id, error: error.message, code: error.code });
    if (error instanceof UsageError) return write({ id, error: error.message, code: "bad_request" });
    return write({ id, error: "the request could not be answered", code: "internal" });
  }
}

/** Canonical JSON has no raw line breaks, and it writes integers of any size exactly. */
function write(answer: JsonObject): string {
  return encodeCanonical(answer);
}

function operationOf(request: JsonObject): Operation {
  const op = get(request, "op");
  const found = typeof op === "string" && Object.hasOwn(operations, op) ? operations[op] : undefined;
  if (found === undefined) throw new Refused("bad_request", `\`op\` is one of ${Object.keys(operations).join(", ")}`);
  return found;
}

const operations: Readonly<Record<string, Operation>> = {
  canonical: (request, registry) => {
    const strict = isStrict(request, registry);
    const raw = get(request, "raw");
    if (raw !== undefined)
      return encodeCanonical(unwrap(strict ? parseStrict(text(request, "raw")) : parseLax(text(request, "raw"))));
    const value = get(request, "value");
    if (value === undefined) throw new Refused("bad_request", "`canonical` takes `value` or `raw`");
    return encodeCanonical(unwrap(strict ? checkStrict(value) : checkLax(value)));
  },
  redact: (request, registry) => api(request, registry).redact(object(request, "event")),
  content_hash: (request, registry) => api(request, registry).contentHash(object(request, "event")),
  event_id: (request, registry) => {
    const room = api(request, registry);
    const event = object(request, "event");
    const given = get(event, "event_id");
    return typeof given === "string" ? given : room.eventId(event);
  },
  sign: (request, registry) => {
    const seed = decodeBase64(text(request, "seed"));
    if (seed?.length !== 32) throw new Refused("bad_request", "`seed` must be 32 bytes in base64");
    return api(request, registry).sign(object(request, "event"), {
      server: text(request, "server"),
      keyId: text(request, "key_id"),
      seed,
    });
  },
  verify: (request, registry) => {
    const report = api(request, registry).verify(object(request, "event"), readKeys(object(request, "keys")));
    const servers = Object.fromEntries([...report.servers].map(([server, verdict]) => [server, describe(verdict)]));
    return { signatures: report.status === "verified", content_hash: report.contentHash, servers };
  },
  validate: (request, registry) => validate(request, api(request, registry)),
  auth_types: (request, registry) =>
    api(request, registry)
      .authTypes(object(request, "event"))
      .map((pair) => [...pair]),
  auth: (request, registry) => authorize(request, api(request, registry)),
  resolve: (request, registry) => resolve(request, api(request, registry)),
  identifier: (request, registry) => identifier(request, registry),
};

function api(request: JsonObject, registry: RoomVersionRegistry): RoomVersionApi {
  const id = text(request, "room_version");
  if (!registry.has(id)) throw new Refused("unknown_room_version", `room version ${JSON.stringify(id)} is unknown`);
  return version(id, registry);
}

/** Without a room version the strict rules hold; versions 1 to 5 are lax. */
function isStrict(request: JsonObject, registry: RoomVersionRegistry): boolean {
  return get(request, "room_version") === undefined || api(request, registry).rules.format.numbers === "strict";
}

function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Refused(result.error.code, result.error.reason);
}

function text(request: JsonObject, key: string): string {
  const value = get(request, key);
  if (typeof value === "string") return value;
  throw new Refused("bad_request", `\`${key}\` must be a string`);
}

function object(request: JsonObject, key: string): JsonObject {
  const value = get(request, key);
  if (isObject(value)) return value;
  throw new Refused("bad_request", `\`${key}\` must be an object`);
}

function list(request: JsonObject, key: string): readonly JsonValue[] {
  const value = get(request, key);
  if (isArray(value)) return value;
  throw new Refused("bad_request", `\`${key}\` must be an array`);
}

function ids(request: JsonObject, key: string): readonly string[] {
  if (get(request, key) === undefined) return [];
  return list(request, key).map((id) => {
    if (typeof id === "string") return id;
    throw new Refused("bad_request", `\`${key}\` must hold event ids`);
  });
}

/** `{server: {key id: base64 or {key, valid_until_ts}}}`. */
export function readKeys(keys: JsonObject): KeyLookup {
  const known = new Map<string, VerifyKey>();
  for (const [server, ofServer] of Object.entries(keys)) {
    for (const [keyId, entry] of isObject(ofServer) ? Object.entries(ofServer) : []) {
      const encoded = isObject(entry) ? get(entry, "key") : entry;
      const key = typeof encoded === "string" ? decodeBase64(encoded) : undefined;
      if (key === undefined) continue;
      const until = isObject(entry) ? get(entry, "valid_until_ts") : undefined;
      const name = JSON.stringify([server, keyId]);
      known.set(name, typeof until === "number" ? { key, validUntilTs: until } : { key });
    }
  }
  return (server, keyId) => known.get(JSON.stringify([server, keyId]));
}

function describe(verdict: SignerVerdict): JsonValue {
  switch (verdict.status) {
    case "verified":
      return true;
    case "refused":
      return verdict.reason;
    case "needs-key":
      return `unknown key ${verdict.keyIds.join(", ")}`;
  }
}

function validate(request: JsonObject, room: RoomVersionApi): JsonValue {
  const raw = get(request, "raw");
  const parsed = raw === undefined ? checked(request, room) : room.parse(text(request, "raw"));
  if (!parsed.ok) return invalid(parsed.error);
  const late = parsed.value.rejectedForSize;
  return late === undefined ? { valid: true } : invalid(late);
}

/** The value of a request line was read losslessly; `event_id` of v3 and later names the event and is no part of it. */
function checked(request: JsonObject, room: RoomVersionApi): ReturnType<RoomVersionApi["parse"]> {
  const event = object(request, "event");
  const value = checkJson(room.rules, event);
  if (!value.ok) return value;
  if (room.rules.format.eventIds === "in-pdu" || !isObject(value.value)) return readPdu(room.rules, value.value);
  const given = get(value.value, "event_id");
  const json = omit(value.value, ["event_id"]);
  return typeof given === "string" ? readPdu(room.rules, json, { eventId: given }) : readPdu(room.rules, json);
}

function invalid({ code, reason }: Refusal): JsonValue {
  return { valid: false, code, reason };
}

function authorize(request: JsonObject, room: RoomVersionApi): JsonValue {
  const create = get(request, "create");
  const verdict = room.authorize(object(request, "event"), {
    authEvents: list(request, "auth_events"),
    rejected: ids(request, "rejected"),
    ...(create === undefined ? {} : { create }),
    ...(get(request, "state") === undefined ? {} : { state: list(request, "state") }),
  });
  switch (verdict.verdict) {
    case "allowed":
      return { allowed: true, rule: verdict.rule };
    case "rejected":
      return { allowed: false, rule: verdict.refusal.rule ?? null, reason: verdict.refusal.reason };
    case "needs":
      throw new Refused("needs", `these events are missing: ${verdict.events.join(", ")}`);
  }
}

function resolve(request: JsonObject, room: RoomVersionApi): JsonValue {
  const stateSets = list(request, "state_sets").map((set, at) =>
    ids({ [`state_sets[${String(at)}]`]: set }, `state_sets[${String(at)}]`),
  );
  const trace = get(request, "trace") === true;
  const resolved = room.resolve({
    stateSets,
    events: list(request, "events"),
    rejected: ids(request, "rejected"),
    trace,
  });
  switch (resolved.verdict) {
    case "resolved":
      if (resolved.trace === undefined) return [...resolved.state];
      return { state: [...resolved.state], trace: unwrap(checkLax(plain(resolved.trace))) };
    case "refused":
      throw new Refused(resolved.refusal.code, resolved.refusal.reason);
    case "needs":
      throw new Refused("needs", `these events are missing: ${resolved.events.join(", ")}`);
  }
}

/**
 * A trace is plain data already; keys that are `undefined` have no place in JSON. Old rooms hold depths and
 * times beyond 2^53, which canonical JSON has as `bigint` only.
 */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value), (_key, part: unknown) =>
    Number.isInteger(part) && !Number.isSafeInteger(part) ? BigInt(part as number) : part,
  );
}

function identifier(request: JsonObject, registry: RoomVersionRegistry): JsonValue {
  const value = text(request, "value");
  const rules = get(request, "room_version") === undefined ? undefined : api(request, registry).rules;
  const parsed = parseIdentifier(request, text(request, "kind"), value, rules);
  return parsed.ok ? { valid: true, ...parsed.value } : { valid: false, reason: parsed.error.reason };
}

function parseIdentifier(
  request: JsonObject,
  kind: string,
  value: string,
  rules: RoomVersionRules | undefined,
): Result<JsonObject> {
  switch (kind) {
    case "user":
      return parts(parseUserId(value, get(request, "strict") === true ? "strict" : "historical"));
    case "room":
      return parts(parseRoomId(value, rules?.format.roomIds ?? "any"));
    case "event":
      return parts(parseEventId(value, rules?.format.eventIds ?? "any"));
    case "alias":
      return parts(parseRoomAlias(value));
    case "server":
      return parts(parseServerName(value));
    case "key":
      return parts(parseKeyId(value));
    case "version":
      return parts(parseRoomVersion(value));
    default:
      throw new Refused("bad_request", "`kind` is one of user, room, event, alias, server, key, version");
  }
}

/** The parts that are there; a parser that only validates answers with the identifier itself. */
function parts(parsed: Result<object | string>): Result<JsonObject> {
  if (!parsed.ok) return parsed;
  if (typeof parsed.value === "string") return { ok: true, value: {} };
  const present: Record<string, JsonValue> = {};
  for (const [name, part] of Object.entries(parsed.value) as [string, unknown][]) {
    if (typeof part === "string" || typeof part === "number") present[name] = part;
  }
  return { ok: true, value: present };
}
