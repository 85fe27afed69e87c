/** Asking another server, or this one itself. */
import type { Cancel } from "../../ports/cancel.js";
import type { OperationName, OperationRequest, OperationResult } from "../../ports/operations.js";
import type { Federation } from "../context.js";

/** What answers an operation here. */
type Serve<N extends OperationName> = (
  federation: Federation,
  origin: string,
  request: OperationRequest<N>,
  cancel?: Cancel,
) => Promise<OperationResult<N>>;

/** What is of this server is not sent around. The answer is unchecked in both cases. */
export function ask<N extends OperationName>(
  federation: Federation,
  { server, cancel }: { readonly server: string; readonly cancel?: Cancel | undefined },
  name: N,
  request: OperationRequest<N>,
  serve: Serve<N>,
): Promise<OperationResult<N>> {
  const { host } = federation;
  if (server === host.server) return serve(federation, server, request, cancel);
  return host.transport.request(server, name, request, cancel);
}
