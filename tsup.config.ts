import { defineConfig } from "tsup";
import { cliEntries, libraryEntries } from "./scripts/entries.mjs";

export default defineConfig({
  entry: { ...libraryEntries(), ...cliEntries() },
  tsconfig: "tsconfig.json",
  format: "esm",
  target: ["es2023", "node20"],
  platform: "node",
  splitting: true,
  treeshake: false,
  clean: true,
  // CommonJS, and used by one module only: inlined so that dist is ESM throughout.
  noExternal: ["fast-json-stable-stringify"],
  // tsup would otherwise write `fs` for `node:fs`, which other runtimes do not resolve.
  removeNodeProtocol: false,
  sourcemap: true,
  esbuildOptions(options) {
    // Positions for stack traces are enough: the sources are in the repository.
    options.sourcesContent = false;
    options.legalComments = "inline";
  },
  // tsup sets `baseUrl` for its declaration build, which TypeScript 6 has deprecated.
  dts: { entry: libraryEntries(), compilerOptions: { ignoreDeprecations: "6.0" } },
  silent: process.env["CI"] === "true",
});
