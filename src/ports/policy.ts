/** What a host may refuse beyond the rules of the room. */
import type { Pdu } from "../event/pdu.js";
import type { StrippedStateEvent } from "../event/stripped.js";
import type { Awaitable, Cancel } from "./cancel.js";

interface Refusing {
  /** The host's own word for it: stable, lower case, such as `blocked` or `spam`. */
  readonly code: string;
  /** A sentence for a person. Another server is shown it too. */
  readonly reason: string;
}

/** Why the host refuses. Another server is answered `policy_refused`, which Matrix does not tell from `forbidden`. */
export interface PolicyRefusal extends Refusing {
  readonly as?: undefined;
}

/**
 * The invitee takes no such invite, be it of anybody or of this inviter (client-server-api, "Invite permission"). The
 * inviter's server is answered `invite_blocked`, and so can tell its user that asking again is of no use. What the host
 * refuses for all of its users is a {@link PolicyRefusal} (server-server-api, `PUT /invite`, 403).
 */
export interface InviteBlocked extends Refusing {
  readonly as: "invite_blocked";
}

/**
 * Too much was asked for lately. Another server is answered `limit_exceeded` and may ask again later
 * (client-server-api, "Rate limiting"); one of this library sends its next transaction no sooner than that.
 */
export interface LimitExceeded extends Refusing {
  readonly as: "limit_exceeded";
  /** After how many milliseconds it is worth asking again: no less than 0, and rounded up to a whole number. */
  readonly retryAfterMs: number;
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
 * this server is never sent. To a user of this server each kind of refusal is `policy_refused`.
 */
export interface Policy {
  checkInvite?(
    attempt: InviteAttempt,
    cancel?: Cancel,
  ): Awaitable<PolicyRefusal | InviteBlocked | LimitExceeded | undefined>;
  checkJoin?(attempt: JoinAttempt, cancel?: Cancel): Awaitable<PolicyRefusal | LimitExceeded | undefined>;
  checkEvent?(attempt: EventAttempt, cancel?: Cancel): Awaitable<PolicyRefusal | undefined>;
  /**
   * Asked where rooms name this server as their policy server (`m.room.policy`) and the Keys port can sign as one. An
   * event that is not refused is signed, and that cannot be taken back. Asked once for an event while it is remembered:
   * what was said should be said again, else servers part ways over what they show.
   */
  checkRecommendation?(attempt: RecommendationAttempt, cancel?: Cancel): Awaitable<PolicyRefusal | undefined>;
  /**
   * Whether to deal with a server at all, or now. Asked once for each operation that a server asks for by its name, and
   * so the place to limit how much it may ask for. Keys and what anybody may ask for are the transport's to limit.
   */
  checkServer?(server: string, cancel?: Cancel): Awaitable<PolicyRefusal | LimitExceeded | undefined>;
}
