/**
 * Check 2 on receipt, for many events at once (server-server-api, "Checks performed on receipt of a PDU"): which keys
 * are needed, the checks of all in one call, and what they come to.
 */
import type { EventForms } from "../event/forms.js";
import type { Pdu } from "../event/pdu.js";
import { planSignatures, planSigned, requiredSigners, settleSignatures } from "../event/signatures.js";
import type {
  KeyLookup,
  SignatureCheck,
  SignaturePlan,
  SignatureReport,
  SignerVerdict,
  VerifyKey,
} from "../event/signatures.js";
import { get, isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { Refusal } from "../errors.js";
import type { Awaitable, Cancel } from "../ports/cancel.js";
import type { KeyRequest, Keys, VerifyRequest } from "../ports/keys.js";
import type { Verdict } from "../ports/verdict.js";
import type { RoomVersionRules } from "../rules/model.js";

/** One look-up of keys, one batch of verifications. */
export async function verifySignatures(
  rules: RoomVersionRules,
  keys: Keys,
  pdus: readonly Pdu[],
  cancel: Cancel | undefined,
): Promise<readonly SignatureReport[]> {
  const book = new KeyBook(keys);
  await book.ask(pdus, (pdu, want) => keyRequests(rules, pdu, want), cancel);
  const plans = pdus.map((pdu) => planSignatures(rules, pdu, book.lookup));
  const checks = plans.flatMap((plan) => plan.checks);
  const outcomes = checks.length === 0 ? [] : await keys.verify(checks, cancel);
  let at = 0;
  return plans.map((plan) => settleSignatures(plan, outcomes.slice(at, (at += plan.checks.length))));
}

/**
 * The signatures of some events, gathered for one call. What is kept until it is answered are lists, not an object for
 * each event: those of 30,000 would be swept around (docs/performance.md).
 */
export class SignatureBatch {
  readonly #rules: RoomVersionRules;
  readonly #lookup: KeyLookup;
  /** What each event is called in the answer. */
  readonly #places: number[] = [];
  readonly #pdus: Pdu[] = [];
  /** Where the checks of each event end among those of all. */
  readonly #ends: number[] = [];
  /** What needs no check, by event, where that is anything. */
  readonly #settled = new Map<number, SignaturePlan["settled"]>();
  /** By whom and by which key each check is. */
  readonly #servers: string[] = [];
  readonly #keyIds: string[] = [];
  #pages = new Pages();
  #checks: VerifyRequest[] = [];
  #bytes = 0;

  constructor(rules: RoomVersionRules, lookup: KeyLookup) {
    this.#rules = rules;
    this.#lookup = lookup;
  }

  /** How many checks there are to make. */
  get size(): number {
    return this.#checks.length;
  }

  /** How many bytes are signed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param place what the event is called in the answer */
  add(place: number, pdu: Pdu, forms: EventForms): void {
    const { checks, settled } = planSigned(this.#rules, pdu, this.#lookup, forms.signedBytes());
    const message = checks.length === 0 ? undefined : this.#pages.copy(forms.signedBytes());
    for (const { server, keyId, key, signature } of checks) {
      if (message === undefined) break;
      this.#servers.push(server);
      this.#keyIds.push(keyId);
      this.#checks.push({ key, message, signature });
      this.#bytes += message.length;
    }
    if (settled.size > 0) this.#settled.set(this.#ends.length, settled);
    this.#places.push(place);
    this.#pdus.push(pdu);
    this.#ends.push(this.#servers.length);
  }

  /**
   * Verdicts on the events that their servers did not sign, or not for all that is known; by place. What was signed is
   * not kept meanwhile: it would be swept around (docs/performance.md).
   */
  verify(keys: Keys, cancel: Cancel | undefined): Promise<ReadonlyMap<number, Verdict>> {
    const checks = this.#checks;
    this.#checks = [];
    this.#pages = new Pages();
    return this.#refused(checks.length === 0 ? [] : keys.verify(checks, cancel));
  }

  async #refused(verdicts: Awaitable<readonly boolean[]>): Promise<ReadonlyMap<number, Verdict>> {
    const outcomes = await verdicts;
    const refused = new Map<number, Verdict>();
    for (let event = 0; event < this.#ends.length; event++) {
      const [begin, end] = [this.#ends[event - 1] ?? 0, this.#ends[event] ?? 0];
      if (!this.#settled.has(event) && areAllValid(outcomes, begin, end)) continue;
      const checks = this.#signersOf(begin, end);
      const settled = this.#settled.get(event) ?? new Map<string, SignerVerdict>();
      const report = settleSignatures({ checks, settled }, outcomes.slice(begin, end));
      const [place, pdu] = [this.#places[event], this.#pdus[event]];
      if (report.status === "verified" || place === undefined || pdu === undefined) continue;
      refused.set(place, refusalOf(pdu, report));
    }
    return refused;
  }

  #signersOf(begin: number, end: number): Pick<SignatureCheck, "server" | "keyId">[] {
    const keyIds = this.#keyIds.slice(begin, end);
    return this.#servers.slice(begin, end).map((server, at) => ({ server, keyId: keyIds[at] ?? "" }));
  }
}

/** Nothing but `true` is that: hosts may be plain JavaScript. */
function areAllValid(outcomes: readonly unknown[], begin: number, end: number): boolean {
  for (let at = begin; at < end; at++) if (outcomes[at] !== true) return false;
  return true;
}

/** Messages lie side by side in memory of this size at most, about. */
const PAGE = 65_536;

/**
 * Copies for hosts. An array of its own for each message is memory to allocate, to count and to free, which was a
 * twentieth of a join (docs/performance.md); and views of what this library writes to would be lost with it, should a
 * host transfer their memory to a thread. The first page is as large as its message: most batches are of one.
 */
class Pages {
  #page = new Uint8Array(0);
  #used = 0;

  copy(bytes: Uint8Array): Uint8Array {
    const start = this.#used + bytes.length > this.#page.length ? this.#turn(bytes.length) : this.#used;
    this.#page.set(bytes, start);
    this.#used = start + bytes.length;
    return this.#page.subarray(start, this.#used);
  }

  #turn(least: number): number {
    this.#page = new Uint8Array(Math.max(least, Math.min(2 * this.#page.length, PAGE)));
    return 0;
  }
}

function refusalOf({ eventId }: Pdu, report: SignatureReport): Verdict {
  const reasons: string[] = [];
  for (const [server, verdict] of report.servers) {
    if (verdict.status === "refused") reasons.push(`${server}: ${verdict.reason}`);
    else if (verdict.status === "needs-key") reasons.push(`${server}: no key ${verdict.keyIds.join(", ")}`);
  }
  const rule = "server-server-api Checks on receipt 2";
  const refusal: Refusal = { code: "bad_signature", rule, reason: reasons.join("; "), events: [eventId] };
  return { verdict: report.status === "refused" ? "bad-signature" : "unverifiable", eventId, refusal };
}

/** The keys that were looked up for one call: each is asked for once, unless it is wanted for a later time then. */
export class KeyBook {
  readonly #keys: Keys;
  /** By server and key id. */
  readonly #known = new Map<string, Map<string, { readonly validAt: number; readonly key: VerifyKey | undefined }>>();

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  readonly lookup: KeyLookup = (server, keyId) => this.#known.get(server)?.get(keyId)?.key;

  ask<T>(of: readonly T[], name: (one: T, want: Want) => void, cancel: Cancel | undefined): Awaitable<void> {
    const latest = new Map<string, Map<string, KeyRequest>>();
    const want: Want = (server, keyId, validAt) => {
      const before = latest.get(server)?.get(keyId) ?? this.#known.get(server)?.get(keyId);
      if (before !== undefined && before.validAt >= validAt) return;
      entriesOf(latest, server).set(keyId, { server, keyId, validAt });
    };
    for (const one of of) name(one, want);
    const wanted = [...latest.values()].flatMap((ofServer) => [...ofServer.values()]);
    if (wanted.length > 0) return this.#lookUp(wanted, cancel);
  }

  async #lookUp(wanted: readonly KeyRequest[], cancel: Cancel | undefined): Promise<void> {
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

type Signed = Parameters<typeof requiredSigners>[1] & { readonly json: JsonObject };

/** Names a key that is wanted; of one key the latest time counts. */
export type Want = (server: string, keyId: string, validAt: number) => void;

/** Names the keys by which the servers that have to sign an event say that they did. */
export function keyRequests(rules: RoomVersionRules, event: Signed, want: Want): void {
  const signatures = get(event.json, "signatures");
  for (const { server } of requiredSigners(rules, event)) {
    if (server === undefined) continue;
    const ofServer = isObject(signatures) ? get(signatures, server) : undefined;
    if (isObject(ofServer)) for (const keyId of Object.keys(ofServer)) want(server, keyId, event.originServerTs);
  }
}

/**
 * The same of a value that was not checked yet, so that the keys of many are looked up together. Of an object that
 * passes the check it is the same; text is not read for it.
 */
export function keyRequestsIn(rules: RoomVersionRules, value: unknown, want: Want): void {
  try {
    if (typeof value !== "object" || value === null) return;
    const json = value as JsonObject;
    const [type, sender, eventId] = [get(json, "type"), get(json, "sender"), get(json, "event_id") ?? ""];
    const [content, originServerTs] = [get(json, "content"), get(json, "origin_server_ts")];
    if (typeof type !== "string" || typeof sender !== "string" || typeof eventId !== "string") return;
    if (!isObject(content) || !Number.isSafeInteger(originServerTs)) return;
    keyRequests(rules, { json, type, sender, content, eventId, originServerTs: originServerTs as number }, want);
  } catch {
    // It is no plain data, as the check will say. What it named before, it named.
  }
}
