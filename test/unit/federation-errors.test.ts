/** The vocabulary of errors: each code and what Matrix writes for it, both ways. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { errorForms, fromMatrixError, toMatrixError } from "../../src/federation/index.js";
import type { JsonValue } from "../../src/json/index.js";
import type { OperationError, OperationErrorCode } from "../../src/ports/index.js";

const codes = Object.keys(errorForms) as OperationErrorCode[];
const answered = codes.filter((code) => errorForms[code].kind === "own");

/** Every errcode on the pages of the server-server API, but those of the content repository. */
const vocabulary = [
  ...["M_BAD_JSON", "M_FORBIDDEN", "M_INCOMPATIBLE_ROOM_VERSION", "M_INVALID_PARAM", "M_INVITE_BLOCKED"],
  ...["M_LIMIT_EXCEEDED", "M_MISSING_PARAM", "M_NOT_FOUND", "M_NOT_JSON", "M_TOO_LARGE", "M_UNABLE_TO_AUTHORISE_JOIN"],
  ...["M_UNABLE_TO_GRANT_JOIN", "M_UNKNOWN", "M_UNKNOWN_TOKEN", "M_UNRECOGNIZED"],
];

function formOf(code: OperationErrorCode): string {
  const { status, body } = toMatrixError({ code, reason: "why" });
  return `${status} ${body.errcode}`;
}

describe("errors of operations [cap:errors]", () => {
  it("have each a status and an errcode of their own", () => {
    const forms = answered.map(formOf);
    expect(new Set(forms).size).toBe(answered.length);
    expect(new Set(answered.map((code) => toMatrixError({ code, reason: "" }).body.errcode)).size).toBe(forms.length);
  });

  it("reach every errcode of the server-server API", () => {
    const errcodes = answered.map((code) => toMatrixError({ code, reason: "" }).body.errcode);
    expect(errcodes).toEqual(expect.arrayContaining(vocabulary));
    expect(errcodes.filter((errcode) => !vocabulary.includes(errcode))).toEqual(["M_UNAUTHORIZED"]);
  });

  it.each([
    ["bad_request", "400 M_BAD_JSON"],
    ["not_json", "400 M_NOT_JSON"],
    ["invalid_param", "400 M_INVALID_PARAM"],
    ["missing_param", "400 M_MISSING_PARAM"],
    ["incompatible_room_version", "400 M_INCOMPATIBLE_ROOM_VERSION"],
    ["unable_to_authorise_join", "400 M_UNABLE_TO_AUTHORISE_JOIN"],
    ["unable_to_grant_join", "400 M_UNABLE_TO_GRANT_JOIN"],
    ["unauthorized", "401 M_UNAUTHORIZED"],
    ["unknown_token", "401 M_UNKNOWN_TOKEN"],
    ["forbidden", "403 M_FORBIDDEN"],
    ["invite_blocked", "403 M_INVITE_BLOCKED"],
    ["not_found", "404 M_NOT_FOUND"],
    ["unrecognized", "404 M_UNRECOGNIZED"],
    ["too_large", "413 M_TOO_LARGE"],
    ["limit_exceeded", "429 M_LIMIT_EXCEEDED"],
    ["internal", "500 M_UNKNOWN"],
  ] as const)("%s is %s", (code, form) => {
    expect(formOf(code)).toBe(form);
  });

  it.each(codes)("%s is read back, or as what it was answered as", (code) => {
    const sent: OperationError = {
      code,
      reason: "because of this",
      ...(code === "incompatible_room_version" ? { roomVersion: "12" } : {}),
      ...(code === "limit_exceeded" ? { retryAfterMs: 1500 } : {}),
    };
    const { status, body } = toMatrixError(sent);
    const form = errorForms[code];
    const expected = form.kind === "own" ? code : form.kind === "shared" ? form.as : "internal";
    expect(fromMatrixError(status, body)).toEqual({ ...sent, code: expected });
  });

  it("says which codes are no answers", () => {
    expect(codes.filter((code) => errorForms[code].kind === "local")).toEqual(["unreachable", "timeout", "cancelled"]);
    expect(formOf("policy_refused")).toBe("403 M_FORBIDDEN");
  });

  it("names the version of a room that the caller does not know, and nothing else", () => {
    const { body } = toMatrixError({ code: "incompatible_room_version", reason: "no", roomVersion: "I.1" });
    expect(body).toEqual({ errcode: "M_INCOMPATIBLE_ROOM_VERSION", error: "no", room_version: "I.1" });
    const read = (version: JsonValue): unknown => fromMatrixError(400, { ...body, room_version: version }).roomVersion;
    expect(["I.1", "11", "", "no such\nversion", 11, null].map(read)).toEqual(["I.1", "11", ...Array<undefined>(4)]);
    expect(fromMatrixError(404, { errcode: "M_NOT_FOUND", room_version: "1" })).not.toHaveProperty("roomVersion");
  });

  it("says how long to wait, as far as that can be believed", () => {
    const after = (value: JsonValue): unknown =>
      fromMatrixError(429, { errcode: "M_LIMIT_EXCEEDED", retry_after_ms: value }).retryAfterMs;
    expect([0, 20, 20.5, 1e300, -1, "20", null].map(after)).toEqual([0, 20, 21, 2 ** 31 - 1, ...Array<undefined>(3)]);
    expect(fromMatrixError(403, { errcode: "M_FORBIDDEN", retry_after_ms: 5 })).not.toHaveProperty("retryAfterMs");
  });

  it("goes by the errcode where there is one that it knows, whatever the status", () => {
    expect(fromMatrixError(400, { errcode: "M_FORBIDDEN" }).code).toBe("forbidden");
    expect(fromMatrixError(405, { errcode: "M_UNRECOGNIZED" }).code).toBe("unrecognized");
    expect(fromMatrixError(400, { errcode: "M_UNRECOGNIZED" }).code).toBe("unrecognized");
    expect(fromMatrixError(500, { errcode: "M_NOT_FOUND" }).code).toBe("not_found");
    expect(fromMatrixError(401, { errcode: "M_MISSING_TOKEN" }).code).toBe("unauthorized");
  });

  it.each([
    [400, "bad_request"],
    [401, "unauthorized"],
    [403, "forbidden"],
    [404, "not_found"],
    [405, "unrecognized"],
    [408, "timeout"],
    [409, "bad_request"],
    [413, "too_large"],
    [429, "limit_exceeded"],
    [500, "internal"],
    [502, "unreachable"],
    [503, "unreachable"],
    [504, "timeout"],
    [302, "internal"],
    [599, "internal"],
  ] as const)("goes by the status where the errcode says nothing: %i is %s", (status, code) => {
    for (const errcode of ["M_UNKNOWN", "ORG.EXAMPLE.ELSE", "constructor", "__proto__"]) {
      expect(fromMatrixError(status, { errcode, error: "why" })).toEqual({ code, reason: "why" });
    }
  });

  it("takes 404 without an errcode for a path that the server lacks", () => {
    for (const body of [undefined, null, "<html>", [], {}, { errcode: 404 }]) {
      expect(fromMatrixError(404, body)).toEqual({ code: "unrecognized", reason: "status 404" });
    }
  });

  it("keeps no more of a reason than one reads", () => {
    expect(fromMatrixError(500, { error: "x".repeat(100_000) }).reason).toHaveLength(1_000);
  });

  test.prop([fc.integer(), fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.dictionary(keyOf(), fc.jsonValue()))])(
    "makes an error of any answer",
    (status, body) => {
      const error = fromMatrixError(status, body as JsonValue | undefined);
      expect(codes).toContain(error.code);
      expect(typeof error.reason).toBe("string");
      expect(error.retryAfterMs ?? 0).toSatisfy((value: number) => Number.isSafeInteger(value) && value >= 0);
    },
  );
});

function keyOf(): fc.Arbitrary<string> {
  return fc.constantFrom("errcode", "error", "room_version", "retry_after_ms");
}
