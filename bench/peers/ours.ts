/** This library as a contender, in a process like the others'. */
import type { Ed25519Provider } from "../../src/crypto/index.js";
import { RoomIndex } from "../../src/dag/index.js";
import type { StateMap } from "../../src/dag/index.js";
import {
  contentHashMatches,
  eventIdOf,
  parsePduText,
  planSignatures,
  readEvent,
  settleSignatures,
} from "../../src/event/index.js";
import type { LooseEvent, RoomEvent } from "../../src/event/index.js";
import { encodeCanonical, parseStrict } from "../../src/json/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { v10 } from "../../src/versions/index.js";
import type { RoomVersion } from "../../src/versions/index.js";
import { sweepYoung, timed, timeOnce } from "../measure.js";
import type { Resolved } from "./protocol.js";
import { linesOf, over, signedOf, stop, versionOf } from "./work.js";
import type { Samples, TaskTable } from "./work.js";

const { rules } = v10;

/** A room as it lies ready between runs. */
export interface Room {
  readonly version: RoomVersion;
  readonly events: readonly RoomEvent[];
  readonly stateSets: readonly (readonly string[])[];
  /** How many of the events, the last ones, came after the fork. */
  readonly changes: number;
}

/**
 * One run over a room: its times, and the ids that it came to. Those are made when they are asked for, not between
 * runs: going over all of a large state leaves nothing in the caches of what the next run meets there in small rooms.
 */
export type RoomRun = () => readonly [times: Resolved, ids: () => readonly string[]];

/** What a turn's runs have in common is made before them. */
export type RoomTurn = (room: Room) => RoomRun;

interface RoomHead {
  readonly changes: number;
  readonly room_version: string;
  readonly state_sets: readonly (readonly string[])[];
}

export async function readRoom(file: string): Promise<Room> {
  const events: RoomEvent[] = [];
  let room: Room | undefined;
  for await (const line of linesOf(file)) {
    if (room === undefined) {
      const head = JSON.parse(line) as RoomHead;
      room = { version: versionOf(head.room_version), events, stateSets: head.state_sets, changes: head.changes };
    } else {
      const { json: _json, ...event } = readOrStop(room.version, JSON.parse(line) as JsonObject);
      events.push(event);
    }
  }
  return room ?? stop("the file is empty");
}

function readOrStop(version: RoomVersion, value: JsonObject): LooseEvent {
  const read = readEvent(version.rules, value);
  return read.ok ? read.value : stop(read.error.reason);
}

/**
 * A turn gets an index of its own, and power levels that were not seen before. Its runs share them, as those of peers
 * share their events: a resolution leaves nothing behind for the next (test/property/resolution-memory.test.ts). Making
 * the index is not counted. States are made once in a turn, because those made again share parts with the first.
 */
export const resolveRoom: RoomTurn = (room) => {
  const index = indexOf(room);
  const [making, states] = timeOnce((): readonly StateMap[] => room.stateSets.map((ids) => index.stateOf(ids)));
  sweepYoung();
  return () => {
    const [resolve, resolution] = timed(() => room.version.resolve(index, states));
    if (resolution.verdict !== "resolved") return stop(`the resolution ended in ${resolution.verdict}`);
    const { state } = resolution;
    return [{ states: making, resolve, walk: 0 }, () => index.idsOf(state).sort()];
  };
};

export function indexOf(room: Room): RoomIndex {
  const index = new RoomIndex(room.version.rules);
  for (const event of room.events) {
    const { type, content } = event;
    index.add(type === "m.room.power_levels" ? { ...event, content: structuredClone(content) } : event);
  }
  return index;
}

function verifyBy(provider: Ed25519Provider, samples: Samples, event: LooseEvent): void {
  const plan = planSignatures(rules, event, () => ({ key: samples.key }));
  const outcomes = plan.checks.map(({ signature, message, key }) => provider.verify(signature, message, key));
  const { status } = settleSignatures(plan, outcomes);
  if (status !== "verified" || !contentHashMatches(event.json)) stop(`the sample is ${status}`);
}

/** In plain JavaScript, or with what the platform does faster. */
export function ourTasks(provider: Ed25519Provider): TaskTable {
  return {
    parse: ({ texts }) => over(texts, (text) => parseStrict(text)),
    canonical: ({ values }) => over(values, encodeCanonical),
    id: ({ values }) => over(values, (value) => eventIdOf(rules, value)),
    "id from text": ({ texts }) =>
      over(texts, (text) => {
        const parsed = parseStrict(text);
        return parsed.ok ? eventIdOf(rules, parsed.value as JsonObject) : stop(parsed.error.reason);
      }),
    pdu: ({ texts }) =>
      over(texts, (text) => {
        const parsed = parsePduText(rules, text);
        return parsed.ok ? parsed.value.eventId : stop(parsed.error.reason);
      }),
    verify: (samples) => {
      const events = signedOf(samples).map(({ value }) => readOrStop(v10, value));
      return over(events, (event) => verifyBy(provider, samples, event));
    },
    Ed25519: (samples) =>
      over(signedOf(samples), ({ signature, message }) => {
        if (!provider.verify(signature, message, samples.key)) stop("the sample does not verify");
      }),
  };
}
