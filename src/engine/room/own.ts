/**
 * Own events, made or handed over: each has to pass what every other server will ask of it, and what the host asks,
 * before it is committed and queued for the others. Runs in the queue.
 */
import { ok } from "../../errors.js";
import type { Refusal, Result } from "../../errors.js";
import type { Pdu } from "../../event/pdu.js";
import type { Cancel } from "../../ports/cancel.js";
import type { Step } from "../cause.js";
import type { Candidate } from "../decide.js";
import { Settling } from "../settle.js";
import type { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { lostEveryRace, refusalIn, requireAsked, tryOut, untilCommitted } from "./deciding.js";
import { makeEvent } from "./make.js";
import type { EmitOptions, LocalEvent } from "./types.js";

/**
 * Makes events of drafts, after those that are made already, and commits them: what {@link deciding} runs. Done again,
 * it takes those that it made before.
 */
export function emitting(
  core: RoomCore,
  drafts: readonly LocalEvent[],
  options: EmitOptions,
  first: readonly Pdu[] = [],
): (made: readonly Pdu[]) => Promise<Result<readonly Pdu[]>> {
  return async (made) => {
    const wanted = made.length > 0 ? made : [...first, ...drafts];
    const emit = (ws: Workspace): Promise<Result<readonly Pdu[]> | undefined> => emitIn(core, ws, wanted, options);
    return (await untilCommitted(core, emit, options.cancel)) ?? lostEveryRace(core);
  };
}

async function emitIn(
  core: RoomCore,
  ws: Workspace,
  wanted: readonly (Pdu | LocalEvent)[],
  options: EmitOptions,
): Promise<Result<readonly Pdu[]> | undefined> {
  const own: Pdu[] = [];
  const steps: Step[] = [];
  for (const draft of wanted) {
    const made = isPdu(draft) ? ok(draft) : await makeEvent(core, ws, draft, options.cancel);
    if (!made.ok) return made;
    const tried = await tryOwn(core, ws, made.value, options.cancel);
    if (!tried.ok) return tried;
    steps.push(...tried.value);
    own.push(ws.withRecommendation(made.value));
  }
  requireAsked(ws, own);
  return (await core.commit(ws, steps, { ...options, own })) ? ok(own) : undefined;
}

function isPdu(event: Pdu | LocalEvent): event is Pdu {
  return "eventId" in event;
}

/** Judges an own event in a workspace: the steps of the current state, or why it is refused. */
export async function tryOwn(
  core: RoomCore,
  ws: Workspace,
  event: Pdu,
  cancel: Cancel | undefined,
): Promise<Result<readonly Step[]>> {
  const { server, clock } = core.host;
  const refused = await policyRefusal(core, event, cancel);
  if (refused !== undefined) return { ok: false, error: refused };
  const judged = { event, hashMismatch: false, origin: server, mode: "live", policy: undefined } as const;
  const candidate: Candidate = { kind: "candidate", ...judged };
  ws.absent.add(event.eventId);
  const settling = new Settling(ws, [candidate], clock.now());
  await tryOut(core, ws, settling, cancel);
  const refusal = refusalIn(settling, event.eventId);
  return refusal === undefined ? ok(settling.steps) : { ok: false, error: refusal };
}

async function policyRefusal(
  { host, version }: RoomCore,
  event: Pdu,
  cancel: Cancel | undefined,
): Promise<Refusal | undefined> {
  const attempt = { event, roomVersion: version.id, origin: host.server };
  const refused = await host.policy.checkEvent?.(attempt, cancel);
  if (refused === undefined) return undefined;
  return { code: "policy_refused", reason: `${refused.code}: ${refused.reason}`, events: [event.eventId] };
}
