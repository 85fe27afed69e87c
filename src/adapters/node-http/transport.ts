/** Federation over HTTPS in one: who is asked, and who asks. */
import { createHttpTransport } from "../http/transport.js";
import type { HttpTransport, HttpTransportOptions } from "../http/transport.js";
import { createNodeConnector } from "./connector.js";
import type { NodeConnectorLimits, NodeConnectorMetric, NodeConnectorOptions } from "./connector.js";

type HttpMetric = Parameters<NonNullable<HttpTransportOptions["onMetric"]>>[0];
type Several = "limits" | "onMetric";

export interface NodeTransportOptions
  extends Omit<HttpTransportOptions, Several | "connector">, Omit<NodeConnectorOptions, Several> {
  readonly limits?: NonNullable<HttpTransportOptions["limits"]> & {
    readonly connector?: Partial<NodeConnectorLimits>;
  };
  readonly onMetric?: (metric: HttpMetric | NodeConnectorMetric) => void;
}

/**
 * A transport of a Node process: finds and asks other servers as `createNodeConnector` does, and answers the requests
 * that a listener hands to `handle`:
 *
 * ```ts
 * const transport = createNodeTransport({ server, keys: () => ring, clock, random });
 * const ring = createKeyRing({ server, own, transport, clock });
 * const listening = await listenHttps({ port: 8448, handler: transport, key, cert });
 * ```
 */
export function createNodeTransport(options: NodeTransportOptions): HttpTransport {
  const { connector: limits, ...others } = options.limits ?? {};
  const connector = createNodeConnector({ ...options, limits: limits ?? {} });
  return createHttpTransport({ ...options, limits: others, connector });
}
