/** Bounds on what EDUs can make a server keep or do. Every one can be set; none can be switched off. */
import { changedLimits } from "../../engine/limits.js";

export interface EduLimits {
  /** EDUs in one transaction (server-server-api, "Transactions"), and bytes of those that are sent in one. */
  readonly transactionEdus: number;
  readonly transactionBytes: number;
  /** Rooms about which one transaction is heard. */
  readonly transactionRooms: number;
  /** Bytes of one EDU, as canonical JSON. */
  readonly eduBytes: number;
  /** Receipts, presence updates, messages to a device or previous updates in one EDU; devices in an answer. */
  readonly entries: number;
  /** Milliseconds after which who is said to type, and is not said to any more, has stopped. */
  readonly typingTime: number;
  /** How many users are remembered as typing, and how many receipts, so that an older one replaces none. */
  readonly typists: number;
  readonly receipts: number;
  /** Users of other servers whose device lists are followed, and updates of each that are remembered. */
  readonly deviceUsers: number;
  readonly deviceUpdates: number;
  /** Users of one server whose device lists wait to be asked for, and how often in vain one is. */
  readonly resyncUsers: number;
  readonly resyncAttempts: number;
  /** First pause after a device list could not be had, and the longest, in milliseconds. */
  readonly retryFirst: number;
  readonly retryLongest: number;
  /** EDUs that wait for one destination: those that must arrive, and those that may be lost. */
  readonly queuedReliable: number;
  readonly queuedEphemeral: number;
}

export const defaultEduLimits: EduLimits = Object.freeze({
  transactionEdus: 100,
  transactionBytes: 4 * 1024 * 1024,
  transactionRooms: 1_000,
  eduBytes: 1024 * 1024,
  entries: 10_000,
  typingTime: 60_000,
  typists: 10_000,
  receipts: 10_000,
  deviceUsers: 10_000,
  deviceUpdates: 100,
  resyncUsers: 1_000,
  resyncAttempts: 10,
  retryFirst: 1_000,
  retryLongest: 60 * 60 * 1000,
  queuedReliable: 2_000,
  queuedEphemeral: 1_000,
});

/** The defaults with some changed. @throws UsageError for a limit that is no positive integer. */
export function eduLimitsOf(changes: Partial<EduLimits> = {}): EduLimits {
  return changedLimits(defaultEduLimits, changes);
}
