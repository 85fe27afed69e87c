/** Signing as this server, and verifying what others signed. */
import type { VerifyKey } from "../event/signatures.js";
import type { Awaitable, Cancel } from "./cancel.js";

/** A signature that this server made. */
export interface OwnSignature {
  /** `ed25519:` and a version. */
  readonly keyId: string;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** A key of another server that is wanted. */
export interface KeyRequest {
  readonly server: string;
  readonly keyId: string;
  /** The key should have been valid at this time (milliseconds since 1970). */
  readonly validAt: number;
}

/**
 * One Ed25519 check. The arrays may be parts of larger memory that others are in too: what is transferred to a thread
 * has to be a copy.
 */
export interface VerifyRequest {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** Ed25519 in the host's hands: in memory, in a worker pool, in a hardware module. */
export interface Keys {
  /** Signs bytes with this server's current key. */
  sign(message: Uint8Array, cancel?: Cancel): Awaitable<OwnSignature>;
  /**
   * Signs as a policy server: 64 bytes, by the key that rooms list for this server in `m.room.policy`. That key is none
   * that this server publishes: what is recommended would be signed as its own. Absent: this is no policy server.
   */
  signPolicy?(message: Uint8Array, cancel?: Cancel): Awaitable<Uint8Array>;
  /**
   * The published keys, one answer for each request and in their order; `undefined` where a key cannot be
   * had now. The port fetches and caches; this server's own keys are among what it knows.
   */
  lookup(requests: readonly KeyRequest[], cancel?: Cancel): Awaitable<readonly (VerifyKey | undefined)[]>;
  /**
   * Whether each signature verifies, in the order of the requests. The verdict must be libsodium's on every
   * input (small-order keys, S at least L and non-canonical points are refused), else servers part ways.
   */
  verify(requests: readonly VerifyRequest[], cancel?: Cancel): Awaitable<readonly boolean[]>;
}
