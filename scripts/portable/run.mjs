/**
 * `npm run runtimes [-- deno bun …]`: the tests of the library on runtimes other than Node. They are bundled with what
 * stands in for vitest and for files, and every runtime runs all of those that ask for nothing that it lacks. The
 * results are written as vitest writes its own. scripts/runtimes.sh installs the runtimes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { clearTimeout, setTimeout } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../entries.mjs";
import { bundleTests } from "./bundle.mjs";

const MODULES = `${root}test/portable/node_modules`;
const REPORT = `${root}reports/runtimes.json`;
/** Nothing here takes a minute on a machine that is not busy. */
const PATIENCE_MS = 10 * 60_000;

/** @typedef {import("../../test/portable/vitest.js").FileResult} FileResult */

/**
 * @typedef {object} Runtime
 * @property {readonly string[]} provides of Node's modules and globals
 * @property {(folder: string) => Promise<readonly FileResult[]>} run with the bundle as tests.mjs in a folder
 */

const NODE = ["node:crypto", "node:events", "node:path", "node:url", "Buffer", "process"];

/** @type {Readonly<Record<string, Runtime>>} */
const runtimes = {
  // Without its flag Deno has no `__proto__` on objects, and its node:crypto throws where OpenSSL refuses a key.
  deno: {
    provides: [...NODE, "node:vm"].filter((name) => name !== "node:crypto"),
    run: (folder) =>
      onCommandLine(
        `${MODULES}/@deno/linux-x64-glibc/deno`,
        ["run", "--no-remote", "-A", "--unstable-unsafe-proto"],
        folder,
      ),
  },
  bun: {
    provides: [...NODE, "node:vm"],
    run: (folder) => onCommandLine(`${MODULES}/@oven/bun-linux-x64/bin/bun`, ["run"], folder),
  },
  workerd: { provides: NODE, run: onWorkerd },
  chromium: { provides: [], run: onChromium },
};

const asked = process.argv.slice(2);
const names = asked.length === 0 ? Object.keys(runtimes) : asked;
/** As many at a time as there are cores on the smallest machine that this runs on. */
const AT_ONCE = 2;

const waiting = [...names];
/** @type {FileResult[]} */
const results = [];
const workers = Array.from({ length: AT_ONCE }, async () => {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) results.push(...(await runOn(name)));
});
await Promise.all(workers);
mkdirSync(`${root}reports`, { recursive: true });
writeFileSync(REPORT, JSON.stringify({ testResults: results }));
process.exitCode = results.some(({ status }) => status === "failed") ? 1 : 0;

/** @returns {Promise<readonly FileResult[]>} */
async function runOn(/** @type {string} */ name) {
  const runtime = runtimes[name];
  if (runtime === undefined) throw new Error(`${name} is not among ${Object.keys(runtimes).join(", ")}`);
  const folder = mkdtempSync(join(tmpdir(), "roomdag-runtimes-"));
  const start = performance.now();
  try {
    const { code, files, leftOut } = await bundleTests(runtime.provides);
    writeFileSync(join(folder, "tests.mjs"), code);
    const found = await runtime.run(folder);
    tell(name, found, { files, leftOut, seconds: (performance.now() - start) / 1000 });
    return found.map((file) => ({ ...file, name: `${name}: ${file.name}` }));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.log(`${name}: ${message}`);
    return [{ name, status: "failed", message, assertionResults: [] }];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * @param {string} name
 * @param {readonly FileResult[]} found
 * @param {{ readonly files: readonly string[], readonly leftOut: readonly string[], readonly seconds: number }} about
 */
function tell(name, found, { files, leftOut, seconds }) {
  if (found.length !== files.length) throw new Error(`${found.length} of ${files.length} files ran`);
  const all = found.flatMap(({ assertionResults }) => assertionResults);
  const failed = all.filter(({ status }) => status === "failed");
  const passed = all.filter(({ status }) => status === "passed").length;
  console.log(`${name}: ${passed} passed, ${failed.length} failed, in ${files.length} files, ${seconds.toFixed(0)} s`);
  if (leftOut.length > 0) console.log(`  not for ${name}: ${leftOut.join(", ")}`);
  for (const { name: file, message } of found) if (message !== "") console.log(`  ${file}: ${message}`);
  for (const { fullName, failureMessages } of failed.slice(0, 20)) {
    console.log(`  ${fullName}\n    ${failureMessages.join("\n    ")}`);
  }
}

/** What a command prints last is its result. @returns {Promise<readonly FileResult[]>} */
async function onCommandLine(
  /** @type {string} */ command,
  /** @type {readonly string[]} */ argv,
  /** @type {string} */ folder,
) {
  const main = join(folder, "main.mjs");
  const out = join(folder, "results.json");
  writeFileSync(
    main,
    `import { writeFileSync } from "node:fs";
import { run } from "./tests.mjs";
writeFileSync(${JSON.stringify(out)}, JSON.stringify(await run()));`,
  );
  await finished(start(command, [...argv, main], { DENO_NO_UPDATE_CHECK: "1" }));
  return JSON.parse(readFileSync(out, "utf8"));
}

/**
 * @param {string} command
 * @param {readonly string[]} argv
 * @param {Readonly<Record<string, string>>} env
 */
function start(command, argv, env = {}) {
  if (!existsSync(command)) throw new Error("it is not installed: run scripts/runtimes.sh");
  return spawn(command, argv, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });
}

async function finished(/** @type {import("node:child_process").ChildProcess} */ child) {
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const [code, signal] = await once(child, "exit");
  clearTimeout(timer);
  if (code !== 0) throw new Error(`it ended with ${code ?? signal}`);
}

/** The tests run inside a request. @returns {Promise<readonly FileResult[]>} */
async function onWorkerd(/** @type {string} */ folder) {
  writeFileSync(
    join(folder, "worker.mjs"),
    `import { run } from "tests.mjs";
export default { async fetch() { return Response.json(await run()); } };`,
  );
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .tests)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const tests :Workerd.Worker = (
  modules = [
    (name = "worker.mjs", esModule = embed "worker.mjs"),
    (name = "tests.mjs", esModule = embed "tests.mjs"),
  ],
  compatibilityDate = "2026-01-01",
  compatibilityFlags = ["nodejs_compat"],
);
`,
  );
  const port = await freePort();
  const config = join(folder, "config.capnp");
  const argv = ["serve", config, "--socket-addr", `http=127.0.0.1:${port}`];
  const child = start(`${MODULES}/@cloudflare/workerd-linux-64/bin/workerd`, argv);
  try {
    return await answered(`http://127.0.0.1:${port}/`, child);
  } finally {
    child.kill();
  }
}

/** A port that nobody listens on. */
async function freePort() {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("a port was expected");
  return address.port;
}

/** Asks again until the server listens. */
async function answered(/** @type {string} */ url, /** @type {import("node:child_process").ChildProcess} */ child) {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      const response = await globalThis.fetch(url);
      if (!response.ok)
        throw new Error(`it answered ${response.status}: ${await response.text()}`, { cause: "answer" });
      return /** @type {readonly FileResult[]} */ (await response.json());
    } catch (error) {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`, { cause: error });
      if (performance.now() > end || (error instanceof Error && error.cause === "answer")) throw error;
      await sleep(100);
    }
  }
}

/** In a page that has nothing but the tests. @returns {Promise<readonly FileResult[]>} */
async function onChromium(/** @type {string} */ folder) {
  const { chromium } = await import("playwright-core");
  const { chromiumArguments, chromiumPath } = await import("../chromium.mjs");
  const server = createServer(({ url }, response) => {
    const isTests = url === "/tests.mjs";
    response.setHeader("content-type", isTests ? "text/javascript" : "text/html");
    response.end(isTests ? readFileSync(join(folder, "tests.mjs")) : "<!doctype html><title>tests</title>");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : address;
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: [...chromiumArguments] });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    return await page.evaluate(async () => (await import(/** @type {string} */ ("/tests.mjs"))).run());
  } finally {
    await browser.close();
    server.close();
  }
}
