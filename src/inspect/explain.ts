/** Everything that decided about one event. */
import { selectAuthEvents } from "../auth/select.js";
import { refuse, ok } from "../errors.js";
import type { Result } from "../errors.js";
import type { Pdu } from "../event/pdu.js";
import type { SignerVerdict } from "../event/signatures.js";
import type { KeyOutcome, ResolutionTrace, TracedCheck } from "../stateres/trace.js";
import type { HashStatus } from "./receive.js";
import type { EventVerdict, Fork } from "./replay.js";
import type { EventReport, RoomReport } from "./room.js";

/** An event that another one names, as far as the file has it. */
export interface NamedEvent {
  readonly eventId: string;
  readonly type: string | undefined;
  readonly stateKey: string | undefined;
  /** `undefined` when the file does not hold it. */
  readonly verdict: EventVerdict["verdict"] | undefined;
}

/** A state key that the rules may look at for an event. */
export interface ConsultedKey {
  readonly type: string;
  readonly stateKey: string;
  /** The event that holds it in the state before; `undefined` when none does or the state is unknown. */
  readonly inState: string | undefined;
  /** The event cited for it. */
  readonly cited: string | undefined;
}

/** What a resolution made of the event. */
export interface Fate {
  readonly fork: Fork;
  readonly algorithm: ResolutionTrace["algorithm"];
  /** The check that the event went through, where it did. */
  readonly check: TracedCheck | undefined;
  /** The conflict that it was a candidate in, where it was. */
  readonly outcome: KeyOutcome | undefined;
}

/** All that decided about one event. */
export interface Explanation {
  readonly event: EventReport;
  readonly roomId: string;
  readonly depth: number;
  readonly originServerTs: number;
  /** The copies in the file, the one that judges first. */
  readonly copies: readonly {
    readonly where: readonly string[];
    readonly hash: HashStatus;
    readonly servers: readonly (readonly [server: string, verdict: SignerVerdict])[];
  }[];
  readonly wrongIds: readonly string[];
  readonly prevEvents: readonly NamedEvent[];
  readonly authEvents: readonly NamedEvent[];
  /** Whether the state before the event is known. */
  readonly stateKnown: boolean;
  readonly consulted: readonly ConsultedKey[];
  readonly fates: readonly Fate[];
}

/**
 * Why an event of a report has the verdict it has, and what resolutions made of it. The beginning of an id is enough
 * where no other begins so.
 *
 * @returns a refusal `bad_format` when the report has no such event, or the refusal of the entry that
 * claims this id and is no PDU.
 */
export function explainEvent(report: RoomReport, given: string): Result<Explanation> {
  const eventId = wholeId(report, given);
  const event = report.events.find((other) => other.eventId === eventId);
  const received = report.received.events.get(eventId);
  const pdu = report.replay.pdu(eventId);
  if (event === undefined || received === undefined || pdu === undefined) return absent(report, eventId);
  const named = (ids: readonly string[]): readonly NamedEvent[] => ids.map((id) => nameEvent(report, id));
  return ok({
    event,
    roomId: pdu.roomId,
    depth: pdu.depth,
    originServerTs: pdu.originServerTs,
    copies: received.copies.map(({ where, hash, signatures }) => ({ where, hash, servers: [...signatures.servers] })),
    wrongIds: received.wrongIds,
    prevEvents: named(pdu.prevEvents),
    authEvents: named(pdu.authEvents),
    stateKnown: report.replay.stateBefore(eventId) !== undefined,
    consulted: consultedBy(report, pdu),
    fates: report.forks.flatMap((fork) => fateAt(report, fork, eventId)),
  });
}

/** The only id that begins as given, or what was given; texts for people cut ids short and say so with an ellipsis. */
function wholeId({ received }: RoomReport, given: string): string {
  const start = given.replace(/…$/, "");
  if (received.events.has(start) || start.length < SHORTEST_START) return given;
  const [only, other] = [...received.events.keys()].filter((id) => id.startsWith(start));
  return only === undefined || other !== undefined ? given : only;
}

/** A sigil and three characters. */
const SHORTEST_START = 4;

function absent(report: RoomReport, eventId: string): Result<never> {
  const malformed = report.malformed.find(({ givenId }) => givenId === eventId);
  if (malformed !== undefined) return { ok: false, error: malformed.refusal };
  for (const other of report.received.events.values()) {
    if (!other.wrongIds.includes(eventId)) continue;
    return refuse("bad_format", `the file calls an event ${eventId} whose id is ${other.eventId}: ask for that`);
  }
  return refuse("bad_format", `${eventId} is not in this file`);
}

function nameEvent(report: RoomReport, eventId: string): NamedEvent {
  const pdu = report.replay.pdu(eventId);
  const verdict = report.replay.verdicts.get(eventId)?.verdict;
  return { eventId, type: pdu?.type, stateKey: pdu?.stateKey, verdict };
}

/** The selection of auth events, and the create event that room version 12 implies. */
function consultedBy({ replay }: RoomReport, pdu: Pdu): readonly ConsultedKey[] {
  const keys = [...selectAuthEvents(replay.roomVersion.rules, pdu)];
  const implied = pdu.type !== "m.room.create" && !keys.some(([type]) => type === "m.room.create");
  if (implied) keys.unshift(["m.room.create", ""]);
  const state = replay.stateBefore(pdu.eventId);
  const lookup = state === undefined ? undefined : replay.lookup(state);
  return keys.map(([type, stateKey]) => ({
    type,
    stateKey,
    inState: lookup?.(type, stateKey)?.eventId,
    cited: pdu.authEvents.find((id) => {
      const other = replay.pdu(id);
      return other?.type === type && other.stateKey === stateKey;
    }),
  }));
}

function fateAt(report: RoomReport, fork: Fork, eventId: string): readonly Fate[] {
  const trace = traceFork(report, fork);
  const check = trace?.checks.find((other) => other.eventId === eventId);
  const outcome = trace?.outcomes.find(({ candidates }) => candidates.includes(eventId));
  if (trace === undefined || (check === undefined && outcome === undefined)) return [];
  return [{ fork, algorithm: trace.algorithm, check, outcome }];
}

/** Every step of the resolution at one fork of the report. */
export function traceFork(report: RoomReport, fork: Fork): ResolutionTrace | undefined {
  const resolution = report.replay.stateAfter(fork.parents, { trace: true });
  return resolution?.verdict === "resolved" ? resolution.trace : undefined;
}
