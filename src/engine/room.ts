/**
 * A room at work: the asynchronous edge around the pure decision. It gathers what a decision needs, decides in a
 * workspace, and commits one batch; a commit that lost a race is decided again. Events are decided one call at a
 * time; fetching from other servers happens outside of that, so that a slow server holds nobody up.
 *
 * This is what callers see of it. How a call is done is in the file of `room/` that it is handed on to; what they all
 * stand on is in `room/core.ts`.
 */
import type { Result } from "../errors.js";
import type { Pdu, RoomEvent } from "../event/pdu.js";
import type { JsonObject } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { OperationResult } from "../ports/operations.js";
import type { StoredEvent } from "../ports/storage.js";
import type { Receipt, Verdict } from "../ports/verdict.js";
import type { RoomVersion } from "../versions/room-version.js";
import type { Control } from "./control.js";
import type { Held } from "./held.js";
import type { Host } from "./host.js";
import { adopt } from "./room/adopt.js";
import { completeFrom } from "./room/complete.js";
import { RoomCore } from "./room/core.js";
import { begin, emit, prepare, template } from "./room/emit.js";
import { importJoin } from "./room/join.js";
import { cosignEvent, signEvent } from "./room/make.js";
import { authChainOf, eventView, statesAt, timeline, verdictOn } from "./room/read.js";
import { receive } from "./room/receive.js";
import type {
  EmitOptions,
  EventView,
  JoinedState,
  LocalEvent,
  ReceiveOptions,
  RoomUpdate,
  StatesAt,
} from "./room/types.js";
import type { Member, Membership, StateView } from "./state-view.js";

export class Room {
  readonly roomId: string;
  readonly version: RoomVersion;
  readonly #core: RoomCore;

  constructor(host: Host, roomId: string, version: RoomVersion, onOutbox: (destinations: readonly string[]) => void) {
    this.roomId = roomId;
    this.version = version;
    this.#core = new RoomCore(host, roomId, version, onOutbox);
  }

  // ---- reading ------------------------------------------------------------------------------------------

  /** The room as it is now. Immutable. */
  get control(): Control {
    return this.#core.feed.control;
  }

  /** The current state; hold it as long as you like. */
  get current(): StateView {
    return this.control.state;
  }

  /** The current state event at a key. */
  state(type: string, stateKey: string = ""): RoomEvent | undefined {
    return this.current.get(type, stateKey);
  }

  /** While `control.partial`, those alone who are known: the joiner, and who changed their membership since. */
  members(...memberships: readonly Membership[]): readonly Member[] {
    return this.current.members(...memberships);
  }

  /** Servers with a joined user; while `control.partial`, those too that had one when this server joined. */
  get servers(): readonly string[] {
    return this.#core.servers;
  }

  /** Whether a user of this server is joined. */
  get isResident(): boolean {
    return this.#core.isResident;
  }

  isServerJoined(server: string): boolean {
    return this.#core.feed.residents.has(server);
  }

  /** Joined users of this server. */
  get localUsers(): ReadonlySet<string> {
    return this.#core.feed.residents.local;
  }

  /** Where the state is partial: the join by which this server came. */
  get joinedBy(): string | undefined {
    return this.#core.memory.record?.partial?.eventId;
  }

  event(eventId: string, cancel?: Cancel): Promise<EventView | undefined> {
    return eventView(this.#core, eventId, cancel);
  }

  /** What was decided about an event; `undefined` for one that is not here. */
  verdict(eventId: string, cancel?: Cancel): Promise<Verdict | undefined> {
    return verdictOn(this.#core, eventId, cancel);
  }

  /** The state before and after an event; `undefined` where its ancestors are not known. */
  stateAt(eventId: string, cancel?: Cancel): Promise<StatesAt | undefined> {
    return statesAt(this.#core, eventId, cancel);
  }

  /** Accepted events by stream position. `next` continues where this answer ends. */
  timeline(
    range: { readonly from?: number; readonly limit?: number; readonly direction?: "forwards" | "backwards" } = {},
    cancel?: Cancel,
  ): Promise<{ readonly events: readonly EventView[]; readonly next: number | undefined }> {
    return timeline(this.#core, range, cancel);
  }

  /** Undecided events and what they wait for. */
  get pending(): readonly { readonly eventId: string; readonly waitsFor: readonly string[] }[] {
    return [...this.#core.memory.pending.values()].map(({ eventId, waitsFor }) => ({ eventId, waitsFor }));
  }

  /** Previous events that stored events cite and whose states are unknown: where backfill starts. */
  get gaps(): readonly { readonly missing: string; readonly citedBy: readonly string[] }[] {
    const { history } = this.#core.memory.waiting;
    return [...history.values()].map(({ eventId, by }) => ({ missing: eventId, citedBy: by }));
  }

  /** Tells `listener` of every change from now on. Returns what ends it. */
  subscribe(listener: (update: RoomUpdate) => void): () => void {
    return this.#core.feed.subscribe(listener);
  }

  /** What the federation operations read: events with their states, in bulk. */
  async load(eventIds: readonly string[], cancel?: Cancel): Promise<readonly Held[]> {
    return this.#core.load(eventIds, cancel);
  }

  /** Rows as they are stored, without their states. */
  async rows(eventIds: readonly string[], cancel?: Cancel): Promise<readonly StoredEvent[]> {
    return this.#core.host.storage.readEvents(this.roomId, eventIds, cancel);
  }

  /** Everything that these events rest on by `auth_events`, without themselves unless they rest on each other. */
  authChain(eventIds: readonly string[], cancel?: Cancel): Promise<readonly string[]> {
    return authChainOf(this.#core, eventIds, cancel);
  }

  // ---- storage ------------------------------------------------------------------------------------------

  /** Reads the room from storage. `false` when there is none. Called by what owns the room. */
  async open(cancel?: Cancel): Promise<boolean> {
    return this.#core.open(cancel);
  }

  /** Takes over what other processes wrote to the same storage. */
  refresh(cancel?: Cancel): Promise<void> {
    return this.#core.locked(() => this.#core.catchUp(this.#core.memory.record?.revision, cancel));
  }

  // ---- receiving ----------------------------------------------------------------------------------------

  /**
   * Takes in events of other servers: the seven checks on receipt, one receipt for each event, in their order.
   * What is missing is asked for; what stays undecided is kept within bounds and decided when it can be.
   * A room that is not stored yet begins with its create event, which has to be among the first events.
   */
  receive(events: readonly unknown[], options: ReceiveOptions): Promise<readonly Receipt[]> {
    return receive(this.#core, events, options);
  }

  /** Takes in an event that another server hands over to be distributed (send_join, send_knock, send_leave). */
  adopt(event: JsonObject, options: EmitOptions & { readonly origin: string }): Promise<Result<Pdu>> {
    return adopt(this.#core, event, options);
  }

  /**
   * Begins the room, or begins it anew, with a state that another server gave: the answer to a join. What does
   * not hold by its own auth events is left out of the state; the join itself has to hold in what is left.
   */
  importJoin(joined: JoinedState, options: EmitOptions = {}): Promise<Result<Pdu>> {
    return importJoin(this.#core, joined, options);
  }

  /**
   * Asks a server for the whole state before the join of a room whose state is partial. In one commit it takes the
   * place of the part, and every event since is judged again, in order. Nothing changes when it does not let the join
   * in, or contradicts the part that is here; a room that is complete stays as it is.
   */
  completeFrom(server: string, options: EmitOptions = {}): Promise<Result<undefined>> {
    return completeFrom(this.#core, server, options);
  }

  // ---- sending ------------------------------------------------------------------------------------------

  /**
   * Builds, signs, judges and commits events of local users in one step, and queues them for the other servers.
   * All are accepted, or none is stored and the first refusal comes back.
   */
  emit(drafts: readonly LocalEvent[], options: EmitOptions = {}): Promise<Result<readonly Pdu[]>> {
    return emit(this.#core, drafts, options);
  }

  /** As {@link Room.emit}, for a room that does not exist yet: its create event, signed, comes first. */
  begin(create: Pdu, drafts: readonly LocalEvent[], options: EmitOptions = {}): Promise<Result<readonly Pdu[]>> {
    return begin(this.#core, create, drafts, options);
  }

  /** An event of a local user that would be accepted now, signed and not sent: somebody else is to sign it too. */
  prepare(draft: LocalEvent, cancel?: Cancel): Promise<Result<Pdu>> {
    return prepare(this.#core, draft, cancel);
  }

  /** What a user of another server has to sign to become a member (make_join, make_knock, make_leave). */
  template(draft: LocalEvent, cancel?: Cancel): Promise<Result<JsonObject>> {
    return template(this.#core, draft, cancel);
  }

  /** Adds this server's content hash and signature to an event that it made or was asked to finish. */
  sign(event: JsonObject, cancel?: Cancel): Promise<Result<Pdu>> {
    return signEvent(this.#core, event, cancel);
  }

  /** Adds this server's signature to an event that somebody else hashed. */
  cosign(event: JsonObject, cancel?: Cancel): Promise<JsonObject> {
    return cosignEvent(this.#core, event, cancel);
  }

  /** As the room's policy server: the signature that recommends an event whose form and signatures hold. */
  recommend(event: Pdu, origin: string): Promise<OperationResult<"policy_sign">> {
    return this.#core.signer.sign(event, origin);
  }
}
