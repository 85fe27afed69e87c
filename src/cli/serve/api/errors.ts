/** Errors of the local API: an HTTP status, a code and a sentence. */
import { UsageError } from "../../../errors.js";
import type { Refusal, RefusalCode, Result } from "../../../errors.js";
import type { JsonObject } from "../../../json/value.js";

/** What the API answers beside refusals. */
export type ApiErrorCode =
  "bad_request" | "unauthorized" | "not_found" | "not_allowed" | "too_large" | "stopping" | "internal" | RefusalCode;

/** Ends a request with an answer. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: ApiErrorCode;
  readonly refusal: Refusal | undefined;

  constructor(status: number, code: ApiErrorCode, reason: string, refusal?: Refusal) {
    super(reason);
    this.status = status;
    this.code = code;
    this.refusal = refusal;
  }

  get body(): JsonObject {
    const { rule, events = [] } = this.refusal ?? {};
    return {
      error: {
        code: this.code,
        reason: this.message,
        ...(rule === undefined ? {} : { rule }),
        ...(events.length === 0 ? {} : { events }),
      },
    };
  }
}

/** The status of each refusal. */
export const refusalStatus: Readonly<Record<RefusalCode, number>> = Object.freeze({
  bad_json: 400,
  bad_identifier: 400,
  bad_format: 400,
  too_large: 413,
  bad_signature: 403,
  auth_rejected: 403,
  unknown_room_version: 400,
  wrong_room: 400,
  cycle: 400,
  policy_refused: 403,
  not_recommended: 403,
  unknown_room: 404,
  unreachable: 502,
  cancelled: 503,
  undecided: 409,
  refused_by_peer: 403,
});

/** The value, or the refusal as an answer. */
export function valueOf<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  const { code, reason } = result.error;
  throw new ApiError(refusalStatus[code], code, reason, result.error);
}

/** Whatever was thrown, as an answer; `undefined` for what is a fault of this server. */
export function answerOf(error: unknown): ApiError | undefined {
  if (error instanceof ApiError) return error;
  // What was asked for makes no sense to the library, which says what would.
  return error instanceof UsageError ? new ApiError(400, "bad_request", error.message) : undefined;
}
