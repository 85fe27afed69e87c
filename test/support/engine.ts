/**
 * Rooms for the tests of the engine: servers over ports in memory, and stories, which are graphs of signed
 * events by users of any server, allowed or not.
 */
import {
  createMemoryNetwork,
  createMemoryStorage,
  createManualClock,
  createSeededRandom,
} from "../../src/adapters/memory/index.js";
import type { ManualClock } from "../../src/adapters/memory/index.js";
import { checkStateDependent, selectAuthEvents } from "../../src/auth/index.js";
import type { StateLookup } from "../../src/auth/index.js";
import { RoomIndex, StateMap } from "../../src/dag/index.js";
import { hostOf, Rooms } from "../../src/engine/index.js";
import type { Host, HostOptions, Limits, Room } from "../../src/engine/index.js";
import { draftEvent } from "../../src/event/build.js";
import { readPdu } from "../../src/event/format.js";
import type { Pdu } from "../../src/event/index.js";
import { attachSignature, eventSignedBytes, hashEvent } from "../../src/event/sign.js";
import { requiredSigners } from "../../src/event/signatures.js";
import { domainOf } from "../../src/ids/grammar.js";
import { setOwn } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type {
  KeyRequest,
  Keys,
  Observer,
  Policy,
  Receipt,
  Storage,
  Transport,
  Verdict,
  VerifyRequest,
} from "../../src/ports/index.js";
import { createKeyRing, keyedHashKeys } from "../../src/testing/simulation/index.js";
import type { KeyRing } from "../../src/testing/simulation/index.js";
import { roomVersions } from "../../src/versions/index.js";
import type { RoomVersion } from "../../src/versions/index.js";

/** The server whose engine is tested. Nobody of it is in the rooms of a story unless a test says so. */
export const HERE = "here.example";

export function versionOf(id: string): RoomVersion {
  const found = roomVersions.get(id);
  if (!found.ok) throw new Error(found.error.reason);
  return found.value;
}

// ---- keys -----------------------------------------------------------------------------------------------

/** A Keys port that counts what it is asked. */
export interface CountingKeys extends Keys {
  readonly asked: { lookups: number; verifications: number };
}

export function counting(keys: Keys): CountingKeys {
  const asked = { lookups: 0, verifications: 0 };
  return {
    ...keys,
    asked,
    sign: (message, cancel) => keys.sign(message, cancel),
    lookup: (requests: readonly KeyRequest[], cancel) => {
      asked.lookups += requests.length;
      return keys.lookup(requests, cancel);
    },
    verify: (requests: readonly VerifyRequest[], cancel) => {
      asked.verifications += requests.length;
      return keys.verify(requests, cancel);
    },
  };
}

// ---- servers --------------------------------------------------------------------------------------------

export interface ServerOptions {
  readonly ring?: KeyRing;
  readonly keys?: Keys;
  readonly storage?: Storage;
  readonly transport?: Transport;
  readonly clock?: ManualClock;
  readonly policy?: Policy;
  readonly observer?: Observer;
  readonly limits?: Partial<Limits>;
  readonly server?: string;
}

export interface TestServer {
  readonly host: Host;
  readonly rooms: Rooms;
  readonly storage: Storage;
  readonly clock: ManualClock;
  readonly keys: CountingKeys;
}

/** A server without a network: whoever it asks is unreachable, unless a transport is given. */
export function testServer(options: ServerOptions = {}): TestServer {
  const { server = HERE, clock = createManualClock(1_700_000_000_000), storage = createMemoryStorage() } = options;
  const keys = counting(options.keys ?? keyedHashKeys(server, options.ring ?? createKeyRing()));
  const given: HostOptions = {
    server,
    storage,
    clock,
    keys,
    transport: options.transport ?? createMemoryNetwork().transport(server),
    random: createSeededRandom(server),
    ...(options.policy === undefined ? {} : { policy: options.policy }),
    ...(options.observer === undefined ? {} : { observer: options.observer }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  };
  const host = hostOf(given);
  return { host, rooms: new Rooms(host), storage, clock, keys };
}

/** The room of a story at a server that has none of its events yet, or as it was stored. */
export function roomOf(server: TestServer, story: Pick<Story, "roomId" | "version">): Promise<Room> {
  return server.rooms.forJoin(story.roomId, story.version.id);
}

// ---- verdicts -------------------------------------------------------------------------------------------

export type VerdictClass = "allowed" | "rejected" | "pending" | "dropped" | "absent";

/** Soft failure is a server's own affair: it counts as allowed. */
export function classOf(verdict: Verdict | undefined): VerdictClass {
  switch (verdict?.verdict) {
    case undefined:
      return "absent";
    case "accepted":
    case "soft-failed":
    case "policy-refused":
    case "not-recommended":
      return "allowed";
    case "rejected-by-auth-events":
    case "rejected-by-state":
    case "rejected-for-size":
      return "rejected";
    case "pending":
      return "pending";
    default:
      return "dropped";
  }
}

/** `accepted`, or the verdict and the rule or check that refused. */
export function short({ verdict }: Receipt): string {
  switch (verdict.verdict) {
    case "accepted":
      return "accepted";
    case "pending":
      return "pending";
    default:
      return `${verdict.verdict}: ${verdict.refusal.rule ?? verdict.refusal.code}`;
  }
}

// ---- stories --------------------------------------------------------------------------------------------

export interface StoryDraft {
  readonly type: string;
  readonly sender: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
  readonly redacts?: string;
}

export interface StoryPlace {
  /** Names of the parents; by default the event before. */
  readonly prev?: readonly string[];
  /** Names of the auth events; by default those that the state before gives. */
  readonly auth?: readonly string[];
  readonly ts?: number;
  readonly depth?: number;
}

interface Told {
  readonly pdu: Pdu;
  readonly before: StateMap;
  readonly after: StateMap;
}

export interface Opening {
  readonly creator?: string;
  readonly users?: JsonObject;
  readonly levels?: JsonObject;
  readonly joinRule?: string;
  readonly create?: JsonObject;
}

/**
 * A graph of events by name. What the rules refuse in the state before it leaves that state as it is, as
 * on every server. Everything is worked out with the pure core alone, so that the engine can be held to it.
 */
export class Story {
  readonly version: RoomVersion;
  readonly ring: KeyRing;
  readonly index: RoomIndex;
  readonly #told = new Map<string, Told>();
  readonly #signers = new Map<string, Keys>();
  #roomId = "";
  #last: string | undefined;
  #clock = 1_700_000_000_000;
  #ids = 0;

  constructor(version: string, ring: KeyRing = createKeyRing()) {
    this.version = versionOf(version);
    this.ring = ring;
    this.index = new RoomIndex(this.version.rules);
  }

  get roomId(): string {
    return this.#roomId;
  }

  /** `create`, `join` (the creator's), `levels` and `rules`. */
  open(opening: Opening = {}): this {
    const { creator = "@alice:a.example", joinRule = "public" } = opening;
    const { rules } = this.version;
    const content = { room_version: rules.id, ...(rules.auth.creator === "content" ? { creator } : {}) };
    const infinite = rules.auth.creatorPower === "infinite";
    const given = opening.users ?? { [creator]: 100 };
    const users = Object.fromEntries(Object.entries(given).filter(([user]) => !infinite || user !== creator));
    if (rules.format.roomIds === "domain") this.#roomId = `!room:${domainOf(creator) ?? ""}`;
    this.tell("create", {
      type: "m.room.create",
      stateKey: "",
      sender: creator,
      content: { ...content, ...opening.create },
    });
    this.member("join", creator, "join");
    this.state("levels", "m.room.power_levels", creator, { users, ...opening.levels });
    return this.state("rules", "m.room.join_rules", creator, { join_rule: joinRule });
  }

  tell(name: string, draft: StoryDraft, place: StoryPlace = {}): this {
    const pdu = this.write(draft, place);
    this.#take(name, pdu, this.#parents(place));
    this.#last = name;
    return this;
  }

  member(
    name: string,
    user: string,
    membership: string,
    place: StoryPlace & { readonly by?: string; readonly more?: JsonObject } = {},
  ): this {
    const content = { membership, ...place.more };
    return this.tell(name, { type: "m.room.member", stateKey: user, sender: place.by ?? user, content }, place);
  }

  /** A state event under the empty key. */
  state(name: string, type: string, sender: string, content: JsonObject, place: StoryPlace = {}): this {
    return this.tell(name, { type, stateKey: "", sender, content }, place);
  }

  say(name: string, sender: string, place: StoryPlace = {}): this {
    const type = this.version.rules.content === "extensible" ? "m.message" : "m.room.message";
    return this.tell(name, { type, sender, content: { body: name, "m.text": [{ body: name }] } }, place);
  }

  /** The event that `tell` would tell, with `change` made before it is hashed and signed. */
  write(draft: StoryDraft, place: StoryPlace = {}, change: (event: JsonObject) => JsonObject = (event) => event): Pdu {
    const { rules } = this.version;
    const parents = this.#parents(place);
    const before = this.#resolved(parents);
    const lookup = this.index.lookup(before);
    const authority =
      place.auth?.map((name) => this.pdu(name)) ??
      selectAuthEvents(rules, { content: {}, ...draft, stateKey: draft.stateKey }).flatMap(
        ([type, key]) => this.#withId(lookup(type, key)?.eventId) ?? [],
      );
    const create = draft.type === "m.room.create";
    const made = draftEvent(
      rules,
      {
        content: {},
        ...draft,
        originServerTs: place.ts ?? ++this.#clock,
        ...(create && rules.format.roomIds === "create-hash" ? {} : { roomId: this.#roomId }),
        ...(rules.format.eventIds === "in-pdu" ? { eventId: `$e${this.#ids++}:${domainOf(draft.sender) ?? ""}` } : {}),
      },
      { prevEvents: parents.map((name) => this.pdu(name)), authEvents: authority },
    );
    if (!made.ok) throw new Error(made.error.reason);
    const event = place.depth === undefined ? made.value : withKey(made.value, "depth", place.depth);
    return this.read(this.sign(hashEvent(change(event)), domainOf(draft.sender) ?? ""));
  }

  /** Whether the rules allow an event in the state that these events leave. */
  allows(pdu: Pdu, ...parents: readonly string[]): boolean {
    const lookup = this.index.lookup(this.#resolved(parents));
    return checkStateDependent(this.version.rules, pdu, lookup).verdict === "allowed";
  }

  /** Signed by every server that has to. */
  signedByAll(event: JsonObject): JsonObject {
    const servers = requiredSigners(this.version.rules, this.read(event)).flatMap(({ server }) => server ?? []);
    return servers.reduce((signed, server) => this.sign(signed, server), event);
  }

  /** Takes a copy that a test made by hand as the event of this name. */
  take(name: string, json: JsonObject, parents: readonly string[]): this {
    this.#take(name, this.read(json), parents);
    this.#last = name;
    return this;
  }

  read(json: JsonObject): Pdu {
    const pdu = readPdu(this.version.rules, json, { counts: "tolerated" });
    if (!pdu.ok) throw new Error(`${pdu.error.code}: ${pdu.error.reason}`);
    return pdu.value;
  }

  /** With its content hash and one more signature. */
  sealed(event: JsonObject, server: string): JsonObject {
    return this.sign(hashEvent(event), server);
  }

  /** With one more signature, by a server of any name. */
  sign(event: JsonObject, server: string): JsonObject {
    let keys = this.#signers.get(server);
    if (keys === undefined) this.#signers.set(server, (keys = keyedHashKeys(server, this.ring)));
    const made = keys.sign(eventSignedBytes(this.version.rules, event));
    if (made instanceof Promise) throw new Error("keyed hashes are made at once");
    return attachSignature(event, { server, ...made });
  }

  pdu(name: string): Pdu {
    return this.#of(name).pdu;
  }

  id(name: string): string {
    return this.pdu(name).eventId;
  }

  ids(...names: readonly string[]): readonly string[] {
    return names.map((name) => this.id(name)).sort();
  }

  json(name: string): JsonObject {
    return this.pdu(name).json;
  }

  /** Federation forms of these events, or of all in the order in which they were told. */
  jsons(...names: readonly string[]): readonly JsonObject[] {
    return (names.length === 0 ? this.names : names).map((name) => this.json(name));
  }

  get names(): readonly string[] {
    return [...this.#told.keys()];
  }

  /** The name behind an id. */
  nameOf(id: string | undefined): string | undefined {
    for (const [name, { pdu }] of this.#told) if (pdu.eventId === id) return name;
    return id;
  }

  /** Names of a state that is given by ids. */
  namesOf(ids: readonly string[]): readonly string[] {
    return ids.map((id) => this.nameOf(id) ?? "").sort();
  }

  /** The state before an event, as the rules read it. */
  stateBefore(name: string): StateLookup {
    return this.index.lookup(this.#of(name).before);
  }

  /** Ids of the state before an event, sorted. */
  before(name: string): readonly string[] {
    return this.index.idsOf(this.#of(name).before).sort();
  }

  /** Ids of the state that these events leave, resolved where they differ, sorted. */
  after(...names: readonly string[]): readonly string[] {
    return this.index.idsOf(this.#resolved(names)).sort();
  }

  #of(name: string): Told {
    const told = this.#told.get(name);
    if (told === undefined) throw new Error(`nobody told of ${name}`);
    return told;
  }

  #withId(id: string | undefined): Pdu | undefined {
    for (const { pdu } of this.#told.values()) if (pdu.eventId === id) return pdu;
    return undefined;
  }

  #parents({ prev }: StoryPlace): readonly string[] {
    return prev ?? (this.#last === undefined ? [] : [this.#last]);
  }

  #resolved(names: readonly string[]): StateMap {
    const states = names.map((name) => this.#of(name).after);
    if (states.length < 2) return states[0] ?? StateMap.empty;
    const resolution = this.version.resolve(this.index, states);
    if (resolution.verdict !== "resolved") throw new Error("the story cannot be resolved");
    return resolution.state;
  }

  #take(name: string, pdu: Pdu, parents: readonly string[]): void {
    if (this.#told.has(name)) throw new Error(`${name} was told before`);
    if (pdu.type === "m.room.create" && this.#roomId === "") this.#roomId = pdu.roomId;
    const before = this.#resolved(parents);
    const allowed = checkStateDependent(this.version.rules, pdu, this.index.lookup(before)).verdict === "allowed";
    const after = allowed && pdu.stateKey !== undefined ? this.index.stateAfter(before, this.index.add(pdu)) : before;
    this.#told.set(name, { pdu, before, after });
  }
}

export function withKey(object: JsonObject, key: string, value: JsonValue | undefined): JsonObject {
  const copy: Record<string, JsonValue> = {};
  for (const [name, old] of Object.entries(object)) if (name !== key) setOwn(copy, name, old);
  if (value !== undefined) setOwn(copy, key, value);
  return copy;
}

/** A copy with other content and the hash of the first: what a relay that tampers passes on. */
export function tampered(event: JsonObject, content: JsonObject = { body: "tampered" }): JsonObject {
  return withKey(event, "content", { ...(event["content"] as JsonObject), ...content });
}

// ---- looking at a room ----------------------------------------------------------------------------------

/** What two servers with the same events have to agree on. */
export interface Facts {
  readonly current: readonly string[];
  readonly extremities: readonly string[];
  readonly events: Readonly<Record<string, EventFacts>>;
}

export interface EventFacts {
  readonly verdict: VerdictClass;
  readonly before: readonly string[] | undefined;
  readonly after: readonly string[] | undefined;
  readonly shown: string;
}

export async function factsOf(room: Room, eventIds: readonly string[]): Promise<Facts> {
  const events: Record<string, EventFacts> = {};
  for (const id of [...eventIds].sort()) {
    const state = await room.stateAt(id);
    const event = await room.event(id);
    events[id] = {
      verdict: classOf(await room.verdict(id)),
      before: state === undefined ? undefined : [...state.before.ids()].sort(),
      after: state === undefined ? undefined : [...state.after.ids()].sort(),
      shown: event === undefined ? "" : shownText(event.shown),
    };
  }
  return { current: [...room.current.ids()].sort(), extremities: room.control.forwardExtremities, events };
}

function shownText(json: JsonObject): string {
  return JSON.stringify(json, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
}

/** Everything that a reader of a room can see, for comparing it with the same room opened anew. */
export async function visible(room: Room, eventIds: readonly string[]): Promise<unknown> {
  const { state, ...control } = room.control;
  const verdicts = await Promise.all(eventIds.map((id) => room.verdict(id)));
  const views = await Promise.all(eventIds.map((id) => room.event(id)));
  const { events, next } = await room.timeline({ limit: 10_000 });
  return {
    control,
    state: [...state.ids()].sort(),
    facts: await factsOf(room, eventIds),
    verdicts,
    views,
    timeline: events.map(({ eventId, position }) => [eventId, position]),
    next,
    pending: [...room.pending].sort((a, b) => (a.eventId < b.eventId ? -1 : 1)),
    gaps: [...room.gaps].sort((a, b) => (a.missing < b.missing ? -1 : 1)),
    servers: room.servers,
    localUsers: [...room.localUsers].sort(),
    resident: room.isResident,
  };
}

// ---- orders ---------------------------------------------------------------------------------------------

/** Numbers that are the same each time (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The first stays the first: a room begins with its create event. */
export function shuffled<T>(values: readonly T[], random: () => number): readonly T[] {
  const [first, ...rest] = values;
  for (let at = rest.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    const [a, b] = [rest[at], rest[other]];
    if (a !== undefined && b !== undefined) [rest[at], rest[other]] = [b, a];
  }
  return first === undefined ? rest : [first, ...rest];
}

/** An order in which everything comes after all that it rests on. */
export function causalShuffle<T>(
  values: readonly T[],
  restsOn: (value: T) => readonly T[],
  random: () => number,
): readonly T[] {
  const waiting = [...shuffled(values, random)];
  const here = new Set<T>();
  const order: T[] = [];
  while (waiting.length > 0) {
    const at = waiting.findIndex((value) => restsOn(value).every((other) => here.has(other)));
    const [next] = waiting.splice(at, 1);
    if (at < 0 || next === undefined) throw new Error("the events rest on something that is not there");
    here.add(next);
    order.push(next);
  }
  return order;
}
