/** What a new room begins with (client-server-api, "Creation", and each version's defaults). */
import { UsageError } from "../errors.js";
import { isUserId } from "../ids/grammar.js";
import { setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { LocalEvent } from "./room/types.js";

/** A state event that a new room begins with. */
export interface InitialState {
  readonly type: string;
  readonly stateKey?: string;
  readonly content: JsonObject;
}

export interface CreateRoomOptions {
  /** Room version, such as `11` or `I.1`. */
  readonly version: string;
  /** A user of this server. */
  readonly creator: string;
  /**
   * `private` (the default): by invite. `public`: anybody may join. `trusted`: by invite, and those in
   * `invite` get the creator's level.
   */
  readonly preset?: "private" | "public" | "trusted";
  readonly name?: string;
  readonly topic?: string;
  /** `type` of the create event, such as `m.space`. */
  readonly type?: string;
  /** `false` closes the room to other servers for ever. */
  readonly federate?: boolean;
  /** Room version 12: users with the creator's power. */
  readonly additionalCreators?: readonly string[];
  /** Users who get the creator's level (`trusted`). Inviting them is another step. */
  readonly invite?: readonly string[];
  /** Merged over the power levels that the room would have. */
  readonly powerLevels?: JsonObject;
  /** Whether the power levels come after all other state, as long as the creator's first power is needed for it. */
  readonly powerLevelsLast?: boolean;
  /** Replaces what the preset would set for the same type and state key. */
  readonly initialState?: readonly InitialState[];
  /** Further keys of the create event's content, such as `predecessor`. */
  readonly createContent?: JsonObject;
}

/** The content of the create event, and what comes after it. */
export interface CreationPlan {
  readonly create: JsonObject;
  readonly events: readonly LocalEvent[];
}

/** @throws UsageError for additional creators where the version has none, or who are no users. */
export function planCreation(rules: RoomVersionRules, options: CreateRoomOptions): CreationPlan {
  const { creator, preset = "private" } = options;
  const state = new Map<string, InitialState>();
  const put = (one: InitialState): void => {
    state.set(JSON.stringify([one.type, one.stateKey ?? ""]), one);
  };
  const powerLevels: InitialState = { type: "m.room.power_levels", content: powerLevelsOf(rules, options) };
  if (options.powerLevelsLast !== true) put(powerLevels);
  put({ type: "m.room.join_rules", content: { join_rule: preset === "public" ? "public" : "invite" } });
  put({ type: "m.room.history_visibility", content: { history_visibility: "shared" } });
  for (const one of options.initialState ?? []) put(one);
  if (options.name !== undefined) put({ type: "m.room.name", content: { name: options.name } });
  if (options.topic !== undefined) put({ type: "m.room.topic", content: { topic: options.topic } });
  if (options.powerLevelsLast === true) put(powerLevels);
  const join: LocalEvent = {
    type: "m.room.member",
    stateKey: creator,
    sender: creator,
    content: { membership: "join" },
  };
  const rest = [...state.values()].map(({ type, stateKey = "", content }): LocalEvent => ({
    type,
    stateKey,
    sender: creator,
    content,
  }));
  return { create: createContent(rules, options), events: [join, ...rest] };
}

function createContent(rules: RoomVersionRules, options: CreateRoomOptions): JsonObject {
  const { creator, type, federate, additionalCreators = [] } = options;
  const content: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(options.createContent ?? {})) setOwn(content, key, value);
  content["room_version"] = rules.id;
  if (rules.auth.creator === "content") content["creator"] = creator;
  if (type !== undefined) content["type"] = type;
  if (federate === false) content["m.federate"] = false;
  if (additionalCreators.length > 0) {
    if (rules.auth.creatorPower !== "infinite") {
      throw new UsageError(`room version ${rules.id} has no additional creators: give them power levels instead`);
    }
    if (!additionalCreators.every((user) => isUserId(user)))
      throw new UsageError("additional creators must be user ids");
    content["additional_creators"] = additionalCreators;
  }
  return content;
}

/** Creators of room version 12 have power without being listed, and may not be. */
function powerLevelsOf(rules: RoomVersionRules, options: CreateRoomOptions): JsonObject {
  const { creator, preset, invite = [], additionalCreators = [] } = options;
  const infinite = rules.auth.creatorPower === "infinite";
  const users: Record<string, JsonValue> = {};
  for (const user of preset === "trusted" ? [creator, ...invite] : [creator]) {
    if (!infinite || (user !== creator && !additionalCreators.includes(user))) setOwn(users, user, 100);
  }
  const content: Record<string, JsonValue> = {
    users,
    users_default: 0,
    events: {
      "m.room.name": 50,
      "m.room.power_levels": 100,
      "m.room.history_visibility": 100,
      "m.room.canonical_alias": 50,
      "m.room.avatar": 50,
      "m.room.tombstone": rules.tombstoneAboveStateDefault ? 150 : 100,
      "m.room.server_acl": 100,
      "m.room.encryption": 100,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    invite: 0,
  };
  for (const [key, value] of Object.entries(options.powerLevels ?? {})) setOwn(content, key, value);
  return content;
}
