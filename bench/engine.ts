/** The engine of one room: what an event costs, by how it comes and how large the room is, signatures aside. */
import { performance } from "node:perf_hooks";
import { nodeSha256 } from "../src/adapters/node-crypto/index.js";
import { useSha256 } from "../src/crypto/index.js";
import type { Room } from "../src/engine/index.js";
import { contentHash, eventIdOf } from "../src/event/index.js";
import type { JsonObject } from "../src/json/index.js";
import {
  arrived,
  deliver,
  joinOf,
  joinRoom,
  LOCAL_USER,
  newServer,
  ORIGIN,
  populate,
  sealed,
  userOf,
} from "./engine-room.js";
import type { Chronicle, JoinAnswer } from "./engine-room.js";
import { compared, rowOf, sweepYoung } from "./measure.js";
import type { Row } from "./measure.js";
import type { Growth } from "./resolution.js";
import { forkRoom, growTrunk } from "./room.js";

const ROUNDS = 7;
const PER_ROUND = 1_000;
/** Two state events and a message. */
const PER_FORK = 3;
const FORK = "fork of two state events and a message that merges them";
/** What no receiver can do without: the two hashes of a message, from its parsed JSON. */
const FLOOR = "both hashes of a message";
/** As a server on Node hashes, by `useSha256(nodeSha256)`. Other rows hash in JavaScript, as the library by itself. */
const BY_NODE = ", SHA-256 by Node";
export const sizes: readonly number[] = [100, 10_000];

/** One way for events to come, round after round into the same room. */
interface Course {
  readonly name: string;
  readonly members: number;
  /** How many of what its name says one round is. */
  readonly operations: number;
  readonly run: (round: number) => Promise<void> | void;
  readonly byNode: boolean;
  readonly times: number[];
}

interface Base {
  readonly members: number;
  readonly chronicle: Chronicle;
  readonly answer: JoinAnswer;
}

export interface EngineReport {
  readonly rows: readonly Row[];
  readonly growth: readonly Growth[];
}

export async function measureEngine(): Promise<EngineReport> {
  const courses: Course[] = [];
  for (const members of sizes) courses.push(...(await coursesOf(members)));
  for (let round = -1; round < ROUNDS; round++) {
    for (const course of courses) {
      useSha256(course.byNode ? nodeSha256 : undefined);
      sweepYoung();
      const before = performance.now();
      await course.run(round + 1);
      if (round >= 0) course.times.push((performance.now() - before) / course.operations);
    }
  }
  useSha256(undefined);
  const rows = courses.map((course) => rowOf("engine, one room", nameOf(course), course.times));
  const floors = [false, true].map((byNode) => rows[courses.findIndex((one) => one.byNode === byNode)]);
  const floorOf = (at: number): Row | undefined => floors[courses[at]?.byNode === true ? 1 : 0];
  return {
    rows: [
      ...rows.map((row, at) => compared(row, row === floorOf(at) ? undefined : floorOf(at))),
      ...(await floods()),
      ...(await mergeRows()),
    ],
    growth: growthOf(courses),
  };
}

function nameOf({ name, members }: Pick<Course, "name" | "members">): string {
  return name.startsWith(FLOOR) ? name : `${members.toLocaleString("en")} members: ${name}`;
}

async function coursesOf(members: number): Promise<readonly Course[]> {
  const chronicle = populate(members);
  const answer = joinOf(chronicle);
  const base: Base = { members, chronicle, answer };
  const courses: Course[] = [];
  const add = (name: string, run: Course["run"], operations: number = PER_ROUND): void => {
    const byNode = name.endsWith(BY_NODE);
    courses.push({ name, members, operations, run, byNode, times: [] });
  };
  const speaker = (at: number): string => userOf(1 + (at % (members - 1)));
  const messages = chunksOf(base, (line, at) => [line.say(speaker(at), at).json]);
  if (members === sizes[0]) add(FLOOR, hashing(chronicle, messages));
  for (const perCall of [1, 10, 50]) {
    add(`messages, ${perCall} in a transaction`, await delivery(base, messages, perCall));
  }
  const renames = chunksOf(base, (line, at) => [line.rename(speaker(at), at).json]);
  for (const perCall of [1, 50]) {
    add(`state events, ${perCall} in a transaction`, await delivery(base, renames, perCall));
  }
  const forks = forked(base);
  for (const perCall of [1, 51]) {
    const name = `${FORK}, ${perCall} in a transaction`;
    add(name, await delivery(base, forks, perCall), Math.ceil(PER_ROUND / PER_FORK));
  }
  if (members === sizes[0]) {
    add(FLOOR + BY_NODE, hashing(chronicle, messages));
    for (const perCall of [1, 50]) {
      add(`messages, ${perCall} in a transaction${BY_NODE}`, await delivery(base, messages, perCall));
    }
    for (const perCall of [1, 51]) {
      const name = `${FORK}, ${perCall} in a transaction${BY_NODE}`;
      add(name, await delivery(base, forks, perCall), Math.ceil(PER_ROUND / PER_FORK));
    }
  }
  const watched = await joined(base);
  watched.subscribe(() => undefined);
  add("messages, 1 in a transaction, with a subscriber", deliverChunks(watched, messages, 1));
  const own = await joined(base);
  add("own messages", async (round) => {
    for (let at = 0; at < PER_ROUND; at++) {
      const content = { body: `Own message ${round * PER_ROUND + at}`, msgtype: "m.text" };
      const sent = await own.emit([{ type: "m.room.message", sender: LOCAL_USER, content }]);
      if (!sent.ok) throw new Error(sent.error.reason);
    }
  });
  return courses;
}

function hashing({ version }: Chronicle, chunks: Chunks): Course["run"] {
  const copies = chunks.map(arrived);
  return (round) => {
    for (const json of copies[round] ?? []) {
      contentHash(json);
      eventIdOf(version.rules, json);
    }
  };
}

function joined({ chronicle, answer }: Base): Promise<Room> {
  return joinRoom(newServer(), chronicle, answer);
}

type Chunks = readonly (readonly JsonObject[])[];

/** The line goes on from round to round. */
function chunksOf({ chronicle }: Base, write: (line: Chronicle, at: number) => readonly JsonObject[]): Chunks {
  const line = chronicle.fork();
  let at = 0;
  return Array.from({ length: ROUNDS + 1 }, () => {
    const chunk: JsonObject[] = [];
    while (chunk.length < PER_ROUND) chunk.push(...write(line, at++));
    return chunk;
  });
}

/** Two state events after the same event, and a message after both. */
function forked(base: Base): Chunks {
  const speaker = (at: number): string => userOf(1 + (at % (base.members - 1)));
  const line = base.chronicle.fork();
  let at = 0;
  return Array.from({ length: ROUNDS + 1 }, () => {
    const chunk: JsonObject[] = [];
    while (chunk.length < PER_ROUND) {
      const before = line.tip;
      const one = line.rename(speaker(at), at);
      line.tip = before;
      const other = line.rename(speaker(at + 1), at);
      line.tip = [one, other];
      const merge = line.say(speaker(at + 2), at);
      chunk.push(one.json, other.json, merge.json);
      at += PER_FORK;
    }
    return chunk;
  });
}

async function delivery(base: Base, chunks: Chunks, perCall: number): Promise<Course["run"]> {
  return deliverChunks(await joined(base), chunks, perCall);
}

function deliverChunks(room: Room, chunks: Chunks, perCall: number): Course["run"] {
  const copies = chunks.map(arrived);
  return (round) => deliver(room, copies[round] ?? [], perCall);
}

function growthOf(courses: readonly Course[]): readonly Growth[] {
  const [small, large] = [
    courses.filter(({ members }) => members === sizes[0]),
    courses.filter(({ members }) => members === sizes[1]),
  ];
  return small.flatMap((course) => {
    const other = large.find(({ name }) => name === course.name);
    if (other === undefined) return [];
    const [from, to] = [rowOf("", "", course.times), rowOf("", "", other.times)];
    const cost = { cost: to.median / from.median, costMin: to.min / from.min };
    return [{ parameter: "members", from: course.members, to: other.members, ...cost, fixed: course.name }];
  });
}

/** Everybody at once after the same event, and nobody here who may tie the ends together. */
async function floods(): Promise<readonly Row[]> {
  const chronicle = populate(1_000);
  const answer = joinOf(chronicle);
  const flood = async (
    name: string,
    count: number,
    write: (line: Chronicle, at: number) => JsonObject,
  ): Promise<Row> => {
    const times: number[] = [];
    for (let run = 0; run < 3; run++) {
      const room = await joinRoom(newServer(undefined, { mergeAbove: 1_000_000 }), chronicle, answer);
      const events = Array.from({ length: count }, (_, at) => {
        const line = chronicle.fork();
        return write(line, at);
      });
      const copies = arrived(events);
      sweepYoung();
      const before = performance.now();
      await deliver(room, copies, 50);
      times.push((performance.now() - before) / count);
    }
    return rowOf("engine, many ends", `${name}, 50 in a transaction`, times);
  };
  const speaker = (at: number): string => userOf(1 + (at % 999));
  return [
    await flood("10,000 messages after one event", 10_000, (line, at) => line.say(speaker(at), at).json),
    await flood("500 state events after one event", 500, (line, at) => line.rename(speaker(at), at).json),
  ];
}

/** Two branches of 1,000 events; the second comes while the first is current. */
async function mergeRows(): Promise<readonly Row[]> {
  return [...(await mergeOf("messages and names", quietFork())), ...(await mergeOf("staff at odds", staffFork()))];
}

interface TwoBranches {
  readonly roomId: string;
  readonly trunk: readonly JsonObject[];
  readonly branches: readonly (readonly JsonObject[])[];
}

/** In turn a message by somebody who changes nothing, and somebody else's new name: on each side other people. */
function quietFork(): TwoBranches {
  const chronicle = populate(2_001);
  const trunk = chronicle.all.map(({ json }) => json);
  const branches = [0, 1].map((side) => {
    const line = chronicle.fork();
    const user = (at: number): string => userOf(1 + 2 * at + side);
    return Array.from(
      { length: 1_000 },
      (_, at) => (at % 2 === 0 ? line.say(user(at), at) : line.rename(user(at), at)).json,
    );
  });
  return { roomId: chronicle.roomId, trunk, branches };
}

/** Bans, kicks, power levels and join rules that collide. */
function staffFork(): TwoBranches {
  const trunk = growTrunk({ roomVersion: "10", members: 1_000, servers: 20, paddingUsers: 20, powerHistory: 10 });
  const fork = forkRoom(trunk, { branches: 2, changes: 2_000, seed: 7 });
  const events = fork.events.map(({ json }) => sealed(json));
  const start = trunk.events.length;
  const half = start + fork.changes.length / 2;
  return {
    roomId: trunk.roomId,
    trunk: events.slice(0, start),
    branches: [events.slice(start, half), events.slice(half)],
  };
}

async function mergeOf(what: string, { roomId, trunk, branches }: TwoBranches): Promise<readonly Row[]> {
  const times: number[] = [];
  const lastTimes: number[] = [];
  for (let run = -1; run < 3; run++) {
    const room = await newServer().rooms.forJoin(roomId, "10");
    const [first = [], second = []] = branches.map(arrived);
    for (const events of [arrived(trunk), first]) await receiveAll(room, events);
    sweepYoung();
    const before = performance.now();
    const last = await receiveAll(room, second);
    if (room.control.forwardExtremities.length !== 2) throw new Error("the branches are not both there");
    if (run < 0) continue;
    times.push(performance.now() - before);
    lastTimes.push(last);
  }
  const group = "engine, two branches of 1,000 events";
  return [
    rowOf(group, `${what}: the second branch, 50 in a transaction, all of it`, times),
    rowOf(group, `${what}: its last transaction`, lastTimes),
  ];
}

/** Milliseconds that the last transaction took. What is soft-failed is part of the story here. */
async function receiveAll(room: Room, events: readonly JsonObject[]): Promise<number> {
  let before = performance.now();
  for (let at = 0; at < events.length; at += 50) {
    before = performance.now();
    for (const { verdict } of await room.receive(events.slice(at, at + 50), { origin: ORIGIN })) {
      if (verdict.verdict !== "accepted" && verdict.verdict !== "soft-failed") throw new Error(JSON.stringify(verdict));
    }
  }
  return performance.now() - before;
}
