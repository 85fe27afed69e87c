/** Reports as plain data for programs: what `--json` prints. */
import type { ResolutionTrace } from "../stateres/trace.js";
import { traceFork } from "./explain.js";
import type { RoomReport } from "./room.js";

/** What the plain form of a report holds. */
export interface JsonOptions {
  /** Whether to add every step of every resolution. */
  readonly trace?: boolean;
}

/** A report that `JSON.stringify` can write; ids and places are strings, absent things are left out. */
export interface PlainReport {
  readonly room_version: string;
  readonly room_id: string | undefined;
  readonly agrees: boolean;
  readonly counts: Readonly<Record<string, number>>;
  readonly signatures: { readonly verified: number; readonly unknown_key: number; readonly refused: number };
  readonly events: readonly object[];
  readonly malformed: readonly object[];
  readonly forks: readonly object[];
  readonly tips: readonly string[];
  readonly state: readonly object[] | undefined;
  readonly comparisons: readonly object[];
  readonly request: object | undefined;
  readonly disagreements: readonly object[];
  readonly notes: readonly string[];
}

/** The report as plain data. */
export function plainReport(report: RoomReport, options: JsonOptions = {}): PlainReport {
  const { signatures, request } = report;
  const traced = (fork: RoomReport["forks"][number]): ResolutionTrace | undefined =>
    options.trace === true ? traceFork(report, fork) : undefined;
  return {
    room_version: report.roomVersion,
    room_id: report.roomId,
    agrees: report.disagreements.length === 0,
    counts: Object.fromEntries(report.counts),
    signatures: { verified: signatures.verified, unknown_key: signatures.unknownKey, refused: signatures.refused },
    events: report.events.map(({ eventId, type, stateKey, sender, verdict, signature, hash, where }) => ({
      event_id: eventId,
      type,
      state_key: stateKey,
      sender,
      ...verdict,
      signature,
      hash,
      where,
    })),
    malformed: report.malformed.map(({ where, givenId, refusal }) => ({ where, event_id: givenId, ...refusal })),
    forks: report.forks.map((fork) => ({ before: fork.before, parents: fork.parents, trace: traced(fork) })),
    tips: report.tips,
    state: report.state?.map(({ type, stateKey, eventId }) => ({ type, state_key: stateKey, event_id: eventId })),
    comparisons: report.comparisons.map(({ name, before, outcome }) => ({ name, before, ...outcome })),
    request: request?.outcome === "resolved" && options.trace !== true ? { ...request, trace: undefined } : request,
    disagreements: report.disagreements,
    notes: report.notes,
  };
}
