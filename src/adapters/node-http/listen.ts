/** Listening for other servers, over TLS or behind a proxy that does that. */
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import type { Server as HttpServer, ServerOptions } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Server as HttpsServer } from "node:https";
import { UsageError } from "../../errors.js";
import { createNodeListener } from "./serve.js";
import type { NodeListenerOptions } from "./serve.js";

/** What one listener may hold and wait for; times in milliseconds. */
export interface ListenLimits {
  /** Connections at once; more are closed as they come. */
  readonly connections: number;
  /** For the handshake of TLS. */
  readonly handshakeTime: number;
  /** For the headers of a request, and for all of it. */
  readonly headersTime: number;
  readonly requestTime: number;
  /** How long a connection is kept for another request. */
  readonly keepAliveTime: number;
  /** Bytes of the headers of a request. */
  readonly headerBytes: number;
}

/** The limits of a listener where nobody says anything else. */
export const defaultListenLimits: ListenLimits = Object.freeze({
  connections: 10_000,
  handshakeTime: 20_000,
  headersTime: 30_000,
  requestTime: 120_000,
  keepAliveTime: 75_000,
  headerBytes: 64 * 1024,
});

export interface ListenOptions extends NodeListenerOptions {
  /** An address of this machine, or a name of one. Default: all of them. */
  readonly host?: string;
  /** 0 takes one that is free. */
  readonly port: number;
  readonly limits?: Partial<ListenLimits>;
}

/** What a server proves who it is with, as PEM. */
export interface Certificate {
  readonly key: string | Uint8Array;
  /** With those of the authorities between, if there are some. */
  readonly cert: string | Uint8Array;
}

/** A listener that listens. */
export interface Listening {
  readonly port: number;
  /** Another certificate for connections from now on. There is none without TLS. */
  renew?(certificate: Certificate): void;
  /**
   * Takes no more requests, and ends when those that are under way were answered, but after `ms` at the latest (10 s):
   * then the connections that are left are cut.
   */
  close(ms?: number): Promise<void>;
}

/**
 * Listens over TLS.
 * @throws UsageError for a certificate that cannot be used, and for a place where nobody can listen.
 */
export async function listenHttps(options: ListenOptions & Certificate): Promise<Listening> {
  const { key, cert } = options;
  const limits = { ...defaultListenLimits, ...options.limits };
  const tls = { key: pem(key), cert: pem(cert), handshakeTimeout: limits.handshakeTime };
  const server = usable(() => createHttpsServer({ ...serverOptions(limits), ...tls, minVersion: "TLSv1.2" }));
  const listening = await listen(server, options, limits);
  return {
    ...listening,
    renew: (next) => usable(() => server.setSecureContext({ key: pem(next.key), cert: pem(next.cert) })),
  };
}

/**
 * Listens without TLS: for a proxy on the same machine, which other servers reach over TLS. Not for anybody else.
 * @throws UsageError for a place where nobody can listen.
 */
export function listenHttp(options: ListenOptions): Promise<Listening> {
  const limits = { ...defaultListenLimits, ...options.limits };
  return listen(createHttpServer(serverOptions(limits)), options, limits);
}

function serverOptions({ headersTime, requestTime, keepAliveTime, headerBytes }: ListenLimits): ServerOptions {
  return {
    headersTimeout: Math.min(headersTime, requestTime),
    requestTimeout: requestTime,
    keepAliveTimeout: keepAliveTime,
    maxHeaderSize: headerBytes,
    connectionsCheckingInterval: 5_000,
  };
}

async function listen(
  server: HttpServer | HttpsServer,
  options: ListenOptions,
  limits: ListenLimits,
): Promise<Listening> {
  const { host, port } = options;
  const serve = createNodeListener(options);
  let closing = false;
  const answer: typeof serve = (request, response) => {
    if (closing) response.setHeader("Connection", "close");
    serve(request, response);
  };
  server.on("request", answer);
  // The handler says "go on" by beginning to read.
  server.on("checkContinue", answer);
  server.maxConnections = limits.connections;
  try {
    server.listen({ port, ...(host === undefined ? {} : { host }) });
    await once(server, "listening");
  } catch (error) {
    throw problemOf(error, host, port);
  }
  server.on("error", (error) => options.observer?.onFault?.({ where: "listening over HTTP", error }));
  const address = server.address();
  let closed: Promise<void> | undefined;
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: (ms = 10_000) => {
      closing = true;
      closed ??= end(server, ms);
      return closed;
    },
  };
}

function end(server: HttpServer | HttpsServer, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), ms);
    // A connection that was answered last is kept for another request, and waits for one in vain.
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    server.close(() => {
      clearTimeout(cut);
      clearInterval(idle);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function problemOf(error: unknown, host: string | undefined, port: number): unknown {
  const where = `port ${port}${host === undefined ? "" : ` of ${host}`}`;
  switch (error instanceof Error && "code" in error && error.code) {
    case "EADDRINUSE":
      return new UsageError(`${where} is in use: end what listens there, or take another port`);
    case "EACCES":
      return new UsageError(`${where} is not for this user to listen on: take one from 1024 on, or grant the right to`);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new UsageError(`${host ?? "the host"} is no address of this machine`);
    case "ERR_SOCKET_BAD_PORT":
      return new UsageError(`${port} is no port: take one from 0 to 65535`);
    default:
      return error;
  }
}

function pem(text: string | Uint8Array): string | Buffer {
  return typeof text === "string" ? text : Buffer.from(text);
}

function usable<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`the key and the certificate cannot be used together: ${why}`);
  }
}
