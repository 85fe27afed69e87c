/** What becomes of an event that a server receives (spec server-server-api, "Checks performed on receipt of a PDU"). */
import type { Refusal } from "../errors.js";

/**
 * What an accepted or rejected event was judged against last. An event that came as part of a state or an
 * auth chain is judged by its auth events alone, until its place in history is known.
 */
export type VerdictBasis = "state-before" | "auth-events";

/** The verdict of an event that is stored. */
export type StoredVerdict =
  /** `rule` is the line that allowed it, such as `v10 rule 4.3.6`. */
  | { readonly standing: "accepted"; readonly rule: string; readonly basis: VerdictBasis }
  /**
   * Allowed by its auth events and the state before it; not by the room's current state or the host's policy, or not
   * recommended by the room's policy server.
   */
  | {
      readonly standing: "soft-failed";
      readonly check: "current-state" | "policy" | "policy-server";
      readonly rule: string;
      readonly refusal: Refusal;
    }
  | {
      readonly standing: "rejected";
      readonly check: "size" | "auth-events" | "state-before";
      readonly refusal: Refusal;
    };

/** The answer to one received event. */
export type Verdict =
  | {
      readonly verdict: "accepted";
      readonly eventId: string;
      readonly rule: string;
      readonly basis: VerdictBasis;
      /** Whether its content hash did not match, so that its redacted copy stands for it (check 3). */
      readonly redacted: boolean;
    }
  /** Check 6: the room's current state refuses it. */
  | { readonly verdict: "soft-failed"; readonly eventId: string; readonly refusal: Refusal }
  /** Check 7: the host's policy refuses it; kept as soft-failed. */
  | { readonly verdict: "policy-refused"; readonly eventId: string; readonly refusal: Refusal }
  /** Check 7: the room's policy server does not recommend it, or could not be asked; kept as soft-failed. */
  | { readonly verdict: "not-recommended"; readonly eventId: string; readonly refusal: Refusal }
  /** Check 4. */
  | { readonly verdict: "rejected-by-auth-events"; readonly eventId: string; readonly refusal: Refusal }
  /** Check 5. */
  | { readonly verdict: "rejected-by-state"; readonly eventId: string; readonly refusal: Refusal }
  /** A field is longer than 255 bytes, though not code points (v1-10): stored as rejected. */
  | { readonly verdict: "rejected-for-size"; readonly eventId: string; readonly refusal: Refusal }
  /** Ancestors or auth events are missing. Not rejected: kept within bounds, and decided when they arrive. */
  | { readonly verdict: "pending"; readonly eventId: string; readonly waitsFor: readonly string[] }
  /** Check 1: not a PDU of this room. Dropped. */
  | { readonly verdict: "malformed"; readonly refusal: Refusal }
  /** Check 2: a required signature is absent or wrong. Dropped. */
  | { readonly verdict: "bad-signature"; readonly eventId: string; readonly refusal: Refusal }
  /** A key that decides cannot be had now. Dropped, and decided when it is received again. */
  | { readonly verdict: "unverifiable"; readonly eventId: string; readonly refusal: Refusal };

/** The answer to one received event, and whether it was known before. */
export interface Receipt {
  readonly verdict: Verdict;
  readonly duplicate: boolean;
}
