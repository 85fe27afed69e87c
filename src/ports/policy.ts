/** What a host may refuse beyond the rules of the room. */
import type { Pdu } from "../event/pdu.js";
import type { StrippedStateEvent } from "../event/stripped.js";
import type { Awaitable, Cancel } from "./cancel.js";

/** Why the host refuses: a code of its own, and a sentence for a person. */
export interface PolicyRefusal {
  /** Stable, lower case, such as `blocked` or `spam`. */
  readonly code: string;
  readonly reason: string;
}

/** An invite that reaches a user of this server. */
export interface InviteAttempt {
  readonly roomId: string;
  readonly roomVersion: string;
  readonly sender: string;
  readonly target: string;
  readonly state: readonly StrippedStateEvent[];
}

/** Somebody who wants to join or knock: a remote user through this server, or a user of this server. */
export interface JoinAttempt {
  readonly roomId: string;
  readonly userId: string;
  readonly membership: "join" | "knock";
}

/** An event that the rules of the room allow. */
export interface EventAttempt {
  readonly event: Pdu;
  readonly roomVersion: string;
  /** The server that it came from; this server itself for an event made here. */
  readonly origin: string;
}

/** An event that another server, or this one, wants recommended by this server as the policy server of its room. */
export interface RecommendationAttempt {
  /** Its format, content hash and signatures hold. Whether the rules of the room allow it was not looked at. */
  readonly event: Pdu;
  readonly roomVersion: string;
  /** The server that asks, which need not be the sender's. */
  readonly origin: string;
}

/**
 * Hooks that refuse. Each answers a refusal or `undefined`; one that is absent refuses nothing. A refused
 * event of another server is kept as soft-failed, because other servers may accept it; a refused event of
 * this server is never sent.
 */
export interface Policy {
  checkInvite?(attempt: InviteAttempt, cancel?: Cancel): Awaitable<PolicyRefusal | undefined>;
  checkJoin?(attempt: JoinAttempt, cancel?: Cancel): Awaitable<PolicyRefusal | undefined>;
  checkEvent?(attempt: EventAttempt, cancel?: Cancel): Awaitable<PolicyRefusal | undefined>;
  /**
   * Asked where rooms name this server as their policy server (`m.room.policy`) and the Keys port can sign as one. An
   * event that is not refused is signed, and that cannot be taken back. Asked once for an event while it is remembered:
   * what was said should be said again, else servers part ways over what they show.
   */
  checkRecommendation?(attempt: RecommendationAttempt, cancel?: Cancel): Awaitable<PolicyRefusal | undefined>;
  /** Whether to deal with a server at all. */
  checkServer?(server: string, cancel?: Cancel): Awaitable<PolicyRefusal | undefined>;
}
