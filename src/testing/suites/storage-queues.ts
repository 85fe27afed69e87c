/** What is to be sent, what was answered, and what was begun. */
import type { Intent, OutboxRow, Storage, TransactionAnswer } from "../../ports/storage.js";
import { expectEqual, expectSameSet, expectTrue, unkept } from "./check.js";
import { commit } from "./storage-commit.js";
import type { StorageCheck } from "./storage-commit.js";
import {
  awkwardJson,
  batch,
  entry,
  event,
  idsOf,
  intent,
  laxJson,
  membership,
  OTHER_ROOM,
  record,
  ROOM,
} from "./storage-rows.js";

const TWO = "two.example";
const THREE = "three.example";

/** Appends rows to the outbox by way of a commit, which is the only way. */
async function queue(storage: Storage, ...entries: Parameters<typeof entry>[]): Promise<void> {
  const expected = (await storage.openRoom(ROOM))?.record.revision;
  await commit(storage, batch(expected, { outbox: entries.map((each) => entry(...each)) }));
}

function expectAscending(rows: readonly OutboxRow[]): void {
  for (const [at, row] of rows.entries()) {
    const before = rows[at - 1];
    if (!Number.isSafeInteger(row.sequence)) unkept(`a sequence is ${row.sequence}, not an integer`);
    if (before !== undefined && before.sequence >= row.sequence) {
      unkept(`sequence ${row.sequence} comes after ${before.sequence}: they must ascend`);
    }
  }
}

async function all(storage: Storage, destination: string): Promise<readonly OutboxRow[]> {
  return await storage.readOutbox(destination, 1000);
}

async function lastSequence(storage: Storage, destination: string): Promise<number> {
  return (await all(storage, destination)).at(-1)?.sequence ?? unkept(`the queue of ${destination} is empty`);
}

/** The number at the end of a name. */
function place(name: string): number {
  return Number(name.slice(name.indexOf("$") + 1));
}

function answer(transactionId: string, answeredAt: number, origin: string = TWO): TransactionAnswer {
  return { origin, transactionId, answeredAt, answer: { pdus: { $a: {}, $b: { error: transactionId } } } };
}

export const queueChecks: readonly StorageCheck[] = [
  [
    "rows to be sent stand in the order of their commits, with ascending sequences",
    async (storage) => {
      await queue(storage, [TWO, "$1"], [THREE, "$1"], [TWO, "$2"]);
      await queue(storage, [TWO], [TWO, "$1", OTHER_ROOM]);
      await queue(storage, [TWO, "$3"]);
      const rows = await all(storage, TWO);
      expectAscending(rows);
      const plain = rows.map(({ sequence: _, ...row }) => row);
      const wanted = [entry(TWO, "$1"), entry(TWO, "$2"), entry(TWO), entry(TWO, "$1", OTHER_ROOM), entry(TWO, "$3")];
      expectEqual(plain, wanted, `the queue of ${TWO}`);
      expectEqual(idsOf(await all(storage, THREE)), ["$1"], `the queue of ${THREE}`);
      expectEqual(await all(storage, "four.example"), [], "a queue that nobody wrote to");
      expectSameSet(await storage.outboxDestinations(), [TWO, THREE], "outboxDestinations");
      expectEqual(await storage.readOutbox(TWO, 2), rows.slice(0, 2), "the oldest two rows");
    },
  ],
  [
    "a settled queue loses its rows up to a sequence, and no other",
    async (storage) => {
      await queue(storage, [TWO, "$1"], [TWO, "$2"], [TWO, "$3"], [THREE, "$1"], [THREE, "$2"]);
      const [, second] = await all(storage, TWO);
      await storage.settleOutbox(TWO, second?.sequence ?? 0, []);
      expectEqual(idsOf(await all(storage, TWO)), ["$3"], "the rest of the queue");
      expectEqual(idsOf(await all(storage, THREE)), ["$1", "$2"], "the queue of another destination");
      await storage.settleOutbox(TWO, second?.sequence ?? 0, []);
      expectEqual(idsOf(await all(storage, TWO)), ["$3"], "the queue after it was settled again");
      await storage.settleOutbox(TWO, await lastSequence(storage, TWO), []);
      expectEqual(await all(storage, TWO), [], "the queue when all is settled");
      expectEqual(await storage.outboxDestinations(), [THREE], "outboxDestinations");
      await storage.settleOutbox("never.example", 5, []);
      expectEqual(await storage.outboxDestinations(), [THREE], "outboxDestinations");
    },
  ],
  [
    "rows that were committed while others were sent outlive the settling",
    async (storage) => {
      await queue(storage, [TWO, "$1"], [TWO, "$2"]);
      const through = await lastSequence(storage, TWO);
      await queue(storage, [TWO, "$3"]);
      await storage.settleOutbox(TWO, through, []);
      expectEqual(idsOf(await all(storage, TWO)), ["$3"], "rows that were committed after those sent");
    },
  ],
  [
    "a replacement stands behind the rows that stay",
    async (storage) => {
      await queue(storage, [TWO, "$1"], [TWO, "$2"]);
      const through = await lastSequence(storage, TWO);
      await queue(storage, [TWO, "$3"]);
      await storage.settleOutbox(TWO, through, [entry(TWO), entry(TWO, undefined, OTHER_ROOM)]);
      const rows = await all(storage, TWO);
      expectAscending(rows);
      const plain = rows.map(({ sequence: _, ...row }) => row);
      expectEqual(plain, [entry(TWO, "$3"), entry(TWO), entry(TWO, undefined, OTHER_ROOM)], "the queue");
      expectTrue(
        rows.every(({ sequence }) => sequence > through),
        "a replacement got a sequence that was settled with it, so that settling again would lose it",
      );
    },
  ],
  [
    "a sequence is never used twice, not even when a queue was empty in between",
    async (storage) => {
      let highest = -Infinity;
      for (let turn = 0; turn < 5; turn++) {
        await queue(storage, [TWO, `$${turn}`], [THREE, `$${turn}`]);
        const rows = await all(storage, TWO);
        expectTrue(
          rows.every(({ sequence }) => sequence > highest),
          `a row of turn ${turn} has a sequence at or below ${highest}, which was used before`,
        );
        highest = await lastSequence(storage, TWO);
        const replacement = turn % 2 === 0 ? [] : [entry(TWO)];
        await storage.settleOutbox(TWO, highest, replacement);
        for (const { sequence } of await all(storage, TWO)) {
          expectTrue(sequence > highest, "a replacement reuses a sequence");
          highest = sequence;
        }
        await storage.settleOutbox(TWO, highest, []);
      }
    },
  ],
  [
    "a refused commit leaves the queue and its numbers in order",
    async (storage) => {
      await queue(storage, [TWO, "$1"]);
      const result = await storage.commit(batch(7, { outbox: [entry(TWO, "$lost"), entry("new.example", "$lost")] }));
      expectTrue(!result.committed, "a commit on another revision was not refused");
      await queue(storage, [TWO, "$2"]);
      expectEqual(idsOf(await all(storage, TWO)), ["$1", "$2"], "the queue");
      expectAscending(await all(storage, TWO));
      expectEqual(await storage.outboxDestinations(), [TWO], "outboxDestinations");
    },
  ],
  [
    "no row is lost or sent twice while rooms commit and the queue is worked off",
    async (storage) => {
      const rooms = ["!a:one.example", "!b:one.example", "!c:one.example"];
      let writing = rooms.length;
      const write = async (roomId: string): Promise<void> => {
        try {
          for (let at = 0; at < 15; at++) {
            const room = { roomId, record: record(at + 1, { roomId }) };
            await commit(
              storage,
              batch(at === 0 ? undefined : at, { ...room, outbox: [entry(TWO, `$${at}`, roomId)] }),
            );
          }
        } finally {
          writing--;
        }
      };
      const sent: string[] = [];
      const work = async (): Promise<void> => {
        for (let rows: readonly OutboxRow[] = []; writing > 0 || rows.length > 0;) {
          rows = await storage.readOutbox(TWO, 4);
          for (const row of rows) sent.push(`${row.roomId} ${row.eventId ?? ""}`);
          // Sending takes a moment.
          for (let wait = 0; wait < 3; wait++) await Promise.resolve();
          // Settling names the last row that was read: one with a lower number that appears later would be lost.
          if (rows.length > 0) await storage.settleOutbox(TWO, rows.at(-1)?.sequence ?? 0, []);
          await Promise.resolve();
          if (writing === 0) rows = await storage.readOutbox(TWO, 4);
        }
      };
      await Promise.all([...rooms.map(write), work()]);
      const wanted = rooms.flatMap((roomId) => Array.from({ length: 15 }, (_, at) => `${roomId} $${at}`));
      expectEqual([...sent].sort(), wanted.sort(), "rows that were sent");
      for (const roomId of rooms) {
        const ofRoom = sent.filter((each) => each.startsWith(roomId));
        expectEqual(
          ofRoom,
          wanted.filter((each) => each.startsWith(roomId)).sort((a, b) => place(a) - place(b)),
          "the order of a room's rows",
        );
      }
    },
  ],
  [
    "a long queue is worked off in pieces",
    async (storage) => {
      const events = Array.from({ length: 3000 }, (_, at) => `$${at}`);
      await queue(storage, ...events.map((id): [string, string] => [TWO, id]));
      const sent: (string | undefined)[] = [];
      for (let rows = await storage.readOutbox(TWO, 70); rows.length > 0; rows = await storage.readOutbox(TWO, 70)) {
        if (rows.length > 70) unkept(`readOutbox gave ${rows.length} rows where 70 were asked for`);
        sent.push(...idsOf(rows));
        if (sent.length > 3000) unkept("settled rows come back");
        await storage.settleOutbox(TWO, rows.at(-1)?.sequence ?? 0, []);
      }
      expectEqual(sent, events, "all that was sent");
      expectEqual(await storage.outboxDestinations(), [], "outboxDestinations");
    },
  ],
  [
    "a lease is one holder's until it runs out",
    async (storage) => {
      const lease = async (holder: string, now: number, until: number, wanted: boolean, destination = TWO) => {
        const got = await storage.lease(destination, holder, now, until);
        expectEqual(got, wanted, `lease of ${destination} for ${holder} at ${now} until ${until}`);
      };
      await lease("a", 1000, 2000, true);
      await lease("b", 1500, 2500, false);
      await lease("b", 1500, 2500, true, THREE);
      await lease("a", 1500, 2500, true, "four.example");
      await lease("a", 1900, 3000, true);
      // The refused attempt of b gave b nothing, and the renewal counts from now on.
      await lease("b", 2600, 3600, false);
      await lease("b", 3001, 4000, true);
      await lease("a", 3500, 4500, false);
      await lease("b", 3600, 3600, true);
      await lease("a", 3601, 4500, true);
    },
  ],
  [
    "a lease from before the clock was put back has run out",
    async (storage) => {
      const lease = async (holder: string, now: number, until: number, wanted: boolean) => {
        const got = await storage.lease(TWO, holder, now, until);
        expectEqual(got, wanted, `lease for ${holder} at ${now} until ${until}`);
      };
      await lease("a", 90_000, 91_000, true);
      await lease("b", 89_000, 90_000, false);
      await lease("b", 1000, 0, false);
      await lease("b", 1000, 2000, true);
      await lease("a", 1500, 2500, false);
    },
  ],
  [
    "of holders that race for a lease, exactly one gets it",
    async (storage) => {
      const holders = ["a", "b", "c", "d", "e", "f"];
      const got = await Promise.all(holders.map(async (holder) => await storage.lease(TWO, holder, 1000, 2000)));
      expectEqual(got.filter((each) => each).length, 1, "holders that got the lease");
      const again = await Promise.all(holders.map(async (holder) => await storage.lease(TWO, holder, 1500, 2000)));
      expectEqual(again, got, "who has the lease");
    },
  ],
  [
    "the answer to a transaction is kept for its origin and its id",
    async (storage) => {
      await storage.recordTransaction(answer("t1", 1000), 0);
      await storage.recordTransaction(answer("t1", 1001, THREE), 0);
      await storage.recordTransaction(answer("t2", 1002), 0);
      expectEqual(await storage.readTransaction(TWO, "t1"), answer("t1", 1000), "t1 of the first origin");
      expectEqual(await storage.readTransaction(THREE, "t1"), answer("t1", 1001, THREE), "t1 of the second origin");
      expectEqual(await storage.readTransaction(TWO, "t2"), answer("t2", 1002), "t2");
      expectEqual(await storage.readTransaction(THREE, "t2"), undefined, "t2 of the second origin");
      expectEqual(await storage.readTransaction(TWO, "T1"), undefined, "T1, which is not t1");
    },
  ],
  [
    "answers older than what is to be kept are forgotten, and no others",
    async (storage) => {
      // A clock may go back, so the order of recording is not that of time.
      for (const [id, at] of [
        ["c", 3000],
        ["a", 1000],
        ["d", 4000],
        ["b", 2000],
      ] as const) {
        await storage.recordTransaction(answer(id, at), 0);
      }
      await storage.recordTransaction(answer("e", 5000, THREE), 3000);
      const kept: (string | undefined)[] = [];
      for (const id of ["a", "b", "c", "d"]) kept.push((await storage.readTransaction(TWO, id))?.transactionId);
      expectEqual(kept, [undefined, undefined, "c", "d"], "answers kept from 3000 on");
      expectEqual(await storage.readTransaction(THREE, "e"), answer("e", 5000, THREE), "the answer just recorded");
    },
  ],
  [
    "invites and knocks from outside are kept by user and room",
    async (storage) => {
      const [a, b] = ["@a:one.example", "@b:one.example"];
      const knock = membership(a, { roomId: OTHER_ROOM, membership: "knock", state: [] });
      await storage.putOutside(membership(a));
      await storage.putOutside(membership(b));
      await storage.putOutside(knock);
      expectSameSet(await storage.readOutside(), [membership(a), membership(b), knock], "readOutside");
      expectSameSet(await storage.readOutside(a), [membership(a), knock], "readOutside of one user");
      const again = membership(a, { roomVersion: "12", state: [{ type: "m.room.name" }] });
      await storage.putOutside(again);
      expectSameSet(await storage.readOutside(a), [again, knock], "readOutside after a row was replaced");
      await storage.removeOutside(ROOM, a);
      await storage.removeOutside(OTHER_ROOM, b);
      expectSameSet(await storage.readOutside(), [membership(b), knock], "readOutside after a removal");
      const remove = [{ roomId: ROOM, userId: b }];
      await commit(storage, batch(undefined, { outside: { put: [membership("@c:one.example")], remove } }));
      expectSameSet(await storage.readOutside(), [membership("@c:one.example"), knock], "readOutside after a commit");
    },
  ],
  [
    "the JSON of an intent and of an invite comes back with every key, character and number",
    async (storage) => {
      // An intent of an EDU holds what a client wrote, an invite what the server of an old room version did.
      const edu = { edu: { content: awkwardJson, numbers: laxJson } };
      const invite = { event: { content: laxJson }, state: [awkwardJson, laxJson] };
      const [alone, committed] = [intent("i1", { data: edu }), intent("i2", { data: edu })];
      const [first, second] = [membership("@a:one.example", invite), membership("@b:one.example", invite)];
      await storage.putIntent(alone);
      await storage.putOutside(first);
      const intents = { put: [committed], remove: [] };
      await commit(storage, batch(undefined, { intents, outside: { put: [second], remove: [] } }));
      expectSameSet(await storage.readIntents(), [alone, committed], "readIntents");
      expectSameSet(await storage.readOutside(), [first, second], "readOutside");
    },
  ],
  [
    "intents are kept until they are removed, by a call or by a commit",
    async (storage) => {
      await storage.putIntent(intent("i1"));
      await storage.putIntent(intent("i2", { data: { steps: [1, 2] } }));
      await storage.putIntent(intent("i1", { kind: "upgrade" }));
      expectSameSet(
        await storage.readIntents(),
        [intent("i1", { kind: "upgrade" }), intent("i2", { data: { steps: [1, 2] } })],
        "readIntents",
      );
      await storage.removeIntents(["i2"]);
      await storage.removeIntents(["never"]);
      await commit(
        storage,
        batch(undefined, { events: [event("a")], intents: { put: [intent("i3")], remove: ["i1"] } }),
      );
      expectEqual(await storage.readIntents(), [intent("i3")], "readIntents");
    },
  ],
  [
    "the intents of one kind are read without the others, by the kind that each has now",
    async (storage) => {
      const joins = [intent("i1"), intent("upgrade i2")];
      const upgrade = intent("i3", { kind: "upgrade" });
      const edu = intent("i4", { kind: "edu" });
      for (const each of [...joins, upgrade]) await storage.putIntent(each);
      await commit(storage, batch(undefined, { intents: { put: [edu], remove: [] } }));
      const expectKind = async (kind: string, wanted: readonly Intent[]) => {
        expectSameSet(await storage.readIntents(kind), wanted, `readIntents of the kind \`${kind}\``);
      };
      await expectKind("join", joins);
      await expectKind("upgrade", [upgrade]);
      await expectKind("edu", [edu]);
      for (const kind of ["ed", "edus", ""]) await expectKind(kind, []);
      expectSameSet(await storage.readIntents(), [...joins, upgrade, edu], "readIntents of every kind");
      await storage.putIntent({ ...upgrade, kind: "completion" });
      await commit(storage, batch(1, { intents: { put: [{ ...edu, kind: "upgrade" }], remove: ["i1"] } }));
      await expectKind("join", joins.slice(1));
      await expectKind("completion", [{ ...upgrade, kind: "completion" }]);
      await expectKind("upgrade", [{ ...edu, kind: "upgrade" }]);
      await expectKind("edu", []);
    },
  ],
  [
    "intents are removed many at once, and none where none are named",
    async (storage) => {
      const ids = Array.from({ length: 3000 }, (_, at) => `edu ${at}`);
      const rest = ["edu", "other"];
      const put = [...ids, ...rest].map((id) => intent(id, { kind: "edu" }));
      await commit(storage, batch(undefined, { intents: { put, remove: [] } }));
      const left = async (): Promise<readonly string[]> => (await storage.readIntents()).map(({ id }) => id).sort();
      await storage.removeIntents([]);
      expectEqual((await left()).length, put.length, "intents after none were removed");
      await storage.removeIntents(["edu 17", "never", "edu 17", "edu 2999"]);
      const some = ids.filter((id) => id !== "edu 17" && id !== "edu 2999");
      expectEqual(await left(), [...some, ...rest].sort(), "intents after two were removed");
      await storage.removeIntents(ids);
      expectEqual(await left(), rest, "intents after 3,000 were removed");
    },
  ],
];
