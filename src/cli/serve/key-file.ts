/**
 * The file with this server's signing keys: lines of `ed25519 VERSION SEED`, the seed in unpadded base64. Synapse keeps
 * its own in the same form, so that a server can be moved with its key.
 */
import { randomBytes } from "node:crypto";
import { decodeBase64, encodeUnpadded } from "../../crypto/base64.js";
import { Failure } from "../failure.js";
import { createPrivate, readPrivate } from "./private-file.js";

/** A key as the file has it. */
export interface FiledKey {
  /** `ed25519:` and a version. */
  readonly keyId: string;
  readonly seed: Uint8Array;
}

export type FiledKeys = readonly [FiledKey, ...FiledKey[]];

const FORM = "a line is `ed25519 VERSION SEED`, the seed being 32 bytes in base64";

/** @throws Failure that names the line and not what is in it. */
export function parseKeyFile(text: string, path: string): FiledKeys {
  const keys: FiledKey[] = [];
  text.split(/\r?\n/).forEach((line, at) => {
    const words = line.trim().split(/\s+/);
    if (line.trim() === "" || line.startsWith("#")) return;
    const [algorithm, version = "", base64 = ""] = words;
    const seed = decodeBase64(base64);
    const isKey = words.length === 3 && algorithm === "ed25519" && /^\w+$/.test(version) && seed?.length === 32;
    if (!isKey) throw new Failure(`${path}, line ${at + 1}, is no signing key: ${FORM}`);
    keys.push({ keyId: `ed25519:${version}`, seed });
  });
  const [first, ...others] = keys;
  if (first === undefined) throw new Failure(`${path} holds no signing key: ${FORM}`);
  if (new Set(keys.map(({ keyId }) => keyId)).size < keys.length) {
    throw new Failure(`${path} has two keys of one version: give each its own`);
  }
  return [first, ...others];
}

export function formatKey({ keyId, seed }: FiledKey): string {
  return `${keyId.replace(":", " ")} ${encodeUnpadded(seed)}\n`;
}

/** The keys of a file that only its owner may read; with `make`, a new one where there is none. */
export async function signingKeys(path: string, make: boolean): Promise<FiledKeys> {
  const text = await readPrivate(path, "signing key");
  if (text !== undefined) return parseKeyFile(text, path);
  if (!make) throw new Failure(`there is no signing key at ${path}`);
  const version = randomBytes(6).toString("hex").slice(0, 8);
  const key: FiledKey = { keyId: `ed25519:a_${version}`, seed: new Uint8Array(randomBytes(32)) };
  await createPrivate(path, formatKey(key));
  return [key];
}
