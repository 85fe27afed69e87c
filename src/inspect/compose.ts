/**
 * Makes whole events of what people write about them. Events are called by names; references, depths, hashes and ids
 * are worked out, and signatures made where they are asked for, so that one text always makes the same room.
 */
import { encodeUnpadded } from "../crypto/base64.js";
import { sha256 } from "../crypto/hash.js";
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { draftEvent } from "../event/build.js";
import type { EventDraft, Parent } from "../event/build.js";
import { checkJson, readPdu } from "../event/format.js";
import { hashEvent, cosignEvent, signEvent } from "../event/sign.js";
import type { SigningKey } from "../event/sign.js";
import { requiredSigners } from "../event/signatures.js";
import { publicKeyFromSeed } from "../crypto/ed25519.js";
import type { Pdu } from "../event/pdu.js";
import type { EventId } from "../ids/brands.js";
import { domainOf } from "../ids/grammar.js";
import { encodeCanonicalBytes } from "../json/canonical-bytes.js";
import { utf8Encode } from "../json/utf8.js";
import { setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";

/** The id of every published key. */
const KEY_ID = "ed25519:test";

/**
 * The key with which a server signs in rooms that are made of text: its seed is the SHA-256 of the server's name, as
 * that of the keys of `roomdag/testing`, so anybody can sign as anybody.
 */
export function publishedKeyOf(server: string): SigningKey {
  return { server, keyId: KEY_ID, seed: sha256(utf8Encode(server)) };
}

/** What is written about an event. References are names of other events, or ids. */
export interface Template {
  readonly type: string;
  readonly stateKey?: string | undefined;
  readonly sender: string;
  readonly content: JsonObject;
  readonly originServerTs: number;
  readonly prevEvents: readonly string[];
  readonly authEvents: readonly string[];
  /** Default: one more than the deepest parent's. */
  readonly depth?: number | undefined;
  readonly redacts?: string | undefined;
}

export interface ComposerOptions {
  /** Where the room version lets its creator choose it. Default: `!room:` and the first sender's server. */
  readonly roomId?: string | undefined;
  /** Whether events are signed by {@link publishedKeyOf} those that have to sign. */
  readonly signed: boolean;
}

/** The events of one room, each made after those that it refers to. */
export class Composer {
  readonly rules: RoomVersionRules;
  readonly #options: ComposerOptions;
  readonly #byName = new Map<string, Pdu>();
  readonly #servers = new Set<string>();
  #roomId: string | undefined;

  constructor(rules: RoomVersionRules, options: ComposerOptions) {
    this.rules = rules;
    this.#options = options;
    if (rules.format.roomIds === "domain") this.#roomId = options.roomId;
  }

  get roomId(): string | undefined {
    return this.#roomId;
  }

  /** The event of that name. */
  get(name: string): Pdu | undefined {
    return this.#byName.get(name);
  }

  /** What a reference stands for: a name for that event's id, `?` and a name for an id that is not here. */
  idOf(reference: string): string {
    const known = this.#byName.get(reference);
    if (known !== undefined) return known.eventId;
    if (!reference.startsWith("?")) return reference;
    const hash = encodeUnpadded(sha256(utf8Encode(reference)), "url-safe");
    return this.rules.format.eventIds === "in-pdu" ? `$${hash}:missing.example` : `$${hash}`;
  }

  /** Makes an event. A refusal is about its format; nobody asks the authorisation rules here. */
  make(template: Template): Result<Pdu> {
    const { rules } = this;
    const draft = this.#draft(template);
    if (!draft.ok) return draft;
    const graph = { prevEvents: this.#parents(template.prevEvents), authEvents: this.#parents(template.authEvents) };
    const named = rules.format.eventIds === "in-pdu" ? { ...draft.value, eventId: "$" } : draft.value;
    const drafted = draftEvent(rules, named, graph);
    if (!drafted.ok) return drafted;
    const json: Record<string, JsonValue> = { ...drafted.value };
    if (template.depth !== undefined) json["depth"] = template.depth;
    if (rules.format.eventIds === "in-pdu") json["event_id"] = chosenId(json, template.sender);
    return readPdu(rules, this.#sealed(json), { counts: "tolerated" });
  }

  /** Has the event that was made, under this name if it has one. */
  keep(pdu: Pdu, name: string | undefined): void {
    this.#roomId ??= pdu.roomId;
    this.#byName.set(pdu.eventId, pdu);
    if (name !== undefined) this.#byName.set(name, pdu);
  }

  /** The keys that the events so far are signed with: `{server: {key id: base64}}`. */
  keys(): JsonObject {
    const table: Record<string, JsonValue> = {};
    for (const server of this.#servers) {
      setOwn(table, server, { [KEY_ID]: encodeUnpadded(publicKeyFromSeed(publishedKeyOf(server).seed)) });
    }
    return table;
  }

  #draft(template: Template): Result<EventDraft> {
    const { type, sender, stateKey, originServerTs, redacts } = template;
    const content = checkJson(this.rules, template.content);
    if (!content.ok) return content;
    const domain = domainOf(sender);
    if (domain === undefined) return refuse("bad_identifier", `${sender} is no user id`);
    const implied = this.rules.format.roomIds === "create-hash";
    if (this.#roomId === undefined && implied && type !== "m.room.create") {
      return refuse("bad_format", "in this room version the create event names the room: it has to be the first");
    }
    const roomId = this.#roomId ?? (implied ? undefined : `!room:${domain}`);
    return ok({
      type,
      sender,
      content: template.content,
      originServerTs,
      ...(roomId === undefined ? {} : { roomId }),
      ...(stateKey === undefined ? {} : { stateKey }),
      ...(redacts === undefined ? {} : { redacts: this.idOf(redacts) }),
    });
  }

  /** What is not here is referred to by its id alone; in room versions 1 and 2 with the hash of nothing. */
  #parents(references: readonly string[]): readonly Parent[] {
    return references.map((reference) => {
      // Ids that are cited are opaque; whether this may be one is checked with the event's format.
      return this.#byName.get(reference) ?? { eventId: this.idOf(reference) as EventId, depth: 0, json: {} };
    });
  }

  #sealed(json: JsonObject): JsonObject {
    if (!this.#options.signed) return { ...hashEvent(json), signatures: {} };
    const read = readPdu(this.rules, { ...hashEvent(json), signatures: {} }, { counts: "tolerated" });
    if (!read.ok) return json;
    let signed: JsonObject | undefined;
    for (const { server } of requiredSigners(this.rules, read.value)) {
      if (server === undefined) continue;
      this.#servers.add(server);
      const key = publishedKeyOf(server);
      signed = signed === undefined ? signEvent(this.rules, json, key) : cosignEvent(this.rules, signed, key);
    }
    return signed ?? { ...hashEvent(json), signatures: {} };
  }
}

/** In room versions 1 and 2 servers choose ids; this one follows from the event. */
function chosenId(json: JsonObject, sender: string): string {
  const hash = encodeUnpadded(sha256(encodeCanonicalBytes(json)).subarray(0, 16), "url-safe");
  return `$${hash}:${domainOf(sender) ?? ""}`;
}
