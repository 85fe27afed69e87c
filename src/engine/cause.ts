/** Why the current state of a room changed: what {@link StateChange} says, worked out from a resolution's trace. */
import type { RoomEvent } from "../event/pdu.js";
import type { LostState, StateCause, StateDifference } from "../ports/observer.js";
import type { KeyOutcome } from "../stateres/trace.js";
import { compareCodePoints } from "../json/compare.js";
import type { RoomMemory } from "./memory.js";
import type { Snapshot } from "./snapshot.js";
import { StateView } from "./state-view.js";

/** One step of the current state: the event that made it, and what was current around it. */
export interface Step {
  readonly event: RoomEvent;
  readonly late: boolean;
  readonly completion: boolean;
  readonly before: Snapshot;
  readonly after: Snapshot;
  /** The forward extremities before the event. */
  readonly extremitiesBefore: ReadonlyMap<string, Snapshot>;
  readonly extremities: ReadonlyMap<string, Snapshot>;
  /** The states after the event's parents. */
  readonly parents: readonly Snapshot[];
}

/** The whole state made known: no event changed it. */
export function completionStep(event: RoomEvent, before: Snapshot, after: Snapshot): Step {
  const none = new Map<string, Snapshot>();
  return {
    event,
    late: false,
    completion: true,
    before,
    after,
    extremitiesBefore: none,
    extremities: none,
    parents: [],
  };
}

/** The keys in which two states differ, sorted. */
export function differencesOf(memory: RoomMemory, before: Snapshot, after: Snapshot): readonly StateDifference[] {
  const differences: StateDifference[] = [];
  new StateView(memory.index, before).differences(new StateView(memory.index, after), (type, stateKey, old, now) => {
    differences.push({ type, stateKey, before: old?.eventId, after: now?.eventId });
  });
  return differences.sort((a, b) => compareCodePoints(a.type, b.type) || compareCodePoints(a.stateKey, b.stateKey));
}

export function causeOf(memory: RoomMemory, step: Step, differences: readonly StateDifference[]): StateCause {
  const events = [step.event.eventId];
  const extremities = [...step.extremities.keys()].sort(compareCodePoints);
  if (step.completion) return { cause: "completion", events };
  const resolved = resolvedStates(step);
  const lost = resolved === undefined ? [] : lostIn(memory, resolved, step.event, differences);
  if (lost.length > 0) return { cause: "rollback", events, extremities, lost };
  if (step.late) return { cause: "late-decision", events, extremities };
  return resolved === undefined ? { cause: "advance", events } : { cause: "merge", events, extremities };
}

/** The states whose resolution made the new current state; `undefined` when the event just came last. */
function resolvedStates(step: Step): readonly Snapshot[] | undefined {
  if (step.extremities.size > 1) return [...step.extremities.values()];
  const follows = step.event.prevEvents;
  const advanced =
    follows.length === step.extremitiesBefore.size &&
    [...step.extremitiesBefore.keys()].every((id) => follows.includes(id));
  // What was rejected or soft-failed in between may have left the state as it was.
  const unmoved = step.parents.length > 0 && step.parents.every((parent) => parent === step.before);
  return advanced || unmoved ? undefined : [step.before, ...step.parents];
}

function lostIn(
  memory: RoomMemory,
  states: readonly Snapshot[],
  event: RoomEvent,
  differences: readonly StateDifference[],
): readonly LostState[] {
  const resolution = memory.version.resolve(
    memory.index,
    states.map(({ state }) => state),
    { facts: memory.facts, trace: true },
  );
  if (resolution.verdict !== "resolved" || resolution.trace === undefined) return [];
  const lost: LostState[] = [];
  for (const difference of differences) {
    const outcome = resolution.trace.outcomes.find(
      ({ type, stateKey }) => type === difference.type && stateKey === difference.stateKey,
    );
    const was = difference.before;
    if (was === undefined || outcome === undefined || difference.after === event.eventId) continue;
    const found = lostAt(outcome, was, difference.after);
    if (found !== undefined) lost.push(found);
  }
  return lost;
}

function lostAt(outcome: KeyOutcome, eventId: string, to: string | undefined): LostState | undefined {
  if (outcome.kind === "merged") return undefined;
  const { type, stateKey, kind } = outcome;
  const because = outcome.lost.find((one) => one.eventId === eventId)?.because;
  return { type, stateKey, eventId, to, because, kind };
}
