/** Check 2 for many events in one call says of each what it says of one alone. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.js";
import { KeyBook, keyRequests, SignatureBatch, verifySignatures } from "../../src/engine/signatures.js";
import { encodeUnpadded } from "../../src/crypto/base64.js";
import { parsePduForms } from "../../src/event/format.js";
import type { PduForms } from "../../src/event/format.js";
import type { SignatureReport, VerifyKey } from "../../src/event/signatures.js";
import type { JsonObject } from "../../src/json/index.js";
import type { KeyRequest, Keys, VerifyRequest } from "../../src/ports/index.js";
import { versionOf } from "../support/engine.js";
import { basePdu, valueOf } from "../support/event.js";

const NAMES = ["a.example", "b.example", "c.example"];
const KEY_IDS = ["ed25519:1", "ed25519:2", "ed25519:gone", "ed25519:old", "ed25519:policy_server", "rsa:1"];

/** An event by how it is signed: by whom, by which keys, with which bytes or none that are base64. */
interface Drawn {
  readonly sender: string;
  /** In the id, where ids are in the event (room versions 1 and 2). */
  readonly idServer: string;
  readonly authoriser: string | undefined;
  readonly thirdParty: boolean;
  readonly signatures: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const server = fc.constantFrom(...NAMES);
const drawn: fc.Arbitrary<Drawn> = fc.record({
  sender: server,
  idServer: server,
  authoriser: fc.option(fc.oneof(server, fc.constant("")), { nil: undefined }),
  thirdParty: fc.boolean(),
  signatures: fc.dictionary(
    server,
    fc.dictionary(
      fc.constantFrom(...KEY_IDS),
      fc.oneof(
        { weight: 9, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => encodeUnpadded(bytes)) },
        { weight: 1, arbitrary: fc.constant("no base64!") },
      ),
      { maxKeys: 3 },
    ),
    { maxKeys: 3 },
  ),
});

function formsOf(version: string, one: Drawn, at: number): PduForms {
  const user = (name: string): string => (name === "" ? "nobody" : `@user:${name}`);
  const content: JsonObject = {
    membership: one.thirdParty ? "invite" : "join",
    ...(one.thirdParty ? { third_party_invite: {} } : {}),
    ...(one.authoriser === undefined ? {} : { join_authorised_via_users_server: user(one.authoriser) }),
  };
  const changes = { type: "m.room.member", state_key: user(one.sender), sender: user(one.sender), content };
  const id = version === "1" ? { event_id: `$e${at}:${one.idServer}` } : {};
  const json = basePdu(version, { ...changes, ...id, depth: at, signatures: one.signatures });
  return valueOf(parsePduForms(versionOf(version).rules, json, { counts: "tolerated" }));
}

/** Whether a signature holds is anybody's guess, and the same whenever it is asked. */
function keysOf(salt: number, answer: (valid: readonly boolean[]) => readonly boolean[] = (valid) => valid): Keys {
  const found = ({ server: name, keyId }: KeyRequest): VerifyKey | undefined => {
    // One server may have no keys at all.
    if (keyId === "ed25519:gone" || name === NAMES[salt % 5]) return undefined;
    const key = new Uint8Array(32).fill(name.charCodeAt(0) + keyId.length);
    return keyId === "ed25519:old" ? { key, validUntilTs: 1 } : { key };
  };
  const holds = ({ key, signature }: VerifyRequest): boolean =>
    [...signature].reduce((sum, byte) => sum + byte, (key[0] ?? 0) + salt) % 3 !== 0;
  return {
    sign: () => ({ keyId: "ed25519:1", signature: new Uint8Array(64) }),
    lookup: (requests) => requests.map(found),
    verify: (requests) => Promise.resolve(answer(requests.map(holds))),
  };
}

async function batchOf(version: string, events: readonly PduForms[], keys: Keys): Promise<SignatureBatch> {
  const { rules } = versionOf(version);
  const book = new KeyBook(keys);
  await book.ask(events, ({ pdu }, want) => keyRequests(rules, pdu, want), undefined);
  const batch = new SignatureBatch(rules, book.lookup);
  for (const [at, { pdu, forms }] of events.entries()) batch.add(placeOf(at), pdu, forms);
  return batch;
}

/** Places say nothing but which event is meant. */
const placeOf = (at: number): number => 3 * at + 100;

function verdictIn({ status }: SignatureReport): string | undefined {
  if (status === "verified") return undefined;
  return status === "refused" ? "bad-signature" : "unverifiable";
}

function reasonIn({ servers }: SignatureReport): string {
  const reasons = [...servers].map(([name, verdict]) => {
    if (verdict.status === "verified") return "";
    return `${name}: ${verdict.status === "refused" ? verdict.reason : `no key ${verdict.keyIds.join(", ")}`}`;
  });
  return reasons.filter((reason) => reason !== "").join("; ");
}

describe.each(["1", "4", "8", "12"])("the signatures of many events, room version %s", (v) => {
  test.prop([fc.array(drawn, { maxLength: 12 }), fc.nat(100)])("are each its event's", async (all, salt) => {
    const keys = keysOf(salt);
    const events = all.map((one, at) => formsOf(v, one, at));
    const { rules } = versionOf(v);
    const pdus = events.map(({ pdu }) => pdu);
    const reports = await verifySignatures(rules, keys, pdus, undefined);
    const refused = await (await batchOf(v, events, keys)).verify(keys, undefined);
    const said = events.map((_, at) => refused.get(placeOf(at)));
    expect(said.map((verdict) => verdict?.verdict)).toEqual(reports.map(verdictIn));
    for (const [at, verdict] of said.entries()) {
      const report = reports[at];
      if (verdict === undefined || report === undefined) continue;
      const refusal = { code: "bad_signature", reason: reasonIn(report), events: [pdus[at]?.eventId] };
      expect(verdict).toMatchObject({ eventId: pdus[at]?.eventId, refusal });
    }
    expect(refused.size).toBe(said.filter((verdict) => verdict !== undefined).length);
  });
});

describe("a batch of signatures", () => {
  const signed: Drawn = {
    sender: "a.example",
    idServer: "a.example",
    authoriser: undefined,
    thirdParty: false,
    signatures: { "a.example": { "ed25519:1": "AAAB" } },
  };
  const events = [0, 1, 2].map((at) => formsOf("10", signed, at));

  it("counts its checks and bytes until they are with the Keys port", async () => {
    const batch = await batchOf("10", events, keysOf(4));
    const bytes = events.reduce((sum, { forms }) => sum + forms.signedBytes().length, 0);
    expect([batch.size, batch.bytes]).toEqual([3, bytes]);
    await batch.verify(keysOf(4), undefined);
    expect(batch.size).toBe(0);
  });

  it("asks nobody where no check is to be made", async () => {
    const asked: unknown[] = [];
    const keys: Keys = { ...keysOf(4), verify: (requests) => (asked.push(requests), []) };
    const none = formsOf("10", { ...signed, signatures: {} }, 0);
    const refused = await (await batchOf("10", [none], keys)).verify(keys, undefined);
    expect([[...refused.values()].map(({ verdict }) => verdict), asked]).toEqual([["bad-signature"], []]);
    expect((await (await batchOf("10", [], keys)).verify(keys, undefined)).size).toBe(0);
  });

  it("takes nothing but `true` for a valid signature", async () => {
    // A port in plain JavaScript that answers with words.
    const keys: Keys = { ...keysOf(4), verify: (requests) => requests.map(() => JSON.parse('"invalid"') as boolean) };
    const refused = await (await batchOf("10", events, keys)).verify(keys, undefined);
    expect([...refused.values()].map(({ verdict }) => verdict)).toEqual(events.map(() => "bad-signature"));
  });

  it("hands out copies: a host may transfer their memory, or write to it", async () => {
    const forms = formsOf("10", signed, 7);
    const expected = Uint8Array.from(forms.forms.signedBytes());
    const messages: Uint8Array[] = [];
    const keys: Keys = {
      ...keysOf(4),
      verify: (requests) => {
        messages.push(...requests.map(({ message }) => Uint8Array.from(message)));
        const buffers = new Set(requests.map(({ message }) => message.buffer as ArrayBuffer));
        for (const { message } of requests) message.fill(0);
        structuredClone([...buffers], { transfer: [...buffers] });
        return requests.map(() => true);
      },
    };
    for (let round = 0; round < 3; round++) {
      const many = Array.from({ length: 40 }, () => forms);
      const refused = await (await batchOf("10", [...many, ...events], keys)).verify(keys, undefined);
      expect(refused.size).toBe(0);
      expect(forms.forms.signedBytes()).toEqual(expected);
    }
    expect(messages.filter((message) => Buffer.compare(message, expected) === 0).length).toBe(120);
    expect(messages.length).toBe(129);
  });

  it("keeps and counts no message that nobody is asked about", async () => {
    const small = formsOf("10", signed, 0);
    const large = valueOf(
      parsePduForms(versionOf("10").rules, basePdu("10", { content: { body: "x".repeat(60_000) }, signatures: {} })),
    );
    const kept = new Set<ArrayBufferLike>();
    const keys: Keys = {
      ...keysOf(4),
      verify: (requests) => requests.map(({ message }) => kept.add(message.buffer).size > 0),
    };
    const batch = await batchOf("10", [large, small, large, small, large], keys);
    expect(batch.bytes).toBe(2 * small.forms.signedBytes().length);
    await batch.verify(keys, undefined);
    expect([...kept].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(4 * batch.bytes);
  });

  it("gives a message that comes alone no more memory than it takes", async () => {
    const lengths: number[] = [];
    const keys: Keys = {
      ...keysOf(4),
      verify: (requests) => requests.map(({ message }) => lengths.push(message.buffer.byteLength, message.length) > 0),
    };
    await (await batchOf("10", events.slice(0, 1), keys)).verify(keys, undefined);
    expect(lengths[0]).toBe(lengths[1]);
  });

  it.each([
    ["none", 0],
    ["too few", 2],
  ])("takes no answer for another: %s of three", async (_, count) => {
    const keys = keysOf(4, (valid) => valid.slice(0, count));
    const batch = await batchOf("10", events, keys);
    await expect(batch.verify(keys, undefined)).rejects.toThrow(UsageError);
  });
});
