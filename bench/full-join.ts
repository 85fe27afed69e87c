/** A join whose signatures are verified, against bare Ed25519 of the same on as many threads, in the same run. */
import { spawnSync } from "node:child_process";
import { createPrivateKey, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { createMemoryNetwork, createMemoryStorage } from "../src/adapters/memory/index.js";
import { createSeededRandom } from "../src/adapters/memory/index.js";
import { createWorkerPoolVerifier, nodeSha256 } from "../src/adapters/node-crypto/index.js";
import { createSystemClock } from "../src/adapters/system/index.js";
import { encodeUnpadded, publicKeyFromSeed, useSha256 } from "../src/crypto/index.js";
import { hostOf, Rooms } from "../src/engine/index.js";
import { attachSignature, eventSignedBytes, planSignatures, readEvent } from "../src/event/index.js";
import type { VerifyKey } from "../src/event/index.js";
import type { JsonObject } from "../src/json/index.js";
import type { Keys } from "../src/ports/index.js";
import type { RoomVersion } from "../src/versions/index.js";
import type { Figure } from "./engine-memory.js";
import { begin, HERE, joinOf, joinRoom, populate } from "./engine-room.js";
import type { JoinAnswer } from "./engine-room.js";
import { sweepYoung } from "./measure.js";
import { bareThreads } from "./signatures.js";

const MEMBERS = 50_000;
const KEY_ID = "ed25519:a";
const THREADS = 2;
/** Joins of each kind, in turns. The least of them counts: other work on the machine can only make one longer. */
const ROUNDS = 3;
/** The child of bench/main.ts that joins. */
export const FULL_JOIN = "full-join";

/** A server's seed is its name, filled up. */
function seedOf(server: string): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, at) => server.charCodeAt(at % server.length));
}

const keysOf = new Map<string, { readonly key: VerifyKey; readonly privateKey: KeyObject }>();

function keyOf(server: string): { readonly key: VerifyKey; readonly privateKey: KeyObject } {
  const known = keysOf.get(server);
  if (known !== undefined) return known;
  const [seed, key] = [seedOf(server), publicKeyFromSeed(seedOf(server))];
  const [d, x] = [encodeUnpadded(seed, "url-safe"), encodeUnpadded(key, "url-safe")];
  const made = {
    key: { key },
    privateKey: createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d, x }, format: "jwk" }),
  };
  keysOf.set(server, made);
  return made;
}

/** With a true signature in the place of one that only looks like it; hashes do not cover signatures. */
function signed({ rules }: RoomVersion, event: JsonObject): JsonObject {
  const sender = event["sender"] as string;
  const server = sender.slice(sender.indexOf(":") + 1);
  const signature = new Uint8Array(sign(null, eventSignedBytes(rules, event), keyOf(server).privateKey));
  return attachSignature({ ...event, signatures: {} }, { server, keyId: KEY_ID, signature });
}

export function measureFullJoin(): readonly Figure[] {
  const folder = mkdtempSync(join(tmpdir(), "roomdag-bench-"));
  try {
    const file = join(folder, "join.json");
    const chronicle = populate(MEMBERS);
    const { event, state, authChain } = joinOf(chronicle);
    const lines = (events: readonly JsonObject[]): string =>
      events.map((one) => JSON.stringify(signed(chronicle.version, one))).join("\n");
    writeFileSync(file, lines([event, ...state]));
    writeFileSync(`${file}.chain`, lines(authChain));
    const argv = ["--expose-gc", process.argv[1] ?? "", `--child=${FULL_JOIN}`, file];
    const { status, stdout } = spawnSync(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
    if (status !== 0) throw new Error("the child failed");
    return JSON.parse(stdout.toString()) as readonly Figure[];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function read(path: string): JsonObject[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .map((line) => JSON.parse(line) as JsonObject);
}

function keysBy(verify: Keys["verify"]): Keys {
  return {
    sign: () => ({ keyId: KEY_ID, signature: new Uint8Array(64) }),
    lookup: (requests) => requests.map(({ server }) => keyOf(server).key),
    verify,
  };
}

export async function runFullJoin(file: string): Promise<void> {
  const [event, ...state] = read(file);
  if (event === undefined) throw new Error("the file is empty");
  const answer: JoinAnswer = { event, state, authChain: read(`${file}.chain`) };
  useSha256(nodeSha256);
  const chronicle = begin();
  const events = answer.state.length + answer.authChain.length;
  // Keys are made, and code is warm, before anything counts.
  await joining(chronicle, joinOf(begin()), undefined);
  const [bare, joined, free]: [Taken[], Taken[], Taken[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    bare.push(await bareTime(chronicle.version, answer));
    const pool = createWorkerPoolVerifier({ workers: THREADS });
    joined.push(await joining(chronicle, answer, pool.verify));
    await pool.close();
    free.push(await joining(chronicle, answer, undefined));
  }
  const least = (all: readonly Taken[], of: keyof Taken): number => Math.min(...all.map((one) => one[of]));
  const restOf = (all: readonly Taken[], of: keyof Taken): number => 100 * (1 - least(bare, of) / least(all, of));
  const [first] = joined;
  if (first === undefined) throw new Error("no join was measured");
  const figures: readonly Figure[] = [
    {
      name: `joining a room of ${events.toLocaleString("en")} events, signatures verified`,
      value: least(joined, "wall"),
      unit: "ms",
    },
    { name: "  processor time of that, all threads", value: least(joined, "cpu"), unit: "ms" },
    {
      name: `  bare crypto.verify of the same signatures on ${THREADS} threads`,
      value: least(bare, "wall"),
      unit: "ms",
    },
    { name: "  processor time of that", value: least(bare, "cpu"), unit: "ms" },
    { name: "  the join without signatures", value: least(free, "wall"), unit: "ms" },
    { name: "  processor time of that, garbage collection included", value: least(free, "cpu"), unit: "ms" },
    { name: "  of the time of the join, all but Ed25519", value: restOf(joined, "wall"), unit: "%" },
    { name: "  of its processor time, all but Ed25519", value: restOf(joined, "cpu"), unit: "%" },
    { name: "  the first of these joins, while code is compiled", value: first.wall, unit: "ms" },
    { name: "  of its time, all but Ed25519", value: restOf([first], "wall"), unit: "%" },
  ];
  process.stdout.write(JSON.stringify(figures));
}

interface Taken {
  readonly wall: number;
  /** Of all threads: tells of the work even where other work takes the cores. */
  readonly cpu: number;
}

/** Milliseconds that a join takes; without `verify`, every signature is taken for valid. */
async function joining(
  chronicle: Parameters<typeof joinRoom>[1],
  answer: JoinAnswer,
  verify: Keys["verify"] = (requests) => requests.map(() => true),
): Promise<Taken> {
  const storage = createMemoryStorage();
  const host = hostOf({
    server: HERE,
    storage,
    transport: createMemoryNetwork().transport(HERE),
    keys: keysBy(verify),
    clock: createSystemClock(),
    random: createSeededRandom("bench"),
  });
  // No more than that: engines discard compiled code whose objects are all gone after a full collection.
  sweepYoung();
  const before = performance.now();
  const cpu = process.cpuUsage();
  await joinRoom({ rooms: new Rooms(host), storage }, chronicle, answer);
  const { user, system } = process.cpuUsage(cpu);
  return { wall: performance.now() - before, cpu: (user + system) / 1000 };
}

async function bareTime({ rules }: RoomVersion, { event, state, authChain }: JoinAnswer): Promise<Taken> {
  const requests = [event, ...state, ...authChain].flatMap((json) => {
    const parsed = readEvent(rules, json);
    if (!parsed.ok) throw new Error(parsed.error.reason);
    return planSignatures(rules, parsed.value, (server) => keyOf(server).key).checks;
  });
  const threads = bareThreads(requests, THREADS);
  try {
    // Once that does not count, in which keys are read and code gets warm.
    await threads.run();
    const cpu = process.cpuUsage();
    const wall = await threads.run();
    const { user, system } = process.cpuUsage(cpu);
    return { wall, cpu: (user + system) / 1000 };
  } finally {
    await threads.close();
  }
}
