/** Answers that are none of an operation. */
import { toMatrixError } from "../../federation/errors.js";
import type { OperationError, OperationErrorCode } from "../../ports/operations.js";
import type { WireAnswer } from "./wire/index.js";

/** An answer that is not written yet. */
export interface Answered extends WireAnswer {
  readonly headers?: Readonly<Record<string, string>>;
  readonly outcome: "ok" | OperationErrorCode;
}

/** 503: to who asks, nobody is there (`unreachable`). */
export const notListening: Answered = Object.freeze({
  status: 503,
  content: Object.freeze({ errcode: "M_UNKNOWN", error: "this server does not answer now" }),
  outcome: "unreachable",
});

/** An error, with another status than it usually has where there is one. */
export function failed(error: OperationError, status?: number): Answered {
  const written = toMatrixError(error);
  return { status: status ?? written.status, content: written.body, headers: headersOf(error), outcome: error.code };
}

function headersOf({ code, retryAfterMs }: OperationError): Readonly<Record<string, string>> {
  if (code === "unauthorized") return { "WWW-Authenticate": "X-Matrix" };
  if (code === "limit_exceeded" && retryAfterMs !== undefined) {
    return { "Retry-After": String(Math.max(Math.ceil(retryAfterMs / 1000), 1)) };
  }
  return {};
}

/** RFC 9110, section 15.5.6; server-server-api, "Unsupported endpoints". */
export function notAllowed(method: string, allowed: readonly string[]): Answered {
  const error = { code: "unrecognized", reason: `the endpoint has no ${method}` } as const;
  const { headers, ...answered } = failed(error, 405);
  return { ...answered, headers: { ...headers, Allow: allowed.join(", ") } };
}
