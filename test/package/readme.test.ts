/** The README's examples are what people copy: they compile under the strict settings and they run. */
import { describe, expect, it } from "vitest";
import { blocksOf, compile, play } from "./markdown.js";
import { builtEntries, readText, specifier } from "./support.js";

const readme = readText("README.md");
const examples = blocksOf(readme, "ts");
const [core = "", host = ""] = examples;

async function lines(text: string): Promise<readonly string[]> {
  return (await play(text)).trimEnd().split("\n");
}

describe("README", () => {
  it("has its examples, short", () => {
    expect(examples).toHaveLength(3);
    expect(core.trimEnd().split("\n").length).toBeLessThanOrEqual(11);
    expect(host.trimEnd().split("\n").length).toBeLessThanOrEqual(20);
    expect(readme.split("\n").length).toBeLessThanOrEqual(130);
  });

  it.each(examples.map((text, at) => [at + 1, text] as const))("example %i compiles and runs", async (_at, text) => {
    expect(compile(text)).toEqual([]);
    await play(text);
  });

  it("two servers over a host's own storage and transport end with one message and one state", async () => {
    const printed = await lines(host);
    expect(printed).toHaveLength(2);
    const [one = "", two] = printed;
    expect(two).toBe(one);
    // The message; and in the state: create, two members, levels, join rules and history visibility at least.
    expect(one).toMatch(/^\$\S{43} (\$\S{43},){5,}\$\S{43}$/);
    const [message = "", state = ""] = one.split(" ");
    expect(state).not.toContain(message);
  });

  it("two servers built like these go through every membership with each other", async () => {
    const servers = host.slice(0, host.indexOf("const made ="));
    const printed = await lines(`${servers}
      import type { Result } from "roomdag";
      const [ada, bob] = ["@ada:one.example", "@bob:two.example"] as const;
      const done = <T>(result: Result<T>): T => {
        if (!result.ok) throw new Error(result.error.reason);
        return result.value;
      };
      const via = ["one.example"];
      const rule = (roomId: string, content: object) =>
        one.setState({ roomId, userId: ada, type: "m.room.join_rules", content: { ...content } });
      /** What bob is, as each server has it; after everything has arrived. */
      const tell = async (what: string, roomId: string) => {
        do await clock.sleep(10);
        while (one.isDelivering || two.isDelivering);
        const here = (await one.room(roomId))?.current.membership(bob);
        const rooms = await two.roomsOf(bob);
        console.log(what, here, rooms.find((room) => room.roomId === roomId)?.membership ?? "none");
      };
      for (const version of ["10", "12"]) {
        const { roomId } = done(await one.create({ version, creator: ada, preset: "private" }));
        const there = { roomId, userId: bob, via };
        const at = { roomId, userId: ada, target: bob };
        console.log("join uninvited", (await two.join(there)).ok);
        done(await one.invite(at));
        await tell("invite", roomId);
        done(await two.leave(there));
        await tell("reject", roomId);
        done(await one.invite(at));
        done(await one.kick(at));
        await tell("take back", roomId);
        done(await one.invite(at));
        done(await two.join(there));
        await tell("join", roomId);
        done(await two.leave(there));
        await tell("leave", roomId);
        done(await rule(roomId, { join_rule: "knock" }));
        done(await two.knock(there));
        await tell("knock", roomId);
        done(await one.invite(at));
        done(await two.join(there));
        await tell("let in", roomId);
        done(await one.kick(at));
        await tell("kick", roomId);
        done(await one.ban(at));
        await tell("ban", roomId);
        console.log("join banned", (await two.join(there)).ok);
        done(await one.unban(at));
        await tell("unban", roomId);
        const hall = done(await one.create({ version, creator: ada, preset: "public" })).roomId;
        const allow = [{ type: "m.room_membership", room_id: hall }];
        done(await rule(roomId, { join_rule: "restricted", allow }));
        console.log("join restricted", (await two.join(there)).ok);
        done(await two.join({ roomId: hall, userId: bob, via }));
        done(await two.join(there));
        await tell("restricted", roomId);
      }
      process.exit();
    `);
    const expected = [
      "join uninvited false",
      "invite invite invite",
      "reject leave none",
      "take back leave none",
      "join join join",
      "leave leave none",
      "knock knock knock",
      "let in join join",
      "kick leave none",
      // Who is out already is told of no ban.
      "ban ban none",
      "join banned false",
      "unban leave none",
      "join restricted false",
      "restricted join join",
    ];
    expect(printed).toEqual([...expected, ...expected]);
  });

  it("imports nothing in memory where it shows a host's own", () => {
    expect(host).not.toContain("adapters");
  });

  it("would notice an example that does not compile, or ends otherwise", async () => {
    expect(compile('import { version } from "roomdag"; version(10);')).toHaveLength(1);
    expect(compile(host.replace("openStorage(name)", "new Map()"))).toHaveLength(1);
    const [unsent = ""] = await lines(host.replace(/^await two\.send.*\n/m, ""));
    const [latest = "", state] = unsent.split(" ");
    expect(state).toContain(latest);
  });

  it("lists every entry of the package", () => {
    const cells = [...readme.matchAll(/^\| (`roomdag[^|]*) \|/gm)].map((match) => match[1] ?? "");
    const table = cells.flatMap((cell) => [...cell.matchAll(/`(roomdag[a-z/-]*)`/g)].map((match) => match[1] ?? ""));
    const versions = /^roomdag\/versions\/./;
    expect([...table].sort()).toEqual(
      builtEntries
        .map(specifier)
        .filter((name) => !versions.test(name))
        .sort(),
    );
  });
});

/** It is called a storage of the host's own: it keeps what a storage has to keep. */
describe("the storage of the README's host", () => {
  it("passes the suite, with a second handle on its rows", async () => {
    const printed = await lines(`
      import { storageSuite } from "roomdag/testing";
      import { Database, storageOver } from "./host.js";
      const databases = new Map();
      const open = (db) => {
        const storage = storageOver(db);
        databases.set(storage, db);
        return storage;
      };
      const reopen = (storage) => open(databases.get(storage));
      for (const check of storageSuite({ create: () => open(new Database()), reopen })) {
        await check.run();
        console.log(check.name);
      }
    `);
    expect(printed.length).toBeGreaterThan(40);
  });
});
