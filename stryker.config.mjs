/** @type {import("@stryker-mutator/api/core").PartialStrykerOptions} */
export default {
  testRunner: "vitest",
  vitest: { configFile: "vitest.mutation.config.ts", related: false },
  mutate: ["src/auth/**/*.ts", "src/stateres/**/*.ts"],
  // Named: the default pattern does not find plugins under every package manager.
  plugins: ["@stryker-mutator/vitest-runner", "./scripts/stryker-sentences.mjs"],
  ignorers: ["sentences"],
  reporters: ["clear-text", "json", "html"],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false, reportMutants: false },
  jsonReporter: { fileName: "reports/mutation/mutation.json" },
  htmlReporter: { fileName: "reports/mutation/index.html" },
  ignorePatterns: ["dist", "docs", "coverage", "reports", ".ci", ".cache", "bench"],
  incremental: true,
  incrementalFile: "reports/mutation/incremental.json",
  coverageAnalysis: "perTest",
  timeoutMS: 30_000,
  thresholds: { high: 90, low: 75, break: null },
  tempDirName: ".stryker-tmp",
  cleanTempDir: "always",
};
