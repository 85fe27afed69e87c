/** Rooms with a policy server, between servers: whoever sends asks it, whoever receives checks, and it answers. */
import { describe, expect, it } from "vitest";
import { createMemoryKeys } from "../../src/adapters/memory/index.js";
import { refusalOf } from "../../src/engine/index.js";
import type { Pdu } from "../../src/event/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { Policy, RecommendationAttempt } from "../../src/ports/index.js";
import { testKeyOf } from "../../src/testing/keys.js";
import { tampered, withKey } from "../support/engine.js";
import { isRecommended, policyContent, policySeedOf, POLICY_KEY, signatureIn } from "../support/policy-server.js";
import { codeOf, done, messageOf, nameOf, signedBy, tick, userOf, World } from "../support/servers.js";
import type { NodeOptions } from "../support/servers.js";

const VERSIONS = ["1", "10", "11", "12"] as const;
const P = nameOf("p");
const alice = userOf("a");

const hook: Policy = {
  checkRecommendation: ({ event }) =>
    event.content["body"] === "spam" ? { code: "spam", reason: "we do not want this" } : undefined,
};

/** `p` can be a policy server. */
function asPolicyServer(world: World, policy: Policy = hook): NodeOptions {
  const keys = createMemoryKeys(testKeyOf(P), world.directory, { policySeed: policySeedOf(P) });
  return { policy, ports: (ports) => ({ ...ports, keys }) };
}

/** A room of `a`, `b` and `p`, in which `p` is the policy server. */
async function worldWith(version: string, policy?: Policy, ...others: readonly string[]) {
  const world = new World();
  for (const name of ["a", "b", ...others]) await world.add(name);
  await world.add("p", asPolicyServer(world, policy));
  const roomId = await world.shared(version, "a", "b", "p");
  await name(world, roomId, policyContent(P));
  await world.deliver();
  return { world, roomId };
}

function name(world: World, roomId: string, content: JsonObject): Promise<Pdu> {
  return done(world.server("a").setState({ roomId, userId: alice, type: "m.room.policy", content }));
}

const asked = (world: World, from?: string): number =>
  world.callsOf("policy_sign").filter((call) => from === undefined || call.from === nameOf(from)).length;

async function kept(world: World, server: string, roomId: string, eventId: string): Promise<JsonObject> {
  return (await (await world.room(server, roomId)).event(eventId))?.original ?? {};
}

async function verdictOf(world: World, server: string, roomId: string, eventId: string): Promise<string | undefined> {
  return (await (await world.room(server, roomId)).verdict(eventId))?.verdict;
}

/** A message by a user of `from` that no policy server was asked about, as an older server sends it. */
async function unsigned(
  world: World,
  version: string,
  roomId: string,
  from: string,
  body: string,
): Promise<JsonObject> {
  const room = await world.room(from, roomId);
  const made = await done(room.template({ sender: userOf(from), ...messageOf(body, false) }));
  return signedBy(version, from, made);
}

async function send(world: World, from: string, to: string, ...pdus: readonly JsonObject[]): Promise<JsonValue> {
  const transactionId = `${from} ${to} ${String(world.calls.length)} ${JSON.stringify(pdus).length}`;
  const sent = await world.ask(from, to, "send", { transactionId, pdus });
  if (!sent.ok) throw new Error(sent.error.reason);
  return sent.value.pdus;
}

describe.each(VERSIONS)("a room of version %s whose policy server is another server", (v) => {
  it(`[cap:policy-server v:${v}] has each event signed once, for all`, async () => {
    const { world, roomId } = await worldWith(v);
    expect(asked(world)).toBe(0);
    const sent = await done(world.say("a", roomId, "hello"));
    const topic = await done(
      world.server("a").setState({ roomId, userId: alice, type: "m.room.topic", content: { topic: "tea" } }),
    );
    await world.deliver();
    expect(asked(world)).toBe(2);
    for (const server of ["a", "b", "p"]) {
      for (const { eventId } of [sent, topic]) {
        expect(await verdictOf(world, server, roomId, eventId)).toBe("accepted");
        expect(isRecommended(v, await kept(world, server, roomId, eventId), P)).toBe(true);
      }
    }
    // The policy server's own users speak in the room too: its event key and its policy key sign side by side.
    const own = await done(world.say("p", roomId, "welcome"));
    await world.deliver();
    const json = await kept(world, "b", roomId, own.eventId);
    expect(isRecommended(v, json, P)).toBe(true);
    expect(signatureIn(json, P, testKeyOf(P).keyId)).toBeDefined();
    expect(asked(world)).toBe(2);
    expect(await world.view("a", roomId)).toEqual(await world.view("b", roomId));
    expect(await world.view("a", roomId)).toEqual(await world.view("p", roomId));
    expect(world.faults()).toEqual([]);
  });

  it(`[cap:policy-server v:${v}] keeps what it refuses with its sender, who is told why`, async () => {
    const { world, roomId } = await worldWith(v);
    const before = await world.view("a", roomId);
    expect(await world.say("a", roomId, "spam")).toMatchObject({
      ok: false,
      error: { code: "not_recommended", reason: `${P} (forbidden): spam: we do not want this` },
    });
    await world.deliver();
    for (const server of ["a", "b", "p"]) expect(await world.view(server, roomId)).toEqual(before);
    expect(world.server("a").isDelivering).toBe(false);
  });

  it(`[cap:policy-server v:${v}] sends nothing while it is away, and can be rid of it`, async () => {
    const { world, roomId } = await worldWith(v);
    world.network.disconnect(P);
    expect(await codeOf(world.say("a", roomId, "hello"))).toBe("unreachable");
    await name(world, roomId, {});
    expect(await codeOf(world.say("a", roomId, "hello"))).toBe("ok");
    await world.deliver();
    expect(await codeOf(world.say("b", roomId, "hello"))).toBe("ok");
    await world.deliver();
    expect(await world.view("a", roomId)).toEqual(await world.view("b", roomId));
  });

  it(`[cap:policy-server v:${v}] asks about what comes unsigned, and shows what is signed then`, async () => {
    const { world, roomId } = await worldWith(v);
    const good = await unsigned(world, v, roomId, "b", "hello");
    const bad = await unsigned(world, v, roomId, "b", "spam");
    expect(Object.values((await send(world, "b", "a", good, bad)) as JsonObject)).toEqual([{}, {}]);
    expect(asked(world, "a")).toBe(2);
    const room = await world.room("a", roomId);
    const events = (await room.timeline()).events.filter(({ original }) => original["sender"] === userOf("b"));
    const shown = events.filter(({ original }) => original["type"] === "m.room.message");
    expect(shown.map(({ original }) => isRecommended(v, original, P))).toEqual([true]);
    expect(room.control.forwardExtremities).toEqual(shown.map(({ eventId }) => eventId));
  });

  it(`[cap:policy-server v:${v}] comes to one state where some could not ask it, once somebody goes on`, async () => {
    const { world, roomId } = await worldWith(v);
    const room = await world.room("b", roomId);
    const draft = { type: "m.room.member", stateKey: userOf("b"), sender: userOf("b") };
    const made = await done(room.template({ ...draft, content: { membership: "join", displayname: "Bob" } }));
    const json = signedBy(v, "b", made);
    await send(world, "b", "a", json);
    world.cut("b", "p");
    // The same event reaches `b` as it would from a third server: unsigned, while the policy server is out of reach.
    const receipts = await room.receive([json], { origin: nameOf("a") });
    expect(receipts.map(({ verdict }) => verdict.verdict)).toEqual(["not-recommended"]);
    const [receipt] = receipts;
    expect(receipt === undefined ? undefined : refusalOf(receipt.verdict)?.code).toBe("unreachable");
    expect((await world.view("a", roomId)).state).not.toEqual((await world.view("b", roomId)).state);
    world.heal("b", "p");
    await done(world.say("a", roomId, "after that"));
    await world.deliver();
    expect(await world.view("a", roomId)).toEqual(await world.view("b", roomId));
    expect(room.current.get("m.room.member", userOf("b"))?.content["displayname"]).toBe("Bob");
  });
});

describe("membership in a room with a policy server", () => {
  const v = "11";
  const noCarol: Policy = {
    checkRecommendation: ({ event }) =>
      event.stateKey === userOf("c") ? { code: "carol", reason: "not her" } : undefined,
  };

  it("has a join by another server signed on its way in, and the joining server keeps that", async () => {
    const { world, roomId } = await worldWith(v, hook, "c");
    await done(world.server("c").join({ roomId, userId: userOf("c"), via: [nameOf("a")] }));
    await world.deliver();
    const join = (await world.room("c", roomId)).state("m.room.member", userOf("c"))?.eventId ?? "";
    for (const server of ["a", "b", "c"]) {
      expect(isRecommended(v, await kept(world, server, roomId, join), P)).toBe(true);
    }
    expect(asked(world, "a")).toBe(1);
    expect(asked(world)).toBe(1);
  });

  it("has a join that is refused fail where it is handed over", async () => {
    const { world, roomId } = await worldWith(v, noCarol, "c");
    const joined = await world.server("c").join({ roomId, userId: userOf("c"), via: [nameOf("a")] });
    expect(joined).toMatchObject({ ok: false, error: { code: "refused_by_peer" } });
    expect(await world.membership("a", roomId, userOf("c"))).toBe("leave");
    const [handed] = world.callsOf("send_join").slice(-1);
    expect(handed?.answer).toMatchObject({ ok: false, error: { code: "forbidden" } });
  });

  it("has a join asked about again that failed for want of an answer", async () => {
    const { world, roomId } = await worldWith(v, hook, "c");
    const join = () => world.server("c").join({ roomId, userId: userOf("c"), via: [nameOf("a")] });
    world.network.disconnect(P);
    expect(await codeOf(join())).toBe("refused_by_peer");
    world.network.connect(P);
    await done(join());
    const handed = world.callsOf("send_join").filter(({ from }) => from === nameOf("c"));
    expect(handed).toHaveLength(2);
    // Nothing but the answer differs: the clock stands still.
    expect(handed[0]?.request).toEqual(handed[1]?.request);
  });

  it("has an invite signed before the invited server sees it", async () => {
    const { world, roomId } = await worldWith(v, hook, "c");
    const invited = await done(world.server("a").invite({ roomId, userId: alice, target: userOf("c") }));
    const [call] = world.callsOf("invite");
    const { event } = call?.request as { readonly event: JsonObject };
    expect(isRecommended(v, event, P)).toBe(true);
    expect(isRecommended(v, invited.json, P)).toBe(true);
    expect(signatureIn(invited.json, nameOf("c"), testKeyOf("c").keyId)).toBeDefined();
    expect(asked(world)).toBe(1);
  });

  it("shows no invite that is refused", async () => {
    const { world, roomId } = await worldWith(v, noCarol, "c");
    const invited = await codeOf(world.server("a").invite({ roomId, userId: alice, target: userOf("c") }));
    expect(invited).toBe("not_recommended");
    expect(world.callsOf("invite")).toEqual([]);
  });
});

describe("being a policy server", () => {
  const v = "10";

  it("signs each event once, and asks its hook once, however many servers ask", async () => {
    const attempts: RecommendationAttempt[] = [];
    const policy: Policy = {
      checkRecommendation: async (attempt) => {
        attempts.push(attempt);
        await tick();
        return attempt.event.content["body"] === "spam" ? { code: "spam", reason: "no" } : undefined;
      },
    };
    const { world, roomId } = await worldWith(v, policy);
    const [good, bad] = [await unsigned(world, v, roomId, "b", "hello"), await unsigned(world, v, roomId, "b", "spam")];
    const ask = (from: string, event: JsonObject) => world.ask(from, "p", "policy_sign", { event });
    const answers = await Promise.all([ask("a", good), ask("b", good), ask("a", bad), ask("b", bad)]);
    expect(answers.map((answer) => (answer.ok ? "signed" : answer.error.code))).toEqual([
      "signed",
      "signed",
      "forbidden",
      "forbidden",
    ]);
    const [first] = answers;
    const signatures = first.ok ? first.value.signatures : undefined;
    expect(Object.keys(signatures as JsonObject)).toEqual([P]);
    expect(Object.keys((signatures as JsonObject)[P] as JsonObject)).toEqual([POLICY_KEY]);
    expect(attempts.map(({ origin, roomVersion }) => [origin, roomVersion])).toEqual([
      [nameOf("a"), v],
      [nameOf("a"), v],
    ]);
  });

  it("refuses what is not to be signed, and its hook hears nothing of it", async () => {
    const attempts: RecommendationAttempt[] = [];
    const policy: Policy = {
      checkRecommendation: (attempt) => {
        attempts.push(attempt);
        return undefined;
      },
    };
    const { world, roomId } = await worldWith(v, policy);
    const good = await unsigned(world, v, roomId, "b", "hello");
    const room = await world.room("a", roomId);
    const exempt = await done(
      room.template({ type: "m.room.policy", stateKey: "", sender: alice, content: policyContent(P) }),
    );
    const code = (event: JsonValue, to = "p"): Promise<string> => codeOf(world.ask("a", to, "policy_sign", { event }));
    expect(await code(good, "a")).toBe("unrecognized");
    for (const value of [null, 1, "x", [], {}, { room_id: 1 }] as const) {
      expect(await code(value)).toBe("invalid_param");
    }
    expect(await code({ ...good, room_id: "!unknown:a.example" })).toBe("not_found");
    expect(await code({ room_id: roomId })).toBe("invalid_param");
    expect(await code(withKey(good, "depth", "deep"))).toBe("invalid_param");
    expect(await code(signedBy(v, "a", exempt))).toBe("invalid_param");
    expect(await code(tampered(good, { body: "shown instead" }))).toBe("invalid_param");
    expect(await code(withKey(good, "signatures", {}))).toBe("forbidden");
    expect(await code(signedBy(v, "a", withKey(good, "signatures", {})))).toBe("forbidden");
    expect(attempts).toEqual([]);
    expect(await code(good)).toBe("ok");
  });

  it("goes by the room's ACL, and by whom the room names", async () => {
    const { world, roomId } = await worldWith(v);
    const acl = { allow: ["*"], deny: [nameOf("c")] };
    await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.server_acl", content: acl }));
    await world.deliver();
    const event = await unsigned(world, v, roomId, "b", "hello");
    expect(await codeOf(world.ask("c", "p", "policy_sign", { event }))).toBe("forbidden");
    expect(await codeOf(world.ask("b", "p", "policy_sign", { event }))).toBe("ok");
    await name(world, roomId, policyContent("other.example"));
    await world.deliver();
    expect(await codeOf(world.ask("b", "p", "policy_sign", { event }))).toBe("not_found");
    await name(world, roomId, {});
    await world.deliver();
    expect(await codeOf(world.ask("b", "p", "policy_sign", { event }))).toBe("not_found");
  });

  it("signs everything without a hook, and nothing where the hook throws", async () => {
    const open = await worldWith(v, {});
    expect(await codeOf(open.world.say("a", open.roomId, "spam"))).toBe("ok");
    let broken = true;
    const { world, roomId } = await worldWith(v, {
      checkRecommendation: () => {
        if (broken) throw new Error("the classifier is down");
        return undefined;
      },
    });
    const event = await unsigned(world, v, roomId, "b", "hello");
    expect(await codeOf(world.ask("a", "p", "policy_sign", { event }))).toBe("internal");
    expect(world.faults()).toHaveLength(1);
    broken = false;
    expect(await codeOf(world.ask("a", "p", "policy_sign", { event }))).toBe("ok");
  });
});
