/** What an authorisation check answers, and what it reads. */
import type { Refusal } from "../errors.js";
import type { RoomEvent } from "../event/pdu.js";
import { verify } from "../crypto/ed25519.js";
import type { RoomVersionRules, RuleName } from "../rules/model.js";

/** A signature fact that a rule asks for and the host has not settled yet. */
export type FactRequest =
  /** Did this server validly sign the event under judgement? (restricted joins) */
  | { readonly fact: "signed-by"; readonly server: string }
  /** Does this Ed25519 signature verify? (third-party invites) */
  | {
      readonly fact: "signature";
      readonly key: Uint8Array;
      readonly message: Uint8Array;
      readonly signature: Uint8Array;
    };

/** What the rules say about an event. */
export type AuthVerdict =
  /** `rule` is the line that allowed it, such as `v10 rule 4.3.6`. */
  | { readonly verdict: "allowed"; readonly rule: string }
  | { readonly verdict: "rejected"; readonly refusal: Refusal }
  /** Undecided: these events or facts are missing. Never a rejection in disguise. */
  | { readonly verdict: "needs"; readonly events: readonly string[]; readonly facts: readonly FactRequest[] };

/** The state that an event is judged against: the event at `(type, state key)`, if any. */
export type StateLookup = (type: string, stateKey: string) => RoomEvent | undefined;

/** Signature facts, settled by the host at receipt; `undefined` means not settled. */
export interface AuthFacts {
  readonly signedBy: (server: string) => boolean | undefined;
  readonly verifies: (signature: Uint8Array, message: Uint8Array, key: Uint8Array) => boolean | undefined;
}

/**
 * For events whose own signatures were verified on receipt, as everything in state resolution was:
 * the required signers did sign. The signatures inside third-party invites are checked here and now.
 */
export const signaturesChecked: AuthFacts = Object.freeze({ signedBy: () => true, verifies: verify });

/** Facts of a host that has settled nothing: rules that ask come back as `needs`. */
export const factsUnknown: AuthFacts = Object.freeze({ signedBy: () => undefined, verifies: () => undefined });

/** Verdicts that allow, by rules and name. One was made for every event of a resolution: 5 % of its time. */
const allowances = new WeakMap<RoomVersionRules, Map<RuleName, AuthVerdict>>();

/** `v10 rule 4.3.5`, `I.1 rule 2.4`: a rule under the number of this room version's own page. */
export function ruleLabel(rules: RoomVersionRules, name: RuleName): string {
  const version = /^[0-9]/.test(rules.id) ? `v${rules.id}` : rules.id;
  return `${version} rule ${rules.auth.numbering[name] ?? name}`;
}

export function allow(rules: RoomVersionRules, name: RuleName): AuthVerdict {
  let known = allowances.get(rules);
  if (known === undefined) allowances.set(rules, (known = new Map<RuleName, AuthVerdict>()));
  let verdict = known.get(name);
  if (verdict === undefined) known.set(name, (verdict = { verdict: "allowed", rule: ruleLabel(rules, name) }));
  return verdict;
}

/** `against` are the events that made the rule fail, after the judged one. */
export function reject(
  rules: RoomVersionRules,
  event: RoomEvent,
  name: RuleName,
  reason: string,
  against: readonly (RoomEvent | undefined)[] = [],
): AuthVerdict {
  const events = [event.eventId];
  for (const other of against) if (other !== undefined) events.push(other.eventId);
  return { verdict: "rejected", refusal: { code: "auth_rejected", rule: ruleLabel(rules, name), reason, events } };
}
