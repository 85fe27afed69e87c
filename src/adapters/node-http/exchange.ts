/** One request over one connection, and how far it got. */
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { checkServerIdentity } from "node:tls";
import type { ConnectTarget, ExpectedCertificate } from "../../federation/discovery/machine.js";
import type { HeaderFields } from "../../federation/discovery/well-known.js";
import type { HttpRequest } from "../http/connector.js";
import type { Connections } from "./agent.js";

/** Where a request goes, and as whose. */
export interface Destination {
  readonly target: ConnectTarget;
  readonly hostHeader: string;
  readonly certificate: ExpectedCertificate;
}

export type Outcome =
  | { readonly got: "answer"; readonly status: number; readonly headers: HeaderFields; readonly body: IncomingMessage }
  /** The request did not leave: another address may be tried. */
  | { readonly got: "no connection"; readonly reason: string }
  /** A kept connection had been closed by the other side. The request is to be sent again over another. */
  | { readonly got: "stale" }
  /** The request may have arrived. */
  | { readonly got: "no answer"; readonly reason: string };

/** What a connection that was kept for too long fails with. */
const CLOSED: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

/** `signal` ends it, up to the end of the answer's body. */
export function exchange(
  connections: Connections,
  { target, hostHeader, certificate }: Destination,
  { method, uri, headers, body }: HttpRequest,
  signal: AbortSignal,
  connectTime: number,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const name = certificate.kind === "dns" ? certificate.name : certificate.address;
    let connected = false;
    const request = httpsRequest({
      agent: connections,
      host: target.address,
      port: target.port,
      method,
      path: uri,
      setHost: false,
      headers: {
        Host: hostHeader,
        ...Object.fromEntries(headers),
        ...(body === undefined ? {} : { "Content-Length": body.length }),
      },
      // SNI has names only (RFC 6066 section 3). Without one the platform would take it from the Host header.
      servername: certificate.kind === "dns" ? name : "",
      checkServerIdentity: (_, presented) => checkServerIdentity(name, presented),
      signal,
    });
    const timer = setTimeout(() => {
      request.destroy(new Error(`no connection within ${connectTime} ms`));
    }, connectTime);
    const isConnected = (): void => {
      connected = true;
      clearTimeout(timer);
    };
    request.once("socket", (socket) => {
      if (request.reusedSocket) isConnected();
      else socket.once("secureConnect", isConnected);
    });
    request.once("response", (answer) => {
      isConnected();
      resolve({ got: "answer", status: answer.statusCode ?? 0, headers: pairs(answer.rawHeaders), body: answer });
    });
    request.on("error", (error: Error & { readonly code?: string }) => {
      clearTimeout(timer);
      const reason = `${target.address}:${target.port}: ${error.message}`;
      if (!connected) resolve({ got: "no connection", reason });
      else if (request.reusedSocket && CLOSED.has(error.code ?? "")) resolve({ got: "stale" });
      else resolve({ got: "no answer", reason });
    });
    request.end(body);
  });
}

function pairs(raw: readonly string[]): HeaderFields {
  return Array.from({ length: raw.length / 2 }, (_, at) => [raw[at * 2] ?? "", raw[at * 2 + 1] ?? ""] as const);
}
