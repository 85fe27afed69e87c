/** What the operations for keys stand on. */
import type { JsonObject } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";

/** What a server publishes of keys: its own, and as a notary those of others. A key ring is one. */
export interface KeyPublisher {
  /** This server's keys, signed by each of them. */
  publish(cancel?: Cancel): Promise<JsonObject>;
  /** Answers a notary query. Without it, this server is no notary. */
  query?(request: OperationRequest<"query_keys">, cancel?: Cancel): Promise<OperationResult<"query_keys">>;
  /** Told that a server can be reached, so that one that could not be asked for its keys is asked again. */
  heardFrom?(server: string): void;
}
