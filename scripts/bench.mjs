/** Bundles bench/main.ts and runs it in a process of its own. */
import { spawnSync } from "node:child_process";
import { bundle } from "./bundle.mjs";
import { root } from "./entries.mjs";

const outfile = await bundle("bench", "bench/main.ts");
// `--expose-gc` lets a run sweep what the run before left, outside its own time.
const argv = ["--expose-gc", outfile, ...process.argv.slice(2)];
const run = spawnSync(process.execPath, argv, { cwd: root, stdio: "inherit" });
process.exitCode = run.status ?? 1;
