import { defineConfig } from "vitest/config";

/** What `npm run nightly` runs against each mutant: the tests that reach authorisation and resolution. */
export default defineConfig({
  test: {
    // Named cases and vectors decide in milliseconds; laws and rooms would run in full for every mutant.
    include: ["test/unit/{auth,stateres}-*.test.ts", "test/vectors/outside.test.ts"],
    testTimeout: 60_000,
  },
});
