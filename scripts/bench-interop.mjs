/** Bundles bench/interop.ts and runs it: against the servers that test/interop installs, and dist. */
import { spawnSync } from "node:child_process";
import { bundle } from "./bundle.mjs";
import ensureBuild from "./ensure-build.mjs";
import { root } from "./entries.mjs";

ensureBuild();
const outfile = await bundle("bench-interop", "bench/interop.ts");
const run = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
process.exitCode = run.status ?? 1;
