/**
 * What deciding brings with it, outside of the queue: what was set free is decided as well; what storage forgot is
 * asked for, and the work is done again; too many ends are tied together by an event of this server's own, which is
 * decided like any other. Each may need the others: that is why they are together.
 */
import { UsageError } from "../../errors.js";
import type { Result } from "../../errors.js";
import type { Pdu } from "../../event/pdu.js";
import { compareCodePoints } from "../../json/compare.js";
import type { Cancel } from "../../ports/cancel.js";
import { withDeadline } from "../cancel.js";
import type { Candidate } from "../decide.js";
import { fetchForgotten } from "../fetch.js";
import type { Settling } from "../settle.js";
import type { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { deciding, run, settlingOf, untilCommitted } from "./deciding.js";
import { emitting } from "./own.js";
import { ForgottenError } from "./supply.js";
import type { EmitOptions, LocalEvent } from "./types.js";

/** The type under which Synapse sends events that only tie ends together; clients leave it alone. */
export const MERGE_EVENT = "org.matrix.dummy_event";

/** Decides and commits, again and again until nobody else wrote in between; then whatever that set free. */
export async function settle(
  core: RoomCore,
  candidates: readonly Candidate[],
  cancel: Cancel | undefined,
): Promise<Settling> {
  const settling = await deciding(core, () => settleOnce(core, candidates, cancel), cancel);
  if (core.freed.length > 0) await settleFreed(core, cancel);
  if (hasManyEnds(core)) await mergeEnds(core, cancel);
  return settling;
}

async function settleFreed(core: RoomCore, cancel: Cancel | undefined): Promise<void> {
  while (core.freed.length > 0) await deciding(core, () => settleOnce(core, [], cancel), cancel);
}

async function settleOnce(
  core: RoomCore,
  candidates: readonly Candidate[],
  cancel: Cancel | undefined,
): Promise<Settling> {
  const decide = async (ws: Workspace): Promise<Settling | undefined> => {
    const settling = await settlingOf(core, ws, candidates, cancel, core.freed);
    await run(core, ws, settling, cancel);
    return !ws.changed || (await core.commit(ws, settling.steps, { cancel })) ? settling : undefined;
  };
  const settling = await untilCommitted(core, decide, cancel);
  if (settling === undefined) {
    const { commitAttempts } = core.host.limits;
    throw new UsageError(`${core.roomId}: other writers won ${commitAttempts} times: route the room to one`);
  }
  core.freed = settling.leftover;
  if (settling.evicted > 0) core.metric("room.pending.evicted", settling.evicted);
  if (settling.outdated) {
    core.forget();
    await core.openLocked(undefined);
  }
  return settling;
}

/**
 * A storage that keeps the latest of a room only has forgotten what a resolution may need: older memberships and
 * power levels. Other servers are asked for it, outside of the queue like all fetching, and the work is done again.
 */
export async function remembering<T>(core: RoomCore, work: () => Promise<T>, cancel: Cancel | undefined): Promise<T> {
  for (let round = 0; ; round++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ForgottenError) || round >= core.host.limits.fetchRounds) throw error;
      if (!(await fetchAgain(core, error.eventIds, cancel))) throw error;
    }
  }
}

/** Whether any of these events, which storage had once, could be had from other servers. */
export async function fetchAgain(
  core: RoomCore,
  eventIds: readonly string[],
  cancel: Cancel | undefined,
): Promise<boolean> {
  const { transport, observer, clock, limits, server } = core.host;
  const servers = core.servers.filter((name) => name !== server);
  const found = await withDeadline(clock, limits.fetchTime, cancel, (within) =>
    fetchForgotten({ ...core.admitting, transport, observer, servers, cancel: within }, eventIds),
  );
  if (!eventIds.some((id) => found.has(id))) return false;
  await settle(core, [...found.values()], cancel);
  return true;
}

/** Makes, judges and commits events of local users. */
export async function send(
  core: RoomCore,
  drafts: readonly LocalEvent[],
  options: EmitOptions,
): Promise<Result<readonly Pdu[]>> {
  const { cancel } = options;
  const result = await remembering(core, () => deciding(core, emitting(core, drafts, options), cancel), cancel);
  await settleFreed(core, cancel);
  return result;
}

/**
 * Many ends make every state dear. Above the limit a local user ties them together with an event that says
 * nothing, if one may; if none may, they stay until somebody else does.
 */
async function mergeEnds(core: RoomCore, cancel: Cancel | undefined): Promise<void> {
  while (hasManyEnds(core)) {
    const before = endsOf(core);
    if (!(await merge(core, cancel)) || endsOf(core) >= before) return;
  }
}

function hasManyEnds(core: RoomCore): boolean {
  return endsOf(core) > core.host.limits.mergeAbove;
}

function endsOf(core: RoomCore): number {
  return core.feed.control.forwardExtremities.length;
}

async function merge(core: RoomCore, cancel: Cancel | undefined): Promise<boolean> {
  const { local } = core.feed.residents;
  for (const sender of [...local].sort(compareCodePoints).slice(0, 10)) {
    // Not in turn: who sends may wait for this.
    const made = await send(core, [{ type: MERGE_EVENT, sender, content: {} }], { cancel });
    if (made.ok) return true;
    // Nobody else's would be recommended either, and each would be waited for.
    if (made.error.code === "not_recommended" || made.error.code === "unreachable") return false;
  }
  return false;
}
