/** What a vector is, and the events that vectors speak of. fixtures/vectors/v1/schema.json says the same to others. */
import { createPrivateKey, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { eventSignedBytes } from "../../src/event/sign.js";
import type { LooseEvent } from "../../src/event/loose.js";
import { federationForm, read, seal, textAt, withId } from "../../src/testing/forge.js";
import { TEST_KEY_ID, testKeyOf } from "../../src/testing/keys.js";
import { publicKeyFromSeed } from "../../src/crypto/ed25519.js";
import { encodeUnpadded } from "../../src/crypto/base64.js";
import { domainOf } from "../../src/ids/grammar.js";
import { get } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import type { RoomVersionRules } from "../../src/rules/model.js";
import { roomVersions as registry } from "../../src/versions/index.js";
import type { RoomVersion } from "../../src/versions/room-version.js";

/** The versions that the specification has. */
export const versions: readonly string[] = Array.from({ length: 12 }, (_, n) => String(n + 1));

/** Room version I.1: room version 10 with extensible events. No other implementation knows it. */
export const I1 = "I.1";

export function versionOf(id: string): RoomVersion {
  const found = registry.get(id);
  if (!found.ok) throw new Error(found.error.reason);
  return found.value;
}

/** Where an answer comes from. */
export type Source =
  /** The text says so, as this project reads it. */
  | { readonly by: "spec"; readonly url: string; readonly section: string }
  /** This project's second resolver, which follows the text step by step. It is no independent implementation. */
  | { readonly by: "reference"; readonly name: string }
  /** These were asked and gave this answer; versions are part of the names. */
  | { readonly by: "implementations"; readonly names: readonly string[] };

export interface Vector {
  readonly id: string;
  readonly op: string;
  readonly room_version?: string;
  /** The room in events.jsonl to which the ids of events belong. */
  readonly room?: string;
  readonly expect: { readonly ok: JsonValue } | { readonly error: true };
  readonly source: readonly Source[];
  readonly [input: string]: unknown;
}

const SPEC = "https://spec.matrix.org/v1.16";

/** A page of the specification, and a place on it. */
export function spec(page: string, section: string): Source {
  return { by: "spec", url: `${SPEC}/${page}`, section };
}

/** What makes I.1 of room version 10. */
const draft: Source = {
  by: "spec",
  url: "https://datatracker.ietf.org/doc/html/draft-ralston-mimi-matrix-framework-01",
  section: "5. Room Version I.1: room version 10, and MSC1767",
};

/** A place in the specification that holds for a room version; for I.1 it is the draft that says so. */
export function sourcesFor(version: string, ...sources: readonly Source[]): readonly Source[] {
  return version === I1 ? [draft, ...sources] : sources;
}

export const roomPage = (version: string, anchor: string): string =>
  `rooms/v${version === I1 ? "10" : version}/#${anchor}`;

const privateKeys = new Map<string, KeyObject>();

/** The private key of a server, as Node has it: it signs ten times as quickly as the library does. */
function privateKeyOf(server: string): KeyObject {
  const known = privateKeys.get(server);
  if (known !== undefined) return known;
  // PKCS #8 of an Ed25519 key is this and the seed (RFC 8410).
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), testKeyOf(server).seed]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  privateKeys.set(server, key);
  return key;
}

/** The event with the signatures of its sender's server and of the one that authorises a restricted join. */
function signed(rules: RoomVersionRules, event: JsonObject): JsonObject {
  const authoriser = get(event["content"] as JsonObject, "join_authorised_via_users_server");
  const servers = [textAt(event, "sender"), authoriser].flatMap((user) =>
    typeof user === "string" ? (domainOf(user) ?? []) : [],
  );
  const message = eventSignedBytes(rules, event);
  const signatures = servers.map((server): [string, JsonObject] => [
    server,
    { [TEST_KEY_ID]: encodeUnpadded(sign(null, message, privateKeyOf(server))) },
  ]);
  return { ...event, signatures: Object.fromEntries(signatures) };
}

/** Events by room and id, each signed by the servers that have to sign it. */
export class Pool {
  readonly #rooms = new Map<string, Map<string, JsonObject>>();
  readonly #servers = new Set<string>();

  /** Signs an event, as requests carry it, and keeps it. Signing changes no id. */
  add(room: string, version: RoomVersion, event: JsonObject): string {
    const { rules } = version;
    const id = textAt(event, "event_id");
    const events = this.#rooms.get(room) ?? new Map<string, JsonObject>();
    this.#rooms.set(room, events);
    if (events.has(id)) return id;
    const sealed = signed(rules, seal(rules, federationForm(rules, event), false));
    if (read(rules, sealed).eventId !== id) throw new Error(`${room}: ${id} is not the id of its event`);
    for (const server of Object.keys(sealed["signatures"] as JsonObject)) this.#servers.add(server);
    events.set(id, sealed);
    return id;
  }

  addEvent(room: string, version: RoomVersion, event: LooseEvent): string {
    return this.add(room, version, withId(event));
  }

  event(room: string, id: string): JsonObject {
    const event = this.#rooms.get(room)?.get(id);
    if (event === undefined) throw new Error(`${room} has no ${id}`);
    return event;
  }

  /** Ids of a room's events, in the order in which they were added. */
  ids(room: string): readonly string[] {
    return [...(this.#rooms.get(room)?.keys() ?? [])];
  }

  lines(): readonly JsonObject[] {
    return [...this.#rooms].flatMap(([room, events]) =>
      [...events].map(([event_id, event]) => ({ room, event_id, event })),
    );
  }

  /** The key pairs of all servers, for whoever wants to sign as they do. */
  keys(): JsonObject {
    const servers = [...this.#servers].sort();
    return Object.fromEntries(
      servers.map((server) => {
        const { keyId, seed } = testKeyOf(server);
        const key = encodeUnpadded(publicKeyFromSeed(seed));
        return [server, { [keyId]: { key, seed: encodeUnpadded(seed) } }];
      }),
    );
  }
}
