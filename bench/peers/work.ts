/** What contenders that run in Node share: reading what they are given, and going over it. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { decodeBase64 } from "../../src/crypto/index.js";
import { eventSignedBytes } from "../../src/event/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { roomVersions } from "../../src/versions/index.js";
import type { RoomVersion } from "../../src/versions/index.js";
import type { Task } from "./protocol.js";
import type { SampleHead } from "./samples.js";

export interface Samples {
  readonly head: SampleHead;
  readonly version: RoomVersion;
  readonly texts: readonly string[];
  readonly values: readonly JsonObject[];
  readonly key: Uint8Array;
}

/** Everything that is done in one go: how many items, and how. */
export type Work = readonly [count: number, all: () => unknown];
export type TaskTable = Readonly<Partial<Record<Task, (samples: Samples) => Work>>>;

export function stop(reason: string): never {
  throw new Error(reason);
}

export function versionOf(id: string): RoomVersion {
  const version = roomVersions.get(id);
  return version.ok ? version.value : stop(version.error.reason);
}

export async function* linesOf(file: string): AsyncGenerator<string> {
  for await (const line of createInterface({ input: createReadStream(file) })) yield line;
}

export function over<T>(items: readonly T[], run: (item: T) => unknown): Work {
  const all = (): unknown => {
    let last: unknown;
    for (const item of items) last = run(item);
    return last;
  };
  return [items.length, all];
}

/** An event with the bytes that its signature covers. */
export interface Signed {
  readonly value: JsonObject;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

export function signedOf({ head, version, values }: Samples): readonly Signed[] {
  return values.slice(0, head.signed).map((value) => {
    const ofServer = (value["signatures"] as JsonObject)[head.server] as JsonObject;
    const signature = decodeBase64(ofServer[head.key_id] as string) ?? stop("a signature is not base64");
    return { value, message: eventSignedBytes(version.rules, value), signature };
  });
}

export async function readSamples(file: string): Promise<Samples> {
  const lines: string[] = [];
  for await (const line of linesOf(file)) lines.push(line);
  const [first, ...texts] = lines;
  const head = JSON.parse(first ?? stop("the file is empty")) as SampleHead;
  const values = texts.map((text) => JSON.parse(text) as JsonObject);
  const key = decodeBase64(head.public_key) ?? stop("the key is not base64");
  return { head, version: versionOf(head.room_version), texts, values, key };
}
