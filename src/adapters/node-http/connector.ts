/**
 * A connector for Node: server discovery as the spec has it, with DNS and SRV records, and HTTPS to the addresses that
 * it finds. An address is checked and then connected to as it is, without being looked up again, so that no name can
 * stand for another address in between.
 */
import { advanceDiscovery, startDiscovery } from "../../federation/discovery/machine.js";
import type {
  ConnectStep,
  ConnectTarget,
  DiscoveryAnswer,
  DiscoveryStep,
  ExpectedCertificate,
} from "../../federation/discovery/machine.js";
import { UsageError } from "../../errors.js";
import type { Clock } from "../../ports/clock.js";
import type { Random } from "../../ports/random.js";
import { addressCheck, isIpAddress } from "../http/addresses.js";
import type { AllowedAddresses } from "../http/addresses.js";
import type { Connected, Connector, HttpRequest } from "../http/connector.js";
import { Remembered, Shared } from "../http/shared.js";
import { WellKnowns } from "../http/well-known.js";
import type { Page } from "../http/well-known.js";
import { Connections } from "./agent.js";
import type { OpenSocket } from "./agent.js";
import { exchange } from "./exchange.js";
import type { Outcome } from "./exchange.js";
import { createHostResolver } from "./resolver.js";
import type { HostResolver } from "./resolver.js";

export interface NodeConnectorLimits {
  /** Milliseconds for a connection to one address, TLS included. */
  readonly connectTime: number;
  /** Milliseconds that a connection waits for its next request. */
  readonly idleTime: number;
  /** Connections that wait so: in all, and to one server. */
  readonly idleConnections: number;
  readonly idlePerServer: number;
  /** Milliseconds for which the addresses of a server are used without another look, unless none answers. */
  readonly discoveryTime: number;
  /** Milliseconds for a document of delegation, redirects included. */
  readonly wellKnownTime: number;
  /** Servers whose addresses, and whose documents, are remembered. */
  readonly servers: number;
}

export const defaultNodeConnectorLimits: NodeConnectorLimits = Object.freeze({
  connectTime: 10_000,
  idleTime: 60_000,
  idleConnections: 512,
  idlePerServer: 8,
  discoveryTime: 300_000,
  wellKnownTime: 10_000,
  servers: 10_000,
});

export interface NodeConnectorOptions {
  readonly clock: Clock;
  /** Orders SRV records. */
  readonly random: Random;
  /** By default {@link createHostResolver}. */
  readonly resolver?: HostResolver;
  /**
   * Networks that may be connected to although they are not public, such as `["10.1.0.0/16", "::1/128"]`; `true` for
   * all. By default none: names come from the network, and would lead this server to machines beside it.
   */
  readonly allowPrivateAddresses?: AllowedAddresses;
  /** Authorities that are trusted beside the platform's, in PEM. */
  readonly ca?: string | readonly string[];
  /** For tests alone: whoever is on the way can then be any server. */
  readonly trustAnyCertificate?: boolean;
  /** How TCP connections are opened, for a proxy. The address has been checked. By default directly. */
  readonly openSocket?: OpenSocket;
  readonly limits?: Partial<NodeConnectorLimits>;
  readonly onMetric?: (metric: NodeConnectorMetric) => void;
}

export interface NodeConnectorMetric {
  /** One more, or one less. */
  readonly name: "http.client.open_connections";
  readonly value: 1 | -1;
}

/** {@link Connector} of a Node process. */
export interface NodeConnector extends Connector {
  /** Ends all connections. Later requests find none. */
  close(): Promise<void>;
}

interface Found {
  readonly step: ConnectStep;
  readonly until: number;
}

/** A server closes what it kept; there are not more than so many of them, and one try is over a new one. */
const SPARE_TRIES = 2;

class Connecting implements NodeConnector {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: NodeConnectorLimits;
  readonly #resolver: HostResolver;
  readonly #check: (address: string) => string | undefined;
  readonly #connections: Connections;
  readonly #wellKnowns: WellKnowns;
  readonly #found: Remembered<Found>;
  readonly #finding = new Shared<ConnectStep | string>();
  readonly #under = new Set<AbortController>();
  #closed = false;

  constructor(options: NodeConnectorOptions) {
    const { clock, random, resolver, ca = [], trustAnyCertificate = false, openSocket, onMetric } = options;
    this.#clock = clock;
    this.#random = random;
    this.#limits = limitsOf(options.limits);
    this.#resolver = resolver ?? createHostResolver();
    this.#check = addressCheck(options.allowPrivateAddresses);
    this.#connections = new Connections({
      ...this.#limits,
      ca: typeof ca === "string" ? [ca] : ca,
      trustAnyCertificate,
      openSocket,
      onOpen: (value) => {
        try {
          onMetric?.({ name: "http.client.open_connections", value });
        } catch {
          // Who measures changes nothing.
        }
      },
    });
    const { wellKnownTime, servers } = this.#limits;
    this.#wellKnowns = new WellKnowns(clock, { time: wellKnownTime, hosts: servers });
    this.#found = new Remembered(servers);
  }

  async request(server: string, request: HttpRequest, outer: AbortSignal): Promise<Connected> {
    if (this.#closed) return gone("connections are closed");
    const stop = new AbortController();
    // It stays linked: the answer's body ends with it too.
    if (outer.aborted) stop.abort();
    else outer.addEventListener("abort", () => stop.abort(), { once: true });
    this.#under.add(stop);
    try {
      return await this.#ask(server, request, stop.signal);
    } finally {
      this.#under.delete(stop);
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const stop of this.#under) stop.abort();
    this.#connections.destroy();
    return Promise.resolve();
  }

  async #ask(server: string, request: HttpRequest, signal: AbortSignal): Promise<Connected> {
    const step = await this.#find(server, signal);
    if (step === undefined) return gone("it was not waited for");
    if (typeof step === "string") return gone(step);
    const { targets, hostHeader, certificate } = step;
    const outcome = await this.#try(targets, { hostHeader, certificate }, request, signal);
    if (outcome.got === "answer") {
      this.#prefer(server, step, outcome.target);
      return { ok: true, answer: { status: outcome.status, body: outcome.body } };
    }
    // It may have moved.
    if (!signal.aborted) this.#found.forget(server);
    return gone(outcome.reason);
  }

  // ---- where a server is ----------------------------------------------------------------------------------

  async #find(server: string, signal: AbortSignal): Promise<ConnectStep | string | undefined> {
    const known = this.#found.get(server);
    const now = this.#clock.now();
    if (known !== undefined && now < known.until && known.until - now <= this.#limits.discoveryTime) return known.step;
    return this.#finding.run(server, signal, (inner) => this.#discover(server, inner));
  }

  /** Where to connect, or why there is nowhere. */
  async #discover(server: string, signal: AbortSignal): Promise<ConnectStep | string> {
    let discovery = startDiscovery(server);
    for (;;) {
      const { step } = discovery;
      if (step.do === "give up") return step.reason;
      if (step.do === "connect") {
        this.#found.put(server, { step, until: this.#clock.now() + this.#limits.discoveryTime });
        return step;
      }
      const answer = await this.#answer(step, signal);
      if (signal.aborted) return "it was not waited for";
      discovery = advanceDiscovery(discovery, answer, this.#random);
    }
  }

  async #answer(
    step: Exclude<DiscoveryStep, { readonly do: "connect" | "give up" }>,
    signal: AbortSignal,
  ): Promise<DiscoveryAnswer> {
    switch (step.do) {
      case "fetch well-known": {
        const wellKnown = await this.#wellKnowns.of(step, (url, inner) => this.#get(url, inner), signal);
        return { to: "fetch well-known", wellKnown };
      }
      case "lookup srv":
        return { to: "lookup srv", result: await this.#resolver.srv(step.name, signal) };
      case "lookup addresses":
        return {
          to: "lookup addresses",
          addresses: await Promise.all(step.hosts.map((host) => this.#resolver.addresses(host, signal))),
        };
    }
  }

  /** One page of a website, for documents of delegation. */
  async #get(url: URL, signal: AbortSignal): Promise<Page | undefined> {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const isLiteral = isIpAddress(host);
    const addresses = isLiteral ? [host] : await this.#resolver.addresses(host, signal);
    const port = url.port === "" ? 443 : Number(url.port);
    const certificate: ExpectedCertificate = isLiteral ? { kind: "ip", address: host } : { kind: "dns", name: host };
    const targets = addresses.map((address) => ({ address, port }));
    const request = {
      method: "GET",
      uri: url.pathname + url.search,
      headers: [["Accept", "application/json"]],
    } as const;
    const outcome = await this.#try(targets, { hostHeader: url.host, certificate }, request, signal);
    return outcome.got === "answer" ? outcome : undefined;
  }

  // ---- connecting -----------------------------------------------------------------------------------------

  /** One address after the other, until one has been sent the request. */
  async #try(
    targets: readonly ConnectTarget[],
    as: { readonly hostHeader: string; readonly certificate: ExpectedCertificate },
    request: HttpRequest,
    signal: AbortSignal,
  ): Promise<
    | (Extract<Outcome, { readonly got: "answer" }> & { readonly target: ConnectTarget })
    | { readonly got: "nothing"; readonly reason: string }
  > {
    const reasons: string[] = [];
    for (const target of targets) {
      if (signal.aborted) break;
      const problem = this.#check(target.address);
      const outcome: Outcome =
        problem === undefined
          ? await this.#exchange({ target, ...as }, request, signal)
          : { got: "no connection", reason: problem };
      if (outcome.got === "answer") return { ...outcome, target };
      reasons.push(outcome.got === "stale" ? "the connection was closed" : outcome.reason);
      if (outcome.got !== "no connection") break;
    }
    return { got: "nothing", reason: reasons.join("; ") || "nobody was asked" };
  }

  async #exchange(
    destination: {
      readonly target: ConnectTarget;
      readonly hostHeader: string;
      readonly certificate: ExpectedCertificate;
    },
    request: HttpRequest,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { connectTime, idlePerServer } = this.#limits;
    let outcome: Outcome = { got: "stale" };
    for (let tries = 0; outcome.got === "stale" && tries < idlePerServer + SPARE_TRIES; tries++) {
      outcome = await exchange(this.#connections, destination, request, signal, connectTime);
    }
    return outcome;
  }

  /** The address that answered is the first to be tried from now on. */
  #prefer(server: string, step: ConnectStep, target: ConnectTarget): void {
    const known = this.#found.get(server);
    if (known?.step !== step || step.targets[0] === target) return;
    const targets = [target, ...step.targets.filter((one) => one !== target)];
    this.#found.put(server, { step: { ...step, targets }, until: known.until });
  }
}

/**
 * Connects to servers from Node: see the module.
 * @throws UsageError for limits, or networks, that cannot be used.
 */
export function createNodeConnector(options: NodeConnectorOptions): NodeConnector {
  return new Connecting(options);
}

function limitsOf(changes: Partial<NodeConnectorLimits> = {}): NodeConnectorLimits {
  for (const [name, value] of Object.entries<unknown>(changes)) {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value <= 0)
      throw new UsageError(`limit ${name} must be a positive integer`);
  }
  return Object.freeze({ ...defaultNodeConnectorLimits, ...changes });
}

function gone(reason: string): Extract<Connected, { readonly ok: false }> {
  return { ok: false, reason };
}
