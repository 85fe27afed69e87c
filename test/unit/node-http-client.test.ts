import { afterEach, describe, expect, it } from "vitest";
import { createHttpClient } from "../../src/adapters/http/client.js";
import type { HttpClient, HttpClientOptions } from "../../src/adapters/http/client.js";
import { sign } from "../../src/crypto/ed25519.js";
import { testCancel } from "./http-client-support.js";
import { answerJson, connectorOf, eventually, realClock, startServer } from "./node-http-support.js";
import type { TestServer } from "./node-http-support.js";
import type { NodeConnectorOptions } from "../../src/adapters/node-http/index.js";

const seed = new Uint8Array(32).fill(7);
const keys = { sign: (message: Uint8Array) => ({ keyId: "ed25519:a", signature: sign(message, seed) }) };
const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function server(handler: Parameters<typeof startServer>[1]): Promise<TestServer & { readonly name: string }> {
  const started = await startServer("localhost", handler);
  open.push(() => started.close());
  return { ...started, name: `127.0.0.1:${started.port}` };
}

function client(options: Partial<HttpClientOptions> = {}, connecting: Partial<NodeConnectorOptions> = {}): HttpClient {
  const connector = connectorOf({ allowPrivateAddresses: ["127.0.0.0/8"], ...connecting });
  const made = createHttpClient({ server: "one.example", keys, clock: realClock, connector, ...options });
  open.push(() => made.close());
  return made;
}

const askFor = { roomId: "!r:two.example", eventId: "$e" };
const eventAnswer = { ok: true, value: { event: { type: "x" } } };
const failure = (code: string) => ({ ok: false, error: { code, reason: expect.any(String) as string } });
const after = (ms: number): Promise<void> => realClock.sleep(ms);

describe("asking over HTTPS", () => {
  it("keeps 1,000 requests at once to a few connections, and answers all", async () => {
    const peer = await server((_, response) => setTimeout(() => answerJson(response, { pdus: [{ type: "x" }] }), 5));
    const asking = client({ limits: { parallelPerServer: 20, waitingPerServer: 1_000 } });
    const results = await Promise.all(Array.from({ length: 1_000 }, () => asking.request(peer.name, "event", askFor)));
    expect(results.filter((result) => !result.ok)).toEqual([]);
    expect(peer.heard).toHaveLength(1_000);
    expect(peer.connections.most).toBeLessThanOrEqual(20);
    // Connections that idle beyond the bound are closed, and few are opened in their place.
    expect(peer.connections.total).toBeLessThanOrEqual(100);
  });

  it("sends away what is more than may wait, and what waits for a server that is gone", async () => {
    const peer = await server(() => undefined);
    const asking = client({ limits: { parallelPerServer: 5, waitingPerServer: 100, requestTime: 300 } });
    const results = await Promise.all(Array.from({ length: 1_000 }, () => asking.request(peer.name, "event", askFor)));
    const codes = results.map((result) => (result.ok ? "ok" : result.error.code));
    expect(codes.filter((code) => code === "timeout")).toHaveLength(5);
    expect(codes.filter((code) => code === "unreachable")).toHaveLength(995);
    expect(peer.heard).toHaveLength(5);
    await eventually(() => peer.connections.open === 0);
  });

  it("gives a slow peer its time, and one that says a byte at a time no more than that", async () => {
    const slow = await server((_, response) => setTimeout(() => answerJson(response, { pdus: [{ type: "x" }] }), 200));
    const trickling = await server((_, response) => {
      const more = setInterval(() => response.write(" "), 20);
      response.on("close", () => clearInterval(more));
    });
    const asking = client({ limits: { requestTime: 600 } });
    const [first, second] = await Promise.all([
      asking.request(slow.name, "event", askFor),
      asking.request(trickling.name, "event", askFor),
    ]);
    expect(first).toEqual(eventAnswer);
    expect(second).toEqual(failure("timeout"));
    await eventually(() => trickling.connections.open === 0);
  });

  it("ends a body that does not, one that breaks off and one that is too long for an error", async () => {
    let written = 0;
    const endless = (status: number) =>
      server((_, response) => {
        response.writeHead(status);
        const more = (): void => {
          while (!response.destroyed && response.write(" ".repeat(16_384))) written += 16_384;
        };
        response.on("drain", more);
        more();
      });
    const success = await endless(200);
    const refusing = await endless(403);
    const halfway = await server((_, response) => {
      response.writeHead(200, { "Content-Length": 1000 });
      response.write('{"pdus":');
      setTimeout(() => response.destroy(), 50);
    });
    const asking = client({ limits: { answerBytes: 1_000_000 } });
    expect(await asking.request(success.name, "event", askFor)).toEqual(failure("internal"));
    expect(await asking.request(refusing.name, "event", askFor)).toEqual(failure("forbidden"));
    expect(await asking.request(halfway.name, "event", askFor)).toEqual(failure("unreachable"));
    await eventually(() => success.connections.open + refusing.connections.open + halfway.connections.open === 0);
    // What the system buffers comes on top of what was read.
    expect(written).toBeLessThan(20_000_000);
  });

  it("reads 10 MB of nested JSON as no answer, and goes on", async () => {
    const nested = await server((_, response) => {
      response.writeHead(200).end("[".repeat(10_000_000));
    });
    const asking = client();
    expect(await asking.request(nested.name, "event", askFor)).toEqual(failure("internal"));
    expect(await asking.request(nested.name, "state", askFor)).toEqual(failure("internal"));
    expect(nested.connections.total).toBe(1);
  });

  it("follows no redirect", async () => {
    const elsewhere = await server((_, response) => answerJson(response, { pdus: [{ type: "x" }] }));
    const peer = await server((_, response) => {
      response.writeHead(307, { Location: `https://${elsewhere.name}/` }).end();
    });
    expect(await client().request(peer.name, "event", askFor)).toEqual(failure("internal"));
    expect(elsewhere.heard).toEqual([]);
  });

  it("leaves a server alone that refuses connections, until it is heard from", async () => {
    const peer = await server((_, response) => answerJson(response, { pdus: [{ type: "x" }] }));
    await open.pop()?.();
    const tried: string[] = [];
    const asking = client(
      {},
      {
        openSocket: ({ port }) => {
          tried.push(String(port));
          return Promise.reject(new Error("refused"));
        },
      },
    );
    expect(await asking.request(peer.name, "event", askFor)).toEqual(failure("unreachable"));
    expect(await asking.request(peer.name, "event", askFor)).toEqual(failure("unreachable"));
    expect(tried).toHaveLength(1);
    asking.heardFrom(peer.name);
    expect(await asking.request(peer.name, "event", askFor)).toEqual(failure("unreachable"));
    expect(tried).toHaveLength(2);
    // The same without a stand-in for sockets.
    expect(await client().request(peer.name, "event", askFor)).toEqual({
      ok: false,
      error: { code: "unreachable", reason: expect.stringContaining("ECONNREFUSED") as string },
    });
  });

  it("cancels in every phase, and nothing is left of it", async () => {
    const silent = await server(() => undefined);
    const halfway = await server((_, response) => void response.write("{"));
    const asking = client();
    for (const peer of [silent, halfway]) {
      const cancel = testCancel();
      const under = asking.request(peer.name, "event", askFor, cancel);
      await eventually(() => peer.heard.length === 1);
      await after(50);
      cancel.fire();
      expect(await under).toEqual(failure("cancelled"));
      expect(cancel.listeners()).toBe(0);
      await eventually(() => peer.connections.open === 0);
    }
    const under = asking.request(silent.name, "event", askFor);
    await eventually(() => silent.heard.length === 2);
    await asking.close();
    expect(await under).toEqual(failure("cancelled"));
    await eventually(() => silent.connections.open === 0);
  });
});
