/** The body of a request: read as far as it may be, and what it says. */
import { DEFAULT_MAX_DEPTH, parseLax } from "../../json/parse.js";
import type { JsonValue } from "../../json/value.js";
import type { Clock } from "../../ports/clock.js";
import type { OperationError } from "../../ports/operations.js";
import type { HttpHandlerLimits } from "./handler-limits.js";
import type { Share } from "./places.js";
import { MAX_EVENT_DEPTH, readBody, textOf } from "./read-body.js";
import { withTime } from "./shared.js";

export type ReceivedBody =
  | { readonly ok: true; readonly bytes: number; readonly content: JsonValue | undefined }
  | { readonly ok: false; readonly bytes: number; readonly error: OperationError };

export interface BodyBounds {
  readonly limits: Pick<HttpHandlerLimits, "requestBytes" | "bodyTime" | "retryAfter">;
  readonly share: Share;
  readonly clock: Clock;
  /** Whoever sends it is gone. */
  readonly signal: AbortSignal;
}

/** Reads no more than it may, and answers as soon as that is clear. */
export async function receiveBody(request: Request, bounds: BodyBounds): Promise<ReceivedBody> {
  const { limits, share, clock, signal } = bounds;
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > limits.requestBytes) return tooLarge(0, limits.requestBytes);
  if (request.body === null) return { ok: true, bytes: 0, content: undefined };
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  let length = 0;
  let full = false;
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      length += read.value.length;
      full = length <= limits.requestBytes && !share.growTo(length);
      if (full) return;
      yield read.value;
    }
  }
  try {
    const read = async (): Promise<ReceivedBody> => {
      const bytes = await readBody(pieces(), limits.requestBytes);
      if (bytes === undefined) return tooLarge(length, limits.requestBytes);
      return full ? busy(length, limits.retryAfter) : parsed(bytes);
    };
    return (
      (await withTime(clock, limits.bodyTime, signal, read)) ?? failed(length, "timeout", "the body took too long")
    );
  } catch {
    return failed(length, "bad_request", "the body ended halfway");
  } finally {
    // Nobody is there for the rest; a body that was read whole has none.
    reader.cancel().catch(() => undefined);
  }
}

function parsed(bytes: Uint8Array): ReceivedBody {
  const { length } = bytes;
  if (length === 0) return { ok: true, bytes: 0, content: undefined };
  const text = textOf(bytes);
  if (text === undefined) return failed(length, "not_json", "the body is not UTF-8");
  // The parser that looks at depth as it goes is the slower one, and what is short cannot be deep.
  const maxDepth = text.length > DEFAULT_MAX_DEPTH ? MAX_EVENT_DEPTH : DEFAULT_MAX_DEPTH;
  const content = parseLax(text, { maxDepth });
  if (content.ok) return { ok: true, bytes: length, content: content.value };
  const code = content.error.code === "too_large" ? "bad_request" : "not_json";
  return failed(length, code, `the body: ${content.error.reason}`);
}

function failed(bytes: number, code: OperationError["code"], reason: string): ReceivedBody {
  return { ok: false, bytes, error: { code, reason } };
}

function tooLarge(bytes: number, most: number): ReceivedBody {
  return failed(bytes, "too_large", `the body has over ${most} bytes`);
}

function busy(bytes: number, retryAfterMs: number): ReceivedBody {
  return { ok: false, bytes, error: { code: "limit_exceeded", reason: "too much is being sent here", retryAfterMs } };
}
