/** Reading a notary query (server-server-api, "Querying Keys Through Another Server"). */
import { SEVEN_DAYS } from "../../event/signatures.js";
import { checkStrict } from "../../json/check.js";
import { get, isObject } from "../../json/value.js";
import type { JsonValue } from "../../json/value.js";
import type { OperationError } from "../../ports/operations.js";
import type { Result } from "../../errors.js";
import { fail } from "../context.js";
import type { HeldKeys } from "./held.js";

/** By server and key id, until when the key should be valid; `undefined` for now. No key id stands for all. */
export type KeyQuery = ReadonlyMap<string, ReadonlyMap<string, number | undefined>>;

/** Key ids of one server in a query. */
const MAX_KEY_IDS = 100;

/** A query as it came. Too large a one is refused: a shortened answer would say that the others are not to be had. */
export function readQuery(request: unknown, maxServers: number): Result<KeyQuery, OperationError> {
  const plain = checkStrict(request, { maxDepth: 8, maxValues: maxServers * MAX_KEY_IDS * 2 });
  if (!plain.ok) return fail(plain.error.code === "too_large" ? "too_large" : "bad_request", plain.error.reason);
  const servers = isObject(plain.value) ? get(plain.value, "serverKeys") : undefined;
  if (!isObject(servers)) return fail("bad_request", "`serverKeys` must be an object");
  const entries = Object.entries(servers);
  if (entries.length > maxServers) return fail("too_large", `a query may name ${maxServers} servers`);
  const query = new Map<string, ReadonlyMap<string, number | undefined>>();
  for (const [server, keys] of entries) {
    const read = readCriteria(keys);
    if (!read.ok) return read;
    query.set(server, read.value);
  }
  return { ok: true, value: query };
}

function readCriteria(keys: JsonValue): Result<ReadonlyMap<string, number | undefined>, OperationError> {
  if (!isObject(keys)) return fail("bad_request", "what is asked of a server must be an object");
  const entries = Object.entries(keys);
  if (entries.length > MAX_KEY_IDS) return fail("too_large", `a query may name ${MAX_KEY_IDS} keys of a server`);
  const criteria = new Map<string, number | undefined>();
  for (const [keyId, one] of entries) {
    if (!isObject(one)) return fail("bad_request", "what is asked of a key must be an object");
    const until = get(one, "minimumValidUntilTs");
    if (until !== undefined && typeof until !== "number") {
      return fail("bad_request", "`minimumValidUntilTs` must be whole milliseconds since 1970");
    }
    criteria.set(keyId, until);
  }
  return { ok: true, value: criteria };
}

/**
 * Whether a notary should ask a server before it answers: an answer is handed on for half of its lifetime, as long
 * as it holds the keys that are asked for with the validity that is wanted.
 */
export function needsAsking(
  held: HeldKeys | undefined,
  criteria: ReadonlyMap<string, number | undefined>,
  now: number,
): boolean {
  const answer = held?.answer;
  if (held === undefined || answer === undefined) return true;
  const { fetchedTs, validUntilTs } = answer;
  const end = Math.min(validUntilTs, fetchedTs + SEVEN_DAYS);
  // A clock that was set back makes an answer of the future; nothing is known of its age.
  if (now < fetchedTs || (fetchedTs + end) / 2 <= now) return true;
  // Where no time is given it is the present, which an answer in the first half of its lifetime covers.
  return [...criteria].some(([keyId, until = 0]) => !held.keys.has(keyId) || validUntilTs < until);
}
