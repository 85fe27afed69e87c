import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Plugin } from "esbuild";
import { defineConfig } from "tsup";
import { buildPage } from "./scripts/build-page.mjs";
import { cliEntries, libraryEntries } from "./scripts/entries.mjs";

/**
 * fast-json-stable-stringify is CommonJS, and one module uses it. It is inlined as the ES module that it nearly is,
 * with its licence, so that dist needs no CommonJS helpers and bundlers can drop it where it is not used.
 */
const inlineStringify: Plugin = {
  name: "inline-stringify",
  setup(build) {
    build.onLoad({ filter: /fast-json-stable-stringify[\\/]index\.js$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const licence = await readFile(join(dirname(path), "LICENSE"), "utf8");
      const parts = source.split("module.exports = ");
      if (parts.length !== 2) throw new Error(`${path} is not of the expected form`);
      const contents = `/*! fast-json-stable-stringify\n${licence}*/\n${parts.join("export default ")}`;
      return { contents, loader: "js" };
    });
  },
};

/** immer reads `process.env.NODE_ENV` on import, which other runtimes do not have: it is inlined with its answer. */
const inlined = ["fast-json-stable-stringify", "immer"];

export default defineConfig({
  entry: { ...libraryEntries(), ...cliEntries() },
  tsconfig: "tsconfig.json",
  format: "esm",
  target: ["es2023", "node20"],
  platform: "node",
  splitting: true,
  treeshake: false,
  clean: true,
  noExternal: inlined,
  define: { "process.env.NODE_ENV": '"production"' },
  esbuildPlugins: [inlineStringify],
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
  onSuccess: async () => {
    await buildPage();
  },
  silent: process.env["CI"] === "true",
});
