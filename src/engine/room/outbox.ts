/** Whom own events go to. */
import type { Pdu } from "../../event/pdu.js";
import { domainOf } from "../../ids/grammar.js";
import { compareCodePoints } from "../../json/compare.js";
import type { OutboxEntry } from "../../ports/storage.js";
import type { Snapshot } from "../snapshot.js";
import { StateView } from "../state-view.js";
import type { Workspace } from "../workspace.js";

export interface Sending {
  readonly own: readonly Pdu[];
  /** Servers that get all of them, beside those that the states around them add. */
  readonly destinations: readonly string[];
  readonly except: readonly (string | undefined)[];
}

/**
 * Own events go to every server that has somebody in the room now or after them, or had in the state before them: an
 * event that waited for another server's signature may be older than what put somebody out. And to that of a user
 * whose invite or knock they end, which shows it until it is told.
 */
export function outboxOf(
  ws: Workspace,
  current: Snapshot,
  { own, destinations, except }: Sending,
): readonly OutboxEntry[] {
  const { memory, index } = ws;
  const before = new StateView(index, memory.current);
  const all = new Set(destinations);
  addJoined(all, before, new StateView(index, current));
  const rows: OutboxEntry[] = [];
  for (const event of own) {
    const ended = endedOutside(event, before);
    const told = new Set(ended === undefined ? all : [...all, ended]);
    const met = ws.held(event.eventId)?.before;
    if (met !== undefined && met !== memory.current) addJoined(told, before, new StateView(index, met));
    for (const destination of told) {
      if (except.includes(destination)) continue;
      rows.push({ destination, roomId: memory.roomId, eventId: event.eventId });
    }
  }
  return rows.sort((a, b) => compareCodePoints(a.destination, b.destination));
}

/** Adds the servers of users who are joined in `other` and not by the same event in `before`. */
function addJoined(servers: Set<string>, before: StateView, other: StateView): void {
  before.differences(other, (type, stateKey, _, there) => {
    const isJoin = type === "m.room.member" && there?.content["membership"] === "join";
    const server = isJoin ? domainOf(stateKey) : undefined;
    if (server !== undefined) servers.add(server);
  });
}

/** The server of a user who was invited or knocked, and is told no by this event. */
function endedOutside({ type, stateKey, content }: Pdu, before: StateView): string | undefined {
  if (type !== "m.room.member" || stateKey === undefined) return undefined;
  const now = content["membership"];
  if (now !== "leave" && now !== "ban") return undefined;
  const was = before.membership(stateKey);
  return was === "invite" || was === "knock" ? domainOf(stateKey) : undefined;
}
