/** Both halves over real TLS on loopback. */
import { randomBytes } from "node:crypto";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createKeyDirectory, createMemoryKeys, createMemoryStorage } from "../../src/adapters/memory/index.js";
import type { HttpTransport } from "../../src/adapters/http/index.js";
import { createNodeTransport, listenHttps } from "../../src/adapters/node-http/index.js";
import type { Listening, NodeTransportOptions } from "../../src/adapters/node-http/index.js";
import { createKeyRing, createServer, keyFromSeed } from "../../src/federation/index.js";
import type { Server } from "../../src/federation/index.js";
import type { Random } from "../../src/ports/random.js";
import { transportSuite } from "../../src/testing/index.js";
import type { TransportNetwork } from "../../src/testing/index.js";
import { eventually, realClock, testAuthority, tls } from "./node-http-support.js";

interface End {
  readonly server: string;
  readonly transport: HttpTransport;
  readonly listening: Listening;
}

const systemRandom: Random = { bytes: (length) => new Uint8Array(randomBytes(length)) };

/** A server named by its address and port, which is known only once it listens. */
async function startEnd(keysOf: (server: string) => NodeTransportOptions["keys"]): Promise<End> {
  const late: { transport?: HttpTransport } = {};
  const handler = {
    handle: (...asked: Parameters<HttpTransport["handle"]>): Promise<Response> =>
      late.transport?.handle(...asked) ?? Promise.resolve(new Response(null, { status: 503 })),
  };
  const listening = await listenHttps({ host: "127.0.0.1", port: 0, handler, ...tls("localhost") });
  const server = `127.0.0.1:${listening.port}`;
  const transport = createNodeTransport({
    server,
    keys: keysOf(server),
    clock: realClock,
    random: systemRandom,
    ca: testAuthority,
    allowPrivateAddresses: ["127.0.0.0/8"],
    limits: { client: { requestTime: 10_000 } },
  });
  late.transport = transport;
  return { server, transport, listening };
}

async function endEnd({ transport, listening }: End): Promise<void> {
  await transport.close();
  await listening.close(0);
}

describe("a transport over HTTPS", () => {
  const ends = new Map<TransportNetwork, readonly End[]>();
  const create = async (): Promise<TransportNetwork> => {
    const directory = createKeyDirectory();
    let seeds = 0;
    const keysOf = (server: string) =>
      createMemoryKeys({ server, keyId: "ed25519:a", seed: new Uint8Array(32).fill(++seeds) }, directory);
    const [one, two, three] = [await startEnd(keysOf), await startEnd(keysOf), await startEnd(keysOf)];
    // Nobody listens on port 1.
    const network: TransportNetwork = { ends: [one, two, three], unknown: "127.0.0.1:1" };
    ends.set(network, [one, two, three]);
    return network;
  };
  const close = async (network: TransportNetwork): Promise<void> => {
    await Promise.all((ends.get(network) ?? []).map(endEnd));
    ends.delete(network);
  };

  it.each(transportSuite({ create, close }))("$name", async ({ run }) => {
    await run();
  });

  afterAll(() => expect(ends.size).toBe(0));
});

describe("servers over HTTPS", () => {
  const running: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of running.splice(0).reverse()) await stop();
  });

  /** A whole server: it learns others' keys by asking for them. */
  async function start(seed: number): Promise<{ readonly name: string; readonly server: Server }> {
    const late: { ring?: ReturnType<typeof createKeyRing> } = {};
    const end = await startEnd(() => () => {
      if (late.ring === undefined) throw new Error("asked before it started");
      return late.ring;
    });
    const { server: name, transport } = end;
    const own = { current: [keyFromSeed({ keyId: "ed25519:a", seed: new Uint8Array(32).fill(seed) })] } as const;
    const ring = createKeyRing({ server: name, own, transport, clock: realClock });
    late.ring = ring;
    const server = createServer({
      server: name,
      storage: createMemoryStorage(),
      transport,
      keys: ring,
      publishes: ring,
      clock: realClock,
      random: systemRandom,
    });
    await server.start();
    running.push(async () => {
      server.stop();
      await endEnd(end);
    });
    return { name, server };
  }

  it("share a room: one joins by the other, and both hear each other", async () => {
    const [one, two] = [await start(1), await start(2)];
    const alice = `@alice:${one.name}`;
    const bob = `@bob:${two.name}`;
    const created = await one.server.create({ version: "12", creator: alice, preset: "public" });
    if (!created.ok) throw new Error(created.error.reason);
    const { roomId } = created.value;
    const joined = await two.server.join({ roomId, userId: bob, via: [one.name] });
    expect(joined).toMatchObject({ ok: true });
    const said = await Promise.all([
      one.server.send({ roomId, userId: alice, type: "m.room.message", content: { body: "hello" } }),
      two.server.send({ roomId, userId: bob, type: "m.room.message", content: { body: "hello too" } }),
    ]);
    const ids = said.map((result) => (result.ok ? result.value.eventId : result.error.reason));
    for (const { server } of [one, two]) {
      const room = await server.rooms.open(roomId);
      for (const id of ids) {
        let known = false;
        await eventually(() => {
          void room?.event(id).then((event) => (known = event !== undefined));
          return known;
        });
      }
    }
  });
});
