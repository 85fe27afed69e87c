/** Runs bench/*.bench.ts, or those whose name contains an argument: each is bundled from the sources and executed. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { build } from "esbuild";
import { root } from "./entries.mjs";

const wanted = process.argv.slice(2);
const folder = `${root}bench`;
const files = (existsSync(folder) ? readdirSync(folder) : [])
  .filter((name) => name.endsWith(".bench.ts"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort();
if (files.length === 0) {
  console.error("No benchmark has that name.");
  process.exit(1);
}
// Inside the package, so that imports of dependencies resolve from there.
const output = `${root}node_modules/.cache/roomdag-bench`;
mkdirSync(output, { recursive: true });
for (const name of files) {
  const outfile = `${output}/${name.slice(0, -3)}.mjs`;
  await build({
    entryPoints: [`${folder}/${name}`],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
  });
  console.log(`\n${name}`);
  const run = spawnSync(process.execPath, [outfile], { cwd: root, stdio: "inherit" });
  if (run.status !== 0) process.exitCode = 1;
}
