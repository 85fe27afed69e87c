/** Builds dist unless it is newer than everything that it is made of. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { cliEntries, libraryEntries, root } from "./entries.mjs";

const inputs = [
  "src",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "tsup.config.ts",
  "scripts/entries.mjs",
  "scripts/build-page.mjs",
];

/** @param {string} path */
function newest(path) {
  const pending = [path];
  let time = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const stat = statSync(next);
    // A folder's own time tells of files removed from it.
    time = Math.max(time, stat.mtimeMs);
    if (stat.isDirectory()) for (const name of readdirSync(next)) pending.push(`${next}/${name}`);
  }
  return time;
}

function isFresh() {
  const outputs = [
    ...Object.keys(libraryEntries()).flatMap((name) => [`${name}.js`, `${name}.d.ts`]),
    ...Object.keys(cliEntries()).map((name) => `${name}.js`),
    "page/room.js",
  ].map((name) => `${root}dist/${name}`);
  if (!outputs.every((file) => existsSync(file))) return false;
  const oldestOutput = Math.min(...outputs.map((file) => statSync(file).mtimeMs));
  return inputs.every((input) => newest(root + input) <= oldestOutput);
}

export default function ensureBuild() {
  if (isFresh()) return;
  const build = spawnSync(process.execPath, [`${root}node_modules/tsup/dist/cli-default.js`, "--silent"], {
    cwd: root,
    encoding: "utf8",
  });
  if (build.status === 0) return;
  // Without dist the tests that look at it fail; those of the sources still tell what they can.
  rmSync(`${root}dist`, { recursive: true, force: true });
  console.error(`The build failed:\n${build.stdout}${build.stderr}`);
}
