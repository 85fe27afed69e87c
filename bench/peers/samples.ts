/** Signed sample events, and the file that contenders read them from. */
import { writeFileSync } from "node:fs";
import { encodeUnpadded, publicKeyFromSeed } from "../../src/crypto/index.js";
import { eventIdOf, signEvent } from "../../src/event/index.js";
import type { SigningKey } from "../../src/event/index.js";
import { encodeCanonical, encodeCanonicalBytes } from "../../src/json/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { v10 } from "../../src/versions/index.js";

/** Canonical bytes of an event, signatures included, as in bench/events.ts. */
export const SAMPLE_BYTES = 700;
/** How many different events go round: as many messages as memberships. */
export const SAMPLES = 256;
/** Of how many of them the signatures are checked. */
const SIGNED = 64;

export interface SampleHead {
  readonly room_version: string;
  readonly server: string;
  readonly key_id: string;
  readonly public_key: string;
  readonly signed: number;
}

const key: SigningKey = {
  server: "s1.example",
  keyId: "ed25519:a_bench",
  seed: Uint8Array.from({ length: 32 }, (_, at) => at),
};

function sample(at: number): JsonObject {
  const make = (filler: string): JsonObject => signEvent(v10.rules, unsigned(at, filler), key);
  const event = make("x".repeat(SAMPLE_BYTES - encodeCanonicalBytes(make("")).length));
  if (encodeCanonicalBytes(event).length !== SAMPLE_BYTES) throw new Error("the sample has another size");
  return event;
}

function unsigned(at: number, filler: string): JsonObject {
  const id = (seed: number): string => eventIdOf(v10.rules, { type: "m.room.message", content: {}, depth: seed });
  const member = at % 2 === 1;
  return {
    auth_events: [id(1), id(2), id(3)],
    content: member ? { displayname: filler, membership: "join" } : { body: filler, msgtype: "m.text" },
    depth: 1000 + at,
    origin_server_ts: 1_700_000_000_000 + at,
    prev_events: [id(1000 + at)],
    room_id: "!bench:s0.example",
    sender: "@u1:s1.example",
    ...(member ? { state_key: "@u1:s1.example" } : {}),
    type: member ? "m.room.member" : "m.room.message",
  };
}

/** A head line, then one event a line. */
export function writeSamples(file: string): void {
  const head: SampleHead = {
    room_version: v10.id,
    server: key.server,
    key_id: key.keyId,
    public_key: encodeUnpadded(publicKeyFromSeed(key.seed)),
    signed: SIGNED,
  };
  const texts = Array.from({ length: SAMPLES }, (_, at) => encodeCanonical(sample(at)));
  writeFileSync(file, [JSON.stringify(head), ...texts].join("\n"));
}
