/** EDUs of anybody who sends anything, and device lists over a network that loses what it likes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createManualClock, createMemoryKeys, createKeyDirectory } from "../../src/adapters/memory/index.js";
import { createMemoryNetwork, createMemoryStorage, createSeededRandom } from "../../src/adapters/memory/index.js";
import type { ManualClock, MemoryNetwork } from "../../src/adapters/memory/index.js";
import { createEdus, createServer, readEdu } from "../../src/federation/index.js";
import type { Device, DeviceListChange, Edu, EduHandler, ServerOptions } from "../../src/federation/index.js";
import { combine } from "../../src/federation/edus/combine.js";
import type { Ephemeral } from "../../src/federation/edus/combine.js";
import type { Server } from "../../src/federation/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { OperationRequest, OperationResult, Receiver, Transport } from "../../src/ports/index.js";
import { testKeyOf } from "../../src/testing/keys.js";
import { runs, seed } from "./laws-support.js";

const [alice, bob] = ["@user:a.example", "@user:b.example"];
const ROOM = "!room:a.example";

const keysOf = (deviceId: string): JsonObject => ({
  user_id: bob,
  device_id: deviceId,
  algorithms: ["x"],
  keys: { a: "b" },
  signatures: { [bob]: { a: "b" } },
});
const crossKey = (usage: string): JsonObject => ({ user_id: bob, usage: [usage], keys: { "ed25519:x": "x" } });
const edu = (eduType: string, content: JsonObject): JsonObject => ({ edu_type: eduType, content });

/** One of each, with everything that it may have. */
const good: readonly JsonObject[] = [
  edu("m.typing", { room_id: ROOM, user_id: bob, typing: true }),
  edu("m.presence", {
    push: [{ user_id: bob, presence: "online", last_active_ago: 5, status_msg: "x", currently_active: true }],
  }),
  edu("m.receipt", {
    [ROOM]: { "m.read": { [bob]: { event_ids: ["$event:a.example"], data: { ts: 5, thread_id: "main" } } } },
  }),
  edu("m.device_list_update", {
    user_id: bob,
    device_id: "PHONE",
    stream_id: 2,
    prev_id: [1],
    device_display_name: "x",
    deleted: false,
    keys: keysOf("PHONE"),
  }),
  edu("m.signing_key_update", {
    user_id: bob,
    master_key: crossKey("master"),
    self_signing_key: crossKey("self_signing"),
  }),
  edu("m.direct_to_device", {
    sender: bob,
    type: "m.x",
    message_id: "1",
    messages: { [alice]: { PHONE: { a: 1 }, "*": {} } },
  }),
];

const anyJson = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<JsonValue>;
const odd: fc.Arbitrary<unknown> = fc.oneof(
  anyJson,
  fc.constantFrom<unknown>(undefined, Number.NaN, -0, 1.5, 2 ** 53, 2n ** 80n, () => 1, Symbol("s"), new Date(0)),
  fc.constantFrom<unknown>("\ud800", "__proto__", "", bob, alice, "@:b.example", ROOM, "x".repeat(300), [[]], [null]),
  fc.constantFrom<unknown>({ [alice]: {} }, { __proto__: null }, Object.create({ user_id: bob }) as unknown),
);

/** A copy in which the value at the end of a way down, which numbers choose, is another, gone, or has a neighbour. */
function mutate(value: unknown, way: readonly number[], what: unknown, kind: "put" | "drop" | "add"): unknown {
  const [step, ...rest] = way;
  if (step === undefined || typeof value !== "object" || value === null) return what;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
  const names = Object.keys(copy);
  const at = names[step % Math.max(1, names.length)];
  if (at === undefined) return what;
  if (rest.length === 0 && kind === "add") {
    return Object.assign(copy, { [typeof what === "string" ? what : `${at}x`]: Reflect.get(copy, at) as unknown });
  }
  if (rest.length === 0 && kind === "drop") {
    Reflect.deleteProperty(copy, at);
    return copy;
  }
  return Object.assign(copy, { [at]: mutate(Reflect.get(copy, at), rest, what, kind) });
}

const mutation = fc.record({
  way: fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }),
  what: odd,
  kind: fc.constantFrom("put", "drop", "add"),
});
const hostile: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 1, arbitrary: odd },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...good), anyJson).map(([one, content]) => ({ ...one, content })) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(...good), fc.array(mutation, { maxLength: 3 }))
      .map(([one, all]) => all.reduce<unknown>((json, { way, what, kind }) => mutate(json, way, what, kind), one)),
  },
);

// ---- what a handler may rely on -------------------------------------------------------------------------------

const isBobs = (userId: string): boolean => /^@[^:]*:b\.example$/.test(userId);
const isPlain = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value: unknown): boolean => value === undefined || typeof value === "string";

function expectOnly(value: object, ...keys: readonly string[]): void {
  expect(Object.keys(value).filter((key) => !keys.includes(key))).toEqual([]);
  expect(Object.isFrozen(value)).toBe(true);
}

const sound: Required<Pick<EduHandler, "onTyping" | "onReceipt" | "onPresence" | "onSigningKeys" | "onToDevice">> & {
  readonly onUpdate: (update: Extract<DeviceListChange, { kind: "update" }>["update"]) => void;
} = {
  onTyping: (one) => {
    expectOnly(one, "roomId", "userId", "typing");
    expect(one.roomId).toMatch(/^!/);
    expect([isBobs(one.userId), typeof one.typing]).toEqual([true, "boolean"]);
  },
  onReceipt: (one) => {
    expectOnly(one, "roomId", "userId", "eventId", "ts", "threadId");
    expect(one.roomId).toMatch(/^!/);
    expect(one.eventId).toMatch(/^\$/);
    expect([isBobs(one.userId), Number.isSafeInteger(one.ts), isText(one.threadId)]).toEqual([true, true, true]);
  },
  onPresence: (one) => {
    expectOnly(one, "userId", "presence", "lastActiveAgo", "statusMessage", "currentlyActive");
    expect(["offline", "unavailable", "online"]).toContain(one.presence);
    expect([isBobs(one.userId), Number.isSafeInteger(one.lastActiveAgo)]).toEqual([true, true]);
    expect(isText(one.statusMessage)).toBe(true);
    expect(typeof one.currentlyActive).toBe("boolean");
  },
  onSigningKeys: (one) => {
    expectOnly(one, "userId", "masterKey", "selfSigningKey");
    expect(isBobs(one.userId)).toBe(true);
    for (const key of [one.masterKey, one.selfSigningKey]) {
      if (key !== undefined)
        expect([key["user_id"], Object.keys(key["keys"] as object).length]).toEqual([one.userId, 1]);
    }
  },
  onToDevice: (one) => {
    expectOnly(one, "sender", "type", "messageId", "messages");
    const length = [...one.messageId].length;
    expect([isBobs(one.sender), typeof one.type, length > 0 && length <= 32]).toEqual([true, "string", true]);
    for (const each of one.messages) {
      expectOnly(each, "userId", "deviceId", "content");
      expect(each.userId).toMatch(/^@/);
      expect([each.deviceId.length > 0, isPlain(each.content)]).toEqual([true, true]);
    }
  },
  onUpdate: (one) => {
    expectOnly(one, "userId", "deviceId", "displayName", "keys", "streamId", "prevIds", "deleted");
    expect([isBobs(one.userId), typeof one.deviceId, isText(one.displayName)]).toEqual([true, "string", true]);
    expect([one.streamId, ...one.prevIds].every((id) => Number.isSafeInteger(id))).toBe(true);
    if (one.keys !== undefined)
      expect([one.keys["user_id"], one.keys["device_id"]]).toEqual([one.userId, one.deviceId]);
  },
};

function expectSound(read: Edu): void {
  switch (read.eduType) {
    case "m.typing":
      return void sound.onTyping(read.typing);
    case "m.presence":
      return read.presence.forEach((one) => void sound.onPresence(one));
    case "m.receipt":
      return read.receipts.forEach((one) => void sound.onReceipt(one));
    case "m.device_list_update":
      return sound.onUpdate(read.update);
    case "m.signing_key_update":
      return void sound.onSigningKeys(read.signingKeys);
    case "m.direct_to_device":
      return void sound.onToDevice(read.message);
  }
}

const transactionOf: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 9, arbitrary: fc.array(hostile, { minLength: 5, maxLength: 20 }) },
  { weight: 1, arbitrary: odd },
);

describe("anything as an EDU", () => {
  it("is read as what its schema says, or refused as a value", () => {
    const seen = { read: 0, refused: 0 };
    fc.assert(
      fc.property(hostile, (json) => {
        const result = readEdu(json, "b.example");
        if (result.ok) {
          seen.read++;
          expectSound(result.value);
        } else {
          seen.refused++;
          expect(["unknown_type", "bad_format", "too_large", "foreign_user"]).toContain(result.error.code);
        }
      }),
      { seed, numRuns: runs(3_000) },
    );
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(100);
  });

  it("never reaches the handler of a server malformed, and the server answers", async () => {
    const net = new Net();
    const heard = { count: 0 };
    const faults: unknown[] = [];
    const count =
      <T>(check: (value: T) => unknown) =>
      (value: T): void => {
        heard.count++;
        check(value);
      };
    const server = net.server("a.example", {
      handler: {
        onTyping: count(sound.onTyping),
        onReceipt: count(sound.onReceipt),
        onPresence: count(sound.onPresence),
        onSigningKeys: count(sound.onSigningKeys),
        onToDevice: count((message) => {
          void sound.onToDevice(message);
          for (const { userId } of message.messages) expect(userId).toMatch(/:a\.example$/);
        }),
        onDeviceLists: count((change) => {
          if (change.kind === "update") sound.onUpdate(change.update);
        }),
      },
      onFault: (fault) => faults.push(fault),
    });
    await server.start();
    const { receiver } = net;
    let transaction = 0;
    await fc.assert(
      fc.asyncProperty(transactionOf, async (edus) => {
        const request = { transactionId: `${++transaction}`, pdus: [], edus } as unknown as OperationRequest<"send">;
        expect(await receiver("b.example", "send", request)).toEqual({ ok: true, value: { pdus: {} } });
      }),
      { seed, numRuns: runs(300) },
    );
    server.stop();
    expect(faults).toEqual([]);
    expect(heard.count).toBeGreaterThan(100);
  });
});

// ---- what may be lost, put together ---------------------------------------------------------------------------

const user = fc.constantFrom("1", "2", "3").map((name) => `@${name}:b.example`);
const ephemeral: fc.Arbitrary<Ephemeral> = fc.oneof(
  fc.record({
    kind: fc.constant("typing" as const),
    content: user.map((userId) => ({ room_id: ROOM, user_id: userId, typing: true })),
  }),
  fc.record({
    kind: fc.constant("presence" as const),
    update: user.map((userId) => ({ user_id: userId, presence: "online", last_active_ago: 1 })),
  }),
  fc.record({
    kind: fc.constant("receipt" as const),
    roomId: fc.constantFrom(ROOM, "!other:a.example"),
    userId: user,
    receipt: fc.nat(9).map((ts) => ({ event_ids: ["$event:a.example"], data: { ts, thread_id: `${ts}` } })),
  }),
);

describe("what is put together", () => {
  it("is what others read, no more EDUs than there is room for, and nothing is lost on the way", () => {
    fc.assert(
      fc.property(fc.array(ephemeral, { maxLength: 400 }), fc.nat(12), (entries, limit) => {
        const keyed = entries.map((entry, at) => [`${at}`, entry] as const);
        const { edus, keys } = combine(keyed, limit);
        expect(edus.length).toBeLessThanOrEqual(limit);
        expect(new Set(keys).size).toBe(keys.length);
        const read: string[] = [];
        for (const json of edus) {
          const one = readEdu(json, "b.example");
          if (!one.ok) throw new Error(one.error.reason);
          expect(one.value.passedOver).toEqual([]);
          if (one.value.eduType === "m.typing") read.push(`typing ${one.value.typing.userId}`);
          if (one.value.eduType === "m.presence") read.push(...one.value.presence.map(({ userId }) => `at ${userId}`));
          if (one.value.eduType === "m.receipt") {
            read.push(...one.value.receipts.map(({ roomId, userId, ts }) => `read ${roomId} ${userId} ${ts}`));
          }
        }
        const named = (entry: Ephemeral): string => {
          if (entry.kind === "typing") return `typing ${entry.content["user_id"] as string}`;
          if (entry.kind === "presence") return `at ${entry.update["user_id"] as string}`;
          const { ts } = entry.receipt["data"] as { readonly ts: number };
          return `read ${entry.roomId} ${entry.userId} ${ts}`;
        };
        const taken = new Set(keys);
        const expected = keyed.filter(([key]) => taken.has(key)).map(([, entry]) => named(entry));
        expect(read.sort()).toEqual(expected.sort());
        // Something that was left had no EDU to go into.
        if (keys.length < entries.length) expect(edus.length).toBe(limit);
      }),
      { seed, numRuns: runs(200) },
    );
  });
});

// ---- device lists ---------------------------------------------------------------------------------------------

/** A network of servers whose time the test moves. */
class Net {
  readonly clock: ManualClock = createManualClock(1_700_000_000_000);
  readonly #network: MemoryNetwork = createMemoryNetwork();
  #receiver: Receiver | undefined;

  get receiver(): Receiver {
    if (this.#receiver === undefined) throw new Error("nobody listens");
    return this.#receiver;
  }

  server(
    name: string,
    {
      handler,
      onFault,
      ask,
    }: {
      readonly handler: EduHandler;
      readonly onFault: (fault: unknown) => void;
      readonly ask?: Transport["request"];
    },
  ): Server {
    const transport = this.#network.transport(name);
    const options: ServerOptions = {
      server: name,
      storage: createMemoryStorage(),
      transport: {
        request: ask ?? transport.request.bind(transport),
        listen: (receiver) => {
          this.#receiver = receiver;
          return () => undefined;
        },
      },
      keys: createMemoryKeys(testKeyOf(name), createKeyDirectory()),
      clock: this.clock,
      random: createSeededRandom(name),
      observer: { onFault },
      edus: createEdus({ handler }),
    };
    return createServer(options);
  }

  /** Lets time pass until nothing waits for it. */
  async quiet(): Promise<void> {
    for (let step = 0; step < 200; step++) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      const next = this.clock.untilNext();
      if (next === undefined) return;
      this.clock.advance(next);
    }
    throw new Error("there is no end to it");
  }
}

/** What happens to bob's devices, to the EDU about it, and to who asks for the list. */
type Step =
  | { readonly do: "change"; readonly device: number; readonly lost: boolean; readonly twice: boolean }
  | { readonly do: "restart" }
  | { readonly do: "time" }
  | { readonly do: "break" | "mend" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("change" as const),
      device: fc.nat(3),
      lost: fc.boolean(),
      twice: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "restart" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "time" as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("break" as const, "mend" as const) }) },
);

describe("device lists", () => {
  it("are the same on both sides in the end, whatever was lost, repeated or began anew", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const net = new Net();
        // Bob's server.
        const devices = new Map<string, string>();
        let streamId = 0;
        let begins = true;
        let version = 0;
        let broken = false;
        const ask = (async () => {
          await Promise.resolve();
          if (broken) return { ok: false, error: { code: "unreachable", reason: "no" } };
          const list = [...devices].map(([id, name]) => ({ device_id: id, device_display_name: name }));
          return { ok: true, value: { userId: bob, streamId, devices: list } };
        }) as unknown as Transport["request"];
        // Alice's server, and what its host has of it.
        const here = new Map<string, string | undefined>();
        const put = ({ deviceId, displayName }: Device): void => void here.set(deviceId, displayName);
        let outdated = true;
        const faults: unknown[] = [];
        const server = net.server("a.example", {
          ask,
          onFault: (fault) => faults.push(fault),
          handler: {
            onDeviceLists: (change) => {
              outdated = change.kind === "outdated";
              if (change.kind === "update" && change.update.deleted) here.delete(change.update.deviceId);
              else if (change.kind === "update") put(change.update);
              if (change.kind !== "list") return;
              here.clear();
              change.list.devices.forEach(put);
            },
          },
        });
        await server.start();
        let transaction = 0;
        const deliver = async (content: JsonObject): Promise<void> => {
          const request = { transactionId: `${++transaction}`, pdus: [], edus: [edu("m.device_list_update", content)] };
          const answer: OperationResult<"send"> = await net.receiver("b.example", "send", request);
          expect(answer.ok).toBe(true);
        };
        const change = async (number: number, lost: boolean, twice: boolean): Promise<void> => {
          const deviceId = `D${number}`;
          const deleted = devices.has(deviceId) && number % 2 === 0;
          const name = `version ${++version}`;
          if (deleted) devices.delete(deviceId);
          else devices.set(deviceId, name);
          const prev = begins ? [] : [streamId];
          streamId++;
          begins = false;
          const about = { user_id: bob, device_id: deviceId, stream_id: streamId, prev_id: prev };
          const content = deleted ? { ...about, deleted } : { ...about, device_display_name: name };
          if (!lost) await deliver(content);
          if (!lost && twice) await deliver(content);
        };
        for (const one of steps) {
          if (one.do === "change") await change(one.device, one.lost, one.twice);
          // It does not know what it sent last.
          if (one.do === "restart") begins = true;
          if (one.do === "time") net.clock.advance(1_000);
          if (one.do === "break" || one.do === "mend") broken = one.do === "break";
        }
        broken = false;
        await change(1, false, false);
        await net.quiet();
        expect(Object.fromEntries(here)).toEqual(Object.fromEntries(devices));
        expect([outdated, faults]).toEqual([false, []]);
        server.stop();
      }),
      { seed, numRuns: runs(150) },
    );
  });
});
