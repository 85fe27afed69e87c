/** The promises of a storage. */
import type { Awaitable } from "../../ports/cancel.js";
import type { Storage } from "../../ports/storage.js";
import { expectEqual, expectTrue, portCheck } from "./check.js";
import type { PortCheck } from "./check.js";
import { commit, commitChecks } from "./storage-commit.js";
import { queueChecks } from "./storage-queues.js";
import { readChecks } from "./storage-reads.js";
import { batch, contents, entry, fullBatch, idsOf, membership, record, ROOM } from "./storage-rows.js";

/** How the checks get at storages. */
export interface StorageHost {
  /** An empty storage, another one each time. */
  readonly create: () => Awaitable<Storage>;
  /**
   * A second handle on the data of a storage, as a process has it that starts again or beside the first.
   * Without it, nothing is checked about durability.
   */
  readonly reopen?: (storage: Storage) => Awaitable<Storage>;
  /** Gives back what a storage holds. Called once for each, whatever the outcome. */
  readonly close?: (storage: Storage) => Awaitable<void>;
}

/** The checks of a storage; each makes one of its own. */
export function storageSuite(host: StorageHost): readonly PortCheck[] {
  const checks = [...readChecks, ...commitChecks, ...queueChecks].map(([name, body]) =>
    portCheck(name, () => withStorage(host, body)),
  );
  const { reopen } = host;
  return reopen === undefined ? checks : [...checks, ...reopenChecks(host, reopen)];
}

async function withStorage(host: StorageHost, body: (storage: Storage) => Promise<void>): Promise<void> {
  const storage = await host.create();
  try {
    await body(storage);
  } finally {
    await host.close?.(storage);
  }
}

function reopenChecks(host: StorageHost, reopen: (storage: Storage) => Awaitable<Storage>): readonly PortCheck[] {
  const twice = (name: string, body: (first: Storage, again: () => Promise<Storage>) => Promise<void>): PortCheck =>
    portCheck(name, () =>
      withStorage(host, async (first) => {
        const opened: Storage[] = [];
        const again = async (): Promise<Storage> => {
          const storage = await reopen(first);
          if (storage !== first) opened.push(storage);
          return storage;
        };
        try {
          await body(first, again);
        } finally {
          for (const storage of opened) await host.close?.(storage);
        }
      }),
    );

  return [
    twice("a reopened storage has all that was committed", async (first, again) => {
      await commit(first, fullBatch(undefined, "a"));
      await commit(first, fullBatch(1, "b", { pending: { put: [], remove: ["$a-pending"] } }));
      await first.putIntent({ id: "alone", kind: "join", data: {} });
      await first.putOutside(membership("@alone:one.example"));
      await first.recordTransaction({ origin: "two.example", transactionId: "t", answeredAt: 5, answer: {} }, 0);
      const before = await contents(first, ["a", "b"]);
      const second = await again();
      expectEqual(await contents(second, ["a", "b"]), before, "the reopened storage");
      const kept = await second.readTransaction("two.example", "t");
      expectEqual(kept?.answeredAt, 5, "the time of an answer to a transaction");
      expectEqual((await second.commit(batch(1))).committed, false, "a commit on an old revision after reopening");
      await commit(second, batch(2, { record: record(3) }));
    }),
    twice("a reopened storage uses no sequence again", async (first, again) => {
      await commit(first, batch(undefined, { outbox: [entry("two.example", "$1"), entry("two.example", "$2")] }));
      const used = (await first.readOutbox("two.example", 9)).at(-1)?.sequence ?? 0;
      await first.settleOutbox("two.example", used, []);
      const second = await again();
      await commit(second, batch(1, { outbox: [entry("two.example", "$3")] }));
      const rows = await second.readOutbox("two.example", 9);
      expectEqual(idsOf(rows), ["$3"], "the queue after reopening");
      expectTrue((rows[0]?.sequence ?? 0) > used, `sequence ${rows[0]?.sequence ?? "?"} was used before: ${used} was`);
    }),
    twice(
      "two handles see one room: one of two commits wins, and the other learns what changed",
      async (first, again) => {
        await commit(first, batch(undefined));
        const second = await again();
        const results = await Promise.all([first.commit(fullBatch(1, "a")), second.commit(fullBatch(1, "b"))]);
        expectEqual(results.filter(({ committed }) => committed).length, 1, "handles whose commit on one revision won");
        const winner = results[0].committed ? "a" : "b";
        for (const handle of [first, second]) {
          const ids = idsOf((await handle.changesSince(ROOM, 1))?.events ?? []);
          expectEqual([...ids].sort(), [`$${winner}`, `$${winner}-old`], "what changed, as each handle sees it");
        }
        expectEqual(await first.lease("two.example", "first", 1000, 2000), true, "a lease for the first handle");
        expectEqual(await second.lease("two.example", "second", 1500, 2500), false, "the same lease for the second");
      },
    ),
  ];
}
