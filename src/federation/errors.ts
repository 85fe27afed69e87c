/**
 * Errors of operations as Matrix writes them: an HTTP status and a body with `errcode` and `error`
 * (client-server-api, "Standard error response"). The one table of both; nothing here knows HTTP otherwise.
 */
import { isRoomVersion } from "../ids/grammar.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { OperationError, OperationErrorCode } from "../ports/operations.js";
import type { InviteBlocked, LimitExceeded, PolicyRefusal } from "../ports/policy.js";

/** What becomes of a code where it is answered. */
export type ErrorForm =
  /** It has a form of its own, and is read back from it. */
  | { readonly kind: "own"; readonly status: number; readonly errcode: string; readonly meaning: string }
  /** The spec has none for it: it is answered as another code, and read back as that. */
  | { readonly kind: "shared"; readonly as: OperationErrorCode; readonly meaning: string }
  /** It tells what became of a request here, and is no answer. A server that answers it answers `internal`. */
  | { readonly kind: "local"; readonly meaning: string };

function own(status: number, errcode: string, meaning: string): ErrorForm {
  return Object.freeze({ kind: "own", status, errcode, meaning });
}

function local(meaning: string): ErrorForm {
  return Object.freeze({ kind: "local", meaning });
}

/** Each code and its form. No two have the same status and errcode. */
export const errorForms: Readonly<Record<OperationErrorCode, ErrorForm>> = Object.freeze({
  bad_request: own(400, "M_BAD_JSON", "the request is JSON, but not what the operation asks for"),
  not_json: own(400, "M_NOT_JSON", "the body is no JSON"),
  invalid_param: own(400, "M_INVALID_PARAM", "something in the request does not hold"),
  missing_param: own(400, "M_MISSING_PARAM", "something that is required is not in the request"),
  incompatible_room_version: own(
    400,
    "M_INCOMPATIBLE_ROOM_VERSION",
    "the room's version, `room_version`, is not among those that the caller knows",
  ),
  unable_to_authorise_join: own(
    400,
    "M_UNABLE_TO_AUTHORISE_JOIN",
    "the server cannot tell whether the user may join; another may",
  ),
  unable_to_grant_join: own(400, "M_UNABLE_TO_GRANT_JOIN", "the user may join, and no user here could say so"),
  unauthorized: own(401, "M_UNAUTHORIZED", "the request is not signed by the server that it says it comes from"),
  unknown_token: own(401, "M_UNKNOWN_TOKEN", "the OpenID token is unknown, or has expired"),
  forbidden: own(403, "M_FORBIDDEN", "the rules of the room, its ACL or the server do not allow it"),
  invite_blocked: own(403, "M_INVITE_BLOCKED", "the invitee, or their server for them, takes no such invite"),
  not_found: own(404, "M_NOT_FOUND", "what is asked for is not here, or not for the caller to know of"),
  unrecognized: own(404, "M_UNRECOGNIZED", "the server has no such operation"),
  too_large: own(413, "M_TOO_LARGE", "the request holds more than the server takes"),
  limit_exceeded: own(429, "M_LIMIT_EXCEEDED", "too many requests; `retry_after_ms` says when to ask again"),
  internal: own(500, "M_UNKNOWN", "something went wrong in the server"),
  policy_refused: Object.freeze({
    kind: "shared",
    as: "forbidden",
    meaning: "the host's own policy does not allow it, which the spec does not tell apart from `forbidden`",
  }),
  unreachable: local("nothing answered; whether it was done is unknown"),
  timeout: local("no answer came in time; whether it was done is unknown"),
  cancelled: local("the caller did not wait for the answer"),
});

// The compiler has seen that the keys are the codes.
const codes = Object.keys(errorForms) as readonly OperationErrorCode[];

/**
 * Codes by what servers write. `M_UNKNOWN` says nothing and is read by its status; the others are what they are with
 * any status, because servers do not agree about those (a policy server may answer 400 `M_FORBIDDEN`).
 */
const codesByErrcode: ReadonlyMap<string, OperationErrorCode> = new Map([
  ...codes.flatMap((code): readonly (readonly [string, OperationErrorCode])[] => {
    const form = errorForms[code];
    return form.kind === "own" && code !== "internal" ? [[form.errcode, code]] : [];
  }),
  // Of the client-server API, by servers that answer both alike.
  ["M_MISSING_TOKEN", "unauthorized"],
  ["M_UNSUPPORTED_ROOM_VERSION", "incompatible_room_version"],
]);

/** What a status alone says. 404 without a body that Matrix knows is what web servers say of a path they lack. */
const codesByStatus: ReadonlyMap<number, OperationErrorCode> = new Map<number, OperationErrorCode>([
  [401, "unauthorized"],
  [403, "forbidden"],
  [404, "not_found"],
  [405, "unrecognized"],
  [408, "timeout"],
  [413, "too_large"],
  [429, "limit_exceeded"],
  // Written by a proxy: the server behind it said nothing.
  [502, "unreachable"],
  [503, "unreachable"],
  [504, "timeout"],
]);

/** What a refusal of this server's host is to the server that asked. */
export function policyError(refused: PolicyRefusal | InviteBlocked | LimitExceeded): OperationError {
  const reason = `${refused.code}: ${refused.reason}`;
  if (refused.as !== "limit_exceeded") return { code: refused.as ?? "policy_refused", reason };
  return { code: refused.as, reason, retryAfterMs: Math.max(Math.ceil(refused.retryAfterMs), 0) };
}

/** An error as it is answered. */
export interface MatrixError {
  readonly status: number;
  readonly body: JsonObject & { readonly errcode: string; readonly error: string };
}

/** How an error is answered. */
export function toMatrixError({ code, reason, roomVersion, retryAfterMs }: OperationError): MatrixError {
  const { status, errcode } = writtenForm(code);
  return {
    status,
    body: {
      errcode,
      error: reason,
      ...(roomVersion === undefined ? {} : { room_version: roomVersion }),
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    },
  };
}

function writtenForm(code: OperationErrorCode): Extract<ErrorForm, { readonly kind: "own" }> {
  const form = errorForms[code];
  if (form.kind === "own") return form;
  return writtenForm(form.kind === "shared" ? form.as : "internal");
}

/** Characters of a reason that are kept. */
const MAX_REASON = 1_000;
/** Nobody is waited for longer, whatever they say. */
const MAX_RETRY_AFTER = 2 ** 31 - 1;

/**
 * The error that an answer with any status but success means. `body` is what was decoded, or `undefined` where that
 * was no JSON. Whatever it is, an error comes of it.
 */
export function fromMatrixError(status: number, body: JsonValue | undefined): OperationError {
  const object = isObject(body) ? body : {};
  const [errcode, error, version, after] = ["errcode", "error", "room_version", "retry_after_ms"].map((key) =>
    get(object, key),
  );
  const code = codeOf(status, errcode);
  const reason = typeof error === "string" && error !== "" ? error.slice(0, MAX_REASON) : `status ${status}`;
  return {
    code,
    reason,
    ...(code === "incompatible_room_version" && isRoomVersion(version) ? { roomVersion: version } : {}),
    ...(code === "limit_exceeded" && typeof after === "number" && after >= 0
      ? { retryAfterMs: Math.min(Math.ceil(after), MAX_RETRY_AFTER) }
      : {}),
  };
}

function codeOf(status: number, errcode: JsonValue | undefined): OperationErrorCode {
  const named = typeof errcode === "string" ? codesByErrcode.get(errcode) : undefined;
  if (named !== undefined) return named;
  if (status === 404 && typeof errcode !== "string") return "unrecognized";
  return codesByStatus.get(status) ?? (status >= 400 && status < 500 ? "bad_request" : "internal");
}
