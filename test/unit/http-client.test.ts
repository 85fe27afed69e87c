import { describe, expect, it } from "vitest";
import { createHttpClient } from "../../src/adapters/http/client.js";
import type { HttpClientMetric, HttpClientOptions } from "../../src/adapters/http/client.js";
import type { Connected, Connector, HttpRequest } from "../../src/adapters/http/connector.js";
import { createManualClock } from "../../src/adapters/memory/index.js";
import { publicKeyFromSeed, sign, verify } from "../../src/crypto/ed25519.js";
import { UsageError } from "../../src/errors.js";
import { parseXMatrix, requestSignedBytes } from "../../src/federation/index.js";
import { decodeBase64 } from "../../src/crypto/base64.js";
import type { Cancel } from "../../src/ports/cancel.js";
import { parseLax } from "../../src/json/parse.js";
import { testCancel } from "./http-client-support.js";

const START = 1_700_000_000_000;
const seed = new Uint8Array(32).fill(7);
const keys = {
  sign: (message: Uint8Array) => ({ keyId: "ed25519:a", signature: sign(message, seed) }),
};

interface Call {
  readonly server: string;
  readonly request: HttpRequest;
  readonly signal: AbortSignal;
  readonly answer: (connected: Connected) => void;
}

/** A connector whose answers are the test's. */
function manual(): Connector & { readonly calls: readonly Call[]; readonly closed: () => number } {
  const calls: Call[] = [];
  let closed = 0;
  return {
    calls,
    closed: () => closed,
    request: (server, request, signal) =>
      new Promise((answer) => {
        calls.push({ server, request, signal, answer });
      }),
    close: () => {
      closed++;
      return Promise.resolve();
    },
  };
}

function answering(
  answer: (request: HttpRequest, server: string) => Connected,
): Connector & { readonly calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    request: (server, request) => {
      calls.push(`${server} ${request.method} ${request.uri}`);
      return Promise.resolve(answer(request, server));
    },
  };
}

type Piece = string | Uint8Array | Error;

async function* pieces(...list: readonly Piece[]): AsyncGenerator<Uint8Array, void> {
  for (const piece of list) {
    await Promise.resolve();
    if (piece instanceof Error) throw piece;
    yield typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
  }
}

function json(value: unknown, status = 200): Connected {
  return { ok: true, answer: { status, body: pieces(JSON.stringify(value)) } };
}

const nobody: Connected = { ok: false, reason: "nobody is there" };
const anEvent = { origin: "two.example", origin_server_ts: 1, pdus: [{ type: "x" }] };
const eventAnswer = { ok: true, value: { event: { type: "x" } } };
const askFor = { roomId: "!r:two.example", eventId: "$e" };

function setUp(connector: Connector, options: Partial<HttpClientOptions> = {}) {
  const clock = createManualClock(START);
  const client = createHttpClient({ server: "one.example", keys, clock, connector, ...options });
  const event = (server = "two.example", cancel?: Cancel): ReturnType<typeof client.request<"event">> =>
    client.request(server, "event", askFor, cancel);
  return { client, clock, event };
}

async function settle(): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
}

const failure = (code: string) => ({ ok: false, error: { code, reason: expect.any(String) as string } });

describe("a request over HTTP", () => {
  it("is signed with its destination and content, the content of the moment when it was asked", async () => {
    const connector = manual();
    const { client } = setUp(connector);
    const pdu: Record<string, unknown> = { type: "häß", depth: 1 };
    const under = client.request("two.example:8448", "send", { transactionId: "t/1", pdus: [pdu as never] });
    pdu["type"] = "changed";
    await settle();
    const [call] = connector.calls;
    expect(call?.server).toBe("two.example:8448");
    const { method, uri, headers, body } = call!.request;
    expect([method, uri]).toEqual(["PUT", "/_matrix/federation/v1/send/t%2F1"]);
    const content = parseLax(new TextDecoder().decode(body));
    expect(content).toMatchObject({ ok: true, value: { pdus: [{ type: "häß" }], origin: "one.example" } });
    const { Authorization: authorization = "", ...others } = Object.fromEntries(headers) as Record<string, string>;
    expect(others).toEqual({ "Content-Type": "application/json", Accept: "application/json", "User-Agent": "roomdag" });
    const parsed = parseXMatrix(authorization);
    expect(parsed).toMatchObject({
      ok: true,
      value: { origin: "one.example", destination: "two.example:8448", key: "ed25519:a" },
    });
    const signed = requestSignedBytes({
      method,
      uri,
      origin: "one.example",
      destination: "two.example:8448",
      ...(content.ok ? { content: content.value } : {}),
    });
    const signature = decodeBase64(parsed.ok ? parsed.value.sig : "");
    expect(verify(signature!, signed, publicKeyFromSeed(seed))).toBe(true);
    call!.answer(json({ pdus: {} }));
    expect(await under).toEqual({ ok: true, value: { pdus: {} } });
  });

  it("is not signed where nobody has to prove who asks, and keys may come later than the client", async () => {
    const connector = answering(() => json({ server: { name: "x" } }));
    let asked = 0;
    const late: { keys?: typeof keys } = {};
    const { client, event } = setUp(
      {
        request: (server, request, signal) => {
          if (request.headers.some(([name]) => name === "Authorization")) asked++;
          return connector.request(server, request, signal);
        },
      },
      {
        keys: () => {
          if (late.keys === undefined) throw new Error("no keys yet");
          return late.keys;
        },
      },
    );
    expect(await client.request("two.example", "version", {})).toEqual({ ok: true, value: { name: "x" } });
    expect(asked).toBe(0);
    expect(await event()).toEqual(failure("internal"));
    expect(asked).toBe(0);
    late.keys = keys;
    await event();
    expect(asked).toBe(1);
  });

  it("is not made to the server itself, nor to what is no server name, nor for what no URL can say", async () => {
    const connector = answering(() => nobody);
    const { client, event } = setUp(connector);
    expect(await event("one.example")).toEqual(failure("unreachable"));
    for (const name of ["", "a b", "two.example/x", "two.example:8448:1", "[::1"]) {
      expect(await event(name), name).toEqual(failure("unreachable"));
    }
    const odd = await client.request("two.example", "send", { transactionId: "..", pdus: [] });
    expect(odd).toEqual(failure("bad_request"));
    expect(connector.calls).toEqual([]);
  });

  it("is asked in the next way where the server does not know the first, and in no other case", async () => {
    const invite = {
      roomId: "!r:one.example",
      roomVersion: "1",
      eventId: "$e:one.example",
      event: { event_id: "$e:one.example" },
      inviteRoomState: [],
    };
    const unknown = json({ errcode: "M_UNRECOGNIZED", error: "?" }, 404);
    const old = answering(({ uri }) => (uri.includes("/v2/") ? unknown : json([200, { event: { a: 1 } }])));
    const first = setUp(old);
    expect(await first.client.request("two.example", "invite", invite)).toEqual({
      ok: true,
      value: { event: { a: 1 } },
    });
    expect(old.calls.map((call) => /\/v[12]\//.exec(call)?.[0])).toEqual(["/v2/", "/v1/"]);
    const strict = answering(() => json({ errcode: "M_FORBIDDEN", error: "no" }, 403));
    expect(await setUp(strict).client.request("two.example", "invite", invite)).toEqual(failure("forbidden"));
    expect(strict.calls).toHaveLength(1);
    const none = answering(() => json({ errcode: "M_UNRECOGNIZED", error: "?" }, 404));
    expect(await setUp(none).client.request("two.example", "invite", invite)).toEqual(failure("unrecognized"));
    expect(none.calls).toHaveLength(2);
  });
});

describe("an answer over HTTP", () => {
  const answered = async (connected: Connected, options: Partial<HttpClientOptions> = {}) =>
    setUp(
      answering(() => connected),
      options,
    ).event();
  const body = (status: number, ...list: readonly Piece[]): Connected => ({
    ok: true,
    answer: { status, body: pieces(...list) },
  });

  it("is read whole however it is cut, and without loss", async () => {
    const text = '{"pdus":[{"a":9007199254740993,"ä":"😀"}]}';
    const bytes = new TextEncoder().encode(text);
    const expected = { ok: true, value: { event: { a: 9007199254740993n, ä: "😀" } } };
    expect(await answered(body(200, ...[...bytes].map((byte) => Uint8Array.of(byte))))).toEqual(expected);
    expect(await answered(body(200, text))).toEqual(expected);
  });

  it("that is none is an error of the server that gave it", async () => {
    const deep = "[".repeat(70_000) + "]".repeat(70_000);
    for (const text of ["", "{", "<html>", "[]", '{"pdus":[]}', deep, '\ufeff{"pdus":[{}]}']) {
      expect(await answered(body(200, text)), text.slice(0, 20)).toEqual(failure("internal"));
    }
    expect(await answered(body(200, Uint8Array.of(0x22, 0xff, 0x22)))).toEqual(failure("internal"));
    expect(await answered(body(302, "{}"))).toEqual(failure("internal"));
    expect(await answered(body(200, '{"pdus":[{', new Error("cut off")))).toEqual(failure("unreachable"));
  });

  it("is no longer read than the limits say, and its reader ends it", async () => {
    let read = 0;
    let ended = 0;
    async function* endless(): AsyncGenerator<Uint8Array, void> {
      try {
        for (;;) {
          await Promise.resolve();
          read += 1000;
          yield new Uint8Array(1000).fill(0x20);
        }
      } finally {
        ended++;
      }
    }
    const limits = { answerBytes: 100_000, stateBytes: 300_000, errorBytes: 5_000 };
    const connector: Connector = {
      request: () => Promise.resolve({ ok: true, answer: { status: 200, body: endless() } }),
    };
    const { client, event } = setUp(connector, { limits });
    expect(await event()).toEqual(failure("internal"));
    expect(read).toBe(101_000);
    read = 0;
    expect(await client.request("two.example", "state", askFor)).toEqual(failure("internal"));
    expect(read).toBe(301_000);
    read = 0;
    const failing: Connector = {
      request: () => Promise.resolve({ ok: true, answer: { status: 403, body: endless() } }),
    };
    // Of an error its status is enough.
    expect(await setUp(failing, { limits }).event()).toEqual(failure("forbidden"));
    expect(read).toBe(6_000);
    expect(ended).toBe(3);
  });

  it("of exactly the longest length is taken", async () => {
    const text = JSON.stringify(anEvent);
    expect(await answered(body(200, text), { limits: { answerBytes: text.length } })).toEqual(eventAnswer);
    expect(await answered(body(200, text), { limits: { answerBytes: text.length - 1 } })).toEqual(failure("internal"));
  });
});

describe("time and cancellation", () => {
  it("end a request that nobody answers, or whose answer does not end, with `timeout`", async () => {
    const connector = manual();
    const { client, clock, event } = setUp(connector, { limits: { requestTime: 5_000, stateTime: 9_000 } });
    const silent = event();
    const stuck = event("three.example");
    const state = client.request("four.example", "state", askFor);
    await settle();
    const never = (async function* (): AsyncGenerator<Uint8Array, void> {
      yield new Uint8Array(1);
      await new Promise(() => undefined);
    })();
    connector.calls[1]?.answer({ ok: true, answer: { status: 200, body: never } });
    clock.advance(5_000);
    expect(await silent).toEqual(failure("timeout"));
    expect(await stuck).toEqual(failure("timeout"));
    expect(connector.calls.map(({ signal }) => signal.aborted)).toEqual([true, true, false]);
    clock.advance(4_000);
    expect(await state).toEqual(failure("timeout"));
  });

  it("cancel a request before, while it is signed, waits, is connected and is read; nothing listens then", async () => {
    const connector = manual();
    const signing = { go: (): void => undefined };
    const slow = {
      sign: async (message: Uint8Array) => {
        await new Promise<void>((resolve) => (signing.go = resolve));
        return keys.sign(message);
      },
    };
    const before = testCancel();
    before.fire();
    const { event } = setUp(connector, { limits: { parallelPerServer: 1 } });
    expect(await event("two.example", before)).toEqual(failure("cancelled"));
    const whileSigned = testCancel();
    const unsigned = setUp(connector, { keys: slow }).event("two.example", whileSigned);
    await settle();
    whileSigned.fire();
    expect(await unsigned).toEqual(failure("cancelled"));
    signing.go();
    expect(connector.calls).toHaveLength(0);

    const connected = testCancel();
    const first = event("two.example", connected);
    const inLine = testCancel();
    const second = event("two.example", inLine);
    const read = testCancel();
    const third = event("two.example", read);
    await settle();
    expect(connector.calls).toHaveLength(1);
    inLine.fire();
    expect(await second).toEqual(failure("cancelled"));
    connected.fire();
    expect(await first).toEqual(failure("cancelled"));
    expect(connector.calls[0]?.signal.aborted).toBe(true);
    await settle();
    // The one that was cancelled in line is not sent; the one after it is.
    expect(connector.calls).toHaveLength(2);
    const halfway = (async function* (): AsyncGenerator<Uint8Array, void> {
      yield new Uint8Array(1);
      await new Promise(() => undefined);
    })();
    connector.calls[1]?.answer({ ok: true, answer: { status: 200, body: halfway } });
    await settle();
    read.fire();
    expect(await third).toEqual(failure("cancelled"));
    for (const cancel of [before, whileSigned, connected, inLine, read]) expect(cancel.listeners()).toBe(0);
  });

  it("leave nothing that listens after an answer either, and no timer", async () => {
    const sleeping = new Set<object>();
    const clock = {
      now: () => START,
      sleep: (_: number, cancel?: { onAbort(listener: () => void): () => void }) =>
        new Promise<void>((resolve) => {
          const timer = {};
          sleeping.add(timer);
          cancel?.onAbort(() => {
            sleeping.delete(timer);
            resolve();
          });
        }),
    };
    const cancel = testCancel();
    const { event } = setUp(
      answering(() => json(anEvent)),
      { clock },
    );
    expect(await event("two.example", cancel)).toEqual(eventAnswer);
    expect(cancel.listeners()).toBe(0);
    expect(sleeping.size).toBe(0);
  });

  it("closing ends what is under way, and the connector", async () => {
    const connector = manual();
    const { client, event } = setUp(connector);
    const under = event();
    await settle();
    await client.close();
    expect(await under).toEqual(failure("cancelled"));
    expect(connector.closed()).toBe(1);
    expect(await event()).toEqual(failure("unreachable"));
    expect(connector.calls).toHaveLength(1);
  });
});

describe("many requests", () => {
  it("go so many at once to one server and in all, servers take turns, and no more than so many wait", async () => {
    const connector = manual();
    const limits = { parallel: 4, parallelPerServer: 3, waiting: 12, waitingPerServer: 10 };
    const { event } = setUp(connector, { limits });
    const results: unknown[] = [];
    const ask = (server: string): void => void event(server).then((result) => results.push(result));
    for (let count = 0; count < 14; count++) ask("big.example");
    await settle();
    expect(connector.calls).toHaveLength(3);
    // Three are under way and ten wait; one more is sent away.
    expect(results).toEqual([failure("unreachable")]);
    for (let count = 0; count < 4; count++) ask("small.example");
    await settle();
    const servers = (): readonly string[] => connector.calls.map(({ server }) => server);
    expect(servers().slice(3)).toEqual(["small.example"]);
    expect(results).toHaveLength(2);
    for (let at = 0; at < connector.calls.length; at++) {
      connector.calls[at]?.answer(json(anEvent));
      await settle();
      const active = connector.calls.length - (at + 1);
      expect(active).toBeLessThanOrEqual(4);
    }
    expect(results.filter((result) => JSON.stringify(result) === JSON.stringify(eventAnswer))).toHaveLength(16);
    expect(
      servers()
        .slice(3, 7)
        .filter((server) => server === "small.example").length,
    ).toBeGreaterThanOrEqual(2);
  });

  it("for keys do not wait behind those that wait for keys, and large answers have a line of their own", async () => {
    const connector = manual();
    const { client, event } = setUp(connector, { limits: { parallelPerServer: 2, parallel: 2, parallelStates: 1 } });
    const asked = [
      event(),
      event(),
      event(),
      client.request("two.example", "state", askFor),
      client.request("three.example", "state", askFor),
      client.request("two.example", "server_keys", {}),
    ];
    await settle();
    const paths = (): readonly string[] => connector.calls.map(({ request }) => request.uri.split("/")[4] ?? "");
    expect([...paths()].sort()).toEqual(["event", "event", "server", "state"]);
    for (let at = 0; at < 6; at++) {
      connector.calls[at]?.answer(json({ pdus: [{}], auth_chain: [] }));
      await settle();
    }
    await Promise.all(asked);
    expect(connector.calls).toHaveLength(6);
  });
});

describe("a server that cannot be reached", () => {
  it("rests for a pause that doubles, with one try at its end, and is asked as ever once it answers", async () => {
    const state: { answer: Connected } = { answer: nobody };
    const connector = answering(() => (state.answer.ok ? json(anEvent) : nobody));
    const { event, clock } = setUp(connector, { limits: { retryFirst: 1_000, retryLongest: 3_000 } });
    expect(await event()).toEqual(failure("unreachable"));
    for (const pause of [1_000, 2_000, 3_000, 3_000]) {
      const tried = connector.calls.length;
      clock.advance(pause - 1);
      expect(await event()).toEqual(failure("unreachable"));
      expect(connector.calls).toHaveLength(tried);
      clock.advance(1);
      expect(await event()).toEqual(failure("unreachable"));
      expect(connector.calls).toHaveLength(tried + 1);
    }
    // Others are asked meanwhile.
    expect(await event("three.example")).toEqual(failure("unreachable"));
    state.answer = json(anEvent);
    expect(await event()).toEqual(failure("unreachable"));
    clock.advance(3_000);
    expect(await event()).toEqual(eventAnswer);
    expect(await event()).toEqual(eventAnswer);
    state.answer = nobody;
    await event();
    clock.advance(1_000);
    const tried = connector.calls.length;
    await event();
    expect(connector.calls).toHaveLength(tried + 1);
  });

  it("is asked at once when it has asked something itself", async () => {
    const connector = answering(() => nobody);
    const { client, event } = setUp(connector);
    await event();
    await event();
    expect(connector.calls).toHaveLength(1);
    client.heardFrom("three.example");
    client.heardFrom("two.example");
    await event();
    expect(connector.calls).toHaveLength(2);
    await event();
    expect(connector.calls).toHaveLength(2);
  });

  it("fails once for all that were under way; who waits in line is sent away", async () => {
    const connector = manual();
    const { event, clock } = setUp(connector, { limits: { parallelPerServer: 3, retryFirst: 1_000 } });
    const asked = Array.from({ length: 8 }, () => event());
    await settle();
    for (const { answer } of connector.calls) answer(nobody);
    for (const result of await Promise.all(asked)) expect(result).toEqual(failure("unreachable"));
    expect(connector.calls).toHaveLength(3);
    // One failure: the pause is the first one.
    clock.advance(1_000);
    const next = [event(), event(), event()];
    await settle();
    expect(connector.calls).toHaveLength(4);
    connector.calls[3]?.answer(json(anEvent));
    await settle();
    expect(connector.calls).toHaveLength(6);
    for (const { answer } of connector.calls.slice(4)) answer(json(anEvent));
    for (const result of await Promise.all(next)) expect(result).toEqual(eventAnswer);
  });

  it("is one that was slow with everything, not one that was slow with something", async () => {
    const connector = manual();
    const { event, clock } = setUp(connector, { limits: { requestTime: 1_000 } });
    const slow = event();
    await settle();
    const quick = event();
    await settle();
    connector.calls[1]?.answer(json(anEvent));
    expect(await quick).toEqual(eventAnswer);
    clock.advance(1_000);
    expect(await slow).toEqual(failure("timeout"));
    const after = event();
    await settle();
    expect(connector.calls).toHaveLength(3);
    clock.advance(1_000);
    expect(await after).toEqual(failure("timeout"));
    expect(await event()).toEqual(failure("unreachable"));
    expect(connector.calls).toHaveLength(3);
  });

  it("is not one that refuses, that a proxy stands in for, or that nobody waited for", async () => {
    const statuses = [503, 500, 403];
    const connector = answering(() => json({}, statuses.shift() ?? 200));
    const { event } = setUp(connector);
    for (const code of ["unreachable", "internal", "forbidden"]) expect(await event()).toEqual(failure(code));
    expect(connector.calls).toHaveLength(3);
    const waiting = manual();
    const second = setUp(waiting);
    const cancel = testCancel();
    const left = second.event("two.example", cancel);
    await settle();
    cancel.fire();
    expect(await left).toEqual(failure("cancelled"));
    void second.event();
    await settle();
    expect(waiting.calls).toHaveLength(2);
  });

  it("is remembered among so many", async () => {
    const connector = answering(() => nobody);
    const { event } = setUp(connector, { limits: { servers: 2 } });
    for (const server of ["a.example", "b.example", "c.example"]) await event(server);
    await event("c.example");
    expect(connector.calls).toHaveLength(3);
    await event("a.example");
    expect(connector.calls).toHaveLength(4);
  });
});

describe("what a client reports", () => {
  it("each request, how it ended and how much was read; whoever throws there changes nothing", async () => {
    const metrics: HttpClientMetric[] = [];
    const faults: string[] = [];
    const onMetric = (metric: HttpClientMetric): void => {
      metrics.push(metric);
      throw new Error("not interested");
    };
    const observer = {
      onFault: ({ where }: { readonly where: string }): void => {
        faults.push(where);
        throw new Error("not interested either");
      },
    };
    const { event } = setUp(
      answering((_, server) => (server === "two.example" ? json(anEvent) : nobody)),
      { onMetric, observer },
    );
    expect(await event()).toEqual(eventAnswer);
    expect(await event("three.example")).toEqual(failure("unreachable"));
    const about = { server: "two.example", operation: "event" };
    expect(metrics.slice(0, 4)).toEqual([
      { name: "http.client.active_requests", value: 1, ...about },
      { name: "http.client.response.body.size", value: JSON.stringify(anEvent).length, ...about },
      { name: "http.client.active_requests", value: -1, ...about },
      { name: "http.client.request.duration", value: 0, outcome: "ok", ...about },
    ]);
    expect(metrics.at(-1)).toMatchObject({ server: "three.example", outcome: "unreachable" });
    expect(new Set(faults)).toEqual(new Set(["onMetric"]));
  });

  it("a connector that throws is a server that cannot be reached, and a fault", async () => {
    const faults: unknown[] = [];
    const { event } = setUp(
      { request: () => Promise.reject(new Error("broken")) },
      { observer: { onFault: (fault) => faults.push(fault) } },
    );
    expect(await event()).toEqual(failure("unreachable"));
    expect(faults).toEqual([{ where: "the connection to two.example", error: new Error("broken") }]);
  });

  it("limits that cannot be kept are refused", () => {
    for (const limits of [{ parallel: 0 }, { requestTime: 1.5 }, { answerBytes: Number.NaN }]) {
      expect(() =>
        setUp(
          answering(() => nobody),
          { limits },
        ),
      ).toThrow(UsageError);
    }
  });
});
