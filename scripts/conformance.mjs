/**
 * Writes docs/conformance.md from the results of the tests, so that it claims what passing tests show and no more.
 *
 *   node scripts/conformance.mjs            write it from reports/vitest.json and reports/interop.json
 *   node scripts/conformance.mjs --run      run the tests first, both suites
 *   node scripts/conformance.mjs --check    fail if the page differs from what the results give
 *
 * A test claims by its title: `[cap:redaction v:1-12,I.1]`, or `[cap:base64]` for what no room version changes. A tag
 * in the title of a `describe` counts for each test in it. A claim stands if at least one test with it passed and no
 * test with it failed; the kind of evidence is the folder of the test.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { capabilities, groups, roomVersions } from "./capabilities.mjs";
import { root } from "./entries.mjs";

/**
 * @typedef {{ id: string, versions: readonly string[] }} Claim
 * @typedef {{ name: string, assertionResults: { status: string, fullName: string }[] }} FileResult
 * @typedef {{ numTotalTests: number, testResults: FileResult[] }} Report
 */

/** What the two runs leave behind: the tests proper, and those against other implementations. */
const runs = [
  { results: `${root}reports/vitest.json`, config: "vitest.config.ts" },
  { results: `${root}reports/interop.json`, config: "vitest.interop.config.ts" },
];
const page = `${root}docs/conformance.md`;
const notes = `${root}docs/conformance-notes.md`;

/** Folder under test → letter and meaning, in the order in which a cell lists them. */
const kinds = new Map([
  ["vectors", { letter: "V", meaning: "vector: the answer that two independent implementations gave" }],
  ["rooms", { letter: "R", meaning: "real room: recorded from a running server" }],
  ["interop", { letter: "I", meaning: "interop: run against another implementation" }],
  ["property", { letter: "P", meaning: "property: generated cases" }],
  ["unit", { letter: "U", meaning: "unit: hand-written cases" }],
  ["package", { letter: "B", meaning: "built package" }],
  ["cli", { letter: "C", meaning: "command line" }],
]);

/** The column of what does not depend on a room version. */
const everywhere = "any";

/**
 * The versions that a tag names: `1-5,12,I.1`.
 * @param {string} text
 * @returns {string[]}
 */
export function parseVersions(text) {
  return text.split(",").flatMap((part) => {
    const range = /^(\d+)-(\d+)$/.exec(part);
    const first = Number(range?.[1]);
    const last = Number(range?.[2]);
    const named = range ? Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => String(first + i)) : [part];
    const unknown = named.find((version) => !roomVersions.includes(version));
    if (unknown !== undefined || named.length === 0) throw new Error(`"${part}" names no room version`);
    return named;
  });
}

/**
 * The claims in a test's full name.
 * @param {string} fullName
 * @returns {Claim[]}
 */
export function parseClaims(fullName) {
  return [...fullName.matchAll(/\[cap:([^\]]*)\]/g)].map(([tag, body = ""]) => {
    const parsed = /^([a-z0-9.-]+)(?: v:(\S+))?$/.exec(body);
    const id = parsed?.[1];
    if (id === undefined || !capabilities.has(id)) throw new Error(`${tag} names no known capability`);
    return { id, versions: parsed?.[2] === undefined ? [everywhere] : parseVersions(parsed[2]) };
  });
}

/** @param {string} file */
function kindOf(file) {
  const folder = /(?:^|\/)test\/([^/]+)\//.exec(file.slice(file.startsWith(root) ? root.length : 0))?.[1] ?? "";
  const kind = kinds.get(folder);
  if (kind === undefined) throw new Error(`test/${folder} is no kind of evidence`);
  return kind.letter;
}

/**
 * Which claims stand, as "id version letter".
 * @param {Pick<Report, "testResults">} report
 */
export function collect(report) {
  /** @type {Set<string>} */
  const shown = new Set();
  /** @type {Set<string>} */
  const contradicted = new Set();
  for (const { name, assertionResults } of report.testResults) {
    for (const { status, fullName } of assertionResults) {
      const claims = parseClaims(fullName).flatMap(({ id, versions }) => versions.map((version) => `${id} ${version}`));
      for (const claim of claims) {
        if (status === "passed") shown.add(`${claim} ${kindOf(name)}`);
        if (status === "failed") contradicted.add(claim);
      }
    }
  }
  return new Set([...shown].filter((claim) => !contradicted.has(claim.slice(0, claim.lastIndexOf(" ")))));
}

/**
 * @param {ReadonlySet<string>} claims
 * @param {string} id
 * @param {string} version
 */
function cell(claims, id, version) {
  return [...kinds.values()]
    .map(({ letter }) => letter)
    .filter((letter) => claims.has(`${id} ${version} ${letter}`))
    .join("");
}

/** @param {readonly string[]} cells */
const line = (cells) => `| ${cells.join(" | ")} |`;

/**
 * @param {ReadonlySet<string>} claims
 * @param {string} remarks
 */
export function render(claims, remarks) {
  const columns = [everywhere, ...roomVersions];
  const tables = groups.flatMap(({ group, capabilities: listed }) => [
    `## ${group}`,
    "",
    line(["#", "Capability", ...columns, ""]),
    line(["--:", "---", ...columns.map(() => ":-:"), "---"]),
    ...listed.map(({ row, id, sentence }) => {
      const cells = columns.map((version) => cell(claims, id, version));
      const shown = cells.some((text) => text !== "");
      return line([String(row), `${sentence} (\`${id}\`)`, ...cells, shown ? "" : "not shown"]);
    }),
    "",
  ]);
  return [
    "# Conformance",
    "",
    "Generated from test results by `npm run conformance`; do not edit. A cell lists the kinds of passing tests that",
    "show the capability in that room version; an empty cell means that no test claims it, which may also be because",
    `it does not exist there. The column \`${everywhere}\` is for what no room version changes.`,
    "",
    ...[...kinds.values()].map(({ letter, meaning }) => `- **${letter}** ${meaning}`),
    "",
    ...tables,
    remarks.trim(),
    "",
  ]
    .join("\n")
    .replace(/\n{3,}/g, "\n\n");
}

/** @param {readonly string[]} options */
function main(options) {
  if (options.includes("--run")) {
    for (const { results, config } of runs) {
      const run = spawnSync(
        process.execPath,
        [
          `${root}node_modules/vitest/vitest.mjs`,
          "run",
          `--config=${config}`,
          "--reporter=json",
          `--outputFile=${results}`,
        ],
        { cwd: root, stdio: ["ignore", "inherit", "inherit"] },
      );
      if (run.status !== 0) console.error("Some tests failed; what they claim is left out.");
    }
  }
  /** @type {FileResult[]} */
  const testResults = [];
  for (const { results } of runs) {
    if (!existsSync(results)) throw new Error(`${results.slice(root.length)} is missing: run with --run`);
    /** @type {Report} */
    const report = JSON.parse(readFileSync(results, "utf8"));
    if (report.numTotalTests === 0) throw new Error(`${results.slice(root.length)} holds no test`);
    testResults.push(...report.testResults);
  }
  const claims = collect({ testResults });
  const text = render(claims, existsSync(notes) ? readFileSync(notes, "utf8") : "");
  const shown = new Set([...claims].map((claim) => claim.slice(0, claim.indexOf(" ")))).size;
  console.log(`conformance: ${shown} of ${capabilities.size} capabilities shown`);
  if (!options.includes("--check")) return writeFileSync(page, text);
  if (existsSync(page) && readFileSync(page, "utf8") === text) return;
  throw new Error("docs/conformance.md is stale: run `npm run conformance` and commit the result");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
