/**
 * Rooms for measuring the engine: events with true hashes and ids and signatures that only look like some,
 * for a Keys port that signs and verifies at no cost. Nothing is judged while it is written.
 */
import { createManualClock, createMemoryNetwork, createMemoryStorage } from "../src/adapters/memory/index.js";
import { createSeededRandom } from "../src/adapters/memory/index.js";
import { selectAuthEvents } from "../src/auth/index.js";
import { encodeUnpadded } from "../src/crypto/index.js";
import { hostOf, Rooms } from "../src/engine/index.js";
import type { Limits, Room } from "../src/engine/index.js";
import { contentHash, eventIdOf } from "../src/event/index.js";
import type { JsonObject } from "../src/json/index.js";
import type { Keys, Storage } from "../src/ports/index.js";
import { roomVersions } from "../src/versions/index.js";
import type { RoomVersion } from "../src/versions/index.js";

/** The server whose engine is measured. */
export const HERE = "here.example";
/** Its user, in every room. */
export const LOCAL_USER = `@local:${HERE}`;
export const ORIGIN = "s1.example";
const SERVERS = 20;
const FIRST_TS = 1_700_000_000_000;
const SIGNATURE = "A".repeat(86);

/** Constant signatures that always verify. */
export const freeKeys: Keys = {
  sign: () => ({ keyId: "ed25519:a", signature: new Uint8Array(64) }),
  lookup: (requests) => requests.map(() => ({ key: new Uint8Array(32) })),
  verify: (requests) => requests.map(() => true),
};

export function userOf(number: number): string {
  return `@u${number}:s${number % SERVERS}.example`;
}

export interface Draft {
  readonly type: string;
  readonly stateKey?: string;
  readonly sender: string;
  readonly content: JsonObject;
}

export interface Written {
  readonly id: string;
  readonly json: JsonObject;
  readonly depth: number;
}

/** A signature by the sender's server, which the event's hashes do not cover. */
export function sealed(event: JsonObject): JsonObject {
  const sender = event["sender"] as string;
  const server = sender.slice(sender.indexOf(":") + 1);
  return { ...event, signatures: { [server]: { "ed25519:a": SIGNATURE } } };
}

/** As a server gets it: made by a parser, with nothing shared. */
export function arrived(events: readonly JsonObject[]): readonly JsonObject[] {
  return events.map((event) => JSON.parse(JSON.stringify(event)) as JsonObject);
}

/** One line of history that is written on; `fork` begins another at the same place. */
export class Chronicle {
  readonly version: RoomVersion;
  readonly roomId: string;
  /** Ids of the state events after the tip. */
  readonly #state: Map<string, Written>;
  readonly all: Written[] = [];
  tip: readonly Written[];
  #ts: number;

  constructor(version: RoomVersion, from?: Chronicle) {
    this.version = version;
    this.roomId = from?.roomId ?? "!bench:s0.example";
    this.#state = new Map(from === undefined ? [] : from.#state);
    this.tip = from?.tip ?? [];
    this.#ts = from === undefined ? FIRST_TS : from.#ts;
  }

  fork(): Chronicle {
    return new Chronicle(this.version, this);
  }

  get state(): readonly Written[] {
    return [...this.#state.values()];
  }

  write(draft: Draft): Written {
    const { rules } = this.version;
    const { type, stateKey, sender, content } = draft;
    const cited = selectAuthEvents(rules, { ...draft, stateKey }).flatMap(
      ([of, key]) => this.#state.get(`${of} ${key}`)?.id ?? [],
    );
    const depth = 1 + Math.max(0, ...this.tip.map((parent) => parent.depth));
    const event: JsonObject = {
      auth_events: cited,
      content,
      depth,
      origin_server_ts: ++this.#ts,
      prev_events: this.tip.map(({ id }) => id),
      room_id: this.roomId,
      sender,
      ...(stateKey === undefined ? {} : { state_key: stateKey }),
      type,
    };
    const json = sealed({ ...event, hashes: { sha256: encodeUnpadded(contentHash(event)) } });
    const written: Written = { id: eventIdOf(rules, json), json, depth };
    if (stateKey !== undefined) this.#state.set(`${type} ${stateKey}`, written);
    this.tip = [written];
    this.all.push(written);
    return written;
  }

  member(sender: string, target: string, membership: string, displayname?: string): Written {
    const content = displayname === undefined ? { membership } : { displayname, membership };
    return this.write({ type: "m.room.member", stateKey: target, sender, content });
  }

  say(sender: string, at: number): Written {
    const content = { body: `Message ${at} of about the length that people write, give or take`, msgtype: "m.text" };
    return this.write({ type: "m.room.message", sender, content });
  }

  rename(user: string, at: number): Written {
    return this.member(user, user, "join", `Name ${at}`);
  }
}

function versionOf(id: string): RoomVersion {
  const version = roomVersions.get(id);
  if (!version.ok) throw new Error(version.error.reason);
  return version.value;
}

/** A public room whose first user may do anything. */
export function begin(roomVersion: string = "10"): Chronicle {
  const chronicle = new Chronicle(versionOf(roomVersion));
  const creator = userOf(0);
  const set = (type: string, content: JsonObject): void => {
    chronicle.write({ type, stateKey: "", sender: creator, content });
  };
  set("m.room.create", { creator, room_version: roomVersion });
  chronicle.member(creator, creator, "join");
  set("m.room.power_levels", { users: { [creator]: 100 }, events_default: 0, state_default: 50, users_default: 0 });
  set("m.room.join_rules", { join_rule: "public" });
  set("m.room.history_visibility", { history_visibility: "shared" });
  return chronicle;
}

/**
 * A room of so many members, each with two events: every other one was invited and joined, the rest joined and
 * changed their names.
 */
export function populate(members: number): Chronicle {
  const chronicle = begin();
  for (let number = 1; number < members; number++) {
    const user = userOf(number);
    if (number % 2 === 0) {
      chronicle.member(userOf(0), user, "invite");
      chronicle.member(user, user, "join", `User ${number}`);
    } else {
      chronicle.member(user, user, "join");
      chronicle.rename(user, number);
    }
  }
  return chronicle;
}

/** What a server answers to the join of {@link LOCAL_USER}. */
export interface JoinAnswer {
  readonly event: JsonObject;
  readonly state: readonly JsonObject[];
  readonly authChain: readonly JsonObject[];
}

/** Writes the join of {@link LOCAL_USER}. */
export function joinOf(chronicle: Chronicle): JoinAnswer {
  const state = chronicle.state.map(({ json }) => json);
  const inState = new Set(state);
  const authChain = chronicle.all.map(({ json }) => json).filter((json) => !inState.has(json));
  return { event: chronicle.member(LOCAL_USER, LOCAL_USER, "join").json, state, authChain };
}

export interface Server {
  readonly rooms: Rooms;
  readonly storage: Storage;
}

export function newServer(storage: Storage = createMemoryStorage(), limits: Partial<Limits> = {}): Server {
  const host = hostOf({
    server: HERE,
    storage,
    transport: createMemoryNetwork().transport(HERE),
    keys: freeKeys,
    clock: createManualClock(FIRST_TS + 1e9),
    random: createSeededRandom("bench"),
    limits,
  });
  return { rooms: new Rooms(host), storage };
}

/** A server that has just joined. */
export async function joinRoom(
  server: Server,
  chronicle: Pick<Chronicle, "roomId" | "version">,
  answer: JoinAnswer,
): Promise<Room> {
  const room = await server.rooms.forJoin(chronicle.roomId, chronicle.version.id);
  const joined = await room.importJoin({ ...answer, origin: ORIGIN });
  if (!joined.ok) throw new Error(joined.error.reason);
  void server.rooms.adopt(room);
  return room;
}

/** Every event is to be accepted, with its hash as it says, or what is measured is something else. */
export async function deliver(room: Room, events: readonly JsonObject[], perCall: number): Promise<void> {
  for (let at = 0; at < events.length; at += perCall) {
    const receipts = await room.receive(events.slice(at, at + perCall), { origin: ORIGIN });
    const odd = receipts.find(({ verdict }) => verdict.verdict !== "accepted" || verdict.redacted);
    if (odd !== undefined) throw new Error(JSON.stringify(odd.verdict));
  }
}
