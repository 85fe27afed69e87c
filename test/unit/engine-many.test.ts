import { describe, expect, it } from "vitest";
import { roomOf, short, Story, tampered, testServer, withKey } from "../support/engine.js";

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
});
