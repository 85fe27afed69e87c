/**
 * Each operation as HTTP says it (server-server-api): one table, for those who ask and for those who answer. What is
 * read is not looked at: a field may be absent or of any type, and whoever takes it looks.
 */
import { operationTable } from "../../../federation/endpoints.js";
import type { Endpoint } from "../../../federation/endpoints.js";
import { fromMatrixError, toMatrixError } from "../../../federation/errors.js";
import { get, isObject } from "../../../json/value.js";
import type { JsonValue } from "../../../json/value.js";
import type {
  OperationErrorCode,
  OperationName,
  OperationRequest,
  OperationResult,
} from "../../../ports/operations.js";
import { eventForms } from "./events.js";
import { keyForms } from "./keys.js";
import { membershipForms } from "./membership.js";
import type { DecodedRequest, Received, WireAnswer, WireContext, WireForm, WireForms, WireRequest } from "./model.js";
import { queryForms } from "./queries.js";
import { transactionForms } from "./transactions.js";
import { decodePath, decodeQuery, matcherOf, segmentsOf, splitUri, uriOf } from "./uri.js";
import type { PathMatcher } from "./uri.js";

export type { DecodedRequest, WireAnswer, WireContext, WireRequest } from "./model.js";

/** An operation that is not in it is a type error. */
const forms: WireForms = { ...membershipForms, ...eventForms, ...transactionForms, ...keyForms, ...queryForms };

interface Route {
  readonly name: OperationName;
  readonly endpoint: Endpoint;
  readonly match: PathMatcher;
}

// The compiler has seen that the keys are the names.
const routes: readonly Route[] = (Object.keys(forms) as OperationName[]).flatMap((name) =>
  operationTable[name].endpoints.map((endpoint) => ({ name, endpoint, match: matcherOf(endpoint) })),
);

/** The way that an endpoint is written: both tables have them in one order. */
function formAt<N extends OperationName>(name: N, endpoint: Endpoint): WireForm<N> | undefined {
  return forms[name][operationTable[name].endpoints.indexOf(endpoint)];
}

// ---- asking -----------------------------------------------------------------------------------------------

/** The ways to ask for something, best first: the next is tried where one is unknown ({@link isUnknownEndpoint}). */
export function encodeRequest<N extends OperationName>(
  name: N,
  request: OperationRequest<N>,
  context: WireContext,
): readonly WireRequest[] {
  return operationTable[name].endpoints.flatMap((endpoint): readonly WireRequest[] => {
    const parts = formAt(name, endpoint)?.write(request, context);
    const uri = parts && uriOf(endpoint, parts);
    if (parts === undefined || uri === undefined) return [];
    const asked = { method: endpoint.method, uri };
    return [parts.content === undefined ? asked : { ...asked, content: parts.content }];
  });
}

/** Whether an answer says that there is no such endpoint: in Matrix's words, or by a 404 of what knows none of them. */
export function isUnknownEndpoint({ status, content }: WireAnswer): boolean {
  if (status < 400 || status >= 500) return false;
  const errcode = isObject(content) ? get(content, "errcode") : undefined;
  if (typeof errcode === "string") return errcode === "M_UNRECOGNIZED";
  return status === 404 || status === 405;
}

/** What was answered. What is no answer to it is `internal`: the other server did not say what it did. */
export function decodeAnswer<N extends OperationName>(
  name: N,
  asked: WireRequest,
  { status, content }: WireAnswer,
): OperationResult<N> {
  if (status < 200 || status >= 300) return { ok: false, error: fromMatrixError(status, content) };
  const form = formAt(name, endpointOf(name, asked));
  const value = content === undefined ? undefined : form?.readAnswer(content, asked);
  if (value !== undefined) return { ok: true, value };
  return { ok: false, error: { code: "internal", reason: `the answer is none to ${name}` } };
}

function endpointOf(name: OperationName, { method, uri }: WireRequest): Endpoint {
  const { endpoints } = operationTable[name];
  const segments = segmentsOf(splitUri(uri).path);
  const matching = endpoints.find((one) => one.method === method && matcherOf(one)(segments) !== undefined);
  return matching ?? endpoints[0];
}

// ---- answering --------------------------------------------------------------------------------------------

/** Where a request arrived. */
export interface Routed {
  readonly ok: true;
  readonly name: OperationName;
  readonly endpoint: Endpoint;
}

type Unrouted = Extract<DecodedRequest, { readonly ok: false }>;

/** What operation a request is for: by its path and method alone, before there is a body. */
export function routeOf(method: string, uri: string): Routed | Unrouted {
  const segments = segmentsOf(splitUri(uri).path);
  const matching = routes.filter(({ match }) => match(segments) !== undefined);
  const route = matching.find(({ endpoint }) => endpoint.method === method);
  if (route !== undefined) return { ok: true, name: route.name, endpoint: route.endpoint };
  // "Unsupported endpoints".
  if (matching.length === 0) return refused("unrecognized", "there is no such endpoint", 404);
  return refused("unrecognized", `the endpoint has no ${method}`, 405);
}

/** The methods that a path has. */
export function methodsOf(uri: string): readonly Endpoint["method"][] {
  const segments = segmentsOf(splitUri(uri).path);
  return routes.flatMap(({ endpoint, match }) => (match(segments) === undefined ? [] : [endpoint.method]));
}

/** What is asked. `uri` is as it was on the wire, `content` absent where there was no body. */
export function decodeRequest(method: string, uri: string, content: JsonValue | undefined): DecodedRequest {
  const routed = routeOf(method, uri);
  if (!routed.ok) return routed;
  const { name, endpoint } = routed;
  const received = receivedAt(endpoint, uri, content);
  if (received === undefined) return refused("invalid_param", "the path or the query is not escaped UTF-8", 400);
  const request = formAt(name, endpoint)?.read(received);
  if (request === undefined) return refused("bad_request", "the body must be an object", 400);
  return { ok: true, name, request, endpoint };
}

function receivedAt(endpoint: Endpoint, uri: string, content: JsonValue | undefined): Received | undefined {
  const parts = splitUri(uri);
  const path = decodePath(matcherOf(endpoint)(segmentsOf(parts.path)) ?? new Map<string, string>());
  const query = decodeQuery(parts.query);
  if (path === undefined || query === undefined) return undefined;
  return {
    path: (name) => path.get(name) ?? "",
    query: (name) => query.get(name)?.[0],
    queries: (name) => query.get(name) ?? [],
    content,
  };
}

function refused(code: OperationErrorCode, reason: string, status: number): Unrouted {
  return { ok: false, error: { code, reason }, status };
}

/** How an answer is written. */
export function encodeAnswer<N extends OperationName>(
  name: N,
  endpoint: Endpoint,
  result: OperationResult<N>,
  context: WireContext,
): WireAnswer {
  if (!result.ok) {
    const { status, body } = toMatrixError(result.error);
    return { status, content: body };
  }
  const form = formAt(name, endpoint) ?? forms[name][0];
  return { status: 200, content: form.writeAnswer(result.value, context) };
}
