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
import type { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { deciding, lostEveryRace, refusalIn, run, settlingOf, untilCommitted } from "./deciding.js";
import { admitState } from "./given.js";
import { demote, judgedIn } from "./rejudge.js";
import type { EmitOptions, JoinedState } from "./types.js";

/** The join as it is stored, or why the room cannot begin with it. */
export async function importJoin(core: RoomCore, joined: JoinedState, options: EmitOptions): Promise<Result<Pdu>> {
  const { origin, serversInRoom: servers } = joined;
  const { cancel } = options;
  await core.open(cancel);
  const given = await admitState(core, joined, cancel);
  if (!given.ok) return given;
  const { ids, candidates } = given.value;
  const [admission] = await admit(core.admitting, [joined.event], { origin, mode: "live", cancel });
  if (admission?.kind !== "candidate") return known(core, admission, options);
  const join: Candidate = { ...admission.candidate, givenState: ids };
  const work = { join, candidates: [...candidates, join], servers };
  const importOnce = async (): Promise<Result<Pdu>> => {
    const decide = (ws: Workspace): Promise<Result<Pdu> | undefined> => importIn(core, ws, work, options);
    return (await untilCommitted(core, decide, cancel)) ?? lostEveryRace(core);
  };
  return deciding(core, importOnce, cancel);
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

interface Work {
  readonly join: Candidate;
  /** The join and the state before it. */
  readonly candidates: readonly Candidate[];
  /** Where memberships were left out: the servers that were in the room. */
  readonly servers: readonly string[] | undefined;
}

async function importIn(
  core: RoomCore,
  ws: Workspace,
  { join, candidates, servers }: Work,
  options: EmitOptions,
): Promise<Result<Pdu> | undefined> {
  const { cancel } = options;
  if (servers !== undefined && core.isResident) {
    return refuse("undecided", "another user of this server has joined meanwhile: join again");
  }
  if (!core.isResident) await leaveBehind(core, ws, options);
  if (servers !== undefined) ws.partial = partialFrom(core, join, servers);
  const settling = await settlingOf(core, ws, candidates, cancel);
  settling.complete();
  await run(core, ws, settling, cancel);
  const refusal = refusalIn(settling, join.event.eventId);
  if (refusal !== undefined) return { ok: false, error: refusal };
  return (await core.commit(ws, settling.steps, options)) ? ok(join.event) : undefined;
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
