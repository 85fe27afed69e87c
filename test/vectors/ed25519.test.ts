import { createPrivateKey, createPublicKey, sign as nodeSign, verify as nodeVerify } from "node:crypto";
import { readFileSync } from "node:fs";
import { verify as nobleVerify, hashes } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { describe, expect, it } from "vitest";
import {
  chooseProvider,
  coreProvider,
  decodeBase64,
  edgeVectors,
  encodeUnpadded,
  publicKeyFromSeed,
  rememberingProvider,
  screen,
  screened,
  selfTest,
  sign,
  verify,
  type Ed25519Provider,
} from "../../src/crypto/index.js";

interface Signing {
  readonly name: string;
  readonly seed: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
}
interface Case {
  readonly group: string;
  readonly name: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
  readonly expected: boolean;
}
const read = <T>(file: string): T =>
  JSON.parse(readFileSync(new URL(`../../fixtures/${file}`, import.meta.url), "utf8")) as T;
const { signing, cases } = read<{ signing: readonly Signing[]; cases: readonly Case[] }>("ed25519.json");
const { seed } = read<{ seed: { text: string; canonical: string; publicKey: string } }>("base64.json");
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (value: Uint8Array): string => Buffer.from(value).toString("hex");
const SPKI = "302a300506032b6570032100";

const platform: Ed25519Provider = {
  verify: (signature, message, publicKey) => {
    const der = Buffer.concat([Buffer.from(SPKI, "hex"), publicKey]);
    return nodeVerify(null, message, createPublicKey({ key: der, format: "der", type: "spki" }), signature);
  },
};
/** Every provider's verdicts on the cases, as the names of those it gets wrong. */
const wrong = (provider: Ed25519Provider): readonly string[] =>
  cases
    .filter((c) => provider.verify(bytes(c.signature), bytes(c.message), bytes(c.publicKey)) !== c.expected)
    .map((c) => `${c.group}: ${c.name}`);

describe("signing vectors", () => {
  it.each(signing)("$name", ({ seed, publicKey, message, signature }) => {
    expect(hex(publicKeyFromSeed(bytes(seed)))).toBe(publicKey);
    expect(hex(sign(bytes(message), bytes(seed)))).toBe(signature);
    expect(verify(bytes(signature), bytes(message), bytes(publicKey))).toBe(true);
    expect(verify(bytes(signature), bytes(`${message}00`), bytes(publicKey))).toBe(false);
  });

  it("derives the key of the spec's seed, whose base64 is not canonical", () => {
    const decoded = decodeBase64(seed.text) ?? new Uint8Array(0);
    expect(encodeUnpadded(publicKeyFromSeed(decoded))).toBe(seed.publicKey);
  });

  it("signs as node:crypto does", () => {
    for (const { seed, message } of signing) {
      const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes(seed)]);
      const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
      expect(hex(sign(bytes(message), bytes(seed)))).toBe(nodeSign(null, bytes(message), key).toString("hex"));
    }
  });
});

describe("libsodium's verdicts", () => {
  it("has both verdicts among the mixed-order cases", () => {
    const mixed = cases.filter(({ group }) => group === "mixed-order");
    expect(mixed.filter(({ expected }) => expected).length).toBe(42);
    expect(mixed.filter(({ expected }) => !expected).length).toBe(63);
  });
  it("are the core's", () => expect(wrong(coreProvider)).toEqual([]));
  it("are the remembering provider's, before and after it makes tables", () => {
    const provider = rememberingProvider(4);
    for (let round = 0; round < 4; round++) expect(wrong(provider)).toEqual([]);
  });
  it("are node:crypto's behind the screen", () => expect(wrong(screened(platform))).toEqual([]));
  it("are not noble's own, strict or not", () => {
    hashes.sha512 = sha512;
    for (const zip215 of [true, false]) {
      const names = wrong({ verify: (s, m, k) => nobleVerify(s, m, k, { zip215 }) });
      expect(names).toContain("mixed-order: A torsion 1, R torsion 0, only the cofactored equation holds");
    }
    hashes.sha512 = undefined;
  });
  it("refuse in the screen all that is small, malleable or not canonical", () => {
    const groups = new Set(["small-order A", "small-order R", "non-canonical"]);
    for (const c of cases.filter(({ group }) => groups.has(group))) {
      expect(screen(bytes(c.signature), bytes(c.publicKey)), c.name).toBe("refuse");
    }
  });
});

describe("choosing a provider", () => {
  it("has edge vectors that agree with the fixture", () => {
    for (const v of edgeVectors()) {
      const same = cases.find(
        (c) => c.signature === hex(v.signature) && c.publicKey === hex(v.publicKey) && c.message === hex(v.message),
      );
      expect(same?.expected, v.name).toBe(v.valid);
    }
  });
  it("takes node:crypto", () => {
    const chosen = chooseProvider(platform);
    expect(chosen).not.toBe(coreProvider);
    expect(wrong(chosen)).toEqual([]);
  });
  it.each<[string, Ed25519Provider["verify"]]>([
    ["accepts all", () => true],
    ["refuses all", () => false],
    [
      "throws",
      () => {
        throw new Error("no Ed25519 here");
      },
    ],
    [
      "is cofactored",
      (s, m, k) => {
        hashes.sha512 = sha512;
        const verdict = nobleVerify(s, m, k, { zip215: false });
        hashes.sha512 = undefined;
        return verdict;
      },
    ],
  ])("falls back to the core when the platform %s", (_name, verifyLike) => {
    expect(selfTest(screened({ verify: verifyLike }))).toBe(false);
    expect(chooseProvider({ verify: verifyLike })).toBe(coreProvider);
  });
  it("passes the core and the remembering provider, not the bare platform", () => {
    expect(selfTest(coreProvider)).toBe(true);
    expect(selfTest(rememberingProvider())).toBe(true);
    expect(selfTest(platform)).toBe(false);
  });
});
