/** Bounds on what others can make a key ring keep or do. Every one can be set; none can be switched off. */
import { changedLimits } from "../../engine/limits.js";
import { UsageError } from "../../errors.js";

export interface KeyLimits {
  /** Milliseconds that one request for keys may take, and that one call of `lookup` or `query` may wait in all. */
  readonly requestTime: number;
  readonly lookupTime: number;
  /** How many servers are asked at a time: for this server's own needs, and for those who ask it as a notary. */
  readonly parallel: number;
  readonly queryParallel: number;
  /** How many servers that others ask for may wait for their turn. */
  readonly queryWaiting: number;
  /** How many servers' keys stay in memory; up to twice as many for a while. */
  readonly servers: number;
  /** Keys of one server, old ones among them: in an answer, and in memory. */
  readonly keysPerServer: number;
  /** Bytes of an answer, as canonical JSON. */
  readonly answerBytes: number;
  /** Servers in one notary query, asked or answered, and key ids for each. */
  readonly queryServers: number;
  /** Milliseconds before a server that answered is asked once more, whatever is wanted of it. */
  readonly refreshPause: number;
  /** The first pause after a failure, and the longest, in milliseconds. */
  readonly retryFirst: number;
  readonly retryLongest: number;
  /** Milliseconds for which this server's own keys are published; renewed when half of them are over. */
  readonly publishFor: number;
}

const HOUR = 60 * 60 * 1000;

export const defaultKeyLimits: KeyLimits = Object.freeze({
  requestTime: 10_000,
  lookupTime: 30_000,
  parallel: 16,
  queryParallel: 8,
  queryWaiting: 500,
  servers: 2_000,
  keysPerServer: 64,
  answerBytes: 65_536,
  queryServers: 100,
  refreshPause: 10_000,
  retryFirst: 1_000,
  retryLongest: 5 * 60 * 1000,
  publishFor: 24 * HOUR,
});

/** The defaults with some changed. @throws UsageError for a limit that cannot be kept. */
export function keyLimitsOf(changes: Partial<KeyLimits> = {}): KeyLimits {
  const limits = changedLimits(defaultKeyLimits, changes);
  // Server-server-api, "Publishing Keys": answers that expire in less than an hour are asked for again and again.
  if (limits.publishFor < 2 * HOUR) throw new UsageError("limit publishFor must be two hours at least");
  return limits;
}
