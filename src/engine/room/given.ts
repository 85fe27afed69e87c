/**
 * A state that another server gave with its auth chain, to be imported: the answer to a join (send_join), or to the
 * question for the whole state before it (`/state`).
 */
import { ok, refuse } from "../../errors.js";
import type { Result } from "../../errors.js";
import type { Cancel } from "../../ports/cancel.js";
import { presume } from "../admit.js";
import type { Admission } from "../admit.js";
import type { Candidate } from "../decide.js";
import type { RoomCore } from "./core.js";

export interface GivenState {
  readonly state: readonly unknown[];
  readonly authChain: readonly unknown[];
  readonly origin: string;
}

export interface AdmittedState {
  /** Ids of the state's events. */
  readonly ids: readonly string[];
  /** What of the state and of the auth chain is to be decided. */
  readonly candidates: readonly Candidate[];
}

/** A state whose signatures are verified while something else is done. */
export interface PresumedState {
  /** What it comes to if every signature is valid. */
  readonly presumed: AdmittedState;
  /** What it comes to: {@link PresumedState.presumed} itself if every signature is valid. */
  readonly settled: () => Promise<Result<AdmittedState>>;
}

/** Checks 1 to 3 on all of it. */
export async function admitState(
  core: RoomCore,
  given: GivenState,
  cancel: Cancel | undefined,
): Promise<Result<AdmittedState>> {
  const { settled } = await presumeState(core, given, cancel);
  return settled();
}

/** The same, for whoever has something to do until all signatures are verified. */
export async function presumeState(
  core: RoomCore,
  { state, authChain, origin }: GivenState,
  cancel: Cancel | undefined,
): Promise<PresumedState> {
  const asked = await presume(core.admitting, [...authChain, ...state], { origin, cancel });
  const presumed = admittedState(asked.admissions, authChain.length);
  const settled = async (): Promise<Result<AdmittedState>> => {
    const admissions = await asked.settled();
    if (admissions === asked.admissions) return ok(presumed);
    return unverifiableOf(admissions) ?? ok(admittedState(admissions, authChain.length));
  };
  return { presumed, settled };
}

function admittedState(admissions: readonly Admission[], authChain: number): AdmittedState {
  const ids: string[] = [];
  const candidates: Candidate[] = [];
  admissions.forEach((one, place) => {
    const id = idOf(one);
    if (place >= authChain && id !== undefined) ids.push(id);
    if (one.kind === "candidate") candidates.push(one);
  });
  return { ids, candidates };
}

/**
 * A state that lacks what cannot be verified now would be another than that of the servers that could verify it, and
 * would stay so: a room is not begun with less than all of it. What is wrong for certain is left out, as everywhere.
 */
function unverifiableOf(imported: readonly Admission[]): ReturnType<typeof refuse> | undefined {
  const refusals = imported.flatMap((one) =>
    one.kind === "refused" && one.verdict.verdict === "unverifiable" ? [one.verdict.refusal] : [],
  );
  const [first] = refusals;
  if (first === undefined) return undefined;
  const reason = `${refusals.length} events of the state cannot be verified now: ${first.reason}`;
  return refuse("undecided", reason, { events: refusals.flatMap(({ events }) => events).slice(0, 20) });
}

function idOf(admission: Admission): string | undefined {
  if (admission.kind === "candidate") return admission.event.eventId;
  return admission.kind === "known" ? admission.eventId : undefined;
}
