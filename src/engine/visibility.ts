/**
 * Who may see an event (spec client-server-api, "Room History Visibility"): decisions as pure functions of the
 * states before and after it, and a reader that finds those states in a room.
 */
import type { StateLookup } from "../auth/verdict.js";
import { isState } from "../event/pdu.js";
import type { RoomEvent } from "../event/pdu.js";
import { get } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { Held } from "./held.js";
import type { Room } from "./room.js";
import { membershipOf } from "./state-view.js";
import type { Membership } from "./state-view.js";

/** The settings of `m.room.history_visibility`, the laxest first. */
export const HISTORY_VISIBILITIES: readonly ["world_readable", "shared", "invited", "joined"] = Object.freeze([
  "world_readable",
  "shared",
  "invited",
  "joined",
]);

export type HistoryVisibility = (typeof HISTORY_VISIBILITIES)[number];

/** What a state sets; `shared` where it sets nothing that is understood. */
export function historyVisibilityOf(event: RoomEvent | undefined): HistoryVisibility {
  const value = event === undefined ? undefined : get(event.content, "history_visibility");
  return HISTORY_VISIBILITIES.find((known) => known === value) ?? "shared";
}

/** The states around an event. For an event that is no state they are the same. */
export interface StatesAround {
  readonly before: StateLookup;
  readonly after: StateLookup;
}

/** The rule that lets a user or a server see an event, or why none does. */
export type Sight =
  | {
      readonly visible: true;
      /** `joined`, `invited`: at the event. `joined-later`: shared with whoever joined since. */
      readonly reason: "world-readable" | "shared" | "joined" | "joined-later" | "invited";
    }
  | {
      readonly visible: false;
      /**
       * `hidden` by the rules; `state-unknown`: the states around it are not known here, and nothing that is lets
       * it be seen; `not-accepted`: it is no part of the room's timeline; `not-found`: it is not here.
       */
      readonly reason: "hidden" | "state-unknown" | "not-accepted" | "not-found";
    };

const hidden = Object.freeze({ visible: false, reason: "hidden" } as const);

function shown(reason: Extract<Sight, { readonly visible: true }>["reason"]): Sight {
  return { visible: true, reason };
}

function laxer(one: HistoryVisibility, other: HistoryVisibility): HistoryVisibility {
  return HISTORY_VISIBILITIES.find((setting) => setting === one || setting === other) ?? one;
}

/**
 * The setting under which an event is seen. The states around it differ in its own key alone, so that this is the
 * setting at the event, and the laxer of two for the event that changes it.
 */
export function settingAround({ before, after }: StatesAround): HistoryVisibility {
  const key = ["m.room.history_visibility", ""] as const;
  return laxer(historyVisibilityOf(before(...key)), historyVisibilityOf(after(...key)));
}

/** As {@link settingAround}, a membership: of the two around a user's own member event, the one that shows more. */
function membershipAround({ before, after }: StatesAround, userId: string): Membership {
  return mostOf(before("m.room.member", userId), after("m.room.member", userId));
}

function mostOf(...events: readonly (RoomEvent | undefined)[]): Membership {
  const around = events.map(membershipOf);
  return around.find((one) => one === "join") ?? around.find((one) => one === "invite") ?? "leave";
}

/** A user who wants to see an event. */
export interface Onlooker {
  readonly userId: string;
  /** Whether the user joined the room at any point after the event was sent, and perhaps left since. */
  readonly joinsLater: boolean;
}

/**
 * Whether a user may see an event. Nothing else that a user does after the event counts: who leaves keeps what
 * could be seen, and gains nothing.
 *
 * One's own member events are seen for either of the two memberships, so that going from `join` to anything is
 * always seen. From `invite` to `leave` is seen under `invited`, and under `shared` as well, which is meant to
 * show more, although rule 3 speaks of those who join only; not under `joined`, where Synapse shows it too.
 */
export function isVisibleToUser(event: RoomEvent, states: StatesAround, user: Onlooker): Sight {
  return byRules(event, settingAround(states), membershipAround(states, user.userId), user);
}

/** "Room History Visibility", "Server behaviour", rules 1 to 5. */
function byRules(event: RoomEvent, setting: HistoryVisibility, membership: Membership, user: Onlooker): Sight {
  if (setting === "world_readable") return shown("world-readable");
  if (membership === "join") return shown("joined");
  if (setting === "shared" && user.joinsLater) return shown("joined-later");
  const mayBeInvited = setting === "invited" || (setting === "shared" && isMemberEventOf(event, user.userId));
  return membership === "invite" && mayBeInvited ? shown("invited") : hidden;
}

function isMemberEventOf(event: RoomEvent, userId: string): boolean {
  return event.type === "m.room.member" && event.stateKey === userId;
}

/** The most that users of a server are in a state. */
export type Presence = "join" | "invite" | undefined;

/**
 * Whether a server that is in the room may have an event whole. What it may not is given to it redacted: it needs
 * the event's place in the graph. `presence` is asked only where it matters: the most that any user of the server
 * was in the states around the event.
 */
export function isVisibleToServer(setting: HistoryVisibility, presence: () => Presence): Sight {
  if (setting === "world_readable") return shown("world-readable");
  if (setting === "shared") return shown("shared");
  const most = presence();
  if (most === "join") return shown("joined");
  return most === "invite" && setting === "invited" ? shown("invited") : hidden;
}

// ---- in a room ------------------------------------------------------------------------------------------

/** Whether a user may see an event of a room. */
export type EventSight = Sight & { readonly eventId: string };

/**
 * What a user may see of these events, one answer for each, in their order: a page of the timeline, before a
 * client gets it. Costs no more in a room of many members.
 *
 * Where the states around an event are not known, because history behind it was not fetched yet, the setting and
 * the membership of that time are taken from the events that are known to have set them, by depth.
 */
export async function visibleEvents(
  room: Room,
  userId: string,
  eventIds: readonly string[],
  cancel?: Cancel,
): Promise<readonly EventSight[]> {
  const held = new Map<string, Held>();
  for (const one of await room.load(eventIds, cancel)) held.set(one.event.eventId, one);
  const reader = new Reader(room, userId, cancel);
  const sights: EventSight[] = [];
  for (const eventId of eventIds) {
    const found = held.get(eventId);
    const sight = found === undefined ? ({ visible: false, reason: "not-found" } as const) : await reader.sight(found);
    sights.push({ eventId, ...sight });
  }
  return sights;
}

/** The states around an event of a room; `undefined` where they are not known. */
export async function statesAround(room: Room, eventId: string, cancel?: Cancel): Promise<StatesAround | undefined> {
  const at = await room.stateAt(eventId, cancel);
  if (at === undefined) return undefined;
  return { before: (type, key) => at.before.get(type, key), after: (type, key) => at.after.get(type, key) };
}

/** One user, looking at one room. */
class Reader {
  readonly #room: Room;
  readonly #userId: string;
  readonly #cancel: Cancel | undefined;
  readonly #settings: Settings;
  readonly #joinsLater = new Map<string | undefined, boolean>();
  #memberships: Succession | undefined;

  constructor(room: Room, userId: string, cancel: Cancel | undefined) {
    this.#room = room;
    this.#userId = userId;
    this.#cancel = cancel;
    this.#settings = new Settings(room, cancel);
  }

  async sight({ event, verdict }: Held): Promise<Sight> {
    if (verdict.standing !== "accepted") return { visible: false, reason: "not-accepted" };
    const states = await statesAround(this.#room, event.eventId, this.#cancel);
    if (states === undefined) return this.#surmise(event);
    const user = { userId: this.#userId, joinsLater: false };
    const sight = isVisibleToUser(event, states, user);
    // Only some of the hidden ones are worth asking whether the user joined later.
    if (sight.visible || !isVisibleToUser(event, states, { ...user, joinsLater: true }).visible) return sight;
    const member = states.after("m.room.member", this.#userId);
    return isVisibleToUser(event, states, { ...user, joinsLater: await this.#joinedAfter(member) });
  }

  async #surmise(event: RoomEvent): Promise<Sight> {
    const setting = await this.#settings.about(event);
    const member = standingAt(await this.#succession(), event.depth);
    const own = isMemberEventOf(event, this.#userId);
    const after = own ? event : member;
    const user = { userId: this.#userId, joinsLater: await this.#joinedAfter(after) };
    const sight = byRules(event, setting ?? "joined", mostOf(member, after), user);
    return sight.visible ? sight : { visible: false, reason: "state-unknown" };
  }

  async #succession(): Promise<Succession> {
    return (this.#memberships ??= await successionOf(this.#room, "m.room.member", this.#userId, this.#cancel));
  }

  /** Whether the user joined after an event after which `member` was the user's member event. */
  async #joinedAfter(member: RoomEvent | undefined): Promise<boolean> {
    if (this.#room.current.membership(this.#userId) === "join") return true;
    const known = this.#joinsLater.get(member?.eventId);
    if (known !== undefined) return known;
    const { events } = await this.#succession();
    const last = events.findIndex((one) => membershipOf(one) === "join");
    const join = events[last];
    const answer = join !== undefined && (await this.#isBefore(member, last, join));
    this.#joinsLater.set(member?.eventId, answer);
    return answer;
  }

  /** On another branch the user had a member event that did not last: what it came from tells. */
  async #isBefore(member: RoomEvent | undefined, last: number, join: RoomEvent): Promise<boolean> {
    const { events } = await this.#succession();
    let one = member;
    for (let steps = 0; one !== undefined && steps < LONGEST; steps++) {
      const { eventId } = one;
      const place = events.findIndex((other) => other.eventId === eventId);
      if (place >= 0) return place > last;
      const states = await statesAround(this.#room, eventId, this.#cancel);
      if (states === undefined) return one.depth < join.depth;
      one = states.before("m.room.member", this.#userId);
    }
    return one === undefined;
  }
}

// ---- where states are not known -------------------------------------------------------------------------

/** The events that came to stand at a state key one after the other, the latest first. */
interface Succession {
  readonly events: readonly RoomEvent[];
  /** Whether nothing stood there before the oldest of them; otherwise what did is not known. */
  readonly complete: boolean;
}

/** Who changes a membership more often than this is looked at no further. */
const LONGEST = 1_000;

async function successionOf(room: Room, type: string, stateKey: string, cancel?: Cancel): Promise<Succession> {
  const events: RoomEvent[] = [];
  let event = room.state(type, stateKey);
  while (event !== undefined && events.length < LONGEST) {
    events.push(event);
    const states = await statesAround(room, event.eventId, cancel);
    if (states === undefined) return { events, complete: false };
    event = states.before(type, stateKey);
  }
  return { events, complete: event === undefined };
}

function standingAt({ events }: Succession, depth: number): RoomEvent | undefined {
  return events.find((event) => event.depth < depth);
}

/** The settings of a room's history, for events around which the states are not known. */
export class Settings {
  readonly #room: Room;
  readonly #cancel: Cancel | undefined;
  #succession: Succession | undefined;

  constructor(room: Room, cancel: Cancel | undefined) {
    this.#room = room;
    this.#cancel = cancel;
  }

  /**
   * The setting that was in force at an event, as far as depths tell. Before the first that is known it is
   * `shared` where none was ever stricter, and unknown elsewhere.
   */
  async about(event: RoomEvent): Promise<HistoryVisibility | undefined> {
    const succession = (this.#succession ??= await successionOf(
      this.#room,
      "m.room.history_visibility",
      "",
      this.#cancel,
    ));
    const before = this.#before(succession, event.depth);
    const changes = isState(event) && event.type === "m.room.history_visibility" && event.stateKey === "";
    return changes ? laxer(before ?? "joined", historyVisibilityOf(event)) : before;
  }

  #before(succession: Succession, depth: number): HistoryVisibility | undefined {
    const standing = standingAt(succession, depth);
    if (standing !== undefined) return historyVisibilityOf(standing);
    const settings = succession.events.map(historyVisibilityOf);
    const open = settings.every((setting) => setting === "shared" || setting === "world_readable");
    return succession.complete || open ? "shared" : undefined;
  }
}
