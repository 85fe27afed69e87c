/** Joins of rooms that let in the members of others: who may say so, who signs for it, and whom to ask instead. */
import { describe, expect, it } from "vitest";
import { get, isObject } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { codeOf, cosignedBy, done, refusal, signedBy, signersOf, userOf, worldOf } from "../support/servers.js";
import type { World } from "../support/servers.js";
import { rowsOf } from "../support/rows.js";

const [alice, bob, carol, dan] = [userOf("a"), userOf("b"), userOf("c"), userOf("d")];

/** Both join rules, in versions that have them. */
const kinds = [
  ...["8", "9", "10", "11", "12", "I.1"].map((version) => [version, "restricted"] as const),
  ...["10", "11", "12", "I.1"].map((version) => [version, "knock_restricted"] as const),
];

const membersOf = (...roomIds: readonly string[]): readonly JsonObject[] =>
  roomIds.map((roomId) => ({ type: "m.room_membership", room_id: roomId }));

describe.each(kinds)("[cap:join-handshake v:%s] a room with the join rule %s", (version, rule) => {
  const versions = [version];

  async function setRules(world: World, roomId: string, allow: JsonValue): Promise<void> {
    const content = { join_rule: rule, allow };
    await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.join_rules", content }));
    await world.deliver();
  }

  /** A room of alice, where others are joined already and only she may invite. */
  async function restricted(world: World, allow: JsonValue, ...others: readonly string[]): Promise<string> {
    const roomId = await world.shared(version, "a", ...others);
    const users = version === "12" ? {} : { [alice]: 100 };
    const content = { invite: 50, users };
    await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.power_levels", content }));
    await setRules(world, roomId, allow);
    return roomId;
  }

  /** The answers to both steps of a join, without the other step deciding. */
  async function answers(
    world: World,
    to: string,
    roomId: string,
    change: JsonObject = {},
  ): Promise<readonly string[]> {
    const make = codeOf(world.ask("d", to, "make_join", { roomId, userId: dan, versions }));
    const content = { membership: "join", join_authorised_via_users_server: userOf(to), ...change };
    const draft = { type: "m.room.member", stateKey: dan, sender: dan, content };
    const event = signedBy(version, "d", await done((await world.room(to, roomId)).template(draft)));
    return [await make, await codeOf(world.ask("d", to, "send_join", { roomId, eventId: "$given", event }))];
  }

  async function expectSame(world: World, roomId: string, ...names: readonly string[]): Promise<void> {
    const [first = "a", ...others] = names;
    for (const name of others) expect(await world.view(name, roomId)).toEqual(await world.view(first, roomId));
    expect(world.faults()).toEqual([]);
  }

  it("lets nobody in by entries that say nothing", async () => {
    const world = await worldOf("a", "d");
    const lobby = await world.shared(version, "a", "d");
    const roomId = await restricted(world, []);
    const before = await rowsOf(world.node("a").storage);
    expect(await answers(world, "a", roomId)).toEqual(["forbidden", "forbidden"]);
    expect(await rowsOf(world.node("a").storage)).toEqual(before);
    const [entry = {}] = membersOf(lobby);
    const malformed: readonly JsonValue[] = [
      "none",
      entry,
      { 0: entry },
      null,
      [null, 5, true, "text", [entry], {}],
      [{ room_id: lobby }],
      [{ type: "m.room_membership" }],
      [
        { ...entry, type: "org.other" },
        { ...entry, type: ["m.room_membership"] },
      ],
      [
        { ...entry, room_id: [lobby] },
        { ...entry, room_id: null },
      ],
    ];
    for (const allow of malformed) {
      await setRules(world, roomId, allow);
      expect(await answers(world, "a", roomId), JSON.stringify(allow)).toEqual(["forbidden", "forbidden"]);
    }
    await setRules(world, roomId, [null, 5, { room_id: 5 }, ...membersOf(lobby)]);
    expect(await answers(world, "a", roomId)).toEqual(["ok", "ok"]);
    expect(world.faults()).toEqual([]);
  });

  it("refuses at both steps, and says which of three things is in the way", async () => {
    const world = await worldOf("a", "b", "c", "d");
    const [lobby, strange] = [await world.shared(version, "a", "b", "d"), await world.shared(version, "c", "d")];
    const empty = await world.shared(version, "a", "b");
    const known = await restricted(world, membersOf(empty), "b");
    expect(await answers(world, "a", known), "in none of the rooms").toEqual(["forbidden", "forbidden"]);
    const unknown = await restricted(world, membersOf(empty, strange), "b");
    const cannotTell = "unable_to_authorise_join";
    expect(await answers(world, "a", unknown), "one of the rooms is not known").toEqual([cannotTell, cannotTell]);
    const powerless = await restricted(world, membersOf(lobby), "b");
    const cannotGrant = "unable_to_grant_join";
    expect(await answers(world, "b", powerless), "bob may not invite").toEqual([cannotGrant, cannotGrant]);
    await done(world.server("a").ban({ roomId: powerless, userId: alice, target: dan }));
    expect(await answers(world, "a", powerless), "banned").toEqual(["forbidden", "forbidden"]);
    for (const roomId of [known, unknown, powerless]) {
      expect(await world.membership("a", roomId, dan)).not.toBe("join");
    }
  });

  it("asks again at the second step: who left the other room meanwhile is not let in", async () => {
    const world = await worldOf("a", "d");
    const lobby = await world.shared(version, "a", "d");
    const roomId = await restricted(world, membersOf(lobby));
    world.intercept(async (call, proceed) => {
      if (call.name === "send_join") {
        await done(world.server("d").leave({ roomId: lobby, userId: dan }));
        await world.settle();
      }
      return proceed();
    });
    expect(await codeOf(world.server("d").join({ roomId, userId: dan, via: ["a.example"] }))).toBe("refused_by_peer");
    expect(await world.membership("a", roomId, dan)).toBe("leave");
  });

  it("is authorised by no one who is not there, may not invite, or is of another server", async () => {
    const world = await worldOf("a", "b", "d");
    const lobby = await world.shared(version, "a", "b", "d");
    const roomId = await restricted(world, membersOf(lobby), "b");
    const before = await world.view("a", roomId);
    const by = async (userId: JsonValue): Promise<string> =>
      (await answers(world, "a", roomId, { join_authorised_via_users_server: userId }))[1] ?? "";
    expect(await by(userOf("a", "stranger")), "not joined").toBe("forbidden");
    expect(await by(bob), "no signature of b").toBe("invalid_param");
    expect(await by(5)).toBe("invalid_param");
    expect(await by("nobody")).toBe("invalid_param");
    expect(await world.view("a", roomId)).toEqual(before);
    const second = userOf("a", "second");
    await done(world.server("a").invite({ roomId, userId: alice, target: second }));
    await done(world.server("a").join({ roomId, userId: second }));
    expect(await by(second), "may not invite").toBe("forbidden");
    const draft = { type: "m.room.member", stateKey: dan, sender: dan, content: { membership: "join" } };
    const plain = signedBy(version, "d", await done((await world.room("a", roomId)).template(draft)));
    expect(
      await codeOf(world.ask("d", "a", "send_join", { roomId, eventId: "$given", event: plain })),
      "no authoriser",
    ).toBe("forbidden");
  });

  it("is joined by way of another server when the first cannot tell, and when it cannot grant", async () => {
    const world = await worldOf("a", "b", "c", "d");
    const lobby = await world.shared(version, "a", "b", "d");
    const roomId = await restricted(world, membersOf(lobby), "b");
    // carol's server joins too, and is not in the lobby.
    await done(world.server("a").invite({ roomId, userId: alice, target: carol }));
    await done(world.server("c").join({ roomId, userId: carol }));
    await world.deliver();
    world.calls.length = 0;
    await done(
      world.server("d").join({ roomId, userId: dan, via: ["c.example", "b.example", "gone.example", "a.example"] }),
    );
    await world.deliver();
    expect(world.callsOf("make_join", "send_join").map(({ to, name }) => [name, to])).toEqual([
      ["make_join", "c.example"],
      ["make_join", "b.example"],
      ["make_join", "gone.example"],
      ["make_join", "a.example"],
      ["send_join", "a.example"],
    ]);
    for (const name of ["a", "b", "c", "d"]) {
      const room = await world.room(name, roomId);
      const join = room.state("m.room.member", dan);
      expect(join?.content).toEqual({ membership: "join", join_authorised_via_users_server: alice });
      const view = await room.event(join?.eventId ?? "");
      expect(signersOf(view?.original ?? {}), name).toEqual(["a.example", "d.example"]);
    }
    await expectSame(world, roomId, "a", "b", "c", "d");
  });

  it.each(["unable_to_authorise_join", "unable_to_grant_join"])(
    "is joined by way of another server when the first says %s at the second step",
    async (code) => {
      const world = await worldOf("a", "d");
      const lobby = await world.shared(version, "a", "d");
      const roomId = await restricted(world, membersOf(lobby));
      const steps: string[] = [];
      world.peer("x", {
        make_join: async () => {
          const made = await world.ask("d", "a", "make_join", { roomId, userId: dan, versions });
          return made.ok ? made.value : refusal("forbidden");
        },
        send_join: () => {
          steps.push("send_join");
          return refusal(code);
        },
      });
      await done(world.server("d").join({ roomId, userId: dan, via: ["x.example", "a.example"] }));
      await world.deliver();
      expect(steps).toEqual(["send_join"]);
      await expectSame(world, roomId, "a", "d");
    },
  );

  it("is not joined by an answer without the authorising server's signature, or with more than that", async () => {
    const world = await worldOf("a", "d");
    const lobby = await world.shared(version, "a", "d");
    const roomId = await restricted(world, membersOf(lobby));
    const changes: readonly ((event: JsonObject) => JsonValue)[] = [
      () => null,
      (event) => ({ ...event, signatures: only(event, "d.example") }),
      (event) => ({ ...event, signatures: { ...only(event, "d.example"), "a.example": { "ed25519:test": "AAAA" } } }),
      (event) => ({ ...event, signatures: { ...only(event, "d.example"), "a.example": "AAAA" } }),
    ];
    for (const change of changes) {
      let sent: JsonObject = {};
      world.peer("x", {
        make_join: async () => {
          const made = await world.ask("d", "a", "make_join", { roomId, userId: dan, versions });
          return made.ok ? made.value : refusal("forbidden");
        },
        send_join: async ({ event }) => {
          sent = event as JsonObject;
          const room = await world.room("a", roomId);
          const rows = await room.rows([...room.current.ids(), ...(await room.authChain(room.current.ids()))]);
          const events = rows.map(({ json }) => json);
          return { event: change(cosignedBy(version, "a", sent)), state: events, authChain: [] };
        },
      });
      expect(await codeOf(world.server("d").join({ roomId, userId: dan, via: ["x.example"] }))).not.toBe("ok");
      expect(sent["type"]).toBe("m.room.member");
      expect(await world.server("d").room(roomId)).toBeUndefined();
    }
    world.intercept(async (call, proceed) => {
      const answer = await proceed();
      if (call.name !== "send_join" || !answer.ok) return answer;
      const value = answer.value as { readonly event: JsonObject };
      const event = { ...cosignedBy(version, "b", value.event), unsigned: { stray: true }, content: {} };
      return { ok: true, value: { ...value, event } as never };
    });
    const room = await done(world.server("d").join({ roomId, userId: dan, via: ["a.example"] }));
    const join = room.state("m.room.member", dan);
    const view = await room.event(join?.eventId ?? "");
    expect(signersOf(view?.original ?? {})).toEqual(["a.example", "d.example"]);
    expect(Object.hasOwn(view?.original ?? {}, "unsigned")).toBe(false);
  });

  it("is joined by way of another server by a user whose own is in it and can grant nothing", async () => {
    const world = await worldOf("a", "b", "c");
    const lobby = await world.shared(version, "a", "b");
    const roomId = await restricted(world, membersOf(lobby), "b", "c");
    const second = userOf("b", "second");
    await done(world.server("b").join({ roomId: lobby, userId: second }));
    await world.deliver();
    world.calls.length = 0;
    await done(world.server("b").join({ roomId, userId: second }));
    await world.deliver();
    expect(world.callsOf("make_join").map(({ to }) => to)).toContain("a.example");
    for (const name of ["a", "b", "c"]) {
      const room = await world.room(name, roomId);
      const join = room.state("m.room.member", second);
      expect(get(join?.content ?? {}, "join_authorised_via_users_server")).toBe(alice);
      const view = await room.event(join?.eventId ?? "");
      expect(signersOf(view?.original ?? {}), name).toEqual(["a.example", "b.example"]);
    }
    await expectSame(world, roomId, "a", "b", "c");
    await done(world.say("b", roomId, "in", second));
    await world.deliver();
    await expectSame(world, roomId, "a", "b", "c");
  });
});

function only(event: JsonObject, server: string): JsonObject {
  const all = get(event, "signatures");
  return isObject(all) ? { [server]: get(all, server) ?? {} } : {};
}

describe("the join rule", () => {
  it.each([
    ["7", "restricted"],
    ["8", "knock_restricted"],
    ["9", "knock_restricted"],
  ])("that version %s does not have, %s, lets nobody in", async (version, rule) => {
    const world = await worldOf("a", "d");
    const lobby = await world.shared(version, "a", "d");
    const roomId = await world.shared(version, "a");
    const content = { join_rule: rule, allow: membersOf(lobby) };
    await done(world.server("a").setState({ roomId, userId: alice, type: "m.room.join_rules", content }));
    expect(await codeOf(world.ask("d", "a", "make_join", { roomId, userId: dan, versions: [version] }))).toBe(
      "forbidden",
    );
    expect(await codeOf(world.server("d").join({ roomId, userId: dan, via: ["a.example"] }))).toBe("refused_by_peer");
  });
});
