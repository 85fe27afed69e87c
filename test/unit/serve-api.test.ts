/** The local API, over HTTP, of a server on ports in memory. */
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createKeyDirectory,
  createMemoryKeys,
  createMemoryNetwork,
  createMemoryStorage,
  createSeededRandom,
} from "../../src/adapters/memory/index.js";
import { createSystemClock } from "../../src/adapters/system/index.js";
import { createApi } from "../../src/cli/serve/api/listener.js";
import type { Api } from "../../src/cli/serve/api/listener.js";
import { routes } from "../../src/cli/serve/api/routes.js";
import { createLog } from "../../src/cli/serve/log.js";
import { createWatch } from "../../src/cli/serve/metrics.js";
import { createServer } from "../../src/federation/index.js";
import type { Server } from "../../src/federation/index.js";
import { encodeCanonical, get, isObject, parseLax } from "../../src/json/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";

const TOKEN = "a-token-of-the-tests";
const logged: string[] = [];
const log = createLog({ format: "json", level: "debug", write: (line) => logged.push(line), now: () => 0 });
const network = createMemoryNetwork();
const directory = createKeyDirectory();
const clock = createSystemClock({ unref: true });

interface Host {
  readonly server: Server;
  readonly api: Api;
  readonly port: number;
}

async function open(name: string): Promise<Host> {
  const random = createSeededRandom(name);
  const watch = createWatch(log);
  const server = createServer({
    server: name,
    storage: createMemoryStorage(),
    transport: network.transport(name),
    keys: createMemoryKeys({ server: name, keyId: "ed25519:1", seed: random.bytes(32) }, directory),
    clock,
    random,
    observer: watch.observer,
  });
  await server.start();
  const health = (): JsonObject => ({ server: name });
  const api = createApi({
    token: TOKEN,
    log,
    host: { server, isShared: false, health, metrics: () => watch.metrics() },
  });
  await new Promise<void>((resolve) => api.http.listen(0, "127.0.0.1", resolve));
  return { server, api, port: (api.http.address() as AddressInfo).port };
}

interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}

function ask(
  { port }: Pick<Host, "port">,
  method: string,
  path: string,
  body?: JsonObject | string,
  headers: Readonly<Record<string, string>> = { authorization: `Bearer ${TOKEN}` },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = typeof body === "object" ? JSON.stringify(body) : (body ?? "");
    const all = { ...headers, "content-length": Buffer.byteLength(sent) };
    const asking = request({ port, host: "127.0.0.1", method, path, headers: all, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const parsed = parseLax(Buffer.concat(chunks).toString());
        if (!parsed.ok || !isObject(parsed.value)) reject(new Error("the answer is no JSON object"));
        else resolve({ status: response.statusCode ?? 0, body: parsed.value });
      });
    });
    asking.on("error", reject);
    asking.end(sent);
  });
}

let one: Host;
let two: Host;
const ada = "@ada:one.example";
const bob = "@bob:two.example";

beforeAll(async () => {
  [one, two] = await Promise.all([open("one.example"), open("two.example")]);
});

afterAll(async () => {
  for (const { server, api } of [one, two]) {
    server.stop();
    await api.stop(0);
  }
});

async function done(host: Host, method: string, path: string, body?: JsonObject): Promise<JsonObject> {
  const answer = await ask(host, method, path, body);
  expect(answer.status, encodeCanonical(answer.body)).toBe(200);
  return answer.body;
}

async function refused(host: Host, method: string, path: string, body?: JsonObject | string) {
  const { status, body: answer } = await ask(host, method, path, body);
  const error = get(answer, "error");
  if (!isObject(error)) throw new Error(`it was not refused: ${JSON.stringify(answer)}`);
  return [status, get(error, "code"), get(error, "reason")] as const;
}

function text(object: JsonObject, key: string): string {
  const value = get(object, key);
  if (typeof value !== "string") throw new Error(`${key} is no text in ${JSON.stringify(object)}`);
  return value;
}

function list(object: JsonObject, key: string): readonly JsonObject[] {
  const value = get(object, key);
  if (!Array.isArray(value)) throw new Error(`${key} is no list in ${JSON.stringify(object)}`);
  return value.filter((one_: JsonValue): one_ is JsonObject => isObject(one_));
}

const pathOf = (roomId: string, what: string = ""): string => `/v1/rooms/${encodeURIComponent(roomId)}${what}`;
const eventPath = (eventId: string, what: string = ""): string => `/v1/events/${encodeURIComponent(eventId)}${what}`;

async function delivered(): Promise<void> {
  while (one.server.isDelivering || two.server.isDelivering) await clock.sleep(5);
}

/** A room of two servers. */
async function shared(version: string = "11"): Promise<string> {
  const made = await done(one, "POST", "/v1/rooms", { user: ada, version, preset: "public", name: "Garden" });
  const roomId = text(made, "roomId");
  await done(two, "POST", pathOf(roomId, "/join"), { user: bob, via: ["one.example"] });
  await delivered();
  return roomId;
}

describe("the local API", () => {
  it("does what users do, and tells what became of it", async () => {
    const roomId = await shared();
    const hello = text(await done(two, "POST", pathOf(roomId, "/send"), { user: bob, body: "Hello" }), "eventId");
    const state = { user: ada, type: "m.room.topic", content: { topic: "Tulips" } };
    await done(one, "POST", pathOf(roomId, "/state"), state);
    await delivered();
    const redaction = { user: ada, eventId: hello, reason: "loud" };
    await done(one, "POST", pathOf(roomId, "/redact"), redaction);
    await done(one, "POST", pathOf(roomId, "/ban"), { user: ada, target: bob, reason: "spam" });
    await delivered();
    const kicked = await refused(two, "POST", pathOf(roomId, "/send"), { user: bob, body: "Still here?" });
    expect(kicked).toEqual([404, "unknown_room", expect.stringContaining("no user of two.example is in")]);
    const room = await done(one, "GET", pathOf(roomId));
    expect(room).toMatchObject({ roomId, version: "11", name: "Garden", topic: "Tulips", isResident: true });
    expect(get(room, "members")).toEqual({ join: 1, invite: 0, knock: 0, leave: 0, ban: 1 });
    const members = await done(one, "GET", pathOf(roomId, "/members?membership=ban&membership=knock"));
    expect(list(members, "members").map((member) => get(member, "userId"))).toEqual([bob]);
    const names = await done(one, "GET", pathOf(roomId, "/state?type=m.room.topic&stateKey="));
    expect(list(names, "state").map((event) => get(event, "content"))).toEqual([{ topic: "Tulips" }]);
    const timeline = await done(one, "GET", pathOf(roomId, "/timeline?direction=backwards&limit=4"));
    expect(list(timeline, "events").map((event) => get(event, "type"))).toEqual([
      "m.room.member",
      "m.room.redaction",
      "m.room.topic",
      "m.room.message",
    ]);
    const message = list(timeline, "events")[3]!;
    expect(message).toMatchObject({ eventId: hello, content: {}, verdict: "accepted" });
    expect(get(message, "redactedBy")).toBe(get(list(timeline, "events")[1]!, "eventId"));
    await done(one, "POST", pathOf(roomId, "/unban"), { user: ada, target: bob });
    const eve = "@eve:two.example";
    await done(one, "POST", pathOf(roomId, "/invite"), { user: ada, target: eve });
    await delivered();
    const invites = await done(two, "GET", `/v1/rooms?user=${encodeURIComponent(eve)}`);
    expect(list(invites, "rooms")).toContainEqual(expect.objectContaining({ roomId, membership: "invite" }));
    await done(two, "POST", pathOf(roomId, "/leave"), { user: eve });
    await delivered();
    const after = list(await done(one, "GET", pathOf(roomId, "/members?membership=leave")), "members");
    expect(after.map((member) => get(member, "userId"))).toEqual([bob, eve]);
    const upgraded = await done(one, "POST", pathOf(roomId, "/upgrade"), { user: ada, version: "12" });
    expect(get(await done(one, "GET", pathOf(roomId)), "replacement")).toBe(get(upgraded, "roomId"));
    const checked = await done(one, "GET", "/v1/check");
    expect(checked).toMatchObject({ sound: true, findings: [] });
    expect(get(checked, "events")).toBeGreaterThan(10);
  });

  it("says why: the rule, what was looked at, and what changed", async () => {
    const roomId = await shared("10");
    const topic = await done(one, "POST", pathOf(roomId, "/state"), {
      user: ada,
      type: "m.room.topic",
      content: { topic: "Tulips" },
    });
    await delivered();
    const eventId = text(topic, "eventId");
    const why = await done(two, "GET", eventPath(eventId, "/why"));
    expect(why).toMatchObject({
      roomId,
      eventId,
      roomVersion: "10",
      verdict: "accepted",
      rule: "v10 rule 10",
      ruleName: "allow",
      words: "allowed by its auth events and by the state before it",
      type: "m.room.topic",
      sender: ada,
      changes: [{ type: "m.room.topic", stateKey: "", after: { eventId, content: { topic: "Tulips" } } }],
      current: { isCurrent: true, eventId },
    });
    expect(list(why, "consulted").map((key) => [get(key, "type"), get(key, "inState") === get(key, "cited")])).toEqual([
      ["m.room.create", true],
      ["m.room.power_levels", true],
      ["m.room.member", true],
    ]);
    expect(list(why, "authEvents").every((event) => get(event, "verdict") === "accepted")).toBe(true);
    const before = await done(two, "GET", pathOf(roomId, `/state?at=${encodeURIComponent(eventId)}&side=before`));
    expect(list(before, "state").some((event) => get(event, "type") === "m.room.topic")).toBe(false);
    const raw = await done(two, "GET", `${eventPath(eventId)}?room=${encodeURIComponent(roomId)}`);
    expect(get(raw, "original")).toMatchObject({ type: "m.room.topic", signatures: { "one.example": {} } });
    const none = `$${"x".repeat(43)}`;
    expect(await refused(two, "GET", eventPath(none, "/why"))).toEqual([404, "not_found", `${none} is not known here`]);
  });

  it("names the rule that refuses", async () => {
    const roomId = await shared("9");
    const { status, body } = await ask(two, "POST", pathOf(roomId, "/ban"), { user: bob, target: ada });
    expect(status).toBe(403);
    expect(get(body, "error")).toMatchObject({
      code: "auth_rejected",
      rule: expect.stringMatching(/^v9 rule /) as string,
    });
  });

  it("waits for news, and for no longer than it was told", async () => {
    const roomId = await shared();
    const position = get(await done(one, "GET", pathOf(roomId)), "position");
    if (typeof position !== "number") throw new Error("no position");
    const began = clock.now();
    const nothing = await done(one, "GET", pathOf(roomId, `/timeline?from=${position + 1}&wait=150`));
    expect(clock.now() - began).toBeGreaterThanOrEqual(140);
    expect(nothing).toEqual({ events: [], next: position + 1 });
    const waiting = done(one, "GET", pathOf(roomId, `/timeline?from=${position + 1}&wait=20000`));
    await done(two, "POST", pathOf(roomId, "/send"), { user: bob, body: "News" });
    const news = await waiting;
    expect(list(news, "events").map((event) => get(event, "content"))).toEqual([{ msgtype: "m.text", body: "News" }]);
    expect(get(news, "next")).toBe(position + 2);
    expect(clock.now() - began).toBeLessThan(10_000);
  });

  it("pages forwards and backwards through all there is", async () => {
    const roomId = await shared();
    for (let at = 0; at < 5; at++) await done(one, "POST", pathOf(roomId, "/send"), { user: ada, body: String(at) });
    const forwards: JsonValue[] = [];
    let from: JsonValue | undefined;
    for (;;) {
      const query = from === undefined ? "" : `&from=${Number(from)}`;
      const page = await done(one, "GET", pathOf(roomId, `/timeline?limit=3${query}`));
      if (list(page, "events").length === 0) break;
      forwards.push(...list(page, "events").map((event) => get(event, "eventId") ?? null));
      from = get(page, "next");
    }
    const backwards: JsonValue[] = [];
    let next: JsonValue | undefined;
    do {
      const query: string = next === undefined ? "" : `&from=${Number(next)}`;
      const page: JsonObject = await done(one, "GET", pathOf(roomId, `/timeline?direction=backwards&limit=3${query}`));
      backwards.push(...list(page, "events").map((event) => get(event, "eventId") ?? null));
      next = get(page, "next");
    } while (next !== undefined);
    expect(forwards.length).toBeGreaterThan(10);
    expect(backwards).toEqual([...forwards].reverse());
  });

  it("sends text as the room's version has it", async () => {
    const roomId = await shared("I.1");
    const sent = await done(one, "POST", pathOf(roomId, "/send"), { user: ada, body: "Hello" });
    const event = await done(one, "GET", eventPath(text(sent, "eventId")));
    expect(event).toMatchObject({ type: "m.message", content: { "m.text": [{ body: "Hello" }] } });
  });

  it("keeps the numbers of old rooms as they are", async () => {
    const roomId = await shared("5");
    const body = `{"user":"${ada}","type":"x","content":{"big":12345678901234567890,"f":1.50}}`;
    const sent = await ask(one, "POST", pathOf(roomId, "/send"), body);
    expect(sent.status).toBe(200);
    const event = await done(one, "GET", eventPath(text(sent.body, "eventId")));
    expect(get(event, "content")).toMatchObject({ big: 12345678901234567890n, f: { value: 1.5 } });
    const strict = await shared("6");
    expect((await refused(one, "POST", pathOf(strict, "/send"), body))[0]).toBe(400);
  });

  it("asks for the token, and tells nothing without", async () => {
    for (const headers of [{}, { authorization: "Bearer other" }, { authorization: TOKEN }]) {
      const { status, body } = await ask(one, "GET", "/v1/health", undefined, headers);
      expect([status, get(body, "error")]).toEqual([
        401,
        { code: "unauthorized", reason: "Authorization: Bearer TOKEN is missing" },
      ]);
    }
    expect((await ask(one, "GET", "/v1/health")).status).toBe(200);
  });

  it.each([
    ["GET", "/v1/nothing", undefined, 404, "not_found", /there is no \/v1\/nothing/],
    ["GET", "/v1/rooms/%E0%A4%A/state", undefined, 404, "not_found", /there is no/],
    ["POST", "/v1/health", {}, 405, "not_allowed", /takes GET/],
    ["DELETE", "/v1/rooms", undefined, 405, "not_allowed", /takes GET, POST/],
    ["GET", "/v1/health?verbose=1", undefined, 400, "bad_request", /no field verbose is known here: there are none/],
    ["GET", "/v1/rooms?user=ada", undefined, 400, "bad_request", /user must be this: user id/],
    ["GET", "/v1/rooms?user=%40x%3Atwo.example", undefined, 400, "bad_request", /is no user of one\.example/],
    ["GET", "/v1/rooms", { user: ada }, 400, "bad_request", /a GET has no body/],
    ["POST", "/v1/rooms", "{", 400, "bad_json", /./],
    ["POST", "/v1/rooms", "[]", 400, "bad_request", /must be a JSON object/],
    ["POST", "/v1/rooms", `{"user":"${ada}","user":"${ada}"}`, 400, "bad_json", /./],
    ["POST", "/v1/rooms", {}, 400, "bad_request", /user is missing: user id/],
    ["POST", "/v1/rooms", { user: ada, version: "99" }, 400, "bad_request", /version must be this: `1`, `2`/],
    ["POST", "/v1/rooms", { user: ada, federate: "no" }, 400, "bad_request", /federate must be this: boolean/],
    ["POST", "/v1/rooms", { user: ada, invite: [7] }, 400, "bad_request", /invite must be this: list of user id/],
    [
      "POST",
      "/v1/rooms",
      { user: ada, initialState: [{ type: "x", contents: {} }] },
      400,
      "bad_request",
      /list of `\{type, stateKey, content\}`/,
    ],
    ["POST", "/v1/rooms", { user: ada, version: "11", additionalCreators: [bob] }, 400, "bad_request", /no additional/],
    ["GET", "/v1/rooms/!none%3Aone.example", undefined, 404, "unknown_room", /is not known here/],
    ["GET", "/v1/rooms/nonsense", undefined, 400, "bad_request", /roomId must be this: room id/],
    ["GET", "/v1/rooms/!none%3Aone.example/timeline?limit=0", undefined, 400, "bad_request", /integer from 1 to 1000/],
    ["GET", "/v1/rooms/!none%3Aone.example/timeline?limit=1e2", undefined, 400, "bad_request", /integer from 1/],
    ["GET", "/v1/rooms/!none%3Aone.example/timeline?wait=60001", undefined, 400, "bad_request", /from 0 to 60000/],
    ["POST", "/v1/rooms/!none%3Aone.example/send", { user: ada }, 400, "bad_request", /body or content is missing/],
    [
      "POST",
      "/v1/rooms/!none%3Aone.example/send",
      { user: ada, body: "x", content: {} },
      400,
      "bad_request",
      /body and content say the same/,
    ],
    ["POST", "/v1/rooms/!none%3Aone.example/send", { user: ada, body: "x" }, 404, "unknown_room", /./],
    [
      "POST",
      "/v1/rooms/!none%3Agone.example/join",
      { user: ada, via: ["gone.example"] },
      502,
      "unreachable",
      /gone\.example/,
    ],
    ["POST", "/v1/rooms/%23none%3Agone.example/join", { user: ada }, 502, "unreachable", /gone\.example/],
  ] as const)("answers %s %s with %j by %i %s", async (method, path, body, status, code, says) => {
    expect(await refused(one, method, path, body)).toEqual([status, code, expect.stringMatching(says)]);
  });

  it("does not take a body without end", async () => {
    const long = `{"user":"${"x".repeat(5 * 1024 * 1024)}"}`;
    expect(await refused(one, "POST", "/v1/rooms", long)).toEqual([413, "too_large", expect.any(String)]);
  });

  it("does not take what the path says from the body", async () => {
    const [mine, other] = [await shared(), await shared()];
    await done(one, "POST", pathOf(mine, "/send"), { user: ada, body: "here", roomId: other });
    const last = list(await done(one, "GET", pathOf(mine, "/timeline?direction=backwards&limit=1")), "events");
    expect(get(last[0]!, "content")).toMatchObject({ body: "here" });
  });

  it("counts what happens", async () => {
    await shared();
    const metrics = await done(two, "GET", "/v1/metrics");
    expect(get(metrics, "faults")).toBe(0);
    expect(get(metrics, "counters")).toMatchObject({ "room.commit.events": expect.any(Number) as number });
    const receipts = get(await done(one, "GET", "/v1/metrics"), "receipts");
    expect(isObject(receipts) && get(receipts, "accepted")).toBeGreaterThan(0);
  });

  it("logs a fault of its own, answers it with no detail, and goes on", async () => {
    const broken = createApi({
      token: TOKEN,
      log,
      host: {
        server: one.server,
        isShared: false,
        health: () => {
          throw new Error("the secret of the house");
        },
        metrics: () => ({}),
      },
    });
    await new Promise<void>((resolve) => broken.http.listen(0, "127.0.0.1", resolve));
    const host = { port: (broken.http.address() as AddressInfo).port };
    const { status, body } = await ask(host, "GET", "/v1/health");
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain("secret");
    expect(logged.at(-1)).toContain("the secret of the house");
    expect((await ask(host, "GET", "/v1/metrics")).status).toBe(200);
    await broken.stop(0);
  });

  it("lets those who wait for news go when it stops", async () => {
    const roomId = await shared();
    const other = createApi({
      token: TOKEN,
      log,
      host: { server: one.server, isShared: false, health: () => ({}), metrics: () => ({}) },
    });
    await new Promise<void>((resolve) => other.http.listen(0, "127.0.0.1", resolve));
    const host = { port: (other.http.address() as AddressInfo).port };
    const waiting = ask(host, "GET", pathOf(roomId, "/timeline?from=1000&wait=60000"));
    await clock.sleep(100);
    await other.stop(5_000);
    expect(await waiting).toEqual({ status: 200, body: { events: [], next: 1000 } });
  });

  it("has each of its routes in the table once, and every one of them tells what it is about", () => {
    const names = routes.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(names).size).toBe(names.length);
    expect(routes.every(({ about, path }) => about.length > 5 && path.startsWith("/v1/"))).toBe(true);
    for (const { path, fields } of routes) {
      const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
      expect(parameters.every((name) => fields[name]?.required === true)).toBe(true);
    }
  });
});
