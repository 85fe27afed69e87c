/** Bundles sources of this repository for a process of its own, as the package is bundled. */
import { mkdirSync } from "node:fs";
import { build } from "esbuild";
import { root } from "./entries.mjs";

/**
 * Where the bundle of this name is kept: inside the package, so that imports of dependencies resolve from there.
 * @param {string} name
 */
export const bundleFolder = (name) => `${root}node_modules/.cache/roomdag-${name}`;

/**
 * @param {string} name
 * @param {string} entry
 * @param {import("esbuild").BuildOptions} [options]
 * @returns {Promise<string>} the bundle's path
 */
export async function bundle(name, entry, options = {}) {
  const folder = bundleFolder(name);
  mkdirSync(folder, { recursive: true });
  const outfile = `${folder}/main.mjs`;
  await build({
    entryPoints: [`${root}${entry}`],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: ["es2023", "node20"],
    packages: "external",
    ...options,
  });
  return outfile;
}
