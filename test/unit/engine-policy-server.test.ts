/** Check 7 by a room's policy server, and what it is asked (server-server-api, "Policy Servers"). */
import { describe, expect, it } from "vitest";
import { createManualClock } from "../../src/adapters/memory/index.js";
import { CancelledError, Canceller } from "../../src/engine/index.js";
import type { Room } from "../../src/engine/index.js";
import { isExempt, JoinedServers, keyOf, namedPolicyServer, recommendationIn } from "../../src/engine/policy-server.js";
import { RoomIndex } from "../../src/dag/index.js";
import { encodeCanonical } from "../../src/json/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { isObject } from "../../src/json/value.js";
import type { OperationErrorCode, OperationName, OperationResult, Policy, Transport } from "../../src/ports/index.js";
import { HERE, roomOf, short, Story, testServer, withKey } from "../support/engine.js";
import type { TestServer } from "../support/engine.js";
import {
  isRecommended,
  policyContent,
  policySeedOf,
  POLICY_KEY,
  recommendedBy,
  signatureIn,
  signaturesOf,
} from "../support/policy-server.js";
import { tick } from "../support/servers.js";
import { sign } from "../../src/crypto/ed25519.js";

const VERSIONS = ["1", "10", "11", "12"] as const;
const VIA = "policy.example";
const [ALICE, BOB, BOT, ME] = ["@alice:a.example", "@bob:b.example", `@bot:${VIA}`, `@me:${HERE}`];
const PEER = "peer.example";
const RULE = "server-server-api Validating Policy Server signatures";

type Answer = OperationResult<"policy_sign">;

const refusing = (code: OperationErrorCode, reason: string = "spam"): Answer => ({
  ok: false,
  error: { code, reason },
});

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A network on which one policy server answers, and nobody else. */
class Line implements Transport {
  readonly asked: JsonObject[] = [];
  inFlight = 0;
  most = 0;
  readonly #version: string;
  /** What is answered; by default a signature. */
  answer: (event: JsonObject) => Answer | Promise<Answer>;

  constructor(version: string) {
    this.#version = version;
    this.answer = (event) => this.signed(event);
  }

  signed(event: JsonObject, name: string = VIA): Answer {
    return { ok: true, value: { signatures: signaturesOf(this.#version, event, VIA, name) } };
  }

  listen = (): (() => void) => () => undefined;

  request = async <N extends OperationName>(to: string, name: N, request: unknown): Promise<OperationResult<N>> => {
    const event = typeof request === "object" && request !== null && "event" in request ? request.event : undefined;
    if (to !== VIA || name !== "policy_sign" || !isJsonObject(event)) {
      return { ok: false, error: { code: "unreachable", reason: "nobody is there" } };
    }
    this.asked.push(event);
    this.most = Math.max(this.most, ++this.inFlight);
    await Promise.resolve();
    const answer = await this.answer(event);
    this.inFlight--;
    return answer;
  };
}

interface Stage {
  readonly server: TestServer;
  readonly line: Line;
  readonly room: Room;
  readonly story: Story;
  /** Receives events of the story by name, and says what became of them. */
  readonly get: (...names: readonly string[]) => Promise<readonly string[]>;
}

/** Alice's room with Bob, a user of the policy server and one of this server; `policy` names the policy server. */
function beginning(v: string, content: JsonObject | null = policyContent(VIA)): Story {
  const story = new Story(v)
    .open({ users: { [ALICE]: 100 } })
    .member("bob", BOB, "join")
    .member("bot", BOT, "join")
    .member("me", ME, "join");
  return content === null ? story : story.state("policy", "m.room.policy", ALICE, content);
}

async function stage(
  v: string,
  story: Story = beginning(v),
  options: { readonly policy?: Policy; readonly limits?: object } = {},
): Promise<Stage> {
  const line = new Line(v);
  const server = testServer({
    ring: story.ring,
    transport: line,
    clock: createManualClock(1_700_000_000_000),
    ...options,
  });
  const room = await roomOf(server, story);
  const receipts = (await room.receive(story.jsons(), { origin: PEER })).map(short);
  expect(new Set(receipts)).toEqual(new Set(["accepted"]));
  const get = async (...names: readonly string[]): Promise<readonly string[]> =>
    (await room.receive(story.jsons(...names), { origin: PEER })).map(short);
  return { server, line, room, story, get };
}

const failed = `not-recommended: ${RULE}`;
const TEXT = "m.room.message";

async function originalOf(room: Room, eventId: string): Promise<JsonObject> {
  return (await room.event(eventId))?.original ?? {};
}

async function timelineOf(room: Room): Promise<readonly string[]> {
  return (await room.timeline({ limit: 1_000 })).events.map(({ eventId }) => eventId);
}

describe("what `m.room.policy` says", () => {
  const keys = { ed25519: "6yhHGKhCiXTSEN2ksjV7kX_N6rBQZ3Xb-7LlC6NS5qk" };
  it.each([
    ["a server and its key", { via: VIA, public_keys: keys }, true],
    ["more keys than it must", { via: VIA, public_keys: { ...keys, other: "x" }, more: 1 }, true],
    ["nothing", {}, false],
    ["no server", { public_keys: keys }, false],
    ["a server that is no text", { via: 1, public_keys: keys }, false],
    ["no keys", { via: VIA }, false],
    ["keys that are none", { via: VIA, public_keys: ["ed25519"] }, false],
    ["another kind of key", { via: VIA, public_keys: { other: "x" } }, false],
    ["a key that is no text", { via: VIA, public_keys: { ed25519: null } }, false],
  ])("names a policy server or none: %s", (_, content, named) => {
    expect(namedPolicyServer(content as JsonObject) !== undefined).toBe(named);
  });

  it("may list a text that is no key", () => {
    for (const publicKey of ["", "not base64!", "c2hvcnQ"]) expect(keyOf({ server: VIA, publicKey })).toBeUndefined();
    expect(keyOf({ server: VIA, publicKey: keys.ed25519 })).toHaveLength(32);
  });

  it("is exempt under the empty state key alone", () => {
    expect(isExempt({ type: "m.room.policy", stateKey: "" })).toBe(true);
    expect(isExempt({ type: "m.room.policy", stateKey: "x" })).toBe(false);
    expect(isExempt({ type: "m.room.policy", stateKey: undefined })).toBe(false);
    expect(isExempt({ type: "m.room.topic", stateKey: "" })).toBe(false);
  });

  it.each([undefined, "text", {}, { [VIA]: "x" }, { [VIA]: { "ed25519:1": "AAAA" } }, { [VIA]: { [POLICY_KEY]: 1 } }])(
    "is no recommendation: %j",
    (signatures) => {
      const json: JsonObject = signatures === undefined ? {} : { signatures };
      expect(recommendationIn(json, VIA)).toBeUndefined();
    },
  );

  it("counts joined users of the server, and notices the last that leaves", () => {
    const story = beginning("10").member("gone", BOT, "leave", { prev: ["policy"] });
    const index = new RoomIndex(story.version.rules);
    for (const name of story.names) index.add(story.pdu(name));
    const joined = new JoinedServers();
    const [before, after] = [index.stateOf(story.after("policy")), index.stateOf(story.after("gone"))];
    expect(joined.witness(VIA)).toBeUndefined();
    expect(joined.has(index, before, VIA)).toBe(true);
    expect(joined.witness(VIA)).toBe(BOT);
    expect(joined.has(index, after, VIA)).toBe(false);
    expect(joined.has(index, after, VIA)).toBe(false);
    expect(joined.has(index, before, "b.example")).toBe(true);
    expect(joined.has(index, before, "nowhere.example")).toBe(false);
    expect(joined.has(index, before, VIA)).toBe(true);
  });
});

describe.each(VERSIONS)("a room without a policy server, of version %s", (v) => {
  const named = policyContent(VIA);
  const forms: readonly (readonly [string, () => Story])[] = [
    ["has no event that names one", () => beginning(v, {}).say("warm-up", ALICE)],
    ["names none", () => beginning(v, { via: VIA })],
    ["names it under another state key", () => namedUnder(v, "x")],
    ["names one that has nobody in the room", () => beginning(v, policyContent("absent.example"))],
    ["names one whose last user left", () => beginning(v, named).member("gone", BOT, "leave", { prev: ["me"] })],
    ["names one whose user was banned", () => withBan(v)],
  ];

  function namedUnder(version: string, stateKey: string): Story {
    const draft = { type: "m.room.policy", stateKey, sender: ALICE, content: named };
    return beginning(version, null).tell("policy", draft);
  }

  function withBan(version: string): Story {
    return beginning(version, null)
      .member("ban", BOT, "ban", { by: ALICE })
      .state("policy", "m.room.policy", ALICE, named);
  }

  it.each(forms)(`[cap:policy-server v:${v}] asks nobody: it %s`, async (_, make) => {
    const story = make();
    const { room, line, get } = await stage(v, story);
    // Its own user's leave is the last that it is asked about.
    const before = line.asked.length;
    story.say("hello", BOB);
    expect(await get("hello")).toEqual(["accepted"]);
    const sent = await room.emit([{ type: TEXT, sender: ME, content: { body: "x" } }]);
    expect(sent.ok).toBe(true);
    expect(line.asked).toHaveLength(before);
  });

  it(`[cap:policy-server v:${v}] is what it becomes by a redaction of the event that named one`, async () => {
    const { room, line, story, get } = await stage(v);
    story.tell("redaction", {
      type: "m.room.redaction",
      sender: ALICE,
      redacts: story.id("policy"),
      content: { redacts: story.id("policy") },
    });
    story.say("hello", BOB);
    expect(await get("redaction")).toEqual(["accepted"]);
    expect(line.asked).toHaveLength(1);
    expect(await get("hello")).toEqual(["accepted"]);
    expect(line.asked).toHaveLength(1);
    expect((await room.event(story.id("policy")))?.redactedBy).toBe(story.id("redaction"));
  });
});

describe.each(VERSIONS)("an event of another server in a room of version %s with a policy server", (v) => {
  it(`[cap:policy-server v:${v}] is accepted with its signature, and nobody is asked`, async () => {
    const { room, line, story } = await stage(v);
    story.say("hello", BOB);
    const json = recommendedBy(v, story.json("hello"), VIA);
    const receipts = await room.receive([json], { origin: PEER });
    expect(receipts.map(short)).toEqual(["accepted"]);
    expect(line.asked).toEqual([]);
    expect(await originalOf(room, story.id("hello"))).toEqual(json);
  });

  it(`[cap:policy-server v:${v}] has its signature asked for where it lacks one, and is kept with it`, async () => {
    const { server, room, line, story, get } = await stage(v);
    story.say("hello", BOB);
    expect(await get("hello")).toEqual(["accepted"]);
    expect(line.asked).toEqual([story.json("hello")]);
    const kept = await originalOf(room, story.id("hello"));
    expect(kept).toEqual(recommendedBy(v, story.json("hello"), VIA));
    const rows = await server.storage.readEvents(story.roomId, [story.id("hello")]);
    expect(rows.map(({ json }) => json)).toEqual([kept]);
    expect(room.control.forwardExtremities).toEqual([story.id("hello")]);
    // Known by now: it is not asked about again.
    expect(await get("hello")).toEqual(["accepted"]);
    expect(line.asked).toHaveLength(1);
  });

  it(`[cap:policy-server v:${v}] has a signature by another key replaced, and keeps its server's own`, async () => {
    const { room, line, story } = await stage(v);
    story.say("hello", BOT);
    const own = signatureIn(story.json("hello"), VIA, "ed25519:keyed_hash");
    expect(own).toBeDefined();
    const json = recommendedBy(v, story.json("hello"), VIA, "a key of last year");
    const receipts = await room.receive([json], { origin: PEER });
    expect(receipts.map(short)).toEqual(["accepted"]);
    expect(line.asked).toEqual([json]);
    const kept = await originalOf(room, story.id("hello"));
    expect(isRecommended(v, kept, VIA)).toBe(true);
    expect(signatureIn(kept, VIA, "ed25519:keyed_hash")).toBe(own);
  });

  it(`[cap:policy-server v:${v}] is soft-failed where the policy server refuses`, async () => {
    const { room, line, story, get } = await stage(v);
    line.answer = () => refusing("forbidden", "looks like spam");
    const before = [...room.current.ids()].sort();
    story.state("topic", "m.room.topic", ALICE, { topic: "buy" });
    expect(await get("topic")).toEqual([failed]);
    expect(await room.verdict(story.id("topic"))).toEqual({
      verdict: "not-recommended",
      eventId: story.id("topic"),
      refusal: {
        code: "not_recommended",
        rule: RULE,
        reason: `${VIA} (forbidden): looks like spam`,
        events: [story.id("topic")],
      },
    });
    expect(room.control.forwardExtremities).toEqual([story.id("policy")]);
    expect([...room.current.ids()].sort()).toEqual(before);
    expect(await timelineOf(room)).not.toContain(story.id("topic"));
    // Whoever follows it brings its state in, as after any soft failure.
    story.say("after", ALICE, { prev: ["topic"] });
    const signed = recommendedBy(v, story.json("after"), VIA);
    expect((await room.receive([signed], { origin: PEER })).map(short)).toEqual(["accepted"]);
    expect(room.control.forwardExtremities).toEqual([story.id("after")]);
    expect([...room.current.ids()].sort()).toEqual(story.after("after"));
    expect(room.control.topic).toBe("buy");
  });

  it.each<readonly [string, (event: JsonObject, line: Line) => unknown]>([
    ["nothing at all", () => ({})],
    ["signatures that are none", () => ({ signatures: "x" })],
    ["no signature", () => ({ signatures: {} })],
    ["a signature of somebody else", (event) => ({ signatures: signaturesOf(v, event, "other.example", VIA) })],
    ["a signature under another key id", () => ({ signatures: { [VIA]: { "ed25519:1": "AAAA" } } })],
    ["what is not base64", () => ({ signatures: { [VIA]: { [POLICY_KEY]: "!" } } })],
    ["bytes that are too few", () => ({ signatures: { [VIA]: { [POLICY_KEY]: "AAAA" } } })],
    ["a signature by another key", (event) => ({ signatures: signaturesOf(v, event, VIA, "another") })],
    ["a signature over another event", (event) => ({ signatures: signaturesOf(v, withKey(event, "depth", 0), VIA) })],
  ])(`[cap:policy-server v:${v}] is soft-failed where it answers %s`, async (_, answer) => {
    const { room, line, story, get } = await stage(v);
    line.answer = (event) => ({ ok: true, value: answer(event, line) }) as Answer;
    story.say("hello", BOB);
    expect(await get("hello")).toEqual([failed]);
    expect(await originalOf(room, story.id("hello"))).toEqual(story.json("hello"));
  });

  it(`[cap:policy-server v:${v}] is soft-failed where the key that the room lists is none`, async () => {
    const story = beginning(v, { via: VIA, public_keys: { ed25519: "none" } });
    const { room, line, get } = await stage(v, story);
    story.say("hello", BOB);
    expect(await get("hello")).toEqual([failed]);
    expect((await room.verdict(story.id("hello")))?.verdict).toBe("not-recommended");
    expect(line.asked).toEqual([]);
  });

  it(`[cap:policy-server v:${v}] needs none if it says who the policy server is, or that there is none`, async () => {
    const { room, line, story, get } = await stage(v);
    line.answer = () => refusing("unreachable");
    story.state("off", "m.room.policy", ALICE, {});
    story.say("hello", BOB);
    expect(await get("off", "hello")).toEqual(["accepted", "accepted"]);
    expect(line.asked).toEqual([]);
    expect(room.control.forwardExtremities).toEqual([story.id("hello")]);
  });

  it(`[cap:policy-server v:${v}] needs one if it is an m.room.policy of another kind`, async () => {
    const { line, story, get } = await stage(v);
    line.answer = () => refusing("forbidden");
    story.tell("keyed", { type: "m.room.policy", stateKey: "x", sender: ALICE, content: {} });
    story.tell("message", { type: "m.room.policy", sender: ALICE, content: {} }, { prev: ["policy"] });
    expect(await get("keyed", "message")).toEqual([failed, failed]);
    expect(line.asked).toHaveLength(2);
  });
});

describe("asking a policy server", () => {
  const v = "10";

  it("comes last: of what is refused otherwise it hears nothing", async () => {
    const told = beginning(v);
    const policy: Policy = {
      checkEvent: ({ event }) => (event.content["body"] === "blocked" ? { code: "blocked", reason: "no" } : undefined),
    };
    const { room, line, story, get } = await stage(v, told, { policy });
    story.state("rejected", "m.room.topic", BOB, {});
    story.say("blocked", BOB, { prev: ["policy"] });
    expect(await get("rejected", "blocked")).toEqual([
      "rejected-by-auth-events: v10 rule 7",
      "policy-refused: server-server-api Checks on receipt 7",
    ]);
    story.member("ban", BOB, "ban", { by: ALICE, prev: ["policy"] });
    story.say("late", BOB, { prev: ["policy"] });
    const ban = recommendedBy(v, story.json("ban"), VIA);
    const receipts = await room.receive([ban, story.json("late")], { origin: PEER });
    expect(receipts.map(({ verdict }) => verdict.verdict)).toEqual(["accepted", "soft-failed"]);
    expect(line.asked).toEqual([]);
  });

  it("is done for a few events at a time, once for each", async () => {
    const { line, story, get } = await stage(v, beginning(v), { limits: { policyRequests: 3 } });
    const names = Array.from({ length: 12 }, (_, at) => `m${at}`);
    for (const name of names) story.say(name, BOB);
    expect(await get(...names)).toEqual(names.map(() => "accepted"));
    expect(line.most).toBe(3);
    expect(line.asked.map((event) => event["depth"]).sort()).toEqual(
      story
        .jsons(...names)
        .map((event) => event["depth"])
        .sort(),
    );
  });

  it.each(["unreachable", "timeout", "limit_exceeded", "internal"] as const)(
    "ends with the first event about which it does not answer (%s)",
    async (code) => {
      const { room, line, story, get } = await stage(v, beginning(v), { limits: { policyRequests: 1 } });
      line.answer = () => refusing(code, "down");
      const names = ["m0", "m1", "m2", "m3"];
      for (const name of names) story.say(name, BOB);
      expect(await get(...names)).toEqual(names.map(() => failed));
      expect(line.asked).toHaveLength(1);
      expect(await room.verdict(story.id("m3"))).toMatchObject({ refusal: { code: "unreachable" } });
      // The next call asks anew.
      line.answer = (event) => line.signed(event);
      story.say("m4", BOB, { prev: ["policy"] });
      expect(await get("m4")).toEqual(["accepted"]);
    },
  );

  it("goes on with the others after a refusal", async () => {
    const { line, story, get } = await stage(v);
    line.answer = (event) => (event["type"] === "m.room.topic" ? refusing("forbidden") : line.signed(event));
    story.say("first", BOB).state("topic", "m.room.topic", ALICE, {}).say("last", BOB);
    expect(await get("first", "topic", "last")).toEqual(["accepted", failed, "accepted"]);
  });

  it("ends at a deadline, and holds up nobody meanwhile", async () => {
    const { server, room, line, story, get } = await stage(v, beginning(v), { limits: { policyTime: 5_000 } });
    line.answer = () => new Promise(() => undefined);
    story.say("slow", BOB);
    story.say("signed", ALICE, { prev: ["policy"] });
    const slow = get("slow");
    await tick();
    const signed = recommendedBy(v, story.json("signed"), VIA);
    expect((await room.receive([signed], { origin: PEER })).map(short)).toEqual(["accepted"]);
    server.clock.advance(4_999);
    await tick();
    expect(await room.verdict(story.id("slow"))).toBeUndefined();
    server.clock.advance(1);
    expect(await slow).toEqual([failed]);
    expect(await room.verdict(story.id("slow"))).toMatchObject({ refusal: { code: "unreachable" } });
  });

  it("is given up with the call, of which nothing is left then", async () => {
    const { server, room, line, story } = await stage(v);
    line.answer = () => new Promise(() => undefined);
    story.say("slow", BOB);
    const cancel = new Canceller();
    const slow = room.receive(story.jsons("slow"), { origin: PEER, cancel });
    const own = room.emit([{ type: TEXT, sender: ME, content: {} }], { cancel });
    await tick();
    cancel.cancel();
    await expect(slow).rejects.toThrow(CancelledError);
    await expect(own).rejects.toThrow(CancelledError);
    expect(await server.storage.readEvents(story.roomId, [story.id("slow")])).toEqual([]);
    line.answer = (event) => line.signed(event);
    expect((await room.receive(story.jsons("slow"), { origin: PEER })).map(short)).toEqual(["accepted"]);
  });

  it("is done for an event that waited, when what it waited for has come", async () => {
    const { room, line, story, get } = await stage(v);
    story.say("parent", BOB).say("child", BOB);
    expect(await get("child")).toEqual(["pending"]);
    expect(line.asked).toEqual([]);
    expect(await get("parent")).toEqual(["accepted"]);
    expect((await room.verdict(story.id("child")))?.verdict).toBe("accepted");
    expect(line.asked).toHaveLength(2);
    expect(isRecommended(v, await originalOf(room, story.id("child")), VIA)).toBe(true);
  });

  it("is done for what an outsider hands on, and what is refused then is kept like any soft failure", async () => {
    const { room, line, story } = await stage(v);
    line.answer = () => refusing("forbidden");
    story.say("hello", BOB);
    const receipts = await room.receive(story.jsons("hello"), { origin: PEER, outsider: true });
    expect(receipts.map(short)).toEqual([failed]);
    expect((await room.verdict(story.id("hello")))?.verdict).toBe("not-recommended");
  });

  it("is done again where the room has listed another key meanwhile", async () => {
    const { room, line, story, get } = await stage(v);
    story.state("other", "m.room.policy", ALICE, policyContent(VIA, "new key"));
    line.answer = async (event) => {
      if (line.asked.length > 1) return line.signed(event, "new key");
      await room.receive(story.jsons("other"), { origin: PEER });
      return refusing("forbidden", "the key that you know is no more");
    };
    story.say("hello", BOB, { prev: ["policy"] });
    expect(await get("hello")).toEqual(["accepted"]);
    expect(line.asked).toHaveLength(2);
  });

  it("is in vain for an event that has no room for another signature", async () => {
    const { room, line, story, get } = await stage(v);
    const filled = (length: number) => ({ type: TEXT, sender: BOB, content: { body: "x".repeat(length) } });
    // An `unsigned` that is absent counts as an empty one.
    const empty = encodeCanonical({ ...story.write(filled(0)).json, unsigned: {} }).length;
    story.tell("full", filled(65_536 - empty));
    expect(await get("full")).toEqual(["not-recommended: client-server-api Size limits"]);
    expect(line.asked).toHaveLength(1);
    expect(await originalOf(room, story.id("full"))).toEqual(story.json("full"));
    story.tell("fits", filled(65_536 - empty - 200), { prev: ["policy"] });
    expect(await get("fits")).toEqual(["accepted"]);
  });

  it("is not done for history", async () => {
    const { room, line, story } = await stage(v);
    story.say("old", BOB, { prev: ["me"] });
    await room.receive(story.jsons("old"), { origin: PEER, mode: "history" });
    expect((await room.verdict(story.id("old")))?.verdict).toBe("accepted");
    expect(line.asked).toEqual([]);
  });

  it("goes by the state that several branches make together", async () => {
    const { line, story, get } = await stage(v);
    story.say("left", ALICE, { prev: ["policy"] }).say("right", BOB, { prev: ["policy"] });
    story.say("third", ALICE, { prev: ["policy"] });
    expect(await get("left", "right", "third")).toEqual(["accepted", "accepted", "accepted"]);
    expect(line.asked).toHaveLength(3);
    // One branch is rid of the policy server, and so is the room.
    story.state("off", "m.room.policy", ALICE, {}, { prev: ["left"] });
    story.say("last", BOB, { prev: ["right"] });
    expect(await get("off", "last")).toEqual(["accepted", "accepted"]);
    expect(line.asked).toHaveLength(3);
  });

  it("is done where one of several branches alone names it", async () => {
    const told = beginning(v, null).say("left", ALICE, { prev: ["me"] });
    const { room, line, story, get } = await stage(v, told.say("right", BOB, { prev: ["me"] }));
    story.state("policy", "m.room.policy", ALICE, policyContent(VIA), { prev: ["left"] });
    expect(await get("policy")).toEqual(["accepted"]);
    expect(room.control.forwardExtremities).toHaveLength(2);
    story.say("last", BOB, { prev: ["right"] });
    expect(await get("last")).toEqual(["accepted"]);
    expect(line.asked).toEqual([story.json("last")]);
  });

  it("is done again when it says when, for as long as there is time", async () => {
    const { server, line, story, get } = await stage(v, beginning(v), { limits: { policyTime: 5_000 } });
    const busy: Answer = { ok: false, error: { code: "limit_exceeded", reason: "busy", retryAfterMs: 1_000 } };
    line.answer = (event) => (line.asked.length < 3 ? busy : line.signed(event));
    story.say("hello", BOB);
    const hello = get("hello");
    for (let second = 0; second < 2; second++) {
      await tick();
      server.clock.advance(1_000);
    }
    expect(await hello).toEqual(["accepted"]);
    expect(line.asked).toHaveLength(3);
    line.answer = () => ({ ok: false, error: { ...busy.error, retryAfterMs: 0 } });
    story.say("again", BOB);
    const again = get("again");
    for (let step = 0; step < 10; step++) {
      await tick();
      server.clock.advance(500);
    }
    expect(await again).toEqual([failed]);
    // No more often than every half second, whatever it says.
    expect(line.asked.length).toBeLessThanOrEqual(3 + 11);
  });

  it("goes by the state of the moment: a new policy server is asked about what the old one signed", async () => {
    const { line, story, get, room } = await stage(v);
    story.state("other", "m.room.policy", ALICE, policyContent(VIA, "new key"));
    expect(await get("other")).toEqual(["accepted"]);
    line.answer = (event) => line.signed(event, "new key");
    story.say("hello", BOB, { prev: ["policy"] });
    const old = recommendedBy(v, story.json("hello"), VIA);
    expect((await room.receive([old], { origin: PEER })).map(short)).toEqual(["accepted"]);
    expect(line.asked).toEqual([old]);
    expect(await originalOf(room, story.id("hello"))).toEqual(recommendedBy(v, story.json("hello"), VIA, "new key"));
  });
});

describe.each(VERSIONS)("an own event in a room of version %s with a policy server", (v) => {
  const hello = { type: TEXT, sender: ME, content: { msgtype: "m.text", body: "hello" } };

  it(`[cap:policy-server v:${v}] is signed before it is sent`, async () => {
    const { server, room, line } = await stage(v);
    const sent = await room.emit([hello]);
    if (!sent.ok) throw new Error(sent.error.reason);
    const [event] = sent.value;
    expect(isRecommended(v, event?.json ?? {}, VIA)).toBe(true);
    expect(signatureIn(event?.json ?? {}, HERE, "ed25519:keyed_hash")).toBeDefined();
    const id = event?.eventId ?? "";
    const rows = await server.storage.readEvents(room.roomId, [id]);
    expect(rows.map(({ json }) => json)).toEqual([event?.json]);
    expect(line.asked).toHaveLength(1);
    expect(isRecommended(v, line.asked[0] ?? {}, VIA)).toBe(false);
    expect(room.control.forwardExtremities).toEqual([id]);
  });

  it.each([
    ["forbidden", "not_recommended"],
    ["not_found", "not_recommended"],
    ["unreachable", "unreachable"],
    ["timeout", "unreachable"],
    ["limit_exceeded", "unreachable"],
  ] as const)(`[cap:policy-server v:${v}] is refused and not kept where the answer is %s`, async (code, typed) => {
    const { room, line } = await stage(v);
    line.answer = () => refusing(code, "no, sorry");
    const before = room.control;
    const sent = await room.emit([hello]);
    expect(sent).toMatchObject({
      ok: false,
      error: { code: typed, rule: RULE, reason: `${VIA} (${code}): no, sorry` },
    });
    expect(room.control).toBe(before);
  });

  it(`[cap:policy-server v:${v}] goes unsigned if it is the way out`, async () => {
    const { room, line, story } = await stage(v);
    line.answer = () => refusing("unreachable");
    story.state("levels2", "m.room.power_levels", ALICE, {
      users: { ...(v === "12" ? {} : { [ALICE]: 100 }), [ME]: 50 },
    });
    const levels = recommendedBy(v, story.json("levels2"), VIA);
    expect((await room.receive([levels], { origin: PEER })).map(short)).toEqual(["accepted"]);
    const off = await room.emit([{ type: "m.room.policy", stateKey: "", sender: ME, content: {} }]);
    expect(off.ok).toBe(true);
    expect((await room.emit([hello])).ok).toBe(true);
    expect(line.asked).toEqual([]);
  });
});

describe("own events in a room with a policy server", () => {
  const v = "12";
  const say = (body: string) => ({ type: TEXT, sender: ME, content: { msgtype: "m.text", body } });

  it("of one call are all signed and sent, or none", async () => {
    const { room, line } = await stage(v);
    const sent = await room.emit([say("1"), say("2"), say("3")]);
    if (!sent.ok) throw new Error(sent.error.reason);
    expect(sent.value.map(({ json }) => isRecommended(v, json, VIA))).toEqual([true, true, true]);
    expect(sent.value[2]?.prevEvents).toEqual([sent.value[1]?.eventId]);
    const before = room.control;
    line.answer = (event) => {
      const content = event["content"];
      return isObject(content) && content["body"] === "5" ? refusing("forbidden") : line.signed(event);
    };
    expect((await room.emit([say("4"), say("5"), say("6")])).ok).toBe(false);
    expect(room.control).toBe(before);
  });

  it("that are sent at once stand in a line", async () => {
    const { room } = await stage(v);
    const sent = await Promise.all(Array.from({ length: 8 }, (_, at) => room.emit([say(String(at))])));
    expect(sent.every(({ ok }) => ok)).toBe(true);
    expect(room.control.forwardExtremities).toHaveLength(1);
    const ids = new Set(sent.flatMap((one) => (one.ok ? one.value.map(({ eventId }) => eventId) : [])));
    expect((await timelineOf(room)).filter((id) => ids.has(id as never))).toHaveLength(8);
  });

  it("that wait for a silent policy server wait once, and those that need it not do not wait", async () => {
    const { server, room, line, story } = await stage(v, beginning(v), { limits: { policyTime: 5_000 } });
    story.state("levels2", "m.room.power_levels", ALICE, { users: { [ME]: 50 } });
    await room.receive([recommendedBy(v, story.json("levels2"), VIA)], { origin: PEER });
    line.answer = () => new Promise(() => undefined);
    const waiting = Promise.all(["1", "2", "3"].map((body) => room.emit([say(body)])));
    await tick();
    server.clock.advance(5_000);
    const sent = await waiting;
    expect(sent.map((one) => (one.ok ? "ok" : one.error.code))).toEqual(["unreachable", "unreachable", "unreachable"]);
    expect(line.asked).toHaveLength(1);
    const slow = room.emit([say("4")]);
    await tick();
    expect(line.asked).toHaveLength(2);
    expect((await room.emit([{ type: "m.room.policy", stateKey: "", sender: ME, content: {} }])).ok).toBe(true);
    server.clock.advance(5_000);
    // It was asked about in vain; but the room has no policy server any more.
    expect((await slow).ok).toBe(true);
  });

  it("are sent although something came while the policy server was asked", async () => {
    const { room, line, story } = await stage(v);
    story.say("meanwhile", BOB);
    const other = recommendedBy(v, story.json("meanwhile"), VIA);
    line.answer = async (event) => {
      expect((await room.receive([other], { origin: PEER })).map(short)).toEqual(["accepted"]);
      return line.signed(event);
    };
    const sent = await room.emit([say("1")]);
    if (!sent.ok) throw new Error(sent.error.reason);
    expect(line.asked).toHaveLength(1);
    expect([...room.control.forwardExtremities].sort()).toEqual(
      [story.id("meanwhile"), sent.value[0]?.eventId ?? ""].sort(),
    );
  });

  it("are not tried with every local user where many ends would be tied together", async () => {
    const { room, line, story } = await stage(
      v,
      beginning(v).member("me2", `@other:${HERE}`, "join", { prev: ["me"] }),
      {
        limits: { mergeAbove: 2 },
      },
    );
    line.answer = () => refusing("unreachable");
    line.asked.length = 0;
    for (const name of ["a", "b", "c"]) story.say(name, BOB, { prev: ["policy"] });
    const jsons = story.jsons("a", "b", "c").map((json) => recommendedBy(v, json, VIA));
    await room.receive(jsons, { origin: PEER });
    expect(room.control.forwardExtremities.length).toBeGreaterThan(2);
    expect(line.asked).toHaveLength(1);
  });

  it("are recommended by this server's own hook where it is the policy server itself", async () => {
    const line = new Line(v);
    const base = testServer({ transport: line });
    const asked: string[] = [];
    const server = testServer({
      transport: line,
      keys: { ...base.keys, signPolicy: (message: Uint8Array) => sign(message, policySeedOf(HERE)) },
      policy: {
        checkRecommendation: ({ event, origin }) => {
          asked.push(`${event.type} ${origin}`);
          return event.content["body"] === "spam" ? { code: "spam", reason: "no spam" } : undefined;
        },
      },
    });
    const initialState = [{ type: "m.room.policy", content: policyContent(HERE) }];
    const made = await server.rooms.create({ version: v, creator: ME, name: "mine", initialState });
    if (!made.ok) throw new Error(made.error.reason);
    const room = made.value;
    // All that came after the event that named it: the name of the room.
    expect(asked).toEqual([`m.room.name ${HERE}`]);
    expect(isRecommended(v, await originalOf(room, room.state("m.room.name")?.eventId ?? ""), HERE)).toBe(true);
    expect((await room.emit([say("hello")])).ok).toBe(true);
    expect(await room.emit([say("spam")])).toMatchObject({
      ok: false,
      error: { code: "not_recommended", reason: `${HERE} (forbidden): spam: no spam` },
    });
    expect(line.asked).toEqual([]);
  });

  it("wait for this server's own hook no longer than for another server", async () => {
    const base = testServer();
    const server = testServer({
      keys: { ...base.keys, signPolicy: (message: Uint8Array) => sign(message, policySeedOf(HERE)) },
      policy: { checkRecommendation: () => new Promise(() => undefined) },
      limits: { policyTime: 5_000 },
    });
    const initialState = [{ type: "m.room.policy", content: policyContent(HERE) }];
    const made = await server.rooms.create({ version: v, creator: ME, initialState });
    if (!made.ok) throw new Error(made.error.reason);
    const sent = made.value.emit([say("hello")]);
    await tick();
    server.clock.advance(5_000);
    expect(await sent).toMatchObject({ ok: false, error: { code: "unreachable" } });
  });

  it("are refused where this server is named and is no policy server", async () => {
    const server = testServer();
    const initialState = [{ type: "m.room.policy", content: policyContent(HERE) }];
    const made = await server.rooms.create({ version: v, creator: ME, initialState });
    if (!made.ok) throw new Error(made.error.reason);
    expect(await made.value.emit([say("hello")])).toMatchObject({ ok: false, error: { code: "not_recommended" } });
  });
});
