/**
 * The public entries of the package, kept in one place: the build, the documentation, the size budget and the
 * package tests all read this list. An entry whose source does not exist yet is left out.
 */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../", import.meta.url));

/** Folders under src that are public subpaths of their own. */
export const intendedFolders = Object.freeze([
  "ids",
  "json",
  "crypto",
  "event",
  "auth",
  "stateres",
  "dag",
  "versions",
  "inspect",
  "ports",
  "engine",
  "federation",
  "adapters/memory",
  "adapters/system",
  "adapters/node-crypto",
  "adapters/webcrypto",
  "adapters/sqlite",
  "adapters/postgres",
  "adapters/http",
  "adapters/node-http",
  "testing",
]);

/** One module a room version, so that a bundle with one version carries no other's algorithms. */
function versionFiles() {
  const folder = `${root}src/versions`;
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^(?:v|i)\d+\.ts$/.test(name))
    .sort();
}

/**
 * Output name (without extension, under dist) → source file, for the library.
 * @returns {Record<string, string>}
 */
export function libraryEntries() {
  /** @type {Record<string, string>} */
  const wanted = { index: "src/index.ts" };
  for (const folder of intendedFolders) wanted[`${folder}/index`] = `src/${folder}/index.ts`;
  for (const name of versionFiles()) wanted[`versions/${name.slice(0, -3)}`] = `src/versions/${name}`;
  return Object.fromEntries(Object.entries(wanted).filter(([, source]) => existsSync(root + source)));
}

/**
 * As {@link libraryEntries}, for the command line.
 * @returns {Record<string, string>}
 */
export function cliEntries() {
  return existsSync(`${root}src/cli/main.ts`) ? { cli: "src/cli/main.ts" } : {};
}
