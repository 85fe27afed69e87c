/** Answering for the EDU module, where there is one. */
import type { Cancel } from "../../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import { fail } from "../context.js";
import type { Federation } from "../context.js";

export async function serveUserDevices(
  { edus }: Federation,
  origin: string,
  request: OperationRequest<"user_devices">,
  cancel?: Cancel,
): Promise<OperationResult<"user_devices">> {
  if (edus === undefined) return fail("not_found", "this server tells nobody's devices");
  return edus.serveDevices(origin, request, cancel);
}
