/** Verifying through adapters/node-crypto, against bare `crypto.verify` on as many threads. */
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { performance } from "node:perf_hooks";
import { Worker } from "node:worker_threads";
import { createNodeVerifier, createWorkerPoolVerifier } from "../src/adapters/node-crypto/index.js";
import { encodeUnpadded, publicKeyFromSeed } from "../src/crypto/index.js";
import type { Awaitable, VerifyRequest } from "../src/ports/index.js";
import { compared, rowOf } from "./measure.js";
import type { Row } from "./measure.js";

/** Bytes of each message: what is signed of an event of about 700. */
const MESSAGE = 600;
/** Few enough for runs that other work on the machine does not interrupt; the engine gives 500. */
const BATCH = 128;
const SERVERS = 20;
const THREADS = 2;
const ROUNDS = 60;
const SMALL = [1, 2, 4, 6, 8, 16, 32] as const;

/** By {@link SERVERS} keys, in turns, and no two alike. */
export function signedMessages(count: number): readonly VerifyRequest[] {
  const pairs = Array.from({ length: SERVERS }, (_, at) => {
    const seed = new Uint8Array(32).fill(at + 1);
    const key = publicKeyFromSeed(seed);
    return { key, privateKey: createPrivateKey({ key: { ...jwkOf(key), d: urlSafe(seed) }, format: "jwk" }) };
  });
  return Array.from({ length: count }, (_, at) => {
    const { key, privateKey } = pairs[at % SERVERS]!;
    const message = Uint8Array.from({ length: MESSAGE }, (_, place) => (place < 4 ? at >> (8 * place) : place) & 255);
    return { key, message, signature: new Uint8Array(sign(null, message, privateKey)) };
  });
}

function jwkOf(key: Uint8Array): { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string } {
  return { kty: "OKP", crv: "Ed25519", x: urlSafe(key) };
}

function urlSafe(bytes: Uint8Array): string {
  return encodeUnpadded(bytes, "url-safe");
}

/** Nothing but `crypto.verify`, with the keys at hand. */
function bare(requests: readonly VerifyRequest[]): () => void {
  const keys = new Map(requests.map(({ key }) => [key, createPublicKey({ key: jwkOf(key), format: "jwk" })]));
  return () => {
    for (const { key, message, signature } of requests) {
      if (!verify(null, message, keys.get(key)!, signature)) throw new Error("a signature does not verify");
    }
  };
}

/** The same in a thread that has everything already, and is told only to begin. */
const bareThread = `
  const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
  const { createPublicKey, verify } = process.getBuiltinModule("node:crypto");
  const keys = new Map();
  const keyOf = (x) => {
    const key = keys.get(x) ?? createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    keys.set(x, key);
    return key;
  };
  const all = workerData.map(({ x, message, signature }) => ({ key: keyOf(x), message, signature }));
  parentPort.on("message", () => {
    parentPort.postMessage(all.every(({ key, message, signature }) => verify(null, message, key, signature)));
  });
`;

export interface BareThreads {
  /** Milliseconds until the last of them has verified its share once. */
  readonly run: () => Promise<number>;
  readonly close: () => Promise<unknown>;
}

/** Bare `crypto.verify` of the same signatures, each thread with its share. */
export function bareThreads(requests: readonly VerifyRequest[], threads: number = THREADS): BareThreads {
  const workers = Array.from({ length: threads }, (_, which) => {
    const share = requests.filter((_, at) => at % threads === which);
    const workerData = share.map(({ key, message, signature }) => ({ x: urlSafe(key), message, signature }));
    return new Worker(bareThread, { eval: true, workerData });
  });
  let hear = (_answer: unknown): void => undefined;
  for (const worker of workers) worker.on("message", (answer: unknown) => hear(answer));
  const run = async (): Promise<number> => {
    const before = performance.now();
    let open = workers.length;
    const done = new Promise<void>((resolve, reject) => {
      hear = (answer) => {
        if (answer !== true) reject(new Error("a signature does not verify"));
        if (--open === 0) resolve();
      };
    });
    for (const worker of workers) worker.postMessage("go");
    await done;
    return performance.now() - before;
  };
  return { run, close: () => Promise.all(workers.map((worker) => worker.terminate())) };
}

async function timed(run: () => Awaitable<unknown>): Promise<number> {
  const before = performance.now();
  await run();
  return performance.now() - before;
}

async function allValid(answer: Awaitable<readonly boolean[]>): Promise<void> {
  if ((await answer).includes(false)) throw new Error("a signature does not verify");
}

/** In turns, so that a slow spell of the machine falls on all. Times are for one signature. */
export async function measureSignatures(): Promise<readonly Row[]> {
  const requests = signedMessages(BATCH);
  const single = createNodeVerifier();
  const pool = createWorkerPoolVerifier({ workers: THREADS, threshold: 1 });
  const threads = bareThreads(requests);
  const bareLoop = bare(requests);
  const group = `Ed25519 of ${BATCH} messages of ${MESSAGE} bytes, by ${SERVERS} keys`;
  const bareName = "crypto.verify";
  const bareTwice = `crypto.verify on ${THREADS} threads`;
  const runs: readonly (readonly [name: string, count: number, run: () => Promise<number>, floor?: string])[] = [
    [bareName, BATCH, () => timed(bareLoop)],
    ["the verifier", BATCH, () => timed(() => allValid(single.verify(requests))), bareName],
    [bareTwice, BATCH, threads.run],
    [`the pool, ${THREADS} workers`, BATCH, () => timed(() => allValid(pool.verify(requests))), bareTwice],
    ...SMALL.flatMap((count) => {
      const few = requests.slice(0, count);
      const floor = `${count} at a time: the verifier`;
      return [
        [floor, count, () => timed(() => allValid(single.verify(few)))],
        [`${count} at a time: the pool`, count, () => timed(() => allValid(pool.verify(few))), floor],
      ] as const;
    }),
  ];
  const times = new Map<string, number[]>(runs.map(([name]) => [name, []]));
  for (let round = -2; round < ROUNDS; round++) {
    for (const [name, count, run] of runs) {
      // Short runs several times: the clock of a machine with other work jumps.
      for (let again = 0; again < (count < BATCH ? 4 : 1); again++) {
        const ms = (await run()) / count;
        if (round >= 0) times.get(name)?.push(ms);
      }
    }
  }
  await Promise.all([pool.close(), threads.close()]);
  const rows = runs.map(([name]) => rowOf(group, name, times.get(name) ?? []));
  const byName = new Map(rows.map((row) => [row.name, row]));
  return rows.map((row, at) => compared(row, byName.get(runs[at]?.[3] ?? "")));
}
