/** Signature facts that rules ask for, settled through the Keys port and remembered. */
import type { AuthFacts, FactRequest } from "../auth/verdict.js";
import { encodeUnpadded } from "../crypto/base64.js";
import { sha256 } from "../crypto/hash.js";
import type { Keys } from "../ports/keys.js";
import type { Cancel } from "../ports/cancel.js";
import { Cache } from "./cache.js";

type Check = Extract<FactRequest, { readonly fact: "signature" }>;

/**
 * Whoever had to sign an event did, or it would have been dropped at check 2. The signatures inside
 * third-party invites are asked for by the rules, and verified when they are.
 */
export class Facts implements AuthFacts {
  readonly #verified = new Cache<string, boolean>(1_000);

  readonly signedBy = (): boolean => true;

  readonly verifies = (signature: Uint8Array, message: Uint8Array, key: Uint8Array): boolean | undefined =>
    this.#verified.get(nameOf({ signature, message, key }));

  async settle(requests: readonly FactRequest[], keys: Keys, cancel: Cancel | undefined): Promise<void> {
    const checks = requests.filter((request): request is Check => request.fact === "signature");
    const outcomes = await keys.verify(checks, cancel);
    checks.forEach((check, at) => {
      this.#verified.set(nameOf(check), outcomes[at] === true);
    });
  }
}

function nameOf({ signature, message, key }: Pick<Check, "signature" | "message" | "key">): string {
  return [signature, sha256(message), key].map((bytes) => encodeUnpadded(bytes)).join(" ");
}
