/** Where a key ring keeps what it learnt, so that old events can be verified after a restart. */
import { decodeBase64, encodeUnpadded } from "../../crypto/base64.js";
import type { JsonObject } from "../../json/value.js";
import type { Awaitable } from "../../ports/cancel.js";
import type { HeldAnswer, HeldKey, HeldKeys, KeySource } from "./held.js";

/** A key as it is stored: plain JSON. */
export interface StoredKey {
  readonly keyId: string;
  /** Unpadded base64. */
  readonly key: string;
  readonly from: KeySource;
  readonly validUntilTs?: number;
  readonly fetchedTs?: number;
  readonly expiredTs?: number;
}

/** What is known of a server: plain JSON, to be stored as it is. */
export interface StoredKeys {
  readonly server: string;
  readonly validUntilTs: number;
  readonly keys: readonly StoredKey[];
  readonly answer?: { readonly json: JsonObject; readonly validUntilTs: number; readonly fetchedTs: number };
}

/** A cache that outlives the process. Losing it costs requests; it holds nothing secret. */
export interface KeyStore {
  get(server: string): Awaitable<StoredKeys | undefined>;
  /** In place of what was stored for that server. */
  put(keys: StoredKeys): Awaitable<void>;
}

export function toStored({ server, validUntilTs, keys, answer }: HeldKeys): StoredKeys {
  const listed = [...keys].map(([keyId, { key, ...rest }]) => ({ keyId, key: encodeUnpadded(key), ...rest }));
  return { server, validUntilTs, keys: listed, ...(answer === undefined ? {} : { answer }) };
}

/** Keys that cannot be read are left out. */
export function fromStored({ server, validUntilTs, keys, answer }: StoredKeys): HeldKeys {
  const read = new Map<string, HeldKey>();
  for (const { keyId, key, ...rest } of keys) {
    const bytes = decodeBase64(key);
    if (bytes?.length === 32) read.set(keyId, { key: bytes, ...rest });
  }
  const own: HeldAnswer | undefined = answer;
  return { server, validUntilTs, keys: read, ...(own === undefined ? {} : { answer: own }) };
}
