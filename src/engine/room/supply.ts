/**
 * What a decision lacks, brought to its workspace: events from storage, signatures from the keys, the word of the
 * host's policy. What only other servers have is noted or thrown: they are asked outside of the room's queue.
 */
import { UsageError } from "../../errors.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { CausalOrder } from "../causal-order.js";
import { isUnstored } from "../decide.js";
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

/** What was decided rests on what was never stored (`RoomMemory.isSpoiled`): it is decided again, in a new memory. */
export class SpoiledError extends UsageError {
  constructor(roomId: string) {
    super(`${roomId}: what is decided for it never agrees with what is stored`);
  }
}

/**
 * One read for the candidates and all that they cite. What storage was found not to have at this revision it does not
 * have: if another process has written since, this one's commit fails, and all is read again.
 */
export function supplyAll(
  host: Host,
  ws: Workspace,
  { ordered, authority, previous }: CausalOrder,
  cancel: Cancel | undefined,
): Awaitable<void> {
  const ids = new Set<string>();
  for (const candidate of ordered) {
    const { eventId } = candidate.event;
    if (!isUnstored(ws, candidate) && !ws.absent.has(eventId)) ids.add(eventId);
  }
  for (const id of previous) if (!ws.absent.has(id)) ids.add(id);
  for (const id of authority) if (!ws.absent.has(id) && ws.index.get(id) === undefined) ids.add(id);
  if (ids.size > 0) return supply(host, ws, { lack: true, events: [...ids], facts: [] }, cancel);
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

/** How many events are decided before everything else that the process has to do gets its turn: 20 ms, about. */
const IN_A_ROW = 2_000;

/** Runs a settling to its end. */
export async function drain(host: Host, ws: Workspace, settling: Settling, cancel: Cancel | undefined): Promise<void> {
  for (let stop = settling.run(IN_A_ROW); stop !== undefined; stop = settling.run(IN_A_ROW)) {
    if (stop === "more") await host.clock.sleep(0, cancel);
    else await supply(host, ws, stop, cancel);
  }
  if (ws.memory.isSpoiled) throw new SpoiledError(ws.memory.roomId);
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
