/** What a resolution did, in words that a person or a program can follow. Off, it costs nothing. */
import type { Refusal } from "../errors.js";

/** Levels above every number are written `creator`, because infinity has no JSON. */
export type TracedLevel = number | string;

/** One iterative auth check, or one candidate of state resolution v1. */
export interface TracedCheck {
  readonly eventId: string;
  readonly type: string;
  readonly stateKey: string;
  /** Which list it stood in: `power` and `mainline` in v2 and v2.1, the pass in v1. */
  readonly phase: "power" | "mainline" | "power-levels" | "join-rules" | "members" | "rest";
  /** Sender's level by the event's own auth events (power phase). */
  readonly senderLevel?: TracedLevel;
  /** Mainline position: 0 is the resolved power-levels event, `null` no mainline ancestor (mainline phase). */
  readonly mainlinePosition?: number | null;
  readonly originServerTs: number;
  readonly depth: number;
  /** `unchecked`: the first candidate of a v1 group is taken as it is. */
  readonly verdict: "allowed" | "refused" | "unchecked";
  readonly refusal?: Refusal;
}

/** Why a candidate did not become the state. */
export type LostBecause =
  /** An authorisation rule refused it against the state resolved so far. */
  | { readonly why: "refused"; readonly refusal: Refusal }
  /** It was allowed, and an event later in the order took its place. */
  | { readonly why: "overwritten"; readonly by: string }
  /** v1: another candidate was preferred before this one was looked at. */
  | { readonly why: "not-reached"; readonly by: string | undefined };

/** What became of one key in conflict. */
export interface KeyOutcome {
  readonly type: string;
  readonly stateKey: string;
  /** Candidates in the given states; an absent key is a conflict too from v2 on. */
  readonly candidates: readonly string[];
  readonly winner: string | undefined;
  readonly lost: readonly { readonly eventId: string; readonly because: LostBecause }[];
  /**
   * `merged`: every candidate was allowed and the last in order stands. `rollback`: a rule refused a
   * candidate, so the key goes back to another one, or to none. `reset`: the state is one that no
   * candidate was and no rule asked for.
   */
  readonly kind: "merged" | "rollback" | "reset";
}

/** Every step of one resolution. */
export interface ResolutionTrace {
  readonly algorithm: "v1" | "v2" | "v2.1";
  readonly unconflictedKeys: number;
  /** Every conflicted key, with who won, who lost, and why. */
  readonly outcomes: readonly KeyOutcome[];
  /** Sorted ids. */
  readonly authDifference: readonly string[];
  /** v2.1: events on auth paths between two conflicted events. Sorted ids. */
  readonly conflictedSubgraph: readonly string[];
  /** Sorted ids. */
  readonly fullConflictedSet: readonly string[];
  /** From the resolved power-levels event back to the first. */
  readonly mainline: readonly string[];
  /** Every check in the order in which it was made. */
  readonly checks: readonly TracedCheck[];
}
