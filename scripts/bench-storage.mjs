/** Bundles bench/storage.ts and runs it: over the databases that test/interop/install.sh installs. */
import { spawnSync } from "node:child_process";
import { bundle } from "./bundle.mjs";
import { root } from "./entries.mjs";

const outfile = await bundle("bench-storage", "bench/storage.ts");
const run = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
process.exitCode = run.status ?? 1;
