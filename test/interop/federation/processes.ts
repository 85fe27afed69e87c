/** Processes of the interop suite: started by one process, and perhaps stopped and started again by another. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";

/** Tests, and the programs that they start, run in the repository's root. */
export const root = `${process.cwd()}/`;

/** A program whose process id is in a file, so that any test can stop it and start it again. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly pidFile: string;
  readonly logFile: string;
}

/** Starts a program of its own; what it prints is appended to the log. */
export function startProgram({ command, args, cwd, pidFile, logFile }: Program): number {
  const log = openSync(logFile, "a");
  const child = spawn(command, args, { cwd, stdio: ["ignore", log, log], detached: true });
  closeSync(log);
  child.unref();
  if (child.pid === undefined) throw new Error(`${command} could not be started`);
  writeFileSync(pidFile, String(child.pid));
  return child.pid;
}

export function pidOf({ pidFile }: Pick<Program, "pidFile">): number | undefined {
  return existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8")) : undefined;
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that has ended and whose parent has not asked is still there by its number.
  const status = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8") : "";
  return status.slice(status.lastIndexOf(")") + 2, status.lastIndexOf(")") + 3) !== "Z";
}

/** Ends a program, and waits until it has ended. After `patience` milliseconds it is killed. */
export async function stopProgram(
  program: Pick<Program, "pidFile">,
  signal: "SIGTERM" | "SIGKILL" = "SIGTERM",
  patience = 30_000,
): Promise<void> {
  const pid = pidOf(program);
  if (pid === undefined || !isRunning(pid)) return;
  process.kill(pid, signal);
  const until = Date.now() + patience;
  while (isRunning(pid)) {
    if (Date.now() > until) process.kill(pid, "SIGKILL");
    await pause(20);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * A port of loopback that nobody listens on. Below those that systems give to connections: while a server is away, one
 * of them could take its place.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) return port;
  }
  throw new Error("there is no free port");
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** Tries until something holds. @throws what was wrong the last time. */
export async function eventually<T>(look: () => T | Promise<T>, patience = 60_000): Promise<T> {
  const until = Date.now() + patience;
  for (let wait = 25; ; wait = Math.min(wait * 1.5, 500)) {
    try {
      return await look();
    } catch (error) {
      if (Date.now() > until) throw error;
      await pause(wait);
    }
  }
}
