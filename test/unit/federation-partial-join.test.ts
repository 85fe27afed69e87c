/**
 * Joins whose state comes without most memberships (FL4, `omit_members`): what the resident server leaves out, and
 * what the joining one makes of it until it knows the rest.
 */
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/json/index.js";
import type { OperationAnswer } from "../../src/ports/index.js";
import { done, pduOf, signedBy, userOf, worldOf } from "../support/servers.js";
import type { World } from "../support/servers.js";
import { versionOf } from "../support/engine.js";

const alice = userOf("a");
const bob = userOf("b");

type Joined = OperationAnswer<"send_join">;

/** Joins as `b` does, without a server `b` that makes anything of the answer. */
async function sentJoin(world: World, roomId: string, omitMembers: boolean): Promise<Joined> {
  const version = (await world.room("a", roomId)).version.id;
  const template = await world.ask("b", "a", "make_join", { roomId, userId: bob, versions: [version] });
  if (!template.ok) throw new Error(template.error.reason);
  const inPdu = versionOf(version).rules.format.eventIds === "in-pdu";
  const given = template.value.event as JsonObject;
  const event = { ...given, origin_server_ts: 1, ...(inPdu ? { event_id: "$join:b.example" } : {}) };
  const sent = await world.ask("b", "a", "send_join", {
    roomId,
    event: signedBy(version, "b", event),
    ...(omitMembers ? { omitMembers } : {}),
  });
  if (!sent.ok) throw new Error(sent.error.reason);
  return sent.value;
}

function membersIn(state: readonly unknown[]): readonly string[] {
  const members = (state as readonly JsonObject[]).filter(({ type }) => type === "m.room.member");
  return members.map(({ state_key: key }) => String(key)).sort();
}

/** A room of `a` with users of `c` and `d`, and seven more of `a`'s. */
async function crowded(version: string, name?: string): Promise<{ readonly world: World; readonly roomId: string }> {
  const world = await worldOf("a", "b", "c", "d");
  const created = await done(
    world.server("a").create({ version, creator: alice, preset: "public", ...(name === undefined ? {} : { name }) }),
  );
  const { roomId } = created;
  for (const one of ["c", "d"]) {
    await done(world.server(one).join({ roomId, userId: userOf(one), via: ["a.example"] }));
    await world.deliver();
  }
  for (let at = 1; at <= 7; at++) await done(world.server("a").join({ roomId, userId: userOf("a", `extra${at}`) }));
  await world.deliver();
  return { world, roomId };
}

describe.each(["1", "6", "10", "11", "12"])("a resident server of a room of version %s", (version) => {
  it("leaves out memberships when it may, and says where they are", async () => {
    const { world, roomId } = await crowded(version, "crowded");
    const room = await world.room("a", roomId);
    const before = room.current;
    const answer = await sentJoin(world, roomId, true);
    expect(answer.membersOmitted).toBe(true);
    expect(answer.serversInRoom).toEqual(["a.example", "c.example", "d.example"]);
    expect(membersIn(answer.state)).toEqual([]);
    const ids = answer.state.map((event) => pduOf(version, event).eventId);
    const rest = before.events().filter(({ type }) => type !== "m.room.member");
    expect([...ids].sort()).toEqual(rest.map(({ eventId }) => eventId).sort());
  });

  it("gives the auth chain of what is left and of the join, each event once", async () => {
    const { world, roomId } = await crowded(version, "crowded");
    const answer = await sentJoin(world, roomId, true);
    const join = pduOf(version, answer.event);
    const given = [...answer.state, ...answer.authChain].map((event) => pduOf(version, event));
    const ids = given.map(({ eventId }) => eventId as string);
    expect(new Set(ids).size).toBe(ids.length);
    const cited = [join, ...given].flatMap(({ authEvents }) => authEvents as readonly string[]);
    expect(cited.filter((id) => !ids.includes(id))).toEqual([]);
    // Of the members only those on whose word something rests: the creator, who set the state up.
    expect(membersIn(answer.authChain)).toEqual([alice]);
  });

  it("leaves nothing out unasked", async () => {
    const { world, roomId } = await crowded(version, "crowded");
    const answer = await sentJoin(world, roomId, false);
    expect(membersIn(answer.state)).toHaveLength(10);
    expect(answer).not.toHaveProperty("membersOmitted");
    expect(answer).not.toHaveProperty("serversInRoom");
  });
});

describe("what is not left out", () => {
  it("is five heroes, where the room has no name to be called by", async () => {
    const { world, roomId } = await crowded("10");
    const answer = await sentJoin(world, roomId, true);
    expect(membersIn(answer.state)).toHaveLength(5);
    const ids = new Set([...answer.state, ...answer.authChain].map((event) => pduOf("10", event).eventId as string));
    const cited = answer.state.flatMap((event) => pduOf("10", event).authEvents as readonly string[]);
    expect(cited.filter((id) => !ids.has(id))).toEqual([]);
  });

  it("is no hero where there is an alias, and one where the name is empty", async () => {
    const { world, roomId } = await crowded("10");
    const set = (type: string, content: JsonObject): Promise<unknown> =>
      done(world.server("a").setState({ roomId, userId: alice, type, content }));
    await set("m.room.name", { name: "" });
    expect(membersIn((await sentJoin(world, roomId, true)).state)).toHaveLength(5);
    await set("m.room.canonical_alias", { alias: "#crowded:a.example" });
    // The joiner's own membership, from the first join, is all that is left.
    expect(membersIn((await sentJoin(world, roomId, true)).state)).toEqual([bob]);
  });

  it("is what the joiner was before", async () => {
    const { world, roomId } = await crowded("10", "crowded");
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    const answer = await sentJoin(world, roomId, true);
    expect(membersIn(answer.state)).toEqual([bob]);
    const [invite] = answer.state.filter((event) => (event as JsonObject)["type"] === "m.room.member");
    expect((invite as JsonObject)["content"]).toEqual({ membership: "invite" });
  });

  it("is nobody who left, where somebody else can give the room a name", async () => {
    const world = await worldOf("a", "b");
    const created = await done(world.server("a").create({ version: "10", creator: alice, preset: "public" }));
    const { roomId } = created;
    const gone = userOf("a", "gone");
    await done(world.server("a").join({ roomId, userId: gone }));
    await done(world.server("a").leave({ roomId, userId: gone }));
    expect(membersIn((await sentJoin(world, roomId, true)).state)).toEqual([alice]);
  });

  it("may be everything, and then nothing is said to be left out", async () => {
    const world = await worldOf("a", "b");
    const { roomId } = await done(world.server("a").create({ version: "10", creator: alice, preset: "public" }));
    const answer = await sentJoin(world, roomId, true);
    expect(membersIn(answer.state)).toEqual([alice]);
    expect(answer).not.toHaveProperty("membersOmitted");
  });
});
