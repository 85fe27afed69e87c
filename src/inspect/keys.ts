/** Server keys as files hold them. */
import type { KeyLookup } from "../event/signatures.js";
import { get, isArray, isInteger, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import { readKeys } from "./oracle.js";

/**
 * One lookup over several sources, the first that knows a key deciding. A source is a table
 * `{server: {key id: base64 or {key, valid_until_ts}}}`, or what a key server answers (spec
 * server-server-api, "Publishing Keys" and "Querying Keys Through Another Server").
 */
export function keyLookup(sources: readonly JsonObject[]): KeyLookup {
  const lookups = sources.flatMap((source) => tablesOf(source)).map(readKeys);
  return (server, keyId) => {
    for (const lookup of lookups) {
      const found = lookup(server, keyId);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function tablesOf(source: JsonObject): readonly JsonObject[] {
  const answers = get(source, "server_keys");
  if (isArray(answers)) return answers.filter(isObject).map(tableOfAnswer);
  return isObject(get(source, "verify_keys")) ? [tableOfAnswer(source)] : [source];
}

/** `verify_keys` hold until `valid_until_ts`, `old_verify_keys` until their `expired_ts`. */
function tableOfAnswer(answer: JsonObject): JsonObject {
  const server = get(answer, "server_name");
  const table: Record<string, JsonValue> = {};
  if (typeof server !== "string") return table;
  const keys: Record<string, JsonValue> = {};
  addKeys(keys, get(answer, "old_verify_keys"), () => undefined);
  addKeys(keys, get(answer, "verify_keys"), () => get(answer, "valid_until_ts"));
  setOwn(table, server, keys);
  return table;
}

function addKeys(
  into: Record<string, JsonValue>,
  keys: JsonValue | undefined,
  defaultUntil: () => JsonValue | undefined,
): void {
  for (const [keyId, entry] of isObject(keys) ? Object.entries(keys) : []) {
    const key = isObject(entry) ? get(entry, "key") : undefined;
    if (!isObject(entry) || typeof key !== "string") continue;
    const until = get(entry, "expired_ts") ?? defaultUntil();
    setOwn(into, keyId, isInteger(until) ? { key, valid_until_ts: until } : { key });
  }
}
