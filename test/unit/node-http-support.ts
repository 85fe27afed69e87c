import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createSeededRandom } from "../../src/adapters/memory/index.js";
import { createNodeConnector } from "../../src/adapters/node-http/index.js";
import type {
  HostResolver,
  NodeConnector,
  NodeConnectorOptions,
  OpenSocket,
} from "../../src/adapters/node-http/index.js";
import type { HttpRequest } from "../../src/adapters/http/connector.js";
import type { Cancel } from "../../src/ports/cancel.js";
import type { Clock } from "../../src/ports/clock.js";
import type { SrvAnswer } from "../../src/federation/index.js";

const folder = new URL("../../fixtures/tls/", import.meta.url);

/** A certificate of fixtures/tls. */
export function tls(name: string): { readonly key: string; readonly cert: string } {
  const read = (end: string): string => readFileSync(new URL(name + end, folder), "utf8");
  return { key: read(".key"), cert: read(".pem") };
}

export const testAuthority = readFileSync(new URL("ca.pem", folder), "utf8");

export const realClock: Clock = {
  now: () => Date.now(),
  sleep: (ms: number, cancel?: Cancel): Promise<void> =>
    new Promise((resolve) => {
      let stop = (): void => undefined;
      const done = (): void => {
        clearTimeout(timer);
        stop();
        resolve();
      };
      const timer = setTimeout(done, ms);
      if (cancel) stop = cancel.onAbort(done);
    }),
};

export interface Heard {
  readonly host: string | undefined;
  readonly sni: string | false | undefined;
  readonly method: string | undefined;
  readonly url: string | undefined;
}

export interface TestServer {
  readonly port: number;
  readonly heard: readonly Heard[];
  /** Connections so far, and those open now. */
  readonly connections: { total: number; open: number; most: number };
  close(): Promise<void>;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server over TLS on loopback. */
export async function startServer(certificate: string, handler: Handler): Promise<TestServer> {
  const heard: Heard[] = [];
  const connections = { total: 0, open: 0, most: 0 };
  const server = createServer({ ...tls(certificate), keepAliveTimeout: 60_000 }, (request, response) => {
    const socket = request.socket as Socket & { readonly servername?: string | false };
    heard.push({ host: request.headers.host, sni: socket.servername, method: request.method, url: request.url });
    handler(request, response);
  });
  server.on("connection", (socket) => {
    connections.total++;
    connections.most = Math.max(connections.most, ++connections.open);
    socket.on("close", () => connections.open--);
  });
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    heard,
    connections,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

export function answerJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

/** An address that is public, and belongs to nobody who is asked here. */
export const PUBLIC = "93.184.216.34";
export const OTHER_PUBLIC = "8.8.8.8";

export interface Names {
  readonly srv?: Readonly<Record<string, SrvAnswer>>;
  /** Addresses by name; of several lists each answers one lookup, the last all further ones. */
  readonly addresses?: Readonly<Record<string, readonly (readonly string[])[]>>;
}

export interface TestResolver extends HostResolver {
  readonly asked: readonly string[];
}

export function resolverOf({ srv = {}, addresses = {} }: Names): TestResolver {
  const asked: string[] = [];
  return {
    asked,
    srv: (name) => {
      asked.push(name);
      return Promise.resolve(srv[name] ?? { status: "none" });
    },
    addresses: (host) => {
      const before = asked.filter((one) => one === host).length;
      asked.push(host);
      const answers = addresses[host] ?? [];
      return Promise.resolve(answers[Math.min(before, answers.length - 1)] ?? []);
    },
  };
}

/** Leads chosen addresses and ports to servers on loopback, and remembers where connections were to go. */
export function wires(routes: Readonly<Record<string, number>>): {
  readonly open: OpenSocket;
  readonly opened: readonly string[];
} {
  const opened: string[] = [];
  const open: OpenSocket = ({ address, port }) => {
    const to = `${address}:${port}`;
    opened.push(to);
    const local = routes[to];
    return new Promise<Duplex>((resolve, reject) => {
      if (local === undefined) {
        reject(new Error("no route"));
        return;
      }
      const socket = connect(local, "127.0.0.1");
      socket.once("connect", () => resolve(socket));
      socket.once("error", reject);
    });
  };
  return { open, opened };
}

export function connectorOf(options: Partial<NodeConnectorOptions> = {}): NodeConnector {
  return createNodeConnector({ clock: realClock, random: createSeededRandom(1), ca: testAuthority, ...options });
}

export const getVersion: HttpRequest = { method: "GET", uri: "/_matrix/federation/v1/version", headers: [] };

/** The status and text of an answer, or why there was none. */
export async function ask(
  connector: Pick<NodeConnector, "request">,
  server: string,
  request: HttpRequest = getVersion,
  signal: AbortSignal = new AbortController().signal,
): Promise<{ readonly status: number; readonly text: string } | string> {
  const connected = await connector.request(server, request, signal);
  if (!connected.ok) return connected.reason;
  const pieces: Uint8Array[] = [];
  for await (const piece of connected.answer.body) pieces.push(piece);
  return { status: connected.answer.status, text: Buffer.concat(pieces).toString() };
}

/** Waits for something that the other end of a connection learns a little later. */
export async function eventually(check: () => boolean): Promise<void> {
  for (let tries = 0; !check(); tries++) {
    if (tries > 500) throw new Error(`never so: ${check.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
