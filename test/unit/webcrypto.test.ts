import { webcrypto } from "node:crypto";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createManualClock, createMemoryNetwork } from "../../src/adapters/memory/index.js";
import { createWebCryptoSigner, createWebCryptoVerifier } from "../../src/adapters/webcrypto/index.js";
import type { SubtleLike } from "../../src/adapters/webcrypto/index.js";
import { edgeVectors, publicKeyFromSeed, sign, verify } from "../../src/crypto/index.js";
import { UsageError } from "../../src/errors.js";
import { createKeyRing } from "../../src/federation/index.js";
import { keysSuite } from "../../src/testing/index.js";
import { testCancel } from "../../src/testing/suites/check.js";
import { coreVerdicts, manySignatures, requests, wrongAtOnce, wrongOneByOne } from "../support/ed25519-cases.js";

const seed = Uint8Array.from({ length: 32 }, (_, at) => at * 5);
const platform = webcrypto.subtle;
const real: SubtleLike = platform;

async function newPair(): Promise<webcrypto.CryptoKeyPair> {
  const made = await platform.generateKey("Ed25519", false, ["sign", "verify"]);
  if ("privateKey" in made) return made;
  throw new Error("no pair of keys was made");
}

/** The platform's, with some of it replaced. */
function changed(other: Partial<SubtleLike>): SubtleLike {
  return {
    importKey: (...rest) => real.importKey(...rest),
    sign: (algorithm, key, data) => real.sign(algorithm, key, data),
    verify: (algorithm, key, signature, data) => real.verify(algorithm, key, signature, data),
    ...other,
  };
}

const without = (): Promise<never> => Promise.reject(new Error("NotSupportedError"));
const nothing: SubtleLike = { importKey: without, sign: without, verify: without };

/** Accepts what only the equation with the cofactor accepts, as some platforms do, and is right otherwise. */
const cofactored: SubtleLike["verify"] = async (algorithm, key, signature, data) => {
  const lenient = edgeVectors().find(({ name }) => name === "mixed key, only the cofactored equation holds");
  if (lenient?.signature.join() === signature.join()) return true;
  return real.verify(algorithm, key, signature, data);
};

describe.each([
  ["by the platform", undefined],
  ["by the core, where the platform is without Ed25519", nothing],
])("a key ring that signs and verifies %s", (_, subtle) => {
  const server = "one.example";
  const options = subtle === undefined ? {} : { subtle };
  const create = async () => {
    const policy = await createWebCryptoSigner({ keyId: "ed25519:policy", seed: new Uint8Array(32).fill(8) }, options);
    const keys = createKeyRing({
      server,
      own: { current: [await createWebCryptoSigner({ keyId: "ed25519:1", seed }, options)] },
      verify: (await createWebCryptoVerifier(options)).verify,
      signPolicy: policy.sign,
      transport: createMemoryNetwork().transport(server),
      clock: createManualClock(1_700_000_000_000),
    });
    return { server, keys, policyKey: policy.key };
  };
  for (const check of keysSuite({ create })) it(check.name, check.run);
});

describe("verifying by WebCrypto", async () => {
  const { verify: verifyAll, by } = await createWebCryptoVerifier({ maxKeys: 3 });

  it("is by the platform here", () => expect(by).toBe("webcrypto"));

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

  it("answers in the order of the requests, whoever asks at the same time", async () => {
    const lists = Array.from({ length: 8 }, (_, at) => manySignatures(1 + at * 37, 1 + (at % 5)));
    const answers = await Promise.all(lists.map((list) => verifyAll(list.map(({ request }) => request))));
    expect(answers).toEqual(lists.map((list) => list.map(({ valid }) => valid)));
  });

  it("keeps to the order where the platform does not", async () => {
    const slow = changed({
      verify: async (algorithm, key, signature, data) => {
        await new Promise((resolve) => setTimeout(resolve, (signature[0] ?? 0) % 7));
        return real.verify(algorithm, key, signature, data);
      },
    });
    const { verify: verifySlowly } = await createWebCryptoVerifier({ subtle: slow });
    const list = manySignatures(100);
    expect(await verifySlowly(list.map(({ request }) => request))).toEqual(list.map(({ valid }) => valid));
  });

  it("stops when it is cancelled", async () => {
    const cancel = testCancel();
    let asked = 0;
    const counting = changed({
      verify: (algorithm, key, signature, data) => {
        if (++asked === 100) cancel.fire();
        return real.verify(algorithm, key, signature, data);
      },
    });
    const { verify: verifyCounted } = await createWebCryptoVerifier({ subtle: counting });
    asked = 0;
    const list = manySignatures(1000).map(({ request }) => request);
    await expect(verifyCounted(list, cancel)).rejects.toMatchObject({ name: "CancelledError" });
    expect(asked).toBeLessThan(200);
    expect(cancel.listeners()).toBe(0);
    const before = asked;
    await expect(verifyCounted(list.slice(0, 1), cancel)).rejects.toMatchObject({ name: "CancelledError" });
    expect(asked).toBe(before);
  });

  it("imports a key once while it is kept, and of ten thousand that come once keeps the last ones", async () => {
    let imported = 0;
    let counting = false;
    const { verify: verifyCounted } = await createWebCryptoVerifier({
      maxKeys: 100,
      subtle: changed({
        importKey: (...rest) => {
          imported++;
          return real.importKey(...rest);
        },
        // What is measured is what is kept: verdicts are by the platform for the edge vectors alone.
        verify: (algorithm, key, signature, data) =>
          counting ? Promise.resolve(false) : real.verify(algorithm, key, signature, data),
      }),
    });
    const oneOff = Array.from({ length: 10_000 }, (_, at) => {
      const key = new Uint8Array(32).fill(1);
      new DataView(key.buffer).setUint32(4, at);
      return { key, message: new Uint8Array(1), signature: new Uint8Array(64).fill(2, 0, 32) };
    });
    imported = 0;
    counting = true;
    expect(await verifyCounted(oneOff)).toEqual(oneOff.map(() => false));
    expect(imported).toBe(10_000);
    await verifyCounted(oneOff.slice(-100));
    expect(imported).toBe(10_000);
    await verifyCounted(oneOff.slice(-101, -100));
    expect(imported).toBe(10_001);
  });

  it("refuses a number of keys that is none", async () => {
    for (const maxKeys of [0, -1, 1.5, Number.NaN]) {
      await expect(createWebCryptoVerifier({ maxKeys })).rejects.toThrow(UsageError);
    }
  });
});

describe("a platform that is not as it should be", () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each<[string, Partial<SubtleLike>]>([
    ["has no Ed25519", nothing],
    ["accepts all", { verify: () => Promise.resolve(true) }],
    ["refuses all", { verify: () => Promise.resolve(false) }],
    ["throws on each", { verify: without }],
    ["differs on one", { verify: cofactored }],
  ])("does not verify where it %s", async (_, other) => {
    const { verify: verifyAll, by } = await createWebCryptoVerifier({ subtle: changed(other) });
    expect(by).toBe("core");
    expect(await wrongAtOnce(verifyAll)).toEqual([]);
    const cancel = testCancel();
    setTimeout(() => cancel.fire(), 1);
    const list = manySignatures(2000).map(({ request }) => request);
    await expect(verifyAll(list, cancel)).rejects.toMatchObject({ name: "CancelledError" });
  });

  it("is helped out by the core where it throws later, or refuses to import a key", async () => {
    let sound = true;
    const subtle = changed({
      importKey: (...rest) => (sound ? real.importKey(...rest) : without()),
      verify: (algorithm, key, signature, data) => (sound ? real.verify(algorithm, key, signature, data) : without()),
    });
    const { verify: verifyAll, by } = await createWebCryptoVerifier({ subtle, maxKeys: 2 });
    sound = false;
    expect(by).toBe("webcrypto");
    expect(await wrongAtOnce(verifyAll)).toEqual([]);
  });

  it.each([undefined, {}])("is named where it has no WebCrypto (%o)", async (crypto) => {
    vi.stubGlobal("crypto", crypto);
    await expect(createWebCryptoVerifier()).rejects.toThrow(UsageError);
    await expect(createWebCryptoSigner({ keyId: "ed25519:a", seed })).rejects.toThrow(UsageError);
  });
});

describe("signing by WebCrypto", () => {
  it("signs as the core does, with a seed and with a key of the platform's", async () => {
    const bySeed = await createWebCryptoSigner({ keyId: "ed25519:a", seed });
    const pair = await newPair();
    const key = new Uint8Array(await platform.exportKey("raw", pair.publicKey));
    const byKey = await createWebCryptoSigner({ keyId: "ed25519:b", privateKey: pair.privateKey, key });
    expect(bySeed.key).toEqual(publicKeyFromSeed(seed));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (message) => {
        expect(await bySeed.sign(message)).toEqual(sign(message, seed));
        expect(verify(await byKey.sign(message), message, key)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it("does not follow a seed that its owner clears", async () => {
    for (const subtle of [changed({}), nothing]) {
      const own = seed.slice();
      const making = createWebCryptoSigner({ keyId: "ed25519:a", seed: own }, { subtle });
      own.fill(0);
      expect(await (await making).sign(seed)).toEqual(sign(seed, seed));
    }
  });

  it("signs by the core where the platform signs something else", async () => {
    const subtle = changed({ sign: () => Promise.resolve(new ArrayBuffer(64)) });
    const signer = await createWebCryptoSigner({ keyId: "ed25519:a", seed }, { subtle });
    expect(await signer.sign(seed)).toEqual(sign(seed, seed));
  });

  it("refuses a key that does not sign what its public half verifies, and a seed of another length", async () => {
    const pair = await newPair();
    const key = new Uint8Array(await platform.exportKey("raw", pair.publicKey));
    const wrong = [
      { keyId: "ed25519:a", privateKey: pair.privateKey, key: publicKeyFromSeed(seed) },
      { keyId: "ed25519:a", privateKey: pair.publicKey, key },
      { keyId: "ed25519:a", seed: seed.slice(1) },
    ];
    for (const from of wrong) await expect(createWebCryptoSigner(from)).rejects.toThrow(UsageError);
  });
});
