/** The promises of a store that knows the messages to devices which were taken. */
import type { ToDeviceStore } from "../../federation/edus/handler.js";
import { defaultEduLimits } from "../../federation/edus/limits.js";
import type { Awaitable } from "../../ports/cancel.js";
import { expectEqual, portCheck, show } from "./check.js";
import type { PortCheck } from "./check.js";

/** How the checks get at stores. */
export interface ToDeviceStoreHost {
  /** An empty store, another one each time. */
  readonly create: () => Awaitable<ToDeviceStore>;
  /** A second handle on the data of a store, as a process has it that starts again. Without it, that is not checked. */
  readonly reopen?: (store: ToDeviceStore) => Awaitable<ToDeviceStore>;
}

const ALICE = "@alice:x.example";

/** Up to 32 code points of the sender's choice. */
const ids = [
  "1",
  "m123",
  "M123",
  "m123 ",
  "m%",
  "m_23",
  "__proto__",
  "constructor",
  "é",
  "e\u0301",
  "a\0b",
  "a",
  "😀".repeat(32),
  "😀".repeat(31),
];

/** The checks of a store of messages to devices; each makes one of its own. */
export function toDeviceStoreSuite({ create, reopen }: ToDeviceStoreHost): readonly PortCheck[] {
  const check = (name: string, body: (store: ToDeviceStore) => Promise<void>): PortCheck =>
    portCheck(name, async () => body(await create()));
  const expectKnown = async (
    store: ToDeviceStore,
    [sender, id]: readonly [string, string],
    wanted: boolean,
  ): Promise<void> => {
    expectEqual(await store.has(sender, id), wanted, `whether the message ${show(id)} of ${sender} was taken`);
  };

  const checks = [
    check("a message that was not taken is not known", async (store) => {
      for (const id of ids) await expectKnown(store, [ALICE, id], false);
      await expectKnown(store, ["__proto__", "constructor"], false);
    }),
    check("a message that was taken is known, however often it comes", async (store) => {
      for (let time = 0; time < 3; time++) {
        await store.add(ALICE, "m1");
        await expectKnown(store, [ALICE, "m1"], true);
        await expectKnown(store, [ALICE, "m1"], true);
      }
    }),
    check("an id is its sender's own", async (store) => {
      await store.add(ALICE, "m1");
      for (const sender of ["@alice:y.example", "@bob:x.example", "@Alice:x.example", `${ALICE}m`, "m1"]) {
        await expectKnown(store, [sender, "m1"], false);
      }
      // The same letters, parted elsewhere.
      await expectKnown(store, [`${ALICE}m`, "1"], false);
      await expectKnown(store, ["m1", ALICE], false);
    }),
    check("ids are compared byte for byte", async (store) => {
      for (const [at, id] of ids.entries()) {
        await store.add(ALICE, id);
        for (const [other, one] of ids.entries()) await expectKnown(store, [ALICE, one], other <= at);
      }
    }),
    check("the messages of one transaction are remembered all, also those that are added at once", async (store) => {
      const many = Array.from({ length: defaultEduLimits.transactionEdus }, (_, at) => `m${at}`);
      await Promise.all(many.map(async (id) => store.add(ALICE, id)));
      for (const id of many) await expectKnown(store, [ALICE, id], true);
    }),
  ];
  if (reopen === undefined) return checks;
  return [
    ...checks,
    check("a reopened store knows what was taken", async (store) => {
      await store.add(ALICE, "m1");
      const again = await reopen(store);
      await expectKnown(again, [ALICE, "m1"], true);
      await expectKnown(again, [ALICE, "m2"], false);
    }),
  ];
}
