/** How operations travel between servers. */
import type { Cancel } from "./cancel.js";
import type { OperationName, OperationRequest, OperationResult } from "./operations.js";

/**
 * Answers operations of other servers. Who asks is the transport's to establish: `origin` is authenticated, not taken
 * from a body, and is believed. What is asked is the receiver's to check: an unknown operation, a field that is absent
 * or of another type, and what is no event are answered and not thrown, so `request` may be whatever was decoded.
 */
export type Receiver = <N extends OperationName>(
  origin: string,
  name: N,
  request: OperationRequest<N>,
  cancel?: Cancel,
) => Promise<OperationResult<N>>;

/**
 * Carries operations. It may lose, delay, repeat and reorder them; it must not invent an origin. Failures
 * are values (`unreachable`, `timeout`, `cancelled`), never thrown.
 */
export interface Transport {
  request<N extends OperationName>(
    destination: string,
    name: N,
    request: OperationRequest<N>,
    cancel?: Cancel,
  ): Promise<OperationResult<N>>;
  /** Receives operations from now on, in place of any receiver before. Returns what stops it. */
  listen(receiver: Receiver): () => void;
}
