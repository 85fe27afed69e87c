/** Auth events selection (spec server-server-api, "Auth events selection"). */
import { get, isObject } from "../json/value.js";
import type { RoomEvent } from "../event/pdu.js";
import type { RoomVersionRules } from "../rules/model.js";

/** The key of a state event. */
export type StateKey = readonly [type: string, stateKey: string];

const CREATE: StateKey = Object.freeze(["m.room.create", ""]);
const POWER_LEVELS: StateKey = Object.freeze(["m.room.power_levels", ""]);
const JOIN_RULES: StateKey = Object.freeze(["m.room.join_rules", ""]);

/** What the selection reads of an event; an event draft has it too. */
export type Selecting = Pick<RoomEvent, "type" | "sender" | "content"> & { readonly stateKey?: string | undefined };

/**
 * The state keys that an event must cite in `auth_events`, where the state has them, and may not go
 * beyond. Knocks select the join rules too; the authoriser's membership is selected for joins only,
 * and only where restricted joins exist, as Synapse and ruma do.
 */
export function selectAuthEvents(rules: RoomVersionRules, event: Selecting): readonly StateKey[] {
  if (event.type === "m.room.create") return [];
  const selected: StateKey[] = [];
  // From room version 12 the room id implies the create event.
  if (rules.auth.createEvent === "cited") selected.push(CREATE);
  selected.push(POWER_LEVELS, ["m.room.member", event.sender]);
  if (event.type === "m.room.member" && event.stateKey !== undefined) selectForMember(rules, event, selected);
  return selected;
}

function selectForMember(rules: RoomVersionRules, event: Selecting, selected: StateKey[]): void {
  const target = event.stateKey;
  if (target !== undefined && target !== event.sender) selected.push(["m.room.member", target]);
  const membership = get(event.content, "membership");
  if (membership === "join" || membership === "invite" || membership === "knock") {
    selected.push(JOIN_RULES);
  }
  if (membership === "invite") {
    const invite = get(event.content, "third_party_invite");
    const signed = isObject(invite) ? get(invite, "signed") : undefined;
    const token = isObject(signed) ? get(signed, "token") : undefined;
    if (typeof token === "string") selected.push(["m.room.third_party_invite", token]);
  }
  if (membership === "join" && rules.auth.restricted) {
    const authoriser = get(event.content, "join_authorised_via_users_server");
    if (typeof authoriser === "string" && authoriser !== event.sender && authoriser !== target) {
      selected.push(["m.room.member", authoriser]);
    }
  }
}
