import { describe, expect, it } from "vitest";
import { createListDirectory } from "../../src/adapters/memory/index.js";
import { createToDeviceStore } from "../../src/federation/index.js";
import type { KeyStore, StoredKeys, ToDeviceStore } from "../../src/federation/index.js";
import type { Directory } from "../../src/ports/index.js";
import { directorySuite, keyStoreSuite, toDeviceStoreSuite } from "../../src/testing/index.js";
import type { DirectoryHost } from "../../src/testing/index.js";
import { suiteNotices } from "./ports-broken-support.js";
import type { Broken } from "./ports-broken-support.js";
import { failures, listDirectory, textKeyStore } from "./ports-support.js";

const turn = (): Promise<void> => Promise.resolve();

/** Another part than the good one, which it may ask. */
type ChangeDirectory = (good: Directory) => Directory;

const brokenDirectories: readonly Broken<ChangeDirectory>[] = [
  [
    "has no part for aliases that it should know",
    "an alias leads to its room",
    (good) => {
      const rest: Directory = { ...good };
      delete rest.alias;
      return rest;
    },
  ],
  [
    "leads to itself",
    "an alias leads to its room",
    (good) => ({ ...good, alias: async (alias) => (await good.alias?.(alias)) && { roomId: alias } }),
  ],
  [
    "names servers by their addresses",
    "an alias leads to its room",
    (good) => ({
      ...good,
      alias: async (alias) => {
        const target = await good.alias?.(alias);
        return target && { ...target, servers: (target.servers ?? []).map((name) => `https://${name}`) };
      },
    }),
  ],
  ["tells nobody anything", "as plain data", (good) => ({ ...good, profile: () => "withheld" })],
  [
    "tells what was withheld",
    "as plain data",
    (good) => ({
      ...good,
      profile: async (userId) => {
        const profile = await good.profile?.(userId);
        return profile === "withheld" ? { displayname: "Shy" } : profile;
      },
    }),
  ],
  [
    "shows rooms in another order each time",
    "the rooms of a network are listed",
    (good) => {
      let times = 0;
      return {
        ...good,
        publishedRooms: async (network) => {
          const listed = (await good.publishedRooms?.(network)) ?? [];
          return times++ < 5 ? listed : [...listed].reverse();
        },
      };
    },
  ],
  ["lists no rooms", "the rooms of a network are listed", (good) => ({ ...good, publishedRooms: () => [] })],
  [
    "shows the rooms of all networks one after the other",
    "the rooms of a network are listed",
    (good) => ({
      ...good,
      publishedRooms: async (network) => {
        if (network.allNetworks !== true) return (await good.publishedRooms?.(network)) ?? [];
        const each = [await good.publishedRooms?.({}), await good.publishedRooms?.({ instanceId: "irc" })];
        return each.flatMap((listed) => listed ?? []);
      },
    }),
  ],
  [
    "lists the same for every network",
    "what no network is called",
    (good) => ({ ...good, publishedRooms: async () => (await good.publishedRooms?.({})) ?? [] }),
  ],
  [
    "takes all networks for none",
    "what no network is called",
    (good) => ({
      ...good,
      publishedRooms: async ({ allNetworks, ...network }) =>
        allNetworks === true ? [] : ((await good.publishedRooms?.(network)) ?? []),
    }),
  ],
  [
    "answers a token with a localpart",
    "a token stands for the user",
    (good) => ({ ...good, openIdUser: async (token) => (await good.openIdUser?.(token))?.split(":")[0] }),
  ],
  [
    "compares tokens without case",
    "a token is taken as it is written",
    (good) => ({
      ...good,
      openIdUser: async (token) =>
        (await good.openIdUser?.(token)) ?? (token.toLowerCase() === "ab3/+=" ? "@a:one.example:8448" : undefined),
    }),
  ],
  [
    "trims tokens",
    "a token is taken as it is written",
    (good) => ({ ...good, openIdUser: (token) => good.openIdUser?.(token.trim()) }),
  ],
  [
    "compares tokens by pattern",
    "a token is taken as it is written",
    (good) => ({
      ...good,
      openIdUser: (token) => good.openIdUser?.(token.endsWith("%") ? "aB3/+=" : token),
    }),
  ],
  [
    "looks users up in a plain object",
    "what is not known is `undefined`",
    (good) => {
      const localparts: Record<string, string> = {};
      return {
        ...good,
        profile: async (userId) =>
          (await good.profile?.(userId)) ??
          ((localparts[userId.slice(1, userId.indexOf(":"))] as unknown) === undefined ? undefined : {}),
      };
    },
  ],
  [
    "throws at a token that its database cannot hold",
    "what is not known is `undefined`",
    (good) => ({
      ...good,
      openIdUser: (token) => {
        if (token.includes("\0")) throw new Error("invalid byte sequence");
        return good.openIdUser?.(token);
      },
    }),
  ],
  [
    "goes on leading to a room by an alias that was deleted",
    "what is not known is `undefined`",
    (good) => ({
      ...good,
      alias: async (alias) =>
        (await good.alias?.(alias)) ?? (alias.startsWith("#gone") ? { roomId: "!r:x" } : undefined),
    }),
  ],
  [
    "mixes up questions that are asked at once",
    "many questions at once",
    (good) => {
      let last: Awaited<ReturnType<NonNullable<Directory["profile"]>>>;
      return {
        ...good,
        profile: async (userId) => {
          last = await good.profile?.(userId);
          await turn();
          return last;
        },
      };
    },
  ],
  [
    "does not know its version",
    "software has a name",
    (good) => ({ ...good, software: { name: "example", version: "" } }),
  ],
];

suiteNotices(
  "the suite of directories",
  (change: ChangeDirectory) => directorySuite(listDirectory(change)),
  brokenDirectories,
);

describe("the suite of directories, told what no directory should know,", () => {
  const server = "one.example";
  const user = "@a:one.example";
  type Known = Omit<DirectoryHost, "create" | "server" | "unknown">;
  const wrong: readonly (readonly [what: string, known: Known, check: string])[] = [
    ["a name that is null", { profiles: [{ userId: user, profile: { displayname: null } }] }, "as plain data"],
    ["a name that is no text", { profiles: [{ userId: user, profile: { displayname: 7 } }] }, "as plain data"],
    ["an avatar on the web", { profiles: [{ userId: user, profile: { avatar_url: "https://x/y" } }] }, "as plain data"],
    ["a number that cannot travel", { profiles: [{ userId: user, profile: { "a.b": 0.5 } }] }, "as plain data"],
    ["a room without an id", { aliases: [{ alias: "#a:one.example", roomId: "room" }] }, "an alias leads to its room"],
    ["another server's user", { openIdTokens: [{ accessToken: "t", userId: "@a:two.example" }] }, "a token stands"],
    ["a room whose id is none", { published: [{ roomIds: ["#r:x"] }] }, "the rooms of a network are listed"],
  ];

  it.each(wrong)("notices %s", async (_, known, name) => {
    const publishedRooms = (known.published ?? []).flatMap(({ roomIds }) => roomIds.map((roomId) => ({ roomId })));
    const create = (): Directory => createListDirectory({ ...known, publishedRooms });
    const failed = await failures(directorySuite({ ...known, create, server }));
    expect(failed.map((text) => text.includes(name))).toEqual([true]);
  });
});

const wholeRow = (store: KeyStore, change: (row: StoredKeys) => StoredKeys): KeyStore => ({
  ...store,
  put: (row) => store.put(change(row)),
});

const brokenKeyStores: readonly Broken<(store: KeyStore) => KeyStore>[] = [
  [
    "answers `null` for nothing",
    "there is nothing",
    (store) => ({ ...store, get: async (server) => (await store.get(server)) ?? (null as unknown as undefined) }),
  ],
  [
    "keeps the keys and not the answer",
    "comes back as it was",
    (store) => wholeRow(store, ({ answer: _, ...row }) => row),
  ],
  [
    "forgets when a key expired",
    "comes back as it was",
    (store) => wholeRow(store, (row) => ({ ...row, keys: row.keys.map(({ expiredTs: _, ...key }) => key) })),
  ],
  [
    "adds to the keys that were there",
    "takes the place of all",
    (store) => ({
      ...store,
      put: async (row) => {
        const before = await store.get(row.server);
        await store.put({ ...row, keys: [...row.keys, ...(before?.keys ?? [])] });
      },
    }),
  ],
  [
    "compares names without case",
    "byte for byte",
    (store) => ({
      get: async (server) => {
        const row = await store.get(server.toLowerCase());
        return row && { ...row, server };
      },
      put: (row) => store.put({ ...row, server: row.server.toLowerCase() }),
    }),
  ],
  [
    "does not look at ports",
    "byte for byte",
    (store) => ({ ...store, get: (server) => store.get(server.replace(/:8448$/, "")) }),
  ],
  [
    "writes what was given last",
    "many calls at once",
    (store) => {
      let last: StoredKeys;
      return {
        ...store,
        put: async (row) => {
          last = row;
          await turn();
          await store.put(last);
        },
      };
    },
  ],
];

suiteNotices(
  "the suite of key stores",
  (change: (store: KeyStore) => KeyStore) => keyStoreSuite({ create: () => change(textKeyStore()) }),
  brokenKeyStores,
);

type ChangeDevices = (store: ToDeviceStore) => ToDeviceStore;

const brokenDeviceStores: readonly Broken<ChangeDevices>[] = [
  ["knows everything", "not taken is not known", () => ({ has: () => true, add: () => undefined })],
  ["forgets at once", "however often it comes", () => ({ has: () => false, add: () => undefined })],
  [
    "fails at what is there",
    "however often it comes",
    (store) => ({
      ...store,
      add: async (sender, id) => {
        if (await store.has(sender, id)) throw new Error("UNIQUE constraint failed");
        await store.add(sender, id);
      },
    }),
  ],
  [
    "does not look at the sender",
    "an id is its sender's own",
    (store) => ({ has: (_, id) => store.has("", id), add: (_, id) => store.add("", id) }),
  ],
  [
    "writes sender and id one after the other",
    "an id is its sender's own",
    (store) => ({ has: (sender, id) => store.has("", sender + id), add: (sender, id) => store.add("", sender + id) }),
  ],
  [
    "compares ids without case",
    "byte for byte",
    (store) => ({
      has: (sender, id) => store.has(sender, id.toLowerCase()),
      add: (sender, id) => store.add(sender, id.toLowerCase()),
    }),
  ],
  [
    "normalises ids",
    "byte for byte",
    (store) => ({
      has: (sender, id) => store.has(sender, id.normalize()),
      add: (sender, id) => store.add(sender, id.normalize()),
    }),
  ],
  [
    "cuts ids at 32 units",
    "byte for byte",
    (store) => ({
      has: (sender, id) => store.has(sender, id.slice(0, 32)),
      add: (sender, id) => store.add(sender, id.slice(0, 32)),
    }),
  ],
  ["remembers fifty", "one transaction", () => createToDeviceStore({ perServer: 50 })],
];

suiteNotices(
  "the suite of stores of messages to devices",
  (change: ChangeDevices) => toDeviceStoreSuite({ create: () => change(createToDeviceStore()) }),
  brokenDeviceStores,
);

describe("the suites of stores", () => {
  it("notice one that is empty when it is opened again", async () => {
    const keyStores = keyStoreSuite({ create: () => textKeyStore(), reopen: () => textKeyStore() });
    const devices = toDeviceStoreSuite({ create: () => createToDeviceStore(), reopen: () => createToDeviceStore() });
    expect(await failures([...keyStores, ...devices])).toEqual([
      expect.stringContaining("a reopened store has all that was stored"),
      expect.stringContaining("a reopened store knows what was taken"),
    ]);
  });
});
