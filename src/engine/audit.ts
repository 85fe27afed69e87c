/**
 * Whether what a storage holds is sound: every event is the one that its id says, was judged as the rules judge it, has
 * the states that it should have, and the room's record follows from its events. What the engine cached, decided late
 * or in another order, and what a crash left behind, must have come to the same.
 */
import type { Cancel } from "../ports/cancel.js";
import type { StateGroup, Storage } from "../ports/storage.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import { auditRoom } from "./audit-room.js";
import type { AuditFinding } from "./audit-room.js";

export type { AuditFinding };

export interface AuditOptions {
  /** One room; by default every room that is stored, and the queues to other servers. */
  readonly roomId?: string;
  /** By default every version of the spec, and I.1. */
  readonly versions?: RoomVersionRegistry;
  readonly cancel?: Cancel;
}

/** What was looked at, and what was found. */
export interface AuditReport {
  readonly rooms: number;
  readonly events: number;
  /** Rows that wait to be sent. */
  readonly outbox: number;
  /** Rooms whose state is known in part: what was judged by that is not judged again here. */
  readonly partial: readonly string[];
  readonly findings: readonly AuditFinding[];
}

/** How many rows of a queue are read at once. */
const QUEUE_PAGE = 1_000;

/**
 * Looks at all of it by the rules alone. Nothing is written, and other processes may go on writing: each room is looked
 * at as it was at one revision. Signatures were verified when events came and are not verified again; soft failure
 * depends on the moment of receipt and is taken as it is.
 */
export async function auditStorage(storage: Storage, options: AuditOptions = {}): Promise<AuditReport> {
  const { roomId: only, versions = roomVersions, cancel } = options;
  const findings: AuditFinding[] = [];
  const partial: string[] = [];
  const roomIds = only === undefined ? await storage.roomIds(cancel) : [only];
  let events = 0;
  for (const roomId of roomIds) {
    const stored = await storage.changesSince(roomId, 0, cancel);
    if (stored === undefined) {
      findings.push({ kind: "record", roomId, reason: "the room is listed and not there", events: [] });
      continue;
    }
    events += stored.events.length;
    const version = versions.get(stored.record.roomVersion);
    if (!version.ok) {
      findings.push({ kind: "record", roomId, reason: version.error.reason, events: [] });
      continue;
    }
    if (stored.record.partial !== undefined) partial.push(roomId);
    const numbers = new Set([stored.record.stateGroup]);
    for (const { stateBefore, stateAfter } of stored.events) {
      if (stateBefore !== undefined) numbers.add(stateBefore);
      if (stateAfter !== undefined) numbers.add(stateAfter);
    }
    // Groups are never changed: those of the moment above are the same now.
    const groups: readonly StateGroup[] = await storage.readStateGroups(roomId, [...numbers], cancel);
    for (const found of auditRoom(version.value, { roomId, ...stored, groups })) findings.push({ roomId, ...found });
  }
  const outbox = only === undefined ? await auditOutbox(storage, findings, cancel) : 0;
  return { rooms: roomIds.length, events, outbox, partial, findings };
}

/** Sequences ascend, and each row points at an event that was not rejected. */
async function auditOutbox(storage: Storage, findings: AuditFinding[], cancel: Cancel | undefined): Promise<number> {
  let count = 0;
  for (const destination of await storage.outboxDestinations(cancel)) {
    // A page at a time there is no way to: what is read is not skipped over until it is settled.
    let limit = QUEUE_PAGE;
    let rows = await storage.readOutbox(destination, limit, cancel);
    while (rows.length === limit) rows = await storage.readOutbox(destination, (limit *= 2), cancel);
    count += rows.length;
    const say = (roomId: string, reason: string, events: readonly string[] = []): void => {
      findings.push({ kind: "reference", roomId, reason: `the queue for ${destination} ${reason}`, events });
    };
    const byRoom = new Map<string, string[]>();
    let last = Number.NEGATIVE_INFINITY;
    for (const { roomId, eventId, sequence } of rows) {
      if (sequence <= last) say(roomId, "does not ascend", eventId === undefined ? [] : [eventId]);
      last = sequence;
      const wanted = byRoom.get(roomId) ?? [];
      byRoom.set(roomId, wanted);
      if (eventId !== undefined) wanted.push(eventId);
    }
    for (const [roomId, ids] of byRoom) {
      if ((await storage.openRoom(roomId, cancel)) === undefined) say(roomId, "names a room that is not stored");
      const found = new Map((await storage.readEvents(roomId, ids, cancel)).map((row) => [row.eventId, row]));
      for (const id of ids) {
        const standing = found.get(id)?.verdict.standing;
        if (standing === undefined) say(roomId, "names an event that is not stored", [id]);
        else if (standing === "rejected") say(roomId, "names an event that is rejected", [id]);
      }
    }
  }
  return count;
}
