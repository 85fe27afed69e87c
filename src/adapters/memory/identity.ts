/** A telephone book. */
import type { Identity, ThirdPartyIdentifier } from "../../ports/identity.js";

/** How a user is known outside Matrix. */
export interface IdentityEntry extends ThirdPartyIdentifier {
  readonly userId: string;
}

/** Knows who is in the list, by exactly what is written there. */
export function createListIdentity(entries: Iterable<IdentityEntry>): Identity {
  const users = new Map<string, string>();
  for (const entry of entries) users.set(keyOf(entry), entry.userId);
  return Object.freeze({ resolve: (identifier: ThirdPartyIdentifier) => users.get(keyOf(identifier)) });
}

function keyOf({ medium, address }: ThirdPartyIdentifier): string {
  return JSON.stringify([medium, address]);
}
