/** The cryptographic test vectors of the appendices, and what follows from them. */
import { createHash, createPrivateKey, createPublicKey, sign as nodeSign, verify as nodeVerify } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeBase64, encodeUnpadded, publicKeyFromSeed } from "../../src/crypto/index.js";
import {
  checkSignatures,
  contentHash,
  contentHashMatches,
  referenceHash,
  redact,
  signedBytes,
  signEvent,
  signJson,
} from "../../src/event/index.js";
import type { JsonObject } from "../../src/json/value.js";
import { ALL, changed, frozen, rulesOf } from "../support/event.js";

interface Signed {
  readonly input: JsonObject;
  readonly signed: JsonObject & { readonly signatures: Readonly<Record<string, Readonly<Record<string, string>>>> };
}
const fixture = JSON.parse(readFileSync(new URL("../../fixtures/appendix.json", import.meta.url), "utf8")) as {
  readonly seed: string;
  readonly public_key: string;
  readonly server: string;
  readonly key_id: string;
  readonly json_signing: readonly Signed[];
  readonly event_signing: readonly (Signed & { readonly name: string })[];
  readonly derived: Readonly<Record<string, string>>;
};

const bytes = (text: string): Uint8Array => decodeBase64(text) ?? new Uint8Array(0);
const key = { server: fixture.server, keyId: fixture.key_id, seed: bytes(fixture.seed) };
const keys = () => ({ key: bytes(fixture.public_key) });
const [minimal, redactable] = fixture.event_signing;
if (minimal === undefined || redactable === undefined) throw new Error("the fixture is incomplete");

/** The spec's vectors hold where redaction keeps `origin`. */
const keepOrigin = ALL.filter((id) => id !== "11" && id !== "12");

describe("appendix: JSON signing [cap:signing]", () => {
  it("derives the public key", () => {
    expect(encodeUnpadded(publicKeyFromSeed(key.seed))).toBe(fixture.public_key);
  });
  it.each(fixture.json_signing)("signs $input", ({ input, signed }) => {
    expect(signJson(frozen(input), key)).toEqual(signed);
  });
  it.each(fixture.json_signing)("signs the same with `unsigned` and a signature there already", ({ input, signed }) => {
    const before = frozen(changed(input, { unsigned: { age: 1 }, signatures: { other: { "ed25519:9": "abc" } } }));
    expect(signJson(before, key)).toEqual({
      ...signed,
      unsigned: { age: 1 },
      signatures: { ...signed.signatures, other: { "ed25519:9": "abc" } },
    });
  });
});

for (const id of keepOrigin) {
  describe(`appendix: event signing in version ${id} [cap:signing v:${id}]`, () => {
    const rules = rulesOf(id);
    it.each(fixture.event_signing)("signs the $name event", ({ input, signed }) => {
      expect(signEvent(rules, frozen(input), key)).toEqual(signed);
    });
    it(`hashes the content [cap:content-hash v:${id}]`, () => {
      for (const { input, signed } of [minimal, redactable]) {
        expect({ sha256: encodeUnpadded(contentHash(input)) }).toEqual(signed["hashes"]);
        expect(contentHashMatches(signed)).toBe(true);
      }
    });
    it(`verifies, and goes on verifying when redacted [cap:signature-check v:${id}]`, () => {
      for (const json of [redactable.signed, redact(rules, redactable.signed)]) {
        const event = {
          type: "m.room.message",
          sender: "@u:domain",
          content: {},
          eventId: "$0:domain",
          originServerTs: 1000000,
          json,
        };
        expect(checkSignatures(rules, event, keys).status).toBe("verified");
      }
      expect(contentHashMatches(redact(rules, redactable.signed))).toBe(false);
    });
    it(`computes the reference hash of the minimal event [cap:event-id v:${id}]`, () => {
      const hash = encodeUnpadded(referenceHash(rules, minimal.signed), "url-safe");
      expect(hash).toBe(fixture.derived["minimal_reference_hash_v1"]);
    });
  });
}

for (const id of ["11", "12"]) {
  describe(`the minimal event where redaction drops \`origin\`, version ${id}`, () => {
    const rules = rulesOf(id);
    it(`signs it [cap:signing v:${id}]`, () => {
      const signature = fixture.derived["minimal_signature_v11"];
      expect(signEvent(rules, frozen(minimal.input), key)).toEqual({
        ...minimal.signed,
        signatures: { domain: { "ed25519:1": signature } },
      });
    });
    it(`computes its reference hash [cap:event-id v:${id}]`, () => {
      const hash = encodeUnpadded(referenceHash(rules, minimal.signed), "url-safe");
      expect(hash).toBe(fixture.derived["minimal_reference_hash_v11"]);
    });
  });
}

describe("the derived values, by hand and by another Ed25519", () => {
  const covered = (origin: string): string =>
    '{"auth_events":[],"content":{},"depth":3,"hashes":{"sha256":"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},' +
    origin +
    '"origin_server_ts":1000000,"prev_events":[],"room_id":"!x:domain","sender":"@a:domain","type":"X"}';
  const der = (prefix: string, raw: Uint8Array): Buffer => Buffer.concat([Buffer.from(prefix, "hex"), raw]);
  const secret = createPrivateKey({
    key: der("302e020100300506032b657004220420", key.seed),
    format: "der",
    type: "pkcs8",
  });
  const open = createPublicKey({ key: der("302a300506032b6570032100", keys().key), format: "der", type: "spki" });

  it.each([
    ['"origin":"domain",', minimal.signed.signatures["domain"]?.["ed25519:1"], "minimal_reference_hash_v1"],
    ["", fixture.derived["minimal_signature_v11"], "minimal_reference_hash_v11"],
  ])("with %j", (origin, signature = "", hashName) => {
    const message = Buffer.from(covered(origin));
    expect(encodeUnpadded(nodeSign(null, message, secret))).toBe(signature);
    expect(nodeVerify(null, message, open, bytes(signature))).toBe(true);
    expect(createHash("sha256").update(message).digest("base64url")).toBe(fixture.derived[hashName]);
  });
  it("the library signs those very bytes", () => {
    for (const [id, origin] of [
      ["10", '"origin":"domain",'],
      ["11", ""],
    ] as const) {
      const signed = new TextDecoder().decode(signedBytes(redact(rulesOf(id), minimal.signed)));
      expect(signed).toBe(covered(origin));
    }
  });
});
