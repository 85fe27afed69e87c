/** What a handler of HTTP does with requests around the receiver: who asks, how much, how often, how badly. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { splitAuthorization } from "../../src/adapters/http/authorization.js";
import { createHttpHandler } from "../../src/adapters/http/index.js";
import type { HttpHandler, HttpHandlerOptions, HttpServerMetric } from "../../src/adapters/http/index.js";
import { Budget, Places } from "../../src/adapters/http/places.js";
import { UsageError } from "../../src/errors.js";
import { get, isObject, parseLax } from "../../src/json/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { OperationName, Receiver } from "../../src/ports/index.js";
import { HttpWorld, requestOf } from "./http-support.js";

const ME = "here.example";
const PEER = "peer.example";
const V1 = "/_matrix/federation/v1";

afterEach(() => {
  vi.restoreAllMocks();
});

interface Heard {
  readonly origin: string;
  readonly name: OperationName;
  readonly request: unknown;
}

/** Has what each of the operations here answers. */
const value = { event: {}, pdus: {}, keys: {}, serverKeys: [], sub: "@a:here.example" };

/** A handler in a world, with all that got to its receiver and all that it said of itself. */
class Scene {
  readonly world: HttpWorld = new HttpWorld();
  readonly heard: Heard[] = [];
  readonly faults: { readonly where: string; readonly error: unknown }[] = [];
  readonly metrics: HttpServerMetric[] = [];
  readonly handler: HttpHandler;
  stop: () => void;

  constructor(options: Partial<HttpHandlerOptions> = {}, answer?: Receiver) {
    this.handler = createHttpHandler({
      server: ME,
      keys: this.world.keys(ME),
      clock: this.world.clock,
      observer: { onFault: (fault) => this.faults.push(fault) },
      onMetric: (metric) => this.metrics.push(metric),
      ...options,
    });
    this.stop = this.handler.listen(async (origin, name, request, cancel) => {
      this.heard.push({ origin, name, request });
      return answer === undefined ? ({ ok: true, value } as never) : answer(origin, name, request, cancel);
    });
  }

  /** What is answered to a request of the peer. */
  async ask(method: string, uri: string, content?: JsonValue, from: string = PEER): Promise<Response> {
    const given = content === undefined ? { method, uri } : { method, uri, content };
    return this.handler.handle(await this.world.signed(from, ME, given), { target: uri, address: "192.0.2.9" });
  }
}

async function bodyOf(response: Response): Promise<JsonObject> {
  const parsed = parseLax(await response.text());
  if (!parsed.ok || !isObject(parsed.value)) throw new Error("the body is no object");
  return parsed.value;
}

/** `413 M_TOO_LARGE`. */
async function outcomeOf(response: Response): Promise<string> {
  const errcode = get(await bodyOf(response), "errcode");
  return `${response.status} ${typeof errcode === "string" ? errcode : "without a code"}`;
}

/** A gate that requests wait at. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const transaction = { origin: PEER, origin_server_ts: 1, pdus: [{ type: "x" }] };

describe("a request that is in order", () => {
  it("gets to the receiver with who asks, and its answer goes back as JSON", async () => {
    const scene = new Scene({}, () => Promise.resolve({ ok: true, value: { pdus: { $a: {} } } } as never));
    const response = await scene.ask("PUT", `${V1}/send/t1`, transaction);
    expect(scene.heard).toEqual([
      { origin: PEER, name: "send", request: { transactionId: "t1", pdus: [{ type: "x" }] } },
    ]);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("content-length")).toBe("18");
    expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect(await response.text()).toBe('{"pdus":{"$a":{}}}');
  });

  it("may be of a platform that says nothing of the target", async () => {
    const scene = new Scene();
    const request = await scene.world.signed(PEER, ME, { uri: `${V1}/event/%24a%2Fb` });
    expect((await scene.handler.handle(request)).status).toBe(200);
    expect(scene.heard).toEqual([{ origin: PEER, name: "event", request: { eventId: "$a/b" } }]);
  });

  it("tells that its server is there", async () => {
    const heard: string[] = [];
    const scene = new Scene({ onHeard: (server) => heard.push(server) });
    await scene.ask("GET", `${V1}/event/$a`);
    await scene.handler.handle(requestOf("/_matrix/key/v2/server"));
    expect(heard).toEqual([PEER]);
  });

  it("is measured", async () => {
    const scene = new Scene();
    await scene.ask("PUT", `${V1}/send/t1`, transaction);
    const about = { method: "PUT", route: `${V1}/send/{txnId}`, operation: "send", server: PEER };
    const ended = { ...about, status: 200, outcome: "ok" };
    expect(scene.metrics).toEqual([
      { name: "http.server.active_requests", value: 1, method: "PUT" },
      { name: "http.server.response.body.size", value: 11, ...ended },
      { name: "http.server.active_requests", value: -1, ...about },
      { name: "http.server.request.body.size", value: 68, ...ended },
      { name: "http.server.request.duration", value: 0, ...ended },
    ]);
    await scene.handler.handle(requestOf("/nothing"));
    expect(scene.metrics.at(-1)).toMatchObject({ status: 404, outcome: "unrecognized" });
    expect(scene.metrics.at(-1)).not.toHaveProperty("route");
  });

  it("is answered whatever those do who measure and observe", async () => {
    const fail = (): never => {
      throw new Error("of the host");
    };
    const scene = new Scene({ onMetric: fail, observer: { onFault: fail } }, fail);
    expect(await outcomeOf(await scene.ask("GET", `${V1}/event/$a`))).toBe("500 M_UNKNOWN");
  });
});

describe("who asks", () => {
  const uri = `${V1}/event/$a`;

  it("has to prove it", async () => {
    const scene = new Scene();
    const signed = await scene.world.signed(PEER, ME, { uri });
    const header = signed.headers.get("authorization") ?? "";
    const cases: readonly (readonly [string, Request])[] = [
      ["nothing", requestOf(uri)],
      ["another scheme", requestOf(uri, { headers: { Authorization: "Bearer secret" } })],
      ["another target", requestOf(`${V1}/event/$b`, { headers: { Authorization: header } })],
      ["another query", requestOf(`${uri}?x=1`, { headers: { Authorization: header } })],
      ["another server's name", requestOf(uri, { headers: { Authorization: header.replace(PEER, "evil.example") } })],
      ["for another server", await scene.world.signed(PEER, "other.example", { uri })],
      ["a header of rubbish", requestOf(uri, { headers: { Authorization: `X-Matrix origin="${"é".repeat(50)}"` } })],
      [
        "two origins",
        requestOf(uri, { headers: { Authorization: `${header}, ${header.replace(PEER, "x.example")}` } }),
      ],
    ];
    for (const [what, request] of cases) {
      const response = await scene.handler.handle(request);
      expect(await outcomeOf(response), what).toBe("401 M_UNAUTHORIZED");
      expect(response.headers.get("www-authenticate"), what).toBe("X-Matrix");
    }
    expect(scene.heard).toEqual([]);
    expect(scene.faults).toEqual([]);
  });

  it("is who signed the body, and no body goes with a signature of another one", async () => {
    const scene = new Scene();
    const request = await scene.world.signed(PEER, ME, { method: "PUT", uri: `${V1}/send/t`, content: transaction });
    const other = new Request(request.url, {
      method: "PUT",
      headers: request.headers,
      body: JSON.stringify({ ...transaction, pdus: [] }),
    });
    expect(await outcomeOf(await scene.handler.handle(other))).toBe("401 M_UNAUTHORIZED");
    const none = new Request(request.url, { method: "PUT", headers: request.headers });
    expect(await outcomeOf(await scene.handler.handle(none))).toBe("401 M_UNAUTHORIZED");
  });

  it("may sign by several keys, in several headers that the platform put together", async () => {
    const scene = new Scene();
    const [one, two] = await Promise.all([1, 2].map(() => scene.world.signed(PEER, ME, { uri })));
    const headers = new Headers();
    for (const request of [one, two]) headers.append("Authorization", request?.headers.get("authorization") ?? "");
    expect(headers.get("authorization")?.match(/X-Matrix/g)).toHaveLength(2);
    expect((await scene.handler.handle(requestOf(uri, { headers }))).status).toBe(200);
  });

  it("does not matter where nobody has to prove it", async () => {
    const scene = new Scene();
    for (const path of ["/_matrix/key/v2/server", "/_matrix/key/v2/query/a.example", `${V1}/version`]) {
      expect((await scene.handler.handle(requestOf(path))).status).toBe(200);
    }
    const body = JSON.stringify({ server_keys: { "a.example": {} } });
    expect((await scene.handler.handle(requestOf("/_matrix/key/v2/query", { method: "POST", body }))).status).toBe(200);
    expect((await scene.handler.handle(requestOf(`${V1}/openid/userinfo?access_token=x`))).status).toBe(200);
    expect(scene.heard.map(({ origin, name }) => [origin, name])).toEqual([
      ["", "server_keys"],
      ["", "query_keys"],
      ["", "version"],
      ["", "query_keys"],
      ["", "openid_userinfo"],
    ]);
  });

  it("may be asked for by keys that come later", async () => {
    const world = new HttpWorld();
    const keys = vi.fn(() => world.keys(ME));
    const handler = createHttpHandler({ server: ME, keys, clock: world.clock });
    handler.listen(() => Promise.resolve({ ok: true, value: { event: {} } } as never));
    expect(keys).not.toHaveBeenCalled();
    expect((await handler.handle(await world.signed(PEER, ME, { uri }))).status).toBe(200);
  });

  it("is nobody while keys cannot be had, and the failure is told", async () => {
    const lookup = (): never => {
      throw new Error("the database is gone");
    };
    const scene = new Scene({ keys: { lookup, verify: () => [] } });
    expect(await outcomeOf(await scene.ask("GET", uri))).toBe("500 M_UNKNOWN");
    expect(scene.faults).toEqual([{ where: `GET ${uri}`, error: new Error("the database is gone") }]);
  });
});

describe("authorization headers that a platform joined", () => {
  it.each([
    [null, []],
    ["", []],
    ["X-Matrix origin=a,key=b,sig=c", ["X-Matrix origin=a,key=b,sig=c"]],
    ['X-Matrix origin="a", X-Matrix origin="b"', ['X-Matrix origin="a"', 'X-Matrix origin="b"']],
    ["Bearer x,x-matrix origin=a", ["Bearer x", "x-matrix origin=a"]],
    ['X-Matrix a="b, X-Matrix c", d="\\", X-Matrix e"', ['X-Matrix a="b, X-Matrix c", d="\\", X-Matrix e"']],
    ['X-Matrix a=b , c = d, e ="f"', ['X-Matrix a=b , c = d, e ="f"']],
    ["X-Matrix a,, b", ["X-Matrix a,, b"]],
    ['X-Matrix a="unended, X-Matrix b', ['X-Matrix a="unended, X-Matrix b']],
  ])("%j are %j", (header, expected) => {
    expect(splitAuthorization(header)).toEqual(expected);
  });
});

describe("methods and paths", () => {
  it.each([
    ["GET", "/", "404 M_UNRECOGNIZED"],
    ["GET", "/_matrix/client/v3/sync", "404 M_UNRECOGNIZED"],
    ["DELETE", `${V1}/send/t`, "405 M_UNRECOGNIZED"],
    ["POST", `${V1}/version`, "405 M_UNRECOGNIZED"],
    ["OPTIONS", `${V1}/send/t`, "405 M_UNRECOGNIZED"],
    ["GET", "/.well-known/matrix/server", "404 M_NOT_FOUND"],
  ])("%s %s is answered %s", async (method, uri, expected) => {
    const scene = new Scene();
    expect(await outcomeOf(await scene.handler.handle(requestOf(uri, { method })))).toBe(expected);
    expect(scene.heard).toEqual([]);
  });

  it("that are not allowed are answered with those that are", async () => {
    const scene = new Scene();
    const allowed = async (method: string, uri: string): Promise<string | null> =>
      (await scene.handler.handle(requestOf(uri, { method }))).headers.get("allow");
    expect(await allowed("OPTIONS", `${V1}/publicRooms`)).toBe("POST, GET");
    expect(await allowed("HEAD", `${V1}/event/$a`)).toBe("GET");
  });

  it("HEAD is answered without a body where nobody has to sign", async () => {
    const scene = new Scene({ wellKnown: "matrix.here.example:443" });
    for (const uri of ["/_matrix/key/v2/server", "/.well-known/matrix/server"]) {
      const response = await scene.handler.handle(requestOf(uri, { method: "HEAD" }));
      expect(response.status).toBe(200);
      expect(Number(response.headers.get("content-length"))).toBeGreaterThan(1);
      expect(await response.text()).toBe("");
    }
  });

  it("say where the server is, if the host wants that", async () => {
    const scene = new Scene({ wellKnown: "matrix.here.example:443" });
    const response = await scene.handler.handle(requestOf("/.well-known/matrix/server?x"));
    expect(await response.text()).toBe('{"m.server":"matrix.here.example:443"}');
    expect(
      await outcomeOf(await scene.handler.handle(requestOf("/.well-known/matrix/server", { method: "POST" }))),
    ).toBe("405 M_UNRECOGNIZED");
  });

  it("that are not escaped UTF-8 are refused once it is clear who asks", async () => {
    const scene = new Scene();
    expect(await outcomeOf(await scene.ask("GET", `${V1}/event/%ff`))).toBe("400 M_INVALID_PARAM");
    expect(scene.heard).toEqual([]);
  });
});

describe("bodies", () => {
  const limits = { requestBytes: 1_000 };
  const put = (
    body: string | Uint8Array<ArrayBuffer> | ReadableStream,
    headers: Record<string, string> = {},
  ): Request => new Request(`https://here.example${V1}/send/t`, { method: "PUT", body, headers, duplex: "half" });

  /** A body that goes on for as long as somebody reads. */
  function endless(piece: string): {
    readonly stream: ReadableStream;
    readonly taken: () => number;
    cancelled: boolean;
  } {
    let taken = 0;
    const bytes = new TextEncoder().encode(piece);
    const told = {
      stream: new ReadableStream(
        {
          pull: (controller) => {
            taken += bytes.length;
            controller.enqueue(bytes);
          },
          cancel: () => void (told.cancelled = true),
        },
        { highWaterMark: 0 },
      ),
      taken: () => taken,
      cancelled: false,
    };
    return told;
  }

  it("that are too long are read no further than that is clear", async () => {
    const scene = new Scene({ limits });
    const body = endless("[".repeat(300));
    expect(await outcomeOf(await scene.handler.handle(put(body.stream)))).toBe("413 M_TOO_LARGE");
    expect(body.taken()).toBe(1_200);
    expect(body.cancelled).toBe(true);
    const exact = `{"origin":"${"x".repeat(1_000 - 13)}"}`;
    expect(exact).toHaveLength(1_000);
    expect(await outcomeOf(await scene.handler.handle(put(exact)))).toBe("401 M_UNAUTHORIZED");
    expect(await outcomeOf(await scene.handler.handle(put(`${exact} `)))).toBe("413 M_TOO_LARGE");
  });

  it("that say that they are too long are not read at all", async () => {
    const scene = new Scene({ limits });
    const body = endless("[");
    const response = await scene.handler.handle(put(body.stream, { "Content-Length": "1001" }));
    expect(await outcomeOf(response)).toBe("413 M_TOO_LARGE");
    expect(body.taken()).toBe(0);
    expect(body.cancelled).toBe(true);
  });

  it("that no request of theirs has are not read", async () => {
    const scene = new Scene({ limits });
    for (const uri of ["/nothing", `${V1}/version`]) {
      const body = endless("[");
      const request = new Request(`https://x${uri}`, {
        method: "POST",
        body: body.stream,
        duplex: "half",
      });
      expect((await scene.handler.handle(request)).status).toBeGreaterThan(403);
      expect(body.taken()).toBe(0);
      expect(body.cancelled).toBe(true);
    }
  });

  it("that are no JSON are said to be that", async () => {
    const scene = new Scene();
    const bodies = ["{", "text", '{"a":1}x', "\ufeff{}", "[1e999]", '"\\ud800"'];
    for (const body of bodies)
      expect(await outcomeOf(await scene.handler.handle(put(body))), body).toBe("400 M_NOT_JSON");
    const bytes = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]);
    expect(await outcomeOf(await scene.handler.handle(put(bytes)))).toBe("400 M_NOT_JSON");
  });

  it("that are nested ever so deep are refused, and nothing gives way", async () => {
    const scene = new Scene();
    // As in an issue of more than one server: ten megabytes of brackets.
    const deep = "[".repeat(5_000_000) + "]".repeat(5_000_000);
    expect(await outcomeOf(await scene.handler.handle(put(deep)))).toBe("400 M_BAD_JSON");
    const less = '{"pdus":['.repeat(50_000) + "]}".repeat(50_000);
    expect(await outcomeOf(await scene.handler.handle(put(less)))).toBe("401 M_UNAUTHORIZED");
    let content: JsonValue = [];
    for (let depth = 0; depth < 100_000; depth++) content = [content];
    expect((await scene.ask("PUT", `${V1}/send/t`, { pdus: [content] })).status).toBe(200);
    expect(scene.heard).toHaveLength(1);
    expect(scene.faults).toEqual([]);
  });

  it("that hold what nobody can have signed are not believed", async () => {
    const scene = new Scene();
    const request = await scene.world.signed(PEER, ME, { method: "PUT", uri: `${V1}/send/t`, content: { pdus: [1] } });
    const authorization = { Authorization: request.headers.get("authorization") ?? "" };
    expect(await outcomeOf(await scene.handler.handle(put('{"pdus":[1.0]}', authorization)))).toBe(
      "401 M_UNAUTHORIZED",
    );
    expect((await scene.handler.handle(put('{ "pdus" : [ 1 ] }', authorization))).status).toBe(200);
  });

  it("that do not arrive are not waited for", async () => {
    const scene = new Scene({ limits: { bodyTime: 5_000 } });
    const body = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([0x7b])) });
    const asked = scene.handler.handle(put(body));
    await settled();
    scene.world.clock.advance(4_999);
    await settled();
    let done = false;
    void asked.then(() => (done = true));
    await settled();
    expect(done).toBe(false);
    scene.world.clock.advance(1);
    expect(await outcomeOf(await asked)).toBe("408 M_UNKNOWN");
  });

  it("that end halfway are answered to nobody, and hold nothing", async () => {
    const scene = new Scene({ limits: { parallel: 1 } });
    const body = new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) });
    expect(await outcomeOf(await scene.handler.handle(put(body)))).toBe("400 M_BAD_JSON");
    const gone = new AbortController();
    const waiting = new ReadableStream({ pull: () => new Promise<void>(() => undefined) });
    const request = new Request(put(waiting), { signal: gone.signal });
    const asked = scene.handler.handle(request);
    await settled();
    gone.abort();
    expect((await asked).status).toBeGreaterThanOrEqual(400);
    expect((await scene.ask("PUT", `${V1}/send/t`, transaction)).status).toBe(200);
  });

  it("share what there is for all of them", async () => {
    const scene = new Scene({ limits: { requestBytes: 1_000, bodiesBytes: 1_500 } });
    const { opened, open } = gate();
    const held = (): Request =>
      put(
        new ReadableStream({
          start: async (controller) => {
            controller.enqueue(new TextEncoder().encode("[".repeat(900)));
            await opened;
            controller.close();
          },
        }),
      );
    const first = scene.handler.handle(held());
    await settled();
    const second = await scene.handler.handle(held());
    expect(second.headers.get("retry-after")).toBe("1");
    expect(await bodyOf(second)).toMatchObject({ errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 1_000 });
    open();
    expect(await outcomeOf(await first)).toBe("400 M_NOT_JSON");
    expect(await outcomeOf(await scene.handler.handle(held()))).toBe("400 M_NOT_JSON");
  });
});

describe("how much is under way at once", () => {
  const uri = `${V1}/event/$a`;

  function held(limits: NonNullable<HttpHandlerOptions["limits"]>): {
    readonly scene: Scene;
    readonly open: () => void;
  } {
    const { opened, open } = gate();
    const scene = new Scene({ limits }, async () => {
      await opened;
      return { ok: true, value: { event: {} } } as never;
    });
    return { scene, open };
  }

  it("is bounded for each server, and others are answered", async () => {
    const { scene, open } = held({ parallelPerServer: 2 });
    const asked = [scene.ask("GET", uri), scene.ask("GET", uri)];
    await settled();
    const third = await scene.ask("GET", uri);
    expect(third.headers.get("retry-after")).toBe("1");
    expect(await bodyOf(third)).toMatchObject({ errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 1_000 });
    const other = scene.ask("GET", uri, undefined, "other.example");
    await settled();
    expect(scene.heard.map(({ origin }) => origin)).toEqual([PEER, PEER, "other.example"]);
    open();
    for (const response of await Promise.all([...asked, other])) expect(response.status).toBe(200);
    expect((await scene.ask("GET", uri)).status).toBe(200);
  });

  it("is bounded in all, and for each address, and keys can be had all the same", async () => {
    for (const limits of [{ parallel: 2 }, { parallelPerAddress: 2 }]) {
      const { scene, open } = held(limits);
      const asked = ["a.example", "b.example"].map((from) => scene.ask("GET", uri, undefined, from));
      await settled();
      expect(await outcomeOf(await scene.ask("GET", uri))).toBe("429 M_LIMIT_EXCEEDED");
      const keys = scene.handler.handle(requestOf("/_matrix/key/v2/server"), { address: "192.0.2.10" });
      await settled();
      expect(scene.heard.at(-1)?.name).toBe("server_keys");
      open();
      for (const response of await Promise.all([...asked, keys])) expect(response.status).toBe(200);
    }
  });

  it("is bounded for those who prove nothing, too", async () => {
    const { scene, open } = held({ parallelUnsigned: 1 });
    const first = scene.handler.handle(requestOf("/_matrix/key/v2/server"));
    await settled();
    expect(await outcomeOf(await scene.handler.handle(requestOf(`${V1}/version`)))).toBe("429 M_LIMIT_EXCEEDED");
    open();
    expect((await first).status).toBe(200);
  });

  it("does not grow by requests that are refused", async () => {
    const limits = { parallel: 1, parallelPerServer: 1, parallelPerAddress: 1, parallelUnsigned: 1 };
    const scene = new Scene({ limits });
    const bad = (): readonly Request[] => [
      requestOf(uri),
      requestOf(`${V1}/send/t`, { method: "PUT", body: "{" }),
      requestOf("/nothing"),
    ];
    for (let round = 0; round < 3; round++) {
      for (const request of bad()) expect((await scene.handler.handle(request, { address: "x" })).status).not.toBe(429);
    }
    expect((await scene.ask("GET", uri)).status).toBe(200);
  });

  it("may be a thousand transactions: some are answered, the others are told when to come again", async () => {
    const { scene, open } = held({ parallel: 100, parallelPerServer: 50 });
    const asked = Array.from({ length: 1_000 }, (_, at) =>
      scene.ask("PUT", `${V1}/send/t${at}`, transaction, `s${at % 20}.example`),
    );
    await settled();
    open();
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(100);
    expect(statuses.filter((status) => status !== 200 && status !== 429)).toEqual([]);
    expect((await scene.ask("PUT", `${V1}/send/again`, transaction)).status).toBe(200);
  });
});

describe("the receiver", () => {
  const uri = `${V1}/event/$a`;

  it("is there or is not: a server that does not answer reads nothing and asks for nothing", async () => {
    const lookup = vi.fn();
    const scene = new Scene({ keys: { lookup, verify: () => [] } });
    scene.stop();
    expect(await outcomeOf(await scene.ask("GET", uri))).toBe("503 M_UNKNOWN");
    expect(lookup).not.toHaveBeenCalled();
    scene.handler.listen(() => Promise.resolve({ ok: true, value } as never));
    scene.stop();
    expect((await scene.handler.handle(requestOf("/_matrix/key/v2/server"))).status).toBe(200);
  });

  it.each([
    [{ code: "not_found", reason: "no" }, "404 M_NOT_FOUND"],
    [{ code: "policy_refused", reason: "no" }, "403 M_FORBIDDEN"],
    [{ code: "unreachable", reason: "no" }, "500 M_UNKNOWN"],
    [{ code: "limit_exceeded", reason: "no", retryAfterMs: 1_500 }, "429 M_LIMIT_EXCEEDED"],
    [{ code: "incompatible_room_version", reason: "no", roomVersion: "9" }, "400 M_INCOMPATIBLE_ROOM_VERSION"],
  ] as const)("may refuse by %j", async (error, expected) => {
    const scene = new Scene({}, () => Promise.resolve({ ok: false, error }));
    const response = await scene.ask("GET", uri);
    expect(response.headers.get("retry-after")).toBe(error.code === "limit_exceeded" ? "2" : null);
    expect(await outcomeOf(response)).toBe(expected);
  });

  it("may fail, or answer what cannot be written: that is told, and the next request is answered", async () => {
    const answers: (() => Promise<never>)[] = [
      () => Promise.reject(new Error("bad")),
      () => Promise.resolve({ ok: true, value: { event: Number.NaN } } as never),
      () => Promise.resolve({ ok: true, value: undefined } as never),
    ];
    const scene = new Scene(
      {},
      () => answers.shift()?.() ?? Promise.resolve({ ok: true, value: { event: 1 } } as never),
    );
    for (let round = 0; round < 3; round++) {
      expect(await outcomeOf(await scene.ask("GET", uri))).toBe("500 M_UNKNOWN");
    }
    expect(scene.faults.map(({ where }) => where)).toEqual([`operation event of ${PEER}`, `GET ${uri}`, `GET ${uri}`]);
    expect((await scene.ask("GET", uri)).status).toBe(200);
  });

  it("is told when who asked is gone", async () => {
    const { opened, open } = gate();
    const seen: boolean[] = [];
    const scene = new Scene({}, async (_origin, _name, _request, cancel) => {
      cancel?.onAbort(() => seen.push(true));
      open();
      await new Promise<void>((resolve) => cancel?.onAbort(resolve));
      return { ok: false, error: { code: "cancelled", reason: "gone" } };
    });
    const gone = new AbortController();
    const request = new Request(await scene.world.signed(PEER, ME, { uri }), { signal: gone.signal });
    const asked = scene.handler.handle(request);
    await opened;
    gone.abort();
    expect((await asked).status).toBe(500);
    expect(seen).toEqual([true]);
  });
});

describe("what a handler is made with", () => {
  it.each([
    ["a name that is none", { server: "no name" }],
    ["a limit of nothing", { limits: { parallel: 0 } }],
    ["a limit that is no number", { limits: { requestBytes: Number.NaN } }],
  ])("%s is a mistake", (_, options) => {
    expect(() => new Scene(options)).toThrow(UsageError);
  });
});

describe("places and budgets", () => {
  it("give back what was taken, once", () => {
    const places = new Places(3, 2);
    const one = places.take("a");
    const two = places.take("a");
    expect(places.take("a")).toBeUndefined();
    const three = places.take("b");
    expect(places.take("c")).toBeUndefined();
    one?.();
    one?.();
    expect(places.taken).toBe(2);
    expect(places.take("a")).toBeDefined();
    expect(places.take("a")).toBeUndefined();
    for (const give of [two, three]) give?.();
    expect(places.taken).toBe(1);
  });

  it("grow as far as there is something left", () => {
    const budget = new Budget(10);
    const [one, two] = [budget.share(), budget.share()];
    expect(one.growTo(6)).toBe(true);
    expect(two.growTo(5)).toBe(false);
    expect(two.growTo(4)).toBe(true);
    expect(one.growTo(3)).toBe(true);
    expect(budget.used).toBe(10);
    one.release();
    one.release();
    expect(budget.used).toBe(4);
    expect(two.growTo(10)).toBe(true);
  });
});
