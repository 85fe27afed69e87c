import { describe, expect, it } from "vitest";
import { createManualClock, createMemoryNetwork } from "../../src/adapters/memory/index.js";
import type { ManualClock } from "../../src/adapters/memory/index.js";
import { encodeUnpadded } from "../../src/crypto/base64.js";
import { publicKeyFromSeed, verify as verifyEd25519 } from "../../src/crypto/ed25519.js";
import { sha256 } from "../../src/crypto/hash.js";
import { Canceller } from "../../src/engine/index.js";
import { UsageError } from "../../src/errors.js";
import { signedBytes, signEvent, signJson } from "../../src/event/sign.js";
import { checkSignatures, SEVEN_DAYS } from "../../src/event/signatures.js";
import type { VerifyKey } from "../../src/event/signatures.js";
import { readPdu } from "../../src/event/format.js";
import type { ServerOptions } from "../../src/federation/index.js";
import {
  checkServerKeys,
  createKeyRing,
  isUsableForRequests,
  keyFromSeed,
  serverKeys,
} from "../../src/federation/keys/index.js";
import type {
  CheckServerKeysOptions,
  KeyRing,
  KeyRingOptions,
  KeyStore,
  OwnKey,
  OwnKeys,
  StoredKeys,
} from "../../src/federation/keys/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { utf8Encode } from "../../src/json/index.js";
import type {
  Cancel,
  Keys,
  KeyRequest,
  OperationName,
  OperationRequest,
  OperationResult,
  Transport,
} from "../../src/ports/index.js";
import { keysSuite } from "../../src/testing/index.js";
import { versionOf } from "../support/engine.js";
import { codeOf, done, nameOf, tick, userOf, World } from "../support/servers.js";
import type { Node } from "../support/servers.js";

const NOW = 1_700_000_000_000;
const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

// ---- keys and answers by hand -----------------------------------------------------------------------------

const seedOf = (name: string): Uint8Array => sha256(utf8Encode(`seed of ${name}`));
const publicOf = (name: string): Uint8Array => publicKeyFromSeed(seedOf(name));
const textOf = (name: string): string => encodeUnpadded(publicOf(name));

/** A key id and the name of its seed, such as `1` and `x.example 1`. */
const own = (server: string, version: string, seedName: string = `${server} ${version}`): OwnKey =>
  keyFromSeed({ keyId: `ed25519:${version}`, seed: seedOf(seedName) });

const verify: Keys["verify"] = (requests) =>
  requests.map(({ key, message, signature }) => verifyEd25519(signature, message, key));

interface Answer {
  readonly valid?: number;
  /** Versions of keys in use, with the name of the seed where it is not the usual one. */
  readonly current?: Readonly<Record<string, string>>;
  readonly old?: Readonly<Record<string, number>>;
  readonly extra?: JsonObject;
  /** Versions of the keys that sign; by default all in use. */
  readonly signers?: readonly string[];
}

/** An answer put together by hand, signed with the core's own functions rather than what is tested. */
function answerOf(
  server: string,
  { valid = NOW + DAY, current, old = {}, extra = {}, signers }: Answer = {},
): JsonObject {
  const inUse = current ?? { 1: `${server} 1` };
  const bare: JsonObject = {
    server_name: server,
    valid_until_ts: valid,
    verify_keys: Object.fromEntries(
      Object.entries(inUse).map(([id, name]) => [`ed25519:${id}`, { key: textOf(name) }]),
    ),
    old_verify_keys: Object.fromEntries(
      Object.entries(old).map(([id, at]) => [`ed25519:${id}`, { key: textOf(`${server} ${id}`), expired_ts: at }]),
    ),
    ...extra,
  };
  return (signers ?? Object.keys(inUse)).reduce(
    (signed, id) => signedWith(signed, server, id, inUse[id] ?? `${server} ${id}`),
    bare,
  );
}

function signedWith(object: JsonObject, server: string, version: string, seedName: string): JsonObject {
  return signJson(object, { server, keyId: `ed25519:${version}`, seed: seedOf(seedName) });
}

function check(json: unknown, options: Partial<CheckServerKeysOptions> = {}): ReturnType<typeof checkServerKeys> {
  return checkServerKeys(json, { server: "x.example", fetchedTs: NOW, verify, ...options });
}

// ---- rings over a network that the test plays --------------------------------------------------------------

type Play = (request: unknown, cancel: Cancel | undefined) => JsonValue | undefined | Promise<JsonValue | undefined>;

/** What each server answers to `server_keys` and `query_keys`; `undefined` is nothing at all. */
class Played implements Pick<Transport, "request"> {
  readonly asked: string[] = [];
  readonly requests: unknown[] = [];
  readonly cancels: (Cancel | undefined)[] = [];
  readonly servers = new Map<string, Play>();
  readonly notaries = new Map<string, Play>();

  async request<N extends OperationName>(
    destination: string,
    name: N,
    request: OperationRequest<N>,
    cancel?: Cancel,
  ): Promise<OperationResult<N>> {
    this.asked.push(name === "server_keys" ? destination : `${name} ${destination}`);
    this.requests.push(request);
    this.cancels.push(cancel);
    await Promise.resolve();
    const play = (name === "server_keys" ? this.servers : this.notaries).get(destination);
    const value = await play?.(request, cancel);
    if (value === undefined) return { ok: false, error: { code: "unreachable", reason: "nobody is there" } };
    const answered: unknown = { ok: true, value: name === "server_keys" ? { keys: value } : { serverKeys: value } };
    return answered as OperationResult<N>;
  }

  /** Forgets what was asked, and says it. */
  take(): readonly string[] {
    return this.asked.splice(0);
  }
}

interface Rig {
  readonly ring: KeyRing;
  readonly net: Played;
  readonly clock: ManualClock;
  readonly faults: string[];
}

function rig(options: Partial<KeyRingOptions> = {}): Rig {
  const net = new Played();
  const clock = createManualClock(NOW);
  const faults: string[] = [];
  const ring = createKeyRing({
    server: "me.example",
    own: { current: [own("me.example", "1")] },
    transport: net,
    clock,
    observer: {
      onFault: ({ where, error }) => {
        faults.push(`${where}: ${error instanceof Error ? error.message : String(error)}`);
      },
    },
    ...options,
  });
  return { ring, net, clock, faults };
}

const wanted = (server: string, version: string = "1", validAt: number = NOW): KeyRequest => ({
  server,
  keyId: `ed25519:${version}`,
  validAt,
});

/** Which seed's public key was found, if one was. */
function nameOfKey(key: VerifyKey | undefined, names: readonly string[]): string | undefined {
  return key && names.find((name) => encodeUnpadded(key.key) === textOf(name));
}

async function find(ring: Keys, request: KeyRequest): Promise<VerifyKey | undefined> {
  const [key] = await ring.lookup([request]);
  return key;
}

async function has(ring: Keys, ...requests: readonly KeyRequest[]): Promise<readonly boolean[]> {
  return (await ring.lookup(requests)).map((key) => key !== undefined);
}

function query(ring: KeyRing, serverKeys: OperationRequest<"query_keys">["serverKeys"], cancel?: Cancel) {
  return ring.query({ serverKeys }, cancel);
}

async function queried(
  ring: KeyRing,
  serverKeys: OperationRequest<"query_keys">["serverKeys"],
): Promise<readonly JsonObject[]> {
  const result = await query(ring, serverKeys);
  if (!result.ok) throw new Error(result.error.reason);
  return result.value.serverKeys as readonly JsonObject[];
}

const signersIn = (json: JsonObject, server: string): readonly string[] =>
  Object.keys(((json["signatures"] as JsonObject)[server] ?? {}) as JsonObject).sort();

/** Whether `server` signed with the key of that seed. */
function isSignedBy(json: JsonObject, server: string, version: string, seedName: string): boolean {
  const { [server]: ofServer } = json["signatures"] as Record<string, Record<string, string>>;
  const text = ofServer?.[`ed25519:${version}`];
  if (text === undefined) return false;
  const signature = Uint8Array.from(Buffer.from(text, "base64"));
  return verifyEd25519(signature, signedBytes(json), publicOf(seedName));
}

// ---- publication -------------------------------------------------------------------------------------------

describe("publication [cap:key-publication]", () => {
  const both: OwnKeys = {
    current: [own("x.example", "2"), own("x.example", "3")],
    old: [{ keyId: "ed25519:1", key: publicOf("x.example 1"), expiredTs: NOW - DAY }],
  };

  it("holds the name, the keys in use and those that were, and is signed by each key in use", async () => {
    const json = await serverKeys({ server: "x.example", own: both, validUntilTs: NOW + DAY });
    const { signatures, ...rest } = json;
    expect(rest).toEqual({
      server_name: "x.example",
      valid_until_ts: NOW + DAY,
      verify_keys: { "ed25519:2": { key: textOf("x.example 2") }, "ed25519:3": { key: textOf("x.example 3") } },
      old_verify_keys: { "ed25519:1": { key: textOf("x.example 1"), expired_ts: NOW - DAY } },
    });
    expect(Object.keys(signatures as JsonObject)).toEqual(["x.example"]);
    expect(signersIn(json, "x.example")).toEqual(["ed25519:2", "ed25519:3"]);
    for (const id of ["2", "3"]) expect(isSignedBy(json, "x.example", id, `x.example ${id}`)).toBe(true);
  });

  it("is read by another server as what it was made of", async () => {
    const json = await serverKeys({ server: "x.example", own: both, validUntilTs: NOW + DAY });
    const read = await done(check(json));
    expect([...read.keys]).toEqual([
      ["ed25519:2", { key: publicOf("x.example 2"), validUntilTs: NOW + DAY, fetchedTs: NOW }],
      ["ed25519:3", { key: publicOf("x.example 3"), validUntilTs: NOW + DAY, fetchedTs: NOW }],
      ["ed25519:1", { key: publicOf("x.example 1"), expiredTs: NOW - DAY, fetchedTs: NOW }],
    ]);
    expect(read.json).toEqual(json);
  });

  it("is made anew when half of its time is over, so that it never expires in less than an hour", async () => {
    const { ring, clock } = rig({ limits: { publishFor: 2 * HOUR } });
    const first = await ring.publish();
    expect(first["valid_until_ts"]).toBe(NOW + 2 * HOUR);
    clock.advance(HOUR);
    expect(await ring.publish()).toBe(first);
    clock.advance(1);
    expect((await ring.publish())["valid_until_ts"]).toBe(NOW + 3 * HOUR + 1);
  });

  it("is not taken from a time that a clock was set back from", async () => {
    const { ring, clock } = rig();
    await ring.publish();
    clock.jump(-DAY);
    expect((await ring.publish())["valid_until_ts"]).toBe(NOW);
  });

  it("follows a rotation at once: the new key signs, and the old one verifies what it signed", async () => {
    const { ring } = rig();
    const before = await ring.sign(new Uint8Array(3));
    await ring.publish();
    const old = { keyId: before.keyId, key: publicOf("me.example 1"), expiredTs: NOW };
    ring.rotate({ current: [own("me.example", "2")], old: [old] });
    expect((await ring.sign(new Uint8Array(3))).keyId).toBe("ed25519:2");
    const json = await ring.publish();
    expect(json["old_verify_keys"]).toEqual({ "ed25519:1": { key: textOf("me.example 1"), expired_ts: NOW } });
    expect(isSignedBy(json, "me.example", "2", "me.example 2")).toBe(true);
    expect(await find(ring, wanted("me.example", "1"))).toEqual({ key: publicOf("me.example 1"), expiredTs: NOW });
    expect(await find(ring, wanted("me.example", "2"))).toEqual({ key: publicOf("me.example 2") });
  });

  it("does not rotate a key away whose signatures could not be verified any more", () => {
    const { ring } = rig();
    expect(() => ring.rotate({ current: [own("me.example", "2")] })).toThrow(/ed25519:1 was in use/);
    expect(() => ring.rotate({ current: [own("me.example", "1", "another")] })).toThrow(/stood for another key/);
    const old = { keyId: "ed25519:1", key: publicOf("another"), expiredTs: NOW };
    expect(() => ring.rotate({ current: [own("me.example", "2")], old: [old] })).toThrow(/stood for another key/);
  });

  it.each<[string, OwnKeys]>([
    ["a key id outside the grammar", { current: [own("x.example", "a-b")] }],
    ["a key of 31 bytes", { current: [{ ...own("x.example", "1"), key: new Uint8Array(31) }] }],
    ["an id for two keys", { current: [own("x.example", "1"), own("x.example", "1", "other")] }],
    [
      "an id in use and old",
      { current: [own("x.example", "1")], old: [{ keyId: "ed25519:1", key: publicOf("x.example 1"), expiredTs: 0 }] },
    ],
    [
      "an old key that was used until no time",
      { current: [own("x.example", "1")], old: [{ keyId: "ed25519:0", key: publicOf("x"), expiredTs: 0.5 }] },
    ],
    ["a signer that signs nothing", { current: [{ ...own("x.example", "1"), sign: () => new Uint8Array(0) }] }],
    ["no key to sign with", { current: [] as unknown as OwnKeys["current"] }],
  ])("refuses %s", async (_, keys) => {
    await expect(serverKeys({ server: "x.example", own: keys, validUntilTs: NOW })).rejects.toThrow(UsageError);
  });

  it("refuses names, times and limits that no other server could use", async () => {
    const keys: OwnKeys = { current: [own("x.example", "1")] };
    await expect(serverKeys({ server: "x_y", own: keys, validUntilTs: NOW })).rejects.toThrow(UsageError);
    await expect(serverKeys({ server: "x.example", own: keys, validUntilTs: -1 })).rejects.toThrow(UsageError);
    expect(() => rig({ server: "no name" })).toThrow(UsageError);
    expect(() => rig({ notaries: [{ server: "" }] })).toThrow(UsageError);
    expect(() => rig({ limits: { publishFor: 2 * HOUR - 1 } })).toThrow(UsageError);
    expect(() => rig({ limits: { parallel: 0 } })).toThrow(UsageError);
  });
});

// ---- reading what others published -------------------------------------------------------------------------

describe("an answer of another server", () => {
  it("is believed with one signature by a key in use, although other keys did not sign", async () => {
    const two = { 1: "x.example 1", 2: "x.example 2" };
    const read = await done(check(answerOf("x.example", { current: two, signers: ["2"] })));
    expect([...read.keys.keys()]).toEqual(["ed25519:1", "ed25519:2"]);
  });

  it("may hold keys of other algorithms, keys under odd names and whatever else servers add", async () => {
    const extra = {
      tls_fingerprints: [{ sha256: "x" }],
      unsigned: { age: 1 },
      verify_keys: {
        "ed25519:1": { key: `${textOf("x.example 1")}=`, more: [] },
        "curve25519:1": { key: 3 },
        "ed25519:a-b": "no key at all",
        "ed25519:": {},
        ["__proto__"]: { key: "" },
      },
    };
    const read = await done(check(answerOf("x.example", { extra })));
    expect([...read.keys.keys()]).toEqual(["ed25519:1"]);
    expect(read.json["tls_fingerprints"]).toEqual([{ sha256: "x" }]);
    expect(read.json["unsigned"]).toBeUndefined();
  });

  it("is kept without signatures that nobody checked, and still verifies", async () => {
    const signed = signedWith(answerOf("x.example"), "stranger.example", "9", "stranger");
    const twice = signedWith(signed, "x.example", "unknown", "whatever");
    const { json } = await done(check(twice));
    expect(json["signatures"]).toEqual(answerOf("x.example")["signatures"]);
    expect((await check(json)).ok).toBe(true);
  });

  it("is a copy: what its sender does with it later changes nothing", async () => {
    const given = answerOf("x.example");
    const { json } = await done(check(given));
    (given["verify_keys"] as Record<string, JsonValue>)["ed25519:1"] = { key: "changed" };
    expect(json["verify_keys"]).toEqual({ "ed25519:1": { key: textOf("x.example 1") } });
  });

  it("makes a key in both lists an old one, if it is the same", async () => {
    const both = { current: { 1: "x.example 1", 2: "x.example 2" }, old: { 1: NOW - 5 } };
    const read = await done(check(answerOf("x.example", both)));
    expect(read.keys.get("ed25519:1")).toEqual({ key: publicOf("x.example 1"), expiredTs: NOW - 5, fetchedTs: NOW });
    const other = { current: { 1: "another", 2: "x.example 2" }, old: { 1: NOW - 5 } };
    expect(await codeOf(check(answerOf("x.example", other)))).toBe("bad_format");
  });

  it("cannot let an old key end later than any key is trusted", async () => {
    const read = await done(check(answerOf("x.example", { old: { 0: NOW + 30 * DAY, 9: NOW + SEVEN_DAYS - 1 } })));
    expect(read.keys.get("ed25519:0")?.expiredTs).toBe(NOW + SEVEN_DAYS);
    expect(read.keys.get("ed25519:9")?.expiredTs).toBe(NOW + SEVEN_DAYS - 1);
  });

  const good = answerOf("x.example");
  const withKeys = (verify_keys: JsonValue, signers = ["1"]): JsonObject =>
    answerOf("x.example", { extra: { verify_keys }, signers });
  const key1 = { "ed25519:1": { key: textOf("x.example 1") } };

  it.each<[string, unknown, string]>([
    ["of another server", answerOf("y.example"), "bad_format"],
    ["that names another server and is signed as the right one", { ...good, server_name: "y.example" }, "bad_format"],
    ["without a signature", answerOf("x.example", { signers: [] }), "bad_signature"],
    ["without `signatures`", { ...good, signatures: undefined }, "bad_format"],
    ["whose signatures are no object", { ...good, signatures: [] }, "bad_signature"],
    ["signed by another server alone", { ...good, signatures: { "y.example": {} } }, "bad_signature"],
    ["signed by a key that is not in it", answerOf("x.example", { signers: ["7"] }), "bad_signature"],
    ["signed by an old key alone", answerOf("x.example", { old: { 0: NOW }, signers: ["0"] }), "bad_signature"],
    ["signed by another key under the right id", signedWith(good, "x.example", "1", "forger"), "bad_signature"],
    ["changed after it was signed", { ...good, valid_until_ts: NOW + 2 * DAY }, "bad_signature"],
    [
      "with a key that was put in later",
      { ...good, old_verify_keys: { "ed25519:0": { key: textOf("f"), expired_ts: 1 } } },
      "bad_signature",
    ],
    [
      "with one good signature and one wrong one",
      signedWith(
        answerOf("x.example", { current: { 1: "x.example 1", 2: "x.example 2" }, signers: ["1"] }),
        "x.example",
        "2",
        "f",
      ),
      "bad_signature",
    ],
    ["whose signature is no text", { ...good, signatures: { "x.example": { "ed25519:1": 5 } } }, "bad_signature"],
    ["whose signature is no base64", { ...good, signatures: { "x.example": { "ed25519:1": "*" } } }, "bad_signature"],
    ["whose signature is short", { ...good, signatures: { "x.example": { "ed25519:1": "AAAA" } } }, "bad_signature"],
    ["with a key of 31 bytes", withKeys({ ...key1, "ed25519:2": { key: "A".repeat(42) } }), "bad_format"],
    ["with a key that is no base64", withKeys({ ...key1, "ed25519:2": { key: "*".repeat(43) } }), "bad_format"],
    ["with a key that is no text", withKeys({ ...key1, "ed25519:2": { key: null } }), "bad_format"],
    ["with a key that is no object", withKeys({ ...key1, "ed25519:2": textOf("x") }), "bad_format"],
    ["whose keys are a list", withKeys([key1], []), "bad_format"],
    ["whose old keys are a list", answerOf("x.example", { extra: { old_verify_keys: [] } }), "bad_format"],
    ["with an old key of no time", answerOf("x.example", { extra: { old_verify_keys: key1 } }), "bad_format"],
    ["without a validity", { ...good, valid_until_ts: undefined }, "bad_format"],
    ["with a validity before 1970", answerOf("x.example", { valid: -1 }), "bad_format"],
    ["with a validity in text", answerOf("x.example", { extra: { valid_until_ts: "9" } }), "bad_format"],
    ["with a validity beyond what JSON holds", { ...good, valid_until_ts: 2 ** 53 }, "bad_format"],
    ["with a validity that is a fraction", { ...good, valid_until_ts: 0.5 }, "bad_format"],
    ["with a great integer anywhere", { ...good, more: [{ deep: 2n ** 70n }] }, "bad_format"],
    [
      "of 65 keys",
      withKeys(
        Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`ed25519:${at}`, { key: textOf("x.example 1") }])),
      ),
      "too_large",
    ],
    ["of more than 64 KiB", answerOf("x.example", { extra: { padding: "x".repeat(65_536) } }), "too_large"],
    [
      "of more values than bytes",
      answerOf("x.example", { extra: { padding: Array<number>(70_000).fill(1) } }),
      "too_large",
    ],
    [
      "nested deeply",
      { ...good, deep: Array.from({ length: 40 }).reduce((inner: unknown) => [inner], 1) },
      "too_large",
    ],
    ["that is a list", [good], "bad_format"],
    ["that is text", "keys", "bad_format"],
    ["that is nothing", undefined, "bad_format"],
    ["that is null", null, "bad_format"],
  ])("is not believed when it is one %s", async (_, json, code) => {
    expect(await codeOf(check(json))).toBe(code);
  });

  it("is not verified by a key of small order", async () => {
    const identity = Uint8Array.of(1, ...new Uint8Array(31));
    const forged = {
      ...good,
      verify_keys: { "ed25519:1": { key: encodeUnpadded(identity) } },
      signatures: { "x.example": { "ed25519:1": encodeUnpadded(Uint8Array.of(1, ...new Uint8Array(63))) } },
    };
    expect(await codeOf(check(forged))).toBe("bad_signature");
  });

  it("needs the notary's signature where it came from one", async () => {
    const notary = { server: "n.example", keys: new Map([["ed25519:n", publicOf("n")]]) };
    expect(await codeOf(check(good, { notary }))).toBe("bad_signature");
    expect(await codeOf(check(signedWith(good, "n.example", "n", "n"), { notary }))).toBe("ok");
    expect(await codeOf(check(signedWith(good, "n.example", "n", "forger"), { notary }))).toBe("bad_signature");
    expect(await codeOf(check(signedWith(good, "n.example", "m", "n"), { notary }))).toBe("bad_signature");
    // The notary's word does not stand in for the server's own.
    const unsigned = answerOf("x.example", { signers: [] });
    expect(await codeOf(check(signedWith(unsigned, "n.example", "n", "n"), { notary }))).toBe("bad_signature");
  });
});

// ---- validity ----------------------------------------------------------------------------------------------

describe("the validity of a key [cap:key-validity]", () => {
  /** How a message that a server's key signed fares in a room version, by what a ring fetched. */
  async function fares(version: string, answer: Answer, sentAt: number, signer: string = "1"): Promise<string> {
    const { ring, net } = rig();
    net.servers.set("x.example", () => answerOf("x.example", answer));
    const { rules } = versionOf(version);
    const bare: JsonObject = {
      type: "m.room.message",
      ...(rules.format.eventIds === "in-pdu" ? { event_id: "$e:x.example" } : {}),
      room_id: rules.format.roomIds === "create-hash" ? `!${"A".repeat(43)}` : "!r:x.example",
      sender: "@u:x.example",
      content: {},
      depth: 1,
      origin_server_ts: sentAt,
      auth_events: [],
      prev_events: [],
    };
    const key = { server: "x.example", keyId: `ed25519:${signer}`, seed: seedOf(`x.example ${signer}`) };
    const pdu = readPdu(rules, signEvent(rules, bare, key));
    if (!pdu.ok) throw new Error(pdu.error.reason);
    const found = await find(ring, wanted("x.example", signer, sentAt));
    return checkSignatures(rules, pdu.value, () => found).status;
  }

  it.each(["1", "4"])("is ignored in room version %s", async (version) => {
    expect(await fares(version, { valid: NOW }, NOW + 1)).toBe("verified");
    expect(await fares(version, { valid: NOW + 30 * DAY }, NOW + SEVEN_DAYS + 1)).toBe("verified");
    expect(await fares(version, { old: { 0: NOW - DAY } }, NOW, "0")).toBe("verified");
  });

  it.each(["5", "6", "11", "12", "I.1"])("ends with `valid_until_ts` in room version %s", async (version) => {
    expect(await fares(version, { valid: NOW }, NOW)).toBe("verified");
    expect(await fares(version, { valid: NOW }, NOW + 1)).toBe("refused");
  });

  it.each(["5", "11", "12", "I.1"])("ends seven days after it was fetched in room version %s", async (version) => {
    expect(await fares(version, { valid: NOW + 30 * DAY }, NOW + SEVEN_DAYS)).toBe("verified");
    expect(await fares(version, { valid: NOW + 30 * DAY }, NOW + SEVEN_DAYS + 1)).toBe("refused");
  });

  it.each(["5", "11", "12", "I.1"])("of an old key ends with its use in room version %s", async (version) => {
    expect(await fares(version, { old: { 0: NOW - DAY } }, NOW - DAY, "0")).toBe("verified");
    expect(await fares(version, { old: { 0: NOW - DAY } }, NOW - DAY + 1, "0")).toBe("refused");
  });

  it("for requests has the same ends, and old keys have none", () => {
    const key = publicOf("x");
    expect(isUsableForRequests({ key, validUntilTs: NOW, fetchedTs: NOW }, NOW)).toBe(true);
    expect(isUsableForRequests({ key, validUntilTs: NOW, fetchedTs: NOW }, NOW + 1)).toBe(false);
    expect(isUsableForRequests({ key, validUntilTs: NOW + 30 * DAY, fetchedTs: NOW }, NOW + SEVEN_DAYS)).toBe(true);
    expect(isUsableForRequests({ key, validUntilTs: NOW + 30 * DAY, fetchedTs: NOW }, NOW + SEVEN_DAYS + 1)).toBe(
      false,
    );
    expect(isUsableForRequests({ key, expiredTs: NOW + DAY, fetchedTs: NOW }, NOW)).toBe(false);
    expect(isUsableForRequests({ key }, NOW)).toBe(true);
  });
});

// ---- the key ring ------------------------------------------------------------------------------------------

describe("a key ring as the Keys port", () => {
  const network = createMemoryNetwork();
  const ringOn = (): { readonly keys: KeyRing; readonly server: string } => {
    const transport = network.transport("one.example");
    const current = [own("one.example", "1")] as const;
    return {
      keys: createKeyRing({ server: "one.example", own: { current }, transport, clock: createManualClock(NOW) }),
      server: "one.example",
    };
  };
  for (const { name, run } of keysSuite({ create: ringOn })) it(name, run);
});

describe("a key ring [cap:key-validity]", () => {
  it("asks a server once for all of its keys, however many look them up at once", async () => {
    const { ring, net } = rig();
    net.servers.set("x.example", () => answerOf("x.example", { current: { 1: "x.example 1", 2: "x.example 2" } }));
    const found = await Promise.all([
      has(ring, wanted("x.example"), wanted("x.example", "2")),
      has(ring, wanted("x.example", "2")),
      has(ring, wanted("x.example", "none")),
    ]);
    expect(found).toEqual([[true, true], [true], [false]]);
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
    expect(net.asked).toEqual(["x.example"]);
  });

  it("answers in the order of the requests, with bytes that are the caller's own", async () => {
    const { ring, net } = rig();
    for (const server of ["x.example", "y.example"]) net.servers.set(server, () => answerOf(server));
    const ask = [wanted("y.example"), wanted("z.example"), wanted("x.example"), wanted("y.example")];
    const found = await ring.lookup(ask);
    const names = ["x.example 1", "y.example 1"];
    expect(found.map((key) => nameOfKey(key, names))).toEqual(["y.example 1", undefined, "x.example 1", "y.example 1"]);
    found[0]?.key.fill(0);
    expect(nameOfKey(await find(ring, wanted("y.example")), names)).toBe("y.example 1");
  });

  it("asks nobody for names that no server has, for other algorithms, or for a policy server's key", async () => {
    const { ring, net } = rig();
    const requests = ["", "no name", "__proto__", "x/y", "me.example"].map((server) => wanted(server, "none"));
    const ids = ["ed25519:policy_server", "curve25519:1", "ed25519:a-b", "ed25519:", "", "__proto__"];
    const odd = ids.map((keyId) => ({ server: "x.example", keyId, validAt: NOW }));
    expect(new Set(await has(ring, ...requests, ...odd))).toEqual(new Set([false]));
    expect(net.asked).toEqual([]);
  });

  it("asks again for a validity beyond what it has, and keeps what it had when nobody answers", async () => {
    const { ring, net, clock } = rig();
    let valid = NOW + HOUR;
    net.servers.set("x.example", () => answerOf("x.example", { valid }));
    expect((await find(ring, wanted("x.example")))?.validUntilTs).toBe(NOW + HOUR);
    clock.advance(HOUR);
    expect(await has(ring, wanted("x.example", "1", NOW + HOUR))).toEqual([true]);
    expect(net.take()).toEqual(["x.example"]);
    valid = NOW + 3 * HOUR;
    expect((await find(ring, wanted("x.example", "1", NOW + HOUR + 1)))?.validUntilTs).toBe(valid);
    expect(net.take()).toEqual(["x.example"]);
    net.servers.delete("x.example");
    clock.advance(3 * HOUR);
    const kept = await find(ring, wanted("x.example", "1", clock.now()));
    expect(kept).toEqual({ key: publicOf("x.example 1"), validUntilTs: valid, fetchedTs: NOW + HOUR });
    expect(net.take()).toEqual(["x.example"]);
  });

  it("asks a server that answers once in ten seconds at most, whatever is wanted of it", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => answerOf("x.example"));
    for (let at = 0; at < 40; at++) {
      await has(ring, wanted("x.example", `bogus${at}`), wanted("x.example", "1", NOW + 30 * DAY + at));
      clock.advance(500);
    }
    expect(net.asked).toEqual(["x.example", "x.example"]);
  });

  it("asks a server that does not answer after pauses that double, up to five minutes", async () => {
    const { ring, net, clock } = rig();
    const at: number[] = [];
    net.servers.set("x.example", () => void at.push((clock.now() - NOW) / 1000));
    for (let second = 0; second <= 1200; second++) {
      await has(ring, wanted("x.example"));
      clock.advance(1000);
    }
    expect(at).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111]);
  });

  it("asks it again at once when it was heard from, and after a clock was set back", async () => {
    const { ring, net, clock } = rig();
    for (let fails = 0; fails < 6; fails++) {
      await has(ring, wanted("x.example"));
      clock.advance(2 ** fails * 1000);
    }
    await has(ring, wanted("x.example"));
    net.take();
    await has(ring, wanted("x.example"));
    expect(net.take()).toEqual([]);
    ring.heardFrom("x.example");
    ring.heardFrom("unknown.example");
    await has(ring, wanted("x.example"));
    expect(net.take()).toEqual(["x.example"]);
    clock.jump(-DAY);
    net.servers.set("x.example", () => answerOf("x.example"));
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
    // Having been heard from is no reason to ask a server that answered.
    net.take();
    ring.heardFrom("x.example");
    await has(ring, wanted("x.example", "none"));
    expect(net.take()).toEqual([]);
  });

  it("waits for an answer no longer than ten seconds, whether or not the transport heeds it", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => new Promise<undefined>(() => undefined));
    let found: readonly boolean[] | undefined;
    void has(ring, wanted("x.example")).then((answered) => (found = answered));
    await tick();
    clock.advance(9_999);
    await tick();
    expect(found).toBeUndefined();
    clock.advance(1);
    await tick();
    expect(found).toEqual([false]);
    expect(net.cancels[0]?.aborted).toBe(true);
    expect(clock.untilNext()).toBeUndefined();
  });

  it("asks at most sixteen servers at a time, and gives up what did not have its turn in thirty seconds", async () => {
    const { ring, net, clock } = rig();
    const names = Array.from({ length: 80 }, (_, at) => `s${at}.example`);
    for (const name of names) net.servers.set(name, () => new Promise<undefined>(() => undefined));
    net.servers.set("s79.example", () => answerOf("s79.example"));
    let found: readonly boolean[] | undefined;
    void has(ring, ...names.map((name) => wanted(name))).then((answered) => (found = answered));
    await tick();
    expect(net.asked.length).toBe(16);
    for (const asked of [32, 48]) {
      clock.advance(10_000);
      await tick();
      expect(net.asked.length).toBe(asked);
    }
    clock.advance(10_000);
    await tick();
    expect(found).toEqual(names.map(() => false));
    expect(net.cancels.every((cancel) => cancel?.aborted)).toBe(true);
    await tick();
    expect(net.asked.length).toBe(48);
    // Nothing is left that would hold others up.
    net.take();
    expect(await has(ring, wanted("s79.example"))).toEqual([true]);
    expect(clock.untilNext()).toBeUndefined();
  });

  it("lets go at once when cancelled, and cancels a request when nobody waits for it any more", async () => {
    const { ring, net } = rig();
    net.servers.set("x.example", () => new Promise<undefined>(() => undefined));
    const [one, two] = [new Canceller(), new Canceller()];
    const first = ring.lookup([wanted("x.example"), wanted("me.example")], one);
    const second = ring.lookup([wanted("x.example")], two);
    await tick();
    one.cancel();
    expect((await first).map((key) => key !== undefined)).toEqual([false, true]);
    expect(net.cancels[0]?.aborted).toBe(false);
    net.servers.set("x.example", () => answerOf("x.example"));
    two.cancel();
    // It was no failure: whoever asks next, even on the same turn, has it asked again.
    const third = has(ring, wanted("x.example"));
    expect(await second).toEqual([undefined]);
    expect(net.cancels[0]?.aborted).toBe(true);
    expect(await third).toEqual([true]);
    expect(await ring.lookup([wanted("y.example")], one)).toEqual([undefined]);
    expect(net.asked).toEqual(["x.example", "x.example"]);
  });

  it("keeps the keys of so many servers in memory, those last looked up", async () => {
    const { ring, net } = rig({ limits: { servers: 4 } });
    const names = Array.from({ length: 30 }, (_, at) => `s${at}.example`);
    for (const name of names) net.servers.set(name, () => answerOf(name));
    expect(await has(ring, ...names.map((name) => wanted(name)))).toEqual(names.map(() => true));
    net.take();
    await has(ring, wanted("s29.example"), wanted("s0.example"));
    expect(net.take()).toEqual(["s0.example"]);
  });

  it("believes nothing that is forged, and counts it as no answer", async () => {
    const { ring, net, clock } = rig();
    const forged = signedWith(answerOf("x.example", { signers: [] }), "x.example", "1", "forger");
    net.servers.set("x.example", () => forged);
    net.servers.set("y.example", () => answerOf("x.example"));
    expect(await has(ring, wanted("x.example"), wanted("y.example"))).toEqual([false, false]);
    clock.advance(999);
    await has(ring, wanted("x.example"));
    expect(net.take().length).toBe(2);
    clock.advance(1);
    await has(ring, wanted("x.example"));
    expect(net.take()).toEqual(["x.example"]);
  });

  it("is told of a transport, an Ed25519 port or an observer that fails, and goes on", async () => {
    const broken = { request: () => Promise.reject(new Error("no wire")) };
    const faults: unknown[] = [];
    const observer = {
      onFault: (fault: unknown): void => {
        faults.push(fault);
        throw new Error("the observer fails too");
      },
    };
    expect(await has(rig({ transport: broken, observer }).ring, wanted("x.example"))).toEqual([false]);
    expect(faults).toMatchObject([{ where: "server_keys of x.example", error: { message: "no wire" } }]);
    const { ring, net } = rig({ verify: () => Promise.reject(new Error("no hardware")), observer });
    net.servers.set("x.example", () => answerOf("x.example"));
    expect(await has(ring, wanted("x.example"))).toEqual([false]);
    expect(faults).toMatchObject([{}, { where: "the answer of x.example", error: { message: "no hardware" } }]);
  });
});

describe("a server that changes its keys [cap:key-validity]", () => {
  const first = (extra: Answer = {}): JsonObject => answerOf("x.example", extra);
  const second: Answer = { current: { 2: "x.example 2" }, old: { 1: NOW } };

  it("is asked when an event names a key that is not known", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => first());
    await has(ring, wanted("x.example"));
    clock.advance(HOUR);
    net.servers.set("x.example", () => first(second));
    expect(await has(ring, wanted("x.example", "2"))).toEqual([true]);
    expect(await find(ring, wanted("x.example", "1"))).toMatchObject({ expiredTs: NOW });
  });

  it("is not asked again and again about a key that it has put aside", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => first({ ...second, valid: NOW + HOUR }));
    await has(ring, wanted("x.example", "2"));
    clock.advance(HOUR);
    expect(await find(ring, wanted("x.example", "1", NOW + 1))).toMatchObject({ expiredTs: NOW });
    expect(net.asked).toEqual(["x.example"]);
    // When that answer is over, it may have taken the key up again.
    clock.advance(1);
    await has(ring, wanted("x.example", "1", NOW + 1));
    expect(net.asked).toEqual(["x.example", "x.example"]);
  });

  it("is asked about it again after seven days, however long its answer was to be valid", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => first({ ...second, valid: NOW + 30 * DAY }));
    await has(ring, wanted("x.example", "2"));
    clock.advance(SEVEN_DAYS);
    await has(ring, wanted("x.example", "1", NOW + 1));
    expect(net.asked).toEqual(["x.example"]);
    clock.advance(1);
    await has(ring, wanted("x.example", "1", NOW + 1));
    expect(net.asked).toEqual(["x.example", "x.example"]);
  });

  it("need not publish old keys for what they signed to be verified here", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => first());
    await has(ring, wanted("x.example"));
    clock.advance(HOUR);
    net.servers.set("x.example", () => first({ current: { 2: "x.example 2" }, valid: NOW + 9 * DAY }));
    await has(ring, wanted("x.example", "2"));
    const kept = await find(ring, wanted("x.example", "1", NOW));
    expect(kept).toEqual({ key: publicOf("x.example 1"), validUntilTs: NOW + DAY, fetchedTs: NOW });
  });

  it("cannot give a key id other bytes before the time that it promised is over", async () => {
    const { ring, net, clock, faults } = rig();
    const names = ["x.example 1", "another"];
    net.servers.set("x.example", () => first());
    await has(ring, wanted("x.example"));
    net.servers.set("x.example", () => first({ current: { 1: "another", 3: "x.example 3" }, valid: NOW + 2 * DAY }));
    clock.advance(DAY);
    expect(await has(ring, wanted("x.example", "3"))).toEqual([false]);
    expect(nameOfKey(await find(ring, wanted("x.example")), names)).toBe("x.example 1");
    expect(faults).toEqual(["keys of x.example: ed25519:1 came with other bytes; the answer is not believed"]);
    // One millisecond later it may have lost its key and begun anew.
    clock.advance(1000);
    expect(nameOfKey(await find(ring, wanted("x.example", "1", NOW + DAY + 1)), names)).toBe("another");
    expect(faults[1]).toBe("keys of x.example: ed25519:1 stands for another key now");
    expect(await has(ring, wanted("x.example", "3"))).toEqual([true]);
  });

  it("cannot make this server keep more than 64 keys, of which those that were valid last stay", async () => {
    const { ring, net, clock } = rig({ limits: { keysPerServer: 3 } });
    for (let at = 1; at <= 6; at++) {
      const current = { [at]: `x.example ${at}` };
      net.servers.set("x.example", () => first({ current, valid: NOW + at * HOUR }));
      expect(await has(ring, wanted("x.example", String(at)))).toEqual([true]);
      clock.advance(10_000);
    }
    net.servers.delete("x.example");
    const ids = ["1", "2", "3", "4", "5", "6"];
    const found = await Promise.all(ids.map(async (id) => await has(ring, wanted("x.example", id))));
    expect(found.flat()).toEqual([false, false, false, true, true, true]);
  });
});

describe("what a server leaves out", () => {
  it("stays in the order of its validity when there is no room for all of it", async () => {
    const { ring, net, clock } = rig({ limits: { keysPerServer: 2 } });
    for (const [version, hours] of [
      ["1", 6],
      ["2", 1],
      ["3", 2],
    ] as const) {
      net.servers.set("x.example", () =>
        answerOf("x.example", { current: { [version]: `x.example ${version}` }, valid: NOW + hours * HOUR }),
      );
      expect(await has(ring, wanted("x.example", version))).toEqual([true]);
      clock.advance(10_000);
    }
    net.servers.delete("x.example");
    const found = await has(ring, ...["1", "2", "3"].map((version) => wanted("x.example", version)));
    expect(found).toEqual([true, false, true]);
  });
});

describe("a store", () => {
  function memoryStore(): KeyStore & { readonly rows: Map<string, string> } {
    const rows = new Map<string, string>();
    return {
      rows,
      get: (server) => {
        const row = rows.get(server);
        return row === undefined ? undefined : (JSON.parse(row) as StoredKeys);
      },
      put: (keys) => void rows.set(keys.server, JSON.stringify(keys)),
    };
  }

  it("spares requests after a restart, and tells a notary's answers as well", async () => {
    const store = memoryStore();
    const before = rig({ store });
    before.net.servers.set("x.example", () => answerOf("x.example", { old: { 0: NOW - DAY } }));
    const requests = [wanted("x.example"), wanted("x.example", "0", NOW - DAY)];
    const found = await before.ring.lookup(requests);
    const after = rig({ store });
    expect(await after.ring.lookup(requests)).toEqual(found);
    const [handed] = await queried(after.ring, { "x.example": {} });
    expect(handed?.["server_name"]).toBe("x.example");
    expect(after.net.asked).toEqual([]);
  });

  it("keeps what promised keys are across a restart", async () => {
    const store = memoryStore();
    const before = rig({ store });
    before.net.servers.set("x.example", () => answerOf("x.example"));
    await has(before.ring, wanted("x.example"));
    const after = rig({ store });
    after.net.servers.set("x.example", () => answerOf("x.example", { current: { 1: "another", 2: "x.example 2" } }));
    expect(await has(after.ring, wanted("x.example"), wanted("x.example", "2"))).toEqual([true, false]);
    expect(nameOfKey(await find(after.ring, wanted("x.example")), ["x.example 1", "another"])).toBe("x.example 1");
  });

  it("is not lost when memory forgets", async () => {
    const store = memoryStore();
    const { ring, net } = rig({ store, limits: { servers: 1 } });
    for (const name of ["x.example", "y.example", "z.example"]) net.servers.set(name, () => answerOf(name));
    for (const name of ["x.example", "y.example", "z.example"]) await has(ring, wanted(name));
    net.servers.clear();
    net.take();
    expect(await has(ring, wanted("x.example"), wanted("y.example"), wanted("z.example"))).toEqual([true, true, true]);
    expect(net.asked).toEqual([]);
  });

  it("that fails costs requests and nothing else", async () => {
    const store: KeyStore = {
      get: () => Promise.reject(new Error("no disk")),
      put: () => {
        throw new Error("no disk");
      },
    };
    const { ring, net, faults } = rig({ store });
    net.servers.set("x.example", () => answerOf("x.example"));
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
    expect(faults).toEqual(Array(2).fill("the keys of x.example in the store: no disk"));
  });

  it("that gives another server's row, or a key that is none, is not believed", async () => {
    const store = memoryStore();
    const made = rig({ store });
    made.net.servers.set("y.example", () => answerOf("y.example"));
    await has(made.ring, wanted("y.example"));
    store.rows.set("x.example", store.rows.get("y.example") ?? "");
    const keys = [{ keyId: "ed25519:1", key: "AAAA", from: "server", validUntilTs: NOW + DAY, fetchedTs: NOW }];
    store.rows.set("z.example", JSON.stringify({ server: "z.example", validUntilTs: NOW + DAY, keys }));
    const { ring, net } = rig({ store });
    expect(await has(ring, wanted("x.example"), wanted("z.example"))).toEqual([false, false]);
    expect([...net.asked].sort()).toEqual(["x.example", "z.example"]);
  });
});

// ---- asking notaries ---------------------------------------------------------------------------------------

describe("a key ring with notaries [cap:notary]", () => {
  /** A notary that has the answers of these servers. */
  function notary(net: Played, name: string, ...known: readonly JsonObject[]): void {
    net.servers.set(name, () => answerOf(name));
    net.notaries.set(name, (request) => {
      const asked = Object.keys((request as OperationRequest<"query_keys">).serverKeys);
      return known
        .filter((one) => asked.some((server) => server === one["server_name"]))
        .map((one) => signedWith(one, name, "1", `${name} 1`));
    });
  }
  const one = { notaries: [{ server: "n.example" }] };
  /** A notary whose own keys are no question of time. */
  const pinned = { notaries: [{ server: "n.example", keys: { "ed25519:1": publicOf("n.example 1") } }] };

  it("asks them for who does not answer, with the time for which a key is wanted", async () => {
    const { ring, net } = rig(one);
    notary(net, "n.example", answerOf("x.example"));
    expect(await has(ring, wanted("x.example", "1", NOW + 5), wanted("x.example", "2", 3))).toEqual([true, false]);
    expect(net.asked).toEqual(["x.example", "n.example", "query_keys n.example"]);
    expect(net.requests[2]).toEqual({
      serverKeys: {
        "x.example": { "ed25519:1": { minimumValidUntilTs: NOW + 5 }, "ed25519:2": { minimumValidUntilTs: 3 } },
      },
    });
    expect(await find(ring, wanted("x.example"))).toMatchObject({ validUntilTs: NOW + DAY, fetchedTs: NOW });
  });

  it("does not ask them about what the server itself has just said", async () => {
    const { ring, net } = rig(one);
    notary(net, "n.example", answerOf("x.example"));
    net.servers.set("x.example", () => answerOf("x.example"));
    await has(ring, wanted("x.example", "1", NOW + 30 * DAY));
    expect(net.take()).toEqual(["x.example"]);
    // A key that the server does not list any more may be one that a notary remembers.
    net.servers.set("y.example", () => answerOf("y.example", { current: { 2: "y.example 2" } }));
    notary(net, "n.example", answerOf("y.example", { valid: NOW - DAY }));
    expect(await has(ring, wanted("y.example", "1", NOW - DAY))).toEqual([true]);
    expect(net.take()).toEqual(["y.example", "n.example", "query_keys n.example"]);
  });

  it("may ask them first, and the server when they do not know", async () => {
    const { ring, net } = rig({ ...one, askFirst: "notaries" });
    notary(net, "n.example", answerOf("x.example"));
    net.servers.set("y.example", () => answerOf("y.example"));
    expect(await has(ring, wanted("x.example"), wanted("y.example"))).toEqual([true, true]);
    expect(net.asked).toEqual(["n.example", "query_keys n.example", "y.example"]);
  });

  it("asks for many servers in one query, and for those who come later in the next", async () => {
    const { ring, net } = rig({ ...one, askFirst: "notaries", limits: { queryServers: 3 } });
    const names = Array.from({ length: 7 }, (_, at) => `s${at}.example`);
    notary(net, "n.example", ...names.map((name) => answerOf(name)));
    expect(await has(ring, ...names.map((name) => wanted(name)))).toEqual(names.map(() => true));
    const sizes = net.requests.flatMap((request) =>
      "serverKeys" in (request as object) ? [Object.keys((request as { serverKeys: object }).serverKeys).length] : [],
    );
    expect(sizes).toEqual([3, 3, 1]);
  });

  it("asks the next one when the first has nothing, and none that is down more than once", async () => {
    const { ring, net } = rig({ notaries: [{ server: "m.example" }, { server: "n.example" }] });
    notary(net, "n.example", answerOf("x.example"), answerOf("y.example"));
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
    expect(net.take()).toEqual(["x.example", "m.example", "n.example", "query_keys n.example"]);
    expect(await has(ring, wanted("y.example"))).toEqual([true]);
    expect(net.take()).toEqual(["y.example", "query_keys n.example"]);
  });

  it("pauses where no notary knows more", async () => {
    const { ring, net, clock } = rig(one);
    notary(net, "n.example");
    await has(ring, wanted("x.example"));
    net.take();
    await has(ring, wanted("x.example"));
    expect(net.take()).toEqual([]);
    clock.advance(1000);
    await has(ring, wanted("x.example"));
    expect(net.take()).toEqual(["x.example", "query_keys n.example"]);
  });

  it("believes keys of a notary that the host gave, without asking it for them", async () => {
    const keys = { "ed25519:1": publicOf("n.example 1") };
    const { ring, net } = rig({ notaries: [{ server: "n.example", keys }] });
    notary(net, "n.example", answerOf("x.example"));
    keys["ed25519:1"].fill(0);
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
    expect(net.asked).toEqual(["x.example", "query_keys n.example"]);
    const other = rig({ notaries: [{ server: "n.example", keys: { "ed25519:1": publicOf("another") } }] });
    notary(other.net, "n.example", answerOf("x.example"));
    expect(await has(other.ring, wanted("x.example"))).toEqual([false]);
  });

  it("follows a notary that rotates its key", async () => {
    const { ring, net, clock } = rig(one);
    notary(net, "n.example", answerOf("x.example"));
    await has(ring, wanted("x.example"));
    clock.advance(HOUR);
    net.take();
    net.servers.set("n.example", () => answerOf("n.example", { current: { 2: "n.example 2" }, old: { 1: NOW } }));
    net.notaries.set("n.example", () => [signedWith(answerOf("y.example"), "n.example", "2", "n.example 2")]);
    expect(await has(ring, wanted("y.example"))).toEqual([true]);
    expect(net.take()).toEqual(["y.example", "query_keys n.example", "n.example"]);
    // What its old key signs is no notary's word.
    net.notaries.set("n.example", () => [signedWith(answerOf("z.example"), "n.example", "1", "n.example 1")]);
    expect(await has(ring, wanted("z.example"))).toEqual([false]);
  });

  const forgeries: readonly [string, (x: JsonObject) => JsonValue][] = [
    ["that the notary did not sign", (x) => [x]],
    ["that another key signed as the notary's", (x) => [signedWith(x, "n.example", "1", "forger")]],
    [
      "that the server did not sign",
      () => [signedWith(answerOf("x.example", { signers: [] }), "n.example", "1", "n.example 1")],
    ],
    ["of a server that was not asked for", () => [signedWith(answerOf("y.example"), "n.example", "1", "n.example 1")]],
    ["that is no list", (x) => x],
    ["that is null", () => null],
    ["full of what is none", () => [null, 1, "x", [], {}, { server_name: 5 }, { server_name: "x.example" }]],
    [
      "behind too many others",
      (x) => [...Array<JsonValue>(4).fill({}), signedWith(x, "n.example", "1", "n.example 1")],
    ],
  ];
  it.each(forgeries)("believes no answer %s", async (_, forge) => {
    const { ring, net } = rig(one);
    net.servers.set("n.example", () => answerOf("n.example"));
    net.notaries.set("n.example", () => forge(answerOf("x.example")));
    expect(await has(ring, wanted("x.example"))).toEqual([false]);
    net.notaries.clear();
    expect(await has(ring, wanted("x.example"), wanted("y.example"))).toEqual([false, false]);
  });

  it("takes the server's own word over a notary's, and never a notary's over the server's", async () => {
    const { ring, net, clock, faults } = rig(pinned);
    const names = ["x.example 1", "made up"];
    notary(net, "n.example", answerOf("x.example", { current: { 1: "made up" }, valid: NOW + 5 * DAY }));
    expect(nameOfKey(await find(ring, wanted("x.example")), names)).toBe("made up");
    clock.advance(HOUR);
    net.servers.set("x.example", () => answerOf("x.example", { valid: NOW + DAY }));
    await has(ring, wanted("x.example", "other"));
    expect(nameOfKey(await find(ring, wanted("x.example")), names)).toBe("x.example 1");
    net.servers.delete("x.example");
    clock.advance(2 * DAY);
    faults.length = 0;
    const late = await find(ring, wanted("x.example", "1", clock.now()));
    expect(nameOfKey(late, names)).toBe("x.example 1");
    expect(faults.at(-1)).toMatch(/ed25519:1 came with other bytes/);
  });

  it("holds a key for the server's own word after a notary has repeated it", async () => {
    const { ring, net, clock } = rig(pinned);
    const names = ["x.example 1", "made up"];
    net.servers.set("x.example", () => answerOf("x.example"));
    await has(ring, wanted("x.example"));
    net.servers.delete("x.example");
    for (const [seedName, days] of [
      ["x.example 1", 3],
      ["made up", 5],
    ] as const) {
      clock.advance(2 * DAY);
      notary(net, "n.example", answerOf("x.example", { current: { 1: seedName }, valid: NOW + days * DAY }));
      const found = await find(ring, wanted("x.example", "1", clock.now()));
      expect(nameOfKey(found, names)).toBe("x.example 1");
      expect(found?.validUntilTs).toBe(NOW + 3 * DAY);
    }
  });

  it("does not ask a notary about itself", async () => {
    const keys = { "ed25519:1": publicOf("n.example 1") };
    const { ring, net } = rig({ notaries: [{ server: "n.example", keys }, { server: "me.example" }] });
    expect(await has(ring, wanted("n.example"))).toEqual([false]);
    expect(net.asked).toEqual(["n.example"]);
  });

  it("begins with a short pause again once a notary has answered", async () => {
    const { ring, net, clock } = rig({
      notaries: [{ server: "n.example", keys: { "ed25519:1": publicOf("n.example 1") } }],
    });
    const queries = async (server: string): Promise<number> => {
      net.take();
      await has(ring, wanted(server));
      return net.take().filter((asked) => asked.startsWith("query_keys")).length;
    };
    expect(await queries("a.example")).toBe(1);
    expect(await queries("b.example")).toBe(0);
    clock.advance(1000);
    notary(net, "n.example", answerOf("c.example"));
    expect(await queries("c.example")).toBe(1);
    net.notaries.clear();
    expect(await queries("d.example")).toBe(1);
    clock.advance(1000);
    expect(await queries("e.example")).toBe(1);
  });

  it("makes no Ed25519 check for servers that it did not ask for", async () => {
    let checks = 0;
    const counting: Keys["verify"] = (requests) => {
      checks += requests.length;
      return verify(requests);
    };
    const keys = { "ed25519:1": publicOf("n.example 1") };
    const { ring, net } = rig({ notaries: [{ server: "n.example", keys }], verify: counting });
    const [x, y] = ["x.example", "y.example"].map((name) =>
      signedWith(answerOf(name), "n.example", "1", "n.example 1"),
    );
    net.notaries.set("n.example", () => [y!, y!, x!]);
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
    expect(checks).toBe(2);
  });

  it("learns nothing but unknown key ids from an answer that is older than what it has", async () => {
    const { ring, net, clock } = rig(pinned);
    const rotated: Answer = { current: { 2: "x.example 2" }, old: { 1: NOW - DAY }, valid: NOW + DAY };
    net.servers.set("x.example", () => answerOf("x.example", rotated));
    await has(ring, wanted("x.example", "2"));
    clock.advance(HOUR);
    net.servers.delete("x.example");
    const stale = { current: { 0: "x.example 0", 1: "x.example 1" }, valid: NOW - HOUR };
    notary(net, "n.example", answerOf("x.example", stale));
    expect(await has(ring, wanted("x.example", "0"))).toEqual([true]);
    expect(await find(ring, wanted("x.example", "1"))).toMatchObject({ expiredTs: NOW - DAY });
  });

  it("leaves a query when cancelled, which is cancelled with the last who wanted it", async () => {
    const { ring, net } = rig({ ...one, askFirst: "notaries" });
    notary(net, "n.example");
    net.notaries.set("n.example", () => new Promise<undefined>(() => undefined));
    const [first, second] = [new Canceller(), new Canceller()];
    const x = ring.lookup([wanted("x.example")], first);
    const y = ring.lookup([wanted("y.example")], second);
    await tick();
    expect(net.asked).toEqual(["n.example", "query_keys n.example"]);
    first.cancel();
    expect(await x).toEqual([undefined]);
    expect(net.cancels[1]?.aborted).toBe(false);
    second.cancel();
    expect(await y).toEqual([undefined]);
    expect(net.cancels[1]?.aborted).toBe(true);
    await tick();
    notary(net, "n.example", answerOf("x.example"));
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
  });

  it("is not held up by an Ed25519 port that fails while a notary's answers are checked", async () => {
    const failing: Keys["verify"] = (requests) => {
      if (requests.length > 1) throw new Error("no hardware");
      return verify(requests);
    };
    const { ring, net, faults } = rig({ ...one, verify: failing });
    notary(net, "n.example", answerOf("x.example"));
    expect(await has(ring, wanted("x.example"))).toEqual([false]);
    expect(faults).toEqual(["the notary n.example: no hardware"]);
  });
});

// ---- being a notary ----------------------------------------------------------------------------------------

describe("a notary [cap:notary]", () => {
  it("hands on a server's own answer with two signatures", async () => {
    const { ring, net } = rig();
    net.servers.set("x.example", () => signedWith(answerOf("x.example"), "stranger.example", "1", "stranger"));
    const [json, ...others] = await queried(ring, { "x.example": { "ed25519:1": {} } });
    expect(others).toEqual([]);
    const { signatures, ...rest } = json!;
    const { signatures: _, ...published } = answerOf("x.example");
    expect(rest).toEqual(published);
    expect(Object.keys(signatures as JsonObject).sort()).toEqual(["me.example", "x.example"]);
    expect(isSignedBy(json!, "x.example", "1", "x.example 1")).toBe(true);
    expect(isSignedBy(json!, "me.example", "1", "me.example 1")).toBe(true);
  });

  it("asks again when half of an answer's lifetime is over, at most seven days after it was fetched", async () => {
    for (const [valid, half] of [
      [NOW + DAY, DAY / 2],
      [NOW + 400 * DAY, SEVEN_DAYS / 2],
    ] as const) {
      const { ring, net, clock } = rig();
      net.servers.set("x.example", () => answerOf("x.example", { valid }));
      await queried(ring, { "x.example": {} });
      clock.advance(half - 1);
      await queried(ring, { "x.example": { "ed25519:1": {} } });
      expect(net.take()).toEqual(["x.example"]);
      clock.advance(1);
      await queried(ring, { "x.example": {} });
      expect(net.take()).toEqual(["x.example"]);
    }
  });

  it("asks again for a key that the answer has not, or a validity that it has not", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => answerOf("x.example"));
    const ask = async (keyId: string, minimumValidUntilTs?: number): Promise<readonly string[]> => {
      clock.advance(10_000);
      await queried(ring, {
        "x.example": { [keyId]: minimumValidUntilTs === undefined ? {} : { minimumValidUntilTs } },
      });
      return net.take();
    };
    await ask("ed25519:1");
    expect(await ask("ed25519:1", NOW + DAY)).toEqual([]);
    expect(await ask("ed25519:1", NOW + DAY + 1)).toEqual(["x.example"]);
    expect(await ask("ed25519:2")).toEqual(["x.example"]);
    expect(await ask("ed25519:1")).toEqual([]);
  });

  it("asks again when its clock was set back to before it asked", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => answerOf("x.example"));
    await queried(ring, { "x.example": {} });
    clock.jump(-HOUR);
    await queried(ring, { "x.example": {} });
    expect(net.asked).toEqual(["x.example", "x.example"]);
  });

  it("takes a validity that is not given for the present time", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => answerOf("x.example", { valid: NOW - HOUR }));
    await queried(ring, { "x.example": { "ed25519:1": {} } });
    clock.advance(10_000);
    await queried(ring, { "x.example": { "ed25519:1": {} } });
    expect(net.asked).toEqual(["x.example", "x.example"]);
  });

  it("keeps handing on the last good answer when the server is offline or answers nonsense", async () => {
    const { ring, net, clock } = rig();
    net.servers.set("x.example", () => answerOf("x.example"));
    const [before] = await queried(ring, { "x.example": {} });
    net.servers.delete("x.example");
    clock.advance(30 * DAY);
    expect(await queried(ring, { "x.example": {} })).toEqual([before]);
    net.servers.set("x.example", () => answerOf("x.example", { signers: [] }));
    clock.advance(HOUR);
    expect(await queried(ring, { "x.example": { "ed25519:1": {} } })).toEqual([before]);
    expect(net.asked.length).toBe(3);
  });

  it("leaves out who cannot be reached, and answers an empty query with nothing", async () => {
    const { ring, net } = rig();
    net.servers.set("x.example", () => answerOf("x.example"));
    const names = (await queried(ring, { "y.example": {}, "x.example": {} })).map((json) => json["server_name"]);
    expect(names).toEqual(["x.example"]);
    expect(await queried(ring, { "y.example": {} })).toEqual([]);
    expect(await queried(ring, {})).toEqual([]);
  });

  it("answers for itself, and asks nobody for a name that no server has", async () => {
    const { ring, net } = rig();
    const found = await queried(ring, { "me.example": {}, "no name": {}, x_y: {}, "": {} });
    expect(found).toEqual([await ring.publish()]);
    expect(net.asked).toEqual([]);
  });

  it("vouches for what it heard itself, not for what another notary told it", async () => {
    const { ring, net, clock } = rig({ notaries: [{ server: "n.example" }] });
    net.servers.set("n.example", () => answerOf("n.example"));
    net.notaries.set("n.example", () => [signedWith(answerOf("x.example"), "n.example", "1", "n.example 1")]);
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
    net.take();
    clock.advance(1000);
    expect(await queried(ring, { "x.example": {} })).toEqual([]);
    expect(net.take()).toEqual(["x.example"]);
  });

  it("asks each server once for many queries, and eight at a time", async () => {
    const { ring, net, clock } = rig({ limits: { queryWaiting: 4 } });
    const names = Array.from({ length: 20 }, (_, at) => `s${at}.example`);
    for (const name of names) net.servers.set(name, () => new Promise<undefined>(() => undefined));
    net.servers.set("x.example", () => answerOf("x.example"));
    const asked = Object.fromEntries(names.map((name) => [name, {}]));
    const queries = [1, 2, 3].map(() => queried(ring, asked));
    await tick();
    expect(net.asked.length).toBe(8);
    // This server's own needs do not wait behind what others ask for.
    expect(await has(ring, wanted("x.example"))).toEqual([true]);
    clock.advance(10_000);
    await tick();
    // Four more had a place in the line; the others were turned away.
    expect(net.asked.length).toBe(8 + 1 + 4);
    clock.advance(10_000);
    expect(await Promise.all(queries)).toEqual([[], [], []]);
    expect(new Set(net.asked).size).toBe(13);
  });

  it("answers within thirty seconds with what it has, and at once when cancelled", async () => {
    const { ring, net, clock } = rig({ limits: { requestTime: 10 * HOUR } });
    net.servers.set("x.example", () => answerOf("x.example"));
    net.servers.set("y.example", () => new Promise<undefined>(() => undefined));
    const both = queried(ring, { "x.example": {}, "y.example": {} });
    await tick();
    clock.advance(30_000);
    expect((await both).map((json) => json["server_name"])).toEqual(["x.example"]);
    const cancel = new Canceller();
    const cancelled = query(ring, { "y.example": {} }, cancel);
    cancel.cancel();
    expect(await codeOf(cancelled)).toBe("cancelled");
  });

  it("signs each answer once for as long as it hands it on, and anew when its own key changed", async () => {
    let signed = 0;
    const counting = (version: string): OwnKey => {
      const key = own("me.example", version);
      return {
        ...key,
        sign: (message) => {
          signed++;
          return key.sign(message);
        },
      };
    };
    const { ring, net } = rig({ own: { current: [counting("1")] } });
    net.servers.set("x.example", () => answerOf("x.example"));
    for (let at = 0; at < 3; at++) await queried(ring, { "x.example": {} });
    expect(signed).toBe(1);
    const old = { keyId: "ed25519:1", key: publicOf("me.example 1"), expiredTs: NOW };
    ring.rotate({ current: [counting("2")], old: [old] });
    const [json] = await queried(ring, { "x.example": {} });
    expect(signersIn(json!, "me.example")).toEqual(["ed25519:2"]);
  });

  const many = (count: number): JsonObject =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}.example`, {}]));
  it.each<[string, unknown, string]>([
    ["of 101 servers", { serverKeys: many(101) }, "too_large"],
    [
      "of 101 keys",
      { serverKeys: { "x.example": Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`k${at}`, {}])) } },
      "too_large",
    ],
    ["of nothing", undefined, "bad_request"],
    ["of null", null, "bad_request"],
    ["without servers", {}, "bad_request"],
    ["of a list", { serverKeys: [] }, "bad_request"],
    ["with a list of keys", { serverKeys: { "x.example": ["ed25519:1"] } }, "bad_request"],
    ["with null for a key", { serverKeys: { "x.example": { "ed25519:1": null } } }, "bad_request"],
    ["with a time in text", { serverKeys: { "x.example": { a: { minimumValidUntilTs: "1" } } } }, "bad_request"],
    ["with half a millisecond", { serverKeys: { "x.example": { a: { minimumValidUntilTs: 0.5 } } } }, "bad_request"],
    ["with a function", { serverKeys: { "x.example": () => 1 } }, "bad_request"],
  ])("refuses a query %s and asks nobody", async (_, request, code) => {
    const { ring, net } = rig();
    expect(await codeOf(ring.query(request as OperationRequest<"query_keys">))).toBe(code);
    expect(net.asked).toEqual([]);
  });
});

// ---- servers -----------------------------------------------------------------------------------------------

describe("servers with key rings [cap:key-publication]", () => {
  interface RingNode extends Node {
    readonly ring: KeyRing;
  }

  /** A server whose keys nobody has but itself: its ring asks over the network. */
  async function withRing(world: World, name: string, options: Partial<KeyRingOptions> = {}): Promise<RingNode> {
    const full = nameOf(name);
    let ring: KeyRing | undefined;
    const node = await world.add(name, {
      ports: (given) => {
        const { server, transport, clock, observer } = given;
        const current = [own(full, "1")] as const;
        ring = createKeyRing({ server, own: { current }, transport, clock, ...options, ...(observer && { observer }) });
        const made: ServerOptions = { ...given, keys: ring, publishes: ring };
        return made;
      },
    });
    if (ring === undefined) throw new Error("the ports were not asked for");
    return Object.assign(node, { ring });
  }

  it("learn each other's keys by asking, and share a room", async () => {
    const world = new World();
    for (const name of ["a", "b"]) await withRing(world, name);
    const roomId = await world.shared("11", "a", "b");
    await done(world.say("b", roomId, "hello"));
    await done(world.say("a", roomId, "hello yourself"));
    await world.deliver();
    expect(await world.view("a", roomId)).toEqual(await world.view("b", roomId));
    const asked = world.callsOf("server_keys").map(({ from, to }) => `${from} ${to}`);
    expect(asked.sort()).toEqual(["a.example b.example", "b.example a.example"]);
    expect(world.faults()).toEqual([]);
  });

  it("learn the keys of one that is offline from a third, as its notary", async () => {
    const world = new World();
    await withRing(world, "a");
    await withRing(world, "n");
    const c = await withRing(world, "c", { notaries: [{ server: "n.example" }] });
    const roomId = await world.shared("11", "a", "n");
    await done(world.say("a", roomId, "before it goes"));
    await world.deliver();
    world.network.disconnect("a.example");
    // The state that `n` hands over holds events that only `a` signed.
    await done(world.server("c").join({ roomId, userId: userOf("c"), via: ["n.example"] }));
    await world.deliver();
    expect(await world.membership("c", roomId, userOf("a"))).toBe("join");
    const [key] = await c.ring.lookup([wanted("a.example")]);
    expect(nameOfKey(key, ["a.example 1"])).toBe("a.example 1");
    const [queryCall] = world.callsOf("query_keys");
    expect(queryCall).toMatchObject({ from: "c.example", to: "n.example" });
    const { value } = queryCall?.answer as { readonly value: { readonly serverKeys: readonly JsonObject[] } };
    expect(isSignedBy(value.serverKeys[0]!, "a.example", "1", "a.example 1")).toBe(true);
    expect(isSignedBy(value.serverKeys[0]!, "n.example", "1", "n.example 1")).toBe(true);
  });

  it("go on after one rotates its keys, and verify what came before", async () => {
    const world = new World();
    const a = await withRing(world, "a");
    await withRing(world, "b");
    const roomId = await world.shared("11", "a", "b");
    await world.pass(DAY);
    const expiredTs = world.clock.now();
    a.ring.rotate({
      current: [own("a.example", "2")],
      old: [{ keyId: "ed25519:1", key: publicOf("a.example 1"), expiredTs }],
    });
    await world.pass(1000);
    const sent = await done(world.say("a", roomId, "with the new key"));
    expect(Object.keys((sent.json["signatures"] as JsonObject)["a.example"] as JsonObject)).toEqual(["ed25519:2"]);
    await world.deliver();
    const c = await withRing(world, "c");
    await done(world.server("c").join({ roomId, userId: userOf("c"), via: ["b.example"] }));
    await world.deliver();
    expect(await world.view("b", roomId)).toEqual(await world.view("a", roomId));
    expect(await world.view("c", roomId)).toEqual(await world.view("a", roomId));
    expect(await find(c.ring, wanted("a.example", "1"))).toMatchObject({ expiredTs });
  });

  it("try a server's keys again as soon as it is heard from after an outage", async () => {
    const world = new World();
    await withRing(world, "a");
    const b = await withRing(world, "b");
    const roomId = await world.shared("11", "a", "b");
    // Nobody has seen c's keys when it falls silent.
    await withRing(world, "c");
    world.network.disconnect("c.example");
    for (let at = 0; at < 12; at++) {
      await has(b.ring, wanted("c.example"));
      await world.pass(5 * 60 * 1000 - 1);
    }
    world.network.connect("c.example");
    await done(world.server("c").join({ roomId, userId: userOf("c"), via: ["b.example"] }));
    await world.deliver();
    expect(await world.membership("a", roomId, userOf("c"))).toBe("join");
  });

  it("answer whoever asks for keys, policy or none, and nobody where they publish none", async () => {
    const world = new World();
    const policy = { checkServer: () => ({ code: "blocked", reason: "not here" }) };
    const closed = await withRing(world, "a");
    await world.add("plain", {});
    const shut = await world.add("shut", {
      policy,
      ports: (given): ServerOptions => ({ ...given, keys: closed.ring, publishes: closed.ring }),
    });
    const asked = await world.ask("stranger", shut.name, "server_keys", {});
    expect(asked).toEqual({ ok: true, value: { keys: await closed.ring.publish() } });
    expect((await world.ask("stranger", "shut", "query_keys", { serverKeys: {} })).ok).toBe(true);
    const withoutBody = null as unknown as OperationRequest<"query_keys">;
    expect(await codeOf(world.ask("stranger", "shut", "query_keys", withoutBody))).toBe("bad_request");
    expect(await codeOf(world.ask("stranger", "plain", "server_keys", {}))).toBe("not_found");
    expect(await codeOf(world.ask("stranger", "plain", "query_keys", { serverKeys: {} }))).toBe("not_found");
    expect(world.faults()).toEqual([]);
  });
});
