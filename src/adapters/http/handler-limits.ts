/** What being asked may cost. */
import { UsageError } from "../../errors.js";

export interface HttpHandlerLimits {
  /** Bytes of the body of a request: of those that a server may have to take, a transaction is the longest. */
  readonly requestBytes: number;
  /** Bytes of all bodies that are being read or dealt with. */
  readonly bodiesBytes: number;
  /** Milliseconds in which a body has to arrive. */
  readonly bodyTime: number;
  /** Requests that are dealt with at once: in all, of one server that has proved who it is, and from one address. */
  readonly parallel: number;
  readonly parallelPerServer: number;
  readonly parallelPerAddress: number;
  /** The same, in all, of requests that nobody has to prove: others need the keys before they can prove anything. */
  readonly parallelUnsigned: number;
  /** Milliseconds after which whoever asked too much is told to ask again. */
  readonly retryAfter: number;
}

export const defaultHttpHandlerLimits: HttpHandlerLimits = Object.freeze({
  // 50 events and 100 EDUs of 65,536 bytes have a third more room than they need.
  requestBytes: 200 * 65_536,
  bodiesBytes: 20 * 200 * 65_536,
  bodyTime: 60_000,
  parallel: 512,
  parallelPerServer: 64,
  parallelPerAddress: 128,
  parallelUnsigned: 128,
  retryAfter: 1_000,
});

/** The defaults with some changed. @throws UsageError for a limit that is no positive integer. */
export function httpHandlerLimitsOf(changes: Partial<HttpHandlerLimits> = {}): HttpHandlerLimits {
  for (const [name, value] of Object.entries<unknown>(changes)) {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value <= 0)
      throw new UsageError(`limit ${name} must be a positive integer`);
  }
  return Object.freeze({ ...defaultHttpHandlerLimits, ...changes });
}
