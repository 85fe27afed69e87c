/**
 * The events of one room version written as those of another: what people did stays, what follows from the version's
 * format is made anew. Ids change, because they are hashes of what changes.
 */
import { selectAuthEvents } from "../auth/select.js";
import { encodeUnpadded } from "../crypto/base64.js";
import { ok } from "../errors.js";
import type { Result } from "../errors.js";
import { checkJson, readPdu } from "../event/format.js";
import { omit, referenceHash } from "../event/hashes.js";
import { hashEvent } from "../event/sign.js";
import type { Pdu } from "../event/pdu.js";
import { isUserId, serverOf } from "../ids/grammar.js";
import { encodeCanonical } from "../json/canonical.js";
import { get, isArray, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";

/** What the format of a version made necessary, told once each. */
export type Adaptation =
  /** The room has another id. */
  | "room-id"
  /** Create events say the version, and what it wants of them. */
  | "create-content"
  /** The create event is cited, or is not any more. */
  | "create-citation"
  /** References are pairs or ids, ids hashes or chosen. */
  | "references"
  /** A redaction names its event elsewhere. */
  | "redacts"
  /** Creators are taken out of the power levels (they stand above them), or are put in (at the highest level there). */
  | "creators-levels"
  /** Auth events are left out that the version does not select. */
  | "selection";

/** Rewrites events one after the other, each after those that it cites. */
export class Rewriter {
  readonly adaptations: Set<Adaptation> = new Set();
  readonly #from: RoomVersionRules;
  readonly #to: RoomVersionRules;
  readonly #byOldId = new Map<string, Pdu>();
  /** Old events by id, for what they are. */
  readonly #old: (eventId: string) => Pdu | undefined;
  #roomId: string | undefined;
  #createId: string | undefined;
  #creators: readonly string[] = [];

  constructor(from: RoomVersionRules, to: RoomVersionRules, old: (eventId: string) => Pdu | undefined) {
    this.#from = from;
    this.#to = to;
    this.#old = old;
  }

  /** The id that an event has now; one that is not here keeps what it had. */
  idOf(oldId: string): string {
    return this.#byOldId.get(oldId)?.eventId ?? oldId;
  }

  /** A refusal means that the version has no form for this event: its numbers, its sizes. */
  rewrite(pdu: Pdu): Result<Pdu> {
    const json = this.#rewritten(pdu);
    const checked = checkJson(this.#to, json);
    if (!checked.ok) return checked;
    const read = readPdu(this.#to, json, { counts: "tolerated" });
    if (!read.ok) return read;
    this.#byOldId.set(pdu.eventId, read.value);
    if (pdu.type === "m.room.create" && pdu.stateKey === "" && this.#createId === undefined) {
      this.#createId = read.value.eventId;
      if (this.#to.format.roomIds === "create-hash") this.#roomId = read.value.roomId;
    }
    return ok(read.value);
  }

  #rewritten(pdu: Pdu): JsonObject {
    const changes: Record<string, JsonValue> = {};
    const dropped: string[] = [];
    if (pdu.type === "m.room.create" && pdu.stateKey === "") this.#creators = creatorsOf(this.#from, pdu);
    this.#writeRoomId(pdu, changes, dropped);
    if (this.#to.format.eventIds !== "in-pdu") dropped.push("event_id");
    else if (this.#from.format.eventIds !== "in-pdu") changes["event_id"] = this.#chosenId(pdu);
    changes["prev_events"] = this.#references(pdu, "prev_events", pdu.prevEvents);
    changes["auth_events"] = this.#references(pdu, "auth_events", this.#authEvents(pdu));
    const content = this.#content(pdu);
    if (content !== pdu.content) changes["content"] = content;
    if (pdu.redacts !== undefined && this.#to.format.redacts === "top-level")
      changes["redacts"] = this.idOf(pdu.redacts);
    else if (pdu.redacts !== undefined) dropped.push("redacts");
    return sealed(pdu.json, dropped, changes);
  }

  #writeRoomId(pdu: Pdu, changes: Record<string, JsonValue>, dropped: string[]): void {
    const [from, to] = [this.#from.format.roomIds, this.#to.format.roomIds];
    if (from === to && to === "domain") return;
    if (to === "create-hash" && pdu.type === "m.room.create") {
      if (from !== to) dropped.push("room_id");
      return;
    }
    if (to === "domain") this.#roomId ??= `${pdu.roomId}:${serverOf(pdu.sender) ?? ""}`;
    if (from !== to) this.adaptations.add("room-id");
    changes["room_id"] = this.#roomId ?? pdu.roomId;
  }

  /** In versions 1 and 2 the sender's server chooses the id; the old hash will do. */
  #chosenId(pdu: Pdu): string {
    this.adaptations.add("references");
    return `${pdu.eventId}:${serverOf(pdu.sender) ?? ""}`;
  }

  /** What it cited, as far as this version's selection has a place for it. */
  #authEvents(pdu: Pdu): readonly string[] {
    if (pdu.type === "m.room.create") return pdu.authEvents;
    const selection = selectAuthEvents(this.#to, pdu);
    const before = selectAuthEvents(this.#from, pdu);
    const isIn = (keys: typeof selection, other: Pdu): boolean =>
      keys.some(([type, stateKey]) => type === other.type && stateKey === other.stateKey);
    const kept = pdu.authEvents.filter((id) => {
      const cited = this.#old(id);
      // What the old version did not select either is somebody's mistake, and stays one.
      if (cited === undefined || isIn(selection, cited) || !isIn(before, cited)) return true;
      this.adaptations.add(cited.type === "m.room.create" ? "create-citation" : "selection");
      return false;
    });
    const implied = this.#from.auth.createEvent === "implied" && this.#to.auth.createEvent === "cited";
    if (!implied) return kept;
    this.adaptations.add("create-citation");
    return [`$${pdu.roomId.slice(1)}`, ...kept];
  }

  #references(pdu: Pdu, key: string, ids: readonly string[]): JsonValue {
    const kind = this.#to.format.references;
    if (kind !== this.#from.format.references) this.adaptations.add("references");
    const old = get(pdu.json, key);
    return ids.map((id, at) => {
      const now = this.#byOldId.get(id);
      if (kind === "ids") return this.idOf(id);
      const given = isArray(old) && this.#from.format.references === "pairs" ? old[at] : undefined;
      if (now === undefined) return isArray(given) && given[0] === id ? given : [id, {}];
      const pair = [now.eventId, { sha256: encodeUnpadded(referenceHash(this.#to, now.json)) }];
      // Nobody checks the hash of a reference: a pair stays as it was where the event did.
      return isArray(given) && given[0] === id && now.json === this.#old(id)?.json ? given : pair;
    });
  }

  #content(pdu: Pdu): JsonObject {
    if (pdu.type === "m.room.create" && pdu.stateKey === "") return this.#createContent(pdu);
    if (pdu.type === "m.room.power_levels" && pdu.stateKey === "") return this.#levels(pdu.content);
    if (pdu.type !== "m.room.redaction") return pdu.content;
    const [from, to] = [this.#from.format.redacts, this.#to.format.redacts];
    if (from !== to && pdu.redacts !== undefined) this.adaptations.add("redacts");
    if (to === "content") {
      const redacts = pdu.redacts === undefined ? undefined : this.idOf(pdu.redacts);
      return redacts === undefined || get(pdu.content, "redacts") === redacts
        ? pdu.content
        : written(pdu.content, { redacts });
    }
    return from === "content" && pdu.redacts !== undefined ? omit(pdu.content, ["redacts"]) : pdu.content;
  }

  #createContent(pdu: Pdu): JsonObject {
    const { content } = pdu;
    const changes: Record<string, JsonValue> = {};
    const said = get(content, "room_version") ?? "1";
    if (said === this.#from.id && said !== this.#to.id) changes["room_version"] = this.#to.id;
    if (
      this.#to.auth.creator === "content" &&
      this.#from.auth.creator !== "content" &&
      !Object.hasOwn(content, "creator")
    ) {
      changes["creator"] = pdu.sender;
    }
    if (Object.keys(changes).length === 0) return content;
    this.adaptations.add("create-content");
    return written(content, changes);
  }

  /** Whoever stands above all levels may not be listed in them; who no longer does has the highest one. */
  #levels(content: JsonObject): JsonObject {
    const [from, to] = [this.#from.auth.creatorPower, this.#to.auth.creatorPower];
    const users = get(content, "users");
    if (from === to || (users !== undefined && !isObject(users))) return content;
    const listed = users ?? {};
    const creators = this.#creators.filter((user) => (to === "infinite") === Object.hasOwn(listed, user));
    if (creators.length === 0) return content;
    this.adaptations.add("creators-levels");
    if (to === "infinite") return written(content, { users: omit(listed, creators) });
    const level = highestLevel(content);
    return written(content, { users: written(listed, Object.fromEntries(creators.map((user) => [user, level]))) });
  }
}

/** The highest level that power levels name, at least the 100 of a creator who is in none. */
function highestLevel(content: JsonObject): number {
  let highest = 100;
  for (const value of Object.values(content)) {
    for (const level of isObject(value) ? Object.values(value) : [value]) {
      if (typeof level === "number" && level > highest) highest = level;
    }
  }
  return highest;
}

/** Who has a creator's power in the old room, as far as the new one knows the like. */
function creatorsOf(rules: RoomVersionRules, create: Pdu): readonly string[] {
  const more = get(create.content, "additional_creators");
  const others = rules.auth.creatorPower === "infinite" && isArray(more) ? more.filter((user) => isUserId(user)) : [];
  return [create.sender, ...others];
}

function written(object: JsonObject, changes: JsonObject): JsonObject {
  const copy: Record<string, JsonValue> = {};
  for (const source of [object, changes]) for (const [key, value] of Object.entries(source)) setOwn(copy, key, value);
  return copy;
}

/** The event with the changes; what stays as it is keeps its hash, and with it its id. */
function sealed(json: JsonObject, dropped: readonly string[], changes: JsonObject): JsonObject {
  const changed = written(omit(json, dropped), changes);
  return encodeCanonical(changed) === encodeCanonical(json) ? json : hashEvent(changed);
}
