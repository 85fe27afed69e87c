import { describe, expect, it } from "vitest";
import { cancelFrom, createMemoryStorage } from "../../src/adapters/memory/index.js";
import { UsageError } from "../../src/errors.js";
import { JsonFloat } from "../../src/json/value.js";
import type { JsonArray, JsonObject, JsonValue } from "../../src/json/value.js";
import type { Batch, Keys, OperationRequest, OperationResult, Storage, Transport } from "../../src/ports/index.js";
import {
  KEYED_HASH_KEY_ID,
  Lifeline,
  Trace,
  VirtualNetwork,
  VirtualTime,
  copyMessage,
  crashAtCommit,
  crashAtWrite,
  crashable,
  createKeyRing,
  ed25519Keys,
  keyedHashKeys,
  randomPort,
  receiverOf,
  seededRandom,
  slowStorage,
  wrongSignatures,
} from "../../src/testing/simulation/index.js";
import type { NetworkOptions, RunReport } from "../../src/testing/simulation/index.js";
import { TEST_KEY_ID } from "../../src/testing/keys.js";

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const run = (time: VirtualTime, until?: number): Promise<RunReport> =>
  time.run(until === undefined ? { settle } : { settle, until });

interface Watched<T> {
  /** What a promise came to by now. */
  readonly outcome: () => T | "open";
}

function watch<T>(promise: T | Promise<T>): Watched<T> {
  let outcome: T | "open" = "open";
  void Promise.resolve(promise).then((value) => (outcome = value));
  return { outcome: () => outcome };
}

const codeOf = (result: OperationResult<"event"> | "open"): string =>
  result === "open" ? "open" : result.ok ? "ok" : result.error.code;

const [alpha, beta, gamma] = ["alpha.example", "beta.example", "gamma.example"];
const wanted = (eventId = "$e"): OperationRequest<"event"> => ({ roomId: "!room:alpha.example", eventId });
const found = (event: JsonValue): OperationResult<"event"> => ({ ok: true, value: { event } });

interface World {
  readonly time: VirtualTime;
  readonly network: VirtualNetwork;
  readonly trace: Trace;
  /** Who asked whom for which event, as receivers saw it. */
  readonly heard: string[];
  readonly ask: (from: string, to: string, eventId?: string) => Watched<OperationResult<"event">>;
}

/** Three servers that answer every event with its id. */
function world(options: NetworkOptions = {}, seed = 1): World {
  const time = new VirtualTime();
  const trace = new Trace(time, { on: true });
  const network = new VirtualNetwork(time, seededRandom(seed), { timeout: 1000, ...options, trace });
  const heard: string[] = [];
  for (const server of [alpha, beta, gamma]) {
    const event = (origin: string, { eventId }: OperationRequest<"event">): OperationResult<"event"> => {
      heard.push(`${origin} ${server} ${eventId}`);
      return found({ eventId });
    };
    network.transport(server).listen(receiverOf({ event }));
  }
  const ask: World["ask"] = (from, to, eventId) => watch(network.transport(from).request(to, "event", wanted(eventId)));
  return { time, network, trace, heard, ask };
}

describe("virtual time", () => {
  it("does tasks by time, and in the order they were asked for within an instant", async () => {
    const time = new VirtualTime();
    const done: string[] = [];
    for (const [ms, name] of [
      [5, "e"],
      [1, "a"],
      [3, "c"],
      [3, "d"],
      [1, "b"],
      [-4, "now"],
    ] as const) {
      time.after(ms, () => void done.push(`${name}${time.now}`));
    }
    expect(await run(time)).toEqual({ tasks: 6, stopped: "idle" });
    expect(done).toEqual(["now0", "a1", "b1", "c3", "d3", "e5"]);
  });

  it("agrees with a sorted list of thousands of tasks, of which many were taken back", async () => {
    const time = new VirtualTime();
    const random = seededRandom(7);
    const expected: (readonly [at: number, order: number])[] = [];
    const done: number[] = [];
    for (let order = 0; order < 5000; order++) {
      const at = random.integer(600);
      const takeBack = time.after(at, () => void done.push(order));
      if (random.chance(0.6)) {
        takeBack();
        takeBack();
      } else expected.push([at, order]);
    }
    expect(time.pending).toBe(expected.length);
    const report = await run(time);
    expect(report.tasks).toBe(expected.length);
    expect(done).toEqual(expected.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, order]) => order));
    expect(time.pending).toBe(0);
  });

  it("lets promises settle before the next instant, whatever they chain", async () => {
    const time = new VirtualTime();
    const done: string[] = [];
    const walk = async (name: string, pause: number): Promise<void> => {
      for (let step = 0; step < 3; step++) {
        await time.sleep(pause);
        for (let turn = 0; turn < 20; turn++) await Promise.resolve();
        done.push(`${name}${time.now}`);
      }
    };
    void walk("slow", 10);
    void walk("fast", 4);
    await run(time);
    expect(done).toEqual(["fast4", "fast8", "slow10", "fast12", "slow20", "slow30"]);
  });

  it("starts what is asked for within an instant after that instant's promises have settled", async () => {
    const time = new VirtualTime();
    const done: string[] = [];
    time.after(1, () => {
      time.after(0, () => void done.push("asked for by the first task"));
      void time.sleep(0).then(() => done.push("the first task's sleeper"));
      void Promise.resolve().then(() => done.push("a promise of the first task"));
    });
    time.after(1, () => void done.push("the second task"));
    expect((await run(time)).tasks).toBe(4);
    expect(done).toEqual([
      "the second task",
      "a promise of the first task",
      "asked for by the first task",
      "the first task's sleeper",
    ]);
  });

  it("stops at the time it was given, and goes on from there", async () => {
    const time = new VirtualTime();
    const done: number[] = [];
    for (const ms of [10, 20, 30]) time.after(ms, () => void done.push(ms));
    expect(await run(time, 20)).toEqual({ tasks: 2, stopped: "until" });
    expect([time.now, done]).toEqual([20, [10, 20]]);
    expect(await run(time, 100)).toEqual({ tasks: 1, stopped: "idle" });
    expect(time.now).toBe(100);
  });

  it("ends what never comes to rest after as many tasks as it may do", async () => {
    const time = new VirtualTime();
    const again = (): void => void time.after(0, again);
    again();
    expect(await time.run({ settle, maxTasks: 50 })).toEqual({ tasks: 50, stopped: "max-tasks" });
    expect([time.now, time.pending]).toEqual([0, 1]);
  });

  it("throws what a task throws or rejects with, and refuses a second run meanwhile", async () => {
    const time = new VirtualTime();
    time.after(1, () => Promise.reject(new Error("later")));
    const first = run(time);
    await expect(run(time)).rejects.toThrow(UsageError);
    await expect(first).rejects.toThrow("later");
    time.after(1, () => {
      throw new Error("at once");
    });
    await expect(run(time)).rejects.toThrow("at once");
    expect(() => time.after(Number.NaN, () => undefined)).toThrow(UsageError);
  });

  it("wakes sleepers on time or when they are cancelled, whichever is first, and leaves no task behind", async () => {
    const time = new VirtualTime();
    const control = new AbortController();
    const cancel = cancelFrom(control.signal);
    const woken: string[] = [];
    const sleep = (name: string, ms: number): void =>
      void time.sleep(ms, cancel).then(() => woken.push(`${name}${time.now}`));
    sleep("short", 10);
    sleep("long", 1000);
    sleep("endless", Infinity);
    time.after(50, () => control.abort());
    expect(await run(time)).toEqual({ tasks: 2, stopped: "idle" });
    expect(woken).toEqual(["short10", "long50", "endless50"]);
    sleep("late", 10);
    expect(time.pending).toBe(0);
    await run(time);
    expect(woken.at(-1)).toBe("late50");
  });

  it("lets clocks lie about the time and not about the order of what happens", async () => {
    const order = async (lie: boolean): Promise<{ woken: string[]; said: number[] }> => {
      const time = new VirtualTime();
      const [honest, liar] = [time.clock(), time.clock(lie ? { skew: -60_000, drift: 0.5 } : {})];
      const woken: string[] = [];
      const said: number[] = [];
      void liar.sleep(1000).then(() => {
        woken.push("liar");
        said.push(liar.now() - honest.now());
        liar.lie({ drift: -1 });
      });
      void honest.sleep(1001).then(() => woken.push("honest"));
      await run(time, 3000);
      said.push(liar.now() - honest.now());
      if (lie) liar.lie({ skew: 7 });
      said.push(liar.now() - honest.now());
      expect(honest.now()).toBe(time.epoch + 3000);
      return { woken, said };
    };
    const [straight, crooked] = [await order(false), await order(true)];
    expect(crooked.woken).toEqual(straight.woken);
    expect(crooked.said).toEqual([-59_500, -61_500, 7]);
  });
});

describe("seeded randomness", () => {
  it("is a function of the seed, and of the label for a fork, whatever was drawn before", () => {
    const draws = (random: ReturnType<typeof seededRandom>): number[] => Array.from({ length: 50 }, random.next);
    expect(draws(seededRandom(5))).toEqual(draws(seededRandom(5)));
    expect(draws(seededRandom(5))).not.toEqual(draws(seededRandom(6)));
    expect(draws(seededRandom(5))).not.toEqual(draws(seededRandom(5 + 2 ** 32)));
    const [used, fresh] = [seededRandom(5), seededRandom(5)];
    draws(used);
    expect(draws(used.fork("a b"))).toEqual(draws(fresh.fork("a b")));
    expect(draws(fresh.fork("a b"))).not.toEqual(draws(fresh.fork("b a")));
    expect(draws(fresh.fork("a"))).not.toEqual(draws(seededRandom(5)));
  });

  it("draws about evenly, and pairs of neighbours too", () => {
    for (const seed of [0, 1, 2, -1, 123_456_789]) {
      const random = seededRandom(seed);
      const counts = new Map<number, number>();
      let before = random.integer(8);
      for (let draw = 0; draw < 64_000; draw++) {
        const next = random.integer(8);
        counts.set(before * 8 + next, (counts.get(before * 8 + next) ?? 0) + 1);
        before = next;
      }
      expect(counts.size).toBe(64);
      // 1000 each, with a standard deviation of about 31.
      expect(Math.min(...counts.values())).toBeGreaterThan(850);
      expect(Math.max(...counts.values())).toBeLessThan(1150);
    }
  });

  it("is no generator for first draws that resemble each other from seed to seed", () => {
    let sum = 0;
    for (let seed = 0; seed < 4000; seed++) sum += seededRandom(seed).next();
    expect(sum / 4000).toBeCloseTo(0.5, 1);
    const first = new Set(Array.from({ length: 4000 }, (_, seed) => seededRandom(seed).next()));
    expect(first.size).toBeGreaterThan(3990);
  });

  it("picks and bounds as asked, and refuses what cannot be drawn", () => {
    const random = seededRandom(1);
    const rolls = new Set(Array.from({ length: 200 }, () => random.between(3, 5)));
    expect([...rolls].sort()).toEqual([3, 4, 5]);
    expect(new Set(Array.from({ length: 200 }, () => random.pick(["x", "y"])))).toEqual(new Set(["x", "y"]));
    expect([random.chance(0), random.chance(1)]).toEqual([false, true]);
    expect(() => random.pick([])).toThrow(UsageError);
    expect(() => random.integer(0)).toThrow(UsageError);
    expect(() => seededRandom(0.5)).toThrow(UsageError);
  });

  it("gives the port bytes that a seed decides, others at every call", () => {
    const [one, same, other] = [randomPort(1), randomPort(seededRandom(1)), randomPort(2)];
    const first = one.bytes(20);
    expect(first).toHaveLength(20);
    expect(same.bytes(20)).toEqual(first);
    expect(one.bytes(20)).not.toEqual(first);
    expect(other.bytes(20)).not.toEqual(first);
  });
});

describe("determinism", () => {
  async function rough(seed: number): Promise<World> {
    const it = world({ link: { latency: [1, 400], loss: 0.2, duplication: 0.3 } }, seed);
    const random = seededRandom(seed).fork("script");
    const servers = [alpha, beta, gamma];
    for (let turn = 0; turn < 200; turn++) {
      it.time.after(random.integer(5000), () => {
        const from = random.pick(servers);
        it.ask(from, random.pick(servers.filter((server) => server !== from)), `$${turn}`);
        if (random.chance(0.05)) it.network.partition([[random.pick(servers)]]);
        if (random.chance(0.05)) it.network.heal();
      });
    }
    await run(it.time);
    return it;
  }

  it("gives the same trace and the same statistics for the same seed, and others for another", async () => {
    const [first, second, other] = [await rough(11), await rough(11), await rough(12)];
    expect(first.trace.count).toBeGreaterThan(600);
    expect(second.trace.lines()).toEqual(first.trace.lines());
    expect(second.trace.hash()).toBe(first.trace.hash());
    expect(second.network.statistics()).toEqual(first.network.statistics());
    expect(other.trace.hash()).not.toBe(first.trace.hash());
  });

  it("reorders by latency alone", async () => {
    const { heard } = await rough(11);
    const order = heard.filter((line) => line.startsWith(`${alpha} ${beta}`));
    expect(order.length).toBeGreaterThan(10);
    const { time, heard: quick, ask } = world({ link: { latency: [1, 400] } });
    const ids = Array.from({ length: 20 }, (_, index) => `$${index}`);
    for (const id of ids) ask(alpha, beta, id);
    await run(time);
    const arrived = quick.map((line) => line.split(" ")[2]);
    expect(arrived).not.toEqual(ids);
    expect([...arrived].sort()).toEqual([...ids].sort());
  });
});

describe("trace", () => {
  it("keeps its last entries and hashes them all; off, it keeps nothing", () => {
    const clock = { now: 0 };
    const [bounded, whole, off] = [
      new Trace(clock, { on: true, limit: 3 }),
      new Trace(clock, { on: true }),
      new Trace(clock),
    ];
    for (let entry = 0; entry < 20; entry++) {
      clock.now = entry * 10;
      for (const trace of [bounded, whole, off]) trace.note(alpha, `entry ${entry}`);
    }
    expect(bounded.lines()).toEqual([
      "(17 entries before these)",
      "      170 alpha.example entry 17",
      "      180 alpha.example entry 18",
      "      190 alpha.example entry 19",
    ]);
    expect(whole.entries()).toHaveLength(20);
    expect(bounded.hash()).toBe(whole.hash());
    expect(bounded.hash()).toMatch(/^[0-9a-f]{16}$/);
    expect([off.count, off.lines(), off.hash()]).toEqual([0, [], new Trace(clock).hash()]);
  });

  it("hashes time, server, words and order", () => {
    const hash = (...entries: [at: number, server: string, what: string][]): string => {
      const clock = { now: 0 };
      const trace = new Trace(clock, { on: true });
      for (const [at, server, what] of entries) {
        clock.now = at;
        trace.note(server, what);
      }
      return trace.hash();
    };
    const hashes = [
      hash(),
      hash([1, "a", "x"]),
      hash([2, "a", "x"]),
      hash([1, "b", "x"]),
      hash([1, "a", "y"]),
      hash([1, "a", "x"], [1, "a", "y"]),
      hash([1, "a", "y"], [1, "a", "x"]),
      hash([1, "a", "x\n1\na\ny"]),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe("network", () => {
  it("carries a request and its answer, each after the latency of its way", async () => {
    const { time, network, heard, ask } = world();
    network.setLink(alpha, beta, { latency: [100, 100] });
    network.setLink(beta, alpha, { latency: [30, 30] });
    const answer = ask(alpha, beta);
    await run(time, 99);
    expect([heard, answer.outcome()]).toEqual([[], "open"]);
    await run(time, 129);
    expect([heard, answer.outcome()]).toEqual([[`${alpha} ${beta} $e`], "open"]);
    await run(time);
    expect(answer.outcome()).toEqual(found({ eventId: "$e" }));
    expect(time.now).toBe(130);
  });

  it("cuts servers of different groups from each other both ways, until it heals", async () => {
    const { time, network, heard, ask } = world();
    network.partition([[alpha], [beta]]);
    const cut = [ask(alpha, beta), ask(beta, alpha), ask(gamma, alpha)];
    const joined = ask(gamma, gamma);
    await run(time);
    expect(cut.map((answer) => codeOf(answer.outcome()))).toEqual(["timeout", "timeout", "timeout"]);
    expect(codeOf(joined.outcome())).toBe("ok");
    expect(heard).toEqual([`${gamma} ${gamma} $e`]);
    expect(time.now).toBe(1000);
    network.partition([[alpha, beta]]);
    const [inside, outside] = [ask(alpha, beta), ask(alpha, gamma)];
    await run(time);
    expect([codeOf(inside.outcome()), codeOf(outside.outcome())]).toEqual(["ok", "timeout"]);
    network.heal();
    const healed = ask(alpha, gamma);
    await run(time);
    expect(codeOf(healed.outcome())).toBe("ok");
  });

  it("loses what is on its way when the link is cut", async () => {
    const { time, network, heard, ask } = world({ link: { latency: [100, 100] } });
    const [before, after] = [ask(alpha, beta, "$before"), ask(gamma, beta, "$after")];
    time.after(50, () => network.block(alpha, beta));
    time.after(150, () => network.block(beta, gamma));
    await run(time);
    expect([codeOf(before.outcome()), codeOf(after.outcome())]).toEqual(["timeout", "timeout"]);
    expect(heard).toEqual([`${gamma} ${beta} $after`]);
    expect(network.statistics()).toMatchObject({ lost: 2, timeouts: 2, deliveries: 1, answered: 0 });
  });

  it("loses what is sent while the link is cut, even when it heals before that would have arrived", async () => {
    const { time, network, heard, ask } = world({ link: { latency: [100, 100] } });
    network.partition([[alpha]]);
    const answer = ask(alpha, beta);
    time.after(50, () => network.heal());
    await run(time);
    expect([heard, codeOf(answer.outcome())]).toEqual([[], "timeout"]);
  });

  it("blocks one way: no request arrives that way, and what is asked the other way is done, not answered", async () => {
    const { time, network, heard, ask } = world();
    network.block(alpha, beta);
    const [there, back] = [ask(alpha, beta, "$there"), ask(beta, alpha, "$back")];
    await run(time);
    expect([codeOf(there.outcome()), codeOf(back.outcome())]).toEqual(["timeout", "timeout"]);
    expect(heard).toEqual([`${beta} ${alpha} $back`]);
    network.unblock(alpha, beta);
    const again = ask(alpha, beta);
    await run(time);
    expect(codeOf(again.outcome())).toBe("ok");
  });

  it("answers timeout where the request or the answer is lost, and never hangs", async () => {
    const { time, network, ask } = world({ link: { loss: 1 } });
    const answer = ask(alpha, beta);
    await run(time, 999);
    expect(answer.outcome()).toBe("open");
    await run(time);
    expect(codeOf(answer.outcome())).toBe("timeout");
    network.calm();
    const calm = ask(alpha, beta);
    await run(time);
    expect(codeOf(calm.outcome())).toBe("ok");
    expect(network.statistics()).toMatchObject({ requests: 2, lost: 1, timeouts: 1, answered: 1 });
  });

  it("settles every one of many requests over a bad link, and forgets their timers", async () => {
    const { time, network, ask } = world({ link: { loss: 0.3, duplication: 0.2, latency: [0, 700] } });
    const answers = Array.from({ length: 300 }, (_, index) => ask(alpha, index % 2 === 0 ? beta : gamma, `$${index}`));
    expect(network.statistics()).toMatchObject({ inFlight: { now: 300, most: 300 } });
    expect(network.statistics().queues.get(beta)).toEqual({ now: 150, most: 150 });
    await run(time);
    const codes = answers.map((answer) => codeOf(answer.outcome()));
    const { answered, timeouts, inFlight, byOperation } = network.statistics();
    expect(codes.filter((code) => code === "ok")).toHaveLength(answered);
    expect(codes.filter((code) => code === "timeout")).toHaveLength(timeouts);
    expect(answered + timeouts).toBe(300);
    expect(Math.min(answered, timeouts)).toBeGreaterThan(50);
    expect([inFlight.now, time.pending, byOperation]).toEqual([0, 0, { event: 300 }]);
  });

  it("delivers a repeated request twice and uses one answer", async () => {
    const { time, network, heard } = world({ link: { duplication: 1, latency: [1, 50] } });
    let answers = 0;
    network.listen(
      beta,
      receiverOf({
        event: (origin, { eventId }) => {
          heard.push(`${origin} ${eventId}`);
          return found(++answers);
        },
      }),
    );
    const answer = watch(network.transport(alpha).request(beta, "event", wanted()));
    await run(time);
    expect(heard).toEqual([`${alpha} $e`, `${alpha} $e`]);
    const outcome = answer.outcome();
    expect([found(1), found(2)]).toContainEqual(outcome);
    expect(network.statistics()).toMatchObject({ requests: 1, duplicated: 1, deliveries: 2, answered: 1 });
  });

  it("says unreachable of a server that is down or does not listen, after the way there and back", async () => {
    const { time, network, ask } = world({ link: { latency: [20, 20] } });
    network.takeDown(beta);
    const [down, unknown] = [ask(alpha, beta), ask(alpha, "nobody.example")];
    await run(time);
    expect([codeOf(down.outcome()), codeOf(unknown.outcome()), time.now]).toEqual(["unreachable", "unreachable", 40]);
    expect([network.isUp(beta), network.isUp(alpha)]).toEqual([false, true]);
    const own = ask(beta, alpha);
    await run(time);
    expect(codeOf(own.outcome())).toBe("unreachable");
    network.bringUp(beta);
    const up = ask(alpha, beta);
    await run(time);
    expect(codeOf(up.outcome())).toBe("ok");
  });

  it("sends no answer of a server that went down in between, even when it is up again", async () => {
    const { time, network } = world();
    network.listen(
      beta,
      receiverOf({
        event: async () => {
          await time.sleep(200);
          return found("old life");
        },
      }),
    );
    const answer = watch(network.transport(alpha).request(beta, "event", wanted()));
    time.after(100, () => network.takeDown(beta));
    time.after(101, () => network.bringUp(beta));
    await run(time);
    expect(codeOf(answer.outcome())).toBe("timeout");
  });

  it("brings no answer to a server that went down after it asked", async () => {
    const { time, network, heard, ask } = world({ link: { latency: [100, 100] } });
    const answer = ask(alpha, beta);
    time.after(50, () => network.takeDown(alpha));
    time.after(150, () => network.bringUp(alpha));
    await run(time);
    expect([heard, codeOf(answer.outcome())]).toEqual([[`${alpha} ${beta} $e`], "timeout"]);
  });

  it("stops waiting when it is cancelled, and sends nothing when it was before", async () => {
    const { time, network, heard } = world({ link: { latency: [100, 100] } });
    const control = new AbortController();
    const cancel = cancelFrom(control.signal);
    const transport = network.transport(alpha);
    const during = watch(transport.request(beta, "event", wanted("$during"), cancel));
    time.after(10, () => control.abort());
    await run(time, 10);
    expect(codeOf(during.outcome())).toBe("cancelled");
    const before = watch(transport.request(beta, "event", wanted("$before"), cancel));
    await run(time);
    expect(codeOf(before.outcome())).toBe("cancelled");
    expect(heard).toEqual([`${alpha} ${beta} $during`]);
    expect(network.statistics()).toMatchObject({ requests: 1, cancelled: 2, inFlight: { now: 0 } });
  });

  it("shares no object between servers, in requests, repeated requests and answers", async () => {
    const time = new VirtualTime();
    const network = new VirtualNetwork(time, seededRandom(3), { link: { duplication: 1 } });
    const pdu: JsonObject = JSON.parse(
      '{"content": {"list": [1, {"deep": true}], "__proto__": {"own": 1}}}',
    ) as JsonObject;
    const kept = { event: pdu };
    const received: OperationRequest<"send">[] = [];
    network.listen(
      beta,
      receiverOf({
        send: (_origin, request) => {
          received.push(request);
          return { ok: true, value: { pdus: {} } };
        },
        event: () => ({ ok: true, value: kept }),
      }),
    );
    const transport = network.transport(alpha);
    const request = { transactionId: "1", pdus: [pdu] };
    void transport.request(beta, "send", request);
    request.pdus.push("changed after it was sent" as never);
    const answer = watch(transport.request(beta, "event", wanted()));
    await run(time);
    const [first, second] = received;
    expect(first).toEqual({ transactionId: "1", pdus: [pdu] });
    expect(second).toEqual(first);
    const outcome = answer.outcome();
    expect(outcome).toEqual({ ok: true, value: kept });
    const value = outcome !== "open" && outcome.ok ? outcome.value : undefined;
    const objects = [kept, request, first, second, value].map((root) => new Set(objectsIn(root)));
    expect(objects.map((set) => set.size)).toEqual([6, 7, 7, 7, 6]);
    for (const set of objects.slice(2)) {
      const others = objects.filter((other) => other !== set).flatMap((other) => [...other]);
      expect(others.filter((object) => set.has(object))).toEqual([]);
    }
  });

  it("hands an interceptor copies, so that it lies to others and not to its own engine", async () => {
    const { time, network } = world();
    const own = { event: { content: { body: "true" } } };
    const request = { transactionId: "1", pdus: [{ content: { body: "true" } }] };
    const falsify = (event: JsonValue): void =>
      void Object.assign((event as { content: object }).content, { body: "false" });
    network.intercept(beta, {
      sending: {
        send: (_destination, sent) => {
          sent.pdus.forEach(falsify);
          return sent;
        },
      },
      answering: {
        event: (_origin, _request, result) => {
          if (result.ok) falsify(result.value.event);
          return result;
        },
      },
    });
    let received: JsonValue | undefined;
    network.listen(beta, receiverOf({ event: () => ({ ok: true, value: own }) }));
    network.listen(
      alpha,
      receiverOf({
        send: (_origin, { pdus }) => {
          [received] = pdus;
          return { ok: true, value: { pdus: {} } };
        },
      }),
    );
    void network.transport(beta).request(alpha, "send", request);
    const answer = watch(network.transport(alpha).request(beta, "event", wanted()));
    await run(time);
    expect(received).toEqual({ content: { body: "false" } });
    expect(answer.outcome()).toEqual(found({ content: { body: "false" } }));
    expect([own.event, request.pdus[0]]).toEqual([{ content: { body: "true" } }, { content: { body: "true" } }]);
  });

  it("keeps a receiver that throws or answers what is no message as a fault, and answers internal", async () => {
    const { time, network } = world();
    network.listen(beta, () => Promise.reject(new Error("a bug")));
    network.listen(gamma, receiverOf({ event: () => found((() => undefined) as never) }));
    const answers = [beta, gamma].map((to) => watch(network.transport(alpha).request(to, "event", wanted())));
    await run(time);
    expect(answers.map((answer) => codeOf(answer.outcome()))).toEqual(["internal", "internal"]);
    expect(new Set(network.faults.map(({ server, error }) => [server, (error as Error).message].join(": ")))).toEqual(
      new Set([`${beta}: a bug`, `${gamma}: A message holds JSON, and function is none: send plain data.`]),
    );
  });

  it("lets a hostile server change or keep back what its engine says, and make up requests as itself", async () => {
    const { time, network, heard, ask } = world();
    const remove = network.intercept(beta, {
      sending: {
        event: (destination, request) => (destination === gamma ? undefined : { ...request, eventId: "$forged" }),
      },
      answering: { event: (origin, { eventId }) => (origin === gamma ? undefined : found(`not ${eventId}`)) },
    });
    const [changed, kept] = [ask(alpha, beta), ask(gamma, beta)];
    const [forging, silent] = [ask(beta, alpha), ask(beta, gamma)];
    const injected = watch(network.inject(beta, gamma, "event", wanted("$injected")));
    await run(time);
    expect(changed.outcome()).toEqual(found("not $e"));
    expect([kept, silent].map((answer) => codeOf(answer.outcome()))).toEqual(["timeout", "timeout"]);
    expect(forging.outcome()).toEqual(found({ eventId: "$forged" }));
    expect(injected.outcome()).toEqual(found({ eventId: "$injected" }));
    expect(heard).toContain(`${beta} ${gamma} $injected`);
    remove();
    const honest = ask(gamma, beta);
    await run(time);
    expect(honest.outcome()).toEqual(found({ eventId: "$e" }));
  });

  it("refuses latencies that are not two whole numbers, the lower first", () => {
    const { network } = world();
    expect(() => network.setConditions({ latency: [5, 1] })).toThrow(UsageError);
    expect(() => network.setLink(alpha, beta, { latency: [0, 1.5] })).toThrow(UsageError);
  });
});

describe("copies of messages", () => {
  it("keep integers beyond 2^53 and floats with their source, and leave out what is undefined", () => {
    const float = new JsonFloat(1, "1.0");
    const message = { big: 2n ** 60n, float, list: [null, true, "text", -0.5], absent: undefined };
    const { copy, size } = copyMessage(message);
    expect(copy).toEqual({ big: 2n ** 60n, float: { value: 1, source: "1.0" }, list: [null, true, "text", -0.5] });
    expect(copy.float).toBeInstanceOf(JsonFloat);
    expect(copy.float).not.toBe(float);
    expect(Object.keys(copy)).not.toContain("absent");
    expect(size).toBeGreaterThan(40);
  });

  it("go as deep as the message, and refuse objects of classes", () => {
    let deep: JsonValue = "bottom";
    for (let level = 0; level < 200_000; level++) deep = level % 2 === 0 ? [deep] : { deep };
    let levels = 0;
    let at: JsonValue | undefined = copyMessage(deep).copy;
    while (typeof at === "object") {
      levels++;
      [at] = Object.values<JsonValue>(at as JsonObject | JsonArray);
    }
    expect([levels, at]).toEqual([200_000, "bottom"]);
    expect(() => copyMessage({ state: new Map() })).toThrow(UsageError);
    expect(() => copyMessage([undefined])).toThrow(UsageError);
  });
});

const roomId = "!room:alpha.example";

/** A commit that adds nothing but a revision. */
function batch(revision: number, expected: number | undefined = revision === 1 ? undefined : revision - 1): Batch {
  return {
    roomId,
    expected,
    record: {
      roomId,
      roomVersion: "11",
      revision,
      forwardExtremities: [],
      stateGroup: 1,
      lastGroup: 1,
      firstPosition: 0,
      lastPosition: 0,
      liveDepth: 1,
    },
    events: [],
    groups: [],
    pending: { put: [], remove: [] },
    waiting: [],
    outbox: [],
    outside: { put: [], remove: [] },
    intents: { put: [], remove: [] },
  };
}

async function revisionOf(storage: Storage): Promise<number | undefined> {
  return (await storage.openRoom(roomId))?.record.revision;
}

describe("crashes", () => {
  it.each([
    ["before", 1],
    ["after", 2],
  ] as const)("%s a commit leave the room at revision %i, and the caller never learns", async (when, revision) => {
    const data = createMemoryStorage();
    const host = crashable(data, crashAtCommit(2, when));
    const { storage, lifeline } = host.generation;
    expect(await storage.commit(batch(1))).toEqual({ committed: true });
    const lost = watch(storage.commit(batch(2)));
    const late = watch(storage.roomIds());
    await settle();
    expect([lost.outcome(), late.outcome(), lifeline.alive]).toEqual(["open", "open", false]);
    expect(await revisionOf(data)).toBe(revision);

    const next = host.restart();
    expect([next.number, next.lifeline.alive, host.generation]).toEqual([2, true, next]);
    expect(await revisionOf(next.storage)).toBe(revision);
    expect(await next.storage.commit(batch(revision + 1))).toEqual({ committed: true });
    await settle();
    expect([lost.outcome(), late.outcome()]).toEqual(["open", "open"]);
    expect([host.crashes, host.commits, host.revisions.get(roomId)]).toEqual([1, 3, revision + 1]);
    host.assertMonotonicRevisions();
  });

  it("reach every write, and no dead process writes any more", async () => {
    const host = crashable(createMemoryStorage(), crashAtWrite(2, "after"));
    const { storage } = host.generation;
    await storage.commit(batch(1));
    void storage.putIntent({ id: "first", kind: "join", data: {} });
    void storage.putIntent({ id: "second", kind: "join", data: {} });
    void storage.commit(batch(2));
    const next = host.restart();
    expect((await next.storage.readIntents()).map(({ id }) => id)).toEqual(["first"]);
    expect([await revisionOf(next.storage), host.writes, host.commits]).toEqual([1, 2, 1]);
  });

  it("can be planned again, ordered at once, and told by the batch", async () => {
    const host = crashable(createMemoryStorage());
    host.plan(({ batch: planned }) => (planned?.record.revision === 2 ? "before" : undefined));
    await host.generation.storage.commit(batch(1));
    void host.generation.storage.commit(batch(2));
    expect([host.generation.lifeline.alive, host.crashes]).toEqual([false, 1]);
    host.plan(undefined);
    const second = host.restart();
    expect(await second.storage.commit(batch(2))).toEqual({ committed: true });
    host.crash();
    const afterwards = watch(second.storage.openRoom(roomId));
    await settle();
    expect([second.lifeline.alive, afterwards.outcome(), host.crashes]).toEqual([false, "open", 1]);
  });

  it("come between the writes of a storage that takes its time, which then still takes effect", async () => {
    const time = new VirtualTime();
    const data = createMemoryStorage();
    const host = crashable(slowStorage(data, time, seededRandom(1), [10, 10]));
    const { storage } = host.generation;
    const result = watch(storage.commit(batch(1)));
    time.after(5, () => host.crash());
    await run(time);
    expect([result.outcome(), await revisionOf(data), time.now]).toEqual(["open", 1, 10]);
    const [one, two] = [host.restart(), host.startAnother()];
    const race = [watch(one.storage.commit(batch(2))), watch(two.storage.commit(batch(2)))];
    await run(time);
    expect(race.map((racer) => racer.outcome())).toEqual([{ committed: true }, { committed: false, revision: 2 }]);
    host.assertMonotonicRevisions();
  });

  it("do not hide a storage or an engine whose revisions do not count up one by one", async () => {
    const host = crashable(createMemoryStorage());
    await host.generation.storage.commit(batch(1));
    // A storage that says yes to everything.
    const yes = crashable({ ...createMemoryStorage(), commit: () => ({ committed: true }) });
    await yes.generation.storage.commit(batch(5, 4));
    yes.assertMonotonicRevisions();
    await yes.generation.storage.commit(batch(5, 4));
    await yes.generation.storage.commit(batch(7, 5));
    expect(() => yes.assertMonotonicRevisions()).toThrow(
      [
        `${roomId} went from revision 5 to 5 by a commit based on 4.`,
        `${roomId} went from revision 5 to 7 by a commit based on 5.`,
      ].join("\n"),
    );
    host.assertMonotonicRevisions();
  });
});

describe("a lifeline", () => {
  it("takes transport, clock, keys and observer with it, and stops listening", async () => {
    const { time, network } = world({ link: { latency: [10, 10] } });
    const lifeline = new Lifeline();
    const transport: Transport = lifeline.guardTransport(network.transport(beta));
    const clock = lifeline.guardClock(time.clock());
    const keys: Keys = lifeline.guardKeys(keyedHashKeys(beta, createKeyRing()));
    const metrics: number[] = [];
    const observer = lifeline.guardObserver({ onMetric: ({ value }) => void metrics.push(value) });
    transport.listen(
      receiverOf({
        event: async () => {
          await clock.sleep(100);
          return found("too late");
        },
      }),
    );
    const asked = watch(network.transport(alpha).request(beta, "event", wanted()));
    const asks = watch(transport.request(alpha, "event", wanted()));
    const sleeper = watch(clock.sleep(50).then(() => "woken"));
    observer.onMetric?.({ name: "room.pending", value: 1 });
    let ended = 0;
    lifeline.onEnd(() => ended++);
    time.after(15, () => {
      lifeline.end();
      lifeline.end();
    });
    await run(time, 200);
    observer.onMetric?.({ name: "room.pending", value: 2 });
    const [signs, looks, verifies] = [
      watch(keys.sign(new Uint8Array(1))),
      watch(keys.lookup([])),
      watch(keys.verify([])),
    ];
    const later = watch(network.transport(alpha).request(beta, "event", wanted()));
    const dead = watch(transport.request(alpha, "event", wanted()));
    await run(time);
    for (const open of [asks, sleeper, signs, looks, verifies, dead]) expect(open.outcome()).toBe("open");
    expect([codeOf(asked.outcome()), codeOf(later.outcome())]).toEqual(["timeout", "unreachable"]);
    expect([metrics, ended]).toEqual([[1], 1]);
    // What is no longer awaited by a port may not be told to a client either.
    expect(watch(lifeline.pass(() => "acknowledged")).outcome()).toBe("open");
    expect(lifeline.onEnd(() => ended++)).toBeTypeOf("function");
    expect(ended).toBe(2);
  });

  it("is not noticed while the process lives, rejections included", async () => {
    const { time, network, ask } = world();
    const lifeline = new Lifeline();
    const stop = lifeline.guardTransport(network.transport(beta)).listen(receiverOf({ event: () => found("guarded") }));
    const answer = ask(alpha, beta);
    await run(time);
    expect(answer.outcome()).toEqual(found("guarded"));
    stop();
    const stopped = ask(alpha, beta);
    await run(time);
    expect(codeOf(stopped.outcome())).toBe("unreachable");
    await expect(lifeline.pass(() => Promise.reject(new Error("the port is broken")))).rejects.toThrow("broken");
    expect(lifeline.pass(() => 5)).toBe(5);
    expect(
      lifeline.pass(() => {
        lifeline.end();
        return 5;
      }),
    ).toBeInstanceOf(Promise);
  });

  it("leaves the receiver of the next generation alone when the one before ends late", async () => {
    const { time, network, ask } = world();
    const [old, young] = [new Lifeline(), new Lifeline()];
    old.guardTransport(network.transport(beta)).listen(receiverOf({ event: () => found("old") }));
    young.guardTransport(network.transport(beta)).listen(receiverOf({ event: () => found("young") }));
    old.end();
    const answer = ask(alpha, beta);
    await run(time);
    expect(answer.outcome()).toEqual(found("young"));
  });
});

describe("keys", () => {
  const message = new Uint8Array([1, 2, 3]);

  describe.each([
    ["keyed hashes", keyedHashKeys, KEYED_HASH_KEY_ID],
    ["Ed25519", ed25519Keys, TEST_KEY_ID],
  ] as const)("of %s", (_name, make, keyId) => {
    it("sign what every server of the ring can verify, and the same way each time", async () => {
      const ring = createKeyRing();
      const [mine, theirs] = [make(alpha, ring), make(beta, ring)];
      const signed = await mine.sign(message);
      expect(signed.keyId).toBe(keyId);
      expect(signed.signature).toHaveLength(64);
      expect(await make(alpha, createKeyRing()).sign(message)).toEqual(signed);
      const request = { server: alpha, keyId, validAt: 0 };
      const [known, nobody, otherKey] = await theirs.lookup([
        request,
        { ...request, server: gamma },
        { ...request, keyId: "ed25519:other" },
      ]);
      expect([nobody, otherKey]).toEqual([undefined, undefined]);
      expect(known!.key).toHaveLength(32);
      const { signature } = signed;
      const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
        bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
      const [own] = await theirs.lookup([{ ...request, server: beta }]);
      const { key } = known!;
      const verdicts = await theirs.verify([
        { key, message, signature },
        { key, message: flipped(message, 2), signature },
        { key, message, signature: flipped(signature, 0) },
        { key, message, signature: flipped(signature, 63) },
        { key, message, signature: signature.subarray(0, 32) },
        { key, message, signature: new Uint8Array(64) },
        { key, message, signature: (await theirs.sign(message)).signature },
        { key: own!.key, message, signature },
        { key: flipped(key, 0), message, signature },
      ]);
      expect(verdicts).toEqual([true, false, false, false, false, false, false, false, false]);
    });

    it("let a hostile server sign wrongly as itself", async () => {
      const ring = createKeyRing();
      const honest = make(beta, ring);
      const hostile = wrongSignatures(make(alpha, ring));
      const { signature } = await hostile.sign(message);
      const [key] = await honest.lookup([{ server: alpha, keyId, validAt: 0 }]);
      expect(await honest.verify([{ key: key!.key, message, signature }])).toEqual([false]);
    });

    it("can be withheld and published again", async () => {
      const ring = createKeyRing();
      const [keys] = [make(alpha, ring), make(beta, ring)];
      const request = { server: beta, keyId, validAt: 0 };
      ring.withhold(beta);
      expect(await keys.lookup([request])).toEqual([undefined]);
      ring.publish(beta);
      expect((await keys.lookup([request]))[0]!.key).toHaveLength(32);
    });
  });

  it("of both kinds stand in one ring, and rings know nothing of each other", async () => {
    const [ring, other] = [createKeyRing(), createKeyRing()];
    const [hashed, real] = [keyedHashKeys(alpha, ring), ed25519Keys(beta, ring)];
    const signatures = [await hashed.sign(message), await real.sign(message)];
    const keys = await real.lookup(
      [alpha, beta].map((server, index) => ({ server, keyId: signatures[index]!.keyId, validAt: 0 })),
    );
    const requests = keys.map((key, index) => ({ key: key!.key, message, signature: signatures[index]!.signature }));
    expect(await hashed.verify(requests)).toEqual([true, true]);
    expect(other.lookup(alpha, KEYED_HASH_KEY_ID)).toBeUndefined();
    expect(other.verify(requests[0]!)).toBe(false);
  });
});

/** Every object and array within a value. */
function objectsIn(root: unknown): object[] {
  if (typeof root !== "object" || root === null) return [];
  return [root, ...Object.getOwnPropertyNames(root).flatMap((key) => objectsIn((root as never)[key]))];
}
