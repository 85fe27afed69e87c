/** Connections over TLS to addresses that were chosen before, kept for a while for the next request. */
import type { ClientRequest } from "node:http";
import { Agent } from "node:https";
import type { RequestOptions } from "node:https";
import type { Duplex } from "node:stream";
import { createSecureContext, rootCertificates } from "node:tls";
import type { ConnectTarget } from "../../federation/discovery/machine.js";

/** Opens a TCP connection, or what stands for one. Rejects where there is none. */
export type OpenSocket = (target: ConnectTarget, signal: AbortSignal) => Promise<Duplex>;

export interface ConnectionOptions {
  readonly ca: readonly string[];
  readonly trustAnyCertificate: boolean;
  readonly openSocket: OpenSocket | undefined;
  readonly connectTime: number;
  readonly idleTime: number;
  readonly idleConnections: number;
  readonly idlePerServer: number;
  /** One more, or one less. */
  readonly onOpen: (change: 1 | -1) => void;
}

type Created = (error: Error | null, socket: Duplex) => void;

/**
 * Connections are kept by address, port and the name that the certificate is for, so that none is used for another
 * server. The number of those that idle is bounded in all: the platform bounds it for each server alone.
 */
export class Connections extends Agent {
  readonly #options: ConnectionOptions;
  readonly #idle = new Set<Duplex>();
  #destroyed = false;

  constructor(options: ConnectionOptions) {
    const { ca, trustAnyCertificate, idleTime, idlePerServer } = options;
    super({
      keepAlive: true,
      timeout: idleTime,
      maxFreeSockets: idlePerServer,
      rejectUnauthorized: !trustAnyCertificate,
      // Made once: reading a hundred roots takes longer than the rest of a handshake.
      ...(ca.length === 0 ? {} : { secureContext: createSecureContext({ ca: [...rootCertificates, ...ca] }) }),
    });
    this.#options = options;
  }

  /** How many connections wait for their next request. */
  get idle(): number {
    return this.#idle.size;
  }

  override createConnection(options: RequestOptions, created?: Created): Duplex | null | undefined {
    const { openSocket, connectTime } = this.#options;
    if (openSocket === undefined) return this.#counted(super.createConnection(options, created));
    const target = { address: options.host ?? "", port: Number(options.port) };
    openSocket(target, AbortSignal.timeout(connectTime)).then(
      (socket) => {
        if (this.#destroyed) socket.destroy();
        const over: RequestOptions & { readonly socket: Duplex } = { ...options, socket };
        const secured = this.#counted(super.createConnection(over));
        if (secured) created?.(null, secured);
      },
      (error: unknown) => {
        // Whoever is told of an error does not look at the socket; the types of the platform have it all the same.
        const failed = created as ((error: Error) => void) | undefined;
        failed?.(error instanceof Error ? error : new Error("the socket could not be opened"));
      },
    );
    return undefined;
  }

  override keepSocketAlive(socket: Duplex): boolean {
    // The platform answers whether to keep it, which its types do not know.
    const keep: (socket: Duplex) => unknown = super.keepSocketAlive.bind(this);
    if (keep(socket) === false) return false;
    this.#idle.delete(socket);
    this.#idle.add(socket);
    const [longest] = this.#idle;
    if (this.#idle.size > this.#options.idleConnections && longest !== undefined) {
      this.#idle.delete(longest);
      longest.destroy();
    }
    return !socket.destroyed;
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    this.#idle.delete(socket);
    super.reuseSocket(socket, request);
  }

  override destroy(): void {
    this.#destroyed = true;
    super.destroy();
  }

  #counted(socket: Duplex | null | undefined): Duplex | null | undefined {
    if (!socket) return socket;
    this.#options.onOpen(1);
    socket.once("close", () => {
      this.#idle.delete(socket);
      this.#options.onOpen(-1);
    });
    return socket;
  }
}
