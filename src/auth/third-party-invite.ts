/**
 * Invites that redeem an `m.room.third_party_invite`: v1-5 rule 5.3.1, v6-7 rule 4.3.1, v8-11 rule 4.4.1,
 * v12 rule 5.4.1.
 */
import { decodeBase64 } from "../crypto/base64.js";
import type { RoomEvent } from "../event/pdu.js";
import { compareCodePoints } from "../json/compare.js";
import { signedBytes } from "../event/sign.js";
import { get, isArray, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { Judge } from "./judge.js";
import type { AuthVerdict, FactRequest } from "./verdict.js";

/**
 * Pairs of signature and key that are tried before the invite counts as unsigned. Real ones have one
 * to four; two events of full size could hold half a million, which would be a denial of service.
 */
export const MAX_THIRD_PARTY_CHECKS = 256;

/**
 * Only the target's ban and the token are looked at: neither the sender's membership, nor whether the
 * target has joined, nor the invite level counts (AU22; Synapse and ruma).
 */
export function checkThirdPartyInvite(judge: Judge, target: string): AuthVerdict {
  const { event } = judge;
  if (judge.membership(target) === "ban") {
    return judge.reject("member.invite.third-party.banned", `${target} is banned`, [judge.member(target)]);
  }
  const invite = get(event.content, "third_party_invite");
  const signed = isObject(invite) ? get(invite, "signed") : undefined;
  if (!isObject(signed))
    return judge.reject("member.invite.third-party.signed", "`third_party_invite` has no `signed`");
  const token = get(signed, "token");
  const mxid = get(signed, "mxid");
  if (typeof token !== "string" || typeof mxid !== "string") {
    return judge.reject("member.invite.third-party.properties", "`signed` needs `mxid` and `token`");
  }
  if (mxid !== target) return judge.reject("member.invite.third-party.mxid", "`mxid` is not the `state_key`");
  const offer = judge.state("m.room.third_party_invite", token);
  if (offer === undefined)
    return judge.reject("member.invite.third-party.event", "no third-party invite has this token");
  if (offer.sender !== event.sender) {
    return judge.reject("member.invite.third-party.sender", `the invite was made by ${offer.sender}`, [offer]);
  }
  return checkSigned(judge, signed, offer);
}

function checkSigned(judge: Judge, signed: JsonObject, offer: RoomEvent): AuthVerdict {
  const message = signedBytes(signed);
  const unsettled: FactRequest[] = [];
  for (const { signature, key } of candidates(signed, offer)) {
    const verified = judge.facts.verifies(signature, message, key);
    if (verified === true) return judge.allow("member.invite.third-party.signature");
    if (verified === undefined) unsettled.push({ fact: "signature", key, message, signature });
  }
  if (unsettled.length > 0) return { verdict: "needs", events: [], facts: unsettled };
  return judge.reject("member.invite.third-party.otherwise", "no signature matches a public key of the invite", [
    offer,
  ]);
}

function candidates(signed: JsonObject, offer: RoomEvent): readonly { signature: Uint8Array; key: Uint8Array }[] {
  const signatures = signaturesOf(signed);
  const pairs: { signature: Uint8Array; key: Uint8Array }[] = [];
  for (const key of publicKeysOf(offer)) {
    for (const signature of signatures) {
      if (pairs.length === MAX_THIRD_PARTY_CHECKS) return pairs;
      pairs.push({ signature, key });
    }
  }
  return pairs;
}

/** Servers in order, up to the first with something else than an object: Synapse and ruma both stop there. */
function signaturesOf(signed: JsonObject): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  const servers = get(signed, "signatures");
  for (const server of isObject(servers) ? Object.keys(servers).sort(compareCodePoints) : []) {
    const ofServer = isObject(servers) ? get(servers, server) : undefined;
    if (!isObject(ofServer)) break;
    for (const [keyId, text] of Object.entries(ofServer)) {
      const signature = keyId.startsWith("ed25519:") ? decode(text) : undefined;
      if (signature?.length === 64) found.push(signature);
    }
  }
  return found;
}

/**
 * `public_key` and the `public_key` of every entry of `public_keys`, up to the first malformed one. Synapse
 * stops at it with an exception and ruma reads none of them; only what comes before it can be agreed on.
 */
function publicKeysOf(offer: RoomEvent): readonly Uint8Array[] {
  const single = get(offer.content, "public_key") ?? undefined;
  const listed = get(offer.content, "public_keys");
  if (single !== undefined && typeof single !== "string") return [];
  if (listed !== undefined && !isArray(listed) && !isObject(listed) && typeof listed !== "string") return [];
  const texts = [single];
  for (const entry of isArray(listed) ? listed : []) {
    const text = isObject(entry) ? get(entry, "public_key") : undefined;
    if (typeof text !== "string") break;
    texts.push(text);
  }
  return texts.map(decode).filter((key): key is Uint8Array => key?.length === 32);
}

function decode(text: JsonValue | undefined): Uint8Array | undefined {
  return typeof text === "string" ? decodeBase64(text) : undefined;
}
