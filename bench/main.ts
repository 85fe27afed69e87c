/** `npm run bench [-- events | resolution] [--json]`. */
import process from "node:process";
import { eventTasks } from "./events.js";
import { measureTasks } from "./measure.js";
import type { Row } from "./measure.js";
import { measureResolution } from "./resolution.js";
import { growthTable, rowsTable } from "./table.js";

const flags = process.argv.slice(2);
const json = flags.includes("--json");
const parts = flags.filter((flag) => !flag.startsWith("--"));
const unknown = flags.find((flag) => !["--json", "events", "resolution"].includes(flag));
if (unknown !== undefined) {
  process.stderr.write(`${unknown} is not known. Usage: npm run bench [-- events | resolution] [--json]\n`);
  process.exit(2);
}
const wants = (part: string): boolean => parts.length === 0 || parts.includes(part);

function print(rows: readonly Row[]): void {
  for (const group of new Set(rows.map((row) => row.group))) {
    process.stdout.write(`\n### ${group}\n\n${rowsTable(rows.filter((row) => row.group === group))}\n`);
  }
}

const eventRows = wants("events") ? await measureTasks(eventTasks()) : [];
if (!json) print(eventRows);
const resolution = wants("resolution") ? measureResolution() : { rows: [], growth: [] };
if (!json) print(resolution.rows);
if (!json && resolution.growth.length > 0) {
  process.stdout.write(`\n### how resolution grows\n\n${growthTable(resolution.growth)}\n`);
}
if (json) {
  const { node, v8 } = process.versions;
  const report = { unit: "ms", node, v8, rows: [...eventRows, ...resolution.rows], growth: resolution.growth };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
}
