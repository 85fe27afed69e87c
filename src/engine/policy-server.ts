/**
 * Policy servers (server-server-api, "Policy Servers"; room versions do not know them): which server a room asks to
 * recommend its events, by which key it says so, and whether it said so. Pure; asking is in `recommend.ts`.
 */
import { ABSENT } from "../dag/state-map.js";
import type { StateMap } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";
import { decodeBase64, encodeUnpadded } from "../crypto/base64.js";
import type { Refusal } from "../errors.js";
import { attachSignature } from "../event/sign.js";
import { domainOf } from "../ids/grammar.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { Pdu } from "../event/pdu.js";

/** The key id of every policy server's Ed25519 key, whichever key it is. */
export const POLICY_KEY_ID = "ed25519:policy_server";
export const POLICY_EVENT = "m.room.policy";

/** A server that a room's state names to recommend events, and the key that it lists for it. */
export interface PolicyServer {
  readonly server: string;
  /** As the state event has it: it may be no key at all, and then nothing is recommended. */
  readonly publicKey: string;
}

/** What a policy server said of an event, or why it said nothing. */
export type Recommendation = { readonly by: PolicyServer } & (
  { readonly signature: Uint8Array } | { readonly refusal: Refusal }
);

/** An event of which the room's policy server has said nothing yet. */
export interface Unasked {
  readonly event: Pdu;
  readonly by: PolicyServer;
}

/** The policy server that the content of `m.room.policy` names, whether or not it is in the room. */
export function namedPolicyServer(content: JsonObject): PolicyServer | undefined {
  const [server, keys] = [get(content, "via"), get(content, "public_keys")];
  const publicKey = isObject(keys) ? get(keys, "ed25519") : undefined;
  return typeof server === "string" && typeof publicKey === "string" ? { server, publicKey } : undefined;
}

/** No policy server is asked about the event that names it: a room can always be rid of it. */
export function isExempt({
  type,
  stateKey,
}: {
  readonly type: string;
  readonly stateKey?: string | undefined;
}): boolean {
  return type === POLICY_EVENT && stateKey === "";
}

/** The listed key, if it can be one. */
export function keyOf({ publicKey }: PolicyServer): Uint8Array | undefined {
  const key = decodeBase64(publicKey);
  return key?.length === 32 ? key : undefined;
}

/** The signature that recommends an event, not verified; `undefined` where there is none. */
export function recommendationIn(json: JsonObject, server: string): Uint8Array | undefined {
  return recommendationAmong(get(json, "signatures"), server);
}

/** The same, in the `signatures` of an event or in the answer of a policy server. */
export function recommendationAmong(signatures: JsonValue | undefined, server: string): Uint8Array | undefined {
  const all = isObject(signatures) ? signatures : undefined;
  const ofServer = all === undefined ? undefined : get(all, server);
  const text = isObject(ofServer) ? get(ofServer, POLICY_KEY_ID) : undefined;
  return typeof text === "string" ? decodeBase64(text) : undefined;
}

/** What a policy server answers: its signature alone. */
export function recommendation(server: string, signature: Uint8Array): JsonObject {
  return { [server]: { [POLICY_KEY_ID]: encodeUnpadded(signature) } };
}

/** The event with the signature of its policy server. Other signatures stay, also those of the same server. */
export function recommended(event: Pdu, server: string, signature: Uint8Array): Pdu {
  return { ...event, json: attachSignature(event.json, { server, keyId: POLICY_KEY_ID, signature }) };
}

/** `unreachable` where it could not be asked, so that a user may try again; else `not_recommended`. */
export function notRecommended(
  { eventId }: Pick<Pdu, "eventId">,
  reason: string,
  code: "not_recommended" | "unreachable" = "not_recommended",
): Refusal {
  const rule = "server-server-api Validating Policy Server signatures";
  return { code, rule, reason, events: [eventId] };
}

/** Whether a state has a joined user of a server. A room asks about one server, again and again. */
export class JoinedServers {
  /** A user who was found joined; looked at first, because whoever is joined mostly stays. */
  #witness: string | undefined;
  readonly #known = new WeakMap<StateMap, { readonly server: string; readonly joined: boolean }>();

  /** Who was found last, if of this server: for states of which not all is known. */
  witness(server: string): string | undefined {
    return this.#witness !== undefined && domainOf(this.#witness) === server ? this.#witness : undefined;
  }

  has(index: RoomIndex, state: StateMap, server: string): boolean {
    const witness = this.witness(server);
    if (witness !== undefined && isJoined(index, state.get(index.keyNumber("m.room.member", witness)))) return true;
    const known = this.#known.get(state);
    if (known?.server === server) return known.joined;
    const found = joinedUser(index, state, server);
    if (found !== undefined) this.#witness = found;
    this.#known.set(state, { server, joined: found !== undefined });
    return found !== undefined;
  }
}

function joinedUser(index: RoomIndex, state: StateMap, server: string): string | undefined {
  let found: string | undefined;
  state.forEach((event, key) => {
    if (found !== undefined) return;
    const [type, stateKey] = index.keyAt(key);
    if (type === "m.room.member" && domainOf(stateKey) === server && isJoined(index, event)) found = stateKey;
  });
  return found;
}

function isJoined(index: RoomIndex, number: number): boolean {
  const member = number === ABSENT ? undefined : index.eventOf(number);
  return member !== undefined && get(member.content, "membership") === "join";
}
