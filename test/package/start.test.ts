/** The README's main job, as it is run: the built command line over every recorded room, and servers that share one. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { root } from "./support.js";

const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

/** The arguments of each half of `npm start`. */
const halves = (scripts["start"] ?? "").split(" && ").map((command) => command.split(" "));

function runHalf(at: number, ...more: readonly string[]): { readonly lines: readonly string[]; readonly text: string } {
  const [node, ...args] = halves[at] ?? [];
  expect(node).toBe("node");
  const run = spawnSync(process.execPath, [...args, ...more], { cwd: root, encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
  return { lines: run.stdout.trimEnd().split("\n"), text: run.stdout };
}

interface DemoAnswer {
  readonly room_version: string;
  readonly agree: boolean;
  readonly servers: readonly { readonly events: number; readonly eventsHash: string; readonly stateHash: string }[];
}

describe("npm start", () => {
  it("has two halves", () => {
    expect(halves.map(([, , command]) => command)).toEqual(["check", "demo"]);
  });

  it("agrees with every recorded room, and with those restamped as I.1 [cap:receipt v:1-12,I.1]", () => {
    const { lines } = runHalf(0);
    const files = lines.filter((line) => /\.json\s+version \S+\s/.test(line));
    expect(files).toHaveLength(56);
    expect(files.filter((line) => !line.includes("state agrees"))).toEqual([]);
    expect(lines.at(-1)).toMatch(/^All 56 files agree\. /);
  });

  it("shows five servers that part, meet again and agree", () => {
    const { lines, text } = runHalf(1);
    expect(lines.filter((line) => /^\d\. /.test(line))).toEqual([
      "1. Two servers",
      "2. Five servers",
      "3. The network splits: amsterdam and berlin here, cairo, delhi and edinburgh there",
      "4. The network heals, and what was queued is delivered",
      "5. Every server says one more thing, which ties the branches together",
    ]);
    expect(lines.filter((line) => line.length > 100)).toEqual([]);
    expect(/[^\n\x20-\x7e]/.exec(text)).toBeNull();
    // While the network was split, each side had a state of its own.
    const told = text.replaceAll(/\s+/g, " ");
    expect(told).toContain('= amsterdam, berlin: 25 events, 1 forward extremity, name "Garden", topic "Tulips only"');
    expect(text).toContain('= cairo, delhi, edinburgh: 27 events, 1 forward extremity, name "Dan\'s orchard"');
    // The rule that took something back is named, and whose it was.
    expect(told).toMatch(/\* cairo, delhi, edinburgh: rollback[^*]*"Dan's orchard" by dan, refused by v11 rule 5:/);
    expect(told).toMatch(/\* amsterdam, berlin: rollback[^*]*"Tulips only" by bob, refused by v11 rule 7:/);
    expect(told).toMatch(/\* amsterdam, berlin: merge[^*]*"All that grows" by erin/);
    const servers = ["amsterdam", "berlin", "cairo", "delhi", "edinburgh"];
    const rows = lines.slice(-7, -2).map((line) => line.split(/ +/));
    expect(rows.map(([server]) => server)).toEqual(servers);
    // Soft failure is each server's own affair; everything else is the same everywhere.
    expect(new Set(rows.map(([, events, , ...rest]) => [events, ...rest].join(" "))).size).toBe(1);
    expect(lines.at(-1)).toMatch(/^All 5 servers agree: 35 events, state [\w-]{12}\.$/);
  });

  it("shows the same each time", () => {
    expect(runHalf(1).text).toBe(runHalf(1).text);
  });

  it.each(["1", "6", "10", "12", "I.1"])("shows servers that agree in version %s too", (roomVersion) => {
    const answer = JSON.parse(runHalf(1, "--version", roomVersion, "--json").text) as DemoAnswer;
    expect(answer).toMatchObject({ room_version: roomVersion, agree: true });
    expect(answer.servers).toHaveLength(5);
    expect(new Set(answer.servers.map((one) => `${one.events} ${one.eventsHash} ${one.stateHash}`)).size).toBe(1);
  });

  it("names the versions that there are when asked for another", () => {
    const args = ["dist/cli.js", "demo", "--version", "0"];
    const run = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    expect(run.status).toBe(2);
    expect(run.stderr).toMatch(/^roomdag: room version 0 is unknown: it is one of 1, /);
  });

  it("restamps version 10 as I.1 as the fixtures have it [cap:version-i1 v:I.1]", () => {
    const run = spawnSync(process.execPath, ["scripts/restamp.mjs", "--check"], { cwd: root, encoding: "utf8" });
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
  });
});
