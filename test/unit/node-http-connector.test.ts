import { createServer as createTcpServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import {
  answerJson,
  ask,
  connectorOf,
  eventually,
  getVersion,
  OTHER_PUBLIC,
  PUBLIC,
  resolverOf,
  startServer,
  wires,
} from "./node-http-support.js";
import type { TestServer } from "./node-http-support.js";
import type { NodeConnector, NodeConnectorOptions } from "../../src/adapters/node-http/index.js";

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function server(certificate: string, handler: Parameters<typeof startServer>[1]): Promise<TestServer> {
  const started = await startServer(certificate, handler);
  open.push(() => started.close());
  return started;
}

function connector(options: Partial<NodeConnectorOptions>): NodeConnector {
  const made = connectorOf(options);
  open.push(() => made.close());
  return made;
}

const hello = { status: 200, text: '{"hello":1}' };

function greeter(certificate: string): Promise<TestServer> {
  return server(certificate, (_, response) => answerJson(response, { hello: 1 }));
}

/** A website whose document delegates to a server. */
function website(certificate: string, delegated: string, headers: Readonly<Record<string, string>> = {}) {
  return server(certificate, (_, response) => {
    response.writeHead(200, headers).end(JSON.stringify({ "m.server": delegated }));
  });
}

describe("finding a server", () => {
  it("connects to an address by its port, verifies the certificate for it, and sends no SNI", async () => {
    const peer = await greeter("localhost");
    const asking = connector({ allowPrivateAddresses: ["127.0.0.0/8"] });
    expect(await ask(asking, `127.0.0.1:${peer.port}`)).toEqual(hello);
    expect(peer.heard).toEqual([
      { host: `127.0.0.1:${peer.port}`, sni: false, method: "GET", url: "/_matrix/federation/v1/version" },
    ]);
  });

  it("connects to localhost without asking a name server", async () => {
    const peer = await greeter("localhost");
    const asking = connector({ allowPrivateAddresses: true });
    expect(await ask(asking, `localhost:${peer.port}`)).toEqual(hello);
    expect(peer.heard[0]).toMatchObject({ host: `localhost:${peer.port}`, sni: "localhost" });
  });

  it("looks up the addresses of a name with a port, and asks for no document", async () => {
    const peer = await greeter("one.example");
    const resolver = resolverOf({ addresses: { "one.example": [[PUBLIC]] } });
    const wire = wires({ [`${PUBLIC}:9000`]: peer.port });
    expect(await ask(connector({ resolver, openSocket: wire.open }), "one.example:9000")).toEqual(hello);
    expect(peer.heard[0]).toMatchObject({ host: "one.example:9000", sni: "one.example" });
    expect(resolver.asked).toEqual(["one.example"]);
  });

  it("follows a delegation to a name and port, with SNI, Host and certificate of that name", async () => {
    const site = await website("one.example", "delegated.example:8555");
    const peer = await greeter("delegated.example");
    const resolver = resolverOf({
      addresses: { "one.example": [[PUBLIC]], "delegated.example": [[OTHER_PUBLIC]] },
    });
    const wire = wires({ [`${PUBLIC}:443`]: site.port, [`${OTHER_PUBLIC}:8555`]: peer.port });
    expect(await ask(connector({ resolver, openSocket: wire.open }), "one.example")).toEqual(hello);
    expect(site.heard).toEqual([
      { host: "one.example", sni: "one.example", method: "GET", url: "/.well-known/matrix/server" },
    ]);
    expect(peer.heard[0]).toMatchObject({ host: "delegated.example:8555", sni: "delegated.example" });
  });

  it("uses SRV records of the name delegated to: their ports and addresses, but that name's certificate", async () => {
    const site = await website("one.example", "delegated.example");
    const peer = await greeter("delegated.example");
    const resolver = resolverOf({
      srv: {
        "_matrix-fed._tcp.delegated.example": {
          status: "found",
          records: [
            { priority: 20, weight: 1, port: 7002, target: "second.example." },
            { priority: 10, weight: 1, port: 7001, target: "first.example." },
          ],
        },
      },
      addresses: {
        "one.example": [[PUBLIC]],
        "first.example": [[OTHER_PUBLIC]],
        "second.example": [["1.1.1.1"]],
      },
    });
    const wire = wires({ [`${PUBLIC}:443`]: site.port, "1.1.1.1:7002": peer.port });
    expect(await ask(connector({ resolver, openSocket: wire.open }), "one.example")).toEqual(hello);
    // The first of the two does not answer, and the second is asked.
    expect(wire.opened).toEqual([`${PUBLIC}:443`, `${OTHER_PUBLIC}:7001`, "1.1.1.1:7002"]);
    expect(peer.heard[0]).toMatchObject({ host: "delegated.example", sni: "delegated.example" });
  });

  it("falls back to port 8448 of the name where there is neither a document nor an SRV record", async () => {
    const peer = await greeter("one.example");
    const resolver = resolverOf({ addresses: { "one.example": [[PUBLIC]] } });
    const wire = wires({ [`${PUBLIC}:8448`]: peer.port });
    expect(await ask(connector({ resolver, openSocket: wire.open }), "one.example")).toEqual(hello);
    expect(wire.opened).toEqual([`${PUBLIC}:443`, `${PUBLIC}:8448`]);
    expect(resolver.asked).toEqual([
      "one.example",
      "_matrix-fed._tcp.one.example",
      "_matrix._tcp.one.example",
      "one.example",
    ]);
    expect(peer.heard[0]).toMatchObject({ host: "one.example", sni: "one.example" });
  });

  it("gives up where SRV records could not be looked up, and for what is no name", async () => {
    const resolver = resolverOf({
      srv: { "_matrix-fed._tcp.one.example": { status: "failed", reason: "SERVFAIL" } },
    });
    const asking = connector({ resolver });
    expect(await ask(asking, "one.example")).toContain("SERVFAIL");
    expect(await ask(asking, "no name")).toContain("not a server name");
    expect(await ask(asking, "two.example:70000")).toContain("no port 70000");
  });

  it("tries the next address where one cannot be connected to, and then begins with that which answered", async () => {
    const peer = await greeter("one.example");
    const resolver = resolverOf({ addresses: { "one.example": [[OTHER_PUBLIC, "1.1.1.1", PUBLIC]] } });
    const wire = wires({ [`${PUBLIC}:9000`]: peer.port });
    const asking = connector({ resolver, openSocket: wire.open, limits: { idlePerServer: 1 } });
    expect(await ask(asking, "one.example:9000")).toEqual(hello);
    expect(wire.opened).toEqual([`${OTHER_PUBLIC}:9000`, "1.1.1.1:9000", `${PUBLIC}:9000`]);
    expect(await Promise.all([ask(asking, "one.example:9000"), ask(asking, "one.example:9000")])).toEqual([
      hello,
      hello,
    ]);
    expect(wire.opened.slice(3)).toEqual([`${PUBLIC}:9000`]);
    expect(resolver.asked).toEqual(["one.example"]);
  });

  it("looks a server up once for all who ask at the same time, and again when no address answers", async () => {
    const peer = await greeter("one.example");
    const resolver = resolverOf({ addresses: { "one.example": [[PUBLIC], [OTHER_PUBLIC]] } });
    const wire = wires({ [`${PUBLIC}:9000`]: peer.port, [`${OTHER_PUBLIC}:9000`]: peer.port });
    const routes = { moved: false };
    const asking = connector({
      resolver,
      openSocket: (target, signal) =>
        routes.moved && target.address === PUBLIC
          ? Promise.reject(new Error("it has moved"))
          : wire.open(target, signal),
    });
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(asking, "one.example:9000")));
    expect(answers).toEqual(Array.from({ length: 10 }, () => hello));
    expect(resolver.asked).toEqual(["one.example"]);
    routes.moved = true;
    const others = connector({ resolver, openSocket: wire.open });
    expect(await ask(others, "one.example:9000")).toEqual(hello);
    expect(resolver.asked).toHaveLength(2);
    peer.connections.total = 0;
    // Connections that were kept go on being used. Without them the address is found to be dead.
    const cold = connector({
      resolver: resolverOf({ addresses: { "one.example": [[PUBLIC], [OTHER_PUBLIC]] } }),
      openSocket: (target, signal) =>
        target.address === PUBLIC ? Promise.reject(new Error("it has moved")) : wire.open(target, signal),
    });
    expect(await ask(cold, "one.example:9000")).toContain("it has moved");
    expect(await ask(cold, "one.example:9000")).toEqual(hello);
  });
});

describe("certificates", () => {
  const names = { addresses: { "one.example": [[PUBLIC]], "a.wild.example": [[PUBLIC]], "wild.example": [[PUBLIC]] } };

  it("refuses one for another name, and one that nobody trusts; nothing of the request arrives", async () => {
    for (const wrong of ["two.example", "self-signed", "wild.example"]) {
      const peer = await greeter(wrong);
      const wire = wires({ [`${PUBLIC}:9000`]: peer.port });
      const asking = connector({ resolver: resolverOf(names), openSocket: wire.open });
      expect(await ask(asking, "one.example:9000"), wrong).toMatch(/self-signed|does not match/);
      expect(peer.heard, wrong).toEqual([]);
    }
  });

  it("refuses the certificate of a name for a server that is named by its address", async () => {
    const peer = await greeter("one.example");
    const asking = connector({ allowPrivateAddresses: true });
    expect(await ask(asking, `127.0.0.1:${peer.port}`)).toMatch(/does not match|IP/);
    expect(peer.heard).toEqual([]);
  });

  it("takes a wildcard for the names one level below, and for no other", async () => {
    const peer = await greeter("wild.example");
    const wire = wires({ [`${PUBLIC}:9000`]: peer.port });
    const asking = connector({ resolver: resolverOf(names), openSocket: wire.open });
    expect(await ask(asking, "a.wild.example:9000")).toEqual(hello);
    expect(await ask(asking, "wild.example:9000")).toContain("does not match");
  });

  it("takes any only where that is asked for by name", async () => {
    const peer = await greeter("self-signed");
    const wire = wires({ [`${PUBLIC}:9000`]: peer.port });
    const strict = connector({ resolver: resolverOf(names), openSocket: wire.open, trustAnyCertificate: false });
    expect(await ask(strict, "one.example:9000")).toContain("self-signed");
    const lax = connector({ resolver: resolverOf(names), openSocket: wire.open, trustAnyCertificate: true });
    expect(await ask(lax, "one.example:9000")).toEqual(hello);
  });

  it("does not use a connection to one server for another at the same address", async () => {
    const peer = await greeter("one.example");
    const wire = wires({ [`${PUBLIC}:9000`]: peer.port });
    const resolver = resolverOf({ addresses: { "one.example": [[PUBLIC]], "two.example": [[PUBLIC]] } });
    const asking = connector({ resolver, openSocket: wire.open });
    expect(await ask(asking, "one.example:9000")).toEqual(hello);
    expect(await ask(asking, "two.example:9000")).toContain("does not match");
    expect(peer.heard).toHaveLength(1);
  });
});

describe("addresses that are not public", () => {
  it("are refused after the lookup, by default and outside of the networks that are allowed", async () => {
    const peer = await greeter("one.example");
    const inside = ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254"];
    const resolver = resolverOf({ addresses: { "one.example": [inside] } });
    const wire = wires(Object.fromEntries(inside.map((address) => [`${address}:9000`, peer.port])));
    for (const allowPrivateAddresses of [false, ["10.1.0.0/16", "::2/128"]]) {
      const asking = connector({ resolver, openSocket: wire.open, allowPrivateAddresses });
      expect(await ask(asking, "one.example:9000")).toContain("169.254.169.254 is no public address");
    }
    expect(await ask(connector({}), `127.0.0.1:${peer.port}`)).toBe("127.0.0.1 is no public address");
    expect(await ask(connector({}), `localhost:${peer.port}`)).toContain("127.0.0.1 is no public address");
    expect(wire.opened).toEqual([]);
    expect(peer.connections.total).toBe(0);
    const asking = connector({ resolver, openSocket: wire.open, allowPrivateAddresses: ["10.0.0.0/8"] });
    expect(await ask(asking, "one.example:9000")).toEqual(hello);
    expect(wire.opened).toEqual(["10.0.0.1:9000"]);
  });

  it("cannot be slipped in after the check: what was checked is what is connected to", async () => {
    const peer = await greeter("one.example");
    const resolver = resolverOf({ addresses: { "one.example": [[PUBLIC], ["127.0.0.1"]] } });
    const wire = wires({ [`${PUBLIC}:9000`]: peer.port, "127.0.0.1:9000": peer.port });
    const asking = connector({ resolver, openSocket: wire.open });
    for (let times = 0; times < 3; times++) expect(await ask(asking, "one.example:9000")).toEqual(hello);
    expect(wire.opened).toEqual([`${PUBLIC}:9000`]);
    // A process that looks it up anew is told the second address, and refuses it.
    const later = connector({ resolver, openSocket: wire.open });
    expect(await ask(later, "one.example:9000")).toBe("127.0.0.1 is no public address");
    expect(wire.opened).toHaveLength(1);
  });

  it("are refused for the document of delegation and for what it redirects to", async () => {
    const secret = await website("localhost", "delegated.example:8555");
    const site = await server("one.example", (_, response) => {
      response.writeHead(302, { Location: `https://127.0.0.1:${secret.port}/` }).end();
    });
    const resolver = resolverOf({ addresses: { "one.example": [[PUBLIC]], "two.example": [["127.0.0.1"]] } });
    const wire = wires({
      [`${PUBLIC}:443`]: site.port,
      [`127.0.0.1:${secret.port}`]: secret.port,
      "127.0.0.1:443": secret.port,
    });
    const asking = connector({ resolver, openSocket: wire.open });
    await ask(asking, "one.example");
    await ask(asking, "two.example");
    expect(site.heard).toHaveLength(1);
    expect(secret.connections.total).toBe(0);
    expect(wire.opened).toEqual([`${PUBLIC}:443`, `${PUBLIC}:8448`]);
  });
});

describe("the document of delegation", () => {
  const addresses = { "one.example": [[PUBLIC]], "delegated.example": [[OTHER_PUBLIC]] };

  it("is fetched through 10 redirects, and not through 11, and not without TLS", async () => {
    const peer = await greeter("delegated.example");
    const fallback = await server("one.example", (_, response) => answerJson(response, { fallback: 1 }));
    for (const [redirects, found] of [
      [10, true],
      [11, false],
    ] as const) {
      const site = await server("one.example", ({ url = "" }, response) => {
        const hop = Number(new URL(url, "https://one.example").searchParams.get("hop") ?? "0");
        if (hop === redirects) answerJson(response, { "m.server": "delegated.example:8555" });
        else response.writeHead(307, { Location: `/elsewhere?hop=${hop + 1}` }).end("x".repeat(100));
      });
      const wire = wires({
        [`${PUBLIC}:443`]: site.port,
        [`${PUBLIC}:8448`]: fallback.port,
        [`${OTHER_PUBLIC}:8555`]: peer.port,
      });
      const asking = connector({ resolver: resolverOf({ addresses }), openSocket: wire.open });
      expect(await ask(asking, "one.example")).toEqual(found ? hello : { status: 200, text: '{"fallback":1}' });
      expect(site.heard).toHaveLength(11);
    }
    const site = await server("one.example", (_, response) => {
      response.writeHead(301, { Location: "http://one.example/.well-known/matrix/server" }).end();
    });
    const wire = wires({ [`${PUBLIC}:443`]: site.port, [`${PUBLIC}:8448`]: fallback.port });
    const asking = connector({ resolver: resolverOf({ addresses }), openSocket: wire.open });
    expect(await ask(asking, "one.example")).toEqual({ status: 200, text: '{"fallback":1}' });
  });

  it("is not waited for without end, nor read without end", async () => {
    const fallback = await greeter("one.example");
    const endless = await server("one.example", (_, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (response.write(" ".repeat(1000)));
      };
      response.on("drain", more);
      more();
    });
    const silent = await server("one.example", () => undefined);
    for (const site of [endless, silent]) {
      const wire = wires({ [`${PUBLIC}:443`]: site.port, [`${PUBLIC}:8448`]: fallback.port });
      const asking = connector({
        resolver: resolverOf({ addresses }),
        openSocket: wire.open,
        limits: { wellKnownTime: 300 },
      });
      expect(await ask(asking, "one.example")).toEqual(hello);
      await eventually(() => site.connections.open === 0);
    }
  });

  it("is remembered for as long as it says", async () => {
    const now = { value: 1_700_000_000_000 };
    const clock = { now: () => now.value, sleep: () => new Promise<void>(() => undefined) };
    const site = await website("one.example", "delegated.example:8555", { "Cache-Control": "max-age=3600" });
    const peer = await greeter("delegated.example");
    const wire = wires({ [`${PUBLIC}:443`]: site.port, [`${OTHER_PUBLIC}:8555`]: peer.port });
    const limits = { discoveryTime: 1 };
    const asking = connector({ clock, limits, resolver: resolverOf({ addresses }), openSocket: wire.open });
    for (const [seconds, fetched] of [
      [0, 1],
      [1000, 1],
      [3599, 1],
      [3601, 2],
      [4000, 2],
    ] as const) {
      now.value = 1_700_000_000_000 + seconds * 1000;
      expect(await ask(asking, "one.example")).toEqual(hello);
      expect(site.heard, `after ${seconds} s`).toHaveLength(fetched);
    }
  });

  it("counts on where its website is down", async () => {
    const now = { value: 1_700_000_000_000 };
    const clock = { now: () => now.value, sleep: () => new Promise<void>(() => undefined) };
    const state = { down: false };
    const site = await server("one.example", (_, response) => {
      if (state.down) response.writeHead(503).end();
      else answerJson(response, { "m.server": "delegated.example:8555" });
    });
    const peer = await greeter("delegated.example");
    const wire = wires({ [`${PUBLIC}:443`]: site.port, [`${OTHER_PUBLIC}:8555`]: peer.port });
    const asking = connector({ clock, resolver: resolverOf({ addresses }), openSocket: wire.open });
    expect(await ask(asking, "one.example")).toEqual(hello);
    state.down = true;
    now.value += 30 * 60 * 60 * 1000;
    expect(await ask(asking, "one.example")).toEqual(hello);
    expect(site.heard).toHaveLength(2);
    now.value += 20 * 60 * 60 * 1000;
    expect(await ask(asking, "one.example")).toContain("8448");
  });
});

describe("connections", () => {
  it("are used again, one after the other and no more than idle at the end", async () => {
    const peer = await greeter("localhost");
    const opened: number[] = [];
    const asking = connector({
      allowPrivateAddresses: true,
      limits: { idlePerServer: 3 },
      onMetric: ({ value }) => opened.push(value),
    });
    const name = `127.0.0.1:${peer.port}`;
    for (let times = 0; times < 20; times++) expect(await ask(asking, name)).toEqual(hello);
    expect(peer.connections.total).toBe(1);
    await Promise.all(Array.from({ length: 10 }, () => ask(asking, name)));
    expect(peer.connections.total).toBeLessThanOrEqual(10);
    await eventually(() => peer.connections.open === 3);
    await asking.close();
    await eventually(() => peer.connections.open === 0);
    await eventually(() => opened.reduce((sum, one) => sum + one, 0) === 0);
    expect(opened.filter((one) => one === 1)).toHaveLength(peer.connections.total);
    expect(await ask(asking, name)).toBe("connections are closed");
  });

  it("idle in a bounded number, those that idled longest are closed first", async () => {
    const peers = await Promise.all(Array.from({ length: 6 }, () => greeter("localhost")));
    const asking = connector({ allowPrivateAddresses: true, limits: { idleConnections: 4 } });
    for (const { port } of peers) expect(await ask(asking, `127.0.0.1:${port}`)).toEqual(hello);
    await eventually(() => peers.map(({ connections }) => connections.open).join("") === "001111");
  });

  it("are closed when nobody asks for a while", async () => {
    const peer = await greeter("localhost");
    const asking = connector({ allowPrivateAddresses: true, limits: { idleTime: 100 } });
    expect(await ask(asking, `127.0.0.1:${peer.port}`)).toEqual(hello);
    expect(peer.connections.open).toBe(1);
    await eventually(() => peer.connections.open === 0);
  });

  it("that the other side closed meanwhile cost a request nothing", async () => {
    const sockets: { destroy: () => unknown }[] = [];
    const peer = await server("localhost", ({ socket }, response) => {
      sockets.push(socket);
      if (sockets.length === 2) socket.destroy();
      else answerJson(response, { hello: 1 });
    });
    const asking = connector({ allowPrivateAddresses: true });
    const name = `127.0.0.1:${peer.port}`;
    expect(await ask(asking, name)).toEqual(hello);
    // The kept connection breaks under the next request, as when it was closed at the same moment.
    expect(await ask(asking, name)).toEqual(hello);
    expect(peer.connections.total).toBe(2);
    expect(peer.heard).toHaveLength(3);
  });

  it("that break under a request on a new one are no reason to send it again", async () => {
    const peer = await server("localhost", ({ socket }) => socket.destroy());
    const asking = connector({ allowPrivateAddresses: true });
    expect(await ask(asking, `127.0.0.1:${peer.port}`)).toMatch(/hang up|ECONNRESET/);
    expect(peer.heard).toHaveLength(1);
  });

  it("to one that takes them and says nothing end by the time for connecting", async () => {
    const silent = createTcpServer((socket) => void socket.resume()).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    open.push(() => new Promise((resolve) => void silent.close(() => resolve())));
    const asking = connector({ allowPrivateAddresses: true, limits: { connectTime: 100 } });
    const { port } = silent.address() as AddressInfo;
    expect(await ask(asking, `127.0.0.1:${port}`)).toContain("no connection within 100 ms");
  });

  it("are not led elsewhere by a redirect", async () => {
    const peer = await server("localhost", (_, response) => {
      response.writeHead(302, { Location: `https://127.0.0.1:${peer.port}/elsewhere` }).end("{}");
    });
    const asking = connector({ allowPrivateAddresses: true });
    expect(await ask(asking, `127.0.0.1:${peer.port}`)).toEqual({ status: 302, text: "{}" });
    expect(peer.heard).toHaveLength(1);
  });
});

describe("a signal", () => {
  it("ends a request while it is looked up, connected, waited for and read, and leaves no connection", async () => {
    const silent = createTcpServer((socket) => void socket.resume()).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    open.push(() => new Promise((resolve) => void silent.close(() => resolve())));
    const waiting = await server("localhost", () => undefined);
    const halfway = await server("localhost", (_, response) => void response.write('{"half":'));
    const never = new Promise<never>(() => undefined);
    const lookup = { aborted: 0 };
    const asking = connector({
      allowPrivateAddresses: true,
      resolver: {
        srv: () => never,
        addresses: (_, signal) => {
          signal.addEventListener("abort", () => lookup.aborted++);
          return never;
        },
      },
    });
    const names = [
      "one.example:9000",
      `127.0.0.1:${(silent.address() as AddressInfo).port}`,
      `127.0.0.1:${waiting.port}`,
      `127.0.0.1:${halfway.port}`,
    ];
    for (const name of names) {
      const stop = new AbortController();
      const result = ask(asking, name, getVersion, stop.signal).catch((error: unknown) => String(error));
      await new Promise((resolve) => setTimeout(resolve, 100));
      stop.abort();
      expect(await result, name).toEqual(expect.any(String));
    }
    expect(lookup.aborted).toBe(1);
    await eventually(() => waiting.connections.open + halfway.connections.open === 0);
    expect(waiting.connections.total + halfway.connections.total).toBe(2);
    const early = new AbortController();
    early.abort();
    expect(await ask(asking, `127.0.0.1:${waiting.port}`, getVersion, early.signal)).toEqual(expect.any(String));
    expect(waiting.heard).toHaveLength(1);
  });
});
