import { fc, test } from "@fast-check/vitest";
import stringify from "fast-json-stable-stringify";
import { expect } from "vitest";
import {
  checkLax,
  checkStrict,
  compareCodePoints,
  encodeCanonical,
  encodeCanonicalBytes,
  JsonFloat,
  parseLax,
  parseStrict,
  setOwn,
  utf8Decode,
  utf8Encode,
} from "../../src/json/index.js";
import { BytesWriter } from "../../src/json/canonical-bytes.js";
import { orderOf } from "../../src/json/canonical.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";

const text = fc.oneof(fc.string({ unit: "binary", maxLength: 12 }), fc.string({ maxLength: 12 }));
const key = fc.oneof(text, fc.constantFrom("__proto__", "constructor", "toJSON", "1", "10", "2", "\uffff", "😀"));
const integer = fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });

function objectOf(entries: readonly (readonly [string, JsonValue])[]): JsonValue {
  const object: Record<string, JsonValue> = {};
  for (const [name, value] of entries) setOwn(object, name, value);
  return object;
}

function json(scalar: fc.Arbitrary<JsonValue>): fc.Arbitrary<JsonValue> {
  const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthSize: "small" },
      scalar,
      fc.array(tie("value"), { maxLength: 5 }),
      fc.uniqueArray(fc.tuple(key, tie("value")), { selector: ([name]) => name, maxLength: 6 }).map(objectOf),
    ),
  }));
  return value;
}

const strictValue = json(fc.oneof(fc.constant(null), fc.boolean(), integer, text));
const float = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => new JsonFloat(value, String(value)));
const laxValue = json(fc.oneof(fc.constant(null), fc.boolean(), integer, fc.bigInt().map(narrow), text, float));

function narrow(value: bigint): JsonValue {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The same value with every object's keys put in the opposite order. */
function reversed(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null || value instanceof JsonFloat) return value;
  return objectOf(
    Object.entries(value)
      .reverse()
      .map(([name, inner]) => [name, reversed(inner)]),
  );
}

/** Floats without their source, which encoding does not keep. */
function bare(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (value instanceof JsonFloat) return { float: Object.is(value.value, -0) ? "-0" : value.value };
  if (typeof value !== "object" || value === null) return value;
  return objectOf(Object.entries(value).map(([name, inner]) => [name, bare(inner) as JsonValue]));
}

function normal(value: JsonValue): JsonValue {
  return Object.is(value, -0) ? 0 : value;
}

test.prop([strictValue])("what is written parses to what was given, strictly and natively", (value) => {
  const written = encodeCanonical(value);
  expect(parseStrict(written, { duplicates: "refuse" })).toEqual({ ok: true, value: normal(value) });
  expect(JSON.parse(written)).toEqual(value);
  expect(checkStrict(value).ok).toBe(true);
});

test.prop([laxValue])("lossless values survive as well", (value) => {
  const parsed = parseLax(encodeCanonical(value));
  expect(parsed.ok && bare(parsed.value)).toEqual(bare(value));
  expect(checkLax(value).ok).toBe(true);
});

test.prop([laxValue])("writing does not depend on the order of keys, and is stable", (value) => {
  const written = encodeCanonical(value);
  expect(encodeCanonical(reversed(value))).toBe(written);
  const again = parseLax(written);
  expect(again.ok && encodeCanonical(again.value)).toBe(written);
  expect(utf8Decode(encodeCanonicalBytes(value))).toBe(written);
});

test.prop([strictValue])("the writer for lossless values agrees with the one for plain values", (value) => {
  expect(encodeCanonical([value, 1n])).toBe(`[${encodeCanonical(value)},1]`);
});

test.prop([strictValue.filter((value) => !/[\ud800-\uffff]/.test(JSON.stringify(value)))])(
  "below the surrogates the package alone says the same",
  (value) => {
    expect(encodeCanonical(value)).toBe(stringify(value));
  },
);

test.prop([text, text])("keys are in the order of their UTF-8 bytes", (a, b) => {
  const order = Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
  expect(compareCodePoints(a, b)).toBe(order);
  expect(compareCodePoints(b, a)).toBe(order === 0 ? 0 : -order);
});

test.prop([fc.string({ unit: "binary" })])("UTF-8 is that of the platform", (value) => {
  const bytes = utf8Encode(value);
  expect(Array.from(bytes)).toEqual(Array.from(Buffer.from(value)));
  expect(utf8Decode(bytes)).toBe(value);
});

test.prop([fc.uint8Array({ maxLength: 12 })])("bytes decode where the platform's strict decoder does", (bytes) => {
  let expected: string | undefined;
  try {
    expected = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    expected = undefined;
  }
  expect(utf8Decode(bytes)).toBe(expected);
});

/** An object as the members of an event are written. */
function membersOf(writer: BytesWriter, object: JsonObject, most: number): Uint8Array {
  const { keys, names } = orderOf(Object.keys(object));
  writer.begin(most);
  keys.forEach((name, at) => writer.member(names[at] ?? new Uint8Array(0), object[name]));
  writer.join(0);
  writer.close();
  return writer.view();
}

const inOneGo = new BytesWriter();
const bytesOf = (value: JsonValue): Uint8Array => utf8Encode(encodeCanonical(value));
const place = fc.constantFrom(1, 10, 100, 9_999_999, 10_000_000, 99_999_999, 100_000_000, 2 ** 31, 2 ** 32, 10 ** 15);
const nearPlace = fc.tuple(place, fc.integer({ min: -2, max: 2 })).map(([number, by]) => number + by);

test.prop([fc.array(fc.oneof(laxValue, nearPlace), { maxLength: 4 })])(
  "what is written straight into bytes is what is written as text",
  (values) => {
    const written = values.map((value) => membersOf(inOneGo, { value }, 1_000_000));
    const inAnotherOrder = { b: values, "\ue000": 1, a: values, "\u{1f600}": values };
    expect(membersOf(inOneGo, inAnotherOrder, 1_000_000)).toEqual(bytesOf(inAnotherOrder));
    values.forEach((value, at) => expect(written[at]).toEqual(bytesOf({ value })));
    for (const value of values) expect(encodeCanonicalBytes(value)).toEqual(bytesOf(value));
    expect(inOneGo.isFull).toBe(false);
  },
);

test.prop([
  fc.oneof(laxValue, nearPlace, fc.string({ unit: "grapheme" })),
  fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -200, max: 200 })),
])("a writer says that it is full where the text is longer than it may be", (value, by) => {
  const writer = new BytesWriter();
  const whole = bytesOf({ value });
  const most = Math.max(1, whole.length + by);
  const written = membersOf(writer, { value }, most);
  expect(writer.isFull).toBe(whole.length > most);
  expect(written.length).toBeLessThanOrEqual(most);
  if (!writer.isFull) expect(written).toEqual(whole);
});
