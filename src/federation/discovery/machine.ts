/**
 * Server discovery: from a server name to addresses (server-server API, "Resolving server names"), as a state machine
 * without a network. {@link startDiscovery} says what to do first; the host does it and hands the answer to
 * {@link advanceDiscovery}, which says what to do next:
 *
 * 1. an IP literal is its own address;
 * 2. an explicit port leaves only addresses to be looked up;
 * 3. `/.well-known/matrix/server` may delegate to another name, which goes through 1 and 2 and then to 4; it is not
 *    asked for a document of its own;
 * 4. SRV records of `_matrix-fed._tcp`, then of the deprecated `_matrix._tcp`;
 * 5. the name's own addresses at port 8448.
 *
 * That is at most four answers. The `Host` header and the certificate are of the name that was reached by 1 to 3,
 * never of an SRV target: DNS is no proof of who may speak for a name.
 *
 * Names come from the network, so an attacker chooses the addresses that are found. Which of them a host connects to
 * at all (private networks, itself) is the host's to decide, on the addresses and not on names.
 */
import { UsageError } from "../../errors.js";
import { parseServerName } from "../../ids/server-name.js";
import type { ServerNameParts } from "../../ids/server-name.js";
import type { Random } from "../../ports/random.js";
import { DEFAULT_PORT, isAddress, unusable } from "./endpoint.js";
import { orderSrvRecords } from "./srv.js";
import type { SrvRecord, SrvTarget } from "./srv.js";
import { MAX_WELL_KNOWN_BYTES, MAX_WELL_KNOWN_REDIRECTS } from "./well-known.js";
import type { WellKnown } from "./well-known.js";

/** What the host does next. */
export type DiscoveryStep = FetchWellKnownStep | LookupSrvStep | LookupAddressesStep | ConnectStep | GiveUpStep;

/**
 * A GET, over HTTPS with the certificate of `host` checked as for any site. The host follows redirects, to HTTPS only
 * and no more than `maxRedirects`, and stops reading after `maxBytes`. Remembered documents answer it as well: see
 * `wellKnownLifetime`.
 */
export interface FetchWellKnownStep {
  readonly do: "fetch well-known";
  readonly host: string;
  readonly url: string;
  readonly maxRedirects: number;
  readonly maxBytes: number;
}

export interface LookupSrvStep {
  readonly do: "lookup srv";
  /** The whole name, such as `_matrix-fed._tcp.example.org`. */
  readonly name: string;
}

/** AAAA and A records. CNAMEs are followed, but SRV targets have none. */
export interface LookupAddressesStep {
  readonly do: "lookup addresses";
  readonly hosts: readonly string[];
}

/** The end: where to connect, and as whom. */
export interface ConnectStep {
  readonly do: "connect";
  /** In the order in which to try them; at least one. */
  readonly targets: readonly ConnectTarget[];
  /** The `Host` header. */
  readonly hostHeader: string;
  readonly certificate: ExpectedCertificate;
}

/** The end: the server cannot be reached now. */
export interface GiveUpStep {
  readonly do: "give up";
  /** One sentence for a person. */
  readonly reason: string;
}

export interface ConnectTarget {
  /** An IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  readonly port: number;
}

/** For whom the certificate must be valid. A DNS name is sent as SNI as well, an address is not. */
export type ExpectedCertificate =
  { readonly kind: "dns"; readonly name: string } | { readonly kind: "ip"; readonly address: string };

/** What came of a step; `to` repeats its `do`. */
export type DiscoveryAnswer =
  | { readonly to: "fetch well-known"; readonly wellKnown: WellKnown }
  | { readonly to: "lookup srv"; readonly result: SrvAnswer }
  /** For each host, in order, its addresses, in the order in which to try them: none where the lookup failed. */
  | { readonly to: "lookup addresses"; readonly addresses: readonly (readonly string[])[] };

/** A name without SRV records is not the same as one that could not be looked up. */
export type SrvAnswer =
  | { readonly status: "found"; readonly records: readonly SrvRecord[] }
  /** There are none: the name does not exist, or has no records of this type. */
  | { readonly status: "none" }
  /** Nobody answered, or the resolver could not tell. */
  | { readonly status: "failed"; readonly reason: string };

/** A discovery that is under way or at its end. Plain data: it may be kept and gone on with elsewhere. */
export interface Discovery {
  readonly step: DiscoveryStep;
  /** The name to be reached, by now: the server's own, or the one that it delegates to. */
  readonly name: string;
  /** The ports of a lookup for addresses, one for each host. */
  readonly ports: readonly number[];
}

/** The addresses of one host that are used. */
export const MAX_ADDRESSES = 8;

const SERVICES = ["_matrix-fed._tcp.", "_matrix._tcp."] as const;

/** Begins to look for a server. A name that is none, which the network may well contain, is given up at once. */
export function startDiscovery(serverName: string): Discovery {
  const parsed = parseServerName(serverName);
  if (!parsed.ok) return giveUp(serverName, `not a server name: ${parsed.error.reason}`);
  const problem = unusable(parsed.value);
  if (problem !== undefined) return giveUp(serverName, problem);
  const { host } = parsed.value;
  return (
    withoutDelegation(parsed.value) ??
    at(serverName, {
      do: "fetch well-known",
      host,
      url: `https://${host}/.well-known/matrix/server`,
      maxRedirects: MAX_WELL_KNOWN_REDIRECTS,
      maxBytes: MAX_WELL_KNOWN_BYTES,
    })
  );
}

/**
 * Goes on with what came of the step. No answer is wrong: what does not help is as if it had not been there.
 * @param random orders SRV records of one priority.
 * @throws UsageError where the answer is to another step, or there is none left.
 */
export function advanceDiscovery(discovery: Discovery, answer: DiscoveryAnswer, random: Random): Discovery {
  const { step, name } = discovery;
  if (step.do === "fetch well-known" && answer.to === "fetch well-known") return afterWellKnown(name, answer.wellKnown);
  if (step.do === "lookup srv" && answer.to === "lookup srv") return afterSrv(name, step, answer.result, random);
  if (step.do === "lookup addresses" && answer.to === "lookup addresses") {
    return afterAddresses(discovery, step.hosts, answer.addresses);
  }
  throw new UsageError(`the discovery waits for "${step.do}": answer that step, and none after the last`);
}

function afterWellKnown(name: string, wellKnown: WellKnown): Discovery {
  const delegated = wellKnown.valid ? wellKnown.server : name;
  const parsed = parseServerName(delegated);
  if (!parsed.ok || unusable(parsed.value) !== undefined) return lookupSrv(name, SERVICES[0]);
  return withoutDelegation(parsed.value) ?? lookupSrv(delegated, SERVICES[0]);
}

/** Steps 1 and 2, and 3.1 and 3.2: what needs neither SRV records nor a document. */
function withoutDelegation({ name, host, port, kind }: ServerNameParts): Discovery | undefined {
  if (kind !== "dns") return connect(name, [{ address: withoutBrackets(host), port: port ?? DEFAULT_PORT }]);
  return port === undefined ? undefined : lookupAddresses(name, [{ host, port }]);
}

/** The name has no port here, so it is the host. */
function lookupSrv(name: string, service: (typeof SERVICES)[number]): Discovery {
  return at(name, { do: "lookup srv", name: service + name });
}

function afterSrv(name: string, step: LookupSrvStep, result: SrvAnswer, random: Random): Discovery {
  // To go on would lead the server's traffic past the port that its operator chose.
  if (result.status === "failed") return giveUp(name, `${step.name} could not be looked up: ${result.reason}`);
  if (result.status === "found" && result.records.length > 0) {
    const targets = orderSrvRecords(result.records, random);
    if (targets.length === 0) return giveUp(name, `${step.name} says that there is no such service`);
    return lookupAddresses(name, targets);
  }
  if (step.name.startsWith(SERVICES[0])) return lookupSrv(name, SERVICES[1]);
  return lookupAddresses(name, [{ host: name, port: DEFAULT_PORT }]);
}

function lookupAddresses(name: string, endpoints: readonly SrvTarget[]): Discovery {
  const hosts = Object.freeze(endpoints.map(({ host }) => host));
  return at(name, { do: "lookup addresses", hosts }, Object.freeze(endpoints.map(({ port }) => port)));
}

function afterAddresses(
  { name, ports }: Discovery,
  hosts: readonly string[],
  addresses: readonly (readonly string[])[],
): Discovery {
  const targets = ports.flatMap((port, index) =>
    (addresses[index] ?? [])
      .filter(isAddress)
      .slice(0, MAX_ADDRESSES)
      .map((address) => Object.freeze({ address, port })),
  );
  if (targets.length === 0) return giveUp(name, `no address was found for ${hosts.join(", ")}`);
  return connect(name, targets);
}

function connect(name: string, targets: readonly ConnectTarget[]): Discovery {
  const parsed = parseServerName(name);
  if (!parsed.ok) throw new UsageError("a discovery goes on as `advanceDiscovery` returned it");
  const { host, kind } = parsed.value;
  const certificate: ExpectedCertificate =
    kind === "dns" ? { kind: "dns", name: host } : { kind: "ip", address: withoutBrackets(host) };
  return at(name, {
    do: "connect",
    targets: Object.freeze(targets),
    hostHeader: name,
    certificate: Object.freeze(certificate),
  });
}

function giveUp(name: string, reason: string): Discovery {
  return at(name, { do: "give up", reason });
}

function at(name: string, step: DiscoveryStep, ports: readonly number[] = []): Discovery {
  return Object.freeze({ step: Object.freeze(step), name, ports });
}

function withoutBrackets(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1) : host;
}
