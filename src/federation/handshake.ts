/**
 * Becoming or ceasing to be a member by way of a server that is in the room: join, knock, leave. Each is a
 * template asked for (`make_…`), filled in and signed here, and handed back (`send_…`). Both sides are here.
 * A server that is in the room does none of this: it sends the membership event itself.
 */
import { refuse } from "../errors.js";
import type { Refusal, RefusalCode, Result } from "../errors.js";
import { scalarLevel, userLevel } from "../auth/power.js";
import { reaches } from "../auth/judge.js";
import { encodeUnpadded } from "../crypto/base64.js";
import type { Room } from "../engine/room.js";
import { listOf } from "../engine/fetch.js";
import { namedPolicyServer, POLICY_EVENT, POLICY_KEY_ID, recommendationIn } from "../engine/policy-server.js";
import { checkJson, readPdu } from "../event/format.js";
import type { Pdu } from "../event/pdu.js";
import { attachSignature, eventSignedBytes, hashEvent } from "../event/sign.js";
import { domainOf } from "../ids/grammar.js";
import { get, isArray, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import { compareCodePoints } from "../json/compare.js";
import type { Cancel } from "../ports/cancel.js";
import type {
  EventTemplate,
  OperationError,
  OperationErrorCode,
  OperationRequest,
  OperationResult,
} from "../ports/operations.js";
import type { RoomVersion } from "../versions/room-version.js";
import {
  answer,
  currentlyRefused,
  fail,
  failBy,
  isAuthorised,
  memberEvent,
  previewOf,
  refusedBy,
  residentRoom,
} from "./context.js";
import type { Failed, Federation } from "./context.js";
import { completionIntent } from "./completions.js";
import { policyError } from "./errors.js";
import { omittedMembers, receiveJoin, serversIn, toldServers, wholeRoom } from "./partial.js";
import { readKnockState } from "./outside.js";

type Membership = "join" | "knock" | "leave";

// ---- the side of a server that is in the room -------------------------------------------------------------

export async function serveMakeJoin(
  federation: Federation,
  origin: string,
  { roomId, userId, versions }: OperationRequest<"make_join">,
): Promise<OperationResult<"make_join">> {
  const whole = await wholeRoom(federation, roomId);
  if (!whole.ok) return whole;
  const room = whole.value;
  const barred = await barredFrom(federation, room, { origin, userId, versions, membership: "join" });
  if (barred !== undefined) return barred;
  const authorised = await authorisation(federation, room, userId);
  if (!authorised.ok) return authorised;
  return template(room, userId, { membership: "join", ...authorised.value });
}

export async function serveMakeKnock(
  federation: Federation,
  origin: string,
  { roomId, userId, versions }: OperationRequest<"make_knock">,
): Promise<OperationResult<"make_knock">> {
  const whole = await wholeRoom(federation, roomId);
  if (!whole.ok) return whole;
  const room = whole.value;
  const barred = await barredFrom(federation, room, { origin, userId, versions, membership: "knock" });
  return barred ?? template(room, userId, { membership: "knock" });
}

export async function serveMakeLeave(
  federation: Federation,
  origin: string,
  { roomId, userId }: OperationRequest<"make_leave">,
): Promise<OperationResult<"make_leave">> {
  const whole = await wholeRoom(federation, roomId);
  if (!whole.ok) return whole;
  const room = whole.value;
  if (domainOf(userId) !== origin) return fail("forbidden", `${userId} is not of ${origin}`);
  return template(room, userId, { membership: "leave" });
}

/** FL1: the user belongs to the origin, and the caller knows the room's version. */
async function barredFrom(
  { host }: Federation,
  room: Room,
  attempt: {
    readonly origin: string;
    readonly userId: string;
    readonly versions: readonly string[];
    readonly membership: "join" | "knock";
  },
): Promise<Failed | undefined> {
  const { origin, userId, versions, membership } = attempt;
  if (domainOf(userId) !== origin) return fail("forbidden", `${userId} is not of ${origin}`);
  const known = versionsOf(versions, membership);
  if (known === undefined) return fail("missing_param", "`versions` must be a list of room versions");
  if (!known.includes(room.version.id)) {
    return fail("incompatible_room_version", `the room has version ${room.version.id}`, room.version.id);
  }
  const refused = await host.policy.checkJoin?.({ roomId: room.roomId, userId, membership });
  return refused === undefined ? undefined : { ok: false, error: policyError(refused) };
}

/** Who joins and names none knows version 1 alone; who knocks has to say (joins-v1, knocks: `ver`). */
function versionsOf(given: unknown, membership: "join" | "knock"): readonly JsonValue[] | undefined {
  if (given === undefined && membership === "join") return ["1"];
  return Array.isArray(given) ? listOf(given) : undefined;
}

async function template(
  room: Room,
  userId: string,
  content: JsonObject,
): Promise<{ readonly ok: true; readonly value: EventTemplate } | Failed> {
  const draft = { type: "m.room.member", stateKey: userId, sender: userId, content };
  const made = await room.template(draft);
  if (!made.ok) return failBy(made.error);
  const refused = currentlyRefused(room, made.value);
  if (refused !== undefined) return failBy(refused);
  return { ok: true, value: { roomVersion: room.version.id, event: made.value } };
}

/**
 * The user of this server who lets somebody into a restricted room, for those who need one (FL3). Nobody: the
 * user is invited or joined, or the room is not restricted, and the rules decide alone.
 */
export async function authorisation(
  federation: Federation,
  room: Room,
  userId: string,
): Promise<{ readonly ok: true; readonly value: { readonly join_authorised_via_users_server?: string } } | Failed> {
  const { rules } = room.version;
  const none = { ok: true, value: {} } as const;
  if (!isAuthorised(rules, room.control.joinRule)) return none;
  const membership = room.current.membership(userId);
  if (membership === "join" || membership === "invite") return none;
  if (membership === "ban") return fail("forbidden", `${userId} is banned`);
  const allow = get(room.state("m.room.join_rules")?.content ?? {}, "allow");
  let unknown = false;
  for (const entry of isArray(allow) ? allow : []) {
    const roomId = isObject(entry) && get(entry, "type") === "m.room_membership" ? get(entry, "room_id") : undefined;
    if (typeof roomId !== "string") continue;
    const other = await residentRoom(federation, roomId);
    if (other?.current.membership(userId) === "join") return authoriser(room);
    if (other === undefined || other.control.partial) unknown = true;
  }
  if (unknown) return fail("unable_to_authorise_join", "this server is not in all rooms that would let the user in");
  return fail("forbidden", `${userId} is in none of the rooms that would let them in`);
}

function authoriser(
  room: Room,
): { readonly ok: true; readonly value: { readonly join_authorised_via_users_server: string } } | Failed {
  const { rules } = room.version;
  const create = room.state("m.room.create");
  const powerLevels = room.state("m.room.power_levels");
  const needed = scalarLevel(rules, powerLevels, "invite");
  for (const userId of [...room.localUsers].sort(compareCodePoints)) {
    if (create !== undefined && reaches(userLevel(rules, create, powerLevels, userId), needed)) {
      return { ok: true, value: { join_authorised_via_users_server: userId } };
    }
  }
  return fail("unable_to_grant_join", "no user of this server may invite");
}

export async function serveSendJoin(
  federation: Federation,
  origin: string,
  { roomId, event, omitMembers }: OperationRequest<"send_join">,
): Promise<OperationResult<"send_join">> {
  const adopted = await adopt(federation, origin, { roomId, event, membership: "join" });
  if (!adopted.ok) return adopted;
  const { room, pdu } = adopted.value;
  const at = await room.stateAt(pdu.eventId);
  if (at === undefined) return fail("internal", "the state before the join is not known");
  const omitted = omitMembers === true ? omittedMembers(at.before, pdu) : undefined;
  const stateIds = omitted === undefined ? at.before.ids() : at.before.ids().filter((id) => !omitted.has(id));
  const chain = await room.authChain([...stateIds, pdu.eventId]);
  const inState = new Set(stateIds);
  const rest = chain.filter((id) => !inState.has(id));
  const known = new Map((await room.rows([...stateIds, ...rest])).map((row) => [row.eventId, row.json]));
  const jsonOf = (ids: readonly string[]): readonly JsonValue[] => ids.flatMap((id) => known.get(id) ?? []);
  const whole = { event: pdu.json, state: jsonOf(stateIds), authChain: jsonOf(rest) };
  if (omitted === undefined || omitted.size === 0) return answer<"send_join">(whole);
  return answer<"send_join">({ ...whole, membersOmitted: true, serversInRoom: serversIn(at.before) });
}

export async function serveSendKnock(
  federation: Federation,
  origin: string,
  { roomId, event }: OperationRequest<"send_knock">,
): Promise<OperationResult<"send_knock">> {
  const adopted = await adopt(federation, origin, { roomId, event, membership: "knock" });
  if (!adopted.ok) return adopted;
  return answer<"send_knock">({ knockRoomState: await previewOf(adopted.value.room, []) });
}

export async function serveSendLeave(
  federation: Federation,
  origin: string,
  { roomId, event }: OperationRequest<"send_leave">,
): Promise<OperationResult<"send_leave">> {
  const adopted = await adopt(federation, origin, { roomId, event, membership: "leave" });
  return adopted.ok ? answer<"send_leave">({}) : adopted;
}

/** FL2: a foreign event is taken in as the sender's server signed it, or not at all; then it is everybody's. */
async function adopt(
  federation: Federation,
  origin: string,
  sent: { readonly roomId: string; readonly event: JsonValue; readonly membership: Membership },
): Promise<{ readonly ok: true; readonly value: { readonly room: Room; readonly pdu: Pdu } } | Failed> {
  const { roomId, membership } = sent;
  const { host } = federation;
  const whole = await wholeRoom(federation, roomId);
  if (!whole.ok) return whole;
  const room = whole.value;
  const checked = memberEvent(sent.event, { roomId, membership, origin }, (event) => get(event, "sender"), domainOf);
  if (!checked.ok) return checked;
  // What no PDU may hold cannot be signed here either.
  const plain = checkJson(room.version.rules, checked.value);
  if (!plain.ok) return fail("invalid_param", plain.error.reason);
  let event = checked.value;
  const userId = get(event, "sender");
  if (typeof userId !== "string" || userId !== get(event, "state_key")) {
    return fail("invalid_param", "`state_key` is not the sender");
  }
  if (membership !== "leave") {
    // Nobody has to ask for a template first.
    const refused = await host.policy.checkJoin?.({ roomId, userId, membership });
    if (refused !== undefined) return { ok: false, error: policyError(refused) };
  }
  const content = get(event, "content");
  const authoriser = isObject(content) ? get(content, "join_authorised_via_users_server") : undefined;
  if (typeof authoriser === "string" && domainOf(authoriser) === host.server && membership === "join") {
    const authorised = await authorisation(federation, room, userId);
    if (!authorised.ok) return authorised;
    event = await room.cosign(event);
  }
  const adopted = await room.adopt(event, { origin });
  return adopted.ok ? { ok: true, value: { room, pdu: adopted.value } } : failBy(adopted.error);
}

// ---- the side of a server that is not ---------------------------------------------------------------------

export interface HandshakeRequest {
  readonly roomId: string;
  readonly userId: string;
  /** Servers that are in the room, the likeliest first. */
  readonly via: readonly string[];
  /** Whether to do without most members at first. */
  readonly partial?: boolean | undefined;
  /** For the others to read. */
  readonly reason?: string | undefined;
  readonly cancel?: Cancel | undefined;
}

/** What came of asking servers. */
export type Shaken<T> = { readonly ok: true; readonly value: T } | Unshaken;

interface Unshaken {
  readonly ok: false;
  readonly error: Refusal;
  /** Whether one of them may yet answer otherwise: it was not reached, or could not do it now. */
  readonly passing: boolean;
}

/** What a server answers, or does not, without having decided anything. Its keys may not reach everybody at once. */
const passingErrors: ReadonlySet<OperationErrorCode> = new Set<OperationErrorCode>([
  "unreachable",
  "timeout",
  "cancelled",
  "limit_exceeded",
  "internal",
  "unauthorized",
]);

/** What an answer that was given is refused for here without being wrong, such as keys that cannot be had now. */
const passingRefusals: ReadonlySet<RefusalCode> = new Set<RefusalCode>(["unreachable", "cancelled", "undecided"]);

function failedBy(server: string, error: OperationError): Unshaken {
  return { ...refusedBy(server, error), passing: passingErrors.has(error.code) };
}

function shakenBy<T>(result: Result<T>): Shaken<T> {
  return result.ok ? result : { ok: false, error: result.error, passing: passingRefusals.has(result.error.code) };
}

/** What a user is told, who can try again. */
export function toldOf<T>(shaken: Shaken<T>): Result<T> {
  return shaken.ok ? shaken : { ok: false, error: shaken.error };
}

/** A membership event of a local user that a server of the room would take. */
interface Filled {
  readonly version: RoomVersion;
  readonly event: JsonObject;
  readonly eventId: string;
}

type Send<T> = (server: string, filled: Filled) => Promise<Shaken<T>>;

/** Asks each server for a template in turn, and gives what is to be sent back to `send`. The first success counts. */
async function shake<T>(
  federation: Federation,
  { roomId, userId, via, reason, cancel }: HandshakeRequest,
  membership: Membership,
  send: Send<T>,
): Promise<Shaken<T>> {
  const { host } = federation;
  let { error } = refuse("unreachable", `no server to reach ${roomId} by`);
  let passing = false;
  for (const server of new Set(via)) {
    if (server === host.server) continue;
    const versions = host.versions.ids();
    const made =
      membership === "join"
        ? await host.transport.request(server, "make_join", { roomId, userId, versions }, cancel)
        : membership === "knock"
          ? await host.transport.request(server, "make_knock", { roomId, userId, versions }, cancel)
          : await host.transport.request(server, "make_leave", { roomId, userId }, cancel);
    const shaken = made.ok ? await sendFilled(server, made.value) : failedBy(server, made.error);
    if (shaken.ok) return shaken;
    error = shaken.error;
    passing ||= shaken.passing;
  }
  return { ok: false, error, passing };

  async function sendFilled(server: string, template: EventTemplate): Promise<Shaken<T>> {
    const filled = await fill(federation, template, { roomId, userId, membership, reason, cancel });
    return filled.ok ? send(server, filled.value) : shakenBy(filled);
  }
}

/**
 * The event that a template asks for. Of the template only its place in the graph is taken over, and who
 * authorises a restricted join: a server never signs what another one wrote.
 */
async function fill(
  { host, rooms }: Federation,
  made: EventTemplate,
  wanted: Pick<HandshakeRequest, "roomId" | "userId" | "reason" | "cancel"> & { readonly membership: Membership },
): Promise<Result<Filled>> {
  const { roomId, userId, membership, reason, cancel } = wanted;
  const known = host.versions.get(made.roomVersion);
  if (!known.ok) return known;
  const version = rooms.version(known.value.id);
  const room = await rooms.open(roomId, cancel);
  if (room !== undefined && room.version.id !== version.id) {
    return refuse("bad_format", `the template is of room version ${version.id}, the room of ${room.version.id}`);
  }
  const { rules } = version;
  const checked = checkJson(rules, made.event);
  if (!checked.ok) return checked;
  const given = checked.value;
  if (!isObject(given) || get(given, "type") !== "m.room.member" || get(given, "room_id") !== roomId) {
    return refuse("bad_format", "the template is no membership event of the room");
  }
  const theirs = get(given, "content");
  if (get(given, "sender") !== userId || get(given, "state_key") !== userId || !isObject(theirs)) {
    return refuse("bad_format", "the template is not for the user");
  }
  if (get(theirs, "membership") !== membership) return refuse("bad_format", "the template is for another membership");
  const authoriser = get(theirs, "join_authorised_via_users_server");
  const event: JsonObject = {
    type: "m.room.member",
    room_id: roomId,
    sender: userId,
    state_key: userId,
    content: {
      membership,
      ...(typeof authoriser === "string" ? { join_authorised_via_users_server: authoriser } : {}),
      ...(reason === undefined ? {} : { reason }),
    },
    depth: get(given, "depth") ?? 0,
    prev_events: get(given, "prev_events") ?? [],
    auth_events: get(given, "auth_events") ?? [],
    origin_server_ts: host.clock.now(),
    ...(rules.format.eventIds === "in-pdu"
      ? { event_id: `$${encodeUnpadded(host.random.bytes(18), "url-safe")}:${host.server}` }
      : {}),
  };
  const hashed = hashEvent(event);
  const { keyId, signature } = await host.keys.sign(eventSignedBytes(rules, hashed), cancel);
  const signed = attachSignature(hashed, { server: host.server, keyId, signature });
  const pdu = readPdu(rules, signed);
  return pdu.ok ? { ok: true, value: { version, event: pdu.value.json, eventId: pdu.value.eventId } } : pdu;
}

/** Joins by way of a server in the room. The room is stored when it resolves. */
export function joinRemotely(federation: Federation, request: HandshakeRequest, intent: string): Promise<Shaken<Room>> {
  const { host, rooms } = federation;
  const { roomId, userId, partial, cancel } = request;
  const omitMembers = partial === true ? { omitMembers: true } : {};
  const join: Send<Room> = async (server, { version, event, eventId }) => {
    const sent = await host.transport.request(server, "send_join", { roomId, eventId, event, ...omitMembers }, cancel);
    if (!sent.ok) return failedBy(server, sent.error);
    const state = listOf(sent.value.state);
    const authChain = listOf(sent.value.authChain);
    if (state.length + authChain.length > host.limits.joinEvents) {
      return shakenBy(refuse("too_large", `${server} answered with ${state.length + authChain.length} events`));
    }
    const lie = otherVersion(version, state);
    if (lie !== undefined)
      return shakenBy(refuse("bad_format", `${server} says ${version.id}, the create event ${lie}`));
    const told = toldServers(host, server, sent.value);
    if (told !== undefined && partial !== true) {
      return shakenBy(refuse("bad_format", `${server} left members out of the state unasked`));
    }
    const accepted = withRecommendation(withAuthoriser(event, sent.value.event), sent.value.event, state);
    const room = await rooms.forJoin(roomId, version.id, cancel);
    const carriedOn = told === undefined ? [] : [completionIntent({ roomId, eventId, via: [server] })];
    const outsideRemove = [{ roomId, userId }];
    const imported = await room.importJoin(
      { event: accepted, state, authChain, origin: server, ...(told === undefined ? {} : { serversInRoom: told }) },
      { cancel, additions: { intentsPut: carriedOn, intentsRemove: [intent], outsideRemove } },
    );
    if (imported.ok) return { ok: true, value: await rooms.adopt(room, cancel) };
    const taken = told === undefined ? undefined : await receiveJoin(federation, server, { roomId, event: accepted });
    if (taken?.ok !== true) return shakenBy(taken ?? imported);
    await host.storage.removeOutside(roomId, userId, cancel);
    await host.storage.removeIntents([intent], cancel);
    return taken;
  };
  return shake(federation, request, "join", (server, filled) =>
    federation.joining.during(roomId, () => join(server, filled)),
  );
}

/** The version that the create event names where it is not the one by which the room was to be read. */
function otherVersion(version: RoomVersion, state: readonly JsonValue[]): string | undefined {
  const create = state.find((one) => isObject(one) && get(one, "type") === "m.room.create");
  const content = create === undefined || !isObject(create) ? undefined : get(create, "content");
  const named = isObject(content) ? (get(content, "room_version") ?? "1") : version.id;
  return named === version.id ? undefined : JSON.stringify(named);
}

/**
 * The join with what the resident server's copy adds: the signature of the server that authorises a restricted one.
 * Nothing else of that copy is taken over. Whether the signature holds is checked with those of all other events.
 */
function withAuthoriser(sent: JsonObject, theirs: JsonValue): JsonObject {
  const content = get(sent, "content");
  const authoriser = isObject(content) ? get(content, "join_authorised_via_users_server") : undefined;
  const server = typeof authoriser === "string" ? domainOf(authoriser) : undefined;
  const [own, all] = [get(sent, "signatures"), isObject(theirs) ? get(theirs, "signatures") : undefined];
  const added = server !== undefined && isObject(all) ? get(all, server) : undefined;
  if (server === undefined || added === undefined || !isObject(own)) return sent;
  return { ...sent, signatures: { [server]: added, ...own } };
}

/** The join with the signature of the room's policy server, which the resident server asked for. */
function withRecommendation(sent: JsonObject, theirs: JsonValue, state: readonly JsonValue[]): JsonObject {
  const named = state.find((one) => isObject(one) && get(one, "type") === POLICY_EVENT && get(one, "state_key") === "");
  const content = named === undefined || !isObject(named) ? undefined : get(named, "content");
  const by = isObject(content) ? namedPolicyServer(content) : undefined;
  const signature = by === undefined || !isObject(theirs) ? undefined : recommendationIn(theirs, by.server);
  if (by === undefined || signature === undefined) return sent;
  return attachSignature(sent, { server: by.server, keyId: POLICY_KEY_ID, signature });
}

export async function knockRemotely(federation: Federation, request: HandshakeRequest): Promise<Result<JsonObject>> {
  const { host } = federation;
  const { roomId, userId, cancel } = request;
  const knocked = await shake(federation, request, "knock", async (server, { version, event, eventId }) => {
    const sent = await host.transport.request(server, "send_knock", { roomId, eventId, event }, cancel);
    if (!sent.ok) return failedBy(server, sent.error);
    const shown = await readKnockState(host, version.rules, roomId, sent.value.knockRoomState);
    const state = shown.map((one) => ({ ...one }));
    const row = { roomId, userId, membership: "knock", roomVersion: version.id, event, state } as const;
    await host.storage.putOutside(row, cancel);
    return { ok: true, value: event };
  });
  return toldOf(knocked);
}

/** Rejects an invite, or takes back a knock. */
export async function leaveRemotely(federation: Federation, request: HandshakeRequest): Promise<Result<JsonObject>> {
  const { host } = federation;
  const { roomId, userId, cancel } = request;
  const left = await shake(federation, request, "leave", async (server, { event, eventId }) => {
    const sent = await host.transport.request(server, "send_leave", { roomId, eventId, event }, cancel);
    if (!sent.ok) return failedBy(server, sent.error);
    await host.storage.removeOutside(roomId, userId, cancel);
    return { ok: true, value: event };
  });
  // An invite that was taken back in the room is shown no longer than its user wants it to be.
  if (!left.ok && left.error.code === "refused_by_peer") await host.storage.removeOutside(roomId, userId, cancel);
  return toldOf(left);
}
