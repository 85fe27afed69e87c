import { defineConfig } from "vitest/config";

const federation = "test/interop/federation/**/*.test.ts";

/** Against other implementations, which `npm run interop` installs; no part of `npm test`. */
export default defineConfig({
  test: {
    testTimeout: 240_000,
    hookTimeout: 600_000,
    projects: [
      { extends: true, test: { name: "interop", include: ["test/interop/**/*.test.ts"], exclude: [federation] } },
      {
        extends: true,
        test: {
          name: "federation",
          include: [federation],
          globalSetup: ["scripts/ensure-build.mjs", "test/interop/federation/setup.ts"],
          // All tests share two servers, which some of them stop for a while.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
