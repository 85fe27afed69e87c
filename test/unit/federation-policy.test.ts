/** What a host refuses by its policy, and how the server that asked is told. */
import { describe, expect, it } from "vitest";
import { toMatrixError } from "../../src/federation/errors.js";
import { operationTable } from "../../src/federation/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { InviteBlocked, LimitExceeded, OperationName, Policy } from "../../src/ports/index.js";
import { policySuite } from "../../src/testing/index.js";
import { codeOf, done, nameOf, signedBy, userOf, World } from "../support/servers.js";

const [alice, bob] = [userOf("a"), userOf("b")];
const names = Object.keys(operationTable) as OperationName[];

const blocked: InviteBlocked = { as: "invite_blocked", code: "contacts-only", reason: "bob knows nobody" };

function limited(retryAfterMs: number): LimitExceeded {
  return { as: "limit_exceeded", code: "busy", reason: "too much at once", retryAfterMs };
}

const asLimited = {
  ok: false,
  error: { code: "limit_exceeded", reason: "busy: too much at once", retryAfterMs: 1_500 },
};

/** `a` and `b`, of which `b` has the policy; and a room of `a`. */
async function scene(policy: Policy): Promise<{ readonly world: World; readonly roomId: string }> {
  const world = new World();
  await world.add("a");
  await world.add("b", { policy });
  return { world, roomId: await world.shared("10", "a") };
}

describe("an invite that the invitee blocks", () => {
  it("is answered `invite_blocked`, is not signed, and is not kept [cap:policy-hooks]", async () => {
    let refusing = true;
    const { world, roomId } = await scene({ checkInvite: () => (refusing ? blocked : undefined) });
    const invited = await world.server("a").invite({ roomId, userId: alice, target: bob });
    expect(invited).toMatchObject({ ok: false, error: { code: "refused_by_peer" } });
    const [call] = world.callsOf("invite");
    const error = { code: "invite_blocked", reason: "contacts-only: bob knows nobody" } as const;
    expect(call?.answer).toEqual({ ok: false, error });
    expect(toMatrixError(error)).toEqual({
      status: 403,
      body: { errcode: "M_INVITE_BLOCKED", error: "contacts-only: bob knows nobody" },
    });
    expect(await world.server("b").roomsOf(bob)).toEqual([]);
    expect(await world.membership("a", roomId, bob)).toBe("leave");
    refusing = false;
    await done(world.server("a").invite({ roomId, userId: alice, target: bob }));
    expect(await world.server("b").roomsOf(bob)).toMatchObject([{ roomId, membership: "invite" }]);
  });

  it("is told from one that the server takes of nobody, which is forbidden", async () => {
    const { world, roomId } = await scene({
      checkInvite: () => ({ code: "closed", reason: "nobody is invited here" }),
    });
    await world.server("a").invite({ roomId, userId: alice, target: bob });
    const [call] = world.callsOf("invite");
    expect(call?.answer).toEqual({
      ok: false,
      error: { code: "policy_refused", reason: "closed: nobody is invited here" },
    });
  });

  it("is refused to a user of the same server by the host's policy", async () => {
    const { world } = await scene({ checkInvite: () => blocked });
    const roomId = await world.shared("10", "b");
    const target = userOf("b", "second");
    expect(await world.server("b").invite({ roomId, userId: bob, target })).toMatchObject({
      ok: false,
      error: { code: "policy_refused", reason: "contacts-only: bob knows nobody" },
    });
    expect(await world.membership("b", roomId, target)).toBe("leave");
  });
});

describe("a host that is asked for too much", () => {
  it("says so, and until when, to whatever a server asks for by its name", async () => {
    const asked: string[] = [];
    const { world } = await scene({
      checkServer: (server) => {
        asked.push(server);
        return limited(1_500);
      },
    });
    const signed = names.filter((name) => operationTable[name].auth === "x-matrix");
    const texts = {
      roomId: "!none:a.example",
      userId: bob,
      eventId: "$none",
      roomVersion: "11",
      dir: "f",
      transactionId: "1",
      roomAlias: "#none:b.example",
      accessToken: "x",
    };
    for (const name of names) {
      const answer = await world.receiver("b")("a.example", name, texts as never);
      if (signed.includes(name)) expect(answer, name).toEqual(asLimited);
      else
        expect(await codeOf(Promise.resolve(answer as { ok: true; value: unknown })), name).not.toBe("limit_exceeded");
    }
    expect(asked).toEqual(signed.map(() => "a.example"));
    expect(signed.length).toBeGreaterThan(15);
    expect(toMatrixError({ ...asLimited.error, code: "limit_exceeded" })).toEqual({
      status: 429,
      body: { errcode: "M_LIMIT_EXCEEDED", error: "busy: too much at once", retry_after_ms: 1_500 },
    });
  });

  it("says so to who is invited, joins or knocks by it, and changes nothing", async () => {
    let busy = false;
    const limit = (): LimitExceeded | undefined => (busy ? limited(1_500) : undefined);
    const { world, roomId: theirs } = await scene({ checkInvite: limit, checkJoin: limit });
    const roomId = await world.shared("10", "b");
    const versions = ["10"];
    const made = await world.ask("a", "b", "make_join", { roomId, userId: alice, versions });
    if (!made.ok) throw new Error(made.error.reason);
    const event = signedBy("10", "a", { ...(made.value.event as JsonObject), origin_server_ts: 1 });
    busy = true;
    expect(await world.ask("a", "b", "make_join", { roomId, userId: alice, versions })).toEqual(asLimited);
    expect(await world.ask("a", "b", "make_knock", { roomId, userId: alice, versions })).toEqual(asLimited);
    expect(await world.ask("a", "b", "send_join", { roomId, eventId: "$given", event })).toEqual(asLimited);
    await world.server("a").invite({ roomId: theirs, userId: alice, target: bob });
    expect(world.callsOf("invite")[0]?.answer).toEqual(asLimited);
    expect(await world.membership("b", roomId, alice)).toBe("leave");
    expect(await world.server("b").roomsOf(bob)).toEqual([{ roomId, membership: "join" }]);
    busy = false;
    expect(await codeOf(world.ask("a", "b", "send_join", { roomId, eventId: "$given", event }))).toBe("ok");
    expect(await world.membership("b", roomId, alice)).toBe("join");
  });

  it("is passed over by who knows another server of the room", async () => {
    const world = new World();
    await world.add("a");
    let busy = false;
    await world.add("b", { policy: { checkServer: () => (busy ? limited(1_500) : undefined) } });
    await world.add("c");
    const roomId = await world.shared("10", "a", "b");
    busy = true;
    const via = [nameOf("b"), nameOf("a")];
    expect(await codeOf(world.server("c").join({ roomId, userId: userOf("c"), via }))).toBe("ok");
    expect(world.callsOf("make_join").map(({ to }) => to)).toEqual(["a.example", "b.example", "a.example"]);
  });

  it.each([
    [0.2, 1],
    [-7, 0],
    [0, 0],
    [60_000, 60_000],
  ])("that would be asked again after %s ms writes %s", async (given, written) => {
    const { world } = await scene({ checkServer: () => limited(given) });
    expect(await world.ask("a", "b", "query_profile", { userId: bob })).toMatchObject({
      error: { code: "limit_exceeded", retryAfterMs: written },
    });
  });
});

describe("the suite of policies", () => {
  /** Whether the suite is content with a policy. */
  async function passes(policy: Policy): Promise<boolean> {
    const found = policySuite({ create: () => policy }).find(({ name }) => name.startsWith("an answer is"));
    if (found === undefined) throw new Error("there is no such check");
    return Promise.resolve(found.run()).then(
      () => true,
      () => false,
    );
  }

  it("takes each form where it may be answered", async () => {
    const limit = (): LimitExceeded => limited(5);
    expect(await passes({ checkInvite: () => blocked })).toBe(true);
    expect(await passes({ checkInvite: limit, checkJoin: limit, checkServer: limit })).toBe(true);
  });

  it.each<readonly [string, Policy]>([
    ["a form that there is not", { checkServer: () => ({ ...blocked, as: "teapot" }) as never }],
    ["a blocked invite that is no invite", { checkJoin: () => blocked as never }],
    ["an event that is limited", { checkEvent: () => limited(5) as never }],
    ["a time that is none", { checkServer: () => limited(Number.NaN) }],
    ["a time that has passed", { checkServer: () => limited(-1) }],
    ["a time that never comes", { checkServer: () => limited(Infinity) }],
    ["no time", { checkJoin: () => ({ as: "limit_exceeded", code: "busy", reason: "no" }) as never }],
  ])("notices %s", async (_, policy) => {
    expect(await passes(policy)).toBe(false);
  });
});
