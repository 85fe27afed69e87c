/**
 * Makes rooms that fork, for measuring. A trunk is grown once; any number of forks, each with its own
 * branches and changes, may share it. Everything follows from the options and the seed. Event ids are
 * true reference hashes and `hashes` true content hashes; every event is allowed by the state that it
 * is sent into, which is checked as it is made. Events carry no signatures.
 */
import { checkStateDependent, selectAuthEvents } from "../src/auth/index.js";
import { encodeUnpadded } from "../src/crypto/index.js";
import { contentHash, readEvent } from "../src/event/index.js";
import type { LooseEvent } from "../src/event/index.js";
import type { JsonObject } from "../src/json/index.js";
import { roomVersions } from "../src/versions/index.js";
import type { RoomVersion, RoomVersionRules } from "../src/versions/index.js";

export interface TrunkOptions {
  /** Any version whose event ids are hashes: 3 to 12 and I.1. */
  readonly roomVersion: string;
  /** Joined users before the fork, at least {@link STAFF}. */
  readonly members: number;
  /** Servers that the users are spread over. */
  readonly servers: number;
  /** Entries of `users` in the power levels beyond the staff's. */
  readonly paddingUsers: number;
  /** Power-levels events before the fork, each citing the one before: the depth of the auth chain. */
  readonly powerHistory: number;
}

export interface ForkOptions {
  readonly branches: number;
  /** State changes after the fork, dealt evenly to the branches. */
  readonly changes: number;
  readonly seed: number;
}

export interface Trunk {
  readonly options: TrunkOptions;
  readonly version: RoomVersion;
  readonly events: readonly LooseEvent[];
  readonly state: State;
  readonly tip: LooseEvent;
  readonly roomId: string;
}

export interface ForkedRoom {
  readonly version: RoomVersion;
  /** Trunk and branches, every event after those that it cites. */
  readonly events: readonly LooseEvent[];
  /** The events after the fork. */
  readonly changes: readonly LooseEvent[];
  /** Ids of the state at the tip of each branch. */
  readonly stateSets: readonly (readonly string[])[];
}

const ADMINS = 4;
const MODERATORS = 12;
/** The creator, admins and moderators: the first users of every room. */
export const STAFF: number = 1 + ADMINS + MODERATORS;

const FIRST_TS = 1_700_000_000_000;

/** A generator of 32-bit numbers (xorshift), because `Math.random` takes no seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // Zero is the one state that xorshift never leaves.
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) | 1;
    for (let round = 0; round < 8; round++) this.#next();
  }

  #next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** An integer from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return this.#next() % limit;
  }

  pick<T>(list: readonly T[]): T {
    const picked = list[this.below(list.length)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }
}

/** Room state that can branch: a base that is shared and the changes over it. */
class State {
  readonly #base: ReadonlyMap<string, LooseEvent>;
  readonly #changes = new Map<string, LooseEvent>();

  constructor(base: ReadonlyMap<string, LooseEvent> = new Map()) {
    this.#base = base;
  }

  get(type: string, stateKey: string): LooseEvent | undefined {
    const key = `${type}\0${stateKey}`;
    return this.#changes.get(key) ?? this.#base.get(key);
  }

  set(event: LooseEvent): void {
    this.#changes.set(`${event.type}\0${event.stateKey ?? ""}`, event);
  }

  branch(): State {
    if (this.#base.size > 0) throw new Error("branches do not branch");
    return new State(this.#changes);
  }

  ids(): string[] {
    const ids: string[] = [];
    for (const [key, event] of this.#base) if (!this.#changes.has(key)) ids.push(event.eventId);
    for (const event of this.#changes.values()) ids.push(event.eventId);
    return ids;
  }
}

interface Draft {
  readonly type: string;
  readonly stateKey: string;
  readonly sender: string;
  readonly content: JsonObject;
}

/** One line of history: sends events after its tip and keeps the state. */
class Line {
  readonly rules: RoomVersionRules;
  readonly state: State;
  readonly events: LooseEvent[] = [];
  #tip: LooseEvent | undefined;
  #roomId: string | undefined;

  constructor(rules: RoomVersionRules, state: State, tip?: LooseEvent) {
    this.rules = rules;
    this.state = state;
    this.#tip = tip;
    this.#roomId = tip?.roomId;
  }

  get tip(): LooseEvent {
    if (this.#tip === undefined) throw new Error("the room has no event yet");
    return this.#tip;
  }

  /** Sends what the state allows; whether it did. */
  send(draft: Draft, originServerTs: number): boolean {
    const event = this.#make(draft, originServerTs);
    const verdict = checkStateDependent(this.rules, event, (type, key) => this.state.get(type, key));
    if (verdict.verdict !== "allowed") return false;
    this.state.set(event);
    this.events.push(event);
    this.#tip = event;
    this.#roomId ??= event.roomId;
    return true;
  }

  #make(draft: Draft, originServerTs: number): LooseEvent {
    const { type, stateKey, sender, content } = draft;
    const cited = selectAuthEvents(this.rules, draft).map(([key, of]) => this.state.get(key, of)?.eventId);
    const named = type === "m.room.create" && this.rules.format.roomIds === "create-hash";
    const unhashed: JsonObject = {
      auth_events: cited.filter((id) => id !== undefined),
      content,
      depth: (this.#tip?.depth ?? 0) + 1,
      origin_server_ts: originServerTs,
      prev_events: this.#tip === undefined ? [] : [this.#tip.eventId],
      ...(named ? {} : { room_id: this.#roomId ?? "!bench:s0.example" }),
      sender,
      signatures: {},
      state_key: stateKey,
      type,
    };
    const hashes = { sha256: encodeUnpadded(contentHash(unhashed)) };
    const read = readEvent(this.rules, { ...unhashed, hashes });
    if (!read.ok) throw new Error(read.error.reason);
    return read.value;
  }
}

function userOf(options: TrunkOptions, number: number): string {
  return `@u${number}:s${number % options.servers}.example`;
}

function levelOfStaff(number: number): number {
  if (number === 0) return 100;
  return number <= ADMINS ? 90 : 50;
}

function firstPowerLevels(options: TrunkOptions, rules: RoomVersionRules): JsonObject {
  const users: Record<string, number> = {};
  // A creator of infinite power may not be listed.
  const first = rules.auth.creatorPower === "infinite" ? 1 : 0;
  for (let number = first; number < STAFF; number++) users[userOf(options, number)] = levelOfStaff(number);
  for (let number = 0; number < options.paddingUsers; number++) {
    users[`@padding${number}:s${number % options.servers}.example`] = 1 + (number % 40);
  }
  const events = { "m.room.name": 50, "m.room.power_levels": 90, "m.room.join_rules": 90, "org.example.note": 50 };
  const actions = { ban: 50, invite: 0, kick: 50, redact: 50 };
  return { ...actions, events, events_default: 0, state_default: 50, users, users_default: 0 };
}

function mustSend(line: Line, draft: Draft, ts: number): void {
  if (!line.send(draft, ts)) throw new Error(`the trunk does not allow ${draft.type} of ${draft.sender}`);
}

/** Create, creator, rules and members, with the power-levels events spread over the joins. */
export function growTrunk(options: TrunkOptions): Trunk {
  const version = roomVersions.get(options.roomVersion);
  if (!version.ok || version.value.rules.format.eventIds === "in-pdu") {
    throw new Error("the room version is none whose ids are hashes");
  }
  if (options.members < STAFF) throw new Error(`a room has at least ${STAFF} members: its staff`);
  const { rules } = version.value;
  const line = new Line(rules, new State());
  let ts = FIRST_TS;
  const send = (type: string, stateKey: string, sender: string, content: JsonObject): void =>
    mustSend(line, { type, stateKey, sender, content }, (ts += 1000));
  const creator = userOf(options, 0);
  const named = rules.auth.creator === "content" ? { creator } : {};
  send("m.room.create", "", creator, { room_version: rules.id, ...named });
  send("m.room.member", creator, creator, { membership: "join" });
  const levels = firstPowerLevels(options, rules);
  send("m.room.power_levels", "", creator, levels);
  send("m.room.join_rules", "", creator, { join_rule: "public" });
  send("m.room.history_visibility", "", creator, { history_visibility: "shared" });
  let powerSent = 1;
  for (let number = 1; number < options.members; number++) {
    const user = userOf(options, number);
    send("m.room.member", user, user, { membership: "join", displayname: `User ${number}` });
    const due = Math.ceil((options.powerHistory * (number + 1)) / options.members);
    for (; powerSent < due; powerSent++) {
      const noteLevel = { ...(levels["events"] as JsonObject), "org.example.note": 10 + (powerSent % 41) };
      send("m.room.power_levels", "", creator, { ...levels, events: noteLevel });
    }
  }
  const { events, state, tip } = line;
  return { options, version: version.value, events, state, tip, roomId: tip.roomId };
}

/** Whom and what a fork's changes are about. Small, so that branches collide. */
interface Cast {
  readonly staff: readonly string[];
  readonly targets: readonly string[];
  readonly newcomers: readonly string[];
}

function castOf(options: TrunkOptions, fork: ForkOptions, random: Random): Cast {
  const size = Math.max(4, Math.ceil(fork.changes / 3));
  const members = options.members - STAFF;
  const newcomers = Array.from({ length: size }, (_, n) => options.members + n);
  const drawn = Array.from({ length: Math.min(size, members) }, () => STAFF + random.below(members));
  const targets = new Set(members === 0 ? newcomers : drawn);
  const name = (number: number): string => userOf(options, number);
  return {
    staff: Array.from({ length: STAFF }, (_, number) => name(number)),
    targets: [...targets].map(name),
    newcomers: newcomers.map(name),
  };
}

type Proposal = (random: Random, cast: Cast, line: Line) => Draft;

const membership = (sender: string, target: string, value: string, reason?: string): Draft => ({
  type: "m.room.member",
  stateKey: target,
  sender,
  content: reason === undefined ? { membership: value } : { membership: value, reason },
});

const ofOneself = (user: string, value: string): Draft => membership(user, user, value);

const ofStaff = (random: Random, cast: Cast, type: string, stateKey: string, content: JsonObject): Draft => ({
  type,
  stateKey,
  sender: random.pick(cast.staff),
  content,
});

const anybody = (random: Random, cast: Cast): string => random.pick(random.below(3) === 0 ? cast.staff : cast.targets);

/** Moves one user's level, or one event type's, as a person in an admin's screen would. */
function changePower(random: Random, cast: Cast, line: Line): Draft {
  const content = line.state.get("m.room.power_levels", "")?.content ?? {};
  const users = content["users"] as JsonObject;
  const events = content["events"] as JsonObject;
  const changed: JsonObject =
    random.below(2) === 0
      ? { ...content, users: { ...users, [anybody(random, cast)]: random.pick([0, 10, 50, 75]) } }
      : { ...content, events: { ...events, "org.example.note": random.below(60) } };
  return ofStaff(random, cast, "m.room.power_levels", "", changed);
}

/** What happens after the fork, and how often in a hundred. */
const proposals: readonly (readonly [weight: number, Proposal])[] = [
  [16, (random, cast) => membership(random.pick(cast.staff), anybody(random, cast), "ban", "spam")],
  [10, (random, cast) => membership(random.pick(cast.staff), anybody(random, cast), "leave", "kicked")],
  [18, (random, cast) => ofOneself(random.pick(cast.newcomers), "join")],
  [8, (random, cast) => ofOneself(random.pick(cast.targets), "leave")],
  [10, (random, cast) => membership(random.pick(cast.targets), random.pick(cast.newcomers), "invite")],
  [
    12,
    (random, cast) => {
      const user = anybody(random, cast);
      const content = { membership: "join", displayname: `Name ${random.below(99)}` };
      return { ...membership(user, user, "join"), content };
    },
  ],
  [5, (random, cast) => ofStaff(random, cast, "m.room.name", "", { name: `Room ${random.below(1e6)}` })],
  [5, (random, cast) => ofStaff(random, cast, "m.room.topic", "", { topic: `Topic ${random.below(1e6)}` })],
  [
    8,
    (random, cast) =>
      ofStaff(random, cast, "org.example.note", `note ${random.below(20)}`, { text: `${random.below(1e6)}` }),
  ],
  [5, changePower],
  [
    3,
    (random, cast) => ofStaff(random, cast, "m.room.join_rules", "", { join_rule: random.pick(["public", "invite"]) }),
  ],
];

function propose(random: Random, cast: Cast, line: Line): Draft {
  let left = random.below(100);
  for (const [weight, proposal] of proposals) {
    if (left < weight) return proposal(random, cast, line);
    left -= weight;
  }
  throw new Error("the weights make a hundred");
}

/** Branches off the trunk's tip that share targets and, by the clock, run side by side. */
export function forkRoom(trunk: Trunk, fork: ForkOptions): ForkedRoom {
  const random = new Random(fork.seed);
  const cast = castOf(trunk.options, fork, random);
  const { rules } = trunk.version;
  const lines = Array.from({ length: fork.branches }, () => new Line(rules, trunk.state.branch(), trunk.tip));
  let ts = trunk.tip.originServerTs;
  for (let sent = 0; sent < fork.changes; sent++) {
    const line = lines[sent % fork.branches];
    // Clocks of servers differ by a little.
    ts += 1000;
    for (let tries = 0; line?.send(propose(random, cast, line), ts + random.below(5000)) === false; tries++) {
      if (tries > 1000) throw new Error("the branch allows nothing more");
    }
  }
  const changes = lines.flatMap(({ events }) => events);
  return {
    version: trunk.version,
    events: [...trunk.events, ...changes],
    changes,
    stateSets: lines.map(({ state }) => state.ids()),
  };
}
