/** Small rooms for named scenarios: events by name, states as lists of names. */
import { RoomIndex } from "../../src/dag/index.js";
import type { RoomEvent } from "../../src/event/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { Resolution, ResolutionTrace, ResolveOptions } from "../../src/stateres/index.js";
import type { RoomVersion } from "../../src/versions/index.js";

export interface EventOptions {
  readonly auth?: readonly string[];
  readonly prev?: readonly string[];
  readonly ts?: number;
  readonly depth?: number;
  readonly rejected?: boolean;
  readonly roomId?: string;
}

/** A room whose event ids are `$` and a name; `auth` names what an event cites. */
export class Scenario {
  readonly version: RoomVersion;
  readonly events = new Map<string, { readonly event: RoomEvent; readonly rejected: boolean }>();
  #clock = 0;

  constructor(version: RoomVersion) {
    this.version = version;
  }

  get roomId(): string {
    return this.version.rules.format.roomIds === "create-hash" ? "!create" : "!room:hs";
  }

  add(
    name: string,
    type: string,
    stateKey: string | undefined,
    sender: string,
    content: JsonObject,
    options: EventOptions = {},
  ): this {
    this.#clock += 1;
    const event: RoomEvent = {
      eventId: `$${name}`,
      roomId: options.roomId ?? this.roomId,
      type,
      stateKey,
      sender,
      content,
      depth: options.depth ?? this.#clock,
      originServerTs: options.ts ?? this.#clock,
      authEvents: (options.auth ?? []).map((id) => `$${id}`),
      prevEvents: (options.prev ?? []).map((id) => `$${id}`),
      redacts: undefined,
      hasRoomId: true,
    };
    this.events.set(name, { event, rejected: options.rejected === true });
    return this;
  }

  member(name: string, user: string, membership: string, options: EventOptions & { readonly by?: string } = {}): this {
    return this.add(name, "m.room.member", user, options.by ?? user, { membership }, options);
  }

  /** Create event, creator's join, power levels and public join rules: `create`, `ima`, `ipower`, `ijr`. */
  start(creator = "@alice:hs", users: JsonObject = { "@alice:hs": 100 }): this {
    const cited = this.version.rules.auth.createEvent === "cited" ? ["create"] : [];
    const content: JsonObject = { room_version: this.version.id, creator };
    const levels = this.version.rules.auth.creatorPower === "infinite" ? without(users, creator) : users;
    return this.add("create", "m.room.create", "", creator, content)
      .member("ima", creator, "join", { auth: cited, prev: ["create"] })
      .add("ipower", "m.room.power_levels", "", creator, { users: levels }, { auth: [...cited, "ima"] })
      .add("ijr", "m.room.join_rules", "", creator, { join_rule: "public" }, { auth: [...cited, "ima", "ipower"] });
  }

  /** `create` where this version cites it, then the names. */
  cite(...names: readonly string[]): readonly string[] {
    return this.version.rules.auth.createEvent === "cited" ? ["create", ...names] : names;
  }

  /** An index of all events, or of those not named in `without`. */
  index(options: { readonly without?: readonly string[]; readonly order?: "given" | "reversed" } = {}): RoomIndex {
    const index = new RoomIndex(this.version.rules);
    const entries = [...this.events].filter(([name]) => options.without?.includes(name) !== true);
    if (options.order === "reversed") entries.reverse();
    for (const [, { event, rejected }] of entries) index.add(event, { rejected });
    return index;
  }

  run(states: readonly (readonly string[])[], options: ResolveOptions = {}, index = this.index()): Resolution {
    return this.version.resolve(
      index,
      states.map((names) => index.stateOf(names.map((name) => `$${name}`))),
      options,
    );
  }

  /** Names of the resolved state, sorted. Fails the test when there is none. */
  resolve(states: readonly (readonly string[])[], index = this.index()): readonly string[] {
    const resolution = this.run(states, {}, index);
    if (resolution.verdict !== "resolved") throw new Error(`not resolved: ${JSON.stringify(resolution)}`);
    return index
      .idsOf(resolution.state)
      .map((id) => id.slice(1))
      .sort();
  }

  trace(states: readonly (readonly string[])[]): ResolutionTrace {
    const resolution = this.run(states, { trace: true });
    if (resolution.verdict !== "resolved" || resolution.trace === undefined) throw new Error("no trace");
    return resolution.trace;
  }
}

function without(object: JsonObject, key: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
}
