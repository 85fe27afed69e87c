/** What the tests of federation share: two servers, their users, and rooms between them. */
import { expect, inject } from "vitest";
import type { JsonObject } from "../../../src/json/value.js";
import { eventually } from "./processes.js";
import { Roomdag } from "./roomdag.js";
import type { RoomdagUser } from "./roomdag.js";
import { Refused, register } from "./synapse-client.js";
import type { RoomDraft, SynapseUser } from "./synapse-client.js";

export const versions = ["6", "10", "11", "12"] as const;
export const withKnocks = ["10", "11", "12"] as const;

export const synapse = inject("synapse");
export const roomdag = inject("roomdag");
export const ours = new Roomdag(roomdag);

let made = 0;

/** A user of Synapse whom no other test has. */
export async function theirUser(name: string): Promise<SynapseUser> {
  return register(synapse, unused(name));
}

/** A user of roomdag whom no other test has. */
export function ourUser(name: string): RoomdagUser {
  return ours.user(unused(name));
}

function unused(name: string): string {
  return `${name}-${Date.now().toString(36)}-${String(made++)}`;
}

/** Levels with which `creator` made the room, where other users have some too. */
export function levels(version: string, creator: string, others: Readonly<Record<string, number>>): JsonObject {
  // From version 12 on creators have more than any level, and may not be listed.
  return { users: version === "12" ? others : { [creator]: 100, ...others } };
}

/** A room of a Synapse user, joined by one of ours who has a level there. */
export async function theirRoom(
  version: string,
  them: SynapseUser,
  us: RoomdagUser,
  level = 50,
  draft: Partial<RoomDraft> = {},
): Promise<string> {
  const powerLevels = levels(version, them.userId, { [us.userId]: level });
  const roomId = await them.create({ version, powerLevels, ...draft });
  await us.join(roomId, [synapse.server]);
  await eventually(async () => expect(await them.membership(roomId, us.userId)).toBe("join"));
  return roomId;
}

/** A room of one of our users, joined by one of Synapse who has a level there. */
export async function ourRoom(
  version: string,
  us: RoomdagUser,
  them: SynapseUser,
  level = 50,
  draft: object = {},
): Promise<string> {
  const powerLevels = levels(version, us.userId, { [them.userId]: level });
  const roomId = await us.create({ version, powerLevels, ...draft });
  await them.join(roomId, [roomdag.server]);
  await eventually(async () => expect(await ours.membership(roomId, them.userId)).toBe("join"));
  return roomId;
}

/** Both servers know the event and show it. */
export async function seen(them: SynapseUser, roomId: string, eventId: string): Promise<void> {
  await eventually(() => them.event(roomId, eventId));
  await eventually(async () => expect(await ours.event(eventId)).toMatchObject({ roomId, verdict: "accepted" }));
}

/** Both servers have the same state, event by event. */
export async function agree(them: SynapseUser, roomId: string, patience?: number): Promise<void> {
  await eventually(async () => {
    expect(await ours.stateIds(roomId)).toEqual(await them.stateIds(roomId));
  }, patience);
}

/** What both servers say of a membership. */
export async function bothSay(
  them: SynapseUser,
  roomId: string,
  userId: string,
  membership: string | undefined,
): Promise<void> {
  await eventually(async () => expect(await them.membership(roomId, userId)).toBe(membership));
  await eventually(async () => expect(await ours.membership(roomId, userId)).toBe(membership));
}

/** What Synapse refuses. */
export async function refusedThere(asked: Promise<unknown>, status = 403): Promise<void> {
  const error = await asked.then(
    () => undefined,
    (refused: unknown) => refused,
  );
  expect(error).toBeInstanceOf(Refused);
  expect(error).toMatchObject({ status });
}
