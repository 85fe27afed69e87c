/** Arbitraries of single events, well-formed and hostile. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import { forge, seal, withKeys } from "./forge.js";
import type { Draft, LooseEvent } from "./forge.js";
import { testUsers } from "./interpret.js";
import { versionOf } from "./room.js";
import { Stage } from "./stage.js";

export interface ArbEventOptions {
  /** Where the version is looked up. Default: every version of the spec, and I.1. */
  readonly registry?: RoomVersionRegistry;
  /** Whether the event is signed with {@link testKeyOf} of the servers that have to. Default `false`. */
  readonly sign?: boolean;
}

/** Each type whose content redaction or a rule looks into, with the keys that count and some that do not. */
const contentKeys: Readonly<Record<string, readonly string[]>> = {
  "m.room.create": ["creator", "room_version", "m.federate", "additional_creators", "predecessor"],
  "m.room.member": ["membership", "join_authorised_via_users_server", "third_party_invite", "displayname", "reason"],
  "m.room.join_rules": ["join_rule", "allow"],
  "m.room.power_levels": [
    "ban",
    "events",
    "events_default",
    "invite",
    "kick",
    "notifications",
    "redact",
    "state_default",
    "users",
    "users_default",
  ],
  "m.room.aliases": ["aliases"],
  "m.room.history_visibility": ["history_visibility"],
  "m.room.redaction": ["redacts", "reason"],
  "m.room.message": ["body", "msgtype", "m.text"],
  "x.custom": [],
  "\u{1f600}": [],
};
const types = Object.keys(contentKeys).concat("__proto__");

const texts = fc.oneof(
  fc.string({ unit: "binary", maxLength: 10 }),
  fc.constantFrom("join", "leave", "public", ...testUsers),
);

const json: Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<JsonValue>(null, true, false, 0, 50, -1, Number.MAX_SAFE_INTEGER),
    texts,
    fc.array(tie("value"), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.oneof(texts, fc.constantFrom("signed", "__proto__", "constructor")), tie("value")), {
        maxLength: 3,
      })
      .map(objectOf),
  ),
})).value;

function objectOf(members: readonly (readonly [string, JsonValue])[]): JsonObject {
  const object: Record<string, JsonValue> = {};
  for (const [key, value] of members) setOwn(object, key, value);
  return object;
}

function contentsOf(type: string): Arbitrary<JsonObject> {
  const known = Object.hasOwn(contentKeys, type) ? (contentKeys[type] ?? []) : [];
  const key = fc.oneof(fc.constantFrom("__proto__", "x", ...known), fc.constantFrom("x", ...known), texts);
  return fc.array(fc.tuple(key, json), { maxLength: 8 }).map(objectOf);
}

function draftsOf(rules: RoomVersionRules): Arbitrary<Draft> {
  return fc.constantFrom(...types).chain((type) =>
    fc.record(
      {
        type: fc.constant(type),
        sender: fc.constantFrom(...testUsers),
        content: contentsOf(type),
        originServerTs: fc.oneof(fc.nat(), fc.constantFrom(0, -1, Number.MAX_SAFE_INTEGER)),
        stateKey: fc.oneof(fc.constantFrom("", ...testUsers), texts),
        // Room version 11 and later have it in the content, as any string or other value.
        redacts: fc.constant(rules.format.eventIds === "in-pdu" ? "$redacted:a.example" : `$${"a".repeat(43)}`),
      },
      { requiredKeys: ["type", "sender", "content", "originServerTs"] },
    ),
  );
}

/**
 * Single events of one version whose format is right and whose content is anything: each type that
 * redaction or a rule treats on its own, with the keys that matter and others, values of any type, and
 * keys such as `__proto__`. Content hash and references are true; nothing says that the event is
 * allowed. The result is the form that servers exchange.
 *
 * @param version Identifier of a room version, such as `"12"`.
 * @throws UsageError when the registry does not have the version.
 */
export function arbEvent(version: string, options: ArbEventOptions = {}): Arbitrary<JsonObject> {
  const { registry, sign = false } = options;
  const { rules } = versionOf(version, registry);
  const more = fc.array(
    fc.tuple(fc.constantFrom("origin", "prev_state", "membership", "age_ts", "x.extra", "__proto__"), json),
    { maxLength: 2 },
  );
  return fc.record({ draft: draftsOf(rules), extra: more, parents: fc.nat(3) }).map(({ draft, extra, parents }) => {
    const others = parentsOf(rules, draft.sender, parents);
    const create = draft.type === "m.room.create";
    const roomId = create && rules.format.roomIds === "create-hash" ? undefined : others[0]?.roomId;
    const event = forge(rules, draft, {
      roomId,
      prevEvents: create ? [] : others,
      authEvents: create ? [] : others.slice(1),
      sign: false,
    });
    return seal(rules, withKeys(event.json, objectOf(extra)), sign);
  });
}

/** Some events to refer to. */
function parentsOf(rules: RoomVersionRules, sender: string, count: number): readonly LooseEvent[] {
  const stage = new Stage(rules, { creator: sender });
  const events = [stage.create];
  for (let at = 0; at < count; at++)
    events.push(stage.add({ type: "x.state", stateKey: String(at), sender, content: {} }));
  return events;
}
