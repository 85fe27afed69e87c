/**
 * What a worker of the pool runs, as text.
 *
 * A file of its own, found by `new URL("./worker.js", import.meta.url)`, would be lost where esbuild or Rollup put a
 * host into one file, would not be where the URL says once the build splits chunks, and is TypeScript when the library
 * is run from its sources. Text is the same in all three. It is short because the screen and the fallbacks stay with
 * who asks: a worker does nothing but OpenSSL, and where it is not sure it says so. It is plain JavaScript for any
 * Node that the package supports, with no name from outside, so that minifiers leave it alone.
 */

/** What a worker answers for one signature. `UNSURE`: OpenSSL threw, and the core decides. */
export const REFUSED = 0;
export const VALID = 1;
export const UNSURE = 2;

/** `id` and the number of signatures, four bytes each. */
export const HEAD_BYTES = 8;
/** Before each message: its length in four bytes, the public key, the signature. */
export const ENTRY_BYTES = 4 + 32 + 64;

export const workerSource: string = `"use strict";
const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
const { createPublicKey, verify } = process.getBuiltinModule("node:crypto");
const keys = new Map();

function keyOf(bytes) {
  const name = bytes.latin1Slice(0, 32);
  let key = keys.get(name);
  if (key !== undefined) keys.delete(name);
  else key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: bytes.base64urlSlice(0, 32) }, format: "jwk" });
  keys.set(name, key);
  if (keys.size > workerData.maxKeys) keys.delete(keys.keys().next().value);
  return key;
}

function verdictOf(key, signature, message) {
  try {
    return verify(null, message, keyOf(key), signature) ? ${VALID} : ${REFUSED};
  } catch {
    return ${UNSURE};
  }
}

parentPort.on("message", (buffer) => {
  const bytes = Buffer.from(buffer);
  const count = bytes.readUInt32LE(4);
  const answer = new Uint8Array(4 + count);
  answer.set(bytes.subarray(0, 4));
  let at = ${HEAD_BYTES};
  for (let index = 0; index < count; index++) {
    const key = bytes.subarray(at + 4, at + 36);
    const signature = bytes.subarray(at + 36, at + ${ENTRY_BYTES});
    const end = at + ${ENTRY_BYTES} + bytes.readUInt32LE(at);
    answer[4 + index] = verdictOf(key, signature, bytes.subarray(at + ${ENTRY_BYTES}, end));
    at = end;
  }
  parentPort.postMessage(answer.buffer, [answer.buffer]);
});
`;
