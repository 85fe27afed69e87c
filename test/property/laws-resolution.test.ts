import { describe, expect, it } from "vitest";
import { compareCodePoints } from "../../src/json/compare.js";
import type { Level } from "../../src/auth/power.js";
import { referenceResolve, resolutionLaws } from "../../src/testing/index.js";
import type { ResolutionRequest, Resolve } from "../../src/testing/index.js";
import { textAt } from "../../src/testing/forge.js";
import { ReferenceResolver } from "../../src/testing/reference.js";
import { roomVersions } from "../../src/versions/index.js";
import { lawNamed, options, resolve, violationOf } from "./laws-support.js";

describe("this library keeps the laws of state resolution", () => {
  for (const law of resolutionLaws(resolve)) it(law.name, () => law.run(options(law.name.endsWith("gives") ? 60 : 10)));

  it("and so does an implementation that answers later", async () => {
    const later: Resolve = async (request) => {
      await Promise.resolve();
      return resolve(request);
    };
    for (const law of resolutionLaws(later)) await law.run({ ...options(3), versions: ["1", "10", "12"] });
  });
});

type Request = ResolutionRequest;
const idOf = (event: Request["events"][number]): string => textAt(event, "event_id");
const ageOf = ({ unsigned }: Request["events"][number]): number => (unsigned as { age: number } | undefined)?.age ?? 0;
const at = <T>(list: readonly T[], index: number): T => list.at(index)!;

/** The reference with one step replaced. */
const withStep =
  (Broken: typeof ReferenceResolver): Resolve =>
  (request) => {
    const found = roomVersions.get(request.room_version);
    if (!found.ok) throw new Error(found.error.reason);
    return new Broken(found.value.rules, request).resolve();
  };

class KahnFromTheNewestEnd extends ReferenceResolver {
  protected override byPower(power: ReadonlySet<string>): readonly string[] {
    const left = new Set(power);
    const sorted: string[] = [];
    while (left.size > 0) {
      const cited = new Set([...left].flatMap((id) => this.event(id).authEvents));
      const last = [...left].filter((id) => !cited.has(id)).sort((a, b) => this.compareRank(b, a))[0]!;
      left.delete(last);
      sorted.unshift(last);
    }
    return sorted;
  }
}
class IdsByUtf16 extends ReferenceResolver {
  protected override compareIds(a: string, b: string): number {
    return a < b ? -1 : a > b ? 1 : 0;
  }
}
class WithoutFallback extends ReferenceResolver {
  protected override fallback(): readonly never[] {
    return [];
  }
}
class CreatorWithoutPower extends ReferenceResolver {
  protected override senderLevel(id: string): Level {
    const levels = this.citedPowerLevels(id);
    return levels === undefined ? 0 : super.senderLevel(id);
  }
}
class MissingKeyIsAgreed extends ReferenceResolver {
  protected override isAgreed(): boolean {
    return true;
  }
}
class MissingKeyIsConflict extends ReferenceResolver {
  protected override isAgreed(statesWithKey: number): boolean {
    return statesWithKey === this.states.length;
  }
}
class NoMainlineIsOldest extends ReferenceResolver {
  protected override comparePosition(a: number, b: number): number {
    return (Number.isFinite(b) ? b : 0) - (Number.isFinite(a) ? a : 0);
  }
}
class RanksByOwnContent extends ReferenceResolver {
  protected override senderLevel(id: string): Level {
    const { type, sender, content } = this.event(id);
    const users =
      type === "m.room.power_levels" ? (content["users"] as Record<string, unknown> | undefined) : undefined;
    const own = users?.[sender];
    return typeof own === "number" ? own : super.senderLevel(id);
  }
}
class TimeForgotten extends ReferenceResolver {
  protected override compareTime(a: string, b: string): number {
    return compareCodePoints(a, b);
  }
}
class SelfLeaveIsPower extends ReferenceResolver {
  protected override isPowerEvent(id: string): boolean {
    const { type, content } = this.event(id);
    return super.isPowerEvent(id) || (type === "m.room.member" && content["membership"] === "leave");
  }
}
class NoSubgraph extends ReferenceResolver {
  protected override subgraph(): ReadonlySet<string> {
    return new Set();
  }
}
class NoAuthDifference extends ReferenceResolver {
  protected override authDifference(): ReadonlySet<string> {
    return new Set();
  }
}
class DepthAscending extends ReferenceResolver {
  protected override byDepth(ids: Iterable<string>): readonly string[] {
    return [...super.byDepth(ids)].reverse();
  }
}
class GluedKeys extends ReferenceResolver {
  protected override keyOf(id: string): string {
    const { type, stateKey } = this.event(id);
    const known = type.startsWith("m.room.") && stateKey === "" ? [type, ""] : undefined;
    return known === undefined && !type.startsWith("m.room.member")
      ? `${type}:${stateKey ?? ""}`
      : JSON.stringify([type, stateKey]);
  }
}

const v2 = roomVersions.ids().filter((id) => id !== "1" && id !== "12");
const notV1 = [...v2, "12"];
const all = roomVersions.ids();

const reversedOutput: Resolve = (request) => {
  const ids = [...resolve(request)];
  const twice = request.events.find((event) => event["type"] === "m.room.member" && !ids.includes(idOf(event)));
  return twice === undefined ? ids : [...ids, idOf(twice)];
};

/** For each law an implementation that breaks it, and versions where it does. */
const broken: readonly (readonly [law: string, name: string, resolve: Resolve, versions: readonly string[]])[] = [
  [
    "however often it is given",
    "gives up what a single state has",
    (request) => (new Set(request.state_sets).size === 1 ? resolve(request).slice(1) : resolve(request)),
    all,
  ],
  ["order of the states does not matter", "takes the first state", (request) => at(request.state_sets, 0), all],
  [
    "events within a state does not matter",
    "drops the last of a state",
    (request) => at(request.state_sets, 0).slice(0, -1),
    all,
  ],
  [
    "order of the events does not matter",
    "drops the last event",
    (request) => resolve(request).filter((id) => id !== idOf(at(request.events, -1))),
    all,
  ],
  [
    "order of keys in events does not matter",
    "goes by the first key of an event",
    (request) => {
      const first = new Map(request.events.map((event) => [idOf(event), Object.keys(event)[0]]));
      return resolve(request).filter((id) => first.get(id) === "type");
    },
    all,
  ],
  [
    "repeating a state does not matter",
    "lets the majority win",
    (request) =>
      resolve(request).filter(
        (id) => 2 * request.state_sets.filter((ids) => ids.includes(id)).length > request.state_sets.length,
      ),
    all,
  ],
  [
    "repeating events does not matter",
    "counts events",
    (request) => resolve(request).slice(request.events.length % 2),
    all,
  ],
  [
    "auth chains do not matter",
    "looks at every event",
    (request) => (request.events.some(({ type }) => type === "m.room.message") ? [] : resolve(request)),
    all,
  ],
  [
    "`unsigned` does not matter",
    "prefers young events",
    (request) =>
      resolve(request).filter((id) => !request.events.some((event) => idOf(event) === id && ageOf(event) % 2 === 1)),
    all,
  ],
  [
    "algorithms 2 and 2.1",
    "trusts depth",
    (request) => {
      const deepest = request.events.toSorted((a, b) => Number(b["depth"]) - Number(a["depth"]));
      return resolve(request).filter((id) => id !== idOf(at(deepest, 0)));
    },
    notV1,
  ],
  [
    "agree on stands",
    "starts from nothing and stays there",
    (request) => resolve(request).filter((id) => !request.state_sets.every((ids) => ids.includes(id))),
    all,
  ],
  ["full conflicted set", "answers with two events at a key", reversedOutput, all],
  ["full conflicted set", "answers with ids of its own", (request) => [...resolve(request), "$unknown"], all],
  ["spec's algorithm gives", "runs Kahn's algorithm from the newest end", withStep(KahnFromTheNewestEnd), v2],
  ["spec's algorithm gives", "sorts ids by UTF-16 units", withStep(IdsByUtf16), ["2"]],
  ["spec's algorithm gives", "does not fall back to an event's own auth events", withStep(WithoutFallback), notV1],
  ["spec's algorithm gives", "ranks the creator at 0 without power levels", withStep(CreatorWithoutPower), v2],
  ["spec's algorithm gives", "takes a key that one state lacks for agreed", withStep(MissingKeyIsAgreed), notV1],
  [
    "spec's algorithm gives",
    "takes a key that one state lacks for a conflict in v1",
    withStep(MissingKeyIsConflict),
    ["1"],
  ],
  ["spec's algorithm gives", "ties no mainline with the oldest position", withStep(NoMainlineIsOldest), v2],
  ["spec's algorithm gives", "ranks power levels by their own content", withStep(RanksByOwnContent), v2],
  ["spec's algorithm gives", "forgets the time", withStep(TimeForgotten), v2],
  ["spec's algorithm gives", "takes leaving for a power event", withStep(SelfLeaveIsPower), v2],
  ["spec's algorithm gives", "leaves the conflicted subgraph out", withStep(NoSubgraph), ["12"]],
  ["spec's algorithm gives", "leaves the auth difference out", withStep(NoAuthDifference), v2],
  ["spec's algorithm gives", "tries the deepest first in v1", withStep(DepthAscending), ["1"]],
  ["spec's algorithm gives", "glues types and state keys together", withStep(GluedKeys), v2],
  [
    "like questions asked in turn",
    "mixes questions up",
    (() => {
      let last: Request | undefined;
      return async (request) => {
        last = request;
        await Promise.resolve();
        return resolve(last);
      };
    })(),
    all,
  ],
  [
    "request is not modified",
    "sorts in place",
    (request) => {
      (request.events as unknown[]).reverse();
      return resolve(request);
    },
    all,
  ],
];

describe("each law of state resolution can fail", () => {
  it.each(broken)("%s: an implementation that %s", async (law, _, wrong, versions) => {
    const judged = lawNamed(resolutionLaws(wrong), law);
    for (const id of versions.slice(0, 1)) {
      const violation = await violationOf(judged, { ...options(1500), versions: [id] });
      expect(violation?.version).toBe(id);
      expect(violation?.message).toContain('"room_version":');
    }
  });

  it("and every law has an implementation that breaks it", () => {
    const names = resolutionLaws(resolve).map(({ name }) => name);
    expect(names.filter((name) => !broken.some(([law]) => name.endsWith(law)))).toEqual([]);
  });
});

it("a violation is found again by its seed", async () => {
  const first = lawNamed(
    resolutionLaws((request) => at(request.state_sets, 0)),
    "order of the states does not matter",
  );
  const found = await violationOf(first, { runs: 200, versions: ["10"] });
  const again = await violationOf(first, { runs: 200, versions: ["10"], seed: found!.seed });
  expect(again?.counterexample).toEqual(found?.counterexample);
});

it("the reference is an implementation that keeps every law itself", async () => {
  for (const law of resolutionLaws((request) => referenceResolve(request))) {
    await law.run({ ...options(4), versions: ["1", "2", "12"] });
  }
});
