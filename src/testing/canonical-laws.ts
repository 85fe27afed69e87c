/** Laws of canonical JSON. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { canonicalText } from "./canonical-text.js";
import { broken, describe, plainLaw, salts, shuffleKeys } from "./laws.js";
import type { Law } from "./laws.js";

/** An encoder under test: canonical JSON of a parsed value, at once or later; it throws or rejects what has none. */
export type Encode = (value: unknown) => string | Promise<string>;

/** Text with everything that has gone wrong somewhere: quotes, controls, both ends of the surrogates. */
const characters = fc.oneof(
  {
    arbitrary: fc.constantFrom(
      "a",
      "b",
      "A",
      "0",
      "1",
      "_",
      "-",
      " ",
      "/",
      "\\",
      '"',
      "\u007f",
      "\u2028",
      "\u2029",
      "\ufeff",
    ),
    weight: 4,
  },
  {
    arbitrary: fc.constantFrom(
      "\ud7ff",
      "\ue000",
      "\uffff",
      "\u{10000}",
      "\u{1f600}",
      "\u{10ffff}",
      "\u65e5",
      "\u00e9",
      "e\u0301",
    ),
    weight: 4,
  },
  { arbitrary: fc.nat(0x1f).map((code) => String.fromCharCode(code)), weight: 2 },
  { arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 1 }), weight: 1 },
);
const plainText = fc.string({ unit: characters, maxLength: 12 });

const traps = ["__proto__", "constructor", "toString", "toJSON", "hasOwnProperty", "length", "10", "9", "-1", ""];
const keys = fc.oneof({ arbitrary: plainText, weight: 3 }, { arbitrary: fc.constantFrom(...traps), weight: 1 });

const integers = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(0, 1, -1, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 1e15),
);

/** An object with these members as own properties, `__proto__` among them. */
function objectOf(members: readonly (readonly [string, unknown])[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(members);
}

const values: Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false),
    integers,
    plainText,
    fc.array(tie("value"), { maxLength: 5 }),
    fc.array(fc.tuple(keys, tie("value")), { maxLength: 6 }).map(objectOf),
  ),
})).value;

const flat = fc
  .uniqueArray(keys, { minLength: 2, maxLength: 8 })
  .map((names) => objectOf(names.map((name, at) => [name, at])));

/** Values that JSON, or the canonical form of it, does not have, each inside something that it has. */
const impossible: Arbitrary<unknown> = fc
  .tuple(
    fc.constantFrom<unknown>(
      ...[0.5, -1.5, 1e-7, NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 1e21, undefined, Symbol("x"), () => 1],
      ...["\ud800", "a\udc00b", "\udc00\ud800", "\ud800\ud800"],
    ),
    fc.constantFrom("alone", "in an array", "in an object", "as a key"),
  )
  .map(([value, where]) => {
    if (where === "as a key" && typeof value === "string") return objectOf([[value, 1]]);
    if (where === "in an object") return objectOf([["a", { b: value }]]);
    return where === "in an array" ? [1, [value]] : value;
  });

/**
 * Laws of canonical JSON (spec: appendices, "Canonical JSON") for any encoder of parsed values. Numbers
 * are integers of at most 2^53-1 in magnitude; -0, on which implementations differ, does not occur.
 *
 * ```ts
 * for (const law of canonicalLaws(encode)) it(law.name, () => law.run());
 * ```
 */
export function canonicalLaws(encode: Encode): readonly Law[] {
  return [
    law("parsing the text gives the value back", values, async (value) => {
      const text = await textOf(encode, value);
      if (canonicalText(parsed(text, value)) !== canonicalText(value)) broken(`it wrote ${text}`, value);
    }),
    law("keys stand in the order of their code points", flat, expectText(encode)),
    law("there is no space outside strings", values, async (value) => {
      const text = await textOf(encode, value);
      if (/\s/.test(text.replace(/"(?:[^"\\]|\\.)*"/gs, ""))) broken(`it wrote ${text}`, value);
    }),
    law("encoding what was parsed from the text gives the text again", values, async (value) => {
      const text = await textOf(encode, value);
      const again = await textOf(encode, parsed(text, value));
      if (again !== text) broken(`it wrote ${text}, then ${again}`, value);
    }),
    law("the order in which keys were inserted does not matter", fc.tuple(values, salts), async ([value, salt]) => {
      const [text, other] = [await textOf(encode, value), await textOf(encode, shuffleKeys(value, salt))];
      if (text !== other) broken(`it wrote ${text}, then ${other}`, value);
    }),
    law("strings escape what has to be escaped, in the shortest way, and nothing else", plainText, expectText(encode)),
    law("integers are digits with an optional minus", integers, expectText(encode)),
    law(
      "keys that objects inherit elsewhere are data",
      fc.uniqueArray(fc.constantFrom(...traps)).map((names) => objectOf(names.map((name) => [name, {}]))),
      expectText(encode),
    ),
    law("the value is not modified", values, async (value) => {
      const before = JSON.stringify(value);
      await textOf(encode, value);
      if (JSON.stringify(value) !== before) broken("it changed the value", value);
    }),
    law(
      "deep nesting is written or refused, without overflowing the stack",
      fc.constantFrom(2000, 20_000),
      async (depth) => {
        const nested = '[{"a":'.repeat(depth >> 1) + "0" + "}]".repeat(depth >> 1);
        const outcome = await outcomeOf(encode, deepValue(depth >> 1));
        if (outcome.error instanceof RangeError) broken(`it threw ${describe(outcome.error)}`, `${depth} levels`);
        if (outcome.text !== undefined && outcome.text !== nested) broken("it wrote something else", `${depth} levels`);
      },
      6,
    ),
    law(
      "floats, numbers that are too large, lone surrogates and what is no JSON are refused",
      impossible,
      async (value) => {
        const { text } = await outcomeOf(encode, value);
        if (text !== undefined) broken(`it wrote ${text}`, describeValue(value));
      },
    ),
  ];
}

function law<T>(name: string, cases: Arbitrary<T>, holds: (value: T) => Promise<void>, atMost?: number): Law {
  return plainLaw(`canonical JSON: ${name}`, cases, holds, atMost);
}

function expectText(encode: Encode): (value: unknown) => Promise<void> {
  return async (value) => {
    const [text, expected] = [await textOf(encode, value), canonicalText(value)];
    if (text !== expected) broken(`it wrote ${text} instead of ${expected}`, value);
  };
}

interface Outcome {
  readonly text?: string;
  readonly error?: unknown;
}

async function outcomeOf(encode: Encode, value: unknown): Promise<Outcome> {
  try {
    return { text: await encode(value) };
  } catch (error) {
    return { error };
  }
}

async function textOf(encode: Encode, value: unknown): Promise<string> {
  const { text, error } = await outcomeOf(encode, value);
  return typeof text === "string" ? text : broken(`it threw ${describe(error)}`, value);
}

function parsed(text: string, value: unknown): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return broken(`it wrote ${text}, which is not JSON`, value);
  }
}

function deepValue(levels: number): unknown {
  let value: unknown = 0;
  for (let level = 0; level < levels; level++) value = [{ a: value }];
  return value;
}

/** For messages about values that canonical text cannot show. */
function describeValue(value: unknown): string {
  return fc.stringify(value);
}
