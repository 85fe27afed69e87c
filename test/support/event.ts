/** Events and keys that the tests of the event layer share. */
import { publicKeyFromSeed } from "../../src/crypto/index.js";
import type { KeyLookup, RoomEvent, SigningKey, VerifyKey } from "../../src/event/index.js";
import { setOwn, type JsonObject, type JsonValue } from "../../src/json/value.js";
import { roomVersions, type RoomVersionRules } from "../../src/versions/index.js";
import type { Refusal, Result } from "../../src/errors.js";

/** Groups of versions as the spec's pages define them, written out so as not to ask the code under test. */
export const ALL = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "I.1"] as const;
export const PAIRS: readonly string[] = ["1", "2"];
export const LAX: readonly string[] = ["1", "2", "3", "4", "5"];
export const BYTES_DROPPED: readonly string[] = ["11", "12"];

export function rulesOf(id: string): RoomVersionRules {
  const found = roomVersions.get(id);
  if (!found.ok) throw new Error(found.error.reason);
  return found.value.rules;
}

export const hash43 = (letter: string): string => letter.repeat(43);

/** A reference to an event as the version writes it. */
export function reference(id: string, name: string): JsonValue {
  return PAIRS.includes(id) ? [`$${name}:a.example`, { sha256: hash43("h") }] : `$${hash43(name)}`;
}

/** What {@link reference} refers to. */
export function referenced(id: string, name: string): string {
  return PAIRS.includes(id) ? `$${name}:a.example` : `$${hash43(name)}`;
}

export function roomOf(id: string): string {
  return id === "12" ? `!${hash43("r")}` : "!room:a.example";
}

/** A well-formed message event of a version, with `changes` over it; `undefined` removes a key. */
export function basePdu(id: string, changes: Readonly<Record<string, JsonValue | undefined>> = {}): JsonObject {
  return changed(
    {
      type: "m.room.message",
      sender: "@alice:a.example",
      room_id: roomOf(id),
      content: { body: "hello", msgtype: "m.text" },
      depth: 5,
      hashes: { sha256: hash43("A") },
      signatures: { "a.example": { "ed25519:1": "c2lnbmF0dXJl" } },
      origin_server_ts: 1_700_000_000_000,
      auth_events: [reference(id, "a"), reference(id, "b")],
      prev_events: [reference(id, "p")],
      ...(PAIRS.includes(id) ? { event_id: "$own:a.example" } : {}),
    },
    changes,
  );
}

export function changed(event: JsonObject, changes: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  const result: Record<string, JsonValue> = {};
  for (const [key, value] of [...Object.entries(event), ...Object.entries(changes)]) {
    if (value === undefined) Reflect.deleteProperty(result, key);
    else setOwn(result, key, value);
  }
  return result;
}

/** Fails when the result is a refusal. */
export function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.reason}`);
  return result.value;
}

/** The refusal's code, or `undefined` when there is a value. */
export function codeOf(result: Result<unknown>): Refusal["code"] | undefined {
  return result.ok ? undefined : result.error.code;
}

/** A signing key made of one repeated byte. */
export function keyOf(server: string, byte: number, keyId = "ed25519:1"): SigningKey {
  return { server, keyId, seed: new Uint8Array(32).fill(byte) };
}

export function publicKey(key: SigningKey): Uint8Array {
  return publicKeyFromSeed(key.seed);
}

/** A lookup of the public halves of these keys, with properties such as a validity. */
export function lookup(...entries: readonly (SigningKey | readonly [SigningKey, Omit<VerifyKey, "key">])[]): KeyLookup {
  return (server, keyId) => {
    for (const entry of entries) {
      const [key, properties] = "seed" in entry ? [entry, {}] : entry;
      if (key.server === server && key.keyId === keyId) return { key: publicKey(key), ...properties };
    }
    return undefined;
  };
}

/** Freezes a value through and through, so that a write to it throws. */
export function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    for (const part of Object.values(value)) frozen(part);
    Object.freeze(value);
  }
  return value;
}

/** An event as the graph and the rules read it. */
export function roomEvent(eventId: string, parts: Partial<RoomEvent> = {}): RoomEvent {
  return {
    eventId,
    roomId: "!room:a.example",
    type: "m.room.message",
    stateKey: undefined,
    sender: "@alice:a.example",
    content: {},
    depth: 1,
    originServerTs: 0,
    authEvents: [],
    prevEvents: [],
    redacts: undefined,
    hasRoomId: true,
    ...parts,
  };
}
