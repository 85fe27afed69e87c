/**
 * Making an event of what a local user wants to send, at the end of the room as it is: the forward extremities as its
 * parents, the auth events that the state after them selects (server-server-api, "PDUs", "Auth events selection"), this
 * server's content hash and signature. Whether it is allowed is judged elsewhere, as for any event.
 */
import { selectAuthEvents } from "../../auth/select.js";
import { encodeUnpadded } from "../../crypto/base64.js";
import { refuse } from "../../errors.js";
import type { Result } from "../../errors.js";
import { draftEvent } from "../../event/build.js";
import { guardLocalContent } from "../../event/content.js";
import { readPdu } from "../../event/format.js";
import type { Pdu } from "../../event/pdu.js";
import { attachSignature, eventSignedBytes, hashEvent } from "../../event/sign.js";
import { compareCodePoints } from "../../json/compare.js";
import type { JsonObject } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { Held } from "../held.js";
import type { Lack, Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { need } from "./supply.js";
import type { LocalEvent } from "./types.js";

/** The event that a draft becomes, signed. Not judged yet. */
export async function makeEvent(
  core: RoomCore,
  ws: Workspace,
  draft: LocalEvent,
  cancel: Cancel | undefined,
): Promise<Result<Pdu>> {
  const deprecated = guardLocalContent(core.version.rules.content, draft.type);
  if (deprecated !== undefined) return { ok: false, error: deprecated };
  if (isUnknownMember(core, draft)) {
    return refuse("undecided", `the membership of ${draft.stateKey} is not known yet: try again once it is`);
  }
  const unsigned = await draftAtEnd(core, ws, draft, cancel);
  return unsigned.ok ? signEvent(core, unsigned.value, cancel) : unsigned;
}

/** Whether a membership would be set of which a partial state does not tell what it is now. */
function isUnknownMember({ feed: { control } }: RoomCore, { type, stateKey }: LocalEvent): boolean {
  if (type !== "m.room.member" || stateKey === undefined || !control.partial) return false;
  return control.state.get(type, stateKey) === undefined;
}

/** The event that a draft becomes, without hash and signature. */
export async function draftAtEnd(
  core: RoomCore,
  ws: Workspace,
  draft: LocalEvent,
  cancel: Cancel | undefined,
): Promise<Result<JsonObject>> {
  const { host } = core;
  const { rules } = core.version;
  const parents = await parentsIn(core, ws, cancel);
  const before = await need(host, ws, () => ws.resolve(parents.flatMap(({ after }) => after ?? [])), cancel);
  const lookup = ws.index.lookup(before.state);
  const ids = selectAuthEvents(rules, draft).flatMap(([type, key]) => lookup(type, key)?.eventId ?? []);
  const authority = await need(host, ws, () => heldAll(ws, [...new Set(ids)]), cancel);
  const impliedRoom = rules.format.roomIds === "create-hash" && draft.type === "m.room.create";
  return draftEvent(
    rules,
    {
      ...draft,
      originServerTs: host.clock.now(),
      ...(impliedRoom ? {} : { roomId: core.roomId }),
      ...(rules.format.eventIds === "in-pdu" ? { eventId: newEventId(core) } : {}),
    },
    { prevEvents: parents.map(({ event }) => event), authEvents: authority.map(({ event }) => event) },
  );
}

/** At most 20 forward extremities, the deepest first (server-server-api, "PDUs"; digest DG1). */
async function parentsIn({ host }: RoomCore, ws: Workspace, cancel: Cancel | undefined): Promise<readonly Held[]> {
  const all = await need(host, ws, () => heldAll(ws, [...ws.extremities.keys()]), cancel);
  return [...all]
    .sort((a, b) => b.event.depth - a.event.depth || compareCodePoints(a.event.eventId, b.event.eventId))
    .slice(0, 20);
}

function heldAll(ws: Workspace, ids: readonly string[]): readonly Held[] | Lack {
  const found: Held[] = [];
  const unread: string[] = [];
  for (const id of ids) {
    const held = ws.held(id);
    if (held === undefined) unread.push(id);
    else found.push(held);
  }
  return unread.length > 0 ? { lack: true, events: unread, facts: [] } : found;
}

function newEventId({ host }: RoomCore): string {
  return `$${encodeUnpadded(host.random.bytes(18), "url-safe")}:${host.server}`;
}

/** Adds this server's content hash and signature. */
export async function signEvent(core: RoomCore, event: JsonObject, cancel: Cancel | undefined): Promise<Result<Pdu>> {
  return readPdu(core.version.rules, await cosignEvent(core, hashEvent(event), cancel));
}

/** Adds this server's signature to what is hashed already. */
export async function cosignEvent(
  { host, version }: RoomCore,
  event: JsonObject,
  cancel: Cancel | undefined,
): Promise<JsonObject> {
  const { keyId, signature } = await host.keys.sign(eventSignedBytes(version.rules, event), cancel);
  return attachSignature(event, { server: host.server, keyId, signature });
}
