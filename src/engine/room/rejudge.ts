/**
 * What was decided by a partial state is provisional (server-server-api, "Joining Rooms": `members_omitted`). It is
 * decided again once the state is whole; where the room is joined anew before that, it becomes history.
 */
import { domainOf } from "../../ids/grammar.js";
import type { Cancel } from "../../ports/cancel.js";
import type { PartialState } from "../../ports/storage.js";
import type { Candidate } from "../decide.js";
import type { Held } from "../held.js";
import type { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { settlingOf } from "./deciding.js";
import { drain } from "./supply.js";

/** What was decided by a partial state, in the order in which it came: accepted or not. */
export async function judgedIn(
  core: RoomCore,
  { position, revision }: PartialState,
  cancel: Cancel | undefined,
): Promise<readonly Held[]> {
  const changes = await core.host.storage.changesSince(core.roomId, revision - 1, cancel);
  const since = (changes?.events ?? []).filter((row) => row.position !== undefined && row.position >= position);
  const ids = since.map(({ eventId }) => eventId);
  const judged = await core.load(ids, cancel);
  return [...judged].sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
}

/** An event that was decided by a partial state, to be decided again. */
export function againOf(held: Held, givenState: readonly string[] | undefined): Candidate {
  const { event, hashMismatch, verdict } = held;
  const policy = verdict.standing === "accepted" ? undefined : "unasked";
  const given = givenState === undefined ? {} : { givenState };
  const origin = domainOf(event.sender) ?? "";
  return { kind: "candidate", event, hashMismatch, origin, mode: "live", policy, again: held, ...given };
}

/** Redactions are judged again as well: until then they do nothing. */
export async function takeBackRedactions(
  core: RoomCore,
  ws: Workspace,
  judged: readonly Held[],
  cancel: Cancel | undefined,
): Promise<void> {
  const redactions = judged.filter(({ event }) => event.type === "m.room.redaction");
  const ids = new Set(redactions.map(({ event }) => event.eventId as string));
  const targets = new Set(redactions.flatMap(({ event }) => event.redacts ?? []));
  for (const target of await core.load([...targets], cancel)) {
    if (ids.has(target.redactedBy ?? "")) ws.record({ ...target, redactedBy: undefined });
  }
}

/**
 * A room that was left before its state was whole is joined anew: what was judged then becomes history whose state
 * is not known.
 */
export async function demote(
  core: RoomCore,
  ws: Workspace,
  judged: readonly Held[],
  cancel: Cancel | undefined,
): Promise<void> {
  await takeBackRedactions(core, ws, judged, cancel);
  const work = judged.map((held): Candidate => ({ ...againOf(held, undefined), mode: "history" }));
  for (const held of judged) ws.record({ ...held, before: undefined, after: undefined });
  await drain(core.host, ws, await settlingOf(core, ws, work, cancel), cancel);
}
