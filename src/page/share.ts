/** A room in a link: compressed, in the fragment, which browsers send to no server. */
import type { Source } from "./protocol.js";

/** Longer links are cut by the programs that people paste them into. */
export const LONGEST_LINK = 60_000;

export interface Shared {
  readonly source: Source;
  readonly eventId: string | undefined;
}

/** A fragment with the room and what is selected; `undefined` where it would be too long for a link. */
export async function fragmentOf({ name, text }: Source, eventId: string | undefined): Promise<string | undefined> {
  if (text === undefined) return undefined;
  const json = JSON.stringify({ name, text, ...(eventId === undefined ? {} : { event: eventId }) });
  const stream = new Blob([json]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (bytes.length * 1.4 > LONGEST_LINK) return undefined;
  const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return `#room=${base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

/** What a fragment holds; `undefined` for fragments that are none of these, or are broken. */
export async function readFragment(fragment: string): Promise<Shared | undefined> {
  const base64 = /^#room=([A-Za-z0-9_-]+)$/.exec(fragment)?.[1];
  if (base64 === undefined || base64.length > 2 * LONGEST_LINK) return undefined;
  try {
    const bytes = Uint8Array.from(atob(base64.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const shared: unknown = JSON.parse(await new Response(stream).text());
    if (typeof shared !== "object" || shared === null) return undefined;
    const { name, text, event } = shared as Readonly<Record<string, unknown>>;
    if (typeof text !== "string") return undefined;
    const source = { name: typeof name === "string" ? name : "shared room", text };
    return { source, eventId: typeof event === "string" ? event : undefined };
  } catch {
    return undefined;
  }
}
