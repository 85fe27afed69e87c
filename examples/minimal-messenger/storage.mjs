// @ts-check
/**
 * The Storage port over what a small messenger keeps of a room: the current state, and the last few events. It is
 * written after every commit, and everything else is forgotten with that same write.
 *
 * An event stays while it is part of a state that is kept, or one of the last few, or an end of the room (a forward
 * extremity), or waits in a queue to be sent, or while one that stays rests on it by `auth_events`. A state stays
 * while it is the current one, or stands before or after one of the last few events. Asked for anything else, this storage does not have it, and the engine fetches what it
 * needs from the other servers of the room.
 *
 * `JSON.stringify` is exact for events of room versions 6 and later, where numbers are integers below 2^53. The
 * messenger takes part in no others.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";

/** @import { Batch, CommitResult, OpenedRoom, OutboxEntry, OutboxRow, RoomRecord, StateGroup, Storage } from "roomdag/ports" */
/** @import { Intent, OutsideMembership, PendingEvent, StoredEvent, TransactionAnswer, Waiting } from "roomdag/ports" */

/**
 * A state, flat: the event at each key. Keys are JSON of [type, state key].
 * @typedef {Record<string, string>} FlatState
 */

/**
 * @typedef {object} RoomRows
 * @property {RoomRecord} record
 * @property {Record<string, StoredEvent>} events
 * @property {Record<string, FlatState>} states by the number of their group
 * @property {Record<string, PendingEvent>} pending
 * @property {Record<string, Waiting>} waiting
 */

/**
 * @typedef {object} Rows
 * @property {Record<string, RoomRows>} rooms
 * @property {OutboxRow[]} outbox
 * @property {number} lastSequence
 * @property {Record<string, TransactionAnswer>} transactions
 * @property {Record<string, OutsideMembership>} outside
 * @property {Record<string, Intent>} intents
 */

/**
 * @param {string} path the file that holds everything
 * @param {number} latest how many of the last events are kept
 * @returns {Storage & { readonly count: (roomId: string) => { readonly events: number, readonly states: number } }}
 */
export function openMessengerStorage(path, latest) {
  const rows = read(path);

  function save() {
    writeFileSync(`${path}.new`, JSON.stringify(rows));
    renameSync(`${path}.new`, path);
  }

  /**
   * @param {Batch} batch
   * @returns {CommitResult}
   */
  function commit(batch) {
    const known = rows.rooms[batch.roomId];
    if (known?.record.revision !== batch.expected) return { committed: false, revision: known?.record.revision };
    const room = known ?? { record: batch.record, events: {}, states: {}, pending: {}, waiting: {} };
    // What this would build on is forgotten: the engine reads the room anew, and decides anew.
    if (!canHold(room, batch)) return { committed: false, revision: batch.expected };
    room.record = batch.record;
    for (const event of batch.events) room.events[event.eventId] = event;
    for (const group of [...batch.groups].sort((a, b) => a.group - b.group)) {
      room.states[group.group] = applied(group.base === undefined ? {} : room.states[group.base], group);
    }
    for (const eventId of batch.pending.remove) delete room.pending[eventId];
    for (const pending of batch.pending.put) room.pending[pending.eventId] = pending;
    for (const waiting of batch.waiting) {
      const key = `${waiting.kind} ${waiting.eventId}`;
      if (waiting.by.length === 0) delete room.waiting[key];
      else room.waiting[key] = waiting;
    }
    rows.rooms[batch.roomId] = room;
    append(batch.outbox);
    for (const { roomId, userId } of batch.outside.remove) delete rows.outside[`${roomId} ${userId}`];
    for (const one of batch.outside.put) rows.outside[`${one.roomId} ${one.userId}`] = one;
    for (const id of batch.intents.remove) delete rows.intents[id];
    for (const intent of batch.intents.put) rows.intents[intent.id] = intent;
    forget(room, rows.outbox, latest);
    save();
    return { committed: true };
  }

  /** @param {readonly OutboxEntry[]} entries */
  function append(entries) {
    for (const entry of entries) rows.outbox.push({ ...entry, sequence: ++rows.lastSequence });
  }

  /** @param {string} destination */
  const queueOf = (destination) => rows.outbox.filter((row) => row.destination === destination);

  /** Leases are for storages that several processes share; this one has a single owner, who may as well keep none. */
  const lease = () => true;

  return {
    count: (roomId) => ({
      events: Object.keys(rows.rooms[roomId]?.events ?? {}).length,
      states: Object.keys(rows.rooms[roomId]?.states ?? {}).length,
    }),
    commit,
    roomIds: () => Object.keys(rows.rooms),
    openRoom: (roomId) => opened(rows.rooms[roomId]),
    readEvents: (roomId, eventIds) => {
      const events = rows.rooms[roomId]?.events ?? {};
      return eventIds.flatMap((id) => events[id] ?? []);
    },
    readTimeline: (roomId, { from, direction, limit }) => {
      const ahead = direction === "forwards" ? 1 : -1;
      return Object.values(rows.rooms[roomId]?.events ?? {})
        .filter(({ verdict, position }) => verdict.standing === "accepted" && (position ?? NaN) * ahead >= from * ahead)
        .sort((a, b) => ((a.position ?? 0) - (b.position ?? 0)) * ahead)
        .slice(0, limit);
    },
    // States are flat here, so that none builds on another.
    readStateGroups: (roomId, groups) =>
      groups.flatMap((group) => {
        const state = rows.rooms[roomId]?.states[group];
        return state === undefined ? [] : [groupOf(group, state)];
      }),
    changesSince: (roomId, revision) => {
      const room = rows.rooms[roomId];
      const open = opened(room);
      if (room === undefined || open === undefined) return undefined;
      return { ...open, events: revision < room.record.revision ? Object.values(room.events) : [] };
    },

    outboxDestinations: () => [...new Set(rows.outbox.map(({ destination }) => destination))],
    readOutbox: (destination, limit) => queueOf(destination).slice(0, limit),
    settleOutbox: (destination, through, replacement) => {
      rows.outbox = rows.outbox.filter((row) => row.destination !== destination || row.sequence > through);
      append(replacement);
      save();
    },
    lease,

    readTransaction: (origin, transactionId) => rows.transactions[`${origin} ${transactionId}`],
    recordTransaction: (answer, forgetBefore) => {
      for (const [key, { answeredAt }] of Object.entries(rows.transactions)) {
        if (answeredAt < forgetBefore) delete rows.transactions[key];
      }
      rows.transactions[`${answer.origin} ${answer.transactionId}`] = answer;
      save();
    },

    readOutside: (userId) => Object.values(rows.outside).filter((one) => userId === undefined || one.userId === userId),
    putOutside: (one) => {
      rows.outside[`${one.roomId} ${one.userId}`] = one;
      save();
    },
    removeOutside: (roomId, userId) => {
      delete rows.outside[`${roomId} ${userId}`];
      save();
    },

    readIntents: (kind) => Object.values(rows.intents).filter((one) => kind === undefined || one.kind === kind),
    putIntent: (intent) => {
      rows.intents[intent.id] = intent;
      save();
    },
    removeIntents: (ids) => {
      for (const id of ids) delete rows.intents[id];
      save();
    },
  };
}

/**
 * @param {string} path
 * @returns {Rows}
 */
function read(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    return { rooms: {}, outbox: [], lastSequence: 0, transactions: {}, outside: {}, intents: {} };
  }
}

/**
 * Whether every state that a batch builds on or names is here or in the batch.
 * @param {RoomRows} room
 * @param {Batch} batch
 */
function canHold(room, batch) {
  const there = new Set([...Object.keys(room.states).map(Number), ...batch.groups.map(({ group }) => group)]);
  const named = batch.events.flatMap(({ stateBefore, stateAfter }) => [stateBefore, stateAfter]);
  const bases = batch.groups.map(({ base }) => base);
  return [batch.record.stateGroup, ...named, ...bases].every((group) => group === undefined || there.has(group));
}

/**
 * @param {FlatState | undefined} base
 * @param {StateGroup} group
 * @returns {FlatState}
 */
function applied(base, { delta }) {
  const state = { ...base };
  for (const [type, stateKey, eventId] of delta) {
    const key = JSON.stringify([type, stateKey]);
    if (eventId === undefined) delete state[key];
    else state[key] = eventId;
  }
  return state;
}

/**
 * @param {number} group
 * @param {FlatState} state
 * @returns {StateGroup}
 */
function groupOf(group, state) {
  const delta = Object.entries(state).map(([key, eventId]) => {
    const [type, stateKey] = /** @type {[string, string]} */ (JSON.parse(key));
    return /** @type {const} */ ([type, stateKey, eventId]);
  });
  return { group, base: undefined, place: 0, delta };
}

/**
 * Forgets everything but the current state, the last few events, and what these rest on.
 * @param {RoomRows} room
 * @param {readonly OutboxRow[]} outbox
 * @param {number} latest
 */
function forget(room, outbox, latest) {
  const { record } = room;
  const newest = Object.values(room.events)
    .filter(({ position }) => position !== undefined && position > record.lastPosition - latest)
    .map(({ eventId }) => eventId);
  const recent = new Set([...newest, ...record.forwardExtremities]);
  const groups = new Set([record.stateGroup]);
  for (const id of recent) {
    const { stateBefore, stateAfter } = room.events[id] ?? {};
    for (const group of [stateBefore, stateAfter]) if (group !== undefined) groups.add(group);
  }
  for (const group of Object.keys(room.states).map(Number)) if (!groups.has(group)) delete room.states[group];
  const inStates = Object.values(room.states).flatMap((state) => Object.values(state));
  const queued = outbox.flatMap(({ roomId, eventId }) => (roomId === record.roomId ? (eventId ?? []) : []));
  const kept = withAuthChains(room, new Set([...recent, ...inStates, ...queued]));
  for (const row of Object.values(room.events)) {
    if (!kept.has(row.eventId)) delete room.events[row.eventId];
    else if (!recent.has(row.eventId)) room.events[row.eventId] = bare(row);
  }
}

/**
 * These events and everything that they rest on by `auth_events`: a new server of the room is given that, and two
 * branches are resolved by it. It grows with changes of levels and memberships, not with messages.
 * @param {RoomRows} room
 * @param {Set<string>} eventIds
 */
function withAuthChains(room, eventIds) {
  // A set that is added to while it is walked is walked to its new end.
  for (const id of eventIds) {
    // Ids are strings in the versions that the messenger knows.
    const cited = /** @type {readonly string[]} */ (room.events[id]?.json["auth_events"] ?? []);
    for (const one of cited) if (room.events[one] !== undefined) eventIds.add(one);
  }
  return eventIds;
}

/**
 * An event that is kept for what it says, without its place in history.
 * @param {StoredEvent} row
 * @returns {StoredEvent}
 */
function bare({ eventId, json, hashMismatch, verdict, redactedBy }) {
  return { eventId, json, hashMismatch, verdict, ...(redactedBy === undefined ? {} : { redactedBy }) };
}

/**
 * @param {RoomRows | undefined} room
 * @returns {OpenedRoom | undefined}
 */
function opened(room) {
  if (room === undefined) return undefined;
  return { record: room.record, pending: Object.values(room.pending), waiting: Object.values(room.waiting) };
}
