/**
 * Runs simulations of servers that share rooms, from the sources:
 *
 *   npm run simulate -- --seed S --runs N --servers K    at most K honest servers (4)
 *     --jobs J            processes (2), each with a seed of its own counted up from S
 *     --path P            begins where a failure was found, as its report says
 *     --script FILE       one run, of a script as JSON
 *     --trace             with --script: what happened, millisecond by millisecond
 *     --version V         rooms begin in this version alone
 *     --honest            nobody is hostile
 *     --keep-going        after a failure the other runs are done as well, from another seed
 *
 * Exits with 1 when a run went wrong, after having made it as small as it gets.
 */
import { fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { setImmediate } from "node:timers";
import { parseArgs } from "node:util";
import { bundle, bundleFolder } from "./bundle.mjs";
import { root } from "./entries.mjs";

const output = bundleFolder("simulate");
const outfile = `${output}/main.mjs`;
const { values: args } = parseArgs({
  options: {
    seed: { type: "string" },
    runs: { type: "string", default: "100" },
    servers: { type: "string", default: "4" },
    jobs: { type: "string", default: "2" },
    path: { type: "string" },
    script: { type: "string" },
    trace: { type: "boolean", default: false },
    version: { type: "string" },
    honest: { type: "boolean", default: false },
    "keep-going": { type: "boolean", default: false },
    worker: { type: "boolean", default: false },
  },
});

/**
 * @param {string} name
 * @param {string | undefined} text
 */
function integer(name, text) {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, and is ${text ?? "missing"}`);
  process.exit(2);
}

/** Every so many runs of a process a line says that it goes on. */
const PROGRESS = 5000;

/** With `--keep-going`, how far on a process begins again after a failure, and after how many it ends. */
const NEXT_SEED = 1000;
const MOST_FAILURES = 10;

const settle = () => new Promise((resolve) => setImmediate(resolve));

async function runScript() {
  const { formatReport, runSimulation } = await import(pathToFileURL(outfile).href);
  const script = JSON.parse(readFileSync(String(args.script), "utf8"));
  const report = await runSimulation(script, { settle, trace: true });
  if (args.trace) console.log(report.trace.lines().join("\n"), "\n");
  console.log(formatReport(report));
  process.exitCode = report.violations.length > 0 ? 1 : 0;
}

/** One process of a campaign: tells its parent what it did, and of a failure how to see it again. */
async function work() {
  const { formatReport, simulate } = await import(pathToFileURL(outfile).href);
  const totals = { runs: 0, acknowledged: 0, requests: 0, stateChanges: 0, crashes: 0, skipped: 0, commands: 0 };
  const [seed, runs, servers] = [
    integer("seed", args.seed),
    integer("runs", args.runs),
    integer("servers", args.servers),
  ];
  const given = {
    servers,
    settle,
    ...(args.path === undefined ? {} : { path: args.path }),
    ...(args.version === undefined ? {} : { versions: [args.version] }),
    ...(args.honest ? { hostile: false } : {}),
    onRun: (/** @type {import("../src/testing/simulation/run.js").SimulationReport} */ report) => {
      totals.runs++;
      totals.acknowledged += report.acknowledged;
      totals.requests += report.requests;
      totals.stateChanges += report.stateChanges;
      totals.crashes += report.crashes;
      totals.skipped += report.skipped.size;
      totals.commands += report.script.commands.length;
      if (totals.runs % PROGRESS === 0) process.send?.({ progress: totals.runs });
    },
  };
  let [from, left, failures] = [seed, runs, 0];
  while (left > 0) {
    const { runs: done, failure } = await simulate({ ...given, seed: from, runs: left });
    if (failure === undefined) break;
    const found = { seed: from, path: failure.path, text: formatReport(failure.report), script: failure.report.script };
    process.send?.({ found });
    left -= done;
    from += NEXT_SEED;
    if (args["keep-going"] !== true || ++failures === MOST_FAILURES) break;
  }
  process.send?.({ totals });
}

/** @typedef {{ readonly seed: number, readonly path: string, readonly text: string, readonly script: object }} Found */
/** @typedef {{ readonly totals: Record<string, number>, readonly found: readonly Found[] }} Told */

/**
 * @param {number} seed
 * @param {number} runs
 * @returns {Promise<Told>}
 */
function startWorker(seed, runs) {
  return new Promise((resolve, reject) => {
    const flags = ["--worker", "--seed", String(seed), "--runs", String(runs), "--servers", args.servers];
    if (args.path !== undefined) flags.push("--path", args.path);
    if (args.version !== undefined) flags.push("--version", args.version);
    if (args.honest) flags.push("--honest");
    if (args["keep-going"]) flags.push("--keep-going");
    const child = fork(fileURLToPath(import.meta.url), flags, { cwd: root, execArgv: ["--enable-source-maps"] });
    /** @type {Told | undefined} */
    let told;
    /** @type {Found[]} */
    const failures = [];
    child.on("message", (message) => {
      const { progress, found, totals } =
        /** @type {{ readonly progress?: number, readonly found?: Found, readonly totals?: Told["totals"] }} */ (
          message
        );
      if (progress !== undefined) console.log(`seed ${seed}: ${progress} of ${runs} so far`);
      if (found !== undefined) {
        failures.push(found);
        console.log(`seed ${seed}: went wrong; waiting for the others\n${found.text}`);
      }
      if (totals !== undefined) told = { totals, found: failures };
    });
    child.on("exit", (code) => {
      if (told === undefined) reject(new Error(`the process with seed ${seed} ended with ${code} and said nothing`));
      else resolve(told);
    });
  });
}

async function campaign() {
  const seed = args.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : integer("seed", args.seed);
  const runs = integer("runs", args.runs);
  const jobs = args.path === undefined ? Math.max(1, Math.min(integer("jobs", args.jobs), runs)) : 1;
  const start = Date.now();
  const shares = Array.from({ length: jobs }, (_, at) => Math.floor(runs / jobs) + (at < runs % jobs ? 1 : 0));
  const told = await Promise.all(shares.map((share, at) => startWorker(seed + at, share)));
  /** @param {string} name */
  const sum = (name) => told.reduce((total, { totals }) => total + (totals[name] ?? 0), 0);
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  console.log(`${sum("runs")} simulations from seed ${seed} in ${seconds} s: ${sum("commands")} commands, of which`);
  console.log(`${sum("skipped")} were not possible where they stood; ${sum("acknowledged")} events acknowledged,`);
  console.log(
    `${sum("requests")} requests between servers, ${sum("crashes")} crashes, ${sum("stateChanges")} state changes told of.`,
  );
  const failures = told.flatMap(({ found }) => found);
  for (const { seed: from, path, text, script } of failures) {
    const file = `${output}/${from}.json`;
    writeFileSync(file, JSON.stringify(script));
    console.log(`\nWent wrong, made as small as it gets:\n\n${text}\n`);
    console.log(`Again: npm run simulate -- --seed ${from} --runs ${runs} --servers ${args.servers} --path ${path}`);
    console.log(`Alone: npm run simulate -- --script ${file.slice(root.length)} --trace`);
  }
  if (failures.length === 0) console.log("Every server agreed with every other, and with the room computed anew.");
  process.exitCode = failures.length > 0 ? 1 : 0;
}

if (args.worker) await work();
else {
  await bundle("simulate", "src/testing/simulation/index.ts", { sourcemap: "inline" });
  await (args.script === undefined ? campaign() : runScript());
}
