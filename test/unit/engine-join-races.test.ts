/** Joins of a room that is not here, at the same time, by several processes, and past a policy server. */
import { describe, expect, it } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import type { JoinedState } from "../../src/engine/index.js";
import type { JsonObject } from "../../src/json/index.js";
import { isObject } from "../../src/json/value.js";
import type { Batch, CommitResult, OperationName, OperationResult, Storage, Transport } from "../../src/ports/index.js";
import { HERE, visible } from "../support/engine.js";
import type { Story } from "../support/engine.js";
import {
  ALICE,
  given,
  idsOf,
  joinedWith,
  ME,
  nothing,
  noting,
  serve,
  SlowKeys,
  STATE,
  story,
  turns,
  unsigned,
  without,
  YOU,
} from "../support/joining.js";
import { isRecommended, policyContent, signaturesOf } from "../support/policy-server.js";
import { rowsOf } from "../support/rows.js";

const VERSIONS = ["1", "2", "10", "12"] as const;

/** Joins one after the other. */
async function oneByOne(
  told: Story,
  ...joins: readonly JoinedState[]
): Promise<readonly [rows: unknown, seen: unknown]> {
  const storage = createMemoryStorage();
  const room = await serve(told, { storage });
  for (const joined of joins) expect(await room.importJoin(joined)).toMatchObject({ ok: true });
  return [await rowsOf(storage), await visible(room, idsOf(told))];
}

describe.each(VERSIONS)("two joins of a room at the same time, room version %s", (v) => {
  it("are both stored, the second on what the first stored", async () => {
    const told = story(v);
    const batches: Batch[] = [];
    const slow = new SlowKeys(told);
    const storage = noting(slow.log, batches);
    const room = await serve(told, { storage, keys: slow.keys });
    slow.hold();
    const joining = ["me", "you"].map((join) => room.importJoin(given(told, { join })));
    await turns();
    slow.release();
    expect(await Promise.all(joining)).toMatchObject([{ ok: true }, { ok: true }]);
    expect(batches.map(({ expected }) => expected)).toEqual([undefined, 1]);
    expect(batches.map(({ events }) => events.length)).toEqual([STATE.length + 1, 1]);
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(
      await oneByOne(told, given(told), given(told, { join: "you" })),
    );
    expect([...room.localUsers].sort()).toEqual([ME, YOU]);
  });

  it.each([
    ["first", ["you", "me"]],
    ["second", ["me", "you"]],
  ])("come to the same where nobody signed an event that came with the %s", async (_, order) => {
    const told = story(v);
    const stateOf = (join: string): JoinedState => {
      const instead = { one: unsigned(told, told.json("one")) };
      return given(told, { join, ...(join === "you" ? { instead } : {}) });
    };
    const storage = createMemoryStorage();
    const room = await serve(told, { storage });
    const joined = await Promise.all(order.map((join) => room.importJoin(stateOf(join))));
    expect(joined).toMatchObject([{ ok: true }, { ok: true }]);
    // Whoever has to decide again stands behind the other, with what could be verified when it was read.
    const left = given(told, { join: "you", state: without(STATE, "one") });
    const expected = await oneByOne(told, given(told), left);
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(expected);
  });

  it("are independent: one fails while it is verified, and the other is stored", async () => {
    const told = story(v);
    const slow = new SlowKeys(told);
    const storage = createMemoryStorage();
    const room = await serve(told, { storage, keys: slow.keys });
    slow.hold();
    const joining = ["you", "me"].map((join) => room.importJoin(given(told, { join })));
    const failed = expect(joining[0]).rejects.toThrow("the verifier is gone");
    await turns();
    slow.answerFirst();
    slow.answerFirst();
    await turns();
    expect(slow.waiting).toBe(2);
    slow.failFirst();
    await failed;
    await turns();
    expect(await rowsOf(storage)).toEqual(nothing);
    slow.release();
    expect(await joining[1]).toMatchObject({ ok: true });
    expect([await rowsOf(storage), await visible(room, idsOf(told))]).toEqual(await joinedWith(told, given(told)));
  });
});

describe.each(VERSIONS)("another join of a room that is here, room version %s", (v) => {
  it("holds nobody up while signatures are verified", async () => {
    const told = story(v).state("topic", "m.room.topic", ALICE, { topic: "new" }, { prev: ["me"] });
    told.member("late", `@late:${HERE}`, "join");
    const slow = new SlowKeys(told);
    const room = await serve(told, { keys: slow.keys });
    expect(await room.importJoin(given(told))).toMatchObject({ ok: true });
    slow.hold();
    const joining = room.importJoin(given(told, { join: "late", state: [...STATE, "me", "topic"] }));
    await turns();
    slow.answerFirst();
    await turns();
    const sending = room.emit([{ type: "m.room.message", sender: ME, content: { body: "meanwhile" } }]);
    const first = Promise.race([sending, joining]);
    await turns();
    slow.release();
    expect(await first).toBe(await sending);
    expect(await sending).toMatchObject({ ok: true });
    expect(await joining).toMatchObject({ ok: true });
    expect([...room.localUsers].sort()).toEqual([`@late:${HERE}`, ME]);
  });
});

/** A storage in which something else happens before the first commit, or in place of it. */
function raced(storage: Storage, first: () => Promise<CommitResult | undefined>): Storage {
  let commits = 0;
  const commit = async (batch: Batch): Promise<CommitResult> => {
    const instead = commits++ === 0 ? await first() : undefined;
    return instead ?? storage.commit(batch);
  };
  return { ...storage, commit };
}

describe.each(VERSIONS)("a join that another process is quicker than, room version %s", (v) => {
  it.each([
    ["signed", false],
    ["not signed in full", true],
  ])("is stored on what that one stored, its state %s", async (_, isBad) => {
    const told = story(v);
    const instead = isBad ? { one: unsigned(told, told.json("one")) } : {};
    const [mine, yours] = [given(told, { instead }), given(told, { join: "you" })];
    const storage = createMemoryStorage();
    const other = await serve(told, { storage });
    const busy = raced(storage, async () => {
      expect(await other.importJoin(yours)).toMatchObject({ ok: true });
      return undefined;
    });
    const room = await serve(told, { storage: busy });
    expect(await room.importJoin(mine)).toMatchObject({ ok: true });
    await other.refresh();
    const left = given(told, { state: isBad ? without(STATE, "one") : STATE });
    const expected = await oneByOne(told, yours, left);
    for (const one of [room, other]) expect([await rowsOf(storage), await visible(one, idsOf(told))]).toEqual(expected);
  });

  it("is tried again where nobody wrote after all, and once only where storage fails", async () => {
    const told = story(v);
    const expected = await joinedWith(told, given(told));
    const storage = createMemoryStorage();
    const lost = await serve(told, {
      storage: raced(storage, () => Promise.resolve({ committed: false, revision: undefined })),
    });
    expect(await lost.importJoin(given(told))).toMatchObject({ ok: true });
    expect([await rowsOf(storage), await visible(lost, idsOf(told))]).toEqual(expected);
    const full = createMemoryStorage();
    const room = await serve(told, { storage: raced(full, () => Promise.reject(new Error("the disk is full"))) });
    await expect(room.importJoin(given(told))).rejects.toThrow("the disk is full");
    expect(await rowsOf(full)).toEqual(nothing);
    expect(await room.importJoin(given(told))).toMatchObject({ ok: true });
    expect([await rowsOf(full), await visible(room, idsOf(told))]).toEqual(expected);
  });
});

const VIA = "policy.example";

/** A network on which the policy server signs what it is asked about, and nobody else answers. */
class Line implements Transport {
  readonly asked: JsonObject[] = [];
  readonly #version: string;

  constructor(version: string) {
    this.#version = version;
  }

  listen = (): (() => void) => () => undefined;

  request = <N extends OperationName>(to: string, name: N, request: unknown): Promise<OperationResult<N>> => {
    const event = typeof request === "object" && request !== null && "event" in request ? request.event : undefined;
    const gone: OperationResult<N> = { ok: false, error: { code: "unreachable", reason: "nobody is there" } };
    if (to !== VIA || name !== "policy_sign" || !isObject(event as JsonObject)) return Promise.resolve(gone);
    this.asked.push(event as JsonObject);
    const answer: OperationResult<"policy_sign"> = {
      ok: true,
      value: { signatures: signaturesOf(this.#version, event as JsonObject, VIA) },
    };
    return Promise.resolve(answer as OperationResult<N>);
  };
}

describe.each(VERSIONS)("a join of a room with a policy server, room version %s", (v) => {
  const GUEST = `@guest:${HERE}`;
  const all = [...STATE, "bot", "policy"];
  const cases: readonly (readonly [which: string, bad: readonly string[], asked: number])[] = [
    ["in full", [], 1],
    ["but for the name", ["one"], 1],
    ["but for the event that names the policy server", ["policy"], 0],
    ["but for the policy server's own user", ["bot"], 0],
  ];

  it.each(cases)("asks nobody itself; who is asked next is as the state says, signed %s", async (_, bad, asked) => {
    const told = story(v)
      .member("bot", `@bot:${VIA}`, "join", { prev: ["carol"] })
      .state("policy", "m.room.policy", ALICE, policyContent(VIA))
      .member("guest", GUEST, "join");
    const line = new Line(v);
    const room = await serve(told, { transport: line });
    const instead = Object.fromEntries(bad.map((name) => [name, unsigned(told, told.json(name))]));
    const joined = await room.importJoin(given(told, { join: "guest", state: all, instead }));
    expect(joined).toMatchObject({ ok: true });
    expect([...room.current.ids()].sort()).toEqual(told.ids(...without(all, ...bad), "guest"));
    expect(line.asked).toEqual([]);
    const sent = await room.emit([{ type: "m.room.message", sender: GUEST, content: { body: "hello" } }]);
    if (!sent.ok) throw new Error(sent.error.reason);
    expect(line.asked).toHaveLength(asked);
    expect(sent.value.map(({ json }) => isRecommended(v, json, VIA))).toEqual([asked > 0]);
  });
});
