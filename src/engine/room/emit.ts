/** Sending for local users, and what other servers or this one's users have to finish before it can be sent. */
import { ok, UsageError } from "../../errors.js";
import type { Result } from "../../errors.js";
import type { Pdu } from "../../event/pdu.js";
import { domainOf } from "../../ids/grammar.js";
import type { JsonObject } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import { isExempt, POLICY_EVENT } from "../policy-server.js";
import { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { deciding, requireAsked } from "./deciding.js";
import { remembering, send } from "./loop.js";
import { draftAtEnd, makeEvent } from "./make.js";
import { emitting, tryOwn } from "./own.js";
import type { EmitOptions, LocalEvent } from "./types.js";

/** All are accepted, or none is stored and the first refusal comes back. */
export async function emit(
  core: RoomCore,
  drafts: readonly LocalEvent[],
  options: EmitOptions,
): Promise<Result<readonly Pdu[]>> {
  for (const draft of drafts) checkLocal(core, draft);
  const isAsking = core.feed.control.state.get(POLICY_EVENT, "") !== undefined && !drafts.every(isExempt);
  return isAsking ? core.turns.take(() => send(core, drafts, options)) : send(core, drafts, options);
}

/** The first commit of a room: its create event, and what comes with it. */
export function begin(
  core: RoomCore,
  create: Pdu,
  drafts: readonly LocalEvent[],
  options: EmitOptions,
): Promise<Result<readonly Pdu[]>> {
  for (const draft of drafts) checkLocal(core, draft);
  return deciding(core, emitting(core, drafts, options, [create]), options.cancel);
}

function checkLocal({ host }: RoomCore, draft: LocalEvent): void {
  if (domainOf(draft.sender) !== host.server) {
    throw new UsageError(`${draft.sender} is not of ${host.server}: a server sends for its own users only`);
  }
}

/** An event that would be accepted now, signed and not sent. */
export async function prepare(core: RoomCore, draft: LocalEvent, cancel: Cancel | undefined): Promise<Result<Pdu>> {
  checkLocal(core, draft);
  const work = async ([before]: readonly Pdu[]): Promise<Result<Pdu>> => {
    await core.openLocked(cancel);
    const made = before === undefined ? await makeEvent(core, new Workspace(core.memory), draft, cancel) : ok(before);
    if (!made.ok) return made;
    const ws = new Workspace(core.memory);
    const tried = await tryOwn(core, ws, made.value, cancel);
    if (!tried.ok) return tried;
    requireAsked(ws, [made.value]);
    return ok(ws.withRecommendation(made.value));
  };
  return remembering(core, () => deciding(core, work, cancel), cancel);
}

/** What a user of another server would have to sign now. */
export async function template(
  core: RoomCore,
  draft: LocalEvent,
  cancel: Cancel | undefined,
): Promise<Result<JsonObject>> {
  const made = async (): Promise<Result<JsonObject>> => {
    await core.openLocked(cancel);
    return draftAtEnd(core, new Workspace(core.memory), draft, cancel);
  };
  return remembering(core, () => core.locked(made), cancel);
}
