/**
 * A server that shares rooms with others: local users act through it, other servers' operations are answered,
 * and what is to be delivered is delivered.
 */
import { refuse, UsageError } from "../errors.js";
import type { Result } from "../errors.js";
import type { Room } from "../engine/room.js";
import type { LocalEvent } from "../engine/room/types.js";
import type { CreateRoomOptions } from "../engine/create.js";
import { hostOf } from "../engine/host.js";
import type { Host, HostOptions } from "../engine/host.js";
import { Rooms } from "../engine/rooms.js";
import type { Membership } from "../engine/state-view.js";
import { listOf, stringsOf } from "../engine/fetch.js";
import { planUpgrade } from "../engine/upgrade.js";
import type { UpgradePlan } from "../engine/upgrade.js";
import type { Pdu } from "../event/pdu.js";
import { domainOf } from "../ids/grammar.js";
import { get } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { ThirdPartyIdentifier } from "../ports/identity.js";
import type { Directory } from "../ports/directory.js";
import type { Intent, OutsideMembership } from "../ports/storage.js";
import type { Receipt } from "../ports/verdict.js";
import type { Federation } from "./context.js";
import { authorisation, joinRemotely, knockRemotely, leaveRemotely, toldOf } from "./handshake.js";
import type { HandshakeRequest, Shaken } from "./handshake.js";
import { inviteRemotely } from "./invite.js";
import { RoomsBeingJoined } from "./joining.js";
import { joinIntent, joinIntentId, Joins } from "./joins.js";
import type { EduModule, Edus, EduSender } from "./edus/module.js";
import type { KeyPublisher } from "./keys/publisher.js";
import { Outbox } from "./outbox.js";
import { openIdUser, queryProfile, resolveAlias, versionOf } from "./queries/directory.js";
import type { Profile, ResolvedAlias, Software } from "./queries/directory.js";
import { hierarchyOf } from "./queries/hierarchy.js";
import type { Exploring, Hierarchy } from "./queries/hierarchy.js";
import { publicRoomsOf } from "./queries/public-rooms.js";
import type { PublicRooms, PublicRoomsQuery } from "./queries/public-rooms.js";
import { receiverOf } from "./receiver.js";
import { settled } from "./settled.js";
import { eventAt } from "./timestamp.js";
import type { EventAtTime, Seeking } from "./timestamp.js";
import { Completions } from "./completions.js";
import { redeemInvite } from "./third-party.js";
import type { IdentifierBinding, KeptInvite } from "./third-party.js";
import { Transactions } from "./transactions.js";

/** What a user does in a room. */
export interface Acting {
  readonly roomId: string;
  readonly userId: string;
  readonly reason?: string;
  readonly cancel?: Cancel | undefined;
}

export interface Joining extends Acting {
  /** Servers to ask when this server is not in the room; the inviter's server is tried anyway. */
  readonly via?: readonly string[];
}

export interface JoiningRoom extends Joining {
  /**
   * Whether a room that this server is not in may be used before its members are known (`control.partial`). They
   * follow in the background, and what was decided without them is decided again.
   */
  readonly partial?: boolean;
}

/** What a user does to another. */
export interface Moderating extends Acting {
  readonly target: string;
}

export interface Sending extends Acting {
  readonly type: string;
  readonly content: JsonObject;
}

export interface Upgrading extends Acting {
  readonly version: string;
  readonly additionalCreators?: readonly string[];
}

/** A room that a user has to do with. */
export interface RoomOfUser {
  readonly roomId: string;
  readonly membership: Membership;
  /** For invites and knocks in rooms that this server is not in. */
  readonly outside?: OutsideMembership;
}

/** The ports of a server, and what it publishes. */
export interface ServerOptions extends HostOptions {
  /** What is answered to who asks for keys. A key ring is both this and {@link HostOptions.keys}. */
  readonly publishes?: KeyPublisher;
  /** What is told of this server's own users and aliases, and of the rooms that it lists. */
  readonly directory?: Directory;
  /** What is done with typing, receipts, presence and device messages (`createEdus`). Without it they are ignored. */
  readonly edus?: Edus;
  /**
   * The name of this process among those over one storage, by default a random one. A process that was killed while it
   * sent goes on at once if it has the same name again; under another name it waits until the lease of the one before
   * has run out (twice `requestTime`). Two that run at the same time must not have the same.
   */
  readonly instance?: string;
}

/** How often a room that is being replaced is closed anew because its state changed meanwhile. */
const UPGRADE_ATTEMPTS = 3;

/** See {@link createServer}. */
export class Server {
  readonly host: Host;
  readonly rooms: Rooms;
  readonly #publishes: KeyPublisher | undefined;
  readonly #directory: Directory | undefined;
  readonly #edus: EduModule | undefined;
  readonly #outbox: Outbox;
  readonly #joining: RoomsBeingJoined = new RoomsBeingJoined();
  readonly #transactions: Transactions;
  readonly #completions: Completions;
  readonly #joins: Joins;
  #stopListening: (() => void) | undefined;

  constructor(options: ServerOptions) {
    this.host = hostOf(options);
    this.#publishes = options.publishes;
    this.#directory = options.directory;
    this.rooms = new Rooms(this.host, (destinations) => {
      this.#outbox.kick(destinations);
    });
    this.#edus = options.edus?.attach({
      host: this.host,
      rooms: this.rooms,
      kick: (destinations) => {
        this.#outbox.kick(destinations);
      },
    });
    this.#outbox = new Outbox(this.#federation, options.instance);
    this.#transactions = new Transactions(this.#federation);
    this.#completions = new Completions(this.#federation);
    this.#joins = new Joins(this.#federation, (request, intentId) => this.#askToJoin(request, intentId));
  }

  get #federation(): Federation {
    return {
      host: this.host,
      rooms: this.rooms,
      joining: this.#joining,
      publishes: this.#publishes,
      directory: this.#directory,
      edus: this.#edus,
    };
  }

  /** Begins to answer other servers, to deliver what is queued, and to finish what a restart interrupted. */
  async start(): Promise<void> {
    if (this.#stopListening !== undefined) return;
    const stopListening = this.host.transport.listen(
      receiverOf(this.#federation, this.#transactions, (origin) => {
        this.#outbox.wake(origin);
        this.#publishes?.heardFrom?.(origin);
      }),
    );
    this.#stopListening = stopListening;
    const isStopped = (): boolean => this.#stopListening !== stopListening;
    await this.#edus?.start();
    if (!isStopped()) await this.#outbox.resume();
    if (!isStopped()) await this.resume();
  }

  /** Answers nobody and delivers nothing any more. What is queued stays in storage. */
  stop(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
    this.#outbox.stop();
    this.#edus?.stop();
    this.#completions.stop();
    this.#joins.stop();
  }

  /**
   * Whether something is on its way to another server, or waits to be sent again: events, EDUs, and joins that a
   * restart interrupted.
   */
  get isDelivering(): boolean {
    return this.#outbox.busy || this.#joins.busy;
  }

  /** Whether a room that was joined with a partial state is being completed, or waits for the next attempt. */
  get isCompleting(): boolean {
    return this.#completions.busy;
  }

  /** Tells other servers what is no event: who types, what was read, messages to devices. */
  get edus(): EduSender {
    if (this.#edus === undefined) throw new UsageError("give createServer `edus` (see createEdus) to send EDUs");
    return this.#edus.sender;
  }

  // ---- rooms ----------------------------------------------------------------------------------------------

  /** A room that is stored here. */
  room(roomId: string, cancel?: Cancel): Promise<Room | undefined> {
    return this.rooms.open(roomId, cancel);
  }

  create(options: CreateRoomOptions, cancel?: Cancel): Promise<Result<Room>> {
    return settled(() => this.rooms.create(options, { cancel }));
  }

  /** Every room that a user of this server has to do with; those they left are not among them. */
  async roomsOf(userId: string, cancel?: Cancel): Promise<readonly RoomOfUser[]> {
    const found = new Map<string, RoomOfUser>();
    for (const outside of await this.host.storage.readOutside(userId, cancel)) {
      found.set(outside.roomId, { roomId: outside.roomId, membership: outside.membership, outside });
    }
    for (const room of await this.rooms.all(cancel)) {
      const { roomId } = room;
      // Of a room that this server is in it knows more than it was shown before; of one that it left, less.
      if (room.isResident) found.delete(roomId);
      if (found.has(roomId)) continue;
      const membership = room.current.membership(userId);
      const stale = !room.isResident && membership !== "ban";
      if (membership !== "leave" && !stale) found.set(roomId, { roomId, membership });
    }
    return [...found.values()];
  }

  // ---- sending --------------------------------------------------------------------------------------------

  /** Sends an event that is no state. */
  send({ roomId, userId, type, content, cancel }: Sending): Promise<Result<Pdu>> {
    return this.#emit(roomId, { type, sender: userId, content }, cancel);
  }

  setState(request: Sending & { readonly stateKey?: string }): Promise<Result<Pdu>> {
    const { roomId, userId, type, content, stateKey = "", cancel } = request;
    return this.#emit(roomId, { type, stateKey, sender: userId, content }, cancel);
  }

  redact({ roomId, userId, eventId, reason, cancel }: Acting & { readonly eventId: string }): Promise<Result<Pdu>> {
    const content = reasonOf(reason);
    return this.#emit(roomId, { type: "m.room.redaction", sender: userId, content, redacts: eventId }, cancel);
  }

  kick({ target, ...acting }: Moderating): Promise<Result<Pdu>> {
    return this.#member(acting, target, { membership: "leave" });
  }

  ban({ target, ...acting }: Moderating): Promise<Result<Pdu>> {
    return this.#member(acting, target, { membership: "ban" });
  }

  unban({ target, ...acting }: Moderating): Promise<Result<Pdu>> {
    return this.#member(acting, target, { membership: "leave" });
  }

  #member({ roomId, userId, reason, cancel }: Acting, target: string, content: JsonObject): Promise<Result<Pdu>> {
    const full = { ...content, ...reasonOf(reason) };
    return this.#emit(roomId, { type: "m.room.member", stateKey: target, sender: userId, content: full }, cancel);
  }

  #emit(roomId: string, draft: LocalEvent, cancel: Cancel | undefined): Promise<Result<Pdu>> {
    return settled(async () => {
      const room = await this.#resident(roomId, cancel);
      if (room === undefined) return this.#notHere(roomId);
      const sent = await room.emit([draft], { cancel });
      const [event] = sent.ok ? sent.value : [];
      return event === undefined ? (sent as { ok: false } & typeof sent) : { ok: true, value: event };
    });
  }

  async #resident(roomId: string, cancel: Cancel | undefined): Promise<Room | undefined> {
    const room = await this.rooms.open(roomId, cancel);
    return room?.isResident === true ? room : undefined;
  }

  #notHere(roomId: string): { readonly ok: false } & Result<never> {
    return refuse("unknown_room", `no user of ${this.host.server} is in ${roomId}: join it first`);
  }

  // ---- membership -----------------------------------------------------------------------------------------

  /**
   * Joins a room. In a room that this server is in, it is an event like any other; else a server of the room is
   * asked, one after the other. A join that was begun is carried on after a restart ({@link Server.resume}), unless its
   * user asks for something else by then.
   */
  join(request: JoiningRoom): Promise<Result<Room>> {
    const { roomId, userId, cancel } = request;
    this.#own(userId);
    return settled(async () => {
      const refused = await this.host.policy.checkJoin?.({ roomId, userId, membership: "join" }, cancel);
      if (refused !== undefined) return refuse("policy_refused", `${refused.code}: ${refused.reason}`);
      const wasBegun = await this.#joins.halt(roomId, userId);
      const room = await this.#resident(roomId, cancel);
      const joined = room === undefined ? undefined : await this.#joinHere(room, request);
      if (joined === undefined) return this.#joinThere(request);
      if (wasBegun && !joined.ok) await this.host.storage.removeIntents([joinIntentId(roomId, userId)], cancel);
      return joined;
    });
  }

  /** `undefined` when only another server can let the user into a restricted room. */
  async #joinHere(room: Room, { userId, reason, cancel }: Joining): Promise<Result<Room> | undefined> {
    // Whether they are banned, or in already, only a server knows that knows the members.
    if (room.control.partial && room.state("m.room.member", userId) === undefined) return undefined;
    const authorised = await authorisation(this.#federation, room, userId);
    if (!authorised.ok) {
      if (authorised.error.code !== "forbidden") return undefined;
      return refuse("auth_rejected", authorised.error.reason);
    }
    const content = { membership: "join", ...authorised.value, ...reasonOf(reason) };
    const { roomId } = room;
    const additions = { outsideRemove: [{ roomId, userId }], intentsRemove: [joinIntentId(roomId, userId)] };
    const draft: LocalEvent = { type: "m.room.member", stateKey: userId, sender: userId, content };
    const joined = await room.emit([draft], { cancel, additions });
    return joined.ok ? { ok: true, value: room } : joined;
  }

  async #joinThere({ roomId, userId, reason, via = [], partial, cancel }: JoiningRoom): Promise<Result<Room>> {
    const servers = [...new Set([...(await this.#servers(roomId, userId, cancel)), ...via])];
    const request = { roomId, userId, via: servers, partial, reason, cancel };
    const intent = joinIntent(request);
    await this.host.storage.putIntent(intent, cancel);
    const joined = await settled(async () => toldOf(await this.#askToJoin(request, intent.id)));
    // What could not be done was answered; only what was interrupted is taken up again.
    if (!joined.ok) await this.host.storage.removeIntents([intent.id]);
    return joined;
  }

  async #askToJoin(request: HandshakeRequest, intentId: string): Promise<Shaken<Room>> {
    const { roomId, userId, cancel } = request;
    const via = [...new Set([...(await this.#servers(roomId, userId, cancel)), ...request.via])];
    // Of a room that this server is in, a part of the state says nothing new.
    const absent = (await this.#resident(roomId, cancel)) === undefined;
    const partial = request.partial === true && absent;
    const joined = await joinRemotely(this.#federation, { ...request, via, partial }, intentId);
    if (joined.ok && joined.value.control.partial) await this.#completions.kick();
    return joined;
  }

  /** Servers that are, or were, in a room that this server is not in. */
  async #servers(roomId: string, userId: string, cancel: Cancel | undefined): Promise<readonly string[]> {
    const room = await this.rooms.open(roomId, cancel);
    const outside = (await this.host.storage.readOutside(userId, cancel)).filter((one) => one.roomId === roomId);
    const senders = outside.flatMap(({ event, state }) => [event, ...state].map((one) => get(one, "sender")));
    const domains = senders.flatMap((sender) => (typeof sender === "string" ? (domainOf(sender) ?? []) : []));
    return [...new Set([...domains, ...(room?.servers ?? [])])].filter((server) => server !== this.host.server);
  }

  async knock(request: Joining): Promise<Result<JsonObject>> {
    const { roomId, userId, reason, via = [], cancel } = request;
    this.#own(userId);
    return settled(async () => {
      const refused = await this.host.policy.checkJoin?.({ roomId, userId, membership: "knock" }, cancel);
      if (refused !== undefined) return refuse("policy_refused", `${refused.code}: ${refused.reason}`);
      await this.#joins.drop(roomId, userId, cancel);
      if ((await this.#resident(roomId, cancel)) !== undefined) {
        const sent = await this.#member({ roomId, userId, ...reasonOf(reason), cancel }, userId, {
          membership: "knock",
        });
        return sent.ok ? { ok: true, value: sent.value.json } : sent;
      }
      const servers = [...new Set([...(await this.#servers(roomId, userId, cancel)), ...via])];
      return knockRemotely(this.#federation, { roomId, userId, via: servers, reason, cancel });
    });
  }

  /** Leaves a room, rejects an invite, or takes back a knock. */
  async leave(request: Joining): Promise<Result<JsonObject>> {
    const { roomId, userId, reason, via = [], cancel } = request;
    this.#own(userId);
    return settled(async () => {
      await this.#joins.drop(roomId, userId, cancel);
      const room = await this.#resident(roomId, cancel);
      if (room !== undefined) {
        const content = { membership: "leave", ...reasonOf(reason) };
        const draft: LocalEvent = { type: "m.room.member", stateKey: userId, sender: userId, content };
        const additions = { outsideRemove: [{ roomId, userId }] };
        const sent = await room.emit([draft], { cancel, additions });
        const [event] = sent.ok ? sent.value : [];
        if (!sent.ok) return sent;
        return event === undefined ? this.#notHere(roomId) : { ok: true, value: event.json };
      }
      const servers = [...new Set([...(await this.#servers(roomId, userId, cancel)), ...via])];
      return leaveRemotely(this.#federation, { roomId, userId, via: servers, reason, cancel });
    });
  }

  /** Invites a user. If their server is not in the room it is asked to sign first. */
  invite({ roomId, userId, target, reason, cancel }: Moderating): Promise<Result<Pdu>> {
    this.#own(userId);
    return settled(async () => {
      const room = await this.#resident(roomId, cancel);
      if (room === undefined) return this.#notHere(roomId);
      const content = { membership: "invite", ...reasonOf(reason) };
      const server = domainOf(target);
      if (server === this.host.server || (server !== undefined && room.isServerJoined(server))) {
        if (server === this.host.server) {
          const state = [] as const;
          const attempt = { roomId, roomVersion: room.version.id, sender: userId, target, state };
          const refused = await this.host.policy.checkInvite?.(attempt, cancel);
          if (refused !== undefined) return refuse("policy_refused", `${refused.code}: ${refused.reason}`);
        }
        return this.#emit(roomId, { type: "m.room.member", stateKey: target, sender: userId, content }, cancel);
      }
      return inviteRemotely(this.#federation, room, { sender: userId, target, content, cancel });
    });
  }

  /** Invites whoever the host's Identity port finds behind a phone number, an address or a handle. */
  async inviteIdentifier(request: Acting & { readonly identifier: ThirdPartyIdentifier }): Promise<Result<Pdu>> {
    const { identity } = this.host;
    if (identity === undefined) throw new UsageError("give the server an Identity port to invite by identifier");
    const target = await identity.resolve(request.identifier, request.cancel);
    if (target !== undefined) return this.invite({ ...request, target });
    return refuse("bad_identifier", `nobody is known by that ${request.identifier.medium}`);
  }

  /**
   * An identity server says that an address belongs to a user of this server now, and hands over the invites that it
   * kept for it. Each is turned into an invite of that user, here or by the inviter's server; one answer for each.
   */
  identifierBound({ userId, invites, cancel }: IdentifierBinding): Promise<readonly Result<undefined>[]> {
    this.#own(userId);
    const redeem = (invite: KeptInvite): Promise<Result<undefined>> =>
      settled(() => redeemInvite(this.#federation, userId, invite, cancel));
    return Promise.all(invites.map(redeem));
  }

  #own(userId: string): void {
    if (domainOf(userId) !== this.host.server) {
      throw new UsageError(`${userId} is not of ${this.host.server}: a server acts for its own users only`);
    }
  }

  // ---- history --------------------------------------------------------------------------------------------

  /** Asks servers of the room for events before the oldest ones here. */
  async backfill(roomId: string, limit: number, cancel?: Cancel): Promise<Result<readonly Receipt[]>> {
    const room = await this.#resident(roomId, cancel);
    if (room === undefined) return this.#notHere(roomId);
    const gaps = room.gaps.map(({ missing }) => missing);
    // Events that came with a state are here and have no place in history yet: they are asked for like the rest.
    const placed = (await room.rows(gaps, cancel)).filter(({ position }) => position !== undefined);
    const here = new Set(placed.map(({ eventId }) => eventId));
    const from = gaps.filter((id) => !here.has(id)).slice(0, 20);
    if (from.length === 0) return { ok: true, value: [] };
    for (const server of room.servers.filter((name) => name !== this.host.server)) {
      const sent = await this.host.transport.request(server, "backfill", { roomId, from, limit }, cancel);
      const events = sent.ok ? listOf(sent.value.events) : [];
      if (events.length === 0) continue;
      return {
        ok: true,
        value: await room.receive(events.slice(0, limit), { origin: server, mode: "history", cancel }),
      };
    }
    return refuse("unreachable", `no server of ${roomId} had older events`);
  }

  /**
   * The event nearest to a moment that a user may see; `undefined` where there is none. Where history is missing
   * here, other servers of the room are asked too.
   */
  timestampToEvent({
    roomId,
    ...seeking
  }: Seeking & { readonly roomId: string }): Promise<Result<EventAtTime | undefined>> {
    return settled(async () => {
      const room = await this.#resident(roomId, seeking.cancel);
      if (room === undefined) return this.#notHere(roomId);
      return { ok: true, value: await eventAt(this.#federation, room, seeking) };
    });
  }

  // ---- queries --------------------------------------------------------------------------------------------

  /** The room behind an alias, of whichever server; `undefined` if its server knows no such alias. */
  resolveAlias(alias: string, cancel?: Cancel): Promise<Result<ResolvedAlias | undefined>> {
    return settled(() => resolveAlias(this.#federation, alias, cancel));
  }

  /** What a user's server tells of them, or of one field; `undefined` if it knows no such user or field. */
  queryProfile(userId: string, field?: string, cancel?: Cancel): Promise<Result<Profile | undefined>> {
    return settled(() => queryProfile(this.#federation, { userId, cancel, ...(field === undefined ? {} : { field }) }));
  }

  /** A page of the rooms that a server lists for everybody. */
  publicRoomsOf(server: string, query: PublicRoomsQuery = {}, cancel?: Cancel): Promise<Result<PublicRooms>> {
    return settled(() => publicRoomsOf(this.#federation, server, query, cancel));
  }

  /** A space and the rooms in it, as this server or the first of `via` that answers knows them. */
  hierarchyOf(request: Exploring): Promise<Result<Hierarchy | undefined>> {
    return settled(() => hierarchyOf(this.#federation, request));
  }

  /** The user of a server who generated an OpenID token there; `undefined` if the server does not know the token. */
  openIdUser(server: string, accessToken: string, cancel?: Cancel): Promise<Result<string | undefined>> {
    return settled(() => openIdUser(this.#federation, server, accessToken, cancel));
  }

  /** What software a server says that it is. */
  versionOf(server: string, cancel?: Cancel): Promise<Result<Software>> {
    return settled(() => versionOf(this.#federation, server, cancel));
  }

  // ---- upgrade --------------------------------------------------------------------------------------------

  /**
   * Replaces a room by one of another version. The new room comes first, the tombstone last; a restart in
   * between carries on.
   */
  upgrade(request: Upgrading): Promise<Result<Room>> {
    const { roomId, userId, version, additionalCreators = [], cancel } = request;
    this.#own(userId);
    return settled(async () => {
      const data = { roomId, userId, version, additionalCreators };
      const intent: Intent = { id: `upgrade ${roomId}`, kind: "upgrade", data };
      // One that was begun and not finished has its new room already.
      const begun = (await this.host.storage.readIntents("upgrade", cancel)).find(({ id }) => id === intent.id);
      const same = begun?.data["version"] === version && begun.data["userId"] === userId;
      return this.#upgrade(same ? begun : intent, cancel);
    });
  }

  async #upgrade(intent: Intent, cancel: Cancel | undefined): Promise<Result<Room>> {
    const { roomId, userId, version, additionalCreators, replacement } = intent.data;
    if (typeof roomId !== "string" || typeof userId !== "string" || typeof version !== "string") {
      return refuse("undecided", `the intent ${intent.id} cannot be read`);
    }
    const room = await this.#resident(roomId, cancel);
    if (room === undefined) {
      // Whoever left meanwhile can close nothing any more.
      await this.host.storage.removeIntents([intent.id]);
      return this.#notHere(roomId);
    }
    const to = this.rooms.version(version);
    const plan = (): Result<UpgradePlan> => {
      const lastEventId = room.control.forwardExtremities.at(-1);
      return planUpgrade(room.version.rules, to.rules, (type, key) => room.state(type, key), {
        roomId,
        userId,
        additionalCreators: stringsOf(additionalCreators),
        ...(lastEventId === undefined ? {} : { lastEventId }),
      });
    };
    const planned = plan();
    if (!planned.ok) {
      await this.host.storage.removeIntents([intent.id]);
      return planned;
    }
    const made = typeof replacement === "string" ? await this.rooms.open(replacement, cancel) : undefined;
    const created =
      made === undefined
        ? await this.rooms.create(planned.value.create, { cancel }, (replacementId) => ({
            intentsPut: [{ ...intent, data: { ...intent.data, replacement: replacementId } }],
          }))
        : ({ ok: true, value: made } as const);
    if (!created.ok) return created;
    const closed = await this.#close(room, plan, created.value.roomId, intent.id, cancel);
    if (closed.ok) return created;
    // What the old room's rules refuse they will refuse after a restart too.
    if (closed.error.code === "auth_rejected") await this.host.storage.removeIntents([intent.id]);
    return closed;
  }

  /** Raises the levels of a room that is replaced, and puts up its tombstone. */
  async #close(
    room: Room,
    plan: () => Result<UpgradePlan>,
    replacementId: string,
    intentId: string,
    cancel: Cancel | undefined,
  ): Promise<Result<readonly Pdu[]>> {
    for (let attempt = 1; ; attempt++) {
      // Planned anew: the state may have changed while the new room was made, or while an attempt was refused.
      const planned = plan();
      if (!planned.ok) return planned;
      const { close, tombstone } = planned.value;
      const raised = close === undefined ? undefined : await room.emit([close], { cancel });
      const additions = { intentsRemove: [intentId] };
      const closed = raised?.ok === false ? raised : await room.emit([tombstone(replacementId)], { cancel, additions });
      if (closed.ok || closed.error.code !== "auth_rejected" || attempt === UPGRADE_ATTEMPTS) return closed;
    }
  }

  /**
   * Carries on what was begun before a restart: upgrades, joins, and the completion of partial states. A join is tried
   * once before this resolves. If not every server that was asked has said no, it may have been let in by one of them:
   * it is tried again in the background, for a day at most.
   */
  async resume(cancel?: Cancel): Promise<void> {
    await Promise.all([this.#completions.resume(), this.#joins.resume(cancel), this.#resumeUpgrades(cancel)]);
  }

  async #resumeUpgrades(cancel: Cancel | undefined): Promise<void> {
    for (const intent of await this.host.storage.readIntents("upgrade", cancel)) {
      await settled(() => this.#upgrade(intent, cancel));
    }
  }
}

/**
 * A server over the host's ports. It does nothing by itself until {@link Server.start}, and nothing behind the
 * host's back: every wait is the Clock's, every message the Transport's.
 * @throws UsageError for a name that no server can have, or a limit that is no positive integer.
 */
export function createServer(options: ServerOptions): Server {
  return new Server(options);
}

function reasonOf(reason: string | undefined): { readonly reason?: string } {
  return reason === undefined ? {} : { reason };
}
