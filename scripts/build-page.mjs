/**
 * Builds the page that `roomdag draw` and the site are made of: one script, which is page and worker both, one style
 * sheet, and the hashes that the page's policy names. Everything is bundled, with the licences of what is.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { root } from "./entries.mjs";

/** @param {string} text */
const sha256 = (text) => `sha256-${createHash("sha256").update(text).digest("base64")}`;

/**
 * The licences of the packages that a bundle holds.
 * @param {readonly string[]} inputs
 */
async function licencesOf(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    if (name !== undefined) packages.add(name);
  }
  // d3-dag comes as a bundle of its own.
  if (packages.has("d3-dag")) for (const name of ["d3-array", "javascript-lp-solver", "quadprog"]) packages.add(name);
  const texts = [...packages].sort().map(async (name) => {
    const folder = join(root, "node_modules", name);
    const file = ["LICENSE", "LICENSE.md", "LICENSE.txt", "license", "LICENCE"].find((f) =>
      existsSync(join(folder, f)),
    );
    const { license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const text = file === undefined ? license : await readFile(join(folder, file), "utf8");
    return `${name}\n${text.trim().replaceAll("*/", "* /")}`;
  });
  return (await Promise.all(texts)).join("\n\n");
}

/** Writes `dist/page`; the answer is how many bytes of script and style every drawn room carries. */
export async function buildPage() {
  const folder = join(root, "dist", "page");
  const shared = { absWorkingDir: root, bundle: true, minify: true, logLevel: /** @type {const} */ ("warning") };
  const [script, style] = await Promise.all([
    build({
      ...shared,
      entryPoints: ["src/page/main.tsx"],
      outfile: "dist/page/room.js",
      format: "iife",
      target: "es2023",
      platform: "browser",
      tsconfig: "src/page/tsconfig.json",
      define: { "process.env.NODE_ENV": '"production"' },
      legalComments: "none",
      metafile: true,
      write: /** @type {const} */ (false),
      charset: "ascii",
    }),
    build({
      ...shared,
      entryPoints: ["src/page/style.css"],
      outfile: "dist/page/room.css",
      write: false,
    }),
  ]);
  const licences = await licencesOf(Object.keys(script.metafile?.inputs ?? {}));
  // The parser of HTML reads other line ends as this one, and the hash is of what it read.
  const code = `/*!\n${licences}\n*/\n${script.outputFiles[0]?.text ?? ""}`.replace(/\r\n?/g, "\n");
  const css = style.outputFiles[0]?.text ?? "";
  if (/<\/script|<!--/i.test(code) || /<\/style/i.test(css)) throw new Error("the page's script would end its element");
  await mkdir(folder, { recursive: true });
  await Promise.all([
    writeFile(join(folder, "room.js"), code),
    writeFile(join(folder, "room.css"), css),
    writeFile(join(folder, "hashes.json"), `${JSON.stringify({ script: sha256(code), style: sha256(css) })}\n`),
  ]);
  return { bytes: code.length + css.length };
}

if (process.argv[1] !== undefined && import.meta.url === new URL(`file://${process.argv[1]}`).href) {
  const { bytes } = await buildPage();
  console.log(`dist/page: ${Math.ceil(bytes / 1024)} kB`);
}
