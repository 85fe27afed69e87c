/** Resolution: the named histories of the gallery, and forks of random rooms. */
import { readFileSync, readdirSync } from "node:fs";
import fc from "fast-check";
import { auditReport, checkRoom, readScenario } from "../../src/inspect/index.js";
import type { Scenario } from "../../src/inspect/index.js";
import { get, isObject } from "../../src/json/value.js";
import type { JsonObject } from "../../src/json/value.js";
import { arbRoom, eventWithId, referenceResolve } from "../../src/testing/index.js";
import type { TestRoom } from "../../src/testing/index.js";
import { roomPage, spec, versionOf, versions } from "./model.js";
import type { Pool, Source, Vector } from "./model.js";

const reference: Source = { by: "reference", name: "referenceResolve of roomdag, a second resolver of this project" };

function algorithm(version: string): Source {
  return spec(roomPage(version, "state-resolution"), "State resolution");
}

type StateSets = readonly (readonly string[])[];

/** Ids by code point, as answers have them. */
const sorted = (ids: readonly string[]): readonly string[] =>
  [...ids].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

function resolution(
  id: string,
  version: string,
  room: string,
  stateSets: StateSets,
  events: readonly JsonObject[],
  source: readonly Source[],
): Vector {
  const state_sets = stateSets.map(sorted);
  const ok = sorted(referenceResolve({ room_version: version, state_sets, events }));
  return { id, op: "resolve", room_version: version, room, state_sets, expect: { ok }, source };
}

function scenarioOf(text: string, roomVersion?: string): Scenario {
  const scenario = readScenario(text, roomVersion === undefined ? {} : { roomVersion });
  if (!scenario.ok) throw new Error(scenario.error.reason);
  return scenario.value;
}

/** Every place of a text's room where states were resolved, in every version that its expectations name. */
export function galleryVectors(pool: Pool, folder: string): readonly Vector[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".txt"))
    .sort()
    .flatMap((file) => {
      const text = readFileSync(folder + file, "utf8");
      const named = [...new Set(scenarioOf(text).expectations.flatMap((one) => one.versions))];
      return named.flatMap((version) => ofScenario(pool, file.replace(/\.txt$/, ""), version, text));
    });
}

function ofScenario(pool: Pool, name: string, version: string, text: string): readonly Vector[] {
  const scenario = scenarioOf(text, version);
  const report = checkRoom(scenario.dump);
  if (!report.ok) throw new Error(report.error.reason);
  const { replay, forks } = auditReport(report.value).report;
  const room = `${version}/${name}`;
  const ids = replay.order.filter((id) => replay.index.get(id) !== undefined);
  const events = ids.flatMap((id) => {
    const json = replay.pdu(id)?.json;
    return json === undefined ? [] : [{ ...json, event_id: id }];
  });
  for (const event of events) pool.add(room, versionOf(version), event);
  const nameOf = (id: string | undefined): string =>
    id === undefined ? "end" : (scenario.dump.names?.get(id) ?? `event-${ids.indexOf(id)}`);
  const said = scenario.source.join(" ");
  return forks.map(({ before, parents }) => {
    const states = parents.map((parent) => {
      const after = replay.stateAfter([parent]);
      if (after?.verdict !== "resolved") throw new Error(`${room}: no state after ${nameOf(parent)}`);
      return replay.index.idsOf(after.state);
    });
    const source = [algorithm(version), reference];
    const vector = resolution(`resolution/${room}/${nameOf(before)}`, version, room, states, events, source);
    return { ...vector, about: `${scenario.title ?? name}. Where the lesson comes from: ${said}` };
  });
}

/** Rooms of a version, and forks of each room. */
const ROOMS = 4;
const FORKS = 6;

/** A small deterministic generator (mulberry32). */
function dice(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  };
}

/** Forks of rooms in which every event was allowed where it stood. */
export function randomVectors(pool: Pool): readonly Vector[] {
  return versions.flatMap((version) => {
    const sample = fc.sample(arbRoom(version, { maxSteps: 24 }), { numRuns: 60, seed: 4297 + Number(version) });
    const rooms = sample.filter((room) => room.events.length >= 12 && room.events.length <= 26 && isFederated(room));
    const fitting = rooms.map((room, at) => [room, forksOf(room, at)] as const).filter(([, forks]) => forks.length > 0);
    return fitting
      .sort(([, a], [, b]) => b.length - a.length)
      .slice(0, ROOMS)
      .flatMap(([made, forks], at) => {
        const room = `${version}/random-${at + 1}`;
        const events = made.events.map(eventWithId);
        for (const event of events) pool.add(room, versionOf(version), event);
        const source = [algorithm(version), reference];
        return forks.map((states, n) =>
          resolution(`resolution/${room}/${n + 1}`, version, room, states, events, source),
        );
      });
  });
}

/** Synapse takes `m.federate: false` for more than the text says, so such rooms have no answer that all agree on. */
function isFederated({ events: [create] }: TestRoom): boolean {
  const content = create?.pdu["content"];
  return isObject(content) && get(content, "m.federate") !== false;
}

/** State sets that disagree: those that the room itself had to resolve, then ends picked at random. */
function forksOf(room: TestRoom, seed: number): readonly StateSets[] {
  const below = dice(seed);
  const found = new Map<string, StateSets>();
  const offer = (states: StateSets): void => {
    const distinct = [...new Map(states.map((ids) => [sorted(ids).join(" "), ids])).values()];
    if (distinct.length > 1 && found.size < FORKS && conflicts(room, distinct))
      found.set(distinct.map((ids) => sorted(ids).join(" ")).join("|"), distinct);
  };
  for (const fork of room.forks.slice(0, 3)) offer(fork);
  for (let n = 0; n < 40; n++) {
    const picked = Array.from({ length: 2 + below(3) }, () => room.events[2 + below(room.events.length - 2)]);
    offer(picked.flatMap((event) => (event === undefined ? [] : [event.stateAfter])));
  }
  return [...found.values()];
}

/** Whether two states have different events at one key. */
function conflicts(room: TestRoom, states: StateSets): boolean {
  const keys = new Map(
    room.events.map(({ eventId, pdu }) => [eventId, JSON.stringify([pdu["type"], pdu["state_key"]])]),
  );
  const holders = new Map<string, Set<string>>();
  for (const id of states.flat()) {
    const key = keys.get(id) ?? "";
    holders.set(key, (holders.get(key) ?? new Set()).add(id));
  }
  return [...holders.values()].some((ids) => ids.size > 1);
}
