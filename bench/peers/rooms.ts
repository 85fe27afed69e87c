/** The rooms that contenders resolve, and the files that they read them from. */
import { closeSync, openSync, writeSync } from "node:fs";
import { forkRoom, growTrunk } from "../room.js";
import type { Trunk, TrunkOptions } from "../room.js";

/** The contender that only touches what others resolve; see floors.ts. */
export const FLOOR = "floor";

export interface Shape {
  readonly roomVersion: string;
  readonly members: number;
  /** State changes after the fork, dealt evenly to the branches. */
  readonly changes: number;
  readonly branches: number;
  /** Entries of `users` in the power levels beyond the staff's. */
  readonly powerUsers: number;
  /** Power-levels events before the fork. */
  readonly powerEvents: number;
}

const usual: Shape = {
  roomVersion: "10",
  members: 1_000,
  changes: 500,
  branches: 2,
  powerUsers: 20,
  powerEvents: 10,
};

export function shapeOf(wanted: Partial<Shape>): Shape {
  return { ...usual, ...wanted };
}

export function nameOf(shape: Shape): string {
  const parts = [`v${shape.roomVersion}`, `${count(shape.members)} members`, `${count(shape.changes)} changes`];
  if (shape.branches !== usual.branches) parts.push(`${shape.branches} branches`);
  if (shape.powerUsers !== usual.powerUsers) parts.push(`${count(shape.powerUsers)} power-level users`);
  if (shape.powerEvents !== usual.powerEvents) parts.push(`${count(shape.powerEvents)} power-levels events`);
  return parts.join(", ");
}

function count(value: number): string {
  return value.toLocaleString("en");
}

/** Rooms whose runs take turns, so that a slow spell of the machine falls on all of them. */
export interface Group {
  readonly title: string;
  readonly shapes: readonly Shape[];
  /** Who resolves them beside this library. */
  readonly peers: readonly string[];
}

const SIZES: readonly (readonly [members: number, changes: number])[] = [
  [100, 50],
  [1_000, 500],
  [10_000, 500],
  [50_000, 500],
];

function bothVersions(sizes: typeof SIZES): readonly Shape[] {
  return ["10", "12"].flatMap((roomVersion) =>
    sizes.map(([members, changes]) => shapeOf({ roomVersion, members, changes })),
  );
}

const everybody = ["ruma", "synapse"];

/** One group for each question that issue 6 asks. */
export function groups(quick: boolean): readonly Group[] {
  if (quick) return [{ title: "sizes", shapes: bothVersions(SIZES.slice(0, 2)), peers: everybody }];
  const difficult = [shapeOf({ members: 10_000, branches: 32 }), shapeOf({ powerUsers: 1_000 })];
  const many = [1_000, 10_000, 50_000].map((members) => shapeOf({ members, changes: 2_000 }));
  const few = [1_000, 10_000, 50_000, 100_000].map((members) => shapeOf({ members, changes: 50 }));
  const changes = [500, 2_000, 20_000].map((of) => shapeOf({ members: 10_000, changes: of }));
  const deep = [10, 10_000, 100_000].map((powerEvents) => shapeOf({ powerEvents }));
  return [
    { title: "sizes", shapes: [...bothVersions(SIZES), ...difficult], peers: everybody },
    { title: "many changes", shapes: many, peers: everybody },
    { title: "few changes", shapes: few, peers: ["ruma", FLOOR] },
    { title: "more and more changes", shapes: changes, peers: [FLOOR] },
    { title: "deep histories", shapes: deep, peers: [] },
  ];
}

/** Makes rooms and writes them as text: a head line with the states, then each event after all that it cites. */
export class RoomWriter {
  #last: { readonly name: string; readonly trunk: Trunk } | undefined;

  write(shape: Shape, file: string): void {
    const trunk = this.#trunk({
      roomVersion: shape.roomVersion,
      members: shape.members,
      servers: 20,
      paddingUsers: shape.powerUsers,
      powerHistory: shape.powerEvents,
    });
    const room = forkRoom(trunk, { branches: shape.branches, changes: shape.changes, seed: 2 });
    const out = openSync(file, "w");
    try {
      const head = { room_version: shape.roomVersion, state_sets: room.stateSets, changes: room.changes.length };
      writeSync(out, JSON.stringify(head));
      for (let at = 0; at < room.events.length; at += 1000) {
        const lines = room.events
          .slice(at, at + 1000)
          .map(({ json, eventId }) => `\n${JSON.stringify({ ...json, event_id: eventId })}`);
        writeSync(out, lines.join(""));
      }
    } finally {
      closeSync(out);
    }
  }

  /** Neighbours in a group often grow off the same trunk. */
  #trunk(options: TrunkOptions): Trunk {
    const name = JSON.stringify(options);
    if (this.#last?.name !== name) this.#last = { name, trunk: growTrunk(options) };
    return this.#last.trunk;
  }
}
