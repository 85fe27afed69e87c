/**
 * Checks 1 to 3 on receipt, for many events at once: format, signatures, content hash. What is known already
 * is told apart before anything costly is done.
 */
import { isObject } from "../json/value.js";
import { parsePduForms, readPdu } from "../event/format.js";
import type { PduForms } from "../event/format.js";
import type { EventForms } from "../event/forms.js";
import { contentHashMatches } from "../event/hashes.js";
import { redact } from "../event/redact.js";
import type { Pdu } from "../event/pdu.js";
import { planSignatures, requiredSigners, settleSignatures } from "../event/signatures.js";
import type { SignatureReport, VerifyKey } from "../event/signatures.js";
import { get } from "../json/value.js";
import { refuse } from "../errors.js";
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

/** One admission for each value, in their order. */
export async function admit(
  context: AdmitContext,
  values: readonly unknown[],
  options: AdmitOptions,
): Promise<readonly Admission[]> {
  const parsed = values.map((value) => parseFor(context.memory, value, options.mode));
  const all = parsed.flatMap((result) => (result.ok ? [result.value] : []));
  const ids = [...new Set(all.map(({ pdu }) => pdu.eventId))];
  await context.memory.load(context.storage, ids, options.cancel);
  const known = new Map<string, Admission>();
  const fresh: PduForms[] = [];
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
function parseFor(memory: RoomMemory, value: unknown, mode: Mode): Result<PduForms> {
  const { rules } = memory.version;
  const read = parsePduForms(rules, value, { counts: mode === "live" ? "enforced" : "tolerated" });
  if (!read.ok || read.value.pdu.roomId === memory.roomId) return read;
  const { roomId, eventId } = read.value.pdu;
  return refuse("wrong_room", `the event is of ${roomId}`, { events: [eventId] });
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
  fresh: readonly PduForms[],
  options: AdmitOptions,
): Promise<ReadonlyMap<Pdu, Admission>> {
  const { rules } = context.memory.version;
  const pdus = fresh.map(({ pdu }) => pdu);
  const written = fresh.map(({ forms }) => forms);
  const reports = await verifySignatures(rules, context.keys, pdus, options.cancel, written);
  const admissions = new Map<Pdu, Admission>();
  for (const [at, { pdu, forms }] of fresh.entries()) {
    const report = reports[at];
    const refused = report === undefined ? undefined : refusedBy(pdu, report);
    if (refused !== undefined) admissions.set(pdu, { kind: "refused", verdict: refused });
    else {
      const policy = options.mode === "live" ? await policyOf(context, pdu, options) : undefined;
      admissions.set(pdu, { kind: "candidate", candidate: candidateOf(rules, pdu, forms, options, policy) });
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
  forms: readonly EventForms[] = [],
): Promise<readonly SignatureReport[]> {
  if (pdus.length === 0) return [];
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
  const lookup = (server: string, keyId: string): VerifyKey | undefined => {
    const place = places.get(`${server} ${keyId}`);
    return place === undefined ? undefined : found[place];
  };
  const plans = pdus.map((pdu, at) => planSignatures(rules, pdu, lookup, forms[at]));
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
