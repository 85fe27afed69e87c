import { spawnSync } from "node:child_process";
import * as crypto from "node:crypto";
import { availableParallelism } from "node:os";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createManualClock, createMemoryNetwork } from "../../src/adapters/memory/index.js";
import { createNodeSigner, createWorkerPoolVerifier } from "../../src/adapters/node-crypto/index.js";
import type { WorkerPoolOptions, WorkerPoolVerifier } from "../../src/adapters/node-crypto/index.js";
import { address, cut, pack, unpack, unpackRequests } from "../../src/adapters/node-crypto/packing.js";
import { UNSURE, workerSource } from "../../src/adapters/node-crypto/worker-source.js";
import { UsageError } from "../../src/errors.js";
import { createKeyRing } from "../../src/federation/index.js";
import { keysSuite } from "../../src/testing/index.js";
import { testCancel } from "../../src/testing/suites/check.js";
import { bundle } from "../../scripts/bundle.mjs";
import { coreVerdicts, manySignatures, requests, wrongAtOnce, wrongOneByOne } from "../support/ed25519-cases.js";
import type { NamedRequest } from "../support/ed25519-cases.js";

/** Threads that were started, newest last; and what the next ones run instead of what they should. */
const threads = vi.hoisted(() => ({
  started: [] as { terminate: () => Promise<number>; threadId: number }[],
  sources: [] as (string | Error | undefined)[],
  messages: 0,
}));

vi.mock("node:worker_threads", async (original) => {
  const real = await original<typeof import("node:worker_threads")>();
  class Watched extends real.Worker {
    constructor(source: string, options: object) {
      const other = threads.sources.shift();
      if (other instanceof Error) throw other;
      super(other ?? source, options);
      threads.started.push(this);
    }
    override postMessage(...args: Parameters<InstanceType<typeof real.Worker>["postMessage"]>): void {
      threads.messages++;
      super.postMessage(...args);
    }
  }
  return { ...real, Worker: Watched };
});

const open: WorkerPoolVerifier[] = [];
function pool(options: WorkerPoolOptions = {}): WorkerPoolVerifier {
  const made = createWorkerPoolVerifier({ workers: 2, ...options });
  open.push(made);
  return made;
}
beforeEach(() => {
  threads.started.length = 0;
  threads.sources.length = 0;
  threads.messages = 0;
});
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ close }) => close()));
});

const asked = (list: readonly NamedRequest[]) => list.map(({ request }) => request);
const wanted = (list: readonly NamedRequest[]) => list.map(({ valid }) => valid);

describe("a key ring that verifies on threads", () => {
  const server = "one.example";
  const create = () => {
    const keys = createKeyRing({
      server,
      own: { current: [createNodeSigner({ keyId: "ed25519:1", seed: new Uint8Array(32).fill(5) })] },
      verify: pool({ threshold: 1 }).verify,
      transport: createMemoryNetwork().transport(server),
      clock: createManualClock(1_700_000_000_000),
    });
    return { server, keys };
  };
  for (const check of keysSuite({ create })) it(check.name, check.run);
});

describe("verdicts of threads", () => {
  it("are libsodium's on every recorded case, at once and one by one", async () => {
    const { verify, by } = pool({ threshold: 1, batch: 7 });
    expect(by).toBe("openssl");
    expect(await wrongAtOnce(verify)).toEqual([]);
    expect(await wrongOneByOne(verify)).toEqual([]);
    expect(threads.started).toHaveLength(2);
  });

  it("are the core's on valid and corrupted signatures, wrong lengths and noise", async () => {
    const { verify } = pool({ threshold: 1, batch: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { maxLength: 12 }), async (list) => {
        expect(await verify(list)).toEqual(coreVerdicts(list));
      }),
      { numRuns: 60 },
    );
  });

  it("stand in the order of the requests, whoever asks at the same time", async () => {
    const { verify } = pool({ threshold: 1, batch: 5 });
    const lists = Array.from({ length: 30 }, (_, at) => manySignatures(1 + ((at * 37) % 150), 1 + (at % 5)));
    const answers = await Promise.all(lists.map(async (list) => verify(asked(list))));
    expect(answers).toEqual(lists.map(wanted));
  });

  it("do not depend on where in its buffer an array of bytes begins", async () => {
    const { verify } = pool({ threshold: 1 });
    const list = manySignatures(20).map(({ request, valid }) => {
      const shift = (bytes: Uint8Array): Uint8Array =>
        Uint8Array.of(1, 2, 3, ...bytes, 4).subarray(3, 3 + bytes.length);
      const { key, message, signature } = request;
      return { valid, name: "", request: { key: shift(key), message: shift(message), signature: shift(signature) } };
    });
    expect(await verify(asked(list))).toEqual(wanted(list));
  });
});

describe("what goes to threads", () => {
  it("is no call of fewer signatures than the threshold, and nothing that the screen refuses", async () => {
    const { verify } = pool({ threshold: 10 });
    const list = manySignatures(10);
    expect(await verify(asked(list.slice(0, 9)))).toEqual(wanted(list.slice(0, 9)));
    const refused = asked(list).map((request) => ({ ...request, key: new Uint8Array(32) }));
    expect(await verify(refused)).toEqual(refused.map(() => false));
    expect(threads.started).toHaveLength(0);
    expect(await verify(asked(list))).toEqual(wanted(list));
    expect(threads.started).toHaveLength(2);
  });

  it("is one message for many signatures", async () => {
    const { verify } = pool({ batch: 64 });
    const list = manySignatures(640);
    expect(await verify(asked(list))).toEqual(wanted(list));
    expect(threads.messages).toBe(10);
  });

  it("is no more than the queue holds: the calling thread does the rest", async () => {
    const { verify } = pool({ maxQueued: 100, batch: 50 });
    const list = manySignatures(80);
    const answers = await Promise.all([1, 2, 3].map(async () => verify(asked(list))));
    expect(answers).toEqual([wanted(list), wanted(list), wanted(list)]);
    expect(threads.messages).toBe(8);
    const [large] = [manySignatures(500)];
    expect(await verify(asked(large))).toEqual(wanted(large));
    expect(threads.messages).toBe(18);
  });

  it("is what no cancelled call asks for", async () => {
    const { verify } = pool({ workers: 1, batch: 10 });
    const cancel = testCancel();
    const list = manySignatures(5000);
    const cut = Promise.resolve(verify(asked(list), cancel));
    const whole = verify(asked(list.slice(0, 50)));
    setTimeout(() => cancel.fire(), 1);
    await expect(cut).rejects.toMatchObject({ name: "CancelledError" });
    expect(cancel.listeners()).toBe(0);
    expect(await whole).toEqual(wanted(list.slice(0, 50)));
    expect(threads.messages).toBeLessThan(200);
    expect(() => verify(asked(list), cancel)).toThrow("cancelled");
    const other = testCancel();
    expect(await verify(asked(list.slice(0, 50)), other)).toEqual(wanted(list.slice(0, 50)));
    expect(other.listeners()).toBe(0);
  });

  it("is as many threads as there are cores", async () => {
    const { verify } = pool({ workers: availableParallelism() });
    const many = manySignatures(2000);
    expect(await verify(asked(many))).toEqual(wanted(many));
    expect(threads.started).toHaveLength(availableParallelism());
  });

  it("is refused a number that is none", () => {
    for (const name of ["workers", "batch", "threshold", "maxQueued", "maxKeys"]) {
      for (const value of [0, -1, 1.5, Number.NaN]) {
        expect(() => createWorkerPoolVerifier({ [name]: value }), name).toThrow(UsageError);
      }
    }
  });
});

describe("a thread that ends", () => {
  it("costs no verdict: another does what it had, and it is started anew", async () => {
    const errors: unknown[] = [];
    const { verify } = pool({ batch: 16, onCrash: (error) => errors.push(error) });
    const list = manySignatures(1500);
    const warm = manySignatures(64);
    expect(await verify(asked(warm))).toEqual(wanted(warm));
    const answer = verify(asked(list));
    await threads.started[0]?.terminate();
    expect(await answer).toEqual(wanted(list));
    expect(errors).toHaveLength(1);
    expect(threads.started).toHaveLength(3);
    expect(await verify(asked(list))).toEqual(wanted(list));
    expect(threads.started).toHaveLength(3);
  });

  it("costs no verdict when all end at once, nor when who is told throws", async () => {
    const { verify } = pool({
      batch: 16,
      onCrash: () => {
        throw new Error("told");
      },
    });
    const list = manySignatures(1000);
    const answer = verify(asked(list));
    await Promise.all(threads.started.map((thread) => thread.terminate()));
    expect(await answer).toEqual(wanted(list));
  });

  it.each<[string, string | Error]>([
    ["cannot be started", new Error("no threads here")],
    ["throws as it begins", "throw new Error('broken')"],
    [
      "ends over what it is given",
      `process.getBuiltinModule("node:worker_threads").parentPort.on("message", () => process.exit(3))`,
    ],
    [
      "answers nonsense",
      `const { parentPort } = process.getBuiltinModule("node:worker_threads");
       parentPort.on("message", () => parentPort.postMessage("yes"))`,
    ],
    [
      "answers too much",
      `const { parentPort } = process.getBuiltinModule("node:worker_threads");
       parentPort.on("message", (buffer) => {
         const answer = new Uint8Array(4 + 1000).fill(1);
         answer.set(new Uint8Array(buffer, 0, 4));
         parentPort.postMessage(answer.buffer);
       })`,
    ],
  ])("each time, because it %s, leaves the calling thread to do all", async (_, source) => {
    threads.sources.push(...Array.from({ length: 20 }, () => source));
    const errors: unknown[] = [];
    const { verify } = pool({ batch: 16, onCrash: (error) => errors.push(error) });
    const list = manySignatures(200);
    expect(await verify(asked(list))).toEqual(wanted(list));
    expect(errors.length).toBeGreaterThanOrEqual(2);
    const left = threads.sources.length;
    for (let again = 0; again < 3; again++) expect(await verify(asked(list))).toEqual(wanted(list));
    const after = threads.sources.length;
    expect(await verify(asked(list))).toEqual(wanted(list));
    expect(threads.sources.length).toBe(after);
    expect(left - after).toBeLessThanOrEqual(2);
  });

  it("once only is started again, and goes on", async () => {
    threads.sources.push("throw new Error('once')");
    const { verify } = pool({ workers: 1, batch: 16 });
    const list = manySignatures(200);
    expect(await verify(asked(list))).toEqual(wanted(list));
    expect(threads.started).toHaveLength(2);
    const before = threads.messages;
    expect(await verify(asked(list))).toEqual(wanted(list));
    expect(threads.messages).toBeGreaterThan(before);
  });

  it("when the call was cancelled meanwhile leaves nothing behind", async () => {
    const { verify, close } = pool({ batch: 16 });
    const cancel = testCancel();
    const answer = Promise.resolve(verify(asked(manySignatures(1000)), cancel));
    const ends = threads.started.map((thread) => thread.terminate());
    cancel.fire();
    await expect(answer).rejects.toMatchObject({ name: "CancelledError" });
    await Promise.all(ends);
    const list = manySignatures(100);
    expect(await verify(asked(list))).toEqual(wanted(list));
    await close();
  });
});

describe("closing", () => {
  it("lets threads finish what they have, and leaves the rest to the calling thread", async () => {
    const { verify, close } = pool({ batch: 16 });
    const list = manySignatures(1000);
    const order: string[] = [];
    const answer = Promise.resolve(verify(asked(list))).then((verdicts) => {
      order.push("answered");
      return verdicts;
    });
    const closed = close().then(() => order.push("closed"));
    const sent = threads.messages;
    const late = verify(asked(list.slice(0, 100)));
    expect(threads.messages).toBe(sent);
    expect(await answer).toEqual(wanted(list));
    await closed;
    expect(order).toEqual(["answered", "closed"]);
    expect(await late).toEqual(wanted(list.slice(0, 100)));
    expect(threads.started.map(({ threadId }) => threadId)).toEqual([-1, -1]);
    await close();
  });

  it("is possible before anything was asked", async () => {
    await pool().close();
    expect(threads.started).toHaveLength(0);
  });

  it("is not needed for a process to end, which stays until it has its answers", async () => {
    const outfile = await bundle("node-crypto-pool", "src/adapters/node-crypto/index.ts", { minify: true });
    const script = `
      import { createWorkerPoolVerifier } from ${JSON.stringify(outfile)};
      import { generateKeyPairSync, sign } from "node:crypto";
      const { publicKey, privateKey } = generateKeyPairSync("ed25519");
      const key = new Uint8Array(Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url"));
      const message = new Uint8Array(500);
      const signature = new Uint8Array(sign(null, message, privateKey));
      const requests = Array.from({ length: 400 }, () => ({ key, message, signature }));
      let messages = 0;
      createWorkerPoolVerifier({ workers: 2, onCrash: (error) => console.error(error) })
        .verify(requests).then((verdicts) => console.log(verdicts.filter(Boolean).length));`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      encoding: "utf8",
      timeout: 20_000,
    });
    expect({ stdout, stderr, status }).toEqual({ stdout: "400\n", stderr: "", status: 0 });
  });
});

describe("packing", () => {
  it("cuts by number and by bytes, and loses nothing", () => {
    const sized = (...sizes: readonly number[]) =>
      sizes.map((size) => ({ key: new Uint8Array(32), signature: new Uint8Array(64), message: new Uint8Array(size) }));
    expect(cut([], 4, 100)).toEqual([]);
    expect(cut(sized(1, 1, 1, 1, 1), 2, 100)).toEqual([2, 4, 5]);
    expect(cut(sized(60, 60, 300, 1, 1), 10, 120)).toEqual([2, 3, 5]);
  });

  it("takes what the screen lets through", () => {
    const list = asked(manySignatures(3));
    const broken = [list[0]!, { ...list[1]!, signature: new Uint8Array(3) }, list[2]!];
    const { buffer, places } = pack(broken, 0, 3);
    expect(places).toEqual([0, 2]);
    expect(buffer.byteLength).toBe(8 + 2 * 100 + list[0]!.message.length + list[2]!.message.length);
  });

  it("gives back what was packed, and is told whom to answer", () => {
    const list = asked(manySignatures(5));
    const broken = list.map((request, at) => (at === 2 ? { ...request, signature: new Uint8Array(3) } : request));
    const packed = pack(broken, 1, 5);
    address(packed, 0xfffffffe);
    expect(packed.places).toEqual([1, 3, 4]);
    expect(new DataView(packed.buffer).getUint32(0, true)).toBe(0xfffffffe);
    expect(unpackRequests(packed)).toEqual([list[1], list[3], list[4]]);
  });

  it("takes no answer that is none", () => {
    for (const answer of [undefined, "yes", new ArrayBuffer(3), new Uint8Array(8)])
      expect(unpack(answer)).toBe(undefined);
  });
});

describe("what a thread runs", () => {
  /** The text, run here, with an OpenSSL of the test's. */
  function play(maxKeys: number, openssl: object): (buffer: ArrayBuffer) => readonly number[] {
    let hear = (_: ArrayBuffer): void => undefined;
    const answers: ArrayBuffer[] = [];
    const parentPort = {
      on: (_: string, listener: typeof hear) => (hear = listener),
      postMessage: (answer: ArrayBuffer) => answers.push(answer),
    };
    const modules: Record<string, object> = {
      "node:worker_threads": { parentPort, workerData: { maxKeys } },
      "node:crypto": openssl,
    };
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- it is what a worker is given as text
    const run = new Function("process", workerSource) as (process: object) => void;
    run({ getBuiltinModule: (name: string) => modules[name] });
    return (buffer) => {
      hear(buffer);
      return [...(unpack(answers.pop())?.verdicts ?? [])];
    };
  }
  const oneOff = (count: number) =>
    Array.from({ length: count }, (_, at) => {
      const key = new Uint8Array(32).fill(1);
      new DataView(key.buffer).setUint32(4, at);
      return { key, message: new Uint8Array(1), signature: new Uint8Array(64).fill(2, 0, 32) };
    });

  it("says that it is not sure where OpenSSL throws, and is asked for nothing more", () => {
    const answer = play(10, {
      createPublicKey: () => {
        throw new Error("no such key");
      },
    });
    const list = asked(manySignatures(4));
    expect(answer(pack(list, 0, 4).buffer)).toEqual([UNSURE, UNSURE, UNSURE, UNSURE]);
  });

  it("keeps of ten thousand keys that come once the last ones alone", () => {
    let made = 0;
    const createPublicKey = (key: crypto.JsonWebKeyInput) => {
      made++;
      return crypto.createPublicKey(key);
    };
    const answer = play(100, { createPublicKey, verify: () => false });
    const list = oneOff(10_000);
    expect(answer(pack(list, 0, list.length).buffer)).toHaveLength(10_000);
    expect(made).toBe(10_000);
    answer(pack(list, 9_900, 10_000).buffer);
    expect(made).toBe(10_000);
    answer(pack(list, 9_899, 9_900).buffer);
    expect(made).toBe(10_001);
  });
});

it("the core decides where a thread is not sure", async () => {
  threads.sources.push(
    workerSource.replace("return verify(", "throw verify("),
    workerSource.replace("return verify(", "throw verify("),
  );
  const { verify } = pool({ batch: 5 });
  const list = manySignatures(20);
  expect(await verify(asked(list))).toEqual(wanted(list));
  expect(threads.started).toHaveLength(2);
});
