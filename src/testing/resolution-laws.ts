/** Laws of state resolution. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { compareCodePoints } from "../json/compare.js";
import { get } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import { canonicalText } from "./canonical-text.js";
import { withKeys } from "./forge.js";
import { ask, broken, salts, shuffle, shuffleKeys, versionLaw } from "./laws.js";
import type { Law } from "./laws.js";
import { ReferenceResolver, referenceResolve } from "./reference.js";
import { arbFork, eventWithId, versionOf } from "./room.js";
import type { ResolutionRequest, TestFork } from "./room.js";

/** An implementation under test: the ids of the resolved state in any order, at once or later. */
export type Resolve = (request: ResolutionRequest) => readonly string[] | Promise<readonly string[]>;

interface Case {
  readonly fork: TestFork;
  readonly salt: number;
  readonly registry: RoomVersionRegistry;
}

/**
 * Laws of state resolution in every room version (spec: each version's "State resolution"), for any
 * implementation. `resolve` gets states as lists of ids and the events of those states with their auth
 * chains, each with the `event_id` that is to be taken as given; all were accepted, so signatures need
 * no check. It answers with the ids of the resolved state.
 *
 * ```ts
 * for (const law of resolutionLaws(resolve)) it(law.name, () => law.run());
 * ```
 */
export function resolutionLaws(resolve: Resolve): readonly Law[] {
  const same = sameFor(resolve);
  return [
    law("one state resolves to itself, however often it is given", async ({ fork: { request } }) => {
      for (const state of request.state_sets.slice(0, 2)) {
        for (const state_sets of [[state], [state, state]]) {
          const single = { ...request, state_sets };
          const answer = await answerOf(resolve, single);
          if (answer !== sorted(state)) broken(`it answered ${answer}`, single);
        }
      }
    }),
    law(
      "the order of the states does not matter",
      same((request, salt) => ({
        ...request,
        state_sets: shuffle(request.state_sets, salt),
      })),
    ),
    law(
      "the order of events within a state does not matter",
      same((request, salt) => ({
        ...request,
        state_sets: request.state_sets.map((ids) => shuffle(ids, salt)),
      })),
    ),
    law(
      "the order of the events does not matter",
      same((request, salt) => ({
        ...request,
        events: shuffle(request.events, salt),
      })),
    ),
    law(
      "the order of keys in events does not matter",
      same((request, salt) => ({
        ...request,
        events: request.events.map((event) => shuffleKeys(event, salt)),
      })),
    ),
    law(
      "repeating a state does not matter",
      same((request, salt) => ({
        ...request,
        state_sets: [...request.state_sets, ...shuffle(request.state_sets, salt).slice(0, 1 + (salt % 2))],
      })),
    ),
    law(
      "repeating events does not matter",
      same((request, salt) => ({
        ...request,
        events: [...request.events, ...shuffle(request.events, salt).slice(0, 1 + (salt % 4))],
      })),
    ),
    law("events outside the states and their auth chains do not matter", async ({ fork, salt, registry }) => {
      const events = shuffle(fork.room.events.map(eventWithId), salt);
      await same((request) => ({ ...request, events }))({ fork, salt, registry });
    }),
    law(
      "`unsigned` does not matter",
      same((request, salt) => ({
        ...request,
        events: request.events.map((event, at) => withKeys(event, { unsigned: { age: salt + at } })),
      })),
    ),
    law(
      "depth does not matter in algorithms 2 and 2.1",
      same((request, salt) => ({
        ...request,
        events: request.events.map((event, at) => withKeys(event, { depth: (salt * (at + 7)) % 101 })),
      })),
      (algorithm) => algorithm !== "v1",
    ),
    law("what all states agree on stands", async ({ fork: { request } }) => {
      const resolved = new Set(await idsOf(resolve, request));
      const [first = [], ...others] = request.state_sets;
      for (const id of first) {
        if (others.every((ids) => ids.includes(id)) && !resolved.has(id)) broken(`it left out ${id}`, request);
      }
    }),
    law(
      "the answer is a state: one event a key, each from the states or the full conflicted set",
      async ({ fork: { request }, registry }) => {
        const { rules } = versionOf(request.room_version, registry);
        const full = rules.stateResolution === "v1" ? [] : new ReferenceResolver(rules, request).fullConflictedSet();
        const allowed = new Set([...request.state_sets.flat(), ...full]);
        const keys = new Map(request.events.map((event) => [get(event, "event_id"), keyOf(event)]));
        const taken = new Set<string>();
        for (const id of await idsOf(resolve, request)) {
          if (!allowed.has(id)) broken(`it answered with ${id}, which is in neither`, request);
          const key = keys.get(id) ?? "";
          if (taken.has(key)) broken(`it answered with two events at ${key}`, request);
          taken.add(key);
        }
      },
    ),
    law("the answer is what the spec's algorithm gives", async ({ fork: { request }, registry }) => {
      const expected = sorted(referenceResolve(request, registry));
      const answer = await answerOf(resolve, request);
      if (answer !== expected) broken(`it answered ${answer} instead of ${expected}`, request);
    }),
    law("questions asked at once are answered like questions asked in turn", async ({ fork: { request }, salt }) => {
      const other = { ...request, state_sets: request.state_sets.slice(0, 1), events: shuffle(request.events, salt) };
      const asked = [request, other, request];
      const inTurn: string[] = [];
      for (const question of asked) inTurn.push(await answerOf(resolve, question));
      const atOnce = await Promise.all(asked.map((question) => answerOf(resolve, question)));
      if (inTurn.join() !== atOnce.join()) broken(`it answered ${inTurn.join()}, then ${atOnce.join()}`, asked);
    }),
    law("the request is not modified", async ({ fork: { request } }) => {
      const before = canonicalText(request);
      const copy = structuredCopy(request);
      await idsOf(resolve, copy);
      if (canonicalText(copy) !== before) broken("it changed the request", request);
    }),
  ];
}

function law(
  name: string,
  holds: (sample: Case) => Promise<void>,
  concerns: (algorithm: "v1" | "v2" | "v2.1") => boolean = () => true,
): Law {
  return versionLaw(`state resolution: ${name}`, (version, registry) => casesOf(version, registry, concerns), holds);
}

function casesOf(
  version: string,
  registry: RoomVersionRegistry,
  concerns: (algorithm: "v1" | "v2" | "v2.1") => boolean,
): Arbitrary<Case> | undefined {
  if (!concerns(versionOf(version, registry).rules.stateResolution)) return undefined;
  return fc.record({ fork: arbFork(version, { registry }), salt: salts, registry: fc.constant(registry) });
}

/** The answer to a changed request is the answer to the request. */
function sameFor(resolve: Resolve) {
  return (change: (request: ResolutionRequest, salt: number) => ResolutionRequest) =>
    async ({ fork: { request }, salt }: Case): Promise<void> => {
      const changed = change(request, salt);
      const [before, after] = [await answerOf(resolve, request), await answerOf(resolve, changed)];
      if (before !== after) broken(`it answered ${before}, then ${after}`, { request, changed });
    };
}

async function idsOf(resolve: Resolve, request: ResolutionRequest): Promise<readonly string[]> {
  return ask(() => resolve(request), request);
}

async function answerOf(resolve: Resolve, request: ResolutionRequest): Promise<string> {
  return sorted(await idsOf(resolve, request));
}

function sorted(ids: readonly string[]): string {
  return canonicalText([...ids].sort(compareCodePoints));
}

function keyOf(event: JsonObject): string {
  return canonicalText([get(event, "type"), get(event, "state_key")]);
}

/** A deep copy with keys in their order, `__proto__` among them. */
function structuredCopy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
