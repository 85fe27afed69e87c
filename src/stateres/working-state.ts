/** The state that resolution builds up: a base that is never touched and the changes over it. */
import { createEventIdOf } from "../event/pdu.js";
import type { RoomEvent } from "../event/pdu.js";
import { ABSENT } from "../dag/state-map.js";
import type { StateMap } from "../dag/state-map.js";
import type { RoomIndex } from "../dag/room-index.js";
import { checkAmongOthers } from "../auth/check.js";
import { LevelMaps } from "../auth/level-maps.js";
import type { AuthFacts, AuthVerdict, FactRequest, StateLookup } from "../auth/verdict.js";

/** What resolution found missing on its way; anything here turns the answer into `needs`. */
export interface Missing {
  readonly events: Set<string>;
  readonly facts: FactRequest[];
}

export class WorkingState {
  readonly index: RoomIndex;
  readonly #base: StateMap;
  readonly #changes = new Map<number, number>();
  readonly #missing: Missing;
  readonly #facts: AuthFacts;
  readonly #levelMaps = new LevelMaps();
  readonly #createKey: number;
  readonly #powerKey: number;

  /** `hidden` keys of the base count as absent until they are set. */
  constructor(index: RoomIndex, base: StateMap, hidden: Iterable<number>, missing: Missing, facts: AuthFacts) {
    this.index = index;
    this.#base = base;
    this.#missing = missing;
    this.#facts = facts;
    this.#createKey = index.keyNumber("m.room.create", "");
    this.#powerKey = index.keyNumber("m.room.power_levels", "");
    for (const key of hidden) this.#changes.set(key, ABSENT);
  }

  get(key: number): number {
    return this.#changes.get(key) ?? this.#base.get(key);
  }

  set(key: number, event: number): void {
    this.#changes.set(key, event);
  }

  /** The keys that were set, hidden ones included, with what they hold now. */
  changes(): Iterable<[key: number, event: number]> {
    return this.#changes;
  }

  /**
   * The verdict on `event` against this state, where a key that the state lacks, or holds a rejected
   * event at, is answered from the event's own accepted auth events (spec, "Iterative auth checks").
   */
  check(number: number, event: RoomEvent): AuthVerdict {
    const { index } = this;
    const verdict = checkAmongOthers(index.rules, event, this.#lookupFor(number, event), this.#facts, this.#levelMaps);
    if (verdict.verdict === "needs") this.#missing.facts.push(...verdict.facts);
    return verdict;
  }

  /** The number of a key that is asked for when an event is checked, mostly without looking it up. */
  #keyFor(number: number, event: RoomEvent, type: string, stateKey: string): number {
    const { index } = this;
    if (stateKey === "") {
      if (type === "m.room.create") return this.#createKey;
      if (type === "m.room.power_levels") return this.#powerKey;
    }
    // Most of what a member's event is judged by is the member, and its sender.
    if (stateKey === event.stateKey && type === event.type) return index.keyOf(number);
    if (type === "m.room.member" && stateKey === event.sender) return index.senderKeyOf(number);
    return index.keyNumber(type, stateKey);
  }

  #lookupFor(number: number, event: RoomEvent): StateLookup {
    const { index } = this;
    return (type, stateKey) => {
      const key = this.#keyFor(number, event, type, stateKey);
      if (key !== ABSENT) {
        const current = this.get(key);
        if (current !== ABSENT && !index.isRejected(current)) return index.eventOf(current);
      }
      return this.#ownAuthEvent(number, event, type, stateKey, key);
    };
  }

  #ownAuthEvent(number: number, event: RoomEvent, type: string, stateKey: string, key: number): RoomEvent | undefined {
    const { index } = this;
    const { links } = index;
    for (let link = links.first(number), end = links.end(number); link < end; link++) {
      const cited = links.at(link);
      if (!links.has(cited)) this.#missing.events.add(index.idOf(cited));
      else if (key !== ABSENT && index.keyOf(cited) === key && !index.isRejected(cited)) return index.eventOf(cited);
    }
    // v12 events do not cite the create event: the room id names it.
    if (type !== "m.room.create" || stateKey !== "" || index.rules.auth.createEvent !== "implied") return undefined;
    const create = index.impliedCreate(event.roomId);
    if (create !== ABSENT) return index.eventOf(create);
    this.#missing.events.add(createEventIdOf(event.roomId));
    return undefined;
  }
}
