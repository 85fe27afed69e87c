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
import { isServerName } from "../ids/grammar.js";
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

/** What was not known before, with its signatures on their way. */
interface Fresh {
  readonly pdu: Pdu;
  readonly hashMatches: boolean;
}

/** Some of the values, as far as they are known before their signatures are. */
interface Begun {
  readonly parsed: readonly Result<Pdu>[];
  readonly known: ReadonlyMap<string, Admission>;
  readonly fresh: readonly Fresh[];
  readonly reports: Promise<readonly SignatureReport[]>;
}

/** One admission for each value, in their order. */
export async function admit(
  context: AdmitContext,
  values: readonly unknown[],
  options: AdmitOptions,
): Promise<readonly Admission[]> {
  const keys = new KeyBook(context.keys);
  if (values.length > AT_A_TIME) await keys.ask(requestsOfAll(context.memory.version.rules, values), options.cancel);
  const admissions: Admission[] = [];
  const begun: Begun[] = [];
  const finishOldest = async (): Promise<void> => {
    const oldest = begun.shift();
    if (oldest !== undefined) for (const one of await finish(context, oldest, options)) admissions.push(one);
  };
  for (let at = 0; at < values.length; at += AT_A_TIME) {
    begun.push(await begin(context, keys, values.slice(at, at + AT_A_TIME), options));
    if (begun.length >= AHEAD) await finishOldest();
  }
  while (begun.length > 0) await finishOldest();
  return admissions;
}

async function begin(
  context: AdmitContext,
  keys: KeyBook,
  values: readonly unknown[],
  options: AdmitOptions,
): Promise<Begun> {
  const { memory, storage } = context;
  const { rules } = memory.version;
  const parsed = values.map((value) => parseFor(memory, value, options.mode));
  const all = parsed.flatMap((result) => (result.ok ? [result.value] : []));
  await memory.load(storage, [...new Set(all.map(({ pdu }) => pdu.eventId))], options.cancel);
  const known = new Map<string, Admission>();
  const fresh: Parsed[] = [];
  for (const one of all) {
    const { eventId } = one.pdu;
    const admission = known.get(eventId) ?? knownBefore(memory, one.pdu, options);
    if (admission === undefined) fresh.push(one);
    else known.set(eventId, admission);
  }
  await keys.ask(
    fresh.flatMap(({ pdu }) => keyRequests(rules, pdu)),
    options.cancel,
  );
  const reports = verifyBy(keys.lookup, rules, context.keys, fresh, options.cancel);
  // Whoever waits for it hears of a failure; it is no failure of nobody's before that.
  reports.catch(() => undefined);
  return {
    parsed: parsed.map((one) => (one.ok ? ok(one.value.pdu) : one)),
    known,
    fresh: fresh.map(({ pdu, forms }) => ({ pdu, hashMatches: contentHashMatches(pdu.json, forms) })),
    reports,
  };
}

async function finish(context: AdmitContext, begun: Begun, options: AdmitOptions): Promise<readonly Admission[]> {
  const { parsed, known, fresh } = begun;
  const { rules } = context.memory.version;
  const reports = await begun.reports;
  const checked = new Map<Pdu, Admission>();
  for (const [place, { pdu, hashMatches }] of fresh.entries()) {
    const report = reports[place];
    const refused = report === undefined ? undefined : refusedBy(pdu, report);
    if (refused !== undefined) checked.set(pdu, { kind: "refused", verdict: refused });
    else {
      const policy = options.mode === "live" ? await policyOf(context, pdu, options) : undefined;
      checked.set(pdu, { kind: "candidate", candidate: candidateOf(rules, pdu, hashMatches, options, policy) });
    }
  }
  return parsed.map((result) => {
    if (!result.ok) return { kind: "refused", verdict: { verdict: "malformed", refusal: result.error } };
    const pdu = result.value;
    const admission = known.get(pdu.eventId) ?? checked.get(pdu);
    return admission ?? { kind: "refused", verdict: { verdict: "malformed", refusal: lost(pdu) } };
  });
}

function lost(pdu: Pdu): Refusal {
  return { code: "bad_format", reason: "the event was given twice in different copies", events: [pdu.eventId] };
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
  hashMatches: boolean,
  { origin, mode }: Pick<AdmitOptions, "origin" | "mode">,
  policy: PolicyRefusal | undefined,
): Candidate {
  if (hashMatches) return { event: pdu, hashMismatch: false, origin, mode, policy };
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
  const book = new KeyBook(keys);
  await book.ask(
    pdus.flatMap((pdu) => keyRequests(rules, pdu)),
    cancel,
  );
  const parsed = pdus.map((pdu) => ({ pdu, forms: undefined }));
  return verifyBy(book.lookup, rules, keys, parsed, cancel);
}

/** The keys that were looked up for one call: each is asked for once, for the latest time at which it is wanted. */
class KeyBook {
  readonly #keys: Keys;
  /** By server and key id. */
  readonly #known = new Map<string, Map<string, { readonly validAt: number; readonly key: VerifyKey | undefined }>>();

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  readonly lookup: KeyLookup = (server, keyId) => this.#known.get(server)?.get(keyId)?.key;

  /** Asks for those that were not asked for; all at once, because a server that does not answer is waited for. */
  async ask(requests: readonly KeyRequest[], cancel: Cancel | undefined): Promise<void> {
    const latest = new Map<string, Map<string, KeyRequest>>();
    for (const request of requests) {
      const { server, keyId, validAt } = request;
      const before = this.#known.get(server)?.get(keyId) ?? latest.get(server)?.get(keyId);
      if (before === undefined || before.validAt < validAt) entriesOf(latest, server).set(keyId, request);
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
 * The same for many values that were not checked yet, so that their keys are looked up together. It decides nothing:
 * what is asked for in vain is asked for in vain, and what is not is asked for when its turn comes.
 */
function requestsOfAll(rules: RoomVersionRules, values: readonly unknown[]): readonly KeyRequest[] {
  const places = new Map<string, Map<string, number>>();
  const requests: KeyRequest[] = [];
  for (const value of values) {
    for (const request of requestsOf(rules, value)) {
      const ofServer = entriesOf(places, request.server);
      const place = ofServer.get(request.keyId);
      const known = place === undefined ? undefined : requests[place];
      if (place === undefined || known === undefined) ofServer.set(request.keyId, requests.push(request) - 1);
      else if (known.validAt < request.validAt) requests[place] = request;
    }
  }
  return requests.filter(({ server }) => isServerName(server, "historical"));
}

function requestsOf(rules: RoomVersionRules, value: unknown): readonly KeyRequest[] {
  try {
    if (typeof value !== "object" || value === null) return [];
    const json = value as JsonObject;
    const [type, sender, eventId] = [get(json, "type"), get(json, "sender"), get(json, "event_id") ?? ""];
    const [content, originServerTs] = [get(json, "content"), get(json, "origin_server_ts")];
    if (typeof type !== "string" || typeof sender !== "string" || typeof eventId !== "string") return [];
    if (!isObject(content) || typeof originServerTs !== "number") return [];
    return keyRequests(rules, { json, type, sender, content, eventId, originServerTs });
  } catch {
    // It is no plain data, as the check will say.
    return [];
  }
}
