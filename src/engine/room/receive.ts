/**
 * Receiving: the seven checks on receipt (server-server-api, "Checks performed on receipt of a PDU"), and before them
 * the fetching of what events cite and this server does not have. Fetching is done outside of the queue, so that a
 * slow server holds nobody up.
 */
import { UsageError } from "../../errors.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { Receipt, Verdict } from "../../ports/verdict.js";
import { admit } from "../admit.js";
import type { Admission } from "../admit.js";
import { withDeadline } from "../cancel.js";
import type { Candidate } from "../decide.js";
import { fetchMissing, isAtHand, isLacking } from "../fetch.js";
import type { Settling } from "../settle.js";
import { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { deciding, run, settlingOf } from "./deciding.js";
import { fetchAgain, remembering, settle } from "./loop.js";
import { verdictOn } from "./read.js";
import type { ReceiveOptions } from "./types.js";

/** One receipt for each event, in their order. */
export async function receive(
  core: RoomCore,
  events: readonly unknown[],
  options: ReceiveOptions,
): Promise<readonly Receipt[]> {
  const { origin, mode = "live", outsider = false, cancel } = options;
  const stored = await core.open(cancel);
  const admissions = await admit(core.admitting, events, { origin, mode, cancel });
  const work = workIn(admissions);
  if (!stored && work.size > 0 && ![...work.values()].some(({ event }) => event.type === "m.room.create")) {
    throw new UsageError(`${core.roomId} is not stored here: create or join it first`);
  }
  if (work.size > 0) await fetchFor(core, work, options);
  const tried = outsider && work.size > 0 ? await sift(core, work, cancel) : undefined;
  const wanted = [...work.values()];
  const settling =
    wanted.length === 0 ? undefined : await remembering(core, () => settle(core, wanted, cancel), cancel);
  const verdict: Judged = (eventId) => settling?.verdict(eventId) ?? tried?.(eventId);
  const first = admissions.map((admission) => receiptOf(admission, verdict, settling));
  const isPending = first.some(({ verdict }) => verdict.verdict === "pending");
  const receipts = outsider || !isPending ? first : await reviewed(core, first, work, cancel);
  for (const receipt of receipts) core.host.observer.onReceipt?.(receipt, { roomId: core.roomId, origin });
  return receipts;
}

/** What is to be decided, each event once: the full copy of it, if one came. */
function workIn(admissions: readonly Admission[]): Map<string, Candidate> {
  const work = new Map<string, Candidate>();
  for (const admission of admissions) {
    if (admission.kind !== "candidate") continue;
    const known = work.get(admission.event.eventId);
    if (known === undefined || known.hashMismatch) work.set(admission.event.eventId, admission);
  }
  return work;
}

/** Fetches what the candidates cite and is not here. Adds to `work`. */
export function fetchFor(core: RoomCore, work: Map<string, Candidate>, options: ReceiveOptions): Awaitable<void> {
  // Nearly always all is at hand: a deadline, a fetcher and a list of servers would cost a third of a message.
  if (!isAtHand(core.memory, work)) return fetchLacking(core, work, options);
}

async function fetchLacking(core: RoomCore, work: Map<string, Candidate>, options: ReceiveOptions): Promise<void> {
  const { transport, observer, clock, limits, server } = core.host;
  const { origin, via = [], outsider = false } = options;
  const others = (): readonly string[] =>
    [...new Set([origin, ...via, ...core.servers])].filter((name) => name !== server);
  const likeliest = outsider || origin !== server ? [origin] : others();
  if (likeliest.length === 0) return;
  if (!(await isLacking({ ...core.admitting, servers: likeliest, cancel: options.cancel }, work))) return;
  const servers = outsider ? [origin] : others();
  await withDeadline(clock, limits.fetchTime, options.cancel, (cancel) =>
    fetchMissing({ ...core.admitting, transport, observer, servers, outsider, cancel }, work),
  );
}

/** What was decided about an event, if anything was. */
type Judged = (eventId: string) => Verdict | undefined;

/** Verdicts after which an event has its place in the room's history. */
const sifted: ReadonlySet<Verdict["verdict"]> = new Set([
  "accepted",
  "soft-failed",
  "policy-refused",
  "not-recommended",
] as const);

/** Judges without keeping anything, and leaves in `work` what is to be kept, with whatever that rests on. */
async function sift(core: RoomCore, work: Map<string, Candidate>, cancel: Cancel | undefined): Promise<Judged> {
  const candidates = [...work.values()];
  const judge = async (): Promise<Settling> => {
    await core.openLocked(cancel);
    const ws = new Workspace(core.memory);
    const settling = await settlingOf(core, ws, candidates, cancel);
    await run(core, ws, settling, cancel);
    return settling;
  };
  const settling = await remembering(core, () => deciding(core, judge, cancel), cancel);
  const isWanted = (id: string): boolean => {
    const verdict = settling.verdict(id)?.verdict ?? "pending";
    return sifted.has(verdict) || core.memory.pending.has(id);
  };
  const kept = withCited(work, [...work.keys()].filter(isWanted));
  for (const id of [...work.keys()]) if (!kept.has(id)) work.delete(id);
  return settling.verdict;
}

/** Events of `work`, with those of it that they rest on. */
function withCited(work: ReadonlyMap<string, Candidate>, ids: readonly string[]): ReadonlySet<string> {
  const kept = new Set<string>();
  const stack = [...ids];
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    const event = kept.has(id) ? undefined : work.get(id)?.event;
    if (event === undefined) continue;
    kept.add(id);
    stack.push(...event.prevEvents, ...event.authEvents);
  }
  return kept;
}

/** Undecided events may wait for something that no event here cites: what a resolution needs and storage forgot. */
async function reviewed(
  core: RoomCore,
  receipts: readonly Receipt[],
  work: ReadonlyMap<string, Candidate>,
  cancel: Cancel | undefined,
): Promise<readonly Receipt[]> {
  const cited = new Set<string>();
  for (const { event } of work.values()) for (const id of [...event.prevEvents, ...event.authEvents]) cited.add(id);
  let latest = receipts;
  for (let round = 0; round < core.host.limits.fetchRounds; round++) {
    const waitsFor = latest.flatMap(({ verdict }) => (verdict.verdict === "pending" ? verdict.waitsFor : []));
    const forgotten = [...new Set(waitsFor)].filter((id) => !cited.has(id));
    if (forgotten.length === 0) break;
    if (!(await remembering(core, () => fetchAgain(core, forgotten, cancel), cancel))) break;
    latest = await Promise.all(latest.map((receipt) => asOfNow(core, receipt, cancel)));
  }
  return latest;
}

async function asOfNow(core: RoomCore, receipt: Receipt, cancel: Cancel | undefined): Promise<Receipt> {
  if (receipt.verdict.verdict !== "pending") return receipt;
  return { ...receipt, verdict: (await verdictOn(core, receipt.verdict.eventId, cancel)) ?? receipt.verdict };
}

function receiptOf(admission: Admission, judged: Judged, settling: Settling | undefined): Receipt {
  if (admission.kind === "known") return { verdict: admission.verdict, duplicate: true };
  if (admission.kind === "refused") return { verdict: admission.verdict, duplicate: false };
  const { eventId } = admission.event;
  const verdict = judged(eventId) ?? { verdict: "pending", eventId, waitsFor: [] };
  return { verdict, duplicate: settling?.duplicates.has(eventId) ?? false };
}
