/**
 * Taking in an event that another server made by a template and hands over to be distributed (server-server-api,
 * "Joining Rooms", "Knocking upon a room", "Leaving Rooms (Rejecting Invites)": the resident server's side).
 */
import { ok, refuse } from "../../errors.js";
import type { Result } from "../../errors.js";
import type { Pdu } from "../../event/pdu.js";
import type { JsonObject } from "../../json/value.js";
import { admit } from "../admit.js";
import type { Admission } from "../admit.js";
import type { Candidate } from "../decide.js";
import { refusalOf } from "../held.js";
import type { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { deciding, lostEveryRace, refusalIn, run, settlingOf, untilCommitted } from "./deciding.js";
import { remembering } from "./loop.js";
import { fetchFor } from "./receive.js";
import type { EmitOptions } from "./types.js";

export interface AdoptOptions extends EmitOptions {
  /** The server that handed the event over; it has it already. */
  readonly origin: string;
}

/** The event as it is stored and sent on, or why it is not. */
export async function adopt(core: RoomCore, event: JsonObject, options: AdoptOptions): Promise<Result<Pdu>> {
  const { origin, cancel } = options;
  const [admission] = await admit(core.admitting, [event], { origin, mode: "live", cancel });
  if (admission?.kind !== "candidate") return known(core, admission, options);
  const work = new Map([[admission.event.eventId, admission]]);
  await fetchFor(core, work, options);
  const adoptOnce = async (): Promise<Result<Pdu>> => {
    const decide = (ws: Workspace): Promise<Result<Pdu> | undefined> =>
      adoptIn(core, ws, [...work.values()], admission, options);
    return (await untilCommitted(core, decide, cancel)) ?? lostEveryRace(core);
  };
  return remembering(core, () => deciding(core, adoptOnce, cancel), cancel);
}

/** An event that was decided before, or is none. */
async function known(
  core: RoomCore,
  admission: Exclude<Admission, { kind: "candidate" }> | undefined,
  { cancel }: AdoptOptions,
): Promise<Result<Pdu>> {
  if (admission?.kind === "known" && admission.verdict.verdict === "accepted") {
    const [held] = await core.load([admission.eventId], cancel);
    if (held !== undefined) return ok(held.event);
  }
  const refusal = admission === undefined ? undefined : refusalOf(admission.verdict);
  return refusal === undefined ? refuse("undecided", "the event cannot be taken in") : { ok: false, error: refusal };
}

async function adoptIn(
  core: RoomCore,
  ws: Workspace,
  work: readonly Candidate[],
  { event }: Candidate,
  options: AdoptOptions,
): Promise<Result<Pdu> | undefined> {
  const { origin, cancel } = options;
  const settling = await settlingOf(core, ws, work, cancel);
  await run(core, ws, settling, cancel);
  const refusal = refusalIn(settling, event.eventId);
  // A membership that is not wanted now is refused to its face, and not kept.
  if (refusal !== undefined) return { ok: false, error: refusal };
  const sent = { notTo: origin, ...options, own: [event] };
  const done = !ws.changed || (await core.commit(ws, settling.steps, sent));
  if (done && settling.outdated) core.forget();
  return done ? ok(ws.held(event.eventId)?.event ?? event) : undefined;
}
