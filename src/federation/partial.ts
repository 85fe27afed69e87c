/** Joins of which the state comes without most memberships (FL4; `omit_members`). */
import type { StateView } from "../engine/state-view.js";
import { membershipOf } from "../engine/state-view.js";
import type { RoomEvent } from "../event/pdu.js";
import { domainOf } from "../ids/grammar.js";
import { compareCodePoints } from "../json/compare.js";
import { get } from "../json/value.js";

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
