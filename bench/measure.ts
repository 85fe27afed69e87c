/** Taking times on a machine that does other things too: medians, minima, and floors from the same run. */
import { performance } from "node:perf_hooks";
import { Bench } from "tinybench";

/** One measured thing. Times are milliseconds for one operation. */
export interface Row {
  readonly group: string;
  readonly name: string;
  readonly samples: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** What it is compared with, and how many times that it takes: by medians, and by minima. */
  readonly floor?: string;
  readonly timesFloor?: number;
  readonly timesFloorMin?: number;
}

/** A short operation, repeated inside one sample so that the clock's own cost does not count. */
export interface Task {
  readonly group: string;
  readonly name: string;
  /** The name of the task that it is compared with. */
  readonly floor?: string;
  /** How many operations one call makes. */
  readonly batch: number;
  readonly run: () => unknown;
}

const ROUNDS = 3;
const ROUND_MS = 100;

/** Each round goes over all tasks, so that a slow spell of the machine falls on all of them. */
export async function measureTasks(tasks: readonly Task[]): Promise<readonly Row[]> {
  const medians = new Map<string, number[]>();
  const minima = new Map<string, number>();
  const maxima = new Map<string, number>();
  let samples = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bench = new Bench({ time: ROUND_MS, warmupTime: 50, iterations: 5, warmupIterations: 2, throws: true });
    for (const { name, run } of tasks) bench.add(name, () => void run());
    await bench.run();
    for (const { name, batch } of tasks) {
      const result = bench.getTask(name)?.result;
      if (result?.state !== "completed") throw new Error(`${name} was not measured`);
      const { p50, min, max, samplesCount } = result.latency;
      medians.set(name, [...(medians.get(name) ?? []), p50 / batch]);
      minima.set(name, Math.min(minima.get(name) ?? Infinity, min / batch));
      maxima.set(name, Math.max(maxima.get(name) ?? 0, max / batch));
      samples += samplesCount;
    }
  }
  const rows = tasks.map(({ group, name }) => {
    const median = medianOf(medians.get(name) ?? []);
    return { group, name, samples, median, min: minima.get(name) ?? 0, max: maxima.get(name) ?? 0 };
  });
  const byName = new Map(rows.map((row) => [row.name, row]));
  return rows.map((row, at) => compared(row, byName.get(tasks[at]?.floor ?? "")));
}

export function compared(row: Row, floor: Row | undefined): Row {
  if (floor === undefined) return row;
  return { ...row, floor: floor.name, timesFloor: row.median / floor.median, timesFloorMin: row.min / floor.min };
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

export function rowOf(group: string, name: string, times: readonly number[]): Row {
  return {
    group,
    name,
    samples: times.length,
    median: medianOf(times),
    min: Math.min(...times),
    max: Math.max(...times),
  };
}

/** Milliseconds that `run` takes once, after the young garbage of what went before has been swept. */
export function timeOnce<T>(run: () => T): readonly [ms: number, result: T] {
  sweepYoung();
  return timed(run);
}

/** Milliseconds that `run` takes, and its result. */
export function timed<T>(run: () => T): readonly [ms: number, result: T] {
  const before = performance.now();
  const result = run();
  return [performance.now() - before, result];
}

/** `gc` is there under `--expose-gc`, which scripts/bench.mjs passes. */
export function sweepYoung(): void {
  const { gc } = globalThis as { readonly gc?: (options: { readonly type: "minor" }) => void };
  gc?.({ type: "minor" });
}
