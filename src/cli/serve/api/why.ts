/** Why an event has the verdict it has: what was judged, by what, and what it did to the state. */
import { selectAuthEvents } from "../../../auth/select.js";
import type { Held, Room, StatesAt } from "../../../engine/index.js";
import type { Pdu, RoomEvent } from "../../../event/pdu.js";
import type { JsonObject, JsonValue } from "../../../json/value.js";
import type { Cancel } from "../../../ports/cancel.js";
import type { RoomVersionRules } from "../../../rules/model.js";
import { present, verdictView } from "./views.js";

/** `undefined` when the room has no such event, decided or not. */
export async function why(room: Room, eventId: string, cancel: Cancel): Promise<JsonObject | undefined> {
  const verdict = await room.verdict(eventId, cancel);
  if (verdict === undefined) return undefined;
  const told: JsonObject = { roomId: room.roomId, roomVersion: room.version.id, eventId, ...verdictView(verdict) };
  const [held] = await room.load([eventId], cancel);
  if (held === undefined) return told;
  const { event, redactedBy, hashMismatch } = held;
  const states = await room.stateAt(eventId, cancel);
  const rule = told["rule"];
  return present({
    ...told,
    ruleName: typeof rule === "string" ? ruleName(room.version.rules, rule) : undefined,
    type: event.type,
    stateKey: event.stateKey,
    sender: event.sender,
    time: event.originServerTs,
    depth: event.depth,
    content: event.content,
    redactedCopy: hashMismatch,
    redactedBy,
    prevEvents: await named(room, event.prevEvents, cancel),
    authEvents: await named(room, event.authEvents, cancel),
    consulted: await consulted(room, event, states, cancel),
    stateBefore: states === undefined ? undefined : { size: states.before.size, partial: states.partial },
    changes: states === undefined ? undefined : changes(states),
    current: current(room, event),
  });
}

/** The rule's name, which is the same in every version, in place of its number there. */
function ruleName({ auth }: RoomVersionRules, label: string): string | undefined {
  return Object.entries(auth.numbering).find(([, number]) => label.endsWith(` rule ${number}`))?.[0];
}

async function named(room: Room, ids: readonly string[], cancel: Cancel): Promise<readonly JsonValue[]> {
  const found = new Map((await room.load(ids, cancel)).map((held) => [held.event.eventId as string, held]));
  return ids.map((eventId) => namedView(eventId, found.get(eventId)));
}

function namedView(eventId: string, held: Held | undefined): JsonObject {
  if (held === undefined) return { eventId, verdict: "not here" };
  const { type, stateKey, sender } = held.event;
  return present({ eventId, type, stateKey, sender, verdict: held.verdict.standing });
}

/** The state keys that the rules may look at: what the state before had there, and what the event cites. */
async function consulted(
  room: Room,
  event: Pdu,
  states: StatesAt | undefined,
  cancel: Cancel,
): Promise<readonly JsonValue[]> {
  const cited = await room.load(event.authEvents, cancel);
  return selectAuthEvents(room.version.rules, event).map(([type, stateKey]) =>
    present({
      type,
      stateKey,
      inState: states?.before.get(type, stateKey)?.eventId,
      cited: cited.find((held) => held.event.type === type && held.event.stateKey === stateKey)?.event.eventId,
    }),
  );
}

function changes({ before, after }: StatesAt): readonly JsonValue[] {
  const found: JsonObject[] = [];
  before.differences(after, (type, stateKey, was, is) => {
    found.push(present({ type, stateKey, before: summary(was), after: summary(is) }));
  });
  return found;
}

function summary(event: RoomEvent | undefined): JsonObject | undefined {
  return event && { eventId: event.eventId, sender: event.sender, content: event.content };
}

/** Whether what a state event says is in force now, or what is in its place. */
function current(room: Room, { eventId, type, stateKey }: Pdu): JsonObject | undefined {
  if (stateKey === undefined) return undefined;
  const now = room.state(type, stateKey)?.eventId;
  return present({ isCurrent: now === eventId, eventId: now });
}
