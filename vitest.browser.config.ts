import { defineConfig } from "vitest/config";

/** The page in a real browser; `npm run browser` sees to it that there is one. */
export default defineConfig({
  test: {
    name: "browser",
    include: ["test/browser/**/*.test.ts"],
    globalSetup: ["scripts/browser-setup.mjs"],
    // Two cores: a browser and a test runner are enough for them.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
