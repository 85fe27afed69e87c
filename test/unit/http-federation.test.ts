/** Servers that share rooms over HTTP: every flow of federation in the form that other software speaks. */
import { describe, expect, it } from "vitest";
import { createKeyRing, createServer, keyFromSeed } from "../../src/federation/index.js";
import type { Server } from "../../src/federation/index.js";
import { createMemoryStorage, createRecordingObserver, createSeededRandom } from "../../src/adapters/memory/index.js";
import type { RecordingObserver } from "../../src/adapters/memory/index.js";
import { createHttpTransport } from "../../src/adapters/http/index.js";
import type { Directory, Transport } from "../../src/ports/index.js";
import { testKeyOf } from "../../src/testing/keys.js";
import { done, messageOf } from "../support/servers.js";
import { HttpWorld } from "./http-support.js";

interface Node {
  readonly name: string;
  readonly user: string;
  readonly server: Server;
  readonly transport: Transport;
  readonly observer: RecordingObserver;
  readonly routes: Set<string>;
  readonly published: string[];
}

const nameOf = (name: string): string => `${name}.example:8448`;

/** Servers that know each other's keys by asking, and nothing of each other but names. */
class Hosts {
  readonly world: HttpWorld = new HttpWorld();
  readonly nodes: Node[] = [];

  async add(short: string): Promise<Node> {
    const name = nameOf(short);
    const { clock } = this.world;
    const observer = createRecordingObserver();
    const routes = new Set<string>();
    const transport = createHttpTransport({
      server: name,
      keys: () => ring,
      clock,
      observer,
      connector: this.world.connector(),
      onMetric: (metric) => {
        if (metric.name === "http.server.request.duration") routes.add(routeOf(metric));
      },
    });
    this.world.handlers.set(name, transport);
    const key = keyFromSeed(testKeyOf(name));
    const ring = createKeyRing({ server: name, own: { current: [key] }, transport, clock, observer });
    const user = `@user:${name}`;
    const published: string[] = [];
    const directory: Directory = {
      alias: (alias) => (alias === `#room/ü:${name}` ? { roomId: published[0] ?? "" } : undefined),
      profile: (userId) => (userId === user ? { displayname: "häß" } : undefined),
      publishedRooms: () => published,
      openIdUser: (token) => (token === "t/1+" ? user : undefined),
      software: { name: "this", version: "1" },
    };
    const server = createServer({
      server: name,
      keys: ring,
      publishes: ring,
      transport,
      clock,
      observer,
      storage: createMemoryStorage(),
      random: createSeededRandom(name),
      directory,
    });
    await server.start();
    const node = { name, user, server, transport, observer, routes, published };
    this.nodes.push(node);
    return node;
  }

  /** Lets all be delivered that is under way. Requests take their turns of the platform and no time. */
  async deliver(): Promise<void> {
    for (let round = 0; round < 200; round++) {
      for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (!this.nodes.some(({ server }) => server.isDelivering)) return;
    }
    throw new Error("nothing was delivered");
  }
}

function routeOf({ method, route = "?", status }: { method?: string; route?: string; status?: number }): string {
  return `${method} ${route.replace("/_matrix/", "")} ${status}`;
}

describe.each(["1", "2", "3", "4", "5", "6", "10", "11", "12"])(
  "servers over HTTP in a room of version %s",
  (version) => {
    it("join, talk, invite, leave, look back, and agree", async () => {
      const hosts = new Hosts();
      const [a, b, c] = [await hosts.add("a"), await hosts.add("b"), await hosts.add("c")];
      const room = await done(a.server.create({ version, creator: a.user, preset: "public", name: "shared" }));
      const { roomId } = room;
      const say = async (node: Node, text: string): Promise<string> => {
        const sent = await done(node.server.send({ roomId, userId: node.user, ...messageOf(text, false) }));
        await hosts.deliver();
        return sent.eventId;
      };
      const early = await say(a, "before anybody came");

      await done(b.server.join({ roomId, userId: b.user, via: [a.name] }));
      await hosts.deliver();
      await say(a, "from a");
      await say(b, "from b");

      await done(a.server.invite({ roomId, userId: a.user, target: c.user }));
      await done(c.server.join({ roomId, userId: c.user, via: [a.name] }));
      await hosts.deliver();
      const last = await say(c, "from c");

      const viewOf = async ({ server }: Node): Promise<unknown> => {
        const here = await server.room(roomId);
        return { state: [...(here?.current.ids() ?? [])].sort(), ends: here?.control.forwardExtremities };
      };
      for (const node of [b, c]) expect(await viewOf(node), node.name).toEqual(await viewOf(a));
      expect((await c.server.room(roomId))?.control.forwardExtremities).toEqual([last]);

      const here = await c.server.room(roomId);
      expect(await here?.event(early)).toBeUndefined();
      await done(c.server.backfill(roomId, 50));
      expect((await here?.event(early))?.eventId).toBe(early);

      await done(b.server.leave({ roomId, userId: b.user }));
      await hosts.deliver();
      await done(a.server.invite({ roomId, userId: a.user, target: b.user }));
      await done(b.server.leave({ roomId, userId: b.user, via: [a.name] }));
      await hosts.deliver();
      expect((await a.server.room(roomId))?.current.membership(b.user)).toBe("leave");

      for (const { observer, name } of hosts.nodes) expect(observer.faults(), name).toEqual([]);
      expect([...a.routes].filter((route) => !route.endsWith(" 200"))).toEqual([]);
      for (const route of ["send/{txnId}", "make_join/{roomId}/{userId}", "backfill/{roomId}"]) {
        expect(
          [...a.routes].some((one) => one.includes(route)),
          route,
        ).toBe(true);
      }
    });
  },
);

describe("servers over HTTP", () => {
  it("tell each other of what is theirs", async () => {
    const hosts = new Hosts();
    const [a, b] = [await hosts.add("a"), await hosts.add("b")];
    const create = { version: "11", creator: a.user, preset: "public" } as const;
    const { roomId } = await done(a.server.create({ ...create, name: "child" }));
    const space = await done(a.server.create({ ...create, name: "a space", type: "m.space" }));
    const child = { type: "m.space.child", stateKey: roomId, content: { via: [a.name] } };
    await done(a.server.setState({ roomId: space.roomId, userId: a.user, ...child }));
    a.published.push(roomId, space.roomId);
    const { server } = b;
    expect(await done(server.resolveAlias(`#room/ü:${a.name}`))).toEqual({ roomId, servers: [a.name] });
    expect(await done(server.resolveAlias(`#none:${a.name}`))).toBeUndefined();
    expect(await done(server.queryProfile(a.user, "displayname"))).toMatchObject({ displayName: "häß" });
    const listed = await done(server.publicRoomsOf(a.name, { filter: { genericSearchTerm: "SPACE" } }));
    expect(listed.rooms).toMatchObject([{ roomId: space.roomId, name: "a space" }]);
    const page = await done(server.publicRoomsOf(a.name, { limit: 1 }));
    const next = await done(server.publicRoomsOf(a.name, { limit: 1, since: page.nextBatch ?? "" }));
    expect([page, next].map(({ rooms }) => rooms[0]?.roomId)).toEqual([roomId, space.roomId]);
    const hierarchy = await done(server.hierarchyOf({ roomId: space.roomId, via: [a.name], suggestedOnly: false }));
    expect(hierarchy?.rooms).toMatchObject([{ roomId, name: "child" }]);
    expect(await done(server.openIdUser(a.name, "t/1+"))).toBe(a.user);
    expect(await done(server.openIdUser(a.name, "t/1 "))).toBeUndefined();
    expect(await done(server.versionOf(a.name))).toEqual({ name: "this", version: "1" });
    for (const { observer } of hosts.nodes) expect(observer.faults()).toEqual([]);
  });

  it("knock, and are let in", async () => {
    const hosts = new Hosts();
    const [a, b] = [await hosts.add("a"), await hosts.add("b")];
    const initialState = [{ type: "m.room.join_rules", content: { join_rule: "knock" } }];
    const room = await done(a.server.create({ version: "10", creator: a.user, preset: "private", initialState }));
    const { roomId } = room;
    const knocking = { roomId, userId: b.user, via: [a.name] };
    expect((await b.server.join(knocking)).ok).toBe(false);
    await done(b.server.knock(knocking));
    expect(room.current.membership(b.user)).toBe("knock");
    await done(a.server.invite({ roomId, userId: a.user, target: b.user }));
    await done(b.server.join(knocking));
    await hosts.deliver();
    expect(room.current.membership(b.user)).toBe("join");
    expect([...a.routes].sort()).toEqual([
      "GET federation/v1/make_join/{roomId}/{userId} 200",
      "GET federation/v1/make_join/{roomId}/{userId} 403",
      "GET federation/v1/make_knock/{roomId}/{userId} 200",
      "GET key/v2/server 200",
      "PUT federation/v1/send_knock/{roomId}/{eventId} 200",
      "PUT federation/v2/send_join/{roomId}/{eventId} 200",
    ]);
    for (const { observer } of hosts.nodes) expect(observer.faults()).toEqual([]);
  });

  it("fetch what they missed by its id, though the endpoint names no room", async () => {
    const hosts = new Hosts();
    const [a, b] = [await hosts.add("a"), await hosts.add("b")];
    const { roomId } = await done(a.server.create({ version: "11", creator: a.user, preset: "public" }));
    await done(b.server.join({ roomId, userId: b.user, via: [a.name] }));
    await hosts.deliver();
    const said = await done(a.server.send({ roomId, userId: a.user, ...messageOf("said", false) }));
    const given = await b.transport.request(a.name, "event", { roomId, eventId: said.eventId });
    expect(given).toEqual({ ok: true, value: { event: said.json } });
    expect(a.routes).toContain("GET federation/v1/event/{eventId} 200");
  });
});
