/** Bounds on what others can make a server keep or do. Every one can be set; none can be switched off. */
import { UsageError } from "../errors.js";

export interface Limits {
  /** Events that cannot be decided yet: how many and how many bytes a room keeps, and how many of one origin. */
  readonly pendingCount: number;
  readonly pendingBytes: number;
  readonly pendingPerOrigin: number;
  /** Milliseconds after which an undecided event is given up. */
  readonly pendingAge: number;
  /** How often missing ancestors are asked for before the state at the gap is fetched instead. */
  readonly fetchRounds: number;
  /** How many events one `get_missing_events` or `backfill` asks for. */
  readonly fetchEvents: number;
  /** How many events one call of `receive` may fetch in all. */
  readonly fetchTotal: number;
  /** How many servers are asked for the same thing. */
  readonly fetchServers: number;
  /** Milliseconds that fetching may take for one call of `receive`. */
  readonly fetchTime: number;
  /** Milliseconds that asking a room's policy server may take for one call. */
  readonly policyTime: number;
  /** How many events it is asked about at once. */
  readonly policyRequests: number;
  /** How many events that were waiting are decided in one commit. */
  readonly settlePerCommit: number;
  /** How often a commit is tried against other writers before the call gives up. */
  readonly commitAttempts: number;
  /** Above this many forward extremities a merge event is sent, if a local user may. */
  readonly mergeAbove: number;
  /** How many events and states a room keeps in memory beyond its current state and auth graph. */
  readonly cachedEvents: number;
  readonly cachedStates: number;
  readonly cachedResolutions: number;
  /** PDUs in one transaction (server-server-api, "Transactions"). */
  readonly transactionPdus: number;
  /** Rows of one destination's queue before they collapse to one for each room. */
  readonly outboxRows: number;
  /** Events in an answer to `backfill` or `get_missing_events`. */
  readonly answerEvents: number;
  /** Rooms in an answer to `public_rooms` or `hierarchy`, and taken from one. */
  readonly answerRooms: number;
  /** Events in the state and auth chain of an answer to `send_join` or `state`. */
  readonly joinEvents: number;
  /** Signatures of one answer, and bytes under them, that are with the Keys port while more of it is read. */
  readonly aheadSignatures: number;
  readonly aheadBytes: number;
  /** Servers that are taken to be in a room because the server says so that it was joined by, its members unknown. */
  readonly toldServers: number;
  /** First pause after a failed delivery, and the longest, in milliseconds. */
  readonly retryFirst: number;
  readonly retryLongest: number;
  /** Milliseconds of pauses, since the last restart, after which a join that was interrupted is given up. */
  readonly resumeTime: number;
  /** Milliseconds that events of a room wait for a join of it that is under way: all that their server sends waits. */
  readonly joinWait: number;
  /** Milliseconds that an answer to another server may take. */
  readonly requestTime: number;
  /** Milliseconds that the answer to a transaction is remembered. */
  readonly transactionMemory: number;
}

export const defaultLimits: Limits = Object.freeze({
  pendingCount: 1_000,
  pendingBytes: 8 * 1024 * 1024,
  pendingPerOrigin: 200,
  pendingAge: 60 * 60 * 1000,
  fetchRounds: 20,
  fetchEvents: 50,
  fetchTotal: 2_000,
  fetchServers: 4,
  fetchTime: 60_000,
  policyTime: 30_000,
  policyRequests: 5,
  settlePerCommit: 200,
  commitAttempts: 100,
  mergeAbove: 10,
  cachedEvents: 4_000,
  cachedStates: 2_000,
  cachedResolutions: 1_000,
  transactionPdus: 50,
  outboxRows: 500,
  answerEvents: 100,
  answerRooms: 100,
  joinEvents: 1_000_000,
  aheadSignatures: 32_768,
  aheadBytes: 32 * 1024 * 1024,
  toldServers: 20_000,
  retryFirst: 1_000,
  retryLongest: 60 * 60 * 1000,
  resumeTime: 24 * 60 * 60 * 1000,
  joinWait: 10_000,
  requestTime: 60_000,
  transactionMemory: 24 * 60 * 60 * 1000,
});

/** The defaults with some changed. @throws UsageError for a limit that is no positive integer. */
export function limitsOf(changes: Partial<Limits> = {}): Limits {
  return changedLimits(defaultLimits, changes);
}

/** The same for any set of limits. */
export function changedLimits<T extends object>(defaults: T, changes: Partial<T>): Readonly<T> {
  for (const [name, value] of Object.entries<unknown>(changes)) {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value <= 0)
      throw new UsageError(`limit ${name} must be a positive integer`);
  }
  return Object.freeze({ ...defaults, ...changes });
}
