/** What redaction keeps, as tables (spec, each room version's "Redactions"). */
import type { KeptContent, RedactionRules } from "./model.js";

const topLevelV1 = [
  "event_id",
  "type",
  "room_id",
  "sender",
  "state_key",
  "content",
  "hashes",
  "signatures",
  "depth",
  "prev_events",
  "prev_state",
  "auth_events",
  "origin",
  "origin_server_ts",
  "membership",
] as const;

const dropped: ReadonlySet<string> = new Set(["prev_state", "origin", "membership"]);

const contentV1: Readonly<Record<string, KeptContent>> = {
  "m.room.member": ["membership"],
  "m.room.create": ["creator"],
  "m.room.join_rules": ["join_rule"],
  "m.room.power_levels": [
    "ban",
    "events",
    "events_default",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
  ],
  "m.room.aliases": ["aliases"],
  "m.room.history_visibility": ["history_visibility"],
};

const { "m.room.aliases": _aliases, ...contentV6 } = contentV1;

const contentV8 = { ...contentV6, "m.room.join_rules": ["join_rule", "allow"] };

const contentV9 = { ...contentV8, "m.room.member": ["membership", "join_authorised_via_users_server"] };

const contentV11: Readonly<Record<string, KeptContent>> = {
  ...contentV9,
  "m.room.member": ["membership", "join_authorised_via_users_server", ["third_party_invite", ["signed"]]],
  "m.room.create": "all",
  "m.room.power_levels": [
    "ban",
    "events",
    "events_default",
    "invite",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
  ],
  "m.room.redaction": ["redacts"],
};

/** Room versions 1 to 5. */
export const redactionV1: RedactionRules = { topLevel: topLevelV1, content: contentV1 };
/** Room versions 6 and 7: aliases are not kept. */
export const redactionV6: RedactionRules = { topLevel: topLevelV1, content: contentV6 };
/** Room version 8: `allow` is kept. */
export const redactionV8: RedactionRules = { topLevel: topLevelV1, content: contentV8 };
/** Room versions 9, 10 and I.1: the authorising user is kept. */
export const redactionV9: RedactionRules = { topLevel: topLevelV1, content: contentV9 };
/** Room versions 11 and 12. */
export const redactionV11: RedactionRules = {
  topLevel: topLevelV1.filter((key) => !dropped.has(key)),
  content: contentV11,
};
