/**
 * Getting what an event rests on from other servers (spec server-server-api, "Retrieving event authorization
 * information", "Backfilling and retrieving missing events"): the events between it and what is known; where
 * that gap is too long or lies before this server's time, the state before it; where neither can be had,
 * nothing, and the event waits.
 */
import { domainOf } from "../ids/grammar.js";
import { createEventIdOf } from "../event/pdu.js";
import { isArray } from "../json/value.js";
import type { JsonValue } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { Observer } from "../ports/observer.js";
import type { OperationName, OperationRequest, OperationResult } from "../ports/operations.js";
import type { Transport } from "../ports/transport.js";
import { admit } from "./admit.js";
import type { AdmitContext } from "./admit.js";
import { heldCandidate } from "./decide.js";
import type { Candidate, Mode } from "./decide.js";
import { completes } from "./held.js";
import type { RoomMemory } from "./memory.js";

/** For looking at what is here. */
export interface LookContext extends AdmitContext {
  /** Servers that may have what is missing, the likeliest first. */
  readonly servers: readonly string[];
  readonly cancel?: Cancel | undefined;
}

export interface FetchContext extends LookContext {
  readonly transport: Transport;
  readonly observer: Observer;
  /** They are not in the room: they are asked for little, and never what its state is. */
  readonly outsider?: boolean;
  readonly cancel: Cancel;
}

interface Missing {
  /** Unknown previous events, with the candidates that cite them. */
  readonly previous: ReadonlyMap<string, readonly string[]>;
  /** Unknown auth events. */
  readonly authority: readonly string[];
}

/** Events of one `event` round: more are asked for in the next. */
const SINGLE_EVENTS = 20;

/** Whether the candidates cite what neither storage nor another of them has. Adds to `work` what was waiting here. */
export async function isLacking(context: LookContext, work: Map<string, Candidate>): Promise<boolean> {
  const { previous, authority } = await missingOf(context, work);
  return previous.size > 0 || authority.length > 0;
}

/** Whether memory has all that the candidates cite: so it is with most messages that come alone. */
export function isAtHand(memory: RoomMemory, work: ReadonlyMap<string, Candidate>): boolean {
  const implied = memory.version.rules.auth.createEvent === "implied";
  for (const { event, mode, givenState } of work.values()) {
    if (mode !== "live" || givenState !== undefined) return false;
    if (implied && event.type !== "m.room.create" && !memory.judges(createEventIdOf(event.roomId))) return false;
    if (!event.authEvents.every((id) => memory.judges(id))) return false;
    if (event.prevEvents.some((id) => work.has(id) || memory.held(id)?.after === undefined)) return false;
  }
  return true;
}

/** Fetches for the candidates until nothing is missing or nothing more can be had. Adds to `work`. */
export async function fetchMissing(context: FetchContext, work: Map<string, Candidate>): Promise<void> {
  const fetcher = new Fetcher(context, work);
  await fetcher.run();
}

/**
 * Fetches events that storage had and has no more, with whatever they rest on that is gone as well. They are taken
 * as part of a state or an auth chain: their place in history was settled once.
 */
export async function fetchForgotten(
  context: FetchContext,
  eventIds: readonly string[],
): Promise<ReadonlyMap<string, Candidate>> {
  const work = new Map<string, Candidate>();
  await new Fetcher(context, work).fetchAgain(eventIds);
  return work;
}

interface Cited {
  readonly asPrevious: string[];
  asAuthority: boolean;
}

/** What the candidates cite and neither storage nor another candidate has. */
async function missingOf(context: LookContext, work: Map<string, Candidate>): Promise<Missing> {
  const { memory, storage, servers, cancel } = context;
  for (;;) {
    const cited = citedBy(context, work);
    if (promote(work, cited)) continue;
    const unknown = [...cited].flatMap(([id, { asPrevious }]) =>
      work.has(id) || (asPrevious.length === 0 && memory.judges(id)) ? [] : [id],
    );
    const held = new Map(
      (await memory.load(storage, unknown, cancel)).map((one) => [one.event.eventId as string, one]),
    );
    const previous = new Map<string, readonly string[]>();
    const authority: string[] = [];
    let revived = false;
    for (const id of unknown) {
      const { asPrevious, asAuthority } = cited.get(id) ?? { asPrevious: [], asAuthority: false };
      const found = held.get(id);
      const row = found === undefined ? memory.pending.get(id) : undefined;
      if (row !== undefined) {
        const { hashMismatch, origin } = row;
        work.set(id, heldCandidate({ event: memory.pduOf(row), hashMismatch }, origin, "live"));
        revived = true;
      } else if (found === undefined && asAuthority) authority.push(id);
      if (asPrevious.length > 0 && row === undefined && found?.after === undefined) {
        if (found !== undefined) {
          work.set(id, heldCandidate(found, servers[0] ?? "", "live"));
          revived = true;
        } else previous.set(id, asPrevious);
      }
    }
    // An event that was waiting, or known by authority alone, brings in what it cites itself.
    if (!revived) return { previous, authority };
  }
}

/** What came as an auth event and is a previous event as well needs a place in history like any other. */
function promote(
  work: Map<string, Candidate>,
  cited: ReadonlyMap<string, { readonly asPrevious: readonly string[] }>,
): boolean {
  let promoted = false;
  for (const [id, { asPrevious }] of cited) {
    const candidate = asPrevious.length > 0 ? work.get(id) : undefined;
    if (candidate?.mode !== "import") continue;
    work.set(id, { ...candidate, mode: "live", policy: "unasked" });
    promoted = true;
  }
  return promoted;
}

function citedBy({ memory }: LookContext, work: ReadonlyMap<string, Candidate>): ReadonlyMap<string, Cited> {
  const cited = new Map<string, Cited>();
  const entry = (id: string): Cited => {
    let found = cited.get(id);
    if (found === undefined) cited.set(id, (found = { asPrevious: [], asAuthority: false }));
    return found;
  };
  const implied = memory.version.rules.auth.createEvent === "implied";
  for (const { event, mode, givenState } of work.values()) {
    for (const id of event.authEvents) entry(id).asAuthority = true;
    if (implied && event.type !== "m.room.create") entry(createEventIdOf(event.roomId)).asAuthority = true;
    if (mode !== "live" || givenState !== undefined) continue;
    for (const id of event.prevEvents) entry(id).asPrevious.push(event.eventId);
  }
  return cited;
}

class Fetcher {
  readonly #context: FetchContext;
  readonly #work: Map<string, Candidate>;
  #budget: number;

  constructor(context: FetchContext, work: Map<string, Candidate>) {
    this.#context = context;
    this.#work = work;
    const { fetchEvents, fetchTotal } = context.memory.limits;
    this.#budget = context.outsider === true ? fetchEvents : fetchTotal;
  }

  async run(): Promise<void> {
    const { limits } = this.#context.memory;
    for (let round = 0; round < limits.fetchRounds; round++) {
      const missing = await this.#missing();
      if (missing.previous.size === 0 && missing.authority.length === 0) return;
      if (this.#context.cancel.aborted) return;
      if (this.#budget <= 0) break;
      if (!(await this.#round(missing)) && !(await this.#giveStates(missing, false))) return;
    }
    await this.#giveStates(await this.#missing(), true);
  }

  async fetchAgain(eventIds: readonly string[]): Promise<void> {
    const { servers, memory, cancel } = this.#context;
    for (const server of servers.slice(0, memory.limits.fetchServers)) {
      for (let at = 0; at < eventIds.length && this.#budget > 0 && !cancel.aborted; at += SINGLE_EVENTS) {
        await this.#fetchSingly(server, eventIds.slice(at, at + SINGLE_EVENTS), "import");
      }
      if (eventIds.every((id) => this.#work.has(id))) break;
    }
    if (this.#work.size > 0) await this.run();
  }

  #missing(): Promise<Missing> {
    return missingOf(this.#context, this.#work);
  }

  /** One attempt at each server in turn, until one of them helps. */
  async #round(missing: Missing): Promise<boolean> {
    const { servers, memory } = this.#context;
    for (const server of servers.slice(0, memory.limits.fetchServers)) {
      const before = this.#work.size;
      if (missing.previous.size > 0) await this.#walk(server, missing.previous);
      if (this.#work.size === before) {
        await this.#fetchSingly(server, [...missing.previous.keys()], "live");
      }
      await this.#fetchSingly(server, missing.authority, "import");
      if (this.#work.size > before) return true;
    }
    return false;
  }

  async #walk(server: string, previous: ReadonlyMap<string, readonly string[]>): Promise<void> {
    const { memory } = this.#context;
    const latest = [...new Set([...previous.values()].flat())].slice(0, SINGLE_EVENTS);
    const answer = await this.#ask(server, "get_missing_events", {
      roomId: memory.roomId,
      earliest: [...memory.extremities.keys()].slice(0, SINGLE_EVENTS),
      latest,
      limit: Math.min(memory.limits.fetchEvents, this.#budget),
      minDepth: memory.record?.liveDepth ?? 0,
    });
    if (answer.ok) await this.#admit(listOf(answer.value.events), server, "live");
  }

  async #fetchSingly(server: string, ids: readonly string[], mode: Mode): Promise<void> {
    const { roomId } = this.#context.memory;
    const wanted = ids.filter((id) => !this.#work.has(id)).slice(0, SINGLE_EVENTS);
    const answers = await Promise.all(wanted.map((eventId) => this.#ask(server, "event", { roomId, eventId })));
    const events = answers.flatMap((answer) => (answer.ok ? [answer.value.event] : []));
    await this.#admit(events, server, mode);
  }

  /**
   * Candidates whose ancestors cannot be had are given the state before them by another server. Only where
   * there is a reason for a gap: it lies before this server came, or is longer than what is fetched.
   * An ancestor that somebody withholds is no such reason.
   */
  async #giveStates(missing: Missing, exhausted: boolean): Promise<boolean> {
    if (this.#context.outsider === true) return false;
    const stuck = new Set([...missing.previous.values()].flat());
    const liveDepth = this.#context.memory.record?.liveDepth ?? 0;
    let given = false;
    for (const id of [...stuck].slice(0, SINGLE_EVENTS)) {
      const candidate = this.#work.get(id);
      if (candidate === undefined || (!exhausted && candidate.event.depth >= liveDepth)) continue;
      if (await this.#giveState(candidate)) given = true;
    }
    return given;
  }

  /**
   * Who wrote an event should not say alone what it came after: else it gives a server that has just joined a place in
   * the graph that nobody else can ever find. Its own server is asked only where no other one answers at all; if others
   * do not have the event yet they will, and it is asked for again with what cites it.
   */
  async #giveState(candidate: Candidate): Promise<boolean> {
    const { servers, memory, observer } = this.#context;
    const author = domainOf(candidate.event.sender);
    const ordered = [
      ...servers.filter((server) => server !== author),
      ...servers.filter((server) => server === author),
    ];
    const { eventId } = candidate.event;
    let answered = false;
    for (const server of ordered.slice(0, memory.limits.fetchServers)) {
      if (server === author && answered) continue;
      const answer = await this.#ask(server, "state_ids", { roomId: memory.roomId, eventId });
      if (!answer.ok) {
        answered ||= answer.error.code === "not_found" || answer.error.code === "forbidden";
        continue;
      }
      const stateIds = stringsOf(answer.value.stateIds);
      if (stateIds.length === 0 || stateIds.length > memory.limits.joinEvents) continue;
      if (!(await this.#fetchState(server, eventId, stateIds))) continue;
      this.#work.set(eventId, { ...candidate, givenState: stateIds });
      observer.onMetric?.({ name: "room.gap", value: 1, roomId: memory.roomId, server });
      return true;
    }
    return false;
  }

  async #fetchState(server: string, eventId: string, stateIds: readonly string[]): Promise<boolean> {
    const { memory, storage, cancel } = this.#context;
    const known = new Set((await memory.load(storage, stateIds, cancel)).map(({ event }) => event.eventId as string));
    const lacking = stateIds.filter((id) => !known.has(id) && !this.#work.has(id));
    if (lacking.length <= SINGLE_EVENTS) {
      await this.#fetchSingly(server, lacking, "import");
      return lacking.every((id) => this.#work.has(id));
    }
    const answer = await this.#ask(server, "state", { roomId: memory.roomId, eventId });
    if (!answer.ok) return false;
    const events = [...listOf(answer.value.authChain), ...listOf(answer.value.state)];
    if (events.length > memory.limits.joinEvents) return false;
    await this.#admit(events, server, "import");
    return lacking.every((id) => this.#work.has(id));
  }

  async #admit(values: readonly JsonValue[], server: string, mode: Mode): Promise<void> {
    if (values.length === 0) return;
    this.#budget -= values.length;
    const { cancel } = this.#context;
    for (const admission of await admit(this.#context, values, { origin: server, mode, cancel })) {
      if (admission.kind !== "candidate") continue;
      const { eventId } = admission.event;
      const known = this.#work.get(eventId);
      if (known === undefined || (known.mode === "import" && mode === "live")) this.#work.set(eventId, admission);
      else if (completes(this.#context.memory.version.rules, known, admission.event)) {
        const policy = known.mode === "live" ? "unasked" : known.policy;
        this.#work.set(eventId, { ...known, event: admission.event, hashMismatch: false, policy });
      }
    }
  }

  #ask<N extends OperationName>(server: string, name: N, request: OperationRequest<N>): Promise<OperationResult<N>> {
    const { observer, transport, cancel } = this.#context;
    observer.onMetric?.({ name: "fetch.requests", value: 1, roomId: this.#context.memory.roomId, server });
    return transport.request(server, name, request, cancel);
  }
}

/** Answers come from the network: a list is what says that it is one. */
export function listOf(value: unknown): readonly JsonValue[] {
  return isArray(value as JsonValue) ? (value as readonly JsonValue[]) : [];
}

export function stringsOf(value: unknown): readonly string[] {
  return listOf(value).filter((entry): entry is string => typeof entry === "string");
}
