/** The local API over HTTP: who may ask, what is asked, and the answer. */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import { Canceller } from "../../../engine/index.js";
import { encodeCanonical } from "../../../json/canonical.js";
import { parseLax } from "../../../json/parse.js";
import { isObject, setOwn } from "../../../json/value.js";
import type { JsonObject, JsonValue } from "../../../json/value.js";
import type { Log } from "../log.js";
import { answerOf, ApiError } from "./errors.js";
import { routes } from "./routes.js";
import type { ApiHost, Route } from "./routes.js";

/** An event has at most 64 KiB; initial state has several. */
const MAX_BODY = 4 * 1024 * 1024;
/** What is read of a longer one before the connection is closed. */
const MAX_HEARD = 16 * MAX_BODY;
const MAX_DEPTH = 500;

export interface ApiOptions {
  readonly host: ApiHost;
  readonly token: string;
  readonly log: Log;
}

export interface Api {
  readonly http: HttpServer;
  /** Takes no more requests, finishes those under way, and cuts off what is left after `ms`. */
  stop(ms: number): Promise<void>;
}

/** An API that is to be told where to listen. */
export function createApi({ host, token, log }: ApiOptions): Api {
  const stopping = new Canceller();
  const calls = new Set<Canceller>();
  const http = createServer((request, response) => {
    const cancel = new Canceller();
    calls.add(cancel);
    // Who is gone wants no answer; what was committed by then stays.
    response.on("close", () => {
      calls.delete(cancel);
      cancel.cancel();
    });
    void answer(request, response, cancel);
  });

  async function answer(request: IncomingMessage, response: ServerResponse, cancel: Canceller): Promise<void> {
    try {
      if (!isAuthorised(request, token))
        throw new ApiError(401, "unauthorized", "Authorization: Bearer TOKEN is missing");
      if (stopping.aborted) throw new ApiError(503, "stopping", "the server is stopping");
      const { route, parameters } = find(request);
      const given = { ...(await inputOf(request)), ...parameters };
      write(response, 200, await route.answer({ host, cancel, stopping }, given));
    } catch (error) {
      const told = answerOf(error);
      if (told === undefined)
        log.error("api.fault", { path: request.url ?? "", error: String(error), stack: stackOf(error) });
      const fault = told ?? new ApiError(500, "internal", "something went wrong: the server's log says what");
      write(response, fault.status, fault.body);
    }
  }

  return {
    http,
    stop: async (ms) => {
      stopping.cancel();
      const closed = new Promise((resolve) => http.close(resolve));
      http.closeIdleConnections();
      const timer = setTimeout(() => {
        for (const call of calls) call.cancel();
        http.closeAllConnections();
      }, ms);
      await closed;
      clearTimeout(timer);
    },
  };
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}

/** Compared by their hashes, which are equally long and tell nothing by the time they take. */
function isAuthorised({ headers }: IncomingMessage, token: string): boolean {
  const given = /^Bearer (.+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(token));
}

interface Found {
  readonly route: Route;
  readonly parameters: JsonObject;
}

const table = routes.map((route) => ({ route, parts: route.path.split("/") }));

function find(request: IncomingMessage): Found {
  const [path = ""] = (request.url ?? "").split("?");
  const parts = path.split("/");
  const fitting = table.flatMap(({ route, parts: wanted }) => {
    const parameters = match(wanted, parts);
    return parameters === undefined ? [] : [{ route, parameters }];
  });
  const found = fitting.find(({ route }) => route.method === request.method);
  if (found !== undefined) return found;
  if (fitting.length === 0) throw new ApiError(404, "not_found", `there is no ${path}: docs/serve.md has the table`);
  const methods = fitting.map(({ route }) => route.method).join(", ");
  throw new ApiError(405, "not_allowed", `${path} takes ${methods}`);
}

function match(wanted: readonly string[], parts: readonly string[]): JsonObject | undefined {
  if (wanted.length !== parts.length) return undefined;
  const parameters: Record<string, JsonValue> = {};
  for (const [at, want] of wanted.entries()) {
    const part = parts[at] ?? "";
    const name = /^\{(\w+)\}$/.exec(want)?.[1];
    if (name === undefined && part !== want) return undefined;
    if (name === undefined) continue;
    const decoded = unescaped(part);
    if (decoded === undefined) return undefined;
    parameters[name] = decoded;
  }
  return parameters;
}

function unescaped(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

async function inputOf(request: IncomingMessage): Promise<JsonObject> {
  const query = new URL(request.url ?? "/", "http://api").searchParams;
  const input: Record<string, JsonValue> = {};
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    setOwn(input, name, values.length === 1 ? (values[0] ?? "") : values);
  }
  const text = await bodyOf(request);
  if (text === "") return input;
  if (request.method === "GET") throw new ApiError(400, "bad_request", "a GET has no body");
  const parsed = parseLax(text, { duplicates: "refuse", maxDepth: MAX_DEPTH });
  if (!parsed.ok) throw new ApiError(400, parsed.error.code, parsed.error.reason);
  if (!isObject(parsed.value)) throw new ApiError(400, "bad_request", "the body must be a JSON object");
  return { ...input, ...parsed.value };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    // Who writes is told when all is written: one that is cut off hears nothing.
    if (length <= MAX_BODY) chunks.push(chunk);
    else if (length > MAX_HEARD) break;
  }
  if (length > MAX_BODY) throw new ApiError(413, "too_large", `a body has at most ${MAX_BODY} bytes`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new ApiError(400, "bad_json", "the body is no UTF-8");
  }
}

function write(response: ServerResponse, status: number, body: JsonObject): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = Buffer.from(`${encodeCanonical(body)}\n`);
  response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
  response.end(bytes);
}
