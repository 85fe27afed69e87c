import { createPublicKey, verify as platformVerify } from "node:crypto";
import {
  createKeyDirectory,
  createMemoryKeys,
  createMemoryStorage,
  createSeededRandom,
} from "../../src/adapters/memory/index.js";
import { publicKeyFromSeed, sign } from "../../src/crypto/ed25519.js";
import { sha256 } from "../../src/crypto/hash.js";
import { JsonFloat } from "../../src/json/index.js";
import type {
  Batch,
  Clock,
  CommitResult,
  Identity,
  Keys,
  LimitExceeded,
  Observer,
  OutboxEntry,
  OutboxRow,
  Policy,
  PolicyRefusal,
  Random,
  Receiver,
  StateDifference,
  Storage,
  StoredEvent,
  TransactionAnswer,
  Transport,
} from "../../src/ports/index.js";
import {
  clockSuite,
  identitySuite,
  keysSuite,
  observerSuite,
  policySuite,
  randomSuite,
  storageSuite,
  testKeyOf,
  transportSuite,
} from "../../src/testing/index.js";
import type { StorageHost } from "../../src/testing/index.js";
import { suiteNotices } from "./ports-broken-support.js";
import type { Broken } from "./ports-broken-support.js";
import { listIdentity, listPolicy, manualClock, memoryKeys, memoryServers } from "./ports-support.js";

type Change = (good: Storage) => Partial<Storage>;

const turn = (): Promise<void> => Promise.resolve();
const rowsOf = async (good: Storage, destination: string): Promise<readonly OutboxRow[]> =>
  await good.readOutbox(destination, 1e6);

/** A commit whose batch is another than the one that was asked for. */
const commits =
  (change: (batch: Batch) => Partial<Batch>): Change =>
  (good) => ({ commit: (batch) => good.commit({ ...batch, ...change(batch) }) });

/** A commit that has written before it notices that it must not. */
const leaks =
  (write: (good: Storage, batch: Batch) => Promise<void>): Change =>
  (good) => ({
    commit: async (batch) => {
      const result = await good.commit(batch);
      if (!result.committed) await write(good, batch);
      return result;
    },
  });

/** Goes on from wherever the room is. */
const atAnyRevision = async (good: Storage, batch: Batch): Promise<CommitResult> => {
  let result: CommitResult = { committed: false, revision: undefined };
  while (!result.committed) {
    const revision = (await good.openRoom(batch.roomId))?.record.revision;
    const record = { ...batch.record, revision: (revision ?? 0) + 1 };
    result = await good.commit({ ...batch, expected: revision, record });
  }
  return result;
};

const nothing: Omit<Batch, "roomId" | "expected" | "record"> = {
  events: [],
  groups: [],
  pending: { put: [], remove: [] },
  waiting: [],
  outbox: [],
  outside: { put: [], remove: [] },
  intents: { put: [], remove: [] },
};

const writes = (part: (batch: Batch) => Partial<Batch>): Change =>
  leaks(async (good, batch) => {
    const record = (await good.openRoom(batch.roomId))?.record;
    if (record === undefined) return;
    await good.commit({
      roomId: batch.roomId,
      expected: record.revision,
      record: { ...record, revision: record.revision + 1 },
      ...nothing,
      ...part(batch),
    });
  });

const checkThenAct: Change = (good) => ({
  commit: async (batch) => {
    const revision = (await good.openRoom(batch.roomId))?.record.revision;
    if (revision !== batch.expected) return { committed: false, revision };
    await turn();
    return await atAnyRevision(good, batch);
  },
});

/** Sequences as they come out of counting the rows that are there. */
const countsRows: Change = (good) => {
  const queues = new Map<string, OutboxRow[]>();
  const append = (entries: readonly OutboxEntry[]): void => {
    for (const entry of entries) {
      const queue = queues.get(entry.destination) ?? [];
      queues.set(entry.destination, [...queue, { ...entry, sequence: (queue.at(-1)?.sequence ?? 0) + 1 }]);
    }
  };
  return {
    commit: async (batch) => {
      const result = await good.commit(batch);
      if (result.committed) append(batch.outbox);
      return result;
    },
    readOutbox: (destination, limit) => (queues.get(destination) ?? []).slice(0, limit),
    settleOutbox: (destination, through, replacement) => {
      const rest = (queues.get(destination) ?? []).filter(({ sequence }) => sequence > through);
      queues.set(destination, rest);
      append(replacement);
    },
  };
};

const timeline =
  (change: (events: readonly StoredEvent[]) => readonly StoredEvent[]): Change =>
  (good) => ({ readTimeline: async (roomId, range) => change(await good.readTimeline(roomId, range)) });

/** What a row is after the platform's own JSON. It throws at integers beyond 2^53. */
function platformJson<T>(row: T): T {
  return JSON.parse(JSON.stringify(row)) as T;
}

/** The same where somebody made it not throw. */
function rounded<T>(row: T): T {
  const number = (_: string, value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);
  return JSON.parse(JSON.stringify(row, number)) as T;
}

/** Plain assignment, under which `__proto__` is no key. */
function carelessCopy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(carelessCopy);
  if (typeof value !== "object" || value === null || value instanceof JsonFloat) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) copy[key] = carelessCopy(entry);
  return copy;
}

const ROOM = "!room:one.example";
const oneKind = "the intents of one kind";
const manyIntents = "intents are removed many at once";
const awkwardIntents = "the JSON of an intent and of an invite";
const refusedCommit = "refused and writes nothing at all";
const streamOrder = "the timeline is accepted events with a position";

/** Other rooms than those that have an event. */
const finds =
  (change: (rooms: readonly string[], all: readonly string[]) => readonly string[]): Change =>
  (good) => ({
    roomsWith: async (eventId) => change((await good.roomsWith?.(eventId)) ?? [], await good.roomIds()),
  });

const brokenStorages: readonly Broken<Change>[] = [
  [
    "throws where there is nothing",
    "an empty storage",
    () => ({
      readTimeline: () => {
        throw new Error("no such table");
      },
    }),
  ],
  [
    "keeps the first record",
    "a room is opened",
    () => {
      const kept = createMemoryStorage();
      let record: Batch["record"] | undefined;
      return {
        ...kept,
        commit: async (batch) => {
          record ??= batch.record;
          return await kept.commit(batch);
        },
        openRoom: async (roomId) => {
          const opened = await kept.openRoom(roomId);
          return opened && { ...opened, record: record ?? opened.record };
        },
      };
    },
  ],
  [
    "leaves holes for unknown ids",
    "unknown ids are left out",
    (good) => ({
      readEvents: async (roomId, ids) => {
        const found = new Map((await good.readEvents(roomId, ids)).map((event) => [event.eventId, event]));
        return ids.map((id) => found.get(id)!);
      },
    }),
  ],
  [
    "compares ids without case",
    "unknown ids are left out",
    (good) => ({
      readEvents: (roomId, ids) =>
        good.readEvents(
          roomId,
          ids.map((id) => id.toLowerCase()),
        ),
    }),
  ],
  [
    "forgets by which verdict an event is refused",
    "unknown ids are left out",
    commits(({ events }) => ({
      events: events.map((event) =>
        event.verdict.standing === "soft-failed" ? { ...event, verdict: { ...event.verdict, rule: "" } } : event,
      ),
    })),
  ],
  [
    "rounds numbers",
    "the JSON of an event",
    commits(({ events }) => ({
      events: events.map((event) => ({ ...event, json: rounded(event.json) })),
    })),
  ],
  [
    "keeps the row that was there",
    "a row replaces",
    (good) => ({
      commit: async (batch) => {
        const there = await good.readEvents(
          batch.roomId,
          batch.events.map(({ eventId }) => eventId),
        );
        const known = new Set(there.map(({ eventId }) => eventId));
        return await good.commit({ ...batch, events: batch.events.filter(({ eventId }) => !known.has(eventId)) });
      },
    }),
  ],
  [
    "never takes a pending event away",
    "pending events are put and taken away",
    commits(({ pending }) => ({ pending: { ...pending, remove: [] } })),
  ],
  [
    "keeps waiting rows that nobody waits in",
    "a waiting row with nobody",
    commits(({ waiting }) => ({ waiting: waiting.filter(({ by }) => by.length > 0) })),
  ],
  [
    "takes one kind of waiting for the other",
    "a waiting row with nobody",
    commits(({ waiting }) => ({ waiting: waiting.map((row) => ({ ...row, kind: "history" as const })) })),
  ],
  [
    "gives groups without their bases",
    "with every group that it builds on",
    (good) => ({
      readStateGroups: async (roomId, groups) =>
        (await good.readStateGroups(roomId, groups)).filter(({ group }) => groups.includes(group)),
    }),
  ],
  [
    "drops entries that take a key away",
    "with every group that it builds on",
    commits(({ groups }) => ({
      groups: groups.map((group) => ({ ...group, delta: group.delta.filter(([, , id]) => id !== undefined) })),
    })),
  ],
  [
    "stops after a hundred bases",
    "read to its end",
    (good) => ({
      readStateGroups: async (roomId, groups) => (await good.readStateGroups(roomId, groups)).slice(0, 100),
    }),
  ],
  [
    "gives the timeline unsorted",
    streamOrder,
    timeline((events) => [...events].sort((a, b) => (a.eventId < b.eventId ? -1 : 1))),
  ],
  [
    "gives soft-failed events in the timeline",
    streamOrder,
    (good) => {
      const soft: StoredEvent[] = [];
      return {
        commit: (batch) => {
          soft.push(...batch.events.filter(({ verdict }) => verdict.standing === "soft-failed"));
          return good.commit(batch);
        },
        readTimeline: async (roomId, range) => [...(await good.readTimeline(roomId, range)), ...soft],
      };
    },
  ],
  [
    "begins after the position that was asked for",
    streamOrder,
    (good) => ({
      readTimeline: (roomId, range) =>
        good.readTimeline(roomId, { ...range, from: range.from + (range.direction === "forwards" ? 1 : -1) }),
    }),
  ],
  [
    "gives one event more than the limit",
    streamOrder,
    (good) => ({ readTimeline: (roomId, range) => good.readTimeline(roomId, { ...range, limit: range.limit + 1 }) }),
  ],
  [
    "reads backwards in ascending order",
    streamOrder,
    timeline((events) => [...events].sort((a, b) => (a.position ?? 0) - (b.position ?? 0))),
  ],
  [
    "knows no positions below zero",
    streamOrder,
    timeline((events) => events.filter(({ position }) => (position ?? 0) > 0)),
  ],
  [
    "leaves an event in the stream where it stood first",
    "the timeline follows an event",
    (good) => {
      const first = new Map<string, StoredEvent>();
      return {
        commit: (batch) => {
          for (const event of batch.events) {
            if (event.position !== undefined && !first.has(event.eventId)) first.set(event.eventId, event);
          }
          return good.commit(batch);
        },
        readTimeline: () =>
          [...first.values()]
            .filter(({ verdict }) => verdict.standing === "accepted")
            .sort((a, b) => (a.position ?? 0) - (b.position ?? 0)),
      };
    },
  ],
  [
    "sorts positions as text",
    "a long timeline",
    timeline((events) => [...events].sort((a, b) => (String(a.position) < String(b.position) ? -1 : 1))),
  ],
  [
    "reports only what the last commit put",
    "the changes since a revision",
    (good) => ({
      changesSince: async (roomId) => {
        const revision = (await good.openRoom(roomId))?.record.revision ?? 0;
        return await good.changesSince(roomId, revision - 1);
      },
    }),
  ],
  [
    "reports events as they were when they were put first",
    "the changes since a revision",
    (good) => {
      const first = new Map<string, StoredEvent>();
      return {
        commit: (batch) => {
          for (const event of batch.events) if (!first.has(event.eventId)) first.set(event.eventId, event);
          return good.commit(batch);
        },
        changesSince: async (roomId, revision) => {
          const changes = await good.changesSince(roomId, revision);
          return changes && { ...changes, events: changes.events.map((event) => first.get(event.eventId) ?? event) };
        },
      };
    },
  ],
  [
    "keeps a journal of a hundred changes",
    "the changes are complete after a long life",
    (good) => ({
      changesSince: async (roomId, revision) => {
        const changes = await good.changesSince(roomId, revision);
        return changes && { ...changes, events: changes.events.slice(-100) };
      },
    }),
  ],
  ["ignores `expected`", refusedCommit, (good) => ({ commit: (batch) => atAnyRevision(good, batch) })],
  ["writes events of a refused commit", refusedCommit, writes(({ events }) => ({ events }))],
  ["writes groups of a refused commit", refusedCommit, writes(({ groups }) => ({ groups }))],
  ["writes the outbox of a refused commit", refusedCommit, writes(({ outbox }) => ({ outbox }))],
  ["takes away the pending events of a refused commit", refusedCommit, writes(({ pending }) => ({ pending }))],
  ["writes the waiting rows of a refused commit", refusedCommit, writes(({ waiting }) => ({ waiting }))],
  [
    "writes the outside memberships of a refused commit",
    refusedCommit,
    leaks(async (good, { outside }) => {
      for (const membership of outside.put) await good.putOutside(membership);
    }),
  ],
  [
    "removes the intents of a refused commit",
    refusedCommit,
    leaks(async (good, { intents }) => {
      for (const id of intents.remove) await good.removeIntents([id]);
    }),
  ],
  [
    "does not say which revision a refused commit met",
    refusedCommit,
    (good) => ({
      commit: async (batch) => {
        const result = await good.commit(batch);
        return result.committed ? result : { committed: false, revision: undefined };
      },
    }),
  ],
  [
    "takes `undefined` for any revision",
    "a room that exists is not created again",
    (good) => ({
      commit: (batch) => (batch.expected === undefined ? atAnyRevision(good, batch) : good.commit(batch)),
    }),
  ],
  [
    "makes a room at any revision",
    "a commit to a room that does not exist",
    (good) => ({
      commit: async (batch) =>
        (await good.openRoom(batch.roomId)) === undefined ? await atAnyRevision(good, batch) : await good.commit(batch),
    }),
  ],
  ["looks at the revision and writes later", "of writers that race on one revision", checkThenAct],
  ["looks whether a room exists and makes it later", "of writers that race to create", checkThenAct],
  [
    "tells a writer that lost that it won",
    "writers that try again",
    (good) => ({
      commit: async (batch) => {
        await good.commit(batch);
        return { committed: true };
      },
    }),
  ],
  [
    "writes in two steps",
    "who reads while a commit is under way",
    (good) => ({
      commit: async (batch) => {
        const result = await good.commit({ ...batch, pending: { put: [], remove: [] } });
        if (!result.committed) return result;
        await turn();
        const { revision } = batch.record;
        const record = { ...batch.record, revision: revision + 0.5 };
        await good.commit({ ...batch, ...nothing, expected: revision, record, pending: batch.pending });
        return result;
      },
    }),
  ],
  [
    "keeps the events of all rooms in one place",
    "rooms know nothing of each other",
    (good) => ({
      readEvents: async (_, ids) => {
        const found: StoredEvent[] = [];
        for (const roomId of await good.roomIds()) found.push(...(await good.readEvents(roomId, ids)));
        return found;
      },
    }),
  ],
  [
    "freezes what it is given",
    "what is given stays the caller's",
    commits((batch) => ({ record: Object.freeze(batch.record) })),
  ],
  [
    "sorts the lists that it is given",
    "what is given stays the caller's",
    (good) => ({
      commit: (batch) => {
        if (!Object.isFrozen(batch.outbox)) (batch.outbox as OutboxEntry[]).reverse();
        return good.commit(batch);
      },
    }),
  ],
  [
    "gives out its own lists",
    "are not the storage's own",
    (good) => {
      let intents: readonly Batch["intents"]["put"][number][] | undefined;
      return {
        readIntents: async () => (intents ??= await good.readIntents()),
      };
    },
  ],
  [
    "keeps the list that a caller goes on using",
    "are not the storage's own",
    (good) => {
      let groups: Batch["groups"] = [];
      return {
        commit: (batch) => {
          ({ groups } = batch);
          return good.commit(batch);
        },
        readStateGroups: () => groups,
      };
    },
  ],
  [
    "writes as many rows as a statement takes",
    "20,000 events",
    commits(({ events }) => ({ events: events.slice(0, 16_383) })),
  ],
  [
    "gives the newest rows first",
    "rows to be sent stand in the order",
    (good) => ({
      readOutbox: async (destination, limit) => [...(await rowsOf(good, destination))].reverse().slice(0, limit),
    }),
  ],
  ["loses the outbox of a commit", "rows to be sent stand in the order", commits(() => ({ outbox: [] }))],
  [
    "takes rows without an event for one",
    "rows to be sent stand in the order",
    commits(({ outbox }) => ({ outbox: outbox.filter(({ eventId }) => eventId !== undefined) })),
  ],
  [
    "settles the same numbers of every destination",
    "loses its rows up to a sequence",
    (good) => ({
      settleOutbox: async (_, through, replacement) => {
        for (const destination of await good.outboxDestinations()) {
          await good.settleOutbox(destination, through + 3, replacement);
        }
      },
    }),
  ],
  [
    "names destinations whose queue is empty",
    "loses its rows up to a sequence",
    (good) => {
      const all = new Set<string>();
      return {
        commit: (batch) => {
          for (const { destination } of batch.outbox) all.add(destination);
          return good.commit(batch);
        },
        outboxDestinations: () => [...all],
      };
    },
  ],
  [
    "empties a queue that is settled",
    "outlive the settling",
    (good) => ({
      settleOutbox: (destination, _, replacement) => good.settleOutbox(destination, Infinity, replacement),
    }),
  ],
  [
    "puts a replacement in front",
    "a replacement stands behind",
    (good) => ({
      settleOutbox: async (destination, through, replacement) => {
        const rest = (await rowsOf(good, destination)).filter(({ sequence }) => sequence > through);
        const again = rest.map(({ sequence: _, ...row }) => row);
        await good.settleOutbox(destination, Infinity, [...replacement, ...again]);
      },
    }),
  ],
  ["counts sequences from the rows that are there", "a sequence is never used twice", countsRows],
  [
    "queues the rows of a refused commit",
    "leaves the queue and its numbers",
    (good) => {
      return {
        commit: async (batch) => {
          const result = await good.commit(batch);
          if (!result.committed) await good.settleOutbox("new.example", 0, batch.outbox);
          return result;
        },
      };
    },
  ],
  [
    "numbers rows before they can be seen",
    "no row is lost or sent twice",
    () => {
      const good = createMemoryStorage();
      let sequence = 0;
      let rows: OutboxRow[] = [];
      return {
        ...good,
        commit: async (batch) => {
          const numbered = batch.outbox.map((row) => ({ ...row, sequence: ++sequence }));
          // Some transactions take longer than others that began after them.
          for (let wait = batch.roomId === "!a:one.example" ? 9 : 1; wait > 0; wait--) await turn();
          rows = [...rows, ...numbered].sort((a, b) => a.sequence - b.sequence);
          return await good.commit({ ...batch, outbox: [] });
        },
        readOutbox: (_, limit) => rows.slice(0, limit),
        settleOutbox: (_, through) => {
          rows = rows.filter((row) => row.sequence > through);
        },
      };
    },
  ],
  [
    "reads a queue whole, whatever the limit",
    "a long queue",
    (good) => ({ readOutbox: (destination) => rowsOf(good, destination) }),
  ],
  ["gives a lease to anyone", "a lease is one holder's", () => ({ lease: () => true })],
  [
    "never lets a lease run out",
    "a lease is one holder's",
    (good) => ({ lease: (destination, holder, now) => good.lease(destination, holder, now, Infinity) }),
  ],
  [
    "does not renew a lease",
    "a lease is one holder's",
    (good) => {
      const held = new Map<string, { readonly holder: string; readonly until: number }>();
      return {
        lease: (destination, holder, now, until) => {
          const current = held.get(destination);
          if (current !== undefined && current.until > now) return current.holder === holder;
          held.set(destination, { holder, until });
          return good.lease(destination, "all", now, until);
        },
      };
    },
  ],
  [
    "believes a lease whatever its end",
    "a lease from before the clock was put back",
    (good) => {
      let end = 0;
      return {
        lease: (destination, holder, now, until) => {
          if (until > now && until < end) return false;
          end = Math.max(end, until);
          return good.lease(destination, holder, now, until);
        },
      };
    },
  ],
  [
    "has one lease for all destinations",
    "a lease is one holder's",
    (good) => ({ lease: (_, holder, now, until) => good.lease("all", holder, now, until) }),
  ],
  [
    "looks at a lease and takes it later",
    "of holders that race for a lease",
    () => {
      let lease: { readonly holder: string; readonly until: number } | undefined;
      return {
        lease: async (_, holder, now, until) => {
          if (lease !== undefined && lease.holder !== holder && lease.until > now) return false;
          await turn();
          lease = { holder, until };
          return true;
        },
      };
    },
  ],
  [
    "keeps answers by transaction id alone",
    "kept for its origin and its id",
    () => {
      const answers = new Map<string, TransactionAnswer>();
      return {
        recordTransaction: (answer) => {
          answers.set(answer.transactionId, answer);
        },
        readTransaction: (_, id) => answers.get(id),
      };
    },
  ],
  [
    "forgets from the front until one is young enough",
    "answers older than what is to be kept",
    (good) => {
      const queue: { readonly at: number; readonly id: string }[] = [];
      const forgotten = new Set<string>();
      return {
        recordTransaction: (answer, before) => {
          queue.push({ at: answer.answeredAt, id: answer.transactionId });
          for (let first = queue[0]; first !== undefined && first.at < before; first = queue[0]) {
            forgotten.add(first.id);
            queue.shift();
          }
          return good.recordTransaction(answer, 0);
        },
        readTransaction: (origin, id) => (forgotten.has(id) ? undefined : good.readTransaction(origin, id)),
      };
    },
  ],
  [
    "forgets answers that are just old enough to be kept",
    "answers older than what is to be kept",
    (good) => ({ recordTransaction: (answer, before) => good.recordTransaction(answer, before + 1) }),
  ],
  [
    "keeps one room from outside for each user",
    "invites and knocks from outside",
    (good) => ({
      putOutside: async (membership) => {
        for (const { roomId, userId } of await good.readOutside(membership.userId)) {
          await good.removeOutside(roomId, userId);
        }
        await good.putOutside(membership);
      },
    }),
  ],
  [
    "leaves the outside memberships of a commit unwritten",
    "invites and knocks from outside",
    commits(() => ({ outside: { put: [], remove: [] } })),
  ],
  ["reads intents of every kind", oneKind, (good) => ({ readIntents: () => good.readIntents() })],
  [
    "takes the beginning of an intent's id for its kind",
    oneKind,
    (good) => ({
      readIntents: async (kind = "") => (await good.readIntents()).filter(({ id }) => id.startsWith(kind)),
    }),
  ],
  [
    "looks for kinds that begin alike",
    oneKind,
    (good) => ({
      readIntents: async (kind) =>
        (await good.readIntents()).filter((one) => kind === undefined || (kind !== "" && one.kind.startsWith(kind))),
    }),
  ],
  [
    "takes a kind without letters for none",
    oneKind,
    (good) => ({ readIntents: (kind) => good.readIntents(kind === "" ? undefined : kind) }),
  ],
  [
    "files an intent under the kind that it had first",
    oneKind,
    (good) => {
      const kinds = new Map<string, string>();
      const file = (put: Batch["intents"]["put"]): void => {
        for (const { id, kind } of put) if (!kinds.has(id)) kinds.set(id, kind);
      };
      return {
        putIntent: (intent) => {
          file([intent]);
          return good.putIntent(intent);
        },
        commit: (batch) => {
          file(batch.intents.put);
          return good.commit(batch);
        },
        readIntents: async (kind) =>
          (await good.readIntents()).filter(({ id }) => kind === undefined || kinds.get(id) === kind),
      };
    },
  ],
  [
    "removes the first of many intents",
    manyIntents,
    (good) => ({ removeIntents: ([id = ""]) => good.removeIntents([id]) }),
  ],
  [
    "removes as many intents as a statement takes",
    manyIntents,
    (good) => ({ removeIntents: (ids) => good.removeIntents(ids.slice(0, 999)) }),
  ],
  [
    "throws where no intents are named",
    manyIntents,
    (good) => ({
      removeIntents: (ids) => {
        if (ids.length === 0) throw new Error('syntax error at or near ")"');
        return good.removeIntents(ids);
      },
    }),
  ],
  [
    "removes all intents where none are named",
    manyIntents,
    (good) => ({
      removeIntents: async (ids) => {
        await good.removeIntents(ids.length > 0 ? ids : (await good.readIntents()).map(({ id }) => id));
      },
    }),
  ],
  [
    "expects every intent that it removes",
    manyIntents,
    (good) => ({
      removeIntents: async (ids) => {
        const there = new Set((await good.readIntents()).map(({ id }) => id));
        if (ids.every((id) => there.has(id))) await good.removeIntents(ids);
      },
    }),
  ],
  [
    "writes intents by the platform's own JSON",
    awkwardIntents,
    (good) => ({ putIntent: (intent) => good.putIntent(platformJson(intent)) }),
  ],
  [
    "writes the intents of a commit by the platform's own JSON, as if it had no large numbers",
    awkwardIntents,
    commits(({ intents }) => ({ intents: { ...intents, put: intents.put.map(rounded) } })),
  ],
  [
    "writes invites by the platform's own JSON, as if it had no large numbers",
    awkwardIntents,
    (good) => ({ putOutside: (membership) => good.putOutside(rounded(membership)) }),
  ],
  [
    "copies the invites of a commit key by key",
    awkwardIntents,
    commits(({ outside }) => ({ outside: { ...outside, put: outside.put.map((one) => carelessCopy(one) as never) } })),
  ],
  [
    "leaves intents that a commit removes",
    "intents are kept until they are removed",
    commits(({ intents }) => ({ intents: { ...intents, remove: [] } })),
  ],
  ["finds an event in one room only", "the rooms that have an event are found", finds((rooms) => rooms.slice(0, 1))],
  ["finds every event everywhere", "the rooms that have an event are found", finds((_, all) => all)],
];

const brokenReopening: readonly Broken<StorageHost>[] = [
  [
    "keeps intents in memory only",
    "has all that was committed",
    { create: createMemoryStorage, reopen: (storage) => ({ ...storage, readIntents: () => [] }) },
  ],
  [
    "forgets answers to transactions",
    "has all that was committed",
    { create: createMemoryStorage, reopen: (storage) => ({ ...storage, readTransaction: () => undefined }) },
  ],
  [
    "counts sequences anew",
    "uses no sequence again",
    {
      create: createMemoryStorage,
      reopen: (storage) => ({
        ...storage,
        readOutbox: async (destination, limit) =>
          (await storage.readOutbox(destination, limit)).map((row, at) => ({ ...row, sequence: at + 1 })),
      }),
    },
  ],
  [
    "gives each handle rooms of its own",
    "two handles see one room",
    {
      create: createMemoryStorage,
      reopen: async (storage) => {
        const copy = createMemoryStorage();
        const opened = await storage.openRoom(ROOM);
        if (opened !== undefined) {
          await copy.commit({ ...nothing, roomId: ROOM, expected: undefined, record: opened.record });
        }
        return copy;
      },
    },
  ],
  [
    "keeps leases in each process",
    "two handles see one room",
    {
      create: createMemoryStorage,
      reopen: (storage) => {
        const own = createMemoryStorage();
        return { ...storage, lease: (...rest) => own.lease(...rest) };
      },
    },
  ],
];

suiteNotices(
  "the suite of storages",
  (change: Change) =>
    storageSuite({
      create: () => {
        const good = createMemoryStorage();
        return { ...good, ...change(good) };
      },
    }),
  brokenStorages,
);

suiteNotices(
  "the suite of storages, as for reopening it",
  (host: StorageHost) => storageSuite(host).slice(storageSuite({ create: host.create }).length),
  brokenReopening,
);

type Wire = (transport: Transport, server: string) => Transport;

const requests =
  (change: (transport: Transport, server: string) => Transport["request"]): Wire =>
  (transport, server) => ({ ...transport, request: change(transport, server) });

const brokenTransports: readonly Broken<Wire>[] = [
  [
    "loses empty lists",
    "every operation arrives whole",
    requests((transport) => (server, name, request, cancel) => {
      const kept = Object.entries(request).filter(([, value]) => !Array.isArray(value) || value.length > 0);
      return transport.request(server, name, Object.fromEntries(kept), cancel);
    }),
  ],
  [
    "copies key by key",
    "every key and character",
    requests(
      (transport) => (server, name, request, cancel) =>
        transport.request(server, name, carelessCopy(request) as typeof request, cancel),
    ),
  ],
  [
    "takes every request for the first server's",
    "the receiver is told who asks",
    (transport) => ({
      ...transport,
      listen: (receiver) =>
        transport.listen((_, name, request, cancel) => receiver("one.example", name, request, cancel)),
    }),
  ],
  [
    "believes an origin that is written in the request",
    "an origin is not taken",
    (transport) => ({
      ...transport,
      listen: (receiver) =>
        transport.listen((origin, name, request, cancel) => {
          const claimed = "origin" in request && typeof request.origin === "string" ? request.origin : origin;
          return receiver(claimed, name, request, cancel);
        }),
    }),
  ],
  [
    "sends everything to one server",
    "a request reaches the server that it names",
    requests((transport) => (_, name, request, cancel) => transport.request("two.example", name, request, cancel)),
  ],
  [
    "flattens errors",
    "an error of the other server",
    requests((transport) => async (server, name, request, cancel) => {
      const result = await transport.request(server, name, request, cancel);
      return result.ok ? result : { ok: false, error: { code: result.error.code, reason: result.error.reason } };
    }),
  ],
  [
    "rejects when a server does not exist",
    "a server that does not exist",
    requests((transport) => async (server, name, request, cancel) => {
      if (server === "nobody.example") throw new Error("ENOTFOUND");
      return await transport.request(server, name, request, cancel);
    }),
  ],
  [
    "does not stop to listen",
    "a server that does not listen",
    (transport) => ({
      ...transport,
      listen: (receiver) => {
        transport.listen(receiver);
        return () => undefined;
      },
    }),
  ],
  [
    "throws what a receiver throws",
    "a receiver that throws or rejects",
    requests((transport) => async (server, name, request, cancel) => {
      const result = await transport.request(server, name, request, cancel);
      if (!result.ok && result.error.code === "internal") throw new Error(result.error.reason);
      return result;
    }),
  ],
  [
    "stops whoever listens",
    "a new receiver takes the place",
    (transport) => {
      let stop = (): void => undefined;
      return {
        ...transport,
        listen: (receiver) => {
          stop = transport.listen(receiver);
          return () => stop();
        },
      };
    },
  ],
  [
    "asks all receivers and takes the first answer",
    "a new receiver takes the place",
    (transport) => {
      let first: Receiver | undefined;
      return {
        ...transport,
        listen: (receiver) => {
          first ??= receiver;
          return transport.listen(first);
        },
      };
    },
  ],
  [
    "gives answers out in the order of the requests",
    "requests under way at the same time",
    (transport) => {
      const waiting: ((result: never) => void)[] = [];
      return {
        ...transport,
        request: (server, name, request, cancel) =>
          new Promise((resolve, reject) => {
            waiting.push(resolve);
            transport.request(server, name, request, cancel).then((result) => {
              waiting.shift()?.(result as never);
            }, reject);
          }),
      };
    },
  ],
  [
    "does one thing at a time",
    "a server may ask back",
    (() => {
      let busy = false;
      return requests((transport) => async (server, name, request, cancel) => {
        if (busy) return { ok: false, error: { code: "limit_exceeded", reason: "busy" } };
        busy = true;
        try {
          return await transport.request(server, name, request, cancel);
        } finally {
          busy = false;
        }
      });
    })(),
  ],
  [
    "rejects when it is cancelled",
    "a cancelled request ends with",
    requests((transport) => async (server, name, request, cancel) => {
      const result = await transport.request(server, name, request, cancel);
      if (!result.ok && result.error.code === "cancelled") throw new Error("AbortError");
      return result;
    }),
  ],
  [
    "calls a cancellation a timeout",
    "a cancelled request ends with",
    requests((transport) => async (server, name, request, cancel) => {
      const result = await transport.request(server, name, request, cancel);
      if (result.ok || result.error.code !== "cancelled") return result;
      return { ok: false, error: { code: "timeout", reason: "took too long" } };
    }),
  ],
  [
    "leaves its listener on the Cancel",
    "no longer listens for its cancellation",
    requests((transport) => (server, name, request, cancel) => {
      cancel?.onAbort(() => undefined);
      return transport.request(server, name, request, cancel);
    }),
  ],
  [
    "refuses what is large",
    "a large request and a large answer",
    requests((transport) => async (server, name, request, cancel) => {
      const result = await transport.request(server, name, request, cancel);
      if (JSON.stringify(result).length < 1_000_000) return result;
      return { ok: false, error: { code: "too_large", reason: "more than a megabyte" } };
    }),
  ],
  [
    "hands over the very objects",
    "neither side can change what the other holds",
    (() => {
      const receivers = new Map<string, Receiver>();
      return (transport: Transport, server: string): Transport => ({
        listen: (receiver) => {
          receivers.set(server, receiver);
          return transport.listen(receiver);
        },
        request: async (destination, name, request, cancel) => {
          await turn();
          const receiver = receivers.get(destination);
          if (receiver === undefined) return await transport.request(destination, name, request, cancel);
          return await receiver(server, name, request, cancel);
        },
      });
    })(),
  ],
  [
    "rounds the numbers of old room versions",
    "the numbers of room versions 1 to 5",
    requests((transport) => (server, name, request, cancel) => {
      return transport.request(server, name, rounded(request), cancel);
    }),
  ],
];

suiteNotices(
  "the suite of transports",
  (wire: Wire) => transportSuite({ create: () => memoryServers(wire) }),
  brokenTransports,
);

/** The platform's verdict, without the screen that makes it libsodium's. */
function platformVerdict(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const x = Buffer.from(key).toString("base64url");
  const published = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return platformVerify(null, message, published, signature);
}

const brokenKeys: readonly Broken<(keys: Keys) => Keys>[] = [
  [
    "signs by a key that it does not publish",
    "what is signed verifies",
    (keys) => ({
      ...keys,
      lookup: async (asked) => {
        const found = await keys.lookup(asked);
        return found.map((key) => key && { ...key, key: createSeededRandom(1).bytes(32) });
      },
    }),
  ],
  [
    "does not know its own key",
    "what is signed verifies",
    (keys) => ({ ...keys, lookup: (asked) => asked.map(() => undefined) }),
  ],
  [
    "writes every signature into one buffer",
    "signatures are of the message that was given",
    (keys) => {
      const buffer = new Uint8Array(64);
      return {
        ...keys,
        sign: async (message) => {
          const { keyId, signature } = await keys.sign(message);
          buffer.set(signature);
          return { keyId, signature: buffer };
        },
      };
    },
  ],
  [
    "has a policy key listed and does not sign by it",
    "what is signed as a policy server",
    (keys) => {
      const rest: Keys = { ...keys };
      delete rest.signPolicy;
      return rest;
    },
  ],
  [
    "signs as a policy server by another key than rooms list",
    "what is signed as a policy server",
    (keys) => ({ ...keys, signPolicy: (message) => sign(message, createSeededRandom("other").bytes(32)) }),
  ],
  [
    "gives policy signatures as text",
    "what is signed as a policy server",
    (keys) => ({
      ...keys,
      signPolicy: async (message) => Buffer.from(Buffer.from((await keys.signPolicy?.(message)) ?? []).toString("hex")),
    }),
  ],
  [
    "writes every policy signature into one buffer",
    "what is signed as a policy server",
    (keys) => {
      const buffer = new Uint8Array(64);
      return {
        ...keys,
        signPolicy: async (message) => {
          buffer.set((await keys.signPolicy?.(message)) ?? []);
          return buffer;
        },
      };
    },
  ],
  [
    "signs as a policy server by the key of its events",
    "a policy server's key is none that is published",
    (keys) => ({ ...keys, signPolicy: async (message) => (await keys.sign(message)).signature }),
  ],
  [
    "publishes its policy key",
    "a policy server's key is none that is published",
    (keys) => {
      const seed = createSeededRandom("published").bytes(32);
      const published = { key: publicKeyFromSeed(seed) };
      return {
        ...keys,
        signPolicy: (message) => sign(message, seed),
        lookup: async (asked) => {
          const found = await keys.lookup(asked);
          return asked.map(({ keyId }, at) => (keyId === "ed25519:policy_server" ? published : found[at]));
        },
      };
    },
  ],
  [
    "leaves out keys that cannot be had",
    "keys are looked up in the order",
    (keys) => ({ ...keys, lookup: async (asked) => (await keys.lookup(asked)).filter((key) => key !== undefined) }),
  ],
  [
    "has the platform's verdicts",
    "as libsodium has it",
    (keys) => ({
      ...keys,
      verify: (asked) => asked.map(({ key, message, signature }) => platformVerdict(key, message, signature)),
    }),
  ],
  [
    "answers a batch in the order in which its workers end",
    "verdicts stand in the order",
    (keys) => ({ ...keys, verify: async (asked) => [...(await keys.verify(asked))].reverse() }),
  ],
  [
    "answers repeated requests once",
    "verdicts stand in the order",
    (keys) => ({ ...keys, verify: (asked) => keys.verify([...new Set(asked)]) }),
  ],
  [
    "throws at keys of a wrong length",
    "bytes of a wrong length",
    (keys) => ({
      ...keys,
      verify: (asked) => {
        for (const { key } of asked) if (key.length !== 32) throw new RangeError("a key is 32 bytes long");
        return keys.verify(asked);
      },
    }),
  ],
  [
    "takes the memory of a message for the message",
    "parts of larger memory",
    (keys) => ({
      ...keys,
      verify: (asked) => keys.verify(asked.map((one) => ({ ...one, message: new Uint8Array(one.message.buffer) }))),
    }),
  ],
  [
    "clears what it has verified",
    "bytes that are given stay",
    (keys) => ({
      ...keys,
      verify: async (asked) => {
        const verdicts = await keys.verify(asked);
        for (const { signature } of asked) signature.fill(0);
        return verdicts;
      },
    }),
  ],
  [
    "clears what it has signed as a policy server",
    "bytes that are given stay",
    (keys) => ({
      ...keys,
      signPolicy: async (message) => {
        const signature = await keys.signPolicy?.(message);
        message.fill(0);
        return signature ?? new Uint8Array(64);
      },
    }),
  ],
];

/** One that rooms list no key for: its signatures can still be seen to be too few. */
suiteNotices(
  "the suite of keys, not told the policy key,",
  (signPolicy: NonNullable<Keys["signPolicy"]>) =>
    keysSuite({
      create: () => ({
        keys: { ...createMemoryKeys(testKeyOf("one.example"), createKeyDirectory()), signPolicy },
        server: "one.example",
      }),
    }).filter(({ name }) => name.includes("what is signed as a policy server")),
  [
    ["signs with 32 bytes", "what is signed as a policy server", (message: Uint8Array) => sha256(message)],
    ["signs everything alike", "what is signed as a policy server", () => new Uint8Array(64)],
  ],
);

suiteNotices("the suite of keys", (wrap: (keys: Keys) => Keys) => keysSuite(memoryKeys(wrap)), brokenKeys);

const brokenClocks: readonly Broken<(clock: Clock) => Clock>[] = [
  ["has fractions of milliseconds", "whole milliseconds", (clock) => ({ ...clock, now: () => clock.now() + 0.25 })],
  [
    "counts in seconds",
    "ends after its time",
    (clock) => ({ ...clock, sleep: (ms, cancel) => clock.sleep(ms * 1000, cancel) }),
  ],
  ["ends a sleep at once", "ends after its time", (clock) => ({ ...clock, sleep: turn })],
  [
    "ends all sleeps when the last one ends",
    "end in the order of their ends",
    (clock) => ({ ...clock, sleep: (_, cancel) => clock.sleep(90, cancel) }),
  ],
  [
    "does not end a sleep of no time",
    "a sleep of no time",
    (clock) => ({ ...clock, sleep: (ms, cancel) => clock.sleep(Math.max(1, ms), cancel) }),
  ],
  [
    "rejects when it is cancelled",
    "a cancelled sleep ends at once",
    (clock) => ({
      ...clock,
      sleep: async (ms, cancel) => {
        await clock.sleep(ms, cancel);
        if (cancel?.aborted === true) throw new Error("AbortError");
      },
    }),
  ],
  [
    "sleeps on when it is cancelled",
    "a cancelled sleep ends at once",
    (clock) => ({ ...clock, sleep: (ms) => clock.sleep(ms) }),
  ],
  [
    "ends every sleep when one is cancelled",
    "a cancelled sleep ends at once",
    (clock) => {
      const ends: (() => void)[] = [];
      return {
        ...clock,
        sleep: (ms, cancel) =>
          new Promise((resolve) => {
            ends.push(resolve);
            clock.sleep(ms).then(resolve, resolve);
            cancel?.onAbort(() => {
              for (const end of ends) end();
            });
          }),
      };
    },
  ],
  [
    "misses a cancellation that came before",
    "cancelled before it begins",
    (clock) => ({
      ...clock,
      sleep: (ms, cancel) => (cancel?.aborted === true ? clock.sleep(ms) : clock.sleep(ms, cancel)),
    }),
  ],
  [
    "leaves its listener on the Cancel",
    "no longer listens for its cancellation",
    (clock) => ({
      ...clock,
      sleep: (ms, cancel) => {
        cancel?.onAbort(() => undefined);
        return clock.sleep(ms, cancel);
      },
    }),
  ],
];

suiteNotices(
  "the suite of clocks",
  (wrap: (clock: Clock) => Clock) => clockSuite({ create: () => manualClock(wrap) }),
  brokenClocks,
);

const good = createSeededRandom("good");

const brokenRandoms: readonly Broken<() => Random>[] = [
  [
    "gives no more than the platform does in one call",
    "as many bytes as were asked for",
    () => ({ bytes: (length) => good.bytes(Math.min(length, 65_536)) }),
  ],
  [
    "throws at large numbers of bytes",
    "as many bytes as were asked for",
    () => ({ bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }),
  ],
  [
    "reuses its buffer",
    "an array of its own",
    () => {
      const pool = new Uint8Array(1 << 20);
      return {
        bytes: (length) => {
          const part = pool.subarray(0, length);
          part.set(good.bytes(length));
          return part;
        },
      };
    },
  ],
  [
    "begins again with each call",
    "nothing comes twice",
    () => ({ bytes: (length) => createSeededRandom("same").bytes(length) }),
  ],
  [
    "has a short period",
    "long draws do not repeat",
    () => {
      const period = good.bytes(4096);
      let at = 0;
      return { bytes: (length) => Uint8Array.from({ length }, () => period[at++ % 4096]!) };
    },
  ],
  [
    "never gives a zero",
    "about equally often",
    () => ({ bytes: (length) => good.bytes(length).map((byte) => (byte === 0 ? 1 : byte)) }),
  ],
  [
    "leaves the highest bit unset",
    "about equally often",
    () => ({ bytes: (length) => good.bytes(length).map((byte) => byte & 0x7f) }),
  ],
];

suiteNotices("the suite of randomness", (create: () => Random) => randomSuite({ create }), brokenRandoms);

const refusal: PolicyRefusal = { code: "blocked", reason: "no" };

const brokenPolicies: readonly Broken<(policy: Policy) => Policy>[] = [
  ["lets blocked users join", "what it has to refuse", (policy) => ({ ...policy, checkJoin: () => undefined })],
  [
    "has no hook for events",
    "what it has to refuse",
    (policy) => {
      const rest: Policy = { ...policy };
      delete rest.checkEvent;
      return rest;
    },
  ],
  [
    "recommends what blocked users write",
    "what it has to refuse",
    (policy) => ({ ...policy, checkRecommendation: () => undefined }),
  ],
  [
    "recommends nothing of another server's",
    "what it must let through",
    (policy) => ({
      ...policy,
      checkRecommendation: ({ event, origin }) => (event.sender.endsWith(`:${origin}`) ? undefined : refusal),
    }),
  ],
  [
    "tells who wants a recommendation to ask later",
    "`undefined`, or a code in lower case",
    (policy) => ({
      ...policy,
      checkRecommendation: () => ({ ...refusal, as: "limit_exceeded", retryAfterMs: 1000 }) as never,
    }),
  ],
  ["refuses everybody", "what it must let through", () => ({ checkInvite: () => refusal })],
  [
    "takes a server's name for its end",
    "what it must let through",
    (policy) => ({ ...policy, checkServer: (server) => (server.endsWith("bad.example") ? refusal : undefined) }),
  ],
  [
    "answers `false` for no refusal",
    "`undefined`, or a code in lower case",
    (policy) => ({ ...policy, checkServer: () => false as never }),
  ],
  [
    "gives no reason",
    "`undefined`, or a code in lower case",
    (policy) => ({ ...policy, checkServer: () => ({ code: "blocked", reason: "" }) }),
  ],
  [
    "throws at content that it does not expect",
    "`undefined`, or a code in lower case",
    (policy) => ({
      ...policy,
      checkEvent: ({ event }) => ((event.content["body"] as string).includes("spam") ? refusal : undefined),
    }),
  ],
  [
    "marks what it has seen",
    "what it is asked about stays",
    (policy) => ({
      ...policy,
      checkEvent: (attempt) => {
        (attempt.event.content as Record<string, unknown>)["seen"] = true;
        return policy.checkEvent?.(attempt);
      },
    }),
  ],
  [
    "mixes up questions that are asked at once",
    "many questions at once",
    (policy) => {
      let last: PolicyRefusal | LimitExceeded | undefined;
      return {
        ...policy,
        checkJoin: async (attempt) => {
          last = await policy.checkJoin?.(attempt);
          await turn();
          await turn();
          return last;
        },
      };
    },
  ],
];

suiteNotices(
  "the suite of policies",
  (wrap: (policy: Policy) => Policy) => policySuite(listPolicy(wrap)),
  brokenPolicies,
);

const brokenIdentities: readonly Broken<(identity: Identity) => Identity>[] = [
  ["knows nobody", "who is known is found", () => ({ resolve: () => undefined })],
  [
    "answers with a localpart",
    "who is known is found",
    (identity) => ({ resolve: async (asked) => (await identity.resolve(asked))?.slice(1) }),
  ],
  [
    "looks people up in a plain object",
    "who is not known is `undefined`",
    (identity) => {
      const book: Record<string, string> = {};
      return { resolve: async (asked) => (await identity.resolve(asked)) ?? book[asked.address] };
    },
  ],
  [
    "throws at an empty address",
    "who is not known is `undefined`",
    (identity) => ({
      resolve: (asked) => {
        if (asked.address === "") throw new Error("no address");
        return identity.resolve(asked);
      },
    }),
  ],
  [
    "does not look at the medium",
    "a medium and an address belong together",
    (identity) => ({
      resolve: async ({ address }) =>
        (await identity.resolve({ medium: "msisdn", address })) ??
        (await identity.resolve({ medium: "email", address })),
    }),
  ],
  [
    "writes medium and address one after the other",
    "a medium and an address belong together",
    (identity) => ({
      resolve: async (asked) => {
        const text = asked.medium + asked.address;
        for (const medium of ["email", "msisdn", "handle"]) {
          if (text.startsWith(medium)) return await identity.resolve({ medium, address: text.slice(medium.length) });
        }
        return undefined;
      },
    }),
  ],
  [
    "mixes up questions that are asked at once",
    "many questions at once",
    (identity) => {
      let last: string | undefined;
      return {
        resolve: async (asked) => {
          last = await identity.resolve(asked);
          await turn();
          return last;
        },
      };
    },
  ],
];

suiteNotices(
  "the suite of identity resolvers",
  (wrap: (identity: Identity) => Identity) => identitySuite(listIdentity(wrap)),
  brokenIdentities,
);

const brokenObservers: readonly Broken<() => Observer>[] = [
  [
    "expects every fault to be an Error",
    "takes every kind",
    () => ({
      onFault: ({ error }) => {
        if (!(error as Error).message.includes("x")) throw new Error("another fault");
      },
    }),
  ],
  [
    "knows no receipts without an event",
    "takes every kind",
    () => ({
      onReceipt: ({ verdict }) => {
        if (!("eventId" in verdict)) throw new Error("no event id");
      },
    }),
  ],
  [
    "has no meter for completions that failed",
    "takes every kind",
    () => ({
      onMetric: ({ name }) => {
        if (name === "room.completion.failed") throw new Error("an unknown metric");
      },
    }),
  ],
  ["is asynchronous", "it answers nothing", () => ({ onReceipt: (): unknown => turn() })],
  [
    "sorts what it is told",
    "what it is told stays",
    () => ({
      onStateChange: ({ differences }) => {
        (differences as StateDifference[]).sort((a, b) => (a.type < b.type ? -1 : 1));
      },
    }),
  ],
  [
    "adds to what it is told",
    "what it is told stays",
    () => ({ onMetric: (metric) => void Object.assign(metric, { at: 7 }) }),
  ],
  [
    "is full at some time",
    "keeps up with very many",
    () => {
      const seen = new Uint8Array(4096);
      let count = 0;
      return {
        onMetric: () => {
          if (count === seen.length) throw new RangeError("full");
          seen[count++] = 1;
        },
      };
    },
  ],
];

suiteNotices("the suite of observers", (create: () => Observer) => observerSuite({ create }), brokenObservers);
