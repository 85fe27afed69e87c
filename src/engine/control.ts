/**
 * The room's control record: what a host wants to know at every moment without asking storage. Kept with immer,
 * so that a subscriber gets an immutable snapshot and the patches that led to it. State maps and graph walks
 * stay out of it: one change among 50,000 members must not cost what 50,000 members cost.
 */
import { enablePatches, Immer } from "immer";
import { get } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomEvent } from "../event/pdu.js";
import { domainOf } from "../ids/grammar.js";
import type { RoomRecord } from "../ports/storage.js";
import { membershipOf } from "./state-view.js";
import type { Membership, StateView } from "./state-view.js";

/** A change of the control record, as in RFC 6902 but for the path, which is a list. */
export interface Patch {
  readonly op: "add" | "remove" | "replace";
  readonly path: readonly (string | number)[];
  readonly value?: unknown;
}

/** What a room is at one moment. Immutable. */
export interface Control {
  readonly roomId: string;
  readonly roomVersion: string;
  readonly revision: number;
  /** Sorted event ids: the `prev_events` of whatever is sent next. */
  readonly forwardExtremities: readonly string[];
  /** The last stream position. */
  readonly position: number;
  /** The sender of the create event. */
  readonly creator: string | undefined;
  /** `type` of the create event: `m.space`, for example. */
  readonly roomType: string | undefined;
  readonly joinRule: string;
  readonly historyVisibility: string;
  readonly name: string | undefined;
  readonly topic: string | undefined;
  /** The content of the power-levels event. */
  readonly powerLevels: JsonObject | undefined;
  /** The room that takes this one's place. */
  readonly replacement: string | undefined;
  readonly encrypted: boolean;
  readonly counts: Readonly<Record<Membership, number>>;
  /** How many servers have a joined user. */
  readonly servers: number;
  /** The current state. */
  readonly state: StateView;
}

type Draft<T> = { -readonly [K in keyof T]: T[K] };

/** A private instance: no setting of the host's own immer reaches it. */
function newImmer(): Immer {
  enablePatches();
  return new Immer({ autoFreeze: true });
}

const noCounts: Readonly<Record<Membership, number>> = Object.freeze({
  join: 0,
  invite: 0,
  knock: 0,
  leave: 0,
  ban: 0,
});

/** Who is joined from where, counted as the current state moves. */
export class Residents {
  readonly #servers = new Map<string, number>();
  readonly #local = new Set<string>();
  readonly #server: string;

  constructor(server: string) {
    this.#server = server;
  }

  get servers(): ReadonlyMap<string, number> {
    return this.#servers;
  }

  /** Joined users of this server. */
  get local(): ReadonlySet<string> {
    return this.#local;
  }

  has(server: string): boolean {
    return this.#servers.has(server);
  }

  move(userId: string, before: Membership, after: Membership): void {
    const server = domainOf(userId);
    if (server === undefined || (before === "join") === (after === "join")) return;
    const count = (this.#servers.get(server) ?? 0) + (after === "join" ? 1 : -1);
    if (count > 0) this.#servers.set(server, count);
    else this.#servers.delete(server);
    if (server !== this.#server) return;
    if (after === "join") this.#local.add(userId);
    else this.#local.delete(userId);
  }
}

/** The control record and its successors. */
export class ControlKeeper {
  readonly #immer = newImmer();
  readonly residents: Residents;
  #control: Control;

  constructor(server: string, roomId: string, roomVersion: string, empty: StateView) {
    this.residents = new Residents(server);
    this.#control = Object.freeze({
      roomId,
      roomVersion,
      revision: 0,
      forwardExtremities: [],
      position: 0,
      creator: undefined,
      roomType: undefined,
      joinRule: "invite",
      historyVisibility: "shared",
      name: undefined,
      topic: undefined,
      powerLevels: undefined,
      replacement: undefined,
      encrypted: false,
      counts: noCounts,
      servers: 0,
      state: empty,
    });
  }

  get control(): Control {
    return this.#control;
  }

  /** What leads from a record that another keeper made to this one's. */
  patchesFrom(old: Control): readonly Patch[] {
    const [, patches] = this.#immer.produceWithPatches(old, (draft: Draft<Control>) => {
      Object.assign(draft, this.#control);
    });
    return patches;
  }

  /** Moves on to a committed record and state; the patches are made only when somebody wants them. */
  advance(record: RoomRecord, state: StateView, wantPatches: boolean): readonly Patch[] {
    const recipe = (draft: Draft<Control>): void => {
      draft.revision = record.revision;
      draft.forwardExtremities = record.forwardExtremities;
      draft.position = record.lastPosition;
      if (state === this.#control.state) return;
      this.#moveState(draft, this.#control.state, state);
      draft.state = state;
    };
    if (!wantPatches) {
      this.#control = this.#immer.produce(this.#control, recipe);
      return [];
    }
    const [next, patches] = this.#immer.produceWithPatches(this.#control, recipe);
    this.#control = next;
    return patches;
  }

  #moveState(draft: Draft<Control>, before: StateView, after: StateView): void {
    const counts = { ...this.#control.counts };
    before.differences(after, (type, stateKey, old, now) => {
      if (type === "m.room.member") {
        const [from, to] = [membershipOf(old), membershipOf(now)];
        if (old !== undefined) counts[from]--;
        if (now !== undefined) counts[to]++;
        this.residents.move(stateKey, from, to);
      } else if (stateKey === "") summarise(draft, type, now);
    });
    if (Object.entries(counts).some(([name, count]) => this.#control.counts[name as Membership] !== count)) {
      draft.counts = counts;
    }
    draft.servers = this.residents.servers.size;
  }
}

function summarise(draft: Draft<Control>, type: string, event: RoomEvent | undefined): void {
  const text = (key: string): string | undefined => {
    const value: JsonValue | undefined = event === undefined ? undefined : get(event.content, key);
    return typeof value === "string" ? value : undefined;
  };
  switch (type) {
    case "m.room.create":
      draft.creator = event?.sender;
      draft.roomType = text("type");
      return;
    case "m.room.join_rules":
      draft.joinRule = text("join_rule") ?? "invite";
      return;
    case "m.room.history_visibility":
      draft.historyVisibility = text("history_visibility") ?? "shared";
      return;
    case "m.room.name":
      draft.name = text("name");
      return;
    case "m.room.topic":
      draft.topic = text("topic");
      return;
    case "m.room.power_levels":
      draft.powerLevels = event?.content;
      return;
    case "m.room.tombstone":
      draft.replacement = text("replacement_room");
      return;
    case "m.room.encryption":
      draft.encrypted = event !== undefined;
  }
}
