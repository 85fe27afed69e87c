/** What a user of Synapse does and sees, by its client-server API. */
import { createHmac, randomUUID } from "node:crypto";
import type { JsonObject, JsonValue } from "../../../src/json/value.js";
import type { SynapseAddress } from "./synapse.js";

/** An event as the client-server API tells it. */
export interface ClientEvent {
  readonly event_id: string;
  readonly type: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content: JsonObject;
  readonly origin_server_ts: number;
  readonly unsigned?: JsonObject;
}

/** What Synapse refused. */
export class Refused extends Error {
  readonly status: number;
  readonly errcode: string;

  constructor(what: string, status: number, body: JsonObject) {
    super(`${what}: ${String(status)} ${JSON.stringify(body)}`);
    this.status = status;
    this.errcode = textOf(body, "errcode");
  }
}

export interface RoomDraft {
  readonly version: string;
  readonly preset?: "public_chat" | "private_chat";
  readonly invite?: readonly string[];
  readonly initialState?: readonly {
    readonly type: string;
    readonly state_key?: string;
    readonly content: JsonObject;
  }[];
  readonly powerLevels?: JsonObject;
}

async function request(
  api: string,
  token: string | undefined,
  method: "GET" | "POST" | "PUT",
  path: string,
  body?: object,
): Promise<JsonObject> {
  const response = await fetch(`${api}${path}`, {
    method,
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as JsonObject;
  if (!response.ok) throw new Refused(`${method} ${path}`, response.status, answer);
  return answer;
}

/** One user of Synapse. */
export class SynapseUser {
  readonly userId: string;
  readonly #api: string;
  readonly #token: string;

  constructor(api: string, userId: string, token: string) {
    this.#api = api;
    this.userId = userId;
    this.#token = token;
  }

  get(path: string): Promise<JsonObject> {
    return request(this.#api, this.#token, "GET", path);
  }

  post(path: string, body: object = {}): Promise<JsonObject> {
    return request(this.#api, this.#token, "POST", path, body);
  }

  put(path: string, body: object): Promise<JsonObject> {
    return request(this.#api, this.#token, "PUT", path, body);
  }

  // ---- rooms ----------------------------------------------------------------------------------------------

  async create({ version, preset = "public_chat", invite = [], ...rest }: RoomDraft): Promise<string> {
    const { initialState = [], powerLevels } = rest;
    const made = await this.post("/_matrix/client/v3/createRoom", {
      room_version: version,
      preset,
      invite,
      initial_state: initialState,
      ...(powerLevels === undefined ? {} : { power_level_content_override: powerLevels }),
    });
    return textOf(made, "room_id");
  }

  async join(roomId: string, via: readonly string[] = []): Promise<void> {
    await this.post(`/_matrix/client/v3/join/${path(roomId)}?${viaOf(via)}`);
  }

  async knock(roomId: string, via: readonly string[] = []): Promise<void> {
    await this.post(`/_matrix/client/v3/knock/${path(roomId)}?${viaOf(via)}`);
  }

  /** Leaves a room, or rejects an invite. */
  async leave(roomId: string): Promise<void> {
    await this.post(`/_matrix/client/v3/rooms/${path(roomId)}/leave`);
  }

  async moderate(verb: "invite" | "kick" | "ban" | "unban", roomId: string, target: string): Promise<void> {
    await this.post(`/_matrix/client/v3/rooms/${path(roomId)}/${verb}`, { user_id: target });
  }

  async send(roomId: string, body: string, type = "m.room.message"): Promise<string> {
    const content = { msgtype: "m.text", body };
    const sent = await this.put(`/_matrix/client/v3/rooms/${path(roomId)}/send/${path(type)}/${randomUUID()}`, content);
    return textOf(sent, "event_id");
  }

  async setState(roomId: string, type: string, stateKey: string, content: JsonObject): Promise<string> {
    const sent = await this.put(
      `/_matrix/client/v3/rooms/${path(roomId)}/state/${path(type)}/${path(stateKey)}`,
      content,
    );
    return textOf(sent, "event_id");
  }

  async redact(roomId: string, eventId: string): Promise<string> {
    const where = `/_matrix/client/v3/rooms/${path(roomId)}/redact/${path(eventId)}/${randomUUID()}`;
    return textOf(await this.put(where, { reason: "interop" }), "event_id");
  }

  async upgrade(roomId: string, version: string): Promise<string> {
    const made = await this.post(`/_matrix/client/v3/rooms/${path(roomId)}/upgrade`, { new_version: version });
    return textOf(made, "replacement_room");
  }

  // ---- what Synapse says ----------------------------------------------------------------------------------

  async state(roomId: string): Promise<readonly ClientEvent[]> {
    const state: unknown = await this.get(`/_matrix/client/v3/rooms/${path(roomId)}/state`);
    return state as readonly ClientEvent[];
  }

  /** Names of all state events, sorted. */
  async stateIds(roomId: string): Promise<readonly string[]> {
    return (await this.state(roomId)).map(({ event_id }) => event_id).sort();
  }

  /** The content, or `undefined` where there is none. */
  async stateContent(roomId: string, type: string, stateKey = ""): Promise<JsonObject | undefined> {
    return (await this.state(roomId)).find((one) => one.type === type && one.state_key === stateKey)?.content;
  }

  async membership(roomId: string, userId: string): Promise<JsonValue | undefined> {
    return (await this.stateContent(roomId, "m.room.member", userId))?.["membership"];
  }

  /** Throws {@link Refused} for an event that this user may not see, or that Synapse has not. */
  async event(roomId: string, eventId: string): Promise<ClientEvent> {
    const event: unknown = await this.get(`/_matrix/client/v3/rooms/${path(roomId)}/event/${path(eventId)}`);
    return event as ClientEvent;
  }

  /** The timeline that Synapse has, newest first, backfilled as far as it goes or as the page that holds `until`. */
  async messages(roomId: string, limit = 100, until?: string): Promise<readonly ClientEvent[]> {
    const events: ClientEvent[] = [];
    let from = "";
    for (;;) {
      const page = (await this.get(
        `/_matrix/client/v3/rooms/${path(roomId)}/messages?dir=b&limit=${String(limit)}${from}`,
      )) as { readonly chunk?: readonly ClientEvent[]; readonly end?: string };
      const found = page.chunk ?? [];
      events.push(...found);
      if (page.end === undefined || found.some(({ event_id }) => event_id === until)) return events;
      from = `&from=${path(page.end)}`;
    }
  }

  /** Rooms by membership, as a client is told of them. */
  async rooms(): Promise<{ readonly join: readonly string[]; readonly invite: readonly string[] }> {
    const filter = JSON.stringify({ room: { timeline: { limit: 1 } }, presence: { types: [] } });
    const synced = (await this.get(`/_matrix/client/v3/sync?timeout=0&filter=${path(filter)}`)) as {
      readonly rooms?: Readonly<Record<string, JsonObject>>;
    };
    const names = (kind: string): readonly string[] => Object.keys(synced.rooms?.[kind] ?? {});
    return { join: names("join"), invite: names("invite") };
  }

  /** An invite as a client is shown it: stripped state. */
  async invite(roomId: string): Promise<readonly JsonObject[] | undefined> {
    const synced = (await this.get("/_matrix/client/v3/sync?timeout=0")) as {
      readonly rooms?: {
        readonly invite?: Readonly<Record<string, { readonly invite_state: { readonly events: JsonObject[] } }>>;
      };
    };
    return synced.rooms?.invite?.[roomId]?.invite_state.events;
  }
}

/** A new user. Administrators may use the admin API. */
export async function register({ api, server }: SynapseAddress, name: string, isAdmin = false): Promise<SynapseUser> {
  const nonce = textOf(await request(api, undefined, "GET", "/_synapse/admin/v1/register"), "nonce");
  const password = "interop";
  const mac = createHmac("sha1", "interop")
    .update([nonce, name, password, isAdmin ? "admin" : "notadmin"].join("\0"))
    .digest("hex");
  const made = await request(api, undefined, "POST", "/_synapse/admin/v1/register", {
    nonce,
    username: name,
    password,
    admin: isAdmin,
    mac,
  });
  return new SynapseUser(api, `@${name}:${server}`, textOf(made, "access_token"));
}

export function path(text: string): string {
  return encodeURIComponent(text);
}

function viaOf(servers: readonly string[]): string {
  return servers.map((server) => `server_name=${path(server)}&via=${path(server)}`).join("&");
}

function textOf(answer: JsonObject, key: string): string {
  const value = answer[key];
  if (typeof value !== "string") throw new Error(`Synapse answered no ${key}: ${JSON.stringify(answer)}`);
  return value;
}
