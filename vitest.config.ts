import { defineConfig } from "vitest/config";

/** The folders that promise to be pure; the branch threshold holds for them taken together. */
const pureCore = "src/{ids,json,crypto,rules,event,dag,auth,stateres,versions}/**/*.ts";

/** These look at the built package, so it is built first. */
const needsBuild = ["test/{package,cli}/**/*.test.ts"];

/** What other configurations run, or the other project of this one. */
const elsewhere = [...needsBuild, "test/interop/**", "test/browser/**"];

export default defineConfig({
  test: {
    testTimeout: 60_000,
    // Otherwise a machine of two cores runs one file at a time: nothing here depends on how long something takes.
    maxWorkers: "100%",
    hookTimeout: 240_000,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/cli/**", "src/page/**"],
      // A failing test must not hide how far the tests reach.
      reportOnFailure: true,
      reporter: ["text-summary", "json-summary", "html"],
      reportsDirectory: "coverage",
      thresholds: { [pureCore]: { branches: 95 } },
    },
    projects: [
      {
        extends: true,
        test: { name: "source", include: ["test/**/*.test.ts"], exclude: elsewhere },
      },
      {
        extends: true,
        test: { name: "built", include: needsBuild, globalSetup: ["scripts/ensure-build.mjs"] },
      },
    ],
  },
});
