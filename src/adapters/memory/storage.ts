/** Storage in memory: for tests, demonstrations, and hosts that may forget. Every call is done when it returns. */
import { UsageError } from "../../errors.js";
import type {
  Batch,
  CommitResult,
  Intent,
  OutboxEntry,
  OutsideMembership,
  Storage,
  TimelineRange,
  TransactionAnswer,
} from "../../ports/storage.js";
import { createOutbox } from "./outbox.js";
import { applyToRoom, changesOf, eventsOf, groupsOf, newRoom, openedRoom, timelineOf } from "./room.js";
import type { Room } from "./room.js";
import { insertInOrder, lowerBound, removeInOrder } from "./sorted.js";

/**
 * A storage that lives as long as its object; give the same one to several engines to let them share it.
 * Rows are kept and given out as they came in, which is why they must not be changed by anyone; the lists
 * around them are copied. Nothing is frozen.
 */
export function createMemoryStorage(): Storage {
  const rooms = new Map<string, Room>();
  const outbox = createOutbox();
  const outside = createOutside();
  const intents = new Map<string, Intent>();
  const transactions = createTransactions();

  function commit(batch: Batch): CommitResult {
    checkBatch(batch);
    let room = rooms.get(batch.roomId);
    if (room?.record.revision !== batch.expected) return { committed: false, revision: room?.record.revision };
    if (room === undefined) rooms.set(batch.roomId, (room = newRoom(batch.record)));
    applyToRoom(room, batch);
    outbox.append(batch.outbox);
    for (const { roomId, userId } of batch.outside.remove) outside.remove(roomId, userId);
    for (const membership of batch.outside.put) outside.put(membership);
    for (const id of batch.intents.remove) intents.delete(id);
    for (const intent of batch.intents.put) intents.set(intent.id, intent);
    return { committed: true };
  }

  /** What a room answers, or `none` where there is no room. */
  function ofRoom<T, N>(roomId: string, none: N, read: (room: Room) => T): T | N {
    const room = rooms.get(roomId);
    return room === undefined ? none : read(room);
  }

  return Object.freeze({
    roomIds: () => [...rooms.keys()],
    openRoom: (roomId: string) => ofRoom(roomId, undefined, openedRoom),
    readEvents: (roomId: string, eventIds: readonly string[]) =>
      ofRoom(roomId, [], (room) => eventsOf(room, new Set(eventIds))),
    roomsWith: (eventId: string) =>
      [...rooms].flatMap(([roomId, room]) => (eventsOf(room, new Set([eventId])).length > 0 ? [roomId] : [])),
    readTimeline: (roomId: string, range: TimelineRange) => ofRoom(roomId, [], (room) => timelineOf(room, range)),
    readStateGroups: (roomId: string, groups: readonly number[]) =>
      ofRoom(roomId, [], (room) => groupsOf(room, groups)),
    changesSince: (roomId: string, revision: number) => ofRoom(roomId, undefined, (room) => changesOf(room, revision)),
    commit,

    outboxDestinations: () => outbox.destinations(),
    readOutbox: (destination: string, limit: number) => outbox.read(destination, limit),
    settleOutbox: (destination: string, through: number, replacement: readonly OutboxEntry[]) =>
      outbox.settle(destination, through, replacement),
    lease: (destination: string, holder: string, now: number, until: number) =>
      outbox.lease(destination, holder, now, until),

    readTransaction: (origin: string, transactionId: string) => transactions.read(origin, transactionId),
    recordTransaction: (answer: TransactionAnswer, forgetBefore: number) => transactions.record(answer, forgetBefore),

    readOutside: (userId?: string) => outside.read(userId),
    putOutside: (membership: OutsideMembership) => outside.put(membership),
    removeOutside: (roomId: string, userId: string) => outside.remove(roomId, userId),

    readIntents: (kind?: string) =>
      [...intents.values()].filter((intent) => kind === undefined || intent.kind === kind),
    putIntent: (intent: Intent): void => {
      intents.set(intent.id, intent);
    },
    removeIntents: (ids: readonly string[]): void => {
      for (const id of ids) intents.delete(id);
    },
  });
}

function checkBatch({ roomId, expected, record }: Batch): void {
  if (record.roomId !== roomId) throw new UsageError("a batch is of one room: give its record the batch's `roomId`");
  if (expected !== undefined && record.revision <= expected) {
    throw new UsageError("the record of a commit has a later revision than `expected`: count it up");
  }
}

interface Outside {
  read(userId: string | undefined): readonly OutsideMembership[];
  put(membership: OutsideMembership): void;
  remove(roomId: string, userId: string): void;
}

function createOutside(): Outside {
  /** By user, then by room. */
  const users = new Map<string, Map<string, OutsideMembership>>();
  return {
    read: (userId) => {
      if (userId !== undefined) return [...(users.get(userId)?.values() ?? [])];
      return [...users.values()].flatMap((ofUser) => [...ofUser.values()]);
    },
    put: (membership) => {
      let ofUser = users.get(membership.userId);
      if (ofUser === undefined) users.set(membership.userId, (ofUser = new Map<string, OutsideMembership>()));
      ofUser.set(membership.roomId, membership);
    },
    remove: (roomId, userId) => {
      const ofUser = users.get(userId);
      ofUser?.delete(roomId);
      if (ofUser?.size === 0) users.delete(userId);
    },
  };
}

interface Transactions {
  read(origin: string, transactionId: string): TransactionAnswer | undefined;
  record(answer: TransactionAnswer, forgetBefore: number): void;
}

function createTransactions(): Transactions {
  const answers = new Map<string, TransactionAnswer>();
  /** By time of answer, because a clock may go back. */
  const byTime: TransactionAnswer[] = [];
  const time = (answer: TransactionAnswer): number => answer.answeredAt;
  const keyOf = (origin: string, transactionId: string): string => JSON.stringify([origin, transactionId]);
  return {
    read: (origin, transactionId) => answers.get(keyOf(origin, transactionId)),
    record: (answer, forgetBefore) => {
      const key = keyOf(answer.origin, answer.transactionId);
      const before = answers.get(key);
      if (before !== undefined) removeInOrder(byTime, time, before);
      answers.set(key, answer);
      insertInOrder(byTime, time, answer);
      const forgotten = byTime.splice(0, lowerBound(byTime, time, forgetBefore));
      for (const { origin, transactionId } of forgotten) answers.delete(keyOf(origin, transactionId));
    },
  };
}
