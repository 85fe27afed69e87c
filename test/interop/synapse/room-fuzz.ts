/**
 * Rooms that no honest server would make: events cite a state that some branch once had, whether the
 * rules allow them or not, with colliding timestamps and misplaced levels. Resolution and
 * authorisation have an answer for each, and two implementations must have the same one.
 */
import { createHash } from "node:crypto";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Event = { readonly [key: string]: Json };
type State = ReadonlyMap<string, string>;

const servers = ["a", "b:1", "[::1]:8448"];
const users = Array.from({ length: 6 }, (_, n) => `@u${String(n)}:${servers[n % 3] ?? ""}`);
const creator = users[0] ?? "";

/** A small deterministic generator (mulberry32): the same seed gives the same rooms everywhere. */
class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("pick from an empty list");
    return item;
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
}

function level(dice: Dice, version: number): Json {
  const plain = [0, 0, 1, 25, 50, 50, 51, 99, 100, 100, -1];
  const written = ["50", "100", " 25 ", "+1", "-5", "0050", "10"];
  return version < 10 && dice.chance(0.25) ? dice.pick(written) : dice.pick(plain);
}

function powerLevels(dice: Dice, version: number): Event {
  const content: Record<string, Json> = {};
  const listed: Record<string, Json> = {};
  for (const user of users) {
    if (dice.chance(0.5) && !(version >= 12 && user === creator)) listed[user] = level(dice, version);
  }
  if (version < 12 && dice.chance(0.8)) listed[creator] = 100;
  if (dice.chance(0.95)) content["users"] = listed;
  for (const key of ["users_default", "events_default", "state_default", "ban", "kick", "redact", "invite"]) {
    if (dice.chance(0.3)) content[key] = level(dice, version);
  }
  const types = ["m.room.name", "m.room.power_levels", "m.room.topic", "x", "m.room.member"];
  if (dice.chance(0.5)) content["events"] = { [dice.pick(types)]: level(dice, version) };
  if (dice.chance(0.2)) content["notifications"] = { room: level(dice, version) };
  return content;
}

interface Draft {
  readonly type: string;
  readonly stateKey: string;
  readonly sender: string;
  readonly content: Event;
}

function memberDraft(dice: Dice, version: number, sender: string): Draft {
  const target = dice.chance(0.5) ? dice.pick(users) : sender;
  const own = ["join", "join", "join", "leave", "ban", "invite", "knock"];
  const others = ["leave", "ban", "invite", "invite"];
  const membership = dice.pick(target === sender ? own : others);
  const restricted = membership === "join" && version >= 8 && dice.chance(0.3);
  const content = restricted ? { membership, join_authorised_via_users_server: dice.pick(users) } : { membership };
  return { type: "m.room.member", stateKey: target, sender, content };
}

function draft(dice: Dice, version: number): Draft {
  const sender = dice.pick(dice.chance(0.6) ? users.slice(0, 3) : users);
  const roll = dice.next();
  const rules = ["public", "public", "invite", "knock", "restricted", "knock_restricted", "private"];
  if (roll < 0.45) return memberDraft(dice, version, sender);
  if (roll < 0.65) return { type: "m.room.power_levels", stateKey: "", sender, content: powerLevels(dice, version) };
  if (roll < 0.75) return { type: "m.room.join_rules", stateKey: "", sender, content: { join_rule: dice.pick(rules) } };
  if (roll < 0.8) return { type: "m.room.third_party_invite", stateKey: "tok", sender, content: {} };
  if (roll < 0.85) return { type: "m.room.aliases", stateKey: dice.pick(servers), sender, content: {} };
  if (roll < 0.9) return { type: "x", stateKey: dice.pick([...users, "k"]), sender, content: {} };
  return { type: dice.pick(["m.room.name", "m.room.topic"]), stateKey: "", sender, content: { v: dice.below(9) } };
}

/** A second, independent reading of the auth events selection. */
function selection(version: number, { type, stateKey, sender, content }: Draft): readonly string[] {
  const keys = new Set(version < 12 ? ["m.room.create|"] : []);
  keys.add("m.room.power_levels|").add(`m.room.member|${sender}`);
  if (type === "m.room.member") {
    keys.add(`m.room.member|${stateKey}`);
    const membership = content["membership"];
    if (membership === "join" || membership === "invite" || membership === "knock") keys.add("m.room.join_rules|");
    const authoriser = content["join_authorised_via_users_server"];
    if (typeof authoriser === "string" && membership === "join") keys.add(`m.room.member|${authoriser}`);
  }
  return [...keys];
}

export interface FuzzRoom {
  readonly room_version: string;
  readonly events: readonly Event[];
  readonly create: Event;
  /** States of branches, as lists of ids. */
  readonly states: readonly (readonly string[])[];
}

/** One room. Ids are made up but unique and of the version's form. */
export function fuzzRoom(seed: number, version: number): FuzzRoom {
  const dice = new Dice(seed);
  const events: Event[] = [];
  const ids: string[] = [];
  let roomId = "!r:a";
  const add = (
    { type, stateKey, sender, content }: Draft,
    auth: readonly string[],
    prev: readonly string[],
  ): string => {
    const digest = createHash("sha256")
      .update(`${String(seed)} ${String(events.length)}`)
      .digest();
    const hashed = digest.toString(version === 3 ? "base64" : "base64url").replace(/=+$/, "");
    const id =
      version < 3 ? `$${String(events.length)}x${digest.toString("hex", 0, 4)}:${dice.pick(servers)}` : `$${hashed}`;
    const refer = (list: readonly string[]): Json =>
      version < 3 ? list.map((other) => [other, { sha256: "x" }]) : list;
    const first = type === "m.room.create";
    if (first && version >= 12) roomId = `!${id.slice(1)}`;
    events.push({
      type,
      state_key: stateKey,
      sender,
      content,
      auth_events: refer(auth),
      prev_events: refer(prev),
      depth: first ? 1 : 2 + dice.below(7),
      origin_server_ts: 1000 + dice.below(6),
      event_id: id,
      hashes: { sha256: "x" },
      signatures: {},
      ...(first && version >= 12 ? {} : { room_id: roomId }),
    });
    ids.push(id);
    return id;
  };
  const createContent: Record<string, Json> = { room_version: String(version) };
  if (version < 11) createContent["creator"] = dice.chance(0.9) ? creator : (users[1] ?? "");
  if (version >= 12 && dice.chance(0.6)) createContent["additional_creators"] = [dice.pick(users.slice(1))];
  const createId = add({ type: "m.room.create", stateKey: "", sender: creator, content: createContent }, [], []);
  const branches: State[] = [new Map([["m.room.create|", createId]])];
  const count = 8 + dice.below(32);
  for (let n = 0; n < count; n++) {
    const state = new Map(dice.pick(branches));
    const join: Draft = { type: "m.room.member", stateKey: creator, sender: creator, content: { membership: "join" } };
    const next = n === 0 ? join : draft(dice, version);
    const auth = selection(version, next).flatMap((key) => state.get(key) ?? []);
    state.set(`${next.type}|${next.stateKey}`, add(next, auth, [n === 0 ? createId : dice.pick(ids)]));
    branches.push(state);
    if (branches.length > 6) branches.splice(dice.below(branches.length), 1);
  }
  const states = Array.from({ length: 2 + dice.below(3) }, () => [...dice.pick(branches).values()]);
  const [create = {}] = events;
  return { room_version: String(version), events, create, states };
}

/** The `resolve` request of a room. */
export function resolveRequest(room: FuzzRoom): Event {
  return { op: "resolve", room_version: room.room_version, state_sets: room.states, events: room.events };
}

/** One `auth` request for each event of a room but the create event. */
export function authRequests(room: FuzzRoom): readonly Event[] {
  const byId = new Map(room.events.map((event) => [event["event_id"] as string, event]));
  return room.events.slice(1).map((event) => {
    const cited = (event["auth_events"] as readonly Json[]).map((entry) =>
      String(Array.isArray(entry) ? entry[0] : entry),
    );
    const authEvents = cited.map((id) => byId.get(id) ?? {});
    const create = room.room_version === "12" ? { create: room.create } : {};
    return { op: "auth", room_version: room.room_version, event, auth_events: authEvents, ...create };
  });
}
