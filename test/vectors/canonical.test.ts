import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { encodeCanonical, encodeCanonicalBytes, parseLax, parseStrict } from "../../src/json/index.js";
import type { JsonValue } from "../../src/json/index.js";

function read(path: string): string {
  return readFileSync(new URL(`../../fixtures/${path}`, import.meta.url), "utf8");
}

function strict(text: string): JsonValue {
  const parsed = parseStrict(text);
  if (!parsed.ok) throw new Error(parsed.error.reason);
  return parsed.value;
}

function lax(text: string): JsonValue {
  const parsed = parseLax(text);
  if (!parsed.ok) throw new Error(parsed.error.reason);
  return parsed.value;
}

describe("the examples of the spec (appendices, Canonical JSON)", () => {
  const john =
    '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":' +
    '[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}';

  it.each([
    ["{}", "{}"],
    ['{\n    "one": 1,\n    "two": "Two"\n}', '{"one":1,"two":"Two"}'],
    ['{\n    "b": "2",\n    "a": "1"\n}', '{"a":"1","b":"2"}'],
    ['{"b":"2","a":"1"}', '{"a":"1","b":"2"}'],
    [
      `{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe",
        "three_pids": [{"medium": "email", "address": "john.doe@example.org"},
        {"medium": "msisdn", "address": "123456789"}]}}}`,
      john,
    ],
    ['{\n    "a": "日本語"\n}', '{"a":"日本語"}'],
    ['{\n    "本": 2,\n    "日": 1\n}', '{"日":1,"本":2}'],
    ['{\n    "a": "\\u65E5"\n}', '{"a":"日"}'],
    ['{\n    "a": null\n}', '{"a":null}'],
  ])("%j becomes %j", (text, canonical) => {
    expect(encodeCanonical(strict(text))).toBe(canonical);
    expect(encodeCanonical(lax(text))).toBe(canonical);
  });

  it("maps -0 and 1e10 in the encoder, while the strict parser drops their source", () => {
    expect(encodeCanonical({ a: -0, b: 1e10 })).toBe('{"a":0,"b":10000000000}');
    expect(parseStrict('{"a": -0, "b": 1}')).toMatchObject({ ok: false, error: { code: "bad_json" } });
    expect(parseStrict('{"a": 0, "b": 1e10}')).toMatchObject({ ok: false, error: { code: "bad_json" } });
  });
});

interface Case {
  readonly op: string;
  readonly value?: JsonValue;
  readonly raw?: string;
  readonly expect: { readonly ok?: unknown; readonly error?: unknown };
}

describe("vectors that Synapse and ruma agree on", () => {
  const lines = read("vectors/plain.jsonl")
    .split("\n")
    .filter((line) => line !== "");
  const cases = lines.map((line) => JSON.parse(line) as Case).filter((one) => one.op === "canonical");

  it("are there", () => expect(cases.length).toBeGreaterThan(20));

  it.each(cases.map((one) => [one] as const))("%j", (one) => {
    const parsed = parseStrict(one.raw ?? JSON.stringify(one.value));
    if (one.expect.error !== undefined) {
      expect(parsed.ok).toBe(false);
      return;
    }
    expect(parsed.ok && encodeCanonical(parsed.value)).toBe(one.expect.ok);
    if (one.value !== undefined) expect(encodeCanonical(one.value)).toBe(one.expect.ok);
  });
});

describe("real rooms", () => {
  const rooms = readdirSync(new URL("../../fixtures/rooms/", import.meta.url)).filter((name) => name.endsWith(".json"));

  it.each(rooms)("%s survives parsing and writing", (name) => {
    const text = read(`rooms/${name}`);
    const native = JSON.parse(text) as JsonValue;
    expect(lax(text)).toEqual(native);
    const canonical = encodeCanonical(native);
    expect(JSON.parse(canonical)).toEqual(native);
    expect(encodeCanonical(strict(canonical))).toBe(canonical);
    expect(new TextDecoder().decode(encodeCanonicalBytes(native))).toBe(canonical);
  });

  const samples = [1, 2, 3, 4, 5].flatMap((version) => {
    const room = JSON.parse(read(`rooms/synapse-v${version}.json`)) as { lax_json: [string, string | null, string][] };
    // Without an id, the server itself refused the event and no text was recorded.
    const recorded = room.lax_json.filter(([, id]) => id !== null);
    return recorded.map(([label, id, text]) => [`v${version}`, label, id, text] as const);
  });

  it("hold floats and large integers", () => expect(samples.length).toBe(10));

  // Python wrote these texts without spaces and in no order of keys: sorted, nothing else may change.
  it.each(samples)("%s: %s in %s is written with the very tokens that Python wrote", (_version, _label, _id, text) => {
    expect(parseStrict(text)).toMatchObject({ ok: false, error: { code: "bad_json" } });
    const canonical = encodeCanonical(lax(text));
    expect(tokens(canonical)).toEqual(tokens(text));
    expect(encodeCanonical(lax(canonical))).toBe(canonical);
  });
});

/** The tokens of compact JSON text, sorted: what is independent of the order of keys. */
function tokens(text: string): string[] {
  return (text.match(/"(?:[^"\\]|\\.)*"|[^\s",:[\]{}]+|[,:[\]{}]/g) ?? []).sort();
}
