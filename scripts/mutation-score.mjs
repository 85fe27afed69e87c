/** Prints the mutation score per file and in all, from the report of `npm run nightly`. */
import { readFileSync } from "node:fs";
import { root } from "./entries.mjs";

/** @typedef {{ killed: number, survived: number }} Tally */

const detected = new Set(["Killed", "Timeout"]);
const undetected = new Set(["Survived", "NoCoverage"]);

/** @param {Tally} tally */
function percent({ killed, survived }) {
  const all = killed + survived;
  return all === 0 ? "no mutants" : `${((100 * killed) / all).toFixed(1)} % (${killed} of ${all} killed)`;
}

/** @type {{ files: Record<string, { mutants: { status: string }[] }> }} */
const report = JSON.parse(readFileSync(`${root}reports/mutation/mutation.json`, "utf8"));
const total = { killed: 0, survived: 0 };
for (const [file, { mutants }] of Object.entries(report.files)) {
  const tally = {
    killed: mutants.filter(({ status }) => detected.has(status)).length,
    survived: mutants.filter(({ status }) => undetected.has(status)).length,
  };
  total.killed += tally.killed;
  total.survived += tally.survived;
  console.log(`${file}: ${percent(tally)}`);
}
console.log(`mutation score: ${percent(total)}`);
