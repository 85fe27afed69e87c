/** Files that are nobody else's business: keys and tokens. */
import { open, readFile, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { Failure } from "../failure.js";

/** `undefined` when there is no such file. @throws Failure if others may read it, or nobody can. */
export async function readPrivate(path: string, what: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path);
    // Windows has no such bits.
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      throw new Failure(`the ${what} at ${path} can be read by others: chmod 600 ${path}`);
    }
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (codeOf(error) === "ENOENT") return undefined;
    throw new Failure(`the ${what} at ${path} cannot be read: ${messageOf(error)}`);
  }
}

/** Writes a file whole or not at all, readable by its owner alone, in place of any other. */
export async function createPrivate(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  try {
    const file = await open(temporary, "w", 0o600);
    try {
      await file.chmod(0o600);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw new Failure(`${path} cannot be written: ${messageOf(error)}`);
  }
}

/** The name of a file is durable once its folder is; where folders cannot be opened, the platform sees to it. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
