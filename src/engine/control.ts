/**
 * The room's control record: what a host wants to know at every moment without asking storage. Kept with immer,
 * so that a subscriber gets an immutable snapshot and the patches that led to it. State maps and graph walks
 * stay out of it: one change among 50,000 members must not cost what 50,000 members cost.
 */
import { enablePatches, freeze, Immer } from "immer";
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
  /** Whether the room was joined with a partial state that is not completed yet: most members are not known. */
  readonly partial: boolean;
  readonly counts: Readonly<Record<Membership, number>>;
  /** How many servers have a joined user. */
  readonly servers: number;
  /** The current state. */
  readonly state: StateView;
}

type Draft<T> = { -readonly [K in keyof T]: T[K] };
/** Keys of a record that get new values. */
type Changes = Partial<Draft<Control>>;

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
  /** Servers whose users are not known yet. */
  #told: ReadonlySet<string> = new Set();

  constructor(server: string) {
    this.#server = server;
  }

  get servers(): ReadonlySet<string> {
    return new Set([...this.#servers.keys(), ...this.#told]);
  }

  /** How many servers there are. */
  get size(): number {
    return this.#told.size === 0 ? this.#servers.size : this.servers.size;
  }

  /** While the state is partial, whoever was in the room at the join counts as being there still. */
  tell(servers: readonly string[]): boolean {
    const same = servers.length === this.#told.size && servers.every((server) => this.#told.has(server));
    if (!same) this.#told = new Set(servers);
    return !same;
  }

  /** Joined users of this server. */
  get local(): ReadonlySet<string> {
    return this.#local;
  }

  has(server: string): boolean {
    return this.#servers.has(server) || this.#told.has(server);
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
      partial: false,
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
    return this.#produce(old, this.#control)[1];
  }

  /**
   * Moves on to a committed record and state. The patches are made only when somebody wants them: without, a record
   * is copied and frozen, because drafting it took an eighth of the time of a message that comes alone.
   */
  advance(record: RoomRecord, state: StateView, wantPatches: boolean): readonly Patch[] {
    const old = this.#control;
    const changes: Changes = {
      revision: record.revision,
      forwardExtremities: record.forwardExtremities,
      position: record.lastPosition,
    };
    const { partial } = record;
    if ((partial !== undefined) !== old.partial) changes.partial = partial !== undefined;
    const told = this.residents.tell(partial?.servers ?? []);
    if (told || state !== old.state) this.#moveState(changes, old.state, state);
    // What a record holds is frozen too, but for the state, which nobody can change.
    for (const value of [changes.forwardExtremities, changes.counts, changes.powerLevels]) freeze(value, true);
    if (!wantPatches) {
      this.#control = Object.freeze({ ...old, ...changes });
      return [];
    }
    const [next, patches] = this.#produce(old, changes);
    this.#control = next;
    return patches;
  }

  #produce(old: Control, changes: Changes): readonly [Control, readonly Patch[]] {
    const [next, patches] = this.#immer.produceWithPatches(old, (draft: Draft<Control>) => {
      Object.assign(draft, changes);
    });
    return [next, patches];
  }

  #moveState(changes: Changes, before: StateView, after: StateView): void {
    changes.state = after;
    const { counts: known } = this.#control;
    const counts = { ...known };
    before.differences(after, (type, stateKey, old, now) => {
      if (type === "m.room.member") {
        const [from, to] = [membershipOf(old), membershipOf(now)];
        if (old !== undefined) counts[from]--;
        if (now !== undefined) counts[to]++;
        this.residents.move(stateKey, from, to);
      } else if (stateKey === "") summarise(changes, type, now);
    });
    if (Object.entries(counts).some(([name, count]) => known[name as Membership] !== count)) changes.counts = counts;
    changes.servers = this.residents.size;
  }
}

function summarise(changes: Changes, type: string, event: RoomEvent | undefined): void {
  const text = (key: string): string | undefined => {
    const value: JsonValue | undefined = event === undefined ? undefined : get(event.content, key);
    return typeof value === "string" ? value : undefined;
  };
  switch (type) {
    case "m.room.create":
      changes.creator = event?.sender;
      changes.roomType = text("type");
      return;
    case "m.room.join_rules":
      changes.joinRule = text("join_rule") ?? "invite";
      return;
    case "m.room.history_visibility":
      changes.historyVisibility = text("history_visibility") ?? "shared";
      return;
    case "m.room.name":
      changes.name = text("name");
      return;
    case "m.room.topic":
      changes.topic = text("topic");
      return;
    case "m.room.power_levels":
      changes.powerLevels = event?.content;
      return;
    case "m.room.tombstone":
      changes.replacement = text("replacement_room");
      return;
    case "m.room.encryption":
      changes.encrypted = event !== undefined;
  }
}
