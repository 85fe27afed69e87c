/**
 * A real Synapse on loopback, with a configuration of its own in a temporary folder: TLS by a self-signed certificate,
 * private addresses allowed, no rate limits, and short pauses before servers that were away are tried again.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfSignedCertificate } from "../../../src/cli/serve/certificate.js";
import { eventually, freePort, isRunning, pidOf, root, startProgram, stopProgram } from "./processes.js";

export const python = `${root}.cache/synapse/bin/python`;

/** Where a Synapse is, and what it takes to stop it and start it again. */
export interface SynapseAddress {
  readonly folder: string;
  readonly server: string;
  /** The client-server API, in plain HTTP. */
  readonly api: string;
}

/** What a person is told who has no Synapse. */
export function requireSynapse(): void {
  if (existsSync(python)) return;
  throw new Error(
    "Synapse is not installed: install Python 3.10 or later with venv and pip (Debian: apt install python3-venv), " +
      "then run test/interop/synapse/install.sh, or `npm run interop`, which does",
  );
}

/** Makes a configuration and starts it. */
export async function createSynapse(): Promise<SynapseAddress> {
  requireSynapse();
  const folder = mkdtempSync(join(tmpdir(), "roomdag-synapse-"));
  const [federationPort, apiPort] = [await freePort(), await freePort()];
  const server = `localhost:${String(federationPort)}`;
  const day = 24 * 3_600_000;
  const now = Date.now();
  const tls = selfSignedCertificate({ host: "localhost", notBefore: now - day, notAfter: now + 30 * day });
  mkdirSync(join(folder, "media"));
  writeFileSync(join(folder, "tls.crt"), tls.certificate);
  writeFileSync(join(folder, "tls.key"), tls.key);
  // YAML holds JSON.
  const write = (name: string, content: object): void => {
    writeFileSync(join(folder, name), JSON.stringify(content, null, 2));
  };
  write("homeserver.yaml", configuration(folder, server, federationPort, apiPort));
  write("log.yaml", logging(folder));
  const address = { folder, server, api: `http://127.0.0.1:${String(apiPort)}` };
  await startSynapse(address);
  return address;
}

function program({ folder }: SynapseAddress) {
  return {
    command: python,
    args: ["-m", "synapse.app.homeserver", "--config-path", join(folder, "homeserver.yaml"), "--generate-keys"],
    cwd: folder,
    pidFile: join(folder, "pid"),
    logFile: join(folder, "output.log"),
  };
}

/** Starts it, and waits until it answers. */
export async function startSynapse(address: SynapseAddress): Promise<void> {
  const own = program(address);
  // The key is made by a run of its own.
  if (!existsSync(join(address.folder, "signing.key"))) {
    startProgram(own);
    await eventually(() => {
      if (isRunning(pidOf(own) ?? -1)) throw new Error("Synapse is still making its key");
    }, 180_000);
  }
  startProgram({ ...own, args: own.args.slice(0, -1) });
  await eventually(async () => {
    const isUp = await fetch(`${address.api}/_matrix/client/versions`).then(
      (response) => response.ok,
      () => false,
    );
    if (!isUp && isRunning(pidOf(own) ?? -1)) throw new Error("Synapse does not answer yet");
    if (!isUp) throw new SynapseEnded(address);
  }, 180_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${logOf(address)}`);
  });
}

export class SynapseEnded extends Error {
  constructor({ folder }: SynapseAddress) {
    super(`Synapse ended: see ${folder}`);
  }
}

/** An outage. What it has written stays. */
export function stopSynapse(address: SynapseAddress, signal?: "SIGKILL"): Promise<void> {
  return stopProgram(program(address), signal);
}

export function removeSynapse(address: SynapseAddress): void {
  rmSync(address.folder, { recursive: true, force: true });
}

/** The last of what it logged. */
export function logOf({ folder }: SynapseAddress, length = 6_000): string {
  const read = (name: string): string =>
    existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8").slice(-length) : "";
  return `${read("output.log")}\n${read("homeserver.log")}`;
}

// ---- configuration ----------------------------------------------------------------------------------------

const unlimited = { per_second: 100_000, burst_count: 100_000 };

function configuration(folder: string, server: string, federationPort: number, apiPort: number): object {
  return {
    server_name: server,
    pid_file: join(folder, "synapse.pid"),
    signing_key_path: join(folder, "signing.key"),
    log_config: join(folder, "log.yaml"),
    media_store_path: join(folder, "media"),
    tls_certificate_path: join(folder, "tls.crt"),
    tls_private_key_path: join(folder, "tls.key"),
    listeners: [
      {
        port: federationPort,
        type: "http",
        tls: true,
        bind_addresses: ["127.0.0.1"],
        resources: [{ names: ["federation", "client"] }],
      },
      { port: apiPort, type: "http", bind_addresses: ["127.0.0.1"], resources: [{ names: ["client"] }] },
    ],
    database: { name: "sqlite3", args: { database: join(folder, "homeserver.db") } },
    registration_shared_secret: "interop",
    macaroon_secret_key: "interop",
    form_secret: "interop",
    enable_registration: true,
    enable_registration_without_verification: true,
    bcrypt_rounds: 4,
    report_stats: false,
    stats: { enabled: false },
    presence: { enabled: false },
    user_directory: { enabled: false },
    enable_media_repo: false,
    push: { enabled: false },
    allow_public_rooms_over_federation: true,
    allow_public_rooms_without_auth: true,
    // What was synchronised before is not what is now.
    caches: { sync_response_cache_duration: "0s" },
    // Whoever redacts looks at once at what is left.
    redaction_retention_period: "1s",
    // Everything is on loopback.
    ip_range_blacklist: [],
    federation_ip_range_blacklist: [],
    federation_verify_certificates: false,
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    federation: {
      client_timeout: "20s",
      max_short_retries: 1,
      max_long_retries: 2,
      max_short_retry_delay: "1s",
      max_long_retry_delay: "2s",
      destination_min_retry_interval: "1s",
      destination_retry_multiplier: 1,
      destination_max_retry_interval: "2s",
    },
    rc_message: unlimited,
    rc_registration: unlimited,
    rc_registration_token_validity: unlimited,
    rc_login: { address: unlimited, account: unlimited, failed_attempts: unlimited },
    rc_admin_redaction: unlimited,
    rc_joins: { local: unlimited, remote: unlimited },
    rc_joins_per_room: unlimited,
    rc_key_requests: unlimited,
    rc_invites: { per_room: unlimited, per_user: unlimited, per_issuer: unlimited },
    rc_third_party_invite: unlimited,
    rc_room_creation: unlimited,
    rc_federation: { window_size: 1000, sleep_limit: 100_000, sleep_delay: 1, reject_limit: 100_000, concurrent: 100 },
    federation_rr_transactions_per_room_per_second: 1000,
  };
}

function logging(folder: string): object {
  return {
    version: 1,
    formatters: { plain: { format: "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s" } },
    handlers: {
      file: { class: "logging.FileHandler", formatter: "plain", filename: join(folder, "homeserver.log") },
    },
    loggers: { "synapse.storage.SQL": { level: "WARNING" }, "synapse.access": { level: "INFO" } },
    root: { level: "INFO", handlers: ["file"] },
    disable_existing_loggers: false,
  };
}
