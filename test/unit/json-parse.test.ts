import { describe, expect, it } from "vitest";
import type { Result } from "../../src/errors.js";
import { DEFAULT_MAX_DEPTH, get, JsonFloat, parseLax, parseStrict } from "../../src/json/index.js";
import type { JsonValue } from "../../src/json/index.js";

function verdict(result: Result<JsonValue>): string {
  return result.ok ? "accepted" : `${result.error.code}: ${result.error.reason}`;
}

/** The value; a refusal's reason where there is none, which no expected value equals. */
function valueOf(result: Result<JsonValue>): unknown {
  return result.ok ? result.value : verdict(result);
}

const both = [
  ["strict", parseStrict],
  ["lax", parseLax],
] as const;

describe.each(both)("both parsers (%s)", (_name, parse) => {
  it.each([
    ["null", null],
    ["true", true],
    ["false", false],
    ["0", 0],
    ["-1", -1],
    ["999999999999999", 999999999999999],
    ["9007199254740991", 9007199254740991],
    ["-9007199254740991", -9007199254740991],
    ['""', ""],
    ["[]", []],
    ["{}", {}],
    [" \t\n\r[ 1 , [ ] , { } ]\r\n\t ", [1, [], {}]],
    ['{ "a" : { "b" : [ "c" ] } , "d" : null }', { a: { b: ["c"] }, d: null }],
    ['"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t'],
    ['"a\\u0041\\u00e9\\u65E5\\u0000z"', "aAé日\0z"],
    ['"\\ud83d\\ude00"', "😀"],
    ['"😀é日"', "😀é日"],
    ['"\\n😀"', "\n😀"],
    ['"\u007f\u2028\ufeff"', "\u007f\u2028\ufeff"],
    ['{"a":1,"a":2}', { a: 2 }],
    ['{"a":1,"\\u0061":{"b":2}}', { a: { b: 2 } }],
  ])("read %j", (text, value) => expect(valueOf(parse(text))).toEqual(value));

  it.each([
    ["", "the text ends where a value should be", 0],
    [" ", "the text ends where a value should be", 1],
    ["\ufeff{}", "no JSON value starts here", 0],
    ["\u00a0{}", "no JSON value starts here", 0],
    ["\v1", "no JSON value starts here", 0],
    ["{}x", "text after the end of the value", 2],
    ["{} {}", "text after the end of the value", 3],
    ["1 2", "text after the end of the value", 2],
    ["nul", "no JSON value starts here", 0],
    ["True", "no JSON value starts here", 0],
    ["NaN", "no JSON value starts here", 0],
    ["Infinity", "no JSON value starts here", 0],
    ["undefined", "no JSON value starts here", 0],
    ["[1,]", "no JSON value starts here", 3],
    ["[,1]", "no JSON value starts here", 1],
    ["[", "the text ends where a value should be", 1],
    ["[1", "neither a comma nor the end of the array", 2],
    ["[1}", "neither a comma nor the end of the array", 2],
    ["[1 2]", "neither a comma nor the end of the array", 3],
    ["]", "no JSON value starts here", 0],
    ["{", "no key in quotes", 1],
    ["{a:1}", "no key in quotes", 1],
    ["{'a':1}", "no key in quotes", 1],
    ["{1:1}", "no key in quotes", 1],
    ['{"a"}', "no colon after the key", 4],
    ['{"a" 1}', "no colon after the key", 5],
    ['{"a":}', "no JSON value starts here", 5],
    ['{"a":1', "neither a comma nor the end of the object", 6],
    ['{"a":1]', "neither a comma nor the end of the object", 6],
    ['{"a":1,}', "no key in quotes", 7],
    ['{"a":1,,"b":2}', "no key in quotes", 7],
    ['"a', "the text ends inside a string", 2],
    ['"a\\"', "the text ends inside a string", 4],
    ['"\\', "no such escape", 1],
    ['"\\x41"', "no such escape", 1],
    ['"\\\'"', "no such escape", 1],
    ['"\\u12"', "no such escape", 1],
    ['"\\u 123"', "no such escape", 1],
    ['"\\U0041"', "no such escape", 1],
    ['"a\nb"', "a control character in a string", 2],
    ['"\\n\tb"', "a control character in a string", 3],
    ['"\u0000"', "a control character in a string", 1],
    ['"a\ud800"', "a string with a lone surrogate, which UTF-8 cannot hold", 2],
    ['"\udc00"', "a string with a lone surrogate, which UTF-8 cannot hold", 1],
    ['"\\n\udc00"', "a string with a lone surrogate, which UTF-8 cannot hold", 3],
    ['"\\ud800"', "a string with a lone surrogate, which UTF-8 cannot hold", 0],
    ['"\\udc00\\ud800"', "a string with a lone surrogate, which UTF-8 cannot hold", 0],
    ['"\\ud83d\ude00"', "a string with a lone surrogate, which UTF-8 cannot hold", 7],
    ['{"\\ud800":1}', "a string with a lone surrogate, which UTF-8 cannot hold", 1],
    ["01", "a number with a leading zero", 0],
    ["-01", "a number with a leading zero", 0],
    ["00", "a number with a leading zero", 0],
    ["-", "a minus sign without a digit", 0],
    ["-a", "a minus sign without a digit", 0],
    ["-Infinity", "a minus sign without a digit", 0],
    ["+1", "no JSON value starts here", 0],
    [".5", "no JSON value starts here", 0],
    ["1.", "text after the end of the value", 1],
    ["1e", "text after the end of the value", 1],
    ["1e+", "text after the end of the value", 1],
    ["[1.e5]", "neither a comma nor the end of the array", 2],
    ["0x10", "text after the end of the value", 1],
    ["1_000", "text after the end of the value", 1],
    ["1n", "text after the end of the value", 1],
    ["\u0661", "no JSON value starts here", 0],
    ["// x\n1", "no JSON value starts here", 0],
  ])("refuse %j: %s", (text, what, at) => {
    expect(verdict(parse(text))).toBe(`bad_json: ${what}, at offset ${at}`);
  });

  it("refuse a key that occurs twice when asked", () => {
    const refused = parse('{"a":1, "b":2, "\\u0061":3}', { duplicates: "refuse" });
    expect(verdict(refused)).toBe("bad_json: a key that the object already has, at offset 15");
    expect(verdict(parse('[{"__proto__":1,"__proto__":1}]', { duplicates: "refuse" }))).toMatch(/^bad_json: a key/);
    expect(verdict(parse('{"a":{"a":1},"constructor":1,"toString":2}', { duplicates: "refuse" }))).toBe("accepted");
  });

  it("keep every key as data", () => {
    const parsed = parse('{"__proto__":{"x":1},"constructor":2,"toString":3}');
    if (!parsed.ok) throw new Error(parsed.error.reason);
    const object = parsed.value as Record<string, JsonValue>;
    expect(Object.keys(object)).toEqual(["__proto__", "constructor", "toString"]);
    expect(get(object, "__proto__")).toEqual({ x: 1 });
    expect(Object.getPrototypeOf(object)).toBe(Object.prototype);
    expect(get(object, "x")).toBeUndefined();
  });

  it("bound how deep a text may be nested, and read all below without recursion", () => {
    expect(verdict(parse("[[]]", { maxDepth: 2 }))).toBe("accepted");
    expect(verdict(parse('{"a":[[]]}', { maxDepth: 2 }))).toMatch(/^too_large: more than 2 .* at offset 6$/);
    expect(verdict(parse("[{}, {}, [], 1]", { maxDepth: 2 }))).toBe("accepted");
    expect(verdict(parse("[]", { maxDepth: 0 }))).toMatch(/^too_large/);
    expect(verdict(parse("1", { maxDepth: 0 }))).toBe("accepted");
    const deep = "[".repeat(200_000) + "]".repeat(200_000);
    expect(verdict(parse(deep))).toBe("accepted");
    const cut = "bad_json: the text ends where a value should be, at offset 200000";
    expect(verdict(parse("[".repeat(200_000)))).toBe(cut);
    expect(verdict(parse("[".repeat(DEFAULT_MAX_DEPTH + 1)))).toMatch(/^too_large/);
  });
});

describe("strict numbers (room versions 6 and later)", () => {
  it.each([
    ["1.0", "a number with a fraction or an exponent"],
    ["-0.0", "a number with a fraction or an exponent"],
    ["1e2", "a number with a fraction or an exponent"],
    ["1E+2", "a number with a fraction or an exponent"],
    ["0e0", "a number with a fraction or an exponent"],
    ["1e400", "a number with a fraction or an exponent"],
    ["-0", "negative zero"],
    ["9007199254740992", "an integer beyond 2^53 - 1"],
    ["-9007199254740992", "an integer beyond 2^53 - 1"],
    ["9007199254740993", "an integer beyond 2^53 - 1"],
    ["9223372036854775807", "an integer beyond 2^53 - 1"],
    ["1" + "0".repeat(5000), "an integer beyond 2^53 - 1"],
  ])("refuse %s", (token, what) => {
    expect(parseStrict(token)).toEqual({
      ok: false,
      error: { code: "bad_json", rule: "Canonical JSON", reason: `${what}, at offset 0`, events: [] },
    });
    expect(verdict(parseStrict(`{"a":[1, ${token}]}`))).toBe(`bad_json: ${what}, at offset 9`);
  });
});

describe("lax numbers (room versions 1 to 5)", () => {
  it.each([
    ["9007199254740992", 9007199254740992n],
    ["9007199254740993", 9007199254740993n],
    ["-9223372036854775808", -9223372036854775808n],
    ["1000000000000000000000", 1000000000000000000000n],
    ["1000000000000000", 1000000000000000],
  ])("keep %s exactly", (token, value) => expect(valueOf(parseLax(token))).toBe(value));

  it.each([
    ["1.0", 1],
    ["-0.0", -0],
    ["1e2", 100],
    ["1E-2", 0.01],
    ["1.50", 1.5],
    ["-1.25e+3", -1250],
    ["1e-400", 0],
    ["9007199254740993.0", 9007199254740992],
  ])("keep the source of the float %s", (token, value) => {
    expect(valueOf(parseLax(`[${token}]`))).toStrictEqual([new JsonFloat(value, token)]);
  });

  it("read the integer -0 as Python does", () => {
    expect(valueOf(parseLax("[-0]"))).toStrictEqual([0]);
  });

  it.each(["1e400", "-1e400", "1.0e309"])("refuse %s, which is infinite", (token) => {
    const reason = "a number beyond the range of doubles, at offset 0";
    const error = { code: "bad_json", rule: "RFC 8259", reason, events: [] };
    expect(parseLax(token)).toEqual({ ok: false, error });
  });

  it("read integers of 4300 digits, as Python does, and no longer ones", () => {
    const longest = "7".repeat(4300);
    expect(valueOf(parseLax(`-${longest}`))).toBe(-BigInt(longest));
    expect(verdict(parseLax(`[${longest}7]`))).toMatch(/^too_large: an integer of more than 4300 digits, at offset 1$/);
  });
});
