/** What depends on the order in which events arrived: forward extremities on the way, and soft failures. */
import { checkStateDependent } from "../auth/check.js";
import type { Refusal } from "../errors.js";
import type { RoomReport } from "./room.js";

/** The forward extremities of a server that events come to one by one. */
export class Extremities {
  readonly #report: RoomReport;
  readonly #now = new Set<string>();
  /** Events that something accepted comes after, directly or through what is not accepted. */
  readonly #passed = new Set<string>();
  readonly #softFailed = new Set<string>();

  constructor(report: RoomReport) {
    this.#report = report;
  }

  get now(): ReadonlySet<string> {
    return this.#now;
  }

  /**
   * An event arrives. One that is rejected or soft-failed is passed over (spec, "Soft failure"), and so is one that
   * came as part of a state: it has no place in the history.
   */
  add(eventId: string, softFailed: boolean = isRecorded(this.#report, eventId)): void {
    if (softFailed) this.#softFailed.add(eventId);
    if (!this.#counts(eventId)) return;
    const stack = [...(this.#report.replay.pdu(eventId)?.prevEvents ?? [])];
    for (let parent = stack.pop(); parent !== undefined; parent = stack.pop()) {
      if (this.#passed.has(parent)) continue;
      this.#passed.add(parent);
      this.#now.delete(parent);
      if (!this.#counts(parent)) stack.push(...(this.#report.replay.pdu(parent)?.prevEvents ?? []));
    }
    if (!this.#passed.has(eventId)) this.#now.add(eventId);
  }

  #counts(eventId: string): boolean {
    const verdict = this.#report.replay.verdicts.get(eventId);
    return verdict?.verdict === "accepted" && verdict.basis !== "auth-events" && !this.#softFailed.has(eventId);
  }
}

/** Whether the file says that the server soft-failed an event. */
function isRecorded({ received }: RoomReport, eventId: string): boolean {
  return received.events.get(eventId)?.recorded.softFailed === true;
}

/** The ids of a report in the order in which they stand in the file. */
export function fileOrder(report: RoomReport): readonly string[] {
  return [...new Set(report.received.ids.filter((id) => id !== undefined))];
}

/**
 * Events that a server would have soft-failed, had they arrived in this order (spec, "Soft failure"): accepted where
 * they stand, and refused by the state that was current when they came. An event whose ancestors come later than
 * itself is not looked at: it is no news by then.
 */
export function softFailures(
  report: RoomReport,
  order: readonly string[] = fileOrder(report),
): ReadonlyMap<string, Refusal> {
  const failed = new Map<string, Refusal>();
  const extremities = new Extremities(report);
  const arrived = new Set<string>();
  for (const eventId of order) {
    const refusal =
      arrived.size > 0 && hasParents(report, eventId, arrived)
        ? currentRefusal(report, extremities, eventId)
        : undefined;
    if (refusal !== undefined) failed.set(eventId, refusal);
    arrived.add(eventId);
    // What the server that kept the file made of it was decided by what was current there.
    extremities.add(eventId, refusal !== undefined || isRecorded(report, eventId));
  }
  return failed;
}

/** What came as part of a state stands in no order of arrival. */
function hasParents({ received, replay }: RoomReport, eventId: string, arrived: ReadonlySet<string>): boolean {
  if (received.events.get(eventId)?.role !== "timeline") return false;
  return replay.pdu(eventId)?.prevEvents.every((parent) => arrived.has(parent)) === true;
}

function currentRefusal({ replay }: RoomReport, extremities: Extremities, eventId: string): Refusal | undefined {
  const pdu = replay.pdu(eventId);
  if (pdu === undefined || replay.verdicts.get(eventId)?.verdict !== "accepted") return undefined;
  const current = replay.stateAfter([...extremities.now]);
  if (current?.verdict !== "resolved") return undefined;
  // Where it comes after all extremities, the current state is the state before it.
  if (current.state === replay.stateBefore(eventId)) return undefined;
  const verdict = checkStateDependent(replay.roomVersion.rules, pdu, replay.lookup(current.state));
  return verdict.verdict === "rejected" ? verdict.refusal : undefined;
}
