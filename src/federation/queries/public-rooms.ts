/** The rooms that a server lists for everybody (server-server-api, "Published Room Directory"). Both sides. */
import type { Result } from "../../errors.js";
import { refuse } from "../../errors.js";
import { listOf } from "../../engine/fetch.js";
import { get, isArray, isObject } from "../../json/value.js";
import type { JsonValue } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import { answer, fail, refusedBy, residentRoom } from "../context.js";
import type { Federation } from "../context.js";
import { isFederated } from "./access.js";
import { ask } from "./asking.js";
import { isCount, isText, readSummary, summaryOf, writeSummary } from "./summary.js";
import type { RoomSummary } from "./summary.js";

/** What is looked for. */
export type PublicRoomsQuery = OperationRequest<"public_rooms">;

/** A page of a server's list. A token that is absent says that there is no more on that side. */
export interface PublicRooms {
  readonly rooms: readonly RoomSummary[];
  readonly nextBatch?: string;
  readonly prevBatch?: string;
  readonly total?: number;
}

/** How many answers' worth of rooms one request may have looked at. */
const REACH = 10;
const MAX_TERM = 255;
const MAX_TYPES = 100;
const MAX_TOKEN = 1_000;

// ---- the side of the server that lists --------------------------------------------------------------------

interface Query {
  readonly limit: number;
  /** Where in the list, and in which direction. */
  readonly at: number;
  readonly step: 1 | -1;
  readonly fits: (room: RoomSummary) => boolean;
  readonly filtered: boolean;
}

export async function servePublicRooms(
  federation: Federation,
  _origin: string,
  request: OperationRequest<"public_rooms">,
  cancel?: Cancel,
): Promise<OperationResult<"public_rooms">> {
  const { directory, host } = federation;
  const { includeAllNetworks = false, thirdPartyInstanceId: instanceId } = request;
  if (typeof includeAllNetworks !== "boolean") return fail("invalid_param", "`includeAllNetworks` must be a boolean");
  if (instanceId !== undefined && (includeAllNetworks || typeof instanceId !== "string")) {
    return fail("invalid_param", "`thirdPartyInstanceId` must be a string, and excludes `includeAllNetworks`");
  }
  const query = readQuery(request, host.limits.answerRooms);
  if (typeof query === "string") return fail("invalid_param", query);
  if (directory?.publishedRooms === undefined) return fail("unrecognized", "this server lists no rooms");
  const network = { allNetworks: includeAllNetworks, ...(instanceId === undefined ? {} : { instanceId }) };
  const roomIds = await directory.publishedRooms(network, cancel);
  const page = await pageOf(federation, roomIds, query);
  const { nextBatch, prevBatch } = page;
  return answer<"public_rooms">({
    chunk: page.rooms.map(writeSummary),
    ...(nextBatch === undefined ? {} : { nextBatch }),
    ...(prevBatch === undefined ? {} : { prevBatch }),
    ...(query.filtered ? {} : { totalRoomCountEstimate: roomIds.length }),
  });
}

/** The query, or what is wrong with it. */
function readQuery({ limit, since, filter }: PublicRoomsQuery, most: number): Query | string {
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 0)) return "`limit` must be a natural number";
  const fits = readFilter(filter);
  if (typeof fits === "string") return fits;
  const token =
    since === undefined ? ["", "f", "0"] : typeof since === "string" ? /^([fb])(\d{1,9})$/.exec(since) : null;
  if (token === null) return "`since` is no token of this server";
  return {
    // 0 is no limit (`GET /publicRooms`), as far as there can be none.
    limit: Math.min(limit === undefined || limit === 0 ? most : limit, most),
    at: Number(token[2]),
    step: token[1] === "f" ? 1 : -1,
    fits,
    filtered: filter !== undefined,
  };
}

function readFilter(filter: unknown): Query["fits"] | string {
  if (filter === undefined) return () => true;
  const object = filter as JsonValue;
  if (!isObject(object)) return "`filter` must be an object";
  const term = get(object, "genericSearchTerm");
  if (term !== undefined && (typeof term !== "string" || term.length > MAX_TERM)) {
    return `\`genericSearchTerm\` must be a string of at most ${MAX_TERM} characters`;
  }
  const types = get(object, "roomTypes");
  if (types !== undefined && !isTypes(types)) return "`roomTypes` must be a list of strings and null";
  const wanted = term?.toLowerCase() ?? "";
  return ({ name = "", topic = "", canonicalAlias = "", roomType = null }) => {
    if (types !== undefined && !types.includes(roomType)) return false;
    return [name, topic, canonicalAlias].some((text) => text.toLowerCase().includes(wanted));
  };
}

function isTypes(value: JsonValue): value is readonly (string | null)[] {
  if (!isArray(value) || value.length > MAX_TYPES) return false;
  return value.every((type) => type === null || typeof type === "string");
}

/**
 * Rooms from a place in the list on, in either direction. A page ends when it is full, and when enough rooms were
 * looked at: a search may give an empty page and a token. Rooms that this server is not in are known here as they
 * were, and those that are not federated are nobody else's.
 */
async function pageOf(
  federation: Federation,
  roomIds: readonly string[],
  { limit, at, step, fits }: Query,
): Promise<PublicRooms> {
  const first = step === 1 ? Math.min(at, roomIds.length) : Math.min(at, roomIds.length) - 1;
  const rooms: RoomSummary[] = [];
  const reach = REACH * federation.host.limits.answerRooms;
  let place = first;
  for (let looked = 0; looked < reach && rooms.length < limit; looked++) {
    const roomId = roomIds[place];
    if (roomId === undefined) break;
    const room = await residentRoom(federation, roomId);
    const summary = room !== undefined && isFederated(room) ? await summaryOf(room) : undefined;
    if (summary !== undefined && fits(summary)) rooms.push(summary);
    place += step;
  }
  const [from, to] = step === 1 ? [first, place] : [place + 1, first + 1];
  return {
    rooms: step === 1 ? rooms : rooms.reverse(),
    ...(to < roomIds.length ? { nextBatch: `f${to}` } : {}),
    ...(from > 0 ? { prevBatch: `b${from}` } : {}),
  };
}

// ---- the side of the server that asks ---------------------------------------------------------------------

/** A page of another server's list. Entries that are no rooms are left out; what the others say is their word. */
export async function publicRoomsOf(
  federation: Federation,
  server: string,
  query: PublicRoomsQuery,
  cancel?: Cancel,
): Promise<Result<PublicRooms>> {
  const given = await ask(federation, { server, cancel }, "public_rooms", query, servePublicRooms);
  if (!given.ok) return refusedBy(server, given.error);
  const { nextBatch, prevBatch, totalRoomCountEstimate: total } = given.value;
  const chunk: unknown = given.value.chunk;
  if (!isArray(chunk as JsonValue)) return refuse("refused_by_peer", `${server} did not answer with a list of rooms`);
  const rooms = listOf(chunk)
    .slice(0, federation.host.limits.answerRooms)
    .flatMap((room) => readSummary(room) ?? []);
  return {
    ok: true,
    value: {
      rooms,
      ...(isText(nextBatch, MAX_TOKEN) ? { nextBatch } : {}),
      ...(isText(prevBatch, MAX_TOKEN) ? { prevBatch } : {}),
      ...(isCount(total) ? { total } : {}),
    },
  };
}
