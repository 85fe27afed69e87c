/** What the engine keeps and how long large rooms take, each measured in a process of its own. */
import { spawnSync } from "node:child_process";
import { closeSync, createReadStream, mkdtempSync, openSync } from "node:fs";
import { readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { createInterface } from "node:readline";
import { RoomIndex } from "../src/dag/index.js";
import type { StateMap } from "../src/dag/index.js";
import { Snapshots } from "../src/engine/snapshot.js";
import type { Snapshot } from "../src/engine/snapshot.js";
import { readEvent } from "../src/event/index.js";
import type { JsonObject } from "../src/json/index.js";
import { arrived, begin, deliver, joinOf, joinRoom, newServer, populate, userOf } from "./engine-room.js";
import type { JoinAnswer } from "./engine-room.js";
import { forkRoom, growTrunk } from "./room.js";

/** Figures that are no times of one operation. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: "ms" | "MB" | "B" | "%";
}

const MEMBERS = 50_000;
const EVENTS = 100_000;
const LARGE = 100_000;

/** What a child process is asked for, by its name on the command line. */
const children: Readonly<Record<string, (file: string) => Promise<readonly Figure[]> | readonly Figure[]>> = {
  join: joinFigures,
  events: eventFigures,
  snapshots: snapshotFigures,
  resolution: resolutionFigures,
};

export async function runChild(name: string, file: string): Promise<void> {
  const child = children[name];
  if (child === undefined) throw new Error(`no child is called ${name}`);
  process.stdout.write(JSON.stringify(await child(file)));
}

export function measureEngineMemory(): readonly Figure[] {
  const folder = mkdtempSync(join(tmpdir(), "roomdag-bench-"));
  try {
    const file = join(folder, "join.json");
    const answer = joinOf(populate(MEMBERS));
    writeFileSync(file, [answer.event, ...answer.state].map((event) => JSON.stringify(event)).join("\n"));
    writeFileSync(`${file}.chain`, answer.authChain.map((event) => JSON.stringify(event)).join("\n"));
    writeFork(`${file}.fork`);
    return Object.keys(children).flatMap((name) => spawned(name, file));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function spawned(name: string, file: string): readonly Figure[] {
  const argv = ["--expose-gc", process.argv[1] ?? "", `--child=${name}`, file];
  const { status, stdout } = spawnSync(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  if (status !== 0) throw new Error(`the child ${name} failed`);
  return JSON.parse(stdout.toString()) as readonly Figure[];
}

function readJoin(file: string): JoinAnswer {
  const read = (path: string): JsonObject[] =>
    readFileSync(path, "utf8")
      .split("\n")
      .map((line) => JSON.parse(line) as JsonObject);
  const [event, ...state] = read(file);
  if (event === undefined) throw new Error("the file is empty");
  return { event, state, authChain: read(`${file}.chain`) };
}

async function joinFigures(file: string): Promise<readonly Figure[]> {
  const answer = readJoin(file);
  const server = newServer();
  const chronicle = begin();
  const before = performance.now();
  const cpu = process.cpuUsage();
  await joinRoom(server, chronicle, answer);
  const joining = performance.now() - before;
  const { user, system } = process.cpuUsage(cpu);
  const peak = process.resourceUsage().maxRSS / 1024;
  const held = usedBytes();
  const again = performance.now();
  const room = await newServer(server.storage).rooms.open(chronicle.roomId);
  const opening = performance.now() - again;
  if (room?.current.size !== answer.state.length + 1) throw new Error("the room was not opened whole");
  return [
    {
      name: `joining a room of ${n(MEMBERS)} members, ${n(answer.state.length + answer.authChain.length)} events`,
      value: joining,
      unit: "ms",
    },
    { name: "  processor time of that, garbage collection included", value: (user + system) / 1000, unit: "ms" },
    { name: "  peak of the process, parsed events included", value: peak, unit: "MB" },
    { name: "  heap afterwards, events included", value: held / 2 ** 20, unit: "MB" },
    { name: "opening that room from storage", value: opening, unit: "ms" },
  ];
}

/** A large room as lines: the events, then the ids of each state. */
function writeFork(file: string): void {
  const trunk = growTrunk({ roomVersion: "10", members: LARGE, servers: 20, paddingUsers: 20, powerHistory: 10 });
  const { events, stateSets } = forkRoom(trunk, { branches: 2, changes: 500, seed: 2 });
  const descriptor = openSync(file, "w");
  for (const { json } of events) writeSync(descriptor, `${JSON.stringify(json)}\n`);
  for (const ids of stateSets) writeSync(descriptor, `${JSON.stringify(ids)}\n`);
  closeSync(descriptor);
}

/** A process that does nothing but read a room and resolve it, with the garbage collector left alone. */
async function resolutionFigures(file: string): Promise<readonly Figure[]> {
  const { rules, resolve } = begin().version;
  const index = new RoomIndex(rules);
  const states: StateMap[] = [];
  for await (const line of createInterface({ input: createReadStream(`${file}.fork`) })) {
    const value = JSON.parse(line) as JsonObject | readonly string[];
    if (Array.isArray(value)) states.push(index.stateOf(value as readonly string[]));
    else {
      const event = readEvent(rules, value);
      if (!event.ok) throw new Error(event.error.reason);
      const { json: _json, ...read } = event.value;
      index.add(read);
    }
  }
  if (resolve(index, states).verdict !== "resolved") throw new Error("the room does not resolve");
  const peak = process.resourceUsage().maxRSS / 1024;
  return [
    { name: `resolving a room of ${n(LARGE)} members, peak of the process, reading included`, value: peak, unit: "MB" },
  ];
}

/** Beyond the JSON itself, which is parsed before and kept by reference. */
async function eventFigures(): Promise<readonly Figure[]> {
  const chronicle = populate(1_000);
  const answer = joinOf(chronicle);
  const figures: Figure[] = [];
  for (const kind of ["messages", "state events"]) {
    const room = await joinRoom(newServer(), chronicle, answer);
    const line = chronicle.fork();
    const events: JsonObject[] = [];
    for (let at = 0; at < EVENTS; at++) {
      const user = userOf(1 + (at % 999));
      const { json } = kind === "messages" ? line.say(user, at) : line.rename(user, at);
      events.push(...arrived([json]));
      line.all.length = 0;
    }
    const before = usedBytes();
    await deliver(room, events, 50);
    const value = (usedBytes() - before) / EVENTS;
    if (room.control.position < EVENTS) throw new Error("not all events were taken in");
    figures.push({ name: `one of ${n(EVENTS)} stored ${kind}, beyond its JSON`, value, unit: "B" });
  }
  return figures;
}

/** States of a large room, each a rename after the one before. */
function snapshotFigures(file: string): readonly Figure[] {
  const { rules } = begin().version;
  const index = new RoomIndex(rules);
  const add = (json: JsonObject): number => {
    const event = readEvent(rules, json);
    if (!event.ok) throw new Error(event.error.reason);
    return index.add(event.value);
  };
  const { state, authChain } = readJoin(file);
  for (const json of authChain) add(json);
  let map: StateMap = index.stateOf(state.map((json) => index.idOf(add(json))));
  const snapshots = new Snapshots();
  const count = 10_000;
  const numbers = Array.from({ length: count }, (_, at) => {
    const user = userOf(1 + ((at * 7919) % (MEMBERS - 1)));
    return index.add({ ...neverRead, eventId: `$rename${at}`, stateKey: user, sender: user });
  });
  const before = usedBytes();
  const live: Snapshot[] = [];
  let last = snapshots.make(map, undefined, 0, 1);
  for (const number of numbers) {
    map = index.stateAfter(map, number);
    last = snapshots.after(last, map);
    live.push(last);
  }
  const perLive = (usedBytes() - before) / count;
  const between = usedBytes();
  const rows = new Map(live.map((snapshot, at) => [at, snapshots.row(index, snapshot, at, at - 1)]));
  const perRow = (usedBytes() - between) / count;
  if (rows.size !== live.length) throw new Error("rows are missing");
  return [
    { name: `one live state of ${n(MEMBERS)} members that differs in one key`, value: perLive, unit: "B" },
    { name: "one stored one", value: perRow, unit: "B" },
  ];
}

const neverRead = {
  roomId: "!bench:s0.example",
  type: "m.room.member",
  content: { membership: "join" },
  depth: 1,
  originServerTs: 1,
  authEvents: [],
  prevEvents: [],
  redacts: undefined,
  hasRoomId: true,
};

function usedBytes(): number {
  const { gc } = globalThis as { readonly gc?: () => void };
  gc?.();
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function n(count: number): string {
  return count.toLocaleString("en");
}
