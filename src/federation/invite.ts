/** Inviting a user of a server that is not in the room: the event goes there first, to be signed and shown. */
import { refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { verifySignatures } from "../engine/signatures.js";
import type { Room } from "../engine/room.js";
import { decodeBase64 } from "../crypto/base64.js";
import { checkJson, readPdu } from "../event/format.js";
import type { Pdu } from "../event/pdu.js";
import { omit } from "../event/hashes.js";
import { attachSignature, eventSignedBytes } from "../event/sign.js";
import { domainOf } from "../ids/grammar.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../ports/operations.js";
import { answer, fail, memberEvent, previewOf, refusedBy } from "./context.js";
import type { Federation } from "./context.js";
import { policyError } from "./errors.js";
import { readInviteState } from "./outside.js";

/** What an invite is made of. */
export interface InviteRequest {
  readonly sender: string;
  readonly target: string;
  readonly content: JsonObject;
  readonly cancel?: Cancel | undefined;
}

/** The inviting side. Judged here before anything leaves; sent to the room only once the other server signed. */
export async function inviteRemotely(federation: Federation, room: Room, request: InviteRequest): Promise<Result<Pdu>> {
  const { host } = federation;
  const { sender, target, content, cancel } = request;
  const server = domainOf(target);
  if (server === undefined) return refuse("bad_identifier", `${target} is no user id`);
  const prepared = await room.prepare({ type: "m.room.member", stateKey: target, sender, content }, cancel);
  if (!prepared.ok) return prepared;
  const { eventId, json } = prepared.value;
  const inviteRoomState = await previewOf(room, [sender], cancel);
  const { roomId } = room;
  const asked = { roomId, roomVersion: room.version.id, eventId, event: json, inviteRoomState };
  const sent = await host.transport.request(server, "invite", asked, cancel);
  if (!sent.ok) return refusedBy(server, sent.error);
  const cosigned = await withSignatureOf(federation, room, json, { server, theirs: sent.value.event, cancel });
  return cosigned.ok ? room.adopt(cosigned.value, { origin: host.server, cancel }) : cosigned;
}

/** FL5: the answer is the event with one more signature, and nothing else of it is taken over. */
async function withSignatureOf(
  { host }: Federation,
  room: Room,
  ours: JsonObject,
  { server, theirs, cancel }: { server: string; theirs: JsonValue; cancel: Cancel | undefined },
): Promise<Result<JsonObject>> {
  const all = isObject(theirs) ? get(theirs, "signatures") : undefined;
  const ofServer = isObject(all) ? get(all, server) : undefined;
  const message = eventSignedBytes(room.version.rules, ours);
  for (const [keyId, value] of isObject(ofServer) ? Object.entries(ofServer).slice(0, 8) : []) {
    const signature = typeof value === "string" ? decodeBase64(value) : undefined;
    const [key] = await host.keys.lookup([{ server, keyId, validAt: host.clock.now() }], cancel);
    if (signature === undefined || key === undefined) continue;
    const [verified] = await host.keys.verify([{ key: key.key, message, signature }], cancel);
    if (verified === true) return { ok: true, value: attachSignature(ours, { server, keyId, signature }) };
  }
  return refuse("refused_by_peer", `${server} did not sign the invite`);
}

/** The invited side: checks, asks the host, signs, and remembers the invite. */
export async function serveInvite(
  { host, rooms }: Federation,
  origin: string,
  request: OperationRequest<"invite">,
): Promise<OperationResult<"invite">> {
  const { roomId } = request;
  const known = host.versions.get(request.roomVersion);
  if (!known.ok) return fail("incompatible_room_version", known.error.reason, request.roomVersion);
  const { id, rules } = known.value;
  const sender = memberEvent(
    request.event,
    { roomId, membership: "invite", origin },
    (one) => get(one, "sender"),
    domainOf,
  );
  if (!sender.ok) return sender;
  const checked = checkJson(rules, sender.value);
  const pdu = checked.ok ? readPdu(rules, checked.value) : checked;
  if (!pdu.ok) return fail("invalid_param", pdu.error.reason);
  const event = pdu.value;
  const target = event.stateKey;
  if (target === undefined || domainOf(target) !== host.server) return fail("invalid_param", "the invitee is not ours");
  const state = await readInviteState(host, rules, roomId, request.inviteRoomState);
  if (!state.ok) return fail("invalid_param", state.error.reason);
  const [report] = await verifySignatures(rules, host.keys, [event], undefined);
  if (report?.status !== "verified") return fail("invalid_param", `${origin} did not sign the invite`);
  const attempt = { roomId, roomVersion: id, sender: event.sender, target, state: state.value };
  const refused = await host.policy.checkInvite?.(attempt);
  if (refused !== undefined) return { ok: false, error: policyError(refused) };
  const { keyId, signature } = await host.keys.sign(eventSignedBytes(rules, event.json));
  // What travels beside the event is signed by nobody.
  const bare = omit(event.json, ["unsigned"]);
  const signed = attachSignature(bare, { server: host.server, keyId, signature });
  const room = await rooms.open(roomId);
  if (room?.isResident !== true) {
    const shown = state.value.map((one) => ({ ...one }));
    await host.storage.putOutside({
      roomId,
      userId: target,
      membership: "invite",
      roomVersion: id,
      event: signed,
      state: shown,
    });
  }
  return answer<"invite">({ event: signed });
}
