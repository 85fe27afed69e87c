/** Every Ed25519 input with a recorded verdict: the recorded cases, and the edge vectors of the library. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { coreProvider, edgeVectors, publicKeyFromSeed, sign } from "../../src/crypto/index.js";
import type { Awaitable, Cancel, VerifyRequest } from "../../src/ports/index.js";

export type Verify = (requests: readonly VerifyRequest[], cancel?: Cancel) => Awaitable<readonly boolean[]>;

interface Case {
  readonly group: string;
  readonly name: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
  readonly expected: boolean;
}

export interface NamedRequest {
  readonly name: string;
  readonly request: VerifyRequest;
  readonly valid: boolean;
}

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));

export const recordedCases: readonly NamedRequest[] = [
  ...edgeVectors().map(({ name, valid, publicKey, ...rest }) => ({
    name,
    valid,
    request: { ...rest, key: publicKey },
  })),
  ...(
    JSON.parse(readFileSync(new URL("../../fixtures/ed25519.json", import.meta.url), "utf8")) as {
      readonly cases: readonly Case[];
    }
  ).cases.map(({ group, name, publicKey, message, signature, expected }) => ({
    name: `${group}: ${name}`,
    valid: expected,
    request: { key: bytes(publicKey), message: bytes(message), signature: bytes(signature) },
  })),
];

/** Names of the cases that `verify` gets wrong, asked for all at once. */
export async function wrongAtOnce(verify: Verify): Promise<readonly string[]> {
  const verdicts = await verify(recordedCases.map(({ request }) => request));
  return recordedCases.filter(({ valid }, at) => verdicts[at] !== valid).map(({ name }) => name);
}

/** The same, one by one. */
export async function wrongOneByOne(verify: Verify): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const { name, request, valid } of recordedCases) {
    const [verdict] = await verify([request]);
    if (verdict !== valid) wrong.push(name);
  }
  return wrong;
}

const any = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

/** A signature that is valid unless bits were turned over, bytes lost or added, or all of it drawn at random. */
export const requests: fc.Arbitrary<VerifyRequest> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(fc.nat(5), fc.uint8Array({ maxLength: 80 }), fc.option(fc.nat(96 * 8 - 1))).map(corrupted),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      key: fc.oneof(any(32), fc.uint8Array({ maxLength: 70 })),
      message: fc.uint8Array({ maxLength: 40 }),
      signature: fc.oneof(any(64), fc.uint8Array({ maxLength: 130 })),
    }),
  },
);

function corrupted([signer, message, bit]: [number, Uint8Array, number | null]): VerifyRequest {
  const seed = new Uint8Array(32).fill(signer);
  const both = Uint8Array.of(...publicKeyFromSeed(seed), ...sign(message, seed));
  if (bit !== null) both[bit >> 3] = (both[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return { key: both.slice(0, 32), message, signature: both.slice(32) };
}

export function coreVerdicts(list: readonly VerifyRequest[]): readonly boolean[] {
  return list.map(({ key, message, signature }) => coreProvider.verify(signature, message, key));
}

/** `count` signatures by `keys` keys; every third is not valid. */
export function manySignatures(count: number, keys: number = 4): readonly NamedRequest[] {
  const seeds = Array.from({ length: keys }, (_, at) => new Uint8Array(32).fill(at + 1));
  const publicKeys = seeds.map((seed) => publicKeyFromSeed(seed));
  const messages = Array.from({ length: 8 }, (_, at) => new Uint8Array(500 + at).fill(at));
  const made = new Map<string, VerifyRequest>();
  return Array.from({ length: count }, (_, at) => {
    const [who, what] = [at % keys, at % messages.length];
    const name = `${who} ${what}`;
    const message = messages[what]!;
    const request = made.get(name) ?? { key: publicKeys[who]!, message, signature: sign(message, seeds[who]!) };
    made.set(name, request);
    const valid = at % 3 !== 0;
    const broken = { ...request, message: Uint8Array.of((message[0] ?? 0) ^ 1, ...message.subarray(1)) };
    return { name: `${at}`, valid, request: valid ? request : broken };
  });
}
