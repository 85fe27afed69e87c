/**
 * Works off a list of events in a workspace: decides each in causal order, and then whatever its decision
 * sets free: events that waited for it, history that can be judged by state now, redactions that find
 * their target.
 */
import { checkRedactionEffect } from "../auth/redaction.js";
import { encodeCanonical } from "../json/canonical.js";
import { utf8Length } from "../json/utf8.js";
import type { PendingEvent } from "../ports/storage.js";
import type { Verdict } from "../ports/verdict.js";
import {
  decide,
  extremitiesAfter,
  heldCandidate,
  isSettled,
  isUnstored,
  isWaits,
  mayRedecide,
  passedBy,
} from "./decide.js";
import type { Candidate, Decision } from "./decide.js";
import { completes, isAllowed, verdictOf } from "./held.js";
import type { Held } from "./held.js";
import type { Step } from "./cause.js";
import type { Snapshot } from "./snapshot.js";
import { isLack, isUnresolvable, lacking } from "./workspace.js";
import type { Lack, Workspace } from "./workspace.js";

type Work =
  | Candidate
  /** A stored event whose ancestors are known now. */
  | { readonly kind: "history"; readonly eventId: string }
  /** An undecided event of which something arrived. */
  | { readonly kind: "pending"; readonly row: PendingEvent }
  | { readonly kind: "redaction"; readonly redaction: string; readonly target: string };

export class Settling {
  readonly #ws: Workspace;
  readonly #now: number;
  readonly #queue: Work[];
  #at = 0;
  #freed = 0;
  /** On what was not recorded. */
  readonly #verdicts = new Map<string, Verdict>();
  readonly #duplicates = new Set<string>();
  readonly #live: string[] = [];
  readonly #late = new Set<string>();
  readonly #leftover: string[] = [];
  #evicted = 0;
  #watched = false;
  #completing = false;
  #outdated = false;
  /** History that got a place in this settling, oldest first. */
  readonly #placed: string[] = [];
  readonly #steps: Step[] = [];

  /** @param ordered each after what it cites among them */
  constructor(ws: Workspace, ordered: readonly Candidate[], now: number, freed: readonly string[] = []) {
    this.#ws = ws;
    this.#now = now;
    this.#queue = [...ordered];
    for (const id of freed) this.#free(id);
    this.#expire();
  }

  /** The verdict on an event that was worked on. */
  readonly verdict = (eventId: string): Verdict | undefined => {
    const held = this.#ws.decided.get(eventId);
    return this.#verdicts.get(eventId) ?? (held && verdictOf(eventId, held.verdict, held.hashMismatch));
  };

  /** Those that were decided before. */
  get duplicates(): ReadonlySet<string> {
    return this.#duplicates;
  }

  /** Ids accepted as news, in the order of decision, and which of them had been waiting. */
  get live(): readonly string[] {
    return this.#live;
  }

  get late(): ReadonlySet<string> {
    return this.#late;
  }

  /** Ids whose dependents did not fit in this commit. */
  get leftover(): readonly string[] {
    return this.#leftover;
  }

  get evicted(): number {
    return this.#evicted;
  }

  /** Whether a state event took the place of its redacted copy: the index in memory still has that. */
  get outdated(): boolean {
    return this.#outdated;
  }

  /** Notes every step of the current state: costs a resolution for each event that leaves several ends. */
  watch(watched: boolean): void {
    this.#watched = watched;
  }

  /** The state that comes of this is the room's whole state made known, not a change by somebody. */
  complete(): void {
    this.#completing = true;
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  /**
   * Goes on until all is decided (`undefined`), something is lacking, or `most` were decided: call again once that was
   * supplied, or others had their turn.
   */
  run(most: number): Lack | "more" | undefined {
    for (let done = 0; this.#at < this.#queue.length; this.#at++, done++) {
      if (done === most) return "more";
      const work = this.#queue[this.#at];
      if (work === undefined) return undefined;
      const lack = this.#do(work);
      if (lack !== undefined) return lack;
    }
    this.#orderHistory();
    return undefined;
  }

  /** History goes before everything that has a place; among itself it is in the order in which it was decided. */
  #orderHistory(): void {
    const placed = this.#placed.flatMap((id) => this.#ws.held(id) ?? []);
    const positions = placed.flatMap(({ position = 0 }) => position).sort((a, b) => a - b);
    placed.forEach((held, at) => {
      const position = positions[at];
      if (position !== held.position) this.#ws.record({ ...held, position });
    });
    this.#placed.length = 0;
  }

  /** The next place before all others, until {@link #orderHistory} hands the places out. */
  #place(id: string, where: "last" | "first" = "last"): number {
    if (where === "last") this.#placed.push(id);
    else this.#placed.unshift(id);
    return this.#ws.nextPosition(false);
  }

  #do(work: Work): Lack | undefined {
    switch (work.kind) {
      case "candidate":
        return this.#decide(work);
      case "history":
        return this.#reconsider(work.eventId);
      case "pending":
        return this.#decidePending(work.row);
      case "redaction":
        return this.#redact(work.redaction, work.target);
    }
  }

  #decide(candidate: Candidate, late: boolean = false): Lack | undefined {
    const ws = this.#ws;
    const { event, mode } = candidate;
    const id = event.eventId;
    const held = ws.held(id);
    if (held === undefined && !isUnstored(ws, candidate) && !ws.absent.has(id)) return lacking([id]);
    const anew = candidate.givenState !== undefined || candidate.again !== undefined;
    if (held !== undefined && !mayRedecide(held, mode) && !anew) {
      this.#duplicate(held, candidate);
      return undefined;
    }
    // The copy that was accepted first judges; a full copy takes the place of a redacted one.
    const copy = held === undefined || completes(ws.rules, held, event) ? candidate : asHeld(candidate, held);
    const signed = ws.withRecommendation(copy.event);
    const judged = signed === copy.event ? copy : { ...copy, event: signed };
    const outcome = decide(ws, judged);
    if (isLack(outcome)) return outcome;
    if (isWaits(outcome)) {
      // It was decided once: what it rests on was here, and storage has forgotten it.
      if (candidate.again !== undefined && outcome.waitsFor.every((cited) => ws.absent.has(cited))) {
        return lacking(outcome.waitsFor);
      }
      if (held === undefined) this.#wait(candidate, outcome.waitsFor);
      else this.#verdicts.set(id, verdictOf(id, held.verdict, held.hashMismatch));
      return undefined;
    }
    return this.#record(judged, outcome, held, late);
  }

  #duplicate(held: Held, { event }: Candidate): void {
    const id = event.eventId;
    const full = completes(this.#ws.rules, held, event);
    this.#duplicates.add(id);
    this.#verdicts.set(id, verdictOf(id, held.verdict, held.hashMismatch && !full));
    if (!full) return;
    this.#ws.record({ ...held, event, hashMismatch: false });
    this.#noteCopy(held, { event, hashMismatch: false });
  }

  #noteCopy(held: Held | undefined, { event, hashMismatch }: Pick<Candidate, "event" | "hashMismatch">): void {
    if (held?.hashMismatch === true && !hashMismatch && event.stateKey !== undefined) this.#outdated = true;
  }

  #record(candidate: Candidate, decision: Decision, held: Held | undefined, late: boolean): Lack | undefined {
    const ws = this.#ws;
    const { event, hashMismatch, mode } = candidate;
    const id = event.eventId;
    const live = mode === "live";
    const { verdict, before, after } = decision;
    const accepted = live && verdict.standing === "accepted" && after !== undefined;
    const passing = accepted ? passedBy(ws, event) : undefined;
    if (passing !== undefined && isLack(passing)) return passing;
    const step = accepted ? this.#step(candidate, before, after, late) : undefined;
    if (step !== undefined && isLack(step)) return step;
    this.#noteCopy(held, candidate);
    const position = this.#positionOf(candidate, held, accepted);
    const decided: Held = { event, hashMismatch, verdict, position, before, after, redactedBy: held?.redactedBy };
    ws.record(decided);
    this.#verdicts.delete(id);
    if (passing !== undefined) {
      ws.advance(passing.passed, id, passing.isEnd ? after : undefined);
      for (const gap of passing.passedGaps) ws.addWaiting("history", gap, id, true);
      ws.noteLiveDepth(event.depth);
      this.#live.push(id);
      if (late) this.#late.add(id);
    }
    if (step !== undefined) this.#steps.push(step);
    if (mode !== "import") this.#noteGaps(candidate, verdict.standing === "accepted");
    this.#queueRedactions(decided);
    this.#free(id);
    return undefined;
  }

  #positionOf({ event, mode, again }: Candidate, held: Held | undefined, accepted: boolean): number | undefined {
    // Who reads by position has passed the place of an event that was not accepted at first.
    const regained = accepted && again !== undefined && again.verdict.standing !== "accepted";
    if (held?.position !== undefined && !regained) return held.position;
    if (mode === "import") return undefined;
    return mode === "live" ? this.#ws.nextPosition(true) : this.#place(event.eventId);
  }

  #step({ event }: Candidate, before: Snapshot | undefined, after: Snapshot, late: boolean): Step | Lack | undefined {
    if (!this.#watched || before === undefined) return undefined;
    const ws = this.#ws;
    const moved = extremitiesAfter(ws, event, after);
    if (isLack(moved)) return moved;
    const { extremities } = moved;
    const old = ws.current();
    const now = ws.resolve([...extremities.values()]);
    if (isLack(old)) return old;
    if (isLack(now)) return now;
    if (isUnresolvable(old) || isUnresolvable(now)) return undefined;
    const parents = event.prevEvents.flatMap((id) => ws.held(id)?.after ?? []);
    const extremitiesBefore = new Map(ws.extremities);
    return {
      event,
      late,
      completion: this.#completing,
      before: old,
      after: now,
      extremitiesBefore,
      extremities,
      parents,
    };
  }

  /** Parents of a stored event whose states are unknown: history that may be filled in later. */
  #noteGaps({ event, mode, givenState }: Candidate, accepted: boolean): void {
    if (mode === "live" && givenState === undefined) return;
    for (const parent of event.prevEvents) {
      const held = this.#ws.held(parent);
      if (held?.after === undefined) this.#ws.addWaiting("history", parent, event.eventId, accepted);
      // The create event needs no history of its own: it takes its place before the first that follows it.
      else if (held.position === undefined) this.#ws.record({ ...held, position: this.#place(parent, "first") });
    }
  }

  /** Queues what waited for an event, within the bound of a commit. */
  #free(id: string): void {
    const ws = this.#ws;
    const waiting = [...(ws.memory.pendingOn.get(id) ?? [])];
    const gap = ws.waitingFor("history", id);
    const known = gap !== undefined && ws.held(id)?.after !== undefined;
    const children = known ? gap.by : [];
    const count = waiting.length + children.length;
    if (count === 0) return;
    if (this.#freed > 0 && this.#freed + count > ws.memory.limits.settlePerCommit) {
      this.#leftover.push(id);
      return;
    }
    this.#freed += count;
    for (const eventId of waiting) {
      const row = ws.memory.pending.get(eventId);
      if (row !== undefined) this.#queue.push({ kind: "pending", row });
    }
    if (!known) return;
    for (const eventId of children) this.#queue.push({ kind: "history", eventId });
    ws.setWaiting({ ...gap, by: [] });
  }

  #decidePending(row: PendingEvent): Lack | undefined {
    const ws = this.#ws;
    if (!ws.memory.pending.has(row.eventId) || ws.decided.has(row.eventId)) return undefined;
    const { hashMismatch, origin } = row;
    return this.#decide(heldCandidate({ event: ws.memory.pduOf(row), hashMismatch }, origin, "live"), true);
  }

  #reconsider(eventId: string): Lack | undefined {
    const ws = this.#ws;
    const held = ws.held(eventId);
    if (held === undefined) return ws.absent.has(eventId) ? undefined : lacking([eventId]);
    if (held.before !== undefined) return undefined;
    const { event, hashMismatch } = held;
    const policy = undefined;
    const candidate: Candidate = { kind: "candidate", event, hashMismatch, origin: "", mode: "history", policy };
    const outcome = decide(ws, candidate);
    if (isLack(outcome)) return outcome;
    if (isWaits(outcome)) return undefined;
    if (outcome.before !== undefined) return this.#record(candidate, outcome, held, false);
    this.#noteGaps(candidate, isAllowed(held));
    return undefined;
  }

  #queueRedactions(held: Held): void {
    const { eventId: id, type, redacts } = held.event;
    const target = type === "m.room.redaction" ? redacts : undefined;
    if (target !== undefined && isSettled(held)) {
      this.#queue.push({ kind: "redaction", redaction: id, target });
    }
    for (const redaction of this.#ws.waitingFor("redaction", id)?.by ?? []) {
      this.#queue.push({ kind: "redaction", redaction, target: id });
    }
  }

  /**
   * A redaction takes effect by the state before it, whether or not it was soft-failed: that flag differs from
   * server to server, and what readers see must not.
   */
  #redact(redactionId: string, targetId: string): Lack | undefined {
    const ws = this.#ws;
    const unread = [redactionId, targetId].filter((id) => ws.held(id) === undefined && !ws.absent.has(id));
    if (unread.length > 0) return lacking(unread);
    const redaction = ws.held(redactionId);
    if (redaction?.before === undefined || !isAllowed(redaction)) return undefined;
    const target = ws.held(targetId);
    const state = ws.index.lookup(redaction.before.state);
    const effect = checkRedactionEffect(ws.rules, redaction.event, target?.event, state);
    if (effect.verdict === "hold") ws.addWaiting("redaction", targetId, redactionId, false);
    const waiting = ws.waitingFor("redaction", targetId);
    if (effect.verdict !== "hold" && waiting !== undefined) {
      ws.setWaiting({ ...waiting, by: waiting.by.filter((id) => id !== redactionId) });
    }
    if (effect.verdict === "apply" && target !== undefined && isAllowed(target) && target.redactedBy === undefined) {
      ws.record({ ...target, redactedBy: redactionId });
    }
    return undefined;
  }

  #wait(candidate: Candidate, waitsFor: readonly string[]): void {
    const { event, hashMismatch, origin, mode } = candidate;
    this.#verdicts.set(event.eventId, { verdict: "pending", eventId: event.eventId, waitsFor });
    // Whoever cites it need not ask storage again.
    if (isUnstored(this.#ws, candidate)) this.#ws.absent.add(event.eventId);
    if (mode !== "live") return;
    const known = this.#ws.memory.pending.get(event.eventId);
    const bytes = known?.bytes ?? utf8Length(encodeCanonical(event.json));
    if (known === undefined) this.#makeRoom(origin, bytes);
    this.#ws.putPending({
      eventId: event.eventId,
      json: event.json,
      hashMismatch,
      origin: known?.origin ?? origin,
      receivedAt: known?.receivedAt ?? this.#now,
      bytes,
      waitsFor,
    });
  }

  /** The oldest go first: of the same origin while that has too many, then of whichever takes the most room. */
  #makeRoom(origin: string, needed: number): void {
    const { limits } = this.#ws.memory;
    const rows = [...this.#ws.pendingRows()];
    const ofOrigin = rows.filter((row) => row.origin === origin);
    let bytes = rows.reduce((sum, row) => sum + row.bytes, needed);
    const drop = (victim: PendingEvent): void => {
      this.#evict(victim.eventId);
      bytes -= victim.bytes;
      rows.splice(rows.indexOf(victim), 1);
    };
    const [oldest] = ofOrigin;
    if (oldest !== undefined && ofOrigin.length >= limits.pendingPerOrigin) drop(oldest);
    while (rows.length > 0 && (rows.length >= limits.pendingCount || bytes > limits.pendingBytes)) {
      const tooLarge = bytes > limits.pendingBytes;
      const greediest = greediestOrigin(rows, (row) => (tooLarge ? row.bytes : 1), {
        origin,
        weight: tooLarge ? needed : 1,
      });
      const victim = rows.find((row) => row.origin === greediest) ?? rows[0];
      if (victim === undefined) return;
      drop(victim);
    }
  }

  #expire(): void {
    const { pending, limits } = this.#ws.memory;
    for (const row of pending.values()) {
      if (row.receivedAt + limits.pendingAge < this.#now) this.#evict(row.eventId);
    }
  }

  #evict(eventId: string): void {
    this.#ws.removePending(eventId);
    this.#evicted++;
  }
}

/** Whose events weigh most, with one more that is to come. Of equals the one that was heard first. */
function greediestOrigin(
  rows: readonly PendingEvent[],
  weigh: (row: PendingEvent) => number,
  next: { readonly origin: string; readonly weight: number },
): string {
  const weights = new Map<string, number>();
  for (const row of rows) weights.set(row.origin, (weights.get(row.origin) ?? 0) + weigh(row));
  weights.set(next.origin, (weights.get(next.origin) ?? 0) + next.weight);
  return [...weights].reduce((most, one) => (one[1] > most[1] ? one : most))[0];
}

/** A candidate in its held copy. */
function asHeld(candidate: Candidate, held: Held): Candidate {
  return { ...candidate, event: held.event, hashMismatch: held.hashMismatch };
}
