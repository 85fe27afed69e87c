/**
 * The authorisation rules of every room version, in their own order. The state-independent part looks
 * at the event and its `auth_events` once, at receipt; the state-dependent part is run against each
 * state that matters: the auth events, the state before the event, the current state, and the states
 * that resolution builds.
 */
import { domainOf, isUserId } from "../ids/grammar.js";
import { get, isArray } from "../json/value.js";
import type { JsonValue } from "../json/value.js";
import { createEventIdOf } from "../event/pdu.js";
import type { RoomEvent } from "../event/pdu.js";
import type { RoomVersionRules } from "../rules/model.js";
import { Judge, reaches } from "./judge.js";
import type { LevelMaps } from "./level-maps.js";
import { checkMember } from "./member.js";
import { checkPowerLevels } from "./power-levels.js";
import { selectAuthEvents } from "./select.js";
import type { StateKey } from "./select.js";
import { allow, reject, signaturesChecked } from "./verdict.js";
import type { AuthFacts, AuthVerdict, StateLookup } from "./verdict.js";

/** An event that the host holds, and whether it was rejected on receipt. */
export interface KnownEvent {
  readonly event: RoomEvent;
  readonly rejected: boolean;
}

/** Looks an event up by id; `undefined` means that the host does not have it. */
export type EventLookup = (eventId: string) => KnownEvent | undefined;

/** Every version that the spec defines; what `content.room_version` of a create event may name. */
const recognisedVersions: ReadonlySet<string> = new Set([
  "1",
  "2",
  "3",
  "4",
  "5",
  "6",
  "7",
  "8",
  "9",
  "10",
  "11",
  "12",
]);

/**
 * The rules that need no room state: create events, the room id of room version 12, and what an event
 * cites in `auth_events`. While a cited event is missing the answer is `needs`, never a rejection.
 */
export function checkStateIndependent(rules: RoomVersionRules, event: RoomEvent, lookup: EventLookup): AuthVerdict {
  // Create events are allowed here before their `auth_events` are looked at, even non-empty ones (AU23).
  if (event.type === "m.room.create") return checkCreate(rules, event);
  let needs: Set<string> | undefined;
  const createId = createEventIdOf(event.roomId);
  const create = rules.auth.createEvent === "implied" ? lookup(createId) : undefined;
  if (rules.auth.createEvent === "implied" && create === undefined) (needs ??= new Set()).add(createId);
  const cited: KnownEvent[] = [];
  for (const id of event.authEvents) {
    const known = lookup(id);
    if (known === undefined) (needs ??= new Set()).add(id);
    else cited.push(known);
  }
  if (needs !== undefined) return { verdict: "needs", events: [...needs], facts: [] };
  if (rules.auth.createEvent === "implied" && (create?.rejected !== false || create.event.type !== "m.room.create")) {
    return reject(rules, event, "room-id.create", "the room id names no accepted create event", [create?.event]);
  }
  return checkAuthEvents(rules, event, cited);
}

/** Rule 1 goes by type alone: any create event with previous events is rejected, whatever its state key (AU19). */
function checkCreate(rules: RoomVersionRules, event: RoomEvent): AuthVerdict {
  if (event.prevEvents.length > 0)
    return reject(rules, event, "create.prev-events", "a create event has no `prev_events`");
  if (rules.format.roomIds === "create-hash") {
    if (event.hasRoomId)
      return reject(rules, event, "create.room-id", "a create event has no `room_id` in this version");
  } else if (domainOf(event.roomId) !== domainOf(event.sender)) {
    return reject(rules, event, "create.room-id", "the room id is not of the sender's server");
  }
  if (!recognises(rules, get(event.content, "room_version"))) {
    return reject(rules, event, "create.room-version", "`room_version` is not recognised");
  }
  if (rules.auth.creator === "content" && get(event.content, "creator") === undefined) {
    return reject(rules, event, "create.creator", "`creator` is missing");
  }
  const additional = get(event.content, "additional_creators");
  if (rules.auth.creatorPower === "infinite" && additional !== undefined) {
    if (!isArray(additional) || !additional.every((user) => isUserId(user))) {
      return reject(rules, event, "create.additional-creators", "`additional_creators` is not an array of user ids");
    }
  }
  return allow(rules, "create.allow");
}

/** A version outside the spec, I.1 among them, must be named by its rooms. */
function recognises(rules: RoomVersionRules, version: JsonValue | undefined): boolean {
  if (!recognisedVersions.has(rules.id)) return version === rules.id;
  return version === undefined || (typeof version === "string" && recognisedVersions.has(version));
}

function checkAuthEvents(rules: RoomVersionRules, event: RoomEvent, cited: readonly KnownEvent[]): AuthVerdict {
  const selection = selectAuthEvents(rules, event);
  const seen: RoomEvent[] = [];
  for (const { event: other, rejected } of cited) {
    const twin = twinOf(seen, other);
    if (twin !== undefined) {
      return reject(rules, event, "auth-events.duplicate", "two auth events share a type and state key", [twin, other]);
    }
    if (!isSelected(selection, other)) {
      return reject(rules, event, "auth-events.selection", "an auth event is outside the selection", [other]);
    }
    if (rejected) return reject(rules, event, "auth-events.rejected", "an auth event was rejected", [other]);
    if (other.roomId !== event.roomId) {
      return reject(rules, event, "auth-events.room", "an auth event is of another room", [other]);
    }
    seen.push(other);
  }
  if (rules.auth.createEvent === "cited" && !seen.some(({ type }) => type === "m.room.create")) {
    return reject(rules, event, "auth-events.create", "no create event among the auth events");
  }
  return allow(rules, "allow");
}

function twinOf(events: readonly RoomEvent[], { type, stateKey }: RoomEvent): RoomEvent | undefined {
  for (const event of events) if (event.type === type && event.stateKey === stateKey) return event;
  return undefined;
}

function isSelected(selection: readonly StateKey[], { type, stateKey }: RoomEvent): boolean {
  for (const selected of selection) if (selected[0] === type && selected[1] === stateKey) return true;
  return false;
}

/**
 * The rules that depend on room state. `state` answers for the state that the event is judged against;
 * in room version 12 it must hold the create event too, although events do not cite it.
 */
export function checkStateDependent(
  rules: RoomVersionRules,
  event: RoomEvent,
  state: StateLookup,
  facts: AuthFacts = signaturesChecked,
): AuthVerdict {
  return checkAmongOthers(rules, event, state, facts, undefined);
}

/** The same for many events in one go: `levelMaps` carries what was found out about power levels between them. */
export function checkAmongOthers(
  rules: RoomVersionRules,
  event: RoomEvent,
  state: StateLookup,
  facts: AuthFacts,
  levelMaps: LevelMaps | undefined,
): AuthVerdict {
  if (event.type === "m.room.create") return allow(rules, "create.allow");
  const create = state("m.room.create", "");
  if (create === undefined) {
    const rule = rules.auth.createEvent === "cited" ? "auth-events.create" : "room-id.create";
    return reject(rules, event, rule, "the state has no create event");
  }
  const judge = new Judge(rules, event, create, state, facts, levelMaps);
  if (!mayFederate(create) && domainOf(create.sender) !== domainOf(event.sender)) {
    return judge.reject("federate", "the room is closed to other servers", [create]);
  }
  if (event.type === "m.room.aliases" && rules.auth.aliases) return checkAliases(judge);
  if (event.type === "m.room.member") return checkMember(judge);
  return checkFromMember(judge);
}

/** Only the boolean `false` closes a room by the text; Synapse and ruma both refuse other values but null too (AU3). */
function mayFederate(create: RoomEvent): boolean {
  const federate = get(create.content, "m.federate");
  return federate === undefined || federate === null || federate === true;
}

/** v1-5 rule 4: before the member rule, so that the sender need not be joined. */
function checkAliases(judge: Judge): AuthVerdict {
  const { stateKey, sender } = judge.event;
  if (stateKey === undefined) return judge.reject("aliases.state-key", "aliases need a `state_key`");
  if (stateKey !== domainOf(sender)) return judge.reject("aliases.domain", "a server sets its own aliases only");
  return judge.allow("aliases.allow");
}

/** The rules for every type but membership. */
function checkFromMember(judge: Judge): AuthVerdict {
  const { event, rules } = judge;
  const { sender, stateKey } = event;
  if (judge.membership(sender) !== "join") {
    return judge.reject("sender-joined", `${sender} is not joined`, [judge.member(sender)]);
  }
  const level = judge.level(sender);
  if (event.type === "m.room.third_party_invite") {
    // The invite level alone counts, not the level of the event type (AU17).
    if (reaches(level, judge.scalar("invite"))) return judge.allow("third-party-invite");
    return judge.reject("third-party-invite", `${sender} may not invite`, [judge.powerLevels]);
  }
  if (!reaches(level, judge.required())) {
    return judge.reject("required-level", `${sender} may not send ${event.type}`, [judge.powerLevels]);
  }
  if (stateKey?.startsWith("@") === true && stateKey !== sender) {
    return judge.reject("state-key", `the state key belongs to ${stateKey}`);
  }
  if (event.type === "m.room.power_levels") return checkPowerLevels(judge);
  if (event.type === "m.room.redaction" && rules.auth.redactions) return checkRedaction(judge);
  return judge.allow("allow");
}

/** v1-2 rule 11 compares the domains of event ids, not of senders. */
function checkRedaction(judge: Judge): AuthVerdict {
  const { event } = judge;
  const level = judge.level(event.sender);
  const needed = judge.scalar("redact");
  if (level === undefined || needed === undefined) {
    return judge.reject("redaction.level", "a level that decides cannot be read", [judge.powerLevels]);
  }
  if (reaches(level, needed)) return judge.allow("redaction.level");
  const domain = domainOf(event.eventId);
  if (domain !== undefined && event.redacts !== undefined && domainOf(event.redacts) === domain) {
    return judge.allow("redaction.domain");
  }
  return judge.reject("redaction.otherwise", `${event.sender} may not redact this event`, [judge.powerLevels]);
}

/** The state that an event's own auth events make, for judging it against them. */
export function stateOfAuthEvents(
  rules: RoomVersionRules,
  event: RoomEvent,
  lookup: (eventId: string) => RoomEvent | undefined,
): StateLookup {
  const events: RoomEvent[] = [];
  for (const id of event.authEvents) {
    const cited = lookup(id);
    if (cited !== undefined) events.push(cited);
  }
  if (rules.auth.createEvent === "implied") {
    const create = lookup(createEventIdOf(event.roomId));
    if (create !== undefined) events.push(create);
  }
  return (type, stateKey) => events.find((cited) => cited.type === type && cited.stateKey === stateKey);
}
