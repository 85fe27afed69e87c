import { readFileSync } from "node:fs";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { decodeBase64, encodeUnpadded, publicKeyFromSeed, sha256, sign, verify } from "../../src/crypto/index.js";
import { rememberingProvider } from "../../src/crypto/index.js";
import { isUnpadded } from "../../src/crypto/base64.js";
import { sha1Hex } from "../../src/crypto/sha1.js";
import { UsageError } from "../../src/errors.js";

const fixture = JSON.parse(readFileSync(new URL("../../fixtures/base64.json", import.meta.url), "utf8")) as {
  encoded: [string, string][];
  decoded: { text: string; hex: string }[];
  refused: string[];
  seed: { text: string; canonical: string };
};
const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const hex = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString("hex");

describe("unpadded base64 [cap:base64]", () => {
  it.each(fixture.encoded)("encodes %j as %j and back", (plain, text) => {
    expect(encodeUnpadded(ascii(plain))).toBe(text);
    expect(decodeBase64(text)).toEqual(ascii(plain));
  });
  it.each(fixture.decoded)("decodes $text", ({ text, hex: expected }) => {
    expect(hex(decodeBase64(text))).toBe(expected);
  });
  it.each(fixture.refused)("refuses %j", (text) => expect(decodeBase64(text)).toBeUndefined());
  it("reads the spec's seed, and writes it canonically", () => {
    const seed = decodeBase64(fixture.seed.text) ?? new Uint8Array(0);
    expect(seed.length).toBe(32);
    expect(encodeUnpadded(seed)).toBe(fixture.seed.canonical);
  });
  test.prop([fc.uint8Array({ maxLength: 70 }), fc.nat(), fc.nat(127)])(
    "tells its text from all others",
    (bytes, at, code) => {
      const text = encodeUnpadded(bytes);
      expect(isUnpadded(text, bytes)).toBe(true);
      const place = at % (text.length + 1);
      const changed = `${text.slice(0, place)}${String.fromCharCode(code)}${text.slice(place + 1)}`;
      expect(isUnpadded(changed, bytes)).toBe(changed === text);
      expect(isUnpadded(`${text}=`, bytes)).toBe(false);
      if (bytes.length > 0) expect(isUnpadded(text.slice(1), bytes)).toBe(false);
    },
  );
  it("writes the URL-safe alphabet", () => {
    expect(encodeUnpadded(Uint8Array.of(0xfb, 0xff, 0xbf), "url-safe")).toBe("-_-_");
    expect(encodeUnpadded(Uint8Array.of(0xfb, 0xff, 0xbf))).toBe("+/+/");
  });
});

describe("hashes", () => {
  it("SHA-256 and SHA-1 of abc (FIPS 180)", () => {
    expect(hex(sha256(ascii("abc")))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(sha1Hex(ascii("abc"))).toBe("a9993e364706816aba3e25717850c26c9cd0d89d");
  });
});

describe("lengths [cap:base64]", () => {
  const seed = new Uint8Array(32).fill(1);
  const message = ascii("m");
  it.each([0, 31, 33, 64])("a seed of %i bytes is misuse", (length) => {
    expect(() => sign(message, new Uint8Array(length))).toThrow(UsageError);
    expect(() => publicKeyFromSeed(new Uint8Array(length))).toThrow(UsageError);
  });
  it.each([0, 32, 63, 65, 128])("a signature of %i bytes does not hold", (length) => {
    const long = new Uint8Array(128);
    long.set(sign(message, seed));
    expect(verify(long.subarray(0, length), message, publicKeyFromSeed(seed))).toBe(false);
  });
  it.each([0, 31, 33])("a key of %i bytes verifies nothing", (length) => {
    const long = new Uint8Array(33);
    long.set(publicKeyFromSeed(seed));
    expect(verify(sign(message, seed), message, long.subarray(0, length))).toBe(false);
  });
  it.each([0, -1, 1.5, Number.NaN])("a memory of %d keys is misuse", (size) => {
    expect(() => rememberingProvider(size)).toThrow(UsageError);
  });
});
