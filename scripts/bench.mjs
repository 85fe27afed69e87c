/** Bundles bench/main.ts from the sources, as the package is bundled, and runs it in a process of its own. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { build } from "esbuild";
import { root } from "./entries.mjs";

// Inside the package, so that imports of dependencies resolve from there.
const output = `${root}node_modules/.cache/roomdag-bench`;
mkdirSync(output, { recursive: true });
const outfile = `${output}/main.mjs`;
await build({
  entryPoints: [`${root}bench/main.ts`],
  outfile,
  bundle: true,
  format: "esm",
  platform: "node",
  target: ["es2023", "node20"],
  packages: "external",
});
// `--expose-gc` lets a run sweep what the run before left, outside its own time.
const argv = ["--expose-gc", outfile, ...process.argv.slice(2)];
const run = spawnSync(process.execPath, argv, { cwd: root, stdio: "inherit" });
process.exitCode = run.status ?? 1;
