// @ts-check
/**
 * What a host brings: a storage of its own, which keeps rows as text by key as a database does, and the remaining
 * ports. The README's example of two servers runs over this.
 */
import { randomFillSync } from "node:crypto";
import { clearTimeout, setTimeout } from "node:timers";
import { createKeyDirectory, createMemoryKeys } from "roomdag/adapters/memory";
import { encodeCanonical, parseLax } from "roomdag/json";

/** @import { Batch, Clock, CommitResult, Intent, OpenedRoom, OutboxEntry, OutboxRow, Random } from "roomdag/ports" */
/** @import { OperationError, OutsideMembership, PendingEvent, RoomRecord, StateGroup, Storage } from "roomdag/ports" */
/** @import { StoredEvent, TransactionAnswer, Waiting } from "roomdag/ports" */

/**
 * Tables of text by key. Nobody can change what is in them by holding a row. A row that was put is got back as the
 * type that it had.
 */
export class Database {
  /** @type {Map<string, Map<string, string>>} */
  #tables = new Map();

  /** @param {string} name */
  #table(name) {
    let table = this.#tables.get(name);
    if (table === undefined) this.#tables.set(name, (table = new Map()));
    return table;
  }

  /**
   * Canonical JSON, because `JSON.stringify` loses numbers that events of room versions 1 to 5 may hold.
   * @param {string} table
   * @param {string} key
   * @param {object} row
   */
  put(table, key, row) {
    const data = /** @type {import("roomdag/json").JsonObject} */ (row);
    this.#table(table).set(key, encodeCanonical(data));
  }

  /**
   * @template T
   * @param {string} table
   * @param {string} key
   * @returns {T | undefined}
   */
  get(table, key) {
    const text = this.#table(table).get(key);
    if (text === undefined) return undefined;
    const parsed = parseLax(text);
    if (!parsed.ok) throw new Error(parsed.error.reason);
    return /** @type {T} */ (parsed.value);
  }

  /** @param {string} table */
  keys(table) {
    return [...this.#table(table).keys()];
  }

  /**
   * The rows in the order in which their keys were first put.
   * @template T
   * @param {string} table
   * @returns {readonly T[]}
   */
  all(table) {
    return this.keys(table).flatMap((key) => /** @type {T | undefined} */ (this.get(table, key)) ?? []);
  }

  /**
   * @param {string} table
   * @param {string} key
   */
  remove(table, key) {
    this.#table(table).delete(key);
  }
}

/** @typedef {{ putAt: number, event: StoredEvent }} EventRow an event and the revision whose commit put it last */
/**
 * A state group with `null` for what JSON cannot say: no base, no event at a key any more.
 * @typedef {Omit<StateGroup, "base" | "delta"> & {
 *   base: number | null, delta: (readonly [type: string, stateKey: string, eventId: string | null])[] }} GroupRow
 */

/**
 * A lease that would run for more than twice what is wanted was taken before the clock was put back.
 * @param {number} end
 * @param {number} now
 * @param {number} until
 */
const isRunning = (end, now, until) => end > now && (until <= now || end <= now + 2 * (until - now));

/** @param {readonly string[]} parts */
const keyOf = (...parts) => JSON.stringify(parts);

/**
 * Every call is done when it returns, so that each is atomic without more.
 * @param {Database} db
 * @returns {Storage}
 */
export function storageOver(db) {
  /**
   * @param {string} roomId
   * @returns {OpenedRoom | undefined}
   */
  function openRoom(roomId) {
    /** @type {RoomRecord | undefined} */
    const record = db.get("rooms", roomId);
    if (record === undefined) return undefined;
    /** @type {readonly PendingEvent[]} */
    const pending = db.all(`pending ${roomId}`);
    /** @type {readonly Waiting[]} */
    const waiting = db.all(`waiting ${roomId}`);
    return { record, pending, waiting };
  }

  /**
   * @param {Batch} batch
   * @returns {CommitResult}
   */
  function commit(batch) {
    const { roomId, record } = batch;
    const revision = openRoom(roomId)?.record.revision;
    if (revision !== batch.expected) return { committed: false, revision };
    db.put("rooms", roomId, record);
    for (const event of batch.events) db.put(`events ${roomId}`, event.eventId, { putAt: record.revision, event });
    for (const { base = null, delta, ...group } of batch.groups) {
      const entries = delta.map(([type, stateKey, eventId = null]) => [type, stateKey, eventId]);
      db.put(`groups ${roomId}`, String(group.group), { ...group, base, delta: entries });
    }
    for (const id of batch.pending.remove) db.remove(`pending ${roomId}`, id);
    for (const row of batch.pending.put) db.put(`pending ${roomId}`, row.eventId, row);
    for (const row of batch.waiting) {
      if (row.by.length === 0) db.remove(`waiting ${roomId}`, keyOf(row.kind, row.eventId));
      else db.put(`waiting ${roomId}`, keyOf(row.kind, row.eventId), row);
    }
    append(batch.outbox);
    for (const one of batch.outside.remove) db.remove("outside", keyOf(one.roomId, one.userId));
    for (const one of batch.outside.put) db.put("outside", keyOf(one.roomId, one.userId), one);
    for (const id of batch.intents.remove) db.remove("intents", id);
    for (const intent of batch.intents.put) db.put("intents", intent.id, intent);
    return { committed: true };
  }

  /**
   * The last number of a queue stays when its rows are gone: none is used twice.
   * @param {readonly OutboxEntry[]} entries
   */
  function append(entries) {
    for (const entry of entries) {
      /** @type {{ last: number } | undefined} */
      const queue = db.get("queues", entry.destination);
      const sequence = (queue?.last ?? 0) + 1;
      db.put("queues", entry.destination, { last: sequence });
      db.put(`outbox ${entry.destination}`, String(sequence), { ...entry, sequence });
    }
  }

  /**
   * @param {string} roomId
   * @returns {readonly EventRow[]}
   */
  const eventRows = (roomId) => db.all(`events ${roomId}`);

  /**
   * @param {string} roomId
   * @param {readonly number[]} wanted
   */
  function readStateGroups(roomId, wanted) {
    /** @type {Map<number, StateGroup>} */
    const found = new Map();
    for (const first of wanted) {
      for (let next = /** @type {number | null} */ (first); next !== null && !found.has(next);) {
        /** @type {GroupRow | undefined} */
        const row = db.get(`groups ${roomId}`, String(next));
        if (row === undefined) break;
        const delta = row.delta.map(([type, key, id]) => /** @type {const} */ ([type, key, id ?? undefined]));
        found.set(next, { ...row, base: row.base ?? undefined, delta });
        next = row.base;
      }
    }
    return [...found.values()];
  }

  return {
    roomIds: () => db.keys("rooms"),
    openRoom,
    commit,
    readStateGroups,
    readEvents: (roomId, ids) =>
      [...new Set(ids)].flatMap((id) => {
        /** @type {EventRow | undefined} */
        const row = db.get(`events ${roomId}`, id);
        return row === undefined ? [] : [row.event];
      }),
    readTimeline: (roomId, { from, direction, limit }) => {
      const ahead = direction === "forwards" ? 1 : -1;
      return eventRows(roomId)
        .flatMap(({ event }) => {
          const { verdict, position } = event;
          return verdict.standing === "accepted" && position !== undefined ? [{ at: position * ahead, event }] : [];
        })
        .filter(({ at }) => at >= from * ahead)
        .sort((a, b) => a.at - b.at)
        .slice(0, limit)
        .map(({ event }) => event);
    },
    changesSince: (roomId, revision) => {
      const room = openRoom(roomId);
      const rows = eventRows(roomId).filter(({ putAt }) => putAt > revision);
      return room && { ...room, events: rows.map(({ event }) => event) };
    },

    outboxDestinations: () => db.keys("queues").filter((name) => db.keys(`outbox ${name}`).length > 0),
    readOutbox: (destination, limit) => {
      /** @type {readonly OutboxRow[]} */
      const rows = db.all(`outbox ${destination}`);
      return rows.slice(0, limit);
    },
    settleOutbox: (destination, through, replacement) => {
      for (const sequence of db.keys(`outbox ${destination}`)) {
        if (Number(sequence) <= through) db.remove(`outbox ${destination}`, sequence);
      }
      append(replacement);
    },
    lease: (destination, holder, now, until) => {
      /** @type {{ holder: string, until: number } | undefined} */
      const lease = db.get("leases", destination);
      if (lease !== undefined && lease.holder !== holder && isRunning(lease.until, now, until)) return false;
      db.put("leases", destination, { holder, until });
      return true;
    },

    readTransaction: (origin, transactionId) => db.get("transactions", keyOf(origin, transactionId)),
    recordTransaction: (answer, forgetBefore) => {
      db.put("transactions", keyOf(answer.origin, answer.transactionId), answer);
      /** @type {readonly TransactionAnswer[]} */
      const answers = db.all("transactions");
      for (const { origin, transactionId, answeredAt } of answers) {
        if (answeredAt < forgetBefore) db.remove("transactions", keyOf(origin, transactionId));
      }
    },

    readOutside: (userId) => {
      /** @type {readonly OutsideMembership[]} */
      const all = db.all("outside");
      return all.filter((one) => userId === undefined || one.userId === userId);
    },
    putOutside: (one) => db.put("outside", keyOf(one.roomId, one.userId), one),
    removeOutside: (roomId, userId) => db.remove("outside", keyOf(roomId, userId)),
    readIntents: (kind) => {
      /** @type {readonly Intent[]} */
      const all = db.all("intents");
      return all.filter((intent) => kind === undefined || intent.kind === kind);
    },
    putIntent: (intent) => db.put("intents", intent.id, intent),
    removeIntents: (ids) => {
      for (const id of ids) db.remove("intents", id);
    },
  };
}

/** @type {Map<string, Database>} */
const databases = new Map();

/**
 * The storage of a server: the same rows each time.
 * @param {string} server
 */
export function openStorage(server) {
  const db = databases.get(server) ?? new Database();
  databases.set(server, db);
  return storageOver(db);
}

/** @type {Clock} */
export const clock = {
  now: () => Date.now(),
  sleep: (ms, cancel) =>
    new Promise((resolve) => {
      if (cancel?.aborted === true) return resolve();
      const timer = setTimeout(end, ms);
      const stop = cancel?.onAbort(end);
      function end() {
        clearTimeout(timer);
        stop?.();
        resolve();
      }
    }),
};

/** @type {Random} */
const random = { bytes: (length) => randomFillSync(new Uint8Array(length)) };

/** In place of the keys that servers publish. */
const directory = createKeyDirectory();

/**
 * The other ports of a server. Its key is new each time: one that is to last is the host's to keep.
 * @param {string} server
 */
export function portsOf(server) {
  const keys = createMemoryKeys({ server, keyId: "ed25519:1", seed: random.bytes(32) }, directory);
  return { server, keys, clock, random };
}

/**
 * What a transport answers when nothing came back.
 * @param {string} server
 * @returns {{ readonly ok: false, readonly error: OperationError }}
 */
export function unreachable(server) {
  return { ok: false, error: { code: "unreachable", reason: `${server} does not answer` } };
}
