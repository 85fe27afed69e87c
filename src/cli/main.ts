#!/usr/bin/env node
/** The command line: a thin edge around `roomdag/inspect`. */
import { createRequire } from "node:module";
import process from "node:process";
import { parseArguments } from "./arguments.js";
import type { Command } from "./arguments.js";
import { runBench } from "./bench.js";
import { runCheck } from "./check.js";
import { runDemo } from "./demo.js";
import { Failure } from "./failure.js";
import { help } from "./help.js";
import { runOracle } from "./oracle.js";
import { Output } from "./output.js";

const output = new Output(process.stdout);
const errors = new Output(process.stderr);

async function run(command: Command): Promise<number> {
  switch (command.command) {
    case "help":
      await output.write(help);
      return 0;
    case "version":
      await output.write(`${ownVersion()}\n`);
      return 0;
    case "oracle":
      await runOracle(process.stdin as AsyncIterable<Buffer>, output);
      return 0;
    case "bench":
      await runBench(command.file, command.iterations, output);
      return 0;
    case "demo":
      return runDemo(command.options, output);
    case "check":
      return runCheck(command.options, output, errors);
    case "serve":
      // What a server stands on is loaded for servers alone.
      return (await import("./serve/main.js")).runServe(command.args, ownVersion());
    case "client":
      return (await import("./client/main.js")).runClient(command.args, output, errors);
    case "draw":
      return (await import("./draw/main.js")).runDraw(command.args, output, errors);
    case "audit":
      return (await import("./inspect/main.js")).runAudit(command.args, wantsColour(), output, errors);
    case "replay":
      return (await import("./inspect/main.js")).runReplay(command.args, wantsColour(), output, errors);
    case "check-store":
      return (await import("./serve/check-store.js")).runCheckStore(command.options, output);
  }
}

/** The package names itself, so that this works from wherever it is installed. */
function ownVersion(): string {
  const manifest = createRequire(import.meta.url)("roomdag/package.json") as { readonly version: string };
  return manifest.version;
}

/** Colours on terminals, unless NO_COLOR says otherwise (no-color.org). */
function wantsColour(): boolean {
  return process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";
}

try {
  process.exitCode = await run(parseArguments(process.argv.slice(2), wantsColour()));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  await errors.write(`roomdag: ${error.message}\nSee roomdag --help.\n`);
  process.exitCode = 2;
}
