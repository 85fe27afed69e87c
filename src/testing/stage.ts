/** Small rooms put together by hand, with exactly the state that one rule reads. */
import { domainOf } from "../ids/grammar.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { authEventsOf, forge, withId } from "./forge.js";
import type { Draft, LooseEvent } from "./forge.js";

/** A request to judge an event by its auth events, as a line of `roomdag oracle` carries it. */
export interface AuthRequest {
  readonly room_version: string;
  /** The federation form with `event_id`, which is to be taken as given. Its signatures count as valid. */
  readonly event: JsonObject;
  /** The events that it cites in `auth_events`, likewise. None was rejected. */
  readonly auth_events: readonly JsonObject[];
  /** Room version 12: the create event, which events do not cite. */
  readonly create?: JsonObject;
}

/** What a room is to hold; every event of it is taken as accepted. */
export interface StageSetup {
  readonly creator: string;
  /** The localpart of its id, in versions where creators choose it. Default `stage`. */
  readonly name?: string;
  readonly createContent?: JsonObject;
  /** Memberships by user; the creator has joined. */
  readonly members?: Readonly<Record<string, string>>;
  /** Content of the power levels; absent: the room has none. */
  readonly powerLevels?: JsonObject;
  /** Absent: the room has no join rules. */
  readonly joinRule?: string;
}

const TIME = 1_700_000_000_000;

export class Stage {
  readonly rules: RoomVersionRules;
  readonly create: LooseEvent;
  readonly #state = new Map<string, LooseEvent>();
  #last: LooseEvent;

  constructor(rules: RoomVersionRules, setup: StageSetup) {
    this.rules = rules;
    const { creator } = setup;
    const named = rules.auth.creator === "content" ? { creator } : {};
    const content: JsonObject = { room_version: rules.id, ...named, ...setup.createContent };
    const roomId =
      rules.format.roomIds === "domain" ? `!${setup.name ?? "stage"}:${domainOf(creator) ?? ""}` : undefined;
    const draft: Draft = { type: "m.room.create", stateKey: "", sender: creator, content, originServerTs: TIME };
    this.create = forge(rules, draft, { roomId, prevEvents: [], authEvents: [], sign: false });
    this.#last = this.create;
    this.#hold(this.create);
    for (const [user, membership] of Object.entries({ ...setup.members, [creator]: "join" })) {
      this.add({ type: "m.room.member", stateKey: user, sender: user, content: { membership } });
    }
    if (setup.powerLevels !== undefined) this.add(stateEvent("m.room.power_levels", creator, setup.powerLevels));
    if (setup.joinRule !== undefined) this.add(stateEvent("m.room.join_rules", creator, { join_rule: setup.joinRule }));
  }

  #hold(event: LooseEvent): LooseEvent {
    this.#state.set(JSON.stringify([event.type, event.stateKey]), event);
    this.#last = event;
    return event;
  }

  at(type: string, stateKey: string): LooseEvent | undefined {
    return this.#state.get(JSON.stringify([type, stateKey]));
  }

  /** Puts a state event into the room without asking anybody. */
  add(draft: Omit<Draft, "originServerTs">): LooseEvent {
    return this.#hold(this.event(draft));
  }

  /** An event at the end of the room that cites what it should, or `authEvents`. */
  event(draft: Omit<Draft, "originServerTs">, authEvents?: readonly LooseEvent[]): LooseEvent {
    const full: Draft = { ...draft, originServerTs: TIME + 1 };
    const cited = authEvents ?? this.cited(full);
    return forge(this.rules, full, {
      roomId: this.create.roomId,
      prevEvents: [this.#last],
      authEvents: cited,
      sign: false,
    });
  }

  cited(draft: Omit<Draft, "originServerTs">): readonly LooseEvent[] {
    return authEventsOf(this.rules, { ...draft, originServerTs: TIME }, (type, stateKey) => this.at(type, stateKey));
  }

  /** The request to judge a draft by the state of this room, or by other auth events. */
  request(draft: Omit<Draft, "originServerTs">, authEvents: readonly LooseEvent[] = this.cited(draft)): AuthRequest {
    return authRequest(this.rules, withId(this.event(draft, authEvents)), authEvents.map(withId), withId(this.create));
  }
}

/** The request about these events; the create event goes along where the version's events do not cite it. */
export function authRequest(
  rules: RoomVersionRules,
  event: JsonObject,
  authEvents: readonly JsonObject[],
  create: JsonObject,
): AuthRequest {
  const request = { room_version: rules.id, event, auth_events: authEvents };
  return rules.auth.createEvent === "implied" && event["type"] !== "m.room.create" ? { ...request, create } : request;
}

/** A state event with the empty state key. */
export function stateEvent(type: string, sender: string, content: JsonObject): Omit<Draft, "originServerTs"> {
  return { type, stateKey: "", sender, content };
}

/** A membership event. */
export function membershipEvent(
  sender: string,
  target: string,
  membership: string,
  more: Readonly<Record<string, JsonValue>> = {},
): Omit<Draft, "originServerTs"> {
  return { type: "m.room.member", stateKey: target, sender, content: { membership, ...more } };
}
