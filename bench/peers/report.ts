/** What the runs come to: ratios round by round, tables of them, and the goals of the project. */
import { duration, table } from "../table.js";
import { OURS_ON_NODE, spreadOf } from "./measure.js";
import type { MeasuredRoom, Noise, Spread, TaskRuns, TurnTimes } from "./measure.js";
import type { Task } from "./protocol.js";
import { FLOOR, nameOf, shapeOf } from "./rooms.js";
import type { Shape } from "./rooms.js";

/** From indexed events and states to the resolved state, with what the caller has to work out. */
const whole = ({ resolve, walk }: TurnTimes): number => resolve + walk;
const quickest = ({ resolve, walk, fastWalk }: TurnTimes): number => resolve + (fastWalk ?? walk);
const alone = ({ resolve }: TurnTimes): number => resolve;
/** From lists of ids. */
const cold = (run: TurnTimes): number => run.states + whole(run);
/** Of runs after a pause, over an index that was just made: the caches hold other things. */
const first = (run: TurnTimes): number => run.first;

type Part = (run: TurnTimes) => number;

function runsOf(room: MeasuredRoom, contender: string): readonly TurnTimes[] | undefined {
  return room.contenders.find((of) => of.contender === contender)?.runs;
}

/** How often this library's time goes into a peer's, round by round. */
function ratio(room: MeasuredRoom, peer: string, part: Part, ours: Part = whole): Ratios | undefined {
  return ratiosOf(runsOf(room, peer)?.map(part), runsOf(room, "ours")?.map(ours));
}

/** Of ratios, round by round; other work on the machine can only make runs longer, so that minima tell most. */
interface Ratios extends Spread {
  readonly ofMinima: number;
}

function ratiosOf(above: readonly number[] | undefined, below: readonly number[] | undefined): Ratios | undefined {
  if (above === undefined || below === undefined) return undefined;
  const spread = spreadOf(above.map((value, at) => value / (below[at] ?? Number.NaN)));
  return { ...spread, ofMinima: Math.min(...above) / Math.min(...below) };
}

function scaled(ratios: Ratios | undefined, by: number): Ratios | undefined {
  if (ratios === undefined) return undefined;
  const { median, min, max, ofMinima } = ratios;
  return { median: median * by, min: min * by, max: max * by, ofMinima: ofMinima * by };
}

function timeOf(room: MeasuredRoom, contender: string, part: Part = whole): Spread | undefined {
  const runs = runsOf(room, contender);
  return runs === undefined ? undefined : spreadOf(runs.map(part));
}

function number(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(2);
}

function times(ratios: Ratios | undefined): string {
  if (ratios === undefined) return "–";
  const [median, least, greatest, ofMinima] = [ratios.median, ratios.min, ratios.max, ratios.ofMinima].map(number);
  return `× ${median} [${least}–${greatest}], minima × ${ofMinima}`;
}

function time(spread: Spread | undefined): string {
  return spread === undefined ? "–" : duration(spread.median);
}

function timeBetween(spread: Spread | undefined): string {
  if (spread === undefined) return "–";
  return `${duration(spread.median)} [${duration(spread.min)}–${duration(spread.max)}]`;
}

function sum(left: Spread | undefined, right: Spread | undefined): string {
  return left === undefined ? "–" : `${time(left)} + ${time(right)}`;
}

export function roomsTable(rooms: readonly MeasuredRoom[]): string {
  const head = ["", "ours", "ruma + its walk", "ratio", "quickest walk", "no walk", "Synapse", "ratio"];
  return table(
    head,
    rooms.map((room) => [
      room.name,
      timeBetween(timeOf(room, "ours")),
      sum(
        timeOf(room, "ruma", alone),
        timeOf(room, "ruma", ({ walk }) => walk),
      ),
      times(ratio(room, "ruma", whole)),
      times(ratio(room, "ruma", quickest)),
      times(ratio(room, "ruma", alone)),
      time(timeOf(room, "synapse")),
      times(ratio(room, "synapse", whole)),
    ]),
  );
}

export function coldTable(rooms: readonly MeasuredRoom[]): string {
  const head = ["", "ours", "ruma", "ratio", "Synapse", "ratio"];
  return table(
    head,
    rooms.map((room) => [
      room.name,
      timeBetween(timeOf(room, "ours", cold)),
      time(timeOf(room, "ruma", cold)),
      times(ratio(room, "ruma", cold, cold)),
      time(timeOf(room, "synapse", cold)),
      times(ratio(room, "synapse", cold, cold)),
    ]),
  );
}

export function aloneTable(rooms: readonly MeasuredRoom[]): string {
  return table(
    ["", "from indexed events and states", "from lists of ids"],
    rooms.map((room) => [room.name, timeBetween(timeOf(room, "ours")), timeBetween(timeOf(room, "ours", cold))]),
  );
}

interface TaskRow {
  readonly name: string;
  readonly task: Task;
  readonly floor?: Floor;
  /** The floor of the same on Node, where it is another. */
  readonly onNode?: Floor;
}

interface Floor {
  readonly task: Task;
  readonly name: string;
}

const PARSE = "JSON.parse";
const STRINGIFY = "JSON.stringify";
const SHA = "SHA-256 (OpenSSL)";
const NOBLE = "SHA-256 (noble)";
const ED25519 = { task: "Ed25519", name: "Ed25519 (OpenSSL)" } as const;

const taskRows: readonly TaskRow[] = [
  { name: "text to a strict value", task: "parse", floor: { task: "parse", name: PARSE } },
  { name: "canonical JSON", task: "canonical", floor: { task: "canonical", name: STRINGIFY } },
  {
    name: "event id",
    task: "id",
    floor: { task: "id by noble", name: `${STRINGIFY}, ${NOBLE}` },
    onNode: { task: "id", name: `${STRINGIFY}, ${SHA}` },
  },
  {
    name: "event id from text",
    task: "id from text",
    floor: { task: "id from text", name: `${PARSE}, ${STRINGIFY}, ${SHA}` },
  },
  { name: "PDU from text: format, size, id", task: "pdu" },
  { name: "signature and content hash", task: "verify", floor: ED25519 },
  { name: "Ed25519 alone", task: "Ed25519", floor: ED25519 },
];
/** What the platform has no part in is shown once. */
const platformTasks: readonly Task[] = ["id", "id from text", "pdu", "verify", "Ed25519"];

function taskTimes(all: readonly TaskRuns[], contender: string, task: Task): readonly number[] | undefined {
  return all.find((runs) => runs.contender === contender && runs.task === task)?.runs;
}

function rate(runs: readonly number[] | undefined): string {
  return runs === undefined ? "–" : number(1000 / spreadOf(runs).median);
}

export function tasksTable(all: readonly TaskRuns[]): string {
  const rows = taskRows.flatMap((row) => {
    const plain = { ...row, contender: "ours" };
    if (!platformTasks.includes(row.task)) return [plain];
    const floor = row.onNode ?? row.floor;
    return [plain, { ...plain, contender: OURS_ON_NODE, name: `${row.name}, on Node`, ...(floor && { floor }) }];
  });
  const head = ["a second", "ours", "floor", "× floor", "ruma", "ratio", "Synapse", "ratio", "the floor"];
  return table(
    head,
    rows.map(({ name, task, contender, floor }) => {
      const own = taskTimes(all, contender, task);
      const below = floor && taskTimes(all, FLOOR, floor.task);
      const [ruma, synapse] = ["ruma", "synapse"].map((peer) => taskTimes(all, peer, task));
      return [
        name,
        rate(own),
        rate(below),
        times(ratiosOf(own, below)),
        rate(ruma),
        times(ratiosOf(ruma, own)),
        rate(synapse),
        times(ratiosOf(synapse, own)),
        floor?.name ?? "",
      ];
    }),
  );
}

/** One goal of the project and what became of it. */
export interface Goal {
  readonly goal: string;
  readonly measured: string;
  readonly met: boolean | undefined;
}

/** The measured rooms by their shape. */
class Rooms {
  readonly all: readonly MeasuredRoom[];

  constructor(all: readonly MeasuredRoom[]) {
    this.all = all;
  }

  #find(group: string, shape: Partial<Shape>): MeasuredRoom | undefined {
    const name = nameOf(shapeOf(shape));
    return this.all.find((room) => room.group === group && room.name === name);
  }

  /** How often the time of one room goes into that of another of the same group, round by round. */
  grows(group: string, from: Partial<Shape>, to: Partial<Shape>, part = whole, of = "ours"): Ratios | undefined {
    const [small, large] = [from, to].map((shape) => this.#find(group, shape));
    if (small === undefined || large === undefined) return undefined;
    return ratiosOf(runsOf(large, of)?.map(part), runsOf(small, of)?.map(part));
  }
}

interface Named {
  readonly name: string;
  readonly ratios: Ratios | undefined;
}

/** Whether all of them are at least, or at most, so much, by medians and by minima. The worst one is shown. */
function judged(goal: string, all: readonly Named[], sense: "at least" | "at most", bound: number): Goal {
  const sign = sense === "at least" ? 1 : -1;
  const known = all.flatMap(({ name, ratios }) => {
    if (ratios === undefined) return [];
    return [{ name, ratios, worse: Math.min(sign * ratios.median, sign * ratios.ofMinima) }];
  });
  const worst = known.sort((a, b) => a.worse - b.worse)[0];
  if (worst === undefined) return { goal, measured: "not measured", met: undefined };
  const missed = known.filter(({ worse }) => worse < sign * bound).length;
  const measured = `${times(worst.ratios)}${worst.name === "" ? "" : `; ${worst.name}`}`;
  const most = known.length > 1 && missed > 0 ? `; ${missed} of ${known.length} miss it` : "";
  return { goal, measured: `${measured}${most}`, met: missed === 0 };
}

/** What `touchRoom` in floors.ts does instead of resolving. */
const READING = "reading the events after the fork and what they cite, and nothing else";

/** No goal, but what another one is held against. */
function told(goal: string, ratios: Ratios | undefined): Goal {
  return { goal, measured: times(ratios), met: undefined };
}

const small = (room: MeasuredRoom): boolean => room.shape.members < 1_000;

function againstPeers(rooms: readonly MeasuredRoom[], peer: string, part: Part): readonly Named[] {
  return rooms.map((room) => ({ name: room.name, ratios: ratio(room, peer, part) }));
}

export function goalsOf(measured: readonly MeasuredRoom[], tasks: readonly TaskRuns[]): readonly Goal[] {
  const rooms = new Rooms(measured);
  const large = measured.filter((room) => !small(room));
  const one = (name: string, ratios: Ratios | undefined): readonly Named[] => [{ name, ratios }];
  const toFloor = (task: Task, contender = "ours", floor = task): readonly Named[] =>
    one("", ratiosOf(taskTimes(tasks, contender, task), taskTimes(tasks, FLOOR, floor)));
  const few = [1_000, 10_000, 50_000, 100_000].map((members) => ({ members, changes: 50 }));
  const many = [2_000, 20_000].map((changes) => ({ members: 10_000, changes })) as [Partial<Shape>, Partial<Shape>];
  const deep = [10_000, 100_000].map((powerEvents) => ({ powerEvents }));
  return [
    judged("ruma and its walk, from 1,000 members: ≥ 5", againstPeers(large, "ruma", whole), "at least", 5),
    judged("  the same with the quickest walk", againstPeers(large, "ruma", quickest), "at least", 5),
    judged("ruma and its walk, 100 members: ≥ 2", againstPeers(measured.filter(small), "ruma", whole), "at least", 2),
    judged("Synapse: ≥ 20", againstPeers(measured, "synapse", whole), "at least", 20),
    judged(
      "50 changes, 1,000 to 100,000 members: ≤ 1.5",
      few.slice(1).map((to) => ({
        name: `${to.members.toLocaleString("en")} members`,
        ratios: rooms.grows("few changes", few[0] ?? {}, to),
      })),
      "at most",
      1.5,
    ),
    told(
      "  the first run of each turn, 1,000 to 100,000",
      rooms.grows("few changes", few[0] ?? {}, few[3] ?? {}, first),
    ),
    told(
      `  ${READING}, 1,000 to 100,000 members`,
      rooms.grows("few changes", few[0] ?? {}, few[3] ?? {}, whole, FLOOR),
    ),
    judged(
      "from lists of ids, 10,000 to 100,000 members: linear",
      one("", rooms.grows("few changes", few[1] ?? {}, few[3] ?? {}, cold)),
      "at most",
      10,
    ),
    told(
      "  looking the same ids up in a bare map, with nothing else",
      rooms.grows("few changes", few[1] ?? {}, few[3] ?? {}, ({ states }) => states, FLOOR),
    ),
    judged(
      "  ruma from lists of ids: ≥ 2",
      large.map((room) => ({ name: room.name, ratios: ratio(room, "ruma", cold, cold) })),
      "at least",
      2,
    ),
    judged(
      "1,000 power-level users to 20: ≤ 2",
      one("", rooms.grows("sizes", {}, { powerUsers: 1_000 })),
      "at most",
      2,
    ),
    judged(
      "32 branches to 2: ≤ 4",
      one("", rooms.grows("sizes", { members: 10_000 }, { members: 10_000, branches: 32 })),
      "at most",
      4,
    ),
    judged(
      "20,000 changes to 2,000: linear",
      one("", rooms.grows("more and more changes", many[0], many[1])),
      "at most",
      10,
    ),
    told(`  ${READING}`, rooms.grows("more and more changes", many[0], many[1], whole, FLOOR)),
    judged(
      "10,000 and 100,000 power-levels events to 10: growth, as a part of the room's",
      deep.map((to) => {
        const larger = (to.powerEvents + 1_500) / 1_500;
        return {
          name: `${to.powerEvents.toLocaleString("en")} events`,
          ratios: scaled(rooms.grows("deep histories", {}, to), 1 / larger),
        };
      }),
      "at most",
      1,
    ),
    judged(
      "v12 to v10: ≤ 1.5",
      measured
        .filter(({ group, shape }) => group === "sizes" && shape.roomVersion === "12")
        .map(({ group, shape, name }) => ({
          name,
          ratios: rooms.grows(group, { ...shape, roomVersion: "10" }, shape),
        })),
      "at most",
      1.5,
    ),
    judged("canonical JSON to JSON.stringify: ≤ 3", toFloor("canonical"), "at most", 3),
    judged(
      "event id to JSON.stringify and noble's SHA-256: ≤ 2.5",
      toFloor("id", "ours", "id by noble"),
      "at most",
      2.5,
    ),
    judged("event id on Node to JSON.stringify and Node's SHA-256: ≤ 2.5", toFloor("id", OURS_ON_NODE), "at most", 2.5),
    judged("  noble's to JSON.stringify and Node's SHA-256", toFloor("id"), "at most", 2.5),
    judged("strict parse to JSON.parse: ≤ 1.6", toFloor("parse"), "at most", 1.6),
  ];
}

export function goalsTable(goals: readonly Goal[]): string {
  const word = (met: boolean | undefined): string => (met === undefined ? "" : met ? "met" : "not met");
  return table(
    ["goal", "measured", ""],
    goals.map(({ goal, measured, met }) => [goal, measured, word(met)]),
  );
}

export function noiseLine({ work, rounds, loadBefore, loadAfter }: Noise): string {
  const load = (averages: readonly number[]): string => averages.map((average) => average.toFixed(1)).join(", ");
  const [median, min, max] = [work.median, work.min, work.max].map(duration);
  return (
    `The same 4 MB hashed once in each of ${rounds} rounds: median ${median}, min ${min}, max ${max}. ` +
    `Load before: ${load(loadBefore)}; after: ${load(loadAfter)}.`
  );
}
