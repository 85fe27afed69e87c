/** The answering half of federation over HTTP, on what every platform has: a request goes in, a response comes out. */
import { UsageError } from "../../errors.js";
import { operationTable } from "../../federation/endpoints.js";
import type { Endpoint } from "../../federation/endpoints.js";
import { verifyRequest } from "../../federation/request-auth.js";
import { isServerName } from "../../ids/grammar.js";
import { encodeCanonical } from "../../json/canonical.js";
import { utf8Length } from "../../json/utf8.js";
import type { JsonValue } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";
import type { Keys } from "../../ports/keys.js";
import type { Observer } from "../../ports/observer.js";
import type { OperationErrorCode, OperationName, OperationResult } from "../../ports/operations.js";
import type { Receiver, Transport } from "../../ports/transport.js";
import { cancelFrom } from "../memory/cancel.js";
import { splitAuthorization } from "./authorization.js";
import { httpHandlerLimitsOf } from "./handler-limits.js";
import type { HttpHandlerLimits } from "./handler-limits.js";
import { failed, notAllowed, notListening } from "./answers.js";
import type { Answered } from "./answers.js";
import { Budget, Places } from "./places.js";
import type { Share } from "./places.js";
import { receiveBody } from "./receive-body.js";
import { decodeRequest, encodeAnswer, methodsOf, routeOf } from "./wire/index.js";
import type { Routed } from "./wire/index.js";

/** What can be measured of requests that come in. Names and units are OpenTelemetry's. */
export interface HttpServerMetric {
  readonly name:
    /** Seconds from the first header to the answer. */
    | "http.server.request.duration"
    /** Bytes, as far as they were read. */
    | "http.server.request.body.size"
    | "http.server.response.body.size"
    /** One more, or one less, under way. */
    | "http.server.active_requests";
  readonly value: number;
  readonly method: string;
  /** The path with its parameters in braces (`http.route`); absent for one that there is not. */
  readonly route?: string;
  readonly operation?: OperationName;
  /** Who asked. Absent where nobody has proved it. */
  readonly server?: string;
  /** Absent as long as there is none. */
  readonly status?: number;
  /** How it ended: `ok`, or the code of the error. */
  readonly outcome?: "ok" | OperationErrorCode;
}

export interface HttpHandlerOptions {
  /** This server's name: what requests must be for. */
  readonly server: string;
  /**
   * Finds others' keys and checks signatures by them. A key ring asks for keys by a transport, and a transport checks
   * by a key ring: a function gives it once it is there.
   */
  readonly keys: Pick<Keys, "lookup" | "verify"> | (() => Pick<Keys, "lookup" | "verify">);
  readonly clock: Clock;
  readonly limits?: Partial<HttpHandlerLimits>;
  /** What is answered at `/.well-known/matrix/server`: the name and port where this server is. Default: not found. */
  readonly wellKnown?: string;
  readonly observer?: Pick<Observer, "onFault">;
  readonly onMetric?: (metric: HttpServerMetric) => void;
  /** Told of each server that has proved who it is: it is there. */
  readonly onHeard?: (server: string) => void;
}

/** What a platform knows of a request beside the `Request`. */
export interface RequestInfo {
  /**
   * The target as it was on the wire, which is what was signed. A platform's `Request` may have escaped more of it. By
   * default what the `Request` says.
   */
  readonly target?: string;
  /** Where it comes from: requests from one address are bounded. */
  readonly address?: string;
}

/** {@link Transport.listen} over HTTP. See {@link createHttpHandler}. */
export interface HttpHandler extends Pick<Transport, "listen"> {
  /** Answers a request. Never rejects. */
  handle(request: Request, info?: RequestInfo): Promise<Response>;
}

/** What is known of a request by and by. */
interface Case {
  readonly request: Request;
  readonly uri: string;
  readonly address: string | undefined;
  readonly cancel: Cancel;
  readonly share: Share;
  routed?: Routed;
  server?: string;
  received: number;
}

class Handler implements HttpHandler {
  readonly #options: HttpHandlerOptions;
  readonly #limits: HttpHandlerLimits;
  readonly #signed: Places;
  readonly #unsigned: Places;
  readonly #servers: Places;
  readonly #addresses: Places;
  readonly #bodies: Budget;
  #receiver: Receiver | undefined;

  constructor(options: HttpHandlerOptions) {
    if (!isServerName(options.server)) throw new UsageError("`server` must be this server's name");
    this.#options = options;
    this.#limits = httpHandlerLimitsOf(options.limits);
    const { parallel, parallelPerServer, parallelPerAddress, parallelUnsigned, bodiesBytes } = this.#limits;
    this.#signed = new Places(parallel);
    this.#unsigned = new Places(parallelUnsigned);
    this.#servers = new Places(parallel, parallelPerServer);
    this.#addresses = new Places(Number.MAX_SAFE_INTEGER, parallelPerAddress);
    this.#bodies = new Budget(bodiesBytes);
  }

  listen(receiver: Receiver): () => void {
    this.#receiver = receiver;
    return () => {
      if (this.#receiver === receiver) this.#receiver = undefined;
    };
  }

  async handle(request: Request, { target, address }: RequestInfo = {}): Promise<Response> {
    const { clock } = this.#options;
    const began = clock.now();
    const one: Case = {
      request,
      uri: target ?? targetOf(request),
      address,
      cancel: cancelFrom(request.signal),
      share: this.#bodies.share(),
      received: 0,
    };
    this.#measure(one, "http.server.active_requests", 1);
    let response: Response;
    let outcome: Answered["outcome"] = "internal";
    try {
      const answered = await this.#answer(one);
      ({ response, outcome } = this.#written(one, answered));
    } catch (error) {
      this.#fault(`${request.method} ${one.uri}`, error);
      ({ response } = this.#written(one, failed({ code: "internal", reason: "the request failed here" })));
    } finally {
      one.share.release();
    }
    // A body that nobody has read yet would keep its connection waiting.
    if (!request.bodyUsed) void request.body?.cancel().catch(() => undefined);
    this.#measure(one, "http.server.active_requests", -1);
    const { status } = response;
    const ended = { status, outcome };
    if (one.received > 0) this.#measure(one, "http.server.request.body.size", one.received, ended);
    this.#measure(one, "http.server.request.duration", Math.max(clock.now() - began, 0) / 1000, ended);
    return response;
  }

  async #answer(one: Case): Promise<Answered> {
    const { request, uri } = one;
    const [path] = uri.split("?", 1);
    if (path === WELL_KNOWN) return this.#wellKnown(request.method);
    const routed = this.#routeOf(request.method, uri);
    if (!routed.ok) return routed.answered;
    one.routed = routed.value;
    const { auth } = operationTable[routed.value.name];
    const places = auth === "none" ? this.#unsigned : this.#signed;
    const leave = takeAll([() => places.take(), () => this.#ofAddress(one)]);
    if (leave === undefined) return this.#tooMany();
    try {
      // Nobody reads a body, or asks for keys, for a server that does not answer.
      if (this.#receiver === undefined) return notListening;
      const body = await this.#bodyOf(one, routed.value.endpoint);
      if (!body.ok) return body.answered;
      return auth === "none"
        ? await this.#receive(one, "", body.content)
        : await this.#receiveSigned(one, body.content);
    } finally {
      leave();
    }
  }

  #ofAddress({ address }: Case): (() => void) | undefined {
    return address === undefined ? () => undefined : this.#addresses.take(address);
  }

  /** HEAD is for those who look whether the server is there: what nobody has to sign is answered without its body. */
  #routeOf(
    method: string,
    uri: string,
  ): { readonly ok: true; readonly value: Routed } | { readonly ok: false; readonly answered: Answered } {
    const routed = routeOf(method === "HEAD" ? "GET" : method, uri);
    if (routed.ok && (method !== "HEAD" || operationTable[routed.name].auth === "none")) {
      return { ok: true, value: routed };
    }
    if (!routed.ok && routed.status !== 405) return { ok: false, answered: failed(routed.error, routed.status) };
    return { ok: false, answered: notAllowed(method, methodsOf(uri)) };
  }

  async #bodyOf(
    one: Case,
    { method }: Endpoint,
  ): Promise<
    { readonly ok: true; readonly content: JsonValue | undefined } | { readonly ok: false; readonly answered: Answered }
  > {
    // A body of a GET means nothing (RFC 9110, section 9.3.1), and nobody signs one.
    if (method === "GET") return { ok: true, content: undefined };
    const { share, request } = one;
    const { clock } = this.#options;
    const body = await receiveBody(request, { limits: this.#limits, share, clock, signal: request.signal });
    one.received = body.bytes;
    if (body.ok) return body;
    if (body.error.code === "limit_exceeded") return { ok: false, answered: this.#tooMany(body.error.reason) };
    // It is known what became of it, other than of a request to somebody else.
    const status = body.error.code === "timeout" ? 408 : undefined;
    return { ok: false, answered: failed(body.error, status) };
  }

  async #receiveSigned(one: Case, content: JsonValue | undefined): Promise<Answered> {
    const { server, clock, keys, onHeard } = this.#options;
    const { request, uri, cancel } = one;
    const received = {
      method: request.method,
      uri,
      authorization: splitAuthorization(request.headers.get("authorization")),
    };
    const proven = await verifyRequest(content === undefined ? received : { ...received, content }, {
      server,
      now: clock.now(),
      keys: typeof keys === "function" ? keys() : keys,
      cancel,
    });
    if (!proven.ok) return failed({ code: "unauthorized", reason: proven.error.reason });
    const { origin } = proven.value;
    one.server = origin;
    const leave = this.#servers.take(origin);
    if (leave === undefined) return this.#tooMany();
    try {
      onHeard?.(origin);
      return await this.#receive(one, origin, content);
    } finally {
      leave();
    }
  }

  async #receive(one: Case, origin: string, content: JsonValue | undefined): Promise<Answered> {
    const { routed, uri, cancel } = one;
    const { server, clock } = this.#options;
    const receiver = this.#receiver;
    if (receiver === undefined || routed === undefined) return notListening;
    const { name, endpoint } = routed;
    const decoded = decodeRequest(endpoint.method, uri, content);
    if (!decoded.ok) return failed(decoded.error, decoded.status);
    let result: OperationResult<OperationName>;
    try {
      result = await receiver(origin, name, decoded.request, cancel);
    } catch (error) {
      this.#fault(`operation ${name} of ${origin}`, error);
      result = { ok: false, error: { code: "internal", reason: "the operation failed here" } };
    }
    const context = { origin: server, now: clock.now() };
    if (!result.ok) return failed(result.error);
    return { ...encodeAnswer(name, endpoint, result, context), outcome: "ok" };
  }

  #wellKnown(method: string): Answered {
    const { wellKnown } = this.#options;
    if (wellKnown === undefined) return failed({ code: "not_found", reason: "there is nothing here" });
    if (method !== "GET" && method !== "HEAD") return notAllowed(method, ["GET"]);
    return { status: 200, content: { "m.server": wellKnown }, outcome: "ok" };
  }

  #tooMany(reason = "too many requests are under way"): Answered {
    return failed({ code: "limit_exceeded", reason, retryAfterMs: this.#limits.retryAfter });
  }

  #written(one: Case, answered: Answered): { readonly response: Response; readonly outcome: Answered["outcome"] } {
    const { status, outcome, headers, content = {} } = answered;
    const text = encodeCanonical(content);
    const length = utf8Length(text);
    this.#measure(one, "http.server.response.body.size", length, { status, outcome });
    const response = new Response(one.request.method === "HEAD" ? null : text, {
      status,
      headers: { "Content-Type": "application/json", "Content-Length": String(length), ...headers },
    });
    return { response, outcome };
  }

  #measure(
    { request, routed, server }: Case,
    name: HttpServerMetric["name"],
    value: number,
    ended: Pick<HttpServerMetric, "status" | "outcome"> = {},
  ): void {
    try {
      this.#options.onMetric?.({
        name,
        value,
        method: request.method,
        ...(routed && { route: routed.endpoint.path, operation: routed.name }),
        ...(server !== undefined && { server }),
        ...ended,
      });
    } catch (error) {
      this.#fault("onMetric", error);
    }
  }

  #fault(where: string, error: unknown): void {
    try {
      this.#options.observer?.onFault?.({ where, error });
    } catch {
      // An observer that throws changes nothing.
    }
  }
}

const WELL_KNOWN = "/.well-known/matrix/server";

/** Takes a place in each, or in none. */
function takeAll(places: readonly (() => (() => void) | undefined)[]): (() => void) | undefined {
  const taken: (() => void)[] = [];
  const leave = (): void => {
    for (const give of taken) give();
  };
  for (const take of places) {
    const given = take();
    if (given === undefined) {
      leave();
      return undefined;
    }
    taken.push(given);
  }
  return leave;
}

/** The path and query of a request's URL as it stands there. */
function targetOf({ url }: Request): string {
  const at = url.indexOf("/", url.indexOf("://") + 3);
  return at < 0 ? "/" : (url.slice(at).split("#", 1)[0] ?? "/");
}

/**
 * Answers the requests of other servers: finds out what is asked, reads the body within limits, proves who asks
 * (X-Matrix), hands the operation to the receiver and writes its answer. Nothing is queued: where too much is under way
 * whoever comes is told to come again (429).
 */
export function createHttpHandler(options: HttpHandlerOptions): HttpHandler {
  return new Handler(options);
}
