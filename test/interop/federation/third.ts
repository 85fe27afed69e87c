/**
 * A third server, made by hand: it answers with whatever a test gives it, and sends whatever a test wants, well-formed
 * or not. Nothing of the server under test is in it but canonical JSON, hashes and signatures.
 */
import { randomBytes } from "node:crypto";
import { Agent, createServer, request as httpsRequest } from "node:https";
import { selfSignedCertificate } from "../../../src/cli/serve/certificate.js";
import { publicKeyFromSeed } from "../../../src/crypto/index.js";
import { encodeUnpadded } from "../../../src/crypto/base64.js";
import { sign } from "../../../src/crypto/ed25519.js";
import { buildEvent, hashEvent, readPdu, signEvent, signJson } from "../../../src/event/index.js";
import type { Pdu, SigningKey } from "../../../src/event/index.js";
import { selectAuthEvents } from "../../../src/auth/index.js";
import { signRequest } from "../../../src/federation/index.js";
import { encodeCanonical } from "../../../src/json/canonical.js";
import type { JsonObject, JsonValue } from "../../../src/json/value.js";
import { roomVersions } from "../../../src/versions/index.js";
import type { RoomVersionRules } from "../../../src/versions/index.js";
import { freePort } from "./processes.js";

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

/** How it answers one request; `undefined` for 404. A promise that never ends is no answer. */
export type Handler = (
  method: string,
  url: URL,
  body: string,
) => Promise<JsonObject | undefined> | JsonObject | undefined;

export interface Draft {
  readonly type: string;
  readonly stateKey?: string;
  readonly content: JsonObject;
  readonly redacts?: string;
  readonly prev?: readonly Pdu[];
  readonly time?: number;
}

export class ThirdServer {
  readonly name: string;
  readonly key: SigningKey;
  /** All that it knows of rooms, by event id; what is asked of it by id is answered from here. */
  readonly events = new Map<string, Pdu>();
  readonly #agent = new Agent({ rejectUnauthorized: false, keepAlive: true, maxSockets: 2_000 });
  readonly #stop: () => Promise<void>;
  /** Asked before all else. */
  handler: Handler = () => undefined;
  /** Transactions that it got. */
  readonly received: JsonObject[] = [];
  #transactions = 0;

  private constructor(name: string, stop: () => Promise<void>) {
    this.name = name;
    this.#stop = stop;
    this.key = { server: name, keyId: "ed25519:third", seed: randomBytes(32) };
  }

  /** @param host an IP literal is a name too, and ACLs can tell it from `localhost` */
  static async start(host: "localhost" | "127.0.0.1" = "localhost"): Promise<ThirdServer> {
    const port = await freePort();
    const day = 24 * 3_600_000;
    const [notBefore, notAfter] = [Date.now() - day, Date.now() + day];
    const { certificate, key } = selfSignedCertificate({ host, notBefore, notAfter });
    const https = createServer({ cert: certificate, key }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on("error", () => undefined);
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const url = new URL(request.url ?? "/", "https://localhost");
        void server.#answer(request.method ?? "GET", url, Buffer.concat(chunks).toString()).then((body) => {
          response.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" });
          response.end(
            encodeCanonical(body ?? { errcode: "M_NOT_FOUND", error: "the third server has no such thing" }),
          );
        });
      });
    });
    await new Promise<void>((resolve) => https.listen(port, "127.0.0.1", resolve));
    const server = new ThirdServer(`${host}:${String(port)}`, async () => {
      server.#agent.destroy();
      https.closeAllConnections();
      await new Promise((resolve) => https.close(resolve));
    });
    return server;
  }

  stop(): Promise<void> {
    return this.#stop();
  }

  user(name: string): string {
    return `@${name}:${this.name}`;
  }

  // ---- answering ------------------------------------------------------------------------------------------

  async #answer(method: string, url: URL, body: string): Promise<JsonObject | undefined> {
    const own = await this.handler(method, url, body);
    if (own !== undefined) return own;
    const [kind, , , name = ""] = url.pathname.replace("/_matrix/", "").split("/");
    if (url.pathname === "/_matrix/key/v2/server") return this.#keys();
    if (kind !== "federation") return undefined;
    if (url.pathname.startsWith("/_matrix/federation/v1/send/")) {
      const transaction = JSON.parse(body) as JsonObject;
      this.received.push(transaction);
      return { pdus: {} };
    }
    if (url.pathname.startsWith("/_matrix/federation/v1/event/")) {
      const event = this.events.get(decodeURIComponent(name));
      return event && { origin: this.name, origin_server_ts: Date.now(), pdus: [event.json] };
    }
    if (url.pathname.startsWith("/_matrix/federation/v1/get_missing_events/")) return { events: [] };
    return undefined;
  }

  #keys(): JsonObject {
    return signJson(
      {
        server_name: this.name,
        valid_until_ts: Date.now() + 3_600_000,
        verify_keys: { [this.key.keyId]: { key: encodeUnpadded(publicKeyFromSeed(this.key.seed)) } },
        old_verify_keys: {},
      },
      this.key,
    );
  }

  // ---- asking ---------------------------------------------------------------------------------------------

  /** Sends a signed request. `raw` goes out as it is in place of the body. */
  async ask(destination: string, method: string, uri: string, content?: JsonValue, raw?: string): Promise<Answer> {
    const request = { method, uri, origin: this.name, destination, ...(content === undefined ? {} : { content }) };
    const keys = {
      sign: (message: Uint8Array) => ({ keyId: this.key.keyId, signature: sign(message, this.key.seed) }),
    };
    const authorization = await signRequest(request, keys);
    const body = raw ?? (content === undefined ? undefined : encodeCanonical(content));
    const [host, port] = destination.split(":");
    return new Promise((resolve, reject) => {
      const sent = httpsRequest(
        {
          host: "127.0.0.1",
          servername: host,
          port,
          method,
          path: uri,
          agent: this.#agent,
          headers: { host: destination, authorization, ...(body && { "content-type": "application/json" }) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString();
            resolve({ status: response.statusCode ?? 0, body: parsed(text) });
          });
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** One transaction. */
  send(destination: string, pdus: readonly JsonValue[], edus: readonly JsonValue[] = []): Promise<Answer> {
    const id = `${this.key.seed[0] ?? 0}-${String(this.#transactions++)}`;
    const content = { origin: this.name, origin_server_ts: Date.now(), pdus: [...pdus], edus: [...edus] };
    return this.ask(destination, "PUT", `/_matrix/federation/v1/send/${id}`, content);
  }

  // ---- rooms ----------------------------------------------------------------------------------------------

  /** Joins a room through one of its servers, and remembers the state that it is shown. */
  async join(version: string, roomId: string, userId: string, through: string): Promise<ThirdRoom> {
    const where = `${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}`;
    const offered = await this.ask(through, "GET", `/_matrix/federation/v1/make_join/${where}?ver=${version}`);
    if (offered.status !== 200) throw new Error(`make_join: ${JSON.stringify(offered)}`);
    const rules = rulesOf(version);
    const template = offered.body["event"] as JsonObject;
    const signed = signEvent(rules, { ...template, origin_server_ts: Date.now() }, this.key);
    const join = pduOf(rules, signed);
    const target = `${encodeURIComponent(roomId)}/${encodeURIComponent(join.eventId)}`;
    const joined = await this.ask(through, "PUT", `/_matrix/federation/v2/send_join/${target}`, signed);
    if (joined.status !== 200) throw new Error(`send_join: ${JSON.stringify(joined)}`);
    const room = new ThirdRoom(this, rules, roomId);
    for (const event of joined.body["state"] as readonly JsonObject[]) room.put(pduOf(rules, event));
    for (const event of joined.body["auth_chain"] as readonly JsonObject[]) room.know(pduOf(rules, event));
    room.put(join);
    room.latest = [join];
    return room;
  }
}

/** A room as the third server was shown it, and as it goes on in it. */
export class ThirdRoom {
  readonly #server: ThirdServer;
  readonly rules: RoomVersionRules;
  readonly roomId: string;
  readonly state = new Map<string, Pdu>();
  latest: readonly Pdu[] = [];

  constructor(server: ThirdServer, rules: RoomVersionRules, roomId: string) {
    this.#server = server;
    this.rules = rules;
    this.roomId = roomId;
  }

  know(event: Pdu): void {
    this.#server.events.set(event.eventId, event);
  }

  put(event: Pdu): void {
    this.know(event);
    if (event.stateKey !== undefined) this.state.set(keyOf(event.type, event.stateKey), event);
  }

  /** An event that follows the latest ones, or `prev`; it is not sent, and nothing follows it yet. */
  build(sender: string, { prev = this.latest, time = Date.now(), ...draft }: Draft): Pdu {
    const full = { ...draft, roomId: this.roomId, sender, originServerTs: time };
    const cited = selectAuthEvents(this.rules, full).flatMap(([type, key]) => this.state.get(keyOf(type, key)) ?? []);
    const built = buildEvent(this.rules, full, { prevEvents: prev, authEvents: cited }, this.#server.key);
    if (!built.ok) throw new Error(built.error.reason);
    return built.value;
  }

  /** The same event with changes, its hash and signature made anew; no format is looked at. */
  remake(event: Pdu, changes: JsonObject): JsonObject {
    const { hashes: _, signatures: __, ...rest } = event.json;
    const changed = { ...rest, ...changes };
    return signEvent(this.rules, hashEvent(changed), this.#server.key);
  }
}

export function rulesOf(version: string): RoomVersionRules {
  const found = roomVersions.get(version);
  if (!found.ok) throw new Error(found.error.reason);
  return found.value.rules;
}

export function pduOf(rules: RoomVersionRules, json: JsonObject): Pdu {
  const read = readPdu(rules, json);
  if (!read.ok) throw new Error(`${read.error.reason}: ${JSON.stringify(json)}`);
  return read.value;
}

function keyOf(type: string, stateKey: string): string {
  return JSON.stringify([type, stateKey]);
}

function parsed(text: string): JsonObject {
  try {
    return JSON.parse(text) as JsonObject;
  } catch {
    return { text };
  }
}
