/**
 * Where rooms are kept. Small on purpose: rows that are put and read by key, and one atomic `commit`.
 * Everything returned is a copy or immutable; everything given stays the caller's.
 */
import type { JsonObject } from "../json/value.js";
import type { Awaitable, Cancel } from "./cancel.js";
import type { StoredVerdict } from "./verdict.js";

/** The part of a room that every commit replaces. */
export interface RoomRecord {
  readonly roomId: string;
  readonly roomVersion: string;
  /** Counts commits. A commit names the revision that it was based on. */
  readonly revision: number;
  /** Sorted event ids. */
  readonly forwardExtremities: readonly string[];
  /** The state group of the current state. */
  readonly stateGroup: number;
  /** Groups are numbered from 1 in each room; the last number given. */
  readonly lastGroup: number;
  /** Stream positions: events received live count up from 1, those of older history down from -1. */
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** The smallest `depth` among events received live: below it, history was never sent here. */
  readonly liveDepth: number;
  /** Present while the state is known in part. */
  readonly partial?: PartialState;
}

/**
 * What a room was joined with if the state came without most memberships. Events from the join's position on are
 * judged by what is known of the state, and judged again once all of it is.
 */
export interface PartialState {
  /** The join, the stream position that it has, and the revision that brought it. */
  readonly eventId: string;
  readonly position: number;
  readonly revision: number;
  /** Servers that were in the room then, as the server said that was joined by. */
  readonly servers: readonly string[];
}

/** An event and all that was decided about it. */
export interface StoredEvent {
  readonly eventId: string;
  /** The federation form as it judges: as received, or the redacted copy where the content hash did not match. */
  readonly json: JsonObject;
  /** Whether `json` is the redacted copy because the content hash did not match. */
  readonly hashMismatch: boolean;
  readonly verdict: StoredVerdict;
  /** Absent for events that came as part of a state or an auth chain only. */
  readonly position?: number;
  /** State groups before and after the event; absent while its ancestors are unknown. */
  readonly stateBefore?: number;
  readonly stateAfter?: number;
  /** The redaction in force: readers are shown the redacted form. */
  readonly redactedBy?: string;
}

/** A key of a state and the event that it holds; `undefined` where a delta takes the key away. */
export type StateEntry = readonly [type: string, stateKey: string, eventId: string | undefined];

/**
 * A state: `base` with `delta` applied, or `delta` alone. A chain of bases is at most about 4 × log2(changes) long,
 * 60 after 65,000 changes, and no state is ever written whole for one event.
 */
export interface StateGroup {
  readonly group: number;
  readonly base: number | undefined;
  /** Place in the chain of changes that this state is part of; 0 where it starts. */
  readonly place: number;
  readonly delta: readonly StateEntry[];
}

/** An event that cannot be decided yet. */
export interface PendingEvent {
  readonly eventId: string;
  readonly json: JsonObject;
  readonly hashMismatch: boolean;
  /** The server that sent it, which its bounds are counted against. */
  readonly origin: string;
  readonly receivedAt: number;
  /** Length of the event in canonical JSON. */
  readonly bytes: number;
  readonly waitsFor: readonly string[];
}

/**
 * Stored events that something about `eventId` concerns when it becomes known. `history`: they cite it in
 * `prev_events` and its state is unknown; `passed` says that an accepted event comes after it.
 * `redaction`: they redact it.
 */
export interface Waiting {
  readonly kind: "history" | "redaction";
  readonly eventId: string;
  readonly by: readonly string[];
  readonly passed: boolean;
}

/** A row to be sent. Without an event: send the room's forward extremities, and let the other side fetch the rest. */
export interface OutboxEntry {
  readonly destination: string;
  readonly roomId: string;
  readonly eventId?: string;
}

/**
 * A row to be sent, with its place in the queue of its destination: ascending, never used twice. Once a row can be
 * read, none may appear below it, whichever process writes it. The sender settles up to the last row that it read: a
 * row that became visible below that in between would be removed unsent. So commits of two processes that write to
 * one destination wait for each other, from the taking of the number until the row is visible; a number from a
 * counter outside of the transaction does not do that.
 */
export interface OutboxRow extends OutboxEntry {
  readonly sequence: number;
}

/** A membership of a local user in a room that this server is not in: an invite or a knock. */
export interface OutsideMembership {
  readonly roomId: string;
  readonly userId: string;
  readonly membership: "invite" | "knock";
  readonly roomVersion: string;
  readonly event: JsonObject;
  /** Stripped state of the room. */
  readonly state: readonly JsonObject[];
}

/** Something of several steps that was begun: after a restart it is carried on or given up. */
export interface Intent {
  readonly id: string;
  readonly kind: string;
  /** Whatever its kind needs, as plain data. Some holds JSON that clients wrote: it is to be kept as that of events. */
  readonly data: JsonObject;
}

/** What one commit changes, all of it or nothing. Rows replace those of the same key. */
export interface Batch {
  readonly roomId: string;
  /** The revision that this is based on; `undefined` for a room that must not exist yet. */
  readonly expected: number | undefined;
  readonly record: RoomRecord;
  readonly events: readonly StoredEvent[];
  readonly groups: readonly StateGroup[];
  readonly pending: { readonly put: readonly PendingEvent[]; readonly remove: readonly string[] };
  /** A row with an empty `by` is removed. */
  readonly waiting: readonly Waiting[];
  readonly outbox: readonly OutboxEntry[];
  readonly outside: {
    readonly put: readonly OutsideMembership[];
    readonly remove: readonly { readonly roomId: string; readonly userId: string }[];
  };
  readonly intents: { readonly put: readonly Intent[]; readonly remove: readonly string[] };
}

export type CommitResult =
  | { readonly committed: true }
  /** The room is at another revision, or exists although it must not: read what changed and decide again. */
  | { readonly committed: false; readonly revision: number | undefined };

/** All that opening a room reads at once. */
export interface OpenedRoom {
  readonly record: RoomRecord;
  readonly pending: readonly PendingEvent[];
  readonly waiting: readonly Waiting[];
}

/** What happened in a room since a revision. */
export interface RoomChanges extends OpenedRoom {
  /** Events put after that revision, as they are now. */
  readonly events: readonly StoredEvent[];
}

/** Part of a room's stream. */
export interface TimelineRange {
  /** The first position that may be in the answer. */
  readonly from: number;
  readonly direction: "forwards" | "backwards";
  readonly limit: number;
}

/** The answer to a transaction, kept so that a retry is answered the same. */
export interface TransactionAnswer {
  readonly origin: string;
  readonly transactionId: string;
  readonly answeredAt: number;
  readonly answer: JsonObject;
}

/** A host's database. Calls may overlap; each is atomic, and what was committed is durable when it resolves. */
export interface Storage {
  roomIds(cancel?: Cancel): Awaitable<readonly string[]>;
  openRoom(roomId: string, cancel?: Cancel): Awaitable<OpenedRoom | undefined>;
  /** The events that are there, in any order. */
  readEvents(roomId: string, eventIds: readonly string[], cancel?: Cancel): Awaitable<readonly StoredEvent[]>;
  /**
   * The rooms that have an event of this id; where ids are hashes there is one at most. HTTP asks for an event without
   * saying of which room it is. Absent: the event is looked for in every room.
   */
  roomsWith?(eventId: string, cancel?: Cancel): Awaitable<readonly string[]>;
  /** Accepted events with a position, in order of position. */
  readTimeline(roomId: string, range: TimelineRange, cancel?: Cancel): Awaitable<readonly StoredEvent[]>;
  /** These groups and every group that they build on, in any order. */
  readStateGroups(roomId: string, groups: readonly number[], cancel?: Cancel): Awaitable<readonly StateGroup[]>;
  /** `undefined` when the room does not exist. */
  changesSince(roomId: string, revision: number, cancel?: Cancel): Awaitable<RoomChanges | undefined>;
  /** Writes everything or nothing, and nothing at all when the room is not at `expected`. */
  commit(batch: Batch, cancel?: Cancel): Awaitable<CommitResult>;

  /** Destinations with rows in their queue. */
  outboxDestinations(cancel?: Cancel): Awaitable<readonly string[]>;
  /** The oldest rows of a queue. */
  readOutbox(destination: string, limit: number, cancel?: Cancel): Awaitable<readonly OutboxRow[]>;
  /** Removes the rows up to a sequence and appends others, in one step. */
  settleOutbox(
    destination: string,
    through: number,
    replacement: readonly OutboxEntry[],
    cancel?: Cancel,
  ): Awaitable<void>;
  /**
   * Takes or renews the right to send to a destination; `false` while another holder's has not run out. One that
   * has more than twice the wanted time (`until - now`) to run was taken before the clock was put back, and has
   * run out too. `until` at or before `now` gives the right back.
   */
  lease(destination: string, holder: string, now: number, until: number, cancel?: Cancel): Awaitable<boolean>;

  readTransaction(origin: string, transactionId: string, cancel?: Cancel): Awaitable<TransactionAnswer | undefined>;
  /** Keeps an answer, and forgets those older than `forgetBefore`. */
  recordTransaction(answer: TransactionAnswer, forgetBefore: number, cancel?: Cancel): Awaitable<void>;

  /** Invites and knocks of local users; of one user, or of all. */
  readOutside(userId?: string, cancel?: Cancel): Awaitable<readonly OutsideMembership[]>;
  putOutside(membership: OutsideMembership, cancel?: Cancel): Awaitable<void>;
  removeOutside(roomId: string, userId: string, cancel?: Cancel): Awaitable<void>;

  /** What was begun; of one kind, or of all. Of one kind there may be thousands, of the others there are few. */
  readIntents(kind?: string, cancel?: Cancel): Awaitable<readonly Intent[]>;
  putIntent(intent: Intent, cancel?: Cancel): Awaitable<void>;
  removeIntents(ids: readonly string[], cancel?: Cancel): Awaitable<void>;
}
