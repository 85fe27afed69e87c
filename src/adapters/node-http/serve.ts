/** Node's requests as the platform's, and its responses as Node's; nothing is buffered in between. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { toMatrixError } from "../../federation/errors.js";
import { encodeCanonical } from "../../json/canonical.js";
import type { Observer } from "../../ports/observer.js";
import type { HttpHandler } from "../http/handle.js";

export interface NodeListenerOptions {
  readonly handler: Pick<HttpHandler, "handle">;
  /**
   * Behind a proxy that adds the address of who asks to `X-Forwarded-For`: the last one there counts. Without such a
   * proxy anybody could claim any address. Default: false.
   */
  readonly forwarded?: boolean;
  /** Milliseconds in which some of an answer has to be taken. */
  readonly writeTime?: number;
  readonly observer?: Pick<Observer, "onFault">;
}

/** What Node calls for each request. In a framework it comes before whatever reads bodies. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => void;

/** Hands the requests of a Node server, or of a framework on it, to a handler. */
export function createNodeListener(options: NodeListenerOptions): NodeListener {
  return (request, response) => {
    // Both fail where the connection ends; what is under way learns of it by the signal.
    request.on("error", ignore);
    response.on("error", ignore);
    serve(options, request, response).catch((error: unknown) => {
      options.observer?.onFault?.({ where: "an answer over HTTP", error });
      response.destroy();
    });
  };
}

const ignore = (): void => undefined;

async function serve(options: NodeListenerOptions, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { handler, forwarded = false, writeTime = 60_000 } = options;
  const target = targetOf(incoming);
  const gone = new AbortController();
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) gone.abort();
  });
  const request = target === undefined ? undefined : requestOf(incoming, outgoing, target, gone.signal);
  if (target === undefined || request === undefined) {
    refuse(incoming, outgoing);
    return;
  }
  const address = addressOf(incoming, forwarded);
  const response = await handler.handle(request, address === undefined ? { target } : { target, address });
  await send(incoming, outgoing, response, writeTime);
}

/** The target as it was signed. Frameworks take off of `url` where they are mounted. */
function targetOf(incoming: IncomingMessage & { readonly originalUrl?: string }): string | undefined {
  const url = incoming.originalUrl ?? incoming.url ?? "";
  if (url.startsWith("/")) return url;
  // RFC 9112, section 3.2.2: as proxies write it.
  return /^https?:\/\/[^/?#]+(\/[^#]*)/i.exec(url)?.[1];
}

function addressOf(incoming: IncomingMessage, forwarded: boolean): string | undefined {
  const named = forwarded
    ? incoming.headersDistinct["x-forwarded-for"]?.join(",").split(",").at(-1)?.trim()
    : undefined;
  return named === undefined || named === "" ? incoming.socket.remoteAddress : named;
}

/** `undefined` for what no `Request` can be: methods such as TRACE. */
function requestOf(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  target: string,
  signal: AbortSignal,
): Request | undefined {
  const { method = "GET", rawHeaders } = incoming;
  try {
    const headers = new Headers();
    for (let at = 0; at + 1 < rawHeaders.length; at += 2)
      headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
    // Who this server is stands in the signature; what `Host` says matters to nobody.
    const url = `http://localhost${target}`;
    if (method === "GET" || method === "HEAD") return new Request(url, { method, headers, signal });
    return new Request(url, { method, headers, signal, body: bodyOf(incoming, outgoing), duplex: "half" });
  } catch {
    return undefined;
  }
}

/** The body, of which no more is taken from the connection than somebody reads. */
function bodyOf(incoming: IncomingMessage, outgoing: ServerResponse): ReadableStream<Uint8Array> {
  incoming.pause();
  let begun = false;
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        incoming.on("data", (piece: Buffer) => {
          incoming.pause();
          controller.enqueue(piece);
        });
        incoming.once("end", () => controller.close());
        incoming.once("error", (error) => controller.error(error));
        incoming.once("close", () => {
          if (!incoming.readableEnded) controller.error(new Error("the connection was closed"));
        });
        // Listening for data begins to read.
        incoming.pause();
      },
      pull: () => {
        if (!begun && incoming.headers.expect !== undefined) outgoing.writeContinue();
        begun = true;
        incoming.resume();
      },
      cancel: () => {
        incoming.removeAllListeners("data");
        incoming.pause();
      },
    },
    { highWaterMark: 0 },
  );
}

async function send(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  response: Response,
  writeTime: number,
): Promise<void> {
  // The rest of a body that nobody wants would be taken for the next request.
  if (!incoming.readableEnded && hasBody(incoming)) outgoing.setHeader("Connection", "close");
  if (isGone(outgoing)) {
    await response.body?.cancel();
    return;
  }
  outgoing.statusCode = response.status;
  outgoing.setHeaders(response.headers);
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader();
  for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
    for (let at = 0; at < read.value.length; at += PIECE) {
      if (outgoing.write(read.value.subarray(at, at + PIECE))) continue;
      await drained(outgoing, writeTime);
      if (!isGone(outgoing)) continue;
      await reader?.cancel();
      return;
    }
  }
  outgoing.end();
  await drained(outgoing, writeTime, "finish");
}

/** Bytes of which one after the other has to be taken in time. */
const PIECE = 64 * 1024;

function isGone(outgoing: ServerResponse): boolean {
  return outgoing.destroyed;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** Who takes nothing of an answer for so long is gone, or wants it to be kept here. */
function drained(outgoing: ServerResponse, ms: number, event: "drain" | "finish" = "drain"): Promise<void> {
  if (outgoing.destroyed || outgoing.writableFinished) return Promise.resolve();
  return new Promise((resolve) => {
    const late = setTimeout(() => outgoing.destroy(), ms);
    const done = (): void => {
      clearTimeout(late);
      outgoing.off(event, done);
      outgoing.off("close", done);
      resolve();
    };
    outgoing.on(event, done);
    outgoing.on("close", done);
  });
}

/** A target or a method that is none of any API. */
function refuse(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { status, body } = toMatrixError({ code: "unrecognized", reason: "there is no such endpoint" });
  if (hasBody(incoming)) outgoing.setHeader("Connection", "close");
  outgoing.writeHead(status, { "Content-Type": "application/json" }).end(encodeCanonical(body));
}
