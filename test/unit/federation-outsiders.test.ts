/** Events handed over by a server that has nobody in the room: what they may cost, and what they are good for. */
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/json/index.js";
import { codeOf, done, nameOf, pduOf, signedBy, userOf, worldOf } from "../support/servers.js";
import type { World } from "../support/servers.js";

const VERSION = "10";
const [bob, dan, eve] = [userOf("b"), userOf("d"), userOf("x")];

/** A message at the end of a room as one server has it, signed by the sender's server. */
async function message(world: World, roomId: string, at: string, sender: string, change: JsonObject = {}) {
  const made = await done(
    (await world.room(at, roomId)).template({ type: "m.room.message", sender, content: { body: "hello" } }),
  );
  return signedBy(VERSION, (sender.split(":")[1] ?? "").replace(".example", ""), { ...made, ...change });
}

async function sent(world: World, from: string, ...pdus: readonly JsonObject[]): Promise<readonly string[]> {
  const answer = await world.ask(from, "a", "send", { transactionId: `t${world.calls.length}`, pdus });
  if (!answer.ok) throw new Error(answer.error.reason);
  return pdus.map((pdu) => answer.value.pdus[pduOf(VERSION, pdu).eventId]?.error ?? "taken");
}

async function stored(world: World, roomId: string): Promise<unknown> {
  const { storage } = world.node("a");
  return { room: await storage.openRoom(roomId), changes: await storage.changesSince(roomId, 0) };
}

describe("a server without anybody in the room", () => {
  it("has nothing kept, and nobody else asked, for events with parents that it made up", async () => {
    const world = await worldOf("a", "b");
    world.peer("x", {
      get_missing_events: () => ({ events: [] }),
      state_ids: () => ({ stateIds: [], authChainIds: [] }),
    });
    const roomId = await world.shared(VERSION, "a", "b");
    const before = await stored(world, roomId);
    world.calls.length = 0;
    const floods: JsonObject[] = [];
    for (let at = 0; at < 50; at++) {
      floods.push(await message(world, roomId, "a", eve, { prev_events: [`$made-up-${at}`], depth: 3 + at }));
    }
    const errors = await sent(world, "x", ...floods);
    expect(new Set(errors)).toEqual(new Set(["what it rests on is not here"]));
    expect(await stored(world, roomId)).toEqual(before);
    expect(new Set(world.calls.map(({ to }) => to))).toEqual(new Set(["x.example"]));
    expect(world.callsOf("state_ids", "state")).toEqual([]);
  });

  it("does not say what the state of the room was: not before this server came, and not at a gap", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(VERSION, "a", "b");
    const room = await world.room("a", roomId);
    const stateIds = room.current.ids();
    world.peer("x", {
      state_ids: () => ({ stateIds, authChainIds: [] }),
      event: async ({ eventId }) => ({ event: (await room.event(eventId))?.original }),
    });
    world.calls.length = 0;
    const old = await message(world, roomId, "a", userOf("a"), { prev_events: ["$before-b-came"], depth: 1 });
    const answer = await world.ask("x", "b", "send", { transactionId: "t", pdus: [old] });
    const { eventId } = pduOf(VERSION, old);
    expect(answer.ok && answer.value.pdus[eventId]?.error).toBe("what it rests on is not here");
    expect(world.callsOf("state_ids", "state")).toEqual([]);
    // A server of the room is asked for the state at such an event.
    world.intercept((call, proceed) => (call.name === "state_ids" ? proceed() : undefined));
    await world.ask("a", "b", "send", { transactionId: "t", pdus: [old] });
    expect(world.callsOf("state_ids")).not.toEqual([]);
  });

  it("has nothing kept of events that the rules refuse", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(VERSION, "a", "b");
    world.peer("x", {});
    const before = await stored(world, roomId);
    const [error] = await sent(world, "x", await message(world, roomId, "a", eve));
    expect(error).toContain("not joined");
    expect(await stored(world, roomId)).toEqual(before);
    // The same from a server of the room is a row, so that what cites it can be judged.
    await sent(world, "b", await message(world, roomId, "a", eve));
    expect(await stored(world, roomId)).not.toEqual(before);
  });

  it("hands over what it sent before it left, and what others wrote", async () => {
    const world = await worldOf("a", "b", "c");
    const roomId = await world.shared(VERSION, "a", "b", "c");
    const early = await message(world, roomId, "b", bob);
    const others = await message(world, roomId, "a", userOf("c"));
    await done(world.server("b").leave({ roomId, userId: bob }));
    await world.deliver();
    expect((await world.room("a", roomId)).isServerJoined(nameOf("b"))).toBe(false);
    expect(await sent(world, "b", early, others)).toEqual(["taken", "taken"]);
    const room = await world.room("a", roomId);
    expect((await room.verdict(pduOf(VERSION, early).eventId))?.verdict).toBe("soft-failed");
    expect((await room.verdict(pduOf(VERSION, others).eventId))?.verdict).toBe("accepted");
  });

  it("is heard at once when it joined by way of a server that was not heard yet", async () => {
    const world = await worldOf("a", "b", "d");
    const roomId = await world.shared(VERSION, "a", "b");
    world.cut("a", "b");
    await done(world.server("d").join({ roomId, userId: dan, via: ["b.example"] }));
    expect(await world.membership("a", roomId, dan)).toBe("leave");
    world.calls.length = 0;
    await done(world.say("d", roomId, "here I am"));
    await world.deliver(1_000);
    expect(await world.membership("a", roomId, dan)).toBe("join");
    expect(await world.view("a", roomId)).toEqual(await world.view("d", roomId));
    const asked = world.calls.filter(({ from, name }) => from === "a.example" && name !== "send");
    expect(asked.length).toBeGreaterThan(0);
    expect(new Set(asked.map(({ to }) => to))).toEqual(new Set(["d.example"]));
  });

  it("has a refused event kept that an accepted one comes after", async () => {
    const world = await worldOf("a", "b", "d");
    const roomId = await world.shared(VERSION, "a", "b");
    world.cut("a", "b");
    await done(world.server("d").join({ roomId, userId: dan, via: ["b.example"] }));
    const made = await done(
      (await world.room("d", roomId)).template({ type: "m.room.topic", stateKey: "", sender: dan, content: {} }),
    );
    const refused = signedBy(VERSION, "d", made);
    const { eventId, depth } = pduOf(VERSION, refused);
    const after = await message(world, roomId, "d", dan, { prev_events: [eventId], depth: depth + 1 });
    const [error, taken] = await sent(world, "d", refused, after);
    expect([error === "taken", taken]).toEqual([false, "taken"]);
    const room = await world.room("a", roomId);
    expect((await room.verdict(eventId))?.verdict).toBe("rejected-by-auth-events");
    expect((await room.verdict(pduOf(VERSION, after).eventId))?.verdict).toBe("accepted");
  });

  it("gets the answer of before for what is known already", async () => {
    const world = await worldOf("a", "b");
    const roomId = await world.shared(VERSION, "a", "b");
    world.peer("x", {});
    const known = (await done(world.say("b", roomId, "known"))).json;
    await world.deliver();
    const before = await stored(world, roomId);
    expect(await sent(world, "x", known)).toEqual(["taken"]);
    expect(await stored(world, roomId)).toEqual(before);
    expect(await codeOf(world.ask("x", "a", "send", { transactionId: "none", pdus: [] }))).toBe("ok");
  });
});
