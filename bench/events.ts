/** Operations on single events: canonical JSON, ids, hashes, signatures, authorisation. */
import { createPrivateKey, createPublicKey, sign as nodeSign, verify as nodeVerify } from "node:crypto";
import { hashes, sign as bareSign, verify as bareVerify } from "@noble/ed25519";
import { sha256 as bareSha256, sha512 } from "@noble/hashes/sha2.js";
import { checkStateDependent, checkStateIndependent } from "../src/auth/index.js";
import { publicKeyFromSeed, rememberingProvider } from "../src/crypto/index.js";
import {
  checkSignatures,
  contentHash,
  eventIdOf,
  eventSignedBytes,
  parsePduText,
  planSignatures,
  readEvent,
  settleSignatures,
  signEvent,
} from "../src/event/index.js";
import type { KeyLookup, LooseEvent, SigningKey } from "../src/event/index.js";
import { encodeCanonical, encodeCanonicalBytes, parseStrict } from "../src/json/index.js";
import type { JsonObject } from "../src/json/index.js";
import { v10 } from "../src/versions/index.js";
import type { Task } from "./measure.js";
import { growTrunk } from "./room.js";
import type { Trunk } from "./room.js";

/** Canonical bytes of the sample events, signatures included. */
const EVENT_BYTES = 700;
/** How many different events go round, so that no result can be remembered from call to call. */
const EVENTS = 256;

const key: SigningKey = {
  server: "s1.example",
  keyId: "ed25519:a_bench",
  seed: Uint8Array.from({ length: 32 }, (_, at) => at),
};

/** Signed events of exactly {@link EVENT_BYTES}; `pad` puts filler into the content. */
function samples(type: string, pad: (filler: string) => JsonObject): readonly JsonObject[] {
  return Array.from({ length: EVENTS }, (_, at) => {
    const make = (filler: string): JsonObject => signEvent(v10.rules, unsigned(type, at, pad(filler)), key);
    const bare = encodeCanonicalBytes(make("")).length;
    const event = make("x".repeat(EVENT_BYTES - bare));
    if (encodeCanonicalBytes(event).length !== EVENT_BYTES) throw new Error("the sample has another size");
    // As a server holds it: read from text, not made by a literal.
    return JSON.parse(encodeCanonical(event)) as JsonObject;
  });
}

function unsigned(type: string, at: number, content: JsonObject): JsonObject {
  const id = (seed: number): string => `$${String(seed).padStart(4, "0")}AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-A`;
  return {
    auth_events: [id(1), id(2)],
    content,
    depth: 1000 + at,
    origin_server_ts: 1_700_000_000_000 + at,
    prev_events: [id(10 + at)],
    room_id: "!bench:s0.example",
    sender: "@u1:s1.example",
    ...(type === "m.room.member" ? { state_key: "@u1:s1.example" } : {}),
    type,
  };
}

/** A task over all samples in turn. */
function overAll<T>(
  group: string,
  name: string,
  floor: string | undefined,
  items: readonly T[],
  run: (item: T) => unknown,
): Task {
  const all = (): unknown => {
    let last: unknown;
    for (const item of items) last = run(item);
    return last;
  };
  return { group, name, batch: items.length, run: all, ...(floor === undefined ? {} : { floor }) };
}

const STRINGIFY = "JSON.stringify";
const PARSE = "JSON.parse";
const SHA256 = "SHA-256 (noble)";
const SIGN = "Ed25519 sign (noble)";
const VERIFY = "Ed25519 verify (noble)";

export function eventTasks(): readonly Task[] {
  const messages = samples("m.room.message", (body) => ({ body, msgtype: "m.text" }));
  const members = samples("m.room.member", (displayname) => ({ displayname, membership: "join" }));
  return [...floorTasks(messages), ...jsonTasks(messages, members), ...signatureTasks(messages), ...authTasks()];
}

function floorTasks(messages: readonly JsonObject[]): readonly Task[] {
  const texts = messages.map((event) => encodeCanonical(event));
  const bytes = messages.map((event) => encodeCanonicalBytes(event));
  const group = "floors";
  return [
    overAll(group, STRINGIFY, undefined, messages, (event) => JSON.stringify(event)),
    overAll(group, PARSE, undefined, texts, (text) => JSON.parse(text) as unknown),
    overAll(group, SHA256, undefined, bytes, (message) => bareSha256(message)),
    ...ed25519Floors(messages.slice(0, 4)),
  ];
}

function ed25519Floors(messages: readonly JsonObject[]): readonly Task[] {
  // noble's synchronous calls read their hash from this slot.
  hashes.sha512 = sha512;
  const publicKey = publicKeyFromSeed(key.seed);
  const privateJwk = { kty: "OKP", crv: "Ed25519", d: base64Url(key.seed), x: base64Url(publicKey) };
  const privateKey = createPrivateKey({ key: privateJwk, format: "jwk" });
  const nodeKey = createPublicKey(privateKey);
  const signed = messages.map((event) => {
    const message = eventSignedBytes(v10.rules, event);
    return { message, signature: bareSign(message, key.seed) };
  });
  const group = "floors";
  return [
    overAll(group, SIGN, undefined, signed, ({ message }) => bareSign(message, key.seed)),
    overAll(group, VERIFY, undefined, signed, ({ message, signature }) => bareVerify(signature, message, publicKey)),
    overAll(group, "Ed25519 sign (node:crypto)", SIGN, signed, ({ message }) => nodeSign(null, message, privateKey)),
    overAll(group, "Ed25519 verify (node:crypto)", VERIFY, signed, ({ message, signature }) =>
      nodeVerify(null, message, nodeKey, signature),
    ),
  ];
}

function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

function jsonTasks(messages: readonly JsonObject[], members: readonly JsonObject[]): readonly Task[] {
  const texts = messages.map((event) => encodeCanonical(event));
  const group = "one event of 700 bytes";
  return [
    overAll(group, "canonical JSON", STRINGIFY, messages, encodeCanonical),
    overAll(group, "canonical JSON, bytes", STRINGIFY, messages, encodeCanonicalBytes),
    overAll(group, "strict parse", PARSE, texts, (text) => parseStrict(text)),
    overAll(group, "parse and check a PDU, with its id", PARSE, texts, (text) => parsePduText(v10.rules, text)),
    overAll(group, "content hash", SHA256, messages, contentHash),
    overAll(group, "event id, message", SHA256, messages, (event) => eventIdOf(v10.rules, event)),
    overAll(group, "event id, membership", SHA256, members, (event) => eventIdOf(v10.rules, event)),
  ];
}

function signatureTasks(messages: readonly JsonObject[]): readonly Task[] {
  const few = messages.slice(0, 4);
  const keys: KeyLookup = () => ({ key: publicKeyOf });
  const publicKeyOf = publicKeyFromSeed(key.seed);
  const read = few.map((event) => readOrThrow(event));
  const remembering = rememberingProvider();
  const group = "one event of 700 bytes";
  return [
    overAll(group, "hash and sign", SIGN, few, (event) => signEvent(v10.rules, event, key)),
    overAll(group, "verify", VERIFY, read, (event) => mustVerify(checkSignatures(v10.rules, event, keys).status)),
    overAll(group, "verify, key remembered", VERIFY, read, (event) => {
      const plan = planSignatures(v10.rules, event, keys);
      const outcomes = plan.checks.map((c) => remembering.verify(c.signature, c.message, c.key));
      mustVerify(settleSignatures(plan, outcomes).status);
    }),
  ];
}

function mustVerify(status: string): void {
  if (status !== "verified") throw new Error("the sample does not verify");
}

function readOrThrow(event: JsonObject): LooseEvent {
  const read = readEvent(v10.rules, event);
  if (!read.ok) throw new Error(read.error.reason);
  return read.value;
}

function authTasks(): readonly Task[] {
  const small = growTrunk({ roomVersion: "10", members: 1000, servers: 20, paddingUsers: 20, powerHistory: 64 });
  const large = growTrunk({ roomVersion: "10", members: 100, servers: 20, paddingUsers: 1000, powerHistory: 64 });
  const group = "authorisation of one event";
  const joins = small.events.filter(({ type }) => type === "m.room.member").slice(-EVENTS);
  const message = { type: "m.room.message", stateKey: undefined, content: { body: "x" } };
  const messages = joins.map((join) => ({ ...join, ...message }));
  return [
    overAll(group, "what it cites", STRINGIFY, joins, citesCheck(small)),
    overAll(group, "message against the room's state", STRINGIFY, messages, stateCheck(small)),
    overAll(group, "join against the room's state", STRINGIFY, joins, stateCheck(small)),
    overAll(group, "power levels, 37 users", STRINGIFY, lastPowerLevels(small), stateCheck(small)),
    overAll(group, "power levels, 1,017 users", STRINGIFY, lastPowerLevels(large), stateCheck(large)),
  ];
}

type Check = (event: LooseEvent) => void;

function citesCheck(trunk: Trunk): Check {
  const known = new Map(trunk.events.map((event) => [event.eventId, { event, rejected: false }]));
  return (event) => {
    const { verdict } = checkStateIndependent(trunk.version.rules, event, (id) => known.get(id));
    if (verdict !== "allowed") throw new Error("the sample is not allowed");
  };
}

function stateCheck(trunk: Trunk): Check {
  return (event) => {
    const { verdict } = checkStateDependent(trunk.version.rules, event, (type, of) => trunk.state.get(type, of));
    if (verdict !== "allowed") throw new Error("the sample is not allowed");
  };
}

function lastPowerLevels(trunk: Trunk): readonly LooseEvent[] {
  return trunk.events.filter(({ type }) => type === "m.room.power_levels").slice(-16);
}
