/** Reading a state: what the room is, as a host asks for it. */
import type { RoomIndex } from "../dag/room-index.js";
import { ABSENT, StateMap } from "../dag/state-map.js";
import type { RoomEvent } from "../event/pdu.js";
import { get } from "../json/value.js";
import type { Snapshot } from "./snapshot.js";

export type Membership = "join" | "invite" | "knock" | "leave" | "ban";

/** A user's place in a room. */
export interface Member {
  readonly userId: string;
  readonly membership: Membership;
  readonly event: RoomEvent;
}

/** The membership that a member event gives; `leave` for anything that is none. */
export function membershipOf(event: RoomEvent | undefined): Membership {
  const membership = event === undefined ? undefined : get(event.content, "membership");
  switch (membership) {
    case "join":
    case "invite":
    case "knock":
    case "ban":
      return membership;
    default:
      return "leave";
  }
}

/** One state of a room, immutable: hold it as long as you like. */
export class StateView {
  readonly #index: RoomIndex;
  readonly #snapshot: Snapshot;

  constructor(index: RoomIndex, snapshot: Snapshot) {
    this.#index = index;
    this.#snapshot = snapshot;
  }

  /** Number of state keys. */
  get size(): number {
    return this.#snapshot.state.size;
  }

  /** The event at a state key. */
  get(type: string, stateKey: string = ""): RoomEvent | undefined {
    return this.#index.lookup(this.#snapshot.state)(type, stateKey);
  }

  /** Every event of the state. */
  events(): readonly RoomEvent[] {
    const events: RoomEvent[] = [];
    this.#snapshot.state.forEach((number) => {
      const event = this.#index.eventOf(number);
      if (event !== undefined) events.push(event);
    });
    return events;
  }

  /** Ids of every event of the state. */
  ids(): readonly string[] {
    return this.#index.idsOf(this.#snapshot.state);
  }

  membership(userId: string): Membership {
    return membershipOf(this.get("m.room.member", userId));
  }

  /** Members with one of these memberships, or all that have a member event. */
  members(...memberships: readonly Membership[]): readonly Member[] {
    const members: Member[] = [];
    for (const event of this.events()) {
      if (event.type !== "m.room.member" || event.stateKey === undefined) continue;
      const membership = membershipOf(event);
      if (memberships.length > 0 && !memberships.includes(membership)) continue;
      members.push({ userId: event.stateKey, membership, event });
    }
    return members;
  }

  /** Calls `visit` for every key in which another state of the same room differs; what they share costs nothing. */
  differences(
    later: StateView,
    visit: (type: string, stateKey: string, here: RoomEvent | undefined, there: RoomEvent | undefined) => void,
  ): void {
    const eventOf = (number: number): RoomEvent | undefined =>
      number === ABSENT ? undefined : this.#index.eventOf(number);
    this.#snapshot.state.diff(later.#snapshot.state, (key, mine, theirs) => {
      const [type, stateKey] = this.#index.keyAt(key);
      visit(type, stateKey, eventOf(mine), eventOf(theirs));
    });
  }

  static empty(index: RoomIndex): StateView {
    return new StateView(index, { state: StateMap.empty, base: undefined, place: 0, serial: -1, group: undefined });
  }
}
