import { describe, expect, it } from "vitest";
import {
  cancelFrom,
  createKeyDirectory,
  createListDirectory,
  createManualClock,
  createMemoryKeys,
  createMemoryNetwork,
  createMemoryStorage,
  createRecordingObserver,
  createSeededRandom,
} from "../../src/adapters/memory/index.js";
import { publicKeyFromSeed, sign } from "../../src/crypto/ed25519.js";
import { UsageError } from "../../src/errors.js";
import { createKeyRing, createToDeviceStore, keyFromSeed } from "../../src/federation/index.js";
import type { Awaitable, Clock, Directory, RoomNetwork, Storage } from "../../src/ports/index.js";
import {
  clockSuite,
  directorySuite,
  identitySuite,
  keyStoreSuite,
  keysSuite,
  observerSuite,
  policySuite,
  randomSuite,
  storageSuite,
  testKeyOf,
  toDeviceStoreSuite,
  transportSuite,
} from "../../src/testing/index.js";
import type { PortCheck } from "../../src/testing/index.js";
import { batch, entry, record } from "../../src/testing/suites/storage-rows.js";
import {
  listDirectory,
  listIdentity,
  listPolicy,
  manualClock,
  memoryKeys,
  memoryServers,
  textKeyStore,
} from "./ports-support.js";

function suite(title: string, checks: readonly PortCheck[]): void {
  describe(title, () => {
    for (const check of checks) it(check.name, check.run);
  });
}

/** The same calls, each carried out some turns later, as over a connection that keeps their order. */
function later(storage: Storage): Storage {
  let line: Promise<unknown> = Promise.resolve();
  const queued = <T>(call: () => Awaitable<T>): Promise<T> => {
    const result = line.then(() => Promise.resolve()).then(call);
    line = result.catch(() => undefined);
    return result;
  };
  return {
    roomIds: () => queued(() => storage.roomIds()),
    openRoom: (...rest) => queued(() => storage.openRoom(...rest)),
    readEvents: (...rest) => queued(() => storage.readEvents(...rest)),
    readTimeline: (...rest) => queued(() => storage.readTimeline(...rest)),
    readStateGroups: (...rest) => queued(() => storage.readStateGroups(...rest)),
    changesSince: (...rest) => queued(() => storage.changesSince(...rest)),
    commit: (...rest) => queued(() => storage.commit(...rest)),
    outboxDestinations: () => queued(() => storage.outboxDestinations()),
    readOutbox: (...rest) => queued(() => storage.readOutbox(...rest)),
    settleOutbox: (...rest) => queued(() => storage.settleOutbox(...rest)),
    lease: (...rest) => queued(() => storage.lease(...rest)),
    readTransaction: (...rest) => queued(() => storage.readTransaction(...rest)),
    recordTransaction: (...rest) => queued(() => storage.recordTransaction(...rest)),
    readOutside: (...rest) => queued(() => storage.readOutside(...rest)),
    putOutside: (...rest) => queued(() => storage.putOutside(...rest)),
    removeOutside: (...rest) => queued(() => storage.removeOutside(...rest)),
    readIntents: (...rest) => queued(() => storage.readIntents(...rest)),
    putIntent: (...rest) => queued(() => storage.putIntent(...rest)),
    removeIntents: (...rest) => queued(() => storage.removeIntents(...rest)),
  };
}

/** A directory in a database: a class whose methods need their object, and answer some turns later. */
class LaterDirectory implements Directory {
  readonly #lists: Directory;
  readonly software = { name: "later", version: "2" };
  constructor(lists: Directory) {
    this.#lists = lists;
  }
  async alias(alias: string) {
    return await Promise.resolve().then(() => this.#lists.alias?.(alias));
  }
  async profile(userId: string) {
    return await Promise.resolve().then(() => this.#lists.profile?.(userId));
  }
  async publishedRooms(network: RoomNetwork) {
    return (await Promise.resolve().then(() => this.#lists.publishedRooms?.(network))) ?? [];
  }
  async openIdUser(accessToken: string) {
    return await Promise.resolve().then(() => this.#lists.openIdUser?.(accessToken));
  }
}

/** The clock of docs/ports.md. */
const realClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, cancel) =>
    new Promise((resolve) => {
      if (cancel?.aborted === true) {
        resolve();
        return;
      }
      const timer = setTimeout(end, ms);
      const stop = cancel?.onAbort(end);
      function end(): void {
        clearTimeout(timer);
        stop?.();
        resolve();
      }
    }),
};

suite("storage in memory", storageSuite({ create: createMemoryStorage, reopen: (storage) => storage }));
suite(
  "storage that answers later",
  storageSuite({ create: () => later(createMemoryStorage()), reopen: (storage) => Promise.resolve(later(storage)) }),
);
suite(
  "transport in memory [cap:operations]",
  transportSuite({ create: () => memoryServers((transport) => transport) }),
);
suite("keys in memory", keysSuite(memoryKeys((keys) => keys)));
suite(
  "keys in memory of who is no policy server",
  keysSuite({
    create: () => ({ keys: createMemoryKeys(testKeyOf("a"), createKeyDirectory()), server: "a" }),
  }),
);
suite(
  "keys that are learnt by asking",
  keysSuite({
    create: () => {
      const { server, keyId, seed } = testKeyOf("one.example");
      const transport = createMemoryNetwork().transport(server);
      const own = { current: [keyFromSeed({ keyId, seed })] as const };
      const policySeed = createSeededRandom("policy").bytes(32);
      const signPolicy = (message: Uint8Array): Uint8Array => sign(message, policySeed);
      const clock = createManualClock(1_700_000_000_000);
      const keys = createKeyRing({ server, own, transport, clock, signPolicy });
      return { server, keys, policyKey: publicKeyFromSeed(policySeed) };
    },
  }),
);
suite("a clock that is moved by hand", clockSuite({ create: () => manualClock((clock) => clock) }));
suite("a clock of the real time", clockSuite({ create: () => ({ clock: realClock }) }));
suite("randomness from a seed", randomSuite({ create: () => createSeededRandom("seed") }));
suite("a policy of two lists", policySuite(listPolicy((policy) => policy)));
suite("a policy without hooks", policySuite({ create: () => ({}) }));
suite("an identity resolver with a list", identitySuite(listIdentity((identity) => identity)));
suite("a directory of lists", directorySuite(listDirectory((directory) => directory)));
suite("a directory that answers later", directorySuite(listDirectory((directory) => new LaterDirectory(directory))));
suite("a directory without parts", directorySuite({ create: () => ({}), server: "one.example" }));
suite("an observer that remembers", observerSuite({ create: () => createRecordingObserver(10) }));
suite("an observer that hears nothing", observerSuite({ create: () => ({}) }));
suite("a key ring's store of text", keyStoreSuite({ create: () => textKeyStore(), reopen: (store) => ({ ...store }) }));
suite(
  "a memory of messages to devices",
  toDeviceStoreSuite({ create: () => createToDeviceStore(), reopen: (store) => store }),
);

describe("a suite", () => {
  it("checks durability only where a storage can be reopened", () => {
    const without = storageSuite({ create: createMemoryStorage });
    const having = storageSuite({ create: createMemoryStorage, reopen: (storage) => storage });
    expect(having.length - without.length).toBe(3);
  });

  it("closes each storage that it made or reopened once", async () => {
    const closed: Storage[] = [];
    const checks = storageSuite({
      create: createMemoryStorage,
      reopen: (storage) => ({ ...storage }),
      close: (storage) => void closed.push(storage),
    });
    for (const check of checks) await check.run();
    expect(closed.length).toBe(checks.length + 3);
    expect(new Set(closed).size).toBe(closed.length);
  });

  it("leaves out the numbers of versions 1 to 5 for a transport that has none of these rooms", async () => {
    const json = memoryServers((transport) => ({
      ...transport,
      request: (server, name, request, cancel) =>
        transport.request(server, name, JSON.parse(JSON.stringify(request)) as typeof request, cancel),
    }));
    const create = () => json;
    const all = transportSuite({ create });
    const strict = transportSuite({ create, laxNumbers: false });
    expect(all.length - strict.length).toBe(1);
    await expect(all.at(-1)?.run()).rejects.toThrow("room versions 1 to 5");
  });

  it("names every check differently", () => {
    const suites = [
      storageSuite({ create: createMemoryStorage, reopen: (storage) => storage }),
      transportSuite({ create: () => memoryServers((transport) => transport) }),
      clockSuite({ create: () => manualClock((clock) => clock) }),
      keysSuite(memoryKeys((keys) => keys)),
      directorySuite(listDirectory((directory) => directory)),
    ];
    for (const checks of suites) expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length);
  });
});

describe("storage in memory", () => {
  it("tells who commits a batch that cannot be meant", () => {
    const storage = createMemoryStorage();
    expect(() => storage.commit(batch(undefined, { record: record(1, { roomId: "!x:y" }) }))).toThrow(UsageError);
    expect(() => storage.commit(batch(4, { record: record(4) }))).toThrow(UsageError);
    expect(storage.roomIds()).toEqual([]);
  });

  it("takes 100,000 commits of one event, and reads the end of the stream without walking it", async () => {
    const storage = createMemoryStorage();
    const started = performance.now();
    for (let at = 1; at <= 100_000; at++) {
      const verdict = { standing: "accepted", rule: "v11 rule 10", basis: "state-before" } as const;
      const event = { eventId: `$${at}`, json: {}, hashMismatch: false, verdict, position: at % 3 === 0 ? -at : at };
      await storage.commit(
        batch(at === 1 ? undefined : at - 1, { record: record(at), events: [event], outbox: [entry("two.example")] }),
      );
    }
    for (let at = 0; at < 10_000; at++) {
      await storage.readTimeline("!room:one.example", { from: at * 9, direction: "backwards", limit: 10 });
      await storage.changesSince("!room:one.example", 99_990);
      await storage.settleOutbox("two.example", at * 10, []);
    }
    // About half a second here; quadratic work would take minutes.
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe("the network in memory", () => {
  const ask = { roomId: "!r:x", eventId: "$a" };

  it("loses what goes to or comes from a server that is disconnected, until it is connected again", async () => {
    const network = createMemoryNetwork();
    const [a, b] = [network.transport("a"), network.transport("b")];
    let heard = 0;
    const answer = () => Promise.resolve({ ok: false, error: { code: "not_found", reason: `${++heard}` } } as const);
    a.listen(answer);
    b.listen(answer);
    network.disconnect("b");
    expect(await a.request("b", "event", ask)).toMatchObject({ ok: false, error: { code: "unreachable" } });
    expect(await b.request("a", "event", ask)).toMatchObject({ ok: false, error: { code: "unreachable" } });
    expect(heard).toBe(0);
    network.connect("b");
    expect(await a.request("b", "event", ask)).toMatchObject({ error: { code: "not_found" } });
    expect(await b.request("a", "event", ask)).toMatchObject({ error: { code: "not_found" } });
  });

  it("carries a request against a one-way block and loses its answer", async () => {
    const network = createMemoryNetwork();
    const [a, b] = [network.transport("a"), network.transport("b")];
    const heard: string[] = [];
    for (const transport of [a, b]) {
      transport.listen((origin) => {
        heard.push(origin);
        return Promise.resolve({ ok: false, error: { code: "not_found", reason: "no" } });
      });
    }
    network.block("a", "b");
    expect(await a.request("b", "event", ask)).toMatchObject({ error: { code: "unreachable" } });
    expect(heard).toEqual([]);
    expect(await b.request("a", "event", ask)).toMatchObject({ error: { code: "unreachable" } });
    expect(heard).toEqual(["b"]);
    network.unblock("a", "b");
    expect(await a.request("b", "event", ask)).toMatchObject({ error: { code: "not_found" } });
  });

  it("answers `internal` for a receiver that fails and tells nothing of what it threw", async () => {
    const network = createMemoryNetwork();
    network.transport("b").listen(() => Promise.reject(new Error("secret path")));
    const result = await network.transport("a").request("b", "event", ask);
    expect(result).toMatchObject({ ok: false, error: { code: "internal" } });
    expect(JSON.stringify(result)).not.toContain("secret");
  });

  it("copies data that is nested a hundred thousand deep", async () => {
    const network = createMemoryNetwork();
    let deep: readonly unknown[] = [];
    for (let at = 0; at < 100_000; at++) deep = [deep];
    network.transport("b").listen(() => Promise.resolve({ ok: false, error: { code: "too_large", reason: "deep" } }));
    const request = { roomId: "!r:x", eventId: "$a", event: deep as never };
    expect(await network.transport("a").request("b", "send_leave", request)).toMatchObject({
      error: { code: "too_large" },
    });
  });
});

describe("keys in memory", () => {
  it("know what others published, and give out copies", async () => {
    const directory = createKeyDirectory();
    const one = createMemoryKeys(testKeyOf("one.example"), directory);
    const two = createMemoryKeys(testKeyOf("two.example"), directory);
    const request = { server: "two.example", keyId: "ed25519:test", validAt: 0 };
    const [key] = await one.lookup([request]);
    const { signature } = await two.sign(Uint8Array.of(1, 2));
    expect(await one.verify([{ key: key!.key, message: Uint8Array.of(1, 2), signature }])).toEqual([true]);
    key!.key.fill(0);
    const [again] = await one.lookup([request]);
    expect(again!.key.some((byte) => byte !== 0)).toBe(true);
  });

  it("refuse a seed of another length", () => {
    const seed = new Uint8Array(31);
    expect(() => createMemoryKeys({ server: "a", keyId: "ed25519:a", seed }, createKeyDirectory())).toThrow(UsageError);
  });
});

describe("the clock that is moved by hand", () => {
  it("jumps without ending a sleep, and says how long until the next ends", async () => {
    const clock = createManualClock(1000);
    expect(clock.untilNext()).toBeUndefined();
    let ended = false;
    const sleep = clock.sleep(50).then(() => (ended = true));
    clock.jump(1_000_000);
    await Promise.resolve();
    expect([clock.now(), clock.untilNext(), ended]).toEqual([1_001_000, 50, false]);
    clock.jump(-1_000_500);
    clock.advance(20);
    expect([clock.now(), clock.untilNext()]).toEqual([520, 30]);
    clock.advance(30);
    await sleep;
    expect(ended).toBe(true);
    expect(() => clock.advance(-1)).toThrow(UsageError);
    expect(() => clock.advance(NaN)).toThrow(UsageError);
  });
});

describe("randomness from a seed", () => {
  it("is the same for the same seed and another for another", () => {
    const draw = (seed: string | number) => [...createSeededRandom(seed).bytes(40)];
    expect(draw("a")).toEqual(draw("a"));
    expect(draw("a")).not.toEqual(draw("b"));
    expect(draw(7)).toEqual(draw("7"));
    expect(() => createSeededRandom("a").bytes(-1)).toThrow(UsageError);
    expect(() => createSeededRandom("a").bytes(1.5)).toThrow(UsageError);
  });
});

describe("the directory of lists", () => {
  it("lacks the parts whose lists are not given", () => {
    expect(Object.keys(createListDirectory({}))).toEqual([]);
    expect(Object.keys(createListDirectory({ openIdTokens: [], aliases: [] })).sort()).toEqual(["alias", "openIdUser"]);
  });

  it("keeps what the lists were when it was made", async () => {
    const servers = ["a.example"];
    const publishedRooms = [{ roomId: "!r:a.example" }];
    const directory = createListDirectory({ aliases: [{ alias: "#a:a", roomId: "!r:a", servers }], publishedRooms });
    servers.push("b.example");
    publishedRooms.pop();
    expect(await directory.alias?.("#a:a")).toEqual({ roomId: "!r:a", servers: ["a.example"] });
    expect(await directory.publishedRooms?.({})).toEqual(["!r:a.example"]);
  });
});

describe("the suites of stores", () => {
  it("check durability only where a store can be reopened", () => {
    const [keyStore, devices] = [() => textKeyStore(), () => createToDeviceStore()];
    expect(keyStoreSuite({ create: keyStore, reopen: (store) => store })).toHaveLength(
      keyStoreSuite({ create: keyStore }).length + 1,
    );
    expect(toDeviceStoreSuite({ create: devices, reopen: (store) => store })).toHaveLength(
      toDeviceStoreSuite({ create: devices }).length + 1,
    );
  });
});

describe("the observer that remembers", () => {
  it("keeps the last entries of each kind, oldest first", () => {
    const observer = createRecordingObserver(3);
    for (let value = 0; value < 20; value++) observer.onMetric({ name: "room.pending", value });
    observer.onFault({ where: "here", error: "x" });
    expect(observer.metrics().map(({ value }) => value)).toEqual([17, 18, 19]);
    expect(observer.faults()).toEqual([{ where: "here", error: "x" }]);
    expect(observer.receipts()).toEqual([]);
    expect(observer.stateChanges()).toEqual([]);
    expect(() => createRecordingObserver(0)).toThrow(UsageError);
  });
});

describe("an AbortSignal as a Cancel", () => {
  it("calls each listener once, at once when it has been aborted, and not after it was taken back", () => {
    const controller = new AbortController();
    const cancel = cancelFrom(controller.signal);
    let [kept, taken, late] = [0, 0, 0];
    const listener = (): number => kept++;
    cancel.onAbort(listener);
    const stop = cancel.onAbort(() => taken++);
    stop();
    expect(cancel.aborted).toBe(false);
    controller.abort();
    cancel.onAbort(() => late++)();
    expect([cancel.aborted, kept, taken, late]).toEqual([true, 1, 0, 1]);
  });

  it("counts one listener that was given twice as two", () => {
    const controller = new AbortController();
    const cancel = cancelFrom(controller.signal);
    let calls = 0;
    const listener = (): number => calls++;
    cancel.onAbort(listener);
    cancel.onAbort(listener)();
    controller.abort();
    expect(calls).toBe(1);
  });
});
