/** Bodies from the network, of which nobody knows how long they are. */

const FIRST = 16 * 1024;

/**
 * The bytes of a body; `undefined` when there are more than `max`, of which no more are read. They are copied into one
 * piece as they come: pieces of a byte each would take a hundred times their length.
 */
export async function readBody(body: AsyncIterable<Uint8Array>, max: number): Promise<Uint8Array | undefined> {
  let bytes = new Uint8Array(Math.min(FIRST, max));
  let length = 0;
  for await (const piece of body) {
    const end = length + piece.length;
    if (end > max) return undefined;
    if (end > bytes.length) {
      const grown = new Uint8Array(Math.min(Math.max(end, bytes.length * 2), max));
      grown.set(bytes.subarray(0, length));
      bytes = grown;
    }
    bytes.set(piece, length);
    length = end;
  }
  return bytes.subarray(0, length);
}

/** An event has 65,536 bytes, so nothing that is valid is nested deeper. */
export const MAX_EVENT_DEPTH = 65_536;

/** A body as text; `undefined` when it is not UTF-8. A byte order mark stays, and no JSON begins with one. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
