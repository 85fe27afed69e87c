/** Listening with Node: what comes over a socket gets to a handler and back, within limits. */
import { once } from "node:events";
import { Agent, createServer, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders, RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { RequestInfo } from "../../src/adapters/http/index.js";
import { createNodeListener, listenHttp, listenHttps } from "../../src/adapters/node-http/index.js";
import type { Listening, ListenOptions } from "../../src/adapters/node-http/index.js";
import { UsageError } from "../../src/errors.js";
import { testAuthority, tls } from "./node-http-support.js";

const open: Listening[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close(0)));
});

type Handle = (request: Request, info?: RequestInfo) => Promise<Response>;

async function listening(handle: Handle, options: Partial<ListenOptions> = {}): Promise<Listening> {
  const one = await listenHttp({ handler: { handle }, host: "127.0.0.1", port: 0, ...options });
  open.push(one);
  return one;
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

function ask(options: RequestOptions, body?: string | Buffer, send = httpRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = send({ host: "127.0.0.1", ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Everything that comes back on a connection on which this was written. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let heard = "";
  socket.setEncoding("utf8").on("data", (piece: string) => (heard += piece));
  socket.on("error", () => undefined);
  socket.write(text);
  await once(socket, "close");
  return heard;
}

const echo: Handle = async (request, info) =>
  Response.json({
    method: request.method,
    target: info?.target,
    address: info?.address,
    authorization: request.headers.get("authorization"),
    body: await request.text(),
  });

describe("a listener", () => {
  it("hands on the target as it was on the wire, each header, the body, and who connects", async () => {
    const { port } = await listening(echo);
    const target = "/_matrix/federation/v1/send/a%2Fb|'\"?x=%7e&y=[1]";
    const heard = await raw(
      port,
      `PUT ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: one\r\n` +
        `authorization: two\r\nContent-Length: 5\r\nConnection: close\r\n\r\nh\u00e4st`,
    );
    expect(heard).toContain("HTTP/1.1 200 OK");
    expect(JSON.parse(heard.slice(heard.indexOf("{"), heard.lastIndexOf("}") + 1))).toEqual({
      method: "PUT",
      target: target,
      address: "127.0.0.1",
      authorization: "one, two",
      body: "häst",
    });
  });

  it("takes the path of a target with a host, and refuses what is none", async () => {
    const { port } = await listening(echo);
    const absolute = await raw(port, "GET http://x/_matrix/key?a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(absolute).toContain('"target":"/_matrix/key?a"');
    const double = await raw(port, "GET //evil/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(double).toContain('"target":"//evil/x"');
    for (const start of ["OPTIONS * HTTP/1.1", "TRACE /_matrix HTTP/1.1"]) {
      const heard = await raw(port, `${start}\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect(heard).toContain("404 Not Found");
      expect(heard).toContain("M_UNRECOGNIZED");
    }
  });

  it("believes a proxy about addresses only where it is told that there is one", async () => {
    const headers = { "X-Forwarded-For": "1.1.1.1, 203.0.113.7" };
    const addressOf = async (options: Partial<ListenOptions>): Promise<unknown> => {
      const { port } = await listening(echo, options);
      return (JSON.parse((await ask({ port, path: "/", headers })).text) as { address: unknown }).address;
    };
    expect(await addressOf({})).toBe("127.0.0.1");
    expect(await addressOf({ forwarded: true })).toBe("203.0.113.7");
  });

  it("takes no more of a body than somebody reads, and closes what was not read to its end", async () => {
    let taken = 0;
    const { port } = await listening(async (request) => {
      const reader = request.body?.getReader();
      const first = await reader?.read();
      taken = (first?.value as Uint8Array | undefined)?.length ?? 0;
      await reader?.cancel();
      return new Response("{}", { status: 413 });
    });
    const socket = connect(port, "127.0.0.1");
    let heard = "";
    socket.setEncoding("utf8").on("data", (piece: string) => (heard += piece));
    socket.on("error", () => undefined);
    socket.write("PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
    const sender = setInterval(() => socket.write(Buffer.alloc(100_000)), 1);
    await once(socket, "close");
    clearInterval(sender);
    expect(heard).toContain("413");
    expect(heard.toLowerCase()).toContain("connection: close");
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(200_000);
  });

  it("lets who asks first go on when somebody reads", async () => {
    const { port } = await listening((request) =>
      request.method === "PUT" ? echo(request) : Promise.resolve(new Response("no", { status: 401 })),
    );
    const start = (method: string): string =>
      `${method} / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n`;
    expect(await raw(port, start("PUT") + "hi")).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
    expect(await raw(port, start("POST"))).toMatch(/^HTTP\/1\.1 401/);
  });

  it("tells a handler that who asked is gone", async () => {
    let gone = false;
    const waiting = new Promise<void>((resolve) => {
      void listening(async (request) => {
        socket.destroy();
        await once(request.signal, "abort");
        gone = true;
        resolve();
        return new Response("{}");
      }).then(({ port }) => {
        socket = connect(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
      });
    });
    let socket: Socket;
    await waiting;
    expect(gone).toBe(true);
  });

  it("cuts who takes nothing of an answer", async () => {
    const cut = new Promise<void>((resolve) => {
      const answer = new Response("x".repeat(50_000_000));
      const handle: Handle = (request) => {
        request.signal.addEventListener("abort", () => resolve());
        return Promise.resolve(answer);
      };
      void listening(handle, { writeTime: 200 }).then(({ port }) => {
        const socket = connect(port, "127.0.0.1");
        socket.on("error", () => undefined);
        socket.pause();
        socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      });
    });
    await cut;
  });

  it("answers whole what takes long to send", async () => {
    const text = "häß".repeat(2_000_000);
    const { port } = await listening(() => Promise.resolve(new Response(text)));
    const answer = await ask({ port, path: "/" });
    expect(answer.text.length).toBe(text.length);
    expect(answer.text === text).toBe(true);
  });

  it("tells of a handler that fails, and goes on", async () => {
    const faults: unknown[] = [];
    const { port } = await listening(
      (request) => (request.url.endsWith("/bad") ? Promise.reject(new Error("no")) : echo(request)),
      {
        observer: { onFault: ({ error }) => faults.push(error) },
      },
    );
    await expect(ask({ port, path: "/bad" })).rejects.toThrow();
    expect(faults).toEqual([new Error("no")]);
    expect((await ask({ port, path: "/good" })).status).toBe(200);
  });

  it("ends late headers, and closes connections over its limit", async () => {
    const { port } = await listening(echo, { limits: { connections: 2, headersTime: 100, requestTime: 100 } });
    const first = connect(port, "127.0.0.1");
    const second = connect(port, "127.0.0.1");
    await Promise.all([once(first, "connect"), once(second, "connect")]);
    const third = connect(port, "127.0.0.1");
    third.on("error", () => undefined);
    await once(third, "close");
    for (const socket of [first, second]) socket.destroy();
    const long = await listening(echo, { limits: { headerBytes: 1_000 } });
    const heard = await raw(long.port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(2_000)}\r\n\r\n`);
    expect(heard).toContain("431");
  });
});

describe("closing", () => {
  it("waits for what is under way, and takes nothing more", async () => {
    let answer = (): void => undefined;
    const arrived = new Promise<void>((arrive) => {
      const held = new Promise<void>((resolve) => (answer = resolve));
      void listening(async () => {
        arrive();
        await held;
        return new Response("done");
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [one] = open.splice(0);
    if (one === undefined) throw new Error("nobody listens");
    const { port } = one;
    const agent = new Agent({ keepAlive: true });
    const asked = ask({ port, path: "/", agent });
    await arrived;
    let closed = false;
    const closing = one.close().then(() => (closed = true));
    await expect(ask({ port, path: "/" })).rejects.toThrow(/ECONNREFUSED/);
    expect(closed).toBe(false);
    answer();
    expect((await asked).text).toBe("done");
    await closing;
    agent.destroy();
    expect(closed).toBe(true);
  });

  it("cuts at last what does not end", async () => {
    const one = await listening(() => new Promise<Response>(() => undefined));
    const asked = ask({ port: one.port, path: "/" });
    const failed = expect(asked).rejects.toThrow();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await Promise.all([one.close(50), one.close(50)]);
    await failed;
  });
});

describe("a place where nobody can listen", () => {
  it("is said plainly where it is taken", async () => {
    const { port } = await listening(echo);
    const taken = listening(echo, { port });
    await expect(taken).rejects.toThrow(UsageError);
    await expect(taken).rejects.toThrow(`port ${port} of 127.0.0.1 is in use: end what listens there, or take another`);
  });

  it("is said plainly where it is none", async () => {
    await expect(listening(echo, { host: "203.0.113.1" })).rejects.toThrow("203.0.113.1 is no address of this machine");
    await expect(listening(echo, { port: 70_000 })).rejects.toThrow("70000 is no port");
  });
});

describe("a listener over TLS", () => {
  const both = { host: "127.0.0.1", port: 0, handler: { handle: echo } };

  it("proves who it is, and goes on with another certificate once it has one", async () => {
    const one = await listenHttps({ ...both, ...tls("one.example") });
    open.push(one);
    const options = { port: one.port, path: "/", ca: testAuthority, agent: false } as const;
    const asked = (servername: string): Promise<Answer> =>
      ask({ ...options, servername } as RequestOptions, undefined, httpsRequest);
    expect((await asked("one.example")).status).toBe(200);
    await expect(asked("two.example")).rejects.toThrow();
    one.renew?.(tls("two.example"));
    expect((await asked("two.example")).status).toBe(200);
    expect(() => one.renew?.({ key: "", cert: "none" })).toThrow(UsageError);
    expect((await asked("two.example")).status).toBe(200);
  });

  it("says what is wrong with a certificate", async () => {
    const { cert } = tls("one.example");
    await expect(listenHttps({ ...both, cert, key: tls("two.example").key })).rejects.toThrow(
      /cannot be used together/,
    );
    await expect(listenHttps({ ...both, cert: "x", key: "y" })).rejects.toThrow(UsageError);
  });
});

describe("a framework on Node", () => {
  it("hands on requests whose path it shortened", async () => {
    const listener = createNodeListener({ handler: { handle: echo } });
    const server = createServer((request, response) => {
      const mounted = Object.assign(request, { originalUrl: request.url, url: "/short" });
      listener(mounted, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    expect((await ask({ port, path: "/_matrix/key/v2/server" })).text).toContain("/_matrix/key/v2/server");
    server.close();
  });
});
