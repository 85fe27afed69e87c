/** The promises of the store of a key ring. */
import type { KeyStore, StoredKeys } from "../../federation/keys/store.js";
import type { Awaitable } from "../../ports/cancel.js";
import { deepFreeze, expectEqual, portCheck } from "./check.js";
import type { PortCheck } from "./check.js";
import { awkwardJson } from "./storage-rows.js";

/** How the checks get at stores. */
export interface KeyStoreHost {
  /** An empty store, another one each time. */
  readonly create: () => Awaitable<KeyStore>;
  /** A second handle on the data of a store, as a process has it that starts again. Without it, that is not checked. */
  readonly reopen?: (store: KeyStore) => Awaitable<KeyStore>;
}

const THEN = 1_700_000_000_000;

function rowOf(server: string, more: Partial<StoredKeys> = {}): StoredKeys {
  const key = { keyId: `ed25519:${server.length}`, key: "A".repeat(43), from: "server" } as const;
  return deepFreeze({
    server,
    validUntilTs: THEN,
    keys: [{ ...key, validUntilTs: THEN, fetchedTs: THEN - 5 }],
    ...more,
  });
}

/** Everything that a row can hold, and what servers may add to an answer. */
const fullRow = rowOf("x.example", {
  keys: [
    { keyId: "ed25519:a_1", key: "+/".repeat(21) + "8", from: "notary", validUntilTs: THEN, fetchedTs: THEN },
    { keyId: "ed25519:old", key: "A".repeat(43), from: "server", expiredTs: 0, fetchedTs: THEN },
  ],
  answer: { json: { server_name: "x.example", ...awkwardJson }, validUntilTs: 2 ** 53 - 1, fetchedTs: THEN },
});

/** Names that are different, although some databases or file systems do not think so. */
const names = [
  "x.example",
  "X.EXAMPLE",
  "x.example:8448",
  "x.example:84480",
  "[::1]",
  "[::1]:8448",
  "1.2.3.4",
  "xxexample",
  "constructor",
];

/** The checks of a key ring's store; each makes one of its own. */
export function keyStoreSuite({ create, reopen }: KeyStoreHost): readonly PortCheck[] {
  const check = (name: string, body: (store: KeyStore) => Promise<void>): PortCheck =>
    portCheck(name, async () => body(await create()));

  const checks = [
    check("of a server that was never stored there is nothing", async (store) => {
      for (const server of names) expectEqual(await store.get(server), undefined, `what is stored of ${server}`);
    }),
    check("what is known of a server comes back as it was", async (store) => {
      await store.put(fullRow);
      expectEqual(await store.get("x.example"), fullRow, "what was stored");
      expectEqual(await store.get("x.example"), fullRow, "what was stored, read again");
    }),
    check("what is stored later takes the place of all that was there", async (store) => {
      await store.put(fullRow);
      const later = rowOf("x.example", { validUntilTs: 0, keys: [] });
      await store.put(later);
      expectEqual(await store.get("x.example"), later, "what was stored last");
    }),
    check("each server has its own, and names are compared byte for byte", async (store) => {
      const rows = names.map((server, at) => rowOf(server, { validUntilTs: THEN + at }));
      for (const row of rows) await store.put(row);
      for (const row of rows) expectEqual(await store.get(row.server), row, `what is stored of ${row.server}`);
      for (const server of ["x.example ", "y.example", "x_example", "%", "__proto__", ""]) {
        expectEqual(await store.get(server), undefined, `what is stored of \`${server}\``);
      }
    }),
    check("many calls at once do not mix", async (store) => {
      const servers = Array.from({ length: 100 }, (_, at) => `s${at}.example`);
      await Promise.all(servers.map(async (server) => store.put(rowOf(server))));
      const found = await Promise.all(servers.map(async (server) => store.get(server)));
      expectEqual(
        found,
        servers.map((server) => rowOf(server)),
        "what is stored of a hundred servers",
      );
    }),
  ];
  if (reopen === undefined) return checks;
  return [
    ...checks,
    check("a reopened store has all that was stored", async (store) => {
      await store.put(fullRow);
      const again = await reopen(store);
      expectEqual(await again.get("x.example"), fullRow, "what was stored before");
    }),
  ];
}
