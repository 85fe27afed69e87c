/**
 * Checks 1 to 3 on receipt, for many events at once: format, signatures, content hash. What is known already
 * is told apart before anything costly is done.
 */
import { parsePduForms, readPdu } from "../event/format.js";
import type { EventForms } from "../event/forms.js";
import { contentHashMatches } from "../event/hashes.js";
import { redact } from "../event/redact.js";
import type { Pdu } from "../event/pdu.js";
import { planSignatures, requiredSigners, settleSignatures } from "../event/signatures.js";
import type { KeyLookup, SignatureReport, VerifyKey } from "../event/signatures.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
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
import type { Held } from "./held.js";
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

/** How many events are read and verified at a time: what hashes and signatures need of more is not kept. */
const AT_A_TIME = 500;
/** How many times as many may be with the Keys port: threads verify while this one reads and hashes. */
const AHEAD = 4;

/** What passed the format check, with its forms while they are needed. */
interface Parsed {
  readonly pdu: Pdu;
  readonly forms: EventForms | undefined;
}

/** What was not known before, while its signatures are verified. */
interface Fresh {
  readonly kind: "fresh";
  readonly pdu: Pdu;
  readonly hashMatches: boolean;
  readonly newAt: Candidate["newAt"];
}

/** Some of the values, as far as they are known without their signatures. */
interface Begun {
  readonly read: readonly (Admission | Fresh)[];
  /** Of those that are fresh. */
  readonly reports: Promise<readonly SignatureReport[]>;
}

/** One admission for each value, in their order. */
export async function admit(
  context: AdmitContext,
  values: readonly unknown[],
  options: AdmitOptions,
): Promise<readonly Admission[]> {
  const book = new KeyBook(context.keys);
  // One look-up for all, because a server that does not answer is waited for.
  const together = values.length > AT_A_TIME;
  if (together) await book.ask(values, (value) => keyRequestsIn(context.memory.version.rules, value), options.cancel);
  const admissions: Admission[] = [];
  const begun: Begun[] = [];
  const finishOldest = async (): Promise<void> => {
    const oldest = begun.shift();
    if (oldest !== undefined) for (const one of await finish(context, oldest, options)) admissions.push(one);
  };
  for (let at = 0; at < values.length; at += AT_A_TIME) {
    begun.push(await begin(context, book, together, values.slice(at, at + AT_A_TIME), options));
    if (begun.length >= AHEAD) await finishOldest();
  }
  while (begun.length > 0) await finishOldest();
  return admissions;
}

async function begin(
  context: AdmitContext,
  book: KeyBook,
  together: boolean,
  values: readonly unknown[],
  options: AdmitOptions,
): Promise<Begun> {
  const { memory, storage, keys } = context;
  const { rules } = memory.version;
  const parsed = values.map((value) => parseFor(memory, value, options.mode));
  // Storage is read at this revision, or later.
  const now = { revision: memory.record?.revision };
  const ids = new Set<string>();
  for (const one of parsed) if (one.ok) ids.add(one.value.pdu.eventId);
  const loaded = await memory.load(storage, [...ids], options.cancel);
  const found = new Map<string, Held>(loaded.map((held) => [held.event.eventId, held]));
  const unverified: Parsed[] = [];
  const read = parsed.map((one): Admission | Fresh => {
    if (!one.ok) return { kind: "refused", verdict: { verdict: "malformed", refusal: one.error } };
    const { pdu, forms } = one.value;
    const held = found.get(pdu.eventId);
    const known = knownBefore(memory, held, pdu, options);
    if (known !== undefined) return known;
    unverified.push(one.value);
    return {
      kind: "fresh",
      pdu,
      hashMatches: contentHashMatches(pdu.json, forms),
      newAt: held === undefined ? now : undefined,
    };
  });
  if (!together || values.some((value) => typeof value === "string")) {
    await book.ask(unverified, ({ pdu }) => keyRequests(rules, pdu), options.cancel);
  }
  const reports = verifyBy(book.lookup, rules, keys, unverified, options.cancel);
  // Whoever waits for it hears of a failure; before that it is no failure of nobody's.
  reports.catch(() => undefined);
  return { read, reports };
}

async function finish(context: AdmitContext, begun: Begun, options: AdmitOptions): Promise<readonly Admission[]> {
  const { rules } = context.memory.version;
  const reports = await begun.reports;
  const admissions: Admission[] = [];
  let place = 0;
  for (const one of begun.read) {
    if (one.kind !== "fresh") {
      admissions.push(one);
      continue;
    }
    const { pdu } = one;
    const report = reports[place++];
    const refused = report === undefined ? undefined : refusedBy(pdu, report);
    if (refused !== undefined) admissions.push({ kind: "refused", verdict: refused });
    else {
      const policy = options.mode === "live" ? await policyOf(context, pdu, options) : undefined;
      admissions.push({ kind: "candidate", candidate: candidateOf(rules, one, options, policy) });
    }
  }
  return admissions;
}

/** Backfill and states tolerate more references than a live event may have (digest SZ3). */
function parseFor(memory: RoomMemory, value: unknown, mode: Mode): Result<Parsed> {
  const { rules } = memory.version;
  const read = parsePduForms(rules, value, { counts: mode === "live" ? "enforced" : "tolerated" });
  if (!read.ok) return read;
  const { pdu, forms } = read.value;
  if (pdu.roomId === memory.roomId) return ok({ pdu, forms });
  return refuse("wrong_room", `the event is of ${pdu.roomId}`, { events: [pdu.eventId] });
}

/** Duplicates cost a look-up, and what was verified before is not verified again. */
function knownBefore(
  memory: RoomMemory,
  held: Held | undefined,
  pdu: Pdu,
  options: AdmitOptions,
): Admission | undefined {
  const { eventId } = pdu;
  const { mode } = options;
  const { rules } = memory.version;
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
  { pdu, hashMatches, newAt }: Fresh,
  { origin, mode }: AdmitOptions,
  policy: PolicyRefusal | undefined,
): Candidate {
  if (hashMatches) return { event: pdu, hashMismatch: false, origin, mode, policy, newAt };
  const copy = readPdu(rules, redact(rules, pdu.json), { counts: "tolerated", eventId: pdu.eventId });
  return { event: copy.ok ? copy.value : pdu, hashMismatch: true, origin, mode, policy, newAt };
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
  const book = new KeyBook(keys);
  await book.ask(pdus, (pdu) => keyRequests(rules, pdu), cancel);
  const parsed = pdus.map((pdu) => ({ pdu, forms: undefined }));
  return verifyBy(book.lookup, rules, keys, parsed, cancel);
}

/** The keys that were looked up for one call: each is asked for once, unless it is wanted for a later time then. */
class KeyBook {
  readonly #keys: Keys;
  /** By server and key id. */
  readonly #known = new Map<string, Map<string, { readonly validAt: number; readonly key: VerifyKey | undefined }>>();

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  readonly lookup: KeyLookup = (server, keyId) => this.#known.get(server)?.get(keyId)?.key;

  async ask<T>(
    of: readonly T[],
    requests: (one: T) => readonly KeyRequest[],
    cancel: Cancel | undefined,
  ): Promise<void> {
    const latest = new Map<string, Map<string, KeyRequest>>();
    for (const one of of) {
      for (const request of requests(one)) {
        const { server, keyId, validAt } = request;
        const before = latest.get(server)?.get(keyId) ?? this.#known.get(server)?.get(keyId);
        if (before === undefined || before.validAt < validAt) entriesOf(latest, server).set(keyId, request);
      }
    }
    const wanted = [...latest.values()].flatMap((ofServer) => [...ofServer.values()]);
    if (wanted.length === 0) return;
    const found = await this.#keys.lookup(wanted, cancel);
    for (const [place, { server, keyId, validAt }] of wanted.entries()) {
      entriesOf(this.#known, server).set(keyId, { validAt, key: found[place] });
    }
  }
}

function entriesOf<V>(map: Map<string, Map<string, V>>, name: string): Map<string, V> {
  let entries = map.get(name);
  if (entries === undefined) map.set(name, (entries = new Map<string, V>()));
  return entries;
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

type Signed = Parameters<typeof requiredSigners>[1] & { readonly json: JsonObject };

/** The keys by which the servers that have to sign an event say that they did. */
function keyRequests(rules: RoomVersionRules, event: Signed): readonly KeyRequest[] {
  const requests: KeyRequest[] = [];
  const signatures = get(event.json, "signatures");
  for (const { server } of requiredSigners(rules, event)) {
    if (server === undefined) continue;
    const ofServer = isObject(signatures) ? get(signatures, server) : undefined;
    for (const keyId of isObject(ofServer) ? Object.keys(ofServer) : []) {
      requests.push({ server, keyId, validAt: event.originServerTs });
    }
  }
  return requests;
}

/**
 * The same of a value that was not checked yet, so that the keys of many are looked up together. Of an object that
 * passes the check it is the same; text is not read for it.
 */
function keyRequestsIn(rules: RoomVersionRules, value: unknown): readonly KeyRequest[] {
  try {
    if (typeof value !== "object" || value === null) return [];
    const json = value as JsonObject;
    const [type, sender, eventId] = [get(json, "type"), get(json, "sender"), get(json, "event_id") ?? ""];
    const [content, originServerTs] = [get(json, "content"), get(json, "origin_server_ts")];
    if (typeof type !== "string" || typeof sender !== "string" || typeof eventId !== "string") return [];
    if (!isObject(content) || !Number.isSafeInteger(originServerTs)) return [];
    return keyRequests(rules, { json, type, sender, content, eventId, originServerTs: originServerTs as number });
  } catch {
    // It is no plain data, as the check will say.
    return [];
  }
}
