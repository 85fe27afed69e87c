/** The folder in which a server keeps what is its own: one server's, and used by one process at a time. */
import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { Failure } from "../failure.js";
import { codeOf, createPrivate, messageOf, readPrivate } from "./private-file.js";

export interface DataFolder {
  readonly path: string;
  file(name: string): string;
  /** Lets another process have it. */
  release(): Promise<void>;
}

/** Files in a data folder. */
export const files = Object.freeze({
  lock: "lock",
  server: "server-name",
  signingKey: "signing.key",
  certificate: "tls.crt",
  certificateKey: "tls.key",
  database: "roomdag.sqlite",
  token: "api-token",
  instance: "instance",
  address: "api-address",
  socket: "api.sock",
});

/**
 * Takes a data folder for a server; it is made if need be.
 * @throws Failure if it cannot be written, is another server's, or is in use.
 */
export async function openDataFolder(path: string, server: string): Promise<DataFolder> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: unknown) => unusable(path, error));
  const lock = await takeLock(path);
  const folder: DataFolder = {
    path,
    file: (name) => join(path, name),
    release: () => unlink(lock).catch(() => undefined),
  };
  try {
    await claim(folder, server);
    return folder;
  } catch (error) {
    await folder.release();
    throw error;
  }
}

/** The server that a data folder belongs to. @throws Failure if it is no data folder. */
export async function serverOf(path: string): Promise<string> {
  const name = await readFile(join(path, files.server), "utf8").catch(() => undefined);
  if (name === undefined) throw new Failure(`${path} is no data folder of roomdag serve`);
  return name.trim();
}

async function claim(folder: DataFolder, server: string): Promise<void> {
  const known = await readFile(folder.file(files.server), "utf8").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    return unusable(folder.path, error);
  });
  if (known === undefined) {
    await writeFile(folder.file(files.server), `${server}\n`).catch((error: unknown) => unusable(folder.path, error));
  } else if (known.trim() !== server) {
    throw new Failure(`${folder.path} belongs to ${known.trim()}: give ${server} a data folder of its own`);
  }
}

/** The token that the local API asks for. */
export async function apiToken(folder: DataFolder): Promise<string> {
  const path = folder.file(files.token);
  const known = (await readPrivate(path, "API token"))?.trim();
  if (known !== undefined && /^[\w-]{32,}$/.test(known)) return known;
  const token = randomBytes(32).toString("base64url");
  await createPrivate(path, `${token}\n`);
  return token;
}

/** What this process is called among those over one database: the folder's, which one process at a time uses. */
export async function instanceOf(folder: DataFolder): Promise<string> {
  const path = folder.file(files.instance);
  const known = (await readPrivate(path, "process's name"))?.trim();
  if (known !== undefined && /^[\w-]{16,}$/.test(known)) return known;
  const name = randomBytes(12).toString("base64url");
  await createPrivate(path, `${name}\n`);
  return name;
}

// ---- the lock ---------------------------------------------------------------------------------------------

async function takeLock(folder: string): Promise<string> {
  const path = join(folder, files.lock);
  const own = `${path}.${process.pid}`;
  const content = `${process.pid} ${await startOf(process.pid)}\n`;
  await writeFile(own, content).catch((error: unknown) => unusable(folder, error));
  try {
    for (let attempt = 0; attempt < 10; attempt++) {
      if (await linked(own, path)) return path;
      const holder = await readFile(path, "utf8").catch(() => undefined);
      if (holder !== undefined && (await isAlive(holder))) break;
      if (holder !== undefined) await removeStale(path, `${own}.stale`);
    }
    const holder = await readFile(path, "utf8").catch(() => "");
    throw new Failure(
      `${folder} is in use by process ${holder.split(" ")[0] ?? ""}: stop it first, or give another --data`,
    );
  } finally {
    await unlink(own).catch(() => undefined);
  }
}

async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw new Failure(`${path} cannot be made: ${messageOf(error)}`);
  }
}

/** Of several that find a dead process's lock, one moves it; if that was a new one meanwhile, it goes back. */
async function removeStale(path: string, aside: string): Promise<void> {
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if (await isAlive(await readFile(aside, "utf8"))) await linked(aside, path);
  await unlink(aside).catch(() => undefined);
}

async function isAlive(holder: string): Promise<boolean> {
  const [pid = "", start = ""] = holder.trim().split(" ");
  const number = Number(pid);
  if (!Number.isSafeInteger(number) || number <= 0) return false;
  try {
    process.kill(number, 0);
  } catch (error) {
    if (codeOf(error) !== "EPERM") return false;
  }
  return start === (await startOf(number));
}

/**
 * When a process started, in ticks since this boot, where the platform tells: numbers are given anew, and in a
 * container every start has the same.
 */
async function startOf(pid: number): Promise<string> {
  const read = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");
  const [status, boot] = await Promise.all([read(`/proc/${pid}/stat`), read("/proc/sys/kernel/random/boot_id")]);
  if (status === "") return "unknown";
  // The name of the program, in parentheses, may hold anything.
  const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
  // One that has ended keeps its number until its parent asks how, which in some containers nobody ever does.
  if (fields[0] === "Z" || fields[0] === "X") return "ended";
  return `${boot.trim()}/${fields[19] ?? ""}`;
}

function unusable(path: string, error: unknown): never {
  throw new Failure(`the data folder ${path} cannot be used: ${messageOf(error)}`);
}
