/**
 * Checks 1 to 3 on receipt, for many events at once: format, signatures, content hash. What is known already
 * is told apart before anything costly is done.
 */
import { parsePduForms, readPdu } from "../event/format.js";
import type { PduForms } from "../event/format.js";
import { contentHashMatches } from "../event/hashes.js";
import { redact } from "../event/redact.js";
import type { Pdu } from "../event/pdu.js";
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import type { Cancel } from "../ports/cancel.js";
import type { Clock } from "../ports/clock.js";
import type { Keys } from "../ports/keys.js";
import type { Policy } from "../ports/policy.js";
import type { Storage } from "../ports/storage.js";
import type { Verdict } from "../ports/verdict.js";
import type { RoomVersionRules } from "../rules/model.js";
import { heldCandidate, mayRedecide } from "./decide.js";
import type { Candidate, Mode } from "./decide.js";
import type { Limits } from "./limits.js";
import { completes, verdictOf } from "./held.js";
import type { Held } from "./held.js";
import type { RoomMemory } from "./memory.js";
import { KeyBook, keyRequests, keyRequestsIn, SignatureBatch } from "./signatures.js";

/** What checks 1 to 3 came to, for one event. */
export type Admission =
  | Candidate
  /** Decided before; nothing more to do. */
  | { readonly kind: "known"; readonly eventId: string; readonly verdict: Verdict }
  | { readonly kind: "refused"; readonly verdict: Verdict };

/** What admitting needs of the room and its host. */
export interface AdmitContext {
  readonly memory: RoomMemory;
  readonly storage: Storage;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly policy: Policy;
}

export interface AdmitOptions {
  readonly origin: string;
  readonly mode: Mode;
  readonly cancel?: Cancel | undefined;
}

/**
 * How many events are read at a time: their canonical forms die before young garbage is swept. With those of 500 alive,
 * a join spent twice as long on sweeping (docs/performance.md).
 */
const AT_A_TIME = 64;
/** How many signatures go to the Keys port in one call, about. */
const TOGETHER = 512;

/** What is read of some values, while their signatures are verified. */
interface Part {
  /** As if every signature were valid. */
  readonly presumed: readonly Admission[];
  /** Verdicts on those whose signatures are not, by place in the part. */
  readonly refused: Promise<ReadonlyMap<number, Verdict>>;
}

/** What another server's answer comes to, while its signatures are verified. */
export interface Presumption {
  /** One admission for each value, in their order, as if every signature were valid. */
  readonly admissions: readonly Admission[];
  /** How they turn out: {@link Presumption.admissions} itself if every signature is valid. */
  readonly settled: () => Promise<readonly Admission[]>;
}

/** One admission for each value, in their order. */
export async function admit(
  context: AdmitContext,
  values: readonly unknown[],
  options: AdmitOptions,
): Promise<readonly Admission[]> {
  const admissions: Admission[] = [];
  const isAsking = options.mode === "live" && context.policy.checkEvent !== undefined;
  for (const { presumed, refused } of await read(context, values, options)) {
    for (const one of settledOf(presumed, await refused)) {
      admissions.push(isAsking ? await asked(context, one, options) : one);
    }
  }
  return admissions;
}

/** The same of a state and its auth chain, for whoever has something to do until its signatures are verified. */
export async function presume(
  context: AdmitContext,
  values: readonly unknown[],
  options: Omit<AdmitOptions, "mode">,
): Promise<Presumption> {
  const parts = await read(context, values, { ...options, mode: "import" });
  const admissions = parts.flatMap(({ presumed }) => presumed);
  const settled = async (): Promise<readonly Admission[]> => {
    const found = await Promise.all(parts.map(async ({ presumed, refused }) => settledOf(presumed, await refused)));
    return found.every((one, at) => one === parts[at]?.presumed) ? admissions : found.flat();
  };
  return { admissions, settled };
}

/** How a part turns out: what was presumed itself if every signature is valid. */
function settledOf(presumed: Part["presumed"], against: ReadonlyMap<number, Verdict>): readonly Admission[] {
  if (against.size === 0) return presumed;
  return presumed.map((one, place): Admission => {
    const verdict = against.get(place);
    return verdict === undefined ? one : { kind: "refused", verdict };
  });
}

/** Reads all values, while the signatures of those before are verified. */
async function read(
  context: AdmitContext,
  values: readonly unknown[],
  options: AdmitOptions,
): Promise<readonly Part[]> {
  const { keys, clock } = context;
  const { rules } = context.memory.version;
  const { cancel } = options;
  const book = new KeyBook(keys);
  // One look-up for all, because a server that does not answer is waited for.
  const together = values.length > AT_A_TIME;
  if (together) await book.ask(values, (value, want) => keyRequestsIn(rules, value, want), cancel);
  const parts: Part[] = [];
  const ahead = new Ahead(context.memory.limits);
  for (let at = 0; at < values.length;) {
    const batch = new SignatureBatch(rules, book.lookup);
    const presumed: Admission[] = [];
    for (const end = at + TOGETHER; at < end && at < values.length && batch.size < TOGETHER; at += AT_A_TIME) {
      await readSome(context, together ? values.slice(at, at + AT_A_TIME) : values, options, {
        book,
        together,
        batch,
        presumed,
      });
    }
    const { size, bytes } = batch;
    const refused = batch.verify(keys, cancel);
    // Whoever waits for it hears of a failure; until someone does it must not count as unhandled.
    refused.catch(() => undefined);
    parts.push({ presumed, refused });
    if (at >= values.length) break;
    await ahead.add({ refused, signatures: size, bytes });
    // Whatever else the process has to do gets its turn.
    await clock.sleep(0, cancel);
  }
  return parts;
}

/** Signatures that are being verified. */
interface Underway {
  readonly refused: Promise<unknown>;
  readonly signatures: number;
  readonly bytes: number;
}

/** Bounds what is under way. Beside what is left of it when all is read, a join is decided. */
class Ahead {
  readonly #limits: Limits;
  readonly #batches: Underway[] = [];
  #signatures = 0;
  #bytes = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  async add(batch: Underway): Promise<void> {
    this.#batches.push(batch);
    this.#signatures += batch.signatures;
    this.#bytes += batch.bytes;
    const { aheadSignatures, aheadBytes } = this.#limits;
    while (this.#signatures > aheadSignatures || this.#bytes > aheadBytes) {
      const oldest = this.#batches.shift();
      if (oldest === undefined) return;
      await oldest.refused;
      this.#signatures -= oldest.signatures;
      this.#bytes -= oldest.bytes;
    }
  }
}

/** Where what is read goes. */
interface Into {
  readonly book: KeyBook;
  /** Whether its keys were looked up. Text was not read for that. */
  readonly together: boolean;
  readonly batch: SignatureBatch;
  readonly presumed: Admission[];
}

async function readSome(
  { memory, storage }: AdmitContext,
  values: readonly unknown[],
  options: AdmitOptions,
  { book, together, batch, presumed }: Into,
): Promise<void> {
  const { rules } = memory.version;
  const parsed = values.map((value) => parseFor(memory, value, options.mode));
  // Storage is read at this revision, or later.
  const now = { revision: memory.record?.revision };
  const ids = new Set<string>();
  for (const one of parsed) if (one.ok) ids.add(one.value.pdu.eventId);
  const loaded = await memory.load(storage, [...ids], options.cancel);
  const found = new Map<string, Held>(loaded.map((held) => [held.event.eventId, held]));
  const fresh: { readonly place: number; readonly one: PduForms }[] = [];
  for (const one of parsed) {
    if (!one.ok) {
      presumed.push({ kind: "refused", verdict: { verdict: "malformed", refusal: one.error } });
      continue;
    }
    const held = found.get(one.value.pdu.eventId);
    const known = knownBefore(memory, held, one.value.pdu, options);
    if (known === undefined) fresh.push({ place: presumed.length, one: one.value });
    const newAt = held === undefined ? now : undefined;
    presumed.push(known ?? candidateOf(rules, one.value, newAt, options));
  }
  if (!together || values.some((value) => typeof value === "string")) {
    await book.ask(fresh, ({ one }, want) => keyRequests(rules, one.pdu, want), options.cancel);
  }
  for (const { place, one } of fresh) batch.add(place, one.pdu, one.forms);
}

/** Backfill and states tolerate more references than a live event may have (digest SZ3). */
function parseFor(memory: RoomMemory, value: unknown, mode: Mode): Result<PduForms> {
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
    if (mayRedecide(held, mode)) return heldCandidate(held, options.origin, mode);
    return { kind: "known", eventId, verdict: verdictOf(eventId, held.verdict, held.hashMismatch) };
  }
  const row = memory.pending.get(eventId);
  if (row === undefined) return undefined;
  const copy = { event: memory.pduOf(row), hashMismatch: row.hashMismatch };
  return completes(rules, copy, pdu) ? undefined : heldCandidate(copy, row.origin, mode);
}

/** Check 3: an event whose content hash does not match goes on as its redacted copy. */
function candidateOf(
  rules: RoomVersionRules,
  { pdu, forms }: PduForms,
  newAt: Candidate["newAt"],
  { origin, mode }: AdmitOptions,
): Candidate {
  const received = {
    kind: "candidate",
    event: pdu,
    hashMismatch: false,
    origin,
    mode,
    policy: undefined,
    newAt,
  } as const;
  if (contentHashMatches(pdu.json, forms)) return received;
  const copy = readPdu(rules, redact(rules, pdu.json), { counts: "tolerated", eventId: pdu.eventId });
  return { ...received, event: copy.ok ? copy.value : pdu, hashMismatch: true };
}

/** With what the host's policy holds against it, if it is new. What waited here is asked about when it matters. */
async function asked(
  { policy, memory }: AdmitContext,
  admission: Admission,
  { origin, cancel }: AdmitOptions,
): Promise<Admission> {
  if (policy.checkEvent === undefined || admission.kind !== "candidate") return admission;
  if (admission.policy === "unasked") return admission;
  const { event } = admission;
  const refused = await policy.checkEvent({ event, roomVersion: memory.version.id, origin }, cancel);
  return { ...admission, policy: refused };
}
