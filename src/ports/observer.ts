/** What a host may watch. */
import type { Refusal } from "../errors.js";
import type { LostBecause } from "../stateres/trace.js";
import type { Receipt } from "./verdict.js";

/** One key of a room's current state that changed. */
export interface StateDifference {
  readonly type: string;
  readonly stateKey: string;
  /** Event ids; `undefined` where the key holds nothing. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** An event that had been current state and is so no more because of a resolution. */
export interface LostState {
  readonly type: string;
  readonly stateKey: string;
  readonly eventId: string;
  /** What stands in its place; `undefined` where the key holds nothing now. */
  readonly to: string | undefined;
  /** The rule that refused it, or the event that came after it in the order of resolution. */
  readonly because: LostBecause | undefined;
  /** `rollback`: a rule asked for it. `reset`: none did. */
  readonly kind: "rollback" | "reset";
}

/** Why the current state changed. */
export type StateCause =
  /** An event came after all that was there. */
  | { readonly cause: "advance"; readonly events: readonly string[] }
  /** Branches were resolved, and nothing current was taken back against its holder's will. */
  | { readonly cause: "merge"; readonly events: readonly string[]; readonly extremities: readonly string[] }
  /** A resolution took back state that had been current. */
  | {
      readonly cause: "rollback";
      readonly events: readonly string[];
      readonly extremities: readonly string[];
      readonly lost: readonly LostState[];
    }
  /** The state became known: a join was completed or history was filled in. */
  | { readonly cause: "completion"; readonly events: readonly string[] }
  /** Events that had been waiting for ancestors were decided. */
  | { readonly cause: "late-decision"; readonly events: readonly string[]; readonly extremities: readonly string[] };

/** A change of a room's current state: exactly what differs, and why. */
export interface StateChange {
  readonly roomId: string;
  readonly differences: readonly StateDifference[];
  readonly cause: StateCause;
}

/** Something worth counting. Names are stable. */
export interface Metric {
  readonly name:
    | "room.commit.events"
    | "room.commit.conflict"
    | "room.extremities"
    | "room.pending"
    | "room.pending.evicted"
    | "room.gap"
    | "room.completion.failed"
    | "room.resolution.states"
    | "fetch.requests"
    | "outbox.sent"
    | "outbox.failed"
    | "outbox.collapsed";
  readonly value: number;
  readonly roomId?: string;
  readonly server?: string;
}

/** Told of what was decided, after it was committed. An observer that throws changes nothing. */
export interface Observer {
  onReceipt?(receipt: Receipt, context: { readonly roomId: string; readonly origin: string }): void;
  onStateChange?(change: StateChange): void;
  onMetric?(metric: Metric): void;
  /** Something that the host should look at, such as an observer or a subscriber that threw. */
  onFault?(fault: { readonly where: string; readonly error: unknown; readonly refusal?: Refusal }): void;
}
