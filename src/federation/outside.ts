/**
 * Rooms that this server is not in and its users have to do with: what it believes of what they are shown, and how an
 * invite or a knock ends that the room turned down.
 */
import { verifySignatures } from "../engine/signatures.js";
import { listOf } from "../engine/fetch.js";
import type { Host } from "../engine/host.js";
import { refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { eventIdOf } from "../event/hashes.js";
import { checkJson, parsePdu, readPdu } from "../event/format.js";
import type { Pdu } from "../event/pdu.js";
import type { StrippedStateEvent } from "../event/stripped.js";
import { domainOf } from "../ids/grammar.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { OutsideMembership } from "../ports/storage.js";
import type { RoomVersionRules } from "../rules/model.js";

// ---- what is shown of a room ----------------------------------------------------------------------------

/** Keys by which a room is told from others are fewer; each entry may cost a key of another server. */
const PREVIEW_EVENTS = 20;

/** What another server showed of a room, each entry with the event that it is in the room's format, if it is one. */
interface Shown {
  readonly stripped: StrippedStateEvent;
  readonly pdu: Pdu | undefined;
}

/**
 * What is shown with an invite, in its four keys. Room version 12 names a room by the hash of its create event, so
 * that one can tell whether it was invited to the room that it is shown: there every entry has to be an event of the
 * room. Earlier versions leave that open (invites-v2), and servers that send stripped state are heard: what is wrong
 * is left out.
 */
export async function readInviteState(
  { keys }: Host,
  rules: RoomVersionRules,
  roomId: string,
  given: unknown,
): Promise<Result<readonly StrippedStateEvent[]>> {
  const values = listOf(given).slice(0, PREVIEW_EVENTS);
  const shown = values.flatMap((value) => shownAs(rules, roomId, value));
  const forged = await forgedAmong(rules, keys, shown);
  const good = shown.filter((one) => !forged.has(one));
  if (rules.format.roomIds === "create-hash") {
    if (good.length < values.length || good.some(({ pdu }) => pdu === undefined)) {
      return refuse("bad_format", `an entry of \`invite_room_state\` is no event of ${roomId}`);
    }
    if (!good.some(({ pdu }) => pdu?.type === "m.room.create")) {
      return refuse("bad_format", `the create event of ${roomId} is not in \`invite_room_state\``);
    }
  }
  return { ok: true, value: good.map(({ stripped }) => stripped) };
}

/** What is shown to who knocked. The knock was taken, so nothing is refused any more: what is wrong is left out. */
export async function readKnockState(
  { keys }: Host,
  rules: RoomVersionRules,
  roomId: string,
  given: unknown,
): Promise<readonly StrippedStateEvent[]> {
  const shown = listOf(given)
    .slice(0, PREVIEW_EVENTS)
    .flatMap((value) => shownAs(rules, roomId, value));
  const forged = await forgedAmong(rules, keys, shown);
  return shown.filter((one) => !forged.has(one)).map(({ stripped }) => stripped);
}

/** An entry that says of itself that it is of another room is none; nor is what lacks one of the four keys. */
function shownAs(rules: RoomVersionRules, roomId: string, value: JsonValue): readonly Shown[] {
  const checked = checkJson(rules, value);
  if (!checked.ok || !isObject(checked.value)) return [];
  const event = checked.value;
  const read = readPdu(rules, event);
  const pdu = read.ok ? read.value : undefined;
  const named = pdu?.roomId ?? get(event, "room_id") ?? roomId;
  return named === roomId ? strippedOf(event).map((stripped) => ({ stripped, pdu })) : [];
}

/** Those with a signature that does not hold. A key that cannot be had now proves nothing. */
async function forgedAmong(
  rules: RoomVersionRules,
  keys: Host["keys"],
  shown: readonly Shown[],
): Promise<ReadonlySet<Shown>> {
  const whole = shown.flatMap((one) => (one.pdu === undefined ? [] : [{ one, pdu: one.pdu }]));
  const pdus = whole.map(({ pdu }) => pdu);
  const reports = pdus.length === 0 ? [] : await verifySignatures(rules, keys, pdus, undefined);
  return new Set(whole.flatMap(({ one }, at) => (reports[at]?.status === "refused" ? [one] : [])));
}

/** Entries that are no stripped state events tell nothing. */
function strippedOf(event: JsonObject): readonly StrippedStateEvent[] {
  const [type, sender, stateKey, content] = ["type", "sender", "state_key", "content"].map((key) => get(event, key));
  if (typeof type !== "string" || typeof sender !== "string" || typeof stateKey !== "string") return [];
  return isObject(content) ? [{ type, sender, state_key: stateKey, content }] : [];
}

// ---- how it ends ----------------------------------------------------------------------------------------

/**
 * A kick or ban that reached the server of an invited or knocking user. Whether the sender may do that only the room
 * can tell. So it has to be signed, and to cite the invite or knock that it ends, whose id the room's servers know; an
 * invite ends only by the word of the server that it came from (as in Synapse: another could hide it otherwise).
 * Answers the id of the event that ended something.
 */
export async function endOutside(host: Host, roomId: string, value: JsonValue): Promise<string | undefined> {
  const userId = isObject(value) ? get(value, "state_key") : undefined;
  if (typeof userId !== "string" || domainOf(userId) !== host.server) return undefined;
  const row = await outsideOf(host, roomId, userId);
  const known = row === undefined ? undefined : host.versions.get(row.roomVersion);
  if (row === undefined || known?.ok !== true) return undefined;
  const { rules } = known.value;
  const parsed = parsePdu(rules, value);
  if (!parsed.ok || !isAgainst(rules, row, parsed.value)) return undefined;
  const [report] = await verifySignatures(rules, host.keys, [parsed.value], undefined);
  if (report?.status !== "verified") return undefined;
  // While the key was asked for the user may have been invited anew.
  const now = await outsideOf(host, roomId, userId);
  if (now === undefined || idOf(rules, now.event) !== idOf(rules, row.event)) return undefined;
  await host.storage.removeOutside(roomId, userId);
  return parsed.value.eventId;
}

async function outsideOf(host: Host, roomId: string, userId: string): Promise<OutsideMembership | undefined> {
  return (await host.storage.readOutside(userId)).find((one) => one.roomId === roomId);
}

function isAgainst(rules: RoomVersionRules, row: OutsideMembership, event: Pdu): boolean {
  if (event.roomId !== row.roomId || event.type !== "m.room.member" || event.stateKey !== row.userId) return false;
  const membership = get(event.content, "membership");
  if (membership !== "leave" && membership !== "ban") return false;
  const ended = idOf(rules, row.event);
  if (!event.authEvents.some((id) => id === ended)) return false;
  const inviter = get(row.event, "sender");
  return row.membership === "knock" || (typeof inviter === "string" && domainOf(inviter) === domainOf(event.sender));
}

function idOf(rules: RoomVersionRules, event: JsonObject): JsonValue | undefined {
  return rules.format.eventIds === "in-pdu" ? get(event, "event_id") : eventIdOf(rules, event);
}
