import { createHash, createPrivateKey, generateKeyPairSync } from "node:crypto";
import type { JsonWebKeyInput, KeyObject } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createManualClock, createMemoryNetwork } from "../../src/adapters/memory/index.js";
import { createNodeSigner, createNodeVerifier, nodeSha256 } from "../../src/adapters/node-crypto/index.js";
import { chooseNodeProvider } from "../../src/adapters/node-crypto/verifier.js";
import { KeyCache } from "../../src/adapters/shared/key-cache.js";
import { edgeVectors, publicKeyFromSeed, sha256, sign, useSha256, verify } from "../../src/crypto/index.js";
import { UsageError } from "../../src/errors.js";
import { createKeyRing } from "../../src/federation/index.js";
import { keysSuite } from "../../src/testing/index.js";
import { testCancel } from "../../src/testing/suites/check.js";
import { coreVerdicts, manySignatures, requests, wrongAtOnce, wrongOneByOne } from "../support/ed25519-cases.js";

const seed = Uint8Array.from({ length: 32 }, (_, at) => at * 7);

describe("a key ring that signs and verifies by OpenSSL", () => {
  const server = "one.example";
  const policySeed = new Uint8Array(32).fill(9);
  const policy = createNodeSigner({ keyId: "ed25519:policy_server", seed: policySeed });
  const keys = createKeyRing({
    server,
    own: { current: [createNodeSigner({ keyId: "ed25519:1", seed })] },
    verify: createNodeVerifier().verify,
    signPolicy: policy.sign,
    transport: createMemoryNetwork().transport(server),
    clock: createManualClock(1_700_000_000_000),
  });
  const suite = keysSuite({ create: () => ({ server, keys, policyKey: policy.key }) });
  for (const check of suite) it(check.name, check.run);
});

describe("verifying by OpenSSL", () => {
  const { verify: verifyAll, by } = createNodeVerifier({ maxKeys: 3 });

  it("is by OpenSSL here", () => expect(by).toBe("openssl"));

  it("gives libsodium's verdict on every recorded case, at once and one by one", async () => {
    expect(await wrongAtOnce(verifyAll)).toEqual([]);
    expect(await wrongOneByOne(verifyAll)).toEqual([]);
  });

  it("gives the core's verdict on valid and corrupted signatures, wrong lengths and noise", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { maxLength: 12 }), async (list) => {
        expect(await verifyAll(list)).toEqual(coreVerdicts(list));
      }),
      { numRuns: 60 },
    );
  });

  it("answers a few at once, and many later, in their order", async () => {
    const few = manySignatures(64);
    expect(verifyAll(few.map(({ request }) => request))).toEqual(few.map(({ valid }) => valid));
    const many = manySignatures(300);
    const answer = verifyAll(many.map(({ request }) => request));
    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toEqual(many.map(({ valid }) => valid));
  });

  it("lets others have their turn during a long call, and stops when it is cancelled", async () => {
    const cancel = testCancel();
    const many = manySignatures(3000).map(({ request }) => request);
    const timer = setTimeout(() => cancel.fire(), 1);
    const answer = Promise.resolve(verifyAll(many, cancel));
    await expect(answer).rejects.toMatchObject({ name: "CancelledError" });
    clearTimeout(timer);
    expect(cancel.listeners()).toBe(0);
    expect(() => verifyAll(many, cancel)).toThrow("cancelled");
  });

  it("refuses a number of keys that is none", () => {
    for (const maxKeys of [0, -1, 1.5, Number.NaN]) expect(() => createNodeVerifier({ maxKeys })).toThrow(UsageError);
  });
});

describe("choosing between OpenSSL and the core", () => {
  const edges = edgeVectors();
  const wrong = (provider: ReturnType<typeof chooseNodeProvider>["provider"]): readonly string[] =>
    edges.flatMap((v) => (provider.verify(v.signature, v.message, v.publicKey) === v.valid ? [] : [v.name]));

  it.each([
    ["accepts all", () => true],
    ["refuses all", () => false],
    [
      "throws",
      () => {
        throw new Error("no Ed25519 here");
      },
    ],
  ])("takes the core where the platform %s", (_, verifyLike) => {
    const { provider, by } = chooseNodeProvider({ verify: verifyLike });
    expect(by).toBe("core");
    expect(wrong(provider)).toEqual([]);
  });

  it("asks the core where a platform that is sound throws later", () => {
    let sound = true;
    const { provider, by } = chooseNodeProvider({
      verify: (signature, message, key) => {
        if (!sound) throw new Error("out of memory");
        return verify(signature, message, key);
      },
    });
    sound = false;
    expect(by).toBe("openssl");
    expect(wrong(provider)).toEqual([]);
  });
});

describe("keeping keys", () => {
  const bytes = (at: number): Uint8Array =>
    Uint8Array.from({ length: 32 }, (_, place) => (at >> (8 * (place % 4))) & 255);

  it("makes each key once, and forgets the one that was not asked for longest", () => {
    const cache = new KeyCache<number>(3);
    const made: number[] = [];
    const get = (at: number): void => {
      cache.get(bytes(at), () => made.push(at));
    };
    for (const at of [1, 2, 3, 1, 4, 1, 3, 4, 2]) get(at);
    expect(made).toEqual([1, 2, 3, 4, 2]);
  });

  it("keeps of ten thousand keys that come once the last ones alone", async () => {
    vi.resetModules();
    const made: WeakRef<object>[] = [];
    vi.doMock("node:crypto", async (original) => {
      const real = await original<typeof import("node:crypto")>();
      const createPublicKey = (key: JsonWebKeyInput): KeyObject => {
        const object = real.createPublicKey(key);
        made.push(new WeakRef(object));
        return object;
      };
      // What is measured is what is kept: a verdict on each would take a second.
      return { ...real, createPublicKey, verify: () => false };
    });
    const { openssl } = await import("../../src/adapters/node-crypto/verifier.js");
    vi.doUnmock("node:crypto");
    const platform = openssl(new KeyCache(100));
    for (let at = 0; at < 10_000; at++) platform.verify(new Uint8Array(64), new Uint8Array(0), bytes(at));
    // A WeakRef holds what it refers to until the turn in which it was made is over.
    await new Promise((resolve) => setTimeout(resolve, 0));
    collectGarbage();
    expect(made).toHaveLength(10_000);
    expect(made.filter((reference) => reference.deref() !== undefined).length).toBeLessThanOrEqual(101);
  });
});

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

describe("signing by OpenSSL", () => {
  it("signs as the core does, with a seed and with a key object", () => {
    const bySeed = createNodeSigner({ keyId: "ed25519:a", seed });
    const x = Buffer.from(publicKeyFromSeed(seed)).toString("base64url");
    const jwk = { kty: "OKP", crv: "Ed25519", d: Buffer.from(seed).toString("base64url"), x };
    const byObject = createNodeSigner({
      keyId: "ed25519:a",
      privateKey: createPrivateKey({ key: jwk, format: "jwk" }),
    });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (message) => {
        expect(bySeed.sign(message)).toEqual(sign(message, seed));
        expect(byObject.sign(message)).toEqual(sign(message, seed));
      }),
      { numRuns: 30 },
    );
    expect(bySeed.key).toEqual(publicKeyFromSeed(seed));
    expect(byObject.key).toEqual(publicKeyFromSeed(seed));
  });

  it("does not follow a seed that its owner clears", () => {
    const own = seed.slice();
    const signer = createNodeSigner({ keyId: "ed25519:a", seed: own });
    own.fill(0);
    expect(verify(signer.sign(seed), seed, publicKeyFromSeed(seed))).toBe(true);
  });

  it("refuses what is no private Ed25519 key", () => {
    const { publicKey } = generateKeyPairSync("ed25519");
    const { privateKey: other } = generateKeyPairSync("ed448");
    for (const privateKey of [publicKey, other, {}]) {
      expect(() => createNodeSigner({ keyId: "ed25519:a", privateKey })).toThrow(UsageError);
    }
    expect(() => createNodeSigner({ keyId: "ed25519:a", seed: seed.slice(1) })).toThrow(UsageError);
  });
});

describe("hashing by OpenSSL", () => {
  afterEach(() => useSha256(undefined));

  it("is SHA-256 for `useSha256`, in an array of its own", () => {
    useSha256(nodeSha256);
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: "binary" })), (data) => {
        const hash = sha256(data);
        expect(Buffer.from(hash).toString("hex")).toBe(createHash("sha256").update(data).digest("hex"));
        expect(hash.buffer.byteLength).toBe(32);
      }),
    );
  });

  it("is the same where OpenSSL is not called in one go", async () => {
    vi.resetModules();
    vi.doMock("node:crypto", async (original) => ({ ...(await original<object>()), hash: undefined }));
    const { nodeSha256: other } = await import("../../src/adapters/node-crypto/hash.js");
    vi.doUnmock("node:crypto");
    expect(other).not.toBe(nodeSha256);
    expect(() => useSha256(other)).not.toThrow();
  });
});
