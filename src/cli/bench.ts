/** `roomdag bench resolve`: how long one resolution takes once its events are indexed. */
import { performance } from "node:perf_hooks";
import { readDump } from "../inspect/read.js";
import { loadRequest } from "../inspect/request.js";
import { roomVersions } from "../versions/index.js";
import { Failure } from "./failure.js";
import { readText } from "./files.js";
import type { Output } from "./output.js";

/** Rounds before the clock counts: the first ones mostly time the compiler. */
const WARM_UP = 5;

/**
 * Prints one line of JSON with `median_ms`, `min_ms` and `max_ms`. There is no `auth_chain_ms`: what
 * resolution needs of auth chains is computed inside it, in every iteration.
 */
export async function runBench(file: string, iterations: number, output: Output): Promise<void> {
  const dump = readDump(await readText(file));
  if (!dump.ok) throw new Failure(`${file}: ${dump.error.reason}`);
  const { request, roomVersion } = dump.value;
  if (request === undefined) throw new Failure(`${file} holds no resolve request: it needs state_sets and events`);
  if (roomVersion === undefined) throw new Failure(`${file} has no room_version`);
  const version = roomVersions.get(roomVersion);
  if (!version.ok) throw new Failure(`${file}: ${version.error.reason}`);
  const loaded = loadRequest(version.value, request);
  if (!loaded.ok) throw new Failure(`${file}: ${loaded.error.reason}`);
  const { index, states } = loaded.value;

  const times: number[] = [];
  let resolved = version.value.resolve(index, states);
  for (let round = 1; round < WARM_UP; round++) resolved = version.value.resolve(index, states);
  for (let iteration = 0; iteration < iterations; iteration++) {
    const start = performance.now();
    resolved = version.value.resolve(index, states);
    times.push(performance.now() - start);
  }
  if (resolved.verdict === "needs") throw new Failure(`${file} lacks these events: ${resolved.events.join(", ")}`);
  if (resolved.verdict === "refused") throw new Failure(`${file}: ${resolved.refusal.reason}`);
  times.sort((a, b) => a - b);
  const middle = times.length >> 1;
  const median = times.length % 2 === 1 ? times[middle] : ((times[middle - 1] ?? 0) + (times[middle] ?? 0)) / 2;
  const line = {
    room_version: roomVersion,
    events: request.events.length,
    state_sets: states.length,
    resolved: resolved.state.size,
    iters: iterations,
    warm_up: WARM_UP,
    median_ms: rounded(median),
    min_ms: rounded(times[0]),
    max_ms: rounded(times.at(-1)),
  };
  await output.write(`${JSON.stringify(line)}\n`);
}

/** Microseconds are as fine as the clock. */
function rounded(milliseconds: number | undefined): number {
  return Math.round((milliseconds ?? 0) * 1000) / 1000;
}
