import { sha1 } from "@noble/hashes/legacy.js";

/**
 * SHA-1 in lower-case hexadecimal. Version 1 of state resolution orders events by the SHA-1 of their
 * ids; nothing else may use it. It is a module of its own so that newer rooms' bundles leave it out.
 */
export function sha1Hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of sha1(bytes)) text += byte.toString(16).padStart(2, "0");
  return text;
}
