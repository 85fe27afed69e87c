import { createContext, runInContext } from "node:vm";
import { describe, expect, it } from "vitest";
import type { Result } from "../../src/errors.js";
import { checkLax, checkStrict, JsonFloat, parseStrict } from "../../src/json/index.js";
import type { JsonValue } from "../../src/json/index.js";

function verdict(result: Result<JsonValue>): string {
  return result.ok ? "accepted" : `${result.error.code}: ${result.error.reason}`;
}

const both = [
  ["strict", checkStrict],
  ["lax", checkLax],
] as const;

class Point {
  readonly x = 1;
}

class List extends Array<number> {}

function cycle(): unknown {
  const list: unknown[] = [];
  list.push({ list, again: list });
  return list;
}

/** 2^depth values from depth arrays. */
function doubled(depth: number): unknown {
  let value: unknown = [];
  for (let i = 0; i < depth; i++) value = [value, value];
  return value;
}

describe.each(both)("both checks (%s)", (_name, check) => {
  it.each([
    [null],
    [true],
    [""],
    [0],
    [-9007199254740991],
    [[]],
    [{}],
    [{ a: [1, { b: ["c😀"] }], __proto__x: null }],
    [JSON.parse('{"__proto__":{"constructor":1},"toJSON":2}')],
    [Object.assign(Object.create(null) as object, { a: 1 })],
  ])("accept %j as it is", (value: unknown) => {
    const checked = check(value);
    expect(checked.ok && checked.value).toBe(value);
  });

  it("accept the objects of another realm", () => {
    const value: unknown = runInContext('({ a: [1, { b: "c" }] })', createContext({}));
    expect(verdict(check(value))).toBe("accepted");
  });

  it.each([
    ["a value of type undefined", undefined],
    ["a value of type function", () => 1],
    ["a value of type symbol", Symbol("x")],
    ["negative zero", -0],
    ["a number that is not an integer within 2^53 - 1", 1.5],
    ["a number that is not an integer within 2^53 - 1", 2 ** 53],
    ["a number that is not an integer within 2^53 - 1", Number.NaN],
    ["a number that is not an integer within 2^53 - 1", Number.NEGATIVE_INFINITY],
    ["an object that is not plain data", new Date(0)],
    ["an object that is not plain data", new Map()],
    ["an object that is not plain data", /x/],
    ["an object that is not plain data", Object("x")],
    ["an object that is not plain data", new Uint8Array(1)],
    ["an object that is not plain data", new Point()],
    ["an array that is not plain data", List.of(1)],
    ["a value of type undefined", { a: undefined }],
    [
      "a getter or setter",
      {
        get a() {
          return 1;
        },
      },
    ],
    [
      "a getter or setter",
      {
        set a(_value: number) {
          throw new Error("not called");
        },
      },
    ],
    ["a hidden property", Object.defineProperty({}, "a", { value: 1, enumerable: false })],
    ["a symbol as a key", { [Symbol("x")]: 1 }],
    ["an array with a hole or with further properties", new Array<number>(3)],
    ["an array with a hole or with further properties", Object.assign([1], { a: 1 })],
    ["a getter or setter", Object.defineProperty([1], 0, { get: () => 1, enumerable: true })],
    ["a value of type function", { toJSON: () => 1 }],
    ["text with a lone surrogate, which UTF-8 cannot hold", "\ud800"],
    ["text with a lone surrogate, which UTF-8 cannot hold", { "a\udc00": 1 }],
    ["a hole in an array", Object.assign(new Array<number>(1), { a: 1 })],
  ])("refuse %s", (what, value: unknown) => {
    for (const around of [value, [value], { a: { b: value } }]) {
      expect(verdict(check(around))).toBe(`bad_json: the value holds ${what}`);
    }
  });

  it("survive proxies", () => {
    const throwing = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error("trap");
        },
      },
    );
    expect(verdict(check([throwing]))).toBe("bad_json: the value holds an object that cannot be read");
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    expect(verdict(check(proxy))).toBe("bad_json: the value holds an object that cannot be read");
    const endless: object = new Proxy(
      {},
      {
        ownKeys: () => ["a"],
        getOwnPropertyDescriptor: () => ({ value: endless, enumerable: true, configurable: true, writable: true }),
      },
    );
    expect(verdict(check(endless, { maxDepth: 1000 }))).toMatch(/^too_large/);
  });

  it("follow neither cycles nor shared parts without end", () => {
    expect(verdict(check(cycle()))).toBe("too_large: the value holds too many objects and arrays nested in each other");
    expect(verdict(check(doubled(60), { maxValues: 10_000 }))).toBe("too_large: the value holds too many values");
    expect(verdict(check(doubled(10)))).toBe("accepted");
  });

  it("bound depth and number", () => {
    expect(verdict(check([[{}]], { maxDepth: 3 }))).toBe("accepted");
    expect(verdict(check([[{}]], { maxDepth: 2 }))).toMatch(/^too_large/);
    expect(verdict(check([1, 2], { maxValues: 3 }))).toBe("accepted");
    expect(verdict(check([1, 2], { maxValues: 2 }))).toMatch(/^too_large/);
    const deep = parseStrict("[".repeat(100_000) + "]".repeat(100_000));
    expect(deep.ok && verdict(check(deep.value))).toBe("accepted");
  });
});

describe("lossless numbers", () => {
  it.each([[2n ** 63n], [5n], [new JsonFloat(1.5, "1.50")], [new JsonFloat(-0, "-0.0")]])("%s is lax only", (value) => {
    expect(checkLax([value])).toEqual({ ok: true, value: [value] });
    expect(checkStrict([value])).toMatchObject({ ok: false, error: { code: "bad_json", rule: "Canonical JSON" } });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])("a float of %s is none", (value) => {
    const refused = checkLax(new JsonFloat(value, "x"));
    expect(refused).toMatchObject({ error: { code: "bad_json", rule: "RFC 8259" } });
    expect(verdict(refused)).toBe("bad_json: the value holds a float that is not finite");
  });
});
