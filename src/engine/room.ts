/**
 * A room at work: the asynchronous edge around the pure decision. It gathers what a decision needs, decides in a
 * workspace, and commits one batch; a commit that lost a race is decided again. Events are decided one call at a
 * time; fetching from other servers happens outside of that, so that a slow server holds nobody up.
 */
import { ok, refuse, UsageError } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import { draftEvent } from "../event/build.js";
import { readPdu } from "../event/format.js";
import { guardLocalContent } from "../event/content.js";
import type { Pdu, RoomEvent } from "../event/pdu.js";
import { redact } from "../event/redact.js";
import { attachSignature, eventSignedBytes, hashEvent } from "../event/sign.js";
import { selectAuthEvents } from "../auth/select.js";
import { authChain } from "../dag/auth-chain.js";
import { domainOf } from "../ids/grammar.js";
import { compareCodePoints } from "../json/compare.js";
import { encodeUnpadded } from "../crypto/base64.js";
import type { JsonObject } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { StateChange } from "../ports/observer.js";
import type { OperationResult } from "../ports/operations.js";
import type { PartialState, RoomRecord, StoredEvent } from "../ports/storage.js";
import type { Receipt, StoredVerdict, Verdict } from "../ports/verdict.js";
import type { RoomVersion } from "../versions/room-version.js";
import { admit } from "./admit.js";
import type { Admission } from "./admit.js";
import { withDeadline } from "./cancel.js";
import { causeOf, differencesOf } from "./cause.js";
import type { Step } from "./cause.js";
import { ControlKeeper } from "./control.js";
import type { Control, Patch } from "./control.js";
import { extremitiesAfter } from "./decide.js";
import type { Candidate, Mode } from "./decide.js";
import { fetchForgotten, fetchMissing, isLacking, listOf } from "./fetch.js";
import { askPolicyServers, PolicySigner } from "./recommend.js";
import { isExempt, POLICY_EVENT } from "./policy-server.js";
import type { Unasked } from "./policy-server.js";
import { verdictOf } from "./held.js";
import type { Held } from "./held.js";
import type { Host } from "./host.js";
import { RoomMemory } from "./memory.js";
import { Settling } from "./settle.js";
import type { Snapshot } from "./snapshot.js";
import { StateView } from "./state-view.js";
import type { Member, Membership } from "./state-view.js";
import { isLack, isUnresolvable, Workspace } from "./workspace.js";
import type { Additions, Lack, Unresolvable } from "./workspace.js";

/** What a local user wants to send; everything else follows from the room. */
export interface LocalEvent {
  readonly type: string;
  readonly stateKey?: string;
  readonly sender: string;
  readonly content: JsonObject;
  /** The event that an `m.room.redaction` redacts. */
  readonly redacts?: string;
}

export interface ReceiveOptions {
  /** The server that sent the events, as the transport authenticated it. */
  readonly origin: string;
  /** `live` (the default) for news; `history` for backfill. */
  readonly mode?: "live" | "history";
  /** Servers to ask for what is missing, beside the origin. */
  readonly via?: readonly string[];
  /**
   * The origin has nobody in the room. It may still know something: it left a moment ago, or has just joined by way
   * of a server that was not heard yet. So its events are judged; but nobody else is asked for what they lack, and
   * what is refused or stays undecided is not kept, because whoever needs it can have it from the room.
   */
  readonly outsider?: boolean;
  readonly cancel?: Cancel | undefined;
}

export interface EmitOptions {
  readonly cancel?: Cancel | undefined;
  /** Servers that get the events although they have nobody in the room. */
  readonly alsoTo?: readonly string[];
  /** A server that has the events already. */
  readonly notTo?: string;
  readonly additions?: Partial<Additions>;
}

/** A change of a room, as a subscriber is told of it. */
export interface RoomUpdate {
  readonly control: Control;
  /** What changed in the control record since the last update. */
  readonly patches: readonly Patch[];
  /** What changed in the current state, one entry for each event that changed it, oldest first. */
  readonly changes: readonly StateChange[];
  /** Ids of events that became part of the timeline. */
  readonly events: readonly string[];
}

/** An event as a reader gets it. */
export interface EventView {
  readonly eventId: string;
  readonly position: number | undefined;
  readonly verdict: Verdict;
  /** As it was sent, or its redacted copy where its content hash did not match. */
  readonly original: JsonObject;
  /** What is to be shown: redacted, if a redaction is in force. */
  readonly shown: JsonObject;
  readonly redactedBy: string | undefined;
}

/** What a join brings: the state before it, and what that state rests on. */
export interface JoinedState {
  readonly event: JsonObject;
  readonly state: readonly unknown[];
  readonly authChain: readonly unknown[];
  readonly origin: string;
  /** Where memberships were left out of the state: the servers that were in the room. */
  readonly serversInRoom?: readonly string[];
}

interface Settled {
  readonly settling: Settling;
  readonly ws: Workspace;
}

export class Room {
  readonly roomId: string;
  readonly version: RoomVersion;
  readonly #host: Host;
  readonly #onOutbox: (destinations: readonly string[]) => void;
  #memory: RoomMemory;
  #control: ControlKeeper;
  #opened = false;
  #queue: Promise<unknown> = Promise.resolve();
  #freed: string[] = [];
  readonly #signer: PolicySigner;
  readonly #listeners = new Set<(update: RoomUpdate) => void>();

  constructor(host: Host, roomId: string, version: RoomVersion, onOutbox: (destinations: readonly string[]) => void) {
    this.#host = host;
    this.roomId = roomId;
    this.version = version;
    this.#onOutbox = onOutbox;
    this.#signer = new PolicySigner(host, version);
    this.#memory = new RoomMemory(roomId, version, host.limits);
    this.#control = this.#newControl();
  }

  #newControl(): ControlKeeper {
    const empty = StateView.empty(this.#memory.index);
    return new ControlKeeper(this.#host.server, this.roomId, this.version.id, empty);
  }

  // ---- reading ------------------------------------------------------------------------------------------

  /** The room as it is now. Immutable. */
  get control(): Control {
    return this.#control.control;
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
    return [...this.#control.residents.servers].sort(compareCodePoints);
  }

  /** Whether a user of this server is joined. */
  get isResident(): boolean {
    return this.#control.residents.local.size > 0;
  }

  isServerJoined(server: string): boolean {
    return this.#control.residents.has(server);
  }

  /** Joined users of this server. */
  get localUsers(): ReadonlySet<string> {
    return this.#control.residents.local;
  }

  /** Where the state is partial: the join by which this server came. */
  get joinedBy(): string | undefined {
    return this.#memory.record?.partial?.eventId;
  }

  async event(eventId: string, cancel?: Cancel): Promise<EventView | undefined> {
    const [held] = await this.#memory.load(this.#host.storage, [eventId], cancel);
    return held === undefined ? undefined : this.#viewOf(held);
  }

  #viewOf(held: Held): EventView {
    const { event, position, verdict, hashMismatch, redactedBy } = held;
    return {
      eventId: event.eventId,
      position,
      verdict: verdictOf(event.eventId, verdict, hashMismatch),
      original: event.json,
      shown: redactedBy === undefined ? event.json : redact(this.version.rules, event.json),
      redactedBy,
    };
  }

  /** What was decided about an event; `undefined` for one that is not here. */
  async verdict(eventId: string, cancel?: Cancel): Promise<Verdict | undefined> {
    const row = this.#memory.pending.get(eventId);
    if (row !== undefined) return { verdict: "pending", eventId, waitsFor: row.waitsFor };
    return (await this.event(eventId, cancel))?.verdict;
  }

  /** The state before and after an event; `undefined` where its ancestors are not known. */
  async stateAt(eventId: string, cancel?: Cancel): Promise<StatesAt | undefined> {
    // Another memory may take its place meanwhile: a snapshot is read through the index that it came from.
    const memory = this.#memory;
    const [held] = await memory.load(this.#host.storage, [eventId], cancel);
    if (held?.before === undefined || held.after === undefined) return undefined;
    const { index, record } = memory;
    const partial = isProvisional(record?.partial, held);
    return { before: new StateView(index, held.before), after: new StateView(index, held.after), partial };
  }

  /** Accepted events by stream position. `next` continues where this answer ends. */
  async timeline(
    range: { readonly from?: number; readonly limit?: number; readonly direction?: "forwards" | "backwards" } = {},
    cancel?: Cancel,
  ): Promise<{ readonly events: readonly EventView[]; readonly next: number | undefined }> {
    const { direction = "forwards", limit = 100 } = range;
    const first = this.#memory.record?.firstPosition ?? 0;
    const from = range.from ?? (direction === "forwards" ? first : this.control.position);
    const rows = await this.#host.storage.readTimeline(this.roomId, { from, direction, limit }, cancel);
    const last = rows.at(-1)?.position;
    const next = last === undefined || rows.length < limit ? undefined : last + (direction === "forwards" ? 1 : -1);
    return { events: rows.map((row) => this.#viewOfRow(row)), next };
  }

  #viewOfRow(row: StoredEvent): EventView {
    const { eventId, json, position, verdict, hashMismatch, redactedBy } = row;
    return {
      eventId,
      position,
      verdict: verdictOf(eventId, verdict, hashMismatch),
      original: json,
      shown: redactedBy === undefined ? json : redact(this.version.rules, json),
      redactedBy,
    };
  }

  /** Undecided events and what they wait for. */
  get pending(): readonly { readonly eventId: string; readonly waitsFor: readonly string[] }[] {
    return [...this.#memory.pending.values()].map(({ eventId, waitsFor }) => ({ eventId, waitsFor }));
  }

  /** Previous events that stored events cite and whose states are unknown: where backfill starts. */
  get gaps(): readonly { readonly missing: string; readonly citedBy: readonly string[] }[] {
    return [...this.#memory.waiting.history.values()].map(({ eventId, by }) => ({ missing: eventId, citedBy: by }));
  }

  /** Tells `listener` of every change from now on. Returns what ends it. */
  subscribe(listener: (update: RoomUpdate) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** What the federation operations read: events with their states, in bulk. */
  load(eventIds: readonly string[], cancel?: Cancel): Promise<readonly Held[]> {
    return this.#memory.load(this.#host.storage, eventIds, cancel);
  }

  /** Rows as they are stored, without their states. */
  async rows(eventIds: readonly string[], cancel?: Cancel): Promise<readonly StoredEvent[]> {
    return this.#host.storage.readEvents(this.roomId, eventIds, cancel);
  }

  /** Everything that these events rest on by `auth_events`, without themselves unless they rest on each other. */
  async authChain(eventIds: readonly string[], cancel?: Cancel): Promise<readonly string[]> {
    for (;;) {
      const unread = eventIds.filter((id) => this.#memory.index.get(id) === undefined);
      const chain = authChain(this.#memory.index, eventIds);
      const lacking = [...unread, ...chain.missing];
      if (lacking.length === 0) return chain.events;
      const found = await this.load(lacking, cancel);
      // An event that changes no state is in no index: its own citations are looked at instead.
      const read = new Set<string>(found.map(({ event }) => event.eventId));
      if (lacking.some((id) => !read.has(id))) throw new UsageError(`storage has lost ${lacking.join(", ")}`);
      const outside = found.filter(({ event }) => this.#memory.index.get(event.eventId) === undefined);
      if (outside.length > 0) {
        const inside = eventIds.filter((id) => !outside.some(({ event }) => event.eventId === id));
        const cited = outside.flatMap(({ event }) => event.authEvents);
        return [...new Set([...cited, ...(await this.authChain([...inside, ...cited], cancel))])];
      }
    }
  }

  /** Takes over what other processes wrote to the same storage. */
  refresh(cancel?: Cancel): Promise<void> {
    return this.#locked(() => this.#catchUp(this.#memory.record?.revision, cancel));
  }

  // ---- changing -----------------------------------------------------------------------------------------

  /** Reads the room from storage. `false` when there is none. Called by what owns the room. */
  async open(cancel?: Cancel): Promise<boolean> {
    if (this.#opened) return true;
    return this.#locked(() => this.#open(cancel));
  }

  async #open(cancel: Cancel | undefined): Promise<boolean> {
    if (this.#opened) return true;
    const opened = await this.#host.storage.openRoom(this.roomId, cancel);
    if (opened === undefined) return false;
    const before = this.#memory;
    this.#memory = new RoomMemory(this.roomId, this.version, this.#host.limits);
    await this.#memory.open(this.#host.storage, opened, [], cancel);
    this.#freed = await this.#unfinished(cancel);
    const { record } = before;
    const changes =
      record === undefined ? undefined : await this.#host.storage.changesSince(this.roomId, record.revision, cancel);
    const news = await this.#newsOf(record, changes?.events ?? [], new Set(before.pending.keys()), cancel);
    this.#opened = true;
    this.#advanceControl(news.steps, news.events);
    return true;
  }

  /** Work that a commit left for the next: what arrived, and is still waited for. */
  async #unfinished(cancel: Cancel | undefined): Promise<string[]> {
    const { pendingOn, waiting } = this.#memory;
    const ids = [...new Set([...pendingOn.keys(), ...waiting.history.keys()])];
    const found = await this.#memory.load(this.#host.storage, ids, cancel);
    return found.map(({ event }) => event.eventId);
  }

  /** Forgets what was read and decided; the next call reads storage again. Nothing that was committed is lost. */
  #forget(): void {
    this.#opened = false;
  }

  /** Runs one thing after the other. */
  #locked<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(work, work);
    this.#queue = next.catch(() => undefined);
    return next;
  }

  /**
   * Takes in events of other servers: the seven checks on receipt, one receipt for each event, in their order.
   * What is missing is asked for; what stays undecided is kept within bounds and decided when it can be.
   * A room that is not stored yet begins with its create event, which has to be among the first events.
   */
  async receive(events: readonly unknown[], options: ReceiveOptions): Promise<readonly Receipt[]> {
    const stored = await this.open(options.cancel);
    const mode: Mode = options.mode ?? "live";
    const admissions = await admit(this.#context(), events, { origin: options.origin, mode, cancel: options.cancel });
    const work = new Map<string, Candidate>();
    for (const admission of admissions) {
      if (admission.kind !== "candidate") continue;
      const { candidate } = admission;
      const known = work.get(candidate.event.eventId);
      if (known === undefined || known.hashMismatch) work.set(candidate.event.eventId, candidate);
    }
    if (!stored && work.size > 0 && ![...work.values()].some(({ event }) => event.type === "m.room.create")) {
      throw new UsageError(`${this.roomId} is not stored here: create or join it first`);
    }
    if (work.size > 0) await this.#fetch(work, options);
    const tried = options.outsider === true && work.size > 0 ? await this.#sift(work, options.cancel) : undefined;
    const settle = (): Promise<Settled> => this.#settle([...work.values()], options.cancel);
    const settled = work.size === 0 ? undefined : await this.#remembering(settle, options.cancel);
    const verdicts = new Map([...(tried ?? []), ...(settled?.settling.verdicts ?? [])]);
    const first = admissions.map((admission) => receiptOf(admission, verdicts, settled?.settling));
    const receipts = options.outsider === true ? first : await this.#reviewed(first, work, options.cancel);
    for (const receipt of receipts) {
      this.#host.observer.onReceipt?.(receipt, { roomId: this.roomId, origin: options.origin });
    }
    return receipts;
  }

  #context(): { memory: RoomMemory; storage: Host["storage"]; keys: Host["keys"]; policy: Host["policy"] } {
    const { storage, keys, policy } = this.#host;
    return { memory: this.#memory, storage, keys, policy };
  }

  async #fetch(work: Map<string, Candidate>, options: ReceiveOptions): Promise<void> {
    const { transport, observer, clock, limits, server } = this.#host;
    const { origin, via = [], outsider = false } = options;
    const others = [...new Set([origin, ...via, ...this.servers])].filter((name) => name !== server);
    const servers = outsider ? [origin] : others;
    if (servers.length === 0) return;
    // Nearly always nothing is: a deadline and a fetcher would cost a quarter of what a message costs.
    if (!(await isLacking({ ...this.#context(), servers, cancel: options.cancel }, work))) return;
    await withDeadline(clock, limits.fetchTime, options.cancel, (cancel) =>
      fetchMissing({ ...this.#context(), transport, observer, servers, outsider, cancel }, work),
    );
  }

  /** Judges without keeping anything, and leaves in `work` what is to be kept, with whatever that rests on. */
  async #sift(work: Map<string, Candidate>, cancel: Cancel | undefined): Promise<ReadonlyMap<string, Verdict>> {
    const candidates = [...work.values()];
    const judge = async (): Promise<Settling> => {
      await this.#open(cancel);
      const ws = new Workspace(this.#memory);
      await this.#supplyAll(ws, candidates, cancel);
      const settling = new Settling(ws, candidates, this.#host.clock.now());
      await this.#run(ws, settling, cancel);
      return settling;
    };
    const { verdicts } = await this.#remembering(() => this.#deciding(judge, cancel), cancel);
    const isWanted = (id: string): boolean => {
      const verdict = verdicts.get(id)?.verdict ?? "pending";
      return sifted.has(verdict) || this.#memory.pending.has(id);
    };
    const kept = new Set<string>();
    const stack = [...work.keys()].filter(isWanted);
    for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
      const event = kept.has(id) ? undefined : work.get(id)?.event;
      if (event === undefined) continue;
      kept.add(id);
      stack.push(...event.prevEvents, ...event.authEvents);
    }
    for (const id of [...work.keys()]) if (!kept.has(id)) work.delete(id);
    return verdicts;
  }

  /**
   * A storage that keeps the latest of a room only has forgotten what a resolution may need: older memberships and
   * power levels. Other servers are asked for it, outside of the queue like all fetching, and the work is done again.
   */
  async #remembering<T>(work: () => Promise<T>, cancel: Cancel | undefined): Promise<T> {
    for (let round = 0; ; round++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ForgottenError) || round >= this.#host.limits.fetchRounds) throw error;
        if (!(await this.#fetchAgain(error.eventIds, cancel))) throw error;
      }
    }
  }

  async #fetchAgain(eventIds: readonly string[], cancel: Cancel | undefined): Promise<boolean> {
    const { transport, observer, clock, limits, server } = this.#host;
    const servers = this.servers.filter((name) => name !== server);
    const found = await withDeadline(clock, limits.fetchTime, cancel, (within) =>
      fetchForgotten({ ...this.#context(), transport, observer, servers, cancel: within }, eventIds),
    );
    if (!eventIds.some((id) => found.has(id))) return false;
    await this.#settle([...found.values()], cancel);
    return true;
  }

  /** Undecided events may wait for something that no event here cites: what a resolution needs and storage forgot. */
  async #reviewed(
    receipts: readonly Receipt[],
    work: ReadonlyMap<string, Candidate>,
    cancel: Cancel | undefined,
  ): Promise<readonly Receipt[]> {
    const cited = new Set<string>();
    for (const { event } of work.values()) for (const id of [...event.prevEvents, ...event.authEvents]) cited.add(id);
    let latest = receipts;
    for (let round = 0; round < this.#host.limits.fetchRounds; round++) {
      const waitsFor = latest.flatMap(({ verdict }) => (verdict.verdict === "pending" ? verdict.waitsFor : []));
      const forgotten = [...new Set(waitsFor)].filter((id) => !cited.has(id));
      if (forgotten.length === 0) break;
      if (!(await this.#remembering(() => this.#fetchAgain(forgotten, cancel), cancel))) break;
      latest = await Promise.all(latest.map((receipt) => this.#now(receipt, cancel)));
    }
    return latest;
  }

  async #now(receipt: Receipt, cancel: Cancel | undefined): Promise<Receipt> {
    if (receipt.verdict.verdict !== "pending") return receipt;
    return { ...receipt, verdict: (await this.verdict(receipt.verdict.eventId, cancel)) ?? receipt.verdict };
  }

  /** Decides and commits, again and again until nobody else wrote in between; then whatever that set free. */
  async #settle(candidates: readonly Candidate[], cancel: Cancel | undefined): Promise<Settled> {
    const settled = await this.#deciding(() => this.#settleOnce(candidates, cancel), cancel);
    await this.#settleFreed(cancel);
    await this.#mergeIfNeeded(cancel);
    return settled;
  }

  async #settleFreed(cancel: Cancel | undefined): Promise<void> {
    while (this.#freed.length > 0) await this.#deciding(() => this.#settleOnce([], cancel), cancel);
  }

  /**
   * Runs work that decides, in the queue. Where it needs the word of the room's policy server, that is asked for
   * outside of the queue, and the work is done again: with the events that it made itself, if it made any.
   */
  async #deciding<T>(work: (made: readonly Pdu[]) => Promise<T>, cancel: Cancel | undefined): Promise<T> {
    const asked = new Set<string>();
    let made: readonly Pdu[] = [];
    try {
      for (let round = 0; round < this.#host.limits.fetchRounds; round++) {
        try {
          return await this.#locked(() => work(made));
        } catch (error) {
          if (!(error instanceof UnaskedError)) throw error;
          ({ made } = error);
          for (const { event } of error.unasked) asked.add(event.eventId);
          await this.#ask(error.unasked, cancel);
        }
      }
    } finally {
      for (const id of asked) this.#memory.recommendations.delete(id);
    }
    throw new UsageError(`${this.roomId}: its policy server changed faster than it could be asked`);
  }

  async #ask(unasked: readonly Unasked[], cancel: Cancel | undefined): Promise<void> {
    const { facts } = this.#memory;
    const context = { host: this.#host, version: this.version, facts, own: this.#signer };
    const answers = await askPolicyServers(context, unasked, cancel);
    if (cancel?.aborted === true) throw new CancelledError();
    for (const [eventId, recommendation] of answers) this.#memory.recommendations.set(eventId, recommendation);
  }

  async #settleOnce(candidates: readonly Candidate[], cancel: Cancel | undefined): Promise<Settled> {
    for (let attempt = 0; attempt < this.#host.limits.commitAttempts; attempt++) {
      await this.#open(cancel);
      const ws = new Workspace(this.#memory);
      await this.#supplyAll(ws, candidates, cancel);
      const settling = new Settling(ws, candidates, this.#host.clock.now(), this.#freed);
      const steps = await this.#run(ws, settling, cancel);
      if (!ws.changed || (await this.#commit(ws, steps, cancel))) {
        this.#freed = [...settling.leftover];
        if (settling.evicted > 0) this.#metric("room.pending.evicted", settling.evicted);
        if (settling.outdated) {
          this.#forget();
          await this.#open(undefined);
        }
        return { settling, ws };
      }
    }
    throw new UsageError(
      `${this.roomId}: other writers won ${this.#host.limits.commitAttempts} times: route the room to one`,
    );
  }

  /** One read for all that the candidates cite. */
  async #supplyAll(ws: Workspace, candidates: readonly Candidate[], cancel: Cancel | undefined): Promise<void> {
    const ids = new Set<string>();
    for (const { event, mode } of candidates) {
      ids.add(event.eventId);
      if (mode !== "import") for (const id of event.prevEvents) ids.add(id);
      for (const id of event.authEvents) if (this.#memory.index.get(id) === undefined) ids.add(id);
    }
    if (ids.size > 0) await this.#supply(ws, { lack: true, events: [...ids], facts: [] }, cancel);
  }

  async #supply(ws: Workspace, lack: Lack, cancel: Cancel | undefined): Promise<void> {
    const { policy, unasked } = lack;
    if (unasked !== undefined) {
      ws.unasked.set(unasked.event.eventId, unasked);
      return;
    }
    if (lack.facts.length === 0 && policy === undefined && lack.events.every((id) => ws.absent.has(id))) {
      throw new ForgottenError(this.roomId, lack.events);
    }
    if (lack.events.length > 0) {
      ws.supply(lack.events, await this.#memory.load(this.#host.storage, lack.events, cancel));
    }
    if (lack.facts.length > 0) await this.#memory.facts.settle(lack.facts, this.#host.keys, cancel);
    if (policy !== undefined) {
      const attempt = { ...policy, roomVersion: this.version.id };
      ws.policies.set(policy.event.eventId, await this.#host.policy.checkEvent?.(attempt, cancel));
    }
  }

  /** Runs a settling to its end; the steps of the current state are noted only when somebody looks at them. */
  async #run(ws: Workspace, settling: Settling, cancel: Cancel | undefined): Promise<readonly Step[]> {
    const steps = await this.#try(ws, settling, cancel);
    requireAsked(ws);
    return steps;
  }

  /** The same, where the room's policy server may be asked about more than this first. */
  async #try(ws: Workspace, settling: Settling, cancel: Cancel | undefined): Promise<readonly Step[]> {
    settling.watch(this.#watched);
    await this.#drain(ws, settling, cancel);
    return settling.steps;
  }

  async #drain(ws: Workspace, settling: Settling, cancel: Cancel | undefined): Promise<void> {
    for (let lack = settling.run(); lack !== undefined; lack = settling.run()) await this.#supply(ws, lack, cancel);
  }

  async #need<T extends object>(
    ws: Workspace,
    ask: () => T | Lack | Unresolvable,
    cancel: Cancel | undefined,
  ): Promise<T> {
    for (;;) {
      const answer = ask();
      if (isUnresolvable(answer)) throw new UsageError(`${this.roomId}: ${answer.unresolvable.reason}`);
      if (!isLack(answer)) return answer;
      await this.#supply(ws, answer, cancel);
    }
  }

  async #commit(
    ws: Workspace,
    steps: readonly Step[],
    cancel: Cancel | undefined,
    options: EmitOptions & { readonly own?: readonly Pdu[] } = {},
  ): Promise<boolean> {
    const current: Snapshot = await this.#need(ws, () => ws.current(), cancel);
    const outbox = this.#outbox(ws, current, options);
    const additions = { ...options.additions, outbox: [...(options.additions?.outbox ?? []), ...outbox] };
    const { batch, numbered } = ws.batch(current, additions);
    if (cancel?.aborted === true) {
      this.#forget();
      throw new CancelledError();
    }
    let result;
    try {
      // From here on the caller may no longer be told that nothing happened.
      result = await this.#host.storage.commit(batch);
    } catch (error) {
      this.#forget();
      throw error;
    }
    if (!result.committed) {
      this.#metric("room.commit.conflict", 1);
      // Nobody else wrote: storage has forgotten something that this builds on, and memory has not.
      if (result.revision === batch.expected && result.revision !== undefined) this.#forget();
      else await this.#catchUp(batch.expected, cancel);
      return false;
    }
    const events = [...ws.decided.values()].flatMap((held) =>
      isNew(this.#memory.record, held) ? [held.event.eventId] : [],
    );
    ws.apply(batch, numbered, current);
    this.#opened = true;
    this.#metric("room.commit.events", batch.events.length);
    this.#metric("room.extremities", ws.extremities.size);
    this.#metric("room.pending", this.#memory.pending.size);
    this.#advanceControl(steps, events);
    const destinations = [...new Set(additions.outbox.map(({ destination }) => destination))];
    if (destinations.length > 0) this.#onOutbox(destinations);
    return true;
  }

  /**
   * Own events go to every server that has somebody in the room now or after them, or had in the state before them: an
   * event that waited for another server's signature may be older than what put somebody out. And to that of a user
   * whose invite or knock they end, which shows it until it is told.
   */
  #outbox(
    ws: Workspace,
    current: Snapshot,
    { own = [], alsoTo = [], notTo }: EmitOptions & { readonly own?: readonly Pdu[] },
  ): readonly { readonly destination: string; readonly roomId: string; readonly eventId: string }[] {
    if (own.length === 0) return [];
    const destinations = new Set([...this.#control.residents.servers, ...alsoTo]);
    const before = new StateView(ws.index, this.#memory.current);
    const joinedIn = (state: Snapshot, servers: Set<string>): void =>
      before.differences(new StateView(ws.index, state), (type, stateKey, _, there) => {
        const isJoin = type === "m.room.member" && there?.content["membership"] === "join";
        const server = isJoin ? domainOf(stateKey) : undefined;
        if (server !== undefined) servers.add(server);
      });
    joinedIn(current, destinations);
    const rows: { destination: string; roomId: string; eventId: string }[] = [];
    for (const event of own) {
      const ended = endedOutside(event, before);
      const told = new Set(ended === undefined ? destinations : [...destinations, ended]);
      const met = ws.held(event.eventId)?.before;
      if (met !== undefined && met !== this.#memory.current) joinedIn(met, told);
      for (const destination of told) {
        if (destination === this.#host.server || destination === notTo) continue;
        rows.push({ destination, roomId: this.roomId, eventId: event.eventId });
      }
    }
    return rows.sort((a, b) => compareCodePoints(a.destination, b.destination));
  }

  /** Somebody else wrote: take over what they wrote, and no more. */
  async #catchUp(revision: number | undefined, cancel: Cancel | undefined): Promise<void> {
    const { record } = this.#memory;
    const waited = new Set(this.#memory.pending.keys());
    const changes = await this.#host.storage.changesSince(this.roomId, revision ?? 0, cancel);
    if (changes === undefined) return;
    await this.#memory.open(this.#host.storage, changes, changes.events, cancel);
    const news = await this.#newsOf(record, changes.events, waited, cancel);
    this.#opened = true;
    this.#advanceControl(news.steps, news.events);
  }

  /** What was committed since `old` without this object: its events, and how they moved the current state. */
  async #newsOf(
    old: RoomRecord | undefined,
    rows: readonly StoredEvent[],
    waited: ReadonlySet<string>,
    cancel: Cancel | undefined,
  ): Promise<{ readonly events: readonly string[]; readonly steps: readonly Step[] }> {
    if (old === undefined) return { events: [], steps: [] };
    const news = rows.filter((row) => isNew(old, row)).sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
    const events = news.map(({ eventId }) => eventId);
    if (!this.#watched) return { events, steps: [] };
    if (old.partial !== undefined && old.partial.eventId !== this.#memory.record?.partial?.eventId) {
      return { events, steps: await this.#completionOf(old, old.partial, cancel) };
    }
    const ws = new Workspace(this.#memory);
    const ends = await this.load(old.forwardExtremities, cancel);
    ws.setExtremities(
      new Map(ends.flatMap((end) => (end.after === undefined ? [] : [[end.event.eventId, end.after]]))),
    );
    const steps: Step[] = [];
    for (const { eventId, position = 0 } of news) {
      const [held] = position > 0 ? await this.load([eventId], cancel) : [];
      if (held?.after !== undefined) steps.push(await this.#stepOf(ws, held.event, held.after, waited, cancel));
    }
    return { events, steps };
  }

  /** What the completion of a partial state that somebody else committed did to the current state. */
  async #completionOf(
    old: RoomRecord,
    { eventId }: PartialState,
    cancel: Cancel | undefined,
  ): Promise<readonly Step[]> {
    const before = await this.#memory.snapshot(this.#host.storage, old.stateGroup, cancel);
    const [join] = await this.load([eventId], cancel);
    return join === undefined ? [] : [completion(join.event, before, this.#memory.current)];
  }

  /** The step that an accepted event was for a current state that did not know of it. */
  async #stepOf(
    ws: Workspace,
    event: Pdu,
    own: Snapshot,
    waited: ReadonlySet<string>,
    cancel: Cancel | undefined,
  ): Promise<Step> {
    const before: Snapshot = await this.#need(ws, () => ws.current(), cancel);
    const { extremities: extremitiesBefore } = ws;
    const { extremities } = await this.#need(ws, () => extremitiesAfter(ws, event, own), cancel);
    ws.setExtremities(extremities);
    const after: Snapshot = await this.#need(ws, () => ws.current(), cancel);
    const parents = (await this.load(event.prevEvents, cancel)).flatMap((parent) => parent.after ?? []);
    const late = waited.has(event.eventId);
    return { event, late, completion: false, before, after, extremitiesBefore, extremities, parents };
  }

  /** Whether anybody looks at the steps of the current state. */
  get #watched(): boolean {
    return this.#listeners.size > 0 || this.#host.observer.onStateChange !== undefined;
  }

  #advanceControl(steps: readonly Step[], events: readonly string[]): void {
    const { record, current, index } = this.#memory;
    if (record === undefined) return;
    const known = this.#control.control.state;
    const state = this.#view?.snapshot === current ? known : new StateView(index, current);
    const old = this.control;
    const anew = this.#view?.index !== index;
    if (anew) this.#control = this.#newControl();
    this.#view = { snapshot: current, index };
    const advanced = this.#control.advance(record, state, this.#listeners.size > 0 && !anew);
    const patches = anew && this.#listeners.size > 0 ? this.#control.patchesFrom(old) : advanced;
    const changes = steps.flatMap((step) => this.#changeOf(step));
    for (const change of changes) this.#host.observer.onStateChange?.(change);
    if (this.#listeners.size === 0) return;
    const update: RoomUpdate = Object.freeze({ control: this.control, patches, changes, events });
    for (const listener of this.#listeners) {
      try {
        listener(update);
      } catch (error) {
        this.#host.observer.onFault?.({ where: `subscriber of ${this.roomId}`, error });
      }
    }
  }
  #view: { readonly snapshot: Snapshot; readonly index: RoomMemory["index"] } | undefined;

  #changeOf(step: Step): readonly StateChange[] {
    const differences = differencesOf(this.#memory, step.before, step.after);
    if (differences.length === 0) return [];
    return [{ roomId: this.roomId, differences, cause: causeOf(this.#memory, step, differences) }];
  }

  #metric(
    name: "room.commit.events" | "room.commit.conflict" | "room.extremities" | "room.pending" | "room.pending.evicted",
    value: number,
  ): void {
    this.#host.observer.onMetric?.({ name, value, roomId: this.roomId });
  }

  // ---- sending ------------------------------------------------------------------------------------------

  /**
   * Builds, signs, judges and commits events of local users in one step, and queues them for the other servers.
   * All are accepted, or none is stored and the first refusal comes back.
   */
  async emit(drafts: readonly LocalEvent[], options: EmitOptions = {}): Promise<Result<readonly Pdu[]>> {
    for (const draft of drafts) this.#checkLocal(draft);
    const send = (): Promise<Result<readonly Pdu[]>> => this.#send(drafts, options);
    // Events that wait for a policy server side by side would all end up side by side in the graph.
    const isAsking = this.state(POLICY_EVENT) !== undefined && !drafts.every(isExempt);
    return isAsking ? this.#inTurn(send) : send();
  }

  /** Sends one after the other, while receiving goes on. Who waits while the policy server is silent waits once. */
  #inTurn(send: () => Promise<Result<readonly Pdu[]>>): Promise<Result<readonly Pdu[]>> {
    const place = ++this.#turns;
    const next = this.#sending.then(async () => {
      if (this.#silence !== undefined && place <= this.#silence.until) return this.#silence.result;
      const result = await send();
      if (!result.ok && result.error.code === "unreachable") {
        const { code, reason } = result.error;
        this.#silence = { until: this.#turns, result: refuse(code, reason) };
      }
      return result;
    });
    this.#sending = next.catch(() => undefined);
    return next;
  }
  #sending: Promise<unknown> = Promise.resolve();
  #turns = 0;
  #silence: { readonly until: number; readonly result: Result<never> } | undefined;

  async #send(drafts: readonly LocalEvent[], options: EmitOptions): Promise<Result<readonly Pdu[]>> {
    const emit = (): Promise<Result<readonly Pdu[]>> => this.#deciding(this.#emitting(drafts, options), options.cancel);
    const result = await this.#remembering(emit, options.cancel);
    await this.#settleFreed(options.cancel);
    return result;
  }

  /** Makes events of drafts, or takes those that were made of them already. */
  #emitting(
    drafts: readonly LocalEvent[],
    options: EmitOptions,
    first: readonly Pdu[] = [],
  ): (made: readonly Pdu[]) => Promise<Result<readonly Pdu[]>> {
    return (made) => (made.length > 0 ? this.#emit(made, [], options) : this.#emit(first, drafts, options));
  }

  /** As the room's policy server: the signature that recommends an event whose form and signatures hold. */
  recommend(event: Pdu, origin: string): Promise<OperationResult<"policy_sign">> {
    return this.#signer.sign(event, origin);
  }

  /** As {@link Room.emit}, for a room that does not exist yet: its create event, signed, comes first. */
  begin(create: Pdu, drafts: readonly LocalEvent[], options: EmitOptions = {}): Promise<Result<readonly Pdu[]>> {
    for (const draft of drafts) this.#checkLocal(draft);
    return this.#deciding(this.#emitting(drafts, options, [create]), options.cancel);
  }

  #checkLocal(draft: LocalEvent): void {
    if (domainOf(draft.sender) !== this.#host.server) {
      throw new UsageError(`${draft.sender} is not of ${this.#host.server}: a server sends for its own users only`);
    }
  }

  async #emit(
    prepared: readonly Pdu[],
    drafts: readonly LocalEvent[],
    options: EmitOptions,
  ): Promise<Result<readonly Pdu[]>> {
    for (let attempt = 0; attempt < this.#host.limits.commitAttempts; attempt++) {
      await this.#open(options.cancel);
      const ws = new Workspace(this.#memory);
      const own: Pdu[] = [];
      const steps: Step[] = [];
      for (const draft of [...prepared, ...drafts]) {
        const made = isPdu(draft) ? ok(draft) : await this.#make(ws, draft, options.cancel);
        if (!made.ok) return made;
        const refused = await this.#tryOwn(ws, made.value, steps, options.cancel);
        if (refused !== undefined) return { ok: false, error: refused };
        own.push(ws.withRecommendation(made.value));
      }
      requireAsked(ws, own);
      if (await this.#commit(ws, steps, options.cancel, { ...options, own })) {
        return { ok: true, value: own };
      }
    }
    return refuse("undecided", `other writers won every race for ${this.roomId}`);
  }

  /** An own event has to pass what every other server will ask of it, and what the host asks. */
  async #tryOwn(ws: Workspace, event: Pdu, steps: Step[], cancel: Cancel | undefined): Promise<Refusal | undefined> {
    const { server, policy, clock } = this.#host;
    const refused = await policy.checkEvent?.({ event, roomVersion: this.version.id, origin: server }, cancel);
    if (refused !== undefined) {
      return { code: "policy_refused", reason: `${refused.code}: ${refused.reason}`, events: [event.eventId] };
    }
    const candidate: Candidate = { event, hashMismatch: false, origin: server, mode: "live", policy: undefined };
    ws.absent.add(event.eventId);
    const settling = new Settling(ws, [candidate], clock.now());
    steps.push(...(await this.#try(ws, settling, cancel)));
    const verdict = settling.verdicts.get(event.eventId);
    return verdict === undefined ? undefined : refusalOf(verdict);
  }

  /** The event that a draft becomes at the end of the room as it is. Not judged yet. */
  async #make(ws: Workspace, draft: LocalEvent, cancel: Cancel | undefined): Promise<Result<Pdu>> {
    const deprecated = guardLocalContent(this.version.rules.content, draft.type);
    if (deprecated !== undefined) return { ok: false, error: deprecated };
    if (this.#isUnknownMember(draft)) {
      return refuse("undecided", `the membership of ${draft.stateKey} is not known yet: try again once it is`);
    }
    const unsigned = await this.#draft(ws, draft, cancel);
    return unsigned.ok ? this.sign(unsigned.value, cancel) : unsigned;
  }

  /** Whether a membership would be set of which a partial state does not tell what it is now. */
  #isUnknownMember({ type, stateKey }: LocalEvent): boolean {
    if (type !== "m.room.member" || stateKey === undefined || !this.control.partial) return false;
    return this.state(type, stateKey) === undefined;
  }

  /** Adds this server's content hash and signature to an event that it made or was asked to finish. */
  async sign(event: JsonObject, cancel?: Cancel): Promise<Result<Pdu>> {
    return readPdu(this.version.rules, await this.cosign(hashEvent(event), cancel));
  }

  /** Adds this server's signature to an event that somebody else hashed. */
  async cosign(event: JsonObject, cancel?: Cancel): Promise<JsonObject> {
    const { keyId, signature } = await this.#host.keys.sign(eventSignedBytes(this.version.rules, event), cancel);
    return attachSignature(event, { server: this.#host.server, keyId, signature });
  }

  async #draft(ws: Workspace, draft: LocalEvent, cancel: Cancel | undefined): Promise<Result<JsonObject>> {
    const { rules } = this.version;
    const parents = await this.#parents(ws, cancel);
    const before = await this.#need(ws, () => ws.resolve(parents.flatMap(({ after }) => after ?? [])), cancel);
    const lookup = ws.index.lookup(before.state);
    const ids = selectAuthEvents(rules, draft).flatMap(([type, key]) => lookup(type, key)?.eventId ?? []);
    const authority = await this.#need(ws, () => heldAll(ws, [...new Set(ids)]), cancel);
    const impliedRoom = rules.format.roomIds === "create-hash" && draft.type === "m.room.create";
    return draftEvent(
      rules,
      {
        ...draft,
        originServerTs: this.#host.clock.now(),
        ...(impliedRoom ? {} : { roomId: this.roomId }),
        ...(rules.format.eventIds === "in-pdu" ? { eventId: this.#newEventId() } : {}),
      },
      { prevEvents: parents.map(({ event }) => event), authEvents: authority.map(({ event }) => event) },
    );
  }

  /** At most 20 forward extremities, the deepest first (server-server-api, "PDUs"; digest DG1). */
  async #parents(ws: Workspace, cancel: Cancel | undefined): Promise<readonly Held[]> {
    const all = await this.#need(ws, () => heldAll(ws, [...ws.extremities.keys()]), cancel);
    return [...all]
      .sort((a, b) => b.event.depth - a.event.depth || compareCodePoints(a.event.eventId, b.event.eventId))
      .slice(0, 20);
  }

  #newEventId(): string {
    return `$${encodeUnpadded(this.#host.random.bytes(18), "url-safe")}:${this.#host.server}`;
  }

  /** An event of a local user that would be accepted now, signed and not sent: somebody else is to sign it too. */
  async prepare(draft: LocalEvent, cancel?: Cancel): Promise<Result<Pdu>> {
    this.#checkLocal(draft);
    const prepare = async ([before]: readonly Pdu[]): Promise<Result<Pdu>> => {
      await this.#open(cancel);
      const made = before === undefined ? await this.#make(new Workspace(this.#memory), draft, cancel) : ok(before);
      if (!made.ok) return made;
      const ws = new Workspace(this.#memory);
      const refused = await this.#tryOwn(ws, made.value, [], cancel);
      if (refused !== undefined) return { ok: false, error: refused };
      requireAsked(ws, [made.value]);
      return ok(ws.withRecommendation(made.value));
    };
    return this.#remembering(() => this.#deciding(prepare, cancel), cancel);
  }

  /** What a user of another server has to sign to become a member (make_join, make_knock, make_leave). */
  async template(draft: LocalEvent, cancel?: Cancel): Promise<Result<JsonObject>> {
    const made = async (): Promise<Result<JsonObject>> => {
      await this.#open(cancel);
      return this.#draft(new Workspace(this.#memory), draft, cancel);
    };
    return this.#remembering(() => this.#locked(made), cancel);
  }

  /** Takes in an event that another server hands over to be distributed (send_join, send_knock, send_leave). */
  async adopt(event: JsonObject, options: EmitOptions & { readonly origin: string }): Promise<Result<Pdu>> {
    const admitted = await admit(this.#context(), [event], {
      origin: options.origin,
      mode: "live",
      cancel: options.cancel,
    });
    const [admission] = admitted;
    if (admission?.kind !== "candidate") {
      if (admission?.kind === "known" && admission.verdict.verdict === "accepted") {
        const [held] = await this.load([admission.eventId], options.cancel);
        if (held !== undefined) return { ok: true, value: held.event };
      }
      const refusal = admission === undefined ? undefined : refusalOf(admission.verdict);
      return { ok: false, error: refusal ?? refuse("undecided", "the event cannot be taken in").error };
    }
    const { candidate } = admission;
    const work = new Map([[candidate.event.eventId, candidate]]);
    await this.#fetch(work, options);
    const adopt = (): Promise<Result<Pdu>> => this.#adopt([...work.values()], candidate, options);
    return this.#remembering(() => this.#deciding(adopt, options.cancel), options.cancel);
  }

  async #adopt(
    work: readonly Candidate[],
    { event }: Candidate,
    options: EmitOptions & { readonly origin: string },
  ): Promise<Result<Pdu>> {
    for (let attempt = 0; attempt < this.#host.limits.commitAttempts; attempt++) {
      await this.#open(options.cancel);
      const ws = new Workspace(this.#memory);
      await this.#supplyAll(ws, work, options.cancel);
      const settling = new Settling(ws, work, this.#host.clock.now());
      const steps = await this.#run(ws, settling, options.cancel);
      const verdict = settling.verdicts.get(event.eventId);
      const refusal = verdict === undefined ? undefined : refusalOf(verdict);
      // A membership that is not wanted now is refused to its face, and not kept.
      if (refusal !== undefined) return { ok: false, error: refusal };
      if (
        !ws.changed ||
        (await this.#commit(ws, steps, options.cancel, { notTo: options.origin, ...options, own: [event] }))
      ) {
        return { ok: true, value: ws.held(event.eventId)?.event ?? event };
      }
    }
    return refuse("undecided", `other writers won every race for ${this.roomId}`);
  }

  /**
   * Begins the room, or begins it anew, with a state that another server gave: the answer to a join. What does
   * not hold by its own auth events is left out of the state; the join itself has to hold in what is left.
   */
  async importJoin(joined: JoinedState, options: EmitOptions = {}): Promise<Result<Pdu>> {
    const { origin } = joined;
    const { cancel } = options;
    if (!this.#opened) await this.open(cancel);
    const imported = await admit(this.#context(), [...joined.authChain, ...joined.state], {
      origin,
      mode: "import",
      cancel,
    });
    const unknown = unverifiableOf(imported);
    if (unknown !== undefined) return unknown;
    const [join] = await admit(this.#context(), [joined.event], { origin, mode: "live", cancel });
    if (join?.kind === "known")
      return { ok: true, value: (await this.load([join.eventId], cancel))[0]?.event ?? neverPdu() };
    if (join?.kind !== "candidate") {
      return {
        ok: false,
        error: (join && refusalOf(join.verdict)) ?? refuse("bad_format", "the join is no event").error,
      };
    }
    const ids = imported.slice(joined.authChain.length).flatMap((one) => idOf(one) ?? []);
    const candidates: Candidate[] = imported.flatMap((one) => (one.kind === "candidate" ? [one.candidate] : []));
    const candidate: Candidate = { ...join.candidate, givenState: ids };
    const { serversInRoom } = joined;
    const told = { ...options, serversInRoom };
    return this.#deciding(() => this.#importJoin(candidates, candidate, told), cancel);
  }

  async #importJoin(
    state: readonly Candidate[],
    join: Candidate,
    options: EmitOptions & { readonly serversInRoom: readonly string[] | undefined },
  ): Promise<Result<Pdu>> {
    const { cancel, serversInRoom: servers } = options;
    const { eventId } = join.event;
    for (let attempt = 0; attempt < this.#host.limits.commitAttempts; attempt++) {
      await this.#open(cancel);
      const ws = new Workspace(this.#memory);
      if (servers !== undefined && this.isResident) {
        return refuse("undecided", "another user of this server has joined meanwhile: join again");
      }
      // Who was in the room no more has only an old end of it, which the others have passed.
      if (!this.isResident) ws.setExtremities(new Map());
      const { record } = this.#memory;
      const left = this.isResident ? undefined : ws.partial;
      const old = left === undefined ? [] : await this.#judgedIn(left, cancel);
      if (left !== undefined) ws.partial = undefined;
      if (left !== undefined) await this.#demote(ws, old, cancel);
      const position = (record?.lastPosition ?? 0) + 1;
      if (servers !== undefined) ws.partial = { eventId, position, revision: (record?.revision ?? 0) + 1, servers };
      const work = [...state, join];
      await this.#supplyAll(ws, work, cancel);
      const settling = new Settling(ws, work, this.#host.clock.now());
      settling.complete();
      const steps = await this.#run(ws, settling, cancel);
      const verdict = settling.verdicts.get(eventId);
      const refusal = verdict === undefined ? undefined : refusalOf(verdict);
      if (refusal !== undefined) return { ok: false, error: refusal };
      if (await this.#commit(ws, steps, cancel, options)) return { ok: true, value: join.event };
    }
    return refuse("undecided", `other writers won every race for ${this.roomId}`);
  }

  // ---- completing a partial state -------------------------------------------------------------------------

  /**
   * Asks a server for the whole state before the join of a room whose state is partial. In one commit it takes the
   * place of the part, and every event since is judged again, in order. Nothing changes when it does not let the join
   * in, or contradicts the part that is here; a room that is complete stays as it is.
   */
  async completeFrom(server: string, options: EmitOptions = {}): Promise<Result<undefined>> {
    const { cancel } = options;
    const { transport, limits } = this.#host;
    await this.open(cancel);
    const partial = this.#memory.record?.partial;
    if (partial === undefined) return { ok: true, value: undefined };
    const { eventId } = partial;
    const answer = await transport.request(server, "state", { roomId: this.roomId, eventId }, cancel);
    if (!answer.ok) return refuse("unreachable", `${server} (${answer.error.code}): ${answer.error.reason}`);
    const [state, authChain] = [listOf(answer.value.state), listOf(answer.value.authChain)];
    if (state.length + authChain.length > limits.joinEvents) {
      return refuse("too_large", `${server} answered with ${state.length + authChain.length} events`);
    }
    const admissions = await admit(this.#context(), [...authChain, ...state], {
      origin: server,
      mode: "import",
      cancel,
    });
    const unknown = unverifiableOf(admissions);
    if (unknown !== undefined) return unknown;
    const given = admissions.slice(authChain.length).flatMap((one) => idOf(one) ?? []);
    const candidates = admissions.flatMap((one) => (one.kind === "candidate" ? [one.candidate] : []));
    const complete = (): Promise<Result<undefined>> =>
      this.#deciding(() => this.#complete(eventId, given, candidates, { ...options, server }), cancel);
    const completed = await this.#remembering(complete, cancel);
    if (completed.ok) await this.#settle([], cancel);
    return completed;
  }

  async #complete(
    eventId: string,
    given: readonly string[],
    state: readonly Candidate[],
    options: EmitOptions & { readonly server: string },
  ): Promise<Result<undefined>> {
    const { cancel, server } = options;
    for (let attempt = 0; attempt < this.#host.limits.commitAttempts; attempt++) {
      await this.#open(cancel);
      const partial = this.#memory.record?.partial;
      if (partial?.eventId !== eventId) return { ok: true, value: undefined };
      const judged = await this.#judgedIn(partial, cancel);
      const ws = new Workspace(this.#memory);
      ws.partial = undefined;
      ws.setExtremities(new Map());
      await this.#takeBackRedactions(ws, judged, cancel);
      const again = judged.map((held) => againOf(held, held.event.eventId === eventId ? given : undefined));
      const work = [...state, ...again];
      await this.#supplyAll(ws, work, cancel);
      const settling = new Settling(ws, work, this.#host.clock.now());
      await this.#drain(ws, settling, cancel);
      requireAsked(ws);
      const verdict = settling.verdicts.get(eventId);
      const refusal = verdict === undefined ? undefined : refusalOf(verdict);
      if (refusal !== undefined) return { ok: false, error: refusal };
      const contradicted = contradiction(ws, judged, eventId);
      if (contradicted !== undefined) {
        return refuse("bad_format", `${server} gives another ${contradicted} than the room was joined with`);
      }
      if (await this.#commitCompletion(ws, judged, eventId, options)) {
        this.#freed.push(...settling.leftover);
        if (settling.outdated) this.#forget();
        return { ok: true, value: undefined };
      }
    }
    return refuse("undecided", `other writers won every race for ${this.roomId}`);
  }

  async #commitCompletion(
    ws: Workspace,
    judged: readonly Held[],
    eventId: string,
    options: EmitOptions,
  ): Promise<boolean> {
    const { cancel } = options;
    const current: Snapshot = await this.#need(ws, () => ws.current(), cancel);
    const join = judged.find(({ event }) => event.eventId === eventId);
    const steps = join === undefined ? [] : [completion(join.event, this.#memory.current, current)];
    const unheard = this.#unheard(new StateView(ws.index, current), judged, eventId);
    const additions = { ...options.additions, outbox: [...(options.additions?.outbox ?? []), ...unheard] };
    return this.#commit(ws, steps, cancel, { ...options, additions });
  }

  /** What was decided by a partial state, in the order in which it came: accepted or not. */
  async #judgedIn({ position, revision }: PartialState, cancel: Cancel | undefined): Promise<readonly Held[]> {
    const changes = await this.#host.storage.changesSince(this.roomId, revision - 1, cancel);
    const since = (changes?.events ?? []).filter((row) => row.position !== undefined && row.position >= position);
    const judged = await this.load(
      since.map(({ eventId }) => eventId),
      cancel,
    );
    return [...judged].sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
  }

  /** Redactions are judged again as well: until then they do nothing. */
  async #takeBackRedactions(ws: Workspace, judged: readonly Held[], cancel: Cancel | undefined): Promise<void> {
    const redactions = judged.filter(({ event }) => event.type === "m.room.redaction");
    const ids = new Set(redactions.map(({ event }) => event.eventId as string));
    for (const target of await this.load(
      [...new Set(redactions.flatMap(({ event }) => event.redacts ?? []))],
      cancel,
    )) {
      if (ids.has(target.redactedBy ?? "")) ws.record({ ...target, redactedBy: undefined });
    }
  }

  /** Servers that turn out to be in the room, where own events were sent without them: they fetch what they missed. */
  #unheard(
    state: StateView,
    judged: readonly Held[],
    eventId: string,
  ): readonly { readonly destination: string; readonly roomId: string }[] {
    const { server } = this.#host;
    const sent = judged.some(({ event }) => event.eventId !== eventId && domainOf(event.sender) === server);
    if (!sent) return [];
    const joined = new Set(state.members("join").flatMap(({ userId }) => domainOf(userId) ?? []));
    const unheard = [...joined].filter((name) => name !== server && !this.isServerJoined(name));
    return unheard.sort(compareCodePoints).map((destination) => ({ destination, roomId: this.roomId }));
  }

  /**
   * A room that was left before its state was whole is joined anew: what was judged then becomes history whose state
   * is not known.
   */
  async #demote(ws: Workspace, judged: readonly Held[], cancel: Cancel | undefined): Promise<void> {
    await this.#takeBackRedactions(ws, judged, cancel);
    const work = judged.map((held): Candidate => ({ ...againOf(held, undefined), mode: "history" }));
    for (const held of judged) ws.record({ ...held, before: undefined, after: undefined });
    await this.#supplyAll(ws, work, cancel);
    await this.#drain(ws, new Settling(ws, work, this.#host.clock.now()), cancel);
  }

  /**
   * Many ends make every state dear. Above the limit a local user ties them together with an event that says
   * nothing, if one may; if none may, they stay until somebody else does.
   */
  async #mergeIfNeeded(cancel: Cancel | undefined): Promise<void> {
    const { limits } = this.#host;
    while (this.control.forwardExtremities.length > limits.mergeAbove) {
      const before = this.control.forwardExtremities.length;
      if (!(await this.#merge(cancel)) || this.control.forwardExtremities.length >= before) return;
    }
  }

  async #merge(cancel: Cancel | undefined): Promise<boolean> {
    for (const sender of [...this.localUsers].sort(compareCodePoints).slice(0, 10)) {
      // Not in turn: who sends may wait for this.
      const made = await this.#send([{ type: MERGE_EVENT, sender, content: {} }], { cancel });
      if (made.ok) return true;
      // Nobody else's would be recommended either, and each would be waited for.
      if (made.error.code === "not_recommended" || made.error.code === "unreachable") return false;
    }
    return false;
  }
}

/**
 * A state that lacks what cannot be verified now would be another than that of the servers that could verify it, and
 * would stay so: a room is not begun with less than all of it. What is wrong for certain is left out, as everywhere.
 */
function unverifiableOf(imported: readonly Admission[]): ReturnType<typeof refuse> | undefined {
  const refusals = imported.flatMap((one) =>
    one.kind === "refused" && one.verdict.verdict === "unverifiable" ? [one.verdict.refusal] : [],
  );
  const [first] = refusals;
  if (first === undefined) return undefined;
  const reason = `${refusals.length} events of the state cannot be verified now: ${first.reason}`;
  return refuse("undecided", reason, { events: refusals.flatMap(({ events }) => events).slice(0, 20) });
}

/** The type under which Synapse sends events that only tie ends together; clients leave it alone. */
export const MERGE_EVENT = "org.matrix.dummy_event";

/** A call was cancelled before it changed anything. */
export class CancelledError extends Error {
  override readonly name = "CancelledError";
  constructor() {
    super("cancelled before anything was changed");
  }
}

/** What a decision rests on is in storage no more, and no server that was asked has it. Nothing was changed. */
export class ForgottenError extends UsageError {
  readonly eventIds: readonly string[];
  constructor(roomId: string, eventIds: readonly string[]) {
    super(`storage has lost ${eventIds.join(", ")} of ${roomId}`);
    this.eventIds = eventIds;
  }
}

/** The states around an event. */
export interface StatesAt {
  readonly before: StateView;
  readonly after: StateView;
  /** Whether memberships are missing from both: the room was joined with a partial state, and is not complete. */
  readonly partial: boolean;
}

function isProvisional(partial: PartialState | undefined, { position }: Held): boolean {
  return partial !== undefined && position !== undefined && position >= partial.position;
}

/** An event that was decided by a partial state, to be decided again. */
function againOf(held: Held, givenState: readonly string[] | undefined): Candidate {
  const { event, hashMismatch, verdict } = held;
  const policy = verdict.standing === "accepted" ? undefined : "unasked";
  const given = givenState === undefined ? {} : { givenState };
  return { event, hashMismatch, origin: domainOf(event.sender) ?? "", mode: "live", policy, again: held, ...given };
}

/**
 * What a whole state says otherwise than the part that the room was joined with: it adds memberships, and nothing else.
 * The type of the first such event.
 */
function contradiction(ws: Workspace, judged: readonly Held[], joinId: string): string | undefined {
  const part = judged.find(({ event }) => event.eventId === joinId)?.before;
  const whole = ws.held(joinId)?.before;
  if (part === undefined || whole === undefined) return undefined;
  let found: string | undefined;
  new StateView(ws.index, part).differences(new StateView(ws.index, whole), (type, _, here) => {
    if (here !== undefined || type !== "m.room.member") found ??= type;
  });
  return found;
}

/** The whole state made known: no event changed it. */
function completion(event: Pdu, before: Snapshot, after: Snapshot): Step {
  const none = new Map<string, Snapshot>();
  return {
    event,
    late: false,
    completion: true,
    before,
    after,
    extremitiesBefore: none,
    extremities: none,
    parents: [],
  };
}

/** Some of what was decided rests on what the room's policy server has not been asked yet. Nothing was changed. */
class UnaskedError extends Error {
  override readonly name = "UnaskedError";
  readonly unasked: readonly Unasked[];
  /** Events of this server that were made and not sent. */
  readonly made: readonly Pdu[];
  constructor(unasked: readonly Unasked[], made: readonly Pdu[]) {
    super("the room's policy server has to be asked first");
    this.unasked = unasked;
    this.made = made;
  }
}

function requireAsked(ws: Workspace, made: readonly Pdu[] = []): void {
  if (ws.unasked.size > 0) throw new UnaskedError([...ws.unasked.values()], made);
}

/** Verdicts after which an event has its place in the room's history. */
const sifted: ReadonlySet<Verdict["verdict"]> = new Set([
  "accepted",
  "soft-failed",
  "policy-refused",
  "not-recommended",
] as const);

function receiptOf(
  admission: Admission,
  verdicts: ReadonlyMap<string, Verdict>,
  settling: Settling | undefined,
): Receipt {
  if (admission.kind === "known") return { verdict: admission.verdict, duplicate: true };
  if (admission.kind === "refused") return { verdict: admission.verdict, duplicate: false };
  const { eventId } = admission.candidate.event;
  const verdict = verdicts.get(eventId) ?? { verdict: "pending", eventId, waitsFor: [] };
  return { verdict, duplicate: settling?.duplicates.has(eventId) ?? false };
}

/** Whether an event became part of the timeline after a record of the room. */
function isNew(
  old: RoomRecord | undefined,
  { verdict, position }: { readonly verdict: StoredVerdict; readonly position?: number | undefined },
): boolean {
  if (position === undefined || verdict.standing !== "accepted") return false;
  return old === undefined || position > old.lastPosition || position < old.firstPosition;
}

/** The server of a user who was invited or knocked, and is told no by this event. */
function endedOutside({ type, stateKey, content }: Pdu, before: StateView): string | undefined {
  if (type !== "m.room.member" || stateKey === undefined) return undefined;
  const now = content["membership"];
  if (now !== "leave" && now !== "ban") return undefined;
  const was = before.membership(stateKey);
  return was === "invite" || was === "knock" ? domainOf(stateKey) : undefined;
}

function isPdu(event: Pdu | LocalEvent): event is Pdu {
  return "eventId" in event;
}

/** Why an event is not part of the room for those who ask now; `undefined` when it is. */
export function refusalOf(verdict: Verdict): Refusal | undefined {
  if (verdict.verdict === "accepted") return undefined;
  if (verdict.verdict !== "pending") return verdict.refusal;
  const events = [verdict.eventId, ...verdict.waitsFor];
  return { code: "undecided", reason: "what it rests on is not here", events };
}

function idOf(admission: Admission): string | undefined {
  if (admission.kind === "candidate") return admission.candidate.event.eventId;
  return admission.kind === "known" ? admission.eventId : undefined;
}

function neverPdu(): never {
  throw new UsageError("storage lost an event that it had");
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
