/** Many signatures in one array of bytes, and the verdicts in another. */
import { screen } from "../../crypto/ed25519.js";
import type { VerifyRequest } from "../../ports/keys.js";
import { ENTRY_BYTES, HEAD_BYTES } from "./worker-source.js";

/** What goes to a worker. */
export interface Packed {
  readonly buffer: ArrayBuffer;
  /** Where in the list of requests each signature is that was packed. */
  readonly places: readonly number[];
}

/** The requests from `from` to before `to` that pass the screen; the others are refused and need no worker. */
export function pack(requests: readonly VerifyRequest[], from: number, to: number): Packed {
  const places: number[] = [];
  let length = HEAD_BYTES;
  for (let at = from; at < to; at++) {
    const request = requests[at];
    if (request === undefined || screen(request.signature, request.key) === "refuse") continue;
    places.push(at);
    length += ENTRY_BYTES + request.message.length;
  }
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, places.length, true);
  let at = HEAD_BYTES;
  for (const place of places) {
    const request = requests[place];
    if (request === undefined) continue;
    view.setUint32(at, request.message.length, true);
    bytes.set(request.key, at + 4);
    bytes.set(request.signature, at + 36);
    bytes.set(request.message, at + ENTRY_BYTES);
    at += ENTRY_BYTES + request.message.length;
  }
  return { buffer: bytes.buffer, places };
}

/** @param id comes back with the verdicts. */
export function address({ buffer }: Packed, id: number): void {
  new DataView(buffer).setUint32(0, id, true);
}

/** The requests that were packed, in their order. */
export function unpackRequests({ buffer, places }: Packed): readonly VerifyRequest[] {
  const [bytes, view] = [new Uint8Array(buffer), new DataView(buffer)];
  let next = HEAD_BYTES;
  return places.map(() => {
    const at = next;
    next = at + ENTRY_BYTES + view.getUint32(at, true);
    const [key, signature] = [bytes.subarray(at + 4, at + 36), bytes.subarray(at + 36, at + ENTRY_BYTES)];
    return { key, signature, message: bytes.subarray(at + ENTRY_BYTES, next) };
  });
}

/** The id, and one verdict for each signature. `undefined` for what no worker of ours answers. */
export function unpack(answer: unknown): { readonly id: number; readonly verdicts: Uint8Array } | undefined {
  if (!(answer instanceof ArrayBuffer) || answer.byteLength < 4) return undefined;
  return { id: new DataView(answer).getUint32(0, true), verdicts: new Uint8Array(answer, 4) };
}

/**
 * Cuts a list into parts of at most `count` signatures and about `bytes` bytes of messages.
 * @returns where each part ends
 */
export function cut(requests: readonly VerifyRequest[], count: number, bytes: number): readonly number[] {
  const ends: number[] = [];
  let [begin, size] = [0, 0];
  requests.forEach(({ message }, at) => {
    if (at > begin && (at - begin >= count || size + message.length > bytes)) {
      ends.push(at);
      [begin, size] = [at, 0];
    }
    size += message.length;
  });
  if (requests.length > begin) ends.push(requests.length);
  return ends;
}
