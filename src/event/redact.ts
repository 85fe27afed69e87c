/** Redaction: what is left of an event when its content is taken away (spec, each version's "Redactions"). */
import { get, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { KeptContent, RoomVersionRules } from "../rules/model.js";

type MutableObject = Record<string, JsonValue>;

/**
 * The redacted copy of an event in federation form: only the keys that the room version protects.
 * `unsigned` and a top-level `redacts` never survive. Redaction looks at `type` alone, not at
 * `state_key`, is idempotent, and never changes the event id. The input is not touched.
 */
export function redact(rules: RoomVersionRules, event: JsonObject): JsonObject {
  const kept: MutableObject = {};
  for (const key of rules.redaction.topLevel) {
    const value = get(event, key);
    if (value !== undefined) setOwn(kept, key, value);
  }
  const content = redactedContent(rules, event);
  if (content !== undefined) kept["content"] = content;
  return kept;
}

/** What redaction leaves of an event's content, which may be all of it; `undefined` where it is no object. */
export function redactedContent(rules: RoomVersionRules, event: JsonObject): JsonObject | undefined {
  const content = get(event, "content");
  return isObject(content) ? redactContent(keptContentOf(rules, get(event, "type")), content) : undefined;
}

function keptContentOf(rules: RoomVersionRules, type: JsonValue | undefined): KeptContent {
  const table = rules.redaction.content;
  const kept = typeof type === "string" && Object.hasOwn(table, type) ? table[type] : undefined;
  return kept ?? [];
}

function redactContent(kept: KeptContent, content: JsonObject): JsonObject {
  if (kept === "all") return content;
  const result: MutableObject = {};
  for (const entry of kept) {
    const [key, inside] = typeof entry === "string" ? [entry, undefined] : entry;
    const value = get(content, key);
    if (value === undefined) continue;
    if (inside === undefined) setOwn(result, key, value);
    // v11: a `third_party_invite` that is no object is removed and the event kept, as Synapse does.
    else if (isObject(value)) setOwn(result, key, pick(value, inside));
  }
  return result;
}

function pick(object: JsonObject, keys: readonly string[]): JsonObject {
  const result: MutableObject = {};
  for (const key of keys) {
    const value = get(object, key);
    if (value !== undefined) setOwn(result, key, value);
  }
  return result;
}
