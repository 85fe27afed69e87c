/**
 * Who must have signed an event, and whether they did (spec server-server-api, "Validating hashes and
 * signatures on received events").
 *
 * Checking is split so that a host can verify in batches: {@link planSignatures} says which Ed25519
 * checks are to be made, {@link settleSignatures} turns their outcomes into a report. The report's
 * facts are settled once, at receipt, and stored with the event.
 */
import { decodeBase64 } from "../crypto/base64.js";
import { verify } from "../crypto/ed25519.js";
import { isUserId, serverOf } from "../ids/grammar.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { UsageError } from "../errors.js";
import type { RoomEvent } from "./pdu.js";
import { eventSignedBytes } from "./sign.js";

/** A published key of a server. */
export interface VerifyKey {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** `valid_until_ts` of the answer that published it, in milliseconds. Absent: trusted at any time. */
  readonly validUntilTs?: number;
  /** When that answer was fetched; see `usableUntil`. */
  readonly fetchedTs?: number;
  /** For `old_verify_keys`: when the server stopped using it. */
  readonly expiredTs?: number;
}

/** Looks up a key; `undefined` when the host does not know it. */
export type KeyLookup = (server: string, keyId: string) => VerifyKey | undefined;

/** One Ed25519 check to be made. */
export interface SignatureCheck {
  readonly server: string;
  readonly keyId: string;
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** How one required server fares. */
export type SignerVerdict =
  | { readonly status: "verified" }
  | { readonly status: "refused"; readonly reason: string }
  /** Its signatures are by keys that the host does not know: fetch one of these and check again. */
  | { readonly status: "needs-key"; readonly keyIds: readonly string[] };

/** What is to be verified, and what is settled without. */
export interface SignaturePlan {
  readonly checks: readonly SignatureCheck[];
  /** Verdicts that need no check. */
  readonly settled: ReadonlyMap<string, SignerVerdict>;
}

/** A {@link SignaturePlan} whose checks were made: what they were made of is not needed any more. */
export interface SettledPlan extends Pick<SignaturePlan, "settled"> {
  readonly checks: readonly Pick<SignatureCheck, "server" | "keyId">[];
}

/** How the servers that have to sign an event fare. */
export interface SignatureReport {
  /** `verified` when every required server is. */
  readonly status: "verified" | "refused" | "needs-key";
  readonly servers: ReadonlyMap<string, SignerVerdict>;
}

/** A policy server signs under this fixed key id; it is no signature of the event's own servers. */
const POLICY_SERVER_KEY = "ed25519:policy_server";
/** How long after it was fetched a key counts at most. */
export const SEVEN_DAYS: number = 7 * 24 * 60 * 60 * 1000;

/** The event's fields that decide who must sign. */
type Signable = Pick<RoomEvent, "type" | "sender" | "content" | "eventId" | "originServerTs">;

/**
 * Servers that must have signed, each with why. An entry whose server is `undefined` names a signer
 * that cannot exist, so the event can never be valid.
 */
export function requiredSigners(
  rules: RoomVersionRules,
  event: Signable,
): readonly { readonly server: string | undefined; readonly why: string }[] {
  const signers: { server: string | undefined; why: string }[] = [];
  // Any server may have sent a third-party invite on behalf of the inviter. Only invites are exempt:
  // exempting every member event that carries the key would let anyone forge joins.
  if (!isThirdPartyInvite(event)) signers.push({ server: serverOf(event.sender), why: "sender" });
  if (rules.signing.eventIdServer) {
    const server = serverOf(event.eventId);
    if (!signers.some((signer) => signer.server === server)) signers.push({ server, why: "event_id" });
  }
  if (rules.signing.authorisingServer && event.type === "m.room.member") {
    const authoriser = get(event.content, "join_authorised_via_users_server");
    if (authoriser !== undefined) {
      const server = isUserId(authoriser) ? serverOf(authoriser) : undefined;
      if (server === undefined || !signers.some((signer) => signer.server === server)) {
        signers.push({ server, why: "join_authorised_via_users_server" });
      }
    }
  }
  return signers;
}

function isThirdPartyInvite(event: Signable): boolean {
  return (
    event.type === "m.room.member" &&
    get(event.content, "membership") === "invite" &&
    get(event.content, "third_party_invite") !== undefined
  );
}

const NOTHING_SETTLED: SignaturePlan["settled"] = new Map();

/** The checks that decide about an event, given what keys the host knows. */
export function planSignatures(
  rules: RoomVersionRules,
  event: Signable & { readonly json: JsonObject },
  keys: KeyLookup,
): SignaturePlan {
  return planSigned(rules, event, keys, eventSignedBytes(rules, event.json));
}

/** The same, where the bytes under the signatures are at hand. */
export function planSigned(
  rules: RoomVersionRules,
  event: Signable & { readonly json: JsonObject },
  keys: KeyLookup,
  message: Uint8Array,
): SignaturePlan {
  let settled: Map<string, SignerVerdict> | undefined;
  let checks: readonly SignatureCheck[] = [];
  for (const { server, why } of requiredSigners(rules, event)) {
    if (server === undefined) {
      (settled ??= new Map()).set(`(${why})`, { status: "refused", reason: `\`${why}\` names no server` });
      continue;
    }
    const planned = planServer(rules, event, server, message, keys);
    if ("status" in planned) (settled ??= new Map()).set(server, planned);
    else checks = checks.length === 0 ? planned : [...checks, ...planned];
  }
  return { checks, settled: settled ?? NOTHING_SETTLED };
}

function planServer(
  rules: RoomVersionRules,
  event: Signable & { readonly json: JsonObject },
  server: string,
  message: Uint8Array,
  keys: KeyLookup,
): SignerVerdict | readonly SignatureCheck[] {
  const all = get(event.json, "signatures");
  const ofServer = isObject(all) ? get(all, server) : undefined;
  if (!isObject(ofServer)) return { status: "refused", reason: "no signature" };
  const checks: SignatureCheck[] = [];
  const unknown: string[] = [];
  let expired = 0;
  for (const keyId of Object.keys(ofServer)) {
    if (!keyId.startsWith("ed25519:") || keyId === POLICY_SERVER_KEY) continue;
    const known = keys(server, keyId);
    if (known === undefined) unknown.push(keyId);
    else if (!usableAt(rules, known, event.originServerTs)) expired++;
    else {
      const text = get(ofServer, keyId);
      const signature = typeof text === "string" ? decodeBase64(text) : undefined;
      if (signature === undefined) return { status: "refused", reason: `the signature by ${keyId} is not base64` };
      checks.push({ server, keyId, key: known.key, message, signature });
    }
  }
  if (checks.length > 0) return checks;
  if (unknown.length > 0) return { status: "needs-key", keyIds: unknown };
  return {
    status: "refused",
    reason: expired > 0 ? "signed only by keys not valid at that time" : "no Ed25519 signature",
  };
}

/**
 * The last moment for which a key counts, wherever validity is enforced: events of v5 and later, and requests.
 * That is the end of its use, or of its published validity, at most seven days after it was fetched: so nobody
 * can publish a key that its owner cannot take back.
 */
export function usableUntil(key: VerifyKey): number {
  if (key.expiredTs !== undefined) return key.expiredTs;
  const until = key.validUntilTs ?? Number.POSITIVE_INFINITY;
  return key.fetchedTs === undefined ? until : Math.min(until, key.fetchedTs + SEVEN_DAYS);
}

/** v5 and later: a key counts only for events up to its validity. */
function usableAt(rules: RoomVersionRules, key: VerifyKey, originServerTs: number): boolean {
  return rules.signing.keyValidity === "ignored" || usableUntil(key) >= originServerTs;
}

/**
 * The report once every check of the plan was made; `outcomes[i]` answers `plan.checks[i]`. Every
 * signature by a known key must verify, not just one.
 * @throws UsageError when the number of outcomes differs from the number of checks.
 */
export function settleSignatures(plan: SettledPlan, outcomes: readonly boolean[]): SignatureReport {
  if (outcomes.length !== plan.checks.length) {
    throw new UsageError("settleSignatures takes one outcome for each check of the plan, in their order");
  }
  const servers = new Map<string, SignerVerdict>(plan.settled);
  plan.checks.forEach(({ server, keyId }, index) => {
    if (outcomes[index] !== true)
      servers.set(server, { status: "refused", reason: `the signature by ${keyId} does not verify` });
    else if (!servers.has(server)) servers.set(server, { status: "verified" });
  });
  const statuses = [...servers.values()].map((verdict) => verdict.status);
  const status = statuses.includes("refused") ? "refused" : statuses.includes("needs-key") ? "needs-key" : "verified";
  return { status, servers };
}

/** Plans, checks with the library's own Ed25519, and settles, in one synchronous call. */
export function checkSignatures(
  rules: RoomVersionRules,
  event: Signable & { readonly json: JsonObject },
  keys: KeyLookup,
): SignatureReport {
  const plan = planSignatures(rules, event, keys);
  return settleSignatures(
    plan,
    plan.checks.map(({ signature, message, key }) => verify(signature, message, key)),
  );
}
