import { describe, expect, it } from "vitest";
import type { Keys } from "../../src/ports/index.js";
import { keyedHashKeys } from "../../src/testing/simulation/index.js";
import { HERE, roomOf, short, Story, tampered, testServer, withKey } from "../support/engine.js";

const ALICE = "@alice:a.example";
const BOB = "@bob:b.example";
const PEER = "peer.example";

describe.each(["1", "10", "12"] as const)("more events than are verified at a time, room version %s", (v) => {
  it("are judged each for itself, after one look-up of each key", async () => {
    const story = new Story(v).open({ users: { [ALICE]: 100 } }).member("bob", BOB, "join");
    const server = testServer({ ring: story.ring });
    const room = await roomOf(server, story);
    await room.receive(story.jsons(), { origin: PEER });
    const names = Array.from({ length: 1_100 }, (_, at) => `say${at}`);
    for (const [at, name] of names.entries()) story.say(name, at % 2 === 0 ? ALICE : BOB, { prev: ["bob"] });
    const events = story.jsons(...names).map((json, at) => {
      if (at === 300 || at === 800) return tampered(json);
      return at === 400 || at === 900 ? withKey(json, "signatures", {}) : json;
    });
    const before = server.keys.asked.lookups;
    const receipts = await room.receive(events, { origin: PEER });
    // Whoever has no signature at all is looked for under no key.
    expect(server.keys.asked.lookups - before).toBe(2);
    const odd = receipts.flatMap((receipt, at) =>
      short(receipt) === "accepted" ? [] : [[at, receipt.verdict.verdict]],
    );
    expect(odd).toEqual([
      [400, "bad-signature"],
      [900, "bad-signature"],
    ]);
    const redacted = receipts.flatMap(({ verdict }, at) =>
      verdict.verdict === "accepted" && verdict.redacted ? [at] : [],
    );
    expect(redacted).toEqual([300, 800]);
  });

  it("are duplicates when they come again, even where memory holds fewer than are read at a time", async () => {
    const story = new Story(v).open({ users: { [ALICE]: 100 } });
    const room = await roomOf(testServer({ ring: story.ring, limits: { cachedEvents: 10 } }), story);
    await room.receive(story.jsons(), { origin: PEER });
    const names = Array.from({ length: 600 }, (_, at) => `say${at}`);
    for (const name of names) story.say(name, ALICE);
    const events = story.jsons(...names);
    const first = await room.receive(events, { origin: PEER });
    const again = await room.receive(events, { origin: PEER });
    expect(first.filter(({ duplicate }) => duplicate)).toEqual([]);
    expect(again.filter((receipt) => !receipt.duplicate || short(receipt) !== "accepted")).toEqual([]);
  });
});

describe("more events than are verified at a time", () => {
  it.each([
    ["signatures", { aheadSignatures: 1_000 }, 1_024],
    ["bytes", { aheadBytes: 1 }, 512],
    ["nothing else", {}, 2_600],
  ])("are given to the Keys port before the first have an answer, bounded by %s", async (_, limits, bound) => {
    const story = new Story("10").open({ users: { [ALICE]: 100 } });
    const keys = keyedHashKeys(HERE, story.ring);
    let [open, most] = [0, 0];
    const verify: Keys["verify"] = async (requests, cancel) => {
      open += requests.length;
      most = Math.max(most, open);
      for (let turn = 0; turn < 1_000; turn++) await Promise.resolve();
      const verdicts = await keys.verify(requests, cancel);
      open -= requests.length;
      return verdicts;
    };
    const room = await roomOf(testServer({ keys: { ...keys, verify }, limits }), story);
    await room.receive(story.jsons(), { origin: PEER });
    const names = Array.from({ length: 2_600 }, (_, at) => `say${at}`);
    for (const name of names) story.say(name, ALICE);
    await room.receive(story.jsons(...names), { origin: PEER });
    expect(most).toBe(bound);
  });
});
