/**
 * Deciding in a room's queue: in a workspace over its memory, again when another process wrote in between, and again
 * when the room's policy server had to be asked (server-server-api, "Asking for a Policy Server signature on an
 * event"), which is done outside of the queue.
 */
import { CancelledError, refuse, UsageError } from "../../errors.js";
import type { Refusal } from "../../errors.js";
import type { Pdu } from "../../event/pdu.js";
import type { Cancel } from "../../ports/cancel.js";
import { inCausalOrder } from "../causal-order.js";
import type { Candidate } from "../decide.js";
import { refusalOf } from "../held.js";
import type { Unasked } from "../policy-server.js";
import { askPolicyServers } from "../recommend.js";
import { Settling } from "../settle.js";
import { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { drain, SpoiledError, supplyAll } from "./supply.js";

/** Some of what was decided rests on what the room's policy server has not been asked yet. Nothing was changed. */
class UnaskedError extends Error {
  override readonly name = "UnaskedError";
  readonly unasked: readonly Unasked[];
  /** Events of this server that were made and not sent. */
  readonly made: readonly Pdu[];
  constructor(unasked: readonly Unasked[], made: readonly Pdu[]) {
    super("the room's policy server has to be asked first");
    this.unasked = unasked;
    this.made = made;
  }
}

/** Nothing of a workspace may be committed before this. `made` is what the work gets when it is done again. */
export function requireAsked(ws: Workspace, made: readonly Pdu[] = []): void {
  if (ws.unasked.size > 0) throw new UnaskedError([...ws.unasked.values()], made);
}

/**
 * Runs work that decides, in the queue. Where it needs the word of the room's policy server, that is asked for
 * outside of the queue, and the work is done again: with the events that it made itself, if it made any.
 */
export async function deciding<T>(
  core: RoomCore,
  work: (made: readonly Pdu[]) => Promise<T>,
  cancel: Cancel | undefined,
): Promise<T> {
  const asked = new Set<string>();
  let made: readonly Pdu[] = [];
  try {
    for (let round = 0; round < core.host.limits.fetchRounds; round++) {
      try {
        return await core.locked(() => unspoiled(core, () => work(made)));
      } catch (error) {
        if (!(error instanceof UnaskedError)) throw error;
        ({ made } = error);
        for (const { event } of error.unasked) asked.add(event.eventId);
        await ask(core, error.unasked, cancel);
      }
    }
  } finally {
    for (const id of asked) core.memory.recommendations.delete(id);
  }
  throw new UsageError(`${core.roomId}: its policy server changed faster than it could be asked`);
}

/** In the queue. What is decided again reads the room into a new memory first. */
async function unspoiled<T>(core: RoomCore, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SpoiledError) || attempt >= core.host.limits.commitAttempts) throw error;
    }
  }
}

async function ask(core: RoomCore, unasked: readonly Unasked[], cancel: Cancel | undefined): Promise<void> {
  const { host, version, signer, memory } = core;
  const answers = await askPolicyServers({ host, version, facts: memory.facts, own: signer }, unasked, cancel);
  if (cancel?.aborted === true) throw new CancelledError();
  for (const [eventId, recommendation] of answers) core.memory.recommendations.set(eventId, recommendation);
}

/**
 * In the queue: decides in a new workspace until it comes to something. `decide` answers with `undefined` when it lost
 * the race to commit, and so does this when it lost every race.
 */
export async function untilCommitted<T>(
  core: RoomCore,
  decide: (ws: Workspace) => Promise<T | undefined>,
  cancel: Cancel | undefined,
): Promise<T | undefined> {
  for (let attempt = 0; attempt < core.host.limits.commitAttempts; attempt++) {
    await core.openLocked(cancel);
    const done = await decide(new Workspace(core.memory));
    if (done !== undefined) return done;
  }
  return undefined;
}

export function lostEveryRace({ roomId }: RoomCore): ReturnType<typeof refuse> {
  return refuse("undecided", `other writers won every race for ${roomId}`);
}

/** A settling of candidates, with all at hand that they cite. Not run yet. */
export async function settlingOf(
  core: RoomCore,
  ws: Workspace,
  candidates: readonly Candidate[],
  cancel: Cancel | undefined,
  freed: readonly string[] = [],
): Promise<Settling> {
  const order = inCausalOrder(candidates);
  await supplyAll(core.host, ws, order, cancel);
  return new Settling(ws, order.ordered, core.host.clock.now(), freed);
}

/** Runs a settling to its end; the steps of the current state are noted only when somebody looks at them. */
export async function run(
  core: RoomCore,
  ws: Workspace,
  settling: Settling,
  cancel: Cancel | undefined,
): Promise<void> {
  await tryOut(core, ws, settling, cancel);
  requireAsked(ws);
}

/** The same, where the room's policy server may be asked about more than this first. */
export async function tryOut(
  core: RoomCore,
  ws: Workspace,
  settling: Settling,
  cancel: Cancel | undefined,
): Promise<void> {
  settling.watch(core.feed.isWatched);
  await drain(core.host, ws, settling, cancel);
}

/** Why an event that was settled is not part of the room. */
export function refusalIn(settling: Settling, eventId: string): Refusal | undefined {
  const verdict = settling.verdict(eventId);
  return verdict === undefined ? undefined : refusalOf(verdict);
}
