/**
 * Invites of somebody who was known by an address only (spec server-server-api, "Third-party invites"; FL10). Who asked
 * for the invite is in `m.room.third_party_invite`, with the keys of an identity server; once the address belongs to a
 * user, that server signs who it is. The user's server then invites them itself if it is in the room, and else asks
 * the inviter's to. Whether the signature is good is for the authorisation rules, here and everywhere.
 */
import { refuse } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import type { Room } from "../engine/room.js";
import { checkJson } from "../event/format.js";
import type { Pdu } from "../event/pdu.js";
import { domainOf } from "../ids/grammar.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../ports/operations.js";
import { answer, fail, failBy, memberEvent, refusedBy, residentRoom } from "./context.js";
import type { Federation } from "./context.js";
import { inviteRemotely } from "./invite.js";

/** An invite that an identity server kept for an address, and `signed` by it for the user whose address it is now. */
export interface KeptInvite {
  readonly roomId: string;
  /** Who sent the `m.room.third_party_invite`. */
  readonly sender: string;
  readonly signed: JsonObject;
}

/** What an identity server tells: an address belongs to a user of this server now. */
export interface IdentifierBinding {
  readonly userId: string;
  readonly invites: readonly KeptInvite[];
  readonly cancel?: Cancel | undefined;
}

interface Redeemed {
  readonly sender: string;
  readonly target: string;
  readonly signed: JsonObject;
  readonly token: string;
}

/** What one signed block says, if it can be read and is about the user. */
function redeemedFor(target: string, sender: string, signed: JsonObject): Redeemed | undefined {
  const token = get(signed, "token");
  return get(signed, "mxid") === target && typeof token === "string" ? { sender, target, signed, token } : undefined;
}

/** `display_name` is the room's own, not what somebody says now. */
function contentOf(room: Room | undefined, { token, signed }: Redeemed): JsonObject {
  const offer = room?.state("m.room.third_party_invite", token);
  const name = offer === undefined ? undefined : get(offer.content, "display_name");
  return {
    membership: "invite",
    third_party_invite: { display_name: typeof name === "string" ? name : "", signed },
  };
}

// ---- the side of the user's server ------------------------------------------------------------------------

/** Invites a user of this server by a kept invite. */
export async function redeemInvite(
  federation: Federation,
  userId: string,
  { roomId, sender, signed }: KeptInvite,
  cancel: Cancel | undefined,
): Promise<Result<undefined>> {
  const redeemed = redeemedFor(userId, sender, signed);
  if (redeemed === undefined) return refuse("bad_format", `\`signed\` is not about ${userId}, or has no token`);
  const room = await residentRoom(federation, roomId);
  if (room === undefined) return exchange(federation, roomId, redeemed, cancel);
  const invited = await inviteHere(federation, room, redeemed, cancel);
  return invited.ok ? { ok: true, value: undefined } : invited;
}

/** Any server of the room may send such an invite in the inviter's name: no signature of the inviter's is asked for. */
async function inviteHere(
  { host }: Federation,
  room: Room,
  redeemed: Redeemed,
  cancel: Cancel | undefined,
): Promise<Result<Pdu>> {
  const { sender, target } = redeemed;
  const attempt = { roomId: room.roomId, roomVersion: room.version.id, sender, target, state: [] };
  const refused = await host.policy.checkInvite?.(attempt, cancel);
  if (refused !== undefined) return refuse("policy_refused", `${refused.code}: ${refused.reason}`);
  const draft = { type: "m.room.member", stateKey: target, sender, content: contentOf(room, redeemed) };
  const made = await room.template(draft, cancel);
  if (!made.ok) return made;
  const signed = await room.sign(made.value, cancel);
  return signed.ok ? room.adopt(signed.value.json, { origin: host.server, cancel }) : signed;
}

/** The inviter's server is asked first, then the one that the room id names, where it names one. */
async function exchange(
  { host }: Federation,
  roomId: string,
  redeemed: Redeemed,
  cancel: Cancel | undefined,
): Promise<Result<undefined>> {
  const { sender, target } = redeemed;
  const content = contentOf(undefined, redeemed);
  const event = { type: "m.room.member", room_id: roomId, sender, state_key: target, content };
  let last: { readonly ok: false; readonly error: Refusal } = refuse("unreachable", `no server to reach ${roomId} by`);
  for (const server of new Set([domainOf(sender), domainOf(roomId)])) {
    if (server === undefined || server === host.server) continue;
    const request = { roomId, event };
    const done = await host.transport.request(server, "exchange_third_party_invite", request, cancel);
    if (done.ok) return { ok: true, value: undefined };
    last = refusedBy(server, done.error);
  }
  return last;
}

// ---- the side of the inviter's server ---------------------------------------------------------------------

/** Completes the partial event of the user's server, and runs the invite before it answers. */
export async function serveExchange(
  federation: Federation,
  origin: string,
  { roomId, event }: OperationRequest<"exchange_third_party_invite">,
): Promise<OperationResult<"exchange_third_party_invite">> {
  const { host } = federation;
  const room = await residentRoom(federation, roomId);
  if (room === undefined) return fail("not_found", `no user of this server is in ${roomId}`);
  const checked = memberEvent(
    event,
    { roomId, membership: "invite", origin },
    (one) => get(one, "state_key"),
    domainOf,
  );
  if (!checked.ok) return checked;
  const plain = checkJson(room.version.rules, checked.value);
  if (!plain.ok) return fail("invalid_param", plain.error.reason);
  const redeemed = redeemedBy(checked.value);
  if (redeemed === undefined) return fail("invalid_param", "`third_party_invite` has no `signed` for the user");
  const { sender, target } = redeemed;
  if (domainOf(sender) !== host.server) return fail("invalid_param", `${sender} is not of ${host.server}`);
  if (isDone(room, redeemed)) return answer<"exchange_third_party_invite">({});
  const content = contentOf(room, redeemed);
  const invited = room.isServerJoined(origin)
    ? await room.emit([{ type: "m.room.member", stateKey: target, sender, content }])
    : await inviteRemotely(federation, room, { sender, target, content });
  return invited.ok ? answer<"exchange_third_party_invite">({}) : failBy(invited.error);
}

function redeemedBy(event: JsonObject): Redeemed | undefined {
  const [sender, target, content] = ["sender", "state_key", "content"].map((key) => get(event, key));
  const invite = isObject(content) ? get(content, "third_party_invite") : undefined;
  const signed = isObject(invite) ? get(invite, "signed") : undefined;
  if (typeof sender !== "string" || typeof target !== "string" || !isObject(signed)) return undefined;
  return redeemedFor(target, sender, signed);
}

/** The rules would let a token be redeemed again, and so make an invited user of who has joined since (AU22). */
function isDone(room: Room, { target, token }: Redeemed): boolean {
  const member = room.state("m.room.member", target);
  const membership = member === undefined ? undefined : get(member.content, "membership");
  if (membership === "join") return true;
  const invite = member === undefined ? undefined : get(member.content, "third_party_invite");
  const signed = isObject(invite) ? get(invite, "signed") : undefined;
  return membership === "invite" && isObject(signed) && get(signed, "token") === token;
}
