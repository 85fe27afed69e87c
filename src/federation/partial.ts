/** Joins of which the state comes without most memberships (FL4; `omit_members`). */
import type { Host } from "../engine/host.js";
import { refusalOf } from "../engine/held.js";
import type { Room } from "../engine/room.js";
import { stringsOf } from "../engine/fetch.js";
import type { Result } from "../errors.js";
import type { StateView } from "../engine/state-view.js";
import { membershipOf } from "../engine/state-view.js";
import type { RoomEvent } from "../event/pdu.js";
import { domainOf, isServerName } from "../ids/grammar.js";
import { compareCodePoints } from "../json/compare.js";
import { get } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { OperationAnswer } from "../ports/operations.js";
import { fail, residentRoom } from "./context.js";
import type { Failed, Federation } from "./context.js";

// ---- the side of a server that is in the room -------------------------------------------------------------

/** Members after whom a room without a name is called (client-server-api, `m.heroes`). */
const HEROES = 5;

/**
 * Ids of the memberships that a joiner can do without: all but what its own was, and the heroes' where the room has
 * no name. What the rest and the join rest on is in the auth chain of the answer, omitted here or not.
 */
export function omittedMembers(before: StateView, join: RoomEvent): ReadonlySet<string> {
  const others = before.members().filter(({ userId }) => userId !== join.stateKey);
  const omitted = new Set<string>(others.map(({ event }) => event.eventId));
  const shown = isNamed(before) ? [] : heroesAmong(others.map(({ event }) => event));
  for (const { eventId } of shown) omitted.delete(eventId);
  return omitted;
}

function isNamed(state: StateView): boolean {
  const says = (type: string, key: string): boolean => {
    const value = get(state.get(type)?.content ?? {}, key);
    return typeof value === "string" && value !== "";
  };
  return says("m.room.name", "name") || says("m.room.canonical_alias", "alias");
}

/** Those who are joined or invited, in the order in which they came here; where there are none, those who were. */
function heroesAmong(members: readonly RoomEvent[]): readonly RoomEvent[] {
  const present = members.filter((event) => ["join", "invite"].includes(membershipOf(event)));
  const gone = members.filter((event) => ["leave", "ban"].includes(membershipOf(event)));
  return (present.length > 0 ? present : gone).slice(0, HEROES);
}

/** Servers with a joined user in a state. */
export function serversIn(state: StateView): readonly string[] {
  return [...new Set(state.members("join").flatMap(({ userId }) => domainOf(userId) ?? []))].sort(compareCodePoints);
}

/** A room that this server takes part in and knows the members of: without them nobody can be let in or out. */
export async function wholeRoom(
  federation: Federation,
  roomId: string,
): Promise<{ readonly ok: true; readonly value: Room } | Failed> {
  const room = await residentRoom(federation, roomId);
  if (room === undefined) return fail("not_found", `no user of this server is in ${roomId}`);
  if (room.control.partial) return fail("not_found", `this server has just joined ${roomId}: ask another`);
  return { ok: true, value: room };
}

// ---- the side of a server that is not ---------------------------------------------------------------------

/** Where the members are that an answer left out; `undefined` for a state that is whole. */
export function toldServers(
  host: Host,
  server: string,
  { membersOmitted, serversInRoom }: OperationAnswer<"send_join">,
): readonly string[] | undefined {
  if (membersOmitted !== true) return undefined;
  const named = stringsOf(serversInRoom)
    .slice(0, host.limits.toldServers)
    .filter((name) => isServerName(name));
  const all = new Set([server, ...named]);
  all.delete(host.server);
  return [...all].sort(compareCodePoints);
}

/**
 * Where two users of this server join at once, the second finds the room here, and a part of its state is of no use
 * any more: its join is received like any other event. `undefined` where nobody else has joined.
 */
export async function receiveJoin(
  { rooms }: Federation,
  server: string,
  { roomId, event }: { readonly roomId: string; readonly event: JsonObject },
): Promise<Result<Room> | undefined> {
  const room = await rooms.open(roomId);
  if (room?.isResident !== true) return undefined;
  const [receipt] = await room.receive([event], { origin: server });
  const refusal = receipt === undefined ? undefined : refusalOf(receipt.verdict);
  return refusal === undefined ? { ok: true, value: room } : { ok: false, error: refusal };
}
