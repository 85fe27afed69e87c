/**
 * Check 2 on receipt, for many events at once (server-server-api, "Checks performed on receipt of a PDU"): which keys
 * are needed, the checks of all in one call, and what they come to.
 */
import type { EventForms } from "../event/forms.js";
import type { Pdu } from "../event/pdu.js";
import { planSignatures, requiredSigners, settleSignatures } from "../event/signatures.js";
import type { KeyLookup, SignatureCheck, SignaturePlan, SignatureReport, VerifyKey } from "../event/signatures.js";
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
  await book.ask(pdus, (pdu) => keyRequests(rules, pdu), cancel);
  const plans = pdus.map((pdu) => planSignatures(rules, pdu, book.lookup));
  const checks = plans.flatMap((plan) => plan.checks);
  const outcomes = checks.length === 0 ? [] : await keys.verify(checks, cancel);
  let at = 0;
  return plans.map((plan) => settleSignatures(plan, outcomes.slice(at, (at += plan.checks.length))));
}

/** An event whose signatures are verified. */
interface Pending {
  /** What it is called in the answer. */
  readonly place: number;
  readonly pdu: Pdu;
  /** Absent where that is nothing. */
  readonly settled: SignaturePlan["settled"] | undefined;
  /** Where its checks end among those of all. */
  readonly end: number;
}

/** The signatures of some events, gathered for one call. */
export class SignatureBatch {
  readonly #rules: RoomVersionRules;
  readonly #lookup: KeyLookup;
  readonly #events: Pending[] = [];
  /** By whom and by which key each check is. */
  readonly #signers: Pick<SignatureCheck, "server" | "keyId">[] = [];
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
    const { checks, settled } = planSignatures(this.#rules, pdu, this.#lookup, forms);
    for (const { server, keyId, key, message, signature } of checks) {
      this.#signers.push({ server, keyId });
      this.#checks.push({ key, message, signature });
      this.#bytes += message.length;
    }
    this.#events.push({ place, pdu, settled: settled.size === 0 ? undefined : settled, end: this.#signers.length });
  }

  /**
   * Verdicts on the events that their servers did not sign, or not for all that is known; by place. What was signed is
   * not kept meanwhile: it would be swept around (docs/performance.md).
   */
  verify(keys: Keys, cancel: Cancel | undefined): Promise<ReadonlyMap<number, Verdict>> {
    const checks = this.#checks;
    this.#checks = [];
    return this.#refused(checks.length === 0 ? [] : keys.verify(checks, cancel));
  }

  async #refused(verdicts: Awaitable<readonly boolean[]>): Promise<ReadonlyMap<number, Verdict>> {
    const outcomes = await verdicts;
    const refused = new Map<number, Verdict>();
    let at = 0;
    for (const { place, pdu, settled, end } of this.#events) {
      const of = outcomes.slice(at, end);
      const checks = this.#signers.slice(at, end);
      at = end;
      // Nearly all of them.
      if (settled === undefined && of.length === checks.length && of.every((valid: unknown) => valid === true))
        continue;
      const report = settleSignatures({ checks, settled: settled ?? new Map() }, of);
      if (report.status !== "verified") refused.set(place, refusalOf(pdu, report));
    }
    return refused;
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

  ask<T>(of: readonly T[], requests: (one: T) => readonly KeyRequest[], cancel: Cancel | undefined): Awaitable<void> {
    const latest = new Map<string, Map<string, KeyRequest>>();
    for (const one of of) {
      for (const request of requests(one)) {
        const { server, keyId, validAt } = request;
        const before = latest.get(server)?.get(keyId) ?? this.#known.get(server)?.get(keyId);
        if (before === undefined || before.validAt < validAt) entriesOf(latest, server).set(keyId, request);
      }
    }
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

/** The keys by which the servers that have to sign an event say that they did. */
export function keyRequests(rules: RoomVersionRules, event: Signed): readonly KeyRequest[] {
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
export function keyRequestsIn(rules: RoomVersionRules, value: unknown): readonly KeyRequest[] {
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
