/** Computed states beside recorded ones. */
import type { Refusal } from "../errors.js";
import { compareCodePoints } from "../json/compare.js";
import type { ResolutionTrace } from "../stateres/trace.js";
import type { RoomVersion } from "../versions/room-version.js";
import type { ResolveRequest } from "./dump.js";
import type { KnownState, Replay } from "./replay.js";
import { loadRequest } from "./request.js";

/** A recorded state beside the computed one. */
export interface StateComparison {
  /** Where the recorded state stands in the file. */
  readonly name: string;
  /** The event that it is the state before. */
  readonly before: string | undefined;
  readonly outcome:
    | { readonly outcome: "agrees"; readonly size: number }
    /** Ids in one and not in the other, sorted. */
    | { readonly outcome: "differs"; readonly computed: readonly string[]; readonly recorded: readonly string[] }
    /** Ancestors are absent, so the recorded state was taken as given. */
    | { readonly outcome: "used"; readonly size: number }
    | { readonly outcome: "not-compared"; readonly reason: string };
}

/** Each recorded state beside the state before its event. */
export function compareStates(replay: Replay, states: readonly KnownState[]): readonly StateComparison[] {
  return states.map((state) => ({ name: state.name, before: state.before, outcome: compareState(replay, state) }));
}

function compareState(replay: Replay, known: KnownState): StateComparison["outcome"] {
  const { before, after, members, partial } = known;
  const skip = (reason: string): StateComparison["outcome"] => ({ outcome: "not-compared", reason });
  if (after !== undefined) {
    if (partial) return skip("members were left out of it");
    const current = replay.stateAfter(after);
    if (current?.verdict !== "resolved") return skip("the state after those events could not be computed");
    return difference(replay.index.idsOf(current.state), members);
  }
  if (before === undefined) return skip("the file does not say which event it is the state before");
  if (partial) return skip("members were left out of it");
  if (replay.pdu(before) === undefined) return skip("the event that it is the state before is absent");
  const state = replay.stateBefore(before);
  if (state === undefined) return skip("the state before that event could not be computed");
  if (!replay.isComputed(before)) return { outcome: "used", size: members.length };
  return difference(replay.index.idsOf(state), members);
}

function difference(computed: readonly string[], recorded: readonly string[]): StateComparison["outcome"] {
  const ours = new Set(computed);
  const theirs = new Set(recorded);
  const onlyOurs = computed.filter((id) => !theirs.has(id)).sort(compareCodePoints);
  const onlyTheirs = recorded.filter((id) => !ours.has(id)).sort(compareCodePoints);
  if (onlyOurs.length === 0 && onlyTheirs.length === 0) return { outcome: "agrees", size: ours.size };
  return { outcome: "differs", computed: onlyOurs, recorded: onlyTheirs };
}

/** What became of the resolution that a file asks for. */
export type RequestComparison =
  | {
      readonly outcome: "resolved";
      readonly state: readonly string[];
      /** Absent where the file has no expected state. */
      readonly agreement: StateComparison["outcome"] | undefined;
      readonly trace: ResolutionTrace | undefined;
    }
  | { readonly outcome: "needs"; readonly events: readonly string[] }
  | { readonly outcome: "refused"; readonly refusal: Refusal };

/** Resolves a request and compares with the state that it expects. */
export function compareRequest(version: RoomVersion, request: ResolveRequest): RequestComparison {
  const loaded = loadRequest(version, request);
  if (!loaded.ok) return { outcome: "refused", refusal: loaded.error };
  const { index, states } = loaded.value;
  const resolved = version.resolve(index, states, { trace: true });
  if (resolved.verdict === "refused") return { outcome: "refused", refusal: resolved.refusal };
  if (resolved.verdict === "needs") return { outcome: "needs", events: resolved.events };
  const state = index.idsOf(resolved.state).sort(compareCodePoints);
  const agreement = request.expected === undefined ? undefined : difference(state, request.expected);
  return { outcome: "resolved", state, agreement, trace: resolved.trace };
}
