/** What can be said of each event by itself: format, id, content hash and signatures. */
import type { Ed25519Provider } from "../crypto/ed25519-provider.js";
import { refuse } from "../errors.js";
import type { Refusal } from "../errors.js";
import { checkJson, readPdu } from "../event/format.js";
import { contentHashMatches, omit } from "../event/hashes.js";
import { separateId } from "../event/loose.js";
import type { Pdu } from "../event/pdu.js";
import { redact } from "../event/redact.js";
import { planSignatures, requiredSigners, settleSignatures } from "../event/signatures.js";
import type { KeyLookup, SignatureReport, SignerVerdict } from "../event/signatures.js";
import { encodeCanonical } from "../json/canonical.js";
import { isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { DumpEvent, EventRole, RecordedStanding } from "./dump.js";

/**
 * How the content hash stands: it `matches`; the event came `redacted`, so that it cannot; or there is
 * content that it does not fit (`mismatch`). The last two are judged as their redacted copy.
 */
export type HashStatus = "matches" | "redacted" | "mismatch";

/** One copy of an event that has the format of a PDU. */
export interface EventCopy {
  readonly where: readonly string[];
  readonly hash: HashStatus;
  readonly signatures: SignatureReport;
  /** What judges: the copy itself, or its redaction. */
  readonly pdu: Pdu;
}

/** All that the file has of one event. */
export interface ReceivedEvent {
  readonly eventId: string;
  /** Distinct copies, the one that judges first. */
  readonly copies: readonly [EventCopy, ...EventCopy[]];
  readonly role: EventRole;
  readonly recorded: RecordedStanding;
  /** Ids that the file gives and that are not the event's. */
  readonly wrongIds: readonly string[];
}

/** An entry that is no PDU of the room version. */
export interface MalformedEvent {
  readonly where: string;
  readonly givenId: string | undefined;
  readonly refusal: Refusal;
}

/** The entries of a dump, read and sorted by event. */
export interface Received {
  readonly events: ReadonlyMap<string, ReceivedEvent>;
  readonly malformed: readonly MalformedEvent[];
  /** The id of each entry of the dump; `undefined` for malformed ones. */
  readonly ids: readonly (string | undefined)[];
}

/** What receiving needs besides the events. */
export interface ReceiveContext {
  readonly rules: RoomVersionRules;
  readonly keys: KeyLookup;
  readonly provider: Ed25519Provider;
  /** `assumed`: whoever has to have signed counts as having signed. Default `verified`. */
  readonly signatures?: "verified" | "assumed";
}

interface Draft {
  readonly eventId: string;
  readonly copies: Map<string, EventCopy & { readonly where: string[] }>;
  role: EventRole;
  recorded: RecordedStanding;
  readonly wrongIds: Set<string>;
}

/** Reads every entry of a dump. Equal copies of an event are verified once. */
export function receive(
  context: ReceiveContext,
  entries: readonly DumpEvent[],
  progress: (done: number) => void = () => undefined,
): Received {
  const drafts = new Map<string, Draft>();
  const malformed: MalformedEvent[] = [];
  const ids = entries.map((entry, at) => {
    const read = readEntry(context.rules, entry);
    progress(at + 1);
    if (read.ok) {
      addCopy(context, drafts, entry, read.value);
      return read.value.eventId;
    }
    malformed.push({ where: entry.where, givenId: entry.givenId, refusal: read.error });
    return undefined;
  });
  const events = new Map<string, ReceivedEvent>();
  for (const [eventId, draft] of drafts) {
    const [best, ...others] = [...draft.copies.values()].sort((a, b) => rank(a) - rank(b));
    if (best === undefined) continue;
    const { role, recorded } = draft;
    events.set(eventId, { eventId, copies: [best, ...others], role, recorded, wrongIds: [...draft.wrongIds] });
  }
  return { events, malformed, ids };
}

/** Counts are tolerated, because the file does not say whether an event came by backfill. */
export function readEntry(rules: RoomVersionRules, { json, givenId }: DumpEvent): ReturnType<typeof readPdu> {
  const checked = checkJson(rules, json);
  if (!checked.ok) return checked;
  if (!isObject(checked.value)) return refuse("bad_format", "this is no JSON object");
  const pdu = readPdu(rules, separateId(rules, checked.value).json, { counts: "tolerated" });
  if (pdu.ok || givenId === undefined) return pdu;
  return { ok: false, error: { ...pdu.error, events: [givenId] } };
}

function addCopy(context: ReceiveContext, drafts: Map<string, Draft>, entry: DumpEvent, pdu: Pdu): void {
  let draft = drafts.get(pdu.eventId);
  if (draft === undefined) {
    const { role, recorded } = entry;
    draft = { eventId: pdu.eventId, copies: new Map(), role, recorded, wrongIds: new Set() };
    drafts.set(pdu.eventId, draft);
  }
  if (entry.role === "timeline") draft.role = "timeline";
  draft.recorded = { ...entry.recorded, ...draft.recorded };
  if (entry.givenId !== undefined && entry.givenId !== pdu.eventId) draft.wrongIds.add(entry.givenId);
  const text = encodeCanonical(omit(pdu.json, ["unsigned"]));
  const known = draft.copies.get(text);
  if (known !== undefined) known.where.push(entry.where);
  else draft.copies.set(text, { where: [entry.where], ...verifyCopy(context, pdu) });
}

function verifyCopy(context: ReceiveContext, pdu: Pdu): Omit<EventCopy, "where"> {
  const { rules } = context;
  const signatures = context.signatures === "assumed" ? assumedSignatures(rules, pdu) : verify(context, pdu);
  if (contentHashMatches(pdu.json)) return { hash: "matches", signatures, pdu };
  const redacted = redact(rules, pdu.json);
  const hash = isWhatIsLeft(pdu.json, redacted) ? "redacted" : "mismatch";
  const copy = readPdu(rules, redacted, { counts: "tolerated", eventId: pdu.eventId });
  return { hash, signatures, pdu: copy.ok ? copy.value : pdu };
}

function verify({ rules, keys, provider }: ReceiveContext, pdu: Pdu): SignatureReport {
  const plan = planSignatures(rules, pdu, keys);
  const outcomes = plan.checks.map(({ signature, message, key }) => provider.verify(signature, message, key));
  return settleSignatures(plan, outcomes);
}

/** The report on an event whose required servers all signed. */
export function assumedSignatures(rules: RoomVersionRules, pdu: Pdu): SignatureReport {
  const servers = new Map<string, SignerVerdict>();
  for (const { server } of requiredSigners(rules, pdu)) {
    if (server !== undefined) servers.set(server, { status: "verified" });
  }
  return { status: "verified", servers };
}

/** Whether redaction would take nothing away: then somebody redacted the event already. */
function isWhatIsLeft(event: JsonObject, redacted: JsonObject): boolean {
  const drop = ["unsigned"];
  return encodeCanonical(omit(event, drop)) === encodeCanonical(omit(redacted, drop));
}

/** The copy that tells most and is proved best judges. */
function rank({ signatures, hash }: EventCopy): number {
  const proof = signatures.status === "verified" ? 0 : signatures.status === "needs-key" ? 1 : 2;
  return proof * 3 + (hash === "matches" ? 0 : hash === "redacted" ? 1 : 2);
}
