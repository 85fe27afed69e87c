/**
 * What a decision lacks, brought to its workspace: events from storage, signatures from the keys, the word of the
 * host's policy. What only other servers have is noted or thrown: they are asked outside of the room's queue.
 */
import { UsageError } from "../../errors.js";
import type { Cancel } from "../../ports/cancel.js";
import type { Candidate } from "../decide.js";
import type { Host } from "../host.js";
import type { Settling } from "../settle.js";
import { isLack, isUnresolvable } from "../workspace.js";
import type { Lack, Unresolvable, Workspace } from "../workspace.js";

/** What a decision rests on is in storage no more, and no server that was asked has it. Nothing was changed. */
export class ForgottenError extends UsageError {
  readonly eventIds: readonly string[];
  constructor(roomId: string, eventIds: readonly string[]) {
    super(`storage has lost ${eventIds.join(", ")} of ${roomId}`);
    this.eventIds = eventIds;
  }
}

/**
 * One read for all that the candidates cite. What storage was found not to have at this revision it does not have: if
 * another process has written since, this one's commit fails, and all is read again.
 */
export async function supplyAll(
  host: Host,
  ws: Workspace,
  candidates: readonly Candidate[],
  cancel: Cancel | undefined,
): Promise<void> {
  const revision = ws.memory.record?.revision;
  for (const { event, newAt } of candidates) {
    if (newAt !== undefined && newAt.revision === revision && ws.held(event.eventId) === undefined) {
      ws.absent.add(event.eventId);
    }
  }
  const ids = new Set<string>();
  for (const { event, mode } of candidates) {
    if (!ws.absent.has(event.eventId)) ids.add(event.eventId);
    if (mode !== "import") for (const id of event.prevEvents) if (!ws.absent.has(id)) ids.add(id);
    for (const id of event.authEvents) if (!ws.absent.has(id) && ws.index.get(id) === undefined) ids.add(id);
  }
  if (ids.size > 0) await supply(host, ws, { lack: true, events: [...ids], facts: [] }, cancel);
}

async function supply(host: Host, ws: Workspace, lack: Lack, cancel: Cancel | undefined): Promise<void> {
  const { memory } = ws;
  const { policy, unasked } = lack;
  if (unasked !== undefined) {
    ws.unasked.set(unasked.event.eventId, unasked);
    return;
  }
  if (lack.facts.length === 0 && policy === undefined && lack.events.every((id) => ws.absent.has(id))) {
    throw new ForgottenError(memory.roomId, lack.events);
  }
  if (lack.events.length > 0) {
    ws.supply(lack.events, await memory.load(host.storage, lack.events, cancel));
  }
  if (lack.facts.length > 0) await memory.facts.settle(lack.facts, host.keys, cancel);
  if (policy !== undefined) {
    const attempt = { ...policy, roomVersion: memory.version.id };
    ws.policies.set(policy.event.eventId, await host.policy.checkEvent?.(attempt, cancel));
  }
}

/** Runs a settling to its end. */
export async function drain(host: Host, ws: Workspace, settling: Settling, cancel: Cancel | undefined): Promise<void> {
  for (let lack = settling.run(); lack !== undefined; lack = settling.run()) await supply(host, ws, lack, cancel);
}

/** Asks a workspace until it lacks nothing for its answer. */
export async function need<T extends object>(
  host: Host,
  ws: Workspace,
  ask: () => T | Lack | Unresolvable,
  cancel: Cancel | undefined,
): Promise<T> {
  for (;;) {
    const answer = ask();
    if (isUnresolvable(answer)) throw new UsageError(`${ws.memory.roomId}: ${answer.unresolvable.reason}`);
    if (!isLack(answer)) return answer;
    await supply(host, ws, answer, cancel);
  }
}
