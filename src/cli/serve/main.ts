/** `roomdag serve`: settings, a host, and the signals that end it. */
import process from "node:process";
import { startHost } from "./host.js";
import { createLog } from "./log.js";
import type { Log } from "./log.js";
import { messageOf } from "./private-file.js";
import { readSettings, settingsHelp } from "./settings.js";

/** Resolves with the exit status when the server has stopped. @throws Failure if it cannot start. */
export async function runServe(args: readonly string[], version: string): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(`roomdag serve: a server that shares rooms with others\n\n${settingsHelp()}`);
    return 0;
  }
  const settings = await readSettings(args, process.stderr.isTTY);
  const log = createLog({
    format: settings.log,
    level: settings.logLevel,
    write: (line) => process.stderr.write(line),
    now: Date.now,
  });
  // Whoever reads the log may go; the server stays.
  process.stderr.on("error", () => undefined);
  const end = endOf(log);
  const host = await startHost(settings, log, version);
  const status = await end;
  await host.stop();
  log.info("stopped", { server: settings.name });
  return status;
}

/** Resolves when the server has to end: 0 for a signal, 1 for a fault. A second signal ends it at once. */
function endOf(log: Log): Promise<number> {
  // Warnings of the platform are events like any other.
  process.removeAllListeners("warning");
  process.on("warning", ({ name, message }) => log.warn("platform.warning", { name, message }));
  return new Promise((resolve) => {
    let isEnding = false;
    const stop = (signal: string): void => {
      if (isEnding) {
        log.warn("killed", { signal });
        process.exit(1);
      }
      isEnding = true;
      log.info("stopping", { signal });
      resolve(0);
    };
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop(signal));
    const fault = (where: string) => (error: unknown) => {
      log.error("fault", { where, error: messageOf(error), stack: error instanceof Error ? error.stack : undefined });
      if (isEnding) process.exit(1);
      isEnding = true;
      resolve(1);
    };
    process.on("uncaughtException", fault("an exception that nobody caught"));
    process.on("unhandledRejection", fault("a rejection that nobody handled"));
  });
}
