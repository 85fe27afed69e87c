/** Where the file and the rules part. */
import type { StateComparison, RequestComparison } from "./compare.js";
import type { MalformedEvent, Received } from "./receive.js";
import type { EventVerdict, Replay } from "./replay.js";

/** Something that is not as the file says, or as the rules demand. */
export interface Disagreement {
  readonly kind:
    /** An entry is no PDU of the room version. */
    | "malformed"
    /** The file gives an id that is not the event's. */
    | "id"
    | "signature"
    /** Content that the content hash does not fit; a redacted event is no such case. */
    | "hash"
    /** The rules refuse an event that the file does not record as rejected. */
    | "refused"
    /** The file records an event as rejected that the rules accept. */
    | "standing"
    /** A recorded state is not the computed one. */
    | "state";
  /** A sentence for a person. */
  readonly reason: string;
  /** The rule that decided, where one did. */
  readonly rule: string | undefined;
  readonly events: readonly string[];
}

/** The section of the server-server API that hash and signature checks come from. */
const VALIDATING = "server-server-api Validating hashes and signatures";

interface Facts {
  readonly malformed: readonly MalformedEvent[];
  readonly received: Received;
  readonly replay: Replay;
  readonly comparisons: readonly StateComparison[];
  readonly request: RequestComparison | undefined;
}

export function findDisagreements(facts: Facts): readonly Disagreement[] {
  const found: Disagreement[] = [];
  for (const { where, givenId, refusal } of facts.malformed) {
    const events = givenId === undefined ? refusal.events : [givenId];
    found.push({ kind: "malformed", reason: `${where}: ${refusal.reason}`, rule: refusal.rule, events });
  }
  for (const eventId of facts.replay.order) {
    const verdict = facts.replay.verdicts.get(eventId);
    if (verdict !== undefined) found.push(...aboutCopies(facts, eventId), ...aboutVerdict(facts, eventId, verdict));
  }
  for (const { name, before, outcome } of facts.comparisons) {
    const events = before === undefined ? [] : [before];
    const absent = outcome.outcome === "not-compared" && before !== undefined && facts.replay.pdu(before) === undefined;
    if (outcome.outcome === "differs") found.push(stateDiffers(name, events, outcome));
    else if (absent) found.push({ kind: "state", reason: `${name}: ${outcome.reason}`, rule: undefined, events });
  }
  return [...found, ...aboutRequest(facts.request)];
}

function aboutCopies({ received }: Facts, eventId: string): readonly Disagreement[] {
  const found: Disagreement[] = [];
  const event = received.events.get(eventId);
  for (const given of event?.wrongIds ?? []) {
    found.push({ kind: "id", reason: `the file calls it ${given}`, rule: undefined, events: [eventId] });
  }
  event?.copies.forEach(({ where, hash, signatures }, at) => {
    const place = where[0] ?? "";
    if (hash === "mismatch") {
      const reason = `${place}: the content hash does not match, so its redacted copy was judged`;
      found.push({ kind: "hash", reason, rule: VALIDATING, events: [eventId] });
    }
    // The copy that judges has a verdict of its own.
    if (at > 0 && signatures.status === "refused") {
      const reason = `${place}: this copy is not validly signed`;
      found.push({ kind: "signature", reason, rule: VALIDATING, events: [eventId] });
    }
  });
  return found;
}

function aboutVerdict({ received }: Facts, eventId: string, verdict: EventVerdict): readonly Disagreement[] {
  const rejected = received.events.get(eventId)?.recorded.rejected;
  switch (verdict.verdict) {
    case "undecided":
      return [];
    case "accepted":
      if (rejected !== true) return [];
      return [{ kind: "standing", reason: "recorded as rejected", rule: verdict.rule, events: [eventId] }];
    case "malformed":
    case "bad-signature": {
      const kind = verdict.verdict === "malformed" ? "malformed" : "signature";
      const { reason, rule, events } = verdict.refusal;
      return [{ kind, reason, rule, events: events.length > 0 ? events : [eventId] }];
    }
    case "rejected-for-size":
    case "rejected-by-auth-events":
    case "rejected-by-state": {
      if (rejected === true) return [];
      const { reason, rule, events } = verdict.refusal;
      return [{ kind: "refused", reason, rule, events: events.length > 0 ? events : [eventId] }];
    }
  }
}

function stateDiffers(
  name: string,
  events: readonly string[],
  { computed, recorded }: { readonly computed: readonly string[]; readonly recorded: readonly string[] },
): Disagreement {
  const counts = `only in the computed state ${computed.length}, only in the recorded one ${recorded.length}`;
  const reason = `${name}: ${counts}`;
  return { kind: "state", reason, rule: undefined, events };
}

function aboutRequest(request: RequestComparison | undefined): readonly Disagreement[] {
  const about = (reason: string, events: readonly string[] = []): readonly Disagreement[] => [
    { kind: "state", reason: `request: ${reason}`, rule: undefined, events },
  ];
  if (request === undefined) return [];
  if (request.outcome === "needs") return about("events are missing", request.events);
  if (request.outcome === "refused") return about(request.refusal.reason, request.refusal.events);
  return request.agreement?.outcome === "differs" ? [stateDiffers("request", [], request.agreement)] : [];
}
