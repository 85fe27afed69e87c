/** Both halves of federation over HTTP together. */
import type { Keys } from "../../ports/keys.js";
import type { Transport } from "../../ports/transport.js";
import { createHttpClient } from "./client.js";
import type { HttpClientMetric, HttpClientOptions } from "./client.js";
import { createHttpHandler } from "./handle.js";
import type { HttpHandler, HttpHandlerOptions, HttpServerMetric } from "./handle.js";
import type { HttpClientLimits } from "./client-limits.js";
import type { HttpHandlerLimits } from "./handler-limits.js";

type Several = "keys" | "limits" | "onMetric" | "onHeard";

export interface HttpTransportOptions extends Omit<HttpClientOptions, Several>, Omit<HttpHandlerOptions, Several> {
  /** Or what gives them, once they are there: a key ring asks for keys by this transport. */
  readonly keys: Pick<Keys, "sign" | "lookup" | "verify"> | (() => Pick<Keys, "sign" | "lookup" | "verify">);
  readonly limits?: { readonly client?: Partial<HttpClientLimits>; readonly handler?: Partial<HttpHandlerLimits> };
  readonly onMetric?: (metric: HttpClientMetric | HttpServerMetric) => void;
}

/** Asks other servers by a connector, and answers requests that the host hands to `handle`. */
export interface HttpTransport extends Transport, Pick<HttpHandler, "handle"> {
  /** Ends what was asked of others and is under way (`cancelled`), and all connections to them. */
  close(): Promise<void>;
}

/** A transport over HTTP. Whoever asks is there: what waits to be tried again with them is tried at once. */
export function createHttpTransport(options: HttpTransportOptions): HttpTransport {
  const { limits = {}, ...both } = options;
  const client = createHttpClient({ ...both, ...(limits.client && { limits: limits.client }) });
  const handler = createHttpHandler({
    ...both,
    ...(limits.handler && { limits: limits.handler }),
    onHeard: (server) => client.heardFrom(server),
  });
  return Object.freeze<HttpTransport>({
    request: (destination, name, request, cancel) => client.request(destination, name, request, cancel),
    listen: (receiver) => handler.listen(receiver),
    handle: (request, info) => handler.handle(request, info),
    close: () => client.close(),
  });
}
