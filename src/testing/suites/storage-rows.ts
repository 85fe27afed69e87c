/** Rows for the checks of a storage. They are of the right shape and mean nothing. */
import { JsonFloat } from "../../json/value.js";
import type { JsonObject } from "../../json/value.js";
import type {
  Batch,
  Intent,
  OutboxEntry,
  OutsideMembership,
  PendingEvent,
  RoomRecord,
  StateGroup,
  Storage,
  StoredEvent,
  Waiting,
} from "../../ports/storage.js";
import type { StoredVerdict } from "../../ports/verdict.js";

export const ROOM = "!room:one.example";
export const OTHER_ROOM = "!other:one.example";

export const accepted: StoredVerdict = { standing: "accepted", rule: "v11 rule 10", basis: "state-before" };
export const softFailed: StoredVerdict = {
  standing: "soft-failed",
  check: "current-state",
  rule: "v11 rule 10",
  refusal: { code: "auth_rejected", rule: "v11 rule 5", reason: "not in the room", events: ["$now"] },
};
export const rejected: StoredVerdict = {
  standing: "rejected",
  check: "auth-events",
  refusal: { code: "auth_rejected", reason: "no", events: [] },
};

/** What databases like to lose: keys with a meaning elsewhere, NUL, long integers, floats as their source. */
export const awkwardJson: JsonObject = JSON.parse(
  '{"__proto__":{"a":1},"constructor":"x","":"empty","nul":"a\\u0000b","emoji":"\\ud83d\\ude00",' +
    '"combining":"e\\u0301","deep":[[[[{"a":[null,true,false,0,-1]}]]]],' +
    '"big":9007199254740991,"10":1,"9":2,"space ":" "}',
) as JsonObject;
/** Room versions 1 to 5 have these numbers. */
export const laxJson: JsonObject = {
  integer: 2n ** 70n,
  float: new JsonFloat(1, "1.0"),
  exponent: [new JsonFloat(1e30, "1e30")],
};

export function event(id: string, more: Partial<StoredEvent> = {}): StoredEvent {
  return {
    eventId: `$${id}`,
    json: { type: "m.room.message", content: { body: id } },
    hashMismatch: false,
    verdict: accepted,
    ...more,
  };
}

export function record(revision: number, more: Partial<RoomRecord> = {}): RoomRecord {
  return {
    roomId: ROOM,
    roomVersion: "11",
    revision,
    forwardExtremities: [`$tip${revision}`],
    stateGroup: 1,
    lastGroup: 1,
    firstPosition: 0,
    lastPosition: revision,
    liveDepth: 1,
    ...more,
  };
}

export function pending(id: string, more: Partial<PendingEvent> = {}): PendingEvent {
  return {
    eventId: `$${id}`,
    json: { type: "m.room.message", id },
    hashMismatch: false,
    origin: "two.example",
    receivedAt: 1_700_000_000_000,
    bytes: 321,
    waitsFor: ["$unknown"],
    ...more,
  };
}

export function waiting(id: string, by: readonly string[], more: Partial<Waiting> = {}): Waiting {
  return { kind: "history", eventId: `$${id}`, by, passed: false, ...more };
}

export function group(number: number, base: number | undefined, more: Partial<StateGroup> = {}): StateGroup {
  return { group: number, base, place: number - 1, delta: [["m.room.topic", "", `$topic${number}`]], ...more };
}

export function membership(userId: string, more: Partial<OutsideMembership> = {}): OutsideMembership {
  return {
    roomId: ROOM,
    userId,
    membership: "invite",
    roomVersion: "11",
    event: { type: "m.room.member", state_key: userId },
    state: [{ type: "m.room.create", state_key: "", sender: "@a:one.example", content: {} }],
    ...more,
  };
}

export function intent(id: string, more: Partial<Intent> = {}): Intent {
  return { id, kind: "join", data: { roomId: ROOM, via: ["two.example"] }, ...more };
}

export function entry(destination: string, eventId?: string, roomId: string = ROOM): OutboxEntry {
  return eventId === undefined ? { destination, roomId } : { destination, roomId, eventId };
}

/** A batch that brings a room from `expected` to the next revision, and whatever else is named. */
export function batch(expected: number | undefined, more: Partial<Omit<Batch, "expected">> = {}): Batch {
  const { roomId = ROOM } = more;
  return {
    roomId,
    expected,
    record: record((expected ?? 0) + 1, { roomId }),
    events: [],
    groups: [],
    pending: { put: [], remove: [] },
    waiting: [],
    outbox: [],
    outside: { put: [], remove: [] },
    intents: { put: [], remove: [] },
    ...more,
  };
}

/** A batch with a row in every list, named by `mark`. */
export function fullBatch(
  expected: number | undefined,
  mark: string,
  more: Partial<Omit<Batch, "expected">> = {},
): Batch {
  const next = (expected ?? 0) + 1;
  return batch(expected, {
    events: [event(mark, { position: next, stateBefore: next, stateAfter: next }), event(`${mark}-old`)],
    groups: [group(next, undefined, { delta: [["m.room.topic", "", `$${mark}`]] })],
    pending: { put: [pending(`${mark}-pending`)], remove: [] },
    waiting: [waiting(`${mark}-waited`, [`$${mark}`])],
    outbox: [entry("two.example", `$${mark}`), entry("three.example")],
    outside: { put: [membership(`@${mark}:one.example`)], remove: [] },
    intents: { put: [intent(mark)], remove: [] },
    ...more,
  });
}

/** Everything that a storage says about what {@link fullBatch} wrote under these marks, for comparing. */
export async function contents(
  storage: Storage,
  marks: readonly string[],
  rooms: readonly string[] = [ROOM],
): Promise<unknown> {
  const ids = marks.flatMap((mark) => [`$${mark}`, `$${mark}-old`]);
  const ofRooms = [];
  for (const roomId of rooms) {
    const changes = await storage.changesSince(roomId, 0);
    ofRooms.push({
      opened: sortedRoom(await storage.openRoom(roomId)),
      events: byId(await storage.readEvents(roomId, ids)),
      timeline: await storage.readTimeline(roomId, { from: -1000, direction: "forwards", limit: 1000 }),
      groups: [...(await storage.readStateGroups(roomId, [1, 2, 3, 4, 5, 6, 7, 8]))].sort((a, b) => a.group - b.group),
      changes: changes && { ...sortedRoom(changes), events: byId(changes.events) },
    });
  }
  const destinations = [...(await storage.outboxDestinations())].sort();
  const queues = [];
  for (const destination of destinations) queues.push([destination, await storage.readOutbox(destination, 1000)]);
  return {
    rooms: [...(await storage.roomIds())].sort(),
    ofRooms,
    queues,
    outside: [...(await storage.readOutside())].sort((a, b) =>
      order(`${a.userId} ${a.roomId}`, `${b.userId} ${b.roomId}`),
    ),
    intents: [...(await storage.readIntents())].sort((a, b) => order(a.id, b.id)),
  };
}

function sortedRoom<T extends { readonly pending: readonly PendingEvent[]; readonly waiting: readonly Waiting[] }>(
  room: T | undefined,
): T | undefined {
  return room && { ...room, pending: byId(room.pending), waiting: byId(room.waiting) };
}

export function byId<T extends { readonly eventId: string }>(rows: readonly T[]): readonly T[] {
  return [...rows].sort((a, b) => order(a.eventId, b.eventId));
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function idsOf(rows: readonly { readonly eventId?: string }[]): readonly (string | undefined)[] {
  return rows.map((row) => row.eventId);
}
