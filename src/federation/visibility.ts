/**
 * What of a room's history another server gets to see (spec server-server-api says little; digest "History
 * visibility", as Synapse does it): what it may not see it gets redacted and not left out, because the graph has to
 * hold together.
 */
import { isVisibleToServer, Settings, settingAround } from "../engine/visibility.js";
import type { Presence, StatesAround } from "../engine/visibility.js";
import type { Room } from "../engine/room.js";
import type { StatesAt } from "../engine/room/types.js";
import { membershipOf } from "../engine/state-view.js";
import type { StateView } from "../engine/state-view.js";
import { redact } from "../event/redact.js";
import { domainOf } from "../ids/grammar.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { RoomEvent } from "../event/pdu.js";
import type { StoredEvent } from "../ports/storage.js";
import { fail, sharedRoom } from "./context.js";
import type { Failed, Federation } from "./context.js";

// ---- who was there --------------------------------------------------------------------------------------

interface Count {
  joined: number;
  invited: number;
  /** Member events of any kind. */
  known: number;
}

/**
 * How many members each server has in one state of a room. It goes from state to state by what differs between
 * them: the members are counted once, and again only when the room was opened anew.
 */
class Attendance {
  #view: StateView | undefined;
  readonly #counts = new Map<string, Count>();

  of(view: StateView, server: string): Count | undefined {
    this.#goTo(view);
    return this.#counts.get(server);
  }

  #goTo(view: StateView): void {
    if (this.#view === view) return;
    if (this.#view !== undefined && isComparable(this.#view, view)) {
      this.#view.differences(view, (type, stateKey, here, there) => {
        if (type !== "m.room.member") return;
        this.#count(stateKey, here, -1);
        this.#count(stateKey, there, 1);
      });
    } else {
      this.#counts.clear();
      for (const { userId, event } of view.members()) this.#count(userId, event, 1);
    }
    this.#view = view;
  }

  #count(userId: string, event: RoomEvent | undefined, step: 1 | -1): void {
    const server = domainOf(userId);
    if (server === undefined || event === undefined) return;
    let count = this.#counts.get(server);
    if (count === undefined) this.#counts.set(server, (count = { joined: 0, invited: 0, known: 0 }));
    const membership = membershipOf(event);
    count.known += step;
    if (membership === "join") count.joined += step;
    if (membership === "invite") count.invited += step;
  }
}

/** States can be compared while they are of the same opening of the room, which parsed its create event once. */
function isComparable(one: StateView, other: StateView): boolean {
  const create = one.get("m.room.create");
  return create !== undefined && create === other.get("m.room.create");
}

const attendances = new WeakMap<Room, Attendance>();

function attendanceOf(room: Room): Attendance {
  let known = attendances.get(room);
  if (known === undefined) attendances.set(room, (known = new Attendance()));
  return known;
}

/** The most that users of a server were in the states around an event: its own member events count for both. */
function presenceIn(room: Room, server: string, { before, after, partial }: StatesAt): Presence {
  // Its users are not known yet; that it has some, this server was told.
  if (partial && room.isServerJoined(server)) return "join";
  const attendance = attendanceOf(room);
  const counts = [after, before].map((view) => ({ ...attendance.of(view, server) }));
  if (counts.some(({ joined = 0 }) => joined > 0)) return "join";
  return counts.some(({ invited = 0 }) => invited > 0) ? "invite" : undefined;
}

// ---- who may ask ----------------------------------------------------------------------------------------

/** A room, as a server may read it. */
export interface Reading {
  readonly room: Room;
  /** Whether the server has a joined user now. If not it had one, and is told of what it was there for alone. */
  readonly joined: boolean;
}

/**
 * A room that this server takes or took part in, for a server that does or did. Who left goes on answering from what
 * it has: the others need what its last event came after. The spec asks of `state_ids` alone that the
 * other is in the room now; Synapse answers 403 to everything once it left, so that the server of somebody who was
 * kicked never gets the events that it missed before. `received`: ids of events that it wants to judge.
 */
export async function readableRoom(
  federation: Federation,
  origin: string,
  roomId: string,
  received: readonly string[] = [],
): Promise<{ readonly ok: true; readonly value: Reading } | Failed> {
  const room = await federation.rooms.open(roomId);
  if (room === undefined) return fail("not_found", `no user of ${federation.host.server} is in ${roomId}`);
  if (room.isServerJoined(origin)) return { ok: true, value: { room, joined: true } };
  const count = attendanceOf(room).of(room.current, origin);
  const known = (count?.known ?? 0) > 0 || (await wasSent(room, origin, received));
  return known ? { ok: true, value: { room, joined: false } } : fail("forbidden", `${origin} is not in ${roomId}`);
}

/**
 * The same for what an event met with: for servers in the room, and for those that were there for it. Who joined with a
 * part of the state, and is out again where branches merged, would never come to know the rest.
 */
export async function attendedRoom(
  federation: Federation,
  origin: string,
  roomId: string,
  eventId: string,
): Promise<{ readonly ok: true; readonly value: Room } | Failed> {
  const shared = await sharedRoom(federation, origin, roomId);
  if (shared.ok || shared.error.code !== "forbidden") return shared;
  const room = await federation.rooms.open(roomId);
  if (room === undefined) return shared;
  return (await attended(room, origin, await room.rows([eventId]))).length > 0 ? { ok: true, value: room } : shared;
}

/** How many events that a server says it was sent are looked at, if nothing else speaks for it. */
const RECEIVED = 10;

/** Before version 12 a resolution may take a membership out of the state altogether, as if it had never been. */
async function wasSent(room: Room, origin: string, received: readonly string[]): Promise<boolean> {
  if (received.length === 0) return false;
  return (await attended(room, origin, await room.rows(received.slice(0, RECEIVED)))).length > 0;
}

/**
 * The events of an answer in the form in which this server gets them: redacted where it may not see them. To a
 * server that left, those during which it was there, and no others.
 */
export async function formsFor(
  { room, joined }: Reading,
  origin: string,
  rows: readonly StoredEvent[],
): Promise<readonly JsonObject[]> {
  const known = joined ? rows : await attended(room, origin, rows);
  if (!joined) return known.map((row) => servedForm(room, row));
  const hidden = await hiddenFrom(room, origin, known);
  return known.map((row) => (hidden.has(row.eventId) ? hiddenForm(room, row) : servedForm(room, row)));
}

/**
 * What an event came after, for a server that left. If it was there for the event it gets all that it needs to judge
 * it, redacted where it was not there: else whoever was let in again on one branch of history, and banned where the
 * branches meet, would never come to know.
 */
export async function gapFor(
  reading: Reading,
  origin: string,
  latest: readonly StoredEvent[],
  rows: readonly StoredEvent[],
): Promise<readonly JsonObject[]> {
  const { room, joined } = reading;
  if (joined || (await attended(room, origin, latest)).length === 0) return formsFor(reading, origin, rows);
  const there = new Set(await attended(room, origin, rows));
  return rows.map((row) => (there.has(row) ? servedForm(room, row) : hiddenForm(room, row)));
}

/** Those at which a user of the server was joined, before or after. */
async function attended(room: Room, origin: string, rows: readonly StoredEvent[]): Promise<readonly StoredEvent[]> {
  const found: StoredEvent[] = [];
  for (const row of rows) {
    const at = await room.stateAt(row.eventId);
    if (at !== undefined && presenceIn(room, origin, at) === "join") found.push(row);
  }
  return found;
}

/** Ids of those events that a server in the room may not see. Unknown settings hide (design, "Backfill"). */
export async function hiddenFrom(
  room: Room,
  origin: string,
  rows: readonly Pick<StoredEvent, "eventId">[],
): Promise<ReadonlySet<string>> {
  const hidden = new Set<string>();
  const settings = new Settings(room, undefined);
  for (const { event } of await room.load(rows.map(({ eventId }) => eventId))) {
    const at = await room.stateAt(event.eventId);
    const setting = at === undefined ? await settings.about(event) : settingAround(aroundOf(at));
    const presence = (): Presence => (at === undefined ? undefined : presenceIn(room, origin, at));
    if (!isVisibleToServer(setting ?? "joined", presence).visible) hidden.add(event.eventId);
  }
  return hidden;
}

function aroundOf(at: { readonly before: StateView; readonly after: StateView }): StatesAround {
  return { before: (type, key) => at.before.get(type, key), after: (type, key) => at.after.get(type, key) };
}

// ---- what it is given -----------------------------------------------------------------------------------

/**
 * The form that leaves this server: what was redacted goes out redacted, as the receiver would get no redaction of
 * what happened before it came. What redaction would change the meaning of, to the rules, goes out whole: a server
 * that joins later has to come to the same state as those that were there.
 */
export function servedForm(room: Room, row: StoredEvent): JsonObject {
  if (row.redactedBy === undefined) return row.json;
  const bare = redact(room.version.rules, row.json);
  return losesMeaning(row.json, bare) ? row.json : bare;
}

/**
 * A hidden event, redacted: the same event under the same id, which every server can judge. Three stay whole.
 * What is part of the room's current state is shown to each of its servers anyway. What redaction would change
 * the meaning of, to the rules: the receiver would judge otherwise than the servers that saw it (before room
 * version 9 restricted joins, before 11 third-party invites and the invite level). And what redacts by a key that
 * is lost: the receiver would go on showing what was taken back.
 */
export function hiddenForm(room: Room, row: StoredEvent): JsonObject {
  const bare = redact(room.version.rules, row.json);
  return isCurrent(room, row) || losesMeaning(row.json, bare) ? servedForm(room, row) : bare;
}

function isCurrent(room: Room, { eventId, json }: StoredEvent): boolean {
  const type = get(json, "type");
  const stateKey = get(json, "state_key");
  if (typeof type !== "string" || typeof stateKey !== "string") return false;
  return room.state(type, stateKey)?.eventId === eventId;
}

/** What the authorisation rules read of the contents of events, in any room version. */
const judgedBy: ReadonlyMap<string, readonly string[]> = new Map([
  ["m.room.create", ["creator", "m.federate", "room_version", "additional_creators"]],
  ["m.room.member", ["membership", "join_authorised_via_users_server", "third_party_invite"]],
  ["m.room.join_rules", ["join_rule", "allow"]],
  [
    "m.room.power_levels",
    [
      "users",
      "users_default",
      "events",
      "events_default",
      "state_default",
      "invite",
      "kick",
      "ban",
      "redact",
      "notifications",
    ],
  ],
  ["m.room.third_party_invite", ["public_key", "public_keys"]],
]);

function losesMeaning(whole: JsonObject, bare: JsonObject): boolean {
  const type = get(whole, "type");
  if (typeof type !== "string") return false;
  if (type === "m.room.redaction") return get(whole, "redacts") !== undefined && get(bare, "redacts") === undefined;
  const [before, after] = [get(whole, "content"), get(bare, "content")];
  if (!isObject(before) || !isObject(after)) return false;
  const read = judgedBy.get(type) ?? [];
  return read.some((key) => get(before, key) !== undefined && get(after, key) === undefined);
}
