/** What every resolver takes and answers. */
import { signaturesChecked } from "../auth/verdict.js";
import type { AuthFacts, FactRequest } from "../auth/verdict.js";
import type { RoomIndex } from "../dag/room-index.js";
import type { StateMap } from "../dag/state-map.js";
import { refuse } from "../errors.js";
import type { Refusal } from "../errors.js";
import { compareCodePoints } from "../json/compare.js";
import type { Missing } from "./working-state.js";
import type { ResolutionTrace } from "./trace.js";

/** How states are resolved. */
export interface ResolveOptions {
  /** Signature facts for the rules that ask; by default every event's own signatures count as checked. */
  readonly facts?: AuthFacts;
  /** Whether to report every step. */
  readonly trace?: boolean;
}

/** What a resolution came to. */
export type Resolution =
  | { readonly verdict: "resolved"; readonly state: StateMap; readonly trace?: ResolutionTrace }
  /** These events or facts are missing; resolving again with them may ask for more. */
  | { readonly verdict: "needs"; readonly events: readonly string[]; readonly facts: readonly FactRequest[] }
  /** The input is no set of states of one room. */
  | { readonly verdict: "refused"; readonly refusal: Refusal };

/**
 * Resolves the states after the parents of an event into the state before it. The result does not
 * depend on the order of the states, of the events in the index, or of duplicates among either.
 */
export type Resolver = (index: RoomIndex, states: readonly StateMap[], options?: ResolveOptions) => Resolution;

export function newMissing(): Missing {
  return { events: new Set(), facts: [] };
}

export function factsOf(options: ResolveOptions): AuthFacts {
  return options.facts ?? signaturesChecked;
}

/** `needs` when anything was found missing on the way. */
export function neededBy(missing: Missing): Resolution | undefined {
  if (missing.events.size === 0 && missing.facts.length === 0) return undefined;
  return { verdict: "needs", events: [...missing.events].sort(compareCodePoints), facts: missing.facts };
}

export function refuseCycle(): Resolution {
  return { verdict: "refused", refusal: refuse("cycle", "the auth events form a cycle").error };
}

/** Events of two rooms never resolve together: all must be of the room of `base`, if that holds anything. */
export function refuseForeign(index: RoomIndex, base: StateMap, numbers: Iterable<number>): Resolution | undefined {
  if (index.oneRoom) return undefined;
  let first = index.eventOf(base.any());
  for (const number of numbers) {
    const event = index.eventOf(number);
    first ??= event;
    if (event === undefined || first === undefined || event.roomId === first.roomId) continue;
    const events = [first.eventId, event.eventId];
    return { verdict: "refused", refusal: refuse("wrong_room", "the states are of different rooms", { events }).error };
  }
  return undefined;
}
