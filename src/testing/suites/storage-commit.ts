/** A commit writes everything or nothing, and only on the revision that it was based on. */
import type { Batch, CommitResult, Storage } from "../../ports/storage.js";
import { deepFreeze, expectEqual, expectSameSet, expectTrue, show, unkept, writable } from "./check.js";
import {
  batch,
  contents,
  entry,
  event,
  fullBatch,
  group,
  idsOf,
  intent,
  membership,
  OTHER_ROOM,
  pending,
  ROOM,
  record,
  rejected,
  softFailed,
  waiting,
} from "./storage-rows.js";

/** A check by its name, of a storage that is empty. */
export type StorageCheck = readonly [name: string, body: (storage: Storage) => Promise<void>];

/** Commits something that has to succeed for the check to mean anything. */
export async function commit(storage: Storage, wanted: Batch): Promise<void> {
  const result = await storage.commit(wanted);
  if (!result.committed) unkept(`a commit on the room's revision was refused: ${show(result)}`);
}

function expectRefused(result: CommitResult, revision: number | undefined, what: string): void {
  expectEqual(result, { committed: false, revision }, what);
}

export const commitChecks: readonly StorageCheck[] = [
  [
    "a commit on an older or a later revision is refused and writes nothing at all",
    async (storage) => {
      await commit(storage, fullBatch(undefined, "a"));
      await commit(storage, fullBatch(1, "b"));
      const before = await contents(storage, ["a", "b", "x"]);
      for (const expected of [1, 3, 0]) {
        // Its rows replace and remove ones that are there, and add others.
        const stale = fullBatch(expected, "x", {
          record: record(9),
          events: [event("a", { position: 7, verdict: rejected }), event("x", { position: 8 })],
          groups: [group(1, undefined, { delta: [] }), group(7, undefined)],
          pending: { put: [pending("x-pending")], remove: ["$a-pending", "$b-pending"] },
          waiting: [waiting("a-waited", []), waiting("x-waited", ["$x"])],
          outside: {
            put: [membership("@x:one.example")],
            remove: [{ roomId: ROOM, userId: "@a:one.example" }],
          },
          intents: { put: [intent("x")], remove: ["a", "b"] },
        });
        expectRefused(await storage.commit(stale), 2, `a commit based on revision ${expected} of a room at 2`);
        expectEqual(await contents(storage, ["a", "b", "x"]), before, "the storage after the refused commit");
      }
      await commit(storage, fullBatch(2, "c"));
    },
  ],
  [
    "a room that exists is not created again",
    async (storage) => {
      await commit(storage, fullBatch(undefined, "a"));
      const before = await contents(storage, ["a", "x"]);
      expectRefused(await storage.commit(fullBatch(undefined, "x")), 1, "a second creation");
      expectEqual(await contents(storage, ["a", "x"]), before, "the storage after the refused creation");
    },
  ],
  [
    "a commit to a room that does not exist is refused and makes no room",
    async (storage) => {
      expectRefused(await storage.commit(fullBatch(3, "x")), undefined, "a commit to a room that is not there");
      expectEqual(await storage.roomIds(), [], "roomIds");
      expectEqual(await storage.openRoom(ROOM), undefined, "openRoom");
      expectEqual(await storage.outboxDestinations(), [], "outboxDestinations");
      expectEqual(await storage.readIntents(), [], "readIntents");
      expectEqual(await storage.readOutside(), [], "readOutside");
      await commit(storage, fullBatch(undefined, "a"));
    },
  ],
  [
    "of writers that race on one revision, exactly one wins and only its rows are there",
    async (storage) => {
      await commit(storage, batch(undefined));
      const marks = Array.from({ length: 12 }, (_, at) => `w${at}`);
      const results = await Promise.all(marks.map(async (mark) => await storage.commit(fullBatch(1, mark))));
      const winners = marks.filter((_, at) => results[at]?.committed === true);
      if (winners.length !== 1) unkept(`${winners.length} of 12 writers on the same revision were told that they won`);
      const [winner = ""] = winners;
      for (const result of results) if (!result.committed) expectRefused(result, 2, "a writer that lost");
      const events = await storage.readEvents(
        ROOM,
        marks.map((mark) => `$${mark}`),
      );
      expectEqual(idsOf(events), [`$${winner}`], "events of the racing writers");
      expectEqual(idsOf(await storage.readOutbox("two.example", 100)), [`$${winner}`], "outbox after the race");
      expectEqual(
        (await storage.readIntents()).map(({ id }) => id),
        [winner],
        "intents after the race",
      );
    },
  ],
  [
    "of writers that race to create a room, exactly one wins",
    async (storage) => {
      const results = await Promise.all(
        ["a", "b", "c"].map(async (mark) => await storage.commit(fullBatch(undefined, mark))),
      );
      expectEqual(results.filter(({ committed }) => committed).length, 1, "writers that created the room");
      expectEqual((await storage.readOutbox("two.example", 100)).length, 1, "outbox rows of the winner");
      expectEqual(await storage.roomIds(), [ROOM], "roomIds");
    },
  ],
  [
    "writers that try again lose no commit of another",
    async (storage) => {
      await commit(storage, batch(undefined));
      const writer = async (name: number): Promise<void> => {
        let expected = 1;
        for (let turn = 0; turn < 8;) {
          const result = await storage.commit(batch(expected, { events: [event(`${name}-${turn}`)] }));
          if (result.committed) {
            turn++;
            expected++;
          } else expected = result.revision ?? unkept("a lost race does not say which revision the room is at");
        }
      };
      await Promise.all([0, 1, 2, 3, 4].map(writer));
      const changes = await storage.changesSince(ROOM, 1);
      expectEqual(changes?.record.revision, 41, "revision after 40 commits on 1");
      expectEqual(changes?.events.length, 40, "events of 40 commits");
    },
  ],
  [
    "who reads while a commit is under way sees all of it or nothing",
    async (storage) => {
      await commit(storage, batch(undefined));
      for (let revision = 1; revision < 20; revision++) {
        const next = batch(revision, {
          events: Array.from({ length: 20 }, (_, at) => event(`${revision}-${at}`)),
          pending: { put: [pending(`${revision}`)], remove: [] },
        });
        const reads = [storage.changesSince(ROOM, revision)];
        const done = storage.commit(next);
        reads.push(storage.changesSince(ROOM, revision), storage.changesSince(ROOM, revision));
        for (const read of reads) {
          const seen = (await read) ?? unkept("a room vanished while a commit was under way");
          const whole = seen.record.revision === revision + 1;
          expectEqual(seen.events.length, whole ? 20 : 0, `events seen at revision ${seen.record.revision}`);
          expectEqual(seen.pending.length, whole ? revision : revision - 1, "pending events seen");
        }
        await done;
      }
    },
  ],
  [
    "rooms know nothing of each other",
    async (storage) => {
      await commit(storage, fullBatch(undefined, "a"));
      const before = await contents(storage, ["a", "x"]);
      expectEqual(await storage.readEvents(OTHER_ROOM, ["$a"]), [], "an event asked of another room");
      const put = fullBatch(undefined, "x", {
        roomId: OTHER_ROOM,
        record: record(1, { roomId: OTHER_ROOM }),
        events: [event("a", { verdict: softFailed })],
        groups: [group(1, undefined, { delta: [] })],
        pending: { put: [], remove: ["$a-pending"] },
        waiting: [waiting("a-waited", [])],
        outbox: [],
        outside: { put: [], remove: [] },
        intents: { put: [], remove: [] },
      });
      await commit(storage, put);
      expectSameSet(await storage.roomIds(), [ROOM, OTHER_ROOM], "roomIds");
      expectEqual(await storage.readEvents(OTHER_ROOM, ["$a", "$a-old"]), [...put.events], "events of the other room");
      expectEqual(await storage.readStateGroups(OTHER_ROOM, [1]), [...put.groups], "groups of the other room");
      expectEqual((await storage.openRoom(OTHER_ROOM))?.pending, [], "pending events of the other room");
      await commit(storage, batch(1, { roomId: OTHER_ROOM }));
      const expected = before as { readonly rooms: readonly string[] };
      expectEqual(
        await contents(storage, ["a", "x"]),
        { ...expected, rooms: [ROOM, OTHER_ROOM].sort() },
        "the first room after commits to the second",
      );
    },
  ],
  [
    "what is given stays the caller's: frozen rows are taken, nothing is frozen or changed",
    async (storage) => {
      await commit(storage, deepFreeze(fullBatch(undefined, "a")));
      const given = fullBatch(1, "b");
      await commit(storage, given);
      expectEqual(given, fullBatch(1, "b"), "a batch after it was committed");
      const frozen = [given, given.events, given.events[0], given.pending.put[0], given.record].some(Object.isFrozen);
      expectTrue(!frozen, "a commit froze what it was given");
    },
  ],
  [
    "lists that the caller keeps or gets are not the storage's own",
    async (storage) => {
      const given = fullBatch(undefined, "a");
      await commit(storage, given);
      const before = await contents(storage, ["a"]);
      for (const list of [
        given.events,
        given.groups,
        given.pending.put,
        given.waiting,
        given.outbox,
        given.outside.put,
        given.intents.put,
      ]) {
        writable<unknown>(list).length = 0;
      }
      expectEqual(await contents(storage, ["a"]), before, "the storage after the caller emptied its own lists");
      const opened = await storage.openRoom(ROOM);
      const changes = await storage.changesSince(ROOM, 0);
      const lists: readonly (readonly unknown[] | undefined)[] = [
        await storage.roomIds(),
        opened?.pending,
        opened?.waiting,
        changes?.events,
        await storage.readEvents(ROOM, ["$a"]),
        await storage.readTimeline(ROOM, { from: 0, direction: "forwards", limit: 10 }),
        await storage.readStateGroups(ROOM, [1]),
        await storage.outboxDestinations(),
        await storage.readOutbox("two.example", 10),
        await storage.readOutside(),
        await storage.readOutside("@a:one.example"),
        await storage.readIntents(),
      ];
      for (const list of lists) if (list !== undefined && !Object.isFrozen(list)) writable(list).length = 0;
      expectEqual(await contents(storage, ["a"]), before, "the storage after the caller emptied the lists that it got");
    },
  ],
  [
    "a commit of 20,000 events is one commit",
    async (storage) => {
      await commit(storage, batch(undefined));
      const events = Array.from({ length: 20_000 }, (_, at) => event(`m${at}`, { position: at + 1 }));
      await commit(storage, batch(1, { events, outbox: [entry("two.example", "$m19999")] }));
      const ids = events.map(({ eventId }) => eventId);
      expectEqual(new Set(idsOf(await storage.readEvents(ROOM, ids))).size, 20_000, "events read back by id");
      const changes = await storage.changesSince(ROOM, 1);
      expectEqual(new Set(idsOf(changes?.events ?? [])).size, 20_000, "events since the revision before");
      const end = await storage.readTimeline(ROOM, { from: 20_000, direction: "backwards", limit: 3 });
      expectEqual(idsOf(end), ["$m19999", "$m19998", "$m19997"], "the end of the timeline");
      const whole = await storage.readTimeline(ROOM, { from: 1, direction: "forwards", limit: 30_000 });
      expectEqual(idsOf(whole), ids, "the whole timeline");
    },
  ],
];
