/** DNS by c-ares: asynchronous, with timeouts, and not in the way of the file system as getaddrinfo is. */
import { Resolver } from "node:dns/promises";
import type { SrvAnswer } from "../../federation/discovery/machine.js";

/** Looks names up. Failures are values. */
export interface HostResolver {
  srv(name: string, signal: AbortSignal): Promise<SrvAnswer>;
  /** IPv4 and IPv6 addresses, in the order in which to try them; none where there are none, or none could be had. */
  addresses(host: string, signal: AbortSignal): Promise<readonly string[]>;
}

export interface HostResolverOptions {
  /** Milliseconds for a first answer; each of the `tries` after it waits longer. */
  readonly timeout?: number;
  readonly tries?: number;
  /** Addresses of name servers, such as `["192.0.2.53"]`; by default those of the system. */
  readonly servers?: readonly string[];
}

/** There is no such name, or it has no such records. */
const ABSENT: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA"]);

/**
 * The resolver of the system, by DNS alone: `/etc/hosts` is not read. `localhost` and names below it are this machine
 * (RFC 6761 section 6.3), whatever a name server would say.
 */
export function createHostResolver(options: HostResolverOptions = {}): HostResolver {
  const { timeout = 3_000, tries = 2, servers } = options;

  /** A resolver of its own: what it asks can be taken back. */
  const asking = async <T>(signal: AbortSignal, ask: (resolver: Resolver) => Promise<T>): Promise<T> => {
    const resolver = new Resolver({ timeout, tries });
    if (servers !== undefined) resolver.setServers(servers);
    const stop = (): void => resolver.cancel();
    signal.addEventListener("abort", stop);
    try {
      const answer = ask(resolver);
      if (signal.aborted) stop();
      return await answer;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  };

  return Object.freeze({
    srv: (name: string, signal: AbortSignal): Promise<SrvAnswer> =>
      asking(signal, async (resolver): Promise<SrvAnswer> => {
        try {
          const records = await resolver.resolveSrv(name);
          return {
            status: "found",
            records: records.map(({ priority, weight, port, name: target }) => ({ priority, weight, port, target })),
          };
        } catch (error) {
          const code = codeOf(error);
          return ABSENT.has(code) ? { status: "none" } : { status: "failed", reason: code };
        }
      }),
    addresses: (host: string, signal: AbortSignal): Promise<readonly string[]> => {
      if (/(?:^|\.)localhost\.?$/i.test(host)) return Promise.resolve(["127.0.0.1", "::1"]);
      return asking(signal, async (resolver) => {
        const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
        // IPv4 first: nearly all servers have it, and not every network carries IPv6.
        return found.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
      });
    },
  });
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "the resolver failed";
}
