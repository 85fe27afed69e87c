/** `roomdag serve` as a process, and what its users do and see by its local API. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { JsonObject, JsonValue } from "../../../src/json/value.js";
import { eventually, freePort, isRunning, pidOf, root, startProgram, stopProgram } from "./processes.js";

/** `ROOMDAG_CLI` in the environment: another build than the one in dist. */
export const cli = process.env["ROOMDAG_CLI"] ?? `${root}dist/cli.js`;

/** Where a server is, and what it takes to stop it and start it again. */
export interface RoomdagAddress {
  readonly folder: string;
  readonly server: string;
  readonly api: string;
  /** As `--database` takes it. */
  readonly database?: string;
}

export async function createRoomdag(database?: string): Promise<RoomdagAddress> {
  const folder = mkdtempSync(join(tmpdir(), "roomdag-serve-"));
  const [port, apiPort] = [await freePort(), await freePort()];
  const address = {
    folder,
    server: `localhost:${String(port)}`,
    api: `127.0.0.1:${String(apiPort)}`,
    ...(database === undefined ? {} : { database }),
  };
  await startRoomdag(address);
  return address;
}

function program({ folder, server, api, database }: RoomdagAddress) {
  const flags = ["--name", server, "--data", join(folder, "data"), "--api", api, "--log", "json"];
  if (database !== undefined) flags.push("--database", database);
  return {
    command: process.execPath,
    args: [cli, "serve", ...flags, "--allow-private", "--trust-any-certificate"],
    // Where the drivers of databases are.
    cwd: `${root}.cache/databases`,
    pidFile: join(folder, "pid"),
    logFile: join(folder, "serve.log"),
  };
}

export async function startRoomdag(address: RoomdagAddress): Promise<void> {
  const own = program(address);
  startProgram(own);
  await eventually(async () => {
    try {
      await new Roomdag(address).health();
    } catch (error) {
      if (isRunning(pidOf(own) ?? -1)) throw error;
      throw new Error(`roomdag serve ended: ${logOf(address)}`, { cause: error });
    }
  }, 60_000);
}

export function stopRoomdag(address: RoomdagAddress, signal?: "SIGKILL"): Promise<void> {
  return stopProgram(program(address), signal);
}

/** What `roomdag check` says of all that is stored; nobody may have it open. */
export function checkStore({ folder, database }: RoomdagAddress): string {
  const where = database === undefined ? [] : ["--database", database];
  const run = spawnSync(process.execPath, [cli, "check", "--store", join(folder, "data"), ...where], {
    cwd: `${root}.cache/databases`,
    encoding: "utf8",
  });
  return run.stdout + run.stderr;
}

export function removeRoomdag({ folder }: RoomdagAddress): void {
  rmSync(folder, { recursive: true, force: true });
}

export function logOf({ folder }: RoomdagAddress, length = 6_000): string {
  const file = join(folder, "serve.log");
  return existsSync(file) ? readFileSync(file, "utf8").slice(-length) : "";
}

/** What the API refused. */
export class RoomdagRefused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(what: string, status: number, { error }: { readonly error?: { readonly code?: string } }) {
    super(`${what}: ${String(status)} ${JSON.stringify(error)}`);
    this.status = status;
    this.code = error?.code ?? "";
  }
}

/** An event of a state, as the API tells it. */
export interface StateView {
  readonly eventId: string;
  readonly type: string;
  readonly stateKey: string;
  readonly sender: string;
  readonly content: JsonObject;
}

/** An event of a timeline. */
export interface EventView {
  readonly eventId: string;
  readonly position: number;
  readonly type: string;
  readonly stateKey?: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly redactedBy?: string;
  readonly verdict: string;
}

/** The local API. */
export class Roomdag {
  readonly #address: RoomdagAddress;

  constructor(address: RoomdagAddress) {
    this.#address = address;
  }

  get server(): string {
    return this.#address.server;
  }

  user(name: string): RoomdagUser {
    return new RoomdagUser(this, `@${name}:${this.server}`);
  }

  health(): Promise<JsonObject> {
    return this.call("GET", "/v1/health");
  }

  async call(method: "GET" | "POST", path: string, body?: object): Promise<JsonObject> {
    const file = join(this.#address.folder, "data", "api-token");
    const token = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
    const response = await fetch(`http://${this.#address.api}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as JsonObject;
    if (!response.ok) throw new RoomdagRefused(`${method} ${path}`, response.status, answer);
    return answer;
  }

  room(roomId: string): Promise<JsonObject> {
    return this.call("GET", `/v1/rooms/${encodeURIComponent(roomId)}`);
  }

  async state(roomId: string): Promise<readonly StateView[]> {
    const { state } = await this.call("GET", `/v1/rooms/${encodeURIComponent(roomId)}/state`);
    return state as unknown as readonly StateView[];
  }

  async stateIds(roomId: string): Promise<readonly string[]> {
    return (await this.state(roomId)).map(({ eventId }) => eventId).sort();
  }

  async stateContent(roomId: string, type: string, stateKey = ""): Promise<JsonObject | undefined> {
    return (await this.state(roomId)).find((one) => one.type === type && one.stateKey === stateKey)?.content;
  }

  async membership(roomId: string, userId: string): Promise<JsonValue | undefined> {
    return (await this.stateContent(roomId, "m.room.member", userId))?.["membership"];
  }

  /** Newest first; as far as the page that holds `until`. */
  async timeline(roomId: string, until?: string): Promise<readonly EventView[]> {
    const events: EventView[] = [];
    let from = "";
    for (;;) {
      const path = `/v1/rooms/${encodeURIComponent(roomId)}/timeline?direction=backwards&limit=1000${from}`;
      const page = await this.call("GET", path);
      const found = page["events"] as unknown as readonly EventView[];
      events.push(...found);
      const { next } = page;
      if (typeof next !== "number" || found.length === 0) return events;
      if (found.some(({ eventId }) => eventId === until)) return events;
      from = `&from=${String(next)}`;
    }
  }

  event(eventId: string): Promise<JsonObject> {
    return this.call("GET", `/v1/events/${encodeURIComponent(eventId)}`);
  }

  why(eventId: string): Promise<JsonObject> {
    return this.call("GET", `/v1/events/${encodeURIComponent(eventId)}/why`);
  }

  backfill(roomId: string, limit = 100): Promise<JsonObject> {
    return this.call("POST", `/v1/rooms/${encodeURIComponent(roomId)}/backfill`, { limit });
  }
}

/** One of its users. */
export class RoomdagUser {
  readonly host: Roomdag;
  readonly userId: string;

  constructor(host: Roomdag, userId: string) {
    this.host = host;
    this.userId = userId;
  }

  async #room(roomId: string, verb: string, body: object = {}): Promise<JsonObject> {
    const path = `/v1/rooms/${encodeURIComponent(roomId)}/${verb}`;
    return this.host.call("POST", path, { user: this.userId, ...body });
  }

  async create(options: { readonly version: string; readonly [name: string]: unknown }): Promise<string> {
    const made = await this.host.call("POST", "/v1/rooms", { user: this.userId, preset: "public", ...options });
    return textOf(made, "roomId");
  }

  async join(roomId: string, via: readonly string[] = [], partial = false): Promise<void> {
    await this.#room(roomId, "join", { via, partial });
  }

  async knock(roomId: string, via: readonly string[] = []): Promise<void> {
    await this.#room(roomId, "knock", { via });
  }

  /** Leaves a room, rejects an invite, or takes back a knock. */
  async leave(roomId: string, via: readonly string[] = []): Promise<void> {
    await this.#room(roomId, "leave", { via });
  }

  async moderate(verb: "invite" | "kick" | "ban" | "unban", roomId: string, target: string): Promise<void> {
    await this.#room(roomId, verb, { target });
  }

  async send(roomId: string, body: string): Promise<string> {
    return textOf(await this.#room(roomId, "send", { body }), "eventId");
  }

  async setState(roomId: string, type: string, stateKey: string, content: JsonObject): Promise<string> {
    return textOf(await this.#room(roomId, "state", { type, stateKey, content }), "eventId");
  }

  async redact(roomId: string, eventId: string): Promise<string> {
    return textOf(await this.#room(roomId, "redact", { eventId, reason: "interop" }), "eventId");
  }

  async upgrade(roomId: string, version: string): Promise<string> {
    return textOf(await this.#room(roomId, "upgrade", { version }), "roomId");
  }

  /** What this user has to do with, by room. */
  async rooms(): Promise<ReadonlyMap<string, JsonObject>> {
    const { rooms } = await this.host.call("GET", `/v1/rooms?user=${encodeURIComponent(this.userId)}`);
    return new Map((rooms as readonly JsonObject[]).map((room) => [textOf(room, "roomId"), room]));
  }
}

function textOf(answer: JsonObject, key: string): string {
  const value = answer[key];
  if (typeof value !== "string") throw new Error(`there is no ${key} in ${JSON.stringify(answer)}`);
  return value;
}
