/**
 * What servers ask each other for: single events, states, auth chains, stretches of history; to whom it is
 * given, how much of it, in which form. And that nothing that is asked, of any operation, does any harm.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { get } from "../../src/json/value.js";
import type { OperationName, OperationRequest } from "../../src/ports/index.js";
import { withKey } from "../support/engine.js";
import { codeOf, cosignedBy, done, pduOf, signedBy, tick, userOf, World, worldOf } from "../support/servers.js";

const VERSIONS = ["1", "6", "10", "11", "12", "I.1"] as const;
const [alice, bob, carol] = [userOf("a"), userOf("b"), userOf("c")];

/** What a retrieval answered, as ids; the order is the answer's. */
async function idsOf<N extends OperationName>(
  world: World,
  version: string,
  name: N,
  request: OperationRequest<N>,
  key: string = "events",
  from: string = "b",
): Promise<readonly string[]> {
  const answer = await world.ask(from, "a", name, request);
  if (!answer.ok) throw new Error(`${answer.error.code}: ${answer.error.reason}`);
  const list = (answer.value as unknown as Readonly<Record<string, readonly JsonValue[]>>)[key] ?? [];
  return list.map((event) => (typeof event === "string" ? event : pduOf(version, event).eventId));
}

/** A room of two servers with five messages after it was set up, the newest last. */
async function talk(version: string): Promise<{ world: World; roomId: string; messages: readonly string[] }> {
  const world = await worldOf("a", "b", "c");
  const roomId = await world.shared(version, "a", "b");
  const messages: string[] = [];
  for (const text of ["one", "two", "three", "four", "five"]) {
    messages.push((await done(world.say("a", roomId, text))).eventId);
  }
  await world.deliver();
  return { world, roomId, messages };
}

describe.each(VERSIONS)("retrieving from a room of version %s", (version) => {
  let world: World;
  let roomId: string;
  let messages: readonly string[];
  beforeAll(async () => {
    ({ world, roomId, messages } = await talk(version));
  });
  const at = (index: number): string => messages.at(index) ?? "";

  it(`an event is served by its id, signed as it was [cap:single-event v:${version}]`, async () => {
    const answer = await world.ask("b", "a", "event", { roomId, eventId: at(0) });
    if (!answer.ok) throw new Error(answer.error.reason);
    const pdu = pduOf(version, answer.value.event);
    expect(pdu.eventId).toBe(at(0));
    expect(Object.keys((pdu.json["signatures"] ?? {}) as JsonObject)).toEqual(["a.example"]);
    expect(await codeOf(world.ask("b", "a", "event", { roomId, eventId: "$unknown" }))).toBe("not_found");
  });

  it(`the state before an event leaves out what the event itself changes [cap:state-at v:${version}]`, async () => {
    const content = { name: "renamed" };
    const renamed = await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.name", content }));
    await world.deliver();
    const room = await world.room("a", roomId);
    const before = await room.stateAt(renamed.eventId);
    const expected = [...(before?.before.ids() ?? [])].sort();
    const request = { roomId, eventId: renamed.eventId };
    const ids = await idsOf(world, version, "state_ids", request, "stateIds");
    expect([...ids].sort()).toEqual(expected);
    expect(ids).not.toContain(renamed.eventId);
    expect([...(await idsOf(world, version, "state", request, "state"))].sort()).toEqual(expected);
    const chain = await idsOf(world, version, "state_ids", request, "authChainIds");
    expect([...(await idsOf(world, version, "state", request, "authChain"))].sort()).toEqual([...chain].sort());
    await done(world.say("a", roomId, "after"));
    const [end = ""] = room.control.forwardExtremities;
    expect(await idsOf(world, version, "state_ids", { roomId, eventId: end }, "stateIds")).toContain(renamed.eventId);
  });

  it(`an auth chain is closed: whatever its events cite is in it [cap:single-event v:${version}]`, async () => {
    const chain = await world.ask("b", "a", "event_auth", { roomId, eventId: at(0) });
    if (!chain.ok) throw new Error(chain.error.reason);
    const pdus = chain.value.authChain.map((event) => pduOf(version, event));
    const ids = new Set<string>(pdus.map(({ eventId }) => eventId));
    const message = await (await world.room("a", roomId)).event(at(0));
    const cited = [pduOf(version, message?.original ?? {}), ...pdus].flatMap(({ authEvents }) => authEvents);
    expect(ids.size).toBe(pdus.length);
    expect(ids.has(at(0))).toBe(false);
    expect(cited.length).toBeGreaterThan(0);
    for (const id of cited) expect(ids.has(id)).toBe(true);
    expect(await codeOf(world.ask("b", "a", "event_auth", { roomId, eventId: "$unknown" }))).toBe("not_found");
  });

  it(`backfill begins with the events that are named, and they count [cap:backfill v:${version}]`, async () => {
    const back = (from: readonly string[], limit: number): Promise<readonly string[]> =>
      idsOf(world, version, "backfill", { roomId, from, limit });
    expect(await back([at(3)], 1)).toEqual([at(3)]);
    expect(await back([at(3)], 3)).toEqual([at(3), at(2), at(1)]);
    expect(await back([at(3), at(3)], 2)).toEqual([at(3), at(2)]);
    expect(await back([at(3)], 0)).toEqual([]);
    expect(await back(["$unknown"], 5)).toEqual([]);
    // What is not here takes nobody's place.
    expect(await back(["$unknown", at(3)], 2)).toEqual([at(3), at(2)]);
    const whole = await back([at(4)], 1_000);
    const room = await world.room("a", roomId);
    const create = room.state("m.room.create")?.eventId;
    expect(whole.at(-1)).toBe(create);
    expect(new Set(whole).size).toBe(whole.length);
  });

  it(`missing events lie between what is had and what is wanted [cap:missing-events v:${version}]`, async () => {
    const missing = (request: Partial<OperationRequest<"get_missing_events">>): Promise<readonly string[]> =>
      idsOf(world, version, "get_missing_events", {
        roomId,
        earliest: [],
        latest: [at(4)],
        limit: 10,
        minDepth: 0,
        ...request,
      });
    expect(await missing({ earliest: [at(0)] })).toEqual([at(1), at(2), at(3)]);
    expect(await missing({ earliest: [at(0)], limit: 2 }), "the nearest to the latest").toEqual([at(2), at(3)]);
    expect(await missing({ earliest: [at(3)] })).toEqual([]);
    const depth = pduOf(version, (await (await world.room("a", roomId)).event(at(2)))?.original ?? {}).depth;
    expect(await missing({ minDepth: depth })).toEqual([at(2), at(3)]);
    expect(await missing({ latest: ["$unknown"] })).toEqual([]);
    expect(await missing({ limit: 0 })).toEqual([]);
  });

  it("is for servers in the room alone", async () => {
    const asked = [
      ["event", { roomId, eventId: at(0) }],
      ["state", { roomId, eventId: at(0) }],
      ["state_ids", { roomId, eventId: at(0) }],
      ["event_auth", { roomId, eventId: at(0) }],
      ["backfill", { roomId, from: [at(0)], limit: 5 }],
      ["get_missing_events", { roomId, earliest: [], latest: [at(4)], limit: 5, minDepth: 0 }],
    ] as const;
    for (const [name, request] of asked) {
      const other = { ...request, roomId: "!other:a.example" };
      expect(await codeOf<unknown>(world.ask("c", "a", name, request as never)), name).toBe("forbidden");
      expect(await codeOf<unknown>(world.ask("b", "a", name, other as never)), name).toBe("not_found");
      expect(await codeOf<unknown>(world.ask("b", "a", name, request as never)), name).toBe("ok");
    }
    const second = userOf("b", "second");
    await done(world.server("b").join({ roomId, userId: second }));
    await done(world.server("b").leave({ roomId, userId: bob }));
    await world.deliver();
    expect(await codeOf(world.ask("b", "a", "event", { roomId, eventId: at(0) })), "one is left").toBe("ok");
    await done(world.server("b").leave({ roomId, userId: second }));
    await world.deliver();
    const { eventId: later } = await done(world.say("a", roomId, "later"));
    expect(await codeOf(world.ask("b", "a", "event", { roomId, eventId: at(0) })), "it was there then").toBe("ok");
    expect(await codeOf(world.ask("b", "a", "event", { roomId, eventId: later }))).toBe("forbidden");
    expect(await codeOf(world.ask("b", "a", "state_ids", { roomId, eventId: at(0) }))).toBe("forbidden");
  });

  it("a redacted message goes out redacted, under the same id", async () => {
    const { world: other, roomId: room, messages: said } = await talk(version);
    const [target = ""] = said;
    await done(other.server("a").redact({ roomId: room, userId: alice, eventId: target }));
    await other.deliver();
    const answer = await other.ask("b", "a", "event", { roomId: room, eventId: target });
    if (!answer.ok) throw new Error(answer.error.reason);
    const pdu = pduOf(version, answer.value.event);
    expect(pdu.eventId).toBe(target);
    expect(pdu.content).toEqual({});
    for (const name of ["backfill", "get_missing_events"] as const) {
      const range =
        name === "backfill"
          ? { roomId: room, from: [said.at(-1) ?? ""], limit: 50 }
          : { roomId: room, earliest: [], latest: [said.at(-1) ?? ""], limit: 50, minDepth: 0 };
      const list = await other.ask<OperationName>("b", "a", name, range);
      if (!list.ok || !("events" in list.value)) throw new Error("no events");
      const found = list.value.events.map((event) => pduOf(version, event)).find(({ eventId }) => eventId === target);
      expect(found?.content, name).toEqual({});
    }
  });
});

describe("history with branches", () => {
  /** Two messages on each side of a cut, and one after both; `from` gives ids by text. */
  async function forked(): Promise<{ world: World; roomId: string; from: (names: readonly string[]) => string[] }> {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    world.cut("a", "b");
    for (const text of ["left1", "left2"]) await done(world.say("a", roomId, text));
    for (const text of ["right1", "right2"]) await done(world.say("b", roomId, text));
    world.heal("a", "b");
    await world.deliver();
    await done(world.say("a", roomId, "joined"));
    await world.deliver();
    const room = await world.room("a", roomId);
    const { events } = await room.timeline({ limit: 100 });
    const names = new Map<string, string>();
    for (const { eventId, original } of events) {
      const body = get(original["content"] as JsonObject, "body");
      if (typeof body === "string") names.set(body, eventId);
    }
    return { world, roomId, from: (wanted) => wanted.map((name) => names.get(name) ?? "") };
  }

  it("is walked breadth first, one generation after the other", async () => {
    const { world, roomId, from } = await forked();
    const latest = from(["joined"]);
    const ask = (limit: number): Promise<readonly string[]> =>
      idsOf(world, "10", "get_missing_events", { roomId, earliest: [], latest, limit, minDepth: 0 });
    expect([...(await ask(2))].sort(), "both ends of the fork come first").toEqual(
      [...from(["left2", "right2"])].sort(),
    );
    expect([...(await ask(4))].sort()).toEqual([...from(["left1", "left2", "right1", "right2"])].sort());
    const back = await idsOf(world, "10", "backfill", { roomId, from: latest, limit: 5 });
    expect(back[0]).toBe(latest[0]);
    expect([...back.slice(1, 3)].sort()).toEqual([...from(["left2", "right2"])].sort());
    const half = { roomId, earliest: from(["left1"]), latest, limit: 10, minDepth: 0 };
    const ids = await idsOf(world, "10", "get_missing_events", half);
    for (const id of from(["left1"])) expect(ids).not.toContain(id);
    for (const id of from(["left2", "right1", "right2"])) expect(ids).toContain(id);
  });
});

describe("what is not part of the room", () => {
  /** An event of a user of `b`, by hand. */
  async function byHand(
    world: World,
    roomId: string,
    change: JsonObject,
    prev?: readonly string[],
  ): Promise<JsonObject> {
    const room = await world.room("b", roomId);
    const draft = { type: "m.room.message", sender: bob, content: { body: "by hand" } };
    const made = await done(room.template(draft));
    return signedBy("10", "b", { ...made, ...change, ...(prev === undefined ? {} : { prev_events: prev }) });
  }

  it("a soft-failed event is served by id, and in history only where something cites it", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared("10", "a", "b", "c");
    const late = await byHand(world, roomId, { origin_server_ts: 5 });
    await done(world.server("a").ban({ roomId, userId: alice, target: bob }));
    await world.deliver();
    const { eventId } = pduOf("10", late);
    const sent = await world.ask("b", "a", "send", { transactionId: "late", pdus: [late] });
    expect(sent).toEqual({ ok: true, value: { pdus: { [eventId]: {} } } });
    const room = await world.room("a", roomId);
    expect((await room.verdict(eventId))?.verdict).toBe("soft-failed");
    expect(await codeOf(world.ask("c", "a", "event", { roomId, eventId }))).toBe("ok");
    const [end = ""] = room.control.forwardExtremities;
    const back = await idsOf(world, "10", "backfill", { roomId, from: [end], limit: 100 }, "events", "c");
    expect(back).not.toContain(eventId);
    const child = await (async () => {
      const made = await done(
        (await world.room("c", roomId)).template({ type: "m.room.message", sender: carol, content: { body: "child" } }),
      );
      return signedBy("10", "c", { ...made, prev_events: [end, eventId] });
    })();
    await world.ask("c", "a", "send", { transactionId: "child", pdus: [child] });
    const childId = pduOf("10", child).eventId;
    const cited = await idsOf(world, "10", "backfill", { roomId, from: [childId], limit: 100 }, "events", "c");
    expect(cited).toContain(eventId);
  });

  it("a rejected event is served by id, and the sender is told why it was rejected", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    const bad = await byHand(world, roomId, {
      type: "m.room.name",
      state_key: "",
      content: { name: "bob may not" },
    });
    const { eventId } = pduOf("10", bad);
    const sent = await world.ask("b", "a", "send", { transactionId: "bad", pdus: [bad] });
    if (!sent.ok) throw new Error(sent.error.reason);
    expect(sent.value.pdus[eventId]?.error).toEqual(expect.any(String));
    const room = await world.room("a", roomId);
    expect((await room.verdict(eventId))?.verdict).toBe("rejected-by-auth-events");
    expect(await codeOf(world.ask("b", "a", "event", { roomId, eventId }))).toBe("ok");
    expect(room.control.name).toBe("shared");
  });

  it("an event that was refused with its signature, or that waits, is not served", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared("10", "a", "b");
    const unsigned = { ...(await byHand(world, roomId, {})), origin_server_ts: 99 };
    const waiting = await byHand(world, roomId, {}, ["$nobody_has_this_event_that_is_cited_here_0000"]);
    for (const event of [unsigned, waiting]) {
      const { eventId } = pduOf("10", event);
      const sent = await world.ask("b", "a", "send", { transactionId: eventId, pdus: [event] });
      expect(sent.ok && sent.value.pdus[eventId]?.error).toEqual(expect.any(String));
      expect(await codeOf(world.ask("b", "a", "event", { roomId, eventId }))).toBe("not_found");
    }
  });
});

// ---- by time ----------------------------------------------------------------------------------------------

describe("the event nearest to a time [cap:timestamp-to-event]", () => {
  type Dir = "f" | "b";
  const START = 1_700_000_000_000;

  /** A room of `a` and `b` with a message each second, and one that claims another time. */
  async function hours(
    setting: string = "shared",
    limits: { readonly answerEvents?: number } = {},
  ): Promise<{ world: World; roomId: string; ids: readonly string[]; at: readonly number[] }> {
    const world = new World();
    await world.add("a", { limits });
    await world.add("b");
    await world.add("c");
    const initialState = [{ type: "m.room.history_visibility", content: { history_visibility: setting } }];
    const room = await done(
      world.server("a").create({ version: "10", creator: alice, preset: "public", initialState }),
    );
    const [ids, at]: [string[], number[]] = [[], []];
    const say = async (text: string): Promise<void> => {
      world.clock.advance(1_000);
      const { eventId, originServerTs } = await done(world.say("a", room.roomId, text));
      ids.push(eventId);
      at.push(originServerTs);
    };
    for (const text of ["0", "1", "2"]) await say(text);
    world.clock.advance(500);
    await done(world.server("b").join({ roomId: room.roomId, userId: bob, via: ["a.example"] }));
    for (const text of ["3", "4", "5"]) await say(text);
    await world.deliver();
    return { world, roomId: room.roomId, ids, at };
  }

  const ask = async (
    { world, roomId }: { readonly world: World; readonly roomId: string },
    ts: unknown,
    dir: unknown,
    from: string = "b",
  ): Promise<string> => {
    const answer = await world.ask(from, "a", "timestamp_to_event", { roomId, ts: ts as number, dir: dir as Dir });
    if (!answer.ok) return answer.error.code;
    const view = await (await world.room("a", roomId)).event(answer.value.eventId);
    expect(view?.original["origin_server_ts"]).toBe(answer.value.originServerTs);
    return answer.value.eventId;
  };

  it("is the first from then on or the last up to then, that moment included", async () => {
    const tale = await hours();
    const { ids, at } = tale;
    for (const index of [3, 4]) {
      expect(await ask(tale, at[index], "f")).toBe(ids[index]);
      expect(await ask(tale, at[index], "b")).toBe(ids[index]);
      expect(await ask(tale, (at[index] ?? 0) + 1, "f")).toBe(ids[index + 1]);
      expect(await ask(tale, (at[index] ?? 0) + 999, "b")).toBe(ids[index]);
    }
    expect(await ask(tale, (at[5] ?? 0) + 1, "f")).toBe("not_found");
    expect(await ask(tale, (at[5] ?? 0) + 1_000_000, "b")).toBe(ids[5]);
    expect(await ask(tale, START - 1, "b")).toBe("not_found");
    const create = (await tale.world.room("a", tale.roomId)).state("m.room.create")?.eventId;
    expect(await ask(tale, 0, "f")).toBe(create);
    expect(await ask(tale, -5, "f")).toBe(create);
    expect(await ask(tale, -5, "b")).toBe("not_found");
  });

  it("is found by its time, wherever in the timeline it is", async () => {
    const tale = await hours();
    const { world, roomId, ids, at } = tale;
    const room = await world.room("b", roomId);
    const draft = { type: "m.room.message", sender: bob, content: { body: "late" } };
    const made = await done(room.template(draft));
    const late = signedBy("10", "b", { ...made, origin_server_ts: (at[1] ?? 0) + 300 });
    await world.ask("b", "a", "send", { transactionId: "late", pdus: [late] });
    const { eventId } = pduOf("10", late);
    expect(await ask(tale, (at[1] ?? 0) + 1, "f")).toBe(eventId);
    expect(await ask(tale, (at[2] ?? 0) - 1, "b")).toBe(eventId);
    expect(await ask(tale, (at[1] ?? 0) + 301, "f")).toBe(ids[2]);
    expect(await ask(tale, (at[1] ?? 0) + 299, "b")).toBe(ids[1]);
  });

  it("is found in a timeline longer than is looked at, and costs no more", async () => {
    const { world, roomId } = await hours("shared", { answerEvents: 1 });
    const said: [id: string, ts: number][] = [];
    for (let index = 0; index < 60; index++) {
      world.clock.advance(1_000);
      const { eventId, originServerTs } = await done(world.say("a", roomId, `${index}`));
      said.push([eventId, originServerTs]);
    }
    await world.deliver();
    for (const [id, ts] of said) {
      expect(await ask({ world, roomId }, ts, "f")).toBe(id);
      expect(await ask({ world, roomId }, ts, "b")).toBe(id);
      expect(await ask({ world, roomId }, ts + 500, "b")).toBe(id);
      expect(await ask({ world, roomId }, ts - 500, "f")).toBe(id);
    }
  });

  it("[cap:visibility-server v:10] is none that the server may not see", async () => {
    const tale = await hours("joined");
    const { ids, at, roomId, world } = tale;
    expect(await ask(tale, at[0], "f"), "the join comes first").toBe(
      (await world.room("a", roomId)).state("m.room.member", bob)?.eventId,
    );
    expect(await ask(tale, at[2], "b"), "what was sent before it was said to be hidden").toBe(
      (await world.room("a", roomId)).state("m.room.history_visibility")?.eventId,
    );
    expect(await ask(tale, at[3], "b")).toBe(ids[3]);
    const shared = await hours("shared");
    expect(await ask(shared, shared.at[2], "b")).toBe(shared.ids[2]);
  });

  it("is asked for by servers in the room, with a time and a direction", async () => {
    const tale = await hours();
    const { at } = tale;
    expect(await ask(tale, at[0], "f", "c")).toBe("forbidden");
    for (const dir of ["", "forwards", "F", null, 1, undefined, ["f"]]) {
      expect(await ask(tale, at[0], dir), JSON.stringify(dir)).toBe("bad_request");
    }
    for (const ts of ["1", null, 0.5, NaN, Infinity, 2 ** 60, undefined, 1n]) {
      expect(await ask(tale, ts, "f"), String(ts)).toBe("bad_request");
    }
    expect(await ask({ ...tale, roomId: "!other:a.example" }, at[0], "f")).toBe("not_found");
  });

  it("is looked for by users as well: here, and at other servers where history is missing", async () => {
    const { world, roomId, ids, at } = await hours();
    const find = async (server: string, userId: string, ts: number, dir: Dir): Promise<string | undefined> =>
      (await done(world.server(server).timestampToEvent({ roomId, userId, ts, dir })))?.eventId;
    const there = await world.room("b", roomId);
    expect(await there.event(ids[1] ?? "")).toBeUndefined();
    expect(await find("b", bob, (at[1] ?? 0) - 1, "f"), "taken in from the other server").toBe(ids[1]);
    expect((await there.verdict(ids[1] ?? ""))?.verdict).toBe("accepted");
    expect(await find("b", bob, at[4] ?? 0, "f")).toBe(ids[4]);
    expect(await find("b", bob, (at[5] ?? 0) + 1, "f")).toBeUndefined();
    const asked = world.callsOf("timestamp_to_event").length;
    expect(await find("a", alice, at[1] ?? 0, "b"), "nothing is missing here").toBe(ids[1]);
    expect(world.callsOf("timestamp_to_event").length).toBe(asked);
    expect(await find("a", carol, at[1] ?? 0, "b"), "a stranger sees none").toBeUndefined();
    // Nobody answers: what is here has to do.
    world.cut("a", "b");
    expect(await find("b", bob, (at[2] ?? 0) + 1, "b")).toBe(ids[1]);
    expect(await codeOf(world.server("c").timestampToEvent({ roomId, userId: carol, ts: 1, dir: "f" }))).toBe(
      "unknown_room",
    );
  });

  it("is believed of no server that tells of another, or of one on the wrong side", async () => {
    const { world, roomId, ids, at } = await hours();
    const find = async (ts: number, dir: Dir): Promise<string | undefined> =>
      (await done(world.server("b").timestampToEvent({ roomId, userId: bob, ts, dir })))?.eventId;
    for (const eventId of ["$unknown", 5, null, ids[0]]) {
      world.intercept((call, proceed) =>
        call.name === "timestamp_to_event"
          ? Promise.resolve({ ok: true, value: { eventId, originServerTs: at[2] } } as never)
          : proceed(),
      );
      expect(await find(at[2] ?? 0, "f"), String(eventId)).not.toBe(eventId);
    }
    expect(world.faults()).toEqual([]);
  });
});

// ---- whatever is asked ------------------------------------------------------------------------------------

const OPERATIONS: readonly OperationName[] = [
  "invite",
  "make_join",
  "send_join",
  "make_knock",
  "send_knock",
  "make_leave",
  "send_leave",
  "event",
  "state",
  "state_ids",
  "event_auth",
  "backfill",
  "get_missing_events",
  "timestamp_to_event",
  "send",
];

const KEYS = [
  "roomId",
  "roomVersion",
  "event",
  "inviteRoomState",
  "userId",
  "versions",
  "eventId",
  "from",
  "limit",
  "earliest",
  "latest",
  "minDepth",
  "ts",
  "dir",
  "transactionId",
  "pdus",
];

describe("a malformed request", () => {
  let world: World;
  let roomId: string;
  let template: JsonObject;
  let message: JsonObject;
  let messageId: string;
  beforeAll(async () => {
    world = await worldOf("a", "b", "c");
    roomId = await world.shared("10", "a", "b");
    const said = await done(world.say("a", roomId, "hello"));
    message = said.json;
    messageId = said.eventId;
    await world.deliver();
    const room = await world.room("a", roomId);
    const member = { type: "m.room.member", stateKey: carol, sender: carol, content: { membership: "join" } };
    template = await done(room.template(member));
  });

  /** Everything that the server keeps. */
  async function kept(): Promise<unknown> {
    const { storage } = world.node("a");
    const rooms = await storage.roomIds();
    return {
      records: await Promise.all(rooms.map(async (id) => (await storage.openRoom(id))?.record)),
      outside: await storage.readOutside(),
      intents: await storage.readIntents(),
      queues: await storage.outboxDestinations(),
    };
  }

  /** Values of every kind: JSON, what no JSON can hold, and events that are nearly right. */
  const junk = (): fc.Arbitrary<unknown> =>
    fc.oneof(
      { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
      {
        weight: 1,
        arbitrary: fc.constantFrom<unknown>(undefined, NaN, -0, Infinity, 1n, 2 ** 60, "\ud800", "__proto__"),
      },
      { weight: 2, arbitrary: fc.constantFrom("10", "12", "I.1", "org.unknown", "constructor", "") },
      { weight: 3, arbitrary: fc.constant(null).map(() => roomId) },
      { weight: 2, arbitrary: fc.constantFrom<unknown>(bob, carol, alice, [carol], ["10", "12"], [1, "$x", null]) },
      { weight: 3, arbitrary: event() },
      { weight: 1, arbitrary: fc.array(event(), { maxLength: 3 }) },
    );

  /** A join or a message with one key replaced; signed by the right server or not. */
  const event = (): fc.Arbitrary<unknown> =>
    fc
      .record({
        whole: fc.boolean(),
        key: fc.constantFrom(
          "type",
          "room_id",
          "sender",
          "state_key",
          "content",
          "depth",
          "prev_events",
          "auth_events",
          "origin_server_ts",
          "hashes",
          "signatures",
          "unsigned",
          "event_id",
        ),
        value: fc.oneof(
          fc.jsonValue({ maxDepth: 2 }),
          fc.constantFrom<JsonValue>(
            { membership: "join", join_authorised_via_users_server: alice },
            { membership: "join", third_party_invite: null },
            { membership: "knock" },
            ["$x"],
            "\ud800",
            0.5,
            2 ** 60,
          ),
        ),
        signed: fc.boolean(),
        authorised: fc.boolean(),
      })
      .map(({ whole, key, value, signed, authorised }) => {
        const content = { membership: "join", join_authorised_via_users_server: alice };
        const join = authorised ? { ...template, content } : template;
        const changed = withKey(whole ? message : join, key, value as JsonValue);
        if (!signed) return changed;
        try {
          return cosignedBy("10", "c", changed);
        } catch {
          return changed;
        }
      });

  /** A request that would be right, but for its event, with some keys replaced. */
  const nearly = (): fc.Arbitrary<unknown> =>
    fc
      .tuple(event(), fc.dictionary(fc.constantFrom(...KEYS), junk(), { maxKeys: 2, noNullPrototype: true }))
      .map(([wrong, replaced]) => ({
        roomId,
        roomVersion: "10",
        event: wrong,
        inviteRoomState: [message],
        userId: carol,
        versions: ["10"],
        eventId: messageId,
        from: [messageId],
        limit: 5,
        earliest: [],
        latest: [messageId],
        minDepth: 0,
        ts: 1,
        dir: "f",
        transactionId: "junk",
        pdus: [wrong, message],
        ...replaced,
      }));

  it.each(OPERATIONS)("of %s is answered with an error, changes nothing and throws nothing", async (name) => {
    const before = await kept();
    const receiver = world.receiver("a");
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.dictionary(fc.constantFrom(...KEYS), junk(), { noNullPrototype: true }),
          nearly(),
          nearly(),
          junk(),
        ),
        fc.constantFrom("b.example", "c.example", "c.example", "\ud800"),
        async (request, origin) => {
          const answer = await receiver(origin, name, request as never);
          if (!answer.ok) {
            expect(answer.error.code).not.toBe("internal");
            expect(answer.error.reason).toEqual(expect.any(String));
          }
          expect(await kept()).toEqual(before);
        },
      ),
      { numRuns: 300, seed: 4 },
    );
    await tick();
    expect(world.faults()).toEqual([]);
  });

  it("of an operation that there is not is answered with an error", async () => {
    const receiver = world.receiver("a");
    for (const name of ["", "toString", "__proto__", "timestamp_to_events", undefined, null, 1, {}]) {
      expect(await codeOf<unknown>(receiver("b.example", name as never, {} as never))).toBe("unrecognized");
    }
  });
});
