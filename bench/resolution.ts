/** State resolution over rooms of many shapes, and how its cost grows. */
import { RoomIndex } from "../src/dag/index.js";
import type { StateMap } from "../src/dag/index.js";
import type { LooseEvent, RoomEvent } from "../src/event/index.js";
import { version } from "../src/index.js";
import { compared, rowOf, timeOnce } from "./measure.js";
import type { Row } from "./measure.js";
import { forkRoom, growTrunk } from "./room.js";
import type { ForkedRoom, Trunk, TrunkOptions } from "./room.js";

/** At least fifteen runs each, taken in turns with all other shapes. */
const RUNS = 15;

export const memberCounts: readonly number[] = [100, 1_000, 10_000, 50_000];
export const changeCounts: readonly number[] = [50, 500, 2_000];

interface Shape {
  readonly roomVersion: string;
  readonly members: number;
  readonly changes: number;
  readonly branches: number;
  readonly paddingUsers: number;
  readonly powerHistory: number;
  /** Whether the states are made from one another, as an engine makes them, and not each from a list of ids. */
  readonly shared: boolean;
}

const usual: Shape = {
  roomVersion: "10",
  members: 10_000,
  changes: 500,
  branches: 4,
  paddingUsers: 20,
  powerHistory: 10,
  shared: false,
};

/** Two branches that differ in about fifty keys. */
const close: Partial<Shape> = { branches: 2, changes: 80, shared: true };
export const sharedMemberCounts: readonly number[] = [1_000, 10_000, 50_000, 100_000];

/** How the cost grows from one value of a parameter to another while the rest stays. */
export interface Growth {
  readonly parameter: string;
  readonly from: number;
  readonly to: number;
  readonly cost: number;
  readonly costMin: number;
  readonly fixed: string;
}

interface Case {
  readonly shape: Shape;
  readonly version: ForkedRoom["version"];
  readonly events: readonly RoomEvent[];
  readonly changes: readonly RoomEvent[];
  readonly stateSets: readonly (readonly string[])[];
  readonly indexing: number[];
  readonly states: number[];
  readonly resolving: number[];
  readonly floor: number[];
}

function shapes(): readonly Shape[] {
  const all: Shape[] = [];
  for (const members of memberCounts) for (const changes of changeCounts) all.push({ ...usual, members, changes });
  for (const branches of [2, 8, 32]) all.push({ ...usual, branches });
  for (const paddingUsers of [100, 1000]) all.push({ ...usual, paddingUsers });
  for (const powerHistory of [100, 1000]) all.push({ ...usual, powerHistory });
  all.push({ ...usual, roomVersion: "12" });
  for (const members of sharedMemberCounts) all.push({ ...usual, ...close, members });
  return all;
}

function optionsOf({ roomVersion, members, paddingUsers, powerHistory }: Shape): TrunkOptions {
  return { roomVersion, members, servers: 20, paddingUsers, powerHistory };
}

function makeCases(): readonly Case[] {
  const trunks = new Map<string, Trunk>();
  return shapes().map((shape) => {
    const options = optionsOf(shape);
    const name = JSON.stringify(options);
    const trunk = trunks.get(name) ?? growTrunk(options);
    trunks.set(name, trunk);
    const room = forkRoom(trunk, { branches: shape.branches, changes: shape.changes, seed: 2 });
    return {
      shape,
      version: room.version,
      events: room.events,
      changes: room.changes.map(withoutJson),
      stateSets: room.stateSets,
      indexing: [],
      states: [],
      resolving: [],
      floor: [],
    };
  });
}

function withoutJson({ json: _json, ...event }: LooseEvent): RoomEvent {
  return event;
}

/**
 * Everything that the library could remember about an event hangs on its objects, so each run gets new
 * power levels: what is measured is a resolution of events that were not seen before.
 */
function unseen(events: readonly RoomEvent[]): readonly RoomEvent[] {
  return events.map((event) =>
    event.type === "m.room.power_levels" ? { ...event, content: structuredClone(event.content) } : event,
  );
}

function runOnce(room: Case, record: boolean): void {
  const events = unseen(room.events);
  const index = new RoomIndex(room.version.rules);
  const [indexing] = timeOnce(() => {
    for (const event of events) index.add(event);
  });
  const [building, apart] = timeOnce((): readonly StateMap[] => room.stateSets.map((ids) => index.stateOf(ids)));
  const states = room.shape.shared ? sharing(apart) : apart;
  const [resolving, resolution] = timeOnce(() => room.version.resolve(index, states));
  const [floor] = timeOnce(() => JSON.stringify(room.changes));
  if (resolution.verdict !== "resolved") throw new Error("the room does not resolve");
  if (!record) return;
  room.indexing.push(indexing);
  room.states.push(building);
  room.resolving.push(resolving);
  room.floor.push(floor);
}

/** The same states, each made from the first by what differs. */
function sharing(states: readonly StateMap[]): readonly StateMap[] {
  const [first, ...others] = states;
  if (first === undefined) return states;
  const made = others.map((other) => {
    const keys: number[] = [];
    first.diff(other, (key) => keys.push(key));
    return keys.reduce((state, key) => state.set(key, other.get(key)), first);
  });
  return [first, ...made];
}

function nameOf({ roomVersion, members, changes, branches, paddingUsers, powerHistory, shared }: Shape): string {
  const parts = [`v${roomVersion}, ${members.toLocaleString("en")} members, ${changes.toLocaleString("en")} changes`];
  if (branches !== usual.branches) parts.push(`${branches} branches`);
  if (paddingUsers !== usual.paddingUsers) parts.push(`${paddingUsers.toLocaleString("en")} power users`);
  if (powerHistory !== usual.powerHistory) parts.push(`${powerHistory.toLocaleString("en")} power-level events`);
  if (shared) parts.push("states that share structure");
  return parts.join(", ");
}

const FLOOR = "JSON.stringify of the changes";

function rowsOf(room: Case): readonly Row[] {
  const name = nameOf(room.shape);
  const floor = rowOf("resolution", FLOOR, room.floor);
  const row = rowOf("resolution", name, room.resolving);
  const resolved = compared(row, floor);
  const { members, branches } = room.shape;
  if (JSON.stringify(room.shape) !== JSON.stringify({ ...usual, members, branches })) return [resolved];
  return [
    resolved,
    rowOf("before resolving", `index the events: ${name}`, room.indexing),
    rowOf("before resolving", `make the states: ${name}`, room.states),
  ];
}

export interface ResolutionReport {
  readonly rows: readonly Row[];
  readonly growth: readonly Growth[];
}

export function measureResolution(): ResolutionReport {
  const cases = makeCases();
  for (let run = -2; run < RUNS; run++) for (const room of cases) runOnce(room, run >= 0);
  const rows = cases.flatMap(rowsOf);
  const ordered = ["resolution", "before resolving"].flatMap((group) => rows.filter((row) => row.group === group));
  return { rows: [...ordered, facadeRow()], growth: growthOf(cases) };
}

/** Plain JSON in, ids out: what a caller of the facade waits for, checks and readings included. */
function facadeRow(): Row {
  const { roomVersion, branches, changes } = usual;
  const trunk = growTrunk(optionsOf(usual));
  const room = forkRoom(trunk, { branches, changes, seed: 2 });
  const events = room.events.map(({ json, eventId }) => ({ ...json, event_id: eventId }));
  const api = version(roomVersion);
  const times: number[] = [];
  for (let run = -2; run < RUNS; run++) {
    const [ms, answer] = timeOnce(() => api.resolve({ stateSets: room.stateSets, events }));
    if (answer.verdict !== "resolved") throw new Error("the room does not resolve");
    if (run >= 0) times.push(ms);
  }
  return rowOf("before resolving", `all of it from plain JSON: ${nameOf(usual)}`, times);
}

function growthOf(cases: readonly Case[]): readonly Growth[] {
  const find = (wanted: Partial<Shape>): Case => {
    const shape = JSON.stringify({ ...usual, ...wanted });
    const found = cases.find((room) => JSON.stringify(room.shape) === shape);
    if (found === undefined) throw new Error(`no room of shape ${shape}`);
    return found;
  };
  const growth = (parameter: string, key: keyof Shape, from: number, to: number, rest: Partial<Shape> = {}): Growth => {
    const small = rowOf("", "", find({ ...rest, [key]: from }).resolving);
    const large = rowOf("", "", find({ ...rest, [key]: to }).resolving);
    const fixed = nameOf({ ...usual, ...rest });
    return { parameter, from, to, cost: large.median / small.median, costMin: large.min / small.min, fixed };
  };
  return [
    growth("members", "members", 1_000, 10_000),
    growth("members", "members", 100, 50_000),
    growth("members", "members", 100, 50_000, { changes: 50 }),
    growth("changes", "changes", 50, 2_000),
    growth("changes", "changes", 50, 2_000, { members: 50_000 }),
    growth("branches", "branches", 2, 8),
    growth("branches", "branches", 2, 32),
    growth("power-level users", "paddingUsers", 20, 100),
    growth("power-level users", "paddingUsers", 20, 1000),
    growth("power-level events", "powerHistory", 10, 100),
    growth("power-level events", "powerHistory", 10, 1000),
    growth("members", "members", 1_000, 100_000, close),
  ];
}
