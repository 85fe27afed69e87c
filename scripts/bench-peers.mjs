/** Bundles bench/peers/main.ts and runs it in a process of its own. It starts its contenders from the same bundle. */
import { spawnSync } from "node:child_process";
import { bundle } from "./bundle.mjs";
import { root } from "./entries.mjs";

const outfile = await bundle("bench-peers", "bench/peers/main.ts");
const run = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
process.exitCode = run.status ?? 1;
