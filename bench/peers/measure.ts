/** Rounds in which contenders take turns, and what their times come to against each other. */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { medianOf } from "../measure.js";
import type { Contender, Resolved, Task, Turn } from "./protocol.js";
import { FLOOR, nameOf, RoomWriter } from "./rooms.js";
import type { Group, Shape } from "./rooms.js";
import { writeSamples } from "./samples.js";
import { stop } from "./work.js";

/** Of runs or of ratios, one for each round. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: medianOf(values), min: Math.min(...values), max: Math.max(...values) };
}

/** What a turn counts as: its run of median length, and how long its first one took. */
export interface TurnTimes extends Resolved {
  readonly first: number;
}

/** One contender's turns with one room, round by round. */
export interface RoomRuns {
  readonly contender: string;
  readonly runs: readonly TurnTimes[];
}

export interface MeasuredRoom {
  readonly group: string;
  readonly shape: Shape;
  readonly name: string;
  /** Events in the state that all contenders came to. */
  readonly resolved: number;
  /** This library's first. */
  readonly contenders: readonly RoomRuns[];
}

/** Milliseconds for one event, round by round. */
export interface TaskRuns {
  readonly contender: string;
  readonly task: Task;
  readonly runs: readonly number[];
}

/** What the machine did in between: the same piece of work once in every round. */
export interface Noise {
  readonly work: Spread;
  readonly rounds: number;
  readonly loadBefore: readonly number[];
  readonly loadAfter: readonly number[];
}

/** A contender warms up for so many runs, and for so long. */
const WARM_UP_RUNS = 5;
const WARM_UP_MS = 500;
/**
 * One that is compiled while it runs takes longer to be what a server comes to be: with 1,000 members and 50 changes a
 * run took 0.28 ms after half a second, and 0.19 ms after three.
 */
const COMPILED_MS = 3_000;

function compiles({ name }: Contender): boolean {
  return name === "ours" || name === OURS_ON_NODE || name === FLOOR;
}

export class Rounds {
  readonly #count: number;
  readonly #noise: number[] = [];
  readonly #loadBefore = loadavg();

  constructor(count: number) {
    this.#count = count;
  }

  /** Calls `turn` for all players in turn, beginning with another one in every round. */
  async play<T extends { readonly contender: Contender }>(
    players: readonly T[],
    turn: (player: T, counts: boolean) => Promise<void>,
  ): Promise<void> {
    for (const player of players) {
      const start = performance.now();
      const patience = compiles(player.contender) ? COMPILED_MS : WARM_UP_MS;
      for (let run = 0; run < WARM_UP_RUNS || performance.now() - start < patience; run++) {
        await turn(player, false);
      }
    }
    for (let round = 0; round < this.#count; round++) {
      this.#noise.push(fixedWork());
      const first = round % players.length;
      for (const player of [...players.slice(first), ...players.slice(0, first)]) await turn(player, true);
    }
  }

  noise(): Noise {
    return {
      work: spreadOf(this.#noise),
      rounds: this.#noise.length,
      loadBefore: this.#loadBefore,
      loadAfter: loadavg(),
    };
  }
}

const block = Buffer.alloc(4 << 20, "noise");

/** Milliseconds of some native work that depends on nothing but the machine. */
function fixedWork(): number {
  const before = performance.now();
  createHash("sha256").update(block).digest();
  return performance.now() - before;
}

export async function measureGroup(
  group: Group,
  contenders: readonly Contender[],
  rounds: Rounds,
  folder: string,
): Promise<readonly MeasuredRoom[]> {
  const playing = contenders.filter(({ name }) => name === "ours" || group.peers.includes(name));
  const writer = new RoomWriter();
  const rooms = group.shapes.map((shape) => ({
    shape,
    name: nameOf(shape),
    runs: new Map(playing.map(({ name }) => [name, [] as TurnTimes[]])),
    resolved: 0,
  }));
  for (const { shape, name } of rooms) {
    const file = join(folder, "room.ndjson");
    writer.write(shape, file);
    for (const contender of playing) await contender.load(name, file);
    rmSync(file);
  }
  for (const room of rooms) room.resolved = await agreed(playing, room.name);
  const turns = rooms.flatMap((room) => playing.map((contender) => ({ room, contender })));
  await rounds.play(turns, async ({ room, contender }, counts) => {
    const runs = await contender.resolve(room.name, TURN);
    if (counts) room.runs.get(contender.name)?.push(timesOf(runs));
  });
  for (const room of rooms) {
    await agreed(playing, room.name);
    for (const contender of playing) await contender.drop(room.name);
  }
  return rooms.map(({ shape, name, runs, resolved }) => ({
    group: group.title,
    shape,
    name,
    resolved,
    contenders: [...runs].map(([contender, of]) => ({ contender, runs: of })),
  }));
}

/** Rooms are resolved several times in a turn, while that takes no longer: one run only fills the caches. */
const TURN: Turn = { runs: 9, ms: 40 };
const ONE_RUN: Turn = { runs: 1, ms: 0 };

function timesOf(runs: readonly Resolved[]): TurnTimes {
  const [first] = runs;
  const median = runs.toSorted((a, b) => wholeOf(a) - wholeOf(b))[runs.length >> 1];
  if (first === undefined || median === undefined) return stop("a turn is at least one run");
  return { ...median, first: first.resolve + first.walk };
}

function wholeOf({ states, resolve, walk }: Resolved): number {
  return states + resolve + walk;
}

/** Resolves the room with everybody: whoever comes to another state than this library has failed, and has no time. */
async function agreed(playing: readonly Contender[], room: string): Promise<number> {
  let first: { readonly name: string; readonly ids: readonly string[] } | undefined;
  for (const contender of playing) {
    await contender.resolve(room, ONE_RUN);
    const ids = await contender.answer(room);
    first ??= { name: contender.name, ids };
    if (!sameIds(first.ids, ids)) throw new Error(`${difference(first, { name: contender.name, ids })} (${room})`);
  }
  return first?.ids.length ?? 0;
}

function sameIds(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((id, at) => id === right[at]);
}

interface Answer {
  readonly name: string;
  readonly ids: readonly string[];
}

function difference(left: Answer, right: Answer): string {
  const only = (mine: Answer, theirs: Answer): string => {
    const known = new Set(theirs.ids);
    const ids = mine.ids.filter((id) => !known.has(id));
    return `${mine.name} alone has ${ids.length}: ${ids.slice(0, 3).join(", ")}`;
  };
  return `${left.name} and ${right.name} came to different answers; ${only(left, right)}; ${only(right, left)}`;
}

/** Times over all samples that make a run long enough for the clock, and short enough for fifteen. */
const MANY = 8;
const ONCE = 1;

interface Player {
  readonly contender: Contender;
  readonly task: Task;
  readonly times: number;
  readonly runs: number[];
}

/** This library with Node's SHA-256 and Ed25519 instead of those in JavaScript. */
export const OURS_ON_NODE = "ours on Node";

const every: readonly Task[] = ["parse", "canonical", "id", "id from text", "pdu", "verify", "Ed25519"];

const TASKS: Readonly<Record<string, readonly Task[]>> = {
  ours: every,
  [OURS_ON_NODE]: every,
  [FLOOR]: ["parse", "canonical", "id", "id by noble", "id from text", "Ed25519"],
  ruma: every,
  synapse: ["parse", "canonical", "id from text", "verify", "Ed25519"],
};

export async function measureSamples(
  contenders: readonly Contender[],
  rounds: Rounds,
  folder: string,
): Promise<readonly TaskRuns[]> {
  const file = join(folder, "samples.ndjson");
  writeSamples(file);
  let first: Answer | undefined;
  for (const contender of contenders) {
    await contender.samples(file);
    const ids = await contender.ids();
    first ??= { name: contender.name, ids };
    if (!sameIds(first.ids, ids)) throw new Error(difference(first, { name: contender.name, ids }));
  }
  const players = contenders.flatMap((contender) =>
    (TASKS[contender.name] ?? []).map((task): Player => {
      const times = task === "verify" || task === "Ed25519" ? ONCE : MANY;
      return { contender, task, times, runs: [] };
    }),
  );
  await rounds.play(players, async ({ contender, task, times, runs }, counts) => {
    const ms = await contender.sample(task, times);
    if (counts) runs.push(ms);
  });
  return players.map(({ contender, task, runs }) => ({ contender: contender.name, task, runs }));
}
