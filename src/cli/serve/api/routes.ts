/**
 * The local API as a table: docs/serve.md is tested against it. Every answer is a JSON object; what goes wrong is
 * `{error: {code, reason}}`.
 */
import type { Room } from "../../../engine/index.js";
import { auditStorage, Canceller } from "../../../engine/index.js";
import type { Server } from "../../../federation/index.js";
import { domainOf } from "../../../ids/grammar.js";
import type { JsonObject } from "../../../json/value.js";
import type { Cancel } from "../../../ports/cancel.js";
import { roomVersions } from "../../../versions/index.js";
import { ApiError, valueOf } from "./errors.js";
import { may, needed, or, read, readInput } from "./fields.js";
import type { Fields, Input } from "./fields.js";
import { eventView, outsideView, present, roomView, stateView } from "./views.js";
import { why } from "./why.js";

/** What answers stand on. */
export interface ApiHost {
  readonly server: Server;
  /** Whether other processes write to the same database: then rooms are read anew before they are shown. */
  readonly isShared: boolean;
  health(): JsonObject;
  metrics(): JsonObject;
}

/** One request. */
export interface Call {
  readonly host: ApiHost;
  /** Fires when the caller is gone, or has to be. */
  readonly cancel: Cancel;
  /** Fires when the server stops: who waits for news is let go then. */
  readonly stopping: Cancel;
}

export interface Route {
  readonly method: "GET" | "POST";
  /** Parameters in braces are fields too. */
  readonly path: string;
  readonly about: string;
  readonly fields: Fields;
  answer(call: Call, given: JsonObject): Promise<JsonObject>;
}

function route<F extends Fields>(
  method: Route["method"],
  path: string,
  about: string,
  fields: F,
  run: (call: Call, input: Input<F>) => JsonObject | Promise<JsonObject>,
): Route {
  const answer: Route["answer"] = async (call, given) => run(call, readInput(fields, given));
  return Object.freeze({ method, path, about, fields, answer });
}

/** The version that new rooms have (client-server-api, "Creation": the server's choice). */
const NEW_ROOMS = "12";
const LONGEST_WAIT = 60_000;

const inRoom = { roomId: needed(read.room) };
const acting = { ...inRoom, user: needed(read.user), reason: may(read.text) };
const entering = { ...acting, via: or(read.list(read.server), []) };
const moderating = { ...acting, target: needed(read.user) };

export const routes: readonly Route[] = Object.freeze([
  route("GET", "/v1/health", "whether the server is up, and what it is", {}, ({ host }) => host.health()),
  route("GET", "/v1/metrics", "what was counted since it started", {}, ({ host }) => host.metrics()),
  route(
    "GET",
    "/v1/rooms",
    "every room that is stored; with `user`, what that user has to do with, invites and knocks included",
    { user: may(read.user) },
    async ({ host, cancel }, { user }) => {
      const { server } = host;
      if (user === undefined) return { rooms: (await server.rooms.all(cancel)).map(roomView) };
      const rooms = await server.roomsOf(own(server, user), cancel);
      return { rooms: rooms.map(outsideView) };
    },
  ),
  route(
    "POST",
    "/v1/rooms",
    "creates a room, and invites",
    {
      user: needed(read.user),
      version: or(read.oneOf(...roomVersions.ids()), NEW_ROOMS),
      preset: or(read.oneOf("private", "public", "trusted"), "private"),
      name: may(read.text),
      topic: may(read.text),
      type: may(read.text),
      federate: or(read.boolean, true),
      invite: or(read.list(read.user), []),
      additionalCreators: or(read.list(read.user), []),
      powerLevels: may(read.object),
      initialState: or(read.list(read.stateGiven), []),
    },
    async ({ host, cancel }, { user, name, topic, type, powerLevels, ...rest }) => {
      const { server } = host;
      const optional = given({ name, topic, type, powerLevels });
      const room = valueOf(await server.create({ ...rest, ...optional, creator: own(server, user) }, cancel));
      const { roomId } = room;
      const refused: JsonObject[] = [];
      for (const target of rest.invite) {
        const invited = await server.invite({ roomId, userId: user, target, cancel });
        if (!invited.ok) refused.push({ user: target, code: invited.error.code, reason: invited.error.reason });
      }
      return { ...roomView(room), ...(refused.length === 0 ? {} : { notInvited: refused }) };
    },
  ),
  route("GET", "/v1/rooms/{roomId}", "a room as it is now", inRoom, async (call, { roomId }) =>
    roomView(await roomOf(call, roomId)),
  ),
  route(
    "POST",
    "/v1/rooms/{roomId}/join",
    "joins a room, by an alias too; `via` names servers to join by; `partial`: before its members are known",
    { ...entering, roomId: needed(read.roomOrAlias), partial: or(read.boolean, false) },
    async ({ host, cancel }, { roomId, user, reason, via, partial }) => {
      const { server } = host;
      const to = await found(server, roomId, via, cancel);
      const asked = { ...to, userId: own(server, user), partial, ...given({ reason }), cancel };
      return roomView(valueOf(await server.join(asked)));
    },
  ),
  route("POST", "/v1/rooms/{roomId}/knock", "asks to be invited", entering, async ({ host, cancel }, input) => {
    const event = valueOf(await host.server.knock({ ...enters(host.server, input), cancel }));
    return { event };
  }),
  route(
    "POST",
    "/v1/rooms/{roomId}/leave",
    "leaves a room, rejects an invite, or takes back a knock",
    entering,
    async ({ host, cancel }, input) => ({
      event: valueOf(await host.server.leave({ ...enters(host.server, input), cancel })),
    }),
  ),
  ...(["invite", "kick", "ban", "unban"] as const).map((verb) =>
    route("POST", `/v1/rooms/{roomId}/${verb}`, `${verb}s a user`, moderating, async ({ host, cancel }, input) => {
      const { roomId, user, target, reason } = input;
      const asked = { roomId, userId: own(host.server, user), target, ...given({ reason }), cancel };
      return { eventId: valueOf(await host.server[verb](asked)).eventId };
    }),
  ),
  route(
    "POST",
    "/v1/rooms/{roomId}/send",
    "sends a message: `body`, or a `content` of any `type`",
    { ...inRoom, user: needed(read.user), type: may(read.text), content: may(read.object), body: may(read.text) },
    async ({ host, cancel }, { roomId, user, type, content, body }) => {
      const message = await messageOf({ host, cancel }, { roomId, type, content, body });
      const asked = { roomId, userId: own(host.server, user), ...message, cancel };
      return { eventId: valueOf(await host.server.send(asked)).eventId };
    },
  ),
  route(
    "POST",
    "/v1/rooms/{roomId}/state",
    "sets state",
    {
      ...inRoom,
      user: needed(read.user),
      type: needed(read.text),
      stateKey: or(read.text, ""),
      content: needed(read.object),
    },
    async ({ host, cancel }, { user, ...state }) => {
      const asked = { ...state, userId: own(host.server, user), cancel };
      return { eventId: valueOf(await host.server.setState(asked)).eventId };
    },
  ),
  route(
    "POST",
    "/v1/rooms/{roomId}/redact",
    "redacts an event",
    { ...acting, eventId: needed(read.event) },
    async ({ host, cancel }, { roomId, user, eventId, reason }) => {
      const asked = { roomId, userId: own(host.server, user), eventId, ...given({ reason }), cancel };
      return { eventId: valueOf(await host.server.redact(asked)).eventId };
    },
  ),
  route(
    "POST",
    "/v1/rooms/{roomId}/upgrade",
    "replaces a room by one of another version; the answer is the new room",
    {
      ...inRoom,
      user: needed(read.user),
      version: needed(read.oneOf(...roomVersions.ids())),
      additionalCreators: or(read.list(read.user), []),
    },
    async ({ host, cancel }, { user, ...upgrade }) => {
      const asked = { ...upgrade, userId: own(host.server, user), cancel };
      return roomView(valueOf(await host.server.upgrade(asked)));
    },
  ),
  route(
    "GET",
    "/v1/rooms/{roomId}/timeline",
    "accepted events by position; `next` is where the next page begins. Without `from`, forwards from the first, " +
      "backwards from the last. With `wait`, forwards, an answer that would be empty waits for that many milliseconds",
    {
      ...inRoom,
      from: may(read.integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
      limit: or(read.integer(1, 1000), 100),
      direction: or(read.oneOf("forwards", "backwards"), "forwards"),
      wait: or(read.integer(0, LONGEST_WAIT), 0),
    },
    timeline,
  ),
  route(
    "GET",
    "/v1/rooms/{roomId}/state",
    "the current state, or the one `before` or `after` the event `at`; of one `type`, and one `stateKey`",
    {
      ...inRoom,
      type: may(read.text),
      stateKey: may(read.text),
      at: may(read.event),
      side: or(read.oneOf("before", "after"), "after"),
    },
    async (call, { roomId, type, stateKey, at, side }) => {
      const room = await roomOf(call, roomId);
      const states = at === undefined ? undefined : await room.stateAt(at, call.cancel);
      if (at !== undefined && states === undefined) {
        throw new ApiError(404, "not_found", `the state around ${at} is not known here`);
      }
      const state = states === undefined ? room.current : states[side];
      const isWanted = (event: { readonly type: string; readonly stateKey: string | undefined }): boolean =>
        (type === undefined || event.type === type) && (stateKey === undefined || event.stateKey === stateKey);
      return { state: state.events().filter(isWanted).map(stateView) };
    },
  ),
  route(
    "GET",
    "/v1/rooms/{roomId}/members",
    "who is in the room, or of one `membership`",
    { ...inRoom, membership: or(read.list(read.oneOf("join", "invite", "knock", "leave", "ban")), []) },
    async (call, { roomId, membership: wanted }) => {
      const room = await roomOf(call, roomId);
      const members = room.members(...wanted).map(({ userId, membership, event }) => ({
        userId,
        membership,
        eventId: event.eventId,
        sender: event.sender,
      }));
      return { partial: room.control.partial, members };
    },
  ),
  route(
    "POST",
    "/v1/rooms/{roomId}/backfill",
    "asks other servers for events before the oldest ones here",
    { ...inRoom, limit: or(read.integer(1, 1000), 100) },
    async ({ host, cancel }, { roomId, limit }) => {
      const receipts = valueOf(await host.server.backfill(roomId, limit, cancel));
      const events = receipts.map(({ verdict, duplicate }) =>
        present({
          eventId: "eventId" in verdict ? verdict.eventId : undefined,
          verdict: verdict.verdict,
          duplicate,
        }),
      );
      return { events };
    },
  ),
  route(
    "GET",
    "/v1/events/{eventId}",
    "an event as it was sent between servers, and its verdict",
    { eventId: needed(read.event), room: may(read.room) },
    (call, { eventId, room }) =>
      inSomeRoom(call, room, eventId, async (one) => {
        const view = await one.event(eventId, call.cancel);
        return view && { roomId: one.roomId, ...eventView(view), original: view.original };
      }),
  ),
  route(
    "GET",
    "/v1/events/{eventId}/why",
    "why an event has its verdict: the rule, what was looked at, and what it changed in the state",
    { eventId: needed(read.event), room: may(read.room) },
    (call, { eventId, room }) => inSomeRoom(call, room, eventId, (one) => why(one, eventId, call.cancel)),
  ),
  route(
    "GET",
    "/v1/check",
    "judges all that is stored anew, of one room or of every one, and says what is not as it should be",
    { room: may(read.room) },
    async ({ host, cancel }, { room }) => {
      const { storage, versions } = host.server.host;
      const report = await auditStorage(storage, { versions, cancel, ...(room === undefined ? {} : { roomId: room }) });
      const { rooms, events, findings } = report;
      return { sound: findings.length === 0, rooms, events, findings: findings.map((one) => present({ ...one })) };
    },
  ),
]);

/** Without what is `undefined`, for options that may be left out. */
function given<T extends object>(options: T): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  const kept = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as { readonly [K in keyof T]?: Exclude<T[K], undefined> };
}

/** Every name of this server's is a user: whoever has the token speaks for all of them. */
function own(server: Server, user: string): string {
  if (domainOf(user) === server.host.server) return user;
  throw new ApiError(400, "bad_request", `${user} is no user of ${server.host.server}`);
}

interface Entering {
  readonly roomId: string;
  readonly user: string;
  readonly reason: string | undefined;
  readonly via: readonly string[];
}

function enters(server: Server, { roomId, user, reason, via }: Entering) {
  return { roomId, userId: own(server, user), via, ...given({ reason }) };
}

/** The room behind an alias, and its servers. */
async function found(server: Server, name: string, via: readonly string[], cancel: Cancel) {
  if (!name.startsWith("#")) return { roomId: name, via };
  const resolved = valueOf(await server.resolveAlias(name, cancel));
  if (resolved === undefined) throw new ApiError(404, "not_found", `there is no room ${name}`);
  return { roomId: resolved.roomId, via: [...via, ...resolved.servers] };
}

async function roomOf({ host, cancel }: Pick<Call, "host" | "cancel">, roomId: string): Promise<Room> {
  const room = await host.server.room(roomId, cancel);
  if (room === undefined) throw new ApiError(404, "unknown_room", `${roomId} is not known here`);
  if (host.isShared) await room.refresh(cancel);
  return room;
}

interface Message {
  readonly roomId: string;
  readonly type: string | undefined;
  readonly content: JsonObject | undefined;
  readonly body: string | undefined;
}

/** In I.1, text is a block of an `m.message` (MSC1767). */
async function messageOf(call: Pick<Call, "host" | "cancel">, { roomId, type, content, body }: Message) {
  if (body === undefined) {
    if (content === undefined) throw new ApiError(400, "bad_request", "body or content is missing");
    return { type: type ?? "m.room.message", content };
  }
  if (content !== undefined) throw new ApiError(400, "bad_request", "body and content say the same: give one");
  const { version } = await roomOf(call, roomId);
  if (version.id === "I.1") return { type: type ?? "m.message", content: { "m.text": [{ body }] } };
  return { type: type ?? "m.room.message", content: { msgtype: "m.text", body } };
}

interface TimelineInput {
  readonly roomId: string;
  readonly from: number | undefined;
  readonly limit: number;
  readonly direction: "forwards" | "backwards";
  readonly wait: number;
}

/** How often rooms are looked at that other processes write to: nobody here is told when they do. */
const SHARED_PAUSE = 500;

async function timeline(call: Call, { roomId, from, limit, direction, wait }: TimelineInput): Promise<JsonObject> {
  const { host, cancel, stopping } = call;
  const { clock } = host.server.host;
  const room = await roomOf(call, roomId);
  const range = { limit, direction, ...given({ from }) };
  const until = direction === "forwards" ? clock.now() + wait : 0;
  for (;;) {
    const left = until - clock.now();
    // Whoever looks first and listens then misses what comes in between.
    const news = left > 0 ? nextNews(call, room, host.isShared ? Math.min(left, SHARED_PAUSE) : left) : undefined;
    const { events, next } = await room.timeline(range, cancel);
    const last = events.at(-1)?.position;
    if (events.length > 0 || news === undefined || cancel.aborted || stopping.aborted) {
      news?.forget();
      // Forwards there may always be more later.
      const after = last === undefined ? from : last + 1;
      return present({ events: events.map(eventView), next: direction === "forwards" ? after : next });
    }
    await news.come;
    if (host.isShared) await room.refresh(cancel);
  }
}

/** Resolves when the room gets an event, the time is over, the caller is gone or the server stops. */
function nextNews({ host, cancel, stopping }: Call, room: Room, ms: number) {
  const over = new Canceller();
  const end = (): void => {
    over.cancel();
  };
  const ends = [
    room.subscribe(({ events }) => {
      if (events.length > 0) end();
    }),
    cancel.onAbort(end),
    stopping.onAbort(end),
  ];
  const forget = (): void => {
    end();
    for (const one of ends) one();
  };
  return { forget, come: host.server.host.clock.sleep(ms, over).then(forget) };
}

/** The first room that knows the event. */
async function inSomeRoom(
  call: Call,
  roomId: string | undefined,
  eventId: string,
  look: (room: Room) => Promise<JsonObject | undefined>,
): Promise<JsonObject> {
  const rooms = roomId === undefined ? await call.host.server.rooms.all(call.cancel) : [await roomOf(call, roomId)];
  for (const room of rooms) {
    const answer = await look(room);
    if (answer !== undefined) return answer;
  }
  throw new ApiError(404, "not_found", `${eventId} is not known here`);
}
