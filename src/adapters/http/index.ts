/**
 * Federation over HTTP on what every platform has: `Request`, `Response`, `fetch`. A handler answers other servers, a
 * client asks them by a connector, and a transport is both.
 *
 * @module
 */
export { createHttpClient } from "./client.js";
export type { HttpClient, HttpClientMetric, HttpClientOptions } from "./client.js";
export { defaultHttpClientLimits } from "./client-limits.js";
export type { HttpClientLimits } from "./client-limits.js";
export type { Connected, Connector, HttpAnswer, HttpRequest } from "./connector.js";
export { createFetchConnector } from "./fetch.js";
export type { FetchConnectorOptions } from "./fetch.js";
export type { AllowedAddresses } from "./addresses.js";
export { createHttpHandler } from "./handle.js";
export type { HttpHandler, HttpHandlerOptions, HttpServerMetric, RequestInfo } from "./handle.js";
export { defaultHttpHandlerLimits } from "./handler-limits.js";
export type { HttpHandlerLimits } from "./handler-limits.js";
export { createHttpTransport } from "./transport.js";
export type { HttpTransport, HttpTransportOptions } from "./transport.js";
export { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest, isUnknownEndpoint } from "./wire/index.js";
export type { DecodedRequest, WireAnswer, WireContext, WireRequest } from "./wire/index.js";
