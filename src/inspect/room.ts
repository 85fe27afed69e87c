/** Checks what people have of a room: everything that can be computed, beside everything recorded. */
import { rememberingProvider } from "../crypto/ed25519-provider.js";
import type { Ed25519Provider } from "../crypto/ed25519-provider.js";
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import type { StateMap } from "../dag/state-map.js";
import { compareCodePoints } from "../json/compare.js";
import type { JsonObject } from "../json/value.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import type { RoomVersion } from "../versions/room-version.js";
import { compareRequest, compareStates } from "./compare.js";
import type { RequestComparison, StateComparison } from "./compare.js";
import { findDisagreements } from "./disagree.js";
import type { Disagreement } from "./disagree.js";
import type { Dump, RecordedState } from "./dump.js";
import { keyLookup } from "./keys.js";
import { receive } from "./receive.js";
import type { EventCopy, MalformedEvent, Received, ReceivedEvent } from "./receive.js";
import { Replay } from "./replay.js";
import type { EventVerdict, Fork, KnownState } from "./replay.js";

/** How a dump is checked. */
export interface CheckOptions {
  /** The room versions that are known; every version of the spec and I.1 by default. */
  readonly registry?: RoomVersionRegistry;
  /** Key tables besides those in the file; these are asked first. */
  readonly keys?: readonly JsonObject[];
  /** Verifies signatures; the library's own by default. */
  readonly provider?: Ed25519Provider;
  /**
   * `assumed`: signatures are not looked at, because whoever kept the events verified them. Default: what the
   * dump says, or else `verified`.
   */
  readonly signatures?: "verified" | "assumed";
  /** Told how much of the work is done, out of how much. */
  readonly progress?: (done: number, total: number) => void;
}

/** How the signatures of an event's judging copy stand. */
export type SignatureStatus = "verified" | "unknown-key" | "refused";

/** One event of the file. */
export interface EventReport {
  readonly eventId: string;
  readonly type: string;
  readonly stateKey: string | undefined;
  readonly sender: string;
  readonly verdict: EventVerdict;
  readonly signature: SignatureStatus;
  readonly hash: EventCopy["hash"];
  /** How the server stored it, where the file says so. */
  readonly recorded: ReceivedEvent["recorded"];
  /** Where its copies stand in the file. */
  readonly where: readonly string[];
}

/** One entry of a state. */
export interface StateEntry {
  readonly type: string;
  readonly stateKey: string;
  readonly eventId: string;
}

/** How many signatures stand how. */
export interface SignatureCounts {
  readonly verified: number;
  readonly unknownKey: number;
  readonly refused: number;
}

/** What the check of a dump found. */
export interface RoomReport {
  readonly roomVersion: string;
  readonly roomId: string | undefined;
  /** Every event once, ancestors first. */
  readonly events: readonly EventReport[];
  /** Entries that are no PDUs of the room version. */
  readonly malformed: readonly MalformedEvent[];
  readonly counts: ReadonlyMap<EventVerdict["verdict"], number>;
  /** Signatures by required servers over distinct copies. */
  readonly signatures: SignatureCounts;
  readonly forks: readonly Fork[];
  /** Forward extremities among the events whose state is known. */
  readonly tips: readonly string[];
  /** The state after the tips; `undefined` where no event's ancestry is complete. */
  readonly state: readonly StateEntry[] | undefined;
  readonly comparisons: readonly StateComparison[];
  /** The resolution that the file asks for, where it has one. */
  readonly request: RequestComparison | undefined;
  /** Empty when everything that was checked holds. */
  readonly disagreements: readonly Disagreement[];
  readonly notes: readonly string[];
  /** For {@link explainEvent} and traces: the events and states themselves. */
  readonly replay: Replay;
  readonly received: Received;
}

/**
 * Judges every event of a dump, resolves its forks and compares the outcome with what is recorded.
 *
 * @returns the report, or a refusal `unknown_room_version` when the version is neither given nor known.
 */
export function checkRoom(dump: Dump, options: CheckOptions = {}): Result<RoomReport> {
  const registry = options.registry ?? roomVersions;
  if (dump.roomVersion === undefined) {
    return refuse("unknown_room_version", "nothing in this file tells the room version: give it");
  }
  const version = registry.get(dump.roomVersion);
  return version.ok ? ok(check(version.value, dump, options)) : version;
}

function check(version: RoomVersion, dump: Dump, options: CheckOptions): RoomReport {
  const provider = options.provider ?? rememberingProvider();
  const keys = keyLookup([...(options.keys ?? []), ...dump.keys]);
  const total = 2 * dump.events.length;
  const signatures = options.signatures ?? dump.signatures ?? "verified";
  const context = { rules: version.rules, keys, provider, signatures };
  const all = receive(context, dump.events, (done) => options.progress?.(done, total));
  const { received, notes } = ofRoom(all, dump.roomId);
  const states = dump.states.map((state) => knownState(state, received));
  const replay = new Replay(version, received.events, states, provider, (done) =>
    options.progress?.(dump.events.length + done, total),
  );
  const tips = replay.tips();
  const after = tips.length === 0 ? undefined : replay.stateAfter(tips);
  const tipsFork = replay.differ(tips) ? [{ before: undefined, parents: tips }] : [];
  const facts = {
    roomVersion: version.id,
    roomId: dump.roomId ?? replay.pdu(replay.order[0] ?? "")?.roomId,
    events: replay.order.flatMap((id) => reportOf(received, replay, id)),
    malformed: received.malformed,
    counts: countVerdicts(replay, received),
    signatures: countSignatures(received),
    forks: [...replay.forks, ...tipsFork],
    tips,
    state: after?.verdict === "resolved" ? entriesOf(replay, after.state) : undefined,
    comparisons: compareStates(replay, states),
    request: dump.request === undefined ? undefined : compareRequest(version, dump.request),
    notes: [...dump.notes, ...notes],
    replay,
    received,
  };
  return { ...facts, disagreements: findDisagreements(facts) };
}

/** Create events of room version 12 name no room, so only now those of other rooms are seen. */
function ofRoom(received: Received, roomId: string | undefined): { received: Received; notes: readonly string[] } {
  const foreign = new Set<string>();
  for (const { eventId, copies } of received.events.values()) {
    if (roomId !== undefined && copies[0].pdu.roomId !== roomId) foreign.add(eventId);
  }
  if (foreign.size === 0) return { received, notes: [] };
  const events = new Map([...received.events].filter(([id]) => !foreign.has(id)));
  return { received: { ...received, events }, notes: [`${foreign.size} create events of other rooms were left out`] };
}

function knownState({ name, before, after, members, partial }: RecordedState, received: Received): KnownState {
  const idOf = (member: string | number): string | undefined =>
    typeof member === "number" ? received.ids[member] : member;
  const ids = members.map(idOf);
  return {
    name,
    before: before === undefined ? undefined : idOf(before),
    after,
    members: [...new Set(ids.filter((id) => id !== undefined))],
    partial: partial || ids.includes(undefined),
  };
}

function reportOf(received: Received, replay: Replay, eventId: string): readonly EventReport[] {
  const event = received.events.get(eventId);
  const verdict = replay.verdicts.get(eventId);
  if (event === undefined || verdict === undefined) return [];
  const { pdu, signatures, hash } = event.copies[0];
  const { type, stateKey, sender } = pdu;
  const signature = signatures.status === "needs-key" ? "unknown-key" : signatures.status;
  const where = event.copies.flatMap((copy) => copy.where);
  return [{ eventId, type, stateKey, sender, verdict, signature, hash, recorded: event.recorded, where }];
}

function countVerdicts(replay: Replay, received: Received): ReadonlyMap<EventVerdict["verdict"], number> {
  const counts = new Map<EventVerdict["verdict"], number>();
  for (const { verdict } of replay.verdicts.values()) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const malformed = received.malformed.length;
  if (malformed > 0) counts.set("malformed", (counts.get("malformed") ?? 0) + malformed);
  return counts;
}

function countSignatures(received: Received): SignatureCounts {
  const counts = { verified: 0, unknownKey: 0, refused: 0 };
  for (const { copies } of received.events.values()) {
    for (const { signatures } of copies) {
      for (const { status } of signatures.servers.values()) counts[status === "needs-key" ? "unknownKey" : status]++;
    }
  }
  return counts;
}

/** The entries of a state, sorted by type and state key. */
function entriesOf(replay: Replay, state: StateMap): readonly StateEntry[] {
  const entries: StateEntry[] = [];
  state.forEach((event, key) => {
    const [type, stateKey] = replay.index.keyAt(key);
    entries.push({ type, stateKey, eventId: replay.index.idOf(event) });
  });
  return entries.sort((a, b) => compareCodePoints(a.type, b.type) || compareCodePoints(a.stateKey, b.stateKey));
}
