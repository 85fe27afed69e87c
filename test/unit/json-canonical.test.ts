import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.js";
import {
  compareCodePoints,
  encodeCanonical,
  encodeCanonicalBytes,
  JsonFloat,
  parseLax,
  parseStrict,
  utf8Decode,
  utf8Encode,
} from "../../src/json/index.js";
import type { JsonValue } from "../../src/json/index.js";

/** What a caller without types could pass. */
function untyped(value: unknown): JsonValue {
  return value as JsonValue;
}

function nested(depth: number, leaf: JsonValue): JsonValue {
  let value = leaf;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

function nestedText(depth: number, leaf: string): string {
  let start = "";
  let end = "";
  for (let i = depth - 1; i >= 0; i--) start += i % 2 === 0 ? "[" : '{"a":';
  for (let i = 0; i < depth; i++) end += i % 2 === 0 ? "]" : "}";
  return start + leaf + end;
}

describe("order of keys", () => {
  const ordered = [
    "",
    "-1",
    "1",
    "10",
    "2",
    "B",
    "a",
    "aa",
    "b",
    "\u00e9",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "😀",
    "\u{10ffff}",
  ];

  it.each([...ordered.keys()])("is by code point, whatever order they came in (rotation %i)", (by) => {
    const rotated = [...ordered.slice(by), ...ordered.slice(0, by)];
    const object = Object.fromEntries(rotated.map((key) => [key, 0]));
    expect(encodeCanonical(object)).toBe(`{${ordered.map((key) => `${JSON.stringify(key)}:0`).join(",")}}`);
  });

  it("is the same for lossless and for deep values, which are written otherwise", () => {
    const object = { "😀": 1, "\uffff": 2, a: 3 };
    const canonical = '{"a":3,"\uffff":2,"😀":1}';
    expect(encodeCanonical([object])).toBe(`[${canonical}]`);
    expect(encodeCanonical([object, 1n])).toBe(`[${canonical},1]`);
    expect(encodeCanonical(nested(600, object))).toBe(nestedText(600, canonical));
  });
});

describe("escapes", () => {
  it("are the shortest", () => {
    const all = Array.from({ length: 32 }, (_, unit) => String.fromCharCode(unit)).join("");
    const short: Record<string, string> = { 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r" };
    const long = (unit: number): string => `\\u00${unit.toString(16).padStart(2, "0")}`;
    const expected = Array.from({ length: 32 }, (_, unit) => short[unit] ?? long(unit));
    for (const extra of [[], [1n], [nested(600, 0)]]) {
      const text = encodeCanonical([all, ...extra]);
      expect(text.startsWith(`["${expected.join("")}"`)).toBe(true);
    }
  });

  it("leave `/`, DEL, U+2028 and all else alone", () => {
    expect(encodeCanonical("/\u007f\u2028\u2029é日😀\ufeff")).toBe('"/\u007f\u2028\u2029é日😀\ufeff"');
    expect(encodeCanonical('"\\')).toBe('"\\"\\\\"');
  });

  it("apply to keys", () => {
    expect(encodeCanonical({ 'a"': 1, "\n": 2 })).toBe('{"\\n":2,"a\\"":1}');
  });
});

describe("keys that objects have by themselves", () => {
  const text = '{"__proto__":{"toJSON":1},"constructor":null,"hasOwnProperty":"\\n","length":[],"toJSON":"x"}';

  it.each([
    ["plain", ""],
    ["lossless", ',"~":9007199254740993'],
  ])("are data (%s)", (_kind, more) => {
    const source = text.slice(0, -1) + more + "}";
    const parsed = parseLax(source);
    expect(parsed.ok && encodeCanonical(parsed.value)).toBe(source);
  });
});

describe("numbers", () => {
  it.each([
    [0, "0"],
    [-0, "0"],
    [-1, "-1"],
    [9007199254740991, "9007199254740991"],
    [-9007199254740991, "-9007199254740991"],
    [9223372036854775807n, "9223372036854775807"],
    [-18446744073709551616n, "-18446744073709551616"],
    [5n, "5"],
  ])("%s is written %s", (value, text) => expect(encodeCanonical(value)).toBe(text));

  it("writes -0 as 0 in every writer", () => {
    expect(encodeCanonical([-0, "\n"])).toBe('[0,"\\n"]');
    expect(encodeCanonical([-0, 1n])).toBe("[0,1]");
  });

  // The right column is what `repr` answers in Python 3.11.
  it.each([
    ["1e21", "1e+21"],
    ["1e-7", "1e-07"],
    ["1.2345678901234568e20", "1.2345678901234568e+20"],
    ["-0.0", "-0.0"],
    ["1.0", "1.0"],
    ["1e2", "100.0"],
    ["1.50", "1.5"],
    ["1e15", "1000000000000000.0"],
    ["9999999999999998.0", "9999999999999998.0"],
    ["1e16", "1e+16"],
    ["123456789012345680.0", "1.2345678901234568e+17"],
    ["0.0001", "0.0001"],
    ["0.00012345", "0.00012345"],
    ["0.00001", "1e-05"],
    ["-0.000012345", "-1.2345e-05"],
    ["123456.789", "123456.789"],
    ["5e-324", "5e-324"],
    ["1.7976931348623157e308", "1.7976931348623157e+308"],
    ["0e5", "0.0"],
    ["1e-400", "0.0"],
    ["2.5E+3", "2500.0"],
    ["1e22", "1e+22"],
    ["1e100", "1e+100"],
    ["0.1", "0.1"],
    ["1e23", "1e+23"],
    ["100000000000000000000000.5", "1.0000000000000001e+23"],
  ])("the float %s is written %s, as Python does", (source, written) => {
    const parsed = parseLax(source);
    expect(parsed.ok && encodeCanonical(parsed.value)).toBe(written);
    expect(parsed).toMatchObject({ value: { source } });
  });
});

describe("depth", () => {
  it.each([31, 32, 33, 499, 500, 501, 100_000])("of %i is written", (depth) => {
    expect(encodeCanonical(nested(depth, "a\nb"))).toBe(nestedText(depth, '"a\\nb"'));
    expect(encodeCanonical(nested(depth, 7))).toBe(nestedText(depth, "7"));
  });

  it("of 100,000 goes from text to bytes and back", () => {
    const text = nestedText(100_000, '{"b":[],"c":{}}');
    const parsed = parseStrict(text);
    expect(parsed.ok && utf8Decode(encodeCanonicalBytes(parsed.value))).toBe(text);
  });
});

describe("what is no JSON value", () => {
  class Point {
    readonly x = 1;
  }
  const cycle: unknown[] = [];
  cycle.push(cycle, cycle);

  it.each([
    ["a fraction", 1.5],
    ["2^53", 2 ** 53],
    ["NaN", Number.NaN],
    ["Infinity", Number.POSITIVE_INFINITY],
    ["undefined", undefined],
    ["a function", () => 1],
    ["a symbol", Symbol("x")],
    ["a date", new Date(0)],
    ["a map", new Map()],
    ["a class instance", new Point()],
    ["a hole", new Array<number>(1)],
    ["a lone high surrogate", "a\ud800"],
    ["a lone low surrogate", "\udc00a"],
    ["a reversed pair", "\udc00\ud800"],
    ["an infinite float", new JsonFloat(Number.POSITIVE_INFINITY, "1e400")],
    ["a cycle", cycle],
  ])("is refused: %s", (_name, value) => {
    // Both alone and beside what takes the other writers.
    for (const around of [value, [value, "\n"], { "\uffff": 1, a: value }, [1n, value]]) {
      expect(() => encodeCanonical(untyped(around))).toThrow(UsageError);
    }
  });

  it("is refused as a key: a lone surrogate", () => {
    expect(() => encodeCanonical({ "\ud800": 1 })).toThrow(UsageError);
  });
});

it("does not change what it writes", () => {
  const value = Object.freeze({ b: Object.freeze([1, Object.freeze({ z: 1, y: "\n" })]), a: 1 });
  expect(encodeCanonical(value)).toBe('{"a":1,"b":[1,{"y":"\\n","z":1}]}');
  expect(Object.keys(value)).toEqual(["b", "a"]);
});

it("writes one value as often as it occurs", () => {
  const shared = ["\n"];
  expect(encodeCanonical({ a: shared, b: [shared, shared] })).toBe('{"a":["\\n"],"b":[["\\n"],["\\n"]]}');
});

it("never calls a toJSON", () => {
  const list = Object.assign(["\n"], { toJSON: () => 2 });
  expect(encodeCanonical(list)).toBe('["\\n"]');
  expect(encodeCanonical([list, 1])).toBe('[["\\n"],1]');
});

it("takes objects without a prototype", () => {
  const bare = Object.assign(Object.create(null) as Record<string, JsonValue>, { b: 1, a: 2 });
  expect(encodeCanonical(bare)).toBe('{"a":2,"b":1}');
});

describe("compareCodePoints", () => {
  it.each([
    ["", "", 0],
    ["", "a", -1],
    ["a", "", 1],
    ["ab", "b", -1],
    ["a", "aa", -1],
    ["\uffff", "😀", -1],
    ["😀", "\ue000", 1],
    ["\ud7ff", "😀", -1],
    ["😀", "😁", -1],
    ["\u{10000}", "\u{10ffff}", -1],
    ["a😀", "a😀", 0],
  ] as const)("of %j and %j is %i", (a, b, order) => expect(compareCodePoints(a, b)).toBe(order));
});

describe("UTF-8", () => {
  it.each([
    ["", []],
    ["a\0", [0x61, 0]],
    ["\u007f\u0080\u07ff\u0800", [0x7f, 0xc2, 0x80, 0xdf, 0xbf, 0xe0, 0xa0, 0x80]],
    ["\ud7ff\ue000\uffff", [0xed, 0x9f, 0xbf, 0xee, 0x80, 0x80, 0xef, 0xbf, 0xbf]],
    ["\u{10000}\u{10ffff}", [0xf0, 0x90, 0x80, 0x80, 0xf4, 0x8f, 0xbf, 0xbf]],
    ["\ufeff", [0xef, 0xbb, 0xbf]],
  ])("of %j", (text, bytes) => {
    expect(Array.from(utf8Encode(text))).toEqual(bytes);
    expect(utf8Decode(Uint8Array.from(bytes))).toBe(text);
  });

  it.each([
    ["an overlong NUL", [0xc0, 0x80]],
    ["an overlong DEL", [0xc1, 0xbf]],
    ["an overlong three", [0xe0, 0x9f, 0xbf]],
    ["an overlong four", [0xf0, 0x8f, 0xbf, 0xbf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a pair of surrogates", [0xed, 0xa0, 0x80, 0xed, 0xb0, 0x80]],
    ["beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["a lead byte above F4", [0xf5, 0x80, 0x80, 0x80]],
    ["FF", [0xff]],
    ["a continuation alone", [0x80]],
    ["an end too early", [0x61, 0xe2, 0x82]],
    ["a lead where a continuation should be", [0xc2, 0xc2]],
  ])("is refused: %s", (_name, bytes) => expect(utf8Decode(Uint8Array.from(bytes))).toBeUndefined());

  it.each(["a\ud800", "\udc00", "\ud800a", "\ud800\ud800"])("does not repair %j", (text) => {
    expect(() => utf8Encode(text)).toThrow(UsageError);
  });

  it("reads long text", () => {
    const text = "aé日😀".repeat(50_000);
    expect(utf8Decode(utf8Encode(text))).toBe(text);
  });
});
