/** Being the policy server of rooms: recommending events by a signature (server-server-api, "Policy Servers"). */
import { verifySignatures } from "../engine/signatures.js";
import { isExempt, namedPolicyServer, POLICY_EVENT } from "../engine/policy-server.js";
import { parsePdu } from "../event/format.js";
import { contentHashMatches } from "../event/hashes.js";
import { get, isObject } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../ports/operations.js";
import { fail, isDenied, residentRoom } from "./context.js";
import type { Federation } from "./context.js";

/**
 * Answers for rooms that this server is in: of no other does it know the version. A room whose state names nobody yet
 * is served too, because the event that names this server may still be on its way here.
 */
export async function servePolicySign(
  federation: Federation,
  origin: string,
  { event }: OperationRequest<"policy_sign">,
  cancel?: Cancel,
): Promise<OperationResult<"policy_sign">> {
  const { host } = federation;
  if (host.keys.signPolicy === undefined) return fail("unrecognized", `${host.server} is no policy server`);
  const roomId = isObject(event) ? get(event, "room_id") : undefined;
  if (typeof roomId !== "string") return fail("invalid_param", "the event names no room");
  const room = await residentRoom(federation, roomId);
  if (room === undefined) return fail("not_found", `no user of this server is in ${roomId}`);
  if (await isDenied(room, origin)) return fail("forbidden", `the ACL of ${roomId} denies ${origin}`);
  const named = room.state(POLICY_EVENT);
  if (named !== undefined && namedPolicyServer(named.content)?.server !== host.server) {
    return fail("not_found", `${roomId} does not name ${host.server} as its policy server`);
  }
  const { rules } = room.version;
  const parsed = parsePdu(rules, event, { counts: "tolerated" });
  if (!parsed.ok) return fail("invalid_param", parsed.error.reason);
  const pdu = parsed.value;
  if (isExempt(pdu)) return fail("invalid_param", `nobody is asked about the ${POLICY_EVENT} of a room`);
  // The signature covers the hash: with another content than was shown here, it would recommend anything.
  if (!contentHashMatches(pdu.json)) return fail("invalid_param", "the content hash does not match");
  const [report] = await verifySignatures(rules, host.keys, [pdu], cancel);
  if (report?.status !== "verified") return fail("forbidden", "the event lacks a signature that it must have");
  return room.recommend(pdu, origin);
}
