/** Which rooms a server gets to know of without being in them. */
import { historyVisibilityOf } from "../../engine/visibility.js";
import type { Room } from "../../engine/room.js";
import { domainOf } from "../../ids/grammar.js";
import { get } from "../../json/value.js";
import { isDenied, residentRoom } from "../context.js";
import type { Federation } from "../context.js";
import { allowedRooms } from "./summary.js";

/** Whether other servers may be in the room at all (`m.federate`). */
export function isFederated(room: Room): boolean {
  return get(room.state("m.room.create")?.content ?? {}, "m.federate") !== false;
}

/**
 * Whether a user of the server could read the room, join it or knock, or is in it or invited (server-server-api,
 * `hierarchy`: "could feasibly peek/join"). Whom the room's ACL bars could do nothing there.
 */
export async function isReachable(federation: Federation, room: Room, server: string): Promise<boolean> {
  if (server !== federation.host.server && (!isFederated(room) || (await isDenied(room, server)))) return false;
  if (room.isServerJoined(server) || isOpen(room)) return true;
  if (await isAllowed(federation, room, server)) return true;
  return room.members("invite").some(({ userId }) => domainOf(userId) === server);
}

function isOpen(room: Room): boolean {
  const { joinRule } = room.control;
  const { auth } = room.version.rules;
  if (joinRule === "public" || (joinRule === "knock" && auth.knock)) return true;
  if (joinRule === "knock_restricted" && auth.knockRestricted) return true;
  return historyVisibilityOf(room.state("m.room.history_visibility")) === "world_readable";
}

/** Rooms that one list may name: each may have to be read from storage. */
const MAX_ALLOWING = 100;

/** Whether the server has a user in a room whose members may join this one, as far as that is known here. */
async function isAllowed(federation: Federation, room: Room, server: string): Promise<boolean> {
  if (room.control.joinRule !== "restricted" || !room.version.rules.auth.restricted) return false;
  for (const roomId of allowedRooms(room).slice(0, MAX_ALLOWING)) {
    const other = await residentRoom(federation, roomId);
    if (other?.isServerJoined(server) === true) return true;
  }
  return false;
}
