/** A hostile server: it runs the engine, and beside it makes and withholds what the engine never would. */
import { selectAuthEvents } from "../../auth/select.js";
import type { Room } from "../../engine/room.js";
import { encodeUnpadded } from "../../crypto/base64.js";
import { draftEvent } from "../../event/build.js";
import { readPdu } from "../../event/format.js";
import { eventIdOf } from "../../event/hashes.js";
import type { Pdu } from "../../event/pdu.js";
import { attachSignature, eventSignedBytes, hashEvent } from "../../event/sign.js";
import { compareCodePoints } from "../../json/compare.js";
import { get, isArray, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import type { ForgedKind, HostileCommand } from "./commands.js";
import { messageOf } from "./content.js";
import type { SimulatedServer, World } from "./world.js";

type Forged = Exclude<HostileCommand, { readonly do: "reveal" }>;

/** Where an event is put, and by whom. */
interface Site {
  readonly room: Room;
  readonly by: string;
  readonly parent: Pdu;
}

interface Content {
  readonly type: string;
  readonly stateKey?: string;
  readonly content: JsonObject;
}

/** Changes made to an event before it is hashed and signed. */
type Change = (event: JsonObject) => JsonObject;

export class Forger {
  /** Ids of events with more than one body. */
  readonly manyBodied: Set<string> = new Set();
  readonly #world: World;
  readonly #server: SimulatedServer;
  readonly #names = new Map<string, string>();
  /** Events that only this server has, and does not hand out. */
  readonly #withheld = new Map<string, { readonly json: JsonObject; readonly to: readonly string[] }>();
  #count = 0;

  constructor(world: World, server: SimulatedServer) {
    this.#world = world;
    this.#server = server;
    const hidden = (json: JsonValue): boolean => {
      if (this.#withheld.size === 0 || !isObject(json)) return false;
      return this.#withheld.has(eventIdOf(world.version.rules, json));
    };
    const visible = (list: readonly JsonValue[]): readonly JsonValue[] => list.filter((json) => !hidden(json));
    world.network.intercept(server.name, {
      answering: {
        event: (_, { eventId }, result) => (this.#withheld.has(eventId) ? notFound() : result),
        backfill: (_, __, result) => mapOk(result, ({ events }) => ({ events: visible(events) })),
        get_missing_events: (_, __, result) => mapOk(result, ({ events }) => ({ events: visible(events) })),
        state: (_, { eventId }, result) => (this.#isAfterWithheld(eventId) ? notFound() : result),
        // Who joins by a server whose events others do not get is cut off with it (docs/simulation.md).
        make_join: (_, __, result) => (this.#withheld.size > 0 || world.wasDenied ? notFound() : result),
        state_ids: (_, { eventId }, result) => (this.#isAfterWithheld(eventId) ? notFound() : result),
      },
      // Its engine does not know that some of what it knows is secret.
      sending: {
        send: (_, request: OperationRequest<"send">) => ({ ...request, pdus: visible(request.pdus) }),
      },
    });
  }

  /** A name for an event that was forged. */
  describe(eventId: string): string {
    const name = this.#names.get(eventId);
    return name === undefined ? eventId : `${eventId} (${name})`;
  }

  #isAfterWithheld(eventId: string): boolean {
    return this.#names.get(eventId)?.includes("after what was withheld") === true;
  }

  async perform(command: HostileCommand): Promise<boolean> {
    if (!this.#server.isUp) return false;
    if (command.do === "reveal") return this.#reveal();
    const site = await this.#site(command);
    if (site === undefined) return false;
    const to = command.to.filter((name) => name !== this.#server.name && this.#world.servers.has(name));
    return this.#act(command, site, to);
  }

  async #act(command: Forged, site: Site, to: readonly string[]): Promise<boolean> {
    switch (command.do) {
      case "equivocate": {
        const half = Math.ceil(to.length / 2);
        const one = await this.#forge(command, site, "one side of an equivocation");
        const other = await this.#forge(command, site, "the other side of an equivocation");
        this.#send(to.slice(0, half), [one]);
        this.#send(to.slice(half), [other]);
        return true;
      }
      case "change body":
        return this.#changeBody(command, site, to);
      case "withhold":
        return this.#withhold(command, site, to);
      case "wrong hash":
        this.#send(to, [await this.#forge(command, site, "wrong hash", { after: wrongHash })]);
        return true;
      case "wrong signature":
        this.#send(to, [await this.#forge(command, site, "wrong signature", { signed: "wrongly" })]);
        return true;
      case "stale branch":
        return this.#branch(command, site, to);
      case "forged depth":
        this.#send(to, [await this.#forge(command, site, "forged depth", { before: withKey("depth", command.depth) })]);
        return true;
      case "forged time": {
        const before = withKey("origin_server_ts", command.time);
        this.#send(to, [await this.#forge(command, site, "forged time", { before })]);
        return true;
      }
      case "broken authority":
        return this.#breakAuthority(command, site, to);
      case "flood":
        return this.#flood(command, site, to);
      case "many extremities": {
        const events: JsonObject[] = [];
        for (let at = 0; at < command.count; at++) events.push(await this.#forge(command, site, `extremity ${at}`));
        this.#send(to, events);
        return true;
      }
    }
  }

  /** The parent: an event that this server accepted, counted by depth from the end. */
  async #site({ by, room: number = 0, back }: Forged): Promise<Site | undefined> {
    const roomId = this.#world.rooms[number];
    if (roomId === undefined || this.#world.serverOf(by) !== this.#server) return undefined;
    const room = await this.#world.glimpse(this.#server.room(roomId));
    const changes = await this.#server.storage.changesSince(roomId, 0);
    if (room === undefined || changes === undefined) return undefined;
    const { rules } = room.version;
    const events = changes.events
      .filter(({ verdict, stateAfter }) => verdict.standing === "accepted" && stateAfter !== undefined)
      .flatMap(({ json, eventId }) => {
        const pdu = readPdu(rules, json, { eventId, counts: "tolerated" });
        return pdu.ok ? [pdu.value] : [];
      })
      .sort((a, b) => a.depth - b.depth || compareCodePoints(a.eventId, b.eventId));
    const parent = events.at(-1 - Math.min(back, events.length - 1));
    return parent === undefined ? undefined : { room, by, parent };
  }

  #content(kind: ForgedKind, { room, by }: Site): Content {
    const text = `forged ${++this.#count}`;
    const users = room.state("m.room.power_levels")?.content ?? {};
    const old = get(users, "users");
    switch (kind) {
      case "message":
        return messageOf(room, text);
      case "topic":
      case "name":
        return { type: `m.room.${kind}`, stateKey: "", content: { [kind]: text } };
      case "self":
        return { type: "m.room.member", stateKey: by, content: { membership: "join", displayname: text } };
      case "power": {
        const content = { ...users, users: { ...(isObject(old) ? old : {}), [by]: 100 + this.#count } };
        return { type: "m.room.power_levels", stateKey: "", content };
      }
      case "ban": {
        const others = room.members("join").filter(({ userId }) => this.#world.serverOf(userId) !== this.#server);
        const victim = others.map(({ userId }) => userId).sort(compareCodePoints)[
          this.#count % Math.max(1, others.length)
        ];
        return { type: "m.room.member", stateKey: victim ?? by, content: { membership: "ban" } };
      }
    }
  }

  /** A new event in its federation form, with changes before it is hashed and signed, and after. */
  async #forge(
    { what }: Pick<Forged, "what">,
    site: Site,
    name: string,
    options: {
      readonly before?: Change;
      readonly after?: Change;
      readonly signed?: "wrongly";
      readonly authEvents?: readonly Pdu[];
    } = {},
  ): Promise<JsonObject> {
    const { room, by, parent } = site;
    const { rules } = room.version;
    const draft = { ...this.#content(what, site), sender: by };
    const at = await room.stateAt(parent.eventId);
    const ids = selectAuthEvents(rules, draft).flatMap(([type, key]) => at?.after.get(type, key)?.eventId ?? []);
    const authority = await room.load([...new Set(ids)]);
    const own = { eventId: `$forged${this.#count}:${this.#server.name}` };
    const made = draftEvent(
      rules,
      {
        ...draft,
        roomId: room.roomId,
        originServerTs: this.#server.clock.now(),
        ...(rules.format.eventIds === "in-pdu" ? own : {}),
      },
      { prevEvents: [parent], authEvents: options.authEvents ?? authority.map(({ event }) => event) },
    );
    if (!made.ok) throw new Error(`nothing could be forged: ${made.error.reason}`);
    const hashed = hashEvent((options.before ?? same)(made.value));
    const changed = (options.after ?? same)(hashed);
    const { keyId, signature } = await this.#server.keys.sign(eventSignedBytes(rules, changed));
    const wrong = signature.map((byte, place) => (place === 0 ? byte ^ 1 : byte));
    const json = attachSignature(changed, {
      server: this.#server.name,
      keyId,
      signature: options.signed === "wrongly" ? wrong : signature,
    });
    this.#names.set(eventIdOf(rules, json), name);
    return json;
  }

  /** Makes this server's own engine know an event, so that it can be built upon and handed out. */
  async #learn(room: Room, json: JsonObject): Promise<Pdu | undefined> {
    await this.#world.during(room.receive([json], { origin: this.#server.name }));
    const pdu = readPdu(room.version.rules, json);
    return pdu.ok ? pdu.value : undefined;
  }

  async #changeBody(command: Forged, site: Site, to: readonly string[]): Promise<boolean> {
    const { rules } = site.room.version;
    const json = await this.#forge(command, site, "one id with many bodies");
    const content = get(json, "content");
    const changed = {
      ...(isObject(content) ? content : {}),
      body: "another body",
      "m.text": [{ body: "another body" }],
    };
    const other = { ...json, content: changed };
    this.manyBodied.add(eventIdOf(rules, json));
    const [first, ...rest] = to;
    this.#send(first === undefined ? [] : [first], [json]);
    // In room versions 1 and 2 the id says nothing about the body: the other one is hashed and signed as well.
    this.#send(rest, [rules.format.eventIds === "in-pdu" ? await this.#sealed(site.room, other) : other]);
    return true;
  }

  async #sealed(room: Room, json: JsonObject): Promise<JsonObject> {
    const { rules } = room.version;
    const hashed = hashEvent(json);
    const { keyId, signature } = await this.#server.keys.sign(eventSignedBytes(rules, hashed));
    return attachSignature({ ...hashed, signatures: {} }, { server: this.#server.name, keyId, signature });
  }

  async #withhold(command: Forged, site: Site, to: readonly string[]): Promise<boolean> {
    const { room, by } = site;
    const parent = await this.#forge({ what: "message" }, site, "what was withheld");
    const { rules } = room.version;
    this.#withheld.set(eventIdOf(rules, parent), { json: parent, to });
    const known = await this.#learn(room, parent);
    if (known === undefined || (await room.stateAt(known.eventId)) === undefined) return false;
    const child = await this.#forge(command, { room, by, parent: known }, "after what was withheld");
    this.#send(to, [child]);
    return true;
  }

  #reveal(): boolean {
    if (this.#withheld.size === 0) return false;
    for (const { json, to } of this.#withheld.values()) this.#send(to, [json]);
    this.#withheld.clear();
    for (const [eventId, name] of this.#names) {
      this.#names.set(eventId, name.replace("after what was withheld", "after what was revealed"));
    }
    return true;
  }

  async #branch(
    command: Extract<Forged, { readonly do: "stale branch" }>,
    { room, by, parent: start }: Site,
    to: readonly string[],
  ): Promise<boolean> {
    let parent = start;
    for (let at = 0; at < command.length; at++) {
      const json = await this.#forge(command, { room, by, parent }, `stale branch, event ${at + 1}`);
      const known = await this.#learn(room, json);
      this.#send(to, [json]);
      if (known === undefined || (await room.stateAt(known.eventId)) === undefined) return true;
      parent = known;
    }
    return true;
  }

  async #breakAuthority(
    command: Extract<Forged, { readonly do: "broken authority" }>,
    site: Site,
    to: readonly string[],
  ): Promise<boolean> {
    const { room } = site;
    const { rules } = room.version;
    if (command.how === "rejected") {
      // A membership that cites nobody's authority is rejected, and with it all that cites it.
      const rejected = await this.#forge({ what: "self" }, site, "rejected", { authEvents: [] });
      const known = await this.#learn(room, rejected);
      if (known === undefined) return false;
      this.#send(to, [rejected]);
      const at = await room.load(room.current.get("m.room.create") === undefined ? [] : room.current.ids());
      const create = at.filter(({ event }) => event.type === "m.room.create").map(({ event }) => event);
      const authEvents = [...(rules.auth.createEvent === "cited" ? create : []), known];
      this.#send(to, [await this.#forge(command, site, "resting on what was rejected", { authEvents })]);
      return true;
    }
    if (command.how === "wrong") {
      const all = await room.load(room.current.ids());
      const authEvents = all.map(({ event }) => event).slice(0, 8);
      this.#send(to, [await this.#forge(command, site, "wrong authority", { authEvents })]);
      return true;
    }
    const unknown = this.#unknownId(room);
    const before: Change = (json) => {
      const auth = get(json, "auth_events");
      const cited = rules.format.references === "ids" ? unknown : [unknown, { sha256: "AAAA" }];
      return { ...json, auth_events: [...(isArray(auth) ? auth : []), cited] };
    };
    this.#send(to, [await this.#forge(command, site, "unknown authority", { before })]);
    return true;
  }

  /** The id of nothing. */
  #unknownId(room: Room): string {
    const bytes = Uint8Array.from({ length: 32 }, (_, at) => (this.#count * 7 + at * 13) & 255);
    const { eventIds } = room.version.rules.format;
    if (eventIds === "in-pdu") return `$nothing${++this.#count}:${this.#server.name}`;
    this.#count++;
    return `$${encodeUnpadded(bytes, eventIds === "hash-standard" ? "standard" : "url-safe")}`;
  }

  async #flood(
    command: Extract<Forged, { readonly do: "flood" }>,
    site: Site,
    to: readonly string[],
  ): Promise<boolean> {
    const { room } = site;
    const events: JsonObject[] = [];
    for (let at = 0; at < command.count; at++) {
      const unknown = this.#unknownId(room);
      const cited = room.version.rules.format.references === "ids" ? unknown : [unknown, { sha256: "AAAA" }];
      events.push(await this.#forge(command, site, `flood ${at}`, { before: withKey("prev_events", [cited]) }));
    }
    this.#send(to, events);
    return true;
  }

  /** Sends past the engine, a transaction of the largest size at a time. Whether it arrives is the network's affair. */
  #send(to: readonly string[], pdus: readonly JsonObject[]): void {
    const { network } = this.#world;
    for (let start = 0; start < pdus.length; start += 50) {
      const part = pdus.slice(start, start + 50);
      const transactionId = `forged ${++this.#count}`;
      for (const destination of to) {
        void network.inject(this.#server.name, destination, "send", { transactionId, pdus: part });
      }
    }
  }
}

function same(event: JsonObject): JsonObject {
  return event;
}

function withKey(key: string, value: JsonValue): Change {
  return (event) => ({ ...event, [key]: value });
}

function wrongHash(event: JsonObject): JsonObject {
  return { ...event, hashes: { sha256: encodeUnpadded(new Uint8Array(32)) } };
}

function notFound(): { readonly ok: false; readonly error: { readonly code: "not_found"; readonly reason: string } } {
  return { ok: false, error: { code: "not_found", reason: "kept to ourselves" } };
}

function mapOk<N extends "backfill" | "get_missing_events">(
  result: OperationResult<N>,
  change: (value: { readonly events: readonly JsonValue[] }) => { readonly events: readonly JsonValue[] },
): OperationResult<N> {
  return result.ok ? { ok: true, value: change(result.value) } : result;
}
