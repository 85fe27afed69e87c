import stringify from "fast-json-stable-stringify";
import { describe, expect, it } from "vitest";
import { encodeCanonical } from "../../src/json/canonical.js";
import { checkStrict } from "../../src/json/check.js";
import { UsageError } from "../../src/errors.js";
import { canonicalLaws } from "../../src/testing/index.js";
import type { Encode } from "../../src/testing/index.js";
import { lawNamed, options, violationOf } from "./laws-support.js";

const encode = (value: unknown): string => {
  const checked = checkStrict(value);
  if (!checked.ok) throw new UsageError(checked.error.reason);
  return encodeCanonical(checked.value);
};

describe("this library keeps the laws of canonical JSON", () => {
  for (const law of canonicalLaws(encode)) it(law.name, () => law.run(options(300)));
  for (const law of canonicalLaws((value) => Promise.resolve().then(() => encode(value)))) {
    it(`${law.name}, later`, () => law.run(options(20)));
  }
});

it("the encoder itself refuses what the check refuses, except -0", () =>
  lawNamed(
    canonicalLaws((value) => encodeCanonical(value as never)),
    "what is no JSON are refused",
  ).run(options(300)));

type Sorted = (value: unknown, options: { cmp: (a: { key: string }, b: { key: string }) => number }) => string;

const bySort = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

/** For each law an encoder that breaks it and is right elsewhere. */
const broken: readonly (readonly [law: string, name: string, encode: Encode])[] = [
  [
    "gives the value back",
    "drops some keys",
    (value) => encode(JSON.parse(encode(value), (key, inner: unknown) => (key.startsWith("a") ? undefined : inner))),
  ],
  ["order of their code points", "sorts UTF-16 units", (value) => stringify(value)],
  [
    "order of their code points",
    "sorts by locale",
    (value) => (stringify as Sorted)(value, { cmp: (a, b) => a.key.localeCompare(b.key, "en") }),
  ],
  ["order of their code points", "leaves integer-like keys in front", bySort],
  [
    "no space outside strings",
    "puts a space after commas",
    (value) => encode(value).replace(/,(?=[^"]*(?:"[^"]*"[^"]*)*$)/g, ", "),
  ],
  [
    "gives the text again",
    "remembers what it saw",
    (() => {
      let calls = 0;
      return (value) => `${encode(value)}${" ".repeat(calls++ % 2)}`;
    })(),
  ],
  ["inserted does not matter", "keeps the order of keys", (value) => JSON.stringify(value)],
  [
    "in the shortest way, and nothing else",
    "escapes all but ASCII",
    (value) =>
      encode(value).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`),
  ],
  ["in the shortest way, and nothing else", "escapes slashes", (value) => encode(value).replaceAll("/", "\\/")],
  [
    "in the shortest way, and nothing else",
    "has no short escapes",
    (value) => encode(value).replaceAll("\\n", "\\u000a"),
  ],
  ["digits with an optional minus", "writes exponents", (value) => (value === 1e15 ? "1e15" : encode(value))],
  ["inherit elsewhere are data", "assigns members", (value) => encode(assigned(value))],
  [
    "inherit elsewhere are data",
    "calls toJSON",
    (value) => (typeof value === "object" && value !== null && "toJSON" in value ? "null" : encode(value)),
  ],
  [
    "value is not modified",
    "sorts in place",
    (value) => {
      const text = encode(value);
      if (Array.isArray(value)) value.reverse();
      return text;
    },
  ],
  ["without overflowing the stack", "recurses", (value) => stringify(value)],
  ["what is no JSON are refused", "escapes lone surrogates", (value) => JSON.stringify(value)],
  [
    "what is no JSON are refused",
    "rounds",
    (value) =>
      encode(
        JSON.parse(JSON.stringify(value), (_, inner: unknown) =>
          typeof inner === "number" ? Math.trunc(inner) : inner,
        ),
      ),
  ],
];

function assigned(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) copy[key] = inner;
  return copy;
}

describe("each law of canonical JSON can fail", () => {
  it.each(broken)("%s: an encoder that %s", async (law, _, wrong) => {
    const violation = await violationOf(lawNamed(canonicalLaws(wrong), law), options(400));
    expect(violation?.message).toMatch(/^canonical JSON: .*\nseed: -?\d+\ncounterexample: /s);
  });

  it("and every law has an encoder that breaks it", () => {
    const names = canonicalLaws(encode).map(({ name }) => name);
    expect(names.filter((name) => !broken.some(([law]) => name.endsWith(law)))).toEqual([]);
  });
});
