/** The rows that are kept whole, each as the `row` of its table. */
import type {
  Intent,
  OutsideMembership,
  PendingEvent,
  RoomRecord,
  TransactionAnswer,
  Waiting,
} from "../../ports/storage.js";
import { wholeOf } from "./row.js";
import type { Whole } from "./row.js";
import type { ServerKeys } from "./stores.js";

export const records: Whole<RoomRecord> = wholeOf();
export const pendingEvents: Whole<PendingEvent> = wholeOf();
export const waitingRows: Whole<Waiting> = wholeOf();
export const answers: Whole<TransactionAnswer> = wholeOf();
export const memberships: Whole<OutsideMembership> = wholeOf();
export const intentRows: Whole<Intent> = wholeOf();
export const serverKeys: Whole<ServerKeys> = wholeOf();
