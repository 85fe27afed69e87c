/** The command line as data. */
import { parseArgs } from "node:util";
import type { CheckArguments } from "./check.js";
import type { DemoArguments } from "./demo.js";
import { Failure } from "./failure.js";
import type { CheckStoreArguments } from "./serve/check-store.js";

export type Command =
  | { readonly command: "help" }
  | { readonly command: "version" }
  | { readonly command: "oracle" }
  | { readonly command: "demo"; readonly options: DemoArguments }
  | { readonly command: "bench"; readonly file: string; readonly iterations: number }
  | { readonly command: "check"; readonly options: CheckArguments }
  | { readonly command: "check-store"; readonly options: CheckStoreArguments }
  /** These read the rest themselves. */
  | { readonly command: "serve" | "client" | "draw" | "audit" | "replay"; readonly args: readonly string[] };

const flags = {
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
  "room-version": { type: "string" },
  room: { type: "string" },
  keys: { type: "string" },
  explain: { type: "string" },
  json: { type: "boolean" },
  trace: { type: "boolean" },
  summary: { type: "boolean" },
  "no-color": { type: "boolean" },
  iters: { type: "string" },
  store: { type: "string" },
  database: { type: "string" },
} as const;

type Flag = keyof typeof flags;

/** `demo` has a set of its own: its `--version` is a room's. */
const demoFlags = {
  help: { type: "boolean", short: "h" },
  version: { type: "string" },
  json: { type: "boolean" },
  "no-color": { type: "boolean" },
} as const;

const allowed: Readonly<Record<"check" | "oracle" | "bench", readonly Flag[]>> = {
  check: ["room-version", "room", "keys", "explain", "json", "trace", "summary", "no-color", "store", "database"],
  oracle: [],
  bench: ["iters"],
};

function readsTheRest(name: string | undefined): name is "serve" | "client" | "draw" | "audit" | "replay" {
  return ["serve", "client", "draw", "audit", "replay"].some((one) => one === name);
}

/** `audit` and `replay` have their help on the common page. */
function restOf(command: "serve" | "client" | "draw" | "audit" | "replay", args: readonly string[]): Command {
  const common = command === "audit" || command === "replay";
  if (common && args.some((one) => one === "--help" || one === "-h")) return { command: "help" };
  return { command, args };
}

/** @throws Failure with a sentence when the arguments make no sense. */
export function parseArguments(args: readonly string[], colour: boolean): Command {
  const [first, ...others] = args;
  if (first === "demo") return demoOf(others, colour);
  if (readsTheRest(first)) return restOf(first, others);
  const { values, positionals } = parse(() => parseFlags(args));
  const [name, ...rest] = positionals;
  if (values.help === true || name === "help") return { command: "help" };
  if (values.version === true) return { command: "version" };
  if (readsTheRest(name)) throw new Failure(`${name} comes before its flags`);
  if (name === "demo") throw new Failure("demo comes before its flags: roomdag demo --version 12");
  if (name !== "check" && name !== "oracle" && name !== "bench") {
    const problem = name === undefined ? "no command is given" : `there is no command ${name}`;
    throw new Failure(`${problem}: it is check, audit, replay, draw, demo, serve, client, oracle or bench`);
  }
  const stray = (Object.keys(values) as Flag[]).find((flag) => !allowed[name].includes(flag));
  if (stray !== undefined) throw new Failure(`${name} takes no --${stray}`);
  if (name === "oracle") {
    if (rest.length > 0) throw new Failure("oracle takes no arguments: requests come on standard input");
    return { command: "oracle" };
  }
  if (name === "bench") return benchOf(rest, values.iters);
  return values.store === undefined && values.database === undefined
    ? { command: "check", options: checkOf(rest, values, colour) }
    : { command: "check-store", options: storeOf(rest, values) };
}

type Values = ReturnType<typeof parseFlags>["values"];

function checkOf(paths: readonly string[], values: Values, colour: boolean): CheckArguments {
  if (paths.length === 0) throw new Failure("check takes at least one file, or --store DIR");
  return {
    paths,
    roomVersion: values["room-version"],
    roomId: values.room,
    keys: values.keys,
    explain: values.explain,
    json: values.json === true,
    trace: values.trace === true,
    summary: values.summary === true,
    colour: colour && values["no-color"] !== true,
  };
}

function parse<T>(flagsOf: () => T): T {
  try {
    return flagsOf();
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
}

// Its type is inferred from the flags, which no annotation would say as well.
const parseFlags = (args: readonly string[]) =>
  parseArgs({ args: [...args], options: flags, allowPositionals: true, strict: true });

const parseDemoFlags = (args: readonly string[]) => parseArgs({ args: [...args], options: demoFlags, strict: true });

function demoOf(args: readonly string[], colour: boolean): Command {
  const { values } = parse(() => parseDemoFlags(args));
  if (values.help === true) return { command: "help" };
  const { version = "11", json = false } = values;
  return { command: "demo", options: { version, json, colour: colour && values["no-color"] !== true } };
}

function benchOf([what, file, ...more]: readonly string[], iters = "20"): Command {
  if (what !== "resolve" || file === undefined || more.length > 0) throw new Failure("bench takes: resolve FILE");
  if (!/^[1-9][0-9]{0,6}$/.test(iters)) throw new Failure("--iters is a number from 1 to 9999999");
  return { command: "bench", file, iterations: Number(iters) };
}

function storeOf(files: readonly string[], { store: data, database, room, json }: Values): CheckStoreArguments {
  if (data === undefined) throw new Failure("--database belongs to --store DIR");
  if (files.length > 0) throw new Failure("check takes files or --store DIR, not both");
  return { data, database, roomId: room, json: json === true };
}
