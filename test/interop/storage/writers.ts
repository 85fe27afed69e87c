/** Processes that write to one database, and what is to be found there afterwards. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import process from "node:process";
import { expect } from "vitest";
import { bundle } from "../../../scripts/bundle.mjs";
import { auditStorage } from "../../../src/engine/index.js";
import type { Storage } from "../../../src/ports/index.js";
import { HERE, testServer } from "../../support/engine.js";

/** The program of a writer, to be given to `startWriter`. */
export const bundleWriter = (name: string): Promise<string> => bundle(name, "test/interop/storage/writer.ts");

export interface Writer {
  readonly process: ChildProcess;
  /** Ids of the events that it said were committed. */
  readonly acknowledged: readonly string[];
  /** Resolves when it has ended: its exit code, or what ended it. */
  readonly ended: Promise<number | string | null>;
}

/** @param database what a writer's first two arguments are */
export function startWriter(program: string, database: readonly string[], ...rest: readonly string[]): Writer {
  const child = spawn(process.execPath, [program, ...database, ...rest], { stdio: ["ignore", "pipe", "inherit"] });
  const acknowledged: string[] = [];
  let text = "";
  child.stdout.on("data", (data) => {
    const lines = `${text}${String(data)}`.split("\n");
    text = lines.pop() ?? "";
    acknowledged.push(...lines);
  });
  const ended = new Promise<number | string | null>((resolve) => {
    child.once("close", (code, signal) => resolve(code ?? signal));
  });
  return { process: child, acknowledged, ended };
}

/** A room of one local user. */
export async function newRoom(storage: Storage): Promise<string> {
  const made = await testServer({ storage }).rooms.create({ version: "11", creator: `@local:${HERE}` });
  if (!made.ok) throw new Error(made.error.reason);
  return made.value.roomId;
}

/** What of a room counts commits and events. */
export async function countsIn(storage: Storage, roomId: string) {
  const changes = await storage.changesSince(roomId, 0);
  if (changes === undefined) throw new Error(`there is no ${roomId}`);
  return { revision: changes.record.revision, events: changes.events.length };
}

/** Everything that was acknowledged is there and accepted, and the rooms are as the rules make them. */
export async function expectWhole(storage: Storage, roomId: string, acknowledged: readonly string[]): Promise<void> {
  const found = await storage.readEvents(roomId, acknowledged);
  const accepted = found.filter(({ verdict }) => verdict.standing === "accepted").map(({ eventId }) => eventId);
  expect(new Set(accepted)).toEqual(new Set(acknowledged));
  const report = await auditStorage(storage);
  expect(report.findings).toEqual([]);
  expect(report.rooms).toBe(1);
}
