/** Prints "passed failed skipped" from vitest JSON reports, added up. A file that could not be loaded counts as a failure. */
import { readFileSync } from "node:fs";

/** @type {{ testResults: { status: string, assertionResults: { status: string }[] }[] }[]} */
const reports = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, "utf8")));
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const { status, assertionResults } of reports.flatMap(({ testResults }) => testResults)) {
  const failedBefore = counts.failed;
  for (const assertion of assertionResults) {
    if (assertion.status === "passed") counts.passed += 1;
    else if (assertion.status === "failed") counts.failed += 1;
    else counts.skipped += 1;
  }
  if (status === "failed" && counts.failed === failedBefore) counts.failed += 1;
}
console.log(`${counts.passed} ${counts.failed} ${counts.skipped}`);
