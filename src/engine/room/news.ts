/**
 * What other processes wrote to the same storage: which events are new, and how they moved the current state. Their
 * steps are not stored; they are walked again, and only where somebody looks at them.
 */
import type { Pdu } from "../../event/pdu.js";
import type { Cancel } from "../../ports/cancel.js";
import type { PartialState, RoomRecord, StoredEvent } from "../../ports/storage.js";
import type { StoredVerdict } from "../../ports/verdict.js";
import { completionStep } from "../cause.js";
import type { Step } from "../cause.js";
import { extremitiesAfter } from "../decide.js";
import type { Host } from "../host.js";
import type { RoomMemory } from "../memory.js";
import type { Snapshot } from "../snapshot.js";
import { Workspace } from "../workspace.js";
import { need } from "./supply.js";

/** What memory knew before others wrote. */
export interface Known {
  readonly record: RoomRecord;
  /** Ids of events that were undecided. */
  readonly pending: ReadonlySet<string>;
}

export function knownTo({ record, pending }: RoomMemory): Known | undefined {
  return record === undefined ? undefined : { record, pending: new Set(pending.keys()) };
}

/** Whether an event became part of the timeline after a record of the room. */
export function isNew(
  old: RoomRecord | undefined,
  { verdict, position }: { readonly verdict: StoredVerdict; readonly position?: number | undefined },
): boolean {
  if (position === undefined || verdict.standing !== "accepted") return false;
  return old === undefined || position > old.lastPosition || position < old.firstPosition;
}

/** Those rows that became part of the timeline, in its order. */
export function newsIn(rows: readonly StoredEvent[], old: RoomRecord): readonly StoredEvent[] {
  return rows.filter((row) => isNew(old, row)).sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
}

/** How the news moved the current state. `memory` knows of them already. */
export async function stepsOf(
  host: Host,
  memory: RoomMemory,
  news: readonly StoredEvent[],
  { record: old, pending }: Known,
  cancel: Cancel | undefined,
): Promise<readonly Step[]> {
  if (old.partial !== undefined && old.partial.eventId !== memory.record?.partial?.eventId) {
    return completionOf(host, memory, old, old.partial, cancel);
  }
  const { storage } = host;
  const ws = new Workspace(memory);
  const ends = await memory.load(storage, old.forwardExtremities, cancel);
  ws.setExtremities(new Map(ends.flatMap((end) => (end.after === undefined ? [] : [[end.event.eventId, end.after]]))));
  const steps: Step[] = [];
  for (const { eventId, position = 0 } of news) {
    const [held] = position > 0 ? await memory.load(storage, [eventId], cancel) : [];
    if (held?.after === undefined) continue;
    steps.push(await stepOf(host, ws, { event: held.event, own: held.after, late: pending.has(eventId) }, cancel));
  }
  return steps;
}

/** What the completion of a partial state that somebody else committed did to the current state. */
async function completionOf(
  { storage }: Host,
  memory: RoomMemory,
  old: RoomRecord,
  { eventId }: PartialState,
  cancel: Cancel | undefined,
): Promise<readonly Step[]> {
  const before = await memory.snapshot(storage, old.stateGroup, cancel);
  const [join] = await memory.load(storage, [eventId], cancel);
  return join === undefined ? [] : [completionStep(join.event, before, memory.current)];
}

/** The step that an accepted event was for a current state that did not know of it. */
async function stepOf(
  host: Host,
  ws: Workspace,
  { event, own, late }: { readonly event: Pdu; readonly own: Snapshot; readonly late: boolean },
  cancel: Cancel | undefined,
): Promise<Step> {
  const before: Snapshot = await need(host, ws, () => ws.current(), cancel);
  const { extremities: extremitiesBefore } = ws;
  const { extremities } = await need(host, ws, () => extremitiesAfter(ws, event, own), cancel);
  ws.setExtremities(extremities);
  const after: Snapshot = await need(host, ws, () => ws.current(), cancel);
  const cited = await ws.memory.load(host.storage, event.prevEvents, cancel);
  const parents = cited.flatMap((parent) => parent.after ?? []);
  return { event, late, completion: false, before, after, extremitiesBefore, extremities, parents };
}
