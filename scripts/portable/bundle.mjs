/** Makes one module of the tests that run on a runtime, with the fixtures that they read. */
import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { build } from "esbuild";
import { root } from "../entries.mjs";

const FOLDERS = ["test/vectors", "test/unit", "test/property", "test/rooms"];

/** Parts of the repository that are about Node, or about files of the repository that are no fixtures. */
const NODE_ONLY = [/^src\/cli\//, /^src\/adapters\/(?:node-|sqlite|postgres)/, /^(?:scripts|bench|examples)\//];

/** Files whose tests look at the repository itself, or at what no other runtime has. */
const LEFT_OUT = [
  "test/unit/docs-pages.test.ts",
  "test/property/federation-others.test.ts",
  // What is wrong under Node on purpose is not wrong everywhere: other stacks are deeper, and other limits higher.
  "test/property/laws-canonical.test.ts",
  "test/unit/ports-suites-broken.test.ts",
];

/** What takes long and asks nothing of a runtime that the other files do not ask. */
const SLOW = [
  "test/unit/simulation.test.ts",
  "test/unit/federation-partial-join.test.ts",
  "test/unit/federation-join-restart.test.ts",
  ...["canonical", "engine-batches", "engine-order", "laws-auth", "laws-resolution", "redaction", "replay"].map(
    (name) => `test/property/${name}.test.ts`,
  ),
];

/**
 * @param {string} folder below the repository
 * @returns {string[]} paths of all files below it
 */
function filesBelow(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

function testFiles() {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => `${folder}/${name}`),
  ).sort();
}

/** The environment is written into the bundle. */
const GLOBALS = { Buffer: /\bBuffer\b/, process: /\bprocess\.(?!env\b)/ };

/** What of Node a source names without importing it. */
function globalsOf(/** @type {string} */ source) {
  return Object.entries(GLOBALS).flatMap(([name, pattern]) => (pattern.test(source) ? [name] : []));
}

/**
 * What each test file needs that not every runtime has: built-in modules of Node, its globals, or "node" where it is
 * about Node altogether.
 * @returns {Promise<ReadonlyMap<string, ReadonlySet<string>>>}
 */
async function needsOf(/** @type {readonly string[]} */ files) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...files],
    bundle: true,
    write: false,
    outdir: "unused",
    format: "esm",
    platform: "node",
    packages: "external",
    metafile: true,
    logLevel: "error",
  });
  return new Map(files.map((file) => [file, needsFrom(file, metafile.inputs)]));
}

/**
 * @param {string} file
 * @param {import("esbuild").Metafile["inputs"]} inputs
 */
function needsFrom(file, inputs) {
  /** @type {Set<string>} */
  const needs = new Set(LEFT_OUT.includes(file) ? ["node"] : []);
  const seen = new Set([file]);
  for (const path of seen) {
    const source = path.startsWith("test/") ? readFileSync(join(root, path), "utf8") : "";
    if (NODE_ONLY.some((part) => part.test(path)) || /\bvi\.[a-z]/.test(source)) needs.add("node");
    for (const name of globalsOf(source)) needs.add(name);
    for (const { path: imported, external } of inputs[path]?.imports ?? []) {
      if (external !== true) seen.add(imported);
      else if (imported === "typescript") needs.add("node");
      else if (isBuiltin(imported) && imported !== "node:fs") needs.add(imported);
    }
  }
  return needs;
}

/**
 * @typedef {object} Bundle
 * @property {string} code an ES module that exports `run(): Promise<FileResult[]>`
 * @property {readonly string[]} files
 * @property {readonly string[]} leftOut files that need what the runtime has not
 */

/**
 * @param {readonly string[]} provides built-in modules and globals of Node that the runtime has
 * @returns {Promise<Bundle>}
 */
export async function bundleTests(provides) {
  const all = testFiles().filter((file) => !SLOW.includes(file));
  const needs = await needsOf(all);
  const runs = (/** @type {string} */ file) => [...(needs.get(file) ?? [])].every((need) => provides.includes(need));
  const files = all.filter(runs);
  const { outputFiles } = await build({
    stdin: { contents: entryOf(files), resolveDir: root, loader: "ts" },
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: "esm",
    target: "es2023",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["import", "default"],
    define: { "process.env.NODE_ENV": '"production"', "process.env": "{}" },
    plugins: [portable(provides)],
    logLevel: "error",
  });
  const code = outputFiles[0]?.text ?? "";
  return { code, files, leftOut: all.filter((file) => !files.includes(file)) };
}

function entryOf(/** @type {readonly string[]} */ files) {
  const calls = files.map((file) => `results.push(await runFile("${file}", () => import("./${file}")));`);
  return `import { runFile } from "vitest";
export async function run() {
const results: unknown[] = [];
${calls.join("\n")}
return results;
}`;
}

/**
 * The runner in place of vitest, fixtures in place of files, and the place of a test file as an address.
 * @param {readonly string[]} provides
 * @returns {import("esbuild").Plugin}
 */
function portable(provides) {
  return {
    name: "portable",
    setup(bundle) {
      bundle.onResolve({ filter: /^vitest$/ }, () => ({ path: join(root, "test/portable/vitest.ts") }));
      bundle.onResolve({ filter: /^node:fs$/ }, () => ({ path: join(root, "test/portable/fixtures.ts") }));
      bundle.onResolve({ filter: /^portable:fixtures$/ }, ({ path }) => ({ path, namespace: "portable" }));
      bundle.onResolve({ filter: /^node:/ }, ({ path }) =>
        provides.includes(path) ? { path, external: true } : { errors: [{ text: `${path} is not provided` }] },
      );
      bundle.onLoad({ filter: /.*/, namespace: "portable" }, () => ({ contents: fixtures(), loader: "js" }));
      bundle.onLoad({ filter: /\/test\/.*\.ts$/ }, ({ path }) => ({ contents: placed(path), loader: "ts" }));
    },
  };
}

function fixtures() {
  const files = filesBelow("fixtures").filter((path) => /\.(?:jsonl?|txt|ndjson|md)$/.test(path));
  const texts = Object.fromEntries(files.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  return `export default JSON.parse(${ascii(JSON.stringify(texts))});`;
}

/** A literal without characters that a tool may read in another way (U+FFFF, U+2028, lone surrogates). */
function ascii(/** @type {string} */ text) {
  const escaped = (/** @type {string} */ unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text).replace(/[^ -~]/g, escaped);
}

/** A test file with its own address written in, below the root that test/portable/fixtures.ts knows. */
function placed(/** @type {string} */ path) {
  const address = `file:///roomdag/${relative(root, resolve(dirname(path), path))
    .split("\\")
    .join("/")}`;
  return readFileSync(path, "utf8").replaceAll("import.meta.url", JSON.stringify(address));
}
