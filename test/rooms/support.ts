import { readFileSync, readdirSync } from "node:fs";
import { rememberingProvider } from "../../src/crypto/index.js";
import { parseLax } from "../../src/json/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { checkRoom, readDump } from "../../src/inspect/index.js";
import type { CheckOptions, Dump, ReadOptions, RoomReport } from "../../src/inspect/index.js";

/** Remembers keys from one report to the next: the same few servers signed everything here. */
const provider = rememberingProvider();

const folder = new URL("../../fixtures/rooms/", import.meta.url);

/** Every recorded room, by file name. */
export const rooms: readonly string[] = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .sort();

/** The room version in a file name such as `fork-v10-a.json`. */
export function versionIn(name: string): string {
  return /-v(\d+)/.exec(name)?.[1] ?? "";
}

export function roomText(name: string): string {
  return readFileSync(new URL(name, folder), "utf8");
}

/** The file as JSON, without loss. */
export function roomJson(name: string): Record<string, JsonValue> {
  const parsed = parseLax(roomText(name));
  if (!parsed.ok) throw new Error(parsed.error.reason);
  return parsed.value as Record<string, JsonValue>;
}

export function dumpOf(text: string, options: ReadOptions = {}): Dump {
  const dump = readDump(text, options);
  if (!dump.ok) throw new Error(dump.error.reason);
  return dump.value;
}

export function reportOf(text: string, options: ReadOptions & CheckOptions = {}): RoomReport {
  const report = checkRoom(dumpOf(text, options), { provider, ...options });
  if (!report.ok) throw new Error(report.error.reason);
  return report.value;
}

export interface TimelineEntry {
  readonly event_id: string;
  readonly pdu: JsonObject;
  readonly rejected: boolean;
}

export function timelineOf(name: string): readonly TimelineEntry[] {
  return roomJson(name)["timeline"] as unknown as readonly TimelineEntry[];
}
