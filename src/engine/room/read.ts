/** Reading events, their verdicts and the states around them: from memory, or from storage. */
import { authChain } from "../../dag/auth-chain.js";
import { UsageError } from "../../errors.js";
import { redact } from "../../event/redact.js";
import type { JsonObject } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { PartialState } from "../../ports/storage.js";
import type { StoredVerdict, Verdict } from "../../ports/verdict.js";
import { verdictOf } from "../held.js";
import type { Held } from "../held.js";
import { StateView } from "../state-view.js";
import type { RoomCore } from "./core.js";
import type { EventView, StatesAt } from "./types.js";

export async function eventView(
  core: RoomCore,
  eventId: string,
  cancel: Cancel | undefined,
): Promise<EventView | undefined> {
  const [held] = await core.load([eventId], cancel);
  return held === undefined ? undefined : viewOf(core, { ...held, eventId, json: held.event.json });
}

interface Viewed {
  readonly eventId: string;
  readonly json: JsonObject;
  readonly position?: number | undefined;
  readonly verdict: StoredVerdict;
  readonly hashMismatch: boolean;
  readonly redactedBy?: string | undefined;
}

function viewOf({ version }: RoomCore, event: Viewed): EventView {
  const { eventId, json, position, verdict, hashMismatch, redactedBy } = event;
  return {
    eventId,
    position,
    verdict: verdictOf(eventId, verdict, hashMismatch),
    original: json,
    shown: redactedBy === undefined ? json : redact(version.rules, json),
    redactedBy,
  };
}

export async function verdictOn(
  core: RoomCore,
  eventId: string,
  cancel: Cancel | undefined,
): Promise<Verdict | undefined> {
  const row = core.memory.pending.get(eventId);
  if (row !== undefined) return { verdict: "pending", eventId, waitsFor: row.waitsFor };
  return (await eventView(core, eventId, cancel))?.verdict;
}

export async function statesAt(
  { memory, host }: RoomCore,
  eventId: string,
  cancel: Cancel | undefined,
): Promise<StatesAt | undefined> {
  // Another memory may take its place meanwhile: a snapshot is read through the index that it came from.
  const [held] = await memory.load(host.storage, [eventId], cancel);
  if (held?.before === undefined || held.after === undefined) return undefined;
  const { index, record } = memory;
  const partial = isProvisional(record?.partial, held);
  return { before: new StateView(index, held.before), after: new StateView(index, held.after), partial };
}

function isProvisional(partial: PartialState | undefined, { position }: Held): boolean {
  return partial !== undefined && position !== undefined && position >= partial.position;
}

export interface TimelinePart {
  readonly from?: number;
  readonly limit?: number;
  readonly direction?: "forwards" | "backwards";
}

export async function timeline(
  core: RoomCore,
  { direction = "forwards", limit = 100, from: start }: TimelinePart,
  cancel: Cancel | undefined,
): Promise<{ readonly events: readonly EventView[]; readonly next: number | undefined }> {
  const first = core.memory.record?.firstPosition ?? 0;
  const from = start ?? (direction === "forwards" ? first : core.feed.control.position);
  const rows = await core.host.storage.readTimeline(core.roomId, { from, direction, limit }, cancel);
  const last = rows.at(-1)?.position;
  const next = last === undefined || rows.length < limit ? undefined : last + (direction === "forwards" ? 1 : -1);
  return { events: rows.map((row) => viewOf(core, row)), next };
}

export async function authChainOf(
  core: RoomCore,
  eventIds: readonly string[],
  cancel: Cancel | undefined,
): Promise<readonly string[]> {
  for (;;) {
    const unread = eventIds.filter((id) => core.memory.index.get(id) === undefined);
    const chain = authChain(core.memory.index, eventIds);
    const lacking = [...unread, ...chain.missing];
    if (lacking.length === 0) return chain.events;
    const found = await core.load(lacking, cancel);
    // An event that changes no state is in no index: its own citations are looked at instead.
    const read = new Set<string>(found.map(({ event }) => event.eventId));
    if (lacking.some((id) => !read.has(id))) throw new UsageError(`storage has lost ${lacking.join(", ")}`);
    const outside = found.filter(({ event }) => core.memory.index.get(event.eventId) === undefined);
    if (outside.length > 0) {
      const inside = eventIds.filter((id) => !outside.some(({ event }) => event.eventId === id));
      const cited = outside.flatMap(({ event }) => event.authEvents);
      return [...new Set([...cited, ...(await authChainOf(core, [...inside, ...cited], cancel))])];
    }
  }
}
