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
    const table = [...readme.matchAll(/^\| `(roomdag[a-z/]*)` \|/gm)].map((match) => match[1] ?? "");
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
