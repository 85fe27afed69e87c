/** The page's built parts, and pages made of them. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { documentOf } from "../../page/document.js";
import type { Assets } from "../../page/document.js";
import type { Link } from "../../page/embedded.js";
import type { Source } from "../../page/protocol.js";
import { Failure } from "../failure.js";

/** Longer texts are compressed: a page of 10,000 events is a third as long, and opens sooner. */
const MOST_PLAIN = 512 * 1024;

/** @throws Failure where the package was not built. */
export async function readAssets(): Promise<Assets> {
  const folder = join(dirname(createRequire(import.meta.url).resolve("roomdag/package.json")), "dist", "page");
  const read = (name: string): Promise<string> => readFile(join(folder, name), "utf8");
  try {
    const [script, style, hashes] = await Promise.all([read("room.js"), read("room.css"), read("hashes.json")]);
    const { script: scriptHash, style: styleHash } = JSON.parse(hashes) as Readonly<Record<"script" | "style", string>>;
    return { script, style, scriptHash, styleHash };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Failure(`the page is not there: ${reason}. In the repository, npm run build makes it`);
  }
}

/** A room as the page gets it. */
export function sourceOf(
  name: string,
  text: string,
  about: Pick<Source, "roomVersion" | "roomId" | "signatures">,
): Source {
  if (text.length <= MOST_PLAIN) return { name, text, ...about };
  return { name, gzip: gzipSync(text).toString("base64"), ...about };
}

export function pageOf(rooms: readonly Source[], links: readonly Link[], assets: Assets): string {
  const title = rooms[0] === undefined ? "roomdag" : `${rooms[0].name} · roomdag`;
  return documentOf(title, { rooms, examples: [], links }, assets);
}
