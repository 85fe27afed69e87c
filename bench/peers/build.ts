/** Builds the peers that can be built here, and says why not where they cannot. */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import process from "node:process";
import { Contender } from "./protocol.js";

export interface Built {
  readonly name: string;
  /** Starts it, or says why it could not be built. */
  readonly peer: (() => Contender) | string;
}

const TARGET = resolve(".cache/bench-ruma");
const PYTHON = ".cache/synapse/bin/python";

/** Runs a step of a build; why it failed, if it did. What it prints goes to stderr, beside the tables. */
function failureOf(command: string, argv: readonly string[], cwd = "."): string | undefined {
  const { error, status } = spawnSync(command, argv, { cwd, stdio: ["ignore", 2, 2] });
  if (error !== undefined) return `${command} cannot be run (${error.message})`;
  return status === 0 ? undefined : `\`${[command, ...argv].join(" ")}\` ended with ${String(status)}`;
}

function buildRuma(): Built {
  const name = "ruma";
  // In its folder, where its settings for cargo are.
  const argv = ["build", "--release", "--locked", "-j1", "--target-dir", TARGET, "--bin", "roomdag-bench-ruma"];
  const missing = failureOf("cargo", argv, "bench/peers/ruma");
  if (missing !== undefined) return { name, peer: missing };
  return { name, peer: () => new Contender(name, `${TARGET}/release/roomdag-bench-ruma`, []) };
}

function buildSynapse(): Built {
  const name = "synapse";
  const missing = failureOf("test/interop/synapse/install.sh", []);
  if (missing !== undefined) return { name, peer: missing };
  return { name, peer: () => new Contender(name, PYTHON, ["bench/peers/synapse/contender.py"]) };
}

/** From the repository's root. Takes minutes the first time. */
export function buildPeers(): readonly Built[] {
  return [buildRuma(), buildSynapse()];
}

/** A contender in Node: this very bundle. */
export function startOwn(name: string): Contender {
  const argv = ["--expose-gc", "--max-old-space-size=8192", process.argv[1] ?? "", `--contender=${name}`];
  return new Contender(name, process.execPath, argv);
}
