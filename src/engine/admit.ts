/**
 * Checks 1 to 3 on receipt, for many events at once: format, signatures, content hash. What is known already
 * is told apart before anything costly is done.
 */
import { isObject } from "../json/value.js";
import { parsePduForms, readPdu } from "../event/format.js";
import { EventForms } from "../event/forms.js";
import { contentHashMatches } from "../event/hashes.js";
import { redact } from "../event/redact.js";
import type { Pdu } from "../event/pdu.js";
import { planSignatures, requiredSigners, settleSignatures } from "../event/signatures.js";
import type { KeyLookup, SignatureReport } from "../event/signatures.js";
import { get } from "../json/value.js";
import { ok, refuse } from "../errors.js";
import type { Refusal, Result } from "../errors.js";
import type { Cancel } from "../ports/cancel.js";
import type { KeyRequest, Keys } from "../ports/keys.js";
import type { Policy, PolicyRefusal } from "../ports/policy.js";
import type { Storage } from "../ports/storage.js";
import type { Verdict } from "../ports/verdict.js";
import type { RoomVersionRules } from "../rules/model.js";
import { mayRedecide } from "./decide.js";
import type { Candidate, Mode } from "./decide.js";
import { completes, verdictOf } from "./held.js";
import type { RoomMemory } from "./memory.js";

/** What checks 1 to 3 came to, for one event. */
export type Admission =
  | { readonly kind: "candidate"; readonly candidate: Candidate }
  /** Decided before; nothing more to do. */
  | { readonly kind: "known"; readonly eventId: string; readonly verdict: Verdict }
  | { readonly kind: "refused"; readonly verdict: Verdict };

/** What admitting needs of the room and its host. */
export interface AdmitContext {
  readonly memory: RoomMemory;
  readonly storage: Storage;
  readonly keys: Keys;
  readonly policy: Policy;
}

export interface AdmitOptions {
  readonly origin: string;
  readonly mode: Mode;
  readonly cancel?: Cancel | undefined;
}

/**
 * How many events are verified at a time. Of more than these, forms and signed bytes are made anew when their turn
 * comes: kept for all of a join of 100,000 events, they took three times the memory of the events.
 */
const AT_A_TIME = 500;

/** What passed the format check, with its forms while there are few. */
interface Parsed {
  readonly pdu: Pdu;
  readonly forms: EventForms | undefined;
}

/** One admission for each value, in their order. */
export async function admit(
  context: AdmitContext,
  values: readonly unknown[],
  options: AdmitOptions,
): Promise<readonly Admission[]> {
  const keep = values.length <= AT_A_TIME;
  const parsed = values.map((value) => parseFor(context.memory, value, options.mode, keep));
  const all = parsed.flatMap((result) => (result.ok ? [result.value] : []));
  const ids = [...new Set(all.map(({ pdu }) => pdu.eventId))];
  await context.memory.load(context.storage, ids, options.cancel);
  const known = new Map<string, Admission>();
  const fresh: Parsed[] = [];
  for (const one of all) {
    const { eventId } = one.pdu;
    const admission = known.get(eventId) ?? knownBefore(context.memory, one.pdu, options);
    if (admission === undefined) fresh.push(one);
    else known.set(eventId, admission);
  }
  const checked = await check(context, fresh, options);
  return parsed.map((result) => {
    if (!result.ok) return { kind: "refused", verdict: { verdict: "malformed", refusal: result.error } };
    const { pdu } = result.value;
    const admission = known.get(pdu.eventId) ?? checked.get(pdu);
    return admission ?? { kind: "refused", verdict: { verdict: "malformed", refusal: lost(pdu) } };
  });
}

function lost(pdu: Pdu): Refusal {
  return { code: "bad_format", reason: "the event was given twice in different copies", events: [pdu.eventId] };
}

/** Backfill and states tolerate more references than a live event may have (digest SZ3). */
function parseFor(memory: RoomMemory, value: unknown, mode: Mode, keep: boolean): Result<Parsed> {
  const { rules } = memory.version;
  const read = parsePduForms(rules, value, { counts: mode === "live" ? "enforced" : "tolerated" });
  if (!read.ok) return read;
  const { pdu, forms } = read.value;
  if (pdu.roomId === memory.roomId) return ok({ pdu, forms: keep ? forms : undefined });
  return refuse("wrong_room", `the event is of ${pdu.roomId}`, { events: [pdu.eventId] });
}

/** Duplicates cost a look-up, and what was verified before is not verified again. */
function knownBefore(memory: RoomMemory, pdu: Pdu, options: AdmitOptions): Admission | undefined {
  const { eventId } = pdu;
  const { mode } = options;
  const { rules } = memory.version;
  const held = memory.held(eventId);
  if (held !== undefined && !completes(rules, held, pdu)) {
    const { event, hashMismatch } = held;
    if (!mayRedecide(held, mode)) {
      return { kind: "known", eventId, verdict: verdictOf(eventId, held.verdict, hashMismatch) };
    }
    const { origin } = options;
    return { kind: "candidate", candidate: { event, hashMismatch, origin, mode, policy: "unasked" } };
  }
  const row = memory.pending.get(eventId);
  if (row === undefined) return undefined;
  const { hashMismatch, origin } = row;
  const event = memory.pduOf(row);
  if (completes(rules, { event, hashMismatch }, pdu)) return undefined;
  return { kind: "candidate", candidate: { event, hashMismatch, origin, mode, policy: "unasked" } };
}

async function check(
  context: AdmitContext,
  fresh: readonly Parsed[],
  options: AdmitOptions,
): Promise<ReadonlyMap<Pdu, Admission>> {
  const { rules } = context.memory.version;
  const admissions = new Map<Pdu, Admission>();
  if (fresh.length === 0) return admissions;
  const pdus = fresh.map(({ pdu }) => pdu);
  // One look-up for all, because a server that does not answer is waited for.
  const lookup = await lookUp(rules, context.keys, pdus, options.cancel);
  for (let at = 0; at < fresh.length; at += AT_A_TIME) {
    const some = fresh.slice(at, at + AT_A_TIME).map(({ pdu, forms }) => ({
      pdu,
      forms: forms ?? new EventForms(rules, pdu.json),
    }));
    const reports = await verifyBy(lookup, rules, context.keys, some, options.cancel);
    for (const [place, { pdu, forms }] of some.entries()) {
      const report = reports[place];
      const refused = report === undefined ? undefined : refusedBy(pdu, report);
      if (refused !== undefined) admissions.set(pdu, { kind: "refused", verdict: refused });
      else {
        const policy = options.mode === "live" ? await policyOf(context, pdu, options) : undefined;
        admissions.set(pdu, { kind: "candidate", candidate: candidateOf(rules, pdu, forms, options, policy) });
      }
    }
  }
  return admissions;
}

async function policyOf(
  { policy, memory }: AdmitContext,
  event: Pdu,
  { origin, cancel }: AdmitOptions,
): Promise<PolicyRefusal | undefined> {
  return policy.checkEvent?.({ event, roomVersion: memory.version.id, origin }, cancel);
}

/** Check 3: an event whose content hash does not match goes on as its redacted copy. */
function candidateOf(
  rules: RoomVersionRules,
  pdu: Pdu,
  forms: EventForms,
  { origin, mode }: Pick<AdmitOptions, "origin" | "mode">,
  policy: PolicyRefusal | undefined,
): Candidate {
  if (contentHashMatches(pdu.json, forms)) return { event: pdu, hashMismatch: false, origin, mode, policy };
  const copy = readPdu(rules, redact(rules, pdu.json), { counts: "tolerated", eventId: pdu.eventId });
  return { event: copy.ok ? copy.value : pdu, hashMismatch: true, origin, mode, policy };
}

function refusedBy({ eventId }: Pdu, report: SignatureReport): Verdict | undefined {
  if (report.status === "verified") return undefined;
  const reasons: string[] = [];
  for (const [server, verdict] of report.servers) {
    if (verdict.status === "refused") reasons.push(`${server}: ${verdict.reason}`);
    else if (verdict.status === "needs-key") reasons.push(`${server}: no key ${verdict.keyIds.join(", ")}`);
  }
  const rule = "server-server-api Checks on receipt 2";
  const refusal: Refusal = { code: "bad_signature", rule, reason: reasons.join("; "), events: [eventId] };
  return { verdict: report.status === "refused" ? "bad-signature" : "unverifiable", eventId, refusal };
}

/** Check 2 for many events: one look-up of keys, one batch of verifications. */
export async function verifySignatures(
  rules: RoomVersionRules,
  keys: Keys,
  pdus: readonly Pdu[],
  cancel: Cancel | undefined,
): Promise<readonly SignatureReport[]> {
  const lookup = await lookUp(rules, keys, pdus, cancel);
  return verifyBy(
    lookup,
    rules,
    keys,
    pdus.map((pdu) => ({ pdu, forms: undefined })),
    cancel,
  );
}

async function lookUp(
  rules: RoomVersionRules,
  keys: Keys,
  pdus: readonly Pdu[],
  cancel: Cancel | undefined,
): Promise<KeyLookup> {
  const requests: KeyRequest[] = [];
  const places = new Map<string, number>();
  for (const pdu of pdus) {
    for (const request of keyRequests(rules, pdu)) {
      const name = `${request.server} ${request.keyId}`;
      const place = places.get(name);
      const known = place === undefined ? undefined : requests[place];
      if (place === undefined || known === undefined) places.set(name, requests.push(request) - 1);
      else if (known.validAt < request.validAt) requests[place] = request;
    }
  }
  const found = requests.length === 0 ? [] : await keys.lookup(requests, cancel);
  return (server, keyId) => {
    const place = places.get(`${server} ${keyId}`);
    return place === undefined ? undefined : found[place];
  };
}

async function verifyBy(
  lookup: KeyLookup,
  rules: RoomVersionRules,
  keys: Keys,
  parsed: readonly Parsed[],
  cancel: Cancel | undefined,
): Promise<readonly SignatureReport[]> {
  const plans = parsed.map(({ pdu, forms }) => planSignatures(rules, pdu, lookup, forms));
  const checks = plans.flatMap((plan) => plan.checks);
  const outcomes = checks.length === 0 ? [] : await keys.verify(checks, cancel);
  let at = 0;
  return plans.map((plan) => settleSignatures(plan, outcomes.slice(at, (at += plan.checks.length))));
}

/** The keys by which the servers that have to sign an event say that they did. */
function keyRequests(rules: RoomVersionRules, pdu: Pdu): readonly KeyRequest[] {
  const requests: KeyRequest[] = [];
  const signatures = get(pdu.json, "signatures");
  for (const { server } of requiredSigners(rules, pdu)) {
    if (server === undefined) continue;
    const ofServer = isObject(signatures) ? get(signatures, server) : undefined;
    for (const keyId of isObject(ofServer) ? Object.keys(ofServer) : []) {
      requests.push({ server, keyId, validAt: pdu.originServerTs });
    }
  }
  return requests;
}
