/** Answering who asks for keys. Nobody has to prove who they are to ask: keys are what proof begins with. */
import type { Cancel } from "../../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import { answer, fail } from "../context.js";
import type { Federation } from "../context.js";

export async function serveServerKeys(
  { publishes }: Federation,
  _origin: string,
  _request: OperationRequest<"server_keys">,
  cancel?: Cancel,
): Promise<OperationResult<"server_keys">> {
  if (publishes === undefined) return fail("not_found", "this server publishes no keys");
  return answer<"server_keys">({ keys: await publishes.publish(cancel) });
}

export async function serveQueryKeys(
  { publishes }: Federation,
  _origin: string,
  request: OperationRequest<"query_keys">,
  cancel?: Cancel,
): Promise<OperationResult<"query_keys">> {
  if (publishes?.query === undefined) return fail("not_found", "this server is no notary");
  return publishes.query(request, cancel);
}
