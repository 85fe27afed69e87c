/** Calls of the storage port that are not about one room. */
import type { Storage } from "../../ports/storage.js";

export type OtherCalls = Pick<
  Storage,
  | "outboxDestinations"
  | "readOutbox"
  | "settleOutbox"
  | "lease"
  | "readTransaction"
  | "recordTransaction"
  | "readOutside"
  | "putOutside"
  | "removeOutside"
  | "readIntents"
  | "putIntent"
  | "removeIntents"
>;
