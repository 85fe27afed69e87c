/** Prints "passed failed skipped" from a vitest JSON report. A file that could not be loaded counts as a failure. */
import { readFileSync } from "node:fs";

/** @type {{ testResults: { status: string, assertionResults: { status: string }[] }[] }} */
const { testResults } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const { status, assertionResults } of testResults) {
  const failedBefore = counts.failed;
  for (const assertion of assertionResults) {
    if (assertion.status === "passed") counts.passed += 1;
    else if (assertion.status === "failed") counts.failed += 1;
    else counts.skipped += 1;
  }
  if (status === "failed" && counts.failed === failedBefore) counts.failed += 1;
}
console.log(`${counts.passed} ${counts.failed} ${counts.skipped}`);
