/**
 * Beginning a room, or beginning it anew, with a state that another server gave: the joining server's side of a join
 * (server-server-api, "Joining Rooms"). Where memberships were left out, the state is partial until it is completed.
 */
import { ok, refuse, UsageError } from "../../errors.js";
import type { Result } from "../../errors.js";
import type { Pdu } from "../../event/pdu.js";
import type { PartialState } from "../../ports/storage.js";
import { admit } from "../admit.js";
import type { Admission } from "../admit.js";
import type { Candidate } from "../decide.js";
import { refusalOf } from "../held.js";
import type { Settling } from "../settle.js";
import type { Workspace } from "../workspace.js";
import type { Prepared, RoomCore } from "./core.js";
import { deciding, lostEveryRace, refusalIn, run, settlingOf, untilCommitted } from "./deciding.js";
import { presumeState } from "./given.js";
import type { AdmittedState, PresumedState } from "./given.js";
import { demote, judgedIn } from "./rejudge.js";
import type { EmitOptions, JoinedState } from "./types.js";

/** The join as it is stored, or why the room cannot begin with it. */
export async function importJoin(core: RoomCore, joined: JoinedState, options: EmitOptions): Promise<Result<Pdu>> {
  const { origin } = joined;
  const { cancel } = options;
  await core.open(cancel);
  const [admission] = await admit(core.admitting, [joined.event], { origin, mode: "live", cancel });
  const reading = await presumeState(core, joined, cancel);
  if (admission?.kind !== "candidate") {
    const given = await reading.settled();
    return given.ok ? known(core, admission, options) : given;
  }
  const presumed = workOf(admission, reading.presumed, joined);
  const early = await importPresumed(core, presumed, reading, options);
  if (early !== undefined) return early;
  const given = await reading.settled();
  if (!given.ok) return given;
  const work = workOf(admission, given.value, joined);
  return importing(core, (ws) => importIn(core, ws, work, options), options);
}

interface Work {
  readonly join: Candidate;
  /** The join and the state before it. */
  readonly candidates: readonly Candidate[];
  /** Where memberships were left out: the servers that were in the room. */
  readonly servers: readonly string[] | undefined;
}

function workOf(
  candidate: Candidate,
  { ids, candidates }: AdmittedState,
  { serversInRoom: servers }: JoinedState,
): Work {
  const join: Candidate = { ...candidate, givenState: ids };
  return { join, candidates: [...candidates, join], servers };
}

/** In the queue, until nobody else wrote in between. */
async function importing<T>(
  core: RoomCore,
  decide: (ws: Workspace) => Promise<T | undefined>,
  { cancel }: EmitOptions,
): Promise<T | ReturnType<typeof lostEveryRace>> {
  const once = async (): Promise<T | ReturnType<typeof lostEveryRace>> =>
    (await untilCommitted(core, decide, cancel)) ?? lostEveryRace(core);
  return deciding(core, once, cancel);
}

/**
 * Decides as if every signature of the state were valid, while they are verified, and commits when they are: else two
 * cores would have one thread's work to do after the last of them (docs/performance.md). `undefined`: one of them is
 * not, or there is a room already, which this would hold up. Then nothing of it was kept, in memory or elsewhere: in
 * room versions 1 and 2 a forged event may have the id of a true one.
 */
async function importPresumed(
  core: RoomCore,
  work: Work,
  reading: PresumedState,
  options: EmitOptions,
): Promise<Result<Pdu> | undefined> {
  let kept = false;
  const decide = async (ws: Workspace): Promise<Result<Pdu> | "otherwise" | undefined> => {
    if (core.memory.record !== undefined) return "otherwise";
    try {
      const settling = await settleJoin(core, ws, work, options);
      // What is left after the last signature is one thread's work.
      const prepared = await core.prepare(ws, options);
      const given = await reading.settled();
      if (!given.ok || given.value !== reading.presumed) return "otherwise";
      kept = true;
      const done = await commitJoin(core, ws, settling, work, options, prepared);
      kept = done?.ok !== false;
      return done;
    } finally {
      if (!kept) core.startOver();
    }
  };
  const done = await importing(core, decide, options);
  return done === "otherwise" ? undefined : done;
}

/** A join that was decided before, or is none. */
async function known(
  core: RoomCore,
  admission: Exclude<Admission, { kind: "candidate" }> | undefined,
  { cancel }: EmitOptions,
): Promise<Result<Pdu>> {
  if (admission?.kind === "known") {
    const [held] = await core.load([admission.eventId], cancel);
    if (held === undefined) throw new UsageError("storage lost an event that it had");
    return ok(held.event);
  }
  const refusal = admission && refusalOf(admission.verdict);
  return refusal === undefined ? refuse("bad_format", "the join is no event") : { ok: false, error: refusal };
}

async function importIn(
  core: RoomCore,
  ws: Workspace,
  work: Work,
  options: EmitOptions,
): Promise<Result<Pdu> | undefined> {
  if (work.servers !== undefined && core.isResident) {
    return refuse("undecided", "another user of this server has joined meanwhile: join again");
  }
  if (!core.isResident) await leaveBehind(core, ws, options);
  const settling = await settleJoin(core, ws, work, options);
  return commitJoin(core, ws, settling, work, options);
}

async function settleJoin(
  core: RoomCore,
  ws: Workspace,
  { join, candidates, servers }: Work,
  { cancel }: EmitOptions,
): Promise<Settling> {
  if (servers !== undefined) ws.partial = partialFrom(core, join, servers);
  const settling = await settlingOf(core, ws, candidates, cancel);
  settling.complete();
  await run(core, ws, settling, cancel);
  return settling;
}

async function commitJoin(
  core: RoomCore,
  ws: Workspace,
  settling: Settling,
  { join: { event } }: Work,
  options: EmitOptions,
  prepared?: Prepared,
): Promise<Result<Pdu> | undefined> {
  const refusal = refusalIn(settling, event.eventId);
  if (refusal !== undefined) return { ok: false, error: refusal };
  if (!(await core.commit(ws, settling.steps, options, prepared))) return undefined;
  if (settling.outdated) core.forget();
  return ok(event);
}

/** Who was in the room no more has only an old end of it, which the others have passed. */
async function leaveBehind(core: RoomCore, ws: Workspace, { cancel }: EmitOptions): Promise<void> {
  ws.setExtremities(new Map());
  const left = ws.partial;
  if (left === undefined) return;
  const judged = await judgedIn(core, left, cancel);
  ws.partial = undefined;
  await demote(core, ws, judged, cancel);
}

function partialFrom({ memory }: RoomCore, { event }: Candidate, servers: readonly string[]): PartialState {
  const { record } = memory;
  const [position, revision] = [(record?.lastPosition ?? 0) + 1, (record?.revision ?? 0) + 1];
  return { eventId: event.eventId, position, revision, servers };
}
