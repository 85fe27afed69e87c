/**
 * Federation over HTTPS for Node: who listens for other servers, and who finds and asks them.
 *
 * @module
 */
export { createNodeConnector, defaultNodeConnectorLimits } from "./connector.js";
export type { NodeConnector, NodeConnectorLimits, NodeConnectorMetric, NodeConnectorOptions } from "./connector.js";
export type { OpenSocket } from "./agent.js";
export { createHostResolver } from "./resolver.js";
export type { HostResolver, HostResolverOptions } from "./resolver.js";
export { defaultListenLimits, listenHttp, listenHttps } from "./listen.js";
export type { Certificate, Listening, ListenLimits, ListenOptions } from "./listen.js";
export { createNodeListener } from "./serve.js";
export type { NodeListener, NodeListenerOptions } from "./serve.js";
export { createNodeTransport } from "./transport.js";
export type { NodeTransportOptions } from "./transport.js";
