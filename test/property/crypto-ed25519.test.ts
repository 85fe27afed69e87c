import fc from "fast-check";
import { verify as nobleVerify } from "@noble/ed25519";
import { createHash, createPublicKey, verify as nodeVerify } from "node:crypto";
import { expect, it } from "vitest";
import {
  decodeBase64,
  encodeUnpadded,
  publicKeyFromSeed,
  rememberingProvider,
  sha256,
  sign,
  verify,
} from "../../src/crypto/index.js";
import { sha1Hex } from "../../src/crypto/sha1.js";

const exactly = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const nodeSays = (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean => {
  const key = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), publicKey]);
  return nodeVerify(null, message, createPublicKey({ key, format: "der", type: "spki" }), signature);
};

it("base64 goes there and back in both alphabets, padded or not, as Buffer writes it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(encodeUnpadded(bytes, "url-safe")).toBe(Buffer.from(bytes).toString("base64url"));
      expect(decodeBase64(encodeUnpadded(bytes, "url-safe"))).toEqual(bytes);
      expect(decodeBase64(Buffer.from(bytes).toString("base64"))).toEqual(bytes);
    }),
  );
});

it("decoding any text gives bytes that encode to the same characters, or undefined", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."AZaz09+/-_=\n") }), (text) => {
      const bytes = decodeBase64(text);
      if (bytes === undefined) return;
      const data = text.replace(/=*$/, "").replace(/-/g, "+").replace(/_/g, "/");
      expect(encodeUnpadded(bytes).slice(0, -1)).toBe(data.slice(0, -1));
      expect(encodeUnpadded(bytes).length).toBe(data.length);
    }),
    { numRuns: 1000 },
  );
});

it("hashes as OpenSSL does", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(Buffer.from(sha256(bytes)).toString("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
      expect(sha1Hex(bytes)).toBe(createHash("sha1").update(bytes).digest("hex"));
    }),
  );
});

it("verifies what it signs, and agrees with OpenSSL after one changed bit", () => {
  const remembering = rememberingProvider(2);
  fc.assert(
    fc.property(exactly(32), fc.uint8Array({ maxLength: 100 }), fc.nat(511), (seed, message, bit) => {
      const publicKey = publicKeyFromSeed(seed);
      const signature = sign(message, seed);
      expect(verify(signature, message, publicKey)).toBe(true);
      expect(remembering.verify(signature, message, publicKey)).toBe(true);
      const changed = signature.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(verify(changed, message, publicKey)).toBe(false);
      expect(remembering.verify(changed, message, publicKey)).toBe(false);
      expect(nodeSays(changed, message, publicKey)).toBe(false);
    }),
    { numRuns: 60 },
  );
});

it("never throws on any bytes", () => {
  const any = fc.uint8Array({ maxLength: 130 });
  fc.assert(
    fc.property(fc.oneof(exactly(64), any), any, fc.oneof(exactly(32), any), (signature, message, key) => {
      expect(verify(signature, message, key)).toBe(false);
    }),
    { numRuns: 300 },
  );
  expect(() => nobleVerify(new Uint8Array(1), new Uint8Array(0), new Uint8Array(32))).toThrow();
});
