import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createManualClock } from "../../src/adapters/memory/index.js";
import { encodeUnpadded } from "../../src/crypto/base64.js";
import { publicKeyFromSeed, verify as verifyEd25519 } from "../../src/crypto/ed25519.js";
import { sha256 } from "../../src/crypto/hash.js";
import { signedBytes, signJson } from "../../src/event/sign.js";
import { SEVEN_DAYS, usableUntil } from "../../src/event/signatures.js";
import type { VerifyKey } from "../../src/event/signatures.js";
import { checkServerKeys, createKeyRing, keyFromSeed } from "../../src/federation/keys/index.js";
import type { ServerKeys } from "../../src/federation/keys/index.js";
import { mergeKeys } from "../../src/federation/keys/held.js";
import type { HeldKeys } from "../../src/federation/keys/held.js";
import { utf8Encode } from "../../src/json/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { Keys, OperationName, OperationRequest, OperationResult, Transport } from "../../src/ports/index.js";
import { runs, seed } from "./laws-support.js";

const NOW = 1_700_000_000_000;
const DAY = 24 * 60 * 60 * 1000;

const seedOf = (name: string): Uint8Array => sha256(utf8Encode(name));
const seeds = ["s1", "s2", "s3"].map((name) => ({ seed: seedOf(name), key: publicKeyFromSeed(seedOf(name)) }));
const textAt = (at: number): string => encodeUnpadded(seeds[at]!.key);

let verifications = 0;
const verify: Keys["verify"] = (requests) =>
  requests.map(({ key, message, signature }) => {
    verifications++;
    return verifyEd25519(signature, message, key);
  });

const good: JsonObject = signJson(
  {
    server_name: "x.example",
    valid_until_ts: NOW + DAY,
    verify_keys: { "ed25519:1": { key: textAt(0) }, "ed25519:2": { key: textAt(1) }, "x:1": { key: "?" } },
    old_verify_keys: { "ed25519:0": { key: textAt(2), expired_ts: NOW - DAY } },
    more: { deep: [1, { a: null }] },
  },
  { server: "x.example", keyId: "ed25519:1", seed: seeds[0]!.seed },
);

const anyJson = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<JsonValue>;
const odd: fc.Arbitrary<unknown> = fc.oneof(
  anyJson,
  fc.constantFrom<unknown>(undefined, Number.NaN, -0, 2 ** 53, 1e300, 2n ** 80n, () => 1, Symbol("s"), new Date(0)),
  fc.constantFrom("\ud800", "__proto__", "ed25519:1", textAt(0), "x.example", "A".repeat(86)),
);

/** A copy in which the value at the end of a way down, which numbers choose, is another, gone, or has a neighbour. */
function mutate(value: unknown, way: readonly number[], what: unknown, kind: "put" | "drop" | "add"): unknown {
  const [step, ...rest] = way;
  if (step === undefined || typeof value !== "object" || value === null) return what;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
  const entries = Object.keys(copy);
  const at = entries[step % Math.max(1, entries.length)];
  if (at === undefined) return what;
  if (rest.length === 0 && kind === "add") return Object.assign(copy, { [`${at}x`]: what });
  if (rest.length === 0 && kind === "drop") {
    Reflect.deleteProperty(copy, at);
    return copy;
  }
  return Object.assign(copy, { [at]: mutate(Reflect.get(copy, at), rest, what, kind) });
}

const mutation = fc.record({
  way: fc.array(fc.nat(20), { maxLength: 4 }),
  what: odd,
  kind: fc.constantFrom("put", "drop", "add"),
});
const mutated = (value: JsonValue): fc.Arbitrary<unknown> =>
  fc
    .array(mutation, { minLength: 1, maxLength: 3 })
    .map((all) => all.reduce<unknown>((json, { way, what, kind }) => mutate(json, way, what, kind), value));

/** Whether every part of what was believed is in the JSON, which one of its keys has signed. */
function expectSound({ server, keys, validUntilTs, json }: ServerKeys): void {
  const listed = json as unknown as {
    readonly server_name: string;
    readonly valid_until_ts: number;
    readonly verify_keys: Record<string, { readonly key: string }>;
    readonly old_verify_keys?: Record<string, { readonly key: string; readonly expired_ts: number }>;
    readonly signatures: Record<string, Record<string, string>>;
  };
  expect([listed.server_name, listed.valid_until_ts]).toEqual([server, validUntilTs]);
  for (const [keyId, { key, expiredTs }] of keys) {
    const entry = expiredTs === undefined ? listed.verify_keys[keyId] : listed.old_verify_keys?.[keyId];
    expect(Buffer.from(entry!.key, "base64").equals(key)).toBe(true);
  }
  const signatures = Object.entries(listed.signatures[server]!);
  expect(signatures.length).toBeGreaterThan(0);
  for (const [keyId, text] of signatures) {
    const key = Buffer.from(listed.verify_keys[keyId]!.key, "base64");
    expect(verifyEd25519(Buffer.from(text, "base64"), signedBytes(json), key)).toBe(true);
  }
}

describe("an answer with keys", () => {
  it("that was changed anywhere is refused as a value, or is still what its keys have signed", async () => {
    let accepted = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(mutated(good), async (json) => {
        const checked = await checkServerKeys(json, { server: "x.example", fetchedTs: NOW, verify });
        if (checked.ok) {
          accepted++;
          expectSound(checked.value);
          // Nothing that is signed may differ.
          expect(signedBytes(checked.value.json)).toEqual(signedBytes(good));
        } else {
          refused++;
          expect(["bad_format", "bad_signature", "too_large"]).toContain(checked.error.code);
        }
      }),
      { seed, numRuns: runs(300) },
    );
    // Both happen: `unsigned` and strangers' signatures may be anything.
    expect(refused).toBeGreaterThan(0);
    expect(accepted).toBeGreaterThan(0);
  });

  it("that is signed after it was changed is refused as a value, or read as what it says", async () => {
    const { signatures: _, ...bare } = good;
    await fc.assert(
      fc.asyncProperty(mutated(bare), async (json) => {
        const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
        const signed = isObject ? tryToSign(json as JsonObject) : json;
        const checked = await checkServerKeys(signed, { server: "x.example", fetchedTs: NOW, verify });
        if (!checked.ok) return;
        expectSound(checked.value);
        for (const { expiredTs = 0 } of checked.value.keys.values()) {
          expect(expiredTs).toBeLessThanOrEqual(NOW + SEVEN_DAYS);
        }
      }),
      { seed, numRuns: runs(150) },
    );
  });

  it("that is anything at all is refused as a value, without an Ed25519 check", async () => {
    verifications = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
        async (json) => {
          const checked = await checkServerKeys(json, { server: "x.example", fetchedTs: NOW, verify });
          expect(checked.ok).toBe(false);
        },
      ),
      { seed, numRuns: runs(300) },
    );
    const throwing = new Proxy(
      {},
      {
        get: () => {
          throw new Error("a trap");
        },
        ownKeys: () => {
          throw new Error("a trap");
        },
      },
    );
    expect((await checkServerKeys(throwing, { server: "x.example", fetchedTs: NOW, verify })).ok).toBe(false);
    expect(verifications).toBe(0);
  });
});

function tryToSign(json: JsonObject): JsonObject {
  try {
    return signJson(json, { server: "x.example", keyId: "ed25519:1", seed: seeds[0]!.seed });
  } catch {
    return json;
  }
}

describe("a key ring", () => {
  /** Every request is answered with what the test gives, in any form. */
  function ringAgainst(answer: (name: OperationName) => unknown): {
    readonly ring: ReturnType<typeof createKeyRing>;
    readonly asked: () => number;
  } {
    let asked = 0;
    const transport: Pick<Transport, "request"> = {
      request: async <N extends OperationName>(_: string, name: N): Promise<OperationResult<N>> => {
        asked++;
        await Promise.resolve();
        return answer(name) as OperationResult<N>;
      },
    };
    const ring = createKeyRing({
      server: "me.example",
      own: { current: [keyFromSeed({ keyId: "ed25519:1", seed: seedOf("me") })] },
      transport,
      clock: createManualClock(NOW),
      verify,
      notaries: [{ server: "n.example", keys: { "ed25519:1": seeds[1]!.key } }],
    });
    return { ring, asked: () => asked };
  }

  const countersigned = signJson(good, { server: "n.example", keyId: "ed25519:1", seed: seeds[1]!.seed });
  const results = fc.oneof(
    odd,
    fc.record({ ok: fc.oneof(fc.boolean(), odd), value: odd, error: odd }, { requiredKeys: [] }),
    mutated({ ok: true, value: { keys: good } }),
    mutated({ ok: true, value: { serverKeys: [countersigned, countersigned] } }),
  );

  it("answers whatever other servers and notaries answer, and knows no key that nobody published", async () => {
    const ids = ["0", "1", "2", "3"].map((version) => `ed25519:${version}`);
    const published: Readonly<Record<string, string>> = {
      "ed25519:0": textAt(2),
      "ed25519:1": textAt(0),
      "ed25519:2": textAt(1),
    };
    let known = 0;
    await fc.assert(
      fc.asyncProperty(results, results, fc.maxSafeNat(), async (direct, byNotary, validAt) => {
        const { ring } = ringAgainst((name) => (name === "server_keys" ? direct : byNotary));
        const found = await ring.lookup(ids.map((keyId) => ({ server: "x.example", keyId, validAt })));
        expect(found.length).toBe(ids.length);
        found.forEach((key, at) => {
          if (key === undefined) return;
          known++;
          expect(encodeUnpadded(key.key)).toBe(published[ids[at]!]);
        });
        const queried = await ring.query({ serverKeys: { "x.example": {}, "y.example": {} } });
        expect(queried.ok).toBe(true);
      }),
      { seed, numRuns: runs(150) },
    );
    expect(known).toBeGreaterThan(0);
  });

  it("answers a query of any form, and asks no more servers than it may name", async () => {
    const valid = { serverKeys: { "x.example": { "ed25519:1": { minimumValidUntilTs: NOW } }, "y.example": {} } };
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated(valid), odd), async (request) => {
        const { ring, asked } = ringAgainst(() => ({ ok: true, value: { keys: good } }));
        const result = await ring.query(request as OperationRequest<"query_keys">);
        if (!result.ok) expect(["bad_request", "too_large"]).toContain(result.error.code);
        else
          for (const json of result.value.serverKeys)
            expect(json).toMatchObject({ server_name: expect.any(String) as unknown });
        expect(asked()).toBeLessThanOrEqual(result.ok ? 100 : 0);
      }),
      { seed, numRuns: runs(150) },
    );
  });
});

// ---- rotations ---------------------------------------------------------------------------------------------

interface Said {
  readonly pass: number;
  readonly from: "server" | "notary";
  readonly valid: number;
  readonly keys: readonly { readonly id: number; readonly bytes: number; readonly expired: boolean }[];
}

const arbSaid: fc.Arbitrary<Said> = fc.record({
  pass: fc.integer({ min: 0, max: 3 }).map((days) => days * DAY),
  from: fc.constantFrom("server", "notary"),
  valid: fc.integer({ min: -2, max: 12 }),
  keys: fc.uniqueArray(fc.record({ id: fc.nat(5), bytes: fc.nat(2), expired: fc.boolean() }), {
    selector: ({ id }) => id,
    minLength: 1,
    maxLength: 4,
  }),
});

function answerAt({ valid, keys }: Said, now: number): ServerKeys {
  const validUntilTs = now + valid * DAY;
  const read = keys.map(({ id, bytes, expired }): [string, VerifyKey] => [
    `ed25519:${id}`,
    { key: seeds[bytes]!.key, fetchedTs: now, ...(expired ? { expiredTs: now - DAY } : { validUntilTs }) },
  ]);
  return { server: "x.example", validUntilTs, fetchedTs: now, keys: new Map(read), json: { at: now } };
}

describe("what is held of a server", () => {
  const maxKeys = 5;

  it("changes no key within the time that its server promised, is bounded, and follows the server's last word", () => {
    fc.assert(
      fc.property(fc.array(arbSaid, { minLength: 1, maxLength: 12 }), (story) => {
        let held: HeldKeys | undefined;
        let now = NOW;
        for (const said of story) {
          now += said.pass;
          const given = answerAt(said, now);
          const merged = mergeKeys(held, given, { from: said.from, now, maxKeys });
          const before = held?.keys ?? new Map<string, never>();
          if (merged.ok) {
            held = merged.held;
            expect(held.keys.size).toBeLessThanOrEqual(maxKeys);
            for (const [keyId, key] of before) {
              const after = held.keys.get(keyId);
              const same = after === undefined || Buffer.from(after.key).equals(Buffer.from(key.key));
              expect(merged.replaced.includes(keyId)).toBe(!same);
              // Only the time of the promise, and the server itself against a notary, let a key change.
              if (!same) expect(usableUntil(key) < now || (key.from === "notary" && said.from === "server")).toBe(true);
              if (!same) expect(key.from === "server" && said.from === "notary").toBe(false);
            }
            if (said.from === "server") {
              for (const [keyId, key] of given.keys) expect(held.keys.get(keyId)).toEqual({ ...key, from: "server" });
              expect(held.answer).toEqual({ json: given.json, validUntilTs: given.validUntilTs, fetchedTs: now });
            }
          } else {
            const key = before.get(merged.contradicted) as unknown as VerifyKey;
            expect(Buffer.from(key.key).equals(Buffer.from(given.keys.get(merged.contradicted)!.key))).toBe(false);
          }
        }
      }),
      { seed, numRuns: runs(400) },
    );
  });

  it("is the same when an answer is told twice", () => {
    fc.assert(
      fc.property(fc.array(arbSaid, { minLength: 1, maxLength: 6 }), (story) => {
        let held: HeldKeys | undefined;
        let now = NOW;
        for (const said of story) {
          now += said.pass;
          const given = answerAt(said, now);
          const rule = { from: said.from, now, maxKeys };
          const once = mergeKeys(held, given, rule);
          if (!once.ok) continue;
          expect(mergeKeys(once.held, given, rule)).toEqual({ ok: true, held: once.held, replaced: [] });
          held = once.held;
        }
      }),
      { seed, numRuns: runs(200) },
    );
  });
});
