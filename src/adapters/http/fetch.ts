/**
 * A connector over the platform's `fetch`, for Workers, Deno, Bun and whatever has no sockets. It finds servers by
 * `/.well-known/matrix/server`, by an explicit port and by port 8448. It cannot do the rest: without a resolver there
 * are no SRV records, the `Host` header is that of the URL, and the platform chooses the address of a name, so that it
 * cannot be checked here. Names of private networks and addresses that are not public are refused as such; what else a
 * name stands for is for the platform to guard.
 */
import { advanceDiscovery, startDiscovery } from "../../federation/discovery/machine.js";
import type { Discovery } from "../../federation/discovery/machine.js";
import type { Clock } from "../../ports/clock.js";
import type { Random } from "../../ports/random.js";
import { addressCheck, isIpAddress } from "./addresses.js";
import type { AllowedAddresses } from "./addresses.js";
import type { Connected, Connector, HttpRequest } from "./connector.js";
import { Shared } from "./shared.js";
import { WellKnowns } from "./well-known.js";
import type { Page } from "./well-known.js";

export interface FetchConnectorOptions {
  readonly clock: Clock;
  /** By default the platform's. */
  readonly fetch?: typeof fetch;
  /**
   * Networks that may be connected to by address although they are not public, such as `["10.1.0.0/16"]`; `true` for
   * all of them, and for names of private networks. Default: none.
   */
  readonly allowPrivateAddresses?: AllowedAddresses;
  /** Milliseconds for a document of delegation. */
  readonly wellKnownTime?: number;
  /** Hosts whose documents are remembered. */
  readonly wellKnownHosts?: number;
}

/** See the module. Redirects are answers like any other. */
export function createFetchConnector(options: FetchConnectorOptions): Connector {
  const { clock, allowPrivateAddresses = false, wellKnownTime = 10_000, wellKnownHosts = 10_000 } = options;
  const send = options.fetch ?? fetch;
  const check = addressCheck(allowPrivateAddresses);
  const wellKnowns = new WellKnowns(clock, { time: wellKnownTime, hosts: wellKnownHosts });
  const finding = new Shared<Discovery>();

  const problemOf = (url: URL): string | undefined => {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    if (isIpAddress(host)) return check(host);
    return allowPrivateAddresses !== true && isPrivateName(host) ? `${host} is a name of a private network` : undefined;
  };

  const get = async (url: URL, signal: AbortSignal): Promise<Page | undefined> => {
    if (problemOf(url) !== undefined) return undefined;
    try {
      const response = await send(url, { redirect: "manual", signal, headers: { Accept: "application/json" } });
      return { status: response.status, headers: [...response.headers], body: piecesOf(response) };
    } catch {
      return undefined;
    }
  };

  /** As far as it goes without a resolver. */
  const find = async (server: string, signal: AbortSignal): Promise<Discovery> => {
    let discovery = startDiscovery(server);
    if (discovery.step.do === "fetch well-known") {
      const wellKnown = await wellKnowns.of(discovery.step, get, signal);
      discovery = advanceDiscovery(discovery, { to: "fetch well-known", wellKnown }, noLots);
    }
    while (discovery.step.do === "lookup srv") {
      discovery = advanceDiscovery(discovery, { to: "lookup srv", result: { status: "none" } }, noLots);
    }
    return discovery;
  };

  const request = async (server: string, asked: HttpRequest, signal: AbortSignal): Promise<Connected> => {
    const discovery = await finding.run(server, signal, (inner) => find(server, inner));
    if (discovery === undefined) return gone("it was not waited for");
    const base = baseOf(discovery);
    if (!base.ok) return base;
    const url = new URL(base.value + asked.uri);
    // What was signed is what has to arrive.
    if (url.pathname + url.search !== asked.uri) return gone("the platform would write the path otherwise");
    const problem = problemOf(url);
    if (problem !== undefined) return gone(problem);
    try {
      const { method, body } = asked;
      const headers = new Headers();
      for (const [name, value] of asked.headers) headers.append(name, value);
      const init: RequestInit = { method, headers, redirect: "manual", signal };
      // A copy: the types of some platforms know no bytes that may be shared.
      const response = await send(url, body === undefined ? init : { ...init, body: new Uint8Array(body) });
      return { ok: true, answer: { status: response.status, body: piecesOf(response) } };
    } catch (error) {
      return gone(reasonOf(error));
    }
  };

  return Object.freeze({ request });
}

/** Where a name leads: the platform looks it up, so that its address is not known here. */
function baseOf({
  step,
  ports,
}: Discovery): { readonly ok: true; readonly value: string } | Extract<Connected, { ok: false }> {
  if (step.do === "lookup addresses") return { ok: true, value: `https://${step.hosts[0] ?? ""}:${ports[0] ?? ""}` };
  if (step.do === "give up") return gone(step.reason);
  const [target] = step.do === "connect" ? step.targets : [];
  if (target === undefined) return gone("nothing leads to it");
  const { address, port } = target;
  return { ok: true, value: `https://${address.includes(":") ? `[${address}]` : address}:${port}` };
}

async function* piecesOf({ body }: Response): AsyncGenerator<Uint8Array, void, void> {
  if (body === null) return;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
    ended = true;
  } finally {
    // Its reader stopped: the rest is not wanted.
    if (!ended) reader.cancel().catch(() => undefined);
  }
}

/** Names that only a private network knows, whatever they stand for there. */
function isPrivateName(host: string): boolean {
  const name = host.replace(/\.$/, "").toLowerCase();
  return !name.includes(".") || /\.(?:localhost|local|internal|home\.arpa)$/.test(name);
}

/** Nothing is drawn where there are no SRV records. */
const noLots: Random = Object.freeze({ bytes: (length: number): Uint8Array => new Uint8Array(length) });

function gone(reason: string): Extract<Connected, { ok: false }> {
  return { ok: false, reason };
}

/** The platforms say "fetch failed" or the like, and why in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "the platform could not connect";
  return error.cause instanceof Error ? error.cause.message : error.message;
}
