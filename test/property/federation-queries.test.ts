/** Queries by anybody who asks anything, and answers of anybody who answers anything. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Server, ServerOptions } from "../../src/federation/index.js";
import { checkLax } from "../../src/json/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { Directory, OperationName, OperationResult } from "../../src/ports/index.js";
import { done, userOf, World } from "../support/servers.js";
import { rowsOf } from "../support/rows.js";
import { runs, seed } from "./laws-support.js";
import { asking } from "./ask.js";
import { near } from "./near.js";

const alice = userOf("a");
const via = ["a.example"];
const alias = "#room:a.example";

/** A server that has something to say to every query, and one that asks. */
interface Scene {
  readonly world: World;
  readonly spaceId: string;
  readonly requests: Readonly<Record<Query, JsonObject>>;
}

const queries = [
  "query_directory",
  "query_profile",
  "public_rooms",
  "hierarchy",
  "openid_userinfo",
  "version",
] as const satisfies readonly OperationName[];
type Query = (typeof queries)[number];

async function scene(version: string): Promise<Scene> {
  const world = new World();
  const published: string[] = [];
  const directory: Directory = {
    alias: () => ({ roomId: published[0] ?? "" }),
    profile: () => ({ displayname: "A", avatar_url: "mxc://a.example/a", "m.tz": "UTC" }),
    publishedRooms: () => published,
    openIdUser: (token) => (token === "x" ? alice : undefined),
    software: { name: "x", version: "1" },
  };
  await world.add("a", { ports: (given): ServerOptions => ({ ...given, directory }) });
  await world.add("b");
  const { server } = world.node("a");
  const make = async (type?: string): Promise<string> => {
    const named = type === undefined ? {} : { type };
    return (await done(server.create({ version, creator: alice, preset: "public", name: "x", ...named }))).roomId;
  };
  const spaceId = await make("m.space");
  const roomId = await make();
  await done(
    server.setState({ roomId: spaceId, userId: alice, type: "m.space.child", stateKey: roomId, content: { via } }),
  );
  published.push(spaceId, roomId);
  await world.deliver();
  return {
    world,
    spaceId,
    requests: {
      query_directory: { roomAlias: alias },
      query_profile: { userId: alice, field: "m.tz" },
      public_rooms: { limit: 5, since: "f0", filter: { genericSearchTerm: "x", roomTypes: [null, "m.space"] } },
      hierarchy: { roomId: spaceId, suggestedOnly: false },
      openid_userinfo: { accessToken: "x" },
      version: {},
    },
  };
}

// ---- both sides -----------------------------------------------------------------------------------------

describe.each(["1", "12"])("queries in room version %s [cap:queries] [cap:room-lists]", (version) => {
  it.each(queries)("whatever is asked by %s is answered, and changes nothing", async (name) => {
    const { world, requests } = await scene(version);
    const { ask, end } = await asking(world, "a", name, requests[name]);
    await fc.assert(fc.asyncProperty(near(requests[name]), ask), { numRuns: runs(300), seed });
    const { answered, refused } = await end();
    expect(answered).toBeGreaterThan(1);
    if (name !== "version" && name !== "public_rooms") expect(refused).toBeGreaterThan(1);
  });

  const calls: Readonly<Record<Query, (server: Server, scene: Scene) => Promise<unknown>>> = {
    query_directory: (server) => server.resolveAlias(alias),
    query_profile: (server) => server.queryProfile(alice),
    public_rooms: (server) => server.publicRoomsOf("a.example"),
    hierarchy: (server, { spaceId }) => server.hierarchyOf({ roomId: spaceId, via }),
    openid_userinfo: (server) => server.openIdUser("a.example", "x"),
    version: (server) => server.versionOf("a.example"),
  };

  it.each(queries)("whatever is answered to %s, what the host gets is plain data or a refusal", async (name) => {
    const made = await scene(version);
    const { world } = made;
    const server = world.server("b");
    const whole = await world.ask("b", "a", name, { ...made.requests[name], field: undefined });
    if (!whole.ok) throw new Error(whole.error.reason);
    const before = await rowsOf(world.node("b").storage);
    let [taken, refused] = [0, 0];
    const answer = async (value: unknown): Promise<void> => {
      world.intercept(() => Promise.resolve({ ok: true, value } as OperationResult<Query>));
      const result = (await calls[name](server, made)) as { ok: boolean; value?: unknown; error?: JsonObject };
      if (result.ok) taken++;
      else refused++;
      if (result.ok) expect(checkLax(result.value ?? null)).toMatchObject({ ok: true });
      else expect(["refused_by_peer", "unreachable"]).toContain(result.error?.["code"]);
    };
    await answer(whole.value);
    expect(taken).toBe(1);
    await fc.assert(fc.asyncProperty(near(whole.value), answer), { numRuns: runs(300), seed });
    world.intercept(undefined);
    expect(await rowsOf(world.node("b").storage)).toEqual(before);
    expect(world.faults()).toEqual([]);
    expect(taken).toBeGreaterThan(1);
    expect(refused).toBeGreaterThan(1);
  });
});
