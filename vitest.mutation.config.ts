import { defineConfig } from "vitest/config";

/** What `npm run nightly` runs against each mutant: the tests that reach authorisation and resolution. */
export default defineConfig({
  test: {
    include: ["test/{unit,property,vectors,rooms}/**/*.test.ts"],
    exclude: ["test/**/{ids,json,crypto}/**", "test/**/{ids,json,crypto}*.test.ts"],
    testTimeout: 60_000,
  },
});
