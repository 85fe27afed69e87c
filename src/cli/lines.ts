/** Lines of a byte stream. Only the byte 0x0A ends one: readline would also split at CR and U+2028. */
const NEWLINE = 0x0a;

/** A line, or the fact that one was too long to be held. */
export type Line = { readonly bytes: Uint8Array } | { readonly tooLong: number };

/**
 * The lines of `chunks` without their newline; a last line without newline counts, an empty one after
 * the last newline does not. A line beyond `maxBytes` is skipped over without being kept.
 */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Line> {
  let parts: Uint8Array[] = [];
  let length = 0;
  const take = (part: Uint8Array): void => {
    length += part.length;
    if (length > maxBytes) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  const finish = (): Line => {
    const line = length > maxBytes ? { tooLong: length } : { bytes: Buffer.concat(parts) };
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      take(chunk.subarray(from, at));
      from = at + 1;
      yield finish();
    }
    take(chunk.subarray(from));
  }
  if (length > 0) yield finish();
}
