/** What asking others may cost. */
import { UsageError } from "../../errors.js";

export interface HttpClientLimits {
  /**
   * Bytes of the body of an answer. The longest usual one has 100 events of 65,536 bytes, which may be written with
   * twice the characters.
   */
  readonly answerBytes: number;
  /**
   * The same where the answer holds the state of a room or its auth chain (`send_join`, `state`, `state_ids`,
   * `event_auth`): a member costs about 1 kB there, so this is a room of some 200,000.
   */
  readonly stateBytes: number;
  /** Bytes of an answer with any status but success; of a longer one the status alone counts. */
  readonly errorBytes: number;
  /** Milliseconds from the first connection to the end of the answer; the second for answers with a state. */
  readonly requestTime: number;
  readonly stateTime: number;
  /** Requests under way at once: to one server, in all, and of those whose answer holds a state in all. */
  readonly parallelPerServer: number;
  readonly parallel: number;
  readonly parallelStates: number;
  /** Requests that wait for their turn: for one server, and in all. */
  readonly waitingPerServer: number;
  readonly waiting: number;
  /** First pause after a server could not be reached, and the longest, in milliseconds. */
  readonly retryFirst: number;
  readonly retryLongest: number;
  /** Servers that could not be reached of which this is remembered. */
  readonly servers: number;
}

const MIB = 1024 * 1024;

export const defaultHttpClientLimits: HttpClientLimits = Object.freeze({
  answerBytes: 16 * MIB,
  stateBytes: 256 * MIB,
  errorBytes: 64 * 1024,
  requestTime: 60_000,
  stateTime: 300_000,
  parallelPerServer: 32,
  parallel: 512,
  parallelStates: 4,
  waitingPerServer: 256,
  waiting: 10_000,
  retryFirst: 1_000,
  retryLongest: 300_000,
  servers: 10_000,
});

/** The defaults with some changed. @throws UsageError for a limit that is no positive integer. */
export function httpClientLimitsOf(changes: Partial<HttpClientLimits> = {}): HttpClientLimits {
  for (const [name, value] of Object.entries<unknown>(changes)) {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value <= 0)
      throw new UsageError(`limit ${name} must be a positive integer`);
  }
  return Object.freeze({ ...defaultHttpClientLimits, ...changes });
}
