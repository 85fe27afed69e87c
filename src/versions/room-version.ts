/** A room version: its rules and the one algorithm that rules only name. */
import type { RoomVersionRules } from "../rules/model.js";
import type { Resolver } from "../stateres/resolve.js";

/** Made by {@link defineRoomVersion}. */
export interface RoomVersion {
  /** The identifier, as in `m.room.create`'s `room_version`. */
  readonly id: string;
  readonly rules: RoomVersionRules;
  /** The state resolution that `rules.stateResolution` names. */
  readonly resolve: Resolver;
}

/**
 * Joins rules and resolver. Rules are inherited by spreading; the resolver is stated anew by every
 * version, so that a bundle which holds only version 12 carries no resolver of version 1. That the
 * resolver is the one that `rules.stateResolution` names is up to the caller: functions cannot be compared.
 */
export function defineRoomVersion(rules: RoomVersionRules, resolve: Resolver): RoomVersion {
  return Object.freeze({ id: rules.id, rules, resolve });
}
