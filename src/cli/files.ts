/** Reading what the command line names. */
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { isScenario } from "../inspect/scenario.js";
import { Failure } from "./failure.js";

/** A file as text, `-` for standard input. */
export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Failure(`${path} is not UTF-8 text, or too long to be held as text`);
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  if (path !== "-") return readFile(path).catch((error: unknown) => fail(path, error));
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function fail(path: string, error: unknown): never {
  throw new Failure(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
}

/** The files that the arguments name; a directory stands for its files of JSON and its scenario texts, sorted. */
export async function expand(paths: readonly string[]): Promise<{ files: readonly string[]; directories: boolean }> {
  const files: string[] = [];
  let directories = false;
  for (const path of paths) {
    const isDirectory = path !== "-" && (await stat(path).catch((error: unknown) => fail(path, error))).isDirectory();
    if (!isDirectory) {
      files.push(path);
      continue;
    }
    directories = true;
    const names: string[] = [];
    for (const name of (await readdir(path)).sort(byName)) if (await isOfRooms(join(path, name))) names.push(name);
    if (names.length === 0) {
      throw new Failure(`${path} holds no .json, .json5, .ndjson or .jsonl file, and no scenario in a .txt file`);
    }
    files.push(...names.map((name) => join(path, name)));
  }
  return { files, directories };
}

/** By its name; a text may be about anything, so that is looked into. */
async function isOfRooms(path: string): Promise<boolean> {
  if (/\.(?:json5?|ndjson|jsonl)$/.test(path)) return true;
  return path.endsWith(".txt") && isScenario(await readText(path).catch(() => ""));
}

/** Numbers in names by their value, so that v2 comes before v10. */
function byName(a: string, b: string): number {
  return new Intl.Collator("en", { numeric: true }).compare(a, b);
}
