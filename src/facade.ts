/**
 * Room versions for people who want one call: plain JSON in, plain JSON or plain data out. Everything
 * here is a thin line over the subpaths, which do the same without parsing events anew every time.
 */
import { checkStateDependent, checkStateIndependent, stateOfAuthEvents } from "./auth/check.js";
import type { KnownEvent } from "./auth/check.js";
import { selectAuthEvents } from "./auth/select.js";
import type { StateKey } from "./auth/select.js";
import { signaturesChecked } from "./auth/verdict.js";
import type { AuthFacts, AuthVerdict, FactRequest, StateLookup } from "./auth/verdict.js";
import { encodeUnpadded } from "./crypto/base64.js";
import { RoomIndex } from "./dag/room-index.js";
import { UsageError } from "./errors.js";
import type { Refusal, Result } from "./errors.js";
import { checkJson, parsePdu, parsePduText } from "./event/format.js";
import type { ParseOptions } from "./event/format.js";
import { contentHash, contentHashMatches, eventIdOf } from "./event/hashes.js";
import { readEvent, separateId } from "./event/loose.js";
import type { LooseEvent } from "./event/loose.js";
import type { Pdu, RoomEvent } from "./event/pdu.js";
import { redact } from "./event/redact.js";
import { signEvent } from "./event/sign.js";
import type { SigningKey } from "./event/sign.js";
import { checkSignatures } from "./event/signatures.js";
import type { KeyLookup, SignatureReport } from "./event/signatures.js";
import { isObject } from "./json/value.js";
import type { JsonObject } from "./json/value.js";
import type { RoomVersionRules } from "./rules/model.js";
import type { ResolutionTrace } from "./stateres/trace.js";
import { compareCodePoints } from "./json/compare.js";
import { roomVersions } from "./versions/index.js";
import type { RoomVersionRegistry } from "./versions/registry.js";
import type { RoomVersion } from "./versions/room-version.js";

/** What an event is judged against. Events are federation PDUs; an `event_id` in them is honoured. */
export interface AuthorizeInput {
  /** The events that it cites in `auth_events`. */
  readonly authEvents: readonly unknown[];
  /** The full state before it; without it, the state-dependent rules run on the auth events. */
  readonly state?: readonly unknown[];
  /** The create event, which events of room version 12 do not cite. */
  readonly create?: unknown;
  /** Ids of events that were rejected on receipt. */
  readonly rejected?: readonly string[];
  /** Signature facts; by default the event's own signatures count as checked. */
  readonly facts?: AuthFacts;
}

/** States to be resolved. Events are federation PDUs; an `event_id` in them is honoured. */
export interface ResolveInput {
  /** Event ids, one list a state. */
  readonly stateSets: readonly (readonly string[])[];
  /** The events of those states and their auth chains. */
  readonly events: readonly unknown[];
  /** Ids of events that were rejected on receipt. */
  readonly rejected?: readonly string[];
  /** Whether to report every step of the resolution. */
  readonly trace?: boolean;
}

/** What a resolution came to. */
export type ResolveOutput =
  /** Ids of the resolved state, sorted by code point. */
  | { readonly verdict: "resolved"; readonly state: readonly string[]; readonly trace?: ResolutionTrace }
  /** These events or facts are missing; resolving again with them may ask for more. */
  | { readonly verdict: "needs"; readonly events: readonly string[]; readonly facts: readonly FactRequest[] }
  /** The input is no set of states of one room. */
  | { readonly verdict: "refused"; readonly refusal: Refusal };

/** The signature report of an event together with its content hash. */
export interface VerifyOutput extends SignatureReport {
  /** Whether the content hash matches; where it does not, the event is to be redacted. */
  readonly contentHash: boolean;
}

/**
 * One room version. What comes from the network goes through `parse`, whose refusals are values. All
 * other calls take events as JSON values (`parsed.value.json`, or what a host stored), read of them
 * only what they need, and throw a `UsageError` for a value that is no event.
 */
export interface RoomVersionApi {
  /** The identifier, as in `m.room.create`'s `room_version`. */
  readonly id: string;
  readonly rules: RoomVersionRules;
  /**
   * Format check of one PDU, given as JSON text (which is checked as it was written) or as a value.
   * Neither hash nor signatures are looked at: that is `verify`.
   */
  parse(pdu: unknown, options?: ParseOptions): Result<Pdu>;
  /** The redacted copy, without `unsigned`. */
  redact(pdu: unknown): JsonObject;
  /** SHA-256 of the content, in unpadded base64, computed anew. */
  contentHash(pdu: unknown): string;
  /** The id that follows from the event; in room versions 1 and 2 the one that it carries. */
  eventId(pdu: unknown): string;
  /** A copy of the event with `hashes` and one more signature. */
  sign(pdu: unknown, key: SigningKey): JsonObject;
  /** Whether every server that has to sign did, and whether the content hash matches. */
  verify(pdu: unknown, keys: KeyLookup): VerifyOutput;
  /** The state keys that the event has to cite in `auth_events`. */
  authTypes(pdu: unknown): readonly StateKey[];
  /** The authorisation rules, on the event's auth events and on the state before it. */
  authorize(pdu: unknown, input: AuthorizeInput): AuthVerdict;
  /** State resolution. */
  resolve(input: ResolveInput): ResolveOutput;
}

/**
 * The API of one room version.
 * @throws UsageError for an identifier that the registry does not have.
 */
export function version(id: string, registry: RoomVersionRegistry = roomVersions): RoomVersionApi {
  const found = registry.get(id);
  if (!found.ok) throw new UsageError(`${found.error.reason}: register it, or use one of ${registry.ids().join(", ")}`);
  return apiOf(found.value);
}

function apiOf(roomVersion: RoomVersion): RoomVersionApi {
  const { rules } = roomVersion;
  return Object.freeze({
    id: roomVersion.id,
    rules,
    parse: (pdu: unknown, options?: ParseOptions) =>
      typeof pdu === "string" ? parsePduText(rules, pdu, options) : parsePdu(rules, pdu, options),
    redact: (pdu: unknown) => redact(rules, federationForm(rules, pdu).json),
    contentHash: (pdu: unknown) => encodeUnpadded(contentHash(federationForm(rules, pdu).json)),
    eventId: (pdu: unknown) => eventIdOf(rules, federationForm(rules, pdu).json),
    sign: (pdu: unknown, key: SigningKey) => signEvent(rules, federationForm(rules, pdu).json, key),
    verify: (pdu: unknown, keys: KeyLookup) => {
      const event = eventOf(rules, pdu);
      return { ...checkSignatures(rules, event, keys), contentHash: contentHashMatches(event.json) };
    },
    authTypes: (pdu: unknown) => selectAuthEvents(rules, eventOf(rules, pdu)),
    authorize: (pdu: unknown, input: AuthorizeInput) => authorize(rules, eventOf(rules, pdu), input),
    resolve: (input: ResolveInput) => resolve(roomVersion, input),
  });
}

/** The value as JSON that this room version allows, without the `event_id` that is no part of it. */
function federationForm(
  rules: RoomVersionRules,
  pdu: unknown,
): { readonly json: JsonObject; readonly eventId: string | undefined } {
  const checked = checkJson(rules, pdu);
  if (!checked.ok) throw new UsageError(`this is no event of room version ${rules.id}: ${checked.error.reason}`);
  if (!isObject(checked.value)) throw new UsageError("an event is a JSON object");
  return separateId(rules, checked.value);
}

function eventOf(rules: RoomVersionRules, pdu: unknown): LooseEvent {
  const checked = checkJson(rules, pdu);
  const event = checked.ok ? readEvent(rules, checked.value) : checked;
  if (!event.ok) throw new UsageError(`this is no event of room version ${rules.id}: ${event.error.reason}`);
  return event.value;
}

function authorize(rules: RoomVersionRules, event: LooseEvent, input: AuthorizeInput): AuthVerdict {
  const rejected = new Set(input.rejected);
  const known = new Map<string, KnownEvent>();
  const given = input.create === undefined ? input.authEvents : [...input.authEvents, input.create];
  for (const pdu of given) {
    const other = eventOf(rules, pdu);
    known.set(other.eventId, { event: other, rejected: rejected.has(other.eventId) });
  }
  const independent = checkStateIndependent(rules, event, (id) => known.get(id));
  if (independent.verdict !== "allowed") return independent;
  const state =
    input.state === undefined
      ? stateOfAuthEvents(rules, event, (id) => known.get(id)?.event)
      : stateOfEvents(input.state.map((pdu) => eventOf(rules, pdu)));
  return checkStateDependent(rules, event, state, input.facts ?? signaturesChecked);
}

function stateOfEvents(events: readonly RoomEvent[]): StateLookup {
  const byType = new Map<string, Map<string, RoomEvent>>();
  for (const event of events) {
    if (event.stateKey === undefined) continue;
    let ofType = byType.get(event.type);
    if (ofType === undefined) byType.set(event.type, (ofType = new Map<string, RoomEvent>()));
    ofType.set(event.stateKey, event);
  }
  return (type, stateKey) => byType.get(type)?.get(stateKey);
}

function resolve(roomVersion: RoomVersion, input: ResolveInput): ResolveOutput {
  const { rules } = roomVersion;
  const rejected = new Set(input.rejected);
  const index = new RoomIndex(rules);
  for (const pdu of input.events) {
    const event = eventOf(rules, pdu);
    index.add(event, { rejected: rejected.has(event.eventId) });
  }
  const absent = new Set<string>();
  for (const ids of input.stateSets) for (const id of ids) if (index.get(id) === undefined) absent.add(id);
  if (absent.size > 0) return { verdict: "needs", events: [...absent].sort(compareCodePoints), facts: [] };
  const states = input.stateSets.map((ids) => index.stateOf(ids));
  const resolved = roomVersion.resolve(index, states, { trace: input.trace === true });
  if (resolved.verdict !== "resolved") return resolved;
  const state = index.idsOf(resolved.state).sort(compareCodePoints);
  return resolved.trace === undefined
    ? { verdict: "resolved", state }
    : { verdict: "resolved", state, trace: resolved.trace };
}
