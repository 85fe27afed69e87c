/** The network of a server: what it asks others by, what others ask it by, and what signatures are checked by. */
import { availableParallelism } from "node:os";
import { createNodeVerifier, createWorkerPoolVerifier } from "../../adapters/node-crypto/index.js";
import { createNodeTransport, listenHttps } from "../../adapters/node-http/index.js";
import type { Listening } from "../../adapters/node-http/index.js";
import { UsageError } from "../../errors.js";
import type { Clock, Keys, Observer, Random, Transport } from "../../ports/index.js";
import { Failure } from "../failure.js";
import type { CertificateAndKey } from "./certificate.js";
import type { Settings } from "./settings.js";
import { readGiven } from "./tls.js";

export interface NetworkOptions {
  readonly settings: Settings;
  readonly tls: CertificateAndKey;
  /** What requests are signed and checked by; it may come into being later, as it asks by this network itself. */
  readonly keys: () => Keys;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: Observer;
}

export interface Network {
  readonly transport: Transport;
  readonly verify: Keys["verify"];
  /** Lets other servers in. Answers where: `https://ADDRESS:PORT`. */
  listen(): Promise<string>;
  /** Takes no more requests, and ends what is under way within `ms`. */
  close(ms: number): Promise<void>;
}

/** @throws Failure for certificates that cannot be read. */
export async function openNetwork(options: NetworkOptions): Promise<Network> {
  const { settings, tls, keys, clock, random, observer } = options;
  const { name, host, port, allowPrivate, trustAnyCertificate } = settings;
  const ca = await Promise.all(settings.ca.map(readGiven));
  const transport = createNodeTransport({
    server: name,
    keys,
    clock,
    random,
    observer,
    allowPrivateAddresses: allowPrivate,
    trustAnyCertificate,
    ca,
  });
  // On one core threads gain nothing.
  const pool = availableParallelism() > 1 ? createWorkerPoolVerifier() : undefined;
  const verifier = pool ?? createNodeVerifier();
  let listening: Listening | undefined;
  return {
    transport,
    verify: (requests, cancel) => verifier.verify(requests, cancel),
    listen: async () => {
      listening = await listenHttps({
        port,
        handler: transport,
        key: tls.key,
        cert: tls.certificate,
        observer,
        ...(host === undefined ? {} : { host }),
      }).catch((error: unknown) => {
        throw error instanceof UsageError ? new Failure(error.message) : error;
      });
      return `https://${host?.includes(":") === true ? `[${host}]` : (host ?? "*")}:${listening.port}`;
    },
    close: async (ms) => {
      await listening?.close(ms);
      await transport.close();
      await pool?.close();
    },
  };
}
