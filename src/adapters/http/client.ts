/** The asking half of federation over HTTP, on what every platform has. How connections are made is the connector's. */
import { signRequest } from "../../federation/request-auth.js";
import { operationTable } from "../../federation/endpoints.js";
import type { HeaderFields } from "../../federation/discovery/well-known.js";
import { isServerName } from "../../ids/grammar.js";
import { encodeCanonicalBytes } from "../../json/canonical-bytes.js";
import { parseLax } from "../../json/parse.js";
import type { JsonValue } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";
import type { Keys } from "../../ports/keys.js";
import type { Observer } from "../../ports/observer.js";
import type {
  OperationError,
  OperationErrorCode,
  OperationName,
  OperationRequest,
  OperationResult,
} from "../../ports/operations.js";
import type { Transport } from "../../ports/transport.js";
import { cancelFrom } from "../memory/cancel.js";
import { httpClientLimitsOf } from "./client-limits.js";
import type { HttpClientLimits } from "./client-limits.js";
import type { Connected, Connector, HttpAnswer, HttpRequest } from "./connector.js";
import { Line } from "./line.js";
import type { Turn } from "./line.js";
import { Peers } from "./peers.js";
import type { Standing } from "./peers.js";
import { MAX_EVENT_DEPTH, readBody, textOf } from "./read-body.js";
import { orAborted } from "./shared.js";
import { decodeAnswer, encodeRequest, isUnknownEndpoint } from "./wire/index.js";
import type { WireAnswer, WireRequest } from "./wire/model.js";

/** What can be measured of requests to others. Names and units are OpenTelemetry's where it has some. */
export interface HttpClientMetric {
  readonly name:
    /** Seconds that a request took, its turn in line included. */
    | "http.client.request.duration"
    /** Bytes, as read. */
    | "http.client.response.body.size"
    /** One more, or one less, under way. */
    | "http.client.active_requests";
  readonly value: number;
  readonly server: string;
  readonly operation: OperationName;
  /** How a request ended: `ok`, or the code of the error. Absent while it has not. */
  readonly outcome?: "ok" | OperationErrorCode;
}

export interface HttpClientOptions {
  /** This server's name. */
  readonly server: string;
  /**
   * Signs requests. A key ring asks for keys by a transport, and a transport signs by a key ring: a function gives it
   * once it is there.
   */
  readonly keys: Pick<Keys, "sign"> | (() => Pick<Keys, "sign">);
  readonly clock: Clock;
  readonly connector: Connector;
  readonly limits?: Partial<HttpClientLimits>;
  /** The `User-Agent` header. */
  readonly userAgent?: string;
  readonly observer?: Pick<Observer, "onFault">;
  readonly onMetric?: (metric: HttpClientMetric) => void;
}

/** {@link Transport.request} over HTTP. See {@link createHttpClient}. */
export interface HttpClient extends Pick<Transport, "request"> {
  /** Told that a server has asked something: one that could not be reached is tried again at once. */
  heardFrom(server: string): void;
  /** Ends what is under way (`cancelled`) and all connections. Later requests are `unreachable`. */
  close(): Promise<void>;
}

type Failed = { readonly ok: false; readonly error: OperationError };

/** One way to ask, written and signed. */
interface Way {
  readonly wire: WireRequest;
  readonly http: HttpRequest;
}

interface Exchange {
  readonly destination: string;
  readonly name: OperationName;
  readonly signal: AbortSignal;
  /** Told when the server has begun to answer. */
  readonly answered: () => void;
}

/** Their answers hold a room's state or the auth chain of it. */
const stateOperations: ReadonlySet<OperationName> = new Set<OperationName>([
  "send_join",
  "state",
  "state_ids",
  "event_auth",
]);
/**
 * A server that is asked something may have to ask for keys before it answers. If these waited behind what waits for
 * them, two servers that meet could keep each other waiting.
 */
const keyOperations: ReadonlySet<OperationName> = new Set<OperationName>(["server_keys", "query_keys"]);

class Client implements HttpClient {
  readonly #options: HttpClientOptions;
  readonly #limits: HttpClientLimits;
  readonly #peers: Peers;
  readonly #keyLine: Line;
  readonly #stateLine: Line;
  readonly #line: Line;
  readonly #under = new Set<(why: "cancelled") => void>();
  #closed = false;

  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#limits = httpClientLimitsOf(options.limits);
    this.#peers = new Peers(this.#limits);
    const { parallel, parallelStates, parallelPerServer, waiting, waitingPerServer } = this.#limits;
    const placesOf = (server: string): number => (this.#peers.isFailing(server) ? 1 : parallelPerServer);
    const line = (places: number): Line => new Line({ places, waiting, waitingPerServer, placesOf });
    this.#keyLine = line(parallel);
    this.#stateLine = line(parallelStates);
    this.#line = line(parallel);
  }

  async request<N extends OperationName>(
    destination: string,
    name: N,
    request: OperationRequest<N>,
    cancel?: Cancel,
  ): Promise<OperationResult<N>> {
    const refusal = this.#refusal(destination, cancel);
    if (refusal !== undefined) return refusal;
    const { clock } = this.#options;
    const began = clock.now();
    const stop = new AbortController();
    let why: "cancelled" | "timeout" | undefined;
    const end = (reason: "cancelled" | "timeout"): void => {
      why ??= reason;
      stop.abort();
    };
    this.#under.add(end);
    this.#measure({ name: "http.client.active_requests", value: 1, server: destination, operation: name });
    // What is to be sent is written before anything is waited for: the caller may change it after that.
    const ways = this.#write(destination, name, request, stop.signal);
    const release = cancel?.onAbort(() => end("cancelled"));
    let result: OperationResult<N> | undefined;
    try {
      result = await this.#inTurn(destination, name, ways, { stop, end, isTimeout: () => why === "timeout" });
      if (why === "timeout") result = fail("timeout", `${destination} did not answer in time`);
      else if (why === "cancelled") result = fail("cancelled", "the request was cancelled");
      return result;
    } finally {
      release?.();
      this.#under.delete(end);
      const about = { server: destination, operation: name };
      this.#measure({ name: "http.client.active_requests", value: -1, ...about });
      const outcome = result?.ok === true ? "ok" : (result?.error.code ?? "internal");
      const value = Math.max(clock.now() - began, 0) / 1000;
      this.#measure({ name: "http.client.request.duration", value, outcome, ...about });
    }
  }

  heardFrom(server: string): void {
    this.#peers.heardFrom(server);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const end of [...this.#under]) end("cancelled");
    await this.#options.connector.close?.();
  }

  /** Why nothing is sent. */
  #refusal(destination: string, cancel: Cancel | undefined): Failed | undefined {
    const { server, clock } = this.#options;
    if (cancel?.aborted === true) return fail("cancelled", "the request was cancelled");
    if (this.#closed) return fail("unreachable", "this transport is closed");
    // Names come from events, and nobody promises that they are some.
    if (!isServerName(destination)) return fail("unreachable", "the destination is no server name");
    if (destination === server) return fail("unreachable", "a server does not ask itself over a network");
    return this.#paused(destination, clock.now());
  }

  #paused(destination: string, now: number): Failed | undefined {
    const pause = this.#peers.pauseOf(destination, now);
    return pause === 0
      ? undefined
      : fail("unreachable", `${destination} was not to be reached: no other try for ${pause} ms`);
  }

  /** All ways to ask, the best one first; or why there is none. */
  async #write<N extends OperationName>(
    destination: string,
    name: N,
    request: OperationRequest<N>,
    signal: AbortSignal,
  ): Promise<readonly Way[] | Failed> {
    const { server: origin, keys, clock } = this.#options;
    const { auth } = operationTable[name];
    try {
      const written = encodeRequest(name, request, { origin, now: clock.now() }).map((wire) => ({
        wire,
        body: wire.content === undefined ? undefined : encodeCanonicalBytes(wire.content),
        signature:
          auth === "none"
            ? undefined
            : signRequest(
                { ...wire, origin, destination },
                typeof keys === "function" ? keys() : keys,
                cancelFrom(signal),
              ),
      }));
      const signatures = await Promise.all(written.map(({ signature }) => signature ?? Promise.resolve(undefined)));
      return written.map(({ wire, body }, index) => ({
        wire,
        http: {
          method: wire.method,
          uri: wire.uri,
          headers: this.#headers(signatures[index], body !== undefined),
          ...(body && { body }),
        },
      }));
    } catch (error) {
      this.#fault(`${name} to ${destination}`, error);
      return fail("internal", "the request could not be written and signed");
    }
  }

  #headers(authorization: string | undefined, hasBody: boolean): HeaderFields {
    return [
      ...(authorization === undefined ? [] : [["Authorization", authorization] as const]),
      ...(hasBody ? [["Content-Type", "application/json"] as const] : []),
      ["Accept", "application/json"],
      ["User-Agent", this.#options.userAgent ?? "roomdag"],
    ];
  }

  async #inTurn<N extends OperationName>(
    destination: string,
    name: N,
    written: Promise<readonly Way[] | Failed>,
    control: {
      readonly stop: AbortController;
      readonly end: (why: "timeout") => void;
      readonly isTimeout: () => boolean;
    },
  ): Promise<OperationResult<N>> {
    const { signal } = control.stop;
    const ways = await orAborted(written, signal);
    if (ways === undefined) return aborted;
    if ("ok" in ways) return ways;
    if (ways.length === 0) return fail("bad_request", "no URL can say what is asked for");
    const line = this.#lineOf(name);
    const turn = await line.enter(destination, signal);
    if (turn !== "entered") return sentAway(destination, turn);
    const standing = this.#peers.begin(destination);
    const timer = new AbortController();
    const { requestTime, stateTime } = this.#limits;
    const time = stateOperations.has(name) ? stateTime : requestTime;
    void this.#options.clock.sleep(time, cancelFrom(timer.signal)).then(() => {
      if (!timer.signal.aborted) control.end("timeout");
    });
    const heard = { yet: false };
    const answered = (): void => {
      heard.yet = true;
      this.#peers.answered(standing);
    };
    try {
      const result = await this.#askAll(ways, { destination, name, signal, answered });
      if (!heard.yet && (!signal.aborted || control.isTimeout())) this.#rest(standing);
      return result;
    } finally {
      timer.abort();
      this.#peers.end(standing);
      line.leave(destination);
    }
  }

  /** One way after the other, as long as the server does not know them. */
  async #askAll<N extends OperationName>(
    ways: readonly Way[],
    exchange: Exchange & { readonly name: N },
  ): Promise<OperationResult<N>> {
    const { name, signal } = exchange;
    let result: OperationResult<N> = fail("internal", `${name} cannot be asked over HTTP`);
    for (const way of ways) {
      // A reader that was left behind may fail later: nobody is interested any more.
      const answer = await orAborted(this.#ask(way.http, exchange), signal);
      if (answer === undefined) return aborted;
      if ("ok" in answer) return answer;
      result = decodeAnswer(name, way.wire, answer);
      if (!isUnknownEndpoint(answer)) return result;
    }
    return result;
  }

  async #ask(request: HttpRequest, exchange: Exchange): Promise<WireAnswer | Failed> {
    const { destination, name, signal, answered } = exchange;
    let connected: Connected;
    try {
      connected = await this.#options.connector.request(destination, request, signal);
    } catch (error) {
      this.#fault(`the connection to ${destination}`, error);
      return fail("unreachable", `${destination} could not be reached`);
    }
    if (!connected.ok) return fail("unreachable", `${destination}: ${connected.reason}`);
    answered();
    return await this.#read(connected.answer, name, destination);
  }

  async #read({ status, body }: HttpAnswer, name: OperationName, server: string): Promise<WireAnswer | Failed> {
    const { answerBytes, stateBytes, errorBytes } = this.#limits;
    const isSuccess = status >= 200 && status < 300;
    const max = !isSuccess ? errorBytes : stateOperations.has(name) ? stateBytes : answerBytes;
    let bytes: Uint8Array | undefined;
    try {
      bytes = await readBody(body, max);
    } catch {
      return fail("unreachable", `the answer of ${server} ended halfway`);
    }
    if (bytes === undefined && isSuccess) return fail("internal", `the answer of ${server} has over ${max} bytes`);
    const size = bytes?.length ?? max;
    this.#measure({ name: "http.client.response.body.size", value: size, server, operation: name });
    return { status, content: bytes && parseBody(bytes) };
  }

  /** A server that could not be reached is left alone, and nobody waits for it. */
  #rest(standing: Standing): void {
    if (!this.#peers.failed(standing, this.#options.clock.now())) return;
    for (const line of [this.#keyLine, this.#stateLine, this.#line]) line.dismiss(standing.server);
  }

  #lineOf(name: OperationName): Line {
    if (keyOperations.has(name)) return this.#keyLine;
    return stateOperations.has(name) ? this.#stateLine : this.#line;
  }

  #measure(metric: HttpClientMetric): void {
    try {
      this.#options.onMetric?.(metric);
    } catch (error) {
      this.#fault("onMetric", error);
    }
  }

  #fault(where: string, error: unknown): void {
    try {
      this.#options.observer?.onFault?.({ where, error });
    } catch {
      // Nobody is left to be told.
    }
  }
}

/**
 * Asks other servers over HTTP: signs requests (X-Matrix, the destination included), sends them by the connector, and
 * reads answers within limits. What goes wrong is a value: `unreachable`, `timeout`, `cancelled`. Servers that could
 * not be reached are left alone for a while, and requests to them answered `unreachable` at once.
 * @throws UsageError for limits that cannot be used.
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  return new Client(options);
}

const aborted: Failed = fail("cancelled", "the request was cancelled");

function sentAway(server: string, turn: Exclude<Turn, "entered">): Failed {
  if (turn === "aborted") return aborted;
  const reason = turn === "full" ? "too many requests wait already" : "it cannot be reached";
  return fail("unreachable", `${server}: ${reason}`);
}

function parseBody(bytes: Uint8Array): JsonValue | undefined {
  const text = textOf(bytes);
  const parsed = text === undefined ? undefined : parseLax(text, { maxDepth: MAX_EVENT_DEPTH });
  return parsed?.ok === true ? parsed.value : undefined;
}

function fail(code: OperationErrorCode, reason: string): Failed {
  return { ok: false, error: { code, reason } };
}
