import { defineConfig } from "vitest/config";

/** What `npm run nightly` runs against each mutant: the tests that reach authorisation and resolution. */
export default defineConfig({
  test: {
    // Named cases and vectors decide in milliseconds; laws and rooms would run in full for every mutant. Two ways to
    // the same answer, of which one takes over where the other gives up, only show in the properties that ask both.
    include: [
      "test/unit/{auth,stateres}-*.test.ts",
      "test/vectors/outside.test.ts",
      "test/property/{resolution-sets,auth-level-maps}.test.ts",
    ],
    testTimeout: 60_000,
  },
});
