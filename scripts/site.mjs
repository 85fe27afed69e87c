/**
 * Builds the static site under `site/`: the page that reads any file that is dropped on it, the gallery's rooms drawn,
 * and the guides and the reference of the API.
 */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { root } from "./entries.mjs";
import { buildPage } from "./build-page.mjs";

const folder = join(root, "site");

/**
 * The function that frames pages is TypeScript, so it is compiled for this script.
 * @returns {Promise<typeof import("../src/page/document.js")>}
 */
async function framing() {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ["src/page/document.ts"],
    bundle: true,
    format: "esm",
    write: false,
    logLevel: "warning",
  });
  const code = outputFiles[0]?.text ?? "";
  return import(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);
}

async function readAssets() {
  const read = (/** @type {string} */ name) => readFile(join(root, "dist", "page", name), "utf8");
  const { script: scriptHash, style: styleHash } = JSON.parse(await read("hashes.json"));
  return { script: await read("room.js"), style: await read("room.css"), scriptHash, styleHash };
}

/** The rooms of the gallery, simplest first. */
async function gallery() {
  const texts = join(root, "fixtures", "gallery");
  const names = (await readdir(texts)).filter((name) => name.endsWith(".txt")).sort();
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(texts, name), "utf8");
      const title = /^title (.+)$/m.exec(text)?.[1] ?? name.slice(0, -4);
      return { name: title, text };
    }),
  );
}

/** @param {{ readonly withReference?: boolean }} [options] */
export async function buildSite({ withReference = true } = {}) {
  const { documentOf } = await framing();
  const assets = await readAssets();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const reference = [{ text: "Guides and reference", href: "reference/index.html" }];
  const links = withReference ? reference : [];
  const examples = await gallery();
  const home = { rooms: [], examples, links };
  await writeFile(join(folder, "index.html"), documentOf("roomdag: see a room", home, assets));
  if (!withReference) return;
  const typedoc = spawnSync(
    process.execPath,
    [
      join(root, "node_modules", "typedoc", "bin", "typedoc"),
      ...[
        "--out",
        join(folder, "reference"),
        "--projectDocuments",
        "docs/*.md",
        "--logLevel",
        "Warn",
        "--skipErrorChecking",
        // What is not documented is found by `npm run docs`, which stops at it.
        "--treatWarningsAsErrors",
        "false",
      ],
    ],
    { cwd: root, stdio: "inherit" },
  );
  if (typedoc.status !== 0) throw new Error("the reference was not written");
}

if (process.argv[1] !== undefined && import.meta.url === new URL(`file://${process.argv[1]}`).href) {
  await buildPage();
  await buildSite();
  console.log("site/index.html is written");
}
