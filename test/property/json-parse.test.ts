import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { checkStrict, encodeCanonical, parseLax, parseStrict } from "../../src/json/index.js";

/** Text that is JSON, nearly JSON, or made of its pieces. */
const piece = fc.constantFrom(
  ...Array.from('{}[],:"\\ \n\t-+.eE0123456789tfnu/\ufeff😀'),
  "\ud83d",
  "\ude00",
  "null",
  "true",
  "false",
  '"a"',
  '"__proto__":',
  '{"a":',
  "1.5",
  "1.0",
  "1234567890123456",
  "[ -0",
  "-0",
  "1e5",
  "9007199254740993",
  "\\u00e9",
  "\\ud800",
);
const soup = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
const mutated = fc.tuple(fc.json(), fc.nat(), piece).map(([json, at, inserted]) => {
  const index = at % (json.length + 1);
  return json.slice(0, index) + inserted + json.slice(index);
});
const source = fc.oneof(fc.json(), soup, mutated);

function native(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

const runs = { numRuns: 2000 };

test.prop([source], runs)("the strict parser accepts only JSON, and reads it as JSON.parse does", (text) => {
  const parsed = parseStrict(text);
  const expected = native(text);
  if (parsed.ok) expect(expected).toEqual({ value: parsed.value });
  else expect(parsed.error.code).toBe("bad_json");
});

test.prop([source], runs)("the lax parser refuses only bad JSON, lone surrogates and infinities", (text) => {
  const parsed = parseLax(text);
  const expected = native(text);
  if (parsed.ok) expect(expected).not.toBeUndefined();
  else if (expected !== undefined) expect(parsed.error.reason).toMatch(/lone surrogate|range of doubles/);
});

test.prop([source], runs)("what the strict parser accepts, the lax one and the check accept too", (text) => {
  const parsed = parseStrict(text);
  if (!parsed.ok) return fc.pre(false);
  expect(parseLax(text)).toEqual(parsed);
  expect(checkStrict(parsed.value)).toEqual(parsed);
  expect(() => encodeCanonical(parsed.value)).not.toThrow();
});

test.prop([fc.bigInt()])("integers keep their value whatever their size", (value) => {
  const parsed = parseLax(`[${value}]`);
  expect(parsed.ok && encodeCanonical(parsed.value)).toBe(`[${value}]`);
  const safe = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
  expect(parseStrict(String(value)).ok).toBe(safe);
});

test.prop([source, fc.constantFrom(parseStrict, parseLax)], { numRuns: 20_000 })(
  "the platform's parser is used only where it reads what the library's own reads",
  (text, parse) => {
    // Text that is longer than what may be nested is left to the library's own.
    const own = parse(`${text} `, { maxDepth: text.length });
    const usual = parse(text);
    expect(usual.ok).toBe(own.ok);
    if (usual.ok && own.ok) {
      expect(usual.value).toStrictEqual(own.value);
      expect(encodeCanonical(usual.value)).toBe(encodeCanonical(own.value));
    } else if (!usual.ok && !own.ok) expect(usual.error.code).toBe(own.error.code);
  },
);
