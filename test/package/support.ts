import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Metafile, build } from "esbuild";
import { libraryEntries, root } from "../../scripts/entries.mjs";

export { root };

/** Entries of the library as names under dist, without extension. */
export const builtEntries: readonly string[] = Object.keys(libraryEntries());

/** Adapters stand on a platform: those of Node on its modules, the others on what browsers and servers both have. */
export const nodeEntries: readonly string[] = builtEntries.filter((name) => name.startsWith("adapters/node-"));
const adapters = builtEntries.filter((name) => name.startsWith("adapters/") && name !== "adapters/memory/index");

/** The entries that promise to run anywhere; `testing` needs fast-check. */
export const coreEntries: readonly string[] = builtEntries.filter(
  (name) => name !== "testing/index" && !adapters.includes(name),
);

/** What a user writes to import an entry: `ids/index` → `roomdag/ids`. */
export function specifier(entry: string): string {
  return entry === "index" ? "roomdag" : `roomdag/${entry.replace(/\/index$/, "")}`;
}

export interface Bundle {
  readonly text: string;
  readonly metafile: Metafile;
}

/** One script with everything in it, for no platform in particular, as a web page or a worker would get it. */
export async function bundle(
  source: string,
  format: "iife" | "esm",
  external: readonly string[] = [],
): Promise<Bundle> {
  const result = await build({
    stdin: { contents: source, resolveDir: root, loader: "js" },
    bundle: true,
    format,
    globalName: format === "iife" ? "bundled" : "",
    platform: "neutral",
    target: "es2023",
    external: [...external],
    metafile: true,
    write: false,
    legalComments: "none",
    logLevel: "silent",
  });
  return { text: result.outputFiles.map((file) => file.text).join("\n"), metafile: result.metafile };
}

export function run(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export function readText(path: string): string {
  return readFileSync(root + path, "utf8");
}
