/**
 * Prints "passed failed skipped" from vitest JSON reports, added up, and on stderr which tests failed and why. A file
 * that could not be loaded counts as a failure.
 */
import { existsSync, readFileSync } from "node:fs";

const files = process.argv.slice(2).filter((file) => existsSync(file));
/** @typedef {{ status: string, fullName?: string, failureMessages?: string[] }} Assertion */
/** @type {{ testResults: { name?: string, status: string, message?: string, assertionResults: Assertion[] }[] }[]} */
const reports = files.map((file) => JSON.parse(readFileSync(file, "utf8")));
// A suite that left no report did not run: that is a failure, and the others still count.
const counts = { passed: 0, failed: process.argv.length - 2 - files.length, skipped: 0 };

/** @param {string | undefined} message */
const firstLine = (message) => (message ?? "").split("\n", 1)[0];

for (const { name, status, message, assertionResults } of reports.flatMap(({ testResults }) => testResults)) {
  const failedBefore = counts.failed;
  for (const assertion of assertionResults) {
    if (assertion.status === "passed") counts.passed += 1;
    else if (assertion.status === "failed") {
      counts.failed += 1;
      console.error(`failed: ${name}: ${assertion.fullName}: ${firstLine(assertion.failureMessages?.[0])}`);
    } else counts.skipped += 1;
  }
  if (status === "failed" && counts.failed === failedBefore) {
    counts.failed += 1;
    console.error(`failed: ${name}: ${firstLine(message)}`);
  }
}
console.log(`${counts.passed} ${counts.failed} ${counts.skipped}`);
