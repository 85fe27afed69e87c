/** `npm run bench [-- events | signatures | resolution | engine | memory | join] [--json]`. */
import process from "node:process";
import { measureEngine } from "./engine.js";
import { measureEngineMemory, runChild } from "./engine-memory.js";
import { eventTasks } from "./events.js";
import { FULL_JOIN, measureFullJoin, runFullJoin } from "./full-join.js";
import { measureTasks } from "./measure.js";
import type { Row } from "./measure.js";
import { measureResolution } from "./resolution.js";
import { measureSignatures } from "./signatures.js";
import { figuresTable, growthTable, rowsTable } from "./table.js";

const PARTS: readonly string[] = ["events", "signatures", "resolution", "engine", "memory", "join"];

const flags = process.argv.slice(2);
const child = flags.find((flag) => flag.startsWith("--child="))?.slice("--child=".length);
if (child === undefined) await main();
else if (child === FULL_JOIN) await runFullJoin(flags.at(-1) ?? "");
else await runChild(child, flags.at(-1) ?? "");

function print(rows: readonly Row[]): void {
  for (const group of new Set(rows.map((row) => row.group))) {
    process.stdout.write(`\n### ${group}\n\n${rowsTable(rows.filter((row) => row.group === group))}\n`);
  }
}

function printTable(title: string, rows: readonly unknown[], table: () => string): void {
  if (rows.length > 0) process.stdout.write(`\n### ${title}\n\n${table()}\n`);
}

async function main(): Promise<void> {
  const json = flags.includes("--json");
  const parts = flags.filter((flag) => !flag.startsWith("--"));
  const unknown = flags.find((flag) => flag !== "--json" && !PARTS.includes(flag));
  if (unknown !== undefined) {
    process.stderr.write(`${unknown} is not known. Usage: npm run bench [-- ${PARTS.join(" | ")}] [--json]\n`);
    process.exit(2);
  }
  const wants = (part: string): boolean => parts.length === 0 || parts.includes(part);
  const eventRows = wants("events") ? await measureTasks(eventTasks()) : [];
  if (!json) print(eventRows);
  const signatureRows = wants("signatures") ? await measureSignatures() : [];
  if (!json) print(signatureRows);
  const resolution = wants("resolution") ? measureResolution() : { rows: [], growth: [] };
  if (!json) {
    print(resolution.rows);
    printTable("how resolution grows", resolution.growth, () => growthTable(resolution.growth));
  }
  const engine = wants("engine") ? await measureEngine() : { rows: [], growth: [] };
  if (!json) {
    print(engine.rows);
    printTable("how the engine grows", engine.growth, () => growthTable(engine.growth));
  }
  const figures = [...(wants("memory") ? measureEngineMemory() : []), ...(wants("join") ? measureFullJoin() : [])];
  if (!json) {
    printTable("large rooms and memory", figures, () => figuresTable(figures));
    return;
  }
  const { node, v8 } = process.versions;
  const rows = [...eventRows, ...signatureRows, ...resolution.rows, ...engine.rows];
  const growth = [...resolution.growth, ...engine.growth];
  process.stdout.write(`${JSON.stringify({ unit: "ms", node, v8, rows, growth, figures }, null, 2)}\n`);
}
