/** Finding the user behind a phone number, an address or a handle. */
import type { Awaitable, Cancel } from "./cancel.js";

/** How a person is known outside Matrix. */
export interface ThirdPartyIdentifier {
  /** `msisdn`, `email`, or a medium that the host and its resolver agree on. */
  readonly medium: string;
  readonly address: string;
}

/** Resolves identifiers from outside Matrix. How it does is its own affair (draft-ralston-mimi-matrix-framework, 7). */
export interface Identity {
  /** The user id, or `undefined` when nobody is known by that identifier. */
  resolve(identifier: ThirdPartyIdentifier, cancel?: Cancel): Awaitable<string | undefined>;
}
