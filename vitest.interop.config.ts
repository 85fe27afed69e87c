import { defineConfig } from "vitest/config";

/** Against other implementations, which `npm run interop` installs; no part of `npm test`. */
export default defineConfig({
  test: { name: "interop", include: ["test/interop/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 600_000 },
});
