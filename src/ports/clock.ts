/** Time, as the host has it. */
import type { Cancel } from "./cancel.js";

/** The only source of time. It may jump, and it may lie: nothing about a verdict depends on it. */
export interface Clock {
  /**
   * Whole milliseconds since 1970: the time becomes the `origin_server_ts` of events, which is an integer. A clock
   * that is finer is rounded by the host.
   */
  now(): number;
  /**
   * Resolves after about `ms` milliseconds, or as soon as `cancel` fires, whichever is first. Never rejects. A sleep of
   * no time needs none to pass: long work sleeps so, that others have their turn.
   */
  sleep(ms: number, cancel?: Cancel): Promise<void>;
}
